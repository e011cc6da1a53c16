#include "ops/terms.h"

#include "core/parallel.h"
#include "kernels/copy.h"
#include "kernels/grain.h"
#include "ops/ops.h"

namespace eg {
namespace {

constexpr int64_t kStrip = 4096;   // terms written at once
constexpr int64_t kColumns = 512;  // of a strip, at most
using Buffer = char[kStrip * sizeof(double)];

// Dense rows of `width` elements, `stride` apart; no width: all of them are dense.
struct Rows {
  int64_t width = 0, stride = 0;
};
Rows rows_of(const Tensor& x) {
  const int64_t last = x.dim() - 1;
  if (last < 1 || x.is_contiguous() || x.strides()[last] != 1) return {};
  if (x.strides()[last - 1] < x.sizes()[last]) return {};  // repeated or overlapping rows
  for (int64_t d = 0; d + 1 < last; ++d)
    if (x.strides()[d] != x.strides()[d + 1] * x.sizes()[d + 1]) return {};
  return {x.sizes()[last], x.strides()[last - 1]};
}

// Arrays and the loops that make terms of them.
struct Source {
  Tensor in[2];
  Rows rows[2];
  DType type;    // that loops compute in
  DType wanted;  // of the terms
  ElementwiseLoop join, then;
  const double* attributes;

  Source(const Terms& t, const Tensor& a, const Tensor& b, DType type, DType wanted)
      : in{a, b}, type(type), wanted(wanted), attributes(t.attributes) {
    const int index = compute_index(type);
    join = host_kernels<BinaryKernels>().forward[int(Binary::sub)][index];
    then =
        t.then == Unary::count ? nullptr : host_kernels<UnaryKernels>().forward[int(t.then)][index];
  }

  // n terms from position `at` on, n <= kStrip.
  void write(char* to, int64_t at, int64_t n) const {
    if (!then) return fetch(0, at, n, to, wanted);
    alignas(64) Buffer strips[3];
    constexpr int64_t step[] = {1, 1, 1};
    constexpr double none[] = {0, 0, 0};
    char* p[] = {strips[2], read(0, at, n, strips[0]), nullptr};
    if (in[1].defined()) {
      p[2] = read(1, at, n, strips[1]);
      join(p, step, n, none);
      p[1] = p[0];
    }
    // What is neither of the type nor wanted is a predicate's bool.
    p[0] = wanted == type ? to : strips[1];
    then(p, step, n, attributes ? attributes : none);
    if (wanted != type) cast(to, wanted, p[0], DType::Bool, n);
  }

