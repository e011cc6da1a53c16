"""Linear, embedding, activation, dropout, loss and distance layers: against PyTorch and against written-down values."""

import itertools
import math
import warnings

import numpy as np
import pytest

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import nn

rng = np.random.default_rng(7)


def real(*shape, low=-2.0, high=2.0):
    return rng.uniform(low, high, shape).astype(np.float32)


def signs(*shape):
    return np.where(rng.random(shape) < 0.5, -1.0, 1.0).astype(np.float32)


def log_probs(*shape):
    x = real(*shape)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


X = real(4, 6)
CLASSES = np.array([1, 5, 0, 2])
PROBS = np.exp(log_probs(4, 6))
WEIGHT = real(6, low=0.5, high=2.0)

# (layer, constructor arguments, inputs); constructor values that are arrays become tensors
CASES = [
    ("Identity", {}, [X]),
    ("Linear", {"in_features": 6, "out_features": 3}, [X]),
    ("Linear", {"in_features": 6, "out_features": 3, "bias": False}, [real(2, 3, 6)]),
    ("Linear", {"in_features": 6, "out_features": 3}, [real(6)]),
    ("Bilinear", {"in1_features": 6, "in2_features": 3, "out_features": 2}, [X, real(4, 3)]),
    ("Bilinear", {"in1_features": 2, "in2_features": 3, "out_features": 4, "bias": False},
     [real(2, 2, 2), real(2, 2, 3)]),
    *((name, {}, [X]) for name in (
        "CELU", "ELU", "GELU", "GLU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh",
        "LeakyReLU", "LogSigmoid", "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid",
        "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink")),
    ("GELU", {"approximate": "tanh"}, [X]),
    ("CELU", {"alpha": 0.3}, [X]),
    ("ELU", {"alpha": 0.3}, [X]),
    ("GLU", {"dim": 0}, [X]),
    ("Hardshrink", {"lambd": 1.2}, [X]),
    ("Softshrink", {"lambd": 1.2}, [X]),
    ("Hardtanh", {"min_val": -0.5, "max_val": 1.5}, [X]),
    ("LeakyReLU", {"negative_slope": 0.4}, [X]),
    ("PReLU", {"num_parameters": 6}, [X]),
    ("PReLU", {"num_parameters": 3}, [real(2, 3, 2, 2)]),
    ("Softplus", {"beta": 3.0, "threshold": 2.0}, [X]),
    ("Threshold", {"threshold": 0.5, "value": -3.0}, [X]),
    *((name, {"dim": d}, [X]) for name in ("Softmax", "Softmin", "LogSoftmax") for d in (0, 1)),
    ("Softmax2d", {}, [real(2, 3, 2, 2)]),
    ("CosineSimilarity", {}, [X, real(4, 6)]),
    ("CosineSimilarity", {"dim": 0}, [X, real(4, 6)]),
    ("PairwiseDistance", {}, [X, real(4, 6)]),
    ("PairwiseDistance", {"p": 1.0, "keepdim": True}, [X, real(4, 6)]),
    ("Flatten", {}, [real(2, 3, 4)]),
    ("Flatten", {"start_dim": 0, "end_dim": 1}, [real(2, 3, 4)]),
    ("Unflatten", {"dim": 1, "unflattened_size": (2, 3)}, [X]),
    ("ChannelShuffle", {"groups": 3}, [real(2, 6, 2, 2)]),
    ("Embedding", {"num_embeddings": 8, "embedding_dim": 3}, [CLASSES]),
    ("Embedding", {"num_embeddings": 8, "embedding_dim": 3, "padding_idx": 5}, [CLASSES]),
    ("Embedding", {"num_embeddings": 8, "embedding_dim": 3, "max_norm": 1.0},
     [np.array([[1, 1], [2, 3]])]),
    ("Embedding", {"num_embeddings": 8, "embedding_dim": 3, "scale_grad_by_freq": True},
     [np.array([[1, 1], [1, 3]])]),
    *(("EmbeddingBag", {"num_embeddings": 8, "embedding_dim": 3, "mode": mode, **more},
       [np.array([1, 2, 4, 5, 4, 3]), np.array([0, 3, 3, 4])])
      for mode in ("sum", "mean", "max") for more in ({}, {"padding_idx": 4})),
    ("EmbeddingBag", {"num_embeddings": 8, "embedding_dim": 3}, [np.array([[1, 2], [4, 1]])]),
    ("EmbeddingBag", {"num_embeddings": 8, "embedding_dim": 3, "include_last_offset": True},
     [np.array([1, 2, 4]), np.array([0, 1, 3])]),
]  # fmt: skip

