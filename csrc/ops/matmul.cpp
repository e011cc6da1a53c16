// Matrix products by NumPy's rules, and their gradients. Everything below rests on two ops, Mm and Bmm, and on Linear, which is Mm
// with the weight as nn.Linear keeps it and the bias added in the same pass.

#include "ops/matmul.h"

#include "core/parallel.h"
#include "kernels/gemm.h"
#include "kernels/matmul.h"
#include "ops/ops.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {
namespace {

// --- running a product ---------------------------------------------------------------------------------------

// How BLAS reads a matrix, or a batch of them, as it lies in memory; a copy is made where it cannot.
struct Matrix {
  Tensor owner;
  bool trans;
  int64_t ld;

  explicit Matrix(const Tensor& t) : owner(t), trans(false) {
    const int64_t n = t.dim();
    const int64_t rows = t.sizes()[n - 2], cols = t.sizes()[n - 1];
    const int64_t sr = t.strides()[n - 2], sc = t.strides()[n - 1];
    const int64_t least_row = std::max<int64_t>(cols, 1), least_col = std::max<int64_t>(rows, 1);
    // (On the host a vector with gaps costs a product half its speed, or more.)
    const bool has_gaps = (cols == 1 && sr != 1 && rows > 1) || (rows == 1 && sc != 1 && cols > 1);
    if (has_gaps && t.device().is_cpu()) {
      owner = contiguous_data(t);
      ld = least_row;
    } else if ((sc == 1 || cols == 1) && (sr >= least_row || rows == 1)) {
      ld = rows == 1 ? least_row : sr;
    } else if ((sr == 1 || rows == 1) && (sc >= least_col || cols == 1)) {
      trans = true;
      ld = cols == 1 ? least_col : sc;
    } else {
      owner = contiguous_data(t);
      ld = least_row;
    }
  }
  int64_t step() const { return owner.dim() == 3 ? owner.strides()[0] : 0; }
};

template <class T>
void float_products(const Products& p) {
  const auto one = [&](int64_t i, bool all_threads) {
    gemm(Gemm<T>{p.trans_a, p.trans_b, p.add, p.m, p.n, p.k,
                 static_cast<const T*>(p.a) + i * p.step_a, p.lda,
                 static_cast<const T*>(p.b) + i * p.step_b, p.ldb,
                 static_cast<T*>(p.c) + i * p.m * p.n, p.n},
         all_threads);
  };
  const double each = double(p.m) * double(p.n) * double(p.k);
  // Few large products are split inside, many small ones over the batch.
  if (p.batch == 1 || (p.batch < 4 && each > 4e6)) {
    for (int64_t i = 0; i < p.batch; ++i) one(i, true);
    return;
  }
  const int64_t grain = std::max<int64_t>(1, int64_t(1e6 / std::max(each, 1.0)));
  parallel_for(p.batch, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) one(i, false);
  });
}

void multiply(const Products& p) {
  if (p.type == DType::Float64) return float_products<double>(p);
  if (p.type == DType::Float32) return float_products<float>(p);
  if (p.type == DType::Float16) return float_products<Half>(p);
  if (p.type == DType::BFloat16) return float_products<BFloat16>(p);
  host_kernels<IntegerMatmulKernels>().multiply(p);
}

}  // namespace

void mm_into(const Tensor& a, const Tensor& b, const Tensor& out, bool add) {
  const DType type = out.dtype();
  EG_CHECK_KIND(NotImplemented, type != DType::Bool, "\"matmul\" not implemented for 'Bool'");
  const Matrix ma(a), mb(b);
  const int64_t d = out.dim();
  Products p = {type,
                d == 3 ? out.sizes()[0] : 1,
                out.sizes()[d - 2],
                out.sizes()[d - 1],
                a.sizes()[d - 1],
                ma.owner.raw(),
                mb.owner.raw(),
                out.raw(),
                ma.trans,
                mb.trans,
                ma.ld,
                mb.ld,
                ma.step(),
                mb.step(),
                add};
  // A matrix that lies transposed, times a vector: the vector times the matrix as it lies, several times as fast.
  if (p.n == 1 && p.m > 1 && p.trans_a && !p.trans_b && p.ldb == 1) {
    p = {type,  p.batch, 1,   p.m,   p.k,      p.b,      p.a, p.c,
         false, false,   p.k, p.lda, p.step_b, p.step_a, add};
  }
  kernels<MatmulKernels>().multiply(p);
}

