// Random numbers on the GPU.
#include "kernels/random.h"

#include "core/generator.h"
#include "cuda/launch.h"

namespace eg {
namespace {

using cuda::elements;
using cuda::kernel;
using cuda::launch;

constexpr const char* kFile = "random.cu";

// See Note [Capture]: a graph draws from the default generator.
const RandomPlace* place(uint64_t seed) {
  const RandomPlace* p = cuda::captured_random();
  EG_CHECK(!p || seed == default_generator().initial_seed(),
           "random numbers of a generator of one's own cannot be captured in a graph: use the "
           "default one");
  return p;
}

void draw(Draw what, bool wide, uint64_t seed, uint64_t offset, int64_t first, int64_t n,
          void* out) {
  if (n == 0) return;
  const char* name = nullptr;
  switch (what) {
    case Draw::Bits32:
      name = "eg::draw<eg::BitsOf, uint32_t>";
      break;
    case Draw::Bits64:
      name = "eg::draw<eg::BitsOf, uint64_t>";
      break;
    case Draw::Uniform:
      name = wide ? "eg::draw<eg::UniformOf, double>" : "eg::draw<eg::UniformOf, float>";
      break;
    case Draw::Normal:
      name = wide ? "eg::draw<eg::NormalOf, double>" : "eg::draw<eg::NormalOf, float>";
      break;
  }
  launch(kernel(kFile, name), elements(n, 4), seed, offset, place(seed), first, n, out);
}

void integers(uint64_t seed, uint64_t offset, int64_t first, int64_t n, int64_t low, uint64_t range,
              int64_t* out) {
  if (n)
    launch(kernel(kFile, "eg::integers"), elements(n, 2), seed, offset, place(seed), first, n, low,
           range, out);
}

void keep_mask(uint64_t seed, uint64_t offset, int64_t first, int64_t n, float below, float scale,
               float* out) {
  if (n)
    launch(kernel(kFile, "eg::keep_mask"), elements(n, 4), seed, offset, place(seed), first, n,
           below, scale, out);
}

}  // namespace

EG_CUDA_KERNELS(RandomKernels, {&draw, &integers, &keep_mask})

}  // namespace eg
