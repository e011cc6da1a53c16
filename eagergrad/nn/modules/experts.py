"""Mixtures of experts with top-k gates."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops

from .. import functional as F
from .. import init
from ..parameter import Parameter
from .container import ModuleList
from .module import Module

__all__ = ["MixtureOfExperts", "Routing", "TopKGate"]


class Routing(NamedTuple):
    """Where a `TopKGate` sends N inputs: each to k of E experts."""

    experts: Tensor
    """(N, k) int64, the best first."""
    weights: Tensor
    """(N, k): the gates' values."""
    importance: Tensor
    """(E,): the sum of each expert's gates, equation 6."""
    load: Tensor
    """(E,): how many inputs each gets, smooth in training, equation 10."""
    loss: Tensor
    """The balancing losses, to be added to that of the task."""

    def dense(self) -> Tensor:
        """All gates, (N, E): G(x) of equation 1, zero outside the top k."""
        shape = (len(self.experts), len(self.importance))
        zeros = self.weights.new_zeros(*shape)
        return zeros.scatter(1, self.experts, self.weights)


class TopKGate(Module):
    """Noisy top-k gating (Shazeer et al., 2017, arXiv 1701.06538): chooses k of `num_experts` for each row of (N, in).

    Equation numbers are the paper's. Scores are H(x) = x W + StandardNormal() * softplus(x W_noise), equation 4, in
    training; without the noise in eval mode and with `noisy=False`. The k best are kept, equation 5, and

    - `norm="topk"` takes the softmax of these, equation 3;
    - `norm="full"` takes them from the softmax of all scores, equation 2, so that they sum to less than 1.

    With k = 1 the first is 1 whatever the scores are, and the gate learns nothing from the task; so `norm` is "full" for
    k = 1 unless you ask otherwise, which warns, and "topk" for k > 1.

    The losses are those of equations 7 and 11, `importance_weight` and `load_weight` times the squared coefficient of
    variation over the experts of importance, equation 6, and of load, equations 8 to 10. Without noise, load is the
    plain count of inputs, which has no gradient. `noise_epsilon` is added to the noise's scale, which could vanish
    otherwise and is divided by in equation 9.

    A noisy gate starts at zero, as the paper's does, so that chance alone decides at first; other gates start
    like a Linear layer. Returns a `Routing`. ValueError for a k outside [1, num_experts] and for an unknown `norm`.

    >>> import eagergrad as eg
    >>> gate = eg.nn.TopKGate(4, num_experts=3, k=2)
    >>> routing = gate(eg.randn(5, 4))
    >>> tuple(routing.experts.shape), routing.weights.sum(1).round().tolist()
    ((5, 2), [1.0, 1.0, 1.0, 1.0, 1.0])
    """

    __constants__ = ["in_features", "num_experts", "k"]
    noise_weight: Tensor | None

    def __init__(
        self,
        in_features: int,
        num_experts: int,
        k: int = 2,
        *,
        noisy: bool = True,
        norm: str | None = None,
        importance_weight: float = 0.01,
        load_weight: float = 0.01,
        noise_epsilon: float = 0.01,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if not 1 <= k <= num_experts:
            raise ValueError(f"[TopKGate] expected 1 <= k <= {num_experts} experts, got k={k}")
        if norm not in (None, "topk", "full"):
            raise ValueError(f"[TopKGate] expected norm to be 'topk' or 'full', got {norm!r}")
        if norm == "topk" and k == 1:
            warnings.warn(
                "TopKGate with k=1 and norm='topk' has gates that are always 1: the gate gets no gradient from the "
                "task. norm='full' gives it one.",
                stacklevel=2,
            )
        self.in_features, self.num_experts, self.k = in_features, num_experts, k
        self.norm = norm or ("full" if k == 1 else "topk")
        self.importance_weight, self.load_weight = importance_weight, load_weight
        self.noise_epsilon = noise_epsilon
        shape, made = (num_experts, in_features), {"device": device, "dtype": dtype}
        self.weight = Parameter(eg.empty(shape, **made))
        if noisy:
            self.noise_weight = Parameter(eg.empty(shape, **made))
        else:
            self.register_parameter("noise_weight", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start anew."""
        if self.noise_weight is None:
            init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        else:
            init.zeros_(self.weight)
            init.zeros_(self.noise_weight)

    def forward(self, input: Tensor) -> Routing:
        if input.dim() != 2:
            raise ValueError(
                f"[TopKGate] expected rows of inputs (N, {self.in_features}), got {tuple(input.shape)}"
            )
        clean = F.linear(input, self.weight)
        scores, scale = clean, None
        if self.noise_weight is not None and self.training:
            scale = F.softplus(F.linear(input, self.noise_weight)) + self.noise_epsilon
            scores = clean + eg.randn_like(clean) * scale
        best, experts = scores.topk(min(self.k + 1, self.num_experts), 1)
        kept, chosen = best[:, : self.k], experts[:, : self.k]
        weights = kept.softmax(1) if self.norm == "topk" else scores.softmax(1).gather(1, chosen)
        importance = weights.new_zeros(self.num_experts).index_add(
            0, chosen.reshape(-1), weights.reshape(-1)
        )
        load = self._load(clean, scale, best, chosen)
        loss = self.importance_weight * _variation(importance) + self.load_weight * _variation(load)
        return Routing(chosen, weights, importance, load, loss)

    def _load(self, clean: Tensor, scale: Tensor | None, best: Tensor, chosen: Tensor) -> Tensor:
        if scale is None or self.k == self.num_experts:
            return eg.bincount(chosen.reshape(-1), minlength=self.num_experts).to(clean.dtype)
        # kth_excluding of equation 8: the k-th best without the expert itself, the next one for those among the k best.
        last, following = best[:, self.k - 1 : self.k], best[:, self.k :]
        inside = clean.new_zeros(*clean.shape).scatter(
            1, chosen, eg.ones_like(chosen).to(clean.dtype)
        )
        threshold = eg.where(inside > 0, following, last)
        z = (clean - threshold) / scale
        return (0.5 * (1 + eg.erf(z / math.sqrt(2)))).sum(0)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, num_experts={self.num_experts}, k={self.k}, norm={self.norm!r}, "
            f"noisy={self.noise_weight is not None}"
        )


def _variation(x: Tensor) -> Tensor:
    """The squared coefficient of variation."""
    mean = x.mean()
    return ((x - mean) ** 2).mean() / (mean * mean + 1e-10)


class _Mlps(Module):
    """Identical two-layer perceptrons, one an expert, as products by groups."""

    def __init__(
        self,
        count: int,
        inside: int,
        hidden: int,
        outside: int,
        activation: Any,
        made: dict[str, Any],
    ) -> None:
        super().__init__()
        self.activation = activation
        self.weight1 = Parameter(eg.empty((count, inside, hidden), **made))
        self.bias1 = Parameter(eg.empty((count, hidden), **made))
        self.weight2 = Parameter(eg.empty((count, hidden, outside), **made))
        self.bias2 = Parameter(eg.empty((count, outside), **made))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew, each expert's as those of Linear layers."""
        for weight, bias in ((self.weight1, self.bias1), (self.weight2, self.bias2)):
            init._uniform_fan_(weight, weight.shape[1])
            init._uniform_fan_(bias, weight.shape[1])

    def forward(self, rows: Tensor, ends: Tensor) -> Tensor:
        hidden = F.grouped_mm(rows, self.weight1, offs=ends, bias=self.bias1)
        if self.activation is F.relu:
            hidden = F.relu(hidden, inplace=True)  # nobody else has it: one pass over memory less
        else:
            hidden = self.activation(hidden)
        return F.grouped_mm(hidden, self.weight2, offs=ends, bias=self.bias2)

    def extra_repr(self) -> str:
        return "{}, {} -> {} -> {}".format(*self.weight1.shape, self.weight2.shape[2])


class MixtureOfExperts(Module):
    """y = sum of G(x)_i E_i(x) over the k experts that a gate chooses for each x: equation 1 of arXiv 1701.06538.

    (..., in_features) to (..., out_features), and the gate's balancing loss: add it to that of the task. Each expert runs on its own rows
    alone, gathered, in one product a layer. The experts are `num_experts` perceptrons in_features -> hidden_features ->
    out_features with `activation` between, kept as stacked weights; or the modules in `experts`, which take (n, in_features) and need not be
    alike. `gate` replaces the default `TopKGate(in_features, num_experts, k)`.

    With `capacity_factor` an expert takes at most ceil(capacity_factor * k * N / num_experts) of N rows, in their order; what exceeds it adds
    nothing to y. ValueError for bad sizes.

    >>> import eagergrad as eg
    >>> layer = eg.nn.MixtureOfExperts(4, 8, hidden_features=16, k=2)
    >>> y, loss = layer(eg.randn(5, 4))
    >>> tuple(y.shape), loss.dim()
    ((5, 4), 0)
    """

    def __init__(
        self,
        in_features: int,
        num_experts: int | None = None,
        hidden_features: int | None = None,
        out_features: int | None = None,
        k: int = 2,
        *,
        experts: Iterable[Module] | None = None,
        activation: Callable[[Tensor], Tensor] = F.relu,
        gate: Module | None = None,
        capacity_factor: float | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made = {"device": device, "dtype": dtype}
        self.experts: Module
        if experts is not None:
            self.experts = ModuleList(experts)
            if num_experts not in (None, len(self.experts)):
                raise ValueError(
                    f"[MixtureOfExperts] expected num_experts to be {len(self.experts)}, as many as experts; got {num_experts}"
                )
            num_experts = len(self.experts)
        elif num_experts is None or hidden_features is None:
            raise ValueError(
                "[MixtureOfExperts] expected num_experts and hidden_features, or experts"
            )
        if num_experts < 1:
            raise ValueError(f"[MixtureOfExperts] expected at least one expert, got {num_experts}")
        if experts is None:
            sizes = (num_experts, in_features, hidden_features, out_features or in_features)
            self.experts = _Mlps(*sizes, activation, made)  # type: ignore[arg-type]
        if capacity_factor is not None and not capacity_factor > 0:
            raise ValueError(
                f"[MixtureOfExperts] expected a positive capacity_factor, got {capacity_factor}"
            )
        self.in_features, self.num_experts = in_features, num_experts
        self.capacity_factor = capacity_factor
        self.gate = TopKGate(in_features, num_experts, k, **made) if gate is None else gate

    def forward(self, input: Tensor) -> tuple[Tensor, Tensor]:
        x = input.reshape(-1, self.in_features)
        routing = self.gate(x)
        n, k = routing.experts.shape
        assigned = routing.experts.reshape(-1)
        order = assigned.argsort(stable=True)  # pairs of row and choice, expert by expert
        counts = eg.bincount(assigned, minlength=self.num_experts)
        weights = routing.weights.reshape(-1)
        if self.capacity_factor is not None:
            capacity = math.ceil(self.capacity_factor * n * k / self.num_experts)
            start = counts.cumsum(0) - counts
            place = eg.arange(n * k, device=x.device) - start[assigned[order]]
            order = order[place < capacity]
            counts = counts.clamp(max=capacity)
        rows = order // k
        y = self._apply(x.index_select(0, rows), counts)
        weights = weights.to(y.dtype)  # autocast may have made them narrower
        # Each row's sum of its experts' results, in the order of its choices.
        place = order.argsort(stable=True)
        y = _ops.embedding_bag(place, rows[place], n, y, "sum", weights[order[place]])
        return y.reshape(*input.shape[:-1], y.shape[1]), routing.loss

    def _apply(self, rows: Tensor, counts: Tensor) -> Tensor:
        if isinstance(self.experts, _Mlps):
            return self.experts(rows, counts.cumsum(0))
        assert isinstance(self.experts, ModuleList)
        parts = rows.split(counts.tolist())
        used = [expert(part) for expert, part in zip(self.experts, parts, strict=True) if len(part)]
        return eg.cat(used) if used else self.experts[0](rows)

    def extra_repr(self) -> str:
        text = f"in_features={self.in_features}, num_experts={self.num_experts}"
        return (
            text
            if self.capacity_factor is None
            else f"{text}, capacity_factor={self.capacity_factor}"
        )
