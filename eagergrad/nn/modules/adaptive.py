"""An efficient softmax over very many classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import eagergrad as eg
from eagergrad import Tensor

from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class _ASMoutput(NamedTuple):
    """Each sample's log probability of its target, and the mean of their negatives."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Softmax over classes sorted by frequency, in clusters cut at `cutoffs`; rarer ones get smaller projections.

    Takes (N, in_features) and (N,) classes. ValueError for cutoffs that do not rise strictly below n_classes.
    Source: Grave et al., 2017.

    >>> import eagergrad as eg
    >>> layer = eg.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10], div_value=2.0)
    >>> out = layer(eg.zeros(3, 8), eg.tensor([0, 7, 19]))
    >>> tuple(out.output.shape), out.loss.dim(), tuple(layer.log_prob(eg.zeros(3, 8)).shape)
    ((3,), 0, (3, 20))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cuts = list(cutoffs)
        if not cuts:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        rising = sorted(set(cuts)) == cuts and all(int(c) == c for c in cuts)
        if not rising or cuts[0] <= 0 or cuts[-1] > n_classes - 1:
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                "order, where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cuts, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = cuts[0]
        self.n_clusters = len(cuts)
        self.head_size = self.shortlist_size + self.n_clusters
        made = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **made)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            inner = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, inner, bias=False, **made),
                    Linear(inner, size, bias=False, **made),
                )
            )

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.head.reset_parameters()
        for project, out in self.tail:
            project.reset_parameters()
            out.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        batched = target_.dim() > 0
        input, target = (
            (input_, target_) if batched else (input_.unsqueeze(0), target_.unsqueeze(0))
        )
        self._check(input_, target_)
        head = F.log_softmax(self.head(input), dim=1)
        in_head = target < self.shortlist_size
        column = eg.where(in_head, target, eg.zeros_like(target))
        output = eg.zeros(len(target), dtype=head.dtype, device=head.device)
        for i in range(self.n_clusters):
            low, high = self.cutoffs[i], self.cutoffs[i + 1]
            rows = ((target >= low) & (target < high)).nonzero().squeeze(1)
            if len(rows) == 0:
                continue
            column = column.index_fill(0, rows, self.shortlist_size + i)
            within = F.log_softmax(self.tail[i](input.index_select(0, rows)), dim=1)
            relative = (target.index_select(0, rows) - low).unsqueeze(1)
            output = output.index_copy(0, rows, within.gather(1, relative).squeeze(1))
        output = output + head.gather(1, column.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def _check(self, input: Tensor, target: Tensor) -> None:
        if target.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if target.dim() == 1 and (input.dim() != 2 or input.shape[0] != target.shape[0]):
            raise RuntimeError(
                f"Input and target should have the same size in the batch dimension, came "
                f"{tuple(input.shape)} and {tuple(target.shape)}."
            )
        if target.dim() == 0 and input.dim() != 1:
            raise RuntimeError("0D target tensor should be used with 1D input tensor")
        if target.numel() and not 0 <= int(target.min()) <= int(target.max()) < self.n_classes:
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{int(target.min())}, {int(target.max())}] were found."
            )

    def log_prob(self, input: Tensor) -> Tensor:
        """(N, n_classes) log probabilities of all classes."""
        head = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            of_cluster = head[:, self.shortlist_size + i].unsqueeze(1)
            parts.append(F.log_softmax(tail(input), dim=1) + of_cluster)
        return eg.cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """(N,) most probable classes; clusters that cannot win are not computed."""
        head = self.head(input)
        best = head.argmax(1)
        if bool((best < self.shortlist_size).all()):
            return best
        return self.log_prob(input).argmax(1)
