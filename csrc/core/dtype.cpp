#include <atomic>

#include "core/tensor.h"

namespace eg {

const char* name(DType t) {
  constexpr const char* names[kDTypes] = {"bool",  "uint8",   "int8",     "int16",   "int32",
                                          "int64", "float16", "bfloat16", "float32", "float64"};
  return names[static_cast<int>(t)];
}
std::ostream& operator<<(std::ostream& out, DType t) { return out << name(t); }
std::ostream& operator<<(std::ostream& out, Device d) {
  if (d.is_cpu()) return out << "cpu";
  return out << "cuda:" << int(d.index);
}
std::ostream& operator<<(std::ostream& out, IntSpan sizes) {
  out << '[';
  for (size_t i = 0; i < sizes.size(); ++i) out << (i ? ", " : "") << sizes[i];
  return out << ']';
}

static std::atomic<DType> the_default{DType::Float32};
DType default_dtype() { return the_default.load(std::memory_order_relaxed); }
void set_default_dtype(DType t) {
  EG_CHECK_TYPE(is_floating(t), "[set_default_dtype] only floating-point types are supported, got ",
                t);
  the_default.store(t);
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (b < a) std::swap(a, b);  // a comes first in the order of DType
  if (is_floating(b)) {
    if (!is_floating(a)) return b;
    return a == DType::Float16 && b == DType::BFloat16 ? DType::Float32 : b;
  }
  if (a == DType::Bool) return b;
  // uint8 with a signed type: one that holds both.
  if (a == DType::UInt8 && b == DType::Int8) return DType::Int16;
  return b;
}

// Tensors with dimensions decide; 0-d tensors count only if they are of a higher category (bool, integer, float);
// Python numbers only after those.
DType result_type(const Tensor* tensors, size_t n) {
  const auto category = [](DType t) { return is_floating(t) ? 3 : t == DType::Bool ? 1 : 2; };
  bool has[3] = {};
  DType type[3] = {};
  for (size_t i = 0; i < n; ++i) {
    const Tensor& t = tensors[i];
    if (!t.defined()) continue;
    const int rank = t.is_weak() ? 2 : t.dim() == 0 ? 1 : 0;
    // A Python float counts as the default float type, whatever it is stored in.
    const DType own = t.is_weak() && t.is_floating() ? default_dtype() : t.dtype();
    type[rank] = has[rank] ? promote(type[rank], own) : own;
    has[rank] = true;
  }
  DType result = DType::Bool;
  bool any = false;
  for (int rank = 0; rank < 3; ++rank) {
    if (!has[rank]) continue;
    if (!any) {
      result = type[rank];
    } else if (category(type[rank]) > category(result)) {
      result = type[rank];
    }
    any = true;
  }
  return result;
}

}  // namespace eg
