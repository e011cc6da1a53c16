// Steps of optimizers, norms and scaling over lists of tensors: one launch for all of them. A block works on a chunk of one
// tensor.
#include "joins.cuh"
#include "kernels/optim_rules.h"
#include "optim_layouts.h"

namespace eg {

template <class Kind, class S>
using rule_t = typename Kind::template rule<compute_t<S>, double>;

// The tensor that this block works on: the last whose first block is not behind it.
template <class Entry>
__device__ __forceinline__ const Entry& entry_of_block(const Entry* entries, int count) {
  int low = 0, high = count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (entries[middle].first_block <= blockIdx.x) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return entries[low];
}

// One element: read, changed by f(param, grad, states...), and written back.
template <class Rule, class S, class F>
__device__ __forceinline__ void update_element(void* param, void* const* state, const void* grad,
                                               int64_t i, int64_t grad_at, F&& f) {
  using T = compute_t<S>;
  T p = cast<T>(static_cast<const S*>(param)[i]);
  const T g = grad ? cast<T>(static_cast<const S*>(grad)[grad_at]) : T(0);
  T s[kOptimStates] = {};
#pragma unroll
  for (int k = 0; k < Rule::kStates; ++k) s[k] = cast<T>(static_cast<const S*>(state[k])[i]);
  f(p, g, s);
  static_cast<S*>(param)[i] = cast<S>(p);
#pragma unroll
  for (int k = 0; k < Rule::kStates; ++k) static_cast<S*>(state[k])[i] = cast<S>(s[k]);
}

template <class Kind, class S>
__global__ void step_dense(const OptimEntry* entries, int count, const RuleEntry* rules) {
  using T = compute_t<S>;
  using Rule = rule_t<Kind, S>;
  static_assert(sizeof(Rule) <= kRuleBytes, "a rule does not fit its place");
  const OptimEntry& e = entry_of_block(entries, count);
  const Rule rule = *reinterpret_cast<const Rule*>(rules[e.rule].bytes);
  void* const param = e.param;
  const void* const grad = e.grad;
  void* const state[kOptimStates] = {e.state[0], e.state[1], e.state[2]};
  const int64_t begin = (blockIdx.x - e.first_block) * kOptimChunk;
  const int64_t end = begin + kOptimChunk < e.size ? begin + kOptimChunk : e.size;
#pragma unroll 2
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x)
    update_element<Rule, S>(param, state, grad, i, i,
                            [&](T& p, T g, T* s) { rule(p, g, s[0], s[1], s[2]); });
}

// Counts a step of each parameter and makes its rule, where the device keeps what it depends on.
template <class Kind, class S>
__global__ void count_steps(const CountEntry* entries, int count, OptimOptions options,
                            RuleEntry* rules) {
  using Rule = rule_t<Kind, S>;
  const auto read = [](const DeviceNumber& at) {
    return load_as<double>(static_cast<const char*>(at.data), int(at.dtype));
  };
  const auto write = [](const DeviceNumber& at, double v) {
    store_as(static_cast<char*>(at.data), int(at.dtype), v);
  };
  for (EG_ELEMENTS(k, count)) {
    const CountEntry& e = entries[k];
    OptimOptions o = options;
    if (e.rate.data) o.lr = read(e.rate);
    OptimItem item;
    item.fresh = e.fresh;
    item.step = e.counted.data ? read(e.counted) + 1 : e.step;
    for (int s = 0; s < kOptimScalars; ++s)
      item.scalar[s] = e.running[s].data ? read(e.running[s]) : e.scalar[s];
    Rule::prepare(o, item);
    if (e.counted.data) write(e.counted, item.step);
    for (int s = 0; s < kOptimScalars; ++s)
      if (e.running[s].data) write(e.running[s], item.scalar[s]);
    *reinterpret_cast<Rule*>(rules[e.rule].bytes) = Rule(o, item);
  }
}

// Rows of one parameter, a block a row. See Note [Rows that lag behind] in optim_rules.h.
template <class Kind, class S>
__global__ void step_rows(rule_t<Kind, S> rule, OptimOptions options, OptimItem item) {
  using T = compute_t<S>;
  using Rule = rule_t<Kind, S>;
  const bool skips = item.lazy && item.touched;
  const int64_t units = skips ? item.touched_rows : item.rows;
  for (int64_t u = blockIdx.x; u < units; u += gridDim.x) {
    const int64_t row = skips ? item.touched[u] : u;
    const int64_t done = int64_t(item.step) - 1;
    const int64_t lag =
        item.row_steps && item.row_steps[row] < done ? done - item.row_steps[row] : 0;
    optim_rules::Fading by;
    if (lag > 0) by = Rule::fading(options, item, double(lag));
    int64_t from = skips ? u : row;  // the row of grad
    const void* grad = item.grad;
    if (!skips && item.touched) {
      int64_t low = 0, high = item.touched_rows;
      while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (item.touched[middle] < row) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      from = low;
      if (low == item.touched_rows || item.touched[low] != row) grad = nullptr;
    }
    for (int64_t i = threadIdx.x; i < item.width; i += blockDim.x)
      update_element<Rule, S>(item.param, item.state, grad, row * item.width + i,
                              from * item.width + i, [&](T& p, T g, T* s) {
                                if (lag > 0) {
                                  for (int k = 0; k < Rule::kStates; ++k) {
                                    if (by.follows) {
                                      s[k] = p + (s[k] - p) * T(by.state[k]);
                                    } else {
                                      s[k] = by.state[k] == 0 ? T(0) : s[k] * T(by.state[k]);
                                    }
                                  }
                                  p = by.param == 0 ? T(0) : p * T(by.param);
                                }
                                if (item.updates) rule(p, g, s[0], s[1], s[2]);
                              });
    __syncthreads();  // all have read row_steps
    if (threadIdx.x == 0 && item.row_steps)
      item.row_steps[row] = int64_t(item.step) - (item.updates ? 0 : 1);
  }
}

