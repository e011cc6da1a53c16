#include "kernels/sparse.h"

#include <math.h>

#include "kernels/grain.h"
#include "kernels/panel.h"
#include "kernels/scratch.h"

namespace eg {
namespace {

template <class F>
EG_INLINE auto visit_index(bool wide, F&& f) {
  return wide ? f(int64_t{}) : f(int32_t{});
}
// What products are computed in: integers exactly in 64 bits.
template <class F>
EG_INLINE auto visit_value(DType t, F&& f) {
  if (t == DType::Float64) return f(double{});
  if (t == DType::Int64) return f(int64_t{});
  return f(float{});
}
template <class F>
EG_INLINE auto visit_both(bool wide, DType t, F&& f) {
  return visit_index(
      wide, [&](auto index) { return visit_value(t, [&](auto zero) { return f(index, zero); }); });
}

template <class I>
struct Arrays {
  explicit Arrays(const CompressedView& x)
      : ptr(static_cast<const I*>(x.ptr)),
        idx(static_cast<const I*>(x.idx)),
        perm(static_cast<const I*>(x.perm)) {}
  const I* ptr;
  const I* idx;
  const I* perm;
};

template <class I>
struct UnsignedOf;
template <>
struct UnsignedOf<int32_t> {
  typedef uint32_t type;
};
template <>
struct UnsignedOf<int64_t> {
  typedef uint64_t type;
};

// All of idx[begin, end) in [0, limit)? A negative number is a huge unsigned one. Vectorises.
template <class I>
EG_INLINE bool within(const I* idx, int64_t begin, int64_t end, int64_t limit) {
  typedef typename UnsignedOf<I>::type U;
  U largest = 0;
  for (int64_t k = begin; k < end; ++k) {
    const U v = static_cast<U>(idx[k]);
    largest = v > largest ? v : largest;
  }
  return begin >= end || static_cast<uint64_t>(largest) < static_cast<uint64_t>(limit);
}

template <class I>
EG_INLINE bool row_is_sound(const I* ptr, int64_t r, int64_t nnz) {
  return ptr[r] >= 0 && ptr[r] <= ptr[r + 1] && ptr[r + 1] <= nnz;
}

// --- work split by entries -----------------------------------------------------------------------------------------
// body(first row, past the last row) -> sound, over blocks whose rows and entries are sound: pointers rise and stay within
// nnz, indices within cols. Blocks hold about kBlock entries, so that checking them leaves them in the cache.
constexpr int64_t kBlock = 4096;
constexpr int64_t kParts = 64;

template <class I>
int64_t row_at(const I* ptr, int64_t rows, int64_t entry) {
  int64_t low = 0, high = rows;
  while (low < high) {
    const int64_t mid = (low + high) / 2;
    if (ptr[mid] < entry)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

template <class I, class Body>
bool checked_blocks(const CompressedView& x, int64_t begin, int64_t end, Body&& body) {
  const Arrays<I> a(x);
  for (int64_t r = begin; r < end;) {
    const int64_t first = r;
    const int64_t entry = a.ptr[r];
    do {
      if (!row_is_sound(a.ptr, r, x.nnz)) return false;
      ++r;
    } while (r < end && a.ptr[r] - entry < kBlock);
    if (!within(a.idx, entry, a.ptr[r], x.cols)) return false;
    if (a.perm && !within(a.perm, entry, a.ptr[r], x.nnz)) return false;
    body(first, r);
  }
  return true;
}

// body(first row, past the last row) -> sound, in parts of about equal numbers of entries and rows.
template <class I, class Body>
bool over_parts(const CompressedView& x, int64_t cost, Body&& body) {
  const int64_t work = (x.nnz + x.rows) * (cost + 1);
  if (x.rows == 0) return true;
  if (work <= kParallelGrain) return body(int64_t(0), x.rows);
  const int64_t parts = min64(kParts, x.rows);
  bool sound[kParts];
  const I* ptr = static_cast<const I*>(x.ptr);
  // Unsound pointers give strange borders, which are cut to order here and found at fault inside.
  int64_t border[kParts + 1];
  border[0] = 0;
  for (int64_t p = 1; p < parts; ++p) {
    const int64_t by_entries = row_at(ptr, x.rows, x.nnz / parts * p);
    const int64_t by_rows = x.rows / parts * p;
    const int64_t at = x.nnz > 4 * x.rows ? by_entries : (by_entries + by_rows) / 2;
    border[p] = at < border[p - 1] ? border[p - 1] : at;
  }
  border[parts] = x.rows;
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) sound[p] = body(border[p], border[p + 1]);
  });
  bool all = true;
  for (int64_t p = 0; p < parts; ++p) all = all && sound[p];
  return all;
}

template <class I, class Body>
bool over_rows(const CompressedView& x, int64_t cost, Body&& body) {
  return over_parts<I>(x, cost, [&](int64_t first, int64_t last) {
    return checked_blocks<I>(x, first, last, body);
  });
}

// --- patterns ----------------------------------------------------------------------------------------------------------

template <class I>
void check_pattern(const CompressedView& x, SparseCheck* result) {
  const Arrays<I> a(x);
  const auto found = [&](SparseFault fault, int64_t at) {
    result->fault = fault;
    result->at = at;
    result->canonical = false;
  };
  if (a.ptr[0] != 0) return found(SparseFault::FirstPointer, 0);
  for (int64_t r = 0; r < x.rows; ++r) {
    if (a.ptr[r + 1] < a.ptr[r]) return found(SparseFault::FallingPointer, r + 1);
    if (a.ptr[r + 1] > x.nnz) return found(SparseFault::PointerRange, r + 1);
  }
  if (a.ptr[x.rows] != x.nnz) return found(SparseFault::LastPointer, x.rows);
  if (!within(a.idx, 0, x.nnz, x.cols)) {
    int64_t k = 0;
    while (a.idx[k] >= 0 && a.idx[k] < x.cols) ++k;
    return found(SparseFault::Index, k);
  }
  for (int64_t r = 0; r < x.rows; ++r) {
    bool ascending = true;
    for (int64_t k = a.ptr[r] + 1; k < a.ptr[r + 1]; ++k) ascending &= a.idx[k - 1] < a.idx[k];
    if (!ascending) {
      result->canonical = false;
      return;
    }
  }
}

void check(const CompressedView& x, SparseCheck* result) {
  visit_index(x.wide, [&](auto zero) { check_pattern<decltype(zero)>(x, result); });
}

bool expand(const CompressedView& x, void* rows) {
  return visit_index(x.wide, [&](auto zero) {
    using I = decltype(zero);
    const I* ptr = static_cast<const I*>(x.ptr);
    I* out = static_cast<I*>(rows);
    for (int64_t r = 0; r < x.rows; ++r) {
      if (!row_is_sound(ptr, r, x.nnz)) return false;
      for (int64_t k = ptr[r]; k < ptr[r + 1]; ++k) out[k] = static_cast<I>(r);
    }
    return true;
  });
}

bool compress(const void* keys, bool wide, int64_t n, int64_t size, void* ptr, void* perm) {
  return visit_index(wide, [&](auto zero) {
    using I = decltype(zero);
    const I* key = static_cast<const I*>(keys);
    I* start = static_cast<I*>(ptr);
    I* order = static_cast<I*>(perm);
    if (!within(key, 0, n, size)) return false;
    std::memset(start, 0, size_t(size + 1) * sizeof(I));
    for (int64_t k = 0; k < n; ++k) ++start[key[k]];
    I total = 0;
    for (int64_t c = 0; c <= size; ++c) {
      const I count = start[c];
      start[c] = total;
      total += count;
    }
    for (int64_t k = 0; k < n; ++k) order[start[key[k]]++] = static_cast<I>(k);
    for (int64_t c = size; c > 0; --c) start[c] = start[c - 1];
    start[0] = 0;
    return true;
  });
}

bool transpose(const CompressedView& x, void* ptr, void* idx, void* perm) {
  return visit_index(x.wide, [&](auto zero) {
    using I = decltype(zero);
    const Arrays<I> a(x);
    I* start = static_cast<I*>(ptr);
    I* row = static_cast<I*>(idx);
    I* order = static_cast<I*>(perm);
    for (int64_t r = 0; r < x.rows; ++r)
      if (!row_is_sound(a.ptr, r, x.nnz)) return false;
    if (!within(a.idx, 0, x.nnz, x.cols)) return false;
    std::memset(start, 0, size_t(x.cols + 1) * sizeof(I));
    for (int64_t k = 0; k < x.nnz; ++k) ++start[a.idx[k]];
    I total = 0;
    for (int64_t c = 0; c <= x.cols; ++c) {
      const I count = start[c];
      start[c] = total;
      total += count;
    }
    for (int64_t r = 0; r < x.rows; ++r) {
      for (int64_t k = a.ptr[r]; k < a.ptr[r + 1]; ++k) {
        const I to = start[a.idx[k]]++;
        row[to] = static_cast<I>(r);
        order[to] = a.perm ? a.perm[k] : static_cast<I>(k);
      }
    }
    for (int64_t c = x.cols; c > 0; --c) start[c] = start[c - 1];
    start[0] = 0;
    return true;
  });
}

bool take_rows(const CompressedView& x, const int64_t* rows, int64_t n, const void* ptr, void* idx,
               void* positions) {
  return visit_index(x.wide, [&](auto zero) {
    using I = decltype(zero);
    const Arrays<I> a(x);
    const I* to = static_cast<const I*>(ptr);
    I* const out = static_cast<I*>(idx);
    I* const at = static_cast<I*>(positions);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t r = rows[i];
      if (!row_is_sound(a.ptr, r, x.nnz)) return false;
      const int64_t begin = a.ptr[r], length = a.ptr[r + 1] - begin;
      if (length != to[i + 1] - to[i]) return false;
      // The copies are what is checked: the source may be a file that changes.
      std::memcpy(out + to[i], a.idx + begin, size_t(length) * sizeof(I));
      if (!within(out, to[i], to[i + 1], x.cols)) return false;
      for (int64_t k = 0; k < length; ++k) at[to[i] + k] = static_cast<I>(begin + k);
    }
    return true;
  });
}

