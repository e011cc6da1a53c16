// The user's line: code object and instruction of the innermost frame outside the package.
#include "core/site.h"

#include <Python.h>
#include <frameobject.h>

#include <string>

#include "python/common.h"

namespace eg::python {
namespace {

std::string package;  // ".../eagergrad/"

bool is_internal(PyCodeObject* code) {
  // Loops ask about the same code again and again. Holding it keeps its address from being reused.
  static PyObject* known_outside = nullptr;
  if (reinterpret_cast<PyObject*>(code) == known_outside) return false;
  Py_ssize_t n = 0;
  const char* file = PyUnicode_AsUTF8AndSize(code->co_filename, &n);
  if (!file) {
    PyErr_Clear();
    return false;
  }
  const bool inside =
      size_t(n) > package.size() && std::memcmp(file, package.data(), package.size()) == 0;
  if (!inside) Py_XSETREF(known_outside, Py_NewRef(reinterpret_cast<PyObject*>(code)));
  return inside;
}

// Through frame objects, which Python makes on demand: 0.1 us for each frame that has none yet.
void* capture_slowly(int32_t* instruction) {
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

// The innermost frame without a frame object, where this version of Python shows it; null: ask slowly.
#if PY_VERSION_HEX >= 0x030C0000
void* capture_quickly(int32_t* instruction) {
#if PY_VERSION_HEX >= 0x030D0000
  struct _PyInterpreterFrame* frame = PyThreadState_Get()->current_frame;
#else
  struct _PyInterpreterFrame* frame = PyThreadState_Get()->cframe->current_frame;
#endif
  if (!frame) return nullptr;
  PyObject* code = PyUnstable_InterpreterFrame_GetCode(frame);
  if (code && PyCode_Check(code) && !is_internal(reinterpret_cast<PyCodeObject*>(code))) {
    *instruction = PyUnstable_InterpreterFrame_GetLasti(frame);
    return code;
  }
  Py_XDECREF(code);
  return nullptr;
}
#elif PY_VERSION_HEX >= 0x030B0000
// The head of 3.11's _PyInterpreterFrame, whose header is not for extensions. The layout of a released version is fixed.
struct Frame311 {
  PyFunctionObject* function;
  PyObject *globals, *builtins, *locals;
  PyCodeObject* code;
  PyFrameObject* object;
  Frame311* previous;
  _Py_CODEUNIT* instruction;
};
void* capture_quickly(int32_t* instruction) {
  auto* frame = reinterpret_cast<Frame311*>(PyThreadState_Get()->cframe->current_frame);
  while (frame && is_internal(frame->code)) frame = frame->previous;
  if (!frame) return nullptr;
  const char* first = reinterpret_cast<char*>(frame->code->co_code_adaptive);
  *instruction = int32_t(reinterpret_cast<char*>(frame->instruction) - first);
  return Py_NewRef(reinterpret_cast<PyObject*>(frame->code));
}
#else
void* capture_quickly(int32_t*) { return nullptr; }
#endif

void* capture(int32_t* instruction) {
  if (!PyGILState_Check()) return nullptr;
  if (void* code = capture_quickly(instruction)) return code;
  return capture_slowly(instruction);
}

void retain(void* code) { Py_INCREF(static_cast<PyObject*>(code)); }

void release(void* code) {
  if (!Py_IsInitialized())
    return;  // memory held to the process's end; PyGILState_Check is true then
  if (PyGILState_Check()) {
    Py_DECREF(static_cast<PyObject*>(code));
    return;
  }
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

bool direct() {
  // NumPy's functions and `array * x` come by way of this one.
  static PyObject* const for_numpy = PyUnicode_InternFromString("array_ufunc");
  PyFrameObject* const frame = PyGILState_Check() ? PyEval_GetFrame() : nullptr;
  if (!frame) return false;
  PyCodeObject* const code = PyFrame_GetCode(frame);
  const bool internal = is_internal(code) && code->co_name != for_numpy;
  Py_DECREF(code);
  return !internal;
}

}  // namespace

void install_site_hooks(const char* package_folder) {
  package = package_folder;
  site_hooks = {&capture, &retain, &release, &describe, &direct};
}

}  // namespace eg::python
