// The Python object of an op: one callable for all overloads of a name, at once function and method.
#include <Python.h>
#include <structmember.h>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <unordered_map>

#include "core/profile.h"
#include "ops/copy.h"
#include "ops/ops.h"
#include "ops/watch.h"
#include "python/autocast.h"
#include "python/signature.h"
#include "tape/node.h"

namespace eg::python {
namespace {

struct OpObject {
  PyObject_HEAD;
  vectorcallfunc call;
  struct Item {
    const OpEntry* entry;
    bool inplace;  // the entry's result is written into its first argument
  };
  std::vector<Item>* entries;
  std::vector<std::unique_ptr<Signature>>* overloads;  // parsed at the first call
  uint32_t flags;                                      // of any entry
  const char* name;                                    // lives as long as the process
  AutocastRule autocast;                               // what autocast regions do to its tensors
  PyObject* result_type;
};

PyTypeObject* op_type = nullptr;

const std::vector<std::unique_ptr<Signature>>& overloads_of(OpObject* op) {
  if (!op->overloads) {
    auto parsed = std::make_unique<std::vector<std::unique_ptr<Signature>>>();
    for (const OpObject::Item& i : *op->entries)
      parsed->push_back(std::make_unique<Signature>(*i.entry));
    op->overloads = parsed.release();
  }
  return *op->overloads;
}

// --- results ---------------------------------------------------------------------------------------------------------

// What a call asked for beside the op's own parameters.
struct Extras {
  PyObject* out = nullptr;
  const char* memory_format = nullptr;
  bool requires_grad = false;
};

// One result a line, as PyTorch prints them.
PyObject* named_repr(PyObject* self) {
  return guarded([&]() -> PyObject* {
    std::string text = std::string(Py_TYPE(self)->tp_name) + "(";
    const PyMemberDef* field = Py_TYPE(self)->tp_members;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i, ++field) {
      const Object value = checked(PyObject_Repr(PyTuple_GET_ITEM(self, i)));
      const char* shown = PyUnicode_AsUTF8(value.get());
      if (!shown) throw PythonError();
      text += str(i ? ",\n" : "\n", field->name, "=", shown);
    }
    return PyUnicode_FromString((text + ")").c_str());
  });
}

// The class of an op's named results; `eagergrad.return_types` finds it by the op's name.
PyTypeObject* named_type(OpObject* op, const Signature& signature) {
  if (!op->result_type) {
    const auto& names = signature.result_names();
    // Both live for ever: so does the type.
    auto* fields = new PyStructSequence_Field[names.size() + 1]();
    for (size_t i = 0; i < names.size(); ++i) fields[i].name = names[i].c_str();
    auto* title = new std::string("eagergrad.return_types." + signature.name());
    auto* desc = new PyStructSequence_Desc{title->c_str(), nullptr, fields, int(names.size())};
    op->result_type =
        checked(reinterpret_cast<PyObject*>(PyStructSequence_NewType(desc))).release();
    reinterpret_cast<PyTypeObject*>(op->result_type)->tp_repr = named_repr;
  }
  return reinterpret_cast<PyTypeObject*>(op->result_type);
}

class Results final : public ResultSink {
 public:
  Results(OpObject* op, const Signature& signature) : op_(op), signature_(signature) {}

  void none() override { result_ = Object::borrow(Py_None); }
  void tensor(Tensor t) override { one_ = std::move(t); }
  void tensors(TensorList list, bool tuple) override {
    tensors_ = std::move(list);
    shape_ = tuple ? kTuple : kList;
  }
  void boolean(bool b) override { result_ = Object(PyBool_FromLong(b)); }
  void integer(int64_t i) override { result_ = checked(PyLong_FromLongLong(i)); }
  void number(double d) override { result_ = checked(PyFloat_FromDouble(d)); }
  void scalar(Scalar s) override { result_ = checked(from_scalar(s)); }
  void ints(Dims d) override { result_ = Object(from_sizes(d)); }
  void dtype(DType t) override { result_ = Object(from_dtype(t)); }

