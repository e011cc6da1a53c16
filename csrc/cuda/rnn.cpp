// Recurrent layers on the GPU: the input's product of all steps at once; then all steps in one launch where the weights of the
// state are few, else a product with the state and a launch for the gates in each step.
#include "kernels/rnn.h"

#include "cuda/launch.h"
#include "cuda/rnn_layout.h"

namespace eg {
namespace {

constexpr const char* kFile = "rnn.cu";

struct Rows {
  const void* data;
  int64_t ld;
};

// c[m, n] = op(a) op(b) + beta c
void product(DType t, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, Rows a, Rows b,
             void* c, int64_t ldc, double beta) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (int64_t i = 0; beta == 0 && i < m; ++i)
      cuda::fill_zero(static_cast<char*>(c) + i * ldc * item_size(t), n * item_size(t));
    return;
  }
  const cuda::Gemm g = {int(t), trans_a, trans_b, m,    n,   k, 1.0, beta, a.data,
                        b.data, c,       a.ld,    b.ld, ldc, 0, 0,   0,    1};
  const cuda::Driver& d = cuda::driver();
  const int device = active_device.index;
  cuda::check(d.use(device), "choosing the device");
  cuda::check(d.gemm(device, &g, d.stream(device)), "a matrix product");
}

template <class P>
P at(P p, int64_t elements, DType t) {
  using Char = std::conditional_t<std::is_const_v<std::remove_pointer_t<P>>, const char, char>;
  return p ? static_cast<Char*>(p) + elements * int64_t(item_size(t)) : nullptr;
}

void* gate_kernel(const RnnShape& s, bool backward) {
  return cuda::kernel(kFile, backward ? "eg::rnn_step_backward" : "eg::rnn_step",
                      {s.dtype, int(s.mode)});
}

int64_t no_scratch(const RnnShape&) { return 0; }

void put_rows(DType t, int64_t rows, int64_t width, void* from, const void* add, int64_t ld_add,
              void* to, int64_t ld_to) {
  cuda::launch(cuda::kernel(kFile, "eg::put_rows", {t}), cuda::elements(rows * width), rows, width,
               from, add, ld_add, to, ld_to);
}

int64_t step_at(const RnnShape& s, int64_t i) { return s.reverse ? s.steps - 1 - i : i; }
int64_t rows_at(const RnnShape& s, int64_t t) { return s.offset[t + 1] - s.offset[t]; }

// --- all steps in one launch ----------------------------------------------------------------------------------------

constexpr int64_t kMostWeights =
    512 << 10;  // bytes: more take longer to read at each step than a product takes

struct Sweep {
  bool fits = false;
  int rows, threads;  // sequences and threads a block
  cuda::Grid grid{1, 1};

  explicit Sweep(const RnnShape& s) {
    const int64_t gates = rnn_gates(s.mode) * s.hidden, cores = cuda::driver().multiprocessors;
    rows = s.batch <= cores ? 1 : 2;
    const int64_t wanted = std::max<int64_t>(gates, rows * s.hidden);
    fits = !s.proj && s.hidden % 4 == 0 && s.steps > 1 && s.batch > 0 && s.batch <= 2 * cores &&
           wanted <= 1024 && gates * s.hidden * int64_t(item_size(s.dtype)) <= kMostWeights;
    if (!fits) return;
    threads = wanted <= 512 ? 512 : 1024;
    grid = cuda::Grid((s.batch + rows - 1) / rows, threads);
  }
  void* kernel(const RnnShape& s, bool backward) const {
    return cuda::kernel(kFile, backward ? "eg::rnn_sweep_backward" : "eg::rnn_sweep",
                        {s.dtype, int(s.mode), rows, threads == 1024});
  }
};

