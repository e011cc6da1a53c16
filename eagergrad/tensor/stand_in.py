"""What passes for a tensor and is no subclass: sparse tensors, items of a batch (`vmap`), and values of a trace (`export`).

A subclass over the memory of its values would be taken by every op of the core for these values: wrong numbers instead of
an error. A stand-in holds a tensor, says that it is a Tensor, and is asked, by ``__torch_function__``, what an op makes of it.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

from eagergrad import _C, Tensor, strided
from eagergrad._C import ops as _ops
from eagergrad.tensor.size import wrap_dim


class StandIn:
    """Shows a Tensor's face over `_held`, the tensor that has its numbers. A subclass gives `_held`, `shape` and `_call`."""

    __slots__ = ()
    __array_ufunc__ = None  # NumPy leaves operators to this class
    __array_priority__ = 1001
    is_quantized = is_mkldnn = is_nested = is_meta = False
    _held: Any
    shape: Any

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        return Tensor

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return cls._call(func, args, kwargs or {})

    @staticmethod
    def _call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the op makes of arguments among which such a tensor is."""
        raise NotImplementedError

    @property
    def dtype(self) -> Any:
        return self._held.dtype

    @property
    def device(self) -> Any:
        return self._held.device

    @property
    def is_cuda(self) -> bool:
        return self._held.is_cuda

    @property
    def is_cpu(self) -> bool:
        return self._held.is_cpu

    def dim(self) -> int:
        return len(self.shape)

    def ndimension(self) -> int:
        return self.dim()

    @property
    def ndim(self) -> int:
        return self.dim()

    def _wrap(self, dim: int) -> int:
        return wrap_dim(dim, self.dim())

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[self._wrap(dim)]

    def numel(self) -> int:
        """Elements of the shape, whatever is stored."""
        return self.shape.numel()

    nelement = numel

    def element_size(self) -> int:
        return self._held.element_size()

    def is_floating_point(self) -> bool:
        return self._held.is_floating_point()

    def is_complex(self) -> bool:
        return False

    def is_signed(self) -> bool:
        return self._held.is_signed()

    def get_device(self) -> int:
        return self._held.get_device()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]


def _operator(name: str, reflected: bool = False) -> Callable[..., Any]:
    op = getattr(_ops, name)

    def apply(self: Proxy, other: Any) -> Any:
        if not isinstance(other, (Tensor, bool, int, float)):
            return NotImplemented
        return self._call(op, (other, self) if reflected else (self, other), {})

    return apply


def _unary(name: str) -> Callable[[Proxy], Any]:
    op = getattr(_ops, name)
    return lambda self: self._call(op, (self,), {})


class Proxy(StandIn):
    """A dense stand-in whose operators and methods all go, as ops, to `_call`; those written in Python run as they are."""

    __slots__ = ()
    is_sparse = is_sparse_csr = False
    layout = strided

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        op = getattr(_ops, func) if isinstance(func, str) else func
        return cls._call(op, args, kwargs or {})

    @staticmethod
    def _prefers(name: str) -> bool:
        """Whether the op of this name is wanted where Tensor has a method in Python of the same name."""
        return True

    def __getattr__(self, name: str) -> Any:
        op = _C.op_table.get("_where_method" if name == "where" else name)
        found = inspect.getattr_static(Tensor, name, None)
        if op is None or not self._prefers(name):
            if isinstance(found, types.FunctionType) and not name.startswith("_"):
                return types.MethodType(found, self)
        if op is not None and found is not None:
            return lambda *args, **kwargs: self._call(op, (self, *args), kwargs)
        raise AttributeError(f"[{type(self).__name__}] has no '{name}'")

    @property
    def requires_grad(self) -> bool:
        return self._held.requires_grad

    @property
    def is_leaf(self) -> bool:
        return self._held.is_leaf

    @property
    def grad_fn(self) -> Any:
        return self._held.grad_fn

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        self._held.requires_grad_(requires_grad)
        return self

    def is_contiguous(self, memory_format: Any = None) -> bool:
        return self._held.is_contiguous()

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self._call(_ops.unbind, (self, 0), {}))

    def __hash__(self) -> int:
        return id(self)

    # -- operators -----------------------------------------------------------------------------------------

    __add__, __radd__ = _operator("add"), _operator("add", True)
    __sub__, __rsub__ = _operator("sub"), _operator("sub", True)
    __mul__, __rmul__ = _operator("mul"), _operator("mul", True)
    __truediv__, __rtruediv__ = _operator("div"), _operator("div", True)
    __pow__, __rpow__ = _operator("pow"), _operator("pow", True)
    __mod__, __rmod__ = _operator("remainder"), _operator("remainder", True)
    __floordiv__, __rfloordiv__ = _operator("floor_divide"), _operator("floor_divide", True)
    __matmul__, __rmatmul__ = _operator("matmul"), _operator("matmul", True)
    __and__, __rand__ = _operator("bitwise_and"), _operator("bitwise_and", True)
    __or__, __ror__ = _operator("bitwise_or"), _operator("bitwise_or", True)
    __lshift__, __rshift__ = _operator("bitwise_left_shift"), _operator("bitwise_right_shift")
    __xor__, __rxor__ = _operator("bitwise_xor"), _operator("bitwise_xor", True)
    __lt__, __le__, __gt__, __ge__ = (_operator(n) for n in ("lt", "le", "gt", "ge"))
    __eq__, __ne__ = _operator("eq"), _operator("ne")  # type: ignore[assignment]
    __iadd__, __isub__, __imul__, __itruediv__ = (
        _operator(n) for n in ("add_", "sub_", "mul_", "div_")
    )
    __neg__, __abs__, __invert__ = _unary("neg"), _unary("abs"), _unary("bitwise_not")
    __pos__ = lambda self: self  # noqa: E731

    T = property(lambda self: self if self.ndim < 2 else self.permute(*reversed(range(self.ndim))))
    mT = property(lambda self: self.transpose(-2, -1))
