// The arithmetic of every optimizer, once. A rule is a struct with
//   kStates    how many state tensors it keeps,
//   prepare    the numbers that depend on the step count, once a parameter,
//   operator() the update of one element,
//   fading     what steps without a gradient do, for rows that lag behind.
// T is what an element is: a vector of them on the CPU (kernels/lanes.h), float or double on the GPU, Tensor where the step
// itself is differentiated; N is what an option is: double, or Tensor. Names of functions are those of vocabulary.h, which
// exist for Tensors too.
// References to the papers stand in eagergrad/optim.
#pragma once

#include "kernels/optim_items.h"
#include "kernels/vocabulary.h"

namespace eg::optim_rules {
namespace {

using namespace vocabulary;  // NOLINT: the vocabulary of the rules

EG_INLINE double number(double x) { return x; }
EG_INLINE double power(double x, double y) { return ::pow(x, y); }

// ---- what most rules share --------------------------------------------------------------------------

// The moving average m + w (x - m), in the form that is exact at the end it is closer to.
template <class T, class = std::enable_if_t<std::is_floating_point_v<T>>>
EG_INLINE T average(T m, T x, T w) {
  return w < T(0.5) ? m + w * (x - m) : x - (x - m) * (T(1) - w);
}

// Direction of the step and weight decay: added to the gradient, or (decoupled) shrinking the
// parameter. Without decay the parameter stays out of it: an infinite one would make a NaN of 0 * inf.
template <class T, class N>
struct Decay {
  bool adds, shrinks;
  T direction, decay, keep;
  explicit Decay(const OptimOptionsOf<N>& o)
      : adds(!o.decoupled && o.decays),
        shrinks(o.decoupled && o.decays),
        direction(o.maximize ? T(-1.0) : T(1.0)),
        decay(T(o.weight_decay)),
        keep(T(1 - o.lr * o.weight_decay)) {}
  EG_INLINE T grad(const T& g, const T& p) const {
    const T along = g * direction;  // a branch here keeps GCC 12 from vectorising
    return adds ? along + decay * p : along;
  }
  EG_INLINE T shrunk(const T& p) const { return shrinks ? p * keep : p; }
};

template <class T, class N>
struct Moments {
  T weight1, beta2, weight2;
  explicit Moments(const OptimOptionsOf<N>& o)
      : weight1(T(1 - o.beta1)), beta2(T(o.beta2)), weight2(T(1 - o.beta2)) {}
  EG_INLINE void operator()(T& m, T& v, const T& g) const {
    m = average(m, g, weight1);
    v = beta2 * v + weight2 * g * g;
  }
};

// Note [Rows that lag behind]. With a lazy group a row is looked at only in steps that have a gradient for it. When it
// comes back after k others, they are made up for at once, as if its gradient had been 0 in them: averages are
// multiplied by decay^k, the parameter by (1 - lr * weight_decay)^k, whether the decay is decoupled or not. What momentum
// would have moved the parameter by in the k steps is left out, as in PyTorch's SparseAdam.
struct Fading {
  double param = 1;
  double state[kOptimStates] = {1, 1, 1};
  bool follows = false;  // states are means of the parameter: they fade towards it
};
EG_INLINE double kept(const OptimOptions& o, double k) {
  return o.decays ? ::pow(1 - o.lr * o.weight_decay, k) : 1;
}
EG_INLINE Fading fading_moments(const OptimOptions& o, double k) {
  return {kept(o, k), {::pow(o.beta1, k), ::pow(o.beta2, k), 1}};
}

// ---- rules ------------------------------------------------------------------------------------------

template <class T, class N, bool kMomentum>
struct SGD {
  static constexpr int kStates = kMomentum;
  Decay<T, N> decay;
  T lr, momentum, weight;
  bool nesterov, fresh;

  static void prepare(const OptimOptionsOf<N>&, OptimItemOf<N>&) {}
  SGD(const OptimOptionsOf<N>& o, const OptimItemOf<N>& item)
      : decay(o),
        lr(T(o.lr)),
        momentum(T(o.momentum)),
        weight(T(1 - o.dampening)),
        nesterov(o.nesterov),
        fresh(item.fresh) {}
  static Fading fading(const OptimOptions& o, const OptimItem&, double k) {
    return {kept(o, k), {::pow(o.momentum, k), 1, 1}};
  }
  EG_INLINE void operator()(T& p, T g, T& buffer, T&, T&) const {
    g = decay.grad(g, p);
    if constexpr (kMomentum) {
      buffer = fresh ? g : momentum * buffer + weight * g;
      g = nesterov ? g + momentum * buffer : buffer;
    }
    p = p - lr * g;
  }
};

template <class T, class N, bool kAmsgrad>
struct Adam {
  static constexpr int kStates = kAmsgrad ? 3 : 2;
  Decay<T, N> decay;
  Moments<T, N> moments;
  T step_size, inverse_root, eps;

