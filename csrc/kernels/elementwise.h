// Loops made from the lines of ops/elementwise.def.
#pragma once

#include "kernels/registry.h"

namespace eg {

// p[0] is the output, p[1..] the inputs; step[i] is 0 for an input that is one number, else 1:
// dense arrays of the compute type. Only forward loops of binary ops take steps of 0. attributes:
// the op's numbers.
using ElementwiseLoop = void (*)(char* const* p, const int64_t* step, int64_t n,
                                 const double* attributes);

// Types that loops are made for; halves are computed as float.
constexpr int kComputeTypes = 8;
EG_INLINE int compute_index(DType t) {
  constexpr int8_t index[kDTypes] = {0, 1, 2, 3, 4, 5, 6, 6, 6, 7};
  return index[static_cast<int>(t)];
}
EG_INLINE int float_index(DType t) { return t == DType::Float64; }

// What a line of the table takes and gives.
enum class Domain : uint8_t {
  Float,  // floating point, kept; integers are converted
  Any,    // every dtype, kept
  Int,    // bool and integers, kept
  Bool,   // every dtype; gives bool
  Truth,  // the same; operands are read as bools, which saves a hundred kilobytes of other loops
};
constexpr bool gives_bool(Domain d) { return d == Domain::Bool || d == Domain::Truth; }

enum class Unary : uint16_t {
#define EG_UNARY(NAME, ...) NAME,
#include "ops/elementwise.def"
  count
};
enum class Binary : uint16_t {
#define EG_BINARY(NAME, ...) NAME,
#include "ops/elementwise.def"
  count
};
enum class Ternary : uint16_t {
#define EG_TERNARY(NAME, ...) NAME,
#include "ops/elementwise.def"
  count
};

// A loop by name, for devices that compile their own from the table's text. Arity 1 with op == Unary::count copies and casts;
// arity 3 with op == Ternary::count is where().
struct LoopName {
  uint8_t arity;
  int16_t op;
  int8_t gradient = -1;  // of which input; -1: the forward loop
};
constexpr LoopName kCopyLoop = {1, int16_t(Unary::count)};
constexpr LoopName kWhereLoop = {3, int16_t(Ternary::count)};

struct UnaryKernels {
  ElementwiseLoop forward[int(Unary::count)][kComputeTypes];  // null: no such type
  ElementwiseLoop backward[int(Unary::count)][2];             // gx from g, x, y
  ElementwiseLoop half_sign[2];                               // neg and abs of halves as they are
};
// Halves of one type, of which those operands that are one number (step 0) are floats.
struct HalfLoops {
  ElementwiseLoop half, bfloat16;
  ElementwiseLoop of(DType t) const { return t == DType::Float16 ? half : bfloat16; }
};
struct BinaryKernels {
  ElementwiseLoop forward[int(Binary::count)][kComputeTypes];
  ElementwiseLoop backward[int(Binary::count)][2][2];  // ga or gb from g, a, b, y
  HalfLoops halves[int(Binary::count)];  // null where halves go through buffers of floats
};
struct TernaryKernels {
  ElementwiseLoop forward[int(Ternary::count)][kComputeTypes];
  ElementwiseLoop backward[int(Ternary::count)][3][2];  // from g, a, b, c, y
  ElementwiseLoop where[kComputeTypes];                 // from a bool, a, b
};

}  // namespace eg
