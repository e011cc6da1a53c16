"""Derivatives of functions of nested tensors, as functions: they nest, so second and higher order are two of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.autograd.graph import leaves_of
from eagergrad.func import _batched
from eagergrad.func._vmap import vmap
from eagergrad.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp"]

Argnums = int | tuple[int, ...]


class _Evaluation:
    """func(*args, **kwargs), once, with the arguments at `argnums` on the tape.

    `keep` says whether results stay on the tape: because an outer derivative, or a leaf that func found by itself,
    will ask for their gradients.
    """

    def __init__(
        self,
        name: str,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        argnums: Argnums,
        has_aux: bool,
    ) -> None:
        self._call = (name, func, args, kwargs, argnums, has_aux)
        recording = eg.is_grad_enabled()
        positions = _positions(argnums, len(args))
        wanted = args[positions[0]] if isinstance(argnums, int) else [args[p] for p in positions]
        if not isinstance(argnums, int):
            wanted = tuple(wanted)
        given, self.form = tree_flatten(wanted)
        for x in given:
            if not isinstance(x, Tensor) or not x.is_floating_point():
                what = x.dtype if isinstance(x, Tensor) else type(x).__name__
                raise RuntimeError(
                    f"[{name}] expected floating point tensors at argnums, got {what}"
                )
        if _batched.vmaps.sizes:  # each item has derivatives of its own
            given = [_batched.spread(x, _batched.running()) for x in given]
        with eg.enable_grad():
            self.inputs = [x.view_as(x) if x.requires_grad else _leaf(x) for x in given]
            parts = tree_unflatten(self.inputs, self.form)
            args = tuple(
                (parts if isinstance(argnums, int) else parts[positions.index(i)])
                if i in positions
                else arg
                for i, arg in enumerate(args)
            )
            output = func(*args, **kwargs)
        self.aux = None
        if has_aux:
            if not (isinstance(output, tuple) and len(output) == 2):
                raise RuntimeError(f"[{name}] with has_aux=True func must return (output, aux)")
            output, self.aux = output
        self.outputs, self.output_form = tree_flatten(output)
        for y in self.outputs:
            if not isinstance(y, Tensor):
                raise RuntimeError(
                    f"[{name}] expected func to return tensors, got {type(y).__name__}"
                )
        self.keep = recording and (
            any(x.requires_grad for x in given) or _finds_others(self.outputs, self.inputs)
        )
        self.aux = self._released(self.aux)

    def _released(self, tree: Any) -> Any:
        if self.keep:
            return tree
        leaves, form = tree_flatten(tree)
        return tree_unflatten([x.detach() if isinstance(x, Tensor) else x for x in leaves], form)

    @property
    def output(self) -> Any:
        return self._released(tree_unflatten(self.outputs, self.output_form))

    def pulled(self, seeds: list[Any], keep: bool | None = None) -> list[Any]:
        """The gradients of the inputs, zeros where nothing depends on them."""
        return _gradients(self.outputs, self.inputs, seeds, self.keep if keep is None else keep)

    def for_items(self, seeds: list[Any]) -> _Evaluation:
        """This evaluation, or where the seeds are items of a later vmap one of the same function within it."""
        if _batched.level_of(seeds) <= _batched.level_of(self.inputs):
            return self
        return _Evaluation(*self._call)


def _positions(argnums: Argnums, count: int) -> list[int]:
    positions = [argnums] if isinstance(argnums, int) else list(argnums)
    for p in positions:
        if not -count <= p < count:
            raise RuntimeError(f"Got argnum={p}, but only {count} positional inputs")
    positions = [p % count for p in positions]
    if not positions or len(set(positions)) != len(positions):
        raise RuntimeError(f"argnums must name each argument once, got {argnums}")
    return positions


def _leaf(x: Any) -> Any:
    return x.detach().requires_grad_()


def _finds_others(outputs: list[Any], inputs: list[Any]) -> bool:
    """Do the outputs depend on leaves that are not among the inputs?"""
    inputs, outputs = ([_batched.physical(x) for x in tensors] for tensors in (inputs, outputs))
    known = {id(x) for x in inputs}
    return any(id(leaf) not in known for leaf in leaves_of(outputs, beyond=inputs))


def _gradients(outputs: Any, inputs: Any, seeds: Any, keep: bool) -> list[Any]:
    pairs = [(y, s) for y, s in zip(outputs, seeds, strict=True) if y.requires_grad]
    found: Any = [None] * len(inputs)
    if pairs:
        ys, ss = zip(*pairs, strict=True)
        by = _batched.batched_by(inputs[0]) if inputs else ()
        if by or _batched.level_of(ss) >= 0:
            ss = tuple(_batched.physical(_batched.spread(s, by)) for s in ss)
            ys = tuple(_batched.physical(_batched.spread(y, by)) for y in ys)
        found = eg.autograd.grad(
            ys,
            [_batched.physical(x) for x in inputs],
            ss,
            retain_graph=True,
            create_graph=keep,
            allow_unused=True,
        )
        found = [None if g is None else _batched.rewrapped(g, by) for g in found]
    return [eg.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]


def _gradient_of(
    name: str, func: Any, argnums: Argnums, has_aux: bool, args: Any, kwargs: Any
) -> tuple[Any, _Evaluation]:
    run = _Evaluation(name, func, args, kwargs, argnums, has_aux)
    if len(run.outputs) != 1 or run.output_form.rebuild is not None or run.outputs[0].dim() != 0:
        raise RuntimeError(
            f"[{name}] expected func to return a scalar tensor, got "
            f"{[tuple(y.shape) for y in run.outputs]}"
        )
    seed = eg.ones_like(run.outputs[0])
    return tree_unflatten(run.pulled([seed]), run.form), run


def grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The function that computes the gradient of a scalar func, with respect to its arguments at `argnums`.

    Arguments are tensors or nested tuples, lists and dicts of them. With `has_aux` func returns (value, aux) and the
    result is (gradient, aux). RuntimeError unless func returns a scalar tensor.

    >>> import eagergrad as eg
    >>> grad(lambda x: (x * x).sum())(eg.tensor([1.0, 3.0]))
    tensor([2., 6.])
    >>> grad(grad(eg.sin))(eg.tensor(0.5)) == -eg.sin(eg.tensor(0.5))
    tensor(True)
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        gradient, run = _gradient_of("grad", func, argnums, has_aux, args, kwargs)
        return (gradient, run.aux) if has_aux else gradient

    return wrapped


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """As `grad`; the result is (gradient, value), with `has_aux` (gradient, (value, aux)).

    >>> import eagergrad as eg
    >>> grad_and_value(lambda x: x * x)(eg.tensor(3.0))
    (tensor(6.), tensor(9.))
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        gradient, run = _gradient_of("grad_and_value", func, argnums, has_aux, args, kwargs)
        return gradient, ((run.output, run.aux) if has_aux else run.output)

    return wrapped


