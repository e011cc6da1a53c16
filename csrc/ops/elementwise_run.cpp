// Runs one loop of the table over operands of any layout and dtype, and lays results out.
#include "core/iterate.h"
#include "kernels/copy.h"
#include "kernels/loop.h"
#include "ops/elementwise.h"

namespace eg {
namespace {

constexpr int64_t kStrip = 1024;  // elements of a conversion buffer

// Note [Results past the caches]. A result of kPastCaches bytes has left the caches before anybody reads it. Written past them,
// its lines need not be read first, a third of the traffic of a unary op. Loops write kStreamed elements to a buffer at a
// time, so nothing is gained where the arithmetic, which no longer overlaps with the writing, takes as long: in lines that
// call functions of the C library. What is cast on its way out is written after the arithmetic in any case.
constexpr int64_t kPastCaches = 8 << 20, kStreamed = 256;

bool is_light(LoopName name) {
  static constexpr bool unary[] = {
#define EG_UNARY(NAME, DOMAIN, FLAGS, COUNT, P0, D0, P1, D1, P2, D2, Y, GX) !calls_library(#Y),
#include "ops/elementwise.def"
      true,  // copies
  };
  static constexpr bool binary[] = {
#define EG_BINARY(NAME, DOMAIN, FLAGS, Y, GA, GB) !calls_library(#Y),
#include "ops/elementwise.def"
  };
  if (name.gradient >= 0) return false;
  return name.arity == 1 ? unary[name.op] : name.arity == 2 ? binary[name.op] : true;
}

// Loops of halves take one number as a float.
DType number_type(DType compute) { return is_reduced(compute) ? DType::Float32 : compute; }

// A thread's buffers for operands that a loop cannot read in place.
struct Strips {
  alignas(64) char bytes[kMaxOperands][kStrip * 8];
  alignas(64) char narrow[kStrip * 8];  // the result in the type it is stored in
};

struct Plan {
  ElementwiseLoop loop;
  const double* attributes;
  int operands;  // output first
  DType stored[kMaxOperands], compute[kMaxOperands];
  int64_t stride[kMaxOperands];  // of the innermost dimension, bytes
  int64_t step[kMaxOperands];
  bool direct[kMaxOperands];
  int8_t twin[kMaxOperands];  // an operand before it that goes through a buffer and may be the same
  bool all_direct;
  bool unconverted;  // every operand is of its loop's type, and its lines dense or one number
  bool past_caches = false;  // see Note [Results past the caches]

  void prepare(const int64_t* strides, int64_t length, bool scalar_steps) {
    all_direct = unconverted = true;
    for (int o = 0; o < operands; ++o) {
      stride[o] = strides[o];
      const bool dense = stride[o] == static_cast<int64_t>(item_size(stored[o])) || length == 1;
      const bool number = o > 0 && scalar_steps && stride[o] == 0;
      if (number) compute[o] = number_type(compute[o]);
      step[o] = number ? 0 : 1;
      direct[o] = stored[o] == compute[o] && (number || dense);
      all_direct = all_direct && direct[o];
      unconverted = unconverted && stored[o] == compute[o] && (dense || stride[o] == 0);
      twin[o] = 0;
      for (int8_t t = 1; t < o && !direct[o]; ++t)
        if (stored[t] == stored[o] && compute[t] == compute[o] && stride[t] == stride[o])
          twin[o] = t;
    }
  }

