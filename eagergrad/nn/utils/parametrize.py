"""Parameters computed from others: `register_parametrization` puts a module between the two.

A parametrized module gets a class of its own, whose property computes the parameter from
`module.parametrizations.<name>` each time it is read.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import eagergrad as eg
from eagergrad import Tensor

from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

M = TypeVar("M", bound=Module)

_cache_depth = 0
_cache: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Within this block every parametrized parameter is computed once and kept.

    >>> import eagergrad as eg
    >>> with cached():
    ...     pass
    """
    global _cache_depth
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if _cache_depth == 0:
            _cache.clear()


def _hold(module: Module, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, first to last, and the original it is computed from.

    `original` (or `original0`, `original1`, ... when `right_inverse` gives several) is a parameter or buffer.
    ValueError where shapes, dtypes or classes change without `unsafe`.
    """

    original: Tensor
    unsafe: bool

    def __init__(
        self, modules: Sequence[Module], original: Tensor | Parameter, unsafe: bool = False
    ) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = tuple(original.shape), original.dtype
        with eg.no_grad():
            new: Any = original
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        new = module.right_inverse(new)
                    except NotImplementedError:
                        pass
        if not isinstance(new, Tensor) and not isinstance(new, Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors, "
                f"got {type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if isinstance(new, Tensor):
            if original.dtype != new.dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype: "
                    f"{original.dtype} became {new.dtype}"
                )
            with eg.no_grad():
                original.data = new.data
            _hold(self, "original", original)
        else:
            for i, part in enumerate(new):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors, "
                        f"got element {i} of type {type(part).__name__}"
                    )
                if isinstance(original, Parameter):
                    part = Parameter(part, original.requires_grad and part.is_floating_point())
                _hold(self, f"original{i}", part)
        if not self.unsafe:
            self._check(self(), shape, dtype)

    @staticmethod
    def _check(result: Any, shape: tuple[int, ...], dtype: Any) -> None:
        if not isinstance(result, Tensor):
            raise ValueError(
                f"A parametrization must return a tensor. Got {type(result).__name__}."
            )
        if result.dtype != dtype:
            raise ValueError(
                "Registering a parametrization may not change the dtype of the tensor, unless `unsafe` "
                f"is enabled: {dtype} became {result.dtype}"
            )
        if tuple(result.shape) != shape:
            raise ValueError(
                "Registering a parametrization may not change the shape of the tensor, unless `unsafe` "
                f"is enabled: {shape} became {tuple(result.shape)}"
            )

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parametrized tensor becomes `value`; RuntimeError where there is no inverse."""
        with eg.no_grad():
            new: Any = value
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                new = module.right_inverse(new)
            parts = [new] if self.is_tensor else list(new)
            if len(parts) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return {self.ntensors} tensors, got {len(parts)}"
                )
            for old, part in zip(self._originals(), parts, strict=True):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        f"`right_inverse` should return a tensor, got {type(part).__name__}"
                    )
                if part.dtype != old.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {part.dtype}, "
                        f"the original {old.dtype}"
                    )
                old.data = part.data

    def forward(self) -> Tensor:
        """The tensor: each parametrization applied to what the one before gave."""
        first, *rest = self
        x = first(*self._originals())
        for module in rest:
            x = module(x)
        return x


def _parametrized_class(module: Module) -> None:
    """Give `module` a class of its own, on which properties can be put."""
    cls = type(module)

    def copied(self: Any, memo: dict[int, Any]) -> Any:
        known = memo.get(id(self))
        if known is not None:
            return known
        here = type(self)
        own = {k: v for k, v in vars(here).items() if k not in ("__dict__", "__weakref__")}
        # a class of its own: removing a parametrization from the copy leaves this one alone
        replica = self.__new__(type(here.__name__, here.__bases__, own))
        memo[id(self)] = replica
        replica.__dict__ = copy.deepcopy(self.__dict__, memo)
        return replica

    def no_pickle(self: Any) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(): save that, "
            "and load it into a module parametrized in the same way"
        )

    members: dict[str, Any] = {"__getstate__": no_pickle}
    if not hasattr(cls, "__deepcopy__"):
        members["__deepcopy__"] = copied
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), members)


