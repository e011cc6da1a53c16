// Launches the kernels of eagergrad/cuda/norm.cu.
#include "kernels/norm.h"

#include "cuda/reduce.h"
#include "cuda/teams.h"
#include "kernels/reduce.h"

namespace eg {
namespace {

constexpr const char* kFile = "norm.cu";

// Elements of type S; what is computed from them is of type C.
#define EG_IN(p) static_cast<const S*>(p)
#define EG_OUT(p) static_cast<S*>(p)
#define EG_TERM(p) static_cast<const C*>(p)
#define EG_RESULT(p) static_cast<C*>(p)
#define EG_VISIT(type, ...)                              \
  cuda::visit_elements(type, [&](auto zero, auto wide) { \
    using S = decltype(zero);                            \
    using C = decltype(wide);                            \
    __VA_ARGS__;                                         \
  })

DType sum_type(DType t) { return is_reduced(t) ? DType::Float32 : t; }

void row_forward(DType type, int64_t rows, int64_t n, bool center, double eps, const void* x,
                 const void* w, const void* b, void* y, void* mean, void* rstd) {
  if (rows == 0) return;
  const cuda::Teams t(rows, n);
  void* const kernel = cuda::kernel(kFile, "eg::row_norm", {type, center, t.block, t.held});
  EG_VISIT(type, cuda::launch(kernel, t.grid, rows, n, eps, EG_IN(x), EG_TERM(w), EG_TERM(b),
                              EG_OUT(y), EG_RESULT(mean), EG_RESULT(rstd)));
}

// Column sums of [rows, n] in chunks of rows.
struct Columns {
  int64_t n, chunks;
  Columns(int64_t rows, int64_t n) : n(n) {
    const int64_t full = int64_t(cuda::driver().multiprocessors) * 8, groups = (n + 31) / 32;
    chunks = std::max<int64_t>(1, std::min(full / std::max<int64_t>(groups, 1), rows / 64));
    each_ = std::max<int64_t>(1, (rows + chunks - 1) / chunks);
    chunks = std::max<int64_t>(1, (rows + each_ - 1) / each_);
  }
  int64_t scratch() const { return 2 * chunks * n; }
  // x, g: [rows, n] of S. mean, rstd: of the rows if by_row, else mean[c / per_mean] of the columns.
  template <class S, class C>
  void run(int64_t rows, bool by_row, const S* g, const S* x, const C* mean, int64_t per_mean,
           const C* rstd, C* out) const {
    const int64_t blocks = (n + 31) / 32 * chunks;
    cuda::launch(cuda::kernel(kFile, "eg::column_sums", {dtype_of<S>::value}),
                 cuda::Grid(blocks, 1, 1, 32, 8, 1), rows, n, each_, by_row, g, x, mean, per_mean,
                 rstd, out);
  }

