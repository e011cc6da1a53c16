// Normalisation of rows and of channels. Elements are of type S; sums, statistics and weights of the type C that it is
// computed in.
#include "joins.cuh"
#include "kernels/norm_terms.h"

namespace eg {

// --- rows: a warp or a block a row ----------------------------------------------------------------------------------

template <class S, bool kCenter, bool kBlock, int K>
__global__ void __launch_bounds__(kBlock ? 1024 : 128)
    row_norm(int64_t rows, int64_t n, double eps, const S* x, const compute_t<S>* w,
             const compute_t<S>* b, S* y, compute_t<S>* mean, compute_t<S>* rstd) {
  using T = compute_t<S>;
  const Team<kBlock> team;
  for (int64_t r = team.first; r < rows; r += team.stride) {
    Held<S, K> held(team, x + r * n, n);
    T m = 0, squares = 0;
    if constexpr (K > 0 || !kCenter) {
      if constexpr (kCenter) {
        held.each([&](int64_t, T v) { m += v; });
        m = team.template join<Sum<T>>(m) / T(n);
      }
      held.each([&](int64_t, T v) { squares += (v - m) * (v - m); });
      squares = team.template join<Sum<T>>(squares);
    } else {
      auto s = Moments<T>::start();
      held.each([&](int64_t i, T v) { Moments<T>::take(s, v, i); });
      s = team.template join<Moments<T>>(s);
      m = s.mean;
      squares = s.m2;
    }
    const T scale = T(1 / ::sqrt(double(squares) / double(n) + eps));
    if (team.lane == 0) {
      if (kCenter) mean[r] = m;
      rstd[r] = scale;
    }
    held.each([&](int64_t i, T v) {
      v = (v - m) * scale;
      if (w) v *= w[i];
      if (b) v += b[i];
      y[r * n + i] = cast<S>(v);
    });
  }
}

template <class S, bool kCenter, bool kBlock, int K>
__global__ void __launch_bounds__(kBlock ? 1024 : 128)
    row_norm_backward(int64_t rows, int64_t n, const S* g, const S* x, const compute_t<S>* w,
                      const compute_t<S>* mean, const compute_t<S>* rstd, S* dx) {
  using T = compute_t<S>;
  const Team<kBlock> team;
  for (int64_t r = team.first; r < rows; r += team.stride) {
    Held<S, K> held(team, g + r * n, n), held_x(team, x + r * n, n);
    const T m = kCenter ? mean[r] : T(0), scale = rstd[r];
    T level = 0, along = 0;
    if constexpr (K > 0) {
#pragma unroll
      for (int k = 0; k < K; ++k) {
        const int64_t i = team.lane + int64_t(k) * team.lanes;
        if (i >= n) continue;
        if (w) held.v[k] *= w[i];
        level += held.v[k];
        along += held.v[k] * (held_x.v[k] - m);
      }
    } else {
      held.each([&](int64_t i, T v) {
        if (w) v *= w[i];
        level += v;
        along += v * (cast<T>(held_x.p[i]) - m);
      });
    }
    along = team.template join<Sum<T>>(along);
    const T slope = along / T(n) * scale * scale * scale;
    T shift = 0;
    if constexpr (kCenter) shift = team.template join<Sum<T>>(level) / T(n) * scale;
    S* to = dx + r * n;
    if constexpr (K > 0) {
#pragma unroll
      for (int k = 0; k < K; ++k) {
        const int64_t i = team.lane + int64_t(k) * team.lanes;
        if (i < n) to[i] = cast<S>(held.v[k] * scale - (held_x.v[k] - m) * slope - shift);
      }
    } else {
      held.each([&](int64_t i, T v) {
        if (w) v *= w[i];
        to[i] = cast<S>(v * scale - (cast<T>(held_x.p[i]) - m) * slope - shift);
      });
    }
  }
}

// --- sums of g, and of g * (x - mean) -------------------------------------------------------------------------------

// Columns of [rows, n]; `chunk` rows a block. Either each row has its mean and rstd (weights of layer norm), or each column
// its mean. out: [2][chunks][n].
template <class S>
__global__ void column_sums(int64_t rows, int64_t n, int64_t chunk, bool by_row, const S* g,
                            const S* x, const compute_t<S>* mean, int64_t per_mean,
                            const compute_t<S>* rstd, compute_t<S>* out) {
  using T = compute_t<S>;
  __shared__ T all[2][256];
  const int64_t groups = (n + blockDim.x - 1) / blockDim.x, chunks = (rows + chunk - 1) / chunk;
  for (int64_t b = blockIdx.x; b < groups * chunks; b += gridDim.x) {
    const int64_t part = b / groups, c = b % groups * blockDim.x + threadIdx.x;
    const int64_t end = (part + 1) * chunk < rows ? (part + 1) * chunk : rows;
    T level = 0, along = 0;
    if (c < n) {
      const T column_mean = by_row ? T(0) : mean[c / per_mean];
#pragma unroll 4
      for (int64_t r = part * chunk + threadIdx.y; r < end; r += blockDim.y) {
        const T v = cast<T>(g[r * n + c]), m = by_row ? (mean ? mean[r] : T(0)) : column_mean;
        level += v;
        along += v * (cast<T>(x[r * n + c]) - m) * (by_row ? rstd[r] : T(1));
      }
    }
    const unsigned me = threadIdx.y * blockDim.x + threadIdx.x;
    all[0][me] = level;
    all[1][me] = along;
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
      __syncthreads();
      if (threadIdx.y < half) {
        all[0][me] += all[0][me + half * blockDim.x];
        all[1][me] += all[1][me + half * blockDim.x];
      }
    }
    if (threadIdx.y == 0 && c < n) {
      out[part * n + c] = all[0][me];
      out[(chunks + part) * n + c] = all[1][me];
    }
    __syncthreads();
  }
}

