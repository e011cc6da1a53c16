// Functions of float for AVX-512, of which two registers hold a table of 32 numbers. They are quick in loops written for them,
// where tables and coefficients stay in registers.
#pragma once

#include "kernels/float_math.h"
#include "kernels/simd.h"

#if defined(EG_AVX512_MATH)

namespace eg {
namespace {

EG_INLINE __m512 look_up(const float* row, __m512i piece) {
  return _mm512_permutex2var_ps(_mm512_load_ps(row), piece, _mm512_load_ps(row + 16));
}

// All intrinsics of this file are the zeroing forms, of all lanes, where GCC 12 takes the others for uses of undefined values.
constexpr __mmask16 kAll = 0xffff;

// ---- tanh: a polynomial of degree 5 for each quarter of a power of two. Largest error over all floats 1.2 ulp; an element takes
// 0.25 ns in a loop of its own and 0.30 ns where another loop calls it, against 0.34 ns of the C library's.

// The 32 pieces end with [8, 10), where the result is 1 from 9.02 on. The last bits of exponent and the first of mantissa tell a
// piece. The first one reaches down to 0.
constexpr float kFirstPiece = 0.0390625f, kLargest = 9.5f;

// Coefficients of powers of r, the distance from the middle of the piece: least squares at Chebyshev nodes, rounded one after
// the other.
// clang-format off
alignas(64) const float tanh_table[7][32] = {
    // the middle
    {0x1.2p+1f, 0x1.6p+1f, 0x1.ap+1f, 0x1.ep+1f, 0x1.2p+2f, 0x1.6p+2f,
     0x1.ap+2f, 0x1.ep+2f, 0x1.18p+3f, 0, 0x1.ap-5f, 0x1.ep-5f,
     0x1.2p-4f, 0x1.6p-4f, 0x1.ap-4f, 0x1.ep-4f, 0x1.2p-3f, 0x1.6p-3f,
     0x1.ap-3f, 0x1.ep-3f, 0x1.2p-2f, 0x1.6p-2f, 0x1.ap-2f, 0x1.ep-2f,
     0x1.2p-1f, 0x1.6p-1f, 0x1.ap-1f, 0x1.ep-1f, 0x1.2p+0f, 0x1.6p+0f,
     0x1.ap+0f, 0x1.ep+0f},
    // 1
    {0x1.f4bfd6p-1f, 0x1.fbd50ap-1f, 0x1.fe767ap-1f, 0x1.ff6f18p-1f, 0x1.ffdfa6p-1f, 0x1.fffbap-1f,
     0x1.ffff68p-1f, 0x1.ffffecp-1f, 0x1.fffffep-1f, 0, 0x1.9fa48ep-5f, 0x1.df7392p-5f,
     0x1.1f86bep-4f, 0x1.5f22d2p-4f, 0x1.9e9356p-4f, 0x1.ddd092p-4f, 0x1.1e1ddp-3f, 0x1.5c9308p-3f,
     0x1.9a5f1cp-3f, 0x1.d7665cp-3f, 0x1.18a39ap-2f, 0x1.52c2c6p-2f, 0x1.8a87e2p-2f, 0x1.bfae6ap-2f,
     0x1.05087p-1f, 0x1.3157ep-1f, 0x1.5789p-1f, 0x1.77d838p-1f, 0x1.9e5cb6p-1f, 0x1.c278a6p-1f,
     0x1.d9c6fcp-1f, 0x1.e8789ep-1f},
    // r
    {0x1.64108ap-5f, 0x1.09a7a8p-6f, 0x1.88ef6ep-8f, 0x1.21a7b4p-9f, 0x1.02c03cp-11f, 0x1.183476p-14f,
     0x1.2f61b4p-17f, 0x1.48779cp-20f, 0x1.af7fe6p-24f, 1, 0x1.feae94p-1f, 0x1.fe3f08p-1f,
     0x1.fd7a22p-1f, 0x1.fc3cbep-1f, 0x1.fac13ep-1f, 0x1.f9085ap-1f, 0x1.f601cap-1f, 0x1.f12bp-1f,
     0x1.eb715ap-1f, 0x1.e4dfb2p-1f, 0x1.d98b36p-1f, 0x1.c7f724p-1f, 0x1.b3ff2ep-1f, 0x1.9e23aep-1f,
     0x1.7aeae6p-1f, 0x1.49e6cp-1f, 0x1.197fcep-1f, 0x1.d834d2p-2f, 0x1.615002p-2f, 0x1.cea744p-3f,
     0x1.265e34p-3f, 0x1.6fcfa6p-4f},
    // r^2
    {-0x1.5c37eep-5f, -0x1.077cbp-6f, -0x1.87cec4p-8f, -0x1.216666p-9f, -0x1.02141cp-11f, -0x1.197784p-14f,
     -0x1.29ffe8p-17f, -0x1.8bbad6p-20f, -0x1.1be1eep-25f, 0, -0x1.a0a63ep-5f, -0x1.e05464p-5f,
     -0x1.1eb916p-4f, -0x1.5ca09ap-4f, -0x1.99d6f2p-4f, -0x1.d6ab66p-4f, -0x1.1872c8p-3f, -0x1.52b16p-3f,
     -0x1.89eb36p-3f, -0x1.be2e4ap-3f, -0x1.039104p-2f, -0x1.2db97cp-2f, -0x1.50026p-2f, -0x1.6a11a2p-2f,
     -0x1.82646cp-2f, -0x1.897dd2p-2f, -0x1.79c85ep-2f, -0x1.5a9b08p-2f, -0x1.1df0bcp-2f, -0x1.9711fcp-3f,
     -0x1.1068aep-3f, -0x1.5ee22ep-4f},
    // r^3
    {0x1.bbce04p-6f, 0x1.5994cep-7f, 0x1.03964ep-8f, 0x1.80e742p-10f, 0x1.586064p-12f, 0x1.7529b2p-15f,
     0x1.941038p-18f, 0x1.b57a98p-21f, 0x1.1dfda4p-24f, -0x1.555556p-2f, -0x1.4e619ep-2f, -0x1.560bb4p-2f,
     -0x1.4fdff6p-2f, -0x1.49c27ep-2f, -0x1.470f7ap-2f, -0x1.42b2c8p-2f, -0x1.3ab004p-2f, -0x1.2ed6acp-2f,
     -0x1.204616p-2f, -0x1.101bfap-2f, -0x1.e8f372p-3f, -0x1.987b0cp-3f, -0x1.424906p-3f, -0x1.d71974p-4f,
     -0x1.bcf15ap-5f, 0x1.d6bcdcp-7f, 0x1.072286p-4f, 0x1.843dc2p-4f, 0x1.c68f5ep-4f, 0x1.97d92cp-4f,
     0x1.33de5ap-4f, 0x1.a85d42p-5f},
    // r^4
    {-0x1.9677ep-7f, -0x1.50d9cep-8f, -0x1.013928p-9f, -0x1.7f28dep-11f, -0x1.6c4ec4p-13f, -0x1.7274b2p-16f,
     -0x1.e7af18p-19f, 0x1.978218p-22f, -0x1.1b9ed2p-23f, 0, 0x1.aa5c6ap+3f, 0x1.02b85ep+4f,
     0x1.013332p+1f, 0x1.24dcacp-2f, -0x1.7f9bdep+0f, -0x1.fb8896p+0f, -0x1.74482ep-5f, 0x1.ce5972p-2f,
     0x1.4580e8p-3f, -0x1.0695aep-2f, 0x1.3cf9bap-3f, 0x1.8f4d6ep-3f, 0x1.a45bf2p-3f, 0x1.0e0d0ep-3f,
     0x1.444e58p-3f, 0x1.eb7038p-4f, 0x1.5f2da2p-4f, 0x1.35b358p-5f, 0x1.ef3456p-9f, -0x1.548ff2p-6f,
     -0x1.954242p-6f, -0x1.5ac668p-6f},
    // r^5
    {0x1.04b056p-8f, 0x1.f5d4ccp-10f, 0x1.93f0fp-11f, 0x1.32d7e6p-12f, 0x1.1e7cd8p-14f, 0x1.3761c6p-17f,
     0x1.514bfp-20f, 0x1.6d362ep-23f, 0x1.f90f0ap-27f, 0x1.111112p-3f, -0x1.3a9edap+7f, 0x1.ebe284p+7f,
     0x1.cb3528p+3f, -0x1.21a7d4p+4f, -0x1.17dc44p+2f, -0x1.572b52p+1f, -0x1.fe0e9cp-1f, 0x1.55f284p-1f,
     0x1.9bd828p-2f, 0x1.84b062p-1f, -0x1.9a9c76p-10f, 0x1.4851d4p-4f, -0x1.a3326ap-5f, -0x1.5d4462p-6f,
     -0x1.76db0ep-5f, -0x1.d9555cp-5f, -0x1.f2b7d8p-5f, -0x1.bfbbb6p-5f, -0x1.071e76p-5f, -0x1.395ac8p-7f,
     0x1.768ed4p-10f, 0x1.2be216p-8f},
};
// clang-format on

EG_INLINE __m512 tanh_of(__m512 x) {
  const __m512 signs = _mm512_set1_ps(-0.0f), a = _mm512_andnot_ps(signs, x);
  const __m512 b = _mm512_maskz_min_ps(kAll, _mm512_set1_ps(kLargest), a);  // a NaN stays
  const __m512 c = _mm512_maskz_max_ps(kAll, b, _mm512_set1_ps(kFirstPiece));
  const __m512i piece = _mm512_maskz_srli_epi32(kAll, _mm512_castps_si512(c), 21);
  const __m512 r = _mm512_sub_ps(b, look_up(tanh_table[0], piece));
  __m512 y = look_up(tanh_table[6], piece);
#pragma GCC unroll 5
  for (int i = 5; i > 0; --i) y = _mm512_fmadd_ps(y, r, look_up(tanh_table[i], piece));
  return _mm512_or_ps(y, _mm512_and_ps(signs, x));
}

// ---- exp: 2^(n/32) of a table times a cubic of what remains. Largest error over all floats 1.0 ulp.

// The bits of 2^(k/32), less those that k in the low bits of n puts into the mantissa when n is shifted to where the exponent
// stands.
alignas(64) const int32_t exp_table[32] = {
    0x3f800000, 0x3f7ecd87, 0x3f7daac3, 0x3f7c980f, 0x3f7b95c2, 0x3f7aa43a, 0x3f79c3d3, 0x3f78f4f0,
    0x3f7837f0, 0x3f778d3a, 0x3f76f532, 0x3f767043, 0x3f75fed7, 0x3f75a15b, 0x3f75583f, 0x3f7523f6,
    0x3f7504f3, 0x3f74fbaf, 0x3f7508a4, 0x3f752c4d, 0x3f75672a, 0x3f75b9be, 0x3f76248c, 0x3f76a81e,
    0x3f7744fd, 0x3f77fbb8, 0x3f78ccdf, 0x3f79b907, 0x3f7ac0c7, 0x3f7be4ba, 0x3f7d257d, 0x3f7e83b3,
};

template <bool anywhere>
EG_INLINE __m512 exp_as(__m512 x) {
  __mmask16 low =
      0;  // results that are 0, by no arithmetic: underflow takes the processor a hundred cycles
  if (anywhere) {
    low = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-104.0f), _CMP_LT_OQ);
    x = _mm512_maskz_min_ps(__mmask16(~low), _mm512_set1_ps(89.0f), x);  // a NaN stays
  }
  const __m512 round = _mm512_set1_ps(12582912.0f);  // leaves a whole number in the low bits
  const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(46.1662413f), round);
  const __m512 n = _mm512_sub_ps(shifted, round);
  // x - n ln 2 / 32, in two parts of which 355 / 2^14 times n is exact.
  const __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(6.63107625e-6f),
                                   _mm512_fmadd_ps(n, _mm512_set1_ps(-0.021667480f), x));
  const __m512i bits = _mm512_castps_si512(shifted);
  const __m512i k = anywhere ? _mm512_and_si512(bits, _mm512_set1_epi32(31)) : bits;
  const __m512i entry = _mm512_permutex2var_epi32(_mm512_load_si512(exp_table), bits,
                                                  _mm512_load_si512(exp_table + 16));
  const __m512 power =
      _mm512_castsi512_ps(_mm512_add_epi32(entry, _mm512_maskz_slli_epi32(kAll, k, 18)));
  __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(1 / 6.0f), _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  const __m512 y = _mm512_fmadd_ps(p, _mm512_mul_ps(power, r), power);
  if (!anywhere) return y;
  return _mm512_maskz_scalef_ps(__mmask16(~low), y, _mm512_mul_ps(n, _mm512_set1_ps(1 / 32.0f)));
}

