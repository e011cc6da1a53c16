#include "kernels/vision.h"

#include "kernels/grain.h"
#include "kernels/grid_taps.h"
#include "kernels/loop.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

namespace eg {
namespace {

// ---------------------------------------------------------------------------- separable maps

// to (+)= the sum of `taps` rows times their weights, rows of `width` elements
template <int taps, bool first, class T>
EG_INLINE void add_rows(const int32_t* index, const double* weight, int64_t width, const T* from,
                        T* to) {
  const T* rows[taps];
  T w[taps];
  for (int k = 0; k < taps; ++k) rows[k] = from + index[k] * width, w[k] = T(weight[k]);
  const auto at = [&](int64_t i) EG_INLINED {
    Vec<T> sum = splat(w[0]) * load(rows[0] + i);
    if (!first) sum += load(to + i);
#pragma GCC unroll 4
    for (int k = 1; k < taps; ++k) sum += splat(w[k]) * load(rows[k] + i);
    return sum;
  };
  int64_t i = 0;
  for (; i + kLanes<T> <= width; i += kLanes<T>) store(to + i, at(i));
  if (first && i < width && width >= kLanes<T>) {
    store(to + width - kLanes<T>, at(width - kLanes<T>));
    return;
  }
  for (; i < width; ++i) {
    T sum = w[0] * rows[0][i];
    if (!first) sum += to[i];
    for (int k = 1; k < taps; ++k) sum += w[k] * rows[k][i];
    to[i] = sum;
  }
}
// to = output row o of the map: the sum over its entries of weight * from[index]
template <class T>
void map_row(const LineMap& m, int64_t o, int64_t width, const T* from, T* to) {
  const int64_t n = m.first[o + 1] - m.first[o];
  const int32_t* index = m.index + m.first[o];
  const double* weight = m.weight + m.first[o];
  if (n == 0)
    for (int64_t i = 0; i < width; ++i) to[i] = T(0);
  else if (n == 1)
    add_rows<1, true>(index, weight, width, from, to);
  else if (n == 2)
    add_rows<2, true>(index, weight, width, from, to);
  else if (n == 3)
    add_rows<3, true>(index, weight, width, from, to);
  else
    add_rows<4, true>(index, weight, width, from, to);
  int64_t k = 4;
  for (; k + 4 <= n; k += 4) add_rows<4, false>(index + k, weight + k, width, from, to);
  for (; k < n; ++k) add_rows<1, false>(index + k, weight + k, width, from, to);
}
template <class T>
void map_rows(const LineMap& m, int64_t width, const T* from, T* to) {
  for (int64_t o = 0; o < m.out; ++o) map_row(m, o, width, from, to + o * width);
}

// A map of at most `taps` entries a row, transposed for vector loads: index[tap][out], weight[tap][out]. Where a row has fewer, its
// last entry stands there in parts. Outputs low .. high copy `scale` times consecutive inputs, as padding and its gradient do.
// runs: the entries of each row are neighbours of equal weights, many of them.
template <class T>
struct EvenMap {
  int64_t taps;
  int32_t* index;
  T* weight;
  int64_t low = 0, high = 0;
  bool runs = false;

