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

constexpr int64_t kAlone = 1 << 15;  // so many numbers are exchanged by one block

// The exchanges of the loop are made in rounds: each waiting one that is the first to touch both its places. Nobody counts the
// rounds: after as many as nearly always suffice one block does what is left.
void permute(const uint64_t* bits, int64_t n, int64_t* out) {
  if (n == 0) return;
  EG_CHECK(n < (int64_t(1) << 31), "[randperm] expected fewer than 2^31 numbers on a GPU, got ", n);
  const cuda::Scratch partners(n * sizeof(int64_t)), marks(n * sizeof(uint64_t)),
      left(sizeof(int64_t));
  auto* const partner = partners.get<int64_t>();
  auto* const mark = marks.get<uint64_t>();
  cuda::fill_zero(left.get(), sizeof(int64_t));
  launch(kernel(kFile, "eg::permute_start"), elements(n), bits, n, out, partner, mark,
         left.get<int64_t>());
  int round = 1;
  if (n > kAlone) {
    int most = 24;
    for (int64_t m = n; m > 1; m /= 2) most += 2;
    for (; round <= most; ++round) {
      launch(kernel(kFile, "eg::permute_mark"), elements(n), n, round,
             static_cast<const int64_t*>(partner), mark,
             static_cast<const int64_t*>(left.get<int64_t>()));
      launch(kernel(kFile, "eg::permute_exchange"), elements(n), n, round, out, partner,
             static_cast<const uint64_t*>(mark), left.get<int64_t>());
    }
  }
  launch(kernel(kFile, "eg::permute_rest"), cuda::Grid(1, 1024), n, round, out, partner, mark,
         left.get<int64_t>());
}

void sample(Sample what, const double* a, const double* b, const uint64_t* seeds, int64_t n,
            double* out) {
  const char* const name = what == Sample::Poisson    ? "eg::sample<eg::PoissonOf>"
                           : what == Sample::Binomial ? "eg::sample<eg::BinomialOf>"
                           : what == Sample::VonMises ? "eg::sample<eg::VonMisesOf>"
                                                      : "eg::sample<eg::LogGammaOf>";
  if (n) launch(kernel(kFile, name), elements(n, 1, 128), a, b, seeds, n, out);
}
void slopes(const double* shape, const double* log_z, int64_t n, double* out) {
  if (n) launch(kernel(kFile, "eg::log_gamma_slopes"), elements(n, 1, 128), shape, log_z, n, out);
}

}  // namespace

EG_CUDA_KERNELS(RandomKernels, {&draw, &integers, &keep_mask, &permute, &sample, &slopes})

}  // namespace eg
