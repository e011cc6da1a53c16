// Shape kernels on the GPU.
#include "kernels/shape.h"

#include "cuda/launch.h"
#include "cuda/shape_layouts.h"

namespace eg {
namespace {

using cuda::elements;
using cuda::Grid;
using cuda::kernel;
using cuda::launch;

constexpr const char* kFile = "shape.cu";

DType of_size(int64_t item) {
  return item == 1   ? DType::UInt8
         : item == 2 ? DType::Int16
         : item == 4 ? DType::Int32
                     : DType::Int64;
}
DType counter(int64_t n) { return n < (int64_t(1) << 30) ? DType::Int32 : DType::Int64; }

int64_t count(const StridedPair& p) {
  int64_t n = 1;
  for (int d = 0; d < p.ndim; ++d) n *= p.sizes[d];
  return n;
}

void copy(size_t item, const StridedPair& p) {
  const int64_t n = count(p);
  if (n)
    launch(kernel(kFile, "eg::copy_pair", {of_size(int64_t(item)), counter(n)}), elements(n), p, n);
}

void add(DType dtype, const StridedPair& p) {
  const int64_t n = count(p);
  if (n) launch(kernel(kFile, "eg::add_pair", {dtype, counter(n)}), elements(n), p, n);
}

void triangle(size_t item, char* dst, const char* src, int64_t matrices, int64_t rows,
              int64_t columns, int64_t diagonal, bool lower) {
  const int64_t n = matrices * rows * columns;
  if (n)
    launch(kernel(kFile, "eg::triangle", {of_size(int64_t(item))}), elements(n), dst, src, n, rows,
           columns, diagonal, int(lower));
}

void join(char* out, int64_t outer, const Piece* pieces, int64_t count) {
  int64_t total = 0, together = reinterpret_cast<int64_t>(out);
  for (int64_t i = 0; i < count; ++i) {
    total += pieces[i].width;
    together |= reinterpret_cast<int64_t>(pieces[i].data) | pieces[i].width | pieces[i].stride;
  }
  if (outer * total == 0) return;
  int64_t unit = 8;  // the widest that divides every address and width
  while (together % unit) unit /= 2;
  JoinLoop l = {};
  l.out = out;
  l.outer = outer;
  l.total = total / unit;
  int64_t at = 0;
  for (int64_t first = 0; first < count; first += kJoinPieces) {
    const int64_t some = std::min<int64_t>(kJoinPieces, count - first);
    int64_t widest = 1;
    for (int64_t i = 0; i < some; ++i) {
      const Piece& p = pieces[first + i];
      l.pieces[i] = {p.data, p.width / unit, p.stride / unit, at};
      at += p.width / unit;
      widest = std::max(widest, outer * p.width / unit);
    }
    const Grid along = elements(widest);
    launch(kernel(kFile, "eg::join", {of_size(unit)}), Grid(along.blocks[0], some, 1, 256, 1, 1),
           l);
  }
}

}  // namespace

EG_CUDA_KERNELS(ShapeKernels, {&copy, &add, &triangle, &join})

}  // namespace eg
