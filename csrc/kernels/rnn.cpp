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

// ---- one tile: a few rows of all gates of one panel ----------------------------------------------------------------

template <class T, RnnMode M>
struct TileArgs {
  const RnnForward& a;
  int64_t row;        // in the [N, ...] buffers
  int64_t state_row;  // in the [batch, ...] buffers
  int64_t unit, lanes;
  T *h_next, *hidden;
  bool stream;  // what is saved for the backward pass goes past the caches
};

// Saved values are read again after all steps. Where they outgrow the second-level cache, writing them past it takes 0.6 ms off
// 4.3 ms (LSTM, 50 steps, batch 32, 128 units).
constexpr int64_t kBeyondCache = 1 << 20;
template <class T>
EG_INLINE bool streams(const RnnShape& s, const RnnForward& a) {
  const uintptr_t places =
      reinterpret_cast<uintptr_t>(a.gates) | reinterpret_cast<uintptr_t>(a.cells);
  return a.gates && s.offset[s.steps] * 4 * s.hidden * int64_t(sizeof(T)) > kBeyondCache &&
         s.hidden % kLanes<T> == 0 && places % kVectorBytes == 0;
}
template <class T, RnnMode M>
EG_INLINE void put_saved(const TileArgs<T, M>& t, T* dst, Vec<T> v) {
  if (t.stream)
    store_past_caches(dst, v);
  else
    store_some(dst, v, t.lanes);
}

// The new state of one row goes to the output and to where the next step reads it.
template <class T, RnnMode M>
EG_INLINE void put_hidden(const RnnShape& s, const TileArgs<T, M>& t, int r, int64_t unit,
                          int64_t lanes, Vec<T> h) {
  if (s.proj) {
    store_some(t.hidden + (t.state_row + r) * s.hidden + unit, h, lanes);
    return;
  }
  store_some(static_cast<T*>(t.a.out) + (t.row + r) * t.a.ld_out + unit, h, lanes);
  store_some(t.h_next + (t.state_row + r) * s.hidden + unit, h, lanes);
}

template <class T, RnnMode M>
EG_INLINE void put_gates(const RnnShape& s, const TileArgs<T, M>& t, int r,
                         const Vec<T> (&gates)[4]) {
  if (!t.a.gates) return;
  T* dst = static_cast<T*>(t.a.gates) + (t.row + r) * 4 * s.hidden + t.unit;
  for (int n = 0; n < 4; ++n) put_saved(t, dst + n * s.hidden, gates[n]);
}

template <class T>
EG_INLINE void lstm_row(const RnnShape& s, const TileArgs<T, RnnMode::Lstm>& t, int r,
                        const Vec<T> (&sums)[4]) {
  const int64_t at = (t.state_row + r) * s.hidden + t.unit;
  T* cn = static_cast<T*>(t.a.cn) + at;
  const Vec<T> i = lanes_logistic<T>(sums[0]), f = lanes_logistic<T>(sums[1]);
  const Vec<T> g = lanes_tanh<T>(sums[2]), o = lanes_logistic<T>(sums[3]);
  const Vec<T> c = f * load_some(cn, t.lanes) + i * g;
  store_some(cn, c, t.lanes);
  if (t.a.cells) put_saved(t, static_cast<T*>(t.a.cells) + (t.row + r) * s.hidden + t.unit, c);
  put_gates<T>(s, t, r, {i, f, g, o});
  put_hidden(s, t, r, t.unit, t.lanes, o * lanes_tanh<T>(c));
}

template <class T>
EG_INLINE void gru_row(const RnnShape& s, const TileArgs<T, RnnMode::Gru>& t, int r,
                       const Vec<T>* from_x, const Vec<T> (&from_h)[3], const T* h_prev) {
  const Vec<T> h = load_some(h_prev + (t.state_row + r) * s.hidden + t.unit, t.lanes);
  const Vec<T> reset = lanes_logistic<T>(from_x[0] + from_h[0]);
  const Vec<T> z = lanes_logistic<T>(from_x[1] + from_h[1]);
  const Vec<T> n = lanes_tanh<T>(from_x[2] + reset * from_h[2]);
  put_gates<T>(s, t, r, {reset, z, n, from_h[2]});
  put_hidden(s, t, r, t.unit, t.lanes, n + z * (h - n));
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
  for (int r = 0; r < R; ++r) {
    if constexpr (M == RnnMode::Lstm) {
      lstm_row<T>(s, t, r, sums.v[r]);
    } else if constexpr (M == RnnMode::Tanh || M == RnnMode::Relu) {
      for (int n = 0; n < N; ++n) {
        const Vec<T> v = sums.v[r][n];
        const int64_t unit = t.unit + n * L, left = s.hidden - unit;
        if (left > 0)
          put_hidden(s, t, r, unit, left < L ? left : L,
                     M == RnnMode::Tanh ? lanes_tanh<T>(v) : larger<T>(Vec<T>{}, v));
      }
    }
  }
}