EG_INLINE __m512 exp_of(__m512 x) {
  const __m512 y = exp_as<false>(x), size = _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x);
  // Where terms or the result come near the ends of the range of float, or x is not a number.
  const __mmask16 extreme = _mm512_cmp_ps_mask(size, _mm512_set1_ps(80.0f), _CMP_NLE_UQ);
  return __builtin_expect(extreme, 0) ? _mm512_mask_mov_ps(y, extreme, exp_as<true>(x)) : y;
}

// ---- sqrt: the processor's estimate, a step of Newton's method and Markstein's correction, which rounds as IEEE 754 asks: two
// thirds of the time of the processor's square root.

EG_INLINE __m512 sqrt_of(__m512 x) {
  const __m512 estimate = _mm512_maskz_rsqrt14_ps(kAll, x);
  __m512 y = _mm512_mul_ps(x, estimate), half = _mm512_mul_ps(estimate, _mm512_set1_ps(0.5f));
  const __m512 r = _mm512_fnmadd_ps(y, half, _mm512_set1_ps(0.5f));
  y = _mm512_fmadd_ps(y, r, y);
  half = _mm512_fmadd_ps(half, r, half);
  y = _mm512_fmadd_ps(_mm512_fnmadd_ps(y, y, x), half, y);
  // Below 2^-103 the correction has subnormal terms; 0, infinities, NaN and negative numbers are beyond these bounds too.
  const __m512i from_lowest = _mm512_sub_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(24 << 23));
  const __mmask16 extreme =
      _mm512_cmpge_epu32_mask(from_lowest, _mm512_set1_epi32((255 - 24) << 23));
  return __builtin_expect(extreme, 0) ? _mm512_mask_sqrt_ps(y, extreme, x) : y;
}

