// Solves, factorisations and products of matrices on any device with their gradients, which are made of recorded ops. Formulas: M. Giles,
// "An extended collection of matrix derivative results" (2008).
#include "ops/linalg.h"

#include "kernels/small.h"
#include "ops/matrices.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {

TensorList (*factorized_elsewhere)(const char*, const TensorList&, bool, bool) = nullptr;

namespace {

Tensor turned(const Tensor& t) { return transpose(t, -2, -1); }
Tensor minus_product(const Tensor& a, const Tensor& b) { return neg(matmul(a, b)); }

// Both, expanded to the batch that they have together.
std::pair<Tensor, Tensor> of_one_batch(const Tensor& a, const Tensor& b) {
  const Dims of_a = batch_of(a), of_b = batch_of(b);
  if (of_a == of_b) return {a, b};
  const auto expanded = [batch = broadcast_shapes(of_a, of_b)](const Tensor& t) {
    Dims sizes = batch;
    sizes.push_back(t.size(-2));
    sizes.push_back(t.size(-1));
    return expand(t, sizes);
  };
  return {expanded(a), expanded(b)};
}

bool on_host(const Tensor& t) { return EG_LIKELY(t.device().is_cpu()); }

std::tuple<Tensor, Tensor> with_info(const TensorList& made) { return {made[0], made[1]}; }

// ---- triangles -----------------------------------------------------------------------------------------------------------

// The X of T X = B with a triangle T of A; infinities and NaN where its diagonal has zeros.
struct SolveTriangular {
  static constexpr const char* name = "LinalgSolveTriangular";
  bool upper, unit;
  Tensor forward(Context& ctx, const Tensor& a, const Tensor& b) {
    const Tensor x = value(a, b);
    ctx.save(a);
    ctx.save(x);
    return x;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor a = ctx.saved(0);
    const Tensor gb = apply(SolveTriangular{!upper, unit}, turned(a), g);
    if (!ctx.needs(0)) return {Tensor(), gb};
    const Tensor ga = minus_product(gb, turned(ctx.saved(1)));
    return {upper ? triu(ga, unit ? 1 : 0) : tril(ga, unit ? -1 : 0), gb};
  }

