// Random numbers and what is made of them. Every result depends on the seed and the number of values drawn before, not on threads.
#include "ops/random.h"

#include <cmath>
#include <limits>

#include "core/parallel.h"
#include "kernels/random.h"
#include "kernels/sort.h"
#include "ops/index.h"
#include "ops/ops.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {
namespace {

using OptDType = std::optional<DType>;
using OptDevice = std::optional<Device>;

// A stretch of the generator's stream, for n values of which a counter gives `each`; made in parts on several threads.
template <class F>
void from_stream(int64_t n, int64_t each, Generator* g, F make) {
  Generator& generator = g ? *g : default_generator();
  const uint64_t seed = generator.initial_seed();
  const uint64_t offset = generator.advance(uint64_t((n + each - 1) / each));
  const RandomKernels& k = kernels<RandomKernels>();
  parallel_for(n, kParallelGrain / 4,
               [&](int64_t begin, int64_t end) { make(k, seed, offset, begin, end - begin); });
}

// n values of one stream, in order.
void draw(Draw what, bool wide, int64_t n, void* out, Generator* g) {
  const bool eight = wide || what == Draw::Bits64;
  from_stream(
      n, eight ? 2 : 4, g,
      [&](const RandomKernels& k, uint64_t seed, uint64_t offset, int64_t begin, int64_t count) {
        k.draw(what, wide, seed, offset, begin, count,
               static_cast<char*>(out) + begin * (eight ? 8 : 4));
      });
}

Tensor draw_float(Draw what, IntSpan sizes, DType dtype, Generator* g) {
  EG_CHECK_KIND(NotImplemented, is_floating(dtype),
                "[random] expected a floating point dtype, got ", dtype);
  const bool wide = dtype == DType::Float64;
  Tensor t = empty(sizes, wide ? DType::Float64 : DType::Float32);
  draw(what, wide, t.numel(), t.raw(), g);
  if (what == Draw::Uniform && is_reduced(dtype)) {
    // Only as many bits as the type holds: rounding must not reach 1.
    const Tensor steps(dtype == DType::Float16 ? 2048.0 : 256.0);
    t = div(floor(mul(t, steps)), steps);
  }
  return cast_data(t, dtype);
}

Tensor random_bits(int64_t n, Generator* g) {
  Tensor t = empty({n}, DType::Int64);
  draw(Draw::Bits64, false, n, t.raw(), g);
  return t;
}

}  // namespace

Tensor rand(IntSpan sizes, DType dtype, Generator* g) {
  return draw_float(Draw::Uniform, sizes, dtype, g);
}
Tensor randn(IntSpan sizes, DType dtype, Generator* g) {
  return draw_float(Draw::Normal, sizes, dtype, g);
}

Tensor dropout_mask(IntSpan sizes, DType dtype, double keep, Generator* g) {
  const Tensor mask = empty(sizes, DType::Float32);
  const float below = static_cast<float>(keep);
  const float scale = keep > 0 ? static_cast<float>(1 / keep) : 0.f;
  from_stream(
      mask.numel(), 4, g,
      [&](const RandomKernels& k, uint64_t seed, uint64_t offset, int64_t begin, int64_t count) {
        k.keep_mask(seed, offset, begin, count, below, scale, mask.data<float>() + begin);
      });
  return cast_data(mask, dtype);
}

