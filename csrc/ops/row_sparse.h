// Row-sparse gradients: a dense (V, ...) tensor that is zero except in a few rows.
//
// Note [Row-sparse tensors are tensors]. Such a tensor keeps its rows and their values and has no memory of its own; the
// first reader that knows nothing of rows makes the dense memory (Storage::data), so that every op works on it and gives
// what it would give for the dense tensor. Code that knows rows asks row_parts() first and saves that. A write to the
// dense memory, seen by the storage's version, ends the tensor's life as a sparse one: from then on it is dense.
#pragma once

#include <optional>

#include "core/tensor.h"

namespace eg {

class Context;

struct RowParts {
  Tensor rows;    // int64, ascending, distinct
  Tensor values;  // (rows, ...) contiguous
};

// --- making them ----------------------------------------------------------------------------------------------
// rows must be ascending, distinct and below sizes[0]: trusted. values: (rows.numel(), sizes[1:]).
Tensor row_sparse(const Tensor& rows, const Tensor& values, const Dims& sizes);
// The sum of g[i] into row index[i], each below sizes[0]: repeated rows are added up in order.
Tensor row_sparse_sum(const Tensor& index, const Tensor& g, const Dims& sizes);
// Of n indices below `size` (IndexError otherwise): the distinct ones, ascending, and for each index its place among them.
struct DistinctRows {
  Tensor rows, place;
};
DistinctRows distinct_rows(const Tensor& index, int64_t size);

// backward: may the gradient of input i be row-sparse? Only a leaf takes one, and only where no graph of the backward is made.
bool wants_rows(const Context& ctx, size_t i);

// --- reading them ---------------------------------------------------------------------------------------------
inline bool may_be_row_sparse(const Tensor& t) { return t->storage->deferred() != nullptr; }
// Empty unless t is row-sparse (now).
std::optional<RowParts> row_parts(const Tensor& t);

// --- arithmetic -------------------------------------------------------------------------------------------------
Tensor row_sparse_add(const Tensor& a, const Tensor& b);  // of two row-sparse tensors
// dense += alpha * sparse, in place.
void add_rows_into(const Tensor& dense, const RowParts& sparse, double alpha = 1);
// a += b or a -= b, if b is row-sparse and nothing has to be recorded; else false, and nothing was done.
bool add_rows_in_place(const Tensor& a, const Tensor& b, bool subtract);
// x * factor of a row-sparse x outside the tape; undefined for others.
Tensor scale_rows(const Tensor& x, const Tensor& factor);
// A row-sparse tensor takes other rows and values.
void replace_rows(const Tensor& t, const RowParts& parts);
// Sum, copy and accumulation of gradients, either of which may be row-sparse.
Tensor add_gradients(const Tensor& a, const Tensor& b);
Tensor clone_gradient(const Tensor& g, const Tensor& leaf);  // laid out as the leaf is

}  // namespace eg
