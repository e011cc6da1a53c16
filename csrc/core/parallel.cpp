#include "core/parallel.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/device.h"
#include "core/error.h"
#include "core/gil.h"

namespace eg {

GilHooks gil_hooks;
void (*poll_interrupt)() = nullptr;

namespace {

thread_local bool inside = false;

int default_threads() {
  if (const char* wish = std::getenv("EAGERGRAD_NUM_THREADS"))
    if (const int n = std::atoi(wish); n > 0) return n;
  if (const char* wish = std::getenv("OMP_NUM_THREADS"))
    if (const int n = std::atoi(wish); n > 0) return n;
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n ? static_cast<int>(n) : 1;
}

// One parallel_for in progress. Chunks are handed out by an atomic counter.
struct Job {
  Job(FunctionRef<void(int64_t, int64_t)> b, int64_t items, int64_t size)
      : body(b), n(items), chunk(size), chunks((items + size - 1) / size) {}
  FunctionRef<void(int64_t, int64_t)> body;
  int64_t n, chunk, chunks;
  std::atomic<int64_t> next{0};
  std::atomic<int64_t> done{0};
  std::exception_ptr error;
  std::atomic_flag failed = ATOMIC_FLAG_INIT;
  std::atomic<bool> stopped{false};

  void work(bool caller) {
    const bool before = inside;
    inside = true;
    for (int64_t i; (i = next.fetch_add(1)) < chunks;) {
      try {
        if (caller && poll_interrupt) poll_interrupt();
        // After a failure the rest is only counted.
        if (!stopped.load(std::memory_order_relaxed)) body(i * chunk, std::min(n, (i + 1) * chunk));
      } catch (...) {
        if (!failed.test_and_set()) error = std::current_exception();
        stopped.store(true);
      }
      done.fetch_add(1, std::memory_order_release);
    }
    inside = before;
  }
};

class Pool {
 public:
  explicit Pool(int workers) {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { loop(); });
  }
  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
      ticket_.fetch_add(1);
    }
    wake_.notify_all();
    for (std::thread& t : threads_) t.join();
  }
  size_t workers() const { return threads_.size(); }

  // Returns false if the pool is busy with another thread's job.
  bool run(Job& job) {
    std::unique_lock<std::mutex> busy(busy_, std::try_to_lock);
    if (!busy) return false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = &job;
      ticket_.fetch_add(1, std::memory_order_release);
    }
    if (sleeping_.load() > 0) wake_.notify_all();
    job.work(true);
    for (int spin = 0; job.done.load(std::memory_order_acquire) < job.chunks; ++spin) {
      if (spin > 2000) std::this_thread::yield();
      pause();
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = nullptr;
    }
    // A worker that looked at the job late must be gone before the job leaves the stack.
    while (users_.load(std::memory_order_acquire) > 0) pause();
    return true;
  }

 private:
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  // Waking a sleeping thread takes longer than most kernels of a step, and the caller's time too: a worker stays awake from one to
  // the next, and lets others have its processor.
  void spin_until_next(uint64_t seen) const {
    using Clock = std::chrono::steady_clock;
    const auto until = Clock::now() + std::chrono::microseconds(200);
    do {
      for (int i = 0; i < 64; ++i) {
        if (ticket_.load(std::memory_order_acquire) != seen) return;
        pause();
      }
      std::this_thread::yield();
    } while (Clock::now() < until);
  }

  void loop() {
    uint64_t seen = 0;
    while (true) {
      spin_until_next(seen);
      Job* job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        if (ticket_.load() == seen) {
          sleeping_.fetch_add(1);
          wake_.wait(lock, [&] { return ticket_.load() != seen; });
          sleeping_.fetch_sub(1);
        }
        seen = ticket_.load();
        if (stop_) return;
        job = job_;
        if (job) users_.fetch_add(1);
      }
      if (job) {
        job->work(false);
        users_.fetch_sub(1, std::memory_order_release);
      }
    }
  }

  std::vector<std::thread> threads_;
  std::mutex mutex_, busy_;
  std::condition_variable wake_;
  std::atomic<uint64_t> ticket_{0};
  std::atomic<int> sleeping_{0}, users_{0};
  Job* job_ = nullptr;
  bool stop_ = false;
};

std::mutex pool_mutex;
std::shared_ptr<Pool>* pool =
    new std::shared_ptr<Pool>;  // never destroyed: threads may still run at exit
std::atomic<int> threads{0};

// A forked child has none of the parent's threads: it forgets the pool without joining and makes its own when needed.
void after_fork() {
  new (&pool_mutex) std::mutex;
  pool = new std::shared_ptr<Pool>;
}

std::shared_ptr<Pool> the_pool(int n) {
  std::lock_guard<std::mutex> lock(pool_mutex);
  static const int registered = pthread_atfork(nullptr, nullptr, after_fork);
  (void)registered;
  if (!*pool || (*pool)->workers() != static_cast<size_t>(n - 1))
    *pool = std::make_shared<Pool>(n - 1);
  return *pool;
}

}  // namespace

int num_threads() {
  int n = threads.load();
  if (n == 0) threads.store(n = default_threads());
  return n;
}

void set_num_threads(int n) {
  EG_CHECK(n > 0, "[set_num_threads] expected a positive number, got ", n);
  EG_CHECK(n <= 1024, "[set_num_threads] expected at most 1024 threads, got ", n);
  threads.store(n);
}

bool in_parallel() { return inside; }

void parallel_for(int64_t n, int64_t grain, FunctionRef<void(int64_t, int64_t)> body) {
  if (n <= 0) return;
  if (EG_UNLIKELY(!active_device.is_cpu())) return body(0, n);  // see Note [The active device]
  grain = std::max<int64_t>(grain, 1);
  const int limit = num_threads();
  if (n <= grain || limit == 1 || inside) {
    const bool before = inside;
    if (n > 4 * grain && !inside) {
      ReleaseGil released;
      body(0, n);
    } else {
      body(0, n);
    }
    inside = before;
    return;
  }
  // A few chunks a thread even out their speeds.
  const int64_t wanted = std::min<int64_t>((n + grain - 1) / grain, int64_t(limit) * 4);
  int64_t chunk = (n + wanted - 1) / wanted;
  // Whole vectors: a loop's scalar rest, whose last bits may differ, stays at the end of the range.
  if (chunk >= 1024) chunk = (chunk + 63) / 64 * 64;
  Job job(body, n, chunk);
  {
    ReleaseGil released;
    if (!the_pool(limit)->run(job)) job.work(true);
  }
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace eg
