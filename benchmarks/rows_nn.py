"""Rows about layers, losses and optimizers. F is `eagergrad` or `torch`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .harness import Function, row
from .rows_core import _lstm_cell_loop


def _forward_backward(module: Any, *inputs: Any) -> Function:
    """Forward, sum of the (first) output, backward to parameters and recorded inputs."""

    def step() -> None:
        module.zero_grad()
        for x in inputs:
            x.grad = None
        y = module(*inputs)
        (y[0] if isinstance(y, tuple) else y).sum().backward()

    return step


def _gradients_of(function: Callable[..., Any], *inputs: Any) -> Function:
    def step() -> None:
        for x in inputs:
            x.grad = None
        function(*inputs).sum().backward()

    return step


# ---- recurrent


@row("nn.LSTM, B32 H128 I64 T50, fwd+bwd", 1.0, 1.25)
def lstm(F: Any) -> Function:
    return _forward_backward(F.nn.LSTM(64, 128), F.randn(50, 32, 64))


@row("nn.GRU, B32 H128 I64 T50, fwd+bwd", 2.5, 4)
def gru(F: Any) -> Function:
    return _forward_backward(F.nn.GRU(64, 128), F.randn(50, 32, 64))


@row("nn.LSTM, 2 layers bidirectional, T40 B32 I64 H64, fwd+bwd", 1.3, 2)
def lstm_deep(F: Any) -> Function:
    model = F.nn.LSTM(64, 64, num_layers=2, bidirectional=True)
    return _forward_backward(model, F.randn(40, 32, 64))


row("loop over LSTMCell against torch's nn.LSTM, B32 H128 I64 T50", 0.75, 1.0, against=lstm)(
    _lstm_cell_loop
)


# ---- convolution


@row("conv2d 64 channels 3x3, 16x64x32x32, fwd+bwd", 0.9, 1.1)
def conv2d(F: Any) -> Function:
    x = F.randn(16, 64, 32, 32, requires_grad=True)
    return _forward_backward(F.nn.Conv2d(64, 64, 3, padding=1), x)


@row("conv1d 64 channels 5, 16x64x256, fwd+bwd", 1.1, 1.5)
def conv1d(F: Any) -> Function:
    x = F.randn(16, 64, 256, requires_grad=True)
    return _forward_backward(F.nn.Conv1d(64, 64, 5, padding=2), x)


@row("depthwise conv2d 64 channels 3x3, 16x64x32x32, fwd+bwd", 1.1, 1.5)
def depthwise(F: Any) -> Function:
    x = F.randn(16, 64, 32, 32, requires_grad=True)
    return _forward_backward(F.nn.Conv2d(64, 64, 3, padding=1, groups=64), x)


@row("conv2d 512 channels 3x3, 8x512x7x7, fwd+bwd", 0.9, 1.1)
def wide_conv2d(F: Any) -> Function:
    x = F.randn(8, 512, 7, 7, requires_grad=True)
    return _forward_backward(F.nn.Conv2d(512, 512, 3, padding=1), x)


@row("patches of 16x16, 8x3x224x224 to 192, fwd+bwd", 1.1, 1.5)
def patches(F: Any) -> Function:
    x = F.randn(8, 3, 224, 224, requires_grad=True)
    return _forward_backward(F.nn.Conv2d(3, 192, 16, 16), x)


@row("conv_transpose2d 100 to 512 channels, 32x1x1 to 4x4, fwd+bwd", 1.1, 1.5)
def first_of_a_generator(F: Any) -> Function:
    x = F.randn(32, 100, 1, 1, requires_grad=True)
    return _forward_backward(F.nn.ConvTranspose2d(100, 512, 4), x)


@row("vmap(grad) of a 16-32-4 perceptron, 64 samples", 1.5, 2)
def gradients_of_each_sample(F: Any) -> Function:
    net = F.nn.Sequential(F.nn.Linear(16, 32), F.nn.Tanh(), F.nn.Linear(32, 4))
    parameters, x, y = dict(net.named_parameters()), F.randn(64, 16), F.randn(64, 4)

    def loss(p: Any, a: Any, b: Any) -> Any:
        return (F.func.functional_call(net, p, (a,)) - b).square().sum()

    gradients = F.func.vmap(F.func.grad(loss), (None, 0, 0))
    return lambda: gradients(parameters, x, y)


def _classifier_step(F: Any, model: Any, x: Any, classes: int) -> Function:
    optimizer = F.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    y, cross_entropy = F.randint(0, classes, (x.shape[0],)), F.nn.functional.cross_entropy

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


@row("LeNet, batch 64, SGD, whole step", 1.1, 1.5)
def lenet(F: Any) -> Function:
    nn = F.nn
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip
    return _classifier_step(F, model, F.randn(64, 1, 28, 28), 10)


@row("ResNet block, 64 channels, 16x64x32x32, SGD, whole step", 1.1, 1.5)
def resnet_block(F: Any) -> Function:
    nn = F.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
            self.norm1 = nn.BatchNorm2d(64)
            self.conv2 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
            self.norm2 = nn.BatchNorm2d(64)

        def forward(self, x: Any) -> Any:
            y = nn.functional.relu(self.norm1(self.conv1(x)))
            return nn.functional.relu(self.norm2(self.conv2(y)) + x)

    model = nn.Sequential(Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return _classifier_step(F, model, F.randn(16, 64, 32, 32), 10)


@row("AlexNet, batch 8, 224x224, fwd+bwd", 0.9, 1.1)
def alexnet(F: Any) -> Function:
    nn = F.nn
    model = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Flatten(), nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(inplace=True),
        nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Linear(4096, 1000),
    )  # fmt: skip
    return _forward_backward(model, F.randn(8, 3, 224, 224))


# ---- attention, norms, losses, embedding


@row("GPT, 2 blocks, C192, 6 heads, T128, B8, AdamW, whole step", 1.4, 2)
def gpt(F: Any) -> Function:
    nn, functional = F.nn, F.nn.functional
    channels, heads, length, batch, vocabulary = 192, 6, 128, 8, 256

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
            self.qkv = nn.Linear(channels, 3 * channels)
            self.out = nn.Linear(channels, channels)
            self.up, self.down = (
                nn.Linear(channels, 4 * channels),
                nn.Linear(4 * channels, channels),
            )

        def forward(self, x: Any) -> Any:
            b, t, c = x.shape
            parts = self.qkv(self.norm1(x)).split(c, dim=2)
            q, k, v = (p.view(b, t, heads, c // heads).transpose(1, 2) for p in parts)
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
            return x + self.down(functional.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(vocabulary, channels)
            self.places = nn.Embedding(length, channels)
            self.blocks = nn.Sequential(Block(), Block())
            self.norm, self.head = nn.LayerNorm(channels), nn.Linear(channels, vocabulary)

        def forward(self, ids: Any) -> Any:
            x = self.tokens(ids) + self.places(F.arange(ids.shape[1]))
            return self.head(self.norm(self.blocks(x)))

    model = GPT()
    optimizer = F.optim.AdamW(model.parameters(), lr=1e-4)
    ids = F.randint(0, vocabulary, (batch, length + 1))
    x, y = ids[:, :-1].contiguous(), ids[:, 1:].reshape(-1)

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(x).view(-1, vocabulary), y).backward()
        optimizer.step()

    return step


@row("LayerNorm(768), 1024x768, fwd+bwd", 1.2, 2)
def layer_norm(F: Any) -> Function:
    return _forward_backward(F.nn.LayerNorm(768), F.randn(1024, 768, requires_grad=True))


@row("cross entropy, 256 x 10,000 classes, fwd+bwd", 1.2, 2)
def cross_entropy(F: Any) -> Function:
    y, function = F.randint(0, 10000, (256,)), F.nn.functional.cross_entropy
    return _gradients_of(lambda x: function(x, y), F.randn(256, 10000, requires_grad=True))


@row("attention, causal, B8 6 heads T128 D32, fwd+bwd", 1.2, 2)
def attention(F: Any) -> Function:
    qkv = [F.randn(8, 6, 128, 32, requires_grad=True) for _ in range(3)]
    function = F.nn.functional.scaled_dot_product_attention
    return _gradients_of(lambda q, k, v: function(q, k, v, is_causal=True), *qkv)


@row("attention, B2 8 heads T1024 D64, fwd+bwd", 1.2, 2)
def attention_long(F: Any) -> Function:
    qkv = [F.randn(2, 8, 1024, 64, requires_grad=True) for _ in range(3)]
    return _gradients_of(F.nn.functional.scaled_dot_product_attention, *qkv)


@row("embedding 10000x128, 32x50 indices, dense gradient, fwd+bwd", 1.0)
def embedding(F: Any) -> Function:
    layer, i = F.nn.Embedding(10000, 128), F.randint(0, 10000, (32, 50))
    return _gradients_of(lambda w: F.nn.functional.embedding(i, w), layer.weight)


# ---- optimizers


def _adam_step(F: Any, shapes: list[tuple[int, ...]], **options: Any) -> Function:
    parameters = [F.nn.Parameter(F.randn(*shape)) for shape in shapes]
    for p in parameters:
        p.grad = F.randn(*p.shape)
    return F.optim.Adam(parameters, **options).step  # type: ignore[no-any-return]


def _fused_adam_large(F: Any) -> Function:
    return _adam_step(F, [(1000, 1000)] * 5, fused=True)


@row("Adam over 5 M parameters, against torch's fused=True", 1.1, against=_fused_adam_large)
def adam_large(F: Any) -> Function:
    return _adam_step(F, [(1000, 1000)] * 5)


@row("Adam over 100 tensors of 32x32, against torch's default", 10)
def adam_many(F: Any) -> Function:
    return _adam_step(F, [(32, 32)] * 100)
