#include "ops/views.h"

#include "kernels/shape.h"
#include "ops/copy.h"
#include "ops/registry.h"

namespace eg {

// --- regions ----------------------------------------------------------------------------------------
Region Region::whole(const Dims& sizes) {
  Region r(sizes);
  for (size_t d = 0; d < sizes.size(); ++d)
    r.axes.push_back({sizes[d], 1, static_cast<int32_t>(d), -1});
  return r;
}

Dims Region::sizes() const {
  Dims out;
  for (const Axis& a : axes) out.push_back(a.size);
  return out;
}

Tensor make_view(const Tensor& x, Dims sizes, Dims strides, int64_t offset) {
  auto v = Ref<TensorImpl>::adopt(new TensorImpl);
  v->storage = x->storage;
  v->offset = offset;
  int64_t numel = 1;
  for (int64_t s : sizes) numel *= s;
  v->numel = numel;
  v->contiguous = is_contiguous(sizes, strides);
  v->sizes = std::move(sizes);
  v->strides = std::move(strides);
  v->dtype = x->dtype;
  v->device = x->device;
  v->inference = x->inference;
  return Tensor(std::move(v));
}

Tensor Region::of(const Tensor& x) const {
  const Dims& xs = x.strides();
  int64_t offset = x.offset();
  for (size_t d = 0; d < start.size(); ++d) offset += start[d] * xs[d];
  Dims sizes(axes.size()), strides(axes.size());
  for (size_t j = 0; j < axes.size(); ++j) {
    const Axis& a = axes[j];
    int64_t stride = a.source >= 0 ? xs[a.source] : 1;
    if (a.second >= 0) stride += xs[a.second];
    sizes[j] = a.size;
    strides[j] = stride * a.step;
  }
  for (size_t j = axes.size(); j-- > 0;)  // new dimensions fit the next one, as in PyTorch
    if (axes[j].source < 0 && j + 1 < sizes.size()) strides[j] = sizes[j + 1] * strides[j + 1];
  return make_view(x, std::move(sizes), std::move(strides), offset);
}

bool Region::rearranges() const {
  SmallVec<bool, 8> seen(in_sizes.size(), false);
  for (const Axis& a : axes) {
    if (a.source < 0) continue;
    const size_t d = a.source;
    const bool full = a.step == 1 && a.second < 0 && a.size == in_sizes[d] && start[d] == 0;
    if (!full || seen[d]) return false;
    seen[d] = true;
  }
  for (size_t d = 0; d < in_sizes.size(); ++d)
    if (!seen[d] && in_sizes[d] != 1) return false;
  return true;
}

Region Region::inverse() const {
  Region back(sizes());
  back.axes = SmallVec<Axis, 6>(in_sizes.size(), Axis{});
  for (size_t j = 0; j < axes.size(); ++j)
    if (axes[j].source >= 0)
      back.axes[axes[j].source] = {axes[j].size, 1, static_cast<int32_t>(j), -1};
  return back;
}

Dims broadcast_strides(const Tensor& src, const Dims& sizes) {
  Dims strides(sizes.size(), 0);
  const size_t lead = sizes.size() - src.sizes().size();
  for (size_t d = 0; d < src.sizes().size(); ++d)
    if (src.sizes()[d] != 1) strides[lead + d] = src.strides()[d];
  return strides;
}

namespace {

// Merges dimensions that are walked as one. Broadcast dims of src have stride 0.
StridedPair strided_pair(const Tensor& dst, const Dims& src_strides, const char* src) {
  StridedPair p;
  p.dst = dst.raw();
  p.src = src;
  p.ndim = 0;
  for (size_t d = 0; d < dst.sizes().size(); ++d) {
    const int64_t n = dst.sizes()[d], ds = dst.strides()[d], ss = src_strides[d];
    if (n == 1) continue;
    if (p.ndim > 0 && p.dst_strides[p.ndim - 1] == n * ds && p.src_strides[p.ndim - 1] == n * ss) {
      p.sizes[p.ndim - 1] *= n;
      p.dst_strides[p.ndim - 1] = ds;
      p.src_strides[p.ndim - 1] = ss;
      continue;
    }
    p.sizes[p.ndim] = n;
    p.dst_strides[p.ndim] = ds;
    p.src_strides[p.ndim] = ss;
    ++p.ndim;
  }
  if (p.ndim == 0) {
    p.sizes[0] = 1;
    p.dst_strides[0] = p.src_strides[0] = 1;
    p.ndim = 1;
  }
  return p;
}

// An overlapping region (unfold) is added window position by window position; each alone has no element twice.
void add_windows(const Tensor& dst, const Tensor& src) {
  const int64_t last = dst.dim() - 1;
  Dims sizes = dst.sizes(), ds = dst.strides(), ss = src.strides();
  const int64_t windows = sizes.back(), d_step = ds.back(), s_step = ss.back();
  sizes.pop_back();
  ds.pop_back();
  ss.pop_back();
  if (last < 0) return;
  for (int64_t w = 0; w < windows; ++w)
    add_into(make_view(dst, sizes, ds, dst.offset() + w * d_step),
             make_view(src, sizes, ss, src.offset() + w * s_step));
}

constexpr const char* kViewNames[] = {
    "Alias",     "Slice",   "Select",           "Permute",          "Transpose", "T",
    "Unsqueeze", "Squeeze", "SqueezeBackward1", "SqueezeBackward2", "Diagonal",  "Unfold"};

// Views are recorded by nodes of their own rather than through apply(): small views are all overhead.
template <class N, class... A>
Tensor recorded_view(const Tensor& x, Tensor out, A&&... attributes) {
  if (!grad_enabled()) return out;
  mark_view(out, x);
  if (!x.requires_grad()) return out;
  Ref<N> node(new N(std::forward<A>(attributes)...));
  node->add_input(x);
  node->add_output(out);
  return out;
}

class RegionNode final : public Node {
 public:
  RegionNode(ViewKind kind, Region&& region) : kind_(kind), region_(std::move(region)) {}
  std::string name() const override { return kViewNames[static_cast<int>(kind_)]; }
  Tensors backward(Context& ctx, const Tensors& grads) override {
    const Tensor& g = grads[0];
    if (region_.rearranges()) return {view_region(kind_, g, region_.inverse())};
    if (add_to_accumulator(ctx, 0, g, region_)) return {Context::accumulated()};
    return {spread_region(g, region_)};
  }

