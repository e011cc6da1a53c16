"""PyTorch's ``__torch_function__`` for subclasses of Tensor: their classes are asked about ops, operators and methods.

The core asks once a subclass exists, and Tensor's methods in Python are made to ask by the first subclass: programs without one
pay nothing.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

from eagergrad import _C
from eagergrad.tensor.foreign import first_answer, leaves

# The operators that PyTorch hands over by the methods' names, not by the ops'; reflected ones, unless operands may swap.
_METHODS = {
    "floor_divide": "__floordiv__",
    "bitwise_and": "__and__",
    "bitwise_or": "__or__",
    "bitwise_xor": "__xor__",
    "bitwise_left_shift": "__lshift__",
    "bitwise_right_shift": "__rshift__",
    "bitwise_not": "__invert__",
    "eq": "__eq__",
}
_REFLECTED = {"div": "__rtruediv__", "remainder": "__rmod__"}
_SWAPPED = {"add", "mul"}

# Asked about an object's outside alone, which classes have in common and Python code of the package leans on.
_UNASKED = set(
    "as_subclass dim_order element_size get_device is_complex is_contiguous is_floating_point is_inference is_signed "
    "register_hook register_post_accumulate_grad_hook sparse_dim dense_dim is_pinned is_shared".split()
)
_METHODS_OF_CORE = ("backward", "detach", "detach_", "item", "requires_grad_", "tolist")
_PROTOCOLS = ("__contains__", "__deepcopy__", "__format__", "__repr__", "__reversed__")
_GETTERS = ("H", "T", "data", "mT", "real")


class DisableTorchFunctionSubclass:
    """A block in which subclasses of Tensor are not asked.

    >>> import eagergrad as eg
    >>> class Mine(eg.Tensor): pass
    >>> x = eg.ones(2).as_subclass(Mine)
    >>> with DisableTorchFunctionSubclass():
    ...     type(x + 1).__name__, type(x).__name__
    ('Tensor', 'Mine')
    """

    def __enter__(self) -> None:
        self.before = _C.set_asking_subclasses(False)

    def __exit__(self, *exception: object) -> None:
        _C.set_asking_subclasses(self.before)


def disabled_torch_function(
    func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
) -> Any:
    """The ``__torch_function__`` of classes that are not asked, such as Parameter."""
    if not _C.asks_subclasses() and func in _running.functions:  # PyTorch asks again
        raise TypeError(
            f"[{getattr(func, '__name__', func)}] a function of PyTorch got a tensor of eagergrad; torch.from_dlpack(x) "
            "makes one of PyTorch's over the same memory"
        )
    _running.functions.append(func)
    try:
        with DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))
    finally:
        _running.functions.pop()


class _Running(threading.local):
    """The functions that this thread runs without asking classes."""

    def __init__(self) -> None:
        self.functions: list[Any] = []


_running = _Running()


def default_torch_function(
    cls: Any, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
) -> Any:
    """Tensor's own: runs the function, and hands its tensors over to the subclass."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    result = disabled_torch_function(func, types, args, kwargs)
    return result if func in nowrap_functions() else _converted(result, cls)


def nowrap_functions() -> set[Any]:
    """The functions whose results stay plain tensors."""
    from eagergrad import Tensor

    return {Tensor._base.__get__, Tensor.grad.__get__, Tensor._grad.__get__}


def _converted(x: Any, cls: type) -> Any:
    kind = type(x)
    if issubclass(kind, _C.TensorBase):
        if issubclass(kind, cls) or not _plain(kind):
            return x
        return _C.as_class(x, cls)
    if issubclass(kind, (list, tuple)):
        items = [_converted(i, cls) for i in x]
        return kind(*items) if hasattr(kind, "_fields") else kind(items)
    return x


def _plain(kind: type) -> bool:
    """Whether tensors of a class have memory that another class can view: not the row-sparse ones."""
    return kind.__dict__.get("__torch_function__") is not disabled_torch_function or issubclass(
        kind, _parameter()
    )


@functools.cache
def _parameter() -> Any:
    from eagergrad.nn.parameter import Buffer, Parameter

    return Parameter, Buffer


