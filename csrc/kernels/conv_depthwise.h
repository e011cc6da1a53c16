// Convolution of every channel by itself: no sum over channels, so memory and packing are what counts.
#pragma once

#include "kernels/conv_flat.h"

namespace eg {
namespace {

constexpr int kDepthwiseRows = 2, kDepthwiseCols = EG_ISA_LEVEL >= 4 ? 4 : 2;
constexpr int kDepthwiseTaps = EG_ISA_LEVEL >= 4 ? 9 : 5;

// out[R rows][C vectors] = bias + sum over taps of w[tap] * x[offset[tap] ..]
template <class T, int R, int C>
void depthwise_tile(const T* x, int64_t pitch, const int32_t* offset, const T* w, int64_t taps,
                    T bias, T* out, int64_t out_row) {
  Vec<T> acc[R][C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) acc[r][c] = splat(bias);
  for (int64_t k = 0; k < taps; ++k) {
    const T* from = x + offset[k];
    const Vec<T> u = splat(w[k]);
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) acc[r][c] += u * load(from + r * pitch + c * kLanes<T>);
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) store(out + r * out_row + c * kLanes<T>, acc[r][c]);
}

template <class T>
using DepthwiseFn = void (*)(const T*, int64_t, const int32_t*, const T*, int64_t, T, T*, int64_t);
template <class T, int R, int C = kDepthwiseCols>
DepthwiseFn<T> depthwise_of_cols(int64_t cols) {
  if constexpr (C > 1)
    if (cols < C) return depthwise_of_cols<T, R, C - 1>(cols);
  return &depthwise_tile<T, R, C>;
}
template <class T>
DepthwiseFn<T> depthwise_fn(int64_t rows, int64_t cols) {
  return rows == 1 ? depthwise_of_cols<T, 1>(cols) : depthwise_of_cols<T, kDepthwiseRows>(cols);
}

constexpr int64_t kDepthwiseTile = kDepthwiseRows * kDepthwiseCols;  // vectors

// Elements of a small plane whose rows, with the zeros between them, make one row of fewer vectors; or 0.
template <class T>
EG_INLINE int64_t joined_rows(const Strip& s, int64_t height, int64_t width) {
  const int64_t n = (height - 1) * s.pitch + width, vectors = ceil_div(n, kLanes<T>);
  const bool fewer = 3 * vectors <= 2 * height * ceil_div(width, kLanes<T>);
  return fewer && vectors <= kDepthwiseTile ? n : 0;
}

// One output plane from a packed strip that holds the whole image.
template <class T>
void depthwise_plane(const TapConv<T>& t, const Strip& s, const T* packed, const int32_t* offset,
                     const T* w, T bias, T* dst) {
  constexpr int64_t lanes = kLanes<T>;
  const int64_t height = t.dim[1].outputs, width = t.dim[2].outputs, step = kDepthwiseCols * lanes;
  const int64_t joined = joined_rows<T>(s, height, width);
  alignas(64) T edge[kDepthwiseTile * lanes];
  const auto put = [&](T* line, const T* from, int64_t n) {
    if (t.dst_stride[2] == 1) return copy_strided(line, from, n, 1);
    for (int64_t i = 0; i < n; ++i) line[i * t.dst_stride[2]] = from[i];
  };
  for (int64_t z = 0; z < t.dim[0].outputs; ++z) {
    for (int64_t x = 0; x < joined; x += step) {
      const auto tile = depthwise_fn<T>(1, ceil_div(min64(step, joined - x), lanes));
      tile(packed + z * s.plane + x, 0, offset, w, t.taps, bias, edge + x, 0);
    }
    for (int64_t y = 0; joined > 0 && y < height; ++y)
      put(dst + z * t.dst_stride[0] + y * t.dst_stride[1], edge + y * s.pitch, width);
    if (joined > 0) continue;
    for (int64_t y = 0; y < height; y += kDepthwiseRows) {
      const int64_t rows = min64(kDepthwiseRows, height - y);
      const T* from = packed + z * s.plane + y * s.pitch;
      T* to = dst + z * t.dst_stride[0] + y * t.dst_stride[1];
      for (int64_t x = 0; x < width; x += step) {
        const int64_t n = min64(step, width - x), cols = ceil_div(n, lanes);
        const auto tile = depthwise_fn<T>(rows, cols);
        if (t.dst_stride[2] == 1 && n == cols * lanes) {
          tile(from + x, s.pitch, offset, w, t.taps, bias, to + x, t.dst_stride[1]);
          continue;
        }
        tile(from + x, s.pitch, offset, w, t.taps, bias, edge, step);
        for (int64_t r = 0; r < rows; ++r)
          put(to + r * t.dst_stride[1] + x * t.dst_stride[2], edge + r * step, n);
      }
    }
  }
}

template <class T>
void depthwise_offsets(const TapDim* d, const Strip& s, int32_t* offset) {
  for (int64_t z = 0; z < d[0].taps; ++z)
    for (int64_t y = 0; y < d[1].taps; ++y)
      for (int64_t x = 0; x < d[2].taps; ++x) *offset++ = int32_t(tap_offset(d, s, z, y, x));
}

// The strip's zeros stay from image to image: only the data is copied again.
template <class T>
struct DepthwisePack {
  Strip s;
  Scratch<T> memory;
  DepthwisePack(const TapDim* d)
      : s(strip_layout<T>(d, d[0].outputs, d[1].outputs, 1)), memory(s.channel + 2 * s.pitch) {
    zero(memory.data(), s.channel + 2 * s.pitch);
  }
  void pack(const TapDim* d, const T* src) {
    const int64_t hw = d[1].source * d[2].source;
    T* to = memory.data();
    for (int64_t r = 0; r < s.phases; ++r, to += s.phase) {
      const int64_t rd = d[0].residue[r / (d[1].phases * d[2].phases)];
      const int64_t rh = d[1].residue[r / d[2].phases % d[1].phases],
                    rw = d[2].residue[r % d[2].phases];
      const int64_t width = d[2].rows_of(r % d[2].phases);
      for (int64_t z = 0; z < s.planes; ++z) {
        const int64_t iz = (z + d[0].low) * d[0].step + rd;
        if (iz < 0 || iz >= d[0].source) continue;
        for (int64_t y = 0; y < s.rows; ++y) {
          const int64_t iy = (y + d[1].low) * d[1].step + rh;
          if (iy < 0 || iy >= d[1].source) continue;
          copy_strided(to + z * s.plane + y * s.pitch + s.front,
                       src + iz * hw + iy * d[2].source + rw, width, d[2].step);
        }
      }
    }
  }
};

template <class T>
void run_depthwise(const TapConv<T>& t, const int64_t* kernel) {
  const int64_t work =
      t.src_channel + t.outs * t.taps * t.dim[0].outputs * t.dim[1].outputs * t.dim[2].outputs / 8;
  parallel_for(t.batch * t.groups, max64(1, kParallelGrain / max64(1, work)),
               [&](int64_t begin, int64_t end) {
                 DepthwisePack<T> strip(t.dim);
                 Scratch<int32_t> offset(t.taps);
                 Scratch<T> w(t.taps);
                 depthwise_offsets<T>(t.dim, strip.s, offset.data());
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t g = i % t.groups;
                   strip.pack(t.dim, t.src + i * t.src_channel);
                   for (int64_t m = 0; m < t.outs; ++m) {
                     const T* from = t.weights + g * t.weight_group + m * t.weight_out;
                     T* at = w.data();
                     for (int64_t a = 0; a < t.dim[0].taps; ++a)
                       for (int64_t b = 0; b < t.dim[1].taps; ++b)
                         for (int64_t c = 0; c < t.dim[2].taps; ++c)
                           *at++ =
                               from[(t.dim[0].tap[a] * kernel[1] + t.dim[1].tap[b]) * kernel[2] +
                                    t.dim[2].tap[c]];
                     depthwise_plane(t, strip.s, strip.memory.data(), offset.data(), w.data(),
                                     t.bias ? t.bias[g * t.outs + m] : T(0),
                                     t.dst + t.dst_base + (i * t.outs + m) * t.dst_channel);
                   }
                 }
               });
}

