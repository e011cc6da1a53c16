// Factorisations and solves without gradients, on the host; and where those of other devices come from.
#pragma once

#include <tuple>

#include "core/tensor.h"

namespace eg {

namespace host {
std::tuple<Tensor, Tensor> cholesky(const Tensor& input);  // L, info
// The X of A X = B, or the inverse of A without B, and info.
std::tuple<Tensor, Tensor> solve(const Tensor& a, const std::optional<Tensor>& b);
Tensor solve_triangular(const Tensor& a, const Tensor& b, bool upper, bool unit);
std::tuple<Tensor, Tensor, Tensor> lu_factor(const Tensor& input);  // LU, pivots, info
Tensor lu_inverse_order(const Tensor& pivots, int64_t n);           // where each of n rows went
std::tuple<Tensor, Tensor> qr(const Tensor& input, bool complete, bool with_q);
}  // namespace host

// What the op of that name makes of tensors on another device; Python sets it, where CuPy is. The flags are of triangles, upper and
// unit, and of QR, complete.
extern TensorList (*factorized_elsewhere)(const char* name, const TensorList& inputs, bool flag,
                                          bool second);

}  // namespace eg
