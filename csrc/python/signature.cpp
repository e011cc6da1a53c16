#include "python/signature.h"

#include <cstring>

#include "tape/node.h"

namespace eg::python {

extern PyTypeObject* generator_class;  // module.cpp
Generator* generator_of(PyObject* generator);

// --- parsing -------------------------------------------------------------------------------------------------------

static std::string trimmed(const std::string& s) {
  const size_t a = s.find_first_not_of(" \n"), b = s.find_last_not_of(" \n");
  return a == std::string::npos ? "" : s.substr(a, b - a + 1);
}

// Splits at commas outside brackets and quotes.
static std::vector<std::string> split(const std::string& s) {
  std::vector<std::string> parts;
  std::string part;
  int depth = 0;
  char quote = 0;
  for (char c : s) {
    if (quote) {
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '(' || c == '[') {
      ++depth;
    } else if (c == ')' || c == ']') {
      --depth;
    } else if (c == ',' && depth == 0) {
      parts.push_back(trimmed(part));
      part.clear();
      continue;
    }
    part += c;
  }
  if (!trimmed(part).empty()) parts.push_back(trimmed(part));
  return parts;
}

static Object literal(const std::string& text) {
  if (text == "None") return Object::borrow(Py_None);
  if (text == "True") return Object::borrow(Py_True);
  if (text == "False") return Object::borrow(Py_False);
  const Object globals = checked(PyDict_New());
  return checked(PyRun_String(text.c_str(), Py_eval_input, globals.get(), globals.get()));
}

Signature::Signature(const OpEntry& entry) : entry_(&entry) {
  const std::string s = entry.signature;
  const size_t open = s.find('('), arrow = s.find("->");
  const size_t close = s.rfind(')', arrow == std::string::npos ? std::string::npos : arrow);
  if (open == std::string::npos || close == std::string::npos)
    fail(ErrorKind::Runtime, "malformed signature: ", s);
  name_ = trimmed(s.substr(0, open));
  parse(s.substr(open + 1, close - open - 1));
  if (arrow != std::string::npos) {
    const size_t from = s.find('(', arrow), to = s.find(')', arrow);
    if (from != std::string::npos) result_names_ = split(s.substr(from + 1, to - from - 1));
  }
  if (parameters_.size() != entry.args.size() || parameters_.size() > kMaxParameters)
    fail(ErrorKind::Runtime, "signature and function disagree: ", s, " names ", parameters_.size(),
         " parameters, the function has ", entry.args.size());
}

void Signature::parse(const std::string& inside) {
  bool keyword_only = false;
  for (std::string part : split(inside)) {
    if (part == "*") {
      keyword_only = true;
      continue;
    }
    Parameter p;
    p.keyword_only = keyword_only;
    if (part[0] == '*') {
      p.variadic = true;
      part = trimmed(part.substr(1));
    }
    const size_t equals = part.find('=');
    const std::string name = trimmed(part.substr(0, equals));
    p.name = checked(PyUnicode_InternFromString(name.c_str()));
    if (equals != std::string::npos) p.default_value = literal(trimmed(part.substr(equals + 1)));
    if (parameters_.size() < entry_->args.size()) p.type = entry_->args[parameters_.size()];
    parameters_.push_back(std::move(p));
    if (!keyword_only) ++positional_;
  }
}

static const char* kind_name(ArgKind k) {
  constexpr const char* names[] = {"Tensor",
                                   "Tensor or number",
                                   "tuple of Tensors",
                                   "tuple of Tensors and None",
                                   "int",
                                   "float",
                                   "bool",
                                   "number",
                                   "tuple of ints",
                                   "tuple of floats",
                                   "dtype",
                                   "device",
                                   "str",
                                   "Generator"};
  return names[int(k)];
}

std::string Signature::text() const {
  std::string s = name_ + "(";
  bool starred = false;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& p = parameters_[i];
    if (i) s += ", ";
    if (p.keyword_only && !starred) {
      s += "*, ";
      starred = true;
    }
    if (p.variadic) s += "*";
    s += std::string(kind_name(p.type.kind)) + (p.type.optional ? "? " : " ") +
         PyUnicode_AsUTF8(p.name.get());
    if (p.default_value) {
      const Object repr = checked(PyObject_Repr(p.default_value.get()));
      s += std::string("=") + PyUnicode_AsUTF8(repr.get());
    }
  }
  return s + ")";
}

// --- matching ----------------------------------------------------------------------------------------------------------

static bool is_real(PyObject* o) {
  if (PyFloat_Check(o) || PyLong_Check(o)) return true;
  if (is_tensor(o)) {
    const Tensor t = unwrap(o);
    return t.dim() == 0 && !(t.requires_grad() && grad_enabled());
  }
  return is_number(o);
}
static bool is_sequence(PyObject* o) { return PyTuple_Check(o) || PyList_Check(o); }

