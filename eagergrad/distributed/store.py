"""Stores: small tables of keys and bytes by which processes find each other."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from ._mailbox import DistError

__all__ = [
    "DistNetworkError",
    "DistStoreError",
    "FileStore",
    "HashStore",
    "PrefixStore",
    "Store",
    "StoreLost",
    "TCPStore",
]

_DEFAULT = timedelta(seconds=300)
_MAGIC = b"EGstore1"
_LARGEST = 1 << 28  # of a request: what asks for more is no program of ours


class DistStoreError(DistError):
    """A key did not appear in time, or the store does not answer."""


class DistNetworkError(DistError):
    """A process could not be reached."""


class StoreLost(DistNetworkError):
    """The process that keeps the store has ended, or closed it."""


_sockets: weakref.WeakSet = weakref.WeakSet()


def own(sock: socket.socket) -> socket.socket:
    """Remember a socket: forked children close theirs, so that it ends with this process."""
    _sockets.add(sock)
    return sock


def _close_inherited() -> None:
    for sock in list(_sockets):
        sock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)


def is_loopback(host: str) -> bool:
    return host == "localhost" or host == "::1" or host.startswith("127.")


def listen(host: str, port: int, backlog: int = 128) -> socket.socket:
    """A listening socket, for this machine alone where the host is its loopback."""
    if host == "::1":
        return own(socket.create_server((host, port), family=socket.AF_INET6, backlog=backlog))
    if is_loopback(host):
        return own(socket.create_server(("127.0.0.1", port), backlog=backlog))
    try:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        server = socket.create_server(
            ("", port), family=family, backlog=backlog, dualstack_ipv6=both
        )
    except OSError:
        server = socket.create_server(("", port), backlog=backlog)
    return own(server)


def _bytes(x: Any) -> bytes:
    return x.encode() if isinstance(x, str) else bytes(x)


class Store:
    """What all stores have; `_call(name, seconds, *arguments)` does the work.

    >>> store = HashStore()
    >>> store.set("key", "value"); store.get("key"), store.add("n", 2), store.add("n", 3)
    (b'value', 2, 5)
    """

    def __init__(self, timeout: timedelta = _DEFAULT) -> None:
        self._timeout = timeout

    def _call(self, name: str, seconds: float, *arguments: bytes) -> bytes:
        raise NotImplementedError

    @property
    def timeout(self) -> timedelta:
        """How long `get` and `wait` wait."""
        return self._timeout

    def set_timeout(self, timeout: timedelta) -> None:
        """Set how long `get` and `wait` wait."""
        self._timeout = timeout

    def _do(self, name: str, *arguments: Any, timeout: timedelta | None = None) -> bytes:
        seconds = (self._timeout if timeout is None else timeout).total_seconds()
        return self._call(name, seconds, *map(_bytes, arguments))

    def set(self, key: str, value: str | bytes) -> None:
        """Set a key."""
        self._do("set", key, value)

    def get(self, key: str) -> bytes:
        """Return a key's value when it has one."""
        return self._do("get", key)

    def add(self, key: str, amount: int) -> int:
        """Add to a key's number, 0 at first, and return the sum."""
        return int(self._do("add", key, str(int(amount))))

    def append(self, key: str, value: str | bytes) -> None:
        """Append to a key's value."""
        self._do("append", key, value)

    def compare_set(self, key: str, expected_value: str, desired_value: str) -> bytes:
        """Set a key if it has the expected value, or none and none is expected; return what it has then."""
        return self._do("compare_set", key, expected_value, desired_value)

    def wait(self, keys: Sequence[str], timeout: timedelta | None = None) -> None:
        """Wait until all keys are set."""
        self._do("wait", *keys, timeout=timeout)

    def check(self, keys: Sequence[str]) -> bool:
        """Return whether all keys are set."""
        return self._do("check", *keys) == b"1"

    def delete_key(self, key: str) -> bool:
        """Delete a key; return whether it was there."""
        return self._do("delete_key", key) == b"1"

    def num_keys(self) -> int:
        """Return the number of keys."""
        return int(self._do("num_keys"))

    def multi_get(self, keys: Sequence[str]) -> list[bytes]:
        """Return the values of several keys."""
        return [self.get(key) for key in keys]

    def multi_set(self, keys: Sequence[str], values: Sequence[str | bytes]) -> None:
        """Set several keys."""
        for key, value in zip(keys, values, strict=True):
            self.set(key, value)

    def has_extended_api(self) -> bool:
        """Return True: `append`, `multi_get` and `multi_set` are there."""
        return True


