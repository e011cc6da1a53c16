// Compressed sparse matrices on the GPU. Transposes and products of sparse matrices go by sorting; nothing waits for the host but
// what must know how many entries a result has.
#include "kernels/sparse.h"

#include <limits>

#include "core/late.h"
#include "cuda/order.h"
#include "cuda/sparse_layouts.h"
#include "kernels/index.h"
#include "kernels/sort.h"

namespace eg {
namespace {

using cuda::elements;
using cuda::Grid;
using cuda::kernel;
using cuda::launch;
using cuda::Scratch;

constexpr const char* kFile = "sparse.cu";

LateCheck late_check() {
  static const char* const op = "sparse";
  return {cuda::late_note(), late_errors->number({ErrorKind::Runtime, op, "an index", 1})};
}

Compressed compressed(const CompressedView& x) {
  return {x.ptr, x.idx, x.perm, x.rows, x.cols, x.nnz, late_check()};
}

DType index_type(bool wide) { return wide ? DType::Int64 : DType::Int32; }

// f(zero of the index type)
template <class F>
void visit_index(bool wide, F&& f) {
  wide ? f(int64_t{}) : f(int32_t{});
}
template <class F>
void visit_value(DType t, F&& f) {
  if (t == DType::Float64) return f(double{});
  if (t == DType::Int64) return f(int64_t{});
  f(float{});
}

// A warp each.
Grid warps(int64_t n) {
  const int64_t most = int64_t(cuda::driver().multiprocessors) * 128;
  return Grid(std::max<int64_t>(1, std::min((n + 3) / 4, most)), 128);
}

// --- patterns ----------------------------------------------------------------------------------------------------------

void check(const CompressedView& x, SparseCheck* result) {
  const uint64_t none = ~uint64_t(0);
  uint64_t found[2] = {none, 0};
  const cuda::Uploaded start(found, sizeof(found));
  auto* const at = const_cast<uint64_t*>(start.get<uint64_t>());
  launch(kernel(kFile, "eg::check_pattern", {index_type(x.wide)}),
         elements(std::max(x.rows + 1, x.nnz)), compressed(x), at);
  cuda::download(found, at, sizeof(found));
  result->canonical = found[0] == none && found[1] == 0;
  if (found[0] == none) return;
  const int64_t number = int64_t(found[0]), last = 1 + 2 * x.rows;
  if (number == 0) {
    result->fault = SparseFault::FirstPointer;
  } else if (number < last) {
    result->fault = number % 2 ? SparseFault::FallingPointer : SparseFault::PointerRange;
    result->at = (number - 1) / 2 + 1;
  } else {
    result->fault = number == last ? SparseFault::LastPointer : SparseFault::Index;
    result->at = number == last ? x.rows : number - last - 1;
  }
}

bool expand(const CompressedView& x, void* rows) {
  if (x.nnz)
    launch(kernel(kFile, "eg::expand_rows", {index_type(x.wide)}), elements(x.nnz), compressed(x),
           rows);
  return true;
}

// Where n keys begin that are below `size`, and their stable order.
Scratch ordered(const void* keys, bool wide, int64_t n, int64_t size, void* ptr) {
  const DType t = index_type(wide);
  if (n == 0) {
    cuda::fill_zero(ptr, (size + 1) * item_size(t));
    return Scratch(0);
  }
  const Scratch numbers(n * sizeof(int64_t));
  launch(kernel(kFile, "eg::widen", {t}), elements(n), keys, n, size, late_check(),
         numbers.get<int64_t>());
  Scratch order = cuda::index_order(numbers.get<int64_t>(), n, std::max<int64_t>(size, 1));
  launch(kernel(kFile, "eg::key_starts", {t}), elements(size + 1),
         static_cast<const int64_t*>(numbers.get<int64_t>()),
         static_cast<const uint32_t*>(order.get<uint32_t>()), n, size, ptr);
  return order;
}

bool compress(const void* keys, bool wide, int64_t n, int64_t size, void* ptr, void* perm) {
  const Scratch order = ordered(keys, wide, n, size, ptr);
  if (n)
    launch(kernel(kFile, "eg::copy_order", {index_type(wide)}), elements(n),
           static_cast<const uint32_t*>(order.get<uint32_t>()), n, perm);
  return true;
}

bool transpose(const CompressedView& x, void* ptr, void* idx, void* perm) {
  const Scratch order = ordered(x.idx, x.wide, x.nnz, x.cols, ptr);
  if (x.nnz)
    launch(kernel(kFile, "eg::turn_entries", {index_type(x.wide)}), elements(x.nnz), compressed(x),
           static_cast<const uint32_t*>(order.get<uint32_t>()), idx, perm);
  return true;
}

bool take_rows(const CompressedView& x, const int64_t* rows, int64_t n, const void* ptr, void* idx,
               void* positions) {
  if (n && x.nnz)
    launch(kernel(kFile, "eg::take_rows", {index_type(x.wide)}), warps(n), compressed(x), rows, n,
           ptr, idx, positions);
  return true;
}

bool merge(SparseMerge mode, const CompressedView& a, const CompressedView& b, void* ptr, void* idx,
           int64_t* at_a, int64_t* at_b) {
  launch(kernel(kFile, "eg::merge_rows", {index_type(a.wide)}), elements(a.rows), compressed(a),
         compressed(b), int(mode == SparseMerge::Intersection), ptr, idx, at_a, at_b);
  if (idx) return true;
  if (a.wide) {
    auto* const counts = static_cast<int64_t*>(ptr);
    cuda::scan_counts(counts, a.rows, counts + a.rows);
  } else {
    auto* const counts = static_cast<uint32_t*>(ptr);
    cuda::scan_counts(counts, a.rows, counts + a.rows);
  }
  return true;
}

// --- products with dense matrices --------------------------------------------------------------------------------------

int lanes_for(int64_t n) {
  int width = 1;
  while (width < 32 && width < n) width *= 2;
  return width;
}

void multiply_into(DType dtype, const CompressedView& x, const void* values,
                   const SparseOperand& dense, int64_t n, const DenseMatrix& out) {
  if (x.rows * n == 0) return;
  launch(kernel(kFile, "eg::multiply", {dtype, index_type(x.wide)}), warps(x.rows), compressed(x),
         values, DenseMatrix{const_cast<void*>(dense.data), dense.row, dense.col}, n, lanes_for(n),
         out);
}

bool multiply(DType dtype, const CompressedView& x, const void* values, const SparseOperand& dense,
              int64_t n, void* out) {
  multiply_into(dtype, x, values, dense, n, {out, n, 1});
  return true;
}

// The transposed pattern for the time of a launch.
class Turned {
 public:
  explicit Turned(const CompressedView& x)
      : bytes_(x.wide ? 8 : 4),
        ptr_((x.cols + 1) * bytes_),
        idx_(x.nnz * bytes_),
        perm_(x.nnz * bytes_),
        view_{ptr_.get(), idx_.get(), perm_.get(), x.wide, x.cols, x.rows, x.nnz} {
    transpose(x, ptr_.get(), idx_.get(), perm_.get());
  }
  const CompressedView& view() const { return view_; }

