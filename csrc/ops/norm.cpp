// Note [Two ways back]. The fused backward kernels are not on the tape. When a gradient of the gradient is wanted, the
// same formula runs in differentiable ops (`composed`), from the saved inputs.
#include "ops/norm.h"

#include <cmath>
#include <limits>

#include "kernels/norm.h"
#include "ops/copy.h"
#include "ops/ops.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {
namespace {

// Of sums, statistics and weights.
DType compute_dtype(DType t) { return is_reduced(t) ? DType::Float32 : t; }
Tensor ready(const Tensor& t, DType dtype) {
  return t.defined() ? contiguous_data(cast_data(t, dtype)) : Tensor();
}
void* raw_or_null(const Tensor& t) { return t.defined() ? t.raw() : nullptr; }
Tensor value_or_none(const OptionalTensor& t) { return t ? *t : Tensor(); }

void check_input(const char* op, const Tensor& x) {
  EG_CHECK_KIND(NotImplemented, x.is_floating(), "[", op,
                "] expected a floating-point tensor, got ", x.dtype(),
                "; convert it with .float()");
}
// Parameters and statistics are of the input's dtype, or float32 beside halves.
void check_dtype(const char* op, const Tensor& x, const Tensor& t) {
  if (!t.defined() || t.dtype() == x.dtype()) return;
  EG_CHECK(is_reduced(x.dtype()) && t.dtype() == DType::Float32, "[", op,
           "] expected input, parameters and statistics of one dtype, got ", x.dtype(), " and ",
           t.dtype());
}
void check_channels(const char* op, const char* what, const Tensor& t, int64_t channels) {
  EG_CHECK(!t.defined() || (t.dim() == 1 && t.numel() == channels), "[", op, "] expected ", what,
           " to be a vector of size equal to the number of channels in input (", channels,
           " in dimension 1), but got a tensor of shape ", IntSpan(t.sizes()));
}

// Statistics run over `dims` of x as seen through `view`; weight and bias are seen as `affine`.
struct Layout {
  Dims view, dims, affine;
};

struct Gradients {
  Tensor x, weight, bias;
};

Tensor as(const Tensor& t, const Dims& sizes, DType dtype) { return reshape(to(t, dtype), sizes); }

// The gradient in differentiable ops. mean and rstd are constants if `fixed`, else functions of x.
struct Composed {
  Layout layout;
  DType dtype;
  bool center;
  double eps;

