// Windows and blocks as the pooling kernels take them.
#pragma once

#include <cstdint>

namespace eg {

// Output o of dimension i looks at begin[i][o], begin[i][o] + step[i], ... < end[i][o]; input position p may be seen by the
// outputs first[i][p] ... last[i][p] - 1.
struct PoolWindows {
  int64_t planes;
  int32_t in[3], out[3], step[3];
  const int32_t *begin[3], *end[3], *first[3], *last[3];
};

struct PoolBlocks {
  int64_t planes;
  int32_t in[2], blocks[2], kernel[2], stride[2], pad[2], dilation[2];
};

}  // namespace eg
