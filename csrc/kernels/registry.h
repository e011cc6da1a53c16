// Kernels are compiled once per instruction-set level and chosen when the library is loaded.
//
// A family declares a struct of function pointers in kernels/<family>.h,
//     struct SoftmaxKernels { void (*forward)(...); };
// defines the functions in an anonymous namespace of kernels/<family>.cpp, and ends that file with
//     EG_KERNELS(SoftmaxKernels, {&forward});
// Callers write kernels<SoftmaxKernels>().forward(...).
//
// Note [No inline symbols above the base level]. The same source is compiled with AVX-512 flags and
// without. A function with external inline linkage (a std:: template, say) could be emitted in
// several objects, and the linker keeps any one of them. So kernel files use plain loops, anonymous
// namespaces and EG_INLINE only; a test looks through the objects for weak functions.
#pragma once

#include "core/device.h"

#ifndef EG_ISA_LEVEL
#define EG_ISA_LEVEL 0  // 0 plain, 2 x86-64-v2, 3 x86-64-v3 (AVX2), 4 x86-64-v4 (AVX-512)
#endif

namespace eg {

// Highest level this machine may use: the CPU's, lowered by the environment variable EAGERGRAD_ISA.
int isa_level();

constexpr int kDeviceTypes = 2;

template <class Family>
struct KernelSlot {
  static const Family* table[kDeviceTypes];
  static int level;  // of the CPU's table
};
template <class Family>
const Family* KernelSlot<Family>::table[kDeviceTypes] = {};
template <class Family>
int KernelSlot<Family>::level = -1;

[[noreturn]] void refuse_missing_kernels();

// The family's kernels for the active device; NotImplementedError if it has none.
template <class Family>
EG_INLINE const Family& kernels() {
  const Family* table = KernelSlot<Family>::table[static_cast<int>(active_device.type)];
  if (EG_UNLIKELY(!table)) refuse_missing_kernels();
  return *table;
}
// The host's, whatever the active device.
template <class Family>
EG_INLINE const Family& host_kernels() {
  return *KernelSlot<Family>::table[0];
}

template <class Family>
EG_INLINE bool register_kernels(const Family* table, int level) {
  if (level > isa_level() || level <= KernelSlot<Family>::level) return false;
  KernelSlot<Family>::table[0] = table;
  KernelSlot<Family>::level = level;
  return true;
}

#define EG_REGISTER_KERNELS(Family, table)                                                    \
  namespace {                                                                                 \
  [[maybe_unused]] const bool eg_registered = register_kernels<Family>(&table, EG_ISA_LEVEL); \
  }
#define EG_KERNELS(Family, ...)             \
  namespace {                               \
  const Family eg_kernel_table __VA_ARGS__; \
  }                                         \
  EG_REGISTER_KERNELS(Family, eg_kernel_table)

}  // namespace eg
