// Runs a rule of optim_rules.h over the elements of many tensors; norms, scaling and clamping of lists of tensors.
#include "kernels/optim.h"

#include "core/parallel.h"
#include "kernels/integers.h"
#include "kernels/lanes.h"
#include "kernels/optim_rules.h"
#include "kernels/scratch.h"
#include "kernels/square.h"

namespace eg {

namespace lanes {
namespace {

// As optim_rules' of numbers; all lanes have the same weight.
template <class T>
EG_INLINE Lanes<T> average(Lanes<T> m, Lanes<T> x, Lanes<T> w) {
  return w.v[0] < T(0.5) ? m + w * (x - m) : x - (x - m) * (Lanes<T>(1) - w);
}

}  // namespace
}  // namespace lanes

namespace {

using namespace optim_rules;  // NOLINT
using lanes::Lanes;

// ---- the loops
// ------------------------------------------------------------------------------------

// The tensors of an item: the parameter, its gradient, the states.
template <class T>
struct Parts {
  T* at[kOptimStates + 2];
};

// Whole vectors. Compiled once, or the bits of an element would depend on where it stands: a copy may be contracted otherwise.
template <class T, class Rule>
__attribute__((noinline)) void update_vectors(const Rule& rule, const Parts<T>& x, int64_t n) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t i = 0; i < n / L * L; i += L) {
    Lanes<T> state[kOptimStates] = {T(0), T(0), T(0)};
    for (int k = 0; k < Rule::kStates; ++k) state[k] = load(x.at[k + 2] + i);
    Lanes<T> param = load(x.at[0] + i);
    rule(param, load(x.at[1] + i), state[0], state[1], state[2]);
    store(x.at[0] + i, param.v);
    for (int k = 0; k < Rule::kStates; ++k) store(x.at[k + 2] + i, state[k].v);
  }
}

template <class T, class Rule>
EG_INLINE void update_part(const Rule& rule, const OptimItem& item, int64_t begin, int64_t n) {
  constexpr int64_t L = kLanes<T>;
  constexpr int kTensors = Rule::kStates + 2;
  Parts<T> x{{static_cast<T*>(item.param), static_cast<T*>(const_cast<void*>(item.grad))}};
  for (int k = 2; k < kTensors; ++k) x.at[k] = static_cast<T*>(item.state[k - 2]);
  for (int k = 0; k < kTensors; ++k) x.at[k] += begin;
  if (n >= L) update_vectors(rule, x, n);
  const int64_t rest = n % L;
  if (rest == 0) return;
  T last[kTensors][L];
  Parts<T> y{};
  for (int k = 0; k < kTensors; ++k) {
    y.at[k] = last[k];
    x.at[k] += n - rest;
    store(last[k], load_some(x.at[k], rest));
  }
  update_vectors(rule, y, L);
  for (int k = 0; k < kTensors; ++k)
    if (k != 1) store_some(x.at[k], load(last[k]), rest);
}

template <class T>
EG_INLINE void shrink(T* x, int64_t n, double factor) {
  const T by = T(factor);
  for (int64_t i = 0; i < n; ++i) x[i] = factor == 0 ? T(0) : x[i] * by;
}

// Makes up for steps without a gradient, Note [Rows that lag behind].
template <class T>
void fade_part(const Fading& by, int states, const OptimItem& item, int64_t begin, int64_t n) {
  T* p = static_cast<T*>(item.param) + begin;
  for (int k = 0; k < states; ++k) {
    T* s = static_cast<T*>(item.state[k]) + begin;
    if (by.follows) {
      for (int64_t i = 0; i < n; ++i) s[i] = p[i] + (s[i] - p[i]) * T(by.state[k]);
    } else if (by.state[k] != 1) {
      shrink(s, n, by.state[k]);
    }
  }
  if (by.param != 1) shrink(p, n, by.param);
}

struct Steps {
  int states;
  void (*prepare)(const OptimOptions&, OptimItem&);
  void (*update)(const OptimOptions&, const OptimItem&, int64_t, int64_t);
  Fading (*fading)(const OptimOptions&, const OptimItem&, double);
};
template <class Kind>
struct Stepper {
  template <class T>
  using Rule = typename Kind::template rule<T, double>;
  static void prepare(const OptimOptions& o, OptimItem& item) { Rule<float>::prepare(o, item); }
  static void update(const OptimOptions& o, const OptimItem& item, int64_t begin, int64_t n) {
    if (item.dtype == DType::Float64) {
      update_part<double>(Rule<Lanes<double>>(o, item), item, begin, n);
    } else {
      update_part<float>(Rule<Lanes<float>>(o, item), item, begin, n);
    }
  }
  static Fading fading(const OptimOptions& o, const OptimItem& item, double k) {
    return Rule<float>::fading(o, item, k);
  }
};

