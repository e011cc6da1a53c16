"""L-BFGS with an optional line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import eagergrad as eg

from .optimizer import Closure, Optimizer, ParamsT, _check_lr

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """L-BFGS (Nocedal and Wright, Numerical Optimization, chapter 7); one parameter group, a
    closure is needed.

    A step runs up to `max_iter` iterations and `max_eval` evaluations of the closure (default:
    max_iter * 5 // 4), and ends when no gradient exceeds `tolerance_grad` or the loss or the
    parameters move less than `tolerance_change`. `line_search_fn` is None or "strong_wolfe". It
    returns the loss of the first evaluation.

    >>> import eagergrad as eg
    >>> x = eg.tensor([3.0, -1.0], requires_grad=True)
    >>> optimizer = eg.optim.LBFGS([x], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((x - 1.0) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    8.0
    >>> [round(v, 4) for v in x.tolist()]
    [1.0, 1.0]
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        _check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Any]:
        return self.param_groups[0]["params"]

    # ---- all parameters as one vector -------------------------------------------------------------

    def _flat_grad(self) -> Any:
        parts = []
        for p in self._params:
            if p.grad is None:
                parts.append(eg.zeros(p.numel(), dtype=p.dtype, device=p.device))
            else:
                grad = p.grad.to_dense() if p.grad.is_sparse else p.grad
                parts.append(grad.reshape(-1))
        return eg.cat(parts, 0)

    def _move(self, distance: float, direction: Any) -> None:
        start = 0
        for p in self._params:
            part = direction[start : start + p.numel()]
            p.add_(part.view(p.shape), alpha=distance)
            start += p.numel()

    def _clone_params(self) -> list[Any]:
        return [p.clone() for p in self._params]

    def _restore_params(self, values: list[Any]) -> None:
        for p, value in zip(self._params, values, strict=True):
            p.copy_(value)

    def _probe(
        self, closure: Closure, x: list[Any], distance: float, direction: Any
    ) -> tuple[float, Any]:
        self._move(distance, direction)
        loss, grad = self._evaluate(closure)
        self._restore_params(x)
        return loss, grad

    def _evaluate(self, closure: Closure) -> tuple[float, Any]:
        with eg.enable_grad():
            loss = closure()
        return float(loss), self._flat_grad()

    def _search(
        self, closure: Closure, d: Any, t: float, loss: float, grad: Any, slope: float, most: int
    ) -> tuple[float, Any, float, int]:
        """Move along d as far as the line search says: loss and gradient there, the distance, and
        the number of evaluations.
        """
        x = self._clone_params()

        def along(distance: float) -> tuple[float, Any]:
            return self._probe(closure, x, distance, d)

        loss, grad, t, spent = _strong_wolfe(along, t, d, loss, grad, slope, max_ls=most)
        self._move(t, d)
        return loss, grad, t, spent

    # ---- the step -----------------------------------------------------------------------------------

    def step(self, closure: Closure | None = None) -> Any:
        """Minimise along L-BFGS directions; `closure` clears the gradients and returns the loss
        after backward.
        """
        if closure is None:
            raise TypeError(
                "LBFGS.step() needs a closure that evaluates the model and returns the loss"
            )
        with eg.no_grad():
            return self._step(closure)

    def _step(self, closure: Closure) -> Any:
        group = self.param_groups[0]
        lr, line_search = group["lr"], group["line_search_fn"]
        if isinstance(lr, eg.Tensor):
            lr = lr.item()
        if line_search not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        with eg.enable_grad():
            first_loss = closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        grad = self._flat_grad()
        if float(grad.abs().max()) <= group["tolerance_grad"]:
            return first_loss

        d, t = state.get("d"), state.get("t")
        history = {name: state.get(name) for name in ("old_dirs", "old_stps", "ro", "H_diag")}
        previous_grad, previous_loss = state.get("prev_flat_grad"), state.get("prev_loss")
        n_iter = 0
        while n_iter < group["max_iter"]:
            n_iter += 1
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                d = grad.neg()
                history = {"old_dirs": [], "old_stps": [], "ro": [], "H_diag": 1}
            else:
                _remember(history, grad - previous_grad, d * t, group["history_size"])
                al = state.setdefault("al", [None] * group["history_size"])
                d = _two_loops(history, al, grad)
            if previous_grad is None:
                previous_grad = grad.clone()
            else:
                previous_grad.copy_(grad)
            previous_loss = loss
            t = min(1.0, 1.0 / float(grad.abs().sum())) * lr if state["n_iter"] == 1 else lr
            slope = float(grad.dot(d))
            if slope > -group["tolerance_change"]:
                break

            if line_search is not None:
                most = group["max_eval"] - evaluations
                loss, grad, t, spent = self._search(closure, d, t, loss, grad, slope, most)
            else:
                self._move(t, d)
                spent = int(n_iter != group["max_iter"])
                if spent:  # the gradient at the last point of a step would not be used
                    loss, grad = self._evaluate(closure)
            small_grad = float(grad.abs().max()) <= group["tolerance_grad"]
            evaluations += spent
            state["func_evals"] += spent
            if (
                evaluations >= group["max_eval"]
                or small_grad
                or float((d * t).abs().max()) <= group["tolerance_change"]
                or abs(loss - previous_loss) < group["tolerance_change"]
            ):
                break
        state["d"], state["t"] = d, t
        state.update(history)
        state["prev_flat_grad"], state["prev_loss"] = previous_grad, previous_loss
        return first_loss


def _remember(history: dict[str, Any], y: Any, s: Any, history_size: int) -> None:
    curvature = y.dot(s)
    if float(curvature) <= 1e-10:
        return
    dirs, steps, ro = history["old_dirs"], history["old_stps"], history["ro"]
    if len(dirs) == history_size:
        for oldest in (dirs, steps, ro):
            oldest.pop(0)
    dirs.append(y)
    steps.append(s)
    ro.append(1.0 / curvature)
    history["H_diag"] = curvature / y.dot(y)


def _two_loops(history: dict[str, Any], al: list[Any], grad: Any) -> Any:
    """-H grad, with H the approximation of the inverse Hessian (Nocedal and Wright, algorithm 7.4); fills `al`."""
    dirs, steps, ro = history["old_dirs"], history["old_stps"], history["ro"]
    q = grad.neg()
    for k in reversed(range(len(dirs))):
        al[k] = steps[k].dot(q) * ro[k]
        q.add_(dirs[k], alpha=-float(al[k]))
    d = q.mul(history["H_diag"])
    for k in range(len(dirs)):
        d.add_(steps[k], alpha=float(al[k] - dirs[k].dot(d) * ro[k]))
    return d


class _Point(NamedTuple):
    """A distance along the line, with the loss, the gradient and the slope there."""

    t: float
    loss: float
    grad: Any
    slope: float


_Probe = Callable[[float], _Point]


def _minimum_between(a: _Point, b: _Point, bounds: tuple[float, float] | None = None) -> float:
    """Minimum in `bounds` of the cubic with these values and slopes (Nocedal and Wright, equation
    3.59); between the points where none are given.
    """
    (x1, f1, _, g1), (x2, f2, _, g2) = a, b
    low, high = bounds if bounds is not None else (min(x1, x2), max(x1, x2))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if not square >= 0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    if x1 <= x2:
        position = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        position = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(position, low), high)


def _strong_wolfe(
    along: Callable[[float], tuple[float, Any]],
    t: float,
    d: Any,
    loss: float,
    grad: Any,
    slope: float,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
    max_ls: int = 25,
) -> tuple[float, Any, float, int]:
    """A distance that meets the strong Wolfe conditions (Nocedal and Wright, algorithms 3.5 and
    3.6).

    Returns the loss and gradient there, the distance, and the number of evaluations.
    """
    evaluations = 0

    def probe(t: float) -> _Point:
        nonlocal evaluations
        evaluations += 1
        loss, grad = along(t)
        return _Point(t, loss, grad.clone(), float(grad.dot(d)))

    def descends(point: _Point) -> bool:
        return not point.loss > loss + c1 * point.t * slope

    def is_flat(point: _Point) -> bool:
        return abs(point.slope) <= -c2 * slope

    def is_short(length: float) -> bool:
        return length * largest < tolerance_change

    largest = float(d.abs().max())
    start = _Point(0.0, loss, grad.clone(), slope)
    bracket, left = _bracket(probe, start, t, descends, is_flat, max_ls)
    if len(bracket) == 2:
        _narrow(probe, bracket, descends, is_flat, is_short, left)
    best = bracket[_lower_first(bracket)[0]] if len(bracket) == 2 else bracket[0]
    return best.loss, best.grad, best.t, evaluations


def _bracket(
    probe: _Probe,
    start: _Point,
    t: float,
    descends: Callable[[_Point], bool],
    is_flat: Callable[[_Point], bool],
    max_ls: int,
) -> tuple[list[_Point], int]:
    """Ends of an interval that holds such a point, or the point itself; and the iterations left."""
    before, here = start, probe(t)
    for iteration in range(max_ls):
        left = max_ls - iteration
        if not descends(here) or (iteration > 1 and here.loss >= before.loss):
            return [before, here], left
        if is_flat(here):
            return [here], left
        if here.slope >= 0:
            return [before, here], left
        bounds = here.t + 0.01 * (here.t - before.t), here.t * 10
        before, here = here, probe(_minimum_between(before, here, bounds))
    return [start, here], 0


def _narrow(
    probe: _Probe,
    bracket: list[_Point],
    descends: Callable[[_Point], bool],
    is_flat: Callable[[_Point], bool],
    is_short: Callable[[float], bool],
    iterations: int,
) -> None:
    """Shrink the interval in place until its better end is such a point."""
    stuck = False
    for _ in range(iterations):
        low, high = _lower_first(bracket)
        first, second = bracket
        if is_short(abs(second.t - first.t)):
            return
        t = _minimum_between(first, second)
        left, right = min(first.t, second.t), max(first.t, second.t)
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or t >= right or t <= left):
            # Too close to an end, the second time in a row or outside: step away from it.
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            stuck = False
        else:
            stuck = near
        here = probe(t)
        if not descends(here) or here.loss >= bracket[low].loss:
            bracket[high] = here
            continue
        found = is_flat(here)
        if not found and here.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = here
        if found:
            return


def _lower_first(bracket: list[_Point]) -> tuple[int, int]:
    return (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
