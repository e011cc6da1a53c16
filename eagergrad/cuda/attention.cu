// softmax(scale * q k^T + mask) v in tiles: the scores exist for one tile of queries and keys at a time. The backward pass
// computes them again from the log of each row's sum; every gradient is summed by one block, in order.
// Rabe and Staats (2021), Dao et al. (2022).
#include "attention.cuh"

namespace eg {

// A block's 16 x 16 threads score kRows rows against kColumns<T> columns at a time: queries against keys, or, for the gradients of keys
// and values, keys against queries. A thread has four rows and kFours<T> fours of columns, 64 apart. Threads of a warp that read the
// same four of shared memory are neighbours, so that their reads are one.
constexpr int kThreads = 256, kRows = 64;
constexpr int kChunk = 16;  // columns of two matrices that are multiplied at a time
constexpr int kStep = 32;   // rows of the other factor of the scores read at a time

// A tile of doubles has to fit in the same room.
template <class T>
constexpr int kFours = sizeof(T) == 4 ? 2 : 1;
template <class T>
constexpr int kColumns = 64 * kFours<T>;
template <class T>
constexpr int kSide = 4 * kFours<T>;  // columns of a thread

// Of 16: the thread's four of rows, and of columns.
__device__ __forceinline__ int thread_row() {
  return int(threadIdx.x) / 32 * 2 + int(threadIdx.x) % 2;
}
__device__ __forceinline__ int thread_column() { return int(threadIdx.x) % 32 / 2; }
// Where row i and column j of a thread are in the tile.
__device__ __forceinline__ int row_at(int i) { return thread_row() * 4 + i; }
__device__ __forceinline__ int column_at(int j) { return j / 4 * 64 + thread_column() * 4 + j % 4; }

// Lines of fours in shared memory. Neighbouring threads write to every fourth line, which would meet in few banks: the fours of a line
// are moved about.
template <class T, int kLines, int kWidth>
struct Spread {
  Four<T> at[kLines][kWidth / 4];
  __device__ __forceinline__ Four<T>& of(int line, int four) {
    return at[line][four ^ (line / 4 % 4 * 2)];
  }
};

template <class T>
struct alignas(16) Shared {
  union {
    struct {
      Spread<T, kChunk, kRows> a;
      Spread<T, kChunk, kColumns<T>> b;
    };
    Four<T> rows[kStep][16];
  };
  Spread<T, kColumns<T>, kRows> scores;  // [column][row]

  // A thread's own scores, which no other writes.
  __device__ __forceinline__ void put(const T (&x)[4][kSide<T>]) {
#pragma unroll
    for (int j = 0; j < kSide<T>; ++j) {
      const Four<T> own = {x[0][j], x[1][j], x[2][j], x[3][j]};
      scores.of(column_at(j), thread_row()) = own;
    }
  }
};

// sum[i][j] = a[row_at(i)] . b[column_at(j)]. The next chunk is on its way while one is multiplied.
template <class T>
__device__ __forceinline__ void dot_tile(Shared<T>& s, const Rows<T>& a, const Rows<T>& b,
                                         int width, T (&sum)[4][kSide<T>]) {
  constexpr int fours = kFours<T>;
  const int c = int(threadIdx.x) % 4 * 4, r = int(threadIdx.x) / 4;
  Four<T> next_a, next_b[fours];
  const auto fetch = [&](int c0) {
    next_a = a.read(r, c0 + c, width);
#pragma unroll
    for (int f = 0; f < fours; ++f) next_b[f] = b.read(r + 64 * f, c0 + c, width);
  };
  const auto turn = [&](auto& to, int line, const Four<T>& x) {
#pragma unroll
    for (int k = 0; k < 4; ++k) to.of(c + k, line / 4).at[line % 4] = x.at[k];
  };
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < kSide<T>; ++j) sum[i][j] = T(0);
  fetch(0);
  for (int c0 = 0; c0 < width; c0 += kChunk) {
    __syncthreads();
    turn(s.a, r, next_a);
#pragma unroll
    for (int f = 0; f < fours; ++f) turn(s.b, r + 64 * f, next_b[f]);
    __syncthreads();
    if (c0 + kChunk < width) fetch(c0 + kChunk);
#pragma unroll
    for (int k = 0; k < kChunk; ++k) {
      const Four<T> x = s.a.of(k, thread_row());
#pragma unroll
      for (int f = 0; f < fours; ++f) {
        const Four<T> y = s.b.of(k, thread_column() + 16 * f);
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) sum[i][4 * f + j] += x.at[i] * y.at[j];
      }
    }
  }
}