 private:
  ViewKind kind_;
  Region region_;
};

class ViewNode final : public Node {
 public:
  explicit ViewNode(const Dims& in_sizes) : in_sizes_(in_sizes) {}
  std::string name() const override { return "View"; }
  Tensors backward(Context&, const Tensors& grads) override {
    return {reshape(grads[0], in_sizes_)};
  }

 private:
  Dims in_sizes_;
};

class ExpandNode final : public Node {
 public:
  std::string name() const override { return "Expand"; }
  // The engine sums broadcast dimensions.
  Tensors backward(Context&, const Tensors& grads) override { return {grads[0]}; }
};

struct SpreadRegion {
  static constexpr const char* name = "SpreadRegion";
  Region region;

  Tensor forward(Context&, const Tensor& g) {
    Tensor out = zeros(region.in_sizes, g.dtype(), g.device());
    const Tensor part = region.of(out);
    if (region.overlaps)
      add_windows(part, g);
    else
      copy_into(part, g);
    return out;
  }
  Tensors backward(Context&, const Tensor& g) {
    return {view_region(ViewKind::Slice, g, Region(region))};
  }
};

struct ReplaceRegion {
  static constexpr const char* name = "ReplaceRegion";
  Region region;

  Tensor forward(Context&, const Tensor& x, const Tensor& src) {
    Tensor out = empty_result(x, x.dtype());
    copy_into(out, x);
    copy_into(region.of(out), src);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(2);
    if (ctx.needs(0))
      out[0] = replace_region(g, zeros(region.sizes(), g.dtype(), g.device()), region);
    if (ctx.needs(1)) out[1] = view_region(ViewKind::Slice, g, Region(region));
    return out;
  }
};

}  // namespace

// A view op in place changes where x looks and what made it, not the memory.
Tensor become(const Tensor& x, const Tensor& v) {
  EG_CHECK(!(grad_enabled() && x.requires_grad() && x.is_leaf()),
           "a leaf tensor that requires grad cannot change its shape in place");
  TensorImpl& to = *x.impl();
  TensorImpl& from = *v.impl();
  to.offset = from.offset;
  to.sizes = from.sizes;
  to.strides = from.strides;
  to.numel = from.numel;
  to.contiguous = from.contiguous;
  if (from.grad_fn) {
    to.grad_fn = from.grad_fn;
    to.output_nr = from.output_nr;
    to.base_epoch = from.base_epoch;
  }
  return x;
}

Tensor view_region(ViewKind kind, const Tensor& x, Region&& r) {
  Tensor out = r.of(x);
  return recorded_view<RegionNode>(x, std::move(out), kind, std::move(r));
}

Tensor spread_region(const Tensor& g, const Region& region) {
  return apply(SpreadRegion{region}, g);
}

Tensor replace_region(const Tensor& x, const Tensor& src, const Region& region) {
  const Dims sizes = region.sizes();
  EG_CHECK(src.sizes() == sizes, "expected src to have the shape of the region it replaces, ",
           sizes, ", got ", src.sizes());
  return apply(ReplaceRegion{region}, x, src);
}

void add_into(const Tensor& dst, const Tensor& src) {
  if (dst.numel() == 0) return;
  kernels<ShapeKernels>().add(dst.dtype(),
                              strided_pair(dst, broadcast_strides(src, dst.sizes()), src.raw()));
}

void copy_flipped(const Tensor& dst, const Tensor& src, IntSpan flipped) {
  if (dst.numel() == 0) return;
  Dims strides = broadcast_strides(src, dst.sizes());
  const char* start = src.raw();
  for (int64_t d : flipped) {
    start += (dst.sizes()[d] - 1) * strides[d] * static_cast<int64_t>(src.item_size());
    strides[d] = -strides[d];
  }
  // Dimensions in the order in which dst lies: what runs along its lines runs along the source's too.
  Dims order;
  for (int64_t d = 0; d < dst.dim(); ++d) order.push_back(d);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return dst.strides()[a] > dst.strides()[b]; });
  Dims sizes, to, from;
  for (int64_t d : order) {
    sizes.push_back(dst.sizes()[d]);
    to.push_back(dst.strides()[d]);
    from.push_back(strides[d]);
  }
  kernels<ShapeKernels>().copy(dst.item_size(),
                               strided_pair(make_view(dst, sizes, to, dst.offset()), from, start));
}

