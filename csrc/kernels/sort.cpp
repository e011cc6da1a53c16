#include "kernels/sort.h"

#include "core/parallel.h"
#include "kernels/order.h"
#include "kernels/simd.h"

extern "C" {
void* malloc(size_t);
void free(void*);
}

namespace eg {
namespace {

using Wide = unsigned __int128;
// A key with the element's position below it: all entries are distinct, so every sort of them is stable.
template <class Key>
struct EntryOf;
template <>
struct EntryOf<uint32_t> {
  using type = uint64_t;
  static constexpr int shift = 32;
};
template <>
struct EntryOf<uint64_t> {
  using type = Wide;
  static constexpr int shift = 64;
};
template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t n)
      : p_(static_cast<T*>(malloc(static_cast<size_t>(n > 0 ? n : 1) * sizeof(T)))) {}
  ~Buffer() { free(p_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  EG_INLINE T* get() const { return p_; }

 private:
  T* p_;
};

// --- sorting entries ------------------------------------------------------------------------------------------
template <class E>
void insertion(E* a, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {
    const E v = a[i];
    int64_t j = i;
    for (; j > 0 && a[j - 1] > v; --j) a[j] = a[j - 1];
    a[j] = v;
  }
}

template <class E>
void merge(const E* a, int64_t n, const E* b, int64_t m, E* out) {
  int64_t i = 0, j = 0, k = 0;
  while (i < n && j < m) {
    const bool left = a[i] < b[j];
    out[k++] = left ? a[i] : b[j];
    i += left;
    j += !left;
  }
  if (i < n) std::memcpy(out + k, a + i, (n - i) * sizeof(E));
  if (j < m) std::memcpy(out + k, b + j, (m - j) * sizeof(E));
}

// Runs of 16, merged pairwise. The result is in a.
template <class E>
void merge_sort(E* a, E* b, int64_t n) {
  constexpr int64_t kRun = 16;
  for (int64_t i = 0; i < n; i += kRun) insertion(a + i, n - i < kRun ? n - i : kRun);
  E *from = a, *to = b;
  for (int64_t run = kRun; run < n; run *= 2) {
    for (int64_t i = 0; i < n; i += 2 * run) {
      const int64_t left = n - i < run ? n - i : run;
      const int64_t right = n - i - left < run ? n - i - left : run;
      merge(from + i, left, from + i + left, right, to + i);
    }
    E* t = from;
    from = to;
    to = t;
  }
  if (from != a) std::memcpy(a, from, n * sizeof(E));
}

template <class E>
EG_INLINE uint32_t digit_of(E e, int shift, uint32_t mask) {
  return static_cast<uint32_t>(e >> shift) & mask;
}

// One digit of a stable radix sort. Each of `parts` parts counts and places its own stretch.
template <class E>
void radix_pass(const E* from, E* to, int64_t n, int shift, int digits, int64_t parts,
                int64_t* counts) {
  const int64_t buckets = int64_t(1) << digits;
  const uint32_t mask = static_cast<uint32_t>(buckets - 1);
  const int64_t step = (n + parts - 1) / parts;
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      int64_t* c = counts + p * buckets;
      std::memset(c, 0, buckets * sizeof(int64_t));
      const int64_t stop = (p + 1) * step < n ? (p + 1) * step : n;
      for (int64_t i = p * step; i < stop; ++i) ++c[digit_of(from[i], shift, mask)];
    }
  });
  int64_t at = 0;
  for (int64_t b = 0; b < buckets; ++b)
    for (int64_t p = 0; p < parts; ++p) {
      const int64_t c = counts[p * buckets + b];
      counts[p * buckets + b] = at;
      at += c;
    }
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      int64_t* c = counts + p * buckets;
      const int64_t stop = (p + 1) * step < n ? (p + 1) * step : n;
      for (int64_t i = p * step; i < stop; ++i) to[c[digit_of(from[i], shift, mask)]++] = from[i];
    }
  });
}

// Sorts entries whose keys differ only in the low `bits` bits above `shift`. Returns where the result is: a or b.
template <class E>
E* radix_sort(E* a, E* b, int64_t n, int shift, int bits) {
  const int digits = n >= 16384 ? 11 : 8;
  const int64_t parts = n >= 4 * kParallelGrain && !in_parallel() ? num_threads() : 1;
  Buffer<int64_t> counts(parts << digits);
  for (int at = 0; at < bits; at += digits) {
    const int width = bits - at < digits ? bits - at : digits;
    radix_pass(a, b, n, shift + at, width, parts, counts.get());
    E* t = a;
    a = b;
    b = t;
  }
  return a;
}

