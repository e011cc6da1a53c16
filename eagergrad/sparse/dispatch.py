"""Which sparse function an op of the core stands for, and the operators and methods of sparse tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import op_table as _op_table
from eagergrad.sparse import elementwise, products, reduce, shape
from eagergrad.sparse.construct import as_sparse
from eagergrad.sparse.tensor import SparseTensor
from eagergrad.tensor.foreign import is_scipy_sparse

_UNARY = {name: elementwise.on_values(name) for name in elementwise.KEEP_ZERO if name in _op_table}

# Op of the core -> function of sparse tensors.
TABLE: dict[str, Callable[..., Any]] = {
    **_UNARY,
    "add": elementwise.add,
    "addmm": products.addmm,
    "addmv": products.addmv,
    "bmm": products.bmm,
    "cat": shape.cat,
    "clone": lambda input, **kw: input.clone(),
    "concat": shape.cat,
    "concatenate": shape.cat,
    "detach": lambda input: input.detach(),
    "div": elementwise.div,
    "divide": elementwise.div,
    "dropout": elementwise.dropout,
    "hstack": shape.hstack,
    "index_select": shape.index_select,
    "linear": products.linear,
    "log_softmax": reduce.log_softmax,
    "matmul": products.matmul,
    "mean": reduce.mean,
    "mm": products.mm,
    "mul": elementwise.mul,
    "multiply": elementwise.mul,
    "mv": products.mv,
    "narrow": shape.narrow,
    "pow": elementwise.pow,
    "row_stack": shape.vstack,
    "select": shape.select,
    "softmax": reduce.softmax,
    "stack": shape.stack,
    "sub": elementwise.sub,
    "subtract": elementwise.sub,
    "sum": reduce.total,
    "t": shape.t,
    "transpose": shape.transpose,
    "true_divide": elementwise.div,
    "unsqueeze": shape.unsqueeze,
    "vstack": shape.vstack,
}


def call(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The op on arguments of which one is sparse. TypeError if it has no sparse form."""
    name = op if isinstance(op, str) else op.__name__
    if isinstance(op, str) and name == "mul" and any(_is_matrix(x) for x in args):
        name = "matmul"  # SciPy's older matrix classes: * is their product
    function = TABLE.get(name)
    if function is None:
        if isinstance(op, str):
            return NotImplemented
        raise TypeError(
            f"[{name}] has no form for sparse tensors; use x.to_dense(), or x.values() where it works on entries"
        )
    return function(*args, **kwargs)


def _is_matrix(x: Any) -> bool:
    return is_scipy_sparse(x) and any(c.__name__ == "spmatrix" for c in type(x).__mro__)


# ---- methods -------------------------------------------------------------------------------------------


def _is_operand(x: Any) -> bool:
    return isinstance(x, (Tensor, np.ndarray, np.generic, int, float)) or is_scipy_sparse(x)


def _operator(function: Callable[..., Any], swapped: bool = False) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        if not _is_operand(other):
            return NotImplemented
        return function(other, self) if swapped else function(self, other)

    return method


def _dtype_method(name: str, dtype: Any) -> Callable[..., Any]:
    def method(self: Any) -> Any:
        return self.to(dtype)

    method.__name__ = method.__qualname__ = name
    return method


def _scale_(self: SparseTensor, factor: Any, op: str) -> SparseTensor:
    factor = factor if elementwise._number(factor) else elementwise.at_entries(op, self, factor)
    getattr(self._vals, op + "_")(factor)
    return self


def _zero_(self: SparseTensor) -> SparseTensor:
    self._vals.zero_()
    return self


def _copy_(self: SparseTensor, source: Any, non_blocking: bool = False) -> SparseTensor:
    """The values of a tensor with the same entries. RuntimeError for others: entries are never changed."""
    source = as_sparse(source)
    same = isinstance(source, SparseTensor) and source.layout == self.layout
    if same and self.is_sparse:
        same = source.shape == self.shape and self._idx.equal(source._idx)
    elif same:
        same = source.shape == self.shape and self._pattern.same(source._pattern)
    if not same:
        raise RuntimeError(
            f"[copy_] expected a {self.layout} tensor of shape {tuple(self.shape)} with the same entries"
        )
    self._vals.copy_(source._vals)
    return self


# Methods that are the functions of the table.
_METHODS = (
    "add addmm bmm div divide index_select log_softmax matmul mean mm mul multiply mv narrow pow select softmax sub "
    "subtract sum t transpose true_divide unsqueeze"
).split()
_MORE_METHODS: dict[str, Callable[..., Any]] = {
    "copy_": _copy_,
    "div_": lambda self, other: _scale_(self, other, "div"),
    "mul_": lambda self, other: _scale_(self, other, "mul"),
    "norm": reduce.norm,
    "smm": products.mm,
    "spmm": products.mm,
    "sspmm": products.mm,
    "swapaxes": shape.transpose,
    "swapdims": shape.transpose,
    "zero_": _zero_,
    "__abs__": TABLE["abs"],
    "__getitem__": shape.getitem,
    "__neg__": lambda self: elementwise.mul(self, -1),
    "__pos__": lambda self: self,
    "__pow__": elementwise.pow,
}
_OPERATORS = {
    "add": elementwise.add,
    "sub": elementwise.sub,
    "mul": elementwise.mul,
    "truediv": elementwise.div,
    "matmul": products.matmul,
}
_DTYPES = {
    "float": eg.float32,
    "double": eg.float64,
    "half": eg.float16,
    "bfloat16": eg.bfloat16,
    "int": eg.int32,
    "long": eg.int64,
    "bool": eg.bool,
}


def attach() -> None:
    """Gives SparseTensor its operators and methods."""
    cls: Any = SparseTensor
    for name, method in {**_UNARY, **{n: TABLE[n] for n in _METHODS}, **_MORE_METHODS}.items():
        setattr(cls, name, method)
    for name, dtype in _DTYPES.items():
        setattr(cls, name, _dtype_method(name, dtype))
    for name, function in _OPERATORS.items():
        setattr(cls, f"__{name}__", _operator(function))
        setattr(cls, f"__r{name}__", _operator(function, swapped=True))
    cls.T = property(shape.t)
    cls.mT = property(lambda self: shape.transpose(self, -2, -1))


def sparse_mask(self: Tensor, mask: Any) -> SparseTensor:
    """The elements of a dense tensor at the entries of a sparse one; Tensor.sparse_mask. Recorded."""
    mask = as_sparse(mask).coalesce()
    if self.shape != mask.shape:
        raise RuntimeError(
            f"[sparse_mask] expected a mask of shape {tuple(self.shape)}, got {tuple(mask.shape)}"
        )
    places = mask._idx.unbind(0) if mask.is_sparse else mask._form().coordinates()
    return mask._with(self[tuple(c.long() for c in places)])
