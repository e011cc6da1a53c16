"""Saving and loading: structures, aliasing, safety, damage; pickles and copies of tensors."""

import argparse
import collections
import contextlib
import copy
import enum
import functools
import io
import json
import math
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import nn, serialization

Pair = collections.namedtuple("Pair", "left right")


class Mode(enum.Enum):
    FAST = "fast"


class Config:
    def __init__(self):
        self.width = 3


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 3)
        self.outer = nn.Linear(3, 2, bias=False)
        self.act = nn.functional.relu
        self.act2 = eg.tanh
        self.register_buffer("steps", eg.zeros(1, dtype=eg.int64))

    def forward(self, x):
        return self.outer(self.act2(self.act(self.inner(x))))


def round_trip(obj, **options):
    f = io.BytesIO()
    eg.save(obj, f)
    f.seek(0)
    return eg.load(f, **options)


PLAIN = [
    None,
    True,
    3,
    -(10**30),
    2.5,
    "text ü",
    b"\x00\xff",
    1 + 2j,
    [1, [2, []]],
    (1, (2,)),
    {"a": 1, "$": 2},
    {1: "int", None: (), (1, 2): 3},
    {1, 2},
    frozenset({3}),
    collections.OrderedDict(b=1, a=2),
    collections.Counter("aab"),
    collections.deque([1, 2]),
    slice(1, None, 2),
    range(3, 9, 2),
    ...,
    pathlib.Path("a/b"),
    Pair(1, [2]),
    argparse.Namespace(lr=0.1, sizes=[1, 2]),
]


@pytest.mark.parametrize("obj", PLAIN, ids=lambda o: type(o).__name__)
def test_plain_values_come_back(obj):
    back = round_trip(obj)
    assert back == obj and type(back).__name__ == type(obj).__name__


def test_odd_floats_come_back():
    back = round_trip([math.inf, -math.inf, math.nan, -0.0])
    assert back[:2] == [math.inf, -math.inf]
    assert math.isnan(back[2]) and math.copysign(1, back[3]) == -1


def test_results_with_names_come_back():
    x = eg.tensor([[1.0, 3.0], [4.0, 2.0]])
    for found in (x.max(1), x.sort(1), eg.linalg.qr(x), eg.linalg.slogdet(x)):
        for back in (pickle.loads(pickle.dumps(found)), round_trip(found, weights_only=False)):
            assert type(back) is type(found) and type(back).__module__ == "eagergrad.return_types"
            assert all(map(eg.equal, back, found))
    with pytest.raises(AttributeError, match="relu"):
        _ = eg.return_types.relu


def test_framework_values_come_back():
    back = round_trip([eg.float16, eg.device("cpu"), eg.Size([2, 3])])
    assert back == [eg.float16, eg.device("cpu"), eg.Size([2, 3])]


def test_numpy_values_come_back():
    objects = np.array([1, "a"], dtype=object)
    back = round_trip([np.arange(6).reshape(2, 3), np.float32(1.5), np.int64(2), objects])
    assert np.array_equal(back[0], np.arange(6).reshape(2, 3))
    assert back[1] == 1.5 and isinstance(back[1], np.float32) and isinstance(back[2], np.int64)
    assert back[3].tolist() == [1, "a"]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (2, 3)])
def test_tensors_come_back(dtype, shape):
    t = (eg.rand(shape) * 3).to(getattr(eg, dtype))
    back = round_trip({"t": t})["t"]
    assert back.dtype == t.dtype and back.shape == t.shape
    assert back.tolist() == t.tolist()


def test_requires_grad_and_parameters_come_back():
    back = round_trip([eg.ones(2, requires_grad=True), nn.Parameter(eg.zeros(1))])
    assert back[0].requires_grad and back[0].is_leaf
    assert isinstance(back[1], nn.Parameter) and back[1].requires_grad


def test_strided_tensors_keep_their_values():
    x = eg.arange(12).reshape(3, 4)
    for view in [x.t(), x[:, ::2], x[1:], x[0].expand(5, 4)]:
        assert round_trip(view).tolist() == view.tolist()


def test_views_share_memory_again():
    x = eg.zeros(4, 4)
    row, same, copy_ = round_trip([x[1], x, x.clone()])
    row.fill_(1.0)
    assert same[1].tolist() == [1.0] * 4 and copy_.sum() == 0