constexpr int64_t kRanked =
    256;  // rows up to this length are ranked, longer ones go through the radix sort

template <class Key>
struct VectorOf {
  typedef Key type __attribute__((vector_size(kVectorBytes)));
  static constexpr int lanes = kVectorBytes / sizeof(Key);
};

// Short rows: an element's place is the number of those before it in order, counted a vector at a time. keys and place have room
// for kRanked and a vector more.
template <class Key>
void rank(const Key* keys, Key* place, int64_t n) {
  using V = typename VectorOf<Key>::type;
  constexpr int lanes = VectorOf<Key>::lanes;
  V lane;
  for (int l = 0; l < lanes; ++l) lane[l] = static_cast<Key>(l);
  for (int64_t first = 0; first < n; first += lanes) {
    V v, before = V{};
    std::memcpy(&v, keys + first, sizeof(V));
    const int64_t last = first + lanes < n ? first + lanes : n;
    for (int64_t j = 0; j < first; ++j) before -= (V)(V{} + keys[j] <= v);
    for (int64_t j = first; j < last; ++j) {
      const V other = V{} + keys[j], at = V{} + static_cast<Key>(j - first);
      before -= (V)(other < v) | ((V)(other == v) & (V)(at < lane));
    }
    for (int64_t j = last; j < n; ++j) before -= (V)(V{} + keys[j] < v);
    std::memcpy(place + first, &before, sizeof(V));
  }
}

constexpr int64_t kTiny = 8;  // elements of rows that are ordered by insertion

// The first k positions in order, of a row of at most kTiny.
template <class T>
__attribute__((noinline)) void insert_row(const T* x, int64_t* index, int64_t n, int64_t k,
                                          KeyOf<T> flip) {
  using E = typename EntryOf<KeyOf<T>>::type;
  constexpr int shift = EntryOf<KeyOf<T>>::shift;
  E entries[kTiny];
  for (int64_t i = 0; i < n; ++i) {
    const E e =
        (static_cast<E>(static_cast<KeyOf<T>>(key_of(x[i]) ^ flip)) << shift) | static_cast<E>(i);
    int64_t j = i;
    for (; j > 0 && entries[j - 1] > e; --j) entries[j] = entries[j - 1];
    entries[j] = e;
  }
  for (int64_t i = 0; i < k; ++i)
    index[i] = static_cast<int64_t>(entries[i] & ((E(1) << shift) - 1));
}

// The same of at most kRanked.
template <class T>
void rank_row(const T* x, int64_t* index, int64_t n, int64_t k, KeyOf<T> flip) {
  using Key = KeyOf<T>;
  if (n <= kTiny) return insert_row(x, index, n, k, flip);
  constexpr int lanes = VectorOf<Key>::lanes;
  Key keys[kRanked + lanes], place[kRanked + lanes];
  for (int64_t i = 0; i < n; ++i) keys[i] = key_of(x[i]) ^ flip;
  for (int64_t i = n; i < n + lanes; ++i) keys[i] = 0;
  rank(keys, place, n);
  for (int64_t i = 0; i < n; ++i)
    if (place[i] < static_cast<Key>(k)) index[place[i]] = i;
}

template <class Key>
EG_INLINE int bit_length(Key k) {
  return k == 0             ? 0
         : sizeof(Key) == 8 ? 64 - __builtin_clzll(k)
                            : 32 - __builtin_clz(static_cast<uint32_t>(k));
}

// Entries of a row; keys relative to the smallest. Returns how many bits they have.
template <class T, class E>
int make_entries(const T* x, E* out, int64_t n, bool descending) {
  using Key = KeyOf<T>;
  constexpr int shift = EntryOf<Key>::shift;
  const Key flip = descending ? ~Key(0) : Key(0);
  Key low = ~Key(0), high = 0;
  for (int64_t i = 0; i < n; ++i) {
    const Key k = key_of(x[i]) ^ flip;
    low = k < low ? k : low;
    high = k > high ? k : high;
  }
  for (int64_t i = 0; i < n; ++i)
    out[i] = (static_cast<E>(static_cast<Key>((key_of(x[i]) ^ flip) - low)) << shift) |
             static_cast<E>(i);
  return bit_length<Key>(high - low);
}

template <class E>
E* sort_entries(E* a, E* b, int64_t n, int shift, int bits) {
  return bits == 0 ? a : radix_sort(a, b, n, shift, bits);
}

