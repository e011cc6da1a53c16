// Note [The walk]. Every node was made after the nodes that its inputs came from, so walking in the order of falling creation
// numbers visits each node when all its gradients have arrived: no dependency counts. Leaves' accumulators have
// number 0 and come right after the last node that adds to them.
#include "tape/engine.h"

#include <mutex>

#include "core/gil.h"
#include "core/late.h"
#include "core/profile.h"
#include "ops/ops.h"
#include "ops/row_sparse.h"
#include "ops/watch.h"

namespace eg {
namespace {

struct Visit {
  Node* node;               // kept alive by what leads to it, and in the end by the roots
  Tensors grads;            // of its outputs, so far
  SmallVec<bool, 3> owned;  // made by the engine: may be added to in place
  bool needed = true;
  bool zero = false;   // gradients of zeros come this way that nobody made
  uint64_t outer_run;  // the node's notes of an enclosing run, put back at the end
  uint32_t outer_slot;
};

// Nothing else can see this tensor's memory.
bool sole_owner(const Tensor& t) {
  return t.impl()->use_count() == 1 && t->storage->use_count() == 1 && !t->base;
}

void add_in_place(const Tensor& sum, const Tensor& g) {
  if (EG_UNLIKELY(may_be_row_sparse(g)))
    if (const auto rows = row_parts(g)) return add_rows_into(sum, *rows);
  const DType compute = is_reduced(sum.dtype()) ? DType::Float32 : sum.dtype();
  const LoopOperand operands[] = {{&sum, compute}, {&g, compute}};
  run_elementwise({2, int16_t(Binary::add)},
                  host_kernels<BinaryKernels>().forward[int(Binary::add)][compute_index(compute)],
                  sum, compute, operands, 2, nullptr, false);
}

// One backward at a time: nodes carry the run's notes. A thread may start a second one inside a hook. Others wait without the
// interpreter's lock.
class Turn {
 public:
  Turn() {
    if (mutex().try_lock()) return;
    ReleaseGil released;
    mutex().lock();
  }
  ~Turn() { mutex().unlock(); }

 private:
  static std::recursive_mutex& mutex() {
    static auto* m = new std::recursive_mutex;
    return *m;
  }
};

bool any_nan(const Tensors& list) {
  for (const Tensor& t : list)
    if (has_nan(t)) return true;
  return false;
}
std::atomic<bool> check_for_nan{false};

class Run {
 public:
  Run(BackwardOptions options, bool accumulate, const TensorList* inputs)
      : options_(options), accumulate_(accumulate), inputs_(inputs), id_(++last_id) {
    here_ = Site::here();
    outer_ = std::exchange(innermost, this);
    strict_ = std::exchange(strict_broadcast, false);  // gradients' formulas are not the user's
  }
  ~Run() {
    innermost = outer_;
    strict_broadcast = strict_;
    for (size_t i = visits_.size(); i-- > 0;) {
      visits_[i].node->run = visits_[i].outer_run;
      visits_[i].node->slot = visits_[i].outer_slot;
    }
  }

  TensorList go(const TensorList& roots, const TensorList& grads) {
    for (const Tensor& root : roots) roots_.push_back(gradient_edge(root));
    if (inputs_) mark_inputs();
    collect();
    if (inputs_) prune();
    for (size_t i = 0; i < roots.size(); ++i) receive(roots_[i], grads[i]);
    GradMode mode(options_.create_graph);
    uint32_t visited = 0;
    for (Visit& v : visits_) {
      if (!v.needed) continue;
      if ((++visited & 15) == 0 && poll_interrupt) poll_interrupt();  // it reads a clock
      visit(v);
    }
    for (size_t i = 0; i < callbacks_.size(); ++i) {
      const auto callback = callbacks_[i];  // it may queue another
      callback();
    }
    return std::move(captured_);
  }

  void at_end(std::function<void()> f) {
    if (outer_) return outer_->at_end(std::move(f));
    callbacks_.push_back(std::move(f));
  }
  uint64_t id() const { return id_; }
  bool visits(const Node& node) const { return node.run == id_ && visits_[node.slot].needed; }
  static inline thread_local Run* innermost = nullptr;

 private:
  struct Found {
    Node* node;
    uint64_t outer_run;
    uint32_t outer_slot;
    uint64_t number;  // an accumulator's: of the last node that adds to it
  };