template <class I>
int64_t merge_row(SparseMerge mode, const Arrays<I>& a, const Arrays<I>& b, int64_t r, int64_t n,
                  I* idx, int64_t* at_a, int64_t* at_b) {
  int64_t i = a.ptr[r], j = b.ptr[r], count = 0;
  const int64_t a_end = a.ptr[r + 1], b_end = b.ptr[r + 1];
  while (i < a_end || j < b_end) {
    const int64_t ca = i < a_end ? a.idx[i] : n, cb = j < b_end ? b.idx[j] : n;
    const bool in_a = ca <= cb, in_b = cb <= ca;
    if (mode == SparseMerge::Union || (in_a && in_b)) {
      if (idx) {
        idx[count] = static_cast<I>(in_a ? ca : cb);
        at_a[count] = in_a ? i : -1;
        at_b[count] = in_b ? j : -1;
      }
      ++count;
    }
    i += in_a;
    j += in_b;
  }
  return count;
}

bool merge(SparseMerge mode, const CompressedView& a, const CompressedView& b, void* ptr, void* idx,
           int64_t* at_a, int64_t* at_b) {
  return visit_index(a.wide, [&](auto zero) {
    using I = decltype(zero);
    const Arrays<I> left(a), right(b);
    I* start = static_cast<I*>(ptr);
    if (!idx) start[0] = 0;
    for (int64_t r = 0; r < a.rows; ++r) {
      if (!row_is_sound(left.ptr, r, a.nnz) || !row_is_sound(right.ptr, r, b.nnz)) return false;
      if (!within(left.idx, left.ptr[r], left.ptr[r + 1], a.cols) ||
          !within(right.idx, right.ptr[r], right.ptr[r + 1], a.cols))
        return false;
      I* const to = idx ? static_cast<I*>(idx) + start[r] : nullptr;
      const int64_t count =
          merge_row(mode, left, right, r, a.cols, to, idx ? at_a + start[r] : nullptr,
                    idx ? at_b + start[r] : nullptr);
      if (!idx) start[r + 1] = static_cast<I>(start[r] + count);
    }
    return true;
  });
}

