"""`python -m benchmarks --device=cuda`: rows of the other tables on a GPU, with the GPU's targets, and its own.

Rows "against a copy" have in PyTorch's column the time that PyTorch's `copy_` takes for as many bytes as the row moves.
"""

from __future__ import annotations

from typing import Any

from . import rows_core, rows_nn
from .harness import Function, Make, Row

LARGE = 64 << 20


def _copy(elements: int) -> Make:
    """A copy that moves 8 bytes an element: it reads and writes floats."""

    def make(F: Any) -> Function:
        a, b = F.randn(elements), F.empty(elements)
        return lambda: b.copy_(a)

    return make


def _of_one(name: str) -> Make:
    return lambda F: _bound(getattr(F, name), F.randn(LARGE))


def _bound(function: Any, x: Any) -> Function:
    return lambda: function(x)


def _add(F: Any) -> Function:
    a, b = F.randn(LARGE), F.randn(LARGE)
    return lambda: a + b


def _row_sum(F: Any) -> Function:
    a = F.randn(LARGE // 1024, 1024)
    return lambda: a.sum(1)


def _column_sum(F: Any) -> Function:
    a = F.randn(LARGE // 1024, 1024)
    return lambda: a.sum(0)


def _half_matmul(F: Any) -> Function:
    a = F.randn(4096, 4096).to(F.bfloat16)
    return lambda: a @ a


def _half_attention(F: Any) -> Function:
    qkv = [F.randn(4, 16, 2048, 64).to(F.bfloat16).requires_grad_() for _ in range(3)]
    return rows_nn._gradients_of(F.nn.functional.scaled_dot_product_attention, *qkv)


def _one_query(F: Any) -> Function:
    q, k, v = (F.randn(4, 16, n, 128).to(F.bfloat16) for n in (1, 4096, 4096))
    return lambda: F.nn.functional.scaled_dot_product_attention(q, k, v)


def _mlp_step(F: Any) -> Function:
    nn = F.nn
    net = nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    optimizer = F.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    x, y = F.randn(32, 64), F.randn(32, 10)

    def step() -> None:
        optimizer.zero_grad(set_to_none=False)
        ((net(x) - y) ** 2).mean().backward()
        optimizer.step()

    return step


def _captured_step(F: Any) -> Function:
    return F.cuda.graph(_mlp_step(F))


ROWS = [
    Row("a + b, 32x64", rows_core.small_add, 1.2),
    Row("a * 2, 32x64", rows_core.small_scale, 1.2),
    Row("a.tanh(), 32x64", rows_core.small_tanh, 1.2),
    Row("a.sum(1), 32x64", rows_core.small_sum, 1.2),
    Row("10 x (matmul 32x64x64, tanh, add), fwd+bwd", rows_core.chain, 1.2),
    Row("tanh RNN by hand, B1 H32, 100 steps, fwd+bwd", rows_core.rnn_by_hand, 1.2),
    Row("LSTM by hand, B32 H128 I64 T50, fwd+bwd", rows_core.lstm_by_hand, 1.2),
    Row("MLP 64-64-10, batch 32, Adam, whole step", rows_core.mlp_adam, 1.2),
    Row(
        "MLP 64-64-64-10, batch 32, SGD, captured, against eager",
        _captured_step,
        3,
        against=_mlp_step,
    ),
    Row("a + b, 64 M, against a copy", _add, 0.85, against=_copy(LARGE * 3 // 2)),
    Row("tanh, 64 M, against a copy", _of_one("tanh"), 0.85, against=_copy(LARGE)),
    Row("exp, 64 M, against a copy", _of_one("exp"), 0.85, against=_copy(LARGE)),
    Row("sum, 64 M, against a copy", _of_one("sum"), 0.85, against=_copy(LARGE // 2)),
    Row("sum(1), 64 M, against a copy", _row_sum, 0.85, against=_copy(LARGE // 2)),
    Row("sum(0), 64 M, against a copy", _column_sum, 0.85, against=_copy(LARGE // 2)),
    Row("softmax(1), 2048x2048", rows_core.large_softmax, 1.0),
    Row("gather rows: a[i], 20000 of 50000x64", rows_core.gather_rows, 1.0),
    Row("topk(10), 256x10000", rows_core.topk, 1.0),
    Row("sort, 256x10000", rows_core.sort, 1.0),
    Row("matmul 2048", rows_core._matmul(2048), 0.95),
    Row("matmul 4096, bfloat16", _half_matmul, 0.95),
    Row("nn.LSTM, B32 H128 I64 T50, fwd+bwd, against cuDNN", rows_nn.lstm, 0.77),
    Row("nn.GRU, B32 H128 I64 T50, fwd+bwd, against cuDNN", rows_nn.gru, 0.77),
    Row("conv2d 64 channels 3x3, 16x64x32x32, fwd+bwd", rows_nn.conv2d, 1.0),
    Row("ResNet block, 64 channels, 16x64x32x32, SGD, whole step", rows_nn.resnet_block, 1.0),
    Row("AlexNet, batch 8, 224x224, fwd+bwd", rows_nn.alexnet, 1.0),
    Row("GPT, 2 blocks, C192, 6 heads, T128, B8, AdamW, whole step", rows_nn.gpt, 1.0),
    Row("LayerNorm(768), 1024x768, fwd+bwd", rows_nn.layer_norm, 1.0),
    Row("cross entropy, 256 x 10,000 classes, fwd+bwd", rows_nn.cross_entropy, 1.0),
    Row("attention, B2 8 heads T1024 D64, fwd+bwd", rows_nn.attention_long, 1.0),
    Row("attention, B4 16 heads T2048 D64, bfloat16, fwd+bwd", _half_attention, 1.0),
    Row("attention of one query, B4 16 heads 4096 keys D128, bfloat16", _one_query, 1.0),
    Row("embedding 10000x128, 32x50 indices, dense gradient, fwd+bwd", rows_nn.embedding, 1.0),
    Row("Adam over 5 M parameters", rows_nn.adam_large, 1.0),
    Row("Adam over 100 tensors of 32x32", rows_nn.adam_many, 1.0),
]
