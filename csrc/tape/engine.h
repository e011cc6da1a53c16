// The backward pass.
#pragma once

#include <functional>

#include "tape/node.h"

namespace eg {

struct BackwardOptions {
  bool retain_graph = false;
  bool create_graph = false;
};

// Accumulates gradients into the leaves that roots depend on; only into `inputs` if they are given.
// grads: one an root; undefined: ones, for one-element roots.
void backward(const TensorList& roots, const TensorList& grads, BackwardOptions options,
              const TensorList* inputs = nullptr);

// Gradients with respect to inputs, returned; undefined where there is no path. Leaves' .grad is untouched.
TensorList grad(const TensorList& roots, const TensorList& grads, const TensorList& inputs,
                BackwardOptions options);

// The backward in progress on this thread, 0 outside of one; and whether it will pass through a node.
uint64_t current_backward();
bool backward_visits(const Node& node);

// Calls f once the outermost backward in progress on this thread has passed every node; never after an error.
void queue_callback(std::function<void()> f);

// Whether a backward that makes NaN from gradients without NaN raises, naming the forward line.
bool nan_check();
void set_nan_check(bool on);

// Kind Interrupt and what the binding throws pass through; the graph is then as if backward had not been called, except for
// gradients already accumulated.

}  // namespace eg
