// Reading and writing at integer and boolean index tensors, as x[...] does.
#include "ops/index.h"

#include "core/parallel.h"
#include "ops/creation.h"
#include "ops/registry.h"
#include "ops/views.h"

namespace eg {

std::vector<int64_t> block_offsets(IntSpan sizes, IntSpan strides) {
  std::vector<int64_t> out{0};
  for (size_t d = 0; d < sizes.size(); ++d) {
    std::vector<int64_t> next;
    next.reserve(out.size() * std::max<int64_t>(sizes[d], 0));
    for (int64_t base : out)
      for (int64_t i = 0; i < sizes[d]; ++i) next.push_back(base + i * strides[d]);
    out = std::move(next);
  }
  return out;
}

namespace {

int64_t product(IntSpan sizes) {
  int64_t n = 1;
  for (int64_t s : sizes) n *= s;
  return n;
}

bool is_dense(IntSpan sizes, IntSpan strides) { return is_contiguous(sizes, strides); }

// Fills in the outer and inner parts of positions from the dimensions around the indexed ones.
void describe_block(Positions& p, std::vector<int64_t>& outer, std::vector<int64_t>& inner,
                    IntSpan outer_sizes, IntSpan outer_strides, IntSpan inner_sizes,
                    IntSpan inner_strides) {
  p.outer = product(outer_sizes);
  p.inner = product(inner_sizes);
  p.outer_offsets = nullptr;
  p.outer_stride = 0;
  p.inner_offsets = nullptr;
  // Dense among themselves: one stride serves all.
  bool even = true;
  for (size_t d = 0; d + 1 < outer_sizes.size(); ++d)
    even &= outer_strides[d] == outer_sizes[d + 1] * outer_strides[d + 1];
  if (outer_sizes.size() > 0 && even) {
    p.outer_stride = outer_strides.back();
  } else if (outer_sizes.size() > 0) {
    outer = block_offsets(outer_sizes, outer_strides);
    p.outer_offsets = outer.data();
  }
  if (p.inner > 1 && !is_dense(inner_sizes, inner_strides)) {
    inner = block_offsets(inner_sizes, inner_strides);
    p.inner_offsets = inner.data();
  }
}

}  // namespace

AlongDim::AlongDim(const Tensor& x, int64_t dim, const Tensor& index) {
  const int64_t* sizes = x.sizes().data();
  const int64_t* strides = x.strides().data();
  const size_t after = x.dim() - dim - 1;
  describe_block(p_, outer_, inner_, IntSpan(sizes, dim), IntSpan(strides, dim),
                 IntSpan(sizes + dim + 1, after), IntSpan(strides + dim + 1, after));
  p_.index = index.data<int64_t>();
  p_.n = index.numel();
  p_.scale = strides[dim];
  p_.limit = sizes[dim];
  p_.distinct = false;
}

Tensor writable(const Tensor& x, bool in_place, bool lies_as_x) {
  if (in_place) return make_view(x, x.sizes(), x.strides(), x.offset());
  Tensor out = lies_as_x ? empty_result(x, x.dtype()) : empty_like(x);
  copy_into(out, x);
  return out;
}

Tensor apart_from(const Tensor& target, const Tensor& src) {
  if (&target.storage() != &src.storage()) return src;
  Tensor copy = empty_like(src);
  copy_into(copy, src);
  return copy;
}

Tensor true_positions(const Tensor& mask) {
  const DeviceScope scope(mask.device());
  const IndexKernels& k = kernels<IndexKernels>();
  const int64_t n = mask.numel();
  const int64_t chunk = mask.device().is_cpu() ? 2 * kParallelGrain : std::max<int64_t>(n, 1);
  const int64_t chunks = (n + chunk - 1) / chunk;
  const char* bytes = mask.raw();
  std::vector<int64_t> starts(chunks + 1, 0);
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c)
      starts[c + 1] = k.count(bytes + c * chunk, std::min(chunk, n - c * chunk));
  });
  for (int64_t c = 0; c < chunks; ++c) starts[c + 1] += starts[c];
  Tensor out = empty({starts[chunks]}, DType::Int64, mask.device());
  int64_t* to = out.data<int64_t>();
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c)
      k.positions(bytes + c * chunk, std::min(chunk, n - c * chunk), c * chunk, to + starts[c]);
  });
  return out;
}

