"""Recurrent layers and their cells."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

import eagergrad as eg
from eagergrad import Tensor
from eagergrad._C import ops as _ops

from .. import init
from ..functional._top import run_layers
from ..parameter import Parameter
from ..utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from .module import Module

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}

State = Any  # a Tensor, for LSTM a pair


class RNNBase(Module):
    """What RNN, LSTM and GRU share: `num_layers` fused layers, each in one direction or two.

    Input (T, B, input_size), (B, T, input_size) with `batch_first`, (T, input_size), or a PackedSequence. With
    `lengths` (B,), in any order, padded steps are left out: they neither reach the states nor come out other than 0.
    """

    __constants__ = [
        "mode",
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ]

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        _check_arguments(self, dropout)
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            for direction in range(self._directions):
                self._make_layer(layer, direction, {"device": device, "dtype": dtype})
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _state_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _make_layer(self, layer: int, direction: int, made: dict[str, Any]) -> None:
        rows = _GATES[self.mode] * self.hidden_size
        width = self.input_size if layer == 0 else self._state_size * self._directions
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, width),
            "weight_hh": (rows, self._state_size),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        suffix = f"_l{layer}{'_reverse' if direction else ''}"
        for name, shape in shapes.items():
            setattr(self, name + suffix, Parameter(eg.empty(shape, **made)))
        self._all_weights.append([name + suffix for name in shapes])

    def reset_parameters(self) -> None:
        """Draw all weights and biases uniformly from +-1/sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The weights, one list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Does nothing: the layers pack their weights themselves. Kept for programs that call it."""

    def _initial_state(self, batch: int, like: Tensor) -> State:
        layers = self.num_layers * self._directions
        return eg.zeros(layers, batch, self._state_size, dtype=like.dtype, device=like.device)

    def _states(self, hx: State) -> tuple[Tensor, ...]:
        """The state's tensors, each (layers * directions, B, size)."""
        return (hx,)

    def _expected_sizes(self, batch: int) -> tuple[tuple[int, int, int], ...]:
        return ((self.num_layers * self._directions, batch, self._state_size),)

    def get_expected_hidden_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """The shape a state must have for this (time-first or packed) input."""
        batch = int(batch_sizes[0]) if batch_sizes is not None else input.shape[1]
        if batch_sizes is None and self.batch_first:
            batch = input.shape[0]
        return self._expected_sizes(batch)[0]

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """ValueError for another dtype than the weights', RuntimeError for a wrong shape."""
        expected = 2 if batch_sizes is not None else 3
        weight = self._flat_weights[0]
        if input.dtype != weight.dtype and not eg.is_autocast_enabled(input.device.type):
            raise ValueError(f"input must have the type {weight.dtype}, got type {input.dtype}")
        if input.dim() != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.dim()}")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, "
                f"got {input.shape[-1]} in an input of shape {list(input.shape)}"
            )

    def check_hidden_size(
        self,
        hx: Tensor,
        expected_hidden_size: tuple[int, ...],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        """RuntimeError unless the state has the expected shape."""
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(tuple(expected_hidden_size), list(hx.shape)))

    def _check_states(self, states: tuple[Tensor, ...], batch: int) -> None:
        for i, (state, size) in enumerate(zip(states, self._expected_sizes(batch), strict=True)):
            what = f"hidden[{i}]" if len(states) == 2 else "hidden"
            msg = f"Expected {what} size {{}} (layers * directions, batch, features), got {{}}"
            self.check_hidden_size(state, size, msg)

    def _wrap(self, states: list[Tensor]) -> State:
        return states[0]

    def forward(self, input: Any, hx: State = None, *, lengths: Any = None) -> tuple[Any, State]:
        """(output, last state); both packed, unbatched or batch-first as the input was."""
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError(
                    f"[{self._get_name()}] lengths are part of a PackedSequence already"
                )
            return self._forward_packed(input, hx)
        if lengths is not None:
            return self._forward_lengths(input, hx, lengths)
        if input.dim() not in (2, 3):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D tensor instead"
            )
        if input.dim() == 2:
            return self._forward_unbatched(input, hx)
        if hx is not None:
            self._check_batched(hx)
        x = input.transpose(0, 1) if self.batch_first else input
        self.check_input(x, None)
        output, state = self._run(x, hx, [], x.shape[1])
        return (output.transpose(0, 1) if self.batch_first else output), state

    def _check_batched(self, hx: State) -> None:
        for state in self._states(hx):
            if state.dim() != 3:
                raise RuntimeError(
                    f"For batched 3-D input, hx should also be 3-D but got {state.dim()}-D tensor"
                )

    def _forward_unbatched(self, input: Tensor, hx: State) -> tuple[Tensor, State]:
        if hx is not None:
            states = self._states(hx)
            for state in states:
                if state.dim() != 2:
                    raise RuntimeError(
                        f"For unbatched 2-D input, hx should also be 2-D but got {state.dim()}-D tensor"
                    )
            hx = self._wrap([state.unsqueeze(1) for state in states])
        x = input.unsqueeze(1)
        self.check_input(x, None)
        output, state = self._run(x, hx, [], 1)
        return output.squeeze(1), self._wrap([s.squeeze(1) for s in self._states(state)])

    def _forward_packed(self, input: PackedSequence, hx: State) -> tuple[PackedSequence, State]:
        data, batch_sizes, sorted_indices, unsorted_indices = input
        self.check_input(data, batch_sizes)
        sizes = batch_sizes.tolist()
        if hx is not None:
            hx = self.permute_hidden(hx, sorted_indices)
        output, state = self._run(data, hx, sizes, sizes[0])
        packed = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return packed, self.permute_hidden(state, unsorted_indices)

    def _forward_lengths(self, input: Tensor, hx: State, lengths: Any) -> tuple[Tensor, State]:
        if input.dim() != 3:
            raise ValueError(
                f"[{self._get_name()}] lengths need a batched 3D input, got {input.dim()}D"
            )
        steps = input.shape[1 if self.batch_first else 0]
        if isinstance(lengths, Tensor):
            lengths = lengths.cpu()
        packed = pack_padded_sequence(input, lengths, self.batch_first, enforce_sorted=False)
        output, state = self._forward_packed(packed, hx)
        padded, _ = pad_packed_sequence(output, self.batch_first, total_length=steps)
        return padded, state

    def permute_hidden(self, hx: State, permutation: Tensor | None) -> State:
        """The state with its sequences in another order."""
        if permutation is None:
            return hx
        return self._wrap([s.index_select(1, permutation) for s in self._states(hx)])

    def _run(self, x: Tensor, hx: State, sizes: list[int], batch: int) -> tuple[Tensor, State]:
        if hx is None:
            hx = self._initial_state(batch, x)
        states = self._states(hx)
        self._check_states(states, batch)
        if x.dim() == 3 and x.shape[0] == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        out, last = run_layers(
            x,
            states,
            self._flat_weights,
            sizes,
            self.mode,
            self.bias,
            self.num_layers,
            self.dropout if self.training else 0.0,
            self.bidirectional,
        )
        return out, self._wrap(last)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        for name, value in defaults.items():
            if getattr(self, name) != value:
                text += f", {name}={getattr(self, name)}"
        return text

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("proj_size", 0)


