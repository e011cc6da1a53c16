"""Queues of GPU work. A stream that is current here is CuPy's current stream, and the other way round."""

from __future__ import annotations

from typing import Any

from eagergrad.cuda import _runtime

__all__ = [
    "Event",
    "ExternalStream",
    "Stream",
    "StreamContext",
    "current_stream",
    "default_stream",
    "set_stream",
    "stream",
]


class Event:
    """A mark in a queue of GPU work, for waiting and for timing. RuntimeError where there is no GPU.

    `enable_timing` is needed for `elapsed_time`; `blocking` makes `synchronize` sleep instead of spin.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        if interprocess:
            raise ValueError("[cuda.Event] events are not shared between processes")
        _runtime.start()
        self.cupy_event = _runtime.import_cupy().cuda.Event(
            block=blocking, disable_timing=not enable_timing
        )

    def record(self, stream: Stream | None = None) -> None:
        """Put the mark at the end of what a stream (default: the current one) has been given so far."""
        self.cupy_event.record((current_stream() if stream is None else stream).cupy_stream)

    def wait(self, stream: Stream | None = None) -> None:
        """Let a stream (default: the current one) go on only after the mark."""
        (current_stream() if stream is None else stream).wait_event(self)

    def query(self) -> bool:
        """Return whether everything before the mark is done."""
        return self.cupy_event.done

    def synchronize(self) -> None:
        """Wait for everything before the mark."""
        self.cupy_event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Return the milliseconds from this mark to another; both must have been reached."""
        return _runtime.import_cupy().cuda.get_elapsed_time(self.cupy_event, end_event.cupy_event)


class Stream:
    """A queue of GPU work that runs beside others. RuntimeError where there is no GPU."""

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        number = _runtime.checked_index(device)
        cupy = _runtime.import_cupy()
        with cupy.cuda.Device(number):
            self._take(cupy.cuda.Stream(non_blocking=True, priority=priority), number)

    def _take(self, cupy_stream: Any, number: int) -> None:
        self.cupy_stream, self.device_index = cupy_stream, number

    @classmethod
    def of(cls, cupy_stream: Any, number: int) -> Stream:
        """Wrap a stream of CuPy's."""
        made = cls.__new__(Stream)
        made._take(cupy_stream, number)
        return made

    @property
    def cuda_stream(self) -> int:
        """The address that CUDA libraries know the stream by."""
        return self.cupy_stream.ptr

    @property
    def device(self) -> Any:
        """The stream's GPU."""
        import eagergrad as eg

        return eg.device("cuda", self.device_index)

    def query(self) -> bool:
        """Return whether the stream has nothing left to do."""
        return self.cupy_stream.done

    def synchronize(self) -> None:
        """Wait until the stream has done all its work."""
        self.cupy_stream.synchronize()

    def record_event(self, event: Event | None = None) -> Event:
        """Put a mark, new if none is given, at the end of the stream's work so far; returns it."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Go on only after a mark."""
        self.cupy_stream.wait_event(event.cupy_event)

    def wait_stream(self, stream: Stream) -> None:
        """Go on only after what another stream has been given so far."""
        self.wait_event(stream.record_event())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.cuda_stream == other.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)

    def __repr__(self) -> str:
        return f"<eagergrad.cuda.Stream device=cuda:{self.device_index} cuda_stream={self.cuda_stream:#x}>"


class ExternalStream(Stream):
    """A stream that another library made, by its address."""

    def __init__(self, stream_ptr: int, device: Any = None) -> None:
        number = _runtime.checked_index(device)
        cuda = _runtime.import_cupy().cuda
        if hasattr(cuda.Stream, "from_external"):  # from CuPy 14 on, which warns of the other
            self._take(cuda.Stream.from_external(_Address(stream_ptr)), number)
        else:
            self._take(cuda.ExternalStream(stream_ptr, number), number)


class _Address:
    """A stream by CUDA's protocol for Python."""

    def __init__(self, address: int) -> None:
        self.address = address

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.address  # the protocol's version first


def current_stream(device: Any = None) -> Stream:
    """Return the stream that work is given to now; RuntimeError where there is no GPU."""
    number = _runtime.checked_index(device)
    return Stream.of(_runtime.import_cupy().cuda.get_current_stream(), number)


def default_stream(device: Any = None) -> Stream:
    """Return the stream that is current unless another is chosen; RuntimeError where there is no GPU."""
    return Stream.of(_runtime.import_cupy().cuda.Stream.null, _runtime.checked_index(device))


def set_stream(stream: Stream | None) -> None:
    """Make a stream current; None changes nothing."""
    if stream is not None:
        stream.cupy_stream.use()


class StreamContext:
    """Use a stream within a ``with`` block; None changes nothing."""

    def __init__(self, stream: Stream | None) -> None:
        if stream is not None:
            _runtime.start()
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            self.stream.cupy_stream.__enter__()

    def __exit__(self, *exc: Any) -> None:
        if self.stream is not None:
            self.stream.cupy_stream.__exit__(*exc)


def stream(stream: Stream | None) -> StreamContext:
    """Use a stream within a ``with`` block; None changes nothing."""
    return StreamContext(stream)
