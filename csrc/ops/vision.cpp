// Resizing, padding and sampling of images.
#include "ops/vision.h"

#include <cmath>
#include <cstring>

#include "ops/copy.h"
#include "ops/creation.h"
#include "ops/registry.h"
#include "ops/spatial.h"
#include "tape/engine.h"
#include "tape/function.h"

namespace eg {

// --- separable maps ---------------------------------------------------------------------------------------------------

LineTable LineTable::identity(int64_t n) {
  LineTable t(n, n);
  for (int64_t i = 0; i < n; ++i) t.add(i, 1), t.end_row();
  t.identity_ = true;
  return t;
}

bool LineTable::copies() const {
  for (int64_t o = 0; o < out_; ++o)
    if (first_[o + 1] - first_[o] > 1) return false;
  for (double w : weight_)
    if (w != 1) return false;
  return true;
}

LineTable LineTable::transposed() const {
  LineTable t(out_, in_);
  t.identity_ = identity_;
  std::vector<std::vector<std::pair<int32_t, double>>> rows(in_);
  for (int64_t o = 0; o < out_; ++o)
    for (int64_t k = first_[o]; k < first_[o + 1]; ++k)
      rows[index_[k]].emplace_back(int32_t(o), weight_[k]);
  for (const auto& row : rows) {
    for (const auto& [index, weight] : row) t.add(index, weight);
    t.end_row();
  }
  return t;
}

Separable::Separable(LineTables tables) : copies(true) {
  for (size_t i = tables.size(); i < 3; ++i) forward.push_back(LineTable::identity(1));
  for (LineTable& t : tables) {
    copies = copies && t.copies();
    forward.push_back(std::move(t));
  }
}

bool Separable::is_small() const {
  size_t entries = 0;
  for (const LineTable& t : forward) entries += t.entries() + size_t(t.out());
  return entries <= 1 << 12;
}

const LineTables& Separable::transposes() {
  std::call_once(transposing_, [this] {
    for (const LineTable& t : forward) transposed_.push_back(t.transposed());
  });
  return transposed_;
}

TableCache<Separable>& separable_cache() {
  static auto& cache = *new TableCache<Separable>;  // outlives threads that still run at exit
  return cache;
}
std::shared_ptr<Separable> identity_map(int64_t n) {
  return separable({int64_t(TableKind::Identity), n}, [n] {
    LineTables one;
    one.push_back(LineTable::identity(n));
    return one;
  });
}

namespace {

// The maps of the last `dims` dimensions of x, as kernels take them: of the last three, or of a pixel's place in images of channels last.
struct Maps {
  bool pixels;
  std::shared_ptr<Separable> channels;
  LineMap of[3];
  Dims sizes;  // of the result

  Maps(const LineTables& tables, const Tensor& x, int64_t dims, bool keeps)
      : pixels(keeps && dims == 2 && has_pixels(x)), sizes(x.sizes()) {
    for (int64_t i = 0; i < dims; ++i)
      sizes[sizes.size() - dims + i] = tables[size_t(3 - dims + i)].out();
    if (pixels) channels = identity_map(x.size(1));
    for (size_t i = 0; i < 3; ++i)
      of[i] = (!pixels ? tables[i] : i < 2 ? tables[i + 1] : channels->forward[2]).map();
  }
  int64_t plane() const { return of[0].in * of[1].in * of[2].in; }

  // A result in x's dtype, its elements copied from x or, where a map has none, from fill.
  Tensor select(const Tensor& x, const void* fill) const {
    const Tensor cx = pixels ? x : contiguous_data(x);
    Tensor y = pixels ? empty_as_lies(x, sizes, x.dtype()) : empty(sizes, x.dtype());
    if (y.numel() > 0 && plane() > 0) {
      kernels<VisionKernels>().select(of, int64_t(x.item_size()), x.numel() / plane(), cx.raw(),
                                      fill, y.raw());
    }
    return y;
  }
  Tensor resample(const Tensor& x) const {
    if (x.numel() == 0) return zeros(sizes, x.dtype());
    const Tensor cx = pixels ? cast_pixels(x, compute_type(x.dtype())) : kernel_input(x);
    Tensor y = pixels ? empty_as_lies(x, sizes, cx.dtype()) : empty(sizes, cx.dtype());
    kernels<VisionKernels>().resample(of, cx.dtype(), x.numel() / plane(), cx.raw(), y.raw());
    return pixels ? cast_pixels(y, x.dtype()) : cast_data(y, x.dtype());
  }
};

struct Resample {
  static constexpr const char* name = "Resample";
  std::string shown;
  std::shared_ptr<Separable> maps;
  int64_t dims;
  bool keeps, transpose;

