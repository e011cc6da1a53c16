// A batch for connectionist temporal classification, and the states of its samples: for the kernels of every device.
#pragma once

#include "kernels/vocabulary.h"

namespace eg {

// log_probs[t, n, c] lies at t * stride_t + n * stride_n + c. Sample n has the labels targets[begin[n] ..], of which
// there are target_lengths[n]; between and around them stand blanks: its states are 2 * length + 1.
struct CtcBatch {
  DType dtype;
  const void* log_probs;
  int64_t steps, batch, classes, stride_t, stride_n;
  const int64_t* targets;
  const int64_t* begin;
  const int64_t* target_lengths;
  const int64_t* input_lengths;
  int64_t blank;
  int64_t states;  // of the longest target
};

namespace {

// Rows of states carry two entries of -inf in front, so that s - 1 and s - 2 can always be read.
constexpr int64_t kPad = 2;
EG_INLINE int64_t row_of(const CtcBatch& b) { return b.states + kPad; }

// A sample's labels with blanks between, and where a state may be reached from two states before.
template <class T>
struct States {
  int64_t count;
  const int64_t* labels;
  int64_t blank;

  EG_INLINE States(const CtcBatch& b, int64_t n)
      : count(2 * b.target_lengths[n] + 1), labels(b.targets + b.begin[n]), blank(b.blank) {}
  EG_INLINE int64_t label(int64_t s) const { return s % 2 ? labels[s / 2] : blank; }
  // 0 where the jump from s - 2 to s is allowed, else -inf.
  EG_INLINE T jump(int64_t s) const {
    return s % 2 && s > 2 && labels[s / 2] != labels[s / 2 - 1] ? T(0) : T(-INFINITY);
  }
};

// log(e^a + e^b + e^c) without overflow; -inf where all are.
template <class T>
EG_INLINE T log_add(T a, T b, T c) {
  T m = a > b ? a : b;
  m = c > m ? c : m;
  const T shift = m == T(-INFINITY) ? T(0) : m;
  return shift + vocabulary::log(vocabulary::exp(a - shift) + vocabulary::exp(b - shift) +
                                 vocabulary::exp(c - shift));
}

}  // namespace
}  // namespace eg
