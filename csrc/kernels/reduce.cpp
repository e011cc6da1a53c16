// Every result is a sum (product, ...) over blocks of fixed size in fixed order: the same bits for any number of threads.
#include "kernels/reduce.h"

#include "kernels/grain.h"
#include "kernels/halves.h"
#include "kernels/loop.h"
#include "kernels/simd.h"
#include "kernels/vocabulary.h"

namespace eg {
namespace {

constexpr int64_t kSlots = 16;    // independent accumulators of a line, in each of a few vectors
constexpr int64_t kChunk = 4096;  // elements summed in the element type before the wider sum

template <class T>
struct Wide {
  using type = T;
};
template <>
struct Wide<float> {
  using type = double;
};

// Of the result.
template <Reduce op, class T>
using Out = std::conditional_t<op == Reduce::Count, int64_t, T>;

// What each op starts from, does with an element, and how partial results join.
template <Reduce op, class T>
struct Rule {
  static EG_INLINE T start() {
    if constexpr (op == Reduce::Prod || op == Reduce::All)
      return T(1);
    else if constexpr (op == Reduce::Max)
      return lowest();
    else if constexpr (op == Reduce::Min)
      return highest();
    else
      return T(0);
  }
  static EG_INLINE T element(T x) {
    if constexpr (op == Reduce::SumSquares)
      return T(x * x);
    else
      return x;
  }
  template <class U>
  static EG_INLINE U join(U a, U b) {
    if constexpr (op == Reduce::Prod)
      return U(a * b);
    else if constexpr (op == Reduce::Max)
      return vocabulary::maximum(a, b);
    else if constexpr (op == Reduce::Min)
      return vocabulary::minimum(a, b);
    else if constexpr (op == Reduce::All)
      return U(a && b);
    else if constexpr (op == Reduce::Any)
      return U(a || b);
    else
      return U(a + b);
  }
  // a = join(a, b) of vectors, which are not passed by value: they may be wider than this level's registers.
  template <class V>
  static EG_INLINE void join_into(V& a, const V& b) {
    if constexpr (op == Reduce::Prod)
      a *= b;
    else if constexpr (op == Reduce::Max)
      a = ((a > b) | (a != a)) ? a : b;
    else if constexpr (op == Reduce::Min)
      a = ((a < b) | (a != a)) ? a : b;
    else
      a += b;
  }