  static void prepare(const OptimOptionsOf<N>& o, OptimItemOf<N>& item) {
    item.coefficient[0] = o.lr / (1 - power(o.beta1, item.step));
    item.coefficient[1] = 1 / sqrt(1 - power(o.beta2, item.step));
  }
  Adam(const OptimOptionsOf<N>& o, const OptimItemOf<N>& item)
      : decay(o),
        moments(o),
        step_size(T(item.coefficient[0])),
        inverse_root(T(item.coefficient[1])),
        eps(T(o.eps)) {}
  static Fading fading(const OptimOptions& o, const OptimItem&, double k) {
    return fading_moments(o, k);
  }
  EG_INLINE void operator()(T& p, T g, T& m, T& v, T& largest) const {
    g = decay.grad(g, p);
    moments(m, v, g);
    T second = v;
    if constexpr (kAmsgrad) second = largest = maximum(largest, v);
    p = decay.shrunk(p) - step_size * m / (sqrt(second) * inverse_root + eps);
  }
};

template <class T, class N>
struct Adamax {
  static constexpr int kStates = 2;
  Decay<T, N> decay;
  Moments<T, N> moments;
  T step_size, eps;

  static void prepare(const OptimOptionsOf<N>& o, OptimItemOf<N>& item) {
    item.coefficient[0] = o.lr / (1 - power(o.beta1, item.step));
  }
  Adamax(const OptimOptionsOf<N>& o, const OptimItemOf<N>& item)
      : decay(o), moments(o), step_size(T(item.coefficient[0])), eps(T(o.eps)) {}
  static Fading fading(const OptimOptions& o, const OptimItem&, double k) {
    return fading_moments(o, k);
  }
  EG_INLINE void operator()(T& p, T g, T& m, T& largest, T&) const {
    g = decay.grad(g, p);
    m = average(m, g, moments.weight1);
    largest = maximum(moments.beta2 * largest, abs(g) + eps);
    p = p - step_size * m / largest;
  }
};

template <class T, class N>
struct NAdam {
  static constexpr int kStates = 2;
  Decay<T, N> decay;
  Moments<T, N> moments;
  T grad_size, moment_size, inverse_bias, eps;

  static void prepare(const OptimOptionsOf<N>& o, OptimItemOf<N>& item) {
    const double t = item.step;
    const double part = 1 - 0.5 * ::pow(0.96, t * o.momentum_decay);
    const double part_next = 1 - 0.5 * ::pow(0.96, (t + 1) * o.momentum_decay);
    const N mu = o.beta1 * part, mu_next = o.beta1 * part_next;
    const double product = item.scalar[0] *= number(mu);
    item.coefficient[0] = o.lr * (1 - mu) / (1 - product);
    item.coefficient[1] = o.lr * mu_next / (1 - product * mu_next);
    item.coefficient[2] = 1 / (1 - power(o.beta2, t));
  }
  NAdam(const OptimOptionsOf<N>& o, const OptimItemOf<N>& item)
      : decay(o),
        moments(o),
        grad_size(T(item.coefficient[0])),
        moment_size(T(item.coefficient[1])),
        inverse_bias(T(item.coefficient[2])),
        eps(T(o.eps)) {}
  static Fading fading(const OptimOptions& o, const OptimItem&, double k) {
    return fading_moments(o, k);
  }
  EG_INLINE void operator()(T& p, T g, T& m, T& v, T&) const {
    p = decay.shrunk(p);
    g = decay.grad(g, p);
    moments(m, v, g);
    p = p - (grad_size * g + moment_size * m) / (sqrt(v * inverse_bias) + eps);
  }
};

template <class T, class N>
struct RAdam {
  static constexpr int kStates = 2;
  Decay<T, N> decay;
  Moments<T, N> moments;
  T step_size, eps;
  bool rectified;

