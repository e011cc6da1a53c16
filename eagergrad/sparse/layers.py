"""A linear layer for sparse input."""

from __future__ import annotations

import math
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad.nn import Parameter
from eagergrad.nn.modules.module import Module
from eagergrad.sparse import products


class Linear(Module):
    """y = x W + b for sparse x of (N, in_features): `nn.Linear` with its weight stored as (in_features, out_features).

    Rows of the weight belong to features, so that a product reads, and with ``sparse_grad=True`` a gradient holds,
    only the rows of features that occur. Starts as `nn.Linear` does.

    >>> import eagergrad as eg
    >>> layer = eg.sparse.Linear(1000, 2, sparse_grad=True)
    >>> layer(eg.sparse.csr((eg.ones(2), [3, 7], [0, 2]), (1, 1000))).sum().backward()
    >>> layer.weight.grad.indices().tolist()
    [[3, 7]]
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        sparse_grad: bool = False,
        dtype: Any = None,
        device: Any = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.sparse_grad = sparse_grad
        self.weight = Parameter(eg.empty((in_features, out_features), dtype=dtype, device=device))
        if bias:
            self.bias = Parameter(eg.empty(out_features, dtype=dtype, device=device))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, uniform in +-1/sqrt(in_features)."""
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        eg.nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            eg.nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Tensor:
        y = products.mm(input, self.weight, sparse_grad=self.sparse_grad)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}, "
            f"sparse_grad={self.sparse_grad}"
        )
