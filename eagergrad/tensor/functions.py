"""Functions of the package that are plain Python: questions about tensors, old names, small compositions."""

from __future__ import annotations

import os
from typing import Any

from eagergrad import _C
from eagergrad.tensor.dtype import dtype
from eagergrad.tensor.out import asking, with_out
from eagergrad.tensor.tensor import Tensor, _as_dtype

__all__ = [
    "Assert",
    "_assert",
    "are_deterministic_algorithms_enabled",
    "binomial",
    "compile",
    "conj",
    "detach",
    "detach_",
    "empty_permuted",
    "fill",
    "get_device",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_rng_state",
    "imag",
    "initial_seed",
    "is_complex",
    "is_conj",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_floating_point",
    "is_inference",
    "is_neg",
    "is_nonzero",
    "is_signed",
    "is_storage",
    "is_tensor",
    "manual_seed",
    "numel",
    "resolve_conj",
    "resolve_neg",
    "seed",
    "set_default_tensor_type",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_num_interop_threads",
    "set_rng_state",
    "typename",
    "unfold_copy",
    "use_deterministic_algorithms",
]


def is_tensor(obj: Any) -> bool:
    """Whether obj is a Tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj: Any) -> bool:
    """Whether the object is a storage, as ``x.storage()`` gives."""
    return any(c.__module__ == "eagergrad.storage" for c in type(obj).__mro__)


@asking
def is_floating_point(input: Tensor) -> bool:
    """Whether the elements are floating point numbers."""
    return input.dtype.is_floating_point


def is_complex(input: Tensor) -> bool:
    """False: all dtypes are real."""
    return False


@asking
def is_signed(input: Tensor) -> bool:
    """Whether the dtype holds negative numbers."""
    return input.dtype.is_signed


@asking
def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return input.is_inference()


def is_conj(input: Tensor) -> bool:
    """False: all dtypes are real."""
    return False


def is_neg(input: Tensor) -> bool:
    """False: no tensor is kept as the negative of another."""
    return False


def conj(input: Tensor) -> Tensor:
    """The input: all dtypes are real."""
    return input


def resolve_conj(input: Tensor) -> Tensor:
    """The input: all dtypes are real."""
    return input


def resolve_neg(input: Tensor) -> Tensor:
    """The input: no tensor is kept as the negative of another."""
    return input


def imag(input: Tensor) -> Tensor:
    """Raises RuntimeError: all dtypes are real."""
    raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")


@asking
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like the input with one value everywhere."""
    return input.clone().fill_(value)


def empty_permuted(size: Any, physical_layout: Any, **options: Any) -> Tensor:
    """Uninitialised memory whose dimensions lie in the given order, from the outermost."""
    order = list(physical_layout)
    if sorted(order) != list(range(len(size))):
        raise RuntimeError(
            f"Number of dimensions in size does not match the length of the physical_layout, or it is no "
            f"permutation: {tuple(size)} and {tuple(order)}"
        )
    made = _C.op_table["empty"]([size[d] for d in order], **options)
    return made.permute([order.index(d) for d in range(len(order))])


@with_out
def unfold_copy(input: Tensor, dimension: int, size: int, step: int, *, out: Any = None) -> Tensor:
    """A copy of unfold()."""
    shown = input.unfold(dimension, size, step)
    return _C.op_table["clone"](shown, memory_format="contiguous_format")


@asking
def is_nonzero(input: Tensor) -> bool:
    """Truth of a one-element tensor."""
    if input.numel() != 1:
        raise RuntimeError(
            "Boolean value of Tensor with more than one value is ambiguous"
            if input.numel()
            else "Boolean value of Tensor with no values is ambiguous"
        )
    return bool(input)


@asking
def numel(input: Tensor) -> int:
    """Number of elements."""
    return input.numel()


def typename(obj: Any) -> str:
    """Name of a tensor's type, or of any object's class with its module."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if isinstance(obj, type) else type(obj)
    return (
        f"{kind.__module__}.{kind.__qualname__}"
        if kind.__module__ != "builtins"
        else kind.__qualname__
    )


def manual_seed(seed: int) -> Any:
    """Starts the default stream of random numbers of a seed; returns its generator."""
    return _C.default_generator.manual_seed(int(seed))


def seed() -> int:
    """Starts the default stream from the system's randomness; returns the seed."""
    value = int.from_bytes(os.urandom(7), "little")
    _C.default_generator.manual_seed(value)
    return value


