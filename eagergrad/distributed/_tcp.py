"""The mailbox over TCP: a connection between every two processes, found through a store."""

from __future__ import annotations

import os
import secrets
import selectors
import socket
import struct
import time
import weakref
from collections import deque
from typing import Any

from ._mailbox import HEADER, Arrival, DistBackendError, Mailbox, Request, gone
from .store import DistNetworkError, Store, _exactly, is_loopback, listen, own

__all__ = ["TcpMailbox"]

# A process says hello with this, the token of the process it calls, its rank and the size of its world.
_HELLO = struct.Struct("<8s16sII")
_MAGIC = b"EGmesh01"
_meshes: weakref.WeakSet = weakref.WeakSet()


class _Peer:
    """The connection to one process, with what is half sent and half received."""

    def __init__(self, rank: int, sock: socket.socket) -> None:
        self.rank, self.sock = rank, sock
        self.outgoing: deque[tuple[Request, list[memoryview]]] = deque()
        self.head = memoryview(bytearray(HEADER.size))
        self.arrival: Arrival | None = None
        self.key = (0, 0)  # channel and tag of the arrival
        self.got = 0  # bytes of the head, or of the arrival


class TcpMailbox(Mailbox):
    """Messages over one socket for each other process."""

    def __init__(self, rank: int, sockets: dict[int, socket.socket], size: int) -> None:
        super().__init__(rank, size)
        self._selector = selectors.DefaultSelector()
        self._peers = {r: _Peer(r, sock) for r, sock in sockets.items()}
        for peer in self._peers.values():
            peer.sock.setblocking(False)
            self._selector.register(peer.sock, selectors.EVENT_READ, peer)
        _meshes.add(self)

    def close(self) -> None:
        """Send what is begun, for a second at most, and leave."""
        end = time.monotonic() + 1.0
        with self.changed:
            while any(p.outgoing for p in self._peers.values()) and time.monotonic() < end:
                self._move(0.1)
            for peer in list(self._peers.values()):
                self._read(
                    peer
                )  # to close with something unread would cost the peer what is on its way to it
                self._lose(peer, "this process has left the group")
            self._helper = None
            self.changed.notify_all()

    def _forked(self) -> None:
        """In a forked child: the connections belong to the parent."""
        rank, size = self.rank, self.size
        Mailbox.__init__(self, rank, size)
        self._peers = {}
        text = f"this process was forked from rank {rank}, which alone speaks for it"
        self.gone = {r: text for r in range(size) if r != rank}

    # -- sending -----------------------------------------------------------------------------------------------

    def _transmit(self, request: Request, parts: list[memoryview]) -> None:
        peer = self._peers[request.peer]  # type: ignore[index]
        peer.outgoing.append((request, parts))
        if len(peer.outgoing) == 1:
            self._write(peer)
            if peer.outgoing:
                self._watch(peer, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _write(self, peer: _Peer) -> None:
        try:
            while peer.outgoing:
                request, parts = peer.outgoing[0]
                while parts:
                    sent = peer.sock.sendmsg(parts)
                    while parts and sent >= len(parts[0]):
                        sent -= len(parts.pop(0))
                    if sent:
                        parts[0] = parts[0][sent:]
                peer.outgoing.popleft()
                request.end()
        except BlockingIOError:
            pass
        except OSError as e:
            self._lose(peer, gone(peer.rank, e))

    def _watch(self, peer: _Peer, events: int) -> None:
        self._selector.modify(peer.sock, events, peer)

    # -- receiving ---------------------------------------------------------------------------------------------

    def _progress(self, timeout: float) -> None:
        if not self._peers:
            self.changed.wait(timeout)
            return
        self.changed.release()
        try:
            events = self._selector.select(timeout)
        finally:
            self.changed.acquire()
        for key, mask in events:
            peer = key.data
            if mask & selectors.EVENT_READ and peer.rank in self._peers:
                self._read(peer)
            if mask & selectors.EVENT_WRITE and peer.rank in self._peers:
                self._write(peer)
                if not peer.outgoing and peer.rank in self._peers:
                    self._watch(peer, selectors.EVENT_READ)

    def _read(self, peer: _Peer) -> None:
        try:
            while True:
                view = peer.head if peer.arrival is None else peer.arrival.view
                if peer.got < len(view):
                    count = peer.sock.recv_into(view[peer.got :])
                    if not count:
                        return self._lose(peer, gone(peer.rank))
                    peer.got += count
                if peer.got == len(view):
                    self._next(peer)
        except BlockingIOError:
            pass
        except OSError as e:
            self._lose(peer, gone(peer.rank, e))

    def _next(self, peer: _Peer) -> None:
        """A head or a body is there."""
        peer.got = 0
        if peer.arrival is not None:
            arrival, peer.arrival = peer.arrival, None
            return self._arrived(arrival, *peer.key)
        channel, tag, kind, size = HEADER.unpack(peer.head)
        arrival = self._header(peer.rank, channel, tag, kind, size)
        peer.key = (channel, tag)
        if size:
            peer.arrival = arrival
        else:
            self._arrived(arrival, channel, tag)

    def _cut_off(self, request: Request) -> None:
        for peer in self._peers.values():
            if peer.arrival is not None and peer.arrival.request is request:
                peer.arrival.request = None
                peer.arrival.view = memoryview(bytearray(peer.arrival.view))

    def _lose(self, peer: _Peer, text: str) -> None:
        if self._peers.pop(peer.rank, None) is None:
            return
        self._selector.unregister(peer.sock)
        try:
            peer.sock.shutdown(socket.SHUT_RDWR)  # wakes who waits for it
        except OSError:
            pass
        peer.sock.close()
        for request, _ in peer.outgoing:
            request.end(text)
        if peer.arrival is not None and peer.arrival.request is not None:
            peer.arrival.request.end(text)
        self._left(peer.rank, text)


def _after_fork() -> None:
    for mesh in list(_meshes):
        mesh._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# ---- finding each other -----------------------------------------------------------------------------------


def connect(store: Store, rank: int, size: int, seconds: float) -> TcpMailbox:
    """Join the others through the store.

    DistBackendError, at once, for ranks that disagree about the size or take one rank twice, and for one that
    does not come in time.
    """
    end = time.monotonic() + seconds
    host, shown = _addresses(store)
    listener = listen(host, 0, size)
    token = secrets.token_bytes(16)
    port = listener.getsockname()[1]
    try:
        _claim(store, rank, size, f"{shown} {port} {token.hex()}")
        sockets = {}
        for other in range(rank):
            sockets[other] = _call(_address(store, other, end), other, rank, size, end)
        while len(sockets) < size - 1:
            _answer(listener, token, rank, size, sockets, store, end)
        for other in range(rank):
            try:
                if _exactly(sockets[other], len(_MAGIC)) != _MAGIC:
                    raise ConnectionError("another program's answer")
            except OSError as e:
                raise _late([other], f"its answer was: {e}") from None
    finally:
        listener.close()
    for sock in sockets.values():
        _tune(sock)
    return TcpMailbox(rank, sockets, size)


def _addresses(store: Store) -> tuple[str, str]:
    """Where to listen, and what to tell others."""
    inner: Any = store
    while hasattr(inner, "underlying_store"):
        inner = inner.underlying_store
    master = getattr(inner, "host", None)
    if master is None:  # no host is known: the store is this machine's, or a file that it shares
        name = socket.gethostname() if not hasattr(inner, "_table") else "localhost"
        try:
            own_address = socket.gethostbyname(name)
        except OSError:
            own_address = "127.0.0.1"
        return own_address, own_address
    address = inner._sock.getsockname()[0] if hasattr(inner, "_sock") else "127.0.0.1"
    if is_loopback(address):
        return ("", master) if not is_loopback(master) else ("127.0.0.1", "127.0.0.1")
    return "", address


def _claim(store: Store, rank: int, size: int, address: str) -> None:
    """Take the rank, unless the others disagree."""
    known = store.compare_set("size", "", str(size)).decode()
    if known != str(size):
        _refuse(store, f"rank {rank} expects a world of {size} processes, others one of {known}")
    if store.compare_set(f"rank{rank}", "", address).decode() != address:
        _refuse(store, f"two processes say that they are rank {rank}, or one of an earlier run")


def _refuse(store: Store, text: str) -> None:
    store.set("refused", text)
    raise DistBackendError(f"[init_process_group] {text}")


def _check_refused(store: Store) -> None:
    if store.check(["refused"]):
        raise DistBackendError(f"[init_process_group] {store.get('refused').decode()}")


def _address(store: Store, rank: int, end: float) -> tuple[str, int, bytes]:
    pause = 0.001
    while not store.check([f"rank{rank}"]):
        _check_refused(store)
        if time.monotonic() > end:
            raise _late([rank])
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    host, port, token = store.get(f"rank{rank}").decode().split()
    return host, int(port), bytes.fromhex(token)


def _late(ranks: list[int], why: str = "") -> DistBackendError:
    return DistBackendError(
        f"[init_process_group] rank(s) {ranks} did not join the group in time"
        + (f"; {why}" if why else "")
    )


def _call(address: tuple[str, int, bytes], other: int, rank: int, size: int, end: float) -> Any:
    host, port, token = address
    try:
        sock = own(socket.create_connection((host, port), max(1.0, end - time.monotonic())))
        sock.sendall(_HELLO.pack(_MAGIC, token, rank, size))
    except OSError as e:
        raise DistNetworkError(
            f"[init_process_group] rank {rank} cannot reach rank {other} at {host}:{port}: {e}"
        ) from None
    sock.settimeout(max(1.0, end - time.monotonic()))
    return sock


def _answer(
    listener: Any, token: bytes, rank: int, size: int, sockets: dict, store: Store, end: float
) -> None:
    """Take one call; strangers and processes of other runs do not know the token."""
    listener.settimeout(0.2)
    try:
        sock, _ = listener.accept()
    except TimeoutError:
        _check_refused(store)
        if time.monotonic() > end:
            raise _late([r for r in range(size) if r != rank and r not in sockets]) from None
        return
    try:
        sock.settimeout(5.0)
        magic, shown, other, theirs = _HELLO.unpack(_exactly(sock, _HELLO.size))
        known = (magic, shown, theirs) == (_MAGIC, token, size)
        if not known or not rank < other < size or other in sockets:
            raise ConnectionError("a stranger")
        sock.sendall(_MAGIC)
    except OSError:
        sock.close()
        return
    sockets[other] = own(sock)


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # A machine that vanishes without a word is noticed after half a minute.
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
