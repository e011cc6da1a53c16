// Matrix products from tiles that stay in registers, on the calling thread.
//
// Note [Blocks of a product]. A tile, a strip of up to kTall rows of A by a panel of two vectors of B's columns, is summed in
// registers over kDepth terms. Some panels, packed in the order in which tiles read them, stay in the second-level cache
// while the strips pass by; a strip stays in the first level while it meets these panels.
//
// A is read where it lies, by rows or, transposed, by columns; B too if it has few columns to a page and meets few rows of A.
// Otherwise they are packed.
#include "kernels/gemm.h"

#include "kernels/integers.h"
#include "kernels/panel.h"
#include "kernels/scratch.h"

namespace eg {
namespace {

#if defined(__AVX512F__)
constexpr int kTall = 12;  // x 2 sums, 2 vectors of B, 1 number of A: of 32 registers
#elif defined(__AVX2__)
constexpr int kTall = 6;  // of 16
#endif

#if defined(__AVX2__)

constexpr int64_t kDepth = 384;
constexpr int64_t kPanelsAtOnce = 8;
constexpr int64_t kPacked = 1 << 20;          // elements of A packed at a time
constexpr int64_t kUnpackedRows = 6 * kTall;  // at most: B is read where it lies
constexpr int64_t kLowRows = 3;               // at most: tiles are four vectors wide
// Elements are inner products if there are at most so many rows (of so many numbers), or columns.
constexpr int64_t kFewLongRows = 16, kLong = 128, kFew = 4;
constexpr int64_t kPage = 4096;

// `total` items in the fewest parts of at most `most`, of nearly equal size.
struct Parts {
  int64_t total, count;
  Parts(int64_t n, int64_t most) : total(n), count(ceil_div(n, most)) {}
  EG_INLINE int64_t begin(int64_t i) const {
    const int64_t size = total / count, larger = total % count;
    return i * size + min64(i, larger);
  }
  EG_INLINE int64_t size(int64_t i) const { return begin(i + 1) - begin(i); }
  EG_INLINE int64_t largest() const { return ceil_div(total, count); }
};

// Where a tile goes.
template <class T>
struct Target {
  T* c;
  int64_t ldc;
  bool add;
  int64_t columns;  // of the tile's that exist
};

template <class T>
__attribute__((noinline)) void copy_rows(int64_t rows, int64_t columns, const T* from,
                                         int64_t ld_from, T* to, int64_t ld_to) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; ++j) to[r * ld_to + j] = from[r * ld_from + j];
}

template <class T, int R, int N>
EG_INLINE void finish(const Vec<T> (&sums)[R][N], const Target<T>& to) {
  constexpr int L = kLanes<T>;
  alignas(64) T edge[R * N * L];
  const bool partial = to.columns < N * L;
  T* c = partial ? edge : to.c;
  const int64_t ldc = partial ? N * L : to.ldc;
  if (to.add) {
    if (partial) copy_rows<T>(R, to.columns, to.c, to.ldc, edge, N * L);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r, c += ldc)
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) store(c + v * L, load(c + v * L) + sums[r][v]);
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r, c += ldc)
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) store(c + v * L, sums[r][v]);
  }
  if (partial) copy_rows<T>(R, to.columns, edge, N * L, to.c, to.ldc);
}

// R rows of A, each as it lies.
template <class T>
struct RowsOf {
  const T *a, *a4, *a8;
  int64_t ld;
  RowsOf(const T* first, int64_t lda)
      : a(first), a4(first + 4 * lda), a8(first + 8 * lda), ld(lda) {}
  EG_INLINE T operator[](int r) const {
    const T* from = r < 4 ? a : r < 8 ? a4 : a8;  // in one expression, GCC 12's UBSan misreads it
    return from[r % 4 * ld];
  }
  EG_INLINE void next() { ++a, ++a4, ++a8; }
};
// R rows of A, of which each column lies contiguously; ld from one column to the next.
template <class T>
struct StripOf {
  const T* a;
  int64_t ld;
  StripOf(const T* first, int64_t distance) : a(first), ld(distance) {}
  EG_INLINE T operator[](int r) const { return a[r]; }
  EG_INLINE void next() { a += ld; }
};

