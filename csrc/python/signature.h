// The signature strings of ops/registry.h, parsed, and the matching of Python arguments to them.
#pragma once

#include <forward_list>
#include <string>
#include <vector>

#include "ops/registry.h"
#include "python/common.h"

namespace eg::python {

struct Parameter {
  Object name;  // interned str
  ArgType type;
  Object default_value;  // null: required
  bool keyword_only = false;
  bool variadic = false;  // *sizes
};

constexpr int kMaxParameters = 24;

class Signature {
 public:
  explicit Signature(const OpEntry& entry);

  // Python objects in the order of the parameters, borrowed; false with `why` filled in if they do not fit.
  // `gathered` receives the tuple made of variadic integers.
  bool match(PyObject* const* args, Py_ssize_t n, PyObject* const* kwvalues, PyObject* kwnames,
             PyObject** out, Object* gathered, std::string* why) const;

  const OpEntry& entry() const { return *entry_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  const std::vector<std::string>& result_names() const { return result_names_; }
  const std::string& name() const { return name_; }
  std::string text() const;  // "sum(Tensor input, ints? dim=None, ...)"

 private:
  void parse(const std::string& inside);

  const OpEntry* entry_;
  std::string name_;
  std::vector<Parameter> parameters_;
  std::vector<std::string> result_names_;
  int positional_ = 0;
};

// Arguments of one call as the core asks for them.
class PyArgs final : public ArgSource {
 public:
  PyArgs(const Signature& signature, PyObject* const* values)
      : signature_(signature), values_(values) {}
  bool is_none(int i) override { return values_[i] == Py_None; }
  const Tensor& tensor(int i) override;
  TensorList tensor_list(int i) override;
  int64_t integer(int i) override;
  double number(int i) override;
  bool flag(int i) override;
  Scalar scalar(int i) override;
  Dims ints(int i) override;
  std::vector<double> floats(int i) override;
  DType dtype(int i) override;
  Device device(int i) override;
  std::string text(int i) override;
  Generator* generator(int i) override;

 private:
  const char* parameter(int i) const;
  const Signature& signature_;
  PyObject* const* values_;
  std::forward_list<Tensor> made_;  // of arguments that are no tensors
};

}  // namespace eg::python
