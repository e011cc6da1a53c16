# Written by tools/make_stubs.py; do not edit.
from builtins import bool as _bool, float as _float, int as _int, str as _str
from collections.abc import Iterator, Sequence
from typing import Any, overload

from eagergrad.tensor.device import device as _device
from eagergrad.tensor.dtype import dtype as _dtype
from eagergrad.tensor.layout import layout as _layout, memory_format as _memory_format
from eagergrad.tensor.size import Size
from eagergrad.tensor.tensor import Tensor

class Generator:
    def __init__(self, device: Any = None) -> None: ...
    def manual_seed(self, seed: _int) -> Generator: ...
    def initial_seed(self) -> _int: ...
    def __getattr__(self, name: str) -> Any: ...

class Node:
    def __getattr__(self, name: str) -> Any: ...

class TensorBase:
    def __new__(cls, *args: Any, **kwargs: Any) -> Any: ...
    def __add__(self, other: Any) -> Tensor: ...
    def __radd__(self, other: Any) -> Tensor: ...
    def __iadd__(self, other: Any) -> Tensor: ...
    def __sub__(self, other: Any) -> Tensor: ...
    def __rsub__(self, other: Any) -> Tensor: ...
    def __isub__(self, other: Any) -> Tensor: ...
    def __mul__(self, other: Any) -> Tensor: ...
    def __rmul__(self, other: Any) -> Tensor: ...
    def __imul__(self, other: Any) -> Tensor: ...
    def __truediv__(self, other: Any) -> Tensor: ...
    def __rtruediv__(self, other: Any) -> Tensor: ...
    def __itruediv__(self, other: Any) -> Tensor: ...
    def __floordiv__(self, other: Any) -> Tensor: ...
    def __rfloordiv__(self, other: Any) -> Tensor: ...
    def __ifloordiv__(self, other: Any) -> Tensor: ...
    def __mod__(self, other: Any) -> Tensor: ...
    def __rmod__(self, other: Any) -> Tensor: ...
    def __imod__(self, other: Any) -> Tensor: ...
    def __pow__(self, other: Any) -> Tensor: ...
    def __rpow__(self, other: Any) -> Tensor: ...
    def __ipow__(self, other: Any) -> Tensor: ...
    def __matmul__(self, other: Any) -> Tensor: ...
    def __rmatmul__(self, other: Any) -> Tensor: ...
    def __and__(self, other: Any) -> Tensor: ...
    def __rand__(self, other: Any) -> Tensor: ...
    def __iand__(self, other: Any) -> Tensor: ...
    def __or__(self, other: Any) -> Tensor: ...
    def __ror__(self, other: Any) -> Tensor: ...
    def __ior__(self, other: Any) -> Tensor: ...
    def __xor__(self, other: Any) -> Tensor: ...
    def __rxor__(self, other: Any) -> Tensor: ...
    def __ixor__(self, other: Any) -> Tensor: ...
    def __lshift__(self, other: Any) -> Tensor: ...
    def __rlshift__(self, other: Any) -> Tensor: ...
    def __ilshift__(self, other: Any) -> Tensor: ...
    def __rshift__(self, other: Any) -> Tensor: ...
    def __rrshift__(self, other: Any) -> Tensor: ...
    def __irshift__(self, other: Any) -> Tensor: ...
    def __lt__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __le__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __gt__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __ge__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __neg__(self) -> Tensor: ...
    def __pos__(self) -> Tensor: ...
    def __abs__(self) -> Tensor: ...
    def __invert__(self) -> Tensor: ...
    def __getitem__(self, index: Any) -> Tensor: ...
    def __setitem__(self, index: Any, value: Any) -> None: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __len__(self) -> _int: ...
    def __bool__(self) -> _bool: ...
    def __int__(self) -> _int: ...
    def __float__(self) -> _float: ...
    def __index__(self) -> _int: ...
    def __hash__(self) -> _int: ...
    _base: Tensor | None
    _is_dense: Any
    _is_inference: Any
    _is_view_flag: Any
    _version: _int
    def backward(self, *args: Any, **kwargs: Any) -> Any: ...
    data: Tensor
    def data_ptr(self, *args: Any, **kwargs: Any) -> Any: ...
    def detach(self, *args: Any, **kwargs: Any) -> Any: ...
    def detach_(self, *args: Any, **kwargs: Any) -> Any: ...
    device: _device
    def dim(self, *args: Any, **kwargs: Any) -> Any: ...
    dtype: _dtype
    grad: Tensor | None
    grad_fn: Node | None
    is_leaf: _bool
    def is_set_to(self, *args: Any, **kwargs: Any) -> Any: ...
    def item(self, *args: Any, **kwargs: Any) -> Any: ...
    ndim: _int
    def ndimension(self, *args: Any, **kwargs: Any) -> Any: ...
    def nelement(self, *args: Any, **kwargs: Any) -> Any: ...
    def numel(self, *args: Any, **kwargs: Any) -> Any: ...
    requires_grad: _bool
    def requires_grad_(self, *args: Any, **kwargs: Any) -> Any: ...
    retains_grad: _bool
    shape: Size
    def size(self, *args: Any, **kwargs: Any) -> Any: ...
    def storage_offset(self, *args: Any, **kwargs: Any) -> Any: ...
    def stride(self, *args: Any, **kwargs: Any) -> Any: ...
    def tolist(self, *args: Any, **kwargs: Any) -> Any: ...
    def _eig(self, vectors: _bool) -> Tensor: r"""Eigenvalues, and vectors if asked for as LAPACK packs them. Not recorded."""
    def _eigh(self, upper: _bool, vectors: _bool) -> Tensor: r"""Of symmetric matrices, by one triangle; no eigenvectors unless asked for. Not recorded."""
    def _first_nonzero(self) -> Tensor: r"""The place of the first number other than 0, or -1."""
    def _geqrf(self) -> Tensor: r"""R on and above the diagonal, reflections' vectors below it, their factors. Not recorded."""
    def _householder_product(self, tau: Tensor) -> Tensor: r"""The first columns of the product of geqrf's reflections. Not recorded."""
    def _ldl_factor(self) -> Tensor: r"""L D L^T of symmetric matrices by their lower triangle. Not recorded."""
    def _lu_triangles(self) -> Tensor: r"""What lu_factor packs. Not recorded."""
    def _matrix_exp(self) -> Tensor: r"""Of small matrices. Not recorded."""
    def _ormqr(self, tau: Tensor, other: Tensor, transposed: _bool) -> Tensor: r"""The product of geqrf's reflections, or its transpose, times a matrix. Not recorded."""
    def _qr(self, complete: _bool, with_q: _bool) -> Tensor: r"""Q and R; an empty Q unless with_q. Not recorded."""
    def _slogdet(self, logarithm: _bool) -> Tensor: r"""Determinants, and their signs and logarithms if asked for. Not recorded."""
    def _svd(self, full: _bool, vectors: _bool) -> Tensor: r"""Singular values, and vectors if asked for. Not recorded."""
    def abs(self) -> Tensor: r"""y = abs(x)"""
    def abs_(self) -> Tensor: r"""In-place version of abs."""
    def absolute(self) -> Tensor: r"""The same as abs."""
    def absolute_(self) -> Tensor: r"""The same as abs."""
    def acos(self) -> Tensor: r"""y = acos(x)"""
    def acos_(self) -> Tensor: r"""In-place version of acos."""
    def acosh(self) -> Tensor: r"""y = acosh(x)"""
    def acosh_(self) -> Tensor: r"""In-place version of acosh."""
    @overload
    def add(self, other: Tensor | complex) -> Tensor: r"""y = a + b"""
    @overload
    def add(self, other: Tensor | complex, *, alpha: _float) -> Tensor: ...
    @overload
    def add(self, alpha: _float, other: Tensor | complex) -> Tensor: ...
    @overload
    def add_(self, other: Tensor | complex) -> Tensor: r"""In-place version of add."""
    @overload
    def add_(self, other: Tensor | complex, *, alpha: _float) -> Tensor: ...
    @overload
    def add_(self, alpha: _float, other: Tensor | complex) -> Tensor: ...
    def addbmm(self, batch1: Tensor, batch2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * the sum of the products"""
    def addbmm_(self, batch1: Tensor, batch2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * the sum of the products"""
    def addcdiv(self, tensor1: Tensor | complex, tensor2: Tensor | complex, *, value: _float = 1) -> Tensor: r"""input + value * tensor1 / tensor2"""
    def addcdiv_(self, tensor1: Tensor | complex, tensor2: Tensor | complex, *, value: _float = 1) -> Tensor: r"""In-place version of addcdiv."""
    def addcmul(self, tensor1: Tensor | complex, tensor2: Tensor | complex, *, value: _float = 1) -> Tensor: r"""input + value * tensor1 * tensor2"""
    def addcmul_(self, tensor1: Tensor | complex, tensor2: Tensor | complex, *, value: _float = 1) -> Tensor: r"""In-place version of addcmul."""
    def addmm(self, mat1: Tensor, mat2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * mat1 @ mat2"""
    def addmm_(self, mat1: Tensor, mat2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * mat1 @ mat2"""
    def addmv(self, mat: Tensor, vec: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * mat @ vec"""
    def addmv_(self, mat: Tensor, vec: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * mat @ vec"""
    def addr(self, vec1: Tensor, vec2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * outer(vec1, vec2)"""
    def addr_(self, vec1: Tensor, vec2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * outer(vec1, vec2)"""
    def adjoint(self) -> Tensor: r"""A view with the last two dimensions swapped."""
    def all(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False) -> Tensor: r"""Whether all elements are true."""
    def amax(self, dim: _int | Sequence[_int] | None = (), keepdim: _bool = False) -> Tensor: r"""Largest element; equal ones share the gradient."""
    def amin(self, dim: _int | Sequence[_int] | None = (), keepdim: _bool = False) -> Tensor: r"""Smallest element; equal ones share the gradient."""
    def aminmax(self, *, dim: _int | None = None, keepdim: _bool = False) -> tuple[Tensor, Tensor]: r"""Smallest and largest element."""
    def angle(self) -> Tensor: r"""y = where(x != x, x, where(x < 0, T(3.141592653589793), T(0)))"""
    def any(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False) -> Tensor: r"""Whether any element is true."""
    def arccos(self) -> Tensor: r"""The same as acos."""
    def arccos_(self) -> Tensor: r"""The same as acos."""
    def arccosh(self) -> Tensor: r"""The same as acosh."""
    def arccosh_(self) -> Tensor: r"""The same as acosh."""
    def arcsin(self) -> Tensor: r"""The same as asin."""
    def arcsin_(self) -> Tensor: r"""The same as asin."""
    def arcsinh(self) -> Tensor: r"""The same as asinh."""
    def arcsinh_(self) -> Tensor: r"""The same as asinh."""
    def arctan(self) -> Tensor: r"""The same as atan."""
    def arctan2(self, other: Tensor | complex) -> Tensor: r"""The same as atan2."""
    def arctan2_(self, other: Tensor | complex) -> Tensor: r"""The same as atan2."""
    def arctan_(self) -> Tensor: r"""The same as atan."""
    def arctanh(self) -> Tensor: r"""The same as atanh."""
    def arctanh_(self) -> Tensor: r"""The same as atanh."""
    def argmax(self, dim: _int | None = None, keepdim: _bool = False) -> Tensor: r"""Position of the largest element."""
    def argmin(self, dim: _int | None = None, keepdim: _bool = False) -> Tensor: r"""Position of the smallest element."""
    def argsort(self, dim: _int = -1, descending: _bool = False, stable: _bool = False) -> Tensor: r"""The indices that sort a dimension."""
    def argwhere(self) -> Tensor: r"""The coordinates of nonzero elements, one a row."""
    def as_strided(self, size: _int | Sequence[_int], stride: _int | Sequence[_int], storage_offset: _int | None = None) -> Tensor: r"""A view of input's storage with the given sizes, strides and offset, in elements."""
    def as_strided_(self, size: _int | Sequence[_int], stride: _int | Sequence[_int], storage_offset: _int | None = None) -> Tensor: r"""as_strided() that changes the tensor itself."""
    def as_strided_scatter(self, src: Tensor, size: _int | Sequence[_int], stride: _int | Sequence[_int], storage_offset: _int | None = None) -> Tensor: r"""A copy of input in which the elements that as_strided() would show are those of src."""
    def asin(self) -> Tensor: r"""y = asin(x)"""
    def asin_(self) -> Tensor: r"""In-place version of asin."""
    def asinh(self) -> Tensor: r"""y = asinh(x)"""
    def asinh_(self) -> Tensor: r"""In-place version of asinh."""
    def atan(self) -> Tensor: r"""y = atan(x)"""
    def atan2(self, other: Tensor | complex) -> Tensor: r"""y = atan2(a, b)"""
    def atan2_(self, other: Tensor | complex) -> Tensor: r"""In-place version of atan2."""
    def atan_(self) -> Tensor: r"""In-place version of atan."""
    def atanh(self) -> Tensor: r"""y = atanh(x)"""
    def atanh_(self) -> Tensor: r"""In-place version of atanh."""
    def baddbmm(self, batch1: Tensor, batch2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * batch1 @ batch2, matrix by matrix"""
    def baddbmm_(self, batch1: Tensor, batch2: Tensor, *, beta: _float = 1, alpha: _float = 1) -> Tensor: r"""beta * input + alpha * batch1 @ batch2, matrix by matrix"""
    @overload
    def bernoulli(self, *, generator: Generator | None = None) -> Tensor: r"""0 or 1, with the probabilities given."""
    @overload
    def bernoulli(self, p: _float, *, generator: Generator | None = None) -> Tensor: ...
    def bernoulli_(self, p: Tensor | complex = 0.5, *, generator: Generator | None = None) -> Tensor: r"""0 or 1."""
    def bincount(self, weights: Tensor | None = None, minlength: _int = 0) -> Tensor: r"""How often each non-negative integer occurs, or the sum of its weights."""
    def bitwise_and(self, other: Tensor | complex) -> Tensor: r"""y = a & b"""
    def bitwise_and_(self, other: Tensor | complex) -> Tensor: r"""In-place version of bitwise_and."""
    def bitwise_left_shift(self, other: Tensor | complex) -> Tensor: r"""y = shift_left(a, b)"""
    def bitwise_left_shift_(self, other: Tensor | complex) -> Tensor: r"""In-place version of bitwise_left_shift."""
    def bitwise_not(self) -> Tensor: r"""y = invert(x)"""
    def bitwise_not_(self) -> Tensor: r"""In-place version of bitwise_not."""
    def bitwise_or(self, other: Tensor | complex) -> Tensor: r"""y = a | b"""
    def bitwise_or_(self, other: Tensor | complex) -> Tensor: r"""In-place version of bitwise_or."""
    def bitwise_right_shift(self, other: Tensor | complex) -> Tensor: r"""y = shift_right(a, b)"""
    def bitwise_right_shift_(self, other: Tensor | complex) -> Tensor: r"""In-place version of bitwise_right_shift."""
    def bitwise_xor(self, other: Tensor | complex) -> Tensor: r"""y = a ^ b"""
    def bitwise_xor_(self, other: Tensor | complex) -> Tensor: r"""In-place version of bitwise_xor."""
    def bmm(self, mat2: Tensor) -> Tensor: r"""Products of two batches of matrices."""
    def broadcast_to(self, size: _int | Sequence[_int]) -> Tensor: r"""A view of input broadcast to the given shape."""
    def cauchy_(self, median: _float = 0.0, sigma: _float = 1.0, *, generator: Generator | None = None) -> Tensor: r"""Cauchy."""
    def ceil(self) -> Tensor: r"""y = ceil(x)"""
    def ceil_(self) -> Tensor: r"""In-place version of ceil."""
    def celu(self, alpha: _float = 1.0) -> Tensor: r"""y = where(x > 0, x, alpha * expm1(x / alpha))"""
    def celu_(self, alpha: _float = 1.0) -> Tensor: r"""In-place version of celu."""
    def chunk(self, chunks: _int, dim: _int = 0) -> tuple[Tensor, ...]: r"""Views of up to `chunks` consecutive parts of equal size; the last may be smaller."""
    def clamp(self, min: Tensor | complex | None = None, max: Tensor | complex | None = None) -> Tensor: r"""Elements limited to [min, max]."""
    def clamp_(self, min: Tensor | complex | None = None, max: Tensor | complex | None = None) -> Tensor: r"""In-place version of clamp."""
    def clamp_max(self, max: Tensor | complex) -> Tensor: r"""Elements not above max."""
    def clamp_max_(self, max: Tensor | complex) -> Tensor: r"""In-place version of clamp_max."""
    def clamp_min(self, min: Tensor | complex) -> Tensor: r"""Elements not below min."""
    def clamp_min_(self, min: Tensor | complex) -> Tensor: r"""In-place version of clamp_min."""
    def clip(self, min: Tensor | complex | None = None, max: Tensor | complex | None = None) -> Tensor: r"""Elements limited to [min, max]."""
    def clip_(self, min: Tensor | complex | None = None, max: Tensor | complex | None = None) -> Tensor: r"""In-place version of clip."""
    def clone(self, *, memory_format: _str | None = None) -> Tensor: r"""A recorded copy."""
    def conj_physical(self) -> Tensor: r"""The input: all dtypes are real."""
    @overload
    def contiguous(self) -> Tensor: r"""Row-major in memory: a copy if it is not already."""
    @overload
    def contiguous(self, *, memory_format: _str = 'contiguous_format') -> Tensor: ...
    def copy_(self, src: Tensor | complex, non_blocking: _bool = False) -> Tensor: r"""Copies src, broadcast and cast, into this tensor; recorded."""
    def copysign(self, other: Tensor | complex) -> Tensor: r"""y = copysign(a, b)"""
    def copysign_(self, other: Tensor | complex) -> Tensor: r"""In-place version of copysign."""
    def cos(self) -> Tensor: r"""y = cos(x)"""
    def cos_(self) -> Tensor: r"""In-place version of cos."""
    def cosh(self) -> Tensor: r"""y = cosh(x)"""
    def cosh_(self) -> Tensor: r"""In-place version of cosh."""
    def count_nonzero(self, dim: _int | Sequence[_int] | None = None) -> Tensor: r"""Number of elements that are not zero."""
    def cummax(self, dim: _int) -> tuple[Tensor, Tensor]: r"""Largest elements so far."""
    def cummin(self, dim: _int) -> tuple[Tensor, Tensor]: r"""Smallest elements so far."""
    def cumprod(self, dim: _int, *, dtype: _dtype | None = None) -> Tensor: r"""Products of the elements so far."""
    def cumprod_(self, dim: _int, *, dtype: _dtype | None = None) -> Tensor: r"""Products of the elements so far."""
    def cumsum(self, dim: _int, *, dtype: _dtype | None = None) -> Tensor: r"""Sums of the elements so far."""
    def cumsum_(self, dim: _int, *, dtype: _dtype | None = None) -> Tensor: r"""Sums of the elements so far."""
    def deg2rad(self) -> Tensor: r"""y = x * T(0.017453292519943295)"""
    def deg2rad_(self) -> Tensor: r"""In-place version of deg2rad."""
    def diag(self, diagonal: _int = 0) -> Tensor: r"""The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    def diag_embed(self, offset: _int = 0, dim1: _int = -2, dim2: _int = -1) -> Tensor: r"""Matrices over two new dimensions with the last dimension of input on their diagonals."""
    def diagflat(self, offset: _int = 0) -> Tensor: r"""The matrix with all elements of input on its diagonal."""
    def diagonal(self, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor: r"""A view of the diagonals over two dimensions, as the last dimension."""
    def diagonal_scatter(self, src: Tensor, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor: r"""A copy of input in which src stands on the diagonal."""
    def diff(self, n: _int = 1, dim: _int = -1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor: r"""n-th differences of neighbours."""
    def digamma(self) -> Tensor: r"""y = digamma(x)"""
    def digamma_(self) -> Tensor: r"""In-place version of digamma."""
    @overload
    def div(self, other: Tensor | complex) -> Tensor: r"""y = a / b"""
    @overload
    def div(self, other: Tensor | complex, *, rounding_mode: _str | None) -> Tensor: ...
    @overload
    def div_(self, other: Tensor | complex) -> Tensor: r"""In-place version of div."""
    @overload
    def div_(self, other: Tensor | complex, *, rounding_mode: _str | None) -> Tensor: ...
    @overload
    def divide(self, other: Tensor | complex, *, rounding_mode: _str | None) -> Tensor: r"""The same as div."""
    @overload
    def divide(self, other: Tensor | complex) -> Tensor: ...
    @overload
    def divide_(self, other: Tensor | complex, *, rounding_mode: _str | None) -> Tensor: r"""The same as div."""
    @overload
    def divide_(self, other: Tensor | complex) -> Tensor: ...
    def dot(self, tensor: Tensor) -> Tensor: r"""Inner product of two vectors."""
    def dropout(self, p: _float, train: _bool) -> Tensor: r"""Zeroes elements with probability p and scales the rest by 1 / (1 - p)."""
    def dropout_(self, p: _float, train: _bool) -> Tensor: r"""Zeroes elements with probability p and scales the rest by 1 / (1 - p)."""
    @overload
    def dsplit(self, sections: _int) -> tuple[Tensor, ...]: r"""tensor_split() along dimension 2."""
    @overload
    def dsplit(self, indices: _int | Sequence[_int]) -> tuple[Tensor, ...]: ...
    def eq(self, other: Tensor | complex) -> Tensor: r"""y = a == b"""
    def eq_(self, other: Tensor | complex) -> Tensor: r"""In-place version of eq."""
    def erf(self) -> Tensor: r"""y = erf(x)"""
    def erf_(self) -> Tensor: r"""In-place version of erf."""
    def erfc(self) -> Tensor: r"""y = erfc(x)"""
    def erfc_(self) -> Tensor: r"""In-place version of erfc."""
    def erfinv(self) -> Tensor: r"""y = erfinv(x)"""
    def erfinv_(self) -> Tensor: r"""In-place version of erfinv."""
    def exp(self) -> Tensor: r"""y = exp(x)"""
    def exp2(self) -> Tensor: r"""y = exp2(x)"""
    def exp2_(self) -> Tensor: r"""In-place version of exp2."""
    def exp_(self) -> Tensor: r"""In-place version of exp."""
    def expand(self, *size: _int | Sequence[_int]) -> Tensor: r"""A view in which dimensions of size 1 repeat and new ones come first; -1 keeps a size."""
    def expand_as(self, other: Tensor) -> Tensor: r"""expand() to the shape of other."""
    def expm1(self) -> Tensor: r"""y = expm1(x)"""
    def expm1_(self) -> Tensor: r"""In-place version of expm1."""
    def exponential_(self, lambd: _float = 1.0, *, generator: Generator | None = None) -> Tensor: r"""Exponential."""
    def feature_dropout(self, p: _float, train: _bool) -> Tensor: r"""Zeroes whole channels."""
    def feature_dropout_(self, p: _float, train: _bool) -> Tensor: r"""Zeroes whole channels."""
    def fill_(self, value: Tensor | complex) -> Tensor: r"""Sets every element."""
    def fill_diagonal_(self, fill_value: _float, wrap: _bool = False) -> Tensor: r"""Writes a number to the diagonal; with wrap, tall matrices start again below."""
    def fix(self) -> Tensor: r"""The same as trunc."""
    def fix_(self) -> Tensor: r"""The same as trunc."""
    def flatten(self, start_dim: _int = 0, end_dim: _int = -1) -> Tensor: r"""Merges the dimensions from start_dim to end_dim, as a view where strides allow it."""
    def flip(self, *dims: _int | Sequence[_int]) -> Tensor: r"""A copy with the order of entries reversed along dims."""
    def fliplr(self) -> Tensor: r"""A copy with the columns reversed."""
    def flipud(self) -> Tensor: r"""A copy with the rows reversed."""
    def float_power(self, exponent: Tensor | complex) -> Tensor: r"""input ** exponent in float64."""
    def float_power_(self, exponent: Tensor | complex) -> Tensor: r"""input **= exponent in float64."""
    def floor(self) -> Tensor: r"""y = floor(x)"""
    def floor_(self) -> Tensor: r"""In-place version of floor."""
    def floor_divide(self, other: Tensor | complex) -> Tensor: r"""y = floor_divide(a, b)"""
    def floor_divide_(self, other: Tensor | complex) -> Tensor: r"""In-place version of floor_divide."""
    def fmax(self, other: Tensor | complex) -> Tensor: r"""y = fmax(a, b)"""
    def fmax_(self, other: Tensor | complex) -> Tensor: r"""In-place version of fmax."""
    def fmin(self, other: Tensor | complex) -> Tensor: r"""y = fmin(a, b)"""
    def fmin_(self, other: Tensor | complex) -> Tensor: r"""In-place version of fmin."""
    def fmod(self, other: Tensor | complex) -> Tensor: r"""y = fmod(a, b)"""
    def fmod_(self, other: Tensor | complex) -> Tensor: r"""In-place version of fmod."""
    def frac(self) -> Tensor: r"""y = x - trunc(x)"""
    def frac_(self) -> Tensor: r"""In-place version of frac."""
    def frexp(self) -> tuple[Tensor, Tensor]: r"""Mantissa in (-1, -0.5] or [0.5, 1) and exponent: input = mantissa * 2 ** exponent."""
    def gather(self, dim: _int, index: Tensor, *, sparse_grad: _bool = False) -> Tensor: r"""out[i][j] = input[index[i][j]][j] for dim 0, and so on: one element for each index."""
    def gcd(self, other: Tensor | complex) -> Tensor: r"""y = gcd(a, b)"""
    def gcd_(self, other: Tensor | complex) -> Tensor: r"""In-place version of gcd."""
    def ge(self, other: Tensor | complex) -> Tensor: r"""y = a >= b"""
    def ge_(self, other: Tensor | complex) -> Tensor: r"""In-place version of ge."""
    def geometric_(self, p: _float, *, generator: Generator | None = None) -> Tensor: r"""Geometric, from 1."""
    def ger(self, vec2: Tensor) -> Tensor: r"""All products of two vectors' elements."""
    def greater(self, other: Tensor | complex) -> Tensor: r"""The same as gt."""
    def greater_(self, other: Tensor | complex) -> Tensor: r"""The same as gt."""
    def greater_equal(self, other: Tensor | complex) -> Tensor: r"""The same as ge."""
    def greater_equal_(self, other: Tensor | complex) -> Tensor: r"""The same as ge."""
    def gt(self, other: Tensor | complex) -> Tensor: r"""y = a > b"""
    def gt_(self, other: Tensor | complex) -> Tensor: r"""In-place version of gt."""
    def hardshrink(self, lambd: _float = 0.5) -> Tensor: r"""y = where((x >= -lambd) & (x <= lambd), T(0), x)"""
    def hardshrink_(self, lambd: _float = 0.5) -> Tensor: r"""In-place version of hardshrink."""
    @overload
    def heaviside(self, other: Tensor | complex) -> Tensor: r"""y = where(a == 0, b, where(a > 0, T(1), T(0)))"""
    @overload
    def heaviside(self, values: Tensor) -> Tensor: ...
    @overload
    def heaviside_(self, other: Tensor | complex) -> Tensor: r"""In-place version of heaviside."""
    @overload
    def heaviside_(self, values: Tensor) -> Tensor: ...
    def histc(self, bins: _int = 100, min: _float = 0, max: _float = 0) -> Tensor: r"""Counts in bins of equal width between min and max (of the data, if both are equal)."""
    @overload
    def histogram(self, bins: _int = 100, *, range: _float | Sequence[_float] | None = None, weight: Tensor | None = None, density: _bool = False) -> tuple[Tensor, Tensor]: r"""Counts, weights or densities in so many bins of equal width, and the edges of the bins."""
    @overload
    def histogram(self, bins: Tensor, *, weight: Tensor | None = None, density: _bool = False) -> tuple[Tensor, Tensor]: ...
    @overload
    def hsplit(self, sections: _int) -> tuple[Tensor, ...]: r"""tensor_split() along dimension 1; vectors along 0."""
    @overload
    def hsplit(self, indices: _int | Sequence[_int]) -> tuple[Tensor, ...]: ...
    def hypot(self, other: Tensor | complex) -> Tensor: r"""y = hypot(a, b)"""
    def hypot_(self, other: Tensor | complex) -> Tensor: r"""In-place version of hypot."""
    def i0(self) -> Tensor: r"""y = i0(x)"""
    def i0_(self) -> Tensor: r"""In-place version of i0."""
    def igamma(self, other: Tensor | complex) -> Tensor: r"""y = igamma(a, b)"""
    def igamma_(self, other: Tensor | complex) -> Tensor: r"""In-place version of igamma."""
    def igammac(self, other: Tensor | complex) -> Tensor: r"""y = igammac(a, b)"""
    def igammac_(self, other: Tensor | complex) -> Tensor: r"""In-place version of igammac."""
    def index_add(self, dim: _int, index: Tensor, source: Tensor, *, alpha: _float = 1) -> Tensor: r"""A copy of input to which alpha times the entries of source are added where index says."""
    def index_add_(self, dim: _int, index: Tensor, source: Tensor, *, alpha: _float = 1) -> Tensor: r"""index_add() in place."""
    def index_copy(self, dim: _int, index: Tensor, source: Tensor) -> Tensor: r"""A copy of input in which the entries that index names are those of source."""
    def index_copy_(self, dim: _int, index: Tensor, source: Tensor) -> Tensor: r"""index_copy() in place."""
    def index_fill(self, dim: _int, index: Tensor, value: Tensor | complex) -> Tensor: r"""A copy of input in which the entries that index names are all `value`."""
    def index_fill_(self, dim: _int, index: Tensor, value: Tensor | complex) -> Tensor: r"""index_fill() in place."""
    def index_put(self, indices: Sequence[Tensor | None], values: Tensor, accumulate: _bool = False) -> Tensor: r"""A copy of input with input[indices] = values, or += with accumulate, repeated indices added up."""
    def index_put_(self, indices: Sequence[Tensor | None], values: Tensor, accumulate: _bool = False) -> Tensor: r"""index_put() in place."""
    def index_reduce(self, dim: _int, index: Tensor, source: Tensor, reduce: _str, *, include_self: _bool = True) -> Tensor: r"""A copy of input in which entries of source are reduced ('prod', 'mean', 'amax', 'amin') into those that index names."""
    def index_reduce_(self, dim: _int, index: Tensor, source: Tensor, reduce: _str, *, include_self: _bool = True) -> Tensor: r"""index_reduce() in place."""
    def index_select(self, dim: _int, index: Tensor) -> Tensor: r"""The entries of a dimension that a vector of indices names, in that order. Raises IndexError out of range."""
    def inner(self, other: Tensor) -> Tensor: r"""Inner products along the last dimensions."""
    def is_same_size(self, other: Tensor) -> _bool: r"""Whether the shapes are equal."""
    def isfinite(self) -> Tensor: r"""y = isfinite(x)"""
    def isfinite_(self) -> Tensor: r"""In-place version of isfinite."""
    def isinf(self) -> Tensor: r"""y = isinf(x)"""
    def isinf_(self) -> Tensor: r"""In-place version of isinf."""
    def isnan(self) -> Tensor: r"""y = x != x"""
    def isnan_(self) -> Tensor: r"""In-place version of isnan."""
    def isneginf(self) -> Tensor: r"""y = isneginf(x)"""
    def isneginf_(self) -> Tensor: r"""In-place version of isneginf."""
    def isposinf(self) -> Tensor: r"""y = isposinf(x)"""
    def isposinf_(self) -> Tensor: r"""In-place version of isposinf."""
    def isreal(self) -> Tensor: r"""True everywhere: all dtypes here are real."""
    def kron(self, other: Tensor) -> Tensor: r"""Kronecker product of tensors of any dimensions."""
    def kthvalue(self, k: _int, dim: _int = -1, keepdim: _bool = False) -> tuple[Tensor, Tensor]: r"""The k-th smallest element along a dimension, counted from 1, and where it was."""
    def lcm(self, other: Tensor | complex) -> Tensor: r"""y = lcm(a, b)"""
    def lcm_(self, other: Tensor | complex) -> Tensor: r"""In-place version of lcm."""
    def ldexp(self, other: Tensor | complex) -> Tensor: r"""input * 2 ** other"""
    def ldexp_(self, other: Tensor | complex) -> Tensor: r"""input * 2 ** other"""
    def le(self, other: Tensor | complex) -> Tensor: r"""y = a <= b"""
    def le_(self, other: Tensor | complex) -> Tensor: r"""In-place version of le."""
    def lerp(self, end: Tensor | complex, weight: Tensor | complex) -> Tensor: r"""input + weight * (end - input)"""
    def lerp_(self, end: Tensor | complex, weight: Tensor | complex) -> Tensor: r"""In-place version of lerp."""
    def less(self, other: Tensor | complex) -> Tensor: r"""The same as lt."""
    def less_(self, other: Tensor | complex) -> Tensor: r"""The same as lt."""
    def less_equal(self, other: Tensor | complex) -> Tensor: r"""The same as le."""
    def less_equal_(self, other: Tensor | complex) -> Tensor: r"""The same as le."""
    def lgamma(self) -> Tensor: r"""y = lgamma(x)"""
    def lgamma_(self) -> Tensor: r"""In-place version of lgamma."""
    def log(self) -> Tensor: r"""y = log(x)"""
    def log10(self) -> Tensor: r"""y = log10(x)"""
    def log10_(self) -> Tensor: r"""In-place version of log10."""
    def log1p(self) -> Tensor: r"""y = log1p(x)"""
    def log1p_(self) -> Tensor: r"""In-place version of log1p."""
    def log2(self) -> Tensor: r"""y = log2(x)"""
    def log2_(self) -> Tensor: r"""In-place version of log2."""
    def log_(self) -> Tensor: r"""In-place version of log."""
    def log_normal_(self, mean: _float = 1.0, std: _float = 2.0, *, generator: Generator | None = None) -> Tensor: r"""Log-normal."""
    def log_softmax(self, dim: _int, dtype: _dtype | None = None) -> Tensor: r"""log(softmax(x)) along a dimension."""
    def logaddexp(self, other: Tensor | complex) -> Tensor: r"""y = logaddexp(a, b)"""
    def logaddexp2(self, other: Tensor | complex) -> Tensor: r"""y = logaddexp2(a, b)"""
    def logaddexp2_(self, other: Tensor | complex) -> Tensor: r"""In-place version of logaddexp2."""
    def logaddexp_(self, other: Tensor | complex) -> Tensor: r"""In-place version of logaddexp."""
    def logcumsumexp(self, dim: _int) -> Tensor: r"""log of the sums of exp so far."""
    def logical_and(self, other: Tensor | complex) -> Tensor: r"""y = (a != 0) & (b != 0)"""
    def logical_and_(self, other: Tensor | complex) -> Tensor: r"""In-place version of logical_and."""
    def logical_not(self) -> Tensor: r"""y = x == 0"""
    def logical_not_(self) -> Tensor: r"""In-place version of logical_not."""
    def logical_or(self, other: Tensor | complex) -> Tensor: r"""y = (a != 0) | (b != 0)"""
    def logical_or_(self, other: Tensor | complex) -> Tensor: r"""In-place version of logical_or."""
    def logical_xor(self, other: Tensor | complex) -> Tensor: r"""y = (a != 0) != (b != 0)"""
    def logical_xor_(self, other: Tensor | complex) -> Tensor: r"""In-place version of logical_xor."""
    def logsumexp(self, dim: _int | Sequence[_int], keepdim: _bool = False) -> Tensor: r"""log of the sum of exp, without overflow."""
    def lt(self, other: Tensor | complex) -> Tensor: r"""y = a < b"""
    def lt_(self, other: Tensor | complex) -> Tensor: r"""In-place version of lt."""
    def masked_fill(self, mask: Tensor, value: Tensor | complex) -> Tensor: r"""A copy of input with `value`, a number or a 0-d tensor, where the mask is true; they are broadcast."""
    def masked_fill_(self, mask: Tensor, value: Tensor | complex) -> Tensor: r"""masked_fill() in place."""
    def masked_scatter(self, mask: Tensor, source: Tensor) -> Tensor: r"""A copy of input in which the elements where the mask is true come from source, in order."""
    def masked_scatter_(self, mask: Tensor, source: Tensor) -> Tensor: r"""masked_scatter() in place."""
    def masked_select(self, mask: Tensor) -> Tensor: r"""The elements where the mask is true, in one dimension; input and mask are broadcast."""
    def matmul(self, other: Tensor) -> Tensor: r"""Matrix product by NumPy's rules: vectors, matrices, batches."""
    @overload
    def max(self) -> Tensor: r"""Largest element."""
    @overload
    def max(self, other: Tensor) -> Tensor: ...
    @overload
    def max(self, dim: _int, keepdim: _bool = False) -> tuple[Tensor, Tensor]: ...
    def maximum(self, other: Tensor | complex) -> Tensor: r"""y = maximum(a, b)"""
    def maximum_(self, other: Tensor | complex) -> Tensor: r"""In-place version of maximum."""
    def mean(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None) -> Tensor: r"""Mean over some or all dimensions."""
    @overload
    def median(self) -> Tensor: r"""The lower median of all elements; NaN is larger than everything."""
    @overload
    def median(self, dim: _int, keepdim: _bool = False) -> tuple[Tensor, Tensor]: ...
    @overload
    def min(self) -> Tensor: r"""Smallest element."""
    @overload
    def min(self, other: Tensor) -> Tensor: ...
    @overload
    def min(self, dim: _int, keepdim: _bool = False) -> tuple[Tensor, Tensor]: ...
    def minimum(self, other: Tensor | complex) -> Tensor: r"""y = minimum(a, b)"""
    def minimum_(self, other: Tensor | complex) -> Tensor: r"""In-place version of minimum."""
    def mm(self, mat2: Tensor) -> Tensor: r"""Product of two matrices."""
    def mode(self, dim: _int = -1, keepdim: _bool = False) -> tuple[Tensor, Tensor]: r"""The most frequent elements along a dimension (the smallest of several) and where they are."""
    def moveaxis(self, source: _int | Sequence[_int], destination: _int | Sequence[_int]) -> Tensor: r"""Another name of movedim()."""
    def movedim(self, source: _int | Sequence[_int], destination: _int | Sequence[_int]) -> Tensor: r"""A view with dimensions moved to other places; the rest keep their order."""
    def msort(self) -> Tensor: r"""The elements sorted along the first dimension."""
    def mul(self, other: Tensor | complex) -> Tensor: r"""y = a * b"""
    def mul_(self, other: Tensor | complex) -> Tensor: r"""In-place version of mul."""
    def multinomial(self, num_samples: _int, replacement: _bool = False, *, generator: Generator | None = None) -> Tensor: r"""Indices drawn with the weights of each row."""
    def multiply(self, other: Tensor | complex) -> Tensor: r"""The same as mul."""
    def multiply_(self, other: Tensor | complex) -> Tensor: r"""The same as mul."""
    def mv(self, vec: Tensor) -> Tensor: r"""Matrix times vector."""
    def nan_to_num(self, nan: _float | None = None, posinf: _float | None = None, neginf: _float | None = None) -> Tensor: r"""Replaces NaN and infinities (by 0 and the largest finite numbers)."""
    def nan_to_num_(self, nan: _float | None = None, posinf: _float | None = None, neginf: _float | None = None) -> Tensor: r"""Replaces NaN and infinities (by 0 and the largest finite numbers)."""
    def nanmean(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None) -> Tensor: r"""Mean of what is not NaN."""
    @overload
    def nanmedian(self) -> Tensor: r"""The lower median of the elements that are not NaN."""
    @overload
    def nanmedian(self, dim: _int, keepdim: _bool = False) -> tuple[Tensor, Tensor]: ...
    def nansum(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None) -> Tensor: r"""Sum in which NaN counts as 0."""
    @overload
    def narrow(self, dim: _int, start: Tensor, length: _int) -> Tensor: r"""A view of `length` entries of a dimension, from `start`. Raises RuntimeError beyond the end."""
    @overload
    def narrow(self, dim: _int, start: _int, length: _int) -> Tensor: ...
    def narrow_copy(self, dim: _int, start: _int, length: _int) -> Tensor: r"""A copy of narrow()."""
    def ne(self, other: Tensor | complex) -> Tensor: r"""y = a != b"""
    def ne_(self, other: Tensor | complex) -> Tensor: r"""In-place version of ne."""
    def neg(self) -> Tensor: r"""y = -x"""
    def neg_(self) -> Tensor: r"""In-place version of neg."""
    def negative(self) -> Tensor: r"""The same as neg."""
    def negative_(self) -> Tensor: r"""The same as neg."""
    def nextafter(self, other: Tensor | complex) -> Tensor: r"""y = nextafter(a, b)"""
    def nextafter_(self, other: Tensor | complex) -> Tensor: r"""In-place version of nextafter."""
    def nonzero(self, *, as_tuple: _bool = False) -> Tensor: r"""The coordinates of nonzero elements: one a row, or with as_tuple one tensor a dimension."""
    def nonzero_static(self, *, size: _int, fill_value: _int = -1) -> Tensor: r"""nonzero() cut to, or padded with fill_value to, `size` rows."""
    def normal_(self, mean: _float = 0.0, std: _float = 1.0, *, generator: Generator | None = None) -> Tensor: r"""Normal."""
    def not_equal(self, other: Tensor | complex) -> Tensor: r"""The same as ne."""
    def not_equal_(self, other: Tensor | complex) -> Tensor: r"""The same as ne."""
    def outer(self, vec2: Tensor) -> Tensor: r"""All products of two vectors' elements."""
    def permute(self, *dims: _int | Sequence[_int]) -> Tensor: r"""A view with the dimensions in the given order."""
    def poisson(self, generator: Generator | None = None) -> Tensor: r"""Poisson with the rates given."""
    def positive(self) -> Tensor: r"""The input itself."""
    @overload
    def pow(self, other: Tensor | complex) -> Tensor: r"""y = pow(a, b)"""
    @overload
    def pow(self, exponent: Tensor | complex) -> Tensor: ...
    @overload
    def pow_(self, other: Tensor | complex) -> Tensor: r"""In-place version of pow."""
    @overload
    def pow_(self, exponent: Tensor | complex) -> Tensor: ...
    @overload
    def prod(self, *, dtype: _dtype | None = None) -> Tensor: r"""Product of all elements."""
    @overload
    def prod(self, dim: _int, keepdim: _bool = False, *, dtype: _dtype | None = None) -> Tensor: ...
    def put(self, index: Tensor, source: Tensor, accumulate: _bool = False) -> Tensor: r"""A copy of input with source at positions of the flattened tensor, or added there."""
    def put_(self, index: Tensor, source: Tensor, accumulate: _bool = False) -> Tensor: r"""A copy of input with source at positions of the flattened tensor, or added there."""
    def rad2deg(self) -> Tensor: r"""y = x * T(57.29577951308232)"""
    def rad2deg_(self) -> Tensor: r"""In-place version of rad2deg."""
    def random_(self, *args: Any, **kwargs: Any) -> Tensor: r"""Whole numbers in [from, to)."""
    def ravel(self) -> Tensor: r"""All elements in one dimension, a view of a contiguous tensor."""
    def reciprocal(self) -> Tensor: r"""y = 1 / x"""
    def reciprocal_(self) -> Tensor: r"""In-place version of reciprocal."""
    def relu(self) -> Tensor: r"""y = where(x > 0, x, where(x != x, x, T(0)))"""
    def relu_(self) -> Tensor: r"""In-place version of relu."""
    def remainder(self, other: Tensor | complex) -> Tensor: r"""y = remainder(a, b)"""
    def remainder_(self, other: Tensor | complex) -> Tensor: r"""In-place version of remainder."""
    def repeat(self, *repeats: _int | Sequence[_int]) -> Tensor: r"""A copy of the tensor, so many times along each dimension; extra repeats add dimensions in front."""
    @overload
    def repeat_interleave(self, repeats: _int, dim: _int | None = None, *, output_size: _int | None = None) -> Tensor: r"""Repeats each entry along a dimension (of the flattened tensor, if none is given)."""
    @overload
    def repeat_interleave(self, repeats: Tensor, dim: _int | None = None, *, output_size: _int | None = None) -> Tensor: ...
    @overload
    def repeat_interleave(self, *, output_size: _int | None = None) -> Tensor: ...
    def reshape(self, *shape: _int | Sequence[_int]) -> Tensor: r"""The same elements in another shape, as a view where strides allow it, else as a copy; one size may be -1."""
    def reshape_as(self, other: Tensor) -> Tensor: r"""reshape() to the shape of other."""
    def roll(self, shifts: _int | Sequence[_int], dims: _int | Sequence[_int] | None = None) -> Tensor: r"""A copy shifted along dims, entries re-entering at the other end; without dims, the flattened tensor is shifted."""
    def rot90(self, k: _int = 1, dims: _int | Sequence[_int] = (0, 1)) -> Tensor: r"""Rotates by k quarter turns in the plane of two dims."""
    @overload
    def round(self) -> Tensor: r"""y = round(x)"""
    @overload
    def round(self, *, decimals: _int) -> Tensor: ...
    @overload
    def round_(self) -> Tensor: r"""In-place version of round."""
    @overload
    def round_(self, *, decimals: _int) -> Tensor: ...
    def rsqrt(self) -> Tensor: r"""y = 1 / sqrt(x)"""
    def rsqrt_(self) -> Tensor: r"""In-place version of rsqrt."""
    def rsub(self, other: Tensor | complex, *, alpha: _float = 1) -> Tensor: r"""y = other - alpha * input"""
    @overload
    def scatter(self, dim: _int, index: Tensor, src: Tensor | complex, *, reduce: _str | None = None) -> Tensor: r"""A copy of input with input[index[i][j]][j] = src[i][j] for dim 0, and so on; src may be a number. `reduce` may be 'add' or 'multiply'."""
    @overload
    def scatter(self, dim: _int, index: Tensor, value: Tensor | complex, *, reduce: _str | None = None) -> Tensor: ...
    @overload
    def scatter_(self, dim: _int, index: Tensor, src: Tensor | complex, *, reduce: _str | None = None) -> Tensor: r"""scatter() in place."""
    @overload
    def scatter_(self, dim: _int, index: Tensor, value: Tensor | complex, *, reduce: _str | None = None) -> Tensor: ...
    def scatter_add(self, dim: _int, index: Tensor, src: Tensor) -> Tensor: r"""A copy of input to which src is added where index says; repeated indices add up, in order."""
    def scatter_add_(self, dim: _int, index: Tensor, src: Tensor) -> Tensor: r"""scatter_add() in place."""
    def scatter_reduce(self, dim: _int, index: Tensor, src: Tensor, reduce: _str, *, include_self: _bool = True) -> Tensor: r"""A copy of input in which src is reduced ('sum', 'prod', 'mean', 'amax', 'amin') into the elements that index names."""
    def scatter_reduce_(self, dim: _int, index: Tensor, src: Tensor, reduce: _str, *, include_self: _bool = True) -> Tensor: r"""scatter_reduce() in place."""
    def select(self, dim: _int, index: _int) -> Tensor: r"""A view at one index of a dimension, which is dropped. Raises IndexError out of range."""
    def select_scatter(self, src: Tensor, dim: _int, index: _int) -> Tensor: r"""A copy of input in which src stands at one index of a dimension."""
    def selu(self) -> Tensor: r"""y = where(x > 0, T(1.0507009873554805) * x, T(1.7580993408473766) * expm1(x))"""
    def selu_(self) -> Tensor: r"""In-place version of selu."""
    def sgn(self) -> Tensor: r"""The same as sign."""
    def sgn_(self) -> Tensor: r"""The same as sign."""
    def sigmoid(self) -> Tensor: r"""y = 1 / (1 + exp(-x))"""
    def sigmoid_(self) -> Tensor: r"""In-place version of sigmoid."""
    def sign(self) -> Tensor: r"""y = sign(x)"""
    def sign_(self) -> Tensor: r"""In-place version of sign."""
    def signbit(self) -> Tensor: r"""y = signbit(x)"""
    def signbit_(self) -> Tensor: r"""In-place version of signbit."""
    def sin(self) -> Tensor: r"""y = sin(x)"""
    def sin_(self) -> Tensor: r"""In-place version of sin."""
    def sinc(self) -> Tensor: r"""y = where(x == 0, T(1), sin(x * T(3.141592653589793)) / (x * T(3.141592653589793)))"""
    def sinc_(self) -> Tensor: r"""In-place version of sinc."""
    def sinh(self) -> Tensor: r"""y = sinh(x)"""
    def sinh_(self) -> Tensor: r"""In-place version of sinh."""
    def slice_scatter(self, src: Tensor, dim: _int = 0, start: _int | None = None, end: _int | None = None, step: _int = 1) -> Tensor: r"""A copy of input in which src stands in a slice of a dimension."""
    def softmax(self, dim: _int, dtype: _dtype | None = None) -> Tensor: r"""exp(x) / sum(exp(x)) along a dimension."""
    def sort(self, dim: _int = -1, descending: _bool = False, stable: _bool = False) -> tuple[Tensor, Tensor]: r"""Elements in order along a dimension, and where they were; equal ones keep their order, NaN is largest."""
    @overload
    def split(self, split_size_or_sections: _int, dim: _int = 0) -> tuple[Tensor, ...]: r"""Views of consecutive parts: of one size (the last may be smaller), or of the sizes listed."""
    @overload
    def split(self, split_size_or_sections: _int | Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]: ...
    @overload
    def split(self, split_size: _int, dim: _int = 0) -> tuple[Tensor, ...]: ...
    @overload
    def split(self, split_size: _int | Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]: ...
    def split_with_sizes(self, split_sizes: _int | Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]: r"""Views of consecutive parts of the sizes listed."""
    def sqrt(self) -> Tensor: r"""y = sqrt(x)"""
    def sqrt_(self) -> Tensor: r"""In-place version of sqrt."""
    def square(self) -> Tensor: r"""y = x * x"""
    def square_(self) -> Tensor: r"""In-place version of square."""
    @overload
    def squeeze(self) -> Tensor: r"""A view without the dimensions of size 1."""
    @overload
    def squeeze(self, dim: _int | Sequence[_int]) -> Tensor: ...
    @overload
    def squeeze_(self) -> Tensor: r"""squeeze() that changes the tensor itself."""
    @overload
    def squeeze_(self, dim: _int | Sequence[_int]) -> Tensor: ...
    @overload
    def std(self, dim: _int | Sequence[_int] | None = None, *, correction: _float | None = None, keepdim: _bool = False) -> Tensor: r"""Standard deviation (of n - correction)."""
    @overload
    def std(self, unbiased: _bool) -> Tensor: ...
    @overload
    def std(self, dim: _int | Sequence[_int] | None, unbiased: _bool = True, keepdim: _bool = False) -> Tensor: ...
    @overload
    def std_mean(self, dim: _int | Sequence[_int] | None = None, *, correction: _float | None = None, keepdim: _bool = False) -> tuple[Tensor, Tensor]: r"""Standard deviation and mean."""
    @overload
    def std_mean(self, unbiased: _bool) -> tuple[Tensor, Tensor]: ...
    @overload
    def std_mean(self, dim: _int | Sequence[_int] | None, unbiased: _bool = True, keepdim: _bool = False) -> tuple[Tensor, Tensor]: ...
    @overload
    def sub(self, other: Tensor | complex) -> Tensor: r"""y = a - b"""
    @overload
    def sub(self, other: Tensor | complex, *, alpha: _float) -> Tensor: ...
    @overload
    def sub_(self, other: Tensor | complex) -> Tensor: r"""In-place version of sub."""
    @overload
    def sub_(self, other: Tensor | complex, *, alpha: _float) -> Tensor: ...
    @overload
    def subtract(self, other: Tensor | complex) -> Tensor: r"""The same as sub."""
    @overload
    def subtract(self, other: Tensor | complex, *, alpha: _float) -> Tensor: ...
    @overload
    def subtract_(self, other: Tensor | complex, *, alpha: _float) -> Tensor: r"""The same as sub_."""
    @overload
    def subtract_(self, other: Tensor | complex) -> Tensor: ...
    def sum(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None) -> Tensor: r"""Sum over some or all dimensions. Integers are summed in int64."""
    def sum_to_size(self, *size: _int | Sequence[_int]) -> Tensor: r"""Sums dimensions so that the result has a shape that broadcasts to input's."""
    def swapaxes(self, axis0: _int, axis1: _int) -> Tensor: r"""Another name of transpose()."""
    def swapaxes_(self, axis0: _int, axis1: _int) -> Tensor: r"""Another name of transpose_()."""
    def swapdims(self, dim0: _int, dim1: _int) -> Tensor: r"""Another name of transpose()."""
    def swapdims_(self, dim0: _int, dim1: _int) -> Tensor: r"""Another name of transpose_()."""
    def t(self) -> Tensor: r"""The transpose of a matrix, a view; vectors and 0-d tensors stay as they are."""
    def t_(self) -> Tensor: r"""t() that changes the tensor itself."""
    def take(self, index: Tensor) -> Tensor: r"""The elements at positions of the flattened input, in the shape of index."""
    def take_along_dim(self, indices: Tensor, dim: _int | None = None) -> Tensor: r"""gather() with input and indices broadcast; without dim, from the flattened input."""
    def tan(self) -> Tensor: r"""y = tan(x)"""
    def tan_(self) -> Tensor: r"""In-place version of tan."""
    def tanh(self) -> Tensor: r"""y = tanh(x)"""
    def tanh_(self) -> Tensor: r"""In-place version of tanh."""
    @overload
    def tensor_split(self, sections: _int, dim: _int = 0) -> tuple[Tensor, ...]: r"""Views of consecutive parts: so many nearly equal ones, or cut before the indices listed."""
    @overload
    def tensor_split(self, indices: _int | Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]: ...
    @overload
    def tensor_split(self, tensor_indices_or_sections: Tensor, dim: _int = 0) -> tuple[Tensor, ...]: ...
    def tile(self, *dims: _int | Sequence[_int]) -> Tensor: r"""repeat(), with missing leading repeats taken as 1."""
    @overload
    def to(self, dtype: _dtype, non_blocking: _bool = False, copy: _bool = False, *, memory_format: _str | None = None) -> Tensor: r"""This tensor with another dtype or on another device: the tensor itself if nothing changes and copy is not set."""
    @overload
    def to(self, device: _device | _str | None = None, dtype: _dtype | None = None, non_blocking: _bool = False, copy: _bool = False, *, memory_format: _str | None = None) -> Tensor: ...
    @overload
    def to(self, other: Tensor, non_blocking: _bool = False, copy: _bool = False, *, memory_format: _str | None = None) -> Tensor: ...
    def topk(self, k: _int, dim: _int = -1, largest: _bool = True, sorted: _bool = True) -> tuple[Tensor, Tensor]: r"""The k largest (or smallest) elements along a dimension, in order, and where they were."""
    def trace(self) -> Tensor: r"""Sum of a matrix's diagonal."""
    def transpose(self, dim0: _int, dim1: _int) -> Tensor: r"""A view with two dimensions swapped."""
    def transpose_(self, dim0: _int, dim1: _int) -> Tensor: r"""transpose() that changes the tensor itself."""
    def tril(self, diagonal: _int = 0) -> Tensor: r"""The lower triangle of matrices, up to a diagonal; zero elsewhere."""
    def tril_(self, diagonal: _int = 0) -> Tensor: r"""In-place version of tril."""
    def triu(self, diagonal: _int = 0) -> Tensor: r"""The upper triangle of matrices, from a diagonal on; zero elsewhere."""
    def triu_(self, diagonal: _int = 0) -> Tensor: r"""In-place version of triu."""
    def true_divide(self, other: Tensor | complex) -> Tensor: r"""The same as div."""
    def true_divide_(self, other: Tensor | complex) -> Tensor: r"""The same as div."""
    def trunc(self) -> Tensor: r"""y = trunc(x)"""
    def trunc_(self) -> Tensor: r"""In-place version of trunc."""
    def type_as(self, other: Tensor) -> Tensor: r"""This tensor cast to the other's dtype."""
    def unbind(self, dim: _int = 0) -> tuple[Tensor, ...]: r"""Views at every index of a dimension."""
    def unflatten(self, dim: _int, sizes: _int | Sequence[_int]) -> Tensor: r"""Splits a dimension into several; one of the sizes may be -1."""
    def unfold(self, dimension: _int, size: _int, step: _int) -> Tensor: r"""A view of all windows of `size` entries, `step` apart, along a dimension; the window is the last dimension."""
    def uniform_(self, *args: Any, **kwargs: Any) -> Tensor: r"""Uniform in [from, to)."""
    def unique(self, sorted: _bool = True, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None) -> Tensor: r"""The distinct elements in order, or the distinct slices of a dimension; on request where each went, and how many there were."""
    def unique_consecutive(self, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None) -> Tensor: r"""The first of each run of equal elements, or of equal slices of a dimension."""
    def unsafe_chunk(self, chunks: _int, dim: _int = 0) -> Tensor: r"""Another name of chunk()."""
    def unsafe_split(self, split_size: _int, dim: _int = 0) -> Tensor: r"""Another name of split() by size."""
    def unsafe_split_with_sizes(self, split_sizes: _int | Sequence[_int], dim: _int = 0) -> Tensor: r"""Another name of split_with_sizes()."""
    def unsqueeze(self, dim: _int) -> Tensor: r"""A view with a dimension of size 1 inserted."""
    def unsqueeze_(self, dim: _int) -> Tensor: r"""unsqueeze() that changes the tensor itself."""
    @overload
    def var(self, dim: _int | Sequence[_int] | None = None, *, correction: _float | None = None, keepdim: _bool = False) -> Tensor: r"""Variance (divided by n - correction)."""
    @overload
    def var(self, unbiased: _bool) -> Tensor: ...
    @overload
    def var(self, dim: _int | Sequence[_int] | None, unbiased: _bool = True, keepdim: _bool = False) -> Tensor: ...
    @overload
    def var_mean(self, dim: _int | Sequence[_int] | None = None, *, correction: _float | None = None, keepdim: _bool = False) -> tuple[Tensor, Tensor]: r"""Variance and mean."""
    @overload
    def var_mean(self, unbiased: _bool) -> tuple[Tensor, Tensor]: ...
    @overload
    def var_mean(self, dim: _int | Sequence[_int] | None, unbiased: _bool = True, keepdim: _bool = False) -> tuple[Tensor, Tensor]: ...
    def vdot(self, other: Tensor) -> Tensor: r"""Inner product of two vectors."""
    @overload
    def view(self, *size: _int | Sequence[_int]) -> Tensor: r"""The same memory in another shape; one size may be -1. Raises RuntimeError where only a copy could have that shape."""
    @overload
    def view(self, dtype: _dtype) -> Tensor: ...
    def view_as(self, other: Tensor) -> Tensor: r"""view() with the shape of other."""
    @overload
    def vsplit(self, sections: _int) -> tuple[Tensor, ...]: r"""tensor_split() along dimension 0."""
    @overload
    def vsplit(self, indices: _int | Sequence[_int]) -> tuple[Tensor, ...]: ...
    def xlogy(self, other: Tensor | complex) -> Tensor: r"""y = xlogy(a, b)"""
    def xlogy_(self, other: Tensor | complex) -> Tensor: r"""In-place version of xlogy."""
    def zero_(self) -> Tensor: r"""Sets every element to 0."""

DisableTorchFunction: Any
DisableTorchFunctionSubclass: Any
Op: Any
SizeBase: Any
_LinAlgError: Any
_TensorMeta: Any
def _disabled_torch_function_impl(*args: Any, **kwargs: Any) -> Any: ...
def _get_tracing_state(*args: Any, **kwargs: Any) -> Any: ...
def _log_api_usage_once(*args: Any, **kwargs: Any) -> Any: ...
def add_hook(*args: Any, **kwargs: Any) -> Any: ...
def after_step(*args: Any, **kwargs: Any) -> Any: ...
def as_class(*args: Any, **kwargs: Any) -> Any: ...
def asks_subclasses(*args: Any, **kwargs: Any) -> Any: ...
def autocast_on(*args: Any, **kwargs: Any) -> Any: ...
def clear_autocast_cache(*args: Any, **kwargs: Any) -> Any: ...
def cuda_begin_capture(*args: Any, **kwargs: Any) -> Any: ...
def cuda_capturing(*args: Any, **kwargs: Any) -> Any: ...
def cuda_count(*args: Any, **kwargs: Any) -> Any: ...
def cuda_current(*args: Any, **kwargs: Any) -> Any: ...
def cuda_device_count(*args: Any, **kwargs: Any) -> Any: ...
def cuda_drop_graph(*args: Any, **kwargs: Any) -> Any: ...
def cuda_empty_cache(*args: Any, **kwargs: Any) -> Any: ...
def cuda_end_capture(*args: Any, **kwargs: Any) -> Any: ...
def cuda_live_blocks(*args: Any, **kwargs: Any) -> Any: ...
def cuda_memory_stats(*args: Any, **kwargs: Any) -> Any: ...
def cuda_nvidia(*args: Any, **kwargs: Any) -> Any: ...
def cuda_record_stream(*args: Any, **kwargs: Any) -> Any: ...
def cuda_reset_peak(*args: Any, **kwargs: Any) -> Any: ...
def cuda_set_current(*args: Any, **kwargs: Any) -> Any: ...
def cuda_set_tf32(*args: Any, **kwargs: Any) -> Any: ...
def cuda_start(*args: Any, **kwargs: Any) -> Any: ...
def cuda_started(*args: Any, **kwargs: Any) -> Any: ...
def cuda_synchronize(*args: Any, **kwargs: Any) -> Any: ...
def cuda_table_kernels(*args: Any, **kwargs: Any) -> Any: ...
def cudnn_add_path(*args: Any, **kwargs: Any) -> Any: ...
def cudnn_attention_planner(*args: Any, **kwargs: Any) -> Any: ...
def cudnn_set(*args: Any, **kwargs: Any) -> Any: ...
def cudnn_set_attention(*args: Any, **kwargs: Any) -> Any: ...
def cudnn_version(*args: Any, **kwargs: Any) -> Any: ...
default_generator: Any
def empty_cache(*args: Any, **kwargs: Any) -> Any: ...
def expect_subclasses(*args: Any, **kwargs: Any) -> Any: ...
def freeze(*args: Any, **kwargs: Any) -> Any: ...
def from_array(*args: Any, **kwargs: Any) -> Any: ...
def from_device_memory(*args: Any, **kwargs: Any) -> Any: ...
def from_nested(*args: Any, **kwargs: Any) -> Any: ...
def get_default_dtype(*args: Any, **kwargs: Any) -> Any: ...
def get_num_threads(*args: Any, **kwargs: Any) -> Any: ...
def get_watch(*args: Any, **kwargs: Any) -> Any: ...
def graph_keepers(*args: Any, **kwargs: Any) -> Any: ...
def graph_task_id(*args: Any, **kwargs: Any) -> Any: ...
def handed_over(*args: Any, **kwargs: Any) -> Any: ...
def install_site_hooks(*args: Any, **kwargs: Any) -> Any: ...
def is_broadcast_strict(*args: Any, **kwargs: Any) -> Any: ...
def is_grad_enabled(*args: Any, **kwargs: Any) -> Any: ...
def is_inference_mode_enabled(*args: Any, **kwargs: Any) -> Any: ...
def isa_level(*args: Any, **kwargs: Any) -> Any: ...
def mark_inplace(*args: Any, **kwargs: Any) -> Any: ...
def mark_written(*args: Any, **kwargs: Any) -> Any: ...
def memory_stats(*args: Any, **kwargs: Any) -> Any: ...
def module_slots(*args: Any, **kwargs: Any) -> Any: ...
def named(*args: Any, **kwargs: Any) -> Any: ...
def nan_check(*args: Any, **kwargs: Any) -> Any: ...
def node_at(*args: Any, **kwargs: Any) -> Any: ...
op_table: Any
op_waits: Any
ops: Any
def optimizer_step(*args: Any, **kwargs: Any) -> Any: ...
def output_nr(*args: Any, **kwargs: Any) -> Any: ...
def place_of(*args: Any, **kwargs: Any) -> Any: ...
def pop_saved_hooks(*args: Any, **kwargs: Any) -> Any: ...
def profile_close(*args: Any, **kwargs: Any) -> Any: ...
def profile_on(*args: Any, **kwargs: Any) -> Any: ...
def profile_open(*args: Any, **kwargs: Any) -> Any: ...
def profile_start(*args: Any, **kwargs: Any) -> Any: ...
def profile_stop(*args: Any, **kwargs: Any) -> Any: ...
def push_saved_hooks(*args: Any, **kwargs: Any) -> Any: ...
def queue_callback(*args: Any, **kwargs: Any) -> Any: ...
def record_function(*args: Any, **kwargs: Any) -> Any: ...
def register_types(*args: Any, **kwargs: Any) -> Any: ...
def reset_peak_memory(*args: Any, **kwargs: Any) -> Any: ...
def retain_grad(*args: Any, **kwargs: Any) -> Any: ...
def run_backward(*args: Any, **kwargs: Any) -> Any: ...
def run_grad(*args: Any, **kwargs: Any) -> Any: ...
def saved_hooks(*args: Any, **kwargs: Any) -> Any: ...
def set_active_device(*args: Any, **kwargs: Any) -> Any: ...
def set_asking_subclasses(*args: Any, **kwargs: Any) -> Any: ...
def set_autocast(*args: Any, **kwargs: Any) -> Any: ...
def set_blas_path(*args: Any, **kwargs: Any) -> Any: ...
def set_default_dtype(*args: Any, **kwargs: Any) -> Any: ...
def set_grad_enabled(*args: Any, **kwargs: Any) -> Any: ...
def set_inference_mode(*args: Any, **kwargs: Any) -> Any: ...
def set_modes(*args: Any, **kwargs: Any) -> Any: ...
def set_nan_check(*args: Any, **kwargs: Any) -> Any: ...
def set_num_threads(*args: Any, **kwargs: Any) -> Any: ...
def set_strict_broadcast(*args: Any, **kwargs: Any) -> Any: ...
def set_watch(*args: Any, **kwargs: Any) -> Any: ...
def share_array(*args: Any, **kwargs: Any) -> Any: ...
def stand_in(*args: Any, **kwargs: Any) -> Any: ...
def takes_over(*args: Any, **kwargs: Any) -> Any: ...
def watch_growth(*args: Any, **kwargs: Any) -> Any: ...
def watch_values(*args: Any, **kwargs: Any) -> Any: ...
def watch_writes(*args: Any, **kwargs: Any) -> Any: ...
def will_visit(*args: Any, **kwargs: Any) -> Any: ...
def with_history(*args: Any, **kwargs: Any) -> Any: ...
