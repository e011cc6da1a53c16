"""PyTorch's answers in corners: values and gradients at infinities, dtypes, arguments, memory formats, seldom used names."""

import math
import warnings

import numpy as np
import pytest

import eagergrad as eg
from util import resolve

INF, NAN = math.inf, math.nan


def gradient(f, *xs):
    xs = [eg.tensor(x, dtype=eg.float64, requires_grad=True) for x in xs]
    y = f(*xs)
    return y.item(), *(g.item() for g in eg.autograd.grad(y, xs))


@pytest.mark.parametrize(
    "f, x, y, g",
    [
        (eg.nn.functional.elu, NAN, NAN, 1.0),
        (eg.nn.functional.celu, NAN, NAN, 1.0),
        (eg.nn.functional.elu, -INF, -1.0, 0.0),
        (eg.nn.functional.selu, -INF, -1.7580993408473766, 0.0),
        (eg.special.entr, 0.0, 0.0, INF),
        (eg.special.entr, -1.0, -INF, NAN),
        (eg.special.entr, INF, -INF, -INF),
        (eg.special.logit, 1.5, NAN, NAN),
        (eg.special.i1, 0.0, 0.0, 0.5),
        (eg.special.i1, 1e-30, 5e-31, 0.5),
        (eg.special.i1, -1e30, -INF, None),
        (eg.special.i1e, -1e30, -3.989422804014327e-16, None),
    ],
)
def test_unary(f, x, y, g):
    value, slope = gradient(f, x)
    assert value == pytest.approx(y, rel=1e-12, nan_ok=True)
    if g is not None:
        assert slope == pytest.approx(g, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    "f, a, b, expected",
    [
        (eg.atan2, 0.0, 0.0, (0.0, 0.0, 0.0)),
        (eg.logaddexp, INF, 0.0, (INF, 1.0, 0.0)),
        (eg.logaddexp, 1.0, -INF, (1.0, 1.0, 0.0)),
        (eg.logaddexp2, -INF, 3.0, (3.0, 0.0, 1.0)),
    ],
)
def test_binary(f, a, b, expected):
    assert gradient(f, a, b) == expected


def test_selu_has_its_gradient_in_half_precision():
    x = eg.tensor([-88.0, -8.0], dtype=eg.float16, requires_grad=True)
    eg.nn.functional.selu(x).sum().backward()
    assert x.grad[0].item() == 0.0
    assert x.grad[1].item() == pytest.approx(1.7581 * math.exp(-8), rel=1e-3)


def test_heaviside_of_nan():
    assert eg.heaviside(eg.tensor([NAN, 0.0]), eg.tensor([5.0, 5.0])).tolist() == [0.0, 5.0]


def test_airy_far_out():
    found = eg.special.airy_ai(eg.tensor([INF, -INF, 1e300, -1e300, NAN], dtype=eg.float64))
    assert found[:4].tolist() == [0.0] * 4 and found[4].isnan()


# --- dtypes -----------------------------------------------------------------------------------------------------


def test_powers_of_whole_numbers_and_bools():
    x, t = eg.tensor([3, 2]), eg.tensor([True, False])
    assert (x**2.0).dtype is eg.float32 and (x**2).tolist() == [9, 4]
    assert (t**2).tolist() == [1, 0] and (t**2.0).dtype is eg.float32
    assert (t**True).tolist() == [True, False] and (t**False).tolist() == [True, True]
    with pytest.raises(NotImplementedError):
        eg.pow(t, t)


def test_sums_of_small_ints():
    x = eg.tensor([200, 100], dtype=eg.uint8)
    assert x.sum_to_size(1).tolist() == [300]
    assert eg.einsum("i->", x).item() == 300
    assert eg.einsum("i,j->ij", eg.tensor([True, False]), eg.tensor([True])).tolist() == [
        [True],
        [False],
    ]


def test_means_of_whole_numbers_round_towards_zero():
    x = eg.tensor([[5, 6, 7, -5, -6, -7, 1, 1, 0]])
    assert eg.avg_pool1d(x, 3).tolist() == [[6, -6, 0]]


def test_dtypes_that_losses_and_dropout_refuse():
    F, x = eg.nn.functional, eg.tensor([[1, 2]])
    for f in (
        lambda: F.nll_loss(x, eg.tensor([0])),
        lambda: F.binary_cross_entropy_with_logits(x, x),
        lambda: F.multi_margin_loss(x, eg.tensor([0])),
        lambda: F.multilabel_margin_loss(x, x),
        lambda: eg.normal(0.0, x),
        lambda: F.l1_loss(x, x),
    ):
        with pytest.raises(NotImplementedError):
            f()
    for f in (
        lambda: F.dropout(x, 0.3),
        lambda: F.gaussian_nll_loss(x, x, x),
        lambda: F.hardtanh(x.to(eg.uint8)),
    ):
        with pytest.raises(RuntimeError):
            f()
    assert F.l1_loss(x, eg.tensor([[0, 5]]), reduction="sum").item() == 4
    for f in (F.multi_margin_loss, F.multilabel_margin_loss):
        with pytest.raises(ValueError, match="abc"):
            f(eg.ones(2, 2), eg.zeros(2, 2, dtype=eg.int64), reduction="abc")


