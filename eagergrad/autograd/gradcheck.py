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


def _gradients(outputs: Any, inputs: Any, seeds: Any, **options: Any) -> tuple[Any, ...]:
    import eagergrad as eg

    return eg.autograd.grad(outputs, inputs, seeds, retain_graph=True, allow_unused=True, **options)


def _check_repeatable(y: Any, x: Any, tolerance: float) -> None:
    first, second = _analytic(y, x), _analytic(y, x)
    if first is None or not x.numel():
        return
    off = float((first - second).abs().max())
    if not off <= tolerance:
        raise GradcheckError(
            f"Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives different "
            f"values: {off:.9g} apart. The tolerance for nondeterminism was {tolerance}."
        )


def _check_zeros(outputs: list[Any], inputs: list[Any]) -> None:
    import eagergrad as eg

    for g in _gradients(outputs, inputs, [eg.zeros_like(y) for y in outputs]):
        if g is not None and bool((g != 0).any()):
            raise GradcheckError("backward not multiplied by grad_output")


def _check_undefined(outputs: list[Any], inputs: list[Any]) -> None:
    """Backward with zeros for some outputs and nothing for the rest must give zeros or nothing."""
    import eagergrad as eg

    for left_out in outputs if len(outputs) > 1 else []:
        some = [y for y in outputs if y is not left_out]
        try:
            grads = _gradients(some, inputs, [eg.zeros_like(y) for y in some])
        except RuntimeError as e:
            raise GradcheckError(
                'Expected backward function to handle undefined output grads. Please look at "Notes about undefined output '
                f'gradients" of gradcheck: an output without a gradient made it fail: {e}'
            ) from e
        if any(g is not None and bool((g != 0).any()) for g in grads):
            raise GradcheckError(
                "Expected all input grads to be undefined or zero when all output grads are undefined or zero"
            )


def _check_dtypes(outputs: list[Any], inputs: list[Any]) -> None:
    import eagergrad as eg

    for g, x in zip(
        _gradients(outputs, inputs, [eg.ones_like(y) for y in outputs]), inputs, strict=True
    ):
        if g is not None and g.dtype is not x.dtype:
            raise GradcheckError(
                f"Gradient has dtype mismatch: {g.dtype} for an input of {x.dtype}"
            )


def _check_batched(y: Any, inputs: list[Any]) -> None:
    """Gradients of a batch of cotangents against those of each alone."""
    import eagergrad as eg

    generator = eg.Generator().manual_seed(3)
    seeds = eg.randn((2, *y.shape), dtype=y.dtype, generator=generator)
    together = _gradients([y], inputs, [seeds], is_grads_batched=True)
    for i, seed in enumerate(seeds):
        for number, (all_, alone) in enumerate(
            zip(together, _gradients([y], inputs, [seed]), strict=True)
        ):
            if alone is not None and not eg.allclose(all_[i], alone):
                raise GradcheckError(f"gradients of batched cotangents differ for input {number}")


def _check_forward(func: Any, given: Any, at: int, limits: tuple[float, float, float]) -> None:
    """Forward-mode products with random directions against differences."""
    import eagergrad as eg
    from eagergrad.autograd import forward_ad

    eps, atol, rtol = limits
    generator = eg.Generator().manual_seed(23)
    for number, x in enumerate(given):
        if not isinstance(x, _C.TensorBase) or not x.requires_grad:
            continue
        base = x.detach()
        u = eg.randn(x.shape, dtype=x.dtype, generator=generator)

        def run(value: Any, number: int = number) -> Any:
            return _outputs(func, (*given[:number], value, *given[number + 1 :]))[at]

        with forward_ad.dual_level():
            tangent = forward_ad.unpack_dual(run(forward_ad.make_dual(base, u))).tangent
        high, low = (run((base + e * u).requires_grad_()).detach() for e in (eps, -eps))
        wanted = (high - low) / (2 * eps)
        got = eg.zeros_like(wanted) if tangent is None else tangent.detach()
        if not eg.allclose(got, wanted, rtol=rtol, atol=atol * max(x.numel(), 1) ** 0.5):
            raise GradcheckError(
                f"Jacobian mismatch in forward mode for output {at} with respect to input {number}: {wanted} by differences "
                f"and {got} by forward_ad"
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
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether backward of ``func`` agrees with central differences at ``inputs``.

    Inputs that require grad are cast to float64 first. ``fast_mode`` compares along one random direction instead of
    element by element. Also checked are that zeros give zeros, that a second backward gives the same within ``nondet_tol``, outputs without a
    gradient, and where asked for dtypes, batches of cotangents and forward mode. Inputs are dense: ``masked`` says nothing
    about them. Raises GradcheckError (or returns False) naming the worst element.

    >>> import eagergrad as eg
    >>> eg.autograd.gradcheck(eg.tanh, eg.randn(3, requires_grad=True))
    True
    """
    import eagergrad as eg

    if not (check_forward_ad or check_backward_ad):
        raise AssertionError(
            "Expected at least one of check_forward_ad or check_backward_ad to be True"
        )
    if check_batched_grad and not check_backward_ad:
        raise AssertionError(
            "Setting check_batched_grad=True requires check_backward_ad to be True"
        )
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError(
            "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
        )
    given = _upcast(inputs)
    checked = [x for x in given if isinstance(x, _C.TensorBase) and x.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    compare = _along_direction if fast_mode else _elementwise
    try:
        with eg.enable_grad():
            outputs = _outputs(func, given)
            recorded = [y for y in outputs if y.requires_grad]
            for at, y in enumerate(outputs if check_backward_ad else ()):
                if y.requires_grad:
                    for number, x in enumerate(checked):
                        compare(func, given, x, y, at, number, eps, atol, rtol)
                        _check_repeatable(y, x, nondet_tol)
                    if check_batched_grad:
                        _check_batched(y, checked)
            if check_backward_ad and recorded:
                _check_zeros(recorded, checked)
            if check_backward_ad and check_undefined_grad:
                _check_undefined(recorded, checked)
            if check_backward_ad and check_grad_dtypes:
                _check_dtypes(recorded, checked)
            for at in range(len(outputs) if check_forward_ad else 0):
                _check_forward(func, given, at, (eps, atol, rtol))
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


def _seed(y: Any, generator: Any, strided: bool) -> Any:
    import eagergrad as eg

    if not strided:
        return eg.randn(y.shape, dtype=y.dtype, generator=generator)
    return eg.randn((*y.shape, 2), dtype=y.dtype, generator=generator)[..., 0]


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
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Whether the gradient of the gradient of ``func`` agrees with central differences.

    Arguments as gradcheck; ``grad_outputs`` default to random ones, with ``gen_non_contig_grad_outputs`` strided ones.
    """
    import eagergrad as eg

    given = _upcast(inputs)
    with eg.enable_grad():
        outputs = [y for y in _outputs(func, given) if y.requires_grad]
    if grad_outputs is None:
        generator = eg.Generator().manual_seed(5)
        seeds = tuple(
            _seed(y, generator, gen_non_contig_grad_outputs).requires_grad_() for y in outputs
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
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )
