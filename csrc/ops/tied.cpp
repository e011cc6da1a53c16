#include "ops/tied.h"

#include "tape/node.h"

namespace eg {
namespace {

class TieNode final : public Node {
 public:
  std::string name() const override { return "Tie"; }
  Tensors backward(Context&, const Tensors& grads) override {
    if (!grad_enabled()) return {grads[0], Context::accumulated()};
    const OutputMeta& input = edges[1].node->outputs[edges[1].nr];
    return {grads[0], zeros(input.sizes, input.dtype, input.device)};
  }
};

}  // namespace

Tensor tied(const Node& node, size_t input, Tensor g) {
  const Edge& edge = node.edges[input];
  if (!grad_enabled() || !edge.node) return g;
  Ref<Node> tie(new TieNode);
  tie->add_input(g);
  tie->edges.push_back(edge);
  Tensor y = g.detach();
  Node::add_last_output(std::move(tie), y);
  return y;
}

}  // namespace eg
