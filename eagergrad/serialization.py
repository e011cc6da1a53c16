"""Saving and loading without pickle: a zip of .npy files and a JSON tree.

Loading builds data and runs none. Files are written to a temporary name, flushed to disk and
renamed, so that an interrupted save leaves the old file as it was. A file is an ordinary zip:
``numpy.load`` reads the arrays of one without eagergrad.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import os
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, TypeAlias

import numpy as np

import eagergrad as eg
from eagergrad.utils._arrays import array_to_tensor, dtype_name, tensor_to_array
from eagergrad.utils._flat_files import FORMATS
from eagergrad.utils._keras import from_keras_weights, to_keras_weights
from eagergrad.utils._tree import Decoder, Encoder, class_path, look_up, register_simple

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "from_keras_weights",
    "from_torch_state",
    "get_safe_globals",
    "load",
    "rebuild_tensor",
    "reduce_tensor",
    "safe_globals",
    "save",
    "to_keras_weights",
    "to_torch_state",
]

DEFAULT_PROTOCOL = 2  # what programs hand on as `pickle_protocol`; nothing is pickled

# What `load` takes as map_location.
MAP_LOCATION: TypeAlias = Callable[[Any, str], Any] | dict[str, str] | str | Any | None

_TREE = "tree.json"
_VERSION = 1
_ALIGN = 64

# ---- which classes a file may name --------------------------------------------------------------

_safe: dict[str, Any] = {}
_ALWAYS_SAFE = {
    "argparse:Namespace",
    "types:SimpleNamespace",
    "datetime:datetime",
    "datetime:date",
    "datetime:timedelta",
    "decimal:Decimal",
    "fractions:Fraction",
}


def _entry(item: Any) -> tuple[str, Any]:
    """Dotted import path and thing; a pair gives the path itself."""
    if isinstance(item, tuple):
        return item[1], item[0]
    return class_path(item).replace(":", "."), item


def add_safe_globals(safe: list) -> None:
    """Allow `load` to build objects of these classes, and to return these functions.

    >>> import fractions
    >>> add_safe_globals([fractions.Fraction])
    >>> clear_safe_globals()
    """
    _safe.update(_entry(item) for item in safe)


def get_safe_globals() -> list:
    """Return the classes and functions allowed by `add_safe_globals`."""
    return list(_safe.values())


def clear_safe_globals() -> None:
    """Forget what `add_safe_globals` allowed."""
    _safe.clear()


@contextlib.contextmanager
def safe_globals(safe: list) -> Iterator[None]:
    """Allow classes and functions within a ``with`` block, as `add_safe_globals` does."""
    before = dict(_safe)
    add_safe_globals(safe)
    try:
        yield
    finally:
        _safe.clear()
        _safe.update(before)


def _ours(module: str) -> bool:
    return module == "eagergrad" or module.startswith("eagergrad.")


def _trusted(path: str, found: Any, call: bool) -> bool:
    """Whether a file may use this by default; what is called must be on a list."""
    if path in _ALWAYS_SAFE or call:
        return path in _ALWAYS_SAFE
    if isinstance(found, type) and issubclass(found, eg.nn.Module | eg.Tensor):
        return True
    # An attribute of one of our modules may be somebody else's (``os``): ask the thing itself.
    return _ours(getattr(found, "__module__", None) or "")


def _finder(weights_only: bool) -> Callable[[str], Any]:
    def find(path: str, call: bool = False) -> Any:
        module, name = path.partition(":")[0], path.replace(":", ".")
        if name in _safe:
            return _safe[name]
        if not weights_only or _ours(module):
            importlib.import_module(module)
        found = look_up(path)
        if found is None:
            raise RuntimeError(
                f"[load] the file holds {name}, which this program has not imported; import it "
                "before loading"
                + (", or pass weights_only=False if you trust the file" if weights_only else "")
            )
        if weights_only and not _trusted(path, found, call):
            raise RuntimeError(
                f"[load] the file holds {name}, which is neither an nn.Module nor allowed; if you "
                "trust the file, pass weights_only=False or call "
                f"eagergrad.serialization.add_safe_globals([{name}])"
            )
        return found

    return find


# ---- saving -------------------------------------------------------------------------------------


def _suffix(f: Any) -> str:
    return os.path.splitext(os.fspath(f))[1].lower() if isinstance(f, str | os.PathLike) else ""


@contextlib.contextmanager
def _atomic(path: Any) -> Iterator[IO[bytes]]:
    """A file that takes its name only when all is written and on the disk."""
    path = os.fspath(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise RuntimeError(f"[save] the folder {folder} does not exist")
    fd, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
    try:
        with os.fdopen(fd, "w+b") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if hasattr(os, "O_DIRECTORY"):
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """A member whose content starts at a multiple of 64 bytes, so that it can be mapped."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    fixed = 30 + len(name.encode()) + 20  # local header, name, size fields of zip64
    pad = -(archive.fp.tell() + fixed + 4) % _ALIGN  # type: ignore[union-attr]
    info.extra = struct.pack("<HH", 0x4745, pad) + b"\0" * pad
    return info


