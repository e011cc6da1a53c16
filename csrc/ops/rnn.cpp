// Recurrent layers and cells. One node a layer (both directions) or a cell's step.
#include "kernels/rnn.h"

#include <string>

#include "kernels/gemm.h"
#include "ops/matmul.h"
#include "ops/ops.h"
#include "ops/recompute.h"
#include "ops/registry.h"
#include "ops/views.h"
#include "tape/function.h"

namespace eg {
namespace {

constexpr const char* kModes[] = {"RNN_TANH", "RNN_RELU", "LSTM", "GRU"};

RnnMode mode_from(const std::string& name) {
  for (int m = 0; m < 4; ++m)
    if (name == kModes[m]) return RnnMode(m);
  fail(ErrorKind::Value, "[rnn] expected mode RNN_TANH, RNN_RELU, LSTM or GRU, got '", name, "'");
}

DType compute_dtype(DType t) { return is_reduced(t) ? DType::Float32 : t; }
// Of bfloat16, by tiles.
bool multiplies_halves(DType t) {
  const auto available = host_kernels<AmxKernels>().available;
  return t == DType::BFloat16 && active_device.is_cpu() && available && available();
}
Tensor ready(const Tensor& t, DType dtype) {
  return t.defined() ? contiguous_data(cast_data(t, dtype)) : Tensor();
}
void* raw_or_null(const Tensor& t) { return t.defined() ? t.raw() : nullptr; }

// ---- the same in differentiable ops, for gradients of gradients ----------------------------------------------------------

struct Weights {
  Tensor w_ih, w_hh, b_ih, b_hh, w_hr;
};
struct State {
  Tensor h, c;
};

Tensor affine(const Tensor& x, const Tensor& w, const Tensor& b) {
  const Tensor y = mm(x, transpose(w, 0, 1));
  return b.defined() ? y + b : y;
}

State composed_step(RnnMode mode, const Tensor& x, const State& s, const Weights& w) {
  const Tensor gx = affine(x, w.w_ih, w.b_ih), gh = affine(s.h, w.w_hh, w.b_hh);
  if (mode == RnnMode::Tanh) return {tanh(gx + gh), Tensor()};
  if (mode == RnnMode::Relu) return {relu(gx + gh), Tensor()};
  const int64_t n = gx.size(1) / rnn_gates(mode);
  const auto gate = [n](const Tensor& t, int64_t i) { return narrow(t, 1, i * n, n); };
  if (mode == RnnMode::Gru) {
    const Tensor r = sigmoid(gate(gx, 0) + gate(gh, 0)), z = sigmoid(gate(gx, 1) + gate(gh, 1));
    const Tensor candidate = tanh(gate(gx, 2) + r * gate(gh, 2));
    return {candidate + z * (s.h - candidate), Tensor()};
  }
  const Tensor all = gx + gh;
  const Tensor c = sigmoid(gate(all, 1)) * s.c + sigmoid(gate(all, 0)) * tanh(gate(all, 2));
  const Tensor h = sigmoid(gate(all, 3)) * tanh(c);
  return {w.w_hr.defined() ? affine(h, w.w_hr, Tensor()) : h, c};
}

Tensor first_rows(const Tensor& t, int64_t n) { return t.size(0) == n ? t : narrow(t, 0, 0, n); }
Tensor replace_rows(const Tensor& t, const Tensor& rows) {
  const int64_t n = rows.size(0);
  return t.size(0) == n ? rows : cat({rows, narrow(t, 0, n, t.size(0) - n)}, 0);
}

// x [N, input] -> out [N, state]; s is left at the last state of every sequence.
Tensor composed_direction(const RnnShape& shape, const Tensor& x, State& s, const Weights& w) {
  TensorList out(shape.steps);
  for (int64_t i = 0; i < shape.steps; ++i) {
    const int64_t t = shape.reverse ? shape.steps - 1 - i : i;
    const int64_t n = shape.offset[t + 1] - shape.offset[t];
    const State before{first_rows(s.h, n), s.c.defined() ? first_rows(s.c, n) : Tensor()};
    const State after = composed_step(shape.mode, narrow(x, 0, shape.offset[t], n), before, w);
    out[t] = after.h;
    s.h = replace_rows(s.h, after.h);
    if (s.c.defined()) s.c = replace_rows(s.c, after.c);
  }
  return cat(out, 0);
}

// ---- fused -------------------------------------------------------------------------------------------------------------

// Gradients of the weights from all steps at once, added to what the engine has already gathered. GRU keeps r, z, n and
// n's recurrent part: the input sees the first three, the state the first two and the last.
struct WeightGradients {
  Context& ctx;
  RnnMode mode;
  int64_t hidden;
  Tensor d_gates;  // [N, saved * hidden]
  DType dtype;     // of the products
  Tensor d = cast_data(d_gates, dtype);

