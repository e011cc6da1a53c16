"""Matrix products with sparse operands, and what is made of them."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops
from eagergrad.sparse.construct import as_sparse
from eagergrad.sparse.pattern import Form, Pattern
from eagergrad.sparse.tensor import SparseTensor


def _times(form: Form, dense: Tensor, sparse_grad: bool = False) -> Tensor:
    """The matrix times a dense one."""
    form = form.upright() if sparse_grad else form
    p = form.pattern
    again = form.turned or (dense.requires_grad and eg.is_grad_enabled())
    kept = p.kept() if again else []
    return _ops._sparse_mm(
        form.values, p.ptr, p.idx, p.rows, p.cols, form.turned, dense, kept, sparse_grad
    )


def _sparse_times_sparse(a: Form, b: Form) -> Form:
    if a.turned and b.turned:
        return _sparse_times_sparse(b.t(), a.t()).t()
    a, b = a.upright(), b.upright()
    p, q = a.pattern, b.pattern
    if p.ptr.dtype is not q.ptr.dtype:
        p, q = p.as_int64(), q.as_int64()
    ptr, idx, values = _ops._sparse_matmul(
        a.values, p.ptr, p.idx, p.rows, p.cols, b.values, q.ptr, q.idx, q.cols
    )
    return Form(values, Pattern(ptr, idx, p.rows, q.cols), False)


def _mismatch(op: str, a: Any, b: Any) -> RuntimeError:
    return RuntimeError(
        f"[{op}] mat1 and mat2 shapes cannot be multiplied: {tuple(a.shape)} and {tuple(b.shape)}"
    )


def _operands(op: str, a: Any, b: Any) -> tuple[Any, Any]:
    a, b = as_sparse(a), as_sparse(b)
    for x in (a, b):
        if not isinstance(x, Tensor):
            raise TypeError(f"[{op}] expected tensors, got {type(x).__name__}")
    return a, b


def matmul(input: Any, other: Any, *, sparse_grad: bool = False) -> Any:
    """The product of a sparse matrix with a dense or sparse one, on either side; sparse only if both are.

    The dense operand may have one dimension (a vector) or more than two (batches, each multiplied). Recorded to any
    order; the gradient of a sparse operand has its pattern. With ``sparse_grad`` the gradient of a dense leaf on the right
    is a `RowSparse` of the rows that the sparse operand has columns for.
    """
    a, b = _operands("matmul", input, other)
    if isinstance(a, SparseTensor) and isinstance(b, SparseTensor):
        return _both_sparse(a, b)
    if isinstance(a, SparseTensor):
        if sparse_grad and b.dim() == 2:
            if b.shape[0] != a.shape[-1]:
                raise _mismatch("matmul", a, b)
            return _times(a._form(), b, True)
        return _sparse_first(a, b)
    return _sparse_second(a, b)


def _both_sparse(a: SparseTensor, b: SparseTensor) -> Any:
    if a.ndim == 1:
        return matmul(a.unsqueeze(0), b).select(0, 0) if b.ndim == 2 else (a * b).sum()
    if b.ndim == 1:
        return matmul(a, b.unsqueeze(1)).select(1, 0)
    if a.shape[-1] != b.shape[0]:
        raise _mismatch("matmul", a, b)
    layout = a.layout if a.layout == b.layout else eg.sparse_csr
    return SparseTensor._of(_sparse_times_sparse(a._form(), b._form()), layout)


def _sparse_first(a: SparseTensor, b: Tensor) -> Tensor:
    if a.ndim == 1:
        return matmul(a.unsqueeze(0), b).select(-2 if b.dim() > 1 else 0, 0)
    inner = b.shape[0 if b.dim() == 1 else -2] if b.dim() else -1
    if inner != a.shape[-1]:
        raise _mismatch("matmul", a, b)
    if b.dim() == 2:
        return _times(a._form(), b)
    if b.dim() == 1:
        return _times(a._form(), b.unsqueeze(1)).squeeze(1)
    side_by_side = b.movedim(-2, 0)
    y = _times(a._form(), side_by_side.reshape(inner, math.prod(side_by_side.shape[1:])))
    return y.reshape(a.shape[0], *side_by_side.shape[1:]).movedim(0, -2)


def _sparse_second(a: Tensor, b: SparseTensor) -> Tensor:
    if b.ndim == 1:
        return matmul(a, b.unsqueeze(1)).select(-1, 0)
    if not a.dim() or a.shape[-1] != b.shape[0]:
        raise _mismatch("matmul", a, b)
    rows = a if a.dim() == 2 else a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
    y = _times(b._form().t(), rows.t()).t()
    return y.reshape(*a.shape[:-1], b.shape[1])


def mm(
    input: Any,
    mat2: Any,
    reduce: str | None = None,
    *,
    sparse_grad: bool = False,
    out: Any = None,
) -> Any:
    """The product of two matrices, at least one of them sparse; see `matmul`.

    >>> import eagergrad as eg
    >>> x = eg.sparse.csr((eg.tensor([2.0]), [1], [0, 1]), (1, 2))
    >>> mm(x, eg.tensor([[1.0], [3.0]]))
    tensor([[6.]])
    """
    a, b = _operands("sparse.mm", input, mat2)
    if not isinstance(a, SparseTensor) and not isinstance(b, SparseTensor):
        return eg.mm(a, b, out=out)
    if a.dim() != 2 or b.dim() != 2:
        raise RuntimeError(
            f"[sparse.mm] expected matrices, got shapes {tuple(a.shape)} and {tuple(b.shape)}"
        )
    if reduce not in (None, "sum"):
        return _reduced(a, b, reduce)
    made = matmul(a, b, sparse_grad=sparse_grad)
    return made if out is None else out.copy_(made)


def _reduced(a: Any, b: Tensor, reduce: str) -> Tensor:
    """Mean, largest or smallest of the products that mm sums; 0 for rows without entries."""
    reduce = {"max": "amax", "min": "amin"}.get(reduce, reduce)
    if reduce not in ("mean", "amax", "amin"):
        raise ValueError(f"[sparse.mm] reduce expected sum, mean, amax or amin, got {reduce!r}")
    if not isinstance(a, SparseTensor) or isinstance(b, SparseTensor):
        raise RuntimeError("[sparse.mm] reduce needs a sparse first and a dense second operand")
    form = a._form().upright()
    lengths = form.pattern.ptr.diff()
    if reduce == "mean":
        return _times(form, b) / lengths.clamp(min=1).unsqueeze(1).to(b.dtype)
    row, col = (c.long() for c in form.coordinates())
    each = form.values.unsqueeze(1) * b.index_select(0, col)
    zeros = eg.zeros((a.shape[0], b.shape[1]), dtype=each.dtype, device=each.device)
    where = row.unsqueeze(1).expand_as(each)
    return zeros.scatter_reduce(0, where, each, reduce, include_self=False)


def mv(input: Any, vec: Tensor) -> Tensor:
    """A sparse matrix times a vector."""
    if input.dim() != 2 or vec.dim() != 1:
        raise RuntimeError(
            f"[mv] expected a matrix and a vector, got shapes {tuple(input.shape)} and {tuple(vec.shape)}"
        )
    return matmul(input, vec)


def bmm(input: Any, mat2: Any) -> Tensor:
    """A sparse matrix times each of a batch; see `matmul`."""
    a, b = _operands("bmm", input, mat2)
    return matmul(a, b)


def structured_dot(x: Any, y: Any) -> Any:
    """`matmul` by Theano's name: the gradient of a sparse operand has its pattern."""
    return matmul(x, y)