 private:
  Tensor value(const Tensor& a, const Tensor& b) const {
    if (!on_host(a)) return factorized_elsewhere("linalg_solve_triangular", {a, b}, upper, unit)[0];
    const auto [left, right] = of_one_batch(a, b);
    return host::solve_triangular(left, right, upper, unit);
  }
};
Tensor solve_triangle(const Tensor& a, const Tensor& b, bool upper, bool unit = false) {
  return apply(SolveTriangular{upper, unit}, a, b);
}

Tensor solve_triangular(const Tensor& a, const Tensor& b, bool upper, bool left, bool unit) {
  constexpr const char* op = "linalg.solve_triangular";
  check_matrices(op, a, Wanted::Squares);
  check_matrices(op, b, Wanted::Matrices);
  if (!left)
    return turned(
        contiguous(turned(turned(solve_triangular(turned(a), turned(b), !upper, true, unit)))));
  EG_CHECK(b.size(-2) == a.size(-1), "[", op, "] Incompatible shapes of A and B (", a.sizes(),
           " and ", b.sizes(), ")");
  return solve_triangle(a, b, upper, unit);
}

// ---- Cholesky ------------------------------------------------------------------------------------------------------------

struct Cholesky {
  static constexpr const char* name = "LinalgCholeskyEx";
  std::tuple<Tensor, Tensor> forward(Context& ctx, const Tensor& a) {
    auto made = on_host(a)
                    ? host::cholesky(a)
                    : with_info(factorized_elsewhere("linalg_cholesky_ex", {a}, false, false));
    ctx.save(std::get<0>(made));
    return made;
  }
  Tensors backward(Context& ctx, const Tensors& g) {
    if (!g[0].defined()) return {Tensor()};
    const Tensor l = ctx.saved(0), lt = turned(l), m = matmul(lt, g[0]);
    const Tensor half = mul(add(tril(m, 0), tril(m, -1)), Tensor(Scalar(0.5)));
    const Tensor s = turned(solve_triangle(lt, turned(solve_triangle(lt, half, true)), true));
    return {mul(add(s, turned(s)), Tensor(Scalar(0.5)))};
  }
};

// U, the transpose of L, from the upper triangle.
std::tuple<Tensor, Tensor> cholesky_ex(const Tensor& a, bool upper) {
  check_matrices("linalg.cholesky", a, Wanted::Squares);
  auto made = apply(Cholesky{}, upper ? turned(a) : a);
  Tensor& l = std::get<0>(made);
  if (upper) l = turned(contiguous(l));
  return made;
}

// The X of A X = B by the factor L of A = L L^T, or U of A = U^T U; the gradient of the factor is not cut to its triangle.
struct CholeskySolve {
  static constexpr const char* name = "CholeskySolve";
  bool upper;
  Tensor forward(Context& ctx, const Tensor& b, const Tensor& factor) {
    const Tensor lower = upper ? turned(factor) : factor;
    const Tensor x = solve_triangle(turned(lower), solve_triangle(lower, b, false), true);
    ctx.save(factor);
    ctx.save(x);
    return x;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor factor = ctx.saved(0), gb = apply(CholeskySolve{upper}, g, factor);
    if (!ctx.needs(1)) return {gb, Tensor()};
    const Tensor product = matmul(gb, turned(ctx.saved(1))), both = add(product, turned(product));
    return {gb, upper ? minus_product(factor, both) : minus_product(both, factor)};
  }
};

Tensor cholesky_solve(const Tensor& b, const Tensor& factor, bool upper) {
  check_matrices("cholesky_solve", factor, Wanted::Squares);
  check_matrices("cholesky_solve", b, Wanted::Matrices);
  EG_CHECK(b.size(-2) == factor.size(-1), "[cholesky_solve] Incompatible shapes of A and B (",
           factor.sizes(), " and ", b.sizes(), ")");
  return apply(CholeskySolve{upper}, b, factor);
}

// ---- any square matrices -------------------------------------------------------------------------------------------------

struct Inverse {
  static constexpr const char* name = "LinalgInvEx";
  std::tuple<Tensor, Tensor> forward(Context& ctx, const Tensor& a) {
    auto made = on_host(a) ? host::solve(a, std::nullopt)
                           : with_info(factorized_elsewhere("linalg_inv_ex", {a}, false, false));
    ctx.save(std::get<0>(made));
    return made;
  }
  Tensors backward(Context& ctx, const Tensors& g) {
    if (!g[0].defined()) return {Tensor()};
    const Tensor yt = turned(ctx.saved(0));
    return {minus_product(matmul(yt, g[0]), yt)};
  }
};
std::tuple<Tensor, Tensor> inv_ex(const Tensor& a) {
  check_matrices("linalg.inv", a, Wanted::Squares);
  return apply(Inverse{}, a);
}

struct Solve {
  static constexpr const char* name = "LinalgSolveEx";
  std::tuple<Tensor, Tensor> forward(Context& ctx, const Tensor& a, const Tensor& b) {
    auto made = value(a, b);
    ctx.save(a);
    ctx.save(std::get<0>(made));
    return made;
  }
  Tensors backward(Context& ctx, const Tensors& g) {
    if (!g[0].defined()) return {Tensor(), Tensor()};
    const Tensor gb = std::get<0>(apply(Solve{}, turned(ctx.saved(0)), g[0]));
    if (!ctx.needs(0)) return {Tensor(), gb};
    return {minus_product(gb, turned(ctx.saved(1))), gb};
  }

