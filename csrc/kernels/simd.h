// Fixed-width vectors of the instruction-set level being compiled, in GCC's portable vector notation.
#pragma once

#include "kernels/registry.h"

namespace eg {
namespace {

#if EG_ISA_LEVEL >= 4
constexpr int kVectorBytes = 64;
#elif EG_ISA_LEVEL == 3
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
constexpr int kLanes = kVectorBytes / int(sizeof(T));

template <class T>
struct VecTypes {
  typedef T aligned __attribute__((vector_size(kVectorBytes)));
  typedef T unaligned __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
};
template <class T>
using Vec = typename VecTypes<T>::aligned;

template <class T>
EG_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VecTypes<T>::unaligned*>(p);
}
template <class T>
EG_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VecTypes<T>::unaligned*>(p) = v;
}
template <class T>
EG_INLINE Vec<T> splat(T v) {
  return v - Vec<T>{};
}

}  // namespace
}  // namespace eg