bool add_to_accumulator(Context& ctx, size_t input, const Tensor& g, const Region& region) {
  Tensor* held = ctx.accumulator(input);
  if (!held || grad_enabled() || region.overlaps || held->dtype() != g.dtype() ||
      held->sizes() != region.in_sizes)
    return false;
  add_into(region.of(*held), g);
  return true;
}

std::optional<Dims> view_strides(IntSpan sizes, IntSpan strides, IntSpan shape) {
  for (int64_t s : sizes)
    if (s == 0) return contiguous_strides(shape);
  Dims out(shape.size(), 1);
  // Runs of input dims that are dense among themselves must be filled exactly by runs of new dims.
  int64_t at = static_cast<int64_t>(shape.size()) - 1;
  int64_t base = 1, in_run = 1, out_run = 1;
  if (!sizes.empty()) base = strides.back();
  for (int64_t d = static_cast<int64_t>(sizes.size()) - 1; d >= 0; --d) {
    in_run *= sizes[d];
    const bool ends = d == 0 || (sizes[d - 1] != 1 && strides[d - 1] != in_run * base);
    if (!ends) continue;
    while (at >= 0 && (out_run < in_run || shape[at] == 1)) {
      out[at] = out_run * base;
      out_run *= shape[at];
      --at;
    }
    if (out_run != in_run) return std::nullopt;
    if (d > 0) {
      base = strides[d - 1];
      in_run = out_run = 1;
    }
  }
  if (at >= 0 && sizes.empty()) return contiguous_strides(shape);
  if (at >= 0) return std::nullopt;
  return out;
}

Range clamp_slice(int64_t size, std::optional<int64_t> start, std::optional<int64_t> end,
                  int64_t step) {
  EG_CHECK_VALUE(step > 0, "[slice] expected a step greater than zero, got ", step);
  const auto clamp = [size](int64_t i) {
    if (i < 0) i += size;
    return i < 0 ? 0 : i > size ? size : i;
  };
  const int64_t first = start ? clamp(*start) : 0;
  const int64_t stop = end ? clamp(*end) : size;
  return {first, stop > first ? (stop - first - 1) / step + 1 : 0};
}

// --- view ops --------------------------------------------------------------------------------------------
namespace {

Tensor seen_as(const Tensor& x, Dims&& shape, Dims&& strides) {
  Tensor out = make_view(x, std::move(shape), std::move(strides), x.offset());
  return recorded_view<ViewNode>(x, std::move(out), x.sizes());
}

}  // namespace

