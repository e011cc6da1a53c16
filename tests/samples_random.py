"""Rows of the random ops: what is checked for them by name is in tests/test_random.py."""

from __future__ import annotations

from typing import Any

from table import A, C, E, Row, V

SKIPS = {
    "reference": "random: tests/test_random.py",
    "torch": "",
    "layout": "",
    "method": "",
    "inplace": "",
    "out": "",
}


def rnd(name: str, *calls: Any, **kw: Any) -> Row:
    kw.setdefault("method", None)
    kw.setdefault("dtypes", ("float32",))
    return Row(name, None, list(calls), order=0, rtype=None, skips=SKIPS, **kw)


SIZES = [E((RuntimeError, ValueError, TypeError), -1), E(TypeError, "3")]
ROWS = [
    rnd("rand", C(2, 3), C((2,)), errors=SIZES),
    rnd("randn", C(2, 3), C((2,)), errors=SIZES),
    rnd("randint", C(5, (2, 3)), C(2, 5, (3,)), errors=[E(RuntimeError, 3, 3, (2,)),
        E(TypeError, 3)]),
    rnd("randperm", C(5), C(0), errors=[E(RuntimeError, -1)]),
    rnd("rand_like", C(A(2, 3))),
    rnd("randn_like", C(A(2, 3))),
    rnd("randint_like", C(A(2, 3), 5)),
    rnd("normal", C(0.0, 1.0, (3,)), C(A(3), 1.0), C(0.0, A(3, low=0.5, high=1)), C(A(3),
        A(3, low=0.5, high=1)), errors=[E((RuntimeError, ValueError), 0.0, -1.0, (2,))]),
    rnd("bernoulli", C(A(3, low=0, high=1)), method="bernoulli",
        errors=[E(RuntimeError, V([1.5], "float32"))]),
    rnd("multinomial", C(A(4, low=0.1, high=1), 2), C(A(2, 4, low=0.1, high=1), 5, True),
        method="multinomial", errors=[E(RuntimeError, V([0.5, 0.5], "float32"), 3),
        E(RuntimeError, V([-1.0, 1.0], "float32"), 1), E(RuntimeError, V([0.0, 0.0], "float32"), 1)]),
    rnd("poisson", C(A(3, low=0.5, high=5))),
    *(rnd(name, C(A(3), *args), function=False, method=name, errors=errors) for name, args, errors in [
        ("uniform_", (0.0, 2.0), [E(RuntimeError, A(2), 2.0, 1.0)]),
        ("normal_", (1.0, 2.0), [E(RuntimeError, A(2), 0.0, -1.0)]),
        ("exponential_", (1.5,), [E(RuntimeError, A(2), -1.0)]),
        ("bernoulli_", (0.3,), [E(RuntimeError, A(2), 1.5)]),
        ("log_normal_", (), []),
        ("cauchy_", (), []),
        ("geometric_", (0.4,), [E(RuntimeError, A(2), 0.0)]),
        ("random_", (0, 5), [E(RuntimeError, A(2), 5, 5)]),
    ]),
]  # fmt: skip
