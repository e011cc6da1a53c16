// Note [A recurrent layer is a loop over rows]. Sequences do not see each other, so each thread takes some rows of the
// batch through all steps: no barrier in a step, and every row's sums run in the same order whatever the number of threads.
// Weights are packed once into panels that hold all gates of kLanes units side by side. The gates of a few rows are
// then summed in registers, input and recurrent part together, and meet their arithmetic without touching memory.
//
// Equations: Hochreiter & Schmidhuber 1997 with forget gate (LSTM); Cho et al. 2014, with the reset gate applied after
// the recurrent product (GRU), as cuDNN computes it.
#include "kernels/rnn.h"

#include "core/parallel.h"
#include "kernels/panel.h"
#include "kernels/rnn_rows.h"
#include "kernels/rnn_tiles.h"
#include "kernels/scratch.h"

namespace eg {
namespace {

template <class T>
constexpr int64_t kSpan = 4 * kLanes<T>;  // widest panel

template <class T, RnnMode M>
struct Layout {
  static constexpr int L = kLanes<T>;
  static constexpr bool gated = M == RnnMode::Lstm || M == RnnMode::Gru;
  static constexpr int N = gated ? rnn_gates(M) : 4;  // vectors in a row of a panel
  static constexpr int units = gated ? L : 4 * L;
  static constexpr int width = N * L;

  const RnnShape& s;
  int64_t panels, panel_size, proj_panels;

  explicit EG_INLINE Layout(const RnnShape& shape)
      : s(shape),
        panels((shape.hidden + units - 1) / units),
        panel_size((shape.input + shape.state() + 2) * width),
        proj_panels((shape.proj + kSpan<T> - 1) / kSpan<T>) {}

  // First weight row behind vector n of panel j, and how many of its lanes exist.
  EG_INLINE int64_t row(int64_t j, int n) const {
    return gated ? n * s.hidden + j * L : j * units + n * L;
  }
  EG_INLINE int64_t lanes(int64_t j, int n) const {
    const int64_t left = s.hidden - (gated ? j * L : j * units + n * L);
    return left < 0 ? 0 : left < L ? left : L;
  }
  EG_INLINE int64_t state_size() const { return s.batch * s.state(); }
  // Scratch: panels | projection panels | two copies of h | h before projection.
  EG_INLINE int64_t proj_at() const { return panels * panel_size; }
  EG_INLINE int64_t states_at() const { return proj_at() + proj_panels * s.hidden * kSpan<T>; }
  EG_INLINE int64_t hidden_at() const { return states_at() + 2 * state_size(); }
  EG_INLINE int64_t total() const { return hidden_at() + (s.proj ? s.batch * s.hidden : 0); }
};

// A panel is [input rows | state rows | input bias | state bias].
template <class T, RnnMode M>
void pack_panel(const Layout<T, M>& layout, const RnnForward& a, int64_t j, T* panel) {
  const RnnShape& s = layout.s;
  constexpr int L = kLanes<T>, width = Layout<T, M>::width;
  T* bias = panel + (s.input + s.state()) * width;
  for (int n = 0; n < layout.N; ++n) {
    const int64_t row = layout.row(j, n), lanes = layout.lanes(j, n);
    const T* w_ih = static_cast<const T*>(a.w_ih) + row * s.input;
    const T* w_hh = static_cast<const T*>(a.w_hh) + row * s.state();
    pack_transposed(w_ih, s.input, lanes, s.input, panel + n * L, width);
    pack_transposed(w_hh, s.state(), lanes, s.state(), panel + s.input * width + n * L, width);
    for (int l = 0; l < L; ++l) {
      const bool real = l < lanes;
      const T x = real && a.b_ih ? static_cast<const T*>(a.b_ih)[row + l] : T(0);
      const T h = real && a.b_hh ? static_cast<const T*>(a.b_hh)[row + l] : T(0);
      bias[n * L + l] = M == RnnMode::Gru ? x : x + h;
      bias[width + n * L + l] = h;
    }
  }
}

template <class T, RnnMode M, int R>
EG_INLINE void add_input_product(const Layout<T, M>& layout, const TileArgs<T, M>& t,
                                 Tile<T, R, Layout<T, M>::N>& sums) {
  const int64_t j = t.unit / layout.units, ld = rnn_gates(M) * layout.s.hidden;
  const T* gx = static_cast<const T*>(t.a.gx) + t.row * ld;
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < layout.N; ++n)
      sums.v[r][n] += load_some(gx + r * ld + layout.row(j, n), layout.lanes(j, n));
}

template <class T, RnnMode M, int R>
EG_INLINE void tile(const Layout<T, M>& layout, const TileArgs<T, M>& t, const T* panel,
                    const T* h_prev) {
  constexpr int L = kLanes<T>, N = Layout<T, M>::N, width = Layout<T, M>::width;
  const RnnShape& s = layout.s;
  const T* bias = panel + (s.input + s.state()) * width;
  const T* x = static_cast<const T*>(t.a.x) + t.row * t.a.ld_x;
  const T* h = h_prev + t.state_row * s.state();
  Tile<T, R, N> sums;
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) sums.v[r][n] = load(bias + n * L);
  if (t.a.gx) add_input_product(layout, t, sums);
  multiply_add(sums, s.input, x, t.a.ld_x, panel, width);
  if constexpr (M == RnnMode::Gru) {
    Vec<T> from_x[R][N];
    for (int r = 0; r < R; ++r)
      for (int n = 0; n < N; ++n) {
        from_x[r][n] = sums.v[r][n];
        sums.v[r][n] = load(bias + width + n * L);
      }
    multiply_add(sums, s.state(), h, s.state(), panel + s.input * width, width);
#pragma GCC unroll 1
    for (int r = 0; r < R; ++r) gru_row<T>(s, t, r, from_x[r], sums.v[r], h_prev);
    return;
  }
  multiply_add(sums, s.state(), h, s.state(), panel + s.input * width, width);
#pragma GCC unroll 1
  for (int r = 0; r < R; ++r) finish_row<T, M>(s, t, r, sums.v[r]);
}

