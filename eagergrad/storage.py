"""The memory behind tensors, as programs ask for it: whose views share it, where it is, how large."""

from __future__ import annotations

from typing import Any

import eagergrad as eg
from eagergrad import _C

__all__ = ["TypedStorage", "UntypedStorage"]


class _Storage:
    """The whole memory of a tensor, as a vector over it."""

    _whole: Any

    def data_ptr(self) -> int:
        """Address of the first byte: the same for all views of one memory."""
        return self._whole.data_ptr()

    def nbytes(self) -> int:
        """Size in bytes."""
        return self._whole.numel() * self._whole.element_size()

    def size(self) -> int:
        """Number of elements."""
        return self._whole.numel()

    def element_size(self) -> int:
        """Bytes an element."""
        return self._whole.element_size()

    @property
    def device(self) -> Any:
        """Where the memory is."""
        return self._whole.device

    @property
    def is_cuda(self) -> bool:
        """Whether the memory is a GPU's."""
        return self._whole.is_cuda

    def is_shared(self) -> bool:
        """Whether other processes see the memory."""
        return self._whole.is_shared()

    def tolist(self) -> list:
        """The elements as Python numbers."""
        return self._whole.tolist()

    def fill_(self, value: Any) -> Any:
        """Write one value everywhere."""
        self._whole.fill_(value)
        return self

    def copy_(self, source: Any, non_blocking: bool = False) -> Any:
        """Copy another storage of the same size into this one."""
        self._whole.copy_(source._whole)
        return self

    def clone(self) -> Any:
        """A copy in memory of its own."""
        return type(self)._of(self._whole.clone())

    @classmethod
    def _of(cls, whole: Any) -> Any:
        made = cls.__new__(cls)
        made._whole = whole
        if isinstance(made, TypedStorage):
            made.dtype = whole.dtype
        return made

    def _as(self, dtype: Any) -> Any:
        return self._whole if dtype is self._whole.dtype else self._whole.view(dtype)

    def __sizeof__(self) -> int:
        return super().__sizeof__() + self.nbytes()  # as PyTorch: what `sys.getsizeof` is asked for

    def __len__(self) -> int:
        return self._whole.numel()

    def __iter__(self) -> Any:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._of(self._whole[index])
        return self._whole[index].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._whole[index] = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Storage) and (self.data_ptr(), self.nbytes()) == (
            other.data_ptr(),
            other.nbytes(),
        )

    def __hash__(self) -> int:
        return hash(self.data_ptr())


class UntypedStorage(_Storage):
    """The memory as bytes.

    >>> import eagergrad as eg
    >>> x = eg.zeros(2, 3)
    >>> x.untyped_storage().nbytes(), x[1].untyped_storage() == x.untyped_storage()
    (24, True)
    """

    def __init__(self, size: int = 0) -> None:
        self._whole = eg.zeros(size, dtype=eg.uint8)

    def untyped(self) -> UntypedStorage:
        """The storage itself."""
        return self

    def __repr__(self) -> str:
        return f"[eagergrad.storage.UntypedStorage(device={self.device}) of size {len(self)}]"


class TypedStorage(_Storage):
    """The memory as elements of a dtype.

    >>> import eagergrad as eg
    >>> x = eg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> x[1].storage().tolist()
    [1.0, 2.0, 3.0, 4.0]
    """

    def __init__(self, data: Any = 0, *, dtype: Any = None) -> None:
        kind = dtype or type(self).dtype or eg.get_default_dtype()
        if isinstance(data, int):
            self._whole = eg.zeros(data, dtype=kind)
        else:
            self._whole = eg.tensor(list(data), dtype=kind)
        self.dtype = self._whole.dtype

    dtype: Any = None  # of the elements: each storage has its own

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage._of(self._whole.view(eg.uint8))

    def type(self) -> str:
        """The name of the type, with its dtype's."""
        return self._whole.type().replace("Tensor", "Storage")

    def __repr__(self) -> str:
        lines = "".join(f" {v}\n" for v in self.tolist())
        what = f"dtype={self.dtype}, device={self.device}"
        return f"{lines}[eagergrad.storage.TypedStorage({what}) of size {len(self)}]"


def storage(tensor: Any) -> TypedStorage:
    """The memory behind a tensor and all its views, as elements of its dtype."""
    flat = tensor.detach()
    n = _C.op_table["_storage_bytes"](flat) // flat.element_size()
    return TypedStorage._of(flat.as_strided((n,), (1,), 0))


def untyped_storage(tensor: Any) -> UntypedStorage:
    """The memory behind a tensor and all its views, as bytes."""
    return storage(tensor).untyped()


def _typed(name: str, kind: Any) -> type:
    return type(f"{name}Storage", (TypedStorage,), {"dtype": kind, "__module__": "eagergrad"})


# torch.FloatStorage and its like: storages of one dtype.
_TYPED = {
    f"{name}Storage": _typed(name, kind)
    for name, kind in (
        ("Bool", eg.bool),
        ("Byte", eg.uint8),
        ("Char", eg.int8),
        ("Short", eg.int16),
        ("Int", eg.int32),
        ("Long", eg.int64),
        ("Half", eg.float16),
        ("BFloat16", eg.bfloat16),
        ("Float", eg.float32),
        ("Double", eg.float64),
    )
}
globals().update(_TYPED, Storage=_TYPED["FloatStorage"])
