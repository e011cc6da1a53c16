#include "kernels/avx512_math.h"
#include "kernels/elementwise.h"
#include "kernels/loop.h"
#include "kernels/units.h"
#include "kernels/vocabulary.h"

namespace eg {
namespace vocabulary {
namespace {

#if defined(EG_AVX512_MATH)
#define EG_VECTOR_FORMS(Y, GX) \
  static constexpr bool vector = speaks_of_vectors(#Y), vector_backward = speaks_of_vectors(#GX);
#else
#define EG_VECTOR_FORMS(Y, GX)
#endif
#define EG_UNARY(NAME, DOMAIN, FLAGS, COUNT, P0, D0, P1, D1, P2, D2, Y, GX)                       \
  struct NAME##_op {                                                                              \
    static constexpr bool padded = calls_library(#Y), padded_backward = calls_library(#GX);       \
    EG_VECTOR_FORMS(Y, GX)                                                                        \
    template <class T>                                                                            \
    static EG_INLINE auto forward([[maybe_unused]] T x, const double* p) {                        \
      [[maybe_unused]] const T P0 = T(p[0]), P1 = T(p[1]), P2 = T(p[2]);                          \
      return Y;                                                                                   \
    }                                                                                             \
    template <class T>                                                                            \
    static EG_INLINE T backward([[maybe_unused]] T g, [[maybe_unused]] T x, [[maybe_unused]] T y, \
                                const double* p) {                                                \
      [[maybe_unused]] const T P0 = T(p[0]), P1 = T(p[1]), P2 = T(p[2]);                          \
      return GX;                                                                                  \
    }                                                                                             \
  };
#include "ops/elementwise.def"

template <class Op, class T, class R>
void forward_loop(char* const* p, const int64_t*, int64_t n, const double* attributes) {
  R* y = reinterpret_cast<R*>(p[0]);
  const T* x = reinterpret_cast<const T*>(p[1]);
  const double a[3] = {attributes[0], attributes[1], attributes[2]};
#if defined(EG_AVX512_MATH)
  if constexpr (std::is_same_v<T, float> && std::is_same_v<R, float> && Op::vector)
    return each_vector([a](Floats v) { return Op::forward(v, a); }, n, y, x);
  if constexpr (std::is_same_v<T, double> && std::is_same_v<Op, sqrt_op>) return each_root(n, y, x);
#endif
  if constexpr (std::is_same_v<T, bool>)  // GCC vectorises the opposite of a byte, not of a bool
    each_element<Op::padded>([a](Bytes1 v) { return Op::forward(v.v != 0, a); }, n, y,
                             reinterpret_cast<const Bytes1*>(x));
  else
    each_element<Op::padded>([a](T v) EG_INLINED { return Op::forward(v, a); }, n, y, x);
}

template <class Op, class T>
void backward_loop(char* const* p, const int64_t*, int64_t n, const double* attributes) {
  T* gx = reinterpret_cast<T*>(p[0]);
  const T* g = reinterpret_cast<const T*>(p[1]);
  const T* x = reinterpret_cast<const T*>(p[2]);
  const T* y = reinterpret_cast<const T*>(p[3]);
  const double a[3] = {attributes[0], attributes[1], attributes[2]};
#if defined(EG_AVX512_MATH)
  if constexpr (std::is_same_v<T, float> && Op::vector_backward)
    return each_vector([a](Floats gi, Floats xi, Floats yi) { return Op::backward(gi, xi, yi, a); },
                       n, gx, g, x, y);
#endif
  const auto rule = [a](T gi, T xi, T yi) EG_INLINED { return Op::backward(gi, xi, yi, a); };
  each_element<Op::padded_backward>(rule, n, gx, g, x, y);
}

template <class Op, Domain domain, class T>
constexpr ElementwiseLoop forward_of() {
  constexpr bool integral = std::is_integral_v<T>;
  if constexpr (gives_bool(domain))
    return &forward_loop<Op, T, bool>;
  else if constexpr (domain == Domain::Any || integral == (domain == Domain::Int))
    return &forward_loop<Op, T, T>;
  else
    return nullptr;
}
template <class Op, Domain domain, class T>
constexpr ElementwiseLoop backward_of() {
  if constexpr (domain == Domain::Float || domain == Domain::Any)
    return &backward_loop<Op, T>;
  else
    return nullptr;
}

// The sign bit of halves, inverted or cleared.
template <bool clear>
void half_sign_loop(char* const* p, const int64_t*, int64_t n, const double*) {
  auto* y = reinterpret_cast<uint16_t*>(p[0]);
  auto* x = reinterpret_cast<const uint16_t*>(p[1]);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = uint16_t(clear ? x[i] & 0x7fff : x[i] ^ 0x8000);
}

}  // namespace
}  // namespace vocabulary

using namespace vocabulary;

#define EG_EACH_TYPE(MAKE, OP, DOMAIN)                                                       \
  MAKE<OP, DOMAIN, bool>(), MAKE<OP, DOMAIN, uint8_t>(), MAKE<OP, DOMAIN, int8_t>(),         \
      MAKE<OP, DOMAIN, int16_t>(), MAKE<OP, DOMAIN, int32_t>(), MAKE<OP, DOMAIN, int64_t>(), \
      MAKE<OP, DOMAIN, float>(), MAKE<OP, DOMAIN, double>()

namespace {
const UnaryKernels table = {{
#define EG_UNARY(NAME, DOMAIN, ...) {EG_EACH_TYPE(forward_of, NAME##_op, DOMAIN)},
#include "ops/elementwise.def"
                            },
                            {
#define EG_UNARY(NAME, DOMAIN, ...) \
  {backward_of<NAME##_op, DOMAIN, float>(), backward_of<NAME##_op, DOMAIN, double>()},
#include "ops/elementwise.def"
                            },
                            {&half_sign_loop<false>, &half_sign_loop<true>}};
}  // namespace
EG_REGISTER_KERNELS(UnaryKernels, table)

}  // namespace eg
