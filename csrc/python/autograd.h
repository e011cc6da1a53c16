#pragma once

#include "python/common.h"
#include "tape/node.h"

namespace eg::python {

PyObject* wrap_node(const Ref<Node>& node);
void add_autograd(PyObject* module);

}  // namespace eg::python