 private:
  static EG_INLINE T highest() {
    if constexpr (std::is_floating_point_v<T>)
      return T(INFINITY);
    else if constexpr (std::is_same_v<T, bool>)
      return true;
    else if constexpr (std::is_unsigned_v<T>)
      return T(~T(0));
    else
      return T((uint64_t(1) << (8 * sizeof(T) - 1)) - 1);
  }
  static EG_INLINE T lowest() {
    if constexpr (std::is_floating_point_v<T>)
      return T(-INFINITY);
    else if constexpr (std::is_unsigned_v<T> || std::is_same_v<T, bool>)
      return T(0);
    else
      return T(uint64_t(1) << (8 * sizeof(T) - 1));
  }
};

// Only sums gain from a wider accumulator.
template <Reduce op, class T>
using Total =
    std::conditional_t<op == Reduce::Sum || op == Reduce::SumSquares || op == Reduce::Prod,
                       typename Wide<T>::type, Out<op, T>>;

// The accumulators, in vectors of one register at most: GCC compares the elements of wider ones one by one.
template <class T>
struct LanesOf {
  static constexpr int64_t bytes =
      kSlots * sizeof(T) < kVectorBytes ? kSlots * sizeof(T) : kVectorBytes;
  static constexpr int64_t count = bytes / sizeof(T);
  typedef T type __attribute__((vector_size(bytes)));
  typedef T loose __attribute__((vector_size(bytes), aligned(alignof(T)), may_alias));
};
template <class T>
using Lanes = typename LanesOf<T>::type;

// The lanes of v joined pairwise: each with the one `half` further on.
template <Reduce op, class T, int half = LanesOf<T>::count / 2>
EG_INLINE T join_lanes(const Lanes<T>& all) {
  Lanes<T> v = all;
  Rule<op, T>::join_into(v, turn<half>(v));
  if constexpr (half > 1)
    return join_lanes<op, T, half / 2>(v);
  else
    return v[0];
}

template <Reduce op, class T,
          class = std::enable_if_t<!std::is_same_v<T, bool> && op != Reduce::Count>>
EG_INLINE T block(const T* x, int64_t n) {
  using R = Rule<op, T>;
  using V = Lanes<T>;
  constexpr int64_t kCount = LanesOf<T>::count, kParts = kSlots / kCount;
  constexpr int64_t kChains = sizeof(T) > 4 ? 2 : 4;  // additions under way at once
  V sums[kChains * kParts];
  const auto add = [x, &sums](int64_t parts, int64_t i) {
#pragma GCC unroll 64
    for (int64_t k = 0; k < parts; ++k) {
      V v = *reinterpret_cast<const typename LanesOf<T>::loose*>(x + i + k * kCount);
      if constexpr (op == Reduce::SumSquares) v *= v;
      R::join_into(sums[k], v);
    }
  };
#pragma GCC unroll 64
  for (int64_t k = 0; k < kChains * kParts; ++k) sums[k] = V{} + R::start();
  int64_t i = 0;
  for (; i + kChains * kSlots <= n; i += kChains * kSlots) add(kChains * kParts, i);
  for (; i + kSlots <= n; i += kSlots) add(kParts, i);
#pragma GCC unroll 64
  for (int64_t half = kChains * kParts / 2; half > 0; half /= 2)
#pragma GCC unroll 64
    for (int64_t k = 0; k < half; ++k) R::join_into(sums[k], sums[k + half]);
  T result = n >= kSlots ? join_lanes<op, T>(sums[0]) : R::start();
  for (; i < n; ++i) result = R::join(result, R::element(x[i]));
  return result;
}

template <Reduce op>
EG_INLINE bool block(const bool* x, int64_t n) {
  using T = bool;
  using R = Rule<op, T>;
  T lane[kSlots];
  for (int64_t l = 0; l < kSlots; ++l) lane[l] = R::start();
  int64_t i = 0;
  for (; i + kSlots <= n; i += kSlots)
    for (int64_t l = 0; l < kSlots; ++l) lane[l] = R::join(lane[l], R::element(x[i + l]));
  for (int64_t l = 0; i < n; ++i, ++l) lane[l] = R::join(lane[l], R::element(x[i]));
  for (int64_t half = kSlots / 2; half > 0; half /= 2)
    for (int64_t l = 0; l < half; ++l) lane[l] = R::join(lane[l], lane[l + half]);
  return lane[0];
}

// Of at most kChunk bytes that are 0 or 1, counted in bytes first.
template <Reduce op, class = std::enable_if_t<op == Reduce::Count>>
EG_INLINE int64_t block(const uint8_t* x, int64_t n) {
  constexpr int kWidth = kLanes<uint8_t>;
  static_assert(kChunk / kWidth <= 256, "more than a byte counts");
  int64_t total = 0, i = 0;
  if (n >= kWidth) {
    Vec<uint8_t> sums = {};
    for (; i + kWidth < n; i += kWidth) sums += load(x + i);
    for (int l = 0; l < kWidth; ++l) total += sums[l];
  }
  for (; i < n; ++i) total += x[i];
  return total;
}

// Inlined only where short lines of floating-point numbers would notice a call.
template <Reduce op, class T>
__attribute__((noinline)) Out<op, T> called_block(const T* x, int64_t n) {
  return block<op>(x, n);
}

template <Reduce op, class T>
EG_INLINE Out<op, T> short_line(const T* x, int64_t n) {
  if constexpr (std::is_floating_point_v<T>)
    return block<op>(x, n);
  else
    return called_block<op>(x, n);
}

template <Reduce op, class T>
EG_INLINE Out<op, T> line(const T* x, int64_t n) {
  if (n <= kChunk) return short_line<op>(x, n);
  using U = Total<op, T>;
  U total = U(Rule<op, T>::start());
  for (int64_t i = 0; i < n; i += kChunk)
    total = Rule<op, T>::join(total, U(called_block<op>(x + i, n - i < kChunk ? n - i : kChunk)));
  return Out<op, T>(total);
}

template <Reduce op, class T>
void lines(const T* x, char* out, int64_t outer, int64_t length) {
  auto* y = reinterpret_cast<Out<op, T>*>(out);
  if (outer < 8 && length >= 8 * kChunk) {
    // Few long lines: their blocks side by side.
    const int64_t blocks = (length + kChunk - 1) / kChunk;
    constexpr int64_t kMost = 1024;
    const int64_t each = (blocks + kMost - 1) / kMost;  // blocks a partial result
    const int64_t parts = (blocks + each - 1) / each;
    using U = Total<op, T>;
    for (int64_t o = 0; o < outer; ++o) {
      U partial[kMost];
      parallel_for(parts, kParallelGrain / (each * kChunk), [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; ++p) {
          U total = U(Rule<op, T>::start());
          for (int64_t b = p * each; b < (p + 1) * each && b < blocks; ++b) {
            const int64_t at = b * kChunk, n = length - at < kChunk ? length - at : kChunk;
            total = Rule<op, T>::join(total, U(called_block<op>(x + o * length + at, n)));
          }
          partial[p] = total;
        }
      });
      U total = U(Rule<op, T>::start());
      for (int64_t p = 0; p < parts; ++p) total = Rule<op, T>::join(total, partial[p]);
      y[o] = Out<op, T>(total);
    }
    return;
  }
  parallel_for(outer, grain_of(length), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) y[o] = line<op>(x + o * length, length);
  });
}