// Where the first item stands that a sequence of this kind cannot hold, -1 if there is none.
static Py_ssize_t first_misfit(ArgKind kind, PyObject* sequence) {
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(sequence);
  for (Py_ssize_t k = 0; k < n; ++k) {
    PyObject* item = PySequence_Fast_GET_ITEM(sequence, k);
    bool good = false;
    switch (kind) {
      case ArgKind::TensorList:
        good = is_tensor(item) || is_array(item);
        break;
      case ArgKind::IndexList:
        good = is_tensor(item) || is_array(item) || item == Py_None;
        break;
      case ArgKind::Ints:
        good = is_index(item);
        break;
      default:
        good = is_real(item);
    }
    if (!good) return k;
  }
  return -1;
}

static bool fits(const ArgType& type, PyObject* o) {
  if (o == Py_None) return type.optional;
  switch (type.kind) {
    case ArgKind::Tensor:
      return is_tensor(o) || is_array(o);
    case ArgKind::Operand:
      return is_tensor(o) || is_number(o) || is_array(o);
    case ArgKind::TensorList:
    case ArgKind::IndexList:
      return is_sequence(o) && first_misfit(type.kind, o) < 0;
    case ArgKind::Int:
      return is_index(o);
    case ArgKind::Float:
      return is_real(o);
    case ArgKind::Scalar:
      return is_number(o) || is_real(o);
    case ArgKind::Bool:
      return PyBool_Check(o) || (is_number(o) && !PyFloat_Check(o) && !PyLong_Check(o));
    case ArgKind::Ints:
      return is_index(o) || (is_sequence(o) && first_misfit(type.kind, o) < 0);
    case ArgKind::Floats:
      return is_real(o) || (is_sequence(o) && first_misfit(type.kind, o) < 0);
    case ArgKind::DType: {
      DType t;
      return as_dtype(o, &t);
    }
    case ArgKind::Device:
      return PyUnicode_Check(o) || is_device(o) || is_index(o);
    case ArgKind::Text:
      return PyUnicode_Check(o);
    case ArgKind::Generator:
      return PyObject_TypeCheck(o, generator_class);
  }
  return false;
}

// Names that NumPy's users, old programs and PyTorch's documentation write, and the parameters that they may mean.
constexpr const char* kOtherNames[][2] = {
    {"axis", "dim"},
    {"keepdims", "keepdim"},
    {"x", "input"},
    {"self", "input"},
    {"a", "input"},
    {"tensor", "input"},
    {"x1", "input"},
    {"x2", "other"},
    {"axes", "dims"},
    {"indices_or_sections", "sections"},
    {"indices_or_sections", "indices"},
    {"indices_or_sections", "tensor_indices_or_sections"},
    {"element", "elements"},
    {"test_element", "test_elements"},
};

static bool holds_tensor(PyObject* o) {
  return PyTuple_Check(o) && PyTuple_GET_SIZE(o) > 0 && is_tensor(PyTuple_GET_ITEM(o, 0));
}

static std::string what_came(const ArgType& type, PyObject* o) {
  const ArgKind k = type.kind;
  const bool sequence_wanted = k == ArgKind::TensorList || k == ArgKind::IndexList ||
                               k == ArgKind::Ints || k == ArgKind::Floats;
  if (sequence_wanted && is_sequence(o)) {
    const Py_ssize_t at = first_misfit(k, o);
    PyObject* item = PySequence_Fast_GET_ITEM(o, at);
    return str("but found element of type ", Py_TYPE(item)->tp_name, " at pos ", at);
  }
  const bool pair = k == ArgKind::Tensor && holds_tensor(o);
  return str(
      "not ", Py_TYPE(o)->tp_name,
      pair ? " of tensors. Hint: pass one of them; recurrent layers return (output, state)" : "");
}

