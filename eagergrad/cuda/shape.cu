// Strided copies with signed strides, addition into a region, triangles, joined rows.
#include "kernels/walks.h"
#include "prelude.cuh"
#include "shape_layouts.h"

namespace eg {

template <class I>
__device__ __forceinline__ void pair_offsets(const StridedPair& p, I i, int64_t* dst,
                                             int64_t* src) {
  offsets_of(i, p.ndim, p.sizes, p.dst_strides, p.src_strides, dst, src);
}

// U: an unsigned or other plain type of the element's size.
template <class U, class I>
__global__ void copy_pair(StridedPair p, int64_t n) {
  for (I i = I(blockIdx.x) * blockDim.x + threadIdx.x; i < I(n); i += I(gridDim.x) * blockDim.x) {
    int64_t d, s;
    pair_offsets(p, i, &d, &s);
    reinterpret_cast<U*>(p.dst)[d] = reinterpret_cast<const U*>(p.src)[s];
  }
}

template <class T, class I>
__global__ void add_pair(StridedPair p, int64_t n) {
  using C = compute_t<T>;
  for (I i = I(blockIdx.x) * blockDim.x + threadIdx.x; i < I(n); i += I(gridDim.x) * blockDim.x) {
    int64_t d, s;
    pair_offsets(p, i, &d, &s);
    T& to = reinterpret_cast<T*>(p.dst)[d];
    to = cast<T>(Folder<Fold::Add>::of(cast<C>(to), cast<C>(reinterpret_cast<const T*>(p.src)[s])));
  }
}

template <class U>
__global__ void triangle(U* dst, const U* src, int64_t n, int64_t rows, int64_t columns,
                         int64_t diagonal, int lower) {
  for (EG_ELEMENTS(i, n)) {
    const int64_t all_rows = i / columns, c = i - all_rows * columns, r = all_rows % rows;
    const bool kept = lower ? c - r <= diagonal : c - r >= diagonal;
    dst[i] = kept ? src[i] : U(0);
  }
}

// A row of blocks for each piece. Widths, strides and places are in units of U.
template <class U>
__global__ void join(JoinLoop l) {
  const JoinPiece& p = l.pieces[blockIdx.y];
  const U* const src = reinterpret_cast<const U*>(p.data);
  U* const dst = reinterpret_cast<U*>(l.out) + p.at;
  for (EG_ELEMENTS(i, l.outer * p.width)) {
    const int64_t row = i / p.width, c = i - row * p.width;
    dst[row * l.total + c] = src[row * p.stride + c];
  }
}

}  // namespace eg
