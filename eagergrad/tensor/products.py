"""Products of tensors that are compositions of matmul: einsum, tensordot, kron, distances."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from eagergrad import _C
from eagergrad.tensor.autocast import full_precision, full_precision_on_cuda, widest_on_cuda
from eagergrad.tensor.out import asking, with_out

_ops = _C.op_table
_cross = _ops["_cross"]
_dist = _ops["_dist"]
_distances = _ops["_distances"]
_tensordot = _ops["_tensordot"]

__all__ = [
    "cdist",
    "chain_matmul",
    "cross",
    "dist",
    "einsum",
    "pdist",
    "tensordot",
    "vander",
]


# -- einsum ------------------------------------------------------------------------------------------


def _letters(sublist: Sequence[Any]) -> str:
    """The subscript string of a sublist: integers 0..51, Ellipsis."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    out = ""
    for item in sublist:
        if item is Ellipsis:
            out += "..."
        elif 0 <= int(item) < 52:
            out += alphabet[int(item)]
        else:
            raise RuntimeError(f"einsum(): subscript {item} is not within the valid range [0, 52)")
    return out


def _parse(equation: str, shapes: Sequence[Sequence[int]]) -> tuple[list[list[Any]], list[Any]]:
    """Labels of each operand's dimensions and of the result's; ellipsis dimensions are ("...", i) from the right."""
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise RuntimeError(
            f"einsum(): {'more' if len(terms) < len(shapes) else 'fewer'} operands were provided than specified in "
            f"the equation: {len(shapes)} operands, {equation!r}"
        )
    labels = [
        _term_labels(term, len(shape), at)
        for at, (term, shape) in enumerate(zip(terms, shapes, strict=True))
    ]
    dots = max((sum(isinstance(k, tuple) for k in term) for term in labels), default=0)
    ellipsis: list[Any] = [("...", i) for i in range(dots, 0, -1)]
    if arrow:
        if right.count("...") > 1 or right.count(".") not in (0, 3):
            raise RuntimeError(
                "einsum(): found '.' for output but an ellipsis (...) was already found"
            )
        before, found, after = right.partition("...")
        output: list[Any] = [*before, *(ellipsis if found else []), *after]
    else:
        letters = [k for term in labels for k in term if isinstance(k, str)]
        output = ellipsis + sorted(k for k in set(letters) if letters.count(k) == 1)
    known = {k for term in labels for k in term}
    for k in output:
        if isinstance(k, str) and not k.isalpha():
            raise RuntimeError(f"einsum(): invalid subscript given at the output: {k!r}")
        if k not in known and isinstance(k, str):
            raise RuntimeError(
                f"einsum(): output subscript {k} does not appear in the equation for any input operand"
            )
        if output.count(k) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {k} appears more than once in the output"
            )
    return labels, output


def _term_labels(term: str, ndim: int, at: int) -> list[Any]:
    before, found, after = term.partition("...")
    if "." in before or "." in after:
        raise RuntimeError(f"einsum(): found '.' for operand {at} that is not part of any ellipsis")
    for k in before + after:
        if not k.isalpha():
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {term.index(k)} in the equation string: {k!r}"
            )
    dots = ndim - len(before) - len(after)
    if dots < 0 or (dots and not found):
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({len(before + after)}) does not match the number of "
            f"dimensions ({ndim}) for operand {at}"
        )
    return [*before, *(("...", i) for i in range(dots, 0, -1)), *after]


