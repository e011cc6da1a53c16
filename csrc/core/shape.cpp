// Arithmetic on shapes and strides.
#include "core/tensor.h"

namespace eg {

Dims contiguous_strides(IntSpan sizes) {
  Dims strides(sizes.size());
  int64_t step = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    strides[i] = step;
    step *= std::max<int64_t>(sizes[i], 1);
  }
  return strides;
}

bool is_contiguous(IntSpan sizes, IntSpan strides) {
  int64_t step = 1;
  bool dense = true;
  for (size_t i = sizes.size(); i-- > 0;) {
    if (sizes[i] == 0) return true;
    if (sizes[i] != 1) {
      dense = dense && strides[i] == step;
      step *= sizes[i];
    }
  }
  return dense;
}

int64_t checked_numel(IntSpan sizes) {
  EG_CHECK(sizes.size() <= kMaxDims, "a tensor has at most ", kMaxDims, " dimensions, got ",
           sizes.size());
  int64_t numel = 1;
  bool zero = false;
  for (int64_t s : sizes) {
    EG_CHECK(s >= 0, "Trying to create tensor with negative dimension ", s, ": ", sizes);
    if (s == 0) {
      zero = true;
    } else {
      EG_CHECK(!__builtin_mul_overflow(numel, s, &numel) && numel < (int64_t(1) << 59),
               "a tensor of shape ", sizes, " has too many elements");
    }
  }
  return zero ? 0 : numel;
}

int64_t wrap_dim(int64_t dim, int64_t ndim) {
  const int64_t n = std::max<int64_t>(ndim, 1);
  EG_CHECK_INDEX(dim >= -n && dim < n, "Dimension out of range (expected to be in range of [", -n,
                 ", ", n - 1, "], but got ", dim, ")");
  return dim < 0 ? dim + n : dim;
}

Dims wrap_dims(IntSpan dims, int64_t ndim, bool all_if_empty) {
  Dims wrapped;
  if (dims.empty() && all_if_empty) {
    for (int64_t d = 0; d < ndim; ++d) wrapped.push_back(d);
    return wrapped;
  }
  bool seen[kMaxDims + 1] = {};
  for (int64_t d : dims) {
    const int64_t w = wrap_dim(d, ndim);
    EG_CHECK(!seen[w], "dim ", w, " appears multiple times in the list of dims");
    seen[w] = true;
    if (ndim > 0) wrapped.push_back(w);
  }
  return wrapped;
}

// What would make one of them fit the other, as a sentence, or nothing.
static std::string broadcast_hint(IntSpan a, IntSpan b) {
  const bool first = a.size() < b.size();
  const IntSpan low = first ? a : b, high = first ? b : a;
  const char* const which = first ? "first" : "second";
  Dims seen = low.dims();
  while (seen.size() < high.size()) seen.push_back(1);
  if (low.size() < high.size() && is_expandable_to(seen, high))
    return str(". Hint: the ", which, " one seen as ", IntSpan(seen), " would fit");
  if (a.size() == b.size() && a.size() >= 2) {
    std::swap(seen[seen.size() - 1], seen[seen.size() - 2]);
    if (high == seen) return str(". Hint: the ", which, " one transposed (.mT) would fit");
  }
  return "";
}

bool can_broadcast(IntSpan a, IntSpan b) {
  for (size_t i = 1; i <= std::min(a.size(), b.size()); ++i) {
    const int64_t x = a[a.size() - i], y = b[b.size() - i];
    if (x != y && x != 1 && y != 1) return false;
  }
  return true;
}

__thread bool strict_broadcast EG_TLS_MODEL = false;

Dims elementwise_shape(IntSpan a, IntSpan b) {
  Dims out = broadcast_shapes(a, b);
  if (EG_UNLIKELY(strict_broadcast) && a.size() != b.size() && site_hooks.direct &&
      site_hooks.direct()) {
    const int64_t n = checked_numel(out);
    EG_CHECK(checked_numel(a) == n || checked_numel(b) == n, "strict_broadcast: shapes ", a,
             " and ", b, " would both be stretched, to ", IntSpan(out), ", at ",
             Site::here().describe(), broadcast_hint(a, b));
  }
  return out;
}

Dims broadcast_shapes(IntSpan a, IntSpan b) {
  const size_t n = std::max(a.size(), b.size());
  Dims out(n);
  for (size_t i = 0; i < n; ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    EG_CHECK(x == y || x == 1 || y == 1, "The size of tensor a (", x,
             ") must match the size of tensor b (", y, ") at non-singleton dimension ", n - 1 - i,
             ": shapes ", a, " and ", b, " do not broadcast", broadcast_hint(a, b));
    out[n - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

bool is_expandable_to(IntSpan from, IntSpan to) {
  if (from.size() > to.size()) return false;
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t f = from[from.size() - 1 - i], t = to[to.size() - 1 - i];
    if (f != t && f != 1) return false;
  }
  return true;
}

Dims infer_size(IntSpan shape, const Tensor& x) {
  const int64_t numel = x.numel();
  Dims out = shape.dims();
  int64_t known = 1;
  int64_t unknown = -1;
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == -1) {
      EG_CHECK(unknown < 0, "only one dimension can be inferred");
      unknown = static_cast<int64_t>(i);
    } else {
      EG_CHECK(out[i] >= 0, "invalid shape dimension ", out[i]);
      EG_CHECK(!__builtin_mul_overflow(known, out[i], &known), "shape '", shape, "' is too large");
    }
  }
  if (unknown >= 0) {
    EG_CHECK(known != 0, "cannot reshape tensor of ", numel, " elements into shape ", shape,
             " because the unspecified dimension size -1 can be any value and is ambiguous");
    out[unknown] = numel / known;
    known *= out[unknown];
  }
  EG_CHECK(known == numel, "shape '", shape, "' is invalid for input of size ", numel, " (shape ",
           x.sizes(), ")");
  return out;
}

bool has_internal_overlap(const Tensor& t) {
  if (t.is_contiguous() || t.numel() <= 1) return false;
  // Sorted by stride, each dimension must step over all that the smaller ones reach. (Rare layouts that interleave
  // without overlapping are reported too; only in-place writes ask.)
  Dims order;
  for (int64_t d = 0; d < t.dim(); ++d) {
    if (t.sizes()[d] <= 1) continue;
    if (t.strides()[d] == 0) return true;
    order.push_back(d);
  }
  std::sort(order.begin(), order.end(),
            [&](int64_t a, int64_t b) { return t.strides()[a] < t.strides()[b]; });
  int64_t reach = 0;
  for (int64_t d : order) {
    if (t.strides()[d] <= reach) return true;
    reach += (t.sizes()[d] - 1) * t.strides()[d];
  }
  return false;
}

}  // namespace eg
