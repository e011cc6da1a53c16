// In-place writes and the tape.
//
// Note [Views and in-place writes]. A view remembers its root. A recorded write through a view is seen by the tape as "the root, with
// this region replaced by that value": root.grad_fn becomes a RegionReplaced node over the root's old history and the value's. All views
// of the root are then out of step with its epoch; when asked, they take a fresh Region node on the root's new history.
#include "core/iterate.h"
#include "ops/copy.h"
#include "ops/ops.h"
#include "tape/function.h"

namespace eg {
namespace {

// A region of a root tensor, both as they lie in memory.
struct Region {
  Dims root_sizes, root_strides;
  Dims sizes, strides;
  int64_t offset;  // from the root's first element

  Tensor root_like(DType dtype) const { return empty_strided(root_sizes, root_strides, dtype); }
  Tensor of(const Tensor& root) const {
    return alias(root, sizes, strides, root.offset() + offset);
  }
  // A copy of g laid out as the root is.
  Tensor laid_out(const Tensor& g) const {
    Tensor copy = root_like(g.dtype());
    copy_into(copy, g);
    return copy;
  }
};

Tensor region_get(const Tensor& root, const Region& region);

// The gradient of taking a region: zeros, with g added in the region (elements seen twice add up).
struct RegionPut {
  static constexpr const char* name = "RegionPut";
  Region region;
  Tensor forward(Context&, const Tensor& g) {
    Tensor root = region.root_like(g.dtype());
    fill(root, Scalar(0));
    const Tensor target = region.of(root);
    if (!has_internal_overlap(target)) {
      copy_into(target, g);
    } else {
      add_overlapping(target, g);
    }
    return root;
  }
  Tensors backward(Context&, const Tensor& gg) { return {region_get(gg, region)}; }

  static void add_overlapping(const Tensor& target, const Tensor& g) {
    Walk walk(target.sizes());
    walk.add(target);
    walk.add(g);
    walk.finish();
    const int64_t* stride = walk.line_strides();
    visit_float(g.dtype(), [&](auto zero) {
      using T = decltype(zero);
      walk.run(0, walk.numel(), [&](char* const* p, int64_t n) {
        for (int64_t i = 0; i < n; ++i)
          *reinterpret_cast<T*>(p[0] + i * stride[0]) +=
              *reinterpret_cast<const T*>(p[1] + i * stride[1]);
      });
    });
  }
};

struct RegionGet {
  static constexpr const char* name = "Region";
  Region region;
  Tensor forward(Context&, const Tensor& root) {
    return contiguous_data(region.of(region.laid_out(root)));
  }
  Tensors backward(Context&, const Tensor& g) { return {apply(RegionPut{region}, g)}; }
};

struct RegionClear {
  static constexpr const char* name = "RegionClear";
  Region region;
  Tensor forward(Context&, const Tensor& root) {
    Tensor copy = region.laid_out(root);
    fill(region.of(copy), Scalar(0));
    return copy;
  }
  Tensors backward(Context&, const Tensor& g) { return {apply(RegionClear{region}, g)}; }
};

Tensor region_get(const Tensor& root, const Region& region) {
  return apply(RegionGet{region}, root);
}

Region region_of(const TensorImpl& view, const TensorImpl& root) {
  return {root.sizes, root.strides, view.sizes, view.strides, view.offset - root.offset};
}

// What a view's history becomes after its root was rewritten.
class RegionNode final : public Node {
 public:
  explicit RegionNode(Region region) : region_(std::move(region)) {}
  std::string name() const override { return "AsStrided"; }
  Tensors backward(Context&, const Tensors& grads) override {
    return {apply(RegionPut{region_}, grads[0])};
  }

 private:
  Region region_;
};

// What a root's history becomes after a write through a view: edges to its old history and to the written value.
class RegionReplacedNode final : public Node {
 public:
  explicit RegionReplacedNode(Region region) : region_(std::move(region)) {}
  std::string name() const override { return "CopySlices"; }
  std::string title() const override { return name(); }
  Tensors backward(Context& ctx, const Tensors& grads) override {
    Tensors result(2);
    if (ctx.needs(0)) result[0] = apply(RegionClear{region_}, grads[0]);
    if (ctx.needs(1)) result[1] = region_get(grads[0], region_);
    return result;
  }

