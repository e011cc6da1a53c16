// Convolution of bfloat16 by Intel's AMX: Note [Tiles] in amx.h.
//
// Note [Convolution by tiles]. The input is copied as in Note [Flat taps]. What 32 positions read there for two (channel, tap) k is
// interleaved to pairs, which make a panel of tiles:
//     sums[output][position] = w[output][k] * panel[k][position]
// over all k at once, so that each sum is rounded once. The weight gradient sums over positions, whose pairs lie as they should
// where x is copied, and are transposed for gy:
//     sums[k][output] = x[k][position] * gy[position][output]
// A kernel of one number reads x where it lies.
#pragma once

#include "kernels/amx.h"
#include "kernels/conv_flat.h"
#include "kernels/conv_pointwise.h"

#if defined(EG_AMX)

namespace eg {
namespace {

constexpr int64_t kStep = 2 * kPairs;             // numbers summed at a time
constexpr int64_t kTileBytesOfStrip = 512 << 10;  // a strip, or panels, at a time: they stay in L2
constexpr int64_t kTileBytesOfWeights = 512 << 10;  // that stay there beside them
constexpr int64_t kTilePixels = 128;  // planes of fewer are copied, to stand next to each other
constexpr int64_t kTileTasks = 8;     // wanted at least
constexpr int64_t kGradDepth = 576, kGradOuts = 256;  // of a weight gradient's task, at most

EG_INLINE const uint16_t* numbers(const BFloat16* p) {
  return reinterpret_cast<const uint16_t*>(p);
}

// Positions of a strip and the outputs that stand for them. Some positions stand for none.
struct Positions {
  int64_t image, pitch,
      packed_rows;  // positions from image to image, from row to row; rows of an image
  int64_t images, rows, columns;  // that stand for outputs
  int64_t image_to, row_to, column_to;
  int64_t count() const { return (images - 1) * image + (rows - 1) * pitch + columns; }
};

// Outputs `step` numbers apart of some of 32 positions: the first and how many, among all of the 32 that stand for one.
struct Run {
  int64_t to;
  int32_t first, count;
  uint32_t lanes;
};

// Those of 32 positions from p on; returns how many runs. `from`: the positions, one by one.
int64_t find_runs(const Positions& s, int64_t p, Run* runs, uint16_t* from) {
  int64_t n = p / s.image, y = (p - n * s.image) / s.pitch, x = p - n * s.image - y * s.pitch;
  int64_t found = 0, total = 0;
  for (int64_t i = 0; i < kStep; x = 0) {
    const int64_t here = min64(kStep - i, s.pitch - x);
    const int64_t real = n < s.images && y < s.rows ? min64(here, s.columns - x) : 0;
    if (real > 0) {
      const int64_t to = n * s.image_to + y * s.row_to + x * s.column_to;
      if (found == 0 || runs[found - 1].to + runs[found - 1].count * s.column_to != to)
        runs[found++] = {to, int32_t(total), 0, 0};
      runs[found - 1].count += int32_t(real);
      runs[found - 1].lanes |= first_numbers(real) << i;
      for (int64_t j = 0; j < real; ++j) from[total + j] = uint16_t(i + j);
      total += real;
    }
    i += here;
    if (++y == s.packed_rows) y = 0, ++n;
  }
  return found;
}

// The part of a plane's rows that is worked on at a time.
struct TileShare {
  int64_t images, planes, rows, pieces;
  int64_t image_tasks, plane_tasks, row_tasks;
  int64_t tasks() const { return image_tasks * plane_tasks * row_tasks * pieces; }

