// Shape ops that copy, or that are made of views: flatten, repeat, flip, roll, triangles, diagonals.
#include "kernels/shape.h"

#include "core/parallel.h"
#include "ops/creation.h"
#include "ops/index.h"
#include "ops/matrices.h"
#include "ops/registry.h"
#include "ops/views.h"

namespace eg {

Tensor flatten(const Tensor& x, int64_t start, int64_t end) {
  const int64_t first = wrap_dim(start, x.dim()), last = wrap_dim(end, x.dim());
  EG_CHECK(first <= last, "[flatten] expected start_dim to come before end_dim, got ", start,
           " and ", end);
  if (x.dim() == 0) return reshape(x, {1});
  if (first == last) return x;
  Dims shape;
  int64_t merged = 1;
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (d < first || d > last)
      shape.push_back(x.sizes()[d]);
    else
      merged *= x.sizes()[d];
    if (d == last) shape.push_back(merged);
  }
  return reshape(x, shape);
}

namespace {

Tensor unflatten(const Tensor& x, int64_t dim, const Dims& sizes) {
  EG_CHECK(!sizes.empty(), "[unflatten] expected at least one size");
  const int64_t d = wrap_dim(dim, x.dim());
  const int64_t length = x.dim() ? x.sizes()[d] : 1;
  int64_t known = 1;
  bool infer = false;
  for (int64_t s : sizes) {
    infer |= s == -1;
    known *= s == -1 ? 1 : s;
  }
  EG_CHECK(infer ? known != 0 && length % known == 0 : known == length, "[unflatten] sizes ", sizes,
           " do not multiply up to ", length, ", the size of dimension ", d, " of shape ",
           x.sizes());
  Dims shape;
  for (int64_t k = 0; k < x.dim(); ++k) {
    if (k != d)
      shape.push_back(x.sizes()[k]);
    else
      shape.append(sizes.begin(), sizes.end());
  }
  for (int64_t& s : shape)
    if (s == -1) s = length / known;
  return view(x, shape);
}

// Of x and of its repetitions, interleaved without ones: [times0, size0, times1, size1 ...].
struct Interleaved {
  Dims sizes, strides;
  Dims repeats;  // which of them are repetitions
};

struct Repeat {
  static constexpr const char* name = "Repeat";
  Dims times;
  Dims in_sizes;

  Interleaved interleaved(IntSpan strides) const {
    Interleaved all;
    const size_t lead = times.size() - in_sizes.size();
    const auto add = [&](int64_t size, int64_t stride) {
      all.sizes.push_back(size), all.strides.push_back(stride);
    };
    for (size_t d = 0; d < times.size(); ++d) {
      if (times[d] != 1) {
        all.repeats.push_back(static_cast<int64_t>(all.sizes.size()));
        add(times[d], 0);
      }
      if (d >= lead && in_sizes[d - lead] != 1) add(in_sizes[d - lead], strides[d - lead]);
    }
    return all;
  }
  Tensor forward(Context&, const Tensor& x) {
    in_sizes = x.sizes();
    const size_t lead = times.size() - in_sizes.size();
    Dims out_sizes;
    for (size_t d = 0; d < times.size(); ++d)
      out_sizes.push_back(d < lead ? times[d] : checked_numel({times[d], in_sizes[d - lead]}));
    Tensor out = empty(out_sizes, x.dtype(), x.device());
    if (out.numel() == 0) return out;
    const Interleaved both = interleaved(x.strides());
    copy_into(make_view(out, both.sizes, contiguous_strides(both.sizes), out.offset()),
              make_view(x, both.sizes, both.strides, x.offset()));
    return out;
  }
  Tensors backward(Context&, const Tensor& g) {
    const Interleaved both = interleaved(in_sizes);
    const Tensor each = reshape(g, both.sizes);
    return {reshape(both.repeats.empty() ? each : sum(each, both.repeats), in_sizes)};
  }
};

struct Flip {
  static constexpr const char* name = "Flip";
  Dims dims;

