// QR of batches of matrices on the host, and what its reflections do to others. Gradients: eagergrad/linalg.
#include "kernels/qr.h"

#include "kernels/small.h"
#include "ops/linalg.h"
#include "ops/matrices.h"
#include "ops/registry.h"

namespace eg {
namespace {

Tensor turned(const Tensor& t) { return transpose(t, -2, -1); }

struct Reflections {
  Tensor columns, tau;  // n x m; min(m, n)
};

Reflections reflections(const char* op, const Tensor& input) {
  const Matrices m = matrices(op, input);
  const QrKernels& kernels = host_kernels<QrKernels>();
  const int64_t k = std::min(m.rows, m.columns);
  const Reflections r{columns_of(input), batch_empty(input, {k})};
  for_each_matrix(m, k, [&](int64_t i) {
    kernels.factor[float_index(input.dtype())](r.columns.raw() + i * m.bytes, m.rows, m.columns,
                                               m.rows, r.tau.raw() + i * k * r.tau.item_size());
  });
  return r;
}

// The first `count` columns of the product of the reflections, row by row.
Tensor orthogonal(const Tensor& columns, const Tensor& tau, int64_t count) {
  const QrKernels& kernels = host_kernels<QrKernels>();
  const int64_t rows = columns.size(-1), k = tau.size(-1), item = columns.item_size();
  const int64_t given = columns.size(-2);
  const Tensor q = batch_empty(columns, {count, rows});
  for_each_matrix(matrices("linalg.qr", q), k, [&](int64_t i) {
    kernels.form[float_index(q.dtype())](columns.raw() + i * given * rows * item, rows, k, rows,
                                         tau.raw() + i * k * item,
                                         q.raw() + i * count * rows * item, count, rows);
  });
  return q;
}

template <class T>
void copy_triangle(const char* from, int64_t m, char* to, int64_t rows, int64_t columns) {
  const T* a = reinterpret_cast<const T*>(from);
  T* r = reinterpret_cast<T*>(to);
  for (int64_t j = 0; j < columns; ++j, a += m, r += rows) {
    const int64_t filled = std::min(j + 1, rows);
    std::copy(a, a + filled, r);
    std::fill(r + filled, r + rows, T(0));
  }
}

}  // namespace

namespace host {

// Q is left out, R has as many rows as there are columns of Q otherwise.
std::tuple<Tensor, Tensor> qr(const Tensor& input, bool complete, bool with_q) {
  const Matrices m = matrices("linalg.qr", input);
  const int64_t rows = complete ? m.rows : std::min(m.rows, m.columns);
  const Tensor r = batch_empty(input, {m.columns, rows});
  if (in_lanes(m, 2, 8)) {
    const Tensor q = batch_empty(input, {with_q ? rows : 0, m.rows});
    const Tensor a = contiguous(input);
    const int64_t t = float_index(a.dtype()), item = a.item_size();
    for_lanes(m, [&](int64_t begin, int64_t end) {
      host_kernels<SmallKernels>().qr[t](a.raw() + begin * m.bytes, end - begin, m.rows, m.columns,
                                         with_q ? q.raw() + begin * rows * m.rows * item : nullptr,
                                         rows, r.raw() + begin * rows * m.columns * item, rows);
    });
    return {with_q ? turned(q) : nothing(input), turned(r)};
  }
  const Reflections f = reflections("linalg.qr", input);
  const size_t bytes = size_t(rows * m.columns) * r.item_size();
  const auto copy = r.dtype() == DType::Float64 ? &copy_triangle<double> : &copy_triangle<float>;
  for (int64_t i = 0; i < m.count; ++i)
    copy(f.columns.raw() + i * m.bytes, m.rows, r.raw() + i * bytes, rows, m.columns);
  const Tensor q = with_q ? turned(orthogonal(f.columns, f.tau, rows)) : nothing(input);
  return {q, turned(r)};
}

}  // namespace host

namespace {

std::tuple<Tensor, Tensor> geqrf(const Tensor& input) {
  const Reflections f = reflections("geqrf", input);
  return {turned(f.columns), f.tau};
}

void check_tau(const char* op, const Tensor& input, const Tensor& tau, int64_t most) {
  bool fits = tau.dim() == input.dim() - 1 && tau.size(-1) <= most;
  for (int64_t d = 0; fits && d < tau.dim() - 1; ++d) fits = tau.size(d) == input.size(d);
  EG_CHECK(fits, "[", op, "] a tau of shape ", tau.sizes(), " does not fit vectors of shape ",
           input.sizes());
  EG_CHECK(tau.dtype() == input.dtype() && tau.device() == Device{}, "[", op,
           "] expected a tau of ", input.dtype(), " on the CPU, got ", tau.dtype(), " on ",
           tau.device());
}

Tensor householder_product(const Tensor& input, const Tensor& tau) {
  const Matrices m = matrices("linalg.householder_product", input);
  EG_CHECK(m.rows >= m.columns,
           "[linalg.householder_product] expected no more columns than rows, got ", input.sizes());
  check_tau("linalg.householder_product", input, tau, m.columns);
  return turned(orthogonal(columns_of(input), contiguous(tau), m.columns));
}

Tensor ormqr(const Tensor& input, const Tensor& tau, const Tensor& other, bool transposed) {
  const Matrices m = matrices("ormqr", input), c = matrices("ormqr", other);
  check_tau("ormqr", input, tau, std::min(m.rows, m.columns));
  bool fits = other.dim() == input.dim() && c.rows == m.rows && other.dtype() == input.dtype();
  for (int64_t d = 0; fits && d < input.dim() - 2; ++d) fits = other.size(d) == input.size(d);
  EG_CHECK(fits, "[ormqr] vectors of shape ", input.sizes(), " and ", input.dtype(),
           " do not fit a matrix of shape ", other.sizes(), " and ", other.dtype());
  const QrKernels& kernels = host_kernels<QrKernels>();
  const Tensor v = columns_of(input), factors = contiguous(tau), result = columns_of(other);
  const int64_t k = tau.size(-1);
  for_each_matrix(c, k, [&](int64_t i) {
    kernels.apply[float_index(v.dtype())](v.raw() + i * m.bytes, m.rows, k, m.rows,
                                          factors.raw() + i * k * factors.item_size(), transposed,
                                          result.raw() + i * c.bytes, c.columns, c.rows);
  });
  return turned(result);
}

EG_OP(&host::qr, "_qr(input, complete, with_q) -> (Q, R)",
      "Q and R; an empty Q unless with_q. Not recorded.")
EG_OP(&geqrf, "_geqrf(input) -> (a, tau)",
      "R on and above the diagonal, reflections' vectors below it, their factors. Not recorded.")
EG_OP(&householder_product, "_householder_product(input, tau)",
      "The first columns of the product of geqrf's reflections. Not recorded.")
EG_OP(&ormqr, "_ormqr(input, tau, other, transposed)",
      "The product of geqrf's reflections, or its transpose, times a matrix. Not recorded.")

}  // namespace
}  // namespace eg
