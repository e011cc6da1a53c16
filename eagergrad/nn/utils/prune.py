"""Pruning: a mask over a parameter, applied before every forward.

A pruned parameter ``weight`` is kept as the parameter ``weight_orig`` and the buffer ``weight_mask``; ``module.weight``
is their product, computed before each call so that gradients reach ``weight_orig`` through the mask.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import eagergrad as eg

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


class BasePruningMethod(ABC):
    """A way to prune: subclasses set ``PRUNING_TYPE`` ("unstructured", "structured" or "global") and write
    ``compute_mask``."""

    PRUNING_TYPE: str | None = None
    _tensor_name: str

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return the mask for importances ``t``, on top of ``default_mask``: 1 is kept."""

    def apply_mask(self, module: Any) -> Any:
        """Return the pruned value of the module's parameter."""
        name = getattr(self, "_tensor_name", None)
        if name is None:
            raise AssertionError(f"[prune] module {module} has to be pruned")
        original = getattr(module, name + "_orig")
        return getattr(module, name + "_mask").to(dtype=original.dtype) * original

    @classmethod
    def apply(
        cls, module: Any, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any
    ) -> Any:
        """Prune ``module.name``, on top of what pruned it before; returns the method that is now in force.

        ``args`` and ``kwargs`` are those of the class.
        """
        method = cls(*args, **kwargs)
        method._tensor_name = name
        before = _method_of(module, name)
        if before is not None:
            container = before[1]
            if not isinstance(container, PruningContainer):
                container = PruningContainer(container)
            container.add_pruning_method(method)
            del module._forward_pre_hooks[before[0]]
            method = container  # type: ignore[assignment]
        value = getattr(module, name)
        if importance_scores is not None and importance_scores.shape != value.shape:
            raise AssertionError(
                f"[prune] importance_scores expected the shape of {name}, {tuple(value.shape)}, got "
                f"{tuple(importance_scores.shape)}"
            )
        scores = value if importance_scores is None else importance_scores
        if before is None:
            module.register_parameter(name + "_orig", value)
            del module._parameters[name]
            default_mask = eg.ones_like(value)
        else:
            default_mask = getattr(module, name + "_mask").detach().clone()
        try:
            mask = method.compute_mask(scores, default_mask=default_mask)
            module.register_buffer(name + "_mask", mask)
            setattr(module, name, method.apply_mask(module))
            module.register_forward_pre_hook(method)
        except Exception:
            if before is None:
                module.register_parameter(name, module._parameters.pop(name + "_orig"))
            raise
        return method

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        """Return ``t`` with a mask made from its values, or from importances of its shape."""
        if importance_scores is None:
            importance_scores = t
        elif importance_scores.shape != t.shape:
            raise AssertionError(
                f"[prune] importance_scores expected the shape of the tensor, {tuple(t.shape)}, got "
                f"{tuple(importance_scores.shape)}"
            )
        default_mask = eg.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(importance_scores, default_mask=default_mask)

    def remove(self, module: Any) -> None:
        """Make the pruned values the parameter itself, with the mask gone."""
        value = self.apply_mask(module)  # before the names go, which it reads
        name = self._tensor_name
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters.pop(name + "_orig")
        original.data = value.data
        del module._buffers[name + "_mask"]
        setattr(module, name, original)


def _method_of(module: Any, name: str) -> tuple[int, BasePruningMethod] | None:
    """The key of the hook that prunes module.name, and the hook."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return key, hook
    return None


class PruningContainer(BasePruningMethod):
    """Several methods for one parameter, each pruning what the ones before it left."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        methods = args[0] if len(args) == 1 and isinstance(args[0], Iterable) else args
        if len(args) == 1 and not isinstance(args[0], Iterable):
            self._tensor_name = args[0]._tensor_name
        for method in methods:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Append a method that prunes the same parameter."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(
                f"[prune] expected a BasePruningMethod, got {type(method).__name__}: {method!r}"
            )
        name = getattr(self, "_tensor_name", method._tensor_name)
        if name != method._tensor_name:
            raise ValueError(
                f"[prune] can only add methods that prune {name!r} to this container, got one for "
                f"{method._tensor_name!r}"
            )
        self._tensor_name = name
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __getitem__(self, index: Any) -> Any:
        return self._pruning_methods[index]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return the mask so far, with the latest method applied to what it keeps."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(dtype=t.dtype)
        kept = _kept(method, t, mask)
        partial = method.compute_mask(t[kept], default_mask=mask[kept])
        combined = mask.clone()
        combined[kept] = partial.to(mask.dtype)
        return combined


