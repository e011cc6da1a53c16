// Runs the table's loops on the GPU: chooses the kernel, of which eagergrad/cuda/elementwise.cu has the two shapes.
#include "ops/elementwise.h"

#include "core/iterate.h"
#include "cuda/launch.h"
#include "cuda/layouts.h"

namespace eg {
namespace {

constexpr const char* kFile = "elementwise.cu";

const char* const unary_names[] = {
#define EG_UNARY(NAME, ...) #NAME,
#include "ops/elementwise.def"
    "copy"};
const char* const binary_names[] = {
#define EG_BINARY(NAME, ...) #NAME,
#include "ops/elementwise.def"
};
const char* const ternary_names[] = {
#define EG_TERNARY(NAME, ...) #NAME,
#include "ops/elementwise.def"
    "where"};

// "eg::tanh_y", "eg::mul_g1"
std::string function_name(LoopName name) {
  const char* const* names = name.arity == 1   ? unary_names
                             : name.arity == 2 ? binary_names
                                               : ternary_names;
  return str("eg::", names[name.op], name.gradient < 0 ? "_y" : str("_g", int(name.gradient)));
}

// An input on the host is one number, in the type the loop computes in.
void set_number(LoopInput& in, const Tensor& t, DType compute) {
  const Scalar value = t.item();
  in.data = nullptr;
  visit_compute(compute, [&](auto zero) {
    using T = decltype(zero);
    T x;
    if constexpr (std::is_same_v<T, bool>) {
      x = value.to_bool();
    } else if constexpr (std::is_integral_v<T>) {
      x = static_cast<T>(value.to_int());
    } else {
      x = static_cast<T>(value.to_double());
    }
    std::memcpy(in.number, &x, sizeof(T));
  });
}

// How an input lies in memory; numbers come as the kernel computes.
DType stored_type(const Tensor& t, DType compute) {
  return t.device().is_cpu() ? compute : t.dtype();
}

uint64_t key_of(const DeviceLoop& l, int shape, DType compute) {
  uint64_t key = uint64_t(l.name.arity) | uint64_t(uint16_t(l.name.op)) << 2 |
                 uint64_t(l.name.gradient + 1) << 18 | uint64_t(shape) << 21 |
                 uint64_t(compute) << 23 | uint64_t(l.out->dtype()) << 27;
  if (shape == 0)
    for (int i = 0; i < l.n; ++i)
      key |= uint64_t(stored_type(*l.inputs[i].tensor, compute)) << (31 + 4 * i);
  return key;
}

void run_flat(const DeviceLoop& l, const LoopInputs& in, DType compute) {
  const int64_t n = l.out->numel();
  void* const kernel = cuda::kernel(kFile, key_of(l, 0, compute), [&] {
    std::string types;
    for (int i = 0; i < l.n; ++i)
      types += str(", ", cuda::type_name(stored_type(*l.inputs[i].tensor, compute)));
    return str("eg::flat<", function_name(l.name), ", ", cuda::type_name(compute), ", ",
               cuda::type_name(l.out->dtype()), types, ">");
  });
  const auto aligned = [](const void* p, size_t item) {
    return reinterpret_cast<uintptr_t>(p) % std::min<size_t>(16, 4 * item) == 0;
  };
  bool wide = aligned(l.out->raw(), l.out->item_size());
  for (int i = 0; i < l.n; ++i)
    wide = wide && (!in.of[i].step || aligned(in.of[i].data, l.inputs[i].tensor->item_size()));
  cuda::launch(kernel, cuda::elements(n, 4), static_cast<void*>(l.out->raw()), n, int(wide), in);
}

// The dimensions past kLoopDims, which hardly ever exist, are walked here.
void run_strided(const DeviceLoop& l, const LoopInputs& in, DType compute) {
  Walk walk(l.out->sizes());
  walk.add(*l.out);
  for (int i = 0; i < l.n; ++i) {
    if (in.of[i].data) {
      walk.add(*l.inputs[i].tensor);
    } else {
      walk.add(nullptr, {}, {}, 1);
    }
  }
  walk.finish();
  StridedLoop s;
  s.in = in;
  s.dims = std::min(walk.dims(), kLoopDims);
  s.dtype = static_cast<int32_t>(l.out->dtype());
  s.n = 1;
  for (int d = 0; d < s.dims; ++d) {
    s.n *= s.sizes[d] = walk.size(d);
    for (int o = 0; o <= l.n; ++o) s.strides[d][o] = walk.stride(d, o);
  }
  const bool small = s.n < (int64_t(1) << 31);
  void* const kernel = cuda::kernel(kFile, key_of(l, small ? 1 : 2, compute), [&] {
    return str("eg::strided<", function_name(l.name), ", ", cuda::type_name(compute), ", ", l.n,
               ", ", small ? "uint32_t" : "uint64_t", ">");
  });
  int64_t outer = 1;
  for (int d = s.dims; d < walk.dims(); ++d) outer *= walk.size(d);
  for (int64_t at = 0; at < outer; ++at) {
    int64_t rest = at;
    s.out = walk.data(0);
    for (int i = 0; i < l.n; ++i)
      if (in.of[i].data) s.in.of[i].data = walk.data(i + 1);
    for (int d = s.dims; d < walk.dims(); ++d) {
      const int64_t i = rest % walk.size(d);
      rest /= walk.size(d);
      s.out += i * walk.stride(d, 0);
      for (int o = 0; o < l.n; ++o)
        if (in.of[o].data)
          s.in.of[o].data = static_cast<const char*>(s.in.of[o].data) + i * walk.stride(d, o + 1);
    }
    cuda::launch(kernel, cuda::elements(s.n), s);
  }
}

void run(const DeviceLoop& l) {
  DType compute = l.inputs[l.n - 1].compute;  // of where(), the first is the condition
  if (is_reduced(compute)) compute = DType::Float32;
  LoopInputs in;
  std::memcpy(in.attributes, l.attributes, sizeof(in.attributes));
  bool flat = l.out->is_contiguous();
  for (int i = 0; i < l.n; ++i) {
    const Tensor& t = *l.inputs[i].tensor;
    LoopInput& to = in.of[i];
    to.dtype = static_cast<int32_t>(t.dtype());
    to.step = 0;
    if (t.device().is_cpu()) {
      set_number(to, t, compute);
      continue;
    }
    to.data = t.raw();
    to.step = t.numel() == 1 ? 0 : 1;
    flat = flat && (t.numel() == 1 || (t.is_contiguous() && t.sizes() == l.out->sizes()));
  }
  if (flat) {
    run_flat(l, in, compute);
  } else {
    run_strided(l, in, compute);
  }
}

// What a line of the table is computed in and gives, for inputs of a dtype; nothing if the CPU has no such loop either.
struct TableEntry {
  LoopName name;
  int inputs;
  bool truth;  // a bool result
};
std::vector<TableEntry> table_entries(DType compute) {
  std::vector<TableEntry> all = {{kCopyLoop, 1, false}, {kWhereLoop, 3, false}};
  const auto add = [&](LoopName name, bool exists, Domain domain, int gradients) {
    if (!exists) return;
    all.push_back({name, name.arity, gives_bool(domain)});
    if (!is_floating(compute) || gives_bool(domain) || domain == Domain::Int) return;
    for (int i = 0; i < gradients; ++i)
      all.push_back({{name.arity, name.op, static_cast<int8_t>(i)}, name.arity + 2, false});
  };
  const int c = compute_index(compute);
#define EG_UNARY(NAME, DOMAIN, ...) \
  add({1, int16_t(Unary::NAME)},    \
      host_kernels<UnaryKernels>().forward[int(Unary::NAME)][c] != nullptr, DOMAIN, 1);
#define EG_BINARY(NAME, DOMAIN, ...) \
  add({2, int16_t(Binary::NAME)},    \
      host_kernels<BinaryKernels>().forward[int(Binary::NAME)][c] != nullptr, DOMAIN, 2);
#define EG_TERNARY(NAME, ...)      \
  add({3, int16_t(Ternary::NAME)}, \
      host_kernels<TernaryKernels>().forward[int(Ternary::NAME)][c] != nullptr, Domain::Any, 3);
#include "ops/elementwise.def"
  return all;
}

}  // namespace

std::vector<std::string> cuda::table_kernels(DType dtype, bool strided) {
  const DType compute = is_reduced(dtype) ? DType::Float32 : dtype;
  std::vector<std::string> all;
  for (const TableEntry& e : table_entries(compute)) {
    const std::string start = str("<", function_name(e.name), ", ", type_name(compute), ", ");
    if (strided) {
      for (const char* index : {"uint32_t", "uint64_t"})
        all.push_back(str("eg::strided", start, e.inputs, ", ", index, ">"));
      continue;
    }
    std::string types = type_name(e.truth ? DType::Bool : dtype);
    const bool where = e.name.arity == 3 && e.name.op == kWhereLoop.op;
    for (int i = 0; i < e.inputs; ++i)
      types += str(", ", type_name(where && i == 0 ? DType::Bool : dtype));
    all.push_back(str("eg::flat", start, types, ">"));
  }
  return all;
}

EG_CUDA_KERNELS(ElementwiseKernels, {&run})

}  // namespace eg
