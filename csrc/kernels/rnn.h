// Recurrent layers: one direction of one layer over all its time steps. A cell is a layer of one step.
#pragma once

#include "core/common.h"
#include "kernels/registry.h"

namespace eg {

enum class RnnMode : uint8_t { Tanh, Relu, Lstm, Gru };

// Values a unit keeps for the backward pass: i, f, g, o for LSTM; r, z, n and the recurrent part of n for GRU.
constexpr int rnn_saved(RnnMode m) { return m == RnnMode::Lstm || m == RnnMode::Gru ? 4 : 0; }
// Rows of the weights per unit.
constexpr int rnn_gates(RnnMode m) { return m == RnnMode::Lstm ? 4 : m == RnnMode::Gru ? 3 : 1; }

// Row r of step t is row offset[t] + r of every [N, ...] buffer. Steps never get longer with t (packed sequences, longest
// first), and all have `batch` rows where the sequences are equally long. float32 and float64.
struct RnnShape {
  DType dtype;
  RnnMode mode;
  bool reverse;
  int64_t steps, batch, input, hidden;
  int64_t proj;           // 0: the state is as wide as hidden
  const int64_t* offset;  // steps + 1
  // float32 that holds bfloat16 values in x, the weights and the first state: products round their other factor, too. Only where
  // AmxKernels are available, without proj.
  bool halves = false;
  int64_t state() const { return proj ? proj : hidden; }
};

struct RnnForward {
  const void* x;  // [N, input], rows ld_x apart
  int64_t ld_x;
  // Instead of x (then input is 0): x @ w_ih^T + b_ih for all rows, [N, gates * hidden]. Pays where w_ih does not fit
  // the cache.
  const void* gx;
  const void *w_ih, *w_hh, *b_ih, *b_hh, *w_hr;  // biases and w_hr may be null
  const void* h0;                                // [batch, state]
  void* out;                                     // [N, state], rows ld_out apart
  int64_t ld_out;
  void* hn;       // [batch, state]
  void* cn;       // [batch, hidden], holds c0 on entry (LSTM)
  void* gates;    // [N, saved * hidden], or null
  void* cells;    // [N, hidden] (LSTM), or null
  void* scratch;  // forward_scratch(shape) elements
};

struct RnnBackward {
  const void *w_hh, *w_hr;
  const void *h0, *c0;
  const void* out;  // as the forward wrote it
  int64_t ld_out;
  const void *gates, *cells;
  const void* g_out;  // [N, state], or null
  int64_t ld_g;
  void* dh;       // [batch, state]: gradient of hn on entry, of h0 on return
  void* dc;       // [batch, hidden]: gradient of cn on entry, of c0 on return (LSTM)
  void* d_gates;  // [N, max(saved, 1) * hidden], before the nonlinearity
  void* d_proj;   // [N, proj] gradient of the projected state, with w_hr only
  void* hidden;   // [N, hidden] the state before projection, with w_hr only
  void* scratch;  // backward_scratch(shape) elements
};

struct RnnKernels {
  int64_t (*forward_scratch)(const RnnShape&);
  int64_t (*backward_scratch)(const RnnShape&);
  void (*forward)(const RnnShape&, const RnnForward&);
  void (*backward)(const RnnShape&, const RnnBackward&);
  // dst [N, state]: the state each step started from.
  void (*previous)(const RnnShape&, const void* out, int64_t ld_out, const void* h0, void* dst);
};

}  // namespace eg
