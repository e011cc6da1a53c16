// Compressed sparse matrices: rows of column numbers and values. The arrays may be somebody else's and change between
// two calls, so every kernel checks what it reads before it uses it as an address.
#pragma once

#include "kernels/registry.h"

namespace eg {

// Row r holds the entries ptr[r] .. ptr[r + 1]; entry k is in column idx[k]. All int32 or all int64 (`wide`).
struct CompressedView {
  const void* ptr;
  const void* idx;
  const void* perm;  // entry k's value is values[perm[k]]; null: values[k]
  bool wide;
  int64_t rows, cols, nnz;
};

enum class SparseFault : uint8_t {
  None,
  FirstPointer,
  FallingPointer,
  PointerRange,
  LastPointer,
  Index,
  Value
};
struct SparseCheck {
  SparseFault fault = SparseFault::None;
  int64_t at = 0;         // row of a pointer, entry of an index
  bool canonical = true;  // ascending without duplicates in each row
};

// One of out = X B (rows of B gathered) with strides in elements; n columns.
struct SparseOperand {
  const void* data;
  int64_t row, col;  // strides; one of them is 1, unless there is a single column
};

enum class SparseMerge : uint8_t { Union, Intersection };
// Of C = A B: which values are computed from the other two's.
enum class SparseTriple : uint8_t { C, A, B };

// Where a kernel returns a bool, false means: the pattern is at fault; check() says where.
struct SparseKernels {
  void (*check)(const CompressedView& x, SparseCheck* result);
  // Row number of each entry; int32 or int64 as the pattern.
  bool (*expand)(const CompressedView& x, void* rows);
  // Counting sort of n keys in [0, size): ptr has size + 1 entries, perm the order. False: a key is out of range.
  bool (*compress)(const void* keys, bool wide, int64_t n, int64_t size, void* ptr, void* perm);
  // The transposed pattern and the order that its values have in x's.
  bool (*transpose)(const CompressedView& x, void* ptr, void* idx, void* perm);
  // out[r, :] = sum of values[k] * dense[idx[k], :]; out is row-major.
  bool (*multiply)(DType dtype, const CompressedView& x, const void* values,
                   const SparseOperand& dense, int64_t n, void* out);
  // out[idx[k], :] += values[k] * dense[r, :] into zeros; each column of out is contiguous (cols apart).
  bool (*scatter)(DType dtype, const CompressedView& x, const void* values,
                  const SparseOperand& dense, int64_t n, void* out);
  // out[k] = a[r, :] . b[idx[k], :], rows of n adjacent elements.
  bool (*sampled)(DType dtype, const CompressedView& x, const void* a, const void* b, int64_t n,
                  void* out);
  // Entries of chosen rows: `ptr` is the result's, made from the row lengths.
  bool (*take_rows)(const CompressedView& x, const int64_t* rows, int64_t n, const void* ptr,
                    void* idx, void* positions);
  // Two canonical patterns of one shape. Row lengths into ptr[r + 1] (idx null), or the entries and where they are in a
  // and b (-1: not there).
  bool (*merge)(SparseMerge mode, const CompressedView& a, const CompressedView& b, void* ptr,
                void* idx, int64_t* at_a, int64_t* at_b);
  // The pattern of A B: pointers (int64), and ascending column numbers where place(context, entries) says.
  bool (*product_pattern)(const CompressedView& a, const CompressedView& b, int64_t* ptr,
                          void* (*place)(void* context, int64_t entries), void* context);
  bool (*triple)(DType dtype, SparseTriple wanted, const CompressedView& a, const CompressedView& b,
                 const CompressedView& c, const void* x, const void* y, void* out);
  // By segments ptr[r] .. ptr[r + 1] of adjacent values.
  bool (*segment_sum)(DType dtype, const CompressedView& x, const void* values, void* out);
  bool (*segment_softmax)(DType dtype, const CompressedView& x, const void* values, bool log,
                          void* out);
};

}  // namespace eg
