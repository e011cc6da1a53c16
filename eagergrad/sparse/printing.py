"""Text of sparse tensors, as PyTorch writes it."""

from __future__ import annotations

import textwrap
from typing import Any

import eagergrad as eg


def _part(name: str, t: Any) -> str:
    head = f"{name}="
    return head + textwrap.indent(repr(t.cpu()), " " * (len(head) + 7)).lstrip()


def sparse_repr(x: Any) -> str:
    """``tensor(crow_indices=..., col_indices=..., values=..., size=(2, 2), nnz=2, layout=...)``"""
    if x.is_sparse:
        parts = [("indices", x._idx)]
    elif x.layout == eg.sparse_csr:
        parts = [("crow_indices", x._pattern.ptr), ("col_indices", x._pattern.idx)]
    else:
        parts = [("ccol_indices", x._pattern.ptr), ("row_indices", x._pattern.idx)]
    plain = x._vals.detach()
    lines = [_part(name, t) for name, t in [*parts, ("values", plain)]]
    tail = [] if plain.is_cpu else [f"device='{plain.device}'"]
    tail += [f"size={tuple(x.shape)}", f"nnz={x._nnz()}"]
    if plain.dtype not in (eg.get_default_dtype(), eg.int64, eg.bool) and plain.numel() == 0:
        tail.append(f"dtype={plain.dtype}")
    if x.grad_fn is not None:
        tail.append(f"grad_fn=<{x.grad_fn.name()}>")
    elif x.requires_grad:
        tail.append("requires_grad=True")
    tail.append(f"layout={x.layout}")
    return "tensor(" + ",\n       ".join([*lines, ", ".join(tail)]) + ")"
