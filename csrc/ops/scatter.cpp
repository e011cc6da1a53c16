// Elementwise gather and scatter along a dimension, with reductions.
#include "core/parallel.h"
#include "ops/creation.h"
#include "ops/index.h"

namespace eg {

namespace {

// A gather or scatter of 0-d tensors is one of vectors of one element.
struct LineArgs {
  int64_t dim;
  Tensor index;  // checked, contiguous apart from dimensions where whole rows move
};

// An index that was expanded from one entry a row: whole rows move.
bool moves_rows(const Tensor& x, int64_t dim, const Tensor& index) {
  if (index.dim() != x.dim() || index.dim() < 2 || index.numel() == 0) return false;
  int64_t inner = 1;
  for (int64_t d = 0; d < index.dim(); ++d) {
    if (d == dim) continue;
    if (d < dim && index.sizes()[d] != 1) return false;
    if (index.strides()[d] != 0 && index.sizes()[d] != 1) return false;
    if (index.sizes()[d] != x.sizes()[d]) return false;
    inner *= index.sizes()[d];
  }
  return inner > 1;
}

Tensor row_index(const Tensor& index, int64_t dim) {
  return make_view(index, {index.sizes()[dim]}, {index.strides()[dim]}, index.offset());
}

// One entry a row, repeated over the other dimensions of `sizes`.
Tensor repeated_rows(const Tensor& rows, int64_t dim, const Dims& sizes) {
  Dims strides(sizes.size(), 0);
  strides[dim] = 1;
  return make_view(rows, sizes, strides, rows.offset());
}

void fits_within(const char* op, const char* what, const Tensor& index, const Tensor& x,
                 int64_t dim, bool but_dim) {
  const Tensor a = index.dim() ? index : make_view(index, {1}, {1}, index.offset());
  const Tensor b = x.dim() ? x : make_view(x, {1}, {1}, x.offset());
  EG_CHECK(a.dim() == b.dim(), "[", op,
           "] Index tensor must have the same number of dimensions as ", what,
           " tensor, got shapes ", index.sizes(), " and ", x.sizes());
  for (int64_t d = 0; d < a.dim(); ++d)
    EG_CHECK((but_dim && d == dim) || a.sizes()[d] <= b.sizes()[d], "[", op, "] Expected index ",
             index.sizes(), " to be no larger than ", what, " ", x.sizes(),
             but_dim ? str(" apart from dimension ", dim) : std::string());
}

LineArgs check_lines(const char* op, const Tensor& x, int64_t dim, const Tensor& index,
                     const Tensor* src = nullptr) {
  const int64_t d = wrap_dim(dim, x.dim());
  EG_CHECK(index.dtype() == DType::Int64 || index.dtype() == DType::Int32 || index.numel() == 0,
           "[", op, "] Expected dtype int32/int64 for index, got ", index.dtype());
  if (index.numel() == 0) return {d, contiguous_data(cast_data(index, DType::Int64))};
  fits_within(op, "self", index, x, d, true);
  if (src) {
    fits_within(op, "src", index, *src, d, false);
    EG_CHECK(src->dtype() == x.dtype(), "[", op,
             "] Expected self.dtype to be equal to src.dtype, got ", x.dtype(), " and ",
             src->dtype());
  }
  const IndexCheck check = {op, ErrorKind::Runtime, false};
  const int64_t size = x.dim() ? x.sizes()[d] : 1;
  if (!moves_rows(x, d, index)) return {d, checked_index(check, index, size, d)};
  return {d, repeated_rows(checked_index(check, row_index(index, d), size, d), d, index.sizes())};
}

Lines lines_of(const Tensor& x, int64_t dim, const Tensor& index, const Tensor* src) {
  Lines l;
  l.ndim = static_cast<int>(std::max<int64_t>(index.dim(), 1));
  l.dim = static_cast<int>(dim);
  l.index = index.data<int64_t>();
  l.dim_stride = x.dim() ? x.strides()[dim] : 1;
  l.limit = 1;
  for (int64_t d = 0; d < x.dim(); ++d) l.limit += (x.sizes()[d] - 1) * x.strides()[d];
  for (int d = 0; d < l.ndim; ++d) {
    l.sizes[d] = index.dim() ? index.sizes()[d] : 1;
    l.x_strides[d] = d == dim || x.dim() == 0 ? 0 : x.strides()[d];
    l.src_strides[d] = src && src->dim() == l.ndim ? src->strides()[d] : 0;
  }
  // Kernels loop over the last dimension. (Many rows are shared out among threads.)
  while (active_device.is_cpu() && index.numel() <= kParallelGrain && l.ndim > 1 &&
         l.sizes[l.ndim - 1] == 1)
    --l.ndim;
  l.dim = std::min(l.dim, l.ndim - 1);
  return l;
}

// src, or one number, folded into where a checked index says.
void fold_lines(const Tensor& out, int64_t dim, const Tensor& index, const Tensor& src, Fold fold) {
  const IndexKernels& k = kernels<IndexKernels>();
  if (!moves_rows(out, dim, index))
    return k.scatter(out.dtype(), fold, out.raw(), src.raw(), lines_of(out, dim, index, &src));
  const Tensor packed = contiguous_data(src);
  k.fold(out.dtype(), fold, out.raw(), packed.raw(),
         AlongDim(out, dim, row_index(index, dim)).positions(), src.dim() == 0);
}

// Zero-filled gradient of a gather.
struct GatherSpread {
  static constexpr const char* name = "GatherSpread";
  int64_t dim;
  Dims in_sizes;