REDUCTIONS = [{"reduction": r} for r in ("mean", "sum", "none")]
LOSSES = [
    *((name, r, [X, real(4, 6)]) for name in ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss")
      for r in REDUCTIONS),
    ("SmoothL1Loss", {"beta": 0.3}, [X, real(4, 6)]),
    ("SmoothL1Loss", {"beta": 0.0}, [X, real(4, 6)]),
    ("HuberLoss", {"delta": 0.3}, [X, real(4, 6)]),
    *(("CrossEntropyLoss", {**r, **more}, [X, CLASSES]) for r in REDUCTIONS for more in (
        {}, {"weight": WEIGHT}, {"ignore_index": 5}, {"label_smoothing": 0.2},
        {"weight": WEIGHT, "label_smoothing": 0.2, "ignore_index": 0})),
    *(("CrossEntropyLoss", {**r, "label_smoothing": 0.1}, [X, PROBS]) for r in REDUCTIONS),
    ("CrossEntropyLoss", {"weight": WEIGHT}, [X, PROBS]),
    ("CrossEntropyLoss", {}, [real(2, 6, 3), rng.integers(0, 6, (2, 3))]),
    ("CrossEntropyLoss", {}, [real(6), np.array(3)]),
    *(("NLLLoss", {**r, **more}, [log_probs(4, 6), CLASSES]) for r in REDUCTIONS
      for more in ({}, {"weight": WEIGHT}, {"ignore_index": 5})),
    ("NLLLoss", {}, [log_probs(2, 6, 2, 3), rng.integers(0, 6, (2, 2, 3))]),
    *(("BCELoss", r, [real(4, 6, low=0.05, high=0.95), real(4, 6, low=0, high=1)])
      for r in REDUCTIONS),
    ("BCELoss", {"weight": WEIGHT}, [real(4, 6, low=0.05, high=0.95), real(4, 6, low=0, high=1)]),
    *(("BCEWithLogitsLoss", {**r, **more}, [X, real(4, 6, low=0, high=1)]) for r in REDUCTIONS
      for more in ({}, {"weight": WEIGHT}, {"pos_weight": WEIGHT})),
    *(("KLDivLoss", {"reduction": r, **more}, [log_probs(4, 6), PROBS])
      for r in ("batchmean", "sum", "none") for more in ({}, {"log_target": True})),
    *(("PoissonNLLLoss", {"log_input": li, "full": full}, [real(4, 6, low=0.2), real(4, 6, low=0.2, high=4)])
      for li in (True, False) for full in (True, False)),
    *(("GaussianNLLLoss", {"full": full}, [X, real(4, 6), real(4, 6, low=0.1)])
      for full in (True, False)),
    ("GaussianNLLLoss", {"reduction": "none"}, [X, real(4, 6), real(4, low=0.1)]),
    *(("HingeEmbeddingLoss", r, [X, signs(4, 6)]) for r in REDUCTIONS),
    *(("SoftMarginLoss", r, [X, signs(4, 6)]) for r in REDUCTIONS),
    *(("MarginRankingLoss", {"margin": 0.3, **r}, [real(5), real(5), signs(5)]) for r in REDUCTIONS),
    *(("CosineEmbeddingLoss", {"margin": 0.1, **r}, [X, real(4, 6), signs(4)]) for r in REDUCTIONS),
    ("CosineEmbeddingLoss", {}, [real(6), real(6), np.array(1.0, np.float32)]),
    *(("TripletMarginLoss", {**r, **more}, [X, real(4, 6), real(4, 6)]) for r in REDUCTIONS
      for more in ({}, {"swap": True, "p": 1.0, "margin": 2.0})),
    ("TripletMarginWithDistanceLoss", {"swap": True}, [X, real(4, 6), real(4, 6)]),
    *(("MultiMarginLoss", {**r, **more}, [X, CLASSES]) for r in REDUCTIONS
      for more in ({}, {"p": 2, "margin": 0.5}, {"weight": WEIGHT})),
    ("MultiMarginLoss", {}, [real(6), np.array(3)]),
    *(("MultiLabelMarginLoss", r, [X, np.array([[1, 3, -1, 0, 0, 0], [0, -1, 0, 0, 0, 0],
                                                [5, 4, 3, 2, 1, 0], [-1, 1, 2, 3, 4, 5]])])
      for r in REDUCTIONS),
    *(("MultiLabelSoftMarginLoss", {**r, **more}, [X, (real(4, 6) > 0).astype(np.float32)])
      for r in REDUCTIONS for more in ({}, {"weight": WEIGHT})),
    *(("CTCLoss", {**r, **more}, [log_probs(3, 7, 6).transpose(1, 0, 2).copy(),
                                  np.array([[1, 2, 2], [3, 1, 0], [4, 5, 1]]),
                                  np.array([7, 6, 5]), np.array([3, 2, 3])])
      for r in REDUCTIONS for more in ({}, {"blank": 0, "zero_infinity": True})),
    ("LinearCrossEntropyLoss", {"in_features": 6, "num_classes": 3, "bias": True},
     [X, np.array([0, 2, 1, 1])]),
    ("LinearCrossEntropyLoss", {"in_features": 6, "num_classes": 3, "out_features": (2,)},
     [X, np.array([[0, 2], [1, 1], [0, 0], [2, 1]])]),
]  # fmt: skip


