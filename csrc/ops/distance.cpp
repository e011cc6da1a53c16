// Distances between the rows of two matrices, or of one.
#include "kernels/distance.h"

#include <cmath>

#include "ops/ops.h"
#include "ops/recompute.h"
#include "ops/registry.h"
#include "ops/spatial.h"
#include "tape/function.h"

namespace eg {

// ops/vector_norm.cpp
Tensor vector_norm(const Tensor& x, double p, const std::optional<Dims>& dims, bool keepdim);

namespace {

// The same by differentiable ops.
Tensor composed(const Tensor& a, const Tensor& b, double p, bool pairs) {
  if (!pairs) return vector_norm(unsqueeze(a, -2) - unsqueeze(b, -3), p, Dims{-1}, false);
  const int64_t n = a.size(0);
  const Tensor rows = empty({n * (n - 1) / 2}, DType::Int64, Device{});
  const Tensor columns = empty(rows.sizes(), DType::Int64, Device{});
  for (int64_t i = 0, at = 0; i < n; ++i)
    for (int64_t j = i + 1; j < n; ++j, ++at) {
      rows.data<int64_t>()[at] = i;
      columns.data<int64_t>()[at] = j;
    }
  const auto picked = [&a](const Tensor& at) {
    return index_select(a, 0, device_data(at, a.device()));
  };
  return vector_norm(picked(rows) - picked(columns), p, Dims{-1}, false);
}

struct Distance {
  static constexpr const char* name = "Cdist";
  double p;
  bool pairs;
  Dims batch = {};

  std::string title() const { return pairs ? "PdistBackward0" : "CdistBackward0"; }
  DistanceShape shape(const Tensor& a, const Tensor& b) const {
    int64_t count = 1;
    for (int64_t n : batch) count *= n;
    return {count, a.size(-2), b.size(-2), a.size(-1), pairs, p};
  }
  Tensor rows_of(const Tensor& x) const {
    Dims sizes = batch;
    sizes.append(x.sizes().end() - 2, x.sizes().end());
    return kernel_input(expand(x.detach(), sizes));
  }
  Tensor forward(Context& ctx, const Tensor& a, const Tensor& b) {
    const IntSpan ahead(a.sizes().data(), size_t(a.dim() - 2));
    batch = broadcast_shapes(ahead, IntSpan(b.sizes().data(), size_t(b.dim() - 2)));
    const Tensor x = rows_of(a), z = rows_of(b);
    const DistanceShape s = shape(a, b);
    Dims sizes = batch;
    if (pairs) {
      sizes.push_back(s.a_rows * (s.a_rows - 1) / 2);
    } else {
      sizes.push_back(s.a_rows), sizes.push_back(s.b_rows);
    }
    const Tensor y = empty(sizes, x.dtype());
    if (y.numel() > 0) kernels<DistanceKernels>().forward(s, x.dtype(), x.raw(), z.raw(), y.raw());
    for (const Tensor& t : {a, b, y})
      ctx.save(t);  // as backward compares it: not rounded to halves
    return cast_data(y, a.dtype());
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor a = ctx.saved(0), b = ctx.saved(1);
    if (grad_enabled())
      return recompute_gradients(ctx, {a, b}, {g}, [&](const TensorList& in) {
        return TensorList{composed(in[0], pairs ? in[0] : in[1], p, pairs)};
      });
    Tensors out(2);
    const Tensor x = rows_of(a), z = rows_of(b), cg = kernel_input(g),
                 y = kernel_input(ctx.saved(2));
    for (int i = 0; i < (pairs ? 1 : 2); ++i) {
      if (!ctx.needs(i)) continue;
      out[i] = empty((i ? z : x).sizes(), x.dtype());
      if (out[i].numel() > 0)
        kernels<DistanceKernels>().backward(shape(a, b), x.dtype(), i == 1, cg.raw(), x.raw(),
                                            z.raw(), y.raw(), out[i].raw());
      out[i] = cast_data(out[i], a.dtype());
    }
    return out;
  }
};

Tensor distances(const Tensor& a, const Tensor& b, double p, bool pairs) {
  const DType t = result_type(a, b);
  EG_CHECK_KIND(NotImplemented, is_floating(t), "[", pairs ? "pdist" : "cdist",
                "] expected floating point rows, got ", a.dtype());
  EG_CHECK(a.dim() >= 2 && b.dim() >= 2 && a.size(-1) == b.size(-1) && (!pairs || a.dim() == 2),
           "[", pairs ? "pdist" : "cdist", "] rows of shapes ", a.sizes(), " and ", b.sizes(),
           " do not fit");
  const Tensor x = to(a, t), z = to(b, t);
  if (!x.device().is_cpu()) return composed(x, z, p, pairs);
  return apply(Distance{p, pairs}, x, pairs ? x.detach() : z);
}

EG_OP(&distances, "_distances(input, other, p, pairs)",
      "p-norms of the differences of every two rows; of one matrix, of every two different ones.",
      kInternal)

}  // namespace
}  // namespace eg
