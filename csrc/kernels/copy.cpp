#include "kernels/copy.h"

#include "kernels/halves.h"
#include "kernels/short_copy.h"
#include "kernels/square.h"
#include "kernels/units.h"

namespace eg {
namespace {

template <class To, class From>
EG_INLINE To convert(From v) {
  if constexpr (std::is_same_v<To, From>) {
    return v;
  } else if constexpr (std::is_same_v<From, Half>) {
    return convert<To>(one_float(v));
  } else if constexpr (std::is_same_v<From, BFloat16>) {
    return convert<To>(to_float(v));
  } else if constexpr (std::is_same_v<To, Half>) {
    return one_half(static_cast<float>(v));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return to_bfloat16(static_cast<float>(v));
  } else if constexpr (std::is_same_v<To, bool>) {
    return v != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // Out of range and NaN are undefined in C++; x86 gives INT64_MIN, and so does this everywhere.
    const bool fits = v >= From(-9223372036854775808.0) && v < From(9223372036854775808.0);
    return static_cast<To>(fits ? static_cast<int64_t>(v) : INT64_MIN);
  } else {
    return static_cast<To>(v);
  }
}

template <class To, class From>
void cast_line(char* dst, int64_t ds, const char* src, int64_t ss, int64_t n) {
  if (ds == sizeof(To) && ss == sizeof(From)) {
    auto* d = reinterpret_cast<To*>(dst);
    auto* s = reinterpret_cast<const From*>(src);
#if defined(__F16C__)
    constexpr bool widens = std::is_same_v<From, Half> && std::is_same_v<To, float>;
    constexpr bool narrows = std::is_same_v<From, float> && std::is_same_v<To, Half>;
    if constexpr (widens || narrows) return cast_halves(d, s, n);
    if constexpr (std::is_same_v<From, Half> || std::is_same_v<To, Half>) {  // by way of floats
      constexpr int64_t kStrip = 256;
      float strip[kStrip];
      for (int64_t i = 0; i < n; i += kStrip) {
        const int64_t m = n - i < kStrip ? n - i : kStrip;
        cast_line<float, From>(reinterpret_cast<char*>(strip), 4, src + i * ss, ss, m);
        cast_line<To, float>(dst + i * ds, ds, reinterpret_cast<const char*>(strip), 4, m);
      }
      return;
    }
#endif
    for (int64_t i = 0; i < n; ++i) d[i] = convert<To>(s[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<To*>(dst + i * ds) =
        convert<To>(*reinterpret_cast<const From*>(src + i * ss));
}

// Every `apart`-th element, to dense memory: shuffles, where the number is known.
template <int apart, class T>
EG_INLINE void collect(T* dst, const T* src, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = src[i * apart];
}

template <class T>
void move_line(char* dst, int64_t ds, const char* src, int64_t ss, int64_t n) {
  if (ds == sizeof(T) && ss > 0 && ss <= 4 * int64_t(sizeof(T)) && ss % sizeof(T) == 0) {
    T* d = reinterpret_cast<T*>(dst);
    const T* s = reinterpret_cast<const T*>(src);
    if (ss == 2 * sizeof(T)) return collect<2>(d, s, n);
    if (ss == 3 * sizeof(T)) return collect<3>(d, s, n);
    if (ss == 4 * sizeof(T)) return collect<4>(d, s, n);
  }
  if (ss == 0 && ds == sizeof(T)) {
    const T v = *reinterpret_cast<const T*>(src);
    for (int64_t i = 0; i < n; ++i) reinterpret_cast<T*>(dst)[i] = v;
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<T*>(dst + i * ds) = *reinterpret_cast<const T*>(src + i * ss);
}

void line(char* dst, int64_t ds, DType to, const char* src, int64_t ss, DType from, int64_t n) {
  if (to == from) {
    const int64_t size = static_cast<int64_t>(item_size(to));
    if (ds == size && ss == size) {
      std::memcpy(dst, src, size_t(n * size));
    } else {
      visit_size(size_t(size),
                 [&](auto unit) { move_line<decltype(unit.v)>(dst, ds, src, ss, n); });
    }
    return;
  }
  if (ss == 0 && n > 1) {  // one number: cast once
    alignas(8) char number[8];
    line(number, 8, to, src, 0, from, 1);
    return line(dst, ds, to, number, 0, to, n);
  }
  visit_all(to, [&](auto t) {
    // (Bytes vectorise, bools do not.)
    visit_all(from == DType::Bool ? DType::UInt8 : from, [&](auto f) {
      if constexpr (!std::is_same_v<decltype(f), bool>)
        cast_line<decltype(t), decltype(f)>(dst, ds, src, ss, n);
      return 0;
    });
    return 0;
  });
}

// 16x16 blocks: a block's source lines and destination lines are whole cache lines.
template <class T>
void transpose_blocks(T* dst, int64_t dst_row, const T* src, int64_t src_col, int64_t rows,
                      int64_t cols) {
  constexpr int64_t kBlock = 16;
  for (int64_t i0 = 0; i0 < rows; i0 += kBlock) {
    const int64_t ib = rows - i0 < kBlock ? rows - i0 : kBlock;
    for (int64_t j0 = 0; j0 < cols; j0 += kBlock) {
      const int64_t jb = cols - j0 < kBlock ? cols - j0 : kBlock;
      T block[kBlock][kBlock];
      if (ib == kBlock && jb == kBlock) {
        for (int64_t j = 0; j < kBlock; ++j)
          for (int64_t i = 0; i < kBlock; ++i) block[j][i] = src[(j0 + j) * src_col + i0 + i];
        for (int64_t i = 0; i < kBlock; ++i)
          for (int64_t j = 0; j < kBlock; ++j) dst[(i0 + i) * dst_row + j0 + j] = block[j][i];
      } else {
        for (int64_t i = 0; i < ib; ++i)
          for (int64_t j = 0; j < jb; ++j)
            dst[(i0 + i) * dst_row + j0 + j] = src[(j0 + j) * src_col + i0 + i];
      }
    }
  }
}

// Columns of two lines at a time, as pairs that take the places of floats.
void transpose_pairs(uint16_t* dst, int64_t dst_row, const uint16_t* src, int64_t src_col,
                     int64_t rows, int64_t cols) {
  constexpr int64_t L = kLanes<float>;
  typedef uint16_t Line __attribute__((vector_size(kVectorBytes / 2)));
  typedef uint32_t Pairs __attribute__((vector_size(kVectorBytes)));
  const auto pairs = [&](const uint16_t* from) {
    Line v;
    memcpy(&v, from, sizeof(v));
    return __builtin_convertvector(v, Pairs);
  };
  const int64_t whole_rows = rows / L * L, whole_cols = cols / (2 * L) * 2 * L;
  for (int64_t j = 0; j < whole_cols; j += 2 * L)
    for (int64_t i = 0; i < whole_rows; i += L) {
      Vec<float> v[L];
      const uint16_t* from = src + j * src_col + i;
#pragma GCC unroll 16
      for (int64_t l = 0; l < L; ++l, from += 2 * src_col)
        v[l] = (Vec<float>)(pairs(from) | pairs(from + src_col) << 16);
      transpose_square<float>(v);
#pragma GCC unroll 16
      for (int64_t l = 0; l < L; ++l) memcpy(dst + (i + l) * dst_row + j, &v[l], sizeof(v[l]));
    }
  transpose_blocks(dst + whole_cols, dst_row, src + whole_cols * src_col, src_col, rows,
                   cols - whole_cols);
  transpose_blocks(dst + whole_rows * dst_row, dst_row, src + whole_rows, src_col,
                   rows - whole_rows, whole_cols);
}

void transpose(char* dst, int64_t dst_row, const char* src, int64_t src_col, int64_t rows,
               int64_t cols, int size) {
  if (size == 2)
    return transpose_pairs(reinterpret_cast<uint16_t*>(dst), dst_row,
                           reinterpret_cast<const uint16_t*>(src), src_col, rows, cols);
  // Squares of vectors of 8-byte items have half as many, and took twice the time of blocks.
  if (size == 4)
    return transpose_matrix(reinterpret_cast<const float*>(src), src_col, cols, rows,
                            reinterpret_cast<float*>(dst), dst_row);
  visit_size(size_t(size), [&](auto unit) {
    using T = decltype(unit.v);
    transpose_blocks(reinterpret_cast<T*>(dst), dst_row, reinterpret_cast<const T*>(src), src_col,
                     rows, cols);
  });
}

void rows(char* dst, int64_t dst_row, const char* src, int64_t src_row, int64_t rows,
          int64_t bytes) {
  visit_whole(bytes, [&](auto unit) {
    for (; rows > 0; --rows, dst += dst_row, src += src_row)
      copy_whole<decltype(unit)>(dst, src, bytes);
  });
}

void spread(char* dst, const char* src, int64_t apart, int64_t rows, int64_t n, int size) {
  visit_size(size_t(size), [&](auto unit) {
    using T = decltype(unit.v);
    T* d = reinterpret_cast<T*>(dst);
    for (int64_t r = 0; r < rows; ++r, src += apart, d += n) {
      T v;
      std::memcpy(&v, src, sizeof(T));
      for (int64_t i = 0; i < n; ++i) d[i] = v;
    }
  });
}

void fill(char* dst, const char* value, int size, int64_t n) {
  visit_size(size_t(size), [&](auto unit) {
    using T = decltype(unit.v);
    T v;
    std::memcpy(&v, value, sizeof(T));
    for (int64_t i = 0; i < n; ++i) reinterpret_cast<T*>(dst)[i] = v;
  });
}

void past_caches(char* dst, const char* src, int64_t bytes) {
  const int64_t whole = bytes / kVectorBytes * kVectorBytes;
  for (int64_t i = 0; i < whole; i += kVectorBytes)
    store_past_caches(reinterpret_cast<float*>(dst + i),
                      load(reinterpret_cast<const float*>(src + i)));
  std::memcpy(dst + whole, src + whole, size_t(bytes - whole));
}
void drain() { drain_stores(); }

}  // namespace

EG_KERNELS(CopyKernels, {&line, &transpose, &rows, &spread, &fill, &past_caches, &drain})

}  // namespace eg