def _kept(method: BasePruningMethod, t: Any, mask: Any) -> Any:
    """The index of what a method may still prune."""
    kind = method.PRUNING_TYPE
    if kind == "unstructured":
        return mask == 1
    if kind == "global":
        return (slice(None),) * t.dim()
    if kind != "structured":
        raise ValueError(
            f"[prune] PRUNING_TYPE expected unstructured, structured or global, got {kind!r}"
        )
    dim = method.dim % t.dim()  # type: ignore[attr-defined]
    others = [d for d in range(t.dim()) if d != dim]
    channels = mask.sum(dim=others) != 0 if others else mask != 0
    return (slice(None),) * dim + (channels,)


class Identity(BasePruningMethod):
    """Prunes nothing; gives the parameter a mask of ones."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return the mask as it is."""
        return default_mask


class _ByAmount(BasePruningMethod):
    """Prunes a number of entries or channels, or a fraction of them."""

    amount: Any

    def __init__(self, amount: int | float) -> None:
        if not isinstance(amount, numbers.Real):
            raise TypeError(f"[prune] amount expected a number, got {amount!r}")
        whole = isinstance(amount, numbers.Integral)
        if amount < 0 or (not whole and amount > 1):
            raise ValueError(
                f"[prune] amount={amount} expected to be a float in [0, 1] or a non-negative integer"
            )
        self.amount = amount

    def _number(self, size: int) -> int:
        if not isinstance(self.amount, numbers.Integral):
            return round(float(self.amount) * size)
        if self.amount > size:
            raise ValueError(
                f"[prune] amount={self.amount} expected to be at most the {size} entries to prune"
            )
        return int(self.amount)


class RandomUnstructured(_ByAmount):
    """Prunes ``amount`` entries, drawn at random."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return the mask with that many more zeros."""
        return _without(default_mask, eg.rand_like(t), self._number(t.nelement()), largest=True)


class L1Unstructured(_ByAmount):
    """Prunes the ``amount`` entries of least absolute value."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return the mask with that many more zeros."""
        return _without(default_mask, t.abs(), self._number(t.nelement()), largest=False)


def _without(mask: Any, scores: Any, n: int, largest: bool) -> Any:
    mask = mask.clone(memory_format=eg.contiguous_format)
    if n:
        found = eg.topk(scores.reshape(-1), k=n, largest=largest).indices
        mask.view(-1)[found] = 0
    return mask


class _Structured(_ByAmount):
    """Prunes whole channels along a dimension."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: int | float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _norms(self, t: Any) -> Any:
        raise NotImplementedError

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return the mask with that many more channels of zeros."""
        if t.dim() <= 1:
            raise ValueError(
                f"[prune] structured pruning expected a tensor of at least 2 dimensions, got shape "
                f"{tuple(t.shape)}"
            )
        if not -t.dim() <= self.dim < t.dim():
            raise IndexError(f"[prune] dim {self.dim} is out of range for shape {tuple(t.shape)}")
        channels = t.shape[self.dim]
        n = self._number(channels)
        if n == 0:
            return default_mask
        kept = eg.topk(self._norms(t), k=channels - n, largest=True).indices
        mask = eg.zeros_like(t, requires_grad=False)
        mask[(slice(None),) * (self.dim % t.dim()) + (kept,)] = 1
        return mask * default_mask.to(dtype=mask.dtype)


class RandomStructured(_Structured):
    """Prunes ``amount`` channels along ``dim``, drawn at random."""

    def _norms(self, t: Any) -> Any:
        return eg.rand(t.shape[self.dim])


