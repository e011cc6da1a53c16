"""What backward does: accumulation, graphs kept and freed, hooks, views, modes, memory."""

from __future__ import annotations

import collections
import gc
import math
import threading
import warnings
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from util import assert_close, times


def leaf(*values: float) -> eg.Tensor:
    return eg.tensor(list(values), dtype=eg.float64, requires_grad=True)


# -- backward and grad -----------------------------------------------------------------------------


def test_gradients_accumulate_until_they_are_cleared() -> None:
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_the_gradient_is_accumulated_into_the_same_tensor() -> None:
    x = leaf(1.0)
    (x * 2).backward(eg.ones(1, dtype=eg.float64))
    g = x.grad
    (x * 2).sum().backward()
    assert x.grad is g and g.tolist() == [4.0]
    x.grad.zero_()
    (x * 2).sum().backward()
    assert g.tolist() == [2.0]


def test_the_gradient_does_not_share_memory_with_the_one_passed_in() -> None:
    x, g = leaf(1.0, 2.0), eg.ones(2, dtype=eg.float64)
    (x + 0).backward(g)
    x.grad.mul_(5)
    assert g.tolist() == [1.0, 1.0]


def test_a_result_with_several_elements_needs_a_gradient() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="scalar"):
        (x * 2).backward()
    (x * 2).backward(eg.tensor([1.0, 10.0], dtype=eg.float64))
    assert x.grad.tolist() == [2.0, 20.0]


def test_the_gradient_passed_in_must_have_the_results_shape() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="shape"):
        (x * 2).backward(eg.ones(3, dtype=eg.float64))
    assert x.grad is None


def test_a_tensor_without_history_cannot_go_backward() -> None:
    with pytest.raises(RuntimeError, match=r"grad"):
        eg.ones(1).backward()
    with pytest.raises(RuntimeError):
        eg.autograd.grad(eg.ones(1), leaf(1.0))


