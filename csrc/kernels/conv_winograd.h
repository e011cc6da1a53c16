// Convolution of three by three taps with fewer multiplications.
//
// Note [Winograd]. Two by two outputs of a kernel w of 3x3 taps read four by four inputs d. Winograd's F(2x2, 3x3),
//     out = A^T [(G w G^T) * (B^T d B)] A
// (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016), multiplies 16 numbers where the sums over taps multiply
// 36. Over channels these are 16 matrix products,
//     M[i][tile][output] = V[i][tile][channel] U[i][channel][output].
// The weight gradient is the transpose with respect to w, with the same V:
//     G^T [sum over tiles of (A gy A^T) * (B^T d B)] G.
// The transforms add and halve, so errors are those of the direct sums, small integers are exact, and a number that is not finite
// reaches its windows only. But it can come out as NaN where the sum over taps is infinite: such a convolution is computed anew by taps.
#pragma once

#include "kernels/conv_wide.h"

namespace eg {
namespace {

constexpr int kProducts = 16;
// Tiles and channels that pay for transforming the weights, and weights that leave room for it.
constexpr int64_t kWinogradTiles = 32, kWinogradChannels = 32 * 32;
constexpr int64_t kWinogradWeightBytes = 96 << 20;
constexpr int64_t kWinogradBytes = 768 << 10;  // of a task's tiles
constexpr int64_t kSumBytes = 4 << 20;         // of the sums of a weight gradient's slices
// A thread's share of a block on which all threads work.
constexpr int64_t kPartVectors = 4, kPartChannels = 64, kPartOuts = 128;
constexpr int64_t kPartTiles = 64;  // rows of tiles whose pages the processor knows by heart

// ---------------------------------------------------------------------------- transforms of four numbers in a line

struct InputLine {  // B^T
  template <class V>
  EG_INLINE void operator()(const V (&d)[4], V (&to)[4]) const {
    to[0] = d[0] - d[2], to[1] = d[1] + d[2], to[2] = d[2] - d[1], to[3] = d[1] - d[3];
  }
};
struct WeightLine {  // G
  template <class V>
  EG_INLINE void operator()(const V (&w)[3], V (&to)[4]) const {
    const V outer = (w[0] + w[2]) * 0.5f, inner = w[1] * 0.5f;
    to[0] = w[0], to[1] = outer + inner, to[2] = outer - inner, to[3] = w[2];
  }
};
struct OutputLine {  // A^T
  template <class V>
  EG_INLINE void operator()(const V (&m)[4], V (&to)[2]) const {
    to[0] = m[0] + m[1] + m[2], to[1] = m[1] - m[2] - m[3];
  }
};
struct OutputGradLine {  // A
  template <class V>
  EG_INLINE void operator()(const V (&g)[2], V (&to)[4]) const {
    to[0] = g[0], to[1] = g[0] + g[1], to[2] = g[0] - g[1], to[3] = -g[1];
  }
};
struct WeightGradLine {  // G^T
  template <class V>
  EG_INLINE void operator()(const V (&u)[4], V (&to)[3]) const {
    const V outer = (u[1] + u[2]) * 0.5f;
    to[0] = u[0] + outer, to[1] = (u[1] - u[2]) * 0.5f, to[2] = outer + u[3];
  }
};

// The transform of each column, as a row.
template <class Line, class V, int N, int columns, int M>
EG_INLINE void each_column(const V (&from)[N][columns], V (&to)[columns][M]) {
#pragma GCC unroll 4
  for (int j = 0; j < columns; ++j) {
    V column[N];
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) column[i] = from[i][j];
    Line{}(column, to[j]);
  }
}
// Of columns, then of rows.
template <class Line, class V, int N, int M>
EG_INLINE void both_ways(const V (&from)[N][N], V (&to)[M][M]) {
  V half[N][M];
  each_column<Line>(from, half);
  each_column<Line>(half, to);
}

// In float32 alone: the text of float64 would be as long.
typedef Vec<float> Vector;
constexpr int64_t L = kLanes<float>;
constexpr int64_t kLine = 64 / int64_t(sizeof(float));  // of the cache

EG_INLINE bool all_zero(Vector v) {
  for (int l = 0; l < L; ++l)
    if (v[l] != 0) return false;  // NaN too
  return true;
}

// ---------------------------------------------------------------------------- tiles

// [product][image][plane][tile][channel], channels padded to whole vectors.
struct TileArray {
  int64_t channels, plane, image, product;
  EG_INLINE int64_t size() const { return kProducts * product; }
};

// Some images, or some planes and rows of tiles of one.
struct TileBlock {
  int64_t images, planes, rows, columns;
  int64_t n, z, y, x;  // the first image, plane, row and column of outputs
  EG_INLINE int64_t tiles() const { return rows * columns; }
};

// Whole vectors; of many, an odd number, that rows do not meet in a few sets of the cache.
int64_t padded_row(int64_t channels) {
  const int64_t vectors = ceil_div(channels, L);
  return (vectors < 8 ? vectors : vectors | 1) * L;
}

TileArray tile_array(const TileBlock& b, int64_t planes, int64_t channels) {
  TileArray a;
  a.channels = padded_row(channels), a.plane = b.tiles() * a.channels;
  a.image = planes * a.plane;
  // a line of the cache more, that the 16 do not meet in one set of it
  a.product = b.images * a.image + kLine;
  return a;
}

// A convolution's outputs as blocks of tiles, `numbers` of which fit in cache and which are `wanted` at the least.
struct TileGrid {
  const TapDim* d;
  int64_t batch;
  TileBlock block;
  int64_t images, planes, rows, columns;  // blocks

