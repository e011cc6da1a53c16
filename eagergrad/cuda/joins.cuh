// What reductions and scans join, and how the threads of a warp or a block do it. Everything is joined in an order that
// depends on the sizes alone.
//
// A rule is a struct with
//   Input, State     the element type, and what is known of the elements seen so far,
//   start()          of none,
//   take(s, x, i)    one more: x at position i,
//   join(s, other)   those of another state,
//   write(...)       the result.
#pragma once

#include "kernels/vocabulary.h"
#include "prelude.cuh"

namespace eg {

// Elements are joined in a type that shuffles can move.
template <class T>
using joined_t =
    std::conditional_t<std::is_integral_v<T> && (sizeof(T) < 4), int32_t, compute_t<T>>;

template <class T>
struct Limits {
  static __device__ T lowest() {
    if constexpr (std::is_floating_point_v<T>) {
      return T(-INFINITY);
    } else if constexpr (std::is_unsigned_v<T> || std::is_same_v<T, bool>) {
      return T(0);
    } else {
      return T(uint64_t(1) << (8 * sizeof(T) - 1));
    }
  }
  static __device__ T highest() {
    if constexpr (std::is_floating_point_v<T>) {
      return T(INFINITY);
    } else if constexpr (std::is_same_v<T, bool>) {
      return true;
    } else if constexpr (std::is_unsigned_v<T>) {
      return T(~T(0));
    } else {
      return T((uint64_t(1) << (8 * sizeof(T) - 1)) - 1);
    }
  }
};

// An element and where it stands.
template <class V>
struct Placed {
  V value;
  int64_t at;
};
// The sum of exp(x): sum * exp(most).
template <class V>
struct Scaled {
  V most, sum;
};
// Of n numbers: their mean, and the sum of squared differences from it.
template <class V>
struct Spread {
  V n, mean, m2;
};

// --- between lanes ------------------------------------------------------------------------------------------------

struct FromXor {
  int mask;
  template <class V>
  __device__ __forceinline__ V operator()(V v) const {
    return __shfl_xor_sync(~0u, v, mask);
  }
};
struct FromBelow {
  unsigned delta;
  template <class V>
  __device__ __forceinline__ V operator()(V v) const {
    return __shfl_up_sync(~0u, v, delta);
  }
};
struct FromFirst {
  int width;
  template <class V>
  __device__ __forceinline__ V operator()(V v) const {
    return __shfl_sync(~0u, v, 0, width);
  }
};
template <class F, class V>
__device__ __forceinline__ V moved(F from, V v) {
  return from(v);
}
template <class F, class V>
__device__ __forceinline__ Placed<V> moved(F from, Placed<V> s) {
  return {from(s.value), from(s.at)};
}
template <class F, class V>
__device__ __forceinline__ Scaled<V> moved(F from, Scaled<V> s) {
  return {from(s.most), from(s.sum)};
}
template <class F, class V>
__device__ __forceinline__ Spread<V> moved(F from, Spread<V> s) {
  return {from(s.n), from(s.mean), from(s.m2)};
}

// The states of each `width` lanes together, width a power of two. All 32 lanes take part; all get the same bits.
template <class R, class S>
__device__ __forceinline__ S join_lanes(S s, int width = 32) {
  for (int mask = width / 2; mask > 0; mask /= 2) R::join(s, moved(FromXor{mask}, s));
  return moved(FromFirst{width}, s);
}

// The states of all threads of a block of whole warps, in one dimension; all threads get the same bits.
template <class R, class S>
__device__ __forceinline__ S join_block(S s) {
  __shared__ S warps[32];
  s = join_lanes<R>(s);
  __syncthreads();  // an earlier call's results have been read
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = s;
  __syncthreads();
  s = warps[0];
  for (unsigned w = 1; w < blockDim.x / 32; ++w) R::join(s, warps[w]);
  return s;
}

// The threads that share a line: a whole block of one dimension, or a warp. Lines go round the grid.
template <bool kBlock>
struct Team {
  int lane = kBlock ? int(threadIdx.x) : int(threadIdx.x % 32);
  int lanes = kBlock ? int(blockDim.x) : 32;
  int64_t first =
      kBlock ? int64_t(blockIdx.x) : int64_t(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
  int64_t stride = int64_t(gridDim.x) * (kBlock ? 1 : blockDim.x / 32);
  template <class R, class S>
  __device__ __forceinline__ S join(S s) const {
    if constexpr (kBlock) {
      return join_block<R>(s);
    } else {
      return join_lanes<R>(s);
    }
  }
};

// --- rules ----------------------------------------------------------------------------------------------------------

__device__ __forceinline__ float exponential(float x) { return ::expf(x); }
__device__ __forceinline__ double exponential(double x) { return ::exp(x); }

// Results of halves are float, which the caller rounds.
template <class T>
using result_t = std::conditional_t<std::is_same_v<compute_t<T>, T>, T, float>;

template <class T>
struct Single {
  using Input = T;
  using State = joined_t<T>;
  static __device__ State value(State s) { return s; }
  static __device__ void write(void* first, void*, int64_t at, State s) {
    static_cast<result_t<T>*>(first)[at] = cast<result_t<T>>(s);
  }
};
template <class T>
struct Sum : Single<T> {
  using State = joined_t<T>;
  static __device__ State start() { return 0; }
  static __device__ void take(State& s, T x, int64_t) { s += cast<State>(x); }
  static __device__ void join(State& s, State o) { s += o; }
};
template <class T>
struct Prod : Single<T> {
  using State = joined_t<T>;
  static __device__ State start() { return 1; }
  static __device__ void take(State& s, T x, int64_t) { s *= cast<State>(x); }
  static __device__ void join(State& s, State o) { s *= o; }
};
template <class T>
struct Max : Single<T> {
  using State = joined_t<T>;
  static __device__ State start() { return cast<State>(Limits<compute_t<T>>::lowest()); }
  static __device__ void take(State& s, T x, int64_t) { join(s, cast<State>(x)); }
  static __device__ void join(State& s, State o) { s = vocabulary::maximum(s, o); }
};
template <class T>
struct Min : Single<T> {
  using State = joined_t<T>;
  static __device__ State start() { return cast<State>(Limits<compute_t<T>>::highest()); }
  static __device__ void take(State& s, T x, int64_t) { join(s, cast<State>(x)); }
  static __device__ void join(State& s, State o) { s = vocabulary::minimum(s, o); }
};
template <class T>
struct All : Single<T> {
  using State = joined_t<T>;
  static __device__ State start() { return 1; }
  static __device__ void take(State& s, T x, int64_t) { s = s && x; }
  static __device__ void join(State& s, State o) { s = s && o; }
};
template <class T>
struct Any : Single<T> {
  using State = joined_t<T>;
  static __device__ State start() { return 0; }
  static __device__ void take(State& s, T x, int64_t) { s = s || x; }
  static __device__ void join(State& s, State o) { s = s || o; }
};
template <class T>
struct LogSumExp {
  using Input = T;
  using V = compute_t<T>;
  using State = Scaled<V>;
  static __device__ State start() { return {V(-INFINITY), 0}; }
  static __device__ void take(State& s, T x, int64_t) {
    const V v = cast<V>(x);
    if (v > s.most) {
      s.sum = s.sum * exponential(s.most - v) + 1;
      s.most = v;
    } else {
      s.sum += v == s.most ? V(1) : exponential(v - s.most);  // inf - inf is NaN
    }
  }
  static __device__ void join(State& s, State o) {
    const V most = s.most > o.most ? s.most : o.most;
    s.sum = (s.most == most ? s.sum : s.sum * exponential(s.most - most)) +
            (o.most == most ? o.sum : o.sum * exponential(o.most - most));
    s.most = most;
  }
  static __device__ V value(State s) { return s.most + vocabulary::log(s.sum); }
  static __device__ void write(void* first, void*, int64_t at, State s) {
    static_cast<V*>(first)[at] = value(s);
  }
};

// The most extreme element with its position; NaN is more extreme than anything. Of equal ones the first, or the last.
template <class T, bool kLargest, bool kLast>
struct Extreme {
  using Input = T;
  using V = joined_t<T>;
  using State = Placed<V>;
  static __device__ State start() {
    using L = Limits<compute_t<T>>;
    return {cast<V>(kLargest ? L::lowest() : L::highest()),
            kLast ? -1 : int64_t(~uint64_t(0) >> 1)};
  }
  static __device__ void take(State& s, T x, int64_t i) { join(s, {cast<V>(x), i}); }
  static __device__ void join(State& s, State o) {
    const bool o_nan = o.value != o.value, s_nan = s.value != s.value;
    const bool equal = o_nan ? s_nan : o.value == s.value;
    const bool better =
        o_nan ? !s_nan : !s_nan && (kLargest ? o.value > s.value : o.value < s.value);
    if (better || (equal && (kLast ? o.at > s.at : o.at < s.at))) s = o;
  }
  static __device__ V value(State s) { return s.value; }
  static __device__ void write(void* first, void* second, int64_t at, State s) {
    static_cast<int64_t*>(first)[at] = s.at;
    if (second) Single<T>::write(second, nullptr, at, s.value);
  }
};
template <class T>
struct ArgMax : Extreme<T, true, false> {};
template <class T>
struct ArgMin : Extreme<T, false, false> {};
template <class T>
struct LastMax : Extreme<T, true, true> {};
template <class T>
struct LastMin : Extreme<T, false, true> {};

// Chan, Golub & LeVeque 1979: means and squared differences joined without cancellation.
template <class T>
struct Moments {
  using Input = T;
  using V = compute_t<T>;
  using State = Spread<V>;
  static __device__ State start() { return {0, 0, 0}; }
  static __device__ void take(State& s, T x, int64_t) {
    const V v = cast<V>(x), d = v - s.mean;
    s.n += 1;
    s.mean += d / s.n;
    s.m2 += d * (v - s.mean);
  }
  static __device__ void join(State& s, State o) {
    const V n = s.n + o.n;
    if (n == 0) return;
    const V d = o.mean - s.mean, share = o.n / n;
    s.mean += d * share;
    s.m2 += o.m2 + d * d * s.n * share;
    s.n = n;
  }
  static __device__ void write(void* first, void* second, int64_t at, State s) {
    static_cast<V*>(first)[at] = s.n == 0 ? V(NAN) : s.mean;
    static_cast<V*>(second)[at] = s.m2;
  }
};
// Mean and biased variance.
template <class T>
struct Variance : Moments<T> {
  using State = typename Moments<T>::State;
  static __device__ void write(void* first, void* second, int64_t at, State s) {
    s.m2 /= s.n;
    Moments<T>::write(first, second, at, s);
  }
};

// --- a thread's share of a line -------------------------------------------------------------------------------------

// Elements first, first + lanes, ... below end of a line whose neighbours lie `step` apart. Several loads are under way at a
// time. kStates: x are states of parts of the line.
template <class R, bool kStates>
__device__ __forceinline__ typename R::State over(const void* x, int64_t base, int64_t step,
                                                  int64_t first, int64_t lanes, int64_t end) {
  using Item = std::conditional_t<kStates, typename R::State, typename R::Input>;
  constexpr int kLoads = sizeof(Item) >= 4 ? 4 : sizeof(Item) == 2 ? 8 : 16, kSums = 4;
  const Item* p = static_cast<const Item*>(x) + base;
  const auto take = [](typename R::State& s, const Item& item, int64_t i) {
    if constexpr (kStates) {
      R::join(s, item);
    } else {
      R::take(s, item, i);
    }
  };
  typename R::State s[kSums];
  for (int k = 0; k < kSums; ++k) s[k] = R::start();
  int64_t i = first;
  for (; i + (kLoads - 1) * lanes < end; i += kLoads * lanes) {
    Item item[kLoads];
#pragma unroll
    for (int k = 0; k < kLoads; ++k) item[k] = p[(i + k * lanes) * step];
#pragma unroll
    for (int k = 0; k < kLoads; ++k) take(s[k % kSums], item[k], i + k * lanes);
  }
  for (; i < end; i += lanes) take(s[0], p[i * step], i);
  R::join(s[0], s[1]);
  R::join(s[2], s[3]);
  R::join(s[0], s[2]);
  return s[0];
}

// The elements of a line that a thread of its team works on: in registers, or, with K = 0, read again at every pass. kWide: four
// neighbours at a time, of lines whose length four divides and whose addresses Four fits.
template <class T, int K, bool kWide = false>
struct Held {
  using C = compute_t<T>;
  static_assert(!kWide || (K > 0 && K % 4 == 0));
  static constexpr int kNear = kWide ? 4 : 1;  // elements side by side
  const T* p;
  int64_t n;
  int lane, lanes;
  C v[K > 0 ? K : 1];

