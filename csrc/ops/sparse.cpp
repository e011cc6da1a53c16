// Products, patterns and segments of compressed sparse matrices. A pattern is a constant of the tape; gradients go to the
// values of its entries and to dense operands. The three bilinear maps between values, left and right side are each
// other's gradients, so every order of gradient is made of them.
#include "kernels/sparse.h"

#include <limits>

#include "ops/index.h"
#include "ops/ops.h"
#include "ops/registry.h"
#include "ops/row_sparse.h"
#include "tape/function.h"

namespace eg {
namespace {

// Index arrays of a rows x cols matrix; `turned` are those of its transpose and the order of the values there, if somebody
// keeps them.
struct Pattern {
  Tensor ptr, idx;
  int64_t rows = 0, cols = 0;
  TensorList turned;
  int64_t entries = 0;  // of segments, which have no idx

  int64_t nnz() const { return idx.defined() ? idx.numel() : entries; }
  CompressedView view() const {
    return {ptr.raw(), idx.defined() ? idx.raw() : nullptr,
            nullptr,   ptr.dtype() == DType::Int64,
            rows,      cols,
            nnz()};
  }
};

bool is_index_array(const Tensor& t) {
  return (t.dtype() == DType::Int32 || t.dtype() == DType::Int64) && t.dim() == 1 &&
         t.is_contiguous();
}

// Pointers alone: segments.
Pattern segments_of(const char* op, const Tensor& ptr, int64_t entries) {
  EG_CHECK(
      is_index_array(ptr) && ptr.numel() > 0, "[", op,
      "] expected offsets as one contiguous row of int32 or int64 with at least one entry, got ",
      ptr.dtype(), " of shape ", ptr.sizes());
  Pattern p;
  p.ptr = ptr;
  p.entries = entries;
  p.rows = ptr.numel() - 1;
  return p;
}

Pattern pattern_of(const char* op, const Tensor& ptr, const Tensor& idx, int64_t rows,
                   int64_t cols) {
  EG_CHECK(is_index_array(ptr) && is_index_array(idx) && ptr.dtype() == idx.dtype(), "[", op,
           "] expected compressed and plain indices as contiguous rows of one dtype, int32 or "
           "int64, got ",
           ptr.dtype(), " of shape ", ptr.sizes(), " and ", idx.dtype(), " of shape ", idx.sizes());
  EG_CHECK(ptr.device() == idx.device(), "[", op, "] expected indices on one device, got ",
           ptr.device(), " and ", idx.device());
  EG_CHECK(rows >= 0 && cols >= 0, "[", op, "] expected sizes from 0 on, got ", rows, " x ", cols);
  EG_CHECK(ptr.numel() - 1 == rows, "[", op, "] expected ", rows, " + 1 compressed indices, got ",
           ptr.numel());
  if (ptr.dtype() == DType::Int32)
    EG_CHECK(idx.numel() <= std::numeric_limits<int32_t>::max() &&
                 rows <= std::numeric_limits<int32_t>::max() &&
                 cols <= std::numeric_limits<int32_t>::max(),
             "[", op, "] ", idx.numel(), " entries of a ", rows, " x ", cols,
             " matrix do not fit int32 indices");
  Pattern p;
  p.ptr = ptr;
  p.idx = idx;
  p.rows = rows;
  p.cols = cols;
  return p;
}

// --- faults -----------------------------------------------------------------------------------------------------------------

int64_t entry(const Tensor& t, int64_t at) {
  if (!t.device().is_cpu()) return alias(t, {}, {}, t.offset() + at).item().to_int();
  return t.dtype() == DType::Int64 ? t.data<int64_t>()[at] : t.data<int32_t>()[at];
}

// Raises in PyTorch's kind, naming the first fault. Returns whether rows are ascending and free of duplicates.
bool sound(const Pattern& p, const std::string& op, const std::string& compressed,
           const std::string& plain) {
  SparseCheck c;
  kernels<SparseKernels>().check(p.view(), &c);
  switch (c.fault) {
    case SparseFault::None:
      return c.canonical;
    case SparseFault::FirstPointer:
      fail(ErrorKind::Runtime, "[", op, "] expected ", compressed, "[0] == 0, got ",
           entry(p.ptr, 0));
    case SparseFault::FallingPointer:
      fail(ErrorKind::Runtime, "[", op, "] expected ", compressed, " that never falls, got ",
           entry(p.ptr, c.at), " at position ", c.at, " after ", entry(p.ptr, c.at - 1));
    case SparseFault::PointerRange:
      fail(ErrorKind::Runtime, "[", op, "] expected ", compressed, " up to the ", p.nnz(),
           " entries, got ", entry(p.ptr, c.at), " at position ", c.at);
    case SparseFault::LastPointer:
      fail(ErrorKind::Runtime, "[", op, "] expected ", compressed, "[-1] == ", p.nnz(),
           ", the number of entries, got ", entry(p.ptr, c.at));
    default:
      fail(ErrorKind::Runtime, "[", op, "] expected ", plain, " in [0, ", p.cols, "), got ",
           entry(p.idx, c.at), " at position ", c.at);
  }
}

void require(bool fine, const Pattern& p, const char* op) {
  if (EG_LIKELY(fine)) return;
  sound(p, op, "compressed indices", "plain indices");
  fail(ErrorKind::Runtime, "[", op, "] the index arrays changed during the call");
}

// --- patterns ----------------------------------------------------------------------------------------------------------------

Tensor index_array(const Pattern& like, int64_t n) { return empty({n}, like.ptr.dtype()); }

TensorList turned(const Pattern& p, const char* op) {
  if (!p.turned.empty()) return p.turned;
  TensorList t = {index_array(p, p.cols + 1), index_array(p, p.nnz()), index_array(p, p.nnz())};
  require(kernels<SparseKernels>().transpose(p.view(), t[0].raw(), t[1].raw(), t[2].raw()), p, op);
  return t;
}

using Three = std::tuple<Tensor, Tensor, Tensor>;

Three sparse_transpose(const Tensor& ptr, const Tensor& idx, int64_t rows, int64_t cols) {
  const TensorList t = turned(pattern_of("transpose", ptr, idx, rows, cols), "transpose");
  return {t[0], t[1], t[2]};
}

bool sparse_check(const Tensor& ptr, const Tensor& idx, int64_t rows, int64_t cols,
                  const std::string& op, const std::string& compressed, const std::string& plain) {
  return sound(pattern_of(op.c_str(), ptr, idx, rows, cols), op, compressed, plain);
}

Tensor sparse_expand(const Tensor& ptr, int64_t entries) {
  const Pattern p = segments_of("row indices", ptr, entries);
  Tensor out = index_array(p, entries);
  const bool fine = !ptr.device().is_cpu() ||  // where the kernel looks itself
                    (entry(ptr, 0) == 0 && entry(ptr, p.rows) == entries);
  EG_CHECK(fine && kernels<SparseKernels>().expand(p.view(), out.raw()),
           "[row indices] expected compressed indices that rise from 0 to ", entries);
  return out;
}

std::tuple<Tensor, Tensor> sparse_compress(const Tensor& keys, int64_t size) {
  EG_CHECK(is_index_array(keys), "[coo] expected a contiguous row of int32 or int64 indices, got ",
           keys.dtype(), " of shape ", keys.sizes());
  EG_CHECK(size >= 0, "[coo] expected a size from 0 on, got ", size);
  Tensor ptr = empty({size + 1}, keys.dtype()), perm = empty({keys.numel()}, keys.dtype());
  const bool fine = kernels<SparseKernels>().compress(keys.raw(), keys.dtype() == DType::Int64,
                                                      keys.numel(), size, ptr.raw(), perm.raw());
  EG_CHECK(fine, "[coo] an index is out of range for size ", size);
  return {ptr, perm};
}

void check_fits(int64_t entries, DType dtype, const char* op) {
  EG_CHECK(dtype == DType::Int64 || entries <= std::numeric_limits<int32_t>::max(), "[", op,
           "] the result's ", entries, " entries do not fit int32 indices: convert to int64 first");
}

// Running sums as the pattern's index type; entries of int64 counts.
Tensor offsets_of(const std::vector<int64_t>& lengths, DType dtype, const char* op) {
  Tensor out = empty({int64_t(lengths.size()) + 1}, DType::Int64);
  int64_t* to = out.data<int64_t>();
  to[0] = 0;
  for (size_t i = 0; i < lengths.size(); ++i)
    EG_CHECK(!__builtin_add_overflow(to[i], lengths[i], &to[i + 1]), "[", op,
             "] the number of entries does not fit 64 bits");
  check_fits(to[lengths.size()], dtype, op);
  return cast_data(out, dtype);
}

// The result's offsets, by ops, where the host cannot read the lengths.
Tensor offsets_of_rows(const Tensor& ptr, const Tensor& chosen) {
  const Tensor one = scalar_tensor(Scalar(1), DType::Int64);
  const Tensor ends = index_select(ptr, 0, add(chosen, one)), begins = index_select(ptr, 0, chosen);
  const Tensor lengths = cast_data(sub(ends, begins), DType::Int64);
  return cat({zeros({1}, DType::Int64), cumsum(lengths, 0)}, 0);
}

Three sparse_take_rows(const Tensor& ptr, const Tensor& idx, int64_t cols, const Tensor& rows) {
  const Pattern p = pattern_of("index", ptr, idx, ptr.numel() - 1, cols);
  const Tensor chosen = checked_index({"index", ErrorKind::Index, true}, rows, p.rows, 0);
  EG_CHECK_INDEX(chosen.dim() == 1, "[index] expected a 1-d index of rows, got shape ",
                 chosen.sizes());
  const int64_t n = chosen.numel();
  const int64_t* at = chosen.data<int64_t>();
  const auto taken = [&](const Tensor& offsets) -> Three {
    const int64_t count = entry(offsets, n);
    Tensor out = index_array(p, count), positions = index_array(p, count);
    require(kernels<SparseKernels>().take_rows(p.view(), at, n, offsets.raw(), out.raw(),
                                               positions.raw()),
            p, "index");
    return {offsets, out, positions};
  };
  if (!ptr.device().is_cpu()) {
    const Tensor offsets = offsets_of_rows(ptr, chosen);
    check_fits(entry(offsets, n), ptr.dtype(), "index");
    return taken(cast_data(offsets, ptr.dtype()));
  }
  std::vector<int64_t> lengths(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const int64_t begin = entry(ptr, at[i]), end = entry(ptr, at[i] + 1);
    if (begin < 0 || end < begin || end > p.nnz()) require(false, p, "index");
    lengths[size_t(i)] = end - begin;
  }
  return taken(offsets_of(lengths, ptr.dtype(), "index"));
}

void same_shape(const char* op, const Pattern& a, const Pattern& b) {
  EG_CHECK(a.rows == b.rows && a.cols == b.cols, "[", op,
           "] expected sparse operands of one shape, got ", a.rows, " x ", a.cols, " and ", b.rows,
           " x ", b.cols);
  EG_CHECK(a.ptr.dtype() == b.ptr.dtype(), "[", op, "] expected indices of one dtype, got ",
           a.ptr.dtype(), " and ", b.ptr.dtype());
}

std::tuple<Tensor, Tensor, Tensor, Tensor> sparse_merge(const Tensor& a_ptr, const Tensor& a_idx,
                                                        const Tensor& b_ptr, const Tensor& b_idx,
                                                        int64_t rows, int64_t cols,
                                                        bool intersection) {
  const Pattern a = pattern_of("merge", a_ptr, a_idx, rows, cols);
  const Pattern b = pattern_of("merge", b_ptr, b_idx, rows, cols);
  same_shape("merge", a, b);
  EG_CHECK(
      a.ptr.dtype() == DType::Int64 || a.nnz() + b.nnz() <= std::numeric_limits<int32_t>::max(),
      "[merge] the result's entries may not fit int32 indices: convert to int64 first");
  const SparseMerge mode = intersection ? SparseMerge::Intersection : SparseMerge::Union;
  const auto& k = kernels<SparseKernels>();
  Tensor ptr = index_array(a, rows + 1);
  const auto check = [&](bool fine) {
    if (EG_LIKELY(fine)) return;
    sound(a, "merge", "compressed indices", "plain indices");
    require(false, b, "merge");
  };
  check(k.merge(mode, a.view(), b.view(), ptr.raw(), nullptr, nullptr, nullptr));
  const int64_t n = entry(ptr, rows);
  Tensor idx = index_array(a, n), at_a = empty({n}, DType::Int64), at_b = empty({n}, DType::Int64);
  check(k.merge(mode, a.view(), b.view(), ptr.raw(), idx.raw(), at_a.data<int64_t>(),
                at_b.data<int64_t>()));
  return {ptr, idx, at_a, at_b};
}

// --- products with dense matrices ---------------------------------------------------------------------------------------------

DType compute_type(DType t) {
  if (is_reduced(t)) return DType::Float32;
  return is_floating(t) ? t : DType::Int64;
}

void check_values(const char* op, const Tensor& values, const Pattern& p) {
  EG_CHECK(values.dim() == 1 && values.numel() == p.nnz(), "[", op, "] expected ", p.nnz(),
           " values in one row, one for each index, got shape ", values.sizes());
  EG_CHECK(values.device() == p.ptr.device(), "[", op,
           "] expected values and indices on one device, got ", values.device(), " and ",
           p.ptr.device());
}

Tensor sampled(const Pattern& p, const Tensor& a, const Tensor& b);
// X^T G where X^T has entries: those rows' numbers, ascending, and the rows.
std::tuple<Tensor, Tensor> used_rows(const Pattern& p, const Tensor& values, const Tensor& grad);

// X B, or X^T B if `transposed`.
struct SparseMM {
  static constexpr const char* name = "SparseMM";
  Pattern x;
  bool transposed;
  bool columns;  // make each column of the result contiguous: what it is the gradient of lies so
  bool by_rows = false;  // give a leaf `dense` a row-sparse gradient

