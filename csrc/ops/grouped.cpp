// Products of rows in groups, each group with a matrix of its own: what a mixture of experts computes.
//
// Two maps are each other's gradients, so every order of gradient is made of them. With rows n of group e:
//   rows      y[n] = a[n] b[e]
//   outer     w[e] = sum over n of a[n]^T g[n]
#include "ops/index.h"
#include "ops/matmul.h"
#include "ops/ops.h"
#include "tape/function.h"

namespace eg {
namespace {

// Where groups of rows end; rows from the last end on belong to none.
struct Groups {
  Dims ends;
  int64_t rows;

  int64_t count() const { return int64_t(ends.size()); }
  int64_t first(int64_t e) const { return e ? ends[e - 1] : 0; }
  int64_t used() const { return ends.empty() ? 0 : ends.back(); }
  template <class F>
  void each(F&& f) const {
    for (int64_t e = 0; e < count(); ++e)
      if (ends[e] > first(e)) f(e, first(e), ends[e] - first(e));
  }
};

Tensor matrix(const Tensor& stack, int64_t e) {
  return make_view(stack, {stack.sizes()[1], stack.sizes()[2]},
                   {stack.strides()[1], stack.strides()[2]},
                   stack.offset() + e * stack.strides()[0]);
}
Tensor rows_of(const Tensor& t, int64_t first, int64_t n) {
  return make_view(t, {n, t.sizes()[1]}, {t.strides()[0], t.strides()[1]},
                   t.offset() + first * t.strides()[0]);
}

// The group of each row that has one.
Tensor group_numbers(const Groups& groups, Device device) {
  const DeviceScope host(Device{});
  const Tensor numbers = empty({groups.used()}, DType::Int64);
  int64_t* p = numbers.data<int64_t>();
  groups.each([&](int64_t e, int64_t first, int64_t n) { std::fill(p + first, p + first + n, e); });
  return device_data(numbers, device);
}

Tensor grouped_outer(const Tensor& a, const Tensor& g, const Groups& groups);

struct GroupedRows {
  static constexpr const char* name = "GroupedMm";
  Groups groups;

  Tensor forward(Context& ctx, const Tensor& a, const Tensor& b, const Tensor& bias) {
    if (ctx.needs(1)) ctx.save(a);
    if (ctx.needs(0)) ctx.save(b);
    const int64_t width = b.sizes()[2];
    const Tensor out = empty({groups.rows, width}, a.dtype());
    groups.each([&](int64_t e, int64_t first, int64_t n) {
      const Tensor part = rows_of(out, first, n);
      if (bias.defined())
        copy_into(part, make_view(bias, {width}, {bias.strides()[1]},
                                  bias.offset() + e * bias.strides()[0]));
      mm_into(rows_of(a, first, n), matrix(b, e), part, bias.defined());
    });
    if (groups.used() < groups.rows)
      fill(rows_of(out, groups.used(), groups.rows - groups.used()), Scalar(0));
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& g) {
    Tensors result(3);
    if (ctx.needs(0))
      result[0] = eg::apply(GroupedRows{groups}, g, transpose(ctx.saved(ctx.is_recorded(1)), 1, 2),
                            Tensor());
    if (ctx.needs(1)) result[1] = grouped_outer(ctx.saved(0), g, groups);
    if (ctx.needs(2))
      result[2] = index_add(zeros({groups.count(), g.sizes()[1]}, g.dtype()), 0,
                            group_numbers(groups, g.device()), narrow(g, 0, 0, groups.used()));
    return result;
  }
};

struct GroupedOuter {
  static constexpr const char* name = "GroupedOuter";
  Groups groups;

