#include "core/device.h"

#include "core/error.h"
#include "kernels/registry.h"

namespace eg {

__thread Device active_device EG_TLS_MODEL = {};
__thread uint64_t device_step EG_TLS_MODEL = 0;
bool devices_in_use = false;
const DeviceMemory* device_memory = nullptr;

void DeviceStep::begin() {
  static __thread uint64_t steps = 0;
  device_step = ++steps;
}

void check_device(Device d) {
  if (d.is_cpu()) return;
  EG_CHECK(device_memory, "no memory can be allocated on ", d, ": no GPU has been started");
  EG_CHECK(d.index >= 0 && d.index < device_memory->count(), "no memory can be allocated on ", d,
           ": there are ", device_memory->count(), " GPUs");
}

void refuse_missing_kernels() {
  fail(ErrorKind::NotImplemented, "no CUDA kernel for this operation on ", active_device);
}

}  // namespace eg