// sum[i][c] += scores[k][row_at(i)] * m[k][column] over the tile's k. A thread's columns: four of each 64 from `first` on.
template <class T, int Chunks>
__device__ __forceinline__ void add_product(Shared<T>& s, const Rows<T>& m, int first, int width,
                                            T (&sum)[4][4 * Chunks]) {
  constexpr int loads = kStep * 16 / kThreads;
  const int c = int(threadIdx.x) % 16, r = int(threadIdx.x) / 16;
  Four<T> next[loads];
  const auto fetch = [&](int k0, int n) {
#pragma unroll
    for (int i = 0; i < loads; ++i)
      next[i] = m.read(k0 + r + 16 * i, first + 64 * n + 4 * c, width);
  };
  fetch(0, 0);
  for (int k0 = 0; k0 < kColumns<T> && k0 < m.count; k0 += kStep) {
#pragma unroll
    for (int n = 0; n < Chunks; ++n) {
      __syncthreads();
#pragma unroll
      for (int i = 0; i < loads; ++i) s.rows[r + 16 * i][c] = next[i];
      __syncthreads();
      if (n + 1 < Chunks) {
        fetch(k0, n + 1);
      } else if (k0 + kStep < kColumns<T>) {
        fetch(k0 + kStep, 0);
      }
#pragma unroll 16
      for (int k = 0; k < kStep; ++k) {
        const Four<T> y = s.rows[k][thread_column()], weight = s.scores.of(k0 + k, thread_row());
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) sum[i][4 * n + j] += weight.at[i] * y.at[j];
      }
    }
  }
}

template <class T, int Chunks>
__device__ __forceinline__ void put_rows(const Rows<T>& to, int first, int width,
                                         const T (&sum)[4][4 * Chunks]) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int n = 0; n < Chunks; ++n)
      to.write(row_at(i), first + 64 * n + thread_column() * 4, width,
               {sum[i][4 * n], sum[i][4 * n + 1], sum[i][4 * n + 2], sum[i][4 * n + 3]});
}

// Over the threads with the same rows.
template <class T>
__device__ __forceinline__ T sum_of_row(T x) {
  for (int lane = 16; lane > 1; lane /= 2) x += __shfl_xor_sync(~0u, x, lane);
  return x;
}
template <class T>
__device__ __forceinline__ T greatest_of_row(T x) {
  for (int lane = 16; lane > 1; lane /= 2) {
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
  constexpr int N = kSide<T>;
  __shared__ Shared<T> shared;
  const int64_t tiles = (s.queries + kRows - 1) / kRows, head = blockIdx.x / tiles,
                b = head / s.heads, h = head % s.heads, kv = h / (s.heads / s.kv_heads);
  // Of causal heads the last tiles have most to do: they start first.
  const int q0 = int(tiles - 1 - blockIdx.x % tiles) * kRows;
  const int first = int(blockIdx.y) * Chunks * 64, width = int(s.width),
            value_width = int(s.value_width);
  const Rows<T> queries = head_rows<T>(q, b, h, s.queries).from(q0),
                keys = head_rows<T>(k, b, kv, s.keys), values = head_rows<T>(v, b, kv, s.keys);
  const Scores<T> scores(s, mask, b, h);
  T top[4], total[4], sum[4][4 * Chunks] = {};
#pragma unroll
  for (int i = 0; i < 4; ++i) top[i] = T(-INFINITY), total[i] = T(0);
  const int seen = scores.seen(q0 + kRows);
  for (int k0 = 0; k0 < seen; k0 += kColumns<T>) {
    T x[4][N];
    dot_tile(shared, queries, keys.from(k0), width, x);
    const bool plain = scores.plain(q0, kRows, k0, kColumns<T>);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      T most = T(-INFINITY);
#pragma unroll
      for (int j = 0; j < N; ++j) {
        x[i][j] =
            plain ? x[i][j] * T(s.scale) : scores.at(x[i][j], q0 + row_at(i), k0 + column_at(j));
        most = x[i][j] > most || x[i][j] != x[i][j] ? x[i][j] : most;
      }
      most = greatest_of_row(most);
      const T now = most > top[i] || most != most ? most : top[i];
      const T shift = now == T(-INFINITY) ? T(0) : now, shrink = vocabulary::exp(top[i] - shift);
      T part = T(0);
#pragma unroll
      for (int j = 0; j < N; ++j) part += x[i][j] = vocabulary::exp(x[i][j] - shift);
      total[i] = total[i] * shrink + sum_of_row(part);
      top[i] = now;
#pragma unroll
      for (int c = 0; c < 4 * Chunks; ++c) sum[i][c] *= shrink;
    }
    __syncthreads();  // the scores before have been read
    shared.put(x);
    add_product<T, Chunks>(shared, values.from(k0), first, value_width, sum);
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const T inverse = total[i] == T(0) ? T(0) : T(1) / total[i];
#pragma unroll
    for (int c = 0; c < 4 * Chunks; ++c) sum[i][c] *= inverse;
    const int at = q0 + row_at(i);
    if (lse && thread_column() == 0 && blockIdx.y == 0 && at < s.queries)
      lse[head * s.queries + at] =
          total[i] == T(0) ? T(INFINITY) : top[i] + vocabulary::log(total[i]);
  }
  put_rows<T, Chunks>(head_rows<T>(out, b, h, s.queries).from(q0), first, value_width, sum);
}