namespace {

// The gradient product a b, added into the engine's buffer for the input if it has one.
Tensor gradient_product(Context& ctx, size_t input, const Tensor& a, const Tensor& b,
                        Tensor (*recorded)(const Tensor&, const Tensor&)) {
  Tensor* sum = ctx.accumulator(input);
  if (!sum || grad_enabled() || is_reduced(sum->dtype()) || sum->dim() != a.dim())
    return recorded(a, b);
  mm_into(a, b, *sum, true);
  return Context::accumulated();
}

// --- the ops ---------------------------------------------------------------------------------------------------

template <bool batched>
struct Product {
  static constexpr const char* name = batched ? "Bmm" : "Mm";
  Tensor forward(Context& ctx, const Tensor& a, const Tensor& b) {
    if (ctx.needs(1)) ctx.save(a);
    if (ctx.needs(0)) ctx.save(b);
    // A column times a row, at the speed of memory: the BLAS takes four times as long.
    if (!batched && a.sizes()[1] == 1 && a.is_floating() && a.device().is_cpu()) return mul(a, b);
    Dims sizes = a.sizes();
    sizes.back() = b.sizes().back();
    Tensor out = empty(sizes, a.dtype());
    mm_into(a, b, out, false);
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    constexpr auto recorded = batched ? &bmm : &mm;
    Tensors result(2);
    if (ctx.needs(0))
      result[0] =
          gradient_product(ctx, 0, g, transpose(ctx.saved(ctx.is_recorded(1)), -2, -1), recorded);
    if (ctx.needs(1))
      result[1] = gradient_product(ctx, 1, transpose(ctx.saved(0), -2, -1), g, recorded);
    return result;
  }
};

// y = x W^T + b for 2-d x.
struct Linear {
  static constexpr const char* name = "Linear";
  bool biased;
  std::string title() const { return biased ? "Addmm" : "Mm"; }
  Tensor forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias) {
    if (ctx.needs(1)) ctx.save(x);
    if (ctx.needs(0)) ctx.save(weight);
    Tensor out = empty({x.sizes()[0], weight.sizes()[0]}, x.dtype());
    if (bias.defined()) copy_into(out, bias);
    mm_into(x,
            alias(weight, {weight.sizes()[1], weight.sizes()[0]},
                  {weight.strides()[1], weight.strides()[0]}, weight.offset()),
            out, bias.defined());
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors result(3);
    if (ctx.needs(0)) result[0] = gradient_product(ctx, 0, g, ctx.saved(ctx.is_recorded(1)), &mm);
    if (ctx.needs(1)) result[1] = gradient_product(ctx, 1, transpose(g, 0, 1), ctx.saved(0), &mm);
    if (ctx.needs(2)) result[2] = sum(g, {0});
    return result;
  }
};

// Integers and float64, which NumPy makes, are rarely what was meant.
std::string dtype_hint(const Tensor& a, const Tensor& b) {
  const auto odd = [](const Tensor& t) { return !t.is_floating() || t.dtype() == DType::Float64; };
  const bool second = odd(b) && (!odd(a) || a.is_floating());
  return str(". Hint: convert the ", second ? "second" : "first", " one: .to(eagergrad.",
             second ? a.dtype() : b.dtype(), ")");
}

void check_operands(const char* op, const Tensor& a, const Tensor& b) {
  EG_CHECK(a.device() == b.device(), "[", op, "] expected all tensors on one device, got ",
           a.device(), " and ", b.device());
  EG_CHECK(a.dtype() == b.dtype(), "[", op,
           "] expected m1 and m2 to have the same dtype, but got: ", a.dtype(), " != ", b.dtype(),
           dtype_hint(a, b));
}

std::string shape_hint(const Tensor& a, const Tensor& b) {
  const int64_t k = a.sizes().back(), rows = b.dim() > 1 ? b.sizes()[b.dim() - 2] : b.sizes()[0];
  if (k != rows && b.dim() > 1 && k == b.sizes().back())
    return ". Hint: the second one transposed (.mT) would fit";
  if (a.dim() > 1 && a.sizes()[a.dim() - 2] == rows)
    return ". Hint: the first one transposed (.mT) would fit";
  return "";
}

// The result of a product that ends in a view of a temporary: no view for users, as in PyTorch, and written to as a tensor of its own.
Tensor product(Tensor y, const char* title) {
  y->base = nullptr;
  return named(std::move(y), title);
}

