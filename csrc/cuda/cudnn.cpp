// cuDNN, loaded at run time and declared by hand, as the driver is in nvidia.cpp. Only algorithms that give the same bits
// each time are taken.
#include "cuda/cudnn.h"

#include <dlfcn.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/launch.h"
#include "cuda/nvidia.h"

namespace eg::cuda {
namespace {

// --- the library -----------------------------------------------------------------------------------------------------

using Handle = void*;
// cudnnConvolution*AlgoPerf_t: three structures of one layout.
struct Choice {
  int algorithm, status;
  float time;
  size_t memory;
  int deterministic, math;
  int reserved[3];
};
using Choose = int(Handle, Handle, Handle, Handle, Handle, int, int*, Choice*);
using Workspace = int(Handle, Handle, Handle, Handle, Handle, int, size_t*);
using Compute = int(Handle, const void*, Handle, const void*, Handle, const void*, Handle, int,
                    void*, size_t, const void*, Handle, void*);
using Make = int(Handle*);
using Destroy = int(Handle);

#define EG_CUDNN_FUNCTIONS(X)                                                  \
  X(cudnnGetVersion, size_t())                                                 \
  X(cudnnCreate, Make)                                                         \
  X(cudnnSetStream, int(Handle, Handle))                                       \
  X(cudnnCreateTensorDescriptor, Make)                                         \
  X(cudnnSetTensorNdDescriptor, int(Handle, int, int, const int*, const int*)) \
  X(cudnnCreateFilterDescriptor, Make)                                         \
  X(cudnnSetFilterNdDescriptor, int(Handle, int, int, int, const int*))        \
  X(cudnnCreateConvolutionDescriptor, Make)                                    \
  X(cudnnSetConvolutionNdDescriptor,                                           \
    int(Handle, int, const int*, const int*, const int*, int, int))            \
  X(cudnnSetConvolutionGroupCount, int(Handle, int))                           \
  X(cudnnSetConvolutionMathType, int(Handle, int))                             \
  X(cudnnDestroyTensorDescriptor, Destroy)                                     \
  X(cudnnDestroyFilterDescriptor, Destroy)                                     \
  X(cudnnDestroyConvolutionDescriptor, Destroy)                                \
  X(cudnnGetConvolutionForwardAlgorithm_v7, Choose)                            \
  X(cudnnGetConvolutionBackwardDataAlgorithm_v7, Choose)                       \
  X(cudnnGetConvolutionBackwardFilterAlgorithm_v7, Choose)                     \
  X(cudnnFindConvolutionForwardAlgorithm, Choose)                              \
  X(cudnnFindConvolutionBackwardDataAlgorithm, Choose)                         \
  X(cudnnFindConvolutionBackwardFilterAlgorithm, Choose)                       \
  X(cudnnGetConvolutionForwardWorkspaceSize, Workspace)                        \
  X(cudnnGetConvolutionBackwardDataWorkspaceSize, Workspace)                   \
  X(cudnnGetConvolutionBackwardFilterWorkspaceSize, Workspace)                 \
  X(cudnnConvolutionForward, Compute)                                          \
  X(cudnnConvolutionBackwardData, Compute)                                     \
  X(cudnnConvolutionBackwardFilter, Compute)                                   \
  X(cudnnAddTensor, int(Handle, const void*, Handle, const void*, const void*, Handle, void*))

std::vector<std::string>& paths() {
  static auto* p = new std::vector<std::string>{"libcudnn.so.9"};
  return *p;
}

struct Library {
#define EG_DECLARE(name, ...) std::add_pointer_t<__VA_ARGS__> name = nullptr;
  EG_CUDNN_FUNCTIONS(EG_DECLARE)
#undef EG_DECLARE
  bool loaded = false;