  // m: of entries that are pixels of so many elements
  void fill(const LineMap& m, int64_t pixel, int32_t* indices, T* weights) {
    index = indices, weight = weights;
    for (int64_t o = 0; taps > 0 && o < m.out; ++o) {
      const int64_t first = m.first[o], n = m.first[o + 1] - first;
      for (int64_t k = 0; k < taps; ++k) {
        const int64_t entry = first + min64(k, n - 1), at = (k * m.out + o) * pixel;
        const double parts = k < n - 1 ? 1 : double(taps - n + 1);
        for (int64_t c = 0; c < pixel; ++c) {
          index[at + c] = int32_t(m.index[entry] * pixel + c);
          weight[at + c] = T(m.weight[entry] / parts);
        }
      }
    }
  }
};

template <class T>
EG_INLINE void find_run(const LineMap& m, EvenMap<T>& even) {
  const auto single = [&](int64_t o) { return m.first[o + 1] - m.first[o] == 1; };
  const auto entry = [&](int64_t o) { return m.first[o]; };
  for (int64_t o = 0; o < m.out;) {
    int64_t end = o + 1;
    while (single(o) && end < m.out && single(end) && m.weight[entry(end)] == m.weight[entry(o)] &&
           m.index[entry(end)] == m.index[entry(o)] + int32_t(end - o))
      ++end;
    if (single(o) && end - o > even.high - even.low) even.low = o, even.high = end;
    o = end;
  }
}

template <class T>
EG_INLINE void map_entries(const LineMap& m, int64_t begin, int64_t end, const T* from, T* to) {
  for (int64_t o = begin; o < end; ++o) {
    T sum = T(0);
    for (int64_t k = m.first[o]; k < m.first[o + 1]; ++k) sum += T(m.weight[k]) * from[m.index[k]];
    to[o] = sum;
  }
}

constexpr int64_t kMostEven = 8;
constexpr int64_t kSmallPixel = 8;  // elements

EG_INLINE int64_t most_taps(const LineMap& m) {
  int64_t most = 0;
  for (int64_t o = 0; o < m.out; ++o) most = max64(most, m.first[o + 1] - m.first[o]);
  return most;
}
// 0 where a row has too many entries, or none.
EG_INLINE int64_t even_taps(const LineMap& m) {
  for (int64_t o = 0; o < m.out; ++o)
    if (m.first[o + 1] == m.first[o]) return 0;
  const int64_t most = most_taps(m);
  return most <= kMostEven ? most : 0;
}
EG_INLINE bool has_runs(const LineMap& m) {
  for (int64_t o = 0; o < m.out; ++o)
    for (int64_t k = m.first[o] + 1; k < m.first[o + 1]; ++k)
      if (m.index[k] != m.index[k - 1] + 1 || m.weight[k] != m.weight[k - 1]) return false;
  return most_taps(m) > kMostEven;
}

template <class T>
EG_INLINE T sum_of_run(const T* p, int64_t n) {
  Vec<T> a = {}, b = {};
  int64_t i = 0;
  for (; i + 2 * kLanes<T> <= n; i += 2 * kLanes<T>) {
    a += load(p + i);
    b += load(p + i + kLanes<T>);
  }
  if (i + kLanes<T> <= n) a += load(p + i), i += kLanes<T>;
  a += b;
  T sum = T(0);
  for (int l = 0; l < kLanes<T>; ++l) sum += a[l];
  for (; i < n; ++i) sum += p[i];
  return sum;
}
template <class T>
EG_INLINE void map_runs(const LineMap& m, const T* from, T* to) {
  for (int64_t o = 0; o < m.out; ++o) {
    const int64_t first = m.first[o], n = m.first[o + 1] - first;
    to[o] = n ? T(m.weight[first]) * sum_of_run(from + m.index[first], n) : T(0);
  }
}

template <class T>
void map_columns(const LineMap& m, const EvenMap<T>& even, int64_t rows, const T* from, T* to) {
  const int64_t out = m.out;
  for (int64_t r = 0; r < rows; ++r, from += m.in, to += out) {
    if (even.runs) {
      map_runs(m, from, to);
    } else if (even.taps == 2) {
      const int32_t *a = even.index, *b = even.index + out;
      const T *u = even.weight, *v = even.weight + out;
      for (int64_t o = 0; o < out; ++o) to[o] = u[o] * from[a[o]] + v[o] * from[b[o]];
    } else if (even.taps > 0) {
      for (int64_t o = 0; o < out; ++o) to[o] = even.weight[o] * from[even.index[o]];
      for (int64_t k = 1; k < even.taps; ++k) {
        const int32_t* a = even.index + k * out;
        const T* u = even.weight + k * out;
        for (int64_t o = 0; o < out; ++o) to[o] += u[o] * from[a[o]];
      }
    } else {
      map_entries(m, 0, even.low, from, to);
      if (even.high > even.low) {
        const T scale = T(m.weight[m.first[even.low]]);
        const T* source = from + m.index[m.first[even.low]] - even.low;
        for (int64_t o = even.low; o < even.high; ++o) to[o] = scale * source[o];
      }
      map_entries(m, even.high, out, from, to);
    }
  }
}

// One pass over a dimension of (outer, in, inner); identities are skipped by the caller.
template <class T>
void map_dim(const LineMap& m, const EvenMap<T>& even, int64_t outer, int64_t inner, bool columns,
             const T* from, T* to) {
  if (columns) return map_columns(m, even, outer, from, to);
  for (int64_t i = 0; i < outer; ++i)
    map_rows(m, inner, from + i * m.in * inner, to + i * m.out * inner);
}

// Where the last dimension stays as it is, its lines are pixels: a row of the result at a time, in memory that stays near.
template <class T>
void resample_pixels(const LineMap* m, int64_t planes, const T* x, T* y) {
  const int64_t pixel = m[2].in, from = m[1].in * pixel, to = m[1].out * pixel, rows = m[0].out;
  const bool small = pixel <= kSmallPixel && !m[1].identity && from <= INT32_MAX;
  EvenMap<T> even{small ? even_taps(m[1]) : 0, nullptr, nullptr};
  Scratch<int32_t> even_index(even.taps * to);
  Scratch<T> even_weight(even.taps * to);
  even.fill(m[1], pixel, even_index.data(), even_weight.data());
  LineMap elements = m[1];
  elements.in = from, elements.out = to;
  parallel_for(planes * rows, grain_of(2 * (from + to)), [&](int64_t begin, int64_t end) {
    Scratch<T> scratch(m[0].identity ? 0 : from);
    for (int64_t i = begin; i < end; ++i) {
      const T* plane = x + i / rows * m[0].in * from;
      const int64_t o = i % rows;
      T* const row = y + i * to;
      if (m[1].identity) {
        map_row(m[0], o, from, plane, row);
        continue;
      }
      if (!m[0].identity) map_row(m[0], o, from, plane, scratch.data());
      const T* source = m[0].identity ? plane + o * from : scratch.data();
      if (even.taps > 0) {
        map_columns(elements, even, 1, source, row);
      } else {
        map_rows(m[1], pixel, source, row);
      }
    }
  });
}

template <class T>
void resample(const LineMap* m, int64_t planes, const T* x, T* y) {
  if (m[2].identity) return resample_pixels(m, planes, x, y);
  // Dimensions that shrink most come first: the least is left for the others. Of those that shrink alike, lines come last, which
  // are not as quick.
  int order[3] = {2, 1, 0};
  for (int i = 0; i < 3; ++i)
    for (int j = 2; j > i; --j) {
      const LineMap &a = m[order[j - 1]], &b = m[order[j]];
      const int64_t more = b.out * a.in - a.out * b.in;
      if (more < 0 || (more == 0 && b.out < b.in && order[j - 1] == 2)) {
        const int t = order[j];
        order[j] = order[j - 1], order[j - 1] = t;
      }
    }
  int passes[3], count = 0;
  for (int i = 0; i < 3; ++i)
    if (!m[order[i]].identity) passes[count++] = order[i];
  int64_t size[3] = {m[0].in, m[1].in, m[2].in}, largest = 0;
  const int64_t in = size[0] * size[1] * size[2], out = m[0].out * m[1].out * m[2].out;
  for (int i = 0; i < count; ++i) {
    size[passes[i]] = m[passes[i]].out;
    const int64_t n = size[0] * size[1] * size[2];
    largest = n > largest ? n : largest;
  }
  EvenMap<T> even{even_taps(m[2]), nullptr, nullptr};
  find_run(m[2], even);
  if (2 * (even.high - even.low) > m[2].out) even.taps = 0;
  even.runs = has_runs(m[2]);
  Scratch<int32_t> even_index(even.taps * m[2].out);
  Scratch<T> even_weight(even.taps * m[2].out);
  even.fill(m[2], 1, even_index.data(), even_weight.data());
  parallel_for(planes, grain_of(2 * (in + largest)), [&](int64_t p0, int64_t p1) {
    Scratch<T> scratch(count > 1 ? 2 * largest : 0);
    for (int64_t p = p0; p < p1; ++p) {
      const T* from = x + p * in;
      T* last = y + p * out;
      if (count == 0)
        for (int64_t i = 0; i < out; ++i) last[i] = from[i];
      int64_t now[3] = {m[0].in, m[1].in, m[2].in};
      for (int i = 0; i < count; ++i) {
        const int d = passes[i];
        T* to = i + 1 == count ? last : scratch.data() + (i % 2) * largest;
        const int64_t outer = d == 0 ? 1 : d == 1 ? now[0] : now[0] * now[1];
        const int64_t inner = d == 0 ? now[1] * now[2] : d == 1 ? now[2] : 1;
        map_dim(m[d], even, outer, inner, d == 2, from, to);
        now[d] = m[d].out;
        from = to;
      }
    }
  });
}

// ---------------------------------------------------------------------------- selection

EG_INLINE int64_t only_index(const LineMap& m, int64_t o) {
  return m.first[o] < m.first[o + 1] ? m.index[m.first[o]] : -1;
}

// The longest run of consecutive columns, which is copied as a block: [low, high).
struct Run {
  int64_t low = 0, high = 0;

