// Connectionist temporal classification (Graves et al., 2006).
//
// The gradient holds for log-probabilities that come out of a log_softmax: it is softmax minus posterior, as PyTorch's. The
// softmax part vanishes in log_softmax's own backward, so that nothing is lost; without one, it is there.
#include "kernels/ctc.h"

#include <cmath>

#include "ops/ops.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {
namespace {

// Targets and lengths, checked and as dense int64.
struct Batch {
  Tensor targets, begin, target_lengths, input_lengths;
  int64_t blank;
  int64_t states;

  CtcBatch over(const Tensor& log_probs) const {
    return {log_probs.dtype(),
            log_probs.raw(),
            log_probs.sizes()[0],
            log_probs.sizes()[1],
            log_probs.sizes()[2],
            log_probs.strides()[0],
            log_probs.strides()[1],
            targets.data<int64_t>(),
            begin.data<int64_t>(),
            target_lengths.data<int64_t>(),
            input_lengths.data<int64_t>(),
            blank,
            states};
  }
};

// float16 and bfloat16 are computed in float32; classes lie next to each other.
Tensor dense_classes(const Tensor& log_probs) {
  const Tensor x = is_reduced(log_probs.dtype()) ? cast_data(log_probs, DType::Float32) : log_probs;
  return x.strides()[2] == 1 || x.sizes()[2] <= 1 ? x : contiguous_data(x);
}

struct CtcBackward {
  static constexpr const char* name = "CtcLossBackward";
  Batch batch;
  bool zero_infinity;
  DType dtype;
  Tensor alpha, loss, log_probs;

  // Recorded as made of x too, so that a second derivative is refused and not left out.
  Tensor forward(Context&, const Tensor& g, const Tensor& /*x*/) {
    const CtcBatch b = batch.over(log_probs);
    Tensor grad = empty(log_probs.sizes(), log_probs.dtype());
    const Tensor scratch = empty({kernels<CtcKernels>().scratch(b)}, log_probs.dtype());
    const Tensor gradient = contiguous_data(cast_data(g, log_probs.dtype()));
    kernels<CtcKernels>().backward(b, alpha.raw(), loss.raw(), gradient.raw(), zero_infinity,
                                   grad.raw(), scratch.raw());
    return cast_data(grad, dtype);
  }
  Tensors backward(Context&, const Tensor&) {
    fail(ErrorKind::Runtime, "[ctc_loss] the derivative of its backward is not implemented");
  }
};

struct CtcLoss {
  static constexpr const char* name = "CtcLoss";
  Batch batch;
  bool zero_infinity;
  Tensor alpha, loss;