def _check_arguments(rnn: RNNBase, dropout: Any) -> None:
    if rnn.mode not in _GATES:
        raise ValueError("Unrecognized RNN mode: " + rnn.mode)
    kinds = {"bias": bool, "batch_first": bool, "input_size": int, "hidden_size": int}
    for name, kind in kinds.items():
        value = getattr(rnn, name)
        if not isinstance(value, kind):
            raise TypeError(
                f"{name} should be of type {kind.__name__}, got: {type(value).__name__}"
            )
    for name in ("input_size", "hidden_size", "num_layers"):
        if getattr(rnn, name) <= 0:
            raise ValueError(f"{name} must be greater than zero")
    num_layers, hidden_size, proj_size = rnn.num_layers, rnn.hidden_size, rnn.proj_size
    if (
        not isinstance(dropout, numbers.Number)
        or isinstance(dropout, bool)
        or not 0 <= dropout <= 1
    ):  # type: ignore[operator]
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an element "
            "being zeroed"
        )
    if dropout > 0 and num_layers == 1:  # type: ignore[operator]
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout "
            f"expects num_layers greater than 1, but got dropout={dropout} and "
            f"num_layers={num_layers}",
            stacklevel=4,
        )
    if proj_size and rnn.mode != "LSTM":
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")


class RNN(RNNBase):
    """h' = nonlinearity(W_ih x + b_ih + W_hh h + b_hh) over a sequence (Elman, 1990); nonlinearity "tanh" or "relu".

    >>> import eagergrad as eg
    >>> rnn = eg.nn.RNN(10, 20, num_layers=2)
    >>> output, h = rnn(eg.randn(5, 3, 10))
    >>> tuple(output.shape), tuple(h.shape)
    ((5, 3, 20), (2, 3, 20))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory over a sequence (Hochreiter and Schmidhuber, 1997); gates in the order i, f, g, o.

    The state is a pair (h, c). With `proj_size`, h = W_hr (o tanh(c)) (Sak et al., 2014).

    >>> import eagergrad as eg
    >>> output, (h, c) = eg.nn.LSTM(10, 20, bidirectional=True)(eg.randn(5, 3, 10))
    >>> tuple(output.shape), tuple(c.shape)
    ((5, 3, 40), (2, 3, 20))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def _initial_state(self, batch: int, like: Tensor) -> State:
        h, c = self._expected_sizes(batch)
        made = {"dtype": like.dtype, "device": like.device}
        return eg.zeros(h, **made), eg.zeros(c, **made)

    def _states(self, hx: State) -> tuple[Tensor, ...]:
        if isinstance(hx, Tensor) or len(hx) != 2:
            came = f"a tensor of shape {list(hx.shape)}" if isinstance(hx, Tensor) else f"{len(hx)}"
            raise TypeError(f"[LSTM] expected a pair (h, c) of state tensors, got {came}")
        h, c = hx
        return h, c

    def _expected_sizes(self, batch: int) -> tuple[tuple[int, int, int], ...]:
        layers = self.num_layers * self._directions
        return (layers, batch, self._state_size), (layers, batch, self.hidden_size)

    def get_expected_cell_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """The shape c must have for this input."""
        layers, batch, _ = self.get_expected_hidden_size(input, batch_sizes)
        return layers, batch, self.hidden_size

    def _check_batched(self, hx: State) -> None:
        for state in self._states(hx):
            if state.dim() != 3:
                raise RuntimeError(
                    "For batched 3-D input, hx and cx should also be 3-D but got "
                    f"({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
                )

    def _wrap(self, states: list[Tensor]) -> State:
        return tuple(states)


class GRU(RNNBase):
    """Gated recurrent unit over a sequence (Cho et al., 2014); gates in the order r, z, n.

    The reset gate is applied after the recurrent product: n = tanh(W_in x + b_in + r (W_hn h + b_hn)).

    >>> import eagergrad as eg
    >>> output, h = eg.nn.GRU(10, 20, batch_first=True)(eg.randn(3, 5, 10), lengths=[2, 5, 1])
    >>> tuple(output.shape), tuple(h.shape)
    ((3, 5, 20), (1, 3, 20))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )


class RNNCellBase(Module):
    """Weights of one step: `weight_ih` (gates * hidden, input), `weight_hh` (gates * hidden, hidden), biases."""

    __constants__ = ["input_size", "hidden_size", "bias"]
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        made = {"device": device, "dtype": dtype}
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(eg.empty((rows, input_size), **made))
        self.weight_hh = Parameter(eg.empty((rows, hidden_size), **made))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(eg.empty(rows, **made)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights and biases uniformly from +-1/sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _batched(self, input: Tensor) -> tuple[Tensor, bool]:
        """(B, input_size), and whether the input came that way."""
        dims = input.dim()
        if dims not in (1, 2):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 1D or 2D, got {dims}D instead"
            )
        return (input, True) if dims == 2 else (input.unsqueeze(0), False)

    def _batched_state(self, hx: Tensor | None, x: Tensor, batched: bool) -> Tensor:
        if hx is None:
            return eg.zeros(x.shape[0], self.hidden_size, dtype=x.dtype, device=x.device)
        if hx.dim() not in (1, 2):
            raise ValueError(
                f"{self._get_name()}: Expected hidden to be 1D or 2D, got {hx.dim()}D instead"
            )
        return hx if batched else hx.unsqueeze(0)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if not self.bias:
            text += f", bias={self.bias}"
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        if nonlinearity != "tanh":
            text += f", nonlinearity={nonlinearity}"
        return text


def _as_state(out: Tensor, state: Tensor) -> Tensor:
    """`out` in the dtype of the state it follows: autocast regions of the CPU compute cells in float32."""
    return out if out.dtype == state.dtype or not out.is_cpu else out.to(state.dtype)


class RNNCell(RNNCellBase):
    """One step h' = nonlinearity(W_ih x + b_ih + W_hh h + b_hh): (B, input_size) and (B, hidden_size), or 1-D both.

    >>> import eagergrad as eg
    >>> tuple(eg.nn.RNNCell(10, 20)(eg.randn(3, 10)).shape)
    (3, 20)
    """

    __constants__ = [*RNNCellBase.__constants__, "nonlinearity"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        step = _ops.rnn_tanh_cell if self.nonlinearity == "tanh" else _ops.rnn_relu_cell
        x, batched = self._batched(input)
        h = self._batched_state(hx, x, batched)
        out = step(x, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return out if batched else out.squeeze(0)


class LSTMCell(RNNCellBase):
    """One step of an LSTM: (B, input_size) and (h, c), each (B, hidden_size), to (h', c').

    >>> import eagergrad as eg
    >>> h, c = eg.nn.LSTMCell(10, 20)(eg.randn(3, 10))
    >>> tuple(h.shape), tuple(c.shape)
    ((3, 20), (3, 20))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        x, batched = self._batched(input)
        h0, c0 = (None, None) if hx is None else hx
        h, c = self._batched_state(h0, x, batched), self._batched_state(c0, x, batched)
        state = h, c
        h, c = _ops.lstm_cell(x, state, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        h, c = _as_state(h, state[0]), _as_state(c, state[1])
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of a GRU: (B, input_size) and (B, hidden_size) to (B, hidden_size).

    >>> import eagergrad as eg
    >>> tuple(eg.nn.GRUCell(10, 20)(eg.randn(3, 10)).shape)
    (3, 20)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        x, batched = self._batched(input)
        h = self._batched_state(hx, x, batched)
        out = _ops.gru_cell(x, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        out = _as_state(out, h)
        return out if batched else out.squeeze(0)
