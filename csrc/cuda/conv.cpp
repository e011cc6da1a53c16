// Convolution on the GPU: cuDNN's where it is there, else the kernels of eagergrad/cuda/conv.cu.
#include "kernels/conv.h"

#include <algorithm>
#include <numeric>

#include "cuda/conv_layout.h"
#include "cuda/cudnn.h"
#include "cuda/launch.h"
#include "kernels/integers.h"

namespace eg {
namespace {

constexpr const char* kFile = "conv.cu";
constexpr int kThreads = 256, kDeep = 16;         // as conv.cu has them
constexpr size_t kMostParts = size_t(256) << 20;  // bytes of the weight gradient's partial sums

int64_t volume(const int64_t* n) { return n[0] * n[1] * n[2]; }

void set_kernel(const ConvShape& s, ConvPlan& p) {
  constexpr int64_t most = int64_t(1) << 30;
  for (int i = 0; i < 3; ++i) {
    EG_CHECK(s.in[i] < most && s.out[i] < most && s.pad[i] < most &&
                 s.dilation[i] * s.kernel[i] < most && s.stride[i] < most,
             "[convolution] a GPU takes spatial sizes below 2^30, got input ", IntSpan(s.in, 3),
             ", padding ", IntSpan(s.pad, 3));
    p.kernel[i] = int32_t(s.kernel[i]);
  }
  EG_CHECK(s.in_channels < most / volume(s.kernel) && s.out_channels < most / volume(s.kernel),
           "[convolution] a GPU takes fewer than 2^30 weights a channel");
}

ConvPlan forward_plan(const ConvShape& s) {
  ConvPlan p{};
  set_kernel(s, p);
  for (int i = 0; i < 3; ++i)
    p.dim[i] = {int32_t(s.out[i]),
                int32_t(s.in[i]),
                int32_t(s.stride[i]),
                int32_t(-s.pad[i]),
                int32_t(s.dilation[i]),
                int32_t(s.kernel[i]),
                0,
                1};
  const int64_t in = volume(s.in), out = volume(s.out), taps = volume(s.kernel);
  p.depth = s.in_channels / s.groups, p.outs = s.out_channels / s.groups;
  p.pixels = s.batch * out;
  p.src_image = s.in_channels * in, p.src_channel = in, p.src_group = p.depth * in;
  p.dst_image = s.out_channels * out, p.dst_channel = out, p.dst_group = p.outs * out;
  p.dst_stride[0] = s.out[1] * s.out[2], p.dst_stride[1] = s.out[2], p.dst_stride[2] = 1;
  p.weight_out = p.depth * taps, p.weight_depth = taps, p.weight_group = p.outs * p.depth * taps;
  p.splits = 1;
  return p;
}

// Inputs stride * q + residue are reached from outputs q + (residue + pad - dilation * tap) / stride, where that divides.
ConvDim input_grad_dim(const ConvShape& s, int i, int64_t residue) {
  const int64_t stride = s.stride[i], dilation = s.dilation[i];
  const int64_t period = stride / std::gcd(stride, dilation);
  ConvDim d{};
  d.outputs = int32_t(ceil_div(std::max<int64_t>(0, s.in[i] - residue), stride));
  d.source = int32_t(s.out[i]), d.scale = 1;
  for (int64_t tap = 0; tap < std::min(period, s.kernel[i]); ++tap) {
    const int64_t z = residue + s.pad[i] - dilation * tap;
    if (z % stride != 0) continue;
    d.first = int32_t(z / stride), d.step = int32_t(-period * dilation / stride);
    d.taps = int32_t(ceil_div(s.kernel[i] - tap, period));
    d.first_tap = int32_t(tap), d.tap_step = int32_t(period);
    break;
  }
  return d;
}

// The gradient of the input, but for dim, dst_base and pixels, which go by the residue.
ConvPlan input_grad_plan(const ConvShape& s) {
  ConvPlan p{};
  set_kernel(s, p);
  const int64_t in = volume(s.in), out = volume(s.out), taps = volume(s.kernel);
  p.depth = s.out_channels / s.groups, p.outs = s.in_channels / s.groups;
  p.src_image = s.out_channels * out, p.src_channel = out, p.src_group = p.depth * out;
  p.dst_image = s.in_channels * in, p.dst_channel = in, p.dst_group = p.outs * in;
  p.dst_stride[0] = s.stride[0] * s.in[1] * s.in[2], p.dst_stride[1] = s.stride[1] * s.in[2],
  p.dst_stride[2] = s.stride[2];
  p.weight_out = taps, p.weight_depth = p.outs * taps, p.weight_group = p.depth * p.outs * taps;
  p.splits = 1;
  return p;
}

int64_t blocks_wanted() { return 2 * int64_t(cuda::driver().multiprocessors); }

// Results a thread has a side of its tile: 8 does more arithmetic a byte, 4 fills the card with small problems.
int tile_of(DType t, int64_t rows, int64_t columns, int64_t groups) {
  const int64_t blocks = ceil_div(rows, 128) * ceil_div(columns, 128) * groups;
  return t != DType::Float64 && rows > 64 && columns > 64 && blocks >= blocks_wanted() ? 8 : 4;
}

void run(const ConvPlan& p, const ConvShape& s, DType t, const void* src, const void* w,
         const void* bias, void* dst) {
  if (p.outs <= 8) {
    const int r = p.outs == 1 ? 1 : 4;
    return cuda::launch(
        cuda::kernel(kFile, "eg::conv_narrow", {t, r}),
        cuda::Grid(ceil_div(p.pixels, kThreads), ceil_div(p.outs, r), s.groups, kThreads, 1, 1), p,
        src, w, bias, dst);
  }
  const int r = tile_of(t, p.outs, p.pixels, s.groups), side = 16 * r;
  cuda::launch(
      cuda::kernel(kFile, "eg::conv_product", {t, r}),
      cuda::Grid(ceil_div(p.pixels, side), ceil_div(p.outs, side), s.groups, kThreads, 1, 1), p,
      src, w, bias, dst);
}

void forward(const ConvShape& s, DType t, const void* x, const void* w, const void* bias, void* y) {
  if (cuda::cudnn_convolution(cuda::ConvPass::Forward, s, t, x, w, bias, y)) return;
  run(forward_plan(s), s, t, x, w, bias, y);
}

void input_grad(const ConvShape& s, DType t, const void* gy, const void* w, const void* bias,
                void* gx) {
  if (cuda::cudnn_convolution(cuda::ConvPass::InputGrad, s, t, gy, w, bias, gx)) return;
  ConvPlan p = input_grad_plan(s);
  for (int64_t a = 0; a < std::min(s.stride[0], s.in[0]); ++a)
    for (int64_t b = 0; b < std::min(s.stride[1], s.in[1]); ++b)
      for (int64_t c = 0; c < std::min(s.stride[2], s.in[2]); ++c) {
        const int64_t residue[3] = {a, b, c};
        p.pixels = s.batch;
        for (int i = 0; i < 3; ++i) {
          p.dim[i] = input_grad_dim(s, i, residue[i]);
          p.pixels *= p.dim[i].outputs;
        }
        p.dst_base = (a * s.in[1] + b) * s.in[2] + c;
        run(p, s, t, gy, w, bias, gx);
      }
}

void weight_grad(const ConvShape& s, DType t, const void* gy, const void* x, void* gw) {
  if (cuda::cudnn_convolution(cuda::ConvPass::WeightGrad, s, t, gy, x, nullptr, gw)) return;
  ConvPlan p = forward_plan(s);
  const int64_t deep = p.weight_out, total = s.out_channels * deep;
  if (p.outs * deep <= 128)
    return cuda::launch(cuda::kernel(kFile, "eg::conv_narrow_weights", {t}),
                        cuda::Grid(total, kThreads), p, x, gy, gw);
  const int r = 4, side = 16 * r;
  const int64_t across = ceil_div(deep, side), down = ceil_div(p.outs, side);
  const int64_t most = std::min<int64_t>(kMostParts / (total * item_size(t)) + 1, 65535 / s.groups);
  p.splits = std::max<int64_t>(1, std::min({ceil_div(blocks_wanted(), across * down * s.groups),
                                            ceil_div(p.pixels, 8 * kDeep), most}));
  const bool direct = p.splits == 1 && !is_reduced(t);
  const cuda::Scratch parts(direct ? 0 : p.splits * total * std::max<size_t>(4, item_size(t)));
  cuda::launch(cuda::kernel(kFile, "eg::conv_weight_product", {t, r}),
               cuda::Grid(across, down, s.groups * p.splits, kThreads, 1, 1), p, x, gy,
               direct ? gw : parts.get());
  if (!direct)
    cuda::launch(cuda::kernel(kFile, "eg::sum_splits", {t}), cuda::elements(total), total, p.splits,
                 static_cast<const void*>(parts.get()), gw);
}

bool takes(DType, const ConvShape&) { return true; }

}  // namespace

EG_CUDA_KERNELS(ConvKernels, {&takes, &forward, &input_grad, &weight_grad})

}  // namespace eg
