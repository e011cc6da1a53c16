"""Autocast on the GPU: PyTorch's lists of what runs in float16, what in float32 and what in the widest dtype given."""

from __future__ import annotations

import pytest

import eagergrad as eg
from cuda_pairs import draw, gpu  # noqa: F401

F = eg.nn.functional


def x(*sizes, dtype=eg.float32):
    return draw(*sizes).to("cuda").to(dtype)


def h(*sizes):
    return x(*sizes, dtype=eg.float16)


def p(*sizes):
    return h(*sizes).abs() + 0.25


LOWER = {
    "matmul": lambda: x(2, 3) @ x(3, 4),
    "addmv": lambda: eg.addmv(x(2), x(2, 3), x(3)),
    "addr": lambda: eg.addr(x(2, 3), x(2), x(3)),
    "baddbmm": lambda: eg.baddbmm(x(1), x(2, 2, 3), x(2, 3, 2)),
    "einsum": lambda: eg.einsum("ij,jk->ik", x(2, 3), x(3, 2)),
    "linear": lambda: eg.nn.Linear(3, 2, device="cuda")(x(4, 3)),
    "conv2d": lambda: F.conv2d(x(1, 2, 5, 5), x(3, 2, 3, 3), x(3)),
    "prelu": lambda: F.prelu(x(2, 3), x(1)),
    "attention": lambda: F.scaled_dot_product_attention(x(1, 2, 4), x(1, 2, 4), x(1, 2, 4)),
    "lstm_cell": lambda: eg.nn.LSTMCell(3, 2, device="cuda")(x(4, 3))[0],
    "gru_cell": lambda: eg.nn.GRUCell(3, 2, device="cuda")(x(4, 3)),
    "gru": lambda: eg.nn.GRU(3, 2, device="cuda")(x(4, 1, 3))[0],
}
FULL = {
    "exp": lambda: h(3).exp(),
    "log": lambda: p(3).log(),
    "pow": lambda: eg.pow(h(3), 2),
    "**": lambda: h(3) ** 3,
    "2 **": lambda: 2 ** h(3),
    "rsqrt": lambda: p(3).rsqrt(),
    "softplus": lambda: F.softplus(h(3)),
    "layer_norm": lambda: F.layer_norm(h(2, 3), (3,), x(3), x(3)),
    "group_norm": lambda: F.group_norm(h(2, 4, 3), 2),
    "rms_norm": lambda: F.rms_norm(h(2, 3), (3,)),
    "norm": lambda: h(3).norm(),
    "sum": lambda: h(2, 3).sum(1),
    "cumsum": lambda: h(3).cumsum(0),
    "prod": lambda: h(3).prod(),
    "softmax": lambda: F.softmax(h(2, 3), -1),
    "log_softmax": lambda: h(2, 3).log_softmax(-1),
    "logsumexp": lambda: h(2, 3).logsumexp(-1),
    "interpolate": lambda: F.interpolate(h(1, 1, 3, 3), scale_factor=2),
    "cross_entropy": lambda: F.cross_entropy(h(2, 3), eg.tensor([0, 2], device="cuda")),
    "bce_with_logits": lambda: F.binary_cross_entropy_with_logits(h(3), p(3)),
    "mse_loss": lambda: F.mse_loss(h(3), h(3)),
    "cosine_similarity": lambda: F.cosine_similarity(h(2, 3), h(2, 3)),
    "cosine_embedding_loss": lambda: F.cosine_embedding_loss(
        h(2, 3), h(2, 3), eg.tensor([1, -1], device="cuda")
    ),
    "cdist": lambda: eg.cdist(h(30, 3), h(2, 3)),
    "pdist": lambda: F.pdist(h(3, 2)),
    "dist": lambda: eg.dist(h(3), h(3)),
    "renorm": lambda: eg.renorm(h(2, 3), 2, 0, 0.5),
}
WIDEST = {
    "addcmul": lambda a: eg.addcmul(a, h(3), h(3)),
    "atan2": lambda a: eg.atan2(a, h(3)),
    "dot": lambda a: a.dot(h(3)),
    "scatter_add": lambda a: a.scatter_add(0, eg.tensor([0, 0], device="cuda"), h(2)),
    "index_put": lambda a: a.index_put((eg.tensor([0, 0], device="cuda"),), h(2)),
    "grid_sample": lambda a: F.grid_sample(a.view(1, 1, 1, 3), h(1, 2, 2, 2), align_corners=False),
    "tensordot": lambda a: eg.tensordot(a, h(3), 1),
    "cross": lambda a: eg.cross(a, h(3), dim=0),
    "bilinear": lambda a: F.bilinear(a.view(1, 3), h(1, 2), h(4, 3, 2)),
}
AS_IT_IS = {
    "add": lambda a: a + a,
    "relu": lambda a: a.relu(),
    "mean": lambda a: a.mean(),
    "sqrt": lambda a: a.abs().sqrt(),
    "max_pool": lambda a: F.max_pool1d(a.view(1, 1, 3), 2),
}


@pytest.mark.parametrize("name", LOWER)
def test_products_run_in_float16(name):
    with eg.autocast("cuda"):
        assert LOWER[name]().dtype is eg.float16
    with eg.autocast("cuda", dtype=eg.bfloat16):
        assert LOWER[name]().dtype is eg.bfloat16
    with eg.autocast("cpu"):  # of other tensors
        assert LOWER[name]().dtype is eg.float32


@pytest.mark.parametrize("name", FULL)
def test_what_needs_the_range_runs_in_float32(name):
    with eg.autocast("cuda"):
        y = FULL[name]()
    assert y.dtype is eg.float32
    assert eg.isfinite(y).all()


@pytest.mark.parametrize("name", WIDEST)
def test_mixed_arguments_are_widened(name):
    with eg.autocast("cuda"):
        assert WIDEST[name](x(3)).dtype is eg.float32
        assert WIDEST[name](h(3)).dtype is eg.float16


@pytest.mark.parametrize("name", AS_IT_IS)
def test_other_ops_compute_as_they_are(name):
    with eg.autocast("cuda"):
        assert AS_IT_IS[name](x(3)).dtype is eg.float32
        assert AS_IT_IS[name](h(3)).dtype is eg.float16


def test_a_loss_of_probabilities_is_refused():
    for t in (p(3), x(3).sigmoid()):
        with eg.autocast("cuda"), pytest.raises(RuntimeError, match="_with_logits"):
            F.binary_cross_entropy(t, t)
    with eg.autocast("cuda"), eg.autocast("cuda", enabled=False):
        assert F.binary_cross_entropy(x(3).sigmoid(), x(3).sigmoid()).dtype is eg.float32


def test_a_step_with_a_scaler():
    net = eg.nn.Sequential(
        eg.nn.Linear(3, 8), eg.nn.LayerNorm(8), eg.nn.ReLU(), eg.nn.Linear(8, 2)
    ).to("cuda")
    optimizer, scaler = eg.optim.SGD(net.parameters(), lr=0.1), eg.amp.GradScaler("cuda")
    target = eg.tensor([0, 1, 1, 0], device="cuda")
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        with eg.autocast("cuda"):
            out = net(x(4, 3))
            assert out.dtype is eg.float16
            loss = F.cross_entropy(out, target)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(q.grad.dtype is eg.float32 for q in net.parameters())
