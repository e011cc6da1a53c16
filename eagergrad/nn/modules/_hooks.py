"""Hooks that run around a module's forward and backward pass, for one module or for all of them."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.utils.hooks import RemovableHandle

__all__ = [
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

Hook = Callable[..., Any]


# Note [No cost without hooks]: `Module.__call__` tests this one list instead of eight dictionaries. The first
# registration of a forward or backward hook in the process fills it, and it never empties.
ever_used: list[bool] = []


class Hooks:
    """Hooks of one kind: the functions by id, and the ids that carry an option (`kwargs`, `always`)."""

    def __init__(self) -> None:
        self.functions: OrderedDict[int, Hook] = OrderedDict()
        self.with_kwargs: OrderedDict[int, bool] = OrderedDict()
        self.always_called: OrderedDict[int, bool] = OrderedDict()

    def add(self, hook: Hook, with_kwargs: bool = False, always: bool = False) -> RemovableHandle:
        ever_used[:] = [True]
        handle = RemovableHandle(self.functions, extra_dicts=[self.with_kwargs, self.always_called])
        self.functions[handle.id] = hook
        if with_kwargs:
            self.with_kwargs[handle.id] = True
        if always:
            self.always_called[handle.id] = True
        return handle


forward_pre = Hooks()
forward = Hooks()
backward_pre = Hooks()
backward = Hooks()
legacy_backward = Hooks()
parameter_registration = Hooks()
buffer_registration = Hooks()
module_registration = Hooks()


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, args)` before every module's forward; a result that is not None replaces the arguments."""
    return forward_pre.add(hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after every module's forward; a result that is not None replaces the output.

    >>> import eagergrad as eg
    >>> from eagergrad.nn.modules.module import register_module_forward_hook
    >>> with register_module_forward_hook(lambda m, args, out: print(type(m).__name__)):
    ...     _ = eg.nn.Tanh()(eg.zeros(2))
    Tanh
    """
    return forward.add(hook, with_kwargs, always_call)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_output)` before the gradient passes any module; a result replaces grad_output."""
    return backward_pre.add(hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` when any module's input gradients are known."""
    return backward.add(hook)


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """The old name; the hook sees the gradients of the whole module, as `register_module_full_backward_hook`."""
    return legacy_backward.add(hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, parameter)` at every `register_parameter`; a result replaces the parameter."""
    return parameter_registration.add(hook)


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, buffer)` at every `register_buffer`; a result replaces the buffer."""
    return buffer_registration.add(hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, submodule)` at every registration of a child; a result replaces the child."""
    return module_registration.add(hook)


def replaced_by(hooks: Hooks, module: Any, name: str, value: Any) -> Any:
    """`value` after the registration hooks had their say."""
    for hook in hooks.functions.values():
        out = hook(module, name, value)
        if out is not None:
            value = out
    return value


class _OnBackward(eg.autograd.Function):
    """The identity, whose backward hands the gradients to a callback and passes on what that returns.

    A tensor that backward does not reach has zeros where `zeros` is set, else None.
    """

    @staticmethod
    def forward(ctx: Any, callback: Callable[[tuple], tuple], zeros: bool, *tensors: Tensor) -> Any:
        ctx.callback = callback
        ctx.set_materialize_grads(zeros)
        return tuple(t.view_as(t) for t in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, None, *ctx.callback(grads))


def _pass_through(
    callback: Callable[[tuple], tuple], values: tuple, zeros: bool = False
) -> tuple[tuple, bool]:
    """`values` with its recorded tensors led through `_OnBackward`, and whether there were any."""
    if not eg.is_grad_enabled():
        return values, False
    at = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
    if not at:
        return values, False

    def spread(grads: tuple) -> tuple:
        full: list[Any] = [None] * len(values)
        for i, g in zip(at, grads, strict=True):
            full[i] = g
        out = callback(tuple(full))
        return tuple(out[i] for i in at)

    watched = _OnBackward.apply(spread, zeros, *(values[i] for i in at))
    if isinstance(watched, Tensor):
        watched = (watched,)
    led = list(values)
    for i, t in zip(at, watched, strict=True):
        led[i] = t
    return tuple(led), True


class BackwardWatch:
    """One call of a module seen from the backward pass: gathers grad_output, then grad_input, and runs the hooks."""

    def __init__(self, module: Any, hooks: list[Hook], pre_hooks: list[Hook]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_output: tuple | None = None
        self.inputs = 0
        self.watches_input = False

    def watch_input(self, args: tuple) -> tuple:
        self.inputs = len(args)
        args, self.watches_input = _pass_through(self._input_grads, args, zeros=True)
        return args

    def watch_output(self, output: Any) -> Any:
        if not isinstance(output, (Tensor, tuple, list)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
                f"but received {type(output)}",
                stacklevel=4,
            )
        values = output if isinstance(output, (tuple, list)) else (output,)
        led, _ = _pass_through(self._output_grads, tuple(values))
        if isinstance(output, tuple):
            kind = type(output)
            return kind(*led) if hasattr(kind, "_fields") else kind(led)
        return list(led) if isinstance(output, list) else led[0]

    def _output_grads(self, grads: tuple) -> tuple:
        for hook in self.pre_hooks:
            grads = _checked(hook(self.module, grads), grads, "grad_output")
        self.grad_output = grads
        if not self.watches_input:  # nothing behind this module: the hooks run here or never
            self._run((None,) * self.inputs)
        return grads

    def _input_grads(self, grads: tuple) -> tuple:
        if self.grad_output is None:  # it came around the output: a dict, a second derivative
            return grads
        return self._run(grads)

    def _run(self, grads: tuple) -> tuple:
        grad_output, self.grad_output = self.grad_output, None
        for hook in self.hooks:
            grads = _checked(hook(self.module, grads, grad_output), grads, "grad_input")
        return grads


def _checked(result: Any, grads: tuple, what: str) -> tuple:
    if result is None:
        return grads
    if not isinstance(result, tuple):
        result = (result,)
    if len(result) != len(grads):
        raise RuntimeError(
            f"[module backward hook] expected {len(grads)} gradients for {what}, came {len(result)}"
        )
    return result


class WithModule:
    """A load pre-hook that gets its module as first argument; picklable, unlike a closure."""

    def __init__(self, hook: Hook, module: Any) -> None:
        self.hook = hook
        self.module = module

    def __call__(self, *args: Any) -> Any:
        return self.hook(self.module, *args)


def new_args(result: Any, args: tuple) -> tuple:
    if result is None:
        return args
    return result if isinstance(result, tuple) else (result,)


def new_args_kwargs(result: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
    if result is None:
        return args, kwargs
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(
            f"[forward pre-hook] must return None or a tuple of (new_args, new_kwargs), but got {result}."
        )
    return result
