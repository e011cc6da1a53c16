"""Functions of functions: written-down derivatives, nesting, what stays on the tape, maps over batches."""

import pytest

import eagergrad as eg
from eagergrad import func, nn

X = [1.0, 2.0, 3.0]
M = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def x():
    return eg.tensor(X)


def m():
    return eg.tensor(M)


def cube(t):
    return (t**3).sum()


def lists(tree):
    if isinstance(tree, dict):
        return {key: lists(value) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        return type(tree)(lists(value) for value in tree)
    return tree.tolist()


CASES = {
    "gradient": (lambda: func.grad(cube)(x()), [3.0, 12.0, 27.0]),
    "second order": (lambda: func.grad(func.grad(lambda t: t**3))(eg.tensor(2.0)), 12.0),
    "third order": (
        lambda: func.grad(func.grad(func.grad(lambda t: t**4)))(eg.tensor(2.0)),
        48.0,
    ),
    "two arguments": (
        lambda: func.grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(x(), m()[1]),
        ([3.0, 4.0, 5.0], X),
    ),
    "the last argument": (
        lambda: func.grad(lambda a, b: (a * b).sum(), argnums=-1)(m()[1], x()),
        [3.0, 4.0, 5.0],
    ),
    "a dict": (
        lambda: func.grad(lambda p: (p["a"] * p["b"][0]).sum())({"a": x(), "b": [m()[1]]}),
        {"a": [3.0, 4.0, 5.0], "b": [X]},
    ),
    "an argument without influence": (
        lambda: func.grad(lambda a, b: a.sum(), argnums=(0, 1))(x(), x()),
        ([1.0] * 3, [0.0] * 3),
    ),
    "aux": (
        lambda: func.grad(lambda t: (cube(t), {"twice": t * 2}), has_aux=True)(x()),
        ([3.0, 12.0, 27.0], {"twice": [2.0, 4.0, 6.0]}),
    ),
    "value": (lambda: func.grad_and_value(cube)(x()), ([3.0, 12.0, 27.0], 36.0)),
    "value and aux": (
        lambda: func.grad_and_value(lambda t: (cube(t), t), has_aux=True)(x()),
        ([3.0, 12.0, 27.0], (36.0, X)),
    ),
    "vjp": (
        lambda: func.vjp(lambda a, b: (a * b, a), x(), m()[1])[1]((eg.ones(3), eg.ones(3))),
        ([4.0, 5.0, 6.0], X),
    ),
    "jvp": (
        lambda: func.jvp(lambda t: t * t, (x(),), (eg.tensor([1.0, 0.0, 2.0]),)),
        ([1.0, 4.0, 9.0], [2.0, 0.0, 12.0]),
    ),
    "linearize": (lambda: func.linearize(lambda t: t * t, x())[1](eg.ones(3)), [2.0, 4.0, 6.0]),
    "jacrev": (
        lambda: func.jacrev(lambda a, b: b @ a, argnums=(0, 1))(x()[:2], m()[:, :2]),
        (
            [[0.0, 1.0], [3.0, 4.0]],
            [[[1.0, 2.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 2.0]]],
        ),
    ),
    "jacfwd of a dict": (
        lambda: func.jacfwd(lambda t: {"sum": t.sum(), "twice": 2 * t})(x()[:2]),
        {"sum": [1.0, 1.0], "twice": [[2.0, 0.0], [0.0, 2.0]]},
    ),
    "hessian": (
        lambda: func.hessian(lambda t: t[0] * t[1] * t[2])(x()),
        [[0.0, 3.0, 2.0], [3.0, 0.0, 1.0], [2.0, 1.0, 0.0]],
    ),
    "vmap": (lambda: func.vmap(lambda row: row.sum())(m()), [3.0, 12.0]),
    "vmap over columns": (
        lambda: func.vmap(lambda c: c * 2, in_dims=1, out_dims=1)(m()),
        [[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]],
    ),
    "vmap with a shared argument": (
        lambda: func.vmap(lambda row, t: (row * t).sum(), in_dims=(0, None))(m(), x()),
        [8.0, 26.0],
    ),
    "vmap of nested arguments": (
        lambda: func.vmap(lambda d: {"s": d["a"][0] + d["b"]}, in_dims=({"a": 0, "b": None},))(
            {"a": [m()], "b": x()}
        ),
        {"s": [[1.0, 3.0, 5.0], [4.0, 6.0, 8.0]]},
    ),
    "vmap of vmap": (
        lambda: func.vmap(func.vmap(lambda a, b: a * b, in_dims=(None, 0)), in_dims=(0, None))(
            x(), x()
        ),
        [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 6.0, 9.0]],
    ),
    "keyword arguments are shared": (
        lambda: func.vmap(lambda row, k: row * k)(m(), k=x()),
        [[0.0, 2.0, 6.0], [3.0, 8.0, 15.0]],
    ),
    "per-sample gradients": (
        lambda: func.vmap(func.grad(lambda w, row: (w * row).sum() ** 2), in_dims=(None, 0))(
            eg.ones(3), m()
        ),
        [[0.0, 6.0, 12.0], [72.0, 96.0, 120.0]],
    ),
    "gradient of vmap": (
        lambda: func.grad(lambda w: func.vmap(lambda row: (w * row).sum())(m()).sum())(eg.ones(3)),
        [3.0, 5.0, 7.0],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_value(name):
    compute, expected = CASES[name]
    result = compute()
    assert lists(result) == expected
    first = result
    while isinstance(first, (tuple, dict)):
        first = next(iter(first.values())) if isinstance(first, dict) else first[0]
    assert isinstance(first, list) or not first.requires_grad


def test_gradients_stay_on_the_tape_for_whoever_asks():
    w = eg.tensor(3.0, requires_grad=True)
    found = func.grad(lambda t: w * t**2)(eg.tensor(2.0))  # 2 w t
    found.backward()
    assert w.grad.item() == 4.0
    t = eg.tensor(2.0, requires_grad=True)
    func.grad(lambda t: t**3)(t).backward()
    assert t.grad.item() == 12.0
    with eg.no_grad():
        assert not func.grad(lambda t: w * t**2)(eg.tensor(2.0)).requires_grad


def test_an_ensemble_of_modules():
    models = [nn.Linear(3, 2) for _ in range(3)]
    params, buffers = func.stack_module_state(models)
    assert params["weight"].is_leaf and params["weight"].requires_grad and buffers == {}
    batch = eg.randn(5, 3)

    def call(p, b, t):
        return func.functional_call(models[0], (p, b), (t,))

    together = func.vmap(call, in_dims=(0, 0, None))(params, buffers, batch)
    apart = eg.stack([model(batch) for model in models])
    assert eg.allclose(together, apart, atol=1e-6)


def test_batch_norms_without_running_statistics_run_within_vmap():
    net = nn.Sequential(nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3))
    x = eg.randn(4, 5, 2, 6)
    func.replace_all_batch_norm_modules_(net)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    expected = eg.stack([net(item) for item in x])
    assert eg.allclose(func.vmap(net)(x), expected, atol=1e-5)


def test_random_numbers_of_vmap():
    def noisy(row):
        return row + eg.rand(3)

    with pytest.raises(RuntimeError, match="randomness error mode"):
        func.vmap(noisy)(eg.zeros(2, 3))
    same = func.vmap(noisy, randomness="same")(eg.zeros(2, 3))
    different = func.vmap(noisy, randomness="different")(eg.zeros(2, 3))
    assert same[0].tolist() == same[1].tolist()
    assert different[0].tolist() != different[1].tolist()


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: func.grad(lambda t: t)(x()), RuntimeError, "scalar"),
        (lambda: func.grad(cube, argnums=2)(x()), RuntimeError, "Got argnum=2"),
        (lambda: func.grad(cube)(eg.tensor([1, 2])), RuntimeError, "floating point"),
        (lambda: func.grad(cube, has_aux=True)(x()), RuntimeError, "has_aux"),
        (lambda: func.vjp(cube, x())[1](eg.ones(2)), RuntimeError, "shapes"),
        (lambda: func.jvp(cube, x(), eg.ones(3)), RuntimeError, "tuples"),
        (lambda: func.jacrev(cube, chunk_size=0), ValueError, "chunk_size"),
        (lambda: func.vmap(cube)(m(), x()), ValueError, "same size"),
        (lambda: func.vmap(cube, in_dims=(None,))(m()), ValueError, "at least one"),
        (lambda: func.vmap(cube, in_dims=5)(m()), ValueError, "in_dim=5"),
        (lambda: func.vmap(cube, in_dims=(0, 0))(m()), ValueError, "structure"),
        (lambda: func.vmap(lambda t: 3)(m()), ValueError, "only return tensors"),
        (lambda: func.vmap(cube, randomness="some"), RuntimeError, "randomness"),
        (lambda: func.stack_module_state([]), RuntimeError, "at least one"),
    ],
)
def test_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_trees():
    from eagergrad.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

    tree = {"a": (1, [2, None]), "b": 3}
    leaves, form = tree_flatten(tree)
    assert leaves == [1, 2, None, 3] == tree_leaves(tree)
    assert tree_unflatten(leaves, form) == tree
    assert tree_map(lambda a, b: (a, b), [1, 2], [3, 4]) == [(1, 3), (2, 4)]
    with pytest.raises(ValueError, match="same form"):
        tree_map(lambda a, b: a, [1, 2], [3])
    with pytest.raises(ValueError, match="4 leaves"):
        tree_unflatten([1], form)
    from eagergrad.utils import _pytree

    assert _pytree.tree_structure(tree) == form
    assert _pytree.tree_map_only((int, str), str, [1, None, "a"]) == ["1", None, "a"]
    assert _pytree.tree_any(lambda x: x == 3, tree) and not _pytree.tree_all(bool, tree)


