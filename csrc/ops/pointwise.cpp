// Python names of the table's ops, and the pointwise functions made of them.
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/creation.h"
#include "ops/ops.h"
#include "ops/registry.h"
#include "ops/row_sparse.h"
#include "tape/function.h"

namespace eg {

namespace {

// x^0.5 and 1/x by their own kernels, but saving x as other powers do: programs go on writing into the result.
struct PowHalf {
  static constexpr const char* name = "Pow";
  Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return sqrt(x);
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {mul(g, mul(rsqrt(ctx.saved(0)), Tensor(Scalar(0.5))))};
  }
};

struct PowMinusOne {
  static constexpr const char* name = "Pow";
  Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return reciprocal(x);
  }
  Tensors backward(Context& ctx, const Tensor& g) { return {neg(div(g, square(ctx.saved(0))))}; }
};

}  // namespace

Tensor power(const Tensor& x, const Tensor& y) {
  if (y.is_weak() && !x.is_weak()) {
    const double e = y.item().to_double();
    if (is_floating(y.dtype()) && !is_floating(x.dtype())) return power(to(x, default_dtype()), y);
    if (x.dtype() == DType::Bool && y.dtype() == DType::Bool) return e ? clone(x) : ones_like(x);
    if (e == 2) return square(x.dtype() == DType::Bool ? to(x, DType::Int64) : x);
    if (is_floating(x.dtype())) {
      if (e == 1) return named(mul(x, y), "PowBackward0");
      if (e == 0.5) return apply(PowHalf{}, x);
      if (e == -1) return apply(PowMinusOne{}, x);
      if (e == 3) return named(unary(Unary::cube, x), "PowBackward0");
      if (e == -2) return named(unary(Unary::inverse_square, x), "PowBackward0");
      if (e == -0.5) return named(unary(Unary::inverse_root, x), "PowBackward0");
    } else if (y.dtype() == DType::Int64) {
      EG_CHECK(e >= 0, "[pow] Integers to negative integer powers are not allowed.");
    }
  }
  return pow(x, y);
}

