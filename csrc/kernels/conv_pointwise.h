// Convolution with kernel and stride one: a matrix product, with panels of pixels packed into cache.
#pragma once

#include "kernels/conv_flat.h"

namespace eg {
namespace {

constexpr int64_t kPointDepth = 512;  // channels of a panel
constexpr int64_t kPointPanels = 8;   // panels a task

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

// to[channel][columns of a tile] = src[channel][p ..], zero behind n
template <class T>
void pack_panel(const T* src, int64_t src_channel, int64_t channels, int64_t n, T* to) {
  constexpr int64_t width = kCols * kLanes<T>;
  for (int64_t c = 0; c < channels; ++c, src += src_channel, to += width) {
    if (n == width) {
      for (int i = 0; i < kCols; ++i) store(to + i * kLanes<T>, load(src + i * kLanes<T>));
    } else {
      copy_strided(to, src, n, 1);
      zero(to + n, width - n);
    }
  }
}

template <class T>
void run_pointwise(const TapConv<T>& t, const int64_t* kernel) {
  constexpr int64_t width = kCols * kLanes<T>;
  const int64_t pixels = t.src_channel, share = kPointPanels * width;
  const int64_t shares = ceil_div(pixels, share), blocks = ceil_div(t.outs, kRows);
  const int64_t tasks = t.batch * t.groups * shares;
  Scratch<T> weights(t.groups * blocks * flat_panel(t));
  pack_flat_weights(t, kernel, weights.data());
  parallel_for(tasks, t.flops() < kSerialFlops ? tasks : 1, [&](int64_t begin, int64_t end) {
    Scratch<T> panel(min64(t.depth, kPointDepth) * width);
    Scratch<int32_t> offset(kPointDepth);
    for (int64_t k = 0; k < kPointDepth; ++k) offset.data()[k] = int32_t(k * width);
    alignas(64) T acc[kRows * width];
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / shares, g = image % t.groups;  // image and group
      const int64_t last = min64((i % shares + 1) * share, pixels);
      for (int64_t p = i % shares * share; p < last; p += width) {
        const int64_t n = min64(width, last - p), vectors = ceil_div(n, kLanes<T>);
        for (int64_t c = 0; c < t.depth; c += kPointDepth) {
          const int64_t depth = min64(kPointDepth, t.depth - c);
          pack_panel(t.src + (image * t.depth + c) * pixels + p, pixels, depth, n, panel.data());
          for (int64_t b = 0; b < blocks; ++b) {
            const int64_t m = b * kRows, rows = min64(kRows, t.outs - m);
            const T* a = weights.data() + (g * blocks + b) * flat_panel(t) + c * kRows;
            tile_for<T>(rows, vectors)(a, panel.data(), offset.data(), depth, acc, width);
            for (int64_t r = 0; r < rows; ++r) {
              const T bias = t.bias ? t.bias[g * t.outs + m + r] : T(0);
              T* to = t.dst + (image * t.outs + m + r) * pixels + p;
              write_run(to, acc + r * width, n, int64_t(1), c > 0, bias);
            }
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace eg
