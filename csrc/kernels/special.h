// Special functions of one element that the C library does not have.
// Included by vocabulary.h. Computed in double: none of them is on a hot path.
#pragma once

namespace eg::vocabulary {
namespace {

// ln|gamma|. lgamma_r: the plain one writes a global.
EG_INLINE double lgamma(double x) {
  int sign;
  return ::lgamma_r(x, &sign);
}
EG_INLINE float lgamma(float x) {
  int sign;
  return ::lgammaf_r(x, &sign);
}

// psi: reflection for x < 0, recurrence up to 10, then the asymptotic series. Abramowitz &
// Stegun 6.3.
inline double digamma(double x) {
  if (x == 0) return copysign(double(INFINITY), -x);
  double result = 0;
  if (x < 0) {
    if (x == floor(x)) return NAN;
    const double pi = 3.14159265358979323846;
    result = -pi / ::tan(pi * (x - trunc(x)));
    x = 1 - x;
  }
  for (; x < 10; x += 1) result -= 1 / x;
  if (x > 1e17) return result + ::log(x);
  const double z = 1 / (x * x);
  const double series =
      z * (1.0 / 12 - z * (1.0 / 120 -
                           z * (1.0 / 252 -
                                z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))))));
  return result + ::log(x) - 0.5 / x - series;
}
inline float digamma(float x) { return float(digamma(double(x))); }

// Hurwitz zeta(s, q): ten terms, then Euler-Maclaurin.
inline double zeta(double s, double q) {
  if (s == 1) return INFINITY;
  if (s < 1) return NAN;
  if (q <= 0) {
    if (q == floor(q)) return INFINITY;
    if (s != floor(s)) return NAN;
  }
  double sum = 0;
  double a = q;
  for (int i = 0; i < 10 || a <= 9; ++i, a += 1) {
    const double term = ::pow(a, -s);
    sum += term;
    if (a > 0 && __builtin_fabs(term) < 1e-17 * __builtin_fabs(sum)) return sum;
  }
  sum += ::pow(a, 1 - s) / (s - 1) + 0.5 * ::pow(a, -s);
  // B_2k / (2k)!
  const double bernoulli[] = {1.0 / 12,
                              -1.0 / 720,
                              1.0 / 30240,
                              -1.0 / 1209600,
                              1.0 / 47900160,
                              -691.0 / 1307674368000.0,
                              1.0 / 74724249600.0,
                              -3617.0 / 10670622842880000.0};
  double factor = s;
  double power = ::pow(a, -s - 1);
  for (int k = 0; k < 8; ++k) {
    const double term = bernoulli[k] * factor * power;
    sum += term;
    if (__builtin_fabs(term) < 1e-17 * __builtin_fabs(sum)) break;
    factor *= (s + 2 * k + 1) * (s + 2 * k + 2);
    power /= a * a;
  }
  return sum;
}
inline float zeta(float s, float q) { return float(zeta(double(s), double(q))); }

// polygamma(n, x): n-th derivative of digamma.
inline double polygamma(double n, double x) {
  if (n == 0) return digamma(x);
  const double sign = ::fmod(n, 2) == 0 ? -1 : 1;
  int s;
  return sign * ::exp(::lgamma_r(n + 1, &s)) * zeta(n + 1, x);
}
inline float polygamma(float n, float x) { return float(polygamma(double(n), double(x))); }

// M. Giles' start ("Approximating the erfinv function", 2010), two Newton steps in double.
inline double erfinv(double x) {
  if (!(x > -1 && x < 1)) return x == 1 ? INFINITY : x == -1 ? -INFINITY : NAN;
  double w = -::log((1 - x) * (1 + x));
  double p;
  if (w < 5) {
    w -= 2.5;
    p = 2.81022636e-08;
    const double c[] = {3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                        -0.00125372503, -0.00417768164, 0.246640727,     1.50140941};
    for (int i = 0; i < 8; ++i) p = c[i] + p * w;
  } else {
    w = ::sqrt(w) - 3;
    p = -0.000200214257;
    const double c[] = {0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                        -0.0076224613,  0.00943887047, 1.00167406,     2.83297682};
    for (int i = 0; i < 8; ++i) p = c[i] + p * w;
  }
  double y = p * x;
  for (int i = 0; i < 2; ++i) {
    const double error =
        x > 0.5 || x < -0.5 ? (x > 0 ? (1 - x) - ::erfc(y) : ::erfc(-y) - (1 + x)) : ::erf(y) - x;
    y -= error / (1.1283791670955126 * ::exp(-y * y));
  }
  return y;
}
inline float erfinv(float x) { return float(erfinv(double(x))); }

// Modified Bessel functions by the trapezoidal rule on their integrals (Abramowitz & Stegun 9.6.16, 9.6.24), whose error falls
// exponentially with the step. Scaled by exp(-|x|) and exp(x).
inline double bessel_i_scaled(int order, double x) {
  const double a = __builtin_fabs(x);
  if (a != a) return x;
  if (a > 1e15) return (order && x < 0 ? -1 : 1) / ::sqrt(6.283185307179586 * a);
  // The sum below cancels down to rounding errors here.
  if (order && a < 1e-2) return x / 2 * (1 + x * x / 8 * (1 + x * x / 24)) * ::exp(-a);
  const int n = 32 + int(14 * ::sqrt(a < 1e6 ? a : 1e6));
  const double h = 3.14159265358979323846 / n;
  // exp(a (cos t - 1)) is below 1e-18 beyond this angle.
  const double limit = a < 22 ? 4 : ::acos(1 - 42 / a);
  double sum = 0;
  for (int i = 0; i <= n && i * h <= limit; ++i) {
    const double s = ::sin(i * h / 2);
    const double f = ::exp(-2 * a * s * s) * (order ? ::cos(i * h) : 1);
    sum += i == 0 || i == n ? f / 2 : f;
  }
  const double value = sum / n;
  return order && x < 0 ? -value : value;
}
inline double bessel_k_scaled(double order, double x) {
  if (x != x) return x;
  if (x <= 0) return x == 0 ? INFINITY : NAN;
  if (x == INFINITY) return 0;
  const double h = 1.0 / 32;
  double sum = 0.5;
  for (int i = 1;; ++i) {
    const double s = ::sinh(i * h / 2), e = 2 * x * s * s;
    if (e > 750 + order * i * h) break;
    sum += ::exp(-e) * ::cosh(order * i * h);
  }
  return sum * h;
}

