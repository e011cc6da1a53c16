#include "kernels/elementwise.h"
#include "kernels/units.h"
#include "kernels/vocabulary.h"

namespace eg {
namespace vocabulary {
namespace {

#define EG_TERNARY(NAME, COUNT, P0, D0, Y, GA, GB, GC)                                  \
  struct NAME##_op {                                                                    \
    template <class T>                                                                  \
    static EG_INLINE T forward(T a, T b, T c, double p) {                               \
      [[maybe_unused]] const T P0 = T(p);                                               \
      return T(Y);                                                                      \
    }                                                                                   \
    template <int which, class T>                                                       \
    static EG_INLINE T backward(T g, [[maybe_unused]] T a, [[maybe_unused]] T b,        \
                                [[maybe_unused]] T c, [[maybe_unused]] T y, double p) { \
      [[maybe_unused]] const T P0 = T(p);                                               \
      if constexpr (which == 0)                                                         \
        return GA;                                                                      \
      else if constexpr (which == 1)                                                    \
        return GB;                                                                      \
      else                                                                              \
        return GC;                                                                      \
    }                                                                                   \
  };
#include "ops/elementwise.def"

template <class Op, class T>
void forward_loop(char* const* p, const int64_t*, int64_t n, const double* attributes) {
  T* y = reinterpret_cast<T*>(p[0]);
  const T* a = reinterpret_cast<const T*>(p[1]);
  const T* b = reinterpret_cast<const T*>(p[2]);
  const T* c = reinterpret_cast<const T*>(p[3]);
  const double attribute = attributes[0];
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = Op::forward(a[i], b[i], c[i], attribute);
}

template <class Op, int which, class T>
void backward_loop(char* const* p, const int64_t*, int64_t n, const double* attributes) {
  T* out = reinterpret_cast<T*>(p[0]);
  const T* g = reinterpret_cast<const T*>(p[1]);
  const T* a = reinterpret_cast<const T*>(p[2]);
  const T* b = reinterpret_cast<const T*>(p[3]);
  const T* c = reinterpret_cast<const T*>(p[4]);
  const T* y = reinterpret_cast<const T*>(p[5]);
  const double attribute = attributes[0];
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i)
    out[i] = Op::template backward<which>(g[i], a[i], b[i], c[i], y[i], attribute);
}

// A choice between bits, which GCC makes no branch of; only moved, numbers are bits of their size.
template <class Unit>
void where_loop(char* const* p, const int64_t*, int64_t n, const double*) {
  using Bits = decltype(Unit::v);
  Unit* y = reinterpret_cast<Unit*>(p[0]);
  const Bytes1* c = reinterpret_cast<const Bytes1*>(p[1]);
  const Unit* a = reinterpret_cast<const Unit*>(p[2]);
  const Unit* b = reinterpret_cast<const Unit*>(p[3]);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const Bits chosen = Bits(Bits(0) - Bits(c[i].v));  // all ones or none
    y[i].v = Bits((a[i].v & chosen) | (b[i].v & ~chosen));
  }
}

}  // namespace
}  // namespace vocabulary

using namespace vocabulary;

namespace {
const TernaryKernels table = {
    {
#define EG_TERNARY(NAME, ...)         \
  {nullptr,                           \
   &forward_loop<NAME##_op, uint8_t>, \
   &forward_loop<NAME##_op, int8_t>,  \
   &forward_loop<NAME##_op, int16_t>, \
   &forward_loop<NAME##_op, int32_t>, \
   &forward_loop<NAME##_op, int64_t>, \
   &forward_loop<NAME##_op, float>,   \
   &forward_loop<NAME##_op, double>},
#include "ops/elementwise.def"
    },
    {
#define EG_TERNARY(NAME, ...)                                                   \
  {{&backward_loop<NAME##_op, 0, float>, &backward_loop<NAME##_op, 0, double>}, \
   {&backward_loop<NAME##_op, 1, float>, &backward_loop<NAME##_op, 1, double>}, \
   {&backward_loop<NAME##_op, 2, float>, &backward_loop<NAME##_op, 2, double>}},
#include "ops/elementwise.def"
    },
    {&where_loop<Bytes1>, &where_loop<Bytes1>, &where_loop<Bytes1>, &where_loop<Bytes2>,
     &where_loop<Bytes4>, &where_loop<Bytes8>, &where_loop<Bytes4>, &where_loop<Bytes8>}};
}  // namespace
EG_REGISTER_KERNELS(TernaryKernels, table)

}  // namespace eg