  // `bytes` of a share; `wanted` shares at least. Halves planes and rows, or takes several images.
  template <class Bytes>
  void choose(const TapDim* d, int64_t batch, int64_t wanted, const Bytes& bytes) {
    images = 1, planes = d[0].outputs, rows = d[1].outputs;
    while (planes > 1 && bytes(*this) > kTileBytesOfStrip) planes = (planes + 1) / 2;
    while (rows > 1 && bytes(*this) > kTileBytesOfStrip) rows = (rows + 1) / 2;
    plane_tasks = ceil_div(d[0].outputs, planes);
    while (rows >= 16 && batch * plane_tasks * ceil_div(d[1].outputs, rows) * pieces * 2 <= wanted)
      rows = (rows + 1) / 2;
    row_tasks = ceil_div(d[1].outputs, rows);
    while (plane_tasks * row_tasks * pieces == 1 && images * 2 * wanted <= batch) {
      images *= 2;
      if (bytes(*this) <= kTileBytesOfStrip) continue;
      images /= 2;
      break;
    }
    image_tasks = ceil_div(batch, images);
  }
  // The i-th, of one group and some outputs.
  TapTask task(int64_t i, const TapDim* d, int64_t batch) const {
    const int64_t h = i % row_tasks * rows, z = i / row_tasks % plane_tasks * planes;
    const int64_t n = i / row_tasks / plane_tasks % image_tasks * images;
    return {0,
            n,
            min64(n + images, batch),
            z,
            min64(z + planes, d[0].outputs),
            h,
            min64(h + rows, d[1].outputs),
            0,
            0};
  }
  int64_t piece(int64_t i) const { return i / (row_tasks * plane_tasks * image_tasks); }
};

EG_INLINE Strip strip_of(const TapDim* d, const TapTask& k) {
  return strip_layout<uint16_t>(d, k.d1 - k.d0, k.h1 - k.h0, k.n1 - k.n0);
}
void pack_strip(const TapDim* d, const Strip& s, const TapTask& k, const BFloat16* src,
                int64_t src_channel, int64_t src_image, int64_t channels, uint16_t* to) {
  for (int64_t c = 0; c < channels; ++c)
    pack_channel(d, s, numbers(src) + k.n0 * src_image + c * src_channel, src_image, k.n1 - k.n0,
                 k.d0, k.h0, to + c * s.channel);
}

// ---------------------------------------------------------------------------- forward, input gradient

// Pairs of (k, k + 1) of 32 positions: a panel's two tiles take every other four.
void gather_panel(const uint16_t* at, const int64_t* offset, int64_t k, __mmask32 lanes,
                  float* panel) {
  const auto store_pair = [&](int64_t i, __m512i a, __m512i b) {
    float* to = panel + i / kPairs * 2 * kTile + i % kPairs * kLines;
    store(to, (Vec<float>)_mm512_maskz_unpacklo_epi16(~__mmask32(0), a, b));
    store(to + kTile, (Vec<float>)_mm512_maskz_unpackhi_epi16(~__mmask32(0), a, b));
  };
  int64_t i = 0;
  for (; 2 * i + 1 < k; ++i)
    store_pair(i, _mm512_maskz_loadu_epi16(lanes, at + offset[2 * i]),
               _mm512_maskz_loadu_epi16(lanes, at + offset[2 * i + 1]));
  const __m512i none = _mm512_setzero_si512();
  if (k % 2) store_pair(i++, _mm512_maskz_loadu_epi16(lanes, at + offset[k - 1]), none);
  for (; i % kPairs; ++i) store_pair(i, none, none);
}
// Where the sum of a position stands.
EG_INLINE uint16_t lane_of(uint16_t position) {
  return uint16_t(position / 8 * 4 + position % 4 + (position & 4 ? kLines : 0));
}

// A panel's positions.
struct Place {
  alignas(64) uint16_t lane[kStep];
  Run run[kStep];
  int64_t runs;
};

// Every other number of `to`, 16 at a time.
EG_INLINE void put_apart(const uint16_t* from, int64_t n, BFloat16* to) {
  for (int64_t j = 0; j < n; j += kLines) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + j));
    _mm512_mask_storeu_epi16(to + 2 * j, first_numbers(2 * (n - j)) & 0x55555555,
                             _mm512_maskz_cvtepu16_epi32(0xffff, v));
  }
}

