"""Derivatives of functions: Jacobians, Hessians and their products with vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eagergrad import _C

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

_ops = _C.op_table


def _tuple(x: Any, what: str) -> tuple[tuple[Any, ...], bool]:
    single = isinstance(x, _C.TensorBase)
    items = (x,) if single else tuple(x)
    for t in items:
        if not isinstance(t, _C.TensorBase):
            raise TypeError(
                f"The {what} must be either a Tensor or a tuple of Tensors, got {type(t).__name__}"
            )
    return items, single


def _leaves(inputs: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
    if create_graph:
        return tuple(
            x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in inputs
        )
    return tuple(x.detach().requires_grad_() for x in inputs)


def _back(values: Any, single: bool, create_graph: bool) -> Any:
    if not create_graph:
        values = tuple(v.detach() for v in values)
    return values[0] if single else tuple(values)


def _directions(v: Any, tensors: tuple[Any, ...], whose: str) -> tuple[Any, ...]:
    """v as a tuple; None stands for 1 where there is one tensor of one element."""
    if v is not None:
        return _tuple(v, "v")[0]
    if len(tensors) != 1 or tensors[0].numel() != 1:
        raise RuntimeError(
            f"The vector v can only be None if {whose} a single Tensor with a single element."
        )
    return (_ops["ones_like"](tensors[0]),)


def _grads(
    outputs: Any, inputs: Any, seeds: Any, create_graph: bool, strict: bool
) -> tuple[Any, ...]:
    from eagergrad.autograd import grad

    pairs = [(y, s) for y, s in zip(outputs, seeds, strict=True) if y.requires_grad]
    if not pairs:
        if strict:
            raise RuntimeError(
                "The output of the user-provided function is independent of the input. This is not allowed in strict mode."
            )
        return tuple(_ops["zeros_like"](x) for x in inputs)
    found = grad(
        [y for y, _ in pairs],
        inputs,
        [s for _, s in pairs],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )
    if strict and any(g is None for g in found):
        raise RuntimeError(
            "The output of the user-provided function is independent of an input. This is not allowed in strict mode."
        )
    return tuple(
        _ops["zeros_like"](x) if g is None else g for g, x in zip(found, inputs, strict=True)
    )


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """Output of func, and the product of v with its Jacobian.

    >>> import eagergrad as eg
    >>> eg.autograd.functional.vjp(lambda x: x * x, eg.tensor([1.0, 2.0]), eg.ones(2))[1]
    tensor([2., 4.])
    """
    from eagergrad.autograd.grad_mode import enable_grad

    with enable_grad():
        xs, single = _tuple(inputs, "inputs")
        leaves = _leaves(xs, create_graph)
        ys, single_y = _tuple(func(*leaves), "outputs")
        vs = _directions(v, ys, "the user-provided function returns")
        for y, s in zip(ys, vs, strict=True):
            if y.shape != s.shape:
                raise RuntimeError(
                    f"v has invalid size: should be {list(y.shape)} but got {list(s.shape)}"
                )
        grads = _grads(ys, leaves, vs, create_graph, strict)
    return _back(ys, single_y, create_graph), _back(grads, single, create_graph)


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """Output of func, and the product of its Jacobian with v (by differentiating the vjp)."""
    from eagergrad.autograd.grad_mode import enable_grad

    with enable_grad():
        xs, _ = _tuple(inputs, "inputs")
        leaves = _leaves(xs, create_graph)
        vs = _directions(v, xs, "the input to the user-provided function is")
        ys, single_y = _tuple(func(*leaves), "outputs")
        seeds = tuple(_ops["zeros_like"](y).requires_grad_() for y in ys)
        products = _grads(ys, leaves, seeds, True, strict)
        results = _grads(products, seeds, vs, create_graph, False)
    return _back(ys, single_y, create_graph), _back(results, single_y, create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """All derivatives of func's outputs: shape output.shape + input.shape, nested tuples for several.

    With `vectorize` the rows are computed together, as `func.jacrev` does.

    >>> import eagergrad as eg
    >>> eg.autograd.functional.jacobian(lambda x: x ** 2, eg.tensor([1.0, 3.0]))
    tensor([[2., 0.],
            [0., 6.]])
    """
    from eagergrad.autograd.grad_mode import enable_grad

    if vectorize:
        from eagergrad.func import jacrev

        return _together(jacrev, func, inputs, create_graph, strict)
    with enable_grad():
        xs, single = _tuple(inputs, "inputs")
        leaves = _leaves(xs, create_graph)
        ys, single_y = _tuple(func(*leaves), "outputs")
        rows = []
        for at, y in enumerate(ys):
            columns: list[list[Any]] = [[] for _ in leaves]
            for i in range(y.numel()):
                seed = _ops["zeros"]((y.numel(),), dtype=y.dtype)
                seed[i] = 1
                seeds = [_ops["zeros_like"](other) for other in ys]
                seeds[at] = seed.reshape(y.shape)
                for column, g in zip(
                    columns, _grads(ys, leaves, seeds, create_graph, strict), strict=True
                ):
                    column.append(g)
            parts = tuple(
                _ops["stack"](c, 0).reshape(tuple(y.shape) + tuple(x.shape))
                if c
                else _ops["zeros"](tuple(y.shape) + tuple(x.shape), dtype=x.dtype)
                for c, x in zip(columns, leaves, strict=True)
            )
            rows.append(_back(parts, single, create_graph))
    return rows[0] if single_y else tuple(rows)


def _together(
    derivative: Any, func: Callable[..., Any], inputs: Any, create_graph: bool, strict: bool
) -> Any:
    """A derivative of `eagergrad.func` for each of the inputs, off the tape unless create_graph."""
    from eagergrad.autograd.grad_mode import enable_grad
    from eagergrad.utils._pytree import tree_map

    if strict:
        raise RuntimeError("`strict=True` and `vectorize=True` do not go together")
    xs, single = _tuple(inputs, "inputs")
    with enable_grad():
        found = derivative(func, 0 if single else tuple(range(len(xs))))(*_leaves(xs, create_graph))
    return found if create_graph else tree_map(lambda t: t.detach(), found)


def _single_output(func: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        y = func(*args)
        if not isinstance(y, _C.TensorBase) or y.numel() != 1:
            raise RuntimeError(
                "The function given to hessian should return a single Tensor with a single element."
            )
        return y.reshape(())

    return call


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """All second derivatives of a function with one number as result."""
    scalar = _single_output(func)
    _, single = _tuple(inputs, "inputs")
    if vectorize:
        from eagergrad.func import hessian as together

        return _together(together, scalar, inputs, create_graph, strict)

    def first(*args: Any) -> Any:
        grads = jacobian(scalar, args, create_graph=True, strict=strict)
        return grads[0] if single else grads

    return jacobian(first, inputs, create_graph, strict)


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """Output of func, and the product of v with its Hessian."""
    from eagergrad.autograd.grad_mode import enable_grad

    scalar = _single_output(func)
    with enable_grad():
        xs, single = _tuple(inputs, "inputs")
        leaves = _leaves(xs, create_graph)
        vs = tuple(_ops["ones_like"](x) for x in xs) if v is None else _tuple(v, "v")[0]
        y = scalar(*leaves)
        first = _grads((y,), leaves, (_ops["ones_like"](y),), True, strict)
        second = _grads(first, leaves, vs, create_graph, False)
    return _back((y,), True, create_graph), _back(second, single, create_graph)


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """Output of func, and the product of its Hessian (symmetric) with v."""
    return vhp(func, inputs, v, create_graph, strict)


def batched_grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any,
    retain_graph: Any,
    create_graph: bool,
    allow_unused: Any,
) -> tuple[Any, ...]:
    """grad for each leading slice of the gradients, stacked: what is_grads_batched asks for."""
    from eagergrad.autograd import grad

    n = grad_outputs[0].shape[0]
    each = [
        grad(
            outputs,
            inputs,
            [g[i] for g in grad_outputs],
            True,
            create_graph,
            allow_unused=allow_unused,
        )
        for i in range(n)
    ]
    return tuple(
        None if column[0] is None else _ops["stack"](list(column), 0)
        for column in zip(*each, strict=True)
    )
