// Tensors put together and taken apart: cat, stack, split and their relatives.
#include "kernels/shape.h"
#include "ops/copy.h"
#include "ops/registry.h"
#include "ops/views.h"

namespace eg {
namespace {

int64_t product(IntSpan sizes, size_t begin, size_t end) {
  int64_t n = 1;
  for (size_t d = begin; d < end; ++d) n *= sizes[d];
  return n;
}

// Tensors of up to this many bytes a row are joined by strided copies.
constexpr int64_t kNarrow = 16;

struct Cat {
  static constexpr const char* name = "Cat";
  int64_t dim;
  Dims lengths;

  Tensor forward(Context&, const TensorList& list) {
    Dims sizes = list[0].sizes();
    sizes[dim] = 0;
    bool dense = true;
    for (const Tensor& t : list) {
      lengths.push_back(t.sizes()[dim]);
      sizes[dim] += lengths.back();
      dense &= t.is_contiguous();
    }
    bool last = sizes.size() >= 4;
    if (EG_UNLIKELY(last))
      for (const Tensor& t : list) last = last && channels_last(t);
    Tensor out = last ? empty_as_lies(list[0], sizes, list[0].dtype())
                      : empty(sizes, list[0].dtype(), list[0].device());
    dense &= out.is_contiguous();
    const int64_t outer = product(sizes, 0, dim);
    const int64_t inner = product(sizes, dim + 1, sizes.size()) * out.item_size();
    if (dense && (outer == 1 || inner * lengths[0] > kNarrow)) {
      SmallVec<Piece, 8> pieces;
      for (const Tensor& t : list)
        pieces.push_back({t.raw(), t.sizes()[dim] * inner, t.sizes()[dim] * inner});
      kernels<ShapeKernels>().join(out.raw(), outer, pieces.data(), int64_t(pieces.size()));
      return out;
    }
    Region r = Region::whole(sizes);
    for (const Tensor& t : list) {
      r.axes[dim].size = t.sizes()[dim];
      copy_into(r.of(out), t);
      r.start[dim] += t.sizes()[dim];
    }
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(lengths.size());
    int64_t start = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      if (ctx.needs(i)) out[i] = narrow(g, dim, start, lengths[i]);
      start += lengths[i];
    }
    return out;
  }
};

struct Stack {
  static constexpr const char* name = "Stack";
  int64_t dim;
  size_t count = 0;

  Tensor forward(Context&, const TensorList& list) {
    count = list.size();
    Dims sizes = list[0].sizes();
    const int64_t outer = product(sizes, 0, dim);
    const int64_t width = product(sizes, dim, sizes.size()) * list[0].item_size();
    sizes.insert(dim, static_cast<int64_t>(count));
    Tensor out = empty(sizes, list[0].dtype(), list[0].device());
    bool dense = outer == 1 || width > kNarrow;
    for (const Tensor& t : list) dense &= t.is_contiguous();
    if (dense) {
      SmallVec<Piece, 8> pieces;
      for (const Tensor& t : list) pieces.push_back({t.raw(), width, width});
      kernels<ShapeKernels>().join(out.raw(), outer, pieces.data(), int64_t(pieces.size()));
      return out;
    }
    Region r = Region::whole(sizes);
    r.axes.erase(dim);
    for (const Tensor& t : list) {
      copy_into(r.of(out), t);
      ++r.start[dim];
    }
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(count);
    for (size_t i = 0; i < count; ++i)
      if (ctx.needs(i)) out[i] = select(g, dim, i);
    return out;
  }
};

struct Split {
  static constexpr const char* name = "Split";
  static constexpr bool is_view = true;
  int64_t dim;
  Dims lengths;
  Dims in_sizes;
  const char* shown = "SplitWithSizes";

