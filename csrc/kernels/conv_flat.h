// Convolution with vectors of pixels, for few channels.
//
// Note [Flat taps]. A strip of the input is copied once into cache, zero-padded, as rows of equal pitch, one plane
// for each residue of the stride ("phase"). A kernel tap is then a constant offset: output position p (counted along
// the padded rows) reads plane[p + offset(tap)], so that an output tile is
//     acc[m][p .. p+48) += w[m][k] * plane[k][p + offset(k) ..],   k = (channel, tap)
// with unaligned vector loads and no packing of pixels. Only the last columns of each row, which straddle the
// padding, are computed in vain and dropped when a tile is written. The input gradient is the same loop with the
// roles of the offsets exchanged, one pass for each residue of the stride. The weight gradient takes dot products
// along p.
#pragma once

#include "kernels/conv_taps.h"
#include "kernels/conv_wide.h"

namespace eg {
namespace {

// Layout of the packed strip: [channel][phase][image][plane][row][pitch].
struct Strip {
  int64_t pitch, front;  // elements a row; zeros before its first datum
  int64_t rows, planes;  // packed rows and planes an image
  int64_t plane, image, phase, channel;
  int64_t phases;
};

template <class T>
Strip strip_layout(const TapDim* d, int64_t planes, int64_t rows, int64_t images) {
  Strip s;
  const TapDim& w = d[2];
  int64_t width = 0;
  for (int64_t r = 0; r < w.phases; ++r) width = max64(width, w.rows_of(r));
  const int64_t behind = max64(0, w.outputs + w.high - width);
  // The zeros behind one row are the zeros before the next.
  s.front = w.front();
  s.pitch = max64(width + max64(s.front, behind), max64(w.outputs, 1));
  s.rows = rows + d[1].high - d[1].low;
  s.planes = planes + d[0].high - d[0].low;
  s.plane = s.rows * s.pitch;
  s.image = s.planes * s.plane;
  // Tiles read up to a tile beyond the last output, and the last row's zeros behind.
  s.phase = round_up(s.image * images + s.front + (kCols + 1) * kLanes<T>, kLanes<T>);
  // An odd number of vectors keeps channels from sharing a cache set.
  if ((s.phase / kLanes<T>) % 2 == 0) s.phase += kLanes<T>;
  s.phases = d[0].phases * d[1].phases * d[2].phases;
  s.channel = s.phases * s.phase;
  return s;
}

EG_INLINE int64_t tap_offset(const TapDim* d, const Strip& s, int64_t a, int64_t b, int64_t c) {
  const int64_t phase = (d[0].phase[a] * d[1].phases + d[1].phase[b]) * d[2].phases + d[2].phase[c];
  return phase * s.phase + (d[0].shift[a] - d[0].low) * s.plane +
         (d[1].shift[b] - d[1].low) * s.pitch + d[2].shift[c] + s.front;
}

// ---------------------------------------------------------------------------- packing

// One channel of `images` images; plane and row of the strip's first output: d0, h0.
template <class T>
void pack_channel(const TapDim* d, const Strip& s, const T* src, int64_t image_stride,
                  int64_t images, int64_t d0, int64_t h0, T* to) {
  const int64_t hw = d[1].source * d[2].source;
  for (int64_t r = 0; r < s.phases; ++r, to += s.phase) {
    const int64_t rd = d[0].residue[r / (d[1].phases * d[2].phases)];
    const int64_t rh = d[1].residue[r / d[2].phases % d[1].phases];
    const int64_t rw = d[2].residue[r % d[2].phases];
    const int64_t width = d[2].rows_of(r % d[2].phases);
    T* row = to;
    for (int64_t n = 0; n < images; ++n) {
      for (int64_t z = 0; z < s.planes; ++z) {
        const int64_t iz = (d0 + z + d[0].low) * d[0].step + rd;
        for (int64_t y = 0; y < s.rows; ++y, row += s.pitch) {
          const int64_t iy = (h0 + y + d[1].low) * d[1].step + rh;
          if (iz < 0 || iz >= d[0].source || iy < 0 || iy >= d[1].source) {
            zero(row, s.pitch);
            continue;
          }
          zero(row, s.front);
          copy_strided(row + s.front, src + n * image_stride + iz * hw + iy * d[2].source + rw,
                       width, d[2].step);
          zero(row + s.front + width, s.pitch - s.front - width);
        }
      }
    }
    zero(row, to + s.phase - row);
  }
}

// ---------------------------------------------------------------------------- tap convolution

// acc[R][C vectors] = sum_k a[k][R] * b[offset[k] + ...]
template <class T, int R, int C>
void tile(const T* a, const T* b, const int32_t* offset, int64_t depth, T* out, int64_t out_pitch) {
  Vec<T> acc[R][C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) acc[r][c] = Vec<T>{};
  for (int64_t k = 0; k < depth; ++k, a += kRows) {
    const T* x = b + offset[k];
    Vec<T> v[C];
    for (int c = 0; c < C; ++c) v[c] = load(x + c * kLanes<T>);
    for (int r = 0; r < R; ++r) {
      const Vec<T> w = splat(a[r]);
      for (int c = 0; c < C; ++c) acc[r][c] += w * v[c];
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) store(out + r * out_pitch + c * kLanes<T>, acc[r][c]);
}

template <class T>
using TileFn = void (*)(const T*, const T*, const int32_t*, int64_t, T*, int64_t);

template <class T, int C>
TileFn<T> tile_of_rows(int64_t rows) {
  switch (rows) {
    case 1:
      return &tile<T, 1, C>;
    case 2:
      return &tile<T, 2, C>;
    case 3:
      return &tile<T, 3, C>;
    case 4:
      return &tile<T, 4, C>;
#if EG_ISA_LEVEL >= 4
    case 5:
      return &tile<T, 5, C>;
    case 6:
      return &tile<T, 6, C>;
    case 7:
      return &tile<T, 7, C>;
    default:
      return &tile<T, 8, C>;
#else
    default:
      return &tile<T, 4, C>;
#endif
  }
}
template <class T>
TileFn<T> tile_for(int64_t rows, int64_t vectors) {
  return vectors == 1   ? tile_of_rows<T, 1>(rows)
         : vectors == 2 ? tile_of_rows<T, 2>(rows)
                        : tile_of_rows<T, 3>(rows);
}

// Packed weights of a block of kRows outputs.
template <class T>
EG_INLINE int64_t flat_panel(const TapConv<T>& t) {
  return t.depth * t.taps * kRows;
}

// Writes a tile's part of the rows of one channel: add to what is there, or start from the bias.
template <class T>
EG_INLINE void write_run(T* to, const T* from, int64_t n, int64_t stride, bool add, T bias) {
  if (stride != 1) {
    for (int64_t i = 0; i < n; ++i) to[i * stride] = from[i] + (add ? to[i * stride] : bias);
  } else if (add) {
    for (int64_t i = 0; i < n; ++i) to[i] += from[i];
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i] + bias;
  }
}

// Positions [p, p + n) of a plane whose rows have `pitch` elements, `outputs` of them real.
template <class T>
void write_tile(const TapConv<T>& t, const T* acc, int64_t acc_pitch, int64_t pitch, int64_t p,
                int64_t n, T* dst, int64_t m0, int64_t rows, bool add) {
  const int64_t y0 = p / pitch, x0 = p - y0 * pitch, outputs = t.dim[2].outputs;
  for (int64_t r = 0; r < rows; ++r) {
    const T bias = t.bias ? t.bias[m0 + r] : T(0);
    T* plane = dst + r * t.dst_channel;
    int64_t y = y0, x = x0;
    for (int64_t i = 0; i < n;) {
      const int64_t run = min64(n - i, pitch - x), real = min64(run, outputs - x);
      if (real > 0) {
        write_run(plane + y * t.dst_stride[1] + x * t.dst_stride[2], acc + r * acc_pitch + i, real,
                  t.dst_stride[2], add, bias);
      }
      i += run, x = 0, ++y;
    }
  }
}

// All tiles of output channels [m, m + rows) over one plane of one image.
template <class T>
void plane_tiles(const TapConv<T>& t, const Strip& s, const T* a, const T* b, const int32_t* offset,
                 int64_t depth, int64_t rows_h, T* dst, int64_t m, int64_t p0, int64_t p1,
                 bool add) {
  alignas(64) T acc[kRows * kCols * kLanes<T>];
  const int64_t rows = min64(kRows, t.outs - m % t.outs);
  (void)rows_h;
  for (int64_t p = p0; p < p1;) {
    const int64_t vectors = min64(kCols, ceil_div(p1 - p, kLanes<T>));
    const int64_t n = min64(p1 - p, vectors * kLanes<T>);
    tile_for<T>(rows, vectors)(a, b + p, offset, depth, acc, kCols * kLanes<T>);
    write_tile(t, acc, int64_t(kCols * kLanes<T>), s.pitch, p, n, dst, m, rows, add);
    p += n;
  }
}

template <class T>
void run_task(const TapConv<T>& t, const TapTask& k, const T* packed_weights, int64_t chunk,
              T* packed, int32_t* offset) {
  const TapDim* d = t.dim;
  const int64_t images = k.n1 - k.n0, planes = k.d1 - k.d0, rows = k.h1 - k.h0;
  const Strip s = strip_layout<T>(d, planes, rows, images);
  for (int64_t c = 0, i = 0; c < chunk; ++c)
    for (int64_t z = 0; z < d[0].taps; ++z)
      for (int64_t y = 0; y < d[1].taps; ++y)
        for (int64_t x = 0; x < d[2].taps; ++x)
          offset[i++] = int32_t(c * s.channel + tap_offset(d, s, z, y, x));
  const int64_t flat = (rows - 1) * s.pitch + d[2].outputs, step = kCols * kLanes<T>;
  const int64_t src_image = t.groups * t.depth * t.src_channel;
  const T* weights = packed_weights + k.group * round_up(t.outs, kRows) * t.depth * t.taps;
  for (int64_t c0 = 0; c0 < t.depth; c0 += chunk) {
    const int64_t cn = min64(chunk, t.depth - c0);
    for (int64_t c = 0; c < cn; ++c)
      pack_channel(d, s, t.src + k.n0 * src_image + (k.group * t.depth + c0 + c) * t.src_channel,
                   src_image, images, k.d0, k.h0, packed + c * s.channel);
    const int64_t depth = cn * t.taps;
    const auto block = [&](int64_t n, int64_t z, int64_t m, int64_t p0, int64_t p1) {
      T* dst = t.dst + t.dst_base +
               ((k.n0 + n) * t.groups * t.outs + k.group * t.outs + m) * t.dst_channel +
               (k.d0 + z) * t.dst_stride[0] + k.h0 * t.dst_stride[1];
      plane_tiles(t, s, weights + m / kRows * flat_panel(t) + c0 * t.taps * kRows,
                  packed + n * s.image + z * s.plane, offset, depth, rows, dst,
                  k.group * t.outs + m, p0, p1, c0 > 0);
    };
    // Weights that stay in L2 stream past a resident tile of pixels; larger ones are read once.
    const bool pixels_outer = (k.m1 - k.m0) * depth * int64_t(sizeof(T)) <= (256 << 10);
    for (int64_t n = 0; n < images; ++n) {
      for (int64_t z = 0; z < planes; ++z) {
        if (pixels_outer) {
          for (int64_t p = 0; p < flat; p += step)
            for (int64_t m = k.m0; m < k.m1; m += kRows) block(n, z, m, p, min64(p + step, flat));
        } else {
          for (int64_t m = k.m0; m < k.m1; m += kRows) block(n, z, m, 0, flat);
        }
      }
    }
  }
}

// Note [Fixed partition]. How the work is cut depends on shapes only, never on the number of threads.
struct Partition {
  int64_t chunk;                 // channels packed at a time
  int64_t images, planes, rows;  // a task's share
  int64_t image_tasks, plane_tasks, row_tasks, out_tasks, outs;
  int64_t floats, tasks;
};

template <class T>
Partition partition(const TapConv<T>& t) {
  const TapDim* d = t.dim;
  Partition p;
  p.chunk = max64(1, min64(t.depth, kPanelDepth / t.taps));
  p.chunk = ceil_div(t.depth, ceil_div(t.depth, p.chunk));
  const auto bytes = [&](int64_t planes, int64_t rows, int64_t images) {
    return strip_layout<T>(d, planes, rows, images).channel * p.chunk * int64_t(sizeof(T));
  };
  p.images = 1, p.planes = d[0].outputs, p.rows = d[1].outputs;
  while (p.planes > 1 && bytes(p.planes, p.rows, 1) > kStripBytes) p.planes = (p.planes + 1) / 2;
  while (p.rows > 4 && bytes(p.planes, p.rows, 1) > kStripBytes) p.rows = (p.rows + 1) / 2;
  p.plane_tasks = ceil_div(d[0].outputs, p.planes);
  p.row_tasks = ceil_div(d[1].outputs, p.rows);
  if (p.plane_tasks * p.row_tasks == 1) {
    const int64_t wanted = max64(1, t.batch * t.groups / kMaxTasks);
    while (p.images * 2 <= wanted && bytes(p.planes, p.rows, p.images * 2) <= kStripBytes)
      p.images *= 2;
  }
  p.image_tasks = ceil_div(t.batch, p.images);
  const int64_t cells = p.image_tasks * p.plane_tasks * p.row_tasks * t.groups;
  const int64_t blocks = ceil_div(t.outs, kRows);
  p.out_tasks = cells >= 8 ? 1 : min64(ceil_div(8, cells), ceil_div(blocks, 4));
  p.outs = ceil_div(blocks, p.out_tasks) * kRows;
  p.out_tasks = ceil_div(t.outs, p.outs);
  p.floats = bytes(p.planes, p.rows, p.images) / int64_t(sizeof(T));
  p.tasks = cells * p.out_tasks;
  return p;
}

// Packs w into [group][block][k][kRows], k = (reduced channel, tap).
template <class T>
void pack_flat_weights(const TapConv<T>& t, const int64_t* kernel, T* to) {
  const int64_t blocks = ceil_div(t.outs, kRows);
  const int64_t tap_cost = flat_panel(t);
  parallel_for(
      t.groups * blocks, max64(1, kParallelGrain / tap_cost), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t m = i % blocks * kRows, rows = min64(kRows, t.outs - m);
          const T* from = t.weights + i / blocks * t.weight_group + m * t.weight_out;
          T* at = to + i * tap_cost;
          for (int64_t c = 0; c < t.depth; ++c) {
            for (int64_t z = 0; z < t.dim[0].taps; ++z) {
              for (int64_t y = 0; y < t.dim[1].taps; ++y) {
                const int64_t line = (t.dim[0].tap[z] * kernel[1] + t.dim[1].tap[y]) * kernel[2];
                for (int64_t x = 0; x < t.dim[2].taps; ++x, at += kRows) {
                  const T* f = from + c * t.weight_depth + line + t.dim[2].tap[x];
                  for (int64_t r = 0; r < kRows; ++r) at[r] = r < rows ? f[r * t.weight_out] : T(0);
                }
              }
            }
          }
        }
      });
}

