// Pooling over windows, its inverse, and sliding blocks as columns.
#include "kernels/pool.h"

#include <algorithm>
#include <cstring>

#include "ops/copy.h"
#include "ops/index.h"
#include "ops/registry.h"
#include "ops/spatial.h"
#include "ops/tied.h"
#include "ops/vision.h"
#include "tape/function.h"

namespace eg {
namespace {

// --- by index: each the gradient of the other ------------------------------------------------------------------------

int64_t last_numel(IntSpan sizes, int64_t dims) {
  int64_t n = 1;
  for (size_t i = sizes.size() - dims; i < sizes.size(); ++i) n *= sizes[i];
  return n;
}

Tensor plane_gather(const Tensor& x, const Tensor& index, int64_t dims);

// y[plane][index] (+)= x[plane], planes being the last `dims` dimensions.
struct PlaneScatter {
  static constexpr const char* name = "PoolScatter";
  Dims sizes;
  int64_t dims;
  bool add;
  std::string title() const { return add ? name : pool_title("MaxUnpool", dims); }
  Tensor forward(Context& ctx, const Tensor& x, const Tensor& index) {
    ctx.save(index);
    if (x.numel() == 0) return zeros(sizes, x.dtype());
    const Tensor cx = kernel_input(x), at = contiguous_data(index);
    Tensor y = empty(sizes, cx.dtype());
    const int64_t from = last_numel(x.sizes(), dims), to = last_numel(sizes, dims);
    kernels<PoolKernels>().scatter(cx.dtype(), add, x.numel() / from, from, to, cx.raw(),
                                   at.data<int64_t>(), y.raw());
    return as_lies(x, cast_data(y, x.dtype()));
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {plane_gather(g, ctx.saved(0), dims), Tensor()};
  }
};

struct PlaneGather {
  static constexpr const char* name = "PoolGather";
  Dims from;
  int64_t dims;
  Tensor forward(Context& ctx, const Tensor& x, const Tensor& index) {
    ctx.save(index);
    if (index.numel() == 0) return empty(index.sizes(), x.dtype());
    const Tensor cx = kernel_input(x), at = contiguous_data(index);
    Tensor y = empty(index.sizes(), cx.dtype());
    const int64_t to = last_numel(index.sizes(), dims);
    kernels<PoolKernels>().gather(cx.dtype(), index.numel() / to, last_numel(from, dims), to,
                                  cx.raw(), at.data<int64_t>(), y.raw());
    return cast_data(y, x.dtype());
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {apply(PlaneScatter{from, dims, true}, g, ctx.saved(0)), Tensor()};
  }
};

Tensor plane_gather(const Tensor& x, const Tensor& index, int64_t dims) {
  return apply(PlaneGather{x.sizes(), dims}, x, index);
}

EG_OP(
    +[](const Tensor& input, const Tensor& index, int64_t dims) {
      return plane_gather(input, index, dims);
    },
    "_plane_gather(input, index, dims)",
    "Elements of each plane, the last `dims` dimensions, by positions in it that are in range.",
    kInternal)

// --- windows ---------------------------------------------------------------------------------------------------------

struct Windows {
  Dims kernel, stride, padding, dilation;
  bool ceil_mode;
};

Windows windows(const char* op, int64_t dims, const Dims& kernel, const std::optional<Dims>& stride,
                const Dims& padding, const Dims& dilation, bool ceil_mode) {
  Windows w;
  w.kernel = per_dim(op, "kernel_size", kernel, dims);
  w.stride = stride && !stride->empty() ? per_dim(op, "stride", *stride, dims) : w.kernel;
  w.padding = per_dim(op, "padding", padding, dims);
  w.dilation = per_dim(op, "dilation", dilation, dims);
  w.ceil_mode = ceil_mode;
  for (int64_t i = 0; i < dims; ++i) {
    EG_CHECK(w.kernel[i] > 0, "[", op, "] kernel_size should be positive, got ", w.kernel);
    EG_CHECK(w.stride[i] > 0, "[", op, "] stride should be positive, got ", w.stride);
    EG_CHECK(w.dilation[i] > 0, "[", op, "] dilation should be positive, got ", w.dilation);
    EG_CHECK(w.padding[i] >= 0 && 2 * w.padding[i] <= w.dilation[i] * (w.kernel[i] - 1) + 1, "[",
             op, "] padding should be between 0 and half of the kernel size, got padding ",
             w.padding, " for kernel_size ", w.kernel, ", dilation ", w.dilation);
  }
  return w;
}

// The dimensions from `filled` on hold something; by default all but the batch do.
void check_input(const char* op, const Tensor& x, int64_t dims, int64_t filled = -1) {
  EG_CHECK(x.dim() == dims + 1 || x.dim() == dims + 2, "[", op, "] expected a ", dims + 1,
           "-d (unbatched) or ", dims + 2, "-d (batched) input, got shape ", x.sizes());
  for (int64_t i = filled < 0 ? x.dim() - dims - 1 : filled; i < x.dim(); ++i) {
    EG_CHECK(x.size(i) > 0, "[", op,
             "] dimensions other than the batch should not be empty, got shape ", x.sizes());
  }
}
void check_floating(const char* op, const Tensor& x) {
  EG_CHECK_KIND(NotImplemented, x.is_floating(), "[", op, "] expected a floating-point input, got ",
                x.dtype(), "; convert it with .float()");
}

int64_t window_count(const char* op, const Windows& w, int64_t i, int64_t in, IntSpan sizes) {
  const int64_t reach = w.dilation[i] * (w.kernel[i] - 1) + 1, room = in + 2 * w.padding[i] - reach;
  int64_t n =
      room < 0 && !w.ceil_mode ? 0 : (room + (w.ceil_mode ? w.stride[i] - 1 : 0)) / w.stride[i] + 1;
  if (room + (w.ceil_mode ? w.stride[i] - 1 : 0) < 0) n = 0;
  // The last window starts inside the input or its front padding.
  if (w.ceil_mode && (n - 1) * w.stride[i] >= in + w.padding[i]) --n;
  EG_CHECK(n >= 1, "[", op, "] the window (", reach,
           " with dilation) is larger than the padded input (", in + 2 * w.padding[i],
           ") in spatial dimension ", i, ": input ", sizes, ", kernel_size ", w.kernel,
           ", padding ", w.padding);
  return n;
}

// --- maximum ---------------------------------------------------------------------------------------------------------

// Windows of a pass, as the kernel takes them: over the last `dims` of three dimensions or, of images whose channels lie last, over the
// first ones.
struct WindowTables {
  std::vector<int64_t> begin[3], end[3];
  int64_t step[3] = {1, 1, 1};
  int64_t first;  // the first dimension with windows