  Tensor forward(Context& ctx, const Tensor& values, const Tensor& dense) {
    ctx.save(ctx.needs(1) ? values : Tensor());
    ctx.save(ctx.needs(0) ? dense : Tensor());
    const int64_t n = dense.sizes()[1];
    const bool by_columns = n > 1 && dense.strides()[1] != 1 && dense.strides()[0] == 1;
    dense_by_columns_ = by_columns;
    const bool usable = by_columns || (n > 1 && dense.strides()[1] == 1);
    const Tensor d = usable ? dense : contiguous_data(dense);
    const SparseOperand operand{d.raw(), d.strides()[0], d.strides()[1]};
    const Tensor v = contiguous_data(values);
    const auto& k = kernels<SparseKernels>();
    const bool few = n < 8 && x.turned.empty() && d.device().is_cpu();
    if (transposed && (columns || few)) {
      Tensor out = empty({n, x.cols}, values.dtype());
      require(k.scatter(values.dtype(), x.view(), v.raw(), operand, n, out.raw()), x, "sparse.mm");
      return alias(out, {x.cols, n}, {1, x.cols}, out.offset());
    }
    CompressedView view = x.view();
    TensorList t;
    if (transposed) {
      t = turned(x, "sparse.mm");
      view.ptr = t[0].raw();
      view.idx = t[1].raw();
      view.perm = t[2].raw();
      std::swap(view.rows, view.cols);
    }
    Tensor out = empty({view.rows, n}, values.dtype());
    require(k.multiply(values.dtype(), view, v.raw(), operand, n, out.raw()), x, "sparse.mm");
    return out;
  }

  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(2);
    if (ctx.needs(0)) {
      const Tensor dense = ctx.saved(1);
      out[0] = transposed ? sampled(x, dense, g) : sampled(x, g, dense);
    }
    if (ctx.needs(1)) {
      if (by_rows && !transposed && wants_rows(ctx, 1)) {
        const auto [rows, values] = used_rows(x, ctx.saved(0), g);
        out[1] = row_sparse(rows, values, {x.cols, g.sizes()[1]});
      } else {
        out[1] = eg::apply(SparseMM{x, !transposed, dense_by_columns_}, ctx.saved(0), g);
      }
    }
    return out;
  }