namespace {

Tensor as_mask(const Tensor& x) {
  const bool is_bytes = x.dtype() == DType::Bool || x.dtype() == DType::UInt8;
  if (is_bytes) return contiguous_data(x);
  return contiguous_data(cast_data(x, DType::Bool));
}

}  // namespace

void coordinates(const Tensor& flat, IntSpan sizes, int64_t* out, int64_t step, int64_t jump) {
  const DeviceScope scope(flat.device());
  if (flat.numel())
    kernels<IndexKernels>().coordinates(flat.data<int64_t>(), flat.numel(), sizes.begin(),
                                        static_cast<int64_t>(sizes.size()), out, step, jump);
}

Tensor nonzero(const Tensor& x) {
  const Tensor flat = true_positions(as_mask(x));
  const int64_t n = flat.numel(), dims = x.dim();
  if (dims == 1) return make_view(flat, {n, 1}, {1, n}, flat.offset());
  // Column by column in memory, as in PyTorch: programs take the columns.
  const Tensor all = empty({dims, n}, DType::Int64, x.device());
  coordinates(flat, x.sizes(), all.data<int64_t>(), 1, n);
  return make_view(all, {n, dims}, {1, n}, 0);
}

namespace {

TensorList nonzero_columns(const Tensor& x) {
  const Tensor in = x.dim() ? x : view(contiguous_data(x), {1});
  const Tensor flat = true_positions(as_mask(in));
  if (in.dim() == 1) return {flat};
  const int64_t n = flat.numel(), dims = in.dim();
  Tensor all = empty({dims, n}, DType::Int64, x.device());
  coordinates(flat, in.sizes(), all.data<int64_t>(), 1, n);
  TensorList out;
  for (int64_t d = 0; d < dims; ++d) out.push_back(make_view(all, {n}, {1}, d * n));
  return out;
}

// --- x[indices] -------------------------------------------------------------------------------------------
// Which dimensions are indexed and what the result looks like; the index tensors themselves travel apart.
struct IndexPlan {
  Dims in_sizes;
  Dims dims;   // indexed dimensions, in the order of the tensors
  Dims shape;  // common shape of the indices
  bool adjacent = true;
  bool distinct = false;  // no position comes twice: the indices are those of one mask