  Tensor columns(int64_t from, int64_t count) const {
    return narrow(d, 1, from * hidden, count * hidden);
  }
  Tensor of_input() const { return mode == RnnMode::Gru ? columns(0, 3) : d; }

  // out = a^T b, into the engine's buffer if there is one.
  template <class Fill>
  void put(size_t input, Dims sizes, Tensors& out, Fill&& fill) const {
    Tensor* sum = ctx.accumulator(input);
    const bool add = sum && sum->is_contiguous() && sum->dtype() == d.dtype();
    const Tensor to = add ? *sum : empty(sizes, d.dtype());
    fill(to, add);
    out[input] = add ? Context::accumulated() : to;
  }
  void product(const Tensor& a, const Tensor& b, const Tensor& c, int64_t row, bool add) const {
    mm_into(make_view(a, {a.size(1), a.size(0)}, {a.stride(1), a.stride(0)}, a.offset()), b,
            make_view(c, {a.size(1), c.size(1)}, {c.stride(0), 1}, c.offset() + row * c.stride(0)),
            add);
  }
  void w_ih(size_t input, const Tensor& x, Tensors& out) const {
    const Tensor a = of_input();
    put(input, {a.size(1), x.size(1)}, out,
        [&](const Tensor& c, bool add) { product(a, x, c, 0, add); });
  }
  void w_hh(size_t input, const Tensor& h, Tensors& out) const {
    put(input, {rnn_gates(mode) * hidden, h.size(1)}, out, [&](const Tensor& c, bool add) {
      if (mode != RnnMode::Gru) return product(d, h, c, 0, add);
      product(columns(0, 2), h, c, 0, add);
      product(columns(3, 1), h, c, 2 * hidden, add);
    });
  }
  void w_hr(size_t input, const Tensor& d_proj, const Tensor& h, Tensors& out) const {
    put(input, {d_proj.size(1), h.size(1)}, out,
        [&](const Tensor& c, bool add) { product(d_proj, h, c, 0, add); });
  }
  void biases(size_t input, Tensors& out) const {
    if (!ctx.needs(input) && !ctx.needs(input + 1)) return;
    const Tensor sums = sum(d_gates, {0});
    const auto gates = [&](int64_t from, int64_t n) {
      return narrow(sums, 0, from * hidden, n * hidden);
    };
    const bool gru = mode == RnnMode::Gru;
    if (ctx.needs(input)) out[input] = gru ? clone(gates(0, 3)) : sums;
    if (ctx.needs(input + 1))
      out[input + 1] = gru ? cat({gates(0, 2), gates(3, 1)}, 0) : clone(sums);
  }
};

// Above this size (bytes) w_ih leaves the cache at each step: one large product first is faster. (A GPU always does that.)
constexpr int64_t kLargeInput = 512 << 10;

// One direction: tensors that forward made, and its gradients.
struct Direction {
  RnnShape shape;
  Weights w;  // in the compute type, contiguous
  Tensor h0, c0;

