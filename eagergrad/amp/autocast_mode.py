"""Regions where matrix products and convolutions run in half precision."""

from __future__ import annotations

import contextlib
import functools
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import eagergrad as eg
from eagergrad import _C

__all__ = [
    "autocast",
    "clear_autocast_cache",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_cpu_dtype",
    "get_autocast_dtype",
    "get_autocast_gpu_dtype",
    "is_autocast_available",
    "is_autocast_cpu_enabled",
    "is_autocast_enabled",
    "set_autocast_cpu_dtype",
    "set_autocast_cpu_enabled",
    "set_autocast_dtype",
    "set_autocast_enabled",
    "set_autocast_gpu_dtype",
]

_DEVICES = ("cpu", "cuda")


class _State(threading.local):
    """Of each device type: is autocast on, and for which dtype (None: the device's default)?"""

    def __init__(self) -> None:
        self.enabled = dict.fromkeys(_DEVICES, False)
        self.dtype: dict[str, Any] = dict.fromkeys(_DEVICES)
        self.cache = True
        self.depth = 0  # of nested regions


_state = _State()


def _check_device(device_type: str) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if device_type not in _DEVICES:
        raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")


def is_autocast_available(device_type: str) -> bool:
    """Does this device type know autocast?"""
    return device_type in _DEVICES


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Is autocast on, in this thread, for this device type?"""
    return _state.enabled.get(device_type, False)


def get_autocast_dtype(device_type: str) -> Any:
    """What autocast casts to: by default bfloat16 on the CPU and float16 on a GPU."""
    _check_device(device_type)
    default = eg.bfloat16 if device_type == "cpu" else eg.float16
    return _state.dtype[device_type] or default


def is_autocast_cpu_enabled() -> bool:
    """Is autocast on, in this thread, for the CPU?"""
    return is_autocast_enabled("cpu")


def get_autocast_cpu_dtype() -> Any:
    """What autocast casts to on the CPU."""
    return get_autocast_dtype("cpu")


def get_autocast_gpu_dtype() -> Any:
    """What autocast casts to on a GPU."""
    return get_autocast_dtype("cuda")


def set_autocast_enabled(device_type: str, enabled: bool) -> None:
    """Switch autocast on or off, in this thread, for this device type."""
    _check_device(device_type)
    _state.enabled[device_type] = bool(enabled)
    _tell_core()


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Set what autocast casts to."""
    _check_device(device_type)
    _state.dtype[device_type] = dtype
    _tell_core()


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """Switch autocast on or off, in this thread, for the CPU."""
    set_autocast_enabled("cpu", enabled)


def set_autocast_cpu_dtype(dtype: Any) -> None:
    """Set what autocast casts to on the CPU."""
    set_autocast_dtype("cpu", dtype)


def set_autocast_gpu_dtype(dtype: Any) -> None:
    """Set what autocast casts to on a GPU."""
    set_autocast_dtype("cuda", dtype)


def clear_autocast_cache() -> None:
    """Forget the casts of weights that the open regions keep."""
    _C.clear_autocast_cache()


def _tell_core() -> None:
    _C.set_autocast(
        *(get_autocast_dtype(d) if _state.enabled[d] else None for d in ("cpu", "cuda")),
        _state.cache,
    )


@contextlib.contextmanager
def suspended() -> Iterator[None]:
    """No region is open inside, as for the ops that a function of PyTorch's lists is made of."""
    _C.set_autocast(None, None, False)
    try:
        yield
    finally:
        _tell_core()


class autocast:
    """A context, or a decorator, in which products, linear layers, convolutions and attention take
    their float32 inputs as `dtype`, and losses their half precision inputs as float32; on "cuda" so do
    softmax, norms, sums and the functions that leave the range of float16, as in PyTorch's lists.

    A weight is cast once in a region and kept until it ends, unless ``cache_enabled`` is False or it is written to.
    Everything else computes in the dtypes it is given. The default is bfloat16 on the CPU and
    float16 on "cuda"; without a GPU autocast for "cuda" warns and does nothing. RuntimeError for
    other device types.

    >>> import eagergrad as eg
    >>> x = eg.ones(2, 2)
    >>> with eg.autocast("cpu"):
    ...     y = x @ x
    >>> y.dtype
    eagergrad.bfloat16
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        _check_device(device_type)
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self._cache_enabled = True if cache_enabled is None else cache_enabled
        if enabled and device_type == "cuda" and not eg.cuda.is_available():
            warnings.warn("There is no GPU here: autocast for cuda is disabled.", stacklevel=2)
            enabled = False
        elif enabled and self.fast_dtype not in (eg.bfloat16, eg.float16):
            warnings.warn(
                f"autocast supports bfloat16 and float16, not {self.fast_dtype}: it is disabled.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._before: list[tuple[bool, Any, bool]] = []

    def __enter__(self) -> autocast:
        device = self.device
        self._before.append((_state.enabled[device], _state.dtype[device], _state.cache))
        _state.enabled[device], _state.dtype[device] = self._enabled, self.fast_dtype
        _state.cache = self._cache_enabled
        _state.depth += 1
        _tell_core()
        return self

    def __exit__(self, *exc: object) -> None:
        device = self.device
        _state.enabled[device], _state.dtype[device], _state.cache = self._before.pop()
        _state.depth -= 1
        _tell_core()
        if _state.depth == 0:
            clear_autocast_cache()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(function):
            raise TypeError(
                f"autocast()(f) requires a callable, but got {type(function).__name__}; as a "
                "context write `with autocast(device_type): ...`"
            )

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapped


# ---- functions with a gradient of their own -----------------------------------------------------------


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: Any = None
) -> Any:
    """Decorate the forward of an `autograd.Function`: `backward` will run under the same autocast.

    With `cast_inputs`, floating point inputs are cast to it inside an autocast region and autocast
    is off in `forward`.
    """
    _check_device(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = enabled = is_autocast_enabled(device_type)
        if cast_inputs is None or not enabled:
            return fwd(ctx, *args, **kwargs)
        ctx._fwd_used_autocast = False
        with autocast(device_type, enabled=False):
            args = tuple(_cast(a, device_type, cast_inputs) for a in args)
            return fwd(ctx, *args, **_cast(kwargs, device_type, cast_inputs))

    return decorated


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """Decorate the backward of an `autograd.Function` whose forward has `custom_fwd`."""
    _check_device(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(ctx, *args, **kwargs)

    return decorated


def _cast(value: Any, device_type: str, dtype: Any) -> Any:
    if isinstance(value, eg.Tensor):
        eligible = value.is_floating_point() and value.dtype != eg.float64
        return value.to(dtype) if eligible and value.device.type == device_type else value
    if isinstance(value, Mapping):
        return {key: _cast(v, device_type, dtype) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, device_type, dtype) for v in value)
    return value
