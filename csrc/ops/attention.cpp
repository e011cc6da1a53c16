// Scaled dot-product attention (Vaswani et al. 2017).
#include "kernels/attention.h"

#include <cmath>
#include <limits>

#include "ops/creation.h"
#include "ops/ops.h"
#include "ops/recompute.h"
#include "ops/registry.h"
#include "tape/function.h"

namespace eg {
namespace {

DType compute_dtype(DType t) { return is_reduced(t) ? DType::Float32 : t; }

// In the kernels' type, with the values of a row next to each other.
Tensor ready(const Tensor& t, DType dtype) {
  const Tensor cast = cast_data(t, dtype);
  return cast.stride(-1) == 1 || cast.size(-1) <= 1 ? cast : contiguous_data(cast);
}

HeadMatrix heads_of(const Tensor& t) {
  if (!t.defined()) return {nullptr, 0, 0, 0};
  return {t.raw(), t.stride(0), t.stride(1), t.stride(2)};
}

// [batch, heads, rows, width], stored as [batch, rows, heads, width] if `rows_first`: the transposition that usually follows
// then costs nothing.
Tensor empty_heads(const Dims& sizes, DType dtype, bool rows_first) {
  if (!rows_first) return empty(sizes, dtype);
  const Tensor t = empty({sizes[0], sizes[2], sizes[1], sizes[3]}, dtype);
  return alias(t, sizes, {t.stride(0), t.stride(2), t.stride(1), t.stride(3)}, 0);
}
Tensor empty_like_heads(const Tensor& t, DType dtype) {
  return empty_heads(t.sizes(), dtype, t.stride(1) < t.stride(2));
}

AttentionMask mask_of(const Tensor& mask) {
  if (!mask.defined()) return {};
  return {mask.raw(),     mask.dtype() == DType::Bool,
          mask.stride(0), mask.stride(1),
          mask.stride(2), mask.stride(3)};
}

Tensor repeat_heads(const Tensor& t, int64_t times) {
  if (times == 1) return t;
  const Dims s = t.sizes();
  return reshape(expand(unsqueeze(t, 2), {s[0], s[1], times, s[2], s[3]}),
                 {s[0], s[1] * times, s[2], s[3]});
}

Tensor causal_mask(int64_t queries, int64_t keys) {
  return le(arange(keys), unsqueeze(arange(queries), 1));
}

// The same in differentiable ops. A row that sees nothing gives 0.
Tensor composed(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, bool causal,
                double scale) {
  const int64_t group = k.size(1) > 0 ? q.size(1) / k.size(1) : 1;
  const DType t = compute_dtype(q.dtype());
  const Tensor nothing = scalar_tensor(-std::numeric_limits<double>::infinity(), t);
  Tensor scores =
      matmul(to(q, t) * Scalar(scale), transpose(repeat_heads(to(k, t), group), -2, -1));
  if (k.size(2) == 0) return to(matmul(scores, repeat_heads(to(v, t), group)), q.dtype());
  if (causal) scores = where(causal_mask(q.size(2), k.size(2)), scores, nothing);
  if (mask.defined())
    scores = mask.dtype() == DType::Bool ? where(mask, scores, nothing) : scores + to(mask, t);
  // A constant shift keeps the exponentials in range; that of a blind row must be finite.
  const Tensor top = amax(scores.detach(), {-1}, true), zero = scalar_tensor(0.0, t);
  const Tensor e = exp(scores - where(eq(top, nothing), zero, top)), total = sum(e, {-1}, true);
  const Tensor p = e / where(eq(total, zero), scalar_tensor(1.0, t), total);
  return to(matmul(p, repeat_heads(to(v, t), group)), q.dtype());
}

// Inputs of four dimensions; the mask takes no gradient and is expanded to [batch, heads, queries, keys].
struct Attention {
  static constexpr const char* name = "ScaledDotProductAttention";
  std::string title() const { return "ScaledDotProductFlashAttentionForCpu"; }
  bool causal;
  double scale;

  AttentionShape shape(const Tensor& q, const Tensor& k, const Tensor& v, DType t) const {
    return {t,         q.size(0), q.size(1), k.size(1), q.size(2),
            k.size(2), q.size(3), v.size(3), scale,     causal};
  }
  // The type that the kernels of a pass take matrices in.
  DType kernel_dtype(const Tensor& q, const Tensor& k, const Tensor& v, bool in_backward) const {
    const AttentionShape s = shape(q, k, v, q.dtype());
    return is_reduced(s.dtype) && kernels<AttentionKernels>().takes_halves(s, in_backward)
               ? s.dtype
               : compute_dtype(s.dtype);
  }

