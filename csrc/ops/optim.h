// Optimizer steps over lists of tensors, outside the tape.
#pragma once

#include "core/tensor.h"
#include "kernels/optim.h"
#include "ops/row_sparse.h"

namespace eg {

// One parameter with a gradient, and what its optimizer remembers of it. Undefined: not used by the
// rule.
struct OptimParam {
  Tensor param, grad;
  Tensor state[kOptimStates];
  Tensor step;                   // number of updates so far, one element
  Tensor scalar[kOptimScalars];  // NAdam: mu_product; ASGD: eta, mu
  bool fresh = false;            // the states were made for this step
  std::optional<RowParts> rows;  // of a row-sparse grad
  Tensor row_step;               // number of each row's last update, where rows may lag behind
  Tensor lr;                     // on the parameter's device: instead of the options'
};

// Names under which a rule's tensors stand in an optimizer's state dict, in the order of
// OptimParam::state and ::scalar.
struct OptimNames {
  const char* rule;
  const char* state[kOptimStates];
  const char* scalar[kOptimScalars];
  bool counts;  // is there a "step"?
};
// The states that a group with these options needs.
OptimNames optim_names(OptimRule rule, const OptimOptions& options);
// Raises ValueError for an unknown name.
OptimRule optim_rule(const char* name);

// Does a row that is not looked at in a step owe anything for it, under these options?
bool rows_lag(OptimRule rule, const OptimOptions& options);

// Updates every parameter in place, or (updates = false) only makes up for what rows owe. All shapes, dtypes and devices are checked before anything is
// written.
void optimizer_step(OptimRule rule, const OptimOptions& options, std::vector<OptimParam>& params,
                    bool updates = true);

// The same, recorded on the tape: gradients reach what the parameters, gradients, states and tensor options came from.
// `options` holds the numbers, `tensors` the same with those that users may give as tensors.
void optimizer_step(OptimRule rule, const OptimOptions& options,
                    const OptimOptionsOf<Tensor>& tensors, std::vector<OptimParam>& params);

// --- for the two above ------------------------------------------------------------------------
// Raises unless gradient and state of every parameter look like the parameter.
void check_params(const OptimNames& names, const std::vector<OptimParam>& params);
// Counts a step of p; returns its number, from 1.
double next_step(const OptimNames& names, const OptimParam& p);

// (sum over all elements of |x|^p)^(1/p), a 0-d tensor of the first one's dtype.
Tensor global_norm(const TensorList& tensors, double p);
// x *= factor and x = clamp(x, low, high) for each tensor, in place.
void scale_all_(const TensorList& tensors, double factor);
// x *= min(1, largest / (norm + 1e-6)), without waiting for the norm.
void limit_norm_(const TensorList& tensors, const Tensor& norm, double largest);
void clamp_all_(const TensorList& tensors, double low, double high);

}  // namespace eg
