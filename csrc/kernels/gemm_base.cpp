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
  const bool rows = m >= n;
  const int64_t longer = rows ? m : n;
  // Each chunk packs the shared operand again: 256 rows keep that below a few per cent. Small products still come in four
  // pieces, so that nobody waits for a thread that wakes late.
  const int64_t pieces =
      std::min<int64_t>(std::max<int64_t>(longer / 256, std::min<int64_t>(longer / 64, 4)), 16);
  const int64_t chunk = ((longer + pieces - 1) / pieces + 15) / 16 * 16;
  const int64_t chunks = (longer + chunk - 1) / chunk;
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i * chunk, size = std::min(chunk, longer - at);
      if (rows) {
        serial(ta, tb, size, n, k, alpha, a + (ta ? at : at * lda), lda, b, ldb, beta, c + at * ldc,
               ldc);
      } else {
        serial(ta, tb, m, size, k, alpha, a, lda, b + (tb ? at * ldb : at), ldb, beta, c + at, ldc);
      }
    }
  });
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