  Tensor forward(Context& ctx, const Tensor& g, const Tensor& index) {
    Tensor out = zeros(in_sizes, g.dtype(), g.device());
    kernels<IndexKernels>().scatter(g.dtype(), Fold::Add, out.raw(), g.raw(),
                                    lines_of(out, dim, index, &g));
    ctx.save(index);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {gather(g, dim, ctx.saved(0)), Tensor()};
  }
};

struct Gather {
  static constexpr const char* name = "Gather";
  int64_t dim;
  Dims in_sizes;

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& index) {
    in_sizes = x.sizes();
    Tensor out = empty(index.sizes(), x.dtype(), x.device());
    if (out.numel())
      kernels<IndexKernels>().gather(x.item_size(), out.raw(), x.raw(),
                                     lines_of(x, dim, index, nullptr));
    ctx.save(index);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor index = ctx.saved(0);
    Tensor* held = ctx.accumulator(0);
    if (held && !grad_enabled() && held->dtype() == g.dtype() && held->sizes() == in_sizes) {
      kernels<IndexKernels>().scatter(g.dtype(), Fold::Add, held->raw(), g.raw(),
                                      lines_of(*held, dim, index, &g));
      return {Context::accumulated(), Tensor()};
    }
    return {eg::apply(GatherSpread{dim, in_sizes}, g, index), Tensor()};
  }
};

struct ScatterAdd {
  static constexpr const char* name = "ScatterAdd";
  int64_t dim;
  bool in_place = false;

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& src, const Tensor& index) {
    Tensor out = writable(x, in_place);
    fold_lines(out, dim, index, apart_from(out, src), Fold::Add);
    ctx.save(index);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(3);
    if (ctx.needs(0)) out[0] = g;
    if (ctx.needs(1)) out[1] = gather(g, dim, ctx.saved(0));
    return out;
  }
};

// src may be one number (0-d).
struct Scatter {
  static constexpr const char* name = "Scatter";
  int64_t dim;
  bool in_place = false;

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& src, const Tensor& index) {
    Tensor out = writable(x, in_place);
    fold_lines(out, dim, index, cast_data(apart_from(out, src), x.dtype()), Fold::Put);
    ctx.save(index);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(3);
    const Tensor index = ctx.saved(0);
    if (ctx.needs(0)) out[0] = scatter(g, dim, index, zeros({}, g.dtype(), g.device()));
    if (ctx.needs(1)) out[1] = gather(g, dim, index);
    return out;
  }
};

// The part of src that index covers.
Tensor covered(const Tensor& src, const Tensor& index) {
  Tensor out = src;
  if (index.sizes() == src.sizes() || index.dim() != src.dim()) return out;
  for (int64_t d = 0; d < src.dim(); ++d)
    if (src.sizes()[d] > index.sizes()[d]) out = narrow(out, d, 0, index.sizes()[d]);
  return out;
}

