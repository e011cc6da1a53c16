// Errors that a kernel finds: see Note [Late errors] in core/late.h.
#pragma once

#include "layouts.h"
#include "prelude.cuh"

namespace eg {

__device__ inline void note_error(const LateCheck& check, int64_t value, int64_t size) {
  using Word = unsigned long long;
  volatile LateNote* const note = check.note;
  // Looked at first: atomics on the host's memory are slow, and a faulty index often comes in thousands.
  if (note->claim != 0) return;
  if (atomicCAS(reinterpret_cast<Word*>(&check.note->claim), Word(0), Word(1)) != 0) return;
  note->value = value;
  note->size = size;
  __threadfence_system();
  note->number = uint64_t(check.number);
}

// The index if it is in [least, size), else 0 and a note.
__device__ __forceinline__ int64_t in_bounds(int64_t index, int64_t least, int64_t size,
                                             const LateCheck& check) {
  if (index >= least && index < size) return index;
  note_error(check, index, size);
  return 0;
}

}  // namespace eg