  PyObject* take(const Extras& extras, const Tensor* self) {
    if (result_) return result_.release();
    if (self) {
      assign_to(*self);
      return wrap(*self);
    }
    if (extras.memory_format && shape_ == kOne) one_ = in_format(one_, extras.memory_format);
    if (extras.out) return write(extras.out);
    if (shape_ == kOne) {
      if (extras.requires_grad) one_.set_requires_grad(true);
      return wrap(std::move(one_));
    }
    if (extras.requires_grad)
      for (const Tensor& t : tensors_) t.set_requires_grad(true);
    return collect([&](size_t i) { return wrap(tensors_[i]); });
  }

 private:
  enum Shape { kOne, kTuple, kList };

  void assign_to(const Tensor& self) {
    const Tensor& value = shape_ == kOne ? one_ : tensors_[0];
    if (self.same(value)) return;
    EG_CHECK(value.sizes() == self.sizes(), "[", op_->name, "] output with shape ",
             IntSpan(self.sizes()), " doesn't match the broadcast shape ", IntSpan(value.sizes()));
    check_castable(op_->name, value.dtype(), self.dtype());
    assign(self, value);
  }

  PyObject* write(PyObject* out) {
    const bool casts = (signature_.entry().flags & kOutCasts) == kOutCasts;
    if (shape_ == kOne) {
      EG_CHECK_TYPE(is_tensor(out), "[", op_->name, "] out must be Tensor, not ",
                    Py_TYPE(out)->tp_name);
      write_out(unwrap(out), one_, op_->name, casts);
      return Py_NewRef(out);
    }
    const Object items = checked(PySequence_Fast(out, "out must be a tuple of Tensors"));
    EG_CHECK_TYPE(PySequence_Fast_GET_SIZE(items.get()) == Py_ssize_t(tensors_.size()), "[",
                  op_->name, "] out must have ", tensors_.size(), " tensors");
    for (size_t i = 0; i < tensors_.size(); ++i) {
      PyObject* item = PySequence_Fast_GET_ITEM(items.get(), Py_ssize_t(i));
      EG_CHECK_TYPE(is_tensor(item), "[", op_->name, "] out must be a tuple of Tensors");
      write_out(unwrap(item), tensors_[i], op_->name, casts);
    }
    return collect(
        [&](size_t i) { return Py_NewRef(PySequence_Fast_GET_ITEM(items.get(), Py_ssize_t(i))); });
  }

  template <class F>
  PyObject* collect(F&& item) {
    const auto& names = signature_.result_names();
    if (names.size() == tensors_.size() && !names.empty()) {
      Object named = checked(PyStructSequence_New(named_type(op_, signature_)));
      for (size_t i = 0; i < tensors_.size(); ++i)
        PyStructSequence_SetItem(named.get(), Py_ssize_t(i), checked(item(i)).release());
      return named.release();
    }
    Object tuple = checked(PyTuple_New(Py_ssize_t(tensors_.size())));
    for (size_t i = 0; i < tensors_.size(); ++i)
      PyTuple_SET_ITEM(tuple.get(), Py_ssize_t(i), checked(item(i)).release());
    return tuple.release();
  }

  OpObject* op_;
  const Signature& signature_;
  Tensor one_;
  TensorList tensors_;
  Shape shape_ = kOne;
  Object result_;
};

// --- calls ---------------------------------------------------------------------------------------------------------------

// Where no overload takes the arguments, one of them may be of a class that knows the op: a sparse tensor, or whatever has
// PyTorch's __torch_function__. Null: none does.
Object asked(const char* whom, PyObject* op, PyObject* const* args, Py_ssize_t n,
             PyObject* kwnames) {
  const Object positional = checked(PyTuple_New(n));
  for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(positional.get(), i, Py_NewRef(args[i]));
  const Object named = checked(PyDict_New());
  for (Py_ssize_t i = 0; kwnames && i < PyTuple_GET_SIZE(kwnames); ++i)
    checked(PyDict_SetItem(named.get(), PyTuple_GET_ITEM(kwnames, i), args[n + i]));
  return checked(
      PyObject_CallFunctionObjArgs(helper(whom), op, positional.get(), named.get(), nullptr));
}

PyObject* overridden(PyObject* op, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  PyObject* result = asked("override", op, args, n, kwnames).release();
  if (result != Py_NotImplemented) return result;
  Py_DECREF(result);
  return nullptr;
}

// Whether a mode, or a class among the arguments, is asked before the op: in lists and tuples too.
bool any_handed_over(PyObject* const* args, Py_ssize_t n) {
  if (handed_over(nullptr)) return true;
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* v = args[i];
    if (takes_over(v)) return true;
    if (!PyList_Check(v) && !PyTuple_Check(v)) continue;
    for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(v); ++k)
      if (takes_over(PySequence_Fast_GET_ITEM(v, k))) return true;
  }
  return false;
}

