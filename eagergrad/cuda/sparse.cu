// Compressed sparse matrices. The arrays may change behind our back: whatever is read from them is brought into range before it
// is used as an address, and noted (see Note [Late errors] in core/late.h). Sums go in an order that depends on the pattern
// alone; nothing is added atomically but whole numbers.
#include "joins.cuh"
#include "late.cuh"
#include "sparse_layouts.h"

namespace eg {

template <class I>
struct Pattern {
  const I *ptr, *idx, *perm;
  int64_t rows, cols, nnz;
  LateCheck check;

  __device__ explicit Pattern(const Compressed& x)
      : ptr(static_cast<const I*>(x.ptr)),
        idx(static_cast<const I*>(x.idx)),
        perm(static_cast<const I*>(x.perm)),
        rows(x.rows),
        cols(x.cols),
        nnz(x.nnz),
        check(x.check) {}

  __device__ __forceinline__ int64_t begin(int64_t r) const {
    return in_bounds(ptr[r], 0, nnz + 1, check);
  }
  // Entries of row r: [begin(r), end(r)).
  __device__ __forceinline__ int64_t end(int64_t r) const {
    return in_bounds(ptr[r + 1], begin(r), nnz + 1, check);
  }
  __device__ __forceinline__ int64_t column(int64_t k) const {
    return in_bounds(idx[k], 0, cols, check);
  }
  // Where the value of entry k is.
  __device__ __forceinline__ int64_t place(int64_t k) const {
    return perm ? in_bounds(perm[k], 0, nnz, check) : k;
  }
  // Notes if the rows do not cover all entries.
  __device__ void check_ends() const {
    in_bounds(ptr[0], 0, 1, check);
    in_bounds(ptr[rows], nnz, nnz + 1, check);
  }
  // The row of entry k.
  __device__ __forceinline__ int64_t row_of(int64_t k) const {
    int64_t low = 0, high = rows;  // the first row that begins after k
    while (low < high) {
      const int64_t mid = (low + high) / 2;
      if (ptr[mid] <= k) {
        low = mid + 1;
      } else {
        high = mid;
      }
    }
    return low > 0 ? low - 1 : 0;
  }
  // The entry in column c of row r, or -1. Rows are ascending.
  __device__ __forceinline__ int64_t find(int64_t r, int64_t c) const {
    int64_t low = begin(r), high = end(r);
    const int64_t past = high;
    while (low < high) {
      const int64_t mid = (low + high) / 2;
      if (idx[mid] < c) {
        low = mid + 1;
      } else {
        high = mid;
      }
    }
    return low < past && idx[low] == c ? low : -1;
  }
};

// --- patterns ----------------------------------------------------------------------------------------------------------

// found[0]: the first fault in the order of the host's check, numbered: the first pointer, two for each row (falling, out of
// range), the last pointer, the entries. found[1]: entries that are not above the one before them in their row.
template <class I>
__global__ void check_pattern(Compressed x, unsigned long long* found) {
  using Word = unsigned long long;
  const I *ptr = static_cast<const I*>(x.ptr), *idx = static_cast<const I*>(x.idx);
  Word first = ~Word(0);
  long long unordered = 0;
  const int64_t n = x.rows + 1 > x.nnz ? x.rows + 1 : x.nnz;
  const auto fault = [&](int64_t number) { first = Word(number) < first ? Word(number) : first; };
  for (EG_ELEMENTS(i, n)) {
    if (i == 0 && ptr[0] != 0) fault(0);
    if (i < x.rows) {
      if (ptr[i + 1] < ptr[i]) {
        fault(1 + 2 * i);
      } else if (ptr[i + 1] > x.nnz) {
        fault(2 + 2 * i);
      }
      const int64_t at = ptr[i];  // where a row begins nothing need ascend
      if (at > 0 && at < x.nnz && ptr[i + 1] > at && idx[at - 1] >= idx[at]) --unordered;
    }
    if (i == x.rows && ptr[i] != x.nnz) fault(1 + 2 * x.rows);
    if (i < x.nnz) {
      if (idx[i] < 0 || idx[i] >= x.cols) fault(2 + 2 * x.rows + i);
      if (i > 0 && idx[i - 1] >= idx[i]) ++unordered;
    }
  }
  if (first != ~Word(0)) atomicMin(found, first);
  if (unordered != 0) atomicAdd(found + 1, Word(unordered));
}

template <class I>
__global__ void expand_rows(Compressed x, I* rows) {
  const Pattern<I> p(x);
  for (EG_ELEMENTS(k, x.nnz)) {
    if (k == 0) p.check_ends();
    rows[k] = I(p.row_of(k));
  }
}

// Keys as numbers that a sort takes, all in range.
template <class I>
__global__ void widen(const I* keys, int64_t n, int64_t size, LateCheck check, int64_t* out) {
  for (EG_ELEMENTS(k, n)) out[k] = in_bounds(keys[k], 0, size, check);
}
// ptr[c]: how many of n keys, in `order`, are below c.
template <class I>
__global__ void key_starts(const int64_t* keys, const uint32_t* order, int64_t n, int64_t size,
                           I* ptr) {
  for (EG_ELEMENTS(c, size + 1)) {
    int64_t low = 0, high = n;
    while (low < high) {
      const int64_t mid = (low + high) / 2;
      if (keys[order ? order[mid] : mid] < c) {
        low = mid + 1;
      } else {
        high = mid;
      }
    }
    ptr[c] = I(low);
  }
}
template <class I>
__global__ void copy_order(const uint32_t* order, int64_t n, I* out) {
  for (EG_ELEMENTS(k, n)) out[k] = I(order[k]);
}
// Rows and places of a transposed pattern, whose entries are x's in `order`.
template <class I>
__global__ void turn_entries(Compressed x, const uint32_t* order, I* idx, I* perm) {
  const Pattern<I> p(x);
  for (EG_ELEMENTS(k, x.nnz)) {
    idx[k] = I(p.row_of(order[k]));
    perm[k] = I(p.place(order[k]));
  }
}

// A warp a row; `to` are the result's pointers, of as many entries as the rows have.
template <class I>
__global__ void take_rows(Compressed x, const int64_t* rows, int64_t n, const I* to, I* idx,
                          I* positions) {
  const Pattern<I> p(x);
  const Team<false> team;
  for (int64_t i = team.first; i < n; i += team.stride) {
    const int64_t begin = p.begin(rows[i]), length = to[i + 1] - to[i];
    for (int64_t k = team.lane; k < length && begin + k < p.nnz; k += 32) {
      idx[to[i] + k] = I(p.column(begin + k));
      positions[to[i] + k] = I(begin + k);
    }
  }
}

// Row by row: how many entries the result has (idx null), or the entries.
template <class I>
__global__ void merge_rows(Compressed x, Compressed y, int intersection, I* ptr, I* idx,
                           int64_t* at_x, int64_t* at_y) {
  const Pattern<I> a(x), b(y);
  for (EG_ELEMENTS(r, x.rows)) {
    int64_t i = a.begin(r), j = b.begin(r), to = idx ? int64_t(ptr[r]) : 0;
    const int64_t i_end = a.end(r), j_end = b.end(r);
    while (i < i_end || j < j_end) {
      const int64_t c = i < i_end ? a.column(i) : x.cols, d = j < j_end ? b.column(j) : x.cols;
      const bool in_a = c <= d, in_b = d <= c;
      if (!intersection || (in_a && in_b)) {
        if (idx) {
          idx[to] = I(in_a ? c : d);
          at_x[to] = in_a ? i : -1;
          at_y[to] = in_b ? j : -1;
        }
        ++to;
      }
      i += in_a;
      j += in_b;
    }
    if (!idx) ptr[r] = I(to);
  }
}

// --- products with dense matrices --------------------------------------------------------------------------------------

constexpr int kColumns = 4;  // of a lane, where rows are wide

// out[r, :] = sum of values[k] * dense[column of k, :]. A warp a row: groups of `width` lanes, a power
// of 2, take an entry each and the columns among them.
template <class T, class I>
__global__ void multiply(Compressed x, const T* values, DenseMatrix dense, int64_t n, int width,
                         DenseMatrix out) {
  const Pattern<I> p(x);
  const Team<false> team;
  const int groups = 32 / width, group = team.lane / width;
  const T* const from = static_cast<const T*>(dense.data);
  T* const to = static_cast<T*>(out.data);
  for (int64_t r = team.first; r < x.rows; r += team.stride) {
    const int64_t begin = p.begin(r), end = p.end(r);
    for (int64_t first = team.lane % width; first - team.lane % width < n;
         first += int64_t(width) * kColumns) {
      T sum[kColumns] = {};
      for (int64_t k = begin + group; k < end; k += groups) {
        const T value = values[p.place(k)];
        const T* const row = from + p.column(k) * dense.row;
#pragma unroll
        for (int c = 0; c < kColumns; ++c) {
          const int64_t j = first + int64_t(c) * width;
          if (j < n) sum[c] += value * row[j * dense.col];
        }
      }
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        const int64_t j = first + int64_t(c) * width;
        for (int d = 16; d >= width; d /= 2) sum[c] += __shfl_xor_sync(~0u, sum[c], d);
        if (group == 0 && j < n) to[r * out.row + j * out.col] = sum[c];
      }
    }
  }
}

