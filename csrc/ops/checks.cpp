// Indices brought into range, and what else an op asks of its input's values: at once on the host, later on a device.
#include <mutex>
#include <set>

#include "core/parallel.h"
#include "kernels/sort.h"
#include "ops/creation.h"
#include "ops/index.h"
#include "ops/ops.h"

namespace eg {

void index_range(const Tensor& index, int64_t* low, int64_t* high) {
  const DeviceScope scope(index.device());
  const IndexKernels& k = kernels<IndexKernels>();
  const int64_t n = index.numel(), chunk = 4 * kParallelGrain, chunks = (n + chunk - 1) / chunk;
  const int64_t* at = index.data<int64_t>();
  if (chunks <= 1 || !index.device().is_cpu()) return k.range(at, n, low, high);
  std::vector<int64_t> ends(2 * chunks);
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c)
      k.range(at + c * chunk, std::min(chunk, n - c * chunk), &ends[2 * c], &ends[2 * c + 1]);
  });
  k.range(ends.data(), 2 * chunks, low, high);
}

Tensor checked_index(const IndexCheck& check, const Tensor& index, int64_t size, int64_t dim) {
  const DeviceScope scope(index.device());
  Tensor wide = contiguous_data(cast_data(index, DType::Int64));
  const int64_t n = wide.numel();
  if (n == 0) return wide;
  const IndexKernels& k = kernels<IndexKernels>();
  if (!index.device().is_cpu() && size > 0) {
    const Tensor settled = empty(wide.sizes(), DType::Int64);
    k.settle(settled.data<int64_t>(), wide.data<int64_t>(), n, check.wrap, size,
             late_errors->number({check.kind, check.op, "index", dim}));
    return settled;
  }
  int64_t low, high;
  index_range(wide, &low, &high);
  const int64_t least = check.wrap ? -size : 0;
  if (low < least || high >= size)
    fail(check.kind, "[", check.op, "] index ", low < least ? low : high,
         " is out of bounds for dimension ", dim, " with size ", size);
  if (low >= 0) return wide;
  Tensor wrapped = empty(wide.sizes(), DType::Int64);
  k.settle(wrapped.data<int64_t>(), wide.data<int64_t>(), n, true, size, 0);
  return wrapped;
}

void require(const Tensor& fine, const LateError& error) {
  if (fine.numel() == 0) return;
  const DeviceScope scope(fine.device());
  const GradMode off(false);
  const Tensor wrong = sub(Tensor(1), amin(cast_data(fine, DType::Int64), {}));
  if (fine.device().is_cpu())
    return EG_UNLIKELY(wrong.item().to_int()) ? fail(error.kind, "[", error.op, "] ", error.what)
                                              : void();
  const Tensor settled = empty({}, DType::Int64);  // an index below 1, which only true is not
  kernels<IndexKernels>().settle(settled.data<int64_t>(), wrong.data<int64_t>(), 1, false, 1,
                                 late_errors->number(error));
}

Tensor stretch_of_each(const Tensor& ends, int64_t n) {
  const DeviceScope scope(ends.device());
  const Tensor out = empty({n}, DType::Int64);
  if (ends.device().is_cpu()) {
    const int64_t *end = ends.data<int64_t>(), stretches = ends.numel();
    int64_t *to = out.data<int64_t>(), at = 0;
    for (int64_t i = 0; i < stretches; ++i)
      for (; at < std::min(end[i], n); ++at) to[at] = i;
    return out;
  }
  const Tensor places = arange(n);
  if (n)
    kernels<SortKernels>().search(DType::Int64, ends.raw(), nullptr, ends.numel(), places.raw(), 1,
                                  n, true, true, out.data<int64_t>());
  return out;
}

namespace {

// Texts of Python live on: notes of a device may name them later.
const char* kept_text(const std::string& text) {
  static std::mutex mutex;
  static auto* texts = new std::set<std::string>;
  const std::lock_guard<std::mutex> lock(mutex);
  return texts->insert(text).first->c_str();
}

EG_OP(
    +[](const Tensor& input, std::string op, std::string sentence, bool value_error) {
      require(input, {value_error ? ErrorKind::Value : ErrorKind::Runtime, kept_text(op),
                      kept_text(sentence)});
    },
    "_require(input, op, sentence, value_error=False)",
    "Raises unless all of input is true; on a device nobody waits for it.", kInternal)

}  // namespace
}  // namespace eg
