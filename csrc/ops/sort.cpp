// Order: sort, topk, kthvalue, median, mode, unique, searchsorted, histograms.
#include "kernels/sort.h"

#include <cmath>

#include "core/parallel.h"
#include "ops/creation.h"
#include "ops/index.h"
#include "ops/reduce.h"

namespace eg {
namespace {

// A dimension brought to the end, dense; results go back the same way.
struct LastDim {
  Tensor data;  // [..., n]
  int64_t dim, n, rows;

  LastDim(const Tensor& x, int64_t at) : dim(wrap_dim(at, x.dim())) {
    const Tensor plain = x.dim() ? x.detach() : make_view(x, {1}, {1}, x.offset());
    data = contiguous_data(dim == plain.dim() - 1 ? plain : swapped(plain));
    n = data.sizes().back();
    rows = n ? data.numel() / n : 0;
  }
  Tensor swapped(const Tensor& t) const {
    Dims sizes = t.sizes(), strides = t.strides();
    std::swap(sizes[dim], sizes.back());
    std::swap(strides[dim], strides.back());
    return make_view(t, sizes, strides, t.offset());
  }
  Tensor room(DType dtype, int64_t length) const {
    Dims sizes = data.sizes();
    sizes.back() = length;
    return empty(sizes, dtype, data.device());
  }
  // A result of room() in the input's order of dimensions.
  Tensor back(const Tensor& t, bool was_0d) const {
    if (was_0d) return make_view(t, {}, {}, t.offset());
    if (dim == t.dim() - 1) return t;
    const Tensor dense = contiguous_data(swapped(t));  // a dimension of size 1 may have any stride
    return make_view(dense, dense.sizes(), contiguous_strides(dense.sizes()), dense.offset());
  }
  // The same for a result of x's size, which lies in memory as x does.
  Tensor back_as(const Tensor& x, const Tensor& t) const {
    if (x.is_contiguous()) return back(t, x.dim() == 0);
    const Tensor seen = swapped(t);
    if (seen.strides() == result_strides(x)) return seen;
    Tensor out = empty_result(x, t.dtype());
    copy_into(out, seen);
    return out;
  }
};

// Results that are elements of the input, with their positions along dim.
enum class Pick { Sort, Topk, Kthvalue, Median, Nanmedian, Mode };
constexpr const char* kPickNames[] = {"Sort", "Topk", "Kthvalue", "Median", "Nanmedian", "Mode"};

// Positions [..., 1] of the medians or modes of rows [..., n], by ops.
Tensor device_positions(Pick pick, const Tensor& rows);

template <Pick P>
struct Picked {
  static constexpr const char* name = kPickNames[static_cast<int>(P)];
  int64_t dim;
  int64_t k;
  bool flag;  // descending, largest
  bool keepdim = true;
  Dims in_sizes;

