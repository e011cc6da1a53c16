"""Rows about sparse matrices: a bag of words, rows, and a matrix that is far larger than the caches.

Rows "against SciPy" have SciPy in the column of PyTorch. `python -m benchmarks.rows_sparse` multiplies a matrix of 1 M x 100 k
with 50 M entries by a vector, and compares with reading its arrays.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np

from .harness import Function, alternate, row

BATCH, WORDS, UNITS, WORDS_OF_A_TEXT = 128, 10000, 256, 50


def _arrays(rows: int, cols: int, each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """CSR arrays with `each` entries in every row."""
    rng = np.random.default_rng(0)
    idx = np.sort(rng.integers(0, cols // each, (rows, each), np.int32), 1)
    idx = (idx + np.arange(each, dtype=np.int32) * (cols // each)).astype(np.int32)
    values = rng.standard_normal(rows * each, np.float32)
    return np.arange(0, rows * each + 1, each, dtype=np.int32), idx.reshape(-1), values


def _scipy(rows: int = BATCH, cols: int = WORDS, each: int = WORDS_OF_A_TEXT) -> Any:
    import scipy.sparse

    ptr, idx, values = _arrays(rows, cols, each)
    return scipy.sparse.csr_array((values, idx, ptr), (rows, cols), copy=False)


def _matrix(F: Any, rows: int = BATCH, cols: int = WORDS, each: int = WORDS_OF_A_TEXT) -> Any:
    parts = [F.from_numpy(a) for a in _arrays(rows, cols, each)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls CSR a beta
        return F.sparse_csr_tensor(*parts, (rows, cols))


def _weight() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((WORDS, UNITS), np.float32)


@row("bag of words 128x10000 (0.5 %) @ 10000x256", 1.0, 2)
def forward(F: Any) -> Function:
    x, w = _matrix(F), F.from_numpy(_weight())
    return lambda: x @ w


def _scipy_forward(F: Any) -> Function:
    x, w = _scipy(), _weight()
    return lambda: x @ w


row("bag of words 128x10000 (0.5 %) @ 10000x256, against SciPy", 1.0, 2, against=_scipy_forward)(
    forward
)


@row("bag of words, dense gradient, fwd+bwd", 3, 5)
def dense_gradient(F: Any) -> Function:
    x, w = _matrix(F), F.from_numpy(_weight()).requires_grad_()
    g = F.ones(BATCH, UNITS)

    def step() -> None:
        w.grad = None
        (x @ w).backward(g)

    return step


def row_sparse(F: Any) -> Function:
    x, w = _matrix(F), F.from_numpy(_weight()).requires_grad_()
    g = F.ones(BATCH, UNITS)

    def step() -> None:
        w.grad = None
        F.sparse.mm(x, w, sparse_grad=True).backward(g)

    return step


def _scipy_both(F: Any) -> Function:
    x, w, g = _scipy(), _weight(), np.ones((BATCH, UNITS), np.float32)
    return lambda: (x @ w, x.T @ g)


row(
    "bag of words, row-sparse gradient, fwd+bwd, against torch's CSR", 6, 8, against=dense_gradient
)(row_sparse)
row("bag of words, row-sparse gradient, fwd+bwd, against SciPy's two products", 1.3, 2,
    against=_scipy_both)(row_sparse)  # fmt: skip


@row("nn.Linear(10000, 256) of a bag of words, fwd+bwd", 1.5, 3)
def linear(F: Any) -> Function:
    x, layer = _matrix(F), F.nn.Linear(WORDS, UNITS)

    def step() -> None:
        layer.zero_grad()
        y = layer(x) if F.__name__ == "eagergrad" else x @ layer.weight.t() + layer.bias
        y.sum().backward()

    return step


@row(
    "128 rows of 20000 x 10000 CSR by number, against SciPy",
    1.0,
    2,
    against=lambda F: _scipy_rows(F),
)
def rows(F: Any) -> Function:
    x, chosen = _matrix(F, 20000), F.randperm(20000)[:BATCH]
    return lambda: x[chosen]


def _scipy_rows(F: Any) -> Function:
    x, chosen = _scipy(20000), np.random.default_rng(0).permutation(20000)[:BATCH]
    return lambda: x[chosen]


@row(
    "CSR 2000x2000 @ CSR, 20 entries a row, against SciPy", 1.0, against=lambda F: _scipy_square(F)
)
def square(F: Any) -> Function:
    x = _matrix(F, 2000, 2000, 20)
    return lambda: x @ x


def _scipy_square(F: Any) -> Function:
    x = _scipy(2000, 2000, 20)
    return lambda: x @ x


def _times_vector(F: Any, rows: int, cols: int, each: int) -> Function:
    x, v = _matrix(F, rows, cols, each), F.randn(cols)
    return lambda: x @ v


def _reading(F: Any, rows: int, each: int) -> Function:
    """Reads as many bytes as the product has to: indices and values. Made in the same way, so that memory compares."""
    _, _, values = _arrays(rows, 100_000, each)
    parts = [F.from_numpy(values), F.ones(rows * each)]
    return lambda: [p.sum() for p in parts]


row("CSR 100k x 100k, 5 M entries, @ vector, against reading its arrays", 0.7, 0.9,
    against=lambda F: _reading(F, 100_000, 50))(
    lambda F: _times_vector(F, 100_000, 100_000, 50)
)  # fmt: skip


def main() -> None:
    import eagergrad as eg

    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows_sparse", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    eg.set_num_threads(options.threads)
    product = _times_vector(eg, options.rows, 100_000, 50)
    best = alternate([product, _reading(eg, options.rows, 50)], 3.0)
    size = options.rows * 50 * 8
    print(
        f"{options.rows} x 100000, {options.rows * 50} entries, {options.threads} threads: product "
        f"{size / best[0] / 1e9:.1f} GB/s, reading {size / best[1] / 1e9:.1f} GB/s, {best[1] / best[0]:.0%}"
    )


if __name__ == "__main__":
    main()
