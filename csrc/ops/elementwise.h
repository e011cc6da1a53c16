// The pointwise ops as functions of tensors, declared from the table; and the driver that runs their loops.
#pragma once

#include "core/tensor.h"
#include "kernels/elementwise.h"

namespace eg {

// --- driver -----------------------------------------------------------------------------------------------
// One operand of a loop: a tensor, and the dtype in which the loop wants it.
struct LoopOperand {
  const Tensor* tensor;
  DType compute;
};
constexpr int kMaxOperands = 6;

// What another device is asked for instead: strides in bytes by way of `walk`, or everything dense (or one number) if it is
// null. An input on the host is one number.
struct DeviceLoop {
  LoopName name;
  const Tensor* out;
  DType out_compute;
  const LoopOperand* inputs;
  int n;
  const double* attributes;  // three
};
struct ElementwiseKernels {
  void (*run)(const DeviceLoop& loop);
};

// out[...] = loop(inputs...), inputs broadcast to out's shape. Operands are strided and of any dtype: what the loop cannot
// take as it lies in memory goes through buffers of a few KB. Runs on several threads when there is enough work.
// scalar_steps: the loop takes inputs that are one number (step 0).
void run_elementwise(LoopName name, ElementwiseLoop loop, const Tensor& out, DType out_compute,
                     const LoopOperand* inputs, int n, const double* attributes, bool scalar_steps);

// An uninitialised result of the given shape with the memory layout of the operands (dense permuted inputs give a dense
// result with the same strides).
Tensor empty_result(IntSpan shape, DType dtype, const Tensor* const* inputs, int n);
inline Tensor empty_result(const Tensor& x, DType dtype) {
  const Tensor* one[] = {&x};
  return empty_result(x.sizes(), dtype, one, 1);
}
// The strides of such a result.
Dims result_strides(IntSpan shape, const Tensor* const* inputs, int n);
inline Dims result_strides(const Tensor& x) {
  const Tensor* one[] = {&x};
  return result_strides(x.sizes(), one, 1);
}

// --- ops -----------------------------------------------------------------------------------------------------
Tensor unary(Unary op, const Tensor& x, const double* attributes = nullptr);
Tensor binary(Binary op, const Tensor& a, const Tensor& b);
Tensor ternary(Ternary op, const Tensor& a, const Tensor& b, const Tensor& c, double attribute = 0);
// In place; raise before anything is written.
void unary_(Unary op, const Tensor& x, const double* attributes = nullptr);
void binary_(Binary op, const Tensor& a, const Tensor& b);
void ternary_(Ternary op, const Tensor& a, const Tensor& b, const Tensor& c, double attribute = 0);

#define EG_UNARY(NAME, DOMAIN, FLAGS, COUNT, P0, D0, P1, D1, P2, D2, Y, GX)          \
  inline Tensor NAME(const Tensor& x, double P0 = 0, double P1 = 0, double P2 = 0) { \
    const double attributes[] = {P0, P1, P2};                                        \
    return unary(Unary::NAME, x, attributes);                                        \
  }
#define EG_BINARY(NAME, ...) \
  inline Tensor NAME(const Tensor& a, const Tensor& b) { return binary(Binary::NAME, a, b); }
#define EG_TERNARY(NAME, COUNT, P0, ...)                                                 \
  inline Tensor NAME(const Tensor& a, const Tensor& b, const Tensor& c, double P0 = 0) { \
    return ternary(Ternary::NAME, a, b, c, P0);                                          \
  }
#include "ops/elementwise.def"

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

#define EG_OPERATOR(symbol, NAME)                                                                \
  inline Tensor operator symbol(const Tensor& a, const Tensor& b) { return NAME(a, b); }         \
  inline Tensor operator symbol(const Tensor& a, const Scalar& b) { return NAME(a, Tensor(b)); } \
  inline Tensor operator symbol(const Scalar& a, const Tensor& b) { return NAME(Tensor(a), b); }
EG_OPERATOR(+, add)
EG_OPERATOR(-, sub)
EG_OPERATOR(*, mul)
EG_OPERATOR(/, div)
EG_OPERATOR(==, eq)
EG_OPERATOR(!=, ne)
EG_OPERATOR(<, lt)
EG_OPERATOR(<=, le)
EG_OPERATOR(>, gt)
EG_OPERATOR(>=, ge)
EG_OPERATOR(&, bitwise_and)
EG_OPERATOR(|, bitwise_or)
#undef EG_OPERATOR
inline Tensor operator-(const Tensor& x) { return neg(x); }

}  // namespace eg
