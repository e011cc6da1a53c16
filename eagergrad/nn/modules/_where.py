"""Which layer of the tree raised: a note on the exception, with the layer's path."""

from __future__ import annotations

from typing import Any

_NOTE = "in layer "


class _Trail:
    """From the module that raised to the last one the exception has left; stays behind when the exception is pickled."""

    def __init__(self, first: Any = None) -> None:
        self.first = self.last = first
        self.path = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Trail, ()

    def __str__(self) -> str:
        place = f"{self.path} of {type(self.last).__name__}: " if self.path else ""
        extra = "" if self.first._modules else self.first.extra_repr()
        return f"{_NOTE}{place}{type(self.first).__name__}({extra})"


def note_layer(error: Exception, module: Any) -> None:
    """Called by each module an exception leaves, innermost first: keep one note that names the path to the first."""
    trail = error.__dict__.get("_layer_trail")
    if trail is None or trail.last is None:
        trail = error.__dict__["_layer_trail"] = _Trail(module)
    elif module is trail.last:
        return
    else:
        name = next((name for name, m in module.named_modules() if m is trail.last), "")
        if name:
            trail.path = f"{name}.{trail.path}" if trail.path else name
            trail.last = module
    notes = error.__dict__.setdefault("__notes__", [])
    notes[:] = [note for note in notes if not note.startswith(_NOTE)]
    notes.append(str(trail))
