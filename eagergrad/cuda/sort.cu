// Sorting and searching. Entries are keys with positions: no two are equal, so that every order of work gives one result.
#include "kernels/order.h"
#include "prelude.cuh"
#include "sums.cuh"

namespace eg {

// Keys of elements; keys already made pass through.
__device__ __forceinline__ uint32_t sort_key(uint32_t k) { return k; }
__device__ __forceinline__ uint64_t sort_key(uint64_t k) { return k; }
template <class T>
__device__ __forceinline__ auto sort_key(T v) {
  return key_of(v);
}
template <class S>
using SortKey = decltype(sort_key(S{}));

// --- short rows: a bitonic network in shared memory -----------------------------------------------------------------
// Sorts m entries of each row of n elements (those that `candidates` names, or the first m) and gives the `take` of them from
// place `first` on. P, a power of 2, is at least m. Blocks: (min(P / 2, 512), rows a block).
template <class T, class I, int P>
__global__ void sort_short(const T* x, const uint32_t* candidates, T* values, I* index,
                           int64_t rows, int64_t n, int m, int first, int take, int descending) {
  using K = SortKey<T>;
  constexpr int kRows = P >= 512 ? 1 : 512 / P;
  __shared__ K all_keys[kRows * P];
  __shared__ uint32_t all_places[kRows * P];
  K* const key = all_keys + threadIdx.y * P;
  uint32_t* const place = all_places + threadIdx.y * P;
  const K flip = descending ? ~K(0) : K(0);
  const int64_t row = int64_t(blockIdx.x) * kRows + threadIdx.y;
  const T* const from = x + row * n;
  for (int i = threadIdx.x; i < P; i += blockDim.x) {
    const bool real = row < rows && i < m;
    place[i] = !real ? ~0u : candidates ? candidates[row * m + i] : uint32_t(i);
    key[i] = real ? sort_key(from[place[i]]) ^ flip : ~K(0);
  }
  for (int size = 2; size <= P; size *= 2)
    for (int stride = size / 2; stride > 0; stride /= 2) {
      __syncthreads();
      for (int t = threadIdx.x; t < P / 2; t += blockDim.x) {
        const int a = 2 * t - (t & (stride - 1)), b = a + stride;
        const K ka = key[a], kb = key[b];
        const uint32_t pa = place[a], pb = place[b];
        const bool after = ka > kb || (ka == kb && pa > pb);
        if (after == ((a & size) == 0)) {
          key[a] = kb;
          key[b] = ka;
          place[a] = pb;
          place[b] = pa;
        }
      }
    }
  __syncthreads();
  if (row >= rows) return;
  for (int i = threadIdx.x; i < take; i += blockDim.x) {
    const uint32_t at = place[first + i];
    index[row * take + i] = static_cast<I>(at);
    if (values) values[row * take + i] = from[at];
  }
}

// --- long rows: one digit after the other, the lowest first -----------------------------------------------------------
constexpr int kRadixThreads = 256, kRadixItems = 8, kRadixTile = kRadixThreads * kRadixItems;

// Blocks are tiles of rows. counts[row][digit][tile]: their running sum says where each tile's share of a digit goes.
template <class S>
__global__ void radix_count(const S* x, int64_t n, int64_t tiles, int shift, uint32_t mask,
                            int descending, uint32_t* counts) {
  using K = SortKey<S>;
  __shared__ uint32_t bins[256];
  bins[threadIdx.x] = 0;
  __syncthreads();
  const int64_t row = blockIdx.x / tiles, tile = blockIdx.x % tiles;
  const K flip = descending ? ~K(0) : K(0);
#pragma unroll
  for (int k = 0; k < kRadixItems; ++k) {
    const int64_t i = tile * kRadixTile + k * kRadixThreads + threadIdx.x;
    if (i < n) atomicAdd(&bins[uint32_t((sort_key(x[row * n + i]) ^ flip) >> shift) & mask], 1u);
  }
  __syncthreads();
  counts[(row * 256 + threadIdx.x) * tiles + tile] = bins[threadIdx.x];
}

// Moves entries to where their digit goes, in order. A warp takes stretches of 32; lanes with equal digits find each other by
// votes. The tile is put in order in shared memory first, so that what goes to one place is written together.
template <class S>
__global__ void radix_place(const S* x, const uint32_t* places, int64_t n, int64_t tiles, int shift,
                            uint32_t mask, int descending, const uint32_t* starts,
                            SortKey<S>* keys_out, uint32_t* places_out) {
  using K = SortKey<S>;
  constexpr int kWarps = kRadixThreads / 32;
  __shared__ uint32_t counts[kWarps][256];
  __shared__ uint32_t local_start[256], move[256];
  __shared__ K keys[kRadixTile];
  __shared__ uint32_t moved[kRadixTile];
  const int t = threadIdx.x, warp = t / 32, lane = t % 32;
  for (int w = 0; w < kWarps; ++w) counts[w][t] = 0;
  __syncthreads();

  const int64_t row = blockIdx.x / tiles, tile = blockIdx.x % tiles;
  const int64_t base = tile * kRadixTile + warp * 32 * kRadixItems + lane;
  const K flip = descending ? ~K(0) : K(0);
  K key[kRadixItems];
  uint32_t rank[kRadixItems], place[kRadixItems];
#pragma unroll
  for (int k = 0; k < kRadixItems; ++k) {
    const int64_t i = base + k * 32;
    key[k] = i < n ? sort_key(x[row * n + i]) ^ flip : ~K(0);
    place[k] = i >= n ? 0 : places ? places[row * n + i] : uint32_t(i);
  }
#pragma unroll
  for (int k = 0; k < kRadixItems; ++k) {
    const uint32_t digit = uint32_t(key[k] >> shift) & mask;
    uint32_t equals = ~0u;
#pragma unroll
    for (int b = 0; b < 8; ++b) {
      const bool one = (digit >> b) & 1;
      const uint32_t vote = __ballot_sync(~0u, one);
      equals &= one ? vote : ~vote;
    }
    const uint32_t before = equals & ((1u << lane) - 1);
    rank[k] = counts[warp][digit] + __popc(before);
    __syncwarp();
    if (before == 0) counts[warp][digit] += __popc(equals);
    __syncwarp();
  }
  __syncthreads();

  uint32_t sum = 0;  // of digit t
  for (int w = 0; w < kWarps; ++w) {
    const uint32_t c = counts[w][t];
    counts[w][t] = sum;
    sum += c;
  }
  uint32_t total;
  local_start[t] = block_exclusive(sum, &total);
  move[t] = starts[(row * 256 + t) * tiles + tile] - local_start[t];
  __syncthreads();
#pragma unroll
  for (int k = 0; k < kRadixItems; ++k) {
    const uint32_t digit = uint32_t(key[k] >> shift) & mask;
    const uint32_t to = local_start[digit] + counts[warp][digit] + rank[k];
    keys[to] = key[k];
    moved[to] = place[k];
  }
  __syncthreads();
  const int64_t left = n - tile * kRadixTile;  // the padding is last, whatever the order
  const int real = left < kRadixTile ? int(left) : kRadixTile;
  for (int i = t; i < real; i += kRadixThreads) {
    const uint32_t to = move[uint32_t(keys[i] >> shift) & mask] + uint32_t(i);
    if (keys_out) keys_out[to] = keys[i];
    places_out[to] = moved[i];
  }
}

// The entries from place `first` on of each row's order.
template <class T>
__global__ void picked(const T* x, const uint32_t* order, T* values, int64_t* index, int64_t rows,
                       int64_t n, int64_t first, int64_t take) {
  for (EG_ELEMENTS(i, rows * take)) {
    const int64_t row = i / take;
    const uint32_t at = order[row * n + first + i % take];
    index[i] = at;
    if (values) values[i] = x[row * n + at];
  }
}

template <class T>
__global__ void column(const T* x, const uint32_t* order, int64_t rows, int64_t width, int64_t at,
                       T* out) {
  for (EG_ELEMENTS(i, rows)) out[i] = x[(order ? order[i] : i) * width + at];
}

// --- selection: the digits of the k-th key, the highest first; a block a row ----------------------------------------------
// candidates: the k best entries in any order. kth: the last of them alone.
template <class T>
__global__ void select_best(const T* x, int64_t n, uint32_t k, int descending, int low_bit,
                            int high_bit, uint32_t* candidates, T* value, int64_t* kth) {
  using K = SortKey<T>;
  __shared__ uint32_t bins[256];
  __shared__ uint32_t found_digit, found_before, taken;
  const T* const row = x + blockIdx.x * n;
  const K flip = descending ? ~K(0) : K(0);
  K prefix = 0, known = 0;
  uint32_t wanted = k;
  for (int high = high_bit; high > low_bit;) {
    const int shift = high - 8 > low_bit ? high - 8 : low_bit;
    const uint32_t mask = (1u << (high - shift)) - 1;
    if (threadIdx.x < 256) bins[threadIdx.x] = 0;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      const K key = sort_key(row[i]) ^ flip;
      if (((key ^ prefix) & known) == 0) atomicAdd(&bins[uint32_t(key >> shift) & mask], 1u);
    }
    __syncthreads();
    const uint32_t mine = threadIdx.x < 256 ? bins[threadIdx.x] : 0;
    uint32_t total;
    const uint32_t before = block_exclusive(mine, &total);
    if (before < wanted && wanted <= before + mine) {
      found_digit = threadIdx.x;
      found_before = before;
    }
    __syncthreads();
    prefix |= K(found_digit) << shift;
    known |= K(mask) << shift;
    wanted -= found_before;
    high = shift;
    __syncthreads();
  }
  // Of the entries with the k-th key, the first `wanted` are in.
  if (threadIdx.x == 0) taken = 0;
  __syncthreads();
  constexpr int kItems = 4;
  const int64_t tile = int64_t(blockDim.x) * kItems;
  uint32_t* const out = candidates ? candidates + blockIdx.x * int64_t(k) : nullptr;
  uint32_t equals = 0;  // so far
  for (int64_t base = 0; base < n; base += tile) {
    bool equal_key[kItems];
    bool any = false;
#pragma unroll
    for (int q = 0; q < kItems; ++q) {
      const int64_t i = base + q * blockDim.x + threadIdx.x;
      const K key = i < n ? (sort_key(row[i]) ^ flip) & known : ~K(0);
      equal_key[q] = i < n && key == prefix;
      any |= equal_key[q];
      if (out && i < n && key < prefix) out[atomicAdd(&taken, 1u)] = uint32_t(i);
    }
    if (equals >= wanted || !__syncthreads_or(any)) continue;
#pragma unroll
    for (int q = 0; q < kItems; ++q) {
      uint32_t total;
      const uint32_t at = equals + block_exclusive(uint32_t(equal_key[q]), &total);
      const int64_t i = base + q * blockDim.x + threadIdx.x;
      if (equal_key[q] && at < wanted) {
        if (out) out[k - wanted + at] = uint32_t(i);
        if (kth && at == wanted - 1) {
          kth[blockIdx.x] = i;
          value[blockIdx.x] = row[i];
        }
      }
      equals += total;
    }
  }
}

