// Copies, casts and the rules of writing results into given memory.
#pragma once

#include <atomic>
#include <string>

#include "core/tensor.h"

namespace eg {

// Shows the user a warning. Set by the binding.
extern void (*warn_user)(const std::string& message);
// Warns in the first call with this flag alone.
void warn_once(std::atomic<bool>& said, const char* message);
// Before a recorded write: a view whose root nobody else can see, such as the result of a product that ends in a reshape, becomes its own
// root, so that its history is rewritten directly instead of by regions.
void leave_dead_root(const Tensor& t);
// x laid out as a memory format says ("channels_last", ...): x itself if it is, else a recorded copy.
Tensor in_format(const Tensor& x, const std::string& format);
// Whether x lies in channels-last order, and in that order only.
bool channels_last(const Tensor& x);
// A fresh result y, in channels-last order if x lies so, else as it is. Not recorded: for the forward of an op.
Tensor as_lies(const Tensor& x, const Tensor& y);
// Uninitialised memory for a result of these sizes, in channels-last order if x lies so.
Tensor empty_as_lies(const Tensor& x, IntSpan sizes, DType dtype);
// Raises unless a result of one dtype may be written to memory of another (float to int and number to bool may not).
void check_castable(const char* op, DType from, DType to);
// out= of any op: checks, resizes and fills out.
void write_out(const Tensor& out, const Tensor& result, const char* op, bool casts);

}  // namespace eg
