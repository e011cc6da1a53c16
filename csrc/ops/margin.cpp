// Margin losses over classes: the scores of wrong ones against those of right ones.
#include <limits>
#include <type_traits>

#include "core/parallel.h"
#include "kernels/simd.h"
#include "ops/ops.h"
#include "ops/recompute.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/spatial.h"
#include "tape/function.h"

namespace eg {
namespace {

// Scores as rows of classes, and int64 targets on the same device.
struct Rows {
  Tensor scores, targets;
  int64_t count, classes;
};

void check_scores(const char* op, const Tensor& x, const std::string& reduction) {
  EG_CHECK_VALUE(reduction == "none" || reduction == "mean" || reduction == "sum", reduction,
                 " is not a valid value for reduction");
  EG_CHECK_KIND(NotImplemented, x.is_floating(), "[", op, "] not implemented for ", x.dtype());
}
Tensor finished(const Tensor& losses, const std::string& reduction, bool scalar,
                const char* title) {
  const Tensor y = reduction == "mean"  ? mean(losses, {})
                   : reduction == "sum" ? sum(losses)
                   : scalar             ? view(losses, {})
                                        : losses;
  return named(y, title);
}

// --- one class a row ---------------------------------------------------------------------------------------------------

// sum_j max(0, margin - x[y] + x[j])^p w[y] / C over j other than y, a row each.
struct MultiMargin {
  static constexpr const char* name = "MultiMargin";
  int64_t p;
  double margin;

  Tensor forward(Context& ctx, const Tensor& x, const Tensor& target, const Tensor& weight) {
    for (const Tensor& t : {x, target, weight}) ctx.save(t);
    return each(x, target, weight, Tensor());
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor x = ctx.saved(0), target = ctx.saved(1), weight = ctx.saved(2);
    if (!grad_enabled()) return {each(x, target, weight, g), Tensor(), Tensor()};
    return recompute_gradients(ctx, {x, target, weight}, {g}, [&](const TensorList& in) {
      return TensorList{composed(in[0], target, weight)};
    });
  }
  Tensor composed(const Tensor& x, const Tensor& target, const Tensor& weight) const {
    const Tensor at = unsqueeze(target, 1), zero(0.0);
    const Tensor apart = add(sub(x, gather(x, 1, at)), Tensor(margin));
    Tensor terms = where(gt(apart.detach(), zero), apart, zero);
    if (p == 2) terms = square(terms);
    if (weight.defined()) terms = mul(terms, unsqueeze(index_select(weight, 0, target), 1));
    const Tensor own = gather(terms, 1, at);
    return div(sub(sum(terms, {1}), view(own, target.sizes())), Tensor(double(x.size(1))));
  }

 private:
  // The losses, or the gradients of x for their gradients g.
  Tensor each(const Tensor& x, const Tensor& target, const Tensor& weight, const Tensor& g) const {
    const Tensor cx = kernel_input(x), y = contiguous_data(target);
    const Tensor w = weight.defined() ? kernel_input(weight) : Tensor();
    const Tensor cg = g.defined() ? kernel_input(g) : Tensor();
    const int64_t rows = x.size(0), classes = x.size(1);
    Tensor out = empty(g.defined() ? x.sizes() : Dims{rows}, cx.dtype());
    visit_float(cx.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const int64_t* at = y.data<int64_t>();
      parallel_for(rows, kParallelGrain / std::max<int64_t>(classes, 1) + 1,
                   [&](int64_t begin, int64_t end) {
                     for (int64_t r = begin; r < end; ++r) {
                       const T scale = (w.defined() ? w.data<T>()[at[r]] : T(1)) / T(classes);
                       const T* row = cx.data<T>() + r * classes;
                       if (g.defined())
                         slopes(row, at[r], classes, scale * cg.data<T>()[r],
                                out.data<T>() + r * classes);
                       else
                         out.data<T>()[r] = scale * loss(row, at[r], classes);
                     }
                   });
    });
    return cast_data(out, x.dtype());
  }
  // By vectors, since the compiler would jump at every element.
  template <class T>
  T loss(const T* x, int64_t y, int64_t classes) const {
    const T base = T(margin) - x[y];
    const auto terms = [&](Vec<T> v) {
      const Vec<T> z = base + v, over = z > T(0) ? z : Vec<T>{};
      return p == 1 ? over : over * over;
    };
    Vec<T> sums{};
    int64_t j = 0;
    for (; j + kLanes<T> <= classes; j += kLanes<T>) sums += terms(load(x + j));
    Vec<T> rest = splat(-std::numeric_limits<T>::infinity());
    for (int l = 0; j + l < classes; ++l) rest[l] = x[j + l];
    sums += terms(rest);
    T sum = -terms(splat(x[y]))[0];
    for (int l = 0; l < kLanes<T>; ++l) sum += sums[l];
    return sum;
  }
  template <class T>
  void slopes(const T* x, int64_t y, int64_t classes, T g, T* out) const {
    const T base = T(margin) - x[y];
    T sum = 0;
    for (int64_t j = 0; j < classes; ++j) {
      const T z = base + x[j], slope = p == 1 ? g : 2 * g * z;
      out[j] = z > T(0) ? slope : T(0);
      sum += out[j];
    }
    out[y] = -(sum - out[y]);
  }
};

Tensor multi_margin_loss(const Tensor& input, const Tensor& target, int64_t p, double margin,
                         const std::optional<Tensor>& weight, const std::string& reduction) {
  const char* op = "multi_margin_loss";
  check_scores(op, input, reduction);
  EG_CHECK_VALUE(p == 1 || p == 2, "only p == 1 and p == 2 supported");
  EG_CHECK_VALUE(!weight || weight->dim() == 1, "weight must be one-dimensional");
  EG_CHECK(!weight || !input.dim() || weight->numel() == input.size(-1), "[", op,
           "] inconsistent weight size, expected ", input.size(-1), " but got ",
           IntSpan(weight ? weight->sizes() : input.sizes()));
  const bool single = input.dim() < 2;
  const Tensor x = single ? view(contiguous(input), {1, input.numel()}) : input;
  EG_CHECK(x.dim() == 2 && target.numel() == x.size(0) && target.dim() < 2, "[", op,
           "] inconsistent target size, got: ", IntSpan(target.sizes()), " for input ",
           IntSpan(input.sizes()));
  EG_CHECK(target.dtype() == DType::Int64, "[", op, "] expected an int64 target, got ",
           target.dtype());
  const Tensor y = view(contiguous_data(target), {x.size(0)});
  const Tensor w = weight ? weight->detach() : Tensor();
  const MultiMargin loss{p, margin};
  const bool scalar = single && target.dim() == 0;
  if (!x.device().is_cpu())
    return finished(loss.composed(x, y, w), reduction, scalar, "MultiMarginLossBackward0");
  for (int64_t i = 0; i < y.numel(); ++i)
    EG_CHECK(y.data<int64_t>()[i] >= 0 && y.data<int64_t>()[i] < x.size(1), "[", op,
             "] target out of range: ", y.data<int64_t>()[i], " for ", x.size(1), " classes");
  return finished(apply(loss, x, y, w), reduction, scalar, "MultiMarginLossBackward0");
}
EG_OP(&multi_margin_loss,
      "multi_margin_loss(input, target, p=1, margin=1.0, weight=None, reduction='mean')",
      "Scores of wrong classes that come near the right one's.", kInternal)

}  // namespace
}  // namespace eg