// --- products with dense matrices ------------------------------------------------------------------------------------

// Results far larger than the caches, as the gradients of weights, are written past them.
constexpr int64_t kStreamed = int64_t(4) << 20;  // bytes

EG_INLINE bool can_stream(const void* out, int64_t row_bytes, int64_t rows) {
#if defined(__AVX2__)
  return row_bytes * rows >= kStreamed && row_bytes % kVectorBytes == 0 &&
         reinterpret_cast<uintptr_t>(out) % kVectorBytes == 0;
#else
  return false;
#endif
}

// kVectors vectors of columns in registers, over the entries of one row.
template <int kVectors, class T, class I>
EG_INLINE void row_vectors(T* out, const T* values, const Arrays<I>& a, int64_t begin, int64_t end,
                           const T* dense, int64_t ld, bool streams) {
  Vec<T> sum[kVectors];
  for (int j = 0; j < kVectors; ++j) sum[j] = Vec<T>{};
  for (int64_t k = begin; k < end; ++k) {
    const T* from = dense + a.idx[k] * ld;
    if (kVectors >= 4 && k + 4 < end) {
      const T* ahead = dense + a.idx[k + 4] * ld;
      for (int j = 0; j < kVectors; ++j) __builtin_prefetch(ahead + j * kLanes<T>);
    }
    const Vec<T> v = splat(values[a.perm ? a.perm[k] : k]);
    for (int j = 0; j < kVectors; ++j) sum[j] += v * load(from + j * kLanes<T>);
  }
  if (streams) {
    for (int j = 0; j < kVectors; ++j) store_past_caches(out + j * kLanes<T>, sum[j]);
  } else {
    for (int j = 0; j < kVectors; ++j) store(out + j * kLanes<T>, sum[j]);
  }
}

