// Separable linear maps over images and sampling at given points.
#include "kernels/grid_taps.h"
#include "lists.cuh"
#include "vision_layout.h"

namespace eg {

// --- separable maps ---------------------------------------------------------------------------------------------------

// One dimension of (outer, in, inner).
template <class T>
__global__ void map_line(LineEntries m, int64_t outer, int64_t inner, const T* x, T* y) {
  const T* weight = static_cast<const T*>(m.weight);
  for (EG_ELEMENTS(e, outer * m.out * inner)) {
    const int64_t rest = e / inner, i = e - rest * inner, block = rest / m.out,
                  o = rest - block * m.out;
    const T* from = x + block * m.in * inner + i;
    T sum = T(0);
    for (int32_t k = m.first[o]; k < m.first[o + 1]; ++k)
      sum += weight[k] * from[m.index[k] * inner];
    y[e] = sum;
  }
}

// All three at once, where a result has few entries.
template <class T>
__global__ void map_planes(LineEntries a, LineEntries b, LineEntries c, int64_t planes, const T* x,
                           T* y) {
  const T *u = static_cast<const T*>(a.weight), *v = static_cast<const T*>(b.weight),
          *w = static_cast<const T*>(c.weight);
  for (EG_ELEMENTS(e, planes * a.out * b.out * c.out)) {
    const int64_t rows = e / c.out, i2 = e - rows * c.out, levels = rows / b.out,
                  i1 = rows - levels * b.out, plane = levels / a.out, i0 = levels - plane * a.out;
    T total = T(0);
    for (int32_t k = a.first[i0]; k < a.first[i0 + 1]; ++k)
      for (int32_t l = b.first[i1]; l < b.first[i1 + 1]; ++l) {
        const T* row = x + ((plane * a.in + a.index[k]) * b.in + b.index[l]) * c.in;
        T sum = T(0);
        for (int32_t n = c.first[i2]; n < c.first[i2 + 1]; ++n) sum += w[n] * row[c.index[n]];
        total += u[k] * v[l] * sum;
      }
    y[e] = total;
  }
}

// `fill`: where the element to fill with lies, or null: it is `number`.
template <class T>
__global__ void select_planes(LineSelection a, LineSelection b, LineSelection c, int64_t planes,
                              const T* x, const T* fill, uint64_t number, T* y) {
  T nothing;
  if (fill) {
    nothing = *fill;
  } else {
    memcpy(&nothing, &number, sizeof(T));
  }
  for (EG_ELEMENTS(e, planes * a.out * b.out * c.out)) {
    const int64_t rows = e / c.out, levels = rows / b.out, plane = levels / a.out;
    const int32_t z = a.index[levels - plane * a.out], r = b.index[rows - levels * b.out],
                  i = c.index[e - rows * c.out];
    y[e] = (z | r | i) < 0 ? nothing : x[((plane * a.in + z) * b.in + r) * c.in + i];
  }
}

// --- sampling at points -------------------------------------------------------------------------------------------------

// The taps of one point in its three dimensions.
template <class T>
struct PointTaps {
  Taps<T> along[3];
  __device__ __forceinline__ PointTaps(const GridShape& s, const T* point) {
    for (int i = 0; i < 3; ++i) {
      if (i < 3 - s.dims) {
        along[i].count = 1, along[i].index[0] = 0;
        along[i].weight[0] = T(1), along[i].slope[0] = T(0);
      } else {  // stored x first
        along[i] = taps_of(point[2 - i], s.in[i], s);
      }
    }
  }
  // body(element of the plane, tap number, a, b, c): taps outside are left out.
  template <class F>
  __device__ __forceinline__ void each(const GridShape& s, F&& body) const {
    int tap = 0;
    for (int a = 0; a < along[0].count; ++a)
      for (int b = 0; b < along[1].count; ++b)
        for (int c = 0; c < along[2].count; ++c, ++tap) {
          const int64_t z = along[0].index[a], y = along[1].index[b], x = along[2].index[c];
          if ((z | y | x) >= 0) body((z * s.in[1] + y) * s.in[2] + x, tap, a, b, c);
        }
  }
  __device__ __forceinline__ T weight(int a, int b, int c) const {
    return along[0].weight[a] * along[1].weight[b] * along[2].weight[c];
  }
};

template <class T>
__global__ void grid_sample(GridShape s, const T* x, const T* grid, T* y) {
  const int64_t in = s.in[0] * s.in[1] * s.in[2], out = s.out[0] * s.out[1] * s.out[2];
  for (EG_ELEMENTS(e, s.batch * out)) {
    const int64_t image = e / out, p = e - image * out;
    const PointTaps<T> taps(s, grid + e * s.dims);
    for (int64_t c = image * s.channels + blockIdx.y; c < (image + 1) * s.channels;
         c += gridDim.y) {
      const T* plane = x + c * in;
      T sum = T(0);
      taps.each(s, [&](int64_t at, int, int i, int j, int k) {
        sum += taps.weight(i, j, k) * plane[at];
      });
      y[c * out + p] = sum;
    }
  }
}

template <class T>
__global__ void grid_points_grad(GridShape s, const T* gy, const T* x, const T* grid, T* ggrid) {
  const int64_t in = s.in[0] * s.in[1] * s.in[2], out = s.out[0] * s.out[1] * s.out[2];
  for (EG_ELEMENTS(e, s.batch * out)) {
    const int64_t image = e / out, p = e - image * out;
    const PointTaps<T> taps(s, grid + e * s.dims);
    T sum[3] = {};
    taps.each(s, [&](int64_t at, int, int a, int b, int c) {
      T product = T(0);
      for (int64_t i = image * s.channels; i < (image + 1) * s.channels; ++i)
        product += gy[i * out + p] * x[i * in + at];
      const T u = taps.along[0].weight[a], v = taps.along[1].weight[b], w = taps.along[2].weight[c];
      sum[0] += product * u * v * taps.along[2].slope[c];
      sum[1] += product * u * taps.along[1].slope[b] * w;
      sum[2] += product * taps.along[0].slope[a] * v * w;
    });
    for (int64_t d = 0; d < s.dims; ++d) ggrid[e * s.dims + d] = sum[d];
  }
}

// Every tap of every point joins the list of the element that it reads.
template <class T>
__global__ void grid_sources(GridShape s, int taps_a_point, const T* grid, int32_t* head,
                             int32_t* next, T* weight) {
  const int64_t in = s.in[0] * s.in[1] * s.in[2], out = s.out[0] * s.out[1] * s.out[2];
  for (EG_ELEMENTS(e, s.batch * out)) {
    const PointTaps<T> taps(s, grid + e * s.dims);
    taps.each(s, [&](int64_t at, int tap, int a, int b, int c) {
      const int64_t source = e * taps_a_point + tap;
      weight[source] = taps.weight(a, b, c);
      push_source(head, next, e / out * in + at, int32_t(source));
    });
  }
}
__global__ void order_sources(int64_t n, int32_t* head, int32_t* next) {
  for (EG_ELEMENTS(i, n)) head[i] = order_list(head[i], next);
}
template <class T>
__global__ void grid_input_grad(GridShape s, int taps_a_point, const T* gy, const int32_t* head,
                                const int32_t* next, const T* weight, T* gx) {
  const int64_t in = s.in[0] * s.in[1] * s.in[2], out = s.out[0] * s.out[1] * s.out[2];
  for (EG_ELEMENTS(e, s.batch * s.channels * in)) {
    const int64_t plane = e / in, image = plane / s.channels;
    const T* g = gy + (plane - image) * out;  // points are counted through all images
    T sum = T(0);
    for (int32_t i = head[image * in + (e - plane * in)]; i >= 0; i = next[i])
      sum += weight[i] * g[i / taps_a_point];
    gx[e] = sum;
  }
}

}  // namespace eg
