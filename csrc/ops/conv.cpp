// Convolution of one, two and three dimensions, transposed convolution and their gradients.
#include "ops/conv.h"

#include "kernels/conv.h"
#include "ops/copy.h"
#include "ops/registry.h"
#include "ops/spatial.h"
#include "tape/function.h"

namespace eg {
namespace {

// --- kernels over tensors, unrecorded ---------------------------------------------------------------------------

DType conv_type(DType t, const ConvShape& s) {
  return is_reduced(t) && kernels<ConvKernels>().takes(t, s) ? t : compute_type(t);
}
Tensor conv_input(const Tensor& t, const ConvShape& s) {
  return contiguous_data(cast_data(t, conv_type(t.dtype(), s)));
}

template <class Call>
Tensor computed(const Dims& sizes, DType dtype, const ConvShape& s, Call&& call) {
  Tensor out = empty(sizes, conv_type(dtype, s));
  if (out.numel() > 0) call(out.dtype(), out.raw());
  return cast_data(out, dtype);
}

// Sizes of the three members of x * w = y; `dims` spatial ones.
Dims member(int64_t first, int64_t second, const int64_t* spatial, int64_t dims) {
  Dims sizes{first, second};
  sizes.append(spatial + 3 - dims, spatial + 3);
  return sizes;
}
struct Geometry : ConvShape {
  int64_t dims = 0;
  Dims x_sizes() const { return member(batch, in_channels, in, dims); }
  Dims y_sizes() const { return member(batch, out_channels, out, dims); }
  Dims w_sizes() const { return member(out_channels, in_channels / groups, kernel, dims); }
  int64_t reduced_out() const { return out_channels / groups; }
  int64_t reduced_in() const { return in_channels / groups; }
};

// --- three ops, each the gradient of the other two ------------------------------------------------------------------

Tensor forward_op(const Tensor& x, const Tensor& w, const Tensor& bias, const Geometry& s);
Tensor input_grad_op(const Tensor& gy, const Tensor& w, const Tensor& bias, const Geometry& s);
Tensor weight_grad_op(const Tensor& gy, const Tensor& x, const Geometry& s);

Tensor bias_grad(const Tensor& g) {
  Dims dims{0};
  for (int64_t i = 2; i < g.dim(); ++i) dims.push_back(i);
  return sum(g, dims);
}

Tensor bias_or_zero(const Dims& sizes, const Tensor& bias, DType dtype) {
  Tensor out = zeros(sizes, dtype);
  if (bias.defined()) {
    Dims shape(sizes.size(), 1);
    shape[1] = sizes[1];
    copy_into(out, reshape(bias.detach(), shape));
  }
  return out;
}

struct Convolution {
  static constexpr const char* name = "Convolution";
  Geometry s;
  Tensor forward(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& bias) {
    ctx.save(x);
    ctx.save(w);
    if (x.numel() == 0 || w.numel() == 0) return bias_or_zero(s.y_sizes(), bias, x.dtype());
    const Tensor cx = conv_input(x, s), cw = conv_input(w, s);
    const Tensor cb = bias.defined() ? conv_input(bias, s) : Tensor();
    const Tensor out = computed(s.y_sizes(), x.dtype(), s, [&](DType t, void* y) {
      kernels<ConvKernels>().forward(s, t, cx.raw(), cw.raw(), cb.defined() ? cb.raw() : nullptr,
                                     y);
    });
    return as_lies(x, out);
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(3);
    if (ctx.needs(0)) out[0] = input_grad_op(g, ctx.saved(1), Tensor(), s);
    if (ctx.needs(1)) out[1] = weight_grad_op(g, ctx.saved(0), s);
    if (ctx.needs(2)) out[2] = bias_grad(g);
    return out;
  }
};

struct ConvolutionInputGrad {
  static constexpr const char* name = "Convolution";
  Geometry s;
  Tensor forward(Context& ctx, const Tensor& gy, const Tensor& w, const Tensor& bias) {
    ctx.save(gy);
    ctx.save(w);
    if (gy.numel() == 0 || w.numel() == 0) return bias_or_zero(s.x_sizes(), bias, gy.dtype());
    const Tensor cg = conv_input(gy, s), cw = conv_input(w, s);
    const Tensor cb = bias.defined() ? conv_input(bias, s) : Tensor();
    const Tensor out = computed(s.x_sizes(), gy.dtype(), s, [&](DType t, void* gx) {
      kernels<ConvKernels>().input_grad(s, t, cg.raw(), cw.raw(), cb.defined() ? cb.raw() : nullptr,
                                        gx);
    });
    return as_lies(gy, out);
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(3);
    if (ctx.needs(0)) out[0] = forward_op(g, ctx.saved(1), Tensor(), s);
    if (ctx.needs(1)) out[1] = weight_grad_op(ctx.saved(0), g, s);
    if (ctx.needs(2)) out[2] = bias_grad(g);
    return out;
  }
};

struct ConvolutionWeightGrad {
  static constexpr const char* name = "ConvolutionWeightGrad";
  Geometry s;
  Tensor forward(Context& ctx, const Tensor& gy, const Tensor& x) {
    ctx.save(gy);
    ctx.save(x);
    if (gy.numel() == 0 || x.numel() == 0) return zeros(s.w_sizes(), gy.dtype());
    const Tensor cg = conv_input(gy, s), cx = conv_input(x, s);
    return computed(s.w_sizes(), gy.dtype(), s, [&](DType t, void* gw) {
      kernels<ConvKernels>().weight_grad(s, t, cg.raw(), cx.raw(), gw);
    });
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(2);
    if (ctx.needs(0)) out[0] = forward_op(ctx.saved(1), g, Tensor(), s);
    if (ctx.needs(1)) out[1] = input_grad_op(ctx.saved(0), g, Tensor(), s);
    return out;
  }
};

Tensor forward_op(const Tensor& x, const Tensor& w, const Tensor& bias, const Geometry& s) {
  return apply(Convolution{s}, x, w, bias);
}
Tensor input_grad_op(const Tensor& gy, const Tensor& w, const Tensor& bias, const Geometry& s) {
  return apply(ConvolutionInputGrad{s}, gy, w, bias);
}
Tensor weight_grad_op(const Tensor& gy, const Tensor& x, const Geometry& s) {
  return apply(ConvolutionWeightGrad{s}, gy, x);
}

// --- checks -----------------------------------------------------------------------------------------------------------

void check_tensors(const char* op, const Tensor& x, const Tensor& w,
                   const std::optional<Tensor>& bias, int64_t dims) {
  EG_CHECK(w.dim() == dims + 2, "[", op, "] expected a ", dims + 2, "-d weight, got shape ",
           w.sizes());
  EG_CHECK(x.dim() == dims + 2 || x.dim() == dims + 1, "[", op, "] expected a ", dims + 1,
           "-d (unbatched) or ", dims + 2, "-d (batched) input, got shape ", x.sizes());
  EG_CHECK_KIND(NotImplemented, x.dtype() != DType::Bool, "[", op,
                "] takes numbers, got bool; convert it with .float()");
  EG_CHECK(x.dtype() == w.dtype(), "[", op, "] input and weight should have the same dtype, got ",
           x.dtype(), " and ", w.dtype());
  EG_CHECK(x.device() == w.device(), "[", op,
           "] input and weight should be on the same device, got ", x.device(), " and ",
           w.device());
  if (!bias) return;
  EG_CHECK(bias->dtype() == x.dtype(), "[", op, "] input and bias should have the same dtype, got ",
           x.dtype(), " and ", bias->dtype());
}

void check_bias(const char* op, const std::optional<Tensor>& bias, int64_t channels) {
  EG_CHECK(!bias || (bias->dim() == 1 && bias->size(0) == channels), "[", op,
           "] expected a bias of shape [", channels, "], one number an output channel, got ",
           bias->sizes());
}

void check_positive(const char* op, const char* what, IntSpan values, int64_t least) {
  for (int64_t v : values)
    EG_CHECK(v >= least, "[", op, "] ", what, " should be ",
             least == 0 ? "non-negative" : "positive", ", got ", values);
}

struct Settings {
  Dims stride, padding, dilation;
  int64_t groups;
};

Settings settings(const char* op, int64_t dims, IntSpan stride, IntSpan padding, IntSpan dilation,
                  int64_t groups) {
  Settings s{per_dim(op, "stride", stride, dims), per_dim(op, "padding", padding, dims),
             per_dim(op, "dilation", dilation, dims), groups};
  check_positive(op, "stride", s.stride, 1);
  check_positive(op, "padding", s.padding, 0);
  check_positive(op, "dilation", s.dilation, 1);
  EG_CHECK(groups > 0, "[", op, "] groups should be positive, got ", groups);
  return s;
}

Geometry geometry(const Settings& t, const Tensor& w, int64_t dims) {
  Geometry s;
  s.dims = dims, s.groups = t.groups;
  for (int i = 0; i < 3; ++i)
    s.in[i] = s.out[i] = s.kernel[i] = s.stride[i] = s.dilation[i] = 1, s.pad[i] = 0;
  for (int64_t i = 0; i < dims; ++i) {
    const int64_t j = 3 - dims + i;
    s.kernel[j] = w.size(2 + i), s.stride[j] = t.stride[i];
    s.pad[j] = t.padding[i], s.dilation[j] = t.dilation[i];
  }
  return s;
}

// Images of other libraries have their channels last.
std::string channels_hint(const Tensor& x, int64_t expected) {
  if (x.size(-1) != expected) return "";
  return ". Hint: the last dimension has that size; .movedim(-1, 1) puts channels there into place";
}

// --- the public functions ----------------------------------------------------------------------------------------------

// padding: one number a dimension, or (same) as much as keeps the size.
Tensor convolve(const char* op, int64_t dims, const Tensor& input, const Tensor& w,
                const std::optional<Tensor>& bias, const Settings& t, bool same) {
  check_tensors(op, input, w, bias, dims);
  const Tensor x = batched(input, dims + 1);
  EG_CHECK(w.size(0) % t.groups == 0 && w.size(0) > 0, "[", op, "] groups = ", t.groups,
           " should divide the ", w.size(0), " output channels of weight ", w.sizes());
  EG_CHECK(x.size(1) == w.size(1) * t.groups, "[", op, "] weight ", w.sizes(),
           " with groups = ", t.groups, " expects ", w.size(1) * t.groups, " input channels, got ",
           x.size(1), " in input ", input.sizes(), channels_hint(x, w.size(1) * t.groups));
  check_bias(op, bias, w.size(0));
  Geometry s = geometry(t, w, dims);
  s.batch = x.size(0), s.in_channels = x.size(1), s.out_channels = w.size(0);
  for (int64_t i = 0; i < dims; ++i) {
    const int64_t j = 3 - dims + i, reach = s.dilation[j] * (s.kernel[j] - 1) + 1;
    EG_CHECK(s.kernel[j] > 0, "[", op, "] kernel sizes should be positive, got weight ", w.sizes());
    s.in[j] = x.size(2 + i);
    EG_CHECK(s.in[j] > 0, "[", op, "] only the batch may be empty, got input ", input.sizes());
    if (same) {
      s.pad[j] = (reach - 1) / 2, s.out[j] = s.in[j];
      continue;
    }
    EG_CHECK(s.in[j] + 2 * s.pad[j] >= reach, "[", op, "] the kernel (", reach,
             " with dilation) is larger than the padded input (", s.in[j] + 2 * s.pad[j],
             ") in spatial dimension ", i, ": input ", input.sizes(), ", weight ", w.sizes(),
             ", padding ", t.padding);
    s.out[j] = (s.in[j] + 2 * s.pad[j] - reach) / s.stride[j] + 1;
  }
  return unbatched(forward_op(x, w, bias.value_or(Tensor()), s), input.dim() == dims + 1);
}

Tensor convolve_transposed(const char* op, int64_t dims, const Tensor& input, const Tensor& w,
                           const std::optional<Tensor>& bias, const Settings& t,
                           const Dims& extra) {
  check_tensors(op, input, w, bias, dims);
  const Tensor x = batched(input, dims + 1);
  EG_CHECK(x.size(1) == w.size(0), "[", op, "] weight ", w.sizes(), " expects ", w.size(0),
           " input channels, got ", x.size(1), " in input ", input.sizes(),
           channels_hint(x, w.size(0)));
  EG_CHECK(w.size(0) % t.groups == 0, "[", op, "] groups = ", t.groups, " should divide the ",
           w.size(0), " input channels of weight ", w.sizes());
  check_bias(op, bias, w.size(1) * t.groups);
  check_positive(op, "output_padding", extra, 0);
  Geometry s = geometry(t, w, dims);
  s.batch = x.size(0), s.in_channels = w.size(1) * t.groups, s.out_channels = w.size(0);
  for (int64_t i = 0; i < dims; ++i) {
    const int64_t j = 3 - dims + i, reach = s.dilation[j] * (s.kernel[j] - 1) + 1;
    EG_CHECK(extra[i] < s.stride[j] || extra[i] < s.dilation[j], "[", op,
             "] output_padding should be smaller than stride or dilation, got output_padding ",
             extra, ", stride ", t.stride, ", dilation ", t.dilation);
    s.out[j] = x.size(2 + i);
    EG_CHECK(s.out[j] <= kMostPlaces, "[", op, "] inputs should be at most ", kMostPlaces,
             " places long, got ", input.sizes());
    s.in[j] = (s.out[j] - 1) * s.stride[j] - 2 * s.pad[j] + reach + extra[i];
    EG_CHECK(s.in[j] > 0, "[", op, "] the output would be empty in spatial dimension ", i,
             ": input ", input.sizes(), ", weight ", w.sizes(), ", padding ", t.padding);
  }
  return unbatched(input_grad_op(x, w, bias.value_or(Tensor()), s), input.dim() == dims + 1);
}

template <int N>
constexpr const char* kConvName = N == 1   ? "conv1d"
                                  : N == 2 ? "conv2d"
                                           : "conv3d";
template <int N>
constexpr const char* kTransposedName = N == 1   ? "conv_transpose1d"
                                        : N == 2 ? "conv_transpose2d"
                                                 : "conv_transpose3d";

template <int N>
Tensor conv(const Tensor& x, const Tensor& w, const std::optional<Tensor>& bias, const Dims& stride,
            const Dims& padding, const Dims& dilation, int64_t groups) {
  return convolve(kConvName<N>, N, x, w, bias,
                  settings(kConvName<N>, N, stride, padding, dilation, groups), false);
}

template <int N>
Tensor conv_text(const Tensor& x, const Tensor& w, const std::optional<Tensor>& bias,
                 const Dims& stride, const std::string& padding, const Dims& dilation,
                 int64_t groups) {
  EG_CHECK(padding == "same" || padding == "valid", "[", kConvName<N>,
           "] padding should be a number, a sequence of numbers, 'same' or 'valid', got '", padding,
           "'");
  const Settings t = settings(kConvName<N>, N, stride, Dims{0}, dilation, groups);
  if (padding == "same") {
    for (int64_t s : t.stride)
      EG_CHECK(s == 1, "[", kConvName<N>, "] padding='same' needs stride 1, got stride ", t.stride);
  }
  return convolve(kConvName<N>, N, x, w, bias, t, padding == "same");
}

template <int N>
Tensor conv_transposed(const Tensor& x, const Tensor& w, const std::optional<Tensor>& bias,
                       const Dims& stride, const Dims& padding, const Dims& output_padding,
                       int64_t groups, const Dims& dilation) {
  return convolve_transposed(kTransposedName<N>, N, x, w, bias,
                             settings(kTransposedName<N>, N, stride, padding, dilation, groups),
                             per_dim(kTransposedName<N>, "output_padding", output_padding, N));
}

Tensor convolution_op(const Tensor& x, const Tensor& w, const std::optional<Tensor>& bias,
                      const Dims& stride, const Dims& padding, const Dims& dilation,
                      bool transposed, const Dims& output_padding, int64_t groups) {
  return convolution(x, w, bias, stride, padding, dilation, transposed, output_padding, groups);
}

}  // namespace

Tensor convolution(const Tensor& x, const Tensor& w, const std::optional<Tensor>& bias,
                   IntSpan stride, IntSpan padding, IntSpan dilation, bool transposed,
                   IntSpan output_padding, int64_t groups) {
  const int64_t dims = w.dim() - 2;
  EG_CHECK(dims >= 1 && dims <= 3,
           "[convolution] expected a weight of 3 to 5 dimensions, got shape ", w.sizes());
  const Settings t = settings("convolution", dims, stride, padding, dilation, groups);
  if (!transposed) return convolve("convolution", dims, x, w, bias, t, false);
  return convolve_transposed("convolution", dims, x, w, bias, t,
                             per_dim("convolution", "output_padding", output_padding, dims));
}

#define EG_CONV(N, space)                                                                         \
  EG_OP(&conv<N>,                                                                                 \
        "conv" #N "d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)",       \
        "Cross-correlates input (batch, in_channels, " space                                      \
        ") with weight (out_channels, in_channels / "                                             \
        "groups, kernel sizes); the batch dimension may be absent. padding is a number, a "       \
        "sequence, 'same' "                                                                       \
        "or 'valid'.",                                                                            \
        kFunctionOnly)                                                                            \
  EG_OP(&conv_text<N>,                                                                            \
        "conv" #N "d(input, weight, bias=None, stride=1, padding='valid', dilation=1, groups=1)", \
        "The same with padding by name: 'same' keeps the size (stride 1), 'valid' adds none.",    \
        kFunctionOnly)                                                                            \
  EG_OP(                                                                                          \
      &conv_transposed<N>,                                                                        \
      "conv_transpose" #N                                                                         \
      "d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1)", \
      "The transpose of conv" #N "d with respect to its input: input (batch, in_channels, " space \
      "), weight (in_channels, out_channels / groups, kernel sizes).",                            \
      kFunctionOnly)
EG_CONV(1, "length")
EG_CONV(2, "height, width")
EG_CONV(3, "depth, height, width")

EG_OP(&convolution_op,
      "convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, "
      "groups)",
      "Convolution or transposed convolution of one to three spatial dimensions, told by weight.",
      kFunctionOnly)

}  // namespace eg
