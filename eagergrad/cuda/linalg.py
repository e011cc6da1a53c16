"""Factorizations on the GPU: cuSOLVER and cuBLAS, by the functions of `cupy.linalg`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

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


def _solve(xp: Any, A: Any, B: Any) -> Any:
    A, B = of_one_batch(A, B)
    return xp.linalg.solve(xp.array(A.contiguous()), xp.array(B.contiguous()))


def _solve_triangular(xp: Any, A: Any, B: Any, upper: bool, unitriangular: bool) -> Any:
    """As any matrix."""
    T = (A.triu if upper else A.tril)(int(upper) - int(not upper) if unitriangular else 0)
    return _solve(xp, T + eye_like(A, A.shape[-1]) if unitriangular else T, B)


def _named(name: str) -> Callable[..., Any]:
    def call(xp: Any, *inputs: Any, **options: Any) -> Any:
        return getattr(xp.linalg, name)(*(xp.array(x.contiguous()) for x in inputs), **options)

    return call


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


_WITH_INFO = {f"linalg_{name}_ex": _named(name) for name in ("inv", "cholesky")}
_WITH_INFO |= {"linalg_solve_ex": _solve}
_STRICT = {name: _named(name) for name in ("eigh", "eigvalsh", "svd")} | _WITH_INFO
_STRICT |= {"svdvals": _svdvals, "real_eig": _real_eig, "qr": _qr, "_geqrf": _geqrf}
_SILENT = {"slogdet": _named("slogdet"), "linalg_solve_triangular": _solve_triangular}
# Which of the results are matrices; else the first.
_MATRICES = {"qr": (0, 1), "svd": (0, 2), "eigh": (1,), "real_eig": (1,)}
_MATRICES |= dict.fromkeys(("slogdet", "eigvalsh", "svdvals"), ())


def factorized(name: str, *inputs: Any, **options: Any) -> Any:
    """What linalg._host.function(name) returns, of tensors on a GPU; None if it is not computed there.

    Infinities, as LAPACK's, where a triangle is singular. LinAlgError as NumPy's where an info would not be 0.
    """
    function = _STRICT.get(name) or _SILENT.get(name)
    xp = arrays() if function and all(x.numel() for x in inputs) else None
    if xp is None or function is None or (name == "real_eig" and not xp.has_eig()):
        return None
    device = inputs[0].device
    inputs = tuple(x.detach() for x in inputs)
    with xp.on(device), xp.strict() if name in _STRICT else contextlib.nullcontext():
        result = function(xp, *inputs, **options)
    several = isinstance(result, tuple)
    made = [xp.tensor(a, device) for a in (result if several else (result,))]
    if function is _solve_triangular and not options["unitriangular"]:
        made[0].masked_fill_((inputs[0].diagonal(0, -2, -1) == 0).any(), float("inf"))
    for i in _MATRICES.get(name, (0,)):
        made[i] = by_columns(made[i])
    if name in _WITH_INFO:
        batch = tuple(made[0].shape[:-2])
        return made[0], _C.op_table["zeros"](batch, dtype=int32, device=device)
    return tuple(made) if several else made[0]