void sweep_forward(const RnnShape& s, const RnnForward& a, const Sweep& sweep, void* gx,
                   int64_t ld) {
  const int64_t gates = rnn_gates(s.mode) * s.hidden;
  const cuda::Scratch turned(size_t(gates * s.hidden) * item_size(s.dtype));
  cuda::launch(cuda::kernel(kFile, "eg::transpose_weights", {s.dtype}),
               cuda::Grid((gates + 31) / 32 * ((s.hidden + 31) / 32), 256), gates, s.hidden, a.w_hh,
               turned.get());
  const cuda::Uploaded offset(s.offset, size_t(s.steps + 1) * sizeof(int64_t));
  RnnStep r{};
  r.hidden = s.hidden;
  r.gx = gx, r.ld_gx = ld;
  r.b_ih = a.b_ih, r.b_hh = a.b_hh;
  if (rnn_saved(s.mode)) r.gates = a.gates;
  r.cell = a.cn, r.kept_cell = a.cells;
  r.h = a.hn;
  r.out = a.out, r.ld_out = a.ld_out;
  const RnnSweep all = {s.steps, s.batch, s.reverse, offset.get<int64_t>(), turned.get()};
  cuda::launch(sweep.kernel(s, false), sweep.grid, all, r, a.h0);
}

void sweep_backward(const RnnShape& s, const RnnBackward& a, const Sweep& sweep) {
  const cuda::Uploaded offset(s.offset, size_t(s.steps + 1) * sizeof(int64_t));
  RnnStepBackward r{};
  r.hidden = s.hidden;
  r.gates = a.gates;
  r.cell = a.cells, r.cell_first = a.c0;
  r.out = a.out, r.out_first = a.h0, r.ld_out = a.ld_out;
  r.g_out = a.g_out, r.ld_g = a.ld_g;
  r.dh = a.dh, r.dc = a.dc, r.d_gates = a.d_gates;
  const RnnSweep all = {s.steps, s.batch, s.reverse, offset.get<int64_t>(), a.w_hh};
  cuda::launch(sweep.kernel(s, true), sweep.grid, all, r);
}

// --- a product and a launch a step ------------------------------------------------------------------------------------

void forward(const RnnShape& s, const RnnForward& a) {
  const DType t = s.dtype;
  const int64_t n = s.offset[s.steps], h = s.hidden, width = s.state(), gates = rnn_gates(s.mode);
  const size_t item = item_size(t);
  // The products go where the gates will be kept, if they are.
  const cuda::Scratch sums(a.gates || a.gx ? 0 : n * gates * h * item);
  const cuda::Scratch states(s.mode == RnnMode::Gru ? s.batch * 3 * h * item : 0);
  const cuda::Scratch full(s.proj ? s.batch * h * item : 0);
  void* const gx = a.gates ? a.gates : a.gx ? const_cast<void*>(a.gx) : sums.get();
  const int64_t ld = a.gates ? 4 * h : gates * h;
  if (!a.gx) {
    product(t, false, true, n, gates * h, s.input, {a.x, a.ld_x}, {a.w_ih, s.input}, gx, ld, 0);
  } else if (a.gates) {
    put_rows(t, n, gates * h, const_cast<void*>(a.gx), nullptr, 0, gx, ld);
  }
  const Sweep sweep(s);
  if (sweep.fits) return sweep_forward(s, a, sweep, gx, ld);
  // hn is the running state. Sequences that start later (packed, in reverse) wait in it.
  const void* state = a.h0;
  if (s.steps > 0 && rows_at(s, step_at(s, 0)) < s.batch) {
    cuda::copy_bytes(a.hn, a.h0, s.batch * width * item);
    state = a.hn;
  }
  void* const kernel = gate_kernel(s, false);
  for (int64_t i = 0; i < s.steps; ++i) {
    const int64_t step = step_at(s, i), first = s.offset[step], rows = rows_at(s, step);
    if (rows == 0) continue;
    RnnStep r{};
    r.rows = rows, r.hidden = h;
    r.gx = at(gx, first * ld, t), r.ld_gx = ld;
    r.b_ih = a.b_ih, r.b_hh = a.b_hh;
    if (s.mode == RnnMode::Gru) {
      product(t, false, true, rows, 3 * h, h, {state, h}, {a.w_hh, h}, states.get(), 3 * h, 0);
      r.gh = states.get();
    } else {
      product(t, false, true, rows, gates * h, width, {state, width}, {a.w_hh, width},
              at(gx, first * ld, t), ld, 1);
    }
    if (rnn_saved(s.mode)) r.gates = at(a.gates, first * 4 * h, t);
    r.cell = a.cn, r.kept_cell = at(a.cells, first * h, t);
    r.h_prev = state;
    void* const out = at(a.out, first * a.ld_out, t);
    if (s.proj) {
      r.h = full.get();
    } else {
      r.h = a.hn;
      r.out = out == a.hn ? nullptr : out, r.ld_out = a.ld_out;
    }
    cuda::launch(kernel, cuda::elements(rows * h), r);
    state = a.hn;
    if (!s.proj) continue;
    product(t, false, true, rows, width, h, {full.get(), h}, {a.w_hr, h}, a.hn, width, 0);
    put_rows(t, rows, width, a.hn, nullptr, 0, out, a.ld_out);
  }
}