  // numbers(block): a block's for each product
  template <class F>
  TileGrid(const TapDim* dims, int64_t all_images, int64_t wanted, int64_t fits, F numbers)
      : d(dims), batch(all_images) {
    const int64_t height = ceil_div(d[1].outputs, 2), width = ceil_div(d[2].outputs, 2);
    block = {1, d[0].outputs, height, width, 0, 0, 0, 0};
    const auto halve = [](int64_t& n) { n = (n + 1) / 2; };
    while (block.planes > 1 && numbers(block) > fits) halve(block.planes);
    while (block.tiles() > 1 && numbers(block) > fits)
      halve(block.columns > 2 * block.rows ? block.columns : block.rows);
    planes = ceil_div(d[0].outputs, block.planes);
    rows = ceil_div(height, block.rows), columns = ceil_div(width, block.columns);
    while (planes * rows * columns == 1 && block.images * 2 * wanted <= batch) {
      TileBlock twice = block;
      twice.images *= 2;
      if (numbers(twice) > fits) break;
      block = twice;
    }
    images = ceil_div(batch, block.images);
  }
  EG_INLINE int64_t count() const { return images * planes * rows * columns; }
  TileBlock at(int64_t i) const {
    TileBlock b = block;
    b.x = i % columns * 2 * block.columns, i /= columns;
    b.y = i % rows * 2 * block.rows, i /= rows;
    b.z = i % planes * block.planes, i /= planes;
    b.n = i * block.images;
    b.images = min64(block.images, batch - b.n);
    b.planes = min64(block.planes, d[0].outputs - b.z);
    b.rows = min64(block.rows, ceil_div(d[1].outputs - b.y, 2));
    b.columns = min64(block.columns, ceil_div(d[2].outputs - b.x, 2));
    return b;
  }
};

// f(inputs' first number, outputs' first number, tiles) for the tiles of each plane of outputs, which follow each other.
template <class F>
EG_INLINE void each_plane(const TileBlock& b, int64_t step, const TileArray& in,
                          const TileArray& out, F f) {
  if (in.image == in.plane) return f(0, 0, b.images * b.tiles());
  for (int64_t n = 0; n < b.images; ++n)
    for (int64_t z = 0; z < b.planes; ++z)
      f(n * in.image + z * step * in.plane, n * out.image + z * out.plane, b.tiles());
}

// f(strip's numbers, array's numbers) for each row of tiles and vector of channels.
template <class F>
EG_INLINE void each_tile_row(const TileBlock& b, const WideStrip& s, const float* packed,
                             const TileArray& a, float* to, F f) {
  for (int64_t n = 0; n < b.images; ++n)
    for (int64_t z = 0; z < s.planes; ++z)
      for (int64_t y = 0; y < b.rows; ++y)
        for (int64_t c = 0; c < s.channels; c += L)
          f(packed + n * s.image + z * s.plane + 2 * y * s.row + c,
            to + n * a.image + z * a.plane + y * b.columns * a.channels + c);
}

// B^T d B of a packed strip; its tiles overlap by two columns.
void input_tiles(const TileBlock& b, const WideStrip& s, const float* packed, const TileArray& a,
                 float* to) {
  each_tile_row(b, s, packed, a, to, [&](const float* from, float* at) {
    const auto column = [&](int64_t x, Vector(&v)[4]) {
      Vector d[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) d[i] = load(from + i * s.row + x * s.channels);
      InputLine{}(d, v);
    };
    Vector v[4][4];  // [column][product's row]
    column(0, v[0]), column(1, v[1]);
    for (int64_t x = 0; x < b.columns; ++x, at += a.channels) {
      column(2 * x + 2, v[2]), column(2 * x + 3, v[3]);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const Vector row[4] = {v[0][i], v[1][i], v[2][i], v[3][i]};
        Vector product[4];
        InputLine{}(row, product);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) store(at + (4 * i + j) * a.product, product[j]);
        v[0][i] = v[2][i], v[1][i] = v[3][i];
      }
    }
  });
}

