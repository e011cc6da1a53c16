"""The sample table: one row per op, gathered from the families' files."""

from __future__ import annotations

import importlib

from table import Row

FAMILIES = ("elementwise", "reduce", "shape", "index", "matmul", "nn", "random", "sparse")
ROWS: list[Row] = [
    row for family in FAMILIES for row in importlib.import_module(f"samples_{family}").ROWS
]

# Ops registered under a name of their own that a public function's row exercises.
SPOKEN_FOR = {
    "adaptive_avg_pool": "nn.functional.adaptive_avg_pool2d",
    "adaptive_max_pool": "nn.functional.adaptive_max_pool2d",
    "cholesky_solve": "linalg.cholesky",
    "col2im": "nn.functional.fold",
    "convolution": "nn.functional.conv2d",
    "cube": "pow",
    "div_trunc": "div",
    "exponent": "frexp",
    "is_same_size": "equal",
    "mantissa": "frexp",
    "promote_types": "add",
    "result_type": "add",
    "round_scaled": "round",
    "feature_dropout": "nn.functional.dropout2d",
    "gated": "nn.functional.glu",
    "gelu_erf": "nn.functional.gelu",
    "gelu_tanh": "nn.functional.gelu",
    "normal_cdf": "nn.functional.gelu",
    "grid_sampler": "nn.functional.grid_sample",
    "im2col": "nn.functional.unfold",
    "huber": "nn.functional.huber_loss",
    "inverse_root": "pow",
    "inverse_square": "pow",
    "linalg_cholesky_ex": "linalg.cholesky",
    "linalg_inv_ex": "linalg.inv",
    "linalg_lu_factor_ex": "linalg.solve",
    "linalg_multi_dot": "linalg.multi_dot",
    "linalg_qr": "linalg.inv",
    "linalg_solve_ex": "linalg.solve",
    "linalg_solve_triangular": "linalg.solve_triangular",
    "log1pexp": "nn.functional.softplus",
    "log_sigmoid": "nn.functional.logsigmoid",
    "logit_eps": "logit",
    "max_pool1d_with_indices": "nn.functional.max_pool1d",
    "max_pool2d_with_indices": "nn.functional.max_pool2d",
    "max_pool3d_with_indices": "nn.functional.max_pool3d",
    "max_unpool": "nn.functional.max_unpool2d",
    "pad_mode": "nn.functional.pad",
    "upsample": "nn.functional.interpolate",
}


def covered_names() -> set[str]:
    """Every op name that a row speaks for, in the spellings of functions and methods."""
    rows = {row.name for row in ROWS}
    names = {name for name, row in SPOKEN_FOR.items() if row in rows}
    for row in ROWS:
        for name in (row.name, row.method or row.name, *row.aliases):
            names |= {name, name.rsplit(".", 1)[-1].rstrip("_")}
    return names
