// Lookup of rows in a table.
#include "ops/index.h"
#include "ops/row_sparse.h"

namespace eg {
namespace {

// 1 / how often each index occurs, in the shape of a column.
Tensor inverse_frequency(const Tensor& index, int64_t rows, DType dtype) {
  Tensor counts = zeros({rows}, DType::Int64, index.device());
  const Tensor one = scalar_tensor(Scalar(1), DType::Int64);
  const Tensor flat = make_view(index, {index.numel()}, {1}, index.offset());
  kernels<IndexKernels>().fold(DType::Int64, Fold::Add, counts.raw(), one.raw(),
                               AlongDim(counts, 0, flat).positions(), true);
  const Tensor shares = reciprocal(cast_data(index_select(counts, 0, flat), DType::Float64));
  return cast_data(view(shares, {index.numel(), 1}), dtype);
}

Tensor table_rows(const char* op, const Tensor& indices, const Tensor& weight) {
  const int64_t rows = weight.sizes()[0];
  if (!indices.device().is_cpu()) return checked_index({op, ErrorKind::Index}, indices, rows, 0);
  const Tensor index = contiguous_data(cast_data(indices, DType::Int64));
  int64_t low = 0, high = -1;
  if (index.numel()) index_range(index, &low, &high);
  EG_CHECK_INDEX(low >= 0 && high < rows, "[", op, "] index out of range: index ",
                 low < 0 ? low : high, " in a table of ", rows, " rows (weight ", weight.sizes(),
                 ")");
  return index;
}

struct Embedding {
  static constexpr const char* name = "Embedding";
  int64_t padding_idx;
  bool by_frequency;
  bool sparse;
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
    if (sparse && wants_rows(ctx, 0)) return {sparse_gradient(g, index), Tensor()};
    if (padding_idx >= 0) {
      const Tensor padding = unsqueeze(eq(index, full({}, Scalar(padding_idx), DType::Int64)), 1);
      g = masked_fill(g, padding, zeros({}, g.dtype()));
    }
    if (by_frequency) g = mul(g, inverse_frequency(index, table[0], g.dtype()));
    return {spread_rows(ctx, 0, g, 0, index, table), Tensor()};
  }

  // Row padding_idx is not among the rows.
  Tensor sparse_gradient(Tensor g, Tensor index) const {
    if (by_frequency) g = mul(g, inverse_frequency(index, table[0], g.dtype()));
    if (padding_idx >= 0) {
      const Tensor padding = full({}, Scalar(padding_idx), DType::Int64);
      const Tensor kept = reshape(nonzero(ne(index, padding)), {-1});
      g = index_select(g, 0, kept);
      index = index_select(index, 0, kept);
    }
    return row_sparse_sum(index, g, table);
  }
};

Tensor embedding(const Tensor& indices, const Tensor& weight, int64_t padding_idx,
                 bool scale_grad_by_freq, bool sparse) {
  EG_CHECK(weight.dim() == 2, "[embedding] expected a 2-d weight, got shape ", weight.sizes());
  EG_CHECK(indices.dtype() == DType::Int64 || indices.dtype() == DType::Int32,
           "[embedding] expected int32 or int64 indices, got ", indices.dtype());
  const Tensor index = table_rows("embedding", indices, weight);
  return eg::apply(Embedding{padding_idx, scale_grad_by_freq, sparse, {}}, weight, index);
}

// --- bags ---------------------------------------------------------------------------------------------
// out[to[i]] += scale[i] * x[from[i]]. Its gradient is the same with from and to exchanged.
struct AddRows {
  static constexpr const char* name = "EmbeddingBag";
  int64_t rows;       // of the result
  bool by_frequency;  // divides x's gradient by how often a row occurs in `from`
  bool sparse;        // x's gradient may be row-sparse
  int64_t in_rows = 0;

