// What the kernels of attention share: how they read the matrices of a head, and which scores there are.
#pragma once

#include "kernels/attention_layout.h"
#include "kernels/vocabulary.h"
#include "prelude.cuh"

namespace eg {

// Neighbours of a row that are read and written together: 16 bytes, 32 of doubles.
template <class T>
struct alignas(16) Eight {
  T at[8];
};
template <class T>
using Run = std::conditional_t<sizeof(T) == 2, Eight<T>, Four<T>>;

// A head's matrix, or what is left of it from some row on: `count` rows.
template <class T>
struct Rows {
  static constexpr int kRun = sizeof(Run<T>) / sizeof(T);
  T* data;
  int64_t stride;
  int count;
  bool aligned;  // for accesses of a run
  __device__ __forceinline__ Rows from(int row) const {
    return {data + row * stride, stride, count - row, aligned};
  }
  // Zeros where there is nothing.
  __device__ __forceinline__ Run<T> read(int i, int c, int width) const {
    Run<T> x = {};
    if (i >= count) return x;
    const T* const p = data + i * stride + c;
    if (aligned && c + kRun <= width) return *reinterpret_cast<const Run<T>*>(p);
#pragma unroll
    for (int k = 0; k < kRun; ++k)
      if (c + k < width) x.at[k] = p[k];
    return x;
  }
  __device__ __forceinline__ void write(int i, int c, int width, const Run<T>& x) const {
    if (i >= count) return;
    T* const p = data + i * stride + c;
    if (aligned && c + kRun <= width) {
      *reinterpret_cast<Run<T>*>(p) = x;
      return;
    }
#pragma unroll
    for (int k = 0; k < kRun; ++k)
      if (c + k < width) p[k] = x.at[k];
  }
};
template <class T>
__device__ __forceinline__ Rows<T> head_rows(const HeadMatrix& m, int64_t batch, int64_t head,
                                             int64_t count) {
  T* const data = static_cast<T*>(m.data) + batch * m.batch + head * m.head;
  return {data, m.row, int(count),
          (reinterpret_cast<uint64_t>(data) | uint64_t(m.row) * sizeof(T)) % 16 == 0};
}

// The score of a query and a key: -inf where the key is not seen.
template <class T>
struct Scores {
  const AttentionShape& s;
  const AttentionMask& mask;
  int64_t offset;  // of the head's mask
  __device__ __forceinline__ Scores(const AttentionShape& shape, const AttentionMask& m, int64_t b,
                                    int64_t h)
      : s(shape), mask(m), offset(b * m.batch + h * m.head) {}
  __device__ __forceinline__ T at(T dot, int query, int key) const {
    if (query >= s.queries || key >= s.keys || (s.causal && key > query)) return T(-INFINITY);
    const T score = dot * T(s.scale);
    if (!mask.data) return score;
    const int64_t i = offset + query * mask.row + key * mask.key;
    if (mask.boolean) return static_cast<const bool*>(mask.data)[i] ? score : T(-INFINITY);
    return score + static_cast<const T*>(mask.data)[i];
  }
  // Does every one of these queries see every one of these keys, with nothing added?
  __device__ __forceinline__ bool plain(int query, int queries, int key, int keys) const {
    return !mask.data && query + queries <= s.queries && key + keys <= s.keys &&
           (!s.causal || key + keys <= query + 1);
  }
  // Keys past the last one that queries before `end` see.
  __device__ __forceinline__ int seen(int end) const {
    return s.causal && end < s.keys ? end : int(s.keys);
  }
};

}  // namespace eg
