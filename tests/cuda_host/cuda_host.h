// CUDA C++ on the host, for tests: a kernel file compiled after this header by an ordinary C++ compiler. A block's threads are
// fibers of one host thread that switch at barriers and shuffles; emulator.cpp schedules them.
#pragma once

#include <math.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static  // blocks run one after the other
#define __constant__ static const
#define EG_CUDA_ON_HOST 1
#define EG_UNWATCHED __attribute__((no_sanitize("thread"), noinline))

struct dim3 {
  unsigned x, y, z;
};

extern "C" {
extern dim3 threadIdx, blockIdx, blockDim, gridDim;
extern char* eg_dynamic_shared;
void eg_block_barrier();
void eg_warp_barrier();
void eg_warp_fence();
// The slot of a thread of the running block, for shuffles.
uint64_t* eg_slot(unsigned thread);
bool eg_alive(unsigned thread);
}

constexpr int warpSize = 32;
inline void __syncthreads() { eg_block_barrier(); }
inline void __syncwarp(unsigned = ~0u) { eg_warp_fence(); }
inline void __threadfence() {}
inline void __threadfence_system() {}
inline void __threadfence_block() {}
inline void __trap() { __builtin_trap(); }

namespace eg_host {

inline unsigned linear_thread() {
  return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}

// The value of `source` in the caller's group of `width` lanes; the caller's own where there is no such thread.
template <class T>
T exchange(T value, int source_lane) {
  static_assert(sizeof(T) <= 8, "shuffles move at most eight bytes");
  const unsigned me = linear_thread(), first = me / 32 * 32;
  std::memcpy(eg_slot(me), &value, sizeof(T));
  eg_warp_barrier();
  T result = value;
  const unsigned from = first + unsigned(source_lane);
  if (source_lane >= 0 && source_lane < 32 && eg_alive(from))
    std::memcpy(&result, eg_slot(from), sizeof(T));
  eg_warp_barrier();
  return result;
}
inline int lane() { return int(linear_thread() % 32); }

template <class... P, size_t... I>
void call(void (*kernel)(P...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<std::decay_t<P>*>(arguments[I])...);
}
template <class... P>
void call(void (*kernel)(P...), void** arguments) {
  call(kernel, arguments, std::index_sequence_for<P...>{});
}

template <class T, class F>
EG_UNWATCHED T atomic_update(T* p, F f) {
  const T old = *p;  // fibers switch at barriers only
  *p = f(old);
  return old;
}

}  // namespace eg_host

template <class T>
T __shfl_sync(unsigned, T v, int source, int width = 32) {
  const int lane = eg_host::lane();
  return eg_host::exchange(v, lane / width * width + source % width);
}
template <class T>
T __shfl_xor_sync(unsigned, T v, int mask, int width = 32) {
  return eg_host::exchange(v, eg_host::lane() ^ mask);
}
template <class T>
T __shfl_down_sync(unsigned, T v, unsigned delta, int width = 32) {
  const int lane = eg_host::lane(), from = lane + int(delta);
  return eg_host::exchange(v, from / width == lane / width ? from : lane);
}
template <class T>
T __shfl_up_sync(unsigned, T v, unsigned delta, int width = 32) {
  const int lane = eg_host::lane(), from = lane - int(delta);
  return eg_host::exchange(v, from >= lane / width * width ? from : lane);
}
inline unsigned __ballot_sync(unsigned, int predicate) {
  const unsigned me = eg_host::linear_thread(), first = me / 32 * 32;
  *eg_slot(me) = predicate != 0;
  eg_warp_barrier();
  unsigned all = 0;
  for (unsigned i = 0; i < 32; ++i)
    if (eg_alive(first + i) && *eg_slot(first + i)) all |= 1u << i;
  eg_warp_barrier();
  return all;
}
inline int __any_sync(unsigned m, int predicate) { return __ballot_sync(m, predicate) != 0; }
inline int __all_sync(unsigned m, int predicate) { return __ballot_sync(m, !predicate) == 0; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
EG_UNWATCHED inline int __syncthreads_or(int predicate) {
  static int any;
  __syncthreads();
  any = 0;
  __syncthreads();
  if (predicate) any = 1;
  __syncthreads();
  return any;
}

template <class T>
T __ldg(const T* p) {
  return *p;
}
inline float __int_as_float(int i) {
  float f;
  std::memcpy(&f, &i, 4);
  return f;
}
inline int __float_as_int(float f) {
  int i;
  std::memcpy(&i, &f, 4);
  return i;
}
inline double __longlong_as_double(long long i) {
  double d;
  std::memcpy(&d, &i, 8);
  return d;
}
inline long long __double_as_longlong(double d) {
  long long i;
  std::memcpy(&i, &d, 8);
  return i;
}
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }

template <class T, class U>
T atomicAdd(T* p, U v) {
  return eg_host::atomic_update(p, [&](T old) { return T(old + T(v)); });
}
template <class T, class U>
T atomicMax(T* p, U v) {
  return eg_host::atomic_update(p, [&](T old) { return old > T(v) ? old : T(v); });
}
template <class T, class U>
T atomicMin(T* p, U v) {
  return eg_host::atomic_update(p, [&](T old) { return old < T(v) ? old : T(v); });
}
template <class T, class U>
T atomicExch(T* p, U v) {
  return eg_host::atomic_update(p, [&](T) { return T(v); });
}
template <class T, class U>
T atomicOr(T* p, U v) {
  return eg_host::atomic_update(p, [&](T old) { return T(old | T(v)); });
}
template <class T, class U, class V>
T atomicCAS(T* p, U compare, V v) {
  return eg_host::atomic_update(p, [&](T old) { return old == T(compare) ? T(v) : old; });
}

#include "tensor_cores.h"