// Matrices folded into one: (..., m, k) times (k, n) is one product of all rows.
Tensor fold_rows(const Tensor& a, const Tensor& b) {
  Dims out(a.sizes().begin(), a.sizes().end() - 1);
  int64_t rows = 1;
  for (int64_t s : out) rows *= s;
  out.push_back(b.sizes()[1]);
  return product(view(mm(reshape(a, {rows, a.sizes().back()}), b), out), "UnsafeViewBackward0");
}

Tensor batch_of(const Tensor& t, IntSpan batch, int64_t count) {
  Dims wide = batch.dims();
  wide.push_back(t.sizes()[t.dim() - 2]);
  wide.push_back(t.sizes()[t.dim() - 1]);
  const Tensor e = t.sizes() == wide ? t : expand(t, wide);
  return e.dim() == 3 ? e : reshape(e, {count, wide[wide.size() - 2], wide.back()});
}

}  // namespace

EG_KERNELS(MatmulKernels, {&multiply})

Tensor mm(const Tensor& a, const Tensor& b) {
  check_operands("mm", a, b);
  EG_CHECK(a.dim() == 2, "[mm] self must be a matrix, got shape ", IntSpan(a.sizes()));
  EG_CHECK(b.dim() == 2, "[mm] mat2 must be a matrix, got shape ", IntSpan(b.sizes()));
  EG_CHECK(a.sizes()[1] == b.sizes()[0], "[mm] mat1 and mat2 shapes cannot be multiplied (",
           a.sizes()[0], "x", a.sizes()[1], " and ", b.sizes()[0], "x", b.sizes()[1], ")",
           shape_hint(a, b));
  return apply(Product<false>{}, a, b);
}

Tensor bmm(const Tensor& a, const Tensor& b) {
  check_operands("bmm", a, b);
  EG_CHECK(a.dim() == 3, "[bmm] batch1 must be a 3D tensor, got shape ", IntSpan(a.sizes()));
  EG_CHECK(b.dim() == 3, "[bmm] batch2 must be a 3D tensor, got shape ", IntSpan(b.sizes()));
  EG_CHECK(a.sizes()[0] == b.sizes()[0] && a.sizes()[2] == b.sizes()[1],
           "[bmm] Expected size for first two dimensions of batch2 tensor to be: [", a.sizes()[0],
           ", ", a.sizes()[2], "] but got: [", b.sizes()[0], ", ", b.sizes()[1], "]",
           shape_hint(a, b));
  return apply(Product<true>{}, a, b);
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  check_operands("matmul", a, b);
  EG_CHECK(a.dim() >= 1 && b.dim() >= 1,
           "[matmul] both arguments to matmul need to be at least 1D, but they are ", a.dim(),
           "D and ", b.dim(), "D");
  const int64_t k = a.sizes().back(), rows = b.dim() == 1 ? b.sizes()[0] : b.sizes()[b.dim() - 2];
  EG_CHECK(k == rows, "[matmul] mat1 and mat2 shapes cannot be multiplied (", IntSpan(a.sizes()),
           " and ", IntSpan(b.sizes()), ": inner sizes ", k, " and ", rows, ")", shape_hint(a, b));
  if (a.dim() == 2 && b.dim() == 2) return mm(a, b);
  if (a.dim() == 1) {
    const Tensor y = matmul(unsqueeze(a, 0), b.dim() == 1 ? unsqueeze(b, 1) : b);
    return b.dim() == 1 ? product(reshape(y, {}), "DotBackward0")
                        : product(squeeze(y, {y.dim() - 2}),
                                  b.dim() == 2 ? "SqueezeBackward4" : "UnsafeViewBackward0");
  }
  if (b.dim() == 1)
    return product(squeeze(matmul(a, unsqueeze(b, 1)), {a.dim() - 1}),
                   a.dim() == 2 ? "MvBackward0" : "UnsafeViewBackward0");
  if (b.dim() == 2) return fold_rows(a, b);
  const Dims batch = broadcast_shapes(IntSpan(a.sizes().data(), a.dim() - 2),
                                      IntSpan(b.sizes().data(), b.dim() - 2));
  const int64_t count = checked_numel(batch);
  const Tensor y = bmm(batch_of(a, batch, count), batch_of(b, batch, count));
  Dims out = batch;
  out.push_back(a.sizes()[a.dim() - 2]);
  out.push_back(b.sizes().back());
  return product(y.sizes() == out ? y : view(y, out), "UnsafeViewBackward0");
}