// Without an index nothing moves. A source of its form is recorded for all that: what it was made of gets zeros, not nothing.
bool nothing_to_do(const Tensor& x, const Tensor& index, const Tensor& src) {
  if (index.numel()) return false;
  return !grad_enabled() || !src.requires_grad() || src.dtype() != x.dtype() ||
         index.dim() != x.dim() || covered(src, index).sizes() != index.sizes();
}

}  // namespace

Tensor gather(const Tensor& x, int64_t dim, const Tensor& index) {
  const int64_t d = wrap_dim(dim, x.dim());
  if (moves_rows(x, d, index)) {
    checked_index({"gather", ErrorKind::Runtime, false}, row_index(index, d), x.sizes()[d], d);
    return index_select(x, d, row_index(index, d));
  }
  const LineArgs a = check_lines("gather", x, dim, index);
  return eg::apply(Gather{a.dim, {}}, x, a.index);
}

Tensor scatter(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
  const bool number = src.dim() == 0 && x.dim() > 0;
  const LineArgs a = check_lines("scatter", x, dim, index, number ? nullptr : &src);
  if (nothing_to_do(x, index, src)) return clone(x);
  return eg::apply(Scatter{a.dim}, x, number ? src : covered(src, index), a.index);
}

Tensor scatter_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
  const LineArgs a = check_lines("scatter_add", x, dim, index, &src);
  if (nothing_to_do(x, index, src)) return clone(x);
  return eg::apply(ScatterAdd{a.dim}, x, covered(src, index), a.index);
}

namespace {

Tensor scatter_add_inplace(const Tensor& self, int64_t dim, const Tensor& index,
                           const Tensor& src) {
  const LineArgs a = check_lines("scatter_add", self, dim, index, &src);
  if (nothing_to_do(self, index, src)) return self;
  return apply_inplace("scatter_add_", ScatterAdd{a.dim}, self, covered(src, index), a.index);
}

// --- scatter_reduce ----------------------------------------------------------------------------------------------
enum class Reduce { Sum, Prod, Mean, Max, Min };

Fold fold_of(Reduce r) {
  switch (r) {
    case Reduce::Prod:
      return Fold::Multiply;
    case Reduce::Max:
      return Fold::Max;
    case Reduce::Min:
      return Fold::Min;
    default:
      return Fold::Add;
  }
}

// What a reduction starts from where the input does not count.
Scalar neutral(Reduce r, DType dtype) {
  const bool low = r == Reduce::Max;
  if (r == Reduce::Prod) return Scalar(1);
  if (r != Reduce::Max && r != Reduce::Min) return Scalar(0);
  if (is_floating(dtype)) {
    const double inf = __builtin_inf();
    return Scalar(low ? -inf : inf);
  }
  switch (dtype) {
    case DType::Bool:
      return Scalar(!low);
    case DType::UInt8:
      return Scalar(low ? 0 : 255);
    case DType::Int8:
      return Scalar(low ? -128 : 127);
    case DType::Int16:
      return Scalar(low ? -32768 : 32767);
    case DType::Int32:
      return Scalar(low ? INT32_MIN : INT32_MAX);
    default:
      return Scalar(low ? INT64_MIN : INT64_MAX);
  }
}

// How many values each element was made of, at least 1. Of rows that move whole, one for each.
Tensor contributions(const Tensor& x, int64_t dim, const Tensor& index, bool include_self) {
  Dims sizes = x.sizes();
  Tensor at = index;
  if (moves_rows(x, dim, index)) {
    Dims one_each(sizes.size(), 1);
    one_each[dim] = index.sizes()[dim];
    at = repeated_rows(row_index(index, dim), dim, one_each);
    one_each[dim] = sizes[dim];
    sizes = one_each;
  }
  const Tensor counts = full(sizes, Scalar(include_self ? 1 : 0), x.dtype(), x.device());
  const Tensor one = full({}, Scalar(1), x.dtype(), x.device());
  fold_lines(counts, dim, at, one, Fold::Add);
  return include_self ? counts : maximum(counts, one);
}

Tensor reduce_lines(const Tensor& x, const Tensor& src, int64_t dim, const Tensor& index, Reduce r,
                    bool include_self);

struct ScatterReduce {
  static constexpr const char* name = "ScatterReduce";
  int64_t dim;
  Reduce reduce;
  bool include_self;
  bool in_place = false;