template <int kColumns, class T, class I>
EG_INLINE void row_columns(T* out, const T* values, const Arrays<I>& a, int64_t begin, int64_t end,
                           const T* dense, int64_t ld) {
  T sum[kColumns] = {};
  for (int64_t k = begin; k < end; ++k) {
    const T* from = dense + a.idx[k] * ld;
    const T v = values[a.perm ? a.perm[k] : k];
    for (int j = 0; j < kColumns; ++j) sum[j] += v * from[j];
  }
  for (int j = 0; j < kColumns; ++j) out[j] = sum[j];
}

template <class T, class I>
void wide_row(T* out, const T* values, const Arrays<I>& a, int64_t begin, int64_t end,
              const T* dense, int64_t ld, int64_t n, bool streams) {
  constexpr int L = kLanes<T>;
  int64_t j = 0;
#define EG_PANEL(vectors)                            \
  for (; j + (vectors) * L <= n; j += (vectors) * L) \
    row_vectors<(vectors)>(out + j, values, a, begin, end, dense + j, ld, streams);
#if EG_ISA_LEVEL >= 4
  EG_PANEL(16)
#endif
  EG_PANEL(8)
  EG_PANEL(4)
  EG_PANEL(2)
  EG_PANEL(1)
#undef EG_PANEL
#define EG_COLUMNS(columns)                  \
  for (; j + (columns) <= n; j += (columns)) \
    row_columns<(columns)>(out + j, values, a, begin, end, dense + j, ld);
  EG_COLUMNS(8)
  EG_COLUMNS(4)
  EG_COLUMNS(2)
  EG_COLUMNS(1)
#undef EG_COLUMNS
}

// --- one column ---------------------------------------------------------------------------------------------------
// The instruction that gathers takes 2.3 cycles an element here, and what the compiler makes of a loop inserts single
// elements into vectors. Plain loads and multiply-adds into several sums are faster than both. Indices are checked where they
// are used: a pass of its own over a block of them starts two streams anew for each block.
#if defined(__AVX512F__)
constexpr bool kChecksInline = true;
constexpr int kChunk = 16;