  std::string title() const { return shown; }
  TensorList forward(Context&, const Tensor& x) {
    in_sizes = x.sizes();
    TensorList out;
    Region r = Region::whole(x.sizes());
    for (int64_t n : lengths) {
      r.axes[dim].size = n;
      out.push_back(r.of(x));
      r.start[dim] += n;
    }
    return out;
  }
  Tensors backward(Context&, const Tensors& grads) {
    const Tensor* some = nullptr;
    for (const Tensor& g : grads)
      if (g.defined()) some = &g;
    TensorList parts;
    Dims sizes = in_sizes;
    for (size_t i = 0; i < lengths.size(); ++i) {
      sizes[dim] = lengths[i];
      parts.push_back(grads[i].defined() ? grads[i] : zeros(sizes, some->dtype(), some->device()));
    }
    return {cat(parts, dim)};
  }
};

struct Unbind {
  static constexpr const char* name = "Unbind";
  static constexpr bool is_view = true;
  int64_t dim;
  Dims in_sizes;

  TensorList forward(Context&, const Tensor& x) {
    in_sizes = x.sizes();
    TensorList out;
    Region r = Region::whole(x.sizes());
    r.axes.erase(dim);
    for (; r.start[dim] < in_sizes[dim]; ++r.start[dim]) out.push_back(r.of(x));
    return out;
  }
  Tensors backward(Context&, const Tensors& grads) {
    const Tensor* some = nullptr;
    for (const Tensor& g : grads)
      if (g.defined()) some = &g;
    Dims sizes = in_sizes;
    sizes.erase(dim);
    TensorList parts;
    for (const Tensor& g : grads)
      parts.push_back(g.defined() ? g : zeros(sizes, some->dtype(), some->device()));
    return {stack(parts, dim)};
  }
};

bool mixes_dtypes(const TensorList& list) {
  for (const Tensor& t : list)
    if (t.dtype() != list[0].dtype()) return true;
  return false;
}

// All of one dtype, promoted as arithmetic promotes.
TensorList same_dtype(const TensorList& list) {
  if (!mixes_dtypes(list)) return list;
  const DType dtype = result_type(list.data(), list.size());
  TensorList out;
  for (const Tensor& t : list) out.push_back(to(t, dtype));
  return out;
}

bool is_legacy_empty(const Tensor& t) { return t.dim() == 1 && t.numel() == 0; }

}  // namespace

namespace {

Tensor cat_equal(const TensorList& list, int64_t dim) {
  const Dims& sizes = list[0].sizes();
  const int64_t d = wrap_dim(dim, list[0].dim());
  for (size_t i = 1; i < list.size(); ++i) {
    EG_CHECK(list[i].dim() == list[0].dim(),
             "[cat] expected tensors with the same number of dimensions, got shapes ", sizes,
             " and ", list[i].sizes());
    for (int64_t k = 0; k < list[0].dim(); ++k)
      EG_CHECK(k == d || list[i].sizes()[k] == sizes[k],
               "[cat] expected sizes to match except in dimension ", d, ", got shapes ", sizes,
               " and ", list[i].sizes(), " (tensor number ", i, ")");
  }
  return eg::apply(Cat{d, {}}, list);
}

}  // namespace

Tensor cat(const TensorList& list, int64_t dim) {
  EG_CHECK_VALUE(!list.empty(), "[cat] expected a non-empty list of tensors");
  bool skips = false;
  for (const Tensor& t : list) {
    EG_CHECK(t.dim() > 0, "[cat] a 0-d tensor (at position ", &t - list.data(),
             ") cannot be concatenated; use stack()");
    skips |= is_legacy_empty(t);
  }
  if (!skips && !mixes_dtypes(list)) return cat_equal(list, dim);
  // An empty vector joins with anything, as in PyTorch; one with a history in the others' form.
  const TensorList all = same_dtype(list);
  size_t first = 0;
  while (first < all.size() && is_legacy_empty(all[first])) ++first;
  if (first == all.size()) return cat_equal(all, dim);
  Dims none = all[first].sizes();
  none[wrap_dim(dim, all[first].dim())] = 0;
  TensorList used;
  for (const Tensor& t : all)
    if (!is_legacy_empty(t) || t.requires_grad())
      used.push_back(is_legacy_empty(t) ? reshape(t, none) : t);
  return cat_equal(used, dim);
}