  // A result from which the gradient follows: of the others it takes the input.
  bool is_sum() const { return reduce == Reduce::Sum || reduce == Reduce::Mean; }

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& src, const Tensor& index) {
    const Tensor out = writable(x, in_place), from = apart_from(out, src);
    if (!include_self) {
      const Tensor start = full({}, neutral(reduce, x.dtype()), x.dtype(), x.device());
      fold_lines(out, dim, index, start, Fold::Put);
    }
    fold_lines(out, dim, index, from, fold_of(reduce));
    if (reduce == Reduce::Mean) {
      const Tensor counts = contributions(x, dim, index, include_self);
      copy_into(out, x.is_floating() ? div(out, counts) : floor_divide(out, counts));
    }
    ctx.save(index);
    if (!is_sum()) {
      ctx.save(x);
      ctx.save(src);
    }
    return out;
  }

  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor index = ctx.saved(0);
    Tensor gx, gsrc;
    if (is_sum()) {
      gx = reduce == Reduce::Sum ? g : div(g, contributions(g, dim, index, include_self));
      gsrc = gather(gx, dim, index);
    } else if (reduce == Reduce::Prod) {
      product_gradients(ctx, g, index, gx, gsrc);
    } else {
      extreme_gradients(ctx, g, index, gx, gsrc);
    }
    if (!include_self) gx = scatter(gx, dim, index, zeros({}, g.dtype(), g.device()));
    Tensors out(3);
    if (ctx.needs(0)) out[0] = gx;
    if (ctx.needs(1)) out[1] = gsrc;
    return out;
  }

  // Evenly among all that equal the result.
  void extreme_gradients(Context& ctx, const Tensor& g, const Tensor& index, Tensor& gx,
                         Tensor& gsrc) {
    const Tensor x = ctx.saved(1), src = ctx.saved(2);
    Tensor y, is_x, is_src, share;
    {
      GradMode off(false);
      y = reduce_lines(x, src, dim, index, reduce, include_self);
      is_x = to(eq(x, y), g.dtype());
      is_src = to(eq(src, gather(y, dim, index)), g.dtype());
      const Tensor start = include_self ? is_x : zeros(x.sizes(), g.dtype(), g.device());
      share = scatter_add(start, dim, index, is_src);
      share = maximum(share, full({}, Scalar(1), g.dtype(), g.device()));
    }
    const Tensor each = div(g, share);
    // Elements that nothing was scattered to keep their gradient whole when the input does not count.
    gx = include_self ? mul(each, is_x) : g;
    gsrc = mul(gather(each, dim, index), is_src);
  }

  // The product of the others: result / value, except around zeros.
  void product_gradients(Context& ctx, const Tensor& g, const Tensor& index, Tensor& gx,
                         Tensor& gsrc) {
    const Tensor x = ctx.saved(1), src = ctx.saved(2);
    const Tensor one = full({}, Scalar(1), g.dtype(), g.device());
    const Tensor x_zero = eq(x, zeros({}, x.dtype(), x.device()));
    const Tensor x_or_one = masked_fill(x, x_zero, one);
    const Tensor without_x = reduce_lines(x_or_one, src, dim, index, Reduce::Prod, include_self);
    gx = include_self ? div(mul(g, without_x), x_or_one) : g;
    const Tensor src_zero = eq(src, zeros({}, src.dtype(), src.device()));
    Tensor zero_count;
    {
      GradMode off(false);
      zero_count = gather(
          scatter_add(zeros(x.sizes(), g.dtype(), g.device()), dim, index, to(src_zero, g.dtype())),
          dim, index);
    }
    const Tensor only_zero = mul(src_zero, eq(zero_count, one));
    const Tensor src_or_one = masked_fill(src, src_zero, one);
    const Tensor full_product = reduce_lines(x, src, dim, index, Reduce::Prod, include_self);
    const Tensor others =
        reduce_lines(x, masked_fill(src, only_zero, one), dim, index, Reduce::Prod, include_self);
    gsrc = where(only_zero, gather(mul(g, others), dim, index),
                 div(gather(mul(g, full_product), dim, index), src_or_one));
  }
};

Tensor reduce_lines(const Tensor& x, const Tensor& src, int64_t dim, const Tensor& index, Reduce r,
                    bool include_self) {
  return eg::apply(ScatterReduce{dim, r, include_self}, x, src, index);
}

