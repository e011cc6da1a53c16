"""The tape as users see it: its nodes, places on it, and hooks of the values it keeps for backward."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from eagergrad import _C
from eagergrad._C import Node
from eagergrad.autograd.grad_mode import _Mode
from eagergrad.autograd.growth import GrowingGraphWarning
from eagergrad.utils.hooks import RemovableHandle

if TYPE_CHECKING:
    from eagergrad.autograd.tape_view import Tape, TapeEntry, tape

__all__ = [
    "GradientEdge",
    "GrowingGraphWarning",
    "Node",
    "Tape",
    "TapeEntry",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
    "tape",
]


def __getattr__(name: str) -> Any:
    if name in ("Tape", "TapeEntry", "tape"):
        from eagergrad.autograd import tape_view

        return getattr(tape_view, name)
    raise AttributeError(f"module 'eagergrad.autograd.graph' has no attribute {name!r}")


# --- places on the tape ---------------------------------------------------------------------------------------


class GradientEdge(NamedTuple):
    """Where a gradient arrives: output ``output_nr`` of a node. It stands for the tensor in `grad` and `backward`."""

    node: Any
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The place on the tape to which the gradient of a tensor flows.

    Raises RuntimeError if the tensor requires no gradient.

    >>> import eagergrad as eg
    >>> x = eg.tensor(3.0, requires_grad=True)
    >>> y = x * x
    >>> edge = eg.autograd.graph.get_gradient_edge(y)
    >>> eg.autograd.grad(y.exp(), edge)[0] == y.exp()
    tensor(True)
    """
    place = _C.place_of(tensor)
    if place is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require gradients"
        )
    return GradientEdge(*place)


def as_tensors(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same with a stand-in tensor for each edge."""
    return tuple(
        _C.stand_in(x.node, x.output_nr) if isinstance(x, GradientEdge) else x for x in items
    )


def leaves_of(tensors: Iterable[Any], beyond: Iterable[Any] = ()) -> Iterator[Any]:
    """The leaves that a backward pass from the tensors would reach, but for what lies beyond others; some may come twice."""
    tensors = list(tensors)
    yield from (t for t in tensors if t.is_leaf and t.requires_grad)
    seen = {t.grad_fn for t in beyond if t.grad_fn is not None}
    stack = [t.grad_fn for t in tensors if t.grad_fn is not None]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)  # of its AccumulateGrad
        if leaf is not None:
            yield leaf
        stack += [parent for parent, _ in node.next_functions if parent is not None]


def increment_version(tensor: Any) -> None:
    """Tells the tape that the memory of a tensor, or of several, was written behind its back."""
    for t in (tensor,) if isinstance(tensor, _C.TensorBase) else tensor:
        _C.mark_written(t)


# --- hooks of saved tensors -----------------------------------------------------------------------------------

_local = threading.local()  # disabled: the message of disable_saved_tensors_hooks


def _refuse_if_disabled() -> None:
    message = getattr(_local, "disabled", None)
    if message is not None:
        raise RuntimeError(message)


class saved_tensors_hooks:
    """Inside, each tensor kept for backward is replaced by ``pack_hook(tensor)``; backward reads
    ``unpack_hook(packed)`` instead, which must return a tensor of the same values. Leaves come as they are, so that a hook
    can tell parameters, other tensors detached. Hooks are not recorded.

    Raises RuntimeError where `disable_saved_tensors_hooks` is in force, and in backward if a hook
    returned a tensor of another shape.

    >>> import eagergrad as eg
    >>> seen = []
    >>> x = eg.tensor([1.0, 2.0], requires_grad=True)
    >>> with eg.autograd.graph.saved_tensors_hooks(lambda t: (seen.append(t), t)[1], lambda t: t):
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> len(seen), x.grad.tolist()
    (2, [2.0, 4.0])
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        _refuse_if_disabled()
        _C.push_saved_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *exception: object) -> None:
        _C.pop_saved_hooks()


class save_on_cpu(saved_tensors_hooks):
    """Keeps what backward needs in the host's memory and moves it back when backward reads it.

    >>> import eagergrad as eg
    >>> x = eg.tensor(2.0, requires_grad=True)
    >>> with eg.autograd.graph.save_on_cpu():
    ...     y = x**3
    >>> y.backward()
    >>> x.grad
    tensor(12.)
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(tensor: Any) -> Any:
            kept = tensor.cpu()
            return tensor.device, kept.pin_memory() if pin_memory else kept

        def unpack(packed: Any) -> Any:
            device, tensor = packed
            return tensor.to(device, non_blocking=pin_memory)

        super().__init__(pack, unpack)


class disable_saved_tensors_hooks(_Mode):
    """Inside, or in the decorated function, entering `saved_tensors_hooks` raises RuntimeError with this message."""

    def __init__(self, error_message: str, fail_if_non_empty: bool = True) -> None:
        self.error_message = error_message
        self.fail_if_non_empty = fail_if_non_empty

    def clone(self) -> disable_saved_tensors_hooks:
        return disable_saved_tensors_hooks(self.error_message, self.fail_if_non_empty)

    def __enter__(self) -> None:
        if self.fail_if_non_empty and _C.saved_hooks() is not None:
            raise RuntimeError(self.error_message)
        self.before = getattr(_local, "disabled", None)
        _local.disabled = self.error_message

    def __exit__(self, *exception: object) -> None:
        _local.disabled = self.before


# --- writing to saved tensors ---------------------------------------------------------------------------------


class _Kept:
    """The value of a saved tensor: the tensor's own memory until somebody is about to write there."""

    def __init__(self, tensor: Any, mode: _Mutations) -> None:
        self.tensor = tensor
        self.mode = mode


