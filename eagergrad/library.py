"""Ops of a program's own: functions with a name under `eagergrad.ops`, a kernel for each kind of device and a gradient."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

import eagergrad as eg
from eagergrad import _C
from eagergrad.autograd import Function

__all__ = [
    "CustomOpDef",
    "custom_op",
    "opcheck",
    "register_autocast",
    "register_autograd",
    "register_fake",
    "register_kernel",
    "register_vmap",
]

_known: dict[str, CustomOpDef] = {}


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: Iterable[str],
    device_types: str | Iterable[str] | None = None,
    schema: str | None = None,
) -> Any:
    """Make a function an op that the tape takes for one piece; a decorator without `fn`.

    ``name`` is ``"namespace::name"``, and the op is found as ``eagergrad.ops.namespace.name`` too. `mutates_args` names the
    arguments that it writes. All arguments and the result are annotated, unless there is a `schema` (whose text is not
    read). Nothing is recorded inside; `CustomOpDef.register_autograd` gives the gradient.

    Raises:
        ValueError: the name has no namespace, an annotation is missing or `mutates_args` names no argument.

    >>> import eagergrad as eg
    >>> @custom_op("doc::twice", mutates_args=())
    ... def twice(x: eg.Tensor) -> eg.Tensor:
    ...     return eg.from_numpy(x.numpy() * 2)
    >>> twice.register_autograd(lambda ctx, g: g * 2)
    >>> x = eg.ones(2, requires_grad=True)
    >>> twice(x).sum().backward()
    >>> x.grad, eg.ops.doc.twice(x).requires_grad
    (tensor([2., 2.]), True)
    """

    def make(function: Callable[..., Any]) -> CustomOpDef:
        op = CustomOpDef(name, function, mutates_args, device_types, annotated=schema is None)
        _known[name] = op
        _publish(op)
        return op

    return make if fn is None else make(fn)


def _publish(op: CustomOpDef) -> None:
    ops = _C.ops  # type: ignore[attr-defined]
    space = getattr(ops, op._namespace, None)
    if space is None:
        space = types.SimpleNamespace()
        setattr(ops, op._namespace, space)
    elif not isinstance(space, types.SimpleNamespace):
        raise ValueError(
            f"[custom_op] eagergrad.ops.{op._namespace} is an op; choose another namespace"
        )
    setattr(space, op._name, op)


class CustomOpDef:
    """An op that `custom_op` made: called as its function is."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        mutates_args: Iterable[str],
        device_types: str | Iterable[str] | None,
        annotated: bool,
    ) -> None:
        if name.count("::") != 1 or not all(part.isidentifier() for part in name.split("::")):
            raise ValueError(
                f"[custom_op] the name expected is of the form namespace::name, got {name!r}"
            )
        self._qualname = name
        self._namespace, self._name = name.split("::")
        self.__name__ = self._name
        self.__doc__ = function.__doc__
        self._signature = inspect.signature(function)
        self._hints = _hints(function, self._signature) if annotated else {}
        parameters = self._signature.parameters
        written = list(parameters) if mutates_args == "unknown" else list(mutates_args)
        unknown = [n for n in written if n not in parameters]
        if unknown:
            raise ValueError(f"[custom_op] mutates_args names no arguments of {name}: {unknown}")
        self._mutates = bool(written)
        self._kernels: dict[str | None, Callable[..., Any]] = {}
        self._backward: Callable[..., Any] | None = None
        self._setup_context: Callable[..., Any] | None = None
        self._casts: dict[str, Any] = {}
        self._recorded = self._make_function()
        self.register_kernel(device_types, function)

    @property
    def default(self) -> CustomOpDef:
        """The op itself: its only overload."""
        return self

    _opoverload = default

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    # ---- what belongs to the op ----------------------------------------------------------------------------------

    def register_kernel(
        self, device_types: str | Iterable[str] | None, func: Callable[..., Any] | None = None, /
    ) -> Any:
        """Give the function that runs where tensors of these devices come, or any (None); a decorator without `func`."""
        kinds = (
            [device_types]
            if device_types is None or isinstance(device_types, str)
            else device_types
        )

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            for kind in kinds:
                self._kernels[kind] = function
            return function

        return register if func is None else register(func)

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """For PyTorch's programs: shapes are found by running the op, there are no tensors without values. Returns `fn`."""
        return fn

    def register_vmap(self, func: Callable[..., Any] | None = None) -> Any:
        """For PyTorch's programs: `vmap` runs the op for each item. Returns `func`, or a decorator that does."""
        return (lambda f: f) if func is None else func

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """Give the gradient: ``backward(ctx, *grads)``, after ``setup_context(ctx, inputs, output)`` as in `Function`.

        Where the op has keyword-only arguments, ``setup_context(ctx, inputs, keyword_only_inputs, output)``. RuntimeError
        for an op that writes its arguments.
        """
        if self._mutates:
            raise RuntimeError(
                f"[register_autograd] {self._qualname} writes its arguments; only functional ops have gradients"
            )
        self._backward, self._setup_context = backward, setup_context

    def register_autocast(self, device_type: str, cast_inputs: Any) -> None:
        """Cast floating tensors to the dtype `cast_inputs` in autocast regions of the device."""
        self._casts[device_type] = cast_inputs

    # ---- calling -------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        for name, hint in self._hints.items():
            if hint is eg.Tensor and not isinstance(bound.arguments[name], eg.Tensor):
                came = type(bound.arguments[name]).__name__
                raise RuntimeError(f"[{self._qualname}] {name} expected a Tensor, got {came}")
        for device_type, wanted in self._casts.items():
            if eg.is_autocast_enabled(device_type):
                with eg.autocast(device_type, enabled=False):
                    cast = (_cast(x, wanted) for x in bound.args)
                    named = {k: _cast(x, wanted) for k, x in bound.kwargs.items()}
                    return self._run(tuple(cast), named)
        return self._run(bound.args, bound.kwargs)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._mutates:
            with eg.no_grad():
                return self._kernel(args, kwargs)(*args, **kwargs)
        call = _Call(args, kwargs)
        made = self._recorded.apply(call, *call.inputs.flat(args))
        grouped = call.outputs.grouped(made if isinstance(made, tuple) else (made,))
        return grouped if call.several else grouped[0]

    def _kernel(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[..., Any]:
        values = [*args, *kwargs.values()]
        flat = (x for a in values for x in (a if isinstance(a, (list, tuple)) else (a,)))
        kind = next((x.device.type for x in flat if isinstance(x, eg.Tensor)), "cpu")
        found = self._kernels.get(kind, self._kernels.get(None))
        if found is None:
            raise NotImplementedError(
                f"[{self._qualname}] has kernels for {sorted(map(str, self._kernels))}, not for {kind}"
            )
        return found

    def _make_function(self) -> Any:
        op = self

        class Recorded(Function):
            """The op on the tape: the call first, then the arguments, those of lists one by one."""

            _title = f"{self._name}Backward"

            @staticmethod
            def forward(ctx: Any, call: _Call, *leaves: Any) -> Any:
                args = call.inputs.grouped(leaves)
                output = op._kernel(args, call.kwargs)(*args, **call.kwargs)
                own = _Context(ctx, call)
                ctx.own = own
                if op._setup_context is not None:
                    named = {"keyword_only_inputs": call.kwargs} if call.kwargs else {}
                    op._setup_context(ctx=own, inputs=args, output=output, **named)
                return call.flat_outputs(output)

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> Any:
                if op._backward is None:
                    raise RuntimeError(
                        f"Trying to backward through {op._qualname} but no autograd formula was registered. "
                        "Please use register_autograd to add one."
                    )
                call = ctx.own.call
                made = op._backward(ctx.own, *call.outputs.grouped(grads))
                made = made if isinstance(made, (list, tuple)) else (made,)
                return None, *call.inputs.flat(made, "gradient")

        return Recorded


class _Groups:
    """Which values of a tuple are lists, and how long: a Function takes and returns their items one by one."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.sizes = [len(v) if isinstance(v, (list, tuple)) else None for v in values]

    def flat(self, values: Any, what: str = "value") -> list[Any]:
        if len(values) != len(self.sizes):
            raise RuntimeError(f"expected {len(self.sizes)} {what}s, one each, got {len(values)}")
        made: list[Any] = []
        for v, n in zip(values, self.sizes, strict=True):
            if n is None:
                made.append(v)
            else:
                made.extend([None] * n if v is None else v)
        return made

    def grouped(self, leaves: Any) -> tuple[Any, ...]:
        left = iter(leaves)
        return tuple(
            next(left) if n is None else [next(left) for _ in range(n)] for n in self.sizes
        )


class _Call:
    """How the arguments and the results of a call are grouped."""

    outputs: _Groups
    several: bool

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.inputs = _Groups(args)
        self.kwargs = kwargs

    def flat_outputs(self, output: Any) -> Any:
        self.several = isinstance(output, tuple)
        values = output if self.several else (output,)
        self.outputs = _Groups(values)
        return tuple(self.outputs.flat(values))


class _Context:
    """The context of a Function as `setup_context` and `backward` of an op see it: of its own arguments."""

    def __init__(self, ctx: Any, call: _Call) -> None:
        self.__dict__.update(_ctx=ctx, call=call)

    @property
    def needs_input_grad(self) -> tuple[Any, ...]:
        return self.call.inputs.grouped(self._ctx.needs_input_grad[1:])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_ctx"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._ctx, name, value)


def _cast(x: Any, wanted: Any) -> Any:
    return x.to(wanted) if isinstance(x, eg.Tensor) and x.is_floating_point() else x


def _hints(function: Callable[..., Any], signature: inspect.Signature) -> dict[str, Any]:
    for name, p in signature.parameters.items():
        if p.annotation is inspect.Parameter.empty:
            raise ValueError(f"infer_schema(func): Parameter {name} must have a type annotation.")
    if signature.return_annotation is inspect.Signature.empty:
        raise ValueError("infer_schema(func): No return type annotation was provided.")
    try:
        hints = typing.get_type_hints(function)
    except NameError:  # a name of a function's inside
        return {}
    return {name: hint for name, hint in hints.items() if name in signature.parameters}


# ---- by name ------------------------------------------------------------------------------------------------------


def _op(op: str | CustomOpDef) -> CustomOpDef:
    if isinstance(op, CustomOpDef):
        return op
    if op not in _known:
        raise ValueError(f"[library] there is no op {op!r}; custom_op makes one")
    return _known[op]


def register_autograd(
    op: str | CustomOpDef,
    backward: Callable[..., Any],
    /,
    *,
    setup_context: Callable[..., Any] | None = None,
) -> None:
    """`CustomOpDef.register_autograd` of an op or its name."""
    _op(op).register_autograd(backward, setup_context=setup_context)


def register_kernel(
    op: str | CustomOpDef,
    device_types: str | Iterable[str] | None,
    func: Callable[..., Any] | None = None,
    /,
) -> Any:
    """`CustomOpDef.register_kernel` of an op or its name."""
    return _op(op).register_kernel(device_types, func)


def register_fake(op: str | CustomOpDef, func: Callable[..., Any] | None = None, /) -> Any:
    """`CustomOpDef.register_fake` of an op or its name."""
    known = _op(op)
    return known.register_fake if func is None else known.register_fake(func)


def register_vmap(op: str | CustomOpDef, func: Callable[..., Any] | None = None, /) -> Any:
    """`CustomOpDef.register_vmap` of an op or its name."""
    return _op(op).register_vmap(func)


def register_autocast(op: str | CustomOpDef, device_type: str, cast_inputs: Any, /) -> None:
    """`CustomOpDef.register_autocast` of an op or its name."""
    _op(op).register_autocast(device_type, cast_inputs)


def opcheck(
    op: str | CustomOpDef,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    *,
    raise_exception: bool = True,
) -> dict[str, str]:
    """Call an op and check its gradient; ``{"test_schema": "SUCCESS", "test_autograd_registration": "SUCCESS"}``.

    An op that writes arguments without saying so, or that has no gradient for inputs that require one, raises
    RuntimeError, or stands in the result with `raise_exception` False.

    >>> import eagergrad as eg
    >>> @custom_op("doc::thrice", mutates_args=())
    ... def thrice(x: eg.Tensor) -> eg.Tensor:
    ...     return x * 3
    >>> opcheck(thrice, (eg.ones(2),))["test_schema"]
    'SUCCESS'
    """
    known, named = _op(op), kwargs or {}
    tensors = [x for x in (*args, *named.values()) if isinstance(x, eg.Tensor)]
    versions = [x._version for x in tensors]
    results = {}

    def check(test: str, run: Callable[[], Any]) -> None:
        try:
            run()
            results[test] = "SUCCESS"
        except Exception as e:
            if raise_exception:
                raise
            results[test] = f"{type(e).__name__}: {e}"

    def schema() -> None:
        known(*args, **named)
        if not known._mutates and versions != [x._version for x in tensors]:
            raise RuntimeError(f"[opcheck] {known._qualname} writes an argument: see mutates_args")

    def gradients() -> None:
        if known._mutates or not any(x.requires_grad for x in tensors):
            return
        made = known(*args, **named)
        outputs = made if isinstance(made, (tuple, list)) else [made]
        of = [x for x in outputs if x.requires_grad]
        eg.autograd.grad(
            of,
            [x for x in tensors if x.requires_grad],
            [eg.ones_like(x) for x in of],
            allow_unused=True,
        )

    check("test_schema", schema)
    check("test_autograd_registration", gradients)
    return results