// A gy A^T of a packed strip.
void output_grad_tiles(const TileBlock& b, const WideStrip& s, const float* packed,
                       const TileArray& a, float* to) {
  each_tile_row(b, s, packed, a, to, [&](const float* from, float* at) {
    for (int64_t x = 0; x < b.columns; ++x, at += a.channels, from += 2 * s.channels) {
      const Vector g[2][2] = {{load(from), load(from + s.channels)},
                              {load(from + s.row), load(from + s.row + s.channels)}};
      Vector product[4][4];
      both_ways<OutputGradLine>(g, product);
#pragma GCC unroll 16
      for (int i = 0; i < kProducts; ++i) store(at + i * a.product, product[i / 4][i % 4]);
    }
  });
}

// Tiles of a block of channel-first images, of which `tables` and `d` say where outputs read them. By pieces of channels, which stay in
// cache.
template <class F>
void read_tiles(const WideTables& tables, const TapDim* d, const TileBlock& b, const float* src,
                int64_t src_channel, int64_t src_image, int64_t depth, const TileArray& a,
                float* to, F transform) {
  const auto strip = [&](int64_t channels) {
    return wide_strip(tables, 2 * b.columns, b.planes, 2 * b.rows, channels);
  };
  const int64_t pixels = b.images * strip(1).image;
  const int64_t fits = kWideStripBytes / (pixels * int64_t(sizeof(float)));
  const int64_t chunk = min64(depth, max64(1, fits / L) * L);
  Scratch<float> packed(pixels * chunk + L);
  for (int64_t c = 0; c < depth; c += chunk) {
    const int64_t channels = min64(chunk, depth - c);
    const WideStrip s = strip(channels);
    pack_wide(tables, d, s, src + b.n * src_image + c * src_channel, src_channel, src_image,
              b.images, b.z, b.y, b.x, channels, packed.data());
    zero(packed.data() + pixels * channels, L);  // read as lanes of the last pixel
    transform(b, s, packed.data(), a, to + c);
  }
}

// Outputs [image][plane][row][column][channel] of M, `height` rows of `width`, of which the first `outs` channels are real. False if one
// is not finite.
bool output_tiles(const TileBlock& b, const TileArray& m, int64_t outs, const float* from,
                  int64_t height, int64_t width, float* to) {
  Vector bad = {};
  for (int64_t plane = 0; plane < b.images * b.planes; ++plane, to += height * width * m.channels)
    for (int64_t y = 0; y < b.rows; ++y)
      for (int64_t x = 0; x < b.columns; ++x)
        for (int64_t c = 0; c < outs; c += L) {
          const float* at = from + plane * m.plane + (y * b.columns + x) * m.channels + c;
          Vector product[4][4], out[2][2];
#pragma GCC unroll 16
          for (int i = 0; i < kProducts; ++i) product[i / 4][i % 4] = load(at + i * m.product);
          both_ways<OutputLine>(product, out);
          float* corner = to + (2 * y * width + 2 * x) * m.channels + c;
#pragma GCC unroll 2
          for (int i = 0; i < 2; ++i)
#pragma GCC unroll 2
            for (int j = 0; j < 2; ++j) {
              if (2 * y + i >= height || 2 * x + j >= width) continue;
              store(corner + (i * width + j) * m.channels, out[i][j]);
              bad += out[i][j] * 0.0f;
            }
        }
  return all_zero(bad);
}

