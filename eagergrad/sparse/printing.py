"""Text of sparse tensors, as PyTorch writes it."""

from __future__ import annotations

import textwrap
from typing import Any

import eagergrad as eg
from eagergrad.tensor.printing import get_printoptions, set_printoptions

_INDENT = 7  # of "tensor("


def _part(name: str, t: Any) -> str:
    head = f"{name}="
    inside = _INDENT + len(head)
    width = get_printoptions()["linewidth"]
    set_printoptions(linewidth=max(width - inside, 1))
    try:
        text = str(t.cpu())
    finally:
        set_printoptions(linewidth=width)
    text = text[:-1].removesuffix(f", dtype={t.dtype}")  # the dtype is said once
    if t.numel() == 0 and "size=" not in text:
        text += f", size={tuple(t.shape)}"
    return head + textwrap.indent(text, " " * inside).lstrip() + ")"


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
    if plain.dtype not in (eg.get_default_dtype(), eg.int64, eg.bool):
        tail.append(f"dtype={plain.dtype}")
    tail.append(f"layout={x.layout}")
    if x.grad_fn is not None:
        tail.append(f"grad_fn=<{x.grad_fn.name()}>")
    elif x.requires_grad:
        tail.append("requires_grad=True")
    if x.is_sparse:
        lines.append(tail.pop(0))
    # The rest goes on where PyTorch breaks it.
    width = get_printoptions()["linewidth"]
    for part in tail:
        start = 0 if "\n" in lines[-1] else _INDENT
        if start + len(lines[-1].rpartition("\n")[2]) + len(part) + 2 > width:
            lines.append(part)
        else:
            lines[-1] += f", {part}"
    return "tensor(" + ",\n       ".join(lines) + ")"