namespace {

// --- factories --------------------------------------------------------------------------------------------------

EG_OP(
    +[](Dims size, Generator* g, OptDType dtype, OptDevice) {
      return rand(size, dtype.value_or(default_dtype()), g);
    },
    "rand(*size, generator=None, dtype=None, device=None)", "Uniform in [0, 1).", kCreates)
EG_OP(
    +[](Dims size, Generator* g, OptDType dtype, OptDevice) {
      return randn(size, dtype.value_or(default_dtype()), g);
    },
    "randn(*size, generator=None, dtype=None, device=None)", "Standard normal.", kCreates)
// A fresh, contiguous draw of input's size, seen in the order in which input's elements lie.
Tensor lies_as(const Tensor& input, const Tensor& draw) {
  if (input.is_contiguous()) return draw;
  return make_view(draw, input.sizes(), result_strides(input), 0);
}
EG_OP(
    +[](const Tensor& input, OptDType dtype, OptDevice, Generator* g) {
      return lies_as(input, rand(input.sizes(), dtype.value_or(input.dtype()), g));
    },
    "rand_like(input, *, dtype=None, device=None, generator=None)",
    "Uniform in [0, 1), in the input's shape.", kCreates | kFunctionOnly)
EG_OP(
    +[](const Tensor& input, OptDType dtype, OptDevice, Generator* g) {
      return lies_as(input, randn(input.sizes(), dtype.value_or(input.dtype()), g));
    },
    "randn_like(input, *, dtype=None, device=None, generator=None)",
    "Standard normal, in the input's shape.", kCreates | kFunctionOnly)

// Uniform in [low, high).
Tensor integers(IntSpan sizes, int64_t low, int64_t high, Generator* g) {
  EG_CHECK(low < high, "random_ expects 'from' to be less than 'to', but got from=", low,
           " >= to=", high);
  const Tensor t = empty(sizes, DType::Int64);
  from_stream(
      t.numel(), 2, g,
      [&](const RandomKernels& k, uint64_t seed, uint64_t offset, int64_t begin, int64_t count) {
        k.integers(seed, offset, begin, count, low, uint64_t(high) - uint64_t(low),
                   t.data<int64_t>() + begin);
      });
  return t;
}

void check_holds(int64_t low, int64_t high, DType t) {
  constexpr int64_t most[kDTypes] = {1,         255,   127,       32767,     INT32_MAX,
                                     INT64_MAX, 65504, INT64_MAX, INT64_MAX, INT64_MAX};
  constexpr int64_t least[kDTypes] = {0,         0,      -128,      -32768,    INT32_MIN,
                                      INT64_MIN, -65504, INT64_MIN, INT64_MIN, INT64_MIN};
  EG_CHECK(low >= least[int(t)] && high - 1 <= most[int(t)],
           "from and to - 1 are out of bounds for ", t, ": got ", low, " and ", high);
}
Tensor randint(int64_t low, int64_t high, Dims size, Generator* g, OptDType dtype, OptDevice) {
  const DType t = dtype.value_or(DType::Int64);
  check_holds(low, high, t);
  return cast_data(integers(size, low, high, g), t);
}
EG_OP(
    +[](int64_t high, Dims size, Generator* g, OptDType dtype, OptDevice device) {
      return randint(0, high, size, g, dtype, device);
    },
    "randint(high, size, *, generator=None, dtype=None, device=None)",
    "Whole numbers in [0, high).", kCreates)
EG_OP(&randint, "randint(low, high, size, *, generator=None, dtype=None, device=None)",
      "Whole numbers in [low, high).", kCreates)
EG_OP(
    +[](const Tensor& input, int64_t high, Generator* g, OptDType dtype, OptDevice device) {
      const DType t = dtype.value_or(input.dtype());
      return lies_as(input, randint(0, high, input.sizes(), g, t, device));
    },
    "randint_like(input, high, *, generator=None, dtype=None, device=None)",
    "Whole numbers in [0, high), in the input's shape.", kCreates | kFunctionOnly)
EG_OP(
    +[](const Tensor& input, int64_t low, int64_t high, Generator* g, OptDType dtype,
        OptDevice device) {
      const DType t = dtype.value_or(input.dtype());
      return lies_as(input, randint(low, high, input.sizes(), g, t, device));
    },
    "randint_like(input, low, high, *, generator=None, dtype=None, device=None)",
    "Whole numbers in [low, high), in the input's shape.", kCreates | kFunctionOnly)

Tensor randperm(int64_t n, Generator* g, OptDType dtype, OptDevice) {
  EG_CHECK(n >= 0, "n must be non-negative, got ", n);
  EG_CHECK_KIND(NotImplemented, dtype != DType::Bool, "[randperm] not implemented for bool");
  const Tensor bits = random_bits(n, g), t = empty({n}, DType::Int64);
  kernels<RandomKernels>().permute(reinterpret_cast<const uint64_t*>(bits.raw()), n,
                                   t.data<int64_t>());
  return cast_data(t, dtype.value_or(DType::Int64));
}
EG_OP(&randperm, "randperm(n, *, generator=None, dtype=None, device=None)",
      "A random order of 0 .. n - 1.", kCreates)

// --- distributions ---------------------------------------------------------------------------------------------

void scale_and_shift(const Tensor& drawn, double scale, double shift) {
  if (scale != 1) binary_(Binary::mul, drawn, Tensor(scale));
  if (shift != 0) binary_(Binary::add, drawn, Tensor(shift));
}

void check_std(const Tensor& std) {
  if (std.numel())
    require(ge(amin(std.detach(), {}), Tensor(0.0)),
            {ErrorKind::Runtime, "normal", "normal expects all elements of std >= 0.0"});
}
// What was drawn by parameters is a function of them whose gradient is 0.
Tensor without_gradient(const Tensor& drawn, const Tensor& a, const Tensor& b) {
  Tensor y = drawn;
  for (const Tensor& t : {a, b})
    if (grad_enabled() && t.requires_grad()) y = where(full({}, Scalar(false), DType::Bool), t, y);
  return y;
}
Tensor normal(const Tensor& mean, const Tensor& std, Generator* g) {
  check_std(std);
  const DType common = result_type(mean, std), t = float_type(common);
  EG_CHECK_KIND(NotImplemented, is_floating(common), "[normal] not implemented for ", common);
  const auto drawn = [&] {
    GradMode off(false);
    return add(mul(randn(broadcast_shapes(mean.sizes(), std.sizes()), t, g), std), mean);
  };
  return without_gradient(drawn(), mean, std);
}
EG_OP(
    +[](const Tensor& mean, const Operand& std, Generator* g) { return normal(mean, std, g); },
    "normal(mean, std=1.0, *, generator=None)", "Normal with the given means and deviations.",
    kOutCasts | kFunctionOnly)
EG_OP(
    +[](double mean, const Tensor& std, Generator* g) {
      EG_CHECK_KIND(NotImplemented, std.is_floating(), "[normal] not implemented for ",
                    std.dtype());
      return normal(Tensor(mean), std, g);
    },
    "normal(mean, std, *, generator=None)", "Normal with the given means and deviations.",
    kOutCasts | kFunctionOnly)
EG_OP(
    +[](double mean, double std, Dims size, Generator* g, OptDType dtype, OptDevice) {
      EG_CHECK(std >= 0, "normal expects std >= 0.0, but found std ", std);
      const Tensor drawn = randn(size, dtype.value_or(default_dtype()), g);
      scale_and_shift(drawn, std, mean);
      return drawn;
    },
    "normal(mean, std, size, *, generator=None, dtype=None, device=None)",
    "Normal with one mean and deviation.", kCreates)

void check_probabilities(const Tensor& p, const char* op) {
  if (p.numel() == 0) return;
  const Tensor d = p.detach();
  const DeviceScope scope(p.device());
  if (!p.device().is_cpu())
    return require(ge(amin(d, {}), Tensor(0.0)) & le(amax(d, {}), Tensor(1.0)),
                   {ErrorKind::Runtime, op, "Expected p_in >= 0 && p_in <= 1 to be true"});
  const double low = amin(d, {}).item().to_double(), high = amax(d, {}).item().to_double();
  EG_CHECK(low >= 0 && high <= 1, "[", op,
           "] Expected p_in >= 0 && p_in <= 1 to be true, but got values in [", low, ", ", high,
           "]");
}
Tensor bernoulli(const Tensor& p, IntSpan sizes, DType dtype, Generator* g) {
  check_probabilities(p, "bernoulli");
  GradMode off(false);
  return to(lt(rand(sizes, DType::Float64, g), p), dtype);
}
EG_OP(
    +[](const Tensor& input, Generator* g) {
      EG_CHECK_KIND(NotImplemented, input.is_floating(),
                    "[bernoulli] expected probabilities in a floating point tensor, got ",
                    input.dtype());
      return without_gradient(bernoulli(input, input.sizes(), input.dtype(), g), input, Tensor(0));
    },
    "bernoulli(input, *, generator=None)", "0 or 1, with the probabilities given.", kOutCasts)
EG_OP(
    +[](const Tensor& input, double p, Generator* g) {
      return bernoulli(Tensor(p), input.sizes(), input.dtype(), g);
    },
    "bernoulli(input, p, *, generator=None)", "0 or 1, with one probability.", kOutCasts)

// Positions in rows of running sums, which values of the same rows search.
Tensor search_rows(const Tensor& sums, const Tensor& values, bool right) {
  Tensor out = empty(values.sizes(), DType::Int64);
  kernels<SortKernels>().search(DType::Float64, sums.raw(), nullptr, sums.size(1), values.raw(),
                                values.size(0), values.size(1), false, right, out.data<int64_t>());
  return out;
}

// multinomial() of all rows at once, for a GPU.
Tensor draw_rows(const Tensor& w, int64_t count, bool replacement, Generator* g) {
  const DeviceScope scope(w.device());
  GradMode off(false);
  const int64_t rows = w.size(0), n = w.size(1);
  const Tensor zero(0.0), infinite(std::numeric_limits<double>::infinity());
  const Tensor positive = gt(w, zero);
  require(ge(w, zero) & lt(w, infinite),
          {ErrorKind::Runtime, "multinomial",
           "probability tensor contains either `inf`, `nan` or element < 0"});
  require(ge(sum(positive, {1}), Tensor(Scalar(replacement ? 1 : count))),
          {ErrorKind::Runtime, "multinomial",
           "invalid multinomial distribution (not enough probabilities > 0 in a row)"});
  if (replacement) {
    const Tensor sums = contiguous_data(cumsum(w, 1));
    const Tensor total = contiguous_data(narrow(sums, 1, n - 1, 1));
    const Tensor wanted = mul(rand({rows, count}, DType::Float64, g), total);
    return minimum(search_rows(sums, wanted, true), search_rows(sums, total, false));
  }
  const Tensor u = rand({rows, n}, DType::Float64, g);
  const Tensor keys = where(positive, div(neg(log1p(neg(u))), w), infinite);
  Tensor best = empty({rows, count}, DType::Float64), out = empty({rows, count}, DType::Int64);
  kernels<SortKernels>().topk(DType::Float64, keys.raw(), best.raw(), out.data<int64_t>(), rows, n,
                              count, false);
  return out;
}

// Rows of weights; the inverse of the cumulated sum, or, without replacement, the largest of log(u) / w (Efraimidis and
// Spirakis, 2006).
Tensor multinomial(const Tensor& input, int64_t count, bool replacement, Generator* g) {
  EG_CHECK(input.dim() == 1 || input.dim() == 2, "prob_dist must be 1 or 2 dim, got shape ",
           IntSpan(input.sizes()));
  EG_CHECK_KIND(NotImplemented, input.is_floating(),
                "multinomial only supports floating-point dtypes for input, got ", input.dtype());
  EG_CHECK(count > 0, "cannot sample n_sample <= 0 samples, got ", count);
  const int64_t n = input.sizes().back(), rows = input.dim() == 2 ? input.sizes()[0] : 1;
  EG_CHECK(replacement || count <= n,
           "cannot sample n_sample > prob_dist.size(-1) samples without replacement");
  if (!input.device().is_cpu() && input.numel()) {
    const Tensor w = contiguous_data(cast_data(input.detach(), DType::Float64));
    const Tensor drawn = draw_rows(view(w, {rows, n}), count, replacement, g);
    return input.dim() == 1 ? view(drawn, {count}) : drawn;
  }
  const Tensor weights = contiguous_data(cast_data(input.detach(), DType::Float64));
  const Tensor u = rand({rows, replacement ? count : n}, DType::Float64, g);
  Tensor out = empty({rows, count}, DType::Int64);
  std::vector<std::pair<double, int64_t>> keys(size_t(replacement ? 0 : n));
  std::vector<double> sums(size_t(n), 0.0);
  for (int64_t r = 0; r < rows; ++r) {
    const double *w = weights.data<double>() + r * n,
                 *v = u.data<double>() + r * (replacement ? count : n);
    int64_t* o = out.data<int64_t>() + r * count;
    double total = 0;
    int64_t positive = 0, last = -1;
    for (int64_t i = 0; i < n; ++i) {
      EG_CHECK(w[i] >= 0 && std::isfinite(w[i]),
               "probability tensor contains either `inf`, `nan` or element < 0: ", w[i], " at row ",
               r, ", column ", i);
      total += w[i];
      sums[size_t(i)] = total;
      if (w[i] > 0) ++positive, last = i;
    }
    EG_CHECK(total > 0, "invalid multinomial distribution (sum of probabilities <= 0) in row ", r);
    if (replacement) {
      for (int64_t k = 0; k < count; ++k) {
        const auto at = std::upper_bound(sums.begin(), sums.end(), v[k] * total);
        o[k] = std::min<int64_t>(at - sums.begin(), last);
      }
      continue;
    }
    EG_CHECK(count <= positive,
             "invalid multinomial distribution (with replacement=False, not enough "
             "non-negative category to sample) in row ",
             r);
    for (int64_t i = 0; i < n; ++i)
      keys[size_t(i)] = {
          w[i] > 0 ? -std::log1p(-v[i]) / w[i] : std::numeric_limits<double>::infinity(), i};
    std::partial_sort(keys.begin(), keys.begin() + count, keys.end());
    for (int64_t k = 0; k < count; ++k) o[k] = keys[size_t(k)].second;
  }
  return input.dim() == 1 ? alias(out, {count}, {1}, 0) : out;
}
EG_OP(&multinomial, "multinomial(input, num_samples, replacement=False, *, generator=None)",
      "Indices drawn with the weights of each row.", kOut)

// One of a distribution for each of the parameters, contiguous doubles; b may be undefined.
Tensor sampled(Sample what, const Tensor& a, const Tensor& b, Generator* g) {
  const Tensor seeds = random_bits(a.numel(), g), out = empty(a.sizes(), DType::Float64);
  kernels<RandomKernels>().sample(what, a.data<double>(), b.defined() ? b.data<double>() : nullptr,
                                  reinterpret_cast<const uint64_t*>(seeds.raw()), a.numel(),
                                  out.data<double>());
  return out;
}

// g times the slopes, which depend on the shapes in a way that is not written down: recorded as made of them, so that a
// second derivative is refused and not left out.
struct LogGammaGrad {
  static constexpr const char* name = "LogGammaGrad";
  Tensor forward(Context& ctx, const Tensor& g, const Tensor& /*shape*/, const Tensor& slope) {
    ctx.save(slope);
    return mul(g, slope);
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    EG_CHECK_KIND(NotImplemented, !ctx.needs(1),
                  "the second derivative of gamma samples by their concentration is not "
                  "implemented");
    return {mul(g, ctx.saved(0)), Tensor(), Tensor()};
  }
};

struct LogGamma {
  static constexpr const char* name = "LogGamma";
  Tensor forward(Context& ctx, const Tensor& shape) {
    const Tensor a = contiguous_data(cast_data(shape, DType::Float64));
    const Tensor z = sampled(Sample::LogGamma, a, Tensor(), nullptr);
    if (ctx.needs(0)) {
      const Tensor slope = empty(a.sizes(), DType::Float64);
      kernels<RandomKernels>().log_gamma_slope(a.data<double>(), z.data<double>(), a.numel(),
                                               slope.data<double>());
      ctx.save(shape);
      ctx.save(cast_data(slope, shape.dtype()));
    }
    return cast_data(z, shape.dtype());
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    return {eg::apply(LogGammaGrad{}, g, ctx.saved(0), ctx.saved(1))};
  }
};
EG_OP(
    +[](const Tensor& input) {
      EG_CHECK_KIND(NotImplemented, input.is_floating(),
                    "[log_gamma] expected floating point shapes, got ", input.dtype());
      return eg::apply(LogGamma{}, input);
    },
    "_log_gamma(input)",
    "The logarithm of a standard gamma number of each shape; its gradient by the shape.", kInternal)
EG_OP(
    +[](const Tensor& input, const Tensor& log_z) {
      const Tensor a = contiguous_data(cast_data(input, DType::Float64));
      const Tensor z = contiguous_data(cast_data(log_z, DType::Float64));
      EG_CHECK(a.sizes() == z.sizes(), "[log_gamma_slope] expected tensors of one shape, got ",
               a.sizes(), " and ", z.sizes());
      const Tensor slope = empty(a.sizes(), DType::Float64);
      kernels<RandomKernels>().log_gamma_slope(a.data<double>(), z.data<double>(), a.numel(),
                                               slope.data<double>());
      return slope;
    },
    "_log_gamma_slope(input, log_z)", "Derivative of _log_gamma() by the shape.", kInternal)
EG_OP(
    +[](const Tensor& count, const Tensor& probs, Generator* g) {
      EG_CHECK(count.sizes() == probs.sizes() && probs.is_floating(),
               "[binomial] expected floating point probabilities of the shape of count, ",
               count.sizes(), ", got ", probs.sizes(), " ", probs.dtype());
      const Tensor n = contiguous_data(cast_data(count.detach(), DType::Float64));
      const Tensor p = contiguous_data(cast_data(probs.detach(), DType::Float64));
      return cast_data(sampled(Sample::Binomial, n, p, g), probs.dtype());
    },
    "_binomial(count, probs, generator=None)",
    "How many of `count` draws succeed, each with the probability given.", kInternal)

EG_OP(
    +[](const Tensor& input, Generator* g) {
      EG_CHECK_KIND(NotImplemented, input.is_floating(),
                    "[von_mises] expected floating point concentrations, got ", input.dtype());
      const DeviceScope scope(input.device());
      const Tensor k = contiguous_data(cast_data(input.detach(), DType::Float64));
      return cast_data(sampled(Sample::VonMises, k, Tensor(), g), input.dtype());
    },
    "_von_mises(input, generator=None)",
    "An angle around 0 for each concentration, by the von Mises distribution.", kInternal)

Tensor poisson(const Tensor& input, Generator* g) {
  EG_CHECK_KIND(NotImplemented, input.is_floating(),
                "[poisson] expected rates in a floating point tensor, got ", input.dtype());
  const DeviceScope scope(input.device());
  const Tensor rates = contiguous_data(cast_data(input.detach(), DType::Float64));
  if (rates.numel())
    require(
        ge(amin(rates, {}), Tensor(0.0)),
        {ErrorKind::Runtime, "poisson", "invalid Poisson rate, expected rate to be non-negative"});
  return cast_data(sampled(Sample::Poisson, rates, Tensor(), g), input.dtype());
}
EG_OP(&poisson, "poisson(input, generator=None)", "Poisson with the rates given.")

// --- in place -------------------------------------------------------------------------------------------------------

Tensor filled_with(const Tensor& self, const Tensor& values) {
  Tensor target = self;
  return copy_(target, values);
}
DType draw_type(const Tensor& self, const char* op) {
  EG_CHECK_KIND(NotImplemented, self.is_floating(), "[", op,
                "] expected a floating point tensor, got ", self.dtype());
  return self.dtype() == DType::Float64 ? DType::Float64 : DType::Float32;
}
// Draws straight into self's memory where it takes the numbers as they come: a layer's first weights need no second array.
// `finish` then changes the numbers in place.
template <class F>
Tensor drawn_into(const Tensor& self, const char* op, Draw what, Generator* g, F finish) {
  const DType t = draw_type(self, op);
  check_inplace(self, op);
  const bool direct = self.is_contiguous() && self.dtype() == t;
  const Tensor values = direct ? self.detach() : empty(self.sizes(), t);
  draw(what, t == DType::Float64, values.numel(), values.raw(), g);
  finish(values);
  if (!direct) return filled_with(self, values);
  rewrite_history(self, values);
  return self;
}
// f(u) of one uniform number an element, a double.
template <class F>
Tensor transformed(const Tensor& self, const char* op, Generator* g, F f) {
  draw_type(self, op);
  check_inplace(self, op);
  return filled_with(self, f(rand(self.sizes(), DType::Float64, g)));
}

EG_OP(
    +[](const Tensor& input, double low, double high, Generator* g) {
      EG_CHECK(low <= high, "uniform_ expects to return a [from, to) range, but found from=", low,
               " > to=", high);
      return drawn_into(input, "uniform_", Draw::Uniform, g,
                        [=](const Tensor& drawn) { scale_and_shift(drawn, high - low, low); });
    },
    "uniform_(input, from=0.0, to=1.0, *, generator=None)", "Uniform in [from, to).", kMethodOnly)
EG_OP(
    +[](const Tensor& input, double mean, double std, Generator* g) {
      EG_CHECK(std >= 0, "normal_ expects std >= 0.0, but found std ", std);
      return drawn_into(input, "normal_", Draw::Normal, g,
                        [=](const Tensor& drawn) { scale_and_shift(drawn, std, mean); });
    },
    "normal_(input, mean=0.0, std=1.0, *, generator=None)", "Normal.", kMethodOnly)
EG_OP(
    +[](const Tensor& input, double lambd, Generator* g) {
      EG_CHECK(lambd > 0, "exponential_ expects lambda > 0.0, but found lambda=", lambd);
      return transformed(input, "exponential_", g,
                         [=](const Tensor& u) { return div(log1p(neg(u)), Tensor(-lambd)); });
    },
    "exponential_(input, lambd=1.0, *, generator=None)", "Exponential.", kMethodOnly)
EG_OP(
    +[](const Tensor& input, double median, double sigma, Generator* g) {
      EG_CHECK(sigma > 0, "cauchy_ expects sigma > 0.0, but found sigma=", sigma);
      return transformed(input, "cauchy_", g, [=](const Tensor& u) {
        const Tensor angle = mul(sub(u, Tensor(0.5)), Tensor(3.141592653589793));
        return add(mul(tan(angle), Tensor(sigma)), Tensor(median));
      });
    },
    "cauchy_(input, median=0.0, sigma=1.0, *, generator=None)", "Cauchy.", kMethodOnly)
EG_OP(
    +[](const Tensor& input, double mean, double std, Generator* g) {
      EG_CHECK(std > 0, "log_normal_ expects std > 0.0, but found std=", std);
      return drawn_into(input, "log_normal_", Draw::Normal, g, [=](const Tensor& drawn) {
        scale_and_shift(drawn, std, mean);
        unary_(Unary::exp, drawn);
      });
    },
    "log_normal_(input, mean=1.0, std=2.0, *, generator=None)", "Log-normal.", kMethodOnly)
EG_OP(
    +[](const Tensor& input, double p, Generator* g) {
      EG_CHECK(p > 0 && p < 1, "geometric_ expects p to be in (0, 1), but got p=", p);
      EG_CHECK_KIND(NotImplemented, input.dtype() != DType::Bool,
                    "[geometric_] not implemented for bool");
      const double rate = std::log1p(-p);
      check_inplace(input, "geometric_");
      const Tensor u = rand(input.sizes(), DType::Float64, g);
      const Tensor trials = ceil(div(log1p(neg(u)), Tensor(rate)));
      return filled_with(input, maximum(trials, Tensor(1.0)));
    },
    "geometric_(input, p, *, generator=None)", "Geometric, from 1.", kMethodOnly)
EG_OP(
    +[](const Tensor& input, const Operand& p, Generator* g) {
      check_inplace(input, "bernoulli_");
      EG_CHECK(is_expandable_to(p.tensor.sizes(), input.sizes()), "[bernoulli_] p of shape ",
               IntSpan(p.tensor.sizes()), " does not broadcast to ", IntSpan(input.sizes()));
      return filled_with(input, bernoulli(p, input.sizes(), input.dtype(), g));
    },
    "bernoulli_(input, p=0.5, *, generator=None)", "0 or 1.", kMethodOnly)
EG_OP(
    +[](const Tensor& input, std::optional<int64_t> from, std::optional<int64_t> to_,
        Generator* g) {
      // One bound is the upper one; none: all numbers the type counts exactly.
      constexpr int64_t exact[kDTypes] = {2,         256,  128, 32768,    int64_t(1) << 31,
                                          INT64_MAX, 2049, 257, 16777217, 9007199254740993};
      int64_t low = 0, high = exact[int(input.dtype())];
      if (from && to_) {
        low = *from;
        high = *to_;
      } else if (from) {
        high = *from;
      }
      check_inplace(input, "random_");
      check_holds(low, high, input.dtype());
      return filled_with(input, integers(input.sizes(), low, high, g));
    },
    "random_(input, from=None, to=None, *, generator=None)", "Whole numbers in [from, to).",
    kMethodOnly)

// --- dropout ----------------------------------------------------------------------------------------------------------

Tensor dropout(const Tensor& x, double p, bool training, IntSpan mask_sizes) {
  EG_CHECK_VALUE(p >= 0 && p <= 1, "dropout probability has to be between 0 and 1, but got ", p);
  if (!training || p == 0 || x.numel() == 0) return x;
  EG_CHECK(x.is_floating(), "result type Float can't be cast to the desired output type ",
           x.dtype());
  return mul(x, dropout_mask(mask_sizes, x.dtype(), 1 - p, nullptr));
}
EG_OP(
    +[](const Tensor& input, double p, bool train) {
      return dropout(input, p, train, input.sizes());
    },
    "dropout(input, p, train)",
    "Zeroes elements with probability p and scales the rest by 1 / (1 - p).", kInplace)
// Whole channels: one draw for each element of the first two dimensions (of the first for unbatched input).
EG_OP(
    +[](const Tensor& input, double p, bool train) {
      EG_CHECK(input.dim() >= 2, "Feature dropout requires at least 2 dimensions in the input");
      Dims mask = input.sizes();
      for (size_t d = 2; d < mask.size(); ++d) mask[d] = 1;
      return dropout(input, p, train, mask);
    },
    "feature_dropout(input, p, train)", "Zeroes whole channels.", kInplace)

}  // namespace
}  // namespace eg