def _write_zip(obj: Any, f: IO[bytes]) -> None:
    register_simple()
    encoder = Encoder()
    root = encoder.encode(obj)
    encoder.finish()
    tree = {"format": "eagergrad", "version": _VERSION, "root": root}
    text = json.dumps(tree, default=lambda node: node.json(), allow_nan=False)
    with zipfile.ZipFile(f, "w", zipfile.ZIP_STORED) as archive:
        for name, array in encoder.arrays.items():
            with archive.open(_member(archive, name), "w", force_zip64=True) as out:
                np.lib.format.write_array(out, array, allow_pickle=False)
        archive.writestr(zipfile.ZipInfo(_TREE, (1980, 1, 1, 0, 0, 0)), text)


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = None,
    pickle_protocol: int | None = None,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Save tensors, arrays, numbers, strings, containers of them, state dicts and whole modules.

    ``f`` is a path or a binary file. A path is written atomically. The suffix is free;
    ``.npz``, ``.h5`` and ``.safetensors`` write that format and take a flat dict of tensors.
    Tensors that share memory share it again when loaded. There is no pickle: the arguments about
    it are accepted for the sake of existing programs and mean nothing.

    Raises:
        TypeError: something in ``obj`` cannot be stored; the message says where it stands.
        RuntimeError: the folder does not exist.

    >>> import io
    >>> import eagergrad as eg
    >>> file = io.BytesIO()
    >>> eg.save({"step": 3, "w": eg.ones(2)}, file)
    >>> eg.load(file)
    {'step': 3, 'w': tensor([1., 1.])}
    """
    write = FORMATS[_suffix(f)][0] if _suffix(f) in FORMATS else _write_zip
    if isinstance(f, str | os.PathLike):
        with _atomic(f) as out:
            write(obj, out)
    elif hasattr(f, "write"):
        write(obj, f)
        if hasattr(f, "flush"):
            f.flush()
    else:
        raise TypeError(f"[save] expected a path or a binary file, got {type(f).__name__}")


# ---- loading ------------------------------------------------------------------------------------


def _placer(map_location: Any) -> Callable[[Any, str], Any]:
    def place(t: Any, stored: str) -> Any:
        if callable(map_location) and not isinstance(map_location, eg.device):  # a decorator, too
            moved = map_location(t, stored)
            return t if moved is None else moved
        where = map_location
        if isinstance(where, Mapping):
            where = where.get(stored, stored)
        where = eg.device(stored if where is None else where)
        if where.type == "cuda" and not eg.cuda.is_available():
            raise RuntimeError(
                f"[load] the file holds a tensor of device {stored} and there is no GPU; "
                "pass map_location='cpu'"
            )
        return t if where.type == "cpu" else t.to(where)

    return place


class _Archive:
    """Reads members of a saved zip; arrays are mapped where ``mapped`` names the file."""

    def __init__(self, archive: zipfile.ZipFile, mapped: str | None) -> None:
        self._archive = archive
        self._mapped = mapped

    def tree(self) -> Any:
        tree = json.loads(self._archive.read(_TREE))
        if tree.get("format") != "eagergrad" or tree.get("version", 0) > _VERSION:
            raise RuntimeError("[load] the file was written by a newer eagergrad; please upgrade")
        return tree["root"]

    def array(self, name: str) -> np.ndarray:
        if self._mapped is not None:
            return self._map(name)
        with self._archive.open(name) as f:
            return np.lib.format.read_array(f, allow_pickle=False)

    def _map(self, name: str) -> np.ndarray:
        info = self._archive.getinfo(name)
        with open(self._mapped, "rb") as f:  # type: ignore[arg-type]
            f.seek(info.header_offset + 26)
            f.seek(info.header_offset + 30 + sum(struct.unpack("<HH", f.read(4))))
            version = np.lib.format.read_magic(f)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran, dtype = read(f)
            if 0 in shape:
                return np.empty(shape, dtype)
            order: Any = "F" if fortran else "C"
            # Copy on write: the tensors can be written, the file stays as it is.
            return np.memmap(self._mapped, dtype, "c", f.tell(), shape, order).view(np.ndarray)  # type: ignore[arg-type,call-overload]


# What readers of archives, headers and numbers raise: NotImplementedError for a compression that zipfile does not know,
# TokenError for a header that is cut off.
_DAMAGE = (
    ValueError, KeyError, IndexError, NotImplementedError, SyntaxError, struct.error, tokenize.TokenError, zlib.error,
)  # fmt: skip


def _of_other(f: IO[bytes], name: str) -> Exception:
    """What to raise for a file that `save` did not write."""
    f.seek(0)
    head = f.read(4)
    if head[:1] == b"\x80":
        return RuntimeError(
            f"[load] {name} is a pickle, which can run any code and is not read here; load it with "
            "its own library and convert by eagergrad.serialization.from_torch_state"
        )
    if not head:
        return EOFError(f"[load] {name} is empty")
    return RuntimeError(f"[load] {name} is damaged, or not written by eagergrad.save")


def _read_zip(f: IO[bytes], name: str, mapped: str | None, find: Callable, place: Callable) -> Any:
    register_simple()
    try:
        with zipfile.ZipFile(f) as archive:
            if _TREE not in archive.namelist():
                foreign = any(n.endswith("data.pkl") for n in archive.namelist())
                hint = (
                    "it is a zip of pickles; load it with its own library and convert by "
                    "eagergrad.serialization.from_torch_state"
                    if foreign
                    else f"it has no {_TREE}"
                )
                raise RuntimeError(f"[load] {name} was not written by eagergrad.save: {hint}")
            source = _Archive(archive, mapped)
            return Decoder(source.array, find, place).decode(source.tree())
    except (zipfile.BadZipFile, EOFError, OSError):
        raise _of_other(f, name) from None
    except _DAMAGE as error:
        raise RuntimeError(f"[load] {name} is damaged: {error}") from error


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load what `save` wrote, from a path or a binary file.

    Args:
        map_location: device, string, dict or function ``(tensor, device) -> tensor`` that says
            where tensors go; by default where they were.
        weights_only: by default objects are built only of nn.Module classes that the program has
            imported, of eagergrad's own and of those that `add_safe_globals` allows; False allows
            every class and imports its module.
        mmap: map the file (a path is needed) instead of reading it; changes stay in memory.

    Raises:
        RuntimeError: the file is damaged, of another kind, or holds a class that is not allowed.
        EOFError: it is empty.
        FileNotFoundError: there is no such file.
    """
    find, place = _finder(weights_only is not False), _placer(map_location)
    if not isinstance(f, str | os.PathLike):
        if not (hasattr(f, "read") and hasattr(f, "seek")):
            raise TypeError(f"[load] expected a path or a binary file, got {type(f).__name__}")
        if mmap:
            raise ValueError("[load] mmap=True needs a path")
        return _read_zip(f, getattr(f, "name", "the file"), None, find, place)
    name = os.fspath(f)
    with open(name, "rb") as file:
        if _suffix(f) in FORMATS:
            try:
                flat = FORMATS[_suffix(f)][1](file)
            except (zipfile.BadZipFile, OSError, EOFError, ValueError, KeyError) as error:
                raise RuntimeError(f"[load] {name} is damaged: {error}") from error
            return {key: place(t, "cpu") for key, t in flat.items()}
        return _read_zip(file, name, name if mmap else None, find, place)


