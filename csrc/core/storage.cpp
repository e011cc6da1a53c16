#include "core/storage.h"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdlib>
#include <unordered_map>

#include "core/error.h"
#include "core/exports.h"

namespace eg {

SiteHooks site_hooks;

namespace {

// Size classes: multiples of 64 up to 1 KiB, then eight steps an octave (waste at most 1/8).
constexpr size_t kAlign = 64;
constexpr size_t kLinear = 1024;
constexpr int kLinearClasses = kLinear / kAlign;
constexpr int kOctaves = 40;
constexpr int kClasses = kLinearClasses + 8 * kOctaves + 1;
constexpr size_t kHugePage = size_t(2) << 20;
constexpr size_t kHuge = kHugePage;  // from here on the system is asked for huge pages

int size_class(size_t bytes) {
  if (bytes <= kLinear) return bytes == 0 ? 0 : static_cast<int>((bytes - 1) / kAlign);
  const int octave = 63 - __builtin_clzll(bytes - 1);  // 2^octave < bytes <= 2^(octave + 1)
  const int step = static_cast<int>((bytes - 1) >> (octave - 3)) & 7;
  return kLinearClasses + (octave - 10) * 8 + step;
}
size_t class_bytes(int c) {
  if (c < kLinearClasses) return (size_t(c) + 1) * kAlign;
  const int octave = (c - kLinearClasses) / 8 + 10, step = (c - kLinearClasses) % 8;
  return (size_t(1) << octave) + (size_t(step) + 1) * (size_t(1) << (octave - 3));
}

// Large blocks are mapped, on a huge page's boundary: the C library may keep what it is given back. Null if there is no memory.
void* take_from_system(size_t bytes) {
  void* p = nullptr;
  if (bytes < kHuge) return posix_memalign(&p, kAlign, bytes) == 0 ? p : nullptr;
  p = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  char* const start = static_cast<char*>(p);
  const size_t before = -reinterpret_cast<uintptr_t>(p) % kHugePage, after = kHugePage - before;
  if (before) munmap(start, before);
  if (after) munmap(start + before + bytes, after);
#ifdef MADV_HUGEPAGE
  madvise(start + before, bytes, MADV_HUGEPAGE);
#endif
  return start + before;
}
void give_to_system(void* p, size_t bytes) {
  if (bytes < kHuge) {
    std::free(p);
  } else {
    munmap(p, bytes);
  }
}

struct FreeBlock {
  FreeBlock* next;
  size_t bytes;
};
constexpr int64_t kSlack = int64_t(16) << 20;  // bytes that may be cached beyond the highest use
constexpr size_t kMidSize = size_t(256) << 10;

// PyTorch's words, which programs that look for a batch size that fits search for.
constexpr const char* kCannot =
    "DefaultCPUAllocator: can't allocate memory: you tried to allocate ";

// Blocks of one class are a stack. The lock is held for a few instructions, hence a spin lock.
class Cache {
 public:
  void lock() {
    while (busy_.test_and_set(std::memory_order_acquire)) {
    }
  }
  void unlock() { busy_.clear(std::memory_order_release); }

  void* take(size_t asked) {
    const int c = size_class(asked);
    EG_CHECK_KIND(Memory, c < kClasses, kCannot, asked, " bytes");
    const size_t bytes = class_bytes(c);
    lock();
    FreeBlock *block = free_[c], *surplus = nullptr;
    if (block) {
      free_[c] = block->next;
      stats_.cached -= static_cast<int64_t>(bytes);
    }
    count(bytes);
    if (!block) surplus = unlink_surplus();
    unlock();
    free_all(surplus);
    return block ? block : fresh(bytes, asked);
  }

  void give(void* p, size_t asked) {
    const int c = size_class(asked);
    const int64_t bytes = static_cast<int64_t>(class_bytes(c));
    auto* block = static_cast<FreeBlock*>(p);
    lock();
    stats_.live -= bytes;
    stats_.cached += bytes;
    *block = {free_[c], size_t(bytes)};
    free_[c] = block;
    FreeBlock* const surplus = unlink_surplus();
    unlock();
    free_all(surplus);
  }

  void pin(const Storage* storage, int more) {
    lock();
    const auto entry = pinned_.try_emplace(storage, 0).first;
    entry->second += more;
    if (entry->second == 0) pinned_.erase(entry);
    unlock();
  }
  bool is_pinned(const Storage* storage) {
    lock();
    const bool found = pinned_.count(storage) != 0;
    unlock();
    return found;
  }

  void drop_all() {
    lock();
    for (FreeBlock*& list : free_) free_all(std::exchange(list, nullptr));
    stats_.cached = 0;
    unlock();
  }

  MemoryStats stats() {
    lock();
    const MemoryStats now = stats_;
    unlock();
    return now;
  }
  void reset_peak() {
    lock();
    stats_.peak = stats_.live;
    unlock();
  }

 private:
  void count(size_t bytes) {
    stats_.live += static_cast<int64_t>(bytes);
    stats_.peak = std::max(stats_.peak, stats_.live);
    ++stats_.allocations;
  }

