#include "kernels/sequence.h"
#include "prelude.cuh"

namespace eg {

template <class T>
__global__ void sequence(Sequence s, T* out) {
  for (EG_ELEMENTS(i, s.count)) out[i] = s.whole ? cast<T>(s.whole_at(i)) : cast<T>(s.at(i));
}

}  // namespace eg
