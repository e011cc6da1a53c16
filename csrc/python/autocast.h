// Autocast regions: calls from Python to products and convolutions take their tensors in half precision, losses in
// float32.
#pragma once

#include "python/common.h"

namespace eg::python {

// Is a region open in this thread?
bool autocast_on();
// What a region does to the floating point tensors an op gets.
enum class Autocast : uint8_t { None, Lower, Full };
Autocast autocasts(const std::string& op);
// t in the dtype of the region (or float32), recorded; t itself if it is no float32 or half tensor on the CPU.
Tensor autocast(const Tensor& t, Autocast kind);
// The tensors among n arguments of an op, replaced by what autocast() makes of them; `kept` owns those.
void autocast(PyObject** values, size_t n, Autocast kind, SmallVec<Object, 4>& kept);

void add_autocast(PyObject* module);

}  // namespace eg::python
