"""Python objects as a JSON tree plus arrays, and back; what `eagergrad.save` writes.

Note [Tree]
JSON's own values stand for themselves; a list is an array, a dict with string keys an object. All
else is an object with the key ``"$"`` that names its kind. A container that occurs twice has an
``"id"`` where it stands first and is ``{"$": "ref", "id": ...}`` after that, so that shared and
cyclic structures come back as they were. A tensor names its array; tensors that overlapped in
memory name the same flat array with their strides, and overlap again when loaded.
Nothing in a tree is code. An object is its class's import path and its state: the reader decides
which classes it is ready to use (see `eagergrad.serialization`).
"""

from __future__ import annotations

import base64
import collections
import copyreg
import enum
import functools
import math
import pathlib
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

import eagergrad as eg
from eagergrad import _C
from eagergrad.utils._arrays import (
    array_to_tensor,
    dtype_from_name,
    dtype_name,
    tensor_to_array,
)

FACTORIES = {f.__name__: f for f in (list, dict, set, int, float, str, bool, tuple)}


class Node:
    """An encoded object that may still get a label, when it turns out to be shared."""

    __slots__ = ("kind", "label", "value")

    def __init__(self, kind: str, value: Any) -> None:
        self.kind = kind
        self.value = value
        self.label: int | None = None

    def json(self) -> Any:
        """What json.dumps writes for it."""
        if self.label is None:
            if self.kind == "list":
                return self.value
            if self.kind == "dict" and all(type(k) is str and k[:1] != "$" for k, _ in self.value):
                return dict(self.value)
        fields = self.value if isinstance(self.value, dict) else {"items": self.value}
        label = {} if self.label is None else {"id": self.label}
        return {"$": self.kind, **label, **fields}


def _tagged(kind: str, **fields: Any) -> dict:
    return {"$": kind, **fields}


def class_path(cls: Any) -> str:
    """``module:qualified.name`` of a class or function."""
    return f"{cls.__module__ or 'eagergrad'}:{cls.__qualname__}"


def look_up(path: str) -> Any:
    """What an import path leads to within the modules already imported, None where nowhere."""
    module, _, name = path.partition(":")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


# ---- writing ------------------------------------------------------------------------------------