Tensor linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  EG_CHECK(weight.dim() == 2 || weight.dim() == 1, "[linear] weight must be a matrix, got shape ",
           IntSpan(weight.sizes()));
  check_operands("linear", x, weight);
  if (weight.dim() == 1) {
    const Tensor y = matmul(x, weight);
    return bias ? add(y, *bias) : y;
  }
  EG_CHECK(
      x.dim() >= 1 && x.sizes().back() == weight.sizes()[1],
      "[linear] mat1 and mat2 shapes cannot be multiplied: the input's last dimension must be ",
      weight.sizes()[1], " (in_features), got an input of shape ", IntSpan(x.sizes()),
      " and a weight of shape ", IntSpan(weight.sizes()));
  Dims out(x.sizes().begin(), x.sizes().end() - 1);
  int64_t rows = 1;
  for (int64_t s : out) rows *= s;
  out.push_back(weight.sizes()[0]);
  if (bias)
    EG_CHECK(is_expandable_to(bias->sizes(), {x.dim() == 2 ? rows : 1, out.back()}) &&
                 bias->dtype() == x.dtype(),
             "[linear] bias must be of shape [", out.back(), "] and dtype ", x.dtype(), ", got ",
             IntSpan(bias->sizes()), " ", bias->dtype());
  const bool in_kernel = bias && bias->dim() < 2;
  const Tensor rows_of_x = x.dim() == 2 ? x : reshape(x, {rows, x.sizes().back()});
  Tensor y = apply(Linear{in_kernel}, rows_of_x, weight, in_kernel ? *bias : Tensor());
  if (bias && !in_kernel) y = named(add(y, *bias), "AddmmBackward0");
  if (x.dim() == 2) return y;
  y = view(y, out);
  return bias ? y : product(y, x.dim() == 1 ? "SqueezeBackward4" : "UnsafeViewBackward0");
}