  size_t before() const { return adjacent && !dims.empty() ? dims[0] : 0; }
  bool is_indexed(int64_t d) const { return std::find(dims.begin(), dims.end(), d) != dims.end(); }
  Dims result_sizes() const {
    Dims out(in_sizes.begin(), in_sizes.begin() + before());
    out.append(shape.begin(), shape.end());
    for (size_t d = before(); d < in_sizes.size(); ++d)
      if (!is_indexed(d)) out.push_back(in_sizes[d]);
    return out;
  }
};

struct PreparedIndex {
  IndexPlan plan;
  TensorList indices;  // int64, contiguous, of plan.shape, within bounds
};

// Masks become one index a dimension.
void expand_masks(const Tensor& x, const TensorList& indices, TensorList& out) {
  for (const Tensor& t : indices) {
    if (!t.defined()) {
      out.push_back(t);
      continue;
    }
    if (t.dtype() != DType::Bool && t.dtype() != DType::UInt8) {
      EG_CHECK_INDEX(is_integral(t.dtype()),
                     "tensors used as indices must be long, int, byte or bool tensors, got ",
                     t.dtype());
      out.push_back(t);
      continue;
    }
    for (int64_t d = 0; d < t.dim(); ++d) {
      const int64_t at = static_cast<int64_t>(out.size()) + d;
      EG_CHECK_INDEX(at < x.dim(), "too many indices for tensor of dimension ", x.dim(), ": shape ",
                     x.sizes());
      EG_CHECK_INDEX(t.sizes()[d] == x.sizes()[at], "The shape of the mask ", t.sizes(),
                     " at index ", d, " does not match the shape of the indexed tensor ", x.sizes(),
                     " at index ", at);
    }
    for (Tensor& column : nonzero_columns(t)) out.push_back(std::move(column));
  }
}

// Indices on the host serve a tensor on a GPU; not the other way round.
TensorList on_device_of(const Tensor& x, const TensorList& indices) {
  TensorList out;
  for (const Tensor& t : indices) {
    EG_CHECK(!t.defined() || t.device().is_cpu() || t.device() == x.device(),
             "indices should be either on cpu or on the same device as the indexed tensor (",
             x.device(), ")");
    out.push_back(t.defined() ? device_data(t, x.device()) : t);
  }
  return out;
}

bool is_one_mask(const TensorList& given) {
  int64_t masks = 0, defined = 0;
  for (const Tensor& t : given) {
    if (!t.defined()) continue;
    ++defined;
    masks += t.dtype() == DType::Bool || t.dtype() == DType::UInt8;
  }
  return masks == 1 && defined == 1;
}

// That two index tensors broadcast to.
Dims common_shape(const Dims& a, const Dims& b) {
  try {
    return broadcast_shapes(a, b);
  } catch (const Error&) {
    fail(ErrorKind::Index,
         "shape mismatch: indexing tensors could not be broadcast together with shapes ", a,
         " and ", b);
  }
}

PreparedIndex prepare(const Tensor& x, const TensorList& given) {
  const DeviceScope scope(x.device());
  TensorList indices;
  expand_masks(x, on_device_of(x, given), indices);
  EG_CHECK_INDEX(static_cast<int64_t>(indices.size()) <= x.dim(),
                 "too many indices for tensor of dimension ", x.dim(), ": got ", indices.size(),
                 " for shape ", x.sizes());
  PreparedIndex out;
  IndexPlan& plan = out.plan;
  plan.in_sizes = x.sizes();
  plan.distinct = is_one_mask(given);
  bool same_shape = true;
  for (size_t d = 0; d < indices.size(); ++d) {
    if (!indices[d].defined()) continue;
    if (!plan.dims.empty()) {
      plan.adjacent &= plan.dims.back() == static_cast<int64_t>(d) - 1;
      same_shape &= indices[d].sizes() == plan.shape;
      plan.shape = common_shape(plan.shape, indices[d].sizes());
    } else {
      plan.shape = indices[d].sizes();
    }
    plan.dims.push_back(d);
  }
  EG_CHECK_INDEX(!plan.dims.empty(), "[index] expected at least one index tensor");
  const bool empty_index = product(plan.shape) == 0;
  for (int64_t d : plan.dims) {
    Tensor t = indices[d];
    if (!same_shape && t.sizes() != plan.shape)
      t = contiguous_data(make_view(t, plan.shape, broadcast_strides(t, plan.shape), t.offset()));
    if (empty_index) {
      out.indices.push_back(contiguous_data(cast_data(t, DType::Int64)));
    } else {
      out.indices.push_back(checked_index({"index", ErrorKind::Index, true}, t, x.sizes()[d], d));
    }
  }
  return out;
}

// Where in x (or in something of its shape) the plan points.
class PlanPositions {
 public:
  PlanPositions(const Tensor& x, const IndexPlan& plan, const TensorList& indices) {
    Dims outer_sizes, outer_strides, inner_sizes, inner_strides;
    for (int64_t d = 0; d < x.dim(); ++d) {
      if (plan.is_indexed(d)) continue;
      const bool outer = d < static_cast<int64_t>(plan.before());
      (outer ? outer_sizes : inner_sizes).push_back(x.sizes()[d]);
      (outer ? outer_strides : inner_strides).push_back(x.strides()[d]);
    }
    describe_block(p_, outer_, inner_, outer_sizes, outer_strides, inner_sizes, inner_strides);
    p_.n = product(plan.shape);
    p_.index = indices[0].data<int64_t>();
    p_.scale = x.strides()[plan.dims[0]];
    p_.limit = x.sizes()[plan.dims[0]];
    p_.distinct = plan.distinct;
    if (indices.size() == 1) return;
    p_.limit = 1;
    for (int64_t d : plan.dims) p_.limit += (x.sizes()[d] - 1) * x.strides()[d];
    linear_ = empty({p_.n}, DType::Int64);
    parallel_for(p_.n, 2 * kParallelGrain, [&](int64_t begin, int64_t end) {
      for (size_t i = 0; i < indices.size(); ++i)
        kernels<IndexKernels>().linear(linear_.data<int64_t>() + begin,
                                       indices[i].data<int64_t>() + begin, end - begin,
                                       x.strides()[plan.dims[i]], i > 0);
    });
    p_.index = linear_.data<int64_t>();
    p_.scale = 1;
  }
  const Positions& get() const { return p_; }

