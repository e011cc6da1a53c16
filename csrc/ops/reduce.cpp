#include "core/iterate.h"
#include "ops/ops.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {
namespace {

struct Sum {
  static constexpr const char* name = "Sum";
  Dims dims;
  bool keepdim;
  Dims sizes;
  Tensor forward(Context&, const Tensor& x) {
    sizes = x.sizes();
    Dims kept = sizes, out_sizes;
    for (int64_t d : dims) kept[d] = 1;
    Tensor out = zeros(kept, x.dtype());
    Dims strides = out.strides();
    for (int64_t d : dims) strides[d] = 0;
    Walk walk(sizes);
    walk.add(out.raw(), sizes, strides, out.item_size());
    walk.add(x);
    walk.finish();
    const int64_t* s = walk.line_strides();
    visit_compute(x.dtype(), [&](auto zero) {
      using T = decltype(zero);
      walk.run(0, walk.numel(), [&](char* const* p, int64_t n) {
        for (int64_t i = 0; i < n; ++i)
          *reinterpret_cast<T*>(p[0] + i * s[0]) += *reinterpret_cast<T*>(p[1] + i * s[1]);
      });
    });
    if (keepdim) return out;
    for (int64_t d = 0; d < x.dim(); ++d)
      if (std::find(dims.begin(), dims.end(), d) == dims.end()) out_sizes.push_back(sizes[d]);
    return alias(out, out_sizes, contiguous_strides(out_sizes), 0);
  }
  Tensors backward(Context&, const Tensor& g) {
    Tensor wide = g;
    if (!keepdim) {
      Dims sorted = dims;
      std::sort(sorted.begin(), sorted.end());
      for (int64_t d : sorted) wide = unsqueeze(wide, d);
    }
    return {expand(wide, sizes)};
  }
};

}  // namespace

Tensor sum(const Tensor& x, IntSpan dims, bool keepdim, std::optional<DType> dtype) {
  DType t = dtype.value_or(is_floating(x.dtype()) ? x.dtype() : DType::Int64);
  return apply(Sum{wrap_dims(dims, x.dim()), keepdim, {}}, to(x, t));
}
Tensor sum(const Tensor& x) { return sum(x, {}, false); }
Tensor sum_to(const Tensor& x, IntSpan sizes) {
  Dims dims;
  const int64_t extra = x.dim() - int64_t(sizes.size());
  for (int64_t d = 0; d < x.dim(); ++d)
    if (d < extra || (sizes[d - extra] == 1 && x.sizes()[d] != 1)) dims.push_back(d);
  if (dims.empty()) return x;
  Tensor y = sum(x, dims, true);
  return view(y, sizes);
}

EG_OP(+[](const Tensor& input, std::optional<Dims> dim, bool keepdim, std::optional<DType> dtype) {
        return sum(input, dim ? IntSpan(*dim) : IntSpan(), keepdim, dtype);
      }, "sum(input, dim=None, keepdim=False, *, dtype=None)", "Sum.", kOut)

}  // namespace eg