class _Mutations:
    """What `allow_mutation_on_saved_tensors` gives: ``clear()`` drops its notes."""

    def __init__(self) -> None:
        self._kept: dict[int, weakref.WeakSet[_Kept]] = {}
        self.active = True

    def pack(self, tensor: Any) -> _Kept:
        kept = _Kept(tensor, self)
        self._kept.setdefault(_memory(tensor), weakref.WeakSet()).add(kept)
        return kept

    @staticmethod
    def unpack(kept: _Kept) -> Any:
        if not kept.mode.active:
            raise AssertionError(
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context in "
                "which the graph was originally recorded."
            )
        return kept.tensor

    def before_write(self, tensor: Any) -> None:
        for kept in self._kept.pop(_memory(tensor), ()):
            kept.tensor = kept.tensor.detach().clone()

    def clear(self) -> None:
        self._kept.clear()


def _memory(tensor: Any) -> int:
    return int(tensor.data_ptr() - tensor.storage_offset() * tensor.element_size())


def before_write(tensor: Any) -> None:
    """Called by the core with a tensor that is about to be written in place."""
    for mode in getattr(_local, "mutations", ()):
        mode.before_write(tensor)


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[_Mutations]:
    """Inside, tensors that backward needs may be written in place: their values are copied when that happens.

    Backward must run inside as well; outside it raises AssertionError.

    >>> import eagergrad as eg
    >>> a = eg.ones(2, 3, requires_grad=True)
    >>> with eg.autograd.graph.allow_mutation_on_saved_tensors():
    ...     b = a.clone()
    ...     out = (b**2).sum()
    ...     b.sin_()
    ...     out.backward()
    tensor([[0.8415, 0.8415, 0.8415],
            [0.8415, 0.8415, 0.8415]], grad_fn=<SinBackward0>)
    >>> a.grad[0, 0]
    tensor(2.)
    """
    mode = _Mutations()
    modes = _local.__dict__.setdefault("mutations", [])
    if modes:
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    with saved_tensors_hooks(mode.pack, mode.unpack):
        modes.append(mode)
        _C.watch_writes(True)
        try:
            yield mode
        finally:
            _C.watch_writes(False)
            modes.remove(mode)
            mode.active = False
            mode.clear()


# --- hooks of several tensors ---------------------------------------------------------------------------------


class _Handles(RemovableHandle):
    def __init__(self, handles: tuple[Any, ...]) -> None:
        super().__init__({})
        self.handles = handles

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


class _Gathered:
    """The gradients of one backward so far."""

    def __init__(self, nodes: list[Any]) -> None:
        self.missing = sum(_C.will_visit(node) for node in nodes)
        self.grads: list[Any] = [None] * len(nodes)


def register_multi_grad_hook(
    tensors: Sequence[Any], fn: Callable[..., Any], *, mode: str = "all"
) -> RemovableHandle:
    """Calls ``fn`` once a backward: with the list of all gradients when the last of them has been
    computed (None for tensors that this backward does not reach), or, with ``mode="any"``, with the first gradient.

    >>> import eagergrad as eg
    >>> a, b = eg.ones(2, requires_grad=True), eg.ones(2, requires_grad=True)
    >>> handle = eg.autograd.graph.register_multi_grad_hook((a, b), lambda grads: print(len(grads)))
    >>> (a * b).sum().backward()
    2
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors = tuple(tensors)
    nodes = [get_gradient_edge(t).node for t in tensors]
    runs: dict[int, Any] = {}
    lock = threading.Lock()

    def gather(i: int) -> Callable[[Any], None]:
        def hook(grad: Any) -> None:
            run = _C.graph_task_id()
            if run == -1:
                raise RuntimeError("expected this hook to be called inside a backward call")
            with lock:
                if run not in runs:
                    runs.clear()  # of a backward that an exception ended
                    runs[run] = _Gathered(nodes)
                gathered = runs[run]
                gathered.grads[i] = grad
                gathered.missing -= 1
                last = gathered.missing == 0
                if last:
                    del runs[run]
            if last:
                fn(gathered.grads)

        return hook

    def first(grad: Any) -> None:
        run = _C.graph_task_id()
        with lock:
            called = runs.get(run, False)
            runs.clear()
            runs[run] = True
        if not called:
            fn(grad)

    return _Handles(
        tuple(t.register_hook(gather(i) if mode == "all" else first) for i, t in enumerate(tensors))
    )
