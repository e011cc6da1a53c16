// One step of a recurrent layer, or all of them, as the kernels take it.
#pragma once

#include <cstdint>

namespace eg {

// Rows are sequences. What each step finds before it lies in rows that end at `inside` (a sequence that starts at this
// step reads its initial state instead). ld: elements between rows.
struct RnnStep {
  int64_t rows, hidden;
  const void *gx, *gh;  // products with the input and (GRU) with the state
  int64_t ld_gx;
  const void *b_ih, *b_hh;           // or null
  void* gates;                       // [rows, 4 * hidden], or null
  void *h, *out, *cell, *kept_cell;  // kept_cell: the cell for the backward pass, or null
  const void* h_prev;
  int64_t ld_out;
};

struct RnnStepBackward {
  int64_t rows, hidden;
  const void* gates;
  const void *cell, *cell_before, *cell_first;
  const void *out, *out_before, *out_first;
  int64_t ld_out, inside;
  const void* g_out;  // or null
  int64_t ld_g;
  const void*
      d_hidden;  // under projection: the gradient of the state before it; then dh is not read
  void *dh, *dc, *d_gates;
  void* d_state;  // GRU: what the state's product sees, [rows, 3 * hidden]
  void* full;     // under projection: the state before it
};

// All steps of a layer: where their rows begin, and the weights of the state.
struct RnnSweep {
  int64_t steps, batch;
  bool reverse;
  const int64_t* offset;  // steps + 1
  const void* weights;
};

}  // namespace eg