// Results that do not depend on the order of the elements.
template <Reduce op, class T>
constexpr bool is_exact = !std::is_floating_point_v<T> || op == Reduce::Max || op == Reduce::Min;

// Columns of a panel, kWidest of them at most, are accumulated side by side. S: the elements' type, T or a half.
constexpr int64_t kWidest = 512;
template <Reduce op, class T, class S>
EG_ONE_COPY void column_totals(const char* from, char* to, int64_t length, int64_t inner,
                               int64_t columns) {
  const S* x = reinterpret_cast<const S*>(from);
  auto* y = reinterpret_cast<Out<op, T>*>(to);
  using U = Total<op, T>;
  using R = Rule<op, T>;
  constexpr bool widens = !std::is_same_v<S, T>;
  // Comparisons in a row do not vectorise: one row at a time.
  constexpr int64_t kTogether = widens || op == Reduce::Max || op == Reduce::Min ? 1 : 4;
  constexpr int64_t kRows = 64;  // as many as a byte counts
  constexpr bool twice = !std::is_same_v<U, T> || !is_exact<op, T>;
  // Rows of few columns are taken for longer ones, which are folded in the end.
  const int64_t folds = columns == inner ? max64(1, min64(kRows / inner, length / kRows)) : 1;
  const int64_t n = folds * columns, step = folds * inner, rows = length / folds;
  U total[kWidest];
  T part[twice ? kWidest : 1], row[kWidest];
  T* const sums = twice ? part : reinterpret_cast<T*>(total);
  for (int64_t i = 0; i < n; ++i) total[i] = U(R::start());
  for (int64_t i = 0; rows % kTogether && i < n; ++i) row[i] = R::start();
  for (int64_t r0 = 0; r0 < rows; r0 += twice ? kRows : rows) {
    for (int64_t i = 0; twice && i < n; ++i) part[i] = R::start();
    for (int64_t r = r0; r < (twice ? min64(rows, r0 + kRows) : rows); r += kTogether) {
      if constexpr (kTogether == 4) {
        const auto at = [&](int64_t k) { return r + k < rows ? x + (r + k) * step : row; };
        const T *a = at(0), *b = at(1), *c = at(2), *d = at(3);
        for (int64_t i = 0; i < n; ++i)
          sums[i] = R::join(sums[i], R::join(R::join(R::element(a[i]), R::element(b[i])),
                                             R::join(R::element(c[i]), R::element(d[i]))));
      } else {
        const T* a = row;
        if constexpr (widens)
          widen(row, x + r * step, n);
        else
          a = x + r * step;
        for (int64_t i = 0; i < n; ++i) sums[i] = R::join(sums[i], R::element(a[i]));
      }
    }
    for (int64_t i = 0; twice && i < n; ++i) total[i] = R::join(total[i], U(part[i]));
  }
  for (int64_t i = columns; i < n; ++i) total[i % columns] = R::join(total[i % columns], total[i]);
  for (int64_t i = rows * step; i < length * inner && folds > 1; ++i) {
    if constexpr (widens)
      row[0] = to_float(x[i]);
    else
      row[0] = x[i];
    total[i % columns] = R::join(total[i % columns], U(R::element(row[0])));
  }
  for (int64_t i = 0; i < columns; ++i) y[i] = Out<op, T>(total[i]);
}