// ---------------------------------------------------------------------------- forward over tasks

// Rows and columns of three neighbouring taps, a stride of one, enough channels and tiles, and weights that leave room for 16 products.
template <class Conv>
bool prefers_winograd(const Conv& t) {
  const TapDim* d = t.dim;
  for (int i = 1; i < 3; ++i)
    if (d[i].taps != 3 || d[i].step != 1 || d[i].high - d[i].low != 2 || d[i].outputs < 2)
      return false;
  const int64_t tiles =
      t.batch * d[0].outputs * ceil_div(d[1].outputs, 2) * ceil_div(d[2].outputs, 2);
  return min64(t.depth, t.outs) >= L && t.depth * t.outs >= kWinogradChannels &&
         prefers_wide<float>(t.outs) && tiles >= kWinogradTiles &&
         t.groups * t.depth * t.outs * d[0].taps * kProducts * int64_t(sizeof(float)) <=
             kWinogradWeightBytes;
}

int64_t numbers_of_product(int64_t weight_bytes) {
  return max64(kWinogradBytes, weight_bytes) / (kProducts * int64_t(sizeof(float)));
}

// f(begin, end) of parts of [0, n), in parallel.
template <class F>
void each_part(int64_t n, int64_t part, F f) {
  parallel_for(ceil_div(n, part), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i * part, min64((i + 1) * part, n));
  });
}

// Blocks of tiles are tasks where there are enough. Otherwise all threads work on one block: on some channels of its tiles, then on some
// outputs.
class WinogradConv {
 public:
  WinogradConv(const TapConv<float>& conv, const int64_t* kernel_sizes)
      : t(conv),
        w(conv.dim),
        kernel(kernel_sizes),
        grid(conv.dim, conv.batch, weight_bytes > kHeavyWeightBytes ? 1 : kWantedTasks,
             numbers_of_product(weight_bytes), [&](const TileBlock& b) {
               return b.images * b.tiles() *
                      (w.dim[0].extent(b.planes) * round_up(t.depth, L) + b.planes * vectors * L);
             }) {}

  // False if a result is not finite.
  bool run() {
    Scratch<float> weights(t.groups * group_weights);
    pack_weights(weights.data());
    const int64_t tasks = grid.count() * t.groups;
    const bool serial = t.flops() < kSerialFlops;
    const auto each_task = [&](int64_t begin, int64_t end, auto work) {
      for (int64_t i = begin; i < end; ++i) {
        const TileBlock b = grid.at(i / t.groups);
        const TileArray a = tile_array(b, w.dim[0].extent(b.planes), t.depth);
        Scratch<float> v(a.size());
        work(Task{b, a, v.data(), weights.data() + i % t.groups * group_weights, i % t.groups});
      }
    };
    if (serial || tasks >= kWantedTasks) {
      parallel_for(tasks, serial ? tasks : 1, [&](int64_t begin, int64_t end) {
        each_task(begin, end, [&](const Task& k) {
          read(k, 0, t.depth);
          multiply(k, 0, parts);
        });
      });
    } else {
      each_task(0, tasks, [&](const Task& k) {
        each_part(t.depth, kPartChannels, [&](int64_t c0, int64_t c1) { read(k, c0, c1); });
        each_part(parts, 1, [&](int64_t p0, int64_t p1) { multiply(k, p0, p1); });
      });
    }
    return !infinite;
  }

 private:
  struct Task {
    TileBlock block;
    TileArray inputs;
    float* v;
    const float* u;
    int64_t group;
  };

  const TapConv<float>& t;
  const WideTables w;
  const int64_t* kernel;
  const int64_t vectors = ceil_div(t.outs, L), parts = ceil_div(vectors, kPartVectors);
  const int64_t sums = w.dim[0].taps * t.depth;
  const int64_t product_weights = sums * vectors * L + kLine;  // as tile_array()
  const int64_t group_weights = kProducts * product_weights;
  const int64_t weight_bytes = group_weights * int64_t(sizeof(float));
  const TileGrid grid;
  int infinite = 0;