  bool dense_by_columns_ = false;
};

// values[k] = a[row of k, :] . b[column of k, :]
struct SampledDot {
  static constexpr const char* name = "SampledDot";
  Pattern x;

  Tensor forward(Context& ctx, const Tensor& a, const Tensor& b) {
    ctx.save(ctx.needs(1) ? a : Tensor());
    ctx.save(ctx.needs(0) ? b : Tensor());
    const Tensor left = contiguous_data(a), right = contiguous_data(b);
    Tensor out = empty({x.nnz()}, a.dtype());
    require(kernels<SparseKernels>().sampled(a.dtype(), x.view(), left.raw(), right.raw(),
                                             a.sizes()[1], out.raw()),
            x, "sampled_addmm");
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors out(2);
    if (ctx.needs(0)) out[0] = eg::apply(SparseMM{x, false, false}, g, ctx.saved(1));
    if (ctx.needs(1)) out[1] = eg::apply(SparseMM{x, true, false}, g, ctx.saved(0));
    return out;
  }
};

Tensor sampled(const Pattern& p, const Tensor& a, const Tensor& b) {
  return eg::apply(SampledDot{p}, a, b);
}

Tensor sparse_mm(const Tensor& values, const Tensor& ptr, const Tensor& idx, int64_t rows,
                 int64_t cols, bool transposed, const Tensor& dense, const TensorList& kept,
                 bool sparse_grad) {
  Pattern p = pattern_of("sparse.mm", ptr, idx, rows, cols);
  check_values("sparse.mm", values, p);
  const int64_t inner = transposed ? rows : cols;
  EG_CHECK(dense.dim() == 2 && dense.sizes()[0] == inner,
           "[sparse.mm] mat1 and mat2 shapes cannot be multiplied (", transposed ? cols : rows, "x",
           inner, " and ", dense.sizes(), ")");
  EG_CHECK(dense.device() == values.device(),
           "[sparse.mm] expected both operands on one device, got ", values.device(), " and ",
           dense.device());
  if (!kept.empty()) {
    const Pattern t = pattern_of("sparse.mm", kept[0], kept[1], cols, rows);
    EG_CHECK(kept.size() == 3 && is_index_array(kept[2]) && kept[2].dtype() == ptr.dtype() &&
                 t.ptr.dtype() == ptr.dtype() && t.nnz() == p.nnz() && kept[2].numel() == p.nnz(),
             "[sparse.mm] the transpose that was kept is of another pattern");
    p.turned = kept;
  }
  const DType dtype = promote(values.dtype(), dense.dtype()), compute = compute_type(dtype);
  return to(eg::apply(SparseMM{p, transposed, false, sparse_grad}, to(values, compute),
                      to(dense, compute)),
            dtype);
}

Tensor sparse_sampled(const Tensor& ptr, const Tensor& idx, int64_t rows, int64_t cols,
                      const Tensor& a, const Tensor& b) {
  const Pattern p = pattern_of("sampled_addmm", ptr, idx, rows, cols);
  EG_CHECK(a.dim() == 2 && b.dim() == 2 && a.sizes()[0] == rows && b.sizes()[0] == cols &&
               a.sizes()[1] == b.sizes()[1],
           "[sampled_addmm] expected factors of ", rows, " and ", cols,
           " rows with as many columns, got ", a.sizes(), " and ", b.sizes());
  EG_CHECK(a.device() == ptr.device() && b.device() == ptr.device(),
           "[sampled_addmm] expected all operands on one device, got ", a.device(), ", ",
           b.device(), " and a pattern on ", ptr.device());
  const DType dtype = promote(a.dtype(), b.dtype()), compute = compute_type(dtype);
  return to(sampled(p, to(a, compute), to(b, compute)), dtype);
}

// Columns with entries, and the pattern with only these. By sorting the entries where counting them would mostly count
// columns that have none.
struct Used {
  Tensor numbers;
  TensorList turned;  // of the pattern with only these columns
};

constexpr int64_t kSparseColumns = 64;  // columns an entry

Used used_columns_by_sorting(const Pattern& p) {
  if (p.ptr.device().is_cpu()) sound(p, "sparse.mm", "compressed indices", "plain indices");
  const DistinctRows distinct = distinct_rows(cast_data(p.idx, DType::Int64), p.cols);
  Pattern few = p;
  few.turned.clear();
  few.idx = cast_data(distinct.place, p.idx.dtype());
  few.cols = distinct.rows.numel();
  return {distinct.rows, turned(few, "sparse.mm")};
}

Used used_columns_by_counting(const Pattern& p) {
  TensorList t = turned(p, "sparse.mm");
  std::vector<int64_t> used, lengths;
  const size_t most = size_t(std::min(p.cols, p.nnz()));
  used.reserve(most);
  lengths.reserve(most);
  for (int64_t c = 0, begin = 0; c < p.cols; ++c) {
    const int64_t end = entry(t[0], c + 1);
    if (end > begin) {
      used.push_back(c);
      lengths.push_back(end - begin);
    }
    begin = end;
  }
  t[0] = offsets_of(lengths, p.ptr.dtype(), "sparse.mm");
  Tensor numbers = empty({int64_t(used.size())}, DType::Int64);
  if (!used.empty()) std::memcpy(numbers.raw(), used.data(), used.size() * sizeof(int64_t));
  return {numbers, t};
}

std::tuple<Tensor, Tensor> used_rows(const Pattern& p, const Tensor& values, const Tensor& grad) {
  const bool sorts =
      !p.ptr.device().is_cpu() || (p.turned.empty() && p.cols / kSparseColumns > p.nnz());
  const Used used = sorts ? used_columns_by_sorting(p) : used_columns_by_counting(p);
  Pattern compact;
  compact.ptr = used.turned[0];
  compact.idx = used.turned[1];
  compact.rows = used.numbers.numel();
  compact.cols = p.rows;
  const Tensor ordered = index_select(values, 0, used.turned[2]);
  return {used.numbers, eg::apply(SparseMM{compact, false, false}, ordered, grad)};
}

// What a row-sparse weight gradient is made of.
std::tuple<Tensor, Tensor> sparse_mm_row_grad(const Tensor& values, const Tensor& ptr,
                                              const Tensor& idx, int64_t rows, int64_t cols,
                                              const Tensor& grad) {
  const Pattern p = pattern_of("sparse.mm", ptr, idx, rows, cols);
  check_values("sparse.mm", values, p);
  EG_CHECK(grad.dim() == 2 && grad.sizes()[0] == rows, "[sparse.mm] expected a gradient of ", rows,
           " rows, got shape ", grad.sizes());
  const DType dtype = promote(values.dtype(), grad.dtype()), compute = compute_type(dtype);
  const auto [numbers, made] = used_rows(p, to(values, compute), to(grad, compute));
  return {numbers, to(made, dtype)};
}

// --- products of sparse matrices --------------------------------------------------------------------------------------------

struct Triple {
  static constexpr const char* name = "SparseSparseMM";
  SparseTriple wanted;
  Pattern a, b, c;  // C = A B