  Tensor forward(Context&, const Tensor& x) {
    const Tensor* like[] = {&x};
    Tensor out = empty_result(x.sizes(), x.dtype(), like, 1);
    copy_flipped(out, x, dims);
    return out;
  }
  Tensors backward(Context&, const Tensor& g) { return {flip(g, dims)}; }
};

Tensor roll(const Tensor& x, const Dims& shifts, const Dims& dims);

struct Roll {
  static constexpr const char* name = "Roll";
  Dims shifts, dims;

  // Every row of the dimension is two stretches of memory, exchanged.
  static Tensor once(const Tensor& given, int64_t shift, int64_t dim) {
    const Tensor x = contiguous_data(given);
    Tensor out = empty(x.sizes(), x.dtype(), x.device());
    const int64_t n = x.sizes()[dim];
    if (x.numel() == 0) return out;
    // (Not by strides: that of a dimension of size 1 says nothing.)
    const int64_t row =
        checked_numel(Dims(x.sizes().begin() + dim, x.sizes().end())) * int64_t(x.item_size());
    const int64_t back = ((shift % n) + n) % n * (row / n), front = row - back;
    const Piece pieces[] = {{x.raw() + front, back, row}, {x.raw(), front, row}};
    const int64_t rows = x.numel() * static_cast<int64_t>(x.item_size()) / row;
    kernels<ShapeKernels>().join(out.raw(), rows, pieces, 2);
    return out;
  }
  Tensor forward(Context&, const Tensor& x) {
    Tensor out = x;
    for (size_t i = 0; i < dims.size(); ++i) out = once(out, shifts[i], dims[i]);
    return out;
  }
  Tensors backward(Context&, const Tensor& g) {
    Dims back = shifts;
    for (int64_t& s : back) s = -s;
    return {roll(g, back, dims)};
  }
};

Tensor roll(const Tensor& x, const Dims& shifts, const Dims& dims) {
  EG_CHECK(!shifts.empty(), "[roll] expected at least one shift");
  if (dims.empty() && shifts.size() == 1)
    return view(roll(flatten(x, 0, -1), shifts, {0}), x.sizes());
  EG_CHECK(dims.size() == shifts.size(), "[roll] expected as many shifts as dims, got shifts ",
           IntSpan(shifts), " and dims ", IntSpan(dims));
  Dims wrapped;
  for (int64_t d : dims) {
    EG_CHECK_INDEX(x.dim() > 0, "Dimension specified as ", d, " but tensor has no dimensions");
    wrapped.push_back(wrap_dim(d, x.dim()));
  }
  return apply(Roll{shifts, wrapped}, x);
}

Tensor rot90(const Tensor& x, int64_t k, const Dims& dims) {
  EG_CHECK(dims.size() == 2, "[rot90] expected two dims, got ", IntSpan(dims));
  EG_CHECK(x.dim() >= 2, "[rot90] expected at least 2 dimensions, got shape ", x.sizes());
  const int64_t a = wrap_dim(dims[0], x.dim()), b = wrap_dim(dims[1], x.dim());
  EG_CHECK(a != b, "[rot90] expected two different dims, got ", IntSpan(dims));
  switch (((k % 4) + 4) % 4) {
    case 0:
      return clone(x);
    case 1:
      return named(transpose(flip(x, {b}), a, b), "Rot90Backward0");
    case 2:
      return named(flip(x, {a, b}), "Rot90Backward0");
    default:
      return named(transpose(flip(x, {a}), a, b), "Rot90Backward0");
  }
}

struct Triangle {
  static constexpr const char* name = "Triangle";
  int64_t diagonal;
  bool lower;
  bool in_place = false;
  std::string title() const { return lower ? "Tril" : "Triu"; }

