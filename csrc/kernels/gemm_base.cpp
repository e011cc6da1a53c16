// Opens the BLAS and calls it. Compiled once: the BLAS chooses its own kernels.
//
// Note [OpenBLAS on AMD]. OpenBLAS takes an AMD core with AVX-512 for a Haswell: half the speed of its SkylakeX kernels on Zen 4
// (238 against 466 GF/s on two cores). So when this machine has AVX-512 and the user has not chosen, SkylakeX is asked for
// while the library is opened. It runs single-threaded; parallel_gemm splits the work over the one pool.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <string>

#include "core/error.h"
#include "core/gil.h"
#include "core/parallel.h"
#include "kernels/copy.h"
#include "kernels/gemm.h"
#include "kernels/integers.h"
#include "kernels/registry.h"
#include "kernels/scratch.h"

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
using CblasGemm = void (*)(int order, int ta, int tb, int m, int n, int k, T alpha, const T* a,
                           int lda, const T* b, int ldb, T beta, T* c, int ldc);

template <class T>
CblasGemm<T> the_gemm() {
  static const auto f = reinterpret_cast<CblasGemm<T>>(
      symbol(sizeof(T) == 4 ? "scipy_cblas_sgemm" : "scipy_cblas_dgemm"));
  return f;
}

template <class T>
void by_blas(const Gemm<T>& g) {
  constexpr int64_t kMost = INT32_MAX;
  EG_CHECK(std::max({g.m, g.n, g.k, g.lda, g.ldb, g.ldc}) <= kMost,
           "a matrix product of this size is not supported: dimensions of up to ", kMost, ", got ",
           g.m, " x ", g.k, " by ", g.k, " x ", g.n);
  constexpr int kRowMajor = 101, kNoTrans = 111, kTrans = 112;
  const auto ld = [](int64_t n) { return int(std::max<int64_t>(n, 1)); };
  the_gemm<T>()(kRowMajor, g.trans_a ? kTrans : kNoTrans, g.trans_b ? kTrans : kNoTrans, int(g.m),
                int(g.n), int(g.k), T(1), g.a, ld(g.lda), g.b, ld(g.ldb), T(g.add), g.c, ld(g.ldc));
}

void product_of(const Gemm<float>& g) {
  const auto own = host_kernels<GemmKernels>().f32;
  own ? own(g) : by_blas(g);
}
void product_of(const Gemm<double>& g) {
  const auto own = host_kernels<GemmKernels>().f64;
  own ? own(g) : by_blas(g);
}

constexpr int64_t kUnit = 16;  // rows or columns that are not parted

// Where part i of so many begins, in whole units.
int64_t part_begin(int64_t size, int64_t i, int64_t parts) {
  return min64(size, ceil_div(size, kUnit) * i / parts * kUnit);
}

// Note [Products of halves]. Each half becomes a float, which is exact, and each sum is rounded once. A becomes floats as a whole;
// B some columns at a time, which stay in the second-level cache while they are multiplied.
template <class T>
class ByFloats {
  // Of B at a time: elements, but some columns if they meet many rows of A.
  static constexpr int64_t kStrip = 1 << 16, kManyRows = 64, kColumns = 256;
  // Where few rows of A meet each element of B, it is read as it lies: long stretches of its rows, some rows at a time.
  static constexpr int64_t kFewRows = 4, kStretch = 1024, kDepth = 64;

 public:
  explicit ByFloats(const Gemm<T>& product)
      : g(product),
        depth(product.m <= kFewRows && !product.trans_b ? min64(kDepth, product.k) : product.k),
        units(ceil_div(g.n, kUnit)),
        parts(number_of_parts()),
        width(most_columns()),
        a(g.m * g.k),
        b(width * depth),
        c(g.m * width) {}

  void run() {
    convert(a.data(), columns_of_a(), g.a, g.lda, rows_of_a(), columns_of_a());
    for (int64_t i = 0; i < parts; ++i) {
      const int64_t j = part_begin(g.n, i, parts), n = part_begin(g.n, i + 1, parts) - j;
      if (g.add) convert(c.data(), n, g.c + j, g.ldc, g.m, n);
      for (int64_t at = 0; at < g.k; at += depth) add_terms(at, j, n);
      convert(g.c + j, g.ldc, c.data(), n, g.m, n);
    }
  }

 private:
  const Gemm<T>& g;
  const int64_t depth, units, parts, width;
  Scratch<float> a, b, c;

  // Terms from `at` on, of n columns from j on.
  void add_terms(int64_t at, int64_t j, int64_t n) {
    const int64_t k = min64(depth, g.k - at), ldb = g.trans_b ? k : n;
    if (g.trans_b)
      convert(b.data(), ldb, g.b + j * g.ldb + at, g.ldb, n, k);
    else
      convert(b.data(), ldb, g.b + at * g.ldb + j, g.ldb, k, n);
    const float* const from = a.data() + (g.trans_a ? at * columns_of_a() : at);
    product_of(Gemm<float>{g.trans_a, g.trans_b, g.add || at > 0, g.m, n, k, from, columns_of_a(),
                           b.data(), ldb, c.data(), n});
  }

  int64_t rows_of_a() const { return g.trans_a ? g.k : g.m; }
  int64_t columns_of_a() const { return g.trans_a ? g.m : g.k; }
  // Of two units at least: how a column is summed must not depend on how many there are beside it.
  int64_t number_of_parts() const {
    const int64_t columns =
        depth < g.k ? kStretch : max64(kStrip / g.k, g.m < kManyRows ? kUnit : kColumns);
    return std::clamp<int64_t>(ceil_div(g.n, columns), 1, max64(1, units / 2));
  }
  int64_t most_columns() const { return ceil_div(units, parts) * kUnit; }

