"""Module: registration, walking, state, conversion, hooks, containers, copies."""

import copy
import gc
import io
import pickle
import warnings
from collections import OrderedDict

import numpy as np
import pytest

import eagergrad as eg
from eagergrad import nn
from eagergrad.nn.modules import module as module_file


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.Tanh(), nn.Linear(4, 2))
        self.register_buffer("steps", eg.zeros(1))
        self.register_buffer("scratch", eg.zeros(2), persistent=False)

    def forward(self, x):
        return self.rest(self.first(x))


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(eg.tensor([2.0]))

    def forward(self, x, *, plus=0.0):
        return x * self.factor + plus


# ---- registration ------------------------------------------------------------------------------------------------


def test_attributes_register_by_kind():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "first.weight", "first.bias", "rest.1.weight", "rest.1.bias",
    ]  # fmt: skip
    assert [n for n, _ in net.named_buffers()] == ["steps", "scratch"]
    assert [n for n, _ in net.named_children()] == ["first", "rest"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert "first" in dir(net) and "steps" in dir(net)


def test_a_name_moves_between_kinds():
    m = nn.Module()
    m.x = 3
    m.x = nn.Parameter(eg.zeros(2))
    assert "x" not in m.__dict__ and list(m._parameters) == ["x"]
    with pytest.raises(TypeError, match="as parameter 'x'"):
        m.x = 3
    m.x = None
    assert m.x is None
    del m.x
    m.x = nn.Tanh()
    assert list(m._modules) == ["x"]
    with pytest.raises(TypeError, match="as child module 'x'"):
        m.x = 3
    m.y = nn.Buffer(eg.zeros(1), persistent=False)
    assert list(m._buffers) == ["y"] and m.state_dict() == {}
    m.y = eg.ones(1)
    assert m._buffers["y"].item() == 1
    with pytest.raises(TypeError, match="as buffer 'y'"):
        m.y = 3


def test_errors_of_registration():
    m = nn.Module()
    m.taken = 1
    for register in (m.register_parameter, m.register_buffer, m.add_module):
        with pytest.raises(KeyError):
            register("a.b", None)
        with pytest.raises(KeyError):
            register("", None)
        with pytest.raises(KeyError):
            register("taken", None)
        with pytest.raises(TypeError):
            register(3, None)
        with pytest.raises(TypeError):
            register("other", 3)
    computed = nn.Parameter(eg.ones(2), requires_grad=False)
    computed.mul_(eg.ones(2, requires_grad=True))
    with pytest.raises(ValueError, match="non-leaf"):
        m.register_parameter("computed", computed)


def test_assignment_before_init_says_so():
    class Late(nn.Module):
        def __init__(self, value):
            self.value = value

    for value in (nn.Parameter(eg.zeros(1)), nn.Tanh()):
        with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
            Late(value)


def test_missing_attribute_and_forward_are_clear():
    m = nn.Module()
    with pytest.raises(AttributeError, match="'Module' object has no attribute 'nope'"):
        m.nope
    with pytest.raises(NotImplementedError, match="forward"):
        m(1)
    with pytest.raises(TypeError, match="unexpected"):
        nn.Module(3)


# ---- calling and looking up, for which there are C slots ---------------------------------------------------------


def test_a_subclass_may_extend_attribute_lookup():
    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(self.inner, name)

    wrapped = Wrapper(nn.Linear(3, 2))
    assert wrapped.in_features == 3 and wrapped.weight is wrapped.inner.weight
    with pytest.raises(AttributeError):
        wrapped.nope


def test_a_subclass_may_write_its_own_call():
    class Loud(nn.Tanh):
        def __call__(self, x):
            return "called", super().__call__(x).tolist()

    assert Loud()(eg.zeros(1)) == ("called", [0.0])


def test_forward_of_the_instance_comes_first():
    m = nn.Tanh()
    m.forward = lambda x: "mine"
    assert m(1) == "mine"
    del m.forward
    assert m(eg.zeros(1)).tolist() == [0.0]


def test_arguments_arrive_as_given():
    class Echo(nn.Module):
        def forward(self, *args, **kwargs):
            return args, kwargs

    assert Echo()() == ((), {})
    assert Echo()(*range(20), a=1, b=2) == (tuple(range(20)), {"a": 1, "b": 2})


def test_a_failing_property_says_what_is_missing():
    class Odd(nn.Module):
        @property
        def size(self):
            return self.nope

    with pytest.raises(AttributeError):
        Odd().size


def test_patching_the_class_takes_effect(monkeypatch):
    class Some(nn.Module):
        def forward(self):
            return "forward"

    monkeypatch.setattr(nn.Module, "__call__", lambda self: "patched")
    assert Some()() == "patched"


# ---- walking -----------------------------------------------------------------------------------------------------


def test_shared_parameters_and_modules_come_once():
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, shared)
    assert len(list(net.parameters())) == 2 and len(list(net.modules())) == 2
    assert len(list(net.children())) == 1
    names = [n for n, _ in net.named_parameters(remove_duplicate=False)]
    assert names == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert list(net.state_dict()) == names


