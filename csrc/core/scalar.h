// A Python number on its way into an op.
#pragma once

#include "core/common.h"

namespace eg {

class Scalar {
 public:
  enum class Kind : uint8_t { Bool, Int, Float };
  Scalar() : i_(0), kind_(Kind::Int) {}
  Scalar(bool v) : i_(v), kind_(Kind::Bool) {}     // NOLINT
  Scalar(double v) : d_(v), kind_(Kind::Float) {}  // NOLINT
  Scalar(float v) : d_(v), kind_(Kind::Float) {}   // NOLINT
  template <class I, class = std::enable_if_t<std::is_integral_v<I>>>
  Scalar(I v) : i_(static_cast<int64_t>(v)), kind_(Kind::Int) {}  // NOLINT
  Kind kind() const { return kind_; }
  bool is_float() const { return kind_ == Kind::Float; }
  bool is_int() const { return kind_ == Kind::Int; }
  bool is_bool() const { return kind_ == Kind::Bool; }
  double to_double() const { return is_float() ? d_ : static_cast<double>(i_); }
  int64_t to_int() const { return is_float() ? static_cast<int64_t>(d_) : i_; }
  bool to_bool() const { return is_float() ? d_ != 0 : i_ != 0; }
  // dtype of a tensor made from it alone (PyTorch: bool, int64, float32).
  DType dtype() const {
    return is_float() ? DType::Float32 : is_int() ? DType::Int64 : DType::Bool;
  }

 private:
  union {
    double d_;
    int64_t i_;
  };
  Kind kind_;
};

}  // namespace eg
