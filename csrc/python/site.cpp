// The user's line: code object and instruction of the innermost frame outside the package.
#include <Python.h>
#include <frameobject.h>

#include <string>

#include "core/site.h"
#include "python/common.h"

namespace eg::python {
namespace {

std::string package;  // ".../eagergrad/"

bool is_internal(PyCodeObject* code) {
  Py_ssize_t n = 0;
  const char* file = PyUnicode_AsUTF8AndSize(code->co_filename, &n);
  if (!file) {
    PyErr_Clear();
    return false;
  }
  return size_t(n) > package.size() && std::memcmp(file, package.data(), package.size()) == 0;
}

void* capture(int32_t* instruction) {
  if (!PyGILState_Check()) return nullptr;
  PyFrameObject* frame = PyThreadState_GetFrame(PyThreadState_Get());
  while (frame) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    if (!is_internal(code)) {
#if PY_VERSION_HEX >= 0x030B0000
      *instruction = PyFrame_GetLasti(frame);
#else
      *instruction = PyFrame_GetLineNumber(frame);
#endif
      Py_DECREF(frame);
      return code;
    }
    Py_DECREF(code);
    PyFrameObject* back = PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = back;
  }
  return nullptr;
}

void retain(void* code) { Py_INCREF(static_cast<PyObject*>(code)); }

void release(void* code) {
  if (PyGILState_Check()) {
    Py_DECREF(static_cast<PyObject*>(code));
    return;
  }
  if (!Py_IsInitialized()) return;
  const PyGILState_STATE state = PyGILState_Ensure();
  Py_DECREF(static_cast<PyObject*>(code));
  PyGILState_Release(state);
}

std::string describe(void* object, int32_t instruction) {
  auto* code = static_cast<PyCodeObject*>(object);
#if PY_VERSION_HEX >= 0x030B0000
  const int line = PyCode_Addr2Line(code, instruction);
#else
  const int line = instruction;
#endif
  const char* file = PyUnicode_AsUTF8(code->co_filename);
  const char* function = PyUnicode_AsUTF8(code->co_name);
  std::string where = str(file ? file : "?", ":", line);
  if (function && std::string(function) != "<module>") where += str(", in ", function);
  return where;
}

}  // namespace

void install_site_hooks(const char* package_folder) {
  package = package_folder;
  site_hooks = {&capture, &retain, &release, &describe};
}

}  // namespace eg::python