  void line(char* const* p, int64_t n) const {
    if (all_direct) {
      const bool aligned = reinterpret_cast<uintptr_t>(p[0]) % 64 == 0;
      if (EG_UNLIKELY(past_caches && aligned && n >= kStreamed)) return streamed(p, n);
      loop(p, step, n, attributes);
      return;
    }
    Strips strips;
    const CopyKernels& copy = host_kernels<CopyKernels>();
    char* q[kMaxOperands];
    bool own[kMaxOperands];  // needs converting
    for (int o = 1; o < operands; ++o) {
      const bool again = twin[o] && p[o] == p[twin[o]];
      own[o] = !direct[o] && !again;
      q[o] = direct[o] ? p[o] : again ? q[twin[o]] : strips.bytes[o];
      if (own[o] && stride[o] == 0)  // one number for all strips
        copy.line(q[o], step[o] ? item_size(compute[o]) : 0, compute[o], p[o], 0, stored[o],
                  step[o] ? std::min(n, kStrip) : 1);
    }
    const bool streams = past_caches && reinterpret_cast<uintptr_t>(p[0]) % 64 == 0 &&
                         stride[0] == static_cast<int64_t>(item_size(stored[0]));
    for (int64_t i = 0; i < n; i += kStrip) {
      const int64_t m = std::min(kStrip, n - i);
      for (int o = 1; o < operands; ++o) {
        if (direct[o]) {
          q[o] = p[o] + i * stride[o];
        } else if (own[o] && stride[o] != 0) {
          copy.line(q[o], item_size(compute[o]), compute[o], p[o] + i * stride[o], stride[o],
                    stored[o], m);
        }
      }
      char* const to = p[0] + i * stride[0];
      q[0] = direct[0] && !streams ? to : strips.bytes[0];
      loop(q, step, m, attributes);
      if (streams && !direct[0]) {
        copy.line(strips.narrow, stride[0], stored[0], q[0], item_size(compute[0]), compute[0], m);
        q[0] = strips.narrow;
      }
      if (streams)
        copy.past_caches(to, q[0], m * stride[0]);
      else if (!direct[0])
        copy.line(to, stride[0], stored[0], q[0], item_size(compute[0]), compute[0], m);
    }
    if (streams) copy.drain_stores();
  }

 private:
  void streamed(char* const* p, int64_t n) const {
    alignas(64) char buffer[kStreamed * 8];
    const CopyKernels& copy = host_kernels<CopyKernels>();
    char* q[kMaxOperands];
    q[0] = buffer;
    for (int64_t i = 0; i < n; i += kStreamed) {
      const int64_t m = std::min(kStreamed, n - i);
      for (int o = 1; o < operands; ++o) q[o] = p[o] + i * stride[o];
      loop(q, step, m, attributes);
      copy.past_caches(p[0] + i * stride[0], buffer, m * stride[0]);
    }
    copy.drain_stores();
  }
};

// What most calls have: operands that lie as the result does and need no conversion, and numbers.
struct Alike {
  char* p[kMaxOperands];
  int64_t step[kMaxOperands];
  double number[kMaxOperands];

