"""Points that fill a cube evenly: Sobol sequences, with the directions of SciPy."""

from __future__ import annotations

import warnings
from typing import Any

import eagergrad as eg

__all__ = ["SobolEngine"]


class SobolEngine:
    """The Sobol sequence in the unit cube of `dimension` dimensions, scrambled or not. Needs SciPy.

    Source: Joe and Kuo, "Constructing Sobol sequences with better two-dimensional projections", 2008. Points that are not
    scrambled are PyTorch's; scrambled ones depend on `seed`, or on eagergrad's generator where there is none.

    Raises:
        ImportError: SciPy is not installed.
        ValueError: dimension is not between 1 and 21201.

    >>> SobolEngine(2).draw(3)
    tensor([[0.0000, 0.0000],
            [0.5000, 0.5000],
            [0.7500, 0.2500]])
    """

    MAXBIT = 30
    MAXDIM = 21201

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(
                f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}], got {dimension}"
            )
        self.dimension = dimension
        self.scramble = scramble
        self.seed = seed
        self._scrambled_by = seed
        if scramble and seed is None:
            self._scrambled_by = int(eg.randint(0, 2**31, (), device="cpu"))
        self.reset()

    def reset(self) -> SobolEngine:
        """Go back to the first point; returns self."""
        try:
            from scipy.stats import qmc
        except ImportError:
            raise ImportError(
                "[SobolEngine] the directions of Sobol sequences are SciPy's: pip install eagergrad[sparse]"
            ) from None
        self._engine = qmc.Sobol(
            self.dimension, scramble=self.scramble, bits=self.MAXBIT, seed=self._scrambled_by
        )
        self.num_generated = 0
        return self

    def draw(self, n: int = 1, out: Any = None, dtype: Any = None) -> Any:
        """The next n points, (n, dimension), in `dtype` or the default one."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SciPy's, where n is no power of 2
            points = self._engine.random(n)
        self.num_generated += n
        made = eg.tensor(points, dtype=dtype or eg.get_default_dtype())
        return made if out is None else out.resize_(made.shape).copy_(made)

    def draw_base2(self, m: int, out: Any = None, dtype: Any = None) -> Any:
        """The next 2**m points; ValueError unless all points so far are then a power of 2."""
        n = 2**m
        total = self.num_generated + n
        if total & (total - 1):
            raise ValueError(
                "The balance properties of Sobol' points require n to be a power of 2. "
                f"{self.num_generated} points have been previously generated, then: n={self.num_generated}+2**{m}={total}. "
                "If you still want to do this, please use 'SobolEngine.draw()' instead."
            )
        return self.draw(n, out, dtype)

    def fast_forward(self, n: int) -> SobolEngine:
        """Leave out the next n points; returns self."""
        self._engine.fast_forward(n)
        self.num_generated += n
        return self

    def __repr__(self) -> str:
        parts = [f"dimension={self.dimension}"]
        if self.scramble:
            parts.append("scramble=True")
        if self.seed is not None:
            parts.append(f"seed={self.seed}")
        return f"{type(self).__name__}({', '.join(parts)})"
