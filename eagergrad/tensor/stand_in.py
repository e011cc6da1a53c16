"""What passes for a tensor and is no subclass: sparse tensors, and items of a batch (`vmap`).

A subclass over the memory of its values would be taken by every op of the core for these values: wrong numbers instead of
an error. A stand-in holds a tensor, says that it is a Tensor, and is asked, by ``__torch_function__``, what an op makes of it.
"""

from __future__ import annotations

from typing import Any

from eagergrad import Tensor
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