// ---------------------------------------------------------------------------- weight gradient

// sums[k] += gy row * x row at offset[k]; rows of `vectors` vectors, gy zero behind its end.
template <class T, int K>
void depthwise_dot(const T* gy, int64_t gy_row, const T* x, int64_t x_row, const int32_t* offset,
                   int64_t rows, int64_t vectors, Vec<T>* sums) {
  Vec<T> acc[K];
  for (int k = 0; k < K; ++k) acc[k] = sums[k];
  for (int64_t y = 0; y < rows; ++y, gy += gy_row, x += x_row) {
    for (int64_t p = 0; p < vectors * kLanes<T>; p += kLanes<T>) {
      const Vec<T> g = load(gy + p);
      for (int k = 0; k < K; ++k) acc[k] += g * load(x + offset[k] + p);
    }
  }
  for (int k = 0; k < K; ++k) sums[k] = acc[k];
}

template <class T>
using DepthwiseDotFn = void (*)(const T*, int64_t, const T*, int64_t, const int32_t*, int64_t,
                                int64_t, Vec<T>*);
template <class T, int K = kDepthwiseTaps>
DepthwiseDotFn<T> depthwise_dot_fn(int64_t taps) {
  if constexpr (K > 1)
    if (taps < K) return depthwise_dot_fn<T, K - 1>(taps);
  return &depthwise_dot<T, K>;
}