Tensor stack(const TensorList& list, int64_t dim) {
  EG_CHECK(!list.empty(), "[stack] expected a non-empty list of tensors");
  const int64_t d = wrap_dim(dim, list[0].dim() + 1);
  for (size_t i = 1; i < list.size(); ++i)
    EG_CHECK(list[i].sizes() == list[0].sizes(), "[stack] expected tensors of equal shape, got ",
             list[0].sizes(), " at entry 0 and ", list[i].sizes(), " at entry ", i);
  return mixes_dtypes(list) ? eg::apply(Stack{d}, same_dtype(list)) : eg::apply(Stack{d}, list);
}

TensorList split_sizes(const Tensor& x, IntSpan sizes, int64_t dim) {
  EG_CHECK(x.dim() > 0, "[split] expected at least one dimension, got a 0-d tensor");
  const int64_t d = wrap_dim(dim, x.dim());
  int64_t total = 0;
  for (int64_t n : sizes) {
    EG_CHECK(n >= 0, "[split] expected sizes of at least 0, got ", sizes);
    total += n;
  }
  EG_CHECK(total == x.sizes()[d], "[split] expected sizes that sum to ", x.sizes()[d],
           " (dimension ", d, " of shape ", x.sizes(), "), got ", sizes);
  return apply(Split{d, sizes.dims(), {}}, x);
}

TensorList unbind(const Tensor& x, int64_t dim) {
  EG_CHECK_INDEX(x.dim() > 0, "[unbind] a 0-d tensor has no dimension to take apart");
  return apply(Unbind{wrap_dim(dim, x.dim()), {}}, x);
}

