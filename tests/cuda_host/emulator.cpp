// A GPU for tests: device memory that the host cannot touch except through the driver's functions, and kernels that run on the
// host. See cuda_host.h.
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "core/common.h"
#include "cuda/driver.h"
#include "watch.h"

struct dim3 {
  unsigned x, y, z;
};

extern "C" {
dim3 threadIdx, blockIdx, blockDim, gridDim;
char* eg_dynamic_shared = nullptr;
}

namespace {

// --- threads of a block ---------------------------------------------------------------------------------------------

constexpr size_t kStack = 128 << 10;
enum State { kReady, kAtBlockBarrier, kAtWarpBarrier, kDone };

struct Fiber {
  ucontext_t first;
  jmp_buf where;
  bool started = false;
  State state = kReady;
  dim3 index;
  uint64_t slot = 0;
};

std::vector<Fiber> fibers;
std::vector<char*> stacks;
ucontext_t scheduler_context;
jmp_buf scheduler;
unsigned running = 0;
// Every other launch runs its blocks and threads from the last to the first: what depends on their order gives two results.
bool backwards = false;
void (*entry)(void**) = nullptr;
void** entry_arguments = nullptr;

void yield(State s) {
  Fiber& me = fibers[running];
  me.state = s;
  if (_setjmp(me.where) == 0) _longjmp(scheduler, 1);
}

void fiber_main() {
  entry(entry_arguments);
  fibers[running].state = kDone;
  _longjmp(scheduler, 1);
}

void resume(unsigned i) {
  running = i;
  Fiber& f = fibers[i];
  threadIdx = f.index;
  if (_setjmp(scheduler) != 0) return;
  if (f.started) _longjmp(f.where, 1);
  f.started = true;
  getcontext(&f.first);
  f.first.uc_stack.ss_sp = stacks[i];
  f.first.uc_stack.ss_size = kStack;
  f.first.uc_link = &scheduler_context;
  makecontext(&f.first, fiber_main, 0);
  setcontext(&f.first);
}

// Lets go of a group whose live threads all wait at the same kind of barrier.
bool release(unsigned begin, unsigned end, State barrier) {
  bool any = false;
  for (unsigned i = begin; i < end; ++i) {
    if (fibers[i].state == kDone) continue;
    if (fibers[i].state != barrier) return false;
    any = true;
  }
  if (any)
    for (unsigned i = begin; i < end; ++i)
      if (fibers[i].state == barrier) fibers[i].state = kReady;
  return any;
}

void run_block() {
  watch::begin_block();
  const unsigned n = blockDim.x * blockDim.y * blockDim.z;
  while (stacks.size() < n) stacks.push_back(static_cast<char*>(std::malloc(kStack)));
  fibers.assign(n, Fiber());
  for (unsigned i = 0; i < n; ++i)
    fibers[i].index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
  while (true) {
    bool moved = false, alive = false;
    for (unsigned turn = 0; turn < n; ++turn) {
      const unsigned i = backwards ? n - 1 - turn : turn;
      if (fibers[i].state == kReady) {
        resume(i);
        moved = true;
      }
      alive = alive || fibers[i].state != kDone;
    }
    if (!alive) return watch::count_block(n);
    for (unsigned w = 0; w < n; w += 32)
      if (release(w, w + 32 < n ? w + 32 : n, kAtWarpBarrier)) {
        watch::pass_fence(w / 32);
        moved = true;
      }
    if (release(0, n, kAtBlockBarrier)) {
      watch::next_interval(n);
      moved = true;
    }
    if (!moved) {
      std::fprintf(stderr, "cuda_host: the threads of a block wait for each other for ever\n");
      std::abort();
    }
  }
}

// --- memory -----------------------------------------------------------------------------------------------------------

// Each device has a part of its own, which its kernels alone can reach.
constexpr size_t kArena = size_t(8) << 30;
const int devices = [] {
  const char* n = std::getenv("EAGERGRAD_EMULATED_GPUS");
  return n ? std::atoi(n) : 1;
}();
const int capability = [] {
  const char* n = std::getenv("EAGERGRAD_EMULATED_CAPABILITY");
  return n ? std::atoi(n) : 80;
}();
char* arena = nullptr;
thread_local int device_in_use = 0;
struct Part {
  size_t used = 0;
  std::map<size_t, std::vector<char*>> free_blocks;
};
std::map<int, Part> parts;
std::map<char*, size_t> sizes;
std::mutex mutex;

void protect(int device, int how) { mprotect(arena + device * kArena, parts[device].used, how); }
void open_arena(int device) { protect(device, PROT_READ | PROT_WRITE); }
void close_arena(int device) { protect(device, PROT_NONE); }

int use(int device) {
  if (device < 0 || device >= devices) return 101;
  device_in_use = device;
  return 0;
}

int allocate(int device, size_t bytes, void** out) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (!arena)
    arena = static_cast<char*>(mmap(nullptr, kArena * devices, PROT_NONE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  Part& part = parts[device];
  std::vector<char*>& kept = part.free_blocks[bytes];
  if (!kept.empty()) {
    *out = kept.back();
    kept.pop_back();
    return 0;
  }
  const size_t whole = (bytes + 4095) / 4096 * 4096;
  if (part.used + whole > kArena) return 2;
  char* p = arena + device * kArena + part.used;
  part.used += whole;
  mprotect(p, whole, PROT_READ | PROT_WRITE);
  std::memset(p, 0xa5, whole);  // what was never written shows
  mprotect(p, whole, PROT_NONE);
  sizes[p] = bytes;
  *out = p;
  return 0;
}
int release_memory(int device, void* p) {
  const std::lock_guard<std::mutex> lock(mutex);
  parts[device].free_blocks[sizes[static_cast<char*>(p)]].push_back(static_cast<char*>(p));
  return 0;
}
int is_device_memory(const void* p) { return arena && p >= arena && p < arena + kArena * devices; }

int move(void* to, const void* from, size_t bytes, void*) {
  const std::lock_guard<std::mutex> lock(mutex);
  for (int d = 0; d < devices; ++d) open_arena(d);
  std::memmove(to, from, bytes);
  for (int d = 0; d < devices; ++d) close_arena(d);
  return 0;
}

// --- launches -----------------------------------------------------------------------------------------------------------

// CUDA's limits, of every card.
bool launchable(const unsigned* grid, const unsigned* block) {
  constexpr unsigned grids[] = {0x7fffffff, 65535, 65535}, blocks[] = {1024, 1024, 64};
  for (int i = 0; i < 3; ++i)
    if (grid[i] == 0 || grid[i] > grids[i] || block[i] == 0 || block[i] > blocks[i]) return false;
  return block[0] * block[1] * block[2] <= 1024;
}

int launch(void* kernel, const unsigned* grid, const unsigned* block, unsigned shared_bytes, void*,
           void** arguments) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (!launchable(grid, block) || shared_bytes > 227 * 1024) return 1;
  open_arena(device_in_use);
  std::vector<char> shared(shared_bytes + 64);
  eg_dynamic_shared = shared.data() + (64 - reinterpret_cast<uintptr_t>(shared.data()) % 64) % 64;
  watch::begin_launch(kernel, arena, kArena * devices, eg_dynamic_shared, shared_bytes);
  entry = reinterpret_cast<void (*)(void**)>(kernel);
  entry_arguments = arguments;
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  const uint64_t blocks = uint64_t(grid[0]) * grid[1] * grid[2];
  for (uint64_t turn = 0; turn < blocks; ++turn) {
    const uint64_t b = backwards ? blocks - 1 - turn : turn;
    blockIdx = {unsigned(b % grid[0]), unsigned(b / grid[0] % grid[1]),
                unsigned(b / grid[0] / grid[1])};
    run_block();
  }
  backwards = !backwards;
  close_arena(device_in_use);
  return 0;
}

double load(const void* p, int64_t i, int type) {
  switch (static_cast<eg::DType>(type)) {
    case eg::DType::Float16:
      return eg::to_float(static_cast<const eg::Half*>(p)[i]);
    case eg::DType::BFloat16:
      return eg::to_float(static_cast<const eg::BFloat16*>(p)[i]);
    case eg::DType::Float32:
      return static_cast<const float*>(p)[i];
    default:
      return static_cast<const double*>(p)[i];
  }
}
void store(void* p, int64_t i, int type, double v) {
  switch (static_cast<eg::DType>(type)) {
    case eg::DType::Float16:
      static_cast<eg::Half*>(p)[i] = eg::to_half(float(v));
      break;
    case eg::DType::BFloat16:
      static_cast<eg::BFloat16*>(p)[i] = eg::to_bfloat16(float(v));
      break;
    case eg::DType::Float32:
      static_cast<float*>(p)[i] = float(v);
      break;
    default:
      static_cast<double*>(p)[i] = v;
  }
}
int gemm(int device, const eg::cuda::Gemm* g, void*) {
  const std::lock_guard<std::mutex> lock(mutex);
  open_arena(device);
  for (int64_t b = 0; b < g->batch; ++b)
    for (int64_t i = 0; i < g->m; ++i)
      for (int64_t j = 0; j < g->n; ++j) {
        double sum = 0;
        for (int64_t l = 0; l < g->k; ++l)
          sum +=
              load(g->a, b * g->stride_a + (g->trans_a ? l * g->lda + i : i * g->lda + l),
                   g->type) *
              load(g->b, b * g->stride_b + (g->trans_b ? j * g->ldb + l : l * g->ldb + j), g->type);
        const int64_t at = b * g->stride_c + i * g->ldc + j;
        const double old = g->beta == 0 ? 0 : g->beta * load(g->c, at, g->type);
        store(g->c, at, g->type, g->alpha * sum + old);
      }
  close_arena(device);
  return 0;
}

int64_t stream_queries = 0;

const eg::cuda::Driver table = {
    devices,
    allocate,
    release_memory,
    use,
    [](int) -> void* {
      ++stream_queries;
      return nullptr;
    },
    [](void*) { return 0; },
    [] { return 0; },
    move,
    move,
    move,
    launch,
    gemm,
    is_device_memory,
    [](size_t bytes, void** out) { return (*out = std::calloc(bytes, 1)) ? 0 : 2; },
    [](int e) { return e == 2 ? "out of memory" : "invalid launch"; },
    2,
    capability,
};

}  // namespace

unsigned watch::running_thread() { return running; }

extern "C" {
void eg_block_barrier() { yield(kAtBlockBarrier); }
void eg_warp_barrier() { yield(kAtWarpBarrier); }
void eg_warp_fence() {
  watch::fencing[running / 32] = true;
  yield(kAtWarpBarrier);
}
uint64_t* eg_slot(unsigned thread) { return &fibers[thread].slot; }
bool eg_alive(unsigned thread) { return thread < fibers.size() && fibers[thread].state != kDone; }
const eg::cuda::Driver* eg_emulated_driver() { return &table; }
int64_t eg_stream_queries() { return stream_queries; }
}
