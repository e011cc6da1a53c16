// Reductions: one struct over any set of dimensions, and what is composed of it.
#include "ops/reduce.h"

#include <cmath>
#include <limits>

#include "ops/copy.h"
#include "ops/registry.h"
#include "ops/terms.h"
#include "tape/function.h"

namespace eg {

// --- layout ------------------------------------------------------------------------------------------------------

// The reduced dimensions as the middle one of a dense (outer, length, inner) array; x is copied only if it must be.
Layout::Layout(const Tensor& x, const Dims& dims) {
  uint64_t reduced = 0;  // a bit for each dimension: kMaxDims of them
  static_assert(kMaxDims <= 64, "a bit for each dimension");
  for (int64_t d : dims) reduced |= uint64_t(1) << d;
  const auto is_reduced = [reduced](int64_t d) { return (reduced >> d & 1) != 0; };
  int64_t first = x.dim(), last = -1;  // of the reduced dimensions
  for (int64_t d = 0; d < x.dim(); ++d) {
    const int64_t n = x.sizes()[d];
    kept.push_back(is_reduced(d) ? 1 : n);
    if (!is_reduced(d)) {
      squeezed.push_back(n);
      continue;
    }
    length *= n;
    first = std::min(first, d);
    last = d;
  }
  if (last < 0) last = x.dim() - 1;
  if (dims.empty() || last - first + 1 == static_cast<int64_t>(dims.size())) {
    data = contiguous_data(x);
    for (int64_t d = 0; d < first; ++d) outer *= x.sizes()[d];
    for (int64_t d = last + 1; d < x.dim(); ++d) inner *= x.sizes()[d];
    return;
  }
  // Kept dimensions first, reduced ones last.
  Dims sizes, strides;
  for (int pass = 0; pass < 2; ++pass)
    for (int64_t d = 0; d < x.dim(); ++d)
      if (is_reduced(d) == (pass == 1)) {
        sizes.push_back(x.sizes()[d]);
        strides.push_back(x.strides()[d]);
      }
  data = contiguous_data(alias(x, sizes, strides, x.offset()));
  for (int64_t s : squeezed) outer *= s;
}

Dims dense_order(const Tensor& x) {
  if (x.is_contiguous() || x.numel() == 0) return {};
  Dims order;
  for (int64_t d = 0; d < x.dim(); ++d) order.push_back(d);
  // A single element's stride means nothing: it stands first.
  const auto apart = [&](int64_t d) {
    return x.sizes()[d] == 1 ? std::numeric_limits<int64_t>::max() : x.strides()[d];
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return apart(a) > apart(b); });
  int64_t step = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const int64_t d = order[i];
    if (x.sizes()[d] != 1 && x.strides()[d] != step) return {};
    step *= x.sizes()[d];
  }
  return order;
}

Dims memory_order(const Tensor& x, const Dims& dims) {
  const Dims order = dense_order(x);
  int64_t last_kept = -1;
  for (int64_t d : order) {
    if (x.sizes()[d] == 1 || std::find(dims.begin(), dims.end(), d) != dims.end()) continue;
    if (d < last_kept) return {};
    last_kept = d;
  }
  return order;
}

Layout::Layout(const Tensor& x, const Dims& dims, const Dims& order)
    : Layout([&] {
        if (order.empty()) return Layout(x, dims);
        Dims sizes, strides, reduced;
        for (size_t i = 0; i < order.size(); ++i) {
          sizes.push_back(x.sizes()[order[i]]);
          strides.push_back(x.strides()[order[i]]);
          if (std::find(dims.begin(), dims.end(), order[i]) != dims.end())
            reduced.push_back(int64_t(i));
        }
        Layout l(alias(x, sizes, strides, x.offset()), reduced);
        l.kept = x.sizes();
        for (int64_t d : dims) l.kept[d] = 1;
        l.squeezed.clear();
        for (int64_t d = 0; d < x.dim(); ++d)
          if (std::find(dims.begin(), dims.end(), d) == dims.end())
            l.squeezed.push_back(x.sizes()[d]);
        return l;
      }()) {}

