"""Names for type annotations."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TypeAlias

import eagergrad as eg

__all__ = ["Device", "FileLike", "Number", "Storage"]

Number: TypeAlias = builtins.int | builtins.float | builtins.bool
Device: TypeAlias = eg.device | str | builtins.int | None
FileLike: TypeAlias = object
Storage: TypeAlias = object
_size: TypeAlias = eg.Size | list[builtins.int] | tuple[builtins.int, ...]
_int: TypeAlias = builtins.int
_float: TypeAlias = builtins.float
_bool: TypeAlias = builtins.bool
_dtype: TypeAlias = eg.dtype
_device: TypeAlias = eg.device
_TensorOrTensors: TypeAlias = eg.Tensor | Sequence[eg.Tensor]