namespace {

EG_OP(&matmul, "matmul(input, other)",
      "Matrix product by NumPy's rules: vectors, matrices, batches.", kOut)
EG_OP(&mm, "mm(input, mat2)", "Product of two matrices.", kOut)
EG_OP(&bmm, "bmm(input, mat2)", "Products of two batches of matrices.", kOut)
EG_OP(&linear, "linear(input, weight, bias=None)", "input @ weight.T + bias.", kInternal | kOut)

Tensor mv(const Tensor& a, const Tensor& v) {
  EG_CHECK(a.dim() == 2 && v.dim() == 1 && a.sizes()[1] == v.sizes()[0],
           "[mv] size mismatch: expected a matrix and a vector that fit, got shapes ",
           IntSpan(a.sizes()), " and ", IntSpan(v.sizes()));
  return matmul(a, v);
}
EG_OP(&mv, "mv(input, vec)", "Matrix times vector.", kOut)

Tensor dot(const Tensor& a, const Tensor& b) {
  EG_CHECK(a.dim() == 1 && b.dim() == 1, "[dot] 1D tensors expected, but got ", a.dim(), "D and ",
           b.dim(), "D tensors");
  EG_CHECK(a.sizes() == b.sizes(), "[dot] inconsistent tensor size, expected tensor ",
           IntSpan(a.sizes()), " and src ", IntSpan(b.sizes()),
           " to have the same number of elements");
  return matmul(a, b);
}
EG_OP(&dot, "dot(input, tensor)", "Inner product of two vectors.", kOut)
EG_OP(&dot, "vdot(input, other)", "Inner product of two vectors.", kOut)

Tensor outer(const Tensor& a, const Tensor& b) {
  EG_CHECK(a.dim() == 1 && b.dim() == 1, "[outer] expected two 1-D tensors, got shapes ",
           IntSpan(a.sizes()), " and ", IntSpan(b.sizes()));
  return mul(unsqueeze(a, 1), unsqueeze(b, 0));
}
EG_OP(&outer, "outer(input, vec2)", "All products of two vectors' elements.", kOutCasts)
EG_OP(&outer, "ger(input, vec2)", "All products of two vectors' elements.", kOutCasts)

Tensor inner(const Tensor& a, const Tensor& b) {
  if (a.dim() == 0 || b.dim() == 0) return mul(a, b);
  EG_CHECK(a.sizes().back() == b.sizes().back(),
           "[inner] the last dimension must match on both input tensors but got shapes ",
           IntSpan(a.sizes()), " and ", IntSpan(b.sizes()));
  Dims out(a.sizes().begin(), a.sizes().end() - 1), columns(b.sizes().begin(), b.sizes().end() - 1);
  const int64_t k = a.sizes().back();
  const Tensor fa = reshape(a, {checked_numel(out), k}),
               fb = reshape(b, {checked_numel(columns), k});
  out.append(columns.begin(), columns.end());
  return reshape(mm(fa, transpose(fb, 0, 1)), out);
}
EG_OP(&inner, "inner(input, other)", "Inner products along the last dimensions.", kOut)

// A factor of whole numbers is one of them.
Tensor factor(const Scalar& s, DType t) {
  if (t == DType::Bool) return Tensor(Scalar(s.to_bool()));
  return is_floating(t) ? Tensor(s) : Tensor(Scalar(s.to_int()));
}
// beta input + alpha product. beta = 0 ignores input, NaN and all; its gradient is then 0.
Tensor combined(const Tensor& input, const Tensor& product, const Scalar& beta,
                const Scalar& alpha) {
  EG_CHECK(is_expandable_to(input.sizes(), product.sizes()), "expand: input of shape ",
           IntSpan(input.sizes()), " does not broadcast to the product's shape ",
           IntSpan(product.sizes()));
  const DType t = product.dtype();
  const Tensor p = alpha.to_double() == 1 ? product : mul(product, factor(alpha, t));
  if (beta.to_double() == 0) {
    if (!grad_enabled() || !input.requires_grad()) return p;
    return add(where(full({}, Scalar(false), DType::Bool), input, Tensor(0)), p);
  }
  return add(beta.to_double() == 1 ? input : mul(input, factor(beta, t)), p);
}
Tensor combine(const char* title, const Tensor& input, const Tensor& product, const Scalar& beta,
               const Scalar& alpha) {
  return named(combined(input, product, beta, alpha), title);
}
EG_OP(
    +[](const Tensor& input, const Tensor& mat1, const Tensor& mat2, Scalar beta, Scalar alpha) {
      return combine("AddmmBackward0", input, mm(mat1, mat2), beta, alpha);
    },
    "addmm(input, mat1, mat2, *, beta=1, alpha=1)", "beta * input + alpha * mat1 @ mat2",
    kInplace | kOut)
EG_OP(
    +[](const Tensor& input, const Tensor& mat, const Tensor& vec, Scalar beta, Scalar alpha) {
      return combine("AddmvBackward0", input, mv(mat, vec), beta, alpha);
    },
    "addmv(input, mat, vec, *, beta=1, alpha=1)", "beta * input + alpha * mat @ vec",
    kInplace | kOut)
EG_OP(
    +[](const Tensor& input, const Tensor& vec1, const Tensor& vec2, Scalar beta, Scalar alpha) {
      const bool recorded =
          grad_enabled() && (input.requires_grad() || vec1.requires_grad() || vec2.requires_grad());
      if (!recorded && beta.to_double() == 1 && input.is_floating() &&
          input.dtype() == vec1.dtype() && input.dtype() == vec2.dtype() && vec1.dim() == 1 &&
          vec2.dim() == 1 && input.sizes() == Dims{vec1.numel(), vec2.numel()})
        return addcmul(input, unsqueeze(vec1, 1), unsqueeze(vec2, 0), alpha.to_double());
      return combine("AddrBackward0", input, outer(vec1, vec2), beta, alpha);
    },
    "addr(input, vec1, vec2, *, beta=1, alpha=1)", "beta * input + alpha * outer(vec1, vec2)",
    kInplace | kOutCasts)
EG_OP(
    +[](const Tensor& input, const Tensor& batch1, const Tensor& batch2, Scalar beta,
        Scalar alpha) {
      return combine("BaddbmmBackward0", input, bmm(batch1, batch2), beta, alpha);
    },
    "baddbmm(input, batch1, batch2, *, beta=1, alpha=1)",
    "beta * input + alpha * batch1 @ batch2, matrix by matrix", kInplace | kOut)
EG_OP(
    +[](const Tensor& input, const Tensor& batch1, const Tensor& batch2, Scalar beta,
        Scalar alpha) {
      return combine("AddbmmBackward0", input, sum(bmm(batch1, batch2), {0}, false, batch1.dtype()),
                     beta, alpha);
    },
    "addbmm(input, batch1, batch2, *, beta=1, alpha=1)",
    "beta * input + alpha * the sum of the products", kInplace | kOut)

}  // namespace
}  // namespace eg
