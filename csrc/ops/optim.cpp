#include "ops/optim.h"

#include <cmath>

#include "kernels/optim_rules.h"
#include "ops/registry.h"
#include "tape/node.h"

namespace eg {
namespace {

constexpr OptimNames kNames[kOptimRules] = {
    {"SGD", {}, {}, false},
    {"Adam", {"exp_avg", "exp_avg_sq"}, {}, true},
    {"Adamax", {"exp_avg", "exp_inf"}, {}, true},
    {"NAdam", {"exp_avg", "exp_avg_sq"}, {"mu_product"}, true},
    {"RAdam", {"exp_avg", "exp_avg_sq"}, {}, true},
    {"Adagrad", {"sum"}, {}, true},
    {"Adadelta", {"square_avg", "acc_delta"}, {}, true},
    {"RMSprop", {"square_avg"}, {}, true},
    {"Rprop", {"prev", "step_size"}, {}, true},
    {"ASGD", {"ax"}, {"eta", "mu"}, true},
    {"Lion", {"exp_avg"}, {}, false},
    {"SparseAdam", {"exp_avg", "exp_avg_sq"}, {}, true},
};

// ---- checks
// ---------------------------------------------------------------------------------------

void check_like(const char* rule, const Tensor& param, const Tensor& t, const char* what,
                size_t index) {
  if (EG_LIKELY(t.defined() && t.sizes() == param.sizes() && t.dtype() == param.dtype() &&
                t.device() == param.device()))
    return;
  EG_CHECK(t.defined(), "[", rule, "] parameter ", index, " has no ", what);
  fail(ErrorKind::Runtime, "[", rule, "] expected the ", what, " of parameter ", index,
       " to look like it: ", IntSpan(param.sizes()), " ", param.dtype(), " on ", param.device(),
       ", but got ", IntSpan(t.sizes()), " ", t.dtype(), " on ", t.device());
}

void check_scalar(const char* rule, const Tensor& t, const char* what, Device where, size_t index) {
  EG_CHECK(t.defined() && t.numel() == 1 && t.is_floating() && t.device() == where, "[", rule,
           "] expected `", what, "` of parameter ", index,
           " to be a floating point tensor of one element on ", where,
           t.defined() ? str(", but got ", IntSpan(t.sizes()), " ", t.dtype(), " on ", t.device())
                       : std::string());
}

// Does the device keep the counts?
bool counts_on_device(const OptimParam& p) {
  return p.step.defined() && !p.step.device().is_cpu() && p.step.device() == p.param.device();
}

// Is there a step count?
bool counts(const OptimNames& names, const OptimParam& p) {
  return names.counts || p.row_step.defined();
}

void check_param(const OptimNames& names, const OptimParam& p, size_t index) {
  EG_CHECK(p.param.is_floating(), "[", names.rule, "] parameter ", index,
           " must be floating point, but is ", p.param.dtype());
  if (p.grad.defined()) check_like(names.rule, p.param, p.grad, "gradient", index);
  EG_CHECK(!has_internal_overlap(p.param) && p.param.storage().writable(), "[", names.rule,
           "] parameter ", index, " is read-only or its elements share memory; clone() it first");
  for (int k = 0; k < kOptimStates && names.state[k]; ++k)
    check_like(names.rule, p.param, p.state[k], names.state[k], index);
  const bool there = counts_on_device(p);
  const Device where = there ? p.param.device() : Device{};
  for (int k = 0; k < kOptimScalars && names.scalar[k]; ++k)
    check_scalar(names.rule, p.scalar[k], names.scalar[k], where, index);
  if (counts(names, p)) check_scalar(names.rule, p.step, "step", where, index);
  if (p.lr.defined()) check_scalar(names.rule, p.lr, "lr", p.param.device(), index);
  EG_CHECK((!there && !p.lr.defined()) || (!p.rows && !p.row_step.defined()), "[", names.rule,
           "] parameter ", index,
           " has a row-sparse gradient or rows that lag behind, whose steps the host counts: "
           "capturable=False is needed");
  if (p.row_step.defined())
    EG_CHECK(p.param.dim() > 0 && p.row_step.dtype() == DType::Int64 && p.row_step.dim() == 1 &&
                 p.row_step.sizes()[0] == p.param.sizes()[0] && p.row_step.is_contiguous() &&
                 p.row_step.device() == p.param.device(),
             "[", names.rule, "] expected `row_step` of parameter ", index,
             " to be an int64 vector with one number a row of ", IntSpan(p.param.sizes()),
             ", but got ", IntSpan(p.row_step.sizes()), " ", p.row_step.dtype());
}

// ---- layout
// -----------------------------------------------------------------------------------------

// Every element once and no gaps, in some order of the dimensions.
bool is_dense(const Tensor& t) {
  Dims order;
  for (size_t d = 0; d < t.sizes().size(); ++d)
    if (t.sizes()[d] != 1) order.push_back(static_cast<int64_t>(d));
  std::sort(order.begin(), order.end(),
            [&](int64_t a, int64_t b) { return t.strides()[a] < t.strides()[b]; });
  int64_t expected = 1;
  for (int64_t d : order) {
    if (t.strides()[d] != expected) return false;
    expected *= t.sizes()[d];
  }
  return true;
}

bool same_strides(const Tensor& a, const Tensor& b) {
  for (size_t d = 0; d < a.sizes().size(); ++d)
    if (a.sizes()[d] != 1 && a.strides()[d] != b.strides()[d]) return false;
  return true;
}

// Do all tensors of p hold their elements in the same order, so that loops may run over plain
// memory?
bool flat(const OptimNames& names, const OptimParam& p) {
  const bool by_rows = p.rows || p.row_step.defined();
  bool contiguous = p.param.is_contiguous() && (by_rows || p.grad.is_contiguous());
  for (int k = 0; k < kOptimStates && names.state[k]; ++k)
    contiguous = contiguous && p.state[k].is_contiguous();
  if (EG_LIKELY(contiguous))
    return !by_rows || p.rows || !p.grad.defined() || p.grad.is_contiguous();
  if (by_rows || !is_dense(p.param) || !same_strides(p.param, p.grad)) return false;
  for (int k = 0; k < kOptimStates && names.state[k]; ++k)
    if (!same_strides(p.param, p.state[k])) return false;
  return true;
}

// Row-major stand-ins for tensors in other layouts, and the way back.
class Staging {
 public:
  void* open(const Tensor& t) {
    if (t.is_contiguous()) return t.raw();
    Tensor copy = contiguous_data(t);
    void* data = copy.raw();
    copies_.emplace_back(t, std::move(copy));
    return data;
  }
  const void* read(const Tensor& t) {
    if (t.is_contiguous()) return t.raw();
    inputs_.push_back(contiguous_data(t));
    return inputs_.back().raw();
  }
  void close() {
    for (const auto& [to, from] : copies_) copy_into(to, from);
  }

