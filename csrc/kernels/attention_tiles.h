// Attention of bfloat16 by Intel's AMX: Note [Attention by rows] in attention.cpp, Note [Tiles] in amx.h.
//
// 32 query rows at a time. Scores and their softmax are float32; probabilities and the gradients of scores are rounded to be
// multiplied, all other sums once, at the end.
#pragma once

#include "core/parallel.h"
#include "kernels/attention_rows.h"
#include "kernels/grain.h"
#include "kernels/round_tiles.h"

#if defined(EG_AMX)

namespace eg {
namespace {

constexpr int64_t kStep = 2 * kPairs;

typedef Matrix<BFloat16> Halves;

EG_INLINE int64_t steps_of(int64_t numbers) { return ceil_div(numbers, kStep); }
EG_INLINE int64_t tiles_of(int64_t lines, int64_t numbers) {
  return steps_of(lines) * steps_of(numbers) * 2 * kTile;
}

// Panels of 32 columns of B: m's rows, each a column, or m's columns.
EG_INLINE void pack_rows(Halves m, int64_t rows, int64_t width, float* to) {
  pack_lines<false>({m.data, m.ld, true, rows, width}, 0, rows, to);
}
EG_INLINE void pack_columns(Halves m, int64_t rows, int64_t width, float* to) {
  pack_lines<false>({m.data, m.ld, false, width, rows}, 0, width, to);
}

// Up to 32 rows as tiles of A, where they lie if they are whole.
EG_INLINE Strip32 rows_strip(Halves m, int64_t rows, int64_t width, float* room) {
  if (width % kStep == 0 && rows % kLines == 0) return rows_of_tiles(m.data, m.ld);
  pack_lines<true>({m.data, m.ld, true, rows, width}, 0, rows, room);
  return packed_tiles(room);
}

// sums[rows][columns] * factor[row], rounded.
EG_AMX void round_sums(const float* sums, int64_t rows, int64_t columns, const float* factor,
                       Halves to) {
  for (int64_t r = 0; r < rows; ++r, sums += kColumns) {
    const __m512i v = rounded(load(sums) * factor[r], load(sums + kLines) * factor[r]);
    const __mmask32 real = columns >= kColumns ? ~__mmask32(0) : (__mmask32(1) << columns) - 1;
    _mm512_mask_storeu_epi16(to.row(r), real, v);
  }
}

// Room of a block of 32 query rows.
struct ScoreRows {
  int64_t seen, steps;   // keys, in whole tiles
  Matrix<float> scores;  // rows in different sets of the cache
  Halves halves;         // the same, rounded: rows of tiles
  static int64_t floats(int64_t seen) { return kColumns * (steps_of(seen) * kStep + kLines); }
  static int64_t numbers(int64_t seen) { return kColumns * tile_row(steps_of(seen)); }
  ScoreRows(int64_t keys, float* room, float* half_room)
      : seen(keys),
        steps(steps_of(keys)),
        scores{room, steps * kStep + kLines},
        halves{reinterpret_cast<BFloat16*>(half_room), tile_row(steps)} {}

