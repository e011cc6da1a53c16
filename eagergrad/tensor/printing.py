"""Text of tensors: PyTorch's value layout, the shape first where values are left out.

Only the values that are shown are read: a tensor of a gigabyte costs as much as its edges.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import eagergrad as eg

if TYPE_CHECKING:
    from eagergrad import Tensor

__all__ = ["get_printoptions", "set_printoptions", "tensor_repr", "tensor_str"]


class _Options(NamedTuple):
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}
_options = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed; what is not given stays as it is.

    Args:
        precision: digits after the point.
        threshold: number of elements above which only the edges are shown.
        edgeitems: items shown at each end of a summarised dimension.
        linewidth: characters a line.
        profile: ``"default"``, ``"short"`` or ``"full"``, a starting point for the others.
        sci_mode: True or False to force or forbid the exponent notation; chosen by the values
            when None.

    >>> import eagergrad as eg
    >>> eg.set_printoptions(precision=2)
    >>> eg.tensor([1.12345])
    tensor([1.12])
    >>> eg.set_printoptions(profile="default")
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        raise ValueError(
            f"[set_printoptions] profile expected one of {sorted(_PROFILES)}, got {profile!r}"
        )
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    base = _options if profile is None else _PROFILES[profile]
    changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    _options = base._replace(sci_mode=sci_mode, **changes)


def get_printoptions() -> dict[str, Any]:
    """Return the options in force as a dict that `set_printoptions` takes.

    >>> import eagergrad as eg
    >>> eg.get_printoptions()["precision"]
    4
    """
    return _options._asdict()


# ---- number formats ---------------------------------------------------------------------------


class _NumberFormat:
    """One width and notation for all the shown values of a tensor."""

    def __init__(self, values: list[Any], floating: bool, options: _Options) -> None:
        self.floating = floating
        self.precision = options.precision
        self.sci = False
        self.whole = True
        if floating:
            shown = [v for v in values if math.isfinite(v) and v != 0]
            self.width = self._float_width(shown, options.sci_mode)
        else:
            self.width = max((len(str(v)) for v in values), default=1)

    def _float_width(self, values: list[float], sci: bool | None) -> int:
        if not values:
            return 1
        self.whole = all(v == math.ceil(v) for v in values)
        low, high = min(map(abs, values)), max(map(abs, values))
        wide = high / low > 1000.0 or high > 1e8 or (not self.whole and low < 1e-4)
        self.sci = wide if sci is None else sci
        return max(len(self._text(v)) for v in values)

    def _text(self, value: Any) -> str:
        if not self.floating:
            return str(value)
        if self.sci:
            return f"{value:.{self.precision}e}"
        if not self.whole:
            return f"{value:.{self.precision}f}"
        return f"{value:.0f}" + ("." if math.isfinite(value) else "")

    def __call__(self, value: Any) -> str:
        return self._text(value).rjust(self.width)


# ---- values as nested lists, `...` where they are left out --------------------------------------


def _shown(t: Tensor, summarize: bool, edge: int) -> Any:
    """Nested lists of Python numbers; a summarised dimension has Ellipsis in its middle."""
    if not summarize or t.dim() == 0:
        return t.tolist()
    n = t.shape[0]
    if n <= 2 * edge:
        return t.tolist() if t.dim() == 1 else [_shown(t[i], True, edge) for i in range(n)]
    if t.dim() == 1:
        tail = t[n - edge :].tolist() if edge else []
        return [*t[:edge].tolist(), ..., *tail]
    ends = [*range(edge), *range(n - edge, n)]
    rows = [_shown(t[i], True, edge) for i in ends]
    return [*rows[:edge], ..., *rows[edge:]]


def _flat(nested: Any) -> list[Any]:
    if not isinstance(nested, list):
        return [nested]
    out: list[Any] = []
    for item in nested:
        if isinstance(item, list):
            out.extend(_flat(item))
        elif item is not ...:
            out.append(item)
    return out


def _row_text(row: list[Any], fmt: _NumberFormat, indent: int, options: _Options) -> str:
    per_line = max(1, (options.linewidth - indent) // (fmt.width + 2))
    items = [" ..." if v is ... else fmt(v) for v in row]
    if items == [" ..."]:
        items = ["..."]
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested_text(nested: Any, dim: int, fmt: _NumberFormat, indent: int, options: _Options) -> str:
    if dim == 0:
        return fmt(nested)
    if dim == 1:
        return _row_text(nested, fmt, indent, options)
    items = [
        "..." if item is ... else _nested_text(item, dim - 1, fmt, indent + 1, options)
        for item in nested
    ]
    return "[" + ("," + "\n" * (dim - 1) + " " * (indent + 1)).join(items) + "]"


def _readable(t: Tensor, summarize: bool, edge: int) -> Tensor:
    """What is shown of t, on the CPU: of a summarised dimension the ends and one entry between them."""
    t = t.detach()
    if t.device.type == "cpu":
        return t
    for d, n in enumerate(t.shape):
        if summarize and n > 2 * edge + 1:
            t = eg.cat([t.narrow(d, 0, edge + 1), t.narrow(d, n - edge, edge)], d)
    return t.cpu()


def _values_text(t: Tensor, indent: int, summarize: bool, options: _Options) -> str:
    nested = _shown(_readable(t, summarize, options.edgeitems), summarize, options.edgeitems)
    fmt = _NumberFormat(_flat(nested), t.dtype.is_floating_point, options)
    return _nested_text(nested, t.dim(), fmt, indent, options)


# ---- the whole text -----------------------------------------------------------------------------


def _node_name(fn: Any) -> str:
    name = getattr(fn, "name", None)
    text = name() if callable(name) else type(fn).__name__
    return str(text).rsplit("::", 1)[-1]


def _suffixes(t: Tensor) -> list[str]:
    out = []
    if t.device.type != "cpu":
        out.append(f"device='{t.device}'")
    empty = t.numel() == 0
    if (empty and t.dim() != 1) or (not empty and _options.edgeitems == 0):
        out.append(f"size={tuple(t.shape)}")
    plain = {eg.get_default_dtype()} if empty else {eg.get_default_dtype(), eg.int64, eg.bool}
    if t.dtype not in plain:
        out.append(f"dtype={t.dtype}")
    if t.grad_fn is not None:
        out.append(f"grad_fn=<{_node_name(t.grad_fn)}>")
    elif t.requires_grad:
        out.append("requires_grad=True")
    return out


def _join(text: str, suffixes: list[str], indent: int, linewidth: int) -> str:
    column = len(text) - (text.rfind("\n") + 1)
    # The layout counts the last line as PyTorch's does: two more, with the bracket and comma.
    column += 2
    for suffix in suffixes:
        if column + len(suffix) + 2 > linewidth:
            text += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text + ")"


def _is_plain(kind: type) -> bool:
    """Tensor and Parameter, without importing nn for the sake of a print."""
    parameter = kind.__name__ == "Parameter" and kind.__module__ == "eagergrad.nn.parameter"
    return kind is eg.Tensor or parameter


def _text(t: Tensor, shape_first: bool) -> str:
    options = _options
    prefix = ("tensor" if _is_plain(type(t)) else type(t).__name__) + "("
    indent = len(prefix)
    summarize = t.numel() > options.threshold
    values = "[]" if t.numel() == 0 else _values_text(t, indent, summarize, options)
    if shape_first and summarize:
        prefix += f"shape={tuple(t.shape)},\n" + " " * indent
    return _join(prefix + values, _suffixes(t), indent, options.linewidth)


def tensor_str(t: Tensor) -> str:
    """Return the text that ``print(t)`` shows: PyTorch's layout of values and attributes.

    >>> import eagergrad as eg
    >>> print(eg.tensor([[1.0, 2.5]], requires_grad=True))
    tensor([[1.0000, 2.5000]], requires_grad=True)
    """
    return _text(t, shape_first=False)


def tensor_repr(t: Tensor) -> str:
    """Return what a console and a debugger show: as `tensor_str`, but the shape stands first
    where values are left out, since that text cannot be pasted back anyway.

    >>> import eagergrad as eg
    >>> eg.tensor([1, 2])
    tensor([1, 2])
    >>> eg.zeros(100, 100)
    tensor(shape=(100, 100),
           [[0., 0., 0.,  ..., 0., 0., 0.],
            [0., 0., 0.,  ..., 0., 0., 0.],
            [0., 0., 0.,  ..., 0., 0., 0.],
            ...,
            [0., 0., 0.,  ..., 0., 0., 0.],
            [0., 0., 0.,  ..., 0., 0., 0.],
            [0., 0., 0.,  ..., 0., 0., 0.]])
    """
    return _text(t, shape_first=True)