// ---- forward --------------------------------------------------------------------------------------------------------

template <class T, RnnMode M>
void step_panel(const Layout<T, M>& layout, const RnnForward& a, const T* panel, int64_t j,
                int64_t t, Span rows, const T* h_prev, T* h_next) {
  const RnnShape& s = layout.s;
  T* scratch = static_cast<T*>(a.scratch);
  const int64_t unit = j * layout.units;
  for_row_blocks<T>(rows.rows, [&](auto r, int64_t first) {
    const int64_t row = rows.begin + first;
    const TileArgs<T, M> args{a,
                              s.offset[t] + row,
                              row,
                              unit,
                              layout.lanes(j, 0),
                              h_next,
                              scratch + layout.hidden_at(),
                              streams<T>(s, a)};
    tile<T, M, decltype(r)::value>(layout, args, panel, h_prev);
  });
}

// state = hidden @ w_hr^T
template <class T, RnnMode M>
void project(const Layout<T, M>& layout, const RnnForward& a, int64_t t, Span rows, T* h_next) {
  const RnnShape& s = layout.s;
  constexpr int L = kLanes<T>;
  T* scratch = static_cast<T*>(a.scratch);
  for (int64_t j = 0; j < layout.proj_panels; ++j) {
    const T* panel = scratch + layout.proj_at() + j * s.hidden * kSpan<T>;
    for_row_blocks<T>(rows.rows, [&](auto r, int64_t first) {
      constexpr int R = decltype(r)::value;
      const int64_t row = rows.begin + first;
      Tile<T, R, 4> sums{};
      multiply_add(sums, s.hidden, scratch + layout.hidden_at() + row * s.hidden, s.hidden, panel,
                   kSpan<T>);
      alignas(64) T strip[R][kSpan<T>];
      for (int i = 0; i < R; ++i)
        for (int n = 0; n < 4; ++n) store(&strip[i][n * L], sums.v[i][n]);
      const int64_t unit = j * kSpan<T>;
      const int64_t count = s.proj - unit < kSpan<T> ? s.proj - unit : kSpan<T>;
      T* out = static_cast<T*>(a.out) + (s.offset[t] + row) * a.ld_out + unit;
      for (int i = 0; i < R; ++i)
        for (int64_t l = 0; l < count; ++l) {
          out[i * a.ld_out + l] = strip[i][l];
          h_next[(row + i) * s.proj + unit + l] = strip[i][l];
        }
    });
  }
}