  // Fills visits_, in the order of the walk.
  void collect() {
    std::vector<Found> found, leaves;
    uint64_t first = ~uint64_t(0), last = 0;
    const auto reach = [&](const Edge& e, uint64_t from) {
      Node* const node = e.node.get();
      if (!node) return;
      const uint64_t number = node->sequence;
      if (node->run == id_) {
        if (number == 0) leaves[node->slot].number = std::min(leaves[node->slot].number, from);
        return;
      }
      auto& list = number ? found : leaves;
      list.push_back({node, node->run, node->slot, number ? number : from});
      node->run = id_;
      node->slot = static_cast<uint32_t>(list.size() - 1);
      if (number == 0) return;
      first = std::min(first, number);
      last = std::max(last, number);
    };
    for (const Edge& root : roots_) reach(root, ~uint64_t(0));
    for (size_t i = 0; i < found.size(); ++i)
      for (const Edge& e : found[i].node->edges) reach(e, found[i].number);
    visits_.reserve(found.size() + leaves.size());
    if (!found.empty()) order(found, first, last);
    interleave(found, leaves);
  }

  static bool earlier(const Found& a, const Found& b) { return a.number > b.number; }

  // By falling number. The numbers of a graph made in one go are dense: each node has a place, and nothing is compared.
  static void order(std::vector<Found>& found, uint64_t first, uint64_t last) {
    if (last - first < 8 * found.size()) {
      std::vector<Found> places(last - first + 1);
      for (const Found& f : found) places[last - f.number] = f;
      found.swap(places);
    } else {
      std::sort(found.begin(), found.end(), earlier);
    }
  }
  // A leaf's gradient is accumulated, and its hooks run, as soon as it is whole: a hook may free it, or step the optimizer.
  void interleave(const std::vector<Found>& found, std::vector<Found>& leaves) {
    if (!std::is_sorted(leaves.begin(), leaves.end(), earlier))
      std::stable_sort(leaves.begin(), leaves.end(), earlier);
    auto leaf = leaves.begin();
    for (const Found& f : found) {
      if (!f.node) continue;
      for (; leaf != leaves.end() && leaf->number > f.number; ++leaf) add_visit(*leaf);
      add_visit(f);
    }
    for (; leaf != leaves.end(); ++leaf) add_visit(*leaf);
  }
  void add_visit(const Found& f) {
    Visit v;
    v.node = f.node;
    v.outer_run = f.outer_run;
    v.outer_slot = f.outer_slot;
    f.node->slot = static_cast<uint32_t>(visits_.size());
    visits_.push_back(std::move(v));
  }

  // Inputs whose gradients are wanted: the place where each arrives.
  void mark_inputs() {
    captured_.resize(inputs_->size());
    for (size_t i = 0; i < inputs_->size(); ++i) {
      const Tensor& t = (*inputs_)[i];
      EG_CHECK(t.requires_grad(), "One of the differentiated Tensors does not require grad: input ",
               i, " of shape ", IntSpan(t.sizes()));
      targets_.push_back(gradient_edge(t));
    }
  }
  // Without inputs everything is walked; with inputs only what leads to them.
  void prune() {
    for (Visit& v : visits_) v.needed = false;
    for (const Edge& target : targets_)
      if (target.node->run == id_) visits_[target.node->slot].needed = true;
    for (size_t i = visits_.size(); i-- > 0;) {
      Visit& v = visits_[i];
      for (const Edge& e : v.node->edges)
        if (e.node && visits_[e.node->slot].needed) v.needed = true;
    }
  }

  void visit(Visit& v) {
    Node& node = *v.node;
    bool any = false;
    for (const Tensor& g : v.grads) any = any || g.defined();
    if (!any) {
      if (v.zero) pass_zero(node);
      return;
    }
    v.grads.resize(std::max(v.grads.size(), node.outputs.size()));
    run_hooks(node, v.grads);
    capture(node, v.grads);
    if (is_accumulator(node)) {
      const Tensor leaf = accumulated_variable(node);
      // A leaf that was frozen since (`p.requires_grad_(False)`) gets nothing.
      if (leaf.defined() && leaf->requires_grad && wants_leaf(node)) accumulate(leaf, v);
    } else if (leads_on(node)) {
      pass_on(v);
    }
    v.grads.clear();
    v.owned.clear();
  }

