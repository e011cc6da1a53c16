// One number of a distribution that is drawn by rejection: read by the host's kernels and the GPU's. Each number has a stream of
// its own, so that rejections do not shift its neighbours.
#pragma once

#include "kernels/philox.h"

namespace eg {
namespace {

// Uniform doubles of one stream, one after the other.
struct UniformStream {
  uint64_t seed;
  uint64_t drawn = 0;
  Words words = {};

  EG_INLINE double next() {
    if (drawn % 2 == 0) words = philox(drawn / 2, seed);
    const int at = drawn++ % 2 ? 2 : 0;
    return unit(joined(words.w[at], words.w[at + 1]));
  }
  // Above 0.
  EG_INLINE double positive() { return next() + 1.0 / 18014398509481984.0; }
  EG_INLINE double normal() {
    const double radius = vocabulary::sqrt(-2 * vocabulary::log(positive()));
    return radius * vocabulary::cos(6.283185307179586 * next());
  }
};

// By multiplication for small rates, by transformed rejection for large ones (Hoermann's PTRS, 1993).
EG_INLINE double poisson_number(double rate, uint64_t seed) {
  UniformStream uniform{seed};
  if (!(rate > 0)) return 0;
  if (rate < 10) {
    const double limit = vocabulary::exp(-rate);
    double product = uniform.next(), k = 0;
    while (product > limit) {
      product *= uniform.next();
      k += 1;
    }
    return k;
  }
  const double b = 0.931 + 2.53 * vocabulary::sqrt(rate), a = -0.059 + 0.02483 * b;
  const double inverse = 1.1239 + 1.1328 / (b - 3.4), v_r = 0.9277 - 3.6224 / (b - 2);
  while (true) {
    const double u = uniform.next() - 0.5, v = uniform.next(), us = 0.5 - ::fabs(u);
    const double k = ::floor((2 * a / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= v_r) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (vocabulary::log(v) + vocabulary::log(inverse) - vocabulary::log(a / (us * us) + b) <=
        -rate + k * vocabulary::log(rate) - vocabulary::lgamma(k + 1))
      return k;
  }
}

// At most half of n: by inversion where few are expected, else by transformed rejection (Hoermann's BTRS, 1993).
EG_INLINE double rarer_binomial(double n, double p, UniformStream& uniform) {
  const double q = 1 - p, odds = p / q;
  if (n * p < 10) {
    const double none = vocabulary::exp(n * vocabulary::log1p(-p));
    while (true) {
      double u = uniform.next(), share = none, k = 0;
      for (; u > share && k <= n; k += 1) {
        u -= share;
        share *= odds * (n - k) / (k + 1);
      }
      if (k <= n) return k;
    }
  }
  const double spread = vocabulary::sqrt(n * p * q), b = 1.15 + 2.53 * spread;
  const double a = -0.0873 + 0.0248 * b + 0.01 * p, middle = n * p + 0.5, v_r = 0.92 - 4.2 / b;
  const double alpha = (2.83 + 5.1 / b) * spread, mode = ::floor((n + 1) * p);
  const double top = vocabulary::lgamma(mode + 1) + vocabulary::lgamma(n - mode + 1);
  while (true) {
    const double u = uniform.next() - 0.5, v = uniform.next(), us = 0.5 - ::fabs(u);
    const double k = ::floor((2 * a / us + b) * u + middle);
    if (us >= 0.07 && v <= v_r) return k;
    if (k < 0 || k > n) continue;
    if (vocabulary::log(v * alpha / (a / (us * us) + b)) <= top - vocabulary::lgamma(k + 1) -
                                                                vocabulary::lgamma(n - k + 1) +
                                                                (k - mode) * vocabulary::log(odds))
      return k;
  }
}
EG_INLINE double binomial_number(double n, double p, uint64_t seed) {
  UniformStream uniform{seed};
  if (!(n > 0) || !(p > 0)) return 0;
  if (p >= 1) return n;
  return p > 0.5 ? n - rarer_binomial(n, 1 - p, uniform) : rarer_binomial(n, p, uniform);
}

// The logarithm of a standard gamma number (Marsaglia and Tsang, 2000); a shape below 1 is drawn one higher and carried down by
// u^(1 / shape). The number itself would underflow for small shapes.
EG_INLINE double log_gamma_number(double shape, uint64_t seed) {
  UniformStream uniform{seed};
  const bool carried = shape < 1;
  const double d = (carried ? shape + 1 : shape) - 1.0 / 3, c = 1 / vocabulary::sqrt(9 * d);
  const double down = carried ? vocabulary::log(uniform.positive()) / shape : 0;
  if (!(shape > 0)) return NAN;
  if (!(shape < INFINITY)) return INFINITY;
  while (true) {
    const double x = uniform.normal(), root = 1 + c * x, v = root * root * root;
    if (root <= 0) continue;
    if (vocabulary::log(uniform.positive()) < 0.5 * x * x + d - d * v + d * vocabulary::log(v))
      return vocabulary::log(d * v) + down;
  }
}

// An angle in [-pi, pi] whose density is proportional to exp(k cos(angle)): Best and Fisher, 1979. Of concentrations above 1e6
// the angle is normal to the last digits.
EG_INLINE double von_mises_number(double k, uint64_t seed) {
  constexpr double pi = 3.141592653589793;
  UniformStream uniform{seed};
  if (!(k >= 0)) return NAN;
  if (k < 1e-8) return pi * (2 * uniform.next() - 1);
  if (k > 1e6) return uniform.normal() / vocabulary::sqrt(k);
  const double tau = 1 + vocabulary::sqrt(1 + 4 * k * k);
  const double rho = (tau - vocabulary::sqrt(2 * tau)) / (2 * k);
  const double r = k < 1e-5 ? 1 / k + k : (1 + rho * rho) / (2 * rho);
  while (true) {
    const double z = vocabulary::cos(pi * uniform.next()), w = (1 + r * z) / (r + z);
    const double y = k * (r - w), u = uniform.positive();
    if (y * (2 - y) < u && vocabulary::log(y / u) + 1 - y < 0) continue;
    const double angle = ::acos(w > 1 ? 1.0 : w < -1 ? -1.0 : w);
    return uniform.next() < 0.5 ? -angle : angle;
  }
}

// The derivative of log_gamma_number by the shape a: Note [Gradient of a gamma sample] in eagergrad/distributions/gamma.py.
EG_INLINE double log_gamma_slope(double a, double log_z) {
  const double z = vocabulary::exp(log_z);
  if (!(a > 0)) return NAN;  // the sum would not end
  if (a > 1000) {
    const double root = vocabulary::sqrt(a);
    const double e = 3 * root * (::cbrt(z / a) - 1 + 1 / (9 * a));  // Wilson and Hilferty
    return (1 + e / (2 * root) - (e * e * e - 7 * e) / (72 * a * root)) / z;
  }
  double c = 1, psi = vocabulary::digamma(a + 1), total = log_z - psi, size = 1;
  for (double n = 1;; n += 1) {
    c *= z / (a + n);
    psi += 1 / (a + n);
    total += c * (log_z - psi);
    size += c;
    if (n > 20 && ((c < 1e-18 * size && a + n > z) || !(size < INFINITY))) return -total / a;
  }
}

}  // namespace
}  // namespace eg
