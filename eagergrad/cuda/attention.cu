// softmax(scale * q k^T + mask) v in tiles: the scores exist for one tile of queries and keys at a time. The backward pass
// computes them again from the log of each row's sum; every gradient is summed by one block, in order.
// Rabe and Staats (2021), Dao et al. (2022).
#include "kernels/attention_layout.h"
#include "kernels/vocabulary.h"
#include "prelude.cuh"

namespace eg {

constexpr int kThreads = 256;  // 16 x 16, each with R x R scores of a tile
constexpr int kChunk = 32;     // columns of q and k read at a time
constexpr int kStep = 32;      // rows of v, k, q or g read at a time

// Results of a thread a side: a tile of doubles fits in half the room.
template <class T>
constexpr int kSide = sizeof(T) == 4 ? 4 : 2;

template <class T>
struct alignas(16) Shared {
  static constexpr int tile = 16 * kSide<T>;
  union {
    struct {
      T a[kChunk][tile + 4], b[kChunk][tile + 4];
    };
    T rows[kStep][64];
  };
  T scores[tile][tile + 4];
};

// A head's matrix: rows of `width` elements, of which `count` exist.
template <class T>
struct Rows {
  T* data;
  int64_t stride, count;
  __device__ __forceinline__ T* row(int64_t i) const { return data + i * stride; }
};
template <class T>
__device__ __forceinline__ Rows<T> head_rows(const HeadMatrix& m, int64_t batch, int64_t head,
                                             int64_t count) {
  return {static_cast<T*>(m.data) + batch * m.batch + head * m.head, m.row, count};
}

// sum[i][j] = a[a0 + row] . b[b0 + column] for the thread's R x R rows and columns.
template <class T, int R>
__device__ __forceinline__ void dot_tile(Shared<T>& s, const Rows<T>& a, int64_t a0,
                                         const Rows<T>& b, int64_t b0, int64_t width,
                                         T (&sum)[R][R]) {
  constexpr int tile = Shared<T>::tile;
  const int thread = int(threadIdx.x), column = thread % 16, row = thread / 16;
#pragma unroll
  for (int i = 0; i < R; ++i)
#pragma unroll
    for (int j = 0; j < R; ++j) sum[i][j] = T(0);
  for (int64_t c0 = 0; c0 < width; c0 += kChunk) {
    __syncthreads();
    const int64_t c = c0 + thread % kChunk;
#pragma unroll
    for (int i = 0; i < tile * kChunk / kThreads; ++i) {
      const int r = thread / kChunk + kThreads / kChunk * i;
      s.a[thread % kChunk][r] = c < width && a0 + r < a.count ? a.row(a0 + r)[c] : T(0);
      s.b[thread % kChunk][r] = c < width && b0 + r < b.count ? b.row(b0 + r)[c] : T(0);
    }
    __syncthreads();
#pragma unroll 8
    for (int k = 0; k < kChunk; ++k) {
      T x[R], y[R];
#pragma unroll
      for (int i = 0; i < R; ++i) x[i] = s.a[k][row * R + i];
#pragma unroll
      for (int j = 0; j < R; ++j) y[j] = s.b[k][column * R + j];
#pragma unroll
      for (int i = 0; i < R; ++i)
#pragma unroll
        for (int j = 0; j < R; ++j) sum[i][j] += x[i] * y[j];
    }
  }
}

// sum[i][c] += s.scores[k][row] * m[m0 + k][first + column] over the tile's k. A thread's columns: four of each 64.
template <class T, int R, int Chunks>
__device__ __forceinline__ void add_product(Shared<T>& s, const Rows<T>& m, int64_t m0,
                                            int64_t first, int64_t width, T (&sum)[R][4 * Chunks]) {
  constexpr int tile = Shared<T>::tile;
  const int thread = int(threadIdx.x), column = thread % 16, row = thread / 16;
  for (int k0 = 0; k0 < tile; k0 += kStep) {
#pragma unroll
    for (int n = 0; n < Chunks; ++n) {
      const int64_t c = first + 64 * n + thread % 64;
      if (first + 64 * n >= width) continue;
      __syncthreads();
#pragma unroll
      for (int i = 0; i < kStep / 4; ++i) {
        const int k = thread / 64 + 4 * i;
        s.rows[k][thread % 64] = c < width && m0 + k0 + k < m.count ? m.row(m0 + k0 + k)[c] : T(0);
      }
      __syncthreads();
#pragma unroll 8
      for (int k = 0; k < kStep; ++k) {
#pragma unroll
        for (int i = 0; i < R; ++i) {
          const T weight = s.scores[k0 + k][row * R + i];
#pragma unroll
          for (int j = 0; j < 4; ++j) sum[i][4 * n + j] += weight * s.rows[k][column * 4 + j];
        }
      }
    }
  }
}

template <class T, int R, int Chunks>
__device__ __forceinline__ void put_rows(const Rows<T>& to, int64_t row0, int64_t first,
                                         int64_t width, const T (&sum)[R][4 * Chunks]) {
  const int column = threadIdx.x % 16, row = threadIdx.x / 16;
#pragma unroll
  for (int i = 0; i < R; ++i) {
    const int64_t at = row0 + row * R + i;
    if (at >= to.count) break;
#pragma unroll
    for (int n = 0; n < Chunks; ++n)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int64_t c = first + 64 * n + column * 4 + j;
        if (c < width) to.row(at)[c] = sum[i][4 * n + j];
      }
  }
}