namespace {

TensorList split_every(const Tensor& x, int64_t size, int64_t dim) {
  EG_CHECK(x.dim() > 0, "[split] expected at least one dimension, got a 0-d tensor");
  EG_CHECK(size >= 0, "[split] expected a split size of at least 0, got ", size);
  const int64_t length = x.size(dim);
  EG_CHECK(size > 0 || length == 0, "[split] split size 0 needs a dimension of size 0, got ",
           length);
  Dims sizes;
  if (length == 0) sizes.push_back(0);
  for (int64_t at = 0; at < length; at += size) sizes.push_back(std::min(size, length - at));
  return eg::apply(Split{wrap_dim(dim, x.dim()), sizes, {}, "Split"}, x);
}

TensorList chunk(const Tensor& x, int64_t chunks, int64_t dim) {
  EG_CHECK(x.dim() > 0, "[chunk] expected at least one dimension, got a 0-d tensor");
  EG_CHECK(chunks > 0, "[chunk] expected at least one chunk, got ", chunks);
  const int64_t length = x.size(dim);
  if (length == 0) return split_sizes(x, Dims(chunks, 0), dim);
  return split_every(x, (length + chunks - 1) / chunks, dim);
}

TensorList sections(const Tensor& x, int64_t count, int64_t dim) {
  EG_CHECK(x.dim() > 0, "[tensor_split] expected at least one dimension, got a 0-d tensor");
  EG_CHECK(count > 0, "[tensor_split] expected at least one section, got ", count);
  const int64_t length = x.size(dim);
  Dims sizes;
  for (int64_t i = 0; i < count; ++i) sizes.push_back(length / count + (i < length % count));
  return split_sizes(x, sizes, dim);
}

// Cut points as Python slices have them: they may be negative, beyond the end or decreasing.
TensorList split_at(const Tensor& x, const Dims& indices, int64_t dim) {
  EG_CHECK(x.dim() > 0, "[tensor_split] expected at least one dimension, got a 0-d tensor");
  TensorList out;
  std::optional<int64_t> start;
  const int64_t length = x.size(dim);
  for (size_t i = 0; i <= indices.size(); ++i) {
    const int64_t end = i < indices.size() ? indices[i] : length;
    out.push_back(slice(x, dim, start.value_or(0), end, 1));
    start = end;
  }
  return out;
}

Dims to_ints(const Tensor& t) {
  const Tensor data = contiguous_data(host_data(t));
  return Dims(data.data<int64_t>(), data.data<int64_t>() + data.numel());
}

TensorList split_at_tensor(const Tensor& x, const Tensor& where, int64_t dim) {
  EG_CHECK(where.dtype() == DType::Int64 && where.dim() <= 1,
           "[tensor_split] expected 0-d or 1-d int64 indices, got ", where.dtype(), " of shape ",
           where.sizes());
  return where.dim() == 0 ? sections(x, where.item().to_int(), dim)
                          : split_at(x, to_ints(where), dim);
}

TensorList split_evenly(const char* op, const Tensor& x, int64_t count, int64_t dim) {
  EG_CHECK(count > 0 && x.size(dim) % count == 0, "[", op, "] dimension ", dim, " of shape ",
           x.sizes(), " does not divide into ", count, " equal parts");
  return sections(x, count, dim);
}

int64_t horizontal(const Tensor& x) {
  EG_CHECK(x.dim() >= 1, "[hsplit] expected at least one dimension, got a 0-d tensor");
  return x.dim() == 1 ? 0 : 1;
}
const Tensor& at_least(const char* op, const Tensor& x, int64_t dims) {
  EG_CHECK(x.dim() >= dims, "[", op, "] expected at least ", dims, " dimensions, got shape ",
           x.sizes());
  return x;
}

// --- joins by shape -------------------------------------------------------------------------------------
Tensor atleast_1d(const Tensor& x) { return x.dim() == 0 ? reshape(x, {1}) : x; }
Tensor atleast_2d(const Tensor& x) {
  return x.dim() == 0 ? reshape(x, {1, 1}) : x.dim() == 1 ? unsqueeze(x, 0) : x;
}
Tensor atleast_3d(const Tensor& x) {
  if (x.dim() == 0) return reshape(x, {1, 1, 1});
  if (x.dim() == 1) return unsqueeze(unsqueeze(x, 0), -1);
  return x.dim() == 2 ? unsqueeze(x, -1) : x;
}

TensorList each(const TensorList& list, Tensor (*f)(const Tensor&)) {
  TensorList out;
  for (const Tensor& t : list) out.push_back(f(t));
  return out;
}

Tensor hstack(const TensorList& tensors) {
  EG_CHECK(!tensors.empty(), "[hstack] expected a non-empty list of tensors");
  const TensorList list = each(tensors, atleast_1d);
  return cat(list, list[0].dim() == 1 ? 0 : 1);
}
Tensor vstack(const TensorList& tensors) {
  EG_CHECK(!tensors.empty(), "[vstack] expected a non-empty list of tensors");
  return cat(each(tensors, atleast_2d), 0);
}
Tensor dstack(const TensorList& tensors) {
  EG_CHECK(!tensors.empty(), "[dstack] expected a non-empty list of tensors");
  return cat(each(tensors, atleast_3d), 2);
}
Tensor column_stack(const TensorList& tensors) {
  EG_CHECK(!tensors.empty(), "[column_stack] expected a non-empty list of tensors");
  return hstack(
      each(tensors, [](const Tensor& t) { return t.dim() <= 1 ? reshape(t, {t.numel(), 1}) : t; }));
}

struct BlockDiag {
  static constexpr const char* name = "BlockDiag";
  SmallVec<Region, 4> regions;
  SmallVec<Dims, 4> in_sizes;

