"""Options of the suite: `--device`, and `--against=torch` to prove the tests themselves."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

import on_device

_start = time.monotonic()


class _Alias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import `eagergrad.x` as `torch.x`."""

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name.startswith("eagergrad."):
            return importlib.util.spec_from_loader(name, self)
        return None

    def create_module(self, spec):  # type: ignore[no-untyped-def]
        self.spec = None
        module = importlib.import_module("torch" + spec.name[len("eagergrad") :])
        self.spec = module.__spec__
        return module

    def exec_module(self, module):  # type: ignore[no-untyped-def]
        module.__spec__ = self.spec


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        default="cpu",
        help="device the tensors of the tests live on: cpu, cuda, or emulated (the GPU's kernels on the host)",
    )
    parser.addoption(
        "--shard",
        default="",
        help="I/N: the I-th (from 1) of N parts of the tests, for N processes side by side",
    )
    parser.addoption("--seconds", type=float, default=0, help="start no test after so long")
    parser.addoption("--against", default="", help="'torch': run the tests on torch instead")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ours: what eagergrad promises beyond PyTorch")
    config.addinivalue_line("markers", "long: left out under emulation, which it takes minutes")
    config.addinivalue_line(
        "markers", "host(reason): speaks of the host alone, whatever --device says"
    )
    if config.getoption("--against") == "torch":
        import torch

        torch.set_num_threads(1)
        sys.meta_path.insert(0, _Alias())
        sys.modules["eagergrad"] = torch


def _missing_device(config: pytest.Config) -> str:
    device = config.getoption("--device")
    if device == "cpu":
        return ""
    import eagergrad as eg

    if device == "emulated":
        import emulated_gpu

        reason = emulated_gpu.missing()
        if not reason:
            emulated_gpu.start()
        return reason
    return "" if eg.cuda.is_available() else f"no {device} device on this machine"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--shard"):
        mine, parts = map(int, config.getoption("--shard").split("/"))
        # Mixed, so that a run cut short has seen some of everything.
        items.sort(key=lambda item: zlib.crc32(item.nodeid.encode()))
        items[:] = items[mine - 1 :: parts]
    reason = _missing_device(config)
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))
    if config.getoption("--device") == "emulated":
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="takes the emulation minutes"))
    if config.getoption("--against"):
        for item in items:
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            if item.get_closest_marker("ours"):
                item.add_marker(pytest.mark.skip(reason="not promised by the stand-in"))


def pytest_runtest_teardown(item: pytest.Item) -> None:
    limit = item.config.getoption("--seconds")
    if limit and time.monotonic() - _start > limit:
        item.session.shouldstop = f"stopped after {limit:g} s"


def pytest_terminal_summary(terminalreporter, config) -> None:  # type: ignore[no-untyped-def]
    reason = _missing_device(config)
    if reason:
        count = len(terminalreporter.stats.get("skipped", []))
        terminalreporter.write_line(f"{count} tests skipped: {reason}")
    for line in on_device.summary():
        terminalreporter.write_line(line)


def _without_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are compared to more digits than the 10 bits of TF32 have."""
    import eagergrad as eg

    monkeypatch.setattr(eg.backends.cudnn, "allow_tf32", False)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    return "cpu" if request.config.getoption("--device") == "cpu" else "cuda"


@pytest.fixture(autouse=True)
def _on_the_device(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The device that the run is for is the default device of the test."""
    chosen = request.config.getoption("--device")
    reason = on_device.reason_for_the_host(request.node)
    if chosen != "cpu":
        on_device.places[reason] += 1
    if chosen == "cpu" or reason:
        yield
        return
    import eagergrad as eg

    _without_tf32(monkeypatch)
    names_it = on_device.names_its_device(request.node)
    with nullcontext() if names_it else on_device.default(*on_device.constants(request.node)):
        yield
        eg.cuda.synchronize()
    if chosen == "emulated":
        import emulated_gpu

        emulated_gpu.check_listed()
        emulated_gpu.check_races()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A GPU for tests of the GPU's own code: the real one, else the emulated one, else a skip with the reason."""
    import emulated_gpu

    with emulated_gpu.running():
        _without_tf32(monkeypatch)
        yield "cuda"
