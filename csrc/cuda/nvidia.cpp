#include "cuda/nvidia.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <vector>

#include "core/error.h"
#include "core/gil.h"
#include "cuda/launch.h"

namespace eg::cuda {
namespace {

// --- the driver library: the functions used here, as its ABI has them ------------------------------------------------
// (Names with _v2 are the versions for 64-bit addresses.)

using Handle = void*;

#define EG_CUDA_FUNCTIONS(X)                                                                \
  X(cuInit, int(unsigned))                                                                  \
  X(cuDeviceGetCount, int(int*))                                                            \
  X(cuDeviceGet, int(int*, int))                                                            \
  X(cuDeviceGetAttribute, int(int*, int, int))                                              \
  X(cuDevicePrimaryCtxRetain, int(Handle*, int))                                            \
  X(cuCtxSetCurrent, int(Handle))                                                           \
  X(cuCtxGetCurrent, int(Handle*))                                                          \
  X(cuCtxSynchronize, int())                                                                \
  X(cuStreamSynchronize, int(Handle))                                                       \
  X(cuMemcpyHtoDAsync_v2, int(uint64_t, const void*, size_t, Handle))                       \
  X(cuMemcpyDtoHAsync_v2, int(void*, uint64_t, size_t, Handle))                             \
  X(cuMemcpyAsync, int(uint64_t, uint64_t, size_t, Handle))                                 \
  X(cuLaunchKernel, int(Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, \
                        unsigned, Handle, void**, void**))                                  \
  X(cuFuncSetAttribute, int(Handle, int, int))                                              \
  X(cuMemHostAlloc, int(void**, size_t, unsigned))                                          \
  X(cuPointerGetAttribute, int(void*, int, uint64_t))                                       \
  X(cuGetErrorString, int(int, const char**))

struct Cuda {
#define EG_DECLARE(name, ...) std::add_pointer_t<__VA_ARGS__> name = nullptr;
  EG_CUDA_FUNCTIONS(EG_DECLARE)
#undef EG_DECLARE
  std::string failure;  // why it cannot be used

  Cuda() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      failure = "no NVIDIA driver is installed (libcuda.so.1 was not found)";
      return;
    }
#define EG_LOAD(name, ...)                                        \
  name = reinterpret_cast<decltype(name)>(dlsym(library, #name)); \
  if (!name) {                                                    \
    failure = "the NVIDIA driver is too old: it has no " #name;   \
    return;                                                       \
  }
    // The types contain commas: the macros take them as the rest of their arguments.
    EG_CUDA_FUNCTIONS(EG_LOAD)
#undef EG_LOAD
    if (const int error = cuInit(0)) failure = str("the NVIDIA driver says: ", words(error));
  }
  std::string words(int error) const {
    const char* text = nullptr;
    cuGetErrorString(error, &text);
    return text ? text : str("error ", error);
  }
};
const Cuda& cuda() {
  static const auto* c = new Cuda;
  return *c;
}

// --- cuBLAS --------------------------------------------------------------------------------------------------------------

struct Blas {
  int (*create)(Handle*) = nullptr;
  int (*set_stream)(Handle, Handle) = nullptr;
  int (*set_workspace)(Handle, void*, size_t) = nullptr;
  int (*gemm)(Handle, int, int, int, int, int, const void*, const void*, int, int, long long,
              const void*, int, int, long long, const void*, void*, int, int, long long, int, int,
              int) = nullptr;