  Tensor average(const Tensor& t) const {
    double count = 1;
    for (int64_t d : layout.dims) count *= double(layout.view[d]);
    return sum(t, layout.dims, true) * Scalar(1 / count);
  }
  Tensor normalised(const Tensor& x, Tensor* rstd) const {
    const Tensor d = center ? x - average(x) : x;
    *rstd = rsqrt(average(d * d) + Scalar(eps));
    return d * *rstd;
  }
  Gradients operator()(const Tensor& g_in, const Tensor& x_in, const Tensor& weight) const {
    const Tensor x = as(x_in, layout.view, dtype), g = as(g_in, layout.view, dtype);
    Tensor rstd;
    const Tensor unit = normalised(x, &rstd);
    const Tensor gw = weight.defined() ? g * as(weight, layout.affine, dtype) : g;
    Tensor dx = gw - unit * average(gw * unit);
    if (center) dx = dx - average(gw);
    return {reshape(dx * rstd, x_in.sizes()), sum_to(g * unit, layout.affine),
            sum_to(g, layout.affine)};
  }
};

// Hands out what the engine asked for, in the shapes of the inputs; `shape` is weight's and bias's.
Tensors collect(Context& ctx, const Gradients& all, const Tensor& x, const Dims& shape) {
  Tensors out(3);
  if (ctx.needs(0)) out[0] = reshape(all.x, x.sizes());
  if (ctx.needs(1)) out[1] = reshape(all.weight, shape);
  if (ctx.needs(2)) out[2] = reshape(all.bias, shape);
  return out;
}

// ---- rows: layer norm (Ba et al. 2016) and RMS norm (Zhang & Sennrich 2019) --------------------------------------------

template <bool Center>
struct RowNorm {
  static constexpr const char* name = Center ? "LayerNorm" : "RMSNorm";
  std::string title() const { return Center ? "NativeLayerNorm" : "Mul"; }
  Dims shape;
  int64_t rows, n;
  double eps;

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias) {
    const DType t = compute_dtype(x.dtype()), element = x.dtype();
    const Tensor in = ready(x, element), w = ready(weight, t), b = ready(bias, t);
    Tensor y = empty(x.sizes(), element), mean = empty({rows}, t), rstd = empty({rows}, t);
    kernels<NormKernels>().row_forward(element, rows, n, Center, eps, in.raw(), raw_or_null(w),
                                       raw_or_null(b), y.raw(), mean.raw(), rstd.raw());
    for (const Tensor& s : {x, weight, mean, rstd}) ctx.save(s);
    return cast_data(y, x.dtype());
  }

  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor x = ctx.saved(0), weight = ctx.saved(1);
    const DType t = compute_dtype(x.dtype());
    if (grad_enabled())
      return collect(ctx, Composed{{{rows, n}, {1}, {1, n}}, t, Center, eps}(g, x, weight), x,
                     shape);
    const DType element = x.dtype();
    const Tensor in = ready(x, element), w = ready(weight, t), gs = ready(g, element);
    Gradients all;
    if (ctx.needs(0)) all.x = empty(x.sizes(), element);
    if (ctx.needs(1)) all.weight = empty({n}, t);
    if (ctx.needs(2)) all.bias = empty({n}, t);
    const auto& k = kernels<NormKernels>();
    const Tensor scratch = empty({k.row_scratch(rows, n)}, t);
    k.row_backward(element, rows, n, Center, gs.raw(), in.raw(), raw_or_null(w), ctx.saved(2).raw(),
                   ctx.saved(3).raw(), raw_or_null(all.x), raw_or_null(all.weight),
                   raw_or_null(all.bias), scratch.raw());
    return collect(ctx, all, x, shape);
  }
};

// Checks the trailing dims; returns their number of elements.
int64_t check_rows(const char* op, const Tensor& x, const Dims& shape, const Tensor& weight,
                   const Tensor& bias) {
  check_input(op, x);
  EG_CHECK(!shape.empty(), "[", op, "] expected normalized_shape to have at least one dimension");
  const size_t n = shape.size();
  const bool fits =
      x.sizes().size() >= n && std::equal(shape.begin(), shape.end(), x.sizes().end() - n);
  EG_CHECK(fits, "[", op,
           "] expected the input's last dimensions to be normalized_shape=", IntSpan(shape),
           ", but got input of shape ", IntSpan(x.sizes()));
  for (const Tensor& p : {weight, bias}) {
    check_dtype(op, x, p);
    EG_CHECK(!p.defined() || p.sizes() == shape, "[", op,
             "] expected weight and bias of shape normalized_shape=", IntSpan(shape), ", got ",
             IntSpan(p.sizes()));
  }
  return checked_numel(shape);
}

template <bool Center>
Tensor row_norm(const Tensor& x, const Dims& shape, const Tensor& weight, const Tensor& bias,
                double eps) {
  const int64_t n = check_rows(Center ? "layer_norm" : "rms_norm", x, shape, weight, bias);
  const int64_t rows = n > 0 ? x.numel() / n : 0;
  return apply(RowNorm<Center>{shape, rows, n, eps}, x, weight, bias);
}

// ---- channels: batch norm (Ioffe & Szegedy 2015), group norm (Wu & He 2018) ---------------------------------------------

// Where weights are applied, and over what statistics are taken.
struct ChannelStats {
  ChannelShape channels;
  ChannelGroups of;
};

// Running statistics and how they move: (1 - momentum) * running + momentum * value.
struct Running {
  Tensor mean, var;
  double momentum = 0;

  static void close(const Tensor& t, const Tensor& written) {
    if (!t.defined()) return;
    if (!written.same(t)) copy_into(t, written);
    t.storage().mark_written();
  }
};

