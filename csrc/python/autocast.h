// Autocast regions: calls from Python to products and convolutions take their tensors in half precision, losses and what
// needs the range take float32.
#pragma once

#include "kernels/registry.h"
#include "python/common.h"

namespace eg::python {

// Is a region open in this thread?
bool autocast_on();
// What a region does to the floating point tensors an op gets. Widest: float32 if one of them is.
enum class Autocast : uint8_t { None, Lower, Full, Widest, Refused };
struct AutocastRule {
  Autocast of[kDeviceTypes] = {};
  bool any() const { return of[0] != Autocast::None || of[1] != Autocast::None; }
};
AutocastRule autocasts(const std::string& op);
// t as the rule of its device says, recorded; t itself where no region reaches it. wide: another argument has 32 bits.
Tensor autocast(const Tensor& t, const AutocastRule& rule, bool wide = false);
// The tensors among n arguments of an op, replaced by what autocast() makes of them; `kept` owns those.
void autocast(PyObject** values, size_t n, const AutocastRule& rule, SmallVec<Object, 4>& kept);

void add_autocast(PyObject* module);

}  // namespace eg::python