  Tensor forward(Context&, const TensorList& list) {
    Dims size(2, 0);
    for (const Tensor& t : list) {
      size[0] += t.dim() == 2 ? t.sizes()[0] : 1;
      size[1] += t.dim() == 0 ? 1 : t.sizes().back();
    }
    Tensor out = zeros(size, list[0].dtype(), list[0].device());
    Region r = Region::whole(size);
    for (const Tensor& t : list) {
      r.axes[0].size = t.dim() == 2 ? t.sizes()[0] : 1;
      r.axes[1].size = t.dim() == 0 ? 1 : t.sizes().back();
      regions.push_back(r);
      in_sizes.push_back(t.sizes());
      copy_into(r.of(out), t);
      r.start[0] += r.axes[0].size;
      r.start[1] += r.axes[1].size;
    }
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(regions.size());
    for (size_t i = 0; i < regions.size(); ++i)
      if (ctx.needs(i))
        out[i] = reshape(view_region(ViewKind::Slice, g, Region(regions[i])), in_sizes[i]);
    return out;
  }
};

Tensor block_diag(const TensorList& tensors) {
  EG_CHECK(!tensors.empty(), "[block_diag] expected at least one tensor");
  for (const Tensor& t : tensors)
    EG_CHECK(t.dim() <= 2, "[block_diag] expected tensors of at most 2 dimensions, got shape ",
             t.sizes());
  return eg::apply(BlockDiag{}, same_dtype(tensors));
}

TensorList broadcast_tensors(const TensorList& tensors) {
  Dims sizes;
  for (const Tensor& t : tensors) sizes = broadcast_shapes(sizes, t.sizes());
  TensorList out;
  for (const Tensor& t : tensors) out.push_back(t.sizes() == sizes ? t : expand(t, sizes));
  return out;
}

TensorList meshgrid(const TensorList& tensors, const std::optional<std::string>& indexing) {
  EG_CHECK(!tensors.empty(), "[meshgrid] expected at least one tensor");
  const bool swap = indexing && *indexing == "xy";
  EG_CHECK(!indexing || swap || *indexing == "ij",
           "[meshgrid] expected indexing to be 'xy' or 'ij', got '", *indexing, "'");
  static std::atomic<bool> said{false};
  if (!indexing)
    warn_once(said,
              "[meshgrid] expected the argument `indexing`, which a later version will require: "
              "without it, it is 'ij', while NumPy's is 'xy'");
  TensorList list = tensors;
  Dims sizes;
  for (const Tensor& t : list) {
    EG_CHECK(t.dim() <= 1, "[meshgrid] expected 0-d or 1-d tensors, got shape ", t.sizes());
    EG_CHECK(t.dtype() == list[0].dtype(), "[meshgrid] expected tensors of one dtype, got ",
             list[0].dtype(), " and ", t.dtype());
  }
  const bool swapped = swap && list.size() >= 2;
  if (swapped) std::swap(list[0], list[1]);
  for (const Tensor& t : list) sizes.push_back(t.numel());
  TensorList out;
  for (size_t i = 0; i < list.size(); ++i) {
    Dims shape(list.size(), 1);
    shape[i] = sizes[i];
    out.push_back(expand(reshape(list[i], shape), sizes));
  }
  if (swapped) std::swap(out[0], out[1]);
  return out;
}

Tensor cartesian_prod(const TensorList& tensors) {
  EG_CHECK(!tensors.empty(), "[cartesian_prod] expected at least one tensor");
  for (const Tensor& t : tensors)
    EG_CHECK(t.dim() == 1, "[cartesian_prod] expected 1-d tensors, got shape ", t.sizes());
  if (tensors.size() == 1) return tensors[0];
  TensorList columns;
  for (const Tensor& t : meshgrid(tensors, "ij")) columns.push_back(flatten(t, 0, -1));
  return stack(columns, 1);
}

// How many sets of r there are of n.
static int64_t count_of_picks(int64_t n, int64_t r) {
  if (r > n) return 0;
  double count = 1;  // exact as long as it is small enough to be allocated
  for (int64_t i = 1; i <= std::min(r, n - r); ++i) count = count * double(n - i + 1) / double(i);
  EG_CHECK_KIND(Memory, count * double(r) < 1e14, "can't allocate memory for ", count,
                " combinations");
  return static_cast<int64_t>(count + 0.5);
}

Tensor combinations(const Tensor& x, int64_t r, bool with_replacement) {
  EG_CHECK(x.dim() == 1, "[combinations] expected a 1-d tensor, got shape ", x.sizes());
  EG_CHECK(r >= 0 && r <= INT32_MAX, "[combinations] expected r from 0 to ", INT32_MAX, ", got ",
           r);
  if (r == 0) return empty({0}, x.dtype(), x.device());
  const int64_t n = x.numel(), rows = count_of_picks(with_replacement ? n + r - 1 : n, r);
  Tensor index = empty({rows * r}, DType::Int64, Device{});
  std::vector<int64_t> current(r);
  for (int64_t i = 0; i < r; ++i) current[i] = with_replacement ? 0 : i;
  bool more = n > 0 && rows > 0;
  for (int64_t* pick = index.data<int64_t>(); more; pick += r) {
    std::copy(current.begin(), current.end(), pick);
    int64_t i = r - 1;
    while (i >= 0 && current[i] == (with_replacement ? n - 1 : n - r + i)) --i;
    more = i >= 0;
    if (!more) break;
    ++current[i];
    for (int64_t k = i + 1; k < r; ++k)
      current[k] = with_replacement ? current[i] : current[k - 1] + 1;
  }
  return view(index_select(x, 0, device_data(index, x.device())), {rows, r});
}

EG_OP(
    &cat, "cat(tensors, dim=0)",
    R"(Joins tensors along a dimension; the other sizes agree, dtypes are promoted. Raises RuntimeError on other shapes.

>>> eg.cat([eg.tensor([1, 2]), eg.tensor([3])]).tolist()
[1, 2, 3]
)",
    kOutCasts | kFunctionOnly)