class _Factor:
    """An operand on its way to a product: its dimensions' labels and sizes, and the calls that bring it there."""

    def __init__(self, labels: list[Any], sizes: Sequence[int]) -> None:
        self.labels, self.sizes = labels, list(sizes)
        self.calls: list[tuple[Any, tuple[Any, ...]]] = []

    def size(self) -> dict[Any, int]:
        return dict(zip(self.labels, self.sizes, strict=True))

    def merge_repeated(self) -> None:
        """Repeated labels become one dimension."""
        for k in dict.fromkeys(self.labels):
            while self.labels.count(k) > 1:
                i = self.labels.index(k)
                j = self.labels.index(k, i + 1)
                n, m = self.sizes[i], self.sizes[j]
                if n != m:
                    raise RuntimeError(
                        f"einsum(): subscript {k} is repeated for an operand but the sizes don't match, {n} != {m}"
                    )
                self.calls.append((_ops["diagonal"], (0, i, j)))
                rest = [d for d in range(len(self.labels)) if d not in (i, j)]
                self.labels = [self.labels[d] for d in rest] + [k]
                self.sizes = [self.sizes[d] for d in rest] + [n]

    def sum_out(self, keep: set[Any], widens: bool = False) -> None:
        """Sum over all labels but these, of whole numbers in their own dtype unless it `widens`."""
        gone = [d for d, k in enumerate(self.labels) if k not in keep]
        if gone:
            self.calls.append((_ops["sum"] if widens else _sum_in_dtype, (gone,)))
            self.sizes = [n for n, k in zip(self.sizes, self.labels, strict=True) if k in keep]
            self.labels = [k for k in self.labels if k in keep]

    def permute(self, labels: list[Any]) -> None:
        if labels != self.labels:
            self.calls.append((_ops["permute"], ([self.labels.index(k) for k in labels],)))
            size = self.size()
            self.labels, self.sizes = labels, [size[k] for k in labels]

    def expand(self, size: dict[Any, int]) -> None:
        sizes = [size[k] for k in self.labels]
        if sizes != self.sizes:
            self.calls.append((_ops["expand"], (sizes,)))
            self.sizes = sizes

    def reshape(self, sizes: list[int]) -> None:
        """The labels no longer name the dimensions."""
        if sizes != self.sizes:
            self.calls.append((_ops["reshape"], (sizes,)))


def _sum_in_dtype(x: Any, dims: list[int]) -> Any:
    return x.sum(dims).to(x.dtype)


def _contract(a: _Factor, b: _Factor, keep: set[Any]) -> tuple[Any, _Factor]:
    """One product of two, a matrix product where something is summed; labels not in keep are. The function and its result."""
    a.sum_out(keep | set(b.labels))
    b.sum_out(keep | set(a.labels))
    size = a.size()
    for k, n in b.size().items():
        size[k] = n if size.get(k, 1) == 1 else size[k]
    common = [k for k in a.labels if k in b.labels]
    batch = [k for k in common if k in keep]
    inner = [k for k in common if k not in keep]
    rows = [k for k in a.labels if k not in b.labels]
    columns = [k for k in b.labels if k not in a.labels]
    labels = batch + rows + columns
    result = _Factor(labels, [size[k] for k in labels])

    if not inner:  # no sum: a product by broadcasting
        for x in (a, b):
            have = x.size()
            x.permute([k for k in labels if k in have])
            x.reshape([have.get(k, 1) for k in labels])
        return _ops["mul"], result

    def arrange(x: _Factor, groups: list[list[Any]]) -> None:
        x.permute([k for g in groups for k in g])
        x.expand({**x.size(), **{k: size[k] for k in common}})
        x.reshape([math.prod(size[k] for k in g) for g in groups])

    batches = [batch] if batch else []
    arrange(a, [*batches, rows, inner])
    arrange(b, [*batches, inner, columns])
    made = [math.prod(size[k] for k in g) for g in [*batches, rows, columns]]
    if made != result.sizes:
        result.calls.append((_ops["reshape"], (result.sizes,)))
    return _ops["bmm" if batch else "mm"], result


class _Plan(NamedTuple):
    """What einsum calls: on the first operand; for each further one the calls on the result so far and on the operand, the product
    and the calls on it."""

    first: list[tuple[Any, tuple[Any, ...]]]
    steps: list[tuple[list[Any], Any, list[Any]]]


@functools.lru_cache(maxsize=1024)
def _plan(equation: str, shapes: tuple[tuple[int, ...], ...]) -> _Plan:
    """RuntimeError for equations that do not fit the shapes."""
    labels, output = _parse(equation, shapes)
    sizes: dict[Any, int] = {}
    for at, (term, shape) in enumerate(zip(labels, shapes, strict=True)):
        for k, n in zip(term, shape, strict=True):
            if sizes.setdefault(k, n) != n:
                if sizes[k] != 1 and n != 1:
                    raise RuntimeError(
                        f"einsum(): subscript {k} has size {n} for operand {at} which does not broadcast with previously "
                        f"seen size {sizes[k]}"
                    )
                sizes[k] = n if sizes[k] == 1 else sizes[k]
    factors = [_Factor(term, shape) for term, shape in zip(labels, shapes, strict=True)]
    for x in factors:
        x.merge_repeated()
    result = factors[0]
    first, steps = result.calls, []
    for i, x in enumerate(factors[1:], 1):
        later = {k for f in factors[i + 1 :] for k in f.labels}
        product, made = _contract(result, x, set(output) | later)
        steps.append((x.calls, product, made.calls))
        result = made
    result.sum_out(set(output), widens=len(factors) == 1)
    result.permute(output)
    return _Plan(first, steps)


