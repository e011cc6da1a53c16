"""Samples into batches."""

from __future__ import annotations

import collections.abc
import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np

import eagergrad as eg

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]


np_str_obj_array_pattern = re.compile(r"[SaUO]")  # libraries tell arrays of no numbers by it


def _is_namedtuple(x: Any) -> bool:
    return isinstance(x, tuple) and hasattr(x, "_fields")


def _numeric_array(x: Any, where: str) -> np.ndarray:
    if x.dtype.kind not in "biuf":
        raise TypeError(f"[{where}] expected a numeric array, got dtype {x.dtype}")
    return x


def default_convert(data: Any) -> Any:
    """Turn the NumPy arrays in a nested structure into tensors and leave the rest as it is."""
    if isinstance(data, eg.Tensor):
        return data
    if isinstance(data, np.ndarray | np.generic):
        return eg.as_tensor(data) if data.dtype.kind in "biuf" else data
    if isinstance(data, collections.abc.Mapping):
        return _like(data, {k: default_convert(v) for k, v in data.items()})
    if _is_namedtuple(data):
        return type(data)(*(default_convert(v) for v in data))
    if isinstance(data, tuple):
        return [default_convert(v) for v in data]
    if isinstance(data, collections.abc.Sequence) and not isinstance(data, str | bytes):
        return _like(data, [default_convert(v) for v in data])
    return data


def _like(model: Any, values: Any) -> Any:
    """The values in a container of the model's type; a plain one where that type refuses."""
    if type(model) in (dict, list):
        return values
    try:
        if isinstance(model, collections.abc.MutableMapping | collections.abc.MutableSequence):
            clone = copy.copy(model)
            if isinstance(values, dict):
                clone.update(values)
            else:
                clone[:] = values
            return clone
        return type(model)(values)
    except TypeError:
        return values


def _collate_tensors(batch: Any, **_: Any) -> Any:
    shapes = {t.shape for t in batch}
    if len(shapes) > 1:
        raise RuntimeError(
            f"[default_collate] expected tensors of one shape, got {sorted(map(tuple, shapes))}; "
            "pad them in a collate_fn (nn.utils.rnn.pad_sequence)"
        )
    return eg.stack(batch, 0)


def _collate_arrays(batch: Any, **_: Any) -> Any:
    return _collate_tensors([eg.as_tensor(_numeric_array(a, "default_collate")) for a in batch])


def _collate_numpy_scalars(batch: Any, **_: Any) -> Any:
    return eg.as_tensor(np.asarray([_numeric_array(x, "default_collate") for x in batch]))


def _collate_floats(batch: Any, **_: Any) -> Any:
    return eg.tensor(batch, dtype=eg.float64)


def _collate_ints(batch: Any, **_: Any) -> Any:
    return eg.tensor(batch)  # of floats, if any but the first is one


def _collate_text(batch: Any, **_: Any) -> Any:
    return batch


default_collate_fn_map: dict[Any, Callable] = {
    np.ndarray: _collate_arrays,
    np.generic: _collate_numpy_scalars,
    float: _collate_floats,
    int: _collate_ints,
    str: _collate_text,
    bytes: _collate_text,
}


def _function_for(kind: type, table: dict[Any, Callable]) -> Callable | None:
    if kind in table:
        return table[kind]
    return next((f for known, f in table.items() if issubclass(kind, known)), None)


def collate(batch: Any, *, collate_fn_map: dict[Any, Callable] | None = None) -> Any:
    """Put samples together; ``collate_fn_map`` says how for each type of leaf.

    Raises:
        TypeError: a leaf is of a type that the table does not name.
        RuntimeError: samples differ in shape or length.
    """
    table = {} if collate_fn_map is None else collate_fn_map
    first = batch[0]
    fn = _function_for(first.__class__, table)  # sparse tensors say Tensor
    if fn is not None:
        return fn(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, collections.abc.Mapping):
        merged = {k: collate([d[k] for d in batch], collate_fn_map=collate_fn_map) for k in first}
        return _like(first, merged)
    if not isinstance(first, collections.abc.Sequence):
        raise TypeError(
            "[default_collate] expected tensors, arrays, numbers, strings, dicts or lists, "
            f"got {type(first).__name__}; pass a collate_fn"
        )
    lengths = {len(sample) for sample in batch}
    if len(lengths) > 1:
        raise RuntimeError(
            f"[default_collate] each element in list of batch should be of equal size, "
            f"got lengths {sorted(lengths)}"
        )
    columns = [collate(c, collate_fn_map=collate_fn_map) for c in zip(*batch, strict=True)]
    if _is_namedtuple(first):
        return type(first)(*columns)
    return columns if isinstance(first, tuple) else _like(first, columns)


def default_collate(batch: list) -> Any:
    """Put samples together: tensors and arrays are stacked, numbers become a tensor, strings
    stay as they come, and dicts, tuples and lists are taken apart and put together again by element.

    Raises:
        TypeError: a sample holds something else.
        RuntimeError: samples differ in shape or length.

    >>> default_collate([(1, "a"), (2, "b")])
    [tensor([1, 2]), ('a', 'b')]
    """
    if eg.Tensor not in default_collate_fn_map:
        default_collate_fn_map[eg.Tensor] = _collate_tensors
    return collate(batch, collate_fn_map=default_collate_fn_map)
