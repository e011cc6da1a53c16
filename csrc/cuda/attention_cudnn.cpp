#include "cuda/attention_cudnn.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "cuda/launch.h"

namespace eg::cuda {
namespace {

// Python's, and so never destroyed.
AttentionPlanner& planner = *new AttentionPlanner;
std::function<void(const std::string&)>& warn = *new std::function<void(const std::string&)>;
std::atomic<bool> enabled{true}, only{false}, told{false};

// A plan costs a compilation: shapes that come once or twice are not worth it, nor are more than so many.
constexpr int kTimesBefore = 3;
constexpr size_t kMostPlans = 256;
// Results without a finite number but zero prove nothing.
constexpr int kMostTries = 8;

// --- the matrices of a pass ------------------------------------------------------------------------------------------

struct Operand {
  HeadMatrix matrix;
  int64_t heads, rows, width;
  DType dtype;
  bool written;

  int64_t last(int64_t batch) const {
    return (batch - 1) * matrix.batch + (heads - 1) * matrix.head + (rows - 1) * matrix.row + width;
  }
};
using Operands = std::vector<Operand>;

Operand of(const AttentionShape& s, HeadMatrix m, bool of_query, bool of_value, bool written) {
  return {m,
          of_query ? s.heads : s.kv_heads,
          of_query ? s.queries : s.keys,
          of_value ? s.value_width : s.width,
          s.dtype,
          written};
}
Operand row_sums(const AttentionShape& s, const void* lse, bool written) {
  const HeadMatrix m{const_cast<void*>(lse), s.heads * s.queries, s.queries, 1};
  return {m, s.heads, s.queries, 1, DType::Float32, written};
}

Operands operands(const AttentionShape& s, const AttentionForward& on) {
  Operands all{of(s, on.q, true, false, false), of(s, on.k, false, false, false),
               of(s, on.v, false, true, false), of(s, on.out, true, true, true)};
  if (on.lse) all.push_back(row_sums(s, on.lse, true));
  return all;
}
Operands operands(const AttentionShape& s, const AttentionBackward& on) {
  return {of(s, on.q, true, false, false), of(s, on.k, false, false, false),
          of(s, on.v, false, true, false), of(s, on.out, true, true, false),
          of(s, on.g, true, true, false),  row_sums(s, on.lse, false),
          of(s, on.dq, true, false, true), of(s, on.dk, false, false, true),
          of(s, on.dv, false, true, true)};
}

// Strides of dimensions with one element are whatever they are: cuDNN gets one that fits.
void settle(const AttentionShape& s, Operand& o) {
  HeadMatrix& m = o.matrix;
  if (o.rows == 1) m.row = o.width;
  if (o.heads == 1) m.head = o.rows * m.row;
  if (s.batch == 1) m.batch = std::max(o.heads * m.head, o.rows * m.row);
}

// cuDNN loads 16 bytes at a time, and reads no memory for several elements.
bool is_aligned(const Operand& o) {
  if (o.dtype == DType::Float32) return true;
  for (const int64_t stride : {o.matrix.batch, o.matrix.head, o.matrix.row})
    if (stride <= 0 || stride % 8 != 0) return false;
  return o.width % 8 == 0 && reinterpret_cast<uintptr_t>(o.matrix.data) % 16 == 0;
}

// --- plans, by what they are for --------------------------------------------------------------------------------------

enum State { kNew, kUnproven, kReady, kRefused };
struct Entry {
  std::atomic<int> state{kNew};
  std::mutex mutex;  // of what follows, until the plan is ready
  int asked = 0, tries = 0;
  AttentionPlan plan;
};
using EntryRef = std::shared_ptr<Entry>;

using Key = std::vector<int64_t>;
Key key_of(const AttentionRequest& r) {
  const AttentionShape& s = r.shape;
  int64_t scale;
  std::memcpy(&scale, &s.scale, sizeof(scale));
  Key key{r.device,  r.backward, int64_t(s.dtype), s.batch,       s.heads, s.kv_heads,
          s.queries, s.keys,     s.width,          s.value_width, scale,   s.causal};
  key.insert(key.end(), r.strides.begin(), r.strides.end());
  return key;
}

std::mutex& entries_mutex() {
  static auto* m = new std::mutex;
  return *m;
}
std::map<Key, EntryRef>& entries() {
  static auto* all = new std::map<Key, EntryRef>;
  return *all;
}
size_t plans_made = 0;

EntryRef entry_of(const AttentionRequest& r) {
  const std::lock_guard<std::mutex> lock(entries_mutex());
  if (entries().size() >= 4096) entries().clear(), plans_made = 0;  // shapes that change for ever
  EntryRef& e = entries()[key_of(r)];
  if (!e) e = std::make_shared<Entry>();
  return e;
}

// --- proof ------------------------------------------------------------------------------------------------------------

std::vector<float> numbers(const Operand& o, int64_t batch, const void* device) {
  const int64_t n = o.last(batch);
  std::vector<char> raw(n * item_size(o.dtype));
  download(raw.data(), device, raw.size());
  std::vector<float> all;
  all.reserve(batch * o.heads * o.rows * o.width);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < o.heads; ++h)
      for (int64_t r = 0; r < o.rows; ++r)
        for (int64_t c = 0; c < o.width; ++c) {
          const int64_t i = b * o.matrix.batch + h * o.matrix.head + r * o.matrix.row + c;
          const char* const p = raw.data() + i * item_size(o.dtype);
          all.push_back(o.dtype == DType::Float16 ? to_float(*reinterpret_cast<const Half*>(p))
                        : o.dtype == DType::BFloat16
                            ? to_float(*reinterpret_cast<const BFloat16*>(p))
                            : *reinterpret_cast<const float*>(p));
        }
  return all;
}

// How many batch entries are compared: not all of results that would fill the host's memory.
int64_t compared(const Operand& o, int64_t batch) {
  constexpr int64_t kMost = int64_t(1) << 24;
  return std::clamp<int64_t>(kMost / (o.heads * o.rows * o.width), 1, batch);
}

enum Verdict { kSame, kDifferent, kUndecided };
// Both round what they multiply to halves, in other places: a few units of the largest number are no difference.
Verdict compare(const Operand& o, const std::vector<float>& ours,
                const std::vector<float>& theirs) {
  const float unit = o.dtype == DType::Float16 ? 1.0f / 2048 : 1.0f / 256;
  float largest = o.dtype == DType::Float32 ? 1 : 0;
  for (const float x : ours) {
    if (!std::isfinite(x)) return kUndecided;
    largest = std::max(largest, std::fabs(x));
  }
  if (largest == 0) return kUndecided;
  for (size_t i = 0; i < ours.size(); ++i)
    if (!(std::fabs(ours[i] - theirs[i]) <= 32 * unit * largest)) return kDifferent;
  return kSame;
}

std::string described(const AttentionRequest& r) {
  const AttentionShape& s = r.shape;
  const auto sizes = [&](int64_t heads, int64_t rows, int64_t width) {
    return str("[", s.batch, ", ", heads, ", ", rows, ", ", width, "]");
  };
  return str(s.dtype, " query ", sizes(s.heads, s.queries, s.width), ", key ",
             sizes(s.kv_heads, s.keys, s.width), ", value ",
             sizes(s.kv_heads, s.keys, s.value_width), s.causal ? ", causal" : "",
             r.backward ? ", backward" : ", forward");
}

// False: it failed, and is not used again.
bool execute(Entry& e, const AttentionRequest& r, const std::vector<const void*>& matrices) {
  const Scratch workspace(std::max<size_t>(e.plan.workspace, 1));
  const std::string error = e.plan.run(matrices, workspace.get(), stream_of(r.device));
  if (error.empty()) return true;
  e.state = kRefused;
  warn(str("[scaled_dot_product_attention] cuDNN failed, and is not used for this again (",
           described(r), "): ", error));
  return false;
}

// Results are ours; cuDNN's go to memory of their own, and decide whether it computes the next ones.
void prove(Entry& e, const AttentionRequest& r, const Operands& all,
           const std::function<void()>& own) {
  own();
  const int64_t batch = r.shape.batch;
  std::vector<Scratch> results;
  std::vector<const void*> matrices;
  for (const Operand& o : all) {
    if (o.written) results.emplace_back(o.last(batch) * item_size(o.dtype));
    matrices.push_back(o.written ? results.back().get() : o.matrix.data);
  }
  if (!execute(e, r, matrices)) return;
  bool decided = true;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!all[i].written) continue;
    const int64_t some = compared(all[i], batch);
    const Verdict v = compare(all[i], numbers(all[i], some, all[i].matrix.data),
                              numbers(all[i], some, matrices[i]));
    if (v == kDifferent) {
      e.state = kRefused;
      return warn(
          "[scaled_dot_product_attention] cuDNN's result is not that of eagergrad's own kernel, "
          "which is used instead: " +
          described(r));
    }
    decided = decided && v == kSame;
  }
  if (decided)
    e.state = kReady;
  else if (++e.tries >= kMostTries)
    e.state = kRefused;
}