Tensor view(const Tensor& x, IntSpan shape) {
  Dims target = infer_size(shape, x);
  if (x.is_contiguous()) {
    Dims strides = contiguous_strides(target);
    return seen_as(x, std::move(target), std::move(strides));
  }
  std::optional<Dims> strides = view_strides(x.sizes(), x.strides(), target);
  EG_CHECK(strides, "[view] a tensor of shape ", x.sizes(), " and strides ", x.strides(),
           " cannot be seen as ", target, " without a copy; use reshape()");
  return seen_as(x, std::move(target), std::move(*strides));
}

Tensor reshape(const Tensor& x, IntSpan shape) {
  if (x.is_contiguous()) return view(x, shape);
  Dims target = infer_size(shape, x);
  if (std::optional<Dims> strides = view_strides(x.sizes(), x.strides(), target))
    return seen_as(x, std::move(target), std::move(*strides));
  Tensor y = view(contiguous(x), target);
  y->base = nullptr;  // nobody sees the copy
  return y;
}

Tensor expand(const Tensor& x, IntSpan sizes) {
  const int64_t lead = static_cast<int64_t>(sizes.size()) - x.dim();
  EG_CHECK(lead >= 0, "[expand] expected at least ", x.dim(), " sizes for a tensor of shape ",
           x.sizes(), ", got ", sizes);
  Dims target = sizes.dims();
  for (int64_t d = 0; d < static_cast<int64_t>(target.size()); ++d) {
    if (target[d] == -1) {
      EG_CHECK(d >= lead, "[expand] -1 keeps a size, but dimension ", d, " of ", sizes,
               " is new: the tensor has shape ", x.sizes());
      target[d] = x.sizes()[d - lead];
    }
    EG_CHECK(target[d] >= 0, "[expand] expected sizes that are -1 or not negative, got ", sizes);
    EG_CHECK(d < lead || x.sizes()[d - lead] == target[d] || x.sizes()[d - lead] == 1,
             "[expand] the size of dimension ", d, " must stay ",
             d < lead ? 1 : x.sizes()[d - lead], ": shape ", x.sizes(), " does not expand to ",
             sizes);
  }
  checked_numel(target);
  Dims strides(target.size(), 0);
  for (size_t d = target.size(); d-- > 0;) {
    if (int64_t(d) >= lead && x.sizes()[d - lead] == target[d]) {
      strides[d] = x.strides()[d - lead];
    } else if (int64_t(d) < lead && target[d] == 1 &&
               x.dim() > 0) {  // unseen, but shown by stride()
      strides[d] = d + 1 < target.size() ? target[d + 1] * strides[d + 1] : 1;
    }
  }
  Tensor out = make_view(x, std::move(target), std::move(strides), x.offset());
  return recorded_view<ExpandNode>(x, std::move(out));
}

namespace {

Region permuted(const Tensor& x, const Dims& dims) {
  Region r(x.sizes());
  for (int64_t d : dims) r.axes.push_back({x.sizes()[d], 1, static_cast<int32_t>(d), -1});
  return r;
}

Tensor swap_dims(ViewKind kind, const Tensor& x, int64_t dim0, int64_t dim1) {
  const int64_t a = wrap_dim(dim0, x.dim()), b = wrap_dim(dim1, x.dim());
  if (!grad_enabled()) {  // in every gradient of a product
    Dims sizes = x.sizes(), strides = x.strides();
    if (a != b) {
      std::swap(sizes[a], sizes[b]);
      std::swap(strides[a], strides[b]);
    }
    return make_view(x, std::move(sizes), std::move(strides), x.offset());
  }
  Region r = Region::whole(x.sizes());
  if (a != b) std::swap(r.axes[a], r.axes[b]);
  return view_region(kind, x, std::move(r));
}

}  // namespace

Tensor permute(const Tensor& x, IntSpan dims) {
  EG_CHECK(static_cast<int64_t>(dims.size()) == x.dim(), "[permute] expected ", x.dim(),
           " dims for a tensor of shape ", x.sizes(), ", got ", dims);
  return view_region(ViewKind::Permute, x, permuted(x, wrap_dims(dims, x.dim(), false)));
}

Tensor transpose(const Tensor& x, int64_t dim0, int64_t dim1) {
  return swap_dims(ViewKind::Transpose, x, dim0, dim1);
}