  Tensor forward(Context& ctx, const Tensor& log_probs) {
    const Tensor x = dense_classes(log_probs);
    const CtcBatch b = batch.over(x);
    alpha = empty({b.batch, b.steps + 2, b.states + 2}, x.dtype());
    loss = empty({b.batch}, x.dtype());
    kernels<CtcKernels>().forward(b, alpha.raw(), loss.raw());
    ctx.save(log_probs);
    Tensor out = cast_data(loss, log_probs.dtype());
    if (!zero_infinity) return out.same(loss) ? alias(loss, loss.sizes(), loss.strides(), 0) : out;
    const Tensor infinite = eq(out, scalar_tensor(Scalar(INFINITY), out.dtype()));
    return where(infinite, scalar_tensor(Scalar(0.0), out.dtype()), out);
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor x = ctx.saved(0);
    return {
        apply(CtcBackward{batch, zero_infinity, x.dtype(), alpha, loss, dense_classes(x)}, g, x)};
  }
};

// On the host, which checks them. Labels may come as floats, as padded from tensors of floats.
Tensor as_indices(const Tensor& t) {
  return contiguous_data(cast_data(host_data(t), DType::Int64));
}

Tensor as_lengths(const Tensor& t, const char* what) {
  EG_CHECK(!is_floating(t.dtype()), "[ctc_loss] ", what, " must be integral, got ", t.dtype());
  return as_indices(t);
}

Batch checked(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
              const Tensor& target_lengths, int64_t blank) {
  const Device device = active_device;
  const DeviceScope host(Device{});
  const int64_t steps = log_probs.sizes()[0], n = log_probs.sizes()[1],
                classes = log_probs.sizes()[2];
  EG_CHECK(blank >= 0 && blank < classes, "[ctc_loss] blank must be in label range [0, ", classes,
           "), got ", blank);
  Batch b{as_indices(targets),
          empty({n}, DType::Int64),
          as_lengths(target_lengths, "target_lengths"),
          as_lengths(input_lengths, "input_lengths"),
          blank,
          1};
  EG_CHECK(b.input_lengths.numel() == n, "[ctc_loss] input_lengths must be of size batch_size ", n,
           ", got ", b.input_lengths.numel());
  EG_CHECK(b.target_lengths.numel() == n, "[ctc_loss] target_lengths must be of size batch_size ",
           n, ", got ", b.target_lengths.numel());
  const bool joined = targets.dim() == 1;
  EG_CHECK(joined || (targets.dim() == 2 && targets.sizes()[0] == n),
           "[ctc_loss] expected targets of shape (", n,
           ", S) or all targets in one dimension, got ", targets.sizes());
  int64_t at = 0, longest = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t in = b.input_lengths.data<int64_t>()[i],
                  out = b.target_lengths.data<int64_t>()[i];
    EG_CHECK(in >= 0 && in <= steps, "[ctc_loss] Expected input_lengths to have value at most ",
             steps, ", but got value ", in, " of sample ", i);
    EG_CHECK(out >= 0 && (joined || out <= targets.sizes()[1]),
             "[ctc_loss] Expected target_lengths to have value at most ",
             joined ? targets.numel() : targets.sizes()[1], ", but got value ", out, " of sample ",
             i);
    b.begin.data<int64_t>()[i] = joined ? at : i * targets.sizes()[1];
    at += out;
    longest = std::max(longest, out);
  }
  EG_CHECK(!joined || at == targets.numel(), "[ctc_loss] target_lengths add up to ", at,
           ", but there are ", targets.numel(), " targets");
  for (int64_t i = 0; i < n; ++i) {
    const int64_t* labels = b.targets.data<int64_t>() + b.begin.data<int64_t>()[i];
    for (int64_t s = 0; s < b.target_lengths.data<int64_t>()[i]; ++s)
      EG_CHECK(labels[s] >= 0 && labels[s] < classes, "[ctc_loss] target ", labels[s],
               " of sample ", i, " is no class in [0, ", classes, ")");
  }
  b.states = 2 * longest + 1;
  for (Tensor* t : {&b.targets, &b.begin, &b.target_lengths, &b.input_lengths})
    *t = device_data(*t, device);
  return b;
}

Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                const Tensor& target_lengths, int64_t blank, const std::string& reduction,
                bool zero_infinity) {
  EG_CHECK_VALUE(reduction == "none" || reduction == "mean" || reduction == "sum", "[ctc_loss] ",
                 reduction, " is not a valid value for reduction");
  EG_CHECK(log_probs.is_floating() && (log_probs.dim() == 2 || log_probs.dim() == 3),
           "[ctc_loss] expected log_probs of shape (T, N, C) or (T, C), got ", log_probs.sizes(),
           " of ", log_probs.dtype());
  const bool single = log_probs.dim() == 2;
  const Tensor x = single ? unsqueeze(log_probs, 1) : log_probs;
  Batch batch = checked(x, targets, input_lengths, target_lengths, blank);
  const Tensor divisor = batch.target_lengths;
  const Tensor loss = apply(CtcLoss{std::move(batch), zero_infinity, {}, {}}, x);
  if (reduction == "none") return single ? squeeze(loss, {0}) : loss;
  if (reduction == "sum") return sum(loss);
  const Tensor lengths =
      cast_data(maximum(divisor, scalar_tensor(Scalar(int64_t{1}), DType::Int64)), loss.dtype());
  return mean(div(loss, reshape(lengths, {lengths.numel()})), {});
}

EG_WAITS("ctc_loss", "targets and lengths")
EG_OP(&ctc_loss,
      "ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction='mean', "
      "zero_infinity=False)",
      "Connectionist temporal classification over (T, N, C) log probabilities.", kInternal)

}  // namespace
}  // namespace eg
