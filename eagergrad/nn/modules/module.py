"""Module: a tree of layers with parameters, buffers, hooks and a state dict."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import eagergrad as eg
from eagergrad import _C, Tensor
from eagergrad.utils.hooks import RemovableHandle

from ..parameter import Buffer, Parameter, is_lazy
from . import _hooks, _state
from ._hooks import *  # noqa: F403
from ._hooks import WithModule, ever_used, new_args, new_args_kwargs
from ._state import _IncompatibleKeys
from ._where import note_layer

__all__ = ["Module", *_hooks.__all__]

T = TypeVar("T", bound="Module")
Hook = Callable[..., Any]

# Instance attributes that hold hooks; all start as empty ordered dicts.
_HOOK_DICTS = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


class Module:
    """Base class of all layers and models: assign parameters, buffers and submodules as attributes, write `forward`.

    >>> import eagergrad as eg
    >>> class Net(eg.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = eg.nn.Linear(4, 8)
    ...         self.out = eg.nn.Linear(8, 2)
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).tanh())
    >>> net = Net()
    >>> tuple(net(eg.zeros(3, 4)).shape)
    (3, 2)
    >>> [name for name, _ in net.named_parameters()]
    ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    dump_patches: bool = False
    _version: int = 1
    call_super_init: bool = False

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]
    _is_full_backward_hook: bool | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init and (args or kwargs):
            came = f"{len(args)} positional" if args else f"keyword {next(iter(kwargs))!r}"
            raise TypeError(f"{type(self).__name__}.__init__() got an unexpected argument: {came}")
        state = self.__dict__
        state["training"] = True
        state["_parameters"] = {}
        state["_buffers"] = {}
        state["_non_persistent_buffers_set"] = set()
        state["_is_full_backward_hook"] = None
        for name in _HOOK_DICTS:
            state[name] = OrderedDict()
        state["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *input: Any) -> Any:
        """What the module computes; every subclass writes its own. Call the module, not this: hooks run then."""
        raise NotImplementedError(f'[{type(self).__name__}] has no "forward" method of its own')

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _C.module_slots(cls, Module, ever_used)

    # ---- calling -------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if ever_used:  # Note [No cost without hooks]
                return self._call_with_hooks(args, kwargs)
            return self.forward(*args, **kwargs)
        except Exception as e:
            self._left_by(e)
            raise

    def _left_by(self, error: Exception) -> None:
        note_layer(error, self)

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        return self._call_with_hooks(args, kwargs)

    def _call_with_hooks(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        if not (
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or _hooks.forward.functions
            or _hooks.forward_pre.functions
            or _hooks.backward.functions
            or _hooks.backward_pre.functions
            or _hooks.legacy_backward.functions
        ):
            return self.forward(*args, **kwargs)
        called: set[int] = set()
        try:
            return self._hooked_forward(args, kwargs, called)
        except Exception:
            self._run_always_called(args, kwargs, called)
            raise

    def _hooked_forward(self, args: tuple, kwargs: dict[str, Any], called: set[int]) -> Any:
        for hook in _hooks.forward_pre.functions.values():
            args = new_args(hook(self, args), args)
        for key, hook in list(self._forward_pre_hooks.items()):
            if key in self._forward_pre_hooks_with_kwargs:
                args, kwargs = new_args_kwargs(hook(self, args, kwargs), args, kwargs)
            else:
                args = new_args(hook(self, args), args)
        watch = self._backward_watch()
        if watch is not None:
            args = watch.watch_input(args)
        output = self.forward(*args, **kwargs)
        for key, hook, with_kwargs in self._all_forward_hooks():
            called.add(key)
            out = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
            output = output if out is None else out
        return output if watch is None else watch.watch_output(output)

    def _all_forward_hooks(self) -> list[tuple[int, Hook, bool]]:
        everywhere = _hooks.forward
        hooks = [(k, h, k in everywhere.with_kwargs) for k, h in everywhere.functions.items()]
        mine = self._forward_hooks_with_kwargs
        return hooks + [(k, h, k in mine) for k, h in self._forward_hooks.items()]

    def _run_always_called(self, args: tuple, kwargs: dict[str, Any], called: set[int]) -> None:
        """After an error: the hooks registered with `always_call` that have not run yet, output None."""
        for key, hook, with_kwargs in self._all_forward_hooks():
            always = key in self._forward_hooks_always_called
            if key in called or not (always or key in _hooks.forward.always_called):
                continue
            try:
                hook(self, args, kwargs, None) if with_kwargs else hook(self, args, None)
            except Exception as e:
                import warnings

                warnings.warn(
                    f"[module hook] a hook with always_call=True failed: {e}", stacklevel=2
                )

    def _backward_watch(self) -> _hooks.BackwardWatch | None:
        hooks = [
            *_hooks.backward.functions.values(),
            *_hooks.legacy_backward.functions.values(),
            *self._backward_hooks.values(),
        ]
        pre_hooks = [*_hooks.backward_pre.functions.values(), *self._backward_pre_hooks.values()]
        return _hooks.BackwardWatch(self, hooks, pre_hooks) if hooks or pre_hooks else None

    # ---- attributes ----------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        for kind in ("_parameters", "_buffers", "_modules"):
            found = state.get(kind)
            if found is not None and name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if isinstance(value, Parameter):
            self._ready("parameters")
            self._make_room(name, "_parameters")
            self.register_parameter(name, value)
        elif name in state.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign {type(value).__name__!r} as parameter {name!r} "
                    "(nn.Parameter or None expected)"
                )
            self.register_parameter(name, None)
        elif isinstance(value, Module):
            self._ready("module")
            self._make_room(name, "_modules")
            state["_modules"][name] = _hooks.replaced_by(
                _hooks.module_registration, self, name, value
            )
        elif name in state.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign {type(value).__name__!r} as child module {name!r} "
                    "(nn.Module or None expected)"
                )
            state["_modules"][name] = None
        elif isinstance(value, Buffer):
            self._ready("buffers")
            self._make_room(name, "_buffers")
            self.register_buffer(name, value, value.persistent)
        elif name in state.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign {type(value).__name__!r} as buffer {name!r} "
                    "(Tensor or None expected)"
                )
            state["_buffers"][name] = _hooks.replaced_by(
                _hooks.buffer_registration, self, name, value
            )
        else:
            super().__setattr__(name, value)

    def _ready(self, what: str) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(
                f"cannot assign {what} before Module.__init__() call: "
                f"begin {type(self).__name__}.__init__ with super().__init__()"
            )

    def _make_room(self, name: str, kind: str) -> None:
        """Take `name` from all holders but `kind`, where it keeps its place in the order."""
        state = self.__dict__
        state.pop(name, None)
        for other in ("_parameters", "_buffers", "_modules"):
            if other != kind:
                state[other].pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__}
        names.update(self._parameters, self._modules, self._buffers)
        return sorted(n for n in names if not n[0].isdigit())

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in _HOOK_DICTS:
            self.__dict__.setdefault(name, OrderedDict())
        self.__dict__.setdefault("_non_persistent_buffers_set", set())
        self.__dict__.setdefault("_is_full_backward_hook", None)
        if any(self.__dict__[name] for name in _HOOK_DICTS):
            ever_used[:] = [True]

    # ---- registration --------------------------------------------------------------------------------------------

    def _check_name(self, name: Any, kind: str, registered: Mapping[str, Any]) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string, got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name!r}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in registered:
            raise KeyError(f"attribute {name!r} already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name` (None reserves the name); KeyError for a taken or dotted name."""
        self._check_name(name, "parameter", self.__dict__.get("_parameters", {}))
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign {type(param).__name__!r} object to parameter {name!r} "
                    "(nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"cannot assign non-leaf Tensor to parameter {name!r}: model parameters are created, "
                    "not computed. Compute the value in forward()"
                )
        self._parameters[name] = _hooks.replaced_by(
            _hooks.parameter_registration, self, name, param
        )

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but no parameter; persistent ones enter the state dict.

        >>> import eagergrad as eg
        >>> m = eg.nn.Module()
        >>> m.register_buffer("mean", eg.zeros(3))
        >>> list(m.state_dict())
        ['mean']
        """
        self._check_name(name, "buffer", self.__dict__.get("_buffers", {}))
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign {type(tensor).__name__!r} object to buffer {name!r} "
                "(Tensor or None required)"
            )
        self._buffers[name] = _hooks.replaced_by(_hooks.buffer_registration, self, name, tensor)
        (
            self._non_persistent_buffers_set.discard
            if persistent
            else self._non_persistent_buffers_set.add
        )(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module under `name`; it is reachable as an attribute."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._check_name(name, "module", self.__dict__.get("_modules", {}))
        self._modules[name] = _hooks.replaced_by(_hooks.module_registration, self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    # ---- finding by path -----------------------------------------------------------------------------------------

    def get_submodule(self, target: str) -> Module:
        """The descendant at a dotted path; AttributeError that names the missing step.

        >>> import eagergrad as eg
        >>> net = eg.nn.Sequential(eg.nn.Sequential(eg.nn.Tanh()))
        >>> net.get_submodule("0.0")
        Tanh()
        """
        mod = self
        for step in target.split(".") if target else ():
            if not hasattr(mod, step):
                raise AttributeError(f"{type(mod).__name__} has no attribute `{step}`")
            mod = getattr(mod, step)
            if not isinstance(mod, Module):
                raise AttributeError(f"`{step}` is not an nn.Module")
        return mod

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at a dotted path; with `strict` something must already be there."""
        if not target:
            raise ValueError("cannot set the submodule without a target name")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module).__name__}")
        *path, name = target.split(".")
        parent = self.get_submodule(".".join(path))
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{type(parent).__name__} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def _member(self, target: str, what: str) -> Any:
        path, _, name = target.rpartition(".")
        mod = self.get_submodule(path)
        if not hasattr(mod, name):
            raise AttributeError(f"{type(mod).__name__} has no attribute `{name}`")
        value = getattr(mod, name)
        known = isinstance(value, Parameter) if what == "an nn.Parameter" else name in mod._buffers
        if not known:
            raise AttributeError(f"`{name}` is not {what}")
        return value

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path; AttributeError if there is none."""
        return self._member(target, "an nn.Parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path; AttributeError if there is none."""
        return self._member(target, "a buffer")

    # ---- walking -------------------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """All modules of the tree with their paths, this one first; shared ones once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from child.named_modules(memo, path, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """All modules of the tree, this one first; shared ones once."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct children with their names; shared ones once."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct children."""
        for _, module in self.named_children():
            yield module

    def _named_members(
        self,
        get_members_fn: Callable[[Module], Iterable[tuple[str, Any]]],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules: list[tuple[str, Module]] = []
        if recurse:
            _walk(self, prefix, set() if remove_duplicate else None, modules)
        else:
            modules.append((prefix, self))
        for path, module in modules:
            for name, value in get_members_fn(module):
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths; shared ones once unless `remove_duplicate` is False.

        >>> import eagergrad as eg
        >>> [(n, tuple(p.shape)) for n, p in eg.nn.Linear(3, 2).named_parameters()]
        [('weight', (2, 3)), ('bias', (2,))]
        """
        return self._named_members(
            lambda m: m._parameters.items(), prefix, recurse, remove_duplicate
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters: what an optimizer takes."""
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their paths."""
        return self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    # ---- changing everything at once -----------------------------------------------------------------------------

    def apply(self: T, fn: Callable[[Module], Any]) -> T:
        """Call `fn` on every module of the tree, children first, this one last; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def _apply(self: T, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> T:
        """Replace every parameter's data, its gradient and every buffer by `fn` of it; parameters stay."""
        if recurse:
            for child in self.children():
                child._apply(fn)
        with eg.no_grad():
            for param in self._parameters.values():
                if param is None:
                    continue
                grad = param.grad
                param.data = fn(param)
                if grad is not None:
                    new_grad = fn(grad).requires_grad_(grad.requires_grad)
                    param.grad = None
                    param.grad = new_grad
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    self._buffers[name] = fn(buffer)
        return self

    def to(self: T, *args: Any, **kwargs: Any) -> T:
        """Move to a device and/or floating dtype in place: `to(device, dtype)`, `to(dtype)`, `to(tensor)`.

        Integer tensors move but keep their dtype; TypeError for a dtype that is not floating.
        """
        device, dtype, non_blocking = _parse_to(*args, **kwargs)
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(
                f"nn.Module.to only accepts floating point dtypes, but got dtype={dtype}"
            )

        def move(t: Tensor) -> Tensor:
            target = dtype if dtype is not None and t.is_floating_point() else t.dtype
            return t.to(t.device if device is None else device, target, non_blocking)

        return self._apply(move)

    def _cast(self: T, dtype: Any) -> T:
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def float(self: T) -> T:
        """Floating parameters and buffers to float32, in place; returns self."""
        return self._cast(eg.float32)

    def double(self: T) -> T:
        """Floating parameters and buffers to float64, in place; returns self."""
        return self._cast(eg.float64)

    def half(self: T) -> T:
        """Floating parameters and buffers to float16, in place; returns self."""
        return self._cast(eg.float16)

    def bfloat16(self: T) -> T:
        """Floating parameters and buffers to bfloat16, in place; returns self."""
        return self._cast(eg.bfloat16)

    def type(self: T, dst_type: Any) -> T:
        """All parameters and buffers to `dst_type`, in place; returns self."""
        return self._apply(lambda t: t.type(dst_type))

    def cuda(self: T, device: Any = None) -> T:
        """Move to the GPU, in place; returns self."""
        return self._apply(lambda t: t.cuda(device))

    def cpu(self: T) -> T:
        """Move to the CPU, in place; returns self."""
        return self._apply(lambda t: t.cpu())

    def to_empty(self: T, *, device: Any, recurse: bool = True) -> T:
        """Uninitialised memory of the same shapes on `device`; returns self."""
        return self._apply(lambda t: eg.empty_like(t, device=device), recurse=recurse)

    def share_memory(self: T) -> T:
        """Move parameters, gradients and buffers to memory that processes share, in place; returns self."""
        return self._apply(lambda t: t.share_memory_())

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """There to be called: eagergrad runs every module as it is written."""

    def train(self: T, mode: bool = True) -> T:
        """Training (or evaluation) behaviour for the whole tree; returns self. ValueError unless mode is a bool."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self: T) -> T:
        """The same as `train(False)`."""
        return self.train(False)

    def requires_grad_(self: T, requires_grad: bool = True) -> T:
        """Freeze (False) or unfreeze all parameters; returns self."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or fill them with zeros."""
        for p in self.parameters():
            if p.grad is None:
                continue
            if set_to_none:
                p.grad = None
            else:
                if p.grad.grad_fn is not None:
                    p.grad.detach_()
                else:
                    p.grad.requires_grad_(False)
                p.grad.zero_()

    # ---- hooks ---------------------------------------------------------------------------------------------------

    def _add_hook(
        self, where: str, hook: Hook, options: dict[str, bool], prepend: bool
    ) -> RemovableHandle:
        hooks = self.__dict__[where]
        extra = {name: self.__dict__[name] for name, chosen in options.items() if chosen}
        handle = RemovableHandle(hooks, extra_dicts=list(extra.values()))
        hooks[handle.id] = hook
        for chosen in extra.values():
            chosen[handle.id] = True
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        ever_used[:] = [True]
        return handle

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before forward; a result replaces the arguments.

        With `with_kwargs` it is `hook(module, args, kwargs)` and returns None or `(args, kwargs)`.
        """
        options = {"_forward_pre_hooks_with_kwargs": with_kwargs}
        return self._add_hook("_forward_pre_hooks", hook, options, prepend)

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; a result replaces the output.

        With `with_kwargs` it is `hook(module, args, kwargs, output)`; with `always_call` it runs after an error too.

        >>> import eagergrad as eg
        >>> m = eg.nn.Identity()
        >>> handle = m.register_forward_hook(lambda mod, args, out: out + 1)
        >>> m(eg.zeros(2)).tolist()
        [1.0, 1.0]
        >>> handle.remove()
        >>> m(eg.zeros(2)).tolist()
        [0.0, 0.0]
        """
        options = {
            "_forward_hooks_with_kwargs": with_kwargs,
            "_forward_hooks_always_called": always_call,
        }
        return self._add_hook("_forward_hooks", hook, options, prepend)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the gradient passes this module; a result replaces it."""
        return self._add_hook("_backward_pre_hooks", hook, {}, prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when this module's input gradients are known.

        A result replaces grad_input. Entries are None for arguments without a gradient.

        >>> import eagergrad as eg
        >>> m = eg.nn.Tanh()
        >>> _ = m.register_full_backward_hook(lambda mod, gi, go: print(gi[0].tolist(), go[0].tolist()))
        >>> m(eg.zeros(2, requires_grad=True)).sum().backward()
        [1.0, 1.0] [1.0, 1.0]
        """
        self._only_kind_of_backward_hook(full=True)
        return self._add_hook("_backward_hooks", hook, {}, prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """The old name of `register_full_backward_hook`: the gradients are the whole module's."""
        self._only_kind_of_backward_hook(full=False)
        return self._add_hook("_backward_hooks", hook, {}, False)

    def _only_kind_of_backward_hook(self, full: bool) -> None:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "cannot use both regular backward hooks and full backward hooks on a single Module; "
                "use register_full_backward_hook for all"
            )
        self._is_full_backward_hook = full

    def register_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` collects."""
        return self._add_hook("_state_dict_pre_hooks", hook, {}, False)

    def register_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` at the end of `state_dict`; it edits in place."""
        hook._from_public_api = True  # type: ignore[attr-defined]
        return self._add_hook("_state_dict_hooks", hook, {}, False)

    def _register_state_dict_hook(self, hook: Hook) -> RemovableHandle:
        return self._add_hook("_state_dict_hooks", hook, {}, False)

    def register_load_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, metadata, strict, missing, unexpected, errors)` before loading."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Hook, with_module: bool = False
    ) -> RemovableHandle:
        if with_module:
            hook = WithModule(hook, self)
        return self._add_hook("_load_state_dict_pre_hooks", hook, {}, False)

    def register_load_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading; it may edit the lists of keys in place."""
        return self._add_hook("_load_state_dict_post_hooks", hook, {}, False)

    # ---- state ---------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> Any:
        """Write this (and `set_extra_state`) to keep more than tensors in the state dict."""
        raise RuntimeError(f"[{type(self).__name__}] get_extra_state is not defined")

    def set_extra_state(self, state: Any) -> None:
        """Receives what `get_extra_state` gave."""
        raise RuntimeError(f"[{type(self).__name__}] set_extra_state is not defined")

    def _has_extra_state(self) -> bool:
        return (
            type(self).get_extra_state is not Module.get_extra_state
            or type(self).set_extra_state is not Module.set_extra_state
        )

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> Any:
        """All parameters and persistent buffers by path, detached but sharing memory (`keep_vars`: as they are).

        >>> import eagergrad as eg
        >>> list(eg.nn.Sequential(eg.nn.Linear(2, 1)).state_dict())
        ['0.weight', '0.bias']
        """
        given = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
        destination = given.get("destination", destination)
        prefix = given.get("prefix", prefix)
        keep_vars = given.get("keep_vars", keep_vars)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in self._state_dict_hooks.values():
            result = hook(self, destination, prefix, local_metadata)
            if not getattr(hook, "_from_public_api", False):
                destination = destination if result is None else result
            elif result is not None:
                raise RuntimeError("state_dict post-hook must return None")
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, param in self._parameters.items():
            if param is not None:
                destination[prefix + name] = (
                    param if keep_vars or is_lazy(param) else param.detach()
                )
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = (
                    buffer if keep_vars or is_lazy(buffer) else buffer.detach()
                )
        if type(self).get_extra_state is not Module.get_extra_state:
            destination[prefix + "_extra_state"] = self.get_extra_state()

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        _state.load_own(
            self,
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Take over parameters and buffers from `state_dict` (tensors or arrays); returns the keys that did not match.

        RuntimeError lists every missing and unexpected key (unless `strict` is False) and every shape that differs;
        then nothing has been written. With `assign` the given tensors take the places of the old ones.

        >>> import eagergrad as eg
        >>> m = eg.nn.Linear(2, 1)
        >>> m.load_state_dict({"weight": eg.ones(1, 2), "bias": eg.zeros(1)})
        <All keys matched successfully>
        """
        return _state.load(self, state_dict, strict, assign)

    # ---- showing -------------------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands in the parentheses of the printed module; write your own."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [
            f"({name}): " + _addindent(repr(child), 2) for name, child in self._modules.items()
        ]
        if not children and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines + children) + "\n)"

    def _replicate_for_data_parallel(self: T) -> T:
        replica = self.__new__(type(self))
        replica.__dict__ = dict(self.__dict__)
        for kind in ("_parameters", "_buffers", "_modules"):
            replica.__dict__[kind] = dict(self.__dict__[kind])
        return replica


_C.module_slots(Module, Module, ever_used)


def _addindent(text: str, spaces: int) -> str:
    """All lines but the first moved to the right; blank ones become empty."""
    first, *rest = text.split("\n")
    return "\n".join([first, *(" " * spaces + line if line.strip() else "" for line in rest)])


def _walk(
    module: Module, path: str, seen: set[Module] | None, found: list[tuple[str, Module]]
) -> None:
    """Append the tree's modules with their paths: `named_modules` without a generator a level."""
    if seen is not None:
        if module in seen:
            return
        seen.add(module)
    found.append((path, module))
    for name, child in module._modules.items():
        if child is not None:
            _walk(child, f"{path}.{name}" if path else name, seen, found)


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool]:
    """(device, dtype, non_blocking) of the arguments that `to` takes."""
    device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
    non_blocking = kwargs.pop("non_blocking", False)
    kwargs.pop("memory_format", None)  # weights stay as the kernels read them
    other = kwargs.pop("tensor", kwargs.pop("other", None))
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument {next(iter(kwargs))!r}")
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
    if other is not None:
        device, dtype = other.device, other.dtype
    elif rest and isinstance(rest[0], eg.dtype):
        dtype = rest.pop(0)
    elif rest:
        device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], eg.dtype)):
            dtype = rest.pop(0)
    if rest and isinstance(rest[0], bool):
        non_blocking = rest.pop(0)
    if rest and not isinstance(rest[0], bool):  # a last bool is `copy`: modules change in place
        raise TypeError(f"[to] did not understand the argument {rest[0]!r}")
    return (None if device is None else eg.device(device)), dtype, non_blocking
