// Memory of small shared objects. Loops make and drop nodes and tensors by the thousand, of few sizes: a thread keeps them in
// lists of its own, without a lock. (The C library's lists hold seven blocks of a size; beyond that it takes 280 instructions
// to give and take one.)
#include <new>

#include "core/device.h"
#include "core/small.h"

namespace eg {
namespace {

constexpr size_t kStep = 32, kLargest = 512;  // bytes
constexpr int kSizes = kLargest / kStep;
constexpr int kKept = 1024;  // blocks of a size

struct Block {
  Block* next;
};
struct Lists {
  Block* first[kSizes] = {};
  int room[kSizes];
  explicit Lists(int blocks) {
    for (int& r : room) r = blocks;
  }
};

// Null before the thread's first deletion; without room when the thread is ending.
__thread Lists* lists EG_TLS_MODEL = nullptr;
Lists no_lists(0);

struct Closer {
  ~Closer() {
    Lists* const mine = std::exchange(lists, &no_lists);
    for (Block* b : mine->first)
      while (b) ::operator delete(std::exchange(b, b->next));
    delete mine;
  }
};

Lists* open_lists() {
  static thread_local Closer closer;
  return lists = new Lists(kKept);
}

int size_of(size_t bytes) { return static_cast<int>((bytes - 1) / kStep); }

}  // namespace

void* Counted::operator new(size_t bytes) {
  const int s = size_of(bytes);
  if (s >= kSizes) return ::operator new(bytes);
  Lists* const mine = lists;
  if (EG_UNLIKELY(!mine || !mine->first[s])) return ::operator new(size_t(s + 1) * kStep);
  Block* const block = mine->first[s];
  mine->first[s] = block->next;
  ++mine->room[s];
  return block;
}

void Counted::operator delete(void* p, size_t bytes) noexcept {
  const int s = size_of(bytes);
  Lists* const mine = EG_LIKELY(lists != nullptr) ? lists : open_lists();
#if !defined(__SANITIZE_ADDRESS__)  // which wants to see every use after the end
  if (s < kSizes && mine->room[s] > 0) {
    auto* block = static_cast<Block*>(p);
    block->next = mine->first[s];
    mine->first[s] = block;
    --mine->room[s];
    return;
  }
#endif
  ::operator delete(p);
}

}  // namespace eg