EG_INLINE bool chunk_within(const int32_t* idx, int64_t limit) {
  return _mm512_cmpge_epu32_mask(_mm512_loadu_si512(idx), _mm512_set1_epi32(int32_t(limit))) == 0;
}
EG_INLINE bool chunk_within(const int64_t* idx, int64_t limit) {
  const __m512i most = _mm512_set1_epi64(limit);
  return (_mm512_cmpge_epu64_mask(_mm512_loadu_si512(idx), most) |
          _mm512_cmpge_epu64_mask(_mm512_loadu_si512(idx + 8), most)) == 0;
}

// Keeps the compiler from joining sums into a vector.
template <class T>
EG_INLINE void stay_apart(T& sum) {
  asm("" : "+x"(sum));
}

template <class T, class I>
EG_INLINE T checked_dot(const T* values, const I* idx, int64_t n, const T* x, int64_t limit,
                        bool& sound) {
  constexpr int kSums = 8;
  T sum[kSums] = {};
  int64_t k = 0;
  for (; k + kChunk <= n; k += kChunk) {
    __builtin_prefetch(idx + k + 1024 / sizeof(I));
    __builtin_prefetch(values + k + 1024 / sizeof(T));
    if (!chunk_within(idx + k, limit)) return sound = false, T(0);
    for (int l = 0; l < kChunk; ++l) {
      sum[l % kSums] += values[k + l] * x[idx[k + l]];
      stay_apart(sum[l % kSums]);
    }
  }
  for (; k < n; ++k) {
    if (static_cast<uint64_t>(int64_t(idx[k])) >= static_cast<uint64_t>(limit))
      return sound = false, T(0);
    sum[0] += values[k] * x[idx[k]];
  }
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}
#else
constexpr bool kChecksInline = false;
template <class T, class I>
EG_INLINE T checked_dot(const T*, const I*, int64_t, const T*, int64_t, bool&) {
  return T(0);
}
#endif

// Lanes of partial sums where the order of the values allows it.
template <class T, class I>
EG_INLINE T column_dot(const T* values, const Arrays<I>& a, int64_t begin, int64_t end,
                       const T* column) {
  T lanes[8] = {};
  int64_t k = begin;
  for (; k + 8 <= end; k += 8)
    for (int l = 0; l < 8; ++l)
      lanes[l] += values[a.perm ? a.perm[k + l] : k + l] * column[a.idx[k + l]];
  T tail = 0;
  for (; k < end; ++k) tail += values[a.perm ? a.perm[k] : k] * column[a.idx[k]];
  for (int half = 4; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0] + tail;
}

// Rows [first, last) of out, for columns of `dense` that are contiguous.
template <class T, class I>
void rows_by_columns(T* out, const T* values, const Arrays<I>& a, int64_t first, int64_t last,
                     const SparseOperand& dense, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    const T* column = static_cast<const T*>(dense.data) + j * dense.col;
    for (int64_t r = first; r < last; ++r)
      out[r * n + j] = column_dot(values, a, a.ptr[r], a.ptr[r + 1], column);
  }
}
template <class T, class I>
bool rows_checked_inline(T* out, const T* values, const CompressedView& x, int64_t first,
                         int64_t last, const SparseOperand& dense, int64_t n) {
  const Arrays<I> a(x);
  bool sound = true;
  for (int64_t j = 0; j < n && sound; ++j) {
    const T* column = static_cast<const T*>(dense.data) + j * dense.col;
    for (int64_t r = first; r < last; ++r) {
      if (!row_is_sound(a.ptr, r, x.nnz)) return false;
      const int64_t begin = a.ptr[r];
      out[r * n + j] =
          checked_dot(values + begin, a.idx + begin, a.ptr[r + 1] - begin, column, x.cols, sound);
    }
  }
  return sound;
}