 private:
  static std::tuple<Tensor, Tensor> value(const Tensor& a, const Tensor& b) {
    if (!on_host(a))
      return with_info(factorized_elsewhere("linalg_solve_ex", {a, b}, false, false));
    const auto [left, right] = of_one_batch(a, b);
    return host::solve(left, right);
  }
};
std::tuple<Tensor, Tensor> solve_ex(const Tensor& a, const Tensor& b) {
  constexpr const char* op = "linalg.solve";
  check_matrices(op, a, Wanted::Squares);
  check_matrices(op, b, Wanted::Matrices);
  EG_CHECK(b.size(-2) == a.size(-1), "[", op,
           "] Incompatible shapes of A and B for the equation AX = B (", a.sizes(), " and ",
           b.sizes(), ")");
  return apply(Solve{}, a, b);
}

// ---- LU ------------------------------------------------------------------------------------------------------------------

// With P^T A = L U and L, U cut to k = min(m, n) columns and rows, of which L1 and U1 are the squares:
//     M = tril(L1^T gL1 - gU2 U2^T, -1) + triu(gU1 U1^T - L2^T gL2)
//     P^T gA = L1^-T M U1^-T, beside it L1^-T gU2, or below it gL2 U1^-T
// where L2 are the rows of L below L1, U2 the columns of U beyond U1.
struct LuFactor {
  static constexpr const char* name = "LinalgLuFactorEx";
  std::tuple<Tensor, Tensor, Tensor> forward(Context& ctx, const Tensor& a) {
    auto made = value(a);
    ctx.save(std::get<0>(made));
    ctx.save(std::get<1>(made));
    return made;
  }
  Tensors backward(Context& ctx, const Tensors& grads) {
    if (!grads[0].defined()) return {Tensor()};
    const Tensor lu = ctx.saved(0), pivots = ctx.saved(1), g = grads[0];
    const int64_t m = lu.size(-2), n = lu.size(-1), k = std::min(m, n);
    const auto rows = [](const Tensor& t, int64_t from, int64_t count) {
      return narrow(t, -2, from, count);
    };
    const auto columns = [](const Tensor& t, int64_t from, int64_t count) {
      return narrow(t, -1, from, count);
    };
    const Tensor square = columns(rows(lu, 0, k), 0, k),
                 gl = tril(columns(rows(g, 0, k), 0, k), -1);
    const Tensor u = triu(rows(lu, 0, k), 0), gu = triu(rows(g, 0, k), 0);
    Tensor from_l = add(gl, matmul(turned(tril(square, -1)), gl));
    Tensor from_u = matmul(columns(gu, 0, k), turned(columns(u, 0, k)));
    if (n > k) from_l = sub(from_l, matmul(columns(gu, k, n - k), turned(columns(u, k, n - k))));
    if (m > k) from_u = sub(from_u, matmul(turned(rows(lu, k, m - k)), rows(g, k, m - k)));
    const auto over_u = [&](const Tensor& x) {  // x U1^-T
      return turned(solve_triangle(square, turned(x), true));
    };
    const auto under_l = [&](const Tensor& x) {  // L1^-T x
      return solve_triangle(turned(square), x, true, true);
    };
    Tensor ga = under_l(over_u(add(tril(from_l, -1), triu(from_u, 0))));
    if (m > k) ga = cat({ga, over_u(rows(g, k, m - k))}, -2);
    if (n > k) ga = cat({ga, under_l(columns(gu, k, n - k))}, -1);
    const Tensor order = to(host::lu_inverse_order(to(pivots, Device{}), m), lu.device());
    return {gather(ga, -2, expand(unsqueeze(order, -1), ga.sizes()))};
  }

 private:
  static std::tuple<Tensor, Tensor, Tensor> value(const Tensor& a) {
    if (on_host(a)) return host::lu_factor(a);
    const TensorList made = factorized_elsewhere("linalg_lu_factor_ex", {a}, false, false);
    return {made[0], made[1], made[2]};
  }
};
std::tuple<Tensor, Tensor, Tensor> lu_factor_ex(const Tensor& a) {
  check_matrices("linalg.lu_factor", a, Wanted::Matrices);
  return apply(LuFactor{}, a);
}

// ---- QR ------------------------------------------------------------------------------------------------------------------

// S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions with application in optimum experimental
// design" (2010).
struct Qr {
  static constexpr const char* name = "LinalgQr";
  bool complete;
  std::tuple<Tensor, Tensor> forward(Context& ctx, const Tensor& a) {
    auto made = on_host(a) ? host::qr(a, complete, true)
                           : with_info(factorized_elsewhere("qr", {a}, complete, false));
    ctx.save(std::get<0>(made));
    ctx.save(std::get<1>(made));
    return made;
  }
  Tensors backward(Context& ctx, const Tensors& grads) {
    const Tensor q = ctx.saved(0), r = ctx.saved(1);
    const int64_t m = q.size(-2), n = r.size(-1);
    EG_CHECK(!complete || m <= n,
             "[linalg.qr] The QR decomposition is not differentiable when mode='complete' and "
             "nrows > ncols");
    const Tensor gq = grads[0].defined() ? grads[0] : zeros_like(q);
    const Tensor gr = grads[1].defined() ? grads[1] : zeros_like(r);
    if (m >= n) return {of_square(q, r, gq, gr)};
    // A = (X, Y): Q, U = qr(X), V = Q^T Y.
    const Tensor v = narrow(r, -1, m, n - m), gv = narrow(gr, -1, m, n - m);
    const Tensor of_x = add(gq, matmul(matmul(q, v), turned(gv)));
    const Tensor gx = of_square(q, narrow(r, -1, 0, m), of_x, narrow(gr, -1, 0, m));
    return {cat({gx, matmul(q, gv)}, -1)};
  }