def test_backward_of_a_leaf_gives_one() -> None:
    x = eg.tensor(3.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1.0


def test_diamonds_and_repeated_use_add_up() -> None:
    x = leaf(2.0)
    a = x * x
    y = a * a + a + x * x * x
    y.sum().backward()
    assert x.grad.item() == 4 * 8 + 2 * 2 + 3 * 4


def test_backward_through_several_results_at_once() -> None:
    x = leaf(1.0, 2.0)
    eg.autograd.backward([(x * 2).sum(), (x * x).sum()])
    assert x.grad.tolist() == [4.0, 6.0]
    eg.autograd.backward([x * 2], [eg.ones(2, dtype=eg.float64)])
    assert x.grad.tolist() == [6.0, 8.0]


def test_inputs_limits_where_gradients_go() -> None:
    x, w = leaf(1.0), leaf(2.0)
    h = x * 3
    (h * w).sum().backward(inputs=[w])
    assert x.grad is None and w.grad.item() == 3.0
    h.retain_grad()
    (h * w).sum().backward(inputs=[h], retain_graph=True)
    assert h.grad.item() == 2.0 and w.grad.item() == 3.0


def test_grad_returns_and_leaves_grad_alone() -> None:
    x, y = leaf(2.0), leaf(3.0)
    gx, gy = eg.autograd.grad((x * x * y).sum(), (x, y))
    assert (gx.item(), gy.item()) == (12.0, 4.0)
    assert x.grad is None and not gx.requires_grad


def test_grad_by_an_intermediate_result() -> None:
    x = leaf(2.0)
    h = x * x
    (g,) = eg.autograd.grad((h * h).sum(), h)
    assert g.item() == 8.0


def test_grad_of_several_outputs_adds_up() -> None:
    x = leaf(2.0)
    (g,) = eg.autograd.grad([x * x, x * 5], x, grad_outputs=[eg.ones_like(x), eg.ones_like(x)])
    assert g.item() == 9.0


def test_grad_of_an_unused_input() -> None:
    x, y = leaf(1.0), leaf(1.0)
    with pytest.raises(RuntimeError, match="allow_unused"):
        eg.autograd.grad((x * 2).sum(), (x, y))
    gx, gy = eg.autograd.grad((x * 2).sum(), (x, y), allow_unused=True)
    assert gx.item() == 2.0 and gy is None
    gx, gy = eg.autograd.grad((x * 2).sum(), (x, y), materialize_grads=True)
    assert gy.tolist() == [0.0]


def test_grad_by_a_tensor_that_needs_none_is_refused() -> None:
    x, y = leaf(1.0), eg.ones(1, dtype=eg.float64)
    with pytest.raises(RuntimeError):
        eg.autograd.grad((x * y).sum(), y)


def test_create_graph_gives_derivatives_of_derivatives() -> None:
    x = leaf(2.0)
    y = (x**4).sum()
    for expected in (32.0, 48.0, 48.0, 24.0):
        (y,) = eg.autograd.grad(y.sum(), x, create_graph=True)
        assert_close(y, [expected])


def test_backward_with_create_graph_puts_grad_on_the_tape() -> None:
    x = leaf(3.0)
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    (g,) = eg.autograd.grad(x.grad.sum(), x)
    assert g.item() == 18.0
    x.grad = None


def test_hessian_vector_product() -> None:
    a = eg.tensor(np.arange(9.0).reshape(3, 3))
    x, v = leaf(1.0, 2.0, 3.0), eg.tensor([1.0, 0.0, -1.0], dtype=eg.float64)
    (g,) = eg.autograd.grad(x @ a @ x, x, create_graph=True)
    (hv,) = eg.autograd.grad(g @ v, x)
    assert_close(hv, (a + a.T) @ v)


# -- graphs that are gone --------------------------------------------------------------------------


def test_a_second_backward_needs_retain_graph() -> None:
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8.0
    with pytest.raises(RuntimeError, match=r"second time|retain_graph"):
        y.backward()
    assert x.grad.item() == 8.0


def test_a_graph_that_kept_nothing_may_be_walked_again() -> None:
    x = leaf(2.0)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    assert x.grad.item() == 2.0


def test_state_that_was_not_detached_is_refused() -> None:
    w, h = leaf(0.5), eg.ones(1, dtype=eg.float64)
    h = (h * w).tanh()
    h.sum().backward()
    h = (h * w).tanh()
    with pytest.raises(RuntimeError):
        h.sum().backward()


@pytest.mark.ours
def test_second_backward_and_undetached_state_are_told_apart() -> None:
    w = leaf(0.5)
    y = (w * w).sum()
    y.backward()
    with pytest.raises(RuntimeError) as second:
        y.backward()
    h = (w * 2).tanh()
    h.sum().backward()
    loss = (h * w).sum()
    with pytest.raises(RuntimeError) as state:
        loss.backward()
    assert "test_autograd.py" in str(second.value) and "test_autograd.py" in str(state.value)
    assert "detach" in str(state.value)
    assert "retain_graph" in str(second.value)


@pytest.mark.ours
def test_an_error_in_backward_names_the_line_of_the_forward_op() -> None:
    x = leaf(1.0, 2.0)
    y = x.exp()
    z = y * 2
    line = test_an_error_in_backward_names_the_line_of_the_forward_op.__code__.co_firstlineno
    y.add_(1)
    with pytest.raises(RuntimeError) as error:
        z.sum().backward()
    text = str(error.value)
    assert f"test_autograd.py:{line + 3}" in text, text  # where exp kept its result
    assert f"test_autograd.py:{line + 6}" in text, text  # where it was overwritten


# -- hooks -----------------------------------------------------------------------------------------


def test_hooks_see_and_change_gradients() -> None:
    x, seen = leaf(1.0, 2.0), []
    h = x * 2
    h.register_hook(lambda g: seen.append(g.tolist()))
    h.register_hook(lambda g: g * 10)
    (h * 3).sum().backward()
    assert seen == [[3.0, 3.0]] and x.grad.tolist() == [60.0, 60.0]


def test_hooks_run_in_order_of_registration_and_can_be_removed() -> None:
    x, order = leaf(1.0), []
    handles = [x.register_hook(lambda g, i=i: order.append(i)) for i in range(3)]
    handles[1].remove()
    (x * 2).sum().backward()
    assert order == [0, 2]
    with handles[0]:
        pass
    (x * 2).sum().backward()
    assert order == [0, 2, 2]


def test_a_leafs_hook_sees_the_whole_gradient_once() -> None:
    x, seen = leaf(1.0), []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * 2 + x * 3).sum().backward()
    assert seen == [5.0]


def test_post_accumulate_hooks_see_the_finished_leaf() -> None:
    x, seen = leaf(1.0), []
    x.register_post_accumulate_grad_hook(lambda t: seen.append((t is x, t.grad.item())))
    (x * 2).sum().backward()
    assert seen == [(True, 2.0)]


def test_each_output_wants_its_gradient() -> None:
    x = leaf(1.0, 2.0)
    y, z = x * 2, (x * 3).sum()
    with pytest.raises(RuntimeError, match="got 2 tensors and 1 gradients"):
        eg.autograd.grad((y, z), x, eg.ones_like(y))
    with pytest.raises(RuntimeError, match="got 2 tensors and 1 gradients"):
        eg.autograd.backward((y, z), [eg.ones_like(y)])
    with pytest.raises(RuntimeError, match="cannot be empty"):
        eg.autograd.grad(z, [])
    assert eg.autograd.grad((y, z), x, [eg.ones_like(y), None])[0].tolist() == [5.0, 5.0]


def test_hooks_fire_in_grad_too() -> None:
    x, seen = leaf(1.0), []
    h = x * 2
    h.register_hook(lambda g: seen.append(g.item()))
    eg.autograd.grad(h.sum(), x)
    assert seen == [1.0]


def test_a_hook_that_returns_the_wrong_thing_is_refused() -> None:
    x = leaf(1.0)
    x.register_hook(lambda g: "text")
    with pytest.raises(TypeError):
        (x * 2).sum().backward()


