// Matrix products by NumPy's rules, and their gradients.
#include "core/parallel.h"
#include "kernels/gemm.h"
#include "ops/ops.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {
namespace {

// How BLAS reads a matrix as it lies in memory; undefined copies are made where it cannot.
struct Matrix {
  Tensor owner;
  bool trans;
  int64_t ld;
};
Matrix readable(const Tensor& t) {
  const int64_t n = t.dim();
  const int64_t rows = t.sizes()[n - 2], cols = t.sizes()[n - 1];
  const int64_t sr = t.strides()[n - 2], sc = t.strides()[n - 1];
  if ((sc == 1 || cols == 1) && (sr >= std::max<int64_t>(cols, 1) || rows == 1))
    return {t, false, rows == 1 ? std::max<int64_t>(cols, 1) : sr};
  if ((sr == 1 || rows == 1) && (sc >= std::max<int64_t>(rows, 1) || cols == 1))
    return {t, true, cols == 1 ? std::max<int64_t>(rows, 1) : sc};
  return {contiguous_data(t), false, std::max<int64_t>(cols, 1)};
}

template <class T>
void product(const Tensor& a, const Tensor& b, const Tensor& out, T beta) {
  const Matrix ma = readable(a), mb = readable(b);
  parallel_gemm(ma.trans, mb.trans, a.sizes()[0], b.sizes()[1], a.sizes()[1], T(1),
                ma.owner.data<T>(), ma.ld, mb.owner.data<T>(), mb.ld, beta, out.data<T>(),
                b.sizes()[1]);
}

// out (row-major) = a b + beta out, for 2-d a and b.
void mm_into(const Tensor& a, const Tensor& b, const Tensor& out, double beta) {
  if (out.dtype() == DType::Float64) {
    product<double>(a, b, out, beta);
  } else if (out.dtype() == DType::Float32) {
    product<float>(a, b, out, float(beta));
  } else {
    Tensor wide = empty(out.sizes(), DType::Float32);
    product<float>(cast_data(a, DType::Float32), cast_data(b, DType::Float32), wide, 0.f);
    copy_into(out, wide);
  }
}

struct Mm {
  static constexpr const char* name = "Mm";
  Tensor forward(Context& ctx, const Tensor& a, const Tensor& b) {
    if (ctx.needs(1)) ctx.save(a);
    if (ctx.needs(0)) ctx.save(b);
    Tensor out = empty({a.sizes()[0], b.sizes()[1]}, a.dtype());
    mm_into(a, b, out, 0);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors result(2);
    if (ctx.needs(0)) result[0] = gradient(ctx, 0, g, transpose(ctx.saved(ctx.needs(1)), 0, 1));
    if (ctx.needs(1)) result[1] = gradient(ctx, 1, transpose(ctx.saved(0), 0, 1), g);
    return result;
  }
  // Straight into the engine's buffer if there is one.
  static Tensor gradient(Context& ctx, size_t input, const Tensor& a, const Tensor& b) {
    Tensor* sum = ctx.accumulator(input);
    if (!sum || grad_enabled() || is_reduced(sum->dtype())) return mm(a, b);
    mm_into(a, b, *sum, 1);
    return Context::accumulated();
  }
};

void check_mm(const char* op, const Tensor& a, const Tensor& b) {
  EG_CHECK(a.dtype() == b.dtype(), "[", op, "] expected m1 and m2 to have the same dtype, but got: ",
           a.dtype(), " != ", b.dtype());
  EG_CHECK(a.dim() >= 1 && b.dim() >= 1, "[", op,
           "] both arguments to matmul need to be at least 1D, but they are ", a.dim(), "D and ",
           b.dim(), "D");
}

}  // namespace

Tensor mm(const Tensor& a, const Tensor& b) {
  check_mm("mm", a, b);
  EG_CHECK(a.dim() == 2 && b.dim() == 2, "[mm] expected 2-d tensors, got shapes ", IntSpan(a.sizes()),
           " and ", IntSpan(b.sizes()));
  EG_CHECK(a.sizes()[1] == b.sizes()[0], "[mm] mat1 and mat2 shapes cannot be multiplied (",
           a.sizes()[0], "x", a.sizes()[1], " and ", b.sizes()[0], "x", b.sizes()[1], ")",
           a.sizes()[1] == b.sizes()[1] ? ". Hint: the second one transposed, mat2.T, would fit" : "");
  return apply(Mm{}, a, b);
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  check_mm("matmul", a, b);
  return mm(a, b);
}

EG_OP(&matmul, "matmul(input, other)", "Matrix product, NumPy's rules.", kOut)
EG_OP(&mm, "mm(input, mat2)", "Product of two matrices.", kOut)

}  // namespace eg