// out[k] = a[row of k, :] . b[column of k, :]: `width` lanes an entry.
template <class T, class I>
__global__ void sampled(Compressed x, const T* a, const T* b, int64_t n, int width, T* out) {
  const Pattern<I> p(x);
  const int64_t lanes = int64_t(gridDim.x) * blockDim.x / width;
  const int64_t first = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / width;
  const int lane = threadIdx.x % width;
  const int64_t rounds =
      (x.nnz + lanes - 1) / lanes;  // all lanes of a warp take part in the exchange
  for (int64_t round = 0; round < rounds; ++round) {
    const int64_t k = first + round * lanes;
    T sum = 0;
    if (k < x.nnz) {
      const T *left = a + p.row_of(k) * n, *right = b + p.column(k) * n;
      for (int64_t j = lane; j < n; j += width) sum += left[j] * right[j];
    }
    for (int d = width / 2; d > 0; d /= 2) sum += __shfl_xor_sync(~0u, sum, d);
    if (lane == 0 && k < x.nnz) out[k] = sum;
  }
}

// --- products of sparse matrices ----------------------------------------------------------------------------------------

// How many products each entry of A takes part in.
template <class I>
__global__ void pair_counts(Compressed x, Compressed y, int64_t* counts) {
  const Pattern<I> a(x), b(y);
  for (EG_ELEMENTS(k, x.nnz)) {
    const int64_t m = a.column(k);
    counts[k] = b.end(m) - b.begin(m);
  }
}
// Where each product goes: row * cols + column. starts: running sums of the counts.
template <class I>
__global__ void pair_keys(Compressed x, Compressed y, const int64_t* starts, int64_t total,
                          int64_t* keys) {
  const Pattern<I> a(x), b(y);
  for (EG_ELEMENTS(e, total)) {
    int64_t low = 0, high = x.nnz;  // the last entry that starts at or before e
    while (low < high) {
      const int64_t mid = (low + high) / 2;
      if (starts[mid] <= e) {
        low = mid + 1;
      } else {
        high = mid;
      }
    }
    const int64_t k = low - 1, q = b.begin(a.column(k)) + (e - starts[k]);
    keys[e] = a.row_of(k) * y.cols + b.column(q);
  }
}
// Distinct keys, sorted and at these places, become a pattern; each key's row and column.
template <class I>
__global__ void key_columns(const int64_t* keys, const int64_t* at, int64_t n, int64_t cols, I* idx,
                            int64_t* rows) {
  for (EG_ELEMENTS(k, n)) {
    const int64_t key = keys[at[k]];
    idx[k] = I(key % cols);
    rows[k] = key / cols;
  }
}

