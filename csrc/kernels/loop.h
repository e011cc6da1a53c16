// The loop behind the lines of the table that call functions of the C library.
#pragma once

#include "core/common.h"

#define EG_INLINED __attribute__((always_inline))  // of a lambda, behind its parameters
#if defined(__clang__)
#define EG_ONE_COPY __attribute__((noinline))
#else
#define EG_ONE_COPY __attribute__((noinline, noclone))
#endif

namespace eg {
namespace {

// Does the text of a line call a function whose vector form rounds otherwise than its scalar form?
constexpr bool calls_library(const char* text) {
  constexpr const char* names[] = {"exp", "log",   "sin", "cos",   "tan",  "erf",
                                   "pow", "hypot", "cdf", "gamma", "ndtri"};
  for (; *text; ++text)
    for (const char* name : names) {
      int i = 0;
      while (name[i] && text[i] == name[i]) ++i;
      if (!name[i]) return true;
    }
  return false;
}

constexpr int64_t kStep = 16;  // whole vectors of float and double at every level

template <class T>
struct Strip {
  T v[kStep];
};
// `count` elements, and the first one again behind them.
template <class T>
EG_INLINE Strip<T> padded(const T* x, int64_t count) {
  Strip<T> s;
  for (int64_t i = 0; i < kStep; ++i) s.v[i] = x[i < count ? i : 0];
  return s;
}

// One copy, into which f goes: a call does not vectorise.
template <class F, class R, class... T>
EG_ONE_COPY void run_steps(F f, int64_t n, R* y, const T*... x) {
#if defined(__clang__)
#pragma clang loop interleave_count(1)  // or what is left of several vectors would be scalar
#else
#pragma GCC ivdep
#endif
  for (int64_t i = 0; i < n / kStep * kStep; ++i) y[i] = R(f(x[i]...));
}
template <class F, class R, class... T>
EG_INLINE void run_rest(F f, int64_t count, R* y, const Strip<T>&... x) {
  Strip<R> out;
  run_steps(f, kStep, out.v, x.v...);
  for (int64_t i = 0; i < count; ++i) y[i] = out.v[i];
}

// y[i] = f(x[i]...). With Padded, the end of the arrays goes through the same vector code as the rest of them, so that the
// bits of an element do not depend on where it stands.
template <bool Padded, class F, class R, class... T>
EG_INLINE void each_element(F f, int64_t n, R* y, const T*... x) {
  if constexpr (Padded) {
    const int64_t whole = n / kStep * kStep;
    if (whole) run_steps(f, whole, y, x...);
    if (n > whole) run_rest(f, n - whole, y + whole, padded(x + whole, n - whole)...);
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = R(f(x[i]...));
  }
}

constexpr int64_t kBlock = 256;

// A block of at most kBlock elements by `quick`, which vectorises, but those that do not fit it by `full`. y may be x.
template <class Q, class P, class F, class R, class... T>
EG_INLINE void each_quickly(Q quick, P fits, F full, int64_t n, R* y, const T*... x) {
  R out[kBlock];
  each_element<true>(quick, n, out, x...);
  int32_t rest = 0;
  for (int64_t i = 0; i < n; ++i) rest += fits(x[i]...) ? 0 : 1;
  for (int64_t i = 0; rest && i < n; ++i)
    if (!fits(x[i]...)) {
      out[i] = full(x[i]...);
      --rest;
    }
  for (int64_t i = 0; i < n; ++i) y[i] = out[i];
}

}  // namespace
}  // namespace eg