bool multiply(DType dtype, const CompressedView& x, const void* values, const SparseOperand& dense,
              int64_t n, void* out) {
  return visit_both(x.wide, dtype, [&](auto index, auto zero) {
    using I = decltype(index);
    using T = decltype(zero);
    const Arrays<I> a(x);
    const T* v = static_cast<const T*>(values);
    const T* d = static_cast<const T*>(dense.data);
    T* const to = static_cast<T*>(out);
    const bool wide = dense.col == 1 && n > 1;
    const bool streams = can_stream(out, n * int64_t(sizeof(T)), x.rows);
    if constexpr (kChecksInline && !std::is_same<T, int64_t>::value) {
      if (!wide && !x.perm)
        return over_parts<I>(x, n, [&](int64_t first, int64_t last) {
          return rows_checked_inline<T, I>(to, v, x, first, last, dense, n);
        });
    }
    return over_rows<I>(x, n, [&](int64_t first, int64_t last) {
      if (!wide) return rows_by_columns(to, v, a, first, last, dense, n);
      for (int64_t r = first; r < last; ++r)
        wide_row(to + r * n, v, a, a.ptr[r], a.ptr[r + 1], d, dense.row, n, streams);
      if (streams) drain_stores();
    });
  });
}

bool scatter(DType dtype, const CompressedView& x, const void* values, const SparseOperand& dense,
             int64_t n, void* out) {
  return visit_both(x.wide, dtype, [&](auto index, auto zero) {
    using I = decltype(index);
    using T = decltype(zero);
    const Arrays<I> a(x);
    const T* v = static_cast<const T*>(values);
    const T* d = static_cast<const T*>(dense.data);
    if (!checked_blocks<I>(x, 0, x.rows, [](int64_t, int64_t) {})) return false;
    const int64_t cost = x.nnz + x.cols + 1;
    parallel_for(n, grain_of(cost), [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) {
        T* const column = static_cast<T*>(out) + j * x.cols;
        std::memset(column, 0, size_t(x.cols) * sizeof(T));
        for (int64_t r = 0; r < x.rows; ++r) {
          const T g = d[r * dense.row + j * dense.col];
          for (int64_t k = a.ptr[r]; k < a.ptr[r + 1]; ++k)
            column[a.idx[k]] += v[a.perm ? a.perm[k] : k] * g;
        }
      }
    });
    return true;
  });
}

bool sampled(DType dtype, const CompressedView& x, const void* a, const void* b, int64_t n,
             void* out) {
  return visit_both(x.wide, dtype, [&](auto index, auto zero) {
    using I = decltype(index);
    using T = decltype(zero);
    const Arrays<I> p(x);
    const T* left = static_cast<const T*>(a);
    const T* right = static_cast<const T*>(b);
    T* const to = static_cast<T*>(out);
    return over_rows<I>(x, n, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r)
        for (int64_t k = p.ptr[r]; k < p.ptr[r + 1]; ++k)
          to[k] = dot(left + r * n, right + p.idx[k] * n, n);
    });
  });
}

// --- products of sparse matrices (Gustavson, 1978) ---------------------------------------------------------------------

template <class I>
bool is_sound(const CompressedView& x) {
  return checked_blocks<I>(x, 0, x.rows, [](int64_t, int64_t) {});
}

template <class I>
void sort_ascending(I* a, int64_t n) {
  // Shell's sort with Ciura's gaps: rows are short.
  constexpr int64_t gaps[] = {701, 301, 132, 57, 23, 10, 4, 1};
  int64_t gap = n / 3 > 701 ? n / 3 : 0;
  int at = 0;
  while (true) {
    if (gap <= 701) gap = gaps[at++];
    for (int64_t i = gap; i < n; ++i) {
      const I v = a[i];
      int64_t j = i;
      for (; j >= gap && a[j - gap] > v; j -= gap) a[j] = a[j - gap];
      a[j] = v;
    }
    if (gap == 1) return;
    if (gap > 701) gap = gap / 3 > 701 ? gap / 3 : 701;
  }
}