Steps choose(OptimRule rule, const OptimOptions& options) {
  return visit_rule(rule, options, [](auto kind) {
    using S = Stepper<decltype(kind)>;
    return Steps{S::template Rule<float>::kStates, &S::prepare, &S::update, &S::fading};
  });
}

// ---- halves: strips are widened to float, updated, and rounded back
// --------------------------------

EG_INLINE float load(float x) { return x; }
EG_INLINE double load(double x) { return x; }
EG_INLINE float load(Half x) { return to_float(x); }
EG_INLINE float load(BFloat16 x) { return to_float(x); }
EG_INLINE void store(float& to, float from) { to = from; }
EG_INLINE void store(double& to, double from) { to = from; }
EG_INLINE void store(Half& to, float from) { to = to_half(from); }
EG_INLINE void store(BFloat16& to, float from) { to = to_bfloat16(from); }

constexpr int64_t kStrip = 512;

// f(strip, n) for one strip after the other. Without a gradient only param and states are there.
template <class H, class F>
EG_INLINE void in_strips(int states, const OptimItem& item, int64_t begin, int64_t n, F&& f) {
  float wide[kOptimStates + 2][kStrip];
  H* narrow[kOptimStates + 2] = {static_cast<H*>(item.param),
                                 static_cast<H*>(const_cast<void*>(item.grad))};
  OptimItem strip = item;
  strip.dtype = DType::Float32;
  strip.param = wide[0];
  strip.grad = wide[1];
  for (int k = 0; k < states; ++k) {
    narrow[k + 2] = static_cast<H*>(item.state[k]);
    strip.state[k] = wide[k + 2];
  }
  const int tensors = states + 2;
  for (int64_t from = begin; from < begin + n; from += kStrip) {
    const int64_t left = begin + n - from, m = left < kStrip ? left : kStrip;
    for (int k = 0; k < tensors; ++k)
      for (int64_t i = 0; narrow[k] && i < m; ++i) wide[k][i] = to_float(narrow[k][from + i]);
    f(strip, m);
    for (int k = 0; k < tensors; ++k)
      for (int64_t i = 0; k != 1 && i < m; ++i) store(narrow[k][from + i], wide[k][i]);
  }
}

void update(const Steps& steps, const OptimOptions& o, const OptimItem& item, int64_t begin,
            int64_t n) {
  const auto strip = [&](const OptimItem& wide, int64_t m) { steps.update(o, wide, 0, m); };
  if (item.dtype == DType::Float16) return in_strips<Half>(steps.states, item, begin, n, strip);
  if (item.dtype == DType::BFloat16)
    return in_strips<BFloat16>(steps.states, item, begin, n, strip);
  steps.update(o, item, begin, n);
}

void fade(const Steps& steps, const Fading& by, const OptimItem& item, int64_t begin, int64_t n) {
  const int states = steps.states;
  const auto strip = [&](const OptimItem& wide, int64_t m) {
    fade_part<float>(by, states, wide, 0, m);
  };
  switch (item.dtype) {
    case DType::Float16:
      return in_strips<Half>(states, item, begin, n, strip);
    case DType::BFloat16:
      return in_strips<BFloat16>(states, item, begin, n, strip);
    case DType::Float64:
      return fade_part<double>(by, states, item, begin, n);
    default:
      return fade_part<float>(by, states, item, begin, n);
  }
}

// ---- all items together
// ---------------------------------------------------------------------------

// Splits [0, total size) of spans laid end to end; f(span, begin, n) for each part inside one span.
template <class Span, class F>
void for_each_part(const Span* spans, int64_t count, F&& f) {
  int64_t total = 0;
  for (int64_t k = 0; k < count; ++k) total += spans[k].size;
  parallel_for(total, kParallelGrain, [&](int64_t begin, int64_t end) {
    int64_t first = 0, k = 0;
    while (k < count && first + spans[k].size <= begin) first += spans[k++].size;
    for (; k < count && first < end; first += spans[k++].size) {
      const int64_t from = begin > first ? begin - first : 0;
      const int64_t to = end - first < spans[k].size ? end - first : spans[k].size;
      if (to > from) f(spans[k], from, to - from);
    }
  });
}

// ---- items by rows
// --------------------------------------------------------------------------------

// The factors for the commonest lags, computed once a step.
constexpr int64_t kFadings = 256;

