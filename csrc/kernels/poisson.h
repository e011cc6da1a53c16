// One Poisson number: read by the host's kernels and the GPU's.
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
};

// By multiplication for small rates, by transformed rejection for large ones (Hoermann's PTRS, 1993). Each element has a stream
// of its own, so that rejections do not shift its neighbours.
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
        -rate + k * vocabulary::log(rate) - ::lgamma(k + 1))
      return k;
  }
}

}  // namespace
}  // namespace eg
