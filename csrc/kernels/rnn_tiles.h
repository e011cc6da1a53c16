// Products of recurrent layers whose inputs and weights are bfloat16: Note [Tiles] in amx.h. States, gates and their gradients are
// float32; what is multiplied is rounded.
#pragma once

#include "kernels/rnn_rows.h"
#include "kernels/round_tiles.h"

#if defined(EG_AMX)

namespace eg {
namespace {

// 16 columns of B from lines of w, one a column: tiles from k = 0 on, `step` floats apart.
EG_AMX void round_columns(const float* w, int64_t ld, int64_t lines, int64_t k, float* tiles,
                          int64_t step) {
  for (int64_t p = 0; p < k; p += 2 * kPairs, tiles += step) {
    Vec<float> v[kLines];
    for (int64_t i = 0; i < kLines; ++i) {
      const float* line = w + i * ld;
      v[i] = i < lines ? (Vec<float>)rounded(some_at(line, p, k), some_at(line, p + kLines, k))
                       : Vec<float>{};
    }
    transpose_square<float>(v);
#pragma GCC unroll 16
    for (int64_t i = 0; i < kLines; ++i) store(tiles + i * kPairs, v[i]);
  }
}

// The same of 16 columns of w, whose rows are those of B.
EG_AMX void round_rows(const float* w, int64_t ld, int64_t columns, int64_t k, float* tiles,
                       int64_t step) {
  const auto half = [&](int64_t row) __attribute__((always_inline, target("avx512bf16"))) {
    const Vec<float> v = row < k ? some_at(w + row * ld, 0, columns) : Vec<float>{};
    return _mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)_mm512_cvtneps_pbh((__m512)v));
  };
  for (int64_t p = 0; p < k; p += 2 * kPairs, tiles += step)
    for (int64_t i = 0; i < kPairs; ++i)
      store(tiles + i * kPairs,
            (Vec<float>)((Words)half(p + 2 * i) | (Words)half(p + 2 * i + 1) << 16));
}

// Four tiles of 16 columns of weights: the gates of 16 units (of GRU the third and the fourth are n's two parts), or 64 units.
template <RnnMode M>
struct TiledForward {
  static constexpr bool gated = M == RnnMode::Lstm || M == RnnMode::Gru;
  static constexpr int64_t units = gated ? kLines : 4 * kLines, width = 4 * kLines;
  const RnnShape& s;
  int64_t from_x, steps, quads, quad_size;

  explicit EG_INLINE TiledForward(const RnnShape& shape)
      : s(shape),
        from_x(ceil_div(s.input, 2 * kPairs)),
        steps(from_x + ceil_div(s.hidden, 2 * kPairs)),
        quads(ceil_div(s.hidden, units)),
        quad_size(steps * 4 * kTile + width) {}
  EG_INLINE int64_t total() const { return quads * quad_size + 2 * s.batch * s.hidden; }

  void pack(const RnnForward& a, int64_t j) const {
    float* quad = static_cast<float*>(a.scratch) + j * quad_size;
    float* bias = quad + steps * 4 * kTile;
    memset(quad, 0, quad_size * sizeof(float));
    const auto value = [](const void* b, int64_t i) {
      return b ? static_cast<const float*>(b)[i] : 0.0f;
    };
    for (int64_t n = 0; n < 4; ++n) {
      const bool of_x = M != RnnMode::Gru || n != 3, of_h = M != RnnMode::Gru || n != 2;
      const int64_t unit = j * units + (gated ? 0 : n * kLines);
      const int64_t lines = max64(0, min64(kLines, s.hidden - unit));
      const int64_t row = (gated ? (of_x ? n : 2) * s.hidden : 0) + unit;
      float* to = quad + n / 2 * steps * 2 * kTile + n % 2 * kTile;
      if (of_x)
        round_columns(static_cast<const float*>(a.w_ih) + row * s.input, s.input, lines, s.input,
                      to, 2 * kTile);
      if (of_h)
        round_columns(static_cast<const float*>(a.w_hh) + row * s.hidden, s.hidden, lines, s.hidden,
                      to + from_x * 2 * kTile, 2 * kTile);
      for (int64_t l = 0; l < lines; ++l)
        bias[n * kLines + l] =
            (of_x ? value(a.b_ih, row + l) : 0) + (of_h ? value(a.b_hh, row + l) : 0);
    }
  }

