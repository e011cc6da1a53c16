"""The whole suite on a GPU: `pytest --device=cuda`, or `--device=emulated` without a card.

The device is the default device of each test, so that tensors are made there, and their values come back to NumPy as if they had
never been away. What speaks of the host alone is marked: `@pytest.mark.host("reason")`, on a test or a whole file.
"""

from __future__ import annotations

import contextlib
import functools
import os
import runpy
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

OWN = ("gpu", "device")  # fixtures of tests that name the device themselves
places: Counter[str] = Counter()  # tests by why they ran on the host; "" for those on the device


def reason_for_the_host(item: pytest.Item) -> str:
    """Why a test stays on the host; an empty string if it does not."""
    marker = item.get_closest_marker("host")
    return marker.args[0] if marker else ""


def names_its_device(item: pytest.Item) -> bool:
    return any(name in OWN for name in getattr(item, "fixturenames", ()))


def constants(item: Any) -> list[dict[str, Any]]:
    """What was made before the test: the names of its file, its parameters."""
    parameters = getattr(item, "callspec", None)
    return [vars(item.module), *([parameters.params] if parameters else [])]


def summary() -> list[str]:
    """Lines for the end of a run: how many tests ran on the device, how many on the host and why."""
    if not places:
        return []
    held = [(reason, n) for reason, n in places.most_common() if reason]
    counts = f"{places['']} tests on the device, {sum(n for _, n in held)} on the host"
    return [counts + (":" if held else ""), *(f"{n:6d}  {reason}" for reason, n in held)]


def asked_by_the_package() -> bool:
    """Whether eagergrad's own code wants NumPy's values, which it must not take for granted."""
    import eagergrad as eg

    frame = sys._getframe(1)
    while frame.f_back and (
        "/numpy/" in frame.f_code.co_filename
        or frame.f_code.co_filename == __file__
        or frame.f_code.co_name in ("__array__", "numpy")  # a subclass's, which hands it on
    ):
        frame = frame.f_back
    return frame.f_code.co_filename.startswith(os.path.dirname(eg.__file__))


def moved(value: Any) -> Any:
    """The value on the GPU, if there are tensors in it that were made when its file was read."""
    import eagergrad as eg

    if isinstance(value, (eg.Tensor, eg.nn.utils.rnn.PackedSequence, eg.nn.Module)):
        return value.to("cuda")
    if type(value) in (list, tuple):
        return type(value)(moved(v) for v in value)
    if type(value) is dict:
        return {k: moved(v) for k, v in value.items()}
    return value


@contextlib.contextmanager
def default(*constants: dict[str, Any]) -> Iterator[None]:
    """The GPU as the default device, its tensors readable by NumPy; what the dictionaries hold goes there."""
    import eagergrad as eg

    tensor = eg.Tensor
    numpy, array, from_numpy = tensor.numpy, tensor.__array__, eg.from_numpy
    raises = pytest.raises

    def on_host(t: Any) -> Any:
        if t.device.type == "cpu" or asked_by_the_package():
            return t
        return t.detach().cpu().requires_grad_(t.requires_grad)

    def to_device(t: Any) -> Any:
        return t if asked_by_the_package() else t.to(eg.get_default_device())

    def raises_in_time(*expected: Any, **options: Any) -> Any:
        if len(expected) > 1:
            return raises(*expected, **options)
        return waiting(raises(*expected, **options))

    @contextlib.contextmanager
    def waiting(block: Any) -> Iterator[Any]:
        with block as info:
            yield info
            eg.cuda.synchronize()  # the device finds indices and values wrong later

    with pytest.MonkeyPatch.context() as patch, eg.device("cuda"):
        patch.setattr(tensor, "numpy", lambda t, **options: numpy(on_host(t), **options))
        patch.setattr(tensor, "__array__", lambda t, *args, **o: array(on_host(t), *args, **o))
        patch.setattr(pytest, "raises", raises_in_time)
        for check in (
            "gradcheck",
            "gradgradcheck",
        ):  # an element at a time is thousands of launches
            along = functools.partial(getattr(eg.autograd, check), fast_mode=True)
            patch.setattr(eg.autograd, check, along)
        patch.setattr(eg, "from_numpy", lambda a: to_device(from_numpy(a)))
        for names in constants:
            for name, value in list(names.items()):
                if not name.startswith("__"):
                    patch.setitem(names, name, moved(value))
        yield


def run_program(chosen: str, *command: str) -> None:
    """Run a program on the device: `python tests/on_device.py emulated program.py arguments...`."""
    if chosen == "emulated":
        import emulated_gpu

        emulated_gpu.start()
    sys.argv[:] = command
    sys.path.insert(0, os.path.dirname(command[0]))
    with default():
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    run_program(*sys.argv[1:])
