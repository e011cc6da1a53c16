"""L-BFGS with an optional line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

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

            ls_evaluations = 0
            if line_search is not None:
                x = self._clone_params()

                def along(distance: float, x: list[Any] = x, d: Any = d) -> tuple[float, Any]:
                    return self._probe(closure, x, distance, d)

                loss, grad, t, ls_evaluations = _strong_wolfe(
                    along, t, d, loss, grad, slope, max_ls=group["max_eval"] - evaluations
                )
                self._move(t, d)
            else:
                self._move(t, d)
                # The gradient at the last point of a step would not be used.
                if n_iter != group["max_iter"]:
                    loss, grad = self._evaluate(closure)
                    ls_evaluations = 1
            small_grad = float(grad.abs().max()) <= group["tolerance_grad"]
            evaluations += ls_evaluations
            state["func_evals"] += ls_evaluations
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


def _cubic_minimum(
    x1: float,
    f1: float,
    g1: float,
    x2: float,
    f2: float,
    g2: float,
    bounds: tuple[float, float] | None = None,
) -> float:
    """Minimum in `bounds` of the cubic with these values and slopes (Nocedal and Wright, equation
    3.59).
    """
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
    f: float,
    g: Any,
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
    largest = float(d.abs().max())
    g = g.clone()
    f_new, g_new = along(t)
    evaluations = 1
    slope_new = float(g_new.dot(d))

    # Look for an interval that holds such a point, or the point itself.
    t_prev, f_prev, g_prev, slope_prev = 0.0, f, g, slope
    bracket: list[tuple[float, float, Any, float]] = []  # distance, loss, gradient, slope
    done = False
    iteration = 0
    while iteration < max_ls:
        here = (t, f_new, g_new.clone(), slope_new)
        before = (t_prev, f_prev, g_prev, slope_prev)
        if f_new > f + c1 * t * slope or (iteration > 1 and f_new >= f_prev):
            bracket = [before, here]
            break
        if abs(slope_new) <= -c2 * slope:
            bracket = [here]
            done = True
            break
        if slope_new >= 0:
            bracket = [before, here]
            break
        low, high = t + 0.01 * (t - t_prev), t * 10
        t_next = _cubic_minimum(t_prev, f_prev, slope_prev, t, f_new, slope_new, bounds=(low, high))
        t_prev, f_prev, g_prev, slope_prev = t, f_new, g_new.clone(), slope_new
        t = t_next
        f_new, g_new = along(t)
        evaluations += 1
        slope_new = float(g_new.dot(d))
        iteration += 1
    if iteration == max_ls:
        bracket = [(0.0, f, g, slope), (t, f_new, g_new, slope_new)]

    # Narrow it.
    stuck = False
    while not done and iteration < max_ls:
        low, high = _lower_first(bracket)
        (t0, f0, _, s0), (t1, f1, _, s1) = bracket
        if abs(t1 - t0) * largest < tolerance_change:
            break
        t = _cubic_minimum(t0, f0, s0, t1, f1, s1)
        left, right = min(t0, t1), max(t0, t1)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            # Too close to an end: the second time in a row, or outside, step away from it.
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        f_new, g_new = along(t)
        evaluations += 1
        slope_new = float(g_new.dot(d))
        iteration += 1
        here = (t, f_new, g_new.clone(), slope_new)
        if f_new > f + c1 * t * slope or f_new >= bracket[low][1]:
            bracket[high] = here
        else:
            if abs(slope_new) <= -c2 * slope:
                done = True
            elif slope_new * (bracket[high][0] - bracket[low][0]) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = here
    best = bracket[_lower_first(bracket)[0]] if len(bracket) == 2 else bracket[0]
    return best[1], best[2], best[0], evaluations


def _lower_first(bracket: list[tuple[float, float, Any, float]]) -> tuple[int, int]:
    return (0, 1) if bracket[0][1] <= bracket[-1][1] else (1, 0)
