// Channels to places in an image, and back.
#include "core/parallel.h"
#include "kernels/units.h"
#include "ops/copy.h"
#include "ops/ops.h"
#include "ops/registry.h"
#include "ops/views.h"

namespace eg {
namespace {

// An image [planes, h r, w r] and its places as channels [planes, r, r, h, w].
struct Pixels {
  int64_t planes, r, h, w;

  template <class T>
  void move(T* image, T* channels, bool to_image) const {
    const int64_t lines = planes * r;  // of the image's rows, those that are one channel row each
    parallel_for(lines, kParallelGrain / (h * w * r) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t line = begin; line < end; ++line)
        for (int64_t y = 0; y < h; ++y) {
          T* row = image + ((line / r * h + y) * r + line % r) * w * r;
          T* from = channels + (line * r * h + y) * w;
          for (int64_t j = 0; j < r; ++j)
            for (int64_t x = 0; x < w; ++x) {
              T &place = row[x * r + j], &channel = from[j * h * w + x];
              (to_image ? place : channel) = to_image ? channel : place;
            }
        }
    });
  }
  void move(const Tensor& image, const Tensor& channels, bool to_image) const {
    visit_size(image.item_size(), [&](auto unit) {
      using T = decltype(unit);
      move(reinterpret_cast<T*>(image.raw()), reinterpret_cast<T*>(channels.raw()), to_image);
    });
  }
};

Tensor moved(const Tensor& x, int64_t r, bool to_image);

template <bool to_image>
struct MovePixels {
  static constexpr const char* name = to_image ? "PixelShuffle" : "PixelUnshuffle";
  int64_t r;

  Tensor forward(Context&, const Tensor& given) {
    const Tensor x = contiguous_data(given);
    Dims sizes = x.sizes();
    int64_t &c = sizes.end()[-3], &h = sizes.end()[-2], &w = sizes.end()[-1];
    c = to_image ? c / (r * r) : c * r * r;
    h = to_image ? h * r : h / r;
    w = to_image ? w * r : w / r;
    const Tensor y = empty(sizes, x.dtype(), x.device());
    if (y.numel() == 0) return y;
    const Tensor &image = to_image ? y : x, &channels = to_image ? x : y;
    const int64_t height = channels.size(-2), width = channels.size(-1);
    const Pixels all{x.numel() / (r * r * height * width), r, height, width};
    if (x.device().is_cpu()) {
      all.move(image, channels, to_image);
      return as_lies(given, y);
    }
    const Dims apart{all.planes, height, r, width, r}, together{all.planes, r, r, height, width};
    const Dims turn = to_image ? Dims{0, 3, 1, 4, 2} : Dims{0, 2, 4, 1, 3};
    return as_lies(given,
                   view(contiguous(permute(view(x, to_image ? together : apart), turn)), sizes));
  }
  Tensors backward(Context&, const Tensor& g) { return {moved(g, r, !to_image)}; }
};

Tensor moved(const Tensor& x, int64_t r, bool to_image) {
  return to_image ? eg::apply(MovePixels<true>{r}, x) : eg::apply(MovePixels<false>{r}, x);
}

void check_image(const char* op, const char* factor, const Tensor& x, int64_t r) {
  EG_CHECK(x.dim() >= 3, "[", op, "] expected at least 3 dimensions, got shape ", x.sizes());
  EG_CHECK(r > 0, "[", op, "] ", factor, " should be positive, got ", r);
}

EG_OP(
    +[](const Tensor& input, int64_t upscale_factor) {
      const int64_t r = upscale_factor, c = input.dim() >= 3 ? input.size(-3) : 0;
      check_image("pixel_shuffle", "upscale_factor", input, r);
      EG_CHECK(r <= c ? c % r == 0 && c / r % r == 0 : c == 0, "[pixel_shuffle] the ", c,
               " channels of input ", input.sizes(),
               " should be a multiple of upscale_factor ** 2");
      return moved(input, r, true);
    },
    "pixel_shuffle(input, upscale_factor)", "Channels to places in an image.", kInternal)
EG_OP(
    +[](const Tensor& input, int64_t downscale_factor) {
      const int64_t r = downscale_factor;
      check_image("pixel_unshuffle", "downscale_factor", input, r);
      EG_CHECK(input.size(-2) % r == 0 && input.size(-1) % r == 0,
               "[pixel_unshuffle] height and width of input ", input.sizes(),
               " should be multiples of downscale_factor = ", r);
      return moved(input, r, false);
    },
    "pixel_unshuffle(input, downscale_factor)", "Places in an image to channels.", kInternal)

// Channels g k of (N, C, ...) in the order k g.
struct ChannelShuffle {
  static constexpr const char* name = "ChannelShuffle";
  int64_t groups;
  Tensor forward(Context&, const Tensor& x) {
    const Tensor dense = contiguous_data(x);
    const int64_t n = x.size(0), c = x.size(1), each = c / groups;
    const int64_t plane = n * c > 0 ? x.numel() / (n * c) : 0;
    const Tensor turned = contiguous_data(make_view(
        dense, {n, each, groups, plane}, {c * plane, plane, each * plane, 1}, dense.offset()));
    const bool shared = &turned.storage() == &x.storage();  // nothing moves
    const Tensor y = make_view(turned, x.sizes(), contiguous_strides(x.sizes()), turned.offset());
    return as_lies(x, shared ? clone(y) : y);
  }
  Tensors backward(Context&, const Tensor& g) {
    return {g.size(1) ? apply(ChannelShuffle{g.size(1) / groups}, g) : g};
  }
};
EG_OP(
    +[](const Tensor& input, int64_t groups) {
      EG_CHECK(input.dim() >= 3, "[channel_shuffle] expected input with > 2 dims, came ",
               input.sizes());
      EG_CHECK(groups > 0, "[channel_shuffle] number of groups must be positive, came ", groups);
      EG_CHECK(input.size(1) % groups == 0,
               "[channel_shuffle] number of channels must be divisible by groups, came ",
               input.size(1), " and ", groups);
      return apply(ChannelShuffle{groups}, input);
    },
    "channel_shuffle(input, groups)", "Channels of groups one by one.", kInternal)

}  // namespace
}  // namespace eg