  // out: first row of this direction's columns; ld_out apart.
  void forward(const Tensor& x, char* out, int64_t ld_out, const Tensor& hn, const Tensor& cn,
               const Tensor& gates, const Tensor& cells) const {
    RnnShape s = shape;
    const DType t = s.dtype;
    RnnForward a{};
    Tensor gx;
    const int64_t weight_bytes = s.input * rnn_gates(s.mode) * s.hidden * item_size(t);
    if (active_device.is_cpu() && !s.halves && s.steps > 1 && weight_bytes > kLargeInput) {
      gx = affine(x, w.w_ih, w.b_ih);
      a.gx = gx.raw();
      s.input = 0;
    } else {
      a.b_ih = raw_or_null(w.b_ih);
    }
    if (cn.defined()) copy_into(cn, c0);
    a.x = x.raw();
    a.ld_x = shape.input;
    a.w_ih = w.w_ih.raw();
    a.w_hh = w.w_hh.raw();
    a.b_hh = raw_or_null(w.b_hh);
    a.w_hr = raw_or_null(w.w_hr);
    a.h0 = h0.raw();
    a.out = out;
    a.ld_out = ld_out;
    a.hn = hn.raw();
    a.cn = raw_or_null(cn);
    a.gates = raw_or_null(gates);
    a.cells = raw_or_null(cells);
    const auto& k = kernels<RnnKernels>();
    const Tensor scratch = empty({k.forward_scratch(s)}, t);
    a.scratch = scratch.raw();
    k.forward(s, a);
  }

  struct Gradients {
    Tensor d_gates, d_proj, hidden;
  };
  // dh, dc: gradients of the last state in, of the first out.
  Gradients backward(const char* out, int64_t ld_out, const Tensor& gates, const Tensor& cells,
                     const char* g_out, int64_t ld_g, const Tensor& dh, const Tensor& dc) const {
    const RnnShape& s = shape;
    const DType t = s.dtype;
    const int64_t n = s.offset[s.steps], saved = std::max(rnn_saved(s.mode), 1);
    Gradients g;
    g.d_gates = empty({n, saved * s.hidden}, t);
    if (s.proj) {
      g.d_proj = empty({n, s.proj}, t);
      g.hidden = empty({n, s.hidden}, t);
    }
    const auto& k = kernels<RnnKernels>();
    const Tensor scratch = empty({k.backward_scratch(s)}, t);
    RnnBackward a{};
    a.w_hh = w.w_hh.raw();
    a.w_hr = raw_or_null(w.w_hr);
    a.h0 = h0.raw();
    a.c0 = raw_or_null(c0);
    a.out = out;
    a.ld_out = ld_out;
    a.gates = raw_or_null(gates);
    a.cells = raw_or_null(cells);
    a.g_out = g_out;
    a.ld_g = ld_g;
    a.dh = dh.raw();
    a.dc = raw_or_null(dc);
    a.d_gates = g.d_gates.raw();
    a.d_proj = raw_or_null(g.d_proj);
    a.hidden = raw_or_null(g.hidden);
    a.scratch = scratch.raw();
    k.backward(s, a);
    return g;
  }
};

// A fresh copy of g in the compute type, or zeros.
Tensor owned(const Tensor& g, const Dims& sizes, DType dtype) {
  Tensor out = empty(sizes, dtype);
  if (g.defined())
    copy_into(out, g);
  else
    fill(out, Scalar(0.0));
  return out;
}

// Inputs, in order: x, h0, [c0], then the weights of each direction: w_ih, w_hh, [b_ih, b_hh], [w_hr].
struct RnnLayer {
  static constexpr const char* name = "RnnLayer";
  RnnMode mode;
  bool has_bias, bidirectional;
  int64_t steps, batch, hidden, proj;
  std::vector<int64_t> offset;

  bool lstm() const { return mode == RnnMode::Lstm; }
  int64_t directions() const { return bidirectional ? 2 : 1; }
  int64_t state() const { return proj ? proj : hidden; }
  int64_t per_direction() const { return 2 + 2 * has_bias + (proj > 0); }
  size_t first_weight() const { return 2 + lstm(); }
  int64_t rows() const { return offset.back(); }
  bool even() const { return rows() == steps * batch; }

