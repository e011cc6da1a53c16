// Sums in a fixed order of elements that any thread may send anywhere: each target keeps a list of its sources, which is
// put in ascending order before it is read. Integers are all that is exchanged atomically, so the bits are the same each time.
#pragma once

#include "prelude.cuh"

namespace eg {

__device__ __forceinline__ void push_source(int32_t* head, int32_t* next, int64_t target,
                                            int32_t source) {
  next[source] = atomicExch(head + target, source);
}

// Merge sort in place; returns the new first source (-1: none).
__device__ inline int32_t order_list(int32_t list, int32_t* next) {
  if (list < 0 || next[list] < 0) return list;
  for (int64_t run = 1;; run *= 2) {
    int32_t p = list, tail = -1;
    int64_t merges = 0;
    list = -1;
    while (p >= 0) {
      ++merges;
      int32_t q = p;
      int64_t left = 0, right = run;
      while (left < run && q >= 0) ++left, q = next[q];
      while (left > 0 || (right > 0 && q >= 0)) {
        const bool first = left > 0 && (right == 0 || q < 0 || p < q);
        const int32_t taken = first ? p : q;
        if (first) {
          p = next[p], --left;
        } else {
          q = next[q], --right;
        }
        if (tail < 0) {
          list = taken;
        } else {
          next[tail] = taken;
        }
        tail = taken;
      }
      p = q;
    }
    next[tail] = -1;
    if (merges <= 1) return list;
  }
}

__global__ void fill_numbers(int32_t* p, int64_t n, int32_t value) {
  for (EG_ELEMENTS(i, n)) p[i] = value;
}

}  // namespace eg
