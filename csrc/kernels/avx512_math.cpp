// tanh under the names that GCC gives to the vector forms of eg_tanh (x86-64 vector function ABI), as libmvec's have: loops that
// call eg_tanh vectorise.
#define EG_DEFINES_TANH
#include "kernels/avx512_math.h"

#if defined(EG_AVX512_MATH)

#include <string.h>

namespace eg {
namespace {

template <class V>
EG_INLINE V part(V x) {
  __m512 all = {};
  memcpy(&all, &x, sizeof(x));
  all = tanh_of(all);
  memcpy(&x, &all, sizeof(x));
  return x;
}

}  // namespace
}  // namespace eg

extern "C" {
float eg_tanh(float x) { return eg::part(x); }
__m128 _ZGVbN4v_eg_tanh(__m128 x) { return eg::part(x); }
__m256 _ZGVcN8v_eg_tanh(__m256 x) { return eg::part(x); }
__m256 _ZGVdN8v_eg_tanh(__m256 x) { return eg::part(x); }
__m512 _ZGVeN16v_eg_tanh(__m512 x) { return eg::tanh_of(x); }
}

#endif
