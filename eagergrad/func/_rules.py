"""The rules by which ops run on whole batches. See Note [Batched tensors]: a rule gets the level and the op's arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import eagergrad as eg
from eagergrad import _C, Tensor
from eagergrad._C import ops as _ops
from eagergrad.func._batched import (
    RULES,
    RULES_OF_ITEMS,
    Batched,
    NoRule,
    is_at,
    level_of,
    lifted,
    sizes_of,
    whole_of,
)
from eagergrad.tensor.size import wrap_dim


def _rule(names: str, of_items: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a rule. One ``of_items`` is written in ops of single items, which their rules then run on the whole batch."""

    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        for name in names.split():
            RULES[name] = rule
        if of_items:
            RULES_OF_ITEMS.add(rule)
        return rule

    return register


_ELEMENTWISE = """abs absolute acos acosh add addcdiv addcmul arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh
atan atan2 atanh bitwise_and bitwise_not bitwise_or bitwise_xor ceil celu clamp clamp_max clamp_min clip copysign cos cosh
cube deg2rad digamma div divide elu eq erf erfc erfinv exp exp2 expm1 floor floor_divide fmax fmin fmod frac ge gelu_erf
gelu_tanh greater greater_equal gt hardshrink hardsigmoid hardswish hardtanh heaviside hypot gated i0 inverse_root inverse_square
isfinite isinf isnan isneginf isposinf ldexp le leaky_relu lerp less less_equal lgamma log log10 log1p log1pexp log2
log_sigmoid logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logit lt masked_fill maximum minimum mish mul
multiply nan_to_num ne neg negative normal_cdf not_equal positive pow prelu reciprocal relu relu6 remainder round rsqrt rsub selu
sgn sigmoid sign silu sin sinc sinh softplus softshrink softsign sqrt square sub subtract tan tanh tanhshrink threshold
true_divide trunc xlogy"""


@_rule(_ELEMENTWISE + " where _where_method")
def _elementwise(level: int, op: Any, *args: Any, **kwargs: Any) -> Any:
    alike = None if kwargs else _of_one_kind(level, args)
    if alike is not None:
        return op(*alike)
    tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
    rank = max(x.dim() for x in tensors)
    _one_dtype(tensors if op.__name__ not in ("where", "masked_fill") else tensors[1:])
    aligned = [lifted(x, level, rank) for x in args]
    if op.__name__ == "_where_method" and not is_at(args[0], level):
        return _ops.where(aligned[1], aligned[0], *aligned[2:])
    return op(*aligned, **{k: lifted(x, level, rank) for k, x in kwargs.items()})


def _of_one_kind(level: int, args: tuple[Any, ...]) -> list[Any] | None:
    """The whole batches of arguments that need no care: numbers, and items of one rank and dtype."""
    values: list[Any] = []
    known = None
    for x in args:
        if type(x) is Batched and x.level == level:
            v = x.value
            kind = (v.dim(), v.dtype)
            if known is not None and kind != known:
                return None
            known = kind
            values.append(v)
        elif type(x) in (int, float, bool):
            values.append(x)
        else:
            return None
    return values


def _one_dtype(tensors: list[Any]) -> None:
    # A number of each item is a vector of the batch, which promotes another dtype where the number would not.
    if len({x.dtype for x in tensors}) > 1 and any(not x.dim() for x in tensors):
        raise NoRule("[vmap] numbers of another dtype than the tensors with them")


