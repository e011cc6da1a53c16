// Walks several strided operands of one broadcast shape line by line.
#pragma once

#include "core/parallel.h"
#include "core/tensor.h"

namespace eg {

constexpr int kMaxWalked = 7;

// Dimensions are merged where all operands allow it and sorted so that the first operand (the output) is walked in
// memory order. Strides are in bytes; dimension 0 is the innermost.
class Walk {
 public:
  explicit Walk(IntSpan shape);
  void add(const Tensor& t) { add(t.raw(), t.sizes(), t.strides(), t.item_size()); }
  // sizes broadcast to the shape: missing and one-element dimensions get stride 0.
  void add(char* data, IntSpan sizes, IntSpan strides, size_t item_size);
  void finish();

  int64_t numel() const { return numel_; }
  int64_t line() const { return sizes_[0]; }
  const int64_t* line_strides() const { return strides_[0]; }
  // After finish(): what is left of the shape.
  int dims() const { return dims_; }
  int64_t size(int dim) const { return sizes_[dim]; }
  int64_t stride(int dim, int operand) const { return strides_[dim][operand]; }
  char* data(int operand) const { return data_[operand]; }
  // Calls f(pointers, n) for stretches of lines that cover elements [begin, end).
  void run(int64_t begin, int64_t end, FunctionRef<void(char* const*, int64_t)> f) const;

 private:
  int operands_ = 0;
  int dims_ = 0;
  int64_t numel_ = 1;
  char* data_[kMaxWalked];
  int64_t sizes_[kMaxDims + 1];
  int64_t strides_[kMaxDims + 1][kMaxWalked];
};

}  // namespace eg
