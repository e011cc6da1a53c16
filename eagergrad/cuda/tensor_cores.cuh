// What a warp does together for products of halves on tensor cores, and how rows get to shared memory. Lane l has, of
//   16 x 8 floats:  sum[0], sum[1]: row l / 4, columns 2 (l % 4) and the next; sum[2], sum[3]: the same, eight rows on;
//   16 x 16 halves: two in a word. a[0]: as sum[0], sum[1]; a[1]: eight rows on; a[2], a[3]: as these, eight columns on;
//   16 x 8 halves, the other factor: b[0]: column l / 4, rows 2 (l % 4) and the next; b[1]: eight rows on.
// Two sums that are neighbours, rounded, are thus a factor of the next product. All lanes have to come.
// PTX ISA: mma.sync.m16n8k16 (bfloat16: sm_80), ldmatrix, cp.async (sm_80). On the host: tests/cuda_host/tensor_cores.h.
#pragma once

#include "prelude.cuh"

namespace eg {

#ifndef EG_CUDA_ON_HOST

// sum += a b, summed in float32.
template <class T>
__device__ __forceinline__ void multiply_add(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0,
                                             uint32_t b1) {
#define EG_MULTIPLY(shape, type, a_registers, b_registers, ...)                        \
  asm("mma.sync.aligned." shape ".row.col.f32." type "." type                          \
      ".f32 {%0, %1, %2, %3}, {" a_registers "}, {" b_registers "}, {%0, %1, %2, %3};" \
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])                         \
      : __VA_ARGS__)
#if __CUDA_ARCH__ >= 800
  if constexpr (std::is_same_v<T, BFloat16>) {
    EG_MULTIPLY("m16n8k16", "bf16", "%4, %5, %6, %7", "%8, %9", "r"(a[0]), "r"(a[1]), "r"(a[2]),
                "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    EG_MULTIPLY("m16n8k16", "f16", "%4, %5, %6, %7", "%8, %9", "r"(a[0]), "r"(a[1]), "r"(a[2]),
                "r"(a[3]), "r"(b0), "r"(b1));
  }
#else
  if constexpr (std::is_same_v<T, BFloat16>) {
    __trap();  // such cards are not asked
  } else {
    EG_MULTIPLY("m16n8k8", "f16", "%4, %5", "%6", "r"(a[0]), "r"(a[1]), "r"(b0));
    EG_MULTIPLY("m16n8k8", "f16", "%4, %5", "%6", "r"(a[2]), "r"(a[3]), "r"(b1));
  }
#endif
#undef EG_MULTIPLY
}

// Two numbers in a word, the first in its lower half.
template <class T>
__device__ __forceinline__ uint32_t packed(float first, float second) {
#if __CUDA_ARCH__ >= 800
  uint32_t pair;
  if constexpr (std::is_same_v<T, BFloat16>) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  }
  return pair;
#else
  return cast<T>(first).bits | uint32_t(cast<T>(second).bits) << 16;
#endif
}

// Four matrices of 8 x 8 halves: lane l gives the address of row l % 8 of matrix l / 8, eight halves in shared memory. to[i]: of
// matrix i row l / 4, columns 2 (l % 4) and the next; kTurned: column l / 4, rows 2 (l % 4) and the next.
template <bool kTurned>
__device__ __forceinline__ void load_matrices(uint32_t (&to)[4], const void* row) {
  const uint32_t at = uint32_t(__cvta_generic_to_shared(row));
  if constexpr (kTurned) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(at)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(at)
                 : "memory");
  }
}

// The first `bytes` of 16 on their way to shared memory, with zeros after them; there when wait_for_copies is back.
__device__ __forceinline__ void copy_async(void* to, const void* from, int bytes) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(uint32_t(__cvta_generic_to_shared(to))),
      "l"(from), "r"(bytes)
      : "memory");
#else
  Four<uint32_t> words = {};
  if (bytes == 16) {
    words = *static_cast<const Four<uint32_t>*>(from);
  } else {
    const uint16_t* const halves = static_cast<const uint16_t*>(from);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (2 * i < bytes) words.at[i / 2] |= uint32_t(halves[i]) << i % 2 * 16;
  }
  *static_cast<Four<uint32_t>*>(to) = words;
#endif
}
// Those of the calling thread; what other threads copied is there after a barrier.
__device__ __forceinline__ void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

#else

template <class T>
inline void multiply_add(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  eg_host::multiply_add<T>(sum, a, b0, b1);
}
template <class T>
inline uint32_t packed(float first, float second) {
  return cast<T>(first).bits | uint32_t(cast<T>(second).bits) << 16;
}
template <bool kTurned>
inline void load_matrices(uint32_t (&to)[4], const void* row) {
  eg_host::load_matrices<kTurned>(to, row);
}
inline void copy_async(void* to, const void* from, int bytes) {
  eg_host::copy_async(to, from, bytes);
}
inline void wait_for_copies() { eg_host::wait_for_copies(); }

#endif

}  // namespace eg
