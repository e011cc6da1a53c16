// Implicit-GEMM convolution without an im2col buffer: Note [Wide channels] in conv_wide.h, Note [Flat taps] in
// conv_flat.h.
#include "kernels/conv.h"

#include "kernels/conv_depthwise.h"
#include "kernels/conv_flat.h"
#include "kernels/conv_patches.h"
#include "kernels/conv_pointwise.h"
#include "kernels/conv_tiles.h"
#include "kernels/conv_wide.h"
#include "kernels/conv_winograd.h"

namespace eg {
namespace {

template <class T>
void run_piece(const TapConv<T>& t, const int64_t* kernel) {
  if (prefers_depthwise<T>(t, t.depth, t.outs)) return run_depthwise(t, kernel);
  if constexpr (std::is_same_v<T, float>)
    if (prefers_winograd(t) && WinogradConv(t, kernel).run()) return;
  prefers_wide<T>(t.outs) ? run_wide(t, kernel) : run_flat(t, kernel);
}

template <class T>
void run(const TapConv<T>& t, const int64_t* kernel) {
  if (is_pointwise(t)) return run_pointwise(t);
  const int64_t pieces = line_pieces(t, sizeof(T)), outputs = t.dim[2].outputs;
  if (pieces == 1) return run_piece(t, kernel);
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    Scratch<int64_t> shift(t.dim[2].taps);
    for (int64_t i = begin; i < end; ++i) {
      TapConv<T> piece = t;
      const int64_t first = i * outputs / pieces;
      piece.src += cut_line(piece.dim[2], first, (i + 1) * outputs / pieces, shift.data());
      piece.dst_base += first * t.dst_stride[2];
      run_piece(piece, kernel);
    }
  });
}

#if defined(EG_AMX)
void run(const TapConv<BFloat16>& t, const int64_t* kernel) { TileConv(t, kernel).run(); }
#endif

template <class T>
void forward(const ConvShape& s, const T* x, const T* w, const T* bias, T* y) {
  TapConv<T> t;
  TapTables tables(s);
  tables.attach(s, t.dim);
  for (int i = 0; i < 3; ++i) forward_dim(s, i, t.dim[i]);
  t.batch = s.batch, t.groups = s.groups;
  t.depth = s.in_channels / s.groups, t.outs = s.out_channels / s.groups;
  t.src = x, t.src_channel = volume(s.in);
  t.dst = y, t.dst_channel = volume(s.out), t.dst_base = 0;
  t.dst_stride[0] = s.out[1] * s.out[2], t.dst_stride[1] = s.out[2], t.dst_stride[2] = 1;
  t.bias = bias, t.taps = volume(s.kernel);
  t.weights = w, t.weight_out = t.depth * t.taps, t.weight_depth = t.taps;
  t.weight_group = t.outs * t.depth * t.taps;
  run(t, s.kernel);
}

// Inputs that no tap reaches: the bias, or zero.
template <class T>
void fill_residue(const TapConv<T>& t) {
  const int64_t channels = t.groups * t.outs;
  for (int64_t i = 0; i < t.batch * channels; ++i) {
    const T value = t.bias ? t.bias[i % channels] : T{};
    T* to = t.dst + t.dst_base + i * t.dst_channel;
    for (int64_t z = 0; z < t.dim[0].outputs; ++z)
      for (int64_t y = 0; y < t.dim[1].outputs; ++y)
        for (int64_t x = 0; x < t.dim[2].outputs; ++x)
          to[z * t.dst_stride[0] + y * t.dst_stride[1] + x * t.dst_stride[2]] = value;
  }
}

template <class T>
void input_grad(const ConvShape& s, const T* gy, const T* w, const T* bias, T* gx) {
  TapConv<T> t;
  TapTables tables(s);
  tables.attach(s, t.dim);
  t.batch = s.batch, t.groups = s.groups;
  t.depth = s.out_channels / s.groups, t.outs = s.in_channels / s.groups;
  t.src = gy, t.src_channel = volume(s.out);
  t.dst = gx, t.dst_channel = volume(s.in), t.bias = bias;
  t.weights = w;
  const int64_t row = s.in[2], plane = s.in[1] * s.in[2], taps = volume(s.kernel);
  t.dst_stride[0] = s.stride[0] * plane, t.dst_stride[1] = s.stride[1] * row,
  t.dst_stride[2] = s.stride[2];
  t.weight_out = taps, t.weight_depth = t.outs * taps, t.weight_group = t.depth * t.outs * taps;
  for (int64_t a = 0; a < min64(s.stride[0], s.in[0]); ++a) {
    for (int64_t b = 0; b < min64(s.stride[1], s.in[1]); ++b) {
      for (int64_t c = 0; c < min64(s.stride[2], s.in[2]); ++c) {
        input_grad_dim(s, 0, a, t.dim[0]);
        input_grad_dim(s, 1, b, t.dim[1]);
        input_grad_dim(s, 2, c, t.dim[2]);
        t.dst_base = a * plane + b * row + c;
        t.taps = t.dim[0].taps * t.dim[1].taps * t.dim[2].taps;
        if (t.taps == 0 || volume(s.out) == 0) {
          fill_residue(t);
          continue;
        }
        run(t, s.kernel);
      }
    }
  }
}

