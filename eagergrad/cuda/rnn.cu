// The gates of recurrent layers: one step a launch, with cuBLAS's products between, or, where a layer is small, all steps in one
// launch. Equations: kernels/rnn.cpp.
#include "kernels/vocabulary.h"
#include "prelude.cuh"
#include "rnn_layout.h"

namespace eg {

// Modes are numbered as RnnMode.
constexpr int kTanh = 0, kRelu = 1, kLstm = 2, kGru = 3;
template <int M>
constexpr int kGates = M == kLstm  ? 4
                       : M == kGru ? 3
                                   : 1;

// --- one unit ------------------------------------------------------------------------------------------------------

// The parts of the gates that come of the input and of the state, the biases included.
template <class T>
struct Parts {
  T input[4], state[4];
};
// Without the product with the state.
template <class T, int M>
__device__ __forceinline__ Parts<T> read_parts(const RnnStep& s, int64_t row, int64_t u) {
  Parts<T> p;
  const T* const gx = static_cast<const T*>(s.gx) + row * s.ld_gx + u;
  const T *const b_ih = static_cast<const T*>(s.b_ih), *const b_hh = static_cast<const T*>(s.b_hh);
#pragma unroll
  for (int i = 0; i < kGates<M>; ++i) {
    p.input[i] = gx[i * s.hidden] + (b_ih ? b_ih[i * s.hidden + u] : T(0));
    p.state[i] = b_hh ? b_hh[i * s.hidden + u] : T(0);
  }
  return p;
}

template <class T>
struct Unit {
  T saved[4], cell, h;
};
template <class T, int M>
__device__ __forceinline__ Unit<T> unit_of(const Parts<T>& p, T cell, T before) {
  using namespace vocabulary;
  Unit<T> v;
  const auto sum = [&](int i) { return p.input[i] + p.state[i]; };
  if constexpr (M == kLstm) {
    const T i = sigmoid(sum(0)), f = sigmoid(sum(1)), g = vocabulary::tanh(sum(2)),
            o = sigmoid(sum(3));
    v.cell = f * cell + i * g;
    v.h = o * vocabulary::tanh(v.cell);
    v.saved[0] = i, v.saved[1] = f, v.saved[2] = g, v.saved[3] = o;
  } else if constexpr (M == kGru) {
    const T r = sigmoid(sum(0)), z = sigmoid(sum(1)), hn = p.state[2],
            n = vocabulary::tanh(p.input[2] + r * hn);
    v.h = n + z * (before - n);
    v.saved[0] = r, v.saved[1] = z, v.saved[2] = n, v.saved[3] = hn;
  } else {
    const T x = sum(0);
    v.h = M == kRelu ? (x > T(0) || x != x ? x : T(0)) : vocabulary::tanh(x);
  }
  return v;
}
// Writes what others read: the gates, the cell of the backward pass, the output.
template <class T, int M>
__device__ __forceinline__ void put_unit(const RnnStep& s, int64_t row, int64_t u,
                                         const Unit<T>& v) {
  const int64_t n = s.hidden;
  if constexpr (kGates<M> > 1) {
    T* const to = static_cast<T*>(s.gates) + row * 4 * n + u;
#pragma unroll
    for (int i = 0; s.gates && i < 4; ++i) to[i * n] = v.saved[i];
  }
  if (M == kLstm && s.kept_cell) static_cast<T*>(s.kept_cell)[row * n + u] = v.cell;
  if (s.out) static_cast<T*>(s.out)[row * s.ld_out + u] = v.h;
}

// g: the gradient of the state that this step gave.
template <class T>
struct UnitGradient {
  T gates[4], state[4];  // of the gates, as the input's product sees them, and as the state's does
  T cell, h;             // what goes on to the step before, apart from the state's product
  T full;
};
template <class T, int M>
__device__ __forceinline__ UnitGradient<T> gradient_of(const RnnStepBackward& s, int64_t row,
                                                       int64_t u, T g, T d_cell) {
  const int64_t n = s.hidden, e = row * n + u;
  const bool inside = row < s.inside;
  UnitGradient<T> d;
  d.cell = d.h = d.full = T(0);
  if constexpr (M == kLstm) {
    const T* const gates = static_cast<const T*>(s.gates) + row * 4 * n + u;
    const T i = gates[0], f = gates[n], c = gates[2 * n], o = gates[3 * n];
    const T tc = vocabulary::tanh(static_cast<const T*>(s.cell)[e]);
    const T before = static_cast<const T*>(inside ? s.cell_before : s.cell_first)[e];
    const T g_cell = d_cell + g * o * (1 - tc * tc);
    d.gates[0] = g_cell * c * i * (1 - i);
    d.gates[1] = g_cell * before * f * (1 - f);
    d.gates[2] = g_cell * i * (1 - c * c);
    d.gates[3] = g * tc * o * (1 - o);
    d.cell = g_cell * f;
    d.full = o * tc;
  } else if constexpr (M == kGru) {
    const T* const gates = static_cast<const T*>(s.gates) + row * 4 * n + u;
    const T r = gates[0], z = gates[n], cand = gates[2 * n], hn = gates[3 * n];
    const T before = inside ? static_cast<const T*>(s.out_before)[row * s.ld_out + u]
                            : static_cast<const T*>(s.out_first)[e];
    const T d_cand = g * (1 - z) * (1 - cand * cand);
    d.gates[0] = d_cand * hn * r * (1 - r);
    d.gates[1] = g * (before - cand) * z * (1 - z);
    d.gates[2] = d_cand;
    d.gates[3] = d_cand * r;
    d.h = g * z;
  } else {
    const T h = static_cast<const T*>(s.out)[row * s.ld_out + u];
    d.gates[0] = M == kRelu ? (h > T(0) ? g : T(0)) : g * (1 - h * h);
  }
#pragma unroll
  for (int i = 0; i < kGates<M>; ++i) d.state[i] = d.gates[M == kGru && i == 2 ? 3 : i];
  return d;
}
template <class T, int M>
__device__ __forceinline__ void put_gradient(const RnnStepBackward& s, int64_t row, int64_t u,
                                             const UnitGradient<T>& d) {
  constexpr int kept = kGates<M> > 1 ? 4 : 1;
  T* const to = static_cast<T*>(s.d_gates) + row * kept * s.hidden + u;
#pragma unroll
  for (int i = 0; i < kept; ++i) to[i * s.hidden] = d.gates[i];
}

// --- a step a launch --------------------------------------------------------------------------------------------------

template <class T, int M>
__global__ void rnn_step(RnnStep s) {
  for (EG_ELEMENTS(e, s.rows * s.hidden)) {
    const int64_t row = e / s.hidden, u = e - row * s.hidden;
    Parts<T> p = read_parts<T, M>(s, row, u);
    if constexpr (M == kGru)
      for (int i = 0; i < 3; ++i)
        p.state[i] += static_cast<const T*>(s.gh)[(row * 3 + i) * s.hidden + u];
    const Unit<T> v = unit_of<T, M>(p, M == kLstm ? static_cast<const T*>(s.cell)[e] : T(0),
                                    M == kGru ? static_cast<const T*>(s.h_prev)[e] : T(0));
    if (M == kLstm) static_cast<T*>(s.cell)[e] = v.cell;
    put_unit<T, M>(s, row, u, v);
    static_cast<T*>(s.h)[e] = v.h;
  }
}

// Leaves in dh the part of the gradient that passes the gates by (GRU).
template <class T, int M>
__global__ void rnn_step_backward(RnnStepBackward s) {
  for (EG_ELEMENTS(e, s.rows * s.hidden)) {
    const int64_t row = e / s.hidden, u = e - row * s.hidden;
    T g = static_cast<const T*>(s.d_hidden ? s.d_hidden : s.dh)[e];
    if (!s.d_hidden && s.g_out) g += static_cast<const T*>(s.g_out)[row * s.ld_g + u];
    T* const dc = static_cast<T*>(s.dc) + e;
    const auto d = gradient_of<T, M>(s, row, u, g, M == kLstm ? *dc : T(0));
    put_gradient<T, M>(s, row, u, d);
    if constexpr (M == kLstm) {
      *dc = d.cell;
      if (s.full) static_cast<T*>(s.full)[e] = d.full;
    }
    if constexpr (M == kGru) {
      static_cast<T*>(s.dh)[e] = d.h;
      for (int i = 0; i < 3; ++i)
        static_cast<T*>(s.d_state)[(row * 3 + i) * s.hidden + u] = d.state[i];
    }
  }
}

// --- all steps in one launch --------------------------------------------------------------------------------------------
// A block has R sequences of the batch to itself, so that no block waits for another. Thread j has column j of the weights, of
// which it keeps kHeld in registers; the rest comes from the cache at every step. Thread e < R * hidden has a unit.

// sum[r] = rows[r] . weights, of n elements each; weights lie `ld` apart, the first kHeld of them in `held`. Four divides n, and
// Four fits the rows.
template <class T, int R, int kHeld>
__device__ __forceinline__ void dot_rows(const T* rows, int ld_rows, const T* __restrict__ weights,
                                         int ld, int n, const T (&held)[kHeld], T (&sum)[R]) {
  const auto add = [&](int k, const T* w) {
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const Four<T> x = *reinterpret_cast<const Four<T>*>(rows + r * ld_rows + k);
#pragma unroll
      for (int i = 0; i < 4; ++i) sum[r] += w[i] * x.at[i];
    }
  };
#pragma unroll
  for (int r = 0; r < R; ++r) sum[r] = T(0);
#pragma unroll
  for (int k = 0; k < kHeld; k += 4) {
    if (k >= n) break;
    add(k, held + k);
  }
#pragma unroll 4
  for (int k = kHeld; k < n; k += 4) {
    T w[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) w[i] = weights[int64_t(k + i) * ld];
    add(k, w);
  }
}
template <class T, int kHeld>
__device__ __forceinline__ void hold(const T* weights, int ld, int n, T (&held)[kHeld]) {
#pragma unroll
  for (int k = 0; k < kHeld; ++k) held[k] = k < n ? weights[int64_t(k) * ld] : T(0);
}