  const Pattern& target() const {
    return wanted == SparseTriple::C ? c : wanted == SparseTriple::A ? a : b;
  }
  // Values of (A, B) for C, of (C, B) for A, of (C, A) for B.
  Tensor forward(Context& ctx, const Tensor& x, const Tensor& y) {
    ctx.save(ctx.needs(1) ? x : Tensor());
    ctx.save(ctx.needs(0) ? y : Tensor());
    Tensor out = zeros({target().nnz()}, x.dtype());
    const Tensor left = contiguous_data(x), right = contiguous_data(y);
    const bool fine = kernels<SparseKernels>().triple(x.dtype(), wanted, a.view(), b.view(),
                                                      c.view(), left.raw(), right.raw(), out.raw());
    if (!fine) {
      sound(a, "sparse.mm", "compressed indices", "plain indices");
      sound(b, "sparse.mm", "compressed indices", "plain indices");
      require(false, c, "sparse.mm");
    }
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const auto of = [&](SparseTriple w, const Tensor& x, const Tensor& y) {
      return eg::apply(Triple{w, a, b, c}, x, y);
    };
    const Tensor x = ctx.saved(0), y = ctx.saved(1);
    Tensors out(2);
    if (ctx.needs(0))
      out[0] = wanted == SparseTriple::C   ? of(SparseTriple::A, g, y)
               : wanted == SparseTriple::A ? of(SparseTriple::C, g, y)
                                           : of(SparseTriple::C, y, g);
    if (ctx.needs(1))
      out[1] = wanted == SparseTriple::C   ? of(SparseTriple::B, g, x)
               : wanted == SparseTriple::A ? of(SparseTriple::B, x, g)
                                           : of(SparseTriple::A, x, g);
    return out;
  }
};

Three sparse_matmul(const Tensor& a_values, const Tensor& a_ptr, const Tensor& a_idx, int64_t rows,
                    int64_t inner, const Tensor& b_values, const Tensor& b_ptr, const Tensor& b_idx,
                    int64_t cols) {
  const Pattern a = pattern_of("sparse.mm", a_ptr, a_idx, rows, inner);
  const Pattern b = pattern_of("sparse.mm", b_ptr, b_idx, inner, cols);
  EG_CHECK(a.ptr.dtype() == b.ptr.dtype(), "[sparse.mm] expected indices of one dtype, got ",
           a.ptr.dtype(), " and ", b.ptr.dtype());
  check_values("sparse.mm", a_values, a);
  check_values("sparse.mm", b_values, b);
  const auto& k = kernels<SparseKernels>();
  const auto check = [&](bool fine) {
    if (EG_LIKELY(fine)) return;
    sound(a, "sparse.mm", "compressed indices", "plain indices");
    require(false, b, "sparse.mm");
  };
  Tensor offsets = empty({rows + 1}, DType::Int64);
  Pattern c;
  c.rows = rows;
  c.cols = cols;
  c.ptr = a.ptr;  // for its dtype
  const auto place = [](void* to, int64_t n) -> void* {
    Pattern& made = *static_cast<Pattern*>(to);
    check_fits(n, made.ptr.dtype(), "sparse.mm");
    made.idx = index_array(made, n);
    return made.idx.raw();
  };
  check(k.product_pattern(a.view(), b.view(), offsets.data<int64_t>(), place, &c));
  c.ptr = cast_data(offsets, a.ptr.dtype());
  const DType dtype = promote(a_values.dtype(), b_values.dtype()), compute = compute_type(dtype);
  const Tensor values =
      to(eg::apply(Triple{SparseTriple::C, a, b, c}, to(a_values, compute), to(b_values, compute)),
         dtype);
  return {c.ptr, c.idx, values};
}

// --- segments -----------------------------------------------------------------------------------------------------------------

void require_segments(bool fine, const Pattern& p, const char* op) {
  if (EG_LIKELY(fine)) return;
  for (int64_t r = 0; r < p.rows; ++r) {
    const int64_t begin = entry(p.ptr, r), end = entry(p.ptr, r + 1);
    EG_CHECK(begin >= 0 && begin <= end && end <= p.nnz(), "[", op,
             "] expected offsets that rise "
             "from 0 to ",
             p.nnz(), ", got ", begin, " and ", end, " at position ", r);
  }
  fail(ErrorKind::Runtime, "[", op, "] the offsets changed during the call");
}

Pattern covering(const char* op, const Tensor& values, const Tensor& offsets) {
  EG_CHECK(values.dim() == 1, "[", op, "] expected values in one row, got shape ", values.sizes());
  EG_CHECK(values.is_floating() || values.dtype() == DType::Int64, "[", op,
           "] expected floating point or int64 values, got ", values.dtype());
  const Pattern p = segments_of(op, offsets, values.numel());
  EG_CHECK(values.device() == offsets.device(), "[", op,
           "] expected values and offsets on one device, got ", values.device(), " and ",
           offsets.device());
  if (!offsets.device().is_cpu()) return p;  // the kernel looks itself
  EG_CHECK(entry(offsets, 0) == 0 && entry(offsets, p.rows) == values.numel(), "[", op,
           "] expected offsets from 0 to ", values.numel(), ", got ", entry(offsets, 0), " to ",
           entry(offsets, p.rows));
  return p;
}

// One of a segment's numbers for each of its entries.
Tensor spread(const Tensor& per_segment, const Tensor& offsets, int64_t entries) {
  return index_select(per_segment, 0, sparse_expand(offsets, entries));
}

struct SegmentSum {
  static constexpr const char* name = "SegmentSum";
  Tensor offsets;
  int64_t entries = 0;
  Tensor forward(Context&, const Tensor& values) {
    const Pattern p = covering("segment_sum", values, offsets);
    entries = values.numel();
    Tensor out = empty({p.rows}, values.dtype());
    const Tensor v = contiguous_data(values);
    require_segments(
        kernels<SparseKernels>().segment_sum(values.dtype(), p.view(), v.raw(), out.raw()), p,
        "segment_sum");
    return out;
  }
  Tensors backward(Context&, const Tensor& g) { return {spread(g, offsets, entries)}; }
};

Tensor segment_sum(const Tensor& values, const Tensor& offsets) {
  covering("segment_sum", values, offsets);
  const DType compute = compute_type(values.dtype());
  return to(eg::apply(SegmentSum{offsets}, to(values, compute)), values.dtype());
}

struct SegmentSoftmax {
  static constexpr const char* name = "SegmentSoftmax";
  Tensor offsets;
  bool log;
  Tensor forward(Context& ctx, const Tensor& values) {
    const Pattern p = covering("segment_softmax", values, offsets);
    Tensor out = empty({values.numel()}, values.dtype());
    const Tensor v = contiguous_data(values);
    require_segments(
        kernels<SparseKernels>().segment_softmax(values.dtype(), p.view(), v.raw(), log, out.raw()),
        p, "segment_softmax");
    ctx.save(out);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor y = ctx.saved(0);
    const Tensor total = segment_sum(log ? g : mul(g, y), offsets);
    const Tensor each = spread(total, offsets, y.numel());
    return {log ? sub(g, mul(exp(y), each)) : mul(y, sub(g, each))};
  }
};

Tensor segment_softmax(const Tensor& values, const Tensor& offsets, bool log) {
  EG_CHECK(values.is_floating(), "[segment_softmax] expected floating point values, got ",
           values.dtype());
  covering("segment_softmax", values, offsets);
  const DType compute = compute_type(values.dtype());
  return to(eg::apply(SegmentSoftmax{offsets, log}, to(values, compute)), values.dtype());
}

EG_WAITS("_sparse_matmul _sparse_merge _sparse_mm_row_grad _sparse_take_rows",
         "how many entries there are")
EG_WAITS("_sparse_check", "the first fault")
EG_OP(&sparse_check, "_sparse_check(ptr, idx, rows, cols, op, compressed, plain)",
      "Raises at the first fault of a compressed pattern; True if rows are ascending without "
      "duplicates.",
      kInternal)
EG_OP(&sparse_transpose, "_sparse_transpose(ptr, idx, rows, cols)",
      "Pointers and indices of the transposed pattern, and the order of its values.", kInternal)
EG_OP(&sparse_expand, "_sparse_expand(ptr, entries)", "The row of each entry.", kInternal)
EG_OP(&sparse_compress, "_sparse_compress(keys, size)",
      "Pointers of keys in [0, size), and the stable order that sorts them.", kInternal)
EG_OP(&sparse_take_rows, "_sparse_take_rows(ptr, idx, cols, rows)",
      "Pointers and indices of chosen rows, and where their values are.", kInternal)
EG_OP(&sparse_merge, "_sparse_merge(a_ptr, a_idx, b_ptr, b_idx, rows, cols, intersection)",
      "Pattern of a sum or an elementwise product, and where its entries are in a and b (or -1).",
      kInternal)
EG_OP(&sparse_mm,
      "_sparse_mm(values, ptr, idx, rows, cols, transposed, dense, kept, sparse_grad=False)",
      "X @ dense, or X^T @ dense.", kInternal)
EG_OP(&sparse_sampled, "_sparse_sampled(ptr, idx, rows, cols, a, b)",
      "a[row] . b[column] for each entry.", kInternal)
EG_OP(&sparse_mm_row_grad, "_sparse_mm_row_grad(values, ptr, idx, rows, cols, grad)",
      "The rows of X^T @ grad for columns of X with entries: their numbers and values.", kInternal)
EG_OP(&sparse_matmul,
      "_sparse_matmul(a_values, a_ptr, a_idx, rows, inner, b_values, b_ptr, b_idx, cols)",
      "Pointers, indices and values of a product of two compressed matrices.", kInternal)
EG_OP(&segment_sum, "_segment_sum(values, offsets)", "Sum of each segment.", kInternal)
EG_OP(&segment_softmax, "_segment_softmax(values, offsets, log)", "Softmax within each segment.",
      kInternal)

}  // namespace
}  // namespace eg