  Tensor forward(Context&, const Tensor& x) {
    const Tensor from = contiguous_data(x);
    const bool stays = in_place && x.is_contiguous();
    Tensor out = stays ? make_view(x, x.sizes(), x.strides(), x.offset())
                       : empty(x.sizes(), x.dtype(), x.device());
    const int64_t rows = x.size(-2), columns = x.size(-1);
    if (out.numel())
      kernels<ShapeKernels>().triangle(x.item_size(), out.raw(), from.raw(),
                                       x.numel() / (rows * columns), rows, columns, diagonal,
                                       lower);
    if (!in_place || stays) return out;
    Tensor target = make_view(x, x.sizes(), x.strides(), x.offset());
    copy_into(target, out);
    return target;
  }
  Tensors backward(Context&, const Tensor& g) { return {apply(Triangle{diagonal, lower}, g)}; }
};

}  // namespace

Tensor tril(const Tensor& x, int64_t diagonal) {
  EG_CHECK(x.dim() >= 2, "[tril] expected at least 2 dimensions, got shape ", x.sizes());
  return apply(Triangle{diagonal, true}, x);
}
namespace {
template <bool lower>
Tensor triangle_(const Tensor& x, int64_t diagonal) {
  const char* op = lower ? "tril_" : "triu_";
  EG_CHECK(x.dim() >= 2, "[", op, "] expected at least 2 dimensions, got shape ", x.sizes());
  return apply_inplace(op, Triangle{diagonal, lower}, x);
}
}  // namespace
Tensor triu(const Tensor& x, int64_t diagonal) {
  EG_CHECK(x.dim() >= 2, "[triu] expected at least 2 dimensions, got shape ", x.sizes());
  return apply(Triangle{diagonal, false}, x);
}