template <class T>
void run_flat(const TapConv<T>& t, const int64_t* kernel) {
  const Partition p = partition(t);
  Scratch<T> weights(t.groups * ceil_div(t.outs, kRows) * flat_panel(t));
  pack_flat_weights(t, kernel, weights.data());
  parallel_for(p.tasks, t.flops() < kSerialFlops ? p.tasks : 1, [&](int64_t begin, int64_t end) {
    Scratch<T> packed(p.floats);
    Scratch<int32_t> offset(p.chunk * t.taps);
    for (int64_t i = begin; i < end; ++i) {
      int64_t j = i;
      const int64_t m = j % p.out_tasks * p.outs;
      j /= p.out_tasks;
      const int64_t h = j % p.row_tasks * p.rows;
      j /= p.row_tasks;
      const int64_t z = j % p.plane_tasks * p.planes;
      j /= p.plane_tasks;
      const int64_t g = j % t.groups, n = j / t.groups * p.images;
      run_task(t,
               {g, n, min64(n + p.images, t.batch), z, min64(z + p.planes, t.dim[0].outputs), h,
                min64(h + p.rows, t.dim[1].outputs), m, min64(m + p.outs, t.outs)},
               weights.data(), p.chunk, packed.data(), offset.data());
    }
  });
}

// ---------------------------------------------------------------------------- weight gradient

