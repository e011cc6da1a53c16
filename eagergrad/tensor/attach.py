"""Gives the core's ops their places: functions of the package, methods of Tensor, and ``eagergrad._C.ops``."""

from __future__ import annotations

import types
from typing import Any

from eagergrad import _C
from eagergrad.tensor.refusals import attach_refusals

FUNCTION_ONLY, METHOD_ONLY, INTERNAL, TAKES_INPUT = 4, 8, 16, 1 << 16


class OpNamespace(types.SimpleNamespace):
    """Every registered op by its name."""

    def list(self) -> list[str]:
        """Names of all ops."""
        return sorted(k for k in vars(self) if k != "list")


def attach(namespace: dict[str, Any], tensor_class: type) -> OpNamespace:
    """Fills the package's namespace and the Tensor class from the op table; returns the table as a namespace."""
    for name, op in _C.op_table.items():
        flags = op.flags
        if flags & INTERNAL:
            continue
        if not flags & METHOD_ONLY:
            namespace.setdefault(name, op)
        if flags & TAKES_INPUT and not flags & FUNCTION_ONLY and name not in vars(tensor_class):
            setattr(tensor_class, name, op)
    ops = OpNamespace(**_C.op_table)
    _C.ops = ops  # type: ignore[attr-defined]
    return ops


def find_op(name: str) -> Any:
    """The op of a name: what pickling an op stores."""
    return _C.op_table[name]


# Python functions that PyTorch also has as methods.
_METHODS = (
    "allclose corrcoef cov cross dist equal isclose is_nonzero nanquantile quantile renorm"
).split()

# In-place methods that PyTorch also has as functions.
_INPLACE = (
    "abs acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil clamp clamp_max clamp_min clip "
    "cos cosh deg2rad erf erfc exp exp2 expm1 fill fix floor frac gcd i0 lcm ldexp log log10 log1p log2 logit nan_to_num neg "
    "negative rad2deg reciprocal relu resize_as round rsqrt sigmoid sin sinc sinh sqrt square tan tanh trunc xlogy zero"
).split()

_LINALG = (
    "cholesky cholesky_inverse cholesky_solve det geqrf inverse logdet lu lu_solve matrix_exp matrix_power orgqr ormqr pinverse qr "
    "slogdet svd triangular_solve"
).split()


def attach_methods(tensor_class: type) -> None:
    """Gives Tensor the methods that are written in Python elsewhere, and those whose arguments differ from the function's."""
    from eagergrad.tensor import functions, products, statistics

    attach_refusals(tensor_class)
    for name in _METHODS:
        for module in (functions, products, statistics):
            if hasattr(module, name):
                setattr(tensor_class, name, getattr(module, name))
    for name in ("logit", "mvlgamma"):
        setattr(tensor_class, name, _later("eagergrad.special", name))
    for name in ("to_sparse", "to_sparse_coo", "to_sparse_csc", "to_sparse_csr"):
        setattr(tensor_class, name, _later("eagergrad.sparse.construct", name))
    tensor_class.sparse_mask = _later("eagergrad.sparse.dispatch", "sparse_mask")  # type: ignore[attr-defined]
    for name in ("logit", "mvlgamma", "polygamma", "renorm"):
        setattr(tensor_class, name + "_", _writing(name))
    for name in "conj is_conj is_neg resolve_conj resolve_neg".split():
        setattr(tensor_class, name, getattr(functions, name))
    tensor_class.conj_physical_ = functions.conj  # type: ignore[attr-defined]
    tensor_class.prelu = _later("eagergrad.nn.functional", "prelu")  # type: ignore[attr-defined]
    tensor_class.is_distributed = lambda self: False  # type: ignore[attr-defined]
    tensor_class.polygamma = lambda self, n: _C.op_table["_polygamma"](self, n)  # type: ignore[attr-defined]
    for name in ("storage", "untyped_storage"):
        setattr(tensor_class, name, _later("eagergrad.storage", name))
    for name in _LINALG:
        setattr(tensor_class, name, _later("eagergrad.linalg.names", name))

    def norm(
        self: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
    ) -> Any:
        return statistics.norm(self, p, dim, keepdim, dtype=dtype)

    def where(self: Any, condition: Any, other: Any) -> Any:
        return _C.op_table["where"](condition, self, other)

    tensor_class.norm, tensor_class.where = norm, where  # type: ignore[attr-defined]


def attach_inplace_functions(namespace: dict[str, Any], tensor_class: type) -> None:
    """eg.exp_(x) and its like."""
    for name in _INPLACE:
        namespace.setdefault(name + "_", getattr(tensor_class, name + "_"))


def _later(module: str, name: str) -> Any:
    """A method whose module is imported at the first call."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        import importlib

        return getattr(importlib.import_module(module), name)(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    return method


def _writing(name: str) -> Any:
    """The in-place variant of a method that is written in Python."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = getattr(self.clone(), name)(*args, **kwargs)
        if result.dtype.is_floating_point and not self.dtype.is_floating_point:
            raise RuntimeError(
                f"{name}_(): result type {result.dtype} can't be cast to the desired output type {self.dtype}"
            )
        return self.copy_(result)

    method.__name__ = method.__qualname__ = name + "_"
    return method