 private:
  std::vector<int64_t> outer_, inner_;
  Tensor linear_;
  Positions p_;
};

void save_all(Context& ctx, TensorList& indices) {
  if (!ctx.recording()) return;
  for (const Tensor& t : indices) ctx.save(t);
}

TensorList saved_all(Context& ctx, size_t n) {
  TensorList out;
  for (size_t i = 0; i < n; ++i) out.push_back(ctx.saved(i));
  return out;
}

void fold_at(const Tensor& x, const PreparedIndex& at, const Tensor& values, Fold fold) {
  const Dims sizes = at.plan.result_sizes();
  if (product(sizes) == 0) return;
  const bool one = values.numel() == 1;
  Tensor packed = values;
  if (!one && (values.sizes() != sizes || !values.is_contiguous())) {
    packed = empty(sizes, values.dtype());
    copy_into(packed, values);
  }
  const PlanPositions where(x, at.plan, at.indices);
  kernels<IndexKernels>().fold(x.dtype(), fold, x.raw(), packed.raw(), where.get(), one);
}

Tensor index_prepared(const Tensor& x, PreparedIndex at);
Tensor put_prepared(const Tensor& x, PreparedIndex at, const Tensor& values, bool accumulate);

// Zeros with g added where the plan points: the gradient of Index.
struct IndexSpread {
  static constexpr const char* name = "IndexSpread";
  PreparedIndex at;

  Tensor forward(Context& ctx, const Tensor& g) {
    Tensor out = zeros(at.plan.in_sizes, g.dtype(), g.device());
    fold_at(out, at, g, Fold::Add);
    save_all(ctx, at.indices);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {index_prepared(g, {at.plan, saved_all(ctx, at.plan.dims.size())})};
  }
};

struct Index {
  static constexpr const char* name = "Index";
  PreparedIndex at;

  Tensor forward(Context& ctx, const Tensor& x) {
    Tensor out = empty(at.plan.result_sizes(), x.dtype(), x.device());
    if (out.numel()) {
      const PlanPositions where(x, at.plan, at.indices);
      kernels<IndexKernels>().take(x.item_size(), out.raw(), x.raw(), where.get());
    }
    save_all(ctx, at.indices);
    at.indices.clear();
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    PreparedIndex back{at.plan, saved_all(ctx, at.plan.dims.size())};
    Tensor* held = ctx.accumulator(0);
    if (held && !grad_enabled() && held->dtype() == g.dtype() &&
        held->sizes() == at.plan.in_sizes) {
      fold_at(*held, back, g, Fold::Add);
      return {Context::accumulated()};
    }
    return {eg::apply(IndexSpread{std::move(back)}, g)};
  }
};

Tensor index_prepared(const Tensor& x, PreparedIndex at) {
  return eg::apply(Index{std::move(at)}, x);
}

struct IndexPut {
  static constexpr const char* name = "IndexPut";
  PreparedIndex at;
  bool accumulate;
  bool in_place = false;

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& values) {
    Tensor out = writable(x, in_place, true);
    fold_at(out, at, apart_from(out, values), accumulate ? Fold::Add : Fold::Put);
    save_all(ctx, at.indices);
    at.indices.clear();
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const PreparedIndex back{at.plan, saved_all(ctx, at.plan.dims.size())};
    Tensors out(2);
    if (ctx.needs(0))
      out[0] = accumulate ? g : put_prepared(g, back, zeros({}, g.dtype(), g.device()), false);
    if (ctx.needs(1)) out[1] = index_prepared(g, back);
    return out;
  }
};

Tensor put_prepared(const Tensor& x, PreparedIndex at, const Tensor& values, bool accumulate) {
  return eg::apply(IndexPut{std::move(at), accumulate}, x, values);
}