class RowStep {
 public:
  RowStep(const Steps& steps, const OptimOptions& options, const OptimItem& item)
      : steps_(steps), options_(options), item_(item), bytes_(int64_t(item_size(item.dtype))) {
    int64_t longest = 0;
    const int64_t n = units();
    for (int64_t i = 0; item.row_steps && i < n; ++i) {
      const int64_t k = lag(row(i));
      longest = k > longest ? k : longest;
    }
    known_ = item.row_steps ? min64(longest + 1, kFadings) : 0;
    for (int64_t k = 0; k < known_; ++k) fadings_[k] = steps.fading(options, item, double(k));
  }

  // Rows that are looked at at all.
  int64_t units() const { return skips() ? item_.touched_rows : item_.rows; }

  void run(int64_t begin, int64_t end) const {
    if (item_.row_steps)
      for (int64_t i = begin; i < end; ++i) catch_up(row(i));
    if (!item_.updates || begin == end) return;
    const int64_t first = row(begin), last = row(end - 1) + 1;
    if (!item_.touched) return update_rows(first, last, item_.grad);
    int64_t i = skips() ? begin : before(first), at = first;
    while (i < item_.touched_rows && item_.touched[i] < last) {
      int64_t j = i + 1;
      while (j < item_.touched_rows && item_.touched[j] < last &&
             item_.touched[j] == item_.touched[j - 1] + 1)
        ++j;
      const int64_t from = item_.touched[i], to = item_.touched[j - 1] + 1;
      if (!skips()) update_without(at, from);
      update_rows(from, to, static_cast<const char*>(item_.grad) + (i - from) * row_bytes());
      at = to;
      i = j;
    }
    if (!skips()) update_without(at, last);
  }

 private:
  bool skips() const { return item_.lazy && item_.touched; }
  int64_t row(int64_t unit) const { return skips() ? item_.touched[unit] : unit; }
  int64_t row_bytes() const { return item_.width * bytes_; }
  int64_t lag(int64_t row) const {
    const int64_t done = int64_t(item_.step) - 1;
    return item_.row_steps[row] < done ? done - item_.row_steps[row] : 0;
  }
  // How many of the touched rows come before this one.
  int64_t before(int64_t row) const {
    int64_t low = 0, high = item_.touched_rows;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (item_.touched[middle] < row)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }

  void catch_up(int64_t row) const {
    const int64_t k = lag(row);
    if (k > 0) {
      OptimItem bare = item_;
      bare.grad = nullptr;
      fade(steps_, k < known_ ? fadings_[k] : steps_.fading(options_, item_, double(k)), bare,
           row * item_.width, item_.width);
    }
    item_.row_steps[row] = int64_t(item_.step) - (item_.updates ? 0 : 1);
  }
  // grad: such that row r has its gradient r rows further on.
  void update_rows(int64_t first, int64_t last, const void* grad) const {
    OptimItem part = item_;
    part.grad = grad;
    update(steps_, options_, part, first * item_.width, (last - first) * item_.width);
  }
  // Rows whose gradient is 0.
  void update_without(int64_t first, int64_t last) const {
    static const double zeros[kStrip] = {};
    const int64_t end = last * item_.width;
    OptimItem part = item_;
    for (int64_t at = first * item_.width; at < end; at += kStrip) {
      part.grad = reinterpret_cast<const char*>(zeros) - at * bytes_;
      update(steps_, options_, part, at, min64(end - at, kStrip));
    }
  }

  const Steps& steps_;
  const OptimOptions& options_;
  const OptimItem& item_;
  int64_t bytes_;
  int64_t known_;
  Fading fadings_[kFadings];
};

void step_rows(const Steps& steps, const OptimOptions& options, const OptimItem& item) {
  const RowStep rows(steps, options, item);
  const int64_t grain = item.width > 0 ? (kParallelGrain + item.width - 1) / item.width : 1;
  parallel_for(rows.units(), grain, [&](int64_t begin, int64_t end) { rows.run(begin, end); });
}

void step(OptimRule rule, const OptimOptions& options, OptimItem* items, int64_t count) {
  const Steps steps = choose(rule, options);
  prepare_all(steps.prepare, options, items, count);
  for_each_part(items, count, [&](const OptimItem& item, int64_t begin, int64_t n) {
    update(steps, options, item, begin, n);
  });
  for (int64_t k = 0; k < count; ++k)
    if (items[k].rows > 0) step_rows(steps, options, items[k]);
}

// ---- norms, scaling
// -------------------------------------------------------------------------------

// Lanes break the chain of additions, so that the loop vectorises without reordering anything.
template <class T, class Term, class Combine>
EG_INLINE double reduce_block(const T* x, int64_t n, double start, Term term, Combine combine) {
  constexpr int kLanes = 32;
  double lane[kLanes];
  for (int j = 0; j < kLanes; ++j) lane[j] = start;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < kLanes; ++j) lane[j] = combine(lane[j], term(load(x[i + j])));
  for (int j = 0; i < n; ++i, ++j) lane[j] = combine(lane[j], term(load(x[i])));
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) lane[j] = combine(lane[j], lane[j + width]);
  return lane[0];
}

