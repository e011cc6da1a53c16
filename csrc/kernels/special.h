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

}  // namespace
}  // namespace eg::vocabulary
