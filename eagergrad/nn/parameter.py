"""Parameter and Buffer: the tensors that a Module registers when they are assigned to it."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad import _C, Tensor
from eagergrad.tensor.printing import tensor_str
from eagergrad.tensor.subclass import disabled_torch_function

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


class _ParameterType(type):
    """Counts tensors of classes with a ``__torch_function__`` that were made parameters among the instances."""

    def __instancecheck__(self, instance: Any) -> bool:
        if super().__instancecheck__(instance):
            return True
        return self is Parameter and isinstance(instance, Tensor) and instance._is_param


class Parameter(Tensor, metaclass=_ParameterType):
    """A tensor that a Module lists among its parameters as soon as it is assigned as an attribute.

    Shares memory with `data`; `requires_grad` is True unless said otherwise, which needs a floating dtype
    (RuntimeError).

    >>> import eagergrad as eg
    >>> p = eg.nn.Parameter(eg.zeros(2, 3))
    >>> p.requires_grad, p.is_leaf, tuple(p.shape)
    (True, True, (2, 3))
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = eg.empty(0)
        elif not isinstance(data, Tensor):
            raise TypeError(
                f"[Parameter] expected data to be a Tensor, came {type(data).__name__}; "
                "wrap it first: Parameter(eg.tensor(data))"
            )
        if cls is Parameter and _C.takes_over(data):
            parameter = data.detach().requires_grad_(requires_grad)
            parameter._is_param = True
            return parameter
        return Tensor._make_subclass(cls, data, requires_grad)

    __torch_function__ = disabled_torch_function

    def __repr__(self) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + super().__repr__()

    def __str__(self) -> str:
        if type(self).__repr__ is not Parameter.__repr__:  # a subclass's own text is printed, too
            return repr(self)
        return "Parameter containing:\n" + tensor_str(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        known = memo.get(id(self))
        if known is not None:
            return known
        copy = type(self)(self.data.clone(), self.requires_grad)
        memo[id(self)] = copy
        return copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (type(self), _plain(self), self.requires_grad)


class Buffer(Tensor):
    """A tensor that a Module lists among its buffers as soon as it is assigned; `persistent` ones enter the
    state dict.

    >>> import eagergrad as eg
    >>> m = eg.nn.Module()
    >>> m.steps = eg.nn.Buffer(eg.zeros(2), persistent=False)
    >>> [name for name, _ in m.named_buffers()], list(m.state_dict())
    (['steps'], [])
    """

    persistent: bool
    __torch_function__ = disabled_torch_function

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Buffer:
        if data is None:
            data = eg.empty(0)
        buffer = Tensor._make_subclass(cls, data.detach().requires_grad_(data.requires_grad))
        buffer.persistent = persistent
        return buffer

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild_buffer, (type(self), _plain(self), self.persistent)


def _plain(t: Tensor) -> Tensor:
    """The same memory as a Tensor of the base class, which knows how to pickle itself."""
    return Tensor._make_subclass(Tensor, t.data, False)


def _rebuild(cls: type, data: Tensor, requires_grad: bool) -> Any:
    return cls(data, requires_grad)


def _rebuild_buffer(cls: type, data: Tensor, persistent: bool) -> Any:
    return cls(data, persistent=persistent)


class UninitializedTensorMixin:
    """What tensors of a shape yet unknown have in common: asking for the shape is an error, `materialize` ends it."""

    cls_to_become: type
    data: Any
    __torch_function__ = disabled_torch_function

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give the tensor memory of `shape` (uninitialised) and turn it into its final class."""
        data = self.data
        self.data = eg.empty(
            shape,
            device=data.device if device is None else device,
            dtype=data.dtype if dtype is None else dtype,
        )
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            f"[shape] this {type(self).__name__} has no shape yet; it gets one in the first forward pass "
            "of its lazy module. Run a dummy batch, or call materialize(shape)"
        )

    def size(self, dim: int | None = None) -> Any:
        return self.shape

    def share_memory_(self) -> Any:
        return self.shape

    def numel(self) -> int:
        raise ValueError(
            f"[numel] this {type(self).__name__} has no elements to count yet; run a dummy batch first"
        )

    nelement = numel

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __str__(self) -> str:
        return repr(self)


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc]
    """A parameter whose shape the first forward pass of a lazy module decides.

    >>> import eagergrad as eg
    >>> p = eg.nn.UninitializedParameter()
    >>> p.materialize((2, 3))
    >>> type(p).__name__, tuple(p.shape)
    ('Parameter', (2, 3))
    """

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        return Tensor._make_subclass(cls, eg.empty(0, device=device, dtype=dtype), requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> UninitializedParameter:
        known = memo.get(id(self))
        if known is not None:
            return known
        copy = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        memo[id(self)] = copy
        return copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.requires_grad, None, self.data.dtype)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[misc]
    """A buffer whose shape the first forward pass of a lazy module decides."""

    cls_to_become = Tensor
    persistent: bool

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        data = eg.empty(0, device=device, dtype=dtype)
        buffer = Tensor._make_subclass(cls, data, requires_grad)
        buffer.persistent = persistent
        return buffer

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.requires_grad, None, self.data.dtype, self.persistent)


def is_lazy(param: Any) -> bool:
    """Whether `param` still waits for its shape."""
    return isinstance(param, UninitializedTensorMixin)