// The same of double with two steps: a third of the time.
EG_INLINE __m512d sqrt_of(__m512d x) {
  constexpr __mmask8 all = 0xff;
  const __m512d estimate = _mm512_maskz_rsqrt14_pd(all, x), middle = _mm512_set1_pd(0.5);
  __m512d y = _mm512_mul_pd(x, estimate), half = _mm512_mul_pd(estimate, middle);
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512d r = _mm512_fnmadd_pd(y, half, middle);
    y = _mm512_fmadd_pd(y, r, y);
    half = _mm512_fmadd_pd(half, r, half);
  }
  y = _mm512_fmadd_pd(_mm512_fnmadd_pd(y, y, x), half, y);
  // Below 2^-967 the correction has subnormal terms.
  constexpr int64_t lowest = int64_t(56) << 52, beyond = int64_t(2047) << 52;
  const __m512i from_lowest = _mm512_sub_epi64(_mm512_castpd_si512(x), _mm512_set1_epi64(lowest));
  const __mmask8 extreme = _mm512_cmpge_epu64_mask(from_lowest, _mm512_set1_epi64(beyond - lowest));
  return __builtin_expect(extreme, 0) ? _mm512_mask_sqrt_pd(y, extreme, x) : y;
}
EG_INLINE void each_root(int64_t n, double* y, const double* x) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm512_storeu_pd(y + i, sqrt_of(_mm512_loadu_pd(x + i)));
  const __mmask8 rest = __mmask8((1u << (n - i)) - 1);
  if (rest) _mm512_mask_storeu_pd(y + i, rest, sqrt_of(_mm512_maskz_loadu_pd(rest, x + i)));
}

