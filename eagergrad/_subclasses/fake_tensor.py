"""What libraries ask about tensors without memory."""

from typing import Any

__all__ = ["FakeTensor", "is_fake"]


class FakeTensor:
    """A tensor without memory, of which there are none here."""


def is_fake(x: Any) -> bool:
    """False: every tensor has memory."""
    return False