// The score of a query and a key: -inf where the key is not seen.
template <class T>
struct Scores {
  const AttentionShape& s;
  const AttentionMask& mask;
  int64_t offset;  // of the head's mask
  __device__ __forceinline__ Scores(const AttentionShape& shape, const AttentionMask& m, int64_t b,
                                    int64_t h)
      : s(shape), mask(m), offset(b * m.batch + h * m.head) {}
  __device__ __forceinline__ T at(T dot, int64_t query, int64_t key) const {
    if (query >= s.queries || key >= s.keys || (s.causal && key > query)) return T(-INFINITY);
    const T score = dot * T(s.scale);
    if (!mask.data) return score;
    const int64_t i = offset + query * mask.row + key * mask.key;
    if (mask.boolean) return static_cast<const bool*>(mask.data)[i] ? score : T(-INFINITY);
    return score + static_cast<const T*>(mask.data)[i];
  }
  // Keys past the last one that queries before `end` see.
  __device__ __forceinline__ int64_t seen(int64_t end) const {
    return s.causal && end < s.keys ? end : s.keys;
  }
};

template <class T>
__device__ __forceinline__ T sum_of_16(T x) {
  for (int lane = 8; lane; lane /= 2) x += __shfl_xor_sync(~0u, x, lane);
  return x;
}
template <class T>
__device__ __forceinline__ T greatest_of_16(T x) {
  for (int lane = 8; lane; lane /= 2) {
    const T other = __shfl_xor_sync(~0u, x, lane);
    x = other > x || other != other ? other : x;
  }
  return x;
}

// Blocks: (query tiles x batch x heads) x column sets of the values.
template <class T, int Chunks>
__global__ void __launch_bounds__(kThreads, Chunks == 1 ? 2 : 1)
    attention(AttentionShape s, AttentionMask mask, HeadMatrix q, HeadMatrix k, HeadMatrix v,
              HeadMatrix out, T* lse) {
  constexpr int R = kSide<T>, tile = Shared<T>::tile;
  __shared__ Shared<T> shared;
  const int64_t tiles = (s.queries + tile - 1) / tile, head = blockIdx.x / tiles,
                b = head / s.heads, h = head % s.heads, kv = h / (s.heads / s.kv_heads);
  // Of causal heads the last tiles have most to do: they start first.
  const int64_t q0 = (tiles - 1 - blockIdx.x % tiles) * tile;
  const int64_t first = int64_t(blockIdx.y) * Chunks * 64;
  const int column = threadIdx.x % 16, row = threadIdx.x / 16;
  const Rows<T> queries = head_rows<T>(q, b, h, s.queries), keys = head_rows<T>(k, b, kv, s.keys),
                values = head_rows<T>(v, b, kv, s.keys);
  const Scores<T> scores(s, mask, b, h);
  T top[R], total[R], sum[R][4 * Chunks] = {};
#pragma unroll
  for (int i = 0; i < R; ++i) top[i] = T(-INFINITY), total[i] = T(0);
  const int64_t seen = scores.seen(q0 + tile);
  for (int64_t k0 = 0; k0 < seen; k0 += tile) {
    T x[R][R];
    dot_tile(shared, queries, q0, keys, k0, s.width, x);
#pragma unroll
    for (int i = 0; i < R; ++i) {
      T most = T(-INFINITY);
#pragma unroll
      for (int j = 0; j < R; ++j) {
        x[i][j] = scores.at(x[i][j], q0 + row * R + i, k0 + column * R + j);
        most = x[i][j] > most || x[i][j] != x[i][j] ? x[i][j] : most;
      }
      most = greatest_of_16(most);
      const T now = most > top[i] || most != most ? most : top[i];
      const T shift = now == T(-INFINITY) ? T(0) : now, shrink = vocabulary::exp(top[i] - shift);
      T part = T(0);
#pragma unroll
      for (int j = 0; j < R; ++j) {
        const T p = vocabulary::exp(x[i][j] - shift);
        part += p;
        shared.scores[column * R + j][row * R + i] = p;
      }
      total[i] = total[i] * shrink + sum_of_16(part);
      top[i] = now;
#pragma unroll
      for (int c = 0; c < 4 * Chunks; ++c) sum[i][c] *= shrink;
    }
    add_product<T, R, Chunks>(shared, values, k0, first, s.value_width, sum);
  }
#pragma unroll
  for (int i = 0; i < R; ++i) {
    const T inverse = total[i] == T(0) ? T(0) : T(1) / total[i];
#pragma unroll
    for (int c = 0; c < 4 * Chunks; ++c) sum[i][c] *= inverse;
    const int64_t at = q0 + row * R + i;
    if (lse && column == 0 && blockIdx.y == 0 && at < s.queries)
      lse[head * s.queries + at] =
          total[i] == T(0) ? T(INFINITY) : top[i] + vocabulary::log(total[i]);
  }
  put_rows<T, R, Chunks>(head_rows<T>(out, b, h, s.queries), q0, first, s.value_width, sum);
}