def _property_for(tensor_name: str) -> property:
    def read(self: Any) -> Tensor:
        if not _cache_depth:
            return self.parametrizations[tensor_name]()
        key = (id(self), tensor_name)
        if key not in _cache:
            _cache[key] = self.parametrizations[tensor_name]()
        return _cache[key]

    def write(self: Any, value: Tensor) -> None:
        self.parametrizations[tensor_name].right_inverse(value)

    return property(read, write)


def register_parametrization(
    module: M, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> M:
    """Compute parameter or buffer `tensor_name` of `module` by `parametrization(original)`; returns module.

    With a method `right_inverse(value)` the parametrization can be assigned to, and the original starts from it.
    ValueError where the tensor is missing, or its shape or dtype would change without `unsafe`.

    >>> import eagergrad as eg
    >>> class Symmetric(eg.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).t()
    >>> layer = register_parametrization(eg.nn.Linear(3, 3), "weight", Symmetric())
    >>> bool(eg.equal(layer.weight, layer.weight.t()))
    True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        chain = module.parametrizations[tensor_name]  # type: ignore[union-attr, index]
        if not unsafe:
            now = getattr(module, tensor_name)
            ParametrizationList._check(parametrization(now), tuple(now.shape), now.dtype)
        if hasattr(parametrization, "right_inverse"):
            with eg.no_grad():
                value = parametrization.right_inverse(getattr(module, tensor_name))
                chain.right_inverse(value)
        chain.append(parametrization)
        chain.unsafe |= unsafe
        return module
    if tensor_name not in module._buffers and tensor_name not in module._parameters:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    original = getattr(module, tensor_name)
    chain = ParametrizationList([parametrization], original, unsafe=unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        _parametrized_class(module)
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _property_for(tensor_name))
    module.parametrizations[tensor_name] = chain  # type: ignore[operator, index]
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether `module` (or its tensor of that name) is parametrized."""
    chains = module.__dict__.get("_modules", {}).get("parametrizations")
    if not isinstance(chains, ModuleDict):
        return False
    return len(chains) > 0 if tensor_name is None else tensor_name in chains


def remove_parametrizations(module: M, tensor_name: str, leave_parametrized: bool = True) -> M:
    """Make `tensor_name` ordinary again, with its current value or (not `leave_parametrized`) its original's.

    ValueError where it is not parametrized, or has several originals and no value should stay. Returns module.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    chain = module.parametrizations[tensor_name]  # type: ignore[union-attr, index]
    if chain.is_tensor:
        original = chain.original
        if leave_parametrized:
            with eg.no_grad():
                original.data = getattr(module, tensor_name).data
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        needs_grad = any(t.requires_grad for t in chain._originals())
        original = Parameter(value.detach(), needs_grad) if needs_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor "
            "that is parametrized in terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]  # type: ignore[union-attr, operator]
    _hold(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class the module had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: M, tensor_name: str | None = None
) -> M:
    """Parametrize `to_module` as `from_module` is, sharing modules and copying originals; returns to_module."""
    if not is_parametrized(from_module):
        return to_module
    chains = from_module.parametrizations
    names = [tensor_name] if tensor_name is not None else list(chains)  # type: ignore[arg-type]
    for name in names:
        chain = chains[name]  # type: ignore[union-attr, index]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach().clone()))
        for parametrization in chain:
            register_parametrization(to_module, name, parametrization, unsafe=True)
        mine = to_module.parametrizations[name]  # type: ignore[union-attr, index]
        for target, source in zip(mine._originals(), chain._originals(), strict=True):
            target.data = source.data
    return to_module