  // a @ packed^T for the first `keys` keys
  EG_INLINE void multiply(const Strip32& a, int64_t rows, const float* packed, int64_t depth,
                          int64_t keys) const {
    for (int64_t j = 0; j < steps_of(keys); ++j)
      sum_tiles(a, packed + j * depth * 2 * kTile, depth, rows <= kLines, scores.data + j * kStep,
                scores.ld);
  }
  // c[rows][width] = rounded(halves) @ packed * factor
  EG_INLINE void times(int64_t rows, int64_t keys, const float* packed, int64_t width,
                       const float* factor, Halves c) const {
    alignas(64) float sums[kColumns * kColumns];
    for (int64_t j = 0; j < width; j += kColumns) {
      sum_tiles(rows_of_tiles(halves.data, halves.ld), packed + j / kColumns * steps * 2 * kTile,
                steps_of(keys), rows <= kLines, sums);
      round_sums(sums, rows, width - j, factor, {c.data + j, c.ld});
    }
  }
};

EG_INLINE void scale_row(float* s, int64_t n, float scale) {
  for (int64_t i = 0; i < n; i += kLines) store(s + i, load(s + i) * scale);
}

// y = f(vector at i) for the first n numbers, whole vectors, rounded; zeros up to `end`, whole steps.
template <class F>
EG_AMX EG_INLINE void round_each(int64_t n, int64_t end, BFloat16* y, F&& f) {
  for (int64_t i = 0; i < end; i += kStep) {
    const Vec<float> low = i < n ? f(i) : Vec<float>{};
    const Vec<float> high = i + kLines < n ? f(i + kLines) : Vec<float>{};
    _mm512_storeu_si512(y + i, rounded(low, high));
  }
}

// Scores to exponentials.
EG_AMX RowSum<float> round_softmax(float* s, int64_t n, int64_t end, BFloat16* p) {
  const int64_t whole = close_row(s, n);
  const float top = largest(s, whole);
  const bool blind = top == -kInfinity<float>;
  Vec<float> sum{};
  round_each(blind ? 0 : whole, end, p, [&](int64_t i) __attribute__((always_inline)) {
    const Vec<float> e = Vec<float>(exp_of((__m512)(load(s + i) - top)));
    sum += e;
    return e;
  });
  return {top, blind ? 0 : lane_sum<float>(sum)};
}

void tiled_forward_task(const AttentionShape& s, const AttentionMask& mask, int64_t b, int64_t h,
                        int64_t begin, int64_t end, const HeadMatrix& q, const HeadMatrix& k,
                        const HeadMatrix& v, const HeadMatrix& out, float* lse) {
  const int64_t kv = h / (s.heads / s.kv_heads), seen = visible(s, end), depth = steps_of(s.width);
  Arena<float> arena(tiles_of(seen, s.width) + tiles_of(s.value_width, seen) +
                     ScoreRows::floats(seen) + ScoreRows::numbers(seen) / 2 + depth * 2 * kTile +
                     512);
  float* keys = arena.take(tiles_of(seen, s.width));
  float* values = arena.take(tiles_of(s.value_width, seen));
  pack_rows(at<BFloat16>(k, b, kv), seen, s.width, keys);
  pack_columns(at<BFloat16>(v, b, kv), seen, s.value_width, values);
  float* const room = arena.take(ScoreRows::floats(seen));
  const ScoreRows block(seen, room, arena.take(ScoreRows::numbers(seen) / 2));
  float* const strip = arena.take(depth * 2 * kTile);
  const Halves queries = at<BFloat16>(q, b, h), result = at<BFloat16>(out, b, h);
  for (int64_t row = begin; row < end; row += kColumns) {
    const int64_t rows = min64(kColumns, end - row), here = visible(s, row + rows);
    block.multiply(rows_strip({queries.row(row), queries.ld}, rows, s.width, strip), rows, keys,
                   depth, here);
    float top[kColumns], sum[kColumns], inverse[kColumns];
    for (int64_t i = 0; i < kColumns; ++i) sum[i] = 1;
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t n = visible(s, row + i + 1);
      float* scores = block.scores.row(i);
      scale_row(scores, n, float(s.scale));
      if (mask.data) apply_mask(mask, b, h, row + i, n, scores);
      const RowSum<float> r = round_softmax(scores, n, round_up(here, kStep), block.halves.row(i));
      top[i] = r.top, sum[i] = r.sum;
    }
    for (int64_t i = 0; i < kColumns; ++i) inverse[i] = sum[i] > 0 ? 1 / sum[i] : 0;
    if (lse) log_sums<kColumns>(top, sum, rows, lse + row);
    block.times(rows, here, values, s.value_width, inverse, {result.row(row), result.ld});
  }
}

// ---- a query or two for many keys: rows of keys and values are read where they lie, by dot products of pairs ----------------

constexpr int64_t kFewQueries = 3;

EG_INLINE __mmask32 first_numbers(int64_t n) {
  return n >= kStep ? ~__mmask32(0) : (__mmask32(1) << n) - 1;
}

// scores[key] = q . keys[key]
EG_AMX void dot_keys(const BFloat16* q, Halves keys, int64_t n, int64_t width, float* scores) {
  for (int64_t j = 0; j < n; j += kLines) {
    Vec<float> sums[kLines];
    for (int64_t l = 0; l < kLines; ++l) {
      sums[l] = Vec<float>{};
      for (int64_t p = 0; p < width && j + l < n; p += kStep) {
        const __mmask32 real = first_numbers(width - p);
        sums[l] = (Vec<float>)_mm512_dpbf16_ps(
            (__m512)sums[l], (__m512bh)_mm512_maskz_loadu_epi16(real, keys.row(j + l) + p),
            (__m512bh)_mm512_maskz_loadu_epi16(real, q + p));
      }
    }
    transpose_square<float>(sums);
    Vec<float> total{};
    for (const Vec<float>& sum : sums) total += sum;
    store(scores + j, total);
  }
}

// to[column] = factor * sum of p[key] * values[key][column]; p ends with 0 behind an odd number of keys.
EG_AMX void weigh_values(const BFloat16* p, Halves values, int64_t n, int64_t width, float factor,
                         BFloat16* to) {
  // Interleaving two rows parts the columns: every other four.
  static constexpr Choice<int32_t> kLow =
      choose<int32_t>([](int l) { return l / 8 * 4 + l % 4 + (l & 4 ? kLanes<float> : 0); });
  static constexpr Choice<int32_t> kHigh =
      choose<int32_t>([](int l) { return 8 + l / 8 * 4 + l % 4 + (l & 4 ? kLanes<float> : 0); });
  for (int64_t c = 0; c < width; c += kStep) {
    const __mmask32 real = first_numbers(width - c);
    Vec<float> low{}, high{};
    for (int64_t j = 0; j < n; j += 2) {
      uint32_t pair;
      memcpy(&pair, p + j, sizeof(pair));
      const __m512bh weights = (__m512bh)_mm512_set1_epi32(int(pair));
      const __m512i a = _mm512_maskz_loadu_epi16(real, values.row(j) + c);
      const __m512i b =
          j + 1 < n ? _mm512_maskz_loadu_epi16(real, values.row(j + 1) + c) : __m512i{};
      low = (Vec<float>)_mm512_dpbf16_ps(
          (__m512)low, (__m512bh)_mm512_maskz_unpacklo_epi16(~__mmask32(0), a, b), weights);
      high = (Vec<float>)_mm512_dpbf16_ps(
          (__m512)high, (__m512bh)_mm512_maskz_unpackhi_epi16(~__mmask32(0), a, b), weights);
    }
    const Vec<float> first = shuffle<kLow>(low, high);
    const Vec<float> second = shuffle<kHigh>(low, high);
    _mm512_mask_storeu_epi16(to + c, real, rounded(first * factor, second * factor));
  }
}

void few_queries(const AttentionShape& s, const AttentionMask& mask, int64_t b, int64_t h,
                 const HeadMatrix& q, const HeadMatrix& k, const HeadMatrix& v,
                 const HeadMatrix& out, float* lse) {
  const int64_t kv = h / (s.heads / s.kv_heads), room = steps_of(s.keys) * kStep;
  Arena<float> arena(2 * room + 128);
  float* const scores = arena.take(room);
  BFloat16* const weights = reinterpret_cast<BFloat16*>(arena.take(room));
  const Halves keys = at<BFloat16>(k, b, kv), values = at<BFloat16>(v, b, kv);
  for (int64_t row = 0; row < s.queries; ++row) {
    const int64_t n = visible(s, row + 1);
    dot_keys(at<BFloat16>(q, b, h).row(row), keys, n, s.width, scores);
    scale_row(scores, n, float(s.scale));
    if (mask.data) apply_mask(mask, b, h, row, n, scores);
    const RowSum<float> r = round_softmax(scores, n, round_up(n, kStep), weights);
    if (lse) log_sums<1>(&r.top, &r.sum, 1, lse + row);
    weigh_values(weights, values, n, s.value_width, r.sum > 0 ? 1 / r.sum : 0,
                 at<BFloat16>(out, b, h).row(row));
  }
}

void tiled_forward(const AttentionShape& s, const AttentionMask& mask, const HeadMatrix& q,
                   const HeadMatrix& k, const HeadMatrix& v, const HeadMatrix& out, float* lse) {
  const int64_t chunks = ceil_div(s.queries, kTaskRows);
  const int64_t work = min64(s.queries, kTaskRows) * s.keys * (s.width + s.value_width) / 32 + 1;
  if (s.queries <= kFewQueries)
    return parallel_for(s.batch * s.heads, grain_of(work), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        few_queries(s, mask, i / s.heads, i % s.heads, q, k, v, out,
                    lse ? lse + i * s.queries : nullptr);
    });
  parallel_for(s.batch * s.heads * chunks, grain_of(work), [&](int64_t first, int64_t last) {
    configure_tiles();
    for (int64_t i = first; i < last; ++i) {
      const int64_t head = i / chunks, begin = i % chunks * kTaskRows;
      tiled_forward_task(s, mask, head / s.heads, head % s.heads, begin,
                         min64(begin + kTaskRows, s.queries), q, k, v, out,
                         lse ? lse + head * s.queries : nullptr);
    }
    release_tiles();
  });
}