def test_paths_find_their_target():
    net = Net()
    assert net.get_submodule("rest.1") is net.rest[1] and net.get_submodule("") is net
    assert net.get_parameter("rest.1.bias") is net.rest[1].bias
    assert net.get_buffer("steps") is net.steps
    for get, path in (
        (net.get_submodule, "rest.7"),
        (net.get_parameter, "rest.1.nope"),
        (net.get_parameter, "steps"),
        (net.get_buffer, "first.weight"),
    ):
        with pytest.raises(AttributeError):
            get(path)
    net.set_submodule("rest.0", nn.ReLU())
    assert isinstance(net.rest[0], nn.ReLU)


def test_apply_visits_children_first():
    seen = []
    net = Net()
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "Tanh", "Linear", "Sequential", "Net"]


def test_train_and_eval_reach_everything():
    net = Net()
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())
    with pytest.raises(ValueError):
        net.train("yes")


def test_requires_grad_and_zero_grad():
    net = Net()
    net(eg.ones(1, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(float(p.grad.abs().sum()) == 0 for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


# ---- state dict --------------------------------------------------------------------------------------------------


def test_state_dict_round_trip():
    a, b = Net(), Net()
    report = b.load_state_dict(a.state_dict())
    assert str(report) == "<All keys matched successfully>" and report.missing_keys == []
    x = eg.ones(2, 3)
    assert eg.equal(a(x), b(x))
    assert list(a.state_dict()) == [
        "steps", "first.weight", "first.bias", "rest.1.weight", "rest.1.bias",
    ]  # fmt: skip
    assert a.state_dict()._metadata["first"] == {"version": 1}


def test_state_dict_shares_memory_and_is_detached():
    net = nn.Linear(2, 1)
    state = net.state_dict()
    assert not state["weight"].requires_grad
    state["weight"].fill_(7.0)
    assert net.weight[0, 0].item() == 7
    assert net.state_dict(keep_vars=True)["weight"] is net.weight
    assert list(net.state_dict(prefix="p.")) == ["p.weight", "p.bias"]


def test_arrays_load_as_tensors():
    net = nn.Linear(2, 1)
    net.load_state_dict({"weight": np.ones((1, 2), np.float32), "bias": np.zeros(1, np.float32)})
    assert net(eg.ones(1, 2)).tolist() == [[2.0]]


def test_a_bad_state_dict_loads_nothing_and_names_all_faults():
    net = Net()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    bad = OrderedDict((k, v + 1) for k, v in net.state_dict().items())
    del bad["steps"]
    bad["extra.weight"] = eg.zeros(1)
    bad["rest.1.weight"] = eg.zeros(5, 5)
    with pytest.raises(RuntimeError) as e:
        net.load_state_dict(bad)
    text = str(e.value)
    assert "Error(s) in loading state_dict for Net" in text
    assert 'Missing key(s) in state_dict: "steps"' in text
    assert 'Unexpected key(s) in state_dict: "extra.weight"' in text
    assert "size mismatch for rest.1.weight" in text and "(5, 5)" in text and "(2, 4)" in text
    assert all(eg.equal(v, before[k]) for k, v in net.state_dict().items())


def test_not_strict_reports_and_loads_the_rest():
    net = nn.Linear(2, 1)
    report = net.load_state_dict({"weight": eg.ones(1, 2), "more": eg.zeros(1)}, strict=False)
    assert report.missing_keys == ["bias"] and report.unexpected_keys == ["more"]
    assert net.weight.tolist() == [[1.0, 1.0]]
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict({"weight": eg.ones(3, 3)}, strict=False)
    with pytest.raises(TypeError):
        net.load_state_dict([1])


def test_assign_takes_the_given_tensors():
    net = nn.Linear(2, 1)
    new = eg.ones(1, 2)
    net.load_state_dict({"weight": new, "bias": eg.zeros(1)}, assign=True)
    new.fill_(5.0)
    assert net.weight[0, 0].item() == 5 and isinstance(net.weight, nn.Parameter)
    assert net.weight.requires_grad


def test_extra_state_travels():
    class Counted(nn.Module):
        def __init__(self):
            super().__init__()
            self.count = 0

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    a, b = Counted(), Counted()
    a.count = 5
    b.load_state_dict(a.state_dict())
    assert b.count == 5
    with pytest.raises(RuntimeError, match="_extra_state"):
        nn.Module().load_state_dict(a.state_dict())


def test_state_dict_hooks():
    net = nn.Linear(2, 1)
    calls = []
    net.register_state_dict_pre_hook(lambda m, prefix, keep: calls.append(("pre", prefix)))
    net.register_state_dict_post_hook(lambda m, d, prefix, meta: d.pop(prefix + "bias") and None)
    assert list(net.state_dict()) == ["weight"] and calls == [("pre", "")]

    other = nn.Linear(2, 1)

    def rename(module, state, prefix, *rest):
        state[prefix + "weight"] = state.pop(prefix + "w")

    def forgive(module, keys):
        keys.missing_keys.clear()

    other.register_load_state_dict_pre_hook(rename)
    other.register_load_state_dict_post_hook(forgive)
    other.load_state_dict({"w": eg.ones(1, 2)})
    assert other.weight.tolist() == [[1.0, 1.0]]


def test_a_subclass_may_load_its_own_way():
    class Old(nn.Linear):
        def _load_from_state_dict(self, state, prefix, *rest):
            state[prefix + "weight"] = state[prefix + "weight"] * 2
            super()._load_from_state_dict(state, prefix, *rest)

    net = nn.Sequential(Old(2, 1))
    net.load_state_dict({"0.weight": eg.ones(1, 2), "0.bias": eg.zeros(1)})
    assert net[0].weight.tolist() == [[2.0, 2.0]]


# ---- conversion and copies ---------------------------------------------------------------------------------------


def test_to_casts_floating_tensors_only():
    net = nn.Linear(2, 1)
    net.register_buffer("count", eg.zeros(1, dtype=eg.int64))
    weight = net.weight
    assert net.double() is net and net.weight is weight
    assert net.weight.dtype == eg.float64 and net.count.dtype == eg.int64
    assert net.to(eg.float32).weight.dtype == eg.float32
    assert net.to("cpu", eg.float64).weight.dtype == eg.float64
    assert net.to(eg.zeros(1)).weight.dtype == eg.float32
    assert net.half().weight.dtype == eg.float16 and net.bfloat16().weight.dtype == eg.bfloat16
    assert net.float().cpu().weight.dtype == eg.float32
    with pytest.raises(TypeError, match="floating point"):
        net.to(eg.int64)
    with pytest.raises(TypeError):
        net.to(nope=1)


def test_gradients_are_cast_with_their_parameters():
    net = nn.Linear(2, 1)
    net(eg.ones(1, 2)).sum().backward()
    net.double()
    assert net.weight.grad.dtype == eg.float64
    net(eg.ones(1, 2, dtype=eg.float64)).sum().backward()
    assert net.weight.grad.tolist() == [[2.0, 2.0]]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_equal_and_separate(copied):
    net = Net()
    twin = copied(net)
    x = eg.ones(1, 3)
    assert eg.equal(net(x), twin(x))
    with eg.no_grad():
        twin.first.weight.fill_(0.0)
    assert not eg.equal(net(x), twin(x))
    assert isinstance(twin.first.weight, nn.Parameter) and twin.first.weight.requires_grad


def test_a_copy_keeps_shared_parameters_shared():
    net = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    net[1].weight = net[0].weight
    twin = copy.deepcopy(net)
    assert twin[1].weight is twin[0].weight and twin[0].weight is not net[0].weight


def test_parameter_shares_memory_and_checks_its_input():
    data = eg.zeros(2)
    p = nn.Parameter(data)
    data.fill_(3.0)
    assert p.tolist() == [3.0, 3.0] and p.is_leaf and p.requires_grad
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    assert isinstance(p, eg.Tensor) and type(p * 2) is eg.Tensor
    assert repr(p).startswith("Parameter containing:")
    with pytest.raises(TypeError):
        nn.Parameter([1.0])
    with pytest.raises(RuntimeError):
        nn.Parameter(eg.tensor([1, 2]))


def test_whole_module_survives_a_buffer():
    store = io.BytesIO()
    pickle.dump(Net(), store)
    store.seek(0)
    assert isinstance(pickle.load(store), Net)


# ---- printing ----------------------------------------------------------------------------------------------------


def test_repr_leaves_blank_lines_empty():
    class Layers(nn.Module):
        def extra_repr(self):
            return "conv\n  relu\n"

    assert repr(nn.Sequential(Layers())) == (
        "Sequential(\n  (0): Layers(\n    conv\n      relu\n\n  )\n)"
    )


def test_repr_nests():
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Linear(in_features=3, out_features=4, bias=True)\n"
        "  (rest): Sequential(\n"
        "    (0): Tanh()\n"
        "    (1): Linear(in_features=4, out_features=2, bias=True)\n"
        "  )\n"
        ")"
    )
    twice = nn.ModuleList([nn.Tanh(), nn.Tanh(), nn.ReLU()])
    assert repr(twice) == "ModuleList(\n  (0-1): 2 x Tanh()\n  (2): ReLU()\n)"


# ---- hooks -------------------------------------------------------------------------------------------------------


def test_forward_hooks_see_and_replace():
    m = Scale()
    log = []
    m.register_forward_pre_hook(lambda mod, args: log.append("pre") or (args[0] + 1,))
    handle = m.register_forward_hook(lambda mod, args, out: log.append("post") or out * 10)
    m.register_forward_pre_hook(lambda mod, args: log.append("first"), prepend=True)
    assert m(eg.tensor([1.0])).tolist() == [40.0]
    assert log == ["first", "pre", "post"]
    handle.remove()
    assert m(eg.tensor([1.0])).tolist() == [4.0]


def test_hooks_with_kwargs():
    m = Scale()
    m.register_forward_pre_hook(lambda mod, a, k: (a, {"plus": 5.0}), with_kwargs=True)
    m.register_forward_hook(lambda mod, a, k, out: out + k["plus"], with_kwargs=True)
    assert m(eg.tensor([1.0]), plus=1.0).tolist() == [12.0]
    m.register_forward_pre_hook(lambda mod, a, k: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="new_args, new_kwargs"):
        m(eg.tensor([1.0]))


def test_always_called_hooks_run_after_an_error():
    class Broken(nn.Module):
        def forward(self, x):
            raise KeyError("broken")

    m, seen = Broken(), []
    m.register_forward_hook(lambda mod, args, out: seen.append(out), always_call=True)
    m.register_forward_hook(lambda mod, args, out: seen.append("never"))
    with pytest.raises(KeyError):
        m(1)
    assert seen == [None]


def test_full_backward_hooks_see_both_ends():
    m = Scale()
    seen = []
    m.register_full_backward_pre_hook(lambda mod, go: seen.append(("pre", go[0].tolist())))
    m.register_full_backward_hook(lambda mod, gi, go: seen.append((gi[0].tolist(), go[0].tolist())))
    x = eg.ones(2, requires_grad=True)
    m(x).sum().backward()
    assert seen == [("pre", [1.0, 1.0]), ([2.0, 2.0], [1.0, 1.0])]
    assert x.grad.tolist() == [2.0, 2.0] and m.factor.grad.tolist() == [2.0]


def test_backward_hooks_replace_gradients():
    m = Scale()
    m.register_full_backward_pre_hook(lambda mod, go: (go[0] * 3,))
    m.register_full_backward_hook(lambda mod, gi, go: (gi[0] * 5,))
    x = eg.ones(2, requires_grad=True)
    m(x).sum().backward()
    assert x.grad.tolist() == [30.0, 30.0] and m.factor.grad.tolist() == [6.0]


def test_backward_hook_of_a_first_layer_gets_none_for_its_input():
    m, seen = nn.Linear(2, 1), []
    m.register_full_backward_hook(lambda mod, gi, go: seen.append((gi, tuple(go[0].shape))))
    m(eg.ones(1, 2)).sum().backward()
    assert seen == [((None,), (1, 1))]


def test_backward_hooks_see_zeros_for_an_input_that_is_not_reached():
    class Twice(nn.Module):
        def forward(self, x, y):
            return x * 2, y * 2

    m, seen = Twice(), []
    m.register_full_backward_hook(
        lambda mod, gi, go: seen.append(([g.tolist() for g in gi], [g is None for g in go]))
    )
    x, y = (eg.ones(2, requires_grad=True) for _ in range(2))
    m(x, y)[0].sum().backward()
    assert seen == [([[2.0, 2.0], [0.0, 0.0]], [False, True])]
    assert y.grad.tolist() == [0.0, 0.0]


def test_backward_hooks_run_once_where_a_second_derivative_goes_around_the_output():
    m, seen = nn.Linear(2, 2), []
    m.register_full_backward_hook(lambda *a: seen.append(a))
    net = nn.Sequential(m, nn.Tanh())
    x = eg.ones(1, 2, requires_grad=True)
    net.register_full_backward_hook(lambda mod, gi, go: seen.append("net"))
    (g,) = eg.autograd.grad(net(x).sum(), x, create_graph=True)
    assert seen.count("net") == 1
    g.square().sum().backward()
    assert seen.count("net") == 1


def test_backward_hooks_let_gradients_pass_around_a_dict():
    class Outputs(nn.Module):
        def forward(self, x):
            return {"logits": x * 2}

    m, seen = Outputs(), []
    m.register_full_backward_hook(lambda *a: seen.append(a))
    x = eg.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="Tensor or a tuple of Tensors"):
        y = m(x)["logits"]
    y.sum().backward()
    assert seen == [] and x.grad.tolist() == [2.0, 2.0]


def test_full_and_old_backward_hooks_do_not_mix():
    m = nn.Tanh()
    m.register_full_backward_hook(lambda *a: None)
    with pytest.raises(RuntimeError, match="regular backward hooks"):
        m.register_backward_hook(lambda *a: None)


def test_global_hooks_see_every_module():
    seen = []
    with module_file.register_module_forward_hook(lambda m, a, out: seen.append(type(m).__name__)):
        nn.Sequential(nn.Tanh())(eg.zeros(1))
    nn.Tanh()(eg.zeros(1))
    assert seen == ["Tanh", "Sequential"]
    names = []
    hook = module_file.register_module_parameter_registration_hook(
        lambda m, name, p: names.append(name)
    )
    nn.Linear(1, 1)
    hook.remove()
    assert names == ["weight", "bias"]


def test_hooks_survive_a_copy():
    m = Scale()
    m.register_forward_hook(lambda mod, args, out: out + 1)
    assert copy.deepcopy(m)(eg.tensor([1.0])).tolist() == [3.0]


# ---- containers --------------------------------------------------------------------------------------------------


def test_sequential_is_a_list_of_layers():
    s = nn.Sequential(nn.Tanh(), nn.ReLU(), nn.Sigmoid())
    assert isinstance(s[0], nn.Tanh) and isinstance(s[-1], nn.Sigmoid) and len(s[1:]) == 2
    s[1] = nn.GELU()
    del s[0]
    assert [type(m).__name__ for m in s] == ["GELU", "Sigmoid"]
    s.append(nn.Tanh()).insert(0, nn.ReLU()).extend([nn.Tanh()])
    assert isinstance(s.pop(-1), nn.Tanh) and len(s) == 4
    assert len(s + s) == 8 and len(s * 2) == 8
    s += nn.Sequential(nn.Tanh())
    assert len(s) == 5
    with pytest.raises(IndexError):
        s[9]
    named = nn.Sequential(OrderedDict(a=nn.Tanh(), b=nn.ReLU()))
    assert list(named._modules) == ["a", "b"] and named.b is named[1]
    with pytest.raises(TypeError):
        nn.Sequential(3)


def test_module_list():
    m = nn.ModuleList([nn.Tanh()])
    m += [nn.ReLU()]
    m.insert(0, nn.GELU())
    m.append(nn.Sigmoid())
    assert [type(x).__name__ for x in m] == ["GELU", "Tanh", "ReLU", "Sigmoid"]
    del m[1:3]
    assert len(m) == 2 and isinstance(m[-1], nn.Sigmoid) and isinstance(m[0:1], nn.ModuleList)
    assert isinstance(m.pop(0), nn.GELU) and len(m + [nn.Tanh()]) == 2
    with pytest.raises(TypeError):
        m.append(3)
    with pytest.raises(IndexError):
        m[4]


def test_module_dict():
    d = nn.ModuleDict([("b", nn.Tanh()), ("a", nn.ReLU())])
    assert list(d) == ["b", "a"] and "a" in d and isinstance(d.pop("a"), nn.ReLU)
    d.update({"c": nn.GELU()})
    assert [k for k, _ in d.items()] == ["b", "c"] and len(list(d.values())) == 2
    with pytest.raises(KeyError):
        d["keys"] = nn.Tanh()
    with pytest.raises(ValueError):
        d.update([("a",)])
    del d["b"]
    d.clear()
    assert len(d) == 0


def test_parameter_list_and_dict():
    ps = nn.ParameterList([eg.zeros(2), eg.zeros(3)])
    ps.append(nn.Parameter(eg.zeros(4)))
    ps += [eg.zeros(5)]
    assert len(list(ps.parameters())) == 4 and list(ps.state_dict()) == ["0", "1", "2", "3"]
    assert len(ps[1:3]) == 2 and tuple(ps[-1].shape) == (5,)
    ps[0] = eg.ones(1)
    assert isinstance(ps[0], nn.Parameter)
    pd = nn.ParameterDict({"b": eg.zeros(2), "a": eg.zeros(3)})
    assert list(pd) == ["a", "b"] and tuple(pd["a"].shape) == (3,)
    pd["c"] = eg.zeros(1)
    assert isinstance(pd.pop("c"), nn.Parameter) and pd.get("c") is None
    pd |= {"d": eg.zeros(1)}
    assert list(pd.state_dict()) == ["a", "b", "d"]
    with pytest.raises(KeyError):
        pd["nope"]
    with pytest.raises(TypeError):
        pd[3] = eg.zeros(1)


# ---- lazy --------------------------------------------------------------------------------------------------------


def test_lazy_linear_takes_its_size_from_the_first_batch():
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(2))
    with pytest.raises(RuntimeError, match="no shape yet"):
        _ = net[0].weight.shape
    assert tuple(net(eg.zeros(5, 3)).shape) == (5, 2)
    assert type(net[0]) is nn.Linear and tuple(net[2].weight.shape) == (2, 4)
    assert isinstance(net[0].weight, nn.Parameter)


