#include "cuda/memory.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

#include "core/late.h"
#include "cuda/launch.h"

namespace eg::cuda {
namespace {

constexpr size_t kSmall = size_t(1) << 20;

// Multiples of 512 bytes up to 1 MiB, then of 2 MiB: what a later tensor of nearly the same size can use.
size_t rounded(size_t bytes) {
  const size_t step = bytes <= kSmall ? 512 : size_t(2) << 20;
  return std::max<size_t>(step, (bytes + step - 1) / step * step);
}

class Pool {
 public:
  void* take(int device, size_t asked) {
    const size_t bytes = rounded(asked);
    const void* const stream = stream_of(device);
    const void* const graph = captured_random();
    const void* const owner = graph ? graph : stream;
    std::unique_lock<std::mutex> lock(mutex_);
    Card& card = cards_[device];
    void* p = card.reuse(owner, bytes);
    if (!p && graph) p = card.reuse(stream, bytes);
    const std::vector<void*> readers = card.take_readers(p);
    if (!p || EG_UNLIKELY(!readers.empty())) {
      lock.unlock();
      wait_for(readers);
      if (!p) p = fresh(device, bytes, asked);
      lock.lock();
    }
    card.owned[p] = {owner, bytes, Site::here()};
    card.stats.live += static_cast<int64_t>(bytes);
    card.stats.peak = std::max(card.stats.peak, card.stats.live);
    ++card.stats.allocations;
    return p;
  }

  void give(int device, void* p, size_t asked) {
    const size_t bytes = rounded(asked);
    std::lock_guard<std::mutex> lock(mutex_);
    Card& card = cards_[device];
    card.stats.live -= static_cast<int64_t>(bytes);
    card.stats.cached += static_cast<int64_t>(bytes);
    const auto at = card.owned.find(p);
    card.kept[{at->second.owner, bytes}].push_back(p);
    card.owned.erase(at);
  }

  // Before another tensor gets the block, what the stream has been given by then is waited for.
  void note_reader(int device, void* p, void* stream) {
    std::lock_guard<std::mutex> lock(mutex_);
    Card& card = cards_[device];
    const auto at = card.owned.find(p);
    if (at == card.owned.end() || at->second.owner == stream) return;
    std::vector<void*>& readers = card.readers[p];
    if (std::find(readers.begin(), readers.end(), stream) == readers.end())
      readers.push_back(stream);
  }

  void empty() {
    std::vector<std::pair<int, void*>> all;
    std::vector<void*> readers;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (auto& [device, card] : cards_)
        for (auto& [key, blocks] : card.kept) {
          if (graphs_.count(key.first)) continue;
          for (void* p : blocks) {
            all.push_back({device, p});
            for (void* reader : card.take_readers(p)) readers.push_back(reader);
          }
          card.stats.cached -= static_cast<int64_t>(key.second * blocks.size());
          blocks.clear();
        }
    }
    wait_for(readers);
    for (const auto& [device, p] : all) driver().release(device, p);
  }

  void keep_graph(const void* graph) {
    std::lock_guard<std::mutex> lock(mutex_);
    graphs_.insert(graph);
  }
  void drop_graph(const void* graph) {
    std::lock_guard<std::mutex> lock(mutex_);
    graphs_.erase(graph);
  }