  // Of a node that only gradients of zeros reach: they are made where somebody looks at them. See Note [Zero derivatives].
  void pass_zero(const Node& node) {
    if (!accumulate_)
      for (size_t i = 0; i < targets_.size(); ++i)
        if (targets_[i].node.get() == &node) captured_[i] = zeros_of(node.outputs[targets_[i].nr]);
    if (is_accumulator(node)) {
      const Tensor leaf = accumulated_variable(node);
      if (leaf.defined() && leaf->requires_grad && wants_leaf(node) && !leaf.grad().defined())
        leaf.set_grad(zeros_of(node.outputs[0]));
    }
    for (const Edge& e : node.edges)
      if (e.node) visits_[e.node->slot].zero = true;
  }
  static Tensor zeros_of(const OutputMeta& like) {
    return zeros(like.sizes, like.dtype, like.device);
  }

  bool leads_on(const Node& node) const {
    if (!inputs_) return true;
    for (const Edge& e : node.edges)
      if (e.node && visits_[e.node->slot].needed) return true;
    return false;
  }
  bool wants_leaf(const Node& node) const {
    if (!accumulate_) return false;
    if (!inputs_) return true;
    for (const Edge& t : targets_)
      if (t.node.get() == &node) return true;
    return false;
  }

  void run_hooks(Node& node, Tensors& grads) {
    for (size_t i = 0; i < node.hooks.size(); ++i)
      call_hook(*node.hooks[i].hook, grads[node.hooks[i].nr]);
    if (is_accumulator(node)) run_leaf_hooks(accumulated_variable(node), grads[0]);
    for (size_t i = 0; i < node.pre_hooks.size(); ++i) {
      const Ref<Node::NodeHook> hook = node.pre_hooks[i];
      hook->call(grads, nullptr);
    }
    for (size_t i = 0; i < node.retain_hooks.size(); ++i)
      if (grads[node.retain_hooks[i].nr].defined())
        node.retain_hooks[i].hook->call(grads[node.retain_hooks[i].nr]);
  }
  void run_leaf_hooks(const Tensor& leaf, Tensor& g) {
    if (!leaf.defined() || leaf.meta().hooks.empty()) return;
    const Hooks hooks = leaf.meta().hooks;
    for (const Ref<Hook>& h : hooks) call_hook(*h, g);
  }
  void call_hook(Hook& hook, Tensor& g) {
    if (!g.defined()) return;
    Tensor replaced = hook.call(g);
    if (replaced.defined()) g = std::move(replaced);
  }

  void capture(const Node& node, const Tensors& grads) {
    for (size_t i = 0; i < targets_.size(); ++i)
      if (targets_[i].node.get() == &node) {
        const Tensor& g = grads[targets_[i].nr];
        if (accumulate_) {
          const Tensor& t = (*inputs_)[i];
          if (!t.is_leaf() && g.defined() && !t.meta().retain_grad) add_to_grad(t, g);
        } else {
          captured_[i] = g;
        }
      }
  }