  RnnShape shape(int64_t d, DType t, const Tensor& x) const {
    return {t,          mode,   d == 1, steps,         batch,
            x.size(-1), hidden, proj,   offset.data(), !proj && multiplies_halves(x.dtype())};
  }
  Weights weights(const TensorList& all, int64_t d) const {
    size_t i = first_weight() + d * per_direction();
    Weights w;
    w.w_ih = all[i++];
    w.w_hh = all[i++];
    if (has_bias) {
      w.b_ih = all[i++];
      w.b_hh = all[i++];
    }
    if (proj) w.w_hr = all[i];
    return w;
  }
  Direction direction(const TensorList& all, int64_t d, DType t) const {
    const Weights w = weights(all, d);
    return {
        shape(d, t, all[0]),
        {ready(w.w_ih, t), ready(w.w_hh, t), ready(w.b_ih, t), ready(w.b_hh, t), ready(w.w_hr, t)},
        ready(select(all[1], 0, d), t),
        lstm() ? ready(select(all[2], 0, d), t) : Tensor()};
  }

  // Result rows, with room for the first states before and after them where all steps have as many rows: then "the state
  // before each step" is the same memory, one step off.
  Tensor padded_rows(DType t, bool pad) const {
    return empty({rows() + (pad ? 2 * batch : 0), directions() * state()}, t);
  }
  void put_first_states(const Tensor& padded, const TensorList& in) const {
    for (int64_t d = 0; d < directions(); ++d) {
      const int64_t row = d == 0 ? 0 : batch + rows();
      copy_into(narrow(narrow(padded, 0, row, batch), 1, d * state(), state()),
                select(in[1].detach(), 0, d));
    }
  }
  Dims out_sizes(const Tensor& x) const {
    Dims sizes = x.sizes();
    sizes.back() = directions() * state();
    return sizes;
  }

  TensorList forward(Context& ctx, const TensorList& in) {
    const Tensor& x = in[0];
    const DType t = compute_dtype(x.dtype());
    const bool keep = ctx.recording(), pad = keep && even();
    const Tensor flat = view(ready(x, t).detach(), {rows(), x.size(-1)});
    const Tensor all = padded_rows(t, pad);
    if (pad) put_first_states(all, in);
    const int64_t width = directions() * state(), first = pad ? batch * width : 0;
    Tensor hn = empty({directions(), batch, state()}, t);
    Tensor cn = lstm() ? empty({directions(), batch, hidden}, t) : Tensor();
    TensorList kept;
    for (int64_t d = 0; d < directions(); ++d) {
      Tensor gates, cells;
      if (keep && rnn_saved(mode)) gates = empty({rows(), 4 * hidden}, t);
      if (keep && lstm()) cells = empty({rows(), hidden}, t);
      char* out = all.raw() + (first + d * state()) * item_size(t);
      direction(in, d, t).forward(flat, out, width, select(hn, 0, d),
                                  lstm() ? select(cn, 0, d) : Tensor(), gates, cells);
      kept.push_back(gates);
      kept.push_back(cells);
    }
    for (const Tensor& i : in) ctx.save(i);
    ctx.save(all);
    for (const Tensor& k : kept) ctx.save(k);
    const Dims sizes = out_sizes(x);
    const Tensor out = alias(all, sizes, contiguous_strides(sizes), first);
    TensorList results{cast_data(out, x.dtype()), cast_data(hn, x.dtype())};
    if (lstm()) results.push_back(cast_data(cn, x.dtype()));
    return results;
  }