// One head of keys and values, and the queries that meet it.
class TiledBackwardHead {
 public:
  TiledBackwardHead(const AttentionShape& shape, const AttentionMask& a_mask, bool to_k, bool to_v)
      : s(shape),
        mask(a_mask),
        depth(steps_of(s.width)),
        v_depth(steps_of(s.value_width)),
        rounded_keys(steps_of(s.keys) * kStep),
        arena(2 * tiles_of(s.keys, s.width) + tiles_of(s.keys, s.value_width) +
              rounded_keys * (depth + v_depth) * kStep + 2 * ScoreRows::floats(s.keys) +
              ScoreRows::numbers(s.keys) + (depth + v_depth + 1) * 6 * kTile + 2048),
        key_rows(arena.take(tiles_of(s.keys, s.width))),
        key_columns(arena.take(tiles_of(s.keys, s.width))),
        value_rows(arena.take(tiles_of(s.keys, s.value_width))),
        dk{to_k ? arena.take(rounded_keys * depth * kStep) : nullptr, depth * kStep},
        dv{to_v ? arena.take(rounded_keys * v_depth * kStep) : nullptr, v_depth * kStep},
        p(take_rows()),
        ds(take_rows()),
        q_strip(arena.take(depth * 2 * kTile)),
        g_strip(arena.take(v_depth * 2 * kTile)),
        q_panel(arena.take(depth * 2 * kTile)),
        g_panel(arena.take(v_depth * 2 * kTile)),
        transposed(arena.take(2 * kTile)) {}

