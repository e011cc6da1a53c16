// Boolean masks, and positions in the flattened tensor.
#include "core/parallel.h"
#include "ops/creation.h"
#include "ops/index.h"

namespace eg {
namespace {

StridedTriple triple_of(const Tensor& out, const Tensor& x, const Tensor& mask) {
  const auto strides_in = [&](const Tensor& t) {
    Dims strides(out.dim(), 0);
    const int64_t lead = out.dim() - t.dim();
    for (int64_t d = 0; d < t.dim(); ++d)
      if (t.sizes()[d] != 1) strides[lead + d] = t.strides()[d];
    return strides;
  };
  const Dims xs = strides_in(x), ms = strides_in(mask);
  StridedTriple t;
  t.out = out.raw();
  t.x = x.raw();
  t.mask = mask.raw();
  t.ndim = 0;
  for (int64_t d = 0; d < out.dim(); ++d) {
    const int64_t n = out.sizes()[d], os = out.strides()[d];
    if (n == 1) continue;
    const int last = t.ndim - 1;
    if (last >= 0 && t.out_strides[last] == n * os && t.x_strides[last] == n * xs[d] &&
        t.mask_strides[last] == n * ms[d]) {
      t.sizes[last] *= n;
    } else {
      t.sizes[t.ndim++] = n;
    }
    t.out_strides[t.ndim - 1] = os;
    t.x_strides[t.ndim - 1] = xs[d];
    t.mask_strides[t.ndim - 1] = ms[d];
  }
  if (t.ndim == 0) {
    t.ndim = 1;
    t.sizes[0] = t.out_strides[0] = t.x_strides[0] = t.mask_strides[0] = 1;
  }
  return t;
}

struct MaskedFill {
  static constexpr const char* name = "MaskedFill";
  bool in_place = false;

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& value, const Tensor& mask) {
    Tensor out = in_place
                     ? make_view(x, x.sizes(), x.strides(), x.offset())
                     : empty(elementwise_shape(x.sizes(), mask.sizes()), x.dtype(), x.device());
    const Tensor one = cast_data(value, x.dtype());
    const Tensor bytes = apart_from(out, mask);
    if (out.numel())
      kernels<IndexKernels>().masked_fill(x.item_size(), triple_of(out, x, bytes), one.raw());
    ctx.save(mask);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(3);
    const Tensor mask = ctx.saved(0), zero = zeros({}, g.dtype(), g.device());
    if (ctx.needs(0)) out[0] = masked_fill(g, mask, zero);
    if (ctx.needs(1)) out[1] = sum(where(mask, g, zero));
    return out;
  }
};

void check_mask_fill(const Tensor& x, const Tensor& mask, const Tensor& value) {
  EG_CHECK(mask.dtype() == DType::Bool, "[masked_fill] expected a boolean mask, got ",
           mask.dtype());
  EG_CHECK(value.dim() == 0, "[masked_fill] expected a number or a 0-d tensor as value, got shape ",
           value.sizes());
  check_fits("masked_fill", value, x.dtype());
}

}  // namespace

Tensor masked_fill(const Tensor& x, const Tensor& mask, const Tensor& value) {
  check_mask_fill(x, mask, value);
  return eg::apply(MaskedFill{}, x, value, mask);
}

Tensor masked_fill_(const Tensor& self, const Tensor& mask, const Tensor& value) {
  check_mask_fill(self, mask, value);
  EG_CHECK(is_expandable_to(mask.sizes(), self.sizes()), "[masked_fill_] a mask of shape ",
           mask.sizes(), " does not broadcast to ", self.sizes());
  return apply_inplace("masked_fill_", MaskedFill{}, self, value, mask);
}