// The values of C = A B from A's and B's; each sum goes along A's row.
template <class T, class I>
__global__ void product_values(Compressed x, Compressed y, Compressed z, const T* left,
                               const T* right, T* out) {
  const Pattern<I> a(x), b(y), c(z);
  for (EG_ELEMENTS(e, z.nnz)) {
    const int64_t r = c.row_of(e), column = c.column(e), end = a.end(r);
    T sum = 0;
    for (int64_t k = a.begin(r); k < end; ++k) {
      const int64_t q = b.find(a.column(k), column);
      if (q >= 0) sum += left[a.place(k)] * right[q];
    }
    out[e] = sum;
  }
}
// For each entry of A: the sum over B's row of C's value times B's.
template <class T, class I>
__global__ void left_values(Compressed x, Compressed y, Compressed z, const T* product,
                            const T* right, T* out) {
  const Pattern<I> a(x), b(y), c(z);
  for (EG_ELEMENTS(k, x.nnz)) {
    const int64_t r = a.row_of(k), m = a.column(k), end = b.end(m);
    T sum = 0;
    for (int64_t q = b.begin(m); q < end; ++q) {
      const int64_t e = c.find(r, b.column(q));
      if (e >= 0) sum += product[e] * right[q];
    }
    out[k] = sum;
  }
}
// For each entry of B: the sum over A's column, which is a row of the transposed A, of C's value times A's.
template <class T, class I>
__global__ void right_values(Compressed turned, Compressed y, Compressed z, const T* product,
                             const T* left, T* out) {
  const Pattern<I> a(turned), b(y), c(z);
  for (EG_ELEMENTS(q, y.nnz)) {
    const int64_t m = b.row_of(q), column = b.column(q), end = a.end(m);
    T sum = 0;
    for (int64_t k = a.begin(m); k < end; ++k) {
      const int64_t e = c.find(a.column(k), column);
      if (e >= 0) sum += product[e] * left[a.place(k)];
    }
    out[q] = sum;
  }
}