bool Signature::match(PyObject* const* args, Py_ssize_t n, PyObject* const* kwvalues,
                      PyObject* kwnames, PyObject** out, Object* gathered, std::string* why) const {
  const size_t count = parameters_.size();
  for (size_t i = 0; i < count; ++i) out[i] = nullptr;
  Py_ssize_t given = 0;
  for (size_t i = 0; i < count && given < n; ++i) {
    const Parameter& p = parameters_[i];
    if (p.keyword_only) break;
    PyObject* value = args[given];
    const bool tensors = p.type.kind == ArgKind::TensorList;
    if (p.variadic && (tensors ? is_tensor(value) || is_array(value) : is_index(value))) {
      // x.view(2, 3), meshgrid(a, b): the rest of the positional arguments.
      *gathered = checked(PyTuple_New(n - given));
      for (Py_ssize_t k = given; k < n; ++k) {
        if (tensors ? !is_tensor(args[k]) && !is_array(args[k]) : !is_index(args[k])) {
          if (why)
            *why =
                str(name_, "(): argument '", PyUnicode_AsUTF8(p.name.get()), "' must be tuple of ",
                    tensors ? "Tensors" : "ints", ", but found element of type ",
                    Py_TYPE(args[k])->tp_name, " at pos ", k - given);
          return false;
        }
        PyTuple_SET_ITEM(gathered->get(), k - given, Py_NewRef(args[k]));
      }
      out[i] = gathered->get();
      given = n;
      break;
    }
    out[i] = value;
    ++given;
  }
  if (given < n) {
    if (why)
      *why = str(name_, "() takes ", positional_, " positional arguments but ", n, " were given");
    return false;
  }
  const Py_ssize_t keywords = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  for (Py_ssize_t k = 0; k < keywords; ++k) {
    PyObject* key = PyTuple_GET_ITEM(kwnames, k);
    size_t at = count;
    for (size_t i = 0; i < count && at == count; ++i)
      if (parameters_[i].name.get() == key) at = i;
    for (size_t i = 0; i < count && at == count; ++i)
      if (PyUnicode_Compare(parameters_[i].name.get(), key) == 0) at = i;
    if (at == count) {
      for (const auto& [other, name] : kOtherNames)
        if (PyUnicode_CompareWithASCIIString(key, other) == 0)
          for (size_t i = 0; i < count && at == count; ++i)
            if (PyUnicode_CompareWithASCIIString(parameters_[i].name.get(), name) == 0) at = i;
    }
    if (at == count) {
      if (why)
        *why = str(name_, "() got an unexpected keyword argument '", PyUnicode_AsUTF8(key), "'");
      return false;
    }
    if (out[at]) {
      if (why)
        *why = str(name_, "() got multiple values for argument '", PyUnicode_AsUTF8(key), "'");
      return false;
    }
    out[at] = kwvalues[k];
  }
  for (size_t i = 0; i < count; ++i) {
    const Parameter& p = parameters_[i];
    if (!out[i]) {
      if (!p.default_value) {
        if (why)
          *why = str(name_, "() missing 1 required positional argument: \"",
                     PyUnicode_AsUTF8(p.name.get()), "\"");
        return false;
      }
      out[i] = p.default_value.get();
    } else if (!fits(p.type, out[i]) && out[i] != p.default_value.get()) {
      if (why)
        *why = str(name_, "(): argument '", PyUnicode_AsUTF8(p.name.get()), "' (position ", i + 1,
                   ") must be ", kind_name(p.type.kind), ", ", what_came(p.type, out[i]));
      return false;
    }
  }
  return true;
}

// --- values -----------------------------------------------------------------------------------------------------------------

const char* PyArgs::parameter(int i) const {
  return PyUnicode_AsUTF8(signature_.parameters()[size_t(i)].name.get());
}
const Tensor& PyArgs::tensor(int i) {
  if (is_tensor(values_[i])) return borrowed(values_[i]);
  made_.push_front(to_operand(values_[i], parameter(i)));
  return made_.front();
}
TensorList PyArgs::tensor_list(int i) {
  PyObject* o = values_[i];
  const Object sequence = checked(PySequence_Fast(o, "expected a sequence of tensors"));
  TensorList list;
  for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(sequence.get()); ++k) {
    PyObject* item = PySequence_Fast_GET_ITEM(sequence.get(), k);
    list.push_back(item == Py_None ? Tensor() : to_operand(item, parameter(i)));
  }
  return list;
}
int64_t PyArgs::integer(int i) { return to_index(values_[i]); }
double PyArgs::number(int i) {
  PyObject* o = values_[i];
  return PyFloat_Check(o) ? PyFloat_AS_DOUBLE(o) : to_scalar(o).to_double();
}
bool PyArgs::flag(int i) {
  const int truth = PyObject_IsTrue(values_[i]);
  checked(truth);
  return truth != 0;
}
Scalar PyArgs::scalar(int i) { return to_scalar(values_[i]); }
Dims PyArgs::ints(int i) {
  PyObject* o = values_[i];
  Dims dims;
  if (!PyTuple_Check(o) && !PyList_Check(o)) {
    dims.push_back(to_index(o));
    return dims;
  }
  for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(o); ++k)
    dims.push_back(to_index(PySequence_Fast_GET_ITEM(o, k)));
  return dims;
}
std::vector<double> PyArgs::floats(int i) {
  PyObject* o = values_[i];
  if (!PyTuple_Check(o) && !PyList_Check(o)) return {to_scalar(o).to_double()};
  std::vector<double> list;
  for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(o); ++k)
    list.push_back(to_scalar(PySequence_Fast_GET_ITEM(o, k)).to_double());
  return list;
}
DType PyArgs::dtype(int i) {
  DType t = DType::Float32;
  as_dtype(values_[i], &t);
  return t;
}
Device PyArgs::device(int i) {
  Device d;
  EG_CHECK_TYPE(as_device(values_[i], &d), parameter(i), " must be a device");
  return d;
}
std::string PyArgs::text(int i) { return PyUnicode_AsUTF8(values_[i]); }
Generator* PyArgs::generator(int i) {
  return values_[i] == Py_None ? nullptr : generator_of(values_[i]);
}

}  // namespace eg::python