def test_elements_that_are_not_yet_there_are_not_counted():
    lazy = nn.LazyLinear(3)
    with pytest.raises(ValueError, match="no elements to count"):
        sum(p.numel() for p in lazy.parameters())
    lazy(eg.ones(1, 2))
    assert sum(p.numel() for p in lazy.parameters()) == 9


def test_lazy_modules_copy_and_load():
    lazy = copy.deepcopy(nn.LazyLinear(2))
    ready = nn.Linear(3, 2)
    lazy.load_state_dict(ready.state_dict())
    x = eg.ones(1, 3)
    assert eg.equal(lazy(x), ready(x))
    assert tuple(copy.deepcopy(nn.LazyLinear(2))(x).shape) == (1, 2)


def test_loading_leaves_nothing_for_the_garbage_collector():
    net, state = Net(), Net().state_dict()
    net.load_state_dict(state)
    gc.collect()
    net.load_state_dict(state)
    assert gc.collect() == 0


def test_loading_by_assignment_does_not_mark_the_state_dict():
    state, first, second = Net().state_dict(), Net(), Net()
    first.load_state_dict(state, assign=True)
    kept = list(second.parameters())
    second.load_state_dict(state)
    assert all(p is q for p, q in zip(second.parameters(), kept, strict=True))


def test_the_state_of_a_lazy_module_is_without_shapes_too():
    lazy, other = nn.LazyBatchNorm1d(), nn.LazyBatchNorm1d()
    state = lazy.state_dict()
    assert isinstance(state["weight"], nn.UninitializedParameter)
    assert isinstance(state["running_mean"], nn.UninitializedBuffer)
    other.load_state_dict(copy.deepcopy(state))
    assert other.has_uninitialized_params()
    other.load_state_dict(nn.BatchNorm1d(3).state_dict())
    assert tuple(other(eg.ones(2, 3)).shape) == (2, 3)
    with pytest.raises(
        RuntimeError, match="weight: the checkpoint holds a tensor that has no shape yet"
    ):
        nn.BatchNorm1d(3).load_state_dict(state)