// Orders entries whose leading bits are equal by their whole keys.
template <class T>
void sort_run(const T* x, uint64_t* run, int64_t n, KeyOf<T> flip) {
  using Key = KeyOf<T>;
  constexpr uint64_t position = 0xffffffffu;
  if (n <= 24) {
    for (int64_t i = 1; i < n; ++i) {
      const uint64_t e = run[i];
      const Key key = key_of(x[e & position]) ^ flip;
      int64_t j = i;
      for (; j > 0 && (key_of(x[run[j - 1] & position]) ^ flip) > key; --j) run[j] = run[j - 1];
      run[j] = e;
    }
    return;
  }
  Buffer<Wide> a(n), b(n);
  for (int64_t i = 0; i < n; ++i)
    a.get()[i] = (static_cast<Wide>(key_of(x[run[i] & position]) ^ flip) << 64) | run[i];
  const Wide* sorted = radix_sort(a.get(), b.get(), n, 64, 64);
  for (int64_t i = 0; i < n; ++i) run[i] = static_cast<uint64_t>(sorted[i]);
}

// 64-bit keys: the leading 32 bits of their range are sorted beside a 32-bit position, then what is still equal.
template <class T>
void sort_long_keys(const T* x, int64_t* index, int64_t n, KeyOf<T> flip) {
  using Key = KeyOf<T>;
  Key low = ~Key(0), high = 0;
  for (int64_t i = 0; i < n; ++i) {
    const Key k = key_of(x[i]) ^ flip;
    low = k < low ? k : low;
    high = k > high ? k : high;
  }
  const int bits = bit_length<Key>(high - low), drop = bits > 32 ? bits - 32 : 0;
  Buffer<uint64_t> a(n), b(n);
  for (int64_t i = 0; i < n; ++i)
    a.get()[i] = ((static_cast<uint64_t>((key_of(x[i]) ^ flip) - low) >> drop) << 32) |
                 static_cast<uint64_t>(i);
  uint64_t* sorted = sort_entries(a.get(), b.get(), n, 32, bits - drop);
  for (int64_t i = 0; drop && i < n;) {
    int64_t end = i + 1;
    while (end < n && (sorted[end] >> 32) == (sorted[i] >> 32)) ++end;
    if (end - i > 1) sort_run(x, sorted + i, end - i, flip);
    i = end;
  }
  for (int64_t i = 0; i < n; ++i) index[i] = static_cast<int64_t>(sorted[i] & 0xffffffffu);
}

template <class T>
void sort_row(const T* x, T* values, int64_t* index, int64_t n, bool descending) {
  using Key = KeyOf<T>;
  using E = typename EntryOf<Key>::type;
  const Key flip = descending ? ~Key(0) : Key(0);
  if (n <= kRanked) {
    rank_row(x, index, n, n, flip);
  } else if (sizeof(Key) == 8 && n <= INT32_MAX) {
    sort_long_keys(x, index, n, flip);
  } else {
    Buffer<E> a(n), b(n);
    const int bits = make_entries(x, a.get(), n, descending);
    const E* sorted = sort_entries(a.get(), b.get(), n, EntryOf<Key>::shift, bits);
    constexpr E mask = (E(1) << EntryOf<Key>::shift) - 1;
    for (int64_t i = 0; i < n; ++i) index[i] = static_cast<int64_t>(sorted[i] & mask);
  }
  if (values)
    for (int64_t i = 0; i < n; ++i) values[i] = x[index[i]];
}

template <class F>
EG_INLINE void each_row(int64_t rows, int64_t n, F&& f) {
  if (rows == 1) return f(0);
  parallel_for(rows, kParallelGrain / 8 / (n + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) f(r);
  });
}

void sort(DType dtype, const char* x, char* values, int64_t* index, int64_t rows, int64_t n,
          bool descending) {
  visit_all(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = reinterpret_cast<const T*>(x);
    T* to = reinterpret_cast<T*>(values);
    each_row(rows, n, [&](int64_t r) {
      sort_row(from + r * n, to ? to + r * n : nullptr, index + r * n, n, descending);
    });
  });
}