 private:
  static Tensor of_square(const Tensor& q, const Tensor& r, const Tensor& gq, const Tensor& gr) {
    const Tensor m = sub(matmul(r, turned(gr)), matmul(turned(gq), q));
    const Tensor copied = add(tril(m, 0), turned(tril(m, -1)));
    return turned(solve_triangle(r, turned(add(gq, matmul(q, copied))), true));
  }
};
std::tuple<Tensor, Tensor> qr(const Tensor& a, bool complete) {
  check_matrices("linalg.qr", a, Wanted::Matrices);
  return apply(Qr{complete}, a);
}

// ---- products ------------------------------------------------------------------------------------------------------------

struct Cross {
  static constexpr const char* name = "LinalgCross";
  int64_t dim;
  Tensor forward(Context& ctx, const Tensor& a, const Tensor& b) {
    ctx.save(a);
    ctx.save(b);
    return a.dtype() == b.dtype() && on_host(a) && is_full(a.dtype()) ? by_kernel(a, b)
                                                                      : by_parts(a, b);
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor none;
    return {ctx.needs(0) ? apply(Cross{dim}, ctx.saved(1), g) : none,
            ctx.needs(1) ? apply(Cross{dim}, g, ctx.saved(0)) : none};
  }

 private:
  Tensor by_kernel(const Tensor& a, const Tensor& b) const {
    const Tensor x = contiguous(a), y = contiguous(b), z = empty(a.sizes(), a.dtype());
    int64_t outer = 1, inner = 1;
    for (int64_t d = 0; d < a.dim(); ++d) (d < dim ? outer : inner) *= d == dim ? 1 : a.size(d);
    host_kernels<SmallKernels>().cross[float_index(a.dtype())](x.raw(), y.raw(), outer, inner,
                                                               z.raw());
    return z;
  }
  Tensor by_parts(const Tensor& a, const Tensor& b) const {
    const TensorList x = unbind(a, dim), y = unbind(b, dim);
    TensorList parts;
    for (size_t i = 0; i < 3; ++i) {
      const size_t j = (i + 1) % 3, k = (i + 2) % 3;
      parts.push_back(sub(mul(x[j], y[k]), mul(x[k], y[j])));
    }
    return stack(parts, dim);
  }
};
// Along the first dimension of three, if none is given.
Tensor cross(const Tensor& a, const Tensor& b, std::optional<int64_t> dim) {
  const Dims sizes = a.sizes() == b.sizes() ? a.sizes() : broadcast_shapes(a.sizes(), b.sizes());
  const int64_t n = int64_t(sizes.size());
  int64_t d = 0;
  if (dim) {
    d = wrap_dim(*dim, n);
  } else {
    while (d < n && sizes[size_t(d)] != 3) ++d;
    EG_CHECK(d < n, "[cross] no dimension of size 3 in input");
  }
  const auto length = [&](const Tensor& t) { return t.dim() > n - 1 - d ? t.size(d - n) : 1; };
  EG_CHECK(n > 0 && length(a) == 3 && length(b) == 3, "[linalg.cross] inputs dimension ",
           dim.value_or(d), " must have length 3. Got ", n ? length(a) : 0, " and ",
           n ? length(b) : 0);
  const auto expanded = [&](const Tensor& t) { return t.sizes() == sizes ? t : expand(t, sizes); };
  return apply(Cross{d}, expanded(a), expanded(b));
}

// The cheapest order of a chain of matrices: how many multiplications each stretch takes, and where it is split.
class Chain {
 public:
  explicit Chain(const TensorList& items) : items_(items), n_(items.size()) {
    cost_.resize(n_ * n_);
    split_.resize(n_ * n_);
    for (size_t length = 1; length < n_; ++length)
      for (size_t i = 0; i + length < n_; ++i) find(i, i + length);
  }
  Tensor product(size_t i, size_t j) const {
    if (i == j) return items_[i];
    const size_t k = split_[i * n_ + j];
    return matmul(product(i, k), product(k + 1, j));
  }