// One tile of R rows by N vectors; rows of B ldb apart.
template <template <class> class Left, class T, int R, int N>
void tile(int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, const Target<T>& to) {
  constexpr int L = kLanes<T>;
  if (to.add)
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < N; ++v) __builtin_prefetch(to.c + r * to.ldc + v * L, 1);
  Vec<T> sums[R][N];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) sums[r][v] = Vec<T>{};
  Left<T> left(a, lda);
  const auto add_products = [&]() __attribute__((always_inline)) {
    Vec<T> w[N];
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) w[v] = load(b + v * L);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const T x = left[r];
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) sums[r][v] += x * w[v];
    }
    left.next();
    b += ldb;
  };
  for (; k >= 4; k -= 4) {
    add_products();
    add_products();
    add_products();
    add_products();
  }
  for (; k > 0; --k) add_products();
  finish<T, R, N>(sums, to);
}

template <class T>
using TileFunction = void (*)(int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb,
                              const Target<T>& to);
// The tile of each number of rows.
template <template <class> class Left, class T, int N>
TileFunction<T> tile_of(int64_t rows) {
  static constexpr TileFunction<T> of[] = {
      &tile<Left, T, 1, N>, &tile<Left, T, 2, N>, &tile<Left, T, 3, N>,
#define EG_TALL(R) &tile<Left, T, (N == 4 ? 1 : R), N>
      EG_TALL(4),           EG_TALL(5),           EG_TALL(6),
#if defined(__AVX512F__)
      EG_TALL(7),           EG_TALL(8),           EG_TALL(9),
      EG_TALL(10),          EG_TALL(11),          EG_TALL(12),
#endif
#undef EG_TALL
  };
  return of[rows - 1];
}

// ---- packing -----------------------------------------------------------------------------------------------------------

// Columns [j, j + width) of op(B), rows [p, p + k): dst[p][width], zero beyond the last column.
template <class T>
void pack_panel(const Gemm<T>& g, int64_t p, int64_t k, int64_t j, int64_t width, T* dst) {
  constexpr int64_t L = kLanes<T>;
  const int64_t columns = g.n - j;
  if (!g.trans_b) return pack_columns(g.b + p * g.ldb + j, g.ldb, columns, k, dst, width);
  for (int64_t v = 0; v < width; v += L) {
    const int64_t left = columns - v;
    pack_transposed(g.b + (j + v) * g.ldb + p, g.ldb, left < 0 ? 0 : min64(left, L), k, dst + v,
                    width);
  }
}

// Rows [i, i + rows) of op(A), A transposed, columns [p, p + k): dst[p][rows]. Whole vectors are written, the last one up to
// kLanes elements beyond the end: what is too much of a row is written over by the next.
template <class T>
void pack_strip(const Gemm<T>& g, int64_t i, int64_t rows, int64_t p, int64_t k, T* dst) {
  constexpr int64_t L = kLanes<T>, last = (kTall - 1) / L * L;
  const T* a = g.a + p * g.lda + i;
  const bool whole = i + last + L <= g.m;
  for (int64_t q = 0; q < k; ++q, a += g.lda, dst += rows) {
    for (int64_t r = 0; whole && r <= last; r += L)
      if (r < rows) store(dst + r, load(a + r));
    for (int64_t r = 0; !whole && r < rows; ++r) dst[r] = a[r];
  }
}

// ---- products ------------------------------------------------------------------------------------------------------------

// See Note [Blocks of a product].
template <class T>
class Blocked {
 public:
  explicit Blocked(const Gemm<T>& product)
      : g(product),
        low(!g.trans_a && g.m <= kLowRows && g.n > 2 * L),
        width(low                      ? 4 * L
              : g.n <= L && !g.trans_a ? L
                                       : 2 * L),
        packs_a(g.trans_a && far_apart(g.lda)),
        packs_b(g.trans_b || g.m > (far_apart(g.ldb) ? kTall : kUnpackedRows)),
        strips(g.m, kTall),
        depths(g.k, kDepth),
        panels(ceil_div(g.n, width), kPanelsAtOnce),
        slot(kTall * depths.largest() + L),
        groups(strips.count, packs_a ? ceil_div(kPacked, slot) : strips.count),
        left(packs_a ? groups.largest() * slot : 0),
        right((packs_b            ? panels.largest()
               : g.n % width == 0 ? 0
                                  : 1) *
              width * depths.largest()) {}