# ---- copies and pickles of tensors ----------------------------------------------------------------


def rebuild_tensor(
    data: np.ndarray, dtype: str, requires_grad: bool, device: str, cls: type, attributes: dict
) -> Any:
    """Make a tensor from what `reduce_tensor` returned; pickle and copy call it."""
    t = array_to_tensor(data, dtype)
    if device != "cpu":
        t = t.to(eg.device(device))
    return _dressed(t, cls, requires_grad, attributes)


def _dressed(t: Any, cls: type, requires_grad: bool, attributes: dict) -> Any:
    """A plain tensor as a leaf of that class, with those attributes."""
    if cls is not eg.Tensor:
        parameter = issubclass(cls, eg.nn.Parameter)
        t = cls(t, requires_grad=requires_grad) if parameter else t.as_subclass(cls)
    t.requires_grad_(requires_grad)
    if attributes:
        t.__dict__.update(attributes)
    return t


def copy_tensor(t: Any) -> Any:
    """What a tensor's ``__copy__`` returns: a new leaf over the same memory."""
    attributes = dict(getattr(t, "__dict__", None) or {})
    return _dressed(t.detach(), type(t), t.requires_grad, attributes)


def reduce_tensor(t: Any) -> tuple:
    """What a tensor's ``__reduce_ex__`` returns: the values as an array (which travels out of
    band with pickle protocol 5), never the graph."""
    array = np.asarray(tensor_to_array(t), order="C")
    attributes = dict(getattr(t, "__dict__", None) or {})
    arguments = (array, dtype_name(t.dtype), t.requires_grad, str(t.device), type(t), attributes)
    return rebuild_tensor, arguments


