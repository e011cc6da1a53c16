"""Subclasses of Tensor: __torch_function__ is asked, results keep the class, and the switch turns it off."""

from __future__ import annotations

import copy
import importlib
import operator
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
import interpreter
from eagergrad import nn
from eagergrad.nn import functional as F
from eagergrad.overrides import (
    BaseTorchFunctionMode,
    TorchFunctionMode,
    get_default_nowrap_functions,
    has_torch_function,
)


class Kept(eg.Tensor):
    """Takes Tensor's own __torch_function__."""


class Logged(eg.Tensor):
    calls: list[str] = []

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.calls.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs)


class Deaf(eg.Tensor):
    __torch_function__ = eg._C._disabled_torch_function_impl


def kept(*shape: int) -> Any:
    return eg.arange(1.0, 1.0 + int(np.prod(shape))).reshape(shape).as_subclass(Kept)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x + 1,
        lambda x: 1 - x,
        lambda x: 2**x,
        lambda x: eg.ones(2, 2) @ x,
        lambda x: -x,
        lambda x: ~(x > 1),
        lambda x: eg.ones(2, 2) < x,
        lambda x: x[0],
        lambda x: eg.stack([eg.ones(2, 2), x]),
        lambda x: eg.add(eg.ones(2, 2), other=x),
        lambda x: x.to(eg.float64),
        lambda x: x.float(),
        lambda x: x.T,
        lambda x: x.data,
        lambda x: x.detach(),
        lambda x: x.norm(),
        lambda x: x.new_zeros(2),
        lambda x: next(iter(x)),
        lambda x: x.max(0).values,
        lambda x: x.split(1)[1],
        lambda x: x.requires_grad_(),
        lambda x: eg.where(x > 2, x, 0.0),
        lambda x: eg.einsum("ij,jk", x, x),
        lambda x: F.softmax(x, -1),
        lambda x: F.cross_entropy(x, eg.tensor([0, 1])),
        lambda x: nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.LayerNorm(3))(x),
        copy.deepcopy,
        copy.copy,
        lambda x: pickle.loads(pickle.dumps(x)),
    ],
)
def test_results_keep_the_class(make: Any) -> None:
    plain = eg.arange(1.0, 5.0).reshape(2, 2)
    eg.manual_seed(0)
    got = make(plain.as_subclass(Kept))
    eg.manual_seed(0)
    want = make(plain)
    assert type(got) is Kept and type(want) is eg.Tensor
    np.testing.assert_array_equal(got.detach().numpy(), want.detach().numpy())


def test_history_passes_through_the_class() -> None:
    x = eg.tensor([1.0, 2.0], requires_grad=True)
    y = x.as_subclass(Kept)
    assert not y.is_leaf and y.grad_fn.name() == "AliasBackward0"
    (y * y).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0] and type(x.grad) is eg.Tensor


def test_writes_stay_in_their_object() -> None:
    x = before = kept(3)
    x += 1
    x.mul_(2)
    x[0] = 7
    assert x is before and x.tolist() == [7.0, 6.0, 8.0]
    plain = same = eg.zeros(3)
    plain[1] = x[1]
    plain += x
    assert type(plain) is Kept and same.tolist() == [7.0, 12.0, 8.0]


def test_a_class_sees_what_is_called() -> None:
    x = eg.tensor([1.0, 2.0]).as_subclass(Logged)
    Logged.calls.clear()
    y = (x * 2).sum() + eg.exp(x).mean()
    z = 1 - y / 2 // 1
    assert (z == z).item() and type(z) is Logged
    assert Logged.calls == "mul sum exp mean add div __floordiv__ __rsub__ __eq__ item".split()


@pytest.mark.parametrize("op", [operator.add, operator.mul, operator.pow, operator.lt, eg.add])
def test_classes_that_know_nothing_of_each_other_refuse(op: Any) -> None:
    with pytest.raises(TypeError):
        op(kept(2), eg.ones(2).as_subclass(Logged))


def test_the_subclass_is_asked_before_its_base() -> None:
    class Base(eg.Tensor):
        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            return cls.__name__

    class Derived(Base):
        pass

    a, b = eg.ones(1).as_subclass(Base), eg.ones(1).as_subclass(Derived)
    assert eg.add(a, b) == a + b == "Derived" and eg.add(a, 1) == "Base"


def test_asking_can_be_switched_off() -> None:
    x = kept(2)
    with eg._C.DisableTorchFunctionSubclass():
        assert type(x + 1) is type(x.float().T) is eg.Tensor and not has_torch_function([x])
    assert type(x + 1) is Kept and has_torch_function([x])
    assert type(eg.ones(2).as_subclass(Deaf) + 1) is eg.Tensor
    assert not has_torch_function([nn.Parameter(eg.ones(1)), eg.ones(1)])


def test_gradients_are_not_handed_over() -> None:
    x = kept(2).requires_grad_()
    (x * 2).sum().backward()
    assert type(x.grad) is eg.Tensor and eg.Tensor.grad.__get__ in get_default_nowrap_functions()