// ---- forward --------------------------------------------------------------------------------------------------------

struct Span {
  int64_t begin, rows;
};
// Rows [b0, b1) that are alive at step t.
EG_INLINE Span alive(const RnnShape& s, int64_t t, int64_t b0, int64_t b1) {
  const int64_t n = s.offset[t + 1] - s.offset[t];
  const int64_t end = b1 < n ? b1 : n;
  return {b0, end > b0 ? end - b0 : 0};
}
EG_INLINE int64_t step_at(const RnnShape& s, int64_t i) { return s.reverse ? s.steps - 1 - i : i; }

template <class T, RnnMode M>
void step_panel(const Layout<T, M>& layout, const RnnForward& a, int64_t j, int64_t t, Span rows,
                const T* h_prev, T* h_next) {
  const RnnShape& s = layout.s;
  T* scratch = static_cast<T*>(a.scratch);
  const T* panel = scratch + j * layout.panel_size;
  const int64_t unit = j * layout.units;
  for_row_blocks(rows.rows, [&](auto r, int64_t first) {
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
    for_row_blocks(rows.rows, [&](auto r, int64_t first) {
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

template <class T, RnnMode M>
void copy_rows(const Layout<T, M>& layout, T* dst, const T* src, int64_t b0, int64_t b1) {
  const int64_t width = layout.s.state();
  if (b1 > b0) memcpy(dst + b0 * width, src + b0 * width, (b1 - b0) * width * sizeof(T));
}

// Takes rows [b0, b1) through all steps.
template <class T, RnnMode M>
void run_rows(const Layout<T, M>& layout, const RnnForward& a, int64_t b0, int64_t b1) {
  const RnnShape& s = layout.s;
  T* states[2] = {static_cast<T*>(a.scratch) + layout.states_at(), nullptr};
  states[1] = states[0] + layout.state_size();
  for (T* h : states) copy_rows(layout, h, static_cast<const T*>(a.h0), b0, b1);
  int now = 0;
  for (int64_t i = 0; i < s.steps; ++i) {
    const int64_t t = step_at(s, i);
    const Span rows = alive(s, t, b0, b1);
    if (rows.rows > 0) {
      for (int64_t j = 0; j < layout.panels; ++j)
        step_panel(layout, a, j, t, rows, states[now], states[1 - now]);
      if (s.proj) project(layout, a, t, rows, states[1 - now]);
    }
    now = 1 - now;
    const bool last = i + 1 == s.steps;
    const Span next = last ? Span{b0, 0} : alive(s, step_at(s, i + 1), b0, b1);
    copy_rows(layout, static_cast<T*>(a.hn), states[now], b0 + next.rows, b0 + rows.rows);
  }
  drain_stores();
}

// Multiply-adds worth waking another thread for.
constexpr int64_t kWork = 8 * kParallelGrain;

EG_INLINE int64_t grain_for(int64_t work_each, int64_t least) {
  const int64_t grain = kWork / (work_each > 0 ? work_each : 1) + 1;
  return grain > least ? grain : least;
}

template <class T, RnnMode M>
void forward(const RnnShape& s, const RnnForward& a) {
  const Layout<T, M> layout(s);
  T* scratch = static_cast<T*>(a.scratch);
  const int64_t panel_work = layout.panel_size * (s.steps == 1 ? s.batch : 4);
  const bool one_step = s.steps == 1 && !s.proj;
  const T* h0 = static_cast<const T*>(a.h0);
  // A single step packs a panel and uses it at once; several steps pack first, then split the rows.
  parallel_for(layout.panels, grain_for(panel_work, 1), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      pack_panel(layout, a, j, scratch + j * layout.panel_size);
      if (one_step) step_panel(layout, a, j, 0, Span{0, s.batch}, h0, static_cast<T*>(a.hn));
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
  parallel_for(s.batch, grain_for(row_work, 1),
               [&](int64_t begin, int64_t end) { run_rows(layout, a, begin, end); });
}

// ---- backward -------------------------------------------------------------------------------------------------------

template <class T>
EG_INLINE void lstm_row_backward(int64_t n, const T* gates, const T* c, const T* c_prev,
                                 const T* dh, T* dc, T* d, T* hidden) {
#pragma GCC ivdep
  for (int64_t u = 0; u < n; ++u) {
    const T i = gates[u], f = gates[n + u], g = gates[2 * n + u], o = gates[3 * n + u];
    const T tc = fast_tanh(c[u]);
    const T g_cell = dc[u] + dh[u] * o * (1 - tc * tc);
    d[u] = g_cell * g * i * (1 - i);
    d[n + u] = g_cell * c_prev[u] * f * (1 - f);
    d[2 * n + u] = g_cell * i * (1 - g * g);
    d[3 * n + u] = dh[u] * tc * o * (1 - o);
    dc[u] = g_cell * f;
  }
  if (!hidden) return;
#pragma GCC ivdep
  for (int64_t u = 0; u < n; ++u) hidden[u] = gates[3 * n + u] * fast_tanh(c[u]);
}

// Leaves in dh the part of the gradient that passes the gates by.
template <class T>
EG_INLINE void gru_row_backward(int64_t n, const T* gates, const T* h_prev, T* dh, T* d) {
#pragma GCC ivdep
  for (int64_t u = 0; u < n; ++u) {
    const T r = gates[u], z = gates[n + u], cand = gates[2 * n + u], hn = gates[3 * n + u];
    const T g = dh[u];
    const T d_cand = g * (1 - z) * (1 - cand * cand);
    d[u] = d_cand * hn * r * (1 - r);
    d[n + u] = g * (h_prev[u] - cand) * z * (1 - z);
    d[2 * n + u] = d_cand;
    d[3 * n + u] = d_cand * r;
    dh[u] = g * z;
  }
}

template <class T>
EG_INLINE void rnn_row_backward(int64_t n, bool relu, const T* h, const T* dh, T* d) {
  if (relu)
    for (int64_t u = 0; u < n; ++u) d[u] = h[u] > 0 ? dh[u] : T(0);
  else
    for (int64_t u = 0; u < n; ++u) d[u] = dh[u] * (1 - h[u] * h[u]);
}

// c[rows, n] (+)= a[rows, k] @ b, b packed in panels of kSpan columns.
template <class T>
__attribute__((noinline)) void multiply_panels(int64_t rows, int64_t n, int64_t k, const T* a,
                                               int64_t lda, const T* b, int64_t panel_size,
                                               int64_t ldb, T* c, int64_t ldc, bool add) {
  constexpr int L = kLanes<T>;
  for (int64_t j = 0; j * kSpan<T> < n; ++j) {
    const T* panel = b + j * panel_size;
    const int64_t left = n - j * kSpan<T>;
    for_row_blocks(rows, [&](auto r, int64_t first) {
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

// State h that row r of step t started from.
template <class T>
EG_INLINE const T* state_before(const RnnShape& s, const T* out, int64_t ld_out, const T* h0,
                                int64_t t, int64_t r) {
  const int64_t p = s.reverse ? t + 1 : t - 1;
  const bool inside = p >= 0 && p < s.steps && r < s.offset[p + 1] - s.offset[p];
  return inside ? out + (s.offset[p] + r) * ld_out : h0 + r * s.state();
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
  EG_INLINE void gather(int64_t t, Span rows) const {
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

  EG_INLINE void row_backward(int64_t t, int64_t r) const {
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

  void rows(int64_t b0, int64_t b1) const {
    for (int64_t i = s.steps; i-- > 0;) {
      const int64_t t = step_at(s, i);
      const Span span = alive(s, t, b0, b1);
      if (span.rows == 0) continue;
      gather(t, span);
      for (int64_t r = span.begin; r < span.begin + span.rows; ++r) row_backward(t, r);
      to_previous(t, span, 0, layout.panels);
    }
  }
};

template <class T, RnnMode M>
void backward(const RnnShape& s, const RnnBackward& a) {
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
  parallel_for(s.batch, grain_for(layout.k * width * s.steps, 1),
               [&](int64_t begin, int64_t end) { run.rows(begin, end); });
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
    return Layout<decltype(zero), decltype(mode)::value>(s).total();
  });
}
int64_t rnn_backward_scratch(const RnnShape& s) {
  return visit_mode(s, [&](auto zero, auto mode) -> int64_t {
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