def built(lib, name, kwargs):
    made = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(lib.nn, name)(**made)


def run(lib, layer, inputs, first_only):
    """The output, and the gradients of inputs and parameters under fixed output weights."""
    args = [lib.tensor(x) for x in inputs]
    for a in args[:1] if first_only else args:
        if a.is_floating_point():
            a.requires_grad_()
    out = layer(*args)
    if out.requires_grad:
        (out * lib.arange(1.0, out.numel() + 1).reshape(out.shape)).sum().backward()
    grads = [a.grad for a in args] + [p.grad for p in layer.parameters()]
    return [out, *grads]


def same(ours, theirs):
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if b is None:
            assert a is None or not np.any(a.numpy()), i
            continue
        a, b = a.detach().numpy(), b.detach().numpy()
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5, err_msg=str(i))


def names(cases):
    return [f"{name}-{i}" for i, (name, _, _) in enumerate(cases)]


@pytest.mark.parametrize("name,kwargs,inputs", CASES + LOSSES, ids=names(CASES + LOSSES))
def test_layer_agrees_with_pytorch(name, kwargs, inputs):
    torch = pytest.importorskip("torch")
    if not hasattr(torch.nn, name):
        pytest.skip(f"this PyTorch has no {name}")
    theirs = built(torch, name, kwargs)
    ours = built(eg, name, kwargs)
    state = {k: v.detach().numpy().copy() for k, v in theirs.state_dict().items()}
    ours.load_state_dict(state)
    assert list(ours.state_dict()) == list(state)
    assert repr(ours) == repr(theirs)
    # PyTorch gives some targets no gradient
    first_only = name in ("BCELoss", "BCEWithLogitsLoss", "PoissonNLLLoss", "SoftMarginLoss")
    same(run(eg, ours, inputs, first_only), run(torch, theirs, inputs, first_only))


# ---- written-down values -----------------------------------------------------------------------------------------


def close(t, values, tol=1e-5):
    np.testing.assert_allclose(np.asarray(t.tolist()), np.asarray(values), atol=tol)


