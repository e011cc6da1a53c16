// Attention of halves on tensor cores: as attention.cu, but the scores stay in registers. A warp has its own rows, and the tile
// of scores that it has summed is, rounded, the factor of its next product. Dao (2023), FlashAttention-2.
#include "attention.cuh"
#include "tensor_cores.cuh"

namespace eg {

// A block's four warps have M times 16 rows each. D: columns of the matrices, with zeros after the last.
constexpr int kThreads = 128;
constexpr float kLog2e = 1.4426950408889634f, kLn2 = 0.6931471805599453f;  // exponentials are of 2

__device__ __forceinline__ int lane() { return int(threadIdx.x) % 32; }

// N rows in shared memory, in runs. Those of a row are moved about, so that the same run of eight rows meets every bank once.
template <class T, int D, int N>
struct Tile {
  static constexpr int kRuns = D / 8;
  Run<T> at[N][kRuns];
  __device__ __forceinline__ Run<T>& of(int row, int run) {
    return at[row][run ^ (kRuns % 8 == 0 ? row % 8 : row / 2 % 4)];
  }
  // By all threads of the block; there after wait_for_copies and a barrier.
  template <int kOfBlock = kThreads>
  __device__ __forceinline__ void fetch(const Rows<T>& from, int width) {
#pragma unroll
    for (int i = int(threadIdx.x); i < N * kRuns; i += kOfBlock) {
      const int row = i / kRuns, run = i % kRuns;
      Run<T>& to = of(row, run);
      const int left = row < from.count ? width - 8 * run : 0;
      if (from.aligned) {
        copy_async(&to, from.data + (left > 0 ? row * from.stride + 8 * run : 0),
                   left <= 0  ? 0
                   : left < 8 ? left * int(sizeof(T))
                              : 16);
      } else {
        to = from.read(row, 8 * run, width);
      }
    }
  }
};

// M x N fragments of 16 x 8 sums.
template <int M, int N>
struct Sums {
  float at[M][N][4];
  // The row and the column of number i of a fragment.
  static __device__ __forceinline__ int row(int m, int i) {
    return 16 * m + lane() / 4 + i / 2 * 8;
  }
  static __device__ __forceinline__ int column(int n, int i) {
    return 8 * n + lane() % 4 * 2 + i % 2;
  }

  __device__ __forceinline__ void clear() {
    each([](float& x, int, int, int) { x = 0; });
  }
  // f(number, m, n, i)
  template <class F>
  __device__ __forceinline__ void each(F f) {
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int n = 0; n < N; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) f(at[m][n][i], m, n, i);
  }

  // += the rows of a from `first` on times the rows of b: a b^T.
  template <class T, int D, int R>
  __device__ __forceinline__ void add_dots(Tile<T, D, R>& a, int first, Tile<T, D, 8 * N>& b) {
#pragma unroll
    for (int k = 0; k < D / 16; ++k) {
      uint32_t x[M][4];
#pragma unroll
      for (int m = 0; m < M; ++m)
        load_matrices<false>(x[m], &a.of(first + 16 * m + lane() % 16, 2 * k + lane() / 16));
#pragma unroll
      for (int n = 0; n < N; n += 2) {
        uint32_t y[4];
        load_matrices<false>(y,
                             &b.of(8 * n + lane() / 16 * 8 + lane() % 8, 2 * k + lane() / 8 % 2));
#pragma unroll
        for (int m = 0; m < M; ++m) {
          multiply_add<T>(at[m][n], x[m], y[0], y[1]);
          multiply_add<T>(at[m][n + 1], x[m], y[2], y[3]);
        }
      }
    }
  }