template <class T>
double norm_block(const T* x, int64_t n, double p) {
  const auto add = [](double a, double b) { return a + b; };
  const auto larger = [](double a, double b) { return maximum(a, b); };
  const auto smaller = [](double a, double b) { return minimum(a, b); };
  const auto absolute = [](double v) { return abs(v); };
  if (p == 2) return reduce_block(x, n, 0, [](double v) { return v * v; }, add);
  if (p == 1) return reduce_block(x, n, 0, absolute, add);
  if (p == HUGE_VAL) return reduce_block(x, n, 0, absolute, larger);
  if (p == -HUGE_VAL) return reduce_block(x, n, HUGE_VAL, absolute, smaller);
  if (p == 0) return reduce_block(x, n, 0, [](double v) { return double(v != 0); }, add);
  return reduce_block(x, n, 0, [p](double v) { return pow(abs(v), p); }, add);
}

template <class F>
EG_INLINE auto visit_dense(const DenseSpan& span, F&& f) {
  switch (span.dtype) {
    case DType::Float64:
      return f(static_cast<double*>(span.data));
    case DType::Float16:
      return f(static_cast<Half*>(span.data));
    case DType::BFloat16:
      return f(static_cast<BFloat16*>(span.data));
    default:
      return f(static_cast<float*>(span.data));
  }
}

// Elements of one partial result of a norm: fixed, so that the bits do not depend on the threads.
constexpr int64_t kNormBlock = 8192;

EG_INLINE int64_t blocks_of(const DenseSpan& span) {
  return (span.size + kNormBlock - 1) / kNormBlock;
}

// partial[b] of block b: a span owns ceil(size / kNormBlock) blocks, one after the other.
void norm_blocks(const DenseSpan* spans, int64_t total, double p, double* partial) {
  parallel_for(total, kParallelGrain / kNormBlock, [&](int64_t begin, int64_t end) {
    int64_t first = 0, k = 0;
    for (int64_t block = begin; block < end; ++block) {
      while (first + blocks_of(spans[k]) <= block) first += blocks_of(spans[k++]);
      const int64_t from = (block - first) * kNormBlock, left = spans[k].size - from;
      const int64_t n = left < kNormBlock ? left : kNormBlock;
      partial[block] = visit_dense(spans[k], [&](auto* x) { return norm_block(x + from, n, p); });
    }
  });
}

double combine_norms(const double* partial, int64_t n, double p) {
  if (p == HUGE_VAL || p == -HUGE_VAL) {
    double best = p > 0 ? 0 : HUGE_VAL;
    for (int64_t k = 0; k < n; ++k)
      best = p > 0 ? maximum(best, partial[k]) : minimum(best, partial[k]);
    return best;
  }
  double sum = 0;
  for (int64_t k = 0; k < n; ++k) sum += partial[k];
  return p == 2 ? sqrt(sum) : p == 1 || p == 0 ? sum : pow(sum, 1 / p);
}

void norm(const DenseSpan* spans, int64_t count, double p, DType type, void* out) {
  int64_t total = 0;
  for (int64_t k = 0; k < count; ++k) total += blocks_of(spans[k]);
  Scratch<double> partial(total);
  norm_blocks(spans, total, p, partial.data());
  const double result = combine_norms(partial.data(), total, p);
  visit_dense({out, 1, type}, [&](auto* to) { store(*to, decltype(load(*to))(result)); });
}

template <class F>
void apply(const DenseSpan* spans, int64_t count, F f) {
  for_each_part(spans, count, [&](const DenseSpan& span, int64_t begin, int64_t n) {
    visit_dense(span, [&](auto* x) {
      for (int64_t i = begin; i < begin + n; ++i) store(x[i], f(load(x[i])));
    });
  });
}

void scale(const DenseSpan* spans, int64_t count, const ScaleFactor& by) {
  double factor = by.value;
  if (by.norm) {
    const DenseSpan norm{const_cast<void*>(by.norm), 1, by.norm_type};
    factor /= visit_dense(norm, [](auto* x) { return double(load(*x)); }) + 1e-6;
    if (factor >= 1) return;
  }
  apply(spans, count, [factor](auto x) { return x * decltype(x)(factor); });
}

void clamp(const DenseSpan* spans, int64_t count, double low, double high) {
  apply(spans, count, [low, high](auto x) {
    using T = decltype(x);
    x = x < T(low) ? T(low) : x;
    return x > T(high) ? T(high) : x;
  });
}

}  // namespace

EG_KERNELS(OptimKernels, {&step, &norm, &scale, &clamp});
}  // namespace eg
