"""Arguments as ops take them."""

import numpy as np


def _tuple(x, n):
    x = (x,) if isinstance(x, int) else tuple(x)
    return x * n if len(x) == 1 else x


def _axes(dim, input):
    # Dimensions 0 and -1 of a number are all that it has.
    if dim is None or dim == () or dim == [] or input.ndim == 0:
        return None
    return dim if isinstance(dim, int) else tuple(dim)


def _sizes(size):
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)


def _float(x):
    return x if x.dtype.kind == "f" else x.astype(np.float32)
