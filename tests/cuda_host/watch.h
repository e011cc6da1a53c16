// What a card does not say: whether threads use the same memory at a time without waiting for each other, and how the threads of a
// warp share the memory's paths. Kernels compiled with -fsanitize=thread call the functions below at each of their accesses.
#pragma once

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace watch {

// --- races ----------------------------------------------------------------------------------------------------------
// Time is counted in intervals: one ends at every barrier of a block and with every block.
struct By {
  uint32_t interval,
      thread;  // thread: its number in the block, and from bit 10 on the fences that its warp has passed
};
struct Cell {
  By write, read, other_read;  // the last of each; other_read: by another thread than `read`
};
struct Memory {
  char *begin = nullptr, *end = nullptr;
  Cell* cells = nullptr;
  bool has(const char* p) const { return p >= begin && p < end; }
};
// The launch and block under way.
inline uint32_t interval = 1, first_of_launch = 1, first_of_block = 1;
inline uint32_t fences[32];
inline bool fencing[32];  // the warp is at a fence, not in a shuffle, which orders no memory
inline Memory global, shared, dynamic;
inline bool on = false;
inline void* kernel = nullptr;  // null while nothing is watched

struct Race {
  void* where;
  const char* kind;
};
inline std::map<void*, std::vector<Race>> races;

inline void found(const char* kind, void* pc) {
  std::vector<Race>& of = races[kernel];
  for (const Race& r : of)
    if (r.where == pc) return;
  of.push_back({pc, kind});
}

// Did `before` happen in this launch with nothing that keeps it apart from `now`?
inline const char* clash(By before, By now, bool shared_memory) {
  if (before.interval < first_of_launch) return nullptr;
  if (before.interval < first_of_block) return shared_memory ? nullptr : "between blocks";
  if (before.interval < now.interval || (before.thread & 1023) == (now.thread & 1023))
    return nullptr;
  const bool same_warp = (before.thread & 1023) / 32 == (now.thread & 1023) / 32;
  if (same_warp && before.thread >> 10 != now.thread >> 10) return nullptr;
  return same_warp ? "within a warp" : "within a block";
}

inline void check(Cell& c, By now, bool write, bool shared_memory, void* pc) {
  const char* kind = clash(c.write, now, shared_memory);
  if (!kind && write) kind = clash(c.read, now, shared_memory);
  if (!kind && write) kind = clash(c.other_read, now, shared_memory);
  if (kind) found(kind, pc);
  if (write) {
    c.write = now;
  } else {
    if ((c.read.thread & 1023) != (now.thread & 1023) || c.read.interval < first_of_block)
      c.other_read = c.read;
    c.read = now;
  }
}

// --- how accesses of a warp go together -------------------------------------------------------------------------------

struct Access {
  void* pc;
  const char* at;
  uint32_t size;
  bool shared;
};
struct Counts {
  uint64_t shared_requests, shared_phases, shared_wavefronts, global_requests, least_sectors,
      sectors;
};
inline bool counting = false;
inline std::map<std::pair<void*, void*>, Counts> counts;  // by kernel and place
inline std::vector<std::vector<Access>> accesses(1024);

// Shared memory has 32 banks of 4 bytes; 8 bytes a lane go in two halves of a warp, 16 in four quarters.
inline uint64_t wavefronts(const std::vector<const Access*>& lanes, uint64_t* phases) {
  const uint32_t size = lanes[0]->size, group = size <= 4 ? 32 : 128 / size;
  std::map<uint32_t, std::array<std::set<uintptr_t>, 32>> parts;
  for (uint32_t i = 0; i < lanes.size(); ++i)
    for (uint32_t byte = 0; byte < size; byte += 4) {
      const uintptr_t word = (reinterpret_cast<uintptr_t>(lanes[i]->at) + byte) / 4;
      parts[i / group][word % 32].insert(word);
    }
  uint64_t all = 0;
  for (const auto& part : parts) {
    size_t most = 0;
    for (const auto& bank : part.second) most = std::max(most, bank.size());
    all += most;
  }
  *phases += parts.size();
  return all;
}

inline void count_warp(unsigned first, unsigned end) {
  // The lanes' n-th access from one place of the program is one instruction.
  std::map<std::pair<void*, unsigned>, std::vector<const Access*>> requests;
  for (unsigned t = first; t < end; ++t) {
    std::map<void*, unsigned> before;
    for (const Access& a : accesses[t]) requests[{a.pc, before[a.pc]++}].push_back(&a);
  }
  for (const auto& request : requests) {
    const auto& lanes = request.second;
    Counts& c = counts[{kernel, lanes[0]->pc}];
    if (lanes[0]->shared) {
      ++c.shared_requests;
      c.shared_wavefronts += wavefronts(lanes, &c.shared_phases);
      continue;
    }
    std::set<uintptr_t> sectors, bytes;
    for (const Access* a : lanes)
      for (uint32_t b = 0; b < a->size; ++b) {
        bytes.insert(reinterpret_cast<uintptr_t>(a->at) + b);
        sectors.insert((reinterpret_cast<uintptr_t>(a->at) + b) / 32);
      }
    ++c.global_requests;
    c.sectors += sectors.size();
    c.least_sectors += (bytes.size() + 31) / 32;
  }
}
inline void count_block(unsigned threads) {
  if (!counting) return;
  for (unsigned t = 0; t < threads; t += 32) count_warp(t, std::min(t + 32, threads));
  for (unsigned t = 0; t < threads; ++t) accesses[t].clear();
}

// --- what the emulator tells ---------------------------------------------------------------------------------------------

inline void next_interval(unsigned threads) {
  ++interval;
  std::fill_n(fences, 32, 0);
  count_block(threads);
}

inline void pass_fence(unsigned warp) {
  fences[warp] += fencing[warp];
  fencing[warp] = false;
}

inline Cell* cells(size_t n) {
  return static_cast<Cell*>(mmap(nullptr, n * sizeof(Cell), PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
}

// The writable part of the library that a kernel is in: its shared arrays.
inline Memory memory_of(void* function) {
  static std::map<void*, Memory> known;
  const auto at = known.find(function);
  if (at != known.end()) return at->second;
  struct Search {
    char* function;
    Memory found;
  } search = {static_cast<char*>(function), {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        auto* s = static_cast<Search*>(data);
        char* const base = reinterpret_cast<char*>(info->dlpi_addr);
        Memory writable;
        bool here = false;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& h = info->dlpi_phdr[i];
          if (h.p_type != PT_LOAD) continue;
          char* const begin = base + h.p_vaddr;
          if (s->function >= begin && s->function < begin + h.p_memsz) here = true;
          if (h.p_flags & PF_W) writable.begin = begin, writable.end = begin + h.p_memsz;
        }
        if (here) s->found = writable;
        return int(here);
      },
      &search);
  Memory& m = search.found;
  m.cells = m.begin ? cells(size_t(m.end - m.begin)) : nullptr;
  return known[function] = m;
}

inline void begin_launch(void* function, char* arena, size_t bytes, char* dynamic_shared,
                         size_t dynamic_bytes) {
  if (!on) return;
  kernel = function;
  if (!global.begin && arena) global = {arena, arena + bytes, cells(bytes)};
  shared = memory_of(function);
  static Cell* const of_dynamic = cells(size_t(256) << 10);
  dynamic = {dynamic_shared, dynamic_shared + dynamic_bytes, of_dynamic};
  first_of_launch = first_of_block = ++interval;
}
inline void begin_block() { first_of_block = ++interval; }

inline unsigned running_thread();  // the emulator's

inline void access(const void* address, size_t bytes, bool write, void* pc) {
  const char* const p = static_cast<const char*>(address);
  const Memory& m = global.has(p) ? global : shared.has(p) ? shared : dynamic;
  if (!m.has(p) || !kernel) return;
  const unsigned thread = running_thread();
  const By now = {interval, thread | fences[thread / 32] << 10};
  for (size_t i = 0; i < bytes; ++i) check(m.cells[p - m.begin + i], now, write, &m != &global, pc);
  if (counting) accesses[thread].push_back({pc, p, uint32_t(bytes), &m != &global});
}

inline std::string place(void* function, void* pc) {
  Dl_info where = {};
  char line[600];
  dladdr(pc, &where);
  std::snprintf(line, sizeof line, "%llu\t%s+0x%zx",
                static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(function)),
                where.dli_fname,
                size_t(static_cast<char*>(pc) - static_cast<char*>(where.dli_fbase)));
  return line;
}

}  // namespace watch