// --- selection ----------------------------------------------------------------------------------------------------
// Moves the k smallest of n distinct entries to the front.
template <class E>
void select(E* a, int64_t n, int64_t k) {
  int64_t low = 0, high = n - 1;
  while (low < high) {
    const int64_t mid = low + (high - low) / 2;
    if (a[mid] < a[low]) {
      const E t = a[mid];
      a[mid] = a[low];
      a[low] = t;
    }
    if (a[high] < a[low]) {
      const E t = a[high];
      a[high] = a[low];
      a[low] = t;
    }
    if (a[high] < a[mid]) {
      const E t = a[high];
      a[high] = a[mid];
      a[mid] = t;
    }
    const E pivot = a[mid];
    int64_t i = low, j = high;
    while (i <= j) {
      while (a[i] < pivot) ++i;
      while (a[j] > pivot) --j;
      if (i > j) break;
      const E t = a[i];
      a[i++] = a[j];
      a[j--] = t;
    }
    if (k - 1 <= j)
      high = j;
    else if (k - 1 >= i)
      low = i;
    else
      return;
  }
}

constexpr int64_t kBlock = 64, kPart = 16;

// Keeps the k best entries of what came before and of later candidates, without order.
template <class E>
struct Best {
  E* entries;  // room for all candidates that may be kept at once
  int64_t room, k;
  int shift;
  int64_t kept = 0;
  bool full = false;

  // Drops all but the k best; returns the key of the worst.
  E shrink() {
    select(entries, kept, k);
    kept = k;
    full = true;
    E worst = entries[0];
    for (int64_t j = 1; j < k; ++j) worst = entries[j] > worst ? entries[j] : worst;
    return worst >> shift;
  }
};

constexpr int64_t kFew = 32;  // so many are kept in order, one insertion a candidate

template <class T>
EG_INLINE bool any_below(const T* x, KeyOf<T> limit, KeyOf<T> flip) {
  KeyOf<T> found = 0;
  for (int64_t j = 0; j < kBlock; ++j) found |= KeyOf<T>((key_of(x[j]) ^ flip) < limit);
  return found != 0;
}

// The few best entries of a row, in order.
template <class T, class E>
void scan_few(const T* x, E* best, int64_t n, int64_t k, KeyOf<T> flip) {
  using Key = KeyOf<T>;
  constexpr int shift = EntryOf<Key>::shift;
  Key limit = ~Key(0);
  int64_t kept = 0;
  for (int64_t i = 0; i < n; i += kPart) {
    // Most blocks have nothing to add, which a comparison of all their keys with one number shows.
    while (kept == k && i + kBlock <= n && !any_below(x + i, limit, flip)) i += kBlock;
    const int64_t m = n - i < kPart ? n - i : kPart;
    Key keys[kPart];
    if (m == kPart) {
      Key least = ~Key(0);
      for (int64_t j = 0; j < kPart; ++j) {
        keys[j] = key_of(x[i + j]) ^ flip;
        least = keys[j] < least ? keys[j] : least;
      }
      if (kept == k && least >= limit) continue;
    } else {
      for (int64_t j = 0; j < m; ++j) keys[j] = key_of(x[i + j]) ^ flip;
    }
    for (int64_t j = 0; j < m; ++j) {
      if (kept == k && keys[j] >= limit) continue;
      const E e = (static_cast<E>(keys[j]) << shift) | static_cast<E>(i + j);
      int64_t at = kept < k ? kept++ : k - 1;
      for (; at > 0 && best[at - 1] > e; --at) best[at] = best[at - 1];
      best[at] = e;
      limit = static_cast<Key>(best[kept - 1] >> shift);
    }
  }
}

// A row is scanned in blocks, and a block with a key below the worst kept so far in parts; only in such parts keys
// are looked at one by one.
template <class T, class E>
void scan_best(const T* x, Best<E>& best, int64_t n, KeyOf<T> flip) {
  using Key = KeyOf<T>;
  Key limit = ~Key(0);
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t m = n - i < kBlock ? n - i : kBlock;
    Key keys[kBlock];
    if (m == kBlock) {
      Key least = ~Key(0);
      for (int64_t j = 0; j < kBlock; ++j) {
        keys[j] = key_of(x[i + j]) ^ flip;
        least = keys[j] < least ? keys[j] : least;
      }
      if (best.full && least >= limit) continue;
    } else {
      for (int64_t j = 0; j < m; ++j) keys[j] = key_of(x[i + j]) ^ flip;
      for (int64_t j = m; j < kBlock; ++j) keys[j] = ~Key(0);
    }
    for (int64_t part = 0; part < m; part += kPart) {
      Key least = ~Key(0);
      for (int64_t j = 0; j < kPart; ++j) least = keys[part + j] < least ? keys[part + j] : least;
      if (best.full && least >= limit) continue;
      const int64_t stop = part + kPart < m ? part + kPart : m;
      for (int64_t j = part; j < stop; ++j) {
        best.entries[best.kept] = (static_cast<E>(keys[j]) << best.shift) | static_cast<E>(i + j);
        best.kept += !best.full || keys[j] < limit;
      }
      if (best.kept + kPart > best.room) limit = static_cast<Key>(best.shrink());
    }
  }
  if (best.kept > best.k) best.shrink();
}

