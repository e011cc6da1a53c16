// Pooling over windows, gathering and scattering by its indices, sliding blocks as columns.
#include "lists.cuh"
#include "pool_layout.h"

namespace eg {

// Position of element i of planes of the given extents.
struct Place {
  int64_t plane;
  int32_t z, y, x;
};
__device__ __forceinline__ Place place_of(int64_t i, const int32_t* size) {
  const int64_t rows = i / size[2], planes = rows / size[1];
  Place p;
  p.plane = planes / size[0];
  p.x = int32_t(i - rows * size[2]), p.y = int32_t(rows - planes * size[1]),
  p.z = int32_t(planes - p.plane * size[0]);
  return p;
}

template <class T>
__global__ void max_pool(PoolWindows w, const T* x, T* y, int64_t* indices) {
  const int64_t in = int64_t(w.in[0]) * w.in[1] * w.in[2],
                out = int64_t(w.out[0]) * w.out[1] * w.out[2];
  for (EG_ELEMENTS(o, w.planes * out)) {
    const Place p = place_of(o, w.out);
    const T* plane = x + p.plane * in;
    const int32_t z1 = w.end[0][p.z], y1 = w.end[1][p.y], x1 = w.end[2][p.x];
    int64_t at = -1;
    T best = T(0);
    // The first of equal values wins, and the last NaN, as on the host.
    for (int32_t i = w.begin[0][p.z]; i < z1; i += w.step[0])
      for (int32_t j = w.begin[1][p.y]; j < y1; j += w.step[1])
        for (int32_t k = w.begin[2][p.x]; k < x1; k += w.step[2]) {
          const int64_t position = (int64_t(i) * w.in[1] + j) * w.in[2] + k;
          const T v = plane[position];
          if (at < 0 || v > best || v != v) best = v, at = position;
        }
    y[o] = best;
    if (indices) indices[o] = at;
  }
}

// gx[p] = the sum of g over the windows whose greatest value was at p.
template <class T>
__global__ void max_pool_backward(PoolWindows w, const T* g, const int64_t* indices, T* gx) {
  const int64_t in = int64_t(w.in[0]) * w.in[1] * w.in[2],
                out = int64_t(w.out[0]) * w.out[1] * w.out[2];
  for (EG_ELEMENTS(i, w.planes * in)) {
    const Place p = place_of(i, w.in);
    const int64_t mine = i - p.plane * in;
    T sum = T(0);
    for (int32_t z = w.first[0][p.z]; z < w.last[0][p.z]; ++z)
      for (int32_t r = w.first[1][p.y]; r < w.last[1][p.y]; ++r)
        for (int32_t c = w.first[2][p.x]; c < w.last[2][p.x]; ++c) {
          const int64_t o = p.plane * out + (int64_t(z) * w.out[1] + r) * w.out[2] + c;
          if (indices[o] == mine) sum += g[o];
        }
    gx[i] = sum;
  }
}

// --- by index -------------------------------------------------------------------------------------------------------

template <class T>
__global__ void plane_gather(int64_t planes, int64_t from, int64_t to, const T* x,
                             const int64_t* index, T* y) {
  for (EG_ELEMENTS(i, planes * to)) y[i] = x[i / to * from + index[i]];
}

// Every element of x joins the list of its target; or the last one stays there, with `last`.
__global__ void plane_targets(int64_t planes, int64_t from, int64_t to, const int64_t* index,
                              bool last, int32_t* head, int32_t* next) {
  for (EG_ELEMENTS(i, planes * from)) {
    const int64_t target = i / from * to + index[i];
    if (last) {
      atomicMax(head + target, int32_t(i));
    } else {
      push_source(head, next, target, int32_t(i));
    }
  }
}
template <class T>
__global__ void plane_sums(int64_t n, bool last, const T* x, const int32_t* head, int32_t* next,
                           T* y) {
  for (EG_ELEMENTS(i, n)) {
    T sum = T(0);
    if (last) {
      if (head[i] >= 0) sum = x[head[i]];
    } else {
      for (int32_t s = order_list(head[i], next); s >= 0; s = next[s]) sum += x[s];
    }
    y[i] = sum;
  }
}

// --- sliding blocks ---------------------------------------------------------------------------------------------------

template <class T>
__global__ void unfold(PoolBlocks s, const T* x, T* y) {
  const int32_t size[3] = {s.kernel[0] * s.kernel[1], s.blocks[0], s.blocks[1]};
  const int64_t n = s.planes * size[0] * size[1] * size[2];
  for (EG_ELEMENTS(i, n)) {
    const Place p = place_of(i, size);
    const int32_t row = p.z / s.kernel[1] * s.dilation[0] - s.pad[0] + p.y * s.stride[0];
    const int32_t column = p.z % s.kernel[1] * s.dilation[1] - s.pad[1] + p.x * s.stride[1];
    const bool inside = row >= 0 && row < s.in[0] && column >= 0 && column < s.in[1];
    y[i] = inside ? x[(p.plane * s.in[0] + row) * s.in[1] + column] : T(0);
  }
}

template <class T>
__global__ void fold(PoolBlocks s, const T* y, T* x) {
  const int32_t size[3] = {1, s.in[0], s.in[1]}, taps = s.kernel[0] * s.kernel[1];
  const int64_t blocks = int64_t(s.blocks[0]) * s.blocks[1];
  for (EG_ELEMENTS(i, s.planes * s.in[0] * s.in[1])) {
    const Place p = place_of(i, size);
    T sum = T(0);
    for (int32_t t = 0; t < taps; ++t) {
      const int32_t row = p.y + s.pad[0] - t / s.kernel[1] * s.dilation[0];
      const int32_t column = p.x + s.pad[1] - t % s.kernel[1] * s.dilation[1];
      if (row < 0 || column < 0 || row % s.stride[0] || column % s.stride[1]) continue;
      const int32_t r = row / s.stride[0], c = column / s.stride[1];
      if (r < s.blocks[0] && c < s.blocks[1])
        sum += y[(p.plane * taps + t) * blocks + int64_t(r) * s.blocks[1] + c];
    }
    x[i] = sum;
  }
}

}  // namespace eg