namespace {

Tensor triangle_indices(bool lower, int64_t rows, int64_t columns, int64_t offset, DType dtype,
                        Device device) {
  EG_CHECK(rows >= 0 && columns >= 0, "[", lower ? "tril" : "triu",
           "_indices] expected sizes of at least 0, got ", rows, " and ", columns);
  EG_CHECK_KIND(NotImplemented, dtype == DType::Int64 || dtype == DType::Int32, "[",
                lower ? "tril" : "triu", "_indices] expected dtype int32 or int64, got ", dtype);
  // Row r has its columns from the cut on, or up to it. Before row `first` the cut is 0, from row `full` on `columns`.
  const int64_t all = checked_numel({rows, columns});
  const int64_t shift = std::clamp(offset, -rows, columns) + (lower ? 1 : 0);
  const int64_t first = std::clamp<int64_t>(-shift, 0, rows);
  const int64_t full = std::clamp<int64_t>(columns - shift, first, rows);
  const int64_t cuts =
      (full - first) * (first + full - 1 + 2 * shift) / 2 + (rows - full) * columns;
  const int64_t n = all == 0 ? 0 : lower ? cuts : all - cuts;
  const DeviceScope scope(device);
  if (device.is_cpu()) {
    const Tensor out = empty({2, n}, DType::Int64);
    int64_t *row = out.data<int64_t>(), *column = row + n;
    const int64_t end_row = n == 0 ? 0 : lower ? rows : full;
    for (int64_t r = lower ? first : 0; r < end_row; ++r) {
      const int64_t cut = std::clamp<int64_t>(r + shift, 0, columns), end = lower ? cut : columns;
      for (int64_t c = lower ? 0 : cut; c < end; ++c) *row++ = r, *column++ = c;
    }
    return cast_data(out, dtype);
  }
  const Tensor row = arange(rows);
  const Tensor begin =
      minimum(maximum(add(row, Tensor(Scalar(shift))), Tensor(0)), Tensor(Scalar(columns)));
  const Tensor ends = cumsum(lower ? begin : sub(Tensor(Scalar(columns)), begin), 0);
  const Tensor r = stretch_of_each(ends, n);
  // From the end of its row backwards.
  const Tensor last = lower ? index_select(begin, 0, r) : Tensor(Scalar(columns));
  const Tensor c = add(sub(arange(n), index_select(ends, 0, r)), last);
  return cast_data(stack({r, c}, 0), dtype);
}

Tensor diag_embed(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2) {
  EG_CHECK_INDEX(x.dim() > 0, "[diag_embed] expected at least one dimension, got a 0-d tensor");
  const int64_t a = wrap_dim(dim1, x.dim() + 1), b = wrap_dim(dim2, x.dim() + 1);
  EG_CHECK(a != b, "[diag_embed] expected two different dimensions, got ", dim1, " and ", dim2);
  const int64_t n = x.sizes().back() + std::abs(offset);
  Dims sizes;
  for (int64_t d = 0, from = 0; d < x.dim() + 1; ++d)
    sizes.push_back(d == a || d == b ? n : x.sizes()[from++]);
  return named(spread_region(x, diagonal_region(sizes, offset, a, b)), "DiagEmbedBackward0");
}

Tensor diag(const Tensor& x, int64_t offset) {
  EG_CHECK(x.dim() == 1 || x.dim() == 2, "[diag] expected 1 or 2 dimensions, got shape ",
           x.sizes());
  return x.dim() == 1 ? diag_embed(x, offset, 0, 1) : clone(diagonal(x, offset, 0, 1));
}

// --- repeat_interleave ----------------------------------------------------------------------------------------
Tensor repeat_each(const Tensor& x, int64_t times, std::optional<int64_t> dim,
                   std::optional<int64_t> output_size) {
  EG_CHECK(times >= 0, "[repeat_interleave] expected repeats of at least 0, got ", times);
  const Tensor in = dim ? x : flatten(x, 0, -1);
  const Tensor rows = in.dim() ? in : reshape(in, {1});
  const int64_t d = wrap_dim(dim.value_or(0), rows.dim());
  Dims wide = rows.sizes(), shape = rows.sizes();
  wide.insert(d + 1, times);
  shape[d] = checked_numel({times, shape[d]});
  EG_CHECK(!output_size || *output_size == shape[d], "[repeat_interleave] output_size should be ",
           shape[d], ", got ", output_size.value_or(0));
  const Tensor out = reshape(expand(unsqueeze(rows, d + 1), wide), shape);
  return out->storage == x->storage ? clone(out) : out;
}

Tensor repeat_positions(const Tensor& repeats, std::optional<int64_t> output_size) {
  EG_CHECK(repeats.dim() == 1, "[repeat_interleave] expected 1-d repeats, got shape ",
           repeats.sizes());
  EG_CHECK(repeats.dtype() == DType::Int64 || repeats.dtype() == DType::Int32,
           "[repeat_interleave] expected int32 or int64 repeats, got ", repeats.dtype());
  const DeviceScope scope(repeats.device());
  const GradMode off(false);
  const Tensor times = contiguous_data(cast_data(repeats, DType::Int64));
  const Tensor ends = cumsum(times, 0);  // the first that does not fit 64 bits is negative
  require(ge(minimum(times, ends), Tensor(0)),
          {ErrorKind::Runtime, "repeat_interleave",
           "repeats can not be negative, nor sum up to more than 64 bits hold"});
  const Tensor last = ends.numel() ? select(ends, 0, -1) : scalar_tensor(Scalar(0), DType::Int64);
  const bool waits = !output_size || times.device().is_cpu();
  const int64_t total = waits ? last.item().to_int() : *output_size;
  EG_CHECK(!output_size || *output_size == total, "[repeat_interleave] output_size should be ",
           total, ", got ", output_size.value_or(0));
  if (!waits)
    require(eq(last, Tensor(Scalar(total))), {ErrorKind::Runtime, "repeat_interleave",
                                              "output_size should be the sum of the repeats"});
  return cast_data(stretch_of_each(ends, total), repeats.dtype());
}

Tensor repeat_interleave(const Tensor& x, const Tensor& repeats, std::optional<int64_t> dim,
                         std::optional<int64_t> output_size) {
  const Tensor in = dim ? x : flatten(x, 0, -1);
  const Tensor rows = in.dim() ? in : reshape(in, {1});
  const int64_t d = wrap_dim(dim.value_or(0), rows.dim());
  EG_CHECK(repeats.dim() <= 1, "[repeat_interleave] expected 0-d or 1-d repeats, got shape ",
           repeats.sizes());
  const int64_t n = rows.sizes()[d];
  Tensor times = repeats;
  if (repeats.numel() == 1) times = expand(reshape(repeats, {1}), {n});
  EG_CHECK(times.numel() == n, "[repeat_interleave] expected one repeat for each of the ", n,
           " entries of dimension ", d, " of shape ", rows.sizes(), ", got ", times.numel());
  return index_select(rows, d, repeat_positions(times, output_size));
}

Tensor tile(const Tensor& x, const Dims& dims) {
  Dims times = dims;
  while (static_cast<int64_t>(times.size()) < x.dim()) times.insert(0, 1);
  return repeat(x, times);
}

}  // namespace