  Run(const int32_t* at, int64_t n) {
    for (int64_t o = 0; o < n;) {
      int64_t end = o + 1;
      while (at[o] >= 0 && end < n && at[end] == at[o] + int32_t(end - o)) ++end;
      if (at[o] >= 0 && end - o > high - low) low = o, high = end;
      o = end;
    }
  }
};

template <class T>
void select(const LineMap* maps, int64_t planes, const T* x, T fill, T* y) {
  const LineMap &outer = maps[0], &pixels = maps[1];
  // Rows of small pixels, and of pixels that stay neighbours, are lines of all their elements.
  const int64_t pixel = maps[2].identity ? maps[2].in : 0;
  bool joined = pixel > 0 && pixels.in * pixel <= INT32_MAX;
  if (joined && pixel > kSmallPixel) {
    int64_t kept = 0;
    for (int64_t o = 1; o < pixels.out; ++o)
      kept += only_index(pixels, o) == only_index(pixels, o - 1) + 1;
    joined = 2 * kept > pixels.out;
  }
  const int64_t rows = joined ? 1 : pixels.out, row = joined ? pixels.in * pixel : maps[2].in,
                width = joined ? pixels.out * pixel : maps[2].out;
  Scratch<int32_t> columns(width);
  int32_t* const at = columns.data();
  for (int64_t o = 0; o < width; ++o) {
    const int64_t from = only_index(joined ? pixels : maps[2], joined ? o / pixel : o);
    at[o] = int32_t(!joined || from < 0 ? from : from * pixel + o % pixel);
  }
  const Run run(at, width);
  const int64_t shift = run.high > run.low ? at[run.low] - run.low : 0;
  const int64_t plane = outer.in * (joined ? 1 : pixels.in) * row;
  parallel_for(planes * outer.out, grain_of(rows * width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t above = only_index(outer, i % outer.out);
      T* to = y + i * rows * width;
      for (int64_t r = 0; r < rows; ++r, to += width) {
        const int64_t line = joined ? 0 : only_index(pixels, r);
        if (above < 0 || line < 0) {
          for (int64_t o = 0; o < width; ++o) to[o] = fill;
          continue;
        }
        const T* from = x + i / outer.out * plane + (above * (joined ? 1 : pixels.in) + line) * row;
        for (int64_t o = 0; o < run.low; ++o) to[o] = at[o] < 0 ? fill : from[at[o]];
        for (int64_t o = run.low; o < run.high; ++o) to[o] = from[o + shift];
        for (int64_t o = run.high; o < width; ++o) to[o] = at[o] < 0 ? fill : from[at[o]];
      }
    }
  });
}

template <class T>
EG_INLINE void select_as(const LineMap* m, int64_t planes, const void* x, const void* fill,
                         void* y) {
  select(m, planes, static_cast<const T*>(x), *static_cast<const T*>(fill), static_cast<T*>(y));
}

void select_any(const LineMap* m, int64_t item_size, int64_t planes, const void* x,
                const void* fill, void* y) {
  switch (item_size) {
    case 1:
      return select_as<uint8_t>(m, planes, x, fill, y);
    case 2:
      return select_as<uint16_t>(m, planes, x, fill, y);
    case 4:
      return select_as<uint32_t>(m, planes, x, fill, y);
    default:
      return select_as<uint64_t>(m, planes, x, fill, y);
  }
}

// ---------------------------------------------------------------------------- sampling at points

constexpr int kPoints = 64, kMostTaps = 16;

// What a block of outputs reads: tap k of point p.
template <class T>
struct Reads {
  int64_t taps;
  int32_t offset[kMostTaps][kPoints];  // -1: outside, reads zero
  T weight[kMostTaps][kPoints];
  T slope[3][kMostTaps][kPoints];
};

// Taps of a block of points along one dimension.
template <class T>
struct LineReads {
  int64_t taps;
  int32_t index[4][kPoints];
  T weight[4][kPoints], slope[4][kPoints];
};

template <int count, class T, class F>
EG_INLINE void each_point(LineReads<T>& r, F&& taps_at) {
  r.taps = count;
#pragma GCC ivdep
  for (int64_t p = 0; p < kPoints; ++p) {
    const Taps<T> t = taps_at(p);
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k) {
      r.index[k][p] = t.index[k];
      r.weight[k][p] = t.weight[k];
      r.slope[k][p] = t.slope[k];
    }
  }
}
// A loop for each of its results, which GCC does not make vectors of in one.
template <bool reflects, class T>
EG_INLINE void cubic_reads(const Line<T>& line, const T* at, bool slopes, LineReads<T>& r) {
  alignas(64) T base[kPoints], part[kPoints];
  r.taps = 4;
  for (int p = 0; p < kPoints; ++p) {
    const T x = line.pixel(at[p]);
    base[p] = vocabulary::floor(x);
    part[p] = x - base[p];
  }
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    for (int p = 0; p < kPoints; ++p) {
      T unused, weight[4], slope[4];
      cubic(part[p], weight, slope);
      r.weight[k][p] = weight[k];
      r.index[k][p] = inside(pad_coordinate<reflects>(base[p] + T(k - 1), line, unused), line);
    }
    for (int p = 0; slopes && p < kPoints; ++p) {
      T weight[4], slope[4];
      cubic(part[p], weight, slope);
      r.slope[k][p] = slope[k] * line.scale;
    }
  }
}
template <int mode, bool reflects, class T>
__attribute__((noinline)) void line_reads_of(const GridShape& s, int64_t size, const T* at,
                                             bool slopes, LineReads<T>& r) {
  const Line<T> line(size, s);
  if constexpr (mode == 2) return cubic_reads<reflects>(line, at, slopes, r);
  each_point<mode == 0 ? 2 : 1>(
      r, [&](int64_t p) EG_INLINED { return taps_of_mode<mode, reflects>(at[p], line); });
}
template <bool reflects, class T>
EG_INLINE void line_reads_as(const GridShape& s, int64_t size, const T* at, bool slopes,
                             LineReads<T>& r) {
  if (s.mode == 2) return line_reads_of<2, reflects>(s, size, at, slopes, r);
  if (s.mode == 1) return line_reads_of<1, reflects>(s, size, at, slopes, r);
  line_reads_of<0, reflects>(s, size, at, slopes, r);
}
// Coordinates are stored x first: the grid's last entry belongs to the first spatial dimension.
template <class T>
void line_reads(const GridShape& s, int dim, const T* points, int64_t n, bool slopes,
                LineReads<T>& r) {
  if (dim < 3 - s.dims) {
    r.taps = 1;
    for (int p = 0; p < kPoints; ++p) {
      r.index[0][p] = 0, r.weight[0][p] = T(1), r.slope[0][p] = T(0);
    }
    return;
  }
  alignas(64) T at[kPoints];
  const T* first = points + 2 - dim;
  if (s.dims == 2) {
    for (int64_t p = 0; p < n; ++p) at[p] = first[2 * p];
  } else {
    for (int64_t p = 0; p < n; ++p) at[p] = first[3 * p];
  }
  for (int64_t p = n; p < kPoints; ++p) at[p] = T(0);
  if (s.padding == 2) {
    line_reads_as<true>(s, s.in[dim], at, slopes, r);
  } else {
    line_reads_as<false>(s, s.in[dim], at, slopes, r);
  }
}

