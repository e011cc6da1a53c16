// The few things a GPU is asked for, as a table of C functions. csrc/cuda/nvidia.cpp fills it from the CUDA driver and
// cuBLAS; tests/cuda_host fills it with an emulation that runs the same kernels on the host.
#pragma once

#include <cstddef>
#include <cstdint>

namespace eg::cuda {

// C = alpha op(A) op(B) + beta C, row-major, `batch` of them at the given distances (elements). type: a DType of
// floating point; halves accumulate in float.
struct Gemm {
  int type;
  int trans_a, trans_b;
  int64_t m, n, k;
  double alpha, beta;
  const void *a, *b;
  void* c;
  int64_t lda, ldb, ldc;
  int64_t stride_a, stride_b, stride_c, batch;
};

// Every function returns 0 or an error that `describe` explains.
struct Driver {
  int device_count;
  int (*allocate)(int device, size_t bytes, void** out);  // 256-byte aligned
  int (*release)(int device, void* p);
  // What the calling thread launches next goes to this device.
  int (*use)(int device);
  void* (*stream)(int device);  // the current one
  int (*synchronize)(void* stream);
  int (*synchronize_all)();  // every stream of the device in use
  int (*to_device)(void* to, const void* from, size_t bytes,
                   void* stream);  // has read `from` when it returns
  int (*to_host)(void* to, const void* from, size_t bytes, void* stream);  // done when it returns
  int (*within)(void* to, const void* from, size_t bytes, void* stream);   // also between devices
  int (*launch)(void* kernel, const unsigned* grid, const unsigned* block, unsigned shared_bytes,
                void* stream, void** arguments);
  int (*gemm)(int device, const Gemm* product, void* stream);
  int (*is_device_memory)(const void* p);
  int (*share)(size_t bytes, void** out);  // memory of the host that kernels write to; never freed
  const char* (*describe)(int error);
  int multiprocessors;
  int capability;  // 75: sm_75; the least of all devices
};

}  // namespace eg::cuda
