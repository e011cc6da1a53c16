"""What a process of several leaves behind when it fails."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

__all__ = ["record"]


def record(fn: Callable[..., Any], error_handler: Any = None) -> Callable[..., Any]:
    """Return fn, which writes an error that leaves it to the file that TORCHELASTIC_ERROR_FILE names, as JSON.

    >>> @record
    ... def main():
    ...     return 3
    >>> main()
    3
    """

    @functools.wraps(fn)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except Exception as e:
            _write(e)
            raise

    return recorded


def _write(e: BaseException) -> None:
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if not path or os.path.exists(path):  # the first error is the reason of the next
        return
    trace = "".join(traceback.format_exception(type(e), e, e.__traceback__))
    extra = {"py_callstack": trace, "timestamp": str(int(time.time()))}
    try:
        with open(path, "w") as file:
            json.dump(
                {"message": {"message": f"{type(e).__name__}: {e}", "extraInfo": extra}}, file
            )
    except OSError:
        pass  # what goes on being raised matters more


def record_uncaught() -> None:
    """Write the error that ends this process, if the launcher asks for it."""
    before = sys.excepthook
    if "TORCHELASTIC_ERROR_FILE" not in os.environ or hasattr(before, "records"):
        return

    def hook(kind: Any, value: BaseException, trace: Any) -> None:
        _write(value)
        before(kind, value, trace)

    hook.records = True  # type: ignore[attr-defined]
    sys.excepthook = hook
