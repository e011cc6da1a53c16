#include "tape/node.h"

#include <atomic>
#include <cctype>

#include "tape/growth.h"

namespace eg {

// --- modes ---------------------------------------------------------------------------------------------------

__thread bool grad_mode EG_TLS_MODEL = true;
__thread bool inference_mode EG_TLS_MODEL = false;

// --- hooks of saved tensors ------------------------------------------------------------------------------------

// Never freed: a thread may end after the interpreter, and hooks belong to it.
static __thread std::vector<Ref<SavedTensorHooks>>* hook_stack EG_TLS_MODEL = nullptr;
__thread void (*before_inplace_write)(const Tensor& t) EG_TLS_MODEL = nullptr;

SavedTensorHooks* saved_tensor_hooks() {
  return hook_stack && !hook_stack->empty() ? hook_stack->back().get() : nullptr;
}
void push_saved_tensor_hooks(Ref<SavedTensorHooks> hooks) {
  if (!hook_stack) hook_stack = new std::vector<Ref<SavedTensorHooks>>;
  hook_stack->push_back(std::move(hooks));
}
void pop_saved_tensor_hooks() {
  EG_CHECK(saved_tensor_hooks(), "no saved_tensors_hooks are entered");
  hook_stack->pop_back();
}

// The values that hooks gave back, as the node's backward knew them.
static Tensor unpacked(PackedTensor& packed, const Node& node) {
  Tensor t = packed.unpack();
  const OutputMeta& want = packed.meta;
  EG_CHECK(t.sizes() == want.sizes, "the unpack hook of a tensor saved by ", node.name(), " at ",
           node.site.describe(), " returned shape ", IntSpan(t.sizes()), ", expected ",
           IntSpan(want.sizes));
  GradMode off(false);
  // Gradients are written for the layout and dtype that was saved.
  return contiguous_data(device_data(cast_data(t.detach(), want.dtype), want.device)).detach();
}

// --- nodes -----------------------------------------------------------------------------------------------------

static uint64_t next_number() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

Node::Node() : sequence(next_number()), site(Site::here()) {
  ++live_nodes;
  if (EG_UNLIKELY(noting_nodes)) note_node(*this);
}
Node::Node(LeafTag) : sequence(0) {}
Node::~Node() {
  live_nodes -= sequence != 0;
  if (EG_UNLIKELY(noted)) forget_node(*this);
}

// A node's edges may hold the last reference to the next node, and so on for a million nodes: nodes that die while
// another is being destroyed wait in a list.
void Node::destroy() {
  static __thread std::vector<Node*>* waiting EG_TLS_MODEL = nullptr;
  if (waiting) {
    waiting->push_back(this);
    return;
  }
  std::vector<Node*> list;
  waiting = &list;
  delete this;
  while (!list.empty()) {
    Node* next = list.back();
    list.pop_back();
    delete next;
  }
  waiting = nullptr;
}

std::string Node::title() const {
  if (shown) return shown;
  std::string title = name();
  const bool whole = title.find("Backward") != std::string::npos && std::isdigit(title.back());
  return whole ? title : title + "Backward0";
}

Tensor named(Tensor y, const char* title) {
  if (const Ref<Node>& node = y.grad_fn()) node->shown = title;
  return y;
}

bool Node::add_input(const Tensor& t) {
  edges.push_back(t.defined() ? gradient_edge(t) : Edge{});
  const Node* const from = edges.back().node.get();
  if (!from) return false;
  // A view that was out of step with its root took its history just now: the engine walks by falling numbers.
  if (EG_UNLIKELY(from->sequence > sequence)) sequence = next_number();
  return true;
}

// The same values and place on the tape, in an object that later in-place writes to t do not reach: holding t itself could
// close a cycle (t's new history leads back here).
static Tensor snapshot(const Tensor& t) {
  if (!t.defined() || t.is_weak()) return t;
  Tensor copy = t.detach();
  const Edge edge =
      gradient_edge(t);  // a leaf's: its accumulator, see Note [Leaves are held weakly]
  copy->grad_fn = edge.node;
  copy->output_nr = edge.nr;
  return copy;
}

void Node::save(const Tensor& t) {
  // Outputs have no history yet; add_output finds them by identity.
  EG_CHECK(!t.defined() || !t->inference || inference_enabled(),
           "Inference tensors cannot be saved for backward. To work around you can make a clone to "
           "get a normal tensor and use it in autograd.");
  SavedTensor s;
  s.tensor = t.defined() && !t.requires_grad() && !t.is_weak() ? t : snapshot(t);
  if (t.defined()) s.version = t.version();
  saved.push_back(std::move(s));
}

// Runs once forward is done, so that outputs have their values.
void Node::pack_saved() {
  const Ref<SavedTensorHooks> hooks(saved_tensor_hooks());
  GradMode off(false);
  for (SavedTensor& s : saved) {
    if (!s.tensor.defined() || s.tensor.is_weak()) continue;
    const Tensor& t = s.tensor;
    // A leaf comes as it is, so that hooks know parameters; a hook that kept an output would keep its node.
    const Tensor leaf = t->grad_fn ? accumulated_variable(*t->grad_fn) : Tensor();
    Ref<PackedTensor> packed = hooks->pack(leaf.defined() ? leaf : t.detach());
    EG_CHECK(t.version() == s.version,
             "A saved tensor pack hook is modifying its input in place. Tensors provided as input "
             "to pack hook can not be modified by in-place operations.");
    packed->edge = {t->grad_fn, t->output_nr};
    packed->meta = {t.sizes(), t.dtype(), t.device()};
    packed->source = t.impl();
    s.packed = std::move(packed);
  }
  for (SavedTensor& s : saved)
    if (s.packed) s.tensor = Tensor();
}

bool Node::describe_output(const Tensor& t) {
  const uint32_t nr = static_cast<uint32_t>(outputs.size());
  if (EG_UNLIKELY(nr == 0 && saved_tensor_hooks() != nullptr)) pack_saved();
  outputs.resize(nr + 1);
  if (!t.defined()) return false;
  OutputMeta& meta = outputs.back();
  meta.sizes = t.sizes();
  meta.dtype = t.dtype();
  meta.device = t.device();
  if (!t.is_floating()) return false;
  for (SavedTensor& s : saved) {
    if (EG_UNLIKELY(s.packed) && s.packed->source == t.impl())
      s.output_nr = static_cast<int32_t>(nr);
    if (!s.tensor.same(t)) continue;
    s.tensor = t.detach();
    s.output_nr = static_cast<int32_t>(nr);
  }
  t->output_nr = nr;
  return true;
}

void Node::add_output(const Tensor& t) {
  if (describe_output(t)) t->grad_fn = this;
}
void Node::add_last_output(Ref<Node> node, const Tensor& t) {
  if (node->describe_output(t)) t->grad_fn = std::move(node);
}

void Node::release_saved() {
  released = released || !saved.empty();  // a node that kept nothing can be walked again
  saved.clear();
}

Tensor Node::saved_tensor(size_t i) {
  EG_CHECK(!released, "Trying to access the saved tensors of ", title(), ", made at ",
           site.describe(), ", a second time: they were freed by the backward at ",
           released_by.describe(), ". Specify retain_graph=True there.");
  EG_CHECK_INDEX(i < saved.size(), "saved tensor ", i, " of ", saved.size());
  const SavedTensor& s = saved[i];
  if (EG_UNLIKELY(s.packed)) {
    const Ref<PackedTensor> packed = s.packed;  // its hook may free this node
    Tensor t = unpacked(*packed, *this);
    const bool output = s.output_nr >= 0;
    if (!output || grad_enabled()) {
      t->grad_fn = output ? Ref<Node>(this) : packed->edge.node;
      t->output_nr = output ? static_cast<uint32_t>(s.output_nr) : packed->edge.nr;
    }
    return t;
  }
  if (!s.tensor.defined()) return s.tensor;
  const Storage& storage = s.tensor.storage();
  EG_CHECK(storage.version() == s.version,
           "one of the variables needed for gradient computation has been modified by an inplace "
           "operation: a ",
           s.tensor.dtype(), " tensor of shape ", IntSpan(s.tensor.sizes()), ", ",
           s.output_nr >= 0 ? "the output" : "an input", " of ", title(), ", was saved at ",
           site.describe(), " (version ", s.version, ") and modified at ",
           storage.last_write().describe(), " (now at version ", storage.version(),
           "). Hint: use the out-of-place form of the operation there, or clone() the tensor "
           "before it.");
  if (s.output_nr < 0 || !grad_enabled()) return s.tensor;
  Tensor y = s.tensor.detach();
  y->grad_fn = this;
  y->output_nr = static_cast<uint32_t>(s.output_nr);
  return y;
}

const Tensor& Context::accumulated() {
  static const Tensor mark = empty({0});
  return mark;
}

// --- leaves ---------------------------------------------------------------------------------------------------------

namespace {

// Note [Leaves are held weakly]. Neither this node nor what other nodes save of a leaf keeps the leaf itself alive. With
// create_graph, leaf.grad has a history that leads to this node: a strong reference would close a cycle that nobody frees.
// The leaf owns the node: making one for each recorded op would cost more than the op's own node.
class Accumulator final : public Node {
 public:
  explicit Accumulator(TensorImpl* variable) : Node(LeafTag()), variable_(variable) {
    outputs.push_back({variable->sizes, variable->dtype, variable->device});
  }
  std::string name() const override { return "AccumulateGrad"; }
  std::string title() const override { return name(); }
  Tensors backward(Context&, const Tensors&) override { return {}; }

