// The LAPACK that the BLAS brings. Matrices of float or double lie column after column in memory. An object serves matrices of
// one size, one after the other, on one thread; a call returns LAPACK's info, which is 0 if all went well.
#pragma once

#include <vector>

#include "core/common.h"

namespace eg {

// Memory for a routine: kept uninitialised.
template <class T>
class Workspace {
 public:
  void take(int64_t n);
  ~Workspace();
  Workspace() = default;
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  T* data() { return data_; }
  int size() const { return int(size_); }

 private:
  T* data_ = nullptr;
  int64_t size_ = 0;
};

// Of symmetric n x n matrices, of which one triangle is read: eigenvalues, rising; eigenvectors in the matrix's place.
template <class T>
class SymmetricEigen {
 public:
  SymmetricEigen(int64_t n, bool vectors, bool upper);
  int operator()(T* a, T* values);

 private:
  int by_parts(T* a, T* values);

  int n_;
  char job_, triangle_;
  bool by_parts_;
  Workspace<T> work_;
  Workspace<int> integers_;
};

enum class SingularVectors : char { None = 'N', Some = 'S', All = 'A' };

// a (m x n, spoilt) = U diag(s) Vt, s falling.
template <class T>
class SingularValues {
 public:
  SingularValues(int64_t m, int64_t n, SingularVectors vectors);
  int operator()(T* a, T* s, T* u, T* vt);

 private:
  int run(T* a, T* s, T* u, T* vt, T* work, int size);

  int m_, n_, rows_of_vt_;
  char job_;
  Workspace<T> work_;
  Workspace<int> integers_;
};

// Of any square matrices (spoilt): eigenvalues' real and imaginary parts, and right eigenvectors unless null; those of a pair of
// complex ones as LAPACK packs them.
template <class T>
class GeneralEigen {
 public:
  GeneralEigen(int64_t n, bool vectors);
  int operator()(T* a, T* real, T* imaginary, T* vectors);

 private:
  int run(T* a, T* real, T* imaginary, T* vectors, T* work, int size);

  int n_;
  char job_;
  Workspace<T> work_;
};

// Of symmetric matrices, by their lower triangle: L below the diagonal and D's blocks of 1 or 2 rows in a's place, and pivots from
// 1, negative in pairs for blocks of 2; and the x of a x = b in b's place.
template <class T>
int ldl_factor(T* a, int64_t n, int* pivots);
template <class T>
int ldl_solve(const T* factors, int64_t n, const int* pivots, T* b, int64_t columns);

enum class LeastSquares { Gels, Gelsd, Gelss, Gelsy };

// The x of least squares of a x = b, a m x n (spoilt); b has max(m, n) rows, of which x comes in the first n. Gels does not
// find the rank; Gelsd and Gelss find the singular values.
template <class T>
class LeastSquaresSolver {
 public:
  LeastSquaresSolver(LeastSquares driver, int64_t m, int64_t n, int64_t columns, double rcond);
  int operator()(T* a, T* b, T* s, int* rank);

 private:
  int run(T* a, T* b, T* s, int* rank, T* work, int size);

  LeastSquares driver_;
  int m_, n_, columns_;
  T rcond_;
  Workspace<T> work_;
  Workspace<int> integers_;
};

}  // namespace eg