template <class T>
void reads_of(const GridShape& s, const T* points, int64_t n, bool slopes, Reads<T>& r) {
  LineReads<T> d[3];
  for (int i = 0; i < 3; ++i) line_reads(s, i, points, n, slopes, d[i]);
  const int32_t height = int32_t(s.in[1]), width = int32_t(s.in[2]);
  const bool flat = s.dims == 2;
  alignas(64) int32_t row[kPoints];
  alignas(64) T weight[kPoints];
  int64_t k = 0;
  for (int64_t a = 0; a < d[0].taps; ++a) {
    for (int64_t b = 0; b < d[1].taps; ++b) {
      const int32_t *z = d[0].index[a], *y = d[1].index[b];
      const T *u = d[0].weight[a], *v = d[1].weight[b];
      if (flat) {
        for (int p = 0; p < kPoints; ++p) row[p] = y[p] < 0 ? -1 : y[p] * width;
      } else {
        for (int p = 0; p < kPoints; ++p)
          row[p] = (z[p] | y[p]) < 0 ? -1 : (z[p] * height + y[p]) * width;
        for (int p = 0; p < kPoints; ++p) weight[p] = u[p] * v[p];
      }
      const T* const outer = flat ? v : weight;
      for (int64_t c = 0; c < d[2].taps; ++c, ++k) {
        const int32_t* x = d[2].index[c];
        const T* w = d[2].weight[c];
        for (int p = 0; p < kPoints; ++p) {
          r.offset[k][p] = (row[p] | x[p]) < 0 ? -1 : row[p] + x[p];
          r.weight[k][p] = outer[p] * w[p];
        }
        for (int64_t p = n; p < kPoints; ++p) r.offset[k][p] = -1, r.weight[k][p] = T(0);
        if (!slopes) continue;
        const T *dx = d[2].slope[c], *dy = d[1].slope[b], *dz = d[0].slope[a];
        for (int p = 0; p < kPoints; ++p) {
          r.slope[0][k][p] = outer[p] * dx[p];
          r.slope[1][k][p] = dy[p] * w[p];
        }
        if (flat) continue;
        for (int p = 0; p < kPoints; ++p) {
          r.slope[1][k][p] *= u[p];
          r.slope[2][k][p] = dz[p] * v[p] * w[p];
        }
      }
    }
  }
  r.taps = k;
}