  WindowTables(int64_t dims, int64_t channels) : first(channels > 0 ? 0 : 3 - dims) {
    for (int64_t i = 0; i < first; ++i) add(i, 0, 1);
    for (int64_t c = 0; c < channels; ++c) add(2, c, c + 1);
  }
  void add(int64_t i, int64_t from, int64_t to) { begin[i].push_back(from), end[i].push_back(to); }
  bool is_small() const { return begin[0].size() + begin[1].size() + begin[2].size() <= 1 << 12; }
};

TableCache<WindowTables>& window_cache() {
  static auto& cache = *new TableCache<WindowTables>;  // outlives threads that still run at exit
  return cache;
}

// Extents of an input of these sizes under `dims` pooled dimensions.
PoolShape pool_shape(const WindowTables& tables, IntSpan sizes, int64_t dims) {
  PoolShape s;
  s.planes = 1;
  for (size_t i = 0; i < sizes.size() - dims; ++i) s.planes *= sizes[i];
  for (int64_t i = 0; i < 3; ++i) {
    s.in[i] = i < 3 - dims ? 1 : sizes[sizes.size() - 3 + i];
    s.out[i] = int64_t(tables.begin[i].size());
    s.begin[i] = tables.begin[i].data(), s.end[i] = tables.end[i].data();
    s.step[i] = tables.step[i];
  }
  return s;
}

struct MaxPoolGrad {
  static constexpr const char* name = "MaxPoolGrad";
  std::shared_ptr<const WindowTables> tables;
  Dims sizes;  // of the pooled tensor
  int64_t dims;
  Tensor forward(Context& ctx, const Tensor& g, const Tensor& index) {
    ctx.save(index);
    const PoolShape s = pool_shape(*tables, sizes, dims);
    const Tensor cg = kernel_input(g);
    Tensor gx = empty(sizes, cg.dtype());
    if (gx.numel() > 0)
      kernels<PoolKernels>().max_pool_backward(s, cg.dtype(), cg.raw(), index.data<int64_t>(),
                                               gx.raw());
    return cast_data(gx, g.dtype());
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {plane_gather(g, ctx.saved(0), dims), Tensor()};
  }
};

// Channels of pixels that pools take as they lie, or 0. Kernels count an image's elements in 32 bits.
int64_t pixel_channels(const Tensor& x, int64_t dims) {
  return dims == 2 && has_pixels(x) && x.numel() / x.size(0) <= INT32_MAX ? x.size(1) : 0;
}

struct MaxPool {
  static constexpr const char* name = "MaxPool";
  std::shared_ptr<const WindowTables> tables;
  int64_t dims, channels;
  bool adaptive;
  Tensor* indices;  // where the caller wants them, or null; valid during forward only
  Tensor forward(Context& ctx, const Tensor& x) {
    const bool pixels = channels > 0;
    in_sizes = pixels ? to_pixels(x).sizes() : x.sizes();
    const PoolShape s = pool_shape(*tables, in_sizes, planes_dims());
    Dims sizes = x.sizes(), places = in_sizes;
    for (int64_t i = 0; i < dims; ++i) sizes[x.dim() - dims + i] = s.out[tables->first + i];
    for (int64_t i = 3 - planes_dims(); i < 3; ++i) places[x.dim() - 3 + i] = s.out[i];
    const Tensor cx = pixels ? cast_pixels(x, compute_type(x.dtype())) : kernel_input(x);
    Tensor y = pixels ? empty_as_lies(x, sizes, cx.dtype()) : empty(sizes, cx.dtype());
    Tensor at = ctx.recording() || indices ? empty(places, DType::Int64) : Tensor();
    if (y.numel() > 0) {
      kernels<PoolKernels>().max_pool(s, cx.dtype(), cx.raw(), y.raw(),
                                      at.defined() ? at.data<int64_t>() : nullptr);
    }
    const bool keeps = !adaptive || dims < 3;
    if (indices)
      *indices = pixels  ? floor_divide(from_pixels(at), Tensor(Scalar(channels)))
                 : keeps ? as_lies(x, at)
                         : at;
    indices = nullptr;
    if (at.defined()) ctx.save(at);
    if (pixels) return cast_pixels(y, x.dtype());
    y = cast_data(y, x.dtype());
    return keeps ? as_lies(x, y) : y;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const MaxPoolGrad back{tables, in_sizes, planes_dims()};
    return {tied(*ctx.node(), 0,
                 channels > 0 ? from_pixels(apply(back, to_pixels(g), ctx.saved(0)))
                              : apply(back, g, ctx.saved(0)))};
  }
  std::string title() const {
    return adaptive ? pool_title("AdaptiveMaxPool", dims)
                    : pool_title("MaxPool", dims, "WithIndices");
  }
  int64_t planes_dims() const { return channels > 0 ? 3 : dims; }
  Dims in_sizes = {};
};

constexpr const char* kMaxNames[] = {"", "max_pool1d", "max_pool2d", "max_pool3d"};

std::shared_ptr<WindowTables> max_tables(const char* op, int64_t dims, const Tensor& x,
                                         const Windows& w) {
  auto t = std::make_shared<WindowTables>(dims, pixel_channels(x, dims));
  for (int64_t i = 0; i < dims; ++i) {
    const int64_t j = t->first + i, in = x.size(x.dim() - dims + i),
                  n = window_count(op, w, i, in, x.sizes());
    t->step[j] = w.dilation[i];
    t->begin[j].reserve(size_t(n)), t->end[j].reserve(size_t(n));
    for (int64_t o = 0; o < n; ++o) {
      int64_t begin = o * w.stride[i] - w.padding[i];
      const int64_t end = std::min(begin + (w.kernel[i] - 1) * w.dilation[i] + 1, in);
      while (begin < 0) begin += w.dilation[i];
      EG_CHECK(begin < end, "[", op, "] window ", o, " of spatial dimension ", i,
               " sees only padding: input ", x.sizes(), ", kernel_size ", w.kernel, ", padding ",
               w.padding, ", dilation ", w.dilation);
      t->add(j, begin, end);
    }
  }
  return t;
}

Tensor max_pool_nd(int64_t dims, const Tensor& x, const Dims& kernel,
                   const std::optional<Dims>& stride, const Dims& padding, const Dims& dilation,
                   bool ceil_mode, Tensor* indices) {
  const char* op = kMaxNames[dims];
  const Windows w = windows(op, dims, kernel, stride, padding, dilation, ceil_mode);
  check_input(op, x, dims);
  EG_CHECK_KIND(NotImplemented, x.dtype() != DType::Bool, "[", op, "] takes numbers, got bool");
  const int64_t channels = pixel_channels(x, dims);
  TableKey key{0, dims, ceil_mode, channels};
  for (int64_t i = 0; i < dims; ++i)
    for (int64_t n :
         {x.size(x.dim() - dims + i), w.kernel[i], w.stride[i], w.padding[i], w.dilation[i]})
      key.add(n);
  const auto tables = window_cache().get(key, [&] { return max_tables(op, dims, x, w); });
  return apply(MaxPool{tables, dims, channels, false, indices}, x);
}

template <int N>
Tensor max_pool(const Tensor& x, const Dims& kernel, const std::optional<Dims>& stride,
                const Dims& padding, const Dims& dilation, bool ceil_mode) {
  return max_pool_nd(N, x, kernel, stride, padding, dilation, ceil_mode, nullptr);
}
template <int N>
std::tuple<Tensor, Tensor> max_pool_with_indices(const Tensor& x, const Dims& kernel,
                                                 const std::optional<Dims>& stride,
                                                 const Dims& padding, const Dims& dilation,
                                                 bool ceil_mode) {
  Tensor indices;
  Tensor y = max_pool_nd(N, x, kernel, stride, padding, dilation, ceil_mode, &indices);
  return {y, indices};
}

// No planes are pooled as PyTorch does it: `filled` as above.
void check_output_size(const char* op, const Tensor& x, const Dims& size, int64_t filled) {
  const int64_t dims = int64_t(size.size());
  EG_CHECK_VALUE(x.dim() > dims, "[", op, "] Input dimension should be at least ", dims + 1,
                 ", got shape ", x.sizes());
  check_input(op, x, dims, filled);
  for (int64_t n : size)
    EG_CHECK(n >= 0, "[", op, "] output sizes should not be negative, got ", size);
}

std::tuple<Tensor, Tensor> adaptive_max_pool(const Tensor& x, const Dims& size) {
  check_floating("adaptive_max_pool", x);
  const int64_t dims = static_cast<int64_t>(size.size());
  check_output_size("adaptive_max_pool", x, size, 1);
  Dims out = x.sizes();
  bool any = true;
  const int64_t channels = pixel_channels(x, dims);
  TableKey key{1, dims, channels};
  for (int64_t i = 0; i < dims; ++i) {
    int64_t& n = out[x.dim() - dims + i];
    for (int64_t number : {n, size[i]}) key.add(number);
    n = size[i];
    any = any && n > 0;
  }
  if (!any) return {empty(out, x.dtype(), x.device()), empty(out, DType::Int64, x.device())};
  const auto tables = window_cache().get(key, [&] {
    auto t = std::make_shared<WindowTables>(dims, channels);
    for (int64_t i = 0; i < dims; ++i) {
      const int64_t j = t->first + i, in = x.size(x.dim() - dims + i), n = size[i];
      t->begin[j].reserve(size_t(n)), t->end[j].reserve(size_t(n));
      for (int64_t o = 0; o < n; ++o) t->add(j, o * in / n, ((o + 1) * in + n - 1) / n);
    }
    return t;
  });
  Tensor indices;
  Tensor y = apply(MaxPool{tables, dims, channels, true, &indices}, x);
  return {y, indices};
}

// Positions in planes of n elements, in range.
Tensor checked_places(const Tensor& indices, int64_t n, const Dims& size) {
  if (!indices.device().is_cpu())
    return checked_index({"max_unpool", ErrorKind::Runtime}, indices, n, indices.dim() - 1);
  const Tensor at = contiguous_data(indices);
  const int64_t* p = at.data<int64_t>();
  for (int64_t i = 0; i < at.numel(); ++i)
    EG_CHECK(p[i] >= 0 && p[i] < n, "[max_unpool] found an invalid max index: ", p[i],
             " (the output volume is ", size, "); was another output_size meant?");
  return at;
}

Tensor max_unpool(const Tensor& x, const Tensor& indices, const Dims& size) {
  const int64_t dims = static_cast<int64_t>(size.size());
  EG_CHECK(indices.dtype() == DType::Int64, "[max_unpool] indices should be int64, got ",
           indices.dtype());
  EG_CHECK(indices.sizes() == x.sizes(), "[max_unpool] indices should have the input's shape ",
           x.sizes(), ", got ", indices.sizes());
  check_input("max_unpool", x, dims);
  check_floating("max_unpool", x);
  Dims sizes = x.sizes();
  for (int64_t i = 0; i < dims; ++i) sizes[sizes.size() - dims + i] = size[i];
  const int64_t n = last_numel(sizes, dims);
  return apply(PlaneScatter{sizes, dims, false}, x, checked_places(indices, n, size));
}

// --- average -----------------------------------------------------------------------------------------------------------

// Which elements each window of a dimension averages.
LineTables mean_tables(const char* op, int64_t dims, const Tensor& x, const Windows& w,
                       bool count_include_pad, const std::optional<int64_t>& divisor) {
  LineTables tables;
  for (int64_t i = 0; i < dims; ++i) {
    const int64_t in = x.size(x.dim() - dims + i), n = window_count(op, w, i, in, x.sizes());
    LineTable t(in, n);
    for (int64_t o = 0; o < n; ++o) {
      const int64_t from = o * w.stride[i] - w.padding[i];
      const int64_t to = std::min(from + w.kernel[i], in + w.padding[i]);
      const int64_t begin = std::max<int64_t>(from, 0), end = std::min(to, in);
      const double count = double(count_include_pad ? to - from : end - begin);
      // The override divides once, not in every dimension.
      const double weight = !divisor ? 1 / count : i == 0 ? 1 / double(*divisor) : 1.0;
      for (int64_t k = begin; k < end; ++k) t.add(k, weight);
      t.end_row();
    }
    tables.push_back(std::move(t));
  }
  return tables;
}

Tensor avg_pool_nd(const char* op, int64_t dims, const Tensor& x, const Dims& kernel,
                   const std::optional<Dims>& stride, const Dims& padding, bool ceil_mode,
                   bool count_include_pad, const std::optional<int64_t>& divisor) {
  if (x.dtype() == DType::Int64) {  // rounded towards zero
    const Tensor mean = avg_pool_nd(op, dims, to(x, DType::Float64), kernel, stride, padding,
                                    ceil_mode, count_include_pad, divisor);
    // Quotients by n lie 1 / n apart: a quarter of that tells 2.9999 from what lies below 3.
    double n = divisor ? std::abs(double(*divisor)) : 1;
    for (int64_t i = 0; !divisor && i < dims; ++i)
      n *= double(kernel.size() == 1 ? kernel[0] : kernel[i]);
    return to(trunc(add(mean, mul(sign(mean), Tensor(0.25 / n)))), DType::Int64);
  }
  const Windows w = windows(op, dims, kernel, stride, padding, Dims{1}, ceil_mode);
  check_input(op, x, dims);
  check_floating(op, x);
  EG_CHECK(!divisor || *divisor != 0, "[", op, "] divisor_override should not be zero");
  TableKey key{int64_t(TableKind::AvgPool), dims, ceil_mode, count_include_pad,
               divisor.value_or(0)};
  for (int64_t i = 0; i < dims; ++i)
    for (int64_t n : {x.size(x.dim() - dims + i), w.kernel[i], w.stride[i], w.padding[i]})
      key.add(n);
  const auto maps =
      separable(key, [&] { return mean_tables(op, dims, x, w, count_include_pad, divisor); });
  return resample(pool_title("AvgPool", dims), x, dims, maps, dims < 3);
}

Tensor avg_pool1d(const Tensor& x, const Dims& kernel, const std::optional<Dims>& stride,
                  const Dims& padding, bool ceil_mode, bool count_include_pad) {
  return avg_pool_nd("avg_pool1d", 1, x, kernel, stride, padding, ceil_mode, count_include_pad, {});
}
template <int N>
Tensor avg_pool(const Tensor& x, const Dims& kernel, const std::optional<Dims>& stride,
                const Dims& padding, bool ceil_mode, bool count_include_pad,
                const std::optional<int64_t>& divisor) {
  return avg_pool_nd(N == 2 ? "avg_pool2d" : "avg_pool3d", N, x, kernel, stride, padding, ceil_mode,
                     count_include_pad, divisor);
}

Tensor adaptive_avg_pool(const Tensor& x, const Dims& size) {
  const int64_t dims = static_cast<int64_t>(size.size());
  check_output_size("adaptive_avg_pool", x, size, size.size() < 3 ? x.dim() - size.size() : 1);
  check_floating("adaptive_avg_pool", x);
  // Sums of a few channels that lie last are slower by reductions.
  const bool few = has_pixels(x) && x.size(1) <= 8;
  if (!few && std::all_of(size.begin(), size.end(), [](int64_t n) { return n == 1; })) {
    Dims last;
    for (int64_t i = 0; i < dims; ++i) last.push_back(x.dim() - dims + i);
    return mean(x, last, true);
  }
  TableKey key{int64_t(TableKind::AdaptiveAvgPool), dims};
  for (int64_t i = 0; i < dims; ++i)
    for (int64_t n : {x.size(x.dim() - dims + i), size[i]}) key.add(n);
  const auto maps = separable(key, [&] {
    LineTables tables;
    for (int64_t i = 0; i < dims; ++i) {
      const int64_t in = x.size(x.dim() - dims + i), n = size[i];
      LineTable t(in, n);
      for (int64_t o = 0; o < n; ++o) {
        const int64_t begin = o * in / n, end = ((o + 1) * in + n - 1) / n;
        for (int64_t k = begin; k < end; ++k) t.add(k, 1 / double(end - begin));
        t.end_row();
      }
      tables.push_back(std::move(t));
    }
    return tables;
  });
  return resample(pool_title("AdaptiveAvgPool", dims), x, dims, maps, dims < 3);
}

// --- sliding blocks ----------------------------------------------------------------------------------------------------

// Each is the gradient of the other. Image (batch, channels, height, width), columns (batch, channels * taps, blocks).
struct Fold {
  static constexpr const char* name = "Fold";
  BlockShape s;
  int64_t batch;
  bool unfold;
  std::string title() const { return unfold ? "Im2Col" : "Col2Im"; }
  Tensor forward(Context&, const Tensor& x) {
    const int64_t channels = batch > 0 ? s.planes / batch : 0, taps = s.kernel[0] * s.kernel[1];
    const int64_t wide = batch > 0 ? channels : (unfold ? x.size(1) : x.size(1) / taps);
    const Dims sizes = unfold ? Dims{batch, wide * taps, s.blocks[0] * s.blocks[1]}
                              : Dims{batch, wide, s.in[0], s.in[1]};
    const Tensor cx = kernel_input(x);
    Tensor y = empty(sizes, cx.dtype());
    if (y.numel() > 0) {
      const auto& k = kernels<PoolKernels>();
      (unfold ? k.unfold : k.fold)(s, cx.dtype(), cx.raw(), y.raw());
    }
    return cast_data(y, x.dtype());
  }
  Tensors backward(Context&, const Tensor& g) { return {apply(Fold{s, batch, !unfold}, g)}; }
};

BlockShape block_shape(const char* op, const Dims& size, const Dims& kernel, const Dims& dilation,
                       const Dims& padding, const Dims& stride) {
  const Dims k = per_dim(op, "kernel_size", kernel, 2), d = per_dim(op, "dilation", dilation, 2);
  const Dims p = per_dim(op, "padding", padding, 2), t = per_dim(op, "stride", stride, 2);
  BlockShape s;
  for (int i = 0; i < 2; ++i) {
    EG_CHECK(k[i] > 0 && d[i] > 0 && t[i] > 0 && p[i] >= 0, "[", op,
             "] kernel_size, dilation and stride should be positive and padding not negative, got ",
             k, ", ", d, ", ", t, ", ", p);
    s.in[i] = size[i], s.kernel[i] = k[i], s.dilation[i] = d[i], s.pad[i] = p[i],
    s.stride[i] = t[i];
    const int64_t room = size[i] + 2 * p[i] - d[i] * (k[i] - 1) - 1;
    s.blocks[i] = room < 0 ? 0 : room / t[i] + 1;
    EG_CHECK(s.blocks[i] > 0, "[", op, "] the block (kernel_size ", k, ", dilation ", d,
             ") is larger than the padded image ", size, " with padding ", p);
  }
  return s;
}

Tensor im2col(const Tensor& input, const Dims& kernel, const Dims& dilation, const Dims& padding,
              const Dims& stride) {
  if (input.dtype() == DType::Bool)  // the one other dtype that PyTorch takes
    return cast_data(im2col(cast_data(input, DType::Float32), kernel, dilation, padding, stride),
                     DType::Bool);
  check_input("unfold", input, 2);
  check_floating("unfold", input);
  const Tensor x = batched(input, 3);
  BlockShape s =
      block_shape("unfold", Dims{x.size(2), x.size(3)}, kernel, dilation, padding, stride);
  s.planes = x.size(0) * x.size(1);
  return unbatched(apply(Fold{s, x.size(0), true}, x), input.dim() == 3);
}

Tensor col2im(const Tensor& input, const Dims& output_size, const Dims& kernel,
              const Dims& dilation, const Dims& padding, const Dims& stride) {
  EG_CHECK(input.dim() == 2 || input.dim() == 3,
           "[fold] expected a 2-d (unbatched) or 3-d (batched) input, got shape ", input.sizes());
  check_floating("fold", input);
  const Tensor x = batched(input, 2);
  BlockShape s = block_shape("fold", per_dim("fold", "output_size", output_size, 2), kernel,
                             dilation, padding, stride);
  const int64_t taps = s.kernel[0] * s.kernel[1], blocks = s.blocks[0] * s.blocks[1];
  EG_CHECK(x.size(1) % taps == 0 && x.size(1) > 0, "[fold] the input's second dimension (",
           x.size(1), ") should be a multiple of the block size ", taps,
           " = product of kernel_size, input ", input.sizes());
  EG_CHECK(x.size(2) == blocks, "[fold] output_size ", output_size, " with these windows has ",
           s.blocks[0], " * ", s.blocks[1], " = ", blocks, " blocks, the input ", input.sizes(),
           " has ", x.size(2));
  s.planes = x.size(0) * x.size(1) / taps;
  return unbatched(apply(Fold{s, x.size(0), false}, x), input.dim() == 2);
}

}  // namespace

#define EG_MAX_POOL(N)                                                                             \
  EG_OP(&max_pool<N>,                                                                              \
        "max_pool" #N                                                                              \
        "d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False)",              \
        "Greatest value of each window of the last " #N                                            \
        " dimensions; stride defaults to kernel_size, padding counts as -inf.",                    \
        kFunctionOnly)                                                                             \
  EG_OP(&max_pool_with_indices<N>,                                                                 \
        "max_pool" #N                                                                              \
        "d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False)", \
        "max_pool" #N "d and the positions of the maxima in the flattened input plane.",           \
        kInternal)
EG_MAX_POOL(1)
EG_MAX_POOL(2)
EG_MAX_POOL(3)
EG_OP(&adaptive_max_pool, "adaptive_max_pool(input, output_size)",
      "Maxima, and their positions, of as many windows as output_size says.", kInternal)
EG_OP(
    +[](const Tensor& x, const Dims& size) {
      return adaptive_max_pool(x, per_dim("adaptive_max_pool1d", "output_size", size, 1));
    },
    "adaptive_max_pool1d(input, output_size)",
    "Maxima of output_size windows over the last dimension, and their positions.", kFunctionOnly)
EG_OP(&max_unpool, "max_unpool(input, indices, output_size)",
      "Puts values back where max_pool found them, zero elsewhere.", kInternal)
EG_OP(&avg_pool1d,
      "avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, "
      "count_include_pad=True)",
      "Mean of each window of the last dimension.", kFunctionOnly)
EG_OP(&avg_pool<2>,
      "avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, "
      "count_include_pad=True, "
      "divisor_override=None)",
      "Mean of each window of the last two dimensions.", kInternal | kOut | kOut)
EG_OP(&avg_pool<3>,
      "avg_pool3d(input, kernel_size, stride=None, padding=0, ceil_mode=False, "
      "count_include_pad=True, "
      "divisor_override=None)",
      "Mean of each window of the last three dimensions.", kInternal | kOut)
EG_OP(&adaptive_avg_pool, "adaptive_avg_pool(input, output_size)",
      "Means of as many windows as output_size says.", kInternal)
EG_OP(&im2col, "im2col(input, kernel_size, dilation=1, padding=0, stride=1)",
      "Sliding blocks of (batch, channels, height, width) as columns; what nn.functional.unfold "
      "calls.",
      kInternal)
EG_OP(&col2im, "col2im(input, output_size, kernel_size, dilation=1, padding=0, stride=1)",
      "Sums columns into the blocks of an image; what nn.functional.fold calls.", kInternal)

}  // namespace eg