// sums[rows][32] + bias[rows], rounded.
EG_AMX void write_sums(const float* sums, int64_t rows, const float* bias, const Place& at,
                       BFloat16* to, int64_t to_channel, int64_t step) {
  const __m512i lanes = _mm512_load_si512(at.lane);
  for (int64_t r = 0; r < rows; ++r, sums += kColumns, to += to_channel) {
    const Vec<float> low = load(sums) + bias[r], high = load(sums + kLines) + bias[r];
    const __m512i v = _mm512_maskz_permutexvar_epi16(
        ~__mmask32(0), lanes, (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low));
    alignas(64) uint16_t line[kStep + kLines];
    if (step != 1) _mm512_store_si512(line, v);
    for (int64_t i = 0; i < at.runs; ++i) {
      const Run& run = at.run[i];
      if (step == 1) {
        _mm512_mask_storeu_epi16(to + run.to - run.first, first_numbers(run.count) << run.first, v);
      } else if (step == 2) {
        put_apart(line + run.first, run.count, to + run.to);
      } else {
        for (int64_t j = 0; j < run.count; ++j) to[run.to + j * step].bits = line[run.first + j];
      }
    }
  }
}

class TileConv {
 public:
  TileConv(const TapConv<BFloat16>& conv, const int64_t* kernel_sizes)
      : t(conv),
        kernel(kernel_sizes),
        all_taps(volume(kernel)),
        lies(t.taps == all_taps && t.weight_depth == t.taps && t.weight_out == t.depth * t.taps),
        direct(is_pointwise(t) && t.src_channel >= kTilePixels),
        k(t.depth * t.taps),
        steps(ceil_div(k, kStep)),
        ld((steps | 1) * kStep),  // rows of tiles in different sets of the cache
        weights(t.groups * round_up(t.outs, kLines) * ld),
        bias(t.groups * t.outs) {}

  void run() {
    pack_weights();
    for (int64_t i = 0; i < t.groups * t.outs; ++i)
      bias.data()[i] = t.bias ? to_float(t.bias[i]) : 0;
    const int64_t wanted = ceil_div(kTileTasks, t.groups);
    share.pieces = direct
                       ? min64(ceil_div(t.src_channel, 4 * kTilePixels), ceil_div(wanted, t.batch))
                       : line_pieces(t, sizeof(BFloat16));
    if (direct) {
      share.images = share.planes = share.rows = share.plane_tasks = share.row_tasks = 1;
      share.image_tasks = t.batch;
    } else {
      share.choose(t.dim, t.batch, wanted, [&](const TileShare& s) {
        return strip_layout<uint16_t>(t.dim, s.planes, s.rows, s.images).channel * t.depth /
               s.pieces * 2;
      });
    }
    const int64_t cells = share.tasks() * t.groups;
    const int64_t out_tasks =
        cells >= kTileTasks ? 1
                            : min64(ceil_div(kTileTasks, cells), ceil_div(t.outs, 4 * kColumns));
    const int64_t outs = round_up(ceil_div(t.outs, out_tasks), kColumns), tasks = cells * out_tasks;
    parallel_for(tasks, t.flops() < kSerialFlops ? tasks : 1, [&](int64_t begin, int64_t end) {
      configure_tiles();
      for (int64_t i = begin; i < end; ++i) {
        const int64_t j = i / out_tasks / t.groups;
        TapTask task = share.task(j, t.dim, t.batch);
        task.group = i / out_tasks % t.groups;
        task.m0 = min64(t.outs, i % out_tasks * outs), task.m1 = min64(t.outs, task.m0 + outs);
        direct ? run_direct(task, share.piece(j)) : run_strip(task, share.piece(j));
      }
      release_tiles();
    });
  }

 private:
  const TapConv<BFloat16>& t;
  const int64_t* kernel;
  const int64_t all_taps;
  const bool
      lies;  // the weights of an output as sums want them: k = (channel, tap), else (tap, channel)
  const bool direct;  // x, without a copy
  const int64_t k, steps, ld;
  Scratch<BFloat16> weights;  // [group][output][k]
  Scratch<float> bias;
  TileShare share;

  BFloat16* weights_of(int64_t group, int64_t out) {
    return weights.data() + (group * round_up(t.outs, kLines) + out) * ld;
  }

  template <class Visit>
  void for_taps(const Visit& visit) const {
    for (int64_t z = 0; z < t.dim[0].taps; ++z)
      for (int64_t y = 0; y < t.dim[1].taps; ++y)
        for (int64_t x = 0; x < t.dim[2].taps; ++x) visit(z, y, x);
  }