  Tensor forward(Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v,
                 const Tensor& mask) {
    const DType t = kernel_dtype(q, k, v, false);
    const Tensor qs = ready(q, t), ks = ready(k, t), vs = ready(v, t);
    const Dims sizes{q.size(0), q.size(1), q.size(2), v.size(3)};
    Tensor out = empty_heads(sizes, t, qs.stride(1) < qs.stride(2));
    Tensor lse;
    if (ctx.recording()) lse = empty({sizes[0], sizes[1], sizes[2]}, compute_dtype(t));
    kernels<AttentionKernels>().forward(shape(q, k, v, t), mask_of(mask), heads_of(qs),
                                        heads_of(ks), heads_of(vs), heads_of(out),
                                        lse.defined() ? lse.raw() : nullptr);
    Tensor result = cast_data(out, q.dtype());
    for (const Tensor& s : {q, k, v, mask, result, lse}) ctx.save(s);
    return result;
  }

  Tensors backward(Context& ctx, const Tensor& g) {
    const Tensor q = ctx.saved(0), k = ctx.saved(1), v = ctx.saved(2), mask = ctx.saved(3);
    if (grad_enabled())
      return recompute_gradients(ctx, {q, k, v, mask}, {g}, [&](const TensorList& in) {
        return TensorList{composed(in[0], in[1], in[2], in[3], causal, scale)};
      });
    const DType t = kernel_dtype(q, k, v, true);
    const Tensor qs = ready(q, t), ks = ready(k, t), vs = ready(v, t), gs = ready(g, t);
    const Tensor out = ready(ctx.saved(4), t);
    Tensors grads(4);
    for (size_t i = 0; i < 3; ++i)
      if (ctx.needs(i)) grads[i] = empty_like_heads(ctx.saved(i), t);
    kernels<AttentionKernels>().backward(shape(q, k, v, t), mask_of(mask), heads_of(qs),
                                         heads_of(ks), heads_of(vs), heads_of(out),
                                         ctx.saved(5).raw(), heads_of(gs), heads_of(grads[0]),
                                         heads_of(grads[1]), heads_of(grads[2]));
    return grads;
  }
};

// All leading dimensions but the last become one.
Tensor as_heads(const Tensor& t, const Dims& lead) {
  Dims sizes = lead;
  sizes.push_back(t.size(-2));
  sizes.push_back(t.size(-1));
  const Tensor full = t.sizes() == sizes ? t : expand(t, sizes);
  if (lead.size() == 2) return full;
  int64_t batch = 1;
  for (size_t i = 0; i + 1 < lead.size(); ++i) batch *= lead[i];
  return reshape(full, {batch, lead.empty() ? 1 : lead.back(), t.size(-2), t.size(-1)});
}

Dims lead_of(const Tensor& t) { return Dims(t.sizes().begin(), t.sizes().end() - 2); }

void check_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask,
                     bool causal) {
  constexpr const char* op = "[scaled_dot_product_attention] ";
  const auto shapes = [&] {
    return str("query ", IntSpan(q.sizes()), ", key ", IntSpan(k.sizes()), ", value ",
               IntSpan(v.sizes()));
  };
  EG_CHECK(q.dim() >= 2 && k.dim() >= 2 && v.dim() >= 2, op,
           "expected query, key and value of at least 2 dimensions, got ", shapes());
  EG_CHECK(q.dtype() == k.dtype() && q.dtype() == v.dtype(), op,
           "expected query, key and value to have the same dtype, got ", q.dtype(), ", ", k.dtype(),
           " and ", v.dtype());
  EG_CHECK(q.is_floating(), op, "expected floating-point tensors, got ", q.dtype());
  EG_CHECK(q.size(-1) == k.size(-1), op, "expected query and key of the same last size, got ",
           shapes());
  EG_CHECK(k.size(-2) == v.size(-2), op, "expected as many keys as values, got ", shapes());
  if (!mask.defined()) return;
  EG_CHECK(!causal, op, "expected no attn_mask when is_causal=True");
  EG_CHECK(
      mask.dtype() == DType::Bool || mask.dtype() == q.dtype() || mask.dtype() == DType::Float32,
      op, "expected attn_mask of dtype bool or of the query's dtype (", q.dtype(), "), got ",
      mask.dtype());
}

// The batch and heads of all three.
Dims joint_lead(const Tensor& q, const Tensor& k, const Tensor& v) {
  const Dims of_q = lead_of(q), of_k = lead_of(k), of_v = lead_of(v);
  if (of_q == of_k && of_q == of_v) return of_q;
  EG_CHECK(can_broadcast(of_q, of_k) && can_broadcast(of_q, of_v) && can_broadcast(of_k, of_v),
           "[scaled_dot_product_attention] expected dimensions before the last two that broadcast, "
           "got query ",
           IntSpan(q.sizes()), ", key ", IntSpan(k.sizes()), ", value ", IntSpan(v.sizes()),
           ". Hint: with several query heads a key head, pass enable_gqa=True");
  return broadcast_shapes(broadcast_shapes(of_q, of_k), of_v);
}

// mask seen as [batch, heads, queries, keys], without a copy where it broadcasts.
Tensor expanded_mask(const Tensor& mask, const Dims& lead, int64_t queries, int64_t keys) {
  Dims sizes = lead;
  sizes.push_back(queries);
  sizes.push_back(keys);
  EG_CHECK(is_expandable_to(mask.sizes(), sizes),
           "[scaled_dot_product_attention] expected attn_mask to broadcast to ", IntSpan(sizes),
           " (batch, heads, queries, keys), got ", IntSpan(mask.sizes()));
  if (lead.size() != 2) {
    const Tensor full = expand(mask, sizes);
    const Tensor rows = as_heads(full, lead);
    return rows;
  }
  return expand(mask, sizes);
}

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const std::optional<Tensor>& attn_mask, bool is_causal,
                                    std::optional<double> scale, bool enable_gqa) {
  const Tensor given = attn_mask ? *attn_mask : Tensor();
  check_attention(query, key, value, given, is_causal);
  const double factor = scale.value_or(1 / std::sqrt(double(query.size(-1))));
  Dims lead = lead_of(query), kv_lead = lead;
  if (enable_gqa) {
    kv_lead = lead_of(key);
    const bool fits = !lead.empty() && lead.size() == kv_lead.size() && kv_lead.back() > 0 &&
                      lead.back() % kv_lead.back() == 0 && lead_of(value) == kv_lead;
    EG_CHECK(
        fits,
        "[scaled_dot_product_attention] expected the number of query heads to be a multiple of "
        "the number of key and value heads, got query ",
        IntSpan(query.sizes()), ", key ", IntSpan(key.sizes()), ", value ", IntSpan(value.sizes()));
  } else {
    lead = joint_lead(query, key, value);
    if (given.defined() && given.dim() > 2 && can_broadcast(lead, lead_of(given)))
      lead = broadcast_shapes(lead, lead_of(given));
    kv_lead = lead;
  }
  const int64_t queries = query.size(-2), keys = key.size(-2);
  const Tensor q = as_heads(query, lead), k = as_heads(key, kv_lead), v = as_heads(value, kv_lead);
  Tensor mask;
  if (given.defined()) mask = expanded_mask(given, lead, queries, keys);
  const bool fused = !(given.defined() && given.requires_grad()) && q.numel() > 0 &&
                     k.numel() > 0 && v.numel() > 0;
  Tensor out;
  if (fused) {
    if (mask.defined() && mask.dtype() != DType::Bool)
      mask = cast_data(mask.detach(), compute_dtype(q.dtype()));
    out = eg::apply(Attention{is_causal, factor}, q, k, v, mask);
  } else {
    out = composed(q, k, v, mask, is_causal, factor);
  }
  if (lead.size() == 2) return out;
  Dims sizes = lead;
  sizes.push_back(queries);
  sizes.push_back(value.size(-1));
  return reshape(out, sizes);
}

}  // namespace

EG_OP(scaled_dot_product_attention,
      "scaled_dot_product_attention(query, key, value, attn_mask=None, is_causal=False, "
      "scale=None, enable_gqa=False)",
      "softmax(scale * query @ key.T + attn_mask) @ value (Vaswani et al. 2017).", kInternal)

}  // namespace eg
