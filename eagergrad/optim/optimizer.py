"""What every optimizer shares: parameter groups, per-parameter state, hooks, state dicts."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, ClassVar, TypeAlias

import numpy as np

import eagergrad as eg
from eagergrad import _C
from eagergrad._C import after_step
from eagergrad.autograd.growth import warn_of_growth
from eagergrad.utils.hooks import RemovableHandle

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
]

Group: TypeAlias = dict[str, Any]
StateDict: TypeAlias = dict[str, Any]
Closure: TypeAlias = Callable[[], Any]
# Tensors, (name, tensor) pairs, or dicts that describe groups of either.
ParamsT: TypeAlias = Iterable[Any]
Hooks: TypeAlias = "OrderedDict[int, Callable[..., Any]]"

_global_pre_hooks: Hooks = OrderedDict()
_global_post_hooks: Hooks = OrderedDict()


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
"""Default of an option that every parameter group must give."""


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before every step of every optimizer."""
    return _register(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after every step of every optimizer."""
    return _register(_global_post_hooks, hook)


def _register(hooks: Hooks, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(step)
    def hooked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        pre, post = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
        if not (pre or post or _global_pre_hooks or _global_post_hooks):
            result = step(self, *args, **kwargs)
            if after_step():
                warn_of_growth()
            return result
        # Hooks see what torch shows them: the arguments with the optimizer itself in front.
        call: tuple[Any, ...] = (self, *args)
        for hook in (*_global_pre_hooks.values(), *pre.values()):
            replaced = hook(self, call, kwargs)
            if replaced is not None:
                if not (isinstance(replaced, tuple) and len(replaced) == 2):
                    raise RuntimeError(
                        f"[{type(self).__name__}.step] a pre-hook must return None or a tuple of "
                        f"(new_args, new_kwargs), but got {replaced!r}"
                    )
                call, kwargs = replaced
        result = step(*call, **kwargs)
        for hook in (*post.values(), *_global_post_hooks.values()):
            hook(self, call, kwargs)
        if after_step():
            warn_of_growth()
        return result

    hooked.hooked = True  # type: ignore[attr-defined]
    return hooked


def _option_lines(group: Group) -> list[str]:
    return [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]


def _typename(x: object) -> str:
    kind = type(x)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


_SCALARS = {"step", "mu_product", "eta", "mu"}  # states of one number, that steps depend on


def _scalar_dtype() -> Any:
    return eg.float64 if eg.get_default_dtype() == eg.float64 else eg.float32


def _scalar(value: float = 0.0) -> Any:
    return eg.tensor(float(value), dtype=_scalar_dtype(), device="cpu")  # the host counts steps


def _evaluate(closure: Closure | None) -> Any:
    if closure is None:
        return None
    with eg.enable_grad():
        return closure()


def _check(valid: bool, what: str, value: object) -> None:
    if not valid:
        raise ValueError(f"Invalid {what}: {value}")


def _check_lr(lr: Any, foreach: bool | None = None, capturable: bool = True) -> None:
    """Raise ValueError unless `lr` is a non-negative number or a tensor of one element."""
    if isinstance(lr, eg.Tensor):
        if foreach and not capturable:
            raise ValueError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        if lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
    _check(bool(lr >= 0.0), "learning rate", lr)


def _check_betas(betas: Any) -> None:
    for k, beta in enumerate(betas[:2]):
        _check(bool(0.0 <= beta < 1.0), f"beta parameter at index {k}", beta)


def _check_fused(fused: bool | None, differentiable: bool, foreach: bool | None) -> None:
    """`fused` and `foreach` choose among torch's implementations; here every step is the fused one."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


class Optimizer:
    """Base of all optimizers: holds `param_groups`, `state` and `defaults`; subclasses write
    `step`.

    `params` is an iterable of leaf tensors, of (name, tensor) pairs, or of dicts with an entry
    "params" and options of that group. TypeError for a lone tensor or for things that are no
    tensors, ValueError for an empty list, for non-leaf tensors and for a tensor that is in two
    groups.

    >>> import eagergrad as eg
    >>> class Descent(eg.optim.Optimizer):
    ...     def __init__(self, params, lr):
    ...         super().__init__(params, {"lr": lr})
    ...     @eg.no_grad()
    ...     def step(self):
    ...         for group in self.param_groups:
    ...             for p in group["params"]:
    ...                 p -= group["lr"] * p.grad
    >>> x = eg.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> Descent([x], lr=0.25).step()
    >>> x.tolist()
    [0.5, 1.0]
    """

    _optimizer_step_pre_hooks: Hooks
    _optimizer_step_post_hooks: Hooks
    _optimizer_state_dict_pre_hooks: Hooks
    _optimizer_state_dict_post_hooks: Hooks
    _optimizer_load_state_dict_pre_hooks: Hooks
    _optimizer_load_state_dict_post_hooks: Hooks

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._patch_step_function()
        if isinstance(params, eg.Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {_typename(params)}; a single tensor goes in a list"
            )
        of_module = callable(getattr(params, "parameters", None))
        if of_module and not isinstance(params, eg.nn.ParameterList):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got the module {_typename(params)}; pass its .parameters()"
            )
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[Group] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _patch_step_function(self) -> None:
        # Unpickled optimizers come without them. Wrappers elsewhere, which do not call __init__, know this by PyTorch's name.
        for name in Optimizer.__annotations__:
            if name not in self.__dict__:
                setattr(self, name, OrderedDict())
        kind = type(self)
        if not getattr(kind.step, "hooked", False):
            kind.step = _with_hooks(kind.step)  # type: ignore[method-assign]

    # ---- copies ---------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._patch_step_function()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        blocks = [
            "\n".join([f"Parameter Group {index}", *_option_lines(group)])
            for index, group in enumerate(self.param_groups)
        ]
        return f"{type(self).__name__} (\n" + "\n\n".join(blocks) + "\n)"

    # ---- hooks ----------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return new (args, kwargs)."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return _register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict`."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on a fresh state dict; it may return another one."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; it may return another one."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after `load_state_dict`."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # ---- state dict -----------------------------------------------------------------------------

    def state_dict(self) -> StateDict:
        """Return {"state": {index: {name: value}}, "param_groups": [...]}, parameters replaced by
        their index.

        Tensors are the optimizer's own, not copies.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        index: dict[int, int] = {}
        start = 0
        groups = []
        for group in self.param_groups:
            for position, p in enumerate(group["params"], start):
                index.setdefault(id(p), position)
            start += len(group["params"])
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [index[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {
            (index[id(key)] if isinstance(key, eg.Tensor) else key): value
            for key, value in self.state.items()
        }
        result: StateDict = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replaced = hook(self, result)
            if replaced is not None:
                result = replaced
        return result

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Take over what `state_dict` (or torch's, its tensors possibly as NumPy arrays) returned.

        Values are copied, and cast to the dtype and device of their parameter. ValueError where the
        groups do not have the same sizes; then nothing has changed.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            if replaced is not None:
                state_dict = replaced
        groups, saved = self.param_groups, deepcopy(state_dict["param_groups"])
        _check_groups_match(groups, saved)
        by_index: dict[Any, tuple[Any, Group]] = {}
        for group, saved_group in zip(groups, saved, strict=True):
            for p, position in zip(group["params"], saved_group["params"], strict=True):
                by_index[position] = (p, saved_group)
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in by_index:
                p, saved_group = by_index[key]
                state[p] = _adopt(p, saved_group, value)
            else:
                state[key] = value
        for group, saved_group in zip(groups, saved, strict=True):
            saved_group["params"] = group["params"]
            if "param_names" in group:
                saved_group.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # ---- gradients ------------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with `set_to_none=False` fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif (grad := p.grad) is not None:
                    if grad.grad_fn is not None:
                        grad.detach_()
                    grad.requires_grad_(False)
                    grad.zero_()

    def step(self, closure: Closure | None = None) -> Any:
        """Update all parameters from their gradients; `closure` evaluates the loss again and
        returns it.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not define step(); a subclass of Optimizer must"
        )

    def add_param_group(self, param_group: Group) -> None:
        """Add a group: a dict with "params" and the options that differ from the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        _collect_params(param_group)
        params = param_group["params"]
        for p in params:
            if not isinstance(p, eg.Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {_typename(p)}"
                )
            if not self.defaults.get("differentiable") and not (p.is_leaf or p.retains_grad):
                made = f", made at {p.grad_fn.site}" if p.grad_fn is not None else ""
                raise ValueError(
                    f"can't optimize a non-leaf Tensor: one of shape {list(p.shape)} is the result of operations{made}"
                )
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)
        ids = {id(p) for p in params}
        if len(ids) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; each occurrence "
                "is updated in turn, and a later version will make this an error",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                kind = "with" if "param_names" in param_group else "without"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {kind} names to the optimizer"
                )
            if any(id(p) in ids for p in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)


class FusedOptimizer(Optimizer):
    """An optimizer whose step is one call a group into the core, where its arithmetic is written.

    A group with the option `lazy` leaves rows alone that a row-sparse gradient does not have; see docs/optim.md.
    """

    rule: ClassVar[str]
    # Options that state dicts of older versions lack.
    late_options: ClassVar[Mapping[str, Any]] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(self, params: ParamsT, defaults: dict[str, Any], lazy: bool = False) -> None:
        if lazy:  # absent otherwise: state dicts stay those of PyTorch
            defaults["lazy"] = True
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self.late_options.items():
                group.setdefault(name, value)
            if self.defaults.get("lazy"):
                group.setdefault("lazy", True)
            for p in group["params"]:
                _scalars_to_tensors(self.state.get(p))

    def step(self, closure: Closure | None = None) -> Any:
        """Update all parameters that have a gradient; return what `closure`, if given, returned."""
        loss = None if closure is None else _evaluate(closure)
        for group in self.param_groups:
            _C.optimizer_step(self.rule, group, self.state, self._fill_state)
        return loss

    def catch_up(self) -> None:
        """Apply the decay that rows of lazy groups still owe, as before an evaluation or a save."""
        for group in self.param_groups:
            _C.optimizer_step(self.rule, group, self.state, None)

    def _fill_state(self, p: Any, group: Group, state: dict[str, Any], lags: bool) -> None:
        self.init_state(p, group, state)
        if (
            group.get("capturable") and not p.is_cpu
        ):  # the device counts: a captured graph goes on with it
            for name in _SCALARS & state.keys():
                state[name] = state[name].to(p.device)
        if lags and "row_step" not in state:
            if "step" not in state:
                state["step"] = _scalar()
            done = int(state["step"])
            state["row_step"] = eg.full((p.shape[0],), done, dtype=eg.int64, device=p.device)

    def init_state(self, p: Any, group: Group, state: dict[str, Any]) -> None:
        """Put what is missing into the state of parameter `p`; called when its first gradient
        arrives.
        """
        raise NotImplementedError


def _fill_missing(state: dict[str, Any], p: Any, *names: str, step: bool = True) -> None:
    if step and "step" not in state:
        state["step"] = _scalar()
    for name in names:
        if state.get(name) is None:
            state[name] = eg.zeros_like(p)


def _scalars_to_tensors(state: dict[str, Any] | None) -> None:
    for name in _SCALARS:
        if state and name in state and not isinstance(state[name], eg.Tensor):
            state[name] = _scalar(state[name])


def _collect_params(group: Group) -> None:
    params = group["params"]
    if isinstance(params, eg.Tensor):
        params = [params]
    elif isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the order of "
            "tensors in sets changes between runs; use a list instead"
        )
    params = list(params)
    names = [p[0] for p in params if isinstance(p, tuple)]
    if names and len(names) != len(params):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    group["params"] = [p[1] for p in params] if names else params
    if names:
        group["param_names"] = names


def _check_groups_match(groups: list[Group], saved: list[Group]) -> None:
    if len(groups) != len(saved):
        raise ValueError(
            "loaded state dict has a different number of parameter groups: "
            f"{len(saved)}, but the optimizer has {len(groups)}"
        )
    for index, (group, saved_group) in enumerate(zip(groups, saved, strict=True)):
        if len(group["params"]) != len(saved_group["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                f"optimizer's group: group {index} has {len(saved_group['params'])} parameters "
                f"there and {len(group['params'])} here"
            )


def _adopt(p: Any, group: Group, value: Any, key: object = None) -> Any:
    """Copy a value of a state dict, its tensors in the dtype and on the device of their parameter."""
    if isinstance(value, (np.ndarray, np.generic)) or (
        hasattr(value, "__dlpack__") and not isinstance(value, eg.Tensor)
    ):
        value = eg.tensor(np.asarray(value))
    if isinstance(value, eg.Tensor):
        if key == "row_step":
            return value.to(dtype=eg.int64, copy=True)
        if key in _SCALARS:
            on_device = group.get("capturable") or group.get("fused")
            where = p.device if on_device else "cpu"
            return value.to(device=where, dtype=eg.float32 if on_device else None, copy=True)
        if p.is_floating_point():
            return value.to(device=p.device, dtype=p.dtype, copy=True)
        return value.to(device=p.device, copy=True)
    if isinstance(value, dict):
        return {k: _adopt(p, group, v, k) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return type(value)(_adopt(p, group, v) for v in value)  # type: ignore[call-arg]
    return value