  EG_INLINE int64_t first_vector(int64_t part) const { return part * vectors / parts; }

  // U as [group][product][block of vectors][plane tap][channel][lanes of the block].
  void pack_weights(float* to) const {
    constexpr int64_t kTogether = 16;  // channels
    const int64_t pieces = ceil_div(t.depth, kTogether), all_taps = volume(kernel);
    Scratch<int64_t> place(all_taps);
    wide_places(w, kernel, place.data());
    parallel_for(
        t.groups * parts * pieces,
        max64(1, kParallelGrain / (kProducts * kTogether * kPartVectors * L)),
        [&](int64_t begin, int64_t end) {
          Scratch<float> taps(w.dim[0].taps * 9 * kTogether * L);
          for (int64_t i = begin; i < end; ++i) {
            const int64_t part = i / pieces % parts, group = i / pieces / parts;
            const int64_t c0 = i % pieces * kTogether, c1 = min64(c0 + kTogether, t.depth);
            const float* from = t.weights + group * t.weight_group;
            float* u = to + group * group_weights;
            each_block(
                first_vector(part), first_vector(part + 1), [&](int64_t first, int64_t size) {
                  for (int64_t v = first; v < first + size; ++v) {
                    pack_wide_vector(t, from + v * L * t.weight_out, t.outs - v * L, c0, c1,
                                     place.data(), all_taps, taps.data(), L);
                    pack_vector(taps.data(), c0, c1, u + (first * sums + v - first) * L, size * L);
                  }
                });
          }
        });
  }
  // taps: [plane tap][9][channel][lane]
  void pack_vector(const float* taps, int64_t c0, int64_t c1, float* u, int64_t lanes) const {
    const int64_t row = (c1 - c0) * L;
    for (int64_t a = 0; a < w.dim[0].taps; ++a, taps += 9 * row)
      for (int64_t c = c0; c < c1; ++c) {
        Vector tap[3][3], product[4][4];
#pragma GCC unroll 9
        for (int k = 0; k < 9; ++k) tap[k / 3][k % 3] = load(taps + k * row + (c - c0) * L);
        both_ways<WeightLine>(tap, product);
#pragma GCC unroll 16
        for (int k = 0; k < kProducts; ++k)
          store(u + k * product_weights + (a * t.depth + c) * lanes, product[k / 4][k % 4]);
      }
  }

  // Channels [c0, c1) of a block's tiles.
  void read(const Task& k, int64_t c0, int64_t c1) const {
    read_tiles(w, t.dim, k.block, t.src + (k.group * t.depth + c0) * t.src_channel, t.src_channel,
               t.groups * t.depth * t.src_channel, c1 - c0, k.inputs, k.v + c0, &input_tiles);
  }

  // Parts [p0, p1) of the outputs.
  void multiply(const Task& k, int64_t p0, int64_t p1) {
    const TileBlock& b = k.block;
    const int64_t first = first_vector(p0), outs = (first_vector(p1) - first) * L;
    const TileArray m = tile_array(b, b.planes, outs);
    Scratch<int32_t> offset(w.dim[0].taps);
    for (int64_t a = 0; a < w.dim[0].taps; ++a)
      offset.data()[a] = int32_t(w.dim[0].at[a] * k.inputs.plane);
    const WideRuns runs{w.dim[0].taps, t.depth, offset.data()};
    Scratch<float> products(m.size());
    for (int64_t j = 0; j < kProducts; ++j)
      each_plane(b, w.dim[0].step, k.inputs, m, [&](int64_t in, int64_t out, int64_t tiles) {
        const float* v = k.v + j * k.inputs.product + in;
        float* to = products.data() + j * m.product + out - first * L;
        for (int64_t part = p0; part < p1; ++part)
          each_block(first_vector(part), first_vector(part + 1), [&](int64_t at, int64_t size) {
            each_piece(0, tiles, tile_rows<float>(size), [&](int64_t row, int64_t rows) {
              wide_fns<float>(rows, size)
                  .tile(runs, v + row * k.inputs.channels, k.inputs.channels,
                        k.u + j * product_weights + at * L * sums, to + row * m.channels + at * L,
                        m.channels, false);
            });
          });
      });
    const TapTask task{k.group,
                       b.n,
                       b.n + b.images,
                       b.z,
                       b.z + b.planes,
                       b.y,
                       min64(b.y + 2 * b.rows, t.dim[1].outputs),
                       first * L,
                       min64(first * L + outs, t.outs)};
    const int64_t height = task.h1 - task.h0, width = min64(2 * b.columns, t.dim[2].outputs - b.x);
    Scratch<float> out(b.images * b.planes * height * width * m.channels);
    if (!output_tiles(b, m, outs, products.data(), height, width, out.data()))
      __atomic_store_n(&infinite, 1, __ATOMIC_RELAXED);
    write_wide(t, task, b.x, width, out.data(), m.channels);
  }
};