@pytest.mark.parametrize(
    "layer,values",
    [
        (nn.ReLU(), [0, 0, 2]),
        (nn.ELU(), [math.exp(-1) - 1, 0, 2]),
        (nn.SELU(), [1.7580993 * (math.exp(-1) - 1), 0, 2.1014020]),
        (nn.GELU(), [-0.1586553, 0, 1.9544997]),
        (nn.GELU("tanh"), [-0.1588080, 0, 1.9545977]),
        (nn.SiLU(), [-0.2689414, 0, 1.7615942]),
        (nn.Mish(), [-0.3034014, 0, 1.9439590]),
        (nn.Softplus(), [0.3132617, 0.6931472, 2.1269280]),
        (nn.Hardswish(), [-1 / 3, 0, 5 / 3]),
        (nn.Hardsigmoid(), [1 / 3, 0.5, 5 / 6]),
        (nn.LogSigmoid(), [-1.3132617, -0.6931472, -0.1269280]),
        (nn.Softsign(), [-0.5, 0, 2 / 3]),
        (nn.Tanhshrink(), [-1 + 0.7615942, 0, 2 - 0.9640276]),
        (nn.Softmin(0), [0.7053845, 0.2594965, 0.0351190]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_activation_values(layer, values):
    close(layer(eg.tensor([-1.0, 0.0, 2.0])), values)


def test_loss_values():
    logits = eg.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    target = eg.tensor([2, 0])
    per_row = [0.4076060, 1.0986123]
    close(F.cross_entropy(logits, target, reduction="none"), per_row)
    close(F.cross_entropy(logits, target), sum(per_row) / 2)
    weight = eg.tensor([3.0, 1.0, 1.0])
    close(F.cross_entropy(logits, target, weight), (per_row[0] + 3 * per_row[1]) / 4)
    close(F.cross_entropy(logits, eg.tensor([2, -100])), per_row[0])
    close(
        F.binary_cross_entropy_with_logits(eg.tensor([0.0, 2.0]), eg.tensor([1.0, 0.0])), 1.4100376
    )
    close(F.smooth_l1_loss(eg.tensor([0.5, 3.0]), eg.zeros(2), reduction="none"), [0.125, 2.5])
    close(F.huber_loss(eg.tensor([0.5, 3.0]), eg.zeros(2), "none", 2.0), [0.125, 4.0])
    close(F.ctc_loss(eg.full((2, 1, 2), math.log(0.5)), eg.tensor([[1]]), (2,), (1,), reduction="sum"),
          -math.log(0.75))  # fmt: skip


# ---- rules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer",
    [nn.ReLU, nn.ReLU6, nn.ELU, nn.CELU, nn.SELU, nn.SiLU, nn.Mish, nn.Hardtanh, nn.Hardswish,
     nn.Hardsigmoid, nn.LeakyReLU, nn.RReLU],
)  # fmt: skip
def test_inplace_writes_into_its_input(layer):
    x = eg.tensor([-1.0, 2.0])
    expected = layer().eval()(x).tolist()
    y = layer(inplace=True).eval()(x)
    assert y is x and x.tolist() == expected


def test_softmax_without_dim_warns_and_follows_the_old_rule():
    for shape, dim in (((3,), 0), ((2, 3), 1), ((2, 3, 4), 0), ((2, 3, 4, 5), 1)):
        x = eg.tensor(real(*shape))
        with pytest.warns(UserWarning, match="Implicit dimension"):
            y = nn.Softmax()(x)
        assert eg.equal(y, x.softmax(dim))


def test_softmax_may_compute_in_another_dtype():
    x = eg.tensor([[0, 1]])
    for function in (F.softmax, F.log_softmax, F.softmin):
        assert function(x, 1, dtype=eg.float64).dtype == eg.float64


def test_old_reduction_arguments_still_count():
    x, y = eg.tensor([1.0, 2.0]), eg.zeros(2)
    with pytest.warns(UserWarning, match="reduction='sum'"):
        assert nn.MSELoss(size_average=False)(x, y).item() == 5
    with pytest.warns(UserWarning, match="reduction='none'"):
        assert F.mse_loss(x, y, reduce=False).tolist() == [1.0, 4.0]


def test_losses_refuse_bad_arguments():
    x, c = eg.zeros(2, 3), eg.tensor([0, 1])
    with pytest.raises(ValueError, match="reduction"):
        F.hinge_embedding_loss(x, x, reduction="nope")
    with pytest.raises(ValueError):
        F.mse_loss(x, x, reduction="nope")
    with pytest.raises(ValueError):
        F.binary_cross_entropy(x, eg.zeros(3))
    for given, target in ((x + 2, x), (x, x + 2), (x * math.nan, x)):
        with pytest.raises(RuntimeError, match="between 0 and 1"):
            F.binary_cross_entropy(given, target)
    with pytest.raises(RuntimeError, match="alpha"):
        F.celu(x, 0.0)
    with pytest.raises(ValueError):
        F.binary_cross_entropy_with_logits(x, eg.zeros(3))
    with pytest.raises(ValueError):
        F.gaussian_nll_loss(x, x, eg.full((2, 3), -1.0))
    with pytest.raises(ValueError):
        nn.TripletMarginLoss(margin=0)
    with pytest.raises(ValueError):
        nn.MultiMarginLoss(p=3)
    with pytest.raises((IndexError, RuntimeError)):
        F.cross_entropy(x, c + 5)
    with pytest.warns(UserWarning, match="target size"):
        F.mse_loss(x, eg.zeros(3))
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(x, x)


def test_dropout_keeps_the_mean_and_only_in_training():
    eg.manual_seed(0)
    x = eg.ones(200, 50)
    layer = nn.Dropout(0.25)
    y = layer(x)
    assert abs(float(y.mean()) - 1) < 0.03 and 0.2 < float((y == 0).float().mean()) < 0.3
    assert set(np.unique(y.numpy()).round(4)) == {0.0, np.float32(1 / 0.75).round(4)}
    assert eg.equal(layer.eval()(x), x)
    assert float(F.dropout(x, 1.0).abs().sum()) == 0
    for bad in (-0.1, 1.1):
        with pytest.raises(ValueError):
            nn.Dropout(bad)
        with pytest.raises(ValueError):
            F.dropout(x, bad)


def test_channel_dropout_drops_whole_channels():
    eg.manual_seed(0)
    for layer, shape in (
        (nn.Dropout1d(), (4, 8, 5)),
        (nn.Dropout2d(), (4, 8, 3, 3)),
        (nn.Dropout3d(), (4, 8, 2, 2, 2)),
    ):
        y = layer(eg.ones(*shape)).reshape(32, -1)
        assert eg.equal(y, y[:, :1].expand_as(y))
        assert set(np.unique(y.numpy())) == {0.0, 2.0}
    with pytest.raises(RuntimeError):
        F.dropout1d(eg.ones(3))


def test_alpha_dropout_keeps_mean_and_variance():
    eg.manual_seed(0)
    x = eg.randn(400, 100)
    y = nn.AlphaDropout(0.3)(x)
    assert abs(float(y.mean())) < 0.05 and abs(float(y.std()) - 1) < 0.05
    z = nn.FeatureAlphaDropout(0.3)(eg.ones(2, 50, 4))
    assert eg.equal(z, z[:, :, :1].expand_as(z))


def test_rrelu_draws_slopes_in_training():
    eg.manual_seed(0)
    y = nn.RReLU(0.1, 0.3)(-eg.ones(1000))
    assert -0.3 <= float(y.min()) < -0.28 and -0.12 < float(y.max()) <= -0.1
    close(nn.RReLU(0.1, 0.3).eval()(-eg.ones(2)), [-0.2, -0.2])


def test_gumbel_softmax():
    eg.manual_seed(0)
    logits = eg.tensor([[2.0, 0.0, -1.0]]).expand(2000, 3).clone().requires_grad_()
    hard = F.gumbel_softmax(logits, hard=True)
    assert eg.equal(hard.sum(1), eg.ones(2000))
    close(hard.detach().mean(0), [0.8438, 0.1142, 0.0420], tol=0.05)
    hard[:, 0].sum().backward()
    assert float(logits.grad.abs().sum()) > 0


def test_embedding_rules():
    layer = nn.Embedding(5, 2, padding_idx=-1)
    assert layer.padding_idx == 4 and layer.weight[4].tolist() == [0.0, 0.0]
    layer(eg.tensor([4, 0, 0])).sum().backward()
    assert layer.weight.grad[:, 0].tolist() == [2.0, 0.0, 0.0, 0.0, 0.0]
    frozen = nn.Embedding.from_pretrained(eg.ones(3, 2))
    assert not frozen.weight.requires_grad
    assert nn.Embedding.from_pretrained(eg.ones(3, 2), freeze=False).weight.requires_grad
    with pytest.raises(AssertionError):
        nn.Embedding(5, 2, padding_idx=5)
    with pytest.raises((IndexError, RuntimeError)):
        layer(eg.tensor([5]))
    assert repr(nn.Embedding(5, 2, 1, 2.0)) == "Embedding(5, 2, padding_idx=1, max_norm=2.0)"


@pytest.mark.parametrize("dtype", [eg.float16, eg.bfloat16])
@pytest.mark.parametrize("width", [1, 8, 100])
def test_embedding_bags_of_halves_are_summed_in_float(dtype, width):
    table = eg.ones(1, width, dtype=dtype)
    index = eg.zeros(2, 5000, dtype=eg.int64)
    out = F.embedding_bag(index, table, mode="sum")
    assert (out == 5000).all() if dtype == eg.float16 else (out == 4992).all()  # the nearest half
    assert (F.embedding_bag(index, table, mode="mean") == 1).all()


def test_a_bag_with_max_norm_shrinks_its_padding_row_too():
    table = eg.full((3, 2), 5.0)
    F.embedding_bag(eg.tensor([[0, 1]]), table, max_norm=1.0, padding_idx=0)
    np.testing.assert_allclose(table.norm(dim=1).numpy(), [1.0, 1.0, 50**0.5], rtol=1e-5)


def test_embedding_bag_weights_and_errors():
    table = eg.tensor([[1.0], [2.0], [4.0]])
    out = F.embedding_bag(
        eg.tensor([[0, 1]]), table, mode="sum", per_sample_weights=eg.tensor([[10.0, 100.0]])
    )
    assert out.tolist() == [[210.0]]
    for bad in (
        {"offsets": eg.tensor([0])},
        {"mode": "nope"},
        {"per_sample_weights": eg.ones(3)},
    ):
        with pytest.raises(ValueError):
            F.embedding_bag(eg.tensor([[0, 1]]), table, **bad)
    with pytest.raises(ValueError):
        F.embedding_bag(eg.tensor([0, 1]), table)
    with pytest.raises(NotImplementedError):
        F.embedding_bag(eg.tensor([[0]]), table, per_sample_weights=eg.ones(1, 1))


def test_adaptive_softmax_is_a_distribution():
    eg.manual_seed(0)
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0, head_bias=True)
    x, y = eg.randn(6, 8), eg.tensor([0, 3, 4, 9, 10, 19])
    full = layer.log_prob(x)
    close(full.exp().sum(1), [1.0] * 6)
    out, loss = layer(x, y)
    close(out, full.gather(1, y.unsqueeze(1)).squeeze(1).tolist())
    close(loss, -float(out.mean()))
    assert eg.equal(layer.predict(x), full.argmax(1))
    loss.backward()
    assert all(p.grad is not None for p in layer.parameters())
    with pytest.raises(ValueError):
        nn.AdaptiveLogSoftmaxWithLoss(8, 20, [10, 4])
    with pytest.raises(RuntimeError, match="range"):
        layer(x, y + 5)


def test_functions_of_distance():
    x = eg.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    close(F.pdist(x), [5.0, 1.0, math.sqrt(18)])
    close(F.normalize(x[1:2]), [[0.6, 0.8]])
    assert F.one_hot(eg.tensor([1, 0]), 3).tolist() == [[0, 1, 0], [1, 0, 0]]
    for bad in (lambda: F.one_hot(eg.tensor([-1])), lambda: F.one_hot(eg.tensor([3]), 2)):
        with pytest.raises(RuntimeError):
            bad()


def test_bad_sizes_are_named():
    with pytest.raises(RuntimeError):
        nn.Linear(3, 2)(eg.zeros(4, 5))
    with pytest.raises(RuntimeError, match="bilinear"):
        nn.Bilinear(3, 2, 1)(eg.zeros(4, 3), eg.zeros(5, 2))
    with pytest.raises(RuntimeError, match="even"):
        nn.GLU()(eg.zeros(3))
    with pytest.raises(ValueError):
        nn.Softmax2d()(eg.zeros(2, 2))
    with pytest.raises(RuntimeError, match="slopes"):
        nn.PReLU(3)(eg.zeros(2, 4))
    with pytest.raises(RuntimeError, match="divisible"):
        nn.ChannelShuffle(2)(eg.zeros(1, 3, 2))


def ctc_by_hand(probs, target):
    """The probability of all paths that read as `target`, blank 0."""
    total = 0.0
    for path in itertools.product(range(probs.shape[1]), repeat=len(probs)):
        read = [c for c, _ in itertools.groupby(path) if c != 0]
        if read == target:
            total += np.prod([probs[t, c] for t, c in enumerate(path)])
    return -math.log(total) if total else math.inf


@pytest.mark.parametrize("target", [[1, 2], [1, 1], [2], [], [1, 2, 1], [1, 1, 1]])
def test_ctc_counts_all_paths(target):
    logits = eg.tensor(real(4, 3), requires_grad=True)
    probs = logits.softmax(1).detach().numpy()
    args = (eg.tensor([target] if target else [[0]]), (4,), (len(target),))
    loss = F.ctc_loss(logits.log_softmax(1).unsqueeze(1), *args, reduction="sum")
    expected = ctc_by_hand(probs, target)
    assert float(loss) == pytest.approx(expected, abs=1e-5)
    if math.isinf(expected):
        loss = F.ctc_loss(
            logits.log_softmax(1).unsqueeze(1), *args, reduction="sum", zero_infinity=True
        )
        loss.backward()
        assert float(loss) == 0 and not np.any(logits.grad.numpy())


def test_ctc_refuses_a_second_derivative():
    x = eg.randn(4, 1, 3, dtype=eg.float64, requires_grad=True)
    loss = F.ctc_loss(x.log_softmax(2), eg.tensor([[1, 2]]), (4,), (2,))
    (g,) = eg.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="derivative of its backward is not implemented"):
        g.square().sum().backward()


