// View ops that copy (their names end in _copy), and the rarer ones that write to or sum over a view.
#include "ops/creation.h"
#include "ops/index.h"
#include "ops/registry.h"
#include "ops/views.h"

namespace eg {
namespace {

Tensor copied(const Tensor& v) { return v.is_contiguous() ? clone(v) : contiguous(v); }

TensorList copied(const TensorList& views) {
  TensorList out;
  for (const Tensor& v : views) out.push_back(copied(v));
  return out;
}

// The diagonal of a matrix, or of a tensor with equal sizes; with wrap, a tall matrix starts again one row below.
Tensor fill_diagonal_(const Tensor& x, const Scalar& fill_value, bool wrap) {
  EG_CHECK(x.dim() >= 2, "[fill_diagonal_] expected at least 2 dimensions, got shape ", x.sizes());
  for (int64_t s : x.sizes())
    EG_CHECK(x.dim() == 2 || s == x.sizes()[0],
             "[fill_diagonal_] expected all dimensions of equal length, got shape ", x.sizes());
  check_inplace(x, "fill_diagonal_");
  check_fits("fill_diagonal_", fill_value, x.dtype());
  int64_t step = 0, length = x.sizes()[0];
  for (int64_t d = 0; d < x.dim(); ++d) {
    step += x.strides()[d];
    length = std::min(length, x.sizes()[d]);
  }
  const Tensor value = scalar_tensor(fill_value, x.dtype());
  Tensor main = as_strided(x, {length}, {step}, x.offset());
  copy_(main, value);
  const int64_t rows = x.sizes()[0], columns = x.sizes()[1];
  for (int64_t top = columns + 1; wrap && x.dim() == 2 && top < rows; top += columns + 1) {
    Tensor next =
        as_strided(x, {std::min(columns, rows - top)}, {step}, x.offset() + top * x.strides()[0]);
    copy_(next, value);
  }
  return x;
}

Tensor sum_to_size(const Tensor& x, const Dims& size) {
  EG_CHECK(is_expandable_to(size, x.sizes()), "[sum_to_size] size ", size,
           " is not expandable to the shape ", x.sizes());
  if (size.empty()) return sum(x);
  if (x.sizes() == size) return x;
  return sum_to(x.is_floating() ? x : to(x, DType::Int64), size);  // as sum() does
}

Tensor nonzero_static(const Tensor& x, int64_t size, int64_t fill_value) {
  EG_CHECK(size >= 0, "[nonzero_static] expected a size of at least 0, got ", size);
  const Tensor found = nonzero(x);
  const int64_t n = std::min(size, found.sizes()[0]);
  Tensor out = full({size, x.dim()}, Scalar(fill_value), DType::Int64, x.device());
  Region top = Region::whole(out.sizes());
  top.axes[0].size = n;
  Region from = Region::whole(found.sizes());
  from.axes[0].size = n;
  copy_into(top.of(out), from.of(found));
  return out;
}

EG_OP(
    +[](const Tensor& x, int64_t dim, int64_t start, int64_t length) {
      return copied(narrow(x, dim, start, length));
    },
    "narrow_copy(input, dim, start, length)", "A copy of narrow().", kOut)
EG_OP(
    +[](const Tensor& x) { return copied(squeeze_all(x)); }, "squeeze_copy(input)",
    "A copy of squeeze().", kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, const Dims& dim) { return copied(squeeze(x, dim)); },
    "squeeze_copy(input, dim)", "", kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, int64_t dim) { return copied(unsqueeze(x, dim)); },
    "unsqueeze_copy(input, dim)", "A copy of unsqueeze().", kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, const Dims& size) { return copied(reshape(x, size)); },
    "view_copy(input, size)", "A copy of view().", kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, const Dims& size) { return copied(expand(x, size)); },
    "expand_copy(input, size)", "A copy of expand().", kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, const Dims& dims) { return copied(permute(x, dims)); },
    "permute_copy(input, dims)", "A copy of permute().", kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, int64_t a, int64_t b) { return copied(transpose(x, a, b)); },
    "transpose_copy(input, dim0, dim1)", "A copy of transpose().", kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x) {
      EG_CHECK(x.dim() <= 2, "t() expects a tensor with <= 2 dimensions, but self is ", x.dim(),
               "D");
      return copied(x.dim() < 2 ? x : transpose(x, 0, 1));
    },
    "t_copy(input)", "A copy of t().", kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, int64_t dim, int64_t index) { return copied(select(x, dim, index)); },
    "select_copy(input, dim, index)", "A copy of select().", kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, int64_t dim, std::optional<int64_t> start, std::optional<int64_t> end,
        int64_t step) {
      return copied(slice(x, dim, start.value_or(0), end.value_or(x.size(dim)), step));
    },
    "slice_copy(input, dim=0, start=None, end=None, step=1)", "A copy of a slice of a dimension.",
    kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2) {
      return copied(diagonal(x, offset, dim1, dim2));
    },
    "diagonal_copy(input, offset=0, dim1=0, dim2=1)", "A copy of diagonal().", kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, const Dims& size, const Dims& stride, std::optional<int64_t> offset) {
      return copied(as_strided(x, size, stride, offset.value_or(x.offset())));
    },
    "as_strided_copy(input, size, stride, storage_offset=None)", "A copy of as_strided().",
    kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x) { return clone(x); }, "alias_copy(input)", "A copy of the tensor.",
    kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x) { return clone(x.detach()); }, "detach_copy(input)",
    "A copy without history.", kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, int64_t dim) { return copied(unbind(x, dim)); },
    "unbind_copy(input, dim=0)", "Copies of what unbind() shows.", kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, const Dims& sizes, int64_t dim) {
      return copied(split_sizes(x, sizes, dim));
    },
    "split_with_sizes_copy(input, split_sizes, dim=0)", "Copies of what split_with_sizes() shows.",
    kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& x, const Dims& sizes, int64_t dim) { return split_sizes(x, sizes, dim); },
    "unsafe_split_with_sizes(input, split_sizes, dim=0)", "Another name of split_with_sizes().")
EG_OP(&sum_to_size, "sum_to_size(input, *size)",
      R"(Sums dimensions so that the result has a shape that broadcasts to input's.

>>> eg.ones(2, 3).sum_to_size(1, 3).tolist()
[[2.0, 2.0, 2.0]]
)",
      kMethodOnly)
EG_OP(&fill_diagonal_, "fill_diagonal_(input, fill_value, wrap=False)",
      R"(Writes a number to the diagonal; with wrap, tall matrices start again below.

>>> eg.zeros(2, 2).fill_diagonal_(1).tolist()
[[1.0, 0.0], [0.0, 1.0]]
)",
      kMethodOnly)
EG_WAITS("nonzero_static", "how many there are")
EG_OP(&nonzero_static, "nonzero_static(input, *, size, fill_value=-1)",
      "nonzero() cut to, or padded with fill_value to, `size` rows.")

}  // namespace
}  // namespace eg