class LnStructured(_Structured):
    """Prunes the ``amount`` channels along ``dim`` of least norm of order ``n``."""

    def __init__(self, amount: int | float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _norms(self, t: Any) -> Any:
        others = [d for d in range(t.dim()) if d != self.dim % t.dim()]
        return eg.norm(t, p=self.n, dim=others)


class CustomFromMask(BasePruningMethod):
    """Prunes where a given mask is zero."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return the mask with the given one on top."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"[prune] mask expected shape {tuple(default_mask.shape)}, got {tuple(self.mask.shape)}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)


# ---- functions ----------------------------------------------------------------------------------


def identity(module: Any, name: str) -> Any:
    """Give a parameter a mask of ones; returns the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: int | float) -> Any:
    """Prune ``amount`` entries (a number, or a fraction) drawn at random; returns the module.

    >>> import eagergrad as eg
    >>> m = random_unstructured(eg.nn.Linear(2, 3), "weight", amount=2)
    >>> int(m.weight_mask.sum())
    4
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Any, name: str, amount: int | float, importance_scores: Any = None
) -> Any:
    """Prune the ``amount`` entries of least absolute value (or importance); returns the module.

    >>> import eagergrad as eg
    >>> m = eg.nn.Linear(2, 1, bias=False)
    >>> _ = m.weight.data.copy_(eg.tensor([[0.1, -2.0]]))
    >>> l1_unstructured(m, "weight", amount=0.5).weight.tolist()
    [[0.0, -2.0]]
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: int | float, dim: int) -> Any:
    """Prune ``amount`` channels along ``dim`` drawn at random; returns the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Any, name: str, amount: int | float, n: Any, dim: int, importance_scores: Any = None
) -> Any:
    """Prune the ``amount`` channels along ``dim`` of least norm of order ``n``; returns the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Any, name: str, mask: Any) -> Any:
    """Prune where a mask is zero; returns the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Any, pruning_method: Any, importance_scores: Any = None, **kwargs: Any
) -> None:
    """Prune over all parameters, given as pairs (module, name), as if they were one tensor.

    ``importance_scores`` maps such pairs to importances; ``kwargs`` are those of the method.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("[global_unstructured] parameters expected pairs of a module and a name")
    pairs = list(parameters)
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("[global_unstructured] importance_scores expected a dictionary")
    values = [scores.get(pair, getattr(*pair)).reshape(-1) for pair in pairs]
    masks = [
        getattr(m, n + "_mask", eg.ones_like(getattr(m, n), requires_grad=False)).reshape(-1)
        for m, n in pairs
    ]
    method = pruning_method(**kwargs)
    method._tensor_name = "values"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            '[global_unstructured] expected a method of PRUNING_TYPE "unstructured", got '
            f"{method.PRUNING_TYPE!r}"
        )
    container = PruningContainer()
    container.add_pruning_method(method)
    final = container.compute_mask(eg.cat(values), eg.cat(masks))
    parts = final.split([v.numel() for v in values])
    for (module, name), part in zip(pairs, parts, strict=True):
        custom_from_mask(module, name, part.view(getattr(module, name).shape))


def remove(module: Any, name: str) -> Any:
    """Make the pruning of a parameter permanent: mask and hook go, the pruned values stay; returns the module.

    Raises:
        ValueError: the parameter is not pruned.
    """
    found = _method_of(module, name)
    if found is None:
        raise ValueError(
            f"[prune] parameter {name!r} of module {module} has to be pruned before pruning can be removed"
        )
    key, method = found
    method.remove(module)
    del module._forward_pre_hooks[key]
    return module


def is_pruned(module: Any) -> bool:
    """Return whether the module or one within it is pruned.

    >>> import eagergrad as eg
    >>> m = eg.nn.Sequential(eg.nn.Linear(2, 2))
    >>> is_pruned(m), is_pruned(identity(m[0], "bias"))
    (False, True)
    """
    return any(
        isinstance(hook, BasePruningMethod)
        for m in module.modules()
        for hook in m._forward_pre_hooks.values()
    )