// ---------------------------------------------------------------------------- weight gradient over tasks

// Dimensions in which each output reads the number at its own place.
struct SamePlaces {
  int64_t zero = 0;
  TapDim dim[3];
  explicit SamePlaces(const TapDim* d) {
    for (int i = 0; i < 3; ++i)
      dim[i] = {d[i].outputs, d[i].outputs, 1, 1, 0, 0, 1, &zero, &zero, &zero, &zero};
  }
};

// Slices of the blocks are tasks where there are enough. Otherwise all threads work on one block.
class WinogradGrad {
 public:
  WinogradGrad(const GradConv<float>& conv, const int64_t* kernel_sizes)
      : t(conv),
        w(conv.dim),
        kernel(kernel_sizes),
        same(conv.dim),
        same_tables(same.dim),
        grid(conv.dim, conv.batch, sum_bytes > kHeavyWeightBytes ? 1 : kWantedTasks,
             numbers_of_product(sum_bytes), [&](const TileBlock& b) {
               return b.images * b.tiles() *
                      (w.dim[0].extent(b.planes) * channels + b.planes * round_up(t.outs, L));
             }) {
    slices = min64(min64(grid.count(), ceil_div(kWantedTasks, t.groups)),
                   max64(1, kSumBytes / (t.groups * sum_bytes)));
  }