Tensor reduce_lines_inplace(const char* op, const Tensor& x, const Tensor& src, const LineArgs& a,
                            Reduce r, bool include_self) {
  const ScatterReduce fn = {a.dim, r, include_self};
  if (fn.is_sum() || !grad_enabled() || !(x.requires_grad() || src.requires_grad()))
    return apply_inplace(op, fn, x, src, a.index);
  check_inplace(x, op);
  assign(x, eg::apply(fn, x, src, a.index));
  return x;
}

Reduce reduce_named(const char* op, const std::string& name, bool with_sum) {
  if (name == "sum" && with_sum) return Reduce::Sum;
  if (name == "prod") return Reduce::Prod;
  if (name == "mean") return Reduce::Mean;
  if (name == "amax") return Reduce::Max;
  if (name == "amin") return Reduce::Min;
  fail(ErrorKind::Runtime, "[", op, "] reduce argument must be one of ", with_sum ? "sum, " : "",
       "prod, mean, amax or amin, got ", name);
}

Tensor scatter_reduce(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
                      const std::string& reduce, bool include_self) {
  const Reduce r = reduce_named("scatter_reduce", reduce, true);
  const LineArgs a = check_lines("scatter_reduce", x, dim, index, &src);
  if (nothing_to_do(x, index, src)) return clone(x);
  return reduce_lines(x, covered(src, index), a.dim, a.index, r, include_self);
}

Tensor scatter_reduce_inplace(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
                              const std::string& reduce, bool include_self) {
  const Reduce r = reduce_named("scatter_reduce", reduce, true);
  const LineArgs a = check_lines("scatter_reduce", x, dim, index, &src);
  if (nothing_to_do(x, index, src)) return x;
  return reduce_lines_inplace("scatter_reduce_", x, covered(src, index), a, r, include_self);
}

// scatter(..., reduce=): the old spelling.
Reduce scatter_mode(const std::string& name) {
  EG_CHECK(name == "add" || name == "multiply",
           "[scatter] reduce argument must be either add or multiply, got ", name);
  return name == "add" ? Reduce::Sum : Reduce::Prod;
}

Tensor spread_number(const Tensor& value, const Tensor& x, const Tensor& index) {
  return expand(to(value, x.dtype()), index.sizes());
}

Tensor scatter_op(const Tensor& x, int64_t dim, const Tensor& index, const Operand& src,
                  const std::optional<std::string>& reduce) {
  check_fits("scatter", src.tensor, x.dtype());
  if (src.tensor.is_weak() && x.dim() == 0)
    return scatter_op(x, dim, index, Operand{to(src, x.dtype())}, reduce);
  if (!reduce) return scatter(x, dim, index, src.tensor);
  const Reduce r = scatter_mode(*reduce);
  const Tensor from = src.tensor.dim() == 0 && x.dim() ? spread_number(src, x, index) : src.tensor;
  const LineArgs a = check_lines("scatter", x, dim, index, &from);
  if (nothing_to_do(x, index, from)) return clone(x);
  return reduce_lines(x, covered(from, index), a.dim, a.index, r, true);
}
Tensor scatter_op_inplace(const Tensor& x, int64_t dim, const Tensor& index, const Operand& src,
                          const std::optional<std::string>& reduce) {
  check_fits("scatter", src.tensor, x.dtype());
  if (src.tensor.is_weak() && x.dim() == 0)
    return scatter_op_inplace(x, dim, index, Operand{to(src, x.dtype())}, reduce);
  const bool number = src.tensor.dim() == 0 && x.dim() > 0;
  if (!reduce) {
    const LineArgs a = check_lines("scatter_", x, dim, index, number ? nullptr : &src.tensor);
    if (nothing_to_do(x, index, src.tensor)) return x;
    return apply_inplace("scatter_", Scatter{a.dim}, x,
                         number ? src.tensor : covered(src.tensor, index), a.index);
  }
  const Reduce r = scatter_mode(*reduce);
  const Tensor from = number ? spread_number(src, x, index) : src.tensor;
  const LineArgs a = check_lines("scatter_", x, dim, index, &from);
  if (nothing_to_do(x, index, from)) return x;
  return reduce_lines_inplace("scatter_", x, covered(from, index), a, r, true);
}

