"""What programs ask of PyTorch's compiler."""

from typing import Any

__all__ = ["is_compile_supported"]


def is_compile_supported(device_type: Any) -> bool:
    """False: nothing is compiled."""
    return False