def _change(table: dict[bytes, bytes], name: str, arguments: tuple[bytes, ...]) -> bytes:
    """Do one thing to a table that needs no waiting."""
    key = arguments[0] if arguments else b""
    if name == "set":
        table[key] = arguments[1]
    elif name == "append":
        table[key] = table.get(key, b"") + arguments[1]
    elif name == "add":
        table[key] = str(int(table.get(key, b"0")) + int(arguments[1])).encode()
        return table[key]
    elif name == "compare_set":
        expected, desired = arguments[1:]
        if table.get(key, b"") == expected:
            table[key] = desired
        return table.get(key, expected)
    elif name == "delete_key":
        return b"0" if table.pop(key, None) is None else b"1"
    elif name == "num_keys":
        return str(len(table)).encode()
    elif name == "check":
        return b"1" if all(k in table for k in arguments) else b"0"
    elif name == "get":
        return table[key]
    return b""


def _missing(table: dict[bytes, bytes], name: str, arguments: tuple[bytes, ...]) -> list[str]:
    """The keys that have to be waited for."""
    wanted = arguments if name in ("get", "wait") else ()
    return [key.decode(errors="replace") for key in wanted if key not in table]


def _too_late(seconds: float, missing: list[str]) -> DistStoreError:
    return DistStoreError(f"wait timeout after {seconds * 1000:.0f}ms, keys: {', '.join(missing)}")


class HashStore(Store):
    """A table of this process, for its threads."""

    def __init__(self) -> None:
        super().__init__()
        self._table: dict[bytes, bytes] = {}
        self._changed = threading.Condition()

    def _call(self, name: str, seconds: float, *arguments: bytes) -> bytes:
        end = time.monotonic() + seconds
        with self._changed:
            while missing := _missing(self._table, name, arguments):
                left = end - time.monotonic()
                if left <= 0:
                    raise _too_late(seconds, missing)
                self._changed.wait(left)
            self._changed.notify_all()
            return _change(self._table, name, arguments)


class FileStore(Store):
    """A table in a file that all processes see."""

    def __init__(self, file_name: str, world_size: int = -1) -> None:
        super().__init__()
        self.path = file_name

    def _call(self, name: str, seconds: float, *arguments: bytes) -> bytes:
        end = time.monotonic() + seconds
        while True:
            with open(self.path, "a+b") as file:
                _lock(file)
                table = _read_table(file)
                missing = _missing(table, name, arguments)
                if not missing:
                    before = dict(table)
                    result = _change(table, name, arguments)
                    if table != before:
                        _write_table(file, table)
                    return result
            if time.monotonic() >= end:
                raise _too_late(seconds, missing)
            time.sleep(0.01)


def _lock(file: Any) -> None:
    try:
        import fcntl
    except ImportError:
        raise DistStoreError(
            "[FileStore] expected a system with file locks; use TCPStore"
        ) from None
    fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed


def _read_table(file: Any) -> dict[bytes, bytes]:
    file.seek(0)
    items = _unpack(file.read())
    return dict(zip(items[::2], items[1::2], strict=True))


def _write_table(file: Any, table: dict[bytes, bytes]) -> None:
    file.truncate(0)
    file.write(_pack([x for item in table.items() for x in item]))
    file.flush()


def _pack(items: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(x)) + x for x in items)


def _unpack(data: bytes) -> list[bytes]:
    items, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        items.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return items


class PrefixStore(Store):
    """Another store with a prefix before each key."""

    def __init__(self, prefix: str, store: Store) -> None:
        super().__init__(store.timeout)
        self._prefix, self.underlying_store = prefix, store

    def _call(self, name: str, seconds: float, *arguments: bytes) -> bytes:
        keys = len(arguments) if name in ("wait", "check") else min(len(arguments), 1)
        start = _bytes(self._prefix) + b"/"
        return self.underlying_store._call(
            name, seconds, *(start + x for x in arguments[:keys]), *arguments[keys:]
        )


# ---- over TCP ---------------------------------------------------------------------------------------------


def _receive(sock: socket.socket) -> bytes:
    """One frame: a length, and as many bytes."""
    (size,) = struct.unpack("<I", _exactly(sock, 4))
    if size > _LARGEST:
        raise ConnectionError(f"a frame of {size} bytes")
    return _exactly(sock, size)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = sock.recv(min(size - len(data), 1 << 20))
        if not part:
            raise ConnectionError("the connection was closed")
        data += part
    return bytes(data)