// Blocks of `Block` lanes are each halved; a's results come first.
template <class T, int Block>
EG_INLINE Vec<T> halve(Vec<T> a, Vec<T> b) {
  constexpr int half = kLanes<T> / 2;
  static constexpr auto low = choose<T>([](int l) {
    return l % half / (Block / 2) * Block + l % half % (Block / 2) + (l < half ? 0 : 2 * half);
  });
  static constexpr auto high = choose<T>([](int l) { return low.from[l] + Block / 2; });
  return shuffle<low>(a, b) + shuffle<high>(a, b);
}
// Lane i of the result is the sum over the lanes of v[i], i < kLanes.
template <class T, int Block = kLanes<T>>
EG_INLINE Vec<T> lane_sums(Vec<T>* v) {
  for (int i = 0; i < Block / 2; ++i) v[i] = halve<T, Block>(v[2 * i], v[2 * i + 1]);
  if constexpr (Block > 2) {
    return lane_sums<T, Block / 2>(v);
  } else {
    return v[0];
  }
}

// Where the factors of a dot tile lie: segments (image, plane) of `vectors` vectors.
struct DotRun {
  int64_t images, planes, vectors;
  int64_t a_row, a_image, a_plane;
  int64_t b_image, b_plane;
};

// out[r * out_pitch + c] += sum over p of a[r][p] * b[offset[c] + p]
template <class T, int R, int C>
void dot_tile(const DotRun& run, const T* a, const T* b, const int32_t* offset, T* out,
              int64_t out_pitch) {
  constexpr int kGroups = (R * C + kLanes<T> - 1) / kLanes<T>;
  Vec<T> acc[R][C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) acc[r][c] = Vec<T>{};
  for (int64_t n = 0; n < run.images; ++n) {
    for (int64_t z = 0; z < run.planes; ++z) {
      const T* x = a + n * run.a_image + z * run.a_plane;
      const T* y[C];
      for (int c = 0; c < C; ++c) y[c] = b + n * run.b_image + z * run.b_plane + offset[c];
      for (int64_t p = 0; p < run.vectors * kLanes<T>; p += kLanes<T>) {
        Vec<T> v[C];
        for (int c = 0; c < C; ++c) v[c] = load(y[c] + p);
        for (int r = 0; r < R; ++r) {
          const Vec<T> w = load(x + r * run.a_row + p);
          for (int c = 0; c < C; ++c) acc[r][c] += w * v[c];
        }
      }
    }
  }
  alignas(64) T sums[kGroups * kLanes<T>];
  for (int g = 0; g < kGroups; ++g) {
    Vec<T> v[kLanes<T>];
    for (int i = 0; i < kLanes<T>; ++i) {
      const int j = g * kLanes<T> + i;
      v[i] = j < R * C ? acc[j / C % R][j % C] : Vec<T>{};
    }
    store(sums + g * kLanes<T>, lane_sums<T>(v));
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) out[r * out_pitch + c] += sums[r * C + c];
}