// Leading dimensions of size 1 do not count, as in NumPy's assignments.
Tensor fitted_values(const Tensor& x, const PreparedIndex& at, const Tensor& values) {
  EG_CHECK(values.dtype() == x.dtype(),
           "Index put requires the source and destination dtypes match, got ", x.dtype(),
           " for the destination and ", values.dtype(), " for the source");
  const Dims sizes = at.plan.result_sizes();
  Tensor v = values;
  while (v.dim() > static_cast<int64_t>(sizes.size()) && v.sizes()[0] == 1) v = select(v, 0, 0);
  EG_CHECK(is_expandable_to(v.sizes(), sizes), "shape mismatch: value tensor of shape ",
           values.sizes(), " cannot be broadcast to indexing result of shape ", sizes);
  return v;
}

// A single mask over all of x: no positions are needed.
bool is_full_mask(const Tensor& x, const TensorList& indices) {
  return indices.size() == 1 && indices[0].defined() && indices[0].dtype() == DType::Bool &&
         x.dim() > 0 && indices[0].sizes() == x.sizes();
}

}  // namespace

Tensor index(const Tensor& x, const TensorList& indices) {
  if (is_full_mask(x, indices) && x.is_contiguous()) {
    const Tensor flat = x.dim() == 1 ? x : reshape(x, {-1});
    PreparedIndex at;
    at.indices = {true_positions(contiguous_data(on_device_of(x, indices)[0]))};
    at.plan = {flat.sizes(), {0}, at.indices[0].sizes(), true, true};
    return index_prepared(flat, std::move(at));
  }
  return index_prepared(x, prepare(x, indices));
}

Tensor index_put(const Tensor& x, const TensorList& indices, const Tensor& values,
                 bool accumulate) {
  PreparedIndex at = prepare(x, indices);
  const Tensor v = fitted_values(x, at, values);
  return put_prepared(x, std::move(at), v, accumulate);
}

// A mask in a shape that broadcasts to x's; undefined for other indices. On the host only masks of all of x: fewer
// dimensions stand for whole rows there, which are faster to find.
static Tensor broadcast_mask(const Tensor& x, const TensorList& indices) {
  if (is_full_mask(x, indices)) return on_device_of(x, indices)[0];
  if (x.device().is_cpu() || indices.empty() || !indices[0].defined()) return {};
  for (size_t i = 1; i < indices.size(); ++i)
    if (indices[i].defined()) return {};
  const Tensor mask = on_device_of(x, indices)[0];
  if (mask.dtype() != DType::Bool || mask.dim() == 0 || mask.dim() > x.dim()) return {};
  Dims sizes = mask.sizes();
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (d >= mask.dim()) {
      sizes.push_back(1);
    } else if (mask.sizes()[d] != x.sizes()[d]) {
      return {};
    }
  }
  const DeviceScope scope(x.device());
  return view(contiguous_data(mask), sizes);
}

Tensor index_put_(const Tensor& self, const TensorList& indices, const Tensor& values,
                  bool accumulate) {
  if (!accumulate && values.dim() == 0 && values.dtype() == self.dtype())
    if (const Tensor mask = broadcast_mask(self, indices); mask.defined())
      return masked_fill_(self, mask, values);
  PreparedIndex at = prepare(self, indices);
  const Tensor v = fitted_values(self, at, values);
  return apply_inplace("index_put_", IndexPut{std::move(at), accumulate}, self, v);
}

// --- along one dimension -------------------------------------------------------------------------------------
namespace {

Tensor vector_index(const char* op, const Tensor& index, int64_t size, int64_t dim,
                    bool wrap = false) {
  EG_CHECK_INDEX(index.dim() <= 1, "[", op, "] Index is supposed to be a vector, got shape ",
                 index.sizes());
  EG_CHECK(index.dtype() == DType::Int64 || index.dtype() == DType::Int32, "[", op,
           "] expected an int32 or int64 index, got ", index.dtype());
  return checked_index({op, ErrorKind::Index, wrap}, index, size, dim);
}

// 0-d tensors are vectors of one element here.
Tensor at_least_1d(const Tensor& x) { return x.dim() ? x : make_view(x, {1}, {1}, x.offset()); }

struct IndexSelectSpread {
  static constexpr const char* name = "IndexSelectSpread";
  int64_t dim;
  Dims in_sizes;