  TensorList composed(const TensorList& in) const {
    const Tensor x = reshape(in[0], {rows(), in[0].size(-1)});
    TensorList outs, hs, cs;
    for (int64_t d = 0; d < directions(); ++d) {
      State s{select(in[1], 0, d), lstm() ? select(in[2], 0, d) : Tensor()};
      outs.push_back(composed_direction(shape(d, x.dtype(), x), x, s, weights(in, d)));
      hs.push_back(s.h);
      cs.push_back(s.c);
    }
    TensorList results{reshape(cat(outs, 1), out_sizes(in[0])), stack(hs, 0)};
    if (lstm()) results.push_back(stack(cs, 0));
    return results;
  }

  Tensors backward(Context& ctx, const Tensors& g) {
    const size_t inputs = first_weight() + directions() * per_direction();
    TensorList in;
    for (size_t i = 0; i < inputs; ++i) in.push_back(ctx.saved(i));
    if (grad_enabled())
      return recompute_gradients(ctx, in, g,
                                 [&](const TensorList& list) { return composed(list); });
    return fused(ctx, in, g);
  }

  // [N, state]: what each step of direction d started from.
  Tensor previous(const Direction& dir, int64_t d, const Tensor& all, const char* out) const {
    if (even()) {
      const int64_t from = d == 0 ? 0 : 2 * batch;
      return narrow(narrow(all, 0, from, rows()), 1, d * state(), state());
    }
    Tensor h = empty({rows(), state()}, dir.shape.dtype);
    kernels<RnnKernels>().previous(dir.shape, out, directions() * state(), dir.h0.raw(), h.raw());
    return h;
  }

  Tensors fused(Context& ctx, const TensorList& in, const Tensors& g) const {
    const Tensor& x = in[0];
    const DType t = compute_dtype(x.dtype());
    const Tensor flat = view(ready(x, t).detach(), {rows(), x.size(-1)});
    const Tensor all = ctx.saved(in.size());
    const Tensor g_out = g[0].defined() ? ready(g[0], t) : Tensor();
    const int64_t width = directions() * state(), first = even() ? batch * width : 0;
    const Tensor dh = owned(g[1], {directions(), batch, state()}, t);
    const Tensor dc = lstm() ? owned(g[2], {directions(), batch, hidden}, t) : Tensor();
    Tensors out(in.size());
    for (int64_t d = 0; d < directions(); ++d) {
      const Direction dir = direction(in, d, t);
      const size_t shift = d * state() * item_size(t);
      const char* states = all.raw() + first * item_size(t) + shift;
      const auto grads = dir.backward(states, width, ctx.saved(in.size() + 1 + 2 * d),
                                      ctx.saved(in.size() + 2 + 2 * d),
                                      g_out.defined() ? g_out.raw() + shift : nullptr, width,
                                      select(dh, 0, d), lstm() ? select(dc, 0, d) : Tensor());
      const DType p = dir.shape.halves ? x.dtype() : t;
      const WeightGradients w{ctx, mode, hidden, grads.d_gates, p};
      if (ctx.needs(0)) {
        const Tensor dx = mm(w.of_input(), ready(weights(in, d).w_ih, p));
        out[0] = out[0].defined() ? out[0] + dx : dx;
      }
      const Tensor h = previous(dir, d, all, states);
      weight_gradients(ctx, d, w, grads, cast_data(flat, p), cast_data(h, p), out);
    }
    if (out[0].defined()) out[0] = reshape(out[0], x.sizes());
    out[1] = dh;
    if (lstm()) out[2] = dc;
    return out;
  }

  void weight_gradients(Context& ctx, int64_t d, const WeightGradients& w,
                        const Direction::Gradients& grads, const Tensor& x, const Tensor& h,
                        Tensors& out) const {
    size_t i = first_weight() + d * per_direction();
    if (ctx.needs(i)) w.w_ih(i, x, out);
    if (ctx.needs(i + 1)) w.w_hh(i + 1, h, out);
    if (has_bias) w.biases(i + 2, out);
    i += per_direction() - 1;
    if (proj && ctx.needs(i)) w.w_hr(i, grads.d_proj, grads.hidden, out);
  }
};

// Inputs: x, h, [c], w_ih, w_hh, [b_ih, b_hh].
template <bool Lstm>
struct RnnCell {
  static constexpr const char* name = Lstm ? "LstmCell" : "RnnCell";
  using Result = std::conditional_t<Lstm, std::tuple<Tensor, Tensor>, Tensor>;
  RnnMode mode;
  bool has_bias;
  int64_t batch, hidden;
  int64_t offset[2];