EG_INLINE int64_t volume(const int64_t* n) { return n[0] * n[1] * n[2]; }

// body(image, first point, points, reads) over blocks of points of images [begin, end)
template <class T, class F>
EG_INLINE void each_block(const GridShape& s, const T* grid, int64_t begin, int64_t end,
                          bool slopes, F&& body) {
  const int64_t out = volume(s.out), blocks = (out + kPoints - 1) / kPoints;
  Scratch<Reads<T>> reads(1);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t n = i / blocks, p = i % blocks * kPoints,
                  count = out - p < kPoints ? out - p : kPoints;
    reads_of(s, grid + (n * out + p) * s.dims, count, slopes, *reads.data());
    body(n, p, count, *reads.data());
  }
}

template <class T>
void grid_sample(const GridShape& s, const T* x, const T* grid, T* y) {
  const int64_t in = volume(s.in), out = volume(s.out), blocks = (out + kPoints - 1) / kPoints;
  parallel_for(s.batch * blocks, grain_of(kPoints * 8 * (s.channels + 8)),
               [&](int64_t begin, int64_t end) {
                 each_block(s, grid, begin, end, false,
                            [&](int64_t n, int64_t p, int64_t count, const Reads<T>& r) {
                              for (int64_t c = n * s.channels; c < (n + 1) * s.channels; ++c) {
                                const T* plane = x + c * in;
                                alignas(64) T sum[kPoints];
                                T* const to = count == kPoints ? y + c * out + p : sum;
                                for (int64_t i = 0; i < count; i += kLanes<T>) {
                                  Vec<T> v{};
                                  for (int64_t k = 0; k < r.taps; ++k)
                                    v += load(r.weight[k] + i) * gather(plane, r.offset[k] + i);
                                  store(to + i, v);
                                }
                                for (int64_t i = 0; to == sum && i < count; ++i)
                                  y[c * out + p + i] = sum[i];
                              }
                            });
               });
}