# ---- small things ------------------------------------------------------------------------------------------------


def test_compile_and_share_memory_change_nothing():
    net = Net()
    assert net.share_memory() is net and net.compile() is None


def test_no_warning_from_ordinary_use():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = Net()
        net(eg.ones(1, 3)).sum().backward()
        net.load_state_dict(net.state_dict())


def test_helpers_that_programs_import():
    from eagergrad.nn import common_types
    from eagergrad.nn.modules import utils

    assert utils._pair(3) == (3, 3) and utils._triple((1, 2, 3)) == (1, 2, 3)
    assert utils._reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)
    assert common_types._size_2_t is not None
    state = nn.DataParallel(nn.Linear(2, 1)).state_dict()
    utils.consume_prefix_in_state_dict_if_present(state, "module.")
    assert list(state) == ["weight", "bias"] and "" in state._metadata
    assert isinstance(nn.Linear(2, 1).load_state_dict(state), module_file._IncompatibleKeys)


# ---- which layer raised ----------------------------------------------------------------------------------


class _Tree(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.Flatten(), nn.ModuleList([nn.Linear(16, 2)])[0]
        )
        self.loose = [nn.Linear(2, 3)]

    def forward(self, x):
        return self.loose[0](self.net(x))


def _layer_of(f):
    with pytest.raises((RuntimeError, ValueError)) as caught:
        f()
    assert len(caught.value.__notes__) == 1
    return caught.value.__notes__[0]


