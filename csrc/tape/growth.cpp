#include "tape/growth.h"

#include <algorithm>
#include <atomic>
#include <mutex>

namespace eg {

__thread int64_t live_nodes EG_TLS_MODEL = 0;
__thread bool noting_nodes EG_TLS_MODEL = false;

namespace {

constexpr int kWindow = 32;                             // steps
constexpr int kHeights = 4;                             // new ones in a row, before nodes are noted
constexpr int kEnough = kNotedSteps - kNotedSteps / 4;  // steps that have dead nodes

std::atomic<bool> watch{true};

// The nodes that one thread made since it began to note them. At most one such list exists.
struct Notes {
  struct Noted {
    Node* node;  // null once it is destroyed
    int step;
  };
  std::vector<Noted> nodes;
  int step = 0;
  int64_t live_before = 0, grown = 0;

  // Its place from 1, or 0: a node may be of an earlier list.
  uint32_t place_of(const Node* node) const {
    const uint32_t at = node ? node->noted : 0;
    return at && at <= nodes.size() && nodes[at - 1].node == node ? at : 0;
  }
};
std::mutex& notes_lock() {
  static auto* m = new std::mutex;
  return *m;
}
Notes* notes = nullptr;

bool begin_notes() {
  const std::lock_guard<std::mutex> lock(notes_lock());
  if (notes) return false;  // another thread's
  notes = new Notes;
  notes->live_before = live_nodes;
  return noting_nodes = true;
}
std::unique_ptr<Notes> end_notes() {
  noting_nodes = false;
  const std::lock_guard<std::mutex> lock(notes_lock());
  return std::unique_ptr<Notes>(std::exchange(notes, nullptr));
}

// How the count of this thread went so far.
struct Trend {
  uint32_t steps = 0;
  int64_t height = 0;
  int heights = 0, wanted = kHeights;
  ~Trend() {
    if (noting_nodes) end_notes();
  }
};
thread_local Trend trend;

// No backward can pass it any more.
bool is_dead(const Node& node) {
  if (node.released) return true;
  return std::any_of(node.saved.begin(), node.saved.end(), [](const SavedTensor& s) {
    return s.tensor.defined() && s.tensor->storage && s.tensor.storage().version() != s.version;
  });
}

using StepSet = uint64_t;
static_assert(kNotedSteps == 64, "a set of steps is a word");

std::vector<Keeper> keepers_among(const Notes& seen) {
  std::vector<StepSet> kept(seen.nodes.size());
  std::vector<bool> inner(seen.nodes.size());  // another node took its result
  for (size_t i = 0; i < kept.size(); ++i) {
    const Node* const node = seen.nodes[i].node;
    if (!node) continue;
    if (is_dead(*node)) kept[i] = StepSet(1) << seen.nodes[i].step;
    for (const Edge& e : node->edges)
      if (const uint32_t at = seen.place_of(e.node.get())) {
        kept[i] |= kept[at - 1];
        inner[at - 1] = true;
      }
  }
  std::vector<Keeper> found;
  std::vector<StepSet> steps;
  for (size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i] || inner[i]) continue;
    const Node& node = *seen.nodes[i].node;
    size_t k = 0;
    while (k < found.size() && (found[k].site.code() != node.site.code() ||
                                found[k].site.instruction() != node.site.instruction()))
      ++k;
    if (k == found.size()) {
      const Dims sizes = node.outputs.empty() ? Dims() : node.outputs[0].sizes;
      found.push_back({node.site, node.title(), sizes, 0, 0});
      steps.push_back(0);
    }
    ++found[k].tensors;
    found[k].steps = __builtin_popcountll(steps[k] |= kept[i]);
  }
  return found;
}

}  // namespace

void note_node(Node& node) noexcept {
  const std::lock_guard<std::mutex> lock(notes_lock());
  try {
    notes->nodes.push_back({&node, notes->step});
  } catch (const std::bad_alloc&) {
    return;  // the node is not seen
  }
  node.noted = static_cast<uint32_t>(notes->nodes.size());
}
void forget_node(Node& node) noexcept {
  const std::lock_guard<std::mutex> lock(notes_lock());
  const uint32_t at = notes ? notes->place_of(&node) : 0;
  if (at) notes->nodes[at - 1].node = nullptr;
}

void watch_growth(bool on) {
  watch = on;
  if (noting_nodes) end_notes();
  trend = Trend();
}

bool count_optimizer_step() {
  if (!watch) return false;
  if (noting_nodes) {
    if (notes->step + 1 < kNotedSteps) return ++notes->step, false;
    notes->grown =
        live_nodes - notes->live_before;  // garbage of other threads may be collected next
    return true;
  }
  if (++trend.steps % kWindow) return false;
  const bool higher = live_nodes >= trend.height + kWindow;
  trend.heights = higher ? trend.heights + 1 : 0;
  trend.height = std::max(trend.height, live_nodes);
  if (trend.heights >= trend.wanted && begin_notes()) trend.heights = 0;
  return false;
}

std::vector<Keeper> graph_keepers() {
  if (!noting_nodes) return {};
  const std::unique_ptr<Notes> seen = end_notes();
  StepSet dead = 0;
  int64_t alive = 0;
  for (const auto& [node, step] : seen->nodes) {
    alive += node != nullptr;
    if (node && is_dead(*node)) dead |= StepSet(1) << step;
  }
  const bool stays = 4 * seen->grown >= 3 * alive;
  if (__builtin_popcountll(dead) >= kEnough && stays) return keepers_among(*seen);
  // Another kind of growth: look at it again later, and less and less often.
  trend.wanted *= 2;
  trend.height = std::max(trend.height, live_nodes);
  return {};
}

}  // namespace eg