@pytest.mark.parametrize("change", [lambda g: g.float(), lambda g: g[:1]], ids=["dtype", "shape"])
def test_a_hook_keeps_the_shape_and_the_dtype_of_a_gradient(change: Any) -> None:
    x = leaf(1.0, 2.0)
    x.register_hook(change)
    with pytest.raises(RuntimeError, match="a hook changed the"):
        (x * 2).sum().backward()
    y = leaf(1.0, 2.0) * 2
    y.grad_fn.register_prehook(lambda grads: (change(grads[0]),))
    with pytest.raises(RuntimeError, match="a hook changed the"):
        y.sum().backward()
    assert x.grad is None


def test_an_exception_in_a_hook_arrives_unchanged() -> None:
    x = leaf(1.0)
    h = x * 2
    h.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        h.sum().backward()
    assert x.grad is None


def test_a_hook_needs_a_tensor_that_requires_grad() -> None:
    with pytest.raises(RuntimeError):
        eg.ones(1).register_hook(lambda g: g)


def test_retain_grad_keeps_a_gradient_after_the_hooks() -> None:
    x = leaf(1.0)
    h = x * 2
    h.retain_grad()
    assert h.retains_grad
    h.register_hook(lambda g: g * 7)
    h.sum().backward()
    assert h.grad.item() == 7.0 and x.grad.item() == 14.0


@pytest.mark.parametrize("write", ["mul_", "relu_", "setitem", "through a view"])
def test_retain_grad_keeps_the_gradient_of_the_newest_value(write: str) -> None:
    x = leaf(-1.0, 2.0)
    h = x * 2
    h.retain_grad()
    if write == "mul_":
        h.mul_(3)
    elif write == "relu_":
        eg.nn.functional.relu(h, inplace=True)
    elif write == "setitem":
        h[0] = 5.0
    else:
        h.view(2)[:1].mul_(2)
    (h * 7).sum().backward()
    assert h.grad.tolist() == [7.0, 7.0]


def test_retain_grad_of_a_view_that_is_written() -> None:
    x = leaf(-1.0, 2.0)
    base = x * 2
    view = base[:1]
    view.retain_grad()
    view.mul_(2)
    (base * view).sum().backward()
    assert view.grad.tolist() == [0.0] and x.grad.tolist() == [-16.0, -8.0]


def test_hooks_on_nodes() -> None:
    x, seen = leaf(1.0), []
    y = (x * 2).sum()
    node = y.grad_fn.next_functions[0][0]
    node.register_hook(lambda gi, go: seen.append(("after", len(gi), len(go))))
    node.register_prehook(lambda go: seen.append(("before", len(go))))
    y.backward()
    assert seen[0][0] == "before" and seen[1][0] == "after"


# -- leaves, grad, requires_grad -------------------------------------------------------------------


def test_a_leaf_that_is_frozen_before_backward_gets_no_gradient() -> None:
    x, w, frozen = leaf(1.0), leaf(2.0), leaf(3.0)
    loss = (x * w * frozen).sum()
    frozen.requires_grad_(False)
    w.detach_()
    loss.backward()
    assert x.grad.item() == 6.0 and w.grad is None and frozen.grad is None


def test_leaves_and_what_is_computed_from_them() -> None:
    x = leaf(1.0)
    y = x * 2
    assert x.is_leaf and x.grad_fn is None and not y.is_leaf and y.grad_fn is not None
    assert y.requires_grad and eg.ones(1).is_leaf and not (eg.ones(1) * 2).requires_grad
    assert y.output_nr == 0
    assert "Mul" in y.grad_fn.name()


def test_requires_grad_can_be_set_on_leaves_only() -> None:
    x = eg.ones(2)
    assert x.requires_grad_() is x and x.requires_grad
    y = x * 2
    with pytest.raises(RuntimeError, match=r"leaf|leaves"):
        y.requires_grad = False
    x.requires_grad = False
    assert not x.requires_grad


def test_only_floating_tensors_can_require_grad() -> None:
    with pytest.raises(RuntimeError):
        eg.ones(2, dtype=eg.int64).requires_grad_()
    with pytest.raises(RuntimeError):
        eg.tensor([1, 2], requires_grad=True)


def test_what_may_be_assigned_to_grad() -> None:
    x = eg.ones(2, requires_grad=True)
    x.grad = eg.zeros(2)
    with pytest.raises((RuntimeError, TypeError)):
        x.grad = eg.zeros(3)
    with pytest.raises((RuntimeError, TypeError)):
        x.grad = eg.zeros(2, dtype=eg.float64)
    with pytest.raises(TypeError):
        x.grad = 1.0
    x.grad = None
    assert x.grad is None


def test_views_keep_their_history_when_their_root_is_detached():
    w = eg.ones(3, requires_grad=True)
    h = w * 2
    v = h.view(3, 1)
    h.detach_()
    assert v.requires_grad and not h.requires_grad
    v.sum().backward()
    assert w.grad.tolist() == [2.0] * 3
    norms = w.view(3, 1).norm(dim=1)  # seen in another shape than it was made in
    assert norms.detach_() is norms and not norms.requires_grad