template <class T>
__device__ __forceinline__ T* moved_by(void* p, int64_t elements) {
  return p ? static_cast<T*>(p) + elements : nullptr;
}
template <class T>
__device__ __forceinline__ const T* moved_by(const void* p, int64_t elements) {
  return p ? static_cast<const T*>(p) + elements : nullptr;
}

// weights: the transposed ones, [hidden, gates * hidden].
template <class T, int M, int R, int kMany>
__global__ void __launch_bounds__(kMany ? 1024 : 512)
    rnn_sweep(RnnSweep w, RnnStep s, const T* h0) {
  constexpr int kThreads = kMany ? 1024 : 512, kHeld = !kMany && sizeof(T) == 4 ? 64 : 16;
  alignas(16) __shared__ T state[kThreads];
  __shared__ T product[R * kThreads];
  const int n = int(s.hidden), gates = kGates<M> * n, thread = int(threadIdx.x);
  const int64_t row0 = int64_t(blockIdx.x) * R, row = row0 + thread / n;
  const int u = thread % n;
  const bool unit = thread < R * n && row < w.batch;
  const RnnStep all = s;
  T h = T(0), cell = T(0), held[kHeld];
  if (unit) {
    h = h0[row * n + u];
    if (M == kLstm) cell = static_cast<const T*>(all.cell)[row * n + u];
  }
  state[thread] = h;
  const T* const weights = static_cast<const T*>(w.weights) + thread;
  hold(weights, gates, thread < gates ? n : 0, held);
  __syncthreads();
  for (int64_t i = 0; i < w.steps; ++i) {
    const int64_t step = w.reverse ? w.steps - 1 - i : i, first = w.offset[step];
    const int64_t rows = w.offset[step + 1] - first;
    if (row0 >= rows) continue;
    const bool mine = unit && row < rows;
    s.gx = moved_by<T>(all.gx, first * s.ld_gx);
    s.out = moved_by<T>(all.out, first * s.ld_out);
    s.gates = moved_by<T>(all.gates, first * 4 * n);
    s.kept_cell = moved_by<T>(all.kept_cell, first * n);
    Parts<T> p = {};
    if (mine) p = read_parts<T, M>(s, row, u);  // on its way during the product
    if (thread < gates) {
      T sum[R];
      dot_rows<T, R, kHeld>(state, n, weights, gates, n, held, sum);
#pragma unroll
      for (int r = 0; r < R; ++r) product[r * gates + thread] = sum[r];
    }
    __syncthreads();
    if (mine) {
#pragma unroll
      for (int g = 0; g < kGates<M>; ++g)
        p.state[g] += product[int(row - row0) * gates + g * n + u];
      const Unit<T> v = unit_of<T, M>(p, cell, h);
      if (M == kLstm) cell = v.cell;
      state[thread] = h = v.h;
      put_unit<T, M>(s, row, u, v);
    }
    __syncthreads();
  }
  if (!unit) return;
  static_cast<T*>(all.h)[row * n + u] = h;
  if (M == kLstm) static_cast<T*>(all.cell)[row * n + u] = cell;
}