namespace {

DType compute_type(DType t) { return is_reduced(t) ? DType::Float32 : t; }

// g, or a result, with the reduced dimensions put back as size 1.
Tensor with_kept_dims(const Tensor& t, const Dims& dims, bool keepdim) {
  if (keepdim || dims.empty()) return t;
  Dims sizes = t.sizes();
  Dims sorted = dims;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t d : sorted) sizes.insert(size_t(d), 1);
  return view(t.is_contiguous() ? t : contiguous(t), sizes);
}

// PyTorch tells reductions of all elements, number 0, from those of given dimensions.
std::string reduction_title(const char* name, bool all) {
  return str(name, all ? "Backward0" : "Backward1");
}

struct Sum {
  static constexpr const char* name = "Sum";
  Dims dims;
  bool keepdim;
  DType out;  // float32 of halves: the sum may not fit them
  bool all;
  Dims sizes = {};
  DType from = DType::Float32;
  std::string title() const { return reduction_title(name, all); }
  Tensor forward(Context&, const Tensor& x) {
    sizes = x.sizes();
    from = x.dtype();
    return reduce_terms(Reduce::Sum, {x}, dims, keepdim, out);
  }
  Tensors backward(Context&, const Tensor& g) {
    return {expand(with_kept_dims(to(g, from), dims, keepdim), sizes)};
  }
};

struct Mean {
  static constexpr const char* name = "Mean";
  Dims dims;
  bool keepdim, all;
  double count = 1;
  Dims sizes = {};
  std::string title() const { return reduction_title(name, all); }
  Tensor forward(Context&, const Tensor& x) {
    sizes = x.sizes();
    for (int64_t d : dims) count *= static_cast<double>(sizes[d]);
    const Tensor total = reduce_terms(Reduce::Sum, {x}, dims, keepdim, compute_type(x.dtype()));
    return cast_data(div(total, Tensor(count)), x.dtype());
  }
  Tensors backward(Context&, const Tensor& g) {
    return {expand(with_kept_dims(div(g, Tensor(count)), dims, keepdim), sizes)};
  }
};

constexpr double kNanOnly[] = {0, INFINITY, -INFINITY};  // of nan_to_num

struct NanSum {
  static constexpr const char* name = "Nansum";
  Dims dims;
  bool keepdim;
  Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return reduce_terms(Reduce::Sum, {x, Unary::nan_to_num, kNanOnly}, dims, keepdim, x.dtype());
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {where(isnan(ctx.saved(0).detach()), Tensor(0.0), with_kept_dims(g, dims, keepdim))};
  }
};

// Where x equals y, a NaN that is the maximum of all being its own equal.
Tensor equals(const Tensor& x, const Tensor& y) {
  if (y.numel() != 1) return eq(x, y);
  // Only the host's memory is looked at: nothing waits for a device.
  if (!y.device().is_cpu()) return logical_or(eq(x, y), logical_and(isnan(x), isnan(y)));
  return std::isnan(y.item().to_double()) ? isnan(x) : eq(x, y);
}

// The gradient of a value to the elements that equal it, each its share.
Tensor shared_gradient(const Tensor& x, const Tensor& y, const Dims& dims, const Tensor& g) {
  const Tensor hit = to(equals(x.detach(), y.detach()), x.dtype());
  return mul(g, div(hit, sum(hit, dims, true)));
}

// Ties share the gradient.
template <Reduce op>
struct Extreme {
  static constexpr const char* name = op == Reduce::Max ? "Amax" : "Amin";
  Dims dims;
  bool keepdim;
  Tensor forward(Context& ctx, const Tensor& x) {
    Tensor y = reduce_terms(op, {x}, dims, keepdim, x.dtype());
    ctx.save(x);
    ctx.save(y);
    return y;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor x = ctx.saved(0), y = with_kept_dims(ctx.saved(1), dims, keepdim);
    return {shared_gradient(x, y, dims, with_kept_dims(g, dims, keepdim))};
  }
};