  std::string title() const {  // PyTorch's number 0 is the median of all
    return str(name, P == Pick::Median || P == Pick::Nanmedian ? "Backward1" : "Backward0");
  }
  std::tuple<Tensor, Tensor> forward(Context& ctx, const Tensor& x) {
    in_sizes = x.sizes();
    const LastDim last(x, dim);
    const SortKernels& kernel = kernels<SortKernels>();
    const int64_t length = P == Pick::Sort ? last.n : P == Pick::Topk ? k : 1;
    Tensor values = last.room(x.dtype(), length), index = last.room(DType::Int64, length);
    if (values.numel()) {
      char *from = last.data.raw(), *to = values.raw();
      int64_t* at = index.data<int64_t>();
      if (P == Pick::Sort) kernel.sort(x.dtype(), from, to, at, last.rows, last.n, flag);
      if (P == Pick::Topk) kernel.topk(x.dtype(), from, to, at, last.rows, last.n, k, flag);
      if (P == Pick::Kthvalue) kernel.kth(x.dtype(), from, to, at, last.rows, last.n, k - 1);
      if (P >= Pick::Median && x.device().is_cpu()) {
        if (P == Pick::Mode)
          kernel.mode(x.dtype(), from, to, at, last.rows, last.n);
        else
          kernel.median(x.dtype(), from, to, at, last.rows, last.n, P == Pick::Nanmedian);
      } else if (P >= Pick::Median) {
        const GradMode off(false);
        index = device_positions(P, last.data);
        values = gather(last.data, -1, index);
      }
    }
    for (Tensor* t : {&values, &index})
      *t = P == Pick::Sort ? last.back_as(x, *t) : last.back(*t, x.dim() == 0);
    if (!keepdim && x.dim()) {
      values = dropped(values);
      index = dropped(index);
    }
    ctx.save(index);
    return {values, index};
  }
  Tensor dropped(const Tensor& t) const {
    Dims sizes = t.sizes();
    sizes.erase(dim);
    return make_view(t, sizes, contiguous_strides(sizes), t.offset());
  }
  Tensors backward(Context& ctx, const Tensors& grads) {
    Tensor index = ctx.saved(0), g = grads[0];
    if (!g.defined()) return {Tensor()};
    if (!keepdim && !in_sizes.empty()) {
      index = unsqueeze(index, dim);
      g = unsqueeze(g, dim);
    }
    return {scatter_add(zeros(in_sizes, g.dtype(), g.device()), dim, index, g)};
  }
};

using Pair = std::tuple<Tensor, Tensor>;

Pair sort(const Tensor& x, int64_t dim, bool descending, bool stable) {
  return eg::apply(Picked<Pick::Sort>{wrap_dim(dim, x.dim()), 0, descending, true, {}}, x);
}

Tensor argsort(const Tensor& x, int64_t dim, bool descending, bool stable) {
  GradMode off(false);
  return std::get<1>(sort(x, dim, descending, stable));
}

Tensor msort(const Tensor& x) { return std::get<0>(sort(x, 0, false, true)); }

Pair topk(const Tensor& x, int64_t k, int64_t dim, bool largest, bool sorted) {
  EG_CHECK(x.dtype() != DType::Bool, "topk does not support bool dtypes on CPU");
  const int64_t d = wrap_dim(dim, x.dim());
  const int64_t n = x.dim() ? x.sizes()[d] : 1;
  EG_CHECK(k >= 0 && k <= n, "[topk] selected index k out of range: k is ", k, ", dimension ", d,
           " of shape ", x.sizes(), " has ", n, " elements");
  // A number is its own largest, of however few.
  return eg::apply(Picked<Pick::Topk>{d, x.dim() ? k : 1, largest, true, {}}, x);
}

Pair kthvalue(const Tensor& x, int64_t k, int64_t dim, bool keepdim) {
  EG_CHECK_KIND(NotImplemented, x.dtype() != DType::Bool, "[kthvalue] not implemented for bool");
  const int64_t d = wrap_dim(dim, x.dim());
  const int64_t n = x.dim() ? x.sizes()[d] : 1;
  EG_CHECK_KIND(Index, n > 0, "[kthvalue] Expected reduction dim ", dim, " to have non-zero size");
  EG_CHECK(k >= 1 && k <= n, "[kthvalue] selected number k out of range: k is ", k, ", dimension ",
           d, " of shape ", x.sizes(), " has ", n, " elements");
  return eg::apply(Picked<Pick::Kthvalue>{d, k, false, keepdim, {}}, x);
}

template <Pick P>
void check_median(const Tensor& x) {
  EG_CHECK_KIND(NotImplemented, x.dtype() != DType::Bool, "[", P == Pick::Median ? "" : "nan",
                "median] not implemented for bool");
}

template <Pick P>
Pair row_element(const Tensor& x, int64_t dim, bool keepdim) {
  const char* op = P == Pick::Mode ? "mode" : P == Pick::Median ? "median" : "nanmedian";
  if (P != Pick::Mode) check_median<P>(x);
  const int64_t d = wrap_dim(dim, x.dim());
  EG_CHECK_KIND(Index, x.dim() == 0 || x.sizes()[d] > 0, op, "(): Expected reduction dim ", d,
                " to have non-zero size.");
  return eg::apply(Picked<P>{d, 0, false, keepdim, {}}, x);
}

template <Pick P>
Tensor median_of_all(const Tensor& x) {
  check_median<P>(x);
  if (x.numel() == 0) {
    Tensor nothing = zeros({}, x.dtype(), x.device());
    if (x.is_floating()) fill(nothing, Scalar(double(NAN)));
    return nothing;
  }
  const bool records = grad_enabled() && x.requires_grad();
  const Tensor flat = reshape(records ? x : x.detach(), {-1});
  const Tensor value = std::get<0>(row_element<P>(flat.detach(), 0, false));
  if (!records) return value;
  return named(pick(flat, value), P == Pick::Median ? "MedianBackward0" : "NanmedianBackward0");
}

// --- unique -------------------------------------------------------------------------------------------------------
// The first elements of runs. From the last to the first, so that the first of a run is what stays of it, without branches.
template <class T>
void keep_first(const char* x, const bool* first, int64_t n, char* out, int64_t runs) {
  T* to = reinterpret_cast<T*>(out) + runs - 1;
  for (int64_t i = n - 1; i >= 0; --i) {
    *to = reinterpret_cast<const T*>(x)[i];
    to -= first[i];
  }
}

// Bytes of a view that are neither 0 nor 1 count as different ones: a difference of two bools would not be a bool.
DType compared_as(const Tensor& t) { return t.dtype() == DType::Bool ? DType::UInt8 : t.dtype(); }

// The elements of which the one before is another: what is left where nothing else is asked for.
Tensor without_repeats(const Tensor& rows) {
  Tensor first = empty({rows.numel()}, DType::Bool, rows.device());
  if (rows.numel() == 0) return rows;
  const int64_t n = rows.numel();
  const int64_t runs = kernels<SortKernels>().run_starts(compared_as(rows), rows.raw(), nullptr,
                                                         first.data<bool>(), n, 1);
  if (!rows.device().is_cpu()) return index(rows, {first});
  const size_t item = rows.item_size();
  const auto keep = item == 1   ? &keep_first<uint8_t>
                    : item == 2 ? &keep_first<uint16_t>
                    : item == 4 ? &keep_first<uint32_t>
                                : &keep_first<uint64_t>;
  Tensor out = empty({runs}, rows.dtype());
  keep(rows.raw(), first.data<bool>(), n, out.raw(), runs);
  return out;
}

// Of bools there are two at most.
Tensor distinct_bools(const Tensor& rows) {
  const bool low = amin(rows, {}).item().to_bool(), high = amax(rows, {}).item().to_bool();
  Tensor values = empty({low == high ? 1 : 2}, DType::Bool, Device{});
  values.data<bool>()[0] = low;
  if (low != high) values.data<bool>()[1] = high;
  return device_data(values, rows.device());
}

// Runs of equal rows, met in an order (null: as they stand).
struct Runs {
  Tensor starts;   // row numbers of the first of each run
  Tensor inverse;  // run of each row
  Tensor counts;
};

Runs find_runs(const Tensor& rows, int64_t count, int64_t width, const int64_t* order) {
  Tensor first = empty({count}, DType::Bool);
  bool* is_first = first.data<bool>();
  const int64_t runs = kernels<SortKernels>().run_starts(compared_as(rows), rows.raw(), order,
                                                         is_first, count, width);
  Runs out{empty({runs}, DType::Int64), empty({count}, DType::Int64), empty({runs}, DType::Int64)};
  if (count)
    kernels<SortKernels>().describe_runs(is_first, order, count, runs, out.starts.data<int64_t>(),
                                         out.inverse.data<int64_t>(), out.counts.data<int64_t>());
  return out;
}

detail::TensorOrTuple chosen(const Tensor& values, const Tensor& inverse, const Tensor& counts,
                             bool return_inverse, bool return_counts) {
  if (!return_inverse && !return_counts) return {values, {}};
  TensorList all{values};
  if (return_inverse) all.push_back(inverse);
  if (return_counts) all.push_back(counts);
  return {{}, all};
}

detail::TensorOrTuple distinct(const Tensor& x, bool sorted, bool return_inverse,
                               bool return_counts, std::optional<int64_t> dim) {
  GradMode off(false);
  const bool flat = !dim;
  const int64_t d = flat ? 0 : wrap_dim(*dim, x.dim());
  Dims front{d}, back;  // the dimension to the front, and back
  for (int64_t i = 0; i < x.dim(); ++i) {
    if (i != d) front.push_back(i);
    back.push_back(i < d ? i + 1 : i == d ? 0 : i);
  }
  const Tensor rows = contiguous_data(flat || x.dim() == 0 ? reshape(x, {-1}) : permute(x, front));
  const int64_t count = rows.sizes()[0], width = count ? rows.numel() / count : 0;
  EG_CHECK(flat || count == 0 || width > 0 || x.dim() == 1,
           "[unique] there are 0-sized dimensions besides dim ", d, " of shape ", x.sizes());
  if (flat && !return_inverse && !return_counts && count > 0) {
    if (!sorted) return {without_repeats(rows), {}};
    if (x.dtype() == DType::Bool) return {distinct_bools(rows), {}};
  }
  Tensor order;
  if (sorted) {
    order = empty({count}, DType::Int64);
    int64_t* at = order.data<int64_t>();
    const SortKernels& k = kernels<SortKernels>();
    if (count && width == 1)
      k.sort(rows.dtype(), rows.raw(), nullptr, at, 1, count, false);
    else if (count)
      k.sort_rows(rows.dtype(), rows.raw(), at, count, width);
  }
  const Runs runs = find_runs(rows, count, width, sorted ? order.data<int64_t>() : nullptr);
  Tensor values = index_select(rows, 0, runs.starts);
  if (!flat && x.dim() > 1) values = permute(values, back);
  const Tensor inverse = flat ? view(runs.inverse, x.sizes()) : runs.inverse;
  return chosen(values, inverse, runs.counts, return_inverse, return_counts);
}

detail::TensorOrTuple unique(const Tensor& x, bool sorted, bool return_inverse, bool return_counts,
                             std::optional<int64_t> dim) {
  return distinct(x, true, return_inverse, return_counts, dim);
}

detail::TensorOrTuple unique_consecutive(const Tensor& x, bool return_inverse, bool return_counts,
                                         std::optional<int64_t> dim) {
  EG_CHECK_KIND(Index, !dim || x.dim() > 0, "[unique_consecutive] Dimension specified as ",
                dim.value_or(0), " but tensor has no dimensions");
  return distinct(x, false, return_inverse, return_counts, dim);
}

// --- search --------------------------------------------------------------------------------------------------------
Tensor searchsorted(const Tensor& boundaries, const Tensor& values, bool out_int32, bool right,
                    const std::optional<std::string>& side, const std::optional<Tensor>& sorter) {
  EG_CHECK(!side || *side == "left" || *side == "right",
           "[searchsorted] side can only be 'left' or 'right', got '", side.value_or(""), "'");
  EG_CHECK(!side || !right || *side == "right",
           "[searchsorted] side and right can't be set to opposites, got side of 'left' while "
           "right was True");
  EG_CHECK_KIND(NotImplemented, boundaries.dtype() != DType::Bool,
                "[searchsorted] not implemented for bool");
  EG_CHECK(boundaries.dim() > 0,
           "[searchsorted] expected sorted_sequence with at least one dimension");
  const bool shared = boundaries.dim() == 1;
  if (!shared) {
    EG_CHECK(
        values.dim() == boundaries.dim() &&
            std::equal(values.sizes().begin(), values.sizes().end() - 1,
                       boundaries.sizes().begin()),
        "[searchsorted] expected 1-d boundaries, or boundaries and values whose first dimensions "
        "match, got shapes ",
        boundaries.sizes(), " and ", values.sizes());
  }
  EG_CHECK(boundaries.device() == values.device() || values.dim() == 0,
           "[searchsorted] expected boundaries and values on one device, got ", boundaries.device(),
           " and ", values.device());
  const bool same = boundaries.dtype() == values.dtype();
  const DType dtype = same ? boundaries.dtype() : result_type(boundaries, values);
  Tensor order;
  if (sorter) {
    EG_CHECK(sorter->sizes() == boundaries.sizes(),
             "[searchsorted] expected a sorter of the shape of sorted_sequence, ",
             boundaries.sizes(), ", got ", sorter->sizes());
    EG_CHECK(sorter->dtype() == DType::Int64, "[searchsorted] expected an int64 sorter, got ",
             sorter->dtype());
    order = checked_index({"searchsorted", ErrorKind::Runtime, false}, *sorter, boundaries.size(-1),
                          -1);
  }
  const Tensor b = contiguous_data(cast_data(boundaries, dtype));
  const Tensor v = device_data(contiguous_data(cast_data(values, dtype)), b.device());
  const DeviceScope scope(b.device());
  Tensor out = empty(v.sizes(), DType::Int64, v.device());
  const int64_t width = v.dim() ? v.sizes().back() : 1;
  if (out.numel())
    kernels<SortKernels>().search(dtype, b.raw(), order.defined() ? order.data<int64_t>() : nullptr,
                                  b.sizes().back(), v.raw(), v.numel() / width, width, shared,
                                  right || (side && *side == "right"), out.data<int64_t>());
  return out_int32 ? cast_data(out, DType::Int32) : out;
}

Tensor bucketize(const Tensor& x, const Tensor& boundaries, bool out_int32, bool right) {
  EG_CHECK(boundaries.dim() == 1, "[bucketize] expected 1-d boundaries, got shape ",
           boundaries.sizes());
  return searchsorted(boundaries, x, out_int32, right, std::nullopt, std::nullopt);
}

Tensor isin(const Tensor& elements, const Tensor& tests, bool assume_unique, bool invert) {
  const DType dtype = result_type(elements, tests);
  EG_CHECK(dtype != DType::Bool, "Unsupported input type encountered for isin(): Bool");
  const Device device = (elements.dim() ? elements : tests).device();  // numbers come along
  const DeviceScope scope(device);
  const Tensor x = contiguous_data(device_data(cast_data(elements, dtype), device));
  Tensor sorted = contiguous_data(device_data(cast_data(tests, dtype), device));
  sorted = make_view(sorted, {sorted.numel()}, {1}, sorted.offset());
  Tensor out = empty(x.sizes(), DType::Bool, x.device());
  fill(out, Scalar(invert));
  if (sorted.numel() == 0 || x.numel() == 0) return out;
  {
    GradMode off(false);
    sorted = std::get<0>(sort(sorted, 0, false, true));
    const Tensor last = scalar_tensor(Scalar(sorted.numel() - 1), DType::Int64);
    const Tensor at =
        minimum(searchsorted(sorted, x, false, false, std::nullopt, std::nullopt), last);
    const Tensor found = view(index_select(sorted, 0, view(at, {-1})), x.sizes());
    return invert ? ne(found, x) : eq(found, x);
  }
}

Tensor device_positions(Pick pick, const Tensor& rows) {
  const auto number = [](int64_t i) { return scalar_tensor(Scalar(i), DType::Int64); };
  const Tensor zero = number(0), last_place = number(rows.sizes().back() - 1);
  const auto [ordered, order] = sort(rows, -1, false, true);
  const Tensor bad = isnan(ordered), last = sub(last_place, sum(to(bad, DType::Int64), {-1}, true));
  Tensor place;
  if (pick == Pick::Mode) {  // the first of the longest runs of equals ends there
    const Tensor found =
        rows.is_floating() ? where(bad, Tensor(double(INFINITY)), ordered) : ordered;
    const auto bound = [&found](bool right) {
      return searchsorted(found, found, false, right, std::nullopt, std::nullopt);
    };
    const Tensor end = minimum(sub(bound(true), number(1)), last);
    const Tensor length = where(bad, zero, sub(end, bound(false)));
    place = where(eq(length, amax(length, {-1}, true)), maximum(end, zero), last_place);
    place = amin(place, {-1}, true);
  } else {
    const Tensor middle = floor_divide(maximum(last, zero), number(2));
    const Tensor first_bad = minimum(add(last, number(1)), last_place);
    place = pick == Pick::Median ? where(lt(last, last_place), first_bad, middle) : middle;
  }
  return gather(order, -1, place);
}

// --- histograms --------------------------------------------------------------------------------------------------------
// One loop reads the numbers as they are: nothing else would take less time than the counting.
void count(const Tensor& x, int64_t* counts) {
  visit_integral(x.dtype(), [&](auto zero) {
    const auto* p = x.data<decltype(zero)>();
    for (int64_t i = 0; i < x.numel(); ++i) ++counts[p[i]];
  });
}

Tensor bincount(const Tensor& x, const std::optional<Tensor>& weights, int64_t minlength) {
  EG_CHECK(x.dim() == 1 || x.numel() == 0, "[bincount] expected a 1-d tensor, got shape ",
           x.sizes());
  EG_CHECK_KIND(NotImplemented, !x.is_floating(), "[bincount] expected non-negative integers, got ",
                x.dtype());
  EG_CHECK(minlength >= 0, "[bincount] minlength should be >= 0, got ", minlength);
  EG_CHECK(!weights || weights->sizes() == x.sizes(),
           "[bincount] expected weights of the shape of input, ", x.sizes(), ", got ",
           weights ? weights->sizes() : x.sizes());
  const GradMode off(false);
  const int64_t n = x.numel();
  const bool as_it_is = !weights && x.device().is_cpu();
  const Tensor at = contiguous_data(as_it_is ? x : cast_data(x, DType::Int64));
  int64_t low = 0, high = -1;
  if (n && as_it_is)
    low = amin(at, {}).item().to_int(), high = amax(at, {}).item().to_int();
  else if (n)
    index_range(at, &low, &high);
  EG_CHECK(low >= 0, "[bincount] expected non-negative integers, got ", low);
  const int64_t bins = std::max(high + 1, minlength);
  DType dtype = DType::Int64;
  if (weights) dtype = weights->dtype() == DType::Float32 ? DType::Float32 : DType::Float64;
  Tensor out = zeros({bins}, dtype, x.device());
  if (n == 0) return out;
  if (as_it_is) {
    count(at, out.data<int64_t>());
    return out;
  }
  const Tensor w =
      weights ? contiguous_data(cast_data(*weights, dtype)) : scalar_tensor(Scalar(1), dtype);
  const AlongDim where(out, 0, at);
  kernels<IndexKernels>().fold(dtype, Fold::Add, out.raw(), w.raw(), where.positions(), !weights);
  return out;
}

struct Limits {
  double low, high;
};

// Smallest and largest, for histograms that are not told.
Limits data_limits(const char* op, const Tensor& x, double low, double high, double margin) {
  if (low == high && x.numel() > 0) {
    const GradMode off(false);
    low = amin(x, {}).item().to_double();
    high = amax(x, {}).item().to_double();
  }
  if (low == high) {
    low -= margin;
    high += margin;
  }
  EG_CHECK(std::isfinite(low) && std::isfinite(high), "[", op, "] range of [", low, ", ", high,
           "] is not finite");
  EG_CHECK(low < high, "[", op, "] max must be larger than min, got min ", low, " and max ", high);
  return {low, high};
}

// By ops, for a device: amounts (one or one for each value) added to the bins, in order; bin `bins` is for values outside.
Tensor fill_bins(const Tensor& bin, const Tensor& amounts, int64_t bins) {
  const Tensor out = zeros({bins + 1}, amounts.dtype(), bin.device());
  const Tensor at = contiguous_data(bin), values = contiguous_data(amounts);
  if (at.numel())
    kernels<IndexKernels>().fold(out.dtype(), Fold::Add, out.raw(), values.raw(),
                                 AlongDim(out, 0, view(at, {-1})).positions(), values.dim() == 0);
  return narrow(out, 0, 0, bins);
}

Tensor device_histc(const Tensor& values, int64_t bins, const Limits& limits) {
  const GradMode off(false);
  const Tensor low(limits.low), high(limits.high), count(static_cast<double>(bins));
  const Tensor width = sub(full({}, Scalar(limits.high), values.dtype(), Device{}),
                           full({}, Scalar(limits.low), values.dtype(), Device{}));
  const Tensor inside = ge(values, low) & le(values, high);
  const Tensor place = div(mul(sub(values, low), count), width);
  const Tensor bin =
      minimum(cast_data(where(inside, place, Tensor(0.0)), DType::Int64), Tensor(Scalar(bins - 1)));
  const Tensor counts = fill_bins(where(inside, bin, Tensor(Scalar(bins))),
                                  scalar_tensor(Scalar(1), DType::Int64), bins);
  return cast_data(counts, values.dtype());
}

Tensor device_histogram(const Tensor& values, const Tensor& edges, const Tensor& weight,
                        bool density) {
  const GradMode off(false);
  const int64_t bins = edges.numel() - 1;
  const Tensor at = searchsorted(edges, values, false, true, std::nullopt, std::nullopt);
  const Tensor inside = ge(values, select(edges, 0, 0)) & le(values, select(edges, 0, -1));
  const Tensor bin = minimum(sub(at, Tensor(1)), Tensor(Scalar(bins - 1)));
  const Tensor one = scalar_tensor(Scalar(1), DType::Int64);
  Tensor hist =
      fill_bins(where(inside, bin, Tensor(Scalar(bins))), weight.defined() ? weight : one, bins);
  hist = cast_data(hist, values.dtype());
  if (density)
    hist =
        div(div(hist, sum(hist)), sub(slice(edges, 0, 1, bins + 1, 1), narrow(edges, 0, 0, bins)));
  return hist;
}

Tensor histc(const Tensor& x, int64_t bins, const Scalar& min, const Scalar& max) {
  EG_CHECK_KIND(NotImplemented, x.is_floating(), "[histc] expected a floating point tensor, got ",
                x.dtype());
  EG_CHECK(bins > 0, "[histc] expected at least one bin, got ", bins);
  const Limits limits = data_limits("histc", x, min.to_double(), max.to_double(), 1);
  const DType compute = x.dtype() == DType::Float64 ? DType::Float64 : DType::Float32;
  const Tensor values = contiguous_data(cast_data(x, compute));
  if (!x.device().is_cpu()) return cast_data(device_histc(values, bins, limits), x.dtype());
  Tensor out = zeros({bins}, compute, x.device());
  visit_float(compute, [&](auto zero) {
    using T = decltype(zero);
    const T low = static_cast<T>(limits.low), high = static_cast<T>(limits.high);
    const T* v = values.template data<T>();
    T* counts = out.template data<T>();
    for (int64_t i = 0; i < values.numel(); ++i) {
      if (!(v[i] >= low && v[i] <= high)) continue;
      const int64_t bin = static_cast<int64_t>((v[i] - low) * bins / (high - low));
      counts[std::min(bin, bins - 1)] += 1;
    }
  });
  return cast_data(out, x.dtype());
}

Pair histogram_edges(const Tensor& x, const Tensor& edges, const std::optional<Tensor>& weight,
                     bool density) {
  EG_CHECK_KIND(NotImplemented, x.is_floating(),
                "[histogram] expected a floating point tensor, got ", x.dtype());
  EG_CHECK(edges.dim() == 1 && edges.numel() >= 1, "[histogram] expected 1-d bin edges, got shape ",
           edges.sizes());
  EG_CHECK(edges.dtype() == x.dtype(), "[histogram] expected input and bins of one dtype, got ",
           x.dtype(), " and ", edges.dtype());
  EG_CHECK(!weight || (weight->sizes() == x.sizes() && weight->dtype() == x.dtype()),
           "[histogram] expected weight of the shape and dtype of input");
  const DType compute = x.dtype() == DType::Float64 ? DType::Float64 : DType::Float32;
  const Tensor values = contiguous_data(cast_data(x, compute));
  const Tensor sorted = contiguous_data(cast_data(edges, compute));
  const int64_t bins = sorted.numel() - 1;
  if (!x.device().is_cpu() && bins > 0) {
    const Tensor amounts = weight ? contiguous_data(cast_data(*weight, compute)) : Tensor();
    return {cast_data(device_histogram(values, sorted, amounts, density), x.dtype()), edges};
  }
  Tensor hist = zeros({bins}, compute, x.device());
  const Tensor at = searchsorted(sorted, values, false, true, std::nullopt, std::nullopt);
  const Tensor w = weight ? contiguous_data(cast_data(*weight, compute)) : Tensor();
  visit_float(compute, [&](auto zero) {
    using T = decltype(zero);
    const T *e = sorted.template data<T>(), *v = values.template data<T>();
    T* h = hist.template data<T>();
    double total = 0;
    for (int64_t i = 0; i < values.numel(); ++i) {
      if (bins == 0 || !(v[i] >= e[0] && v[i] <= e[bins])) continue;
      const int64_t bin = std::min(at.data<int64_t>()[i] - 1, bins - 1);
      const T amount = w.defined() ? w.template data<T>()[i] : T(1);
      h[bin] += amount;
      total += amount;
    }
    if (density)
      for (int64_t b = 0; b < bins; ++b) h[b] = static_cast<T>(h[b] / total / (e[b + 1] - e[b]));
  });
  return {cast_data(hist, x.dtype()), edges};
}

Pair histogram(const Tensor& x, int64_t bins, const std::optional<std::vector<double>>& range,
               const std::optional<Tensor>& weight, bool density) {
  EG_CHECK(bins > 0, "[histogram] expected at least one bin, got ", bins);
  EG_CHECK(!range || range->size() == 2, "[histogram] expected range to be (min, max)");
  Limits limits{0, 0};
  if (range) {
    limits = {(*range)[0], (*range)[1]};
    EG_CHECK(limits.low <= limits.high, "[histogram] max must be larger than min, got ", limits.low,
             " and ", limits.high);
    if (limits.low == limits.high) limits = {limits.low - 0.5, limits.high + 0.5};
  }
  if (!range && x.numel() == 0) limits = {0, 1};
  limits = data_limits("histogram", x, limits.low, limits.high, 0.5);
  Tensor edges = empty({bins + 1}, DType::Float64, Device{});
  double* e = edges.data<double>();
  const double step = (limits.high - limits.low) / bins;
  for (int64_t i = 0; i <= bins; ++i)
    e[i] = 2 * i <= bins ? limits.low + step * i : limits.high - step * (bins - i);
  return histogram_edges(x, device_data(cast_data(edges, x.dtype()), x.device()), weight, density);
}

EG_OP(
    &sort, "sort(input, dim=-1, descending=False, stable=False) -> (values, indices)",
    R"(Elements in order along a dimension, and where they were; equal ones keep their order, NaN is largest.

>>> eg.tensor([3, 1, 2]).sort().values.tolist()
[1, 2, 3]
)",
    kOut)
EG_OP(&argsort, "argsort(input, dim=-1, descending=False, stable=False)",
      R"(The indices that sort a dimension.

>>> eg.tensor([3, 1, 2]).argsort().tolist()
[1, 2, 0]
)")
EG_OP(&msort, "msort(input)", "The elements sorted along the first dimension.", kOut)
EG_OP(&topk, "topk(input, k, dim=-1, largest=True, sorted=True) -> (values, indices)",
      R"(The k largest (or smallest) elements along a dimension, in order, and where they were.

>>> eg.tensor([3, 1, 2]).topk(2).indices.tolist()
[0, 2]
)",
      kOut)
