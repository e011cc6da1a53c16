"""Activation functions."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad import _C, Tensor
from eagergrad._C import ops as _ops
from eagergrad.tensor.out import asking, with_out
from eagergrad.tensor.warn import warn

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
]

hardshrink = _ops.hardshrink
logsigmoid = _ops.log_sigmoid
softplus = _ops.softplus
softsign = _ops.softsign
tanhshrink = _ops.tanhshrink
relu_ = _ops.relu_
elu_ = _ops.elu_
selu_ = _ops.selu_
celu_ = _ops.celu_
leaky_relu_ = _ops.leaky_relu_
tanh = _ops.tanh
sigmoid = _ops.sigmoid


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0), elementwise.

    >>> import eagergrad as eg
    >>> relu(eg.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return _ops.relu_(input) if inplace else _ops.relu(input)


@asking
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6), elementwise; whole numbers stay whole."""
    return hardtanh(input, 0.0, 6.0, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x above 0, alpha (e^x - 1) below (Clevert et al., 2015)."""
    return _ops.elu_(input, alpha) if inplace else _ops.elu(input, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The self-normalising ELU (Klambauer et al., 2017)."""
    return _ops.selu_(input) if inplace else _ops.selu(input)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(x, 0) + min(0, alpha (e^(x/alpha) - 1)) (Barron, 2017)."""
    if alpha == 0:
        raise RuntimeError("[celu] alpha cannot be 0: the function divides by it")
    return _ops.celu_(input, alpha) if inplace else _ops.celu(input, alpha)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x above 0, negative_slope x below.

    >>> import eagergrad as eg
    >>> leaky_relu(eg.tensor([-1.0, 2.0]), 0.5).tolist()
    [-0.5, 2.0]
    """
    op = _ops.leaky_relu_ if inplace else _ops.leaky_relu
    return op(input, negative_slope)


@asking
def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """A leaky ReLU whose slope is drawn from U(lower, upper) per element in training, their mean otherwise."""
    if lower > upper:
        raise RuntimeError(f"[rrelu] lower bound {lower} should not be above upper bound {upper}")
    if not training:
        return _C.named(leaky_relu(input, (lower + upper) / 2, inplace), "RreluWithNoiseBackward0")
    slope = eg.empty_like(input, requires_grad=False).uniform_(lower, upper)
    if inplace:
        y = input.mul_(slope.masked_fill_(input.detach() > 0, 1.0))
    else:
        y = _ops.prelu(input, slope)
    return _C.named(y, "RreluWithNoiseBackward0")


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """`rrelu` in place."""
    return rrelu(input, lower, upper, training, inplace=True)


@asking
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a sigmoid(b) for the halves a, b of `input` along `dim` (Dauphin et al., 2016)."""
    if input.dim() == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    if input.shape[dim] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim} is size {input.shape[dim]}"
        )
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"[glu] not implemented for {input.dtype}")
    a, b = input.chunk(2, dim)
    return _C.named(_ops.gated(a, b), "GluBackward0")


def _whole(op: str, number: float) -> int:
    """The limit that a tensor of whole numbers is compared with."""
    if not math.isfinite(number):
        raise RuntimeError(f"[{op}] {number} cannot be converted to a whole number")
    return int(number)


@asking
def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x kept within [min_val, max_val]; ValueError if the bounds cross."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    clamp = _ops.clamp_ if inplace else _ops.clamp
    if not input.dtype.is_floating_point:
        if input.dtype is eg.bool:
            raise RuntimeError("Bool inputs not supported for hardtanh")
        low, high = _whole("hardtanh", min_val), _whole("hardtanh", max_val)
        if input.dtype is eg.uint8 and low < 0:
            raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
        return clamp(input, low, high)
    if min_val != min_val or max_val != max_val:
        return clamp(input, min_val, max_val)
    op = _ops.hardtanh_ if inplace else _ops.hardtanh
    return op(input, min_val, max_val)


@asking
def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x + 3, 0), 6) / 6."""
    return _ops.hardsigmoid_(input) if inplace else _ops.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x hardsigmoid(x) (Howard et al., 2019)."""
    return _ops.hardswish_(input) if inplace else _ops.hardswish(input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x sigmoid(x), also called swish."""
    return _ops.silu_(input) if inplace else _ops.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x)) (Misra, 2019)."""
    return _ops.mish_(input) if inplace else _ops.mish(input)


@with_out
def softshrink(input: Tensor, lambd: float = 0.5, *, out: Tensor | None = None) -> Tensor:
    """x drawn towards 0 by `lambd`, 0 within it."""
    if lambd < 0:
        raise RuntimeError(f"[softshrink] lambda must be greater or equal to 0, but found {lambd}")
    return _ops.softshrink(input, lambd)


@asking
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where it is above `threshold`, `value` elsewhere; whole numbers stay whole."""
    if not input.dtype.is_floating_point:
        if input.dtype is eg.bool:
            raise NotImplementedError("[threshold] not implemented for bool")
        limit, other = _whole("threshold", threshold), _whole("threshold", value)
        kept = eg.where(input > limit, input, other)
        return input.copy_(kept) if inplace else kept
    op = _ops.threshold_ if inplace else _ops.threshold
    return op(input, threshold, value)


