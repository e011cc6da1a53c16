"""The class Tensor: what is not an operator or an op (those are attached from the op table)."""

from __future__ import annotations

import math
import numbers
import sys
from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.tensor import printing, sharing, subclass
from eagergrad.tensor.creation import _array_of, plain_array
from eagergrad.tensor.device import device as Device
from eagergrad.tensor.dtype import ALL, NAMES, bfloat16, dtype
from eagergrad.tensor.layout import strided
from eagergrad.tensor.size import Size
from eagergrad.tensor.warn import warn

_ops = _C.op_table
_reversed_dims = _ops["_reversed_dims"]
_NOT_ON_HOST = (
    "can't convert {} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory "
    "first."
)
_cast = _ops["_cast"]
_move = _ops["_to_device"]

# PyTorch's names of tensor types: "torch.FloatTensor", FloatTensor(...), x.type().
TYPE_NAMES = {
    "BoolTensor": ALL[0],
    "ByteTensor": ALL[1],
    "CharTensor": ALL[2],
    "ShortTensor": ALL[3],
    "IntTensor": ALL[4],
    "LongTensor": ALL[5],
    "HalfTensor": ALL[6],
    "BFloat16Tensor": ALL[7],
    "FloatTensor": ALL[8],
    "DoubleTensor": ALL[9],
}
_NAME_OF_TYPE = {t: name for name, t in TYPE_NAMES.items()}


class Tensor(_C.TensorBase):
    """A multi-dimensional array of numbers on the tape.

    ``Tensor(2, 3)`` is an uninitialised tensor of that shape, ``Tensor([1, 2])`` holds the values, both in the
    default dtype. New programs write ``eagergrad.tensor`` and ``eagergrad.empty``.
    """

    __module__ = "eagergrad"  # where programs find it, and what `type(x)` prints
    __slots__ = ()
    __array_priority__ = 1000
    layout = strided
    is_sparse = is_sparse_csr = is_quantized = is_mkldnn = is_mps = is_xpu = is_meta = is_nested = (
        False
    )
    is_complex_ = False
    _is_param = False  # a tensor of a class of its own that was made a Parameter
    names: tuple[None, ...] = ()

    def __new__(cls, *args: Any, device: Any = None) -> Any:
        values = _legacy_values(args, _C.get_default_dtype())
        return values if cls is Tensor else _C.TensorBase.__new__(cls, values)

    @staticmethod
    def _make_subclass(cls: type, data: Tensor, require_grad: bool = False) -> Any:
        made = _C.TensorBase.__new__(cls, data)
        return made.requires_grad_() if require_grad else made

    def as_subclass(self, cls: type) -> Any:
        """The same memory and history as an instance of a subclass."""
        return _C.as_class(self, cls)

    __torch_function__: Any = classmethod(subclass.default_torch_function)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__torch_function__ is not subclass.disabled_torch_function:
            subclass.expect_subclasses()

    # -- conversions ---------------------------------------------------------------------------------

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of this tensor's type, or the tensor cast to a dtype or named type."""
        if dtype is None:
            return f"eagergrad.{_NAME_OF_TYPE[self.dtype]}"
        return _cast(self, _as_dtype(dtype))

    def float(self, memory_format: Any = None) -> Tensor:
        return _formatted(_cast(self, ALL[8]), memory_format)

    def double(self, memory_format: Any = None) -> Tensor:
        return _formatted(_cast(self, ALL[9]), memory_format)

    def half(self, memory_format: Any = None) -> Tensor:
        return _formatted(_cast(self, ALL[6]), memory_format)

    def bfloat16(self, memory_format: Any = None) -> Tensor:
        return _formatted(_cast(self, ALL[7]), memory_format)

    def long(self, memory_format: Any = None) -> Tensor:
        return _formatted(_cast(self, ALL[5]), memory_format)

    def int(self, memory_format: Any = None) -> Tensor:
        return _formatted(_cast(self, ALL[4]), memory_format)

    def short(self, memory_format: Any = None) -> Tensor:
        return _formatted(_cast(self, ALL[3]), memory_format)

    def char(self, memory_format: Any = None) -> Tensor:
        return _formatted(_cast(self, ALL[2]), memory_format)

    def byte(self, memory_format: Any = None) -> Tensor:
        return _formatted(_cast(self, ALL[1]), memory_format)

    def bool(self, memory_format: Any = None) -> Tensor:
        return _formatted(_cast(self, ALL[0]), memory_format)

    def cpu(self, memory_format: Any = None) -> Tensor:
        """This tensor in the CPU's memory: itself, or a copy of a GPU's tensor."""
        return _formatted(_move(self, "cpu"), memory_format)

    def cuda(
        self, device: Any = None, non_blocking: bool = False, memory_format: Any = None
    ) -> Tensor:
        """This tensor on a GPU. Raises RuntimeError where there is none."""
        return self.to(Device("cuda" if device is None else device), memory_format=memory_format)

    def record_stream(self, s: Any) -> None:
        """Say that a stream (`cuda.Stream`) other than the one the values were made on uses them.

        Before their memory goes to another tensor, what that stream has been given is waited for.
        NotImplementedError for a tensor of the CPU.
        """
        _C.cuda_record_stream(self, s.cuda_stream)

    def pin_memory(self, device: Any = None) -> Tensor:
        """This tensor: without a GPU there is nothing to pin for."""
        return self

    def is_pinned(self, device: Any = None) -> bool:
        return False

    def share_memory_(self) -> Tensor:
        """Move the values to memory that other processes see, in place.

        Processes that are forked, or that get the tensor through `multiprocessing`, then write to the same values.
        """
        return sharing.share_memory_(self)

    def is_shared(self) -> bool:
        """Whether the values lie in memory that processes share."""
        return sharing.is_shared(self)

    def to_dense(self, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
        """This tensor: it is dense."""
        return self if dtype is None else self.to(dtype)

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The values as an array that shares this tensor's memory.

        Raises RuntimeError if the tensor requires grad (unless forced, or while nothing is recorded) and TypeError for
        bfloat16, which NumPy lacks.
        """
        t = self
        if self.requires_grad and not force and _C.is_grad_enabled():
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        if t.device.type != "cpu":
            if not force:
                raise TypeError(_NOT_ON_HOST.format(t.device))
            t = t.detach().cpu()
        if t.dtype is bfloat16:
            raise TypeError(
                "Got unsupported ScalarType BFloat16: NumPy has no bfloat16; use x.float()"
            )
        return np.asarray(memoryview(t.detach()))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if "scipy.sparse" in sys.modules:
            from eagergrad.tensor.interop import left_to_the_tensor

            nothing = left_to_the_tensor()
            if nothing is not None:
                return nothing
        t = self.detach()
        if t.device.type != "cpu":
            raise TypeError(_NOT_ON_HOST.format(t.device))
        array = np.asarray(memoryview(t.float() if t.dtype is bfloat16 else t))
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"a conversion from {array.dtype} to {dtype} needs a copy")
            return array.astype(dtype)
        if copy:
            return array.copy()
        if self.requires_grad and _C.is_grad_enabled():
            array.flags.writeable = False
        return array

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """The functions of the Python array API standard: `eagergrad.array_api`."""
        from eagergrad import array_api

        if api_version not in (
            None,
            "2021.12",
            "2022.12",
            "2023.12",
            array_api.__array_api_version__,
        ):
            raise ValueError(
                f"[__array_namespace__] expected a version of the standard up to {array_api.__array_api_version__}, "
                f"got {api_version!r}"
            )
        return array_api

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tensor:
        """This tensor on a device, under the array API standard's name; there is no stream to name."""
        if stream is not None:
            raise ValueError(f"[to_device] expected stream=None, got {stream!r}")
        return self.to(device)

    @property
    def _grad(self) -> Tensor | None:
        """Another name of `grad`, which asynchronous training programs write."""
        return self.grad

    @_grad.setter
    def _grad(self, grad: Tensor | None) -> None:
        self.grad = grad

    # -- shape and memory ------------------------------------------------------------------------------

    @property
    def T(self) -> Tensor:
        """Dimensions reversed."""
        return _reversed_dims(self)

    @property
    def mT(self) -> Tensor:
        """The last two dimensions swapped."""
        if self.ndim < 2:
            raise RuntimeError(
                f"tensor.mT is only supported on matrices or batches of matrices. Got {self.ndim}-D tensor."
            )
        return self.transpose(-2, -1)

    @property
    def H(self) -> Tensor:
        """The transposed matrix."""
        if self.ndim not in (0, 2):
            raise RuntimeError(
                f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor."
            )
        return self.t() if self.ndim == 2 else self

    mH = mT

    @property
    def real(self) -> Tensor:
        return self

    @property
    def itemsize(self) -> Any:
        """Bytes of an element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> Any:
        """Bytes of all elements."""
        return self.numel() * self.dtype.itemsize

    def element_size(self) -> Any:
        return self.dtype.itemsize

    def dim_order(self, *, ambiguity_check: Any = False) -> Any:
        """Dimensions from the one whose elements lie farthest apart to the one whose lie next to each other.

        With ``ambiguity_check`` RuntimeError where several orders would do; a list of memory formats asks that of them.
        """
        if ambiguity_check is True:
            seen = list(self.stride())
            if 1 in self.shape or len(set(seen)) < len(seen):
                raise RuntimeError(
                    "The tensor does not have unique dim order, or cannot map to exact one"
                )
        elif not isinstance(ambiguity_check, (bool, list)):
            raise TypeError(
                f"The ambiguity_check argument must be a bool or a list of memory formats, got {ambiguity_check!r}"
            )
        elif ambiguity_check:
            fits = [f for f in ambiguity_check if self.is_contiguous(memory_format=f)]
            if len(fits) != 1:
                raise RuntimeError(
                    "The tensor does not have unique dim order, or cannot map to exact one of the given memory formats."
                )
        return tuple(sorted(range(self.ndim), key=lambda d: -self.stride(d)))

    def sparse_dim(self) -> Any:
        """0: every dimension is dense."""
        return 0

    def dense_dim(self) -> Any:
        """The number of dimensions: every one is dense."""
        return self.ndim

    def is_contiguous(self, memory_format: Any = None) -> Any:
        """Whether the elements lie in row-major order (or that of the format) without gaps."""
        if memory_format not in (None, "contiguous_format"):
            if self.ndim != {"channels_last": 4, "channels_last_3d": 5}.get(memory_format):
                return False
            return _C.op_table["_is_laid_out"](self, memory_format)
        return self._is_dense

    @property
    def is_cuda(self) -> Any:
        return self.device.type == "cuda"

    @property
    def is_cpu(self) -> Any:
        return self.device.type == "cpu"

    def get_device(self) -> Any:
        """Index of the GPU, -1 on the CPU."""
        return -1 if self.device.type == "cpu" else self.device.index

    def is_floating_point(self) -> Any:
        return self.dtype.is_floating_point

    def is_complex(self) -> Any:
        return False

    def is_signed(self) -> Any:
        return self.dtype.is_signed

    def is_inference(self) -> Any:
        return self._is_inference

    @property
    def volatile(self) -> bool:
        warn("volatile was removed (Variable.volatile is always False)")
        return False

    @volatile.setter
    def volatile(self, value: bool) -> None:
        warn("volatile was removed and now has no effect. Use `with no_grad():` instead")

    def _is_view(self) -> Any:
        return self._is_view_flag

    def __contains__(self, item: Any) -> Any:
        if not isinstance(item, (_C.TensorBase, numbers.Number)):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(item)}."
            )
        return builtin_bool((self == item).any())

    def __len__(self) -> Any:
        return _C.TensorBase.__len__(self)

    def freeze(self) -> Tensor:
        """Makes the memory read-only: in-place writes raise from now on. Returns this tensor."""
        _C.freeze(self)
        return self

    # -- autograd -----------------------------------------------------------------------------------------

    def register_hook(self, hook: Any) -> Any:
        """Calls ``hook(grad)`` when this tensor's gradient is computed; a Tensor it returns replaces the gradient."""
        from eagergrad.autograd.handle import TapeHandle

        return TapeHandle(_C.add_hook(self, hook, 0))

    def register_post_accumulate_grad_hook(self, hook: Any) -> Any:
        """Calls ``hook(tensor)`` after a backward has accumulated into this leaf's ``.grad``."""
        from eagergrad.autograd.handle import TapeHandle

        return TapeHandle(_C.add_hook(self, hook, 1))

    def retain_grad(self) -> None:
        """Keeps the gradient of this non-leaf in ``.grad``."""
        _C.retain_grad(self)

    @property
    def output_nr(self) -> Any:
        """Which output of `grad_fn` this tensor is."""
        return _C.output_nr(self)

    # -- Python protocols -------------------------------------------------------------------------------------

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        text = printing.tensor_repr(self)
        return f"Parameter({text})" if self._is_param else text

    def __str__(self) -> str:
        if type(self).__repr__ is not Tensor.__repr__ or _C.takes_over(
            self
        ):  # a subclass's own text is printed, too
            return repr(self)
        return printing.tensor_str(self)

    def __format__(self, spec: str) -> str:
        if self.ndim == 0 and (spec or type(self) is Tensor):
            return format(self.item(), spec)
        return object.__format__(self, spec)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        from eagergrad.serialization import reduce_tensor

        return reduce_tensor(self)

    def __copy__(self) -> Any:
        from eagergrad.serialization import copy_tensor

        return copy_tensor(self)

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        from eagergrad.serialization import deepcopy_tensor

        return deepcopy_tensor(self, memo)

    def __reversed__(self) -> Tensor:
        return self.flip(0) if self.ndim else self

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __complex__(self) -> complex:
        return complex(self.item())

    def __round__(self, n: Any = None) -> Tensor:
        return self.round() if n is None else self.round(decimals=n)

    def __trunc__(self) -> int:
        return int(self)  # as `math.floor` and `math.ceil`, which go by `__float__`

    def __dir__(self) -> list[str]:
        return sorted(set(object.__dir__(self)))

    # -- new tensors like this one ----------------------------------------------------------------------------

    def new_tensor(
        self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Tensor:
        """A tensor of the data with this one's dtype and device."""
        from eagergrad.tensor.creation import tensor

        if isinstance(data, Tensor):
            made = data.detach().clone().to(device or self.device, dtype or self.dtype)
            return made.requires_grad_() if requires_grad else made
        return tensor(
            data,
            dtype=dtype or self.dtype,
            device=self.device if device is None else device,
            requires_grad=requires_grad,
        )

    def new(self, *args: Any, device: Any = None) -> Tensor:
        """The old spelling of new_empty and new_tensor."""
        return _legacy_values(args, self.dtype).to(self.device if device is None else device)

    def new_zeros(
        self,
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: Any = False,
        **kw: Any,
    ) -> Tensor:
        """Zeros of this tensor's dtype."""
        return _ops["zeros"](
            *_size(size, kw),
            dtype=dtype or self.dtype,
            device=self.device if device is None else device,
            requires_grad=requires_grad,
        )

    def new_ones(
        self,
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: Any = False,
        **kw: Any,
    ) -> Tensor:
        """Ones of this tensor's dtype."""
        return _ops["ones"](
            *_size(size, kw),
            dtype=dtype or self.dtype,
            device=self.device if device is None else device,
            requires_grad=requires_grad,
        )

    def new_empty(
        self,
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: Any = False,
        **kw: Any,
    ) -> Tensor:
        """Uninitialised memory of this tensor's dtype."""
        return _ops["empty"](
            *_size(size, kw),
            dtype=dtype or self.dtype,
            device=self.device if device is None else device,
            requires_grad=requires_grad,
        )

    def new_full(
        self,
        size: Any,
        fill_value: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: Any = False,
        **kw: Any,
    ) -> Tensor:
        """A tensor of one value with this one's dtype."""
        return _ops["full"](
            size,
            fill_value,
            dtype=dtype or self.dtype,
            device=self.device if device is None else device,
            requires_grad=requires_grad,
        )

    def new_empty_strided(
        self,
        size: Any,
        stride: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: Any = False,
        **kw: Any,
    ) -> Tensor:
        """Uninitialised memory of this tensor's dtype with the given strides."""
        return _ops["empty_strided"](
            size,
            stride,
            dtype=dtype or self.dtype,
            device=self.device if device is None else device,
            requires_grad=requires_grad,
        )

    # -- in place ---------------------------------------------------------------------------------------------

    def apply_(self, function: Any) -> Tensor:
        """Replaces each element by ``function(element)``: a Python loop, for experiments."""
        if self.requires_grad:
            raise RuntimeError(
                "apply_() is not recorded: call it on a tensor that does not require grad"
            )
        return self._mapped(function)

    def map_(self, other: Tensor, function: Any) -> Tensor:
        """Replaces each element by ``function(element, other's element)``."""
        return self._mapped(function, other.detach())

    def _mapped(self, function: Any, *others: Tensor) -> Tensor:
        """Writes the function of this tensor's and the others' elements, on the host, over this tensor's."""
        host = self.cpu()
        array = host.numpy()
        if array.size:
            values = (other.cpu().numpy() for other in others)
            array[...] = np.vectorize(function, otypes=[array.dtype])(array, *values)
        return self if host is self else self.copy_(host)

    def set_(
        self,
        source: Any = None,
        storage_offset: int = 0,
        size: Any = None,
        stride: Any = None,
    ) -> Tensor:
        """Takes over the memory of a tensor, or of a storage with a shape and strides (none: an empty tensor)."""
        if source is None:
            self.data = self.new_empty(0)
            return self
        view = source.detach() if isinstance(source, _C.TensorBase) else source._as(self.dtype)
        if size is not None:
            strides = self.new_empty(size).stride() if stride is None else stride
            view = view.as_strided(size, strides, storage_offset)
        self.data = view
        return self

    def resize_(self, *sizes: Any, memory_format: Any = None) -> Tensor:
        """Changes the shape in place, the elements in the order of memory; new ones are uninitialised."""
        if self.requires_grad:
            raise RuntimeError("cannot resize variables that require grad")
        shape = _size(sizes, {})
        if memory_format is None and self.shape == shape:
            return self
        held = self.untyped_storage().nbytes() // self.element_size() - self.storage_offset()
        if memory_format is None and all(type(n) is int and n >= 0 for n in shape):
            n = math.prod(shape)
            if n <= held:
                self.data = self.detach().as_strided((n,), (1,)).view(shape)
                return self
        form = "contiguous_format" if memory_format is None else memory_format
        grown = _ops["empty"](*shape, dtype=self.dtype, device=self.device, memory_format=form)
        if grown.numel() > held:
            memory = self.detach().as_strided((held,), (1,))
            grown.as_strided((held,), (1,)).copy_(memory)
        else:
            grown = self.detach().as_strided(grown.shape, grown.stride())
        self.data = grown
        return self

    def resize_as_(self, the_template: Tensor, memory_format: Any = None) -> Tensor:
        """Gives this tensor the shape of another, as resize_() does."""
        return self.resize_(*the_template.shape, memory_format=memory_format)


builtin_bool = bool


def _size(size: tuple[Any, ...], kw: dict[str, Any]) -> tuple[Any, ...]:
    if "size" in kw:
        size = (kw["size"],)
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    return size or ((),)


def _legacy_values(args: tuple[Any, ...], kind: dtype) -> Tensor:
    """Tensor(...), FloatTensor(...), x.new(...): sizes, values, an array or a tensor."""
    if not args:
        return _ops["empty"](0, dtype=kind)
    first = args[0]
    if len(args) == 1 and isinstance(first, _C.TensorBase):
        return _cast(first.detach(), kind)
    if len(args) == 1 and isinstance(first, np.ndarray):
        return _cast(_C.from_array(plain_array(first)), kind)
    if len(args) == 1 and isinstance(first, Size):
        return _ops["empty"](first, dtype=kind)
    if len(args) == 1 and isinstance(first, (list, tuple, range)):
        return _cast(_C.from_array(plain_array(_array_of(list(first)))), kind).clone()
    if all(hasattr(a, "__index__") for a in args):
        return _ops["empty"](*args, dtype=kind)
    raise TypeError(
        "new() received an invalid combination of arguments: expected sizes, a sequence, an array or a tensor, got "
        + ", ".join(type(a).__name__ for a in args)
    )


def _as_dtype(spec: Any) -> dtype:
    if isinstance(spec, dtype):
        return spec
    if spec is Tensor:
        return _C.get_default_dtype()
    if isinstance(spec, str):
        name = spec.rsplit(".", 1)[-1]
        if name == "Tensor":
            return _C.get_default_dtype()
        if name in TYPE_NAMES:
            return TYPE_NAMES[name]
        if name in NAMES:
            return NAMES[name]
        raise ValueError(f"invalid type: {spec!r}")
    if spec in (builtin_float, builtin_int, builtin_bool):
        return {builtin_float: ALL[9], builtin_int: ALL[5], builtin_bool: ALL[0]}[spec]
    legacy = getattr(spec, "_dtype", None)
    if isinstance(legacy, dtype):
        return legacy
    raise TypeError(f"invalid dtype: {spec!r}")


builtin_float, builtin_int = float, int


def _formatted(x: Tensor, memory_format: Any) -> Tensor:
    return x if memory_format is None else x.contiguous(memory_format=memory_format)


def _legacy_type(name: str, kind: dtype) -> type:
    """FloatTensor and its like: callables that isinstance() understands."""

    class Meta(type):
        def __instancecheck__(cls, instance: Any) -> Any:
            return isinstance(instance, Tensor) and instance.dtype is kind

        def __call__(cls, *args: Any, device: Any = None) -> Any:
            return _legacy_values(args, kind)

    return Meta(
        name, (), {"_dtype": kind, "__module__": "eagergrad", "__doc__": f"Tensors of {kind}."}
    )


LEGACY_TYPES = {name: _legacy_type(name, kind) for name, kind in TYPE_NAMES.items()}
