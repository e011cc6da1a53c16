// Strided copies and casts between any two dtypes.
#pragma once

#include "kernels/registry.h"

namespace eg {

struct CopyKernels {
  // n elements, strides in bytes, cast from one dtype to another.
  void (*line)(char* dst, int64_t dst_stride, DType to, const char* src, int64_t src_stride,
               DType from, int64_t n);
  // dst[i * dst_row + j] = src[i + j * src_col] (elements of `size` bytes): blocked so that both
  // sides stay in cache.
  void (*transpose)(char* dst, int64_t dst_row, const char* src, int64_t src_col, int64_t rows,
                    int64_t cols, int size);
  // `rows` stretches of `bytes`, which begin dst_row and src_row bytes apart: for those too short for a call of memcpy each.
  void (*rows)(char* dst, int64_t dst_row, const char* src, int64_t src_row, int64_t rows,
               int64_t bytes);
  // Each of `rows` values, `apart` bytes from each other, n times.
  void (*spread)(char* dst, const char* src, int64_t apart, int64_t rows, int64_t n, int size);
  void (*fill)(char* dst, const char* value, int size, int64_t n);
  // memcpy that does not read dst's cache lines before it writes them; dst is aligned to 64 bytes. Other threads see the
  // bytes after drain_stores().
  void (*past_caches)(char* dst, const char* src, int64_t bytes);
  void (*drain_stores)();
};

}  // namespace eg