// --- backward ------------------------------------------------------------------------------------------------------

// along[row] = g[row] . out[row], a warp each.
template <class T>
__global__ void attention_along(AttentionShape s, HeadMatrix out, HeadMatrix g,
                                compute_t<T>* along) {
  using C = compute_t<T>;
  const int64_t n = s.batch * s.heads * s.queries;
  const int64_t warps = int64_t(gridDim.x) * (blockDim.x / 32);
  for (int64_t i = int64_t(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32; i < n; i += warps) {
    const int64_t head = i / s.queries;
    const int row = int(i % s.queries);
    const T* x = head_rows<T>(out, head / s.heads, head % s.heads, s.queries).from(row).data;
    const T* y = head_rows<T>(g, head / s.heads, head % s.heads, s.queries).from(row).data;
    C sum = C(0);
    for (int64_t c = threadIdx.x % 32; c < s.value_width; c += 32)
      sum += cast<C>(x[c]) * cast<C>(y[c]);
    for (int lane = 16; lane; lane /= 2) sum += __shfl_xor_sync(~0u, sum, lane);
    if (threadIdx.x % 32 == 0) along[i] = sum;
  }
}

// A tile of probabilities, then of gradients of the scores. kTurned: its rows are keys, its columns queries.
template <class T, bool kTurned>
struct TileGradients {
  static constexpr int N = kSide<T>, kQueries = kTurned ? N : 4;
  Shared<T>& shared;
  const Scores<T>& scores;
  int row0, column0;
  const T *lse, *along;  // of the head's queries

  __device__ __forceinline__ int query(int i, int j) const {
    return kTurned ? column0 + column_at(j) : row0 + row_at(i);
  }
  // of[query] for the thread's rows or columns.
  __device__ __forceinline__ void of_queries(const T* of, T (&to)[kQueries]) const {
#pragma unroll
    for (int n = 0; n < kQueries; ++n)
      to[n] = query(n, n) < scores.s.queries ? of[query(n, n)] : T(0);
  }
  // Leaves the probabilities in shared memory.
  __device__ __forceinline__ void probabilities(const Rows<T>& rows, const Rows<T>& columns) const {
    T p[4][N], shift[kQueries];
    dot_tile(shared, rows, columns, int(scores.s.width), p);
    of_queries(lse, shift);
    const bool plain = kTurned ? scores.plain(column0, kColumns<T>, row0, kRows)
                               : scores.plain(row0, kRows, column0, kColumns<T>);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const int key = kTurned ? row0 + row_at(i) : column0 + column_at(j);
        const T x = plain ? p[i][j] * T(scores.s.scale) : scores.at(p[i][j], query(i, j), key);
        p[i][j] = vocabulary::exp(x - shift[kTurned ? j : i]);
      }
    __syncthreads();  // the scores before have been read
    shared.put(p);
  }
  // Puts the gradients in the place of the probabilities.
  __device__ __forceinline__ void gradients(const Rows<T>& rows, const Rows<T>& columns) const {
    T d[4][N], mean[kQueries];
    dot_tile(shared, rows, columns, int(scores.s.value_width), d);
    of_queries(along, mean);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const Four<T> p = shared.scores.of(column_at(j), thread_row());
#pragma unroll
      for (int i = 0; i < 4; ++i)
        d[i][j] = p.at[i] * (d[i][j] - mean[kTurned ? j : i]) * T(scores.s.scale);
    }
    __syncthreads();  // the probabilities have been read
    shared.put(d);
  }
};