// Rows of a product in the order of their columns, by a bit for each: dense rows need no sorting.
class BitRow {
 public:
  explicit BitRow(int64_t cols) : words_((cols + 63) / 64), bits_(words_ + 1) {
    std::memset(bits_.data(), 0, size_t(words_) * 8);
  }
  EG_INLINE void set(int64_t c) { bits_.data()[c >> 6] |= uint64_t(1) << (c & 63); }
  // Writes the columns that were set, and clears them.
  template <class I>
  EG_INLINE void take(I* out) {
    for (int64_t w = 0; w < words_; ++w) {
      uint64_t left = bits_.data()[w];
      bits_.data()[w] = 0;
      for (; left; left &= left - 1) *out++ = static_cast<I>(w * 64 + __builtin_ctzll(left));
    }
  }
  int64_t words() const { return words_; }

 private:
  int64_t words_;
  Scratch<uint64_t> bits_;
};

template <class I>
EG_INLINE int64_t row_columns_of(const Arrays<I>& a, const Arrays<I>& b, int64_t r, int64_t* seen,
                                 I* out) {
  int64_t count = 0;
  for (int64_t k = a.ptr[r]; k < a.ptr[r + 1]; ++k) {
    const int64_t m = a.idx[k];
    for (int64_t q = b.ptr[m]; q < b.ptr[m + 1]; ++q) {
      const I c = b.idx[q];
      if (seen[c] == r) continue;
      seen[c] = r;
      if (out) out[count] = c;
      ++count;
    }
  }
  return count;
}

bool product_pattern(const CompressedView& a, const CompressedView& b, int64_t* start,
                     void* (*place)(void* context, int64_t entries), void* context) {
  return visit_index(a.wide, [&](auto zero) {
    using I = decltype(zero);
    const Arrays<I> left(a), right(b);
    if (!is_sound<I>(a) || !is_sound<I>(b)) return false;
    const int64_t grain = a.nnz < kParallelGrain / 4 ? a.rows + 1 : a.rows / 16 + 1;
    I* idx = nullptr;  // first how many there are, then which
    const auto rows = [&](int64_t begin, int64_t end) {
      Scratch<int64_t> seen_by(b.cols + 1);
      int64_t* const seen = seen_by.data();
      for (int64_t c = 0; c < b.cols; ++c) seen[c] = -1;
      BitRow bits(b.cols);
      for (int64_t r = begin; r < end; ++r) {
        if (!idx) {
          start[r + 1] = row_columns_of<I>(left, right, r, seen, nullptr);
          continue;
        }
        I* const to = idx + start[r];
        const int64_t count = row_columns_of(left, right, r, seen, to);
        if (bits.words() > 4 * count) {
          sort_ascending(to, count);
        } else {
          for (int64_t k = 0; k < count; ++k) bits.set(to[k]);
          bits.take(to);
        }
      }
    };
    parallel_for(a.rows, grain, rows);
    start[0] = 0;
    for (int64_t r = 0; r < a.rows; ++r) start[r + 1] += start[r];
    idx = static_cast<I*>(place(context, start[a.rows]));
    if (start[a.rows]) parallel_for(a.rows, grain, rows);
    return true;
  });
}

template <class T, class I>
EG_INLINE void triple_row(SparseTriple wanted, const Arrays<I>& a, const Arrays<I>& b,
                          const Arrays<I>& c, int64_t r, int64_t* at, const T* x, const T* y,
                          T* out) {
  for (int64_t k = c.ptr[r]; k < c.ptr[r + 1]; ++k) at[c.idx[k]] = k;
  for (int64_t k = a.ptr[r]; k < a.ptr[r + 1]; ++k) {
    const int64_t m = a.idx[k];
    T sum = 0;
    for (int64_t q = b.ptr[m]; q < b.ptr[m + 1]; ++q) {
      const int64_t to = at[b.idx[q]];
      if (to < 0) continue;
      if (wanted == SparseTriple::C) out[to] += x[k] * y[q];
      if (wanted == SparseTriple::A) sum += x[to] * y[q];
      if (wanted == SparseTriple::B) out[q] += x[to] * y[k];
    }
    if (wanted == SparseTriple::A) out[k] = sum;
  }
  for (int64_t k = c.ptr[r]; k < c.ptr[r + 1]; ++k) at[c.idx[k]] = -1;
}

