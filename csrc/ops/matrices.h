// Batches of matrices of float32 or float64 on the host, for the ops that factor them.
#pragma once

#include <algorithm>
#include <optional>

#include "core/gil.h"
#include "core/parallel.h"
#include "ops/copy.h"
#include "ops/ops.h"

namespace eg {

Tensor tril(const Tensor& x, int64_t diagonal);  // recorded
Tensor triu(const Tensor& x, int64_t diagonal);

struct Matrices {
  int64_t count, rows, columns;
  size_t bytes;  // of one
};

// Of those that the kernels take.
inline bool is_full(DType t) { return t == DType::Float32 || t == DType::Float64; }

// What a tensor of float32 or float64 must be.
enum class Wanted { Any, Matrices, Squares };
inline void check_matrices(const char* op, const Tensor& t, Wanted wanted) {
  EG_CHECK_KIND(NotImplemented, is_full(t.dtype()), "[", op,
                "] Expected a floating point or complex tensor as input. Got ", t.dtype());
  EG_CHECK(wanted == Wanted::Any || t.dim() >= 2, "[", op,
           "] The input tensor A must have at least 2 dimensions. Got shape ", t.sizes());
  EG_CHECK(wanted != Wanted::Squares || t.size(-2) == t.size(-1), "[", op,
           "] A must be batches of square matrices, but they are ", t.size(-2), " by ", t.size(-1),
           " matrices");
}
inline Matrices matrices(const char* op, const Tensor& t, Wanted wanted = Wanted::Matrices) {
  check_matrices(op, t, wanted);
  EG_CHECK(t.device() == Device{}, "[", op, "] expected a tensor on the CPU, got one on ",
           t.device());
  const int64_t rows = t.size(-2), columns = t.size(-1);
  EG_CHECK(rows <= INT32_MAX && columns <= INT32_MAX, "[", op, "] the matrices are too large");
  int64_t count = 1;
  for (int64_t d = 0; d < t.dim() - 2; ++d) count *= t.size(d);
  return {count, rows, columns, size_t(rows * columns) * t.item_size()};
}
inline Matrices squares(const char* op, const Tensor& t) {
  return matrices(op, t, Wanted::Squares);
}
inline Tensor copy_of(const Tensor& t) {
  const Tensor copy = empty(t.sizes(), t.dtype());
  copy_into(copy, t);
  return copy;
}
// Column by column in memory, as LAPACK has them: a copy of the transpose.
inline Tensor columns_of(const Tensor& t) { return copy_of(transpose(t, -2, -1)); }
// t, laid out so: what PyTorch hands on.
inline Tensor by_columns(const Tensor& t) { return transpose(columns_of(t), -2, -1); }
inline Dims batch_of(const Tensor& t) {
  Dims sizes = t.sizes();
  sizes.resize(sizes.size() - 2);
  return sizes;
}

// Of the input's batch, each of the sizes `more`.
inline Tensor batch_empty(const Tensor& input, std::initializer_list<int64_t> more,
                          std::optional<DType> dtype = std::nullopt) {
  Dims sizes = batch_of(input);
  for (int64_t n : more) sizes.push_back(n);
  return empty(sizes, dtype.value_or(input.dtype()));
}
inline Tensor nothing(const Tensor& input) { return empty({0}, input.dtype()); }

// Calls f with a zero of the tensor's type.
template <class F>
auto with_type(const Tensor& t, F&& f) {
  return t.dtype() == DType::Float64 ? f(double{}) : f(float{});
}

// Unit matrices.
template <class T>
void fill_unit(const Tensor& t) {
  const int64_t n = t.size(-1), square = n * n;
  for (int64_t i = 0; i < t.numel(); ++i) t.data<T>()[i] = T(i % square % (n + 1) == 0);
}

// Without the interpreter's lock if there are many operations to do.
class Unlocked {
 public:
  explicit Unlocked(double operations) {
    constexpr double kMany = 1 << 20;
    if (operations > kMany) released_.emplace();
  }

 private:
  std::optional<ReleaseGil> released_;
};

// Whether there are enough matrices, and they are so small, that vectors hold one in each lane: `few` of up to 8 x 8 or `many` of
// up to 16 x 16. And f(begin, end) for their parts.
inline bool in_lanes(const Matrices& m, int64_t few, int64_t many) {
  const int64_t size = std::max(m.rows, m.columns);
  return m.bytes > 0 && ((m.count >= few && size <= 8) || (m.count >= many && size <= 16));
}
template <class F>
void for_lanes(const Matrices& m, F&& f) {
  parallel_for(m.count, kParallelGrain / (m.rows * m.columns * std::min(m.rows, m.columns)) + 1, f);
}

// Calls f(i), of about rows * columns * rank operations each. Small matrices are shared out among threads; large ones use all of
// them one after the other.
template <class F>
void for_each_matrix(const Matrices& m, int64_t rank, F&& f) {
  constexpr double kLarge = 128 * 128 * 128;
  const double work = double(m.rows) * double(m.columns) * double(rank);
  const Unlocked unlocked(work * double(m.count));
  const auto some = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  };
  if (work >= kLarge)
    some(0, m.count);
  else
    parallel_for(m.count, int64_t(double(kParallelGrain) / (work + 1)) + 1, some);
}

}  // namespace eg