namespace {

constexpr uint32_t kPublic = kInplace | kOutCasts;
constexpr uint32_t kExact = kInplace | kOut;
constexpr uint32_t kHidden = kInplace | kOutCasts | kInternal;
constexpr uint32_t Public = kPublic;
constexpr uint32_t Brief = kPublic;
constexpr uint32_t Internal = kHidden;

constexpr uint32_t kCasts = kOutCasts & ~kOut;
// Functions that keep the dtype, and those with attributes, write to out= of that very dtype, as PyTorch's do.
constexpr uint32_t unary_flags(uint32_t flags, Domain domain, int attributes, Unary op) {
  const bool casts = attributes == 0 && op != Unary::frac &&
                     (domain == Domain::Float || op == Unary::logical_not || op == Unary::square);
  return casts ? flags : flags & ~kCasts;
}

constexpr uint32_t binary_flags(uint32_t flags, Binary op) {
  return op == Binary::heaviside ? flags & ~kCasts : flags;
}

// Where a Python number may stand for a tensor.
enum class Numbers { Nowhere, Second, OneOfTwo, Anywhere };
constexpr Numbers numbers(Binary op) {
  switch (op) {
    case Binary::add:
    case Binary::div:
    case Binary::floor_divide:
    case Binary::mul:
    case Binary::sub:
      return Numbers::Anywhere;
    case Binary::bitwise_and:
    case Binary::bitwise_left_shift:
    case Binary::bitwise_or:
    case Binary::bitwise_right_shift:
    case Binary::bitwise_xor:
    case Binary::pow:
    case Binary::remainder:
    case Binary::xlog1py:
    case Binary::xlogy:
    case Binary::zeta:
      return Numbers::OneOfTwo;
    case Binary::copysign:
    case Binary::eq:
    case Binary::fmod:
    case Binary::ge:
    case Binary::gt:
    case Binary::le:
    case Binary::lt:
    case Binary::ne:
      return Numbers::Second;
    default:
      return Numbers::Nowhere;
  }
}
void check_operands(const char* name, Numbers where, const Tensor& a, const Tensor& b) {
  if (EG_LIKELY(!a.is_weak() && !b.is_weak())) return;
  const bool fits = where == Numbers::Second     ? !a.is_weak()
                    : where == Numbers::OneOfTwo ? !(a.is_weak() && b.is_weak())
                                                 : where == Numbers::Anywhere;
  EG_CHECK_TYPE(fits, "[", name, "] expected ",
                where == Numbers::OneOfTwo ? "at least one Tensor"
                : a.is_weak()              ? "a Tensor as argument 'input'"
                                           : "a Tensor as argument 'other'",
                ", got a number");
}

// The documentation shows what the table's lines say, not what NAN stands for.
#undef NAN
// Table ops write in place without a temporary.
#define EG_REGISTER_0(NAME, FLAGS, P0, D0, P1, D1, Y, GX)                              \
  EG_OP(                                                                               \
      +[](const Tensor& input) { return unary(Unary::NAME, input); }, #NAME "(input)", \
      "y = " #Y "\n\ndL/dx = " #GX, (FLAGS) & ~kInplace)                               \
  EG_OP(                                                                               \
      +[](const Tensor& input) {                                                       \
        unary_(Unary::NAME, input);                                                    \
        return input;                                                                  \
      },                                                                               \
      #NAME "_(input)", "In-place version of " #NAME ".", ((FLAGS) & kInternal) | kMethodOnly)
#define EG_REGISTER_1(NAME, FLAGS, P0, D0, P1, D1, Y, GX)                                 \
  EG_OP(                                                                                  \
      +[](const Tensor& input, double P0) { return eg::NAME(input, P0); },                \
      #NAME "(input, " #P0 "=" D0 ")", "y = " #Y "\n\ndL/dx = " #GX, (FLAGS) & ~kInplace) \
  EG_OP(                                                                                  \
      +[](const Tensor& input, double P0) {                                               \
        unary_(Unary::NAME, input, std::array<double, 3>{P0}.data());                     \
        return input;                                                                     \
      },                                                                                  \
      #NAME "_(input, " #P0 "=" D0 ")", "In-place version of " #NAME ".",                 \
      ((FLAGS) & kInternal) | kMethodOnly)
#define EG_REGISTER_2(NAME, FLAGS, P0, D0, P1, D1, Y, GX)                                 \
  EG_OP(                                                                                  \
      +[](const Tensor& input, double P0, double P1) { return eg::NAME(input, P0, P1); }, \
      #NAME "(input, " #P0 "=" D0 ", " #P1 "=" D1 ")", "y = " #Y "\n\ndL/dx = " #GX,      \
      (FLAGS) & ~kInplace)                                                                \
  EG_OP(                                                                                  \
      +[](const Tensor& input, double P0, double P1) {                                    \
        unary_(Unary::NAME, input, std::array<double, 3>{P0, P1}.data());                 \
        return input;                                                                     \
      },                                                                                  \
      #NAME "_(input, " #P0 "=" D0 ", " #P1 "=" D1 ")", "In-place version of " #NAME ".", \
      ((FLAGS) & kInternal) | kMethodOnly)
#define EG_REGISTER_3(...)  // nan_to_num: below
#define EG_UNARY(NAME, DOMAIN, FLAGS, COUNT, P0, D0, P1, D1, P2, D2, Y, GX) \
  EG_REGISTER_##COUNT(NAME, unary_flags(FLAGS, DOMAIN, COUNT, Unary::NAME), P0, D0, P1, D1, Y, GX)
#define EG_PLAIN_BINARY(NAME, FLAGS, Y, GA, GB)                                                   \
  EG_OP(                                                                                          \
      +[](const Operand& input, const Operand& other) {                                           \
        check_operands(#NAME, numbers(Binary::NAME), input, other);                               \
        return Binary::NAME == Binary::pow ? power(input, other)                                  \
                                           : binary(Binary::NAME, input, other);                  \
      },                                                                                          \
      #NAME "(input, other)", "y = " #Y "\n\ndL/da = " #GA "\ndL/db = " #GB, (FLAGS) & ~kInplace) \
  EG_OP(                                                                                          \
      +[](const Tensor& input, const Operand& other) {                                            \
        check_operands(#NAME "_", numbers(Binary::NAME), input, other);                           \
        binary_(Binary::NAME, input, other);                                                      \
        return input;                                                                             \
      },                                                                                          \
      #NAME "_(input, other)", "In-place version of " #NAME ".",                                  \
      ((FLAGS) & kInternal) | kMethodOnly)
#define EG_BINARY(NAME, DOMAIN, FLAGS, Y, GA, GB) \
  EG_PLAIN_BINARY(NAME, binary_flags(FLAGS, Binary::NAME), Y, GA, GB)
#include "ops/elementwise.def"

// --- with attributes that need a rule --------------------------------------------------------------------------

Tensor scaled(const Tensor& other, const Scalar& alpha) {
  const bool one = alpha.is_float() ? alpha.to_double() == 1 : alpha.to_int() == 1;
  if (one) return other;
  EG_CHECK(!alpha.is_float() || other.is_floating() || other.is_weak(),
           "For integral input tensors, argument alpha must not be a floating point number.");
  if (EG_UNLIKELY(may_be_row_sparse(other)))
    if (Tensor rows = scale_rows(other, Tensor(alpha)); rows.defined()) return rows;
  return mul(other, Tensor(alpha));
}
// input += or -= alpha * other; in one pass where floats are not recorded.
void add_scaled_(Binary op, const Tensor& input, const Tensor& other, const Scalar& alpha) {
  const bool recorded = grad_enabled() && (input.requires_grad() || other.requires_grad());
  if (recorded || !input.is_floating() || !other.is_floating() || other.is_weak() ||
      may_be_row_sparse(other))
    return binary_(op, input, scaled(other, alpha));
  const double factor = alpha.to_double();
  ternary_(Ternary::addcmul, input, other, Tensor(1), op == Binary::sub ? -factor : factor);
}
// input + alpha * other in one pass: of floats alike that are not recorded.
bool adds_scaled(const Tensor& input, const Tensor& other) {
  const bool recorded = grad_enabled() && (input.requires_grad() || other.requires_grad());
  return !recorded && !input.is_weak() && !other.is_weak() && input.is_floating() &&
         input.dtype() == other.dtype() && !may_be_row_sparse(input) && !may_be_row_sparse(other);
}
EG_OP(
    +[](const Operand& input, const Operand& other, Scalar alpha) {
      if (adds_scaled(input, other)) return addcmul(input, other, Tensor(1), alpha.to_double());
      return to(add(input, scaled(other, alpha)), result_type(input, other));
    },
    "add(input, other, *, alpha)", "y = input + alpha * other", kPublic & ~kInplace)
Tensor without(const Operand& input, const Operand& other, Scalar alpha) {
  if (adds_scaled(input, other)) return addcmul(input, other, Tensor(1), -alpha.to_double());
  return sub(input, scaled(other, alpha));
}
EG_OP(&without, "sub(input, other, *, alpha)", "y = input - alpha * other", kPublic & ~kInplace)
EG_OP(
    +[](const Operand& input, Scalar alpha, const Operand& other) {  // the old order of arguments
      return add(input, scaled(other, alpha));
    },
    "add(input, alpha, other)", "y = input + alpha * other", kPublic & ~kInplace)
EG_OP(
    +[](const Tensor& input, const Operand& other, Scalar alpha) {
      add_scaled_(Binary::add, input, other, alpha);
      return input;
    },
    "add_(input, other, *, alpha)", "input += alpha * other", kMethodOnly)
EG_OP(
    +[](const Tensor& input, Scalar alpha, const Operand& other) {
      add_scaled_(Binary::add, input, other, alpha);
      return input;
    },
    "add_(input, alpha, other)", "input += alpha * other", kMethodOnly)
Tensor subtract_(const Tensor& input, const Operand& other, Scalar alpha) {
  add_scaled_(Binary::sub, input, other, alpha);
  return input;
}
EG_OP(&subtract_, "sub_(input, other, *, alpha)", "input -= alpha * other", kMethodOnly)
EG_OP(
    +[](const Tensor& input, const Operand& other, Scalar alpha) {
      return without({other}, {input}, alpha);
    },
    "rsub(input, other, *, alpha=1)", "y = other - alpha * input")

Tensor div_rounded(const Tensor& a, const Tensor& b, const std::string& mode) {
  if (mode == "floor") return floor_divide(a, b);
  EG_CHECK(mode == "trunc",
           "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '", mode,
           "'");
  const DType common = result_type(a, b);
  if (is_floating(common)) return named(div_trunc(a, b), "DivBackward1");
  // Whole numbers: exact, towards zero.
  return div_rounded(sub(a, fmod(a, b)), b, "floor");
}
Tensor divided(const Operand& a, const Operand& b, std::optional<std::string> rounding_mode) {
  return rounding_mode ? div_rounded(a, b, *rounding_mode) : div(a, b);
}
EG_OP(&divided, "div(input, other, *, rounding_mode)",
      "Quotient, rounded as 'trunc' or 'floor' say.", kPublic)

// Decimals as powers of ten.
Tensor round_to(const Tensor& x, int64_t decimals) {
  const double scale = std::pow(10.0, std::abs(static_cast<double>(decimals)));
  EG_CHECK_KIND(NotImplemented, x.is_floating(), "[round] decimals of ", x.dtype());
  if (decimals == 0) return round(x);
  return named(round_scaled(x, decimals > 0 ? scale : 1, decimals > 0 ? 1 : scale),
               "RoundBackward1");
}
EG_OP(&round_to, "round(input, *, decimals)", "Rounds half to even.", kExact)

Tensor replace_special(const Tensor& x, std::optional<double> nan, std::optional<double> posinf,
                       std::optional<double> neginf) {
  if (!x.is_floating()) return clone(x);
  return nan_to_num(x, nan.value_or(0), posinf.value_or(largest(x.dtype())),
                    neginf.value_or(-largest(x.dtype())));
}
EG_OP(&replace_special, "nan_to_num(input, nan=None, posinf=None, neginf=None)",
      "Replaces NaN and infinities (by 0 and the largest finite numbers).", kExact)

// --- clamp -------------------------------------------------------------------------------------------------------

// Both bounds, one of them infinite if it is not given.
struct Bounds {
  Tensor low, high;
  Bounds(const std::optional<Operand>& min, const std::optional<Operand>& max)
      : low(min ? min->tensor : Tensor(Scalar(-INFINITY))),
        high(max ? max->tensor : Tensor(Scalar(INFINITY))) {
    EG_CHECK(min || max, "At least one of 'min' or 'max' must not be None");
  }
};
// Whole numbers know no infinity: one bound is a maximum or a minimum. Of floats that would split the gradient at the bound,
// which PyTorch lets through.
bool is_one_sided(const Tensor& x, const std::optional<Operand>& low,
                  const std::optional<Operand>& high) {
  return !(low && high) && !is_floating(result_type(x, low ? low->tensor : high->tensor));
}

Tensor clamp(const Tensor& x, std::optional<Operand> low, std::optional<Operand> high) {
  const Bounds b(low, high);
  const auto tracks = [](const std::optional<Operand>& t) {
    return t && t->tensor.requires_grad();
  };
  const bool recorded = grad_enabled() && (x.requires_grad() || tracks(low) || tracks(high));
  if (is_one_sided(x, low, high) || (!(low && high) && !recorded))
    return low ? maximum(x, b.low) : minimum(x, b.high);
  const Tensor all[] = {x, b.low, b.high};
  const DType t = result_type(all, 3);
  return clamp_tensor(x.dtype() == t ? x : to(x, t), b.low, b.high);
}
Tensor clamp_(const Tensor& x, std::optional<Operand> low, std::optional<Operand> high) {
  const Bounds b(low, high);
  check_inplace(x, "clamp_");
  if (is_one_sided(x, low, high))
    low ? binary_(Binary::maximum, x, b.low) : binary_(Binary::minimum, x, b.high);
  else
    ternary_(Ternary::clamp_tensor, x, b.low, b.high);
  return x;
}

// One function under two names, and what writes in place without a temporary.
#define EG_CLAMP(NAME)                                                                   \
  EG_OP(&clamp, #NAME "(input, min=None, max=None)", "Elements limited to [min, max].",  \
        kPublic & ~kInplace)                                                             \
  EG_OP(&clamp_, #NAME "_(input, min=None, max=None)", "In-place version of " #NAME ".", \
        kMethodOnly)
EG_CLAMP(clamp)
EG_CLAMP(clip)
#define EG_CLAMP_ONE(NAME, BOUND, MIN, MAX, DOC, TITLE)                                       \
  EG_OP(                                                                                      \
      +[](const Tensor& input, const Operand& BOUND) {                                        \
        return named(clamp(input, MIN, MAX), BOUND.tensor.is_weak() ? TITLE "0" : TITLE "1"); \
      },                                                                                      \
      #NAME "(input, " #BOUND ")", DOC, kPublic & ~kInplace)                                  \
  EG_OP(                                                                                      \
      +[](const Tensor& input, const Operand& BOUND) {                                        \
        clamp_(input, MIN, MAX);                                                              \
        return grad_enabled() ? named(input, BOUND.tensor.is_weak() ? TITLE "0" : TITLE "1")  \
                              : input;                                                        \
      },                                                                                      \
      #NAME "_(input, " #BOUND ")", "In-place version of " #NAME ".", kMethodOnly)
EG_CLAMP_ONE(clamp_min, min, min, std::nullopt, "Elements not below min.", "ClampMinBackward")
EG_CLAMP_ONE(clamp_max, max, std::nullopt, max, "Elements not above max.", "ClampMaxBackward")

EG_OP(
    +[](const Tensor& input, const Tensor& values) { return heaviside(input, values); },
    "heaviside(input, values)", "0, values or 1 for negative, zero and positive elements.", kExact)

// --- ternary --------------------------------------------------------------------------------------------------------

EG_OP(
    +[](const Tensor& condition, const Operand& input, const Operand& other) {
      return where(condition, input, other);
    },
    "where(condition, input, other)", "input where condition holds, else other.",
    kOut | kFunctionOnly)
EG_OP(
    +[](const Tensor& input, const Tensor& condition, const Operand& other) {
      return where(condition, input, other);
    },
    "_where_method(input, condition, other)", "self where condition holds, else other.", kInternal)
EG_OP(
    +[](const Tensor& input, const Operand& end, const Operand& weight) {
      return lerp(input, end, weight);
    },
    "lerp(input, end, weight)", "input + weight * (end - input)", kOutCasts)
EG_OP(
    +[](const Tensor& input, const Operand& end, const Operand& weight) {
      ternary_(Ternary::lerp, input, end, weight);
      return input;
    },
    "lerp_(input, end, weight)", "In-place version of lerp.", kMethodOnly)
#define EG_COMBINED(NAME, DOC)                                                                 \
  EG_OP(                                                                                       \
      +[](const Tensor& input, const Operand& tensor1, const Operand& tensor2, double value) { \
        return NAME(input, tensor1, tensor2, value);                                           \
      },                                                                                       \
      #NAME "(input, tensor1, tensor2, *, value=1)", DOC, kPublic & ~kInplace)                 \
  EG_OP(                                                                                       \
      +[](const Tensor& input, const Operand& tensor1, const Operand& tensor2, double value) { \
        ternary_(Ternary::NAME, input, tensor1, tensor2, value);                               \
        return input;                                                                          \
      },                                                                                       \
      #NAME "_(input, tensor1, tensor2, *, value=1)", "In-place version of " #NAME ".",        \
      kMethodOnly)
EG_COMBINED(addcmul, "input + value * tensor1 * tensor2")
EG_COMBINED(addcdiv, "input + value * tensor1 / tensor2")

// --- the same under another name ---------------------------------------------------------------------------------------

#define EG_ALIAS1(ALIAS, NAME, FLAGS)                                     \
  EG_OP(                                                                  \
      +[](const Tensor& input) { return NAME(input); }, #ALIAS "(input)", \
      "The same as " #NAME ".", FLAGS)
#define EG_ALIAS2(ALIAS, NAME)                                       \
  EG_OP(                                                             \
      +[](const Operand& input, const Operand& other) {              \
        check_operands(#ALIAS, numbers(Binary::NAME), input, other); \
        return NAME(input, other);                                   \
      },                                                             \
      #ALIAS "(input, other)", "The same as " #NAME ".", kPublic)
EG_ALIAS1(absolute, abs, kExact)
EG_ALIAS1(negative, neg, kExact)
EG_ALIAS1(sgn, sign, kExact)
EG_ALIAS1(fix, trunc, kExact)
EG_ALIAS1(arcsin, asin, kPublic)
EG_ALIAS1(arccos, acos, kPublic)
EG_ALIAS1(arctan, atan, kPublic)
EG_ALIAS1(arcsinh, asinh, kPublic)
EG_ALIAS1(arccosh, acosh, kPublic)
EG_ALIAS1(arctanh, atanh, kPublic)
EG_ALIAS2(subtract, sub)
EG_ALIAS2(multiply, mul)
EG_OP(&divided, "divide(input, other, *, rounding_mode)", "The same as div.", kPublic)
EG_OP(&without, "subtract(input, other, *, alpha)", "The same as sub.", kPublic & ~kInplace)
EG_OP(&subtract_, "subtract_(input, other, *, alpha)", "The same as sub_.", kMethodOnly)
EG_ALIAS2(divide, div)
EG_ALIAS2(true_divide, div)
EG_ALIAS2(arctan2, atan2)
EG_ALIAS2(greater, gt)
EG_ALIAS2(greater_equal, ge)
EG_ALIAS2(less, lt)
EG_ALIAS2(less_equal, le)
EG_ALIAS2(not_equal, ne)
EG_OP(
    +[](const Operand& input, const Operand& exponent) {
      check_operands("pow", numbers(Binary::pow), input, exponent);
      return power(input, exponent);
    },
    "pow(input, exponent)", "input ** exponent", kPublic)
EG_OP(
    +[](const Operand& input, const Operand& exponent) {
      check_operands("float_power", numbers(Binary::pow), input, exponent);
      const auto wide = [](const Tensor& t) { return to(t, DType::Float64); };
      return power(wide(input), exponent.tensor.is_weak() ? exponent.tensor : wide(exponent));
    },
    "float_power(input, exponent)", "input ** exponent in float64.", kOutCasts)
EG_OP(
    +[](const Tensor& input, const Operand& exponent) {
      EG_CHECK(input.dtype() == DType::Float64, "the base given to float_power_ has dtype ",
               input.dtype(), " but the operation's result requires dtype float64");
      binary_(Binary::pow, input, to(exponent, DType::Float64));
      return input;
    },
    "float_power_(input, exponent)", "input **= exponent in float64.", kMethodOnly)
EG_OP(
    +[](const Tensor& input, const Operand& exponent) {
      binary_(Binary::pow, input, exponent);
      return input;
    },
    "pow_(input, exponent)", "input **= exponent", kMethodOnly)
// Whether elements that lie alike are equal, some at a time: most tensors that differ do so early.
bool equal_lines(const Tensor& a, const Tensor& b) {
  constexpr int64_t kStrip = 4096, step[] = {1, 1, 1};
  bool same[kStrip];
  const auto loop =
      host_kernels<BinaryKernels>().forward[int(Binary::eq)][compute_index(a.dtype())];
  const int64_t size = int64_t(a.item_size());
  for (int64_t i = 0, n; i < a.numel(); i += n) {
    n = std::min(kStrip, a.numel() - i);
    char* p[] = {reinterpret_cast<char*>(same), a.raw() + i * size, b.raw() + i * size};
    loop(p, step, n, nullptr);
    if (std::memchr(same, 0, size_t(n))) return false;
  }
  return true;
}
// The same of any memory: some rows at a time, few at first.
constexpr int64_t kEqualRows = 16384;
bool equal_rows(const Tensor& a, const Tensor& b) {
  const GradMode off(false);
  // Along the dimension that lies farthest apart.
  int64_t dim = 0;
  for (int64_t d = 1; d < a.dim(); ++d)
    if (a.sizes()[d] > 1 && (a.sizes()[dim] == 1 || a.strides()[d] > a.strides()[dim])) dim = d;
  const int64_t n = a.sizes()[dim], most = std::max<int64_t>(1, n * kEqualRows / a.numel());
  for (int64_t i = 0, count = 1; i < n; i += count) {
    count = std::min({2 * count, most, n - i});
    const Tensor different = ne(narrow(a, dim, i, count), narrow(b, dim, i, count));
    if (amax(different, {}).item().to_bool()) return false;
  }
  return true;
}
EG_OP(
    +[](const Tensor& input, const Tensor& other) {
      if (input.sizes() != other.sizes()) return false;
      const bool lie_alike =
          input.dtype() == other.dtype() && input.device().is_cpu() && other.device().is_cpu();
      const bool dense = input.is_contiguous() && other.is_contiguous();
      if (lie_alike && dense && !is_reduced(input.dtype())) return equal_lines(input, other);
      if (lie_alike && input.numel() > kEqualRows && (dense || input.dim() > 1))
        return dense ? equal_rows(view(input.detach(), {-1}), view(other.detach(), {-1}))
                     : equal_rows(input, other);
      const GradMode off(false);
      const Tensor different = ne(input, other);
      return different.numel() == 0 || amax(different, {}).item().to_int() == 0;
    },
    "_equal(input, other)", "Whether both have the same shape and elements.", kInternal)
EG_OP(
    +[](const Tensor& input) {
      EG_CHECK(input.dtype() != DType::Bool,
               "The `+` operator, on a bool tensor is not supported.");
      return input;
    },
    "positive(input)", "The input itself.")
EG_OP(
    +[](const Operand& input, const Operand& other) {
      check_operands("ldexp", Numbers::Nowhere, input, other);
      return mul(input, pow(Tensor(2.0), to(other, float_type(result_type(input, other)))));
    },
    "ldexp(input, other)", "input * 2 ** other", kPublic)
EG_OP(
    +[](const Tensor& input, int64_t n) {
      EG_CHECK(n >= 0, "polygamma(n, x) does not support negative n.");
      return polygamma(Tensor(static_cast<double>(n)), input);
    },
    "_polygamma(input, n)", "n-th derivative of digamma.", kInternal)
EG_OP(
    +[](const Tensor& input) { return angle(input); }, "angle(input)",
    R"(pi for negative numbers, 0 for others.

>>> eg.angle(eg.tensor([1.0, -1.0]))
tensor([0.0000, 3.1416])
)",
    kOutCasts)
EG_OP(
    +[](const Tensor& input) {
      EG_CHECK(input.is_floating(), "torch.frexp() only supports floating-point dtypes");
      return std::tuple<Tensor, Tensor>(named(mantissa(input), "FrexpBackward0"),
                                        cast_data(exponent(input.detach()), DType::Int32));
    },
    "frexp(input) -> (mantissa, exponent)",
    "Mantissa in (-1, -0.5] or [0.5, 1) and exponent: input = mantissa * 2 ** exponent.", kOut)
EG_OP(
    +[](const Tensor& input) { return input; }, "conj_physical(input)",
    "The input: all dtypes are real.", kOutCasts)
EG_OP(
    +[](const Tensor& input) { return input; }, "real(input)", "The input: all dtypes are real.",
    kFunctionOnly)
EG_OP(
    +[](const Tensor& input) { return full(input.sizes(), Scalar(true), DType::Bool); },
    "isreal(input)", "True everywhere: all dtypes here are real.")

}  // namespace
}  // namespace eg
