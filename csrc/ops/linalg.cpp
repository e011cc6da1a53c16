// Solves and factorisations of matrices on any device with their gradients, which are made of recorded ops. Formulas: M. Giles,
// "An extended collection of matrix derivative results" (2008).
#include "ops/linalg.h"

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
    if (!on_host(a)) return factorized_elsewhere("solve_triangular", {a, b}, upper, unit)[0];
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
    auto made = on_host(a) ? host::cholesky(a)
                           : with_info(factorized_elsewhere("cholesky", {a}, false, false));
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
                           : with_info(factorized_elsewhere("inv", {a}, false, false));
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
    if (!on_host(a)) return with_info(factorized_elsewhere("solve", {a, b}, false, false));
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

void check(const Tensor& a, const std::string& op, int64_t wanted) {
  check_matrices(op.c_str(), a, Wanted(wanted));
}

EG_OP(&check, "_check_matrices(A, op, wanted)",
      "Refuses other dtypes than float32 and float64, what is no matrices (1) and no square ones "
      "(2).",
      kInternal)
EG_OP(&cholesky_ex, "linalg_cholesky_ex(A, upper=False) -> (L, info)",
      "L of A = L L^T or U of A = U^T U, and from 1 the first leading part that is not positive "
      "definite, or 0.",
      kInternal)
EG_OP(&cholesky_solve, "cholesky_solve(B, L, upper=False)",
      "The X of A X = B by the Cholesky factor of A.", kInternal)
EG_OP(&inv_ex, "linalg_inv_ex(A) -> (inverse, info)",
      "The inverse, and from 1 where the first zero pivot of A is, or 0.", kInternal)
EG_OP(&solve_ex, "linalg_solve_ex(A, B) -> (result, info)",
      "The X of A X = B, and from 1 where the first zero pivot of A is, or 0.", kInternal)
EG_OP(&solve_triangular, "linalg_solve_triangular(A, B, upper, left=True, unitriangular=False)",
      "The X of T X = B or X T = B with a triangle T of A.", kInternal)

}  // namespace
}  // namespace eg