  void run() {
    for (int64_t group = 0; group < groups.count; ++group)
      for (int64_t d = 0; d < depths.count; ++d) {
        const int64_t first = groups.begin(group), end = groups.begin(group + 1);
        for (int64_t s = first; packs_a && s < end; ++s)
          pack_strip(g, strips.begin(s), strips.size(s), depths.begin(d), depths.size(d),
                     left.data() + (s - first) * slot);
        for (int64_t i = 0; i < panels.count; ++i)
          multiply(first, end, panels.begin(i), panels.begin(i + 1), d);
      }
  }

 private:
  static constexpr int64_t L = kLanes<T>;
  const Gemm<T>& g;
  const bool low;
  const int64_t width;  // of a panel
  const bool packs_a, packs_b;
  const Parts strips, depths, panels;
  const int64_t slot;  // of a packed strip; packing it writes a little beyond its end
  const Parts groups;  // of strips, packed at a time
  Scratch<T> left, right;

  // Rows on pages of their own.
  static bool far_apart(int64_t ld) { return ld * int64_t(sizeof(T)) >= kPage; }

  TileFunction<T> function(int64_t rows) const {
    if (g.trans_a) return tile_of<StripOf, T, 2>(rows);
    if (low) return tile_of<RowsOf, T, 4>(rows);
    return width == L ? tile_of<RowsOf, T, 1>(rows) : tile_of<RowsOf, T, 2>(rows);
  }

  // Strips [s, s_end) by panels [j, j_end).
  void multiply(int64_t s, int64_t s_end, int64_t j, int64_t j_end, int64_t d) {
    const int64_t p = depths.begin(d), k = depths.size(d), first = s;
    // The end of B, where whole vectors reach beyond its rows, is packed in any case.
    const auto is_packed = [&](int64_t panel) { return packs_b || (panel + 1) * width > g.n; };
    const auto copy = [&](int64_t panel) {
      return right.data() + (packs_b ? panel - j : 0) * width * k;
    };
    for (int64_t panel = j; panel < j_end; ++panel)
      if (is_packed(panel)) pack_panel(g, p, k, panel * width, width, copy(panel));
    for (; s < s_end; ++s) {
      const int64_t row = strips.begin(s), rows = strips.size(s);
      const TileFunction<T> f = function(rows);
      const T* a = packs_a     ? left.data() + (s - first) * slot
                   : g.trans_a ? g.a + p * g.lda + row
                               : g.a + row * g.lda + p;
      for (int64_t panel = j; panel < j_end; ++panel) {
        const bool is_copy = is_packed(panel);
        const int64_t column = panel * width;
        f(k, a, packs_a ? rows : g.lda, is_copy ? copy(panel) : g.b + p * g.ldb + column,
          is_copy ? width : g.ldb,
          {g.c + row * g.ldc + column, g.ldc, d || g.add, min64(width, g.n - column)});
      }
    }
  }
};

// Few rows of one matrix by many of another, all as they lie: element (i, j) of the result at c[i * step_x + j * step_y].
template <class T>
struct Dots {
  int64_t k;
  const T* x;
  int64_t ldx, few;
  const T* y;
  int64_t ldy, many;
  T* c;
  int64_t step_x, step_y;
  bool add;
};

// X by Y of the elements; U sums of each.
template <class T, int X, int Y, int U>
void inner_products(const Dots<T>& g, int64_t first_x, int64_t first_y) {
  constexpr int64_t L = kLanes<T>;
  const T *x = g.x + first_x * g.ldx, *y = g.y + first_y * g.ldy;
  Vec<T> sums[X][Y][U] = {};
  int64_t p = 0;
  for (; p + U * L <= g.k; p += U * L)
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u)
#pragma GCC unroll 4
      for (int j = 0; j < Y; ++j) {
        const Vec<T> v = load(y + j * g.ldy + p + u * L);
#pragma GCC unroll 4
        for (int i = 0; i < X; ++i) sums[i][j][u] += v * load(x + i * g.ldx + p + u * L);
      }
