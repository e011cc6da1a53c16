// Running sums over the threads of a block and over arrays.
#pragma once

#include "prelude.cuh"

namespace eg {

template <class T>
__device__ __forceinline__ T warp_inclusive(T v) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int d = 1; d < 32; d *= 2) {
    const T other = __shfl_up_sync(~0u, v, d);
    if (lane >= d) v += other;
  }
  return v;
}

// The sum over the threads before this one, of a one-dimensional block of whole warps.
template <class T>
__device__ __forceinline__ T block_exclusive(T v, T* total) {
  __shared__ T sums[32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const T inclusive = warp_inclusive(v);
  if (lane == 31) sums[warp] = inclusive;
  __syncthreads();
  if (warp == 0) {
    const T whole = warp_inclusive(lane < warps ? sums[lane] : T(0));
    sums[lane] = whole;
  }
  __syncthreads();
  const T before = warp ? sums[warp - 1] : T(0);
  *total = sums[warps - 1];
  __syncthreads();
  return before + inclusive - v;
}

// --- arrays: blocks of 1024 threads take kScanTile elements each -------------------------------------------------
constexpr int kScanItems = 4, kScanTile = 1024 * kScanItems;

// Replaces a tile by its exclusive sums plus `carry`; returns the sum of the tile.
template <class T>
__device__ __forceinline__ T scan_tile(T* data, int64_t base, int64_t n, T carry) {
  const int64_t first = base + int64_t(threadIdx.x) * kScanItems;
  T v[kScanItems], sum = 0;
#pragma unroll
  for (int k = 0; k < kScanItems; ++k) sum += v[k] = first + k < n ? data[first + k] : T(0);
  T total;
  T before = carry + block_exclusive(sum, &total);
#pragma unroll
  for (int k = 0; k < kScanItems; ++k) {
    if (first + k < n) data[first + k] = before;
    before += v[k];
  }
  return total;
}

// One block; the sum of all goes to `total`, which may be null.
template <class T>
__global__ void __launch_bounds__(1024) scan_alone(T* data, int64_t n, T* total) {
  T carry = 0;
  for (int64_t base = 0; base < n; base += kScanTile) carry += scan_tile(data, base, n, carry);
  if (total && threadIdx.x == 0) *total = carry;
}
template <class T>
__global__ void __launch_bounds__(1024) scan_sums(const T* data, int64_t n, T* sums) {
  const int64_t first = int64_t(blockIdx.x) * kScanTile + threadIdx.x;
  T sum = 0, total;
#pragma unroll
  for (int k = 0; k < kScanItems; ++k)
    if (first + k * 1024 < n) sum += data[first + k * 1024];
  block_exclusive(sum, &total);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}
template <class T>
__global__ void __launch_bounds__(1024) scan_apply(T* data, int64_t n, const T* before) {
  scan_tile(data, int64_t(blockIdx.x) * kScanTile, n, before[blockIdx.x]);
}

}  // namespace eg
