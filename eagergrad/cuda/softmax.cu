// Softmax and cross entropy of lines: a warp or a block a line.
#include "joins.cuh"
#include "late.cuh"

namespace eg {

// All -inf: exp(-inf - (-inf)) is NaN, as PyTorch.
template <class T, bool kLog, bool kBlock, int K, bool kWide>
__global__ void __launch_bounds__(kBlock ? 1024 : 128)
    softmax(const T* x, T* y, int64_t lines, int64_t n) {
  using C = compute_t<T>;
  const Team<kBlock> team;
  for (int64_t line = team.first; line < lines; line += team.stride) {
    Held<T, K, kWide> held(team, x + line * n, n);
    T* q = y + line * n;
    if constexpr (K > 0) {
      C most = C(-INFINITY), sum = 0;
      held.each([&](int64_t, C v) { most = v > most ? v : most; });
      most = team.template join<Max<C>>(most);
      held.each([&](int64_t, C& v) {
        v -= most;
        const C e = exponential(v);
        if (!kLog) v = e;
        sum += e;
      });
      sum = team.template join<Sum<C>>(sum);
      const C scale = 1 / sum, log_sum = kLog ? vocabulary::log(sum) : C(0);
      held.put(q, [&](int k) { return kLog ? held.v[k] - log_sum : held.v[k] * scale; });
    } else {
      auto s = LogSumExp<C>::start();
      held.each([&](int64_t i, C v) { LogSumExp<C>::take(s, v, i); });
      s = team.template join<LogSumExp<C>>(s);
      const C scale = 1 / s.sum, log_sum = kLog ? vocabulary::log(s.sum) : C(0);
      held.each([&](int64_t i, C v) {
        v -= s.most;
        q[i] = cast<T>(kLog ? v - log_sum : exponential(v) * scale);
      });
    }
  }
}

template <class T, bool kLog, bool kBlock, int K, bool kWide>
__global__ void __launch_bounds__(kBlock ? 1024 : 128)
    softmax_backward(const T* g, const T* y, T* gx, int64_t lines, int64_t n) {
  using C = compute_t<T>;
  const Team<kBlock> team;
  for (int64_t line = team.first; line < lines; line += team.stride) {
    Held<T, K, kWide> held(team, g + line * n, n), held_y(team, y + line * n, n);
    T* q = gx + line * n;
    C v = 0;
    const auto result = [&](C x, C p) { return kLog ? x - exponential(p) * v : p * (x - v); };
    if constexpr (K > 0) {
#pragma unroll
      for (int k = 0; k < K; ++k)
        if (held.place(k) < int(n)) v += kLog ? held.v[k] : held.v[k] * held_y.v[k];
      v = team.template join<Sum<C>>(v);
      held.put(q, [&](int k) { return result(held.v[k], held_y.v[k]); });
    } else {
      held.each([&](int64_t i, C x) { v += kLog ? x : x * cast<C>(held_y.p[i]); });
      v = team.template join<Sum<C>>(v);
      held.each([&](int64_t i, C x) { q[i] = cast<T>(result(x, cast<C>(held_y.p[i]))); });
    }
  }
}

// See SoftmaxKernels in kernels/reduce.h.
template <class T, bool kBlock>
__global__ void __launch_bounds__(kBlock ? 1024 : 128)
    cross_entropy(const T* x, const int64_t* target, int64_t ignore, double smoothing,
                  compute_t<T>* loss, compute_t<T>* lse, int64_t lines, int64_t n) {
  using C = compute_t<T>;
  const Team<kBlock> team;
  for (int64_t line = team.first; line < lines; line += team.stride) {
    const T* p = x + line * n;
    auto s = over<LogSumExp<T>, false>(x, line * n, 1, team.lane, team.lanes, n);
    s = team.template join<LogSumExp<T>>(s);
    C sum = 0;
    if (smoothing != 0) {
      for (int64_t i = team.lane; i < n; i += team.lanes) sum += cast<C>(p[i]) - s.most;
      sum = team.template join<Sum<C>>(sum);
    }
    if (team.lane != 0) continue;
    const int64_t t = target[line];
    const C rest = vocabulary::log(s.sum), even = C(smoothing);
    lse[line] = s.most;
    lse[lines + line] = rest;
    C v = 0;
    if (t != ignore) {
      v = rest - (1 - even) * (cast<C>(p[t]) - s.most);
      if (smoothing != 0) v -= even * (sum / C(n));
    }
    loss[line] = v;
  }
}

template <class T, bool kBlock>
__global__ void __launch_bounds__(kBlock ? 1024 : 128)
    cross_entropy_backward(const T* x, const int64_t* target, int64_t ignore, double smoothing,
                           const compute_t<T>* lse, const compute_t<T>* scale, T* gx, int64_t lines,
                           int64_t n) {
  using C = compute_t<T>;
  const Team<kBlock> team;
  const C own = C(1 - smoothing), even = C(smoothing / double(n));
  for (int64_t line = team.first; line < lines; line += team.stride) {
    const int64_t t = target[line];
    const C s = t == ignore ? C(0) : scale[line], most = lse[line], rest = lse[lines + line];
    const T* p = x + line * n;
    T* q = gx + line * n;
#pragma unroll 4
    for (int64_t i = team.lane; i < n; i += team.lanes) {
      C v = exponential((cast<C>(p[i]) - most) - rest) - even;
      if (i == t) v -= own;
      q[i] = cast<T>(t == ignore ? C(0) : s * v);
    }
  }
}

// 256 threads a block.
__global__ void settle_targets(const int64_t* target, int64_t n, int64_t classes, int64_t ignore,
                               int64_t* settled, int64_t* present, LateCheck check) {
  int64_t counted = 0;
  for (EG_ELEMENTS(i, n)) {
    const int64_t t = target[i];
    settled[i] = t == ignore ? t : in_bounds(t, 0, classes, check);
    counted += t != ignore;
  }
  counted = join_block<Sum<int64_t>>(counted);
  if (threadIdx.x == 0) atomicAdd(reinterpret_cast<unsigned long long*>(present), counted);
}

}  // namespace eg