  // The length of the approximated moving average, equation 5 of the paper, decides.
  static bool is_rectified(const OptimOptionsOf<N>& o, double t) {
    const double beta2 = number(o.beta2), shrunk = ::pow(beta2, t);
    return 2 / (1 - beta2) - 1 - 2 * t * shrunk / (1 - shrunk) > 5;
  }
  static void prepare(const OptimOptionsOf<N>& o, OptimItemOf<N>& item) {
    const double t = item.step;
    item.coefficient[0] = o.lr / (1 - power(o.beta1, t));
    if (!is_rectified(o, t)) return;
    const N shrunk = power(o.beta2, t), bias = 1 - shrunk;
    const N longest = 2 / (1 - o.beta2) - 1;
    const N length = longest - 2 * t * shrunk / bias;
    const N rectifier =
        (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length) * bias;
    item.coefficient[0] = item.coefficient[0] * sqrt(rectifier);
  }
  RAdam(const OptimOptionsOf<N>& o, const OptimItemOf<N>& item)
      : decay(o),
        moments(o),
        step_size(T(item.coefficient[0])),
        eps(T(o.eps)),
        rectified(is_rectified(o, item.step)) {}
  static Fading fading(const OptimOptions& o, const OptimItem&, double k) {
    return fading_moments(o, k);
  }
  EG_INLINE void operator()(T& p, T g, T& m, T& v, T&) const {
    p = decay.shrunk(p);
    g = decay.grad(g, p);
    moments(m, v, g);
    p = p - (rectified ? step_size * m / (sqrt(v) + eps) : step_size * m);
  }
};

template <class T, class N>
struct Adagrad {
  static constexpr int kStates = 1;
  Decay<T, N> decay;
  T step_size, eps;

  static void prepare(const OptimOptionsOf<N>& o, OptimItemOf<N>& item) {
    item.coefficient[0] = o.lr / (1 + (item.step - 1) * o.lr_decay);
  }
  Adagrad(const OptimOptionsOf<N>& o, const OptimItemOf<N>& item)
      : decay(o), step_size(T(item.coefficient[0])), eps(T(o.eps)) {}
  static Fading fading(const OptimOptions& o, const OptimItem&, double k) {
    return {kept(o, k), {1, 1, 1}};
  }
  EG_INLINE void operator()(T& p, T g, T& sum, T&, T&) const {
    g = decay.grad(g, p);
    sum = sum + g * g;
    p = p - step_size * g / (sqrt(sum) + eps);
  }
};

template <class T, class N>
struct Adadelta {
  static constexpr int kStates = 2;
  Decay<T, N> decay;
  T lr, rho, weight, eps;

  static void prepare(const OptimOptionsOf<N>&, OptimItemOf<N>&) {}
  Adadelta(const OptimOptionsOf<N>& o, const OptimItemOf<N>&)
      : decay(o), lr(T(o.lr)), rho(T(o.rho)), weight(T(1 - o.rho)), eps(T(o.eps)) {}
  static Fading fading(const OptimOptions& o, const OptimItem&, double k) {
    return {kept(o, k), {::pow(o.rho, k), ::pow(o.rho, k), 1}};
  }
  EG_INLINE void operator()(T& p, T g, T& square_avg, T& acc_delta, T&) const {
    g = decay.grad(g, p);
    square_avg = rho * square_avg + weight * g * g;
    const T delta = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * g;
    acc_delta = rho * acc_delta + weight * delta * delta;
    p = p - lr * delta;
  }
};

// States: square_avg, then momentum_buffer if there is one, then grad_avg if centered.
template <class T, class N, bool kMomentum, bool kCentered>
struct RMSprop {
  static constexpr int kStates = 1 + kMomentum + kCentered;
  Decay<T, N> decay;
  T lr, alpha, weight, eps, momentum;

  static void prepare(const OptimOptionsOf<N>&, OptimItemOf<N>&) {}
  RMSprop(const OptimOptionsOf<N>& o, const OptimItemOf<N>&)
      : decay(o),
        lr(T(o.lr)),
        alpha(T(o.alpha)),
        weight(T(1 - o.alpha)),
        eps(T(o.eps)),
        momentum(T(o.momentum)) {}
  static Fading fading(const OptimOptions& o, const OptimItem&, double k) {
    const double decay = ::pow(o.alpha, k);
    return {kept(o, k), {decay, kMomentum ? ::pow(o.momentum, k) : decay, decay}};
  }
  EG_INLINE void operator()(T& p, T g, T& square_avg, T& second, T& third) const {
    g = decay.grad(g, p);
    square_avg = alpha * square_avg + weight * g * g;
    T variance = square_avg;
    if constexpr (kCentered) {
      T& grad_avg = kMomentum ? third : second;
      grad_avg = average(grad_avg, g, weight);
      variance = variance - grad_avg * grad_avg;
    }
    T update = g / (sqrt(variance) + eps);
    if constexpr (kMomentum) update = second = momentum * second + update;
    p = p - lr * update;
  }
};

template <class T, class N>
struct Rprop {
  static constexpr int kStates = 2;
  T direction, eta_minus, eta_plus, step_min, step_max;