#define EG_SPECIAL(name, expression)                  \
  inline double name(double x) { return expression; } \
  inline float name(float x) { return float(name(double(x))); }
EG_SPECIAL(i0e, bessel_i_scaled(0, x))
EG_SPECIAL(i1e, bessel_i_scaled(1, x))
EG_SPECIAL(i0, bessel_i_scaled(0, x) * ::exp(__builtin_fabs(x)))
EG_SPECIAL(i1, bessel_i_scaled(1, x) * ::exp(__builtin_fabs(x)))
EG_SPECIAL(scaled_modified_bessel_k0, bessel_k_scaled(0, x))
EG_SPECIAL(scaled_modified_bessel_k1, bessel_k_scaled(1, x))
EG_SPECIAL(modified_bessel_k0, bessel_k_scaled(0, x) * ::exp(-x))
EG_SPECIAL(modified_bessel_k1, bessel_k_scaled(1, x) * ::exp(-x))
EG_SPECIAL(bessel_j0, ::j0(x))
EG_SPECIAL(bessel_j1, ::j1(x))
EG_SPECIAL(bessel_y0, x < 0 ? double(NAN) : ::y0(x))
EG_SPECIAL(bessel_y1, x < 0 ? double(NAN) : ::y1(x))

// exp(x^2) erfc(x); for large x the continued fraction of Abramowitz & Stegun 7.1.14.
inline double scaled_erfc(double x) {
  if (x < 25) return x < -26.7 ? double(INFINITY) : ::exp(x * x) * ::erfc(x);
  double f = x;
  for (int k = 20; k > 0; --k) f = x + k / 2.0 / f;
  return 0.5641895835477563 / f;
}
EG_SPECIAL(erfcx, scaled_erfc(x))
// log of the normal distribution function.
EG_SPECIAL(log_ndtr, x < -1 ? ::log(scaled_erfc(-x * 0.7071067811865476) / 2) - x * x / 2
                            : ::log1p(-::erfc(x * 0.7071067811865476) / 2))

// Inverse of the normal distribution function: Abramowitz & Stegun 26.2.23 in the tails, refined by Halley's method.
inline double normal_quantile(double p) {
  if (!(p > 0 && p < 1)) return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
  if (p > 0.02 && p < 0.98) return 1.4142135623730951 * erfinv(2 * p - 1);
  const double q = p < 0.5 ? p : 1 - p;
  const double t = ::sqrt(-2 * ::log(q));
  double x = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                     (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (int i = 0; i < 4; ++i) {
    // (Q(x) - q) / density, through the scaled tail so that nothing underflows.
    const double tail = scaled_erfc(x * 0.7071067811865476) * 1.2533141373155003;
    const double step = tail - q * 2.5066282746310002 * ::exp(x * x / 2);
    x += step / (1 + x * step / 2);
  }
  return p < 0.5 ? -x : x;
}
EG_SPECIAL(ndtri, normal_quantile(x))
#undef EG_SPECIAL

// Regularised incomplete gamma functions: the power series below a + 1, Lentz's continued fraction above.
// Abramowitz & Stegun 6.5.29 and 6.5.31.
inline double incomplete_gamma(double a, double x, bool upper) {
  if (!(a >= 0) || !(x >= 0)) return NAN;
  if (a == 0) return x == 0 ? NAN : upper ? 0 : 1;
  if (x == 0) return upper ? 1 : 0;
  if (x == INFINITY) return a == INFINITY ? NAN : upper ? 0 : 1;
  if (a == INFINITY) return upper ? 1 : 0;
  const double front = ::exp(a * ::log(x) - x - lgamma(a));
  if (x < a + 1) {
    double term = 1 / a, sum = term;
    for (double k = a + 1; term > sum * 1e-17; k += 1) {
      term *= x / k;
      sum += term;
    }
    return upper ? 1 - front * sum : front * sum;
  }
  double b = x + 1 - a, c = 1e300, d = 1 / b, f = d;
  for (int k = 1; k < 100000; ++k) {
    const double n = -k * (k - a);
    b += 2;
    d = 1 / (n * d + b);
    c = b + n / c;
    f *= c * d;
    if (__builtin_fabs(c * d - 1) < 1e-16) break;
  }
  return upper ? front * f : 1 - front * f;
}
inline double igamma(double a, double x) { return incomplete_gamma(a, x, false); }
inline double igammac(double a, double x) { return incomplete_gamma(a, x, true); }
inline float igamma(float a, float x) { return float(igamma(double(a), double(x))); }
inline float igammac(float a, float x) { return float(igammac(double(a), double(x))); }

}  // namespace
}  // namespace eg::vocabulary
