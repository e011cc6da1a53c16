# Written by tools/make_stubs.py; do not edit.
from builtins import bool as _bool, float as _float, int as _int, str as _str
from collections.abc import Iterator, Sequence
from typing import Any, overload

from eagergrad.tensor.device import device as _device
from eagergrad.tensor.dtype import dtype as _dtype
from eagergrad.tensor.layout import layout as _layout, memory_format as _memory_format
from eagergrad import accelerator as accelerator
from eagergrad import amp as amp
from eagergrad import array_api as array_api
from eagergrad import as_torch as as_torch
from eagergrad import autograd as autograd
from eagergrad import backends as backends
from eagergrad import compiler as compiler
from eagergrad import cpu as cpu
from eagergrad import cuda as cuda
from eagergrad import distributed as distributed
from eagergrad import distributions as distributions
from eagergrad import export as export
from eagergrad import fft as fft
from eagergrad import func as func
from eagergrad import functional as functional
from eagergrad import futures as futures
from eagergrad import fx as fx
from eagergrad import hub as hub
from eagergrad import jit as jit
from eagergrad import library as library
from eagergrad import linalg as linalg
from eagergrad import masked as masked
from eagergrad import memory as memory
from eagergrad import mps as mps
from eagergrad import multiprocessing as multiprocessing
from eagergrad import nn as nn
from eagergrad import onnx as onnx
from eagergrad import optim as optim
from eagergrad import overrides as overrides
from eagergrad import profiler as profiler
from eagergrad import quasirandom as quasirandom
from eagergrad import random as random
from eagergrad import return_types as return_types
from eagergrad import serialization as serialization
from eagergrad import signal as signal
from eagergrad import sparse as sparse
from eagergrad import special as special
from eagergrad import storage as storage
from eagergrad import testing as testing
from eagergrad import torch_version as torch_version
from eagergrad import train as train
from eagergrad import types as types
from eagergrad import utils as utils
from eagergrad import version as version
from eagergrad import xpu as xpu
from eagergrad._C import Generator as Generator
from eagergrad._C import get_default_dtype as get_default_dtype
from eagergrad._C import get_num_threads as get_num_threads
from eagergrad._C import is_grad_enabled as is_grad_enabled
from eagergrad._C import is_inference_mode_enabled as is_inference_mode_enabled
from eagergrad._C import set_default_dtype as set_default_dtype
from eagergrad._C import set_num_threads as set_num_threads
from eagergrad.amp.autocast_mode import autocast as autocast
from eagergrad.amp.autocast_mode import clear_autocast_cache as clear_autocast_cache
from eagergrad.amp.autocast_mode import get_autocast_cpu_dtype as get_autocast_cpu_dtype
from eagergrad.amp.autocast_mode import get_autocast_dtype as get_autocast_dtype
from eagergrad.amp.autocast_mode import get_autocast_gpu_dtype as get_autocast_gpu_dtype
from eagergrad.amp.autocast_mode import is_autocast_available as is_autocast_available
from eagergrad.amp.autocast_mode import is_autocast_cpu_enabled as is_autocast_cpu_enabled
from eagergrad.amp.autocast_mode import is_autocast_enabled as is_autocast_enabled
from eagergrad.amp.autocast_mode import set_autocast_cpu_dtype as set_autocast_cpu_dtype
from eagergrad.amp.autocast_mode import set_autocast_cpu_enabled as set_autocast_cpu_enabled
from eagergrad.amp.autocast_mode import set_autocast_dtype as set_autocast_dtype
from eagergrad.amp.autocast_mode import set_autocast_enabled as set_autocast_enabled
from eagergrad.amp.autocast_mode import set_autocast_gpu_dtype as set_autocast_gpu_dtype
from eagergrad.amp.grad_scaler import GradScaler as GradScaler
from eagergrad.autograd.grad_mode import enable_grad as enable_grad
from eagergrad.autograd.grad_mode import inference_mode as inference_mode
from eagergrad.autograd.grad_mode import no_grad as no_grad
from eagergrad.autograd.grad_mode import set_grad_enabled as set_grad_enabled
from eagergrad.autograd.grad_mode import strict_broadcast as strict_broadcast
from eagergrad.autograd.truncated import tbptt as tbptt
from eagergrad.autograd.watch import errstate as errstate
from eagergrad.autograd.watch import geterr as geterr
from eagergrad.autograd.watch import seterr as seterr
from eagergrad.export._export import export_numpy as export_numpy
from eagergrad.func._vmap import vmap as vmap
from eagergrad.futures import Future as Future
from eagergrad.linalg import det as det
from eagergrad.linalg import lu_unpack as lu_unpack
from eagergrad.linalg import matrix_exp as matrix_exp
from eagergrad.linalg import matrix_power as matrix_power
from eagergrad.linalg import slogdet as slogdet
from eagergrad.linalg.names import cholesky as cholesky
from eagergrad.linalg.names import cholesky_inverse as cholesky_inverse
from eagergrad.linalg.names import cholesky_solve as cholesky_solve
from eagergrad.linalg.names import geqrf as geqrf
from eagergrad.linalg.names import inverse as inverse
from eagergrad.linalg.names import logdet as logdet
from eagergrad.linalg.names import lu as lu
from eagergrad.linalg.names import lu_solve as lu_solve
from eagergrad.linalg.names import orgqr as orgqr
from eagergrad.linalg.names import ormqr as ormqr
from eagergrad.linalg.names import pca_lowrank as pca_lowrank
from eagergrad.linalg.names import pinverse as pinverse
from eagergrad.linalg.names import qr as qr
from eagergrad.linalg.names import svd as svd
from eagergrad.linalg.names import svd_lowrank as svd_lowrank
from eagergrad.linalg.names import triangular_solve as triangular_solve
from eagergrad.memory import cleanup as cleanup
from eagergrad.nn.functional._top import affine_grid_generator as affine_grid_generator
from eagergrad.nn.functional._top import batch_norm as batch_norm
from eagergrad.nn.functional._top import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from eagergrad.nn.functional._top import cosine_embedding_loss as cosine_embedding_loss
from eagergrad.nn.functional._top import ctc_loss as ctc_loss
from eagergrad.nn.functional._top import embedding as embedding
from eagergrad.nn.functional._top import grid_sampler as grid_sampler
from eagergrad.nn.functional._top import grid_sampler as grid_sampler_2d
from eagergrad.nn.functional._top import grid_sampler as grid_sampler_3d
from eagergrad.nn.functional._top import gru as gru
from eagergrad.nn.functional._top import hinge_embedding_loss as hinge_embedding_loss
from eagergrad.nn.functional._top import instance_norm as instance_norm
from eagergrad.nn.functional._top import kl_div as kl_div
from eagergrad.nn.functional._top import lstm as lstm
from eagergrad.nn.functional._top import margin_ranking_loss as margin_ranking_loss
from eagergrad.nn.functional._top import poisson_nll_loss as poisson_nll_loss
from eagergrad.nn.functional._top import rnn_relu as rnn_relu
from eagergrad.nn.functional._top import rnn_tanh as rnn_tanh
from eagergrad.nn.functional._top import triplet_margin_loss as triplet_margin_loss
from eagergrad.nn.functional.activation import prelu as prelu
from eagergrad.nn.functional.activation import rrelu as rrelu
from eagergrad.nn.functional.activation import rrelu_ as rrelu_
from eagergrad.nn.functional.activation import threshold as threshold
from eagergrad.nn.functional.activation import threshold_ as threshold_
from eagergrad.nn.functional.channelshuffle import channel_shuffle as channel_shuffle
from eagergrad.nn.functional.channelshuffle import channel_shuffle as native_channel_shuffle
from eagergrad.nn.functional.conv import conv_tbc as conv_tbc
from eagergrad.nn.functional.distance import cosine_similarity as cosine_similarity
from eagergrad.nn.functional.distance import pairwise_distance as pairwise_distance
from eagergrad.nn.functional.dropout import alpha_dropout as alpha_dropout
from eagergrad.nn.functional.dropout import feature_alpha_dropout as feature_alpha_dropout
from eagergrad.nn.functional.linear import bilinear as bilinear
from eagergrad.nn.functional.norm import group_norm as group_norm
from eagergrad.nn.functional.norm import layer_norm as layer_norm
from eagergrad.nn.functional.norm import rms_norm as rms_norm
from eagergrad.nn.functional.pooling import adaptive_avg_pool1d as adaptive_avg_pool1d
from eagergrad.nn.functional.pooling import max_pool1d_with_indices as max_pool1d_with_indices
from eagergrad.nn.functional.vision import pixel_shuffle as pixel_shuffle
from eagergrad.nn.functional.vision import pixel_unshuffle as pixel_unshuffle
from eagergrad.serialization import load as load
from eagergrad.serialization import save as save
from eagergrad.sparse.construct import sparse_compressed_tensor as sparse_compressed_tensor
from eagergrad.sparse.construct import sparse_coo_tensor as sparse_coo_tensor
from eagergrad.sparse.construct import sparse_csc_tensor as sparse_csc_tensor
from eagergrad.sparse.construct import sparse_csr_tensor as sparse_csr_tensor
from eagergrad.sparse.products import mm as dsmm
from eagergrad.sparse.products import mm as hspmm
from eagergrad.sparse.products import mm as spmm
from eagergrad.special import logit as logit
from eagergrad.special import mvlgamma as mvlgamma
from eagergrad.special import polygamma as polygamma
from eagergrad.storage import TypedStorage as TypedStorage
from eagergrad.storage import UntypedStorage as UntypedStorage
from eagergrad.tensor.attach import logit_ as logit_
from eagergrad.tensor.creation import as_tensor as as_tensor
from eagergrad.tensor.creation import asarray as asarray
from eagergrad.tensor.creation import from_numpy as from_numpy
from eagergrad.tensor.creation import frombuffer as frombuffer
from eagergrad.tensor.creation import tensor as tensor
from eagergrad.tensor.device import OutOfMemoryError as OutOfMemoryError
from eagergrad.tensor.device import device as device
from eagergrad.tensor.device import get_default_device as get_default_device
from eagergrad.tensor.device import set_default_device as set_default_device
from eagergrad.tensor.dtype import dtype as dtype
from eagergrad.tensor.dtype import finfo as finfo
from eagergrad.tensor.dtype import iinfo as iinfo
from eagergrad.tensor.functions import Assert as Assert
from eagergrad.tensor.functions import are_deterministic_algorithms_enabled as are_deterministic_algorithms_enabled
from eagergrad.tensor.functions import binomial as binomial
from eagergrad.tensor.functions import compile as compile
from eagergrad.tensor.functions import conj as conj
from eagergrad.tensor.functions import detach as detach
from eagergrad.tensor.functions import detach_ as detach_
from eagergrad.tensor.functions import empty_permuted as empty_permuted
from eagergrad.tensor.functions import fill as fill
from eagergrad.tensor.functions import get_device as get_device
from eagergrad.tensor.functions import get_float32_matmul_precision as get_float32_matmul_precision
from eagergrad.tensor.functions import get_num_interop_threads as get_num_interop_threads
from eagergrad.tensor.functions import get_rng_state as get_rng_state
from eagergrad.tensor.functions import imag as imag
from eagergrad.tensor.functions import initial_seed as initial_seed
from eagergrad.tensor.functions import is_complex as is_complex
from eagergrad.tensor.functions import is_conj as is_conj
from eagergrad.tensor.functions import is_deterministic_algorithms_warn_only_enabled as is_deterministic_algorithms_warn_only_enabled
from eagergrad.tensor.functions import is_floating_point as is_floating_point
from eagergrad.tensor.functions import is_inference as is_inference
from eagergrad.tensor.functions import is_neg as is_neg
from eagergrad.tensor.functions import is_nonzero as is_nonzero
from eagergrad.tensor.functions import is_signed as is_signed
from eagergrad.tensor.functions import is_storage as is_storage
from eagergrad.tensor.functions import is_tensor as is_tensor
from eagergrad.tensor.functions import manual_seed as manual_seed
from eagergrad.tensor.functions import numel as numel
from eagergrad.tensor.functions import resolve_conj as resolve_conj
from eagergrad.tensor.functions import resolve_neg as resolve_neg
from eagergrad.tensor.functions import seed as seed
from eagergrad.tensor.functions import set_default_tensor_type as set_default_tensor_type
from eagergrad.tensor.functions import set_float32_matmul_precision as set_float32_matmul_precision
from eagergrad.tensor.functions import set_flush_denormal as set_flush_denormal
from eagergrad.tensor.functions import set_num_interop_threads as set_num_interop_threads
from eagergrad.tensor.functions import set_rng_state as set_rng_state
from eagergrad.tensor.functions import typename as typename
from eagergrad.tensor.functions import unfold_copy as unfold_copy
from eagergrad.tensor.functions import use_deterministic_algorithms as use_deterministic_algorithms
from eagergrad.tensor.interop import from_dlpack as from_dlpack
from eagergrad.tensor.layout import layout as layout
from eagergrad.tensor.layout import memory_format as memory_format
from eagergrad.tensor.names import SymBool as SymBool
from eagergrad.tensor.names import SymFloat as SymFloat
from eagergrad.tensor.names import SymInt as SymInt
from eagergrad.tensor.names import cond as cond
from eagergrad.tensor.names import fake_quantize_per_channel_affine as fake_quantize_per_channel_affine
from eagergrad.tensor.names import fake_quantize_per_tensor_affine as fake_quantize_per_tensor_affine
from eagergrad.tensor.names import frobenius_norm as frobenius_norm
from eagergrad.tensor.names import from_file as from_file
from eagergrad.tensor.names import get_deterministic_debug_mode as get_deterministic_debug_mode
from eagergrad.tensor.names import histogramdd as histogramdd
from eagergrad.tensor.names import is_anomaly_enabled as is_anomaly_check_nan_enabled
from eagergrad.tensor.names import is_anomaly_enabled as is_anomaly_enabled
from eagergrad.tensor.names import is_distributed as is_distributed
from eagergrad.tensor.names import native_batch_norm as native_batch_norm
from eagergrad.tensor.names import native_dropout as native_dropout
from eagergrad.tensor.names import native_group_norm as native_group_norm
from eagergrad.tensor.names import native_layer_norm as native_layer_norm
from eagergrad.tensor.names import norm_except_dim as norm_except_dim
from eagergrad.tensor.names import nuclear_norm as nuclear_norm
from eagergrad.tensor.names import set_anomaly_enabled as set_anomaly_enabled
from eagergrad.tensor.names import set_deterministic_debug_mode as set_deterministic_debug_mode
from eagergrad.tensor.names import split_copy as split_copy
from eagergrad.tensor.names import sym_ite as sym_ite
from eagergrad.tensor.names import sym_not as sym_not
from eagergrad.tensor.names import to_dlpack as to_dlpack
from eagergrad.tensor.names import while_loop as while_loop
from eagergrad.tensor.printing import get_printoptions as get_printoptions
from eagergrad.tensor.printing import set_printoptions as set_printoptions
from eagergrad.tensor.products import cdist as cdist
from eagergrad.tensor.products import chain_matmul as chain_matmul
from eagergrad.tensor.products import cross as cross
from eagergrad.tensor.products import dist as dist
from eagergrad.tensor.products import einsum as einsum
from eagergrad.tensor.products import pdist as pdist
from eagergrad.tensor.products import tensordot as tensordot
from eagergrad.tensor.products import vander as vander
from eagergrad.tensor.size import Size as Size
from eagergrad.tensor.statistics import allclose as allclose
from eagergrad.tensor.statistics import broadcast_shapes as broadcast_shapes
from eagergrad.tensor.statistics import can_cast as can_cast
from eagergrad.tensor.statistics import corrcoef as corrcoef
from eagergrad.tensor.statistics import cov as cov
from eagergrad.tensor.statistics import cumulative_trapezoid as cumulative_trapezoid
from eagergrad.tensor.statistics import equal as equal
from eagergrad.tensor.statistics import gradient as gradient
from eagergrad.tensor.statistics import isclose as isclose
from eagergrad.tensor.statistics import nanquantile as nanquantile
from eagergrad.tensor.statistics import norm as norm
from eagergrad.tensor.statistics import quantile as quantile
from eagergrad.tensor.statistics import renorm as renorm
from eagergrad.tensor.statistics import segment_reduce as segment_reduce
from eagergrad.tensor.statistics import trapezoid as trapezoid
from eagergrad.tensor.statistics import trapezoid as trapz
from eagergrad.tensor.tensor import Tensor as Tensor
from eagergrad.tensor.tensor import resize_as_ as resize_as_
from eagergrad.tensor.windows import bartlett_window as bartlett_window
from eagergrad.tensor.windows import blackman_window as blackman_window
from eagergrad.tensor.windows import hamming_window as hamming_window
from eagergrad.tensor.windows import hann_window as hann_window
from eagergrad.tensor.windows import kaiser_window as kaiser_window

