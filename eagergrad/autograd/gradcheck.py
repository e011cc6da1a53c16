"""Gradients compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eagergrad import _C


class GradcheckError(RuntimeError):
    """The analytic and the numerical gradient differ."""


def _outputs(function: Callable[..., Any], inputs: tuple[Any, ...]) -> list[Any]:
    result = function(*inputs)
    items = [result] if isinstance(result, _C.TensorBase) else list(result)
    return [y for y in items if isinstance(y, _C.TensorBase) and y.dtype.is_floating_point]


def _numerical(
    function: Callable[..., Any], inputs: tuple[Any, ...], x: Any, eps: float, at: int
) -> Any:
    """d outputs[at] / d x, one column for each element of x: shape (numel(y), numel(x))."""
    import eagergrad as eg

    columns = []
    with eg.no_grad():
        flat = x.data
        for index in _indices(x.shape):
            before = flat[index].item()
            flat[index] = before + eps
            high = _outputs(function, inputs)[at].detach().clone()
            flat[index] = before - eps
            low = _outputs(function, inputs)[at].detach().clone()
            flat[index] = before
            columns.append(((high - low) / (2 * eps)).reshape(-1))
        if not columns:
            return None
        return eg.stack(columns, 1)


def _indices(shape: Any) -> Any:
    import itertools

    return itertools.product(*(range(n) for n in shape))


def _analytic(y: Any, x: Any) -> Any:
    """The same by backward, one row for each element of y."""
    import eagergrad as eg

    rows = []
    for i in range(y.numel()):
        seed = eg.zeros(y.numel(), dtype=y.dtype)
        seed[i] = 1
        (g,) = eg.autograd.grad(y, x, seed.reshape(y.shape), retain_graph=True, allow_unused=True)
        rows.append((eg.zeros_like(x) if g is None else g).detach().reshape(-1))
    return eg.stack(rows, 0) if rows else None


def _upcast(inputs: Any) -> tuple[Any, ...]:
    import eagergrad as eg

    items = (inputs,) if isinstance(inputs, _C.TensorBase) else tuple(inputs)
    return tuple(
        x.detach().to(eg.float64).clone().requires_grad_()
        if isinstance(x, _C.TensorBase) and x.requires_grad and x.dtype is not eg.float64
        else x
        for x in items
    )


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
    **ignored: Any,
) -> bool:
    """Whether backward of ``func`` agrees with central differences at ``inputs``.

    Inputs that require grad are cast to float64 first. ``fast_mode`` compares along one random direction instead of
    element by element. Raises GradcheckError (or returns False) naming the worst element.

    >>> import eagergrad as eg
    >>> eg.autograd.gradcheck(eg.tanh, eg.randn(3, requires_grad=True))
    True
    """
    import eagergrad as eg

    given = _upcast(inputs)
    checked = [x for x in given if isinstance(x, _C.TensorBase) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck expects at least one input that requires grad")
    compare = _along_direction if fast_mode else _elementwise
    try:
        with eg.enable_grad():
            outputs = _outputs(func, given)
            for at, y in enumerate(outputs):
                if y.requires_grad:
                    for number, x in enumerate(checked):
                        compare(func, given, x, y, at, number, eps, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _elementwise(
    func: Any,
    inputs: Any,
    x: Any,
    y: Any,
    at: int,
    number: int,
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    numerical, analytic = _numerical(func, inputs, x, eps, at), _analytic(y, x)
    if numerical is None or analytic is None:
        return
    excess = (numerical - analytic).abs() - (atol + rtol * numerical.abs())
    bad = ~(excess <= 0)
    if bool(bad.any()):
        worst = int(excess.nan_to_num(float("inf")).argmax())
        row, column = divmod(worst, x.numel())
        made = f", made by {y.grad_fn.name()} at {y.grad_fn.site}" if y.grad_fn else ""
        raise GradcheckError(
            f"Jacobian mismatch for output {at} with respect to input {number}: d y[{row}] / d x[{column}] is "
            f"{numerical[row, column].item():.9g} by differences and {analytic[row, column].item():.9g} by backward{made}\n"
            f"numerical: {numerical}\nanalytical: {analytic}"
        )


def _along_direction(
    func: Any,
    inputs: Any,
    x: Any,
    y: Any,
    at: int,
    number: int,
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    import eagergrad as eg

    generator = eg.Generator().manual_seed(17)
    u = eg.randn(x.shape, dtype=x.dtype, generator=generator)
    v = eg.randn(y.shape, dtype=y.dtype, generator=generator)
    with eg.no_grad():
        data, before = x.data, x.detach().clone()
        data.copy_(before + eps * u)
        high = _outputs(func, inputs)[at].detach().clone()
        data.copy_(before - eps * u)
        low = _outputs(func, inputs)[at].detach().clone()
        data.copy_(before)
        numerical = float((v * (high - low) / (2 * eps)).sum())
    fresh = _outputs(func, inputs)[at]
    (g,) = eg.autograd.grad(fresh, x, v, retain_graph=True, allow_unused=True)
    analytic = 0.0 if g is None else float((g.detach() * u).sum())
    if not abs(numerical - analytic) <= atol * max(x.numel(), 1) ** 0.5 + rtol * abs(numerical):
        made = f", made by {y.grad_fn.name()} at {y.grad_fn.site}" if y.grad_fn else ""
        raise GradcheckError(
            f"gradient mismatch for output {at} with respect to input {number} along a random direction: "
            f"{numerical:.9g} by differences and {analytic:.9g} by backward{made}"
        )


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    fast_mode: bool = False,
    **ignored: Any,
) -> bool:
    """Whether the gradient of the gradient of ``func`` agrees with central differences.

    Arguments as gradcheck; ``grad_outputs`` default to random ones.
    """
    import eagergrad as eg

    given = _upcast(inputs)
    with eg.enable_grad():
        outputs = [y for y in _outputs(func, given) if y.requires_grad]
    if grad_outputs is None:
        generator = eg.Generator().manual_seed(5)
        seeds = tuple(
            eg.randn(y.shape, dtype=y.dtype, generator=generator).requires_grad_() for y in outputs
        )
    else:
        seeds = _upcast(grad_outputs)
    count = len(given)

    def first_order(*args: Any) -> Any:
        xs, vs = args[:count], args[count:]
        with eg.enable_grad():
            ys = [y for y in _outputs(func, xs) if y.requires_grad]
            wanted = [x for x in xs if isinstance(x, _C.TensorBase) and x.requires_grad]
            grads = eg.autograd.grad(ys, wanted, vs, create_graph=True, allow_unused=True)
        return tuple(g for g in grads if g is not None)

    return gradcheck(
        first_order,
        given + seeds,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        fast_mode=fast_mode,
    )
