// What every kernel file begins with: element types and casts between them, as csrc/core/common.h defines them for the host.
#pragma once

#include "core/common.h"

namespace eg {

// By the hardware: one instruction.
__device__ __forceinline__ float widened(Half a) {
#ifdef __CUDA_ARCH__
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(a.bits));
  return wide;
#else
  return to_float(a);
#endif
}

// Element a cast to type B. Halves are storage: they are computed as float.
template <class B, class A>
__device__ __forceinline__ B cast(A a) {
  if constexpr (std::is_same_v<A, B>) {
    return a;
  } else if constexpr (std::is_same_v<A, Half>) {
    return cast<B>(widened(a));
  } else if constexpr (std::is_same_v<A, BFloat16>) {
    return cast<B>(to_float(a));
  } else if constexpr (std::is_same_v<B, Half>) {
    return to_half(static_cast<float>(a));
  } else if constexpr (std::is_same_v<B, BFloat16>) {
    return to_bfloat16(static_cast<float>(a));
  } else if constexpr (std::is_same_v<B, bool>) {
    return a != A(0);
  } else if constexpr (!std::is_integral_v<A> && std::is_integral_v<B> && sizeof(B) < 4) {
    return static_cast<B>(static_cast<int64_t>(a));  // wraps around, as on the host
  } else {
    return static_cast<B>(a);
  }
}

// The type that an element is computed in.
template <class T>
using compute_t =
    std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;

// An element whose type is known at run time only.
template <class C>
__device__ __forceinline__ C load_as(const char* p, int dtype) {
  switch (static_cast<DType>(dtype)) {
#define EG_LOAD(name, ctype) \
  case DType::name:          \
    return cast<C>(*reinterpret_cast<const ctype*>(p));
    EG_LOAD(Bool, bool)
    EG_LOAD(UInt8, uint8_t)
    EG_LOAD(Int8, int8_t)
    EG_LOAD(Int16, int16_t)
    EG_LOAD(Int32, int32_t)
    EG_LOAD(Int64, int64_t)
    EG_LOAD(Float16, Half)
    EG_LOAD(BFloat16, BFloat16)
    EG_LOAD(Float32, float)
    default:
      return cast<C>(*reinterpret_cast<const double*>(p));
  }
#undef EG_LOAD
}
template <class C>
__device__ __forceinline__ void store_as(char* p, int dtype, C value) {
  switch (static_cast<DType>(dtype)) {
#define EG_STORE(name, ctype)                          \
  case DType::name:                                    \
    *reinterpret_cast<ctype*>(p) = cast<ctype>(value); \
    return;
    EG_STORE(Bool, bool)
    EG_STORE(UInt8, uint8_t)
    EG_STORE(Int8, int8_t)
    EG_STORE(Int16, int16_t)
    EG_STORE(Int32, int32_t)
    EG_STORE(Int64, int64_t)
    EG_STORE(Float16, Half)
    EG_STORE(BFloat16, BFloat16)
    EG_STORE(Float32, float)
    default:
      *reinterpret_cast<double*>(p) = cast<double>(value);
  }
#undef EG_STORE
}

// Where element i of a row-major walk over `ndim` (at least 1) dimensions is in two tensors.
template <class I>
__device__ __forceinline__ void offsets_of(I i, int ndim, const int64_t* sizes,
                                           const int64_t* a_strides, const int64_t* b_strides,
                                           int64_t* in_a, int64_t* in_b) {
  int64_t a = 0, b = 0;
  for (int d = ndim - 1; d > 0; --d) {
    const I next = i / I(sizes[d]), at = i - next * I(sizes[d]);
    a += at * a_strides[d];
    b += at * b_strides[d];
    i = next;
  }
  *in_a = a + i * a_strides[0];
  *in_b = b + i * b_strides[0];
}

// Four elements that lie together: one access of 16 bytes where that is their size.
template <class S>
struct alignas(sizeof(S) * 4 < 16 ? sizeof(S) * 4 : 16) Four {
  S at[4];
};

// for (EG_ELEMENTS(i, n)): this thread's share of n elements.
#define EG_ELEMENTS(i, n)                                     \
  int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; \
  i < (n);                                                    \
  i += int64_t(gridDim.x) * blockDim.x

}  // namespace eg
