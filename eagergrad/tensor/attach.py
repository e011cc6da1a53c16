"""Gives the core's ops their places: functions of the package, methods of Tensor, and ``eagergrad._C.ops``."""

from __future__ import annotations

import types
from typing import Any

from eagergrad import _C

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
    "allclose corrcoef cov cross dist equal isclose is_nonzero is_same_size kron median mode nanmedian nanquantile norm "
    "quantile renorm trace"
).split()


def attach_methods(tensor_class: type) -> None:
    """Gives Tensor the methods that are written in Python elsewhere, and those whose arguments differ from the function's."""
    from eagergrad.tensor import functions, products, statistics

    for name in _METHODS:
        for module in (functions, products, statistics):
            if hasattr(module, name):
                setattr(tensor_class, name, getattr(module, name))
    tensor_class.where = (  # type: ignore[attr-defined]
        lambda self, condition, other: _C.op_table["where"](condition, self, other)
    )


def _later(module: str, name: str) -> Any:
    """A method whose module is imported at the first call."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        import importlib

        return getattr(importlib.import_module(module), name)(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    return method