 private:
  std::vector<std::pair<Tensor, Tensor>> copies_;
  TensorList inputs_;
};

// ---- one-element tensors
// ------------------------------------------------------------------------------

double read(const Tensor& t) {
  if (!t.device().is_cpu()) return t.item().to_double();
  return t.dtype() == DType::Float32 ? *t.data<float>() : t.item().to_double();
}

void write(const Tensor& t, double value) {
  if (EG_LIKELY(t.dtype() == DType::Float32 && t.device().is_cpu())) {
    *t.data<float>() = static_cast<float>(value);
  } else {
    const DeviceScope scope(t.device());
    fill(t, Scalar(value));
  }
  t.storage().mark_written();
}

DeviceNumber number_at(const Tensor& t) { return {t.raw(), t.dtype()}; }

OptimItem make_item(const OptimNames& names, const OptimParam& p, Staging& staging) {
  OptimItem item;
  const bool direct = flat(names, p);
  item.param = direct ? p.param.raw() : staging.open(p.param);
  if (p.rows) {
    item.grad = staging.read(p.rows->values);
  } else if (p.grad.defined()) {
    item.grad = direct ? p.grad.raw() : staging.read(p.grad);
  }
  for (int k = 0; k < kOptimStates && names.state[k]; ++k)
    item.state[k] = direct ? p.state[k].raw() : staging.open(p.state[k]);
  item.size = p.param.numel();
  item.dtype = p.param.dtype();
  item.fresh = p.fresh;
  return item;
}

// Lets the item be worked on by rows where its gradient or its states ask for it.
void go_by_rows(const OptimParam& p, bool lazy, bool updates, OptimItem& item) {
  if (!p.rows && !p.row_step.defined()) return;
  item.rows = p.param.sizes()[0];
  item.width = item.rows > 0 ? item.size / item.rows : 0;
  item.size = 0;
  item.lazy = lazy;
  item.updates = updates;
  if (p.row_step.defined()) item.row_steps = p.row_step.data<int64_t>();
  if (!p.rows) return;
  item.touched = p.rows->rows.data<int64_t>();
  item.touched_rows = p.rows->rows.numel();
}

void mark_written(const OptimNames& names, const OptimParam& p) {
  p.param.storage().mark_written();
  for (int k = 0; k < kOptimStates && names.state[k]; ++k) p.state[k].storage().mark_written();
}

// The same memory twice in one call (a parameter listed twice): updates must follow one another.
bool has_repeats(const OptimItem* items, size_t count) {
  std::vector<const void*> seen;
  for (size_t k = 0; k < count; ++k) seen.push_back(items[k].param);
  std::sort(seen.begin(), seen.end());
  return std::adjacent_find(seen.begin(), seen.end()) != seen.end();
}

void run(OptimRule rule, const OptimOptions& options, OptimItem* items, size_t count) {
  const auto& step = kernels<OptimKernels>().step;
  if (EG_UNLIKELY(count > 1 && has_repeats(items, count))) {
    for (size_t k = 0; k < count; ++k) step(rule, options, items + k, 1);
  } else if (count) {
    step(rule, options, items, static_cast<int64_t>(count));
  }
}

// f(first, one past the last) for each run of parameters on one device, which is the active one meanwhile.
template <class P, class F>
void by_device(const std::vector<P>& all, Device (*of)(const P&), F&& f) {
  for (size_t first = 0, last; first < all.size(); first = last) {
    const DeviceScope scope(of(all[first]));
    for (last = first + 1; last < all.size() && of(all[last]) == active_device;) ++last;
    f(first, last);
  }
}
Device device_of_param(const OptimParam& p) { return p.param.device(); }
Device device_of_tensor(const Tensor& t) { return t.device(); }

}  // namespace

OptimNames optim_names(OptimRule rule, const OptimOptions& options) {
  OptimNames names = kNames[static_cast<int>(rule)];
  if (rule == OptimRule::SGD && options.has_momentum) names.state[0] = "momentum_buffer";
  if (rule == OptimRule::Adam && options.amsgrad) names.state[2] = "max_exp_avg_sq";
  if (rule == OptimRule::RMSprop) {
    int k = 1;
    if (options.has_momentum) names.state[k++] = "momentum_buffer";
    if (options.centered) names.state[k] = "grad_avg";
  }
  return names;
}

OptimRule optim_rule(const char* name) {
  for (int k = 0; k < kOptimRules; ++k)
    if (std::strcmp(kNames[k].rule, name) == 0) return static_cast<OptimRule>(k);
  fail(ErrorKind::Value, "[optimizer_step] there is no rule named ", name);
}

void check_params(const OptimNames& names, const std::vector<OptimParam>& params) {
  for (size_t k = 0; k < params.size(); ++k) check_param(names, params[k], k);
}

bool rows_lag(OptimRule rule, const OptimOptions& options) {
  return optim_rules::visit_rule(rule, options, [&](auto kind) {
    OptimItem item;
    item.step = 2;
    const auto owed = decltype(kind)::template rule<float, double>::fading(options, item, 1);
    bool none = owed.param == 1;
    for (double factor : owed.state) none = none && factor == 1;
    return !none;
  });
}

double next_step(const OptimNames& names, const OptimParam& p) {
  if (!counts(names, p)) return 1;
  const double step = read(p.step) + 1;
  write(p.step, step);
  return step;
}

void optimizer_step(OptimRule rule, const OptimOptions& options, std::vector<OptimParam>& params,
                    bool updates) {
  const OptimNames names = optim_names(rule, options);
  check_params(names, params);
  Staging staging;
  std::vector<OptimItem> items;
  items.reserve(params.size());
  for (const OptimParam& p : params) {
    const DeviceScope scope(p.param.device());
    items.push_back(make_item(names, p, staging));
    OptimItem& item = items.back();
    if (p.lr.defined()) item.rate = number_at(p.lr);
    if (counts_on_device(p)) {
      item.counted = number_at(p.step);
      for (int k = 0; k < kOptimScalars && names.scalar[k]; ++k)
        item.running[k] = number_at(p.scalar[k]);
      continue;
    }
    item.step = updates ? next_step(names, p) : read(p.step) + 1;
    go_by_rows(p, options.lazy || rule == OptimRule::SparseAdam, updates, item);
    for (int k = 0; k < kOptimScalars && names.scalar[k]; ++k) item.scalar[k] = read(p.scalar[k]);
  }
  by_device(params, device_of_param, [&](size_t first, size_t last) {
    run(rule, options, items.data() + first, last - first);
  });
  staging.close();
  for (size_t k = 0; k < params.size(); ++k) {
    mark_written(names, params[k]);
    if (params[k].row_step.defined()) params[k].row_step.storage().mark_written();
    if (counts_on_device(params[k])) {
      params[k].step.storage().mark_written();
      continue;
    }
    for (int j = 0; updates && j < kOptimScalars && names.scalar[j]; ++j)
      write(params[k].scalar[j], items[k].scalar[j]);
  }
}

// ---- norms and scaling
// ------------------------------------------------------------------------------

namespace {

DenseSpan span_of(const Tensor& t) { return {t.raw(), t.numel(), t.dtype()}; }

void check_floating(const char* op, const TensorList& tensors) {
  for (const Tensor& t : tensors)
    EG_CHECK(t.is_floating(), "[", op, "] expected floating point tensors, but got ", t.dtype());
}

// Runs `kernel(spans, count)` over the memory of all tensors, in place.
template <class F>
void rewrite_all(const char* op, const TensorList& tensors, F kernel) {
  check_floating(op, tensors);
  for (const Tensor& t : tensors) check_inplace(t, op);
  std::vector<DenseSpan> spans;
  std::vector<std::pair<Tensor, Tensor>> copies;
  for (const Tensor& t : tensors) {
    const DeviceScope scope(t.device());
    if (t.is_contiguous() || is_dense(t)) {
      spans.push_back(span_of(t));
    } else {
      copies.emplace_back(t, contiguous_data(t));
      spans.push_back(span_of(copies.back().second));
    }
  }
  by_device(tensors, device_of_tensor, [&](size_t first, size_t last) {
    kernel(spans.data() + first, static_cast<int64_t>(last - first));
  });
  for (const auto& [to, from] : copies) copy_into(to, from);
  for (const Tensor& t : tensors) t.storage().mark_written();
}

}  // namespace

Tensor global_norm(const TensorList& tensors, double p) {
  check_floating("global_norm", tensors);
  OpDevice device("global_norm");
  for (const Tensor& t : tensors) device.add(t);
  std::vector<DenseSpan> spans;
  TensorList rows;
  for (const Tensor& t : tensors) {
    rows.push_back(t.is_contiguous() || is_dense(t) ? t : contiguous_data(t));
    spans.push_back(span_of(rows.back()));
  }
  Tensor out = empty({}, tensors.empty() ? default_dtype() : tensors[0].dtype());
  kernels<OptimKernels>().norm(spans.data(), static_cast<int64_t>(spans.size()), p, out.dtype(),
                               out.raw());
  return out;
}

void scale_all_(const TensorList& tensors, double factor) {
  rewrite_all("scale_all_", tensors, [&](const DenseSpan* spans, int64_t count) {
    kernels<OptimKernels>().scale(spans, count, {factor});
  });
}

void limit_norm_(const TensorList& tensors, const Tensor& norm, double largest) {
  EG_CHECK(
      norm.numel() == 1 && norm.is_floating(),
      "[clip_grads_with_norm_] expected total_norm to be one floating point number, got shape ",
      IntSpan(norm.sizes()), " ", norm.dtype());
  rewrite_all("clip_grads_with_norm_", tensors, [&](const DenseSpan* spans, int64_t count) {
    const Tensor here = device_data(norm, active_device);
    kernels<OptimKernels>().scale(spans, count, {largest, here.raw(), here.dtype()});
  });
}

void clamp_all_(const TensorList& tensors, double low, double high) {
  rewrite_all("clamp_all_", tensors, [&](const DenseSpan* spans, int64_t count) {
    kernels<OptimKernels>().clamp(spans, count, low, high);
  });
}

EG_OP(global_norm, "_global_norm(tensors, p=2.0)",
      "The p-norm of all elements of all tensors together.", kInternal)
EG_OP(scale_all_, "_scale_all_(tensors, factor)", "Multiplies every tensor by a number, in place.",
      kInternal)
EG_OP(limit_norm_, "_limit_norm_(tensors, norm, largest)",
      "Multiplies tensors, whose norm together is given, by largest / (norm + 1e-6) where that is "
      "below 1, in place.",
      kInternal)
EG_OP(clamp_all_, "_clamp_all_(tensors, low, high)",
      "Limits the elements of every tensor to [low, high], in place.", kInternal)

}  // namespace eg