  void begin(Halves keys, Halves values) const {
    pack_rows(keys, s.keys, s.width, key_rows);
    pack_columns(keys, s.keys, s.width, key_columns);
    pack_rows(values, s.keys, s.value_width, value_rows);
    clear(dk);
    clear(dv);
  }

  void block(int64_t b, int64_t h, int64_t row, Halves q, Halves out, Halves g, Halves dq,
             const float* lse) const {
    const int64_t rows = min64(kColumns, s.queries - row), seen = visible(s, row + rows);
    const Halves qs{q.row(row), q.ld}, gs{g.row(row), g.ld};
    p.multiply(rows_strip(qs, rows, s.width, q_strip), rows, key_rows, depth, seen);
    ds.multiply(rows_strip(gs, rows, s.value_width, g_strip), rows, value_rows, v_depth, seen);
    for (int64_t i = 0; i < rows; ++i)
      differentiate(b, h, row + i, i, round_up(seen, kStep),
                    dot_halves(gs.row(i), out.row(row + i)), lse[row + i]);
    if (dq.data) {
      float ones[kColumns];
      for (float& one : ones) one = 1;
      ds.times(rows, seen, key_columns, s.width, ones, {dq.row(row), dq.ld});
    }
    if (dk.data) add_product(ds.halves, rows, seen, qs, s.width, q_panel, dk);
    if (dv.data) add_product(p.halves, rows, seen, gs, s.value_width, g_panel, dv);
  }

  void finish(const Matrix<float>& sums, int64_t width, Halves to) const {
    for (int64_t r = 0; sums.data && r < s.keys; ++r) round_line(sums.row(r), width, to.row(r));
  }
  void finish(Halves to_k, Halves to_v) const {
    finish(dk, s.width, to_k);
    finish(dv, s.value_width, to_v);
  }