EG_OP(&kthvalue, "kthvalue(input, k, dim=-1, keepdim=False) -> (values, indices)",
      R"(The k-th smallest element along a dimension, counted from 1, and where it was.

>>> eg.tensor([3, 1, 2]).kthvalue(2).values.item()
2
)",
      kOut)
#define EG_MEDIAN(NAME, PICK, DOC, DOC_DIM)              \
  EG_OP(&median_of_all<PICK>, NAME "(input)", DOC, kOut) \
  EG_OP(&row_element<PICK>, NAME "(input, dim, keepdim=False) -> (values, indices)", DOC_DIM, kOut)
EG_MEDIAN("median", Pick::Median,
          R"(The lower median of all elements; NaN is larger than everything.

>>> eg.tensor([4, 1, 3, 2]).median().item()
2
)",
          "The lower medians along a dimension and where they are.")
EG_MEDIAN("nanmedian", Pick::Nanmedian, "The lower median of the elements that are not NaN.",
          "The lower medians of what is not NaN along a dimension, and where they are.")
#undef EG_MEDIAN
EG_OP(&row_element<Pick::Mode>, "mode(input, dim=-1, keepdim=False) -> (values, indices)",
      R"(The most frequent elements along a dimension (the smallest of several) and where they are.

>>> eg.tensor([3, 1, 1, 3]).mode().values.item()
1
)",
      kOut)