// One index a row is an index of rows, repeated over the other dimensions.
LineArgs check_index_reduce(const Tensor& x, int64_t dim, const Tensor& index,
                            const Tensor& source) {
  EG_CHECK_KIND(NotImplemented, x.dtype() != DType::Bool,
                "[index_reduce] not implemented for bool");
  const int64_t d = wrap_dim(dim, x.dim());
  EG_CHECK_INDEX(index.dim() <= 1, "[index_reduce] Index is supposed to be a vector, got shape ",
                 index.sizes());
  EG_CHECK(source.dim() == x.dim() && (x.dim() == 0 || source.sizes()[d] == index.numel()),
           "[index_reduce] expected one index for each entry of source along dimension ", d,
           ", got ", index.numel(), " and source of shape ", source.sizes());
  Dims shape(std::max<int64_t>(x.dim(), 1), 1);
  shape[d] = index.numel();
  const Tensor wide = x.dim() ? expand(reshape(index, shape), source.sizes()) : index;
  const int64_t size = x.dim() ? x.sizes()[d] : 1;
  checked_index({"index_reduce", ErrorKind::Index, false}, index, size, d);
  return check_lines("index_reduce", x, dim, wide, &source);
}

constexpr const char* kIndexReduceTitle = "IndexReduceBackward0";

Tensor index_reduce(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                    const std::string& reduce, bool include_self) {
  const Reduce r = reduce_named("index_reduce", reduce, false);
  const LineArgs a = check_index_reduce(x, dim, index, source);
  if (nothing_to_do(x, a.index, source)) return clone(x);
  return named(reduce_lines(x, source, a.dim, a.index, r, include_self), kIndexReduceTitle);
}

Tensor index_reduce_inplace(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                            const std::string& reduce, bool include_self) {
  const Reduce r = reduce_named("index_reduce", reduce, false);
  const LineArgs a = check_index_reduce(x, dim, index, source);
  if (nothing_to_do(x, a.index, source)) return x;
  reduce_lines_inplace("index_reduce_", x, source, a, r, include_self);
  return grad_enabled() && x.requires_grad() ? named(x, kIndexReduceTitle) : x;
}

Tensor take_along_dim(const Tensor& x, const Tensor& indices, std::optional<int64_t> dim) {
  EG_CHECK(indices.dtype() == DType::Int64, "[take_along_dim] expected int64 indices, got ",
           indices.dtype());
  const auto wrapped = [](const Tensor& index, int64_t size, int64_t d) {
    return index.numel()
               ? checked_index({"take_along_dim", ErrorKind::Runtime, true}, index, size, d)
               : index;
  };
  if (!dim) {
    const Tensor flat = reshape(x, {-1});
    return gather(flat, 0, wrapped(reshape(indices, {-1}), flat.numel(), 0));
  }
  EG_CHECK(
      x.dim() == indices.dim(),
      "[take_along_dim] expected input and indices with the same number of dimensions, got shapes ",
      x.sizes(), " and ", indices.sizes());
  const int64_t d = wrap_dim(*dim, x.dim());
  Dims a = x.sizes(), b = indices.sizes();
  if (x.dim()) a[d] = b[d] = 1;
  Dims common = broadcast_shapes(a, b), x_sizes = common, index_sizes = common;
  if (x.dim()) {
    x_sizes[d] = x.sizes()[d];
    index_sizes[d] = indices.sizes()[d];
  }
  return gather(expand(x, x_sizes), d,
                wrapped(expand(indices, index_sizes), x.dim() ? x.sizes()[d] : 1, d));
}

Tensor one_hot(const Tensor& x, int64_t num_classes) {
  EG_CHECK(x.dtype() == DType::Int64, "[one_hot] expected an int64 tensor, got ", x.dtype());
  int64_t classes = num_classes, low = 0, high = -1;
  const bool late = !x.device().is_cpu() && num_classes > 0;
  const Tensor index =
      late ? checked_index({"one_hot", ErrorKind::Runtime}, x, num_classes, 0) : contiguous_data(x);
  if (x.numel() && !late) index_range(index, &low, &high);
  EG_CHECK(low >= 0, "[one_hot] Class values must be non-negative, got ", low);
  if (num_classes == -1) {
    EG_CHECK(x.numel() > 0, "[one_hot] Can not infer total number of classes from empty tensor");
    classes = high + 1;
  } else {
    EG_CHECK(num_classes > 0 || x.numel() == 0, "[one_hot] num_classes should be positive, got ",
             num_classes);
    EG_CHECK(high < num_classes, "[one_hot] Class values must be smaller than num_classes, got ",
             high, " and ", num_classes);
  }
  Dims sizes = x.sizes();
  sizes.push_back(classes);
  Tensor out = zeros(sizes, DType::Int64, x.device());
  if (x.numel() == 0) return out;
  const Tensor one = scalar_tensor(Scalar(1), DType::Int64);
  kernels<IndexKernels>().scatter(DType::Int64, Fold::Put, out.raw(), one.raw(),
                                  lines_of(out, x.dim(), unsqueeze(index, -1), &one));
  return out;
}