  std::string title() const { return shown; }
  Tensor forward(Context&, const Tensor& x) {
    const Maps m(transpose ? maps->transposes() : maps->forward, x, dims, keeps);
    const int64_t nothing = 0;
    const Tensor y = maps->copies && !transpose ? m.select(x, &nothing) : m.resample(x);
    return keeps ? as_lies(x, y) : y;
  }
  Tensors backward(Context&, const Tensor& g) {
    return {apply(Resample{shown, maps, dims, keeps, !transpose}, g)};
  }
};

}  // namespace

Tensor resample(std::string title, const Tensor& x, int64_t dims, std::shared_ptr<Separable> maps,
                bool keeps) {
  return apply(Resample{std::move(title), std::move(maps), dims, keeps, false}, x);
}

std::string title_of(const char* op, int64_t dims, const char* rest) {
  return str(op, dims, "D", rest);
}
std::string pool_title(const char* op, int64_t dims, const char* rest) {
  return dims == 1 ? "SqueezeBackward1" : title_of(op, dims, rest);
}

namespace {

// --- interpolate -----------------------------------------------------------------------------------------------------

struct Resize {
  int64_t in, out;
  double factor;  // scale factor that the user gave, or 0
  bool align_corners;
  double scale() const {
    if (align_corners) return out > 1 ? double(in - 1) / double(out - 1) : 0.0;
    return factor > 0 ? 1 / factor : double(in) / double(out);
  }
  double source(int64_t o) const {
    return align_corners ? scale() * double(o) : scale() * (double(o) + 0.5) - 0.5;
  }
};

int64_t clamp_index(int64_t i, int64_t n) { return std::min(std::max<int64_t>(i, 0), n - 1); }

// Positions are computed in float, as PyTorch does: ties of pixels fall the same way.
LineTable nearest_table(const Resize& r, bool exact) {
  LineTable t(r.in, r.out);
  const float scale =
      r.factor > 0 ? static_cast<float>(1.0 / r.factor) : float(r.in) / float(r.out);
  for (int64_t o = 0; o < r.out; ++o) {
    const float at = exact ? (float(o) + 0.5f) * scale : float(o) * scale;
    t.add(clamp_index(int64_t(std::floor(at)), r.in), 1);
    t.end_row();
  }
  return t;
}

LineTable linear_table(const Resize& r) {
  LineTable t(r.in, r.out);
  for (int64_t o = 0; o < r.out; ++o) {
    const double at = std::max(r.source(o), 0.0);
    const int64_t low = std::min(int64_t(at), r.in - 1);
    const double part = std::min(std::max(at - double(low), 0.0), 1.0);
    t.add(low, 1 - part);
    t.add(std::min(low + 1, r.in - 1), part);
    t.end_row();
  }
  return t;
}

// Cubic convolution (Keys 1981).
double cubic_weight(double d, double a) {
  d = std::fabs(d);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return 0;
}

LineTable cubic_table(const Resize& r) {
  LineTable t(r.in, r.out);
  for (int64_t o = 0; o < r.out; ++o) {
    const double at = r.source(o), base = std::floor(at);
    for (int64_t k = -1; k <= 2; ++k)
      t.add(clamp_index(int64_t(base) + k, r.in), cubic_weight(at - base - double(k), -0.75));
    t.end_row();
  }
  return t;
}

// The filter grows with the reduction, so that every pixel counts (as Pillow does it).
LineTable antialias_table(const Resize& r, bool is_cubic) {
  LineTable t(r.in, r.out);
  const double scale = r.scale(), reach = is_cubic ? 2 : 1;
  const double support = scale >= 1 ? reach * scale : reach, shrink = scale >= 1 ? 1 / scale : 1;
  std::vector<double> weights;
  for (int64_t o = 0; o < r.out; ++o) {
    const double center = scale * (double(o) + 0.5);
    const int64_t low = std::max<int64_t>(int64_t(center - support + 0.5), 0);
    const int64_t high = std::min(int64_t(center + support + 0.5), r.in);
    weights.clear();
    double total = 0;
    for (int64_t i = low; i < high; ++i) {
      const double d = (double(i) - center + 0.5) * shrink;
      weights.push_back(is_cubic ? cubic_weight(d, -0.5) : std::max(0.0, 1 - std::fabs(d)));
      total += weights.back();
    }
    for (int64_t i = low; i < high; ++i)
      t.add(i, total != 0 ? weights[i - low] / total : weights[i - low]);
    t.end_row();
  }
  return t;
}

LineTable resize_table(const Resize& r, const std::string& mode, bool antialias) {
  if (mode == "nearest" || mode == "nearest-exact")
    return nearest_table(r, mode == "nearest-exact");
  if (antialias) return antialias_table(r, mode == "bicubic");
  if (r.in == r.out) return LineTable::identity(r.in);
  return mode == "bicubic" ? cubic_table(r) : linear_table(r);
}

std::string upsample_title(const std::string& mode, int64_t dims, bool antialias) {
  const char* kinds[] = {"Linear", "Bilinear", "Trilinear"};
  const char* kind = mode == "nearest"         ? "Nearest"
                     : mode == "nearest-exact" ? "NearestExact"
                     : mode == "bicubic"       ? "Bicubic"
                                               : kinds[dims - 1];
  return title_of(str("Upsample", kind).c_str(), dims, antialias ? "Aa" : "");
}

double factor_of(const std::vector<double>& factors, int64_t i) {
  return i < int64_t(factors.size()) ? factors[i] : 0;
}

// A number for the mode of a key.
int64_t kind_of(const std::string& mode) {
  return mode == "nearest" ? 0 : mode == "nearest-exact" ? 1 : mode == "bicubic" ? 2 : 3;
}

// mode: nearest, nearest-exact, linear (of any number of dimensions), bicubic. factors: one a dimension, 0 for none.
Tensor upsample(const Tensor& input, const Dims& size, const std::vector<double>& factors,
                const std::string& mode, bool align_corners, bool antialias) {
  const int64_t dims = input.dim() - 2;
  EG_CHECK(dims >= 1 && dims <= 3 && int64_t(size.size()) == dims, "[interpolate] expected ", dims,
           " output sizes for input ", input.sizes(), ", got ", size);
  TableKey key{int64_t(TableKind::Resize), kind_of(mode), align_corners, antialias};
  for (int64_t i = 0; i < dims; ++i) {
    const int64_t in = input.size(2 + i);
    EG_CHECK(in > 0 && size[i] > 0,
             "[interpolate] input and output sizes should be greater than 0, got input ",
             input.sizes(), " and size ", size);
    const double factor = factor_of(factors, i);
    int64_t bits;
    std::memcpy(&bits, &factor, sizeof(bits));
    for (int64_t n : {in, size[i], bits}) key.add(n);
  }
  const auto maps = separable(key, [&] {
    LineTables tables;
    for (int64_t i = 0; i < dims; ++i)
      tables.push_back(resize_table(
          {input.size(2 + i), size[i], factor_of(factors, i), align_corners}, mode, antialias));
    return tables;
  });
  const bool nearest = mode.rfind("nearest", 0) == 0;
  const std::string title = upsample_title(mode, dims, antialias);
  if (input.is_floating() || (nearest && input.dtype() == DType::UInt8))
    return resample(title, input, dims, maps);
  EG_CHECK_KIND(NotImplemented, input.dtype() == DType::UInt8, "[interpolate] mode ", mode,
                " takes floating-point and uint8 inputs, got ", input.dtype(),
                "; convert it with .float()");
  const Tensor y = resample(title, cast_data(input, DType::Float32), dims, maps);
  const Tensor rounded = floor(y + Scalar(0.5));
  return cast_data(minimum(maximum(rounded, Tensor(0.0)), Tensor(255.0)), DType::UInt8);
}

// --- padding -----------------------------------------------------------------------------------------------------------

// Element of the padded dimension -> element of the input.
int64_t padded_index(const std::string& mode, int64_t i, int64_t n) {
  if (mode == "replicate") return clamp_index(i, n);
  if (mode == "circular") return ((i % n) + n) % n;
  if (i < 0) i = -i;
  return i >= n ? 2 * (n - 1) - i : i;
}

LineTable pad_table(const char* op, const std::string& mode, int64_t in, int64_t before,
                    int64_t after, IntSpan sizes) {
  const int64_t out = in + before + after;
  EG_CHECK(out > 0, "[", op, "] the padded input would be empty: input ", sizes, ", padding (",
           before, ", ", after, ")");
  if (mode == "reflect") {
    EG_CHECK(before < in && after < in, "[", op,
             "] reflection needs padding smaller than the dimension, got (", before, ", ", after,
             ") for size ", in, " in input ", sizes);
  } else if (mode == "circular") {
    EG_CHECK(before <= in && after <= in, "[", op, "] padding wraps around at most once, got (",
             before, ", ", after, ") for size ", in, " in input ", sizes);
  }
  EG_CHECK(in > 0, "[", op, "] cannot fill padding from an empty dimension, input ", sizes);
  LineTable t(in, out);
  // Negative padding crops first where the input wraps around.
  const int64_t cut = mode == "circular" ? std::max<int64_t>(0, -before) : 0;
  const int64_t rest = in - cut - (mode == "circular" ? std::max<int64_t>(0, -after) : 0);
  EG_CHECK(rest > 0, "[", op, "] padding (", before, ", ", after, ") crops all of size ", in,
           " in input ", sizes);
  for (int64_t o = 0; o < out; ++o) {
    t.add(cut + padded_index(mode, o - before - cut, rest), 1);
    t.end_row();
  }
  return t;
}

// pad: (before, after) of the last dimension, of the one before it, ...
Tensor pad_mode(const Tensor& input, const Dims& pad, const std::string& mode) {
  const int64_t dims = static_cast<int64_t>(pad.size()) / 2;
  EG_CHECK_KIND(NotImplemented, mode == "circular" || mode == "reflect" || mode == "replicate",
                "[pad] there is no mode ", mode);
  EG_CHECK_KIND(NotImplemented, mode == "circular" || input.dtype() != DType::Bool, "[pad] mode ",
                mode, " is not implemented for bool");
  EG_CHECK(pad.size() % 2 == 0 && dims >= 1 && dims <= 3, "[pad] mode ", mode,
           " takes 2, 4 or 6 padding numbers, got ", pad);
  EG_CHECK(input.dim() == dims + 1 || input.dim() == dims + 2, "[pad] mode ", mode,
           " with padding ", pad, " expects an input of ", dims + 1, " or ", dims + 2,
           " dimensions, got shape ", input.sizes());
  TableKey key{int64_t(TableKind::Pad), mode[2], dims};  // refLect, rePlicate, ciRcular
  for (int64_t n : pad) key.add(n);
  for (int64_t i = input.dim() - dims; i < input.dim(); ++i) key.add(input.size(i));
  const auto maps = separable(key, [&] {
    LineTables tables;
    for (int64_t i = 0; i < dims; ++i) {
      const int64_t j = dims - 1 - i;
      tables.push_back(pad_table("pad", mode, input.size(input.dim() - dims + i), pad[2 * j],
                                 pad[2 * j + 1], input.sizes()));
    }
    return tables;
  });
  return resample(title_of(mode == "reflect" ? "ReflectionPad" : "ReplicationPad", dims), input,
                  dims, maps, mode != "circular");
}

// The part of t that lies inside when `front` elements are cut off before dim and `size` remain.
Tensor window(const Tensor& t, const Dims& front, const Dims& sizes) {
  int64_t offset = t.offset();
  for (size_t i = 0; i < sizes.size(); ++i) offset += front[i] * t.strides()[i];
  return alias(t, sizes, t.strides(), offset);
}

// The gradient of padding by p is padding by -p.
struct ConstantPad {
  static constexpr const char* name = "ConstantPadNd";
  Dims before, after;  // a dimension each; negative ones crop
  Scalar value;

