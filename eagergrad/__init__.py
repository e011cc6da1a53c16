"""eagergrad: define-by-run automatic differentiation, with PyTorch's names.

>>> import eagergrad as eg
>>> x = eg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x ** 2).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from __future__ import annotations

import os as _os
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

import numpy as _np

from eagergrad import _C
from eagergrad._version import __version__
from eagergrad.tensor import dtype as _dtypes
from eagergrad.tensor.device import CPU as _CPU
from eagergrad.tensor.device import (
    OutOfMemoryError,
    device,
    get_default_device,
    set_default_device,
)
from eagergrad.tensor.device import (
    check_device as _check_device,
)
from eagergrad.tensor.dtype import (
    bfloat16,
    dtype,
    finfo,
    float16,
    float32,
    float64,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from eagergrad.tensor.dtype import bool_ as bool
from eagergrad.tensor.layout import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    sparse_coo,
    sparse_csc,
    sparse_csr,
    strided,
)
from eagergrad.tensor.size import Size

half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
inf, nan, pi, e = _np.inf, _np.nan, _np.pi, _np.e
newaxis = None


def _put_together() -> None:
    from importlib.util import find_spec

    _C.install_site_hooks(_os.path.join(_os.path.dirname(__file__), ""))
    blas = find_spec("scipy_openblas32")
    if blas is not None and blas.origin:
        folder = _os.path.join(_os.path.dirname(blas.origin), "lib")
        for name in ("libscipy_openblas.so", "libscipy_openblas.dylib", "libscipy_openblas.dll"):
            if _os.path.exists(_os.path.join(folder, name)):
                _C.set_blas_path(_os.path.join(folder, name))
                break


_put_together()

from eagergrad.tensor import attach as _attach  # noqa: E402
from eagergrad.tensor import creation as _creation  # noqa: E402
from eagergrad.tensor import foreign as _foreign  # noqa: E402
from eagergrad.tensor import subclass as _subclass  # noqa: E402
from eagergrad.tensor.creation import (  # noqa: E402
    as_tensor,
    asarray,
    from_numpy,
    frombuffer,
    tensor,
)
from eagergrad.tensor.tensor import LEGACY_TYPES as _LEGACY_TYPES  # noqa: E402
from eagergrad.tensor.tensor import Tensor  # noqa: E402

ops = _attach.attach(globals(), Tensor)
globals().update(_LEGACY_TYPES)

from eagergrad.autograd.function import run_backward as _run_backward  # noqa: E402
from eagergrad.autograd.graph import before_write as _before_write  # noqa: E402
from eagergrad.autograd.handle import TapeHandle as _TapeHandle  # noqa: E402

_C.register_types(
    {
        "Tensor": Tensor,
        "Size": Size,
        "device": device,
        "cpu": _CPU,
        "dtypes": _dtypes.ALL,
        "ndarray": _np.ndarray,
        "generic": _np.generic,
        "dtype_from_numpy": _dtypes.dtype_from_numpy,
        "check_device": _check_device,
        "OutOfMemoryError": OutOfMemoryError,
        "plain_array": _creation.plain_array,
        "index_tensor": _creation.index_tensor,
        "tensor": tensor,
        "run_backward": _run_backward,
        "handle": _TapeHandle,
        "find_op": _attach.find_op,
        "before_write": _before_write,
        "override": _foreign.override,
        "ask_subclasses": _subclass.ask,
        "ask_operator": _subclass.ask_operator,
        "disabled_torch_function": _subclass.disabled_torch_function,
        "as_gradient": _foreign.as_gradient,
        "factorized": _foreign.factorized,
    }
)

from eagergrad import autograd, memory, return_types  # noqa: E402
from eagergrad._C import (  # noqa: E402
    Generator,
    default_generator,
    get_default_dtype,
    get_num_threads,
    is_grad_enabled,
    is_inference_mode_enabled,
    set_default_dtype,
    set_num_threads,
)
from eagergrad.autograd.grad_mode import (  # noqa: E402
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
    strict_broadcast,
)
from eagergrad.autograd.truncated import tbptt  # noqa: E402
from eagergrad.tensor import interop as _interop  # noqa: E402
from eagergrad.tensor.functions import *  # noqa: E402
from eagergrad.tensor.interop import from_dlpack  # noqa: E402
from eagergrad.tensor.printing import get_printoptions, set_printoptions  # noqa: E402
from eagergrad.tensor.products import *  # noqa: E402
from eagergrad.tensor.statistics import *  # noqa: E402

_assert = Assert  # noqa: F405
_attach.attach_methods(Tensor)
_attach.attach_inplace_functions(globals(), Tensor)
_interop.install(Tensor)

# Everything else is imported when it is first named: `import eagergrad` stays quick.
_SUBMODULES = frozenset(
    [
        "accelerator",
        "as_torch",
        "xpu",
        "profiler",
        "overrides",
        "mps",
        "functional",
        "futures",
        "cpu",
        "_dynamo",
        "_inductor",
        "_subclasses",
        "_utils",
        "amp",
        "array_api",
        "autograd",
        "backends",
        "compiler",
        "cuda",
        "distributed",
        "distributions",
        "export",
        "fft",
        "func",
        "fx",
        "hub",
        "jit",
        "masked",
        "library",
        "linalg",
        "memory",
        "multiprocessing",
        "nn",
        "onnx",
        "optim",
        "quasirandom",
        "random",
        "serialization",
        "signal",
        "sparse",
        "special",
        "storage",
        "testing",
        "torch_version",
        "train",
        "utils",
        "version",
        "__config__",
        "types",
    ]
)
_ELSEWHERE = {
    **dict.fromkeys(
        "cholesky cholesky_inverse cholesky_solve det geqrf inverse logdet lu lu_solve lu_unpack matrix_exp matrix_power orgqr "
        "ormqr pca_lowrank pinverse qr slogdet svd svd_lowrank triangular_solve".split(),
        "eagergrad.linalg.names",
    ),
    **dict.fromkeys(
        "bartlett_window blackman_window hamming_window hann_window kaiser_window".split(),
        "eagergrad.tensor.windows",
    ),
    **dict.fromkeys(["expit", "logit", "mvlgamma", "polygamma"], "eagergrad.special"),
    "adaptive_avg_pool1d": "eagergrad.nn.functional",
    "channel_shuffle": "eagergrad.nn.functional",
    "conv_tbc": "eagergrad.nn.functional",
    "max_pool1d_with_indices": "eagergrad.nn.functional",
    "pixel_shuffle": "eagergrad.nn.functional",
    "pixel_unshuffle": "eagergrad.nn.functional",
    "vmap": "eagergrad.func",
    "cleanup": "eagergrad.memory",
    "export_numpy": "eagergrad.export",
    "save": "eagergrad.serialization",
    "load": "eagergrad.serialization",
    "GradScaler": "eagergrad.amp.grad_scaler",
    "Future": "eagergrad.futures",
    **dict.fromkeys(["errstate", "geterr", "seterr"], "eagergrad.autograd.watch"),
}
_ELSEWHERE.update(
    dict.fromkeys(
        "autocast clear_autocast_cache get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype "
        "is_autocast_available is_autocast_cpu_enabled is_autocast_enabled set_autocast_cpu_dtype "
        "set_autocast_cpu_enabled set_autocast_dtype set_autocast_enabled set_autocast_gpu_dtype".split(),
        "eagergrad.amp.autocast_mode",
    )
)
_ELSEWHERE.update(
    dict.fromkeys(
        "SymBool SymFloat SymInt _assert_async _weight_norm cond fake_quantize_per_channel_affine fake_quantize_per_tensor_affine from_file frobenius_norm get_deterministic_debug_mode histogramdd "
        "is_anomaly_check_nan_enabled is_anomaly_enabled is_distributed native_batch_norm native_dropout native_group_norm "
        "native_layer_norm norm_except_dim nuclear_norm set_anomaly_enabled set_deterministic_debug_mode split_copy "
        "sym_float sym_int sym_ite sym_max sym_min sym_not sym_sqrt sym_sum to_dlpack while_loop".split(),
        "eagergrad.tensor.names",
    )
)
_ELSEWHERE.update(
    dict.fromkeys(
        "dsmm hspmm sparse_compressed_tensor sparse_coo_tensor sparse_csc_tensor sparse_csr_tensor spmm".split(),
        "eagergrad.sparse",
    )
)
_ELSEWHERE.update(
    dict.fromkeys(
        "BFloat16Storage BoolStorage ByteStorage CharStorage DoubleStorage FloatStorage HalfStorage IntStorage LongStorage "
        "ShortStorage Storage TypedStorage UntypedStorage".split(),
        "eagergrad.storage",
    )
)
# Functions of layers that PyTorch also shows at the top.
_ELSEWHERE.update(
    dict.fromkeys(
        "adaptive_avg_pool1d alpha_dropout bilinear celu_ channel_shuffle conv_tbc cosine_similarity "
        "feature_alpha_dropout group_norm layer_norm native_channel_shuffle pairwise_distance "
        "pixel_shuffle pixel_unshuffle prelu relu_ rms_norm rrelu rrelu_ selu_ threshold threshold_".split(),
        "eagergrad.nn.functional",
    )
)
_ELSEWHERE.update(
    dict.fromkeys(
        "affine_grid_generator batch_norm binary_cross_entropy_with_logits cosine_embedding_loss ctc_loss embedding "
        "grid_sampler grid_sampler_2d grid_sampler_3d gru hinge_embedding_loss instance_norm kl_div lstm "
        "margin_ranking_loss poisson_nll_loss rnn_relu rnn_tanh triplet_margin_loss".split(),
        "eagergrad.nn.functional._top",
    )
)


_OLD_FLAGS = {
    "has_mps": "mps.is_built",
    "has_cuda": "cuda.is_built",
    "has_cudnn": "cudnn.is_available",
    "has_mkldnn": "mkldnn.is_available",
}


def __getattr__(name: str) -> _Any:
    import importlib

    if name in _SUBMODULES:
        try:
            return importlib.import_module(f"eagergrad.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"eagergrad.{name}":
                raise
    elif name.startswith("_foreach_"):
        from eagergrad.tensor import foreach

        if name in foreach.FUNCTIONS:
            return foreach.FUNCTIONS[name]
    elif name in _ELSEWHERE:
        found = getattr(importlib.import_module(_ELSEWHERE[name]), name)
        globals()[name] = found
        return found
    elif name in _OLD_FLAGS:
        import warnings

        of, asked = _OLD_FLAGS[name].split(".")
        warnings.warn(
            f"'{name}' is deprecated, use eagergrad.backends.{of}.{asked}()", stacklevel=2
        )
        return getattr(importlib.import_module(f"eagergrad.backends.{of}"), asked)()
    raise AttributeError(f"module 'eagergrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_ELSEWHERE})


if _TYPE_CHECKING:
    from eagergrad import (
        nn,
        optim,
        utils,
    )
    from eagergrad.serialization import load, save