EG_OP(
    +[](const Tensor& x, int64_t dim, const Tensor& index, bool sparse_grad) {
      return gather(x, dim, index);
    },
    "gather(input, dim, index, *, sparse_grad=False)",
    R"(out[i][j] = input[index[i][j]][j] for dim 0, and so on: one element for each index.

>>> eg.tensor([[1, 2], [3, 4]]).gather(1, eg.tensor([[0, 0], [1, 0]])).tolist()
[[1, 1], [4, 3]]
)",
    kOut)
EG_OP(
    &scatter_op, "scatter(input, dim, index, src, *, reduce=None)",
    R"(A copy of input with input[index[i][j]][j] = src[i][j] for dim 0, and so on; src may be a number. `reduce` may be 'add' or 'multiply'.

>>> eg.zeros(3).scatter(0, eg.tensor([2, 0]), eg.tensor([1., 2.])).tolist()
[2.0, 0.0, 1.0]
)",
    kOut)
EG_OP(&scatter_op, "scatter(input, dim, index, value, *, reduce=None)", "", kOut)
EG_OP(&scatter_op_inplace, "scatter_(input, dim, index, src, *, reduce=None)",
      "scatter() in place.", kMethodOnly)
EG_OP(&scatter_op_inplace, "scatter_(input, dim, index, value, *, reduce=None)", "", kMethodOnly)
EG_OP(&scatter_add, "scatter_add(input, dim, index, src)",
      R"(A copy of input to which src is added where index says; repeated indices add up, in order.

>>> eg.zeros(2).scatter_add(0, eg.tensor([1, 1]), eg.tensor([1., 2.])).tolist()
[0.0, 3.0]
)",
      kOut)
EG_OP(&scatter_add_inplace, "scatter_add_(input, dim, index, src)", "scatter_add() in place.",
      kMethodOnly)
EG_OP(
    &scatter_reduce, "scatter_reduce(input, dim, index, src, reduce, *, include_self=True)",
    R"(A copy of input in which src is reduced ('sum', 'prod', 'mean', 'amax', 'amin') into the elements that index names.

>>> eg.zeros(2).scatter_reduce(0, eg.tensor([1, 1]), eg.tensor([1., 2.]), 'amax').tolist()
[0.0, 2.0]
)",
    kOut)
EG_OP(&scatter_reduce_inplace,
      "scatter_reduce_(input, dim, index, src, reduce, *, include_self=True)",
      "scatter_reduce() in place.", kMethodOnly)
EG_OP(&index_reduce, "index_reduce(input, dim, index, source, reduce, *, include_self=True)",
      "A copy of input in which entries of source are reduced ('prod', 'mean', 'amax', 'amin') "
      "into those that index names.",
      kOut)
EG_OP(&index_reduce_inplace,
      "index_reduce_(input, dim, index, source, reduce, *, include_self=True)",
      "index_reduce() in place.", kMethodOnly)
EG_OP(&take_along_dim, "take_along_dim(input, indices, dim=None)",
      "gather() with input and indices broadcast; without dim, from the flattened input.", kOut)
EG_WAITS("one_hot", "the largest class, where `num_classes` is not given")
EG_OP(&one_hot, "one_hot(input, num_classes=-1)",
      R"(A new last dimension with 1 at the class of each element of an int64 tensor, 0 elsewhere.

>>> eg._C.ops.one_hot(eg.tensor([0, 2])).tolist()
[[1, 0, 0], [0, 0, 1]]
)",
      kInternal)

}  // namespace

}  // namespace eg