// ---- log: of the mantissa in [0.75, 1.5) by a polynomial of degree 10, least squares at Chebyshev nodes with weights that even the
// relative error out. Largest error over all floats 0.9 ulp. In a loop of its own an element takes what the C library's takes, which
// is ten times slower where one in a vector is 0 or negative.

EG_INLINE __m512 log_of(__m512 x) {
  const __m512 m = _mm512_maskz_getmant_ps(kAll, x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_nan);
  const __m512 e = _mm512_sub_ps(_mm512_maskz_getexp_ps(kAll, x), _mm512_maskz_getexp_ps(kAll, m));
  const __m512 r = _mm512_sub_ps(m, _mm512_set1_ps(1.0f));
  constexpr float terms[] = {-0.5f,           0x1.5555a4p-2f, -0x1.000044p-2f, 0x1.99696ep-3f,
                             -0x1.54ee96p-3f, 0x1.28854ep-3f, -0x1.0d9734p-3f, 0x1.acbdccp-4f};
  __m512 p = _mm512_set1_ps(-0x1.7171fp-5f);
#pragma GCC unroll 8
  for (int i = 7; i >= 0; --i) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(terms[i]));
  // e ln 2 in two parts, of which 355 / 512 times e is exact. e is infinite where the result is: not in both, whose signs differ.
  constexpr int kSmallerSize = 2;
  const __m512 finite = _mm512_maskz_range_ps(kAll, e, _mm512_set1_ps(256.0f), kSmallerSize);
  const __m512 low = _mm512_fmadd_ps(_mm512_mul_ps(r, r), p,
                                     _mm512_mul_ps(finite, _mm512_set1_ps(-2.12194440e-4f)));
  return _mm512_fmadd_ps(e, _mm512_set1_ps(0.693359375f), _mm512_add_ps(r, low));
}