template <class T>
using DotFn = void (*)(const DotRun&, const T*, const T*, const int32_t*, T*, int64_t);

template <class T, int C>
DotFn<T> dot_of_rows(int64_t rows) {
  switch (rows) {
    case 1:
      return &dot_tile<T, 1, C>;
    case 2:
      return &dot_tile<T, 2, C>;
    case 3:
      return &dot_tile<T, 3, C>;
    case 4:
      return &dot_tile<T, 4, C>;
#if EG_ISA_LEVEL >= 4
    case 5:
      return &dot_tile<T, 5, C>;
    case 6:
      return &dot_tile<T, 6, C>;
    case 7:
      return &dot_tile<T, 7, C>;
    default:
      return &dot_tile<T, 8, C>;
#else
    default:
      return &dot_tile<T, 4, C>;
#endif
  }
}
template <class T>
DotFn<T> dot_for(int64_t rows, int64_t taps) {
  return taps == 1   ? dot_of_rows<T, 1>(rows)
         : taps == 2 ? dot_of_rows<T, 2>(rows)
                     : dot_of_rows<T, 3>(rows);
}

template <class T>
struct FlatGrad : GradConv<T> {
  // The partition: channels of x packed at a time; a strip's share; how many strips; slices of the strips that are summed
  // separately; output channels a task.
  int64_t chunk, images, planes, rows;
  int64_t image_strips, plane_strips, row_strips, slices, out_tasks, task_outs;
  int64_t strips() const { return image_strips * plane_strips * row_strips; }
  // Packed gradient: rows with the pitch of the packed input.
  int64_t flat(int64_t nrows, int64_t pitch) const {
    return round_up((nrows - 1) * pitch + this->dim[2].outputs, kLanes<T>);
  }
  int64_t grad_row(int64_t nimages, int64_t nplanes, int64_t nrows, int64_t pitch) const {
    const int64_t n = nimages * nplanes * flat(nrows, pitch);
    return (n / kLanes<T>) % 2 == 0 ? n + kLanes<T> : n;
  }
};

