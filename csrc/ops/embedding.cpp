// Lookup of rows in a table.
#include "ops/index.h"

namespace eg {
namespace {

// 1 / how often each index occurs, in the shape of a column.
Tensor inverse_frequency(const Tensor& index, int64_t rows, DType dtype) {
  Tensor counts = zeros({rows}, DType::Int64);
  const int64_t* at = index.data<int64_t>();
  int64_t* count = counts.data<int64_t>();
  for (int64_t i = 0; i < index.numel(); ++i) ++count[at[i]];
  Tensor out = empty({index.numel(), 1}, DType::Float64);
  for (int64_t i = 0; i < index.numel(); ++i)
    out.data<double>()[i] = 1.0 / static_cast<double>(count[at[i]]);
  return cast_data(out, dtype);
}

struct Embedding {
  static constexpr const char* name = "Embedding";
  int64_t padding_idx;
  bool by_frequency;
  Dims table;

  Tensor forward(Context& ctx, const Tensor& weight, const Tensor& index) {
    table = weight.sizes();
    Dims sizes = index.sizes();
    sizes.push_back(table[1]);
    Tensor out = empty(sizes, weight.dtype(), weight.device());
    if (out.numel())
      kernels<IndexKernels>().take(weight.item_size(), out.raw(), weight.raw(),
                                   AlongDim(weight, 0, index).positions());
    ctx.save(index);
    return out;
  }

  Tensors backward(Context& ctx, const Tensor& grad) {
    const Tensor saved = ctx.saved(0);
    const Tensor index = make_view(saved, {saved.numel()}, {1}, saved.offset());
    Tensor g = reshape(grad, {index.numel(), table[1]});
    if (padding_idx >= 0) {
      const Tensor padding = unsqueeze(eq(index, full({}, Scalar(padding_idx), DType::Int64)), 1);
      g = masked_fill(g, padding, zeros({}, g.dtype()));
    }
    if (by_frequency) g = mul(g, inverse_frequency(index, table[0], g.dtype()));
    return {spread_rows(ctx, 0, g, 0, index, table), Tensor()};
  }
};

Tensor embedding(const Tensor& indices, const Tensor& weight, int64_t padding_idx,
                 bool scale_grad_by_freq, bool sparse) {
  EG_CHECK(weight.dim() == 2, "[embedding] expected a 2-d weight, got shape ", weight.sizes());
  EG_CHECK(indices.dtype() == DType::Int64 || indices.dtype() == DType::Int32,
           "[embedding] expected int32 or int64 indices, got ", indices.dtype());
  const Tensor index = contiguous_data(cast_data(indices, DType::Int64));
  const int64_t rows = weight.sizes()[0];
  int64_t low = 0, high = -1;
  if (index.numel()) index_range(index, &low, &high);
  EG_CHECK_INDEX(low >= 0 && high < rows, "[embedding] index out of range: index ",
                 low < 0 ? low : high, " in a table of ", rows, " rows (weight ", weight.sizes(),
                 ")");
  return eg::apply(Embedding{padding_idx, scale_grad_by_freq, {}}, weight, index);
}

EG_OP(&embedding,
      "embedding(indices, weight, padding_idx=-1, scale_grad_by_freq=False, sparse=False)",
      "Rows of weight, one for each index; row padding_idx gets no gradient.", kInternal)

}  // namespace
}  // namespace eg