// --- backward ------------------------------------------------------------------------------------------------------

// along[row] = g[row] . out[row], a warp each.
template <class T>
__global__ void attention_along(AttentionShape s, HeadMatrix out, HeadMatrix g, T* along) {
  const int64_t n = s.batch * s.heads * s.queries;
  const int64_t warps = int64_t(gridDim.x) * (blockDim.x / 32);
  for (int64_t i = int64_t(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32; i < n; i += warps) {
    const int64_t head = i / s.queries, row = i % s.queries;
    const T* x = head_rows<T>(out, head / s.heads, head % s.heads, s.queries).row(row);
    const T* y = head_rows<T>(g, head / s.heads, head % s.heads, s.queries).row(row);
    T sum = T(0);
    for (int64_t c = threadIdx.x % 32; c < s.value_width; c += 32) sum += x[c] * y[c];
    for (int lane = 16; lane; lane /= 2) sum += __shfl_xor_sync(~0u, sum, lane);
    if (threadIdx.x % 32 == 0) along[i] = sum;
  }
}

// Probabilities and gradients of the scores of a tile.
template <class T>
struct TileGradients {
  static constexpr int R = kSide<T>;
  T p[R][R], d[R][R];

  __device__ __forceinline__ void compute(Shared<T>& shared, const Scores<T>& scores,
                                          const Rows<T>& q, int64_t q0, const Rows<T>& k,
                                          int64_t k0, const Rows<T>& g, const Rows<T>& v,
                                          const T* lse, const T* along) {
    const AttentionShape& s = scores.s;
    const int column = threadIdx.x % 16, row = threadIdx.x / 16;
    dot_tile(shared, q, q0, k, k0, s.width, p);
    dot_tile(shared, g, q0, v, k0, s.value_width, d);
#pragma unroll
    for (int i = 0; i < R; ++i) {
      const int64_t query = q0 + row * R + i;
      const T shift = query < s.queries ? lse[query] : T(0),
              mean = query < s.queries ? along[query] : T(0);
#pragma unroll
      for (int j = 0; j < R; ++j) {
        const T x = scores.at(p[i][j], query, k0 + column * R + j);
        p[i][j] = vocabulary::exp(x - shift);
        d[i][j] = p[i][j] * (d[i][j] - mean) * T(s.scale);
      }
    }
  }
  // As [key][query] or [query][key]: what is summed over comes first.
  template <bool KeyFirst>
  static __device__ __forceinline__ void put(Shared<T>& shared, const T (&x)[R][R]) {
    const int column = threadIdx.x % 16, row = threadIdx.x / 16;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < R; ++i)
#pragma unroll
      for (int j = 0; j < R; ++j) {
        if constexpr (KeyFirst) {
          shared.scores[column * R + j][row * R + i] = x[i][j];
        } else {
          shared.scores[row * R + i][column * R + j] = x[i][j];
        }
      }
  }
};

