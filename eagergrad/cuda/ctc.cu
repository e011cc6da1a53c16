// The forward-backward algorithm of connectionist temporal classification: a block a sample walks through time, its threads
// share the states; the gradient of all steps follows at once.
#include "kernels/ctc_states.h"
#include "prelude.cuh"

namespace eg {

// The last thread's arithmetic may not run ahead of the row before: a barrier a step.
template <class T>
__global__ void ctc_forward(CtcBatch b, T* alpha, T* loss) {
  const int64_t n = blockIdx.x, row = row_of(b), steps = b.input_lengths[n];
  const States<T> states(b, n);
  const T* probs = static_cast<const T*>(b.log_probs) + n * b.stride_n;
  alpha += n * (b.steps + 2) * row;
  for (int64_t t = 0; t < steps; ++t) {
    const T* line = probs + t * b.stride_t;
    T* now = alpha + t * row + kPad;
    const T* before = now - row;
    if (threadIdx.x < kPad) now[int(threadIdx.x) - int(kPad)] = T(-INFINITY);
    for (int64_t s = threadIdx.x; s < states.count; s += blockDim.x) {
      const T p = line[states.label(s)];
      now[s] = t == 0 ? (s < 2 ? p : T(-INFINITY))
                      : log_add(before[s], before[s - 1], before[s - 2] + states.jump(s)) + p;
    }
    __syncthreads();
  }
  if (threadIdx.x != 0) return;
  if (steps == 0) {
    loss[n] = states.count == 1 ? T(0) : T(INFINITY);
    return;
  }
  const T* last = alpha + (steps - 1) * row + kPad;
  loss[n] = -log_add(last[states.count - 1],
                     states.count > 1 ? last[states.count - 2] : T(-INFINITY), T(-INFINITY));
}

// share[n, t, s]: the probability of being in state s at time t, given the target. beta: two rows a sample, which end in two
// entries of -inf. next[n, i]: the following label equal to label i (-1: none), negative again and less two where i is not
// the first of them.
template <class T>
__global__ void ctc_shares(CtcBatch b, const T* alpha, const T* loss, bool zero_infinity, T* share,
                           T* beta, int32_t* next) {
  const int64_t n = blockIdx.x, row = row_of(b), steps = b.input_lengths[n];
  const States<T> states(b, n);
  const int64_t count = states.count, labels = count / 2;
  const T total = loss[n];
  next += n * b.states;
  for (int64_t i = threadIdx.x; i < labels; i += blockDim.x) {
    int64_t after = i + 1, before = i;
    while (after < labels && states.labels[after] != states.labels[i]) ++after;
    while (before > 0 && states.labels[before - 1] != states.labels[i]) --before;
    const int32_t follows = after < labels ? int32_t(after) : -1;
    next[i] = before == 0 ? follows : -follows - 3;
  }
  if (zero_infinity && total == T(INFINITY)) return;
  const T* probs = static_cast<const T*>(b.log_probs) + n * b.stride_n;
  alpha += n * (b.steps + 2) * row;
  share += n * b.steps * row;
  beta += n * 2 * row;
  if (threadIdx.x < kPad)
    beta[count + threadIdx.x] = beta[row + count + threadIdx.x] = T(-INFINITY);
  for (int64_t t = steps - 1; t >= 0; --t) {
    const T* line = probs + t * b.stride_t;
    T* now = beta + t % 2 * row;
    const T* later = beta + (t + 1) % 2 * row;
    __syncthreads();
    for (int64_t s = threadIdx.x; s < count; s += blockDim.x) {
      const T p = line[states.label(s)];
      T x;
      if (t == steps - 1) {
        x = s >= count - 2 ? p : T(-INFINITY);
      } else {
        const T jump = s + 2 < count ? states.jump(s + 2) : T(-INFINITY);
        x = log_add(later[s], later[s + 1], later[s + 2] + jump) + p;
      }
      now[s] = x;
      share[t * row + s] =
          p == T(-INFINITY) ? T(0) : vocabulary::exp(alpha[t * row + kPad + s] + x + total - p);
    }
  }
}

// A block a sample and step.
template <class T>
__global__ void ctc_gradient(CtcBatch b, const T* loss, const T* g, bool zero_infinity,
                             const T* share, const int32_t* next, T* grad) {
  __shared__ T sums[32];
  const int64_t n = blockIdx.x % b.batch, t = blockIdx.x / b.batch, row = row_of(b);
  const States<T> states(b, n);
  T* out = grad + (t * b.batch + n) * b.classes;
  const bool dropped = zero_infinity && loss[n] == T(INFINITY);
  if (dropped || t >= b.input_lengths[n]) {
    for (int64_t c = threadIdx.x; c < b.classes; c += blockDim.x) out[c] = T(0);
    return;
  }
  const T* line = static_cast<const T*>(b.log_probs) + n * b.stride_n + t * b.stride_t;
  const T scale = g[n];
  for (int64_t c = threadIdx.x; c < b.classes; c += blockDim.x)
    out[c] = vocabulary::exp(line[c]) * scale;
  __syncthreads();
  share += (n * b.steps + t) * row;
  next += n * b.states;
  for (int64_t i = threadIdx.x; i < states.count / 2; i += blockDim.x) {
    if (next[i] < -1) continue;  // not the first of its label
    T sum = share[2 * i + 1];
    for (int64_t j = next[i]; j >= 0; j = next[j] < -1 ? -next[j] - 3 : next[j])
      sum += share[2 * j + 1];
    out[states.labels[i]] -= sum * scale;
  }
  T blanks = T(0);
  for (int64_t s = 2 * int64_t(threadIdx.x); s < states.count; s += 2 * blockDim.x)
    blanks += share[s];
  for (int lane = 16; lane; lane /= 2) blanks += __shfl_xor_sync(~0u, blanks, lane);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = blanks;
  __syncthreads();
  if (threadIdx.x != 0) return;
  T sum = T(0);
  for (unsigned w = 0; w < blockDim.x / 32; ++w) sum += sums[w];
  out[b.blank] -= sum * scale;
}

}  // namespace eg