  void pack_weights() {
    Scratch<int64_t> place(all_taps);  // of a tap among those that are used
    for (int64_t i = 0; i < all_taps; ++i) place.data()[i] = -1;
    int64_t used = 0;
    for_taps([&](int64_t z, int64_t y, int64_t x) {
      const TapDim* d = t.dim;
      place.data()[(d[0].tap[z] * kernel[1] + d[1].tap[y]) * kernel[2] + d[2].tap[x]] = used++;
    });
    for (int64_t g = 0; g < t.groups; ++g) {
      const BFloat16* from = t.weights + g * t.weight_group;
      for (int64_t m = 0; m < t.outs; ++m) {
        BFloat16* to = weights_of(g, m);
        if (lies) memcpy(to, from + m * t.weight_out, size_t(k) * sizeof(BFloat16));
        memset(static_cast<void*>(to + k), 0, size_t(steps * kStep - k) * sizeof(BFloat16));
      }
      if (!lies) transpose_weights(from, g, place.data());
    }
  }
  // [channel][output][tap] to [output][tap][channel]
  void transpose_weights(const BFloat16* from, int64_t g, const int64_t* place) {
    const int64_t lines = t.outs * all_taps;
    const Side side{from, t.weight_depth, false, lines, t.depth};
    alignas(64) float tile[kTile];
    for (int64_t c = 0; c < t.depth; c += kStep) {
      const __mmask32 real = first_numbers(t.depth - c);
      for (int64_t j = 0; j < lines; j += kLines) {
        pack<true>(side, j, c, tile);
        int64_t m = j / all_taps, tap = j - m * all_taps;
        for (int64_t r = 0; r < min64(kLines, lines - j); ++r) {
          if (place[tap] >= 0)
            _mm512_mask_storeu_epi16(weights_of(g, m) + place[tap] * t.depth + c, real,
                                     (__m512i)load(tile + r * kPairs));
          if (++tap == all_taps) tap = 0, ++m;
        }
      }
    }
  }

  BFloat16* output(const TapConv<BFloat16>& c, const TapTask& task, int64_t m) const {
    return c.dst + c.dst_base +
           (task.n0 * c.groups * c.outs + task.group * c.outs + m) * c.dst_channel +
           task.d0 * c.dst_stride[0] + task.h0 * c.dst_stride[1];
  }
  int64_t image_to() const { return t.groups * t.outs * t.dst_channel; }

  // `offset` of each k from a position on.
  void multiply(const Positions& s, const uint16_t* at, const int64_t* offset, const TapTask& task,
                BFloat16* to, float* panels, Place* places, int64_t together) {
    const int64_t count = s.count(), panel = steps * 2 * kTile;
    alignas(64) float sums[kColumns * kColumns];
    uint16_t from[kStep] = {};
    for (int64_t first = 0; first < count; first += together * kStep) {
      const int64_t here = min64(together, ceil_div(count - first, kStep));
      for (int64_t b = 0; b < here; ++b) {
        const int64_t p = first + b * kStep;
        Place& place = places[b];
        place.runs = find_runs(s, p, place.run, from);
        for (int64_t j = 0; j < kStep; ++j) place.lane[j] = lane_of(from[j]);
        gather_panel(at + p, offset, k, first_numbers(count - p), panels + b * panel);
      }
      for (int64_t m = task.m0; m < task.m1; m += kColumns) {
        const int64_t rows = min64(kColumns, task.m1 - m);
        const Strip32 a = rows_of_tiles(weights_of(task.group, m), ld);
        for (int64_t b = 0; b < here; ++b) {
          if (places[b].runs == 0) continue;
          sum_tiles(a, panels + b * panel, steps, rows <= kLines, sums);
          write_sums(sums, rows, bias.data() + task.group * t.outs + m, places[b],
                     to + (m - task.m0) * t.dst_channel, t.dst_channel, s.column_to);
        }
      }
    }
  }
  int64_t panels_together(int64_t count) const {
    const bool small = t.outs * ld * 2 <= kTileBytesOfWeights;
    return small
               ? 1
               : max64(1, min64(ceil_div(count, kStep), kTileBytesOfStrip / (steps * kStep * 64)));
  }