// Multiply-adds worth waking another thread for.
constexpr int64_t kWork = 8 * kParallelGrain;

EG_INLINE int64_t grain_for(int64_t work_each, int64_t least) {
  const int64_t grain = kWork / (work_each > 0 ? work_each : 1) + 1;
  return grain > least ? grain : least;
}

#if defined(EG_AMX)
template <RnnMode M>
void tiled_forward(const RnnShape& s, const RnnForward& a) {
  const TiledForward<M> run(s);
  parallel_for(run.quads, grain_for(run.quad_size, 1), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) run.pack(a, j);
  });
  const int64_t row_work = run.quads * run.quad_size * s.steps / 4;
  parallel_for(s.batch, grain_for(row_work, kLines),
               [&](int64_t begin, int64_t end) { run.run(a, begin, end); });
}
#endif

template <class T, RnnMode M>
void forward(const RnnShape& s, const RnnForward& a) {
#if defined(EG_AMX)
  if constexpr (sizeof(T) == 4)
    if (s.halves) return tiled_forward<M>(s, a);
#endif
  const Layout<T, M> layout(s);
  T* scratch = static_cast<T*>(a.scratch);
  const int64_t panel_work = layout.panel_size * (s.steps == 1 ? s.batch : 4);
  const bool one_step = s.steps == 1 && !s.proj;
  const T* h0 = static_cast<const T*>(a.h0);
  // A single step packs a panel, uses it at once and packs the next in its place; several steps pack first, then split the rows.
  parallel_for(layout.panels, grain_for(panel_work, 1), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      T* panel = scratch + (one_step ? begin : j) * layout.panel_size;
      pack_panel(layout, a, j, panel);
      if (one_step) step_panel(layout, a, panel, j, 0, Span{0, s.batch}, h0, static_cast<T*>(a.hn));
    }
    drain_stores();
  });
  if (one_step) return;
  for (int64_t j = 0; j < layout.proj_panels; ++j) {
    T* panel = scratch + layout.proj_at() + j * s.hidden * kSpan<T>;
    for (int n = 0; n < 4; ++n) {
      const int64_t row = j * kSpan<T> + n * kLanes<T>, left = s.proj - row;
      const int64_t lanes = left < 0 ? 0 : left < kLanes<T> ? left : kLanes<T>;
      pack_transposed(static_cast<const T*>(a.w_hr) + row * s.hidden, s.hidden, lanes, s.hidden,
                      panel + n * kLanes<T>, kSpan<T>);
    }
  }
  const int64_t row_work = layout.panels * layout.panel_size * s.steps;
  parallel_for(s.batch, grain_for(row_work, 1), [&](int64_t begin, int64_t end) {
    run_rows(s, a, scratch + layout.states_at(), begin, end,
             [&](int64_t t, Span rows, const T* before, T* after) {
               for (int64_t j = 0; j < layout.panels; ++j)
                 step_panel(layout, a, scratch + j * layout.panel_size, j, t, rows, before, after);
               if (s.proj) project(layout, a, t, rows, after);
             });
  });
}

// ---- backward -------------------------------------------------------------------------------------------------------

// c[rows, n] (+)= a[rows, k] @ b, b packed in panels of kSpan columns.
template <class T>
__attribute__((noinline)) void multiply_panels(int64_t rows, int64_t n, int64_t k, const T* a,
                                               int64_t lda, const T* b, int64_t panel_size,
                                               int64_t ldb, T* c, int64_t ldc, bool add) {
  constexpr int L = kLanes<T>;
  for (int64_t j = 0; j * kSpan<T> < n; ++j) {
    const T* panel = b + j * panel_size;
    const int64_t left = n - j * kSpan<T>;
    for_row_blocks<T>(rows, [&](auto r, int64_t first) {
      constexpr int R = decltype(r)::value;
      T* dst = c + first * ldc + j * kSpan<T>;
      Tile<T, R, 4> sums{};
      multiply_add(sums, k, a + first * lda, lda, panel, ldb);
      for (int i = 0; i < R; ++i)
        for (int v = 0; v < 4; ++v) {
          T* to = dst + i * ldc + v * L;
          if (left >= (v + 1) * L) {
            store(to, add ? load(to) + sums.v[i][v] : sums.v[i][v]);
            continue;
          }
          for (int64_t l = 0; v * L + l < left && l < L; ++l)
            to[l] = add ? to[l] + sums.v[i][v][l] : sums.v[i][v][l];
        }
    });
  }
}