@pytest.fixture(params=[False, True])
def hooks(request):
    """Both ways through a call: no hook was ever registered, and one was."""
    from eagergrad.nn.modules._hooks import ever_used  # the core holds this very list

    before = list(ever_used)
    ever_used[:] = [True] if request.param else []
    yield request.param
    ever_used[:] = before


def test_an_exception_names_the_layer_it_came_from(hooks):
    tree = _Tree()
    assert (
        _layer_of(lambda: tree(eg.zeros(1, 2, 4, 4)))
        == "in layer net.0 of _Tree: Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))"
    )
    assert (
        _layer_of(lambda: nn.Sequential(tree)(eg.zeros(1, 3, 5, 5)))
        == "in layer 0.net.2 of Sequential: Linear(in_features=16, out_features=2, bias=True)"
    )
    alone = nn.Linear(3, 4)
    assert (
        _layer_of(lambda: alone(eg.zeros(2)))
        == "in layer Linear(in_features=3, out_features=4, bias=True)"
    )


def test_an_exception_leaves_its_layers_behind_when_it_is_pickled():
    tree = _Tree()
    tree.unpicklable = lambda: None
    with pytest.raises(RuntimeError) as caught:
        tree(eg.zeros(1, 2, 4, 4))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    nn.Linear(2, 2)._left_by(again)
    assert again.__notes__ == ["in layer Linear(in_features=2, out_features=2, bias=True)"]


@pytest.mark.host("text of tensors with no device to name")
def test_parameter_containers_print_what_they_hold():
    held = nn.ParameterList([nn.Parameter(eg.ones(2)), 3])
    assert repr(held).splitlines() == [
        "ParameterList(",
        "    (0): Parameter containing: [eagergrad.float32 of size 2]",
        "    (1): Object of type: int",
        ")",
    ]
    named = nn.ParameterDict({"a": nn.Parameter(eg.ones(2, 3))})
    assert (
        repr(named)
        == "ParameterDict(  (a): Parameter containing: [eagergrad.FloatTensor of size 2x3])"
    )
