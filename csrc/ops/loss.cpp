// Losses: those that are one pass over their input. The others are composed in eagergrad/nn/functional/loss.py.
#include <array>
#include <cmath>

#include "core/late.h"
#include "ops/creation.h"
#include "ops/index.h"
#include "ops/ops.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/terms.h"
#include "tape/function.h"

namespace eg {
namespace {

Tensor reduced(const Tensor& values, const std::string& reduction) {
  if (reduction == "mean") return mean(values, {});
  if (reduction == "sum") return sum(values);
  EG_CHECK_VALUE(reduction == "none", reduction, " is not a valid value for reduction");
  return values;
}
Tensor reduced(const Tensor& values, const std::string& reduction, const char* title) {
  return named(reduced(values, reduction), title);
}

// --- classes ---------------------------------------------------------------------------------------------------

// Class indices as dense int64, all in range or equal to ignore.
struct Targets {
  Tensor classes;
  int64_t ignore;
  int64_t ignored = 0;  // how many, where the host knows
  Tensor kept;          // else how many are not

  Targets(const char* op, const Tensor& input, const Tensor& target, int64_t count, int64_t ignore)
      : ignore(ignore) {
    OpDevice device(op);
    device.add(input);
    device.add(target);
    EG_CHECK(target.dtype() == DType::Int64 || target.dtype() == DType::UInt8, "[", op,
             "] expected class indices of dtype int64 or uint8 as target, got ", target.dtype(),
             "; convert them with .long()");
    const Tensor dense =
        contiguous_data(device_data(cast_data(target, DType::Int64), input.device()));
    classes = alias(dense, {dense.numel()}, {1}, dense.offset());
    if (!classes.device().is_cpu()) {
      settle(op, count);
      return;
    }
    int64_t wrong;
    kernels<SoftmaxKernels>().check_targets(classes.data<int64_t>(), classes.numel(), count, ignore,
                                            &wrong, &ignored);
    EG_CHECK_INDEX(wrong == classes.numel(), "[", op, "] Target ",
                   alias(classes, {}, {}, classes.offset() + wrong).item().to_int(),
                   " is out of bounds: expected a class in [0, ", count, "), at position ", wrong);
  }
  void settle(const char* op, int64_t count) {
    const DeviceScope scope(classes.device());
    EG_CHECK_INDEX(count > 0 || rows() == 0, "[", op, "] expected at least one class");
    const Tensor settled = empty(classes.sizes(), DType::Int64);
    kept = empty({}, DType::Int64);
    kernels<SoftmaxKernels>().settle_targets(
        classes.data<int64_t>(), rows(), count, ignore, settled.data<int64_t>(),
        kept.data<int64_t>(), late_errors->number({ErrorKind::Index, op, "Target", 1}));
    classes = settled;
  }
  int64_t rows() const { return classes.numel(); }
  // Whether the host knows that no row is ignored.
  bool whole() const { return !kept.defined() && ignored == 0; }
  // The mean of losses that are 0 where the target is ignored.
  Tensor mean_of(const Tensor& losses) const {
    const DType wide = is_reduced(losses.dtype()) ? DType::Float32 : losses.dtype();
    return to(div(sum(to(losses, wide)), cast_data(kept, wide)), losses.dtype());
  }
  // Whether each row counts.
  Tensor present() const { return ne(classes, Tensor(Scalar(ignore))); }
  // A class for every row, 0 where it is ignored.
  Tensor safe() const { return whole() ? classes : where(present(), classes, Tensor(0)); }
  // What lines have in their class's place; classes: one for each line.
  Tensor picked(const Tensor& lines, const Tensor& classes) const {
    Dims one = lines.sizes();
    one[1] = 1;
    return view(gather(lines, 1, view(classes, one)), {rows()});
  }
  // Weight of each row, 0 for ignored ones.
  Tensor weights(const std::optional<Tensor>& table, DType t) const {
    if (!table) return cast_data(present(), t);
    return counted(index_select(cast_data(table->detach(), t), 0, safe()));
  }
  // The values of the rows, 0 for ignored ones even where they are infinite.
  Tensor counted(const Tensor& values) const {
    return whole() ? values : where(present(), values, Tensor(0.0));
  }
};

// The two commonest mistakes: classes in the last dimension of the scores, a column of targets.
std::string target_hint(const Tensor& scores, const Dims& wanted, const Tensor& target) {
  const IntSpan ahead(scores.sizes().data(), size_t(scores.dim() - 1));
  if (scores.dim() > 2 && ahead == target.sizes())
    return ". Hint: classes belong in dimension 1; scores.movedim(-1, 1) puts them there";
  Dims column = wanted;
  column.push_back(1);
  return column == target.sizes() ? ". Hint: target.squeeze(-1) would fit" : "";
}

// Scores (N, C, d1, ...) or (C) as lines of classes: (rows, C), or (N, C, d1 ...) where the host finds a line's elements apart
// from each other. The shape of the losses is `sizes`.
struct Classes {
  static constexpr int64_t kAcross = 16;  // as many lines side by side
  Tensor lines;                           // recorded
  Dims sizes;
  int64_t count;
  Classes(const char* op, const Tensor& input, const Tensor& target) {
    EG_CHECK(input.dim() >= 1, "[", op,
             "] expected scores of at least one dimension, got a 0-d tensor");
    const int64_t axis = input.dim() == 1 ? 0 : 1;
    count = input.sizes()[size_t(axis)];
    sizes = input.sizes();
    sizes.erase(size_t(axis));
    if (input.dim() >= 2 && target.dim() >= 1)
      EG_CHECK_VALUE(input.sizes()[0] == target.sizes()[0], "[", op,
                     "] Expected input batch_size (", input.sizes()[0],
                     ") to match target batch_size (", target.sizes()[0], ").");
    const bool single = input.dim() == 1 && target.dim() == 1 && target.numel() == 1;
    EG_CHECK(single || sizes == target.sizes(), "[", op, "] expected a target of shape ",
             IntSpan(sizes), " for scores of shape ", IntSpan(input.sizes()), ", got ",
             IntSpan(target.sizes()), target_hint(input, sizes, target));
    lines = input;
    if (axis == 0) {
      lines = unsqueeze(input, 0);
    } else if (input.dim() > 2) {
      Dims order{0};
      for (int64_t d = 2; d < input.dim(); ++d) order.push_back(d);
      order.push_back(1);
      const int64_t rows = count ? input.numel() / count : 0, n = input.size(0);
      const int64_t each = n ? rows / n : 0;
      const bool across = input.device().is_cpu() && each >= kAcross && input.is_contiguous();
      lines =
          across ? view(input, {n, count, each}) : reshape(permute(input, order), {rows, count});
    }
  }
  // The losses as the caller wants them, under PyTorch's title: images have an op of their own.
  Tensor finished(const Tensor& values, const std::string& reduction) const {
    const bool shaped = reduction == "none" && sizes.size() != 1;
    return named(shaped ? view(values, sizes) : values,
                 sizes.size() > 1 ? "NllLoss2DBackward0" : "NllLossBackward0");
  }
};

void check_weight(const char* op, const std::optional<Tensor>& weight, const Tensor& input,
                  int64_t classes) {
  if (!weight) return;
  EG_CHECK(weight->dim() == 1 && weight->sizes()[0] == classes, "[", op,
           "] weight tensor should be defined either for all ", classes,
           " classes or no classes but got weight tensor of shape: ", IntSpan(weight->sizes()));
  EG_CHECK(weight->dtype() == input.dtype(), "[", op, "] weight: expected scalar type ",
           input.dtype(), " but found ", weight->dtype());
}

Tensor weighted(const Tensor& losses, const Tensor& weights, const std::string& reduction) {
  const Tensor scaled = mul(losses, weights);
  if (reduction == "none") return scaled;
  EG_CHECK_VALUE(reduction == "mean" || reduction == "sum", reduction,
                 " is not a valid value for reduction");
  const Tensor total = sum(scaled);
  return reduction == "sum" ? total : div(total, sum(weights));
}

struct CrossEntropy {
  static constexpr const char* name = "CrossEntropy";
  Targets target;
  double smoothing;
  Tensor forward(Context& ctx, const Tensor& x) {
    const DType type = line_type(x.dtype()), compute = is_reduced(type) ? DType::Float32 : type;
    const Tensor dense = contiguous_data(cast_data(x, type));
    const int64_t rows = target.rows();
    Tensor loss = empty({rows}, compute), lse = empty({2, rows}, compute);
    kernels<SoftmaxKernels>().cross_entropy(type, dense.raw(), target.classes.data<int64_t>(),
                                            target.ignore, smoothing, loss.raw(), lse.raw(),
                                            x.size(0), x.size(1), inner_of(x));
    ctx.save(x);
    ctx.save(lse);
    return cast_data(loss, x.dtype());
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor x = ctx.saved(0);
    if (grad_enabled()) return {composed(x, g)};
    const Tensor lse = ctx.saved(1);
    const DType type = line_type(x.dtype());
    const Tensor dense = contiguous_data(cast_data(x, type)),
                 scale = contiguous_data(cast_data(g, lse.dtype()));
    Tensor gx = empty(x.sizes(), type);
    kernels<SoftmaxKernels>().cross_entropy_backward(
        type, dense.raw(), target.classes.data<int64_t>(), target.ignore, smoothing, lse.raw(),
        scale.raw(), gx.raw(), x.size(0), x.size(1), inner_of(x));
    return {cast_data(gx, x.dtype())};
  }
  static int64_t inner_of(const Tensor& x) { return x.dim() == 2 ? 1 : x.size(2); }
  // (softmax(x) - wanted) g, recorded.
  Tensor composed(const Tensor& x, const Tensor& g) const {
    const int64_t classes = x.size(1);
    Dims one = x.sizes(), all(x.sizes().size(), 1);
    one[1] = 1;
    all[1] = classes;
    const Tensor hit =
        cast_data(eq(view(target.classes, one), view(arange(classes), all)), x.dtype());
    const Tensor wanted = add(mul(hit, Tensor(1 - smoothing)), Tensor(smoothing / double(classes)));
    const Tensor scale = where(target.present(), g, Tensor(0.0));
    return mul(sub(softmax(x, 1), wanted), view(contiguous(scale), one));
  }
};

// Targets that are probabilities of the classes.
Tensor soft_cross_entropy(const Tensor& input, const Tensor& target,
                          const std::optional<Tensor>& weight, const std::string& reduction,
                          double smoothing) {
  EG_CHECK(target.is_floating(),
           "[cross_entropy] Expected floating point type for target with class "
           "probabilities, got ",
           target.dtype());
  const int64_t axis = input.dim() == 1 ? 0 : 1, classes = input.sizes()[size_t(axis)];
  Tensor t = target;
  if (smoothing > 0) t = add(mul(t, Tensor(1 - smoothing)), Tensor(smoothing / double(classes)));
  Tensor terms = mul(log_softmax(input, axis), t);
  if (weight) {
    Dims sizes(size_t(input.dim()), 1);
    sizes[size_t(axis)] = classes;
    terms = mul(terms, view(contiguous(*weight), sizes));
  }
  const Tensor losses = neg(sum(terms, {axis}));
  if (reduction == "mean") {
    const int64_t rows = classes ? input.numel() / classes : 1;
    return div(sum(losses), Tensor(double(rows)));
  }
  return reduced(losses, reduction);
}

Tensor cross_entropy(const Tensor& input, const Tensor& target, std::optional<Tensor> weight,
                     int64_t ignore_index, const std::string& reduction, double label_smoothing) {
  EG_CHECK(label_smoothing >= 0 && label_smoothing <= 1,
           "[cross_entropy] label_smoothing must be between 0.0 and 1.0. Got: ", label_smoothing);
  EG_CHECK_KIND(NotImplemented, input.is_floating(),
                "[cross_entropy] expected floating point scores, got ", input.dtype());
  EG_CHECK(input.dim() >= 1, "[cross_entropy] expected scores of at least one dimension");
  const int64_t classes = input.sizes()[input.dim() == 1 ? 0 : 1];
  check_weight("cross_entropy", weight, input, classes);
  if (target.sizes() == input.sizes() && (target.is_floating() || input.dim() != 1)) {
    EG_CHECK(ignore_index < 0,
             "[cross_entropy] ignore_index is not supported for floating point target");
    return soft_cross_entropy(input, target, weight, reduction, label_smoothing);
  }
  const Classes c("cross_entropy", input, target);
  const Targets t("cross_entropy", input, target, classes, ignore_index);
  const DType dtype = input.dtype();
  if (weight && label_smoothing > 0) {
    // The smoothed part weighs every class by its own weight.
    const Tensor logp = log_softmax(c.lines, 1), w = cast_data(weight->detach(), dtype);
    const Tensor by_class = c.lines.dim() == 3 ? unsqueeze(w, 1) : w;
    const Tensor rows = t.weights(weight, dtype), present = t.weights(std::nullopt, dtype);
    const Tensor hard = mul(neg(t.picked(logp, t.safe())), rows);
    const Tensor soft = mul(neg(view(sum(mul(logp, by_class), {1}), {t.rows()})), present);
    const Tensor losses = add(mul(hard, Tensor(1 - label_smoothing)),
                              mul(soft, Tensor(label_smoothing / double(classes))));
    const Tensor y = reduction == "mean" ? div(sum(losses), sum(rows)) : reduced(losses, reduction);
    return named(c.finished(y, reduction), "AddBackward0");
  }
  const Tensor losses = apply(CrossEntropy{t, label_smoothing}, c.lines);
  Tensor y;
  if (!weight && t.kept.defined() && reduction == "mean")
    y = t.mean_of(losses);
  else if (!weight && t.whole() && t.rows() > 0)
    y = reduced(losses, reduction);
  else
    y = weighted(losses, t.weights(weight, dtype), reduction);
  y = c.finished(y, reduction);
  return label_smoothing > 0 ? named(y, "AddBackward0") : y;
}
EG_OP(&cross_entropy,
      "cross_entropy(input, target, weight=None, ignore_index=-100, reduction='mean', "
      "label_smoothing=0.0)",
      "Cross entropy of scores with class indices or class probabilities.", kInternal)

Tensor nll_loss(const Tensor& input, const Tensor& target, std::optional<Tensor> weight,
                int64_t ignore_index, const std::string& reduction) {
  EG_CHECK(input.dim() >= 1, "[nll_loss] expected log-probabilities of at least one dimension");
  EG_CHECK_KIND(NotImplemented, input.is_floating(), "[nll_loss] not implemented for ",
                input.dtype());
  const Classes c("nll_loss", input, target);
  check_weight("nll_loss", weight, input, c.count);
  const Targets t("nll_loss", input, target, c.count, ignore_index);
  const Tensor picked = t.picked(c.lines, t.safe());
  if (!weight && t.whole() && t.rows() > 0)
    return c.finished(neg(reduced(picked, reduction)), reduction);
  const Tensor losses = t.counted(neg(picked));
  return c.finished(weighted(losses, t.weights(weight, input.dtype()), reduction), reduction);
}
EG_OP(&nll_loss, "nll_loss(input, target, weight=None, ignore_index=-100, reduction='mean')",
      "Negative log-likelihood of log-probabilities.", kInternal)

// --- distances ----------------------------------------------------------------------------------------------------

void check_same(const char* op, const Tensor& a, const Tensor& b) {
  broadcast_shapes(a.sizes(), b.sizes());
  EG_CHECK_KIND(NotImplemented, a.is_floating() || b.is_floating(), "[", op,
                "] expected floating point input, got ", a.dtype());
}
// What becomes of each difference: Unary::abs, square, or huber with its delta.
struct DistanceOf {
  Unary op;
  double delta = 0;
  Tensor operator()(const Tensor& d) const { return unary(op, d, attributes().data()); }
  std::array<double, 3> attributes() const { return {delta, 0, 0}; }
  // Its derivative is a number times this.
  Tensor slope(const Tensor& d) const {
    return op == Unary::abs ? sign(d) : op == Unary::huber ? hardtanh(d, -delta, delta) : d;
  }
  double factor() const { return op == Unary::square ? 2 : 1; }
};
// The total of a distance, divided by a number; the differences are never kept.
struct TotalDistance {
  static constexpr const char* name = "TotalDistance";
  DistanceOf of;
  double count;
  const char* shown;
  std::string title() const { return shown; }
  Tensor forward(Context& ctx, const Tensor& a, const Tensor& b) {
    ctx.save(a);
    ctx.save(b);
    const DType compute = is_reduced(a.dtype()) ? DType::Float32 : a.dtype();
    const auto attributes = of.attributes();
    const Terms terms{a, of.op, attributes.data(), b};
    const Tensor total = reduce_terms(Reduce::Sum, terms, wrap_dims({}, a.dim()), false, compute);
    return to(div(total, Tensor(count)), a.dtype());
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensor d = of.slope(sub(ctx.saved(0), ctx.saved(1)));
    // In float32 for halves, which g / count may not fit.
    const Tensor wide = is_reduced(g.dtype()) ? to(g, DType::Float32) : g;
    const Tensor scale = mul(wide, Tensor(of.factor() / count));
    if (grad_enabled())
      d = mul(d, scale);
    else
      binary_(Binary::mul, d, scale);
    return {d, ctx.needs(1) ? neg(d) : Tensor()};
  }
};
// Truths as the numbers that predictions are compared with.
Tensor as_numbers(const Tensor& target, const Tensor& input) {
  return target.dtype() == DType::Bool && input.is_floating() ? to(target, input.dtype()) : target;
}
// Distances of a and b over `unit`, reduced: in one pass where nothing has to be broadcast or converted.
Tensor distance(DistanceOf of, const Tensor& a, const Tensor& b, const std::string& reduction,
                const char* title, double unit = 1) {
  const bool mean = reduction == "mean";
  if ((mean || reduction == "sum") && a.device().is_cpu() && a.device() == b.device() &&
      a.sizes() == b.sizes() && a.dtype() == b.dtype() && a.is_floating() && a.numel() > 0) {
    const char* const shown = title ? title : mean ? "MeanBackward0" : "SumBackward0";
    return apply(TotalDistance{of, unit * (mean ? double(a.numel()) : 1), shown}, a, b);
  }
  const Tensor difference = sub(a, b);
  if (reduction == "none" && unit == 1 && difference.is_floating() &&
      !(grad_enabled() && difference.requires_grad())) {
    unary_(of.op, difference, of.attributes().data());  // of memory that is in the caches
    return difference;
  }
  const Tensor total = reduced(of(difference), reduction);
  const Tensor y = unit == 1 ? total : mul(total, Tensor(1 / unit));
  return title ? named(y, title) : y;
}
EG_OP(
    +[](const Tensor& input, const Tensor& target, std::string reduction) {
      check_same("mse_loss", input, target);
      return distance({Unary::square}, input, as_numbers(target, input), reduction,
                      "MseLossBackward0");
    },
    "mse_loss(input, target, reduction='mean')", "Mean squared error.", kInternal)
EG_OP(
    +[](const Tensor& input, const Tensor& target, std::string reduction) {
      if (reduction == "mean") check_same("l1_loss", input, target);  // sums of ints are ints
      return distance({Unary::abs}, input, target, reduction, nullptr);
    },
    "l1_loss(input, target, reduction='mean')", "Mean absolute error.", kInternal)
EG_OP(
    +[](const Tensor& input, const Tensor& target, std::string reduction, double delta) {
      EG_CHECK(delta > 0, "huber_loss does not support non-positive values for delta.");
      check_same("huber_loss", input, target);
      return distance({Unary::huber, delta}, input, as_numbers(target, input), reduction,
                      "HuberLossBackward0");
    },
    "huber_loss(input, target, reduction='mean', delta=1.0)", "Squared near zero, linear far away.",
    kInternal)
EG_OP(
    +[](const Tensor& input, const Tensor& target, std::string reduction, double beta) {
      EG_CHECK(beta >= 0, "smooth_l1_loss does not support negative values for beta.");
      check_same("smooth_l1_loss", input, target);
      const DistanceOf of = beta == 0 ? DistanceOf{Unary::abs} : DistanceOf{Unary::huber, beta};
      return distance(of, input, as_numbers(target, input), reduction,
                      beta == 0 ? nullptr : "SmoothL1LossBackward0", beta == 0 ? 1 : beta);
    },
    "smooth_l1_loss(input, target, reduction='mean', beta=1.0)",
    "Squared near zero, linear far away.", kInternal)
EG_OP(
    +[](const Tensor& input, const Tensor& target, std::string reduction, bool log_target) {
      const Tensor values = log_target ? mul(exp(target), sub(target, input))
                                       : sub(xlogy(target, target), mul(target, input));
      if (reduction == "batchmean") {
        const Tensor total = sum(values);
        return input.dim() == 0 ? total : div(total, Tensor(double(input.sizes()[0])));
      }
      return reduced(values, reduction);
    },
    "kl_div(input, target, reduction='mean', log_target=False)", "Kullback-Leibler divergence.",
    kInternal)

// --- two classes ----------------------------------------------------------------------------------------------------

Tensor times_weight(const Tensor& values, const std::optional<Tensor>& weight) {
  return weight ? mul(values, *weight) : values;
}
// loss = -t max(log p, -100) - (1 - t) max(log(1 - p), -100); gradient (p - t) / max(p (1 - p), 1e-12).
struct BinaryCrossEntropy {
  static constexpr const char* name = "BinaryCrossEntropy";
  Tensor forward(Context& ctx, const Tensor& p, const Tensor& t) {
    ctx.save(p);
    ctx.save(t);
    return neg(add(mul(t, log_held(p)), mul(sub(Tensor(1), t), log_held(sub(Tensor(1), p)))));
  }
  static Tensor log_held(const Tensor& v) { return maximum(log(v), Tensor(-100.0)); }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor p = ctx.saved(0), t = ctx.saved(1);
    Tensors result(2);
    const Tensor q = sub(Tensor(1), p);
    if (ctx.needs(0)) result[0] = mul(g, div(sub(p, t), maximum(mul(q, p), Tensor(1e-12))));
    if (ctx.needs(1)) result[1] = mul(g, sub(log_held(q), log_held(p)));
    return result;
  }
};
void check_probabilities(const char* what, const Tensor& t) {
  if (t.numel() == 0) return;
  const Tensor d = t.detach();
  if (!t.device().is_cpu())
    return require(ge(amin(d, {}), Tensor(0.0)) & le(amax(d, {}), Tensor(1.0)),
                   {ErrorKind::Runtime, "binary_cross_entropy",
                    "all elements of input and target should be between 0 and 1"});
  const double low = amin(d, {}).item().to_double(), high = amax(d, {}).item().to_double();
  EG_CHECK(low >= 0 && high <= 1, "all elements of ", what,
           " should be between 0 and 1, got values in [", low, ", ", high, "]");
}

EG_OP(
    +[](const Tensor& input, const Tensor& target, std::optional<Tensor> weight,
        std::string reduction) {
      EG_CHECK_VALUE(input.sizes() == target.sizes(), "Using a target size (",
                     IntSpan(target.sizes()), ") that is different to the input size (",
                     IntSpan(input.sizes()),
                     ") is deprecated. Please ensure they have the same size.");
      EG_CHECK(target.is_floating() && input.is_floating(),
               "[binary_cross_entropy] expected floating point "
               "input and target, got ",
               input.dtype(), " and ", target.dtype());
      check_probabilities("input", input);
      check_probabilities("target", target);
      return reduced(times_weight(apply(BinaryCrossEntropy{}, input, target), weight), reduction,
                     "BinaryCrossEntropyBackward0");
    },
    "binary_cross_entropy(input, target, weight=None, reduction='mean')",
    "Cross entropy of probabilities with targets in [0, 1].", kInternal)
EG_OP(
    +[](const Tensor& input, const Tensor& target, std::optional<Tensor> weight,
        std::optional<Tensor> pos_weight, std::string reduction) {
      EG_CHECK_VALUE(input.sizes() == target.sizes(), "Target size (", IntSpan(target.sizes()),
                     ") must be the same as input size (", IntSpan(input.sizes()), ")");
      EG_CHECK_KIND(NotImplemented, input.is_floating(), "not implemented for ", input.dtype());
      // (1 - t) x + log(1 + exp(-x)) without overflow
      Tensor values;
      if (pos_weight) {
        const Tensor w = add(mul(sub(*pos_weight, Tensor(1)), target), Tensor(1));
        values = add(mul(sub(Tensor(1), target), input), mul(w, log1pexp(neg(input))));
      } else {
        values = sub(log1pexp(input), mul(target, input));
      }
      return reduced(times_weight(values, weight), reduction,
                     "BinaryCrossEntropyWithLogitsBackward0");
    },
    "binary_cross_entropy_with_logits(input, target, weight=None, pos_weight=None, "
    "reduction='mean')",
    "Cross entropy of scores with targets in [0, 1].", kInternal)

}  // namespace
}  // namespace eg