void backward(const RnnShape& s, const RnnBackward& a) {
  const DType t = s.dtype;
  const int64_t h = s.hidden, width = s.state(), gates = rnn_gates(s.mode),
                kept = std::max(rnn_saved(s.mode), 1);
  const Sweep sweep(s);
  if (sweep.fits) return sweep_backward(s, a, sweep);
  const size_t item = item_size(t);
  const cuda::Scratch states(s.mode == RnnMode::Gru ? s.batch * 3 * h * item : 0);
  const cuda::Scratch d_full(s.proj ? s.batch * h * item : 0);
  void* const kernel = gate_kernel(s, true);
  for (int64_t i = s.steps; i-- > 0;) {
    const int64_t step = step_at(s, i), first = s.offset[step], rows = rows_at(s, step);
    if (rows == 0) continue;
    const int64_t before = s.reverse ? step + 1 : step - 1;
    const bool any = before >= 0 && before < s.steps;
    RnnStepBackward r{};
    r.rows = rows, r.hidden = h;
    r.gates = at(a.gates, first * 4 * h, t);
    r.cell = at(a.cells, first * h, t), r.cell_first = a.c0;
    r.out = at(a.out, first * a.ld_out, t), r.out_first = a.h0, r.ld_out = a.ld_out;
    if (any) {
      r.inside = rows_at(s, before);
      r.cell_before = at(a.cells, s.offset[before] * h, t);
      r.out_before = at(a.out, s.offset[before] * a.ld_out, t);
    }
    r.dh = a.dh, r.dc = a.dc, r.d_gates = at(a.d_gates, first * kept * h, t);
    const void* const g_out = at(a.g_out, first * a.ld_g, t);
    if (s.proj) {
      void* const d_proj = at(a.d_proj, first * width, t);
      put_rows(t, rows, width, a.dh, g_out, a.ld_g, d_proj, width);
      product(t, false, false, rows, h, width, {d_proj, width}, {a.w_hr, h}, d_full.get(), h, 0);
      r.d_hidden = d_full.get(), r.full = at(a.hidden, first * h, t);
    } else {
      r.g_out = g_out, r.ld_g = a.ld_g;
    }
    r.d_state = states.get();
    cuda::launch(kernel, cuda::elements(rows * h), r);
    const bool gru = s.mode == RnnMode::Gru;
    product(t, false, false, rows, width, gates * h,
            {gru ? states.get() : static_cast<const void*>(r.d_gates), gates * h}, {a.w_hh, width},
            a.dh, width, gru ? 1 : 0);
  }
}

void previous(const RnnShape& s, const void* out, int64_t ld_out, const void* h0, void* dst) {
  const int64_t n = s.offset[s.steps] * s.state();
  if (n == 0) return;
  const cuda::Uploaded offset(s.offset, (s.steps + 1) * sizeof(int64_t));
  cuda::launch(cuda::kernel(kFile, "eg::previous_states", {s.dtype}), cuda::elements(n), s.steps,
               s.state(), s.reverse, offset.get<int64_t>(), out, ld_out, h0, dst);
}

}  // namespace

EG_CUDA_KERNELS(RnnKernels, {&no_scratch, &no_scratch, &forward, &backward, &previous})

}  // namespace eg