def test_detach_shares_memory_but_no_history() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    d = y.detach()
    assert not d.requires_grad and d.data_ptr() == y.data_ptr() and d.grad_fn is None
    d[0] = 10.0
    assert y[0].item() == 10.0
    assert y.detach_() is y and y.is_leaf and not y.requires_grad


def test_data_is_a_way_around_the_tape() -> None:
    x = leaf(1.0, 2.0)
    x.data.mul_(3)
    x.data[0] = 7.0
    assert x.tolist() == [7.0, 6.0] and x.requires_grad
    x.data = eg.zeros(2, dtype=eg.float64)
    assert x.tolist() == [0.0, 0.0] and x.requires_grad


def test_numpy_of_a_recorded_tensor_must_be_detached() -> None:
    with pytest.raises(RuntimeError, match="detach"):
        leaf(1.0).numpy()
    assert leaf(1.0).detach().numpy().tolist() == [1.0]


# -- modes -----------------------------------------------------------------------------------------


def test_no_grad_as_context_and_decorator() -> None:
    x = leaf(1.0)
    with eg.no_grad():
        assert not eg.is_grad_enabled() and not (x * 2).requires_grad
        with eg.enable_grad():
            assert (x * 2).requires_grad
    assert eg.is_grad_enabled()

    @eg.no_grad()
    def f(t: eg.Tensor) -> eg.Tensor:
        """doc"""
        return t * 2

    assert not f(x).requires_grad and f.__name__ == "f" and f.__doc__ == "doc"

    @eg.no_grad
    def g(t: eg.Tensor) -> eg.Tensor:
        return t * 2

    assert not g(x).requires_grad


def test_no_grad_around_a_generator() -> None:
    x = leaf(1.0)

    @eg.no_grad()
    def generate() -> object:
        for _ in range(2):
            yield (x * 2).requires_grad

    seen = []
    for inside in generate():
        seen.append((inside, (x * 2).requires_grad))
    assert seen == [(False, True), (False, True)]


def test_set_grad_enabled() -> None:
    x = leaf(1.0)
    with eg.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    eg.set_grad_enabled(False)
    try:
        assert not (x * 2).requires_grad
    finally:
        eg.set_grad_enabled(True)
    assert (x * 2).requires_grad


def test_modes_are_left_after_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), eg.no_grad():
        raise ZeroDivisionError
    assert eg.is_grad_enabled()


def test_modes_belong_to_a_thread() -> None:
    seen = []
    with eg.no_grad():
        thread = threading.Thread(target=lambda: seen.append(eg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_a_number_first_met_in_inference_mode_serves_gradients_later() -> None:
    x = eg.ones(2, requires_grad=True)
    with eg.inference_mode():
        x * 0.8173
    (x * 0.8173).sum().backward()
    assert eg.allclose(x.grad, eg.full((2,), 0.8173))


def test_inference_tensors_are_written_in_inference_mode_only() -> None:
    with eg.inference_mode():
        y = eg.ones(2)
        y.add_(1)
    with pytest.raises(RuntimeError, match="outside InferenceMode"):
        y.mul_(2)
    with pytest.raises(RuntimeError, match="outside InferenceMode"):
        y[0] = 5
    x = eg.ones(2)
    with eg.inference_mode():
        x.add_(1)
        part = x[:1]
    part.add_(1)  # of a tensor made outside
    assert x.tolist() == [3.0, 2.0] and y.tolist() == [2.0, 2.0]
    assert y.clone().add_(1).tolist() == [3.0, 3.0]


def test_inference_mode() -> None:
    x = leaf(1.0)
    with eg.inference_mode():
        assert eg.is_inference_mode_enabled()
        y = x * 2
        assert y.is_inference() and not y.requires_grad
    assert not x.is_inference()
    with pytest.raises(RuntimeError):
        (x * y).sum().backward()

    @eg.inference_mode()
    def f() -> bool:
        return (x * 2).requires_grad

    assert not f()


def test_inference_mode_inside_and_out() -> None:
    x = leaf(1.0)
    with eg.inference_mode():
        with eg.enable_grad():
            assert not (x * 2).requires_grad
        with eg.inference_mode(False):
            assert (x * 2).requires_grad and not eg.is_inference_mode_enabled()
        assert not (x * 2).requires_grad
    with eg.no_grad(), eg.inference_mode(False):
        assert (x * 2).requires_grad
    assert eg.is_grad_enabled()


# -- views and in-place writes ---------------------------------------------------------------------


def test_a_leaf_that_requires_grad_cannot_be_written() -> None:
    x = leaf(1.0, 2.0)
    for write in (
        lambda: x.add_(1),
        lambda: x.__setitem__(0, 1.0),
        lambda: x[0].zero_(),
        lambda: x.view(2).mul_(2),
    ):
        with pytest.raises(RuntimeError, match="leaf"):
            write()
    assert x.tolist() == [1.0, 2.0]
    with eg.no_grad():
        x.add_(1)
    assert x.tolist() == [2.0, 3.0] and x.is_leaf and x.requires_grad


def test_in_place_writes_are_recorded() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y += 1
    y *= x
    y.sum().backward()
    assert x.grad.tolist() == [5.0, 9.0]


def test_an_in_place_write_of_a_plain_tensor_starts_to_record() -> None:
    x, y = leaf(1.0, 2.0), eg.zeros(2, dtype=eg.float64)
    y += x
    assert y.requires_grad and not y.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("index", "kept"),
    [
        (0, [[0, 0, 0], [1, 1, 1]]),
        ((slice(None), 0), [[0, 1, 1], [0, 1, 1]]),
        ((slice(None), slice(1, 3)), [[1, 0, 0], [1, 0, 0]]),
        ((Ellipsis, 2), [[1, 1, 0], [1, 1, 0]]),
        ((1, 1), [[1, 1, 1], [1, 0, 1]]),
        ([1], [[1, 1, 1], [0, 0, 0]]),
    ],
)
def test_assignment_splits_the_gradient(index: object, kept: object) -> None:
    x, v = eg.ones(2, 3, dtype=eg.float64, requires_grad=True), leaf(3.0)
    y = x * 2
    y[index] = v * 5
    (y * y).sum().backward()
    kept = np.array(kept)
    assert_close(x.grad, 8.0 * kept)
    assert_close(v.grad, [5 * 2 * 15.0 * (kept == 0).sum()])


def test_assignment_through_a_mask() -> None:
    x, v = leaf(1.0, -2.0, 3.0), leaf(4.0)
    y = x * 2
    y[y > 0] = v
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 0.0] and v.grad.tolist() == [2.0]


