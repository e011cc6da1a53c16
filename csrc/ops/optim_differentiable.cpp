// The rules of the optimizers over whole tensors, on the tape: steps through which gradients flow.
#include "kernels/optim_rules.h"
#include "ops/elementwise.h"
#include "ops/ops.h"
#include "ops/optim.h"
#include "tape/node.h"

namespace eg {

// What the rules call besides the pointwise ops; found through the type of the argument.
static double number(const Tensor& x) { return x.item().to_double(); }
static Tensor power(const Tensor& x, double y) { return pow(x, Tensor(y)); }
static Tensor average(const Tensor& m, const Tensor& x, const Tensor& w) { return m + w * (x - m); }

namespace {

template <class Rule>
void step_one(const OptimNames& names, const OptimOptionsOf<Tensor>& options, OptimParam& p) {
  OptimItemOf<Tensor> item;
  item.fresh = p.fresh;
  item.step = next_step(names, p);
  for (int k = 0; k < kOptimScalars && names.scalar[k]; ++k)
    item.scalar[k] = p.scalar[k].item().to_double();
  Rule::prepare(options, item);
  const Rule rule(options, item);

  // Copies: what the tape saves of them must not be overwritten below.
  Tensor value = clone(p.param), states[kOptimStates];
  for (int k = 0; k < kOptimStates && names.state[k]; ++k) states[k] = clone(p.state[k]);
  rule(value, clone(p.grad), states[0], states[1], states[2]);
  assign(p.param, value);
  for (int k = 0; k < kOptimStates && names.state[k]; ++k) assign(p.state[k], states[k]);
  for (int k = 0; k < kOptimScalars && names.scalar[k]; ++k)
    assign(p.scalar[k], Tensor(item.scalar[k]));
}

}  // namespace

void optimizer_step(OptimRule rule, const OptimOptions& options,
                    const OptimOptionsOf<Tensor>& tensors, std::vector<OptimParam>& params) {
  const OptimNames names = optim_names(rule, options);
  check_params(names, params);
  const GradMode on(true);
  for (const OptimParam& p : params) check_inplace(p.param, names.rule);
  optim_rules::visit_rule(rule, tensors, [&](auto kind) {
    using Rule = typename decltype(kind)::template rule<Tensor, Tensor>;
    for (OptimParam& p : params) step_one<Rule>(names, tensors, p);
  });
}

}  // namespace eg