  Tensor forward(Context& ctx, const Tensor& g, const Tensor& index) {
    Tensor out = zeros(in_sizes, g.dtype(), g.device());
    const Tensor rows = at_least_1d(out), packed = contiguous_data(g);
    kernels<IndexKernels>().fold(g.dtype(), Fold::Add, out.raw(), packed.raw(),
                                 AlongDim(rows, dim, index).positions(), false);
    ctx.save(index);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {index_select(g, dim, ctx.saved(0)), Tensor()};
  }
};

}  // namespace

Tensor spread_rows(Context& ctx, size_t input, const Tensor& g, int64_t dim, const Tensor& index,
                   const Dims& in_sizes) {
  Tensor* held = ctx.accumulator(input);
  if (held && !grad_enabled() && held->dtype() == g.dtype() && held->sizes() == in_sizes) {
    const Tensor packed = contiguous_data(g);
    kernels<IndexKernels>().fold(g.dtype(), Fold::Add, held->raw(), packed.raw(),
                                 AlongDim(at_least_1d(*held), dim, index).positions(), false);
    return Context::accumulated();
  }
  return eg::apply(IndexSelectSpread{dim, in_sizes}, g, index);
}

namespace {

struct IndexSelect {
  static constexpr const char* name = "IndexSelect";
  int64_t dim;
  Dims in_sizes;

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& index) {
    in_sizes = x.sizes();
    Dims sizes = x.sizes();
    if (x.dim()) sizes[dim] = index.numel();
    Tensor out = empty(sizes, x.dtype(), x.device());
    if (out.numel()) {
      const Tensor rows = at_least_1d(x);
      kernels<IndexKernels>().take(x.item_size(), out.raw(), x.raw(),
                                   AlongDim(rows, dim, index).positions());
    }
    ctx.save(index);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {spread_rows(ctx, 0, g, dim, ctx.saved(0), in_sizes), Tensor()};
  }
};

}  // namespace

Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index) {
  const int64_t d = wrap_dim(dim, x.dim()), size = x.dim() ? x.sizes()[d] : 1;
  EG_CHECK(x.dim() || index.numel() == 1,
           "[index_select] expected one index for a 0-d tensor, got ", index.numel());
  const Tensor at = vector_index("index_select", index, size, d);
  return eg::apply(IndexSelect{d, {}}, x, at);
}

namespace {

struct IndexAdd {
  static constexpr const char* name = "IndexAdd";
  int64_t dim;
  bool in_place = false;

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& src, const Tensor& index) {
    Tensor out = writable(x, in_place);
    const Tensor packed = contiguous_data(apart_from(out, src));
    kernels<IndexKernels>().fold(x.dtype(), Fold::Add, out.raw(), packed.raw(),
                                 AlongDim(at_least_1d(out), dim, index).positions(), false);
    ctx.save(index);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(3);
    if (ctx.needs(0)) out[0] = g;
    if (ctx.needs(1)) out[1] = index_select(g, dim, ctx.saved(0));
    return out;
  }
};

struct IndexCopy {
  static constexpr const char* name = "IndexCopy";
  int64_t dim;
  bool in_place = false;

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& src, const Tensor& index) {
    Tensor out = writable(x, in_place);
    const Tensor packed = contiguous_data(apart_from(out, src));
    kernels<IndexKernels>().fold(x.dtype(), Fold::Put, out.raw(), packed.raw(),
                                 AlongDim(at_least_1d(out), dim, index).positions(), false);
    ctx.save(index);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(3);
    const Tensor index = ctx.saved(0);
    if (ctx.needs(0)) out[0] = index_fill(g, dim, index, zeros({}, g.dtype(), g.device()));
    if (ctx.needs(1)) out[1] = index_select(g, dim, index);
    return out;
  }
};