template <class T>
void weight_grad_piece(const GradConv<T>& t, const ConvShape& s, T* gw) {
  if (prefers_depthwise<T>(t, t.depth, t.outs)) return depthwise_weight_grad(t, gw);
  if constexpr (std::is_same_v<T, float>)
    if (prefers_winograd(t) && WinogradGrad(t, s.kernel).run(gw)) return;
  const int64_t run = s.dilation[2] == 1 ? s.kernel[2] * t.depth : t.depth;
  prefers_wide<T>(run) ? wide_weight_grad(t, s.kernel, gw) : flat_weight_grad(t, gw);
}

template <class T>
GradConv<T> grad_conv(const ConvShape& s, const T* gy, const T* x, TapTables& tables) {
  GradConv<T> t;
  tables.attach(s, t.dim);
  for (int i = 0; i < 3; ++i) forward_dim(s, i, t.dim[i]);
  t.batch = s.batch, t.groups = s.groups;
  t.depth = s.in_channels / s.groups, t.outs = s.out_channels / s.groups;
  t.taps = volume(s.kernel);
  t.x = x, t.gy = gy, t.x_channel = volume(s.in), t.gy_channel = volume(s.out);
  return t;
}

template <class T>
void weight_grad(const ConvShape& s, const T* gy, const T* x, T* gw) {
  TapTables tables(s);
  const GradConv<T> t = grad_conv(s, gy, x, tables);
  if (t.flops() == 0) return zero(gw, t.weights());
  const int64_t pieces = line_pieces(t, sizeof(T)), outputs = t.dim[2].outputs, total = t.weights();
  if (pieces == 1) return weight_grad_piece(t, s, gw);
  // Sums of pieces, in a fixed number of lists so that the bits do not depend on the threads.
  const int64_t lists = min64(pieces, 8);
  Scratch<T> sums(lists * total);
  parallel_for(lists, 1, [&](int64_t begin, int64_t end) {
    Scratch<int64_t> shift(t.dim[2].taps);
    Scratch<T> part(total);
    for (int64_t j = begin; j < end; ++j) {
      T* sum = sums.data() + j * total;
      zero(sum, total);
      for (int64_t i = j * pieces / lists; i < (j + 1) * pieces / lists; ++i) {
        GradConv<T> piece = t;
        const int64_t first = i * outputs / pieces;
        piece.x += cut_line(piece.dim[2], first, (i + 1) * outputs / pieces, shift.data());
        piece.gy += first;
        weight_grad_piece(piece, s, part.data());
        for (int64_t k = 0; k < total; ++k) sum[k] += part.data()[k];
      }
    }
  });
  zero(gw, total);
  for (int64_t j = 0; j < lists; ++j)
    for (int64_t k = 0; k < total; ++k) gw[k] += sums.data()[j * total + k];
}

#if defined(EG_AMX)
void weight_grad(const ConvShape& s, const BFloat16* gy, const BFloat16* x, BFloat16* gw) {
  TapTables tables(s);
  const GradConv<BFloat16> t = grad_conv(s, gy, x, tables);
  if (t.flops() == 0)
    return (void)memset(static_cast<void*>(gw), 0, size_t(t.weights()) * sizeof(*gw));
  TileGrad(t).run(gw);
}
#endif

// ---------------------------------------------------------------------------- entry points

// The three members as sums over taps.
template <class T>
struct TapSums {
  const ConvShape& s;
  void forward(const T* x, const T* w, const T* bias, T* y) { eg::forward(s, x, w, bias, y); }
  void input_grad(const T* gy, const T* w, const T* bias, T* gx) {
    eg::input_grad(s, gy, w, bias, gx);
  }
  void weight_grad(const T* gy, const T* x, T* gw) { eg::weight_grad(s, gy, x, gw); }
};

// BFloat16 too where there are tiles for it: but channels by themselves have no sums to speak of.
bool takes(DType t, const ConvShape& s) {
#if defined(EG_AMX)
  const int64_t depth = s.in_channels / s.groups, outs = s.out_channels / s.groups;
  return t == DType::BFloat16 && tiles_available() && (s.groups < 4 || depth * outs > 4);
#else
  return false;
#endif
}

// f(a way to compute the convolution, a number of the type)
template <class F>
void visit_ways(const ConvShape& s, DType t, F&& f) {
#if defined(EG_AMX)
  if (t == DType::BFloat16) return f(TapSums<BFloat16>{s}, BFloat16{});
#endif
  visit_float(t, [&](auto zero) {
    using T = decltype(zero);
    is_patches(s) ? f(PatchConv<T>(s), zero) : f(TapSums<T>{s}, zero);
  });
}

void forward_any(const ConvShape& s, DType t, const void* x, const void* w, const void* bias,
                 void* y) {
  visit_ways(s, t, [&](auto way, auto zero) {
    using T = decltype(zero);
    way.forward(static_cast<const T*>(x), static_cast<const T*>(w), static_cast<const T*>(bias),
                static_cast<T*>(y));
  });
}
void input_grad_any(const ConvShape& s, DType t, const void* gy, const void* w, const void* bias,
                    void* gx) {
  visit_ways(s, t, [&](auto way, auto zero) {
    using T = decltype(zero);
    way.input_grad(static_cast<const T*>(gy), static_cast<const T*>(w), static_cast<const T*>(bias),
                   static_cast<T*>(gx));
  });
}
void weight_grad_any(const ConvShape& s, DType t, const void* gy, const void* x, void* gw) {
  visit_ways(s, t, [&](auto way, auto zero) {
    using T = decltype(zero);
    way.weight_grad(static_cast<const T*>(gy), static_cast<const T*>(x), static_cast<T*>(gw));
  });
}

}  // namespace

EG_KERNELS(ConvKernels, {&takes, &forward_any, &input_grad_any, &weight_grad_any})

}  // namespace eg