// --- segments: a warp each ------------------------------------------------------------------------------------------------

template <class T, class I>
__global__ void segment_sum(Compressed x, const T* values, T* out) {
  const Pattern<I> p(x);
  const Team<false> team;
  for (int64_t r = team.first; r < x.rows; r += team.stride) {
    const int64_t end = p.end(r);
    if (r == 0 && team.lane == 0) p.check_ends();
    T sum = 0;
    for (int64_t k = p.begin(r) + team.lane; k < end; k += 32) sum += values[k];
    for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(~0u, sum, d);
    if (team.lane == 0) out[r] = sum;
  }
}

template <class T, class I>
__global__ void segment_softmax(Compressed x, const T* values, int log, T* out) {
  const Pattern<I> p(x);
  const Team<false> team;
  for (int64_t r = team.first; r < x.rows; r += team.stride) {
    const int64_t begin = p.begin(r), end = p.end(r);
    if (r == 0 && team.lane == 0) p.check_ends();
    const auto larger = [](T a, T b) { return b > a || b != b ? b : a; };
    T top = T(-INFINITY), sum = 0;
    for (int64_t k = begin + team.lane; k < end; k += 32) top = larger(top, values[k]);
    for (int d = 16; d > 0; d /= 2) top = larger(top, __shfl_xor_sync(~0u, top, d));
    for (int64_t k = begin + team.lane; k < end; k += 32) sum += exponential(values[k] - top);
    for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(~0u, sum, d);
    const T shift = top + vocabulary::log(sum), scale = 1 / sum;
    for (int64_t k = begin + team.lane; k < end; k += 32)
      out[k] = log ? values[k] - shift : exponential(values[k] - top) * scale;
  }
}

}  // namespace eg