 private:
  void find(size_t i, size_t j) {
    for (size_t k = i; k < j; ++k) {
      const double own =
          double(items_[i].size(0)) * double(items_[k].size(1)) * double(items_[j].size(1));
      const double all = cost_[i * n_ + k] + cost_[(k + 1) * n_ + j] + own;
      if (k > i && all >= cost_[i * n_ + j]) continue;
      cost_[i * n_ + j] = all;
      split_[i * n_ + j] = k;
    }
  }

  const TensorList& items_;
  size_t n_;
  std::vector<double> cost_;
  std::vector<size_t> split_;
};

Tensor multi_dot(const TensorList& tensors) {
  const size_t n = tensors.size();
  EG_CHECK(n >= 2, "[multi_dot] expected at least 2 tensors but got ", n);
  TensorList items = tensors;
  for (size_t i = 0; i < n; ++i) {
    const bool outer = i == 0 || i == n - 1;
    const int64_t dims = items[i].dim();
    EG_CHECK(dims == 2 || (outer && dims == 1), "[multi_dot] tensor ", i, " must be ",
             outer ? "1D or 2D" : "2D", " but got ", dims, "D");
    EG_CHECK_KIND(NotImplemented, items[i].dtype() != DType::Bool,
                  "[multi_dot] is not implemented for bool");
  }
  const bool first = items[0].dim() == 1, last = items[n - 1].dim() == 1;
  if (first) items[0] = unsqueeze(items[0], 0);
  if (last) items[n - 1] = unsqueeze(items[n - 1], 1);
  Tensor result = Chain(items).product(0, n - 1);
  if (first) result = squeeze(result, {0});
  return last ? squeeze(result, {-1}) : result;
}

void check(const Tensor& a, const std::string& op, int64_t wanted) {
  check_matrices(op.c_str(), a, Wanted(wanted));
}

EG_OP(&check, "_check_matrices(A, op, wanted)",
      "Refuses other dtypes than float32 and float64, what is no matrices (1) and no square ones "
      "(2).",
      kInternal)
EG_OP(&cross, "_cross(input, other, dim=None)", "Cross products along a dimension.", kInternal)
EG_OP(&multi_dot, "linalg_multi_dot(tensors)",
      "The product of a chain of matrices in the cheapest order.", kInternal)
EG_OP(&cholesky_ex, "linalg_cholesky_ex(A, upper=False) -> (L, info)",
      "L of A = L L^T or U of A = U^T U, and from 1 the first leading part that is not positive "
      "definite, or 0.",
      kInternal)
EG_OP(&cholesky_solve, "cholesky_solve(B, L, upper=False)",
      "The X of A X = B by the Cholesky factor of A.", kInternal)
EG_OP(&lu_factor_ex, "linalg_lu_factor_ex(A) -> (LU, pivots, info)",
      "LU, pivots from 1, and from 1 where the first zero pivot is, or 0.", kInternal)
EG_OP(&qr, "linalg_qr(A, complete=False) -> (Q, R)", "Q and R with A = Q R.", kInternal)
EG_OP(&inv_ex, "linalg_inv_ex(A) -> (inverse, info)",
      "The inverse, and from 1 where the first zero pivot of A is, or 0.", kInternal)
EG_OP(&solve_ex, "linalg_solve_ex(A, B) -> (result, info)",
      "The X of A X = B, and from 1 where the first zero pivot of A is, or 0.", kInternal)
EG_OP(&solve_triangular, "linalg_solve_triangular(A, B, upper, left=True, unitriangular=False)",
      "The X of T X = B or X T = B with a triangle T of A.", kInternal)

}  // namespace
}  // namespace eg
