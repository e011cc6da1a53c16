#include "ops/row_sparse.h"

#include <mutex>

#include "kernels/sort.h"
#include "ops/creation.h"
#include "ops/index.h"
#include "ops/ops.h"
#include "tape/node.h"

namespace eg {
namespace {

class RowMemory final : public DeferredMemory {
 public:
  RowMemory(RowParts parts, const Dims& sizes) : parts_(std::move(parts)), sizes_(sizes) {}

  // Threads may ask at once; they are kept apart here, not in each reader.
  void* memory(const Storage& storage) override {
    static std::mutex filling;
    const std::lock_guard<std::mutex> lock(filling);
    if (!dense_.defined()) dense_ = empty(sizes_, parts_.values.dtype(), parts_.values.device());
    if (stale_ || (sparse(storage) && filled_ != parts_.values.version())) fill_dense();
    return dense_.raw();
  }

  bool sparse(const Storage& storage) const { return storage.version() == version_; }
  const Dims& sizes() const { return sizes_; }
  const RowParts& parts() const { return parts_; }
  void replace(Storage& storage, RowParts parts) {
    parts_ = std::move(parts);
    stale_ = true;
    storage.mark_written();
    version_ = storage.version();
  }

 private:
  void fill_dense() {
    const DeviceScope scope(dense_.device());
    fill(dense_, Scalar(0));
    add_rows_into(dense_, parts_);
    filled_ = parts_.values.version();
    stale_ = false;
  }

  RowParts parts_;
  Dims sizes_;
  Tensor dense_;          // once somebody asked
  bool stale_ = true;     // dense_ holds nothing, or other rows
  uint32_t filled_ = 0;   // values' version when dense_ was filled
  uint32_t version_ = 0;  // the storage's, as long as nobody wrote to dense_
};

RowMemory* memory_of(const Tensor& t) {
  auto* memory = static_cast<RowMemory*>(t.storage().deferred());  // the only kind
  if (!memory || !memory->sparse(t.storage())) return nullptr;
  const bool whole = t.is_contiguous() && t.offset() == 0 && t.sizes() == memory->sizes() &&
                     t.dtype() == memory->parts().values.dtype();
  return whole ? memory : nullptr;
}

int64_t width_of(const Dims& sizes) {
  return checked_numel(IntSpan(sizes.data() + 1, sizes.size() - 1));
}

// out[to[i]] += x[i], rows of one width, in order; out holds nothing yet if it is `fresh`.
void add_rows(const Tensor& out, const Tensor& x, const Tensor& to, bool fresh = false) {
  const int64_t n = x.sizes()[0];
  if (n == 0 && !fresh) return;
  kernels<IndexKernels>().add_rows(x.dtype(), out.raw(), x.raw(), arange(n).data<int64_t>(),
                                   to.data<int64_t>(), nullptr, n, width_of(x.sizes()),
                                   out.sizes()[0], fresh);
}

Dims with_rows(int64_t rows, const Dims& sizes) {
  Dims out = sizes;
  out[0] = rows;
  return out;
}

// ---- distinct rows: by a table of all rows, or by sorting where the table would be much longer -------------------
constexpr int64_t kTableRows = 64;  // table entries an index: 8 bytes each against a sort's ~100 ns

DistinctRows distinct_by_table(const int64_t* index, int64_t n, int64_t size) {
  std::vector<int64_t> place(static_cast<size_t>(size), -1);
  for (int64_t i = 0; i < n; ++i) place[index[i]] = 0;
  int64_t count = 0;
  for (int64_t r = 0; r < size; ++r) count += place[r] + 1;
  DistinctRows out{empty({count}, DType::Int64), empty({n}, DType::Int64)};
  int64_t* rows = out.rows.data<int64_t>();
  count = 0;
  for (int64_t r = 0; r < size; ++r) {
    if (place[r] < 0) continue;
    rows[count] = r;
    place[r] = count++;
  }
  int64_t* to = out.place.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) to[i] = place[index[i]];
  return out;
}

DistinctRows distinct_by_sorting(const Tensor& index) {
  const int64_t n = index.numel();
  const SortKernels& k = kernels<SortKernels>();
  const Tensor order = empty({n}, DType::Int64), first = empty({n}, DType::Bool);
  const int64_t* at = order.data<int64_t>();
  k.sort(DType::Int64, index.raw(), nullptr, order.data<int64_t>(), 1, n, false);
  const int64_t runs = k.run_starts(DType::Int64, index.raw(), at, first.data<bool>(), n, 1);
  const Tensor starts = empty({runs}, DType::Int64), counts = empty({runs}, DType::Int64),
               place = empty({n}, DType::Int64);
  if (n)
    k.describe_runs(first.data<bool>(), at, n, runs, starts.data<int64_t>(), place.data<int64_t>(),
                    counts.data<int64_t>());
  return {index_select(index, 0, starts), place};
}

}  // namespace

