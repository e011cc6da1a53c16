// Convolution whose windows do not overlap, by matrix products.
//
// Note [Patches]. Where no two windows share a number (strides as long as the kernel, as for the patches of a vision transformer; one
// window as large as the image), their numbers are the rows of a matrix,
//     y[position][output] = patches[position][k] * w[output][k],   k = (channel, tap)
// that is no larger than the input. Positions of several images are rows of one product. One window that is the whole image is read
// and written where it lies.
#pragma once

#include "kernels/conv_taps.h"
#include "kernels/gemm.h"
#include "kernels/square.h"

namespace eg {
namespace {

constexpr int64_t kPatchBytes = 2 << 20;  // of patches at a time
constexpr int64_t kPatchRun = 4;          // neighbours in a row of a window that pay for copying it

bool is_patches(const ConvShape& s) {
  bool whole = true;
  for (int i = 0; i < 3; ++i) {
    if (s.pad[i] != 0 || s.out[i] < 1 || (s.kernel[i] > 1 && s.dilation[i] != 1)) return false;
    if (s.out[i] > 1 && s.stride[i] < s.kernel[i]) return false;
    if ((s.out[i] - 1) * s.stride[i] + s.kernel[i] > s.in[i]) return false;
    whole = whole && s.kernel[i] == s.in[i];
  }
  const int64_t depth = s.in_channels / s.groups, outs = s.out_channels / s.groups;
  return s.batch > 0 && outs >= 4 && depth * volume(s.kernel) >= 64 &&
         (whole || s.kernel[2] >= kPatchRun);
}

template <class T>
class PatchConv {
 public:
  explicit PatchConv(const ConvShape& shape) : s(shape) {}

  void forward(const T* x, const T* w, const T* bias, T* y) {
    for_images([&](int64_t n, int64_t count) {
      Scratch<T> copied(whole ? 0 : count * positions * k);
      Scratch<T> sums(positions == 1 ? 0 : count * positions * outs);
      for (int64_t g = 0; g < s.groups; ++g) {
        const Rows<const T> patches = read(x, n, count, g, copied.data());
        const Rows<T> to = positions == 1 ? Rows<T>{y + outputs(n, g), s.out_channels}
                                          : Rows<T>{sums.data(), outs};
        if (bias) start(to, count * positions, outs, bias + g * outs, 1);
        gemm(Gemm<T>{false, true, bias != nullptr, count * positions, outs, k, patches.at,
                     patches.pitch, w + g * outs * k, k, to.at, to.pitch},
             true);
        if (positions > 1)
          each_image(count, positions * outs, [&](int64_t i) {
            transpose_matrix(to.at + i * positions * outs, outs, positions, outs,
                             y + outputs(n + i, g), positions);
          });
      }
    });
  }

  void input_grad(const T* gy, const T* w, const T* bias, T* gx) {
    for_images([&](int64_t n, int64_t count) {
      Scratch<T> turned(positions == 1 ? 0 : count * positions * outs);
      Scratch<T> patches(whole ? 0 : count * positions * k);
      for (int64_t g = 0; g < s.groups; ++g) {
        const Rows<const T> from = read_outputs(gy, n, count, g, turned.data());
        const T* start_at = bias ? bias + g * depth : nullptr;
        const Rows<T> to = whole ? Rows<T>{gx + inputs(n, g), s.in_channels * volume(s.in)}
                                 : Rows<T>{patches.data(), k};
        if (bias && whole) start(to, count, k, start_at, taps);
        gemm(Gemm<T>{false, false, bias && whole, count * positions, k, outs, from.at, from.pitch,
                     w + g * outs * k, k, to.at, to.pitch},
             true);
        if (!whole)
          each_image(count, depth * volume(s.in), [&](int64_t i) {
            write(to.at + i * positions * k, start_at, gx + inputs(n + i, g));
          });
      }
    });
  }