[[noreturn]] void refuse(OpObject* op, const std::string& only_reason) {
  const auto& overloads = overloads_of(op);
  if (overloads.size() == 1) fail(ErrorKind::Type, only_reason);
  std::string message = str(op->name, "() received an invalid combination of arguments (",
                            only_reason, "); expected one of:");
  for (const auto& s : overloads) message += "\n * " + s->text();
  fail(ErrorKind::Type, message);
}

PyObject* dtype_key() {
  static PyObject* const key = PyUnicode_InternFromString("dtype");
  return key;
}

// Takes the keywords that every op with the flag knows out of the call.
struct Keywords {
  Object names;  // the rest
  Object given;  // names without a dtype that out= implies; the rest too, if it implies none
  SmallVec<PyObject*, 8> values;
  Extras extras;

  void sort(PyObject* kwnames, PyObject* const* kwvalues, uint32_t flags) {
    const Py_ssize_t n = PyTuple_GET_SIZE(kwnames);
    SmallVec<PyObject*, 8> kept;
    bool typed = false;
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyObject* key = PyTuple_GET_ITEM(kwnames, i);
      PyObject* value = kwvalues[i];
      const auto is = [&](const char* s) { return PyUnicode_CompareWithASCIIString(key, s) == 0; };
      if ((flags & (kOut | kCreates)) && is("out")) {
        if (value != Py_None) extras.out = value;
      } else if ((flags & kCreates) && is("requires_grad")) {
        extras.requires_grad = PyObject_IsTrue(value) == 1;
      } else if ((flags & kCreates) && is("memory_format")) {
        if (value == Py_None) continue;
        EG_CHECK_TYPE(PyUnicode_Check(value), "memory_format must be a memory_format, not ",
                      Py_TYPE(value)->tp_name);
        extras.memory_format = PyUnicode_AsUTF8(value);
      } else if ((flags & kCreates) && (is("layout") || is("pin_memory"))) {
        // Strided memory of the system is all there is.
      } else {
        typed |= is("dtype") && value != Py_None;
        kept.push_back(key);
        values.push_back(value);
      }
    }
    const bool implied = (flags & kCreates) && extras.out && is_tensor(extras.out) && !typed;
    if (implied) {
      // Factories make what out= holds, unless they were told otherwise.
      kept.push_back(dtype_key());
      values.push_back(from_dtype(unwrap(extras.out).dtype()));
    }
    names = checked(PyTuple_New(Py_ssize_t(kept.size())));
    for (size_t i = 0; i < kept.size(); ++i)
      PyTuple_SET_ITEM(names.get(), Py_ssize_t(i), Py_NewRef(kept[i]));
    given =
        implied ? checked(PyTuple_GetSlice(names.get(), 0, Py_ssize_t(kept.size()) - 1)) : names;
  }
};