template <class T>
void topk_row(const T* x, T* values, int64_t* index, int64_t n, int64_t k, bool largest) {
  using Key = KeyOf<T>;
  using E = typename EntryOf<Key>::type;
  constexpr int shift = EntryOf<Key>::shift;
  constexpr E mask = (E(1) << shift) - 1;
  const Key flip = largest ? ~Key(0) : Key(0);
  if (k <= kFew && k <= n / 4) {
    E best[kFew];
    scan_few(x, best, n, k, flip);
    for (int64_t i = 0; i < k; ++i) index[i] = static_cast<int64_t>(best[i] & mask);
  } else if (n <= kRanked) {
    rank_row(x, index, n, k, flip);
  } else if (k > n / 4) {
    Buffer<int64_t> all(n);
    sort_row(x, static_cast<T*>(nullptr), all.get(), n, largest);
    std::memcpy(index, all.get(), k * sizeof(int64_t));
  } else {
    const int64_t room = 2 * k + 2 * kPart;
    Buffer<E> a(room + kPart), b(k);
    Best<E> best{a.get(), room, k, shift};
    scan_best(x, best, n, flip);
    merge_sort(a.get(), b.get(), k);
    for (int64_t i = 0; i < k; ++i) index[i] = static_cast<int64_t>(a.get()[i] & mask);
  }
  for (int64_t i = 0; i < k; ++i) values[i] = x[index[i]];
}

void topk(DType dtype, const char* x, char* values, int64_t* index, int64_t rows, int64_t n,
          int64_t k, bool largest) {
  if (k == 0) return;
  visit_all(dtype, [&](auto zero) {
    using T = decltype(zero);
    each_row(rows, n, [&](int64_t r) {
      topk_row(reinterpret_cast<const T*>(x) + r * n, reinterpret_cast<T*>(values) + r * k,
               index + r * k, n, k, largest);
    });
  });
}

// --- one element of a row ---------------------------------------------------------------------------------------------
constexpr int64_t kKeyPadding = 64;

// A row's keys, kKeyPadding of the largest behind them, and where they lie, NaN apart.
template <class Key>
struct KeySpan {
  const Key* keys;
  Key low, high;
  int64_t nans;
};

// A step at a time: the compiler makes whole vectors of loops of a known length.
template <class T>
void write_keys(const T* x, KeyOf<T>* keys, int64_t n) {
  int64_t i = 0;
  for (; i + kKeyPadding <= n; i += kKeyPadding)
    for (int64_t j = 0; j < kKeyPadding; ++j) keys[i + j] = key_of(x[i + j]);
  for (; i < n; ++i) keys[i] = key_of(x[i]);
}

// `with_nan`: the largest key stands for NaN.
template <class Key>
KeySpan<Key> span_of(Key* keys, int64_t n, bool with_nan) {
  using V = typename VectorOf<Key>::type;
  constexpr int lanes = VectorOf<Key>::lanes;
  constexpr Key largest = static_cast<Key>(~Key(0));
  const V top = V{} + largest;
  V lows = top, highs = {}, nans = {};
  const auto take = [&](V v) {
    const V is_nan = (V)(v == top) & (with_nan ? top : V{}), plain = v & ~is_nan;
    lows = v < lows ? v : lows;
    highs = plain > highs ? plain : highs;
    nans -= is_nan;
  };
  V v{};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    std::memcpy(&v, keys + i, sizeof(V));
    take(v);
  }
  if (i < n) {  // the last again, where the row is not done
    for (int l = 0; l < lanes; ++l) v[l] = l < n - i ? keys[i + l] : keys[i];
    const V before = nans;
    take(v);
    for (int l = static_cast<int>(n - i); l < lanes; ++l) nans[l] = before[l];
  }
  KeySpan<Key> out = {keys, largest, 0, 0};
  for (int l = 0; l < lanes; ++l) {
    out.low = lows[l] < out.low ? lows[l] : out.low;
    out.high = highs[l] > out.high ? highs[l] : out.high;
    out.nans += static_cast<int64_t>(nans[l]);
  }
  std::memset(keys + n, 0xff, kKeyPadding * sizeof(Key));
  return out;
}

