#pragma once
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
// The shared sources use the compilers' names where the host's C library would set errno.
#define __builtin_fabs ::fabs
#define __builtin_fabsf ::fabsf
#define __builtin_floor ::floor
#define __builtin_floorf ::floorf
#define __builtin_ceil ::ceil
#define __builtin_ceilf ::ceilf
#define __builtin_trunc ::trunc
#define __builtin_truncf ::truncf
#define __builtin_rint ::rint
#define __builtin_rintf ::rintf
#define __builtin_signbit(x) (__double_as_longlong(x) < 0)
#define __builtin_signbitf(x) (__float_as_int(x) < 0)
#define __builtin_memcpy memcpy
#define __builtin_expect(x, y) (x)
#define __builtin_unreachable() __trap()
inline double lgamma_r(double x, int* sign) {
  *sign = x < 0 && ::floor(x) != x && (long long)::floor(x) % 2 != 0 ? -1 : 1;
  return ::lgamma(x);
}
inline float lgammaf_r(float x, int* sign) {
  *sign = x < 0 && ::floorf(x) != x && (long long)::floorf(x) % 2 != 0 ? -1 : 1;
  return ::lgammaf(x);
}