struct Pick {
  static constexpr const char* name = "Pick";
  Tensor forward(Context& ctx, const Tensor& x, const Tensor& value) {
    ctx.save(x);
    ctx.save(value);
    return clone(value.detach());
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {shared_gradient(ctx.saved(0), ctx.saved(1), {0}, g), Tensor()};
  }
};

}  // namespace

Tensor pick(const Tensor& x, const Tensor& value) { return apply(Pick{}, x, value); }

namespace {

// Product of all but one element: from the left times from the right, so that zeros do no harm.
Tensor others_product(const Tensor& x, int64_t dim) {
  const int64_t n = x.sizes()[dim];
  if (n <= 1) return ones_like(x);
  const Tensor one = ones_like(narrow(x, dim, 0, 1).detach());
  const Tensor left = cat({one, cumprod(narrow(x, dim, 0, n - 1), dim)}, dim);
  const Tensor right =
      flip(cat({one, cumprod(flip(narrow(x, dim, 1, n - 1), {dim}), dim)}, dim), {dim});
  return mul(left, right);
}

// Are all numbers so far from 0 and infinity that none has lost digits?
bool all_normal(const Tensor& y) {
  if (y.numel() == 0) return false;
  const auto size = [&](Reduce extreme) {
    const Dims all = wrap_dims({}, y.dim());
    return reduce_terms(extreme, {y, Unary::abs}, all, false, y.dtype()).item().to_double();
  };
  const double least = y.dtype() == DType::Float16 ? 0x1p-14 : 0x1p-126;
  return size(Reduce::Min) >= least && size(Reduce::Max) < double(INFINITY);
}

struct Prod {
  static constexpr const char* name = "Prod";
  int64_t dim;
  bool keepdim, all;
  std::string title() const { return reduction_title(name, all); }
  Tensor forward(Context& ctx, const Tensor& x) {
    Tensor y = reduce_terms(Reduce::Prod, {x}, {dim}, keepdim, x.dtype());
    ctx.save(x);
    ctx.save(y);
    return y;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor x = ctx.saved(0), y = ctx.saved(1), kept = with_kept_dims(g, {dim}, keepdim);
    // Only the host's memory is looked at: nothing waits for a device.
    const bool divides = x.device().is_cpu() && all_normal(y);
    return {divides ? div(mul(kept, with_kept_dims(y, {dim}, keepdim)), x)
                    : mul(kept, others_product(x, dim))};
  }
};

struct Variance {
  static constexpr const char* name = "Var";
  Dims dims;
  double correction;
  bool keepdim;
  double count;
  const char* shown;
  std::string title() const { return shown; }
  std::tuple<Tensor, Tensor> forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    const DType compute = compute_type(x.dtype());
    const Tensor cx = cast_data(x, compute);
    Layout l(cx, dims, memory_order(cx, dims));
    if (l.inner != 1) l = l.lines();
    count = static_cast<double>(l.length);
    Tensor mean = empty(keepdim ? l.kept : l.squeezed, compute), m2 = empty_like(mean);
    kernels<ReduceKernels>().moments(compute, l.data.raw(), mean.raw(), m2.raw(), l.outer,
                                     l.length);
    const double degrees = std::max(count - correction, 0.0);
    GradMode off(false);
    return {cast_data(div(m2, Tensor(degrees)), x.dtype()), cast_data(mean, x.dtype())};
  }
  Tensors backward(Context& ctx, const Tensors& g) {
    const Tensor x = ctx.saved(0);
    Tensor gx;
    if (g[0].defined()) {
      const Tensor centred = sub(x, eg::mean(x, dims, true));
      gx = mul(mul(with_kept_dims(g[0], dims, keepdim), centred),
               Tensor(2.0 / std::max(count - correction, 0.0)));
    }
    if (g[1].defined()) {
      const Tensor even =
          expand(div(with_kept_dims(g[1], dims, keepdim), Tensor(count)), x.sizes());
      gx = gx.defined() ? add(gx, even) : even;
    }
    return {gx};
  }
};