// log(1 + exp(x)): max(x, 0) + log(1 + t) + lost / (1 + t), where 1 + t has lost something of t.
EG_INLINE __m512 log1pexp_of(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 t = exp_of(_mm512_or_ps(_mm512_set1_ps(-0.0f), x)), u = _mm512_add_ps(one, t);
  const __m512 d = _mm512_sub_ps(u, one), lost = _mm512_sub_ps(t, d);
  const __m512 rest =  // lost / u as lost (1 - d / u): of the quotient, few digits matter
      _mm512_fnmadd_ps(_mm512_mul_ps(lost, d), _mm512_maskz_rcp14_ps(kAll, u), lost);
  const __m512 y = _mm512_add_ps(log_of(u), rest);
  return _mm512_add_ps(_mm512_maskz_max_ps(kAll, _mm512_setzero_ps(), x), y);  // a NaN stays
}

}  // namespace

// ---- A line of ops/elementwise.def for 16 floats at once.

namespace vocabulary {
namespace {

struct Floats {
  __m512 v;

  EG_INLINE Floats(__m512 all) : v(all) {}  // NOLINT: implicit, as the numbers below
  template <class N, class = std::enable_if_t<std::is_arithmetic_v<N>>>
  EG_INLINE Floats(N n) : v(_mm512_set1_ps(float(n))) {}

  friend EG_INLINE Floats operator+(Floats a, Floats b) { return a.v + b.v; }
  friend EG_INLINE Floats operator-(Floats a, Floats b) { return a.v - b.v; }
  friend EG_INLINE Floats operator*(Floats a, Floats b) { return a.v * b.v; }
  friend EG_INLINE Floats operator/(Floats a, Floats b) { return a.v / b.v; }
  friend EG_INLINE Floats operator-(Floats a) { return -a.v; }
};

EG_INLINE Floats exp(Floats x) { return exp_of(x.v); }
EG_INLINE Floats sqrt(Floats x) { return sqrt_of(x.v); }
EG_INLINE Floats tanh(Floats x) { return tanh_of(x.v); }
EG_INLINE Floats log(Floats x) { return log_of(x.v); }
EG_INLINE Floats log1pexp(Floats x) { return log1pexp_of(x.v); }

// Does the text of a line call these functions and no others?
constexpr bool speaks_of_vectors(const char* text) {
  constexpr const char* names[] = {"exp",      "sqrt",    "tanh",   "log",
                                   "log1pexp", "sigmoid", "square", "T"};
  const auto is_letter = [](char c) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  bool found = false;
  while (*text) {
    if (!is_letter(*text)) {
      if (*text == '<' || *text == '>' || *text == '=') return false;
      ++text;
      continue;
    }
    int length = 0;
    while (is_letter(text[length])) ++length;
    if (text[length] == '(') {
      bool known = false;
      for (const char* name : names) {
        int i = 0;
        while (i < length && name[i] == text[i]) ++i;
        known |= i == length && !name[i];
      }
      if (!known) return false;
      found |= *text != 'T';
    }
    text += length;
  }
  return found;
}

template <class F, class... Input>
EG_INLINE void each_vector(F f, int64_t n, float* y, const Input*... x) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(y + i, f(Floats(_mm512_loadu_ps(x + i))...).v);
  const __mmask16 rest = (1u << (n - i)) - 1;
  if (rest) _mm512_mask_storeu_ps(y + i, rest, f(Floats(_mm512_maskz_loadu_ps(rest, x + i))...).v);
}

}  // namespace
}  // namespace vocabulary
}  // namespace eg

#endif