#pragma GCC unroll 4
  for (int i = 0; i < X; ++i) {
    T total[Y];
    if constexpr (Y == 4)
      lane_sums(sums[i][0][0], sums[i][1][0], sums[i][2][0], sums[i][3][0], total);
    else
      total[0] = lane_sum<T>(sums[i][0][0] + sums[i][0][1] + (sums[i][0][2] + sums[i][0][3]));
    for (int j = 0; j < Y; ++j) {
      for (int64_t q = p; q < g.k; ++q) total[j] += x[i * g.ldx + q] * y[j * g.ldy + q];
      T& to = g.c[(first_x + i) * g.step_x + (first_y + j) * g.step_y];
      to = g.add ? to + total[j] : total[j];
    }
  }
}

template <class T>
void dots(const Dots<T>& g) {
  const Parts groups(g.few, 4);
  for (int64_t j = 0; j < g.many; j += j + 4 <= g.many ? 4 : 1)
    for (int64_t i = 0; i < groups.count; ++i) {
      const auto run = [&](auto rows) {
        constexpr int X = decltype(rows)::value;
        if (j + 4 <= g.many)
          inner_products<T, X, 4, 1>(g, groups.begin(i), j);
        else
          inner_products<T, X, 1, 4>(g, groups.begin(i), j);
      };
      switch (groups.size(i)) {
        case 1:
          run(Rows<1>{});
          break;
        case 2:
          run(Rows<2>{});
          break;
        case 3:
          run(Rows<3>{});
          break;
        default:
          run(Rows<4>{});
      }
    }
}

// Results of one vector a row, of few terms: B's rows wait on the stack. Batches of small matrices are such.
constexpr int64_t kTinyRows = 64, kTinyTerms = 16;

template <class T>
bool is_tiny(const Gemm<T>& g) {
  return g.m <= kTinyRows && g.n <= kLanes<T> && g.k <= kTinyTerms;
}
template <class T, int R>
EG_INLINE void tiny_rows(const Gemm<T>& g, const T* b, int64_t i) {
  const int64_t row = g.trans_a ? 1 : g.lda, column = g.trans_a ? g.lda : 1;
  const T* a = g.a + i * row;
  T* const c = g.c + i * g.ldc;
  Vec<T> sums[R];
  for (int r = 0; r < R; ++r) sums[r] = g.add ? load_some(c + r * g.ldc, g.n) : Vec<T>{};
  for (int64_t p = 0; p < g.k; ++p, a += column)
    for (int r = 0; r < R; ++r) sums[r] += a[r * row] * load(b + p * kLanes<T>);
  for (int r = 0; r < R; ++r) store_some(c + r * g.ldc, sums[r], g.n);
}
template <class T>
void tiny(const Gemm<T>& g) {
  constexpr int64_t L = kLanes<T>;
  alignas(64) T b[kTinyTerms * L];
  for (int64_t p = 0; p < g.k; ++p) {
    T* const row = b + p * L;
    if (!g.trans_b) store(row, load_some(g.b + p * g.ldb, g.n));
    for (int64_t j = 0; g.trans_b && j < L; ++j) row[j] = j < g.n ? g.b[j * g.ldb + p] : T(0);
  }
  int64_t i = 0;
  for (; i + 4 <= g.m; i += 4) tiny_rows<T, 4>(g, b, i);
  for (; i < g.m; ++i) tiny_rows<T, 1>(g, b, i);
}

template <class T>
void product(const Gemm<T>& g) {
  if (is_tiny(g)) return tiny(g);
  // A vector lies both ways if its elements are next to each other.
  const bool rows_lie = !g.trans_a || (g.m == 1 && g.lda == 1);
  const bool columns_lie = g.trans_b || (g.n == 1 && g.ldb == 1);
  if (rows_lie && columns_lie && g.m <= (g.k < kLong ? kFew : kFewLongRows))
    return dots<T>({g.k, g.a, g.lda, g.m, g.b, g.ldb, g.n, g.c, g.ldc, 1, g.add});
  if (rows_lie && columns_lie && g.n <= kFew)
    return dots<T>({g.k, g.b, g.ldb, g.n, g.a, g.lda, g.m, g.c, 1, g.ldc, g.add});
  Blocked<T>(g).run();
}

#endif

}  // namespace

#if defined(__AVX2__)
EG_KERNELS(GemmKernels, {&product<float>, &product<double>})
#else
EG_KERNELS(GemmKernels, {nullptr, nullptr})
#endif

}  // namespace eg