  template <class To, class From>
  static void convert(To* to, int64_t ld_to, const From* from, int64_t ld_from, int64_t rows,
                      int64_t columns) {
    const auto line = host_kernels<CopyKernels>().line;
    const bool dense = ld_to == columns && ld_from == columns;
    for (int64_t r = 0; r < (dense ? 1 : rows); ++r)
      line(reinterpret_cast<char*>(to + r * ld_to), sizeof(To), dtype_of<To>::value,
           reinterpret_cast<const char*>(from + r * ld_from), sizeof(From), dtype_of<From>::value,
           dense ? rows * columns : columns);
  }
};

bool has_amx() {
  const auto available = host_kernels<AmxKernels>().available;
  return available && available();
}

void product_of(const Gemm<Half>& g) { ByFloats<Half>(g).run(); }
void product_of(const Gemm<BFloat16>& g) {
  // Packing for AMX costs more than some rows' products.
  constexpr int64_t kFewRows = 4;
  if (g.m > kFewRows && has_amx()) return host_kernels<AmxKernels>().bf16(g);
  ByFloats<BFloat16>(g).run();
}

// How the result is split into pieces. Packing the rows and columns of a piece costs 1 / width + 1 / height of a multiply-add for
// each that it does: pieces are as square as they can be. Small products come in four, larger ones in four a thread, so that
// nobody waits long for a thread that wakes late; pieces of the largest take some 30 ms, so that an interrupt is
// answered soon. Each has more than kFewLongRows rows and columns unless the product has fewer, so that it is computed in the
// same way whatever the number of threads; `depth` terms at a time, which does not depend on it either.
class Grid {
  static constexpr double kPiece = 2e9, kSmallPiece = 1.6e7;
  static constexpr int64_t kLeast = 64;

 public:
  Grid(int64_t m, int64_t n, int64_t k) : m_(m), n_(n) {
    const int64_t most_down = std::max<int64_t>(m / kLeast, 1);
    const int64_t most_across = std::max<int64_t>(n / kLeast, 1);
    const double work = double(m) * double(n) * double(k);
    const int64_t wanted =
        std::max<int64_t>({num_threads() > 1 ? 4 : 1,
                           std::min<int64_t>(4 * num_threads(), int64_t(work / kSmallPiece)),
                           int64_t(work / kPiece)});
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
    depth = std::max<int64_t>(
        4096, int64_t(kPiece / double(m) / double(n) * std::max(4.0, std::floor(work / kPiece))));
  }
  int64_t pieces() const { return down * across; }
  int64_t row(int64_t i) const { return part_begin(m_, i, down); }
  int64_t column(int64_t i) const { return part_begin(n_, i, across); }

  int64_t down = 1, across = 1, depth;

 private:
  int64_t m_, n_;
};

template <class T>
void in_pieces(const Gemm<T>& g) {
  constexpr bool in_depths = sizeof(T) >= 4;  // a half sum would be rounded between them
  const Grid grid(g.m, g.n, g.k);
  const int64_t depth = in_depths ? grid.depth : g.k;
  const ReleaseGil released;  // with one thread, too
  // Few pieces at a time: between them this thread looks for an interrupt.
  const int64_t together = 4 * num_threads();
  for (int64_t at = 0; at < g.k; at += depth) {
    for (int64_t first = 0; first < grid.pieces(); first += together) {
      const int64_t count = std::min(together, grid.pieces() - first);
      if (first + at > 0 && poll_interrupt && !in_parallel()) poll_interrupt();
      parallel_for(count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = first + begin; i < first + end; ++i) {
          const int64_t down = i % grid.down, across = i / grid.down;
          const int64_t r = grid.row(down), c = grid.column(across);
          Gemm<T> piece = g;
          piece.m = grid.row(down + 1) - r;
          piece.n = grid.column(across + 1) - c;
          piece.k = std::min(depth, g.k - at);
          piece.a += g.trans_a ? at * g.lda + r : r * g.lda + at;
          piece.b += g.trans_b ? c * g.ldb + at : at * g.ldb + c;
          piece.c += r * g.ldc + c;
          if (at) piece.add = true;
          product_of(piece);
        }
      });
    }
  }
}

template <class T>
void run(const Gemm<T>& g, bool all_threads) {
  // Below this many multiply-adds a second thread is not woken.
  constexpr double kWorthwhile = 7e5;
  if (g.m == 0 || g.n == 0) return;
  if (g.k == 0) {
    for (int64_t i = 0; i < g.m && !g.add; ++i)
      std::fill(g.c + i * g.ldc, g.c + i * g.ldc + g.n, T{});
    return;
  }
  const bool worthwhile =
      double(g.m) * double(g.n) * double(g.k) >= kWorthwhile && std::max(g.m, g.n) >= 64;
  if (all_threads && worthwhile)
    in_pieces(g);
  else
    product_of(g);
}

}  // namespace

void set_blas_path(const char* path) { blas_path() = path; }
void* blas_symbol(const char* name) { return symbol(std::string("scipy_") + name + "_"); }

void gemm(const Gemm<float>& g, bool all_threads) { run(g, all_threads); }
void gemm(const Gemm<double>& g, bool all_threads) { run(g, all_threads); }
void gemm(const Gemm<Half>& g, bool all_threads) { run(g, all_threads); }
void gemm(const Gemm<BFloat16>& g, bool all_threads) { run(g, all_threads); }

}  // namespace eg
