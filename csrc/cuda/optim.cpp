// Launches the kernels of eagergrad/cuda/optim.cu: one for all parameters of a type.
#include "kernels/optim.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cuda/launch.h"
#include "cuda/optim_layouts.h"
#include "kernels/optim_rules.h"

namespace eg {
namespace {

constexpr const char* kFile = "optim.cu";
constexpr int kThreads = 256;

// Entries of the tensors that one launch works on.
template <class Entry>
class Table {
 public:
  void add(Entry e) {
    if (e.size == 0) return;
    e.first_block = blocks_;
    blocks_ += (e.size + kOptimChunk - 1) / kOptimChunk;
    entries_.push_back(e);
  }
  int64_t blocks() const { return blocks_; }
  bool empty() const { return entries_.empty(); }
  int count() const { return int(entries_.size()); }
  cuda::Grid grid() const { return cuda::Grid(blocks_, kThreads); }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
  int64_t blocks_ = 0;
};
template <class T>
cuda::Uploaded uploaded(const std::vector<T>& all) {
  return cuda::Uploaded(all.data(), all.size() * sizeof(T));
}

// A kernel for one rule and one type.
enum Part { kDense, kRows, kCount };
template <class Kind>
void* rule_kernel(Part part, DType type) {
  constexpr const char* names[] = {"step_dense", "step_rows", "count_steps"};
  const uint64_t key =
      reinterpret_cast<uint64_t>(Kind::name) ^ uint64_t(type) << 56 ^ uint64_t(part) << 60;
  return cuda::kernel(kFile, key, [&] {
    return str("eg::", names[part], "<eg::optim_rules::", Kind::name, ", ", cuda::type_name(type),
               ">");
  });
}

// Does the device make the rule, of numbers that it keeps?
bool made_there(const OptimItem& item) { return item.counted.data || item.rate.data; }

template <class Kind, class T>
void step_dense(DType type, const OptimOptions& options, const OptimItem* items, int64_t count) {
  using Rule = typename Kind::template rule<T, double>;
  static_assert(sizeof(Rule) <= size_t(kRuleBytes) && std::is_trivially_copyable_v<Rule>);
  Table<OptimEntry> table;
  std::vector<RuleEntry> rules;  // nearly always one
  std::vector<CountEntry> counts;
  for (int64_t k = 0; k < count; ++k) {
    const OptimItem& item = items[k];
    if (item.dtype != type || item.size == 0) continue;
    RuleEntry rule = {};
    if (made_there(item)) {
      counts.push_back({item.counted,
                        {item.running[0], item.running[1]},
                        item.rate,
                        item.step,
                        {item.scalar[0], item.scalar[1]},
                        int64_t(rules.size()),
                        item.fresh});
      rules.push_back(rule);
    } else {
      const Rule made(options, item);
      std::memcpy(rule.bytes, &made, sizeof(Rule));
      if (rules.empty() || std::memcmp(rules.back().bytes, rule.bytes, kRuleBytes) != 0)
        rules.push_back(rule);
    }
    table.add({item.param,
               item.grad,
               {item.state[0], item.state[1], item.state[2]},
               item.size,
               0,
               int64_t(rules.size()) - 1});
  }
  if (table.empty()) return;
  const cuda::Uploaded entries = uploaded(table.entries()), all_rules = uploaded(rules);
  if (!counts.empty()) {
    const cuda::Uploaded there = uploaded(counts);
    cuda::launch(rule_kernel<Kind>(kCount, type), cuda::elements(int64_t(counts.size()), 1, 64),
                 there.get<CountEntry>(), int(counts.size()), options,
                 const_cast<RuleEntry*>(all_rules.template get<RuleEntry>()));
  }
  cuda::launch(rule_kernel<Kind>(kDense, type), table.grid(), entries.template get<OptimEntry>(),
               table.count(), all_rules.template get<RuleEntry>());
}

template <class Kind, class T>
void step_rows(const OptimOptions& options, const OptimItem& item) {
  const int64_t units = item.lazy && item.touched ? item.touched_rows : item.rows;
  if (units == 0 || item.width == 0) return;
  const typename Kind::template rule<T, double> rule(options, item);
  cuda::launch(rule_kernel<Kind>(kRows, item.dtype),
               cuda::Grid(std::min<int64_t>(units, 1 << 20), item.width <= 64 ? 64 : 256), rule,
               options, item);
}

// Rules whose arithmetic is the same at every step; the others count steps on the host.
bool repeats(OptimRule rule, const OptimOptions& options) {
  switch (rule) {
    case OptimRule::SGD:
    case OptimRule::RMSprop:
    case OptimRule::Adadelta:
    case OptimRule::Rprop:
    case OptimRule::Lion:
      return true;
    case OptimRule::Adagrad:
      return options.lr_decay == 0;
    default:
      return false;
  }
}

void step(OptimRule rule, const OptimOptions& options, OptimItem* items, int64_t count) {
  const bool counted =
      std::all_of(items, items + count, [](const OptimItem& item) { return item.counted.data; });
  EG_CHECK(!cuda::capturing() || repeats(rule, options) || counted,
           "this optimizer's step depends on its number, which a captured graph would repeat: make "
           "it with capturable=True, or call step() outside the graph");
  optim_rules::visit_rule(rule, options, [&](auto kind) {
    using Kind = decltype(kind);
    if (!counted)
      optim_rules::prepare_all(&Kind::template rule<float, double>::prepare, options, items, count);
    for (DType type : {DType::Float16, DType::BFloat16, DType::Float32})
      step_dense<Kind, float>(type, options, items, count);
    step_dense<Kind, double>(DType::Float64, options, items, count);
    for (int64_t k = 0; k < count; ++k) {
      if (items[k].rows == 0) continue;
      if (items[k].dtype == DType::Float64) {
        step_rows<Kind, double>(options, items[k]);
      } else {
        step_rows<Kind, float>(options, items[k]);
      }
    }
  });
}

// --- norms, scaling -------------------------------------------------------------------------------------------------

Table<SpanEntry> table_of(const DenseSpan* spans, int64_t count) {
  Table<SpanEntry> table;
  for (int64_t k = 0; k < count; ++k) table.add({spans[k].data, spans[k].size, 0, spans[k].dtype});
  return table;
}

void norm(const DenseSpan* spans, int64_t count, double p, DType type, void* out) {
  const int kind = p == 2 ? 0 : p == 1 ? 1 : std::isinf(p) ? (p > 0 ? 2 : 3) : p == 0 ? 4 : 5;
  const Table<SpanEntry> table = table_of(spans, count);
  const cuda::Scratch partial(size_t(std::max<int64_t>(table.blocks(), 1)) * sizeof(double));
  if (!table.empty()) {
    const cuda::Uploaded entries = uploaded(table.entries());
    cuda::launch(cuda::kernel(kFile, "eg::norm_chunks", {kind}), table.grid(),
                 entries.get<SpanEntry>(), table.count(), p, partial.get<double>());
  }
  cuda::launch(cuda::kernel(kFile, "eg::norm_total", {kind}), cuda::Grid(1, 1024),
               static_cast<const double*>(partial.get<double>()), table.blocks(), p, int(type),
               out);
}
void scale(const DenseSpan* spans, int64_t count, const ScaleFactor& by) {
  const Table<SpanEntry> table = table_of(spans, count);
  if (table.empty()) return;
  const cuda::Uploaded entries = uploaded(table.entries());
  cuda::launch(cuda::kernel(kFile, "eg::scale"), table.grid(), entries.get<SpanEntry>(),
               table.count(), by.value, by.norm, int(by.norm_type));
}
void clamp(const DenseSpan* spans, int64_t count, double low, double high) {
  const Table<SpanEntry> table = table_of(spans, count);
  if (table.empty()) return;
  const cuda::Uploaded entries = uploaded(table.entries());
  cuda::launch(cuda::kernel(kFile, "eg::clamp"), table.grid(), entries.get<SpanEntry>(),
               table.count(), low, high);
}

}  // namespace

EG_CUDA_KERNELS(OptimKernels, {&step, &norm, &scale, &clamp})

}  // namespace eg
