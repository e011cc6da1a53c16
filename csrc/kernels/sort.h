// Order of elements: sort, selection, search, runs. NaN counts as the largest value, equal elements keep their order.
#pragma once

#include "kernels/registry.h"

namespace eg {

struct SortKernels {
  // Contiguous rows of n elements. values has x's dtype and may be null.
  void (*sort)(DType dtype, const char* x, char* values, int64_t* index, int64_t rows, int64_t n,
               bool descending);
  // The first k of each row in sorted order.
  void (*topk)(DType dtype, const char* x, char* values, int64_t* index, int64_t rows, int64_t n,
               int64_t k, bool largest);
  // The element that stands at place k (from 0) in ascending order.
  void (*kth)(DType dtype, const char* x, char* values, int64_t* index, int64_t rows, int64_t n,
              int64_t k);
  // Order of `rows` rows of `width` elements, compared lexicographically, into index.
  void (*sort_rows)(DType dtype, const char* x, int64_t* index, int64_t rows, int64_t width);
  // Marks in first[i] whether row order[i] differs from row order[i - 1] (NaN differs from itself); order may be null.
  // Returns how many do.
  int64_t (*run_starts)(DType dtype, const char* x, const int64_t* order, bool* first, int64_t rows,
                        int64_t width);
  // Of the `runs` runs that first marks: the row they start with, their lengths, and the run of each row.
  void (*describe_runs)(const bool* first, const int64_t* order, int64_t rows, int64_t runs,
                        int64_t* starts, int64_t* inverse, int64_t* counts);
  // Position of each value in sorted boundaries of n elements. Values' row r searches boundary row r (or row 0 if shared).
  // sorter: boundaries' order, or null.
  void (*search)(DType dtype, const char* boundaries, const int64_t* sorter, int64_t n,
                 const char* values, int64_t rows, int64_t width, bool shared, bool right,
                 int64_t* out);
  // On the host alone, a device has ops for it. An element of each of contiguous rows of n > 0, and its position.
  // The lower median. NaN is a row's median if it has one; skip_nan: only if it has nothing else.
  void (*median)(DType dtype, const char* x, char* values, int64_t* index, int64_t rows, int64_t n,
                 bool skip_nan);
  // The smallest of the most frequent elements, where it stands last. NaN differs from itself.
  void (*mode)(DType dtype, const char* x, char* values, int64_t* index, int64_t rows, int64_t n);
};

}  // namespace eg