template <class T, RnnMode M>
struct BackwardLayout {
  static constexpr int saved = rnn_saved(M) ? rnn_saved(M) : 1;
  const RnnShape& s;
  int64_t k, panels, panel_size, proj_panels;
  explicit EG_INLINE BackwardLayout(const RnnShape& shape)
      : s(shape),
        k(rnn_gates(M) * shape.hidden),
        panels((shape.state() + kSpan<T> - 1) / kSpan<T>),
        panel_size(k * kSpan<T>),
        proj_panels(shape.proj ? (shape.hidden + kSpan<T> - 1) / kSpan<T> : 0) {}
  EG_INLINE int64_t proj_at() const { return panels * panel_size; }
  EG_INLINE int64_t hidden_at() const { return proj_at() + proj_panels * s.proj * kSpan<T>; }
  EG_INLINE int64_t total() const { return hidden_at() + (s.proj ? s.batch * s.hidden : 0); }
};

template <class T, RnnMode M>
struct BackwardRun {
  const BackwardLayout<T, M>& layout;
  const RnnShape& s;
  const RnnBackward& a;
  T* scratch;
  T* dh;

  // Adds the gradient of this step's output; under projection also goes through w_hr, into `hidden`.
  __attribute__((noinline)) void gather(int64_t t, Span rows) const {
    const int64_t width = s.state();
    const T* g = static_cast<const T*>(a.g_out);
    T* d_proj = static_cast<T*>(a.d_proj);
    for (int64_t r = rows.begin; r < rows.begin + rows.rows; ++r) {
      const int64_t row = s.offset[t] + r;
      if (g)
        for (int64_t u = 0; u < width; ++u) dh[r * width + u] += g[row * a.ld_g + u];
      if (s.proj) memcpy(d_proj + row * width, dh + r * width, width * sizeof(T));
    }
    if (s.proj)
      multiply_panels(rows.rows, s.hidden, s.proj, dh + rows.begin * width, width,
                      scratch + layout.proj_at(), s.proj * kSpan<T>, kSpan<T>,
                      scratch + layout.hidden_at() + rows.begin * s.hidden, s.hidden, false);
  }

  __attribute__((noinline)) void row_backward(int64_t t, int64_t r) const {
    const int64_t n = s.hidden, row = s.offset[t] + r;
    T* d = static_cast<T*>(a.d_gates) + row * layout.saved * n;
    const T* gates = static_cast<const T*>(a.gates) + row * 4 * n;
    const T* out = static_cast<const T*>(a.out);
    const T* h0 = static_cast<const T*>(a.h0);
    if constexpr (M == RnnMode::Lstm) {
      const T* c = static_cast<const T*>(a.cells);
      const T* c0 = static_cast<const T*>(a.c0);
      const int64_t p = s.reverse ? t + 1 : t - 1;
      const bool inside = p >= 0 && p < s.steps && r < s.offset[p + 1] - s.offset[p];
      const T* c_prev = inside ? c + (s.offset[p] + r) * n : c0 + r * n;
      T* hidden = s.proj ? static_cast<T*>(a.hidden) + row * n : nullptr;
      const T* g = s.proj ? scratch + layout.hidden_at() + r * n : dh + r * n;
      lstm_row_backward(n, gates, c + row * n, c_prev, g, static_cast<T*>(a.dc) + r * n, d, hidden);
    } else if constexpr (M == RnnMode::Gru) {
      gru_row_backward(n, gates, state_before(s, out, a.ld_out, h0, t, r), dh + r * n, d);
    } else {
      rnn_row_backward(n, M == RnnMode::Relu, out + row * a.ld_out, dh + r * n, d);
    }
  }