  Tensor forward(Context& ctx, const Tensor& a, const Tensor& g) {
    if (ctx.needs(1)) ctx.save(a);
    if (ctx.needs(0)) ctx.save(g);
    const Tensor out = empty({groups.count(), a.sizes()[1], g.sizes()[1]}, a.dtype());
    for (int64_t e = 0; e < groups.count(); ++e)
      if (groups.ends[e] == groups.first(e)) fill(matrix(out, e), Scalar(0));
    groups.each([&](int64_t e, int64_t first, int64_t n) {
      const Tensor x = rows_of(a, first, n);
      mm_into(make_view(x, {x.sizes()[1], n}, {x.strides()[1], x.strides()[0]}, x.offset()),
              rows_of(g, first, n), matrix(out, e), false);
    });
    return out;
  }
  Tensors backward(Context& ctx, const Tensor& w) {
    Tensors result(2);
    if (ctx.needs(0))
      result[0] = eg::apply(GroupedRows{groups}, ctx.saved(ctx.is_recorded(1)), transpose(w, 1, 2),
                            Tensor());
    if (ctx.needs(1)) result[1] = eg::apply(GroupedRows{groups}, ctx.saved(0), w, Tensor());
    return result;
  }
};

Tensor grouped_outer(const Tensor& a, const Tensor& g, const Groups& groups) {
  return eg::apply(GroupedOuter{groups}, a, g);
}

Groups groups_of(const Tensor& offs, int64_t rows) {
  EG_CHECK((offs.dtype() == DType::Int32 || offs.dtype() == DType::Int64) && offs.dim() == 1,
           "[grouped_mm] expected offs as a vector of int32 or int64, got ", offs.dtype(),
           " of shape ", offs.sizes());
  const DeviceScope host(Device{});
  const Tensor at = contiguous_data(cast_data(host_data(offs), DType::Int64));
  Groups groups{Dims(at.data<int64_t>(), at.data<int64_t>() + at.numel()), rows};
  for (int64_t e = 0; e < groups.count(); ++e)
    EG_CHECK(groups.ends[e] >= groups.first(e) && groups.ends[e] <= rows,
             "[grouped_mm] expected offs that never fall, from 0 to at most ", rows, ", got ",
             groups.ends[e], " at position ", e, e ? str(" after ", groups.first(e)) : "");
  return groups;
}

// (N, K) rows times (groups, K, M).
Tensor grouped_rows(const Tensor& a, const Tensor& b, const Tensor& offs,
                    const std::optional<Tensor>& bias) {
  const Groups groups = groups_of(offs, a.sizes()[0]);
  EG_CHECK(b.sizes()[0] == groups.count(), "[grouped_mm] expected one matrix for each of the ",
           groups.count(), " groups, got ", b.sizes());
  EG_CHECK(a.sizes()[1] == b.sizes()[1], "[grouped_mm] shapes cannot be multiplied: ", a.sizes(),
           " and ", b.sizes());
  Tensor rows_bias;
  if (bias) {
    const Dims wanted{groups.count(), b.sizes()[2]};
    EG_CHECK(bias->dtype() == a.dtype() && is_expandable_to(bias->sizes(), wanted),
             "[grouped_mm] expected a bias of ", a.dtype(), " that broadcasts to ", wanted,
             ", one row a group, got ", bias->dtype(), " of shape ", bias->sizes());
    rows_bias = expand(*bias, wanted);
  }
  return eg::apply(GroupedRows{groups}, a, b, rows_bias);
}

Tensor grouped_mm(const Tensor& a, const Tensor& b, const std::optional<Tensor>& offs,
                  const std::optional<Tensor>& bias) {
  EG_CHECK((a.dim() == 2 || a.dim() == 3) && (b.dim() == 2 || b.dim() == 3),
           "[grouped_mm] expected matrices or stacks of them, got shapes ", a.sizes(), " and ",
           b.sizes());
  EG_CHECK(a.is_floating() && a.dtype() == b.dtype() && a.device() == b.device(),
           "[grouped_mm] expected floating point operands of one dtype on one device, got ",
           a.dtype(), " on ", a.device(), " and ", b.dtype(), " on ", b.device());
  const bool stacks = a.dim() == 3 && b.dim() == 3;
  EG_CHECK(stacks != offs.has_value(), "[grouped_mm] ",
           stacks ? "two stacks of matrices take no offs" : "a 2-d operand needs offs");
  if (a.dim() == 2 && b.dim() == 3) return grouped_rows(a, b, *offs, bias);
  EG_CHECK(!bias, "[grouped_mm] a bias goes with rows in groups: 2-d times 3-d, got shapes ",
           a.sizes(), " and ", b.sizes());
  if (stacks) return bmm(a, b);
  if (a.dim() == 3)  // columns in groups
    return transpose(grouped_rows(transpose(b, 0, 1), transpose(a, 1, 2), *offs, std::nullopt), 0,
                     1);
  EG_CHECK(a.sizes()[1] == b.sizes()[0], "[grouped_mm] shapes cannot be multiplied: ", a.sizes(),
           " and ", b.sizes());
  return grouped_outer(transpose(a, 0, 1), b, groups_of(*offs, b.sizes()[0]));
}

EG_WAITS("_grouped_mm", "the ends of the groups")
EG_OP(&grouped_mm, "_grouped_mm(mat_a, mat_b, offs=None, bias=None)",
      "Products by groups of rows, columns or terms, or of two stacks.", kInternal)

}  // namespace
}  // namespace eg