def _like(name: str, tree: Any, form: TreeSpec, tensors: list[Any]) -> list[Any]:
    leaves, found = tree_flatten(tree)
    shapes = [tuple(t.shape) if isinstance(t, Tensor) else t for t in leaves]
    if found != form or shapes != [tuple(t.shape) for t in tensors]:
        raise RuntimeError(
            f"[{name}] expected tensors of shapes {[tuple(t.shape) for t in tensors]} in the same nesting, got {shapes}"
        )
    return leaves


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """(func(*primals), f): f(cotangents) gives their products with the Jacobian, a tuple for the primals.

    >>> import eagergrad as eg
    >>> value, f = vjp(lambda x: x * x, eg.tensor([1.0, 3.0]))
    >>> f(eg.tensor([1.0, 10.0]))
    (tensor([ 2., 60.]),)
    """
    argnums = tuple(range(len(primals)))
    run = _Evaluation("vjp", func, primals, {}, argnums, has_aux)

    def pull(*cotangents: Any) -> Any:
        tree = cotangents[0] if len(cotangents) == 1 else cotangents
        seeds = _like("vjp", tree, run.output_form, run.outputs)
        return tree_unflatten(run.for_items(seeds).pulled(seeds), run.form)

    return (run.output, pull, run.aux) if has_aux else (run.output, pull)


def _pushed(run: _Evaluation, tangents: list[Any]) -> Any:
    run = run.for_items(tangents)
    # The products with the Jacobian are linear in the seeds; their gradient at any seeds is what is asked for.
    with eg.enable_grad():
        seeds = [
            eg.zeros_like(y) for y in run.outputs
        ]  # what counts or compares moves with nothing
        smooth = [i for i, y in enumerate(run.outputs) if y.is_floating_point()]
        for i in smooth:
            seeds[i] = _leaf(seeds[i])
        products = run.pulled(seeds, keep=True)
        moved = _gradients(products, [seeds[i] for i in smooth], tangents, run.keep)
    results = dict(enumerate(seeds)) | dict(zip(smooth, moved, strict=True))
    return tree_unflatten(list(results.values()), run.output_form)