// Position of equal number k (from 0) of a key that the row has more than k of.
template <class Key>
int64_t position_of(const Key* keys, Key key, int64_t k) {
  constexpr int64_t step = kKeyPadding;
  int64_t i = 0;
  for (;; i += step) {  // k is below the number of those left, so that the row does not end before
    Key found = 0;
    for (int64_t j = 0; j < step; ++j) found += keys[i + j] == key;
    if (static_cast<int64_t>(found) > k) break;
    k -= static_cast<int64_t>(found);
  }
  while (keys[i] != key || k-- > 0) ++i;
  return i;
}

// How many keys are no larger than one below the largest of all, of which kKeyPadding follow the row.
template <class Key>
int64_t count_up_to(const Key* keys, int64_t n, Key limit) {
  using V = typename VectorOf<Key>::type;
  constexpr int lanes = VectorOf<Key>::lanes, together = 4;
  static_assert(lanes * together <= kKeyPadding, "whole steps");
  V counts[together] = {}, all = {};
  for (int64_t i = 0; i < n; i += lanes * together)
    for (int j = 0; j < together; ++j) {
      V v;
      std::memcpy(&v, keys + i + lanes * j, sizeof(V));
      counts[j] -= (V)(v <= V{} + limit);
    }
  for (int j = 0; j < together; ++j) all += counts[j];
  int64_t count = 0;
  for (int l = 0; l < lanes; ++l) count += static_cast<int64_t>(all[l]);
  return count;
}

// Position of the first key in [low, high], which the row has.
template <class Key>
int64_t position_within(const Key* keys, Key low, Key high) {
  const Key most = static_cast<Key>(high - low);
  int64_t i = 0;
  for (;; i += kKeyPadding) {
    Key found = 0;
    for (int64_t j = 0; j < kKeyPadding; ++j)
      found |= static_cast<Key>(static_cast<Key>(keys[i + j] - low) <= most);
    if (found) break;
  }
  while (static_cast<Key>(keys[i] - low) > most) ++i;
  return i;
}

// Halves the keys' range by counting, until one is left in it: some ten times, where keys have 32 bits.
template <class Key>
int64_t bisected_position(const KeySpan<Key>& span, int64_t n, int64_t k) {
  Key low = span.low, high = span.high;
  int64_t before = 0, within = n - span.nans;  // keys below low, and from low to high
  while (low < high && within > 1) {
    const Key middle = low + (high - low) / 2;
    const int64_t count = count_up_to(span.keys, n, middle);
    const bool above = count <= k;
    within = above ? within - (count - before) : count - before;
    before = above ? count : before;
    low = above ? middle + 1 : low;
    high = above ? high : middle;
  }
  if (low < high) return position_within(span.keys, low, high);
  return position_of(span.keys, low, k - before);
}

// The leading digit of the keys' range leaves a few candidates.
template <class Key>
int64_t selected_position(const KeySpan<Key>& span, int64_t n, int64_t k, int bits) {
  using E = typename EntryOf<Key>::type;
  constexpr int digits = 11;
  constexpr Key buckets = Key(1) << digits;
  const int drop = bits > digits ? bits - digits : 0;
  const auto bucket_of = [&](int64_t i) {  // of NaN: one beyond all others
    const Key d = static_cast<Key>(span.keys[i] - span.low) >> drop;
    return d < buckets ? d : buckets;
  };
  int64_t counts[buckets + 1];
  std::memset(counts, 0, sizeof(counts));
  for (int64_t i = 0; i < n; ++i) ++counts[bucket_of(i)];
  Key bucket = 0;
  while (k >= counts[bucket]) k -= counts[bucket++];
  Buffer<E> entries(counts[bucket] + 1);
  int64_t kept = 0;
  for (int64_t i = 0; i < n; ++i) {
    entries.get()[kept] = (static_cast<E>(span.keys[i]) << EntryOf<Key>::shift) | static_cast<E>(i);
    kept += bucket_of(i) == bucket;
  }
  select(entries.get(), kept, k + 1);
  return static_cast<int64_t>(entries.get()[k] & ((E(1) << EntryOf<Key>::shift) - 1));
}

// Position of the element that stands at place k in ascending order, NaN last; equal ones keep their order.
template <class Key>
int64_t position_at(const KeySpan<Key>& span, int64_t n, int64_t k) {
  const int64_t good = n - span.nans;
  if (k >= good) return position_of(span.keys, static_cast<Key>(~Key(0)), k - good);
  const int bits = bit_length<Key>(span.high - span.low);
  const bool by_counting = n <= 64 || (n <= 8192 && bits <= 4 * VectorOf<Key>::lanes);
  return by_counting ? bisected_position(span, n, k) : selected_position(span, n, k, bits);
}

