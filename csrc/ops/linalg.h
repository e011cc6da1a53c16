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
}  // namespace host

// What the op of that name makes of tensors on another device; Python sets it, where CuPy is. `upper` and `unit` are of triangles.
extern TensorList (*factorized_elsewhere)(const char* name, const TensorList& inputs, bool upper,
                                          bool unit);

}  // namespace eg
