"""Rows about tensors, the tape and the CPU kernels. F is `eagergrad` or `torch`."""

from __future__ import annotations

import ctypes
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np

from .harness import Function, row

# ---- small recorded operations


def _leaf(F: Any, *shape: int) -> Any:
    return F.randn(*shape, requires_grad=True)


@row("a + b, 32x64", 5, 8, small=40)
def small_add(F: Any) -> Function:
    a, b = _leaf(F, 32, 64), _leaf(F, 32, 64)
    return lambda: a + b


@row("a * 2, 32x64", 5, 8, small=40)
def small_scale(F: Any) -> Function:
    a = _leaf(F, 32, 64)
    return lambda: a * 2


@row("a.tanh(), 32x64", 5, 8, small=40)
def small_tanh(F: Any) -> Function:
    a = _leaf(F, 32, 64)
    return lambda: a.tanh()


@row("a[3:7, ::2], 32x64", 5, 8, small=40)
def small_slice(F: Any) -> Function:
    a = _leaf(F, 32, 64)
    return lambda: a[3:7, ::2]


@row("a.sum(1), 32x64", 5, 8, small=40)
def small_sum(F: Any) -> Function:
    a = _leaf(F, 32, 64)
    return lambda: a.sum(1)


@row("10 x (matmul 32x64x64, tanh, add), fwd+bwd", 3, 4, small=3)
def chain(F: Any) -> Function:
    x, b = F.randn(32, 64), _leaf(F, 64)
    w = (F.randn(64, 64) / 8).requires_grad_()

    def step() -> None:
        w.grad = b.grad = None
        h = x
        for _ in range(10):
            h = F.tanh(h @ w) + b
        h.sum().backward()

    return step


# ---- recurrent loops, written with tensor operators


@row("tanh RNN by hand, B1 H32, 100 steps, fwd+bwd", 4, 6, small=3)
def rnn_by_hand(F: Any) -> Function:
    hidden = 32
    xs = F.randn(100, 1, hidden)
    parameters = [(F.randn(hidden, hidden) / 6).requires_grad_() for _ in range(2)]
    w, u = parameters
    b = F.zeros(hidden, requires_grad=True)

    def step() -> None:
        w.grad = u.grad = b.grad = None
        h = F.zeros(1, hidden)
        for x in xs:
            h = F.tanh(x @ w + h @ u + b)
        h.sum().backward()

    return step


@row("LSTM by hand, B32 H128 I64 T50, fwd+bwd", 2.2, 3)
def lstm_by_hand(F: Any) -> Function:
    batch, hidden, inputs, steps = 32, 128, 64, 50
    xs = F.randn(steps, batch, inputs)
    w = (F.randn(inputs, 4 * hidden) / 8).requires_grad_()
    u = (F.randn(hidden, 4 * hidden) / 11).requires_grad_()
    b = F.zeros(4 * hidden, requires_grad=True)

    def step() -> None:
        w.grad = u.grad = b.grad = None
        h, c = F.zeros(batch, hidden), F.zeros(batch, hidden)
        for x in xs:
            i, f, g, o = (x @ w + h @ u + b).chunk(4, 1)
            c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(g)
            h = F.sigmoid(o) * F.tanh(c)
        h.sum().backward()

    return step


def _lstm_cell_loop(F: Any) -> Function:
    cell, xs = F.nn.LSTMCell(64, 128), F.randn(50, 32, 64)

    def step() -> None:
        cell.zero_grad()
        h, c = F.zeros(32, 128), F.zeros(32, 128)
        for x in xs:
            h, c = cell(x, (h, c))
        h.sum().backward()

    return step


row("loop over LSTMCell, B32 H128 I64 T50, fwd+bwd", 2.7, 3.5)(_lstm_cell_loop)


# ---- large arrays


def _matmul(size: int) -> Any:
    def make(F: Any) -> Function:
        a, b = F.randn(size, size), F.randn(size, size)
        return lambda: a @ b

    return make


def _matmul_on_one_thread(size: int) -> Any:
    def make(F: Any) -> Function:
        a, b = F.randn(size, size), F.randn(size, size)
        threads = F.get_num_threads()

        def product() -> Any:
            F.set_num_threads(1)
            c = a @ b
            F.set_num_threads(threads)
            return c

        return product

    return make


