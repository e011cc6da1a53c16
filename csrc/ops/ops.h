// The ops as C++ functions: recorded when grad mode is on. Elementwise ones are declared from the table.
#pragma once

#include "core/tensor.h"
#include "ops/elementwise.h"

namespace eg {

// --- shape (views where PyTorch gives views) -----------------------------------------------------------------
Tensor view(const Tensor& x, IntSpan shape);     // raises if strides do not allow it
Tensor reshape(const Tensor& x, IntSpan shape);  // view if possible, else a copy
Tensor expand(const Tensor& x, IntSpan sizes);   // -1 keeps a size
Tensor permute(const Tensor& x, IntSpan dims);
Tensor transpose(const Tensor& x, int64_t dim0, int64_t dim1);
Tensor unsqueeze(const Tensor& x, int64_t dim);
Tensor squeeze(const Tensor& x, IntSpan dims);
Tensor narrow(const Tensor& x, int64_t dim, int64_t start, int64_t length);
Tensor slice(const Tensor& x, int64_t dim, int64_t start, int64_t end, int64_t step);  // clamped
Tensor select(const Tensor& x, int64_t dim, int64_t index);
Tensor as_strided(const Tensor& x, IntSpan sizes, IntSpan strides, int64_t offset);
// x with the region that as_strided would give replaced by value (a new tensor).
Tensor as_strided_scatter(const Tensor& x, const Tensor& value, IntSpan sizes, IntSpan strides,
                          int64_t offset);
Tensor diagonal(const Tensor& x, int64_t offset, int64_t dim0, int64_t dim1);
Tensor flip(const Tensor& x, IntSpan dims);
Tensor cat(const TensorList& list, int64_t dim);
Tensor stack(const TensorList& list, int64_t dim);
TensorList split_sizes(const Tensor& x, IntSpan sizes, int64_t dim);
TensorList unbind(const Tensor& x, int64_t dim);
Tensor repeat(const Tensor& x, IntSpan times);
Tensor flatten(const Tensor& x, int64_t start, int64_t end);

// a ** b, with cheaper ops for the exponents that programs write most.
Tensor power(const Tensor& a, const Tensor& b);

// --- copies ------------------------------------------------------------------------------------------------------
Tensor to(const Tensor& x, Device device);
Tensor to(const Tensor& x, DType dtype);  // x itself if nothing changes; gradient cast back
Tensor clone(const Tensor& x);            // keeps dense strides, as PyTorch's preserve_format
Tensor contiguous(const Tensor& x);
Tensor& copy_(Tensor& self, const Tensor& src);  // recorded in-place
Tensor zeros_like(const Tensor& x);
Tensor ones_like(const Tensor& x);

// --- index -----------------------------------------------------------------------------------------------------------
Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index);
Tensor gather(const Tensor& x, int64_t dim, const Tensor& index);
Tensor scatter_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src);
Tensor index_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src);
Tensor masked_fill(const Tensor& x, const Tensor& mask, const Tensor& value);
// x[indices...]: undefined entries stand for ':'. Integer (any width), bool or uint8 tensors.
Tensor index(const Tensor& x, const TensorList& indices);
Tensor index_put(const Tensor& x, const TensorList& indices, const Tensor& values, bool accumulate);

// --- reduce --------------------------------------------------------------------------------------------------------
Tensor sum(const Tensor& x, IntSpan dims, bool keepdim = false,
           std::optional<DType> dtype = std::nullopt);
Tensor sum(const Tensor& x);
// Sums leading and broadcast dims so that the result has the given shape.
Tensor sum_to(const Tensor& x, IntSpan sizes);
Tensor mean(const Tensor& x, IntSpan dims, bool keepdim = false);
Tensor amax(const Tensor& x, IntSpan dims, bool keepdim = false);
Tensor amin(const Tensor& x, IntSpan dims, bool keepdim = false);
Tensor logsumexp(const Tensor& x, IntSpan dims, bool keepdim = false);
Tensor cumsum(const Tensor& x, int64_t dim);
Tensor softmax(const Tensor& x, int64_t dim);
Tensor log_softmax(const Tensor& x, int64_t dim);

// --- matmul -----------------------------------------------------------------------------------------------------------
Tensor matmul(const Tensor& a, const Tensor& b);  // NumPy's rules
Tensor mm(const Tensor& a, const Tensor& b);
Tensor bmm(const Tensor& a, const Tensor& b);
Tensor linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias);

}  // namespace eg
