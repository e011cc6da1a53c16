"""Attention of halves by cuDNN: plans made by its Python frontend (the package nvidia-cudnn-frontend), one for each shape and layout.

The core asks for a plan once, proves it against its own kernel, and runs it from then on (csrc/cuda/attention_cudnn.cpp).
"""

from __future__ import annotations

import importlib.util
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from eagergrad import _C


class Request(NamedTuple):
    """What a plan is for. Strides: batch, head and row of each matrix, in elements, in the order of `describe`."""

    backward: bool
    dtype: str
    sizes: tuple[int, ...]  # batch, heads, heads of keys, queries, keys, width, width of values
    scale: float
    causal: bool
    strides: tuple[int, ...]


def describe(cudnn: Any, request: Request, **where: Any) -> tuple[Any, list[Any]]:
    """A graph of cuDNN and its tensors: q, k, v, out, then the rows' statistics if there are strides for them; of a backward pass
    q, k, v, out, the result's gradient, the statistics, dq, dk, dv. `where`: the handle or the device that it is for."""
    batch, heads, kv_heads, queries, keys, width, value_width = request.sizes
    types = cudnn.data_type
    half = types.HALF if request.dtype == "float16" else types.BFLOAT16
    graph = cudnn.pygraph(
        io_data_type=half,
        intermediate_data_type=types.FLOAT,
        compute_data_type=types.FLOAT,
        **where,
    )
    q, k = (batch, heads, queries, width), (batch, kv_heads, keys, width)
    v, out = (batch, kv_heads, keys, value_width), (batch, heads, queries, value_width)
    statistics = (batch, heads, queries, 1)
    shapes = (
        [q, k, v, out, out, statistics, q, k, v] if request.backward else [q, k, v, out, statistics]
    )
    steps = request.strides
    layouts = [
        (list(shape), [*steps[3 * i : 3 * i + 3], 1], types.FLOAT if shape is statistics else half)
        for i, shape in enumerate(shapes[: len(steps) // 3])
    ]
    given = 6 if request.backward else 3
    tensors = [graph.tensor(dim=d, stride=s, data_type=t) for d, s, t in layouts[:given]]
    options = {"attn_scale": request.scale, "use_causal_mask": request.causal}
    if request.backward:
        made = graph.sdpa_backward(*tensors, use_deterministic_algorithm=True, **options)
    else:
        made = graph.sdpa(*tensors, is_inference=len(layouts) == 4, **options)
    for tensor, (dim, stride, dtype) in zip(made, layouts[given:], strict=False):
        tensor.set_output(True).set_dim(dim).set_stride(stride).set_data_type(dtype)
        tensors.append(tensor)
    return graph, tensors


def choose(cudnn: Any, graph: Any) -> None:
    """Find out how cuDNN computes a graph; an exception if it does not."""
    graph.validate()
    graph.build_operation_graph()
    graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
    graph.check_support()


_handles: dict[int, Any] = {}  # by device; one serves one thread at a time
_lock = threading.Lock()


def plan(device: int, *request: Any) -> tuple[int, Callable[..., str]] | None:
    """The bytes of workspace and the function that computes; None if cuDNN does not do this. The device is the thread's."""
    try:
        import cudnn

        with _lock:
            if device not in _handles:
                _handles[device] = cudnn.create_handle()
            handle = _handles[device]
            graph, tensors = describe(cudnn, Request(*request), handle=handle)
            choose(cudnn, graph)
            graph.build_plans()
            names = [t.get_uid() for t in tensors]
            workspace = graph.get_workspace_size()
    except Exception:  # whatever keeps it from doing this, there are kernels that can
        return None

    def run(addresses: Sequence[int], at: int, stream: int) -> str:
        try:
            with _lock:
                cudnn.set_stream(handle=handle, stream=stream)
                graph.execute(dict(zip(names, addresses, strict=True)), at, handle=handle)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    return workspace, run


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=2)


def install() -> None:
    """Let the core ask for plans where the frontend is installed. It is imported when the first one is made."""
    found = importlib.util.find_spec("cudnn") is not None
    _C.cudnn_attention_planner(plan if found else None, _warn)