// Makes the plan if it is time to.
void make_plan(Entry& e, const AttentionRequest& r) {
  if (++e.asked < kTimesBefore && !only) return;
  {
    const std::lock_guard<std::mutex> lock(entries_mutex());
    if (plans_made >= kMostPlans) return void(e.state = kRefused);
    ++plans_made;
  }
  std::optional<AttentionPlan> made = planner(r);
  if (made) e.plan = std::move(*made);
  e.state = made ? kUnproven : kRefused;
}

bool declined(const char* reason) {
  if (only && warn && !told.exchange(true))
    warn(str("[scaled_dot_product_attention] no attention but cuDNN's is allowed here, and ",
             reason, ": eagergrad's own kernel is used"));
  return false;
}

bool by_cudnn(AttentionRequest r, Operands all, const std::function<void()>& own) {
  for (Operand& o : all) {
    settle(r.shape, o);
    if (!is_aligned(o))
      return declined("it takes rows of a multiple of 8 elements at multiples of 16 bytes");
    r.strides.insert(r.strides.end(), {o.matrix.batch, o.matrix.head, o.matrix.row});
  }
  const EntryRef e = entry_of(r);
  if (e->state == kReady) {
    std::vector<const void*> matrices;
    for (const Operand& o : all) matrices.push_back(o.matrix.data);
    if (execute(*e, r, matrices)) return true;
  }
  if (e->state == kRefused) return declined("it does not take these inputs");
  // Nothing is compiled, and nothing waited for, while a graph is captured.
  if (capturing()) return declined("its plan would have to be made during a capture");
  const std::unique_lock<std::mutex> lock(e->mutex, std::try_to_lock);
  if (!lock) return false;
  if (e->state == kNew) make_plan(*e, r);
  if (e->state == kRefused) return declined("it does not take these inputs");
  if (e->state != kUnproven) return false;
  prove(*e, r, all, own);
  return true;
}