// Writes rstd, the running statistics if there are any, and, unless they are given, mean and var.
Tensor normalise(const ChannelStats& s, const Tensor& x, bool given, const Tensor& mean,
                 const Tensor& var, double eps, const Tensor& weight, const Tensor& bias,
                 const Tensor& rstd, const Running& running = {}) {
  const DType t = mean.dtype();
  Tensor y = empty(x.sizes(), s.channels.dtype);
  if (x.numel() == 0) {
    fill(rstd, Scalar(0));
    return y;
  }
  const Tensor w = ready(weight, t), b = ready(bias, t);
  const Tensor running_mean = ready(running.mean, t), running_var = ready(running.var, t);
  const ChannelFold fold{s.of,
                         mean.raw(),
                         var.raw(),
                         raw_or_null(w),
                         raw_or_null(b),
                         eps,
                         rstd.raw(),
                         raw_or_null(running_mean),
                         raw_or_null(running_var),
                         running.momentum};
  kernels<NormKernels>().normalise(s.channels, fold, given, x.raw(), y.raw());
  Running::close(running.mean, running_mean);
  Running::close(running.var, running_var);
  return y;
}

// fixed: the statistics were given, not taken from x.
Gradients channel_backward(const ChannelStats& s, bool fixed, bool need_x, const Tensor& g,
                           const Tensor& x, const Tensor& mean, const Tensor& rstd,
                           const Tensor& weight) {
  const DType t = mean.dtype();
  const Dims weights{s.of.weights};
  const Tensor dx = need_x ? empty(x.sizes(), s.channels.dtype) : Tensor();
  if (x.numel() == 0) return {dx, zeros(weights, t), zeros(weights, t)};
  const Tensor w = ready(weight, t);
  Gradients all{dx, empty(weights, t), empty(weights, t)};
  const ChannelTerms terms{
      s.of, fixed, mean.raw(), rstd.raw(), raw_or_null(w), all.weight.raw(), all.bias.raw()};
  kernels<NormKernels>().differentiate(s.channels, terms, g.raw(), x.raw(), raw_or_null(dx));
  return all;
}

int64_t inner_of(const Tensor& x) {
  int64_t n = 1;
  for (int64_t i = 2; i < x.dim(); ++i) n *= x.size(i);
  return n;
}

// The same memory, one dimension moved to another place.
Tensor channels_moved(const Tensor& t, int64_t from, int64_t to) {
  Dims sizes = t.sizes(), strides = t.strides();
  for (Dims* d : {&sizes, &strides}) {
    const int64_t moved = (*d)[size_t(from)];
    for (int64_t i = from; i != to; i += from < to ? 1 : -1)
      (*d)[size_t(i)] = (*d)[size_t(i + (from < to ? 1 : -1))];
    (*d)[size_t(to)] = moved;
  }
  return alias(t, sizes, strides, 0);
}

struct GroupNorm {
  static constexpr const char* name = "NativeGroupNorm";
  int64_t groups;
  double eps;

  ChannelStats stats(const Tensor& x) const {
    const int64_t samples = x.size(0), channels = x.size(1), inner = inner_of(x);
    const int64_t per_group = channels / groups;
    return {{x.dtype(), 1, samples * channels, inner},
            {samples * channels, per_group, channels, double(per_group) * double(inner)}};
  }

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias) {
    const ChannelStats s = stats(x);
    const DType element = x.dtype(), t = compute_dtype(element);
    const Dims each{x.size(0) * groups};
    const Tensor in = ready(x, element), mean = empty(each, t), var = empty(each, t),
                 rstd = empty(each, t);
    const Tensor y = normalise(s, in, false, mean, var, eps, weight, bias, rstd);
    for (const Tensor& saved : {x, weight, mean, rstd}) ctx.save(saved);
    return as_lies(x, y);
  }

  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor x = ctx.saved(0), weight = ctx.saved(1);
    const ChannelStats s = stats(x);
    const DType element = s.channels.dtype, t = compute_dtype(element);
    if (grad_enabled()) {
      const int64_t each = x.size(1) / groups;
      const Layout layout{
          {x.size(0), groups, each, s.channels.inner}, {2, 3}, {1, groups, each, 1}};
      return collect(ctx, Composed{layout, t, true, eps}(g, x, weight), x, {x.size(1)});
    }
    return collect(ctx,
                   channel_backward(s, false, ctx.needs(0), ready(g, element), ready(x, element),
                                    ctx.saved(2), ctx.saved(3), weight),
                   x, {x.size(1)});
  }
};

