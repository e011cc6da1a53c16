// Which device an op computes on, and what the core needs to know of memory that is not the host's.
#pragma once

#include "core/common.h"

namespace eg {

// Note [The active device]. One thread-local setting says where an op runs: the device of its inputs, or the default device
// where there are none. Results are allocated there, kernels<Family>() gives that device's kernels, and parallel_for leaves a
// range whole, because a GPU's kernel takes all of it. So the code of an op is the same for every device. Work that stays on
// the host (building an index list, say) opens a DeviceScope of the CPU.
#if defined(__linux__)
#define EG_TLS_MODEL __attribute__((tls_model("initial-exec")))
#else
#define EG_TLS_MODEL
#endif
extern __thread Device active_device EG_TLS_MODEL;

// Has a device other than the CPU been started? Programs on the CPU pay one test of this an op.
extern bool devices_in_use;

class DeviceScope {
 public:
  explicit DeviceScope(Device d) : before_(active_device) { active_device = d; }
  ~DeviceScope() { active_device = before_; }
  DeviceScope(const DeviceScope&) = delete;

 private:
  Device before_;
};

// Note [A step of the device]. From the start of an op to its end no program chooses another stream: the driver is asked for the
// thread's once a step. 0 where programs may run, between steps and after one inside another.
extern __thread uint64_t device_step EG_TLS_MODEL;

class DeviceStep {
 public:
  DeviceStep() {
    if (EG_UNLIKELY(devices_in_use)) begin();
  }
  ~DeviceStep() { device_step = 0; }
  DeviceStep(const DeviceStep&) = delete;

 private:
  void begin();
};

// What a device offers the core. Kernels are registered by family (kernels/registry.h).
struct DeviceMemory {
  int (*count)();
  void* (*allocate)(Device, size_t bytes);
  void (*release)(Device, void* p, size_t bytes);
  // From or to the host: done when it returns. Between devices: in the order of the stream.
  void (*copy)(Device to, void* dst, Device from, const void* src, size_t bytes);
  void (*synchronize)(Device);
};
// Null until a device is started.
extern const DeviceMemory* device_memory;

// Raises RuntimeError unless memory can be had on d.
void check_device(Device d);

}  // namespace eg
