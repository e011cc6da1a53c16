"""nn.utils.prune: masks over parameters."""

from __future__ import annotations

import pytest

import eagergrad as eg
from eagergrad import nn
from eagergrad.nn.utils import prune


def _layer() -> nn.Linear:
    layer = nn.Linear(3, 2)
    with eg.no_grad():
        layer.weight.copy_(eg.tensor([[0.1, -2.0, 3.0], [-0.2, 0.3, 5.0]]))
    return layer


def test_l1_keeps_the_largest_and_trains_through_the_mask() -> None:
    layer = prune.l1_unstructured(_layer(), "weight", 0.5)
    assert layer.weight.tolist() == [[0.0, -2.0, 3.0], [0.0, 0.0, 5.0]]
    assert [n for n, _ in layer.named_parameters()] == ["bias", "weight_orig"]
    assert [n for n, _ in layer.named_buffers()] == ["weight_mask"]
    layer(eg.ones(1, 3)).sum().backward()
    assert layer.weight_orig.grad.tolist() == [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    with eg.no_grad():
        layer.weight_orig.add_(1)
    layer(eg.ones(1, 3))  # the hook makes weight anew
    assert layer.weight[0].tolist() == [0.0, -1.0, 4.0]


def test_pruning_twice_prunes_what_is_left() -> None:
    layer = prune.l1_unstructured(_layer(), "weight", 2)
    prune.ln_structured(layer, "weight", 1, n=2, dim=0)
    assert layer.weight.tolist() == [[0.0] * 3, [0.0, pytest.approx(0.3), 5.0]]
    (hook,) = layer._forward_pre_hooks.values()
    assert isinstance(hook, prune.PruningContainer) and len(hook) == 2
    assert isinstance(hook[0], prune.L1Unstructured)


def test_remove_makes_it_permanent() -> None:
    layer = prune.l1_unstructured(_layer(), "weight", 3)
    assert prune.is_pruned(layer)
    prune.remove(layer, "weight")
    assert not prune.is_pruned(layer) and isinstance(layer.weight, nn.Parameter)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert int((layer.weight == 0).sum()) == 3
    with pytest.raises(ValueError, match="has to be pruned"):
        prune.remove(layer, "weight")


def test_global_counts_over_all_parameters() -> None:
    a, b = _layer(), _layer()
    with eg.no_grad():
        b.weight.mul_(100)
    prune.global_unstructured([(a, "weight"), (b, "weight")], prune.L1Unstructured, amount=0.5)
    assert float(a.weight.abs().sum()) == 0 and int((b.weight == 0).sum()) == 0


def test_random_methods_prune_that_many() -> None:
    layer = prune.random_unstructured(nn.Linear(10, 10), "weight", amount=37)
    assert int(layer.weight_mask.sum()) == 63
    prune.random_structured(layer, "weight", amount=4, dim=1)
    assert int((layer.weight_mask.sum(0) == 0).sum()) >= 4
    assert prune.identity(layer, "bias").bias_mask.tolist() == [1.0] * 10


def test_own_method_and_own_mask() -> None:
    class EveryOther(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t: eg.Tensor, default_mask: eg.Tensor) -> eg.Tensor:
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    layer = _layer()
    EveryOther.apply(layer, "weight")
    assert layer.weight_mask.tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    prune.custom_from_mask(layer, "weight", eg.tensor([[1, 1, 1], [0, 1, 1]]))
    assert layer.weight_mask.tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    ("error", "amount"),
    [(TypeError, "half"), (ValueError, 1.5), (ValueError, -1), (ValueError, 7)],
)
def test_bad_amounts_leave_the_layer_as_it_was(error: type, amount: object) -> None:
    layer = _layer()
    with pytest.raises(error, match="amount"):
        prune.l1_unstructured(layer, "weight", amount)  # type: ignore[arg-type]
    assert sorted(layer.state_dict()) == ["bias", "weight"] and not prune.is_pruned(layer)


def test_structured_needs_two_dimensions_and_a_dimension_there_is() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        prune.ln_structured(_layer(), "bias", 1, n=2, dim=0)
    with pytest.raises(IndexError, match="out of range"):
        prune.ln_structured(_layer(), "weight", 1, n=2, dim=2)
