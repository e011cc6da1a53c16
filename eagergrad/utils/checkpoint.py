"""Memory for time: run a part of a model again in backward instead of keeping what it saved.

Note [How a checkpoint runs]
The part runs recorded on detached inputs; its graph is walked for the leaves it used (parameters,
also those behind other checkpoints) and dropped. One node with the inputs and these leaves as its
inputs takes its place. In backward the part runs again with the same random numbers, and its
gradients are those of that small graph. Where gradients of gradients are asked for, this backward
is itself run as a checkpoint. Gradients therefore come out of `autograd.grad` as well, parameters
need not be named, and no input has to require gradients (Chen et al. 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import eagergrad as eg
from eagergrad.autograd.graph import leaves_of

__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
    "get_device_states",
    "noop_context_fn",
    "set_checkpoint_early_stop",
    "set_device_states",
]


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function did not do what the first one did."""


def noop_context_fn() -> tuple[Any, Any]:
    """The default of ``context_fn``: contexts that change nothing."""
    return nullcontext(), nullcontext()


def set_checkpoint_early_stop(enable: bool) -> Any:
    """A region for PyTorch's sake: the second run is always complete, see ``early_stop`` of `checkpoint`.

    >>> with set_checkpoint_early_stop(False):
    ...     pass
    """
    return nullcontext()


def _flatten(value: Any, tensors: list) -> Any:
    """Move the tensors of a nested value to a list; what is returned rebuilds it."""
    if isinstance(value, eg.Tensor):
        tensors.append(value)
        number = len(tensors) - 1
        return lambda given: given[number]
    if isinstance(value, list | tuple):
        parts = [_flatten(v, tensors) for v in value]
        kind: Any = type(value)
        if hasattr(value, "_fields"):
            return lambda given: kind(*(p(given) for p in parts))
        return lambda given: kind(p(given) for p in parts)
    if isinstance(value, dict):
        pairs = {k: _flatten(v, tensors) for k, v in value.items()}
        return lambda given: {k: p(given) for k, p in pairs.items()}
    return lambda given: value


def _leaves(outputs: list, known: list) -> list:
    """The leaves that a graph ends in, without the known ones."""
    found = {id(leaf): leaf for leaf in leaves_of(outputs)}
    for t in known:
        found.pop(id(t), None)
    return list(found.values())


def _detached(tensors: Iterable) -> list:
    return [t.detach().requires_grad_(t.requires_grad) for t in tensors]


class _Run:
    """A function of tensors that can be run again as it ran first."""

    def __init__(self, function: Callable[[list], list], preserve_rng: bool, contexts: Any) -> None:
        self.function = function
        self.rng = eg.get_rng_state() if preserve_rng else None
        self.contexts = contexts
        self.autocast = _autocast_state()

    def first(self, tensors: list) -> list:
        with self.contexts[0], eg.enable_grad():
            return self.function(tensors)

    def again(self, tensors: list) -> list:
        now = eg.get_rng_state()
        if self.rng is not None:
            eg.set_rng_state(self.rng)
        try:
            with self.contexts[1], self.autocast(), eg.enable_grad():
                return self.function(tensors)
        finally:
            if self.rng is not None:
                eg.set_rng_state(now)

    def gradients(self, inputs: list, leaves: list, given: list, create_graph: bool) -> list:
        """Gradients of inputs, which are leaves here, and leaves; zeros where there is no path."""
        outputs = self.again(inputs)
        pairs = [(o, g) for o, g in zip(outputs, given, strict=True) if o.requires_grad]
        wanted = [t for t in [*inputs, *leaves] if t.requires_grad]
        if not pairs:
            raise CheckpointError(
                "[checkpoint] the function returned no tensor that requires a gradient when it ran "
                "again; it must do the same both times"
            )
        found = iter(
            eg.autograd.grad(
                [o for o, _ in pairs],
                wanted,
                [g for _, g in pairs],
                retain_graph=True,
                create_graph=create_graph,
                allow_unused=True,
            )
        )
        grads = [next(found) if t.requires_grad else None for t in [*inputs, *leaves]]
        return [
            eg.zeros_like(t) if g is None else g
            for t, g in zip([*inputs, *leaves], grads, strict=True)
        ]


def _autocast_state() -> Callable[[], Any]:
    """A maker of the context that autocast is in now."""
    enabled = getattr(eg, "is_autocast_enabled", None)
    if enabled is None or not enabled("cpu"):
        return nullcontext
    dtype = eg.get_autocast_dtype("cpu")
    return lambda: eg.amp.autocast("cpu", dtype=dtype)


_functions: dict[str, Any] = {}


def _node() -> Any:
    """The recorded function, made when it is first needed."""
    if "node" in _functions:
        return _functions["node"]

    class Checkpoint(eg.autograd.Function):
        @staticmethod
        def forward(ctx: Any, run: _Run, count: int, values: list, *tensors: Any) -> Any:
            ctx.run, ctx.count = run, count
            ctx.save_for_backward(*tensors)
            return tuple(values)

        @staticmethod
        def backward(ctx: Any, *given: Any) -> Any:
            tensors = list(ctx.saved_tensors)
            inputs, leaves = tensors[: ctx.count], tensors[ctx.count :]
            run: _Run = ctx.run
            if not eg.is_grad_enabled():
                grads = run.gradients(_detached(inputs), leaves, list(given), False)
            else:
                grads = _differentiable_gradients(run, inputs, leaves, list(given))
            return (None, None, None, *grads)

    _functions["node"] = Checkpoint
    return Checkpoint