class Encoder:
    """Turns objects into nodes; `arrays` maps member names to arrays once `finish` has run."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._known: dict[int, tuple[Any, Node]] = {}  # the object is kept: its id stays its own
        self._tensors: list[tuple[Any, Node, str]] = []
        self._labels = 0

    def encode(self, obj: Any, path: str = "") -> Any:
        """Return what stands for ``obj``; TypeError, with the path, for what cannot be stored."""
        kind = type(obj)
        if obj is None or kind in (bool, int, str):
            return obj
        if kind is float:
            return obj if math.isfinite(obj) else _tagged("float", value=repr(obj))
        if kind in _SIMPLE:
            return _SIMPLE[kind](obj)
        if id(obj) in self._known:
            return self._again(self._known[id(obj)][1])
        node = Node("", None)
        self._known[id(obj)] = (obj, node)
        self._fill(node, obj, kind, path)
        return node

    def _again(self, node: Node) -> dict:
        if node.label is None:
            self._labels += 1
            node.label = self._labels
        return _tagged("ref", id=node.label)

    def _fill(self, node: Node, obj: Any, kind: type, path: str) -> None:
        if isinstance(obj, eg.Tensor) and not issubclass(kind, eg.Tensor):
            parts = obj.__reduce_ex__(2)[1]
            node.kind, node.value = "sparse", {"items": [self.encode(p, path) for p in parts]}
        elif isinstance(obj, eg.Tensor) and obj.is_sparse:
            parts = (*obj._parts(), list(obj.shape))
            node.kind, node.value = "row_sparse", {"items": [self.encode(p, path) for p in parts]}
        elif isinstance(obj, eg.Tensor):
            node.kind = "tensor"
            self._tensors.append((obj, node, path))
        elif isinstance(obj, np.ndarray):
            self._array(node, obj, path)
        elif isinstance(obj, eg.Size):
            node.kind, node.value = "Size", list(obj)
        elif kind in (list, set, frozenset, tuple, collections.deque):
            node.kind = kind.__name__
            node.value = [self.encode(v, f"{path}.{i}") for i, v in enumerate(obj)]
        elif kind in (dict, collections.OrderedDict, collections.Counter):
            node.kind, node.value = kind.__name__, {}
            self._mapping(node, obj, path)
        elif kind is collections.defaultdict and obj.default_factory in FACTORIES.values():
            node.kind = "defaultdict"
            node.value = {"factory": obj.default_factory.__name__, "items": self._items(obj, path)}
        else:
            self._other(node, obj, kind, path)

    def _items(self, obj: Any, path: str) -> list:
        return [[self.encode(k, path), self.encode(v, f"{path}.{k}")] for k, v in obj.items()]

    def _mapping(self, node: Node, obj: Any, path: str) -> None:
        items = self._items(obj, path)
        attributes = getattr(obj, "__dict__", None)  # a state dict's _metadata
        if attributes:
            node.value = {"items": items, "attributes": self.encode(dict(attributes), path)}
        else:
            node.value = items

    def _other(self, node: Node, obj: Any, kind: type, path: str) -> None:
        if isinstance(obj, tuple) and hasattr(obj, "_fields"):
            node.kind = "namedtuple"
            values = [self.encode(v, f"{path}.{f}") for f, v in zip(obj._fields, obj, strict=True)]
            node.value = {"class": class_path(kind), "fields": list(obj._fields), "values": values}
        elif isinstance(obj, np.generic):
            node.kind = "number"
            data = base64.b64encode(obj.tobytes()).decode()
            node.value = {"dtype": obj.dtype.str, "data": data}
        elif isinstance(obj, functools.partial):
            node.kind = "partial"
            parts = (obj.func, list(obj.args), dict(obj.keywords))
            node.value = {"items": [self.encode(p, path) for p in parts]}
        elif isinstance(obj, pathlib.PurePath):
            node.kind, node.value = "path", {"value": str(obj)}
        elif isinstance(obj, enum.Enum):
            node.kind = "enum"
            node.value = {"class": self._path_of(kind, path), "name": obj.name}
        elif kind is type(_C.op_table["add"]):
            node.kind, node.value = "op", {"name": obj.__reduce__()[1][0]}
        elif isinstance(obj, type | types.FunctionType | types.BuiltinFunctionType):
            node.kind, node.value = "global", {"name": self._path_of(obj, path)}
        else:
            self._object(node, obj, kind, path)

    def _path_of(self, obj: Any, path: str) -> str:
        name = class_path(obj)
        if look_up(name) is not obj:
            raise TypeError(
                f"[save] cannot store {obj!r} at {path or 'the top'}: {name.replace(':', '.')} does "
                "not lead to it, as with a lambda or a name inside a function; define it at the "
                "top of a module, or save a state_dict()"
            )
        return name

    def _object(self, node: Node, obj: Any, kind: type, path: str) -> None:
        """An object by class, constructor arguments, state and items, as its __reduce_ex__ says."""
        try:
            make, arguments, *rest = obj.__reduce_ex__(2)
        except (TypeError, ValueError):
            make, arguments, rest = None, (), []
        state, values, items = (*rest, None, None, None)[:3]
        if make is copyreg.__newobj__:  # type: ignore[attr-defined]
            arguments = arguments[1:]
        elif make is not kind:
            raise TypeError(
                f"[save] cannot store {kind.__module__}.{kind.__qualname__} at "
                f"{path or 'the top'}; store numbers, strings, arrays, tensors, containers of "
                "them, or objects that consist of them"
            )
        node.kind = "object"
        node.value = {"class": self._path_of(kind, path)}
        if make is kind:
            node.value["call"] = True
        if arguments:
            node.value["args"] = [self.encode(v, path) for v in arguments]
        if state is not None:
            node.value["state"] = self.encode(state, path)
        if values is not None:
            node.value["values"] = [self.encode(v, f"{path}.{i}") for i, v in enumerate(values)]
        if items is not None:
            node.value["items"] = self._items(dict(items), path)

    # ---- arrays ----

    def _array(self, node: Node, obj: np.ndarray, path: str) -> None:
        if obj.dtype.hasobject:
            items = [self.encode(v, f"{path}.{i}") for i, v in enumerate(obj.ravel().tolist())]
            node.kind, node.value = "objects", {"shape": list(obj.shape), "items": items}
            return
        node.kind, node.value = "ndarray", {"array": self._member(path, obj)}

    def _member(self, path: str, array: np.ndarray) -> str:
        safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in path.strip(".")) or "value"
        name, number = f"data/{safe[:120]}.npy", 1
        while name in self.arrays:
            number += 1
            name = f"data/{safe[:120]}~{number}.npy"
        self.arrays[name] = array
        return name

    def finish(self) -> None:
        """Give all tensors their arrays; overlapping ones the same."""
        for group in _overlapping(self._tensors):
            tensors = [t for t, _, _ in group]
            base, layouts = _common_array(tensors)
            name = self._member(group[0][2], tensor_to_array(base))
            for (t, node, path), layout in zip(group, layouts, strict=True):
                node.value = self._tensor_fields(t, name, layout, path)

    def _tensor_fields(self, t: Any, name: str, layout: dict, path: str) -> dict:
        fields: dict[str, Any] = {"array": name, **layout}
        if t.dtype == eg.bfloat16:
            fields["dtype"] = "bfloat16"
        if t.requires_grad:
            fields["requires_grad"] = True
        if t.device.type != "cpu":
            fields["device"] = str(t.device)
        if type(t) is not eg.Tensor and type(t).__name__ != "RowSparse":  # a dense one by now
            fields["class"] = self._path_of(type(t), path)
        return fields


def _extent(t: Any) -> tuple[int, int]:
    """First byte and the byte after the last of a tensor's elements."""
    start = t.data_ptr()
    reach = sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True))
    return start, start + (reach + 1) * t.element_size()


