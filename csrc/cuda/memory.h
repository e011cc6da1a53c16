// Device memory: blocks in size classes, kept for reuse by the stream that freed them.
#pragma once

#include <string>
#include <vector>

#include "core/storage.h"

namespace eg::cuda {

void install_memory();
MemoryStats memory_stats(int device);
void reset_peak_memory(int device);
// Bytes and number of the live blocks that one line of the program made, largest first.
struct LiveBlocks {
  std::string where;
  int64_t bytes, count;
};
std::vector<LiveBlocks> live_blocks(int device);
// The block at p is used by a stream that it was not allocated on.
void note_reader(int device, void* p, void* stream);
// Gives what is kept back to the driver's pool.
void empty_cache();
// A captured graph writes to the blocks of its capture at each replay, so nobody else gets them before it is dropped. `graph`:
// an address that no other graph has.
void keep_graph_memory(const void* graph);
void drop_graph_memory(const void* graph);

}  // namespace eg::cuda
