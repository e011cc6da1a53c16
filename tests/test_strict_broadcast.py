"""strict_broadcast refuses what stretches two tensors of different numbers of dimensions, and nothing else."""

import threading

import numpy as np
import pytest

import eagergrad as eg

F = eg.nn.functional

COLUMN, ROW = (3, 1), (3,)

REFUSED = {
    "operator": lambda a, b: a - b,
    "operator the other way": lambda a, b: b * a,
    "comparison": lambda a, b: a == b,
    "function": lambda a, b: eg.maximum(a, b),
    "method": lambda a, b: a.atan2(b),
    "array on the left": lambda a, b: np.ones(COLUMN, "float32") * b,
    "function of NumPy": lambda a, b: np.subtract(a, b),
    "where": lambda a, b: eg.where(a > 0, b, 0.0),
    "three operands": lambda a, b: eg.addcmul(a, b, b),
    "mask": lambda a, b: a.masked_fill(b > 0, 0.0),
    "selection": lambda a, b: a.masked_select(b > 0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_both_stretched_is_refused(name):
    a, b = eg.ones(COLUMN), eg.ones(ROW)
    assert REFUSED[name](a, b).numel() == 9
    with eg.strict_broadcast(), pytest.raises(RuntimeError, match="strict_broadcast") as caught:
        REFUSED[name](a, b)
    text = str(caught.value)
    assert text.startswith("[") and "[3, 1]" in text and "to [3, 3]" in text
    assert "test_strict_broadcast.py" in text
    assert "one seen as [3, 1] would fit" in text


def test_what_is_common_stays():
    x = eg.randn(4, 3, requires_grad=True)
    with eg.strict_broadcast():
        y = x * 2 + eg.ones(3) - eg.tensor(1.0) / eg.ones(1)
        y = y - y.mean(1, keepdim=True) + eg.ones(4, 1) * eg.ones(1, 3)
        y = y + eg.ones(1, 1, 3)
        y.square().sum().backward()
        assert (eg.ones(2, 1, 3, 4) @ eg.ones(5, 4, 6)).shape == (2, 5, 3, 6)
        x.data[eg.tensor([[0], [1]]), eg.tensor([0, 1])] = 0.0
    assert x.grad.shape == x.shape


def test_operations_inside_of_the_library_are_its_own():
    with eg.strict_broadcast():
        assert eg.mvlgamma(eg.full((2,), 3.0), 2).shape == (2,)
        assert eg.vander(eg.arange(3.0)).shape == (3, 3)
        eg.distributions.LKJCholesky(3, eg.ones(2)).sample()
        x = eg.randn(5, 2, requires_grad=True)
        eg.cdist(x, x).sum().backward()


@pytest.mark.parametrize(
    "loss",
    ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "soft_margin_loss", "poisson_nll_loss"],
)
def test_losses_refuse_targets_of_other_shapes(loss):
    with eg.strict_broadcast():
        assert getattr(F, loss)(eg.ones(ROW), eg.ones(ROW)).shape == ()
        with pytest.raises(RuntimeError, match=rf"\[{loss}\] strict.*\[3, 1\].*got \[3\]"):
            getattr(F, loss)(eg.ones(COLUMN), eg.ones(ROW))


def test_writes_that_are_refused_change_nothing():
    a = eg.ones(1, 3, 3)
    with eg.strict_broadcast(), pytest.raises(RuntimeError):
        eg.add(eg.ones(COLUMN), eg.ones(ROW), out=a)
    assert a.shape == (1, 3, 3) and a.sum() == 9


def test_it_is_set_at_once_and_put_back():
    eg.strict_broadcast()
    try:
        with pytest.raises(RuntimeError):
            eg.ones(COLUMN) - eg.ones(ROW)
        with eg.strict_broadcast(False):
            eg.ones(COLUMN) - eg.ones(ROW)
        with pytest.raises(RuntimeError):
            eg.ones(COLUMN) - eg.ones(ROW)
    finally:
        eg.strict_broadcast(False)
    eg.ones(COLUMN) - eg.ones(ROW)


def test_it_decorates_and_is_the_threads_own():
    seen = []

    @eg.strict_broadcast()
    def run():
        thread = threading.Thread(target=lambda: seen.append(eg.ones(COLUMN) - eg.ones(ROW)))
        thread.start()
        thread.join()
        eg.ones(COLUMN) - eg.ones(ROW)

    eg.ones(COLUMN) - eg.ones(ROW)
    with pytest.raises(RuntimeError, match="strict_broadcast"):
        run()
    assert seen[0].shape == (3, 3)
    with pytest.raises(TypeError, match="expected True or False"):
        eg.strict_broadcast(run)
