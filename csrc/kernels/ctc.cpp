#include "kernels/ctc.h"

#include "core/parallel.h"

namespace eg {
namespace {

template <class T>
void forward_sample(const CtcBatch& b, int64_t n, T* alpha, T* loss, T* scratch) {
  const States<T> states(b, n);
  const int64_t row = row_of(b), count = states.count, steps = b.input_lengths[n];
  const T* probs = static_cast<const T*>(b.log_probs) + n * b.stride_n;
  T *jump = scratch, *p = scratch + row;
  for (int64_t s = 0; s < count; ++s) jump[s] = states.jump(s);
  for (int64_t t = 0; t < steps; ++t) {
    const T* line = probs + t * b.stride_t;
    T* now = alpha + t * row;
    now[0] = now[1] = T(-INFINITY);
    now += kPad;
    if (t == 0) {
      for (int64_t s = 0; s < count; ++s) now[s] = s < 2 ? line[states.label(s)] : T(-INFINITY);
      continue;
    }
    const T* before = now - row;
    for (int64_t s = 0; s < count; ++s) p[s] = line[states.label(s)];
#pragma GCC ivdep
    for (int64_t s = 0; s < count; ++s)
      now[s] = log_add(before[s], before[s - 1], before[s - 2] + jump[s]) + p[s];
  }
  if (steps == 0) {
    *loss = count == 1 ? T(0) : T(INFINITY);
    return;
  }
  const T* last = alpha + (steps - 1) * row + kPad;
  *loss = -log_add(last[count - 1], count > 1 ? last[count - 2] : T(-INFINITY), T(-INFINITY));
}

template <class T>
void backward_sample(const CtcBatch& b, int64_t n, const T* alpha, T loss, T g, bool zero_infinity,
                     T* grad, T* scratch) {
  const States<T> states(b, n);
  const int64_t row = row_of(b), count = states.count, steps = b.input_lengths[n], C = b.classes;
  const T* probs = static_cast<const T*>(b.log_probs) + n * b.stride_n;
  const bool dropped = zero_infinity && loss == T(INFINITY);
  for (int64_t t = dropped ? 0 : steps; t < b.steps; ++t)
    for (int64_t c = 0; c < C; ++c) grad[(t * b.batch + n) * C + c] = 0;
  if (dropped || steps == 0) return;
  // beta runs backwards: rows end in two entries of -inf.
  T *jump = scratch, *p = jump + row, *beta = p + row, *next = beta + row, *share = next + row;
  for (int64_t s = 0; s < count; ++s) jump[s] = s + 2 < count ? states.jump(s + 2) : T(-INFINITY);
  for (int64_t i = 0; i < kPad; ++i) beta[count + i] = next[count + i] = T(-INFINITY);
  for (int64_t t = steps - 1; t >= 0; --t) {
    const T* line = probs + t * b.stride_t;
    for (int64_t s = 0; s < count; ++s) p[s] = line[states.label(s)];
    if (t == steps - 1) {
      for (int64_t s = 0; s < count; ++s) beta[s] = s >= count - 2 ? p[s] : T(-INFINITY);
    } else {
#pragma GCC ivdep
      for (int64_t s = 0; s < count; ++s)
        beta[s] = log_add(next[s], next[s + 1], next[s + 2] + jump[s]) + p[s];
    }
    // The probability of being in state s at time t, given the target.
    const T* a = alpha + t * row + kPad;
#pragma GCC ivdep
    for (int64_t s = 0; s < count; ++s)
      share[s] = p[s] == T(-INFINITY) ? T(0) : vocabulary::exp(a[s] + beta[s] + loss - p[s]);
    T* out = grad + (t * b.batch + n) * C;
    for (int64_t c = 0; c < C; ++c) out[c] = vocabulary::exp(line[c]);
    for (int64_t s = 0; s < count; ++s) out[states.label(s)] -= share[s];
    for (int64_t c = 0; c < C; ++c) out[c] *= g;
    T* swap = beta;
    beta = next;
    next = swap;
  }
}

int64_t scratch_of(const CtcBatch& b) { return b.batch * 5 * row_of(b); }
int64_t grain_of(const CtcBatch& b) {
  return 1 + kParallelGrain / (1 + 16 * b.steps * (b.states + b.classes / 8));
}

void forward(const CtcBatch& b, void* alpha, void* loss) {
  visit_float(b.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_for(b.batch, grain_of(b), [&](int64_t begin, int64_t end) {
      const int64_t row = row_of(b), size = (b.steps + 2) * row;
      for (int64_t n = begin; n < end; ++n) {
        T* rows = static_cast<T*>(alpha) + n * size;
        forward_sample<T>(b, n, rows, static_cast<T*>(loss) + n, rows + b.steps * row);
      }
    });
  });
}

void backward(const CtcBatch& b, const void* alpha, const void* loss, const void* g,
              bool zero_infinity, void* grad, void* scratch) {
  visit_float(b.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_for(b.batch, grain_of(b), [&](int64_t begin, int64_t end) {
      const int64_t row = row_of(b), size = (b.steps + 2) * row;
      for (int64_t n = begin; n < end; ++n)
        backward_sample<T>(b, n, static_cast<const T*>(alpha) + n * size,
                           static_cast<const T*>(loss)[n], static_cast<const T*>(g)[n],
                           zero_infinity, static_cast<T*>(grad),
                           static_cast<T*>(scratch) + n * 5 * row);
    });
  });
}

}  // namespace

EG_KERNELS(CtcKernels, {&forward, &backward, &scratch_of})

}  // namespace eg
