// Profiles for eagergrad.profiler.
#include "core/profile.h"

#include <Python.h>

#include "python/common.h"

namespace eg::python {
namespace {

PyObject* profile_start(PyObject*, PyObject* args) {
  int shapes, sites;
  if (!PyArg_ParseTuple(args, "pp", &shapes, &sites)) return nullptr;
  start_profile(shapes != 0, sites != 0);
  Py_RETURN_NONE;
}

// [(name, begin, end, memory, thread, shapes, line)], times in nanoseconds; end is -1 of what was still running.
PyObject* profile_stop(PyObject*, PyObject*) {
  return guarded([]() -> PyObject* {
    const std::vector<ProfileEvent> events = stop_profile();
    Object list = checked(PyList_New(0));
    for (const ProfileEvent& e : events) {
      const Object shapes = checked(PyList_New(0));
      for (const Dims& d : e.shapes) {
        const Object sizes(from_sizes(d));
        checked(PyList_Append(shapes.get(), sizes.get()));
      }
      const std::string line = e.site ? e.site.describe() : std::string();
      const Object item = checked(Py_BuildValue(
          "sLLLKOs", e.name.c_str(), (long long)e.begin, (long long)e.end, (long long)e.memory,
          (unsigned long long)e.thread, shapes.get(), line.c_str()));
      checked(PyList_Append(list.get(), item.get()));
    }
    return list.release();
  });
}

PyObject* profile_on(PyObject*, PyObject*) { return PyBool_FromLong(profiling); }

// (profile, event) of a range that begins; None while no profile is on.
PyObject* profile_open(PyObject*, PyObject* name) {
  return guarded([&]() -> PyObject* {
    const char* text = PyUnicode_AsUTF8(name);
    if (!text) throw PythonError();
    const uint64_t number = running_profile();
    ProfileScope scope(text);
    if (!number || !scope.is_open()) return Py_NewRef(Py_None);
    return Py_BuildValue("KK", (unsigned long long)number, (unsigned long long)scope.release());
  });
}
PyObject* profile_close(PyObject*, PyObject* args) {
  unsigned long long profile, event;
  if (!PyArg_ParseTuple(args, "KK", &profile, &event)) return nullptr;
  close_profile_event(profile, size_t(event));
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {{"profile_start", profile_start, METH_VARARGS, nullptr},
                         {"profile_stop", profile_stop, METH_NOARGS, nullptr},
                         {"profile_on", profile_on, METH_NOARGS, nullptr},
                         {"profile_open", profile_open, METH_O, nullptr},
                         {"profile_close", profile_close, METH_VARARGS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_profile(PyObject* module) { checked(PyModule_AddFunctions(module, methods)); }

}  // namespace eg::python