EG_OP(&cat, "concat(tensors, dim=0)", "Another name of cat().", kOutCasts | kFunctionOnly)
EG_OP(&cat, "concatenate(tensors, dim=0)", "Another name of cat().", kOutCasts | kFunctionOnly)
EG_OP(&stack, "stack(tensors, dim=0)",
      R"(Joins tensors of one shape along a new dimension.

>>> eg.stack([eg.tensor([1, 2]), eg.tensor([3, 4])], dim=1).tolist()
[[1, 3], [2, 4]]
)",
      kOutCasts | kFunctionOnly)
EG_OP(&hstack, "hstack(tensors)", "Joins tensors side by side: along dimension 1, vectors along 0.",
      kOutCasts | kFunctionOnly)
EG_OP(&vstack, "vstack(tensors)", "Joins tensors as rows, along dimension 0.",
      kOutCasts | kFunctionOnly)
EG_OP(&vstack, "row_stack(tensors)", "Another name of vstack().", kOutCasts | kFunctionOnly)
EG_OP(&dstack, "dstack(tensors)", "Joins tensors in depth, along dimension 2.",
      kOutCasts | kFunctionOnly)
EG_OP(&column_stack, "column_stack(tensors)",
      "Joins vectors as columns, and matrices side by side.", kOutCasts | kFunctionOnly)
EG_OP(&split_every, "split(input, split_size_or_sections, dim=0)",
      R"(Views of consecutive parts: of one size (the last may be smaller), or of the sizes listed.

>>> [t.tolist() for t in eg.arange(5).split(2)]
[[0, 1], [2, 3], [4]]
)")
EG_OP(
    +[](const Tensor& x, const Dims& sizes, int64_t dim) { return split_sizes(x, sizes, dim); },
    "split(input, split_size_or_sections, dim=0)", "")
EG_OP(&split_every, "split(input, split_size, dim=0)", "")
EG_OP(
    +[](const Tensor& x, const Dims& sizes, int64_t dim) { return split_sizes(x, sizes, dim); },
    "split(input, split_size, dim=0)", "")
EG_OP(
    +[](const Tensor& x, const Dims& sizes, int64_t dim) { return split_sizes(x, sizes, dim); },
    "split_with_sizes(input, split_sizes, dim=0)",
    "Views of consecutive parts of the sizes listed.")
EG_OP(&chunk, "chunk(input, chunks, dim=0)",
      "Views of up to `chunks` consecutive parts of equal size; the last may be smaller.")
EG_OP(&split_every, "unsafe_split(input, split_size, dim=0)", "Another name of split() by size.")
EG_OP(&chunk, "unsafe_chunk(input, chunks, dim=0)", "Another name of chunk().")
EG_OP(&sections, "tensor_split(input, sections, dim=0)",
      R"(Views of consecutive parts: so many nearly equal ones, or cut before the indices listed.

>>> [t.tolist() for t in eg.arange(5).tensor_split((1, 3))]
[[0], [1, 2], [3, 4]]
)")
EG_OP(&split_at, "tensor_split(input, indices, dim=0)", "")
EG_OP(&split_at_tensor, "tensor_split(input, tensor_indices_or_sections, dim=0)", "")
EG_OP(
    +[](const Tensor& x, int64_t n) { return split_evenly("hsplit", x, n, horizontal(x)); },
    "hsplit(input, sections)", "tensor_split() along dimension 1; vectors along 0.")
