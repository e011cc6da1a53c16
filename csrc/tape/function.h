// How a structured op is written: a struct with forward and backward, as users write autograd.Function in Python.
//
//     struct Softmax {
//       static constexpr const char* name = "Softmax";
//       int64_t dim;                                            // attributes are plain members
//       Tensor forward(Context& ctx, const Tensor& x);          // runs unrecorded; ctx.save(y)
//       Tensors backward(Context& ctx, const Tensor& g);        // in differentiable ops, one result an input
//     };
//     Tensor softmax(const Tensor& x, int64_t dim) { return apply(Softmax{dim}, x); }
//
// Inputs are `const Tensor&` or `const TensorList&`; forward returns a Tensor, a tuple of Tensors or a TensorList. backward takes one
// Tensor, or `const Tensors&` if there are several outputs (undefined: no gradient came). A struct whose result is a
// view of its first input says `static constexpr bool is_view = true`. Where PyTorch's name of the step depends on the
// attributes (SumBackward0, SumBackward1), `std::string title() const` gives it.
#pragma once

#include <tuple>

#include "tape/node.h"

namespace eg {
namespace detail {

template <class F, class = void>
struct is_view : std::false_type {};
template <class F>
struct is_view<F, std::enable_if_t<F::is_view>> : std::true_type {};

template <class F, class = void>
struct has_title : std::false_type {};
template <class F>
struct has_title<F, std::void_t<decltype(std::declval<const F&>().title())>> : std::true_type {};

inline bool wants_grad(const Tensor& t) { return t.defined() && t.requires_grad(); }
inline bool wants_grad(const TensorList& list) {
  for (const Tensor& t : list)
    if (wants_grad(t)) return true;
  return false;
}
inline void add_inputs(Node& node, const Tensor& t) { node.add_input(t); }
inline void add_inputs(Node& node, const TensorList& list) {
  for (const Tensor& t : list) node.add_input(t);
}
inline void add_outputs(Ref<Node> node, const Tensor& t) {
  Node::add_last_output(std::move(node), t);
}
inline void add_outputs(Ref<Node> node, const TensorList& list) {
  for (const Tensor& t : list) node->add_output(t);
}
template <class... Ts>
void add_outputs(Ref<Node> node, const std::tuple<Ts...>& all) {
  std::apply([&](const auto&... t) { (node->add_output(t), ...); }, all);
}
inline void mark_views(const Tensor& out, const Tensor& of) { mark_view(out, of); }
inline void mark_views(const TensorList& outs, const Tensor& of) {
  for (const Tensor& t : outs) mark_view(t, of);
}
inline void collect_devices(OpDevice& device, const Tensor& t) { device.add(t); }
inline void collect_devices(OpDevice& device, const TensorList& list) {
  for (const Tensor& t : list) device.add(t);
}
template <class First, class... Rest>
const First& first(const First& f, const Rest&...) {
  return f;
}

template <class F>
class FunctionNode final : public Node {
 public:
  explicit FunctionNode(F f) : fn(std::move(f)) {}
  std::string name() const override {
    if constexpr (has_title<F>::value)
      return fn.title();
    else
      return F::name;
  }
  Tensors backward(Context& ctx, const Tensors& grads) override {
    if constexpr (std::is_invocable_v<decltype(&F::backward), F&, Context&, const Tensors&>) {
      return fn.backward(ctx, grads);
    } else {
      return fn.backward(ctx, grads[0]);
    }
  }
  F fn;
};

}  // namespace detail

template <class F, class... In>
auto apply(F fn, const In&... inputs) {
  constexpr bool view = detail::is_view<F>::value;
  OpDevice device(F::name);
  if (EG_UNLIKELY(devices_in_use)) (detail::collect_devices(device, inputs), ...);
  const bool grad_mode = grad_enabled();
  if (!grad_mode || !(detail::wants_grad(inputs) || ...)) {
    Context ctx;
    GradMode off(false);
    auto out = fn.forward(ctx, inputs...);
    if constexpr (view)
      if (grad_mode) detail::mark_views(out, detail::first(inputs...));
    return out;
  }
  auto* const node = new detail::FunctionNode<F>(std::move(fn));
  Ref<Node> owner = Ref<Node>::adopt(node);
  (detail::add_inputs(*node, inputs), ...);
  Context ctx(node);
  auto out = [&] {
    GradMode off(false);
    return node->fn.forward(ctx, inputs...);
  }();
  if constexpr (view) detail::mark_views(out, detail::first(inputs...));
  detail::add_outputs(std::move(owner), out);
  return out;
}

}  // namespace eg
