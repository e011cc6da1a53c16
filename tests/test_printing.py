"""Text of tensors: PyTorch's layout, options, and no copy of what is not shown."""

import math

import numpy as np
import pytest

import eagergrad as eg
from eagergrad.tensor.printing import (
    get_printoptions,
    set_printoptions,
    tensor_repr,
    tensor_str,
)

host_text = pytest.mark.host("text of tensors with no device to name")


@pytest.fixture(autouse=True)
def _default_options():
    set_printoptions(profile="default")
    yield
    set_printoptions(profile="default")


CASES = {
    "scalar": (lambda: eg.tensor(3.5), "tensor(3.5000)"),
    "whole_floats": (lambda: eg.tensor([1.0, -20.0]), "tensor([  1., -20.])"),
    "mixed_floats": (lambda: eg.tensor([0.5, 10.0]), "tensor([ 0.5000, 10.0000])"),
    "integers": (lambda: eg.tensor([[1, 20], [3, 4]]), "tensor([[ 1, 20],\n        [ 3,  4]])"),
    "bools": (lambda: eg.tensor([True, False]), "tensor([ True, False])"),
    "exponent": (lambda: eg.tensor([1e-6, 1.0]), "tensor([1.0000e-06, 1.0000e+00])"),
    "nan": (lambda: eg.tensor([math.nan, math.inf, 1.0]), "tensor([nan, inf, 1.])"),
    "empty": (lambda: eg.empty(0), "tensor([])"),
    "empty_2d": (lambda: eg.empty(2, 0), "tensor([], size=(2, 0))"),
    "leaf": (lambda: eg.zeros(2, requires_grad=True), "tensor([0., 0.], requires_grad=True)"),
    "dtype": (
        lambda: eg.zeros(1, dtype=eg.float64),
        f"tensor([0.], dtype={eg.float64})",
    ),
    "cube": (
        lambda: eg.zeros(2, 1, 2),
        "tensor([[[0., 0.]],\n\n        [[0., 0.]]])",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_small_tensors_print_as_in_pytorch(name):
    make, text = CASES[name]
    where = ", device='cuda:0'" if make().is_cuda else ""
    for printed in (tensor_str(make()), tensor_repr(make())):
        assert where in printed
        assert printed.replace(where, "") == text


def test_recorded_tensor_shows_its_node():
    x = eg.ones(2, requires_grad=True)
    assert "grad_fn=<Add" in tensor_str(x + 1)


@host_text
def test_long_rows_are_cut_at_the_edges():
    text = tensor_str(eg.arange(2000))
    assert text == "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"


def test_summarised_repr_leads_with_the_shape():
    assert tensor_repr(eg.zeros(30, 50)).splitlines()[0] == "tensor(shape=(30, 50),"


def test_large_tensor_is_not_copied():
    big = eg.zeros(1).expand(10**6, 10**6)  # 4 TB if anybody copied it
    assert "shape=(1000000, 1000000)" in tensor_repr(big)


@host_text
def test_options_are_kept_and_reset():
    set_printoptions(precision=2, linewidth=40)
    assert tensor_str(eg.tensor([1.125])) == "tensor([1.12])"
    assert get_printoptions()["linewidth"] == 40
    set_printoptions(sci_mode=True)
    assert tensor_str(eg.tensor([1.5])) == "tensor([1.50e+00])"
    set_printoptions(profile="full")
    assert "..." not in tensor_str(eg.arange(2000))
    with pytest.raises(ValueError, match="profile"):
        set_printoptions(profile="tiny")


@host_text
def test_layout_agrees_with_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for shape in [(7,), (3, 4), (2, 3, 4), (40, 50), (1, 1001), (3, 2, 1, 2)]:
        for scale in (1.0, 1e-6, 1e9):
            a = (rng.standard_normal(shape) * scale).astype("float32")
            assert tensor_str(eg.from_numpy(a)) == str(torch.from_numpy(a))


@host_text
def test_several_results_are_printed_one_a_line() -> None:
    x = eg.tensor([[1, 5], [3, 2]])
    assert repr(x.max(1)) == (
        "eagergrad.return_types.max(\nvalues=tensor([5, 3]),\nindices=tensor([1, 0]))"
    )
    assert repr(eg.linalg.slogdet(eg.eye(2))) == (
        "eagergrad.return_types.linalg_slogdet(\nsign=tensor(1.),\nlogabsdet=tensor(0.))"
    )
    values, _ = eg.median(x.float(), 1)
    assert values.tolist() == [1.0, 2.0] and isinstance(eg.median(x.float(), 1), tuple)


def test_a_subclass_is_printed_by_its_own_text() -> None:
    class Mine(eg.Tensor):
        def __repr__(self) -> str:
            return f"mine of {len(self)}"

    class Weight(eg.nn.Parameter):
        def __repr__(self) -> str:
            return "weight: " + super().__repr__()

    x = eg.ones(2).as_subclass(Mine)
    assert str(x) == repr(x) == f"{x}" == "mine of 2"
    w = Weight(eg.ones(1))
    assert str(w) == repr(w) and str(w).startswith("weight: Parameter containing:\n")
    plain = eg.nn.Parameter(eg.ones(()))
    assert f"{plain}" == str(plain) and f"{plain:.1f}" == "1.0" == f"{eg.ones(())}"


def test_memory_formats_print_with_the_name_of_the_package() -> None:
    assert str(eg.channels_last) == repr(eg.channels_last) == "eagergrad.channels_last"


def test_types_print_as_names_of_the_package() -> None:
    values = {
        "Tensor": eg.ones(1),
        "Size": eg.ones(1).shape,
        "dtype": eg.float32,
        "device": eg.device("cpu"),
        "layout": eg.strided,
        "finfo": eg.finfo(eg.float32),
    }
    for name, value in values.items():
        assert str(type(value)) == f"<class 'eagergrad.{name}'>"
        assert type(value) is getattr(eg, name)
    assert "resolution=0.001," in repr(eg.finfo(eg.float16))