bool triple(DType dtype, SparseTriple wanted, const CompressedView& a, const CompressedView& b,
            const CompressedView& c, const void* x, const void* y, void* out) {
  return visit_both(a.wide, dtype, [&](auto index, auto zero) {
    using I = decltype(index);
    using T = decltype(zero);
    const Arrays<I> pa(a), pb(b), pc(c);
    if (!is_sound<I>(a) || !is_sound<I>(b) || !is_sound<I>(c)) return false;
    const auto rows = [&](int64_t begin, int64_t end) {
      Scratch<int64_t> places(b.cols + 1);
      int64_t* const at = places.data();
      for (int64_t j = 0; j < b.cols; ++j) at[j] = -1;
      for (int64_t r = begin; r < end; ++r)
        triple_row(wanted, pa, pb, pc, r, at, static_cast<const T*>(x), static_cast<const T*>(y),
                   static_cast<T*>(out));
    };
    // Several rows of A add to one entry of B: in order, on one thread.
    if (wanted == SparseTriple::B || a.nnz + c.nnz < kParallelGrain / 4)
      rows(0, a.rows);
    else
      parallel_for(a.rows, a.rows / 16 + 1, rows);
    return true;
  });
}

// --- segments ------------------------------------------------------------------------------------------------------------

template <class I, class Body>
bool over_segments(const CompressedView& x, Body&& body) {
  const I* ptr = static_cast<const I*>(x.ptr);
  for (int64_t r = 0; r < x.rows; ++r)
    if (!row_is_sound(ptr, r, x.nnz)) return false;
  const int64_t length = x.rows ? x.nnz / x.rows + 1 : 1;
  parallel_for(x.rows, grain_of(8 * length), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) body(r, ptr[r], ptr[r + 1]);
  });
  return true;
}

bool segment_sum(DType dtype, const CompressedView& x, const void* values, void* out) {
  return visit_index(x.wide, [&](auto index) {
    return visit_value(dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* v = static_cast<const T*>(values);
      T* const to = static_cast<T*>(out);
      return over_segments<decltype(index)>(x, [&](int64_t r, int64_t begin, int64_t end) {
        T lanes[8] = {};
        int64_t k = begin;
        for (; k + 8 <= end; k += 8)
          for (int l = 0; l < 8; ++l) lanes[l] += v[k + l];
        T sum = 0;
        for (; k < end; ++k) sum += v[k];
        for (int l = 0; l < 8; ++l) sum += lanes[l];
        to[r] = sum;
      });
    });
  });
}

EG_INLINE float exponential(float x) { return expf(x); }
EG_INLINE double exponential(double x) { return exp(x); }
EG_INLINE float logarithm(float x) { return logf(x); }
EG_INLINE double logarithm(double x) { return log(x); }

bool segment_softmax(DType dtype, const CompressedView& x, const void* values, bool log,
                     void* out) {
  return visit_index(x.wide, [&](auto index) {
    return visit_float(dtype, [&](auto zero) {
      using T = decltype(zero);
      return over_segments<decltype(index)>(x, [&](int64_t, int64_t begin, int64_t end) {
        const T* v = static_cast<const T*>(values) + begin;
        T* const to = static_cast<T*>(out) + begin;
        const int64_t n = end - begin;
        if (n == 0) return;
        T top = v[0];
        for (int64_t k = 1; k < n; ++k) top = v[k] > top || v[k] != v[k] ? v[k] : top;
        for (int64_t k = 0; k < n; ++k) to[k] = exponential(v[k] - top);
        T sum = 0;
        for (int64_t k = 0; k < n; ++k) sum += to[k];
        if (log) {
          const T shift = top + logarithm(sum);
          for (int64_t k = 0; k < n; ++k) to[k] = v[k] - shift;
        } else {
          const T scale = 1 / sum;
          for (int64_t k = 0; k < n; ++k) to[k] *= scale;
        }
      });
    });
  });
}

EG_KERNELS(SparseKernels,
           {&check, &expand, &compress, &transpose, &multiply, &scatter, &sampled, &take_rows,
            &merge, &product_pattern, &triple, &segment_sum, &segment_softmax})

}  // namespace
}  // namespace eg