class _Modes(threading.local):
    """The modes that take this thread's calls over, the innermost last."""

    def __init__(self) -> None:
        self.stack: list[Any] = []

    def set(self, stack: list[Any]) -> None:
        self.stack = stack
        _C.set_modes(len(stack))


_modes = _Modes()


class TorchFunctionMode:
    """A block in which every call of an op, an operator or one of Tensor's methods goes through `__torch_function__`.

    A subclass defines ``__torch_function__(self, func, types, args=(), kwargs=None)``: its result is the call's.
    While it runs, this mode is off and those around it are on. Ops count, also those that functions written in Python, such as layers', call.

    >>> import eagergrad as eg
    >>> class Log(TorchFunctionMode):
    ...     def __torch_function__(self, func, types, args=(), kwargs=None):
    ...         print(func.__name__)
    ...         return func(*args, **(kwargs or {}))
    >>> with Log():
    ...     x = eg.ones(2) * 3
    ones
    mul
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __torch_function__")

    def __enter__(self) -> Any:
        expect_subclasses()
        _modes.set([*_modes.stack, self])
        return self

    def __exit__(self, *exception: object) -> None:
        _modes.set(_modes.stack[:-1])

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> Any:
        """An instance: PyTorch's old name of the constructor."""
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that leaves calls as they are."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


def _ask_mode(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    stack = _modes.stack
    _modes.set(stack[:-1])
    try:
        kinds = {type(x): None for x in leaves(args, kwargs) if _C.takes_over(x)}
        result = stack[-1].__torch_function__(func, tuple(kinds), args, kwargs)
    finally:
        _modes.set(stack)
    if result is NotImplemented:
        name = getattr(func, "__name__", func)
        raise TypeError(
            f"no implementation found for '{name}': the mode {type(stack[-1]).__name__} returned NotImplemented"
        )
    return result


def ask(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the innermost mode, else the classes of the arguments make of a call, subclasses before the classes they extend.

    Raises:
        TypeError: none of them knows the function.
    """
    if _modes.stack:
        return _ask_mode(func, args, kwargs)
    result, types = first_answer(func, args, kwargs)
    if result is NotImplemented:
        name = getattr(func, "__name__", func)
        raise TypeError(
            f"no implementation found for '{name}' on types that implement __torch_function__: "
            f"{[t.__name__ for t in types]}"
        )
    return result


def ask_operator(name: str, *operands: Any) -> Any:
    """`ask` for an operator of the core, by the name of its op; a number on the left makes it the reflected one."""
    from eagergrad import Tensor

    method = _METHODS.get(name, name)
    if not isinstance(operands[0], _C.TensorBase):
        operands = operands[::-1]
        method = name if name in _SWAPPED else _REFLECTED.get(name, f"__r{method.strip('_')}__")
    func = getattr(Tensor, method) if method.startswith("__") else _C.op_table[method]
    return ask(func, operands, {})


def _asking(func: Any) -> Any:
    @functools.wraps(func)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _C.handed_over(self):
            return ask(func, (self, *args), kwargs)
        return func(self, *args, **kwargs)

    return method


def _asking_property(descriptor: Any) -> property:
    get = descriptor.__get__

    def read(self: Any) -> Any:
        return ask(get, (self,), {}) if _C.handed_over(self) else get(self)

    return property(read, descriptor.__set__, doc=descriptor.__doc__)


@functools.cache
def expect_subclasses() -> None:
    """Makes the core and Tensor's methods ask from now on: the first subclass calls it."""
    from eagergrad import Tensor

    _C.expect_subclasses()
    own = vars(Tensor)
    names = [n for n, f in own.items() if callable(f) and not isinstance(f, (_C.Op, type))]
    public = [n for n in names if not n.startswith("_") and n not in _UNASKED]
    for name in {*public, *_METHODS_OF_CORE, *_PROTOCOLS}:
        setattr(Tensor, name, _asking(getattr(Tensor, name)))
    for name in _GETTERS:
        setattr(Tensor, name, _asking_property(getattr(Tensor, name)))


_C.DisableTorchFunctionSubclass = _C.DisableTorchFunction = DisableTorchFunctionSubclass  # type: ignore[attr-defined]
_C._disabled_torch_function_impl = disabled_torch_function  # type: ignore[attr-defined]