// Where an op that makes tensors makes them: on the device it is given, else with its tensors.
void follow_arguments(OpDevice& device, const Signature& s, PyObject* const* values) {
  for (size_t i = 0; i < s.parameters().size(); ++i) {
    PyObject* v = values[i];
    if (!v || v == Py_None) continue;
    Device named;
    if (s.parameters()[i].type.kind == ArgKind::Device) {
      if (as_device(v, &named)) active_device = named;
    } else if (is_tensor(v)) {
      device.prefer(unwrap(v));
    } else if (PyList_Check(v) || PyTuple_Check(v)) {
      for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(v); ++k)
        if (PyObject* item = PySequence_Fast_GET_ITEM(v, k); is_tensor(item))
          device.prefer(unwrap(item));
    }
  }
}

void note_operands(ProfileScope& scope, const Signature& s, PyObject* const* values) {
  for (size_t i = 0; i < s.parameters().size(); ++i)
    if (values[i] && is_tensor(values[i])) scope.operand(unwrap(values[i]));
}

PyObject* op_call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  auto* op = reinterpret_cast<OpObject*>(self);
  return guarded([&]() -> PyObject* {
    const auto& overloads = overloads_of(op);
    const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    if (EG_UNLIKELY(subclasses_exist) &&
        any_handed_over(args, n + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0)))
      return asked("ask_subclasses", self, args, n, kwnames).release();
    PyObject* const* kwvalues = args + n;
    PyObject* const given_names = kwnames;
    Keywords keywords;
    if (kwnames && (op->flags & (kOut | kCreates))) {
      keywords.sort(kwnames, kwvalues, op->flags);
      kwnames = keywords.names.get();
      kwvalues = keywords.values.data();
    }
    PyObject* values[kMaxParameters];
    Object gathered;
    const auto matches = [&](const Signature& s, std::string* why) {
      const bool untyped = keywords.given && !(s.entry().flags & kCreates);
      PyObject* const names = untyped ? keywords.given.get() : kwnames;
      return s.match(args, n, kwvalues, names, values, &gathered, why);
    };
    for (size_t k = 0; k < overloads.size(); ++k) {
      const auto& s = overloads[k];
      const bool inplace = (*op->entries)[k].inplace;
      if (!matches(*s, nullptr)) continue;
      SmallVec<Object, 4> cast;
      if (EG_UNLIKELY(op->autocast.any() && autocast_on()))
        autocast(values, s->parameters().size(), op->autocast, cast);
      OpDevice device(op->name);
      if (EG_UNLIKELY(devices_in_use)) follow_arguments(device, *s, values);
      ProfileScope scope(op->name);
      if (scope.is_open()) note_operands(scope, *s, values);
      PyArgs source(*s, values);
      Results results(op, *s);
      Tensor target;
      if (inplace) {
        EG_CHECK_TYPE(is_tensor(values[0]), op->name, "(): the first argument must be a Tensor");
        target = unwrap(values[0]);
        check_inplace(target, op->name);
      }
      const DeviceStep step;
      try {
        s->entry().invoke(s->entry().function, source, results);
      } catch (Error& e) {
        name_op(e, op->name);
        throw;
      } catch (const std::bad_alloc&) {
        fail(ErrorKind::Memory, "[", op->name, "] can't allocate memory for its tables");
      } catch (const std::length_error&) {
        fail(ErrorKind::Memory, "[", op->name, "] can't allocate memory for its tables");
      }
      PyObject* const result = results.take(keywords.extras, inplace ? &target : nullptr);
      if (EG_LIKELY(!watching) || (op->flags & kCreates)) return result;
      const std::string name = op->name;
      const bool writes = name.back() == '_';
      return watch_call(name.substr(0, name.size() - writes).c_str(), result, writes, values,
                        s->parameters().size());
    }
    if (PyObject* result = overridden(self, args, n, given_names)) return result;
    std::string
        reason;  // put into words only now: most calls that the first signature refuses suit another
    matches(*overloads[0], &reason);
    refuse(op, reason);
  });
}

PyObject* op_get(PyObject* self, PyObject* instance, PyObject*) {
  return instance ? PyMethod_New(self, instance) : Py_NewRef(self);
}