// Blocks: (query tiles x batch x heads) x column sets.
template <class T, int Chunks>
__global__ void __launch_bounds__(kThreads, Chunks == 1 ? 2 : 1)
    attention_queries_grad(AttentionShape s, AttentionMask mask, HeadMatrix q, HeadMatrix k,
                           HeadMatrix v, HeadMatrix g, const T* lse, const T* along,
                           HeadMatrix dq) {
  constexpr int R = kSide<T>, tile = Shared<T>::tile;
  __shared__ Shared<T> shared;
  const int64_t tiles = (s.queries + tile - 1) / tile, head = blockIdx.x / tiles,
                b = head / s.heads, h = head % s.heads, kv = h / (s.heads / s.kv_heads);
  const int64_t q0 = (tiles - 1 - blockIdx.x % tiles) * tile;
  const int64_t first = int64_t(blockIdx.y) * Chunks * 64;
  const Rows<T> queries = head_rows<T>(q, b, h, s.queries), keys = head_rows<T>(k, b, kv, s.keys),
                values = head_rows<T>(v, b, kv, s.keys), gs = head_rows<T>(g, b, h, s.queries);
  const Scores<T> scores(s, mask, b, h);
  T sum[R][4 * Chunks] = {};
  const int64_t seen = scores.seen(q0 + tile);
  for (int64_t k0 = 0; k0 < seen; k0 += tile) {
    TileGradients<T> t;
    t.compute(shared, scores, queries, q0, keys, k0, gs, values, lse + head * s.queries,
              along + head * s.queries);
    t.template put<true>(shared, t.d);
    add_product<T, R, Chunks>(shared, keys, k0, first, s.width, sum);
  }
  put_rows<T, R, Chunks>(head_rows<T>(dq, b, h, s.queries), q0, first, s.width, sum);
}

// dk and dv, either of which may be null. Blocks: (key tiles x batch x kv_heads) x column sets.
template <class T, int Chunks>
__global__ void __launch_bounds__(kThreads, Chunks == 1 ? 2 : 1)
    attention_keys_grad(AttentionShape s, AttentionMask mask, HeadMatrix q, HeadMatrix k,
                        HeadMatrix v, HeadMatrix g, const T* lse, const T* along, HeadMatrix dk,
                        HeadMatrix dv) {
  constexpr int R = kSide<T>, tile = Shared<T>::tile;
  __shared__ Shared<T> shared;
  const int64_t tiles = (s.keys + tile - 1) / tile, entry = blockIdx.x / tiles,
                b = entry / s.kv_heads, kv = entry % s.kv_heads, group = s.heads / s.kv_heads;
  const int64_t k0 = blockIdx.x % tiles * tile, first = int64_t(blockIdx.y) * Chunks * 64;
  const Rows<T> keys = head_rows<T>(k, b, kv, s.keys), values = head_rows<T>(v, b, kv, s.keys);
  T sum_k[R][4 * Chunks] = {}, sum_v[R][4 * Chunks] = {};
  for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
    const Rows<T> queries = head_rows<T>(q, b, h, s.queries), gs = head_rows<T>(g, b, h, s.queries);
    const Scores<T> scores(s, mask, b, h);
    const int64_t row0 = (b * s.heads + h) * s.queries;
    for (int64_t q0 = s.causal ? k0 / tile * tile : 0; q0 < s.queries; q0 += tile) {
      TileGradients<T> t;
      t.compute(shared, scores, queries, q0, keys, k0, gs, values, lse + row0, along + row0);
      if (dv.data) {
        t.template put<false>(shared, t.p);
        add_product<T, R, Chunks>(shared, gs, q0, first, s.value_width, sum_v);
      }
      if (dk.data) {
        t.template put<false>(shared, t.d);
        add_product<T, R, Chunks>(shared, queries, q0, first, s.width, sum_k);
      }
    }
  }
  if (dk.data) put_rows<T, R, Chunks>(head_rows<T>(dk, b, kv, s.keys), k0, first, s.width, sum_k);
  if (dv.data)
    put_rows<T, R, Chunks>(head_rows<T>(dv, b, kv, s.keys), k0, first, s.value_width, sum_v);
}

}  // namespace eg
