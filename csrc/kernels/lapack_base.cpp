// Compiled once: LAPACK's routines choose kernels of the BLAS themselves.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/storage.h"
#include "kernels/gemm.h"
#include "kernels/lapack.h"
#include "kernels/qr.h"

namespace eg {
namespace {

// Fortran passes addresses, and the lengths of texts behind the arguments that have a name.
using Length = size_t;
constexpr Length kOne = 1;

template <class F>
F* routine(const char* single, const char* twofold, bool is_double) {
  return reinterpret_cast<F*>(blas_symbol(is_double ? twofold : single));
}
template <class T>
constexpr bool kDouble = sizeof(T) == 8;

int leading(int n) { return std::max(n, 1); }

// What a routine wants of workspace by its answer to a question, which may be rounded.
template <class T>
int64_t wanted(T answer, int64_t least) {
  const T above = std::nextafter(answer, std::numeric_limits<T>::infinity());
  return std::max(int64_t(std::ceil(above)), least);
}

// Whether squares of the elements neither overflow nor vanish.
template <class T>
bool moderate(const T* a, int64_t n) {
  constexpr int64_t kTogether = 16;
  T most[kTogether] = {}, all[kTogether] = {};
  int64_t i = 0;
  const auto look = [&](int64_t at, int64_t k) {
    const T size = std::fabs(a[at]);
    most[k] = size > most[k] ? size : most[k];
    all[k] += size - size;  // NaN of what is not finite
  };
  for (; i + kTogether <= n; i += kTogether)
    for (int64_t k = 0; k < kTogether; ++k) look(i + k, k);
  for (; i < n; ++i) look(i, 0);
  for (int64_t k = 1; k < kTogether; ++k) most[0] = std::max(most[0], most[k]), all[0] += all[k];
  constexpr T small = kDouble<T> ? T(1e-120) : T(1e-15);
  return all[0] == 0 && most[0] > small && most[0] < 1 / small;
}

// LAPACK's iterations may not end on infinities. What it should have written is NaN then; like LAPACK it fails on NaN.
enum class Contents { Finite, Infinite, NaN };
template <class T>
Contents contents(const T* a, int64_t n) {
  T off = 0;
  for (int64_t i = 0; i < n; ++i) off += a[i] - a[i];
  if (off == 0) return Contents::Finite;
  return std::any_of(a, a + n, [](T x) { return x != x; }) ? Contents::NaN : Contents::Infinite;
}
template <class T>
void fill_nan(T* to, int64_t n) {
  std::fill(to, to + n, std::numeric_limits<T>::quiet_NaN());
}

}  // namespace

template <class T>
void Workspace<T>::take(int64_t n) {
  EG_CHECK(n < INT32_MAX, "[linalg] the matrices are too large for LAPACK's integers");
  size_ = std::max<int64_t>(n, 1);
  data_ = static_cast<T*>(allocate(size_t(size_) * sizeof(T)));
}
template <class T>
Workspace<T>::~Workspace() {
  if (data_) deallocate(data_, size_t(size_) * sizeof(T));
}

// ---- symmetric eigenvalues -----------------------------------------------------------------------------------------------

// In three steps, as LAPACK's syevd, but for the first two or the last ours. Below kFew rows it has less to do.
constexpr int64_t kFew = 4;
constexpr int64_t kInCache =
    1 << 18;  // bytes of a matrix that our reduction, which does no products, reads fast enough

template <class T>
SymmetricEigen<T>::SymmetricEigen(int64_t n, bool vectors, bool upper)
    : n_(int(n)), job_(vectors ? 'V' : 'N'), triangle_(upper ? 'U' : 'L'), by_parts_(n >= kFew) {
  constexpr int64_t kBlocks = 64;
  work_.take(1 + (6 + kBlocks) * n + (vectors ? 2 * n * n : 0));
  integers_.take(vectors ? 3 + 5 * n : 1);
}
template <class T>
int SymmetricEigen<T>::operator()(T* a, T* values) {
  if (by_parts_ && moderate(a, int64_t(n_) * n_)) return by_parts(a, values);
  using F = void(const char*, const char*, const int*, T*, const int*, T*, T*, const int*, int*,
                 const int*, int*, Length, Length);
  static F* const syevd = routine<F>("ssyevd", "dsyevd", kDouble<T>);
  const int ld = leading(n_), size = work_.size(), integers = integers_.size();
  int info = 0;
  syevd(&job_, &triangle_, &n_, a, &ld, values, work_.data(), &size, integers_.data(), &integers,
        &info, kOne, kOne);
  return info;
}

// A tridiagonal matrix by reflections; its eigenvalues; its eigenvectors and these reflected back.
template <class T>
int SymmetricEigen<T>::by_parts(T* a, T* values) {
  using Sytrd =
      void(const char*, const int*, T*, const int*, T*, T*, T*, T*, const int*, int*, Length);
  using Sterf = void(const int*, T*, T*, int*);
  using Stedc = void(const char*, const int*, T*, T*, T*, const int*, T*, const int*, int*,
                     const int*, int*, Length);
  static Sytrd* const sytrd = routine<Sytrd>("ssytrd", "dsytrd", kDouble<T>);
  static Sterf* const sterf = routine<Sterf>("ssterf", "dsterf", kDouble<T>);
  static Stedc* const stedc = routine<Stedc>("sstedc", "dstedc", kDouble<T>);
  const int64_t n = n_;
  const bool upper = triangle_ == 'U', ours = n * n * int64_t(sizeof(T)) < kInCache;
  for (int64_t j = 0; j < n && (ours || upper); ++j)
    for (int64_t i = 0; i < j; ++i) {
      T &above = a[j * n + i], &below = a[i * n + j];
      (upper ? below : above) = upper ? above : below;
    }
  T *off = work_.data(), *tau = off + n, *vectors = tau + n;
  T* rest = vectors + (job_ == 'V' ? n * n : 0);
  const int size = int(work_.data() + work_.size() - rest), integers = integers_.size();
  const QrKernels& kernels = host_kernels<QrKernels>();
  int info = 0;
  if (ours)
    kernels.tridiagonal[kDouble<T>](a, n, values, off, tau);
  else
    sytrd("L", &n_, a, &n_, values, off, tau, rest, &size, &info, kOne);
  if (job_ == 'N') {
    sterf(&n_, values, off, &info);
    return info;
  }
  stedc("I", &n_, values, off, vectors, &n_, rest, &size, integers_.data(), &integers, &info, kOne);
  if (info) return info;
  kernels.apply[kDouble<T>](a + 1, n - 1, n - 1, n, tau, false, vectors + 1, n, n);
  std::copy(vectors, vectors + n * n, a);
  return 0;
}

// ---- singular values -----------------------------------------------------------------------------------------------------

template <class T>
SingularValues<T>::SingularValues(int64_t m, int64_t n, SingularVectors vectors)
    : m_(int(m)),
      n_(int(n)),
      rows_of_vt_(int(vectors == SingularVectors::All ? n : std::min(m, n))),
      job_(char(vectors)) {
  const int64_t k = std::min(m, n), most = std::max(m, n);
  integers_.take(8 * k);
  T answer = 0;
  run(nullptr, nullptr, nullptr, nullptr, &answer, -1);
  work_.take(
      wanted(answer, vectors == SingularVectors::None ? 10 * k + most : 4 * k * k + 7 * k + most));
}
template <class T>
int SingularValues<T>::run(T* a, T* s, T* u, T* vt, T* work, int size) {
  using F = void(const char*, const int*, const int*, T*, const int*, T*, T*, const int*, T*,
                 const int*, T*, const int*, int*, int*, Length);
  static F* const gesdd = routine<F>("sgesdd", "dgesdd", kDouble<T>);
  const int ld = leading(m_), ldvt = leading(rows_of_vt_);
  int info = 0;
  gesdd(&job_, &m_, &n_, a, &ld, s, u, &ld, vt, &ldvt, work, &size, integers_.data(), &info, kOne);
  return info;
}
template <class T>
int SingularValues<T>::operator()(T* a, T* s, T* u, T* vt) {
  const Contents found = contents(a, int64_t(m_) * n_);
  if (found != Contents::Finite) {
    const int64_t k = std::min(m_, n_);
    fill_nan(s, k);
    if (job_ != char(SingularVectors::None)) {
      fill_nan(u, m_ * (job_ == char(SingularVectors::All) ? m_ : k));
      fill_nan(vt, int64_t(rows_of_vt_) * n_);
    }
    return found == Contents::NaN;
  }
  return run(a, s, u, vt, work_.data(), work_.size());
}

// ---- eigenvalues ---------------------------------------------------------------------------------------------------------

template <class T>
GeneralEigen<T>::GeneralEigen(int64_t n, bool vectors) : n_(int(n)), job_(vectors ? 'V' : 'N') {
  T answer = 0;
  run(nullptr, nullptr, nullptr, nullptr, &answer, -1);
  work_.take(wanted(answer, 4 * n));
}
template <class T>
int GeneralEigen<T>::run(T* a, T* real, T* imaginary, T* vectors, T* work, int size) {
  using F = void(const char*, const char*, const int*, T*, const int*, T*, T*, T*, const int*, T*,
                 const int*, T*, const int*, int*, Length, Length);
  static F* const geev = routine<F>("sgeev", "dgeev", kDouble<T>);
  const int ld = leading(n_);
  int info = 0;
  geev("N", &job_, &n_, a, &ld, real, imaginary, nullptr, &ld, vectors, &ld, work, &size, &info,
       kOne, kOne);
  return info;
}
template <class T>
int GeneralEigen<T>::operator()(T* a, T* real, T* imaginary, T* vectors) {
  if (contents(a, int64_t(n_) * n_) != Contents::Finite) return 1;
  return run(a, real, imaginary, vectors, work_.data(), work_.size());
}

// ---- symmetric systems -----------------------------------------------------------------------------------------------------

template <class T>
int ldl_factor(T* a, int64_t n, int* pivots) {
  using F = void(const char*, const int*, T*, const int*, int*, T*, const int*, int*, Length);
  static F* const sytrf = routine<F>("ssytrf", "dsytrf", kDouble<T>);
  constexpr int64_t kBlocks = 64;
  Workspace<T> work;
  work.take(kBlocks * n);
  const int rows = int(n), ld = leading(rows), size = work.size();
  int info = 0;
  sytrf("L", &rows, a, &ld, pivots, work.data(), &size, &info, kOne);
  return info;
}
template <class T>
int ldl_solve(const T* factors, int64_t n, const int* pivots, T* b, int64_t columns) {
  using F = void(const char*, const int*, const int*, const T*, const int*, const int*, T*,
                 const int*, int*, Length);
  static F* const sytrs = routine<F>("ssytrs", "dsytrs", kDouble<T>);
  const int rows = int(n), right = int(columns), ld = leading(rows);
  int info = 0;
  sytrs("L", &rows, &right, factors, &ld, pivots, b, &ld, &info, kOne);
  return info;
}

// ---- least squares -------------------------------------------------------------------------------------------------------

template <class T>
LeastSquaresSolver<T>::LeastSquaresSolver(LeastSquares driver, int64_t m, int64_t n,
                                          int64_t columns, double rcond)
    : driver_(driver), m_(int(m)), n_(int(n)), columns_(int(columns)), rcond_(T(rcond)) {
  const int64_t k = std::min(m, n);
  // Of gelsd: 3 k levels + 11 k, where a level halves k; of gelsy: n.
  integers_.take(driver == LeastSquares::Gelsd ? 3 * k * 32 + 11 * k : n);
  std::fill(integers_.data(), integers_.data() + integers_.size(), 0);
  T answer = 0;
  run(nullptr, nullptr, nullptr, nullptr, &answer, -1);
  work_.take(wanted(answer, 3 * (m + n) + columns + 1));
}
template <class T>
int LeastSquaresSolver<T>::run(T* a, T* b, T* s, int* rank, T* work, int size) {
  using Gels = void(const char*, const int*, const int*, const int*, T*, const int*, T*, const int*,
                    T*, const int*, int*, Length);
  using Gelsy = void(const int*, const int*, const int*, T*, const int*, T*, const int*, int*,
                     const T*, int*, T*, const int*, int*);
  using Gelss = void(const int*, const int*, const int*, T*, const int*, T*, const int*, T*,
                     const T*, int*, T*, const int*, int*);
  using Gelsd = void(const int*, const int*, const int*, T*, const int*, T*, const int*, T*,
                     const T*, int*, T*, const int*, int*, int*);
  static Gels* const gels = routine<Gels>("sgels", "dgels", kDouble<T>);
  static Gelsy* const gelsy = routine<Gelsy>("sgelsy", "dgelsy", kDouble<T>);
  static Gelss* const gelss = routine<Gelss>("sgelss", "dgelss", kDouble<T>);
  static Gelsd* const gelsd = routine<Gelsd>("sgelsd", "dgelsd", kDouble<T>);
  const int lda = leading(m_), ldb = leading(std::max(m_, n_));
  int info = 0;
  switch (driver_) {
    case LeastSquares::Gels:
      gels("N", &m_, &n_, &columns_, a, &lda, b, &ldb, work, &size, &info, kOne);
      break;
    case LeastSquares::Gelsy:
      std::fill(integers_.data(), integers_.data() + n_, 0);
      gelsy(&m_, &n_, &columns_, a, &lda, b, &ldb, integers_.data(), &rcond_, rank, work, &size,
            &info);
      break;
    case LeastSquares::Gelss:
      gelss(&m_, &n_, &columns_, a, &lda, b, &ldb, s, &rcond_, rank, work, &size, &info);
      break;
    case LeastSquares::Gelsd:
      gelsd(&m_, &n_, &columns_, a, &lda, b, &ldb, s, &rcond_, rank, work, &size, integers_.data(),
            &info);
      break;
  }
  return info;
}
template <class T>
int LeastSquaresSolver<T>::operator()(T* a, T* b, T* s, int* rank) {
  if (driver_ == LeastSquares::Gelss || driver_ == LeastSquares::Gelsd) {
    const Contents found = contents(a, int64_t(m_) * n_);
    if (found != Contents::Finite) {
      fill_nan(s, std::min(m_, n_));
      fill_nan(b, int64_t(std::max(m_, n_)) * columns_);
      *rank = 0;
      return found == Contents::NaN;
    }
  }
  return run(a, b, s, rank, work_.data(), work_.size());
}

#define EG_LAPACK(T)                          \
  template class Workspace<T>;                \
  template class SymmetricEigen<T>;           \
  template class SingularValues<T>;           \
  template class GeneralEigen<T>;             \
  template class LeastSquaresSolver<T>;       \
  template int ldl_factor(T*, int64_t, int*); \
  template int ldl_solve(const T*, int64_t, const int*, T*, int64_t);
EG_LAPACK(float)
EG_LAPACK(double)
template class Workspace<int>;

}  // namespace eg