// What is done with panels, whatever they are of.
using Totals = void (*)(const char* x, char* y, int64_t length, int64_t inner, int64_t columns);
struct Columns {
  Totals totals, join;   // of elements, and of totals of parts
  int64_t size, result;  // bytes of an element and of a total
};
template <Reduce op, class T, class S = T>
constexpr Columns columns_of() {
  using Y = Out<op, T>;
  constexpr Reduce join = op == Reduce::Count ? Reduce::Sum : op;
  return {&column_totals<op, T, S>, &column_totals<join, Y, Y>, sizeof(S), sizeof(Y)};
}

void reduce_columns(const Columns& k, const char* x, char* out, int64_t outer, int64_t length,
                    int64_t inner) {
  const int64_t panels = ceil_div(inner, kWidest), work = length * min64(inner, kWidest);
  // Rows [begin, end) of a panel.
  const auto panel = [&](int64_t item, int64_t begin, int64_t end, char* y) {
    const int64_t o = item / panels, first = item % panels * kWidest;
    k.totals(x + ((o * length + begin) * inner + first) * k.size, y, end - begin, inner,
             min64(kWidest, inner - first));
  };
  const auto result = [&](int64_t item) {
    return out + (item / panels * inner + item % panels * kWidest) * k.result;
  };
  constexpr int64_t kParts = 16;
  if (outer * panels >= kParts || work < kParts * kParallelGrain)
    return parallel_for(outer * panels, grain_of(work), [&](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; ++item) panel(item, 0, length, result(item));
    });
  // The rows of a few large panels are shared out.
  const int64_t each = ceil_div(length, kParts);
  for (int64_t item = 0; item < outer * panels; ++item) {
    const int64_t n = min64(kWidest, inner - item % panels * kWidest);
    alignas(8) char partial[kParts * kWidest * sizeof(double)];
    parallel_for(kParts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p)
        panel(item, min64(length, p * each), min64(length, p * each + each),
              partial + p * n * k.result);
    });
    k.join(partial, result(item), kParts, n, n);
  }
}

// Lines of at most kShortLine elements are turned into columns, kTurned at a time: alone, each takes longer to begin and to end
// than it is long.
constexpr int64_t kShortLine = 32, kTurned = 32;

template <int size>
EG_ONE_COPY void turn_lines(char* to, const char* from, int64_t n, int64_t length) {
  for (int64_t l = 0; l < n; ++l)
    for (int64_t k = 0; k < length; ++k, from += size)
      __builtin_memcpy(to + (k * kTurned + l) * size, from, size);
}
// body(columns that are kTurned apart, first line, number of lines) of lines of elements of `size` bytes.
template <class F>
EG_INLINE void over_turned_lines(const char* x, int64_t size, int64_t outer, int64_t length,
                                 F body) {
  parallel_for(ceil_div(outer, kTurned), grain_of(kTurned * length),
               [&](int64_t begin, int64_t end) {
                 alignas(8) char turned[kShortLine * kTurned * sizeof(double)];
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t first = i * kTurned, n = min64(kTurned, outer - first);
                   const char* const lines = x + first * length * size;
                   (size == 1   ? &turn_lines<1>
                    : size == 2 ? &turn_lines<2>
                    : size == 4 ? &turn_lines<4>
                                : &turn_lines<8>)(turned, lines, n, length);
                   body(turned, first, n);
                 }
               });
}
EG_INLINE bool are_short(int64_t outer, int64_t length) {
  return length <= kShortLine && outer >= kTurned;
}
void reduce_short_lines(const Columns& k, const char* x, char* out, int64_t outer, int64_t length) {
  over_turned_lines(x, k.size, outer, length, [&](const char* turned, int64_t first, int64_t n) {
    k.totals(turned, out + first * k.result, length, kTurned, n);
  });
}