def test_a_write_to_a_view_changes_the_base_and_its_history() -> None:
    x, v = leaf(1.0, 2.0, 3.0), leaf(10.0)
    base = x * 1
    view = base[1:]
    view.mul_(v)
    assert base.tolist() == [1.0, 20.0, 30.0]
    base.sum().backward()
    assert x.grad.tolist() == [1.0, 10.0, 10.0] and v.grad.tolist() == [5.0]


def test_a_write_to_the_base_changes_its_views_history() -> None:
    x = leaf(1.0, 2.0)
    base = x * 1
    view = base[:1]
    base.mul_(3)
    view.sum().backward()
    assert x.grad.tolist() == [3.0, 0.0]


def test_a_write_to_a_view_reaches_another_view() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    base = x * 1
    a, b = base[:3], base.view(2, 2)
    a.mul_(2)
    (b * b).sum().backward()
    assert x.grad.tolist() == [8.0, 16.0, 24.0, 8.0]


@pytest.mark.parametrize(
    "join",
    [
        lambda w, view: w * view,
        lambda w, view: w.expand(2, 2) @ view.view(2, 2),
        lambda w, view: eg.cat([w, view]),
        lambda w, view: eg.lerp(w.expand(4), view, 0.5),
        lambda w, view: w.expand(4).clone().add_(view),
    ],
    ids=["mul", "matmul", "cat", "lerp", "add_"],
)
def test_a_view_out_of_step_beside_an_operand_that_requires_a_gradient(join: Any) -> None:
    # The first operand alone makes the op record, so the view's new history is younger than the op's node.
    w, v = leaf(2.0), leaf(3.0)
    view = eg.ones(2, 2, dtype=eg.float64).view(4)
    view += v
    join(w, view).sum().backward()
    assert v.grad is not None and v.grad.item() != 0


def test_a_result_that_is_a_view_of_what_nobody_sees_is_its_own_root() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0)
    y = eg.ones(2, 2, dtype=eg.float64) @ x  # ends in a reshape
    y.retain_grad()
    view = y.unsqueeze(0)
    y += w
    assert y.grad_fn.name() == "AddBackward0"
    view[..., :1] = w
    (y.sum() * 2 + view.sum()).backward()
    assert y.grad.tolist() == [3.0, 3.0]
    assert x.grad.tolist() == [3.0, 3.0] and w.grad.item() == 6.0


def test_a_view_of_a_leaf_that_is_gone_is_not_written() -> None:
    view = leaf(1.0, 2.0)[1:]
    with pytest.raises(RuntimeError):
        view += 1
    with pytest.raises(RuntimeError):
        view[0] = 1.0


def test_views_of_views() -> None:
    x = eg.arange(12, dtype=eg.float64).reshape(3, 4).requires_grad_()
    base = x * 1
    base.t()[1:].t()[:, 0].zero_()
    base.sum().backward()
    expected = np.ones((3, 4))
    expected[:, 1] = 0
    assert_close(x.grad, expected)


def test_views_know_their_base() -> None:
    x = eg.zeros(4)
    view = x[1:].view(3, 1)
    assert view._is_view() and view._base is x and not x._is_view()
    assert x.detach()._is_view() or x.detach().data_ptr() == x.data_ptr()


def test_filling_a_buffer_row_by_row() -> None:
    x = leaf(1.0, 2.0, 3.0)
    out = eg.zeros(3, 3, dtype=eg.float64)
    for i in range(3):
        out[i] = x * (i + 1)
    out.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0, 6.0]