// Rows of which `place` tells the place in ascending order of the element to pick.
template <class F>
EG_INLINE void pick_each(DType dtype, const char* x, char* values, int64_t* index, int64_t rows,
                         int64_t n, F place) {
  visit_all(dtype, [&](auto zero) {
    using T = decltype(zero);
    each_row(rows, n, [&](int64_t r) {
      const T* row = reinterpret_cast<const T*>(x) + r * n;
      if (n <= kTiny) {
        int64_t order[kTiny], good = 0;
        insert_row(row, order, n, n, KeyOf<T>(0));
        for (int64_t i = 0; i < n; ++i) good += equal(row[i], row[i]);
        index[r] = order[place(good)];
        reinterpret_cast<T*>(values)[r] = row[index[r]];
        return;
      }
      Buffer<KeyOf<T>> keys(n + kKeyPadding);
      write_keys(row, keys.get(), n);
      const auto span = span_of(keys.get(), n, !std::is_integral_v<T>);
      index[r] = position_at(span, n, place(n - span.nans));
      reinterpret_cast<T*>(values)[r] = row[index[r]];
    });
  });
}

void kth(DType dtype, const char* x, char* values, int64_t* index, int64_t rows, int64_t n,
         int64_t k) {
  pick_each(dtype, x, values, index, rows, n, [k](int64_t) { return k; });
}

void median(DType dtype, const char* x, char* values, int64_t* index, int64_t rows, int64_t n,
            bool skip_nan) {
  pick_each(dtype, x, values, index, rows, n, [n, skip_nan](int64_t good) {
    const bool is_nan = good < n && (!skip_nan || good == 0);
    return is_nan ? good : (good - 1) / 2;
  });
}

template <class T>
int64_t mode_position(const T* x, int64_t n) {
  Buffer<int64_t> order(n);
  const int64_t* at = order.get();
  sort_row(x, static_cast<T*>(nullptr), order.get(), n, false);
  int64_t longest = 0, found = 0;
  for (int64_t i = 0, end; i < n; i = end) {
    for (end = i + 1; end < n && equal(x[at[end]], x[at[i]]);) ++end;
    if (end - i > longest) {
      longest = end - i;
      found = at[end - 1];
    }
  }
  return found;
}

void mode(DType dtype, const char* x, char* values, int64_t* index, int64_t rows, int64_t n) {
  visit_all(dtype, [&](auto zero) {
    using T = decltype(zero);
    each_row(rows, n, [&](int64_t r) {
      const T* row = reinterpret_cast<const T*>(x) + r * n;
      index[r] = mode_position(row, n);
      reinterpret_cast<T*>(values)[r] = row[index[r]];
    });
  });
}

// --- rows compared lexicographically ---------------------------------------------------------------------------------
template <class T>
EG_INLINE bool row_before(const T* a, const T* b, int64_t width) {
  for (int64_t j = 0; j < width; ++j) {
    const KeyOf<T> ka = key_of(a[j]), kb = key_of(b[j]);
    if (ka != kb) return ka < kb;
  }
  return false;
}

void sort_rows(DType dtype, const char* x, int64_t* index, int64_t rows, int64_t width) {
  visit_all(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* data = reinterpret_cast<const T*>(x);
    Buffer<int64_t> other(rows);
    int64_t *from = index, *to = other.get();
    for (int64_t i = 0; i < rows; ++i) from[i] = i;
    for (int64_t run = 1; run < rows; run *= 2) {
      for (int64_t s = 0; s < rows; s += 2 * run) {
        const int64_t mid = s + run < rows ? s + run : rows;
        const int64_t end = mid + run < rows ? mid + run : rows;
        int64_t i = s, j = mid, k = s;
        while (i < mid && j < end) {
          const bool right = row_before(data + from[j] * width, data + from[i] * width, width);
          to[k++] = right ? from[j++] : from[i++];
        }
        while (i < mid) to[k++] = from[i++];
        while (j < end) to[k++] = from[j++];
      }
      int64_t* t = from;
      from = to;
      to = t;
    }
    if (from != index) std::memcpy(index, from, rows * sizeof(int64_t));
  });
}