def test_one_object_twice_is_one_object():
    p, inner = nn.Parameter(eg.ones(2)), [1]
    a, b, c, d = round_trip([p, p, inner, inner])
    assert a is b and c is d


def test_cycles_come_back():
    a = [1]
    a.append({"me": a})
    back = round_trip(a)
    assert back[1]["me"] is back


def test_a_view_of_a_large_tensor_is_saved_alone():
    f = io.BytesIO()
    eg.save(eg.zeros(100_000)[:5], f)
    assert len(f.getvalue()) < 2000


def test_state_dicts_come_back():
    net = Net()
    optimizer = eg.optim.Adam(net.parameters(), lr=0.1)
    net(eg.ones(1, 2)).sum().backward()
    optimizer.step()
    back = round_trip({"net": net.state_dict(), "opt": optimizer.state_dict(), "epoch": 3})
    other = Net()
    other.load_state_dict(back["net"])
    assert eg.equal(other.inner.weight, net.inner.weight)
    assert list(back["opt"]["state"]) == list(optimizer.state_dict()["state"])
    again = eg.optim.Adam(other.parameters(), lr=0.5)
    again.load_state_dict(back["opt"])
    assert again.param_groups[0]["lr"] == 0.1


def test_whole_module_comes_back():
    net = Net()
    net.outer.weight = nn.Parameter(net.inner.weight.detach().t().clone())
    net.alias = net.inner
    back = round_trip(net)
    x = eg.ones(1, 2)
    assert type(back) is Net and eg.equal(back(x), net(x))
    assert back.alias is back.inner


def test_foreign_classes_need_permission():
    with pytest.raises(RuntimeError, match="Config"):
        round_trip(Config())
    assert round_trip(Config(), weights_only=False).width == 3
    with serialization.safe_globals([Config]):
        assert round_trip(Config()).width == 3
    assert serialization.get_safe_globals() == []
    with pytest.raises(RuntimeError, match="Mode"):
        round_trip(Mode.FAST)
    assert round_trip(Mode.FAST, weights_only=False) is Mode.FAST


def rewritten(obj, change):
    f = io.BytesIO()
    eg.save(obj, f)
    out = io.BytesIO()
    with zipfile.ZipFile(f) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "tree.json":
                tree = json.loads(data)
                tree["root"] = change
                data = json.dumps(tree)
            new.writestr(name, data)
    return out


@pytest.mark.parametrize(
    "node",
    [
        {"$": "global", "name": "os:system"},
        {"$": "global", "name": "eagergrad.serialization:os.system"},
        {"$": "object", "class": "os:system", "call": True, "args": ["true"]},
        {"$": "object", "class": "eagergrad:save", "call": True, "args": [1, "made_by_load"]},
        {"$": "object", "class": "subprocess:Popen", "state": {}},
    ],
)
def test_a_forged_file_runs_nothing(node):
    with pytest.raises(RuntimeError, match="load"):
        eg.load(rewritten(1, node))
    assert not os.path.exists("made_by_load")


def test_what_cannot_be_stored_is_named_with_its_place(tmp_path):
    path = tmp_path / "x.pt"
    eg.save(1, path)
    with pytest.raises(TypeError, match=r"meta\.fn"):
        eg.save({"meta": {"fn": lambda: 0}}, path)
    with pytest.raises(TypeError, match="generator"):
        eg.save([(c for c in "a")], path)
    assert eg.load(path) == 1
    assert os.listdir(tmp_path) == ["x.pt"]


def test_partial_of_our_function():
    back = round_trip(functools.partial(nn.functional.relu, inplace=False), weights_only=False)
    assert back(eg.tensor([-1.0])).tolist() == [0.0]


@pytest.mark.parametrize("name", ["a.pt", "b.pth", "c", "d.tar"])
def test_any_suffix(tmp_path, name):
    eg.save({"w": eg.arange(3)}, str(tmp_path / name))
    for where in ("cpu", eg.device("cpu"), {"cpu": "cpu"}):
        assert eg.load(tmp_path / name, map_location=where)["w"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".safetensors"])
def test_flat_formats(tmp_path, suffix):
    pytest.importorskip("h5py" if suffix == ".h5" else "numpy")
    path = tmp_path / ("w" + suffix)
    state = {"a.weight": eg.rand(2, 3), "b": eg.tensor(3), "h": eg.rand(2).bfloat16()}
    eg.save(state, path)
    back = eg.load(path)
    assert set(back) == set(state)
    for name, t in state.items():
        assert back[name].dtype == t.dtype and back[name].tolist() == t.tolist()
    with pytest.raises(TypeError, match=r"dict of tensors|by string names"):
        eg.save({"a": {"b": 1}}, path)