struct BatchNorm {
  static constexpr const char* name = "NativeBatchNorm";
  Running running;
  bool training;
  double eps;

  // Channels that lie last are columns.
  ChannelStats stats(const Tensor& x) const {
    const DType t = x.dtype();
    const int64_t channels = x.size(1);
    const ChannelShape s = channels_last(x) ? ChannelShape{t, x.numel() / channels, channels, 1}
                                            : ChannelShape{t, x.size(0), channels, inner_of(x)};
    return {s, {channels, 1, channels, double(s.outer) * double(s.inner)}};
  }

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias) {
    const ChannelStats s = stats(x);
    const DType element = s.channels.dtype, t = compute_dtype(element);
    const bool last = channels_last(x);
    const Tensor in = ready(last ? channels_moved(x, 1, x.dim() - 1) : x, element);
    const Dims each{s.of.channels};
    Tensor mean, var;
    if (x.numel() == 0) {
      mean = zeros(each, t);
      var = zeros(each, t);
    } else if (training) {
      mean = empty(each, t);
      var = empty(each, t);
    } else {
      // Copies: the module may be trained again before the backward pass.
      mean = contiguous_data(cast_data(running.mean, t));
      var = contiguous_data(cast_data(running.var, t));
      if (mean.same(running.mean)) mean = clone(mean.detach());
    }
    const Tensor rstd = empty(each, t);
    const bool learns = training && x.numel() > 0;
    const Tensor y = normalise(s, in, !training, mean, var, eps, weight, bias, rstd,
                               learns ? running : Running());
    for (const Tensor& saved : {x, weight, mean, rstd}) ctx.save(saved);
    const Tensor out = cast_data(y, x.dtype());
    return last ? channels_moved(out, x.dim() - 1, 1) : out;
  }

  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor x = ctx.saved(0), weight = ctx.saved(1);
    const ChannelStats s = stats(x);
    const DType element = s.channels.dtype, t = compute_dtype(element);
    if (grad_enabled()) {
      const Layout layout{{x.size(0), x.size(1), inner_of(x)}, {0, 2}, {1, x.size(1), 1}};
      if (training)
        return collect(ctx, Composed{layout, t, true, eps}(g, x, weight), x, {x.size(1)});
      return collect(ctx, composed_fixed(layout, g, x, weight, ctx.saved(2), ctx.saved(3)), x,
                     {x.size(1)});
    }
    const bool last = channels_last(x);
    const auto rows = [&](const Tensor& t) {
      return ready(last ? channels_moved(t, 1, t.dim() - 1) : t, element);
    };
    Gradients all = channel_backward(s, !training, ctx.needs(0), rows(g), rows(x), ctx.saved(2),
                                     ctx.saved(3), weight);
    if (last && all.x.defined()) all.x = channels_moved(all.x, x.dim() - 1, 1);
    return collect(ctx, std::move(all), x, {x.size(1)});
  }

  static Gradients composed_fixed(const Layout& layout, const Tensor& g_in, const Tensor& x_in,
                                  const Tensor& weight, const Tensor& mean, const Tensor& rstd) {
    const DType t = mean.dtype();
    const Tensor x = as(x_in, layout.view, t), g = as(g_in, layout.view, t);
    const Tensor scale = reshape(rstd, layout.affine);
    const Tensor unit = (x - reshape(mean, layout.affine)) * scale;
    const Tensor gw = weight.defined() ? g * as(weight, layout.affine, t) : g;
    return {reshape(gw * scale, x_in.sizes()), sum_to(g * unit, layout.affine),
            sum_to(g, layout.affine)};
  }
};

}  // namespace

