"""AdamW lives beside Adam; this module keeps torch's path to it."""

from .adam import AdamW

__all__ = ["AdamW"]
