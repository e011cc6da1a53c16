// Note [Attention by rows]. A few query rows meet all keys; their scores stay in the second-level cache, become
// probabilities there and meet the values. Unlike the running softmax of Dao et al. 2022 nothing is rescaled, and
// memory is still linear in the number of keys. The backward pass recomputes the probabilities from the saved logarithm of
// each row's sum. A row's result does not depend on how rows are shared among threads; a head's gradients of k and v
// are summed by one thread, in the order of the queries.
#include "kernels/attention.h"

#include "kernels/attention_rows.h"
#include "kernels/attention_tiles.h"
#include "kernels/grain.h"

namespace eg {
namespace {

constexpr int64_t kForwardRows = 24, kBackwardRows = 48;

template <int N>
struct Columns {
  static constexpr int value = N;
};
// Calls f(Columns<N>, first column) over runs of at most 4 vectors; `width` is a multiple of the vector.
template <class T, class F>
EG_INLINE void for_columns(int64_t width, F&& f) {
  constexpr int L = kLanes<T>;
  int64_t c = 0;
  for (; c + 4 * L <= width; c += 4 * L) f(Columns<4>{}, c);
  switch ((width - c) / L) {
    case 1:
      f(Columns<1>{}, c);
      break;
    case 2:
      f(Columns<2>{}, c);
      break;
    case 3:
      f(Columns<3>{}, c);
      break;
  }
}

// Rows next to each other, columns padded with zeros to whole vectors.
template <class T>
EG_INLINE Matrix<T> dense(Matrix<T> m, int64_t rows, int64_t width, T* to) {
  const int64_t padded = round_up(width, kLanes<T>);
  if (m.ld == width && padded == width) return m;
  pack_columns(m.data, m.ld, width, rows, to, padded);
  return {to, padded};
}

// m^T in panels of 4 vectors of keys: [panel][width][4 * lanes].
template <class T>
EG_INLINE void pack_keys(Matrix<T> m, int64_t keys, int64_t width, T* to) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t s = 0; s < keys; s += L) {
    T* panel = to + s / (4 * L) * width * 4 * L + s % (4 * L);
    pack_transposed(m.row(s), m.ld, min64(keys - s, L), width, panel, 4 * L);
  }
}

// c[rows, keys rounded up] = scale * a[rows, width] @ packed; vectors behind the last key are left alone.
template <class T>
EG_INLINE void times_keys(Matrix<T> a, int64_t rows, int64_t width, const T* packed, int64_t keys,
                          T scale, Matrix<T> c) {
  constexpr int64_t L = kLanes<T>;
  for_columns<T>(round_up(keys, L), [&](auto columns, int64_t s) {
    for_row_blocks<T>(rows, [&](auto r, int64_t first) {
      constexpr int R = decltype(r)::value, N = decltype(columns)::value;
      Tile<T, R, N> sums{};
      multiply_add(sums, width, a.row(first), a.ld, packed + s * width, 4 * L);
      for (int i = 0; i < R; ++i)
        for (int n = 0; n < N; ++n) store(c.row(first + i) + s + n * L, sums.v[i][n] * scale);
    });
  });
}

// c[rows, width] = a[rows, k] @ b[k, width], b dense; finish(row, column, vector) puts a result in its place.
template <class T, class F>
EG_INLINE void times_dense(Matrix<T> a, int64_t rows, int64_t k, Matrix<T> b, int64_t width,
                           F&& finish) {
  for_columns<T>(round_up(width, kLanes<T>), [&](auto columns, int64_t c) {
    for_row_blocks<T>(rows, [&](auto r, int64_t first) {
      constexpr int R = decltype(r)::value, N = decltype(columns)::value;
      Tile<T, R, N> sums{};
      multiply_add(sums, k, a.row(first), a.ld, b.data + c, b.ld);
      for (int i = 0; i < R; ++i)
        for (int n = 0; n < N; ++n) finish(first + i, c + n * kLanes<T>, sums.v[i][n]);
    });
  });
}

