#include "kernels/index.h"

#include "kernels/grain.h"
#include "kernels/halves.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"
#include "kernels/units.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace eg {
namespace {

EG_INLINE int64_t outer_start(const Positions& p, int64_t o) {
  return p.outer_offsets ? p.outer_offsets[o] : o * p.outer_stride;
}

// Rows of a table larger than the caches come late: asked for this many rows ahead.
constexpr int64_t kAhead = 8;

template <class T>
EG_INLINE void fetch(const T* row, int64_t n) {
  const char* at = reinterpret_cast<const char*>(row);
  const int64_t bytes = min64(n * static_cast<int64_t>(sizeof(T)), 256);
  for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(at + b);
}

// Short rows in whole vectors of the compiler's choice, long ones by memcpy.
template <class T>
EG_INLINE void copy_row(T* __restrict__ d, const T* __restrict__ s, int64_t n) {
  if (n * sizeof(T) <= 128) {
    for (int64_t j = 0; j < n; ++j) d[j] = s[j];
  } else {
    std::memcpy(d, s, n * sizeof(T));
  }
}

// Results far larger than the caches are written past them: half the traffic of the output.
constexpr int64_t kStreamed = int64_t(4) << 20;  // bytes

EG_INLINE bool can_stream(const void* out, int64_t row_bytes, int64_t bytes) {
#if defined(__AVX2__)
  return bytes >= kStreamed && row_bytes % 32 == 0 && reinterpret_cast<uintptr_t>(out) % 32 == 0;
#else
  return false;
#endif
}

EG_INLINE void stream_row(char* d, const char* s, int64_t bytes) {
#if defined(__AVX2__)
  for (int64_t b = 0; b < bytes; b += 32)
    _mm256_stream_si256(reinterpret_cast<__m256i*>(d + b),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(s + b)));
#endif
}

template <class T>
void take_rows(T* __restrict__ out, const T* __restrict__ x, const Positions& p, int64_t begin,
               int64_t end) {
  const int64_t row_bytes = p.inner * static_cast<int64_t>(sizeof(T));
  const bool streams = !p.inner_offsets && can_stream(out, row_bytes, p.outer * p.n * row_bytes);
  int64_t o = begin / p.n, i = begin % p.n;
  const T* base = x + outer_start(p, o);
  for (int64_t r = begin; r < end; ++r, ++i) {
    if (i == p.n) {
      i = 0;
      base = x + outer_start(p, ++o);
    }
    const T* from = base;
    if (i + kAhead < p.n) fetch(from + p.index[i + kAhead] * p.scale, p.inner);
    from += p.index[i] * p.scale;
    T* to = out + r * p.inner;
    if (streams) {
      stream_row(reinterpret_cast<char*>(to), reinterpret_cast<const char*>(from), row_bytes);
    } else if (!p.inner_offsets) {
      copy_row(to, from, p.inner);
    } else {
      for (int64_t j = 0; j < p.inner; ++j) to[j] = from[p.inner_offsets[j]];
    }
  }
#if defined(__AVX2__)
  if (streams) _mm_sfence();
#endif
}

template <class T>
void take_elements(T* __restrict__ out, const T* __restrict__ x, const Positions& p, int64_t begin,
                   int64_t end) {
  const int64_t scale = p.scale, skip = p.inner_offsets ? p.inner_offsets[0] : 0;
  const int64_t* __restrict__ index = p.index;
  for (int64_t r = begin; r < end;) {
    const int64_t o = r / p.n, first = r - o * p.n, last = min64(p.n, first + end - r);
    const T* __restrict__ from = x + outer_start(p, o) + skip;
    T* __restrict__ to = out + o * p.n;
    if (scale == 1) {
      for (int64_t i = first; i < last; ++i) to[i] = from[index[i]];
    } else {
      for (int64_t i = first; i < last; ++i) to[i] = from[index[i] * scale];
    }
    r += last - first;
  }
}