  void run_direct(const TapTask& task, int64_t piece) {
    const int64_t pixels = t.src_channel, size = round_up(ceil_div(pixels, share.pieces), kStep);
    const int64_t first = min64(pixels, piece * size), n = min64(size, pixels - first);
    if (n <= 0) return;
    const int64_t together = panels_together(n);
    Scratch<float> panels(together * steps * 2 * kTile);
    Scratch<Place> places(together);
    Scratch<int64_t> offset(k);
    for (int64_t c = 0; c < k; ++c) offset.data()[c] = c * pixels;
    const uint16_t* from =
        numbers(t.src) + (task.n0 * t.groups + task.group) * t.depth * pixels + first;
    multiply({n, n, 1, 1, 1, n, 0, 0, 1}, from, offset.data(), task,
             output(t, task, task.m0) + first, panels.data(), places.data(), together);
  }

  void run_strip(const TapTask& task, int64_t piece) {
    TapConv<BFloat16> c = t;
    Scratch<int64_t> shift(t.dim[2].taps);
    if (share.pieces > 1) {
      const int64_t all = t.dim[2].outputs, first = piece * all / share.pieces;
      c.src += cut_line(c.dim[2], first, (piece + 1) * all / share.pieces, shift.data());
      c.dst_base += first * c.dst_stride[2];
    }
    const Strip s = strip_of(c.dim, task);
    const int64_t images = task.n1 - task.n0, planes = task.d1 - task.d0;
    Positions one{s.image,    s.pitch,           s.rows,
                  1,          task.h1 - task.h0, c.dim[2].outputs,
                  image_to(), c.dst_stride[1],   c.dst_stride[2]};
    Positions all = one;
    all.images = images;
    const bool joined = planes == 1 && s.planes == 1 &&
                        ceil_div(all.count(), kStep) < images * ceil_div(one.count(), kStep);
    const Positions& positions = joined ? all : one;
    const int64_t together = panels_together(positions.count());
    Scratch<uint16_t> packed(s.channel * t.depth);
    Scratch<float> panels(together * steps * 2 * kTile);
    Scratch<Place> places(together);
    Scratch<int64_t> offset(k);
    int64_t tap = 0;
    for_taps([&](int64_t z, int64_t y, int64_t x) {
      const int64_t at = tap_offset(c.dim, s, z, y, x);
      for (int64_t i = 0; i < t.depth; ++i)
        offset.data()[lies ? i * t.taps + tap : tap * t.depth + i] = i * s.channel + at;
      ++tap;
    });
    pack_strip(c.dim, s, task, c.src + task.group * t.depth * t.src_channel, t.src_channel,
               t.groups * t.depth * t.src_channel, t.depth, packed.data());
    BFloat16* to = output(c, task, task.m0);
    for (int64_t n = 0; n < (joined ? 1 : images); ++n)
      for (int64_t z = 0; z < planes; ++z)
        multiply(positions, packed.data() + n * s.image + z * s.plane, offset.data(), task,
                 to + n * image_to() + z * c.dst_stride[0], panels.data(), places.data(), together);
  }
};

// ---------------------------------------------------------------------------- weight gradient

// 32 positions that a sum over positions takes at a time.
struct GradStep {
  int64_t x;  // the first's
  int64_t run, runs;
  uint32_t lanes;
};

// [line][32 positions] of 32 lines as rows of tiles, one panel a step.
void gather_lines(const uint16_t* at, const int64_t* offset, int64_t lines, const GradStep* steps,
                  int64_t count, float* panel) {
  for (int64_t i = 0; i < count; ++i, panel += 2 * kTile)
    for (int64_t r = 0; r < lines; ++r)
      store(panel + r * kPairs,
            (Vec<float>)_mm512_maskz_loadu_epi16(steps[i].lanes, at + steps[i].x + offset[r]));
}
// The outputs' own lines, transposed to tiles of pairs.
EG_AMX void transpose_lines(const uint16_t* at, int64_t channel, int64_t lines,
                            const GradStep* steps, int64_t count, const Run* runs, float* panel) {
  for (int64_t i = 0; i < count; ++i)
    for (int64_t half = 0; half < kColumns; half += kLines, panel += kTile) {
      Vec<float> v[kLines];
      for (int64_t r = 0; r < kLines; ++r) {
        __m512i line = _mm512_setzero_si512();
        for (int64_t j = steps[i].run; half + r < lines && j < steps[i].run + steps[i].runs; ++j)
          line = _mm512_mask_expand_epi16(
              line, runs[j].lanes,
              _mm512_maskz_loadu_epi16(first_numbers(runs[j].count),
                                       at + (half + r) * channel + runs[j].to));
        v[r] = (Vec<float>)line;
      }
      transpose_square<float>(v);
#pragma GCC unroll 16
      for (int64_t r = 0; r < kLines; ++r) store(panel + r * kPairs, v[r]);
    }
}