def initial_seed() -> int:
    """The seed of the default stream."""
    return _C.default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """State of the default stream as a tensor of bytes."""
    return _C.default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Puts the default stream back to a state of get_rng_state()."""
    _C.default_generator.set_state(new_state)


def set_default_tensor_type(t: Any) -> None:
    """The old spelling of set_default_dtype."""
    _C.set_default_dtype(_as_dtype(t) if not isinstance(t, dtype) else t)


def Assert(condition: Any, message: str) -> None:
    """Raises AssertionError with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


_assert = Assert


def compile(model: Any = None, **options: Any) -> Any:
    """A function is returned as it is: eager code is already what runs. Also a decorator with or without arguments.

    A module is wrapped, as PyTorch does it, so that its parameters have the names that PyTorch gives them (``_orig_mod.``).
    """
    if model is None:
        return compile
    from eagergrad.compiler import compiled

    return compiled(model)


_deterministic = False
_warn_only = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Noted; results are the same bits in every run either way."""
    global _deterministic, _warn_only
    _deterministic, _warn_only = bool(mode), bool(mode and warn_only)


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """The ``warn_only`` that use_deterministic_algorithms was told."""
    return _warn_only


def are_deterministic_algorithms_enabled() -> bool:
    """What use_deterministic_algorithms was told."""
    return _deterministic


_precision = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """Let a GPU round the operands of float32 products to TensorFloat-32 ("high", "medium"), or not ("highest").

    The CPU always computes them in full float32.
    """
    global _precision
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"expected 'highest', 'high' or 'medium', got {precision!r}")
    _precision = precision
    _C.cuda_set_tf32(precision != "highest")


def get_float32_matmul_precision() -> str:
    """What set_float32_matmul_precision was told."""
    return _precision


def set_num_interop_threads(n: int) -> None:
    """Accepted: operations run one after the other, each on the threads of set_num_threads."""
    if n <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")


def get_num_interop_threads() -> int:
    """1: operations run one after the other."""
    return 1


def set_flush_denormal(mode: bool) -> bool:
    """False: subnormal numbers are always kept."""
    return False


@asking
def detach(input: Any) -> Any:
    """The same memory without history: of a tensor, or of all tensors in nested lists, tuples and dicts.

    What a recurrent net carries to the next piece of a sequence is cut off from the last one by ``state = eg.detach(state)``.

    >>> import eagergrad as eg
    >>> x = eg.ones(2, requires_grad=True) * 2
    >>> h, c = detach((x, [x, None]))
    >>> h.requires_grad, c[0].requires_grad
    (False, False)
    """
    if isinstance(input, tuple | list | dict):
        from eagergrad.utils._pytree import tree_map

        return tree_map(lambda x: x.detach() if hasattr(x, "detach") else x, input)
    return input.detach()


@asking
def detach_(input: Tensor) -> Tensor:
    """Drop the tensor's history, in place."""
    return input.detach_()


@asking
def get_device(input: Tensor) -> int:
    """The number of the tensor's GPU, -1 on the CPU."""
    return input.get_device()


@asking
def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """Numbers of successes in ``count`` trials of probability ``prob`` each, drawn at random.

    Raises:
        ValueError: a count is negative or no number, or a probability outside of [0, 1].

    >>> import eagergrad as eg
    >>> binomial(eg.tensor([3.0, 5.0]), eg.tensor([0.0, 1.0])).tolist()
    [0.0, 5.0]
    """
    import eagergrad as eg

    count, prob = eg.broadcast_tensors(count.detach(), prob.detach())
    if not bool(((prob >= 0) & (prob <= 1)).all()) or not bool((count >= 0).all()):
        raise ValueError("[binomial] expected counts of at least 0 and probabilities in [0, 1]")
    return _C.op_table["_binomial"](count.trunc(), prob.double(), generator).to(count.dtype)


def _log_api_usage_once(event: str) -> None:
    """What libraries tell PyTorch when they are used; nothing is counted here."""


def _get_tracing_state() -> None:
    """The trace in progress: there never is one."""


_C._log_api_usage_once = _log_api_usage_once  # type: ignore[attr-defined]
_C._get_tracing_state = _get_tracing_state  # type: ignore[attr-defined]