void take(size_t item, char* packed, const char* x, const Positions& p) {
  const int64_t rows = p.outer * p.n;
  if (rows == 0 || p.inner == 0) return;
  visit_size(item, [&](auto zero) {
    using T = decltype(zero);
    T* const out = reinterpret_cast<T*>(packed);
    const T* const in = reinterpret_cast<const T*>(x);
    if (p.inner == 1) {
      parallel_for(rows, kParallelGrain / 2,
                   [&](int64_t begin, int64_t end) { take_elements(out, in, p, begin, end); });
      return;
    }
    parallel_for(rows, grain_of(p.inner),
                 [&](int64_t begin, int64_t end) { take_rows(out, in, p, begin, end); });
  });
}

// --- folds ----------------------------------------------------------------------------------------------
// One element on another, at places that follow no order.
template <class Op, class T>
EG_INLINE T folded(T a, T b) {
  if constexpr (std::is_same_v<T, Half> && !std::is_same_v<Op, Folder<Fold::Put>>)
    return one_half(Op::plain(one_float(a), one_float(b)));
  else
    return Op::of(a, b);
}

#if defined(__F16C__)
template <class T>
constexpr bool is_vector_of_halves = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
#else
template <class T>
constexpr bool is_vector_of_halves = false;
#endif

// y[j] = f(j): halves by whole vectors of floats, f(j, load) being given what reads `load(row)` at j.
template <class T, class F>
EG_INLINE void each_of_row(T* y, int64_t n, F&& f) {
  int64_t j = 0;
#if defined(__F16C__)
  if constexpr (is_vector_of_halves<T>)
    for (; j + kLanes<float> <= n; j += kLanes<float>)
      store_halves(y + j, f([j](const T* row) { return load_halves(row + j); }));
#endif
  for (; j < n; ++j) {
    if constexpr (std::is_same_v<T, Half>)
      y[j] = one_half(f([j](const T* row) { return one_float(row[j]); }));
    else if constexpr (std::is_same_v<T, BFloat16>)
      y[j] = to_bfloat16(f([j](const T* row) { return to_float(row[j]); }));
    else
      y[j] = f([j](const T* row) { return row[j]; });
  }
}
template <class F>
EG_INLINE void visit_fold(Fold fold, F&& f) {
  switch (fold) {
    case Fold::Put:
      return f(Folder<Fold::Put>{});
    case Fold::Add:
      return f(Folder<Fold::Add>{});
    case Fold::Multiply:
      return f(Folder<Fold::Multiply>{});
    case Fold::Max:
      return f(Folder<Fold::Max>{});
    case Fold::Min:
      return f(Folder<Fold::Min>{});
  }
}

// Columns [first, last) of every row of one outer position.
template <class Op, class T>
void fold_rows(T* __restrict__ x, const T* __restrict__ packed, const Positions& p, bool one,
               int64_t first, int64_t last) {
  const int64_t width = last - first;
  if (p.inner == 1) {
    T* at = x + (p.inner_offsets ? p.inner_offsets[0] : 0);
    const int64_t scale = p.scale, step = one ? 0 : 1;
    const int64_t* index = p.index;
    for (int64_t i = 0; i < p.n; ++i) {
      T& to = at[index[i] * scale];
      to = folded<Op>(to, packed[i * step]);
    }
    return;
  }
  for (int64_t i = 0; i < p.n; ++i) {
    T* __restrict__ to = x + p.index[i] * p.scale;
    const T* __restrict__ from = packed + (one ? 0 : i * p.inner + first);
    if (i + kAhead < p.n) fetch(x + p.index[i + kAhead] * p.scale + first, width);
    if (p.inner_offsets) {
      for (int64_t j = 0; j < width; ++j) {
        T& t = to[p.inner_offsets[first + j]];
        t = Op::of(t, from[one ? 0 : j]);
      }
    } else if (one) {
      const T v = *from;
      for (int64_t j = 0; j < width; ++j) to[first + j] = Op::of(to[first + j], v);
    } else if constexpr (is_vector_of_halves<T> && std::is_same_v<Op, Folder<Fold::Add>>) {
      each_of_row(to + first, width, [&](auto read) { return read(to + first) + read(from); });
    } else {
      for (int64_t j = 0; j < width; ++j) to[first + j] = Op::of(to[first + j], from[j]);
    }
  }
}