extern "C" {
#define EG_WATCH_SIZE(n)                                                                    \
  void __tsan_read##n(void* p) { watch::access(p, n, false, __builtin_return_address(0)); } \
  void __tsan_write##n(void* p) { watch::access(p, n, true, __builtin_return_address(0)); } \
  void __tsan_unaligned_read##n(void* p) {                                                  \
    watch::access(p, n, false, __builtin_return_address(0));                                \
  }                                                                                         \
  void __tsan_unaligned_write##n(void* p) {                                                 \
    watch::access(p, n, true, __builtin_return_address(0));                                 \
  }
EG_WATCH_SIZE(1)
EG_WATCH_SIZE(2)
EG_WATCH_SIZE(4)
EG_WATCH_SIZE(8)
EG_WATCH_SIZE(16)
#undef EG_WATCH_SIZE
void __tsan_read_range(void* p, size_t n) {
  watch::access(p, n, false, __builtin_return_address(0));
}
void __tsan_write_range(void* p, size_t n) {
  watch::access(p, n, true, __builtin_return_address(0));
}
void __tsan_volatile_read4(void*) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
void __tsan_vptr_update(void*, void*) {}

// What was found since the last call, a line each: the kernel's address, the place as library+offset, and what there is to say of it.
const char* eg_watch_races() {
  static std::string text;
  text.clear();
  for (const auto& of : watch::races)
    for (const watch::Race& r : of.second)
      text += watch::place(of.first, r.where) + "\t" + r.kind + "\n";
  watch::races.clear();
  return text.c_str();
}
const char* eg_watch_counts() {
  static std::string text;
  text.clear();
  for (const auto& of : watch::counts) {
    text += watch::place(of.first.first, of.first.second);
    const watch::Counts& c = of.second;
    for (const uint64_t n : {c.shared_requests, c.shared_phases, c.shared_wavefronts,
                             c.global_requests, c.least_sectors, c.sectors})
      text += "\t" + std::to_string(n);
    text += "\n";
  }
  watch::counts.clear();
  return text.c_str();
}
void eg_watch(int on) { watch::on = on != 0; }
void eg_watch_count(int on) { watch::counting = on != 0; }
}
