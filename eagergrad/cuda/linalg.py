"""Factorizations on the GPU: cuSOLVER and cuBLAS, by the functions of `cupy.linalg`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from eagergrad import _C
from eagergrad.cuda import _runtime
from eagergrad.linalg._factors import real_eig


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

    def strict(self) -> Any:
        """A context in which a matrix that cannot be factorized is an error: LinAlgError."""
        import cupyx

        return cupyx.errstate(linalg="raise")


def arrays() -> Any:
    """CupyArrays; None where there is no CuPy that could compute."""
    return None if _runtime.emulated else CupyArrays()


def _solve(xp: Any, A: Any, B: Any) -> Any:
    batch = _C.op_table["broadcast_tensors"]([A[..., 0, 0], B[..., 0, 0]])[0].shape
    A, B = (x.expand(*batch, *x.shape[-2:]).contiguous() for x in (A, B))
    return xp.linalg.solve(xp.array(A), xp.array(B))


def _named(name: str) -> Callable[..., Any]:
    def call(xp: Any, *inputs: Any, **options: Any) -> Any:
        return getattr(xp.linalg, name)(*(xp.array(x.contiguous()) for x in inputs), **options)

    return call


def _real_eig(xp: Any, A: Any) -> Any:
    if not bool(A.isfinite().all()):
        raise np.linalg.LinAlgError("Array must not contain infs or NaNs")
    return real_eig(xp.array(A.contiguous()), xp.linalg)


_STRICT = {name: _named(name) for name in ("inv", "cholesky", "qr", "eigh", "svd")}
_STRICT |= {"solve": _solve, "real_eig": _real_eig}
_SILENT = {"slogdet": _named("slogdet"), "solve_triangle": _solve}


def factorized(name: str, *inputs: Any, **options: Any) -> Any:
    """The named function's result, of tensors on a GPU; None if it is not computed there.

    A triangle is solved as any matrix; infinities, as LAPACK's, where it is singular. LinAlgError as NumPy's.
    """
    function = _STRICT.get(name) or _SILENT.get(name)
    xp = arrays() if function and all(x.numel() for x in inputs) else None
    if xp is None or function is None or (name == "real_eig" and not xp.has_eig()):
        return None
    device = inputs[0].device
    inputs = tuple(x.detach() for x in inputs)
    with xp.strict() if name in _STRICT else contextlib.nullcontext():
        result = function(xp, *inputs, **options)
    if isinstance(result, tuple):
        return tuple(xp.tensor(a, device) for a in result)
    made = xp.tensor(result, device)
    if name == "solve_triangle":
        singular = (inputs[0].diagonal(0, -2, -1) == 0).any()
        made = made.masked_fill(singular, float("inf"))
    return made
