// Separable linear maps over the last dimensions of a tensor: one sparse matrix a dimension. Resizing, average
// pooling and padding are such maps; the gradient is the transposed map.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "kernels/vision.h"
#include "ops/table_cache.h"

namespace eg {

// A sparse (out, in) matrix, filled row by row.
class LineTable {
 public:
  // Reserves the rows at once, so that a result for which there is no memory is refused before its table fills it.
  LineTable(int64_t in, int64_t out) : in_(in), out_(out) {
    EG_CHECK(in <= INT32_MAX, "a dimension of ", in, " elements is too large");
    first_.reserve(size_t(out) + 1);
    index_.reserve(size_t(out));
    weight_.reserve(size_t(out));
  }
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
  size_t entries() const { return index_.size(); }
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

// What a key of tables begins with.
enum class TableKind : int64_t { Pad, ConstantPad, AvgPool, AdaptiveAvgPool, Resize, Identity };

// Maps made ready for resample(), and their transposes when a gradient first asks for them.
struct Separable {
  explicit Separable(LineTables tables);
  bool is_small() const;
  const LineTables& transposes();

  LineTables forward;  // three
  bool copies;

 private:
  LineTables transposed_;
  std::once_flag transposing_;
};
// x (..., in...) -> (..., out...). Recorded. Copying maps take every dtype, others floating point. title: of the op on the
// tape. dims: of x that are mapped. keeps: a result of channels last has them last too.
Tensor resample(std::string title, const Tensor& x, int64_t dims, std::shared_ptr<Separable> maps,
                bool keeps = true);

TableCache<Separable>& separable_cache();
// The maps that `make` gives as LineTables, kept under the key.
template <class F>
std::shared_ptr<Separable> separable(const TableKey& key, F make) {
  return separable_cache().get(key, [&make] { return std::make_shared<Separable>(make()); });
}
// The map of one dimension that stays as it is.
std::shared_ptr<Separable> identity_map(int64_t n);

// What the tape calls an op that PyTorch has once for each number of dimensions: "AvgPool2D".
std::string title_of(const char* op, int64_t dims, const char* rest = "");
// The same of a pool. Over one dimension PyTorch takes the last dimension of a two-dimensional one.
std::string pool_title(const char* op, int64_t dims, const char* rest = "");

// grid_sample of x at grid by differentiable ops.
Tensor grid_sample_composed(const GridShape& s, const Tensor& x, const Tensor& grid);

}  // namespace eg