def test_safetensors_library_reads_ours_and_we_its(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "w.safetensors"
    eg.save({"a": eg.ones(2, 3), "n": eg.tensor([7])}, path)
    theirs = library.load_file(path)
    assert theirs["a"].shape == (2, 3) and theirs["n"].tolist() == [7]
    library.save_file({"b": np.arange(4.0)}, path)
    assert eg.load(path)["b"].tolist() == [0.0, 1.0, 2.0, 3.0]
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(RuntimeError, match="damaged"):
        eg.load(path)


def test_mapped_load_leaves_the_file_alone(tmp_path):
    path = tmp_path / "w.pt"
    eg.save({"w": eg.zeros(1000), "t": eg.ones(2, 3).t()}, path)
    w = eg.load(path, mmap=True)
    w["w"].fill_(2.0)
    assert w["t"].shape == (3, 2)
    assert eg.load(path)["w"].sum() == 0


def test_arrays_are_ordinary_npy_members():
    f = io.BytesIO()
    eg.save({"fc": {"weight": eg.ones(2, 3)}}, f)
    f.seek(0)
    with np.load(f) as z:
        assert z["data/fc.weight"].shape == (2, 3)


def test_damage_is_reported(tmp_path):
    path = tmp_path / "w.pt"
    eg.save({"w": eg.arange(1000)}, path)
    data = path.read_bytes()
    for broken in [data[:-40], b"PK" + data[50:], b"\x80\x02junk", data[:3000] + b"x" * 99]:
        path.write_bytes(broken)
        with pytest.raises(RuntimeError, match="load"):
            eg.load(path)
    flipped = bytearray(data)
    flipped[1000] ^= 255
    path.write_bytes(flipped)
    with pytest.raises(RuntimeError, match="damaged"):
        eg.load(path)
    with pytest.raises(FileNotFoundError):
        eg.load(tmp_path / "none.pt")


def test_every_damaged_byte_is_reported_or_harmless(tmp_path):
    path = tmp_path / "w.pt"
    eg.save({"w": eg.ones(2)}, path)
    data = path.read_bytes()
    for at in (i for i in range(len(data)) if data[i] not in b"\0 "):  # less the padding
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x5A]) + data[at + 1 :])
        with contextlib.suppress(RuntimeError):
            eg.load(path, mmap=at % 2 == 0)


def test_map_location_function_sees_every_tensor():
    seen = []
    round_trip([eg.zeros(1), eg.ones(1)], map_location=lambda t, where: seen.append(where))
    assert seen == [str(eg.zeros(1).device)] * 2


def test_reduce_and_rebuild():
    for t in [eg.rand(2, 3), eg.tensor(1), nn.Parameter(eg.ones(2)), eg.ones(2).bfloat16()]:
        function, arguments = serialization.reduce_tensor(t)
        back = function(*copy.deepcopy(arguments))
        assert type(back) is type(t) and back.requires_grad == t.requires_grad
        assert back.dtype == t.dtype and back.tolist() == t.tolist()


def test_deepcopy_of_leaves_only():
    w = eg.ones(2, requires_grad=True)
    (w * 2).sum().backward()
    twin = serialization.deepcopy_tensor(w, {})
    assert twin.requires_grad and twin.grad.tolist() == [2.0, 2.0] and twin is not w
    with pytest.raises(RuntimeError, match="detach"):
        serialization.deepcopy_tensor(w * 2, {})


def test_torch_state_dicts_convert_both_ways():
    torch = pytest.importorskip("torch")
    state = torch.nn.Linear(2, 3).state_dict()
    state["half"] = torch.ones(2, dtype=torch.bfloat16)
    ours = serialization.from_torch_state(state)
    assert ours["half"].dtype == eg.bfloat16
    back = serialization.to_torch_state(ours)
    assert np.array_equal(back["weight"], state["weight"].numpy())


def test_an_empty_file_ends_too_soon(tmp_path) -> None:
    (tmp_path / "none.pt").touch()
    with pytest.raises(EOFError, match="is empty"):
        eg.load(tmp_path / "none.pt")