  // dh of the step before = d_gates @ w_hh, for the columns of one panel.
  EG_INLINE void to_previous(int64_t t, Span rows, int64_t begin, int64_t end) const {
    // Whole panels of a single step are read where they are.
    const bool packed = !in_place();
    const int64_t ldb = packed ? kSpan<T> : s.state();
    const int64_t panel_size = packed ? layout.panel_size : kSpan<T>;
    const int64_t n = s.hidden, ld = layout.saved * n, width = s.state();
    const T* d = static_cast<const T*>(a.d_gates) + (s.offset[t] + rows.begin) * ld;
    T* to = dh + rows.begin * width + begin * kSpan<T>;
    const int64_t columns = (end * kSpan<T> < width ? end * kSpan<T> : width) - begin * kSpan<T>;
    const T* w = (packed ? scratch : static_cast<const T*>(a.w_hh)) + begin * panel_size;
    if constexpr (M == RnnMode::Gru) {
      multiply_panels(rows.rows, columns, 2 * n, d, ld, w, panel_size, ldb, to, width, true);
      multiply_panels(rows.rows, columns, n, d + 3 * n, ld, w + 2 * n * ldb, panel_size, ldb, to,
                      width, true);
    } else {
      multiply_panels(rows.rows, columns, layout.k, d, ld, w, panel_size, ldb, to, width, false);
    }
  }
  EG_INLINE bool in_place() const { return s.steps == 1 && s.state() % kSpan<T> == 0; }

  // to_previous(t, rows) takes dh a step back.
  template <class Previous>
  void rows(int64_t b0, int64_t b1, const Previous& to_previous) const {
    for (int64_t i = s.steps; i-- > 0;) {
      const int64_t t = step_at(s, i);
      const Span span = alive(s, t, b0, b1);
      if (span.rows == 0) continue;
      gather(t, span);
      for (int64_t r = span.begin; r < span.begin + span.rows; ++r) row_backward(t, r);
      to_previous(t, span);
    }
  }
};

#if defined(EG_AMX)
template <RnnMode M>
void tiled_backward(const RnnShape& s, const RnnBackward& a) {
  const BackwardLayout<float, M> layout(s);
  float *scratch = static_cast<float*>(a.scratch), *dh = static_cast<float*>(a.dh);
  const BackwardRun<float, M> run{layout, s, a, scratch, dh};
  const TiledPrevious<M> previous(s);
  parallel_for(previous.panels, grain_for(previous.panel_size, 1), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j)
      previous.pack(static_cast<const float*>(a.w_hh), j, scratch + j * previous.panel_size);
  });
  const int64_t row_work = previous.k * s.hidden * s.steps / 4;
  parallel_for(s.batch, grain_for(row_work, kLines), [&](int64_t begin, int64_t end) {
    const int64_t numbers = previous.left_size(end - begin);
    Scratch<BFloat16> left(numbers);
    memset(static_cast<void*>(left.data()), 0, numbers * sizeof(BFloat16));
    configure_tiles();
    run.rows(begin, end, [&](int64_t t, Span rows) {
      const int64_t row = s.offset[t] + rows.begin;
      previous.multiply(static_cast<const float*>(a.d_gates) + row * layout.saved * s.hidden,
                        rows.rows, scratch, left.data(), dh + rows.begin * s.hidden);
    });
    release_tiles();
  });
}
#endif