// Lines of [samples, channels, n]: one of 2 * lines results each.
template <class S, bool kBlock>
__global__ void line_sums(int64_t lines, int64_t channels, int64_t n, const S* g, const S* x,
                          const compute_t<S>* mean, int64_t per_mean, compute_t<S>* out) {
  using T = compute_t<S>;
  const Team<kBlock> team;
  for (int64_t l = team.first; l < lines; l += team.stride) {
    const T m = mean[l % channels / per_mean];
    T level = 0, along = 0;
#pragma unroll 4
    for (int64_t i = team.lane; i < n; i += team.lanes) {
      const T v = cast<T>(g[l * n + i]);
      level += v;
      along += v * (cast<T>(x[l * n + i]) - m);
    }
    level = team.template join<Sum<T>>(level);
    along = team.template join<Sum<T>>(along);
    if (team.lane == 0) {
      out[l] = level;
      out[lines + l] = along;
    }
  }
}

// --- channels -------------------------------------------------------------------------------------------------------

template <int kBytes>
using counter_t = std::conditional_t<kBytes == 4, uint32_t, uint64_t>;

// y[i] = value(i, channel of i), with four loads in flight a thread.
template <class S, int kCounter, class F>
__device__ __forceinline__ void each_of_channels(int64_t n, int64_t channels, int64_t inner, S* y,
                                                 F value) {
  using I = counter_t<kCounter>;
  constexpr int kUnroll = 4;
  const I block = I(blockDim.x) * kUnroll;
  for (I start = blockIdx.x * block + threadIdx.x; start < I(n); start += gridDim.x * block) {
    compute_t<S> v[kUnroll];
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      const I i = start + I(k) * blockDim.x;
      if (i < I(n)) v[k] = value(i, i / I(inner) % I(channels));
    }
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      const I i = start + I(k) * blockDim.x;
      if (i < I(n)) y[i] = cast<S>(v[k]);
    }
  }
}

template <class S, int kCounter>
__global__ void affine(int64_t n, int64_t channels, int64_t inner, const S* x,
                       const compute_t<S>* a, const compute_t<S>* b, S* y) {
  using I = counter_t<kCounter>;
  each_of_channels<S, kCounter>(n, channels, inner, y,
                                [=](I i, I c) { return a[c] * cast<compute_t<S>>(x[i]) + b[c]; });
}
template <class S, int kCounter>
__global__ void combine(int64_t n, int64_t channels, int64_t inner, const S* g, const S* x,
                        const compute_t<S>* a, const compute_t<S>* b, const compute_t<S>* shift,
                        S* y) {
  using I = counter_t<kCounter>;
  using T = compute_t<S>;
  each_of_channels<S, kCounter>(n, channels, inner, y, [=](I i, I c) {
    return a[c] * cast<T>(g[i]) + b[c] * cast<T>(x[i]) + shift[c];
  });
}

// Each channel's scale and shift; a group's first channel writes what is the group's.
template <class T>
__global__ void fold(ChannelFold f, T* scale, T* shift) {
  for (EG_ELEMENTS(c, f.of.channels)) {
    const int64_t g = c / f.of.per_group, i = c % f.of.weights;
    const T m = static_cast<const T*>(f.mean)[g], r = f.template rstd_of<T>(g);
    const T by = f.scale(i, r);
    scale[c] = by;
    shift[c] = f.shift(i, m, by);
    if (c == g * f.of.per_group) f.template group<T>(g);
  }
}
// Coefficients a, b, k of each channel from its sums of g and then of g * (x - mean), and the weights' gradients.
template <class T>
__global__ void terms(ChannelTerms f, const T* sums, T* a, T* b, T* k) {
  const T* const sum_gx = sums + f.of.channels;
  for (EG_ELEMENTS(g, f.of.groups())) {
    const int64_t first = g * f.of.per_group, weight = f.of.first_weight(g);
    const GroupTerms<T> t = f.group(g, sums + first, sum_gx + first);
    for (int64_t c = 0; c < f.of.per_group; ++c) {
      a[first + c] = f.scale(weight + c, t.r);
      b[first + c] = t.slope;
      k[first + c] = t.shift;
    }
  }
  for (EG_ELEMENTS(i, f.of.weights)) {
    T along = 0, level = 0;
    for (int64_t c = i; c < f.of.channels; c += f.of.weights)
      f.add_weights(c / f.of.per_group, sums + c, sum_gx + c, &along, &level, 1);
    static_cast<T*>(f.d_weight)[i] = along;
    static_cast<T*>(f.d_bias)[i] = level;
  }
}

}  // namespace eg
