// Pooling on the GPU: eagergrad/cuda/pool.cu.
#include "kernels/pool.h"

#include <vector>

#include "cuda/launch.h"
#include "cuda/pool_layout.h"
#include "cuda/tables.h"

namespace eg {
namespace {

constexpr const char* kFile = "pool.cu";

// Windows begin and end in ascending order, so those that see a position are neighbours.
std::vector<int32_t> seen_by(const PoolShape& s, int i, bool last) {
  std::vector<int32_t> to(size_t(s.in[i]));
  int64_t o = 0;
  for (int64_t p = 0; p < s.in[i]; ++p) {
    while (o < s.out[i] && (last ? s.begin[i][o] <= p : s.end[i][o] <= p)) ++o;
    to[size_t(p)] = int32_t(o);
  }
  return to;
}

struct Windows {
  PoolWindows w;
  Tensor table;

  Windows(const PoolShape& s, bool inverse) {
    cuda::TableBuilder build;
    size_t at[3][4] = {};
    w.planes = s.planes;
    for (int i = 0; i < 3; ++i) {
      w.in[i] = int32_t(s.in[i]), w.out[i] = int32_t(s.out[i]), w.step[i] = int32_t(s.step[i]);
      if (inverse) {
        at[i][2] = build.add<int32_t>(seen_by(s, i, false).data(), s.in[i]);
        at[i][3] = build.add<int32_t>(seen_by(s, i, true).data(), s.in[i]);
      } else {
        at[i][0] = build.add<int32_t>(s.begin[i], s.out[i]);
        at[i][1] = build.add<int32_t>(s.end[i], s.out[i]);
      }
    }
    table = build.finish();
    const auto get = [&](size_t offset) {
      return reinterpret_cast<const int32_t*>(table.raw() + offset);
    };
    for (int i = 0; i < 3; ++i)
      w.begin[i] = get(at[i][0]), w.end[i] = get(at[i][1]), w.first[i] = get(at[i][2]),
      w.last[i] = get(at[i][3]);
  }
};

int64_t volume(const int64_t* n) { return n[0] * n[1] * n[2]; }

void max_pool(const PoolShape& s, DType dtype, const void* x, void* y, int64_t* indices) {
  const Windows windows(s, false);
  cuda::launch(cuda::kernel(kFile, "eg::max_pool", {dtype}),
               cuda::elements(s.planes * volume(s.out)), windows.w, x, y, indices);
}
void max_pool_backward(const PoolShape& s, DType dtype, const void* g, const int64_t* indices,
                       void* gx) {
  const Windows windows(s, true);
  cuda::launch(cuda::kernel(kFile, "eg::max_pool_backward", {dtype}),
               cuda::elements(s.planes * volume(s.in)), windows.w, g, indices, gx);
}

void gather(DType dtype, int64_t planes, int64_t from, int64_t to, const void* x,
            const int64_t* index, void* y) {
  cuda::launch(cuda::kernel(kFile, "eg::plane_gather", {dtype}), cuda::elements(planes * to),
               planes, from, to, x, index, y);
}

void scatter(DType dtype, bool add, int64_t planes, int64_t from, int64_t to, const void* x,
             const int64_t* index, void* y) {
  const int64_t sources = planes * from, targets = planes * to;
  EG_CHECK(sources < (int64_t(1) << 31), "[pooling] a GPU scatters fewer than 2^31 elements, got ",
           sources);
  if (targets == 0) return;
  const cuda::Scratch head(targets * sizeof(int32_t)), next(add ? sources * sizeof(int32_t) : 0);
  const bool last = !add;
  cuda::launch(cuda::kernel(kFile, "eg::fill_numbers"), cuda::elements(targets),
               head.get<int32_t>(), targets, int32_t(-1));
  cuda::launch(cuda::kernel(kFile, "eg::plane_targets"), cuda::elements(sources), planes, from, to,
               index, last, head.get<int32_t>(), next.get<int32_t>());
  cuda::launch(cuda::kernel(kFile, "eg::plane_sums", {dtype}), cuda::elements(targets), targets,
               last, x, head.get<const int32_t>(), next.get<int32_t>(), y);
}

PoolBlocks blocks_of(const BlockShape& s) {
  PoolBlocks b;
  b.planes = s.planes;
  for (int i = 0; i < 2; ++i)
    b.in[i] = int32_t(s.in[i]), b.blocks[i] = int32_t(s.blocks[i]),
    b.kernel[i] = int32_t(s.kernel[i]), b.stride[i] = int32_t(s.stride[i]),
    b.pad[i] = int32_t(s.pad[i]), b.dilation[i] = int32_t(s.dilation[i]);
  return b;
}

void unfold(const BlockShape& s, DType dtype, const void* x, void* y) {
  const int64_t n = s.planes * s.kernel[0] * s.kernel[1] * s.blocks[0] * s.blocks[1];
  cuda::launch(cuda::kernel(kFile, "eg::unfold", {dtype}), cuda::elements(n), blocks_of(s), x, y);
}
void fold(const BlockShape& s, DType dtype, const void* y, void* x) {
  cuda::launch(cuda::kernel(kFile, "eg::fold", {dtype}),
               cuda::elements(s.planes * s.in[0] * s.in[1]), blocks_of(s), y, x);
}

}  // namespace

EG_CUDA_KERNELS(PoolKernels, {&max_pool, &max_pool_backward, &gather, &scatter, &unfold, &fold})

}  // namespace eg
