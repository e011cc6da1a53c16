// Ops of the table: type rules, allocation, tape nodes. The lines themselves are in elementwise.def, elementwise_run.cpp runs them.
#include "ops/elementwise.h"

#include <cmath>
#include <string_view>

#include "ops/copy.h"
#include "ops/index.h"
#include "ops/registry.h"
#include "ops/row_sparse.h"
#include "ops/tied.h"
#include "tape/node.h"

namespace eg {

// --- what a line of the table says, for programs -------------------------------------------------------------------

namespace {

enum Visibility : uint8_t { Public, Internal, Brief = Public };

// Stands in for an element when a gradient line is run only to see which values it reads.
struct Probe {
  enum : uint8_t { kFirst = 1, kSecond = 2, kThird = 4, kOutput = 8 };
  uint8_t reads = 0;
  bool is_g = false;
  bool is_zero = false;
  bool is_missing = false;
  bool is_piecewise = false;
  uint8_t operations = 0;
  Probe() = default;
  explicit Probe(double v) : is_zero(v == 0), is_missing(v != v) {}
  static Probe value(uint8_t bit) {
    Probe p;
    p.reads = bit;
    return p;
  }
  static Probe gradient() {
    Probe p;
    p.is_g = true;
    return p;
  }
};
template <class... P>
Probe merge(const P&... p) {
  Probe r;
  r.reads = (uint8_t(0) | ... | p.reads);
  r.operations = (uint8_t(1) + ... + p.operations);
  return r;
}
#define EG_PROBE_OPERATOR(symbol)                                                  \
  [[maybe_unused]] Probe operator symbol(Probe a, Probe b) { return merge(a, b); } \
  [[maybe_unused]] Probe operator symbol(Probe a, double) { return merge(a); }     \
  [[maybe_unused]] Probe operator symbol(double, Probe b) { return merge(b); }
EG_PROBE_OPERATOR(+)
EG_PROBE_OPERATOR(-)
EG_PROBE_OPERATOR(*)
EG_PROBE_OPERATOR(/)
EG_PROBE_OPERATOR(==)
EG_PROBE_OPERATOR(!=)
EG_PROBE_OPERATOR(<)
EG_PROBE_OPERATOR(<=)
EG_PROBE_OPERATOR(>)
EG_PROBE_OPERATOR(>=)
EG_PROBE_OPERATOR(&)
EG_PROBE_OPERATOR(|)
#undef EG_PROBE_OPERATOR
[[maybe_unused]] Probe operator-(Probe a) { return merge(a); }
[[maybe_unused]] Probe where(Probe c, Probe a, Probe b) { return merge(c, a, b); }
Probe piecewise(Probe p) {
  p.is_piecewise = true;
  return p;
}
Tensor piecewise(const Tensor& g) { return g; }
#define EG_UNARY(NAME, ...) \
  [[maybe_unused]] Probe NAME(Probe x) { return merge(x); }
#define EG_BINARY(NAME, ...) \
  [[maybe_unused]] Probe NAME(Probe a, Probe b) { return merge(a, b); }
#include "ops/elementwise.def"

// For T = Tensor, gradient lines find the recorded ops; for T = Probe, the functions above.
#define EG_UNARY(NAME, DOMAIN, FLAGS, COUNT, P0, D0, P1, D1, P2, D2, Y, GX)      \
  template <class T>                                                             \
  T NAME##_gx([[maybe_unused]] const T& g, [[maybe_unused]] const T& x,          \
              [[maybe_unused]] const T& y, [[maybe_unused]] const double* p) {   \
    [[maybe_unused]] const T P0(COUNT > 0 ? p[0] : 1), P1(COUNT > 1 ? p[1] : 1), \
        P2(COUNT > 2 ? p[2] : 1);                                                \
    return GX;                                                                   \
  }
#define EG_BINARY(NAME, DOMAIN, FLAGS, Y, GA, GB)                               \
  template <class T, int which>                                                 \
  T NAME##_gradient([[maybe_unused]] const T& g, [[maybe_unused]] const T& a,   \
                    [[maybe_unused]] const T& b, [[maybe_unused]] const T& y) { \
    if constexpr (which == 0)                                                   \
      return GA;                                                                \
    else                                                                        \
      return GB;                                                                \
  }
