// Products of matrices of whole numbers, which no BLAS has. Sums stay in the element type and wrap around, as PyTorch's.
#include "kernels/grain.h"
#include "kernels/loop.h"
#include "kernels/matmul.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

namespace eg {
namespace {

// A tile is kRows rows by kWide vectors of columns. A block is so many tiles, one above the other, that share a packed panel of b.
constexpr int kRows = 4, kWide = 2;
constexpr int64_t kBlockRows = 64;

template <class T>
void tile(const T* a, int64_t row, int64_t column, const T* panel, int64_t k, int64_t rows,
          Vec<T> (&sums)[kRows][kWide]) {
  const T* at[kRows];
  for (int r = 0; r < kRows; ++r) at[r] = a + (r < rows ? r : 0) * row;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kWide; ++v) sums[r][v] = Vec<T>{};
  for (int64_t l = 0; l < k; ++l, panel += kWide * kLanes<T>) {
    Vec<T> b[kWide];
#pragma GCC unroll 8
    for (int v = 0; v < kWide; ++v) b[v] = load(panel + v * kLanes<T>);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec<T> x = splat(at[r][l * column]);
#pragma GCC unroll 8
      for (int v = 0; v < kWide; ++v) sums[r][v] += x * b[v];
    }
  }
}

// The product without a sign, to which C++ would take two short numbers.
template <class T>
EG_INLINE T times(T a, T b) {
  return T(uint64_t(a) * b);
}

// y (+)= the sum of x[i] w[i].
template <class T>
EG_ONE_COPY void add_dot(T* y, const T* x, const T* w, int64_t n, bool add) {
  T sum = add ? *y : T(0);
  for (int64_t i = 0; i < n; ++i) sum = T(sum + times(x[i], w[i]));
  *y = sum;
}
// y (+)= the sum of x[l] times row l of w.
template <class T>
EG_ONE_COPY void add_rows(T* y, const T* x, int64_t step, const T* w, int64_t row, int64_t rows,
                          int64_t n, bool add) {
  for (int64_t j = 0; !add && j < n; ++j) y[j] = T(0);
  for (int64_t l = 0; l < rows; ++l, w += row) {
    const T v = x[l * step];
    for (int64_t j = 0; j < n; ++j) y[j] = T(y[j] + times(v, w[j]));
  }
}

template <class T>
void multiply_typed(const Products& p) {
  constexpr int64_t width = kWide * kLanes<T>;
  const int64_t row_a = p.trans_a ? 1 : p.lda, col_a = p.trans_a ? p.lda : 1;
  const int64_t row_b = p.trans_b ? 1 : p.ldb, col_b = p.trans_b ? p.ldb : 1;
  const bool dots = col_a == 1 && row_b == 1;
  if ((p.m < kRows || p.n < kRows) && (dots || col_b == 1)) {  // nothing to pack for
    constexpr int64_t kMost = 512;                             // columns at a time
    const int64_t each = dots ? 1 : kMost, parts = ceil_div(p.n, each);
    return parallel_for(p.batch * p.m * parts, grain_of(min64(each, p.n) * p.k),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t item = begin; item < end; ++item) {
                            const int64_t batch = item / (p.m * parts), i = item / parts % p.m;
                            const int64_t j = item % parts * each;
                            const T* x = static_cast<const T*>(p.a) + batch * p.step_a + i * row_a;
                            const T* w = static_cast<const T*>(p.b) + batch * p.step_b + j * col_b;
                            T* y = static_cast<T*>(p.c) + (batch * p.m + i) * p.n + j;
                            if (dots)
                              add_dot(y, x, w, p.k, p.add);
                            else
                              add_rows(y, x, col_a, w, row_b, p.k, min64(each, p.n - j), p.add);
                          }
                        });
  }
  const int64_t panels = ceil_div(p.n, width), blocks = ceil_div(p.m, kBlockRows);
  const int64_t work = min64(p.m, kBlockRows) * width * p.k;
  parallel_for(p.batch * panels * blocks, grain_of(work), [&](int64_t begin, int64_t end) {
    Scratch<T> packed(p.k * width);
    for (int64_t item = begin; item < end; ++item) {
      const int64_t batch = item / (panels * blocks), block = item % blocks * kBlockRows;
      const int64_t column = item / blocks % panels * width, columns = min64(width, p.n - column);
      const T* a = static_cast<const T*>(p.a) + batch * p.step_a + block * row_a;
      const T* b = static_cast<const T*>(p.b) + batch * p.step_b + column * col_b;
      T* c = static_cast<T*>(p.c) + (batch * p.m + block) * p.n + column;
      for (int64_t l = 0; l < p.k; ++l)
        for (int64_t j = 0; j < width; ++j)
          packed.data()[l * width + j] = j < columns ? b[l * row_b + j * col_b] : T(0);
      const int64_t rows = min64(kBlockRows, p.m - block);
      for (int64_t r0 = 0; r0 < rows; r0 += kRows) {
        Vec<T> sums[kRows][kWide];
        const int64_t count = min64(kRows, rows - r0);
        tile(a + r0 * row_a, row_a, col_a, packed.data(), p.k, count, sums);
        for (int64_t r = 0; r < count; ++r) {
          const T* const sum = reinterpret_cast<const T*>(sums[r]);
          T* const to = c + (r0 + r) * p.n;
          for (int64_t j = 0; j < columns; ++j) to[j] = T(p.add ? to[j] + sum[j] : sum[j]);
        }
      }
    }
  });
}

void multiply(const Products& p) {
  switch (item_size(p.type)) {
    case 1:
      return multiply_typed<uint8_t>(p);
    case 2:
      return multiply_typed<uint16_t>(p);
    case 4:
      return multiply_typed<uint32_t>(p);
    default:
      return multiply_typed<uint64_t>(p);
  }
}

}  // namespace

EG_KERNELS(IntegerMatmulKernels, {&multiply})

}  // namespace eg