// weights: [gates * hidden, hidden]. Thread j sums over gate j / hidden's units for unit j % hidden.
template <class T, int M, int R, int kMany>
__global__ void __launch_bounds__(kMany ? 1024 : 512)
    rnn_sweep_backward(RnnSweep w, RnnStepBackward s) {
  constexpr int kThreads = kMany ? 1024 : 512, kHeld = !kMany && sizeof(T) == 4 ? 64 : 16;
  alignas(16) __shared__ T d_state[R * kThreads];
  __shared__ T product[R * kThreads];
  const int n = int(s.hidden), gates = kGates<M> * n, thread = int(threadIdx.x);
  const int64_t row0 = int64_t(blockIdx.x) * R, row = row0 + thread / n;
  const int u = thread % n, r_mine = thread / n;
  const bool unit = thread < R * n && row < w.batch;
  constexpr int kept = kGates<M> > 1 ? 4 : 1;
  const RnnStepBackward all = s;
  T dh = T(0), dc = T(0), held[kHeld];
  if (unit) {
    dh = static_cast<const T*>(all.dh)[row * n + u];
    if (M == kLstm) dc = static_cast<const T*>(all.dc)[row * n + u];
  }
  const int from = thread / n * n;  // the gate's first row of the weights
  const T* const weights = static_cast<const T*>(w.weights) + int64_t(from) * n + u;
  hold(weights, n, thread < gates ? n : 0, held);
  for (int64_t i = w.steps - 1; i >= 0; --i) {
    const int64_t step = w.reverse ? w.steps - 1 - i : i, first = w.offset[step];
    const int64_t rows = w.offset[step + 1] - first;
    if (row0 >= rows) continue;
    const bool mine = unit && row < rows;
    const int64_t before = w.reverse ? step + 1 : step - 1;
    const bool any = before >= 0 && before < w.steps;
    const int64_t first_before = any ? w.offset[before] : 0;
    s.inside = any ? w.offset[before + 1] - first_before : 0;
    s.gates = moved_by<T>(all.gates, first * 4 * n);
    s.cell = moved_by<T>(all.cell, first * n);
    s.cell_before = moved_by<T>(all.cell, first_before * n);
    s.out = moved_by<T>(all.out, first * s.ld_out);
    s.out_before = moved_by<T>(all.out, first_before * s.ld_out);
    s.d_gates = moved_by<T>(all.d_gates, first * kept * n);
    UnitGradient<T> d = {};
    if (mine) {
      const T* const g_out = static_cast<const T*>(all.g_out);
      const T g = g_out ? dh + g_out[(first + row) * s.ld_g + u] : dh;
      d = gradient_of<T, M>(s, row, u, g, dc);
      put_gradient<T, M>(s, row, u, d);
    }
    if (thread < R * n) {
#pragma unroll
      for (int g = 0; g < kGates<M>; ++g) d_state[r_mine * gates + g * n + u] = d.state[g];
    }
    __syncthreads();
    if (thread < gates) {
      T sum[R];
      dot_rows<T, R, kHeld>(d_state + from, gates, weights, n, n, held, sum);
#pragma unroll
      for (int r = 0; r < R; ++r) product[r * gates + thread] = sum[r];
    }
    __syncthreads();
    if (mine) {
      dh = d.h;
      dc = d.cell;
#pragma unroll
      for (int g = 0; g < kGates<M>; ++g) dh += product[r_mine * gates + g * n + u];
    }
  }
  if (!unit) return;
  static_cast<T*>(all.dh)[row * n + u] = dh;
  if (M == kLstm) static_cast<T*>(all.dc)[row * n + u] = dc;
}