Tensor squeeze_all(const Tensor& x) {
  Dims all;
  for (int64_t d = 0; d < x.dim(); ++d) all.push_back(d);
  return named(squeeze(x, all), "SqueezeBackward0");
}

Tensor unsqueeze(const Tensor& x, int64_t dim) {
  const int64_t at = wrap_dim(dim, x.dim() + 1);
  // The stride of a dimension of size 1 does not matter; dense tensors stay dense.
  Region r = Region::whole(x.sizes());
  r.axes.insert(at, Axis{});
  return view_region(ViewKind::Unsqueeze, x, std::move(r));
}

Tensor squeeze(const Tensor& x, IntSpan dims) {
  SmallVec<bool, 8> drop(x.dim(), false);
  if (x.dim() > 0)
    for (int64_t d : wrap_dims(dims, x.dim(), false)) drop[d] = x.sizes()[d] == 1;
  Region r(x.sizes());
  for (int64_t d = 0; d < x.dim(); ++d)
    if (!drop[d]) r.axes.push_back({x.sizes()[d], 1, static_cast<int32_t>(d), -1});
  const ViewKind kind = dims.size() == 1 ? ViewKind::SqueezeDim : ViewKind::SqueezeDims;
  return view_region(kind, x, std::move(r));
}

Tensor narrow(const Tensor& x, int64_t dim, int64_t start, int64_t length) {
  EG_CHECK(x.dim() > 0, "[narrow] a 0-d tensor cannot be narrowed");
  EG_CHECK(length >= 0, "[narrow] expected a length of at least 0, got ", length);
  const int64_t d = wrap_dim(dim, x.dim()), size = x.sizes()[d];
  EG_CHECK_INDEX(start >= -size && start <= size, "[narrow] expected start in [", -size, ", ", size,
                 "], got ", start);
  const int64_t first = start < 0 ? start + size : start;
  EG_CHECK(first + length <= size, "[narrow] start ", start, " plus length ", length,
           " exceeds the size ", size, " of dimension ", d);
  Region r = Region::whole(x.sizes());
  r.start[d] = first;
  r.axes[d].size = length;
  return view_region(ViewKind::Slice, x, std::move(r));
}

namespace {

Region sliced(const Tensor& x, int64_t dim, std::optional<int64_t> start,
              std::optional<int64_t> end, int64_t step) {
  EG_CHECK(x.dim() > 0, "[slice] a 0-d tensor cannot be sliced");
  const int64_t d = wrap_dim(dim, x.dim());
  const Range range = clamp_slice(x.sizes()[d], start, end, step);
  Region r = Region::whole(x.sizes());
  r.start[d] = range.length ? range.start : 0;
  r.axes[d].size = range.length;
  r.axes[d].step = step;
  return r;
}

Region selected(const Tensor& x, int64_t dim, int64_t index) {
  EG_CHECK_INDEX(x.dim() > 0, "[select] a 0-d tensor has no dimension to select from");
  const int64_t d = wrap_dim(dim, x.dim()), size = x.sizes()[d];
  EG_CHECK_INDEX(index >= -size && index < size, "[select] index ", index,
                 " is out of range for dimension ", d, " of a tensor of shape ", x.sizes());
  Region r = Region::whole(x.sizes());
  r.start[d] = index < 0 ? index + size : index;
  r.axes.erase(d);
  return r;
}

}  // namespace

Region diagonal_region(const Dims& sizes, int64_t offset, int64_t dim0, int64_t dim1) {
  const int64_t ndim = sizes.size();
  const int64_t a = wrap_dim(dim0, ndim), b = wrap_dim(dim1, ndim);
  EG_CHECK(a != b, "[diagonal] expected two different dimensions, got ", dim0, " and ", dim1);
  Region r(sizes);
  const int64_t rows = sizes[a], columns = sizes[b];
  const int64_t fits =
      offset >= 0 ? std::min(rows, columns - offset) : std::min(rows + offset, columns);
  const int64_t length = std::max<int64_t>(fits, 0);
  if (length > 0) r.start[offset >= 0 ? b : a] = offset >= 0 ? offset : -offset;
  for (int64_t d = 0; d < ndim; ++d)
    if (d != a && d != b) r.axes.push_back({sizes[d], 1, static_cast<int32_t>(d), -1});
  r.axes.push_back({length, 1, static_cast<int32_t>(a), static_cast<int32_t>(b)});
  return r;
}