template <Reduce op, class T>
void reduce_typed(const char* x, char* out, int64_t outer, int64_t length, int64_t inner) {
  if (inner != 1)
    reduce_columns(columns_of<op, T>(), x, out, outer, length, inner);
  else if (is_exact<op, T> && are_short(outer, length))
    reduce_short_lines(columns_of<op, T>(), x, out, outer, length);
  else
    lines<op>(reinterpret_cast<const T*>(x), out, outer, length);
}

// Truth values have two loops. Sums and products of whole numbers are those of int64, of which a narrower result is a part.
template <Reduce op>
void reduce_any(DType type, const char* x, char* out, int64_t outer, int64_t length,
                int64_t inner) {
  constexpr bool wraps = op == Reduce::Sum || op == Reduce::Prod;
  constexpr bool is_or = op == Reduce::Sum || op == Reduce::Max;
  visit_compute(type, [&](auto zero) {
    using T = decltype(zero);
    constexpr bool narrow = std::is_integral_v<T> && sizeof(T) < 8;
    if constexpr (std::is_same_v<T, bool>)
      reduce_typed<is_or ? Reduce::Any : Reduce::All, bool>(x, out, outer, length, inner);
    else if constexpr (!(wraps && narrow))
      reduce_typed<op, T>(x, out, outer, length, inner);
  });
}

void reduce(Reduce op, DType type, const char* x, char* out, int64_t outer, int64_t length,
            int64_t inner) {
  constexpr Reduce sum = Reduce::Sum;
  if (type == DType::Float16)
    return reduce_columns(columns_of<sum, float, Half>(), x, out, outer, length, inner);
  if (type == DType::BFloat16)
    return reduce_columns(columns_of<sum, float, BFloat16>(), x, out, outer, length, inner);
  switch (op) {
    case Reduce::Sum:
      return reduce_any<Reduce::Sum>(type, x, out, outer, length, inner);
    case Reduce::Prod:
      return reduce_any<Reduce::Prod>(type, x, out, outer, length, inner);
    case Reduce::Max:
      return reduce_any<Reduce::Max>(type, x, out, outer, length, inner);
    case Reduce::Min:
      return reduce_any<Reduce::Min>(type, x, out, outer, length, inner);
    case Reduce::All:
      return reduce_typed<Reduce::All, bool>(x, out, outer, length, inner);
    case Reduce::Count:
      return reduce_typed<Reduce::Count, uint8_t>(x, out, outer, length, inner);
    default:
      return reduce_typed<Reduce::Any, bool>(x, out, outer, length, inner);
  }
}

// --- positions ---------------------------------------------------------------------------------------------------

template <Arg op, class T>
EG_INLINE bool beats(T a, T b) {  // NaN beats numbers; the first of equal ones stays
  return (b == b) & !(op == Arg::Max ? a <= b : a >= b);
}

// Where `value`, which may be NaN, stands first among n > 0 numbers that it is one of: compared a strip at a time, whose places are
// as wide as its numbers.
template <class T>
EG_ONE_COPY int64_t first_place(const T* x, T value, int64_t n) {
  using At = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  constexpr At kStrip = 64;
  for (int64_t first = 0;; first += kStrip) {
    const At count = At(min64(n - first, kStrip));
    At at = kStrip;
    for (At i = 0; i < count; ++i) {
      const T v = x[first + i];
      const bool found = (v == value) | ((v != v) & (value != value));
      const At place = found ? i : kStrip;
      at = place < at ? place : at;
    }
    if (at < kStrip || first + kStrip >= n) return first + at;
  }
}

// The extreme value first, which vectorises, then where it stands.
template <Arg op, class T>
void arg_lines(const T* x, int64_t* out, T* values, int64_t outer, int64_t length) {
  parallel_for(outer, grain_of(length), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const T* p = x + o * length;
      const T best = block<op == Arg::Max ? Reduce::Max : Reduce::Min>(p, length);
      out[o] = first_place(p, best, length);
      if (values) values[o] = best;
    }
  });
}

constexpr int64_t kPanel = 256;  // columns that positions and scans are found for side by side

