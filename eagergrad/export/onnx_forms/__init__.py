"""What ops of the core are in ONNX: functions of a graph and the op's arguments, by the names that they have there.

Tensors come as `Val`, sizes that follow the batch as `Size`, all else as it was given. Elementwise ops of the table need none:
their line is taken apart (`elementwise`).
"""

from eagergrad.export.onnx_forms import conv, index, matmul, norm, reduce, rnn, shape
from eagergrad.export.onnx_forms.elementwise import elementwise
from eagergrad.export.onnx_forms.forms import FORMS

__all__ = ["FORMS", "conv", "elementwise", "index", "matmul", "norm", "reduce", "rnn", "shape"]