def test_an_empty_batch_gives_empty_results():
    x = eg.zeros(0, 3)
    assert func.vmap(lambda row: row.sin() @ eg.ones(3, 2))(x).shape == (0, 2)
    assert func.vmap(func.grad(lambda row: (row**2).sum()))(x).shape == (0, 3)
    with pytest.raises(RuntimeError, match="the batch is empty"):
        func.vmap(lambda row: row.tolist() and row)(x)


def test_results_with_names_are_trees():
    x = m()
    found = func.vmap(lambda row: row.max(0))(x)
    assert type(found) is eg.return_types.max
    assert eg.equal(found.values, x.max(1).values) and eg.equal(found.indices, x.max(1).indices)
    assert eg.utils._pytree.tree_map(lambda t: t.shape, x.sort(1)) == (x.shape, x.shape)
    factors = eg.utils._pytree.tree_map(eg.neg, eg.linalg.svd(x))
    assert type(factors) is eg.return_types.linalg_svd
    values, back = func.vjp(lambda a: a.aminmax(), x)
    (g,) = back(type(values)((eg.tensor(1.0), eg.tensor(2.0))))
    assert g.sum().item() == 3.0


def test_classes_can_be_nodes_of_trees():
    from eagergrad.utils import _pytree

    class Pair:
        def __init__(self, a, b, name):
            self.a, self.b, self.name = a, b, name

    parts = (lambda p: ([p.a, p.b], p.name), lambda items, name: Pair(*items, name))
    _pytree.register_pytree_node(Pair, *parts)
    twice = _pytree.tree_map(lambda x: 2 * x, {"p": Pair(1, [2], "n")})["p"]
    assert (twice.a, twice.b, twice.name) == (2, [4], "n")
    with pytest.raises(ValueError, match="already"):
        _pytree.register_pytree_node(Pair, *parts)


def test_cotangents_nest_as_the_outputs_do():
    x = eg.randn(5)
    _, pull = eg.func.vjp(lambda x: {"a": x.sin(), "b": [x.cos()]}, x)
    (g,) = pull({"a": eg.ones(5), "b": [eg.ones(5)]})
    assert eg.allclose(g, x.cos() - x.sin())
    with pytest.raises(RuntimeError, match="nesting"):
        pull({"a": eg.ones(5), "c": [eg.ones(5)]})


def test_outputs_of_whole_numbers_move_with_nothing():
    x, t = eg.tensor([3.0, 1.0, 2.0]), eg.tensor([1.0, 2.0, 3.0])
    (_, at), (moved, still) = func.jvp(eg.sort, (x,), (t,))
    assert moved.tolist() == [2.0, 3.0, 1.0]
    assert still.dtype == at.dtype == eg.int64 and still.tolist() == [0, 0, 0]
    _, push = func.linearize(lambda x: {"twice": 2 * x, "positive": x > 0}, x)
    pushed = push(t)
    assert pushed["twice"].tolist() == [2.0, 4.0, 6.0] and pushed["positive"].dtype == eg.bool
    assert func.jvp(lambda x: x.long(), (x,), (t,))[1].tolist() == [0, 0, 0]