def jvp(
    func: Callable[..., Any],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """(func(*primals), the product of its Jacobian with the tangents). With `strict`, outputs must depend on primals.

    >>> import eagergrad as eg
    >>> jvp(lambda x: x * x, (eg.tensor([1.0, 3.0]),), (eg.ones(2),))
    (tensor([1., 9.]), tensor([2., 6.]))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("[jvp] expected primals and tangents to be tuples")
    run = _Evaluation("jvp", func, primals, {}, tuple(range(len(primals))), has_aux)
    if strict and not all(y.requires_grad for y in run.outputs):
        raise RuntimeError("[jvp] an output does not depend on the primals")
    result = _pushed(run, _like("jvp", tangents, run.form, run.inputs))
    return (run.output, result, run.aux) if has_aux else (run.output, result)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """(func(*primals), f): f(*tangents) gives the product of the Jacobian there with the tangents."""
    run = _Evaluation("linearize", func, primals, {}, tuple(range(len(primals))), False)

    def push(*tangents: Any) -> Any:
        return _pushed(run, _like("linearize", tangents, run.form, run.inputs))

    return run.output, push


# How many elements of inputs a Jacobian's rows are computed for at once, and from how many rows on that is tried.
_AT_ONCE = 1 << 22
_FEW = 4
# A column takes two backward passes: by how many times fewer they have to be than rows.
_WIDE = 8


def _rows(run: _Evaluation, k: int, chunk_size: int | None, together: bool) -> list[Any]:
    """Of each input, all derivatives of output k: its shape + input.shape."""
    y, rows = run.outputs[k], run.outputs[k].numel()
    if not rows:
        return [x.new_zeros((*y.shape, *x.shape)) for x in run.inputs]
    seeds = eg.eye(rows, dtype=y.dtype, device=y.device).reshape(rows, *y.shape)

    def row(seed: Any) -> tuple[Any, ...]:
        each = [eg.zeros_like(other) for other in run.outputs]
        each[k] = seed
        return tuple(run.for_items(each).pulled(each))

    size = sum(_batched.physical(x).numel() for x in run.inputs)
    chunk_size = min(chunk_size or rows, max(_AT_ONCE // max(size, 1), 1))
    if rows < _FEW or not together:
        columns: Any = [eg.stack(list(c)) for c in zip(*map(row, seeds), strict=True)]
    else:
        columns = vmap(row, chunk_size=chunk_size)(seeds)
    return [
        column.reshape(*y.shape, *x.shape) for column, x in zip(columns, run.inputs, strict=True)
    ]


def _columns(run: _Evaluation, chunk_size: int | None) -> list[list[Any]]:
    """Of each output, its derivatives by each input: together for all elements of an input."""
    found: list[list[Any]] = [[] for _ in run.outputs]
    for i, x in enumerate(run.inputs):
        directions = eg.eye(x.numel(), dtype=x.dtype, device=x.device).reshape(-1, *x.shape)

        def column(direction: Any, i: int = i) -> list[Any]:
            each = [eg.zeros_like(other) for other in run.inputs]
            each[i] = direction
            return tree_flatten(_pushed(run, each))[0]

        for y, d, out in zip(
            run.outputs, vmap(column, chunk_size=chunk_size)(directions), found, strict=True
        ):
            out.append(d.movedim(0, -1).reshape(*y.shape, *x.shape))
    return found


def _jacobian(run: _Evaluation, chunk_size: int | None, together: bool) -> list[list[Any]]:
    """Of each output, its derivatives by each input; by columns where those are by far the fewer."""
    rows = sum(y.numel() for y in run.outputs)
    columns = sum(x.numel() for x in run.inputs)
    if together and 0 < _WIDE * columns < rows:
        try:
            return _columns(run, chunk_size)
        except RuntimeError:
            pass  # an op has no second derivative
    return [_rows(run, k, chunk_size, together) for k in range(len(run.outputs))]


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that computes all derivatives: for each output, of shape output.shape + argument.shape.

    The rows are computed together, `chunk_size` at a time (columns, where there are far fewer): func runs once more, for
    all of them (see `vmap`); where it cannot, or drew random numbers, there is a backward pass for each.

    >>> import eagergrad as eg
    >>> jacrev(lambda x: x ** 2)(eg.tensor([1.0, 3.0]))
    tensor([[2., 0.],
            [0., 6.]])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        state = eg.get_rng_state()
        run = _Evaluation("jacrev", func, args, kwargs, argnums, has_aux)
        drew = not eg.equal(
            state, eg.get_rng_state()
        )  # func would draw other numbers if it ran again
        result = tree_unflatten(
            [tree_unflatten(d, run.form) for d in _jacobian(run, chunk_size, not drew)],
            run.output_form,
        )
        return (result, run.aux) if has_aux else result

    return wrapped


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """What `jacrev` computes, and the same way: func runs once, so its random numbers need no rule.

    >>> import eagergrad as eg
    >>> jacfwd(lambda x: x.sum())(eg.ones(2))
    tensor([1., 1.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            f"[jacfwd] randomness must be error, different or same, got {randomness}"
        )
    return jacrev(func, argnums, has_aux)


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that computes all second derivatives.

    >>> import eagergrad as eg
    >>> hessian(lambda x: x[0] * x[1])(eg.tensor([2.0, 3.0]))
    tensor([[0., 1.],
            [1., 0.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