constexpr int64_t kChannelBlock = 16;

template <class T>
void grid_input_grad(const GridShape& s, const T* gy, const T* grid, T* gx) {
  const int64_t in = volume(s.in), out = volume(s.out), blocks = (out + kPoints - 1) / kPoints;
  const int64_t groups = (s.channels + kChannelBlock - 1) / kChannelBlock;
  parallel_for(s.batch * groups, grain_of(out * 64), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / groups, c0 = image * s.channels + i % groups * kChannelBlock;
      const int64_t last = (image + 1) * s.channels,
                    c1 = c0 + kChannelBlock < last ? c0 + kChannelBlock : last;
      for (int64_t j = c0 * in; j < c1 * in; ++j) gx[j] = T(0);
      each_block(s, grid, image * blocks, (image + 1) * blocks, false,
                 [&](int64_t, int64_t p, int64_t count, const Reads<T>& r) {
                   for (int64_t c = c0; c < c1; ++c) {
                     const T* g = gy + c * out + p;
                     T* plane = gx + c * in;
                     for (int64_t k = 0; k < r.taps; ++k)
                       for (int64_t j = 0; j < count; ++j)
                         if (r.offset[k][j] >= 0) plane[r.offset[k][j]] += r.weight[k][j] * g[j];
                   }
                 });
    }
  });
}

