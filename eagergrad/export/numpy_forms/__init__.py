"""What ops of the core do, in NumPy: `export_numpy` copies the functions that a model needs into the file that it writes.

A function has the name and the parameters of its op. It may call others of this package, and nothing else but NumPy and the
standard library's math. Elementwise ops of the table need none: their line is their function (see `_numpy_text.py`).
"""

import inspect
from types import FunctionType

from eagergrad.export.numpy_forms import (
    arguments,
    conv,
    creation,
    elementwise,
    index,
    matmul,
    norm,
    pool,
    reduce,
    rnn,
    shape,
)

_MODULES = (arguments, conv, creation, elementwise, index, matmul, norm, pool, reduce, rnn, shape)

FUNCTIONS: dict[str, FunctionType] = {
    name: f
    for module in _MODULES
    for name, f in inspect.getmembers(module, inspect.isfunction)
    if f.__module__ == module.__name__
}