  void run(const RnnForward& a, int64_t b0, int64_t b1) const {
    float* room = static_cast<float*>(a.scratch) + quads * quad_size;
    const int64_t ld = tile_row(steps), numbers = round_up(b1 - b0, kColumns) * ld;
    Scratch<BFloat16> left(numbers);
    memset(static_cast<void*>(left.data()), 0, numbers * sizeof(BFloat16));
    configure_tiles();
    run_rows(s, a, room, b0, b1, [&](int64_t t, Span rows, const float* before, float* after) {
      for (int64_t r = 0; r < rows.rows; ++r) {
        const int64_t row = rows.begin + r;
        round_line(static_cast<const float*>(a.x) + (s.offset[t] + row) * a.ld_x, s.input,
                   left.data() + r * ld);
        round_line(before + row * s.hidden, s.hidden, left.data() + r * ld + from_x * 2 * kPairs);
      }
      for (int64_t j = 0; j < quads; ++j)
        for (int64_t r = 0; r < rows.rows; r += kColumns)
          block(a, j, t, {rows.begin + r, min64(kColumns, rows.rows - r)}, left.data() + r * ld, ld,
                before, after);
    });
    release_tiles();
  }

 private:
  void block(const RnnForward& a, int64_t j, int64_t t, Span rows, const BFloat16* left, int64_t ld,
             const float* before, float* after) const {
    const float* quad = static_cast<const float*>(a.scratch) + j * quad_size;
    const float* bias = quad + steps * 4 * kTile;
    alignas(64) float sums[kColumns * width];
    for (int64_t half = 0; half < 2; ++half)
      sum_tiles(rows_of_tiles(left, ld), quad + half * steps * 2 * kTile, steps,
                rows.rows <= kLines, sums + half * kColumns, width);
    const int64_t unit = j * units;
    const TileArgs<float, M> to{
        a,       s.offset[t] + rows.begin, rows.begin, unit, min64(kLines, s.hidden - unit), after,
        nullptr, streams<float>(s, a)};
    for (int r = 0; r < rows.rows; ++r) {
      Vec<float> v[4];
      for (int n = 0; n < 4; ++n)
        v[n] = load(sums + r * width + n * kLines) + load(bias + n * kLines);
      if constexpr (M == RnnMode::Gru)
        gru_row<float>(s, to, r, v, {Vec<float>{}, Vec<float>{}, v[3]}, before);
      else
        finish_row<float, M>(s, to, r, v);
    }
  }
};

// dh of the step before = d_gates @ w_hh by tiles.
template <RnnMode M>
struct TiledPrevious {
  const RnnShape& s;
  int64_t k, steps, panels, panel_size;
  explicit EG_INLINE TiledPrevious(const RnnShape& shape)
      : s(shape),
        k(rnn_gates(M) * s.hidden),
        steps(ceil_div(k, 2 * kPairs)),
        panels(ceil_div(s.hidden, kColumns)),
        panel_size(steps * 2 * kTile) {}
  EG_INLINE int64_t left_size(int64_t rows) const {
    return round_up(rows, kColumns) * tile_row(steps);
  }

  void pack(const float* w_hh, int64_t j, float* panel) const {
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t column = j * kColumns + half * kLines;
      round_rows(w_hh + column, s.hidden, max64(0, s.hidden - column), k, panel + half * kTile,
                 2 * kTile);
    }
  }
  // d: a row of every saved gate.
  void multiply(const float* d, int64_t rows, const float* packed, BFloat16* left,
                float* dh) const {
    constexpr bool gru = M == RnnMode::Gru;
    const int64_t n = s.hidden, ld = tile_row(steps), ld_d = (gru ? 4 : rnn_gates(M)) * n;
    for (int64_t r = 0; r < rows; ++r, d += ld_d) {
      round_line(d, gru ? 2 * n : k, left + r * ld);
      if (gru) round_line(d + 3 * n, n, left + r * ld + 2 * n);
    }
    alignas(64) float sums[kColumns * kColumns];
    for (int64_t j = 0; j < panels; ++j)
      for (int64_t first = 0; first < rows; first += kColumns) {
        const int64_t here = min64(kColumns, rows - first);
        sum_tiles(rows_of_tiles(left + first * ld, ld), packed + j * panel_size, steps,
                  here <= kLines, sums);
        for (int64_t r = 0; r < here; ++r)
          for (int64_t c = j * kColumns, i = 0; i < kColumns && c < n; i += kLines, c += kLines) {
            float* to = dh + (first + r) * n + c;
            const Vec<float> v = load(sums + r * kColumns + i);
            store_some(to, gru ? v + load_some(to, n - c) : v, n - c);
          }
      }
  }
};

}  // namespace
}  // namespace eg

#endif