Tensor repeat(const Tensor& x, IntSpan times) {
  EG_CHECK(static_cast<int64_t>(times.size()) >= x.dim(), "[repeat] expected at least ", x.dim(),
           " repeats for a tensor of shape ", x.sizes(), ", got ", times);
  for (int64_t t : times) EG_CHECK(t >= 0, "[repeat] expected repeats of at least 0, got ", times);
  return apply(Repeat{times.dims(), {}}, x);
}

Tensor flip(const Tensor& x, IntSpan dims) {
  const Dims wrapped = wrap_dims(dims, x.dim(), false);
  if (x.dim() == 0) return clone(x);
  return apply(Flip{wrapped}, x);
}

namespace {

Tensor mirrored(const char* op, const Tensor& x, int64_t dim) {
  EG_CHECK(x.dim() > dim, "[", op, "] expected at least ", dim + 1, " dimensions, got shape ",
           x.sizes());
  return flip(x, {dim});
}

EG_OP(&flatten, "flatten(input, start_dim=0, end_dim=-1)",
      R"(Merges the dimensions from start_dim to end_dim, as a view where strides allow it.

>>> tuple(eg.zeros(2, 3, 4).flatten(1).shape)
(2, 12)
)")
EG_OP(
    +[](const Tensor& x) { return flatten(contiguous(x), 0, -1); }, "ravel(input)",
    "All elements in one dimension, a view of a contiguous tensor.")
EG_OP(&unflatten, "unflatten(input, dim, sizes)",
      R"(Splits a dimension into several; one of the sizes may be -1.

>>> tuple(eg.zeros(2, 12).unflatten(1, (3, -1)).shape)
(2, 3, 4)
)")
EG_OP(
    +[](const Tensor& x, const Dims& repeats) { return repeat(x, repeats); },
    "repeat(input, *repeats)",
    R"(A copy of the tensor, so many times along each dimension; extra repeats add dimensions in front.

>>> eg.tensor([1, 2]).repeat(2, 2).tolist()
[[1, 2, 1, 2], [1, 2, 1, 2]]
)",
    kMethodOnly)
