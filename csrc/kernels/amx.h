// The tiles of Intel's AMX: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18. Only levels that
// may have them know EG_AMX.
//
// Note [Tiles]. A tile register holds 16 lines of 16 pairs of bfloat16, or of 16 floats. The product of two adds to each float of
// a third the products of 16 pairs: pairs of a row of A and of a column of B. Tiles of A have the pairs of one row next to each
// other, tiles of B those that stand at the same k; both are packed, 1 KiB a tile, in the order in which they are read. Eight
// registers: 2 x 2 sums, 2 of A, 2 of B.
#pragma once

#include "kernels/integers.h"
#include "kernels/scratch.h"
#include "kernels/square.h"

#if EG_ISA_LEVEL >= 4 && defined(__linux__) && defined(__has_include)
#if __has_include(<amxbf16intrin.h>)
#define EG_AMX __attribute__((target("amx-tile,amx-bf16,avx512bf16,avx512vbmi2")))
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

#if defined(EG_AMX)

namespace eg {
namespace {

constexpr int64_t kLines = 16, kPairs = 16, kTile = kLines * kPairs;  // pairs, or floats, of a tile
constexpr int64_t kColumns = 2 * kLines;                              // of a panel of B

// Asks Linux for the registers, which it gives to no program unasked.
[[maybe_unused]] bool tiles_available() {
  static const bool granted = [] {
    unsigned a, b, c, d;
    constexpr unsigned kBFloat16 = 1u << 22, kTiles = 1u << 24;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || ~d & (kBFloat16 | kTiles)) return false;
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return granted;
}

typedef uint16_t Shorts __attribute__((vector_size(32)));
typedef uint32_t Words __attribute__((vector_size(64)));
EG_INLINE Words words(const BFloat16* p) {
  Shorts v;
  memcpy(&v, p, sizeof(v));
  return __builtin_convertvector(v, Words);
}

// See Note [Tiles]. Of 16 lines, as they lie: the numbers of one next to each other, or those of all at the same k. Pairs travel
// as floats, whose bits nobody looks at.
template <bool of_a>
void pack_full(const BFloat16* from, int64_t ld, bool by_lines, float* tile) {
  Vec<float> v[kLines];
#pragma GCC unroll 16
  for (int64_t i = 0; i < kLines; ++i)
    v[i] = by_lines ? load(reinterpret_cast<const float*>(from + i * ld))
                    : (Vec<float>)(words(from + 2 * i * ld) | words(from + (2 * i + 1) * ld) << 16);
  if (by_lines != of_a) transpose_square<float>(v);
#pragma GCC unroll 16
  for (int64_t i = 0; i < kLines; ++i) store(tile + i * kPairs, v[i]);
}

// Lines of A's rows or B's columns, as they lie.
struct Side {
  const BFloat16* at;
  int64_t ld;
  bool by_lines;
  int64_t lines, k;
  EG_INLINE const BFloat16* number(int64_t line, int64_t p) const {
    return by_lines ? at + line * ld + p : at + p * ld + line;
  }
};

// The tile of 16 lines from `line` on and 32 numbers from p on, zero where there are none.
template <bool of_a>
void pack(const Side& s, int64_t line, int64_t p, float* tile) {
  const int64_t lines = min64(kLines, s.lines - line), numbers = min64(2 * kPairs, s.k - p);
  if (lines == kLines && numbers == 2 * kPairs)
    return pack_full<of_a>(s.number(line, p), s.ld, s.by_lines, tile);
  BFloat16 padded[2 * kTile] = {};
  const int64_t rows = s.by_lines ? lines : numbers, columns = s.by_lines ? numbers : lines;
  const int64_t ld = s.by_lines ? 2 * kPairs : kLines;
  for (int64_t r = 0; r < rows && columns > 0; ++r)
    memcpy(padded + r * ld, s.number(line, p) + r * s.ld, size_t(columns) * sizeof(BFloat16));
  pack_full<of_a>(padded, ld, s.by_lines, tile);
}

// `lines` lines from `line` on, 32 of them at a time: their tiles from k = 0 on.
template <bool of_a>
void pack_lines(const Side& s, int64_t line, int64_t lines, float* tiles) {
  for (int64_t i = line; i < line + lines; i += kColumns)
    for (int64_t p = 0; p < s.k; p += 2 * kPairs, tiles += 2 * kTile)
      for (int64_t half = 0; half < 2; ++half)
        if (i + half * kLines < s.lines) pack<of_a>(s, i + half * kLines, p, tiles + half * kTile);
}

// What comes before is in memory for the tiles, and what they store for what comes after: GCC 12 does not know that they do.
EG_INLINE void settle_memory() { asm volatile("" ::: "memory"); }

EG_AMX void configure_tiles() {
  struct alignas(64) {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t lines[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } const shape;
  settle_memory();
  _tile_loadconfig(&shape);
}
EG_AMX void release_tiles() { _tile_release(); }

// 32 lines' tiles of A from k = 0 on: packed, or whole rows where they lie.
struct Strip32 {
  const void* at;
  // bytes from line to line, from tile to tile, from the first 16 lines to the others
  int64_t line, step, half;
};
// Rows of whole tiles, `ld` numbers apart.
EG_INLINE Strip32 rows_of_tiles(const void* at, int64_t ld) {
  const int64_t line = ld * int64_t(sizeof(BFloat16));
  return {at, line, kPairs * 4, kLines * line};
}
EG_INLINE Strip32 packed_tiles(const float* at) {
  return {at, kPairs * 4, 2 * kTile * 4, kTile * 4};
}

// 32 x 32 sums, or 16 x 32 of `one` line of tiles, in rows `ld` apart; on top of what is there if `add`.
EG_AMX void sum_tiles(const Strip32& a, const float* b, int64_t steps, bool one, float* sums,
                      int64_t ld = kColumns, bool add = false) {
  constexpr int kRow = kPairs * 4;  // bytes
  const int64_t row = ld * 4;
  const char *upper = static_cast<const char*>(a.at), *lower = upper + a.half;
  settle_memory();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  if (add) {
    _tile_loadd(0, sums, row);
    _tile_loadd(1, sums + kLines, row);
    if (!one) {
      _tile_loadd(2, sums + kLines * ld, row);
      _tile_loadd(3, sums + kLines * ld + kLines, row);
    }
  }
  for (; steps > 0; --steps, upper += a.step, lower += a.step, b += 2 * kTile) {
    _tile_loadd(4, upper, a.line);
    _tile_loadd(6, b, kRow);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + kTile, kRow);
    _tile_dpbf16ps(1, 4, 7);
    if (one) continue;
    _tile_loadd(5, lower, a.line);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, row);
  _tile_stored(1, sums + kLines, row);
  if (!one) {
    _tile_stored(2, sums + kLines * ld, row);
    _tile_stored(3, sums + kLines * ld + kLines, row);
  }
  settle_memory();
}

}  // namespace
}  // namespace eg

#endif