template <class T>
void partition(FlatGrad<T>& t) {
  const TapDim* d = t.dim;
  t.chunk = max64(1, min64(t.depth, 2 * kPanelDepth / t.taps));
  t.chunk = ceil_div(t.depth, ceil_div(t.depth, t.chunk));
  const auto bytes = [&](int64_t images) {
    const Strip s = strip_layout<T>(d, t.planes, t.rows, images);
    return (s.channel * t.chunk + t.grad_row(images, t.planes, t.rows, s.pitch) * t.outs) *
           int64_t(sizeof(T));
  };
  t.images = 1, t.planes = d[0].outputs, t.rows = d[1].outputs;
  while (t.planes > 1 && bytes(1) > 2 * kStripBytes) t.planes = (t.planes + 1) / 2;
  // The rows of a tile's gradients are read once for every few taps: they stay in L1.
  const auto tile_bytes = [&](int64_t images) {
    const Strip s = strip_layout<T>(d, t.planes, t.rows, images);
    return kRows * t.grad_row(images, t.planes, t.rows, s.pitch) * int64_t(sizeof(T));
  };
  while (t.rows > 4 && (bytes(1) > 2 * kStripBytes || tile_bytes(1) > kTileBytes))
    t.rows = (t.rows + 1) / 2;
  t.plane_strips = ceil_div(d[0].outputs, t.planes), t.row_strips = ceil_div(d[1].outputs, t.rows);
  while (t.plane_strips * t.row_strips == 1 && t.images * 2 * 8 <= t.batch * t.groups &&
         t.images * 2 <= t.batch && bytes(t.images * 2) <= 2 * kStripBytes &&
         tile_bytes(t.images * 2) <= kTileBytes)
    t.images *= 2;
  t.image_strips = ceil_div(t.batch, t.images);
  const int64_t weight_bytes = t.outs * t.groups * t.depth * t.taps * int64_t(sizeof(T));
  t.slices =
      max64(1, min64(min64(t.strips(), ceil_div(8, t.groups)), (2 << 20) / max64(1, weight_bytes)));
  const int64_t cells = t.slices * t.groups, blocks = ceil_div(t.outs, kRows);
  t.out_tasks = cells >= 8 ? 1 : min64(ceil_div(8, cells), ceil_div(blocks, 4));
  t.task_outs = ceil_div(blocks, t.out_tasks) * kRows;
  t.out_tasks = ceil_div(t.outs, t.task_outs);
}