  void weight_grad(const T* gy, const T* x, T* gw) {
    for_images([&](int64_t n, int64_t count) {
      Scratch<T> turned(positions == 1 ? 0 : count * positions * outs);
      Scratch<T> copied(whole ? 0 : count * positions * k);
      for (int64_t g = 0; g < s.groups; ++g) {
        const Rows<const T> from = read_outputs(gy, n, count, g, turned.data());
        const Rows<const T> patches = read(x, n, count, g, copied.data());
        gemm(Gemm<T>{true, false, n > 0, outs, k, count * positions, from.at, from.pitch,
                     patches.at, patches.pitch, gw + g * outs * k, k},
             true);
      }
    });
  }

 private:
  template <class U>
  struct Rows {
    U* at;
    int64_t pitch;
  };

  const ConvShape& s;
  const int64_t depth = s.in_channels / s.groups, outs = s.out_channels / s.groups;
  const int64_t taps = volume(s.kernel), k = depth * taps, positions = volume(s.out);
  const bool whole = taps == volume(s.in);

  int64_t inputs(int64_t n, int64_t g) const {
    return (n * s.in_channels + g * depth) * volume(s.in);
  }
  int64_t outputs(int64_t n, int64_t g) const {
    return (n * s.out_channels + g * outs) * positions;
  }

  template <class F>
  void for_images(F&& f) const {
    const int64_t rows = max64(64, kPatchBytes / (k * int64_t(sizeof(T))));
    const int64_t together = whole ? s.batch : max64(1, rows / positions);
    for (int64_t n = 0; n < s.batch; n += together) f(n, min64(together, s.batch - n));
  }
  template <class F>
  void each_image(int64_t count, int64_t cost, F&& f) const {
    parallel_for(count, max64(1, kParallelGrain / cost), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) f(i);
    });
  }
  // A number for each `run` columns.
  void start(Rows<T> to, int64_t rows, int64_t columns, const T* value, int64_t run) const {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) to.at[i * to.pitch + j] = value[j / run];
  }

  // f(where a row of a window lies in the image, where among the patches)
  template <class F>
  void for_runs(F&& f) const {
    int64_t to = 0;
    for (int64_t p = 0; p < positions; ++p) {
      const int64_t z = p / (s.out[1] * s.out[2]) * s.stride[0];
      const int64_t y = p / s.out[2] % s.out[1] * s.stride[1], x = p % s.out[2] * s.stride[2];
      for (int64_t c = 0; c < depth; ++c)
        for (int64_t a = 0; a < s.kernel[0]; ++a)
          for (int64_t b = 0; b < s.kernel[1]; ++b, to += s.kernel[2])
            f(((c * s.in[0] + z + a) * s.in[1] + y + b) * s.in[2] + x, to);
    }
  }
  Rows<const T> read(const T* x, int64_t n, int64_t count, int64_t g, T* to) const {
    if (whole) return {x + inputs(n, g), s.in_channels * volume(s.in)};
    each_image(count, positions * k, [&](int64_t i) {
      const T* image = x + inputs(n + i, g);
      T* patches = to + i * positions * k;
      for_runs(
          [&](int64_t at, int64_t j) { copy_strided(patches + j, image + at, s.kernel[2], 1); });
    });
    return {to, k};
  }
  void write(const T* patches, const T* bias, T* image) const {
    const int64_t plane = volume(s.in);
    for (int64_t c = 0; c < depth; ++c)
      for (int64_t i = 0; i < plane; ++i) image[c * plane + i] = bias ? bias[c] : T(0);
    for_runs([&](int64_t at, int64_t j) {
      for (int64_t i = 0; i < s.kernel[2]; ++i) image[at + i] += patches[j + i];
    });
  }
  Rows<const T> read_outputs(const T* gy, int64_t n, int64_t count, int64_t g, T* to) const {
    if (positions == 1) return {gy + outputs(n, g), s.out_channels};
    each_image(count, positions * outs, [&](int64_t i) {
      transpose_matrix(gy + outputs(n + i, g), positions, outs, positions,
                       to + i * positions * outs, outs);
    });
    return {to, outs};
  }
};

}  // namespace
}  // namespace eg
