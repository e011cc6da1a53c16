// Gradients whose own derivative is zero.
#pragma once

#include "ops/ops.h"

namespace eg {

// Note [Zero derivatives]. The slope of relu, or of a maximum over windows, does not depend on x around almost every x. Programs that
// differentiate it once more (a Laplacian, a penalty on gradients while the weights are frozen) expect zeros, as PyTorch gives, and no
// error that x was not used. So where a gradient is recorded, it is tied to x by a node without arithmetic. Zeros are made only where the
// second gradient is recorded, too; else the node gives the engine a mark, and the engine notes what zeros would reach.
//
// g, the gradient of the node's input, tied to that input if it is recorded.
Tensor tied(const Node& node, size_t input, Tensor g);

}  // namespace eg
