"""Elementwise ops of several signatures, and functions that NumPy lacks."""

import math

import numpy as np

from eagergrad.export.numpy_forms.arguments import _float


def add(input, other, alpha=1):
    return input + (other if alpha == 1 else other * alpha)


def sub(input, other, alpha=1):
    return input - (other if alpha == 1 else other * alpha)


def rsub(input, other, alpha=1):
    return other - (input if alpha == 1 else input * alpha)


def div(input, other, rounding_mode=None):
    if rounding_mode == "floor":
        return np.floor_divide(input, other)
    return (
        np.trunc(np.true_divide(input, other))
        if rounding_mode == "trunc"
        else np.true_divide(input, other)
    )


def floor_divide(input, other):
    return np.floor_divide(input, other)


def remainder(input, other):
    return np.remainder(input, other)


def round(input, decimals=0):
    return np.round(input, decimals)


def pow(input, exponent):
    return np.power(input, exponent)


def logical_not(input):
    return np.logical_not(input)


def bitwise_not(input):
    return np.invert(input)


def prelu(input, weight):
    return np.where(input > 0, input, input * weight)


def clamp(input, min=None, max=None):
    input = input if min is None else np.maximum(input, min)
    return input if max is None else np.minimum(input, max)


def clamp_min(input, min):
    return np.maximum(input, min)


def clamp_max(input, max):
    return np.minimum(input, max)


def lerp(input, end, weight):
    return input + weight * (end - input)


def addcmul(input, tensor1, tensor2, value=1):
    return input + value * tensor1 * tensor2


def addcdiv(input, tensor1, tensor2, value=1):
    return input + value * tensor1 / tensor2


def where(condition, input, other):
    return np.where(condition, input, other)


def masked_fill(input, mask, value):
    return np.where(mask, value, input)


def nan_to_num(input, nan=None, posinf=None, neginf=None):
    return np.nan_to_num(input, nan=nan or 0.0, posinf=posinf, neginf=neginf)


def erf(input):
    # W. J. Cody, Mathematics of Computation 23 (1969), 631-637: rational functions for |x| up to 0.5, to 4 and above.
    x = np.asarray(input, np.float64)
    a = np.abs(x)
    p1 = (
        3209.377589138469472562,
        377.4852376853020208137,
        113.8641541510501556495,
        3.161123743870565596947,
        0.1857777061846031526730,
    )
    q1 = (
        2844.236833439170622273,
        1282.616526077372275645,
        244.0246379344441733056,
        23.60129095234412093499,
        1.0,
    )
    y = np.minimum(a, 0.5)
    small = y * _ratio(y * y, p1, q1)
    p2 = (1230.33935479799725272, 2051.07837782607146532, 1712.04761263407058314, 881.952221241769090411, 298.635138197400131132,
         66.1191906371416294775, 8.88314979438837594118, 0.564188496988670089180, 2.15311535474403846343e-8)  # fmt: skip
    q2 = (1230.33935480374942043, 3439.36767414372163696, 4362.61909014324715820, 3290.79923573345962678, 1621.38957456669018874,
         537.181101862009857509, 117.693950891312499305, 15.7449261107098347253, 1.0)  # fmt: skip
    y = np.clip(a, 0.5, 4)
    middle = 1 - np.exp(-y * y) * _ratio(y, p2, q2)
    p3 = (-6.58749161529837803157e-4, -1.60837851487422766278e-2, -1.25781726111229246204e-1, -3.60344899949804439429e-1,
         -3.05326634961232344035e-1, -1.63153871373020978498e-2)  # fmt: skip
    q3 = (
        2.33520497626869185443e-3,
        6.05183413124413191178e-2,
        5.27905102951428412248e-1,
        1.87295284992346725209,
        2.56852019228982242072,
        1.0,
    )
    y = np.clip(a, 4, 6)
    z = 1 / (y * y)
    large = 1 - np.exp(-y * y) / y * (1 / math.sqrt(math.pi) + z * _ratio(z, p3, q3))
    result = np.where(a < 0.5, small, np.where(a < 4, middle, np.where(a == a, large, a)))
    return (np.sign(x) * result).astype(_float(input).dtype)


def _ratio(x, p, q):
    return np.polyval(p[::-1], x) / np.polyval(q[::-1], x)


def erfc(input):
    return np.vectorize(math.erfc, otypes=[_float(input).dtype])(input)


def normal_cdf(input):
    return 0.5 * (1 + erf(input * math.sqrt(0.5)))


def xlogy(input, other):
    return np.where((input == 0) & (other == other), 0, input * np.log(other))


def xlog1py(input, other):
    return np.where((input == 0) & (other == other), 0, input * np.log1p(other))


def sign(input):
    return np.where(input > 0, 1, np.where(input < 0, -1, 0)).astype(input.dtype)


def i0(input):
    return np.i0(input)


def float_power(input, exponent):
    return np.float_power(input, exponent)


def ldexp(input, other):
    return input * np.exp2(_float(other))


def bitwise_left_shift(input, other):
    return np.left_shift(input, other)


def bitwise_right_shift(input, other):
    return np.right_shift(input, other)


def positive(input):
    return input


def isreal(input):
    return np.isreal(input)


def isin(elements, test_elements, assume_unique=False, invert=False):
    return np.isin(elements, test_elements, invert=invert)


def isposinf(input):
    return np.isposinf(input)


def isneginf(input):
    return np.isneginf(input)


def lgamma(input):
    return np.vectorize(math.lgamma, otypes=[_float(input).dtype])(input)