def _overlapping(entries: list) -> list[list]:
    """Tensors in groups that share memory; each empty one alone."""
    groups: list[list] = [[e] for e in entries if e[0].numel() == 0]
    full = [e for e in entries if e[0].numel()]
    keyed = sorted(
        ((str(e[0].device), str(e[0].dtype), *_extent(e[0]), i) for i, e in enumerate(full))
    )
    end, last = -1, None
    for device, dtype, start, stop, i in keyed:
        if (device, dtype) == last and start < end:
            groups[-1].append(full[i])
            end = max(end, stop)
        else:
            groups.append([full[i]])
            end, last = stop, (device, dtype)
    return groups


def _common_array(tensors: list) -> tuple[Any, list[dict]]:
    """One tensor that holds all elements of a group, and how each of the group lies in it."""
    first = tensors[0].detach()
    layouts = {(t.data_ptr(), tuple(t.shape), t.stride()) for t in tensors}
    start, stop = _extent(first) if first.numel() else (0, 0)
    stop = max([stop, *(_extent(t)[1] for t in tensors if t.numel())])
    size = first.element_size()
    span = (stop - start) // size
    if len(layouts) == 1 and (first.is_contiguous() or first.numel() < span):
        return first.contiguous(), [{} for _ in tensors]
    flat = eg.as_strided(first, (span,), (1,), first.storage_offset())
    return flat, [
        {
            "shape": list(t.shape),
            "stride": list(t.stride()),
            "offset": (t.data_ptr() - start) // size,
        }
        for t in tensors
    ]


