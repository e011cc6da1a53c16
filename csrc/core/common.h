// Vocabulary shared by every layer: element types, devices, scalars of half precision, small helpers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#define EG_LIKELY(x) __builtin_expect(!!(x), 1)
#define EG_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define EG_INLINE inline __attribute__((always_inline))

namespace eg {

// Ordered so that comparisons answer questions: everything from Float16 on is floating point,
// everything from UInt8 on is a number.
enum class DType : uint8_t {
  Bool,
  UInt8,
  Int8,
  Int16,
  Int32,
  Int64,
  Float16,
  BFloat16,
  Float32,
  Float64,
};
constexpr int kDTypes = 10;

constexpr size_t item_size(DType t) {
  constexpr uint8_t size[kDTypes] = {1, 1, 1, 2, 4, 8, 2, 2, 4, 8};
  return size[static_cast<int>(t)];
}
constexpr bool is_floating(DType t) { return t >= DType::Float16; }
constexpr bool is_integral(DType t) { return t < DType::Float16 && t != DType::Bool; }
constexpr bool is_reduced(DType t) { return t == DType::Float16 || t == DType::BFloat16; }

enum class DeviceType : uint8_t { CPU, CUDA };
struct Device {
  DeviceType type = DeviceType::CPU;
  int8_t index = 0;
  constexpr bool operator==(Device o) const { return type == o.type && index == o.index; }
  constexpr bool operator!=(Device o) const { return !(*this == o); }
  constexpr bool is_cpu() const { return type == DeviceType::CPU; }
};

// IEEE binary16. Storage only: arithmetic happens in float.
struct Half {
  uint16_t bits;
};
// The upper half of an IEEE binary32. Storage only.
struct BFloat16 {
  uint16_t bits;
};

namespace bits {
static EG_INLINE float as_float(uint32_t u) {
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}
static EG_INLINE uint32_t as_uint(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  return u;
}
}  // namespace bits

static EG_INLINE float to_float(BFloat16 v) { return bits::as_float(uint32_t(v.bits) << 16); }
static EG_INLINE BFloat16 to_bfloat16(float f) {
  const uint32_t u = bits::as_uint(f);
  const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  return {uint16_t(f != f ? 0x7fc0u : rounded)};
}

// Branch-free conversions (they vectorise): the exponent is rescaled by a float multiplication,
// which also gives the right subnormals.
static EG_INLINE float to_float(Half v) {
  const uint32_t sign = uint32_t(v.bits & 0x8000u) << 16;
  const uint32_t rest = uint32_t(v.bits & 0x7fffu) << 13;
  const float scaled = bits::as_float(rest) * bits::as_float(0x77800000u);  // 2^112
  const uint32_t special = rest | 0x7f800000u;                              // inf and NaN
  const uint32_t u = (v.bits & 0x7fffu) >= 0x7c00u ? special : bits::as_uint(scaled);
  return bits::as_float(u | sign);
}
static EG_INLINE Half to_half(float f) {
  const uint32_t u = bits::as_uint(f);
  const uint32_t sign = (u >> 16) & 0x8000u;
  const uint32_t a = u & 0x7fffffffu;
  // Subnormal results: adding 0.5 puts the rounding position where float itself rounds to even.
  const uint32_t small = bits::as_uint(bits::as_float(a) + 0.5f) - 0x3f000000u;
  const uint32_t normal = (a - 0x38000000u + 0xfffu + ((a >> 13) & 1u)) >> 13;
  uint32_t h = a < 0x38800000u ? small : normal;
  h = a >= 0x477ff000u ? 0x7c00u : h;
  h = a > 0x7f800000u ? 0x7e00u : h;
  return {uint16_t(h | sign)};
}

template <class T>
struct dtype_of;
#define EG_DTYPE_OF(ctype, name)                \
  template <>                                   \
  struct dtype_of<ctype> {                      \
    static constexpr DType value = DType::name; \
  };
EG_DTYPE_OF(bool, Bool)
EG_DTYPE_OF(uint8_t, UInt8)
EG_DTYPE_OF(int8_t, Int8)
EG_DTYPE_OF(int16_t, Int16)
EG_DTYPE_OF(int32_t, Int32)
EG_DTYPE_OF(int64_t, Int64)
EG_DTYPE_OF(Half, Float16)
EG_DTYPE_OF(BFloat16, BFloat16)
EG_DTYPE_OF(float, Float32)
EG_DTYPE_OF(double, Float64)
#undef EG_DTYPE_OF

// visit(dtype, [&](auto zero) { using T = decltype(zero); ... }): one instantiation a type.
#define EG_CASE(name, ctype) \
  case DType::name:          \
    return f(ctype{});
template <class F>
EG_INLINE auto visit_all(DType t, F&& f) {
  switch (t) {
    EG_CASE(Bool, bool)
    EG_CASE(UInt8, uint8_t)
    EG_CASE(Int8, int8_t)
    EG_CASE(Int16, int16_t)
    EG_CASE(Int32, int32_t)
    EG_CASE(Int64, int64_t)
    EG_CASE(Float16, Half)
    EG_CASE(BFloat16, BFloat16)
    EG_CASE(Float32, float)
    EG_CASE(Float64, double)
  }
  __builtin_unreachable();
}
// Float32 and Float64 only; the caller has converted the halves.
template <class F>
EG_INLINE auto visit_float(DType t, F&& f) {
  return t == DType::Float64 ? f(double{}) : f(float{});
}
// Bool and the integers.
template <class F>
EG_INLINE auto visit_integral(DType t, F&& f) {
  switch (t) {
    EG_CASE(Bool, bool)
    EG_CASE(UInt8, uint8_t)
    EG_CASE(Int8, int8_t)
    EG_CASE(Int16, int16_t)
    EG_CASE(Int32, int32_t)
    default:
      return f(int64_t{});
  }
}
// Everything a CPU computes in: integers, bool, float, double (halves are computed in float).
template <class F>
EG_INLINE auto visit_compute(DType t, F&& f) {
  switch (t) {
    EG_CASE(Bool, bool)
    EG_CASE(UInt8, uint8_t)
    EG_CASE(Int8, int8_t)
    EG_CASE(Int16, int16_t)
    EG_CASE(Int32, int32_t)
    EG_CASE(Int64, int64_t)
    EG_CASE(Float64, double)
    default:
      return f(float{});
  }
}
#undef EG_CASE

// An unowned callable: two words, no allocation, no std::function in kernel code.
template <class Signature>
class FunctionRef;
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  // Not for FunctionRef itself: a copy must refer to the callable, not to the reference it was made from.
  template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, FunctionRef>>>
  EG_INLINE FunctionRef(F&& f)  // NOLINT: implicit on purpose
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* o, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(o))(static_cast<Args>(args)...);
        }) {}
  EG_INLINE R operator()(Args... args) const { return call_(object_, static_cast<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

}  // namespace eg
