// Convolution as a matrix product whose operand of image patches is never stored: each block gathers what a tile needs.
#include "conv_layout.h"
#include "prelude.cuh"

namespace eg {

// --- positions ---------------------------------------------------------------------------------------------------

// One output position: where its patch starts, and where the result goes.
struct Pixel {
  int64_t src, dst;
  int32_t z, y, x;  // of the source, before the tap; z is out of reach past the last pixel
};
// One channel and tap of a patch.
struct Tap {
  int64_t src, weight;
  int32_t z, y, x;
};

__device__ __forceinline__ Pixel pixel_at(const ConvPlan& p, int64_t n) {
  if (n >= p.pixels) return {0, 0, -0x40000000, 0, 0};
  const uint32_t width = uint32_t(p.dim[2].outputs), height = uint32_t(p.dim[1].outputs),
                 depth = uint32_t(p.dim[0].outputs);
  int64_t image;
  int32_t x, y, z;
  if (p.pixels < (int64_t(1) << 31)) {
    const uint32_t rows = uint32_t(n) / width, planes = rows / height, images = planes / depth;
    x = int32_t(uint32_t(n) - rows * width), y = int32_t(rows - planes * height),
    z = int32_t(planes - images * depth), image = images;
  } else {
    const int64_t rows = n / width, planes = rows / height;
    image = planes / depth;
    x = int32_t(n - rows * width), y = int32_t(rows - planes * height),
    z = int32_t(planes - image * depth);
  }
  Pixel r;
  r.z = z * p.dim[0].scale, r.y = y * p.dim[1].scale, r.x = x * p.dim[2].scale;
  r.src = image * p.src_image + (int64_t(r.z) * p.dim[1].source + r.y) * p.dim[2].source + r.x;
  r.dst = image * p.dst_image + p.dst_base + z * p.dst_stride[0] + y * p.dst_stride[1] +
          x * p.dst_stride[2];
  return r;
}

__device__ __forceinline__ Tap tap_at(const ConvPlan& p, uint32_t k) {
  const uint32_t across = uint32_t(p.dim[2].taps), down = uint32_t(p.dim[1].taps),
                 taps = across * down * uint32_t(p.dim[0].taps);
  const uint32_t channel = k / taps, t = k - channel * taps;
  const int32_t i = int32_t(t % across), j = int32_t(t / across % down),
                l = int32_t(t / (across * down));
  Tap r;
  r.z = p.dim[0].first + l * p.dim[0].step;
  r.y = p.dim[1].first + j * p.dim[1].step;
  r.x = p.dim[2].first + i * p.dim[2].step;
  r.src = channel * p.src_channel + (int64_t(r.z) * p.dim[1].source + r.y) * p.dim[2].source + r.x;
  const int32_t wz = p.dim[0].first_tap + l * p.dim[0].tap_step,
                wy = p.dim[1].first_tap + j * p.dim[1].tap_step,
                wx = p.dim[2].first_tap + i * p.dim[2].tap_step;
  r.weight = channel * p.weight_depth + (int64_t(wz) * p.kernel[1] + wy) * p.kernel[2] + wx;
  return r;
}

// Halves are storage: they are multiplied and summed as float.
template <class T>
__device__ __forceinline__ compute_t<T> read_patch(const ConvPlan& p, const T* src, const Pixel& q,
                                                   const Tap& t) {
  using C = compute_t<T>;
  const bool inside = uint32_t(q.z + t.z) < uint32_t(p.dim[0].source) &&
                      uint32_t(q.y + t.y) < uint32_t(p.dim[1].source) &&
                      uint32_t(q.x + t.x) < uint32_t(p.dim[2].source);
  return inside ? cast<C>(src[q.src + t.src]) : C(0);
}

// --- tiles ---------------------------------------------------------------------------------------------------------

constexpr int kDeep = 16;      // of the reduction, a round
constexpr int kThreads = 256;  // 16 x 16, each with R x R results

// Two buffers of both operands, [kDeep][16 R]: one is filled while the other is multiplied. Neighbouring threads write to neighbouring
// rows: the four columns more keep these out of the same bank.
template <class T, int R>
struct alignas(16) Tiles {
  static constexpr int side = 16 * R;
  T a[2][kDeep][side + 4], b[2][kDeep][side + 4];
};
// Which R rows and columns of a tile's results a thread has. Threads of a warp that read the same columns are neighbours.
__device__ __forceinline__ int tile_row() { return threadIdx.x / 32 * 2 + threadIdx.x % 2; }
__device__ __forceinline__ int tile_column() { return threadIdx.x % 32 / 2; }

template <class T, int R>
__device__ __forceinline__ void multiply_tile(const Tiles<T, R>& tiles, int which, T (&sum)[R][R]) {
  const int column = tile_column(), row = tile_row();
#pragma unroll
  for (int k = 0; k < kDeep; ++k) {
    T a[R], b[R];
#pragma unroll
    for (int i = 0; i < R; ++i) a[i] = tiles.a[which][k][row * R + i];
#pragma unroll
    for (int j = 0; j < R; ++j) b[j] = tiles.b[which][k][column * R + j];
#pragma unroll
    for (int i = 0; i < R; ++i)
#pragma unroll
      for (int j = 0; j < R; ++j) sum[i][j] += a[i] * b[j];
  }
}

// y[m][pixel] = sum_k w[m][k] * patch[k][pixel] (+ bias[m]). Blocks: pixel tiles x output tiles x groups.
template <class T, int R>
__global__ void __launch_bounds__(kThreads)
    conv_product(ConvPlan p, const T* src, const T* weights, const T* bias, T* dst) {
  using C = compute_t<T>;
  constexpr int side = 16 * R, own = kDeep * side / kThreads;
  __shared__ Tiles<C, R> tiles;
  __shared__ Tap taps[2][kDeep];
  const int64_t group = blockIdx.z, m0 = int64_t(blockIdx.y) * side,
                n0 = int64_t(blockIdx.x) * side;
  src += group * p.src_group;
  weights += group * p.weight_group;
  const int64_t deep = p.depth * p.dim[0].taps * p.dim[1].taps * p.dim[2].taps;
  const int thread = int(threadIdx.x);
  // A thread gathers one pixel column and one weight row of each round.
  const Pixel pixel = pixel_at(p, n0 + thread % side);
  const int pixel_k = thread / side, weight_k = thread % kDeep, weight_m = thread / kDeep;
  C next_a[own], next_b[own], sum[R][R] = {};

  const auto find_taps = [&](int64_t k0, int which) {
    if (thread < kDeep && k0 + thread < deep)
      taps[which][thread] = tap_at(p, uint32_t(k0 + thread));
  };
  const auto gather = [&](int64_t k0, int which) {
#pragma unroll
    for (int i = 0; i < own; ++i) {
      const int k = pixel_k + i * (kThreads / side);
      next_b[i] = k0 + k < deep ? read_patch(p, src, pixel, taps[which][k]) : C(0);
      const int64_t m = m0 + weight_m + i * (kThreads / kDeep);
      next_a[i] = k0 + weight_k < deep && m < p.outs
                      ? cast<C>(weights[m * p.weight_out + taps[which][weight_k].weight])
                      : C(0);
    }
  };
  const auto put = [&](int which) {
#pragma unroll
    for (int i = 0; i < own; ++i) {
      tiles.b[which][pixel_k + i * (kThreads / side)][thread % side] = next_b[i];
      tiles.a[which][weight_k][weight_m + i * (kThreads / kDeep)] = next_a[i];
    }
  };

  find_taps(0, 0);
  __syncthreads();
  gather(0, 0);
  put(0);
  find_taps(kDeep, 1);
  __syncthreads();
  int which = 0;
  for (int64_t k0 = 0; k0 < deep; k0 += kDeep, which ^= 1) {
    const bool more = k0 + kDeep < deep;
    if (more) gather(k0 + kDeep, which ^ 1);
    multiply_tile(tiles, which, sum);
    if (more) put(which ^ 1);
    find_taps(k0 + 2 * kDeep, which);
    __syncthreads();
  }

  const int column = tile_column(), row = tile_row();
#pragma unroll
  for (int j = 0; j < R; ++j) {
    const int64_t n = n0 + column * R + j;
    if (n >= p.pixels) break;
    T* to = dst + pixel_at(p, n).dst + group * p.dst_group;
#pragma unroll
    for (int i = 0; i < R; ++i) {
      const int64_t m = m0 + row * R + i;
      if (m < p.outs)
        to[m * p.dst_channel] =
            cast<T>(sum[i][j] + (bias ? cast<C>(bias[group * p.outs + m]) : C(0)));
    }
  }
}

// Few output channels a group: a thread has one pixel of R of them. Blocks: pixels x channel sets x groups.
template <class T, int R>
__global__ void __launch_bounds__(kThreads)
    conv_narrow(ConvPlan p, const T* src, const T* weights, const T* bias, T* dst) {
  using C = compute_t<T>;
  constexpr int kTaps = 64;
  __shared__ Tap taps[kTaps];
  const int64_t group = blockIdx.z, m0 = int64_t(blockIdx.y) * R,
                n = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  src += group * p.src_group;
  weights += group * p.weight_group + m0 * p.weight_out;
  const int64_t deep = p.depth * p.dim[0].taps * p.dim[1].taps * p.dim[2].taps;
  const Pixel pixel = pixel_at(p, n);
  C sum[R] = {};
  for (int64_t k0 = 0; k0 < deep; k0 += kTaps) {
    const int count = deep - k0 < kTaps ? int(deep - k0) : kTaps;
    __syncthreads();
    if (int(threadIdx.x) < count) taps[threadIdx.x] = tap_at(p, uint32_t(k0 + threadIdx.x));
    __syncthreads();
    for (int k = 0; k < count; ++k) {
      const C x = read_patch(p, src, pixel, taps[k]);
#pragma unroll
      for (int i = 0; i < R; ++i)
        if (m0 + i < p.outs) sum[i] += cast<C>(weights[i * p.weight_out + taps[k].weight]) * x;
    }
  }
  if (n >= p.pixels) return;
  T* to = dst + pixel.dst + group * p.dst_group + m0 * p.dst_channel;
#pragma unroll
  for (int i = 0; i < R; ++i)
    if (m0 + i < p.outs)
      to[i * p.dst_channel] =
          cast<T>(sum[i] + (bias ? cast<C>(bias[group * p.outs + m0 + i]) : C(0)));
}

// --- weight gradient -------------------------------------------------------------------------------------------------

// part[split][group][m][k] = sum of gy[m][pixel] * patch[k][pixel] over the split's pixels, in order. Blocks: patch tiles x
// output tiles x (groups * splits).
template <class T, int R>
__global__ void __launch_bounds__(kThreads)
    conv_weight_product(ConvPlan p, const T* src, const T* gy, compute_t<T>* part) {
  using C = compute_t<T>;
  constexpr int side = 16 * R, own = kDeep * side / kThreads, apart = kThreads / kDeep;
  __shared__ Tiles<C, R> tiles;
  __shared__ Pixel pixels[2][kDeep];
  const int64_t deep = p.depth * p.dim[0].taps * p.dim[1].taps * p.dim[2].taps;
  const int64_t group = blockIdx.z / p.splits, split = blockIdx.z % p.splits;
  const int64_t m0 = int64_t(blockIdx.y) * side, n0 = int64_t(blockIdx.x) * side;
  const int64_t rounds = (p.pixels + kDeep - 1) / kDeep;
  const int64_t begin = rounds * split / p.splits * kDeep,
                end = rounds * (split + 1) / p.splits * kDeep;
  const int thread = int(threadIdx.x), pixel = thread % kDeep, first = thread / kDeep;
  src += group * p.src_group;
  gy += group * p.dst_group;
  Tap taps[own];
#pragma unroll
  for (int i = 0; i < own; ++i)
    taps[i] = n0 + first + i * apart < deep ? tap_at(p, uint32_t(n0 + first + i * apart))
                                            : Tap{0, 0, -0x40000000, 0, 0};
  C next_a[own], next_b[own], sum[R][R] = {};

  const auto find_pixels = [&](int64_t k0, int which) {
    if (thread < kDeep) pixels[which][thread] = pixel_at(p, k0 + thread);
  };
  const auto gather = [&](int64_t k0, int which) {
    const Pixel& q = pixels[which][pixel];
    const bool inside = k0 + pixel < p.pixels;
#pragma unroll
    for (int i = 0; i < own; ++i) {
      const int64_t m = m0 + first + i * apart;
      next_b[i] = inside ? read_patch(p, src, q, taps[i]) : C(0);
      next_a[i] = inside && m < p.outs ? cast<C>(gy[q.dst + m * p.dst_channel]) : C(0);
    }
  };
  const auto put = [&](int which) {
#pragma unroll
    for (int i = 0; i < own; ++i) {
      tiles.b[which][pixel][first + i * apart] = next_b[i];
      tiles.a[which][pixel][first + i * apart] = next_a[i];
    }
  };

  find_pixels(begin, 0);
  __syncthreads();
  gather(begin, 0);
  put(0);
  find_pixels(begin + kDeep, 1);
  __syncthreads();
  int which = 0;
  for (int64_t k0 = begin; k0 < end; k0 += kDeep, which ^= 1) {
    const bool more = k0 + kDeep < end;
    if (more) gather(k0 + kDeep, which ^ 1);
    multiply_tile(tiles, which, sum);
    if (more) put(which ^ 1);
    find_pixels(k0 + 2 * kDeep, which);
    __syncthreads();
  }

  const int column = tile_column(), row = tile_row();
  const int64_t groups = gridDim.z / p.splits;
  part += (split * groups + group) * p.outs * deep;
#pragma unroll
  for (int i = 0; i < R; ++i) {
    const int64_t m = m0 + row * R + i;
    if (m >= p.outs) break;
#pragma unroll
    for (int j = 0; j < R; ++j) {
      const int64_t n = n0 + column * R + j;
      if (n < deep) part[m * deep + n] = sum[i][j];
    }
  }
}

// gw[i] = the sum of part[split][i], in order.
template <class T>
__global__ void sum_splits(int64_t n, int64_t splits, const compute_t<T>* part, T* gw) {
  for (EG_ELEMENTS(i, n)) {
    compute_t<T> sum = part[i];
    for (int64_t s = 1; s < splits; ++s) sum += part[s * n + i];
    gw[i] = cast<T>(sum);
  }
}

// Few weights a group: a block sums one of them over all pixels.
template <class T>
__global__ void __launch_bounds__(kThreads)
    conv_narrow_weights(ConvPlan p, const T* src, const T* gy, T* gw) {
  using C = compute_t<T>;
  __shared__ C warps[kThreads / 32];
  const int64_t deep = p.depth * p.dim[0].taps * p.dim[1].taps * p.dim[2].taps;
  const int64_t weight = blockIdx.x, channel = weight / deep, group = channel / p.outs,
                m = channel % p.outs;
  const Tap tap = tap_at(p, uint32_t(weight % deep));
  src += group * p.src_group;
  gy += group * p.dst_group + m * p.dst_channel;
  C sum = 0;
  for (int64_t n = threadIdx.x; n < p.pixels; n += kThreads) {
    const Pixel q = pixel_at(p, n);
    sum += cast<C>(gy[q.dst]) * read_patch(p, src, q, tap);
  }
  for (int lane = 16; lane; lane /= 2) sum += __shfl_xor_sync(~0u, sum, lane);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < kThreads / 32; ++i) sum += warps[i];
  gw[weight] = cast<T>(sum);
}

}  // namespace eg