// Rows may repeat, so threads share out outer positions and columns, never rows.
template <class Op, class T>
void fold_all(T* x, const T* packed, const Positions& p, bool one) {
  const int64_t wide = p.inner * static_cast<int64_t>(sizeof(T)) / 128;
  int64_t blocks = 1;
  if (p.outer < num_threads() && p.outer * p.n * p.inner > kParallelGrain)
    blocks = min64(num_threads(), wide);
  if (blocks < 1) blocks = 1;
  const int64_t step = (p.inner + blocks - 1) / blocks;
  const int64_t work = p.n * step;
  parallel_for(p.outer * blocks, grain_of(work + 1), [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t o = u / blocks, first = u % blocks * step;
      fold_rows<Op>(x + outer_start(p, o), packed + (one ? 0 : o * p.n * p.inner), p, one, first,
                    min64(first + step, p.inner));
    }
  });
}

void fold(DType dtype, Fold fold, char* x, const char* packed, const Positions& p, bool one) {
  if (p.outer * p.n * p.inner == 0) return;
  if (fold == Fold::Put) {
    visit_size(item_size(dtype), [&](auto zero) {
      using T = decltype(zero);
      fold_all<Folder<Fold::Put>>(reinterpret_cast<T*>(x), reinterpret_cast<const T*>(packed), p,
                                  one);
    });
    return;
  }
  visit_all(dtype, [&](auto zero) {
    using T = decltype(zero);
    visit_fold(fold, [&](auto op) {
      if constexpr (!__is_same(decltype(op), Folder<Fold::Put>))
        fold_all<decltype(op)>(reinterpret_cast<T*>(x), reinterpret_cast<const T*>(packed), p, one);
    });
  });
}

// --- bags of rows ---------------------------------------------------------------------------
EG_INLINE bool larger(float a, float b) { return a > b; }
EG_INLINE bool larger(double a, double b) { return a > b; }
EG_INLINE bool larger(Half a, Half b) { return to_float(a) > to_float(b); }
EG_INLINE bool larger(BFloat16 a, BFloat16 b) { return to_float(a) > to_float(b); }

template <class F>
EG_INLINE void visit_floats(DType t, F&& f) {
  switch (t) {
    case DType::Float16:
      return f(Half{});
    case DType::BFloat16:
      return f(BFloat16{});
    case DType::Float64:
      return f(double{});
    default:
      return f(float{});
  }
}

// Threads share out columns: rows may meet in any order.
template <class F>
void by_columns(int64_t n, int64_t width, int64_t item, F&& f) {
  int64_t blocks = n * width > kParallelGrain ? min64(num_threads(), width * item / 128) : 1;
  if (blocks < 1) blocks = 1;
  const int64_t step = (width + blocks - 1) / blocks;
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) f(b * step, min64(b * step + step, width));
  });
}

EG_INLINE float number(Half v) { return one_float(v); }
EG_INLINE float number(BFloat16 v) { return to_float(v); }
template <class T>
EG_INLINE T number(T v) {
  return v;
}
// One copy of each.
template <class H>
__attribute__((noinline)) void read_row(const H* s, float* d, int64_t n) {
  widen(d, s, n);
}
template <class H>
__attribute__((noinline)) void write_row(H* d, const float* s, int64_t n) {
  narrow(d, s, n);
}

