// Helpers of the ops that take integer indices.
#pragma once

#include "core/late.h"
#include "kernels/index.h"
#include "ops/registry.h"
#include "ops/views.h"

namespace eg {

namespace detail {
// A result whose form depends on a flag: one tensor, or a tuple of several.
struct TensorOrTuple {
  Tensor one;
  TensorList many;
};
inline void put(ResultSink& out, TensorOrTuple r) {
  if (r.one.defined())
    out.tensor(std::move(r.one));
  else
    out.tensors(std::move(r.many), true);
}
}  // namespace detail

// The index as contiguous int64 within [0, size). wrap: entries from -size on count from the end. Raises `kind` naming the
// entry, the dimension and its size.
struct IndexCheck {
  const char* op;
  ErrorKind kind = ErrorKind::Index;
  bool wrap = false;
};
void index_range(const Tensor& index, int64_t* low,
                 int64_t* high);  // of a contiguous int64 tensor, not empty
Tensor checked_index(const IndexCheck& check, const Tensor& index, int64_t size, int64_t dim);

// Raises the error unless all of `fine` is true. On a device nobody waits for it: see Note [Late errors] in core/late.h.
void require(const Tensor& fine, const LateError& error);
// Of adjacent stretches of places, which end before `ends` (int64, rising): the one that each of the places 0 .. n - 1 is in.
Tensor stretch_of_each(const Tensor& ends, int64_t n);

// Where along one dimension of x the entries of a checked 1-d index are. Keeps the tables it needs.
class AlongDim {
 public:
  AlongDim(const Tensor& x, int64_t dim, const Tensor& index);
  const Positions& positions() const { return p_; }

 private:
  std::vector<int64_t> outer_, inner_;
  Positions p_;
};

// Offsets of all positions of a block, in row-major order.
std::vector<int64_t> block_offsets(IntSpan sizes, IntSpan strides);

// Runs an op that writes into its first input, in place and recorded: `fn` has a member `in_place`.
template <class F, class... In>
Tensor apply_inplace(const char* op, F fn, const Tensor& self, const In&... inputs) {
  check_inplace(self, op);
  fn.in_place = true;
  const Tensor out = eg::apply(std::move(fn), self, inputs...);
  rewrite_history(self, out);
  return self;
}
// What such an op writes into: x's own memory, or a copy of it, row by row unless it is to lie as x does.
Tensor writable(const Tensor& x, bool in_place, bool lies_as_x = false);
// src, or a copy if it shares memory with what is about to be written.
Tensor apart_from(const Tensor& target, const Tensor& src);

// The gradient of taking the rows `index` along dim out of a tensor of in_sizes: zeros with g added there, in order. Added to
// what the engine holds for that input where possible. Recorded.
Tensor spread_rows(Context& ctx, size_t input, const Tensor& g, int64_t dim, const Tensor& index,
                   const Dims& in_sizes);

// Positions of the true elements of a contiguous bool or uint8 tensor, as flat int64.
Tensor true_positions(const Tensor& mask);
// Coordinates of ascending or any flat positions: coordinate d of position i goes to out[i * step + d * jump]. Division only
// where the last dimension's row changes.
void coordinates(const Tensor& flat, IntSpan sizes, int64_t* out, int64_t step, int64_t jump);
// [count, dims] for nonzero().
Tensor nonzero(const Tensor& x);
Tensor index_fill(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& value);
Tensor scatter(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src);
Tensor index_add_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src);
Tensor index_put_(const Tensor& self, const TensorList& indices, const Tensor& values,
                  bool accumulate);
Tensor masked_fill_(const Tensor& self, const Tensor& mask, const Tensor& value);

}  // namespace eg