// A block of sums, rounded to to[line * line_to + column * column_to], one of which is 1.
EG_AMX void write_block(const float* sums, int64_t lines, int64_t columns, BFloat16* to,
                        int64_t line_to, int64_t column_to) {
  for (int64_t i = 0; i < lines; i += kLines)
    for (int64_t j = 0; j < columns; j += kLines) {
      Vec<float> v[kLines];
#pragma GCC unroll 16
      for (int64_t r = 0; r < kLines; ++r) v[r] = load(sums + (i + r) * kColumns + j);
      const bool across = column_to != 1;
      if (across) transpose_square<float>(v);
      const int64_t rows = min64(kLines, across ? columns - j : lines - i);
      const __mmask16 real = first_lanes(across ? lines - i : columns - j);
      BFloat16* at = to + i * line_to + j * column_to;
      for (int64_t r = 0; r < rows; ++r, at += across ? column_to : line_to)
        _mm256_mask_storeu_epi16(at, real, (__m256i)_mm512_cvtneps_pbh((__m512)v[r]));
    }
}

class TileGrad {
 public:
  explicit TileGrad(const GradConv<BFloat16>& conv)
      : t(conv),
        direct(is_pointwise(t.dim) && t.x_channel >= kTilePixels),
        swapped(direct && t.outs > t.depth) {
    if (!swapped) return;
    exchange_values(t.x, t.gy);
    exchange_values(t.depth, t.outs);
  }