  Library() {
    void* library = nullptr;
    for (const std::string& path : paths())
      if (!library) library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
#define EG_LOAD(name, ...)                                        \
  name = reinterpret_cast<decltype(name)>(dlsym(library, #name)); \
  if (!name) return;
    EG_CUDNN_FUNCTIONS(EG_LOAD)
#undef EG_LOAD
    loaded = true;
  }
};
const Library& dnn() {
  static const auto* l = new Library;
  return *l;
}

// --- plans: what a convolution of one shape needs, made once ------------------------------------------------------------

std::atomic<bool> enabled{true}, allow_tf32{true}, benchmark{false};

constexpr size_t kMostWorkspace = size_t(1) << 30;
constexpr int kChoices = 12;

struct Key {
  ConvShape shape;
  int32_t pass, type, math, benchmark, device, has_bias;
  bool operator<(const Key& o) const { return std::memcmp(this, &o, sizeof(Key)) < 0; }
};
static_assert(sizeof(Key) == sizeof(ConvShape) + 24, "compared as bytes");

struct Plan {
  bool possible = false;
  Handle x = nullptr, w = nullptr, y = nullptr, bias = nullptr, convolution = nullptr;
  int algorithm = 0;
  size_t workspace = 0;

  Plan() = default;
  Plan(const Plan&) = delete;
  ~Plan() {
    for (Handle t : {x, y, bias})
      if (t) dnn().cudnnDestroyTensorDescriptor(t);
    if (w) dnn().cudnnDestroyFilterDescriptor(w);
    if (convolution) dnn().cudnnDestroyConvolutionDescriptor(convolution);
  }
};
using PlanRef = std::shared_ptr<const Plan>;

// Padding as deep behind as in front is all that cuDNN knows.
bool even_padding(const ConvShape& s) {
  for (int i = 0; i < 3; ++i) {
    const int64_t reach = s.dilation[i] * (s.kernel[i] - 1) + 1, room = s.in[i] + 2 * s.pad[i];
    if (room < reach || (room - reach) / s.stride[i] + 1 != s.out[i]) return false;
  }
  return true;
}

bool fits(std::initializer_list<int64_t> sizes) {
  int64_t n = 1;
  for (int64_t size : sizes) {
    if (size <= 0 || size >= (int64_t(1) << 31) / n) return false;
    n *= size;
  }
  return true;
}

Handle tensor(int type, const int* sizes, int dims) {
  int strides[5];
  int step = 1;
  for (int i = dims; i-- > 0; step *= sizes[i]) strides[i] = step;
  Handle t = nullptr;
  if (dnn().cudnnCreateTensorDescriptor(&t)) return nullptr;
  if (dnn().cudnnSetTensorNdDescriptor(t, type, dims, sizes, strides) == 0) return t;
  dnn().cudnnDestroyTensorDescriptor(t);
  return nullptr;
}

constexpr int kFloat = 0, kDouble = 1;
int cudnn_type(DType t) {
  return t == DType::Float64    ? kDouble
         : t == DType::Float16  ? 2
         : t == DType::BFloat16 ? 9
                                : kFloat;
}

// The descriptors of a shape. Leading dimensions that are not used are left out.
bool describe(const Key& k, Plan& p) {
  const ConvShape& s = k.shape;
  const int first = s.in[0] == 1 && s.out[0] == 1 && s.kernel[0] == 1 && s.pad[0] == 0 ? 1 : 0;
  const int spatial = 3 - first, dims = spatial + 2, type = cudnn_type(DType(k.type));
  const int compute = type == kDouble ? kDouble : kFloat;
  int x[5] = {int(s.batch), int(s.in_channels)}, y[5] = {int(s.batch), int(s.out_channels)},
      w[5] = {int(s.out_channels), int(s.in_channels / s.groups)}, bias[5] = {1, 1, 1, 1, 1};
  int pad[3], stride[3], dilation[3];
  for (int i = 0; i < spatial; ++i) {
    const int j = first + i;
    x[2 + i] = int(s.in[j]), y[2 + i] = int(s.out[j]), w[2 + i] = int(s.kernel[j]);
    pad[i] = int(s.pad[j]), stride[i] = int(s.stride[j]), dilation[i] = int(s.dilation[j]);
  }
  bias[1] = k.pass == int(ConvPass::Forward) ? y[1] : x[1];
  p.x = tensor(type, x, dims);
  p.y = tensor(type, y, dims);
  if (k.has_bias) p.bias = tensor(type, bias, dims);
  if (!p.x || !p.y || (k.has_bias && !p.bias)) return false;
  const Library& d = dnn();
  return d.cudnnCreateFilterDescriptor(&p.w) == 0 &&
         d.cudnnSetFilterNdDescriptor(p.w, type, 0, dims, w) == 0 &&
         d.cudnnCreateConvolutionDescriptor(&p.convolution) == 0 &&
         d.cudnnSetConvolutionNdDescriptor(p.convolution, spatial, pad, stride, dilation, 1,
                                           compute) == 0 &&
         d.cudnnSetConvolutionGroupCount(p.convolution, int(s.groups)) == 0 &&
         d.cudnnSetConvolutionMathType(p.convolution, k.math) == 0;
}

// The operands in the order of the library's functions for this pass.
struct Operands {
  Handle a, b, out;
};
Operands operands(ConvPass pass, const Plan& p) {
  if (pass == ConvPass::Forward) return {p.x, p.w, p.y};
  if (pass == ConvPass::InputGrad) return {p.w, p.y, p.x};
  return {p.x, p.y, p.w};
}

bool choose(Handle handle, const Key& k, Plan& p) {
  const Library& d = dnn();
  const ConvPass pass = ConvPass(k.pass);
  const auto pick = [&](auto forward, auto input, auto weight) {
    return pass == ConvPass::Forward ? forward : pass == ConvPass::InputGrad ? input : weight;
  };
  Choose* const ask = k.benchmark ? pick(d.cudnnFindConvolutionForwardAlgorithm,
                                         d.cudnnFindConvolutionBackwardDataAlgorithm,
                                         d.cudnnFindConvolutionBackwardFilterAlgorithm)
                                  : pick(d.cudnnGetConvolutionForwardAlgorithm_v7,
                                         d.cudnnGetConvolutionBackwardDataAlgorithm_v7,
                                         d.cudnnGetConvolutionBackwardFilterAlgorithm_v7);
  Workspace* const room = pick(d.cudnnGetConvolutionForwardWorkspaceSize,
                               d.cudnnGetConvolutionBackwardDataWorkspaceSize,
                               d.cudnnGetConvolutionBackwardFilterWorkspaceSize);
  const Operands o = operands(pass, p);
  Choice choices[kChoices] = {};
  int n = 0;
  if (ask(handle, o.a, o.b, p.convolution, o.out, kChoices, &n, choices)) return false;
  for (int i = 0; i < n; ++i) {
    const Choice& c = choices[i];
    if (c.status || !c.deterministic || c.math == 2) continue;  // 2 would round to half precision
    if (d.cudnnSetConvolutionMathType(p.convolution, k.math == 3 ? 3 : c.math)) continue;
    if (room(handle, o.a, o.b, p.convolution, o.out, c.algorithm, &p.workspace)) continue;
    if (p.workspace > kMostWorkspace) continue;
    p.algorithm = c.algorithm;
    return true;
  }
  return false;
}

PlanRef made(Handle handle, const Key& k) {
  const auto p = std::make_shared<Plan>();
  p->possible = describe(k, *p) && choose(handle, k, *p);
  return p;
}

// A handle serves one thread at a time.
std::mutex& mutex() {
  static auto* m = new std::mutex;
  return *m;
}
Handle handle_of(int device) {
  static auto* handles = new std::map<int, Handle>;
  const auto found = handles->find(device);
  if (found != handles->end()) return found->second;
  Handle h = nullptr;
  if (dnn().cudnnCreate(&h)) h = nullptr;
  return (*handles)[device] = h;
}

PlanRef plan_of(Handle handle, const Key& key) {
  static auto* plans = new std::map<Key, PlanRef>;
  const auto found = plans->find(key);
  if (found != plans->end()) return found->second;
  if (plans->size() >= 4096) plans->clear();  // shapes that change for ever
  return (*plans)[key] = made(handle, key);
}

}  // namespace

bool cudnn_convolution(ConvPass pass, const ConvShape& s, DType type, const void* first,
                       const void* second, const void* bias, void* out) {
  if (!enabled || !on_nvidia() || !even_padding(s)) return false;
  if (!fits({s.batch, s.in_channels, s.in[0], s.in[1], s.in[2]}) ||
      !fits({s.batch, s.out_channels, s.out[0], s.out[1], s.out[2]}))
    return false;
  if (!dnn().loaded) return false;
  Key key;
  std::memset(static_cast<void*>(&key), 0, sizeof(key));
  key.shape = s;
  key.pass = int(pass), key.type = int(type);
  // CUDNN_TENSOR_OP_MATH, CUDNN_DEFAULT_MATH (float32 may be rounded to TF32), CUDNN_FMA_MATH
  key.math = is_reduced(type) ? 1 : allow_tf32 ? 0 : 3;
  key.benchmark = benchmark, key.device = active_device.index, key.has_bias = bias != nullptr;
  const int device = active_device.index;
  check(driver().use(device), "choosing the device");
  void* const stream = driver().stream(device);
  PlanRef made;
  {
    const std::lock_guard<std::mutex> lock(mutex());
    const Handle handle = handle_of(device);
    if (!handle || dnn().cudnnSetStream(handle, stream)) return false;
    made = plan_of(handle, key);
  }
  const Plan& plan = *made;
  if (!plan.possible) return false;
  const Scratch workspace(plan.workspace);
  const float one32 = 1, zero32 = 0;
  const double one64 = 1, zero64 = 0;
  const bool wide = type == DType::Float64;
  const void* const one = wide ? static_cast<const void*>(&one64) : &one32;
  const void* const zero = wide ? static_cast<const void*>(&zero64) : &zero32;
  const Library& d = dnn();
  const Operands o = operands(pass, plan);
  const std::lock_guard<std::mutex> lock(mutex());
  const Handle handle = handle_of(device);
  if (d.cudnnSetStream(handle, stream)) return false;
  int status;
  if (pass == ConvPass::Forward) {
    status = d.cudnnConvolutionForward(handle, one, o.a, first, o.b, second, plan.convolution,
                                       plan.algorithm, workspace.get(), plan.workspace, zero, o.out,
                                       out);
  } else if (pass == ConvPass::InputGrad) {
    status = d.cudnnConvolutionBackwardData(handle, one, o.a, second, o.b, first, plan.convolution,
                                            plan.algorithm, workspace.get(), plan.workspace, zero,
                                            o.out, out);
  } else {
    status = d.cudnnConvolutionBackwardFilter(handle, one, o.a, second, o.b, first,
                                              plan.convolution, plan.algorithm, workspace.get(),
                                              plan.workspace, zero, o.out, out);
  }
  if (status) return false;
  if (bias) status = d.cudnnAddTensor(handle, one, plan.bias, bias, one, o.out, out);
  return status == 0;
}

void set_cudnn(const CudnnSwitches& to) {
  enabled = to.enabled;
  allow_tf32 = to.allow_tf32;
  benchmark = to.benchmark;
}
void add_cudnn_path(const char* path) { paths().insert(paths().begin(), path); }
size_t cudnn_version() { return dnn().loaded ? dnn().cudnnGetVersion() : 0; }

}  // namespace eg::cuda