struct IndexFill {
  static constexpr const char* name = "IndexFill";
  int64_t dim;
  bool in_place = false;

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& value, const Tensor& index) {
    Tensor out = writable(x, in_place, true);
    const Tensor one = cast_data(value, x.dtype());
    kernels<IndexKernels>().fold(x.dtype(), Fold::Put, out.raw(), one.raw(),
                                 AlongDim(at_least_1d(out), dim, index).positions(), true);
    ctx.save(index);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(3);
    const Tensor index = ctx.saved(0);
    if (ctx.needs(0)) out[0] = index_fill(g, dim, index, zeros({}, g.dtype(), g.device()));
    if (ctx.needs(1)) {
      // Every filled element once, however often index names it.
      const Tensor one = ones_like(g.detach());
      const Tensor kept = index_fill(one, dim, index, zeros({}, g.dtype(), g.device()));
      out[1] = sum(mul(g, sub(one, kept)));
    }
    return out;
  }
};

// Checks shared by index_add and index_copy; the wrapped dim and the checked index.
struct RowsArgs {
  int64_t dim;
  Tensor index;
};
RowsArgs check_rows(const char* op, const Tensor& x, int64_t dim, const Tensor& index,
                    const Tensor& src) {
  const int64_t d = wrap_dim(dim, x.dim());
  EG_CHECK(x.dtype() == src.dtype(), "[", op, "] expected input and source of one dtype, got ",
           x.dtype(), " and ", src.dtype());
  const Tensor at = vector_index(op, index, x.dim() ? x.sizes()[d] : 1, d);
  const int64_t rows = src.dim() ? src.size(std::min(d, src.dim() - 1)) : 1;
  EG_CHECK_KIND(Runtime, at.numel() == rows, "[", op, "] Number of indices (", at.numel(),
                ") should be equal to the size of source along dimension ", d, " (", rows, ")");
  Dims expect = x.sizes();
  if (x.dim()) expect[d] = at.numel();
  const bool fits = src.sizes() == expect || (src.numel() == 1 && product(expect) == 1);
  EG_CHECK(fits, "[", op, "] expected a source of shape ", expect, ", got ", src.sizes());
  return {d, at};
}

Tensor scaled(const Tensor& src, const Scalar& alpha) {
  if (!alpha.is_float() && alpha.to_int() == 1) return src;
  EG_CHECK(!alpha.is_float() || src.is_floating(),
           "[index_add] for integral tensors alpha must not be a float");
  return mul(src, Tensor(alpha));
}

Tensor index_add_alpha(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                       const Scalar& alpha) {
  const RowsArgs a = check_rows("index_add", x, dim, index, source);
  return eg::apply(IndexAdd{a.dim}, x, scaled(source, alpha), a.index);
}
Tensor index_add_inplace(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                         const Scalar& alpha) {
  const RowsArgs a = check_rows("index_add", x, dim, index, source);
  return apply_inplace("index_add_", IndexAdd{a.dim}, x, scaled(source, alpha), a.index);
}
Tensor index_copy(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
  const RowsArgs a = check_rows("index_copy", x, dim, index, source);
  return eg::apply(IndexCopy{a.dim}, x, source, a.index);
}
Tensor index_copy_inplace(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
  const RowsArgs a = check_rows("index_copy", x, dim, index, source);
  return apply_inplace("index_copy_", IndexCopy{a.dim}, x, source, a.index);
}

RowsArgs check_fill(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& value) {
  const int64_t d = wrap_dim(dim, x.dim());
  EG_CHECK(value.dim() == 0, "[index_fill] expected a number or a 0-d tensor, got shape ",
           value.sizes());
  check_fits("index_fill", value, x.dtype());
  return {d, vector_index("index_fill", index, x.dim() ? x.sizes()[d] : 1, d, true)};
}
Tensor index_fill_inplace(const Tensor& x, int64_t dim, const Tensor& index, const Operand& value) {
  const RowsArgs a = check_fill(x, dim, index, value.tensor);
  return apply_inplace("index_fill_", IndexFill{a.dim}, x, value.tensor, a.index);
}

}  // namespace

Tensor index_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
  return index_add_alpha(x, dim, index, src, Scalar(1));
}

Tensor index_add_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src) {
  return index_add_inplace(self, dim, index, src, Scalar(1));
}

Tensor index_fill(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& value) {
  const RowsArgs a = check_fill(x, dim, index, value);
  return eg::apply(IndexFill{a.dim}, x, value, a.index);
}