def deepcopy_tensor(t: Any, memo: dict) -> Any:
    """What a tensor's ``__deepcopy__`` returns: a new leaf with copied values and gradient.

    Raises:
        RuntimeError: the tensor is a result of recorded operations.
    """
    if id(t) in memo:
        return memo[id(t)]
    if not t.is_leaf:
        raise RuntimeError(
            "[deepcopy] expected a tensor that the user created; this one is the result of "
            "recorded operations: copy t.detach() instead"
        )
    out = _dressed(t.detach().clone(), type(t), t.requires_grad, {})
    memo[id(t)] = out
    if t.grad is not None:
        out.grad = deepcopy_tensor(t.grad.detach(), {})
    attributes = getattr(t, "__dict__", None)
    if attributes:
        out.__dict__.update(copy.deepcopy(attributes, memo))
    return out


# ---- state dicts of others ------------------------------------------------------------------------


def from_torch_state(state: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """Turn a state dict of PyTorch tensors or NumPy arrays into one of eagergrad tensors (copies).

    >>> import numpy as np
    >>> from_torch_state({"weight": np.ones(2, "float32")})["weight"]
    tensor([1., 1.])
    """
    out: OrderedDict[str, Any] = OrderedDict()
    for name, value in state.items():
        if not hasattr(value, "detach"):
            out[name] = array_to_tensor(np.array(value))
            continue
        value = value.detach().cpu()
        half = dtype_name(value.dtype) == "bfloat16"
        t = array_to_tensor(np.array((value.float() if half else value).numpy()))
        out[name] = t.to(eg.bfloat16) if half else t
    return out


def to_torch_state(state: Mapping[str, Any]) -> OrderedDict[str, np.ndarray]:
    """Turn a state dict into NumPy arrays under the same names, ready for ``torch.from_numpy``;
    bfloat16 becomes float32, since NumPy has none.

    >>> import eagergrad as eg
    >>> to_torch_state({"weight": eg.ones(2)})["weight"]
    array([1., 1.], dtype=float32)
    """
    out: OrderedDict[str, np.ndarray] = OrderedDict()
    for name, t in state.items():
        t = eg.as_tensor(t).detach()
        out[name] = np.array(tensor_to_array(t.float() if t.dtype == eg.bfloat16 else t))
    return out
