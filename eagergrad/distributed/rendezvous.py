"""How processes find each other: from an address, the environment or a file to a store, and from it to the mailbox."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlparse

from ._mailbox import Mailbox
from ._tcp import TcpMailbox
from ._tcp import connect as mesh
from .store import FileStore, PrefixStore, Store, StoreLost, TCPStore

__all__ = ["rendezvous"]


def rendezvous(
    url: str, rank: int = -1, world_size: int = -1, timeout: timedelta = timedelta(seconds=300)
) -> Iterator[tuple[Store, int, int]]:
    """Yield a store, this process's rank and the number of processes for "env://", "tcp://" or "file://".

    ValueError for other addresses, and where the rank or the number of processes is not known.
    """
    parts = urlparse(url)
    known = dict(parse_qsl(parts.query))
    env = parts.scheme == "env"
    number = rank if rank >= 0 else _number(known.get("rank"), "RANK", env, "rank")
    size = (
        world_size
        if world_size >= 0
        else _number(known.get("world_size"), "WORLD_SIZE", env, "size")
    )
    if not 0 <= number < size:
        raise ValueError(f"[rendezvous] expected a rank of 0 to {size - 1}, got {number}")
    if parts.scheme == "file":
        path = parts.netloc + parts.path
        if not path:
            raise ValueError(f"[rendezvous] expected file:///path, got {url!r}")
        yield FileStore(path, size), number, size
        return
    if env:
        host, port = _variable("MASTER_ADDR"), int(_variable("MASTER_PORT"))
    elif parts.scheme == "tcp" and parts.hostname and parts.port is not None:
        host, port = parts.hostname, parts.port
    else:
        raise ValueError(
            f"No rendezvous handler for {url!r}: expected env://, tcp://host:port or file:///path"
        )
    store = TCPStore(host, port, is_master=number == 0 and not _launchers(port), timeout=timeout)
    store._of_group = True  # type: ignore[attr-defined]
    yield store, number, size


def _launchers(port: int) -> bool:
    """Does the launcher keep the store at this port?"""
    kept = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return kept and os.environ.get("MASTER_PORT") == str(port)


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise ValueError(
            "Error initializing eagergrad.distributed using env:// rendezvous: environment variable "
            f"{name} expected, but not set"
        )
    return value


def _number(text: str | None, variable: str, env: bool, what: str) -> int:
    if text is not None:
        return int(text)
    if not env:
        raise ValueError(f"[rendezvous] {what} parameter missing: give rank and world_size")
    return int(_variable(variable))


_uses: Counter = (
    Counter()
)  # of an address or a store: the n-th group made through it has keys of its own


def connect(
    store: Store | None, method: str | None, rank: int | None, size: int | None, seconds: float
) -> tuple[Mailbox, Store | None]:
    """This process's mailbox over TCP, and the store by which it was made."""
    rank, size = (-1 if x is None else x for x in (rank, size))
    if store is not None:
        if size <= 0 or not 0 <= rank < size:
            raise ValueError(
                "[init_process_group] expected world_size and rank, of 0 to world_size - 1, with a store"
            )
        return _join(store, id(store), rank, size, seconds), store
    if method is None and size == 1 and rank <= 0 and "MASTER_PORT" not in os.environ:
        return TcpMailbox(0, {}, 1), None  # said to be alone: nobody has to be found
    end = time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        found = rendezvous(method or "env://", rank, size, timedelta(seconds=max(1.0, left)))
        store, number, count = next(iter(found))
        where = f"{getattr(store, 'host', '')} {getattr(store, 'port', '') or getattr(store, 'path', '')}"
        try:
            mailbox = _join(store, where, number, count, left)
            if isinstance(store, FileStore) and store.add("joined", 1) == count:
                os.remove(store.path)  # the next run begins with none
            return mailbox, store
        except StoreLost:  # the first rank was about to close the store of an earlier group
            if left <= 0:
                raise
        time.sleep(0.05)


def _join(store: Store, where: Any, rank: int, size: int, seconds: float) -> Mailbox:
    if size == 1:
        return TcpMailbox(0, {}, 1)
    made = mesh(PrefixStore(f"group{_uses[where]}", store), rank, size, seconds)
    _uses[where] += 1
    return made
