// as_strided: any layout of a storage, and its gradient.
#include "ops/registry.h"
#include "ops/views.h"

namespace eg {
namespace {

struct Layout {
  Dims sizes, strides;
  int64_t offset = 0;

  static Layout of(const Tensor& t) { return {t.sizes(), t.strides(), t.offset()}; }
  bool empty() const {
    for (int64_t s : sizes)
      if (s == 0) return true;
    return false;
  }
  int64_t last() const {
    int64_t at = offset;
    for (size_t d = 0; d < sizes.size(); ++d) at += (sizes[d] - 1) * strides[d];
    return at;
  }
  bool repeats() const {  // conservative: may say yes where no element is shown twice
    SmallVec<std::pair<int64_t, int64_t>, 6> dims;
    for (size_t d = 0; d < sizes.size(); ++d)
      if (sizes[d] > 1) dims.push_back({strides[d], sizes[d]});
    std::sort(dims.begin(), dims.end());
    int64_t reach = 0;
    for (const auto& [stride, size] : dims) {
      if (stride <= reach) return true;
      reach += stride * (size - 1);
    }
    return false;
  }
  Tensor cut(const Tensor& buffer, int64_t shift) const {
    return make_view(buffer, sizes, strides, offset - shift);
  }
};

// buffer[layout] += v, one element after the other where the layout shows elements twice.
void add_layout(const Tensor& buffer, int64_t shift, const Layout& layout, const Tensor& v) {
  if (!layout.repeats()) return add_into(layout.cut(buffer, shift), v);
  Layout inner = layout;
  inner.sizes.erase(0);
  inner.strides.erase(0);
  Dims vs = v.sizes(), vt = v.strides();
  vs.erase(0);
  vt.erase(0);
  for (int64_t i = 0; i < layout.sizes[0]; ++i) {
    inner.offset = layout.offset + i * layout.strides[0];
    add_layout(buffer, shift, inner, make_view(v, vs, vt, v.offset() + i * v.strides()[0]));
  }
}

// Writes values at `from`, reads them at `to`. Where a layout shows an element n times, `average` divides by n.
struct Relayout {
  static constexpr const char* name = "AsStridedGradient";
  Layout from, to;
  bool average_from, average_to;

  Tensor counts(const Layout& layout, int64_t shift, int64_t length, const Tensor& like) const {
    Tensor buffer = zeros({length}, like.dtype(), like.device());
    Tensor one = full({}, Scalar(1), like.dtype(), like.device());
    add_layout(buffer, shift, layout,
               make_view(one, layout.sizes, Dims(layout.sizes.size(), 0), 0));
    return layout.cut(buffer, shift);
  }
  Tensor forward(Context&, const Tensor& v) {
    if (from.empty() || to.empty()) return zeros(to.sizes, v.dtype(), v.device());
    const int64_t shift = std::min(from.offset, to.offset);
    const int64_t length = std::max(from.last(), to.last()) - shift + 1;
    Tensor value = v;
    if (average_from && from.repeats()) value = div(v, counts(from, shift, length, v));
    Tensor buffer = zeros({length}, v.dtype(), v.device());
    add_layout(buffer, shift, from, value);
    Tensor out = to.cut(buffer, shift);
    if (average_to && to.repeats()) out = div(out, counts(to, shift, length, v));
    return contiguous_data(out);
  }
  Tensors backward(Context&, const Tensor& g) {
    return {apply(Relayout{to, from, average_to, average_from}, g)};
  }
};

struct AsStrided {
  static constexpr const char* name = "AsStrided";
  static constexpr bool is_view = true;
  Layout to, from;

  Tensor forward(Context&, const Tensor& x) {
    from = Layout::of(x);
    return alias(x, to.sizes, to.strides, to.offset);
  }
  Tensors backward(Context&, const Tensor& g) {
    return {apply(Relayout{to, from, false, true}, g)};
  }
};

Tensor like_layout(const Tensor& x, const Layout& layout) {
  Tensor out = empty_strided(layout.sizes, layout.strides, x.dtype(), x.device());
  copy_into(out, x);
  return out;
}

struct AsStridedScatter {
  static constexpr const char* name = "AsStridedScatter";
  Layout to, from;

  Tensor forward(Context&, const Tensor& x, const Tensor& value) {
    Tensor out = like_layout(x, from);
    copy_into(alias(out, to.sizes, to.strides, to.offset - from.offset), value);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(2);
    if (ctx.needs(0)) {
      Tensor mask = zeros(from.sizes, DType::Bool, g.device());
      mask = like_layout(mask, from);
      fill(alias(mask, to.sizes, to.strides, to.offset - from.offset), Scalar(true));
      out[0] = masked_fill(g, mask, Tensor(0.0));
    }
    if (ctx.needs(1)) out[1] = apply(Relayout{from, to, false, false}, g);
    return out;
  }
};

}  // namespace

namespace {

void check_layout(const char* op, IntSpan sizes, IntSpan strides, int64_t offset) {
  EG_CHECK(sizes.size() == strides.size(), "[", op,
           "] expected as many strides as sizes, got size ", sizes, " and stride ", strides);
  for (int64_t s : strides)
    EG_CHECK(s >= 0, "[", op, "] expected strides of at least 0, got ", strides);
  EG_CHECK(offset >= 0, "[", op, "] expected a storage offset of at least 0, got ", offset);
  checked_numel(sizes);
}

}  // namespace

Tensor as_strided(const Tensor& x, IntSpan sizes, IntSpan strides, int64_t offset) {
  check_layout("as_strided", sizes, strides, offset);
  return apply(AsStrided{{sizes.dims(), strides.dims(), offset}, {}}, x);
}

Tensor as_strided_scatter(const Tensor& x, const Tensor& value, IntSpan sizes, IntSpan strides,
                          int64_t offset) {
  check_layout("as_strided_scatter", sizes, strides, offset);
  EG_CHECK(value.sizes() == sizes.dims(), "[as_strided_scatter] expected src of shape ", sizes,
           ", got ", value.sizes());
  return apply(AsStridedScatter{{sizes.dims(), strides.dims(), offset}, Layout::of(x)}, x, value);
}

namespace {

Tensor as_strided_op(const Tensor& x, const Dims& size, const Dims& stride,
                     std::optional<int64_t> storage_offset) {
  return as_strided(x, size, stride, storage_offset.value_or(x.offset()));
}

EG_OP(
    +[](const Tensor& x) { return int64_t(x.storage().bytes()); }, "_storage_bytes(input)",
    "Size of the memory that input and its views share.", kInternal)
EG_OP(&as_strided_op, "as_strided(input, size, stride, storage_offset=None)",
      "A view of input's storage with the given sizes, strides and offset, in elements.")
EG_OP(
    +[](const Tensor& x, const Tensor& src, const Dims& size, const Dims& stride,
        std::optional<int64_t> storage_offset) {
      return as_strided_scatter(x, src, size, stride, storage_offset.value_or(x.offset()));
    },
    "as_strided_scatter(input, src, size, stride, storage_offset=None)",
    "A copy of input in which the elements that as_strided() would show are those of src.")
EG_OP(
    +[](const Tensor& x, const Dims& size, const Dims& stride, std::optional<int64_t> offset) {
      return become(x, as_strided_op(x, size, stride, offset));
    },
    "as_strided_(input, size, stride, storage_offset=None)",
    "as_strided() that changes the tensor itself.", kMethodOnly)

}  // namespace

}  // namespace eg
