"""Functions whose backward is written in Python."""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any

from eagergrad import _C
from eagergrad.autograd.grad_mode import no_grad


class _Vmaps(threading.local):
    """The sizes of the batches of this thread's running vmaps, the outermost first. See Note [Batched tensors]."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.limit = sys.maxsize  # a running rule sees items of lower levels only


vmaps = _Vmaps()


class FunctionCtx:
    """What forward and backward of a Function share. Attributes may be set freely."""

    # Of the class, so that making a context writes no attributes.
    _to_save: tuple[Any, ...] = ()
    _saved: list[tuple[Any, int, Any]] | None = None
    _dirty: tuple[Any, ...] = ()
    _no_gradient: tuple[Any, ...] = ()
    _materialize = True
    _place: Any = None  # of the node on the tape, which owns this context
    needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps inputs or outputs (or None) for backward."""
        for t in tensors:
            if t is not None and not isinstance(t, _C.TensorBase):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument is of type {type(t).__name__}"
                )
        self._to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Nothing to keep: tangents are found by backward, run twice, and ``jvp`` is not called."""

    def mark_dirty(self, *tensors: Any) -> None:
        """Says which inputs forward wrote in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Says which outputs have no gradient."""
        self._no_gradient = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing gradients of outputs arrive as zeros (True) or None."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What save_for_backward kept. Raises RuntimeError if it was freed or written in place since."""
        if self._saved is None:
            if self._place is None:
                return tuple(self._to_save)
            raise RuntimeError(
                "Trying to backward through the graph a second time (or access the saved tensors of "
                f"{self._described()} after they have already been freed). "
                "Specify retain_graph=True if you need to backward through the graph a second time."
            )
        return tuple(self._unpack(*entry) for entry in self._saved)

    saved_variables = saved_tensors

    def _unpack(self, t: Any, version: int, output: Any) -> Any:
        if t is None:
            return None
        if isinstance(t, _Packed):
            return t.unpack(self._node, output)
        if t._version != version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"a tensor of shape {list(t.shape)}, saved by {self._described()}, is at version "
                f"{t._version}; expected version {version}."
            )
        node = None if output is None else self._node
        return t if node is None else _C.with_history(t, node, output)

    @property
    def _node(self) -> Any:
        """The node that forward left on the tape; None before, and once it is gone."""
        return None if self._place is None else _C.node_at(self._place)

    def _described(self) -> str:
        node = self._node
        return "a graph that is gone" if node is None else f"{node.name()}, made at {node.site},"

    def _release(self) -> None:
        self._saved = None

    @property
    def next_functions(self) -> Any:
        node = self._node
        return () if node is None else node.next_functions


class Function:
    """Base of recorded functions written in Python.

    >>> import eagergrad as eg
    >>> class Cube(eg.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x ** 3
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x ** 2 * g
    >>> x = eg.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    _title: str | None = None  # on the tape, where it is not the class's name and "Backward"
    _of_matrices = False  # of the last two dimensions, whatever is in front of them

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            f"{type(self).__name__} should not be instantiated. Methods on autograd functions are all static, "
            "so you should invoke them on the class itself: call .apply"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """forward(ctx, *args), or forward(*args) beside setup_context(ctx, inputs, output)."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Fills ctx where forward does not take it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of the inputs from those of the outputs."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it "
            "with backward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs forward unrecorded and puts this function on the tape."""
        if vmaps.sizes:
            from eagergrad.func._batched import each, level_of, of_matrices

            level = level_of(args)
            if level >= 0:
                if cls._of_matrices:
                    return of_matrices(cls.apply, args)
                return each(level, cls.apply, args, kwargs)
        ctx: Any = FunctionCtx()
        ctx.function = cls
        separate = cls.setup_context is not Function.setup_context
        if separate:
            args, kwargs = _bound(cls, args, kwargs, defaults=True)
        elif kwargs:  # a tensor given by its name is an input as any other
            args, kwargs = _bound(cls, (ctx, *args), kwargs, defaults=False)
            args = args[1:]
        recording = _C.is_grad_enabled()
        needs = ctx.needs_input_grad = tuple(
            [isinstance(a, _C.TensorBase) and a.requires_grad for a in args]
        )
        _C.set_grad_enabled(False)  # no_grad() costs more
        try:
            if separate:
                outputs = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, outputs)
            else:
                outputs = cls.forward(ctx, *args, **kwargs)
        finally:
            _C.set_grad_enabled(recording)
        single = not isinstance(outputs, (tuple, list))
        results = [outputs] if single else list(outputs)
        if recording and True in needs:
            results = _record(cls, ctx, args, results)
        else:
            ctx._to_save = ()
        return results[0] if single else tuple(results)


def _bound(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any], defaults: bool) -> Any:
    """The arguments by their places in forward's signature. With defaults: what setup_context is given."""
    signature = cls.__dict__.get("_signature")
    if signature is None:
        import inspect

        signature = cls._signature = inspect.signature(cls.forward)
    bound = signature.bind(*args, **kwargs)
    if defaults:
        bound.apply_defaults()
    return bound.args, bound.kwargs