  // Images: every element is written once.
  bool pads_planes(const Tensor& x) const {
    if (x.numel() == 0) return false;
    for (int64_t i = 0; i + 2 < x.dim(); ++i)
      if (before[i] != 0 || after[i] != 0) return false;
    return x.dim() >= 2 &&
           before[x.dim() - 2] + after[x.dim() - 2] + before.back() + after.back() > 0;
  }
  Tensor pad_planes(const Tensor& x) const {
    Dims sizes = x.sizes();
    TableKey key{int64_t(TableKind::ConstantPad)};
    for (int64_t d = x.dim() - 2; d < x.dim(); ++d) {
      for (int64_t n : {x.size(d), before[d], after[d]}) key.add(n);
      sizes[d] += before[d] + after[d];
    }
    const auto maps = separable(key, [&] {
      LineTables tables;
      for (int64_t d = x.dim() - 2; d < x.dim(); ++d) {
        LineTable t(x.size(d), sizes[d]);
        for (int64_t o = 0; o < sizes[d]; ++o) {
          if (o >= before[d] && o < before[d] + x.size(d)) t.add(o - before[d], 1);
          t.end_row();
        }
        tables.push_back(std::move(t));
      }
      return tables;
    });
    const Tensor fill = scalar_tensor(value, x.dtype());
    return Maps(maps->forward, x, 2, true).select(x, fill.raw());
  }
  Tensor forward(Context&, const Tensor& x) {
    if (pads_planes(x)) return as_lies(x, pad_planes(x));
    Dims sizes = x.sizes(), from(sizes.size(), 0), to(sizes.size(), 0), common = x.sizes();
    bool padded = false;
    for (size_t i = 0; i < sizes.size(); ++i) {
      sizes[i] += before[i] + after[i];
      from[i] = std::max<int64_t>(0, -before[i]), to[i] = std::max<int64_t>(0, before[i]);
      common[i] -= from[i] + std::max<int64_t>(0, -after[i]);
      common[i] = std::max<int64_t>(0, common[i]);
      padded = padded || before[i] > 0 || after[i] > 0;
    }
    Tensor y = empty_as_lies(x, sizes, x.dtype());
    if (padded) fill(y, value);
    bool any = y.numel() > 0;
    for (int64_t n : common) any = any && n > 0;
    if (any) copy_into(window(y, to, common), window(x.detach(), from, common));
    return y;
  }
  Tensors backward(Context&, const Tensor& g) {
    ConstantPad back{before, after, Scalar(0)};
    for (int64_t& n : back.before) n = -n;
    for (int64_t& n : back.after) n = -n;
    return {apply(std::move(back), g)};
  }
};

Tensor constant_pad_nd(const Tensor& input, const Dims& pad, const Scalar& value) {
  const int64_t dims = static_cast<int64_t>(pad.size()) / 2, all = input.dim();
  EG_CHECK(pad.size() % 2 == 0, "[pad] the number of padding values should be even, got ", pad);
  EG_CHECK(dims <= all, "[pad] ", pad.size(), " padding values are for ", dims,
           " dimensions, the input has shape ", input.sizes());
  check_fits("pad", value, input.dtype());
  ConstantPad op{Dims(size_t(all), 0), Dims(size_t(all), 0), value};
  for (int64_t i = 0; i < dims; ++i) {
    const int64_t d = all - 1 - i;
    op.before[d] = pad[2 * i], op.after[d] = pad[2 * i + 1];
    EG_CHECK(input.size(d) + op.before[d] + op.after[d] >= 0, "[pad] dimension ", d, " of input ",
             input.sizes(), " would get a negative size with padding ", pad);
  }
  return apply(std::move(op), input);
}

// --- grid_sample ---------------------------------------------------------------------------------------------------------

std::tuple<Tensor, Tensor> grid_sample_gradient(const GridShape& s, const Tensor& g,
                                                const Tensor& x, const Tensor& grid,
                                                bool wants_input, bool wants_grid) {
  const Tensor cg = kernel_input(g), cx = kernel_input(x), cgrid = kernel_input(grid);
  Tensor gx = zeros(x.sizes(), cx.dtype()), ggrid = zeros(grid.sizes(), cx.dtype());
  if (s.mode == 1) wants_grid = false;  // the nearest pixel stays the same
  if (g.numel() > 0 && x.numel() > 0 && (wants_input || wants_grid)) {
    kernels<VisionKernels>().grid_sample_backward(s, cx.dtype(), cg.raw(), cx.raw(), cgrid.raw(),
                                                  wants_input ? gx.raw() : nullptr,
                                                  wants_grid ? ggrid.raw() : nullptr);
  }
  return {cast_data(gx, x.dtype()), cast_data(ggrid, grid.dtype())};
}

struct GridSample {
  static constexpr const char* name = "GridSample";
  GridShape s;
  std::string title() const { return title_of("GridSampler", s.dims); }
  Tensor forward(Context& ctx, const Tensor& x, const Tensor& grid) {
    ctx.save(x);
    ctx.save(grid);
    Dims sizes{s.batch, s.channels};
    sizes.append(s.out + 3 - s.dims, s.out + 3);
    const Tensor cx = kernel_input(x), cgrid = kernel_input(grid);
    Tensor y = empty(sizes, cx.dtype());
    if (y.numel() > 0) {
      kernels<VisionKernels>().grid_sample(s, cx.dtype(), cx.raw(), cgrid.raw(), y.raw());
    }
    return cast_data(y, x.dtype());
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    if (grad_enabled()) return recorded(ctx, g);
    auto [gx, ggrid] =
        grid_sample_gradient(s, g, ctx.saved(0), ctx.saved(1), ctx.needs(0), ctx.needs(1));
    return {ctx.needs(0) ? gx : Tensor(), ctx.needs(1) ? ggrid : Tensor()};
  }