  static void prepare(const OptimOptionsOf<N>&, OptimItemOf<N>&) {}
  Rprop(const OptimOptionsOf<N>& o, const OptimItemOf<N>&)
      : direction(o.maximize ? T(-1.0) : T(1.0)),
        eta_minus(T(o.eta_minus)),
        eta_plus(T(o.eta_plus)),
        step_min(T(o.step_min)),
        step_max(T(o.step_max)) {}
  static Fading fading(const OptimOptions& o, const OptimItem&, double k) {
    return {1, {k > 0 ? 0.0 : 1.0, 1, 1}};  // no previous sign
  }
  EG_INLINE void operator()(T& p, T g, T& previous, T& step_size, T&) const {
    g = g * direction;
    const T agreement = g * previous, zero = T(0.0), one = T(1.0);
    const T factor = where(agreement > zero, eta_plus, where(agreement < zero, eta_minus, one));
    step_size = minimum(maximum(step_size * factor, step_min), step_max);
    g = where(agreement < zero, zero, g);
    p = p - sign(g) * step_size;
    previous = g;
  }
};

template <class T, class N>
struct ASGD {
  static constexpr int kStates = 1;
  Decay<T, N> decay;
  T eta, shrink, mu;
  bool averages;

  static void prepare(const OptimOptionsOf<N>& o, OptimItemOf<N>& item) {
    const double t = item.step, next = t - o.t0, lr = number(o.lr);
    item.coefficient[0] = N(item.scalar[0]);
    item.coefficient[1] = N(item.scalar[1]);
    item.averages = item.scalar[1] != 1;
    item.scalar[0] = lr / ::pow(1 + o.lambd * lr * t, o.alpha);
    item.scalar[1] = next > 1 ? 1 / next : 1;
  }
  ASGD(const OptimOptionsOf<N>& o, const OptimItemOf<N>& item)
      : decay(o),
        eta(T(item.coefficient[0])),
        shrink(T(1 - o.lambd * item.coefficient[0])),
        mu(T(item.coefficient[1])),
        averages(item.averages) {}
  // The mean took its 1 / n of the parameter in step n + 1 + t0.
  static Fading fading(const OptimOptions& o, const OptimItem& item, double k) {
    const double eta = item.coefficient[0], last = item.step - 2 - o.t0, first = last - k;
    return {::pow(1 - eta * (o.lambd + o.weight_decay), k),
            {k > 0 ? (first > 0 ? first / last : 0.0) : 1.0, 1, 1},
            true};
  }
  EG_INLINE void operator()(T& p, T g, T& mean, T&, T&) const {
    g = decay.grad(g, p);
    p = p * shrink - eta * g;
    mean = averages ? mean + mu * (p - mean) : p;
  }
};

template <class T, class N>
struct Lion {
  static constexpr int kStates = 1;
  Decay<T, N> decay;
  Moments<T, N> moments;
  T lr;

