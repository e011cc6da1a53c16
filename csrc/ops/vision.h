// Separable linear maps over the last dimensions of a tensor: one sparse matrix a dimension. Resizing, average
// pooling and padding are such maps; the gradient is the transposed map.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "kernels/vision.h"

namespace eg {

// A sparse (out, in) matrix, filled row by row.
class LineTable {
 public:
  LineTable(int64_t in, int64_t out) : in_(in), out_(out) {}
  static LineTable identity(int64_t n);

  void add(int64_t index, double weight) {
    index_.push_back(static_cast<int32_t>(index));
    weight_.push_back(weight);
  }
  void end_row() { first_.push_back(static_cast<int64_t>(index_.size())); }

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  // Every row has at most one entry, of weight one: the map copies.
  bool copies() const;
  LineTable transposed() const;
  LineMap map() const {
    return {in_, out_, first_.data(), index_.data(), weight_.data(), identity_};
  }

 private:
  int64_t in_, out_;
  bool identity_ = false;
  std::vector<int64_t> first_{0};
  std::vector<int32_t> index_;
  std::vector<double> weight_;
};

// The maps of the last one to three dimensions.
using LineTables = std::vector<LineTable>;

// x (..., in...) -> (..., out...). Recorded. Copying maps take every dtype, others floating point. title: of the op on the
// tape. keeps: a result of channels last has them last too.
Tensor resample(std::string title, const Tensor& x, LineTables tables, bool keeps = true);

// What the tape calls an op that PyTorch has once for each number of dimensions: "AvgPool2D".
std::string title_of(const char* op, int64_t dims, const char* rest = "");
// The same of a pool. Over one dimension PyTorch takes the last dimension of a two-dimensional one.
std::string pool_title(const char* op, int64_t dims, const char* rest = "");

// grid_sample of x at grid by differentiable ops.
Tensor grid_sample_composed(const GridShape& s, const Tensor& x, const Tensor& grid);

}  // namespace eg
