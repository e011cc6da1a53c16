#include "kernels/grain.h"
#include "kernels/sequence_kernels.h"

namespace eg {
namespace {

constexpr int64_t kStrip = 256;

// Elements begin .. end, at most a strip. The products are written down first, so that no level adds without rounding them.
template <class T>
EG_INLINE void fill_strip(const Sequence& s, int64_t begin, int64_t n, T* out) {
  const bool ahead = begin < s.turn;
  const double base = double(ahead ? begin : s.count - 1 - begin), way = ahead ? 1 : -1;
  const double from = ahead ? s.start : s.end, step = ahead ? s.step : -s.step;
  double products[kStrip];
  for (int32_t i = 0; i < int32_t(n); ++i) products[i] = step * (base + way * double(i));
  for (int64_t i = 0; i < n; ++i) out[i] = T(from + products[i]);
}

template <class T>
void fill_numbers(const Sequence& s, T* out) {
  parallel_for(s.count, kParallelGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {
      const int64_t stop = min64(min64(i + kStrip, end), i < s.turn ? s.turn : end);
      fill_strip(s, i, stop - i, out + i);
      i = stop;
    }
  });
}

void fill_whole(const Sequence& s, int64_t* out) {
  parallel_for(s.count, kParallelGrain, [&](int64_t begin, int64_t end) {
    constexpr int kLanes = 16;
    uint64_t next[kLanes];
    for (int l = 0; l < kLanes; ++l) next[l] = uint64_t(s.whole_at(begin + l));
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes)
      for (int l = 0; l < kLanes; ++l) {
        out[i + l] = int64_t(next[l]);
        next[l] += uint64_t(s.by) * kLanes;
      }
    for (int l = 0; i < end; ++i, ++l) out[i] = int64_t(next[l]);
  });
}

void fill(const Sequence& s, DType dtype, void* out) {
  if (s.whole) return fill_whole(s, static_cast<int64_t*>(out));
  visit_float(dtype, [&](auto zero) { fill_numbers(s, static_cast<decltype(zero)*>(out)); });
}

}  // namespace

EG_KERNELS(SequenceKernels, {&fill})

}  // namespace eg