// c[n, width] += a[k, n]^T @ b[k, width]; b and c dense.
template <class T>
EG_INLINE void add_transposed_times(Matrix<T> a, int64_t n, int64_t k, Matrix<T> b, int64_t width,
                                    Matrix<T> c) {
  constexpr int L = kLanes<T>;
  for_columns<T>(round_up(width, L), [&](auto columns, int64_t col) {
    for_row_blocks<T>(n, [&](auto r, int64_t first) {
      constexpr int R = decltype(r)::value, N = decltype(columns)::value;
      Tile<T, R, N> sums;
      for (int i = 0; i < R; ++i)
        for (int v = 0; v < N; ++v) sums.v[i][v] = load(c.row(first + i) + col + v * L);
      for (int64_t p = 0; p < k; ++p) {
        const T* x = a.row(p) + first;
        for (int v = 0; v < N; ++v) {
          const Vec<T> y = load(b.row(p) + col + v * L);
          for (int i = 0; i < R; ++i) sums.v[i][v] += x[i] * y;
        }
      }
      for (int i = 0; i < R; ++i)
        for (int v = 0; v < N; ++v) store(c.row(first + i) + col + v * L, sums.v[i][v]);
    });
  });
}

template <class T>
EG_INLINE void put_vector(T* row, int64_t column, int64_t width, Vec<T> v) {
  constexpr int L = kLanes<T>;
  if (column + L <= width) {
    store(row + column, v);
    return;
  }
  for (int64_t l = 0; column + l < width; ++l) row[column + l] = v[l];
}

// Scores of queries [row, row + rows): scaled and masked, for the first `keys` keys.
template <class T>
EG_INLINE void score_rows(const AttentionShape& s, const AttentionMask& mask, int64_t b, int64_t h,
                          Matrix<T> q, const T* packed, int64_t row, int64_t rows, int64_t keys,
                          Matrix<T> scores) {
  times_keys(Matrix<T>{q.row(row), q.ld}, rows, s.width, packed, keys, T(s.scale), scores);
  if (!mask.data) return;
  for (int64_t i = 0; i < rows; ++i)
    apply_mask(mask, b, h, row + i, visible(s, row + i + 1), scores.row(i));
}

// s = exp(s - shift); returns the sum.
template <class T>
EG_INLINE T exponentials(T* s, int64_t n, T shift) {
  exp_less(s, n, shift, s);
  Vec<T> sum{};
  for (int64_t i = 0; i < n; i += kLanes<T>) sum += load(s + i);
  return lane_sum<T>(sum);
}

// Scores of one row to exponentials, 0 up to `keys`; returns their largest score, and their sum: 0 for a row that sees
// nothing.
template <class T>
EG_INLINE RowSum<T> softmax_row(T* s, int64_t n, int64_t keys) {
  int64_t end = close_row(s, n);
  const T top = largest(s, end);
  T sum = 0;
  if (top == -kInfinity<T>)
    end = 0;
  else
    sum = exponentials(s, end, top);
  for (int64_t i = end; i < keys; ++i) s[i] = 0;
  return {top, sum};
}

template <class T>
void forward_task(const AttentionShape& s, const AttentionMask& mask, int64_t b, int64_t h,
                  int64_t begin, int64_t end, const HeadMatrix& q, const HeadMatrix& k,
                  const HeadMatrix& v, const HeadMatrix& out, T* lse) {
  constexpr int64_t L = kLanes<T>;
  const int64_t kv = h / (s.heads / s.kv_heads), seen = visible(s, end);
  const int64_t ld = round_up(seen, 4 * L), v_width = round_up(s.value_width, L);
  Arena<T> arena(ld * s.width + seen * v_width + kForwardRows * ld + 256);
  T* packed = arena.take(ld * s.width);
  pack_keys(at<T>(k, b, kv), seen, s.width, packed);
  const Matrix<T> values = dense(at<T>(v, b, kv), seen, s.value_width, arena.take(seen * v_width));
  const Matrix<T> scores{arena.take(kForwardRows * ld), ld};
  const Matrix<T> queries = at<T>(q, b, h), result = at<T>(out, b, h);
  for (int64_t row = begin; row < end; row += kForwardRows) {
    const int64_t rows = min64(kForwardRows, end - row), keys = visible(s, row + rows);
    score_rows(s, mask, b, h, queries, packed, row, rows, keys, scores);
    T top[kForwardRows], sum[kForwardRows], inverse[kForwardRows];
    for (int64_t i = 0; i < kForwardRows; ++i) sum[i] = 1;
    for (int64_t i = 0; i < rows; ++i) {
      const RowSum<T> r = softmax_row(scores.row(i), visible(s, row + i + 1), keys);
      top[i] = r.top;
      sum[i] = r.sum;
    }
    for (int64_t i = 0; i < kForwardRows; ++i) inverse[i] = sum[i] > 0 ? 1 / sum[i] : T(0);
    if (lse) log_sums<kForwardRows>(top, sum, rows, lse + row);
    times_dense(scores, rows, keys, values, s.value_width, [&](int64_t i, int64_t c, Vec<T> sum) {
      put_vector(result.row(row + i), c, s.value_width, sum * inverse[i]);
    });
  }
}

