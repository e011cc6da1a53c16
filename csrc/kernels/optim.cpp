// The arithmetic of every optimizer, once. A rule is a struct with
//   kStates    how many state tensors it keeps,
//   prepare    the scalars that depend on the step number, in double, once an item,
//   operator() the update of one element.
// References to the papers stand in eagergrad/optim.
#include "kernels/optim.h"

#include <math.h>

#include "core/parallel.h"

namespace eg {
namespace {

EG_INLINE float root(float x) { return __builtin_sqrtf(x); }
EG_INLINE double root(double x) { return __builtin_sqrt(x); }
EG_INLINE float magnitude(float x) { return __builtin_fabsf(x); }
EG_INLINE double magnitude(double x) { return __builtin_fabs(x); }
template <class T>
EG_INLINE T sign(T x) {
  return T(x > T(0)) - T(x < T(0));
}
// NaN wins, as in torch.maximum.
template <class T>
EG_INLINE T maximum(T a, T b) {
  return b > a || b != b ? b : a;
}
template <class T>
EG_INLINE T minimum(T a, T b) {
  return b < a || b != b ? b : a;
}
// The moving average m + w (x - m), in the form that is exact at the end it is closer to.
template <class T>
EG_INLINE T lerp(T m, T x, T w) {
  return w < T(0.5) ? m + w * (x - m) : x - (x - m) * (T(1) - w);
}

// ---- what most rules share
// ------------------------------------------------------------------------

// Direction of the step and weight decay: added to the gradient, or (decoupled) shrinking the
// parameter.
template <class T>
struct Decay {
  T direction, decay, keep;
  explicit Decay(const OptimOptions& o)
      : direction(o.maximize ? T(-1) : T(1)),
        decay(o.decoupled ? T(0) : T(o.weight_decay)),
        keep(o.decoupled ? T(1 - o.lr * o.weight_decay) : T(1)) {}
  // Without decay the parameter stays out of it: an infinite one would make a NaN of 0 * inf.
  EG_INLINE T grad(T g, T p) const {
    g *= direction;
    return decay != T(0) ? g + decay * p : g;
  }
};

template <class T>
struct Moments {
  T beta1, weight1, beta2, weight2;
  explicit Moments(const OptimOptions& o)
      : beta1(T(o.beta1)), weight1(T(1 - o.beta1)), beta2(T(o.beta2)), weight2(T(1 - o.beta2)) {}
  EG_INLINE void operator()(T& m, T& v, T g) const {
    m = lerp(m, g, weight1);
    v = beta2 * v + weight2 * g * g;
  }
};

// ---- rules
// ----------------------------------------------------------------------------------------

template <class T, bool kMomentum>
struct SGD {
  static constexpr int kStates = kMomentum;
  Decay<T> decay;
  T lr, momentum, weight;
  bool nesterov, fresh;

  static void prepare(const OptimOptions&, OptimItem&) {}
  SGD(const OptimOptions& o, const OptimItem& item)
      : decay(o),
        lr(T(o.lr)),
        momentum(T(o.momentum)),
        weight(T(1 - o.dampening)),
        nesterov(o.nesterov),
        fresh(item.fresh) {}
  EG_INLINE void operator()(T& p, T g, T& buffer, T&, T&) const {
    g = decay.grad(g, p);
    if constexpr (kMomentum) {
      buffer = fresh ? g : momentum * buffer + weight * g;
      g = nesterov ? g + momentum * buffer : buffer;
    }
    p -= lr * g;
  }
};

template <class T, bool kAmsgrad>
struct Adam {
  static constexpr int kStates = kAmsgrad ? 3 : 2;
  Decay<T> decay;
  Moments<T> moments;
  T step_size, inverse_root, eps;

  static void prepare(const OptimOptions& o, OptimItem& item) {
    item.coefficient[0] = o.lr / (1 - pow(o.beta1, item.step));
    item.coefficient[1] = 1 / sqrt(1 - pow(o.beta2, item.step));
  }
  Adam(const OptimOptions& o, const OptimItem& item)
      : decay(o),
        moments(o),
        step_size(T(item.coefficient[0])),
        inverse_root(T(item.coefficient[1])),
        eps(T(o.eps)) {}
  EG_INLINE void operator()(T& p, T g, T& m, T& v, T& v_max) const {
    g = decay.grad(g, p);
    moments(m, v, g);
    T second = v;
    if constexpr (kAmsgrad) second = v_max = maximum(v_max, v);
    p = p * decay.keep - step_size * m / (root(second) * inverse_root + eps);
  }
};

template <class T>
struct Adamax {
  static constexpr int kStates = 2;
  Decay<T> decay;
  Moments<T> moments;
  T step_size, eps;