  bool prepare(const Tensor& out, DType out_compute, const LoopOperand* inputs, int n,
               bool scalar_steps) {
    if (!out.is_contiguous() || out.dtype() != out_compute) return false;
    p[0] = out.raw();
    step[0] = 1;
    for (int i = 1; i <= n; ++i) {
      const Tensor& t = *inputs[i - 1].tensor;
      // At most one is a number, since the other has the shape of out.
      const bool is_number = scalar_steps && t.dim() == 0 && out.dim() > 0;
      const DType compute = is_number ? number_type(inputs[i - 1].compute) : inputs[i - 1].compute;
      p[i] = t.raw();
      if (is_number) {
        step[i] = 0;
        if (t.dtype() == compute) continue;
        char* const converted = reinterpret_cast<char*>(&number[i]);
        host_kernels<CopyKernels>().line(converted, 0, compute, p[i], 0, t.dtype(), 1);
        p[i] = converted;
        continue;
      }
      if (t.dtype() != compute || !t.is_contiguous() || t.sizes() != out.sizes()) return false;
      step[i] = 1;
    }
    return true;
  }
};

// All operands are dense or numbers: no walk over dimensions.
void run_flat(Plan& plan, const Tensor& out, const LoopOperand* inputs, int n, bool scalar_steps) {
  const int64_t numel = out.numel();
  char* p[kMaxOperands];
  int64_t strides[kMaxOperands];
  p[0] = out.raw();
  strides[0] = static_cast<int64_t>(out.item_size());
  for (int i = 0; i < n; ++i) {
    const Tensor& t = *inputs[i].tensor;
    p[i + 1] = t.raw();
    strides[i + 1] = t.numel() == 1 && numel != 1 ? 0 : static_cast<int64_t>(t.item_size());
  }
  plan.prepare(strides, numel, scalar_steps);
  if (numel <= kParallelGrain) return plan.line(p, numel);
  parallel_for(numel, kParallelGrain, [&](int64_t begin, int64_t end) {
    char* q[kMaxOperands];
    for (int o = 0; o <= n; ++o) q[o] = p[o] + begin * strides[o];
    plan.line(q, end - begin);
  });
}

// Lines shorter than this are put together in strips of whole lines: a call of the loop takes as long as such a line.
constexpr int64_t kShortLine = 200, kFewElements = 512;

// out is contiguous and nothing is converted.
void run_short_lines(const Plan& plan, const Walk& walk, int n) {
  const int64_t length = walk.line(), lines = walk.size(1), most = kStrip / length;
  const CopyKernels& copy = host_kernels<CopyKernels>();
  int64_t step[kMaxOperands], apart[kMaxOperands];
  bool lies_alike[kMaxOperands];  // as out, or one number
  for (int o = 0; o <= n; ++o) {
    const int64_t size = item_size(plan.stored[o]);
    apart[o] = walk.stride(1, o);
    const bool is_number = plan.step[o] == 0 && apart[o] == 0;
    lies_alike[o] = is_number || (plan.stride[o] == size && apart[o] == length * size);
    step[o] = is_number ? 0 : 1;
  }
  parallel_for(walk.numel() / length, kParallelGrain / length, [&](int64_t begin, int64_t end) {
    Strips strips;
    const char* repeated[kMaxOperands] = {};  // the line that a strip is full of
    char* q[kMaxOperands];
    for (int64_t line = begin, count; line < end; line += count) {
      count = std::min({most, end - line, lines - line % lines});
      walk.run(line * length, line * length + 1, [&](char* const* p, int64_t) {
        for (int o = 0; o <= n; ++o) {
          q[o] = lies_alike[o] ? p[o] : strips.bytes[o];
          if (lies_alike[o] || (apart[o] == 0 && repeated[o] == p[o])) continue;
          const int64_t size = item_size(plan.stored[o]), rows = apart[o] ? count : most;
          if (plan.stride[o] == 0)
            copy.spread(q[o], p[o], apart[o], rows, length, int(size));
          else
            copy.rows(q[o], length * size, p[o], apart[o], rows, length * size);
          if (apart[o] == 0) repeated[o] = p[o];
        }
      });
      plan.loop(q, step, count * length, plan.attributes);
    }
  });
}

void run_strided(Plan& plan, const Tensor& out, const LoopOperand* inputs, int n,
                 bool scalar_steps) {
  Walk walk(out.sizes());
  walk.add(out);
  double numbers[kMaxOperands];  // as the loop takes them
  for (int o = 1; o <= n; ++o) {
    const Tensor& t = *inputs[o - 1].tensor;
    if (t.numel() != 1) {
      walk.add(t);
      continue;
    }
    const DType type = scalar_steps ? number_type(plan.compute[o]) : plan.compute[o];
    char* const number = reinterpret_cast<char*>(&numbers[o]);
    host_kernels<CopyKernels>().line(number, 0, type, t.raw(), 0, t.dtype(), 1);
    plan.stored[o] = type;
    walk.add(number, {}, {}, item_size(type));
  }
  walk.finish();
  plan.prepare(walk.line_strides(), walk.line(), scalar_steps);
  if (plan.unconverted && !plan.past_caches && out.is_contiguous() && walk.dims() > 1 &&
      walk.line() > 1 && walk.line() < kShortLine && walk.size(1) * walk.line() >= kFewElements)
    return run_short_lines(plan, walk, n);
  parallel_for(out.numel(), kParallelGrain, [&](int64_t begin, int64_t end) {
    walk.run(begin, end, [&](char* const* p, int64_t m) { plan.line(p, m); });
  });
}

}  // namespace

void run_elementwise(LoopName name, ElementwiseLoop loop, const Tensor& out, DType out_compute,
                     const LoopOperand* inputs, int n, const double* attributes,
                     bool scalar_steps) {
  static const double none[3] = {0, 0, 0};
  const int64_t numel = out.numel();
  if (numel == 0) return;
  if (EG_UNLIKELY(!out.device().is_cpu())) {
    const DeviceScope scope(out.device());
    kernels<ElementwiseKernels>().run(
        {name, &out, out_compute, inputs, n, attributes ? attributes : none});
    return;
  }
  if (numel <= kParallelGrain) {
    Alike alike;
    if (alike.prepare(out, out_compute, inputs, n, scalar_steps))
      return loop(alike.p, alike.step, numel, attributes ? attributes : none);
  }
  Plan plan;
  plan.loop = loop;
  plan.attributes = attributes ? attributes : none;
  plan.operands = n + 1;
  plan.stored[0] = out.dtype();
  plan.compute[0] = out_compute;
  plan.past_caches = numel * static_cast<int64_t>(out.item_size()) >= kPastCaches &&
                     (is_light(name) || out.dtype() != out_compute);
  bool flat = out.is_contiguous();
  for (int i = 0; i < n; ++i) {
    const Tensor& t = *inputs[i].tensor;
    plan.stored[i + 1] = t.dtype();
    plan.compute[i + 1] = inputs[i].compute;
    plan.past_caches = plan.past_caches && &t.storage() != &out.storage();
    flat = flat && (t.numel() == 1 || (t.is_contiguous() && t.sizes() == out.sizes()));
  }
  (flat ? run_flat : run_strided)(plan, out, inputs, n, scalar_steps);
}

Dims result_strides(IntSpan shape, const Tensor* const* inputs, int n) {
  const auto stride = [&](int i, int64_t d) -> int64_t {
    const int64_t at = d + inputs[i]->dim() - int64_t(shape.size());
    return at < 0 || inputs[i]->sizes()[at] != shape[d] ? 0 : inputs[i]->strides()[at];
  };
  // Is dimension a farther apart than b? The first input that knows decides; where it expands one of them it does not.
  const auto compare = [&](int64_t a, int64_t b) {
    for (int i = 0; i < n; ++i) {
      const int64_t x = stride(i, a), y = stride(i, b);
      if (x && y && x != y) return x > y ? 1 : -1;
    }
    return 0;
  };
  // Dimensions in the inputs' memory order, the nearest first: each moves on until the inputs know one that is nearer.
  Dims order;
  for (size_t d = shape.size(); d-- > 0;) {
    order.push_back(int64_t(d));
    size_t at = order.size() - 1;
    for (size_t i = at; i-- > 0;) {
      const int known = compare(order[i], order[at]);
      if (known < 0) break;
      if (known == 0) continue;
      std::swap(order[i], order[at]);
      at = i;
    }
  }
  Dims strides(shape.size());
  int64_t step = 1;
  for (int64_t d : order) {
    strides[d] = step;
    step *= std::max<int64_t>(shape[d], 1);
  }
  return strides;
}

Tensor empty_result(IntSpan shape, DType dtype, const Tensor* const* inputs, int n) {
  int first = 0;
  while (first < n && inputs[first]->dim() == 0) ++first;
  if (first == n || (IntSpan(inputs[first]->sizes()) == shape && inputs[first]->is_contiguous()))
    return empty(shape, dtype);
  return empty_strided(shape, result_strides(shape, inputs + first, n - first), dtype);
}

}  // namespace eg