  // Held is as much as was ever in use at once, so that a loop's second round allocates nothing anew, and a little more, since
  // blocks of one class do not serve another. What is beyond that leaves the lists: mid-sized blocks first, which the system
  // takes back and brings again at little cost, small ones last.
  FreeBlock* unlink_surplus() {
    const int64_t most = stats_.peak + std::max(kSlack, stats_.peak / 32);
    FreeBlock* surplus = nullptr;
    const int first = size_class(kMidSize);
    for (int i = 0; i < kClasses && stats_.live + stats_.cached > most; ++i) {
      const int c = (first + i) % kClasses;
      while (free_[c] && stats_.live + stats_.cached > most) {
        FreeBlock* const block = std::exchange(free_[c], free_[c]->next);
        block->next = surplus;
        surplus = block;
        stats_.cached -= static_cast<int64_t>(class_bytes(c));
      }
    }
    return surplus;
  }
  static void free_all(FreeBlock* list) {
    while (list) {
      FreeBlock* const block = std::exchange(list, list->next);
      give_to_system(block, block->bytes);
    }
  }

  void* fresh(size_t bytes, size_t asked) {
    void* p = take_from_system(bytes);
    if (!p) {
      drop_all();
      p = take_from_system(bytes);
    }
    if (!p) {
      lock();
      stats_.live -= static_cast<int64_t>(bytes);
      const int64_t live = stats_.live;
      unlock();
      fail(ErrorKind::Memory, kCannot, asked, " bytes (", live, " bytes are held by tensors)");
    }
    return p;
  }

  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  FreeBlock* free_[kClasses] = {};
  MemoryStats stats_;
  std::unordered_map<const Storage*, int> pinned_;
};

// Never destroyed: tensors may outlive static destruction.
Cache& cache() {
  static Cache& instance = *[] {
    auto* made = new Cache;
    pthread_atfork([] { cache().lock(); }, [] { cache().unlock(); }, [] { cache().unlock(); });
    return made;
  }();
  return instance;
}

constexpr size_t kHeader = (sizeof(Storage) + kAlign - 1) / kAlign * kAlign;

}  // namespace

MemoryStats memory_stats() { return cache().stats(); }
void reset_peak_memory() { cache().reset_peak(); }
void empty_cache() { cache().drop_all(); }
void* allocate(size_t bytes) { return cache().take(bytes); }
void deallocate(void* p, size_t bytes) { cache().give(p, bytes); }
void pin(const Storage& storage) { cache().pin(&storage, 1); }
void unpin(const Storage& storage) { cache().pin(&storage, -1); }

Ref<Storage> Storage::create(size_t bytes) {
  EG_CHECK_KIND(Memory, bytes < (size_t(1) << 48), kCannot, bytes, " bytes");
  if (bytes >= kHuge) {
    // In a block of its own: 64 bytes more would reach into another huge page, and into a larger class of sizes.
    Ref<Storage> s = create(0);
    s->data_ = allocate(bytes);
    s->bytes_ = bytes;
    s->own_data_ = true;
    return s;
  }
  void* block = allocate(kHeader + bytes);
  auto* s = new (block) Storage;
  s->data_ = static_cast<char*>(block) + kHeader;
  s->bytes_ = bytes;
  s->block_bytes_ = kHeader + bytes;
  return Ref<Storage>::adopt(s);
}

Ref<Storage> Storage::create(size_t bytes, Device device) {
  check_device(device);
  EG_CHECK_KIND(Memory, bytes < (size_t(1) << 48), "can't allocate memory: you tried to allocate ",
                bytes, " bytes on ", device);
  Ref<Storage> s = create(0);
  s->device_ = device;
  s->data_ = device_memory->allocate(device, bytes);
  s->bytes_ = bytes;
  s->own_data_ = true;
  return s;
}

Ref<Storage> Storage::borrow(void* data, size_t bytes, Device device, bool writable,
                             std::function<void()> drop) {
  Ref<Storage> s = create(0);
  s->data_ = data;
  s->bytes_ = bytes;
  s->device_ = device;
  s->writable_ = writable;
  s->drop_ = std::move(drop);
  return s;
}

Ref<Storage> Storage::defer(std::unique_ptr<DeferredMemory> memory, size_t bytes, Device device) {
  Ref<Storage> s = create(0);
  s->data_ = nullptr;
  s->bytes_ = bytes;
  s->device_ = device;
  s->deferred_ = std::move(memory);
  return s;
}

void* Storage::deferred_data() const { return deferred_ ? deferred_->memory(*this) : nullptr; }

void Storage::resize(size_t bytes) {
  if (bytes <= bytes_) return;
  EG_CHECK(!cache().is_pinned(this),
           "Trying to resize storage that is not resizable: NumPy or another library reads it");
  void* grown;
  if (device_.is_cpu()) {
    grown = allocate(bytes);
    std::memcpy(grown, data(), bytes_);
  } else {
    grown = device_memory->allocate(device_, bytes);
    device_memory->copy(device_, grown, device_, data(), bytes_);
  }
  release_data();
  if (drop_) std::exchange(drop_, nullptr)();
  data_ = grown;
  bytes_ = bytes;
  own_data_ = true;
  deferred_.reset();
}

void Storage::release_data() {
  if (!own_data_) return;
  if (device_.is_cpu()) {
    deallocate(data_, bytes_);
  } else {
    device_memory->release(device_, data_, bytes_);
  }
}

void Storage::destroy() {
  if (drop_) drop_();
  release_data();
  const size_t block = block_bytes_;
  this->~Storage();
  deallocate(this, block);
}

}  // namespace eg