  void pass_on(Visit& v) {
    Node& node = *v.node;
    refuse_freed(node);
    SmallVec<Tensor*, 4> accumulators(node.edges.size(), nullptr);
    // Gradients that are looked at come one by one.
    if (!options_.create_graph && !check_for_nan && !watching) {
      for (size_t i = 0; i < node.edges.size(); ++i) accumulators[i] = buffer_of(node.edges[i]);
    }
    SmallVec<bool, 4> wanted;
    if (inputs_)
      for (const Edge& e : node.edges) wanted.push_back(e.node && visits_[e.node->slot].needed);
    Context ctx(&node, accumulators.data(), inputs_ ? wanted.data() : nullptr);
    const DeviceScope scope(node.outputs.empty() ? active_device : node.outputs[0].device);
    ProfileScope profile;
    if (EG_UNLIKELY(profiling)) {
      profile.open(node.title());
      for (const Tensor& g : v.grads)
        if (g.defined()) profile.operand(g);
    }
    Tensors results;
    const DeviceStep step;
    try {
      results = node.backward(ctx, v.grads);
    } catch (Error& e) {
      if (e.kind() != ErrorKind::Interrupt && e.message().find("made at ") == std::string::npos)
        e.set_message(str(e.message(), "\n  in the backward of ", node.name(), ", made at ",
                          node.site.describe()));
      throw;
    }
    EG_CHECK(results.size() <= node.edges.size(), "[", node.name(), "] backward returned ",
             results.size(), " gradients for ", node.edges.size(), " inputs, made at ",
             node.site.describe());
    if (check_for_nan && !any_nan(v.grads)) {
      for (size_t i = 0; i < results.size(); ++i)
        EG_CHECK(!has_nan(results[i]), "Function '", node.title(), "' returned nan values in its ",
                 i, "th output, for the operation made at ", node.site.describe());
    }
    if (EG_UNLIKELY(watching))
      watch_results("backward of " + node.title(), results, v.grads, node.site);
    for (size_t i = 0; i < node.post_hooks.size(); ++i) {
      const Ref<Node::NodeHook> hook = node.post_hooks[i];
      hook->call(results, &v.grads);
    }
    v.grads.clear();
    if (!options_.retain_graph) {
      node.release_saved();
      if (node.released) node.released_by = here_;
      node.walked = true;
    }
    for (size_t i = 0; i < results.size(); ++i) {
      const Edge& e = node.edges[i];
      if (!e.node || !results[i].defined()) continue;
      if (results[i].same(Context::accumulated())) {
        if (!accumulators[i]) visits_[e.node->slot].zero = true;  // nothing to add to: zeros
        continue;
      }
      if (!visits_[e.node->slot].needed) continue;
      Tensor g = std::move(results[i]);
      receive(e, std::move(g), &node);
    }
  }

  Tensor* buffer_of(const Edge& e) {
    if (!e.node) return nullptr;
    Visit& target = visits_[e.node->slot];
    if (e.nr >= target.grads.size() || !target.owned[e.nr]) return nullptr;
    return &target.grads[e.nr];
  }

  // Two different mistakes, two messages.
  void refuse_freed(const Node& node) const {
    if (!node.released) return;
    if (root_was_walked_)
      fail(ErrorKind::Runtime,
           "Trying to backward through the graph a second time: it was freed by the backward at ",
           node.released_by.describe(), ". The operation ", node.name(), " was made at ",
           node.site.describe(),
           ". Specify retain_graph=True in the first backward if you need a second one.");
    fail(ErrorKind::Runtime,
         "Trying to backward through the graph a second time: this graph reaches a tensor of an "
         "earlier graph, made by ",
         node.name(), " at ", node.site.describe(), ", which the backward at ",
         node.released_by.describe(),
         " freed. If that tensor carries state from one iteration to the next, detach it: h = "
         "h.detach() (or specify retain_graph=True in the earlier backward).");
  }

  // The only place where broadcasting is undone and dtypes are brought back.
  Tensor fit(Tensor g, const OutputMeta& want, const Node* from) const {
    if (g.sizes() != want.sizes) {
      EG_CHECK(is_expandable_to(want.sizes, g.sizes()), "[",
               from ? from->name() : std::string("backward"),
               "] returned an invalid gradient: expected shape ", IntSpan(want.sizes), ", got ",
               IntSpan(g.sizes()),
               from ? str(", for the operation made at ", from->site.describe()) : std::string());
      g = sum_to(g, want.sizes);
    }
    if (g.dtype() != want.dtype) g = to(g, want.dtype);
    if (EG_UNLIKELY(g.device() != want.device)) g = to(g, want.device);
    return g;
  }

  void receive(const Edge& edge, Tensor g, const Node* from = nullptr) {
    Visit& target = visits_[edge.node->slot];
    if (!from) root_was_walked_ = root_was_walked_ || edge.node->walked;
    const OutputMeta& want = edge.node->outputs[edge.nr];
    if (EG_UNLIKELY(g.sizes() != want.sizes || g.dtype() != want.dtype ||
                    g.device() != want.device))
      g = fit(std::move(g), want, from);
    if (target.grads.size() <= edge.nr) {
      target.grads.resize(edge.nr + 1);
      target.owned.resize(edge.nr + 1);
    }
    Tensor& sum = target.grads[edge.nr];
    if (!sum.defined()) {
      target.owned[edge.nr] = from && sole_owner(g) && g.is_contiguous() && !may_be_row_sparse(g);
      sum = std::move(g);
    } else if (options_.create_graph) {
      sum = add(sum, g);
    } else if (target.owned[edge.nr]) {
      add_in_place(sum, g);
    } else {
      sum = add_gradients(sum, g);
      target.owned[edge.nr] =
          sum.is_contiguous() &&
          !may_be_row_sparse(sum);  // what ops add to in place must be row-major
    }
  }