// sum (+)= s or w * s.
template <class N, class T>
EG_INLINE void add_row(N* sum, const T* __restrict__ s, const T* weight, int64_t n, bool first) {
  if constexpr (!std::is_same_v<N, T>) {
    constexpr int64_t kStrip = 64;
    N wide[kStrip];
    const N w = weight ? number(*weight) : N(1);
    for (int64_t at = 0; at < n; at += kStrip) {
      const int64_t m = min64(kStrip, n - at);
      read_row(s + at, wide, m);
      add_row<N, N>(sum + at, wide, weight ? &w : nullptr, m, first);
    }
  } else {
    const N w = weight ? *weight : N(1);
    if (weight && first)
      for (int64_t j = 0; j < n; ++j) sum[j] = w * s[j];
    else if (weight)
      for (int64_t j = 0; j < n; ++j) sum[j] += w * s[j];
    else if (first)
      for (int64_t j = 0; j < n; ++j) sum[j] = s[j];
    else
      for (int64_t j = 0; j < n; ++j) sum[j] += s[j];
  }
}
// The sum of `count` rows, of which `left` are known, added to `sum` or, if it opens, instead of it: as many columns as registers
// hold at a time, in add_row's order and with its bits.
template <class T>
__attribute__((noinline)) void add_run(T* sum, const T* x, const int64_t* from, const T* weights,
                                       int64_t count, int64_t left, int64_t width, int64_t columns,
                                       bool opens) {
  constexpr int kTogether = 4;
  constexpr int64_t L = kLanes<T>;
  const T one = T(1), *const weight = weights ? weights : &one;
  const int64_t step = weights ? 1 : 0;
  for (int64_t i = 0; i < count && i + kAhead < left; ++i)
    fetch(x + from[i + kAhead] * width, columns);
  int64_t j = 0;
  for (; j + kTogether * L <= columns; j += kTogether * L) {
    Vec<T> part[kTogether];
    const T* row = x + from[0] * width + j;
#pragma GCC unroll 4
    for (int v = 0; v < kTogether; ++v) {
      const Vec<T> first = weight[0] * load(row + v * L);
      part[v] = opens ? first : load(sum + j + v * L) + first;
    }
    for (int64_t i = 1; i < count; ++i) {
      row = x + from[i] * width + j;
#pragma GCC unroll 4
      for (int v = 0; v < kTogether; ++v) part[v] += weight[i * step] * load(row + v * L);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kTogether; ++v) store(sum + j + v * L, part[v]);
  }
  for (int64_t i = 0; j < columns && i < count; ++i)
    add_row(sum + j, x + from[i] * width + j, weights ? weights + i : nullptr, columns - j,
            opens && i == 0);
}

void add_rows(DType dtype, char* out, const char* x, const int64_t* from, const int64_t* to,
              const char* scale, int64_t n, int64_t width, int64_t rows, bool fresh) {
  visit_floats(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const in = reinterpret_cast<const T*>(x);
    const T* const weights = reinterpret_cast<const T*>(scale);
    T* const sums = reinterpret_cast<T*>(out);
    by_columns(n, width, sizeof(T), [&](int64_t first, int64_t last) {
      const int64_t columns = last - first;
      Scratch<bool> met(fresh ? rows : 0);  // rows that hold something
      if (fresh && rows > 0) memset(met.data(), 0, size_t(rows));
      Scratch<float> wide(sizeof(T) == 2 ? columns : 0);  // sums of halves
      for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && to[end] == to[i];) ++end;
        const bool opens = fresh && !met.data()[to[i]];
        if (opens) met.data()[to[i]] = true;
        T* const sum = sums + to[i] * width + first;
        if constexpr (sizeof(T) > 2) {
          add_run(sum, in + first, from + i, weights ? weights + i : nullptr, end - i, n - i, width,
                  columns, opens);
        } else {
          if (!opens) read_row(sum, wide.data(), columns);
          for (int64_t k = i; k < end; ++k) {
            if (k + kAhead < n) fetch(in + from[k + kAhead] * width + first, columns);
            add_row(wide.data(), in + from[k] * width + first, weights ? weights + k : nullptr,
                    columns, opens && k == i);
          }
          write_row(sum, wide.data(), columns);
        }
      }
      for (int64_t r = 0; fresh && r < rows; ++r)
        if (!met.data()[r]) memset(sums + r * width + first, 0, size_t(columns) * sizeof(T));
    });
  });
}