def test_augmented_assignment_to_an_index() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y[0] += 5 * x[1]
    y[1] *= 3
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 11.0]


def test_an_overwritten_saved_value_is_found_in_backward() -> None:
    x = leaf(1.0, 2.0)
    y = x.exp()
    z = y * y
    y += 1
    with pytest.raises(RuntimeError, match=r"in-?place"):
        z.sum().backward()
    assert x.grad is None


def test_a_write_after_the_last_use_is_harmless() -> None:
    x = leaf(1.0, 2.0)
    y = x + 1
    z = y + y
    y += 1
    (z + y).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_versions_count_writes_of_all_views() -> None:
    x = eg.zeros(3)
    before = x._version
    x.view(3)[0] = 1.0
    x += 1
    assert x._version == before + 2


def test_a_write_to_an_expanded_tensor_is_refused() -> None:
    x = eg.zeros(1, 3).expand(2, 3)
    with pytest.raises(RuntimeError):
        x.add_(1)
    with pytest.raises(RuntimeError):
        x[:, 0] = 1


def test_a_part_of_an_expanded_tensor_can_be_written() -> None:
    base = eg.zeros(1, 3)
    base.expand(2, 3)[0] = eg.ones(3)
    v = leaf(5.0)
    recorded = eg.zeros(1, 3, dtype=eg.float64)
    recorded.expand(2, 3)[:1] = v
    recorded.sum().backward()
    assert base.tolist() == [[1.0, 1.0, 1.0]] and v.grad.item() == 3.0


def test_views_from_unbind_share_memory() -> None:
    x = eg.zeros(2, 3)
    for i, row in enumerate(x):
        row += i
    assert x[1].tolist() == [1.0, 1.0, 1.0]


def test_in_place_random_and_fill_forget_the_past() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y.fill_(3.0)
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_copy_moves_gradient_to_the_source() -> None:
    x, y = leaf(1.0, 2.0), eg.zeros(2, dtype=eg.float64)
    y.copy_(x)
    (y * y).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_gradients_cross_dtypes() -> None:
    x = eg.tensor([1.0, 2.0], requires_grad=True)
    (x.double() * eg.tensor([2.0, 3.0], dtype=eg.float64)).sum().backward()
    assert x.grad.dtype == eg.float32 and x.grad.tolist() == [2.0, 3.0]


# -- memory ----------------------------------------------------------------------------------------


class collector_off:
    def __enter__(self) -> None:
        gc.collect()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.enable()


def _live() -> int:
    return eg.memory.stats()["live"]


@pytest.mark.ours
def test_del_loss_frees_everything_at_once() -> None:
    with collector_off():
        w = eg.randn(64, 64, requires_grad=True)
        before = _live()
        loss = ((w @ w).tanh() @ w).exp().sum()
        assert _live() > before
        del loss
        assert _live() == before


@pytest.mark.ours
def test_training_keeps_memory_flat_without_the_collector() -> None:
    with collector_off():
        w = (eg.randn(16, 16) * 0.1).requires_grad_()
        x, readings = eg.randn(8, 16), []
        for step in range(2000):
            loss = (x @ w).tanh().square().mean()
            loss.backward()
            with eg.no_grad():
                w -= 0.1 * w.grad
            w.grad = None
            if step % 500 == 499:
                readings.append(_live())
        assert len(set(readings)) == 1, readings


@pytest.mark.ours
def test_a_create_graph_loop_does_not_leak() -> None:
    with collector_off():
        w = (eg.randn(32, 32) * 0.1).requires_grad_()
        readings = []
        for step in range(200):
            loss = (w @ w).tanh().sum()
            (g,) = eg.autograd.grad(loss, w, create_graph=True)
            g.square().sum().backward()
            w.grad = None
            del loss, g
            if step % 50 == 49:
                readings.append(_live())
        assert len(set(readings)) == 1, readings


@pytest.mark.ours
def test_backward_frees_saved_values_before_the_graph_dies() -> None:
    w = eg.randn(64, 64, requires_grad=True)
    loss = (w * 2).exp().sum()
    during = _live()
    loss.backward()
    assert _live() <= during


def test_a_long_chain_is_walked_and_freed_without_recursion() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(times(1_000_000, 50_000)):
        y = y + 1
    y.sum().backward()
    assert x.grad.item() == 1.0
    del y


def test_a_wide_graph() -> None:
    x = leaf(1.0)
    n = times(20_000, 4_000)
    total = sum((x * i for i in range(n)), start=x)
    total.sum().backward()
    assert x.grad.item() == 1 + n * (n - 1) / 2


def test_training_in_a_few_threads_at_once() -> None:
    results = {}

    def work(k: int) -> None:
        x = leaf(float(k))
        for _ in range(200):
            x.grad = None
            (x * x).sum().backward()
        results[k] = x.grad.item()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {k: 2.0 * k for k in range(4)}


# -- checking gradients ----------------------------------------------------------------------------


