#include "kernels/pool.h"

#include "kernels/grain.h"
#include "kernels/scratch.h"

namespace eg {
namespace {

// ---------------------------------------------------------------------------- maximum

// Greatest values of the columns of the rows that one output row looks at: vectorised, then reduced over columns.
// Positions are those of the plane's elements; equal values: the lowest position; NaN: the last one.
template <class T>
struct Columns {
  T* best;
  int32_t* at;
};

template <class T>
EG_INLINE void start_columns(Columns<T> c, const T* row, int64_t n, int32_t position) {
  for (int64_t i = 0; i < n; ++i) c.best[i] = row[i], c.at[i] = position + int32_t(i);
}
template <class T>
EG_INLINE void add_row(Columns<T> c, const T* row, int64_t n, int32_t position) {
  for (int64_t i = 0; i < n; ++i) {
    const bool take = row[i] > c.best[i] || row[i] != row[i];
    c.best[i] = take ? row[i] : c.best[i];
    c.at[i] = take ? position + int32_t(i) : c.at[i];
  }
}
template <class T>
EG_INLINE bool replaces(T v, int32_t at, T best, int32_t best_at) {
  if (v != v) return best == best || at > best_at;
  return v > best || (v == best && at < best_at);
}

template <class T>
void max_row(const PoolShape& s, Columns<T> c, T* y, int64_t* indices) {
  for (int64_t o = 0; o < s.out[2]; ++o) {
    int64_t i = s.begin[2][o];
    T best = c.best[i];
    int32_t at = c.at[i];
    for (i += s.step[2]; i < s.end[2][o]; i += s.step[2]) {
      if (replaces(c.best[i], c.at[i], best, at)) best = c.best[i], at = c.at[i];
    }
    y[o] = best;
    if (indices) indices[o] = at;
  }
}

template <class T>
void max_pool(const PoolShape& s, const T* x, T* y, int64_t* indices) {
  const int64_t in = s.in[0] * s.in[1] * s.in[2], out = s.out[0] * s.out[1] * s.out[2],
                width = s.in[2];
  parallel_for(s.planes, grain_of(2 * in), [&](int64_t p0, int64_t p1) {
    Scratch<T> best(width);
    Scratch<int32_t> at(width);
    const Columns<T> c{best.data(), at.data()};
    for (int64_t p = p0; p < p1; ++p) {
      const T* plane = x + p * in;
      int64_t to = p * out;
      for (int64_t z = 0; z < s.out[0]; ++z) {
        for (int64_t r = 0; r < s.out[1]; ++r, to += s.out[2]) {
          bool first = true;
          for (int64_t i = s.begin[0][z]; i < s.end[0][z]; i += s.step[0]) {
            for (int64_t j = s.begin[1][r]; j < s.end[1][r]; j += s.step[1]) {
              const int64_t position = (i * s.in[1] + j) * width;
              if (first) {
                start_columns(c, plane + position, width, int32_t(position));
              } else {
                add_row(c, plane + position, width, int32_t(position));
              }
              first = false;
            }
          }
          max_row(s, c, y + to, indices ? indices + to : nullptr);
        }
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
    max_pool(s, static_cast<const T*>(x), static_cast<T*>(y), indices);
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
