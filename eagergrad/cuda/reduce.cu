// Reductions and scans over the middle dimension of (outer, length, inner). Long lines are cut into chunks whose states go to
// memory; a second launch joins them (reductions), or starts each chunk from those before it (scans).
#include "joins.cuh"

namespace eg {

template <class R, bool kToState>
__device__ __forceinline__ void put(void* first, void* second, int64_t at, typename R::State s) {
  if constexpr (kToState) {
    static_cast<typename R::State*>(first)[at] = s;
  } else {
    R::write(first, second, at, s);
  }
}

// inner = 1, short lines: `width` lanes each.
template <class R, bool kFromState, bool kToState>
__global__ void rows(const void* x, void* first, void* second, int64_t outer, int64_t length,
                     int width) {
  const int lane = int(threadIdx.x) % width;
  const int64_t each = blockDim.x / width, mine = threadIdx.x / width;
  for (int64_t begin = blockIdx.x * each; begin < outer; begin += gridDim.x * each) {
    const int64_t line = begin + mine;
    typename R::State s = R::start();
    if (line < outer) s = over<R, kFromState>(x, line * length, 1, lane, width, length);
    s = join_lanes<R>(s, width);
    if (lane == 0 && line < outer) put<R, kToState>(first, second, line, s);
  }
}

// inner = 1, long lines: a block a chunk.
template <class R, bool kFromState, bool kToState>
__global__ void row_chunks(const void* x, void* first, void* second, int64_t outer, int64_t length,
                           int64_t chunk) {
  const int64_t chunks = (length + chunk - 1) / chunk;
  for (int64_t b = blockIdx.x; b < outer * chunks; b += gridDim.x) {
    const int64_t line = b / chunks, begin = b % chunks * chunk;
    const int64_t end = begin + chunk < length ? begin + chunk : length;
    typename R::State s =
        over<R, kFromState>(x, line * length, 1, begin + threadIdx.x, blockDim.x, end);
    s = join_block<R>(s);
    if (threadIdx.x == 0) put<R, kToState>(first, second, b, s);
  }
}

// inner > 1: threads side by side have columns side by side, blockDim.y of them share one. States go to [chunks][columns].
template <class R, bool kFromState, bool kToState>
__global__ void columns(const void* x, void* first, void* second, int64_t outer, int64_t length,
                        int64_t inner, int64_t chunk) {
  __shared__ typename R::State all[256];
  const int64_t count = outer * inner, groups = (count + blockDim.x - 1) / blockDim.x;
  const int64_t chunks = (length + chunk - 1) / chunk;
  for (int64_t b = blockIdx.x; b < groups * chunks; b += gridDim.x) {
    const int64_t c = b / groups, column = b % groups * blockDim.x + threadIdx.x;
    const int64_t end = (c + 1) * chunk < length ? (c + 1) * chunk : length;
    typename R::State s = R::start();
    if (column < count)
      s = over<R, kFromState>(x, column / inner * length * inner + column % inner, inner,
                              c * chunk + threadIdx.y, blockDim.y, end);
    const unsigned me = threadIdx.y * blockDim.x + threadIdx.x;
    all[me] = s;
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
      __syncthreads();
      if (threadIdx.y < half) {
        R::join(s, all[me + half * blockDim.x]);
        all[me] = s;
      }
    }
    __syncthreads();  // the next turn writes to `all`
    if (threadIdx.y == 0 && column < count) put<R, kToState>(first, second, c * count + column, s);
  }
}

// --- scans ------------------------------------------------------------------------------------------------------------

template <class R>
__device__ __forceinline__ void put_scanned(void* y, int64_t* positions, int64_t at,
                                            typename R::State s) {
  using T = typename R::Input;
  static_cast<T*>(y)[at] = cast<T>(R::value(s));
  if constexpr (std::is_same_v<typename R::State, Placed<joined_t<T>>>)
    if (positions) positions[at] = s.at;
}

// inner = 1: a block of 256 threads a chunk, 1024 elements at a time. totals: of the chunks, where there are several.
template <class R>
__global__ void scan_rows(const void* x, void* y, int64_t* positions, const void* totals,
                          int64_t outer, int64_t length, int64_t chunk) {
  using S = typename R::State;
  constexpr int kEach = 4, kTile = 256 * kEach, kWarps = 8;
  __shared__ S tile[kTile];
  __shared__ S warps[kWarps];
  const typename R::Input* p = static_cast<const typename R::Input*>(x);
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t chunks = (length + chunk - 1) / chunk;
  for (int64_t b = blockIdx.x; b < outer * chunks; b += gridDim.x) {
    const int64_t line = b / chunks, c = b % chunks, base = line * length;
    const int64_t end = (c + 1) * chunk < length ? (c + 1) * chunk : length;
    S carry = R::start();
    if (chunks > 1)
      carry = join_block<R>(over<R, true>(totals, line * chunks, 1, threadIdx.x, blockDim.x, c));
    for (int64_t begin = c * chunk; begin < end; begin += kTile) {
      for (int k = 0; k < kEach; ++k) {
        const int slot = k * 256 + int(threadIdx.x);
        S s = R::start();
        if (begin + slot < end) R::take(s, p[base + begin + slot], begin + slot);
        tile[slot] = s;
      }
      __syncthreads();
      S mine[kEach];
      for (int k = 0; k < kEach; ++k) {
        mine[k] = tile[threadIdx.x * kEach + k];
        if (k > 0) {
          S sum = mine[k - 1];
          R::join(sum, mine[k]);
          mine[k] = sum;
        }
      }
      S through = mine[kEach - 1];  // all up to and with this thread, of the warp
      for (unsigned d = 1; d < 32; d *= 2) {
        S before = moved(FromBelow{d}, through);
        if (lane >= d) {
          R::join(before, through);
          through = before;
        }
      }
      S before = moved(FromBelow{1}, through);
      if (lane == 31) warps[warp] = through;
      __syncthreads();
      S start = carry;
      for (unsigned w = 0; w < kWarps; ++w) {
        if (w == warp) start = carry;
        R::join(carry, warps[w]);
      }
      if (lane > 0) R::join(start, before);
      for (int k = 0; k < kEach; ++k) {
        S s = start;
        R::join(s, mine[k]);
        tile[threadIdx.x * kEach + k] = s;
      }
      __syncthreads();
      for (int k = 0; k < kEach; ++k) {
        const int slot = k * 256 + int(threadIdx.x);
        if (begin + slot < end) put_scanned<R>(y, positions, base + begin + slot, tile[slot]);
      }
      __syncthreads();
    }
  }
}

// inner > 1: a thread a column of a chunk; totals: [chunks][columns].
template <class R>
__global__ void scan_columns(const void* x, void* y, int64_t* positions, const void* totals,
                             int64_t outer, int64_t length, int64_t inner, int64_t chunk) {
  const int64_t count = outer * inner, chunks = (length + chunk - 1) / chunk;
  const typename R::Input* p = static_cast<const typename R::Input*>(x);
  for (EG_ELEMENTS(item, count * chunks)) {
    const int64_t c = item / count, column = item % count;
    const int64_t base = column / inner * length * inner + column % inner;
    const int64_t end = (c + 1) * chunk < length ? (c + 1) * chunk : length;
    typename R::State s = R::start();
    if (c > 0) s = over<R, true>(totals, column, count, 0, 1, c);
    for (int64_t i = c * chunk; i < end; ++i) {
      R::take(s, p[base + i * inner], i);
      put_scanned<R>(y, positions, base + i * inner, s);
    }
  }
}

}  // namespace eg