Tensor layer_norm(const Tensor& x, const Dims& shape, const OptionalTensor& weight,
                  const OptionalTensor& bias, double eps) {
  return row_norm<true>(x, shape, value_or_none(weight), value_or_none(bias), eps);
}

Tensor rms_norm(const Tensor& x, const Dims& shape, const OptionalTensor& weight,
                std::optional<double> eps) {
  const double least = compute_dtype(x.dtype()) == DType::Float64
                           ? std::numeric_limits<double>::epsilon()
                           : std::numeric_limits<float>::epsilon();
  return row_norm<false>(x, shape, value_or_none(weight), Tensor(), eps.value_or(least));
}

Tensor group_norm(const Tensor& x, int64_t groups, const OptionalTensor& weight,
                  const OptionalTensor& bias, double eps) {
  check_input("group_norm", x);
  EG_CHECK(x.dim() >= 2, "[group_norm] expected at least 2 dimensions, got a tensor of shape ",
           IntSpan(x.sizes()));
  const int64_t channels = x.size(1);
  EG_CHECK(groups > 0, "[group_norm] expected num_groups to be greater than 0, got ", groups);
  EG_CHECK(channels % groups == 0,
           "[group_norm] expected number of channels in input to be divisible by num_groups, but "
           "got input of shape ",
           IntSpan(x.sizes()), " and num_groups=", groups);
  const Tensor w = value_or_none(weight), b = value_or_none(bias);
  check_channels("group_norm", "weight", w, channels);
  check_channels("group_norm", "bias", b, channels);
  for (const Tensor& t : {w, b}) check_dtype("group_norm", x, t);
  return apply(GroupNorm{groups, eps}, x, w, b);
}

Tensor batch_norm(const Tensor& x, const OptionalTensor& running_mean,
                  const OptionalTensor& running_var, const OptionalTensor& weight,
                  const OptionalTensor& bias, bool training, double momentum, double eps) {
  check_input("batch_norm", x);
  EG_CHECK(x.dim() >= 2, "[batch_norm] expected at least 2 dimensions, got a tensor of shape ",
           IntSpan(x.sizes()));
  const Tensor mean = value_or_none(running_mean), var = value_or_none(running_var);
  const Tensor w = value_or_none(weight), b = value_or_none(bias);
  EG_CHECK(training || (mean.defined() && var.defined()),
           "[batch_norm] expected running_mean and running_var to be defined in evaluation mode");
  const int64_t channels = x.size(1);
  check_channels("batch_norm", "running_mean", mean, channels);
  check_channels("batch_norm", "running_var", var, channels);
  check_channels("batch_norm", "weight", w, channels);
  check_channels("batch_norm", "bias", b, channels);
  for (const Tensor& t : {mean, var, w, b}) check_dtype("batch_norm", x, t);
  EG_CHECK_VALUE(!training || x.numel() == 0 || x.size(0) * inner_of(x) > 1,
                 "[batch_norm] expected more than 1 value per channel when training, got input of "
                 "shape ",
                 IntSpan(x.sizes()));
  return apply(BatchNorm{{mean, var, momentum}, training, eps}, x, w, b);
}

EG_OP(layer_norm, "layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05)",
      "Normalises the last dimensions to mean 0 and variance 1 (Ba et al. 2016).", kInternal)
EG_OP(rms_norm, "rms_norm(input, normalized_shape, weight=None, eps=None)",
      "Divides the last dimensions by their root mean square (Zhang & Sennrich 2019).", kInternal)
EG_OP(group_norm, "group_norm(input, num_groups, weight=None, bias=None, eps=1e-05)",
      "Normalises groups of channels of each sample (Wu & He 2018).", kInternal)
EG_OP(batch_norm,
      "batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, "
      "momentum=0.1, eps=1e-05)",
      "Normalises each channel over the batch (Ioffe & Szegedy 2015).", kInternal)

}  // namespace eg
