// The little arithmetic between the passes over a batch: what channels are multiplied by, forward and back. For the CPU and for
// NVRTC.
#pragma once

#include <math.h>

#include "core/common.h"

namespace eg {

// Channel c has the statistics of group c / per_group, each over `count` values, and the weight c % weights.
struct ChannelGroups {
  int64_t channels, per_group, weights;
  double count;
  EG_INLINE int64_t groups() const { return channels / per_group; }
};

// y = scale[c] * x + shift[c] with the statistics and the weights folded in. weight, bias and the running statistics may be
// null.
struct ChannelFold {
  ChannelGroups of;
  const void *mean, *var, *weight, *bias;
  double eps;
  void *rstd, *scale, *shift;
  void *running_mean, *running_var;
  double momentum;

  template <class T>
  EG_INLINE void channel(int64_t c) const {
    const int64_t g = c / of.per_group, i = c % of.weights;
    const double variance = static_cast<const T*>(var)[g];
    const T m = static_cast<const T*>(mean)[g], r = T(1 / ::sqrt(variance + eps));
    const T a = r * (weight ? static_cast<const T*>(weight)[i] : T(1));
    static_cast<T*>(scale)[c] = a;
    static_cast<T*>(shift)[c] = (bias ? static_cast<const T*>(bias)[i] : T(0)) - m * a;
    if (c != g * of.per_group) return;
    static_cast<T*>(rstd)[g] = r;
    update(static_cast<T*>(running_mean), g, m);
    update(static_cast<T*>(running_var), g, variance * of.count / (of.count - 1));
  }

 private:
  template <class T>
  EG_INLINE void update(T* running, int64_t g, double value) const {
    if (running) running[g] = T((1 - momentum) * running[g] + momentum * value);
  }
};

// Coefficients of dx = a[c] * g + b[c] * x + k[c], and the weights' gradients, from each channel's sums.
struct ChannelTerms {
  ChannelGroups of;
  bool fixed;  // the statistics do not depend on x
  const void *mean, *rstd, *weight;
  const void* sums;  // of g, then of g * (x - mean)
  void *a, *b, *k, *d_weight, *d_bias;

  template <class T>
  EG_INLINE void group(int64_t g) const {
    const T *sum_g = static_cast<const T*>(sums), *sum_gx = sum_g + of.channels;
    const T* w = static_cast<const T*>(weight);
    const int64_t first = g * of.per_group, last = first + of.per_group;
    double along = 0, level = 0;
    for (int64_t c = first; c < last; ++c) {
      const double by = w ? w[c % of.weights] : T(1);
      along += by * sum_gx[c];
      level += by * sum_g[c];
    }
    const double r = static_cast<const T*>(rstd)[g], m = static_cast<const T*>(mean)[g];
    const double slope = fixed ? 0 : -along * r * r * r / of.count;
    const double shift = fixed ? 0 : -level * r / of.count - slope * m;
    for (int64_t c = first; c < last; ++c) {
      static_cast<T*>(a)[c] = T(r * (w ? w[c % of.weights] : T(1)));
      static_cast<T*>(b)[c] = T(slope);
      static_cast<T*>(k)[c] = T(shift);
    }
  }
  template <class T>
  EG_INLINE void weight_gradient(int64_t i) const {
    const T *sum_g = static_cast<const T*>(sums), *sum_gx = sum_g + of.channels;
    T along = 0, level = 0;
    for (int64_t c = i; c < of.channels; c += of.weights) {
      along += sum_gx[c] * static_cast<const T*>(rstd)[c / of.per_group];
      level += sum_g[c];
    }
    static_cast<T*>(d_weight)[i] = along;
    static_cast<T*>(d_bias)[i] = level;
  }
};

}  // namespace eg
