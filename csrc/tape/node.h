// One recorded operation: where its inputs came from, what it kept, and how gradients pass through it.
#pragma once

#include <string>
#include <utility>

#include "core/tensor.h"

namespace eg {

// --- recording modes, per thread -------------------------------------------------------------------------
extern __thread bool grad_mode EG_TLS_MODEL;
extern __thread bool inference_mode EG_TLS_MODEL;
inline bool grad_enabled() { return grad_mode; }
inline bool inference_enabled() { return inference_mode; }

class GradMode {
 public:
  explicit GradMode(bool on) : before_(grad_mode) { grad_mode = on; }
  ~GradMode() { grad_mode = before_; }
  GradMode(const GradMode&) = delete;

 private:
  bool before_;
};

// Something a user attached: called with a gradient, may return another (undefined: keep it).
struct Hook : Counted {
  virtual Tensor call(const Tensor& grad) = 0;
};
using Hooks = std::vector<Ref<Hook>>;

class Node;
struct AutogradMeta {
  Tensor grad;
  Hooks hooks;                  // of a leaf; other tensors' hooks are on their node
  Hooks post_accumulate_hooks;  // called with the leaf itself after its grad was set
  Ref<Node> accumulator;        // it knows the leaf, without owning it
  bool retain_grad = false;
  std::string name;
};

struct Edge {
  Ref<Node> node;  // null: no gradient wanted
  uint32_t nr = 0;
};

// What the gradient of an output must look like. The engine sums broadcast dimensions and casts to it.
struct OutputMeta {
  Dims sizes;
  DType dtype;
  Device device;
};

// What a user's hooks made of a saved tensor, and what it takes to put it back on the tape.
struct PackedTensor : Counted {
  virtual Tensor unpack() = 0;
  Edge edge;           // an input's place on the tape
  OutputMeta meta;     // what unpack must give
  const void* source;  // the tensor it was made of, compared with the node's outputs
};
// In force while a user's `saved_tensors_hooks` is entered.
struct SavedTensorHooks : Counted {
  virtual Ref<PackedTensor> pack(const Tensor& t) = 0;
};
// This thread's innermost ones, or null.
SavedTensorHooks* saved_tensor_hooks();
void push_saved_tensor_hooks(Ref<SavedTensorHooks> hooks);
void pop_saved_tensor_hooks();

struct SavedTensor {
  Tensor tensor;             // no history if it is an output: it would hold its own node
  Ref<PackedTensor> packed;  // in the place of tensor, if hooks were in force
  uint32_t version = 0;
  int32_t output_nr = -1;  // which output of the node it is; -1: an input or a constant
};

class Context;

class Node : public Counted {
 public:
  Node();
  struct LeafTag {};
  explicit Node(LeafTag);  // number 0: after everything else in a backward; no line of its own
  ~Node() override;

  virtual std::string name() const = 0;  // "Tanh", or a whole title: "SumBackward1"
  // What users see, PyTorch's name of the step: name() + "Backward0" unless there is a whole title.
  virtual std::string title() const;
  // Gradients of the outputs in (undefined: zero), gradients of the inputs out (undefined: zero).
  virtual Tensors backward(Context& ctx, const Tensors& grads) = 0;
  // Drops what was saved, after a backward without retain_graph.
  virtual void release_saved();

  // Takes the input's place on the tape into edges; true if it needs a gradient.
  bool add_input(const Tensor& t);
  void save(const Tensor& t);
  // Raises with the lines that saved and wrote if the memory was written since.
  Tensor saved_tensor(size_t i);
  // Makes t the next output of this node. The last one takes over its maker's reference.
  void add_output(const Tensor& t);
  static void add_last_output(Ref<Node> node, const Tensor& t);
  void pack_saved();

  uint64_t sequence;            // creation order: the engine walks it backwards
  Site site;                    // the user's line
  const char* shown = nullptr;  // the title that named() gave
  SmallVec<Edge, 2> edges;
  SmallVec<OutputMeta, 1> outputs;
  SmallVec<SavedTensor, 2> saved;
  bool released = false;  // what it had saved is gone
  bool walked = false;    // by a backward that freed the graph; it may have had nothing to save
  uint32_t noted = 0;     // place in a list, from 1: Note [Graphs that grow]
  Site released_by;       // the line of the backward that freed it