__version__: str
BFloat16Storage: Any
BFloat16Tensor: Any
BoolStorage: Any
BoolTensor: Any
ByteStorage: Any
ByteTensor: Any
CharStorage: Any
CharTensor: Any
DoubleStorage: Any
DoubleTensor: Any
FloatStorage: Any
FloatTensor: Any
HalfStorage: Any
HalfTensor: Any
IntStorage: Any
IntTensor: Any
LongStorage: Any
LongTensor: Any
ShortStorage: Any
ShortTensor: Any
Storage: Any
bfloat16: _dtype
bool: _dtype
channels_last: _memory_format
channels_last_3d: _memory_format
contiguous_format: _memory_format
default_generator: Any
double: _dtype
e: _float
float: _dtype
float16: _dtype
float32: _dtype
float64: _dtype
half: _dtype
inf: _float
int: _dtype
int16: _dtype
int32: _dtype
int64: _dtype
int8: _dtype
long: _dtype
nan: _float
newaxis: Any
ops: Any
pi: _float
preserve_format: _memory_format
short: _dtype
sparse_coo: _layout
sparse_csc: _layout
sparse_csr: _layout
strided: _layout
sym_float: Any
sym_int: Any
sym_max: Any
sym_min: Any
sym_sqrt: Any
sym_sum: Any
uint8: _dtype

