// Products of bfloat16 by tiles: Note [Tiles] in amx.h.
#include "kernels/amx.h"
#include "kernels/gemm.h"

namespace eg {
namespace {

#if defined(EG_AMX)

constexpr int64_t kPacked = 1 << 17;  // pairs of B packed at a time

EG_AMX void finish(const float* sums, int64_t rows, int64_t columns, bool add, BFloat16* c,
                   int64_t ldc) {
  for (int64_t r = 0; r < rows; ++r, sums += kColumns, c += ldc)
    for (int64_t j = 0; j < columns; j += kLines) {
      Vec<float> v = load(sums + j);
      const __mmask16 lanes = first_lanes(columns - j);
      if (add)
        v += (Vec<float>)((Words)_mm512_maskz_cvtepu16_epi32(lanes,
                                                             _mm256_maskz_loadu_epi16(lanes, c + j))
                          << 16);
      _mm256_mask_storeu_epi16(c + j, lanes, (__m256i)_mm512_cvtneps_pbh((__m512)v));
    }
}

// Results of one vector a row, of few terms, by dot products of pairs: tiles would be almost empty. Batches of small matrices are
// such.
constexpr int64_t kTinyRows = 64, kTinyTerms = 64;

bool is_tiny(const Gemm<BFloat16>& g) {
  return g.m <= kTinyRows && g.n <= kLines && g.k <= kTinyTerms;
}
EG_AMX void tiny(const Gemm<BFloat16>& g) {
  const __mmask16 lanes = first_lanes(g.n);
  const int64_t row = g.trans_a ? 1 : g.lda, column = g.trans_a ? g.lda : 1;
  __m512i b[kTinyTerms / 2];
  for (int64_t p = 0; p < g.k; p += 2) {
    alignas(32) uint16_t lines[2][kLines] = {};
    for (int64_t q = 0; q < min64(2, g.k - p); ++q) {
      if (!g.trans_b)
        _mm256_mask_storeu_epi16(lines[q], lanes,
                                 _mm256_maskz_loadu_epi16(lanes, g.b + (p + q) * g.ldb));
      for (int64_t j = 0; g.trans_b && j < g.n; ++j) lines[q][j] = g.b[j * g.ldb + p + q].bits;
    }
    const auto at = [&](int q) { return reinterpret_cast<const BFloat16*>(lines[q]); };
    b[p / 2] = (__m512i)(words(at(0)) | words(at(1)) << 16);
  }
  for (int64_t i = 0; i < g.m; ++i) {
    const BFloat16* a = g.a + i * row;
    BFloat16* const c = g.c + i * g.ldc;
    Vec<float> sum{};
    if (g.add)
      sum =
          (Vec<float>)((Words)_mm512_maskz_cvtepu16_epi32(lanes, _mm256_maskz_loadu_epi16(lanes, c))
                       << 16);
    for (int64_t p = 0; p < g.k; p += 2) {
      const uint32_t low = a[p * column].bits, high = p + 1 < g.k ? a[(p + 1) * column].bits : 0;
      sum = (Vec<float>)_mm512_dpbf16_ps(
          (__m512)sum, (__m512bh)_mm512_set1_epi32(int(low | high << 16)), (__m512bh)b[p / 2]);
    }
    _mm256_mask_storeu_epi16(c, lanes, (__m256i)_mm512_cvtneps_pbh((__m512)sum));
  }
}

void product(const Gemm<BFloat16>& g) {
  if (is_tiny(g)) return tiny(g);
  const Side a{g.a, g.lda, !g.trans_a, g.m, g.k}, b{g.b, g.ldb, g.trans_b, g.n, g.k};
  const int64_t steps = ceil_div(g.k, 2 * kPairs), panel = steps * 2 * kTile;
  const int64_t panels = ceil_div(g.n, kColumns), strips = ceil_div(g.m, kColumns);
  const int64_t together = min64(panels, max64(1, kPacked / panel));
  const bool lies = a.by_lines && g.k % (2 * kPairs) == 0;  // A, but for a last strip of some rows
  const int64_t whole = lies ? g.m / kColumns : 0;
  Scratch<float> left((strips - whole) * panel), right(together * panel);
  alignas(64) float sums[kColumns * kColumns];
  pack_lines<true>(a, whole * kColumns, g.m - whole * kColumns, left.data());
  const auto strip = [&](int64_t i) -> Strip32 {
    if (i >= whole) return packed_tiles(left.data() + (i - whole) * panel);
    return rows_of_tiles(g.a + i * kColumns * g.lda, g.lda);
  };
  configure_tiles();
  for (int64_t first = 0; first < panels; first += together) {
    const int64_t end = min64(first + together, panels);
    pack_lines<false>(b, first * kColumns, (end - first) * kColumns, right.data());
    for (int64_t i = 0; i < strips; ++i)
      for (int64_t j = first; j < end; ++j) {
        const int64_t row = i * kColumns, column = j * kColumns;
        const int64_t rows = min64(kColumns, g.m - row);
        sum_tiles(strip(i), right.data() + (j - first) * panel, steps, rows <= kLines, sums);
        finish(sums, rows, min64(kColumns, g.n - column), g.add, g.c + row * g.ldc + column, g.ldc);
      }
  }
  release_tiles();
}

#endif

}  // namespace

#if defined(EG_AMX)
EG_KERNELS(AmxKernels, {&tiles_available, &product})
#else
EG_KERNELS(AmxKernels, {nullptr, nullptr})
#endif

}  // namespace eg