template <class T, RnnMode M>
void backward(const RnnShape& s, const RnnBackward& a) {
#if defined(EG_AMX)
  if constexpr (sizeof(T) == 4)
    if (s.halves) return tiled_backward<M>(s, a);
#endif
  const BackwardLayout<T, M> layout(s);
  T* scratch = static_cast<T*>(a.scratch);
  const T* w_hh = static_cast<const T*>(a.w_hh);
  const int64_t width = s.state();
  const BackwardRun<T, M> run{layout, s, a, scratch, static_cast<T*>(a.dh)};
  const bool one_step = s.steps == 1 && !s.proj;
  const auto gates = [&](int64_t begin, int64_t end) {
    run.gather(0, Span{begin, end - begin});
    for (int64_t r = begin; r < end; ++r) run.row_backward(0, r);
  };
  if (one_step) parallel_for(s.batch, kParallelGrain / (8 * s.hidden + 1) + 1, gates);
  const int64_t panel_work = layout.panel_size * (one_step ? s.batch : 4);
  parallel_for(layout.panels, grain_for(panel_work, 1), [&](int64_t b, int64_t e) {
    for (int64_t j = b; j < e; ++j) {
      if (!run.in_place())
        pack_columns(w_hh + j * kSpan<T>, width, width - j * kSpan<T>, layout.k,
                     scratch + j * layout.panel_size, kSpan<T>);
      if (one_step) run.to_previous(0, Span{0, s.batch}, j, j + 1);
    }
  });
  if (one_step) return;
  for (int64_t j = 0; j < layout.proj_panels; ++j)
    pack_columns(static_cast<const T*>(a.w_hr) + j * kSpan<T>, s.hidden, s.hidden - j * kSpan<T>,
                 s.proj, scratch + layout.proj_at() + j * s.proj * kSpan<T>, kSpan<T>);
  parallel_for(s.batch, grain_for(layout.k * width * s.steps, 1), [&](int64_t begin, int64_t end) {
    run.rows(begin, end, [&](int64_t t, Span rows) { run.to_previous(t, rows, 0, layout.panels); });
  });
}

// ---- dispatch -------------------------------------------------------------------------------------------------------

template <class F>
EG_INLINE auto visit_mode(const RnnShape& s, F&& f) {
  return visit_float(s.dtype, [&](auto zero) {
    using T = decltype(zero);
    switch (s.mode) {
      case RnnMode::Tanh:
        return f(T{}, std::integral_constant<RnnMode, RnnMode::Tanh>{});
      case RnnMode::Relu:
        return f(T{}, std::integral_constant<RnnMode, RnnMode::Relu>{});
      case RnnMode::Lstm:
        return f(T{}, std::integral_constant<RnnMode, RnnMode::Lstm>{});
      case RnnMode::Gru:
        return f(T{}, std::integral_constant<RnnMode, RnnMode::Gru>{});
    }
    __builtin_unreachable();
  });
}

int64_t rnn_forward_scratch(const RnnShape& s) {
  return visit_mode(s, [&](auto zero, auto mode) -> int64_t {
#if defined(EG_AMX)
    if (s.halves) return TiledForward<decltype(mode)::value>(s).total();
#endif
    return Layout<decltype(zero), decltype(mode)::value>(s).total();
  });
}
int64_t rnn_backward_scratch(const RnnShape& s) {
  return visit_mode(s, [&](auto zero, auto mode) -> int64_t {
#if defined(EG_AMX)
    if (s.halves) {
      const TiledPrevious<decltype(mode)::value> previous(s);
      return previous.panels * previous.panel_size;
    }
#endif
    return BackwardLayout<decltype(zero), decltype(mode)::value>(s).total();
  });
}
void rnn_forward(const RnnShape& s, const RnnForward& a) {
  visit_mode(s,
             [&](auto zero, auto mode) { forward<decltype(zero), decltype(mode)::value>(s, a); });
}
void rnn_backward(const RnnShape& s, const RnnBackward& a) {
  visit_mode(s,
             [&](auto zero, auto mode) { backward<decltype(zero), decltype(mode)::value>(s, a); });
}

void rnn_previous(const RnnShape& s, const void* out, int64_t ld_out, const void* h0, void* dst) {
  visit_float(s.dtype, [&](auto zero) {
    using T = decltype(zero);
    const int64_t width = s.state();
    for (int64_t t = 0; t < s.steps; ++t)
      for (int64_t r = 0; r < s.offset[t + 1] - s.offset[t]; ++r)
        memcpy(static_cast<T*>(dst) + (s.offset[t] + r) * width,
               state_before(s, static_cast<const T*>(out), ld_out, static_cast<const T*>(h0), t, r),
               width * sizeof(T));
  });
}

}  // namespace

EG_KERNELS(RnnKernels, {&rnn_forward_scratch, &rnn_backward_scratch, &rnn_forward, &rnn_backward,
                        &rnn_previous});

}  // namespace eg