DistinctRows distinct_rows(const Tensor& index, int64_t size) {
  const DeviceScope scope(index.device());
  if (!index.device().is_cpu())
    return distinct_by_sorting(checked_index({"row-sparse gradient"}, index, size, 0));
  int64_t low = 0,
          high = -1;  // the index may be memory that its owner wrote to since it was checked
  if (index.numel()) index_range(index, &low, &high);
  EG_CHECK_INDEX(low >= 0 && high < size, "index out of range: row ", low < 0 ? low : high, " of ",
                 size);
  if (size / kTableRows <= index.numel())
    return distinct_by_table(index.data<int64_t>(), index.numel(), size);
  return distinct_by_sorting(index);
}

Tensor row_sparse(const Tensor& rows, const Tensor& values, const Dims& sizes) {
  const size_t bytes = size_t(checked_numel(sizes)) * values.item_size();
  const Tensor plain = contiguous_data(values);
  auto memory = std::make_unique<RowMemory>(RowParts{rows, plain}, sizes);
  Tensor t = empty(with_rows(0, sizes), values.dtype(), values.device());
  t->storage = Storage::defer(std::move(memory), bytes, values.device());
  t->sizes = sizes;
  t->strides = contiguous_strides(sizes);
  t->numel = checked_numel(sizes);
  return t;
}

Tensor row_sparse_sum(const Tensor& index, const Tensor& g, const Dims& sizes) {
  const DeviceScope scope(g.device());  // callers may be the engine itself
  const DistinctRows distinct = distinct_rows(index, sizes[0]);
  const Tensor values = empty(with_rows(distinct.rows.numel(), sizes), g.dtype());
  add_rows(values, contiguous_data(g), distinct.place, true);
  return row_sparse(distinct.rows, values, sizes);
}

bool wants_rows(const Context& ctx, size_t i) {
  if (grad_enabled() || !ctx.needs(i)) return false;
  return is_accumulator(*ctx.node()->edges[i].node);
}

std::optional<RowParts> row_parts(const Tensor& t) {
  if (!may_be_row_sparse(t)) return std::nullopt;
  RowMemory* memory = memory_of(t);
  if (!memory) return std::nullopt;
  return memory->parts();
}

Tensor row_sparse_add(const Tensor& a, const Tensor& b) {
  const RowParts x = *row_parts(a), y = *row_parts(b);
  if (!x.rows.device().is_cpu())
    return row_sparse_sum(cat({x.rows, y.rows}, 0), cat({x.values, y.values}, 0), a.sizes());
  const int64_t nx = x.rows.numel(), ny = y.rows.numel();
  const int64_t *rx = x.rows.data<int64_t>(), *ry = y.rows.data<int64_t>();
  const Tensor rows = empty({nx + ny}, DType::Int64), place_x = empty({nx}, DType::Int64),
               place_y = empty({ny}, DType::Int64);
  int64_t *merged = rows.data<int64_t>(), *to_x = place_x.data<int64_t>(),
          *to_y = place_y.data<int64_t>();
  int64_t count = 0;
  for (int64_t i = 0, j = 0; i < nx || j < ny; ++count) {
    const bool from_x = j == ny || (i < nx && rx[i] <= ry[j]);
    const bool from_y = i == nx || (j < ny && ry[j] <= rx[i]);
    merged[count] = from_x ? rx[i] : ry[j];
    if (from_x) to_x[i++] = count;
    if (from_y) to_y[j++] = count;
  }
  const Tensor values = zeros(with_rows(count, a.sizes()), a.dtype());
  add_rows(values, x.values, place_x);
  add_rows(values, y.values, place_y);
  return row_sparse(make_view(rows, {count}, {1}, 0), values, a.sizes());
}

void add_rows_into(const Tensor& dense, const RowParts& sparse, double alpha) {
  if (sparse.values.numel() == 0) return;
  const DeviceScope scope(dense.device());
  const Tensor values = alpha == 1 ? sparse.values : mul(sparse.values, Tensor(alpha));
  kernels<IndexKernels>().fold(dense.dtype(), Fold::Add, dense.raw(), values.raw(),
                               AlongDim(dense, 0, sparse.rows).positions(), false);
}

bool add_rows_in_place(const Tensor& a, const Tensor& b, bool subtract) {
  const auto rows = row_parts(b);
  if (!rows || (grad_enabled() && (a.requires_grad() || b.requires_grad()))) return false;
  if (a.sizes() != b.sizes() || a.dtype() != b.dtype() || !a.device().is_cpu()) return false;
  check_inplace(a, subtract ? "sub_" : "add_");
  add_rows_into(a, *rows, subtract ? -1 : 1);
  a.storage().mark_written();
  return true;
}

Tensor scale_rows(const Tensor& x, const Tensor& factor) {
  const auto parts = row_parts(x);
  if (!parts || (grad_enabled() && x.requires_grad())) return {};
  return row_sparse(parts->rows, mul(parts->values, factor), x.sizes());
}