# --- arguments --------------------------------------------------------------------------------------------------


def test_arguments_of_aliases():
    x = eg.tensor([7.0, -7.0])
    assert eg.divide(x, 2, rounding_mode="floor").tolist() == [3.0, -4.0]
    assert x.clone().divide_(2, rounding_mode="trunc").tolist() == [3.0, -3.0]
    assert eg.subtract(x, x, alpha=2).tolist() == [-7.0, 7.0]
    assert x.clone().subtract_(x, alpha=3).tolist() == [-14.0, 14.0]
    assert eg.softmax(x, 0, eg.float64).dtype is eg.float64
    assert x.norm(2, None, False, eg.float64).dtype is eg.float64
    assert [len(t) for t in eg.split(tensor=x, split_size_or_sections=1)] == [1, 1]
    assert len(eg.hsplit(x, sections=2)) == len(eg.hsplit(x, indices=[1])) == 2
    assert len(eg.tensor_split(x, indices_or_sections=[1])) == 2
    assert eg.isin(x, test_element=7).tolist() == [True, False]
    assert eg.det(input=eg.eye(2)).item() == eg.linalg.det(A=eg.eye(2)).item() == 1.0
    assert eg.linalg.cholesky(input=eg.eye(2)).tolist() == eg.eye(2).tolist()


def test_out_of_normal_and_activations():
    out = eg.empty(2)
    assert eg.normal(eg.zeros(2), eg.ones(2), out=out) is out
    assert eg.nn.functional.gelu(eg.zeros(2), out=out) is out and out.tolist() == [0.0, 0.0]
    with pytest.warns(UserWarning, match="resized"):
        eg.add(eg.ones(3), 1, out=out)
    assert out.tolist() == [2.0] * 3


