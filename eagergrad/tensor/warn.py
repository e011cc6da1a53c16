"""Warnings that point at the user's line."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn"]


def warn(message: str) -> None:
    """A UserWarning at the innermost line that is not the package's, however deep in the package it arises."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("eagergrad."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
