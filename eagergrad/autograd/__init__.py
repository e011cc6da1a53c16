"""Gradients: backward and grad, recording modes, functions written in Python, checks."""

from __future__ import annotations

from typing import Any

from eagergrad import _C
from eagergrad.autograd import functional, graph
from eagergrad.autograd.function import Function, once_differentiable, vmaps
from eagergrad.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
    strict_broadcast,
)
from eagergrad.autograd.gradcheck import gradcheck, gradgradcheck
from eagergrad.autograd.truncated import tbptt

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "no_grad",
    "once_differentiable",
    "set_detect_anomaly",
    "set_grad_enabled",
    "strict_broadcast",
    "tbptt",
]


def _sequence(x: Any) -> tuple[Any, ...]:
    if isinstance(x, (_C.TensorBase, graph.GradientEdge)):
        x = (x,)
    return graph.as_tensors(tuple(x))


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Accumulates the gradients of the tensors into the leaves they depend on.

    Raises RuntimeError if a tensor has no history, or has several elements and no gradient is given for it.

    >>> import eagergrad as eg
    >>> x = eg.tensor([1.0, 2.0], requires_grad=True)
    >>> eg.autograd.backward([(x * x).sum()])
    >>> x.grad
    tensor([2., 4.])
    """
    if grad_variables is not None:
        grad_tensors = grad_variables
    grads = None if grad_tensors is None else _grads(grad_tensors)
    retain = create_graph if retain_graph is None else retain_graph
    wanted = None if inputs is None else _sequence(inputs)
    _C.run_backward(_sequence(tensors), grads, retain, create_graph, wanted)


def _grads(x: Any) -> tuple[Any, ...]:
    return (x,) if isinstance(x, _C.TensorBase) else tuple(x)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Gradients of the outputs (summed) with respect to the inputs, returned instead of accumulated.

    Raises RuntimeError if an input is not part of the graph, unless ``allow_unused`` (None is returned for it) or
    ``materialize_grads`` (zeros are).

    >>> import eagergrad as eg
    >>> x = eg.tensor(3.0, requires_grad=True)
    >>> (g,) = eg.autograd.grad(x ** 3, x, create_graph=True)
    >>> eg.autograd.grad(g, x)[0]
    tensor(18.)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    outputs, inputs = _sequence(outputs), _sequence(inputs)
    if not all(issubclass(type(x), _C.TensorBase) for x in inputs):
        return _grad_of_sparse(
            outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused
        )
    if is_grads_batched:
        from eagergrad.autograd.functional import batched_grad

        return batched_grad(
            outputs, inputs, _sequence(grad_outputs), retain_graph, create_graph, allow_unused
        )
    if vmaps.sizes and grad_outputs is not None:
        from eagergrad.func._batched import each, level_of

        level = level_of(grad_outputs)
        if level >= 0:  # one walk for each item: the graph stays until the last
            options = {"create_graph": create_graph, "allow_unused": allow_unused}
            options.update(retain_graph=True, materialize_grads=materialize_grads)
            return each(level, grad, (outputs, inputs, grad_outputs), options)
    if allow_unused is None:
        allow_unused = materialize_grads
    retain = create_graph if retain_graph is None else retain_graph
    grads = None if grad_outputs is None else _grads(grad_outputs)
    results = _C.run_grad(outputs, grads, inputs, retain, create_graph)
    if not allow_unused and any(g is None for g in results):
        at = next(i for i, g in enumerate(results) if g is None)
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph: input "
            f"{at} of shape {list(inputs[at].shape)}. Set allow_unused=True if this is the desired behavior."
        )
    if materialize_grads:
        zeros = _C.op_table["zeros_like"]
        results = tuple(zeros(x) if g is None else g for g, x in zip(results, inputs, strict=True))
    return results


def _grad_of_sparse(outputs: Any, inputs: Any, *options: Any) -> tuple[Any, ...]:
    """`grad` where some inputs are sparse tensors: their gradients are sparse, of their patterns."""
    grad_outputs, retain_graph, create_graph, allow_unused = options
    other = next((x for x in inputs if not isinstance(x, _C.TensorBase)), None)
    if other is not None:
        raise RuntimeError(f"[grad] all inputs have to be Tensors, but got {type(other).__name__}")
    values = [x if issubclass(type(x), _C.TensorBase) else x._values() for x in inputs]
    found = grad(
        outputs, values, grad_outputs, retain_graph, create_graph, allow_unused=allow_unused
    )
    return tuple(
        x._with(g) if x is not v and g is not None else g
        for x, v, g in zip(inputs, values, found, strict=True)
    )


class _VariableType(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _C.TensorBase)

    def __call__(cls, data: Any, requires_grad: bool = False, volatile: bool | None = None) -> Any:
        made = data.detach()
        return made.requires_grad_() if requires_grad and not volatile else made


class _ExecutionEngine:
    """What PyTorch's programs reach as ``Variable._execution_engine``."""

    @staticmethod
    def queue_callback(callback: Any) -> None:
        """Call ``callback()`` when the backward in progress has passed every node; not after an error."""
        _C.queue_callback(callback)


class Variable(metaclass=_VariableType):
    """The old spelling of a tensor that may require grad: a new leaf over the same memory."""

    _execution_engine = _ExecutionEngine()


class set_detect_anomaly:
    """Accepted for PyTorch's programs: every error names the forward line always, so there is nothing to switch on.

    With ``check_nan`` a backward that makes NaN from finite numbers raises, as PyTorch's does.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = anomaly_enabled()
        _set_anomaly(mode and check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        _set_anomaly(self.before)


class detect_anomaly(set_detect_anomaly):
    """``set_detect_anomaly(True)`` for a block."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)


def anomaly_enabled() -> bool:
    """Whether backward checks each gradient for NaN."""
    return bool(_C.nan_check())


def _set_anomaly(on: bool) -> None:
    _C.set_nan_check(on)


def __getattr__(name: str) -> Any:
    if name in ("forward_ad", "profiler"):
        from importlib import import_module

        return import_module(f"eagergrad.autograd.{name}")
    raise AttributeError(f"module 'eagergrad.autograd' has no attribute {name!r}")