template <class T>
void depthwise_weight_grad(const GradConv<T>& t, T* gw) {
  const TapDim* d = t.dim;
  const int64_t height = d[1].outputs, width = d[2].outputs, vectors = ceil_div(width, kLanes<T>);
  parallel_for(t.groups, max64(1, kParallelGrain / max64(1, t.batch * t.x_channel)),
               [&](int64_t begin, int64_t end) {
                 DepthwisePack<T> strip(d);
                 const int64_t joined = joined_rows<T>(strip.s, height, width);
                 const int64_t row = joined > 0 ? strip.s.pitch : vectors * kLanes<T>;
                 const int64_t rows = joined > 0 ? 1 : height;
                 const int64_t across = joined > 0 ? ceil_div(joined, kLanes<T>) : vectors;
                 Scratch<int32_t> offset(t.taps);
                 Scratch<T> grad(rows * across * kLanes<T>);
                 Scratch<Vec<T>> sums(t.outs * t.taps);
                 zero(grad.data(), rows * across * kLanes<T>);
                 depthwise_offsets<T>(d, strip.s, offset.data());
                 for (int64_t g = begin; g < end; ++g) {
                   for (int64_t k = 0; k < t.outs * t.taps; ++k) sums.data()[k] = Vec<T>{};
                   for (int64_t n = 0; n < t.batch; ++n) {
                     strip.pack(d, t.x + (n * t.groups + g) * t.x_channel);
                     for (int64_t m = 0; m < t.outs; ++m) {
                       const T* from = t.gy + ((n * t.groups + g) * t.outs + m) * t.gy_channel;
                       for (int64_t z = 0; z < d[0].outputs; ++z, from += height * width) {
                         const T* gy = from;
                         if (width != row || joined > 0) {
                           for (int64_t y = 0; y < height; ++y)
                             copy_strided(grad.data() + y * row, from + y * width, width, 1);
                           gy = grad.data();
                         }
                         for (int64_t k = 0; k < t.taps; k += kDepthwiseTaps) {
                           depthwise_dot_fn<T>(t.taps - k)(
                               gy, row, strip.memory.data() + z * strip.s.plane, strip.s.pitch,
                               offset.data() + k, rows, across, sums.data() + m * t.taps + k);
                         }
                       }
                     }
                   }
                   for (int64_t k = 0; k < t.outs * t.taps; ++k) {
                     T sum = T(0);
                     for (int i = 0; i < kLanes<T>; ++i) sum += sums.data()[k][i];
                     gw[g * t.outs * t.taps + k] = sum;
                   }
                 }
               });
}

// One input channel a group, few outputs of it, and an image that fits in cache.
template <class T, class Conv>
bool prefers_depthwise(const Conv& t, int64_t depth, int64_t outs) {
  return depth == 1 && outs <= 4 && t.groups >= 4 &&
         strip_layout<T>(t.dim, t.dim[0].outputs, t.dim[1].outputs, 1).channel *
                 int64_t(sizeof(T)) <=
             2 * kStripBytes;
}

}  // namespace
}  // namespace eg