  template <class Team>
  __device__ __forceinline__ Held(const Team& team, const T* line, int64_t length)
      : p(line), n(length), lane(team.lane), lanes(team.lanes) {
    if constexpr (kWide) {
#pragma unroll
      for (int k = 0; k < K; k += 4) {
        const int i = place(k);
        if (i >= int(n)) break;
        const Four<T> four = *reinterpret_cast<const Four<T>*>(p + i);
#pragma unroll
        for (int r = 0; r < 4; ++r) v[k + r] = cast<C>(four.at[r]);
      }
    } else if constexpr (K > 0) {
#pragma unroll
      for (int k = 0; k < K; ++k)
        if (place(k) < int(n)) v[k] = cast<C>(p[place(k)]);
    }
  }
  // Where v[k] is in the line; of neighbours either all or none are in it.
  __device__ __forceinline__ int place(int k) const {
    return (lane + k / kNear * lanes) * kNear + k % kNear;
  }
  // f(i, x): x may be changed if K > 0.
  template <class F>
  __device__ __forceinline__ void each(F&& f) {
    if constexpr (K > 0) {
#pragma unroll
      for (int k = 0; k < K; k += kNear) {
        if (place(k) >= int(n)) break;
#pragma unroll
        for (int r = 0; r < kNear; ++r) f(int64_t(place(k) + r), v[k + r]);
      }
    } else {
#pragma unroll 4
      for (int64_t i = lane; i < n; i += lanes) {
        C x = cast<C>(p[i]);
        f(i, x);
      }
    }
  }
  // to[place(k)] = f(k), for K > 0.
  template <class F>
  __device__ __forceinline__ void put(T* to, F&& f) const {
#pragma unroll
    for (int k = 0; k < K; k += kNear) {
      const int i = place(k);
      if (i >= int(n)) break;
      if constexpr (kWide) {
        Four<T> four;
#pragma unroll
        for (int r = 0; r < 4; ++r) four.at[r] = cast<T>(f(k + r));
        *reinterpret_cast<Four<T>*>(to + i) = four;
      } else {
        to[i] = cast<T>(f(k));
      }
    }
  }
};

}  // namespace eg