  static void prepare(const OptimOptions& o, OptimItem& item) {
    item.coefficient[0] = o.lr / (1 - pow(o.beta1, item.step));
  }
  Adamax(const OptimOptions& o, const OptimItem& item)
      : decay(o), moments(o), step_size(T(item.coefficient[0])), eps(T(o.eps)) {}
  EG_INLINE void operator()(T& p, T g, T& m, T& largest, T&) const {
    g = decay.grad(g, p);
    m = lerp(m, g, moments.weight1);
    largest = maximum(moments.beta2 * largest, magnitude(g) + eps);
    p -= step_size * m / largest;
  }
};

template <class T>
struct NAdam {
  static constexpr int kStates = 2;
  Decay<T> decay;
  Moments<T> moments;
  T grad_size, moment_size, inverse_bias, eps;

  static void prepare(const OptimOptions& o, OptimItem& item) {
    const double t = item.step;
    const double mu = o.beta1 * (1 - 0.5 * pow(0.96, t * o.momentum_decay));
    const double mu_next = o.beta1 * (1 - 0.5 * pow(0.96, (t + 1) * o.momentum_decay));
    const double product = item.scalar[0] *= mu;
    item.coefficient[0] = o.lr * (1 - mu) / (1 - product);
    item.coefficient[1] = o.lr * mu_next / (1 - product * mu_next);
    item.coefficient[2] = 1 / (1 - pow(o.beta2, t));
  }
  NAdam(const OptimOptions& o, const OptimItem& item)
      : decay(o),
        moments(o),
        grad_size(T(item.coefficient[0])),
        moment_size(T(item.coefficient[1])),
        inverse_bias(T(item.coefficient[2])),
        eps(T(o.eps)) {}
  EG_INLINE void operator()(T& p, T g, T& m, T& v, T&) const {
    p *= decay.keep;
    g = decay.grad(g, p);
    moments(m, v, g);
    p -= (grad_size * g + moment_size * m) / (root(v * inverse_bias) + eps);
  }
};

template <class T>
struct RAdam {
  static constexpr int kStates = 2;
  Decay<T> decay;
  Moments<T> moments;
  T step_size, eps;
  bool rectified;

  static void prepare(const OptimOptions& o, OptimItem& item) {
    const double t = item.step, power = pow(o.beta2, t), bias2 = 1 - power;
    const double rho_inf = 2 / (1 - o.beta2) - 1;
    const double rho = rho_inf - 2 * t * power / bias2;
    const bool rectified = rho > 5;
    const double rectifier =
        sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho) * bias2);
    item.coefficient[0] = o.lr / (1 - pow(o.beta1, t)) * (rectified ? rectifier : 1);
    item.coefficient[1] = rectified;
  }
  RAdam(const OptimOptions& o, const OptimItem& item)
      : decay(o),
        moments(o),
        step_size(T(item.coefficient[0])),
        eps(T(o.eps)),
        rectified(item.coefficient[1] != 0) {}
  EG_INLINE void operator()(T& p, T g, T& m, T& v, T&) const {
    p *= decay.keep;
    g = decay.grad(g, p);
    moments(m, v, g);
    p -= step_size * m / (rectified ? root(v) + eps : T(1));
  }
};

template <class T>
struct Adagrad {
  static constexpr int kStates = 1;
  Decay<T> decay;
  T step_size, eps;

  static void prepare(const OptimOptions& o, OptimItem& item) {
    item.coefficient[0] = o.lr / (1 + (item.step - 1) * o.lr_decay);
  }
  Adagrad(const OptimOptions& o, const OptimItem& item)
      : decay(o), step_size(T(item.coefficient[0])), eps(T(o.eps)) {}
  EG_INLINE void operator()(T& p, T g, T& sum, T&, T&) const {
    g = decay.grad(g, p);
    sum += g * g;
    p -= step_size * g / (root(sum) + eps);
  }
};

