#include "kernels/matmul.h"

#include <algorithm>

#include "cuda/launch.h"

namespace eg {
namespace {

void integers(const Products& p) {
  visit_integral(p.type, [&](auto zero) {
    using T = decltype(zero);
    const int64_t tiles = p.batch * ((p.m + 15) / 16) * ((p.n + 15) / 16);
    const auto rows = [](bool trans, int64_t ld) { return trans ? int64_t(1) : ld; };
    cuda::launch(cuda::kernel("matmul.cu", "eg::integer_products", {p.type}),
                 cuda::Grid(std::min<int64_t>(tiles, 1 << 30), 1, 1, 16, 16, 1),
                 static_cast<const T*>(p.a), static_cast<const T*>(p.b), static_cast<T*>(p.c),
                 p.batch, p.m, p.n, p.k, rows(p.trans_a, p.lda), rows(!p.trans_a, p.lda),
                 rows(p.trans_b, p.ldb), rows(!p.trans_b, p.ldb), p.step_a, p.step_b, p.add);
  });
}

void multiply(const Products& p) {
  const int64_t results = p.batch * p.m * p.n;
  if (results == 0) return;
  if (p.k == 0) {
    if (!p.add) cuda::fill_zero(p.c, size_t(results) * item_size(p.type));
    return;
  }
  if (!is_floating(p.type)) return integers(p);
  const cuda::Gemm g = {static_cast<int>(p.type),
                        p.trans_a,
                        p.trans_b,
                        p.m,
                        p.n,
                        p.k,
                        1.0,
                        p.add ? 1.0 : 0.0,
                        p.a,
                        p.b,
                        p.c,
                        p.lda,
                        p.ldb,
                        p.n,
                        p.step_a,
                        p.step_b,
                        p.m * p.n,
                        p.batch};
  const cuda::Driver& d = cuda::driver();
  const int device = active_device.index;
  cuda::check(d.use(device), "choosing the device");
  cuda::check(d.gemm(device, &g, d.stream(device)), "a matrix product");
}

}  // namespace

EG_CUDA_KERNELS(MatmulKernels, {&multiply})

}  // namespace eg