 private:
  int64_t each_;
};
int64_t row_scratch(int64_t rows, int64_t n) { return Columns(rows, n).scratch(); }

// out[n] = the sum of x[chunks, n] over chunks; `outer` of them.
void join_chunks(DType type, const void* x, void* out, int64_t outer, int64_t chunks, int64_t n) {
  kernels<ReduceKernels>().reduce(Reduce::Sum, type, static_cast<const char*>(x),
                                  static_cast<char*>(out), outer, chunks, n);
}

void row_backward(DType type, int64_t rows, int64_t n, bool center, const void* g, const void* x,
                  const void* w, const void* mean, const void* rstd, void* dx, void* dw, void* db,
                  void* scratch) {
  if (rows == 0) {
    for (void* p : {dw, db})
      if (p) cuda::fill_zero(p, size_t(n) * item_size(sum_type(type)));
    return;
  }
  const cuda::Teams t(rows, n);
  const Columns columns(rows, n);
  EG_VISIT(type, {
    const C* m = center ? EG_TERM(mean) : nullptr;
    if (dx)
      cuda::launch(cuda::kernel(kFile, "eg::row_norm_backward", {type, center, t.block, t.held}),
                   t.grid, rows, n, EG_IN(g), EG_IN(x), EG_TERM(w), m, EG_TERM(rstd), EG_OUT(dx));
    if (!dw && !db) return;
    columns.run(rows, true, EG_IN(g), EG_IN(x), m, 1, EG_TERM(rstd), EG_RESULT(scratch));
    const C* along = EG_RESULT(scratch) + columns.chunks * n;
    if (db) join_chunks(sum_type(type), scratch, db, 1, columns.chunks, n);
    if (dw) join_chunks(sum_type(type), along, dw, 1, columns.chunks, n);
  });
}

void sums(const ChannelShape& s, const void* g, const void* x, const void* mean, int64_t per_mean,
          void* to) {
  if (s.channels == 0) return;
  if (s.outer * s.inner == 0)
    return cuda::fill_zero(to, size_t(2 * s.channels) * item_size(sum_type(s.dtype)));
  EG_VISIT(s.dtype, {
    if (s.inner == 1) {
      const Columns columns(s.outer, s.channels);
      const cuda::Scratch parts(size_t(columns.scratch()) * sizeof(C));
      columns.run(s.outer, false, EG_IN(g), EG_IN(x), EG_TERM(mean), per_mean, EG_TERM(nullptr),
                  parts.get<C>());
      return join_chunks(sum_type(s.dtype), parts.get(), to, 2, columns.chunks, s.channels);
    }
    const int64_t lines = s.outer * s.channels;
    const cuda::Teams t(lines, s.inner);
    const cuda::Scratch parts(size_t(2 * lines) * sizeof(C));
    cuda::launch(cuda::kernel(kFile, "eg::line_sums", {s.dtype, t.block}), t.grid, lines,
                 s.channels, s.inner, EG_IN(g), EG_IN(x), EG_TERM(mean), per_mean,
                 s.outer == 1 ? EG_RESULT(to) : parts.get<C>());
    if (s.outer > 1) join_chunks(sum_type(s.dtype), parts.get(), to, 2, s.outer, s.channels);
  });
}

// 4: the kernel counts in 32 bits, where that is enough; it divides.
int counter(int64_t n) { return n < (int64_t(1) << 31) ? 4 : 8; }

void affine(const ChannelShape& s, const void* x, const void* a, const void* b, void* y) {
  const int64_t n = s.outer * s.channels * s.inner;
  if (n == 0) return;
  EG_VISIT(s.dtype, cuda::launch(cuda::kernel(kFile, "eg::affine", {s.dtype, counter(n)}),
                                 cuda::elements(n, 4), n, s.channels, s.inner, EG_IN(x), EG_TERM(a),
                                 EG_TERM(b), EG_OUT(y)));
}
void combine(const ChannelShape& s, const void* g, const void* x, const void* a, const void* b,
             const void* k, void* y) {
  const int64_t n = s.outer * s.channels * s.inner;
  if (n == 0) return;
  EG_VISIT(s.dtype, cuda::launch(cuda::kernel(kFile, "eg::combine", {s.dtype, counter(n)}),
                                 cuda::elements(n, 4), n, s.channels, s.inner, EG_IN(g), EG_IN(x),
                                 EG_TERM(a), EG_TERM(b), EG_TERM(k), EG_OUT(y)));
}

void normalise(const ChannelShape& s, const ChannelFold& f, bool given, const void* x, void* y) {
  const int64_t n = s.channels;
  if (n == 0) return;
  // Group norm's groups lie one behind the other.
  if (!given)
    cuda::channel_moments(s.dtype, s.outer, f.of.groups(), f.of.per_group * s.inner, x, f.mean,
                          f.var);
  cuda::visit_elements(s.dtype, [&](auto, auto wide) {
    using C = decltype(wide);
    const cuda::Scratch scratch(size_t(2 * n) * sizeof(C));
    C *const scale = scratch.get<C>(), *const shift = scale + n;
    cuda::launch(cuda::kernel(kFile, "eg::fold", {sum_type(s.dtype)}), cuda::elements(n), f, scale,
                 shift);
    affine(s, x, scale, shift, y);
  });
}

void differentiate(const ChannelShape& s, const ChannelTerms& f, const void* g, const void* x,
                   void* dx) {
  const int64_t n = s.channels, threads = std::max(n, f.of.weights);
  if (threads == 0) return;
  cuda::visit_elements(s.dtype, [&](auto, auto wide) {
    using C = decltype(wide);
    const cuda::Scratch scratch(size_t(5 * n) * sizeof(C));
    C *const to = scratch.get<C>(), *const a = to + 2 * n, *const b = a + n, *const k = b + n;
    sums(s, g, x, f.mean, f.of.per_group, to);
    cuda::launch(cuda::kernel(kFile, "eg::terms", {sum_type(s.dtype)}),
                 cuda::elements(threads, 1, 128), f, static_cast<const C*>(to), a, b, k);
    if (dx) combine(s, g, x, a, b, k, dx);
  });
}

#undef EG_IN
#undef EG_OUT
#undef EG_TERM
#undef EG_RESULT
#undef EG_VISIT

}  // namespace

EG_CUDA_KERNELS(NormKernels,
                {&row_forward, &row_backward, &row_scratch, &normalise, &differentiate})

}  // namespace eg