def test_gradcheck_accepts_right_and_finds_wrong_gradients() -> None:
    x = eg.randn(3, dtype=eg.float64, requires_grad=True)
    assert eg.autograd.gradcheck(lambda t: t.sin() * t, (x,))
    assert eg.autograd.gradgradcheck(lambda t: t**3, (x,))

    class Wrong(eg.autograd.Function):
        @staticmethod
        def forward(ctx: object, t: eg.Tensor) -> eg.Tensor:
            return t * 2

        @staticmethod
        def backward(ctx: object, g: eg.Tensor) -> eg.Tensor:
            return g * 3

    with pytest.raises(RuntimeError):
        eg.autograd.gradcheck(Wrong.apply, (x,))
    assert not eg.autograd.gradcheck(Wrong.apply, (x,), raise_exception=False)


def test_functional_jacobian_and_hessian() -> None:
    x = eg.tensor([1.0, 2.0], dtype=eg.float64)
    j = eg.autograd.functional.jacobian(lambda t: t * t, x)
    h = eg.autograd.functional.hessian(lambda t: (t**3).sum(), x)
    assert_close(j, np.diag([2.0, 4.0]))
    assert_close(h, np.diag([6.0, 12.0]))


def test_gradients_lie_as_their_leaves_do():
    x = eg.ones(2, 3, requires_grad=True)
    (x.t() * 1).sum().backward()
    assert x.grad.is_contiguous() and x.grad.view(-1).shape == (6,)
    y = eg.ones(2, 3).t().requires_grad_()
    (y * 2).sum().backward()
    assert y.grad.stride() == y.stride()
    z = eg.ones(4, 3)[::2].requires_grad_()
    (z * 2).sum().backward()
    assert z.grad.is_contiguous()
    w = eg.ones(3).expand(2, 3).detach().requires_grad_()
    (w.t() * 2).sum().backward()
    assert w.grad.is_contiguous() and w.grad.tolist() == [[2.0] * 3] * 2


def test_gradients_of_equal_elements():
    x = eg.tensor([2.0, 1.0, 2.0, math.inf], requires_grad=True)
    assert eg.autograd.grad(x.median(), x)[0].tolist() == [0.5, 0.0, 0.5, 0.0]
    assert eg.autograd.grad(x[3:].median(), x)[0].tolist() == [0.0, 0.0, 0.0, 1.0]
    y = eg.tensor([[1.0, 1.0], [1.0, 3.0]], requires_grad=True)
    first = eg.autograd.grad(y.std(1).sum(), y, create_graph=True)[0]
    assert first[0].tolist() == [0.0, 0.0]
    assert first[1].tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5])


def test_a_leaf_is_done_as_soon_as_its_gradient_is_whole():
    order = []
    a, b, w = (eg.ones(3).requires_grad_() for _ in range(3))
    for name, leaf in (("a", a), ("b", b), ("w", w)):
        leaf.register_hook(lambda g, name=name: order.append(name))
        leaf.register_post_accumulate_grad_hook(lambda p, name=name: order.append(name + "!"))
    first = a * w
    first.register_hook(lambda g: order.append("first"))
    second = first * b
    second.register_hook(lambda g: order.append("second"))
    (second * w).sum().backward()
    assert order[:4] == ["second", "b", "b!", "first"]
    assert order[4:] in (["a", "a!", "w", "w!"], ["w", "w!", "a", "a!"])
    order.clear()
    eg.autograd.grad((a * b + a).sum(), [b, a])
    assert sorted(order) == ["a", "b"]


def test_module_hooks_come_after_those_of_the_parameters():
    order = []
    net = eg.nn.Sequential(eg.nn.Linear(2, 2, bias=False), eg.nn.Linear(2, 2, bias=False))
    for i, layer in enumerate(net):
        layer.weight.register_hook(lambda g, i=i: order.append(f"weight {i}"))
        layer.register_full_backward_hook(lambda m, gi, go, i=i: order.append(f"layer {i}"))
    net(eg.ones(2, requires_grad=True)).sum().backward()
    assert order == ["weight 1", "layer 1", "weight 0", "layer 0"]


def test_gradients_dropped_by_hooks_need_not_live_together():
    leaves = [eg.zeros(1 << 18).requires_grad_() for _ in range(8)]  # 1 MiB each

    on_gpu = leaves[0].is_cuda

    def peak(drop):
        y = eg.zeros(1 << 18)
        for leaf in leaves:
            leaf.grad = None
            y = y + leaf * 2
        handles = [leaf.register_post_accumulate_grad_hook(drop) for leaf in leaves]
        (eg.cuda.reset_peak_memory_stats if on_gpu else eg.memory.reset_peak)()
        y.sum().backward()
        for handle in handles:
            handle.remove()
        return eg.cuda.max_memory_allocated() if on_gpu else eg.memory.stats()["peak"]

    def dropping(leaf):
        leaf.grad = None

    assert peak(lambda leaf: None) - peak(dropping) >= 5 << 20


