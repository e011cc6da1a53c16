// What attention does to rows of scores.
#pragma once

#include "kernels/attention.h"
#include "kernels/integers.h"
#include "kernels/panel.h"

namespace eg {

void* allocate(size_t bytes);
void deallocate(void* p, size_t bytes);

namespace {

constexpr int64_t kTaskRows = 192;  // queries of a task

// Memory of one task, handed out piece by piece.
template <class T>
struct Arena {
  T *base, *next;
  size_t bytes;
  explicit EG_INLINE Arena(int64_t elements)
      : base(static_cast<T*>(allocate(elements * sizeof(T)))),
        next(base),
        bytes(elements * sizeof(T)) {}
  EG_INLINE ~Arena() { deallocate(base, bytes); }
  Arena(const Arena&) = delete;
  EG_INLINE T* take(int64_t n) {
    T* p = next;
    next += round_up(n, 64);
    return p;
  }
};

template <class T>
struct Matrix {
  T* data;
  int64_t ld;
  EG_INLINE T* row(int64_t r) const { return data + r * ld; }
};
template <class T>
EG_INLINE Matrix<T> at(const HeadMatrix& m, int64_t b, int64_t h) {
  return {static_cast<T*>(m.data) + b * m.batch + h * m.head, m.row};
}

template <class T>
constexpr T kInfinity = T(__builtin_inf());

// f(i, i * step); a loop of its own where the steps are 1, which vectorises.
template <class F>
EG_INLINE void along_keys(int64_t step, int64_t n, F f) {
  if (step == 1)
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) f(i, i);
  else
    for (int64_t i = 0; i < n; ++i) f(i, i * step);
}

template <class T>
EG_INLINE void apply_mask(const AttentionMask& mask, int64_t b, int64_t h, int64_t row, int64_t n,
                          T* s) {
  const int64_t start = b * mask.batch + h * mask.head + row * mask.row;
  if (mask.boolean) {
    const auto keep = static_cast<const uint8_t*>(mask.data) + start;
    along_keys(mask.key, n, [=](int64_t i, int64_t at) { s[i] = keep[at] ? s[i] : -kInfinity<T>; });
  } else {
    const T* add = static_cast<const T*>(mask.data) + start;
    along_keys(mask.key, n, [=](int64_t i, int64_t at) { s[i] += add[at]; });
  }
}

// Rows of scores are as long as whole vectors: the tail behind the last key holds -inf, whose exponential is 0.
template <class T>
EG_INLINE int64_t close_row(T* s, int64_t n) {
  const int64_t end = round_up(n, kLanes<T>);
  for (int64_t i = n; i < end; ++i) s[i] = -kInfinity<T>;
  return end;
}

template <class T>
EG_INLINE T largest(const T* s, int64_t n) {
  Vec<T> m = load(s);
  for (int64_t i = kLanes<T>; i < n; i += kLanes<T>) m = larger<T>(m, load(s + i));
  return lane_max<T>(m);
}

// Keys that a block ending before query `end` can see.
EG_INLINE int64_t visible(const AttentionShape& s, int64_t end) {
  return s.causal ? min64(s.keys, end) : s.keys;
}

template <class T>
struct RowSum {
  T top, sum;
};
// lse = top + log(sum), of at most `Most` rows
template <int64_t Most, class T>
EG_INLINE void log_sums(const T* top, const T* sum, int64_t rows, T* lse) {
  T logs[Most];
  for (int64_t i = 0; i < Most; ++i) logs[i] = fast_log(sum[i]);
  for (int64_t i = 0; i < rows; ++i) lse[i] = sum[i] > 0 ? top[i] + logs[i] : kInfinity<T>;
}

}  // namespace
}  // namespace eg