  // += a, rounded, times b.
  template <class T, int K>
  __device__ __forceinline__ void add_product(const Sums<M, K>& a, Tile<T, 8 * N, 8 * K>& b) {
#pragma unroll
    for (int k = 0; k < K; k += 2) {
      uint32_t x[M][4];
#pragma unroll
      for (int m = 0; m < M; ++m)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float (&pair)[4] = a.at[m][k + i / 2];
          x[m][i] = packed<T>(pair[i % 2 * 2], pair[i % 2 * 2 + 1]);
        }
#pragma unroll
      for (int n = 0; n < N; n += 2) {
        uint32_t y[4];
        load_matrices<true>(y, &b.of(8 * k + lane() % 16, n + lane() / 16));
#pragma unroll
        for (int m = 0; m < M; ++m) {
          multiply_add<T>(at[m][n], x[m], y[0], y[1]);
          multiply_add<T>(at[m][n + 1], x[m], y[2], y[3]);
        }
      }
    }
  }

  // Rounded, to rows of `to` from `first` on, through the same rows of a tile that no other warp uses.
  template <class T, int R>
  __device__ __forceinline__ void put(Tile<T, 8 * N, R>& through, int first, const Rows<T>& to,
                                      int width) {
    __syncwarp();
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int n = 0; n < N; ++n)
#pragma unroll
        for (int i = 0; i < 4; i += 2)
          *reinterpret_cast<uint32_t*>(&through.of(first + row(m, i), n).at[lane() % 4 * 2]) =
              packed<T>(at[m][n][i], at[m][n][i + 1]);
    __syncwarp();
#pragma unroll
    for (int i = lane(); i < 16 * M * N; i += 32)
      to.write(first + i / N, i % N * 8, width, through.of(first + i / N, i % N));
  }
};

// Over the lanes with the same rows.
template <class F>
__device__ __forceinline__ float over_row(float x, F join) {
  x = join(x, __shfl_xor_sync(~0u, x, 1));
  return join(x, __shfl_xor_sync(~0u, x, 2));
}

// Blocks: query tiles x batch x heads. Values arrive while the scores are computed, the next keys while the product with the
// values is.
template <class T, int D, int M>
__global__ void __launch_bounds__(kThreads)
    attention_half(AttentionShape s, AttentionMask mask, HeadMatrix q, HeadMatrix k, HeadMatrix v,
                   HeadMatrix out, float* lse) {
  constexpr int kRows = 64 * M, kKeys = D <= 64 ? 64 : D <= 128 ? 32 : 16;
  __shared__ Tile<T, D, kRows> queries;
  __shared__ Tile<T, D, kKeys> keys, values;
  const int64_t tiles = (s.queries + kRows - 1) / kRows, head = blockIdx.x / tiles,
                b = head / s.heads, h = head % s.heads, kv = h / (s.heads / s.kv_heads);
  // Of causal heads the last tiles have most to do: they start first.
  const int q0 = int(tiles - 1 - blockIdx.x % tiles) * kRows, row0 = int(threadIdx.x) / 32 * 16 * M;
  const int width = int(s.width), value_width = int(s.value_width);
  const Rows<T> all_keys = head_rows<T>(k, b, kv, s.keys),
                all_values = head_rows<T>(v, b, kv, s.keys);
  const Scores<float> scores(s, mask, b, h);
  const int seen = scores.seen(q0 + kRows);

  Sums<M, D / 8> sum;
  float top[M][2], total[M][2];
  sum.clear();
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int r = 0; r < 2; ++r) top[m][r] = -INFINITY, total[m][r] = 0;

  queries.fetch(head_rows<T>(q, b, h, s.queries).from(q0), width);
  keys.fetch(all_keys, width);
  for (int k0 = 0; k0 < seen; k0 += kKeys) {
    wait_for_copies();
    __syncthreads();  // the keys are there, the values before have been read
    values.fetch(all_values.from(k0), value_width);
    Sums<M, kKeys / 8> p;
    p.clear();
    p.add_dots(queries, row0, keys);
    if (scores.plain(q0 + row0, 16 * M, k0, kKeys)) {
      const float scale = float(s.scale) * kLog2e;
      p.each([&](float& x, int, int, int) { x *= scale; });
    } else {
      p.each([&](float& x, int m, int n, int i) {
        x = scores.at(x, q0 + row0 + p.row(m, i), k0 + p.column(n, i)) * kLog2e;
      });
    }
    float shift[M][2], shrink[M][2];
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int r = 0; r < 2; ++r) shift[m][r] = top[m][r];
    p.each([&](float& x, int m, int, int i) { shift[m][i / 2] = fmaxf(shift[m][i / 2], x); });
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float most = over_row(shift[m][r], [](float x, float y) { return fmaxf(x, y); });
        shift[m][r] = most == -INFINITY ? 0 : most;
        shrink[m][r] = vocabulary::exp2(top[m][r] - shift[m][r]);
        total[m][r] *= shrink[m][r];
        top[m][r] = most;
      }
    p.each([&](float& x, int m, int, int i) {
      x = vocabulary::exp2(x - shift[m][i / 2]);
      total[m][i / 2] += x;
    });
    sum.each([&](float& x, int m, int, int i) { x *= shrink[m][i / 2]; });
    wait_for_copies();
    __syncthreads();  // the values are there, the keys have been read
    if (k0 + kKeys < seen) keys.fetch(all_keys.from(k0 + kKeys), width);
    sum.add_product(p, values);
  }
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float& all = total[m][r];
      all = over_row(all, [](float x, float y) { return x + y; });
      const int row = q0 + row0 + sum.row(m, 2 * r);
      if (lse && lane() % 4 == 0 && row < s.queries)
        lse[head * s.queries + row] =
            all == 0 ? INFINITY : (top[m][r] + vocabulary::log2(all)) * kLn2;
      all = all == 0 ? 0 : 1 / all;
    }
  sum.each([&](float& x, int m, int, int i) { x *= total[m][i / 2]; });
  sum.put(queries, row0, head_rows<T>(out, b, h, s.queries).from(q0), value_width);
}

