// Opens the BLAS and calls it. Compiled once: the BLAS chooses its own kernels.
//
// Note [OpenBLAS on AMD]. OpenBLAS takes an AMD core with AVX-512 for a Haswell: half the speed of its SkylakeX kernels on Zen 4
// (238 against 466 GF/s on two cores). So when this machine has AVX-512 and the user has not chosen, SkylakeX is asked for
// while the library is opened. It runs single-threaded; parallel_gemm splits the work over the one pool.
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <string>

#include "core/error.h"
#include "core/gil.h"
#include "core/parallel.h"
#include "kernels/gemm.h"
#include "kernels/registry.h"
#include "kernels/rnn.h"

namespace eg {
namespace {

std::string& blas_path() {
  static auto& path = *new std::string;
  return path;
}

// Sets an environment variable for as long as it lives, unless the user has set it.
class DuringLoad {
 public:
  DuringLoad(const char* name, const char* value) : name_(std::getenv(name) ? nullptr : name) {
    if (name_) setenv(name_, value, 1);
  }
  ~DuringLoad() {
    if (name_) unsetenv(name_);
  }

 private:
  const char* name_;
};

void* open_library() {
  EG_CHECK(!blas_path().empty(),
           "no BLAS library is known: install it with pip install scipy-openblas32");
  const DuringLoad one_thread("OPENBLAS_NUM_THREADS", "1");
  void* handle = nullptr;
  if (isa_level() >= 4) {
    const DuringLoad kernels("OPENBLAS_CORETYPE", "SkylakeX");
    handle = dlopen(blas_path().c_str(), RTLD_NOW | RTLD_LOCAL);
  } else {
    handle = dlopen(blas_path().c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  EG_CHECK(handle, "cannot open the BLAS library: ", dlerror());
  if (void* f = dlsym(handle, "scipy_openblas_set_num_threads"))
    reinterpret_cast<void (*)(int)>(f)(1);
  return handle;
}

void* library() {
  static void* const handle = open_library();
  return handle;
}

void* symbol(const std::string& name) {
  void* f = dlsym(library(), name.c_str());
  EG_CHECK(f, "the BLAS library has no ", name);
  return f;
}

template <class T>
using Gemm = void (*)(int order, int ta, int tb, int m, int n, int k, T alpha, const T* a, int lda,
                      const T* b, int ldb, T beta, T* c, int ldc);

template <class T>
Gemm<T> the_gemm() {
  static const auto f =
      reinterpret_cast<Gemm<T>>(symbol(sizeof(T) == 4 ? "scipy_cblas_sgemm" : "scipy_cblas_dgemm"));
  return f;
}

template <class T>
void scale(int64_t m, int64_t n, T beta, T* c, int64_t ldc) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) c[i * ldc + j] = beta == T(0) ? T(0) : c[i * ldc + j] * beta;
}

template <class T>
void serial(bool ta, bool tb, int64_t m, int64_t n, int64_t k, T alpha, const T* a, int64_t lda,
            const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) return scale(m, n, beta, c, ldc);
  constexpr int64_t kMost = INT32_MAX;
  EG_CHECK(std::max({m, n, k, lda, ldb, ldc}) <= kMost,
           "a matrix product of this size is not supported: dimensions of up to ", kMost, ", got ",
           m, " x ", k, " by ", k, " x ", n);
  constexpr int kRowMajor = 101, kNoTrans = 111, kTrans = 112;
  the_gemm<T>()(kRowMajor, ta ? kTrans : kNoTrans, tb ? kTrans : kNoTrans, int(m), int(n), int(k),
                alpha, a, int(std::max<int64_t>(lda, 1)), b, int(std::max<int64_t>(ldb, 1)), beta,
                c, int(std::max<int64_t>(ldc, 1)));
}

// How the result is split into pieces. OpenBLAS packs the rows and columns of a piece, which costs 1 / width + 1 / height of
// a multiply-add for each that it does: pieces are as square as they can be. Small products come in four, so that nobody
// waits for a thread that wakes late; pieces of large ones take some 30 ms, so that an interrupt is answered soon.
struct Grid {
  static constexpr double kPiece = 2e9;
  int64_t down = 1, across = 1, height, width, depth;

