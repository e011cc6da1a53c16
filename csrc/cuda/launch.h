// How kernel tables for the GPU launch their kernels.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>

#include "core/error.h"
#include "core/tensor.h"
#include "cuda/driver.h"
#include "cuda/layouts.h"

namespace eg::cuda {

// Starts the GPU: `driver` and what it points to live for ever. compile(device, file, expression) gives the handle of a
// kernel of eagergrad/cuda/<file>, named by a C++ expression such as "reduce_lines<float, 2>"; it throws if that fails.
using Compile = std::function<void*(int device, const char* file, const char* expression)>;
void start(const Driver* driver, Compile compile);

const Driver& driver();
// Was this process forked from one that had started the GPU? It can use none.
bool after_fork();
// The GPU that a device without a number means.
int current();
void set_current(int device);
// Note [Capture]. While a graph is captured, work is recorded instead of done. What the host would have to wait for, or send
// anew at each replay, is refused; small arrays travel in the arguments of a launch instead; random numbers go on from a place
// in device memory.
bool capturing();
void begin_capture(const RandomPlace* random);
void end_capture();
// Null unless a graph is being captured.
const RandomPlace* captured_random();

// Raises RuntimeError with the driver's words if `error` is not 0.
void check(int error, const char* what);

// Makes a device the calling thread's; returns its current stream.
void* stream_of(int device);

// A template argument of a kernel: a type or a number.
struct Argument {
  bool is_type;
  int64_t value;
  Argument(DType t) : is_type(true), value(int64_t(t)) {}  // NOLINT
  Argument(int v) : is_type(false), value(v) {}            // NOLINT
  Argument(bool v) : is_type(false), value(v) {}           // NOLINT
};

// "float", "eg::Half": a DType in C++.
const char* type_name(DType t);

// The kernel `name<arguments...>` of a file for the active device, compiled at first use. File and name are literals:
// they are told apart by address.
void* kernel(const char* file, const char* name, std::initializer_list<Argument> arguments = {});
// One whose expression is made on demand; `key` tells it from all others of the file.
void* kernel(const char* file, uint64_t key, const std::function<std::string()>& expression);

struct Grid {
  unsigned blocks[3] = {1, 1, 1};
  unsigned threads[3] = {1, 1, 1};
  unsigned shared_bytes = 0;
  Grid(int64_t x, int tx, unsigned shared = 0) : Grid(x, 1, 1, tx, 1, 1, shared) {}
  Grid(int64_t x, int64_t y, int64_t z, int tx, int ty, int tz, unsigned shared = 0);
};

// Threads for n elements, one each, that loop with stride gridDim * blockDim where there are more than the card runs at a time.
Grid elements(int64_t n, int per_thread = 1, int threads = 256);

void launch_raw(void* kernel, const Grid& grid, void** arguments);
// The arguments must have exactly the types of the kernel's parameters.
template <class... A>
void launch(void* kernel, const Grid& grid, A... arguments) {
  void* pointers[] = {const_cast<void*>(static_cast<const void*>(&arguments))..., nullptr};
  launch_raw(kernel, grid, pointers);
}

// Memory for the duration of a scope, reused in the order of the stream.
class Scratch {
 public:
  explicit Scratch(size_t bytes)
      : tensor_(empty({static_cast<int64_t>(bytes)}, DType::UInt8, active_device)) {}
  template <class T = void>
  T* get() const {
    return reinterpret_cast<T*>(tensor_.raw());
  }

 private:
  Tensor tensor_;
};

// Small host arrays that a kernel reads; the copy is made in the order of the stream.
class Uploaded {
 public:
  Uploaded(const void* host, size_t bytes);
  template <class T>
  const T* get() const {
    return reinterpret_cast<const T*>(scratch_.get<char>());
  }

 private:
  Scratch scratch_;
};

// The expressions of all dense (and, with `strided`, all strided) kernels of the elementwise table for inputs of a dtype.
std::vector<std::string> table_kernels(DType dtype, bool strided);

// Values from the device; waits for them.
void download(void* host, const void* device, size_t bytes);
void fill_zero(void* p, size_t bytes);
void copy_bytes(void* to, const void* from, size_t bytes);
void synchronize();      // the current stream
void synchronize_all();  // all streams of the active device

// Note [Late errors] (core/late.h): where the active device leaves its note; what follows a launch that may leave one.
LateNote* late_note();
void after_late_check();
void install_late_errors();

}  // namespace eg::cuda

// Makes `table` the kernels of Family on the GPU.
#define EG_CUDA_KERNELS(Family, ...)                                                            \
  namespace {                                                                                   \
  const Family eg_cuda_table_##Family __VA_ARGS__;                                              \
  [[maybe_unused]] const bool eg_cuda_registered_##Family =                                     \
      (KernelSlot<Family>::table[static_cast<int>(DeviceType::CUDA)] = &eg_cuda_table_##Family, \
       true);                                                                                   \
  }