template <class T>
void forward(const AttentionShape& s, const AttentionMask& mask, const HeadMatrix& q,
             const HeadMatrix& k, const HeadMatrix& v, const HeadMatrix& out, T* lse) {
  const int64_t chunks = (s.queries + kTaskRows - 1) / kTaskRows;
  const int64_t work = min64(s.queries, kTaskRows) * s.keys * (s.width + s.value_width) / 8 + 1;
  parallel_for(s.batch * s.heads * chunks, grain_of(work), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t head = i / chunks, begin = i % chunks * kTaskRows;
      forward_task<T>(s, mask, head / s.heads, head % s.heads, begin,
                      min64(begin + kTaskRows, s.queries), q, k, v, out,
                      lse ? lse + head * s.queries : nullptr);
    }
  });
}

// All queries of one head; adds to the padded gradients of k and v.
template <class T>
struct BackwardHead {
  const AttentionShape& s;
  const AttentionMask& mask;
  const T *packed_k, *packed_v;
  Matrix<T> keys, dk, dv;         // dense
  Matrix<T> p, ds, q_pad, g_pad;  // kBackwardRows rows

  EG_INLINE void run(int64_t b, int64_t h, Matrix<T> q, Matrix<T> out, Matrix<T> g, Matrix<T> dq,
                     const T* lse) const {
    for (int64_t row = 0; row < s.queries; row += kBackwardRows)
      block(b, h, row, min64(kBackwardRows, s.queries - row), q, out, g, dq, lse);
  }

  EG_INLINE void block(int64_t b, int64_t h, int64_t row, int64_t rows, Matrix<T> q, Matrix<T> out,
                       Matrix<T> g, Matrix<T> dq, const T* lse) const {
    const int64_t seen = visible(s, row + rows);
    const Matrix<T> gs{g.row(row), g.ld}, qs{q.row(row), q.ld};
    score_rows(s, mask, b, h, q, packed_k, row, rows, seen, p);
    times_keys(gs, rows, s.value_width, packed_v, seen, T(1), ds);
    for (int64_t i = 0; i < rows; ++i) {
      T *pr = p.row(i), *dr = ds.row(i);
      const int64_t n = close_row(pr, visible(s, row + i + 1));
      T along = 0;
      for (int64_t c = 0; c < s.value_width; ++c) along += gs.row(i)[c] * out.row(row + i)[c];
      const T shift = lse[row + i], scale = T(s.scale);
      exp_less(pr, n, shift, pr);
#pragma GCC ivdep
      for (int64_t j = 0; j < n; ++j) dr[j] = pr[j] * (dr[j] - along) * scale;
      for (int64_t j = n; j < seen; ++j) pr[j] = dr[j] = 0;
    }
    if (dq.data)
      times_dense(ds, rows, seen, keys, s.width, [&](int64_t i, int64_t c, Vec<T> sum) {
        put_vector(dq.row(row + i), c, s.width, sum);
      });
    const Matrix<T> q_rows = dense(qs, rows, s.width, q_pad.data);
    const Matrix<T> g_rows = dense(gs, rows, s.value_width, g_pad.data);
    if (dk.data) add_transposed_times(ds, seen, rows, q_rows, s.width, dk);
    if (dv.data) add_transposed_times(p, seen, rows, g_rows, s.value_width, dv);
  }
};

template <class T>
EG_INLINE void unpad(Matrix<T> from, int64_t rows, int64_t width, Matrix<T> to) {
  for (int64_t r = 0; r < rows; ++r) memcpy(to.row(r), from.row(r), width * sizeof(T));
}

