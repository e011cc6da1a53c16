// The gates of recurrent layers, one step a launch; the products between are cuBLAS's. Equations: kernels/rnn.cpp.
#include "kernels/vocabulary.h"
#include "prelude.cuh"
#include "rnn_layout.h"

namespace eg {

template <class T>
struct Preactivations {
  const RnnStep& s;
  int64_t row, unit;
  // Input part of gate i, biases of both parts included unless `recurrent` keeps its own.
  __device__ __forceinline__ T bias(const void* b, int i) const {
    return b ? static_cast<const T*>(b)[i * s.hidden + unit] : T(0);
  }
  __device__ __forceinline__ T input(int i) const {
    return static_cast<const T*>(s.gx)[row * s.ld_gx + i * s.hidden + unit] + bias(s.b_ih, i);
  }
  __device__ __forceinline__ T sum(int i) const { return input(i) + bias(s.b_hh, i); }
  __device__ __forceinline__ T state(int i) const {
    return static_cast<const T*>(s.gh)[row * 3 * s.hidden + i * s.hidden + unit] + bias(s.b_hh, i);
  }
};

template <class T>
__device__ __forceinline__ void keep_gates(const RnnStep& s, int64_t row, int64_t u, T a, T b, T c,
                                           T d) {
  if (!s.gates) return;
  T* to = static_cast<T*>(s.gates) + row * 4 * s.hidden + u;
  to[0] = a;
  to[s.hidden] = b;
  to[2 * s.hidden] = c;
  to[3 * s.hidden] = d;
}
template <class T>
__device__ __forceinline__ void put_state(const RnnStep& s, int64_t row, int64_t u, T h) {
  static_cast<T*>(s.h)[row * s.hidden + u] = h;
  if (s.out) static_cast<T*>(s.out)[row * s.ld_out + u] = h;
}

template <class T>
__global__ void lstm_step(RnnStep s) {
  for (EG_ELEMENTS(e, s.rows * s.hidden)) {
    const int64_t row = e / s.hidden, u = e - row * s.hidden;
    const Preactivations<T> p{s, row, u};
    const T i = vocabulary::sigmoid(p.sum(0)), f = vocabulary::sigmoid(p.sum(1)),
            g = vocabulary::tanh(p.sum(2)), o = vocabulary::sigmoid(p.sum(3));
    T* cell = static_cast<T*>(s.cell) + e;
    const T c = f * *cell + i * g;
    *cell = c;
    if (s.kept_cell) static_cast<T*>(s.kept_cell)[e] = c;
    keep_gates(s, row, u, i, f, g, o);
    put_state(s, row, u, o * vocabulary::tanh(c));
  }
}

template <class T>
__global__ void gru_step(RnnStep s) {
  for (EG_ELEMENTS(e, s.rows * s.hidden)) {
    const int64_t row = e / s.hidden, u = e - row * s.hidden;
    const Preactivations<T> p{s, row, u};
    const T r = vocabulary::sigmoid(p.input(0) + p.state(0)),
            z = vocabulary::sigmoid(p.input(1) + p.state(1));
    const T hn = p.state(2), n = vocabulary::tanh(p.input(2) + r * hn);
    const T before = static_cast<const T*>(s.h_prev)[e];
    keep_gates(s, row, u, r, z, n, hn);
    put_state(s, row, u, n + z * (before - n));
  }
}

template <class T, bool Relu>
__global__ void simple_step(RnnStep s) {
  for (EG_ELEMENTS(e, s.rows * s.hidden)) {
    const int64_t row = e / s.hidden, u = e - row * s.hidden;
    const T x = Preactivations<T>{s, row, u}.sum(0);
    put_state(s, row, u, Relu ? (x > T(0) || x != x ? x : T(0)) : vocabulary::tanh(x));
  }
}

// --- backward --------------------------------------------------------------------------------------------------

// The gradient of the state that this step gave.
template <class T>
__device__ __forceinline__ T state_gradient(const RnnStepBackward& s, int64_t row, int64_t u) {
  if (s.d_hidden) return static_cast<const T*>(s.d_hidden)[row * s.hidden + u];
  const T g = static_cast<const T*>(s.dh)[row * s.hidden + u];
  return s.g_out ? g + static_cast<const T*>(s.g_out)[row * s.ld_g + u] : g;
}

template <class T>
__global__ void lstm_step_backward(RnnStepBackward s) {
  for (EG_ELEMENTS(e, s.rows * s.hidden)) {
    const int64_t n = s.hidden, row = e / n, u = e - row * n;
    const T* gates = static_cast<const T*>(s.gates) + row * 4 * n + u;
    const T i = gates[0], f = gates[n], g = gates[2 * n], o = gates[3 * n];
    const T tc = vocabulary::tanh(static_cast<const T*>(s.cell)[e]);
    const T before = static_cast<const T*>(row < s.inside ? s.cell_before : s.cell_first)[e];
    const T dh = state_gradient<T>(s, row, u);
    T* dc = static_cast<T*>(s.dc) + e;
    const T g_cell = *dc + dh * o * (1 - tc * tc);
    T* d = static_cast<T*>(s.d_gates) + row * 4 * n + u;
    d[0] = g_cell * g * i * (1 - i);
    d[n] = g_cell * before * f * (1 - f);
    d[2 * n] = g_cell * i * (1 - g * g);
    d[3 * n] = dh * tc * o * (1 - o);
    *dc = g_cell * f;
    if (s.full) static_cast<T*>(s.full)[e] = o * tc;
  }
}

// Leaves in dh the part of the gradient that passes the gates by.
template <class T>
__global__ void gru_step_backward(RnnStepBackward s) {
  for (EG_ELEMENTS(e, s.rows * s.hidden)) {
    const int64_t n = s.hidden, row = e / n, u = e - row * n;
    const T* gates = static_cast<const T*>(s.gates) + row * 4 * n + u;
    const T r = gates[0], z = gates[n], cand = gates[2 * n], hn = gates[3 * n];
    const T before = row < s.inside ? static_cast<const T*>(s.out_before)[row * s.ld_out + u]
                                    : static_cast<const T*>(s.out_first)[e];
    const T g = state_gradient<T>(s, row, u);
    const T d_cand = g * (1 - z) * (1 - cand * cand);
    const T d_r = d_cand * hn * r * (1 - r), d_z = g * (before - cand) * z * (1 - z);
    T* d = static_cast<T*>(s.d_gates) + row * 4 * n + u;
    T* d_state = static_cast<T*>(s.d_state) + row * 3 * n + u;
    d[0] = d_state[0] = d_r;
    d[n] = d_state[n] = d_z;
    d[2 * n] = d_cand;
    d[3 * n] = d_state[2 * n] = d_cand * r;
    static_cast<T*>(s.dh)[e] = g * z;
  }
}

template <class T, bool Relu>
__global__ void simple_step_backward(RnnStepBackward s) {
  for (EG_ELEMENTS(e, s.rows * s.hidden)) {
    const int64_t row = e / s.hidden, u = e - row * s.hidden;
    const T h = static_cast<const T*>(s.out)[row * s.ld_out + u];
    const T g = state_gradient<T>(s, row, u);
    static_cast<T*>(s.d_gates)[e] = Relu ? (h > T(0) ? g : T(0)) : g * (1 - h * h);
  }
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
