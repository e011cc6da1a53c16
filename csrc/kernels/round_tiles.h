// float32 matrices rounded to tiles of bfloat16: Note [Tiles] in amx.h.
#pragma once

#include "kernels/amx.h"

#if defined(EG_AMX)

namespace eg {
namespace {

// Numbers of a row that tiles are read from: rows apart by an odd number of cache lines lie in different sets.
EG_INLINE int64_t tile_row(int64_t steps) { return (steps | 1) * 2 * kPairs; }

EG_AMX EG_INLINE __m512i rounded(Vec<float> low, Vec<float> high) {
  return (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}
EG_INLINE Vec<float> some_at(const float* p, int64_t from, int64_t n) {
  return from < n ? load_some(p + from, n - from) : Vec<float>{};
}

EG_AMX void round_line(const float* x, int64_t n, BFloat16* to) {
  int64_t i = 0;
  for (; i + 2 * kPairs <= n; i += 2 * kPairs)
    _mm512_storeu_si512(to + i, rounded(load(x + i), load(x + i + kLines)));
  if (i == n) return;
  const __mmask32 real = (__mmask32(1) << (n - i)) - 1;
  _mm512_mask_storeu_epi16(to + i, real, rounded(some_at(x, i, n), some_at(x, i + kLines, n)));
}

}  // namespace
}  // namespace eg

#endif