void max_rows(DType dtype, char* best, int64_t* row, const char* x, const int64_t* from,
              const int64_t* to, int64_t n, int64_t width) {
  visit_floats(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const in = reinterpret_cast<const T*>(x);
    by_columns(n, width, sizeof(T), [&](int64_t first, int64_t last) {
      for (int64_t i = 0; i < n; ++i) {
        const T* __restrict__ s = in + from[i] * width;
        T* __restrict__ d = reinterpret_cast<T*>(best) + to[i] * width;
        int64_t* __restrict__ r = row + to[i] * width;
        const int64_t source = from[i];
        if (i + kAhead < n) fetch(in + from[i + kAhead] * width + first, last - first);
        const bool opens = i == 0 || to[i] != to[i - 1];
        for (int64_t j = first; j < last; ++j) {
          const bool better = opens || larger(s[j], d[j]);
          d[j] = better ? s[j] : d[j];
          r[j] = better ? source : r[j];
        }
      }
    });
  });
}

// --- gather and scatter ----------------------------------------------------------------------------------
// Rows of the index: all dimensions but the last.
struct Walker {
  const Lines& l;
  int64_t at[64];
  int64_t x_off = 0, src_off = 0;

  Walker(const Lines& lines, int64_t row) : l(lines) {
    for (int d = l.ndim - 2; d >= 0; --d) {
      at[d] = row % l.sizes[d];
      row /= l.sizes[d];
      x_off += at[d] * l.x_strides[d];
      src_off += at[d] * l.src_strides[d];
    }
  }
  EG_INLINE void next() {
    for (int d = l.ndim - 2; d >= 0; --d) {
      x_off += l.x_strides[d];
      src_off += l.src_strides[d];
      if (++at[d] < l.sizes[d]) return;
      x_off -= l.sizes[d] * l.x_strides[d];
      src_off -= l.sizes[d] * l.src_strides[d];
      at[d] = 0;
    }
  }
};

EG_INLINE int64_t row_count(const Lines& l, int from, int to) {
  int64_t rows = 1;
  for (int d = from; d < to; ++d) rows *= l.sizes[d];
  return rows;
}

void gather(size_t item, char* out, const char* x, const Lines& l) {
  const int last = l.ndim - 1;
  const int64_t rows = row_count(l, 0, last), n = l.sizes[last];
  if (rows == 0 || n == 0) return;
  visit_size(item, [&](auto zero) {
    using T = decltype(zero);
    parallel_for(rows, grain_of(n), [&](int64_t begin, int64_t end) {
      Walker w(l, begin);
      const int64_t across = l.x_strides[last], along = l.dim_stride;
      for (int64_t r = begin; r < end; ++r, w.next()) {
        T* __restrict__ to = reinterpret_cast<T*>(out) + r * n;
        const T* __restrict__ from = reinterpret_cast<const T*>(x) + w.x_off;
        const int64_t* __restrict__ index = l.index + r * n;
        if (across == 0 && along == 1) {
          for (int64_t k = 0; k < n; ++k) to[k] = from[index[k]];
        } else {
          for (int64_t k = 0; k < n; ++k) to[k] = from[k * across + index[k] * along];
        }
      }
    });
  });
}

template <class Op, class T>
EG_INLINE void scatter_row(T* x, const T* src, const int64_t* index, int64_t first, int64_t last,
                           int64_t across, int64_t along, int64_t src_step) {
  if (across == 0 && along == 1 && src_step == 1) {
    for (int64_t k = first; k < last; ++k) x[index[k]] = folded<Op>(x[index[k]], src[k]);
    return;
  }
  for (int64_t k = first; k < last; ++k) {
    T& to = x[k * across + index[k] * along];
    to = folded<Op>(to, src[k * src_step]);
  }
}