  static constexpr size_t first_weight() { return Lstm ? 3 : 2; }
  Direction direction(const TensorList& in, DType t) const {
    const size_t i = first_weight();
    return {{t, mode, false, 1, batch, in[0].size(1), hidden, 0, offset,
             multiplies_halves(in[0].dtype())},
            {ready(in[i], t), ready(in[i + 1], t), has_bias ? ready(in[i + 2], t) : Tensor(),
             has_bias ? ready(in[i + 3], t) : Tensor(), Tensor()},
            ready(in[1], t),
            Lstm ? ready(in[2], t) : Tensor()};
  }

  Result forward(Context& ctx, const TensorList& in) {
    const DType result = in[0].dtype(), t = compute_dtype(result);
    const bool keep = ctx.recording();
    const Tensor h = empty({batch, hidden}, t), x = ready(in[0], t);
    const Tensor c = Lstm ? empty({batch, hidden}, t) : Tensor();
    const Tensor gates = keep && rnn_saved(mode) ? empty({batch, 4 * hidden}, t) : Tensor();
    direction(in, t).forward(x, h.raw(), hidden, h, c, gates, Tensor());
    const Tensor h_out = cast_data(h, result);
    const Tensor c_out = Lstm ? cast_data(c, result) : Tensor();
    for (const Tensor& i : in) ctx.save(i);
    ctx.save(gates);
    if constexpr (Lstm) {
      ctx.save(c_out);
      return {h_out, c_out};
    } else {
      ctx.save(h_out);
      return h_out;
    }
  }

  TensorList composed(const TensorList& in) const {
    const size_t i = first_weight();
    const Weights w{in[i], in[i + 1], has_bias ? in[i + 2] : Tensor(),
                    has_bias ? in[i + 3] : Tensor(), Tensor()};
    const State s = composed_step(mode, in[0], {in[1], Lstm ? in[2] : Tensor()}, w);
    return Lstm ? TensorList{s.h, s.c} : TensorList{s.h};
  }