Tensor slice(const Tensor& x, int64_t dim, int64_t start, int64_t end, int64_t step) {
  return view_region(ViewKind::Slice, x, sliced(x, dim, start, end, step));
}

Tensor select(const Tensor& x, int64_t dim, int64_t index) {
  return view_region(ViewKind::Select, x, selected(x, dim, index));
}

Tensor diagonal(const Tensor& x, int64_t offset, int64_t dim0, int64_t dim1) {
  return view_region(ViewKind::Diagonal, x, diagonal_region(x.sizes(), offset, dim0, dim1));
}

namespace {

// --- what Python sees ------------------------------------------------------------------------------------
Tensor view_dtype(const Tensor& x, DType dtype) {
  const int64_t from = x.item_size(), to = item_size(dtype);
  Dims sizes = x.sizes(), strides = x.strides();
  int64_t offset = x.offset();
  if (from != to) {
    EG_CHECK(x.dim() > 0, "[view] a 0-d tensor of ", x.dtype(), " cannot be seen as ", dtype,
             ": the element sizes differ");
    EG_CHECK(strides.back() == 1, "[view] expected the last dimension to be dense to see ",
             x.dtype(), " as ", dtype, ", got strides ", strides);
  }
  if (from > to) {
    const int64_t ratio = from / to;
    for (int64_t& s : strides) s *= ratio;
    strides.back() = 1;
    sizes.back() *= ratio;
    offset *= ratio;
  } else if (from < to) {
    const int64_t ratio = to / from;
    EG_CHECK(sizes.back() % ratio == 0 && offset % ratio == 0,
             "[view] expected the last size and the storage offset to be divisible by ", ratio,
             " to see ", x.dtype(), " as ", dtype, ", got shape ", sizes, " and offset ", offset);
    for (size_t d = 0; d + 1 < strides.size(); ++d) {
      EG_CHECK(strides[d] % ratio == 0, "[view] expected strides divisible by ", ratio, " to see ",
               x.dtype(), " as ", dtype, ", got ", strides);
      strides[d] /= ratio;
    }
    sizes.back() /= ratio;
    offset /= ratio;
  }
  Tensor out = make_view(x, std::move(sizes), std::move(strides), offset);
  out->dtype = dtype;
  return out;
}

Tensor unfold(const Tensor& x, int64_t dimension, int64_t size, int64_t step) {
  const int64_t d = wrap_dim(dimension, x.dim());
  const int64_t length = x.dim() ? x.sizes()[d] : 1;
  EG_CHECK(size >= 0 && size <= length, "[unfold] expected a size between 0 and ", length,
           " (dimension ", d, " of shape ", x.sizes(), "), got ", size);
  EG_CHECK(step > 0, "[unfold] expected a step greater than zero, got ", step);
  Region r = Region::whole(x.sizes());
  if (x.dim() == 0) {
    r.axes.push_back({size, 1, -1, -1});
    return view_region(ViewKind::Unfold, x, std::move(r));
  }
  r.axes[d].size = (length - size) / step + 1;
  r.axes[d].step = step;
  r.axes.push_back({size, 1, static_cast<int32_t>(d), -1});
  r.overlaps = step < size;
  return view_region(ViewKind::Unfold, x, std::move(r));
}

Tensor matrix_t(const Tensor& x) {
  EG_CHECK(x.dim() <= 2, "[t] expected at most 2 dimensions, got shape ", x.sizes());
  if (x.dim() < 2) return view_region(ViewKind::T, x, Region::whole(x.sizes()));
  return swap_dims(ViewKind::T, x, 0, 1);
}

Tensor reversed_dims(const Tensor& x) {
  if (x.dim() == 2) return swap_dims(ViewKind::Permute, x, 0, 1);
  static std::atomic<bool> said{false};
  if (x.dim())
    warn_once(
        said,
        "x.T of a tensor that has not 2 dimensions is deprecated and will be an error: x.mT "
        "transposes a batch of matrices, x.permute(*range(x.ndim)[::-1]) reverses all dimensions");
  Dims order;
  for (int64_t d = x.dim() - 1; d >= 0; --d) order.push_back(d);
  return permute(x, order);
}

Tensor adjoint(const Tensor& x) {
  if (x.dim() == 0) return view_region(ViewKind::Transpose, x, Region::whole(x.sizes()));
  EG_CHECK(x.dim() >= 2, "[adjoint] expected at least 2 dimensions, got shape ", x.sizes());
  return transpose(x, -2, -1);
}

Tensor movedim(const Tensor& x, const Dims& source, const Dims& destination) {
  EG_CHECK(source.size() == destination.size(),
           "[movedim] expected as many sources as destinations, got ", IntSpan(source), " and ",
           IntSpan(destination));
  const Dims from = wrap_dims(source, x.dim(), false), to = wrap_dims(destination, x.dim(), false);
  Dims order(x.dim(), -1);
  SmallVec<bool, 8> moved(x.dim(), false);
  for (size_t i = 0; i < from.size(); ++i) {
    order[to[i]] = from[i];
    moved[from[i]] = true;
  }
  int64_t next = 0;
  for (int64_t& o : order) {
    if (o >= 0) continue;
    while (moved[next]) ++next;
    o = next++;
  }
  return permute(x, order);
}

EG_OP(
    +[](const Tensor& x, const Dims& size) { return view(x, size); }, "view(input, *size)",
    R"(The same memory in another shape; one size may be -1. Raises RuntimeError where only a copy could have that shape.

>>> tuple(eg.zeros(6).view(2, -1).shape)
(2, 3)
)",
    kMethodOnly)
