// Normalisation layers as ops. Weights and biases may be absent.
#pragma once

#include <optional>

#include "core/tensor.h"

namespace eg {

using OptionalTensor = std::optional<Tensor>;

Tensor layer_norm(const Tensor& x, const Dims& shape, const OptionalTensor& weight,
                  const OptionalTensor& bias, double eps);
// eps absent: the smallest step of the compute type.
Tensor rms_norm(const Tensor& x, const Dims& shape, const OptionalTensor& weight,
                std::optional<double> eps);
Tensor group_norm(const Tensor& x, int64_t groups, const OptionalTensor& weight,
                  const OptionalTensor& bias, double eps);
// Updates the running statistics in training.
Tensor batch_norm(const Tensor& x, const OptionalTensor& running_mean,
                  const OptionalTensor& running_var, const OptionalTensor& weight,
                  const OptionalTensor& bias, bool training, double momentum, double eps);

}  // namespace eg
