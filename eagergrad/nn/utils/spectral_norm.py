"""Spectral normalisation by a forward hook (the old form of parametrizations.spectral_norm)."""

from __future__ import annotations

from typing import Any, TypeVar

import eagergrad as eg
from eagergrad import Tensor

from .. import functional as F
from ..modules.module import Module
from ..parameter import Parameter, is_lazy
from ._spectral import as_matrix, default_dim, power_iterate_, sigma_of

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]

M = TypeVar("M", bound=Module)


class SpectralNorm:
    """The hook: divides `name_orig` by its largest singular value before each forward."""

    _version = 1

    def __init__(
        self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but "
                f"got n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.dim = dim
        self.n_power_iterations = n_power_iterations
        self.eps = eps

    def reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        """The weight as a matrix with the output dimension first."""
        return as_matrix(weight, self.dim)

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The weight over its largest singular value, after a few power iterations in training."""
        weight = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            # v first, where the parametrization begins with u: the old form's numbers depend on it.
            power_iterate_(matrix.t(), v, u, self.n_power_iterations, self.eps)
            if (
                self.n_power_iterations > 0
            ):  # the next forward changes u and v; this graph keeps its own
                u, v = u.clone(), v.clone()
        return weight / sigma_of(matrix, u, v)

    def remove(self, module: Module) -> None:
        """Put an ordinary parameter of the current value back."""
        with eg.no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        delattr(module, self.name)
        for suffix in ("_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))

    @staticmethod
    def apply(
        module: Module, name: str, n_power_iterations: int, dim: int, eps: float
    ) -> SpectralNorm:
        """Replace parameter `name` of `module`; RuntimeError if that was done before."""
        if any(
            isinstance(h, SpectralNorm) and h.name == name
            for h in module._forward_pre_hooks.values()
        ):
            raise RuntimeError(
                f"Cannot register two spectral_norm hooks on the same parameter {name}"
            )
        fn = SpectralNorm(name, n_power_iterations, dim, eps)
        weight = module._parameters[name]
        if weight is None:
            raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
        if is_lazy(weight):
            raise ValueError(
                "The module passed to SpectralNorm can't have uninitialized parameters: run a dummy forward first"
            )
        with eg.no_grad():
            rows, cols = as_matrix(weight, dim).shape
            u = F.normalize(weight.new_empty(rows).normal_(0, 1), dim=0, eps=eps)
            v = F.normalize(weight.new_empty(cols).normal_(0, 1), dim=0, eps=eps)
        delattr(module, name)
        module.register_parameter(name + "_orig", weight)
        # a plain tensor, not a parameter: the module's attribute until the first forward
        setattr(module, name, weight.data)
        module.register_buffer(name + "_u", u)
        module.register_buffer(name + "_v", v)
        module.register_forward_pre_hook(fn)
        module._register_state_dict_hook(_StateDictVersion(fn.name))
        return fn


class _StateDictVersion:
    """Marks the state dict with the form of its keys, as PyTorch does."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Module, state_dict: Any, prefix: str, local_metadata: dict) -> None:
        marks = local_metadata.setdefault("spectral_norm", {})
        marks[self.name + ".version"] = SpectralNorm._version


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divide parameter `name` by its largest singular value, estimated by the power method; returns module.

    Source: Miyato et al., 2018.

    >>> import eagergrad as eg
    >>> layer = spectral_norm(eg.nn.Linear(3, 2))
    >>> sorted(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    SpectralNorm.apply(
        module, name, n_power_iterations, default_dim(module) if dim is None else dim, eps
    )
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Undo `spectral_norm`, keeping the value; ValueError if there is none. Returns module."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            break
    else:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    for key, mark in list(module._state_dict_hooks.items()):
        if isinstance(mark, _StateDictVersion) and mark.name == name:
            del module._state_dict_hooks[key]
    return module
