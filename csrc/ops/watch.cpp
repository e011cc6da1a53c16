#include "ops/watch.h"

#include <algorithm>
#include <cmath>

#include "ops/copy.h"
#include "ops/ops.h"
#include "ops/row_sparse.h"

namespace eg {

std::atomic<bool> watching{false};
static std::atomic<Response> on_nan{Response::Ignore}, on_inf{Response::Ignore};

Watch watched() { return {on_nan, on_inf}; }
void set_watch(Watch watch) {
  on_nan = watch.nan;
  on_inf = watch.inf;
  watching = watch.nan != Response::Ignore || watch.inf != Response::Ignore;
}

namespace {

// Whether an exponent is all ones, in whole vectors: the mask has the exponent's bits.
template <class Bits>
bool holds_special(const char* data, int64_t n, Bits mask) {
  const auto* p = reinterpret_cast<const Bits*>(data);
  constexpr int64_t kBlock = 512;
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    Bits found = 0;
    for (int64_t k = 0; k < kBlock; ++k) found |= Bits((p[i + k] & mask) == mask);
    if (found) return true;
  }
  for (; i < n; ++i)
    if ((p[i] & mask) == mask) return true;
  return false;
}

bool is_finite(const Tensor& given) {
  // On a device a number alone comes back: NaN and infinity times 0 are NaN.
  if (!given.device().is_cpu()) {
    const Tensor zero = scalar_tensor(0.0, DType::Float64, true);
    return sum(binary(Binary::mul, given.detach(), zero)).item().to_double() == 0;
  }
  const Tensor t = contiguous_data(given);
  const char* p = t.raw();
  switch (t.dtype()) {
    case DType::Float64:
      return !holds_special<uint64_t>(p, t.numel(), 0x7ff0000000000000);
    case DType::Float32:
      return !holds_special<uint32_t>(p, t.numel(), 0x7f800000);
    case DType::BFloat16:
      return !holds_special<uint16_t>(p, t.numel(), 0x7f80);
    default:
      return !holds_special<uint16_t>(p, t.numel(), 0x7c00);
  }
}

// What a tensor's values are like.
struct Values {
  int64_t nan = 0, inf = 0;
  int64_t first_nan = -1, first_inf = -1;
  double low = HUGE_VAL, high = -HUGE_VAL;
};

Values values_of(const Tensor& t, bool range) {
  Values v;
  if (!range && is_finite(t)) return v;
  const Tensor wide = contiguous_data(cast_data(host_data(t), DType::Float64));
  const double* p = wide.data<double>();
  for (int64_t i = 0; i < wide.numel(); ++i) {
    if (p[i] != p[i]) {
      if (!v.nan++) v.first_nan = i;
    } else if (std::isinf(p[i])) {
      if (!v.inf++) v.first_inf = i;
    } else {
      v.low = std::min(v.low, p[i]);
      v.high = std::max(v.high, p[i]);
    }
  }
  return v;
}

// Those of a row-sparse tensor; undefined where there are none to look at.
Tensor float_values(const Tensor& t) {
  if (!t.defined()) return t;
  if (const auto rows = row_parts(t)) return float_values(rows->values);
  return t.is_floating() && t->storage ? t : Tensor();
}

std::string kind_of(const Tensor& t) { return str(t.dtype(), t.sizes()); }

std::string position(const Tensor& t, int64_t flat) {
  Dims at;
  for (int64_t d = t.dim(); d-- > 0; flat /= t.sizes()[d]) at.insert(0, flat % t.sizes()[d]);
  return str(IntSpan(at));
}

struct Category {
  const char* name;
  Response response;
  int64_t Values::* count;
  int64_t Values::* first;
};

}  // namespace

bool has_nan(const Tensor& t) {
  const Tensor values = float_values(t);
  return values.defined() && values_of(values, false).nan > 0;
}

bool has_nan_or_inf(const Tensor& t) {
  const Tensor values = float_values(t);
  return values.defined() && !is_finite(values);
}

void watch_results(const std::string& who, const Tensors& results, const Tensors& inputs,
                   const Site& site) {
  const Category categories[] = {{"nan", on_nan, &Values::nan, &Values::first_nan},
                                 {"inf", on_inf, &Values::inf, &Values::first_inf}};
  for (const Tensor& given : results) {
    const Tensor result = float_values(given);
    if (!result.defined()) continue;
    const Values values = values_of(result, false);
    for (const Category& c : categories) {
      if (c.response == Response::Ignore || values.*c.count == 0) continue;
      bool came_in = false;
      std::string operands;
      for (const Tensor& input : inputs) {
        const Tensor x = float_values(input);
        if (!x.defined()) continue;
        const Values seen = values_of(x, true);
        came_in |= seen.*c.count > 0;
        operands += str(operands.empty() ? "; of " : " and ", kind_of(x));
        if (seen.low <= seen.high) operands += str(" from ", seen.low, " to ", seen.high);
        if (seen.nan) operands += str(" with ", seen.nan, " nan");
        if (seen.inf) operands += str(" with ", seen.inf, " inf");
      }
      const std::string message =
          str("[", who, "] ", came_in ? "passed on" : "made", " ", c.name, ": ", values.*c.count,
              " of ", result.numel(), " values of ", kind_of(result), ", the first at ",
              position(result, values.*c.first), operands, "; at ", site.describe());
      if (c.response == Response::Raise) fail(ErrorKind::FloatingPoint, message);
      if (warn_user) warn_user(message);
    }
  }
}

}  // namespace eg
