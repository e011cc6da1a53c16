// A convolution, its input gradient and its weight gradient as sums over taps.
#pragma once

#include "core/parallel.h"
#include "kernels/conv.h"
#include "kernels/integers.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

namespace eg {
namespace {

// ---------------------------------------------------------------------------- geometry

constexpr int kRows = EG_ISA_LEVEL >= 4 ? 8 : 4;  // output channels a tile
constexpr int kCols = 3;                          // vectors of pixels a tile
constexpr int64_t kStripBytes = 384 << 10;        // packed input of one strip: stays in L2
constexpr int64_t kPanelDepth = 640;              // reduction length between two writes of a tile
constexpr int64_t kTileBytes = 24 << 10;
constexpr int64_t kMaxTasks = 64;
constexpr int64_t kSerialFlops = 1 << 20;

// One spatial dimension of a tap convolution: out[q] = sum_t w[t] * src[step * (q + shift[t]) + phase[t]].
struct TapDim {
  int64_t outputs, source, step, taps;
  int64_t low, high;  // least and greatest shift
  int64_t phases;     // residues that occur
  int64_t *tap, *shift, *phase, *residue;

  EG_INLINE int64_t front() const { return max64(0, -low); }
  EG_INLINE int64_t rows_of(int64_t r) const {
    return ceil_div(max64(0, source - residue[r]), step);
  }
};

EG_INLINE void add_tap(TapDim& d, int64_t tap, int64_t shift, int64_t residue) {
  int64_t r = 0;
  while (r < d.phases && d.residue[r] != residue) ++r;
  if (r == d.phases) d.residue[d.phases++] = residue;
  d.low = d.taps == 0 ? shift : min64(d.low, shift);
  d.high = d.taps == 0 ? shift : max64(d.high, shift);
  d.tap[d.taps] = tap, d.shift[d.taps] = shift, d.phase[d.taps] = r;
  ++d.taps;
}

// Room for the tables of three dimensions.
struct TapTables {
  Scratch<int64_t> memory;
  explicit TapTables(const ConvShape& s) : memory(4 * (s.kernel[0] + s.kernel[1] + s.kernel[2])) {}
  void attach(const ConvShape& s, TapDim* dims) {
    int64_t* at = memory.data();
    for (int i = 0; i < 3; ++i) {
      const int64_t n = s.kernel[i];
      dims[i].tap = at, dims[i].shift = at + n, dims[i].phase = at + 2 * n,
      dims[i].residue = at + 3 * n;
      at += 4 * n;
    }
  }
};

void forward_dim(const ConvShape& s, int i, TapDim& d) {
  d.outputs = s.out[i], d.source = s.in[i], d.step = s.stride[i], d.taps = d.phases = 0;
  for (int64_t k = 0; k < s.kernel[i]; ++k) {
    const int64_t z = s.dilation[i] * k - s.pad[i], q = floor_div(z, d.step);
    add_tap(d, k, q, z - q * d.step);
  }
}

// Inputs i = stride * q + residue; they are reached from outputs o = q + shift.
void input_grad_dim(const ConvShape& s, int i, int64_t residue, TapDim& d) {
  d.outputs = ceil_div(max64(0, s.in[i] - residue), s.stride[i]);
  d.source = s.out[i], d.step = 1, d.taps = d.phases = 0, d.low = d.high = 0;
  for (int64_t k = 0; k < s.kernel[i]; ++k) {
    const int64_t z = residue + s.pad[i] - s.dilation[i] * k, q = floor_div(z, s.stride[i]);
    if (q * s.stride[i] == z) add_tap(d, k, q, 0);
  }
}

// A tap convolution of one group: destination positions and strides beside the taps.
template <class T>
struct TapConv {
  TapDim dim[3];
  int64_t batch, groups, depth, outs;  // channels reduced over and produced, a group
  const T* src;
  int64_t src_channel;  // elements a source channel
  T* dst;
  int64_t dst_channel;
  int64_t dst_base, dst_stride[3];
  const T* bias;
  const T* weights;  // element (output m, channel c, tap): m * out_stride + c * depth_stride + tap
  int64_t weight_out, weight_depth, weight_group;
  int64_t taps;
  EG_INLINE int64_t flops() const {
    return 2 * batch * groups * outs * depth * taps * dim[0].outputs * dim[1].outputs *
           dim[2].outputs;
  }
};

// The weight gradient of one group.
template <class T>
struct GradConv {
  TapDim dim[3];
  int64_t batch, groups, depth, outs, taps;
  const T *x, *gy;
  int64_t x_channel, gy_channel;
  EG_INLINE int64_t weights() const { return groups * outs * depth * taps; }
  EG_INLINE int64_t flops() const { return 2 * batch * weights() * gy_channel; }
};

// What a task works on: some images or some output rows and planes, some output channels.
struct TapTask {
  int64_t group, n0, n1, d0, d1, h0, h1, m0, m1;
};

// Rows are short: what the compiler would turn into calls of memcpy and memset costs more than the bytes.
template <class T>
EG_INLINE void copy_strided(T* to, const T* from, int64_t n, int64_t step) {
  int64_t i = 0;
  if (step == 1) {
    for (; i + kLanes<T> <= n; i += kLanes<T>) store(to + i, load(from + i));
  }
  for (; i < n; ++i) {
    to[i] = from[i * step];
    asm volatile("" ::: "memory");
  }
}
#if EG_ISA_LEVEL >= 4
// 16-bit numbers by masks.
EG_INLINE __mmask32 first_numbers(int64_t n) {
  return n >= 32 ? ~__mmask32(0) : (__mmask32(1) << n) - 1;
}
void copy_strided(uint16_t* to, const uint16_t* from, int64_t n, int64_t step) {
  for (int64_t i = 0; step == 1 && i < n; i += 32) {
    const __mmask32 real = first_numbers(n - i);
    _mm512_mask_storeu_epi16(to + i, real, _mm512_maskz_loadu_epi16(real, from + i));
  }
  for (int64_t i = 0; step == 2 && i < n; i += 16) {
    const __m512i v = _mm512_maskz_loadu_epi16(first_numbers(2 * (n - i) - 1), from + 2 * i);
    const __mmask16 real = __mmask16(first_numbers(n - i));
    _mm256_mask_storeu_epi16(to + i, real, _mm512_maskz_cvtepi32_epi16(0xffff, v));
  }
  for (int64_t i = 0; step > 2 && i < n; ++i) to[i] = from[i * step];
}
EG_INLINE void zero(uint16_t* to, int64_t n) {
  for (int64_t i = 0; i < n; i += 32)
    _mm512_mask_storeu_epi16(to + i, first_numbers(n - i), _mm512_setzero_si512());
}
#endif
template <class T>
EG_INLINE void zero(T* to, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store(to + i, Vec<T>{});
  for (; i < n; ++i) {
    to[i] = T(0);
    asm volatile("" ::: "memory");
  }
}

template <class T>
EG_INLINE void fill(T* to, int64_t n, T value) {
  for (int64_t i = 0; i < n; ++i) to[i] = value;
}

EG_INLINE int64_t volume(const int64_t* n) { return n[0] * n[1] * n[2]; }

// ---------------------------------------------------------------------------- long lines

// A line of many outputs (audio, say) is cut into pieces whose inputs fit in cache; images are cut into rows instead.
template <class Conv>
int64_t line_pieces(const Conv& t, int64_t item_size) {
  const TapDim* d = t.dim;
  const bool line = d[0].outputs * d[1].outputs * d[0].source * d[1].source == 1;
  const int64_t reach = d[2].high - d[2].low;
  const int64_t fits = kStripBytes / (item_size * max64(1, max64(t.depth * d[2].step, t.outs)));
  const int64_t piece = max64(256, max64(fits, 2 * reach));
  return line && d[2].outputs > 2 * piece ? ceil_div(d[2].outputs, piece) : 1;
}

// Outputs [begin, end) of a dimension, reading from the returned source position on.
int64_t cut_line(TapDim& d, int64_t begin, int64_t end, int64_t* shift) {
  const int64_t all = ceil_div(d.source, d.step);
  const int64_t from = min64(all, max64(0, begin + d.low));
  const int64_t to = max64(from, min64(all, end + d.high));
  for (int64_t k = 0; k < d.taps; ++k) shift[k] = d.shift[k] + begin - from;
  d.shift = shift, d.low += begin - from, d.high += begin - from;
  d.source = min64(d.source, to * d.step) - min64(d.source, from * d.step);
  d.outputs = end - begin;
  return from * d.step;
}

}  // namespace
}  // namespace eg
