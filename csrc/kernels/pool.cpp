#include "kernels/pool.h"

#include "kernels/grain.h"
#include "kernels/scratch.h"

namespace eg {
namespace {

// ---------------------------------------------------------------------------- maximum

// Greatest values of the columns of the rows that one output row looks at, then of the windows over columns: both vectorised.
// Positions are those of the plane's elements; equal values: the lowest position; NaN: the last one.
template <class T>
struct Columns {
  T* best;
  int32_t* at;
};

// Is `v` at `at` to replace `best`? Without branches, so that loops vectorise.
template <class T>
EG_INLINE bool replaces(T v, int32_t at, T best, int32_t best_at) {
  const bool bad = (v != v) & ((best == best) | (at > best_at));
  return bad | (v > best) | ((v == best) & (at < best_at));
}

template <bool Indexed, class T>
EG_INLINE void start_columns(Columns<T> c, const T* row, int64_t n, int32_t position) {
  for (int64_t i = 0; i < n; ++i) c.best[i] = row[i];
  if (Indexed)
    for (int64_t i = 0; i < n; ++i) c.at[i] = position + int32_t(i);
}
template <bool Indexed, class T>
EG_INLINE void add_row(Columns<T> c, const T* row, int64_t n, int32_t position) {
  for (int64_t i = 0; i < n; ++i) {
    const bool take = (row[i] > c.best[i]) | (row[i] != row[i]);
    c.best[i] = take ? row[i] : c.best[i];
    if (Indexed) c.at[i] = take ? position + int32_t(i) : c.at[i];
  }
}

// The windows of a row: column `table[tap * out + o]` is the tap of window o, the last one repeated where a window has fewer.
// Windows low .. high have all taps, and begin `stride` apart.
struct RowWindows {
  int64_t out, taps, low, high, stride;
  int32_t* table;