// Where elements differ from the one before. A step at a time, as for keys.
template <class T>
int64_t mark_changes(const T* x, bool* first, int64_t n) {
  int64_t i = 1, runs = 1;
  first[0] = true;
  for (; i + kKeyPadding <= n; i += kKeyPadding) {
    uint8_t changes = 0;
    for (int64_t j = 0; j < kKeyPadding; ++j) {
      const bool differs = !equal(x[i + j], x[i + j - 1]);
      first[i + j] = differs;
      changes += differs;
    }
    runs += changes;
  }
  for (; i < n; ++i) runs += first[i] = !equal(x[i], x[i - 1]);
  return runs;
}

int64_t run_starts(DType dtype, const char* x, const int64_t* order, bool* first, int64_t rows,
                   int64_t width) {
  int64_t runs = 0;
  visit_all(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* data = reinterpret_cast<const T*>(x);
    if (width == 1 && !order && rows > 0) {
      runs = mark_changes(data, first, rows);
      return;
    }
    for (int64_t i = 0; i < rows; ++i) {
      bool differs = i == 0;
      if (!differs) {
        const T* a = data + (order ? order[i] : i) * width;
        const T* b = data + (order ? order[i - 1] : i - 1) * width;
        for (int64_t j = 0; j < width && !differs; ++j) differs = !equal(a[j], b[j]);
      }
      first[i] = differs;
      runs += differs;
    }
  });
  return runs;
}

// From the last to the first, so that the first of a run is what stays of it, without branches.
void describe_runs(const bool* first, const int64_t* order, int64_t rows, int64_t runs,
                   int64_t* starts, int64_t* inverse, int64_t* counts) {
  int64_t run = runs - 1;
  for (int64_t i = rows - 1; i >= 0; --i) {
    inverse[order ? order[i] : i] = run;
    counts[run] = i;
    run -= first[i];
  }
  int64_t end = rows;
  for (int64_t r = runs - 1; r >= 0; --r) {
    const int64_t start = counts[r];
    starts[r] = order ? order[start] : start;
    counts[r] = end - start;
    end = start;
  }
}

// --- search --------------------------------------------------------------------------------------------------------------
template <size_t Size>
struct IntOf {
  using type = int32_t;
};
template <>
struct IntOf<8> {
  using type = int64_t;
};

// The same for several values at once, whose loads overlap: every one takes the same steps. n fits in 31 bits.
template <class T>
EG_INLINE void search_several(const T* b, int64_t n, const T* values, int64_t count, bool right,
                              int64_t* out) {
  constexpr int kTogether = 16;
  using N = decltype(number(T{}));
  using I = typename IntOf<sizeof(N)>::type;
  typedef N Numbers __attribute__((vector_size(kTogether * sizeof(N))));
  typedef I Indices __attribute__((vector_size(kTogether * sizeof(N))));
  for (int64_t i = 0; i < count; i += kTogether) {
    const int64_t m = count - i < kTogether ? count - i : kTogether;
    Numbers v, at = Numbers{};
    Indices first = Indices{};
    for (int l = 0; l < kTogether; ++l) v[l] = number(values[i + (l < m ? l : 0)]);
    I left = static_cast<I>(n);
    for (; left > 1; left -= left / 2) {
      const I half = left / 2;
      const T* probe = b + half - 1;
      for (int l = 0; l < kTogether; ++l) at[l] = number(probe[first[l]]);
      first += (Indices{} + half) & ~(right ? (Indices)(at > v) : (Indices)(at >= v));
    }
    for (int l = 0; left && l < kTogether; ++l) at[l] = number(b[first[l]]);
    const Indices stays = right ? (Indices)(at > v) : (Indices)(at >= v);
    for (int64_t l = 0; l < m; ++l) out[i + l] = first[l] + (left && !stays[l]);
  }
}

void search(DType dtype, const char* boundaries, const int64_t* sorter, int64_t n,
            const char* values, int64_t rows, int64_t width, bool shared, bool right,
            int64_t* out) {
  visit_all(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* b = reinterpret_cast<const T*>(boundaries);
    const T* v = reinterpret_cast<const T*>(values);
    parallel_for(rows * width, kParallelGrain / 8, [&](int64_t begin, int64_t end) {
      if (shared && !sorter && n <= INT32_MAX) {
        search_several(b, n, v + begin, end - begin, right, out + begin);
        return;
      }
      for (int64_t i = begin; i < end; ++i) {
        const int64_t skip = shared ? 0 : i / width * n;
        out[i] = search_one(b + skip, sorter ? sorter + skip : nullptr, n, v[i], right);
      }
    });
  });
}

}  // namespace

EG_KERNELS(SortKernels,
           {&sort, &topk, &kth, &sort_rows, &run_starts, &describe_runs, &search, &median, &mode});

}  // namespace eg