_threshold = threshold


@asking
def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` in place."""
    return _threshold(input, threshold, value, inplace=True)


@with_out
def gelu(input: Tensor, *, approximate: str = "none", out: Tensor | None = None) -> Tensor:
    """x Phi(x), Phi the normal distribution function; `approximate="tanh"` for its tanh form.

    Source: Hendrycks and Gimpel, 2016. RuntimeError for another `approximate`.

    >>> import eagergrad as eg
    >>> round(float(gelu(eg.tensor(1.0))), 4)
    0.8413
    """
    if approximate == "none":
        return _ops.gelu_erf(input)
    if approximate == "tanh":
        return _ops.gelu_tanh(input)
    raise RuntimeError(
        f"[gelu] approximate argument must be either none or tanh, came {approximate!r}"
    )


@asking
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x above 0, weight x below; `weight` holds one slope, or one per channel (dimension 1).

    Source: He et al., 2015. RuntimeError where the number of slopes does not fit.
    """
    if weight.dim() > 1:
        raise RuntimeError(
            f"[prelu] Expected `weight` to be a scalar or 1D tensor, but got {weight.dim()}D"
        )
    if input.dtype != weight.dtype and not eg.is_autocast_enabled(input.device.type):
        raise RuntimeError(
            f"[prelu] Type promoting not supported. Got {input.dtype} and {weight.dtype}"
        )
    slopes = weight.numel()
    if slopes == 1:
        return _ops.prelu(input, weight if input.dim() else weight.reshape(()))
    channels = input.shape[1] if input.dim() > 1 else 1
    if slopes != channels:
        raise RuntimeError(
            f"[prelu] Mismatch of parameter numbers and input channel size: {slopes} slopes for "
            f"{channels} channels of {tuple(input.shape)}"
        )
    return _ops.prelu(input, weight.reshape(-1, *(1 for _ in input.shape[2:])))


def _implicit_dim(name: str, input: Tensor) -> int:
    warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument."
    )
    ndim = input.dim() if isinstance(input, Tensor) else 1  # the op refuses what is no tensor
    return 0 if ndim in (0, 1, 3) else 1


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """e^x / sum(e^x) along `dim`; `dtype` is what to compute in.

    >>> import eagergrad as eg
    >>> softmax(eg.zeros(4), dim=0).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if dim is None:
        dim = _implicit_dim("softmax", input)
    return _ops.softmax(input, dim) if dtype is None else _ops.softmax(input, dim, dtype=dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """softmax(-x) along `dim`."""
    if dim is None:
        dim = _implicit_dim("softmin", input)
    return softmax(_ops.neg(input), dim, dtype=dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """log(softmax(x)) along `dim`, computed without overflow."""
    if dim is None:
        dim = _implicit_dim("log_softmax", input)
    return (
        _ops.log_softmax(input, dim) if dtype is None else _ops.log_softmax(input, dim, dtype=dtype)
    )


@asking
def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of the Gumbel-softmax distribution; `hard` gives one-hot values with the soft gradient.

    Source: Jang et al., 2016; Maddison et al., 2016.

    >>> import eagergrad as eg
    >>> float(gumbel_softmax(eg.zeros(5), hard=True).sum())
    1.0
    """
    if eps != 1e-10:
        warn("`eps` parameter is deprecated and has no effect.")
    gumbels = -eg.empty_like(logits, requires_grad=False).exponential_().log()
    soft = ((logits + gumbels) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.detach().argmax(dim, keepdim=True)
    one_hot = eg.zeros_like(soft, requires_grad=False).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft
