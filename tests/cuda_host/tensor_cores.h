// What eagergrad/cuda/tensor_cores.cuh asks of a card, on the host: its text says which lane has what.
#pragma once

#include <cstdint>
#include <cstring>

namespace eg_host {

// use(of), where of(lane) is what that lane of the warp has brought.
template <class T, class F>
void meet(const T& mine, F use) {
  const unsigned me = linear_thread(), first = me / 32 * 32;
  *eg_slot(me) = reinterpret_cast<uint64_t>(&mine);
  eg_warp_barrier();
  use([&](int from) -> const T& {
    return *reinterpret_cast<const T*>(*eg_slot(first + unsigned(from)));
  });
  eg_warp_barrier();
}

template <class T>
void multiply_add(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  struct Factors {
    T a[8], b[4];
  } mine;
  const uint32_t b[] = {b0, b1};
  std::memcpy(mine.a, a, sizeof a);
  std::memcpy(mine.b, b, sizeof b);
  meet(mine, [&](auto of) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane() / 4, column = lane() % 4 * 2 + i % 2;
      for (int k = 0; k < 16; ++k) {
        const int word = k / 8, at = k % 2, holder = k % 8 / 2;
        sum[i] += to_float(of(4 * row + holder).a[2 * (2 * word + i / 2) + at]) *
                  to_float(of(4 * column + holder).b[2 * word + at]);
      }
    }
  });
}

struct alignas(16) Words {
  uint32_t at[4];
};

// Each lane reads a row at once, as the card's do.
template <bool kTurned>
void load_matrices(uint32_t (&to)[4], const void* row) {
  const Words mine = *static_cast<const Words*>(row);
  meet(mine, [&](auto of) {
    const auto half = [&](int matrix, int r, int c) {
      return of(8 * matrix + r).at[c / 2] >> c % 2 * 16 & 0xffff;
    };
    const int line = lane() / 4, pair = lane() % 4 * 2;
    for (int m = 0; m < 4; ++m)
      to[m] = kTurned ? half(m, pair, line) | half(m, pair + 1, line) << 16
                      : half(m, line, pair) | half(m, line, pair + 1) << 16;
  });
}

// A copy may arrive at any time before it is waited for: until then there are NaNs in its place.
struct Copies {
  int count;
  struct {
    Words* to;
    Words what;
  } of[64];
};
// Of the running thread.
EG_UNWATCHED inline Copies& under_way() {
  static auto* const all = new Copies[1024]();
  return all[linear_thread()];
}

inline void copy_async(void* to, const void* from, int bytes) {
  Words what = {};
  const Words nothing = {{~0u, ~0u, ~0u, ~0u}};
  if (bytes == 16) {
    what = *static_cast<const Words*>(from);
  } else {
    for (int i = 0; i < bytes; i += 2)
      what.at[i / 4] |= uint32_t(static_cast<const uint16_t*>(from)[i / 2]) << i % 4 * 8;
  }
  *static_cast<Words*>(to) = nothing;
  Copies& copies = under_way();
  if (copies.count == 64) __trap();
  copies.of[copies.count++] = {static_cast<Words*>(to), what};
}
inline void wait_for_copies() {
  Copies& copies = under_way();
  for (int i = 0; i < copies.count; ++i) *copies.of[i].to = copies.of[i].what;
  copies.count = 0;
}

}  // namespace eg_host