def _gemm(size: int) -> Any:
    """cblas_sgemm of OpenBLAS, on one thread, with its kernels for AVX-512 where the processor has it."""

    def make(F: Any) -> Function:
        if "avx512f" in Path("/proc/cpuinfo").read_text():
            os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
        import scipy_openblas32  # loads the library, so only now

        folder = Path(scipy_openblas32.get_lib_dir())
        library = ctypes.CDLL(str(next(folder.glob("libscipy_openblas*"))))
        library.scipy_openblas_set_num_threads(1)
        a, b, c = (np.random.default_rng(i).random((size, size), dtype="f4") for i in range(3))
        row_major, no_transpose, n = 101, 111, ctypes.c_int(size)
        one, zero = ctypes.c_float(1), ctypes.c_float(0)
        pa, pb, pc = (ctypes.c_void_p(x.ctypes.data) for x in (a, b, c))
        flags = row_major, no_transpose, no_transpose
        call = library.scipy_cblas_sgemm
        kept = a, b, c
        return lambda: call(*flags, n, n, n, one, pa, n, pb, n, zero, pc, n) and kept

    return make


for _size in (256, 512, 1024, 2048):
    row(f"matmul {_size}", 1.0, 1.9)(_matmul(_size))
for _size in (256, 1024):
    _ours = _matmul_on_one_thread(_size)
    row(f"matmul {_size}, one thread, against OpenBLAS", 0.95, against=_gemm(_size))(_ours)


@row("tanh, 2048x2048", 1.5, 3)
def large_tanh(F: Any) -> Function:
    a = F.randn(2048, 2048)
    return lambda: a.tanh()


@row("exp, 2048x2048", 1.5, 3)
def large_exp(F: Any) -> Function:
    a = F.randn(2048, 2048)
    return lambda: a.exp()


@row("GELU, 2048x2048", 1.5, 3)
def large_gelu(F: Any) -> Function:
    a, gelu = F.randn(2048, 2048), F.nn.functional.gelu
    return lambda: gelu(a)


@row("copy of a transpose, 2048x2048", 1.5, 3)
def transposed_copy(F: Any) -> Function:
    a = F.randn(2048, 2048).t()
    return lambda: a.contiguous()


@row("a + b, 4096x4096", 1.5, 3)
def huge_add(F: Any) -> Function:
    a, b = F.randn(4096, 4096), F.randn(4096, 4096)
    return lambda: a + b


@row("a + b, 2048x2048", 1.0, 1.3)
def large_add(F: Any) -> Function:
    a, b = F.randn(2048, 2048), F.randn(2048, 2048)
    return lambda: a + b


@row("sum, 2048x2048", 1.0, 1.3)
def large_sum(F: Any) -> Function:
    a = F.randn(2048, 2048)
    return lambda: a.sum()


@row("sum(0), 2048x2048", 1.0, 1.3)
def large_sum_rows(F: Any) -> Function:
    a = F.randn(2048, 2048)
    return lambda: a.sum(0)


@row("a + row, 2048x2048", 1.0, 1.3)
def broadcast_add(F: Any) -> Function:
    a, b = F.randn(2048, 2048), F.randn(2048)
    return lambda: a + b


@row("softmax(1), 2048x2048", 1.0, 1.3)
def large_softmax(F: Any) -> Function:
    a = F.randn(2048, 2048)
    return lambda: a.softmax(1)


@row("gather rows: a[i], 20000 of 50000x64", 1.2, 2)
def gather_rows(F: Any) -> Function:
    a, i = F.randn(50000, 64), F.randint(0, 50000, (20000,))
    return lambda: a[i]


@row("scatter-add rows: index_add, 20000 into 50000x64", 1.2, 2)
def scatter_rows(F: Any) -> Function:
    a, i, b = F.zeros(50000, 64), F.randint(0, 50000, (20000,)), F.randn(20000, 64)
    return lambda: a.index_add_(0, i, b)


@row("topk(10), 256x10000", 1.2, 2)
def topk(F: Any) -> Function:
    a = F.randn(256, 10000)
    return lambda: a.topk(10)


@row("sort, 256x10000", 1.2, 2)
def sort(F: Any) -> Function:
    a = F.randn(256, 10000)
    return lambda: a.sort()


# ---- whole steps


def _training_step(F: Any, sizes: list[int], batch: int, optimizer_of: Any) -> Function:
    nn = F.nn
    layers = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    optimizer = optimizer_of(model.parameters())
    x, y = F.randn(batch, sizes[0]), F.randint(0, sizes[-1], (batch,))
    cross_entropy = nn.functional.cross_entropy

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


@row("MLP 784-512-512-10, batch 128, SGD momentum, whole step", 1.5, 1.8)
def mlp_sgd(F: Any) -> Function:
    def sgd(parameters: Any) -> Any:
        return F.optim.SGD(parameters, lr=1e-3, momentum=0.9)

    return _training_step(F, [784, 512, 512, 10], 128, sgd)


@row("MLP 64-64-10, batch 32, Adam, whole step", 4, 6, small=3)
def mlp_adam(F: Any) -> Function:
    return _training_step(F, [64, 64, 10], 32, lambda p: F.optim.Adam(p, lr=1e-4))