template <class T>
struct Adadelta {
  static constexpr int kStates = 2;
  Decay<T> decay;
  T lr, rho, weight, eps;

  static void prepare(const OptimOptions&, OptimItem&) {}
  Adadelta(const OptimOptions& o, const OptimItem&)
      : decay(o), lr(T(o.lr)), rho(T(o.rho)), weight(T(1 - o.rho)), eps(T(o.eps)) {}
  EG_INLINE void operator()(T& p, T g, T& square_avg, T& acc_delta, T&) const {
    g = decay.grad(g, p);
    square_avg = rho * square_avg + weight * g * g;
    const T delta = root(acc_delta + eps) / root(square_avg + eps) * g;
    acc_delta = rho * acc_delta + weight * delta * delta;
    p -= lr * delta;
  }
};

// States: square_avg, then momentum_buffer if there is one, then grad_avg if centered.
template <class T, bool kMomentum, bool kCentered>
struct RMSprop {
  static constexpr int kStates = 1 + kMomentum + kCentered;
  Decay<T> decay;
  T lr, alpha, weight, eps, momentum;

  static void prepare(const OptimOptions&, OptimItem&) {}
  RMSprop(const OptimOptions& o, const OptimItem&)
      : decay(o),
        lr(T(o.lr)),
        alpha(T(o.alpha)),
        weight(T(1 - o.alpha)),
        eps(T(o.eps)),
        momentum(T(o.momentum)) {}
  EG_INLINE void operator()(T& p, T g, T& square_avg, T& second, T& third) const {
    g = decay.grad(g, p);
    square_avg = alpha * square_avg + weight * g * g;
    T variance = square_avg;
    if constexpr (kCentered) {
      T& grad_avg = kMomentum ? third : second;
      grad_avg = lerp(grad_avg, g, weight);
      variance -= grad_avg * grad_avg;
    }
    T update = g / (root(variance) + eps);
    if constexpr (kMomentum) update = second = momentum * second + update;
    p -= lr * update;
  }
};

template <class T>
struct Rprop {
  static constexpr int kStates = 2;
  T direction, eta_minus, eta_plus, step_min, step_max;

  static void prepare(const OptimOptions&, OptimItem&) {}
  Rprop(const OptimOptions& o, const OptimItem&)
      : direction(o.maximize ? T(-1) : T(1)),
        eta_minus(T(o.eta_minus)),
        eta_plus(T(o.eta_plus)),
        step_min(T(o.step_min)),
        step_max(T(o.step_max)) {}
  EG_INLINE void operator()(T& p, T g, T& previous, T& step_size, T&) const {
    g *= direction;
    const T agreement = g * previous;
    const T grown = step_size * (agreement > T(0) ? eta_plus : agreement < T(0) ? eta_minus : T(1));
    step_size = grown < step_min ? step_min : grown > step_max ? step_max : grown;
    g = agreement < T(0) ? T(0) : g;
    p -= sign(g) * step_size;
    previous = g;
  }
};

template <class T>
struct ASGD {
  static constexpr int kStates = 1;
  Decay<T> decay;
  T eta, shrink, mu;

  static void prepare(const OptimOptions& o, OptimItem& item) {
    const double t = item.step, next = t - o.t0;
    item.coefficient[0] = item.scalar[0];
    item.coefficient[1] = item.scalar[1];
    item.scalar[0] = o.lr / pow(1 + o.lambd * o.lr * t, o.alpha);
    item.scalar[1] = next > 1 ? 1 / next : 1;
  }
  ASGD(const OptimOptions& o, const OptimItem& item)
      : decay(o),
        eta(T(item.coefficient[0])),
        shrink(T(1 - o.lambd * item.coefficient[0])),
        mu(T(item.coefficient[1])) {}
  EG_INLINE void operator()(T& p, T g, T& average, T&, T&) const {
    g = decay.grad(g, p);
    p = p * shrink - eta * g;
    average = mu != T(1) ? average + mu * (p - average) : p;
  }
};

template <class T>
struct Lion {
  static constexpr int kStates = 1;
  Decay<T> decay;
  Moments<T> moments;
  T lr;