  struct OutputHook {
    uint32_t nr;
    Ref<Hook> hook;
  };
  std::vector<OutputHook> hooks;         // on gradients of outputs, before backward
  std::vector<OutputHook> retain_hooks;  // retain_grad: after all hooks
  // On the node itself: before backward sees the gradients, after it the results.
  struct NodeHook : Counted {
    virtual void call(Tensors& grads_out, const Tensors* grads_in) = 0;
  };
  std::vector<Ref<NodeHook>> pre_hooks, post_hooks;

  // Engine's notes of the run in progress.
  uint64_t run = 0;
  uint32_t slot = 0;

  // Destruction of a long chain must not recurse.
  void destroy() override;

 private:
  // False if nothing flows to this output.
  bool describe_output(const Tensor& t);
};

// What forward and backward of an op see of the tape.
class Context {
 public:
  Context() = default;
  explicit Context(Node* node, Tensor* const* accumulators = nullptr, const bool* wanted = nullptr)
      : node_(node), accumulators_(accumulators), wanted_(wanted) {}

  // forward: is a node being made at all?
  bool recording() const { return node_ != nullptr; }
  // forward: keep t for backward. Inputs and outputs alike.
  void save(const Tensor& t) {
    if (node_) node_->save(t);
  }
  // forward and backward: is the gradient of (flattened) input i wanted? A backward that is asked for the gradients of some
  // tensors alone wants fewer than forward could tell, so what forward saved must not be counted by this, but by is_recorded().
  bool needs(size_t i) const { return is_recorded(i) && (!wanted_ || wanted_[i]); }
  bool is_recorded(size_t i) const { return node_ && static_cast<bool>(node_->edges[i].node); }
  // backward: what save() kept, in order.
  Tensor saved(size_t i) const { return node_->saved_tensor(i); }
  // backward: a buffer the engine owns that already holds part of input i's gradient, or null. An op may add
  // to it in place (matmul with beta = 1) and return accumulated() for that input.
  Tensor* accumulator(size_t i) const { return accumulators_ ? accumulators_[i] : nullptr; }
  static const Tensor& accumulated();  // a mark: the gradient is in the buffer already
  Node* node() const { return node_; }

 private:
  Node* node_ = nullptr;
  Tensor* const* accumulators_ = nullptr;
  const bool* wanted_ = nullptr;
};

// y, the result of a composition, under the title by which PyTorch's users know the op. y must be new: made by the
// composition's last step.
Tensor named(Tensor y, const char* title);

// The node to which a tensor's gradient flows (its grad_fn, or the accumulator of a leaf), or null.
Edge gradient_edge(const Tensor& t);
// Adds gradients into .grad of its tensor.
Ref<Node> accumulator_of(const Tensor& leaf);
inline bool is_accumulator(const Node& node) { return node.sequence == 0; }
// The leaf of an accumulator node; undefined for other nodes and for a leaf that is gone.
Tensor accumulated_variable(const Node& node);

// Called with a tensor that is about to be written in place, by this thread. Null: nothing.
extern __thread void (*before_inplace_write)(const Tensor& t) EG_TLS_MODEL;

// --- in-place writes ----------------------------------------------------------------------------------------
// (The four below are in ops/inplace.cpp, since a rewritten history is made of ops.)
// Call before the write: raises if t is a leaf that requires grad (in grad mode), is read-only or overlaps itself.
void check_inplace(const Tensor& t, const char* op);
// The value of t was replaced in place by what `value` computed (recorded or not): t takes value's history, a view's base
// too. The version is bumped. Call after the write; shapes are equal.
void rewrite_history(const Tensor& t, const Tensor& value);
// t = value in place, data and history: value is broadcast and cast to t.
void assign(const Tensor& t, const Tensor& value);
// View ops call this on their result: remembers the root so that in-place writes reach it.
void mark_view(const Tensor& view, const Tensor& of);

}  // namespace eg