EG_OP(&tile, "tile(input, *dims)", "repeat(), with missing leading repeats taken as 1.")
EG_WAITS("repeat_interleave", "with a tensor of repeats and no `output_size`: how many there are")
EG_OP(&repeat_each, "repeat_interleave(input, repeats, dim=None, *, output_size=None)",
      R"(Repeats each entry along a dimension (of the flattened tensor, if none is given).

>>> eg.tensor([1, 2]).repeat_interleave(2).tolist()
[1, 1, 2, 2]
)")
EG_OP(&repeat_interleave, "repeat_interleave(input, repeats, dim=None, *, output_size=None)", "")
EG_OP(&repeat_positions, "repeat_interleave(repeats, *, output_size=None)", "", kFunctionOnly)
EG_OP(
    +[](const Tensor& x, const Dims& dims) { return flip(x, dims); }, "flip(input, *dims)",
    R"(A copy with the order of entries reversed along dims.

>>> eg.arange(3).flip(0).tolist()
[2, 1, 0]
)")
EG_OP(
    +[](const Tensor& x) { return mirrored("fliplr", x, 1); }, "fliplr(input)",
    "A copy with the columns reversed.")
EG_OP(
    +[](const Tensor& x) { return mirrored("flipud", x, 0); }, "flipud(input)",
    "A copy with the rows reversed.")
EG_OP(
    +[](const Tensor& x, const Dims& shifts, const std::optional<Dims>& dims) {
      return roll(x, shifts, dims.value_or(Dims()));
    },
    "roll(input, shifts, dims=None)",
    R"(A copy shifted along dims, entries re-entering at the other end; without dims, the flattened tensor is shifted.

>>> eg.arange(4).roll(1).tolist()
[3, 0, 1, 2]
)")
EG_OP(&rot90, "rot90(input, k=1, dims=(0, 1))",
      R"(Rotates by k quarter turns in the plane of two dims.

>>> eg.tensor([[1, 2], [3, 4]]).rot90().tolist()
[[2, 4], [1, 3]]
)")
EG_OP(&tril, "tril(input, diagonal=0)",
      R"(The lower triangle of matrices, up to a diagonal; zero elsewhere.

>>> eg.ones(2, 2).tril().tolist()
[[1.0, 0.0], [1.0, 1.0]]
)",
      kOut)
EG_OP(&triangle_<true>, "tril_(input, diagonal=0)", "In-place version of tril.", kMethodOnly)
EG_OP(&triangle_<false>, "triu_(input, diagonal=0)", "In-place version of triu.", kMethodOnly)
EG_OP(&triu, "triu(input, diagonal=0)",
      R"(The upper triangle of matrices, from a diagonal on; zero elsewhere.

>>> eg.ones(2, 2).triu(1).tolist()
[[0.0, 1.0], [0.0, 0.0]]
)",
      kOut)
EG_OP(
    +[](int64_t row, int64_t col, int64_t offset, std::optional<DType> dtype,
        std::optional<Device> device) {
      return triangle_indices(true, row, col, offset, dtype.value_or(DType::Int64),
                              device.value_or(active_device));
    },
    "tril_indices(row, col, offset=0, *, dtype=None, device=None)",
    "Row and column numbers of the lower triangle, a 2 by n integer tensor.", kCreates)
EG_OP(
    +[](int64_t row, int64_t col, int64_t offset, std::optional<DType> dtype,
        std::optional<Device> device) {
      return triangle_indices(false, row, col, offset, dtype.value_or(DType::Int64),
                              device.value_or(active_device));
    },
    "triu_indices(row, col, offset=0, *, dtype=None, device=None)",
    "Row and column numbers of the upper triangle, a 2 by n integer tensor.", kCreates)
EG_OP(&diag, "diag(input, diagonal=0)",
      R"(The diagonal of a matrix, or the matrix with a vector on its diagonal.

>>> eg.tensor([1, 2]).diag().tolist()
[[1, 0], [0, 2]]
)",
      kOut)
EG_OP(&diag_embed, "diag_embed(input, offset=0, dim1=-2, dim2=-1)",
      "Matrices over two new dimensions with the last dimension of input on their diagonals.")
EG_OP(
    +[](const Tensor& x, int64_t offset) { return diag(flatten(x, 0, -1), offset); },
    "diagflat(input, offset=0)", "The matrix with all elements of input on its diagonal.")

}  // namespace

}  // namespace eg
