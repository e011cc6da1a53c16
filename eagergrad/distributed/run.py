"""Start a program as several processes: ``python -m eagergrad.distributed.run --nproc_per_node 4 script.py ...``.

Each finds RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT and the like in its environment. When one fails, its rank
is printed, all others are ended within five seconds, and its exit code is the launcher's. On several machines, each is
given --nnodes, --node_rank and the first one's --master_addr and --master_port.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any

__all__ = ["main", "run"]

_LOCAL_RANK = "--local-rank="  # of a command: the number comes after it
_GRACE = 2.0  # seconds between the request to end and the end


def launcher_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="eagergrad.distributed.run", description=__doc__)
    for names, options in (
        (
            ["--nproc_per_node"],
            {"default": "1", "help": "processes here: a number, or auto, cpu, gpu"},
        ),
        (["--nnodes"], {"default": "1", "help": "number of machines"}),
        (["--node_rank"], {"type": int, "default": 0, "help": "this machine's number"}),
        (["--master_addr"], {"default": "127.0.0.1", "help": "address of machine 0"}),
        (["--master_port"], {"type": int, "default": 29500, "help": "a free port there; 0: any"}),
        (["--rdzv_endpoint"], {"default": "", "help": "master's address:port"}),
        (["--rdzv_backend", "--rdzv_id", "--rdzv_conf"], {"default": "", "help": "accepted"}),
        (["--max_restarts"], {"type": int, "default": 0, "help": "start all anew so often"}),
    ):
        for name in names:
            parser.add_argument(name, name.replace("_", "-"), **options)
    parser.add_argument("--standalone", action="store_true", help="one machine, any free port")
    parser.add_argument("-m", "--module", action="store_true", help="the program is a module")
    parser.add_argument("--no_python", "--no-python", action="store_true", help="it is no Python")
    parser.add_argument("training_script")
    parser.add_argument("training_script_args", nargs=argparse.REMAINDER)
    return parser


def _processes(text: str) -> int:
    if text.isdigit() and int(text) > 0:
        return int(text)
    if text not in ("auto", "cpu", "gpu"):
        raise ValueError(
            f"[run] --nproc_per_node expected a number, auto, cpu or gpu, got {text!r}"
        )
    from eagergrad import cuda

    if text != "cpu" and cuda.is_available():
        return cuda.device_count()
    if text == "gpu":
        raise ValueError("[run] --nproc_per_node gpu: there is no GPU")
    return os.cpu_count() or 1


class _Workers:
    """The processes of this machine, and in which order they ended."""

    def __init__(self, command: list[str], environments: list[dict[str, str]]) -> None:
        self.ended: queue.SimpleQueue = queue.SimpleQueue()
        # sessions of their own, so that their children end with them
        self.processes = [
            subprocess.Popen(
                [p + extra["LOCAL_RANK"] if p is _LOCAL_RANK else p for p in command],
                env={**os.environ, **extra},
                start_new_session=True,
            )
            for extra in environments
        ]
        self.ranks = [extra["RANK"] for extra in environments]
        self.reports = [extra["TORCHELASTIC_ERROR_FILE"] for extra in environments]
        for i, p in enumerate(self.processes):
            threading.Thread(target=self._watch, args=(i, p), daemon=True).start()

    def _watch(self, i: int, p: subprocess.Popen) -> None:
        self.ended.put((i, p.wait()))

    def wait(self) -> int:
        """Until all have ended well, or one has not: its exit code."""
        for _ in self.processes:
            i, code = self.ended.get()
            if code:
                return self._explain(i, code)
        return 0

    def _explain(self, i: int, code: int) -> int:
        """Say who failed first, which need not be who ended first: those that miss it may end sooner."""
        first = min(range(len(self.reports)), key=self._failed_at)
        if self._failed_at(first) < self._failed_at(i) < float("inf"):  # without a report: killed
            i = first
            try:
                code = self.processes[i].wait(1.0) or 1
            except subprocess.TimeoutExpired:
                code = 1
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        _say(
            f"rank {self.ranks[i]} (process {self.processes[i].pid}) failed with {how}; ending all"
        )
        return 128 - code if code < 0 else code

    def _failed_at(self, i: int) -> float:
        try:
            return os.stat(self.reports[i]).st_mtime_ns
        except OSError:
            return float("inf")

    def end(self) -> None:
        """Ask all and their children to end, and end them."""
        alive = [p for p in self.processes if p.poll() is None]
        for p in self.processes:
            _signal(p, signal.SIGTERM)
        limit = time.monotonic() + _GRACE
        while any(p.poll() is None for p in alive) and time.monotonic() < limit:
            time.sleep(0.02)
        for p in self.processes:
            _signal(p, signal.SIGKILL)


def _signal(p: subprocess.Popen, number: int) -> None:
    try:
        os.killpg(p.pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _say(text: str) -> None:
    print(f"[eagergrad.distributed.run] {text}", file=sys.stderr, flush=True)


def _interrupt(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


def run(args: argparse.Namespace) -> int:
    """Start the processes, wait for them, and return the exit code."""
    count, nodes = _processes(args.nproc_per_node), int(args.nnodes.split(":")[0])
    if not 0 <= args.node_rank < nodes:
        raise ValueError(f"[run] --node_rank expected 0 to {nodes - 1}, got {args.node_rank}")
    host, port = args.master_addr, args.master_port
    if args.rdzv_endpoint:
        host, _, given = args.rdzv_endpoint.rpartition(":")
        host, port = (host, int(given)) if host else (given, port)
    if args.standalone:
        host, port = "127.0.0.1", 0
    command = [] if args.no_python else [sys.executable, "-u", *(["-m"] if args.module else [])]
    by_argument = [_LOCAL_RANK] if getattr(args, "pass_local_rank", False) else []
    command += [args.training_script, *by_argument, *args.training_script_args]
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, _interrupt)
    for attempt in range(args.max_restarts + 1):
        code = _run_once(command, count, nodes, args.node_rank, host, port, attempt)
        if code == 0:
            break
    return code


def _run_once(
    command: list[str], count: int, nodes: int, node: int, host: str, port: int, attempt: int
) -> int:
    from .store import TCPStore

    # The store lives here: no port is free at one moment and taken at the next.
    store = TCPStore(host, port, is_master=True) if node == 0 else None
    common = {
        "MASTER_ADDR": host,
        "MASTER_PORT": str(store.port if store else port),
        "WORLD_SIZE": str(count * nodes),
        "LOCAL_WORLD_SIZE": str(count),
        "GROUP_RANK": str(node),
        "GROUP_WORLD_SIZE": str(nodes),
        "TORCHELASTIC_RUN_ID": "none",
        "TORCHELASTIC_RESTART_COUNT": str(attempt),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    if count > 1:
        common["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")
    reports = tempfile.TemporaryDirectory(prefix="eagergrad-run-")
    own = [
        {
            "LOCAL_RANK": str(i),
            "RANK": str(node * count + i),
            "ROLE_RANK": str(node * count + i),
            "TORCHELASTIC_ERROR_FILE": os.path.join(reports.name, f"{i}.json"),
        }
        for i in range(count)
    ]
    workers = _Workers(command, [{**common, **x} for x in own])
    try:
        return workers.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        workers.end()
        reports.cleanup()
        if store:
            store.close()


def main(args: Sequence[str] | None = None, parser: argparse.ArgumentParser | None = None) -> None:
    """The command line."""
    try:
        code = run((parser or launcher_parser()).parse_args(args))
    except (ValueError, OSError, RuntimeError) as e:
        _say(str(e))
        code = 2
    raise SystemExit(code)


if __name__ == "__main__":
    main()
