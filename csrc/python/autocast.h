// Autocast regions: calls from Python to products and convolutions take their tensors in half precision.
#pragma once

#include "python/common.h"

namespace eg::python {

// Is a region open in this thread?
bool autocast_on();
// Does a region reach the op of this name?
bool autocasts(const std::string& op);
// t in the dtype of the region, recorded; t itself if it is no float32 or half tensor on the CPU.
Tensor autocast(const Tensor& t);
// The tensors among n arguments of an op, replaced by what autocast() makes of them; `kept` owns those.
void autocast(PyObject** values, size_t n, SmallVec<Object, 4>& kept);

void add_autocast(PyObject* module);

}  // namespace eg::python