// --- backward ------------------------------------------------------------------------------------------------------

// A block has a tile of rows and goes through the columns. Rows are queries and columns are keys, or, kTurned, the other way round;
// beside a query stands the gradient of its result, beside a key its value. Gradients: `first` of queries; kTurned: `first` of keys
// and `second` of values, either of which may be null. Blocks: row tiles x batch x heads of the rows. Of more than 128 columns the
// block is half as large, so that its tiles fit 48 KiB, and has the sums of one gradient: kSums has 1 for `first`, 2 for `second`.
template <class T, int D, int M, bool kTurned, int kSums>
__global__ void __launch_bounds__(D <= 128 ? kThreads : kThreads / 2)
    attention_half_grad(AttentionShape s, AttentionMask mask, HeadMatrix rows,
                        HeadMatrix beside_rows, HeadMatrix columns, HeadMatrix beside_columns,
                        const float* lse, const float* along, HeadMatrix first, HeadMatrix second) {
  constexpr bool kFirst = (kSums & 1) != 0, kSecond = (kSums & 2) != 0, kWide = D > 128;
  constexpr int kOfBlock = kWide ? kThreads / 2 : kThreads, kRows = kOfBlock / 2 * M;
  constexpr int kColumns = kWide ? 16 : M == 1 && D <= 64 ? 64 : 32;
  constexpr int kBuffers = D <= 96 ? 2 : 1;  // in 48 KiB; with two the next columns arrive early
  __shared__ Tile<T, D, kRows> x, beside_x;
  __shared__ Tile<T, D, kColumns> y[kBuffers], beside_y[kBuffers];
  const int count = int(kTurned ? s.keys : s.queries), group = int(s.heads / s.kv_heads),
            width = int(s.width), value_width = int(s.value_width);
  const int64_t heads = kTurned ? s.kv_heads : s.heads, tiles = (count + kRows - 1) / kRows,
                b = blockIdx.x / tiles / heads, head = blockIdx.x / tiles % heads;
  // The tile that has most to do starts first.
  const int64_t tile = kTurned ? blockIdx.x % tiles : tiles - 1 - blockIdx.x % tiles;
  const int r0 = int(tile) * kRows, row0 = int(threadIdx.x) / 32 * 16 * M;

  // A step: columns of one head, those that some row of the tile meets.
  const int begin = kTurned && s.causal ? r0 / kColumns * kColumns : 0,
            end = kTurned ? int(s.queries) : Scores<float>(s, mask, b, head).seen(r0 + kRows),
            steps_of_head = begin < end ? (end - begin + kColumns - 1) / kColumns : 0,
            steps = steps_of_head * (kTurned ? group : 1);
  const auto fetch = [&](int step) {
    const int64_t h = kTurned ? head * group + step / steps_of_head : head / group;
    const int from = begin + step % steps_of_head * kColumns;
    y[step % kBuffers].template fetch<kOfBlock>(head_rows<T>(columns, b, h, end).from(from), width);
    beside_y[step % kBuffers].template fetch<kOfBlock>(
        head_rows<T>(beside_columns, b, h, end).from(from), value_width);
  };
  x.template fetch<kOfBlock>(head_rows<T>(rows, b, head, count).from(r0), width);
  if (kFirst)
    beside_x.template fetch<kOfBlock>(head_rows<T>(beside_rows, b, head, count).from(r0),
                                      value_width);
  if (steps) fetch(0);

  Sums<M, D / 8> sum, beside_sum;
  sum.clear();
  beside_sum.clear();
  for (int step = 0; step < steps; ++step) {
    wait_for_copies();
    __syncthreads();  // the columns are there, those before have been read
    if (kBuffers == 2 && step + 1 < steps) fetch(step + 1);
    const int64_t h = kTurned ? head * group + step / steps_of_head : head;
    const int c0 = begin + step % steps_of_head * kColumns;
    const Scores<float> scores(s, mask, b, h);
    // Where number i of a fragment is; what there is of its query.
    using Products = Sums<M, kColumns / 8>;
    const auto at = [&](int m, int n, int i, int* query, int* key) {
      const int row = r0 + row0 + Products::row(m, i), column = c0 + Products::column(n, i);
      *query = kTurned ? column : row;
      *key = kTurned ? row : column;
    };
    const auto of_query = [&](const float* of, int query) {
      return query < s.queries ? of[(b * s.heads + h) * s.queries + query] : 0;
    };

    Products p, d;
    p.clear();
    p.add_dots(x, row0, y[step % kBuffers]);
    const bool plain = kTurned ? scores.plain(c0, kColumns, r0 + row0, 16 * M)
                               : scores.plain(r0 + row0, 16 * M, c0, kColumns);
    p.each([&](float& v, int m, int n, int i) {
      int query, key;
      at(m, n, i, &query, &key);
      const float score = plain ? v * float(s.scale) : scores.at(v, query, key);
      v = vocabulary::exp2((score - of_query(lse, query)) * kLog2e);
    });
    if (kSecond && second.data) beside_sum.add_product(p, beside_y[step % kBuffers]);
    if (kFirst && first.data) {
      d.clear();
      d.add_dots(beside_x, row0, beside_y[step % kBuffers]);
      d.each([&](float& v, int m, int n, int i) {
        int query, key;
        at(m, n, i, &query, &key);
        v = p.at[m][n][i] * (v - of_query(along, query));
      });
      sum.add_product(d, y[step % kBuffers]);
    }
    if (kBuffers == 1 && step + 1 < steps) {
      __syncthreads();
      fetch(step + 1);
    }
  }
  wait_for_copies();  // of rows that no column met
  __syncthreads();
  sum.each([&](float& v, int, int, int) { v *= float(s.scale); });
  if (kFirst && first.data) sum.put(x, row0, head_rows<T>(first, b, head, count).from(r0), width);
  if (kSecond && second.data)
    beside_sum.put(beside_x, row0, head_rows<T>(second, b, head, count).from(r0), value_width);
}

}  // namespace eg