// Of n columns, whose elements are `inner` apart.
template <Arg op, class T>
EG_ONE_COPY void arg_panel(const T* x, int64_t* found, T* values, int64_t n, int64_t length,
                           int64_t inner) {
  // Positions as wide as the values, so that one comparison chooses both, hence counted anew every kSpan rows.
  using At = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  constexpr int64_t kSpan = 1 << 30;
  T best[kPanel];
  for (int64_t c = 0; c < n; ++c) best[c] = x[c], found[c] = 0;
  for (int64_t r0 = 0; r0 < length; r0 += kSpan) {
    At at[kPanel];
    for (int64_t c = 0; c < n; ++c) at[c] = -1;
    for (int64_t r = r0; r < min64(length, r0 + kSpan); ++r) {
      const T* const row = x + r * inner;
      for (int64_t c = 0; c < n; ++c) {
        const bool better = beats<op>(row[c], best[c]);
        best[c] = better ? row[c] : best[c];
        at[c] = better ? At(r - r0) : at[c];
      }
    }
    for (int64_t c = 0; c < n; ++c)
      if (at[c] >= 0) found[c] = r0 + at[c];
  }
  if (values)
    for (int64_t c = 0; c < n; ++c) values[c] = best[c];
}

template <Arg op, class T>
void arg_typed(const T* x, int64_t* out, T* values, int64_t outer, int64_t length, int64_t inner) {
  const auto values_at = [&](int64_t k) { return values ? values + k : nullptr; };
  if (inner == 1 && are_short(outer, length))
    over_turned_lines(reinterpret_cast<const char*>(x), sizeof(T), outer, length,
                      [&](const char* turned, int64_t first, int64_t n) {
                        arg_panel<op>(reinterpret_cast<const T*>(turned), out + first,
                                      values_at(first), n, length, kTurned);
                      });
  else if (inner == 1)
    arg_lines<op>(x, out, values, outer, length);
  else
    over_panels(outer, length, inner, kPanel, 1, [&](int64_t first, int64_t n, int64_t column) {
      arg_panel<op>(x + first, out + column, values_at(column), n, length, inner);
    });
}

void arg(Arg op, DType type, const char* x, int64_t* out, char* values, int64_t outer,
         int64_t length, int64_t inner) {
  visit_compute(type, [&](auto zero) {
    using Z = decltype(zero);
    using T = std::conditional_t<std::is_same_v<Z, bool>, uint8_t, Z>;
    const T* p = reinterpret_cast<const T*>(x);
    T* v = reinterpret_cast<T*>(values);
    if (op == Arg::Max)
      arg_typed<Arg::Max>(p, out, v, outer, length, inner);
    else
      arg_typed<Arg::Min>(p, out, v, outer, length, inner);
  });
}

// --- mean and variance, two passes ---------------------------------------------------------------------------------

template <class T>
void moments_typed(const T* x, T* mean, T* m2, int64_t outer, int64_t length) {
  parallel_for(outer, grain_of(length), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const T* p = x + o * length;
      const T m = T(double(line<Reduce::Sum>(p, length)) / double(length));
      double total = 0;
      T strip[1024];
      for (int64_t i = 0; i < length; i += 1024) {
        const int64_t n = length - i < 1024 ? length - i : 1024;
        for (int64_t k = 0; k < n; ++k) strip[k] = p[i + k] - m;
        total += double(block<Reduce::SumSquares>(strip, n));
      }
      mean[o] = m;
      m2[o] = T(total);
    }
  });
}
void moments(DType type, const char* x, char* mean, char* m2, int64_t outer, int64_t length) {
  visit_float(type, [&](auto zero) {
    using T = decltype(zero);
    moments_typed(reinterpret_cast<const T*>(x), reinterpret_cast<T*>(mean),
                  reinterpret_cast<T*>(m2), outer, length);
  });
}

// --- scans ------------------------------------------------------------------------------------------------------------

// float is as exact in double, where one vector has as many lanes as one of positions.
template <Scan op, class T>
using Running = std::conditional_t<op == Scan::LogSumExp, T, typename Wide<T>::type>;

template <Scan op, class T, class U>
EG_INLINE void advance(U& running, int64_t& at, T v, int64_t i) {
  if constexpr (op == Scan::Sum) {
    running = U(running + U(v));
  } else if constexpr (op == Scan::Prod) {
    running = U(running * U(v));
  } else if constexpr (op == Scan::LogSumExp) {
    running = i == 0 ? v : vocabulary::logaddexp(running, v);
  } else {
    // The last of equal ones, as PyTorch.
    const bool better = op == Scan::Max ? v >= running : v <= running;
    const bool taken = (i == 0) | (v != v) | ((running == running) & better);
    running = taken ? v : running;
    at = taken ? i : at;
  }
}

