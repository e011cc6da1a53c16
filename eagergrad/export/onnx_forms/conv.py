"""Convolution, pooling, padding and resizing."""

from __future__ import annotations

from typing import Any

import numpy as np

from eagergrad.export._onnx_graph import Graph, NoForm, Val
from eagergrad.export.onnx_forms.forms import _list, form
from eagergrad.export.onnx_forms.reduce import _reduced


def _batched(g: Graph, x: Val, rank: int) -> tuple[str, bool]:
    alone = len(x.shape) == rank - 1
    return (g.node("Unsqueeze", x.name, g.ints([0])), True) if alone else (x.name, False)


def _unbatched(g: Graph, y: str, alone: bool) -> str:
    return g.node("Squeeze", y, g.ints([0])) if alone else y


@form("conv1d conv2d conv3d")
def _conv(g: Graph, input: Val, weight: Val, bias: Val | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
          groups: int = 1, **options: Any) -> str:  # fmt: skip
    n = len(weight.shape) - 2
    x, alone = _batched(g, input, n + 2)
    dilation = _list(dilation, n)
    if padding == "same":
        whole = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        pads = [w // 2 for w in whole] + [w - w // 2 for w in whole]
    else:
        pads = ([0] * n if padding == "valid" else _list(padding, n)) * 2
    y = g.node("Conv", x, weight.name, *([] if bias is None else [bias.name]), strides=_list(stride, n), pads=pads,
               dilations=dilation, group=groups)  # fmt: skip
    return _unbatched(g, y, alone)


@form("conv_transpose1d conv_transpose2d conv_transpose3d")
def _conv_transpose(g: Graph, input: Val, weight: Val, bias: Val | None = None, stride: Any = 1, padding: Any = 0,
                    output_padding: Any = 0, groups: int = 1, dilation: Any = 1, **options: Any) -> str:  # fmt: skip
    n = len(weight.shape) - 2
    x, alone = _batched(g, input, n + 2)
    y = g.node("ConvTranspose", x, weight.name, *([] if bias is None else [bias.name]), strides=_list(stride, n), group=groups,
               pads=_list(padding, n) * 2, output_padding=_list(output_padding, n), dilations=_list(dilation, n))  # fmt: skip
    return _unbatched(g, y, alone)


@form(
    "max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices"
)
def _max_pool(g: Graph, input: Val, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
              ceil_mode: bool = False, *, name: str, **options: Any) -> Any:  # fmt: skip
    n = int(name[8])
    x, alone = _batched(g, input, n + 2)
    kernel = _list(kernel_size, n)
    y = g.node("MaxPool", x, kernel_shape=kernel, strides=_list(stride, n) if stride not in (None, ()) else kernel,
               pads=_list(padding, n) * 2, dilations=_list(dilation, n), ceil_mode=int(ceil_mode))  # fmt: skip
    y = _unbatched(g, y, alone)
    return [y, None] if name.endswith("indices") else y


@form("avg_pool1d avg_pool2d avg_pool3d")
def _avg_pool(g: Graph, input: Val, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
              count_include_pad: bool = True, divisor_override: Any = None, *, name: str, **options: Any) -> str:  # fmt: skip
    if ceil_mode or divisor_override is not None:
        raise NoForm("averages with ceil_mode or divisor_override")
    n = int(name[8])
    x, alone = _batched(g, input, n + 2)
    kernel = _list(kernel_size, n)
    y = g.node("AveragePool", x, kernel_shape=kernel, strides=_list(stride, n) if stride not in (None, ()) else kernel,
               pads=_list(padding, n) * 2, count_include_pad=int(count_include_pad))  # fmt: skip
    return _unbatched(g, y, alone)


@form("adaptive_avg_pool adaptive_max_pool adaptive_max_pool1d")
def _adaptive(g: Graph, input: Val, output_size: Any, *, name: str, **options: Any) -> Any:
    sizes = _list(output_size, 1)
    n, x = len(sizes), input.name
    kind = "Mean" if name == "adaptive_avg_pool" else "Max"
    lead = len(input.shape) - n
    for k, out in enumerate(sizes):
        axis, size = lead + k, input.shape[lead + k]
        if out == size:
            continue
        if out == 1:
            x = _reduced(g, f"Reduce{kind}", x, [axis], True)
            continue
        bounds = [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]
        parts = [
            _reduced(g, f"Reduce{kind}", g.slice(x, [(axis, a, b, 1)]), [axis], True)
            for a, b in bounds
        ]
        x = g.node("Concat", *parts, axis=axis)
    return [x, None] if name == "adaptive_max_pool" else x


@form("constant_pad_nd pad_mode")
def _pad(
    g: Graph,
    input: Val,
    pad: Any,
    value: Any = 0,
    *,
    name: str,
    mode: Any = None,
    dtype: Any,
    **options: Any,
) -> str:
    rank, n = len(input.shape), len(pad) // 2
    before, after = [0] * rank, [0] * rank
    for k in range(n):
        before[rank - 1 - k], after[rank - 1 - k] = pad[2 * k : 2 * k + 2]
    cut = [d for d in range(rank) if before[d] < 0 or after[d] < 0]
    x = input.name
    if cut:
        x = g.slice(
            x, [(d, -min(before[d], 0), min(after[d], 0) or np.iinfo(np.int64).max, 1) for d in cut]
        )
        before, after = [max(n, 0) for n in before], [max(n, 0) for n in after]
    if name == "constant_pad_nd":
        return g.node("Pad", x, g.ints(before + after), g.number(value, dtype), mode="constant")
    kind = mode or value
    return g.node(
        "Pad",
        x,
        g.ints(before + after),
        mode={"replicate": "edge", "circular": "wrap"}.get(kind, kind),
    )


@form("upsample")
def _upsample(g: Graph, input: Val, size: Any, factors: Any, mode: str, align_corners: bool = False, antialias: bool = False,
              *, shape: tuple[Any, ...], **options: Any) -> str:  # fmt: skip
    if antialias:
        raise NoForm("antialias")
    how: dict[str, Any]
    if mode == "nearest":
        how = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
    elif mode == "nearest-exact":
        how = {
            "mode": "nearest",
            "coordinate_transformation_mode": "half_pixel",
            "nearest_mode": "round_prefer_ceil",
        }
    else:
        where = "align_corners" if align_corners else "pytorch_half_pixel"
        how = {
            "mode": "cubic" if mode == "bicubic" else "linear",
            "coordinate_transformation_mode": where,
            "cubic_coeff_a": -0.75,
        }
    if factors and not align_corners:
        scales = np.asarray([1, 1, *factors], np.float32)
        return g.node("Resize", input.name, "", g.constant(scales), **how)
    return g.node("Resize", input.name, "", "", g.shape_of(shape), **how)


@form("pixel_shuffle")
def _pixel_shuffle(g: Graph, input: Val, upscale_factor: int, **options: Any) -> str:
    return g.node("DepthToSpace", input.name, blocksize=upscale_factor, mode="CRD")