EG_OP(
    +[](const Tensor& x, const Dims& at) { return split_at(x, at, horizontal(x)); },
    "hsplit(input, indices)", "")
EG_OP(
    +[](const Tensor& x, int64_t n) {
      return split_evenly("vsplit", at_least("vsplit", x, 2), n, 0);
    },
    "vsplit(input, sections)", "tensor_split() along dimension 0.")
EG_OP(
    +[](const Tensor& x, const Dims& at) { return split_at(at_least("vsplit", x, 2), at, 0); },
    "vsplit(input, indices)", "")
EG_OP(
    +[](const Tensor& x, int64_t n) {
      return split_evenly("dsplit", at_least("dsplit", x, 3), n, 2);
    },
    "dsplit(input, sections)", "tensor_split() along dimension 2.")
EG_OP(
    +[](const Tensor& x, const Dims& at) { return split_at(at_least("dsplit", x, 3), at, 2); },
    "dsplit(input, indices)", "")
EG_OP(&unbind, "unbind(input, dim=0)",
      R"(Views at every index of a dimension.

>>> [t.tolist() for t in eg.tensor([[1, 2], [3, 4]]).unbind(1)]
[[1, 3], [2, 4]]
)")
EG_OP(&atleast_1d, "atleast_1d(input)",
      "The tensor, or each of several, with at least one dimension.", kFunctionOnly)
EG_OP(
    +[](const TensorList& tensors) { return each(tensors, atleast_1d); }, "atleast_1d(*tensors)",
    "", kFunctionOnly)
EG_OP(&atleast_2d, "atleast_2d(input)",
      "The tensor, or each of several, with at least two dimensions.", kFunctionOnly)
EG_OP(
    +[](const TensorList& tensors) { return each(tensors, atleast_2d); }, "atleast_2d(*tensors)",
    "", kFunctionOnly)
EG_OP(&atleast_3d, "atleast_3d(input)",
      "The tensor, or each of several, with at least three dimensions.", kFunctionOnly)
EG_OP(
    +[](const TensorList& tensors) { return each(tensors, atleast_3d); }, "atleast_3d(*tensors)",
    "", kFunctionOnly)
EG_OP(&block_diag, "block_diag(*tensors)",
      R"(A matrix with the given blocks on its diagonal, zero elsewhere.

>>> eg.block_diag(eg.tensor([[1, 2]]), eg.tensor([[3]])).tolist()
[[1, 2, 0], [0, 0, 3]]
)",
      kFunctionOnly)
EG_OP(&broadcast_tensors, "broadcast_tensors(*tensors)",
      "Views of the tensors, broadcast to their common shape.", kFunctionOnly)
EG_OP(&meshgrid, "meshgrid(*tensors, indexing=None)",
      R"(Coordinate grids of vectors; `indexing` is 'ij' (the default) or 'xy'.

>>> [g.tolist() for g in eg.meshgrid(eg.tensor([1, 2]), eg.tensor([3, 4]), indexing='ij')]
[[[1, 1], [2, 2]], [[3, 4], [3, 4]]]
)",
      kFunctionOnly)
EG_OP(&cartesian_prod, "cartesian_prod(*tensors)",
      "Every combination of one element of each vector, one a row.", kFunctionOnly)
EG_WAITS("combinations", "sends the list of picks")
EG_WAITS("tensor_split", "with a tensor: where to split")
EG_OP(&combinations, "combinations(input, r=2, with_replacement=False)",
      R"(Every choice of r elements of a vector, one a row.

>>> eg.combinations(eg.tensor([1, 2, 3])).tolist()
[[1, 2], [1, 3], [2, 3]]
)",
      kFunctionOnly)

}  // namespace

}  // namespace eg
