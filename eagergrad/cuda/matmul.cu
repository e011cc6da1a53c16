// Products of whole numbers, of which cuBLAS has none: sums stay in the element type and wrap around.
#include "prelude.cuh"

namespace eg {

// Element (i, j) of a is a[i * row_a + j * col_a].
template <class T>
__global__ void integer_products(const T* a, const T* b, T* c, int64_t batch, int64_t m, int64_t n,
                                 int64_t k, int64_t row_a, int64_t col_a, int64_t row_b,
                                 int64_t col_b, int64_t step_a, int64_t step_b, bool adds) {
  constexpr int kTile = 16;
  __shared__ T tile_a[kTile][kTile + 1];
  __shared__ T tile_b[kTile][kTile + 1];
  const int y = threadIdx.y, x = threadIdx.x;
  const int64_t down = (m + kTile - 1) / kTile, across = (n + kTile - 1) / kTile;
  for (int64_t t = blockIdx.x; t < batch * down * across; t += gridDim.x) {
    const int64_t at = t / (down * across);
    const int64_t i = t / across % down * kTile + y, j = t % across * kTile + x;
    T sum = 0;
    for (int64_t l = 0; l < k; l += kTile) {
      tile_a[y][x] = i < m && l + x < k ? a[at * step_a + i * row_a + (l + x) * col_a] : T(0);
      tile_b[y][x] = l + y < k && j < n ? b[at * step_b + (l + y) * row_b + j * col_b] : T(0);
      __syncthreads();
      for (int s = 0; s < kTile; ++s) sum = T(sum + tile_a[y][s] * tile_b[s][x]);
      __syncthreads();
    }
    if (i < m && j < n) {
      T* to = c + (at * m + i) * n + j;
      *to = adds ? T(*to + sum) : sum;
    }
  }
}

}  // namespace eg