def test_generators_of_randint_like():
    x = eg.zeros(50)
    draws = [eg.randint_like(x, 9, generator=eg.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert eg.equal(draws[0], draws[1]) and not eg.equal(draws[0], draws[2])


@pytest.mark.host("CuPy makes a GPU's DLPack tensors: test_cuda_card.py")
def test_from_dlpack_copies_when_asked():
    x = eg.ones(2)
    shared, copied = eg.from_dlpack(x), eg.from_dlpack(x, copy=True, device="cpu")
    x.zero_()
    assert shared.tolist() == [0.0, 0.0] and copied.tolist() == [1.0, 1.0]


# --- memory formats -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 3, 1, 5), (2, 1, 4, 5), (2, 3, 4, 5, 6)])
def test_channels_last(shape):
    format = eg.channels_last if len(shape) == 4 else eg.channels_last_3d
    x = eg.arange(float(math.prod(shape))).reshape(shape)
    expected = x.movedim(1, -1).contiguous().movedim(-1, 1)
    for y in (
        x.contiguous(memory_format=format),
        x.to(memory_format=format),
        x.clone(memory_format=format),
        x.double().float(memory_format=format),
        eg.empty(shape, memory_format=format).copy_(x),
        eg.zeros_like(x, memory_format=format) + x,
    ):
        assert eg.equal(x, y) and y.is_contiguous(memory_format=format)
        assert [s for s, n in zip(y.stride(), shape) if n > 1] == [
            s for s, n in zip(expected.stride(), shape) if n > 1
        ]
    y = x.contiguous(memory_format=format)
    assert y.contiguous(memory_format=format) is y and y.relu().stride() == y.stride()
    assert eg.zeros_like(y, memory_format=eg.contiguous_format).is_contiguous()
    assert y.clone(memory_format=eg.preserve_format).stride() == y.stride()


def test_memory_formats_are_checked():
    x = eg.ones(2, 3, requires_grad=True)
    assert not x.is_contiguous(memory_format=eg.channels_last)
    with pytest.raises(RuntimeError, match="rank 4"):
        x.contiguous(memory_format=eg.channels_last)
    with pytest.raises(ValueError, match="memory_format"):
        x.contiguous(memory_format="sideways")
    assert isinstance(eg.channels_last, eg.memory_format) and isinstance(x.layout, eg.layout)
    y = eg.ones(1, 2, 2, 2, requires_grad=True)
    (y.to(memory_format=eg.channels_last) ** 2).sum().backward()
    assert eg.equal(y.grad, 2 * y.detach())


# --- names at the top -----------------------------------------------------------------------------------------------


def test_names_at_the_top():
    x = eg.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    assert eg.frobenius_norm(x).item() == eg.nuclear_norm(x).item() == 5.0
    assert eg.norm_except_dim(x, 2, 0).tolist() == [[5.0], [0.0]]
    assert not eg.detach(x).requires_grad and eg.get_device(x) == x.get_device()
    assert eg.cond(x.sum() > 0, lambda a: a + 1, lambda a: a - 1, (x,))[0, 0].item() == 4.0
    assert eg.while_loop(lambda i: i < 5, lambda i: i + 2, (eg.tensor(0),))[0].item() == 6
    assert eg.sym_not(0) and eg.sym_ite(True, 1, 2) == 1
    assert [p.tolist() for p in eg.split_copy(eg.arange(3), 2)] == [[0, 1], [2]]


def test_layers_that_give_their_statistics():
    x = eg.randn(2, 4, 3, dtype=eg.float64)
    y, mean, rstd = eg.native_layer_norm(x, (3,), None, None, 1e-5)
    assert eg.allclose(y, (x - mean) * rstd) and mean.shape == (2, 4, 1)
    y, mean, rstd = eg.native_group_norm(x, None, None, 2, 4, 3, 2, 1e-5)
    groups = x.reshape(2, 2, 6)
    expected = (groups - mean.unsqueeze(2)) * rstd.unsqueeze(2)
    assert eg.allclose(y.reshape(2, 2, 6), expected)
    y, mask = eg.native_dropout(x, 0.5, True)
    assert eg.equal(y, x * mask * 2)


def test_histograms_of_several_dimensions():
    np = pytest.importorskip("numpy")
    eg.manual_seed(0)
    x = eg.randn(100, 3, dtype=eg.float64)
    w = eg.rand(100, dtype=eg.float64)
    for options in ({}, {"weight": w}, {"density": True}):
        hist, edges = eg.histogramdd(x, [2, 3, 4], **options)
        names = {"weight": "weights"}
        given = {
            names.get(k, k): v.numpy() if isinstance(v, eg.Tensor) else v
            for k, v in options.items()
        }
        expected, bins = np.histogramdd(x.numpy(), [2, 3, 4], **given)
        assert np.allclose(hist.numpy(), expected)
        assert all(np.allclose(a.numpy(), b) for a, b in zip(edges, bins))
    hist, _ = eg.histogramdd(x, 2, range=[-1.0, 1.0] * 3)
    assert np.allclose(hist.numpy(), np.histogramdd(x.numpy(), 2, range=[(-1, 1)] * 3)[0])
    with pytest.raises(RuntimeError, match="3 dimensions"):
        eg.histogramdd(x, [2, 3])


def test_switches_of_debugging():
    eg.set_deterministic_debug_mode("warn")
    assert eg.get_deterministic_debug_mode() == 1
    assert eg.is_deterministic_algorithms_warn_only_enabled()
    eg.set_deterministic_debug_mode(0)
    assert not eg.are_deterministic_algorithms_enabled()
    eg.set_anomaly_enabled(True)
    assert eg.is_anomaly_enabled()
    eg.set_anomaly_enabled(False)
    assert not eg.is_anomaly_check_nan_enabled()


@pytest.mark.host("memory of files")
def test_vectors_over_files(tmp_path):
    file = str(tmp_path / "numbers.bin")
    eg.from_file(file, shared=True, size=3, dtype=eg.float64).copy_(eg.tensor([1.0, 2.0, 3.0]))
    x = eg.from_file(file, size=3, dtype=eg.float64)
    assert x.tolist() == [1.0, 2.0, 3.0]
    x.zero_()
    assert eg.from_file(file, size=2, dtype=eg.float64).tolist() == [1.0, 2.0]
    with pytest.raises(RuntimeError, match="24 bytes"):
        eg.from_file(file, size=4, dtype=eg.float64)


def test_order_of_dimensions():
    x = eg.empty(2, 3, 4, 5)
    assert x.dim_order() == (0, 1, 2, 3)
    assert x.to(memory_format=eg.channels_last).dim_order() == (0, 2, 3, 1)
    assert x.transpose(1, 2).dim_order(ambiguity_check=True) == (0, 2, 1, 3)
    both = [eg.contiguous_format, eg.channels_last]
    assert x.dim_order(ambiguity_check=both) == (0, 1, 2, 3)
    with pytest.raises(RuntimeError, match="unique"):
        eg.empty(1, 2, 3, 4).dim_order(ambiguity_check=True)
    with pytest.raises(RuntimeError, match="unique"):
        eg.empty(2, 1, 3, 4).dim_order(ambiguity_check=both)
    with pytest.raises(TypeError, match="ambiguity_check"):
        x.dim_order(ambiguity_check="both")


def test_formats_of_tensors_are_those_of_numbers_only():
    assert f"{eg.tensor(1.25):.1f}" == "1.2"
    with pytest.raises(TypeError):
        f"{eg.tensor([1.25]):.1f}"


@pytest.mark.parametrize("low, high", [(NAN, 1.0), (0.0, NAN), (NAN, None), (None, NAN)])
@pytest.mark.parametrize("tensors", [False, True])
def test_clamp_to_nan_is_nan(low, high, tensors):
    bounds = [b if b is None or not tensors else eg.tensor(b) for b in (low, high)]
    assert eg.tensor([-2.0, 0.5, NAN]).clamp(*bounds).isnan().all()
    assert eg.tensor([-2.0, NAN]).clamp(-1.0, 1.0).isnan().tolist() == [False, True]


@pytest.mark.parametrize("f", [eg.max, eg.min, eg.median, eg.nanmedian])
def test_equals_of_an_extreme_or_median_share_its_gradient(f):
    def shares(*values):
        x = eg.tensor(values, requires_grad=True)
        return eg.autograd.grad(f(x), x)[0].tolist()

    assert shares(2.0, 2.0) == [0.5, 0.5]
    assert shares(INF, INF) == [0.5, 0.5]
    assert shares(NAN, NAN) == [0.5, 0.5]
    if f is not eg.nanmedian:
        assert shares(NAN, 1.0, 1.0) == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("classes", [3, 100])
def test_logarithms_of_probabilities_of_large_scores(classes):
    near = eg.linspace(-3, 0, classes, dtype=eg.float64)
    scores, target = (near.float() + 1e6).requires_grad_(), eg.tensor([0])
    near = (scores.detach().double() - 1e6).requires_grad_()

    def close(a, b):
        assert eg.allclose(a.double(), b, rtol=1e-4, atol=1e-6)

    functional = eg.nn.functional
    close(functional.log_softmax(scores, 0), functional.log_softmax(near, 0))
    for smoothing in (0.0, 0.1):
        losses = [
            functional.cross_entropy(x[None], target, label_smoothing=smoothing)
            for x in (scores, near)
        ]
        close(*losses)
        close(eg.autograd.grad(losses[0], scores)[0], eg.autograd.grad(losses[1], near)[0])


@pytest.mark.parametrize(
    "write",
    [
        lambda x, v: x.fill_(v),
        lambda x, v: eg.full_like(x, v),
        lambda x, v: x.new_full((2,), v),
        lambda x, v: x.masked_fill(x > 0, v),
        lambda x, v: x.index_fill(0, eg.tensor([0]), v),
        lambda x, v: x.scatter(0, eg.tensor([0]), v),
        lambda x, v: eg.nn.functional.pad(x, (1, 1), value=v),
    ],
)
def test_numbers_out_of_range_are_refused(write):
    refused = [(eg.int8, 300), (eg.int8, -129), (eg.int64, NAN), (eg.int32, INF), (eg.uint8, 256)]
    for dtype, value in [*refused, (eg.float16, -1e9), (eg.float32, 1e39), (eg.float16, 70000)]:
        x = eg.ones(2, dtype=dtype)
        with pytest.raises(RuntimeError, match="without overflow"):
            write(x, value)
        assert x.tolist() == [1, 1]
    taken = [(eg.int8, -128), (eg.uint8, -1), (eg.float16, -INF), (eg.bfloat16, 1e9), (eg.bool, 7)]
    for dtype, value in taken:
        write(eg.ones(2, dtype=dtype), value)


@pytest.mark.parametrize("data", [300, [1, 300], [[-129]], NAN, 1e6])
def test_data_out_of_range_are_refused(data):
    with pytest.raises(RuntimeError, match="without overflow"):
        eg.tensor(data, dtype=eg.int8)
    x, number = eg.ones(2, dtype=eg.int8), eg.tensor(data).abs().max().item()
    with pytest.raises(RuntimeError, match="without overflow"):
        x[0] = number


def test_one_value_through_repeated_memory():
    x = eg.zeros(3)
    assert x.expand(2, 3).fill_(4).tolist() == [[4.0] * 3] * 2
    assert x.tolist() == [4.0] * 3
    x.expand(2, 3).zero_()
    assert x.tolist() == [0.0] * 3
    with pytest.raises(RuntimeError, match="more than one element"):
        x.expand(2, 3).add_(1)


def test_resize_keeps_the_order_of_memory():
    x = eg.arange(6.0).reshape(2, 3)
    assert x.t().resize_(2, 2).tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert x[1].resize_(2).tolist() == [3.0, 4.0]
    grown = x.t().resize_(4, 2)
    assert grown.reshape(-1)[:6].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    form = eg.channels_last
    assert eg.zeros(2).resize_(1, 2, 3, 4, memory_format=form).is_contiguous(memory_format=form)
    assert eg.zeros(2).resize_as_(the_template=x).shape == (2, 3)


def test_memory_taken_over():
    x = eg.arange(6.0)
    y = eg.zeros(1).set_(x.untyped_storage(), 1, (2, 2), (1, 2))
    assert y.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    y[0, 0] = 9
    assert x[1].item() == 9
    assert eg.zeros(1).set_(x, 2, (3,)).tolist() == [2.0, 3.0, 4.0]


def test_names_that_numpy_users_write():
    x = eg.tensor([[3.0, 1.0], [2.0, 5.0]])
    functional, linalg = eg.nn.functional, eg.linalg
    assert x.median(axis=0).values.tolist() == x.median(dim=0).values.tolist()
    assert eg.quantile(x, 0.5, axis=1, keepdims=True).shape == (2, 1)
    assert eg.mode(x, axis=0, keepdims=True).values.shape == (1, 2)
    assert linalg.norm(x, axis=1, keepdims=True).shape == (2, 1)
    assert linalg.vector_norm(x, axis=0).shape == (2,)
    assert eg.trapezoid(x, axis=0).tolist() == [2.5, 3.0]
    assert functional.cosine_similarity(x, x, axis=0).tolist() == pytest.approx([1.0, 1.0])
    assert functional.pairwise_distance(x, x, keepdims=True).shape == (2, 1)
    assert functional.one_hot(input=eg.tensor([1])).tolist() == [[0, 1]]
    assert eg.tril_indices(2, 2, layout=eg.strided, pin_memory=False).shape == (2, 3)


@pytest.mark.parametrize(
    "error, f",
    [
        (TypeError, lambda: ~eg.ones(2)),
        (TypeError, lambda: eg.ones(2) @ 1),
        (RuntimeError, lambda: "a" in eg.ones(2)),
        (IndexError, lambda: eg.trapezoid(eg.tensor(1.0))),
        (IndexError, lambda: eg.cumulative_trapezoid(eg.ones(2), dim=1)),
        (IndexError, lambda: eg.zeros(0).kthvalue(1)),
        (IndexError, lambda: eg.tensor(1.0).unique_consecutive(dim=0)),
        (IndexError, lambda: eg.tensor(1.0).median(dim=1)),
        (IndexError, lambda: eg.tensor(1.0).mode(dim=1)),
    ],
)
def test_kinds_of_errors(error, f):
    with pytest.raises(error):
        f()


def test_integrals_of_no_samples():
    assert eg.trapezoid(eg.zeros(0)).item() == 0.0
    assert eg.cumulative_trapezoid(eg.zeros(2, 0)).shape == (2, 0)
    no_rows = eg.zeros(0, 3)
    assert eg.nn.functional.cross_entropy(no_rows, no_rows).isnan()


@pytest.mark.parametrize("name", ["var", "std", "var_mean", "std_mean"])
def test_spread_of_too_few_numbers_warns(name):
    with pytest.warns(UserWarning, match=f"^{name}.*degrees of freedom is <= 0"):
        getattr(eg, name)(eg.ones(3, 1), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(eg, name)(eg.ones(3, 1), 1, correction=0)
        getattr(eg, name)(eg.ones(0, 1), 1)
        getattr(eg, name)(eg.ones(3, 2), 1)


def test_reductions_of_a_number_and_over_no_dimension():
    assert [v.item() for v in eg.tensor(3.0).topk(0)] == [3.0, 0]
    x = eg.tensor([[1.0, 0.0], [NAN, -0.0]])
    assert x.any(()).tolist() == x.all([]).tolist() == [[True, False], [True, False]]
    assert x.to(eg.uint8).any(()).dtype is eg.uint8
    assert eg.nansum(x, dim=0, dtype=eg.int32).dtype is eg.int32


@pytest.mark.parametrize(
    "f",
    [
        lambda: eg.kron(eg.ones(2), 3),
        lambda: eg.quantile("a", 0.5),
        lambda: eg.ones(2, 2).ormqr((), 1),
        lambda: eg.linalg.cross(eg.ones(3), 0.5),
        lambda: eg.linalg.householder_product(eg.ones(2, 2), ()),
    ],
)
def test_arguments_that_are_no_tensors(f):
    with pytest.raises(TypeError, match="must be Tensor, not"):
        f()


@pytest.mark.parametrize("f", [eg.logsumexp, eg.softmax, eg.log_softmax, eg.amax, eg.sum, eg.mean])
def test_columns_of_no_rows(f):
    x = eg.zeros(0, 3, requires_grad=True)
    if f is eg.amax:
        with pytest.raises(IndexError):
            f(x, 0)
        return
    y = f(x, dim=0)
    assert y.shape == ((0, 3) if f in (eg.softmax, eg.log_softmax) else (3,))
    assert f is not eg.logsumexp or y.tolist() == [-INF] * 3
    y.sum().backward()
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("name", ["mse_loss", "smooth_l1_loss", "huber_loss"])
def test_losses_against_truths(name):
    loss = getattr(eg.nn.functional, name)
    x, truths = eg.tensor([0.25, 1.5], requires_grad=True), eg.tensor([True, False])
    assert loss(x, truths).item() == loss(x, truths.float()).item()
    loss(x, truths).backward()
    assert x.grad is not None


@pytest.mark.parametrize("n", [1, 63, 64, 65, 300, 5000, 9000])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32"])
def test_selected_elements_stand_where_sorting_puts_them(n, dtype):
    rng = np.random.default_rng(n)
    a = (rng.standard_normal((2, n)) * 1e3).astype(dtype)
    if dtype.startswith("float"):
        a[0, rng.integers(0, n, n // 5)] = NAN
    x, order = eg.tensor(a), np.argsort(a, 1, kind="stable")
    for k in {1, (n + 1) // 2, n}:
        values, index = x.kthvalue(k, 1)
        assert index.tolist() == order[:, k - 1].tolist()
        np.testing.assert_array_equal(values.numpy(), a[[0, 1], index.numpy()])
    good = n - np.isnan(a).sum(1)
    middle = order[[0, 1], np.maximum(good - 1, 0) // 2]
    assert x.nanmedian(1).indices.tolist() == middle.tolist()
    first_bad = order[[0, 1], np.minimum(good, n - 1)]
    assert x.median(1).indices.tolist() == np.where(good < n, first_bad, middle).tolist()


@pytest.mark.parametrize("name", ["lgamma", "digamma", "erfinv", "ndtri"])
def test_special_functions_of_float32_are_those_of_float64(name):
    rng, op = np.random.default_rng(0), getattr(eg, name, None) or getattr(eg.special, name)
    low, high = {"erfinv": (-1, 1), "ndtri": (0, 1)}.get(name, (-20, 30))
    a = rng.uniform(low, high, 4003)
    x = eg.tensor(np.concatenate([a, 10.0 ** rng.uniform(-30, -1, 500)]).astype("float32"))
    np.testing.assert_allclose(op(x).numpy(), op(x.double()).numpy(), rtol=5e-7, atol=1e-9)
    for y in (x, x.double()):
        assert eg.equal(op(y)[5:], op(y[5:].clone()))  # whatever the place


@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16])
def test_signs_of_halves(dtype):
    x = eg.tensor([0.0, -0.0, 1.5, -2.5, INF, -INF, NAN]).to(dtype)
    assert (-x).tolist()[2:6] == [-1.5, 2.5, -INF, INF]
    assert [math.copysign(1, v) for v in (-x).tolist()[:2]] == [-1, 1]
    assert [math.copysign(1, v) for v in x.abs().tolist()[:2]] == [1, 1]
    assert x.abs().tolist()[2:6] == [1.5, 2.5, INF, INF]


def test_equal_of_unlike_layouts_and_dtypes():
    x = eg.arange(12.0).reshape(3, 4)
    assert eg.equal(x.t(), x.t().contiguous()) and eg.equal(x, x.long())
    assert not eg.equal(x, x.reshape(4, 3)) and not eg.equal(eg.tensor([NAN]), eg.tensor([NAN]))
    y = eg.zeros(10000)
    y[-1] = 1
    assert not eg.equal(y, eg.zeros(10000)) and eg.equal(eg.zeros(0), eg.zeros(0))


# --- powers, neighbours, fractions -------------------------------------------------------------------------------

_EXTREMES = [0.0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 1e-45, -1e-40, 3e38, -3e38]
_EXTREMES += [INF, -INF, NAN, 1.5, 16777217, 1e10, 7, -7, 0.999999]


def _every_pair(dtype):
    values = np.array(_EXTREMES, dtype)
    return (grid.ravel().copy() for grid in np.meshgrid(values, values))


@pytest.mark.parametrize("shape", [(), (4,)])
def test_the_number_after_a_half_is_a_half(shape: tuple[int, ...]) -> None:
    kinds = (
        (eg.float16, 65504.0, 2.0**-10),
        (eg.bfloat16, (2 - 2.0**-7) * 2.0**127, 2.0**-7),
    )
    for dtype, most, step in kinds:
        small = 2.0**-24 if dtype == eg.float16 else 2.0**-133
        for start, towards, wanted in (
            (1.0, 2.0, 1 + step),
            (1.0, 0.0, 1 - step / 2),
            (-1.0, -2.0, -1 - step),
            (0.0, -1.0, -small),
            (small, 0.0, 0.0),
            (3 * small, 1.0, 4 * small),
            (math.inf, 0.0, most),
            (-most, -math.inf, -math.inf),
            (3.0, 3.0, 3.0),
        ):
            x, y = (eg.full(shape, v, dtype=dtype) for v in (start, towards))
            assert (eg.nextafter(x, y) == wanted).all(), (dtype, start, towards)
            assert (x.nextafter_(y) == wanted).all()
        assert eg.nextafter(eg.full(shape, math.nan, dtype=dtype), y).isnan().all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["pow", "nextafter"])
def test_functions_of_every_pair_of_extremes(name, dtype):
    a, b = _every_pair(dtype)
    with np.errstate(all="ignore"):
        wanted = {"pow": np.power, "nextafter": np.nextafter}[name](a, b)
    found = getattr(eg, name)(eg.from_numpy(a), eg.from_numpy(b)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=3e-7 if dtype is np.float32 else 1e-15)
    numbers = ~np.isnan(wanted)
    assert (np.signbit(found) == np.signbit(wanted))[numbers].all()


def test_powers_are_rounded_almost_as_exact_ones():
    rng = np.random.default_rng(0)
    a = np.exp(rng.uniform(-80, 80, 20000)).astype(np.float32)
    b = rng.uniform(-3, 3, 20000).astype(np.float32)
    with np.errstate(all="ignore"):
        exact = np.power(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)
    found = eg.pow(eg.from_numpy(a), eg.from_numpy(b)).numpy()
    np.testing.assert_allclose(found, exact, rtol=1.2e-7, atol=1.5e-45)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fractions_of_extremes(dtype):
    a = np.array(_EXTREMES, dtype)
    mantissa, exponent = eg.frexp(eg.from_numpy(a))
    wanted, power = np.frexp(a)
    np.testing.assert_array_equal(mantissa.numpy(), wanted)
    finite = np.isfinite(a)
    np.testing.assert_array_equal(exponent.numpy()[finite], power[finite])
    x = eg.tensor([0.0, 3.0, -5.0], requires_grad=True)
    eg.frexp(x).mantissa.sum().backward()
    assert x.grad.tolist() == [1.0, 0.25, 0.125]


def test_polynomials_of_fractional_and_negative_orders():
    x = eg.tensor([0.3, 0.3, 0.3, NAN])
    n = eg.tensor([-1.0, 0.9, 2.7, 2.0])
    found = eg.special.chebyshev_polynomial_t(x, n).tolist()
    assert found[:2] == [0.0, 1.0] and math.isclose(found[2], -0.82, rel_tol=1e-6)
    assert math.isnan(found[3])


def test_powers_of_one_base_and_bounds_on_one_side():
    x = eg.tensor([0.0, 1.5, -2.0, NAN, INF] * 60)
    np.testing.assert_allclose((2**x).numpy(), 2.0 ** x.numpy(), rtol=2e-7)
    with np.errstate(invalid="ignore"):
        wanted = x.double().numpy() ** 1.5
    np.testing.assert_allclose((x.double() ** 1.5).numpy(), wanted, rtol=1e-15)
    low = eg.tensor([[0.5], [NAN]])
    for bound in (low, 0.5):
        found = x[:5].clamp(min=bound)
        wanted = np.maximum(x[:5].numpy(), bound.numpy() if bound is low else np.float32(bound))
        np.testing.assert_array_equal(found.numpy(), wanted)
    y = eg.tensor([0.5, 0.0, 1.0], requires_grad=True)
    y.clamp(min=0.5).sum().backward()
    assert y.grad.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("name", ["igamma", "igammac", "special.zeta"])
def test_a_derivative_that_nobody_has_written_says_so(name: str) -> None:
    f = resolve(name)
    a, b = eg.tensor([2.5], requires_grad=True), eg.tensor([1.5], requires_grad=True)
    with pytest.raises(NotImplementedError, match=r"derivative for '.*: input' is not implemented"):
        f(a, b).sum().backward()
    (slope,) = eg.autograd.grad(f(a, b).sum(), b)  # the other one is there
    assert slope.isfinite().all() and slope != 0
    with pytest.raises(NotImplementedError, match="airy_ai"):
        eg.special.airy_ai(a).sum().backward()


@pytest.mark.parametrize("op", ["floor_divide", "remainder", "fmod"])
def test_nothing_may_be_divided_by_zero(op: str) -> None:
    empty, zero = eg.zeros(0, 3, dtype=eg.int64), eg.zeros(1, 3, dtype=eg.int64)
    assert getattr(eg, op)(empty, zero).shape == (0, 3)
    assert getattr(eg, op)(empty, 0).shape == (0, 3)
    with pytest.raises(RuntimeError, match="division by zero"):
        getattr(eg, op)(zero, 0)


KINKS = {
    "elu": (eg.nn.functional.elu, [0.0, 100.0, 800.0, -1.0]),
    "celu": (lambda x: eg.nn.functional.celu(x, 0.7), [0.0, 100.0, 800.0, -1.0]),
    "selu": (eg.selu, [0.0, 100.0, 800.0, -1.0]),
    "i1": (eg.special.i1, [0.0, 1.0]),
    "i1e": (eg.special.i1e, [0.0, 1.0]),
    "bessel_j1": (eg.special.bessel_j1, [0.0, 1.0]),
    "spherical_bessel_j0": (eg.special.spherical_bessel_j0, [0.0, 1.0]),
    "sinc": (eg.sinc, [0.0, 0.5]),
    "x ** 0": (lambda x: x**0, [0.0, 2.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_derivatives_where_a_branch_is_not_taken_are_finite(name: str) -> None:
    f, places = KINKS[name]
    x = eg.tensor(places, dtype=eg.float64, requires_grad=True)
    (g,) = eg.autograd.grad(f(x).sum(), x, create_graph=True)
    (h,) = eg.autograd.grad(g.sum(), x)
    _, along = eg.func.jvp(f, (x.detach(),), (eg.ones_like(x),))
    assert eg.isfinite(h).all() and eg.allclose(along, g)
    step, away = (
        1e-6,
        x.detach() != 0,
    )  # the second derivative at 0 itself is that of the branch taken
    before, behind = x.detach()[away] - step, x.detach()[away] + step
    low, high = (eg.autograd.grad(f(z.requires_grad_()).sum(), z)[0] for z in (before, behind))
    assert eg.allclose(h[away], (high - low) / (2 * step), atol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.2}, {"ignore_index": 2}, {"weight": 1}]
)
@pytest.mark.parametrize("sizes", [(3, 5, 4, 7), (2, 5, 300), (2, 5, 3)])
def test_losses_of_images_are_those_of_their_pixels(sizes, options):
    rng = np.random.default_rng(3)
    scores = rng.standard_normal(sizes)
    scores[0, 1] = -np.inf
    scores[1, :, 0] += 1000
    target = eg.tensor(rng.choice([0, 2, 3, 4], (sizes[0], *sizes[2:])))
    if "weight" in options:
        options = {"weight": eg.tensor(rng.random(5))}
    if "label_smoothing" in options:
        scores[0, 1] = 0
    for loss in (eg.nn.functional.cross_entropy, eg.nn.functional.nll_loss):
        if "label_smoothing" in options and loss is eg.nn.functional.nll_loss:
            continue
        x = eg.tensor(scores, requires_grad=True)
        pixels = x.movedim(1, -1).reshape(-1, 5)
        for reduction in ("none", "mean"):
            y = loss(x, target, reduction=reduction, **options)
            wanted = loss(pixels, target.reshape(-1), reduction=reduction, **options)
            assert eg.allclose(y.reshape(-1), wanted.reshape(-1), rtol=1e-12)
            g, g_wanted = (eg.autograd.grad(v.sum(), x, create_graph=True)[0] for v in (y, wanted))
            assert eg.allclose(g, g_wanted, rtol=1e-10, atol=1e-14)
        if g.requires_grad and np.isfinite(scores).all():
            second, second_wanted = (eg.autograd.grad((v * v).sum(), x)[0] for v in (g, g_wanted))
            assert eg.allclose(second, second_wanted, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    "a, x, lower, upper",  # to 40 digits by mpmath
    [
        (60.0, 50.0, 0.09226505195893311, 0.90773494804106689),
        (1e3, 1.1e3, 0.99894067674607002, 0.0010593232539299773),
        (5e4, 4.98e4, 0.18562581119914363, 0.81437418880085637),
        (2e5, 2.01e5, 0.98722872829062778, 0.012771271709372219),
        (1e6, 9.97e5, 0.0013381041673135997, 0.9986618958326864),
        (1e20, 1e20, 0.500000000013298, 0.499999999986702),
    ],
)
def test_incomplete_gamma_functions_of_large_arguments(
    a: float, x: float, lower: float, upper: float
) -> None:
    for dtype, tolerance in ((eg.float64, 1e-12), (eg.float32, 1e-4)):
        shape, point = (eg.tensor(v, dtype=dtype) for v in (a, x))
        assert eg.special.gammainc(shape, point).item() == pytest.approx(lower, rel=tolerance)
        assert eg.special.gammaincc(shape, point).item() == pytest.approx(upper, rel=tolerance)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_common_divisors_of_the_least_integer(dtype):
    kind = getattr(eg, dtype)
    least = eg.iinfo(kind).min
    x = eg.full((9,), least, dtype=kind)
    for other in (5, -1, 1):
        assert eg.gcd(x, eg.full_like(x, other)).tolist() == [1] * 9
        assert eg.lcm(x, eg.full_like(x, other)).tolist() == [least] * 9
    assert eg.lcm(x, eg.zeros_like(x)).tolist() == [0] * 9


WHOLE = "uint8 int8 int16 int32 int64".split()


def corners(dtype: str) -> np.ndarray:
    info, rng = np.iinfo(dtype), np.random.default_rng(3)
    drawn = rng.integers(info.min, info.max, 590, dtype=dtype, endpoint=True)
    return np.append(drawn, np.array([info.min, info.max, 0, 1, 3], dtype))


@pytest.mark.parametrize("dtype", WHOLE)
def test_shifts_by_every_amount(dtype):
    a = corners(dtype)
    bits = 8 * a.itemsize
    for n in [*range(bits), bits, bits + 1, 100] + ([-1, -100] if a.min() < 0 else []):
        out = not 0 <= n < bits
        left, right = (0 * a, np.where(a < 0, -1, 0)) if out else (a << n, a >> n)
        for amount in (n, eg.full((a.size,), n, dtype=getattr(eg, dtype))):
            np.testing.assert_array_equal((eg.tensor(a) << amount).numpy(), left.astype(dtype))
            np.testing.assert_array_equal((eg.tensor(a) >> amount).numpy(), right)


@pytest.mark.parametrize("dtype", WHOLE)
def test_quotients_of_whole_numbers(dtype):
    a = corners(dtype)
    b = np.random.default_rng(4).permutation(a)
    b[b == 0] = 7
    with np.errstate(over="ignore"):
        for x, y in ((a, b), (a[:40], b[40:41]), (a[7:8], b[:40])):
            got = eg.tensor(x), eg.tensor(y)
            np.testing.assert_array_equal((got[0] // got[1]).numpy(), x // y)
            np.testing.assert_array_equal((got[0] % got[1]).numpy(), x % y)
            np.testing.assert_array_equal(eg.fmod(*got).numpy(), np.fmod(x, y))


@pytest.mark.parametrize("dtype", ["bool", *WHOLE])
def test_counts_of_whole_numbers_of_every_dtype(dtype):
    a = np.abs(corners("int8").astype(int) % 100).astype(dtype)
    x = eg.tensor(a)
    np.testing.assert_array_equal(eg.bincount(x).numpy(), np.bincount(a.astype(int)))
    np.testing.assert_array_equal(eg.bincount(x[::2], minlength=150)[:100].sum().item(), 298)
    assert x.any().item() == a.any() and x.all().item() == a.all()
    assert x[:0].any().item() == 0 and x[:0].all().item() == 1
    assert x.any(0).dtype == (eg.uint8 if dtype == "uint8" else eg.bool)
