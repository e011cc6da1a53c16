"""Programs and libraries written for PyTorch run by eagergrad: ``import torch`` gives `eagergrad`.

From the command line, as ``python`` itself would start them::

    python -m eagergrad.as_torch train.py --epochs 3
    python -m eagergrad.as_torch -m pytest tests

or in the first lines of a program, before anything imports torch::

    from eagergrad import as_torch
    as_torch.install()

``torch.nn`` is then ``eagergrad.nn`` itself, and so for every module: classes are the same, and pickles under either name can
be read. Only Python is run so: extensions in C++ are built for PyTorch's own tensors.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import spawn
from types import ModuleType
from typing import Any

import eagergrad
import eagergrad.version
from eagergrad import _C
from eagergrad._version import __version__
from eagergrad.tensor.dtype import dtype
from eagergrad.torch_version import TorchVersion

__all__ = ["AbsentDtype", "install", "is_installed", "main"]

PYTORCH = "2.13.0"  # whose names and rules are followed
_ABSENT_DTYPES = (
    "complex32 complex64 complex128 uint16 uint32 uint64 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz "
    "qint8 qint32 quint8 quint4x2"
).split()
_ABSENT_ALIASES = {"chalf": "complex32", "cfloat": "complex64", "cdouble": "complex128"}


class AbsentDtype(dtype):
    """A type of elements that PyTorch has and eagergrad has not: for the tables of libraries; no tensor can be made of it.

    >>> absent = AbsentDtype("complex64")
    >>> absent, absent.is_complex, absent == eg.float32
    (eagergrad.complex64, True, False)
    """

    __module__ = "eagergrad"  # where pickle finds the instances
    __slots__ = ()

    def __init__(self, name: str) -> None:
        self.name = name
        self.itemsize = 0
        self.is_floating_point = name.startswith("float")
        self.is_signed = not name.startswith(("u", "qu"))

    @property
    def is_complex(self) -> bool:  # type: ignore[override]
        return self.name.startswith("complex")

    def __reduce__(self) -> Any:
        return self.name


class _Loader(importlib.abc.Loader):
    """Gives the module of eagergrad under another name, with all that it says of itself."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: Any) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # the import has put its own there


class _Distribution(importlib.metadata.Distribution):
    """What `importlib.metadata.version("torch")` reads."""

    def read_text(self, filename: str) -> str | None:
        text = f"Metadata-Version: 2.1\nName: torch\nVersion: {eagergrad.__version__}\n"
        return text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return os.path.join(os.path.dirname(eagergrad.__path__[0]), path)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds torch and what is below it."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "torch" and not name.startswith("torch."):
            return None
        real = "eagergrad" + name[len("torch") :]
        try:
            module = importlib.import_module(real)
        except ModuleNotFoundError as error:
            if error.name != real:
                raise
            raise ModuleNotFoundError(
                f"No module named {name!r}: torch is eagergrad here, which has no module {real}",
                name=name,
            ) from None
        package = hasattr(module, "__path__")
        return importlib.machinery.ModuleSpec(name, _Loader(module), is_package=package)

    def find_distributions(self, context: Any = None) -> Iterator[Any]:
        if context is None or context.name in (None, "torch"):
            yield _Distribution()


class _Install:
    """Pickled into what a spawned process is told first, this installs there before its program is imported."""

    def __reduce__(self) -> Any:
        return install, ()


def _install_in_spawned() -> None:
    told = spawn.get_preparation_data

    @functools.wraps(told)
    def get_preparation_data(name: str) -> dict[str, Any]:
        return {**told(name), "as_torch": _Install()}

    spawn.get_preparation_data = get_preparation_data


def is_installed() -> bool:
    """Whether ``import torch`` gives eagergrad.

    >>> is_installed()
    False
    """
    return sys.modules.get("torch") is eagergrad


def install() -> None:
    """Make ``import torch`` give eagergrad in this process, and ``torch.__version__`` PyTorch's with eagergrad's appended.

    Types of elements that eagergrad has not are there by name, for tables of types, and refused by every function. Processes that
    `multiprocessing` starts, forked or spawned, go on like that. A second call changes nothing.

    Raises:
        RuntimeError: PyTorch is imported already.
    """
    if is_installed():
        return
    if "torch" in sys.modules:
        raise RuntimeError(
            "[as_torch] PyTorch is imported already, from "
            f"{getattr(sys.modules['torch'], '__file__', None)}: install eagergrad under its name before anything "
            "imports torch"
        )
    for name in _ABSENT_DTYPES:
        setattr(eagergrad, name, AbsentDtype(name))
    for name, of in _ABSENT_ALIASES.items():
        setattr(eagergrad, name, getattr(eagergrad, of))
    version = TorchVersion(f"{PYTORCH}+eagergrad.{__version__}")
    eagergrad.__version__ = eagergrad.version.__version__ = version
    eagergrad.torch = eagergrad  # type: ignore[attr-defined]  # old programs say torch.torch.Tensor
    # What a vmap runs may ask for the values of its tensors (`func.vmap`).
    _C._are_functorch_transforms_active = lambda: False  # type: ignore[attr-defined]
    _install_in_spawned()
    sys.meta_path.insert(0, _Finder())
    importlib.import_module("torch")


def main(args: Sequence[str]) -> None:
    """Run a script, or after ``-m`` a module, with its arguments."""
    if not args or (args[0] in ("-h", "--help", "-m") and len(args) < 2):
        raise SystemExit("usage: python -m eagergrad.as_torch script.py|-m module [arguments]")
    install()
    if args[0] == "-m":
        sys.argv = list(args[1:])
        runpy.run_module(args[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(args)
        sys.path[0] = os.path.dirname(os.path.abspath(args[0]))
        runpy.run_path(args[0], run_name="__main__")


if __name__ == "__main__":
    from eagergrad import as_torch  # the module that programs find, not this run of it

    as_torch.main(sys.argv[1:])