// to[j][i] = from[i][j]. A block of 256 threads turns a tile of 32 x 32: rows are read and written by neighbours.
template <class T>
__global__ void transpose_weights(int64_t rows, int64_t columns, const T* from, T* to) {
  __shared__ T tile[32][33];
  const int64_t across = (columns + 31) / 32, i0 = blockIdx.x / across * 32,
                j0 = blockIdx.x % across * 32;
  const int x = threadIdx.x % 32, y = threadIdx.x / 32;
  for (int r = y; r < 32; r += 8)
    if (i0 + r < rows && j0 + x < columns) tile[r][x] = from[(i0 + r) * columns + j0 + x];
  __syncthreads();
  for (int r = y; r < 32; r += 8)
    if (j0 + r < columns && i0 + x < rows) to[(j0 + r) * rows + i0 + x] = tile[x][r];
}

// --- projection and packed sequences --------------------------------------------------------------------------------

// to[row] = from[row]; with `add`, first adds `add` to `from` in place.
template <class T>
__global__ void put_rows(int64_t rows, int64_t width, T* from, const T* add, int64_t ld_add, T* to,
                         int64_t ld_to) {
  for (EG_ELEMENTS(e, rows * width)) {
    const int64_t row = e / width, u = e - row * width;
    T x = from[e];
    if (add) from[e] = x = x + add[row * ld_add + u];
    to[row * ld_to + u] = x;
  }
}

// What each row of each step started from. offset: steps + 1 first rows.
template <class T>
__global__ void previous_states(int64_t steps, int64_t width, bool reverse, const int64_t* offset,
                                const T* out, int64_t ld_out, const T* h0, T* to) {
  const int64_t n = offset[steps] * width;
  for (EG_ELEMENTS(e, n)) {
    const int64_t row = e / width, u = e - row * width;
    int64_t low = 0, high = steps;  // the step: offset[low] <= row < offset[high]
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      (offset[middle] <= row ? low : high) = middle;
    }
    const int64_t r = row - offset[low], p = reverse ? low + 1 : low - 1;
    const bool inside = p >= 0 && p < steps && r < offset[p + 1] - offset[p];
    to[e] = inside ? out[(offset[p] + r) * ld_out + u] : h0[r * width + u];
  }
}

}  // namespace eg
