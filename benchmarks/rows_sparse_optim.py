"""Rows about gradients that have few rows, and experts that run on few rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from .harness import Function, row

TABLE = (10000, 256)


def _some_rows(F: Any, sparse: bool) -> list[Any]:
    """Gradients of a quarter of the table's rows, a different quarter each."""
    rng = np.random.default_rng(0)
    grads = []
    for _ in range(8):
        rows = np.sort(rng.choice(TABLE[0], TABLE[0] // 4, replace=False))
        values = F.randn(len(rows), TABLE[1])
        if F.__name__ == "eagergrad":
            made = F.sparse.RowSparse(F.tensor(rows), values, TABLE)
        else:
            made = F.sparse_coo_tensor(
                F.tensor(rows)[None], values, TABLE, check_invariants=True
            ).coalesce()
        grads.append(made if sparse else made.to_dense())
    return grads


def _steps(F: Any, optimizer: str, sparse: bool = True, **options: Any) -> Function:
    p = F.nn.Parameter(F.randn(*TABLE))
    made = getattr(F.optim, optimizer)([p], **options)
    grads = _some_rows(F, sparse)
    count = 0

    def step() -> None:
        nonlocal count
        p.grad = grads[count % len(grads)]
        count += 1
        made.step()

    return step


def _fused_adam(F: Any) -> Function:
    return _steps(F, "Adam", sparse=False, fused=True)


@row(
    "row-sparse Adam, lazy, a quarter of 10000x256, against dense fused=True",
    2,
    against=_fused_adam,
)
def lazy_adam(F: Any) -> Function:
    return _steps(F, "Adam", lazy=True)


@row("row-sparse SparseAdam, a quarter of 10000x256", 5)
def sparse_adam(F: Any) -> Function:
    return _steps(F, "SparseAdam")


@row("row-sparse Adagrad, a quarter of 10000x256", 3)
def adagrad(F: Any) -> Function:
    lazy = {"lazy": True} if F.__name__ == "eagergrad" else {}
    return _steps(F, "Adagrad", **lazy)


@row("row-sparse SGD, a quarter of 10000x256", 1)
def sgd(F: Any) -> Function:
    lazy = {"lazy": True} if F.__name__ == "eagergrad" else {}
    return _steps(F, "SGD", lr=0.01, **lazy)


@row("row-sparse EmbeddingBag, 128 bags of 50 in 10000x256, fwd+bwd", 1.2)
def embedding_bag(F: Any) -> Function:
    bags = F.nn.EmbeddingBag(*TABLE, mode="sum", sparse=True)
    index = F.randint(0, TABLE[0], (128, 50))

    def step() -> None:
        bags.weight.grad = None
        bags(index).sum().backward()

    return step


EXPERTS, ROWS_IN, WIDE = 16, 4096, 512


def _expert_rows(F: Any) -> list[int]:
    """How many of twice ROWS_IN rows each expert gets."""
    assigned = F.randint(0, EXPERTS, (2 * ROWS_IN,))
    return F.bincount(assigned, minlength=EXPERTS).tolist()  # type: ignore[no-any-return]


def _products_alone(F: Any) -> Function:
    """The products of the gate's two layers and each expert's two, forward and backward, in eagergrad itself."""
    import eagergrad as eg

    width = TABLE[1]
    layers = [(eg.randn(ROWS_IN, width), eg.randn(width, EXPERTS), eg.randn(ROWS_IN, EXPERTS))] * 2
    for n in _expert_rows(eg):
        x, h = eg.randn(n, width), eg.randn(n, WIDE)
        layers += [(x, eg.randn(width, WIDE), h), (h, eg.randn(WIDE, width), x)]

    def step() -> list[Any]:  # all results are kept until the end, as those of a mixture are
        return [(x @ w, g @ w.t(), x.t() @ g) for x, w, g in layers]

    return step


@row(
    "mixture of 16 experts, k=2, fwd+bwd, against its products alone", 0.77, against=_products_alone
)
def mixture(F: Any) -> Function:
    layer = F.nn.MixtureOfExperts(TABLE[1], EXPERTS, WIDE, k=2)
    x = F.randn(ROWS_IN, TABLE[1], requires_grad=True)

    def step() -> None:
        layer.zero_grad()
        x.grad = None
        y, loss = layer(x)
        (y.sum() + loss).backward()

    return step
