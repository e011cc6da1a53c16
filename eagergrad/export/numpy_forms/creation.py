"""What is made, or written in place."""

import numpy as np

from eagergrad.export.numpy_forms.arguments import _sizes


def new_zeros(*size, dtype=None, **options):
    return np.zeros(_sizes(size), dtype)


def new_ones(*size, dtype=None, **options):
    return np.ones(_sizes(size), dtype)


def new_full(size, fill_value, dtype=None, **options):
    return np.full(size, fill_value, dtype)


def zero(input):
    return 0


def fill(input, value):
    return value


def copy(input, src, non_blocking=False):
    return src
