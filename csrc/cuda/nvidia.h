// The driver table over NVIDIA's libraries, which are found at run time: nothing of CUDA is needed to build.
#pragma once

#include <functional>
#include <string>

#include "cuda/driver.h"

namespace eg::cuda {

// What the language binding adds: memory from its pool, and the stream that it considers current.
struct Host {
  std::function<void*(int device, size_t bytes)> allocate;  // null: out of memory
  std::function<void(int device, void* p)> release;
  std::function<void*(int device)> stream;
};

// How many GPUs there are; 0 with the reason in `why` if there are none or the driver cannot be used.
int count_devices(std::string* why);
// Raises RuntimeError with the reason if the driver or cuBLAS cannot be opened.
const Driver* nvidia_driver(Host host);
// Has that been done? Libraries such as cuDNN can be used then.
bool on_nvidia();

// May float32 products round their inputs to TensorFloat-32? Off at first.
void set_tf32(bool on);

}  // namespace eg::cuda