 private:
  int64_t bytes_;
  Scratch ptr_, idx_, perm_;
  CompressedView view_;
};

bool scatter(DType dtype, const CompressedView& x, const void* values, const SparseOperand& dense,
             int64_t n, void* out) {
  multiply_into(dtype, Turned(x).view(), values, dense, n, {out, 1, x.cols});
  return true;
}

bool sampled(DType dtype, const CompressedView& x, const void* a, const void* b, int64_t n,
             void* out) {
  const int width = lanes_for(n);
  if (x.nnz)
    launch(kernel(kFile, "eg::sampled", {dtype, index_type(x.wide)}),
           elements(x.nnz * width, 1, 128), compressed(x), a, b, n, width, out);
  return true;
}

// --- products of sparse matrices ----------------------------------------------------------------------------------------

bool product_pattern(const CompressedView& a, const CompressedView& b, int64_t* ptr,
                     void* (*place)(void* context, int64_t entries), void* context) {
  int64_t most;
  EG_CHECK(
      !__builtin_mul_overflow(std::max<int64_t>(a.rows, 1), std::max<int64_t>(b.cols, 1), &most),
      "[sparse.mm] on a GPU the product of two sparse matrices needs fewer than 2^63 elements, "
      "got ",
      a.rows, " x ", b.cols);
  const DType t = index_type(a.wide);
  const Scratch starts((a.nnz + 1) * sizeof(int64_t));
  int64_t* const counts = starts.get<int64_t>();
  int64_t total = 0;
  if (a.nnz) {
    launch(kernel(kFile, "eg::pair_counts", {t}), elements(a.nnz), compressed(a), compressed(b),
           counts);
    cuda::scan_counts(counts, a.nnz, counts + a.nnz);
    cuda::download(&total, counts + a.nnz, sizeof(total));
  }
  if (total == 0) {
    place(context, 0);
    cuda::fill_zero(ptr, (a.rows + 1) * sizeof(int64_t));
    return true;
  }
  const Scratch keys(total * sizeof(int64_t)), sorted(total * sizeof(int64_t)),
      unused(total * sizeof(int64_t)), first(total);
  launch(kernel(kFile, "eg::pair_keys", {t}), elements(total), compressed(a), compressed(b),
         static_cast<const int64_t*>(counts), total, keys.get<int64_t>());
  const SortKernels& sorts = kernels<SortKernels>();
  sorts.sort(DType::Int64, keys.get<char>(), sorted.get<char>(), unused.get<int64_t>(), 1, total,
             false);
  const int64_t n =
      sorts.run_starts(DType::Int64, sorted.get<char>(), nullptr, first.get<bool>(), total, 1);
  const Scratch at(n * sizeof(int64_t)), rows(n * sizeof(int64_t));
  kernels<IndexKernels>().positions(first.get<char>(), total, 0, at.get<int64_t>());
  launch(kernel(kFile, "eg::key_columns", {t}), elements(n),
         static_cast<const int64_t*>(sorted.get<int64_t>()),
         static_cast<const int64_t*>(at.get<int64_t>()), n, b.cols, place(context, n),
         rows.get<int64_t>());
  launch(kernel(kFile, "eg::key_starts", {DType::Int64}), elements(a.rows + 1),
         static_cast<const int64_t*>(rows.get<int64_t>()), static_cast<const uint32_t*>(nullptr), n,
         a.rows, ptr);
  return true;
}

bool triple(DType dtype, SparseTriple wanted, const CompressedView& a, const CompressedView& b,
            const CompressedView& c, const void* x, const void* y, void* out) {
  const int64_t n = wanted == SparseTriple::C ? c.nnz : wanted == SparseTriple::A ? a.nnz : b.nnz;
  if (n == 0) return true;
  const char* const name = wanted == SparseTriple::C   ? "eg::product_values"
                           : wanted == SparseTriple::A ? "eg::left_values"
                                                       : "eg::right_values";
  const auto run = [&](const CompressedView& left) {
    launch(kernel(kFile, name, {dtype, index_type(a.wide)}), elements(n, 1, 128), compressed(left),
           compressed(b), compressed(c), x, y, out);
  };
  wanted == SparseTriple::B ? run(Turned(a).view()) : run(a);
  return true;
}

// --- segments ------------------------------------------------------------------------------------------------------------

bool segment_sum(DType dtype, const CompressedView& x, const void* values, void* out) {
  if (x.rows)
    launch(kernel(kFile, "eg::segment_sum", {dtype, index_type(x.wide)}), warps(x.rows),
           compressed(x), values, out);
  return true;
}

bool segment_softmax(DType dtype, const CompressedView& x, const void* values, bool log,
                     void* out) {
  if (x.rows)
    launch(kernel(kFile, "eg::segment_softmax", {dtype, index_type(x.wide)}), warps(x.rows),
           compressed(x), values, int(log), out);
  return true;
}

}  // namespace

EG_CUDA_KERNELS(SparseKernels,
                {&check, &expand, &compress, &transpose, &multiply, &scatter, &sampled, &take_rows,
                 &merge, &product_pattern, &triple, &segment_sum, &segment_softmax})

}  // namespace eg
