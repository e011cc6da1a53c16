// How an op gets its Python name: EG_OP(cpp_function, "name(input, dim=None, keepdim=False, *, dtype=None)", "doc").
//
// Types come from the C++ function's parameters, names and defaults (Python literals) from the string. The binding makes of each
// entry the function eg.<name> and, if the first parameter is called `input`, the method Tensor.<name>; of entries that
// share a name it tries one after the other. Flags:
//   kInplace  there is also <name>_, which writes the result into its first argument
//   kOut      there is also a keyword out= for a tensor of the result's dtype
//   kOutCasts the same, for a tensor of any dtype that the result may be cast to
//   kFunctionOnly / kMethodOnly  no method / no function
//   kInternal  only reachable as eg._C.ops.<name> (what nn.functional wraps)
//   kCreates   also takes requires_grad=False (factories)
// A parameter named *sizes takes integers one by one or as one sequence. "-> (values, indices)" at the end of the
// string names the fields of a tuple result. Everything in out-of-line Python-free code: a binding reads arguments through
// ArgSource and hands back results through ResultSink.
#pragma once

#include <string_view>
#include <tuple>

#include "core/generator.h"
#include "core/tensor.h"

namespace eg {

// A tensor argument that also accepts Python numbers and arrays: `other` in x * other.
struct Operand {
  Tensor tensor;
  operator const Tensor&() const { return tensor; }  // NOLINT
};

// A list of tensors some of which may be None (undefined here): the indices of index_put.
struct IndexList {
  TensorList tensors;
};

enum class ArgKind : uint8_t {
  Tensor,
  Operand,
  TensorList,
  IndexList,
  Int,
  Float,
  Bool,
  Scalar,
  Ints,
  Floats,
  DType,
  Device,
  Text,
  Generator,
};

// Arguments of one call, already matched to the signature.
struct ArgSource {
  virtual bool is_none(int i) = 0;
  virtual const Tensor& tensor(int i) = 0;    // Tensor and Operand; valid as long as the source
  virtual TensorList tensor_list(int i) = 0;  // TensorList and IndexList
  virtual int64_t integer(int i) = 0;
  virtual double number(int i) = 0;
  virtual bool flag(int i) = 0;
  virtual Scalar scalar(int i) = 0;
  virtual Dims ints(int i) = 0;
  virtual std::vector<double> floats(int i) = 0;
  virtual DType dtype(int i) = 0;
  virtual Device device(int i) = 0;
  virtual std::string text(int i) = 0;
  virtual Generator* generator(int i) = 0;  // null: the default one

 protected:
  ~ArgSource() = default;
};

struct ResultSink {
  virtual void none() = 0;
  virtual void tensor(Tensor t) = 0;
  virtual void tensors(TensorList list, bool tuple) = 0;  // tuple of fixed length, or list
  virtual void boolean(bool b) = 0;
  virtual void integer(int64_t i) = 0;
  virtual void number(double d) = 0;
  virtual void scalar(Scalar s) = 0;
  virtual void ints(Dims d) = 0;
  virtual void dtype(DType t) = 0;

