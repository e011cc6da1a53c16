#include "kernels/shape.h"

#include "kernels/grain.h"
#include "kernels/short_copy.h"
#include "kernels/units.h"

namespace eg {
namespace {

EG_INLINE bool plus(bool a, bool b) { return a || b; }
EG_INLINE Half plus(Half a, Half b) { return to_half(to_float(a) + to_float(b)); }
EG_INLINE BFloat16 plus(BFloat16 a, BFloat16 b) { return to_bfloat16(to_float(a) + to_float(b)); }
template <class T>
EG_INLINE T plus(T a, T b) {
  return static_cast<T>(a + b);
}

template <class T, class Op>
EG_INLINE void run(T* __restrict__ d, const T* __restrict__ s, int64_t n, int64_t ds, int64_t ss,
                   Op op) {
  if (ds == 1 && ss == 1) {
    for (int64_t i = 0; i < n; ++i) d[i] = op(d[i], s[i]);
  } else if (ds == 1 && ss == 0) {
    const T v = *s;
    for (int64_t i = 0; i < n; ++i) d[i] = op(d[i], v);
  } else if (ds == 1 && ss == -1) {
    for (int64_t i = 0; i < n; ++i) d[i] = op(d[i], s[-i]);
  } else {
    for (int64_t i = 0; i < n; ++i) d[i * ds] = op(d[i * ds], s[i * ss]);
  }
}

// Rows (all dims but the last) are independent; each finds its own start.
template <class T, class Op>
EG_INLINE void walk(const StridedPair& p, Op op) {
  const int last = p.ndim - 1;
  const int64_t n = p.sizes[last];
  int64_t rows = 1;
  for (int d = 0; d < last; ++d) rows *= p.sizes[d];
  if (n == 0 || rows == 0) return;
  T* const dst = reinterpret_cast<T*>(p.dst);
  const T* const src = reinterpret_cast<const T*>(p.src);
  const int64_t ds = p.dst_strides[last], ss = p.src_strides[last];
  if (rows == 1) {
    parallel_for(n, kParallelGrain, [&](int64_t begin, int64_t end) {
      run(dst + begin * ds, src + begin * ss, end - begin, ds, ss, op);
    });
    return;
  }
  parallel_for(rows, grain_of(n), [&](int64_t begin, int64_t end) {
    int64_t at[64], rest = begin, d_off = 0, s_off = 0;
    for (int d = last - 1; d >= 0; --d) {
      at[d] = rest % p.sizes[d];
      rest /= p.sizes[d];
      d_off += at[d] * p.dst_strides[d];
      s_off += at[d] * p.src_strides[d];
    }
    for (int64_t r = begin; r < end; ++r) {
      run(dst + d_off, src + s_off, n, ds, ss, op);
      for (int d = last - 1; d >= 0; --d) {
        d_off += p.dst_strides[d];
        s_off += p.src_strides[d];
        if (++at[d] < p.sizes[d]) break;
        d_off -= p.sizes[d] * p.dst_strides[d];
        s_off -= p.sizes[d] * p.src_strides[d];
        at[d] = 0;
      }
    }
  });
}

void copy(size_t item, const StridedPair& p) {
  visit_size(item, [&](auto zero) {
    using T = decltype(zero);
    walk<T>(p, [](T, T s) { return s; });
  });
}

void add(DType dtype, const StridedPair& p) {
  visit_all(dtype, [&](auto zero) {
    using T = decltype(zero);
    walk<T>(p, [](T d, T s) { return plus(d, s); });
  });
}

void triangle(size_t item, char* dst, const char* src, int64_t matrices, int64_t rows,
              int64_t columns, int64_t diagonal, bool lower) {
  const int64_t width = columns * static_cast<int64_t>(item);
  if (width == 0) return;
  parallel_for(matrices * rows, grain_of(columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t cut = r % rows + diagonal + (lower ? 1 : 0);  // first column of the upper part
      cut = cut < 0 ? 0 : cut > columns ? columns : cut;
      const int64_t left = cut * static_cast<int64_t>(item);
      char* d = dst + r * width;
      const char* s = src + r * width;
      if (lower) {
        if (d != s) std::memcpy(d, s, left);
        std::memset(d + left, 0, width - left);
      } else {
        std::memset(d, 0, left);
        if (d != s) std::memcpy(d + left, s + left, width - left);
      }
    }
  });
}

void join(char* out, int64_t outer, const Piece* pieces, int64_t count) {
  int64_t total = 0;
  for (int64_t i = 0; i < count; ++i) total += pieces[i].width;
  if (total == 0 || outer == 0) return;
  constexpr int64_t kBytes = 4 * kParallelGrain, kShort = 256;
  if (outer > 1) {
    parallel_for(outer, kBytes / total + 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        char* d = out + r * total;
        for (int64_t i = 0; i < count; ++i) {
          const char* const from = pieces[i].data + r * pieces[i].stride;
          const int64_t width = pieces[i].width;
          if (width > kShort)
            std::memcpy(d, from, width);
          else if (width > 0)
            visit_whole(width, [&](auto unit) { copy_whole<decltype(unit)>(d, from, width); });
          d += width;
        }
      }
    });
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const char* s = pieces[i].data;
    parallel_for(pieces[i].width, kBytes, [&](int64_t begin, int64_t end) {
      std::memcpy(out + begin, s + begin, end - begin);
    });
    out += pieces[i].width;
  }
}

}  // namespace

EG_KERNELS(ShapeKernels, {&copy, &add, &triangle, &join});

}  // namespace eg
