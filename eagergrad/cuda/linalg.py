"""Factorizations on the GPU: cuSOLVER and cuBLAS, by the functions of `cupy.linalg`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.cuda import _runtime
from eagergrad.linalg._factors import by_columns, eye_like
from eagergrad.linalg._host import of_one_batch, refuse_complex
from eagergrad.tensor.dtype import int32


class CupyArrays:
    """What computes them, over the tensors' own memory. The tests put NumPy in its place."""

    def __init__(self) -> None:
        self.linalg = _runtime.import_cupy().linalg

    def array(self, t: Any) -> Any:
        from eagergrad.cuda.interop import to_cupy

        return to_cupy(t)

    def tensor(self, array: Any, device: Any) -> Any:
        from eagergrad.cuda.interop import from_cuda_array

        return from_cuda_array(array)

    def has_eig(self) -> bool:
        """From CUDA 12.6 and CuPy 14 on."""
        from cupyx import cusolver

        return hasattr(self.linalg, "eig") and cusolver.check_availability("geev")

    def on(self, device: Any) -> Any:
        """A context in which CuPy computes on that GPU, where the arrays are."""
        return _runtime.import_cupy().cuda.Device(device.index)

    def strict(self) -> Any:
        """A context in which a matrix that cannot be factorized is an error: LinAlgError."""
        import cupyx

        return cupyx.errstate(linalg="raise")


def arrays() -> Any:
    """CupyArrays; None where there is no CuPy that could compute."""
    return None if _runtime.emulated else CupyArrays()


def _solve_triangular(xp: Any, A: Any, B: Any, upper: bool, unitriangular: bool) -> Any:
    """As any matrix."""
    T = (A.triu if upper else A.tril)(int(upper) - int(not upper) if unitriangular else 0)
    return _named("solve")(xp, T + eye_like(A, A.shape[-1]) if unitriangular else T, B)


def _named(name: str) -> Callable[..., Any]:
    """CuPy's function of that name, of inputs expanded to one batch."""

    def call(xp: Any, *inputs: Any, **options: Any) -> Any:
        if len(inputs) == 2:
            inputs = of_one_batch(*inputs)
        return getattr(xp.linalg, name)(*(xp.array(x.contiguous()) for x in inputs), **options)

    return call


def _det(xp: Any, A: Any) -> Any:
    """By the logarithm, in float64: its digits are the determinant's."""
    sign, logarithm = _named("slogdet")(xp, A.double())
    return (sign * np.exp(logarithm)).astype(A.dtype._numpy)


def _real_eig(xp: Any, A: Any, vectors: bool = True) -> Any:
    values, V = xp.linalg.eig(xp.array(A.contiguous()))
    refuse_complex(values.dtype.kind == "c" and bool(values.imag.any()))
    return values.real, V.real


def _svdvals(xp: Any, A: Any) -> Any:
    return xp.linalg.svd(xp.array(A.contiguous()), compute_uv=False)


def _qr(xp: Any, A: Any, mode: str) -> Any:
    made = xp.linalg.qr(xp.array(A.contiguous()), mode=mode)
    return (made[..., :0, :0], made) if mode == "r" else made


def _geqrf(xp: Any, A: Any) -> Any:
    packed, tau = xp.linalg.qr(xp.array(A.contiguous()), mode="raw")
    return packed.swapaxes(-1, -2), tau


# What is not CuPy's function of the op's name; None where CuPy's is another.
_OWN: dict[str, Callable[..., Any] | None] = {
    "det": _det,
    "solve_triangular": _solve_triangular,
    "svdvals": _svdvals,
    "real_eig": _real_eig,
    "qr": _qr,
    "_geqrf": _geqrf,
    "lstsq": None,
}
_SILENT = ("det", "slogdet", "solve_triangular")  # singular matrices have results
# Which of the results are matrices; else the first.
_MATRICES = {"qr": (0, 1), "svd": (0, 2), "eigh": (1,), "real_eig": (1,)}
_MATRICES |= dict.fromkeys(("det", "slogdet", "eigvalsh", "svdvals"), ())


def _function(xp: Any, name: str) -> Callable[..., Any] | None:
    """What computes it; None if the host does."""
    if name in _OWN:
        return _OWN[name] if name != "real_eig" or xp.has_eig() else None
    return _named(name) if hasattr(xp.linalg, name) else None


def factorized(op: str, *inputs: Any, **options: Any) -> Any:
    """What linalg._host.function(op) returns, of tensors on a GPU; None if it is not computed there.

    An op linalg_<name>_ex is CuPy's function <name> and an info of zeros: there is no entry for it here. LinAlgError as NumPy's where an
    info would not be 0. Infinities, as LAPACK's, where a triangle is singular.
    """
    name = op.removeprefix("linalg_").removesuffix("_ex")
    xp = arrays() if all(x.numel() for x in inputs) else None
    function = None if xp is None else _function(xp, name)
    if function is None:
        return None
    device = inputs[0].device
    inputs = tuple(x.detach() for x in inputs)
    with xp.on(device), contextlib.nullcontext() if name in _SILENT else xp.strict():
        result = function(xp, *inputs, **options)
    several = isinstance(result, tuple)
    made = [xp.tensor(a, device) for a in (result if several else (result,))]
    if name == "solve_triangular" and not options["unitriangular"]:
        made[0].masked_fill_((inputs[0].diagonal(0, -2, -1) == 0).any(), float("inf"))
    for i in _MATRICES.get(name, (0,)):
        made[i] = by_columns(made[i])
    if op.endswith("_ex"):
        batch = tuple(made[0].shape[:-2])
        return made[0], _C.op_table["zeros"](batch, dtype=int32, device=device)
    return tuple(made) if several else made[0]