namespace {

TensorList unravel_index(const Tensor& indices, const Dims& shape) {
  EG_CHECK_TYPE(is_integral(indices.dtype()), "[unravel_index] expected integer indices, got ",
                indices.dtype());
  for (int64_t s : shape)
    EG_CHECK_VALUE(s >= 0, "[unravel_index] expected sizes of at least 0, got ", shape);
  const Tensor flat =
      checked_index({"unravel_index", ErrorKind::Value, false}, indices, product(shape), 0);
  TensorList out;
  if (shape.empty()) return out;
  const int64_t n = flat.numel(), dims = static_cast<int64_t>(shape.size());
  Tensor all = empty({n, dims}, DType::Int64, indices.device());
  coordinates(flat, shape, all.data<int64_t>(), dims, 1);
  Dims strides = contiguous_strides(indices.sizes());
  for (int64_t& s : strides) s *= dims;
  for (int64_t d = 0; d < dims; ++d) out.push_back(make_view(all, indices.sizes(), strides, d));
  return out;
}

EG_OP(
    &index_select, "index_select(input, dim, index)",
    R"(The entries of a dimension that a vector of indices names, in that order. Raises IndexError out of range.

>>> eg.tensor([[1, 2], [3, 4]]).index_select(0, eg.tensor([1, 1])).tolist()
[[3, 4], [3, 4]]
)",
    kOut)
EG_OP(&index_add_alpha, "index_add(input, dim, index, source, *, alpha=1)",
      "A copy of input to which alpha times the entries of source are added where index says.",
      kOut)
EG_OP(&index_add_inplace, "index_add_(input, dim, index, source, *, alpha=1)",
      "index_add() in place.", kMethodOnly)
EG_OP(&index_copy, "index_copy(input, dim, index, source)",
      "A copy of input in which the entries that index names are those of source.", kOut)
EG_OP(&index_copy_inplace, "index_copy_(input, dim, index, source)", "index_copy() in place.",
      kMethodOnly)
EG_OP(
    +[](const Tensor& x, int64_t dim, const Tensor& index, const Operand& value) {
      return index_fill(x, dim, index, value.tensor);
    },
    "index_fill(input, dim, index, value)",
    "A copy of input in which the entries that index names are all `value`.")
EG_OP(&index_fill_inplace, "index_fill_(input, dim, index, value)", "index_fill() in place.",
      kMethodOnly)
EG_OP(
    +[](const Tensor& input, const IndexList& indices, const Tensor& values, bool accumulate) {
      return index_put(input, indices.tensors, values, accumulate);
    },
    "index_put(input, indices, values, accumulate=False)",
    R"(A copy of input with input[indices] = values, or += with accumulate, repeated indices added up.

>>> eg.zeros(3).index_put((eg.tensor([0, 0]),), eg.tensor([1., 2.]), accumulate=True).tolist()
[3.0, 0.0, 0.0]
)")
EG_OP(
    +[](const Tensor& input, const IndexList& indices, const Tensor& values, bool accumulate) {
      return index_put_(input, indices.tensors, values, accumulate);
    },
    "index_put_(input, indices, values, accumulate=False)", "index_put() in place.")
EG_OP(
    +[](const Tensor& x, bool as_tuple) {
      return as_tuple ? detail::TensorOrTuple{{}, nonzero_columns(x)}
                      : detail::TensorOrTuple{nonzero(x), {}};
    },
    "nonzero(input, *, as_tuple=False)",
    R"(The coordinates of nonzero elements: one a row, or with as_tuple one tensor a dimension.

>>> eg.tensor([0, 3, 4]).nonzero().tolist()
[[1], [2]]
)",
    kOut)
EG_OP(&nonzero_columns, "where(condition)",
      "The coordinates of nonzero elements, one tensor a dimension.", kFunctionOnly)
EG_WAITS("nonzero argwhere", "how many there are")
EG_WAITS("index_put", "with a mask: how many elements it has")
EG_OP(&nonzero, "argwhere(input)", "The coordinates of nonzero elements, one a row.")
EG_OP(&unravel_index, "unravel_index(indices, shape)",
      "Coordinates in an array of that shape of flat positions, one tensor a dimension.",
      kFunctionOnly)

}  // namespace

}  // namespace eg