template <class T>
void backward(const AttentionShape& s, const AttentionMask& mask, const HeadMatrix& q,
              const HeadMatrix& k, const HeadMatrix& v, const HeadMatrix& out, const T* lse,
              const HeadMatrix& g, const HeadMatrix& dq, const HeadMatrix& dk,
              const HeadMatrix& dv) {
  constexpr int64_t L = kLanes<T>;
  const int64_t ld = round_up(s.keys, 4 * L), group = s.heads / s.kv_heads;
  const int64_t kw = round_up(s.width, L), vw = round_up(s.value_width, L);
  const auto head = [&](int64_t b, int64_t kv) {
    Arena<T> arena(ld * (s.width + s.value_width) + s.keys * (2 * kw + vw) +
                   kBackwardRows * (2 * ld + kw + vw) + 1024);
    T *packed_k = arena.take(ld * s.width), *packed_v = arena.take(ld * s.value_width);
    const Matrix<T> key_rows = at<T>(k, b, kv);
    pack_keys(key_rows, s.keys, s.width, packed_k);
    pack_keys(at<T>(v, b, kv), s.keys, s.value_width, packed_v);
    const Matrix<T> keys = dense(key_rows, s.keys, s.width, arena.take(s.keys * kw));
    Matrix<T> sum_k{dk.data ? arena.take(s.keys * kw) : nullptr, kw};
    Matrix<T> sum_v{dv.data ? arena.take(s.keys * vw) : nullptr, vw};
    if (sum_k.data) memset(sum_k.data, 0, s.keys * kw * sizeof(T));
    if (sum_v.data) memset(sum_v.data, 0, s.keys * vw * sizeof(T));
    const BackwardHead<T> run{s,
                              mask,
                              packed_k,
                              packed_v,
                              keys,
                              sum_k,
                              sum_v,
                              {arena.take(kBackwardRows * ld), ld},
                              {arena.take(kBackwardRows * ld), ld},
                              {arena.take(kBackwardRows * kw), kw},
                              {arena.take(kBackwardRows * vw), vw}};
    for (int64_t h = kv * group; h < (kv + 1) * group; ++h)
      run.run(b, h, at<T>(q, b, h), at<T>(out, b, h), at<T>(g, b, h),
              dq.data ? at<T>(dq, b, h) : Matrix<T>{nullptr, 0},
              lse + (b * s.heads + h) * s.queries);
    if (sum_k.data) unpad(sum_k, s.keys, s.width, at<T>(dk, b, kv));
    if (sum_v.data) unpad(sum_v, s.keys, s.value_width, at<T>(dv, b, kv));
  };
  const int64_t work = group * s.queries * s.keys * (s.width + s.value_width) / 4 + 1;
  parallel_for(s.batch * s.kv_heads, grain_of(work), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) head(i / s.kv_heads, i % s.kv_heads);
  });
}

void forward_any(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
                 HeadMatrix v, HeadMatrix out, void* lse) {
#if defined(EG_AMX)
  if (s.dtype == DType::BFloat16)
    return tiled_forward(s, mask, q, k, v, out, static_cast<float*>(lse));
#endif
  visit_float(s.dtype, [&](auto zero) {
    using T = decltype(zero);
    forward<T>(s, mask, q, k, v, out, static_cast<T*>(lse));
  });
}
void backward_any(const AttentionShape& s, const AttentionMask& mask, HeadMatrix q, HeadMatrix k,
                  HeadMatrix v, HeadMatrix out, const void* lse, HeadMatrix g, HeadMatrix dq,
                  HeadMatrix dk, HeadMatrix dv) {
#if defined(EG_AMX)
  if (s.dtype == DType::BFloat16)
    return tiled_backward(s, mask, q, k, v, out, static_cast<const float*>(lse), g, dq, dk, dv);
#endif
  visit_float(s.dtype, [&](auto zero) {
    using T = decltype(zero);
    backward<T>(s, mask, q, k, v, out, static_cast<const T*>(lse), g, dq, dk, dv);
  });
}

bool takes_halves(const AttentionShape& s, bool) {
#if defined(EG_AMX)
  return s.dtype == DType::BFloat16 && tiles_available();
#else
  return false;
#endif
}

}  // namespace

EG_KERNELS(AttentionKernels, {&takes_halves, &forward_any, &backward_any});

}  // namespace eg