// The next elements of at most `n`.
template <class T>
EG_INLINE Vec<T> load_some(const T* p, int64_t n) {
  if (n >= kLanes<T>) return load(p);
  Vec<T> v{};
  for (int64_t l = 0; l < n; ++l) v[l] = p[l];
  return v;
}

template <class T>
void grid_points_grad(const GridShape& s, const T* gy, const T* x, const T* grid, T* ggrid) {
  const int64_t in = volume(s.in), out = volume(s.out), blocks = (out + kPoints - 1) / kPoints;
  const auto block = [&](int64_t n, int64_t p, int64_t count, const Reads<T>& r) {
    alignas(64) T sum[3][kPoints];
    const T *planes = x + n * s.channels * in, *g = gy + n * s.channels * out + p;
    for (int64_t i = 0; i < count; i += kLanes<T>) {
      Vec<T> sums[3] = {};
      for (int64_t k = 0; k < r.taps; ++k) {
        Vec<T> product{};
        for (int64_t c = 0; c < s.channels; ++c)
          product +=
              load_some(g + c * out + i, count - i) * gather(planes + c * in, r.offset[k] + i);
        for (int d = 0; d < 2; ++d) sums[d] += product * load(r.slope[d][k] + i);
        if (s.dims == 3) sums[2] += product * load(r.slope[2][k] + i);
      }
      for (int d = 0; d < 3; ++d) store(sum[d] + i, sums[d]);
    }
    T* to = ggrid + (n * out + p) * s.dims;
    for (int64_t i = 0; i < count; ++i, to += s.dims)
      for (int64_t d = 0; d < s.dims; ++d) to[d] = sum[d][i];
  };
  parallel_for(s.batch * blocks, grain_of(kPoints * 24 * (s.channels + 8)),
               [&](int64_t begin, int64_t end) { each_block(s, grid, begin, end, true, block); });
}

// ---------------------------------------------------------------------------- entry points

void resample_any(const LineMap* m, DType dtype, int64_t planes, const void* x, void* y) {
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    resample(m, planes, static_cast<const T*>(x), static_cast<T*>(y));
  });
}
void grid_sample_any(const GridShape& s, DType dtype, const void* x, const void* grid, void* y) {
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    grid_sample(s, static_cast<const T*>(x), static_cast<const T*>(grid), static_cast<T*>(y));
  });
}
void grid_sample_backward_any(const GridShape& s, DType dtype, const void* gy, const void* x,
                              const void* grid, void* gx, void* ggrid) {
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *g = static_cast<const T*>(gy), *at = static_cast<const T*>(grid);
    if (gx) grid_input_grad(s, g, at, static_cast<T*>(gx));
    if (ggrid) grid_points_grad(s, g, static_cast<const T*>(x), at, static_cast<T*>(ggrid));
  });
}

}  // namespace

EG_KERNELS(VisionKernels, {&resample_any, &select_any, &grid_sample_any, &grid_sample_backward_any})

}  // namespace eg