template <class T>
void pack_gradient(const FlatGrad<T>& t, const TapTask& k, int64_t pitch, T* to) {
  const int64_t flat = t.flat(k.h1 - k.h0, pitch), wo = t.dim[2].outputs, ho = t.dim[1].outputs;
  for (int64_t n = k.n0; n < k.n1; ++n) {
    for (int64_t z = k.d0; z < k.d1; ++z, to += flat) {
      const T* from = t.gy + n * t.groups * t.outs * t.gy_channel + z * ho * wo;
      T* row = to;
      for (int64_t y = k.h0; y < k.h1; ++y, row += pitch) {
        copy_strided(row, from + y * wo, wo, 1);
        zero(row + wo, y + 1 < k.h1 ? pitch - wo : to + flat - row - wo);
      }
    }
  }
}

// Adds one strip's part of the weights (outputs [m0, m1) of the group) to out[m - m0][k].
template <class T>
void strip_weights(const FlatGrad<T>& t, const TapTask& k, T* packed, T* grad, int32_t* offset,
                   T* out) {
  const TapDim* d = t.dim;
  const int64_t images = k.n1 - k.n0, planes = k.d1 - k.d0, rows = k.h1 - k.h0;
  const Strip s = strip_layout<T>(d, planes, rows, images);
  for (int64_t c = 0, i = 0; c < t.chunk; ++c)
    for (int64_t z = 0; z < d[0].taps; ++z)
      for (int64_t y = 0; y < d[1].taps; ++y)
        for (int64_t x = 0; x < d[2].taps; ++x)
          offset[i++] = int32_t(c * s.channel + tap_offset(d, s, z, y, x));
  const int64_t flat = t.flat(rows, s.pitch), grad_row = t.grad_row(images, planes, rows, s.pitch);
  for (int64_t m = k.m0; m < k.m1; ++m) {
    FlatGrad<T> one = t;
    one.gy = t.gy + (k.group * t.outs + m) * t.gy_channel;
    pack_gradient(one, k, s.pitch, grad + (m - k.m0) * grad_row);
  }
  const int64_t x_image = t.groups * t.depth * t.x_channel, length = t.depth * t.taps;
  const DotRun run{images,        planes, flat / kLanes<T>, grad_row,
                   planes * flat, flat,   s.image,          s.plane};
  for (int64_t c0 = 0; c0 < t.depth; c0 += t.chunk) {
    const int64_t cn = min64(t.chunk, t.depth - c0);
    for (int64_t c = 0; c < cn; ++c)
      pack_channel(d, s, t.x + k.n0 * x_image + (k.group * t.depth + c0 + c) * t.x_channel, x_image,
                   images, k.d0, k.h0, packed + c * s.channel);
    for (int64_t m = 0; m < k.m1 - k.m0; m += kRows) {
      const int64_t mn = min64(kRows, k.m1 - k.m0 - m);
      for (int64_t i = 0; i < cn * t.taps; i += kCols) {
        const int64_t in = min64(kCols, cn * t.taps - i);
        dot_for<T>(mn, in)(run, grad + m * grad_row, packed, offset + i,
                           out + m * length + c0 * t.taps + i, length);
      }
    }
  }
}