void op_dealloc(PyObject* self) {
  auto* op = reinterpret_cast<OpObject*>(self);
  delete op->entries;
  delete op->overloads;
  Py_XDECREF(op->result_type);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* op_repr(PyObject* self) {
  return PyUnicode_FromFormat("<op eagergrad.%s>", reinterpret_cast<OpObject*>(self)->name);
}

PyObject* op_doc(PyObject* self, void*) {
  auto* op = reinterpret_cast<OpObject*>(self);
  return guarded([&]() -> PyObject* {
    std::string doc;
    for (const auto& s : overloads_of(op)) doc += s->text() + "\n";
    for (const OpObject::Item& i : *op->entries)
      if (i.entry->doc && *i.entry->doc) {
        doc += std::string("\n") + i.entry->doc + "\n";
        break;
      }
    return PyUnicode_FromString(doc.c_str());
  });
}

// For inspect.signature and editors.
PyObject* op_text_signature(PyObject* self, void*) {
  auto* op = reinterpret_cast<OpObject*>(self);
  return guarded([&]() -> PyObject* {
    const Signature& s = *overloads_of(op)[0];
    std::string text = "(";
    bool starred = false;
    for (size_t i = 0; i < s.parameters().size(); ++i) {
      const Parameter& p = s.parameters()[i];
      if (i) text += ", ";
      if (p.keyword_only && !starred) {
        text += "*, ";
        starred = true;
      }
      if (p.variadic) {
        text += "*";
        starred = true;
      }
      text += PyUnicode_AsUTF8(p.name.get());
      if (p.default_value && !p.variadic) {
        const Object repr = checked(PyObject_Repr(p.default_value.get()));
        text += std::string("=") + PyUnicode_AsUTF8(repr.get());
      }
    }
    return PyUnicode_FromString((text + ")").c_str());
  });
}
// Overloads as (name, kind, optional, default, keyword_only, variadic) tuples: what the type stubs are made from.
PyObject* op_overloads(PyObject* self, void*) {
  auto* op = reinterpret_cast<OpObject*>(self);
  return guarded([&]() -> PyObject* {
    const Object list = checked(PyList_New(0));
    for (const auto& s : overloads_of(op)) {
      const Object text = checked(PyUnicode_FromString(s->text().c_str()));
      checked(PyList_Append(list.get(), text.get()));
    }
    return Py_NewRef(list.get());
  });
}
// The defaults of what is given by name alone, as functions written in Python show them.
PyObject* op_kwdefaults(PyObject* self, void*) {
  auto* op = reinterpret_cast<OpObject*>(self);
  return guarded([&]() -> PyObject* {
    Object found = checked(PyDict_New());
    bool after_all = false;  // that are given by place
    for (const Parameter& p : overloads_of(op)[0]->parameters()) {
      if ((p.keyword_only || after_all) && p.default_value && !p.variadic)
        checked(PyDict_SetItem(found.get(), p.name.get(), p.default_value.get()));
      after_all |= p.variadic;
    }
    return found.release();
  });
}
PyObject* op_name(PyObject* self, void*) {
  return PyUnicode_FromString(reinterpret_cast<OpObject*>(self)->name);
}
PyObject* op_module(PyObject*, void*) { return PyUnicode_FromString("eagergrad"); }
PyObject* op_flags(PyObject* self, void*) {
  uint32_t any = 0;
  uint32_t all =
      kFunctionOnly | kMethodOnly | kInternal;  // count only where every overload has them
  for (const OpObject::Item& item : *reinterpret_cast<OpObject*>(self)->entries) {
    const OpEntry* e = item.entry;
    any |= e->flags & ~(kFunctionOnly | kMethodOnly | kInternal);
    all &= e->flags;
    if (!(e->flags & kFunctionOnly) && std::strstr(e->signature, "(input"))
      any |= 1u << 16;  // may be a method
  }
  return PyLong_FromUnsignedLong(any | all);
}
PyObject* op_result_type(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    auto* op = reinterpret_cast<OpObject*>(self);
    for (const auto& overload : overloads_of(op))
      if (!overload->result_names().empty())
        return Py_NewRef(reinterpret_cast<PyObject*>(named_type(op, *overload)));
    Py_RETURN_NONE;
  });
}
PyObject* op_reduce(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    return Py_BuildValue("O(s)", helper("find_op"), reinterpret_cast<OpObject*>(self)->name);
  });
}

