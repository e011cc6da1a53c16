#include "ops/recompute.h"

#include "ops/ops.h"
#include "tape/engine.h"

namespace eg {

Tensors recompute_gradients(Context& ctx, const TensorList& inputs, const Tensors& g,
                            FunctionRef<TensorList(const TensorList&)> forward) {
  // Each input through a view of its own: inputs may depend on each other, and the derivative wanted is the partial one.
  TensorList views = inputs, wanted;
  std::vector<size_t> places;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined() || !ctx.needs(i)) continue;
    views[i] = view(inputs[i], inputs[i].sizes());
    wanted.push_back(views[i]);
    places.push_back(i);
  }
  const TensorList outputs = forward(views);
  TensorList roots, grads;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!g[i].defined() || !outputs[i].defined() || !outputs[i].requires_grad()) continue;
    roots.push_back(outputs[i]);
    grads.push_back(to(g[i], outputs[i].dtype()));
  }
  Tensors out(inputs.size());
  if (roots.empty()) return out;
  const TensorList found = grad(roots, grads, wanted, {true, true});
  for (size_t i = 0; i < places.size(); ++i) out[places[i]] = found[i];
  return out;
}

}  // namespace eg
