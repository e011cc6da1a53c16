// Reductions and scans over the middle dimension of a dense (outer, length, inner) array.
#pragma once

#include "kernels/registry.h"

namespace eg {

enum class Reduce : uint8_t { Sum, Prod, Max, Min, All, Any, Count, SumSquares };
enum class Arg : uint8_t { Max, Min };
enum class Scan : uint8_t { Sum, Prod, Max, Min, LogSumExp };

// Types: those that a CPU computes in; halves are converted by the caller, but for sums of columns (inner > 1), which are
// float32. The GPU's reduce and arg take halves too and give float32.
struct ReduceKernels {
  // out[outer, inner] of the element type. All, Any and Count take bool; Count, which the host has, gives int64. SumSquares is
  // for the kernels' own use.
  void (*reduce)(Reduce op, DType type, const char* x, char* out, int64_t outer, int64_t length,
                 int64_t inner);
  // arg and scan take float, double and int64 on the host.
  // out[outer, inner]: int64 position of the first extreme element (NaN counts as extreme), of any type but, on the host, halves;
  // values may be null.
  void (*arg)(Arg op, DType type, const char* x, int64_t* out, char* values, int64_t outer,
              int64_t length, int64_t inner);
  // Mean and sum of squared differences from it, for float and double, one number a line each.
  void (*moments)(DType type, const char* x, char* mean, char* m2, int64_t outer, int64_t length);
  // y of x's shape, on the host float, double or int64; positions (int64, may be null) for Max and Min.
  void (*scan)(Scan op, DType type, const char* x, char* y, int64_t* positions, int64_t outer,
               int64_t length, int64_t inner);
};

struct SoftmaxKernels {
  // Float or double; on the GPU also halves, whose logarithms, losses and scales are float32. All work along
  // the middle dimension of a dense (outer, length, inner) array, on the GPU along the last of (outer, length, 1). log: log_softmax.
  void (*forward)(bool log, DType type, const char* x, char* y, int64_t outer, int64_t length,
                  int64_t inner);
  // gx from g and y.
  void (*backward)(bool log, DType type, const char* g, const char* y, char* gx, int64_t outer,
                   int64_t length, int64_t inner);
  // log of the sum of exp.
  void (*logsumexp)(DType type, const char* x, char* y, int64_t outer, int64_t length,
                    int64_t inner);
  // loss[i] = lse[i] - (1 - s) x[i, t] - s / n sum(x[i]) for target t = target[i]; 0 where it is ignore. lse holds the maxima of
  // the lines and then what the logarithms add to them: a sum would round these away where scores are large.
  void (*cross_entropy)(DType type, const char* x, const int64_t* target, int64_t ignore,
                        double smoothing, char* loss, char* lse, int64_t outer, int64_t length,
                        int64_t inner);
  // gx[i, j] = scale[i] * (exp(x[i, j] - lse[i]) - (1 - s) [j = t] - s / n).
  void (*cross_entropy_backward)(DType type, const char* x, const int64_t* target, int64_t ignore,
                                 double smoothing, const char* lse, const char* scale, char* gx,
                                 int64_t outer, int64_t length, int64_t inner);
  // Of n targets: where the first stands that is neither a class nor `ignore` (n: nowhere), and how many are `ignore`.
  void (*check_targets)(const int64_t* target, int64_t n, int64_t classes, int64_t ignore,
                        int64_t* first_wrong, int64_t* ignored);
  // The same on a device, which the host does not wait for (see Note [Late errors] in core/late.h): the targets with 0 for
  // what is no class, and how many are not `ignore`. Null on the host.
  void (*settle_targets)(const int64_t* target, int64_t n, int64_t classes, int64_t ignore,
                         int64_t* settled, int64_t* present, int64_t check);
};

}  // namespace eg