def addmm(
    input: Any, mat1: Any = None, mat2: Any = None, *, beta: Any = 1, alpha: Any = 1, **old: Any
) -> Any:
    """beta * input + alpha * (mat1 @ mat2); sparse only if all three are.

    >>> import eagergrad as eg
    >>> x = eg.sparse.csr((eg.tensor([2.0]), [1], [0, 1]), (1, 2))
    >>> addmm(eg.ones(1, 1), x, eg.tensor([[1.0], [3.0]]), beta=10)
    tensor([[16.]])
    """
    mat1, mat2 = old.pop("mat", mat1), old.pop("dense", mat2)
    if old:
        raise TypeError(f"addmm() got an unexpected keyword argument {next(iter(old))!r}")
    product = mm(mat1, mat2)
    product = product if alpha == 1 else product * alpha
    if beta == 0:
        return product
    return (input if beta == 1 else input * beta) + product


def addmv(input: Tensor, mat: Any, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec) with a sparse matrix."""
    return input * beta + mv(mat, vec) * alpha


def sampled_addmm(
    input: SparseTensor,
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Any = None,
) -> SparseTensor:
    """alpha * (mat1 @ mat2) at the entries of ``input`` only, plus beta * input. Recorded to any order.

    >>> import eagergrad as eg
    >>> x = eg.sparse.csr(eg.tensor([[0.0, 1.0], [1.0, 0.0]]))
    >>> sampled_addmm(x, eg.ones(2, 3), eg.ones(3, 2), beta=0).values()
    tensor([3., 3.])
    """
    form = as_sparse(input)._form()
    if (
        mat1.dim() != 2
        or mat2.dim() != 2
        or (mat1.shape[0], mat2.shape[1]) != tuple(input.shape)
        or mat1.shape[1] != mat2.shape[0]
    ):
        raise RuntimeError(
            f"[sampled_addmm] expected factors of a {tuple(input.shape)} matrix, got {tuple(mat1.shape)} and "
            f"{tuple(mat2.shape)}"
        )
    a, b = (mat2.t(), mat1) if form.turned else (mat1, mat2.t())
    p = form.pattern
    values = _ops._sparse_sampled(p.ptr, p.idx, p.rows, p.cols, a, b)
    values = values if alpha == 1 else values * alpha
    if beta != 0:
        values = values + (form.values if beta == 1 else form.values * beta)
    return SparseTensor._of(Form(values, p, form.turned), input.layout)


def linear(input: Any, weight: Any, bias: Tensor | None = None) -> Any:
    """input W^T + b where input or weight is sparse."""
    input, weight = _operands("linear", input, weight)
    if weight.dim() != 2:
        raise RuntimeError(f"[linear] expected a 2-d weight, got shape {tuple(weight.shape)}")
    y = matmul(input, weight.t())
    return y if bias is None else y + bias


def row_gradient(x: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
    """x^T @ grad where it is not zero by its pattern: row numbers, ascending, and the rows.

    The gradient of W in ``x @ W``, at the cost of x's entries and not of W's size.

    >>> import eagergrad as eg
    >>> x = eg.sparse.csr((eg.tensor([2.0, 3.0]), [1, 1], [0, 1, 2]), (2, 9))
    >>> row_gradient(x, eg.ones(2, 1))
    (tensor([1]), tensor([[5.]]))
    """
    form = as_sparse(x)._form().upright()
    p = form.pattern
    return tuple(_ops._sparse_mm_row_grad(form.values, p.ptr, p.idx, p.rows, p.cols, grad))
