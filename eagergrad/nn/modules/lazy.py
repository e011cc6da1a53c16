"""Layers that take the sizes they were not told from the first batch they see."""

from __future__ import annotations

import itertools
from typing import Any

from ..parameter import is_lazy

__all__ = ["LazyModuleMixin"]


class LazyModuleMixin:
    """Mixin before the layer class: `initialize_parameters(*args)` runs once, before the first forward.

    Subclasses set `cls_to_become` to the ordinary layer and hold `UninitializedParameter`s.

    >>> import eagergrad as eg
    >>> layer = eg.nn.LazyLinear(2)
    >>> _ = layer(eg.zeros(5, 3))
    >>> layer
    Linear(in_features=3, out_features=2, bias=True)
    """

    cls_to_become: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._initialize_hook: Any = self.register_forward_pre_hook(  # type: ignore[attr-defined]
            _infer_parameters, with_kwargs=True
        )

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Materialise the parameters for these inputs; every lazy layer writes its own."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self) -> bool:
        """Whether any parameter or buffer of this module still waits for its shape."""
        own = itertools.chain(self._parameters.values(), self._buffers.values())  # type: ignore[attr-defined]
        return any(is_lazy(t) for t in own)


def _infer_parameters(module: Any, args: tuple, kwargs: dict[str, Any] | None = None) -> None:
    """The forward pre-hook: materialise, take the hooks away, become the ordinary layer."""
    module.initialize_parameters(*args, **(kwargs or {}))
    if module.has_uninitialized_params():
        raise RuntimeError(
            f"module {module._get_name()} has not been fully initialized by initialize_parameters"
        )
    # by id: the handles of a copied or unpickled module know no dictionaries
    module._forward_pre_hooks.pop(module._initialize_hook.id, None)
    module._forward_pre_hooks_with_kwargs.pop(module._initialize_hook.id, None)
    del module._initialize_hook
    if module.cls_to_become is not None:
        module.__class__ = module.cls_to_become