  TensorImpl* variable_;  // null once the leaf is gone
};

}  // namespace

TensorImpl::TensorImpl() = default;
TensorImpl::~TensorImpl() {
  if (meta && meta->accumulator)
    static_cast<Accumulator*>(meta->accumulator.get())->variable_ = nullptr;
}

Ref<Node> accumulator_of(const Tensor& leaf) {
  Ref<Node>& node = leaf.meta().accumulator;
  if (!node) {
    node = new Accumulator(leaf.impl());
  } else if (EG_UNLIKELY(node->outputs[0].sizes != leaf.sizes() ||
                         node->outputs[0].dtype != leaf.dtype())) {
    node->outputs[0] = {leaf.sizes(), leaf.dtype(), leaf.device()};  // reshaped in place since
  }
  return node;
}

Tensor accumulated_variable(const Node& node) {
  if (!is_accumulator(node)) return Tensor();
  return Tensor(Ref<TensorImpl>(static_cast<const Accumulator&>(node).variable_));
}

Edge gradient_edge(const Tensor& t) {
  const Ref<Node>& fn = t.grad_fn();
  if (fn) return {fn, t->output_nr};
  if (t->requires_grad) return {accumulator_of(t), 0};
  return {};
}

// --- the tape's side of Tensor -----------------------------------------------------------------------------------------

void refresh_view(TensorImpl& view);  // ops/inplace.cpp

const Ref<Node>& Tensor::grad_fn() const {
  if (impl_->base && EG_UNLIKELY(impl_->base->epoch != impl_->base_epoch)) refresh_view(*impl_);
  return impl_->grad_fn;
}
bool Tensor::requires_grad() const { return impl_->requires_grad || grad_fn(); }

AutogradMeta& Tensor::meta() const {
  if (!impl_->meta) impl_->meta = std::make_unique<AutogradMeta>();
  return *impl_->meta;
}
Tensor Tensor::grad() const { return impl_->meta ? impl_->meta->grad : Tensor(); }
void Tensor::set_grad(Tensor g) const {
  if (g.defined() || impl_->meta) meta().grad = std::move(g);
}

void Tensor::set_requires_grad(bool on) const {
  if (on == requires_grad() && is_leaf()) return;
  EG_CHECK(is_leaf() || on,
           "you can only change requires_grad flags of leaf variables. If you want to use a "
           "computed variable in a subgraph that doesn't require differentiation use "
           "var_no_grad = var.detach().");
  EG_CHECK(!on || is_floating(), "only Tensors of floating point dtype can require gradients, got ",
           dtype());
  EG_CHECK(!on || !impl_->inference || inference_enabled(),
           "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.");
  if (is_leaf()) impl_->requires_grad = on;
}

}  // namespace eg
