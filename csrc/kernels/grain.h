// How many items one thread takes at the least, and loops that share their items out so.
#pragma once

#include "core/parallel.h"
#include "kernels/integers.h"

namespace eg {
namespace {

// Items of `work` simple element operations each, for parallel_for: one item at least.
EG_INLINE int64_t grain_of(int64_t work) { return kParallelGrain / max64(work, 1) + 1; }

// body(first element, columns, first column) of each panel of at most `widest` columns of an (outer, length, inner) array, a column
// of which is `length` elements that take `work` simple operations each. Columns are numbered through all of `outer`.
template <class F>
void over_panels(int64_t outer, int64_t length, int64_t inner, int64_t widest, int64_t work,
                 F body) {
  const int64_t panels = ceil_div(inner, widest);
  parallel_for(outer * panels, grain_of(work * length * min64(inner, widest)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t before = i / panels * inner, first = i % panels * widest;
                   body(before * length + first, min64(widest, inner - first), before + first);
                 }
               });
}

}  // namespace
}  // namespace eg