  static void prepare(const OptimOptions&, OptimItem&) {}
  Lion(const OptimOptions& o, const OptimItem&) : decay(o), moments(o), lr(T(o.lr)) {}
  EG_INLINE void operator()(T& p, T g, T& m, T&, T&) const {
    g = decay.grad(g, p);
    const T update = sign(lerp(m, g, moments.weight1));
    m = lerp(m, g, moments.weight2);
    p = p * decay.keep - lr * update;
  }
};

// ---- the loops
// ------------------------------------------------------------------------------------

template <class Rule, class T>
EG_INLINE void update_dense(const Rule& rule, T* p, const T* g, T* s0, T* s1, T* s2, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    T none = T(0);
    rule(p[i], g[i], Rule::kStates > 0 ? s0[i] : none, Rule::kStates > 1 ? s1[i] : none,
         Rule::kStates > 2 ? s2[i] : none);
  }
}

template <class T, class Rule>
EG_INLINE void update_part(const Rule& rule, const OptimItem& item, int64_t begin, int64_t n) {
  T* s[kOptimStates] = {};
  for (int k = 0; k < Rule::kStates; ++k) s[k] = static_cast<T*>(item.state[k]) + begin;
  update_dense(rule, static_cast<T*>(item.param) + begin, static_cast<const T*>(item.grad) + begin,
               s[0], s[1], s[2], n);
}

struct Steps {
  int states;
  void (*prepare)(const OptimOptions&, OptimItem&);
  void (*update)(const OptimOptions&, const OptimItem&, int64_t, int64_t);
};
template <template <class> class Rule>
struct Stepper {
  static void prepare(const OptimOptions& o, OptimItem& item) { Rule<float>::prepare(o, item); }
  static void update(const OptimOptions& o, const OptimItem& item, int64_t begin, int64_t n) {
    if (item.dtype == DType::Float64) {
      update_part<double>(Rule<double>(o, item), item, begin, n);
    } else {
      update_part<float>(Rule<float>(o, item), item, begin, n);
    }
  }
};
template <template <class> class Rule>
constexpr Steps steps() {
  return {Rule<float>::kStates, &Stepper<Rule>::prepare, &Stepper<Rule>::update};
}

template <class T>
using PlainSGD = SGD<T, false>;
template <class T>
using MomentumSGD = SGD<T, true>;
template <class T>
using PlainAdam = Adam<T, false>;
template <class T>
using AMSGrad = Adam<T, true>;
template <class T>
using RMSprop00 = RMSprop<T, false, false>;
template <class T>
using RMSprop01 = RMSprop<T, false, true>;
template <class T>
using RMSprop10 = RMSprop<T, true, false>;
template <class T>
using RMSprop11 = RMSprop<T, true, true>;