def test_ctc_takes_joined_and_single_targets_and_names_bad_ones():
    x = eg.tensor(log_probs(3, 5, 4).transpose(1, 0, 2).copy()[:, :2])
    t, il, tl = x.shape[0], eg.tensor([3, 3]), eg.tensor([2, 1])
    padded = F.ctc_loss(x, eg.tensor([[1, 2], [3, 0]]), il, tl, reduction="none")
    joined = F.ctc_loss(x, eg.tensor([1, 2, 3]), il, tl, reduction="none")
    single = F.ctc_loss(x[:, 0], eg.tensor([1, 2]), eg.tensor(3), eg.tensor(2), reduction="none")
    assert eg.equal(padded, joined) and single.dim() == 0
    close(single, float(padded[0]))
    floats = F.ctc_loss(x, eg.tensor([[1.0, 2.0], [3.0, 0.0]]), il, tl, reduction="none")
    assert eg.equal(padded, floats)
    for bad in (
        {"blank": 9},
        {"targets": eg.tensor([[1, 2], [9, 0]])},
        {"input_lengths": eg.tensor([t + 1, 1])},
        {"target_lengths": eg.tensor([3, 1])},
        {"input_lengths": eg.tensor([1])},
        {"targets": eg.tensor([1, 2])},
    ):
        given = {"targets": eg.tensor([[1, 2], [3, 0]]), "input_lengths": il, "target_lengths": tl}
        with pytest.raises(RuntimeError, match="ctc_loss"):
            F.ctc_loss(x, **{**given, **bad})
