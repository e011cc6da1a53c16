"""What the commonest mistakes are answered with, word for word: the op, the shapes, what does not fit, often what would; then
the path of the layer."""

import re

import pytest

import eagergrad as eg
from eagergrad import nn

pytestmark = pytest.mark.host("a device tells of indices later, and in other words")

F = nn.functional


def net(*layers):
    """Layers at the path `body` of a module of ours."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(*layers)

        def forward(self, x):
            return self.body(x)

    return Net()


def R(*sizes):
    return eg.zeros(*sizes)


def I(*values):  # noqa: E743
    return eg.tensor(values)


def twice():
    y = eg.ones(3, requires_grad=True).exp().sum()
    y.backward()
    y.backward()


def undetached():
    w, h = eg.ones(3, requires_grad=True), eg.zeros(3)
    for _ in range(2):
        h = (h * w).tanh()
        h.sum().backward()


def write_to_leaf():
    eg.ones(3, requires_grad=True).add_(1)


def write_to_saved():
    y = eg.ones(3, requires_grad=True).exp()
    z = y * 2 + y * y
    y.add_(1)
    z.sum().backward()


def load(layer, state):
    net(layer).load_state_dict(state)


LINEAR = "in layer body.0 of Net: Linear(in_features=4, out_features=2, bias=True)"

MISTAKES = {
    "inner sizes of a product": (
        lambda: R(3, 4) @ R(5, 6),
        "[matmul] mat1 and mat2 shapes cannot be multiplied ([3, 4] and [5, 6]: inner sizes 4 and 5)",
    ),
    "a factor that should be transposed": (
        lambda: R(3, 4) @ R(6, 4),
        "[matmul] mat1 and mat2 shapes cannot be multiplied ([3, 4] and [6, 4]: inner sizes 4 and 6). Hint: the second one transposed (.mT) would fit",
    ),
    "batches of a product": (
        lambda: R(2, 3, 4) @ R(5, 4, 6),
        "[matmul] The size of tensor a (2) must match the size of tensor b (5) at non-singleton dimension 0: shapes [2] "
        "and [5] do not broadcast",
    ),
    "dtypes of a product": (
        lambda: R(3, 4) @ R(4, 5).double(),
        "[matmul] expected m1 and m2 to have the same dtype, but got: float32 != float64. Hint: convert the second one: "
        ".to(eagergrad.float32)",
    ),
    "input of a linear layer": (
        lambda: net(nn.Linear(4, 2))(R(3, 5)),
        "[linear] mat1 and mat2 shapes cannot be multiplied: the input's last dimension must be 4 (in_features), got an "
        f"input of shape [3, 5] and a weight of shape [2, 4]\n{LINEAR}",
    ),
    "dtype of a linear layer's input": (
        lambda: net(nn.Linear(4, 2))(R(3, 4).long()),
        "[linear] expected m1 and m2 to have the same dtype, but got: int64 != float32. Hint: convert the first one: "
        f".to(eagergrad.float32)\n{LINEAR}",
    ),
    "channels of a convolution": (
        lambda: net(nn.Conv2d(3, 8, 3), nn.Conv2d(16, 8, 3))(R(2, 3, 9, 9)),
        "[conv2d] weight [8, 16, 3, 3] with groups = 1 expects 16 input channels, got 8 in input [2, 8, 7, 7]\n"
        "in layer body.1 of Net: Conv2d(16, 8, kernel_size=(3, 3), stride=(1, 1))",
    ),
    "channels that come last": (
        lambda: F.conv2d(R(2, 9, 9, 3), R(8, 3, 3, 3)),
        "[conv2d] weight [8, 3, 3, 3] with groups = 1 expects 3 input channels, got 9 in input [2, 9, 9, 3]. Hint: the last "
        "dimension has that size; .movedim(-1, 1) puts channels there into place",
    ),
    "window larger than the image": (
        lambda: F.conv2d(R(1, 3, 3, 3), R(8, 3, 5, 5)),
        "[conv2d] the kernel (5 with dilation) is larger than the padded input (3) in spatial dimension 0: input [1, 3, 3, "
        "3], weight [8, 3, 5, 5], padding [0, 0]",
    ),
    "channels of batch norm": (
        lambda: net(nn.BatchNorm2d(8))(R(2, 4, 9, 9)),
        "[batch_norm] expected running_mean to be a vector of size equal to the number of channels in input (4 in dimension "
        "1), but got a tensor of shape [8]\nin layer body.0 of Net: BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, "
        "bias=True, track_running_stats=True)",
    ),
    "row of an embedding": (
        lambda: net(nn.Embedding(10, 4))(I(1, 12)),
        "[embedding] index out of range: index 12 in a table of 10 rows (weight [10, 4])\n"
        "in layer body.0 of Net: Embedding(10, 4)",
    ),
    "number of targets": (
        lambda: F.cross_entropy(R(4, 3), I(1, 2)),
        "[cross_entropy] Expected input batch_size (4) to match target batch_size (2).",
    ),
    "class of a target": (
        lambda: F.cross_entropy(R(4, 3), I(0, 1, 2, 3)),
        "[cross_entropy] Target 3 is out of bounds: expected a class in [0, 3), at position 3",
    ),
    "dtype of targets": (
        lambda: F.cross_entropy(R(4, 3), R(4)),
        "[cross_entropy] expected class indices of dtype int64 or uint8 as target, got float32; convert them with .long()",
    ),
    "column of targets": (
        lambda: F.cross_entropy(R(4, 3), R(4, 1).long()),
        "[cross_entropy] expected a target of shape [4] for scores of shape [4, 3], got [4, 1]. Hint: target.squeeze(-1) "
        "would fit",
    ),
    "classes that come last": (
        lambda: F.cross_entropy(R(4, 7, 3), R(4, 7).long()),
        "[cross_entropy] expected a target of shape [4, 3] for scores of shape [4, 7, 3], got [4, 7]. Hint: classes belong "
        "in dimension 1; scores.movedim(-1, 1) puts them there",
    ),
    "targets of another shape": (
        lambda: F.binary_cross_entropy_with_logits(R(4, 1), R(4)),
        "[binary_cross_entropy_with_logits] Target size (eagergrad.Size([4])) must be the same as input size "
        "(eagergrad.Size([4, 1]))",
    ),
    "sizes of parts": (
        lambda: eg.cat([R(2, 3), R(2, 4)]),
        "[cat] expected sizes to match except in dimension 0, got shapes [2, 3] and [2, 4] (tensor number 1)",
    ),
    "shapes on a stack": (
        lambda: eg.stack([R(2, 3), R(2, 4)]),
        "[stack] expected tensors of equal shape, got [2, 3] at entry 0 and [2, 4] at entry 1",
    ),
    "view of another size": (
        lambda: R(2, 3).view(4, 2),
        "[view] shape '[4, 2]' is invalid for input of size 6 (shape [2, 3])",
    ),
    "reshape to another size": (
        lambda: R(2, 3).reshape(-1, 4),
        "[reshape] shape '[-1, 4]' is invalid for input of size 6 (shape [2, 3])",
    ),
    "operands that do not broadcast": (
        lambda: R(2, 3) + R(2, 4),
        "[add] The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1: shapes [2, 3] and "
        "[2, 4] do not broadcast",
    ),
    "a vector for each row": (
        lambda: R(2, 3) * R(2),
        "[mul] The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 1: shapes [2, 3] and "
        "[2] do not broadcast. Hint: the second one seen as [2, 1] would fit",
    ),
    "operands that are each other's transpose": (
        lambda: R(2, 3) < R(3, 2),
        "[lt] The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 1: shapes [2, 3] and "
        "[3, 2] do not broadcast. Hint: the second one transposed (.mT) would fit",
    ),
    "what a recurrent layer returns": (
        lambda: net(nn.LSTM(5, 8), nn.Linear(8, 2))(R(7, 2, 5)),
        "linear(): argument 'input' (position 1) must be Tensor, not tuple of tensors. Hint: pass one of them; recurrent layers "
        "return (output, state)\nin layer body.1 of Net: Linear(in_features=8, out_features=2, bias=True)",
    ),
    "one tensor where several go": (
        lambda: eg.cat(R(2, 3)),
        "cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor",
    ),
    "what is no tensor in a list of tensors": (
        lambda: eg.cat([R(2), "a"]),
        "cat(): argument 'tensors' (position 1) must be tuple of Tensors, but found element of type str at pos 1",
    ),
    "a float in a shape": (
        lambda: R(4).reshape([2, 2.0]),
        "reshape(): argument 'shape' (position 2) must be tuple of ints, but found element of type float at pos 1",
    ),
    "features of a recurrent layer": (
        lambda: net(nn.LSTM(5, 8))(R(7, 2, 4)),
        "input.size(-1) must be equal to input_size. Expected 5, got 4 in an input of shape [7, 2, 4]\n"
        "in layer body.0 of Net: LSTM(5, 8)",
    ),
    "state of a recurrent layer": (
        lambda: nn.LSTM(5, 8)(R(7, 2, 5), (R(1, 3, 8), R(1, 3, 8))),
        "Expected hidden[0] size (1, 2, 8) (layers * directions, batch, features), got [1, 3, 8]\nin layer LSTM(5, 8)",
    ),
    "half of a state": (
        lambda: nn.LSTM(5, 8)(R(7, 2, 5), R(1, 2, 8)),
        "[LSTM] expected a pair (h, c) of state tensors, got a tensor of shape [1, 2, 8]\nin layer LSTM(5, 8)",
    ),
    "index past the end": (
        lambda: R(3, 4)[:, I(0, 9)],
        "[index] index 9 is out of bounds for dimension 1 with size 4",
    ),
    "more indices than dimensions": (
        lambda: R(3, 4)[0, 0, 0],
        "too many indices for tensor of dimension 2: got 3 for shape [3, 4]",
    ),
    "shape of a mask": (
        lambda: R(3, 4)[R(3, 3) > 0],
        "The shape of the mask [3, 3] at index 1 does not match the shape of the indexed tensor [3, 4] at index 1",
    ),
    "index to gather": (
        lambda: R(3, 4).gather(1, eg.tensor([[0, 5]])),
        "[gather] index 5 is out of bounds for dimension 1 with size 4",
    ),
    "dimensions of what is gathered": (
        lambda: R(3, 4).gather(1, I(0, 1)),
        "[gather] Index tensor must have the same number of dimensions as self tensor, got shapes [2] and [3, 4]",
    ),
    "source to scatter": (
        lambda: R(3, 4).scatter(1, R(3, 4).long(), R(2, 2)),
        "[scatter] Expected index [3, 4] to be no larger than src [2, 2]",
    ),
    "mask of attention": (
        lambda: F.scaled_dot_product_attention(*[R(2, 4, 5, 8)] * 3, attn_mask=R(2, 5, 5)),
        "[scaled_dot_product_attention] expected attn_mask to broadcast to [2, 4, 5, 5] (batch, heads, queries, keys), got "
        "[2, 5, 5]",
    ),
    "heads of attention": (
        lambda: F.scaled_dot_product_attention(R(2, 4, 5, 8), *[R(2, 3, 6, 8)] * 2),
        "[scaled_dot_product_attention] expected dimensions before the last two that broadcast, got query [2, 4, 5, 8], key "
        "[2, 3, 6, 8], value [2, 3, 6, 8]. Hint: with several query heads a key head, pass enable_gqa=True",
    ),
    "shape in a state dict": (
        lambda: load(nn.Linear(4, 2), net(nn.Linear(5, 2)).state_dict()),
        "Error(s) in loading state_dict for Net:\n\tsize mismatch for body.0.weight: the checkpoint holds shape (2, 5), the "
        "model has shape (2, 4).\n\tNothing was loaded.",
    ),
    "names in a state dict of a wrapped model": (
        lambda: load(
            nn.Linear(4, 2), {"module.body.0.weight": R(2, 4), "module.body.0.bias": R(2)}
        ),
        'Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: "body.0.weight", "body.0.bias".\n\t'
        'Unexpected key(s) in state_dict: "module.body.0.weight", "module.body.0.bias".\n\t'
        'Hint: take "module." off the names in the state dict.\n\tNothing was loaded.',
    ),
    "names in a state dict of a part": (
        lambda: load(nn.Linear(4, 2), {"weight": R(2, 4), "bias": R(2)}),
        'Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: "body.0.weight", "body.0.bias".\n\t'
        'Unexpected key(s) in state_dict: "weight", "bias".\n\t'
        'Hint: put "body.0." before the names in the state dict.\n\tNothing was loaded.',
    ),
    "optimizer without parameters": (
        lambda: eg.optim.SGD([], 0.1),
        "optimizer got an empty parameter list",
    ),
    "optimizer of a module": (
        lambda: eg.optim.SGD(nn.Linear(1, 2), 0.1),
        "params argument given to the optimizer should be an iterable of Tensors or dicts, but got the module "
        "eagergrad.nn.modules.linear.Linear; pass its .parameters()",
    ),
    "optimizer of a result": (
        lambda: eg.optim.SGD([R(3).requires_grad_() * 2], 0.1),
        "can't optimize a non-leaf Tensor: one of shape [3] is the result of operations, made at LINE",
    ),
    "backward of many values": (
        lambda: (R(3).requires_grad_() * 2).backward(),
        "grad can be implicitly created only for scalar outputs, got a tensor of shape [3] made at LINE",
    ),
    "backward of what needs none": (
        lambda: R(3).sum().backward(),
        "element 0 of tensors does not require grad and does not have a grad_fn: a float32 tensor of shape [], made of "
        "tensors that require none, of detached or whole-number ones, or where recording was off",
    ),
    "backward twice": (
        twice,
        "Trying to backward through the graph a second time: it was freed by the backward at LINE. The operation Exp was "
        "made at LINE. Specify retain_graph=True in the first backward if you need a second one.",
    ),
    "state that was not detached": (
        undetached,
        "Trying to backward through the graph a second time: this graph reaches a tensor of an earlier graph, made by Tanh "
        "at LINE, which the backward at LINE freed. If that tensor carries state from one iteration to the next, detach "
        "it: h = h.detach() (or specify retain_graph=True in the earlier backward).",
    ),
    "write to a leaf": (
        write_to_leaf,
        "[add_] a leaf Variable that requires grad is being used in an in-place operation: [add] on a tensor of shape [3]. "
        "Wrap the update in eagergrad.no_grad(), or use the out-of-place form.",
    ),
    "write to what backward needs": (
        write_to_saved,
        "one of the variables needed for gradient computation has been modified by an inplace operation: a float32 tensor of "
        "shape [3], an input of MulBackward0, was saved at LINE (version 0) and modified at LINE (now at version 1). Hint: "
        "use the out-of-place form of the operation there, or clone() the tensor before it.\n  in the backward of Mul, made "
        "at LINE",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_as_written_here(name):
    run, expected = MISTAKES[name]
    with pytest.raises((RuntimeError, TypeError, ValueError, IndexError)) as caught:
        run()
    text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    lines = re.compile(rf"{re.escape(__file__)}:\d+, in (<lambda>|\w+)")
    assert lines.sub("LINE", text) == expected