// --- norms, scaling -------------------------------------------------------------------------------------------------

// f(elements, first, one past the last) for this block's chunk, as what they are.
template <class F>
__device__ __forceinline__ void visit_chunk(const SpanEntry* entries, int count, F&& f) {
  const SpanEntry& e = entry_of_block(entries, count);
  const int64_t begin = (blockIdx.x - e.first_block) * kOptimChunk;
  const int64_t end = begin + kOptimChunk < e.size ? begin + kOptimChunk : e.size;
  switch (e.dtype) {
    case DType::Float64:
      return f(static_cast<double*>(e.data), begin, end);
    case DType::Float16:
      return f(static_cast<Half*>(e.data), begin, end);
    case DType::BFloat16:
      return f(static_cast<BFloat16*>(e.data), begin, end);
    default:
      return f(static_cast<float*>(e.data), begin, end);
  }
}

// What elements contribute to a norm, and how contributions are joined.
enum NormKind { kTwo, kOne, kMost, kLeast, kCount, kPower };
template <int kKind, class T>
struct NormRule {
  static __device__ T start() { return kKind == kLeast ? T(INFINITY) : T(0); }
  static __device__ T term(T x, double p) {
    if constexpr (kKind == kTwo) {
      return x * x;
    } else if constexpr (kKind == kCount) {
      return T(x != 0);
    } else if constexpr (kKind == kPower) {
      return vocabulary::pow(vocabulary::abs(x), T(p));
    } else {
      return vocabulary::abs(x);
    }
  }
  static __device__ void join(T& s, T o) {
    if constexpr (kKind == kMost) {
      s = vocabulary::maximum(s, o);
    } else if constexpr (kKind == kLeast) {
      s = vocabulary::minimum(s, o);
    } else {
      s += o;
    }
  }
};

template <int kKind>
__global__ void norm_chunks(const SpanEntry* entries, int count, double p, double* partial) {
  using R = NormRule<kKind, double>;
  double total = R::start();
  visit_chunk(entries, count, [&](auto* x, int64_t begin, int64_t end) {
    using T = compute_t<std::decay_t<decltype(*x)>>;
    using E = NormRule<kKind, T>;
    T s[4];
    for (int k = 0; k < 4; ++k) s[k] = E::start();
    int64_t i = begin + threadIdx.x;
    for (; i + 3 * blockDim.x < end; i += 4 * blockDim.x) {
#pragma unroll
      for (int k = 0; k < 4; ++k) E::join(s[k], E::term(cast<T>(x[i + k * blockDim.x]), p));
    }
    for (; i < end; i += blockDim.x) E::join(s[0], E::term(cast<T>(x[i]), p));
    for (int k = 0; k < 4; ++k) R::join(total, double(s[k]));
  });
  total = join_block<R>(total);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

// One block.
template <int kKind>
__global__ void __launch_bounds__(1024)
    norm_total(const double* partial, int64_t n, double p, int dtype, void* out) {
  using R = NormRule<kKind, double>;
  double total = kKind == kLeast ? double(INFINITY) : 0.0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) R::join(total, partial[i]);
  total = join_block<R>(total);
  if (kKind == kTwo) total = ::sqrt(total);
  if (kKind == kPower) total = ::pow(total, 1 / p);
  if (threadIdx.x == 0) store_as(static_cast<char*>(out), dtype, total);
}

// See ScaleFactor in kernels/optim.h.
__global__ void scale(const SpanEntry* entries, int count, double factor, const void* norm,
                      int norm_type) {
  if (norm) {
    factor /= load_as<double>(static_cast<const char*>(norm), norm_type) + 1e-6;
    if (factor >= 1) return;
  }
  visit_chunk(entries, count, [&](auto* x, int64_t begin, int64_t end) {
    using S = std::decay_t<decltype(*x)>;
    const compute_t<S> by = compute_t<S>(factor);
#pragma unroll 4
    for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x)
      x[i] = cast<S>(cast<compute_t<S>>(x[i]) * by);
  });
}

__global__ void clamp(const SpanEntry* entries, int count, double low, double high) {
  visit_chunk(entries, count, [&](auto* x, int64_t begin, int64_t end) {
    using S = std::decay_t<decltype(*x)>;
    using T = compute_t<S>;
#pragma unroll 4
    for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
      T v = cast<T>(x[i]);
      v = v < T(low) ? T(low) : v;
      x[i] = cast<S>(v > T(high) ? T(high) : v);
    }
  });
}

}  // namespace eg