#define EG_TERNARY(NAME, COUNT, P0, D0, Y, GA, GB, GC)                        \
  template <class T, int which>                                               \
  T NAME##_gradient([[maybe_unused]] const T& g, [[maybe_unused]] const T& a, \
                    [[maybe_unused]] const T& b, [[maybe_unused]] const T& c, \
                    [[maybe_unused]] const T& y, [[maybe_unused]] double p) { \
    [[maybe_unused]] const T P0(COUNT > 0 ? p : 1);                           \
    if constexpr (which == 0)                                                 \
      return GA;                                                              \
    else if constexpr (which == 1)                                            \
      return GB;                                                              \
    else                                                                      \
      return GC;                                                              \
  }
#include "ops/elementwise.def"

// The gradient with respect to one input.
struct Rule {
  uint8_t reads;  // Probe bits
  bool is_g;      // the gradient passes through
  bool is_zero;
  bool is_missing;    // T(NAN): nobody has written it
  bool is_piecewise;  // its own derivative is zero: Note [Zero derivatives]
  bool is_one_op;
  // Differentiable form; v holds the inputs, then y. Undefined where the rule does not read.
  Tensor (*compose)(const Tensor& g, const Tensor* v, const double* p);
};

struct Row {
  const char* name;
  Domain domain;
  Visibility visibility;
  uint8_t inputs;
  uint8_t attributes;
  Rule rules[3];
};

Rule rule_of(const Probe& p, Tensor (*compose)(const Tensor&, const Tensor*, const double*)) {
  return {p.reads, p.is_g, p.is_zero, p.is_missing, p.is_piecewise, p.operations == 1, compose};
}
const Probe g0 = Probe::gradient(), v0 = Probe::value(Probe::kFirst),
            v1 = Probe::value(Probe::kSecond), v2 = Probe::value(Probe::kThird),
            vy = Probe::value(Probe::kOutput);
const double no_attributes[3] = {1, 1, 1};

