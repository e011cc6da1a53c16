// Convolution with vectors of channels.
//
// Note [Wide channels]. A strip of the input is copied once into cache, zero-padded, with channels innermost: the
// taps of one kernel row then read one run of consecutive numbers, (column, channel). An output tile is
//     acc[pixel][outputs] += x[pixel][k] * w[k][outputs],   k = (row tap, column tap, channel)
// with x broadcast and outputs in vectors; strides and narrow images cost nothing. The weight gradient is
//     acc[output][k] += gy[output][pixel] * x[pixel][k]
// with k in vectors and gy read where it lies.
#pragma once

#include "kernels/conv_taps.h"
#include "kernels/square.h"

namespace eg {
namespace {

// Of a tile; fewer of double, for less code.
template <class T>
constexpr int kAccumulators = EG_ISA_LEVEL < 4 ? 12
                              : sizeof(T) == 4 ? 24
                                               : 16;
// Broadcast operands of a tile of C vectors.
template <class T, int C>
constexpr int kTileRows = C == 1 ? 8 : kAccumulators<T> / C;
constexpr int64_t kWideStripBytes = 256 << 10;
constexpr int64_t kWideWeightBytes = 192 << 10;
constexpr int64_t kHeavyWeightBytes = 1 << 20;
constexpr int64_t kWantedTasks = 8;
constexpr int64_t kGradChunk = 32;  // channels: strips stay long enough to pay for the sums

// Taps in the order of the source coordinate they read, relative to step * output.
struct WideDim {
  int64_t first, span;  // least coordinate; how far the taps reach beyond it
  int64_t taps, step;
  int64_t *tap, *at;  // kernel index and coordinate - first, ascending
  EG_INLINE int64_t extent(int64_t outputs) const { return (outputs - 1) * step + span + 1; }
};

struct WideTables {
  Scratch<int64_t> memory;
  WideDim dim[3];
  explicit WideTables(const TapDim* d) : memory(2 * (d[0].taps + d[1].taps + d[2].taps)) {
    int64_t* room = memory.data();
    for (int i = 0; i < 3; ++i) {
      WideDim& w = dim[i];
      w.taps = d[i].taps, w.step = d[i].step;
      w.tap = room, w.at = room + w.taps;
      room += 2 * w.taps;
      for (int64_t k = 0; k < w.taps; ++k) {
        const int64_t z = d[i].shift[k] * d[i].step + d[i].residue[d[i].phase[k]];
        int64_t j = k;
        for (; j > 0 && w.at[j - 1] > z; --j) w.at[j] = w.at[j - 1], w.tap[j] = w.tap[j - 1];
        w.at[j] = z, w.tap[j] = d[i].tap[k];
      }
      w.first = w.at[0];
      w.span = w.at[w.taps - 1] - w.first;
      for (int64_t k = 0; k < w.taps; ++k) w.at[k] -= w.first;
    }
  }
  // Do the column taps read neighbours, so that a kernel row is one run?
  EG_INLINE bool dense() const { return dim[2].span == dim[2].taps - 1; }
  EG_INLINE int64_t runs() const { return dim[0].taps * dim[1].taps * (dense() ? 1 : dim[2].taps); }
  EG_INLINE int64_t run_taps() const { return dense() ? dim[2].taps : 1; }
};

// Packed strip: [image][plane][row][column][channel of the chunk].
struct WideStrip {
  int64_t channels, row, plane, image;  // elements
  int64_t rows, planes, columns;
};

EG_INLINE WideStrip wide_strip(const WideTables& t, int64_t outputs_w, int64_t planes, int64_t rows,
                               int64_t channels) {
  WideStrip s;
  s.channels = channels, s.columns = t.dim[2].extent(outputs_w);
  s.rows = t.dim[1].extent(rows), s.planes = t.dim[0].extent(planes);
  s.row = s.columns * channels, s.plane = s.rows * s.row, s.image = s.planes * s.plane;
  return s;
}

// src: first channel of the chunk in the first image.
template <class T>
void pack_wide(const WideTables& t, const TapDim* d, const WideStrip& s, const T* src,
               int64_t src_channel, int64_t src_image, int64_t images, int64_t d0, int64_t h0,
               int64_t w0, int64_t channels, T* to) {
  const int64_t height = d[1].source, width = d[2].source;
  // columns that lie inside the source
  const int64_t first = w0 * t.dim[2].step + t.dim[2].first,
                front = min64(max64(0, -first), s.columns);
  const int64_t end = max64(front, min64(s.columns, width - first));
  for (int64_t n = 0; n < images; ++n) {
    for (int64_t z = 0; z < s.planes; ++z) {
      const int64_t iz = d0 * t.dim[0].step + t.dim[0].first + z;
      for (int64_t y = 0; y < s.rows; ++y, to += s.row) {
        const int64_t iy = h0 * t.dim[1].step + t.dim[1].first + y;
        if (iz < 0 || iz >= d[0].source || iy < 0 || iy >= height) {
          zero(to, s.row);
          continue;
        }
        zero(to, front * s.channels);
        transpose_matrix(src + n * src_image + (iz * height + iy) * width + first + front,
                         src_channel, channels, end - front, to + front * s.channels, s.channels);
        zero(to + end * s.channels, (s.columns - end) * s.channels);
      }
    }
  }
}

// ---------------------------------------------------------------------------- forward

struct WideRuns {
  int64_t count, length;
  const int32_t* offset;
};

template <class T, int R, int C>
void wide_tile(const WideRuns& runs, const T* x, int64_t pixel, const T* w, T* out, int64_t out_row,
               bool add) {
  Vec<T> acc[R][C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c)
      acc[r][c] = add ? load(out + r * out_row + c * kLanes<T>) : Vec<T>{};
  for (int64_t i = 0; i < runs.count; ++i) {
    const T* from = x + runs.offset[i];
    for (int64_t k = 0; k < runs.length; ++k, w += C * kLanes<T>) {
      Vec<T> v[C];
      for (int c = 0; c < C; ++c) v[c] = load(w + c * kLanes<T>);
      for (int r = 0; r < R; ++r) {
        const Vec<T> u = splat(from[r * pixel + k]);
        for (int c = 0; c < C; ++c) acc[r][c] += u * v[c];
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) store(out + r * out_row + c * kLanes<T>, acc[r][c]);
}

// ---------------------------------------------------------------------------- weight gradient

// Rows of pixels: gy[row][pixel], its output channels a_channel apart; x advances by `pixel` a pixel.
struct WideWalk {
  int64_t images, planes, rows, width;
  int64_t a_image, a_plane, a_row, a_pixel, a_channel;
  int64_t b_image, b_plane, b_row, pixel;
};

template <class T, int R, int C>
void wide_dot(const WideWalk& s, const T* a, const T* b, T* out, int64_t out_row) {
  Vec<T> acc[R][C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) acc[r][c] = load(out + r * out_row + c * kLanes<T>);
  for (int64_t n = 0; n < s.images; ++n) {
    for (int64_t z = 0; z < s.planes; ++z) {
      for (int64_t y = 0; y < s.rows; ++y) {
        const T* g = a + n * s.a_image + z * s.a_plane + y * s.a_row;
        const T* x = b + n * s.b_image + z * s.b_plane + y * s.b_row;
        for (int64_t p = 0; p < s.width; ++p, g += s.a_pixel, x += s.pixel) {
          Vec<T> v[C];
          for (int c = 0; c < C; ++c) v[c] = load(x + c * kLanes<T>);
          for (int r = 0; r < R; ++r) {
            const Vec<T> u = splat(g[r * s.a_channel]);
            for (int c = 0; c < C; ++c) acc[r][c] += u * v[c];
          }
        }
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) store(out + r * out_row + c * kLanes<T>, acc[r][c]);
}

// ---------------------------------------------------------------------------- choice of tiles

template <class T>
struct WideFns {
  typedef void (*Tile)(const WideRuns&, const T*, int64_t, const T*, T*, int64_t, bool);
  typedef void (*Dot)(const WideWalk&, const T*, const T*, T*, int64_t);
  Tile tile;
  Dot dot;
};

template <class T, int C, int R = kTileRows<T, C>>
WideFns<T> wide_of_rows(int64_t rows) {
  if constexpr (R > 1)
    if (rows < R) return wide_of_rows<T, C, R - 1>(rows);
  return {&wide_tile<T, R, C>, &wide_dot<T, R, C>};
}
template <class T>
__attribute__((noinline)) WideFns<T> wide_fns(int64_t rows, int64_t vectors) {
  return vectors == 1   ? wide_of_rows<T, 1>(rows)
         : vectors == 2 ? wide_of_rows<T, 2>(rows)
                        : wide_of_rows<T, 3>(rows);
}
template <class T>
EG_INLINE int64_t tile_rows(int64_t vectors) {
  return vectors == 1 ? kTileRows<T, 1> : vectors == 2 ? kTileRows<T, 2> : kTileRows<T, 3>;
}

// n vectors in blocks of two or three, as even as possible; one alone if there is only one.
EG_INLINE int64_t block_vectors(int64_t left) {
  return left <= 3 ? left : left == 4 ? 2 : left % 2 ? 3 : 2;
}
// f(first, size) of these blocks of vectors [begin, end).
template <class F>
EG_INLINE void each_block(int64_t begin, int64_t end, F f) {
  for (int64_t size; begin < end; begin += size) f(begin, size = block_vectors(end - begin));
}
// f(first, size) of pieces of [begin, end) that have at most `most`, as even as possible.
template <class F>
EG_INLINE void each_piece(int64_t begin, int64_t end, int64_t most, F f) {
  for (int64_t pieces = ceil_div(end - begin, most), size; pieces > 0; --pieces, begin += size)
    f(begin, size = (end - begin) / pieces);
}

// ---------------------------------------------------------------------------- forward over tasks

struct WidePartition {
  int64_t chunk, chunks;
  int64_t images, planes, rows;
  int64_t image_tasks, plane_tasks, row_tasks, out_tasks, outs;
  int64_t tasks, strip, acc;
};

template <class T>
WidePartition wide_partition(const TapConv<T>& t, const WideTables& w) {
  const TapDim* d = t.dim;
  WidePartition p;
  p.chunk = max64(1, min64(t.depth, kWideWeightBytes / (t.taps * 2 * kVectorBytes)));
  p.chunks = ceil_div(t.depth, p.chunk);
  p.chunk = ceil_div(t.depth, p.chunks);
  p.images = 1, p.planes = d[0].outputs, p.rows = d[1].outputs;
  // Weights that leave the cache between two images are shared by several: tasks part the outputs instead.
  const bool heavy = t.outs * t.depth * t.taps * int64_t(sizeof(T)) > kHeavyWeightBytes;
  const int64_t outs_together = heavy ? ceil_div(t.outs, kWantedTasks) : t.outs;
  const auto bytes = [&](int64_t images) {
    const WideStrip s = wide_strip(w, d[2].outputs, p.planes, p.rows, p.chunk);
    const int64_t acc = p.planes * p.rows * d[2].outputs * round_up(outs_together, kLanes<T>);
    return images * max64(s.image, acc) * int64_t(sizeof(T));
  };
  while (p.planes > 1 && bytes(1) > kWideStripBytes) p.planes = (p.planes + 1) / 2;
  while (p.rows > 2 && bytes(1) > kWideStripBytes) p.rows = (p.rows + 1) / 2;
  p.plane_tasks = ceil_div(d[0].outputs, p.planes);
  p.row_tasks = ceil_div(d[1].outputs, p.rows);
  const int64_t wanted = heavy ? 1 : kWantedTasks;
  while (p.plane_tasks * p.row_tasks == 1 && p.images * 2 * wanted <= t.batch * t.groups &&
         p.images * 2 <= t.batch && bytes(p.images * 2) <= kWideStripBytes)
    p.images *= 2;
  p.image_tasks = ceil_div(t.batch, p.images);
  const int64_t cells = p.image_tasks * p.plane_tasks * p.row_tasks * t.groups;
  const int64_t vectors = ceil_div(t.outs, kLanes<T>);
  p.out_tasks =
      cells >= kWantedTasks ? 1 : min64(ceil_div(kWantedTasks, cells), ceil_div(vectors, 4));
  p.outs = ceil_div(vectors, p.out_tasks) * kLanes<T>;
  p.out_tasks = ceil_div(t.outs, p.outs);
  p.tasks = cells * p.out_tasks;
  p.strip = p.images * wide_strip(w, d[2].outputs, p.planes, p.rows, p.chunk).image;
  p.acc = p.images * p.planes * p.rows * d[2].outputs * p.outs;
  return p;
}

// place[tap of the kernel]: which of the taps in use it is, -1 if none.
void wide_places(const WideTables& w, const int64_t* kernel, int64_t* place) {
  fill<int64_t>(place, volume(kernel), -1);
  int64_t used = 0;
  for (int64_t a = 0; a < w.dim[0].taps; ++a)
    for (int64_t b = 0; b < w.dim[1].taps; ++b)
      for (int64_t c = 0; c < w.dim[2].taps; ++c)
        place[(w.dim[0].tap[a] * kernel[1] + w.dim[1].tap[b]) * kernel[2] + w.dim[2].tap[c]] =
            used++;
}

// The weights of a vector of outputs, `real` of them, for channels [c0, c1): at[(place[tap] * channels + channel) * lanes] for each tap
// that has a place.
template <class T>
void pack_wide_vector(const TapConv<T>& t, const T* from, int64_t real, int64_t c0, int64_t c1,
                      const int64_t* place, int64_t all_taps, T* at, int64_t lanes) {
  constexpr int L = kLanes<T>;
  const auto put = [&](int64_t channel, int64_t tap, Vec<T> v) {
    if (place[tap] >= 0) store(at + (place[tap] * (c1 - c0) + channel - c0) * lanes, v);
  };
  if (t.weight_depth == all_taps) {  // an output's weights lie together
    for (int64_t j = c0 * all_taps; j < c1 * all_taps; j += L) {
      const int64_t here = min64(L, c1 * all_taps - j);
      Vec<T> v[L];
      for (int l = 0; l < L; ++l)
        v[l] = l < real ? load_some(from + l * t.weight_out + j, here) : Vec<T>{};
      transpose_square<T>(v);
      int64_t channel = j / all_taps, tap = j - channel * all_taps;
      for (int64_t l = 0; l < here; ++l) {
        put(channel, tap, v[l]);
        if (++tap == all_taps) tap = 0, ++channel;
      }
    }
    return;
  }
  int32_t index[L];
  for (int l = 0; l < L; ++l) index[l] = l < real ? int32_t(l * t.weight_out) : -1;
  for (int64_t channel = c0; channel < c1; ++channel)
    for (int64_t tap = 0; tap < all_taps; ++tap)
      put(channel, tap, gather(from + channel * t.weight_depth + tap, index));
}

// Weights as [group][out task][chunk][block of vectors][run][tap of the run][channel][lanes of the block].
template <class T>
void pack_wide_weights(const TapConv<T>& t, const WideTables& w, const WidePartition& p,
                       const int64_t* kernel, T* to) {
  const int64_t task = p.outs * t.depth * t.taps, all_taps = volume(kernel);
  Scratch<int64_t> place(all_taps);
  wide_places(w, kernel, place.data());
  parallel_for(
      t.groups * p.out_tasks * p.chunks, max64(1, kParallelGrain * p.chunks / task),
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t c0 = i % p.chunks * p.chunk, c1 = min64(c0 + p.chunk, t.depth);
          const int64_t m0 = i / p.chunks % p.out_tasks * p.outs, g = i / p.chunks / p.out_tasks;
          T* at = to + (i / p.chunks) * task + c0 * t.taps * p.outs;
          each_block(0, p.outs / kLanes<T>, [&](int64_t v, int64_t block) {
            const int64_t lanes = block * kLanes<T>;
            for (int64_t u = 0; u < block; ++u) {
              const int64_t m = m0 + (v + u) * kLanes<T>;
              pack_wide_vector(t, t.weights + g * t.weight_group + m * t.weight_out, t.outs - m, c0,
                               c1, place.data(), all_taps, at + u * kLanes<T>, lanes);
            }
            at += (c1 - c0) * t.taps * lanes;
          });
        }
      });
}

template <class T>
void wide_runs(const WideTables& w, const WideStrip& s, int32_t* offset) {
  for (int64_t a = 0; a < w.dim[0].taps; ++a)
    for (int64_t b = 0; b < w.dim[1].taps; ++b)
      for (int64_t c = 0; c < (w.dense() ? 1 : w.dim[2].taps); ++c)
        *offset++ = int32_t(w.dim[0].at[a] * s.plane + w.dim[1].at[b] * s.row +
                            w.dim[2].at[c] * s.channels);
}

// Tiles of one chunk: acc [image][plane][row][column][outs].
template <class T>
void wide_chunk(const TapConv<T>& t, const WideTables& w, const WideStrip& s, const TapTask& k,
                const WideRuns& runs, const T* weights, const T* packed, T* acc, int64_t outs,
                bool add) {
  const int64_t width = t.dim[2].outputs, lines = (k.n1 - k.n0) * (k.d1 - k.d0) * (k.h1 - k.h0);
  const int64_t rows = k.h1 - k.h0, planes = k.d1 - k.d0, pixel = w.dim[2].step * s.channels;
  each_block(0, outs / kLanes<T>, [&](int64_t v, int64_t block) {
    for (int64_t line = 0; line < lines; ++line) {
      const int64_t y = line % rows, z = line / rows % planes, n = line / rows / planes;
      const T* x = packed + n * s.image + z * w.dim[0].step * s.plane + y * w.dim[1].step * s.row;
      each_piece(0, width, tile_rows<T>(block), [&](int64_t p, int64_t size) {
        wide_fns<T>(size, block)
            .tile(runs, x + p * pixel, pixel, weights,
                  acc + (line * width + p) * outs + v * kLanes<T>, outs, add);
      });
    }
    weights += runs.count * runs.length * block * kLanes<T>;
  });
}

// acc [line][column][outs] of `width` columns -> the task's outputs in the destination planes, bias added.
template <class T>
void write_wide(const TapConv<T>& t, const TapTask& k, int64_t w0, int64_t width, const T* acc,
                int64_t outs) {
  constexpr int n = kLanes<T>;
  for (int64_t i = k.n0; i < k.n1; ++i) {
    for (int64_t z = k.d0; z < k.d1; ++z) {
      for (int64_t y = k.h0; y < k.h1; ++y, acc += width * outs) {
        for (int64_t m = k.m0; m < k.m1; m += n) {
          const int64_t lanes = min64(n, k.m1 - m), channel = k.group * t.outs + m;
          const T* from = acc + (m - k.m0);
          T* to = t.dst + t.dst_base + (i * t.groups * t.outs + channel) * t.dst_channel +
                  z * t.dst_stride[0] + y * t.dst_stride[1] + w0 * t.dst_stride[2];
          alignas(64) T bias[n] = {};
          for (int64_t r = 0; t.bias && r < lanes; ++r) bias[r] = t.bias[channel + r];
          for (int64_t p = 0; p < width; p += n) {
            const int64_t columns = min64(n, width - p);
            Vec<T> v[n];
            for (int j = 0; j < n; ++j)
              v[j] = load(from + min64(p + j, width - 1) * outs) + load(bias);
            transpose_square<T>(v);
            if (t.dst_stride[2] == 1) {
              for (int64_t r = 0; r < lanes; ++r)
                store_some(to + r * t.dst_channel + p, v[r], columns);
              continue;
            }
            alignas(64) T line[n];
            for (int64_t r = 0; r < lanes; ++r) {
              store(line, v[r]);
              for (int64_t j = 0; j < columns; ++j)
                to[r * t.dst_channel + (p + j) * t.dst_stride[2]] = line[j];
            }
          }
        }
      }
    }
  }
}

template <class T>
void run_wide(const TapConv<T>& t, const int64_t* kernel) {
  const WideTables w(t.dim);
  const WidePartition p = wide_partition(t, w);
  Scratch<T> weights(t.groups * p.out_tasks * p.outs * t.depth * t.taps);
  pack_wide_weights(t, w, p, kernel, weights.data());
  parallel_for(p.tasks, t.flops() < kSerialFlops ? p.tasks : 1, [&](int64_t begin, int64_t end) {
    Scratch<T> packed(p.strip), acc(p.acc);
    Scratch<int32_t> offset(w.runs());
    for (int64_t i = begin; i < end; ++i) {
      int64_t j = i;
      const int64_t out_task = j % p.out_tasks, m = out_task * p.outs;
      j /= p.out_tasks;
      const int64_t h = j % p.row_tasks * p.rows;
      j /= p.row_tasks;
      const int64_t z = j % p.plane_tasks * p.planes;
      j /= p.plane_tasks;
      const int64_t g = j % t.groups, n = j / t.groups * p.images;
      const TapTask k{g,
                      n,
                      min64(n + p.images, t.batch),
                      z,
                      min64(z + p.planes, t.dim[0].outputs),
                      h,
                      min64(h + p.rows, t.dim[1].outputs),
                      m,
                      min64(m + p.outs, t.outs)};
      const int64_t src_image = t.groups * t.depth * t.src_channel;
      for (int64_t c = 0; c < t.depth; c += p.chunk) {
        const int64_t channels = min64(p.chunk, t.depth - c);
        const WideStrip s = wide_strip(w, t.dim[2].outputs, k.d1 - k.d0, k.h1 - k.h0, channels);
        wide_runs<T>(w, s, offset.data());
        pack_wide(w, t.dim, s, t.src + n * src_image + (g * t.depth + c) * t.src_channel,
                  t.src_channel, src_image, k.n1 - k.n0, z, h, 0, channels, packed.data());
        wide_chunk(t, w, s, k, {w.runs(), w.run_taps() * channels, offset.data()},
                   weights.data() + (g * p.out_tasks + out_task) * p.outs * t.depth * t.taps +
                       c * t.taps * p.outs,
                   packed.data(), acc.data(), p.outs, c > 0);
      }
      write_wide(t, k, 0, t.dim[2].outputs, acc.data(), p.outs);
    }
  });
}

// Vectors of outputs pay off where few lanes stay empty.
template <class T>
bool prefers_wide(int64_t outs) {
  return outs * 4 >= round_up(outs, kLanes<T>) * 3;
}

// ---------------------------------------------------------------------------- weight gradient over tasks

template <class T>
struct WideGrad : GradConv<T> {
  int64_t chunk, chunks;         // channels packed at a time
  int64_t runs, lanes;           // kernel rows; a chunk's numbers in one, padded to whole vectors
  int64_t images, planes, rows;  // a strip's share
  int64_t image_strips, plane_strips, row_strips, slices, out_tasks, task_outs;
  EG_INLINE int64_t strips() const { return image_strips * plane_strips * row_strips; }
  EG_INLINE int64_t partial() const { return this->groups * chunks * runs * this->outs * lanes; }
};

template <class T>
void wide_grad_partition(WideGrad<T>& t, const WideTables& w) {
  const TapDim* d = t.dim;
  t.chunks = max64(1, t.depth / kGradChunk);
  t.chunk = min64(t.depth, round_up(ceil_div(t.depth, t.chunks), kLanes<T>));
  t.chunks = ceil_div(t.depth, t.chunk);
  t.runs = w.runs(), t.lanes = round_up(w.run_taps() * t.chunk, kLanes<T>);
  t.images = 1, t.planes = d[0].outputs, t.rows = d[1].outputs;
  const auto bytes = [&](int64_t images) {
    return images * wide_strip(w, d[2].outputs, t.planes, t.rows, t.chunk).image *
           int64_t(sizeof(T));
  };
  while (t.planes > 1 && bytes(1) > kWideStripBytes) t.planes = (t.planes + 1) / 2;
  while (t.rows > 2 && bytes(1) > kWideStripBytes) t.rows = (t.rows + 1) / 2;
  t.plane_strips = ceil_div(d[0].outputs, t.planes), t.row_strips = ceil_div(d[1].outputs, t.rows);
  while (t.plane_strips * t.row_strips == 1 && t.images * 2 * 8 <= t.batch * t.groups * t.chunks &&
         t.images * 2 <= t.batch && bytes(t.images * 2) <= kWideStripBytes)
    t.images *= 2;
  t.image_strips = ceil_div(t.batch, t.images);
  const int64_t weight_bytes = t.partial() * int64_t(sizeof(T));
  t.slices = max64(1, min64(min64(t.strips(), ceil_div(8, t.groups * t.chunks)),
                            (1 << 20) / max64(1, weight_bytes)));
  const int64_t cells = t.slices * t.groups * t.chunks;
  t.out_tasks = cells >= 8 ? 1 : min64(ceil_div(8, cells), ceil_div(t.outs, 4 * kTileRows<T, 2>));
  t.task_outs = ceil_div(t.outs, t.out_tasks);
  t.out_tasks = ceil_div(t.outs, t.task_outs);
}

// Adds one strip's part of a chunk to out[run][m][lanes].
template <class T>
void wide_strip_grad(const WideGrad<T>& t, const WideTables& w, const TapTask& k,
                     const int32_t* offset, const WideStrip& s, const T* packed, T* out) {
  const int64_t ho = t.dim[1].outputs, wo = t.dim[2].outputs;
  const WideWalk walk{k.n1 - k.n0,
                      k.d1 - k.d0,
                      k.h1 - k.h0,
                      wo,
                      t.groups * t.outs * t.gy_channel,
                      ho * wo,
                      wo,
                      1,
                      t.gy_channel,
                      s.image,
                      w.dim[0].step * s.plane,
                      w.dim[1].step * s.row,
                      w.dim[2].step * s.channels};
  const T* gy =
      t.gy + (k.n0 * t.groups + k.group) * t.outs * t.gy_channel + (k.d0 * ho + k.h0) * wo;
  const int64_t vectors = ceil_div(w.run_taps() * s.channels, kLanes<T>);
  each_block(0, vectors, [&](int64_t v, int64_t block) {
    for (int64_t run = 0; run < t.runs; ++run)
      each_piece(k.m0, k.m1, tile_rows<T>(block), [&](int64_t m, int64_t size) {
        wide_fns<T>(size, block)
            .dot(walk, gy + m * t.gy_channel, packed + offset[run] + v * kLanes<T>,
                 out + (run * t.outs + m) * t.lanes + v * kLanes<T>, t.lanes);
      });
  });
}

// Numbers (column tap, channel) of one kernel row to weights [channel][tap].
template <class T>
void scatter_run(const WideGrad<T>& t, const WideTables& w, const int64_t* kernel, int64_t run,
                 const T* row, int64_t channels, T* to) {
  const int64_t columns = w.dense() ? 1 : w.dim[2].taps;
  const int64_t a = run / columns / w.dim[1].taps, b = run / columns % w.dim[1].taps;
  for (int64_t c = 0; c < w.run_taps(); ++c) {
    const int64_t tap = (w.dim[0].tap[a] * kernel[1] + w.dim[1].tap[b]) * kernel[2] +
                        w.dim[2].tap[w.dense() ? c : run % columns];
    for (int64_t k = 0; k < channels; ++k) to[k * t.taps + tap] = row[c * channels + k];
  }
}

// Sums the slices and puts the weights in order.
template <class T>
void gather_weights(const WideGrad<T>& t, const WideTables& w, const int64_t* kernel, T* partial,
                    T* gw) {
  const int64_t total = t.partial();
  parallel_for(
      t.groups * t.outs, max64(1, kParallelGrain / (t.depth * t.taps)),
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t g = i / t.outs, m = i % t.outs;
          for (int64_t chunk = 0; chunk < t.chunks; ++chunk) {
            for (int64_t run = 0; run < t.runs; ++run) {
              T* row = partial + (((g * t.chunks + chunk) * t.runs + run) * t.outs + m) * t.lanes;
              for (int64_t s = 1; s < t.slices; ++s)
                for (int64_t j = 0; j < t.lanes; ++j) row[j] += row[s * total + j];
              scatter_run(t, w, kernel, run, row, min64(t.chunk, t.depth - chunk * t.chunk),
                          gw + (i * t.depth + chunk * t.chunk) * t.taps);
            }
          }
        }
      });
}

template <class T>
void wide_weight_grad(const GradConv<T>& conv, const int64_t* kernel, T* gw) {
  WideGrad<T> t;
  static_cast<GradConv<T>&>(t) = conv;
  const WideTables w(t.dim);
  wide_grad_partition(t, w);
  const int64_t total = t.partial(), tasks = t.slices * t.groups * t.chunks * t.out_tasks;
  Scratch<T> partial(t.slices * total);
  zero(partial.data(), t.slices * total);
  parallel_for(tasks, t.flops() < kSerialFlops ? tasks : 1, [&](int64_t begin, int64_t end) {
    Scratch<T> packed(t.images * wide_strip(w, t.dim[2].outputs, t.planes, t.rows, t.chunk).image +
                      4 * kLanes<T>);
    Scratch<int32_t> offset(t.runs);
    const int64_t x_image = t.groups * t.depth * t.x_channel;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t m0 = i % t.out_tasks * t.task_outs, m1 = min64(m0 + t.task_outs, t.outs);
      const int64_t chunk = i / t.out_tasks % t.chunks, g = i / t.out_tasks / t.chunks % t.groups;
      const int64_t slice = i / t.out_tasks / t.chunks / t.groups;
      const int64_t c0 = g * t.depth + chunk * t.chunk;
      const int64_t channels = min64(t.chunk, t.depth - chunk * t.chunk);
      T* out = partial.data() + slice * total + (g * t.chunks + chunk) * t.runs * t.outs * t.lanes;
      for (int64_t j = slice * t.strips() / t.slices; j < (slice + 1) * t.strips() / t.slices;
           ++j) {
        const int64_t h = j % t.row_strips * t.rows,
                      z = j / t.row_strips % t.plane_strips * t.planes;
        const int64_t n = j / t.row_strips / t.plane_strips * t.images;
        const TapTask k{g,
                        n,
                        min64(n + t.images, t.batch),
                        z,
                        min64(z + t.planes, t.dim[0].outputs),
                        h,
                        min64(h + t.rows, t.dim[1].outputs),
                        m0,
                        m1};
        const WideStrip s = wide_strip(w, t.dim[2].outputs, k.d1 - k.d0, k.h1 - k.h0, channels);
        wide_runs<T>(w, s, offset.data());
        pack_wide(w, t.dim, s, t.x + n * x_image + c0 * t.x_channel, t.x_channel, x_image,
                  k.n1 - k.n0, z, h, 0, channels, packed.data());
        wide_strip_grad(t, w, k, offset.data(), s, packed.data(), out);
      }
    }
  });
  gather_weights(t, w, kernel, partial.data(), gw);
}

}  // namespace
}  // namespace eg
