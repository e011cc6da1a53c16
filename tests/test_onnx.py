"""eagergrad.onnx.export: the graph computes what the model does, by ONNX's reference evaluator."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eagergrad as eg
from eagergrad.utils._pytree import tree_leaves
from samples import ROWS
from table import Row
from test_export import MODELS, SKIPPED, model_and_example
from util import as_function, make

onnx = pytest.importorskip("onnx")
from onnx.reference import ReferenceEvaluator  # noqa: E402

from eagergrad.export import ExportError  # noqa: E402
from eagergrad.onnx import export  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.host("ONNX"),
]


# What the reference evaluator itself gets wrong (onnxruntime does not): the logarithm of a softmax that underflows, transposed
# convolutions with output_padding, recurrent nets of relu; NaN among the elements whose largest is sought.
EVALUATOR = {"log_softmax", "nn.functional.log_softmax", "nn.functional.conv_transpose1d"}


def run(proto: Any, inputs: tuple[Any, ...]) -> list[np.ndarray]:
    given = {x.name: t.detach().numpy() for x, t in zip(proto.graph.input, inputs, strict=True)}
    return ReferenceEvaluator(proto).run(None, given)


def assert_same(found: list[np.ndarray], expected: Any, where: str) -> None:
    for x, y in zip(
        found,
        [t.detach().numpy() for t in tree_leaves(expected) if isinstance(t, eg.Tensor)],
        strict=True,
    ):
        assert (x.shape, x.dtype) == (y.shape, y.dtype), where
        assert np.allclose(x, y, rtol=1e-4, atol=2e-5, equal_nan=True), where


@pytest.mark.parametrize(
    "row",
    [r for r in ROWS if r.function and r.name not in SKIPPED | EVALUATOR],
    ids=lambda r: r.name,
)
def test_onnxs_form_of_an_op_gives_what_the_op_gives(row: Row) -> None:
    dtype = "float32" if "float32" in row.dtypes else row.dtypes[0]
    compared, reason = 0, "no call with a tensor"
    for call in row.calls:
        args, kwargs = make(row, call, dtype, "cpu")
        f, given = as_function(row, args, kwargs)
        if (
            not given
            or "out" in kwargs
            or any(t.dtype == eg.bfloat16 or not t.numel() for t in given)
        ):
            continue
        expected = f(*given)
        try:
            proto = export(f, tuple(given))
        except ExportError as error:
            reason = str(error).partition(": ")[2]
            continue
        assert_same(run(proto, tuple(given)), expected, f"{row.name}{call}")
        compared += 1
    if not compared:
        pytest.skip(reason)


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"projected LSTM", "RNN"}))
def test_a_model_for_any_size_of_the_batch(name: str) -> None:
    model, example = model_and_example(name)
    names = [x.name for x in export(model, example).graph.input]
    proto = export(model, example, dynamic_axes={n: {0: "items"} for n in names})
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "items"
    assert model.training
    model.eval()
    for n in (1, 3, 8):
        _, example = model_and_example(name, n)
        assert_same(run(proto, example), model(*example), f"{name} of {n}")


def test_names_weights_and_files(tmp_path: Path) -> None:
    model, (x,) = model_and_example("LeNet")
    buffer = io.BytesIO()
    options = {"input_names": ["image"], "output_names": ["scores"], "opset_version": 20}
    proto = export(model, x, buffer, dynamic_axes={"image": [0], "scores": {0: "n"}}, **options)
    assert onnx.load_from_string(buffer.getvalue()) == proto
    assert proto.opset_import[0].version == 20 and proto.producer_name == "eagergrad"
    assert [x.name for x in proto.graph.output] == ["scores"]
    assert {w.name for w in proto.graph.initializer} >= {"0.weight", "4.bias"}
    assert any(n.name.startswith("0/Conv") for n in proto.graph.node)
    export(model, (), tmp_path / "net.onnx", kwargs={"input": x}, verbose=False)
    assert_same(run(onnx.load(tmp_path / "net.onnx"), (x,)), model.eval()(x), "by name")
    bare = export(model, x, export_params=False)
    assert {x.name for x in bare.graph.input} >= {"input", "0.weight"} and not any(
        w.name == "0.weight" for w in bare.graph.initializer
    )


@pytest.mark.parametrize(
    ("f", "said"),
    [
        (lambda x: x if x.sum() > 0 else -x, "truth of a value"),
        (lambda x: x + eg.rand_like(x), "rand_like has no form in ONNX"),
        (lambda x: eg.max_pool1d_with_indices(x[None], 2), "no form in ONNX"),
        (lambda x: x.to(eg.bfloat16), "bfloat16"),
    ],
)
def test_what_has_no_form_is_said_with_its_line(f: Any, said: str) -> None:
    with pytest.raises(ExportError, match=said):
        export(f, eg.ones(3, 2))


def test_arguments() -> None:
    with pytest.raises(ValueError, match="at most 21"):
        export(lambda x: x * 2, eg.ones(3, 2), opset_version=99)
    with pytest.warns(UserWarning, match="version 11 is too old"):
        assert (
            export(lambda x: x * 2, eg.ones(3, 2), opset_version=11).opset_import[0].version == 18
        )
    with pytest.raises(ExportError, match="one dimension"):
        export(lambda x: x * 2, eg.ones(3, 2), dynamic_axes={"x": {0: "a", 1: "b"}})


def test_views_of_what_is_written_are_refused() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        first = y[0]
        y.add_(1)
        return first

    with pytest.raises(ExportError, match="views"):
        export(f, eg.ones(3, 2))
    assert_same(
        run(export(lambda x: (x * 2).add_(1).relu_(), eg.ones(2)), (eg.ones(2),)),
        eg.ones(2) * 3,
        "in place",
    )