EG_OP(&view_dtype, "view(input, dtype)",
      "The same bytes as elements of another dtype; the last dimension grows or shrinks with the "
      "element size.",
      kMethodOnly)
EG_OP(
    +[](const Tensor& x, const Tensor& other) { return view(x, other.sizes()); },
    "view_as(input, other)", "view() with the shape of other.", kMethodOnly)
EG_OP(
    +[](const Tensor& x, const Dims& shape) { return reshape(x, shape); }, "reshape(input, *shape)",
    R"(The same elements in another shape, as a view where strides allow it, else as a copy; one size may be -1.

>>> tuple(eg.zeros(2, 3).reshape(3, 2).shape)
(3, 2)
)")
EG_OP(
    +[](const Tensor& x, const Tensor& other) { return reshape(x, other.sizes()); },
    "reshape_as(input, other)", "reshape() to the shape of other.", kMethodOnly)
EG_OP(
    +[](const Tensor& x, const Dims& size) { return expand(x, size); }, "expand(input, *size)",
    R"(A view in which dimensions of size 1 repeat and new ones come first; -1 keeps a size.

>>> eg.tensor([[1], [2]]).expand(-1, 3).tolist()
[[1, 1, 1], [2, 2, 2]]
)",
    kMethodOnly)
EG_OP(
    +[](const Tensor& x, const Tensor& other) { return expand(x, other.sizes()); },
    "expand_as(input, other)", "expand() to the shape of other.", kMethodOnly)
EG_OP(
    +[](const Tensor& x, const Dims& size) { return expand(x, size); }, "broadcast_to(input, size)",
    "A view of input broadcast to the given shape.")
EG_OP(
    +[](const Tensor& x, const Dims& dims) { return permute(x, dims); }, "permute(input, *dims)",
    R"(A view with the dimensions in the given order.

>>> tuple(eg.zeros(2, 3, 4).permute(2, 0, 1).shape)
(4, 2, 3)
)")
EG_OP(&transpose, "transpose(input, dim0, dim1)",
      R"(A view with two dimensions swapped.

>>> tuple(eg.zeros(2, 3).transpose(0, 1).shape)
(3, 2)
)")
EG_OP(&transpose, "swapdims(input, dim0, dim1)", "Another name of transpose().")
EG_OP(&transpose, "swapaxes(input, axis0, axis1)", "Another name of transpose().")
EG_OP(&matrix_t, "t(input)",
      "The transpose of a matrix, a view; vectors and 0-d tensors stay as they are.")
EG_OP(&reversed_dims, "_reversed_dims(input)", "A view with the dimensions reversed: x.T.",
      kInternal)
