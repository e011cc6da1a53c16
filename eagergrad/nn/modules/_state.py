"""Loading a state dict: everything is checked before anything is written."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import eagergrad as eg
from eagergrad import Tensor

from ..parameter import Parameter, is_lazy


class _IncompatibleKeys(NamedTuple):
    """What `load_state_dict` returns: keys the module has and the dict lacks, and the reverse."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )

    def __str__(self) -> str:
        return repr(self)


class Loading:
    """The writes of the load that is under way: collected while modules are walked, made when all is well."""

    current: Loading | None = None

    def __init__(self) -> None:
        self.writes: list[Callable[[], None]] = []

    def __enter__(self) -> Loading:
        self.outer, Loading.current = Loading.current, self
        return self

    def __exit__(self, *exc: object) -> None:
        Loading.current = self.outer

    def commit(self) -> None:
        with eg.no_grad():
            for write in self.writes:
                write()
        self.writes.clear()

    @staticmethod
    def later(write: Callable[[], None]) -> None:
        """Run `write` when the current load commits, or now when `_load_from_state_dict` is called by itself."""
        if Loading.current is None:
            write()
        else:
            Loading.current.writes.append(write)


def load_own(
    module: Any,
    state: Mapping[str, Any],
    prefix: str,
    metadata: dict[str, Any],
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """What `Module._load_from_state_dict` does: this module's own parameters and persistent buffers."""
    for hook in module._load_state_dict_pre_hooks.values():
        hook(state, prefix, metadata, strict, missing, unexpected, errors)
    assign = metadata.get("assign_to_params_buffers", False)
    buffers = {
        name: b
        for name, b in module._buffers.items()
        if name not in module._non_persistent_buffers_set
    }
    own = {k: v for k, v in (*module._parameters.items(), *buffers.items()) if v is not None}
    for name, target in own.items():
        key = prefix + name
        if key in state:
            _load_one(module, name, target, key, state[key], assign, errors)
        elif strict:
            missing.append(key)
    _load_extra(module, state, prefix, strict, missing, unexpected)
    if strict:
        unexpected.extend(_unexpected(module, state, prefix, own))


def _load_one(
    module: Any, name: str, target: Tensor, key: str, value: Any, assign: bool, errors: list[str]
) -> None:
    try:
        value = _as_tensor(value)
    except (TypeError, ValueError) as e:
        errors.append(f"{key}: expected a tensor or an array, came {type(value).__name__} ({e}).")
        return
    lazy = is_lazy(target)
    if is_lazy(value) and not lazy:
        errors.append(
            f"{key}: the checkpoint holds a tensor that has no shape yet. Run a dummy batch through the lazy module "
            "before its state is saved."
        )
        return
    if not lazy and target.dim() == 0 and value.dim() == 1 and value.numel() == 1:
        value = value[0]  # scalars were saved as vectors of one element by old programs
    if not lazy and tuple(value.shape) != tuple(target.shape):
        errors.append(
            f"size mismatch for {key}: the checkpoint holds shape {tuple(value.shape)}, "
            f"the model has shape {tuple(target.shape)}."
        )
        return
    if assign:
        Loading.later(lambda: _assign(module, name, target, value))
    elif lazy and not is_lazy(value):
        Loading.later(lambda: _materialize_and_copy(target, value))
    elif not lazy:
        Loading.later(lambda: _copy(target, value))


def _copy(target: Tensor, value: Tensor) -> None:
    target.copy_(value)


def _materialize_and_copy(target: Any, value: Tensor) -> None:
    target.materialize(tuple(value.shape))
    target.copy_(value)


def _assign(module: Any, name: str, target: Tensor, value: Tensor) -> None:
    if isinstance(target, Parameter):
        if not isinstance(value, Parameter):
            value = Parameter(value, requires_grad=target.requires_grad)
        else:
            value.requires_grad_(target.requires_grad)
    setattr(module, name, value)


def _as_tensor(value: Any) -> Tensor:
    """A tensor, or whatever gives a NumPy array: arrays and other libraries' tensors."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__array__"):
        raise TypeError("not array-like")
    import numpy as np

    return eg.as_tensor(np.asarray(value))


def _load_extra(
    module: Any,
    state: Mapping[str, Any],
    prefix: str,
    strict: bool,
    missing: list[str],
    unexpected: list[str],
) -> None:
    key = prefix + "_extra_state"
    if module._has_extra_state():
        if key in state:
            Loading.later(lambda: module.set_extra_state(state[key]))
        elif strict:
            missing.append(key)
    elif strict and key in state:
        unexpected.append(key)


def _unexpected(
    module: Any, state: Mapping[str, Any], prefix: str, own: dict[str, Any]
) -> list[str]:
    found = []
    for key in state:
        if not key.startswith(prefix) or key == prefix + "_extra_state":
            continue
        name, *rest = key[len(prefix) :].split(".", 1)
        if rest:
            if name not in module._modules:
                found.append(key)
        elif name not in own:
            found.append(key)
    return found


def load(
    module: Any, state_dict: Mapping[str, Any], strict: bool, assign: bool
) -> _IncompatibleKeys:
    """What `Module.load_state_dict` does: walk, check, write, run the post-hooks, report."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"[load_state_dict] expected a dict, came {type(state_dict).__name__}")
    result = _IncompatibleKeys([], [])
    errors: list[str] = []
    metadata = getattr(state_dict, "_metadata", None)
    state: OrderedDict[str, Any] = OrderedDict(state_dict)
    if metadata is not None:
        state._metadata = metadata  # type: ignore[attr-defined]
    post_hooks: list[tuple[Any, Any]] = []

    with Loading() as loading:
        _walk(module, state, "", metadata, assign, result, errors, post_hooks)
        # A post-hook may forgive missing keys, and may look at the loaded values: only then the verdict waits.
        if errors or not post_hooks:
            _raise_if_wrong(module, result, errors, strict, "Nothing was loaded.")
        loading.commit()
    for hook, mod in post_hooks:
        if hook(mod, result) is not None:
            raise RuntimeError(
                "[load_state_dict] a post-hook must return None: change the keys in place instead"
            )
    _raise_if_wrong(module, result, errors, strict)
    return result


def _walk(
    module: Any,
    state: Mapping[str, Any],
    prefix: str,
    metadata: Mapping[str, Any] | None,
    assign: bool,
    result: _IncompatibleKeys,
    errors: list[str],
    post_hooks: list[tuple[Any, Any]],
) -> None:
    """Each module's own part, parents first; gathers the post-hooks, children first."""
    meta = {} if metadata is None else dict(metadata.get(prefix[:-1], {}))
    if assign:
        meta["assign_to_params_buffers"] = True
    module._load_from_state_dict(
        state, prefix, meta, True, result.missing_keys, result.unexpected_keys, errors
    )
    for name, child in module._modules.items():
        if child is not None:
            inner = prefix + name + "."
            local = {k: v for k, v in state.items() if k.startswith(inner)}
            _walk(child, local, inner, metadata, assign, result, errors, post_hooks)
    post_hooks.extend((hook, module) for hook in module._load_state_dict_post_hooks.values())


def _raise_if_wrong(
    module: Any, keys: _IncompatibleKeys, errors: list[str], strict: bool, note: str = ""
) -> None:
    lines = list(errors)
    if strict and keys.unexpected_keys:
        lines.insert(0, f"Unexpected key(s) in state_dict: {_quoted(keys.unexpected_keys)}.")
    if strict and keys.missing_keys:
        lines.insert(0, f"Missing key(s) in state_dict: {_quoted(keys.missing_keys)}.")
    if lines:
        hint = _prefix_hint(keys) if strict else ""
        lines += [line for line in (hint, note) if line]
        raise RuntimeError(
            f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(lines)
        )


def _prefix_hint(keys: _IncompatibleKeys) -> str:
    """What to do where the names differ by the same words in front alone, as those of a wrapped model do."""
    if words := _words_between(keys.unexpected_keys, keys.missing_keys):
        return f'Hint: take "{words}" off the names in the state dict.'
    if words := _words_between(keys.missing_keys, keys.unexpected_keys):
        return f'Hint: put "{words}" before the names in the state dict.'
    return ""


def _words_between(longer: list[str], shorter: list[str]) -> str:
    """What stands before each of the shorter names in the longer ones; empty if they are not the same otherwise."""
    if not longer or len(longer) != len(shorter):
        return ""
    words = min(longer).removesuffix(min(shorter))
    same = {words + name for name in shorter} == set(longer)
    return words if same and words.endswith(".") else ""


def _quoted(keys: list[str]) -> str:
    return ", ".join(f'"{k}"' for k in keys)
