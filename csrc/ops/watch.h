// eg.seterr: results are looked at for NaN and infinity where ops, gradients and optimizers make them.
#pragma once

#include <atomic>
#include <string>

#include "core/site.h"
#include "core/tensor.h"

namespace eg {

enum class Response : uint8_t { Ignore, Warn, Raise };
struct Watch {
  Response nan = Response::Ignore, inf = Response::Ignore;
};

extern std::atomic<bool>
    watching;  // whether any response is more than Ignore: all that an op tests
Watch watched();
void set_watch(Watch watch);

// Of floating tensors, row-sparse ones included; false of others.
bool has_nan(const Tensor& t);
bool has_nan_or_inf(const Tensor& t);

// Warns or raises FloatingPointError, as `watched()` says, if a result holds NaN or infinity: who made it ("[log]"), how many there are,
// where the first is and at which line; whether inputs held them already, and the inputs' range.
void watch_results(const std::string& who, const Tensors& results, const Tensors& inputs,
                   const Site& site);

}  // namespace eg