// n scans side by side, their elements next to each other and `inner` apart.
template <Scan op, int64_t most, class T>
EG_INLINE void scan_abreast(const T* x, T* y, int64_t* positions, int64_t n, int64_t length,
                            int64_t inner) {
  Running<op, T> running[most];
  int64_t at[most];
  for (int64_t c = 0; c < n; ++c) running[c] = op == Scan::Prod ? 1 : 0, at[c] = 0;
  for (int64_t i = 0; i < length; ++i)
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) {
      const int64_t k = i * inner + c;
      advance<op>(running[c], at[c], x[k], i);
      y[k] = T(running[c]);
      if (positions) positions[k] = at[c];
    }
}

// One scan in whole vectors. Inside one it takes log2 of its lanes steps, each of which joins lanes with those before them;
// the next one waits for a single step.
template <Scan op, class T>
struct VectorScan {
  using U = Running<op, T>;
  static_assert(sizeof(U) == 8, "as wide as positions");
  static constexpr int kCount = kLanes<U>;
  using V = Vec<U>;
  using At = Vec<int64_t>;
  typedef T Loose __attribute__((vector_size(kCount * sizeof(T)), aligned(alignof(T)), may_alias));

  static EG_INLINE U start() {
    if constexpr (op == Scan::Max) return Rule<Reduce::Max, U>::start();
    if constexpr (op == Scan::Min) return Rule<Reduce::Min, U>::start();
    return op == Scan::Prod ? U(1) : U(0);
  }
  static EG_INLINE void join(V& later, const V& before) {
    if constexpr (op == Scan::Sum)
      later += before;
    else if constexpr (op == Scan::Prod)
      later *= before;
    else if constexpr (op == Scan::Max)
      later = (later != later) | (later >= before) ? later : before;
    else
      later = (later != later) | (later <= before) ? later : before;
  }
  template <class W>
  static EG_INLINE void repeat_last(W& v) {
    static constexpr auto last = choose<U>([](int) { return kCount - 1; });
    v = shuffle<last>(v);
  }
  // Each lane joined with all before it; `none` changes nothing it is joined with.
  template <int by = 1, class W, class F>
  static EG_INLINE void spread(W& v, const W& none, F joined) {
    static constexpr auto back = choose<U>([](int l) { return l < by ? l : kCount + l - by; });
    const W before = shuffle<back>(none, v);
    joined(v, before);
    if constexpr (2 * by < kCount) spread<2 * by>(v, none, joined);
  }

  template <bool placed>
  static EG_INLINE void run(const T* x, T* y, int64_t* positions, int64_t length) {
    const V none = splat(start());
    V carry = none;
    const At nowhere = splat<int64_t>(-1);
    At carried = nowhere, place;
#pragma GCC unroll 8
    for (int l = 0; l < kCount; ++l) place[l] = l;
    int64_t i = 0;
    for (; i + kCount <= length; i += kCount) {
      const V v = __builtin_convertvector(*reinterpret_cast<const Loose*>(x + i), V);
      V s = v;
      spread(s, none, [](V& later, const V& before) { join(later, before); });
      V total = s;
      repeat_last(total);
      join(s, carry);
      join(total, carry);
      carry = total;
      *reinterpret_cast<Loose*>(y + i) = __builtin_convertvector(s, Loose);
      if constexpr (placed) {
        // Where the running value is the element's own, the last such place.
        const auto later_of = [](At& later, const At& before) {
          later = later > before ? later : before;
        };
        At at = (v == s) | (v != v) ? place : nowhere;
        spread(at, nowhere, later_of);
        later_of(at, carried);
        store(positions + i, at);
        carried = at;
        repeat_last(carried);
        place += splat<int64_t>(kCount);
      }
    }
    U running = carry[0];
    int64_t at = carried[0];
    for (; i < length; ++i) {
      advance<op>(running, at, x[i], i);
      y[i] = T(running);
      if constexpr (placed) positions[i] = at;
    }
  }
};