 private:
  // The tape differentiates the composition; aliases keep it from walking beyond the inputs.
  Tensors recorded(Context& ctx, const Tensor& g) const {
    const Tensor x = view(ctx.saved(0), ctx.saved(0).sizes());
    const Tensor grid = view(ctx.saved(1), ctx.saved(1).sizes());
    TensorList inputs;
    for (const Tensor& t : {x, grid})
      if (t.requires_grad()) inputs.push_back(t);
    const TensorList found = grad({grid_sample_composed(s, x, grid)}, {g}, inputs, {true, true});
    Tensors out(2);
    size_t next = 0;
    if (x.requires_grad()) out[0] = found[next++];
    if (grid.requires_grad()) out[1] = found[next].defined() ? found[next] : zeros_like(grid);
    return out;
  }
};

int choice(const char* op, const char* what, const std::string& given,
           std::initializer_list<const char*> names) {
  int i = 0;
  for (const char* n : names) {
    if (given == n) return i;
    ++i;
  }
  std::string all;
  for (const char* n : names) all += (all.empty() ? "'" : ", '") + std::string(n) + "'";
  fail(ErrorKind::Value, "[", op, "] ", what, " should be one of ", all, ", got '", given, "'");
}

Tensor grid_sampler(const Tensor& input, const Tensor& grid, const std::string& mode,
                    const std::string& padding_mode, bool align_corners) {
  const int64_t dims = input.dim() - 2;
  EG_CHECK(dims == 2 || dims == 3,
           "[grid_sample] expected an input of 4 or 5 dimensions, got shape ", input.sizes());
  EG_CHECK(grid.dim() == input.dim() && grid.size(0) == input.size(0) && grid.size(-1) == dims,
           "[grid_sample] for input ", input.sizes(), " expected a grid (", input.size(0), ", ",
           dims == 2 ? "height, width, 2" : "depth, height, width, 3", "), got ", grid.sizes());
  EG_CHECK_KIND(NotImplemented, input.dtype() == grid.dtype() && input.is_floating(),
                "[grid_sample] expected input and grid of the same floating-point dtype, got ",
                input.dtype(), " and ", grid.dtype());
  GridShape s;
  s.batch = input.size(0), s.channels = input.size(1), s.dims = dims,
  s.align_corners = align_corners;
  s.mode = choice("grid_sample", "mode", mode, {"bilinear", "nearest", "bicubic"});
  s.padding =
      choice("grid_sample", "padding_mode", padding_mode, {"zeros", "border", "reflection"});
  EG_CHECK(s.mode != 2 || dims == 2, "[grid_sample] bicubic sampling takes 4-d inputs, got shape ",
           input.sizes());
  s.in[0] = s.out[0] = 1;
  for (int64_t i = 0; i < dims; ++i) {
    s.in[3 - dims + i] = input.size(2 + i), s.out[3 - dims + i] = grid.size(1 + i);
    EG_CHECK(input.size(2 + i) > 0,
             "[grid_sample] the input's spatial dimensions should not be empty, got shape ",
             input.sizes());
  }
  return apply(GridSample{s}, input, grid);
}

}  // namespace

EG_OP(&upsample, "upsample(input, size, factors, mode, align_corners=False, antialias=False)",
      "Resizes the spatial dimensions of (batch, channels, ...); what nn.functional.interpolate "
      "calls.",
      kInternal)
EG_OP(&pad_mode, "pad_mode(input, pad, mode)",
      "Pads the last dimensions by reflection, replication or circularly; what nn.functional.pad "
      "calls.",
      kInternal)
EG_OP(&constant_pad_nd, "constant_pad_nd(input, pad, value=0)",
      "Pads with a constant: pad lists (before, after) of the last dimension, of the one before it "
      "and so on; "
      "negative numbers crop.",
      kFunctionOnly)
EG_OP(&grid_sampler, "grid_sampler(input, grid, mode, padding_mode, align_corners)",
      "Samples images at the normalised positions of grid; what nn.functional.grid_sample calls.",
      kInternal)

}  // namespace eg