struct LogSumExp {
  static constexpr const char* name = "Logsumexp";
  Dims dims;
  bool keepdim;
  Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    const DType type = line_type(x.dtype());
    const Tensor cx = cast_data(x, type);
    Layout l(cx, dims, memory_order(cx, dims));
    if (!active_device.is_cpu() && l.inner != 1) l = l.lines();
    Tensor y = empty(keepdim ? l.kept : l.squeezed, compute_type(type));
    if (y.numel() > 0)
      kernels<SoftmaxKernels>().logsumexp(type, l.data.raw(), y.raw(), l.outer, l.length, l.inner);
    y = cast_data(y, x.dtype());
    ctx.save(y);
    return y;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor x = ctx.saved(0), y = with_kept_dims(ctx.saved(1), dims, keepdim);
    const Tensor p = exp(sub(x, y));
    // exp(-inf - -inf) is NaN, but nothing flows into such a line.
    return {mul(with_kept_dims(g, dims, keepdim), where(isneginf(y.detach()), Tensor(0.0), p))};
  }
};

DType sum_type(const Tensor& x, std::optional<DType> dtype) {
  return dtype.value_or(x.is_floating() ? x.dtype() : DType::Int64);
}
Dims all_or(const std::optional<Dims>& dim, int64_t ndim) {
  return wrap_dims(dim ? IntSpan(*dim) : IntSpan(), ndim);
}
void check_nonempty(const Tensor& x, IntSpan given, const Dims& dims, const char* op) {
  EG_CHECK(
      !(x.numel() == 0 && given.empty()), op,
      "(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction "
      "dim with the 'dim' argument.");
  for (int64_t d : dims)
    EG_CHECK_INDEX(x.sizes()[d] != 0, op, "(): Expected reduction dim ", d,
                   " to have non-zero size, got shape ", IntSpan(x.sizes()));
}

}  // namespace

Layout Layout::lines() const {
  Layout l = *this;
  const Tensor grid =
      alias(data, {outer, length, inner}, {length * inner, inner, 1}, data.offset());
  l.data = contiguous_data(
      alias(grid, {outer, inner, length}, {length * inner, 1, inner}, grid.offset()));
  l.outer = outer * inner;
  l.inner = 1;
  return l;
}

// --- functions ---------------------------------------------------------------------------------------------------------

Tensor sum(const Tensor& x, IntSpan dims, bool keepdim, std::optional<DType> dtype) {
  const DType type = sum_type(x, dtype);
  const bool widens =
      is_reduced(x.dtype()) ? type == DType::Float32 : !x.is_floating() && type == DType::Int64;
  Sum op{wrap_dims(dims, x.dim()), keepdim, type, dims.empty()};
  return widens || (x.dtype() == type && !x.is_weak()) ? apply(std::move(op), x)
                                                       : apply(std::move(op), to(x, type));
}
Tensor sum(const Tensor& x) { return sum(x, {}, false); }

Tensor sum_to(const Tensor& x, IntSpan sizes) {
  Dims dims;
  const int64_t extra = x.dim() - static_cast<int64_t>(sizes.size());
  for (int64_t d = 0; d < x.dim(); ++d)
    if (d < extra || (sizes[d - extra] == 1 && x.sizes()[d] != 1)) dims.push_back(d);
  if (dims.empty()) return x;
  const Tensor y = apply(Sum{dims, true, x.dtype(), false}, x);
  return extra > 0 ? view(y, sizes) : y;
}

Tensor mean(const Tensor& x, IntSpan dims, bool keepdim) {
  EG_CHECK(x.is_floating(),
           "mean(): could not infer output dtype. Input dtype must be either a floating "
           "point or complex dtype. Got: ",
           x.dtype());
  return apply(Mean{wrap_dims(dims, x.dim()), keepdim, dims.empty()}, x);
}