// Logarithms of sums of exponentials so far, `step` apart, of a block at once: the block's exponentials below its largest number
// are added up in double. Blocks that start far below it, or with what is not finite, go one by one.
EG_INLINE void scan_logarithms(const float* x, float* y, int64_t length, int64_t step) {
  constexpr int64_t kTogether = 64;
  constexpr double kFar = 300;
  double running = -double(INFINITY);
  for (int64_t first = 0; first < length; first += kTogether) {
    const int64_t n = min64(kTogether, length - first);
    double v[kTogether], sums[kTogether];
    for (int64_t i = 0; i < kTogether; ++i) v[i] = double(x[(first + min64(i, n - 1)) * step]);
    double most = running;
    bool numbers = true;
    for (int64_t i = 0; i < kTogether; ++i) {
      most = v[i] > most ? v[i] : most;
      numbers &= v[i] == v[i];
    }
    const double at_first = v[0] > running ? v[0] : running;
    if (numbers && most - at_first < kFar) {  // not so of infinities
      for (int64_t i = 0; i < kTogether; ++i) sums[i] = vocabulary::exp(v[i] - most);
      double sum = vocabulary::exp(running - most);
      for (int64_t i = 0; i < n; ++i) sums[i] = sum += sums[i];
      for (int64_t i = n; i < kTogether; ++i) sums[i] = sum;
      for (int64_t i = 0; i < kTogether; ++i) sums[i] = most + vocabulary::log(sums[i]);
    } else {
      double one = running;
      for (int64_t i = 0; i < n; ++i)
        sums[i] = one = first + i == 0 ? v[i] : vocabulary::logaddexp(one, v[i]);
    }
    if (first == 0) sums[0] = v[0];  // the sum of one number, which may be 0
    for (int64_t i = 0; i < n; ++i) y[(first + i) * step] = float(sums[i]);
    running = sums[n - 1];
  }
}

template <Scan op, class T>
EG_INLINE void scan_line(const T* x, T* y, int64_t* positions, int64_t length) {
  if constexpr (op != Scan::LogSumExp) {
    if constexpr (op == Scan::Max || op == Scan::Min) {
      if (positions) return VectorScan<op, T>::template run<true>(x, y, positions, length);
    }
    VectorScan<op, T>::template run<false>(x, y, nullptr, length);
  } else {
    scan_abreast<op, 1>(x, y, positions, 1, length, 1);
  }
}

template <Scan op, class T>
void scan_typed(const T* x, T* y, int64_t* positions, int64_t outer, int64_t length,
                int64_t inner) {
  const auto where = [&](int64_t k) { return positions ? positions + k : nullptr; };
  if (inner > 1 && op != Scan::LogSumExp)  // whose last bits would depend on the column
    return over_panels(outer, length, inner, kPanel, 1, [&](int64_t k, int64_t n, int64_t) {
      scan_abreast<op, kPanel>(x + k, y + k, where(k), n, length, inner);
    });
  parallel_for(outer * inner, grain_of(length), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t k = item / inner * length * inner + item % inner;
      if constexpr (op == Scan::LogSumExp && std::is_same_v<T, float>)
        scan_logarithms(x + k, y + k, length, inner);
      else if (inner == 1)
        scan_line<op>(x + k, y + k, where(k), length);
      else
        scan_abreast<op, 1>(x + k, y + k, where(k), 1, length, inner);
    }
  });
}

void scan(Scan op, DType type, const char* x, char* y, int64_t* positions, int64_t outer,
          int64_t length, int64_t inner) {
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    const T* p = reinterpret_cast<const T*>(x);
    T* q = reinterpret_cast<T*>(y);
    switch (op) {
      case Scan::Sum:
        return scan_typed<Scan::Sum>(p, q, positions, outer, length, inner);
      case Scan::Prod:
        return scan_typed<Scan::Prod>(p, q, positions, outer, length, inner);
      case Scan::Max:
        return scan_typed<Scan::Max>(p, q, positions, outer, length, inner);
      case Scan::Min:
        return scan_typed<Scan::Min>(p, q, positions, outer, length, inner);
      case Scan::LogSumExp:
        if constexpr (std::is_floating_point_v<T>)
          return scan_typed<Scan::LogSumExp>(p, q, positions, outer, length, inner);
    }
  };
  if (type == DType::Int64)
    run(int64_t(0));
  else
    visit_float(type, run);
}

}  // namespace

EG_KERNELS(ReduceKernels, {&reduce, &arg, &moments, &scan})

}  // namespace eg
