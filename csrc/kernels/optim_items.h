// What a step of an optimizer is told. For the CPU and for NVRTC.
#pragma once

#include "core/common.h"

namespace eg {

enum class OptimRule : uint8_t {
  SGD,
  Adam,
  Adamax,
  NAdam,
  RAdam,
  Adagrad,
  Adadelta,
  RMSprop,
  Rprop,
  ASGD,
  Lion,
  SparseAdam,
};
constexpr int kOptimRules = 12;

// What a parameter group says, under the names it has there. A rule reads only its own fields.
struct OptimConstants {
  double eps = 0;
  double dampening = 0;
  double momentum_decay = 0;
  double lr_decay = 0;
  double rho = 0;
  double alpha = 0;
  double lambd = 0, t0 = 0;
  double eta_minus = 0, eta_plus = 0;
  double step_min = 0, step_max = 0;
  bool maximize = false;
  bool nesterov = false;
  bool amsgrad = false;
  bool centered = false;
  bool decoupled = false;
  bool decays = false;        // is there a weight decay?
  bool has_momentum = false;  // is there a momentum?
  bool lazy = false;          // do rows without a gradient stay as they are?
};
// And what may be a tensor. N is double, or Tensor where the step itself is differentiated.
template <class N>
struct OptimOptionsOf : OptimConstants {
  N lr{};
  N weight_decay{};
  N beta1{}, beta2{};
  N momentum{};
};
using OptimOptions = OptimOptionsOf<double>;

constexpr int kOptimStates = 3;
constexpr int kOptimScalars = 2;
constexpr int kOptimCoefficients = 4;

// A number in a device's memory, if data is not null.
struct DeviceNumber {
  void* data = nullptr;
  DType dtype = DType::Float32;
};

// One parameter: dense memory in one order for all of its tensors.
template <class N>
struct OptimItemOf {
  void* param = nullptr;
  const void* grad = nullptr;
  void* state[kOptimStates] = {};
  int64_t size = 0;
  DType dtype = DType::Float32;
  bool fresh = false;                      // the states hold nothing yet
  bool averages = false;                   // ASGD: is the mean of the iterates taken?
  double step = 1;                         // the number of this update, from 1
  double scalar[kOptimScalars] = {};       // running scalars: NAdam's mu_product, ASGD's eta and mu
  N coefficient[kOptimCoefficients] = {};  // filled by step()

  // By rows, where the gradient or the states are: `size` is 0 then. See Note [Rows that lag behind].
  int64_t rows = 0, width = 0;
  const int64_t* touched = nullptr;  // the rows that grad holds, ascending; null: all of them
  int64_t touched_rows = 0;
  bool lazy = false;             // the others are not updated
  int64_t* row_steps = nullptr;  // the number of each row's last update
  bool updates = true;           // else rows only catch up

  // Step count, running scalars and rate that the device keeps, so that a captured graph goes on with them. Those above hold
  // nothing then.
  DeviceNumber counted, running[kOptimScalars], rate;
};
using OptimItem = OptimItemOf<double>;

}  // namespace eg