  Blas() {
    void* library = nullptr;
    // The one that CuPy loaded, whichever its version.
    for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"})
      if (!library) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    EG_CHECK(library, "cuBLAS was not found: install the CUDA libraries that CuPy needs");
    const auto load = [&](auto* to, const char* name) {
      *to = reinterpret_cast<std::decay_t<decltype(*to)>>(dlsym(library, name));
      EG_CHECK(*to, "this cuBLAS has no ", name);
    };
    load(&create, "cublasCreate_v2");
    load(&set_stream, "cublasSetStream_v2");
    load(&set_workspace, "cublasSetWorkspace_v2");
    load(&gemm, "cublasGemmStridedBatchedEx");
  }
};
const Blas& blas() {
  static const auto* b = new Blas;
  return *b;
}

constexpr size_t kWorkspace = size_t(32) << 20;
constexpr int kBlasError = 1000000;  // added to cuBLAS's status, to tell it from the driver's
std::atomic<bool> tf32{false};

Host* host = nullptr;

// One handle a device. A captured graph needs a workspace that cuBLAS does not allocate, and products of two streams may run
// at a time: each stream has one of its own.
struct BlasOfDevice {
  Handle handle = nullptr;
  std::map<void*, void*> workspaces;  // by stream; null: there was no memory for one
};
std::mutex& blas_mutex() {
  static auto* m = new std::mutex;
  return *m;
}
BlasOfDevice& blas_of(int device) {
  static auto* all = new std::map<int, BlasOfDevice>;
  return (*all)[device];
}

void* workspace_of(int device, void* stream) {
  {
    const std::lock_guard<std::mutex> lock(blas_mutex());
    const auto& known = blas_of(device).workspaces;
    const auto found = known.find(stream);
    if (found != known.end()) return found->second;
  }
  void* const made = host->allocate(device, kWorkspace);  // runs Python: not under the lock
  const std::lock_guard<std::mutex> lock(blas_mutex());
  return blas_of(device).workspaces.emplace(stream, made).first->second;
}

// To be called with the mutex held, which is kept for the product: a handle serves one thread at a time.
int prepare_blas(BlasOfDevice& b, void* stream, void* workspace) {
  if (!b.handle)
    if (const int status = blas().create(&b.handle)) return status;
  // Choosing a stream takes the workspace away.
  if (const int status = blas().set_stream(b.handle, stream)) return status;
  return workspace ? blas().set_workspace(b.handle, workspace, kWorkspace) : 0;
}

int gemm(int device, const Gemm* g, void* stream) {
  const DType type = static_cast<DType>(g->type);
  const int element = type == DType::Float64    ? 1
                      : type == DType::Float32  ? 0
                      : type == DType::BFloat16 ? 14
                                                : 2;
  const int compute = type == DType::Float64 ? 70 : type == DType::Float32 && tf32 ? 77 : 68;
  const double alpha = g->alpha, beta = g->beta;
  const float alpha32 = static_cast<float>(alpha), beta32 = static_cast<float>(beta);
  const bool wide = type == DType::Float64;
  const void* a = wide ? static_cast<const void*>(&alpha) : &alpha32;
  const void* b = wide ? static_cast<const void*>(&beta) : &beta32;
  for (int64_t n : {g->m, g->n, g->k, g->lda, g->ldb, g->ldc, g->batch})
    EG_CHECK(n < (int64_t(1) << 31), "cuBLAS takes sizes below 2^31, got ", n);
  void* const workspace = workspace_of(device, stream);
  const std::lock_guard<std::mutex> lock(blas_mutex());
  BlasOfDevice& of_device = blas_of(device);
  if (const int status = prepare_blas(of_device, stream, workspace)) return kBlasError + status;
  // Column-major: C^T = B^T A^T.
  const int status = blas().gemm(of_device.handle, g->trans_b ? 1 : 0, g->trans_a ? 1 : 0,
                                 int(g->n), int(g->m), int(g->k), a, g->b, element, int(g->ldb),
                                 g->stride_b, g->a, element, int(g->lda), g->stride_a, b, g->c,
                                 element, int(g->ldc), g->stride_c, int(g->batch), compute, -1);
  return status ? kBlasError + status : 0;
}

// --- the table -------------------------------------------------------------------------------------------------------------

int use(int device) {
  static auto* contexts = new std::vector<Handle>(64, nullptr);
  static std::mutex mutex;
  thread_local int current = -1;
  // Somebody else (CuPy, another library) may have changed the thread's context.
  Handle now = nullptr;
  if (current == device && cuda().cuCtxGetCurrent(&now) == 0 && now == (*contexts)[size_t(device)])
    return 0;
  if (device < 0 || device >= 64) return 101;  // CUDA_ERROR_INVALID_DEVICE
  {
    const std::lock_guard<std::mutex> lock(mutex);
    Handle& context = (*contexts)[size_t(device)];
    if (!context) {
      int ordinal;
      if (const int error = cuda().cuDeviceGet(&ordinal, device)) return error;
      if (const int error = cuda().cuDevicePrimaryCtxRetain(&context, ordinal)) return error;
    }
  }
  if (const int error = cuda().cuCtxSetCurrent((*contexts)[size_t(device)])) return error;
  current = device;
  return 0;
}

// CU_MEMORYTYPE_HOST: 1, DEVICE: 2, UNIFIED: 4; 0 of memory that CUDA does not know.
int memory_type(const void* p) {
  int type = 0;  // CU_POINTER_ATTRIBUTE_MEMORY_TYPE
  return cuda().cuPointerGetAttribute(&type, 2, reinterpret_cast<uint64_t>(p)) == 0 ? type : 0;
}

int to_device(void* to, const void* from, size_t bytes, void* stream) {
  if (const int error =
          cuda().cuMemcpyHtoDAsync_v2(reinterpret_cast<uint64_t>(to), from, bytes, stream))
    return error;
  // From pageable memory the driver has staged the source when it returns; page-locked memory is read later.
  return memory_type(from) == 0 ? 0 : cuda().cuStreamSynchronize(stream);
}
int to_host(void* to, const void* from, size_t bytes, void* stream) {
  if (const int error =
          cuda().cuMemcpyDtoHAsync_v2(to, reinterpret_cast<uint64_t>(from), bytes, stream))
    return error;
  const ReleaseGil released;
  return cuda().cuStreamSynchronize(stream);
}
int within(void* to, const void* from, size_t bytes, void* stream) {
  return cuda().cuMemcpyAsync(reinterpret_cast<uint64_t>(to), reinterpret_cast<uint64_t>(from),
                              bytes, stream);
}

int launch(void* kernel, const unsigned* g, const unsigned* b, unsigned shared, void* stream,
           void** arguments) {
  if (shared > 48 * 1024)  // more must be asked for: MAX_DYNAMIC_SHARED_SIZE_BYTES
    if (const int error = cuda().cuFuncSetAttribute(kernel, 8, int(shared))) return error;
  return cuda().cuLaunchKernel(kernel, g[0], g[1], g[2], b[0], b[1], b[2], shared, stream,
                               arguments, nullptr);
}

int is_device_memory(const void* p) {
  Handle now = nullptr;  // without a context, as on a new thread, the question would fail
  if (cuda().cuCtxGetCurrent(&now) || !now) use(active_device.index);
  return memory_type(p) >= 2;
}

int share(size_t bytes, void** out) {
  return cuda().cuMemHostAlloc(out, bytes, 3);  // portable to all contexts, mapped
}

const char* describe(int error) {
  static thread_local std::string text;
  text = error >= kBlasError ? str("cuBLAS status ", error - kBlasError) : cuda().words(error);
  return text.c_str();
}

int allocate(int device, size_t bytes, void** out) {
  *out = host->allocate(device, bytes);
  return *out ? 0 : 2;  // CUDA_ERROR_OUT_OF_MEMORY
}
int release(int device, void* p) {
  host->release(device, p);
  return 0;
}
void* stream(int device) { return host->stream(device); }
int synchronize(void* s) { return cuda().cuStreamSynchronize(s); }
int synchronize_all() { return cuda().cuCtxSynchronize(); }

int least_capability(int devices) {
  int least = 1000;
  for (int i = 0; i < devices; ++i) {
    int ordinal = 0, major = 0, minor = 0;
    if (cuda().cuDeviceGet(&ordinal, i)) continue;
    cuda().cuDeviceGetAttribute(&major, 75, ordinal);  // COMPUTE_CAPABILITY_MAJOR
    cuda().cuDeviceGetAttribute(&minor, 76, ordinal);  // and MINOR
    least = std::min(least, 10 * major + minor);
  }
  return least;
}

}  // namespace

int count_devices(std::string* why) {
  *why = cuda().failure;
  if (!why->empty()) return 0;
  int n = 0;
  if (const int error = cuda().cuDeviceGetCount(&n)) *why = cuda().words(error);
  if (n == 0 && why->empty()) *why = "the machine has no NVIDIA GPU";
  return n;
}

const Driver* nvidia_driver(Host with) {
  std::string why;
  const int devices = count_devices(&why);
  EG_CHECK(devices > 0, "no CUDA device can be used: ", why);
  host = new Host(std::move(with));
  auto* d = new Driver{devices,
                       allocate,
                       release,
                       use,
                       stream,
                       synchronize,
                       synchronize_all,
                       to_device,
                       to_host,
                       within,
                       launch,
                       gemm,
                       is_device_memory,
                       share,
                       describe,
                       1,
                       least_capability(devices)};
  int ordinal;
  if (cuda().cuDeviceGet(&ordinal, 0) == 0)
    cuda().cuDeviceGetAttribute(&d->multiprocessors, 16, ordinal);  // MULTIPROCESSOR_COUNT
  return d;
}

bool on_nvidia() { return host != nullptr; }

void set_tf32(bool on) { tf32 = on; }

}  // namespace eg::cuda
