"""Flat dicts of tensors in the formats of others: .npz, .h5 and .safetensors."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad.utils._arrays import array_to_tensor, dtype_name, tensor_to_array

_NOTE = "eagergrad_dtypes.json"  # in an .npz: names whose uint16 are the bits of bfloat16


def _flat(obj: Any, suffix: str) -> dict[str, tuple[np.ndarray, str]]:
    """Name -> (array, dtype name); TypeError for anything but a flat dict of tensors."""
    if not isinstance(obj, Mapping):
        raise TypeError(
            f"[save] {suffix} expected a dict of tensors, got {type(obj).__name__}; "
            "any other suffix stores nested structures"
        )
    out = {}
    for name, value in obj.items():
        if isinstance(value, eg.Tensor):
            out[name] = (np.asarray(tensor_to_array(value), order="C"), dtype_name(value.dtype))
        elif isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            out[name] = (np.asarray(value, order="C"), value.dtype.name)
        if not isinstance(name, str) or name not in out:
            raise TypeError(
                f"[save] {suffix} expected tensors by string names, got {type(value).__name__} "
                f"at {name!r}; any other suffix stores nested structures"
            )
    return out


def _library(name: str, suffix: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise ImportError(f"{suffix} files need {name}: pip install eagergrad[io]") from None


def save_npz(obj: Any, f: Any) -> None:
    flat = _flat(obj, ".npz")
    np.savez(f, **{name: a for name, (a, _) in flat.items()})
    halves = [name for name, (_, dtype) in flat.items() if dtype == "bfloat16"]
    if halves:
        with zipfile.ZipFile(f, "a") as z:
            z.writestr(_NOTE, json.dumps(halves))


def load_npz(f: Any) -> dict[str, Any]:
    with zipfile.ZipFile(f) as z:
        halves = set(json.loads(z.read(_NOTE)) if _NOTE in z.namelist() else ())
    f.seek(0)
    with np.load(f, allow_pickle=False) as arrays:
        return {
            name: array_to_tensor(arrays[name], "bfloat16" if name in halves else None)
            for name in arrays.files
            if name != _NOTE
        }


def save_h5(obj: Any, f: Any) -> None:
    h5py = _library("h5py", ".h5")
    flat = _flat(obj, ".h5")
    with h5py.File(f, "w") as h:
        for name, (a, dtype) in flat.items():
            h.create_dataset(name, data=a).attrs["dtype"] = dtype


def load_h5(f: Any) -> dict[str, Any]:
    h5py = _library("h5py", ".h5")
    out: dict[str, Any] = {}
    with h5py.File(f, "r") as h:

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                dtype = item.attrs.get("dtype")
                out[name] = array_to_tensor(np.asarray(item[()]), dtype)

        h.visititems(visit)
    return out


# The format is a length (8 bytes), a JSON header and the arrays one after another, so no library is
# needed; see the description at https://github.com/huggingface/safetensors.
_SAFETENSORS_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


def save_safetensors(obj: Any, f: Any) -> None:
    flat = _flat(obj, ".safetensors")
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (a, dtype) in flat.items():
        if dtype not in _SAFETENSORS_NAMES:
            raise TypeError(f"[save] .safetensors has no dtype for {name!r} of {dtype}")
        header[name] = {
            "dtype": _SAFETENSORS_NAMES[dtype],
            "shape": list(a.shape),
            "data_offsets": [offset, offset + a.nbytes],
        }
        offset += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    f.write(len(text).to_bytes(8, "little") + text)
    for a, _ in flat.values():
        f.write(a.astype(a.dtype.newbyteorder("<"), copy=False).tobytes())


def load_safetensors(f: Any) -> dict[str, Any]:
    content = f.read()
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > len(content) - 8:
        raise EOFError("the header is cut off")
    header = json.loads(content[8 : 8 + size])
    header.pop("__metadata__", None)
    dtypes = {short: name for name, short in _SAFETENSORS_NAMES.items()}
    out = {}
    for name, part in header.items():
        if part["dtype"] not in dtypes:
            raise ValueError(f"[load] {name}: dtype {part['dtype']} has no counterpart here")
        dtype = dtypes[part["dtype"]]
        raw = np.dtype("uint16" if dtype == "bfloat16" else dtype).newbyteorder("<")
        start, stop = (8 + size + o for o in part["data_offsets"])
        array = np.frombuffer(bytearray(content[start:stop]), raw).reshape(part["shape"])
        out[name] = array_to_tensor(array, dtype)
    return out


FORMATS = {
    ".npz": (save_npz, load_npz),
    ".h5": (save_h5, load_h5),
    ".hdf5": (save_h5, load_h5),
    ".safetensors": (save_safetensors, load_safetensors),
}
