// Moving and combining elements by index. Where several values meet in one element they are combined in the order of the
// index, with no atomics on floating-point numbers.
#include "index_layouts.h"
#include "late.cuh"
#include "prelude.cuh"
#include "sums.cuh"

namespace eg {

template <int Bytes>
struct UnitOf {
  struct alignas(16) type {
    uint64_t a, b;
  };
};
template <>
struct UnitOf<1> {
  using type = uint8_t;
};
template <>
struct UnitOf<2> {
  using type = uint16_t;
};
template <>
struct UnitOf<4> {
  using type = uint32_t;
};
template <>
struct UnitOf<8> {
  using type = uint64_t;
};

template <class T>
__device__ __forceinline__ T read_one(const OneElement& one) {
  if (one.data) return *static_cast<const T*>(one.data);
  T value;
  memcpy(&value, &one.bits, sizeof(T));
  return value;
}

__device__ __forceinline__ int64_t outer_start(const Positions& p, int64_t o) {
  return p.outer_offsets ? p.outer_offsets[o] : o * p.outer_stride;
}
__device__ __forceinline__ int64_t inner_start(const Positions& p, int64_t j) {
  return p.inner_offsets ? p.inner_offsets[j] : j;
}

// --- take -------------------------------------------------------------------------------------------------------
// I counts the units, of Bytes each, of which a row has `units`.
template <int Bytes, class I>
__global__ void take(char* packed, const char* x, Positions p, int64_t units, int64_t item) {
  using U = typename UnitOf<Bytes>::type;
  const I total = I(p.outer * p.n * units);
  for (I i = I(blockIdx.x) * blockDim.x + threadIdx.x; i < total; i += I(gridDim.x) * blockDim.x) {
    const I row = i / I(units), u = i - row * I(units), o = row / I(p.n), e = row - o * I(p.n);
    int64_t at = (outer_start(p, o) + p.index[e] * p.scale) * item;
    at += p.inner_offsets ? p.inner_offsets[u] * item : int64_t(u) * Bytes;
    reinterpret_cast<U*>(packed)[i] = *reinterpret_cast<const U*>(x + at);
  }
}

// --- folds ------------------------------------------------------------------------------------------------------
template <class C, class T>
__device__ __forceinline__ C fold_value(const FoldLoop& l, int64_t o, int64_t e, int64_t j) {
  if (!l.packed) return cast<C>(read_one<T>(l.one));
  const int64_t row = l.from ? l.from[e] : o * l.p.n + e;
  C v = cast<C>(reinterpret_cast<const T*>(l.packed)[row * l.p.inner + j]);
  if constexpr (!std::is_integral_v<C>)
    if (l.scale) v *= cast<C>(reinterpret_cast<const T*>(l.scale)[e]);
  return v;
}

template <class T, int F, class C>
__device__ __forceinline__ void fold_into(T* to, C value) {
  *to = cast<T>(Folder<static_cast<Fold>(F)>::of(cast<C>(*to), value));
}

// No two entries meet.
template <class T, int F>
__global__ void fold_direct(FoldLoop l) {
  using C = compute_t<T>;
  const Positions& p = l.p;
  for (EG_ELEMENTS(i, p.outer * p.n * p.inner)) {
    const int64_t row = i / p.inner, j = i - row * p.inner, o = row / p.n, e = row - o * p.n;
    T* const to =
        reinterpret_cast<T*>(l.x) + outer_start(p, o) + p.index[e] * p.scale + inner_start(p, j);
    fold_into<T, F, C>(to, fold_value<C, T>(l, o, e, j));
  }
}

// Sums of integers are the same in any order.
template <class T>
__device__ __forceinline__ void add_atomically(T* to, T v) {
  if constexpr (sizeof(T) == 4) {
    atomicAdd(reinterpret_cast<unsigned int*>(to), static_cast<unsigned int>(v));
  } else {
    atomicAdd(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(v));
  }
}
template <class T>
__global__ void add_integers(FoldLoop l) {
  const Positions& p = l.p;
  for (EG_ELEMENTS(i, p.outer * p.n * p.inner)) {
    const int64_t row = i / p.inner, j = i - row * p.inner, o = row / p.n, e = row - o * p.n;
    add_atomically(
        reinterpret_cast<T*>(l.x) + outer_start(p, o) + p.index[e] * p.scale + inner_start(p, j),
        fold_value<T, T>(l, o, e, j));
  }
}

// A thread takes all entries of one column.
template <class T, int F>
__global__ void fold_walk(FoldLoop l) {
  using C = compute_t<T>;
  const Positions& p = l.p;
  for (EG_ELEMENTS(i, p.outer * p.inner)) {
    const int64_t o = i / p.inner, j = i - o * p.inner;
    T* const at = reinterpret_cast<T*>(l.x) + outer_start(p, o) + inner_start(p, j);
    for (int64_t e = 0; e < p.n; ++e)
      fold_into<T, F, C>(at + p.index[e] * p.scale, fold_value<C, T>(l, o, e, j));
  }
}

__device__ __forceinline__ int64_t sorted_index(const FoldLoop& l, int64_t i) {
  return l.p.index[l.order[i]];
}
template <class C>
__device__ __forceinline__ C* partial_of(const FoldLoop& l, int64_t o, int64_t c, int which,
                                         int64_t j) {
  return reinterpret_cast<C*>(l.partial) + ((o * l.chunks + c) * 2 + which) * l.p.inner + j;
}

// A thread takes one column of a chunk of entries in order.
template <class T, int F>
__global__ void fold_chunks(FoldLoop l) {
  using C = compute_t<T>;
  using Op = Folder<static_cast<Fold>(F)>;
  const Positions& p = l.p;
  for (EG_ELEMENTS(i, p.outer * l.chunks * p.inner)) {
    const int64_t row = i / p.inner, j = i - row * p.inner, o = row / l.chunks,
                  c = row - o * l.chunks;
    const int64_t begin = c * l.chunk, end = begin + l.chunk < p.n ? begin + l.chunk : p.n;
    T* const at = reinterpret_cast<T*>(l.x) + outer_start(p, o) + inner_start(p, j);
    int64_t here = sorted_index(l, begin);
    bool from_before = begin > 0 && sorted_index(l, begin - 1) == here;
    C sum = fold_value<C, T>(l, o, l.order[begin], j);
    for (int64_t k = begin + 1; k < end; ++k) {
      const int64_t next = sorted_index(l, k);
      const C v = fold_value<C, T>(l, o, l.order[k], j);
      if (next == here) {
        sum = Op::of(sum, v);
        continue;
      }
      if (from_before) {
        *partial_of<C>(l, o, c, 0, j) = sum;
      } else {
        fold_into<T, F, C>(at + here * p.scale, sum);
      }
      from_before = false;
      here = next;
      sum = v;
    }
    const bool goes_on = end < p.n && sorted_index(l, end) == here;
    if (from_before || goes_on) {
      *partial_of<C>(l, o, c, from_before ? 0 : 1, j) = sum;
    } else {
      fold_into<T, F, C>(at + here * p.scale, sum);
    }
  }
}
// Runs that reach over chunks: taken up by the chunk in which they begin.
template <class T, int F>
__global__ void fold_joins(FoldLoop l) {
  using C = compute_t<T>;
  using Op = Folder<static_cast<Fold>(F)>;
  const Positions& p = l.p;
  for (EG_ELEMENTS(i, p.outer * l.chunks * p.inner)) {
    const int64_t row = i / p.inner, j = i - row * p.inner, o = row / l.chunks,
                  c = row - o * l.chunks;
    int64_t end = (c + 1) * l.chunk;
    if (end >= p.n) continue;
    const int64_t here = sorted_index(l, end - 1);
    if (sorted_index(l, end) != here) continue;
    if (c > 0 && sorted_index(l, end - l.chunk - 1) == here) continue;  // begins before
    C sum = *partial_of<C>(l, o, c, 1, j);
    for (int64_t next = c + 1; end < p.n && sorted_index(l, end) == here; ++next) {
      sum = Op::of(sum, *partial_of<C>(l, o, next, 0, j));
      end = (next + 1) * l.chunk;
      if (end > p.n || sorted_index(l, end - 1) != here) break;
    }
    fold_into<T, F, C>(
        reinterpret_cast<T*>(l.x) + outer_start(p, o) + inner_start(p, j) + here * p.scale, sum);
  }
}

// --- bags ---------------------------------------------------------------------------------------------------------
template <class T>
__global__ void max_rows(T* best, int64_t* row, const T* x, const int64_t* from, const int64_t* to,
                         int64_t n, int64_t width) {
  for (EG_ELEMENTS(i, n * width)) {
    const int64_t e = i / width, j = i - e * width;
    if (e > 0 && to[e] == to[e - 1]) continue;
    auto most = cast<compute_t<T>>(x[from[e] * width + j]);
    int64_t source = from[e];
    for (int64_t k = e + 1; k < n && to[k] == to[e]; ++k) {
      const auto v = cast<compute_t<T>>(x[from[k] * width + j]);
      if (v > most) {
        most = v;
        source = from[k];
      }
    }
    best[to[e] * width + j] = x[source * width + j];
    row[to[e] * width + j] = source;
  }
}

// --- gather and scatter -----------------------------------------------------------------------------------------------
// Where element i of the index is in x, apart from the indexed dimension, and in src.
template <class I>
__device__ __forceinline__ void line_offsets(const Lines& l, I i, int64_t* in_x, int64_t* in_src) {
  offsets_of(i, l.ndim, l.sizes, l.x_strides, l.src_strides, in_x, in_src);
}

template <int Bytes, class I>
__global__ void gather(char* out, const char* x, Lines l, int64_t n) {
  using U = typename UnitOf<Bytes>::type;
  for (I i = I(blockIdx.x) * blockDim.x + threadIdx.x; i < I(n); i += I(gridDim.x) * blockDim.x) {
    int64_t in_x, in_src;
    line_offsets(l, i, &in_x, &in_src);
    reinterpret_cast<U*>(out)[i] = reinterpret_cast<const U*>(x)[in_x + l.index[i] * l.dim_stride];
  }
}

template <class T>
__device__ __forceinline__ T scatter_value(const char* src, const OneElement& one, int64_t at) {
  return src ? reinterpret_cast<const T*>(src)[at] : read_one<T>(one);
}

template <class T, int F>
__global__ void scatter_direct(char* x, const char* src, OneElement one, Lines l, int64_t n) {
  using C = compute_t<T>;
  for (EG_ELEMENTS(i, n)) {
    int64_t in_x, in_src;
    line_offsets(l, i, &in_x, &in_src);
    fold_into<T, F, C>(reinterpret_cast<T*>(x) + in_x + l.index[i] * l.dim_stride,
                       cast<C>(scatter_value<T>(src, one, in_src)));
  }
}
template <class T>
__global__ void scatter_integers(char* x, const char* src, OneElement one, Lines l, int64_t n) {
  for (EG_ELEMENTS(i, n)) {
    int64_t in_x, in_src;
    line_offsets(l, i, &in_x, &in_src);
    add_atomically(reinterpret_cast<T*>(x) + in_x + l.index[i] * l.dim_stride,
                   scatter_value<T>(src, one, in_src));
  }
}

// Entries meet only along the indexed dimension: a thread takes one line of it.
template <class T, int F>
__global__ void scatter_walk(char* x, const char* src, OneElement one, Lines l, int64_t lines) {
  using C = compute_t<T>;
  int64_t step = 1;  // of the index along the dimension
  for (int d = l.dim + 1; d < l.ndim; ++d) step *= l.sizes[d];
  for (EG_ELEMENTS(line, lines)) {
    const int64_t first = line / step * step * l.sizes[l.dim] + line % step;
    int64_t in_x, in_src;
    line_offsets(l, first, &in_x, &in_src);
    for (int64_t k = 0; k < l.sizes[l.dim]; ++k)
      fold_into<T, F, C>(reinterpret_cast<T*>(x) + in_x + l.index[first + k * step] * l.dim_stride,
                         cast<C>(scatter_value<T>(src, one, in_src + k * l.src_strides[l.dim])));
  }
}

// The scatter as a fold: where each entry goes, and the entries side by side.
template <int Bytes>
__global__ void scatter_entries(Lines l, int64_t n, const char* src, int64_t* places,
                                char* packed) {
  using U = typename UnitOf<Bytes>::type;
  for (EG_ELEMENTS(i, n)) {
    int64_t in_x, in_src;
    line_offsets(l, i, &in_x, &in_src);
    places[i] = in_x + l.index[i] * l.dim_stride;
    if (packed) reinterpret_cast<U*>(packed)[i] = reinterpret_cast<const U*>(src)[in_src];
  }
}

// --- indices ------------------------------------------------------------------------------------------------------------
__device__ __forceinline__ void join_range(int64_t* low, int64_t* high, int64_t l, int64_t h) {
  *low = l < *low ? l : *low;
  *high = h > *high ? h : *high;
}
// The smallest of `lows` to out[block], the largest of `highs` to out[blocks + block]; 256 threads.
__global__ void index_ends(const int64_t* lows, const int64_t* highs, int64_t n, int64_t* out) {
  __shared__ int64_t ends[2][8];
  int64_t low = lows[0], high = highs[0];
  for (EG_ELEMENTS(i, n)) join_range(&low, &high, lows[i], highs[i]);
  for (int d = 16; d > 0; d /= 2) {
    const int64_t l = __shfl_xor_sync(~0u, low, d), h = __shfl_xor_sync(~0u, high, d);
    join_range(&low, &high, l, h);
  }
  if (threadIdx.x % 32 == 0) {
    ends[0][threadIdx.x / 32] = low;
    ends[1][threadIdx.x / 32] = high;
  }
  __syncthreads();
  if (threadIdx.x) return;
  for (int w = 1; w < 8; ++w) join_range(&low, &high, ends[0][w], ends[1][w]);
  out[blockIdx.x] = low;
  out[gridDim.x + blockIdx.x] = high;
}

__global__ void settle_index(int64_t* out, const int64_t* index, int64_t n, int64_t least,
                             int64_t size, LateCheck check) {
  for (EG_ELEMENTS(i, n)) {
    const int64_t at = in_bounds(index[i], least, size, check);
    out[i] = at < 0 ? at + size : at;
  }
}
__global__ void linear_index(int64_t* out, const int64_t* index, int64_t n, int64_t stride,
                             int add) {
  for (EG_ELEMENTS(i, n)) out[i] = (add ? out[i] : 0) + index[i] * stride;
}

// --- masks ------------------------------------------------------------------------------------------------------------------
constexpr int kMaskBytes = 16, kMaskTile = 256 * kMaskBytes;

// The bytes of this thread's part of a tile that are not zero, a bit each.
__device__ __forceinline__ unsigned mask_bits(const char* mask, int64_t n, int64_t first) {
  unsigned bits = 0;
  if (first + kMaskBytes <= n && reinterpret_cast<uint64_t>(mask) % 8 == 0) {
    const uint64_t* const words = reinterpret_cast<const uint64_t*>(mask + first);
#pragma unroll
    for (int w = 0; w < 2; ++w) {
      const uint64_t v = words[w];
#pragma unroll
      for (int b = 0; b < 8; ++b) bits |= unsigned((v >> (8 * b) & 255) != 0) << (8 * w + b);
    }
  } else {
    for (int b = 0; b < kMaskBytes && first + b < n; ++b)
      bits |= unsigned(mask[first + b] != 0) << b;
  }
  return bits;
}
__global__ void count_mask(const char* mask, int64_t n, int64_t* counts) {
  const int64_t first = int64_t(blockIdx.x) * kMaskTile + threadIdx.x * kMaskBytes;
  uint32_t total;
  block_exclusive(uint32_t(__popc(mask_bits(mask, n, first))), &total);
  if (threadIdx.x == 0) counts[blockIdx.x] = total;
}
// starts: the running sum of the counts.
__global__ void mask_positions(const char* mask, int64_t n, const int64_t* starts, int64_t add,
                               int64_t* out) {
  const int64_t first = int64_t(blockIdx.x) * kMaskTile + threadIdx.x * kMaskBytes;
  unsigned bits = mask_bits(mask, n, first);
  uint32_t total;
  int64_t* to = out + starts[blockIdx.x] + block_exclusive(uint32_t(__popc(bits)), &total);
  for (; bits; bits &= bits - 1) *to++ = add + first + __ffs(int(bits)) - 1;
}

__global__ void coordinates(const int64_t* flat, int64_t n, Sizes sizes, int dims, int64_t* out,
                            int64_t step, int64_t jump) {
  for (EG_ELEMENTS(i, n)) {
    int64_t rest = flat[i];
    for (int d = dims - 1; d >= 0; --d) {
      const int64_t next = rest / sizes.of[d];
      out[i * step + d * jump] = rest - next * sizes.of[d];
      rest = next;
    }
  }
}

template <int Bytes, class I>
__global__ void masked_fill(StridedTriple t, int64_t n, OneElement one) {
  using U = typename UnitOf<Bytes>::type;
  const U value = read_one<U>(one);
  for (I i = I(blockIdx.x) * blockDim.x + threadIdx.x; i < I(n); i += I(gridDim.x) * blockDim.x) {
    I rest = i;
    int64_t o = 0, a = 0, m = 0;
    for (int d = t.ndim - 1; d > 0; --d) {
      const I next = rest / I(t.sizes[d]), at = rest - next * I(t.sizes[d]);
      o += at * t.out_strides[d];
      a += at * t.x_strides[d];
      m += at * t.mask_strides[d];
      rest = next;
    }
    o += rest * t.out_strides[0];
    a += rest * t.x_strides[0];
    m += rest * t.mask_strides[0];
    reinterpret_cast<U*>(t.out)[o] = t.mask[m] ? value : reinterpret_cast<const U*>(t.x)[a];
  }
}

}  // namespace eg
