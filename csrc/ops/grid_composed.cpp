// grid_sample made of differentiable ops: where its gradient itself is to be differentiated.
#include "ops/ops.h"
#include "ops/vision.h"

namespace eg {
namespace {

Tensor number(double v) { return Tensor(v); }

// One entry of a line of the input: where, and how much of it (both (batch, points)).
struct Tap {
  Tensor at, weight;
};

// Coordinates mirrored at the ends of n entries, or at the centres of the outermost ones.
Tensor reflected(const Tensor& c, int64_t n, bool centres) {
  const double low = centres ? 0 : -0.5, span = centres ? double(n - 1) : double(n);
  if (span == 0) return mul(c, number(0));
  const Tensor away = abs(sub(c, number(low)));
  const Tensor rest = fmod(away, number(span));
  const Tensor turns = floor(div(away.detach(), number(span)));
  const Tensor even = eq(fmod(turns, number(2)), number(0));
  return add(where(even, rest, sub(number(span), rest)), number(low));
}

Tensor held(const Tensor& c, int64_t n) {
  return clamp_tensor(c, number(0), number(double(n - 1)));
}

Tensor padded(const GridShape& s, const Tensor& c, int64_t n) {
  if (s.padding == 0) return c;
  return held(s.padding == 2 ? reflected(c, n, s.align_corners) : c, n);
}

// Keys' cubic with a = -0.75, at distance t from the entry.
Tensor cubic(const Tensor& t, bool near) {
  const double a = -0.75;
  if (near) return add(mul(mul(sub(mul(t, number(a + 2)), number(a + 3)), t), t), number(1));
  const Tensor inner = add(mul(sub(mul(t, number(a)), number(5 * a)), t), number(8 * a));
  return sub(mul(inner, t), number(4 * a));
}

std::vector<Tap> taps_of(const GridShape& s, const Tensor& position, int64_t n) {
  const Tensor scaled =
      s.align_corners ? mul(add(position, number(1)), number(double(n - 1) / 2))
                      : sub(mul(add(position, number(1)), number(double(n) / 2)), number(0.5));
  const Tensor c = s.mode == 2 ? scaled : padded(s, scaled, n);
  const Tensor base = s.mode == 1 ? round(c.detach()) : floor(c.detach());
  const Tensor t = sub(c, base);
  std::vector<Tap> taps;
  const auto tap = [&](int64_t offset, const Tensor& weight) {
    Tensor at = add(base, number(double(offset)));
    if (s.mode == 2) at = padded(s, at, n);
    const Tensor inside = mul(ge(at, number(0)), le(at, number(double(n - 1))));
    taps.push_back({to(held(at, n), DType::Int64), where(inside, weight, number(0))});
  };
  if (s.mode == 1) {
    tap(0, ones_like(base));
  } else if (s.mode == 0) {
    tap(0, sub(number(1), t));
    tap(1, t);
  } else {
    tap(-1, cubic(add(t, number(1)), false));
    tap(0, cubic(t, true));
    tap(1, cubic(sub(number(1), t), true));
    tap(2, cubic(sub(number(2), t), false));
  }
  return taps;
}

}  // namespace

Tensor grid_sample_composed(const GridShape& s, const Tensor& x, const Tensor& grid) {
  const int64_t first = 3 - s.dims;
  int64_t points = 1, plane = 1;
  for (int64_t d = first; d < 3; ++d) points *= s.out[d], plane *= s.in[d];
  const Tensor flat = reshape(x, {s.batch, s.channels, plane});
  const Tensor positions = reshape(grid, {s.batch, points, s.dims});
  std::vector<Tap> all{{Tensor(), Tensor()}};  // over the dimensions so far
  for (int64_t d = first; d < 3; ++d) {
    const std::vector<Tap> line = taps_of(s, select(positions, 2, 2 - d), s.in[d]);
    std::vector<Tap> next;
    for (const Tap& a : all)
      for (const Tap& b : line) {
        if (!a.at.defined()) {
          next.push_back(b);
          continue;
        }
        next.push_back({add(mul(a.at, Tensor(Scalar(s.in[d]))), b.at), mul(a.weight, b.weight)});
      }
    all = std::move(next);
  }
  Tensor y;
  for (const Tap& t : all) {
    const Tensor at = expand(unsqueeze(t.at, 1), {s.batch, s.channels, points});
    const Tensor part = mul(gather(flat, 2, at), unsqueeze(t.weight, 1));
    y = y.defined() ? add(y, part) : part;
  }
  Dims sizes{s.batch, s.channels};
  sizes.append(s.out + first, s.out + 3);
  return reshape(y, sizes);
}

}  // namespace eg