EG_WAITS("unique unique_consecutive", "how many there are")
EG_WAITS("bincount", "the largest number")
EG_WAITS("histc histogram", "the range, where none is given")
EG_OP(
    &unique, "unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None)",
    R"(The distinct elements in order, or the distinct slices of a dimension; on request where each went, and how many there were.

>>> eg.unique(eg.tensor([2, 1, 2]), return_counts=True)[1].tolist()
[1, 2]
)")
EG_OP(&unique_consecutive,
      "unique_consecutive(input, return_inverse=False, return_counts=False, dim=None)",
      "The first of each run of equal elements, or of equal slices of a dimension.")
EG_OP(
    +[](const Tensor& sorted_sequence, const Operand& values, bool out_int32, bool right,
        const std::optional<std::string>& side, const std::optional<Tensor>& sorter) {
      return searchsorted(sorted_sequence, values.tensor, out_int32, right, side, sorter);
    },
    "searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None)",
    R"(Where each value would have to be inserted to keep the last dimension of sorted_sequence sorted.

>>> eg.searchsorted(eg.tensor([1, 3, 5]), eg.tensor([3, 6])).tolist()
[1, 3]
)",
    kOut | kFunctionOnly)
EG_OP(
    +[](const Operand& x, const Tensor& boundaries, bool out_int32, bool right) {
      return bucketize(x.tensor, boundaries, out_int32, right);
    },
    "bucketize(input, boundaries, *, out_int32=False, right=False)",
    R"(The number of the bucket, between sorted boundaries, that each value falls into.

>>> eg.bucketize(eg.tensor([0, 2, 9]), eg.tensor([1, 5])).tolist()
[0, 1, 2]
)",
    kOut | kFunctionOnly)