  void accumulate(const Tensor& leaf, Visit& v) {
    add_to_grad(leaf, v.grads[0]);
    const Hooks hooks = leaf.meta().post_accumulate_hooks;
    for (const Ref<Hook>& h : hooks) h->call(leaf);
  }

  void add_to_grad(const Tensor& leaf, const Tensor& g) {
    const Tensor before = leaf.grad();
    if (!before.defined()) {
      if (options_.create_graph) {
        leaf.set_grad(g);
      } else {
        // The Visit holds one reference, the caller's is the same object.
        const bool fits =
            g.sizes() == leaf.sizes() &&
            (g.strides() == leaf.strides() || (g.is_contiguous() && leaf.is_contiguous()));
        leaf.set_grad(fits && sole_owner(g) ? g.detach() : clone_gradient(g.detach(), leaf));
      }
    } else if (options_.create_graph) {
      leaf.set_grad(add(before, g));
    } else if (EG_UNLIKELY(may_be_row_sparse(before))) {
      leaf.set_grad(add_gradients(before, g));
    } else {
      add_in_place(before, g);
      before.storage().mark_written();
    }
  }

  static inline uint64_t last_id = 0;
  Run* outer_ = nullptr;  // of a backward inside a hook
  BackwardOptions options_;
  bool accumulate_;
  const TensorList* inputs_;
  uint64_t id_;
  Site here_;
  bool root_was_walked_ = false, strict_;
  std::vector<Visit> visits_;
  SmallVec<Edge, 2> roots_;
  SmallVec<Edge, 4> targets_;
  TensorList captured_;
  std::vector<std::function<void()>> callbacks_;
};

TensorList first_gradients(const TensorList& roots, const TensorList& grads) {
  TensorList out;
  for (size_t i = 0; i < roots.size(); ++i) {
    const Tensor& root = roots[i];
    EG_CHECK(root.requires_grad(), "element ", i,
             " of tensors does not require grad and does not have a grad_fn: a ", root.dtype(),
             " tensor of shape ", IntSpan(root.sizes()),
             ", made of tensors that require none, of detached or whole-number ones, or where "
             "recording was off");
    if (i < grads.size() && grads[i].defined()) {
      EG_CHECK(grads[i].sizes() == root.sizes(), "Mismatch in shape: grad_output[", i,
               "] has a shape of ", IntSpan(grads[i].sizes()), " and output[", i,
               "] has a shape of ", IntSpan(root.sizes()), ".");
      out.push_back(grads[i]);
    } else {
      EG_CHECK(root.numel() == 1,
               "grad can be implicitly created only for scalar outputs, got a tensor of shape ",
               IntSpan(root.sizes()),
               root.grad_fn() ? str(" made at ", root.grad_fn()->site.describe()) : std::string());
      out.push_back(full(root.sizes(), Scalar(1), root.dtype(), root.device()));
    }
  }
  return out;
}

}  // namespace

uint64_t current_backward() { return Run::innermost ? Run::innermost->id() : 0; }
bool backward_visits(const Node& node) { return Run::innermost && Run::innermost->visits(node); }

void queue_callback(std::function<void()> f) {
  EG_CHECK(Run::innermost, "queue_callback: expected a backward in progress on this thread");
  Run::innermost->at_end(std::move(f));
}

bool nan_check() { return check_for_nan; }
void set_nan_check(bool on) { check_for_nan = on; }

void backward(const TensorList& roots, const TensorList& grads, BackwardOptions options,
              const TensorList* inputs) {
  raise_late_errors();
  Turn turn;
  Run(options, true, inputs).go(roots, first_gradients(roots, grads));
}

TensorList grad(const TensorList& roots, const TensorList& grads, const TensorList& inputs,
                BackwardOptions options) {
  raise_late_errors();
  Turn turn;
  return Run(options, false, &inputs).go(roots, first_gradients(roots, grads));
}

}  // namespace eg