  MemoryStats stats(int device) {
    std::lock_guard<std::mutex> lock(mutex_);
    return cards_[device].stats;
  }
  std::vector<LiveBlocks> live(int device) {
    std::map<std::string, LiveBlocks> by_line;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const auto& [p, block] : cards_[device].owned) {
        const std::string where = block.made_at.describe();
        LiveBlocks& sum = by_line.emplace(where, LiveBlocks{where, 0, 0}).first->second;
        sum.bytes += static_cast<int64_t>(block.bytes);
        ++sum.count;
      }
    }
    std::vector<LiveBlocks> all;
    for (auto& [where, blocks] : by_line) all.push_back(blocks);
    std::sort(all.begin(), all.end(),
              [](const LiveBlocks& a, const LiveBlocks& b) { return a.bytes > b.bytes; });
    return all;
  }
  void reset_peak(int device) {
    std::lock_guard<std::mutex> lock(mutex_);
    cards_[device].stats.peak = cards_[device].stats.live;
  }

 private:
  struct Owned {
    const void* owner;  // who may use the block next: a stream or a graph
    size_t bytes;
    Site made_at;
  };
  struct Card {
    std::map<std::pair<const void*, size_t>, std::vector<void*>> kept;
    std::unordered_map<void*, Owned> owned;
    std::unordered_map<void*, std::vector<void*>> readers;  // other streams that use a block
    MemoryStats stats;

    std::vector<void*> take_readers(void* p) {
      const auto at = readers.find(p);
      if (EG_LIKELY(at == readers.end())) return {};
      std::vector<void*> taken = std::move(at->second);
      readers.erase(at);
      return taken;
    }

    // A block that its owner has let go of; null if there is none.
    void* reuse(const void* owner, size_t bytes) {
      std::vector<void*>& blocks = kept[{owner, bytes}];
      if (blocks.empty()) return nullptr;
      void* const p = blocks.back();
      blocks.pop_back();
      stats.cached -= static_cast<int64_t>(bytes);
      return p;
    }
  };

  static void wait_for(const std::vector<void*>& streams) {
    for (void* stream : streams) check(driver().synchronize(stream), "waiting");
  }

  void* fresh(int device, size_t bytes, size_t asked) {
    void* p = nullptr;
    device_step = 0;  // the driver may run Python
    if (driver().allocate(device, bytes, &p) == 0 && p) return p;
    empty();
    if (driver().allocate(device, bytes, &p) == 0 && p) return p;
    std::string held;
    const std::vector<LiveBlocks> all = live(device);
    for (size_t i = 0; i < all.size() && i < 5; ++i)
      held +=
          str("\n  ", all[i].bytes, " bytes in ", all[i].count, " blocks made at ", all[i].where);
    fail(ErrorKind::DeviceMemory, "CUDA out of memory: tried to allocate ", asked,
         " bytes on cuda:", device, "; tensors hold ", stats(device).live, " bytes there", held);
  }

  std::mutex mutex_;
  std::map<int, Card> cards_;
  std::set<const void*> graphs_;
};

Pool& pool() {
  static auto* p = new Pool;
  return *p;
}

int count() { return driver().device_count; }
void* allocate(Device d, size_t bytes) {
  late_note();  // before anything is computed or captured, when memory of the host cannot be had
  return pool().take(d.index, bytes);
}
void release(Device d, void* p, size_t bytes) { pool().give(d.index, p, bytes); }

// The streams of two devices know nothing of each other: the host waits until the destination is free, and for the copy.
void copy_between(int to, void* dst, int from, const void* src, size_t bytes) {
  EG_CHECK(!capturing(), "values move between devices, which a captured graph cannot do again (",
           Site::here().describe(), ")");
  const Driver& d = driver();
  check(d.synchronize(stream_of(to)), "waiting");
  void* const stream = stream_of(from);
  check(d.within(dst, src, bytes, stream), "a copy");
  check(d.synchronize(stream), "waiting");
}

void copy(Device to, void* dst, Device from, const void* src, size_t bytes) {
  if (bytes == 0) return;
  EG_CHECK(!capturing() || (!to.is_cpu() && !from.is_cpu()),
           "values move between the host and the device, which a captured graph cannot do again: "
           "take this operation out of the captured step (",
           Site::here().describe(), ")");
  const Driver& d = driver();
  const int device = to.is_cpu() ? from.index : to.index;
  void* const stream = stream_of(device);
  if (!to.is_cpu() && !from.is_cpu() && to.index != from.index)
    return copy_between(to.index, dst, from.index, src, bytes);
  check(to.is_cpu()     ? d.to_host(dst, src, bytes, stream)
        : from.is_cpu() ? d.to_device(dst, src, bytes, stream)
                        : d.within(dst, src, bytes, stream),
        "a copy");
  if (to.is_cpu()) raise_late_errors();
}

void wait(Device device) {
  const DeviceScope scope(device);
  synchronize_all();
}

const DeviceMemory table = {&count, &allocate, &release, &copy, &wait};

}  // namespace

void install_memory() { device_memory = &table; }
MemoryStats memory_stats(int device) { return pool().stats(device); }
void reset_peak_memory(int device) { pool().reset_peak(device); }
std::vector<LiveBlocks> live_blocks(int device) { return pool().live(device); }
void note_reader(int device, void* p, void* stream) { pool().note_reader(device, p, stream); }
void empty_cache() { pool().empty(); }
void keep_graph_memory(const void* graph) { pool().keep_graph(graph); }
void drop_graph_memory(const void* graph) { pool().drop_graph(graph); }

}  // namespace eg::cuda