// Blocks: (query tiles x batch x heads) x column sets.
template <class T, int Chunks>
__global__ void __launch_bounds__(kThreads, Chunks == 1 ? 2 : 1)
    attention_queries_grad(AttentionShape s, AttentionMask mask, HeadMatrix q, HeadMatrix k,
                           HeadMatrix v, HeadMatrix g, const T* lse, const T* along,
                           HeadMatrix dq) {
  __shared__ Shared<T> shared;
  const int64_t tiles = (s.queries + kRows - 1) / kRows, head = blockIdx.x / tiles,
                b = head / s.heads, h = head % s.heads, kv = h / (s.heads / s.kv_heads);
  const int q0 = int(tiles - 1 - blockIdx.x % tiles) * kRows;
  const int first = int(blockIdx.y) * Chunks * 64, width = int(s.width),
            value_width = int(s.value_width);
  const Rows<T> queries = head_rows<T>(q, b, h, s.queries).from(q0),
                keys = head_rows<T>(k, b, kv, s.keys), values = head_rows<T>(v, b, kv, s.keys),
                gs = head_rows<T>(g, b, h, s.queries).from(q0);
  const Scores<T> scores(s, mask, b, h);
  T sum[4][4 * Chunks] = {};
  const int seen = scores.seen(q0 + kRows);
  const int64_t row0 = head * s.queries;
  for (int k0 = 0; k0 < seen; k0 += kColumns<T>) {
    const TileGradients<T, false> t{shared, scores, q0, k0, lse + row0, along + row0};
    t.probabilities(queries, keys.from(k0));
    t.gradients(gs, values.from(k0));
    add_product<T, Chunks>(shared, keys.from(k0), first, width, sum);
  }
  put_rows<T, Chunks>(head_rows<T>(dq, b, h, s.queries).from(q0), first, width, sum);
}

// dk and dv, either of which may be null. Blocks: (key tiles x batch x kv_heads) x column sets.
template <class T, int Chunks>
__global__ void __launch_bounds__(kThreads, Chunks == 1 ? 2 : 1)
    attention_keys_grad(AttentionShape s, AttentionMask mask, HeadMatrix q, HeadMatrix k,
                        HeadMatrix v, HeadMatrix g, const T* lse, const T* along, HeadMatrix dk,
                        HeadMatrix dv) {
  __shared__ Shared<T> shared;
  const int64_t tiles = (s.keys + kRows - 1) / kRows, entry = blockIdx.x / tiles,
                b = entry / s.kv_heads, kv = entry % s.kv_heads, group = s.heads / s.kv_heads;
  const int k0 = int(blockIdx.x % tiles) * kRows;
  const int first = int(blockIdx.y) * Chunks * 64, width = int(s.width),
            value_width = int(s.value_width);
  const Rows<T> keys = head_rows<T>(k, b, kv, s.keys).from(k0),
                values = head_rows<T>(v, b, kv, s.keys).from(k0);
  T sum_k[4][4 * Chunks] = {}, sum_v[4][4 * Chunks] = {};
  for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
    const Rows<T> queries = head_rows<T>(q, b, h, s.queries), gs = head_rows<T>(g, b, h, s.queries);
    const Scores<T> scores(s, mask, b, h);
    const int64_t row0 = (b * s.heads + h) * s.queries;
    for (int q0 = s.causal ? k0 / kColumns<T> * kColumns<T> : 0; q0 < s.queries;
         q0 += kColumns<T>) {
      const TileGradients<T, true> t{shared, scores, k0, q0, lse + row0, along + row0};
      t.probabilities(keys, queries.from(q0));
      if (dv.data) add_product<T, Chunks>(shared, gs.from(q0), first, value_width, sum_v);
      if (!dk.data) continue;
      t.gradients(values, gs.from(q0));
      add_product<T, Chunks>(shared, queries.from(q0), first, width, sum_k);
    }
  }
  if (dk.data) put_rows<T, Chunks>(head_rows<T>(dk, b, kv, s.keys).from(k0), first, width, sum_k);
  if (dv.data)
    put_rows<T, Chunks>(head_rows<T>(dv, b, kv, s.keys).from(k0), first, value_width, sum_v);
}

}  // namespace eg