// Targets collide only along l.dim: threads share out the dimensions before it, or else the columns after it.
template <class Op, class T>
void scatter_all(T* x, const T* src, const Lines& l) {
  const int last = l.ndim - 1;
  const int64_t n = l.sizes[last];
  const int64_t units = row_count(l, 0, l.dim),
                rows = row_count(l, l.dim < last ? l.dim : last, last);
  int64_t blocks = 1;
  if (l.dim < last && units < num_threads() && units * rows * n > kParallelGrain)
    blocks = min64(num_threads(), n / 32);
  if (blocks < 1) blocks = 1;
  const int64_t step = (n + blocks - 1) / blocks;
  const int64_t across = l.x_strides[last], along = l.dim_stride, src_step = l.src_strides[last];
  parallel_for(units * blocks, grain_of(rows * step + 1), [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t first = u % blocks * step, stop = min64(first + step, n);
      int64_t row = u / blocks * rows;
      Walker w(l, row);
      for (int64_t r = 0; r < rows; ++r, ++row, w.next())
        scatter_row<Op>(x + w.x_off, src + w.src_off, l.index + row * n, first, stop, across, along,
                        src_step);
    }
  });
}

void scatter(DType dtype, Fold fold, char* x, const char* src, const Lines& l) {
  if (row_count(l, 0, l.ndim) == 0) return;
  if (fold == Fold::Put) {
    visit_size(item_size(dtype), [&](auto zero) {
      using T = decltype(zero);
      scatter_all<Folder<Fold::Put>>(reinterpret_cast<T*>(x), reinterpret_cast<const T*>(src), l);
    });
    return;
  }
  visit_all(dtype, [&](auto zero) {
    using T = decltype(zero);
    visit_fold(fold, [&](auto op) {
      if constexpr (!__is_same(decltype(op), Folder<Fold::Put>))
        scatter_all<decltype(op)>(reinterpret_cast<T*>(x), reinterpret_cast<const T*>(src), l);
    });
  });
}

// --- indices ------------------------------------------------------------------------------------------------
void range(const int64_t* index, int64_t n, int64_t* low, int64_t* high) {
  int64_t lo = index[0], hi = index[0];
  for (int64_t i = 0; i < n; ++i) {
    lo = index[i] < lo ? index[i] : lo;
    hi = index[i] > hi ? index[i] : hi;
  }
  *low = lo;
  *high = hi;
}

void settle(int64_t* out, const int64_t* index, int64_t n, bool wrap, int64_t size, int64_t) {
  for (int64_t i = 0; i < n; ++i) out[i] = index[i] < 0 ? index[i] + size : index[i];
}

void linear(int64_t* out, const int64_t* index, int64_t n, int64_t stride, bool add) {
  if (add) {
    for (int64_t i = 0; i < n; ++i) out[i] += index[i] * stride;
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] = index[i] * stride;
  }
}

int64_t count(const char* mask, int64_t n) {
  int64_t total = 0;
  for (int64_t i = 0; i < n;) {
    // Byte sums of up to 255 vectors stay in bytes; the compiler keeps them in registers.
    const int64_t stop = min64(n, i + 16384);
    int32_t part = 0;
    for (; i < stop; ++i) part += mask[i] != 0;
    total += part;
  }
  return total;
}

// One bit for each of 8 bytes that is not zero.
EG_INLINE uint64_t nonzero_bits(const char* bytes) {
  constexpr uint64_t kLow = 0x7f7f7f7f7f7f7f7fu, kOnes = 0x0101010101010101u;
  uint64_t v;
  std::memcpy(&v, bytes, 8);
  v = ((((v & kLow) + kLow) | v) >> 7) & kOnes;
  return (v * 0x0102040810204080u) >> 56;
}

int64_t* positions(const char* mask, int64_t n, int64_t first, int64_t* out) {
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    uint64_t set = 0;
    for (int k = 0; k < 8; ++k) set |= nonzero_bits(mask + i + 8 * k) << (8 * k);
    for (; set; set &= set - 1) *out++ = first + i + __builtin_ctzll(set);
  }
  for (; i < n; ++i)
    if (mask[i]) *out++ = first + i;
  return out;
}

