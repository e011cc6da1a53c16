// Resizing, padding and sampling on the GPU: eagergrad/cuda/vision.cu.
#include "kernels/vision.h"

#include <algorithm>
#include <vector>

#include "cuda/launch.h"
#include "cuda/tables.h"
#include "cuda/vision_layout.h"

namespace eg {
namespace {

constexpr const char* kFile = "vision.cu";
constexpr int64_t kFewEntries = 36;  // a result; with more, a pass a dimension reads less

int64_t volume(const int64_t* n) { return n[0] * n[1] * n[2]; }

struct Maps {
  LineEntries of[3];
  Tensor table;

  Maps(const LineMap* m, DType dtype) {
    cuda::TableBuilder build;
    size_t at[3][3];
    for (int i = 0; i < 3; ++i) {
      const int64_t entries = m[i].first[m[i].out];
      EG_CHECK(entries < (int64_t(1) << 31), "[interpolate] a dimension of ", m[i].out,
               " outputs reads too many inputs for a GPU");
      at[i][0] = build.add<int32_t>(m[i].first, m[i].out + 1);
      at[i][1] = build.add<int32_t>(m[i].index, entries);
      at[i][2] = visit_float(
          dtype, [&](auto zero) { return build.add<decltype(zero)>(m[i].weight, entries); });
    }
    table = build.finish();
    for (int i = 0; i < 3; ++i)
      of[i] = {m[i].in, m[i].out, reinterpret_cast<const int32_t*>(table.raw() + at[i][0]),
               reinterpret_cast<const int32_t*>(table.raw() + at[i][1]), table.raw() + at[i][2]};
  }
};

int64_t most_entries(const LineMap& m) {
  int64_t most = 1;
  for (int64_t o = 0; o < m.out; ++o) most = std::max(most, m.first[o + 1] - m.first[o]);
  return most;
}

void resample(const LineMap* m, DType dtype, int64_t planes, const void* x, void* y) {
  const int64_t out = planes * m[0].out * m[1].out * m[2].out;
  if (out == 0) return;
  const Maps maps(m, dtype);
  if (most_entries(m[0]) * most_entries(m[1]) * most_entries(m[2]) <= kFewEntries)
    return cuda::launch(cuda::kernel(kFile, "eg::map_planes", {dtype}), cuda::elements(out),
                        maps.of[0], maps.of[1], maps.of[2], planes, x, y);
  // Dimensions that shrink most come first.
  int order[3] = {2, 1, 0};
  std::stable_sort(order, order + 3,
                   [&](int i, int j) { return m[i].out * m[j].in < m[j].out * m[i].in; });
  int64_t size[3] = {m[0].in, m[1].in, m[2].in};
  Tensor from, to;
  for (int i = 0; i < 3; ++i) {
    const int d = order[i];
    const int64_t outer = planes * (d > 0 ? size[0] : 1) * (d > 1 ? size[1] : 1),
                  inner = (d < 1 ? size[1] : 1) * (d < 2 ? size[2] : 1);
    size[d] = m[d].out;
    if (i < 2) to = empty({planes * volume(size)}, dtype);
    const void* const source = i == 0 ? x : from.raw();
    void* const target = i == 2 ? y : to.raw();
    cuda::launch(cuda::kernel(kFile, "eg::map_line", {dtype}),
                 cuda::elements(planes * volume(size)), maps.of[d], outer, inner, source, target);
    from = to;
  }
}

void select(const LineMap* m, int64_t item, int64_t planes, const void* x, const void* fill,
            void* y) {
  const int64_t out = planes * m[0].out * m[1].out * m[2].out;
  if (out == 0) return;
  cuda::TableBuilder build;
  size_t at[3];
  for (int i = 0; i < 3; ++i) {
    std::vector<int32_t> index(static_cast<size_t>(m[i].out));
    for (int64_t o = 0; o < m[i].out; ++o)
      index[size_t(o)] = m[i].first[o] < m[i].first[o + 1] ? m[i].index[m[i].first[o]] : -1;
    at[i] = build.add<int32_t>(index.data(), m[i].out);
  }
  const Tensor table = build.finish();
  LineSelection of[3];
  for (int i = 0; i < 3; ++i)
    of[i] = {m[i].in, m[i].out, reinterpret_cast<const int32_t*>(table.raw() + at[i])};
  const bool there = cuda::driver().is_device_memory(fill);
  uint64_t number = 0;
  if (!there) std::memcpy(&number, fill, size_t(item));
  const DType t = item == 1   ? DType::UInt8
                  : item == 2 ? DType::Int16
                  : item == 4 ? DType::Int32
                              : DType::Int64;
  cuda::launch(cuda::kernel(kFile, "eg::select_planes", {t}), cuda::elements(out), of[0], of[1],
               of[2], planes, x, there ? fill : nullptr, number, y);
}

void grid_sample(const GridShape& s, DType dtype, const void* x, const void* grid, void* y) {
  cuda::Grid blocks = cuda::elements(s.batch * volume(s.out));
  // Few points: several threads share one's channels.
  const int64_t busy = int64_t(cuda::driver().multiprocessors) * 8;
  if (int64_t(blocks.blocks[0]) < busy)
    blocks.blocks[1] = unsigned(std::min<int64_t>(s.channels, busy / blocks.blocks[0]));
  cuda::launch(cuda::kernel(kFile, "eg::grid_sample", {dtype}), blocks, s, x, grid, y);
}

void grid_sample_backward(const GridShape& s, DType dtype, const void* gy, const void* x,
                          const void* grid, void* gx, void* ggrid) {
  const int64_t points = s.batch * volume(s.out), pixels = s.batch * volume(s.in);
  if (ggrid)
    cuda::launch(cuda::kernel(kFile, "eg::grid_points_grad", {dtype}), cuda::elements(points), s,
                 gy, x, grid, ggrid);
  if (!gx) return;
  const int taps = s.mode == 1 ? 1 : s.mode == 2 ? 16 : 1 << s.dims;
  EG_CHECK(points * taps < (int64_t(1) << 31),
           "[grid_sample] a GPU's backward pass takes fewer than 2^31 taps, got ", points * taps);
  const cuda::Scratch head(size_t(pixels) * sizeof(int32_t)),
      next(size_t(points * taps) * sizeof(int32_t)),
      weight(size_t(points * taps) * item_size(dtype));
  cuda::launch(cuda::kernel(kFile, "eg::fill_numbers"), cuda::elements(pixels), head.get<int32_t>(),
               pixels, int32_t(-1));
  cuda::launch(cuda::kernel(kFile, "eg::grid_sources", {dtype}), cuda::elements(points), s, taps,
               grid, head.get<int32_t>(), next.get<int32_t>(), weight.get());
  cuda::launch(cuda::kernel(kFile, "eg::order_sources"), cuda::elements(pixels), pixels,
               head.get<int32_t>(), next.get<int32_t>());
  cuda::launch(cuda::kernel(kFile, "eg::grid_input_grad", {dtype}),
               cuda::elements(pixels * s.channels), s, taps, gy, head.get<const int32_t>(),
               next.get<const int32_t>(), static_cast<const void*>(weight.get()), gx);
}

}  // namespace

EG_CUDA_KERNELS(VisionKernels, {&resample, &select, &grid_sample, &grid_sample_backward})

}  // namespace eg