template <class Pass>
bool ask(const AttentionShape& s, const AttentionMask& mask, const Pass& on, bool backward,
         const std::function<void()>& own) {
  if (!enabled) return false;
  if (!planner) return declined("the package nvidia-cudnn-frontend is not installed");
  if (!is_reduced(s.dtype)) return declined("it takes float16 and bfloat16");
  if (driver().capability < 80) return declined("it needs a GPU from sm_80 on");
  // What it makes of a row that sees nothing is not known.
  if (mask.data) return declined("masks are left to eagergrad's own kernel");
  return by_cudnn({active_device.index, backward, s, {}}, operands(s, on), own);
}

}  // namespace

void set_attention_planner(AttentionPlanner plan, std::function<void(const std::string&)> show) {
  const std::lock_guard<std::mutex> lock(entries_mutex());
  planner = std::move(plan);
  warn = std::move(show);
  entries().clear();
  plans_made = 0;
}

void set_cudnn_attention(bool is_enabled, bool is_only) {
  enabled = is_enabled;
  only = is_only;
  told = false;
}
bool only_cudnn_attention() { return enabled && only; }

bool cudnn_attention(const AttentionShape& s, const AttentionMask& mask, const AttentionForward& on,
                     const std::function<void()>& own) {
  return ask(s, mask, on, false, own);
}

bool cudnn_attention(const AttentionShape& s, const AttentionMask& mask,
                     const AttentionBackward& on, const std::function<void()>& own) {
  // It always computes the three of them.
  if (!on.dq.data || !on.dk.data || !on.dv.data) return false;
  return ask(s, mask, on, true, own);
}

}  // namespace eg::cuda