  Tensors backward(Context& ctx, const Tensors& g) {
    TensorList in;
    for (size_t i = 0; i < first_weight() + 2 + 2 * has_bias; ++i) in.push_back(ctx.saved(i));
    if (grad_enabled())
      return recompute_gradients(ctx, in, g,
                                 [&](const TensorList& list) { return composed(list); });
    const DType t = compute_dtype(in[0].dtype());
    const Direction dir = direction(in, t);
    const Tensor dh = owned(g[0], {batch, hidden}, t);
    const Tensor dc = Lstm ? owned(g[1], {batch, hidden}, t) : Tensor();
    const Tensor made = ready(ctx.saved(in.size() + 1), t);
    const auto grads = dir.backward(Lstm ? nullptr : made.raw(), hidden, ctx.saved(in.size()),
                                    Lstm ? made : Tensor(), nullptr, 0, dh, dc);
    Tensors out(in.size());
    const DType p = dir.shape.halves ? in[0].dtype() : t;
    const WeightGradients w{ctx, mode, hidden, grads.d_gates, p};
    const size_t i = first_weight();
    if (ctx.needs(0)) out[0] = mm(w.of_input(), ready(in[i], p));
    out[1] = dh;
    if (Lstm) out[2] = dc;
    if (ctx.needs(i)) w.w_ih(i, ready(in[0], p), out);
    if (ctx.needs(i + 1)) w.w_hh(i + 1, cast_data(dir.h0, p), out);
    if (has_bias) w.biases(i + 2, out);
    return out;
  }
};

// ---- checks and entry points --------------------------------------------------------------------------------------------

void check_shape(const char* op, const char* what, const Tensor& t, IntSpan sizes) {
  EG_CHECK(t.sizes() == sizes.dims(), "[", op, "] expected ", what, " of shape ", sizes, ", got ",
           IntSpan(t.sizes()));
}
void check_same_dtype(const char* op, const TensorList& in) {
  EG_CHECK(in[0].is_floating(), "[", op, "] expected a floating-point input, got ", in[0].dtype());
  for (const Tensor& t : in)
    EG_CHECK(t.dtype() == in[0].dtype(), "[", op,
             "] expected input, state and weights of one dtype, got ", in[0].dtype(), " and ",
             t.dtype());
}

template <bool Lstm>
auto cell(const char* op, RnnMode mode, const Tensor& x, const TensorList& state,
          const Tensor& w_ih, const Tensor& w_hh, const std::optional<Tensor>& b_ih,
          const std::optional<Tensor>& b_hh) {
  EG_CHECK(x.dim() == 2, "[", op, "] expected input of shape (batch, input_size), got ",
           IntSpan(x.sizes()));
  EG_CHECK(w_ih.dim() == 2 && w_hh.dim() == 2, "[", op, "] expected weights of 2 dimensions, got ",
           IntSpan(w_ih.sizes()), " and ", IntSpan(w_hh.sizes()));
  EG_CHECK(b_ih.has_value() == b_hh.has_value(), "[", op, "] expected both biases or none");
  const int64_t batch = x.size(0), hidden = w_hh.size(1), rows = rnn_gates(mode) * hidden;
  EG_CHECK(x.size(1) == w_ih.size(1), "[", op, "] input has inconsistent input_size: got ",
           x.size(1), ", expected ", w_ih.size(1));
  check_shape(op, "w_ih", w_ih, {rows, x.size(1)});
  check_shape(op, "w_hh", w_hh, {rows, hidden});
  for (const Tensor& s : state) check_shape(op, "a hidden state", s, {batch, hidden});
  TensorList in{x};
  in.insert(in.end(), state.begin(), state.end());
  in.push_back(w_ih);
  in.push_back(w_hh);
  if (b_ih) {
    check_shape(op, "b_ih", *b_ih, {rows});
    check_shape(op, "b_hh", *b_hh, {rows});
    in.push_back(*b_ih);
    in.push_back(*b_hh);
  }
  check_same_dtype(op, in);
  return eg::apply(RnnCell<Lstm>{mode, b_ih.has_value(), batch, hidden, {0, batch}}, in);
}

std::tuple<Tensor, Tensor> lstm_cell(const Tensor& x, const TensorList& hx, const Tensor& w_ih,
                                     const Tensor& w_hh, const std::optional<Tensor>& b_ih,
                                     const std::optional<Tensor>& b_hh) {
  EG_CHECK(hx.size() == 2, "[lstm_cell] expected two hidden states, got ", hx.size());
  return cell<true>("lstm_cell", RnnMode::Lstm, x, hx, w_ih, w_hh, b_ih, b_hh);
}
#define EG_CELL(name, mode)                                                              \
  Tensor name(const Tensor& x, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, \
              const std::optional<Tensor>& b_ih, const std::optional<Tensor>& b_hh) {    \
    return cell<false>(#name, RnnMode::mode, x, {hx}, w_ih, w_hh, b_ih, b_hh);           \
  }
EG_CELL(gru_cell, Gru)
EG_CELL(rnn_tanh_cell, Tanh)
EG_CELL(rnn_relu_cell, Relu)
#undef EG_CELL

TensorList rnn_layer(const Tensor& x, const TensorList& state, const TensorList& weights,
                     const Dims& batch_sizes, const std::string& mode_name, bool has_bias,
                     bool bidirectional) {
  const RnnMode mode = mode_from(mode_name);
  const bool packed = !batch_sizes.empty(), lstm = mode == RnnMode::Lstm;
  RnnLayer op{mode, has_bias, bidirectional, 0, 0, 0, 0, {0}};
  EG_CHECK(x.dim() == (packed ? 2 : 3), "[rnn] expected input of ", packed ? 2 : 3,
           " dimensions, got shape ", IntSpan(x.sizes()));
  EG_CHECK(state.size() == (lstm ? 2u : 1u), "[rnn] expected ", lstm ? 2 : 1, " states, got ",
           state.size());
  const size_t least = (2 + 2 * has_bias) * (bidirectional ? 2 : 1);
  const size_t with_proj = least + (bidirectional ? 2 : 1);
  EG_CHECK(weights.size() == least || (lstm && weights.size() == with_proj), "[rnn] expected ",
           least, " weights, got ", weights.size());
  EG_CHECK(weights[1].dim() == 2, "[rnn] expected weight_hh of 2 dimensions, got ",
           IntSpan(weights[1].sizes()));
  op.hidden = weights[1].size(0) / rnn_gates(mode);
  if (weights.size() == with_proj) op.proj = weights[1].size(1);
  op.steps = packed ? int64_t(batch_sizes.size()) : x.size(0);
  op.batch = packed ? batch_sizes[0] : x.size(1);
  for (int64_t t = 0; t < op.steps; ++t) {
    const int64_t n = packed ? batch_sizes[t] : op.batch;
    EG_CHECK(n >= 0 && (t == 0 || !packed || n <= batch_sizes[t - 1]),
             "[rnn] expected batch_sizes that never grow, got ", IntSpan(batch_sizes));
    op.offset.push_back(op.offset.back() + n);
  }
  EG_CHECK(!packed || op.rows() == x.size(0),
           "[rnn] expected as many rows as batch_sizes add up to (", op.rows(),
           "), got input of shape ", IntSpan(x.sizes()));
  EG_CHECK(op.steps > 0, "[rnn] expected a sequence length larger than 0, got input of shape ",
           IntSpan(x.sizes()));
  const int64_t input = x.size(-1), d = op.directions(), rows = rnn_gates(mode) * op.hidden;
  check_shape("rnn", "hidden state", state[0], {d, op.batch, op.state()});
  if (lstm) check_shape("rnn", "cell state", state[1], {d, op.batch, op.hidden});
  TensorList in{x};
  in.insert(in.end(), state.begin(), state.end());
  in.insert(in.end(), weights.begin(), weights.end());
  for (int64_t i = 0; i < d; ++i) {
    const Weights w = op.weights(in, i);
    check_shape("rnn", "weight_ih", w.w_ih, {rows, input});
    check_shape("rnn", "weight_hh", w.w_hh, {rows, op.state()});
    if (has_bias) check_shape("rnn", "bias_ih", w.b_ih, {rows});
    if (has_bias) check_shape("rnn", "bias_hh", w.b_hh, {rows});
    if (op.proj) check_shape("rnn", "weight_hr", w.w_hr, {op.proj, op.hidden});
  }
  check_same_dtype("rnn", in);
  return eg::apply(op, in);
}

}  // namespace

EG_OP(lstm_cell, "lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)",
      "One step of a long short-term memory (Hochreiter & Schmidhuber 1997): (h', c').",
      kFunctionOnly)
EG_OP(gru_cell, "gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)",
      "One step of a gated recurrent unit (Cho et al. 2014).", kFunctionOnly)
EG_OP(rnn_tanh_cell, "rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)",
      "tanh(input @ w_ih.T + b_ih + hx @ w_hh.T + b_hh).", kFunctionOnly)
EG_OP(rnn_relu_cell, "rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)",
      "relu(input @ w_ih.T + b_ih + hx @ w_hh.T + b_hh).", kFunctionOnly)
EG_OP(rnn_layer, "_rnn_layer(input, state, weights, batch_sizes, mode, has_bias, bidirectional)",
      "One recurrent layer over all steps: (output, h_n[, c_n]).", kInternal)

}  // namespace eg