def test_methods_of_the_class_may_call_its_base() -> None:
    class Tagged(eg.Tensor):
        def clone(self, *args: Any, **kwargs: Any) -> Any:
            made = super().clone(*args, **kwargs)
            made.tag = "copy"
            return made

        def __add__(self, other: Any) -> Any:
            return super().__add__(other)

    x = Tagged([1.0, 2.0])
    assert x.clone().tag == "copy" and type(x + 1) is Tagged
    assert repr(x) == "Tagged([1., 2.])" == str(x)


def test_a_parameter_of_a_class_of_its_own() -> None:
    p = nn.Parameter(kept(2))
    layer = nn.Module()
    layer.weight = p
    assert type(p) is Kept and isinstance(p, nn.Parameter) and p.requires_grad
    assert next(iter(layer.parameters())) is p
    assert repr(p).startswith("Parameter(Kept([1., 2.]") and not isinstance(kept(2), nn.Parameter)
    assert type(nn.Parameter(eg.ones(1))) is nn.Parameter


def test_the_package_has_no_subclass_that_is_asked(tmp_path: Path) -> None:
    program = (
        "import eagergrad as eg, eagergrad.sparse.row_sparse, eagergrad.nn.parameter, eagergrad.optim\n"
        "asks = lambda: hasattr(eg.Tensor.float, '__wrapped__')\n"
        "before = asks()\nclass Mine(eg.Tensor): pass\nassert (before, asks()) == (False, True)"
    )
    interpreter.run_code(program, tmp_path)


def test_torch_does_the_same() -> None:
    torch = pytest.importorskip("torch")
    said = []
    for lib in (eg, torch):
        calls: list[str] = []

        class Log(lib.Tensor):
            @classmethod
            def __torch_function__(
                cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                calls.append(func.__name__)
                return super().__torch_function__(func, types, args, kwargs or {})

        x = lib.ones(2, 2).as_subclass(Log)
        y = lib.ones(2, 2)
        1 + x, 2 * x, x - 1, x @ y, y @ x, x % 2, x**2, 2**x, x != y, y < x, abs(x), -x, x.T, x[0]
        x.to(lib.float64), x.long() & 1, x.norm(), x.cpu(), x.tolist(), x.sum(), repr(x), 3 in x
        x += 1
        y[0] = x[0]
        lib.stack([x, y]), lib.where(x > 0, x, y), lib.nn.functional.linear(x, x)
        said.append(calls)
    assert said[0] == said[1]


def test_modes_see_every_call_as_torchs_do() -> None:
    torch = pytest.importorskip("torch")
    said = []
    for lib in (eg, torch):
        calls: list[Any] = []
        mode = importlib.import_module(f"{lib.__name__}.overrides").TorchFunctionMode

        class Log(mode):  # type: ignore[misc, valid-type]
            def __init__(self, name: str) -> None:
                self.name = name

            def __torch_function__(
                self, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                calls.append((self.name, func.__name__, len(args), sorted(kwargs or {})))
                return func(*args, **(kwargs or {}))

        class Own(lib.Tensor):
            pass

        own = lib.ones(3, 4).as_subclass(Own)
        with Log("outer"):
            x = lib.ones(3, 4)
            y = 2 * x - x / 3
            y += 1
            x[0] = y[1]
            lib.stack([x, y]), lib.where(x > 0, x, y), x @ y.t(), x.view(4, 3), lib.arange(3)
            with Log("inner"):
                calls.append(type(own * 2).__name__)
                x.sum(dim=1)
            x.mean()
        x.sum()
        said.append(calls)
    assert said[0] == said[1]


def test_a_mode_may_change_results_and_refuse() -> None:
    class Doubles(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            return result * 2 if func is eg.add else result

    class Refuses(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            return NotImplemented

    x = eg.ones(2)
    with Doubles():
        assert eg.add(x, x).tolist() == [4, 4]
        assert (x * x).tolist() == [1, 1]
    with Refuses(), pytest.raises(TypeError, match="the mode Refuses returned NotImplemented"):
        eg.ones(2)
    with TorchFunctionMode(), pytest.raises(NotImplementedError, match="has no __torch_function__"):
        eg.ones(2)
    assert eg.add(x, x).tolist() == [2, 2]


def test_a_mode_of_one_thread_leaves_others_alone() -> None:
    seen: list[str] = []

    class Log(BaseTorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs)

    with Log():
        thread = threading.Thread(target=lambda: eg.ones(2) + 1)
        thread.start()
        thread.join()
        eg.zeros(2)
    assert seen == ["zeros"]


class Stranger:
    """No tensor; says what it was asked."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func, types, args


def test_operators_ask_strangers_about_methods_of_tensors():
    x, stranger = eg.ones(2), Stranger()
    for name in ("add", "sub", "mul", "matmul"):
        asked, types, args = getattr(operator, name)(x, stranger)
        assert asked is getattr(eg.Tensor, name)
        assert types == (Stranger,) and args[0] is x and args[1] is stranger


@pytest.mark.parametrize(
    "function",
    [eg.linalg.solve, eg.linalg.cholesky, eg.linalg.eigh, eg.logdet, eg.isclose, eg.cov],
    ids=lambda f: f.__name__,
)
def test_functions_in_python_ask_strangers(function):
    stranger = Stranger()
    asked, types, args = function(stranger, eg.ones(2, 2))
    assert asked is function and types == (Stranger,) and args[0] is stranger
    with pytest.raises(TypeError):
        function(object(), eg.ones(2, 2))