@_rule(
    " ".join(
        name + "_" for name in [*_ELEMENTWISE.split(), "zero", "fill"] if name + "_" in _C.op_table
    )
    + " copy_"
)
def _in_place(level: int, op: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    if not is_at(x, level):
        raise NoRule("[vmap] a write of items into what all items share")
    others = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
    _one_dtype([x, *others])
    rank = x.dim()
    op(x.value, *(lifted(a, level, rank) for a in args), **kwargs)
    return x


@_rule(
    "_cast _to_device to clone contiguous zeros_like ones_like full_like empty_like view_as reshape_as expand_as"
)
def _alike(level: int, op: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    if op.__name__ in ("view_as", "reshape_as", "expand_as"):
        x = Batched(whole_of(x, level), level)
        return (_expanded if op.__name__ == "expand_as" else _reshaped)(level, op, x, args[0].shape)
    if not is_at(x, level):
        raise NoRule("[vmap] an option that differs between the items")
    return op(x.value, *(a.value if is_at(a, level) else a for a in args), **kwargs)


def _shifted(x: Any, dim: Any, extra: int = 0) -> Any:
    """The dimension (or dimensions) `dim` of an item, in the batch."""
    if isinstance(dim, int) and not isinstance(dim, bool):
        return wrap_dim(dim, x.dim() + extra) + 1
    if isinstance(dim, (list, tuple)):
        return tuple(_shifted(x, d, extra) for d in dim)
    raise NoRule(f"[vmap] dim={dim!r}")


def _along(position: int, default: Any = None) -> Callable[..., Any]:
    """The rule of an op with a dim at `position` (or named dim, or dims); without one, it takes `default`, or all at once."""

    def rule(level: int, op: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        if level_of(args) == level or level_of(tuple(kwargs.values())) == level:
            return _two_along(level, op, x, *args, **kwargs)
        given = list(args)
        at = position - 1
        name = next((n for n in ("dim", "dims", "axis") if n in kwargs), None)
        dim = kwargs[name] if name else given[at] if len(given) > at else None
        v = x.value
        if dim is None or dim in ((), []):
            if default is not None:
                dim = default
            else:
                return _at_once(op, v, given[:at], any(given[at:]), kwargs)
        if not x.dim():
            raise NoRule("[vmap] a dim of a number")
        if name:
            kwargs[name] = _shifted(x, dim)
        elif len(given) > at:
            given[at] = _shifted(x, dim)
        else:
            kwargs["dim"] = _shifted(x, dim)
        return op(v, *given, **kwargs)

    return rule


def _at_once(op: Any, v: Any, given: list[Any], more: bool, kwargs: dict[str, Any]) -> Any:
    if more or kwargs.get("keepdim") or op.__name__ not in (*_REDUCTIONS, "std_mean", "var_mean"):
        raise NoRule(f"[vmap] {op.__name__} without a dim")
    kwargs = {k: a for k, a in kwargs.items() if k not in ("dim", "dims", "axis", "keepdim")}
    result = op(v.reshape(v.shape[0], math.prod(v.shape[1:])), *given, dim=1, **kwargs)
    return result[0] if op.__name__ in _PLACES else result


_PLACES = ("max", "min", "median", "nanmedian")  # along a dim they name the places too


def _two_along(level: int, op: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    if op.__name__ in ("max", "min") and len(args) == 1 and isinstance(args[0], Tensor):
        other = _ops.maximum if op.__name__ == "max" else _ops.minimum
        return _elementwise(level, other, x, args[0])
    raise NoRule(f"[vmap] {op.__name__} with arguments that differ between the items")


_REDUCTIONS = """sum mean prod amax amin max min argmax argmin all any std var nansum nanmean logsumexp count_nonzero
median nanmedian _vector_norm""".split()
for _name in _REDUCTIONS:
    RULES[_name] = _along(2 if _name == "_vector_norm" else 1)
for _name in ("std_mean", "var_mean"):
    RULES[_name] = _along(1)
for _name in "softmax log_softmax cumsum cumprod logcumsumexp cummax cummin unfold select narrow unbind".split():
    RULES[_name] = _along(1, 0 if _name == "unbind" else None)
for _name in ("sort", "argsort", "mode"):
    RULES[_name] = _along(1, -1)
for _name in ("topk", "kthvalue"):
    RULES[_name] = _along(2, -1)
for _name in ("split", "chunk", "split_with_sizes", "tensor_split"):
    RULES[_name] = _along(2, 0)
RULES["roll"] = _along(2)


@_rule("flip")
def _flipped(level: int, op: Any, x: Any, *dims: Any) -> Any:
    return op(x.value, _shifted(x, sizes_of(dims)))


@_rule("unsqueeze")
def _unsqueeze(level: int, op: Any, x: Any, dim: int) -> Any:
    return op(x.value, _shifted(x, dim, 1))


@_rule("squeeze")
def _squeeze(level: int, op: Any, x: Any, dim: Any = None) -> Any:
    if dim is None:
        return x.value.reshape(x.value.shape[0], *(n for n in x.shape if n != 1))
    return op(x.value, _shifted(x, dim))


@_rule("transpose swapaxes swapdims movedim moveaxis")
def _swapped(level: int, op: Any, x: Any, a: Any, b: Any) -> Any:
    return op(x.value, _shifted(x, a), _shifted(x, b))


@_rule("t")
def _turned(level: int, op: Any, x: Any) -> Any:
    return x.value if x.dim() < 2 else x.value.transpose(1, 2)


@_rule("permute")
def _permuted(level: int, op: Any, x: Any, *dims: Any) -> Any:
    return op(x.value, (0, *_shifted(x, sizes_of(dims))))


@_rule("reshape view")
def _reshaped(level: int, op: Any, x: Any, *shape: Any) -> Any:
    sizes = list(sizes_of(shape))
    if -1 in sizes:
        known = int(eg.Size([n for n in sizes if n != -1]).numel())
        sizes[sizes.index(-1)] = x.numel() // max(known, 1)
    if int(eg.Size(sizes).numel()) != x.numel():
        raise NoRule("[vmap] another number of elements")
    return x.value.reshape(x.value.shape[0], *sizes)


@_rule("expand broadcast_to")
def _expanded(level: int, op: Any, x: Any, *size: Any) -> Any:
    sizes = sizes_of(size)
    v = lifted(x, level, len(sizes))
    return v.expand(v.shape[0], *sizes)


@_rule("repeat")
def _repeated(level: int, op: Any, x: Any, *size: Any) -> Any:
    sizes = sizes_of(size)
    return lifted(x, level, len(sizes)).repeat(1, *sizes)


@_rule("flatten")
def _flattened(level: int, op: Any, x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    if not x.dim():
        return x.value.unsqueeze(1)
    return op(x.value, _shifted(x, start_dim), _shifted(x, end_dim))


@_rule("unflatten")
def _unflattened(level: int, op: Any, x: Any, dim: int, sizes: Any) -> Any:
    return op(x.value, _shifted(x, dim), sizes)


@_rule("diagonal")
def _diagonal(level: int, op: Any, x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    return op(x.value, offset, _shifted(x, dim1), _shifted(x, dim2))


@_rule("as_strided as_strided_copy")
def _strided(
    level: int, op: Any, x: Any, size: Any, stride: Any, storage_offset: int | None = None
) -> Any:
    v = x.value  # the offset is that of the first item
    return op(v, (v.shape[0], *size), (v.stride(0), *stride), storage_offset)


@_rule("diag_embed")
def _diag_embedded(level: int, op: Any, x: Any, offset: int = 0) -> Any:
    return op(x.value, offset)


@_rule(
    "_check_matrices _eigh _first_nonzero _qr _slogdet _svd _matrix_exp linalg_cholesky_ex linalg_inv_ex"
)
def _of_a_matrix(level: int, op: Any, x: Any, *args: Any) -> Any:
    return op(x.value, *args)


def _matrices(level: int, *given: Any) -> list[Any]:
    """Whole batches of the same rank."""
    rank = max(x.dim() for x in given)
    return [lifted(Batched(whole_of(x, level), level), level, rank) for x in given]


@_rule("linalg_solve_triangular cholesky_solve")
def _of_two_matrices(level: int, op: Any, a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
    return op(*_matrices(level, a, b), *args, **kwargs)


@_rule("linalg_solve_ex")
def _solved(level: int, op: Any, a: Any, b: Any) -> Any:
    vector = b.dim() == 1
    if not vector and b.dim() < a.dim():
        raise NoRule("[vmap] a batch of vectors")
    x, info = op(*_matrices(level, a, b.unsqueeze(1) if vector else b))
    return x.squeeze(-1) if vector else x, info


@_rule("_cross")
def _crossed(level: int, op: Any, a: Any, b: Any, dim: Any = None) -> Any:
    a, b = _matrices(level, a, b)
    return op(a, b, _shifted(Batched(a, level), dim))


@_rule("gru_cell rnn_tanh_cell rnn_relu_cell lstm_cell")
def _cell(level: int, op: Any, x: Any, state: Any, *weights: Any) -> Any:
    if level_of(weights) == level or x.dim() != 2:
        raise NoRule("[vmap] a cell with weights of each item")
    whole = [
        whole_of(t, level) for t in (x, *(state if isinstance(state, (list, tuple)) else [state]))
    ]
    size = tuple(whole[0].shape[:2])
    x, *states = (t.flatten(0, 1) for t in whole)
    y = op(x, states[0] if isinstance(state, Tensor) else tuple(states), *weights)
    return y.unflatten(0, size) if isinstance(y, Tensor) else tuple(t.unflatten(0, size) for t in y)


@_rule("constant_pad_nd one_hot")
def _last_dims(level: int, op: Any, x: Any, *args: Any) -> Any:
    if level_of(args) == level or (op.__name__ == "one_hot" and args[:1] in ((), (-1,))):
        raise NoRule(f"[vmap] options of {op.__name__} that differ between the items")
    return op(x.value, *args)


@_rule("tril triu")
def _triangle(level: int, op: Any, x: Any, diagonal: int = 0) -> Any:
    if x.dim() < 2:
        raise NoRule("[vmap] a triangle of a vector")
    return op(x.value, diagonal)


@_rule("stack")
def _stacked(level: int, op: Any, tensors: Any, dim: int = 0) -> Any:
    _one_dtype(tensors)
    return op([whole_of(x, level) for x in tensors], _shifted(tensors[0], dim, 1))


@_rule("cat concat concatenate")
def _joined(level: int, op: Any, tensors: Any, dim: int = 0) -> Any:
    return op([whole_of(x, level) for x in tensors], _shifted(tensors[0], dim))


@_rule("broadcast_tensors")
def _broadcast(level: int, op: Any, *tensors: Any) -> Any:
    tensors = tuple(tensors[0]) if isinstance(tensors[0], (list, tuple)) else tensors
    return op(*_matrices(level, *tensors))


@_rule("index_add index_copy")
def _index_added(
    level: int, op: Any, x: Any, dim: int, index: Any, source: Any, **kwargs: Any
) -> Any:
    if level_of(index) == level or not x.dim():
        raise NoRule("[vmap] an index of each item")
    return op(whole_of(x, level), _shifted(x, dim), index, whole_of(source, level), **kwargs)


@_rule("hstack vstack", of_items=True)
def _side_by_side(level: int, op: Any, tensors: Any) -> Any:
    if op.__name__ == "hstack":
        parts = [x if x.dim() else x.unsqueeze(0) for x in tensors]
        dim = 0 if parts[0].dim() == 1 else 1
    else:
        parts = [x if x.dim() > 1 else x.reshape(1, -1) for x in tensors]
        dim = 0
    return _ops.cat(parts, dim).value


@_rule("diag")
def _diag(level: int, op: Any, x: Any, diagonal: int = 0) -> Any:
    return _ops.diag_embed(x.value, diagonal) if x.dim() == 1 else x.value.diagonal(diagonal, 1, 2)


@_rule("diff")
def _difference(level: int, op: Any, x: Any, n: int = 1, dim: int = -1) -> Any:
    return op(x.value, n, _shifted(x, dim))


@_rule("repeat_interleave")
def _repeated_each(level: int, op: Any, x: Any, repeats: int, dim: int) -> Any:
    return op(x.value, repeats, _shifted(x, dim))


@_rule("tile")
def _tiled(level: int, op: Any, x: Any, *dims: Any) -> Any:
    sizes = sizes_of(dims)
    sizes = (1,) * (x.dim() - len(sizes)) + sizes
    return lifted(x, level, len(sizes)).repeat(1, *sizes)


@_rule("index_select")
def _index_select(level: int, op: Any, x: Any, dim: int, index: Any) -> Any:
    if level_of(index) == level:
        raise NoRule("[vmap] an index of each item")
    return op(x.value, _shifted(x, dim), index)


@_rule("gather scatter scatter_add")
def _gathered(level: int, op: Any, x: Any, dim: int, index: Any, *src: Any, **kwargs: Any) -> Any:
    if not x.dim():
        raise NoRule("[vmap] a dim of a number")
    src = tuple(whole_of(s, level) if isinstance(s, Tensor) else s for s in src)
    return op(whole_of(x, level), _shifted(x, dim), whole_of(index, level), *src, **kwargs)


# -- products --------------------------------------------------------------------------------------------------------


@_rule("matmul mm mv bmm dot inner vdot", of_items=True)
def _product(level: int, op: Any, a: Any, b: Any) -> Any:
    if op.__name__ == "inner" and (a.dim() != 1 or b.dim() != 1):
        raise NoRule("[vmap] inner of matrices")
    if not a.dim() or not b.dim():
        raise NoRule("[vmap] a product of numbers")
    mine, yours = is_at(a, level), is_at(b, level)
    if mine and not yours and b.dim() <= 2:
        return _ops.matmul(a.value, b)
    if yours and not mine and b.dim() == 1 and a.dim() == 2:
        return _ops.matmul(b.value, a.transpose(0, 1))
    if a.dim() == 1 and b.dim() == 1:
        return (lifted(a, level, 1) * lifted(b, level, 1)).sum(-1)
    row, column = a.dim() == 1, b.dim() == 1
    a, b = a.unsqueeze(0) if row else a, b.unsqueeze(1) if column else b
    rank = max(a.dim(), b.dim())
    y = _ops.matmul(lifted(a, level, rank), lifted(b, level, rank))
    y = y.squeeze(-2) if row else y
    return y.squeeze(-1) if column else y


@_rule("outer ger", of_items=True)
def _outer(level: int, op: Any, a: Any, b: Any) -> Any:
    return (a.unsqueeze(1) * b.unsqueeze(0)).value


@_rule("addmm addmv baddbmm", of_items=True)
def _added(level: int, op: Any, x: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    if not x.is_floating_point():
        raise NoRule("[vmap] factors that are cut to whole numbers")
    y = _ops.matmul(a, b)
    y = y if alpha == 1 else y * alpha
    return ((x if beta == 1 else x * beta) + y).value


@_rule("linear", of_items=True)
def _linear(level: int, op: Any, x: Any, weight: Any, bias: Any = None) -> Any:
    if level_of([weight, bias]) < level:
        return op(x.value, weight, bias)
    y = _ops.matmul(x, weight.transpose(0, 1))
    return (y if bias is None else y + bias).value


# -- layers ----------------------------------------------------------------------------------------------------------


@_rule("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d", of_items=True)
def _convolution(
    level: int, op: Any, x: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any
) -> Any:
    spatial = int(op.__name__[-2])
    if bias is not None and level_of([weight, bias]) == level:
        y = op(x, weight, None, *args, **kwargs)
        return (y + bias.reshape(-1, *(1,) * spatial)).value
    single = x.dim() == spatial + 1
    if level_of(weight) < level:
        if single:
            return op(x.value, weight, bias, *args, **kwargs)
        return _folded(lambda v: op(v, weight, bias, *args, **kwargs), x)
    # Items have kernels of their own: they are groups of one convolution.
    kwargs = _named_groups(op, args, kwargs)
    v, w = whole_of(x, level), weight.value
    v = v.unsqueeze(1) if single else v
    items, n = v.shape[:2]
    kwargs["groups"] *= items
    y = op(v.transpose(0, 1).flatten(1, 2), w.flatten(0, 1), None, **kwargs)
    y = y.reshape(n, items, -1, *y.shape[2:]).transpose(0, 1)
    return y.squeeze(1) if single else y


def _named_groups(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    names = ["stride", "padding", "dilation", "groups"]
    if "transpose" in op.__name__:
        names = ["stride", "padding", "output_padding", "groups", "dilation"]
    return {"groups": 1, **dict(zip(names, args, strict=False)), **kwargs}


def _folded(f: Callable[[Any], Any], x: Any) -> Any:
    """f of the items' batches as one batch, taken apart again."""
    v = x.value
    if v.dim() < 3:
        raise NoRule("[vmap] a layer on a vector")
    y = f(v.flatten(0, 1))
    apart = lambda t: t.unflatten(0, tuple(v.shape[:2]))  # noqa: E731
    return apart(y) if isinstance(y, Tensor) else tuple(apart(t) for t in y)


@_rule(
    """avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices
    max_pool3d_with_indices adaptive_avg_pool adaptive_max_pool pad_mode upsample"""
)
def _each_channel(level: int, op: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """A layer that treats all channels alike: items without a batch are taken for a batch of one channel."""
    if level_of([*args, *kwargs.values()]) == level:
        raise NoRule(f"[vmap] options of {op.__name__} that differ between the items")
    return _folded(lambda v: op(v, *args, **kwargs), x)


@_rule("layer_norm rms_norm", of_items=True)
def _norm_last(level: int, op: Any, x: Any, shape: Any, weight: Any = None, *rest: Any) -> Any:
    if level_of([weight, *rest]) < level:
        return op(x.value, shape, weight, *rest)
    bias, eps = (rest[0], rest[1:]) if op.__name__ == "layer_norm" and rest else (None, rest)
    affine = (None, None) if op.__name__ == "layer_norm" else (None,)
    y = op(x, shape, *affine, *eps)
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias).value


@_rule("dropout feature_dropout")
def _dropout(level: int, op: Any, x: Any, p: float, train: bool) -> Any:
    if p != 0 and train:
        raise NoRule("[vmap] random numbers of each item")
    return op(x.value, p, train)


@_rule("group_norm", of_items=True)
def _group_norm(
    level: int, op: Any, x: Any, groups: int, weight: Any = None, bias: Any = None, *rest: Any
) -> Any:
    if level_of([weight, bias]) < level:
        return _folded(lambda v: op(v, groups, weight, bias, *rest), x)
    y = op(x, groups, None, None, *rest)
    tail = (1,) * (x.dim() - 2)
    y = y if weight is None else y * weight.reshape(-1, *tail)
    return (y if bias is None else y + bias.reshape(-1, *tail)).value


@_rule("batch_norm", of_items=True)
def _batch_norm(
    level: int, op: Any, x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: bool,
    momentum: float, eps: float,
) -> Any:  # fmt: skip
    if training or mean is None:
        raise NoRule("[vmap] statistics of a batch")
    shape = (-1, *(1,) * (x.dim() - 2))
    mean, var = mean.detach(), var.detach()
    y = (x - mean.reshape(shape)) * (var + eps).rsqrt().reshape(shape)
    y = y if weight is None else y * weight.reshape(shape)
    return (y if bias is None else y + bias.reshape(shape)).value


@_rule("embedding")
def _embedding(level: int, op: Any, index: Any, weight: Any, *args: Any) -> Any:
    if level_of(weight) < level:
        return op(index.value, weight, *args)
    if any(args[1:]) or (args and args[0] not in (None, -1)):
        raise NoRule("[vmap] options of embedding")
    index = whole_of(index, level)
    items, rows = weight.value.shape[:2]
    first = (eg.arange(items, device=index.device) * rows).reshape(items, *(1,) * (index.dim() - 1))
    return op(index + first, weight.value.flatten(0, 1))


@_rule("scaled_dot_product_attention")
def _attention(
    level: int, op: Any, q: Any, k: Any, v: Any, mask: Any = None, causal: bool = False,
    scale: Any = None, *rest: Any,
) -> Any:  # fmt: skip
    q, k, v = _matrices(level, q, k, v)
    if mask is not None:
        mask = lifted(mask, level, q.dim() - 1)
    return op(q, k, v, mask, causal, scale, *rest)


# -- losses ----------------------------------------------------------------------------------------------------------


def _summed_up(y: Any, reduction: str, count: Any = None) -> Any:
    """The losses of a batch's elements, reduced for each item."""
    if reduction == "none":
        return y
    y = y.reshape(y.shape[0], -1)
    total = y.sum(1)
    if reduction == "sum":
        return total
    return total / (y.shape[1] if count is None else count)


@_rule("mse_loss l1_loss smooth_l1_loss huber_loss kl_div")
def _elementwise_loss(
    level: int, op: Any, x: Any, target: Any, reduction: str = "mean", *args: Any
) -> Any:
    if x.shape != target.shape:
        raise NoRule("[vmap] a loss that broadcasts")
    if reduction not in ("none", "mean", "sum"):
        raise NoRule(f"[vmap] reduction={reduction!r}")
    y = op(whole_of(x, level), whole_of(target, level), "none", *args)
    return _summed_up(y, reduction)


@_rule("binary_cross_entropy binary_cross_entropy_with_logits")
def _binary_loss(
    level: int, op: Any, x: Any, target: Any, weight: Any = None, *args: Any, **kwargs: Any
) -> Any:
    if level_of([weight, *args, *kwargs.values()]) == level or x.shape != target.shape:
        raise NoRule("[vmap] weights that differ between the items")
    names = ("pos_weight", "reduction") if "logits" in op.__name__ else ("reduction",)
    options = {**dict(zip(names, args, strict=False)), **kwargs}
    reduction = options.pop("reduction", "mean")
    y = op(whole_of(x, level), whole_of(target, level), weight, reduction="none", **options)
    return _summed_up(y, reduction)


@_rule("cross_entropy nll_loss")
def _class_loss(
    level: int, op: Any, x: Any, target: Any, weight: Any = None, ignore_index: int = -100,
    reduction: str = "mean", *smoothing: Any,
) -> Any:  # fmt: skip
    if weight is not None:
        raise NoRule("[vmap] weights of classes")
    x, target = whole_of(x, level), whole_of(target, level)
    together = x.dim() > 2
    if together:
        batch = x.shape[:2]
        x, target = x.flatten(0, 1), target.flatten(0, 1)
    y = op(x, target, None, ignore_index, "none", *smoothing)
    y = y.unflatten(0, batch) if together else y
    if target.is_floating_point():
        return _summed_up(y, reduction)
    kept = (target != ignore_index).to(y.dtype)
    return _summed_up(y, reduction, kept.reshape(y.shape[0], -1).sum(1))
