#include "kernels/elementwise.h"
#include "kernels/halves.h"
#include "kernels/loop.h"
#include "kernels/vocabulary.h"

namespace eg {
namespace vocabulary {
namespace {

enum Flags { Public, Internal, Brief };

#if defined(__F16C__)
EG_INLINE Vec<float> copysign(Vec<float> a, Vec<float> b) {
  const Vec<int32_t> sign = splat(INT32_MIN);
  return (Vec<float>)(((Vec<int32_t>)a & ~sign) | ((Vec<int32_t>)b & sign));
}
#endif

struct Power {
  template <class T>
  EG_INLINE T operator()(T a, T b) const {
    return vocabulary::pow(a, b);
  }
};

// A gradient's `pow` is an argument, so that powers can be taken apart from what else the line does (see power_backward).
#define EG_BINARY(NAME, DOMAIN, FLAGS, Y, GA, GB)                                                 \
  struct NAME##_op {                                                                              \
    static constexpr bool brief = FLAGS == Brief;                                                 \
    static constexpr bool padded = calls_library(#Y);                                             \
    static constexpr bool padded_backward = calls_library(#GA) || calls_library(#GB);             \
    template <class T>                                                                            \
    static EG_INLINE auto forward(T a, T b) {                                                     \
      return Y;                                                                                   \
    }                                                                                             \
    template <int which, class T, class P>                                                        \
    static EG_INLINE T backward([[maybe_unused]] T g, [[maybe_unused]] T a, [[maybe_unused]] T b, \
                                [[maybe_unused]] T y, [[maybe_unused]] P pow) {                   \
      if constexpr (which == 0)                                                                   \
        return GA;                                                                                \
      else                                                                                        \
        return GB;                                                                                \
    }                                                                                             \
  };
#include "ops/elementwise.def"

// Lines with a form that vectorises, right for most numbers: `fits` tells for which.
template <class Op, class T, class = void>
struct Quick {
  static constexpr bool exists = false;
};
#define EG_QUICK(NAME, KIND, FITS, Y)                                      \
  template <class T>                                                       \
  struct Quick<NAME##_op, T, std::enable_if_t<KIND>> {                     \
    static constexpr bool exists = true;                                   \
    static EG_INLINE bool fits(T a, T b) { return FITS; }                  \
    static EG_INLINE T forward(T a, [[maybe_unused]] T b) { return T(Y); } \
  };
EG_QUICK(polygamma, (std::is_same_v<T, float>), a == 1, trigamma(b))
#if defined(EG_QUICK_FMOD)
#define EG_QUICK_FLOAT(NAME, Y) EG_QUICK(NAME, std::is_floating_point_v<T>, has_quick_fmod(a, b), Y)
EG_QUICK_FLOAT(fmod, quick_fmod(a, b))
EG_QUICK_FLOAT(remainder, remainder_of(quick_fmod(a, b), b))
EG_QUICK_FLOAT(floor_divide, quotient_of(quick_fmod(a, b), a, b))
#endif
#if defined(EG_QUICK_DIVISION)
template <class T>
constexpr bool is_wide = std::is_same_v<T, int64_t> || std::is_same_v<T, int32_t>;
#define EG_QUICK_WHOLE(NAME, Y) EG_QUICK(NAME, is_wide<T>, has_quick_quotient(a, b), Y)
EG_QUICK_WHOLE(fmod, quick_rest(a, b))
EG_QUICK_WHOLE(remainder, remainder_of(quick_rest(a, b), b))
EG_QUICK_WHOLE(floor_divide,
               quick_quotient(a, b) - T((quick_rest(a, b) != 0) & ((a < 0) != (b < 0))))
#endif

// A number is repeated for a block: one form of the loop is enough.
template <class Op, class T>
void quick_loop(T* y, const T* a, const T* b, const int64_t* step, int64_t n) {
  using Q = Quick<Op, T>;
  T first[kBlock], second[kBlock];
  for (int64_t i = 0; i < kBlock; ++i) {
    if (step[1] == 0) first[i] = *a;
    if (step[2] == 0) second[i] = *b;
  }
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t m = n - at < kBlock ? n - at : kBlock;
    each_quickly([](T v, T w) { return Q::forward(v, w); }, [](T v, T w) { return Q::fits(v, w); },
                 [](T v, T w) { return Op::forward(v, w); }, m, y + at, step[1] ? a + at : first,
                 step[2] ? b + at : second);
  }
}

// Lines that take narrower whole numbers by the loop of int32's: it is a quick one, or shifts vectors by amounts that differ.
template <class Op, class T>
constexpr bool widens = std::is_integral_v<T> && sizeof(T) < 4 && !std::is_same_v<T, bool> &&
                        (Quick<Op, int32_t>::exists || std::is_same_v<Op, bitwise_left_shift_op> ||
                         std::is_same_v<Op, bitwise_right_shift_op>);
template <class T>
__attribute__((noinline)) void widened_loop(ElementwiseLoop loop, char* const* p,
                                            const int64_t* step, int64_t n) {
  int32_t wide[3][kBlock];
  char* const q[] = {reinterpret_cast<char*>(wide[0]), reinterpret_cast<char*>(wide[1]),
                     reinterpret_cast<char*>(wide[2])};
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t m = n - at < kBlock ? n - at : kBlock;
    for (int o = 1; o < 3; ++o) {
      const T* const x = reinterpret_cast<const T*>(p[o]) + at * step[o];
      const int64_t count = step[o] ? m : 1;
      for (int64_t i = 0; i < count; ++i) wide[o][i] = x[i];
    }
    loop(q, step, m, nullptr);
    T* const y = reinterpret_cast<T*>(p[0]) + at;
    for (int64_t i = 0; i < m; ++i) y[i] = T(wide[0][i]);
  }
}

// Powers of a block in two loops: in one, GCC calls the C library's function for the elements alone that need it, one by one.
// y may be a or b.
template <class T>
__attribute__((noinline)) void power_block(T* y, const T* a, const T* b, int64_t n) {
  T powers[kBlock];
  each_element<true>([](T v, T w) { return power_of_size(v, w); }, n, powers, a, b);
  for (int64_t i = 0; i < n; ++i) powers[i] = signed_power(a[i], b[i], powers[i]);
  for (int64_t i = 0; i < n; ++i) y[i] = powers[i];
}
template <class T>
void power_loop(T* y, const T* a, const T* b, const int64_t* step, int64_t n) {
  T first[kBlock], second[kBlock];
  for (int64_t i = 0; i < kBlock; ++i) {
    if (step[1] == 0) first[i] = *a;
    if (step[2] == 0) second[i] = *b;
  }
  for (int64_t at = 0; at < n; at += kBlock)
    power_block(y + at, step[1] ? a + at : first, step[2] ? b + at : second,
                n - at < kBlock ? n - at : kBlock);
}
// The line of the base's gradient, once for what it takes a power of and once with the powers.
template <class T>
void power_backward(T* out, const T* g, const T* a, const T* b, const T* y, int64_t n) {
  T base[kBlock], exponent[kBlock];
  for (int64_t at = 0; at < n; at += kBlock, g += kBlock, a += kBlock, b += kBlock, y += kBlock) {
    const int64_t m = n - at < kBlock ? n - at : kBlock;
    for (int64_t i = 0; i < m; ++i)
      pow_op::backward<0>(g[i], a[i], b[i], y[i], [&](T v, T w) EG_INLINED {
        base[i] = v;
        exponent[i] = w;
        return v;
      });
    power_block(base, base, exponent, m);
#pragma GCC ivdep
    for (int64_t i = 0; i < m; ++i)
      out[at + i] =
          pow_op::backward<0>(g[i], a[i], b[i], y[i], [&](T, T) EG_INLINED { return base[i]; });
  }
}

template <class Op, class T, class R>
void forward_loop(char* const* p, const int64_t* step, int64_t n, const double*) {
  R* y = reinterpret_cast<R*>(p[0]);
  const T* a = reinterpret_cast<const T*>(p[1]);
  const T* b = reinterpret_cast<const T*>(p[2]);
  if constexpr (Quick<Op, T>::exists) return quick_loop<Op>(y, a, b, step, n);
  if constexpr (widens<Op, T>)
    return widened_loop<T>(&forward_loop<Op, int32_t, int32_t>, p, step, n);
  if constexpr (std::is_same_v<Op, pow_op> && std::is_floating_point_v<T>)
    return power_loop(y, a, b, step, n);
  if (step[1] == 0 && step[2] == 0) {
    const R both = R(Op::forward(*a, *b));
    for (int64_t i = 0; i < n; ++i) y[i] = both;
  } else if (step[1] == 0) {
    const T first = *a;
    each_element<Op::padded>([first](T v) EG_INLINED { return Op::forward(first, v); }, n, y, b);
  } else if (step[2] == 0) {
    const T second = *b;
    each_element<Op::padded>([second](T v) EG_INLINED { return Op::forward(v, second); }, n, y, a);
  } else {
    each_element<Op::padded>([](T v, T w) EG_INLINED { return Op::forward(v, w); }, n, y, a, b);
  }
}

template <class Op, int which, class T>
void backward_loop(char* const* p, const int64_t*, int64_t n, const double*) {
  T* out = reinterpret_cast<T*>(p[0]);
  const T* g = reinterpret_cast<const T*>(p[1]);
  const T* a = reinterpret_cast<const T*>(p[2]);
  const T* b = reinterpret_cast<const T*>(p[3]);
  const T* y = reinterpret_cast<const T*>(p[4]);
  if constexpr (std::is_same_v<Op, pow_op> && which == 0) return power_backward(out, g, a, b, y, n);
  const auto rule = [](T gi, T ai, T bi, T yi) EG_INLINED {
    return Op::template backward<which>(gi, ai, bi, yi, Power());
  };
  each_element<Op::padded_backward>(rule, n, out, g, a, b, y);
}

template <class Op, Domain domain, class T>
constexpr ElementwiseLoop forward_of() {
  constexpr bool integral = std::is_integral_v<T>;
  if constexpr (domain == Domain::Truth && !std::is_same_v<T, bool>)
    return nullptr;
  else if constexpr (gives_bool(domain))
    return &forward_loop<Op, T, bool>;
  else if constexpr (domain == Domain::Any || integral == (domain == Domain::Int))
    return &forward_loop<Op, T, T>;
  else
    return nullptr;
}
template <class Op, Domain domain, int which, class T>
constexpr ElementwiseLoop backward_of() {
  if constexpr (domain == Domain::Float || domain == Domain::Any)
    return &backward_loop<Op, which, T>;
  else
    return nullptr;
}

#if defined(__F16C__)
template <class Op, class H>
void half_loop(char* const* p, const int64_t* step, int64_t n, const double*) {
  constexpr int64_t L = kLanes<float>;
  H* y = reinterpret_cast<H*>(p[0]);
  const auto operand = [&](int o, int64_t i) {
    return step[o] ? load_halves(reinterpret_cast<const H*>(p[o]) + i)
                   : splat(*reinterpret_cast<const float*>(p[o]));
  };
  int64_t i = 0;
  for (; i + L <= n; i += L) store_halves(y + i, Op::forward(operand(1, i), operand(2, i)));
  if (i == n) return;
  H rest[3][L] = {};
  char* q[3];
  for (int o = 0; o < 3; ++o) {
    const H* from = reinterpret_cast<const H*>(p[o]);
    for (int64_t k = i; o > 0 && step[o] && k < n; ++k) rest[o][k - i] = from[k];
    q[o] = o > 0 && !step[o] ? p[o] : reinterpret_cast<char*>(rest[o]);
  }
  half_loop<Op, H>(q, step, L, nullptr);
  for (int64_t k = i; k < n; ++k) y[k] = rest[0][k - i];
}
template <class Op>
constexpr HalfLoops half_loops() {
  if constexpr (Op::brief)
    return {&half_loop<Op, Half>, &half_loop<Op, BFloat16>};
  else
    return {};
}
#else
template <class Op>
constexpr HalfLoops half_loops() {
  return {};
}
#endif

}  // namespace
}  // namespace vocabulary

