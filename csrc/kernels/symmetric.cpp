// The matrix becomes a tridiagonal one, which rotations make diagonal: R. Martin and J. Wilkinson, "The implicit QL algorithm" (1968).
#include "kernels/symmetric.h"

#include <math.h>

#include "kernels/integers.h"
#include "kernels/panel.h"
#include "kernels/qr.h"
#include "kernels/scratch.h"

namespace eg {
namespace {

// Rows first + 1 ... last of z meet their neighbours above from the last to the first: each row is read and written once.
template <class T>
void rotate_rows(T* z, int64_t n, int64_t first, int64_t last, const T* c, const T* s) {
  constexpr int64_t L = kLanes<T>;
  int64_t k = 0;
  for (; k + 2 * L <= n; k += 2 * L) {
    Vec<T> x = load(z + last * n + k), y = load(z + last * n + k + L);
    for (int64_t i = last - 1; i >= first; --i) {
      T* const row = z + i * n + k;
      const Vec<T> p = load(row), q = load(row + L);
      store(row + n, s[i] * p + c[i] * x);
      store(row + n + L, s[i] * q + c[i] * y);
      x = c[i] * p - s[i] * x;
      y = c[i] * q - s[i] * y;
    }
    store(z + first * n + k, x);
    store(z + first * n + k + L, y);
  }
  for (; k < n; ++k) {
    T x = z[last * n + k];
    for (int64_t i = last - 1; i >= first; --i) {
      T* const row = z + i * n + k;
      const T p = *row;
      row[n] = s[i] * p + c[i] * x;
      x = c[i] * p - s[i] * x;
    }
    z[first * n + k] = x;
  }
}

// One sweep over d[first] ... d[last], between which no e is negligible; rows' rotations in c and s.
template <class T>
void sweep(double* d, double* e, int64_t first, int64_t last, T* c, T* s) {
  const double slope = (d[first + 1] - d[first]) / (2 * e[first]);
  const double far = fabs(slope) + sqrt(slope * slope + 1);
  double bulge = d[last] - d[first] + e[first] / (slope < 0 ? -far : far);
  double sine = 1, cosine = 1, shift = 0;
  for (int64_t i = last - 1; i >= first; --i) {
    const double off = sine * e[i], kept = cosine * e[i], size = sqrt(off * off + bulge * bulge);
    e[i + 1] = size;
    sine = size > 0 ? off / size : 0;
    cosine = size > 0 ? bulge / size : 1;
    const double base = d[i + 1] - shift, change = (d[i] - base) * sine + 2 * cosine * kept;
    shift = sine * change;
    d[i + 1] = base + shift;
    bulge = cosine * change - kept;
    c[i] = T(cosine);
    s[i] = T(sine);
  }
  d[first] -= shift;
  e[first] = bulge;
  e[last] = 0;
}

template <class T>
bool make_diagonal(double* d, double* e, int64_t n, T* z, T* c, T* s) {
  constexpr double epsilon = sizeof(T) == 4 ? 6e-8 : 1.1e-16;
  int64_t sweeps = 0;
  for (int64_t first = 0; first < n; ++first)
    for (;;) {
      int64_t last = first;
      while (last + 1 < n && fabs(e[last]) > epsilon * (fabs(d[last]) + fabs(d[last + 1]))) ++last;
      if (last == first) break;
      if (++sweeps > 30 * n) return false;
      sweep(d, e, first, last, c, s);
      if (z) rotate_rows(z, n, first, last, c, s);
    }
  return true;
}

// Fills the other triangle and divides by the largest element, which it returns; 0 unless all are finite.
template <class T>
T prepare(T* a, int64_t n, bool upper) {
  T most = 0, broken = 0;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = upper ? i : 0; j < (upper ? n : i + 1); ++j) {
      const T x = a[i * n + j], size = x < 0 ? -x : x;
      broken += x - x;
      most = size > most ? size : most;
    }
  if (!(broken == 0)) return 0;
  const T scale = most > 0 ? most : T(1);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      const T x = (upper ? a[j * n + i] : a[i * n + j]) / scale;
      a[i * n + j] = a[j * n + i] = x;
    }
  return scale;
}

template <class T>
bool eigen(void* matrix, int64_t n, bool upper, bool vectors, void* values) {
  T *a = static_cast<T*>(matrix), *w = static_cast<T*>(values);
  const T scale = prepare(a, n, upper);
  if (scale == 0) return false;
  const QrKernels& kernels = host_kernels<QrKernels>();
  constexpr int t = sizeof(T) == 8;
  Scratch<T> memory(5 * n + (vectors ? n * n : 0));
  Scratch<double> twofold(2 * n);
  Scratch<int64_t> places(n);
  T *diagonal = memory.data(), *beside = diagonal + n, *tau = beside + n, *c = tau + n, *s = c + n;
  T* z = vectors ? s + n : nullptr;
  double *d = twofold.data(), *e = d + n;
  kernels.tridiagonal[t](a, n, diagonal, beside, tau);
  for (int64_t i = 0; i < n; ++i) d[i] = diagonal[i], e[i] = i + 1 < n ? beside[i] : 0;
  if (z) {
    for (int64_t i = 0; i < n; ++i) z[i] = z[i * n] = i == 0;
    if (n > 1) kernels.form[t](a + 1, n - 1, n - 1, n, tau, z + n + 1, n - 1, n);
  }
  if (!make_diagonal(d, e, n, z, c, s)) return false;
  int64_t* const order = places.data();
  for (int64_t i = 0; i < n; ++i) {
    int64_t j = i;
    for (; j > 0 && d[order[j - 1]] > d[i]; --j) order[j] = order[j - 1];
    order[j] = i;
  }
  for (int64_t i = 0; i < n; ++i) {
    w[i] = T(d[order[i]] * double(scale));
    for (int64_t k = 0; z && k < n; ++k) a[i * n + k] = z[order[i] * n + k];
  }
  return true;
}

}  // namespace

EG_KERNELS(SymmetricKernels, {{&eigen<float>, &eigen<double>}})

}  // namespace eg