def test_a_step_inside_backward_is_a_step_after_it():
    eg.manual_seed(0)
    one = eg.nn.Sequential(eg.nn.Linear(4, 4), eg.nn.Tanh(), eg.nn.Linear(4, 1))
    two = eg.nn.Sequential(eg.nn.Linear(4, 4), eg.nn.Tanh(), eg.nn.Linear(4, 1))
    two.load_state_dict(one.state_dict())
    steps = {p: eg.optim.SGD([p], lr=0.1) for p in two.parameters()}

    def step(p):
        steps[p].step()
        steps[p].zero_grad()

    for p in two.parameters():
        p.register_post_accumulate_grad_hook(step)
    after = eg.optim.SGD(one.parameters(), lr=0.1)
    x = eg.randn(5, 4)
    for _ in range(3):
        after.zero_grad()
        one(x).square().sum().backward()
        after.step()
        two(x).square().sum().backward()
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        assert p.tolist() == q.tolist()


def test_gradients_are_of_tensors() -> None:
    x = eg.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="all inputs have to be Tensors, but got int"):
        eg.autograd.grad(x.sum(), [x, 3])


def test_callbacks_run_when_the_outermost_backward_has_ended():
    queue = eg.autograd.Variable._execution_engine.queue_callback
    x, seen = eg.ones(2, requires_grad=True), []

    def hook(p):
        queue(lambda: (seen.append("end"), queue(lambda: seen.append("after"))))
        with eg.enable_grad():
            (p.detach().requires_grad_() * 2).sum().backward()  # a backward of its own
        seen.append("hook")

    x.register_post_accumulate_grad_hook(hook)
    (x * x).sum().backward()
    assert seen == ["hook", "end", "after"]
    with pytest.raises(RuntimeError, match="backward in progress"):
        queue(print)
    x.register_post_accumulate_grad_hook(lambda p: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        x.sum().backward()
    assert seen == ["hook", "end", "after", "hook"]


# -- derivatives that are zero ---------------------------------------------------------------------

FLAT = {
    "relu": lambda x: x.relu(),
    "leaky_relu": lambda x: eg.nn.functional.leaky_relu(x, 0.2),
    "hardtanh": lambda x: eg.nn.functional.hardtanh(x),
    "prelu": lambda x: eg.nn.functional.prelu(x, eg.full((1,), 0.3, dtype=eg.float64)),
    "max_pool1d": lambda x: eg.nn.functional.max_pool1d(x.reshape(1, 1, 4), 2),
}


@pytest.mark.parametrize("op", FLAT)
def test_the_slope_of_a_piecewise_linear_op_has_zeros_for_a_derivative(op: str) -> None:
    x = leaf(-1.0, 2.0, 0.5, -3.0)
    (slope,) = eg.autograd.grad(FLAT[op](x * 2).sum(), x, create_graph=True)
    (zero,) = eg.autograd.grad(slope.sum(), x, retain_graph=True)
    assert slope.requires_grad and zero.tolist() == [0.0] * 4
    slope.sum().backward()
    assert x.grad.tolist() == [0.0] * 4


def test_a_laplacian_of_a_net_of_relus_can_be_trained() -> None:
    w = leaf(1.0, -2.0)
    x = leaf(3.0, 4.0)
    (slope,) = eg.autograd.grad((w * (w * x).relu()).sum(), x, create_graph=True)
    (curvature,) = eg.autograd.grad(slope.sum(), x, create_graph=True)
    assert curvature.tolist() == [0.0, 0.0] and curvature.requires_grad
    (curvature.sum() + slope.sum()).backward()
    assert w.grad.tolist() == [2.0, 0.0]


def test_zeros_reach_leaves_beside_gradients_that_are_not() -> None:
    x, b = leaf(1.0), leaf(2.0)
    (slope,) = eg.autograd.grad(((x + b).relu() * x).sum(), x, create_graph=True)
    x.grad = None
    slope.sum().backward()  # slope = relu(x + b) + x * (x + b > 0)
    assert x.grad.tolist() == [2.0] and b.grad.tolist() == [1.0]
    only_slope = eg.autograd.grad((x * 3 + b).relu().sum(), x, create_graph=True)[0]
    b.grad = None
    only_slope.sum().backward()
    assert b.grad.tolist() == [0.0]


def test_reading_the_gradient_of_an_inner_tensor_warns() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    with pytest.warns(UserWarning, match=r"not a leaf .* MulBackward0 made .* at .*test_autograd"):
        assert y.grad is None
    kept = x * 3
    kept.retain_grad()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kept.grad is None and x.grad is None and (x.detach() * 2).grad is None
        kept.sum().backward()
        assert kept.grad.tolist() == [1.0, 1.0] and x.grad.tolist() == [3.0, 3.0]


def test_detach_takes_nested_states():
    Pair = collections.namedtuple("Pair", "h c")
    x = eg.ones(2, requires_grad=True) * 2
    state = eg.detach(Pair(x, [x, {"a": x, "none": None, "number": 3}]))
    assert type(state) is Pair and state.c[1]["none"] is None and state.c[1]["number"] == 3
    for t in (state.h, state.c[0], state.c[1]["a"]):
        assert not t.requires_grad and t.data_ptr() == x.data_ptr()
    assert x.requires_grad and not eg.detach(x).requires_grad