def abs(input: Tensor, *, out: Any = None) -> Tensor: r"""y = abs(x)"""
def abs_(input: Tensor) -> Tensor: r"""In-place version of abs."""
def absolute(input: Tensor, *, out: Any = None) -> Tensor: r"""The same as abs."""
def absolute_(input: Tensor) -> Tensor: r"""The same as abs."""
def acos(input: Tensor, *, out: Any = None) -> Tensor: r"""y = acos(x)"""
def acos_(input: Tensor) -> Tensor: r"""In-place version of acos."""
def acosh(input: Tensor, *, out: Any = None) -> Tensor: r"""y = acosh(x)"""
def acosh_(input: Tensor) -> Tensor: r"""In-place version of acosh."""
def adaptive_max_pool1d(input: Tensor, output_size: _int | Sequence[_int]) -> Tensor: r"""Maxima of output_size windows over the last dimension, and their positions."""
@overload
def add(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a + b"""
@overload
def add(input: Tensor | complex, other: Tensor | complex, *, alpha: _float, out: Any = None) -> Tensor: ...
@overload
def add(input: Tensor | complex, alpha: _float, other: Tensor | complex, *, out: Any = None) -> Tensor: ...
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: _float = 1, alpha: _float = 1, out: Any = None) -> Tensor: r"""beta * input + alpha * the sum of the products"""
def addbmm_(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * the sum of the products"""
def addcdiv(input: Tensor, tensor1: Tensor | complex, tensor2: Tensor | complex, *, value: _float = 1, out: Any = None) -> Tensor: r"""input + value * tensor1 / tensor2"""
def addcmul(input: Tensor, tensor1: Tensor | complex, tensor2: Tensor | complex, *, value: _float = 1, out: Any = None) -> Tensor: r"""input + value * tensor1 * tensor2"""
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: _float = 1, alpha: _float = 1, out: Any = None) -> Tensor: r"""beta * input + alpha * mat1 @ mat2"""
def addmm_(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * mat1 @ mat2"""
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: _float = 1, alpha: _float = 1, out: Any = None) -> Tensor: r"""beta * input + alpha * mat @ vec"""
def addmv_(input: Tensor, mat: Tensor, vec: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * mat @ vec"""
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: _float = 1, alpha: _float = 1, out: Any = None) -> Tensor: r"""beta * input + alpha * outer(vec1, vec2)"""
def addr_(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * outer(vec1, vec2)"""
def adjoint(input: Tensor) -> Tensor: r"""A view with the last two dimensions swapped."""
def alias_copy(input: Tensor, *, out: Any = None) -> Tensor: r"""A copy of the tensor."""
def all(input: Tensor, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, out: Any = None) -> Tensor: r"""Whether all elements are true."""
def amax(input: Tensor, dim: _int | Sequence[_int] | None = (), keepdim: _bool = False, *, out: Any = None) -> Tensor: r"""Largest element; equal ones share the gradient."""
def amin(input: Tensor, dim: _int | Sequence[_int] | None = (), keepdim: _bool = False, *, out: Any = None) -> Tensor: r"""Smallest element; equal ones share the gradient."""
def aminmax(input: Tensor, *, dim: _int | None = None, keepdim: _bool = False, out: Any = None) -> tuple[Tensor, Tensor]: r"""Smallest and largest element."""
def angle(input: Tensor, *, out: Any = None) -> Tensor: r"""y = where(x != x, x, where(x < 0, T(3.141592653589793), T(0)))"""
def any(input: Tensor, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, out: Any = None) -> Tensor: r"""Whether any element is true."""
@overload
def arange(end: _float, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""0, 1, ... below end."""
@overload
def arange(start: _float, end: _float, step: _float = 1, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: ...
def arccos(input: Tensor, *, out: Any = None) -> Tensor: r"""The same as acos."""
def arccos_(input: Tensor) -> Tensor: r"""The same as acos."""
def arccosh(input: Tensor, *, out: Any = None) -> Tensor: r"""The same as acosh."""
def arccosh_(input: Tensor) -> Tensor: r"""The same as acosh."""
def arcsin(input: Tensor, *, out: Any = None) -> Tensor: r"""The same as asin."""
def arcsin_(input: Tensor) -> Tensor: r"""The same as asin."""
def arcsinh(input: Tensor, *, out: Any = None) -> Tensor: r"""The same as asinh."""
def arcsinh_(input: Tensor) -> Tensor: r"""The same as asinh."""
def arctan(input: Tensor, *, out: Any = None) -> Tensor: r"""The same as atan."""
def arctan2(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""The same as atan2."""
def arctan2_(input: Tensor | complex, other: Tensor | complex) -> Tensor: r"""The same as atan2."""
def arctan_(input: Tensor) -> Tensor: r"""The same as atan."""
def arctanh(input: Tensor, *, out: Any = None) -> Tensor: r"""The same as atanh."""
def arctanh_(input: Tensor) -> Tensor: r"""The same as atanh."""
def argmax(input: Tensor, dim: _int | None = None, keepdim: _bool = False, *, out: Any = None) -> Tensor: r"""Position of the largest element."""
def argmin(input: Tensor, dim: _int | None = None, keepdim: _bool = False, *, out: Any = None) -> Tensor: r"""Position of the smallest element."""
def argsort(input: Tensor, dim: _int = -1, descending: _bool = False, stable: _bool = False) -> Tensor: r"""The indices that sort a dimension."""
def argwhere(input: Tensor) -> Tensor: r"""The coordinates of nonzero elements, one a row."""
def as_strided(input: Tensor, size: _int | Sequence[_int], stride: _int | Sequence[_int], storage_offset: _int | None = None) -> Tensor: r"""A view of input's storage with the given sizes, strides and offset, in elements."""
def as_strided_copy(input: Tensor, size: _int | Sequence[_int], stride: _int | Sequence[_int], storage_offset: _int | None = None, *, out: Any = None) -> Tensor: r"""A copy of as_strided()."""
def as_strided_scatter(input: Tensor, src: Tensor, size: _int | Sequence[_int], stride: _int | Sequence[_int], storage_offset: _int | None = None) -> Tensor: r"""A copy of input in which the elements that as_strided() would show are those of src."""
def asin(input: Tensor, *, out: Any = None) -> Tensor: r"""y = asin(x)"""
def asin_(input: Tensor) -> Tensor: r"""In-place version of asin."""
def asinh(input: Tensor, *, out: Any = None) -> Tensor: r"""y = asinh(x)"""
def asinh_(input: Tensor) -> Tensor: r"""In-place version of asinh."""
def atan(input: Tensor, *, out: Any = None) -> Tensor: r"""y = atan(x)"""
def atan2(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = atan2(a, b)"""
def atan_(input: Tensor) -> Tensor: r"""In-place version of atan."""
def atanh(input: Tensor, *, out: Any = None) -> Tensor: r"""y = atanh(x)"""
def atanh_(input: Tensor) -> Tensor: r"""In-place version of atanh."""
@overload
def atleast_1d(input: Tensor) -> Tensor: r"""The tensor, or each of several, with at least one dimension."""
@overload
def atleast_1d(*tensors: Tensor | Sequence[Tensor]) -> Tensor: ...
@overload
def atleast_2d(input: Tensor) -> Tensor: r"""The tensor, or each of several, with at least two dimensions."""
@overload
def atleast_2d(*tensors: Tensor | Sequence[Tensor]) -> Tensor: ...
@overload
def atleast_3d(input: Tensor) -> Tensor: r"""The tensor, or each of several, with at least three dimensions."""
@overload
def atleast_3d(*tensors: Tensor | Sequence[Tensor]) -> Tensor: ...
def avg_pool1d(input: Tensor, kernel_size: _int | Sequence[_int], stride: _int | Sequence[_int] | None = None, padding: _int | Sequence[_int] = 0, ceil_mode: _bool = False, count_include_pad: _bool = True) -> Tensor: r"""Mean of each window of the last dimension."""
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: _float = 1, alpha: _float = 1, out: Any = None) -> Tensor: r"""beta * input + alpha * batch1 @ batch2, matrix by matrix"""
def baddbmm_(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * batch1 @ batch2, matrix by matrix"""
@overload
def bernoulli(input: Tensor, *, generator: Generator | None = None, out: Any = None) -> Tensor: r"""0 or 1, with the probabilities given."""
@overload
def bernoulli(input: Tensor, p: _float, *, generator: Generator | None = None, out: Any = None) -> Tensor: ...
def bincount(input: Tensor, weights: Tensor | None = None, minlength: _int = 0) -> Tensor: r"""How often each non-negative integer occurs, or the sum of its weights."""
def bitwise_and(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a & b"""
def bitwise_left_shift(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = shift_left(a, b)"""
def bitwise_not(input: Tensor, *, out: Any = None) -> Tensor: r"""y = invert(x)"""
def bitwise_or(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a | b"""
def bitwise_right_shift(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = shift_right(a, b)"""
def bitwise_xor(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a ^ b"""
def block_diag(*tensors: Tensor | Sequence[Tensor]) -> Tensor: r"""A matrix with the given blocks on its diagonal, zero elsewhere."""
def bmm(input: Tensor, mat2: Tensor, *, out: Any = None) -> Tensor: r"""Products of two batches of matrices."""
def broadcast_tensors(*tensors: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]: r"""Views of the tensors, broadcast to their common shape."""
def broadcast_to(input: Tensor, size: _int | Sequence[_int]) -> Tensor: r"""A view of input broadcast to the given shape."""
def bucketize(input: Tensor | complex, boundaries: Tensor, *, out_int32: _bool = False, right: _bool = False, out: Any = None) -> Tensor: r"""The number of the bucket, between sorted boundaries, that each value falls into."""
def cartesian_prod(*tensors: Tensor | Sequence[Tensor]) -> Tensor: r"""Every combination of one element of each vector, one a row."""
def cat(tensors: Sequence[Tensor], dim: _int = 0, *, out: Any = None) -> Tensor: r"""Joins tensors along a dimension; the other sizes agree, dtypes are promoted. Raises RuntimeError on other shapes."""
def ceil(input: Tensor, *, out: Any = None) -> Tensor: r"""y = ceil(x)"""
def ceil_(input: Tensor) -> Tensor: r"""In-place version of ceil."""
def celu(input: Tensor, alpha: _float = 1.0, *, out: Any = None) -> Tensor: r"""y = where(x > 0, x, alpha * expm1(x / alpha))"""
def celu_(input: Tensor, alpha: _float = 1.0) -> Tensor: r"""In-place version of celu."""
def chunk(input: Tensor, chunks: _int, dim: _int = 0) -> tuple[Tensor, ...]: r"""Views of up to `chunks` consecutive parts of equal size; the last may be smaller."""
def clamp(input: Tensor, min: Tensor | complex | None = None, max: Tensor | complex | None = None, *, out: Any = None) -> Tensor: r"""Elements limited to [min, max]."""
def clamp_(input: Tensor, min: Tensor | complex | None = None, max: Tensor | complex | None = None) -> Tensor: r"""In-place version of clamp."""
def clamp_max(input: Tensor, max: Tensor | complex, *, out: Any = None) -> Tensor: r"""Elements not above max."""
def clamp_max_(input: Tensor, max: Tensor | complex) -> Tensor: r"""In-place version of clamp_max."""
def clamp_min(input: Tensor, min: Tensor | complex, *, out: Any = None) -> Tensor: r"""Elements not below min."""
def clamp_min_(input: Tensor, min: Tensor | complex) -> Tensor: r"""In-place version of clamp_min."""
def clip(input: Tensor, min: Tensor | complex | None = None, max: Tensor | complex | None = None, *, out: Any = None) -> Tensor: r"""Elements limited to [min, max]."""
def clip_(input: Tensor, min: Tensor | complex | None = None, max: Tensor | complex | None = None) -> Tensor: r"""In-place version of clip."""
def clone(input: Tensor, *, memory_format: _str | None = None) -> Tensor: r"""A recorded copy."""
def column_stack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor: r"""Joins vectors as columns, and matrices side by side."""
def combinations(input: Tensor, r: _int = 2, with_replacement: _bool = False) -> Tensor: r"""Every choice of r elements of a vector, one a row."""
def concat(tensors: Sequence[Tensor], dim: _int = 0, *, out: Any = None) -> Tensor: r"""Another name of cat()."""
def concatenate(tensors: Sequence[Tensor], dim: _int = 0, *, out: Any = None) -> Tensor: r"""Another name of cat()."""
def conj_physical(input: Tensor, *, out: Any = None) -> Tensor: r"""The input: all dtypes are real."""
def constant_pad_nd(input: Tensor, pad: _int | Sequence[_int], value: _float = 0) -> Tensor: r"""Pads with a constant: pad lists (before, after) of the last dimension, of the one before it and so on; negative numbers crop."""
@overload
def conv1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _int | Sequence[_int] = 0, dilation: _int | Sequence[_int] = 1, groups: _int = 1) -> Tensor: r"""Cross-correlates input (batch, in_channels, length) with weight (out_channels, in_channels / groups, kernel sizes); the batch dimension may be absent. padding is a number, a sequence, 'same' or 'valid'."""
@overload
def conv1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _str = 'valid', dilation: _int | Sequence[_int] = 1, groups: _int = 1) -> Tensor: ...
@overload
def conv2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _int | Sequence[_int] = 0, dilation: _int | Sequence[_int] = 1, groups: _int = 1) -> Tensor: r"""Cross-correlates input (batch, in_channels, height, width) with weight (out_channels, in_channels / groups, kernel sizes); the batch dimension may be absent. padding is a number, a sequence, 'same' or 'valid'."""
@overload
def conv2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _str = 'valid', dilation: _int | Sequence[_int] = 1, groups: _int = 1) -> Tensor: ...
@overload
def conv3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _int | Sequence[_int] = 0, dilation: _int | Sequence[_int] = 1, groups: _int = 1) -> Tensor: r"""Cross-correlates input (batch, in_channels, depth, height, width) with weight (out_channels, in_channels / groups, kernel sizes); the batch dimension may be absent. padding is a number, a sequence, 'same' or 'valid'."""
@overload
def conv3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _str = 'valid', dilation: _int | Sequence[_int] = 1, groups: _int = 1) -> Tensor: ...
def conv_transpose1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _int | Sequence[_int] = 0, output_padding: _int | Sequence[_int] = 0, groups: _int = 1, dilation: _int | Sequence[_int] = 1) -> Tensor: r"""The transpose of conv1d with respect to its input: input (batch, in_channels, length), weight (in_channels, out_channels / groups, kernel sizes)."""
def conv_transpose2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _int | Sequence[_int] = 0, output_padding: _int | Sequence[_int] = 0, groups: _int = 1, dilation: _int | Sequence[_int] = 1) -> Tensor: r"""The transpose of conv2d with respect to its input: input (batch, in_channels, height, width), weight (in_channels, out_channels / groups, kernel sizes)."""
def conv_transpose3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _int | Sequence[_int] = 0, output_padding: _int | Sequence[_int] = 0, groups: _int = 1, dilation: _int | Sequence[_int] = 1) -> Tensor: r"""The transpose of conv3d with respect to its input: input (batch, in_channels, depth, height, width), weight (in_channels, out_channels / groups, kernel sizes)."""
def convolution(input: Tensor, weight: Tensor, bias: Tensor | None, stride: _int | Sequence[_int], padding: _int | Sequence[_int], dilation: _int | Sequence[_int], transposed: _bool, output_padding: _int | Sequence[_int], groups: _int) -> Tensor: r"""Convolution or transposed convolution of one to three spatial dimensions, told by weight."""
def copysign(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = copysign(a, b)"""
def cos(input: Tensor, *, out: Any = None) -> Tensor: r"""y = cos(x)"""
def cos_(input: Tensor) -> Tensor: r"""In-place version of cos."""
def cosh(input: Tensor, *, out: Any = None) -> Tensor: r"""y = cosh(x)"""
def cosh_(input: Tensor) -> Tensor: r"""In-place version of cosh."""
def count_nonzero(input: Tensor, dim: _int | Sequence[_int] | None = None) -> Tensor: r"""Number of elements that are not zero."""
def cummax(input: Tensor, dim: _int, *, out: Any = None) -> tuple[Tensor, Tensor]: r"""Largest elements so far."""
def cummin(input: Tensor, dim: _int, *, out: Any = None) -> tuple[Tensor, Tensor]: r"""Smallest elements so far."""
def cumprod(input: Tensor, dim: _int, *, dtype: _dtype | None = None, out: Any = None) -> Tensor: r"""Products of the elements so far."""
def cumprod_(input: Tensor, dim: _int, *, dtype: _dtype | None = None) -> Tensor: r"""Products of the elements so far."""
def cumsum(input: Tensor, dim: _int, *, dtype: _dtype | None = None, out: Any = None) -> Tensor: r"""Sums of the elements so far."""
def cumsum_(input: Tensor, dim: _int, *, dtype: _dtype | None = None) -> Tensor: r"""Sums of the elements so far."""
def deg2rad(input: Tensor, *, out: Any = None) -> Tensor: r"""y = x * T(0.017453292519943295)"""
def deg2rad_(input: Tensor) -> Tensor: r"""In-place version of deg2rad."""
def detach_copy(input: Tensor, *, out: Any = None) -> Tensor: r"""A copy without history."""
def diag(input: Tensor, diagonal: _int = 0, *, out: Any = None) -> Tensor: r"""The diagonal of a matrix, or the matrix with a vector on its diagonal."""
def diag_embed(input: Tensor, offset: _int = 0, dim1: _int = -2, dim2: _int = -1) -> Tensor: r"""Matrices over two new dimensions with the last dimension of input on their diagonals."""
def diagflat(input: Tensor, offset: _int = 0) -> Tensor: r"""The matrix with all elements of input on its diagonal."""
def diagonal(input: Tensor, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor: r"""A view of the diagonals over two dimensions, as the last dimension."""
def diagonal_copy(input: Tensor, offset: _int = 0, dim1: _int = 0, dim2: _int = 1, *, out: Any = None) -> Tensor: r"""A copy of diagonal()."""
def diagonal_scatter(input: Tensor, src: Tensor, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor: r"""A copy of input in which src stands on the diagonal."""
def diff(input: Tensor, n: _int = 1, dim: _int = -1, prepend: Tensor | None = None, append: Tensor | None = None, *, out: Any = None) -> Tensor: r"""n-th differences of neighbours."""
def digamma(input: Tensor, *, out: Any = None) -> Tensor: r"""y = digamma(x)"""
@overload
def div(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a / b"""
@overload
def div(input: Tensor | complex, other: Tensor | complex, *, rounding_mode: _str | None, out: Any = None) -> Tensor: ...
@overload
def div_(input: Tensor, other: Tensor | complex) -> Tensor: r"""In-place version of div."""
@overload
def div_(input: Tensor | complex, other: Tensor | complex, *, rounding_mode: _str | None) -> Tensor: ...
@overload
def divide(input: Tensor | complex, other: Tensor | complex, *, rounding_mode: _str | None, out: Any = None) -> Tensor: r"""The same as div."""
@overload
def divide(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: ...
@overload
def divide_(input: Tensor | complex, other: Tensor | complex, *, rounding_mode: _str | None) -> Tensor: r"""The same as div."""
@overload
def divide_(input: Tensor | complex, other: Tensor | complex) -> Tensor: ...
def dot(input: Tensor, tensor: Tensor, *, out: Any = None) -> Tensor: r"""Inner product of two vectors."""
def dropout(input: Tensor, p: _float, train: _bool) -> Tensor: r"""Zeroes elements with probability p and scales the rest by 1 / (1 - p)."""
def dropout_(input: Tensor, p: _float, train: _bool) -> Tensor: r"""Zeroes elements with probability p and scales the rest by 1 / (1 - p)."""
@overload
def dsplit(input: Tensor, sections: _int) -> tuple[Tensor, ...]: r"""tensor_split() along dimension 2."""
@overload
def dsplit(input: Tensor, indices: _int | Sequence[_int]) -> tuple[Tensor, ...]: ...
def dstack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor: r"""Joins tensors in depth, along dimension 2."""
def empty(*size: _int | Sequence[_int], dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Uninitialised memory."""
def empty_like(input: Tensor, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Uninitialised memory of the same shape."""
def empty_strided(size: _int | Sequence[_int], stride: _int | Sequence[_int], *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Uninitialised memory with the given strides."""
def eq(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a == b"""
def erf(input: Tensor, *, out: Any = None) -> Tensor: r"""y = erf(x)"""
def erf_(input: Tensor) -> Tensor: r"""In-place version of erf."""
def erfc(input: Tensor, *, out: Any = None) -> Tensor: r"""y = erfc(x)"""
def erfc_(input: Tensor) -> Tensor: r"""In-place version of erfc."""
def erfinv(input: Tensor, *, out: Any = None) -> Tensor: r"""y = erfinv(x)"""
def exp(input: Tensor, *, out: Any = None) -> Tensor: r"""y = exp(x)"""
def exp2(input: Tensor, *, out: Any = None) -> Tensor: r"""y = exp2(x)"""
def exp2_(input: Tensor) -> Tensor: r"""In-place version of exp2."""
def exp_(input: Tensor) -> Tensor: r"""In-place version of exp."""
def expand_copy(input: Tensor, size: _int | Sequence[_int], *, out: Any = None) -> Tensor: r"""A copy of expand()."""
def expit(input: Tensor, *, out: Any = None) -> Tensor: r"""y = 1 / (1 + exp(-x))"""
def expm1(input: Tensor, *, out: Any = None) -> Tensor: r"""y = expm1(x)"""
def expm1_(input: Tensor) -> Tensor: r"""In-place version of expm1."""
@overload
def eye(n: _int, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Identity matrix."""
@overload
def eye(n: _int, m: _int, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: ...
def feature_dropout(input: Tensor, p: _float, train: _bool) -> Tensor: r"""Zeroes whole channels."""
def feature_dropout_(input: Tensor, p: _float, train: _bool) -> Tensor: r"""Zeroes whole channels."""
def fill_(input: Tensor, value: Tensor | complex) -> Tensor: r"""Sets every element."""
def fix(input: Tensor, *, out: Any = None) -> Tensor: r"""The same as trunc."""
def fix_(input: Tensor) -> Tensor: r"""The same as trunc."""
def flatten(input: Tensor, start_dim: _int = 0, end_dim: _int = -1) -> Tensor: r"""Merges the dimensions from start_dim to end_dim, as a view where strides allow it."""
def flip(input: Tensor, *dims: _int | Sequence[_int]) -> Tensor: r"""A copy with the order of entries reversed along dims."""
def fliplr(input: Tensor) -> Tensor: r"""A copy with the columns reversed."""
def flipud(input: Tensor) -> Tensor: r"""A copy with the rows reversed."""
def float_power(input: Tensor | complex, exponent: Tensor | complex, *, out: Any = None) -> Tensor: r"""input ** exponent in float64."""
def floor(input: Tensor, *, out: Any = None) -> Tensor: r"""y = floor(x)"""
def floor_(input: Tensor) -> Tensor: r"""In-place version of floor."""
def floor_divide(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = floor_divide(a, b)"""
def fmax(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = fmax(a, b)"""
def fmin(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = fmin(a, b)"""
def fmod(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = fmod(a, b)"""
def frac(input: Tensor, *, out: Any = None) -> Tensor: r"""y = x - trunc(x)"""
def frac_(input: Tensor) -> Tensor: r"""In-place version of frac."""
def frexp(input: Tensor, *, out: Any = None) -> tuple[Tensor, Tensor]: r"""Mantissa in (-1, -0.5] or [0.5, 1) and exponent: input = mantissa * 2 ** exponent."""
def full(size: _int | Sequence[_int], fill_value: _float, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""One value everywhere."""
def full_like(input: Tensor, fill_value: _float, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""One value in the same shape."""
def gather(input: Tensor, dim: _int, index: Tensor, *, sparse_grad: _bool = False, out: Any = None) -> Tensor: r"""out[i][j] = input[index[i][j]][j] for dim 0, and so on: one element for each index."""
def gcd(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = gcd(a, b)"""
def gcd_(input: Tensor, other: Tensor | complex) -> Tensor: r"""In-place version of gcd."""
def ge(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a >= b"""
def ger(input: Tensor, vec2: Tensor, *, out: Any = None) -> Tensor: r"""All products of two vectors' elements."""
def greater(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""The same as gt."""
def greater_(input: Tensor | complex, other: Tensor | complex) -> Tensor: r"""The same as gt."""
def greater_equal(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""The same as ge."""
def greater_equal_(input: Tensor | complex, other: Tensor | complex) -> Tensor: r"""The same as ge."""
def gru_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor: r"""One step of a gated recurrent unit (Cho et al. 2014)."""
def gt(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a > b"""
def hardshrink(input: Tensor, lambd: _float = 0.5, *, out: Any = None) -> Tensor: r"""y = where((x >= -lambd) & (x <= lambd), T(0), x)"""
@overload
def heaviside(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = where(a == 0, b, where(a > 0, T(1), T(0)))"""
@overload
def heaviside(input: Tensor, values: Tensor, *, out: Any = None) -> Tensor: ...
@overload
def heaviside_(input: Tensor, other: Tensor | complex) -> Tensor: r"""In-place version of heaviside."""
@overload
def heaviside_(input: Tensor, values: Tensor) -> Tensor: ...
def histc(input: Tensor, bins: _int = 100, min: _float = 0, max: _float = 0, *, out: Any = None) -> Tensor: r"""Counts in bins of equal width between min and max (of the data, if both are equal)."""
@overload
def histogram(input: Tensor, bins: _int = 100, *, range: _float | Sequence[_float] | None = None, weight: Tensor | None = None, density: _bool = False, out: Any = None) -> tuple[Tensor, Tensor]: r"""Counts, weights or densities in so many bins of equal width, and the edges of the bins."""
@overload
def histogram(input: Tensor, bins: Tensor, *, weight: Tensor | None = None, density: _bool = False, out: Any = None) -> tuple[Tensor, Tensor]: ...
@overload
def hsplit(input: Tensor, sections: _int) -> tuple[Tensor, ...]: r"""tensor_split() along dimension 1; vectors along 0."""
@overload
def hsplit(input: Tensor, indices: _int | Sequence[_int]) -> tuple[Tensor, ...]: ...
def hstack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor: r"""Joins tensors side by side: along dimension 1, vectors along 0."""
def hypot(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = hypot(a, b)"""
def i0(input: Tensor, *, out: Any = None) -> Tensor: r"""y = i0(x)"""
def i0_(input: Tensor) -> Tensor: r"""In-place version of i0."""
def igamma(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = igamma(a, b)"""
def igammac(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = igammac(a, b)"""
def index_add(input: Tensor, dim: _int, index: Tensor, source: Tensor, *, alpha: _float = 1, out: Any = None) -> Tensor: r"""A copy of input to which alpha times the entries of source are added where index says."""
def index_copy(input: Tensor, dim: _int, index: Tensor, source: Tensor, *, out: Any = None) -> Tensor: r"""A copy of input in which the entries that index names are those of source."""
def index_fill(input: Tensor, dim: _int, index: Tensor, value: Tensor | complex) -> Tensor: r"""A copy of input in which the entries that index names are all `value`."""
def index_put(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: _bool = False) -> Tensor: r"""A copy of input with input[indices] = values, or += with accumulate, repeated indices added up."""
def index_put_(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: _bool = False) -> Tensor: r"""index_put() in place."""
def index_reduce(input: Tensor, dim: _int, index: Tensor, source: Tensor, reduce: _str, *, include_self: _bool = True, out: Any = None) -> Tensor: r"""A copy of input in which entries of source are reduced ('prod', 'mean', 'amax', 'amin') into those that index names."""
def index_select(input: Tensor, dim: _int, index: Tensor, *, out: Any = None) -> Tensor: r"""The entries of a dimension that a vector of indices names, in that order. Raises IndexError out of range."""
def inner(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: r"""Inner products along the last dimensions."""
def is_same_size(input: Tensor, other: Tensor) -> _bool: r"""Whether the shapes are equal."""
def isfinite(input: Tensor, *, out: Any = None) -> Tensor: r"""y = isfinite(x)"""
def isin(elements: Tensor | complex, test_elements: Tensor | complex, *, assume_unique: _bool = False, invert: _bool = False, out: Any = None) -> Tensor: r"""Which elements are among the test elements."""
def isinf(input: Tensor, *, out: Any = None) -> Tensor: r"""y = isinf(x)"""
def isnan(input: Tensor, *, out: Any = None) -> Tensor: r"""y = x != x"""
def isneginf(input: Tensor, *, out: Any = None) -> Tensor: r"""y = isneginf(x)"""
def isposinf(input: Tensor, *, out: Any = None) -> Tensor: r"""y = isposinf(x)"""
def isreal(input: Tensor) -> Tensor: r"""True everywhere: all dtypes here are real."""
def kron(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: r"""Kronecker product of tensors of any dimensions."""
def kthvalue(input: Tensor, k: _int, dim: _int = -1, keepdim: _bool = False, *, out: Any = None) -> tuple[Tensor, Tensor]: r"""The k-th smallest element along a dimension, counted from 1, and where it was."""
def lcm(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = lcm(a, b)"""
def lcm_(input: Tensor, other: Tensor | complex) -> Tensor: r"""In-place version of lcm."""
def ldexp(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""input * 2 ** other"""
def ldexp_(input: Tensor | complex, other: Tensor | complex) -> Tensor: r"""input * 2 ** other"""
def le(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a <= b"""
def lerp(input: Tensor, end: Tensor | complex, weight: Tensor | complex, *, out: Any = None) -> Tensor: r"""input + weight * (end - input)"""
def less(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""The same as lt."""
def less_(input: Tensor | complex, other: Tensor | complex) -> Tensor: r"""The same as lt."""
def less_equal(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""The same as le."""
def less_equal_(input: Tensor | complex, other: Tensor | complex) -> Tensor: r"""The same as le."""
def lgamma(input: Tensor, *, out: Any = None) -> Tensor: r"""y = lgamma(x)"""
@overload
def linspace(start: _float, end: _float, steps: _int, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""steps numbers from start to end inclusive."""
@overload
def linspace(start: Tensor | complex, end: Tensor | complex, steps: _int, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: ...
def log(input: Tensor, *, out: Any = None) -> Tensor: r"""y = log(x)"""
def log10(input: Tensor, *, out: Any = None) -> Tensor: r"""y = log10(x)"""
def log10_(input: Tensor) -> Tensor: r"""In-place version of log10."""
def log1p(input: Tensor, *, out: Any = None) -> Tensor: r"""y = log1p(x)"""
def log1p_(input: Tensor) -> Tensor: r"""In-place version of log1p."""
def log2(input: Tensor, *, out: Any = None) -> Tensor: r"""y = log2(x)"""
def log2_(input: Tensor) -> Tensor: r"""In-place version of log2."""
def log_(input: Tensor) -> Tensor: r"""In-place version of log."""
def log_softmax(input: Tensor, dim: _int, dtype: _dtype | None = None, *, out: Any = None) -> Tensor: r"""log(softmax(x)) along a dimension."""
def logaddexp(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = logaddexp(a, b)"""
def logaddexp2(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = logaddexp2(a, b)"""
def logcumsumexp(input: Tensor, dim: _int, *, out: Any = None) -> Tensor: r"""log of the sums of exp so far."""
def logical_and(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = (a != 0) & (b != 0)"""
def logical_not(input: Tensor, *, out: Any = None) -> Tensor: r"""y = x == 0"""
def logical_or(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = (a != 0) | (b != 0)"""
def logical_xor(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = (a != 0) != (b != 0)"""
@overload
def logspace(start: _float, end: _float, steps: _int, base: _float = 10.0, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""base to the powers of linspace."""
@overload
def logspace(start: Tensor | complex, end: Tensor | complex, steps: _int, base: _float = 10.0, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: ...
def logsumexp(input: Tensor, dim: _int | Sequence[_int], keepdim: _bool = False, *, out: Any = None) -> Tensor: r"""log of the sum of exp, without overflow."""
def lstm_cell(input: Tensor, hx: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor: r"""One step of a long short-term memory (Hochreiter & Schmidhuber 1997): (h', c')."""
def lt(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a < b"""
def masked_fill(input: Tensor, mask: Tensor, value: Tensor | complex) -> Tensor: r"""A copy of input with `value`, a number or a 0-d tensor, where the mask is true; they are broadcast."""
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor: r"""A copy of input in which the elements where the mask is true come from source, in order."""
def masked_select(input: Tensor, mask: Tensor, *, out: Any = None) -> Tensor: r"""The elements where the mask is true, in one dimension; input and mask are broadcast."""
def matmul(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: r"""Matrix product by NumPy's rules: vectors, matrices, batches."""
@overload
def max(input: Tensor, *, out: Any = None) -> Tensor: r"""Largest element."""
@overload
def max(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
@overload
def max(input: Tensor, dim: _int, keepdim: _bool = False, *, out: Any = None) -> tuple[Tensor, Tensor]: ...
def max_pool1d(input: Tensor, kernel_size: _int | Sequence[_int], stride: _int | Sequence[_int] | None = None, padding: _int | Sequence[_int] = 0, dilation: _int | Sequence[_int] = 1, ceil_mode: _bool = False) -> Tensor: r"""Greatest value of each window of the last 1 dimensions; stride defaults to kernel_size, padding counts as -inf."""
def max_pool2d(input: Tensor, kernel_size: _int | Sequence[_int], stride: _int | Sequence[_int] | None = None, padding: _int | Sequence[_int] = 0, dilation: _int | Sequence[_int] = 1, ceil_mode: _bool = False) -> Tensor: r"""Greatest value of each window of the last 2 dimensions; stride defaults to kernel_size, padding counts as -inf."""
def max_pool3d(input: Tensor, kernel_size: _int | Sequence[_int], stride: _int | Sequence[_int] | None = None, padding: _int | Sequence[_int] = 0, dilation: _int | Sequence[_int] = 1, ceil_mode: _bool = False) -> Tensor: r"""Greatest value of each window of the last 3 dimensions; stride defaults to kernel_size, padding counts as -inf."""
def maximum(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = maximum(a, b)"""
def mean(input: Tensor, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Any = None) -> Tensor: r"""Mean over some or all dimensions."""
@overload
def median(input: Tensor, *, out: Any = None) -> Tensor: r"""The lower median of all elements; NaN is larger than everything."""
@overload
def median(input: Tensor, dim: _int, keepdim: _bool = False, *, out: Any = None) -> tuple[Tensor, Tensor]: ...
def meshgrid(*tensors: Tensor | Sequence[Tensor], indexing: _str | None = None) -> tuple[Tensor, ...]: r"""Coordinate grids of vectors; `indexing` is 'ij' (the default) or 'xy'."""
@overload
def min(input: Tensor, *, out: Any = None) -> Tensor: r"""Smallest element."""
@overload
def min(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
@overload
def min(input: Tensor, dim: _int, keepdim: _bool = False, *, out: Any = None) -> tuple[Tensor, Tensor]: ...
def minimum(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = minimum(a, b)"""
def mm(input: Tensor, mat2: Tensor, *, out: Any = None) -> Tensor: r"""Product of two matrices."""
def mode(input: Tensor, dim: _int = -1, keepdim: _bool = False, *, out: Any = None) -> tuple[Tensor, Tensor]: r"""The most frequent elements along a dimension (the smallest of several) and where they are."""
def moveaxis(input: Tensor, source: _int | Sequence[_int], destination: _int | Sequence[_int]) -> Tensor: r"""Another name of movedim()."""
def movedim(input: Tensor, source: _int | Sequence[_int], destination: _int | Sequence[_int]) -> Tensor: r"""A view with dimensions moved to other places; the rest keep their order."""
def msort(input: Tensor, *, out: Any = None) -> Tensor: r"""The elements sorted along the first dimension."""
def mul(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a * b"""
def multinomial(input: Tensor, num_samples: _int, replacement: _bool = False, *, generator: Generator | None = None, out: Any = None) -> Tensor: r"""Indices drawn with the weights of each row."""
def multiply(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""The same as mul."""
def multiply_(input: Tensor | complex, other: Tensor | complex) -> Tensor: r"""The same as mul."""
def mv(input: Tensor, vec: Tensor, *, out: Any = None) -> Tensor: r"""Matrix times vector."""
def nan_to_num(input: Tensor, nan: _float | None = None, posinf: _float | None = None, neginf: _float | None = None, *, out: Any = None) -> Tensor: r"""Replaces NaN and infinities (by 0 and the largest finite numbers)."""
def nan_to_num_(input: Tensor, nan: _float | None = None, posinf: _float | None = None, neginf: _float | None = None) -> Tensor: r"""Replaces NaN and infinities (by 0 and the largest finite numbers)."""
def nanmean(input: Tensor, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Any = None) -> Tensor: r"""Mean of what is not NaN."""
@overload
def nanmedian(input: Tensor, *, out: Any = None) -> Tensor: r"""The lower median of the elements that are not NaN."""
@overload
def nanmedian(input: Tensor, dim: _int, keepdim: _bool = False, *, out: Any = None) -> tuple[Tensor, Tensor]: ...
def nansum(input: Tensor, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Any = None) -> Tensor: r"""Sum in which NaN counts as 0."""
@overload
def narrow(input: Tensor, dim: _int, start: Tensor, length: _int) -> Tensor: r"""A view of `length` entries of a dimension, from `start`. Raises RuntimeError beyond the end."""
@overload
def narrow(input: Tensor, dim: _int, start: _int, length: _int) -> Tensor: ...
def narrow_copy(input: Tensor, dim: _int, start: _int, length: _int, *, out: Any = None) -> Tensor: r"""A copy of narrow()."""
def ne(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a != b"""
def neg(input: Tensor, *, out: Any = None) -> Tensor: r"""y = -x"""
def neg_(input: Tensor) -> Tensor: r"""In-place version of neg."""
def negative(input: Tensor, *, out: Any = None) -> Tensor: r"""The same as neg."""
def negative_(input: Tensor) -> Tensor: r"""The same as neg."""
def nextafter(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = nextafter(a, b)"""
def nonzero(input: Tensor, *, as_tuple: _bool = False, out: Any = None) -> Tensor: r"""The coordinates of nonzero elements: one a row, or with as_tuple one tensor a dimension."""
def nonzero_static(input: Tensor, *, size: _int, fill_value: _int = -1) -> Tensor: r"""nonzero() cut to, or padded with fill_value to, `size` rows."""
@overload
def normal(mean: Tensor, std: Tensor | complex = 1.0, *, generator: Generator | None = None, out: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Normal with the given means and deviations."""
@overload
def normal(mean: _float, std: Tensor, *, generator: Generator | None = None, out: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: ...
@overload
def normal(mean: _float, std: _float, size: _int | Sequence[_int], *, generator: Generator | None = None, dtype: _dtype | None = None, device: _device | _str | None = None, out: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: ...
def not_equal(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""The same as ne."""
def not_equal_(input: Tensor | complex, other: Tensor | complex) -> Tensor: r"""The same as ne."""
def ones(*size: _int | Sequence[_int], dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Ones."""
def ones_like(input: Tensor, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Ones of the same shape."""
def outer(input: Tensor, vec2: Tensor, *, out: Any = None) -> Tensor: r"""All products of two vectors' elements."""
def permute(input: Tensor, *dims: _int | Sequence[_int]) -> Tensor: r"""A view with the dimensions in the given order."""
def permute_copy(input: Tensor, dims: _int | Sequence[_int], *, out: Any = None) -> Tensor: r"""A copy of permute()."""
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor: r"""Poisson with the rates given."""
def positive(input: Tensor) -> Tensor: r"""The input itself."""
@overload
def pow(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = pow(a, b)"""
@overload
def pow(input: Tensor | complex, exponent: Tensor | complex, *, out: Any = None) -> Tensor: ...
@overload
def pow_(input: Tensor, other: Tensor | complex) -> Tensor: r"""In-place version of pow."""
@overload
def pow_(input: Tensor, exponent: Tensor | complex) -> Tensor: ...
@overload
def pow_(input: Tensor | complex, exponent: Tensor | complex) -> Tensor: ...
@overload
def prod(input: Tensor, *, dtype: _dtype | None = None, out: Any = None) -> Tensor: r"""Product of all elements."""
@overload
def prod(input: Tensor, dim: _int, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Any = None) -> Tensor: ...
def promote_types(type1: _dtype, type2: _dtype) -> Tensor: r"""The smallest dtype that both convert to."""
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: _bool = False) -> Tensor: r"""A copy of input with source at positions of the flattened tensor, or added there."""
def put_(input: Tensor, index: Tensor, source: Tensor, accumulate: _bool = False) -> Tensor: r"""A copy of input with source at positions of the flattened tensor, or added there."""
def rad2deg(input: Tensor, *, out: Any = None) -> Tensor: r"""y = x * T(57.29577951308232)"""
def rad2deg_(input: Tensor) -> Tensor: r"""In-place version of rad2deg."""
def rand(*size: _int | Sequence[_int], generator: Generator | None = None, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Uniform in [0, 1)."""
def rand_like(input: Tensor, *, dtype: _dtype | None = None, device: _device | _str | None = None, generator: Generator | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Uniform in [0, 1), in the input's shape."""
@overload
def randint(high: _int, size: _int | Sequence[_int], *, generator: Generator | None = None, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Whole numbers in [0, high)."""
@overload
def randint(low: _int, high: _int, size: _int | Sequence[_int], *, generator: Generator | None = None, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: ...
@overload
def randint_like(input: Tensor, high: _int, *, generator: Generator | None = None, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Whole numbers in [0, high), in the input's shape."""
@overload
def randint_like(input: Tensor, low: _int, high: _int, *, generator: Generator | None = None, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: ...
def randn(*size: _int | Sequence[_int], generator: Generator | None = None, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Standard normal."""
def randn_like(input: Tensor, *, dtype: _dtype | None = None, device: _device | _str | None = None, generator: Generator | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Standard normal, in the input's shape."""
def randperm(n: _int, *, generator: Generator | None = None, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""A random order of 0 .. n - 1."""
def range(start: _float, end: _float, step: _float = 1, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""start, start + step, ... up to end inclusive (old)."""
def ravel(input: Tensor) -> Tensor: r"""All elements in one dimension, a view of a contiguous tensor."""
def real(input: Tensor) -> Tensor: r"""The input: all dtypes are real."""
def reciprocal(input: Tensor, *, out: Any = None) -> Tensor: r"""y = 1 / x"""
def reciprocal_(input: Tensor) -> Tensor: r"""In-place version of reciprocal."""
def relu(input: Tensor, *, out: Any = None) -> Tensor: r"""y = where(x > 0, x, where(x != x, x, T(0)))"""
def relu_(input: Tensor) -> Tensor: r"""In-place version of relu."""
def remainder(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = remainder(a, b)"""
@overload
def repeat_interleave(input: Tensor, repeats: _int, dim: _int | None = None, *, output_size: _int | None = None) -> Tensor: r"""Repeats each entry along a dimension (of the flattened tensor, if none is given)."""
@overload
def repeat_interleave(input: Tensor, repeats: Tensor, dim: _int | None = None, *, output_size: _int | None = None) -> Tensor: ...
@overload
def repeat_interleave(repeats: Tensor, *, output_size: _int | None = None) -> Tensor: ...
def reshape(input: Tensor, *shape: _int | Sequence[_int]) -> Tensor: r"""The same elements in another shape, as a view where strides allow it, else as a copy; one size may be -1."""
def result_type(tensor1: Tensor | complex, tensor2: Tensor | complex) -> Tensor: r"""The dtype of an arithmetic operation of the two (tensors or numbers)."""
def rnn_relu_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor: r"""relu(input @ w_ih.T + b_ih + hx @ w_hh.T + b_hh)."""
def rnn_tanh_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor: r"""tanh(input @ w_ih.T + b_ih + hx @ w_hh.T + b_hh)."""
def roll(input: Tensor, shifts: _int | Sequence[_int], dims: _int | Sequence[_int] | None = None) -> Tensor: r"""A copy shifted along dims, entries re-entering at the other end; without dims, the flattened tensor is shifted."""
def rot90(input: Tensor, k: _int = 1, dims: _int | Sequence[_int] = (0, 1)) -> Tensor: r"""Rotates by k quarter turns in the plane of two dims."""
@overload
def round(input: Tensor, *, out: Any = None) -> Tensor: r"""y = round(x)"""
@overload
def round(input: Tensor, *, decimals: _int, out: Any = None) -> Tensor: ...
@overload
def round_(input: Tensor) -> Tensor: r"""In-place version of round."""
@overload
def round_(input: Tensor, *, decimals: _int) -> Tensor: ...
def row_stack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor: r"""Another name of vstack()."""
def rsqrt(input: Tensor, *, out: Any = None) -> Tensor: r"""y = 1 / sqrt(x)"""
def rsqrt_(input: Tensor) -> Tensor: r"""In-place version of rsqrt."""
def rsub(input: Tensor, other: Tensor | complex, *, alpha: _float = 1) -> Tensor: r"""y = other - alpha * input"""
def scalar_tensor(s: _float, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""A 0-d tensor of a number."""
@overload
def scatter(input: Tensor, dim: _int, index: Tensor, src: Tensor | complex, *, reduce: _str | None = None, out: Any = None) -> Tensor: r"""A copy of input with input[index[i][j]][j] = src[i][j] for dim 0, and so on; src may be a number. `reduce` may be 'add' or 'multiply'."""
@overload
def scatter(input: Tensor, dim: _int, index: Tensor, value: Tensor | complex, *, reduce: _str | None = None, out: Any = None) -> Tensor: ...
def scatter_add(input: Tensor, dim: _int, index: Tensor, src: Tensor, *, out: Any = None) -> Tensor: r"""A copy of input to which src is added where index says; repeated indices add up, in order."""
def scatter_reduce(input: Tensor, dim: _int, index: Tensor, src: Tensor, reduce: _str, *, include_self: _bool = True, out: Any = None) -> Tensor: r"""A copy of input in which src is reduced ('sum', 'prod', 'mean', 'amax', 'amin') into the elements that index names."""
def searchsorted(sorted_sequence: Tensor, input: Tensor | complex, *, out_int32: _bool = False, right: _bool = False, side: _str | None = None, sorter: Tensor | None = None, out: Any = None) -> Tensor: r"""Where each value would have to be inserted to keep the last dimension of sorted_sequence sorted."""
def select(input: Tensor, dim: _int, index: _int) -> Tensor: r"""A view at one index of a dimension, which is dropped. Raises IndexError out of range."""
def select_copy(input: Tensor, dim: _int, index: _int, *, out: Any = None) -> Tensor: r"""A copy of select()."""
def select_scatter(input: Tensor, src: Tensor, dim: _int, index: _int) -> Tensor: r"""A copy of input in which src stands at one index of a dimension."""
def selu(input: Tensor, *, out: Any = None) -> Tensor: r"""y = where(x > 0, T(1.0507009873554805) * x, T(1.7580993408473766) * expm1(x))"""
def selu_(input: Tensor) -> Tensor: r"""In-place version of selu."""
def sgn(input: Tensor, *, out: Any = None) -> Tensor: r"""The same as sign."""
def sgn_(input: Tensor) -> Tensor: r"""The same as sign."""
def sigmoid(input: Tensor, *, out: Any = None) -> Tensor: r"""y = 1 / (1 + exp(-x))"""
def sigmoid_(input: Tensor) -> Tensor: r"""In-place version of sigmoid."""
def sign(input: Tensor, *, out: Any = None) -> Tensor: r"""y = sign(x)"""
def signbit(input: Tensor, *, out: Any = None) -> Tensor: r"""y = signbit(x)"""
def sin(input: Tensor, *, out: Any = None) -> Tensor: r"""y = sin(x)"""
def sin_(input: Tensor) -> Tensor: r"""In-place version of sin."""
def sinc(input: Tensor, *, out: Any = None) -> Tensor: r"""y = where(x == 0, T(1), sin(x * T(3.141592653589793)) / (x * T(3.141592653589793)))"""
def sinc_(input: Tensor) -> Tensor: r"""In-place version of sinc."""
def sinh(input: Tensor, *, out: Any = None) -> Tensor: r"""y = sinh(x)"""
def sinh_(input: Tensor) -> Tensor: r"""In-place version of sinh."""
def slice_copy(input: Tensor, dim: _int = 0, start: _int | None = None, end: _int | None = None, step: _int = 1, *, out: Any = None) -> Tensor: r"""A copy of a slice of a dimension."""
def slice_scatter(input: Tensor, src: Tensor, dim: _int = 0, start: _int | None = None, end: _int | None = None, step: _int = 1, *, out: Any = None) -> Tensor: r"""A copy of input in which src stands in a slice of a dimension."""
def softmax(input: Tensor, dim: _int, dtype: _dtype | None = None, *, out: Any = None) -> Tensor: r"""exp(x) / sum(exp(x)) along a dimension."""
def sort(input: Tensor, dim: _int = -1, descending: _bool = False, stable: _bool = False, *, out: Any = None) -> tuple[Tensor, Tensor]: r"""Elements in order along a dimension, and where they were; equal ones keep their order, NaN is largest."""
@overload
def split(input: Tensor, split_size_or_sections: _int, dim: _int = 0) -> tuple[Tensor, ...]: r"""Views of consecutive parts: of one size (the last may be smaller), or of the sizes listed."""
@overload
def split(input: Tensor, split_size_or_sections: _int | Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]: ...
@overload
def split(input: Tensor, split_size: _int, dim: _int = 0) -> tuple[Tensor, ...]: ...
@overload
def split(input: Tensor, split_size: _int | Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]: ...
def split_with_sizes(input: Tensor, split_sizes: _int | Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]: r"""Views of consecutive parts of the sizes listed."""
def split_with_sizes_copy(input: Tensor, split_sizes: _int | Sequence[_int], dim: _int = 0, *, out: Any = None) -> Tensor: r"""Copies of what split_with_sizes() shows."""
def sqrt(input: Tensor, *, out: Any = None) -> Tensor: r"""y = sqrt(x)"""
def sqrt_(input: Tensor) -> Tensor: r"""In-place version of sqrt."""
def square(input: Tensor, *, out: Any = None) -> Tensor: r"""y = x * x"""
def square_(input: Tensor) -> Tensor: r"""In-place version of square."""
@overload
def squeeze(input: Tensor) -> Tensor: r"""A view without the dimensions of size 1."""
@overload
def squeeze(input: Tensor, dim: _int | Sequence[_int]) -> Tensor: ...
@overload
def squeeze_copy(input: Tensor, *, out: Any = None) -> Tensor: r"""A copy of squeeze()."""
@overload
def squeeze_copy(input: Tensor, dim: _int | Sequence[_int], *, out: Any = None) -> Tensor: ...
def stack(tensors: Sequence[Tensor], dim: _int = 0, *, out: Any = None) -> Tensor: r"""Joins tensors of one shape along a new dimension."""
@overload
def std(input: Tensor, dim: _int | Sequence[_int] | None = None, *, correction: _float | None = None, keepdim: _bool = False, out: Any = None) -> Tensor: r"""Standard deviation (of n - correction)."""
@overload
def std(input: Tensor, unbiased: _bool, *, out: Any = None) -> Tensor: ...
@overload
def std(input: Tensor, dim: _int | Sequence[_int] | None, unbiased: _bool = True, keepdim: _bool = False, *, out: Any = None) -> Tensor: ...
@overload
def std_mean(input: Tensor, dim: _int | Sequence[_int] | None = None, *, correction: _float | None = None, keepdim: _bool = False, out: Any = None) -> tuple[Tensor, Tensor]: r"""Standard deviation and mean."""
@overload
def std_mean(input: Tensor, unbiased: _bool, *, out: Any = None) -> tuple[Tensor, Tensor]: ...
@overload
def std_mean(input: Tensor, dim: _int | Sequence[_int] | None, unbiased: _bool = True, keepdim: _bool = False, *, out: Any = None) -> tuple[Tensor, Tensor]: ...
@overload
def sub(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = a - b"""
@overload
def sub(input: Tensor | complex, other: Tensor | complex, *, alpha: _float, out: Any = None) -> Tensor: ...
@overload
def subtract(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""The same as sub."""
@overload
def subtract(input: Tensor | complex, other: Tensor | complex, *, alpha: _float, out: Any = None) -> Tensor: ...
@overload
def subtract_(input: Tensor, other: Tensor | complex, *, alpha: _float) -> Tensor: r"""The same as sub_."""
@overload
def subtract_(input: Tensor | complex, other: Tensor | complex) -> Tensor: ...
def sum(input: Tensor, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Any = None) -> Tensor: r"""Sum over some or all dimensions. Integers are summed in int64."""
def swapaxes(input: Tensor, axis0: _int, axis1: _int) -> Tensor: r"""Another name of transpose()."""
def swapdims(input: Tensor, dim0: _int, dim1: _int) -> Tensor: r"""Another name of transpose()."""
def t(input: Tensor) -> Tensor: r"""The transpose of a matrix, a view; vectors and 0-d tensors stay as they are."""
def t_copy(input: Tensor, *, out: Any = None) -> Tensor: r"""A copy of t()."""
def take(input: Tensor, index: Tensor, *, out: Any = None) -> Tensor: r"""The elements at positions of the flattened input, in the shape of index."""
def take_along_dim(input: Tensor, indices: Tensor, dim: _int | None = None, *, out: Any = None) -> Tensor: r"""gather() with input and indices broadcast; without dim, from the flattened input."""
def tan(input: Tensor, *, out: Any = None) -> Tensor: r"""y = tan(x)"""
def tan_(input: Tensor) -> Tensor: r"""In-place version of tan."""
def tanh(input: Tensor, *, out: Any = None) -> Tensor: r"""y = tanh(x)"""
def tanh_(input: Tensor) -> Tensor: r"""In-place version of tanh."""
@overload
def tensor_split(input: Tensor, sections: _int, dim: _int = 0) -> tuple[Tensor, ...]: r"""Views of consecutive parts: so many nearly equal ones, or cut before the indices listed."""
@overload
def tensor_split(input: Tensor, indices: _int | Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]: ...
@overload
def tensor_split(input: Tensor, tensor_indices_or_sections: Tensor, dim: _int = 0) -> tuple[Tensor, ...]: ...
def tile(input: Tensor, *dims: _int | Sequence[_int]) -> Tensor: r"""repeat(), with missing leading repeats taken as 1."""
def topk(input: Tensor, k: _int, dim: _int = -1, largest: _bool = True, sorted: _bool = True, *, out: Any = None) -> tuple[Tensor, Tensor]: r"""The k largest (or smallest) elements along a dimension, in order, and where they were."""
def trace(input: Tensor) -> Tensor: r"""Sum of a matrix's diagonal."""
def transpose(input: Tensor, dim0: _int, dim1: _int) -> Tensor: r"""A view with two dimensions swapped."""
def transpose_copy(input: Tensor, dim0: _int, dim1: _int, *, out: Any = None) -> Tensor: r"""A copy of transpose()."""
def tril(input: Tensor, diagonal: _int = 0, *, out: Any = None) -> Tensor: r"""The lower triangle of matrices, up to a diagonal; zero elsewhere."""
def tril_indices(row: _int, col: _int, offset: _int = 0, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Row and column numbers of the lower triangle, a 2 by n integer tensor."""
def triu(input: Tensor, diagonal: _int = 0, *, out: Any = None) -> Tensor: r"""The upper triangle of matrices, from a diagonal on; zero elsewhere."""
def triu_indices(row: _int, col: _int, offset: _int = 0, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Row and column numbers of the upper triangle, a 2 by n integer tensor."""
def true_divide(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""The same as div."""
def true_divide_(input: Tensor | complex, other: Tensor | complex) -> Tensor: r"""The same as div."""
def trunc(input: Tensor, *, out: Any = None) -> Tensor: r"""y = trunc(x)"""
def trunc_(input: Tensor) -> Tensor: r"""In-place version of trunc."""
def unbind(input: Tensor, dim: _int = 0) -> tuple[Tensor, ...]: r"""Views at every index of a dimension."""
def unbind_copy(input: Tensor, dim: _int = 0, *, out: Any = None) -> Tensor: r"""Copies of what unbind() shows."""
def unflatten(input: Tensor, dim: _int, sizes: _int | Sequence[_int]) -> Tensor: r"""Splits a dimension into several; one of the sizes may be -1."""
def unique(input: Tensor, sorted: _bool = True, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None) -> Tensor: r"""The distinct elements in order, or the distinct slices of a dimension; on request where each went, and how many there were."""
def unique_consecutive(input: Tensor, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None) -> Tensor: r"""The first of each run of equal elements, or of equal slices of a dimension."""
def unravel_index(indices: Tensor, shape: _int | Sequence[_int]) -> tuple[Tensor, ...]: r"""Coordinates in an array of that shape of flat positions, one tensor a dimension."""
def unsafe_chunk(input: Tensor, chunks: _int, dim: _int = 0) -> Tensor: r"""Another name of chunk()."""
def unsafe_split(input: Tensor, split_size: _int, dim: _int = 0) -> Tensor: r"""Another name of split() by size."""
def unsafe_split_with_sizes(input: Tensor, split_sizes: _int | Sequence[_int], dim: _int = 0) -> Tensor: r"""Another name of split_with_sizes()."""
def unsqueeze(input: Tensor, dim: _int) -> Tensor: r"""A view with a dimension of size 1 inserted."""
def unsqueeze_copy(input: Tensor, dim: _int, *, out: Any = None) -> Tensor: r"""A copy of unsqueeze()."""
@overload
def var(input: Tensor, dim: _int | Sequence[_int] | None = None, *, correction: _float | None = None, keepdim: _bool = False, out: Any = None) -> Tensor: r"""Variance (divided by n - correction)."""
@overload
def var(input: Tensor, unbiased: _bool, *, out: Any = None) -> Tensor: ...
@overload
def var(input: Tensor, dim: _int | Sequence[_int] | None, unbiased: _bool = True, keepdim: _bool = False, *, out: Any = None) -> Tensor: ...
@overload
def var_mean(input: Tensor, dim: _int | Sequence[_int] | None = None, *, correction: _float | None = None, keepdim: _bool = False, out: Any = None) -> tuple[Tensor, Tensor]: r"""Variance and mean."""
@overload
def var_mean(input: Tensor, unbiased: _bool, *, out: Any = None) -> tuple[Tensor, Tensor]: ...
@overload
def var_mean(input: Tensor, dim: _int | Sequence[_int] | None, unbiased: _bool = True, keepdim: _bool = False, *, out: Any = None) -> tuple[Tensor, Tensor]: ...
def vdot(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: r"""Inner product of two vectors."""
def view_copy(input: Tensor, size: _int | Sequence[_int], *, out: Any = None) -> Tensor: r"""A copy of view()."""
@overload
def vsplit(input: Tensor, sections: _int) -> tuple[Tensor, ...]: r"""tensor_split() along dimension 0."""
@overload
def vsplit(input: Tensor, indices: _int | Sequence[_int]) -> tuple[Tensor, ...]: ...
def vstack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor: r"""Joins tensors as rows, along dimension 0."""
@overload
def where(condition: Tensor, *, out: Any = None) -> Tensor: r"""The coordinates of nonzero elements, one tensor a dimension."""
@overload
def where(condition: Tensor, input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: ...
def xlogy(input: Tensor | complex, other: Tensor | complex, *, out: Any = None) -> Tensor: r"""y = xlogy(a, b)"""
def xlogy_(input: Tensor, other: Tensor | complex) -> Tensor: r"""In-place version of xlogy."""
def zero_(input: Tensor) -> Tensor: r"""Sets every element to 0."""
def zeros(*size: _int | Sequence[_int], dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Zeros."""
def zeros_like(input: Tensor, *, dtype: _dtype | None = None, device: _device | _str | None = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor: r"""Zeros of the same shape."""
