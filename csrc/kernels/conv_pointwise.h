// Convolution with kernel and stride one: a matrix product for each image.
#pragma once

#include "kernels/conv_flat.h"
#include "kernels/gemm.h"

namespace eg {
namespace {

constexpr int64_t kTasksOfProducts = 8;  // products enough for one thread each

// Does every output read the input at its own place?
bool is_pointwise(const TapDim* dim) {
  for (int i = 0; i < 3; ++i) {
    const TapDim& d = dim[i];
    if (d.taps != 1 || d.step != 1 || d.shift[0] != 0 || d.source != d.outputs) return false;
  }
  return true;
}
template <class T>
bool is_pointwise(const TapConv<T>& t) {
  return is_pointwise(t.dim) && t.dst_stride[2] == 1 && t.src_channel == t.dst_channel &&
         t.dst_base == 0;
}

template <class T>
void run_pointwise(const TapConv<T>& t) {
  const int64_t pixels = t.src_channel, tasks = t.batch * t.groups;
  if (t.flops() == 0) return;
  const bool by_channel = t.weight_depth != 1;  // w[channel][output]
  // Of one output the weights may lie closer than a row of them is long, which BLAS refuses.
  const int64_t pitch = by_channel ? t.weight_depth : max64(t.weight_out, t.depth);
  const auto product = [&](int64_t i, bool all_threads) {
    const int64_t g = i % t.groups;
    T* to = t.dst + i * t.outs * pixels;
    for (int64_t m = 0; t.bias && m < t.outs; ++m)
      fill(to + m * pixels, pixels, t.bias[g * t.outs + m]);
    gemm(Gemm<T>{by_channel, false, t.bias != nullptr, t.outs, pixels, t.depth,
                 t.weights + g * t.weight_group, pitch, t.src + i * t.depth * pixels, pixels, to,
                 pixels},
         all_threads);
  };
  if (tasks < kTasksOfProducts) {
    for (int64_t i = 0; i < tasks; ++i) product(i, true);
  } else {
    parallel_for(tasks, max64(1, kSerialFlops * tasks / t.flops()),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) product(i, false);
                 });
  }
}

}  // namespace
}  // namespace eg