namespace {

Tensor masked_select(const Tensor& x, const Tensor& mask) {
  EG_CHECK(mask.dtype() == DType::Bool, "[masked_select] expected a boolean mask, got ",
           mask.dtype());
  const Dims sizes = elementwise_shape(x.sizes(), mask.sizes());
  const Tensor wide = x.sizes() == sizes ? x : expand(x, sizes);
  const Tensor flat = reshape(wide, {-1});
  const Tensor where = mask.sizes() == sizes ? mask : expand(mask, sizes);
  return named(index_select(flat, 0, true_positions(contiguous_data(where))),
               "MaskedSelectBackward0");
}

struct MaskedScatterArgs {
  TensorList indices;
  Tensor values;
};
// `flat`: x is flattened, and takes one index.
MaskedScatterArgs masked_scatter_args(const Tensor& x, const Tensor& mask, const Tensor& source,
                                      bool flat) {
  EG_CHECK(mask.dtype() == DType::Bool, "[masked_scatter] expected a boolean mask, got ",
           mask.dtype());
  EG_CHECK(x.dtype() == source.dtype(),
           "[masked_scatter] expected input and source of one dtype, got ", x.dtype(), " and ",
           source.dtype());
  const Tensor where = contiguous_data(mask.sizes() == x.sizes() ? mask : expand(mask, x.sizes()));
  const Tensor at = true_positions(where);
  const int64_t n = at.numel();
  EG_CHECK(source.numel() >= n, "[masked_scatter] expected at least ", n,
           " elements of source, one for each true element of the mask, got ", source.numel());
  MaskedScatterArgs out{{}, narrow(reshape(source, {-1}), 0, 0, n)};
  if (flat) {
    out.indices.push_back(at);
    return out;
  }
  Tensor all = empty({x.dim(), n}, DType::Int64, x.device());
  coordinates(at, x.sizes(), all.data<int64_t>(), 1, n);
  for (int64_t d = 0; d < x.dim(); ++d) out.indices.push_back(make_view(all, {n}, {1}, d * n));
  return out;
}

// Where the tape does not look, one index of the flattened tensor saves one for each dimension.
bool scatters_flat(const Tensor& x, const Tensor& source) {
  return x.is_contiguous() && !(grad_enabled() && (x.requires_grad() || source.requires_grad()));
}

// The same on a device, where nobody waits for the number of true elements: each takes the source's element of its number.
Tensor scattered_there(const Tensor& x, const Tensor& mask, const Tensor& source) {
  if (x.numel() == 0) return clone(x);
  const Tensor number = cumsum(view(contiguous_data(cast_data(mask, DType::Int64)), {-1}), 0);
  require(le(select(number, 0, -1), Tensor(Scalar(source.numel()))),
          {ErrorKind::Runtime, "masked_scatter",
           "expected an element of source for each true element of the mask"});
  if (source.numel() == 0) return clone(x);
  const Tensor first = maximum(sub(number, Tensor(1)), Tensor(0));
  const Tensor at = minimum(first, Tensor(Scalar(source.numel() - 1)));
  return where(mask, view(index_select(reshape(source, {-1}), 0, at), x.sizes()), x);
}

Tensor masked_scatter(const Tensor& input, const Tensor& mask, const Tensor& source) {
  const Dims sizes = elementwise_shape(input.sizes(), mask.sizes());
  const Tensor x = input.sizes() == sizes ? input : expand(input, sizes);
  if (x.dim() == 0) return reshape(masked_scatter(reshape(x, {1}), reshape(mask, {1}), source), {});
  if (!x.device().is_cpu() && x.dtype() == source.dtype() && mask.dtype() == DType::Bool)
    return scattered_there(x, mask.sizes() == sizes ? mask : expand(mask, sizes), source);
  const bool flat = scatters_flat(x, source);
  const MaskedScatterArgs a = masked_scatter_args(x, mask, source, flat);
  if (flat) return view(index_put(view(x, {-1}), a.indices, a.values, false), sizes);
  return named(index_put(x, a.indices, a.values, false), "MaskedScatterBackward0");
}

Tensor masked_scatter_inplace(const Tensor& x, const Tensor& mask, const Tensor& source) {
  EG_CHECK(is_expandable_to(mask.sizes(), x.sizes()), "[masked_scatter_] a mask of shape ",
           mask.sizes(), " does not broadcast to ", x.sizes());
  if (x.device().is_cpu() && scatters_flat(x, source)) {
    const MaskedScatterArgs a = masked_scatter_args(x, mask, source, true);
    index_put_(view(x, {-1}), a.indices, a.values, false);
  } else {
    check_inplace(x, "masked_scatter_");
    assign(x, masked_scatter(x, mask, source));
  }
  return x;
}

// --- flat positions ---------------------------------------------------------------------------------------------
Tensor flat_index(const char* op, const Tensor& x, const Tensor& index) {
  EG_CHECK(index.dtype() == DType::Int64, "[", op, "] expected an int64 index, got ",
           index.dtype());
  EG_CHECK_INDEX(x.numel() > 0 || index.numel() == 0, "[", op, "] an empty tensor has no elements");
  return checked_index({op, ErrorKind::Index, true}, reshape(index, {-1}), x.numel(), 0);
}

Tensor take(const Tensor& x, const Tensor& index) {
  const Tensor at = flat_index("take", x, index);
  return named(reshape(index_select(reshape(x, {-1}), 0, at), index.sizes()), "TakeBackward0");
}

Tensor put(const Tensor& x, const Tensor& index, const Tensor& source, bool accumulate) {
  EG_CHECK_INDEX(index.numel() == source.numel(),
                 "[put] expected as many source elements as indices, got ", source.numel(), " and ",
                 index.numel());
  EG_CHECK(x.dtype() == source.dtype(), "[put] expected input and source of one dtype, got ",
           x.dtype(), " and ", source.dtype());
  const Tensor at = flat_index("put", x, index);
  return reshape(index_put(reshape(x, {-1}), {at}, reshape(source, {-1}), accumulate), x.sizes());
}

EG_OP(
    +[](const Tensor& x, const Tensor& mask, const Operand& value) {
      return masked_fill(x, mask, value.tensor);
    },
    "masked_fill(input, mask, value)",
    R"(A copy of input with `value`, a number or a 0-d tensor, where the mask is true; they are broadcast.

>>> eg.tensor([1, 2, 3]).masked_fill(eg.tensor([True, False, True]), 0).tolist()
[0, 2, 0]
)")
EG_OP(
    +[](const Tensor& x, const Tensor& mask, const Operand& value) {
      return masked_fill_(x, mask, value.tensor);
    },
    "masked_fill_(input, mask, value)", "masked_fill() in place.", kMethodOnly)
EG_WAITS("masked_select", "how many there are")
EG_OP(&masked_select, "masked_select(input, mask)",
      R"(The elements where the mask is true, in one dimension; input and mask are broadcast.

>>> eg.tensor([1, 2, 3]).masked_select(eg.tensor([True, False, True])).tolist()
[1, 3]
)",
      kOut)
EG_OP(&masked_scatter, "masked_scatter(input, mask, source)",
      "A copy of input in which the elements where the mask is true come from source, in order.")
EG_OP(&masked_scatter_inplace, "masked_scatter_(input, mask, source)", "masked_scatter() in place.",
      kMethodOnly)
EG_OP(&take, "take(input, index)",
      "The elements at positions of the flattened input, in the shape of index.", kOut)
EG_OP(&put, "put(input, index, source, accumulate=False)",
      "A copy of input with source at positions of the flattened tensor, or added there.", kInplace)
}  // namespace

}  // namespace eg