class _Server:
    """Answers the requests of TCPStores by a table of its own, a thread for each."""

    def __init__(self, host: str, port: int) -> None:
        self.table = HashStore()
        self.listener = listen(host, port)
        self.port = self.listener.getsockname()[1]
        self.connections: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="eagergrad-store", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections.add(own(sock))
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if _exactly(sock, len(_MAGIC)) == _MAGIC:
                sock.sendall(_MAGIC)
                while True:
                    name, seconds, *arguments = _unpack(_receive(sock))
                    try:
                        answer = b"+" + self.table._call(name.decode(), float(seconds), *arguments)
                    except DistStoreError as e:
                        answer = b"-" + str(e).encode()
                    sock.sendall(_pack([answer]))
        except (OSError, ValueError, IndexError, struct.error):
            pass  # it left, or it is no store's client
        finally:
            self.connections.discard(sock)
            sock.close()

    def close(self) -> None:
        for sock in (self.listener, *self.connections):
            try:
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
            except OSError:
                pass
            sock.close()


class TCPStore(Store):
    """A table that the process with ``is_master`` keeps and all others reach over TCP.

    Raises:
        DistNetworkError: nobody answers at the address in time, or no store does.

    >>> store = TCPStore("127.0.0.1", 0, is_master=True)
    >>> other = TCPStore("127.0.0.1", store.port)
    >>> store.set("key", "value"); other.get("key")
    b'value'
    """

    def __init__(
        self,
        host_name: str,
        port: int,
        world_size: int | None = None,
        is_master: bool = False,
        timeout: timedelta = _DEFAULT,
        wait_for_workers: bool = True,
        multi_tenant: bool = False,
        master_listen_fd: int | None = None,
        use_libuv: bool = True,
    ) -> None:
        super().__init__(timeout)
        self._server: _Server | None = None
        if is_master:
            try:
                self._server = _Server(host_name, port)
            except OSError as e:
                raise DistNetworkError(
                    f"[TCPStore] expected to listen at {host_name}:{port}, came: {e}"
                ) from None
            port = self._server.port
        self.host, self.port = host_name, port
        self._turn = threading.Lock()
        self._end: Callable[[], Any] = weakref.finalize(self, _close, self._server, None)
        self._sock = _connect(host_name, port, timeout.total_seconds())
        self._end.detach()  # type: ignore[attr-defined]
        self._end = weakref.finalize(self, _close, self._server, self._sock)
        if wait_for_workers and world_size is not None and world_size > 0:
            if self.add("init/workers", 1) == world_size:
                self.set("init/all", "1")
            self.wait(["init/all"])

    def _call(self, name: str, seconds: float, *arguments: bytes) -> bytes:
        with self._turn:
            try:
                self._sock.settimeout(seconds + 30)  # the server answers after `seconds`
                self._sock.sendall(
                    _pack([_pack([name.encode(), str(seconds).encode(), *arguments])])
                )
                answer = _receive(self._sock)
            except OSError as e:
                raise StoreLost(
                    f"[TCPStore] the store at {self.host}:{self.port} does not answer: {e}"
                ) from None
        if answer[:1] != b"+":
            raise DistStoreError(answer[1:].decode())
        return answer[1:]

    def close(self) -> None:
        """Disconnect; the master's store ends."""
        self._end()


def _close(server: _Server | None, sock: socket.socket | None) -> None:
    if sock is not None:
        sock.close()
    if server is not None:
        server.close()


_CLOSING = 10.0  # seconds for which a store that closes, to make place for the next, is tried again


def _connect(host: str, port: int, seconds: float) -> socket.socket:
    """Try until the master listens."""
    start = time.monotonic()
    pause = 0.01
    while True:
        waited = time.monotonic() - start
        try:
            sock = own(socket.create_connection((host, port), max(0.1, seconds - waited)))
        except OSError as e:
            if waited + pause > seconds:
                raise DistNetworkError(
                    f"[TCPStore] expected a store at {host}:{port} within {seconds:.0f} s, came: {e}"
                ) from None
        else:
            try:
                return _greet(sock, seconds)
            except (OSError, ValueError) as e:
                sock.close()
                closed = isinstance(e, ConnectionError)
                if not closed or waited + pause > min(seconds, _CLOSING):
                    raise DistNetworkError(
                        f"[TCPStore] what listens at {host}:{port} is no store of ours: {e}"
                    ) from None
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def _greet(sock: socket.socket, seconds: float) -> socket.socket:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(min(30.0, max(1.0, seconds)))
    sock.sendall(_MAGIC)
    if _exactly(sock, len(_MAGIC)) != _MAGIC:
        raise ValueError("another program's answer")
    return sock
