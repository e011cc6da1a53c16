#include "ops/indexing.h"

#include "ops/copy.h"
#include "ops/creation.h"
#include "ops/index.h"

namespace eg {
namespace {

using Kind = IndexItem::Kind;

bool is_mask(const Tensor& t) { return t.dtype() == DType::Bool || t.dtype() == DType::UInt8; }

// Basic items as one view, index tensors for what is left to do on it (empty: nothing).
struct Subscript {
  Region region;
  TensorList indices;
  bool changes = false;             // the view is not simply x
  ViewKind last = ViewKind::Alias;  // what PyTorch, which takes a step for each item, would do last
};

int64_t dims_taken(const IndexItem& item) {
  switch (item.kind) {
    case Kind::Int:
    case Kind::Slice:
      return 1;
    case Kind::Tensor:
      return is_mask(item.t) ? item.t.dim() : 1;
    default:
      return 0;
  }
}

class Translator {
 public:
  Translator(const Tensor& x, Subscript& out) : x_(x), out_(out) {}

  void run(const IndexItems& items) {
    int64_t taken = 0;
    alone_ = items.size() == 1;
    for (const IndexItem& item : items) {
      taken += dims_taken(item);
      if (item.kind == Kind::Tensor || item.kind == Kind::Bool) advanced_ = true;
    }
    EG_CHECK_INDEX(taken <= x_.dim(), "too many indices for tensor of dimension ", x_.dim(),
                   ": got ", taken, " for shape ", x_.sizes());
    int64_t open = x_.dim() - taken;  // dimensions that an ellipsis stands for
    for (const IndexItem& item : items) {
      if (item.kind == Kind::Ellipsis) {
        for (; open > 0; --open) whole();
      } else {
        add(item);
      }
    }
    while (dim_ < x_.dim()) whole();
  }

 private:
  void push(Axis axis) {
    out_.region.axes.push_back(axis);
    if (advanced_) out_.indices.emplace_back();
  }
  void whole() {
    push({x_.sizes()[dim_], 1, static_cast<int32_t>(dim_), -1});
    ++dim_;
  }
  void integer(int64_t i) {
    const int64_t size = x_.sizes()[dim_];
    EG_CHECK_INDEX(i >= -size && i < size, "index ", i, " is out of bounds for dimension ", dim_,
                   " with size ", size);
    out_.region.start[dim_++] = i < 0 ? i + size : i;
    becomes(ViewKind::Select);
  }
  void becomes(ViewKind kind) {
    out_.changes = true;
    out_.last = kind;
  }
  void flag(bool on) {  // a new dimension of size 1, kept or dropped
    push(Axis{});
    out_.indices.back() = on ? zeros({1}, DType::Int64) : empty({0}, DType::Int64);
    out_.changes = true;
  }
  void tensor(const Tensor& t) {
    if (t.dim() == 0) {
      if (t.dtype() == DType::Bool || t.dtype() == DType::UInt8) return flag(t.item().to_bool());
      if (is_integral(t.dtype())) return integer(t.item().to_int());
    }
    const int64_t taken = is_mask(t) ? t.dim() : 1;
    for (int64_t k = 0; k < taken; ++k)
      out_.region.axes.push_back({x_.sizes()[dim_ + k], 1, static_cast<int32_t>(dim_ + k), -1});
    dim_ += taken;
    out_.indices.push_back(t);  // a mask stands for all its dimensions
  }
  void add(const IndexItem& item) {
    switch (item.kind) {
      case Kind::Int:
        return integer(item.i);
      case Kind::Slice: {
        const int64_t step = item.step.value_or(1);
        EG_CHECK_VALUE(step > 0, "step must be greater than zero");
        const int64_t size = x_.sizes()[dim_];
        const Range r = clamp_slice(size, item.start, item.stop, step);
        if (r.start != 0 || r.length != size || step != 1) becomes(ViewKind::Slice);
        if (alone_) out_.last = ViewKind::Slice;
        if (r.length) out_.region.start[dim_] = r.start;
        push({r.length, step, static_cast<int32_t>(dim_), -1});
        ++dim_;
        return;
      }
      case Kind::None:
        push(Axis{});
        becomes(ViewKind::Unsqueeze);
        return;
      case Kind::Bool:
        return flag(item.i != 0);
      case Kind::Tensor:
        return tensor(item.t);
      case Kind::Ellipsis:
        return;
    }
  }

  const Tensor& x_;
  Subscript& out_;
  int64_t dim_ = 0;
  bool advanced_ = false;
  bool alone_ = false;  // a single item
};

bool wants_tensors(const TensorList& indices) {
  for (const Tensor& t : indices)
    if (t.defined()) return true;
  return false;
}

Tensor view_of(const Tensor& x, Subscript& s) {
  return view_region(s.last, x, std::move(s.region));
}

// Leading dimensions of size 1 do not count.
Tensor without_leading_ones(const Tensor& value, int64_t dims) {
  Tensor v = value;
  while (v.dim() > dims && v.sizes()[0] == 1) v = select(v, 0, 0);
  return v;
}

// A part of an expanded tensor may be written to if it does not overlap itself.
void check_part(const Tensor& self, const Tensor& part) {
  check_inplace(EG_UNLIKELY(has_internal_overlap(self)) ? part : self, "setitem");
}

}  // namespace

Tensor get_item(const Tensor& x, const IndexItems& items) {
  Subscript s{Region(x.sizes()), {}};
  Translator(x, s).run(items);
  if (!wants_tensors(s.indices)) return view_of(x, s);
  return index(s.changes ? view_of(x, s) : x, s.indices);
}

void set_item(const Tensor& self, const IndexItems& items, const Tensor& value) {
  if (!self.is_floating()) check_fits("setitem", value, self.dtype());
  Subscript s{Region(self.sizes()), {}};
  Translator(self, s).run(items);
  const bool recorded = grad_enabled() && (self.requires_grad() || value.requires_grad());
  if (wants_tensors(s.indices)) {
    if (recorded) check_inplace(self, "setitem");
    Tensor v = value.dtype() == self.dtype() ? value : to(value, self.dtype());
    index_put_(s.changes ? view_of(self, s) : self, s.indices, v, false);
    return;
  }
  const Tensor v = without_leading_ones(value, s.region.axes.size());
  if (recorded) {
    leave_dead_root(self);
    Tensor target = view_of(self, s);  // even of all: what is overwritten gets a gradient of zeros
    check_part(self, target);
    copy_(target, v);
    return;
  }
  const Tensor target = s.region.of(self);
  check_part(self, target);
  EG_CHECK(is_expandable_to(v.sizes(), target.sizes()), "shape mismatch: value tensor of shape ",
           value.sizes(), " cannot be broadcast to indexing result of shape ", target.sizes());
  copy_into(target, v);
  self.storage().mark_written();
}

}  // namespace eg
