// Copies, casts and the rules of writing results into given memory.
#pragma once

#include "core/tensor.h"

namespace eg {

// Raises unless a result of one dtype may be written to memory of another (float to int and number to bool may not).
void check_castable(const char* op, DType from, DType to);
// out= of any op: checks, resizes and fills out.
void write_out(const Tensor& out, const Tensor& result, const char* op, bool casts);

}  // namespace eg