EG_OP(&adjoint, "adjoint(input)", "A view with the last two dimensions swapped.")
EG_OP(&movedim, "movedim(input, source, destination)",
      R"(A view with dimensions moved to other places; the rest keep their order.

>>> tuple(eg.zeros(2, 3, 4).movedim(0, -1).shape)
(3, 4, 2)
)")
EG_OP(&movedim, "moveaxis(input, source, destination)", "Another name of movedim().")
EG_OP(&unsqueeze, "unsqueeze(input, dim)",
      R"(A view with a dimension of size 1 inserted.

>>> tuple(eg.zeros(3).unsqueeze(0).shape)
(1, 3)
)")
EG_OP(&squeeze_all, "squeeze(input)", "A view without the dimensions of size 1.")
EG_OP(
    +[](const Tensor& x, const Dims& dim) { return squeeze(x, dim); }, "squeeze(input, dim)",
    R"(A view without the given dimension or dimensions, where their size is 1.

>>> tuple(eg.zeros(1, 3, 1).squeeze(0).shape)
(3, 1)
)")
EG_OP(
    +[](const Tensor& x, int64_t dim, const Tensor& start, int64_t length) {
      EG_CHECK(start.dim() == 0 && is_integral(start.dtype()),
               "start must be an 0-dim integral Tensor.");
      return narrow(x, dim, start.item().to_int(), length);
    },
    "narrow(input, dim, start, length)", "")
EG_OP(
    &narrow, "narrow(input, dim, start, length)",
    "A view of `length` entries of a dimension, from `start`. Raises RuntimeError beyond the end.")
EG_OP(&select, "select(input, dim, index)",
      "A view at one index of a dimension, which is dropped. Raises IndexError out of range.")
EG_OP(&diagonal, "diagonal(input, offset=0, dim1=0, dim2=1)",
      R"(A view of the diagonals over two dimensions, as the last dimension.

>>> eg.tensor([[1, 2], [3, 4]]).diagonal().tolist()
[1, 4]
)")
EG_OP(
    &unfold, "unfold(input, dimension, size, step)",
    R"(A view of all windows of `size` entries, `step` apart, along a dimension; the window is the last dimension.

>>> eg.arange(4).unfold(0, 2, 1).tolist()
[[0, 1], [1, 2], [2, 3]]
)",
    kMethodOnly)
EG_OP(
    +[](const Tensor& x, const Tensor& src, int64_t dim, int64_t index) {
      return named(replace_region(x, src, selected(x, dim, index)), "SelectScatterBackward0");
    },
    "select_scatter(input, src, dim, index)",
    "A copy of input in which src stands at one index of a dimension.")
EG_OP(
    +[](const Tensor& x, const Tensor& src, int64_t dim, std::optional<int64_t> start,
        std::optional<int64_t> end, int64_t step) {
      return named(replace_region(x, src, sliced(x, dim, start, end, step)),
                   "SliceScatterBackward0");
    },
    "slice_scatter(input, src, dim=0, start=None, end=None, step=1)",
    "A copy of input in which src stands in a slice of a dimension.", kOut)
EG_OP(
    +[](const Tensor& x, const Tensor& src, int64_t offset, int64_t dim1, int64_t dim2) {
      return named(replace_region(x, src, diagonal_region(x.sizes(), offset, dim1, dim2)),
                   "DiagonalScatterBackward0");
    },
    "diagonal_scatter(input, src, offset=0, dim1=0, dim2=1)",
    "A copy of input in which src stands on the diagonal.")
EG_OP(
    +[](const Tensor& x) { return become(x, squeeze_all(x)); }, "squeeze_(input)",
    "squeeze() that changes the tensor itself.", kMethodOnly)
EG_OP(
    +[](const Tensor& x, const Dims& dim) { return become(x, squeeze(x, dim)); },
    "squeeze_(input, dim)", "squeeze() that changes the tensor itself.", kMethodOnly)
EG_OP(
    +[](const Tensor& x, int64_t dim) { return become(x, unsqueeze(x, dim)); },
    "unsqueeze_(input, dim)", "unsqueeze() that changes the tensor itself.", kMethodOnly)
EG_OP(
    +[](const Tensor& x, int64_t a, int64_t b) { return become(x, transpose(x, a, b)); },
    "transpose_(input, dim0, dim1)", "transpose() that changes the tensor itself.", kMethodOnly)
EG_OP(
    +[](const Tensor& x, int64_t a, int64_t b) { return become(x, transpose(x, a, b)); },
    "swapdims_(input, dim0, dim1)", "Another name of transpose_().", kMethodOnly)
EG_OP(
    +[](const Tensor& x, int64_t a, int64_t b) { return become(x, transpose(x, a, b)); },
    "swapaxes_(input, axis0, axis1)", "Another name of transpose_().", kMethodOnly)
EG_OP(
    +[](const Tensor& x) { return become(x, matrix_t(x)); }, "t_(input)",
    "t() that changes the tensor itself.", kMethodOnly)
}  // namespace

}  // namespace eg