// Division only where the last dimension's row changes.
void coordinates(const int64_t* flat, int64_t n, const int64_t* sizes, int64_t dims, int64_t* out,
                 int64_t step, int64_t jump) {
  if (dims == 0) return;
  const int64_t width = sizes[dims - 1];
  parallel_for(n, kParallelGrain, [&](int64_t begin, int64_t end) {
    int64_t row[64] = {};
    int64_t row_start = -width;
    for (int64_t i = begin; i < end; ++i) {
      int64_t* to = out + i * step;
      if (flat[i] < row_start || flat[i] >= row_start + width) {
        int64_t rest = flat[i] / width;
        row_start = rest * width;
        for (int64_t d = dims - 2; d >= 0; --d) {
          row[d] = rest % sizes[d];
          rest /= sizes[d];
        }
      }
      for (int64_t d = 0; d + 1 < dims; ++d) to[d * jump] = row[d];
      to[(dims - 1) * jump] = flat[i] - row_start;
    }
  });
}

// Every element of x is read: a load that depends on the mask does not vectorise.
template <class T>
EG_INLINE void fill_row(T* __restrict__ out, const T* __restrict__ x, const uint8_t* __restrict__ m,
                        int64_t n, int64_t os, int64_t xs, int64_t ms, decltype(T::v) value) {
  if (os == 1 && xs == 1 && ms == 1) {
    for (int64_t i = 0; i < n; ++i) {
      const auto kept = x[i].v;
      out[i].v = m[i] ? value : kept;
    }
  } else if (os == 1 && xs == 1 && ms == 0) {
    const bool all = *m;
    for (int64_t i = 0; i < n; ++i) {
      const auto kept = x[i].v;
      out[i].v = all ? value : kept;
    }
  } else {
    for (int64_t i = 0; i < n; ++i) out[i * os].v = m[i * ms] ? value : x[i * xs].v;
  }
}

template <class T>
void masked_fill_all(const StridedTriple& t, const char* value) {
  const int last = t.ndim - 1;
  const int64_t n = t.sizes[last];
  int64_t rows = 1;
  for (int d = 0; d < last; ++d) rows *= t.sizes[d];
  if (rows == 0 || n == 0) return;
  T v;
  std::memcpy(&v, value, sizeof(T));
  T* const out = reinterpret_cast<T*>(t.out);
  const T* const x = reinterpret_cast<const T*>(t.x);
  const uint8_t* const mask = reinterpret_cast<const uint8_t*>(t.mask);
  const int64_t os = t.out_strides[last], xs = t.x_strides[last], ms = t.mask_strides[last];
  if (rows == 1) {
    parallel_for(n, kParallelGrain, [&](int64_t begin, int64_t end) {
      fill_row(out + begin * os, x + begin * xs, mask + begin * ms, end - begin, os, xs, ms, v.v);
    });
    return;
  }
  parallel_for(rows, grain_of(n), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t rest = r, o = 0, a = 0, m = 0;
      for (int d = last - 1; d >= 0; --d) {
        const int64_t at = rest % t.sizes[d];
        rest /= t.sizes[d];
        o += at * t.out_strides[d];
        a += at * t.x_strides[d];
        m += at * t.mask_strides[d];
      }
      fill_row(out + o, x + a, mask + m, n, os, xs, ms, v.v);
    }
  });
}

void masked_fill(size_t item, const StridedTriple& t, const char* value) {
  visit_size(item, [&](auto zero) { masked_fill_all<decltype(zero)>(t, value); });
}

}  // namespace

EG_KERNELS(IndexKernels, {&take, &fold, &gather, &scatter, &range, &settle, &linear, &count,
                          &positions, &coordinates, &add_rows, &max_rows, &masked_fill});

}  // namespace eg
