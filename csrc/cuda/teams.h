// The threads that share a line in kernels built on Team and Held of eagergrad/cuda/joins.cuh.
#pragma once

#include <algorithm>

#include "cuda/launch.h"

namespace eg::cuda {

// f(zero of the element type, zero of the type that it is computed in)
template <class F>
void visit_elements(DType type, F&& f) {
  switch (type) {
    case DType::Float16:
      return f(Half{}, float{});
    case DType::BFloat16:
      return f(BFloat16{}, float{});
    case DType::Float64:
      return f(double{}, double{});
    default:
      return f(float{}, float{});
  }
}

// Can the kernels move four elements at a time (kWide of Held)?
inline bool fits_four(DType type, int64_t n, std::initializer_list<const void*> lines) {
  const size_t unit = std::min<size_t>(16, 4 * item_size(type));
  bool fits = n % 4 == 0 && n <= 16384;
  for (const void* p : lines) fits = fits && reinterpret_cast<uintptr_t>(p) % unit == 0;
  return fits;
}

struct Teams {
  bool block;  // else a warp
  int held;    // elements that a thread keeps in registers; 0: they are read again
  Grid grid;

  // wide: the kernel moves four elements at a time where it holds any.
  Teams(int64_t lines, int64_t n, bool wide = false)
      : block(n > 1024),
        held(n <= 64      ? (wide ? 4 : 2)
             : n <= 256   ? 8
             : n <= 1024  ? 32
             : n <= 2048  ? 8
             : n <= 16384 ? 16
                          : 0),
        grid(blocks(lines, block), threads(n)) {}

 private:
  static int64_t blocks(int64_t lines, bool block) {
    const int64_t most = int64_t(driver().multiprocessors) * 64;
    return std::max<int64_t>(1, std::min(block ? lines : (lines + 3) / 4, most));
  }
  static int threads(int64_t n) {
    return n <= 1024 ? 128 : n <= 4096 ? 256 : n <= 8192 ? 512 : n <= 16384 ? 1024 : 512;
  }
};

}  // namespace eg::cuda
