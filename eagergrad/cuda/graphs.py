"""Steps recorded once and replayed with one launch: for programs that spend their time launching small kernels."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from eagergrad import _C
from eagergrad.cuda import _runtime
from eagergrad.cuda.streams import Stream

__all__ = ["CUDAGraph", "graph"]


class CUDAGraph:
    """The kernels of a captured step. Their inputs and results are the tensors of the capture: write new inputs into
    the former (``x.copy_(batch)``), read the latter after `replay`.

    The graph keeps its memory, and its random numbers go on with the default generator at each replay. What cannot be
    repeated is refused during the capture, by the name of the operation: reading values on the host (``item()``,
    ``nonzero``), moving tensors between host and device, steps that depend on their number
    (Adam's) unless the optimizer was made with ``capturable=True``, which keeps the number on the device. Options are those of
    the capture, but for a rate ``lr`` that is a tensor on the device.
    RuntimeError where there is no GPU.
    """

    def __init__(self, keep_graph: bool = False) -> None:
        _runtime.start()
        self._graph: Any = None
        self._place: Any = None  # of the random numbers: the graph's name to the allocator, too
        self._stream = Stream()
        self._draws = 0

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        """Record the work that follows instead of doing it. `graph` is the convenient way."""
        import eagergrad as eg

        if self._graph is not None:
            raise RuntimeError("[cuda.graph] this graph was captured already: call reset() first")
        self._place = eg.zeros(
            2, dtype=eg.int64, device=eg.device("cuda", self._stream.device_index)
        )
        self._seed, self._offset = _C.default_generator._state()
        eg.cuda.synchronize()
        self._before = eg.cuda.current_stream()
        self._before.cupy_stream.synchronize()
        self._stream.cupy_stream.use()
        try:
            self._stream.cupy_stream.begin_capture()
        except Exception:
            self._before.cupy_stream.use()
            raise
        _C.cuda_begin_capture(self._place.data_ptr())

    def capture_end(self) -> None:
        """End the record."""
        _C.cuda_end_capture()
        try:
            self._graph = self._stream.cupy_stream.end_capture()
        finally:
            self._before.cupy_stream.use()
            seed, offset = _C.default_generator._state()
            self._draws = offset - self._offset
            _C.default_generator._set_state(seed, self._offset)  # nothing was drawn yet

    def replay(self) -> None:
        """Do the recorded work once more, in the order of the current stream."""
        import numpy as np

        import eagergrad as eg

        if self._graph is None:
            raise RuntimeError("[cuda.graph] nothing was captured: use eagergrad.cuda.graph first")
        if self._draws:
            seed, offset = _C.default_generator._state()
            values = np.array([seed, offset - self._offset], np.uint64).view(np.int64)
            self._place.copy_(eg.from_numpy(values))
            _C.default_generator._set_state(seed, offset + self._draws)
        self._graph.launch(stream=eg.cuda.current_stream().cupy_stream)

    def reset(self) -> None:
        """Forget the record and let go of its memory."""
        self._drop()
        self._stream = Stream()

    def _drop(self) -> None:
        place, self._place, self._graph = self._place, None, None
        if place is not None:
            try:
                _C.cuda_synchronize(place.device.index)  # a replay may be under way
            finally:
                _C.cuda_drop_graph(place.data_ptr())

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter may be ending
            self._drop()


class graph:
    """Captures a step.

    As in PyTorch, ``with eg.cuda.graph(g): step()`` records into a `CUDAGraph`. Given a function instead,
    ``run = eg.cuda.graph(step)`` calls it ``warmup`` times on a stream of its own (so that all lazily made state
    exists), records one call, and ``run()`` replays it and returns what the recorded call returned.
    RuntimeError names the operation that cannot be captured; nothing is left half-captured.
    """

    def __init__(
        self,
        cuda_graph: CUDAGraph | Callable[[], Any],
        pool: Any = None,
        stream: Stream | None = None,
        capture_error_mode: str = "global",
        warmup: int = 3,
    ) -> None:
        if isinstance(cuda_graph, CUDAGraph):
            self.cuda_graph = cuda_graph
            if stream is not None:
                self.cuda_graph._stream = stream
            return
        if not callable(cuda_graph):
            raise TypeError(
                f"[cuda.graph] expected a CUDAGraph or a function, got {type(cuda_graph).__name__}"
            )
        self.cuda_graph = CUDAGraph()
        self._warm(cuda_graph, warmup)
        with self:
            self._result = cuda_graph()

    def _warm(self, step: Callable[[], Any], times: int) -> None:
        import eagergrad as eg

        side = self.cuda_graph._stream
        side.wait_stream(eg.cuda.current_stream())
        with eg.cuda.stream(side):
            for _ in range(times):
                step()
        side.synchronize()

    def __enter__(self) -> CUDAGraph:
        self.cuda_graph.capture_begin()
        return self.cuda_graph

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self.cuda_graph.capture_end()
        except Exception:
            if error is None:
                raise
        if error is not None:
            self.cuda_graph.reset()

    def __call__(self) -> Any:
        """Replay; returns the results of the recorded call, with new values."""
        self.cuda_graph.replay()
        return self._result