  Tensor forward(Context& ctx, const Tensor& given, const Tensor& scale, const Tensor& from,
                 const Tensor& to) {
    const Tensor x = contiguous_data(given);
    in_rows = x.sizes()[0];
    const int64_t width = x.sizes()[1];
    Tensor out = empty({rows, width}, x.dtype(), x.device());
    const Tensor weights = scale.defined() ? contiguous_data(scale) : scale;
    kernels<IndexKernels>().add_rows(
        x.dtype(), out.raw(), x.raw(), from.data<int64_t>(), to.data<int64_t>(),
        weights.defined() ? weights.raw() : nullptr, from.numel(), width, rows, true);
    ctx.save(from);
    ctx.save(to);
    ctx.save(scale);
    ctx.save(ctx.needs(1) ? given : Tensor());
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor from = ctx.saved(0), to = ctx.saved(1), scale = ctx.saved(2);
    Tensors out(4);
    if (ctx.needs(0)) {
      Tensor weights = scale;
      if (by_frequency) {
        const Tensor share = reshape(inverse_frequency(from, in_rows, g.dtype()), {-1});
        weights = scale.defined() ? mul(scale, share) : share;
      }
      if (sparse && wants_rows(ctx, 0)) {
        const DistinctRows touched = distinct_rows(from, in_rows);
        const Tensor values =
            eg::apply(AddRows{touched.rows.numel(), false, false}, g, weights, to, touched.place);
        out[0] = row_sparse(touched.rows, values, {in_rows, g.sizes()[1]});
      } else {
        out[0] = eg::apply(AddRows{in_rows, false, false}, g, weights, to, from);
      }
    }
    if (ctx.needs(1))
      out[1] = sum(mul(index_select(ctx.saved(3), 0, from), index_select(g, 0, to)), {1});
    return out;
  }
};

Tensor largest_rows(const Tensor& weight, const Tensor& from, const Tensor& to, int64_t bags) {
  const Tensor w = contiguous_data(weight.detach());
  const int64_t width = w.sizes()[1];
  Tensor best = zeros({bags, width}, w.dtype(), w.device());
  Tensor row = full({bags, width}, Scalar(-1), DType::Int64, w.device());
  kernels<IndexKernels>().max_rows(w.dtype(), best.raw(), row.data<int64_t>(), w.raw(),
                                   from.data<int64_t>(), to.data<int64_t>(), from.numel(), width);
  if (!grad_enabled() || !weight.requires_grad()) return best;
  const Tensor none = full({}, Scalar(0), DType::Int64);
  const Tensor is_empty = lt(row, none);
  if (weight.sizes()[0] == 0) return best;
  return masked_fill(gather(weight, 0, maximum(row, none)), is_empty, zeros({}, w.dtype()));
}

Tensor embedding_bag(const Tensor& indices, const Tensor& bag, int64_t bags, const Tensor& weight,
                     const std::string& mode, const std::optional<Tensor>& per_sample_weights,
                     bool scale_grad_by_freq, bool sparse) {
  EG_CHECK(weight.dim() == 2 && weight.is_floating(),
           "[embedding_bag] expected a 2-d floating point "
           "weight, got ",
           weight.dtype(), " of shape ", weight.sizes());
  EG_CHECK(indices.dtype() == DType::Int64 || indices.dtype() == DType::Int32,
           "[embedding_bag] expected int32 or int64 indices, got ", indices.dtype());
  EG_CHECK(indices.dim() == 1 && bag.sizes() == indices.sizes(),
           "[embedding_bag] expected one bag for each index");
  const Tensor from = table_rows("embedding_bag", indices, weight);
  const Tensor to = checked_index({"embedding_bag", ErrorKind::Runtime, false}, bag, bags, 0);
  if (mode == "max") return largest_rows(weight, from, to, bags);
  Tensor scale;
  if (per_sample_weights) {
    EG_CHECK(per_sample_weights->dtype() == weight.dtype(),
             "[embedding_bag] expected per_sample_weights of the dtype of weight, ", weight.dtype(),
             ", got ", per_sample_weights->dtype());
    scale = *per_sample_weights;
  }
  if (mode == "mean") scale = reshape(inverse_frequency(to, bags, weight.dtype()), {-1});
  return eg::apply(AddRows{bags, scale_grad_by_freq, sparse}, weight, scale, from, to);
}

EG_OP(&embedding,
      "embedding(indices, weight, padding_idx=-1, scale_grad_by_freq=False, sparse=False)",
      "Rows of weight, one for each index; row padding_idx gets no gradient.", kInternal)

EG_OP(&embedding_bag,
      "embedding_bag(indices, bag, bags, weight, mode, per_sample_weights=None, "
      "scale_grad_by_freq=False, sparse=False)",
      "Sum, mean or max of the rows of weight that fall into each bag; `bag` does not fall.",
      kInternal)

}  // namespace
}  // namespace eg
