"""PyTorch's name for where the limit of time is."""

from ._world import default_pg_timeout

__all__ = ["default_pg_timeout"]