void replace_rows(const Tensor& t, const RowParts& parts) {
  memory_of(t)->replace(t.storage(), parts);
}

// Without gaps and without elements that share memory: another tensor can have these strides.
static bool is_dense(const Tensor& t) {
  int64_t span = 1;
  for (int64_t d = 0; d < t.dim(); ++d) span += (t.sizes()[d] - 1) * t.strides()[d];
  return span == t.numel() && !has_internal_overlap(t);
}

Tensor clone_gradient(const Tensor& g, const Tensor& leaf) {
  if (const auto parts = row_parts(g))
    return row_sparse(parts->rows, clone(parts->values), g.sizes());
  const Dims strides =
      g.sizes() == leaf.sizes() && is_dense(leaf) ? leaf.strides() : contiguous_strides(g.sizes());
  const Tensor copy = empty_strided(g.sizes(), strides, g.dtype(), g.device());
  copy_into(copy, g);
  return copy;
}

Tensor add_gradients(const Tensor& a, const Tensor& b) {
  const auto x = row_parts(a), y = row_parts(b);
  if (x && y) return row_sparse_add(a, b);
  if (!x && !y) return add(a, b);
  Tensor sum = clone(x ? b : a).detach();
  add_rows_into(sum, x ? *x : *y);
  return sum;
}

namespace {

Tensor make_row_sparse(const Tensor& rows, const Tensor& values, const Dims& size) {
  OpDevice device("RowSparse");
  device.add(rows);
  device.add(values);
  EG_CHECK_VALUE(!size.empty(), "[RowSparse] expected a size of at least one dimension, got ()");
  for (int64_t n : size)
    EG_CHECK_VALUE(n >= 0, "[RowSparse] expected sizes of at least 0, got ", size);
  EG_CHECK_TYPE(is_integral(rows.dtype()), "[RowSparse] expected integer rows, got ", rows.dtype());
  EG_CHECK_TYPE(values.is_floating(), "[RowSparse] expected floating point values, got ",
                values.dtype());
  EG_CHECK(rows.dim() == 1, "[RowSparse] expected a vector of rows, got shape ", rows.sizes());
  EG_CHECK(values.dim() == static_cast<int64_t>(size.size()) &&
               values.sizes() == with_rows(rows.numel(), size),
           "[RowSparse] expected values of shape ", with_rows(rows.numel(), size), " for ",
           rows.numel(), " rows of a tensor of shape ", size, ", got ", values.sizes());
  const Tensor index = checked_index({"RowSparse", ErrorKind::Index, false}, rows, size[0], 0);
  return row_sparse_sum(index, values, size);
}

// Rows as a copy, values as a view: whatever a user does with them, ours keep their range and shape.
TensorList parts_or_nothing(const Tensor& t) {
  const auto parts = row_parts(t);
  return parts ? TensorList{clone(parts->rows), parts->values.detach()} : TensorList{};
}

void check_row_sparse(const Tensor& t) {
  EG_CHECK(row_parts(t), "expected a row-sparse tensor, got a dense one of shape ", t.sizes());
}

Tensor add_checked(const Tensor& a, const Tensor& b) {
  check_row_sparse(a);
  check_row_sparse(b);
  EG_CHECK(a.sizes() == b.sizes() && a.dtype() == b.dtype(),
           "[add] expected row-sparse tensors of one shape and dtype, got ", a.sizes(), " ",
           a.dtype(), " and ", b.sizes(), " ", b.dtype());
  return row_sparse_add(a, b);
}

// a takes the rows of b.
void take_rows(const Tensor& a, const Tensor& b) {
  check_row_sparse(a);
  check_row_sparse(b);
  EG_CHECK(a.sizes() == b.sizes() && a.dtype() == b.dtype(),
           "expected row-sparse tensors of one shape and dtype, got ", a.sizes(), " ", a.dtype(),
           " and ", b.sizes(), " ", b.dtype());
  check_inplace(a, "row-sparse update");
  replace_rows(a, *row_parts(b));
}

EG_WAITS("_row_sparse _row_sparse_add", "how many rows there are")
EG_OP(&make_row_sparse, "_row_sparse(rows, values, size)",
      "A tensor that is zero but for some rows; repeated rows are added up.", kInternal)
EG_OP(
    +[](const Tensor& t) { return row_parts(t).has_value(); }, "_is_row_sparse(input)",
    "Does it have rows rather than memory?", kInternal)
EG_OP(&parts_or_nothing, "_row_parts(input)",
      "[a copy of the rows, values] of a row-sparse tensor, [] for any other.", kInternal)
EG_OP(&add_checked, "_row_sparse_add(input, other)", "The sum of two row-sparse tensors.",
      kInternal)
EG_OP(&take_rows, "_row_sparse_take_(input, other)",
      "input becomes other, rows and values; nothing is copied.", kInternal)

}  // namespace

}  // namespace eg
