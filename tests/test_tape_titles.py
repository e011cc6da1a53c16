"""Names of the tape's nodes, which programs print and draw: PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest

import eagergrad as eg
import eagergrad.nn.functional as F
from eagergrad import nn

# What PyTorch calls the node of each expression; x, y, w are 3 by 3, v has 3 elements, b is 3 by 3 by 3, im is an image.
TITLES = """
AddBackward0: x + y, x + 1, 1 + x
SubBackward0: x - y, x - 1, x.diff(), F.tanhshrink(x)
RsubBackward1: 1 - x
MulBackward0: x * y, x * 2, 1 / x, F.dropout(x), F.rms_norm(x, (3,))
DivBackward0: x / y, x / 2, F.softsign(x)
PowBackward0: x ** 2, x ** 3, x.pow(1.5), x.square()
PowBackward1: x.abs() ** y
PowBackward2: 2 ** x
RemainderBackward0: x % 2
RemainderBackward1: x % y
Log1PBackward0: x.log1p()
Deg2RadBackward0: x.deg2rad()
ClampBackward1: x.clamp(0, 1), x.clamp(min=0), x.clip(0, 1)
ClampMinBackward0: x.clamp_min(0)
EluBackward0: F.elu(x), F.selu(x)
GeluBackward0: F.gelu(x), F.gelu(x, approximate="tanh")
ReluBackward0: x.relu(), F.relu(x), nn.ReLU()(x)
PreluKernelBackward0: nn.PReLU()(x)
GluBackward0: F.glu(im)
SumBackward0: x.sum()
SumBackward1: x.sum(0), x.sum((0, 1)), F.cosine_similarity(x, y)
MeanBackward0: x.mean(), F.l1_loss(x, y), F.kl_div(x, y)
MeanBackward1: x.mean(0), F.adaptive_avg_pool2d(im, 1)
ProdBackward0: x.prod()
ProdBackward1: x.prod(0)
VarBackward0: x.var(), x.var(0)
StdBackward0: x.std(), x.std(0)
VarMeanBackward0: eg.var_mean(x)[0], eg.var_mean(x)[1]
StdMeanBackward0: eg.std_mean(x)[0], eg.std_mean(x)[1]
MaxBackward0: x.max(0)[0]
MaxBackward1: x.max()
LinalgVectorNormBackward0: x.norm(), x.norm(dim=0), eg.linalg.norm(x)
MedianBackward0: x.median()
NansumBackward0: x.nansum()
ViewBackward0: x.view(-1), x.reshape(-1), b.flatten(), F.linear(b, w, v)
TBackward0: x.t()
PermuteBackward0: x.T, x.permute(1, 0)
TransposeBackward0: x.transpose(0, 1), x.mT
SqueezeBackward0: x.squeeze()
SqueezeBackward1: x[None].squeeze(0)
UnsqueezeBackward0: x[None], x[:, None], x.unsqueeze(0)
SelectBackward0: x[0], x[:, 1], x[..., 0], x[-1]
SliceBackward0: x[1:], x[:], x[:, ::2], x[0, 1:]
AliasBackward0: x[...]
IndexBackward0: x[[0, 1]], x[x > 0]
SplitBackward0: x.split(1)[0], x.chunk(3)[1]
SplitWithSizesBackward0: x.split([1, 2])[0]
UnbindBackward0: x.unbind()[0], list(x)[0]
CatBackward0: eg.cat([x, y])
StackBackward0: eg.stack([x, y])
TrilBackward0: x.tril()
TriuBackward0: x.triu()
MaskedSelectBackward0: x.masked_select(x > 0)
MmBackward0: x @ w, F.linear(x, w)
BmmBackward0: eg.bmm(b, b)
UnsafeViewBackward0: b @ b, b @ x, b @ v, v @ b, F.linear(b, w)
MvBackward0: x @ v, eg.mv(x, v)
DotBackward0: v @ v, eg.dot(v, v)
AddmmBackward0: eg.addmm(x, x, w), F.linear(x, w, v), nn.Linear(3, 2)(x)
BaddbmmBackward0: eg.baddbmm(b, b, b)
TraceBackward0: x.trace()
LinalgInvExBackward0: eg.linalg.inv(x)
LinalgSolveExBackward0: eg.linalg.solve(x, y)
LinalgDetBackward0: eg.linalg.det(x)
SoftmaxBackward0: x.softmax(0)
LogSoftmaxBackward0: F.log_softmax(x, 1)
NllLossBackward0: F.cross_entropy(x, classes), F.nll_loss(x, classes)
NllLoss2DBackward0: F.cross_entropy(im, eg.zeros(2, 4, 4, dtype=eg.int64))
MseLossBackward0: F.mse_loss(x, y), F.mse_loss(x, y, reduction="none"), nn.MSELoss()(x, y)
SmoothL1LossBackward0: F.smooth_l1_loss(x, y)
HuberLossBackward0: F.huber_loss(x, y)
BinaryCrossEntropyBackward0: F.binary_cross_entropy(x.sigmoid(), eg.ones(3, 3))
BinaryCrossEntropyWithLogitsBackward0: F.binary_cross_entropy_with_logits(x, eg.ones(3, 3))
EmbeddingBackward0: F.embedding(classes, x)
NativeLayerNormBackward0: F.layer_norm(x, (3,)), nn.LayerNorm(3)(x)
NativeBatchNormBackward0: nn.BatchNorm1d(3)(x)
NativeGroupNormBackward0: F.group_norm(im, 2)
ConvolutionBackward0: nn.Conv2d(4, 2, 3)(im), nn.ConvTranspose2d(4, 2, 3)(im)
MaxPool2DWithIndicesBackward0: F.max_pool2d(im, 2)
AvgPool2DBackward0: F.avg_pool2d(im, 2)
AdaptiveAvgPool2DBackward0: F.adaptive_avg_pool2d(im, 2)
UpsampleNearest2DBackward0: F.interpolate(im, scale_factor=2)
UpsampleBilinear2DBackward0: F.interpolate(im, scale_factor=2, mode="bilinear")
ConstantPadNdBackward0: F.pad(x, (1, 1))
ReflectionPad2DBackward0: F.pad(im, (1, 1, 1, 1), mode="reflect")
Im2ColBackward0: F.unfold(im, 2)
PixelShuffleBackward0: F.pixel_shuffle(im, 2)
AccumulateGrad: x.sum().grad_fn.next_functions[0][0]
CopySlices: written(x)
MulBackward0: x.clone().mul_(2)
"""


def _cases() -> list[Any]:
    cases = []
    for line in TITLES.strip().splitlines():
        title, expressions = line.split(": ", 1)
        depth, start = 0, 0
        for i, c in enumerate(expressions + ","):
            depth += (c in "([{") - (c in ")]}")
            if c == "," and depth == 0:
                cases.append(pytest.param(expressions[start:i].strip(), title))
                start = i + 1
    return cases


def _values() -> dict[str, Any]:
    def leaf(*shape: int) -> Any:
        return (eg.rand(*shape, generator=gen) + 0.1).requires_grad_()

    def written(x: Any) -> Any:
        z = x.clone()
        z[0] = 1.0
        return z

    gen = eg.Generator().manual_seed(0)
    shapes = {"x": (3, 3), "y": (3, 3), "w": (3, 3), "v": (3,), "b": (3, 3, 3), "im": (2, 4, 4, 4)}
    values = {name: leaf(*shape) for name, shape in shapes.items()}
    return values | {"classes": eg.tensor([0, 1, 2]), "written": written}


@pytest.mark.parametrize(("expression", "title"), _cases())
def test_nodes_have_pytorchs_names(expression: str, title: str) -> None:
    y = eval(expression, {"eg": eg, "F": F, "nn": nn, **_values()})
    node = getattr(y, "grad_fn", y)
    assert type(node).__name__ == title
    assert node.name().removeprefix("torch::autograd::") == title


def test_the_type_of_a_node_is_one_for_each_name() -> None:
    x = eg.ones(2, requires_grad=True)
    a, b = (x * 2).grad_fn, (x * 3).grad_fn
    assert type(a) is type(b) is not type((x + 1).grad_fn)
    assert isinstance(a, eg.autograd.graph.Node)
    assert "MulBackward0" in repr(x * 2)
    with pytest.raises(TypeError):
        type(a)()


def test_a_mean_is_one_step() -> None:
    x = eg.arange(6.0).reshape(2, 3).requires_grad_()
    y = x.mean()
    assert type(y.grad_fn.next_functions[0][0]).__name__ == "AccumulateGrad"
    (g,) = eg.autograd.grad(y, x)
    assert eg.allclose(g, eg.full((2, 3), 1 / 6))