 protected:
  ~ResultSink() = default;
};

enum OpFlags : uint32_t {
  kNone = 0,
  kInplace = 1,
  kOut = 2,
  kFunctionOnly = 4,
  kMethodOnly = 8,
  kInternal = 16,
  kCreates = 32,
  kOutCasts = kOut | 64,
};

struct ArgType {
  ArgKind kind;
  bool optional;  // accepts None
};

struct OpEntry {
  const char* signature;
  const char* doc;
  uint32_t flags;
  std::vector<ArgType> args;
  void (*invoke)(void (*function)(), ArgSource& in, ResultSink& out);
  void (*function)();
};

// Ops in which the host waits for a device, and for what: EG_WAITS("nonzero argwhere", "how many there are").
struct OpWait {
  const char* names;
  const char* reason;
};
std::vector<OpWait>& op_waits();

// All entries, in order of registration.
std::vector<OpEntry>& op_entries();

namespace detail {

template <class T>
struct Arg;
#define EG_ARG(ctype, k, read)                             \
  template <>                                              \
  struct Arg<ctype> {                                      \
    static constexpr ArgKind kind = ArgKind::k;            \
    static constexpr bool optional = false;                \
    static ctype get(ArgSource& s, int i) { return read; } \
  };
EG_ARG(Operand, Operand, Operand{s.tensor(i)})
EG_ARG(TensorList, TensorList, s.tensor_list(i))
EG_ARG(IndexList, IndexList, IndexList{s.tensor_list(i)})
EG_ARG(int64_t, Int, s.integer(i))
EG_ARG(double, Float, s.number(i))
EG_ARG(bool, Bool, s.flag(i))
EG_ARG(Scalar, Scalar, s.scalar(i))
EG_ARG(Dims, Ints, s.ints(i))
EG_ARG(std::vector<double>, Floats, s.floats(i))
EG_ARG(DType, DType, s.dtype(i))
EG_ARG(Device, Device, s.device(i))
EG_ARG(std::string, Text, s.text(i))
#undef EG_ARG
// Tensor: required. std::optional<Tensor>: None gives an empty optional.
template <>
struct Arg<Tensor> {
  static constexpr ArgKind kind = ArgKind::Tensor;
  static constexpr bool optional = false;
  static const Tensor& get(ArgSource& s, int i) { return s.tensor(i); }
};
template <>
struct Arg<Generator*> {
  static constexpr ArgKind kind = ArgKind::Generator;
  static constexpr bool optional = true;
  static Generator* get(ArgSource& s, int i) { return s.generator(i); }
};
template <class T>
struct Arg<std::optional<T>> {
  static constexpr ArgKind kind = Arg<T>::kind;
  static constexpr bool optional = true;
  static std::optional<T> get(ArgSource& s, int i) {
    if (s.is_none(i)) return std::nullopt;
    return Arg<T>::get(s, i);
  }
};

inline void put(ResultSink& out, Tensor t) { out.tensor(std::move(t)); }
inline void put(ResultSink& out, TensorList l) { out.tensors(std::move(l), false); }
inline void put(ResultSink& out, bool b) { out.boolean(b); }
inline void put(ResultSink& out, int64_t i) { out.integer(i); }
inline void put(ResultSink& out, double d) { out.number(d); }
inline void put(ResultSink& out, Scalar s) { out.scalar(s); }
inline void put(ResultSink& out, Dims d) { out.ints(std::move(d)); }
inline void put(ResultSink& out, DType t) { out.dtype(t); }
template <class... Ts>
void put(ResultSink& out, std::tuple<Ts...> all) {
  out.tensors(std::apply([](auto&... t) { return TensorList{std::move(t)...}; }, all), true);
}

template <class R, class... A, size_t... I>
void invoke(void (*erased)(), ArgSource& in, ResultSink& out, std::index_sequence<I...>) {
  auto function = reinterpret_cast<R (*)(A...)>(erased);
  if constexpr (std::is_void_v<R>) {
    function(Arg<std::decay_t<A>>::get(in, I)...);
    out.none();
  } else {
    put(out, function(Arg<std::decay_t<A>>::get(in, I)...));
  }
}

template <class R, class... A>
bool register_op(R (*function)(A...), const char* signature, const char* doc,
                 uint32_t flags = kNone) {
  op_entries().push_back({signature,
                          doc,
                          flags,
                          {ArgType{Arg<std::decay_t<A>>::kind, Arg<std::decay_t<A>>::optional}...},
                          [](void (*f)(), ArgSource& in, ResultSink& out) {
                            invoke<R, A...>(f, in, out, std::index_sequence_for<A...>{});
                          },
                          reinterpret_cast<void (*)()>(function)});
  return true;
}

}  // namespace detail

#define EG_WAITS(names, reason)                                       \
  [[maybe_unused]] static const bool EG_OP_CAT(eg_op_, __COUNTER__) = \
      (::eg::op_waits().push_back({names, reason}), true);

// `function` may be a lambda prefixed with + where an overload must be chosen or arguments adapted.
#define EG_OP_CAT2(a, b) a##b
#define EG_OP_CAT(a, b) EG_OP_CAT2(a, b)
#define EG_OP(function, ...)                                          \
  [[maybe_unused]] static const bool EG_OP_CAT(eg_op_, __COUNTER__) = \
      ::eg::detail::register_op(function, __VA_ARGS__);

}  // namespace eg