  Grid(int64_t m, int64_t n, int64_t k) {
    constexpr int64_t kLeast = 64;
    const int64_t most_down = std::max<int64_t>(m / kLeast, 1);
    const int64_t most_across = std::max<int64_t>(n / kLeast, 1);
    const int64_t wanted =
        std::max<int64_t>(4, int64_t(double(m) * double(n) * double(k) / kPiece));
    double least = 1e300;
    for (int64_t d = 1; d <= std::min(wanted, most_down); ++d) {
      const int64_t a = std::min((wanted + d - 1) / d, most_across);
      const double packing = double(d) / double(m) + double(a) / double(n);
      const double missing = double(std::max<int64_t>(wanted - d * a, 0));
      if (packing + missing >= least) continue;
      least = packing + missing;
      down = d;
      across = a;
    }
    height = rounded((m + down - 1) / down);
    width = rounded((n + across - 1) / across);
    down = (m + height - 1) / height;
    across = (n + width - 1) / width;
    depth = std::max<int64_t>(4096, int64_t(kPiece / (double(height) * double(width))));
  }
  int64_t pieces() const { return down * across; }

 private:
  static int64_t rounded(int64_t n) { return (n + 15) / 16 * 16; }
};

// Below this many multiply-adds a second thread is not woken.
constexpr double kWorthwhile = 7e5;

// Gradients of a layer's weights and input in a loop over steps, where one of the sizes is the batch: OpenBLAS, which
// packs both sides, takes 1.4 to 2 times as long.
template <class T>
bool own(bool ta, bool tb, int64_t m, int64_t n, int64_t k, T alpha, const T* a, int64_t lda,
         const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  if (ta == tb || alpha != T(1) || (beta != T(0) && beta != T(1))) return false;
  constexpr DType type = sizeof(T) == 4 ? DType::Float32 : DType::Float64;
  const auto& own = kernels<RnnKernels>();
  const bool add = beta == T(1);
  if (ta && k >= 4 && k <= 64 && n >= 32)
    own.weight_gradient(type, k, m, n, a, lda, b, ldb, c, ldc, add);
  else if (tb && m >= 24 && m <= 96 && n >= 64 && k >= 64)
    own.transposed_product(type, m, n, k, a, lda, b, ldb, c, ldc, add);
  else
    return false;
  return true;
}

template <class T>
void parallel(bool ta, bool tb, int64_t m, int64_t n, int64_t k, T alpha, const T* a, int64_t lda,
              const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  if (own(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)) return;
  if (double(m) * double(n) * double(k) < kWorthwhile || std::max(m, n) < 64) {
    serial(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    return;
  }
  const Grid grid(m, n, k);
  // Few pieces at a time: between them this thread looks for an interrupt.
  const int64_t together = 4 * num_threads();
  for (int64_t at = 0; at < k; at += grid.depth) {
    const int64_t depth = std::min(grid.depth, k - at);
    const T *pa = a + (ta ? at * lda : at), *pb = b + (tb ? at : at * ldb);
    for (int64_t first = 0; first < grid.pieces(); first += together) {
      const int64_t count = std::min(together, grid.pieces() - first);
      if (first + at > 0 && poll_interrupt && !in_parallel()) poll_interrupt();
      parallel_for(count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = first + begin; i < first + end; ++i) {
          const int64_t r = i % grid.down * grid.height, c0 = i / grid.down * grid.width;
          serial(ta, tb, std::min(grid.height, m - r), std::min(grid.width, n - c0), depth, alpha,
                 pa + (ta ? r : r * lda), lda, pb + (tb ? c0 * ldb : c0), ldb, at ? T(1) : beta,
                 c + r * ldc + c0, ldc);
        }
      });
    }
  }
}

}  // namespace

void set_blas_path(const char* path) { blas_path() = path; }
void* blas_symbol(const char* name) { return symbol(std::string("scipy_") + name + "_"); }

#define EG_GEMM(T)                                                                               \
  void gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, T alpha, const T* a, int64_t lda, \
            const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {                                \
    serial(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                                \
  }                                                                                              \
  void parallel_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, T alpha, const T* a,     \
                     int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {          \
    parallel(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                              \
  }
EG_GEMM(float)
EG_GEMM(double)
#undef EG_GEMM

}  // namespace eg