template <class T>
void flat_weight_grad(const GradConv<T>& conv, T* gw) {
  FlatGrad<T> t;
  static_cast<GradConv<T>&>(t) = conv;
  const int64_t total = t.weights();
  zero(gw, total);
  partition(t);
  const int64_t tasks = t.slices * t.groups * t.out_tasks;
  Scratch<T> slices((t.slices - 1) * total);
  zero(slices.data(), (t.slices - 1) * total);
  parallel_for(tasks, t.flops() < kSerialFlops ? tasks : 1, [&](int64_t begin, int64_t end) {
    const Strip s = strip_layout<T>(t.dim, t.planes, t.rows, t.images);
    Scratch<T> packed(t.chunk * s.channel);
    Scratch<T> grad(t.task_outs * t.grad_row(t.images, t.planes, t.rows, s.pitch));
    Scratch<int32_t> offset(t.chunk * t.taps);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t m0 = i % t.out_tasks * t.task_outs, m1 = min64(m0 + t.task_outs, t.outs);
      const int64_t g = i / t.out_tasks % t.groups, slice = i / t.out_tasks / t.groups;
      T* out = (slice == 0 ? gw : slices.data() + (slice - 1) * total) +
               (g * t.outs + m0) * t.depth * t.taps;
      for (int64_t j = slice * t.strips() / t.slices; j < (slice + 1) * t.strips() / t.slices;
           ++j) {
        const int64_t h = j % t.row_strips * t.rows,
                      z = j / t.row_strips % t.plane_strips * t.planes;
        const int64_t n = j / t.row_strips / t.plane_strips * t.images;
        strip_weights(t,
                      {g, n, min64(n + t.images, t.batch), z, min64(z + t.planes, t.dim[0].outputs),
                       h, min64(h + t.rows, t.dim[1].outputs), m0, m1},
                      packed.data(), grad.data(), offset.data(), out);
      }
    }
  });
  for (int64_t k = 0; k + 1 < t.slices; ++k) {
    const T* from = slices.data() + k * total;
    for (int64_t i = 0; i < total; ++i) gw[i] += from[i];
  }
}

}  // namespace
}  // namespace eg