using namespace vocabulary;

#define EG_EACH_TYPE(MAKE, OP, DOMAIN)                                                       \
  MAKE<OP, DOMAIN, bool>(), MAKE<OP, DOMAIN, uint8_t>(), MAKE<OP, DOMAIN, int8_t>(),         \
      MAKE<OP, DOMAIN, int16_t>(), MAKE<OP, DOMAIN, int32_t>(), MAKE<OP, DOMAIN, int64_t>(), \
      MAKE<OP, DOMAIN, float>(), MAKE<OP, DOMAIN, double>()

namespace {
const BinaryKernels table = {{
#define EG_BINARY(NAME, DOMAIN, ...) {EG_EACH_TYPE(forward_of, NAME##_op, DOMAIN)},
#include "ops/elementwise.def"
                             },
                             {
#define EG_BINARY(NAME, DOMAIN, ...)                                                          \
  {{backward_of<NAME##_op, DOMAIN, 0, float>(), backward_of<NAME##_op, DOMAIN, 0, double>()}, \
   {backward_of<NAME##_op, DOMAIN, 1, float>(), backward_of<NAME##_op, DOMAIN, 1, double>()}},
#include "ops/elementwise.def"
                             },
                             {
#define EG_BINARY(NAME, ...) half_loops<NAME##_op>(),
#include "ops/elementwise.def"
                             }};
}  // namespace
EG_REGISTER_KERNELS(BinaryKernels, table)

}  // namespace eg
