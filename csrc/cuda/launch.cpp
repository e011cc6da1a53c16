#include "cuda/launch.h"

#include <pthread.h>

#include <mutex>
#include <unordered_map>

#include "core/gil.h"
#include "core/late.h"
#include "core/site.h"
#include "cuda/memory.h"

namespace eg::cuda {
namespace {

const Driver* the_driver = nullptr;
bool forked = false;  // CUDA does not survive a fork
int current_index = 0;
bool capture_open = false;
const RandomPlace* random_place = nullptr;

void refuse_in_capture(const char* what) {
  EG_CHECK(
      !capture_open, what,
      ", which a captured graph cannot do again: take this operation out of the captured step (",
      Site::here().describe(), ")");
}
Compile* compile = nullptr;

struct KernelKey {
  const char* file;
  uint64_t name;
  uint64_t arguments;
  int device;
  bool operator==(const KernelKey& o) const {
    return file == o.file && name == o.name && arguments == o.arguments && device == o.device;
  }
};
struct Hash {
  size_t operator()(const KernelKey& k) const {
    uint64_t h = reinterpret_cast<uint64_t>(k.file) * 0x9e3779b97f4a7c15u;
    h = (h ^ k.name) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 29) ^ k.arguments) * 0x94d049bb133111ebu;
    return static_cast<size_t>(h ^ (h >> 32) ^ uint64_t(k.device));
  }
};

std::mutex& kernels_mutex() {
  static auto* m = new std::mutex;
  return *m;
}
std::unordered_map<KernelKey, void*, Hash>& compiled() {
  static auto* map = new std::unordered_map<KernelKey, void*, Hash>;
  return *map;
}

template <class F>
void* find(const KernelKey& key, const char* file, F&& expression) {
  {
    std::lock_guard<std::mutex> lock(kernels_mutex());
    const auto found = compiled().find(key);
    if (found != compiled().end()) return found->second;
  }
  device_step = 0;  // Python runs
  void* made = (*compile)(key.device, file, expression().c_str());
  std::lock_guard<std::mutex> lock(kernels_mutex());
  return compiled().emplace(key, made).first->second;
}

}  // namespace

const Driver& driver() {
  EG_CHECK(!forked,
           "the GPU was started before this process was forked, and cannot be used in it: start "
           "processes with the spawn method, or use the GPU only after the fork");
  EG_CHECK(the_driver, "no GPU has been started");
  return *the_driver;
}

bool after_fork() { return forked; }

bool capturing() { return capture_open; }
const RandomPlace* captured_random() { return capture_open ? random_place : nullptr; }
void begin_capture(const RandomPlace* random) {
  keep_graph_memory(random);
  capture_open = true;
  random_place = random;
}
void end_capture() { capture_open = false; }

int current() { return current_index; }
void set_current(int device) { current_index = device; }

// See Note [A step of the device].
void* stream_of(int device) {
  static thread_local struct {
    uint64_t step = 0;
    int device = 0;
    void* stream = nullptr;
  } known;
  if (device_step && known.step == device_step && known.device == device) return known.stream;
  check(driver().use(device), "choosing the device");
  known = {device_step, device, driver().stream(device)};
  return known.stream;
}

void check(int error, const char* what) {
  if (EG_UNLIKELY(error != 0))
    fail(ErrorKind::Runtime, "CUDA error in ", what, ": ", driver().describe(error));
}

const char* type_name(DType t) {
  constexpr const char* names[kDTypes] = {"bool",    "uint8_t", "int8_t",   "int16_t",
                                          "int32_t", "int64_t", "eg::Half", "eg::BFloat16",
                                          "float",   "double"};
  return names[static_cast<int>(t)];
}

