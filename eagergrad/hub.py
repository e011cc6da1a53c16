"""Models of a folder with a ``hubconf.py``, and weights from a URL, kept in a cache.

Code is never downloaded: ``load`` takes ``source="local"`` alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlparse

import eagergrad as eg

__all__ = [
    "download_url_to_file",
    "get_dir",
    "help",
    "list",
    "load",
    "load_state_dict_from_url",
    "set_dir",
]

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")  # net-1a2b3c4d.pth names the start of its SHA-256
_dir: str | None = None


def _get_torch_home() -> str:
    """``$TORCH_HOME``, else ``~/.cache/torch``: libraries ask for it under this name."""
    cache = os.environ.get("XDG_CACHE_HOME", os.path.join("~", ".cache"))
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def get_dir() -> str:
    """Return the folder of the cache: `set_dir`'s, else ``$TORCH_HOME/hub``, else ``~/.cache/torch/hub``."""
    return os.path.join(_get_torch_home(), "hub") if _dir is None else _dir


def set_dir(d: str) -> None:
    """Choose the folder of the cache."""
    global _dir
    _dir = os.path.expanduser(d)


def _hubconf(repo_or_dir: str, source: str) -> Any:
    if source != "local":
        raise ValueError(
            f"[hub] source={source!r} would download code; eagergrad loads from a folder: source='local'"
        )
    folder = os.path.expanduser(repo_or_dir)
    path = os.path.join(folder, "hubconf.py")
    spec = importlib.util.spec_from_file_location("hubconf", path)
    if spec is None or spec.loader is None or not os.path.exists(path):
        raise FileNotFoundError(f"[hub] {folder} has no hubconf.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def _entrypoint(module: Any, name: str) -> Any:
    found = getattr(module, name, None)
    if not callable(found):
        raise RuntimeError(f"[hub] cannot find callable {name} in hubconf")
    return found


def list(
    github: str, force_reload: bool = False, skip_validation: bool = False, *, source: str = "local"
) -> Any:
    """Return the names of the models of a folder's ``hubconf.py``."""
    names = vars(_hubconf(github, source))
    return [n for n, v in names.items() if callable(v) and not n.startswith("_")]


def help(
    github: str,
    model: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    *,
    source: str = "local",
) -> Any:
    """Return the docstring of a model of a folder's ``hubconf.py``."""
    return _entrypoint(_hubconf(github, source), model).__doc__


def load(
    repo_or_dir: str,
    model: str,
    *args: Any,
    source: str = "github",
    force_reload: bool = False,
    verbose: bool = True,
    **kwargs: Any,
) -> Any:
    """Return what a model of a folder's ``hubconf.py`` makes of the other arguments.

    Raises:
        ValueError: ``source`` is not "local".
    """
    return _entrypoint(_hubconf(repo_or_dir, source), model)(*args, **kwargs)


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Write what a URL holds to a file, which appears whole or not at all.

    Raises:
        RuntimeError: its SHA-256 does not begin with ``hash_prefix``.
    """
    dst = os.path.expanduser(dst)
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(dst) or ".", delete=False) as part:
        try:
            sha256 = hashlib.sha256()
            with urllib.request.urlopen(url) as response:
                while block := response.read(1 << 20):
                    sha256.update(block)
                    part.write(block)
            part.close()
            found = sha256.hexdigest()
            if hash_prefix and not found.startswith(hash_prefix):
                raise RuntimeError(
                    f'[hub] invalid hash value (expected "{hash_prefix}", got "{found}")'
                )
            os.replace(part.name, dst)
        except BaseException:
            os.unlink(part.name)
            raise
    if progress:
        print(f"{url} is now {dst}", file=sys.stderr)


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> Any:
    """Load the file of this URL from the cache (``model_dir``, else ``checkpoints`` in `get_dir`), fetched first if it
    is not there.

    Raises:
        RuntimeError: with ``check_hash``, the file is not the one that its name says.
    """
    folder = model_dir or os.path.join(get_dir(), "checkpoints")
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        named = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, path, named and named.group(1), progress=progress)
    return eg.load(path, map_location=map_location)


class _NoBar:
    """What `tqdm` is where that package is not installed: what it counts, and nothing to be seen."""

    def __init__(self, iterable: Iterable[Any] = (), *args: Any, **options: Any) -> None:
        self.iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self.iterable)

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def update(self, n: int = 1) -> None:
        """Counts nothing."""

    def close(self) -> None:
        """Ends nothing."""


def __getattr__(name: str) -> Any:
    if name == "tqdm":  # libraries take the package from here, whether it is there or not
        try:
            from tqdm.auto import tqdm
        except ImportError:
            return _NoBar
        return tqdm
    raise AttributeError(f"module 'eagergrad.hub' has no attribute {name!r}")