  RowWindows(const PoolShape& s) : out(s.out[2]), taps(0), low(0), high(0), stride(1) {
    for (int64_t o = 0; o < out; ++o) taps = max64(taps, count(s, o));
    for (int64_t o = 0; o < out;) {
      int64_t end = o + 1;
      const int64_t apart = end < out ? s.begin[2][end] - s.begin[2][o] : 1;
      while (end < out && count(s, end) == taps && s.begin[2][end] - s.begin[2][end - 1] == apart)
        ++end;
      if (count(s, o) == taps && end - o > high - low) low = o, high = end, stride = apart;
      o = end;
    }
  }
  void fill(const PoolShape& s, int32_t* place) {
    table = place;
    for (int64_t o = 0; o < out; ++o)
      for (int64_t k = 0; k < taps; ++k)
        place[k * out + o] = int32_t(s.begin[2][o] + min64(k, count(s, o) - 1) * s.step[2]);
  }
  // Is each column a window of its own, as a pixel's channels are?
  bool are_columns(const PoolShape& s) const {
    return taps == 1 && out == s.in[2] && high - low == out && (out == 1 || stride == 1);
  }
  static int64_t count(const PoolShape& s, int64_t o) {
    return ceil_div(s.end[2][o] - s.begin[2][o], s.step[2]);
  }
};

// What a loop over windows does with their first tap and with others, and whether positions are wanted.
template <bool First, bool Indexed>
struct Taps {
  template <class T>
  static EG_INLINE void add(Columns<const T> c, int64_t i, int64_t o, Columns<T> y) {
    const T v = c.best[i];
    if (First) {
      y.best[o] = v;
      if (Indexed) y.at[o] = c.at[i];
    } else if (Indexed) {
      const int32_t at = c.at[i];
      const bool take = replaces(v, at, y.best[o], y.at[o]);
      y.best[o] = take ? v : y.best[o];
      y.at[o] = take ? at : y.at[o];
    } else {
      y.best[o] = (v > y.best[o]) | (v != v) ? v : y.best[o];
    }
  }
  template <int Stride, class T>
  static EG_INLINE void add_apart(Columns<const T> c, int64_t first, int64_t stride, int64_t n,
                                  Columns<T> y) {
    const int64_t apart = Stride ? Stride : stride;
#pragma GCC ivdep
    for (int64_t o = 0; o < n; ++o) add(c, first + o * apart, o, y);
  }
  template <class T>
  static EG_INLINE void add_all(const RowWindows& w, int64_t tap, Columns<const T> c,
                                Columns<T> y) {
    const int32_t* columns = w.table + tap * w.out;
    for (int64_t o = 0; o < w.low; ++o) add(c, columns[o], o, y);
    const Columns<T> middle{y.best + w.low, Indexed ? y.at + w.low : nullptr};
    const int64_t n = w.high - w.low, first = n > 0 ? columns[w.low] : 0;
    if (w.stride == 1)
      add_apart<1>(c, first, 1, n, middle);
    else if (w.stride == 2)
      add_apart<2>(c, first, 2, n, middle);
    else
      add_apart<0>(c, first, w.stride, n, middle);
    for (int64_t o = w.high; o < w.out; ++o) add(c, columns[o], o, y);
  }
};

// The greatest of columns [from, end): most of a long window are less, and cost a comparison.
template <bool Indexed, class T>
EG_INLINE void max_window(Columns<const T> c, int64_t from, int64_t end, int64_t o, Columns<T> y) {
  T best = c.best[from];
  int32_t best_at = Indexed ? c.at[from] : 0;
  for (int64_t i = from + 1; i < end; ++i) {
    const T v = c.best[i];
    if (v < best) continue;
    const int32_t at = Indexed ? c.at[i] : 0;
    if (replaces(v, at, best, best_at)) best = v, best_at = at;
  }
  y.best[o] = best;
  if (Indexed) y.at[o] = best_at;
}

// y: the result's row, and room for positions.
template <bool Indexed, class T>
void max_row(const PoolShape& s, const RowWindows& w, Columns<const T> c, Columns<T> y,
             int64_t* indices) {
  if (w.taps > 2 * w.out && w.taps >= 16 && s.step[2] == 1) {
    for (int64_t o = 0; o < w.out; ++o) max_window<Indexed>(c, s.begin[2][o], s.end[2][o], o, y);
    for (int64_t o = 0; Indexed && o < w.out; ++o) indices[o] = y.at[o];
    return;
  }
  if (w.taps > 0) Taps<true, Indexed>::add_all(w, 0, c, y);
  for (int64_t k = 1; k < w.taps; ++k) Taps<false, Indexed>::add_all(w, k, c, y);
  if (Indexed)
    for (int64_t o = 0; o < w.out; ++o) indices[o] = y.at[o];
}

EG_INLINE bool one_row(const PoolShape& s, int64_t z, int64_t r) {
  return s.begin[0][z] + s.step[0] >= s.end[0][z] && s.begin[1][r] + s.step[1] >= s.end[1][r];
}

// The greatest values of each column of the rows that output row (z, r) looks at.
template <bool Indexed, class T>
EG_INLINE void best_columns(const PoolShape& s, int64_t z, int64_t r, const T* plane,
                            Columns<T> c) {
  const int64_t width = s.in[2];
  bool first = true;
  for (int64_t i = s.begin[0][z]; i < s.end[0][z]; i += s.step[0]) {
    for (int64_t j = s.begin[1][r]; j < s.end[1][r]; j += s.step[1]) {
      const int64_t position = (i * s.in[1] + j) * width;
      if (first) {
        start_columns<Indexed>(c, plane + position, width, int32_t(position));
      } else {
        add_row<Indexed>(c, plane + position, width, int32_t(position));
      }
      first = false;
    }
  }
}

template <bool Indexed, class T>
void max_pool(const PoolShape& s, const T* x, T* y, int64_t* indices) {
  const int64_t in = s.in[0] * s.in[1] * s.in[2], width = s.in[2];
  RowWindows windows(s);
  Scratch<int32_t> table(windows.taps * windows.out);
  windows.fill(s, table.data());
  const bool pixels = windows.are_columns(s);
  parallel_for(s.planes * s.out[0], grain_of(2 * in / s.out[0]), [&](int64_t i0, int64_t i1) {
    Scratch<T> best(width);
    Scratch<int32_t> at(Indexed ? width : 0), out_at(Indexed ? s.out[2] : 0);
    for (int64_t i = i0; i < i1; ++i) {
      const int64_t z = i % s.out[0];
      const T* plane = x + i / s.out[0] * in;
      for (int64_t r = 0; r < s.out[1]; ++r) {
        const int64_t to = (i * s.out[1] + r) * s.out[2];
        int64_t* const places = Indexed ? indices + to : nullptr;
        if (pixels) {
          best_columns<Indexed>(s, z, r, plane, Columns<T>{y + to, at.data()});
          for (int64_t o = 0; Indexed && o < width; ++o) places[o] = at.data()[o];
          continue;
        }
        const T* row = best.data();
        if (one_row(s, z, r) && !Indexed) {
          row = plane + (s.begin[0][z] * s.in[1] + s.begin[1][r]) * width;
        } else {
          best_columns<Indexed>(s, z, r, plane, Columns<T>{best.data(), at.data()});
        }
        max_row<Indexed>(s, windows, Columns<const T>{row, at.data()},
                         Columns<T>{y + to, out_at.data()}, places);
      }
    }
  });
}

// ---------------------------------------------------------------------------- by index

template <class T>
void gather(int64_t planes, int64_t from, int64_t to, const T* x, const int64_t* index, T* y) {
  parallel_for(planes, grain_of(2 * to), [&](int64_t p0, int64_t p1) {
    for (int64_t p = p0; p < p1; ++p)
      for (int64_t i = 0; i < to; ++i) y[p * to + i] = x[p * from + index[p * to + i]];
  });
}

template <class T>
void scatter(bool add, int64_t planes, int64_t from, int64_t to, const T* x, const int64_t* index,
             T* y) {
  parallel_for(planes, grain_of(to + 2 * from), [&](int64_t p0, int64_t p1) {
    for (int64_t i = p0 * to; i < p1 * to; ++i) y[i] = T(0);
    for (int64_t p = p0; p < p1; ++p) {
      T* plane = y + p * to;
      for (int64_t i = p * from; i < (p + 1) * from; ++i) {
        if (add) {
          plane[index[i]] += x[i];
        } else {
          plane[index[i]] = x[i];
        }
      }
    }
  });
}

// ---------------------------------------------------------------------------- sliding blocks

// body(row of y, row of x or null, first column of x, first and past-last block column inside x)
template <class F>
EG_INLINE void block_rows(const BlockShape& s, F&& body) {
  const int64_t taps = s.kernel[0] * s.kernel[1], blocks = s.blocks[0] * s.blocks[1];
  const int64_t in = s.in[0] * s.in[1];
  parallel_for(s.planes, grain_of(taps * blocks), [&](int64_t p0, int64_t p1) {
    for (int64_t p = p0; p < p1; ++p) {
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t y0 = t / s.kernel[1] * s.dilation[0] - s.pad[0];
        const int64_t x0 = t % s.kernel[1] * s.dilation[1] - s.pad[1];
        // block columns b with 0 <= x0 + b * stride < width
        int64_t low = x0 >= 0 ? 0 : (-x0 + s.stride[1] - 1) / s.stride[1];
        int64_t high = x0 >= s.in[1] ? 0 : (s.in[1] - 1 - x0) / s.stride[1] + 1;
        if (high > s.blocks[1]) high = s.blocks[1];
        if (low > high) low = high;
        for (int64_t b = 0; b < s.blocks[0]; ++b) {
          const int64_t row = y0 + b * s.stride[0];
          const bool inside = row >= 0 && row < s.in[0];
          body((p * taps + t) * blocks + b * s.blocks[1], p * in + row * s.in[1] + x0,
               inside ? low : 0, inside ? high : 0);
        }
      }
    }
  });
}

template <class T>
void unfold(const BlockShape& s, const T* x, T* y) {
  block_rows(s, [&](int64_t to, int64_t from, int64_t low, int64_t high) {
    for (int64_t b = 0; b < low; ++b) y[to + b] = T(0);
    if (s.stride[1] == 1) {
      for (int64_t b = low; b < high; ++b) y[to + b] = x[from + b];
    } else {
      for (int64_t b = low; b < high; ++b) y[to + b] = x[from + b * s.stride[1]];
    }
    for (int64_t b = high; b < s.blocks[1]; ++b) y[to + b] = T(0);
  });
}

template <class T>
void fold(const BlockShape& s, const T* y, T* x) {
  const int64_t n = s.planes * s.in[0] * s.in[1];
  for (int64_t i = 0; i < n; ++i) x[i] = T(0);
  block_rows(s, [&](int64_t from, int64_t to, int64_t low, int64_t high) {
    for (int64_t b = low; b < high; ++b) x[to + b * s.stride[1]] += y[from + b];
  });
}

// ---------------------------------------------------------------------------- entry points

void max_pool_any(const PoolShape& s, DType dtype, const void* x, void* y, int64_t* indices) {
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(x);
    T* to = static_cast<T*>(y);
    indices ? max_pool<true>(s, from, to, indices) : max_pool<false>(s, from, to, indices);
  });
}
void gather_any(DType dtype, int64_t planes, int64_t from, int64_t to, const void* x,
                const int64_t* index, void* y) {
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    gather(planes, from, to, static_cast<const T*>(x), index, static_cast<T*>(y));
  });
}
void scatter_any(DType dtype, bool add, int64_t planes, int64_t from, int64_t to, const void* x,
                 const int64_t* index, void* y) {
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    scatter(add, planes, from, to, static_cast<const T*>(x), index, static_cast<T*>(y));
  });
}
void max_pool_backward_any(const PoolShape& s, DType dtype, const void* g, const int64_t* indices,
                           void* gx) {
  scatter_any(dtype, true, s.planes, s.out[0] * s.out[1] * s.out[2], s.in[0] * s.in[1] * s.in[2], g,
              indices, gx);
}
void unfold_any(const BlockShape& s, DType dtype, const void* x, void* y) {
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    unfold(s, static_cast<const T*>(x), static_cast<T*>(y));
  });
}
void fold_any(const BlockShape& s, DType dtype, const void* y, void* x) {
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    fold(s, static_cast<const T*>(y), static_cast<T*>(x));
  });
}

}  // namespace

EG_KERNELS(PoolKernels, {&max_pool_any, &max_pool_backward_any, &gather_any, &scatter_any,
                         &unfold_any, &fold_any})

}  // namespace eg