  static void prepare(const OptimOptionsOf<N>&, OptimItemOf<N>&) {}
  Lion(const OptimOptionsOf<N>& o, const OptimItemOf<N>&) : decay(o), moments(o), lr(T(o.lr)) {}
  static Fading fading(const OptimOptions& o, const OptimItem&, double k) {
    return {kept(o, k), {::pow(o.beta2, k), 1, 1}};
  }
  EG_INLINE void operator()(T& p, T g, T& m, T&, T&) const {
    g = decay.grad(g, p);
    const T update = sign(average(m, g, moments.weight1));
    m = average(m, g, moments.weight2);
    p = decay.shrunk(p) - lr * update;
  }
};

// Adam of rows alone: its eps is added to the root before the bias is corrected, as in PyTorch.
template <class T, class N>
struct SparseAdam : Adam<T, N, false> {
  SparseAdam(const OptimOptionsOf<N>& o, const OptimItemOf<N>& item) : Adam<T, N, false>(o, item) {
    this->eps = T(o.eps * item.coefficient[1]);
  }
  static Fading fading(const OptimOptions&, const OptimItem&, double) { return {}; }
};

// Calls f with a template of rules: f(kind) where kind.template rule<T, N> is the rule's type.
#define EG_RULE_KIND(kind, ...)                \
  struct kind {                                \
    static constexpr const char* name = #kind; \
    template <class T, class N>                \
    using rule = __VA_ARGS__;                  \
  };
EG_RULE_KIND(PlainSGD, SGD<T, N, false>)
EG_RULE_KIND(MomentumSGD, SGD<T, N, true>)
EG_RULE_KIND(PlainAdam, Adam<T, N, false>)
EG_RULE_KIND(AMSGrad, Adam<T, N, true>)
EG_RULE_KIND(AnyAdamax, Adamax<T, N>)
EG_RULE_KIND(AnyNAdam, NAdam<T, N>)
EG_RULE_KIND(AnyRAdam, RAdam<T, N>)
EG_RULE_KIND(AnyAdagrad, Adagrad<T, N>)
EG_RULE_KIND(AnyAdadelta, Adadelta<T, N>)
EG_RULE_KIND(PlainRMSprop, RMSprop<T, N, false, false>)
EG_RULE_KIND(CenteredRMSprop, RMSprop<T, N, false, true>)
EG_RULE_KIND(MomentumRMSprop, RMSprop<T, N, true, false>)
EG_RULE_KIND(CenteredMomentumRMSprop, RMSprop<T, N, true, true>)
EG_RULE_KIND(AnyRprop, Rprop<T, N>)
EG_RULE_KIND(AnyASGD, ASGD<T, N>)
EG_RULE_KIND(AnyLion, Lion<T, N>)
EG_RULE_KIND(AnySparseAdam, SparseAdam<T, N>)
#undef EG_RULE_KIND

template <class N, class F>
EG_INLINE auto visit_rule(OptimRule rule, const OptimOptionsOf<N>& o, F&& f) {
  switch (rule) {
    case OptimRule::SGD:
      return o.has_momentum ? f(MomentumSGD{}) : f(PlainSGD{});
    case OptimRule::Adam:
      return o.amsgrad ? f(AMSGrad{}) : f(PlainAdam{});
    case OptimRule::Adamax:
      return f(AnyAdamax{});
    case OptimRule::NAdam:
      return f(AnyNAdam{});
    case OptimRule::RAdam:
      return f(AnyRAdam{});
    case OptimRule::Adagrad:
      return f(AnyAdagrad{});
    case OptimRule::Adadelta:
      return f(AnyAdadelta{});
    case OptimRule::RMSprop:
      if (o.has_momentum) return o.centered ? f(CenteredMomentumRMSprop{}) : f(MomentumRMSprop{});
      return o.centered ? f(CenteredRMSprop{}) : f(PlainRMSprop{});
    case OptimRule::Rprop:
      return f(AnyRprop{});
    case OptimRule::ASGD:
      return f(AnyASGD{});
    case OptimRule::Lion:
      return f(AnyLion{});
    case OptimRule::SparseAdam:
      return f(AnySparseAdam{});
  }
  __builtin_unreachable();
}

// Parameters of a group have nearly always seen the same number of steps.
EG_INLINE bool same_schedule(const OptimItem& a, const OptimItem& b, const double* scalar) {
  return a.step == b.step && scalar[0] == b.scalar[0] && scalar[1] == b.scalar[1];
}
// prepare(options, item) for every item, once for those that agree.
template <class F>
void prepare_all(F&& prepare, const OptimOptions& options, OptimItem* items, int64_t count) {
  double before[kOptimScalars] = {};
  for (int64_t k = 0; k < count; ++k) {
    OptimItem& item = items[k];
    if (k > 0 && same_schedule(items[k - 1], item, before)) {
      for (int c = 0; c < kOptimCoefficients; ++c)
        item.coefficient[c] = items[k - 1].coefficient[c];
      item.averages = items[k - 1].averages;
      for (int c = 0; c < kOptimScalars; ++c) item.scalar[c] = items[k - 1].scalar[c];
    } else {
      for (int c = 0; c < kOptimScalars; ++c) before[c] = item.scalar[c];
      prepare(options, item);
    }
  }
}

}  // namespace
}  // namespace eg::optim_rules