Steps choose(OptimRule rule, const OptimOptions& o) {
  switch (rule) {
    case OptimRule::SGD:
      return o.momentum != 0 ? steps<MomentumSGD>() : steps<PlainSGD>();
    case OptimRule::Adam:
      return o.amsgrad ? steps<AMSGrad>() : steps<PlainAdam>();
    case OptimRule::Adamax:
      return steps<Adamax>();
    case OptimRule::NAdam:
      return steps<NAdam>();
    case OptimRule::RAdam:
      return steps<RAdam>();
    case OptimRule::Adagrad:
      return steps<Adagrad>();
    case OptimRule::Adadelta:
      return steps<Adadelta>();
    case OptimRule::RMSprop:
      if (o.momentum > 0) return o.centered ? steps<RMSprop11>() : steps<RMSprop10>();
      return o.centered ? steps<RMSprop01>() : steps<RMSprop00>();
    case OptimRule::Rprop:
      return steps<Rprop>();
    case OptimRule::ASGD:
      return steps<ASGD>();
    case OptimRule::Lion:
      return steps<Lion>();
  }
  __builtin_unreachable();
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

template <class H>
void update_half(const Steps& steps, const OptimOptions& o, const OptimItem& item, int64_t begin,
                 int64_t n) {
  float wide[kOptimStates + 2][kStrip];
  H* narrow[kOptimStates + 2] = {static_cast<H*>(item.param),
                                 static_cast<H*>(const_cast<void*>(item.grad))};
  OptimItem strip = item;
  strip.dtype = DType::Float32;
  strip.param = wide[0];
  strip.grad = wide[1];
  for (int k = 0; k < steps.states; ++k) {
    narrow[k + 2] = static_cast<H*>(item.state[k]);
    strip.state[k] = wide[k + 2];
  }
  const int tensors = steps.states + 2;
  for (int64_t from = begin; from < begin + n; from += kStrip) {
    const int64_t left = begin + n - from, m = left < kStrip ? left : kStrip;
    for (int k = 0; k < tensors; ++k)
      for (int64_t i = 0; i < m; ++i) wide[k][i] = to_float(narrow[k][from + i]);
    steps.update(o, strip, 0, m);
    for (int k = 0; k < tensors; ++k)
      for (int64_t i = 0; k != 1 && i < m; ++i) store(narrow[k][from + i], wide[k][i]);
  }
}

void update(const Steps& steps, const OptimOptions& o, const OptimItem& item, int64_t begin,
            int64_t n) {
  if (item.dtype == DType::Float16) return update_half<Half>(steps, o, item, begin, n);
  if (item.dtype == DType::BFloat16) return update_half<BFloat16>(steps, o, item, begin, n);
  steps.update(o, item, begin, n);
}

// ---- all items together
// ---------------------------------------------------------------------------

// Parameters of a group have nearly always seen the same number of steps.
bool same_schedule(const OptimItem& a, const OptimItem& b, const double* scalar) {
  return a.step == b.step && scalar[0] == b.scalar[0] && scalar[1] == b.scalar[1];
}

void prepare_all(const Steps& steps, const OptimOptions& options, OptimItem* items, int64_t count) {
  double before[kOptimScalars] = {};
  for (int64_t k = 0; k < count; ++k) {
    OptimItem& item = items[k];
    if (k > 0 && same_schedule(items[k - 1], item, before)) {
      for (int c = 0; c < kOptimCoefficients; ++c)
        item.coefficient[c] = items[k - 1].coefficient[c];
      for (int c = 0; c < kOptimScalars; ++c) item.scalar[c] = items[k - 1].scalar[c];
    } else {
      for (int c = 0; c < kOptimScalars; ++c) before[c] = item.scalar[c];
      steps.prepare(options, item);
    }
  }
}

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

void step(OptimRule rule, const OptimOptions& options, OptimItem* items, int64_t count) {
  const Steps steps = choose(rule, options);
  prepare_all(steps, options, items, count);
  for_each_part(items, count, [&](const OptimItem& item, int64_t begin, int64_t n) {
    update(steps, options, item, begin, n);
  });
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
  const auto absolute = [](double v) { return magnitude(v); };
  if (p == 2) return reduce_block(x, n, 0, [](double v) { return v * v; }, add);
  if (p == 1) return reduce_block(x, n, 0, absolute, add);
  if (p == HUGE_VAL) return reduce_block(x, n, 0, absolute, larger);
  if (p == -HUGE_VAL) return reduce_block(x, n, HUGE_VAL, absolute, smaller);
  if (p == 0) return reduce_block(x, n, 0, [](double v) { return double(v != 0); }, add);
  return reduce_block(x, n, 0, [p](double v) { return pow(magnitude(v), p); }, add);
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

EG_INLINE int64_t blocks_of(const DenseSpan& span) {
  return (span.size + kNormBlock - 1) / kNormBlock;
}

void norm_blocks(const DenseSpan* spans, int64_t count, double p, double* partial) {
  int64_t total = 0;
  for (int64_t k = 0; k < count; ++k) total += blocks_of(spans[k]);
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

template <class F>
void apply(const DenseSpan* spans, int64_t count, F f) {
  for_each_part(spans, count, [&](const DenseSpan& span, int64_t begin, int64_t n) {
    visit_dense(span, [&](auto* x) {
      for (int64_t i = begin; i < begin + n; ++i) store(x[i], f(load(x[i])));
    });
  });
}

void scale(const DenseSpan* spans, int64_t count, double factor) {
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

EG_KERNELS(OptimKernels, {&step, &norm_blocks, &scale, &clamp});
}  // namespace eg
