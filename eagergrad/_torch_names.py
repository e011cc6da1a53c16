"""Modules inside PyTorch that libraries import although they are not its interface: `as_torch` shows them by name.

They are about tracing, which never happens here, so that the answers are "no".
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import eagergrad
from eagergrad import _C

__all__ = ["install"]


class FakeTensor:
    """A tensor without memory, of which there are none here."""


def _no(*args: Any, **options: Any) -> bool:
    return False


def _nothing(*args: Any, **options: Any) -> None:
    """For questions for what there is not."""


_MODULES: dict[str, dict[str, Any]] = {
    "_subclasses": {},
    "_subclasses.fake_tensor": {"FakeTensor": FakeTensor, "is_fake": _no},
    "fx.experimental": {},
    "fx.experimental.proxy_tensor": {"get_proxy_mode": _nothing},
}


def install() -> None:
    """Make the modules importable, under ``torch`` and under ``eagergrad``."""
    # What a vmap runs may ask for the values of its tensors (`func.vmap`).
    _C._are_functorch_transforms_active = _no  # type: ignore[attr-defined]
    for name, members in _MODULES.items():
        module = ModuleType(f"eagergrad.{name}", __doc__)
        module.__dict__.update(members)
        parent, _, leaf = name.rpartition(".")
        above = sys.modules[f"eagergrad.{parent}"] if parent in _MODULES else eagergrad
        if parent in _MODULES or not parent:
            setattr(above, leaf, module)
        sys.modules[f"eagergrad.{name}"] = sys.modules[f"torch.{name}"] = module
