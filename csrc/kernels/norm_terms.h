// The little arithmetic between the passes over a batch: what channels are multiplied by, forward and back. For the CPU and for
// NVRTC.
#pragma once

#include <math.h>

#include "core/common.h"

namespace eg {

// Channel c has the statistics of group c / per_group, each over `count` values, and the weight c % weights. A group's weights are
// neighbours.
struct ChannelGroups {
  int64_t channels, per_group, weights;
  double count;
  EG_INLINE int64_t groups() const { return channels / per_group; }
  EG_INLINE int64_t first_weight(int64_t group) const { return group * per_group % weights; }
};

// y = scale * x + shift with the statistics and the weights folded in. weight, bias and the running statistics may be null.
struct ChannelFold {
  ChannelGroups of;
  void *mean, *var;
  const void *weight, *bias;
  double eps;
  void* rstd;
  void *running_mean, *running_var;
  double momentum;

  template <class T>
  EG_INLINE T rstd_of(int64_t g) const {
    return T(1 / ::sqrt(static_cast<const T*>(var)[g] + eps));
  }
  // Writes rstd and the running statistics of a group, once its mean and variance are there.
  template <class T>
  EG_INLINE void group(int64_t g) const {
    static_cast<T*>(rstd)[g] = rstd_of<T>(g);
    const double variance = static_cast<const T*>(var)[g];
    update(static_cast<T*>(running_mean), g, static_cast<const T*>(mean)[g]);
    update(static_cast<T*>(running_var), g, variance * of.count / (of.count - 1));
  }
  // Of the channel with weight i, in a group of mean m and rstd r.
  template <class T>
  EG_INLINE T scale(int64_t i, T r) const {
    return r * (weight ? static_cast<const T*>(weight)[i] : T(1));
  }
  template <class T>
  EG_INLINE T shift(int64_t i, T m, T scale) const {
    return (bias ? static_cast<const T*>(bias)[i] : T(0)) - m * scale;
  }

 private:
  template <class T>
  EG_INLINE void update(T* running, int64_t g, double value) const {
    if (running) running[g] = T((1 - momentum) * running[g] + momentum * value);
  }
};

// dx = scale * g + slope * x + shift, slope and shift the same in a group's channels.
template <class T>
struct GroupTerms {
  T r, slope, shift;
};

// The input's gradient, and those of the weights, from each channel's sums.
struct ChannelTerms {
  ChannelGroups of;
  bool fixed;  // the statistics do not depend on x
  const void *mean, *rstd, *weight;
  void *d_weight, *d_bias;

  template <class T>
  EG_INLINE T scale(int64_t i, T r) const {
    return T(double(r) * (weight ? static_cast<const T*>(weight)[i] : T(1)));
  }
  // sum_g, sum_gx: of the group's channels, the sums of g and of g * (x - mean).
  template <class T>
  EG_INLINE GroupTerms<T> group(int64_t g, const T* sum_g, const T* sum_gx) const {
    const T* w = static_cast<const T*>(weight) + (weight ? of.first_weight(g) : 0);
    double along = 0, level = 0;
    for (int64_t c = 0; c < of.per_group; ++c) {
      const double by = weight ? w[c] : T(1);
      along += by * sum_gx[c];
      level += by * sum_g[c];
    }
    const T rstd_of = static_cast<const T*>(rstd)[g];
    const double r = rstd_of, m = static_cast<const T*>(mean)[g];
    const double slope = fixed ? 0 : -along * r * r * r / of.count;
    const double shift = fixed ? 0 : -level * r / of.count - slope * m;
    return {rstd_of, T(slope), T(shift)};
  }
  // Adds a group's part of the weights' gradients to along and level, one of each a channel.
  template <class T>
  EG_INLINE void add_weights(int64_t g, const T* sum_g, const T* sum_gx, T* along, T* level,
                             int64_t n) const {
    const T r = static_cast<const T*>(rstd)[g];
    for (int64_t c = 0; c < n; ++c) {
      along[c] += sum_gx[c] * r;
      level[c] += sum_g[c];
    }
  }
};

}  // namespace eg