 private:
  Region region_;
};

// A value that was overwritten by a constant still "requires grad" (PyTorch's rule), but nothing flows on.
class ConstantNode final : public Node {
 public:
  std::string name() const override { return "Fill"; }
  Tensors backward(Context&, const Tensors& grads) override { return {zeros_like(grads[0])}; }
};

Edge edge_of_value(const Tensor& value) {
  return value.requires_grad() ? gradient_edge(value) : Edge{};
}

OutputMeta meta_of(const TensorImpl& t) { return {t.sizes, t.dtype, t.device}; }

// Values that `node` keeps of memory which is about to be overwritten are copied first.
void keep_saved_values(Node* node, const Storage& written) {
  if (!node) return;
  for (size_t i = 0; i < node->saved.size(); ++i) {
    SavedTensor& s = node->saved[i];
    if (EG_UNLIKELY(s.packed)) {
      GradMode off(false);
      const Tensor value = s.packed->unpack();
      if (&value.storage() != &written || !saved_tensor_hooks()) continue;
      Ref<PackedTensor> copy = saved_tensor_hooks()->pack(clone(value));
      copy->edge = s.packed->edge;
      copy->meta = s.packed->meta;
      copy->source = nullptr;
      s.packed = std::move(copy);
      continue;
    }
    if (!s.tensor.defined() || &s.tensor.storage() != &written) continue;
    if (s.tensor->requires_grad) continue;  // a leaf: the write would have been refused
    Tensor copy = empty(s.tensor.sizes(), s.tensor.dtype(), s.tensor.device());
    copy_into(copy, s.tensor);
    copy->grad_fn = s.tensor->grad_fn;
    copy->output_nr = s.tensor->output_nr;
    s.tensor = std::move(copy);
    s.version = s.tensor.version();
  }
}

}  // namespace

// The tape's place of t from now on. A gradient that retain_grad keeps is that of the newest value; hooks stay with the old one.
static void take_place(TensorImpl& t, Ref<Node> node, uint32_t nr) {
  if (EG_UNLIKELY(t.meta && t.meta->retain_grad && t.grad_fn)) {
    auto& kept = t.grad_fn->retain_hooks;
    for (size_t i = kept.size(); i-- > 0;) {
      if (kept[i].nr != t.output_nr) continue;
      node->retain_hooks.push_back({nr, kept[i].hook});
      kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  t.grad_fn = std::move(node);
  t.output_nr = nr;
}

void refresh_view(TensorImpl& view) {
  const Ref<TensorImpl> root = view.base;
  view.base_epoch = root->epoch;
  const Edge edge = gradient_edge(Tensor(root));
  if (!edge.node) {
    view.grad_fn = nullptr;
    return;
  }
  Ref<RegionNode> node(new RegionNode(region_of(view, *root)));
  node->edges.push_back(edge);
  node->outputs.push_back(meta_of(view));
  take_place(view, std::move(node), 0);
}

void mark_view(const Tensor& view, const Tensor& of) {
  if (view.same(of) || !view.defined()) return;
  of.grad_fn();  // in step with its own root first
  view->base = of->base ? of->base : Ref<TensorImpl>(of.impl());
  view->base_epoch = view->base->epoch;
}

void check_inplace(const Tensor& t, const char* op) {
  if (EG_UNLIKELY(before_inplace_write != nullptr)) before_inplace_write(t);
  EG_CHECK(!t->inference || inference_enabled(), "[", op,
           "] Inplace update to inference tensor outside InferenceMode is not allowed. You can "
           "make a clone to get a normal "
           "tensor before doing inplace update.");
  if (grad_enabled() && t->requires_grad && t.is_leaf())
    fail(ErrorKind::Runtime,
         "a leaf Variable that requires grad is being used in an in-place operation: [", op,
         "] on a tensor of shape ", IntSpan(t.sizes()),
         ". Wrap the update in eagergrad.no_grad(), or use the out-of-place form.");
  if (grad_enabled() && t->base && t->base->requires_grad && !t->base->grad_fn)
    fail(ErrorKind::Runtime,
         "a view of a leaf Variable that requires grad is being used in an in-place operation: [",
         op, "] on a view of shape ", IntSpan(t.sizes()),
         ". Wrap the update in eagergrad.no_grad(), or clone() the leaf first.");
  EG_CHECK_VALUE(t.storage().writable(), "[", op,
                 "] assignment destination is read-only: the tensor shares memory with a read-only "
                 "array or was frozen. Use a copy: t.clone()");
  EG_CHECK(!has_internal_overlap(t), "[", op,
           "] unsupported operation: more than one element of the written-to tensor refers to a "
           "single memory location. Please clone() the tensor before performing the operation.");
}

void leave_dead_root(const Tensor& t) {
  if (!t->base || t->base->use_count() != 1 || t->base->requires_grad) return;
  t.grad_fn();  // in step with it first
  t->base = nullptr;
}

void rewrite_history(const Tensor& t, const Tensor& value) {
  t.storage().mark_written();
  if (!grad_enabled()) return;
  const bool carries = value.requires_grad();
  if (!carries && !t.requires_grad() && !(t->base && Tensor(t->base).requires_grad())) return;
  leave_dead_root(t);
  if (t->base) {
    const Ref<TensorImpl> root = t->base;
    Ref<RegionReplacedNode> node(new RegionReplacedNode(region_of(*t.impl(), *root)));
    node->edges.push_back(gradient_edge(Tensor(root)));
    node->edges.push_back(edge_of_value(value));
    node->outputs.push_back(meta_of(*root));
    take_place(*root, std::move(node), 0);
    ++root->epoch;
    if (EG_UNLIKELY(t->meta && t->meta->retain_grad))
      t.grad_fn();  // the write's own value, not a later one
    return;
  }
  if (carries) {
    const Edge edge = gradient_edge(value);
    if (!value.grad_fn()) {  // a leaf's own value: t must not become that leaf
      const Tensor through = mul(value, Tensor(1));
      take_place(*t.impl(), through.grad_fn(), through->output_nr);
    } else {
      take_place(*t.impl(), edge.node, edge.nr);
    }
  } else {
    Ref<ConstantNode> node(new ConstantNode);
    node->edges.push_back(gradient_edge(t));
    node->outputs.push_back(meta_of(*t.impl()));
    take_place(*t.impl(), std::move(node), 0);
  }
  ++t->epoch;
}

void assign(const Tensor& t, const Tensor& value) {
  if (t.same(value)) {
    t.storage().mark_written();
    return;
  }
  if (grad_enabled() && value.defined()) keep_saved_values(value.grad_fn().get(), t.storage());
  Tensor fitted = value.dtype() == t.dtype() ? value : to(value, t.dtype());
  copy_into(t, fitted);
  if (fitted.sizes() != t.sizes() && fitted.requires_grad() && grad_enabled())
    fitted = expand(fitted, t.sizes());
  rewrite_history(t, fitted);
}

}  // namespace eg
