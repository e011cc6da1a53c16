// Tensors of given values.
#include "ops/creation.h"

#include <cmath>

#include "ops/ops.h"
#include "ops/registry.h"

namespace eg {

double largest(DType t) {
  switch (t) {
    case DType::Float16:
      return 65504;
    case DType::BFloat16:
      return 3.3895313892515355e38;
    case DType::Float32:
      return std::numeric_limits<float>::max();
    default:
      return std::numeric_limits<double>::max();
  }
}

namespace {

template <class T>
bool fits_integer(const Scalar& value) {
  constexpr bool wraps = !std::is_signed_v<T>;
  constexpr T high = std::numeric_limits<T>::max();
  constexpr int64_t low = wraps ? -int64_t(high) : int64_t(std::numeric_limits<T>::lowest());
  if (!value.is_float()) return value.to_int() >= low && value.to_int() <= int64_t(high);
  return value.to_double() >= double(low) && value.to_double() <= double(high);  // NaN does not fit
}

bool fits(const Scalar& value, DType dtype) {
  switch (dtype) {
    case DType::Bool:
      return true;
    case DType::UInt8:
      return fits_integer<uint8_t>(value);
    case DType::Int8:
      return fits_integer<int8_t>(value);
    case DType::Int16:
      return fits_integer<int16_t>(value);
    case DType::Int32:
      return fits_integer<int32_t>(value);
    case DType::Int64:
      return fits_integer<int64_t>(value);
    default:
      return !(std::abs(value.to_double()) > largest(dtype)) || std::isinf(value.to_double());
  }
}

}  // namespace

void check_fits(const char* op, const Scalar& value, DType dtype) {
  EG_CHECK(fits(value, dtype), "[", op, "] value cannot be converted to type ", dtype,
           " without overflow: ", value.to_double());
}

void check_fits(const char* op, const Tensor& value, DType dtype) {
  if (value.is_weak()) check_fits(op, value.item(), dtype);
}

namespace {

using OptDType = std::optional<DType>;
using OptDevice = std::optional<Device>;

Tensor make(IntSpan size, OptDType dtype, OptDevice device) {
  return empty(size, dtype.value_or(default_dtype()), device.value_or(active_device));
}
Tensor filled(IntSpan size, const Scalar& value, DType dtype, OptDevice device) {
  return full(size, value, dtype, device.value_or(active_device));
}

EG_OP(
    +[](Dims size, OptDType dtype, OptDevice device) { return make(size, dtype, device); },
    "empty(*size, dtype=None, device=None)", "Uninitialised memory.", kCreates)
EG_OP(
    +[](Dims size, OptDType dtype, OptDevice device) {
      return filled(size, Scalar(0), dtype.value_or(default_dtype()), device);
    },
    "zeros(*size, dtype=None, device=None)", "Zeros.", kCreates)
EG_OP(
    +[](Dims size, OptDType dtype, OptDevice device) {
      return filled(size, Scalar(1), dtype.value_or(default_dtype()), device);
    },
    "ones(*size, dtype=None, device=None)", "Ones.", kCreates)
EG_OP(
    +[](Dims size, Scalar fill_value, OptDType dtype, OptDevice device) {
      const DType own = fill_value.is_float() ? default_dtype() : fill_value.dtype();
      check_fits("full", fill_value, dtype.value_or(own));
      return filled(size, fill_value, dtype.value_or(own), device);
    },
    "full(size, fill_value, *, dtype=None, device=None)", "One value everywhere.", kCreates)
EG_OP(
    +[](Dims size, Dims stride, OptDType dtype, OptDevice device) {
      return empty_strided(size, stride, dtype.value_or(default_dtype()),
                           device.value_or(active_device));
    },
    "empty_strided(size, stride, *, dtype=None, device=None)",
    "Uninitialised memory with the given strides.", kCreates)

Tensor like(const Tensor& t, OptDType dtype) { return empty_result(t, dtype.value_or(t.dtype())); }
EG_OP(
    +[](const Tensor& input, OptDType dtype, OptDevice) { return like(input, dtype); },
    "empty_like(input, *, dtype=None, device=None)", "Uninitialised memory of the same shape.",
    kCreates | kFunctionOnly)
Tensor full_like(const Tensor& input, const Scalar& value, OptDType dtype) {
  Tensor t = like(input, dtype);
  fill(t, value);
  return t;
}
EG_OP(
    +[](const Tensor& input, OptDType dtype, OptDevice) {
      return full_like(input, Scalar(0), dtype);
    },
    "zeros_like(input, *, dtype=None, device=None)", "Zeros of the same shape.",
    kCreates | kFunctionOnly)
EG_OP(
    +[](const Tensor& input, OptDType dtype, OptDevice) {
      return full_like(input, Scalar(1), dtype);
    },
    "ones_like(input, *, dtype=None, device=None)", "Ones of the same shape.",
    kCreates | kFunctionOnly)
EG_OP(
    +[](const Tensor& input, Scalar fill_value, OptDType dtype, OptDevice) {
      check_fits("full_like", fill_value, dtype.value_or(input.dtype()));
      return full_like(input, fill_value, dtype);
    },
    "full_like(input, fill_value, *, dtype=None, device=None)", "One value in the same shape.",
    kCreates | kFunctionOnly)

// --- sequences -----------------------------------------------------------------------------------------------

Tensor sequence(const Sequence& s, DType dtype) {
  const DType exact = s.whole                   ? DType::Int64
                      : dtype == DType::Float32 ? DType::Float32
                                                : DType::Float64;
  Tensor t = empty({s.count}, active_device.is_cpu() ? exact : dtype);
  kernels<SequenceKernels>().fill(s, t.dtype(), t.raw());
  return cast_data(t, dtype);
}

// Numbers of a sequence of whole numbers become whole first.
double end_point(const Scalar& s, DType t) {
  return is_floating(t) ? s.to_double() : double(s.to_int());
}
void check_counts(const char* op, DType t) {
  EG_CHECK_KIND(NotImplemented, t != DType::Bool, "[", op, "] not implemented for bool");
}

Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step, OptDType dtype,
              OptDevice device) {
  const bool whole = !start.is_float() && !end.is_float() && !step.is_float();
  const DType t = dtype.value_or(whole ? DType::Int64 : default_dtype());
  check_counts("arange", t);
  if (!whole && t == DType::Int64) {
    EG_CHECK_VALUE(step.to_int() != 0, "[arange] step must be nonzero");
    return arange(Scalar(start.to_int()), Scalar(end.to_int()), Scalar(step.to_int()), t, device);
  }
  const double a = start.to_double(), b = end.to_double(), s = step.to_double();
  EG_CHECK(s != 0, "step must be nonzero");
  EG_CHECK(std::isfinite(a) && std::isfinite(b), "unsupported range: ", a, " -> ", b);
  EG_CHECK((s > 0) == (b >= a) || a == b,
           "upper bound and lower bound inconsistent with step sign");
  const double count = std::ceil((b - a) / s);
  EG_CHECK(count < 9e15, "invalid size, possible overflow?");
  const int64_t n = static_cast<int64_t>(std::max(count, 0.0));
  Sequence all{whole && !is_floating(t), 0, 0, end_point(start, t), end_point(step, t), 0, n, n};
  if (whole) {
    all.first = start.to_int();
    all.by = step.to_int();
  }
  return sequence(all, t);
}
EG_OP(
    +[](Scalar end, OptDType dtype, OptDevice device) {
      return arange(Scalar(0), end, Scalar(1), dtype, device);
    },
    "arange(end, *, dtype=None, device=None)", "0, 1, ... below end.", kCreates)
EG_OP(&arange, "arange(start, end, step=1, *, dtype=None, device=None)",
      "start, start + step, ... below end.", kCreates)
EG_OP(
    +[](Scalar start, Scalar end, Scalar step, OptDType dtype, OptDevice) {
      const DType t = dtype.value_or(default_dtype());
      check_counts("range", t);
      const double a = start.to_double(), by = step.to_double();
      EG_CHECK(by != 0, "step must be nonzero");
      const double n = std::floor((end.to_double() - a) / by) + 1;
      EG_CHECK(n >= 1, "upper bound and lower bound inconsistent with step sign");
      EG_CHECK(n < 9e15, "invalid size, possible overflow?");
      return sequence({false, 0, 0, a, by, 0, int64_t(n), int64_t(n)}, t);
    },
    "range(start, end, step=1, *, dtype=None, device=None)",
    "start, start + step, ... up to end inclusive (old).", kCreates)

Tensor linspace(double start, double end, int64_t steps, DType t) {
  EG_CHECK(steps >= 0, "number of steps must be non-negative");
  double by = steps > 1 ? (end - start) / double(steps - 1) : 0;
  if (t == DType::Float32 && steps > 1) {
    // PyTorch's numbers to the bit: an identity's `affine_grid` falls on pixels, where gradients are one-sided.
    start = float(start);
    end = float(end);
    const float width = float(end - start);
    if (std::isfinite(width)) by = width / float(steps - 1);
  }
  // Symmetric, so that both ends are exact.
  return sequence({false, 0, 0, start, by, end, steps, steps == 1 ? 1 : steps / 2}, t);
}
EG_OP(
    +[](Scalar start, Scalar end, int64_t steps, OptDType dtype, OptDevice) {
      const DType t = dtype.value_or(default_dtype());
      check_counts("linspace", t);
      return linspace(end_point(start, t), end_point(end, t), steps, t);
    },
    "linspace(start, end, steps, *, dtype=None, device=None)",
    "steps numbers from start to end inclusive.", kCreates)
EG_OP(
    +[](const Operand& start, const Operand& end, int64_t, OptDType, OptDevice) -> Tensor {
      fail(ErrorKind::Runtime,
           "linspace only supports 0-dimensional start and end tensors, but got ",
           start.tensor.dim(), " and ", end.tensor.dim(), " dimensions");
    },
    "linspace(start, end, steps, *, dtype=None, device=None)", "", kCreates)
EG_OP(
    +[](Scalar start, Scalar end, int64_t steps, double base, OptDType dtype, OptDevice) {
      const DType t = dtype.value_or(default_dtype());
      check_counts("logspace", t);
      const Tensor powers = linspace(end_point(start, t), end_point(end, t), steps, DType::Float64);
      return cast_data(pow(Tensor(base), powers), t);
    },
    "logspace(start, end, steps, base=10.0, *, dtype=None, device=None)",
    "base to the powers of linspace.", kCreates)
EG_OP(
    +[](const Operand& start, const Operand& end, int64_t, double, OptDType, OptDevice) -> Tensor {
      fail(ErrorKind::Runtime,
           "logspace only supports 0-dimensional start and end tensors, but got ",
           start.tensor.dim(), " and ", end.tensor.dim(), " dimensions");
    },
    "logspace(start, end, steps, base=10.0, *, dtype=None, device=None)", "", kCreates)

Tensor eye(int64_t n, int64_t m, OptDType dtype, OptDevice device) {
  EG_CHECK(n >= 0, "n must be greater or equal to 0, got ", n);
  EG_CHECK(m >= 0, "m must be greater or equal to 0, got ", m);
  Tensor t = filled({n, m}, Scalar(0), dtype.value_or(default_dtype()), device);
  if (std::min(n, m) > 0) fill(alias(t, {std::min(n, m)}, {m + 1}, 0), Scalar(1));
  return t;
}
EG_OP(
    +[](Scalar s, OptDType dtype, OptDevice device) {
      const DType t = dtype.value_or(default_dtype());
      check_fits("scalar_tensor", s, t);
      return filled({}, s, t, device);
    },
    "scalar_tensor(s, *, dtype=None, device=None)", "A 0-d tensor of a number.", kCreates)
EG_OP(&promote, "promote_types(type1, type2)", "The smallest dtype that both convert to.",
      kFunctionOnly)
EG_OP(
    +[](const Operand& a, const Operand& b) { return result_type(a, b); },
    "result_type(tensor1, tensor2)",
    "The dtype of an arithmetic operation of the two (tensors or numbers).", kFunctionOnly)
EG_OP(
    +[](int64_t n, OptDType dtype, OptDevice device) { return eye(n, n, dtype, device); },
    "eye(n, *, dtype=None, device=None)", "Identity matrix.", kCreates)
EG_OP(&eye, "eye(n, m, *, dtype=None, device=None)", "Ones on the diagonal.", kCreates)

}  // namespace

Tensor arange(int64_t n) { return sequence({true, 0, 1, 0, 0, 0, n, n}, DType::Int64); }

}  // namespace eg