 private:
  static void cast(char* to, DType type, const char* from, DType had, int64_t n) {
    host_kernels<CopyKernels>().line(to, int64_t(item_size(type)), type, from,
                                     int64_t(item_size(had)), had, n);
  }
  char* place(int i, int64_t at) const { return in[i].raw() + at * int64_t(in[i].item_size()); }
  void fetch(int i, int64_t at, int64_t n, char* to, DType as) const {
    const auto [width, stride] = rows[i];
    if (!width) return cast(to, as, place(i, at), in[i].dtype(), n);
    while (n > 0) {
      const int64_t column = at % width, m = std::min(n, width - column);
      cast(to, as, place(i, at / width * stride + column), in[i].dtype(), m);
      to += m * int64_t(item_size(as));
      at += m;
      n -= m;
    }
  }
  // Input i as the loops take it: where it lies, or cast to a buffer.
  char* read(int i, int64_t at, int64_t n, char* buffer) const {
    if (in[i].dtype() == type && !rows[i].width) return place(i, at);
    fetch(i, at, n, buffer, type);
    return buffer;
  }
};

DType reduced_type(Reduce op, DType wanted) {
  return op == Reduce::Count ? DType::Int64 : is_reduced(wanted) ? DType::Float32 : wanted;
}

// out[outer, inner] of terms that lie as (outer, length, inner).
void reduce_strips(Reduce op, const Source& s, char* out, int64_t outer, int64_t length,
                   int64_t inner) {
  const auto reduce = host_kernels<ReduceKernels>().reduce;
  const DType type = reduced_type(op, s.wanted);
  const int64_t size = int64_t(item_size(s.wanted)), out_size = int64_t(item_size(type));
  const int64_t line = length * inner;
  if (line <= kStrip) {
    const int64_t each = kStrip / line;
    parallel_for((outer + each - 1) / each, grain_of(kStrip), [&](int64_t begin, int64_t end) {
      alignas(64) Buffer terms;
      for (int64_t first = begin * each; first < end * each && first < outer; first += each) {
        const int64_t n = std::min(each, outer - first);
        s.write(terms, first * line, n * line);
        reduce(op, s.wanted, terms, out + first * inner * out_size, n, length, inner);
      }
    });
    return;
  }
  // Pieces of a line, whose results are reduced again.
  const int64_t columns = std::min(inner, kColumns), rows = kStrip / columns;
  const int64_t pieces = (length + rows - 1) / rows, panels = (inner + columns - 1) / columns;
  const Tensor partial = empty({outer, pieces, inner}, type);
  parallel_for(outer * pieces * panels, grain_of(kStrip), [&](int64_t begin, int64_t end) {
    alignas(64) Buffer terms;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t block = item / panels, first = item % panels * columns;  // o * pieces + piece
      const int64_t row = block % pieces * rows, n = std::min(columns, inner - first);
      const int64_t count = std::min(rows, length - row);
      const int64_t at = (block / pieces * length + row) * inner + first;
      if (n == inner)
        s.write(terms, at, count * n);
      else
        for (int64_t r = 0; r < count; ++r) s.write(terms + r * n * size, at + r * inner, n);
      reduce(op, s.wanted, terms, partial.raw() + (block * inner + first) * out_size, 1, count, n);
    }
  });
  reduce(op == Reduce::Count ? Reduce::Sum : op, type, partial.raw(), out, outer, pieces, inner);
}

// out[outer] of lines that are whole rows apart from each other: each where it lies.
void reduce_rows(Reduce op, const Tensor& x, const Rows& rows, char* out, int64_t outer,
                 int64_t length) {
  const auto reduce = host_kernels<ReduceKernels>().reduce;
  const DType type = x.dtype(), result = reduced_type(op, type);
  const int64_t each = length / rows.width, step = rows.stride * int64_t(x.item_size());
  const Tensor partial = each > 1 ? empty({outer, each}, result) : Tensor();
  char* const to = each > 1 ? partial.raw() : out;
  parallel_for(outer * each, grain_of(rows.width), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      reduce(op, type, x.raw() + r * step, to + r * int64_t(item_size(result)), 1, rows.width, 1);
  });
  if (each > 1)
    reduce(op == Reduce::Count ? Reduce::Sum : op, result, partial.raw(), out, outer, each, 1);
}

// The terms as a tensor, for kernels that find them in memory.
Tensor written(const Terms& t, DType type, DType wanted) {
  if (t.then == Unary::count)
    return cast_data(t.counts ? cast_data(t.a, DType::Bool) : t.a, wanted);
  const Tensor a = cast_data(t.a, type);
  return cast_data(unary(t.then, t.b.defined() ? sub(a, cast_data(t.b, type)) : a, t.attributes),
                   wanted);
}

}  // namespace

// Elements from which on rows are fetched a strip at a time instead of being copied before.
constexpr int64_t kScattered = 16384;
constexpr int64_t kWholeRows = 64;  // elements of rows that are reduced one by one

static bool are_neighbours(const Dims& dims) {
  const auto [low, high] = std::minmax_element(dims.begin(), dims.end());
  return dims.empty() || *high - *low + 1 == int64_t(dims.size());
}

// Elements from which on reductions are taken as follows instead of copying them into another order.
constexpr int64_t kWorthStages = 2048;

static Tensor without(const Tensor& y, const Dims& dims) {
  Dims sizes;
  for (int64_t d = 0; d < y.dim(); ++d)
    if (std::find(dims.begin(), dims.end(), d) == dims.end()) sizes.push_back(y.size(d));
  return alias(y, sizes, contiguous_strides(sizes), y.offset());
}