// --- runs ---------------------------------------------------------------------------------------------------------------
template <class T>
__global__ void mark_runs(const T* x, const int64_t* order, bool* first, int64_t rows,
                          int64_t width) {
  for (EG_ELEMENTS(i, rows)) {
    bool differs = i == 0;
    if (!differs) {
      const T* const a = x + (order ? order[i] : i) * width;
      const T* const b = x + (order ? order[i - 1] : i - 1) * width;
      for (int64_t j = 0; j < width && !differs; ++j) differs = !equal(a[j], b[j]);
    }
    first[i] = differs;
  }
}

// begins: where the runs begin, ascending.
__global__ void run_sizes(const int64_t* begins, const int64_t* order, int64_t rows, int64_t runs,
                          int64_t* starts, int64_t* counts) {
  for (EG_ELEMENTS(r, runs)) {
    const int64_t begin = begins[r];
    starts[r] = order ? order[begin] : begin;
    counts[r] = (r + 1 < runs ? begins[r + 1] : rows) - begin;
  }
}
__global__ void run_numbers(const int64_t* begins, const int64_t* order, int64_t rows, int64_t runs,
                            int64_t* inverse) {
  for (EG_ELEMENTS(i, rows))
    inverse[order ? order[i] : i] = search_one<int64_t>(begins, nullptr, runs, i, true) - 1;
}

// --- search ---------------------------------------------------------------------------------------------------------------
template <class T>
__global__ void search(const T* boundaries, const int64_t* sorter, int64_t n, const T* values,
                       int64_t count, int64_t width, int shared, int right, int64_t* out) {
  for (EG_ELEMENTS(i, count)) {
    const int64_t skip = shared ? 0 : i / width * n;
    out[i] =
        search_one(boundaries + skip, sorter ? sorter + skip : nullptr, n, values[i], right != 0);
  }
}

}  // namespace eg