  // False if a result is not finite.
  bool run(float* gw) const {
    const int64_t tasks = slices * t.groups;
    const bool serial = t.flops() < kSerialFlops;
    Scratch<float> memory(tasks * task_sums);
    float* sums = memory.data();
    each_part(tasks * kProducts, 1,
              [&](int64_t i, int64_t) { zero(sums + i * product_sums, product_sums); });
    const auto each_task = [&](int64_t begin, int64_t end, auto work) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = i / t.groups * grid.count() / slices;
             j < (i / t.groups + 1) * grid.count() / slices; ++j) {
          const TileBlock b = grid.at(j);
          const TileArray inputs = tile_array(b, w.dim[0].extent(b.planes), t.depth);
          const TileArray grads = tile_array(b, b.planes, t.outs);
          Scratch<float> v(inputs.size()), g(grads.size());
          work(Task{b, inputs, grads, v.data(), g.data(), sums + i * task_sums, i % t.groups});
        }
    };
    if (serial || tasks >= kWantedTasks / 2) {
      parallel_for(tasks, serial ? tasks : 1, [&](int64_t begin, int64_t end) {
        each_task(begin, end, [&](const Task& k) {
          read(k, 0, t.depth);
          read_grads(k, 0, t.outs);
          for (int64_t j = 0; j < kProducts; ++j) multiply(k, j, 0, t.outs);
        });
      });
    } else {
      each_task(0, tasks, [&](const Task& k) {
        each_part(t.depth, kPartChannels, [&](int64_t c0, int64_t c1) { read(k, c0, c1); });
        each_part(t.outs, kPartChannels, [&](int64_t m0, int64_t m1) { read_grads(k, m0, m1); });
        const int64_t parts = ceil_div(t.outs, kPartOuts);
        each_part(kProducts * parts, 1, [&](int64_t i, int64_t) {
          const int64_t m0 = i % parts * kPartOuts;
          multiply(k, i / parts, m0, min64(m0 + kPartOuts, t.outs));
        });
      });
    }
    return write(sums, gw);
  }

 private:
  struct Task {
    TileBlock block;
    TileArray inputs, grads;
    float *v, *g, *sums;
    int64_t group;
  };

  const GradConv<float>& t;
  const WideTables w;
  const int64_t* kernel;
  const SamePlaces same;
  const WideTables same_tables;
  const int64_t channels = round_up(t.depth, L), plane_sums = t.outs * channels;
  // [product][plane tap][output][channel]
  const int64_t product_sums = w.dim[0].taps * plane_sums + kLine;
  const int64_t task_sums = kProducts * product_sums;
  const int64_t sum_bytes = task_sums * int64_t(sizeof(float));
  const TileGrid grid;
  int64_t slices;

  void read(const Task& k, int64_t c0, int64_t c1) const {
    read_tiles(w, t.dim, k.block, t.x + (k.group * t.depth + c0) * t.x_channel, t.x_channel,
               t.groups * t.depth * t.x_channel, c1 - c0, k.inputs, k.v + c0, &input_tiles);
  }
  void read_grads(const Task& k, int64_t m0, int64_t m1) const {
    read_tiles(same_tables, same.dim, k.block, t.gy + (k.group * t.outs + m0) * t.gy_channel,
               t.gy_channel, t.groups * t.outs * t.gy_channel, m1 - m0, k.grads, k.g + m0,
               &output_grad_tiles);
  }

  // Outputs [m0, m1) of product j.
  void multiply(const Task& k, int64_t j, int64_t m0, int64_t m1) const {
    WideWalk walk{};
    walk.images = walk.planes = walk.rows = 1;
    walk.a_pixel = k.grads.channels, walk.a_channel = 1, walk.pixel = k.inputs.channels;
    each_plane(
        k.block, w.dim[0].step, k.inputs, k.grads, [&](int64_t in, int64_t out, int64_t tiles) {
          const float* v = k.v + j * k.inputs.product + in;
          const float* g = k.g + j * k.grads.product + out;
          for (int64_t a = 0; a < w.dim[0].taps; ++a)
            each_piece(0, tiles, kPartTiles, [&](int64_t tile, int64_t width) {
              walk.width = width;
              each_block(0, channels / L, [&](int64_t at, int64_t size) {
                each_piece(m0, m1, tile_rows<float>(size), [&](int64_t row, int64_t rows) {
                  wide_fns<float>(rows, size)
                      .dot(walk, g + tile * k.grads.channels + row,
                           v + w.dim[0].at[a] * k.inputs.plane + tile * k.inputs.channels + at * L,
                           k.sums + j * product_sums + a * plane_sums + (row)*channels + at * L,
                           channels);
                });
              });
            });
        });
  }

  // Adds the slices and writes the weights. False if one is not finite.
  bool write(const float* sums, float* gw) const {
    int infinite = 0;
    parallel_for(t.groups * t.outs,
                 max64(1, kParallelGrain / (t.depth * w.dim[0].taps * kProducts)),
                 [&](int64_t begin, int64_t end) {
                   Vector bad = {};
                   Scratch<float> taps(t.taps * L);
                   for (int64_t i = begin; i < end; ++i)
                     for (int64_t c = 0; c < t.depth; c += L) {
                       bad += read_weights(
                           sums + i / t.outs * task_sums + i % t.outs * channels + c, taps.data());
                       transpose_matrix(taps.data(), L, t.taps, min64(L, t.depth - c),
                                        gw + (i * t.depth + c) * t.taps, t.taps);
                     }
                   if (!all_zero(bad)) __atomic_store_n(&infinite, 1, __ATOMIC_RELAXED);
                 });
    return !infinite;
  }

  // The weights to[tap][lane] of an output and a vector of channels. Not zero where one is not finite.
  Vector read_weights(const float* sums, float* to) const {
    Vector bad = {};
    for (int64_t a = 0; a < w.dim[0].taps; ++a, sums += plane_sums) {
      Vector product[4][4], tap[3][3];
      for (int k = 0; k < kProducts; ++k) {
        Vector& sum = product[k / 4][k % 4] = load(sums + k * product_sums);
        for (int64_t s = 1; s < slices; ++s)
          sum += load(sums + k * product_sums + s * t.groups * task_sums);
      }
      both_ways<WeightGradLine>(product, tap);
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) {
          const int64_t row = w.dim[0].tap[a] * kernel[1] + w.dim[1].tap[i];
          store(to + (row * kernel[2] + w.dim[2].tap[j]) * L, tap[i][j]);
          bad += tap[i][j] * 0.0f;
        }
    }
    return bad;
  }
};

}  // namespace
}  // namespace eg