// Of t.a as it lies in memory, `order`: the result is brought back into the order of its dimensions.
static Tensor reduce_in_memory(Reduce op, const Terms& t, const Dims& dims, const Dims& order,
                               DType out) {
  Dims sizes, strides, place(order.size()), moved, back, steps;
  for (size_t i = 0; i < order.size(); ++i) {
    sizes.push_back(t.a.size(order[i]));
    strides.push_back(t.a.stride(order[i]));
    place[size_t(order[i])] = int64_t(i);
  }
  for (int64_t d : dims) moved.push_back(place[size_t(d)]);
  const Tensor a = alias(t.a, sizes, strides, t.a.offset());
  const Tensor y = reduce_terms(op, {a, t.then, t.attributes, {}, t.counts}, moved, true, out);
  for (int64_t d : place) {
    back.push_back(y.size(d));
    steps.push_back(y.stride(d));
  }
  return contiguous_data(alias(y, back, steps, y.offset()));
}

// Over the last run of dimensions that are neighbours, then over the others.
static Tensor reduce_in_stages(Reduce op, const Terms& t, Dims dims, DType out) {
  std::sort(dims.begin(), dims.end());
  size_t run = dims.size() - 1;
  while (dims[run - 1] + 1 == dims[run]) --run;
  const Dims last(dims.begin() + run, dims.end()), others(dims.begin(), dims.begin() + run);
  const Tensor partial = reduce_terms(op, t, last, true, is_reduced(out) ? DType::Float32 : out);
  return reduce_terms(op, {partial}, others, true, out);
}

Tensor reduce_terms(Reduce op, const Terms& t, const Dims& dims, bool keepdim, DType out) {
  if (active_device.is_cpu() && t.a.numel() >= kWorthStages && !t.b.defined()) {
    const Dims order = memory_order(t.a, dims).empty() ? dense_order(t.a) : Dims();
    const bool stages = t.a.is_contiguous() && !are_neighbours(dims);
    if (stages || !order.empty()) {
      const Tensor y =
          stages ? reduce_in_stages(op, t, dims, out) : reduce_in_memory(op, t, dims, order, out);
      return keepdim ? y : without(y, dims);
    }
  }
  const bool plain = t.then == Unary::count;
  const DType type = !plain && is_reduced(t.a.dtype()) ? DType::Float32 : t.a.dtype();
  const bool host = active_device.is_cpu(), sums = op == Reduce::Sum;
  const bool counts = host && sums && (t.counts || (plain && type == DType::Bool));
  // (On the host, whole numbers are added up and multiplied as int64 whatever comes of them.)
  const bool whole =
      host && (sums || op == Reduce::Prod) && !is_floating(type) && type != DType::Bool;
  const DType wanted = op == Reduce::All || op == Reduce::Any || counts ? DType::Bool
                       : whole || (sums && out == DType::Int64)         ? DType::Int64
                                                                        : line_type(type);
  if (counts) op = Reduce::Count;
  const Rows rows =
      host && t.a.numel() >= kScattered && are_neighbours(dims) ? rows_of(t.a) : Rows();
  const bool strips = host && t.a.numel() > 0 && (!(plain && t.a.dtype() == wanted) || rows.width);
  Tensor other;  // what is read, where t.a is not
  if (!strips && !(plain && !t.counts && t.a.dtype() == wanted)) other = written(t, type, wanted);
  const Dims order = memory_order(other.defined() ? other : t.a, dims);
  // Of rows apart from each other, the layout that they have once they are fetched.
  if (rows.width) other = alias(t.a, t.a.sizes(), contiguous_strides(t.a.sizes()), t.a.offset());
  const Layout l(other.defined() ? other : t.a, dims, order);
  Tensor result = empty(keepdim ? l.kept : l.squeezed, reduced_type(op, wanted));
  if (strips && !rows.width && sums && wanted == DType::Float32 && plain && is_reduced(type) &&
      l.inner > 1) {
    kernels<ReduceKernels>().reduce(op, type, l.data.raw(), result.raw(), l.outer, l.length,
                                    l.inner);
  } else if (rows.width >= kWholeRows && plain && t.a.dtype() == wanted && l.inner == 1) {
    reduce_rows(op, t.a, rows, result.raw(), l.outer, l.length);
  } else if (strips) {
    const Tensor b = t.b.defined() ? Layout(t.b, dims, order).data : t.b;
    Source source(t, l.data, b, type, wanted);
    source.rows[0] = rows;
    reduce_strips(op, source, result.raw(), l.outer, l.length, l.inner);
  } else {
    kernels<ReduceKernels>().reduce(op, wanted, l.data.raw(), result.raw(), l.outer, l.length,
                                    l.inner);
  }
  if (result.dtype() != out) return cast_data(result, out);
  return result;
}

}  // namespace eg