def _text_of_bytes(b: Any) -> str:
    return base64.b64encode(b).decode()


_SIMPLE: dict[type, Callable[[Any], dict]] = {
    complex: lambda v: _tagged("complex", value=repr(v)),
    bytes: lambda v: _tagged("bytes", value=_text_of_bytes(v)),
    bytearray: lambda v: _tagged("bytearray", value=_text_of_bytes(v)),
    slice: lambda v: _tagged("slice", value=[v.start, v.stop, v.step]),
    range: lambda v: _tagged("range", value=[v.start, v.stop, v.step]),
    type(...): lambda v: _tagged("ellipsis"),
    type(NotImplemented): lambda v: _tagged("notimplemented"),
}


def register_simple() -> None:
    """Add the types that exist only once eagergrad is imported."""
    _SIMPLE[eg.dtype] = lambda v: _tagged("dtype", value=dtype_name(v))
    _SIMPLE[eg.device] = lambda v: _tagged("device", value=str(v))


# ---- reading ------------------------------------------------------------------------------------


class Decoder:
    """Builds objects from a tree. ``read_array(name)`` gives an array, ``find(path)`` the class or
    function of an import path (or refuses), ``place(tensor, device)`` puts a tensor where it
    belongs."""

    def __init__(self, read_array: Callable, find: Callable, place: Callable) -> None:
        self._read_array = read_array
        self._find = find
        self._place = place
        self._labelled: dict[int, Any] = {}
        self._bases: dict[str, Any] = {}

    def decode(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.decode(v) for v in value]
        if not isinstance(value, dict):
            return value
        kind = value.get("$")
        if kind is None:
            return {k: self.decode(v) for k, v in value.items()}
        if kind == "ref":
            return self._labelled[value["id"]]
        build = getattr(self, f"_{kind}", None)
        if build is None or kind.startswith("_"):
            raise ValueError(f"unknown kind {kind!r}")
        return build(value)

    def _label(self, node: dict, obj: Any) -> Any:
        if "id" in node:
            self._labelled[node["id"]] = obj
        return obj

    def _values(self, node: dict) -> list:
        return [self.decode(v) for v in node["items"]]

    def _list(self, node: dict) -> list:
        out: list = self._label(node, [])
        out.extend(self._values(node))
        return out

    def _set(self, node: dict) -> set:
        out: set = self._label(node, set())
        out.update(self._values(node))
        return out

    def _deque(self, node: dict) -> Any:
        out: Any = self._label(node, collections.deque())
        out.extend(self._values(node))
        return out

    def _tuple(self, node: dict) -> tuple:
        return self._label(node, tuple(self._values(node)))

    def _frozenset(self, node: dict) -> frozenset:
        return self._label(node, frozenset(self._values(node)))

    def _Size(self, node: dict) -> Any:
        return self._label(node, eg.Size(node["items"]))

    def _into(self, node: dict, out: Any) -> Any:
        self._label(node, out)
        for k, v in node["items"]:
            out[self.decode(k)] = self.decode(v)
        if "attributes" in node:
            out.__dict__.update(self.decode(node["attributes"]))
        return out

    def _dict(self, node: dict) -> dict:
        return self._into(node, {})

    def _OrderedDict(self, node: dict) -> Any:
        return self._into(node, collections.OrderedDict())

    def _Counter(self, node: dict) -> Any:
        return self._into(node, collections.Counter())

    def _defaultdict(self, node: dict) -> Any:
        return self._into(node, collections.defaultdict(FACTORIES[node["factory"]]))

    def _float(self, node: dict) -> float:
        return float(node["value"])

    def _complex(self, node: dict) -> complex:
        return complex(node["value"])

    def _bytes(self, node: dict) -> bytes:
        return base64.b64decode(node["value"])

    def _bytearray(self, node: dict) -> bytearray:
        return bytearray(base64.b64decode(node["value"]))

    def _slice(self, node: dict) -> slice:
        return slice(*node["value"])

    def _range(self, node: dict) -> range:
        return range(*node["value"])

    def _ellipsis(self, node: dict) -> Any:
        return ...

    def _notimplemented(self, node: dict) -> Any:
        return NotImplemented

    def _dtype(self, node: dict) -> Any:
        return dtype_from_name(node["value"])

    def _device(self, node: dict) -> Any:
        return eg.device(node["value"])

    def _path(self, node: dict) -> Any:
        return self._label(node, pathlib.Path(node["value"]))

    def _number(self, node: dict) -> Any:
        data = base64.b64decode(node["data"])
        return self._label(node, np.frombuffer(data, np.dtype(node["dtype"]))[0])

    def _ndarray(self, node: dict) -> np.ndarray:
        return self._label(node, self._read_array(node["array"]))

    def _objects(self, node: dict) -> np.ndarray:
        items = self._values(node)
        out = np.empty(len(items), object)
        for i, v in enumerate(items):
            out[i] = v
        return self._label(node, out.reshape(node["shape"]))

    def _tensor(self, node: dict) -> Any:
        name, dtype = node["array"], node.get("dtype")
        shared = name in self._bases
        if not shared:
            self._bases[name] = self._place(
                array_to_tensor(self._read_array(name), dtype), node.get("device", "cpu")
            )
        t = self._bases[name]
        if "stride" in node:
            t = eg.as_strided(t, node["shape"], node["stride"], node["offset"])
        elif shared:
            t = t.detach()
        if "class" in node:
            cls = self._find(node["class"])
            t = (
                cls(t, requires_grad=node.get("requires_grad", False))
                if issubclass(cls, eg.nn.Parameter)
                else t.as_subclass(cls)
            )
        return self._label(node, t.requires_grad_(node.get("requires_grad", False)))

    def _row_sparse(self, node: dict) -> Any:
        from eagergrad.sparse import RowSparse

        return self._label(node, RowSparse(*self._values(node)))

    def _sparse(self, node: dict) -> Any:
        from eagergrad.sparse.tensor import rebuild

        return self._label(node, rebuild(*self._values(node)))

    def _global(self, node: dict) -> Any:
        return self._label(node, self._find(node["name"]))

    def _op(self, node: dict) -> Any:
        return self._label(node, _C.op_table[node["name"]])

    def _partial(self, node: dict) -> Any:
        func, args, keywords = self._values(node)
        return self._label(node, functools.partial(func, *args, **keywords))

    def _namedtuple(self, node: dict) -> Any:
        values = [self.decode(v) for v in node["values"]]
        try:
            cls = self._find(node["class"])
        except RuntimeError:  # a stranger's class: the same fields under the same name
            cls = collections.namedtuple(
                node["class"].rpartition(".")[2].rpartition(":")[2], node["fields"]
            )  # type: ignore[misc]
        return self._label(node, tuple.__new__(cls, values))

    def _enum(self, node: dict) -> Any:
        return self._label(node, self._find(node["class"])[node["name"]])

    def _object(self, node: dict) -> Any:
        cls = self._find(node["class"], node.get("call", False))
        if not isinstance(cls, type):
            raise ValueError(f"{node['class']} is no class")
        arguments = [self.decode(v) for v in node.get("args", [])]
        out = cls(*arguments) if node.get("call") else cls.__new__(cls, *arguments)
        self._label(node, out)
        if "state" in node:
            _set_state(out, self.decode(node["state"]))
        if "values" in node:
            list.extend(out, [self.decode(v) for v in node["values"]])
        for k, v in node.get("items", []):
            out[self.decode(k)] = self.decode(v)
        return out


def _set_state(obj: Any, state: Any) -> None:
    if hasattr(type(obj), "__setstate__"):
        obj.__setstate__(state)
        return
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes:
        obj.__dict__.update(attributes)
    for name, v in (slots or {}).items():
        object.__setattr__(obj, name, v)
