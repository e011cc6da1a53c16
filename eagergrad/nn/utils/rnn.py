"""Batches of sequences of different lengths."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import eagergrad as eg
from eagergrad import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """The valid steps of a batch, time by time: `data` (sum of lengths, ...), `batch_sizes` (T,) how many still run.

    `sorted_indices` and `unsorted_indices` (or None) lead to the order by length and back. What
    `pack_padded_sequence` gives and recurrent layers take.

    >>> import eagergrad as eg
    >>> packed = pack_sequence([eg.tensor([1, 2, 3]), eg.tensor([4, 5])])
    >>> packed.data.tolist(), packed.batch_sizes.tolist()
    ([1, 4, 2, 5, 3], [2, 2, 1])
    """

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise ValueError("PackedSequence needs batch_sizes beside data")
            data, batch_sizes = data
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Use pack_padded_sequence or pack_sequence"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """`data.to(...)`; the indices follow the device. Itself if nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        moved = [None if i is None else i.to(data.device) for i in self[2:]]
        return type(self)(data, self.batch_sizes, *moved)

    def pin_memory(self) -> PackedSequence:
        """With `data` in pinned memory."""
        return type(self)(self.data.pin_memory(), *self[1:])

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On the GPU."""
        return self.to("cuda", *args, **kwargs)

    def cpu(self) -> PackedSequence:
        """On the CPU."""
        return self.to("cpu")

    def double(self) -> PackedSequence:
        """As float64."""
        return self.to(eg.float64)

    def float(self) -> PackedSequence:
        """As float32."""
        return self.to(eg.float32)

    def half(self) -> PackedSequence:
        """As float16."""
        return self.to(eg.float16)

    def long(self) -> PackedSequence:
        """As int64."""
        return self.to(eg.int64)

    def int(self) -> PackedSequence:
        """As int32."""
        return self.to(eg.int32)

    def short(self) -> PackedSequence:
        """As int16."""
        return self.to(eg.int16)

    def char(self) -> PackedSequence:
        """As int8."""
        return self.to(eg.int8)

    def byte(self) -> PackedSequence:
        """As uint8."""
        return self.to(eg.uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is in pinned memory."""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes `permutation`; None of None.

    >>> import eagergrad as eg
    >>> invert_permutation(eg.tensor([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    return None if permutation is None else permutation.argsort()


def _running(lengths: Tensor, steps: int) -> Tensor:
    """(T, B) bool: whether sequence b still runs at step t."""
    return eg.arange(steps, device=lengths.device).unsqueeze(1) < lengths.unsqueeze(0)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Drop the padding of (T, B, ...) or, with `batch_first`, (B, T, ...); `lengths` per sequence, on the CPU.

    RuntimeError for lengths that are not positive, do not fit, or (unless `enforce_sorted` is False) rise.

    >>> import eagergrad as eg
    >>> x = eg.tensor([[1, 2, 0], [3, 4, 5]])
    >>> pack_padded_sequence(x, [2, 3], batch_first=True, enforce_sorted=False).data.tolist()
    [3, 1, 4, 2, 5]
    """
    if isinstance(lengths, Tensor):
        if lengths.device.type != "cpu":
            raise RuntimeError("[pack_padded_sequence] lengths should be a 1D CPU int64 tensor")
        if lengths.dim() != 1:
            raise RuntimeError(
                f"[pack_padded_sequence] lengths should be 1D, came {lengths.dim()}D"
            )
        lengths = lengths.tolist()
    counts = [int(n) for n in lengths]
    sorted_indices = None
    if not enforce_sorted:
        order = sorted(range(len(counts)), key=lambda i: -counts[i])
        counts = [counts[i] for i in order]
        sorted_indices = eg.tensor(order, dtype=eg.int64, device=input.device)
    _check_lengths(input, counts, batch_first)
    x = input.transpose(0, 1) if batch_first else input
    if sorted_indices is not None:
        x = x.index_select(1, sorted_indices)
    steps = counts[0]
    running = _running(eg.tensor(counts, dtype=eg.int64, device="cpu"), steps)
    if counts[-1] == steps:  # nothing to drop
        data = x[:steps].reshape(-1, *x.shape[2:])
    else:
        data = x[:steps][running.to(x.device)]
    return PackedSequence(data, running.sum(1), sorted_indices, invert_permutation(sorted_indices))


def _check_lengths(input: Tensor, counts: list[int], batch_first: bool) -> None:
    if input.numel() == 0 or not counts:
        raise RuntimeError("Cannot pack empty tensors.")
    batch, steps = input.shape[0 if batch_first else 1], input.shape[1 if batch_first else 0]
    if len(counts) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} "
            f"(batch_size={batch})"
        )
    if min(counts) <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if any(a < b for a, b in itertools.pairwise(counts)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True; "
            "pass enforce_sorted=False to pack_padded_sequence or pack_sequence"
        )
    if counts[0] > steps:
        raise RuntimeError(
            f"[pack_padded_sequence] the longest length {counts[0]} exceeds the {steps} steps of input"
        )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The inverse of `pack_padded_sequence`: padded (T, B, ...) or (B, T, ...), and the lengths (B,).

    `total_length` pads further; ValueError if it is too short.

    >>> import eagergrad as eg
    >>> packed = pack_sequence([eg.tensor([4, 5]), eg.tensor([1, 2, 3])], enforce_sorted=False)
    >>> padded, lengths = pad_packed_sequence(packed, batch_first=True)
    >>> padded.tolist(), lengths.tolist()
    ([[4, 5, 0], [1, 2, 3]], [2, 3])
    """
    data, batch_sizes, _, unsorted_indices = sequence
    steps = len(batch_sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, "
                f"but got total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    batch = int(batch_sizes[0])
    lengths = (
        batch_sizes.unsqueeze(0) > eg.arange(batch, device=batch_sizes.device).unsqueeze(1)
    ).sum(1)
    running = _running(lengths, steps)
    shape = (steps, batch, *data.shape[1:])
    out = eg.full(shape, padding_value, dtype=data.dtype, device=data.device)
    out = out.index_put((running.to(data.device),), data)
    if batch_first:
        out = out.transpose(0, 1)
    if unsorted_indices is not None:
        out = out.index_select(0 if batch_first else 1, unsorted_indices)
        lengths = lengths[unsorted_indices.cpu()]
    return out, lengths


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (L_i, ...) in one tensor (T, B, ...) or, with `batch_first`, (B, T, ...), padded on one side.

    >>> import eagergrad as eg
    >>> pad_sequence([eg.tensor([1, 2]), eg.tensor([3])], batch_first=True).tolist()
    [[1, 2], [3, 0]]
    """
    if not isinstance(sequences, (Tensor, Iterable)):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    rows = list(sequences.unbind(0) if isinstance(sequences, Tensor) else sequences)
    if not rows:
        raise RuntimeError("received an empty list of sequences")
    longest = max(len(row) for row in rows)
    trailing = tuple(rows[0].shape[1:])
    padded = []
    for i, row in enumerate(rows):
        if tuple(row.shape[1:]) != trailing:
            raise RuntimeError(
                f"[pad_sequence] expected trailing sizes {trailing} of sequence 0, came "
                f"{tuple(row.shape[1:])} in sequence {i}"
            )
        gap = longest - len(row)
        if gap:
            fill = eg.full((gap, *trailing), padding_value, dtype=row.dtype, device=row.device)
            row = eg.cat([row, fill] if padding_side == "right" else [fill, row])
        padded.append(row)
    return eg.stack(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Any, batch_first: bool = False
) -> list[Tensor]:
    """The inverse of `pad_sequence`; the sequences share no memory with the padded tensor.

    >>> import eagergrad as eg
    >>> [s.tolist() for s in unpad_sequence(eg.tensor([[1, 2], [3, 0]]), eg.tensor([2, 1]), True)]
    [[1, 2], [3]]
    """
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    counts = lengths.tolist() if isinstance(lengths, Tensor) else lengths
    return [row[:n].clone() for row, n in zip(rows, counts, strict=True)]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (L_i, ...); longest first unless `enforce_sorted` is False."""
    lengths = [len(s) for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The inverse of `pack_sequence`.

    >>> import eagergrad as eg
    >>> [s.tolist() for s in unpack_sequence(pack_sequence([eg.tensor([1, 2]), eg.tensor([3])]))]
    [[1, 2], [3]]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
