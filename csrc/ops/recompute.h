// Gradients of a fused op whose own backward pass is not on the tape: the forward pass runs again in differentiable ops and
// is differentiated with a graph. Used when gradients of gradients are wanted.
#pragma once

#include "core/tensor.h"
#include "tape/node.h"

namespace eg {

// inputs: what the op got, saved. g: gradients of its outputs (undefined: none). forward: the op over other tensors, in
// differentiable ops, returning as many outputs.
Tensors recompute_gradients(Context& ctx, const TensorList& inputs, const Tensors& g,
                            FunctionRef<TensorList(const TensorList&)> forward);

}  // namespace eg