Tensor amax(const Tensor& x, IntSpan dims, bool keepdim) {
  const Dims wrapped = wrap_dims(dims, x.dim());
  check_nonempty(x, dims, wrapped, "amax");
  return apply(Extreme<Reduce::Max>{wrapped, keepdim}, x);
}
Tensor amin(const Tensor& x, IntSpan dims, bool keepdim) {
  const Dims wrapped = wrap_dims(dims, x.dim());
  check_nonempty(x, dims, wrapped, "amin");
  return apply(Extreme<Reduce::Min>{wrapped, keepdim}, x);
}
Tensor logsumexp(const Tensor& x, IntSpan dims, bool keepdim) {
  return apply(LogSumExp{wrap_dims(dims, x.dim()), keepdim}, to(x, float_type(x.dtype())));
}

namespace {

using OptDims = std::optional<Dims>;
using OptDType = std::optional<DType>;

EG_OP(
    +[](const Tensor& input, OptDims dim, bool keepdim, OptDType dtype) {
      return sum(input, dim ? IntSpan(*dim) : IntSpan(), keepdim, dtype);
    },
    "sum(input, dim=None, keepdim=False, *, dtype=None)",
    "Sum over some or all dimensions. Integers are summed in int64.", kOutCasts)
EG_OP(
    +[](const Tensor& input, OptDims dim, bool keepdim, OptDType dtype) {
      const Tensor x = dtype ? to(input, *dtype) : input;
      return mean(x, dim ? IntSpan(*dim) : IntSpan(), keepdim);
    },
    "mean(input, dim=None, keepdim=False, *, dtype=None)", "Mean over some or all dimensions.",
    kOutCasts)
Tensor nansum(const Tensor& x, const OptDims& dim, bool keepdim, OptDType dtype = {}) {
  if (!x.is_floating()) return sum(x, dim ? IntSpan(*dim) : IntSpan(), keepdim, dtype);
  return apply(NanSum{all_or(dim, x.dim()), keepdim}, x);
}
EG_OP(
    +[](const Tensor& input, OptDims dim, bool keepdim, OptDType dtype) {
      return nansum(dtype ? to(input, *dtype) : input, dim, keepdim, dtype);
    },
    "nansum(input, dim=None, keepdim=False, *, dtype=None)", "Sum in which NaN counts as 0.",
    kOutCasts)
EG_OP(
    +[](const Tensor& input, OptDims dim, bool keepdim, OptDType dtype) {
      const Tensor x = dtype ? to(input, *dtype) : input;
      EG_CHECK(x.is_floating(), "nanmean(): expected input to have floating point dtype but got ",
               x.dtype());
      const Dims dims = all_or(dim, x.dim());
      int64_t each = 1;
      for (int64_t d : dims) each *= x.sizes()[d];
      const Tensor data = x.detach();
      const Terms absent{data, Unary::isnan, nullptr, {}, true};
      OpDevice device("nanmean");
      device.add(x);
      const Tensor count =
          sub(Tensor(Scalar(each)), reduce_terms(Reduce::Sum, absent, dims, keepdim, DType::Int64));
      return div(nansum(x, dim, keepdim), count);
    },
    "nanmean(input, dim=None, keepdim=False, *, dtype=None)", "Mean of what is not NaN.", kOutCasts)

Tensor product(const Tensor& x, int64_t dim, bool keepdim, OptDType dtype, bool all = false) {
  return apply(Prod{wrap_dim(dim, x.dim()), keepdim, all}, to(x, sum_type(x, dtype)));
}
EG_OP(
    +[](const Tensor& input, OptDType dtype) {
      return product(reshape(input, {-1}), 0, false, dtype, true);
    },
    "prod(input, *, dtype=None)", "Product of all elements.", kOutCasts)
EG_OP(
    +[](const Tensor& input, int64_t dim, bool keepdim, OptDType dtype) {
      if (input.dim() == 0) {
        wrap_dim(dim, 0);
        return to(input, sum_type(input, dtype));
      }
      return product(input, dim, keepdim, dtype);
    },
    "prod(input, dim, keepdim=False, *, dtype=None)", "Product over a dimension.", kOutCasts)

// --- all, any, counts ----------------------------------------------------------------------------------------------

Tensor truth(Reduce op, const Tensor& x, const OptDims& dim, bool keepdim) {
  const DType result = x.dtype() == DType::UInt8 ? DType::UInt8 : DType::Bool;
  if (dim && dim->empty())
    return to(ne(x.detach(), Tensor(0)), result);  // over no dimension, as PyTorch
  const Dims dims = all_or(dim, x.dim());
  if (result == DType::Bool) return reduce_terms(op, {x}, dims, keepdim, result);
  // Of bytes as they are: the smallest or the largest one tells.
  const Reduce extreme = op == Reduce::All ? Reduce::Min : Reduce::Max;
  return to(ne(reduce_terms(extreme, {x}, dims, keepdim, result), Tensor(0)), result);
}
EG_OP(
    +[](const Tensor& input, OptDims dim, bool keepdim) {
      return truth(Reduce::All, input, dim, keepdim);
    },
    "all(input, dim=None, keepdim=False)", "Whether all elements are true.", kOut)
EG_OP(
    +[](const Tensor& input, OptDims dim, bool keepdim) {
      return truth(Reduce::Any, input, dim, keepdim);
    },
    "any(input, dim=None, keepdim=False)", "Whether any element is true.", kOut)
EG_OP(
    +[](const Tensor& input, OptDims dim) {
      const Terms terms{input, Unary::count, nullptr, {}, true};
      return reduce_terms(Reduce::Sum, terms, all_or(dim, input.dim()), false, DType::Int64);
    },
    "count_nonzero(input, dim=None)", "Number of elements that are not zero.")

// --- extremes ----------------------------------------------------------------------------------------------------------

EG_OP(
    +[](const Tensor& input, OptDims dim, bool keepdim) {
      return amax(input, dim ? IntSpan(*dim) : IntSpan(), keepdim);
    },
    "amax(input, dim=(), keepdim=False)", "Largest element; equal ones share the gradient.", kOut)
EG_OP(
    +[](const Tensor& input, OptDims dim, bool keepdim) {
      return amin(input, dim ? IntSpan(*dim) : IntSpan(), keepdim);
    },
    "amin(input, dim=(), keepdim=False)", "Smallest element; equal ones share the gradient.", kOut)
EG_OP(
    +[](const Tensor& input, std::optional<int64_t> dim, bool keepdim) {
      const Dims dims = dim ? Dims{*dim} : Dims{};
      return std::make_tuple(named(amin(input, dims, keepdim), "AminmaxBackward0"),
                             named(amax(input, dims, keepdim), "AminmaxBackward0"));
    },
    "aminmax(input, *, dim=None, keepdim=False) -> (min, max)", "Smallest and largest element.",
    kOut)

template <Arg op>
std::tuple<Tensor, Tensor> extreme_of(const Tensor& x, int64_t dim) {
  const DType type = line_type(x.dtype());
  const Tensor cx = cast_data(x, type);
  const Layout l(cx, {dim}, memory_order(cx, {dim}));
  Tensor at = empty(l.kept, DType::Int64), values = empty(l.kept, compute_type(type));
  kernels<ReduceKernels>().arg(op, type, l.data.raw(), at.data<int64_t>(), values.raw(), l.outer,
                               l.length, l.inner);
  return {cast_data(values, x.dtype()), at};
}

// Along one dimension: values with their positions; the gradient goes to the position.
template <Arg op>
struct AlongDim {
  static constexpr const char* name = op == Arg::Max ? "Max" : "Min";
  int64_t dim;
  bool keepdim;
  Dims sizes;
  std::tuple<Tensor, Tensor> forward(Context& ctx, const Tensor& x) {
    sizes = x.sizes();
    auto [values, at] = extreme_of<op>(x, dim);
    if (!keepdim) {
      Dims squeezed = at.sizes();
      squeezed.erase(size_t(dim));
      values = alias(values, squeezed, contiguous_strides(squeezed), 0);
      at = alias(at, squeezed, contiguous_strides(squeezed), 0);
    }
    ctx.save(at);
    return {values, at};
  }
  Tensors backward(Context& ctx, const Tensors& g) {
    const Tensor at = with_kept_dims(ctx.saved(0), {dim}, keepdim);
    return {scatter_add(zeros(sizes, g[0].dtype()), dim, at, with_kept_dims(g[0], {dim}, keepdim))};
  }
};
template <Arg op>
std::tuple<Tensor, Tensor> along_dim(const Tensor& x, int64_t dim, bool keepdim) {
  const int64_t d = wrap_dim(dim, x.dim());
  if (x.dim() == 0) return {mul(x, ones_like(x)), zeros({}, DType::Int64)};
  check_nonempty(x, {d}, {d}, op == Arg::Max ? "max" : "min");
  return apply(AlongDim<op>{d, keepdim, {}}, x);
}
Tensor extreme_of_all(const Tensor& x, const char* op, bool largest) {
  EG_CHECK(x.numel() > 0, op,
           "(): Expected reduction dim to be specified for input.numel() == 0. "
           "Specify the reduction dim with the 'dim' argument.");
  return largest ? named(amax(x, {}), "MaxBackward1") : named(amin(x, {}), "MinBackward1");
}
EG_OP(
    +[](const Tensor& input) { return extreme_of_all(input, "max", true); }, "max(input)",
    "Largest element.", kOutCasts)
EG_OP(
    +[](const Tensor& input, const Tensor& other) { return maximum(input, other); },
    "max(input, other)", "Larger of two elements.", kOutCasts)
EG_OP(
    +[](const Tensor& input, int64_t dim, bool keepdim) {
      return along_dim<Arg::Max>(input, dim, keepdim);
    },
    "max(input, dim, keepdim=False) -> (values, indices)",
    "Largest elements along a dimension and where they are.", kOut)
EG_OP(
    +[](const Tensor& input) { return extreme_of_all(input, "min", false); }, "min(input)",
    "Smallest element.", kOutCasts)
EG_OP(
    +[](const Tensor& input, const Tensor& other) { return minimum(input, other); },
    "min(input, other)", "Smaller of two elements.", kOutCasts)
EG_OP(
    +[](const Tensor& input, int64_t dim, bool keepdim) {
      return along_dim<Arg::Min>(input, dim, keepdim);
    },
    "min(input, dim, keepdim=False) -> (values, indices)",
    "Smallest elements along a dimension and where they are.", kOut)

template <Arg op>
Tensor position(const Tensor& x, std::optional<int64_t> dim, bool keepdim) {
  const char* name = op == Arg::Max ? "argmax" : "argmin";
  EG_CHECK_KIND(NotImplemented, x.dtype() != DType::Bool, "\"", name,
                "\" not implemented for 'Bool'");
  if (!dim) {
    EG_CHECK_INDEX(x.numel() > 0, name,
                   "(): Expected reduction dim to be specified for input.numel() == 0.");
    const Tensor flat = contiguous_data(x);
    const Tensor at = std::get<1>(extreme_of<op>(alias(flat, {x.numel()}, {1}, flat.offset()), 0));
    const Dims sizes(keepdim ? size_t(x.dim()) : 0, 1);
    return alias(at, sizes, contiguous_strides(sizes), 0);
  }
  const int64_t d = wrap_dim(*dim, x.dim());
  if (x.dim() == 0) return zeros({}, DType::Int64);
  check_nonempty(x, {d}, {d}, name);
  Tensor at = std::get<1>(extreme_of<op>(x, d));
  if (keepdim) return at;
  Dims squeezed = at.sizes();
  squeezed.erase(size_t(d));
  return alias(at, squeezed, contiguous_strides(squeezed), 0);
}
EG_OP(
    +[](const Tensor& input, std::optional<int64_t> dim, bool keepdim) {
      return position<Arg::Max>(input, dim, keepdim);
    },
    "argmax(input, dim=None, keepdim=False)", "Position of the largest element.", kOut)
EG_OP(
    +[](const Tensor& input, std::optional<int64_t> dim, bool keepdim) {
      return position<Arg::Min>(input, dim, keepdim);
    },
    "argmin(input, dim=None, keepdim=False)", "Position of the smallest element.", kOut)

// --- variance -------------------------------------------------------------------------------------------------------------

std::tuple<Tensor, Tensor> var_mean(const char* name, const Tensor& x, const OptDims& dim,
                                    double correction, bool keepdim, const char* title) {
  EG_CHECK(x.is_floating(), "std and var only support floating point dtypes, got ", x.dtype());
  auto result = apply(Variance{all_or(dim, x.dim()), correction, keepdim, 0, title}, x);
  const int64_t results = std::get<0>(result).numel();
  if (EG_UNLIKELY(results > 0 && double(x.numel() / results) <= correction) && warn_user)
    warn_user(str(name,
                  "(): degrees of freedom is <= 0. Correction should be strictly less than the "
                  "reduction factor (input numel divided by output numel)."));
  return result;
}
double corrected(const std::optional<Scalar>& correction) {
  return correction ? correction->to_double() : 1;
}

#define EG_VARIANCE(NAME, TITLE, RESULT, FIELDS, MAKE)                                        \
  EG_OP(                                                                                      \
      +[](const Tensor& input, OptDims dim, std::optional<Scalar> correction, bool keepdim) { \
        return MAKE(var_mean(NAME, input, dim, corrected(correction), keepdim, TITLE));       \
      },                                                                                      \
      NAME "(input, dim=None, *, correction=None, keepdim=False)" FIELDS, RESULT, kOutCasts)  \
  EG_OP(                                                                                      \
      +[](const Tensor& input, bool unbiased) {                                               \
        return MAKE(var_mean(NAME, input, std::nullopt, unbiased, false, TITLE));             \
      },                                                                                      \
      NAME "(input, unbiased)" FIELDS, RESULT, kOutCasts)                                     \
  EG_OP(                                                                                      \
      +[](const Tensor& input, OptDims dim, bool unbiased, bool keepdim) {                    \
        return MAKE(var_mean(NAME, input, dim, unbiased, keepdim, TITLE));                    \
      },                                                                                      \
      NAME "(input, dim, unbiased=True, keepdim=False)" FIELDS, RESULT, kOutCasts)
using Pair = std::tuple<Tensor, Tensor>;
Tensor just_variance(const Pair& p) { return std::get<0>(p); }
// The root of a variance; of equal elements its gradient is 0.
struct Deviation {
  static constexpr const char* name = "Std";
  Tensor forward(Context& ctx, const Tensor& variance) {
    const Tensor y = sqrt(variance);
    ctx.save(y);
    return y;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor y = ctx.saved(0), none = eq(y, Tensor(0));
    // No division by 0 where it is thrown away: its derivative would not be.
    const Tensor twice = where(none, Tensor(1.0), mul(y, Tensor(2)));
    return {where(none, Tensor(0.0), div(g, twice))};
  }
};
Tensor deviation(const Tensor& variance) { return apply(Deviation{}, variance); }
Tensor just_deviation(const Pair& p) { return deviation(std::get<0>(p)); }
Pair both(const Pair& p) { return p; }
Pair deviation_and_mean(const Pair& p) {
  return {named(deviation(std::get<0>(p)), "StdMeanBackward0"), std::get<1>(p)};
}
EG_VARIANCE("var", "VarBackward0", "Variance (divided by n - correction).", "", just_variance)
EG_VARIANCE("std", "VarBackward0", "Standard deviation (of n - correction).", "", just_deviation)
EG_VARIANCE("var_mean", "VarMeanBackward0", "Variance and mean.", "", both)
EG_VARIANCE("std_mean", "StdMeanBackward0", "Standard deviation and mean.", "", deviation_and_mean)

EG_OP(
    +[](const Tensor& input, Dims dim, bool keepdim) { return logsumexp(input, dim, keepdim); },
    "logsumexp(input, dim, keepdim=False)", "log of the sum of exp, without overflow.", kOutCasts)

}  // namespace
}  // namespace eg