 private:
  const AttentionShape& s;
  const AttentionMask& mask;
  const int64_t depth, v_depth, rounded_keys;
  Arena<float> arena;
  float *key_rows, *key_columns, *value_rows;  // packed
  Matrix<float> dk, dv;
  ScoreRows p, ds;
  float *q_strip, *g_strip, *q_panel, *g_panel, *transposed;

  void clear(const Matrix<float>& m) const {
    if (m.data) memset(m.data, 0, rounded_keys * m.ld * sizeof(float));
  }
  ScoreRows take_rows() {
    float* const room = arena.take(ScoreRows::floats(s.keys));
    return ScoreRows(s.keys, room, arena.take(ScoreRows::numbers(s.keys) / 2));
  }
  float dot_halves(const BFloat16* x, const BFloat16* y) const {
    float sum = 0;
    for (int64_t i = 0; i < s.value_width; ++i) sum += to_float(x[i]) * to_float(y[i]);
    return sum;
  }

  // Row i of scores and of g @ v^T to probabilities and to gradients of scores.
  EG_AMX void differentiate(int64_t b, int64_t h, int64_t row, int64_t i, int64_t end, float along,
                            float shift) const {
    const int64_t n = visible(s, row + 1);
    const float scale = float(s.scale);
    float *x = p.scores.row(i), *d = ds.scores.row(i);
    scale_row(x, n, scale);
    if (mask.data) apply_mask(mask, b, h, row, n, x);
    const int64_t whole = close_row(x, n);
    round_each(whole, end, p.halves.row(i), [&](int64_t j) __attribute__((always_inline)) {
      const Vec<float> e = Vec<float>(exp_of((__m512)(load(x + j) - shift)));
      store(d + j, e * (load(d + j) - along) * scale);
      return e;
    });
    round_each(whole, end, ds.halves.row(i),
               [&](int64_t j) __attribute__((always_inline)) { return load(d + j); });
  }

  // c[keys][width] += a[rows][keys]^T @ b[rows][width]
  void add_product(Halves a, int64_t rows, int64_t keys, Halves b, int64_t width, float* panel,
                   Matrix<float> c) const {
    pack_columns(b, rows, width, panel);
    const Side side{a.data, a.ld, false, keys, rows};
    for (int64_t i = 0; i < keys; i += kColumns) {
      pack_lines<true>(side, i, min64(kColumns, keys - i), transposed);
      for (int64_t j = 0; j < width; j += kColumns)
        sum_tiles(packed_tiles(transposed), panel + j / kColumns * 2 * kTile, 1, keys - i <= kLines,
                  c.row(i) + j, c.ld, true);
    }
  }
};

void tiled_backward(const AttentionShape& s, const AttentionMask& mask, const HeadMatrix& q,
                    const HeadMatrix& k, const HeadMatrix& v, const HeadMatrix& out,
                    const float* lse, const HeadMatrix& g, const HeadMatrix& dq,
                    const HeadMatrix& dk, const HeadMatrix& dv) {
  const int64_t group = s.heads / s.kv_heads;
  const auto of = [](const HeadMatrix& m, int64_t b, int64_t h) -> Halves {
    return m.data ? at<BFloat16>(m, b, h) : Halves{nullptr, 0};
  };
  const int64_t work = group * s.queries * s.keys * (s.width + s.value_width) / 16 + 1;
  parallel_for(s.batch * s.kv_heads, grain_of(work), [&](int64_t first, int64_t last) {
    const TiledBackwardHead head(s, mask, dk.data, dv.data);
    configure_tiles();
    for (int64_t i = first; i < last; ++i) {
      const int64_t b = i / s.kv_heads, kv = i % s.kv_heads;
      head.begin(of(k, b, kv), of(v, b, kv));
      for (int64_t h = kv * group; h < (kv + 1) * group; ++h)
        for (int64_t row = 0; row < s.queries; row += kColumns)
          head.block(b, h, row, of(q, b, h), of(out, b, h), of(g, b, h), of(dq, b, h),
                     lse + (b * s.heads + h) * s.queries);
      head.finish(of(dk, b, kv), of(dv, b, kv));
    }
    release_tiles();
  });
}

}  // namespace
}  // namespace eg

#endif
