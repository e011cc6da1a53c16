// Special functions of one element that the C library does not have.
// Included by vocabulary.h. Computed in double: none of them is on a hot path.
#pragma once

// Long series: a call costs nothing beside them, and their text in every loop would.
#ifdef __CUDACC__
#define EG_OUTLINE inline
#else
#define EG_OUTLINE [[maybe_unused]] __attribute__((noinline))
#endif
// Coefficients where they are: a copy on the stack by whole vectors leaves their upper halves in use, and each call of the C
// library's functions, whose code is older, waits 100 ns then.
#ifdef __CUDACC__
#define EG_TABLE constexpr
#else
#define EG_TABLE static constexpr
#endif

namespace eg::vocabulary {
namespace {

// ln|gamma|. lgamma_r: the plain one writes a global.
EG_INLINE double lgamma(double x) {
  int sign;
  return ::lgamma_r(x, &sign);
}
#if defined(__CUDACC__)
EG_INLINE float lgamma(float x) {
  int sign;
  return ::lgammaf_r(x, &sign);
}
#endif

// c[0] + c[1] x + ...
template <int n>
EG_INLINE double horner(double x, const double (&c)[n]) {
  double sum = c[n - 1];
#if !defined(__CUDACC__)
#pragma GCC unroll 16
#endif
  for (int i = n - 2; i >= 0; --i) sum = c[i] + x * sum;
  return sum;
}

#if !defined(__CUDACC__)
// float in double arithmetic without branches, which vectorises: 0.6 ulp, 4 ulp beside zeros below 0. From 3 on Stirling's series after four steps of the
// recurrence, to 3 a polynomial times (y - 1)(y - 2), the zeros. Below 0 by reflection, where logarithms join.
EG_INLINE float lgamma(float f) {
  constexpr double pi = 3.14159265358979323846;
  constexpr double between[13] = {
      0.42278433566021945,    -0.10031727296691662,    0.032964946597711986,
      -0.012384977145191378,  0.004999484103223872,    -0.002102050168627953,
      0.0009104898750547062,  -0.00042559758383617363, 0.0001958328528214844,
      -5.239311929192391e-05, 2.0218498814678028e-05,  -3.874381416477586e-05,
      1.9319375143531056e-05};
  constexpr double stirling[5] = {1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680, 1.0 / 1188};
  const double x = double(f);
  const bool reflects = x < 0, shifts = (x < 1) & !reflects;
  const double y = reflects ? 1 - x : shifts ? 1 + x : x;
  const bool is_near = y < 3, is_small = y < 7;
  const double z = is_small ? y + 4 : y, v = 1 / z;
  const double far = (z - 0.5) * ::log(z) - z + 0.91893853320467274 + v * horner(v * v, stirling);
  const double base = is_near ? (y - 1) * (y - 2) * horner(y - 2, between) : far;
  const double steps = is_near || !is_small ? 1 : y * (y + 1) * ((y + 2) * (y + 3));
  const double r = x - __builtin_rint(x);
  const double steep = pi / __builtin_fabs(::sin(pi * r));
  // (|x|: GCC takes the logarithms of both.)
  const double factor = shifts ? __builtin_fabs(x) : steps * (reflects ? steep : 1);
  const double rest = ::log(factor);
  const double result = reflects ? rest - base : base - rest;
  return __builtin_fabsf(f) == INFINITY ? float(INFINITY) : float(result);
}
#endif

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
#if defined(__CUDACC__)
inline float digamma(float x) { return float(digamma(double(x))); }
#else
// The same for float without branches: six steps of the recurrence, two to a fraction.
EG_INLINE float digamma(float f) {
  constexpr double pi = 3.14159265358979323846;
  constexpr double terms[6] = {1.0 / 12,   -1.0 / 120, 1.0 / 252,
                               -1.0 / 240, 1.0 / 132,  -691.0 / 32760};
  const double x = double(f);
  const bool reflects = x < 0;
  const double y = reflects ? 1 - x : x;
  const bool is_small = y < 6;
  const double z = is_small ? y + 6 : y, v = 1 / z, w = v * v;
  const double far = ::log(z) - v / 2 - w * horner(w, terms);
  const double a = y * (y + 5), b = a + 4, c = a + 6;
  const double steps = is_small ? (2 * y + 5) * (a * (b + c) + b * c) / (a * b * c) : 0;
  const double r = pi * (x - __builtin_rint(x));
  const double cosine =
      ::sin(pi / 2 - r);  // beside sin(r) GCC calls sincos, which does not vectorise
  const double turned = reflects ? pi * cosine / ::sin(r) : 0;
  const double result = far - steps - turned;
  const float there = reflects && r == 0 ? float(NAN) : float(result);
  return f == 0 ? copysign(float(INFINITY), -f) : there;
}
#endif

// Hurwitz zeta(s, q): ten terms, then Euler-Maclaurin.
EG_OUTLINE double zeta(double s, double q) {
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
  EG_TABLE double bernoulli[] = {1.0 / 12,
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

// The derivative of digamma: as above.
EG_OUTLINE double trigamma(double x) {
  const double pi = 3.14159265358979323846;
  double result = 0, sign = 1;
  if (x < 0.5) {
    const double s = ::sin(pi * (x - ::rint(x)));
    result = -pi * pi / (s * s);
    x = 1 - x;
    sign = -1;
  }
  for (; x < 10; x += 1) result += 1 / (x * x);
  const double v = 1 / x, w = v * v;
  const double series =
      w * (1.0 / 6 -
           w * (1.0 / 30 -
                w * (1.0 / 42 - w * (1.0 / 30 - w * (5.0 / 66 - w * (691.0 / 2730 - w * 7 / 6))))));
  return sign * (result + v + w / 2 + v * series);
}

#if !defined(__CUDACC__)
// The same for float without branches, two of six steps of the recurrence to a fraction.
EG_INLINE float trigamma(float f) {
  constexpr double pi = 3.14159265358979323846;
  constexpr double terms[5] = {1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66};
  const double x = double(f);
  const bool reflects = x < 0.5;
  const double y = reflects ? 1 - x : x;
  const bool is_small = y < 6;
  const double z = is_small ? y + 6 : y, v = 1 / z, w = v * v;
  const double far = v + w / 2 + v * w * horner(w, terms);
  const auto pair = [&](double a, double b) __attribute__((always_inline)) {
    const double ab = (y + a) * (y + b);
    return ((y + a) * (y + a) + (y + b) * (y + b)) / (ab * ab);
  };
  const double sum = far + (is_small ? pair(0, 5) + pair(1, 4) + pair(2, 3) : 0);
  const double s = ::sin(pi * (x - __builtin_rint(x)));
  return float(reflects ? pi * pi / (s * s) - sum : sum);
}
#endif

// polygamma(n, x): n-th derivative of digamma.
EG_OUTLINE double polygamma(double n, double x) {
  if (n == 0) return digamma(x);
  if (n == 1) return trigamma(x);
  const double sign = ::fmod(n, 2) == 0 ? -1 : 1;
  int s;
  return sign * ::exp(::lgamma_r(n + 1, &s)) * zeta(n + 1, x);
}
#if defined(__CUDACC__)
inline float polygamma(float n, float x) { return float(polygamma(double(n), double(x))); }
#else
EG_INLINE float polygamma(float n, float x) {
  return n == 1 ? trigamma(x) : float(polygamma(double(n), double(x)));
}
#endif

// Where the normal distribution function of 0 less q is `tail`, q >= 0 and tail <= 1/2: rational functions of q, and of the root
// of -log(tail) (M. Wichura, algorithm AS 241, 1988, to 1e-16). Times near / q, where q is small, or times far. Without branches,
// which vectorises: coefficients are chosen, not values, and the logarithm is taken of all, or GCC puts it behind a branch.
EG_INLINE double quantile_beyond(double q, double tail, double near, double far) {
  constexpr double a[8] = {3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427,
                           13731.693765509461125, 45921.953931549871457, 67265.770927008700853,
                           33430.575583588128105, 2509.0809287301226727};
  constexpr double b[8] = {1.0,
                           42.313330701600911252,
                           687.18700749205790830,
                           5394.1960214247511077,
                           21213.794301586595867,
                           39307.895800092710610,
                           28729.085735721942674,
                           5226.4952788528545610};
  constexpr double c[8] = {1.42343711074968357734,  4.63033784615654529590,
                           5.76949722146069140550,  3.64784832476320460504,
                           1.27045825245236838258,  0.241780725177450611770,
                           .0227238449892691845833, 7.74545014278341407640e-4};
  constexpr double d[8] = {1.0,
                           2.05319162663775882187,
                           1.67638483018380384940,
                           0.689767334985100004550,
                           0.148103976427480074590,
                           0.0151986665636164571966,
                           5.47593808499534494600e-4,
                           1.05075007164441684324e-9};
  constexpr double e[8] = {6.65790464350110377720,    5.46378491116411436990,
                           1.78482653991729133580,    0.296560571828504891230,
                           0.0265321895265761230930,  1.24266094738807843860e-3,
                           2.71155556874348757815e-5, 2.01033439929228813265e-7};
  constexpr double f[8] = {1.0,
                           0.599832206555887937690,
                           0.136929880922735805310,
                           0.0148753612908506148525,
                           7.86869131145613259100e-4,
                           1.84631831751005468180e-5,
                           1.42151175831644588870e-7,
                           2.04426310338993978564e-15};
  const bool is_near = q <= 0.425, is_middle = tail >= 1.3887943864964021e-11;  // exp(-25)
  const double r = ::sqrt(-::log(is_near | !(tail > 0) ? 1.0 : tail));
  const double x = r + (is_near ? 0.180625 - q * q : is_middle ? -1.6 : -5.0);
  double top = 0, bottom = 0;
#pragma GCC unroll 8
  for (int i = 7; i >= 0; --i) {
    top = (is_near ? a[i] : is_middle ? c[i] : e[i]) + x * top;
    bottom = (is_near ? b[i] : is_middle ? d[i] : f[i]) + x * bottom;
  }
  return (is_near ? near : far) * (top / bottom);
}
EG_INLINE double erfinv(double x) {
  const double size = __builtin_fabs(x);
  const double y = 0.35355339059327376 * quantile_beyond(size / 2, (1 - size) / 2, size, 2);
  const double inside = size < 1 ? y : size == 1 ? double(INFINITY) : double(NAN);
  return __builtin_copysign(inside, x);
}
#if defined(__CUDACC__)
inline float erfinv(float x) { return float(erfinv(double(x))); }
#else
// erfinv(x) / x is smooth in -log(1 - x^2), and far out in its root: least squares to 8e-9, 2.1 ulp in all.
EG_INLINE float erfinv(float x) {
  const float w = -::logf((1 - x) * (1 + x)), r = ::sqrtf(w) - 3;
  const float near = float_math::polynomial(
      w, 0.886226892f, 0.232013822f, 0.0115486542f, -0.00233429647f, -0.000127481399f,
      4.45650767e-05f, 3.98328302e-06f, -1.97647e-06f, 2.21031414e-07f, -8.79105677e-09f);
  const float far = float_math::polynomial(
      r, 2.83297682f, 1.00167501f, 0.00944549683f, -0.00763820112f, 0.00568504166f, -0.00359301106f,
      0.001490411f, -6.511627e-05f, -0.000313997472f, 0.000121325982f);
  return x == 1 || x == -1 ? x * INFINITY : x * (w < 5 ? near : far);
}
#endif

// c[0] + c[1] x + ...: even and odd terms apart, as each waits for the one before it.
EG_OUTLINE double power_sum(double x, const double (&c)[24]) {
  const double z = x * x;
  double even = c[22], odd = c[23];
  for (int i = 20; i >= 0; i -= 2) {
    even = c[i] + z * even;
    odd = c[i + 1] + z * odd;
  }
  return even + x * odd;
}
// I0(x) and 2 I1(x) / x as their series in (x / 2)^2.
EG_OUTLINE double bessel_i_near(int order, double x) {
  EG_TABLE double i0[24] = {1.0,
                            1.0,
                            0.25,
                            0.027777777777777776,
                            0.001736111111111111,
                            6.944444444444444e-05,
                            1.9290123456790124e-06,
                            3.936759889140842e-08,
                            6.151187326782565e-10,
                            7.594058428126624e-12,
                            7.594058428126623e-14,
                            6.276081345559193e-16,
                            4.358389823304995e-18,
                            2.5789288895295828e-20,
                            1.3157800456783586e-22,
                            5.8479113141260385e-25,
                            2.2843403570804838e-27,
                            7.904291893012054e-30,
                            2.4395962632753253e-32,
                            6.757884385804225e-35,
                            1.6894710964510564e-37,
                            3.8310002187098785e-40,
                            7.915289708078262e-43,
                            1.4962740468957016e-45};
  EG_TABLE double i1[24] = {1.0,
                            0.5,
                            0.08333333333333333,
                            0.006944444444444444,
                            0.00034722222222222224,
                            1.1574074074074073e-05,
                            2.755731922398589e-07,
                            4.920949861426052e-09,
                            6.834652585313961e-11,
                            7.594058428126623e-13,
                            6.903689480115112e-15,
                            5.230067787965994e-17,
                            3.352607556388458e-19,
                            1.842092063949702e-21,
                            8.771866971189057e-24,
                            3.654944571328774e-26,
                            1.3437296218120491e-28,
                            4.391273273895586e-31,
                            1.2839980333028028e-33,
                            3.3789421929021126e-36,
                            8.045100459290744e-39,
                            1.7413637357772174e-41,
                            3.4414303078601135e-44,
                            6.234475195398757e-47};
  const double z = x * x / 4;
  return order ? power_sum(z, i1) * (x / 2) : power_sum(z, i0);
}
// exp(-a) sqrt(a) I(a) from a = 8 on: Chebyshev interpolation in 16 / a - 1, to 1e-17.
EG_OUTLINE double bessel_i_far(int order, double a) {
  EG_TABLE double i0[24] = {
      0.4021765094450081,      0.0033605519836678913,   0.00013621607438951463,
      1.114303378845176e-05,   1.4838476780922646e-06,  2.9735992084667734e-07,
      8.872014585661555e-08,   3.932512321137824e-08,   2.156780676115673e-08,
      7.559364098665437e-09,   -6.856484545962442e-09,  -1.3427511481900905e-08,
      -5.0175940345046716e-09, 7.600254486433509e-09,   6.522264862032271e-09,
      -3.5862834111582305e-09, -4.5305710768621196e-09, 1.6084886155781772e-09,
      2.163681278413876e-09,   -6.327909921997027e-10,  -6.494591114401118e-10,
      1.7698085539456536e-10,  9.114760157514253e-11,   -2.4421972688131832e-11};
  EG_TABLE double i1[24] = {
      0.38939845902587233,     -0.009749577193235765,   -0.00021923576383137776,
      -1.5038547198221758e-05, -1.8349102493990178e-06, -3.4838563464253135e-07,
      -1.0001075046243961e-07, -4.3128498031006734e-08, -2.3394122958362557e-08,
      -8.432168972932417e-09,  6.84757829926934e-09,    1.4051746928735543e-08,
      5.5720183980930355e-09,  -7.687251308765992e-09,  -6.9444186339873875e-09,
      3.501765193290176e-09,   4.763780078020254e-09,   -1.5218214060680734e-09,
      -2.2624401109204446e-09, 5.870664618471487e-10,   6.7727478454462e-10,
      -1.6283264322621244e-10, -9.491890392992048e-11,  2.2421768596847442e-11};
  const double z = 16 / a - 1;
  return (order ? power_sum(z, i1) : power_sum(z, i0)) / ::sqrt(a);
}
// Modified Bessel functions of the first kind; scaled by exp(-|x|), or as they are.
EG_OUTLINE double bessel_i(int order, double x, bool scaled) {
  const double a = __builtin_fabs(x);
  if (a <= 8) return bessel_i_near(order, x) * (scaled ? ::exp(-a) : 1);
  // In two steps: exp(a) may be beyond the range of double while the result is not.
  const double e = scaled ? 1 : ::exp(a / 2);
  const double value = a == INFINITY && !scaled ? a : bessel_i_far(order, a) * e * e;
  return order && x < 0 ? -value : value;
}
// Of the second kind: to 2 a series beside the logarithm (Abramowitz & Stegun 9.6.11 and 9.6.13), from there on exp(x) sqrt(x) K(x)
// by Chebyshev interpolation in 4 / x - 1, to 2e-17. Scaled by exp(x), or as they are.
EG_OUTLINE double bessel_k(int order, double x, bool scaled) {
  EG_TABLE double near_k0[24] = {
      -0.5772156649015329,    0.42278433509846713,    0.23069608377461678,
      0.0348921574564389,     0.0026147876188052093,  0.00011848039364109726,
      3.6126241031992037e-06, 7.935096521304209e-08,  1.3167486730385647e-09,
      1.709994072705808e-11,  1.785934656987074e-13,  1.5330343403208473e-15,
      1.1009270959725744e-17, 6.712740659979047e-20,  3.518851972639805e-22,
      1.6029202854896424e-24, 6.4041786375114464e-27, 2.2624746019697753e-29,
      7.118479428113368e-32,  2.0074457704830053e-34, 5.103087981030066e-37,
      1.1754056656741435e-39, 2.464502692214702e-42,  4.723850652728361e-45};
  EG_TABLE double near_k1[24] = {
      -0.15443132980306573,   0.6727843350984671,     0.18157516696085563,
      0.019182189839330562,   0.001115359491966528,   4.142247689271143e-05,
      1.071545914091181e-06,  2.045286003593878e-08,  3.002048746589188e-10,
      3.495928729692882e-12,  3.309914735250272e-14,  2.5986411321011286e-16,
      1.7195232826992565e-18, 9.721207518823618e-21,  4.750281743327667e-23,
      2.0264937604328578e-25, 7.613370727767116e-28,  2.5382566314880593e-30,
      7.560715083977377e-33,  2.0243404814475158e-35, 4.898393793644304e-38,
      1.0764658948663905e-40, 2.1580085597860893e-43, 3.962519190587796e-46};
  EG_TABLE double far_k0[24] = {
      1.2185953385133905,      -0.031071461824889554,   0.0030328918102751935,
      -0.0004797690567629981,  9.956054742546008e-05,   -2.473520464665274e-05,
      7.002245564109627e-06,   -2.1911767539401716e-06, 7.427807838466459e-07,
      -2.689135887009184e-07,  1.0295120376495239e-07,  -4.131061283701578e-08,
      1.7056674605334674e-08,  -7.3618275080282515e-09, 3.791192703615846e-09,
      -1.8006773523392004e-09, 6.837018659348517e-11,   3.233433692180319e-11,
      7.977983533091815e-10,   -4.506683106759898e-10,  -3.0539020868001565e-10,
      1.7977981899954878e-10,  1.0806290149518295e-10,  -6.183509185741941e-11};
  EG_TABLE double far_k1[24] = {
      1.363151890371342,       0.10334973775386527,     -0.005566729880074451,
      0.0007357241549046456,   -0.00013959021956830856, 3.284386565057862e-05,
      -8.961207299463647e-06,  2.730040312895642e-06,   -9.067094776630646e-07,
      3.2298873862640425e-07,  -1.220284967173793e-07,  4.843094038201199e-08,
      -1.9827457966367164e-08, 8.49114322410236e-09,    -4.313336112817399e-09,
      2.0346220468711174e-09,  -1.0584430289297026e-10, -2.104015257574649e-11,
      -8.740019154894709e-10,  4.921710202548386e-10,   3.3153918291421876e-10,
      -1.948680720152238e-10,  -1.1801191034535537e-10, 6.73716173849808e-11};
  if (!(x > 0)) return x == 0 ? INFINITY : NAN;
  if (x > 2) {
    if (x == INFINITY) return 0;
    const double t = 4 / x - 1;
    const double far = (order ? power_sum(t, far_k1) : power_sum(t, far_k0)) / ::sqrt(x);
    return scaled ? far : far * ::exp(-x);
  }
  const double z = x * x / 4, joined = ::log(x / 2) * bessel_i_near(order, x);
  const double near =
      order ? 1 / x + joined - x / 4 * power_sum(z, near_k1) : power_sum(z, near_k0) - joined;
  return scaled ? near * ::exp(x) : near;
}

#define EG_SPECIAL(name, expression)                  \
  inline double name(double x) { return expression; } \
  inline float name(float x) { return float(name(double(x))); }
EG_SPECIAL(i0e, bessel_i(0, x, true))
#if defined(__CUDACC__)
EG_SPECIAL(i1e, bessel_i(1, x, true))
#else
inline double i1e(double x) { return bessel_i(1, x, true); }
// For float without branches: to 8 exp(-a) I1(a) / a, from there on times sqrt(a), by Chebyshev interpolation to 1e-10.
EG_INLINE float i1e(float f) {
  constexpr double near[21] = {
      0.044687709875923763,    -0.061124337989135455,   0.068057599833633367,
      -0.068482609161899036,   0.063767406732566922,    -0.0552799757994209,
      0.044674525824233043,    -0.033671978567365403,   0.023686388346182016,
      -0.015567952954333901,   0.0095822467069175445,   -0.0055453981439077373,
      0.0030106852061542004,   -0.0015170915161859049,  0.00073548920367613572,
      -0.00036857200457151716, 0.00015894533080722356,  -4.071009185021585e-05,
      1.6755628726995344e-05,  -1.7467938500777154e-05, 6.1531416422729128e-06};
  constexpr double far[9] = {
      0.38939845904068432,     -0.009749577457556757,   -0.00021923651818323868,
      -1.5035268029521159e-05, -1.8287267250696446e-06, -3.584298887257214e-07,
      -1.178745830712382e-07,  -3.5774358158058136e-08, -2.4287946398086928e-09};
  const double a = __builtin_fabs(double(f));
  const bool is_near = a <= 8;
  const double low = is_near ? a : 8, high = is_near ? 8 : a;
  const double t = is_near ? low / 4 - 1 : 16 / high - 1;
  double sum = 0;  // coefficients are chosen, not values: GCC would put these behind branches
#pragma GCC unroll 21
  for (int i = 20; i >= 0; --i) sum = (is_near ? near[i] : i < 9 ? far[i] : 0) + t * sum;
  const double value = sum * (is_near ? a : 1 / ::sqrt(high));
  return __builtin_copysignf(float(value), f);
}
#endif
EG_SPECIAL(i0, bessel_i(0, x, false))
EG_SPECIAL(i1, bessel_i(1, x, false))
EG_SPECIAL(scaled_modified_bessel_k0, bessel_k(0, x, true))
EG_SPECIAL(scaled_modified_bessel_k1, bessel_k(1, x, true))
EG_SPECIAL(modified_bessel_k0, bessel_k(0, x, false))
EG_SPECIAL(modified_bessel_k1, bessel_k(1, x, false))
#if !defined(__CUDACC__)
// Bessel functions of whole orders for float, in double: to 8 polynomials in x^2 (of J beside its zeros there), from there on Hankel's
// form (Abramowitz & Stegun 9.2.5 and 9.2.6), by Chebyshev interpolation to 1e-16. (In whole vectors, inlined, nearly twice as fast: 4 kB
// a loop.)
struct HankelTerms {
  double p, q, sum, difference;  // of the cosine and the sine of x; all over sqrt(pi x)
};
template <int order>
EG_OUTLINE HankelTerms hankel(double x) {
  EG_TABLE double far_p0[12] = {
      0.9994572757882519,      -0.000536367319212998,  6.13741608125692e-06,
      -2.052744819908975e-07,  1.2803747958820875e-08, -1.212113319927827e-09,
      1.5506348898107537e-10,  -2.490341621088381e-11, 4.674986189266031e-12,
      -1.0238327024264009e-12, 3.4522133160706755e-13, -9.956789357075715e-14};
  EG_TABLE double far_q0[12] = {
      -0.015555113879513503,  6.833149099343349e-05,   -1.4771388337607956e-06,
      7.106214898484435e-08,  -5.6687032442267705e-09, 6.432736726927442e-10,
      -9.475742351179434e-11, 1.7051726884410257e-11,  -3.4904977440952908e-12,
      8.259713596314508e-13,  -3.119994376116503e-13,  9.575735875005847e-14};
  EG_TABLE double far_p1[12] = {
      1.0009070262780821,      0.0008988049416705508,   -7.959694699656698e-06,
      2.4536766267949663e-07,  -1.4708498675907175e-08, 1.360300632416571e-09,
      -1.7137215568191013e-10, 2.722599260495964e-11,   -5.072230977922283e-12,
      1.104039648785332e-12,   -3.6942891113569033e-13, 1.0611465423215105e-13};
  EG_TABLE double far_q1[12] = {
      0.04677687402744896,    -9.621458822053857e-05,  1.821201852408518e-06,
      -8.291960750207848e-08, 6.420118927317563e-09,   -7.151057862334875e-10,
      1.0400745817311543e-10, -1.8544350761823707e-11, 3.771644965774865e-12,
      -8.87712379064879e-13,  3.3289005448364253e-13,  -1.0179381589087164e-13};
  const double a = 8 / x, u = 2 * a * a - 1;
  const double s = ::sin(x), c = ::cos(x);
  const double p = order ? horner(u, far_p1) : horner(u, far_p0);
  const double q = a * (order ? horner(u, far_q1) : horner(u, far_q0));
  const double scale = 1 / ::sqrt(3.14159265358979323846 * x);
  return {p * scale, q * scale, s + c, s - c};
}
template <int order>
EG_INLINE double bessel_j_near(double x) {
  EG_TABLE double near_j0[16] = {
      0.0011434937743762545,   -0.002119794289479692,  0.0015636431645931661,
      -0.0006415390646406127,  0.00016977200713997844, -3.157342540223125e-05,
      4.3669323246406834e-06,  -4.677128021500413e-07, 3.99883934547248e-08,
      -2.7948629190252563e-09, 1.6276489491802434e-10, -8.023536495592505e-12,
      3.3923298939988384e-13,  -1.244037126995673e-14, 4.0068947189799594e-16,
      -1.1358872733053948e-17};
  EG_TABLE double near_j1[16] = {
      0.00019498936985895625,  -0.0002697522746716368,  0.00015860016799369874,
      -5.408003239085507e-05,  1.224217365301561e-05,   -1.98909351591414e-06,
      2.442522260752042e-07,   -2.3521922546334314e-08, 1.826854769532134e-09,
      -1.1696932385923217e-10, 6.284733827928662e-12,   -2.8755486539015503e-13,
      1.1343125417561167e-14,  -3.8985659874911057e-16, 1.1811464430757053e-17,
      -3.1618386969569665e-19};
  const double z = x * x, t = z / 32 - 1;
  if constexpr (order == 0)
    return horner(t, near_j0) * ((z - 5.783185962946784) - 4.123247343506204e-16) *
           ((z - 30.471262343662087) + 2.366534485750659e-16);
  return x * horner(t, near_j1) * ((z - 14.681970642123893) + 9.858177825793294e-17) *
         ((z - 49.2184563216946) - 5.086354069436341e-16);
}
template <int order>
EG_OUTLINE float bessel_j(float f) {
  const double x = __builtin_fabs(double(f));
  if (x == INFINITY) return order ? __builtin_copysignf(0, f) : 0;
  double size;
  if (x > 8) {
    const HankelTerms h = hankel<order>(x);
    size = order ? h.p * h.difference + h.q * h.sum : h.p * h.sum - h.q * h.difference;
  } else {
    size = bessel_j_near<order>(x);
  }
  return float(order ? size * __builtin_copysign(1.0, double(f)) : size);
}
template <int order>
EG_OUTLINE float bessel_y(float f) {
  EG_TABLE double near_y0[18] = {
      -0.3620273432371452,    -0.4179207423206952,    1.3609456599655456,     -0.2124599944206597,
      -0.6193407826303358,    0.448246044635635,      -0.15453679652310554,   0.03380285696397354,
      -0.005235027670798993,  0.0006104345644549922,  -5.581830462706525e-05, 4.122054206402963e-06,
      -2.51441070291588e-07,  1.2898223771945294e-08, -5.646268915733961e-10, 2.135325063190945e-11,
      -7.073366508377921e-13, 2.0554687212344604e-14};
  EG_TABLE double near_y1[18] = {
      0.04510266206869483,     -0.20760857842830602,    0.09022750636730935,
      0.12052035426888161,     -0.12641995056569882,    0.0543901163079464,
      -0.01413192339424849,    0.002527134046682168,    -0.00033372257011146276,
      3.406363375532225e-05,   -2.776505580556252e-06,  1.852420143241069e-07,
      -1.0315388849000657e-08, 4.87106474855212e-10,    -1.9764090841791317e-11,
      6.967783825086588e-13,   -2.1613972227314063e-14, 5.90933033290034e-16};
  const double x = double(f), over_pi = 0.6366197723675814;
  if (!(x > 0)) return x == 0 ? -INFINITY : NAN;
  if (x > 8) {
    if (x == INFINITY) return 0;
    const HankelTerms h = hankel<order>(x);
    return float(order ? h.q * h.difference - h.p * h.sum : h.p * h.difference + h.q * h.sum);
  }
  const double t = x * x / 32 - 1;
  const double joined = over_pi * (::log(x / 2) * bessel_j_near<order>(x) - (order ? 1 / x : 0));
  return float(joined + (order ? x * horner(t, near_y1) : horner(t, near_y0)));
}
#endif
#ifdef __CUDACC__
#define EG_BESSEL(name, order, expression) EG_SPECIAL(bessel_##name##order, expression)
#else
#define EG_BESSEL(name, order, expression)                            \
  inline double bessel_##name##order(double x) { return expression; } \
  inline float bessel_##name##order(float x) { return bessel_##name<order>(x); }
#endif
EG_BESSEL(j, 0, ::j0(x))
EG_BESSEL(j, 1, ::j1(x))
EG_BESSEL(y, 0, x < 0 ? double(NAN) : ::y0(x))
EG_BESSEL(y, 1, x < 0 ? double(NAN) : ::y1(x))
#undef EG_BESSEL

// exp(x^2) erfc(x); for large x the continued fraction of Abramowitz & Stegun 7.1.14.
EG_OUTLINE double scaled_erfc(double x) {
  if (x < 25) return x < -26.7 ? double(INFINITY) : ::exp(x * x) * ::erfc(x);
  double f = x;
  for (int k = 20; k > 0; --k) f = x + k / 2.0 / f;
  return 0.5641895835477563 / f;
}
EG_SPECIAL(erfcx, scaled_erfc(x))
// log of the normal distribution function.
EG_SPECIAL(log_ndtr, x < -1 ? ::log(scaled_erfc(-x * 0.7071067811865476) / 2) - x * x / 2
                            : ::log1p(-::erfc(x * 0.7071067811865476) / 2))

// Inverse of the normal distribution function.
EG_INLINE double ndtri(double p) {
  const bool low = p < 0.5;
  const double tail = low ? p : 1 - p, y = quantile_beyond(0.5 - tail, tail, 0.5 - tail, 1);
  const double inside = tail > 0 ? y : tail == 0 ? double(INFINITY) : double(NAN);
  return low ? -inside : inside;
}
EG_INLINE float ndtri(float p) { return float(ndtri(double(p))); }
#undef EG_SPECIAL

// frexp's two results: a number in [0.5, 1) and the power of two that is left, of which 0, infinities and NaN have none.
#if defined(__CUDACC__)
template <class T>
EG_INLINE T mantissa(T x) {
  int power;
  return T(::frexp(x, &power));
}
template <class T>
EG_INLINE T exponent(T x) {
  int power;
  ::frexp(x, &power);
  return isfinite(x) ? T(power) : T(0);
}
#else
template <class T>
EG_INLINE T exponent(T x) {
  using B = Bits<T>;
  constexpr T scale = T(typename B::Int(1) << (B::kBits + 1));
  const T size = abs(x);
  const bool is_subnormal = size < B::kSmallest * T(typename B::Int(1) << B::kBits);
  const auto power = (bits_of(is_subnormal ? size * scale : size) >> B::kBits) - (B::kBias - 1) -
                     (is_subnormal ? B::kBits + 1 : 0);
  return (size > 0) & (size < T(INFINITY)) ? T(int32_t(power)) : T(0);
}
template <class T>
EG_INLINE T mantissa(T x) {
  using B = Bits<T>;
  using Int = typename B::Int;
  constexpr T scale = T(Int(1) << (B::kBits + 1));
  constexpr Int half = Int(B::kBias - 1) << B::kBits, most = Int(B::kMost) << B::kBits;
  const T size = abs(x);
  const bool is_subnormal = size < B::kSmallest * T(Int(1) << B::kBits);
  const T m = number_of<T>((bits_of(is_subnormal ? x * scale : x) & ~most) | half);
  return (size > 0) & (size < T(INFINITY)) ? m : x;
}
#endif

// Polynomials of whole orders by their recurrences; orders are cut to whole numbers, of those below 0 the value is 0, of those above
// a billion NaN.
template <class F>
EG_INLINE double by_recurrence(double order, double x, double second, F step) {
  if (!(order >= 0)) return order > -1 ? 1 : 0;
  if (order < 1) return 1;
  if (order > 1e9) return NAN;  // of minutes and more, and beyond 2^53 without an end
  double before = 1, value = second;
  const double last = trunc(order);
  for (double k = 1; k < last && value - value == 0; k += 1) {
    const double next = step(k, value, before);
    before = value;
    value = next;
  }
  return x != x ? x : value;
}
#define EG_POLYNOMIAL(name, SECOND, STEP)                                                      \
  EG_OUTLINE double name(double x, double order) {                                             \
    return by_recurrence(order, x, SECOND,                                                     \
                         [x]([[maybe_unused]] double k, double p, double q) { return STEP; }); \
  }                                                                                            \
  inline float name(float x, float order) { return float(name(double(x), double(order))); }
EG_POLYNOMIAL(chebyshev_polynomial_t, x, 2 * x * p - q)
EG_POLYNOMIAL(chebyshev_polynomial_u, 2 * x, 2 * x * p - q)
EG_POLYNOMIAL(chebyshev_polynomial_v, 2 * x - 1, 2 * x * p - q)
EG_POLYNOMIAL(chebyshev_polynomial_w, 2 * x + 1, 2 * x * p - q)
EG_POLYNOMIAL(hermite_polynomial_h, 2 * x, 2 * x * p - 2 * k * q)
EG_POLYNOMIAL(hermite_polynomial_he, x, x* p - k * q)
EG_POLYNOMIAL(laguerre_polynomial_l, 1 - x, ((2 * k + 1 - x) * p - k * q) / (k + 1))
EG_POLYNOMIAL(legendre_polynomial_p, x, ((2 * k + 1) * x * p - k * q) / (k + 1))
#undef EG_POLYNOMIAL

// Ai: its power series near 0, asymptotic series to their smallest terms beyond (Abramowitz & Stegun 10.4).
EG_OUTLINE double airy_far(double x) {
  const double size = __builtin_fabs(x), zeta = 2.0 / 3 * size * ::sqrt(size);
  double term = 1, alternating = 1, sums[2] = {1, 0};
  for (int k = 1; k < 24; ++k) {
    const double later =
        term * ((6.0 * k - 5) * (6.0 * k - 3) * (6.0 * k - 1) / (216.0 * k * (2.0 * k - 1))) / zeta;
    if (!(later < term)) break;
    term = later;
    alternating += k % 2 ? -term : term;
    sums[k % 2] += k / 2 % 2 ? -term : term;
  }
  const double pi = 3.14159265358979323846, scale = ::sqrt(pi) * ::sqrt(::sqrt(size));
  if (x > 0) return ::exp(-zeta) / (2 * scale) * alternating;
  const double turned = zeta + pi / 4;
  return (::sin(turned) * sums[0] - ::cos(turned) * sums[1]) / scale;
}
EG_OUTLINE double airy_ai(double x) {
  if (x != x) return x;
  if (x > 200 || __builtin_fabs(x) > 1e30) return 0;
  if (!(x > -6.5 && x < 5.5)) return airy_far(x);
  const double cube = x * x * x;
  double f = 1, g = 1;
  for (int k = 60; k > 0; --k) {  // of the last term: 1e-30 at -6.5
    const double n = 3.0 * k;
    f = 1 + f * cube / ((n - 1) * n);
    g = 1 + g * cube / (n * (n + 1));
  }
  return 0.355028053887817239 * f - 0.258819403792806798 * x * g;
}
inline float airy_ai(float x) { return float(airy_ai(double(x))); }

// Regularised incomplete gamma functions: the power series below a + 1, Lentz's continued fraction above. Of large a near x both are
// slow: there the expansion that is uniform in a, to two terms. Abramowitz & Stegun 6.5.29 and 6.5.31; NIST DLMF 8.12.
EG_OUTLINE double incomplete_gamma(double a, double x, bool upper) {
  if (!(a >= 0) || !(x >= 0)) return NAN;
  if (a == 0) return x == 0 ? NAN : upper ? 0 : 1;
  if (x == 0) return upper ? 1 : 0;
  if (x == INFINITY) return a == INFINITY ? NAN : upper ? 0 : 1;
  if (a == INFINITY) return upper ? 1 : 0;
  double front;  // x^a e^-x / gamma(a)
  if (a < 50) {
    front = ::exp(a * ::log(x) - x - lgamma(a));
  } else {  // the logarithms would cancel: by Stirling's series
    const double pi = 3.14159265358979323846;
    EG_TABLE double near[5] = {1.0 / 2, -1.0 / 3, 1.0 / 4, -1.0 / 5, 1.0 / 6};  // t - log(1 + t)
    const double beyond = (x - a) / a;
    const double depth = __builtin_fabs(beyond) < 1e-3 ? beyond * beyond * horner(beyond, near)
                                                       : beyond - ::log1p(beyond);
    const double bell = ::exp(-a * depth);
    if (a > 1e5 && __builtin_fabs(beyond) < 0.05) {
      EG_TABLE double first[6] = {-1.0 / 3,  1.0 / 12,   -2.0 / 135,
                                  1.0 / 864, 1.0 / 2835, -139.0 / 777600};
      EG_TABLE double second[3] = {-1.0 / 540, -1.0 / 288, 1.0 / 378};
      const double eta = copysign(::sqrt(2 * depth), beyond);
      const double rest =
          bell / ::sqrt(2 * pi * a) * (horner(eta, first) + horner(eta, second) / a);
      const double tail = ::erfc((upper ? eta : -eta) * ::sqrt(a / 2)) / 2;
      return upper ? tail + rest : tail - rest;
    }
    const double series = (1.0 / 12 - (1.0 / 360 - 1 / (1260 * a * a)) / (a * a)) / a;
    front = ::sqrt(a / (2 * pi)) * bell / ::exp(series);
  }
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