EG_OP(
    +[](const Operand& elements, const Operand& test_elements, bool assume_unique, bool invert) {
      return isin(elements.tensor, test_elements.tensor, assume_unique, invert);
    },
    "isin(elements, test_elements, *, assume_unique=False, invert=False)",
    "Which elements are among the test elements.", kOut | kFunctionOnly)
EG_OP(&bincount, "bincount(input, weights=None, minlength=0)",
      R"(How often each non-negative integer occurs, or the sum of its weights.

>>> eg.bincount(eg.tensor([0, 2, 2])).tolist()
[1, 0, 2]
)")
EG_OP(&histc, "histc(input, bins=100, min=0, max=0)",
      R"(Counts in bins of equal width between min and max (of the data, if both are equal).

>>> eg.histc(eg.tensor([1., 2., 2.]), bins=2).tolist()
[1.0, 2.0]
)",
      kOut)
EG_OP(&histogram,
      "histogram(input, bins=100, *, range=None, weight=None, density=False) -> (hist, bin_edges)",
      "Counts, weights or densities in so many bins of equal width, and the edges of the bins.",
      kOut)
EG_OP(&histogram_edges,
      "histogram(input, bins, *, weight=None, density=False) -> (hist, bin_edges)", "", kOut)

}  // namespace

}  // namespace eg