PyGetSetDef op_getset[] = {{"__doc__", op_doc, nullptr, nullptr, nullptr},
                           {"__name__", op_name, nullptr, nullptr, nullptr},
                           {"__qualname__", op_name, nullptr, nullptr, nullptr},
                           {"__module__", op_module, nullptr, nullptr, nullptr},
                           {"__kwdefaults__", op_kwdefaults, nullptr, nullptr, nullptr},
                           {"__text_signature__", op_text_signature, nullptr, nullptr, nullptr},
                           {"overloads", op_overloads, nullptr, nullptr, nullptr},
                           {"flags", op_flags, nullptr, nullptr, nullptr},
                           {"result_type", op_result_type, nullptr, nullptr, nullptr},
                           {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyMethodDef op_methods[] = {{"__reduce__", op_reduce, METH_NOARGS, nullptr},
                            {nullptr, nullptr, 0, nullptr}};
PyMemberDef op_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(OpObject, call), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot op_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(op_dealloc)},
                          {Py_tp_repr, reinterpret_cast<void*>(op_repr)},
                          {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                          {Py_tp_descr_get, reinterpret_cast<void*>(op_get)},
                          {Py_tp_getset, op_getset},
                          {Py_tp_methods, op_methods},
                          {Py_tp_members, op_members},
                          {0, nullptr}};
PyType_Spec op_spec = {"eagergrad._C.Op", sizeof(OpObject), 0,
                       Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL |
                           Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                       op_slots};

Object make_op(const std::string& name, std::vector<OpObject::Item> entries) {
  Object made = checked(op_type->tp_alloc(op_type, 0));
  auto* op = reinterpret_cast<OpObject*>(made.get());
  op->call = op_call;
  op->entries = new std::vector<OpObject::Item>(std::move(entries));
  op->overloads = nullptr;
  op->flags = 0;
  for (const OpObject::Item& i : *op->entries) op->flags |= i.entry->flags;
  op->name = (new std::string(name))->c_str();
  op->autocast = autocasts(name);
  op->result_type = nullptr;
  return made;
}

}  // namespace

PyObject* make_op_type() {
  PyObject* type = PyType_FromSpec(&op_spec);
  op_type = reinterpret_cast<PyTypeObject*>(type);
  return type;
}

// ops: dict name -> Op, with flags that say where each belongs.
void add_ops(PyObject* module) {
  std::vector<std::string> order;
  std::unordered_map<std::string, std::vector<const OpEntry*>> by_name;
  for (const OpEntry& e : op_entries()) {
    const std::string name(e.signature, std::strchr(e.signature, '(') - e.signature);
    auto& list = by_name[name];
    if (list.empty()) order.push_back(name);
    list.push_back(&e);
  }
  const Object ops = checked(PyDict_New());
  // <name>_ holds what is registered under that name, then the overloads of <name> that may write in place.
  std::unordered_map<std::string, std::vector<OpObject::Item>> items;
  std::vector<std::string> names = order;
  for (const std::string& name : order)
    for (const OpEntry* e : by_name[name]) items[name].push_back({e, false});
  for (const std::string& name : order) {
    const std::string own = name + "_";
    for (const OpEntry* e : by_name[name]) {
      if (!(e->flags & kInplace)) continue;
      if (items[own].empty()) names.push_back(own);
      items[own].push_back({e, true});
    }
  }
  for (const std::string& name : names)
    checked(PyDict_SetItemString(ops.get(), name.c_str(), make_op(name, items[name]).get()));
  checked(PyModule_AddObjectRef(module, "op_table", ops.get()));
  const Object waits = checked(PyDict_New());
  for (const OpWait& w : op_waits())
    checked(
        PyDict_SetItemString(waits.get(), w.names, checked(PyUnicode_FromString(w.reason)).get()));
  checked(PyModule_AddObjectRef(module, "op_waits", waits.get()));
}

}  // namespace eg::python