def _called(x: Any, calls: list[tuple[Any, tuple[Any, ...]]]) -> Any:
    for function, arguments in calls:
        x = function(x, *arguments)
    return x


def einsum(equation: Any, *operands: Any) -> Any:
    """Sums of products by Einstein's notation: ``einsum("bij,bjk->bik", a, b)``; also the sublist format.

    Raises RuntimeError for equations that do not fit the operands. Operands are contracted from left to right.

    >>> import eagergrad as eg
    >>> eg.einsum("i,i->", eg.tensor([1., 2.]), eg.tensor([3., 4.]))
    tensor(11.)
    """
    if not isinstance(equation, str):
        items = [equation, *operands]
        tensors = [x for x in items[::2] if isinstance(x, _C.TensorBase)]
        lists = [_letters(s) for s in items[1 : 2 * len(tensors) : 2]]
        equation = ",".join(lists)
        if len(items) % 2:
            equation += "->" + _letters(items[-1])
        operands = tuple(tensors)
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError("einsum(): must provide at least one operand")
    plan = _plan(equation, tuple([x.shape for x in operands]))
    result = _called(operands[0], plan.first)
    for x, (calls, product, after) in zip(operands[1:], plan.steps, strict=True):
        result = _called(product(result, _called(x, calls)), after)
    return result


# -- products ----------------------------------------------------------------------------------------


@with_out
@widest_on_cuda
def tensordot(a: Any, b: Any, dims: Any = 2, out: Any = None) -> Any:
    """Contracts the last ``dims`` dimensions of a with the first of b, or the two lists of dimensions in ``dims``."""
    if isinstance(dims, _C.TensorBase):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.dim(), b.dim()):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        dims_a, dims_b = list(range(a.dim() - dims, a.dim())), list(range(dims))
    else:
        dims_a, dims_b = ([d] if isinstance(d, int) else list(d) for d in dims)
    return _tensordot(a, b, dims_a, dims_b)


@with_out
def chain_matmul(*matrices: Any, out: Any = None) -> Any:
    """Product of several matrices."""
    result = matrices[0]
    for m in matrices[1:]:
        result = result @ m
    return result


@with_out
@widest_on_cuda
def cross(input: Any, other: Any, dim: int | None = None, *, out: Any = None) -> Any:
    """Cross product of vectors of three along ``dim`` (by default the first dimension of size 3)."""
    return _cross(input, other, dim)


@asking
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Powers of a vector's elements as columns."""
    if x.dim() != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x.shape[0] if N is None else N
    first, end, step = (0, n, 1) if increasing else (n - 1, -1, -1)
    return x.unsqueeze(1) ** _ops["arange"](first, end, step, device=x.device)


# -- distances ---------------------------------------------------------------------------------------


@full_precision_on_cuda
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """p-norm of input - other."""
    return _dist(input, other, float(p))


@full_precision
def cdist(
    x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
) -> Any:
    """Distances of all pairs of rows: (..., P, M) and (..., R, M) give (..., P, R)."""
    if x1.dim() < 2 or x2.dim() < 2:
        raise RuntimeError(
            f"cdist only supports at least 2D tensors, got {x1.dim()}D and {x2.dim()}D"
        )
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    large = x1.shape[-2] > 25 or x2.shape[-2] > 25
    # Short rows are compared faster than they are multiplied, and without cancellation.
    short = x1.shape[-1] <= 32 and x1.device.type == "cpu"
    mm = compute_mode == "use_mm_for_euclid_dist" or (
        large and not short and compute_mode != "donot_use_mm_for_euclid_dist"
    )
    if p == 2 and mm and x1.dtype.is_floating_point:
        # |a|^2 - 2 a b + |b|^2 in one product
        squares = [(x * x).sum(-1, True) for x in (x1, x2)]
        ones = [x.new_ones(x.shape) for x in squares]
        left = _ops["cat"]([-2 * x1, squares[0], ones[0]], -1)
        squared = (left @ _ops["cat"]([x2, ones[1], squares[1]], -1).mT).clamp(min=0)
        if not squared.requires_grad:
            return squared.sqrt()
        # sqrt has no gradient at 0: there it is 0.
        zero = squared == 0
        y = squared.masked_fill(zero, 1.0).sqrt().masked_fill(zero, 0.0)
        return _C.named(y, "CdistBackward0")
    return _distances(x1, x2, float(p), False)


@full_precision_on_cuda
def pdist(input: Any, p: float = 2.0) -> Any:
    """Distances of all pairs of different rows, as one vector."""
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    return _distances(input, input, float(p), True)