def _differentiable_gradients(run: _Run, inputs: list, leaves: list, given: list) -> list:
    """The gradients as a checkpoint of their own, so that they can be differentiated again."""
    n = len(inputs)

    def backward(tensors: list) -> list:
        with eg.enable_grad():
            return run.gradients(tensors[:n], leaves, tensors[n:], create_graph=True)

    return _checkpointed(_Run(backward, True, noop_context_fn()), [*inputs, *given])


def _checkpointed(run: _Run, tensors: list) -> list:
    inputs = _detached(tensors)
    outputs = run.first(inputs)
    recorded = [o for o in outputs if o.requires_grad]
    if not recorded:
        return outputs
    leaves = _leaves(recorded, inputs)
    values = [o.detach() for o in outputs]
    flags = [o.requires_grad for o in outputs]
    del recorded, outputs
    results = _node().apply(run, len(tensors), values, *tensors, *leaves)
    return [r if keep else r.detach() for r, keep in zip(results, flags, strict=True)]


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Return ``function(*args, **kwargs)``; backward runs it again instead of keeping its
    intermediate values.

    Args:
        use_reentrant: there is one way, which does what both of PyTorch's do; True refuses, as there, keyword
            arguments of the function, ``context_fn`` and ``debug``.
        preserve_rng_state: draw the same random numbers when it runs again.
        context_fn: returns the context managers for the first and the second run.
        determinism_check: ``"default"`` compares the shapes of both runs, ``"none"`` nothing.
        debug: as ``determinism_check="default"``.
        early_stop: accepted for PyTorch's sake; the second run is always complete, since its own graph gives the
            gradients.

    Raises:
        CheckpointError: the second run gives other shapes than the first.

    >>> import eagergrad as eg
    >>> x = eg.tensor(2.0, requires_grad=True)
    >>> checkpoint(lambda x: x**3, x).backward()
    >>> x.grad
    tensor(12.)
    """
    if use_reentrant and kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if use_reentrant and (context_fn is not noop_context_fn or debug):
        raise ValueError(
            "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
        )
    if not eg.is_grad_enabled():
        return function(*args, **kwargs)
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"[checkpoint] determinism_check expected 'default' or 'none', got {determinism_check!r}"
        )
    tensors: list = []
    rebuild = _flatten((args, kwargs), tensors)
    check = _ShapeCheck(determinism_check != "none" or debug)
    made: list = []

    def run_on(given: list) -> list:
        arguments, keywords = rebuild(given)
        outputs: list = []
        made[:] = [_flatten(function(*arguments, **keywords), outputs)]
        check(outputs)
        return outputs

    results = _checkpointed(_Run(run_on, preserve_rng_state, context_fn()), tensors)
    return made[0](results)


class _ShapeCheck:
    """Remembers the shapes of the first run and compares those of the next ones."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._first: list | None = None

    def __call__(self, outputs: list) -> None:
        shapes = [tuple(o.shape) for o in outputs]
        if self._first is None:
            self._first = shapes
        elif self._enabled and shapes != self._first:
            raise CheckpointError(
                f"[checkpoint] the function gave shapes {self._first} at first and {shapes} when "
                "it ran again in backward; it must do the same both times"
            )


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """Run modules one after another, checkpointed in ``segments`` groups but for the last.

    >>> import eagergrad as eg
    >>> net = eg.nn.Sequential(eg.nn.Linear(2, 3), eg.nn.Tanh(), eg.nn.Linear(3, 1))
    >>> checkpoint_sequential(net, 2, eg.ones(4, 2)).shape
    eagergrad.Size([4, 1])
    """
    steps = list(functions.children()) if isinstance(functions, eg.nn.Sequential) else functions
    size = max(1, len(steps) // segments)

    def group(start: int, stop: int) -> Callable:
        def run(x: Any) -> Any:
            for step in steps[start:stop]:
                x = step(x)
            return x

        return run

    starts = [size * i for i in range(segments)]
    for start in starts[:-1]:
        input = checkpoint(group(start, start + size), input, preserve_rng_state=preserve_rng_state)
    return group(starts[-1], len(steps))(input)


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """The numbers of the GPUs that tensors among the arguments lie on, and the states of their random numbers."""
    tensors: list = []
    _flatten(args, tensors)
    devices = list(dict.fromkeys(t.get_device() for t in tensors if t.device.type != "cpu"))
    return devices, [eg.cuda.get_rng_state(d) for d in devices]


def set_device_states(devices: Any, states: Any, *, device_type: str | None = None) -> None:
    """Puts back what `get_device_states` gave, on GPUs of one kind ("cuda", the default).

    >>> set_device_states(*get_device_states(eg.ones(2)))
    """
    if device_type not in (None, "cuda"):
        raise ValueError(
            f"[set_device_states] expected the device type 'cuda', got {device_type!r}"
        )
    for device, state in zip(devices, states, strict=True):
        eg.cuda.set_rng_state(state, device)