def _record(cls: Any, ctx: FunctionCtx, args: tuple[Any, ...], results: list[Any]) -> list[Any]:
    given, silent = set(map(id, args)), set(map(id, ctx._no_gradient))
    written = set(map(id, ctx._dirty)).intersection(map(id, results)) if ctx._dirty else ()
    if len(written) < len(set(map(id, ctx._dirty))):
        raise RuntimeError(
            f"{cls.__name__}.forward marked tensors as dirty that it did not return: inputs that are written in place "
            "must be among the outputs"
        )
    for t in ctx._dirty:
        if t.requires_grad and t.is_leaf:
            raise RuntimeError(
                f"a leaf Variable that requires grad is being used in an in-place operation: {cls.__name__} marked it dirty"
            )
    made = []  # what the node makes; for inputs a stand-in that carries the history
    shapes: list[Any] = []
    recorded = []
    places: dict[int, int] = {}
    for i, r in enumerate(results):
        flows = None
        if isinstance(r, _C.TensorBase):
            shapes.append((r.shape, r.dtype))
            at = id(r)
            new = r.detach() if at in given or at in written else r
            if at not in silent:
                flows = new
                places.setdefault(at, i)
            made.append(new)
        else:
            shapes.append(None)
            made.append(r)
        recorded.append(flows)
    ctx._shapes = shapes  # type: ignore[attr-defined]
    # An output must not hold its own node.
    saved = [
        (t, None) if (place := places.get(id(t))) is None else (t.detach(), place)
        for t in ctx._to_save
    ]
    ctx._place = _C.record_function(
        ctx, cls._title or cls.__name__ + "Backward", args, tuple(recorded)
    )
    shown = made
    if written:
        shown = list(made)
        for i, r in enumerate(results):
            if id(r) in written:
                _C.mark_inplace(r, made[i])
                shown[i] = r
    hooks = _C.saved_hooks()
    # issubclass: a sparse tensor only passes for a tensor, and is kept as it is.
    ctx._saved = [
        (_Packed(t, *hooks), 0, place)
        if hooks is not None and issubclass(type(t), _C.TensorBase)
        else (t, 0 if t is None else t._version, place)
        for t, place in saved
    ]
    ctx._to_save = ctx._dirty = (
        ctx._no_gradient
    ) = ()  # outputs among them would hold the node that holds them
    return shown


class _Packed:
    """What `saved_tensors_hooks` made of a saved tensor."""

    def __init__(self, t: Any, pack: Any, unpack: Any) -> None:
        self.place = _C.place_of(t)
        self.hook = unpack
        with no_grad():
            self.value = pack(t if t.is_leaf and t.requires_grad else t.detach())

    def unpack(self, node: Any, output: Any) -> Any:
        t = self.hook(self.value)
        if not isinstance(t, _C.TensorBase):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                f"{type(t).__name__}"
            )
        place = self.place if output is None or node is None else (node, output)
        return t.detach() if place is None else _C.with_history(t, *place)


def run_backward(ctx: FunctionCtx, grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """Called by the engine with the gradients of the outputs."""
    if ctx._materialize:
        zeros = _C.op_table["zeros"]
        grads = tuple(
            zeros(shape[0], dtype=shape[1]) if g is None and shape is not None else g
            for g, shape in zip(grads, ctx._shapes, strict=True)  # type: ignore[attr-defined]
        )
    cls: Any = ctx.function  # type: ignore[attr-defined]
    backward = (
        cls.backward if cls.backward is not Function.backward else getattr(cls, "vjp", cls.backward)
    )
    results = backward(ctx, *grads)
    if not isinstance(results, tuple):
        results = tuple(results) if isinstance(results, list) else (results,)
    wanted = len(ctx.needs_input_grad)
    if len(results) > wanted and all(r is None for r in results[wanted:]):
        results = results[:wanted]
    if len(results) != wanted:
        raise RuntimeError(
            f"function {cls.__name__}Backward returned an incorrect number of gradients "
            f"(expected {wanted}, got {len(results)})"
        )
    return tuple(
        g if needed else None for g, needed in zip(results, ctx.needs_input_grad, strict=True)
    )


def once_differentiable(function: Any) -> Any:
    """Decorator of a backward that cannot be differentiated again: a second-order gradient raises."""

    @functools.wraps(function)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with no_grad():
            outputs = function(ctx, *args)
        if not _C.is_grad_enabled():
            return outputs
        requires = any(isinstance(a, _C.TensorBase) and a.requires_grad for a in args)
        if not requires:
            return outputs
        single = not isinstance(outputs, tuple)
        results = (outputs,) if single else outputs
        results = tuple(
            _Refuse.apply(r, *(a for a in args if isinstance(a, _C.TensorBase)))
            if r is not None
            else None
            for r in results
        )
        return results[0] if single else results

    return wrapper


class _Refuse(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, *others: Any) -> Any:
        return x.detach().clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


InplaceFunction = Function
NestedIOFunction = Function