void* kernel(const char* file, const char* name, std::initializer_list<Argument> arguments) {
  uint64_t packed = 0;
  for (const Argument& a : arguments)
    packed = (packed ^ (uint64_t(a.value) * 2 + a.is_type + 1)) * 0x9e3779b97f4a7c15u;
  const KernelKey key = {file, reinterpret_cast<uint64_t>(name), packed, active_device.index};
  return find(key, file, [&] {
    std::string expression = name;
    const char* before = "<";
    for (const Argument& a : arguments) {
      expression += before;
      before = ", ";
      expression += a.is_type ? type_name(static_cast<DType>(a.value)) : std::to_string(a.value);
    }
    return arguments.size() ? expression + ">" : expression;
  });
}

void* kernel(const char* file, uint64_t key, const std::function<std::string()>& expression) {
  return find({file, key, 0, active_device.index}, file, expression);
}

Grid::Grid(int64_t x, int64_t y, int64_t z, int tx, int ty, int tz, unsigned shared)
    : blocks{unsigned(x), unsigned(y), unsigned(z)},
      threads{unsigned(tx), unsigned(ty), unsigned(tz)},
      shared_bytes(shared) {
  EG_CHECK(x > 0 && x <= 0x7fffffff && y > 0 && y <= 65535 && z > 0 && z <= 65535, "a grid of ", x,
           " x ", y, " x ", z, " blocks cannot be launched");
}

Grid elements(int64_t n, int per_thread, int threads) {
  const int64_t per_block = int64_t(threads) * per_thread;
  const int64_t blocks = (n + per_block - 1) / per_block;
  const int64_t most = int64_t(driver().multiprocessors) * 2048 / threads * 8;
  return Grid(std::max<int64_t>(1, std::min(blocks, most)), threads);
}

void launch_raw(void* kernel, const Grid& grid, void** arguments) {
  void* const stream = stream_of(active_device.index);
  check(driver().launch(kernel, grid.blocks, grid.threads, grid.shared_bytes, stream, arguments),
        "a launch");
}

Uploaded::Uploaded(const void* host, size_t bytes) : scratch_(bytes) {
  if (capture_open) {
    for (size_t at = 0; at < bytes; at += sizeof(CarriedBytes)) {
      CarriedBytes carried;
      const size_t n = std::min(bytes - at, sizeof(CarriedBytes));
      std::memcpy(carried.bytes, static_cast<const char*>(host) + at, n);
      launch(kernel("elementwise.cu", "eg::store_bytes"), Grid(1, 256), scratch_.get<char>() + at,
             int(n), carried);
    }
    return;
  }
  void* const stream = stream_of(active_device.index);
  if (bytes) check(driver().to_device(scratch_.get(), host, bytes, stream), "a copy");
}

void download(void* host, const void* device, size_t bytes) {
  refuse_in_capture("values are read from the device");
  void* const stream = stream_of(active_device.index);
  check(driver().to_host(host, device, bytes, stream), "a copy");
  raise_late_errors();
}

void copy_bytes(void* to, const void* from, size_t bytes) {
  void* const stream = stream_of(active_device.index);
  check(driver().within(to, from, bytes, stream), "a copy");
}

void fill_zero(void* p, size_t bytes) {
  static const char* file = "elementwise.cu";
  static const char* name = "eg::zero_bytes";
  if (bytes)
    launch(kernel(file, name), elements(static_cast<int64_t>(bytes), 16), static_cast<char*>(p),
           static_cast<int64_t>(bytes));
}

static void wait(bool all) {
  refuse_in_capture("the host waits for the device");
  void* const stream = stream_of(active_device.index);
  const Driver& d = driver();
  {
    const ReleaseGil released;
    check(all ? d.synchronize_all() : d.synchronize(stream), "waiting");
  }
  raise_late_errors();
}
void synchronize() { wait(false); }
void synchronize_all() { wait(true); }

void start(const Driver* driver, Compile with) {
  the_driver = driver;
  compile = new Compile(std::move(with));
  install_memory();
  install_late_errors();
  pthread_atfork(nullptr, nullptr, [] { forked = true; });
  devices_in_use = true;
}

}  // namespace eg::cuda