  void run(BFloat16* gw) {
    choose();
    const int64_t blocks = chunks * chunk_blocks * out_tasks * task_blocks;  // of a group
    const int64_t total = t.groups * blocks * kBlock;
    Scratch<float> partial(slices * total);
    const int64_t tasks = slices * t.groups * chunks * out_tasks;
    const bool serial = t.flops() < kSerialFlops;
    parallel_for(tasks, serial ? tasks : 1, [&](int64_t begin, int64_t end) {
      configure_tiles();
      for (int64_t i = begin; i < end; ++i) {
        const int64_t cell = i % (t.groups * chunks * out_tasks),
                      slice = i / (t.groups * chunks * out_tasks);
        float* sums = partial.data() + slice * total + cell * chunk_blocks * task_blocks * kBlock;
        const int64_t first = slice * share.tasks() / slices,
                      last = (slice + 1) * share.tasks() / slices;
        for (int64_t j = first; j < last; ++j) add_strip(cell, j, j > first, sums);
      }
      release_tiles();
    });
    const int64_t cells = t.groups * chunks * out_tasks;
    parallel_for(cells, serial ? cells : 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) write(i, partial.data(), total, gw);
    });
  }

 private:
  static constexpr int64_t kBlock = kColumns * kColumns;
  GradConv<BFloat16> t;
  const bool direct;   // x, without a copy
  const bool swapped;  // what is fewer is transposed
  TileShare share;
  int64_t chunk, chunks, out_tasks, task_outs, chunk_blocks, task_blocks, slices;

  template <class T>
  static void exchange_values(T& a, T& b) {
    const T c = a;
    a = b, b = c;
  }

  void choose() {
    out_tasks = ceil_div(t.outs, kGradOuts);
    task_outs = round_up(ceil_div(t.outs, out_tasks), kColumns);
    out_tasks = ceil_div(t.outs, task_outs), task_blocks = task_outs / kColumns;
    chunks = ceil_div(t.depth, max64(1, kGradDepth / t.taps));
    chunk = ceil_div(t.depth, chunks), chunks = ceil_div(t.depth, chunk);
    chunk_blocks = ceil_div(chunk * t.taps, kColumns);
    const int64_t cells = t.groups * chunks * out_tasks;
    const int64_t wanted = ceil_div(kTileTasks, cells);
    if (direct) {
      share.planes = share.rows = share.plane_tasks = share.row_tasks = 1;
      const int64_t most = kTileBytesOfStrip / (task_outs * 2);
      share.pieces =
          max64(ceil_div(t.x_channel, most),
                min64(ceil_div(t.x_channel, 4 * kTilePixels), ceil_div(wanted, t.batch)));
      share.images = share.pieces > 1 ? 1 : max64(1, min64(most / t.x_channel, t.batch / wanted));
      share.image_tasks = ceil_div(t.batch, share.images);
    } else {
      share.pieces = line_pieces(t, sizeof(BFloat16));
      share.choose(t.dim, t.batch, wanted, [&](const TileShare& s) {
        const Strip strip = strip_layout<uint16_t>(t.dim, s.planes, s.rows, s.images);
        const int64_t flat = s.images * s.planes * s.rows * strip.pitch;
        return max64(strip.channel * chunk, flat * task_outs) / s.pieces * 2;
      });
    }
    slices = min64(share.tasks(), wanted);
  }

  int64_t outs_of(int64_t cell) const {
    return min64(task_outs, t.outs - cell % out_tasks * task_outs);
  }
  int64_t channels_of(int64_t cell) const {
    return min64(chunk, t.depth - cell / out_tasks % chunks * chunk);
  }

  // The positions of a strip, 32 at a time; returns how many steps.
  static int64_t find_steps(const Positions& s, int64_t x, int64_t gy, GradStep* steps, Run* runs,
                            int64_t* used) {
    uint16_t from[kStep];
    int64_t found = 0;
    for (int64_t p = 0; p < s.count(); p += kStep) {
      GradStep& step = steps[found];
      step = {x + p, *used, find_runs(s, p, runs + *used, from), 0};
      for (int64_t j = *used; j < *used + step.runs; ++j) {
        step.lanes |= runs[j].lanes;
        runs[j].to += gy;
      }
      *used += step.runs;
      if (step.runs) ++found;
    }
    return found;
  }

  void add_strip(int64_t cell, int64_t strip_index, bool add, float* sums) {
    const int64_t g = cell / out_tasks / chunks, channels = channels_of(cell), outs = outs_of(cell);
    const int64_t c0 = cell / out_tasks % chunks * chunk, m0 = cell % out_tasks * task_outs;
    const int64_t x_image = t.groups * t.depth * t.x_channel,
                  gy_image = t.groups * t.outs * t.gy_channel;
    const int64_t piece = share.piece(strip_index), k = channels * t.taps;
    const uint16_t* x = numbers(t.x) + (g * t.depth + c0) * t.x_channel;
    const uint16_t* gy = numbers(t.gy) + (g * t.outs + m0) * t.gy_channel;
    TapDim d[3] = {t.dim[0], t.dim[1], t.dim[2]};
    Scratch<int64_t> shift(d[2].taps), offset(k);
    TapTask task;
    Strip s = {};
    Positions one = {}, all = {};
    if (direct) {
      const int64_t n0 = strip_index % share.image_tasks * share.images;
      const int64_t size = round_up(ceil_div(t.x_channel, share.pieces), kStep);
      const int64_t first = min64(t.x_channel, piece * size), n = min64(size, t.x_channel - first);
      task = {g, n0, min64(n0 + share.images, t.batch), 0, 1, 0, 1, 0, 0};
      one = {max64(n, 1), max64(n, 1), 1, 1, 1, n, 0, 0, 1};
      x += n0 * x_image + first, gy += n0 * gy_image + first;
      for (int64_t c = 0; c < k; ++c) offset.data()[c] = c * t.x_channel;
      s.image = x_image, s.planes = 1;
    } else {
      task = share.task(strip_index, d, t.batch);
      const BFloat16* from = t.x + (g * t.depth + c0) * t.x_channel;
      if (share.pieces > 1) {
        const int64_t outputs = d[2].outputs, first = piece * outputs / share.pieces;
        from += cut_line(d[2], first, (piece + 1) * outputs / share.pieces, shift.data());
        gy += first;
      }
      s = strip_of(d, task);
      gy += task.n0 * gy_image + task.d0 * t.dim[1].outputs * t.dim[2].outputs +
            task.h0 * t.dim[2].outputs;
      one = {s.image,      s.pitch,  s.rows,           1, task.h1 - task.h0,
             d[2].outputs, gy_image, t.dim[2].outputs, 1};
      x = numbers(from);
      int64_t tap = 0;
      for (int64_t a = 0; a < d[0].taps; ++a)
        for (int64_t b = 0; b < d[1].taps; ++b)
          for (int64_t e = 0; e < d[2].taps; ++e, ++tap) {
            const int64_t at = tap_offset(d, s, a, b, e);
            for (int64_t c = 0; c < channels; ++c)
              offset.data()[c * t.taps + tap] = c * s.channel + at;
          }
    }
    Scratch<uint16_t> packed(direct ? 0 : s.channel * channels);
    if (!direct) {
      pack_strip(d, s, task, reinterpret_cast<const BFloat16*>(x), t.x_channel, x_image, channels,
                 packed.data());
      x = packed.data();
    }
    const int64_t images = task.n1 - task.n0, planes = task.d1 - task.d0;
    all = one, all.images = images;
    const bool joined = !direct && planes == 1 && s.planes == 1 &&
                        ceil_div(all.count(), kStep) < images * ceil_div(one.count(), kStep);
    const int64_t most =
        joined ? ceil_div(all.count(), kStep) : images * planes * ceil_div(one.count(), kStep);
    Scratch<GradStep> steps(most);
    Scratch<Run> runs(most * kStep);
    int64_t count = 0, used = 0;
    for (int64_t n = 0; n < (joined ? 1 : images); ++n)
      for (int64_t z = 0; z < planes; ++z)
        count += find_steps(joined ? all : one, n * s.image + z * s.plane,
                            n * gy_image + z * t.dim[1].outputs * t.dim[2].outputs,
                            steps.data() + count, runs.data(), &used);
    const int64_t panel = count * 2 * kTile;
    Scratch<float> right(task_blocks * panel), left(panel);
    for (int64_t m = 0; m < outs; m += kColumns)
      transpose_lines(gy + m * t.gy_channel, t.gy_channel, min64(kColumns, outs - m), steps.data(),
                      count, runs.data(), right.data() + m / kColumns * panel);
    alignas(64) float fresh[kBlock];
    for (int64_t i = 0; i < k; i += kColumns) {
      const int64_t lines = min64(kColumns, k - i);
      gather_lines(x, offset.data() + i, lines, steps.data(), count, left.data());
      for (int64_t m = 0; m < outs; m += kColumns) {
        float* to = sums + (i / kColumns * task_blocks + m / kColumns) * kBlock;
        sum_tiles(packed_tiles(left.data()), right.data() + m / kColumns * panel, count,
                  lines <= kLines, add ? fresh : to);
        for (int64_t j = 0; add && j < round_up(lines, kLines) * kColumns; j += kLanes<float>)
          store(to + j, load(to + j) + load(fresh + j));
      }
    }
  }

  // Sums the slices of a cell and puts the weights in order.
  void write(int64_t cell, float* sums, int64_t total, BFloat16* gw) {
    const int64_t g = cell / out_tasks / chunks, k0 = cell / out_tasks % chunks * chunk * t.taps;
    const int64_t m0 = cell % out_tasks * task_outs, k = channels_of(cell) * t.taps,
                  outs = outs_of(cell);
    const int64_t line_to = swapped ? t.outs : 1, column_to = swapped ? 1 : t.depth * t.taps;
    gw += g * t.outs * t.depth * t.taps;
    for (int64_t i = 0; i < k; i += kColumns)
      for (int64_t m = 0; m < outs; m += kColumns) {
        const int64_t block = (cell * chunk_blocks + i / kColumns) * task_blocks + m / kColumns;
        float* all = sums + block * kBlock;
        const int64_t lines = min64(kColumns, k - i);
        for (int64_t slice = 1; slice < slices; ++slice)
          for (int64_t j = 0; j < lines * kColumns; j += kLanes<float>)
            store(all + j, load(all + j) + load(all + slice * total + j));
        write_block(all, lines, min64(kColumns, outs - m),
                    gw + (k0 + i) * line_to + (m0 + m) * column_to, line_to, column_to);
      }
  }
};

}  // namespace
}  // namespace eg

#endif