using V = const Tensor*;
using P = const double*;
const Row unary_rows[] = {
#define EG_UNARY(NAME, DOMAIN, FLAGS, COUNT, ...)        \
  {#NAME,                                                \
   DOMAIN,                                               \
   FLAGS,                                                \
   1,                                                    \
   COUNT,                                                \
   {rule_of(NAME##_gx<Probe>(g0, v0, vy, no_attributes), \
            [](const Tensor& g, V v, P p) { return NAME##_gx<Tensor>(g, v[0], v[1], p); })}},
#include "ops/elementwise.def"
};
const Row binary_rows[] = {
#define EG_BINARY(NAME, DOMAIN, FLAGS, ...)                                                       \
  {#NAME,                                                                                         \
   DOMAIN,                                                                                        \
   FLAGS,                                                                                         \
   2,                                                                                             \
   0,                                                                                             \
   {rule_of(                                                                                      \
        NAME##_gradient<Probe, 0>(g0, v0, v1, vy),                                                \
        [](const Tensor& g, V v, P) { return NAME##_gradient<Tensor, 0>(g, v[0], v[1], v[2]); }), \
    rule_of(NAME##_gradient<Probe, 1>(g0, v0, v1, vy), [](const Tensor& g, V v, P) {              \
      return NAME##_gradient<Tensor, 1>(g, v[0], v[1], v[2]);                                     \
    })}},
#include "ops/elementwise.def"
};
const Row ternary_rows[] = {
#define EG_TERNARY(NAME, COUNT, ...)                                                          \
  {#NAME,                                                                                     \
   Domain::Any,                                                                               \
   Public,                                                                                    \
   3,                                                                                         \
   COUNT,                                                                                     \
   {rule_of(NAME##_gradient<Probe, 0>(g0, v0, v1, v2, vy, 1),                                 \
            [](const Tensor& g, V v, P p) {                                                   \
              return NAME##_gradient<Tensor, 0>(g, v[0], v[1], v[2], v[3], p[0]);             \
            }),                                                                               \
    rule_of(NAME##_gradient<Probe, 1>(g0, v0, v1, v2, vy, 1),                                 \
            [](const Tensor& g, V v, P p) {                                                   \
              return NAME##_gradient<Tensor, 1>(g, v[0], v[1], v[2], v[3], p[0]);             \
            }),                                                                               \
    rule_of(NAME##_gradient<Probe, 2>(g0, v0, v1, v2, vy, 1), [](const Tensor& g, V v, P p) { \
      return NAME##_gradient<Tensor, 2>(g, v[0], v[1], v[2], v[3], p[0]);                     \
    })}},
#include "ops/elementwise.def"
};

// --- tape ---------------------------------------------------------------------------------------------------------------

// Where PyTorch's users know a line of the table by another name than its own. numbers: a bit for each operand that is a
// Python number; PyTorch has nodes of their own for some of those.
const char* foreign_title(const std::string& op, uint8_t numbers) {
  struct Title {
    const char* op;
    const char *tensors, *number_first, *number_second;
  };
  static constexpr Title titles[] = {
      {"clamp_tensor", "ClampBackward0", nullptr, "ClampBackward1"},
      {"div", nullptr, "MulBackward0", nullptr},
      {"entr", "SpecialEntrBackward0", nullptr, nullptr},
      {"erfcx", "SpecialErfcxBackward0", nullptr, nullptr},
      {"fmod", "FmodBackward1", nullptr, "FmodBackward0"},
      {"gelu_erf", "GeluBackward0", nullptr, nullptr},
      {"gelu_tanh", "GeluBackward0", nullptr, nullptr},
      {"i0e", "SpecialI0EBackward0", nullptr, nullptr},
      {"i1", "SpecialI1Backward0", nullptr, nullptr},
      {"i1e", "SpecialI1EBackward0", nullptr, nullptr},
      {"lerp", "LerpBackward1", nullptr, nullptr},
      {"log_ndtr", "SpecialLogNdtrBackward0", nullptr, nullptr},
      {"logit_eps", "LogitBackward0", nullptr, nullptr},
      {"ndtri", "SpecialNdtriBackward0", nullptr, nullptr},
      {"pow", "PowBackward1", "PowBackward2", "PowBackward0"},
      {"prelu", "PreluKernelBackward0", nullptr, nullptr},
      {"remainder", "RemainderBackward1", nullptr, "RemainderBackward0"},
      {"selu", "EluBackward0", nullptr, nullptr},
      {"softsign", "DivBackward0", nullptr, nullptr},
      {"square", "PowBackward0", nullptr, nullptr},
      {"sub", nullptr, "RsubBackward1", nullptr},
      {"tanhshrink", "SubBackward0", nullptr, nullptr},
  };
  for (const Title& t : titles)
    if (op == t.op) return numbers & 1 ? t.number_first : numbers ? t.number_second : t.tensors;
  return nullptr;
}

using BackwardLoops = ElementwiseLoop const (*)[2];  // [input][float or double]

class ElementwiseNode final : public Node {
 public:
  ElementwiseNode(const Row& row, int16_t op, BackwardLoops loops, const double* attributes)
      : row_(row), op_(op), loops_(loops) {
    if (attributes) std::copy(attributes, attributes + 3, attributes_);
  }
  std::string name() const override {
    if (const char* title = foreign_title(row_.name, numbers_)) return title;
    std::string title = row_.name;
    for (size_t i = 0, up = 1; i < title.size(); ++i) {
      if (up) title[i] = static_cast<char>(std::toupper(title[i]));
      up = title[i] == '_' || std::isdigit(title[i]);
    }
    title.erase(std::remove(title.begin(), title.end(), '_'), title.end());
    return title;
  }

  // Keeps what the rules of the inputs that need gradients read, and nothing else.
  void save_values(const Tensor* const* inputs, const Tensor& y) {
    uint8_t reads = 0;
    for (int i = 0; i < row_.inputs; ++i) {
      if (edges[i].node)
        reads |= row_.rules[i].reads;
      else
        numbers_ |= static_cast<uint8_t>(inputs[i]->is_weak() << i);
    }
    for (int i = 0; i < row_.inputs; ++i)
      if (reads >> i & 1) {
        place_[i] = static_cast<int8_t>(saved.size());
        save(*inputs[i]);
      }
    if (reads & Probe::kOutput) {
      place_[row_.inputs] = static_cast<int8_t>(saved.size());
      save(y);
    }
  }

  Tensors backward(Context& ctx, const Tensors& grads) override {
    Tensor v[4];
    for (int i = 0; i <= row_.inputs; ++i)
      if (place_[i] >= 0) v[i] = ctx.saved(place_[i]);
    Tensors result(row_.inputs);
    for (int i = 0; i < row_.inputs; ++i) {
      const Rule& rule = row_.rules[i];
      if (!ctx.needs(i)) continue;
      EG_CHECK_KIND(NotImplemented, !rule.is_missing, "the derivative for '", row_.name,
                    row_.inputs == 1 ? ""
                    : i == 0         ? ": input"
                                     : ": other",
                    "' is not implemented.");
      if (rule.is_g) {
        result[i] = grads[0];
      } else if (rule.is_zero) {
        result[i] = zeros(grads[0].sizes(), grads[0].dtype());
      } else if (!grad_enabled() && has_loop_for_halves(rule, grads[0], v)) {
        result[i] = rule.compose(grads[0], v, attributes_);
      } else if (grad_enabled()) {
        for (Tensor& x : v) x = exact_number(x, grads[0].dtype());
        result[i] = rule.compose(grads[0], v, attributes_);
        if (rule.is_piecewise) result[i] = tied(*this, i, result[i]);
      } else {
        result[i] = fused(i, grads[0], v);
      }
    }
    return result;
  }

 private:
  // Halves have loops for single ops, but none for rules.
  bool has_loop_for_halves(const Rule& rule, const Tensor& g, const Tensor* v) const {
    if (!is_reduced(g.dtype()) || !rule.is_one_op) return false;
    for (int i = 0; i <= row_.inputs; ++i)
      if (v[i].defined() && !v[i].is_weak() && v[i].dtype() != g.dtype()) return false;
    return true;
  }
  // A Python number as the fused loop reads it. Composed ops of numbers alone would round it to the default dtype.
  static Tensor exact_number(const Tensor& x, DType g) {
    return x.defined() && x.is_weak() ? to(x, compute_dtype(g)) : x;
  }
  static DType compute_dtype(DType g) {
    return g == DType::Float64 ? DType::Float64 : DType::Float32;
  }
  Tensor fused(int input, const Tensor& g, const Tensor* v) const {
    const DType dtype = g.dtype();
    const DType compute = compute_dtype(dtype);
    const uint8_t reads = row_.rules[input].reads;
    LoopOperand operands[kMaxOperands];
    operands[0] = {&g, compute};
    for (int i = 0; i <= row_.inputs; ++i) {
      const bool read = i == row_.inputs ? reads & Probe::kOutput : reads >> i & 1;
      operands[i + 1] = {read ? &v[i] : &g, compute};  // unread operands only need a valid address
    }
    Tensor out = g.is_contiguous() ? empty(g.sizes(), dtype) : empty_like_layout(g);
    const LoopName name = {row_.inputs, op_, static_cast<int8_t>(input)};
    run_elementwise(name, loops_[input][float_index(compute)], out, compute, operands,
                    row_.inputs + 2, attributes_, false);
    return out;
  }
  static Tensor empty_like_layout(const Tensor& g) { return empty_result(g, g.dtype()); }

  const Row& row_;
  int16_t op_;
  BackwardLoops loops_;
  double attributes_[3] = {0, 0, 0};
  int8_t place_[4] = {-1, -1, -1, -1};
  uint8_t numbers_ = 0;  // a bit for each input that was a Python number
};

// --- forward ---------------------------------------------------------------------------------------------------------------

[[noreturn]] void refuse_dtype(const Row& row, DType dtype) {
  fail(ErrorKind::NotImplemented, "[", row.name, "] not implemented for ", dtype);
}

// Which dtypes an op takes, where its loop would take more than PyTorch's: all, numbers or floating point.
enum class Takes : uint8_t { All, Numbers, Floats };
constexpr Takes takes(Unary op) {
  switch (op) {
    case Unary::abs:
    case Unary::ceil:
    case Unary::floor:
    case Unary::relu:
    case Unary::round:
    case Unary::softsign:
    case Unary::tanhshrink:
    case Unary::trunc:
      return Takes::Numbers;
    case Unary::celu:
    case Unary::elu:
    case Unary::frac:
    case Unary::gelu_erf:
    case Unary::gelu_tanh:
    case Unary::hardshrink:
    case Unary::hardsigmoid:
    case Unary::hardswish:
    case Unary::leaky_relu:
    case Unary::log_sigmoid:
    case Unary::mish:
    case Unary::selu:
    case Unary::silu:
    case Unary::softplus:
    case Unary::softshrink:
      return Takes::Floats;
    default:
      return Takes::All;
  }
}
constexpr Takes takes(Binary op) {
  switch (op) {
    case Binary::bitwise_left_shift:
    case Binary::bitwise_right_shift:
    case Binary::floor_divide:
    case Binary::fmod:
    case Binary::gcd:
    case Binary::lcm:
    case Binary::pow:
    case Binary::remainder:
      return Takes::Numbers;
    case Binary::hypot:
    case Binary::igamma:
    case Binary::igammac:
    case Binary::logaddexp:
    case Binary::logaddexp2:
    case Binary::nextafter:
      return Takes::Floats;
    default:
      return Takes::All;
  }
}
void check_dtype(const Row& row, Takes takes, DType dtype) {
  const bool fits = takes == Takes::Floats    ? is_floating(dtype)
                    : takes == Takes::Numbers ? dtype != DType::Bool
                                              : true;
  if (EG_UNLIKELY(!fits)) refuse_dtype(row, dtype);
}

// dtype in which the loop runs.
DType loop_dtype(const Row& row, DType common) {
  if (row.domain == Domain::Float) common = float_type(common);
  return is_reduced(common) ? DType::Float32 : common;
}
DType out_dtype(const Row& row, DType common) {
  return gives_bool(row.domain)        ? DType::Bool
         : row.domain == Domain::Float ? float_type(common)
                                       : common;
}

bool needs_node(const Row& row, const Tensor* const* inputs) {
  if (gives_bool(row.domain) || row.domain == Domain::Int || !grad_enabled()) return false;
  for (int i = 0; i < row.inputs; ++i)
    if (inputs[i]->requires_grad()) return true;
  return false;
}

Dims common_shape(const Row& row, const Tensor* const* inputs) {
  Dims shape = inputs[0]->sizes();
  for (int i = 1; i < row.inputs; ++i)
    if (inputs[i]->sizes() != shape) shape = elementwise_shape(shape, inputs[i]->sizes());
  return shape;
}

// The half after another, in doubles: of floats, the next one rounds back to where it was.
Tensor next_half(const Tensor& from, const Tensor& towards, DType dtype) {
  const GradMode off(false);
  const bool brief = dtype == DType::BFloat16;
  const double end = brief ? 0x1p128 : 0x1p16, smallest = brief ? 0x1p-133 : 0x1p-24;
  const Tensor a = to(from, DType::Float64), b = to(towards, DType::Float64);
  const Tensor start = clamp_tensor(a, Tensor(-end), Tensor(end));
  const Tensor step = (nextafter(start, b) - start) * (brief ? 0x1p45 : 0x1p42);
  return where(a == b, b, start + copysign(maximum(abs(step), Tensor(smallest)), step));
}

struct Call {
  const Row& row;
  int16_t op;
  ElementwiseLoop loop;
  BackwardLoops backward;
  const Tensor* const* inputs;
  const double* attributes;
  DType common;

  void compute(const Tensor& out) const {
    if (EG_UNLIKELY(is_reduced(common)) && row.inputs == 2 && op == int(Binary::nextafter))
      return copy_into(out, next_half(*inputs[0], *inputs[1], common));
    const ElementwiseLoop halves = is_reduced(common) ? loop_of_halves(out) : nullptr;
    const DType in = halves ? common : loop_dtype(row, common);
    LoopOperand operands[3];
    for (int i = 0; i < row.inputs; ++i) operands[i] = {inputs[i], in};
    run_elementwise({row.inputs, op}, halves ? halves : loop, out,
                    gives_bool(row.domain) ? DType::Bool : in, operands, row.inputs, attributes,
                    row.inputs == 2);
  }
  // Where halves need not become floats first: null for other ops.
  ElementwiseLoop loop_of_halves(const Tensor& out) const {
    if (!out.device().is_cpu() || row.inputs == 3) return nullptr;
    if (row.inputs == 1) {
      const Unary unary_op = Unary(op);
      if (unary_op != Unary::neg && unary_op != Unary::abs) return nullptr;
      return host_kernels<UnaryKernels>().half_sign[unary_op == Unary::abs];
    }
    // (Of one number with another neither is a step of 0, and each may have a type of its own.)
    return out.numel() == 1 ? nullptr : host_kernels<BinaryKernels>().halves[op].of(common);
  }
  Tensor run() const {
    Tensor out =
        row.inputs == 1 && inputs[0]->is_contiguous()
            ? empty(inputs[0]->sizes(), out_dtype(row, common))
            : empty_result(common_shape(row, inputs), out_dtype(row, common), inputs, row.inputs);
    compute(out);
    if (needs_node(row, inputs) && out.is_floating()) {
      auto* const node = new ElementwiseNode(row, op, backward, attributes);
      Ref<Node> owner = Ref<Node>::adopt(node);
      for (int i = 0; i < row.inputs; ++i) node->add_input(*inputs[i]);
      node->save_values(inputs, out);
      Node::add_last_output(std::move(owner), out);
    }
    return out;
  }
  // In place into the first input; the result of a recorded op is computed beside it first.
  void run_inplace() const {
    const Tensor& self = *inputs[0];
    check_inplace(self, row.name);
    EG_CHECK(common_shape(row, inputs) == self.sizes(), "[", row.name, "_] output with shape ",
             IntSpan(self.sizes()), " doesn't match the broadcast shape ",
             IntSpan(common_shape(row, inputs)));
    const DType result = out_dtype(row, common);
    check_castable(row.name, result, self.dtype());
    if (needs_node(row, inputs) || shares_memory_differently()) {
      assign(self, run());
      return;
    }
    compute(self);
    if (self.requires_grad() && grad_enabled()) {
      rewrite_history(self, self.detach());
    } else {
      self.storage().mark_written();
    }
  }

 private:
  // Another input overlaps the one written to without lying in exactly the same places.
  bool shares_memory_differently() const {
    const Tensor& self = *inputs[0];
    for (int i = 1; i < row.inputs; ++i) {
      const Tensor& t = *inputs[i];
      if (&t.storage() == &self.storage() &&
          (t.offset() != self.offset() || t.strides() != self.strides() ||
           t.sizes() != self.sizes()))
        return true;
    }
    return false;
  }
};

void check_bool_arithmetic(Binary op, const Tensor& a, const Tensor& b) {
  EG_CHECK_KIND(
      NotImplemented, op != Binary::sub || (a.dtype() != DType::Bool && b.dtype() != DType::Bool),
      "[sub] Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
      "trying to invert a mask, use the `~` or `logical_not()` operator instead.");
}

// Whole numbers divided by zero: refused, as there is no infinity to give back.
void check_divisor(const Row& row, const Tensor& a, const Tensor& b, DType common) {
  if (is_floating(common) || a.numel() == 0) return;
  if (!b.device().is_cpu())
    return require(ne(b, Tensor(0)),
                   {ErrorKind::Runtime, row.name, "ZeroDivisionError: integer division by zero"});
  const DeviceScope host(Device{});
  const Tensor dense = contiguous_data(b);
  visit_integral(dense.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* p = dense.data<T>();
    bool found = false;
    for (int64_t i = 0; i < dense.numel(); ++i) found = found || p[i] == T(0);
    EG_CHECK(!found, "[", row.name, "] ZeroDivisionError: integer division by zero");
  });
}

Call unary_call(Unary op, const Tensor* const* inputs, const double* attributes) {
  const Row& row = unary_rows[int(op)];
  const Tensor& x = *inputs[0];
  DType dtype = x.is_weak() && x.is_floating() ? default_dtype() : x.dtype();
  if (op == Unary::square && dtype == DType::Bool) dtype = DType::Int64;  // as a power
  const auto& loops = host_kernels<UnaryKernels>();
  check_dtype(row, takes(op), dtype);
  if (op == Unary::neg)
    EG_CHECK_KIND(NotImplemented, dtype != DType::Bool,
                  "[neg] Negation, the `-` operator, on a bool tensor is not supported. If you are "
                  "trying to invert a mask, use the `~` or `logical_not()` operator instead.");
  const ElementwiseLoop loop = loops.forward[int(op)][compute_index(loop_dtype(row, dtype))];
  if (!loop) refuse_dtype(row, dtype);
  return {row, int16_t(op), loop, &loops.backward[int(op)], inputs, attributes, dtype};
}

Call binary_call(Binary op, const Tensor* const* inputs) {
  const Row& row = binary_rows[int(op)];
  const Tensor &a = *inputs[0], &b = *inputs[1];
  const bool same = a.dtype() == b.dtype() && !a.is_weak() && !b.is_weak();
  const DType common = same ? a.dtype() : result_type(a, b);
  check_dtype(row, takes(op), common);
  if (op == Binary::sub) check_bool_arithmetic(op, a, b);
  if (op == Binary::remainder || op == Binary::fmod || op == Binary::floor_divide)
    check_divisor(row, a, b, common);
  if (op == Binary::pow && b.is_weak() && is_integral(common))
    EG_CHECK(b.item().to_double() >= 0,
             "[pow] Integers to negative integer powers are not allowed.");
  const auto& loops = host_kernels<BinaryKernels>();
  const DType read = row.domain == Domain::Truth ? DType::Bool : common;
  const ElementwiseLoop loop = loops.forward[int(op)][compute_index(loop_dtype(row, read))];
  if (!loop) refuse_dtype(row, common);
  return {row, int16_t(op), loop, loops.backward[int(op)], inputs, nullptr, read};
}

Call ternary_call(Ternary op, const Tensor* const* inputs, const double* attributes) {
  const Row& row = ternary_rows[int(op)];
  const Tensor &a = *inputs[0], &b = *inputs[1], &c = *inputs[2];
  const Tensor all[] = {a, b, c};
  const DType common = result_type(all, 3);
  check_dtype(row, op == Ternary::lerp ? Takes::Floats : Takes::Numbers,
              op == Ternary::lerp ? a.dtype() : common);
  if (op == Ternary::lerp)
    EG_CHECK(a.dtype() == b.dtype() || b.is_weak(), "[lerp] expected dtype ", a.dtype(),
             " for `end` but got dtype ", b.dtype());
  if (op == Ternary::addcdiv)
    EG_CHECK(is_floating(result_type(b, c)),
             "[addcdiv] integer division with addcdiv is not supported: use floating point "
             "operands");
  const auto& loops = host_kernels<TernaryKernels>();
  const ElementwiseLoop loop = loops.forward[int(op)][compute_index(loop_dtype(row, common))];
  if (!loop) refuse_dtype(row, common);
  return {row, int16_t(op), loop, loops.backward[int(op)], inputs, attributes, common};
}

}  // namespace

void check_castable(const char* op, DType from, DType to) {
  const bool ok = is_floating(from) ? is_floating(to) : from == DType::Bool || to != DType::Bool;
  EG_CHECK(ok, "[", op, "] result type ", from, " can't be cast to the desired output type ", to);
}

Tensor unary(Unary op, const Tensor& x, const double* attributes) {
  const Tensor* inputs[] = {&x};
  const OpDevice device(unary_rows[int(op)].name, inputs, 1);
  return unary_call(op, inputs, attributes).run();
}
Tensor binary(Binary op, const Tensor& a, const Tensor& b) {
  const Tensor* inputs[] = {&a, &b};
  const OpDevice device(binary_rows[int(op)].name, inputs, 2);
  return binary_call(op, inputs).run();
}
void unary_(Unary op, const Tensor& x, const double* attributes) {
  const Tensor* inputs[] = {&x};
  const OpDevice device(unary_rows[int(op)].name, inputs, 1);
  unary_call(op, inputs, attributes).run_inplace();
}
void binary_(Binary op, const Tensor& a, const Tensor& b) {
  if (EG_UNLIKELY(may_be_row_sparse(b)) && (op == Binary::add || op == Binary::sub) &&
      add_rows_in_place(a, b, op == Binary::sub))
    return;
  if (op == Binary::pow && b.is_weak() && a.is_floating()) {  // as power() does
    const double e = b.item().to_double();
    if (e == 2 || e == 3) return unary_(e == 2 ? Unary::square : Unary::cube, a);
  }
  const Tensor* inputs[] = {&a, &b};
  const OpDevice device(binary_rows[int(op)].name, inputs, 2);
  binary_call(op, inputs).run_inplace();
}

Tensor ternary(Ternary op, const Tensor& a, const Tensor& b, const Tensor& c, double attribute) {
  const Tensor* inputs[] = {&a, &b, &c};
  const double attributes[] = {attribute, 0, 0};
  const OpDevice device(ternary_rows[int(op)].name, inputs, 3);
  return ternary_call(op, inputs, attributes).run();
}
void ternary_(Ternary op, const Tensor& a, const Tensor& b, const Tensor& c, double attribute) {
  const Tensor* inputs[] = {&a, &b, &c};
  const double attributes[] = {attribute, 0, 0};
  const OpDevice device(ternary_rows[int(op)].name, inputs, 3);
  ternary_call(op, inputs, attributes).run_inplace();
}

// --- where -----------------------------------------------------------------------------------------------------------------

namespace {

class WhereNode final : public Node {
 public:
  std::string name() const override { return "Where"; }
  Tensors backward(Context& ctx, const Tensors& grads) override {
    const Tensor c = ctx.saved(0);
    const Tensor zero(0.0);
    Tensors result(2);
    if (ctx.needs(0)) result[0] = where(c, grads[0], zero);
    if (ctx.needs(1)) result[1] = where(c, zero, grads[0]);
    return result;
  }
};

}  // namespace

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  EG_CHECK(condition.dtype() == DType::Bool || condition.dtype() == DType::UInt8,
           "[where] expected condition to be a boolean tensor, but got a tensor with dtype ",
           condition.dtype());
  const DType dtype = result_type(a, b);
  const Tensor* inputs[] = {&condition, &a, &b};
  const OpDevice device("where", inputs, 3);
  const Dims shape = elementwise_shape(elementwise_shape(condition.sizes(), a.sizes()), b.sizes());
  const Tensor out = empty_result(shape, dtype, inputs, 3);
  // The host's loops move halves as they are, as items of two bytes.
  const bool moves = is_reduced(dtype) && out.device().is_cpu();
  const DType compute = is_reduced(dtype) && !moves ? DType::Float32 : dtype;
  const int loop = compute_index(moves ? DType::Int16 : compute);
  const LoopOperand operands[] = {{&condition, DType::Bool}, {&a, compute}, {&b, compute}};
  run_elementwise(kWhereLoop, host_kernels<TernaryKernels>().where[loop], out, compute, operands, 3,
                  nullptr, false);
  if (grad_enabled() && out.is_floating() && (a.requires_grad() || b.requires_grad())) {
    Ref<WhereNode> node(new WhereNode);
    node->add_input(a);
    node->add_input(b);
    node->save(condition);
    node->add_output(out);
  }
  return out;
}

}  // namespace eg
