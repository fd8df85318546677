#include "report/symbolize/merge_stack.hpp"

#include <algorithm>
#include <array>

#include "report/model/sites.hpp"

namespace vramtrack {
namespace {

bool starts_with(std::string_view text, std::string_view prefix) noexcept {
  return text.substr(0, prefix.size()) == prefix;
}

/// The interpreter itself or its library; an embedding program is told by its functions' names instead.
bool is_interpreter_module(std::string_view module) noexcept {
  const std::string_view name = file_name(module);
  return starts_with(name, "libpython2") || starts_with(name, "libpython3") || starts_with(name, "python");
}

bool is_evaluator(std::string_view function) noexcept {
  // Also with the suffixes of link-time optimisation: ".lto_priv.0", ".cold", ".constprop.0".
  constexpr std::string_view name = "_PyEval_EvalFrameDefault";
  return starts_with(function, name) && (function.size() == name.size() || function[name.size()] == '.');
}

/// What stands between an operator and its kernel only while somebody observes operators: the simulated GPU does, and
/// PyTorch's profiler. A site must not depend on that.
bool is_observer(std::string_view function) noexcept {
  constexpr std::array<std::string_view, 3> prefixes = {"at::RecordFunction::", "c10::Dispatcher::runRecordFunction",
                                                        "vramtrack::sim::"};
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return starts_with(function, prefix); }) ||
         function.find("c10::Dispatcher::callWithDispatchKeySlowPath<") != std::string_view::npos;
}

/// Functions of the C library in which every program and thread begins.
bool is_start(std::string_view function) noexcept {
  constexpr std::array<std::string_view, 9> names = {
      "_start",  "__libc_start_main", "__libc_start_call_main", "start_thread", "clone", "clone3",
      "__clone", "__clone3",          "__libc_start_main_impl"};
  return std::find(names.begin(), names.end(), function.substr(0, function.find('@'))) != names.end();
}

/// Splits the Python frames at their entry bits and hands out one piece at a time.
class PythonPieces {
 public:
  PythonPieces(std::span<const std::uint8_t> entry, std::vector<MergedFrame>& out) : entry_(entry), out_(out) {}

  bool done() const noexcept { return next_ == entry_.size(); }

  void take_one() {
    while (!done()) {
      const bool last = entry_[next_] != 0;
      out_.push_back({true, static_cast<std::uint32_t>(next_++)});
      if (last) return;
    }
  }
  void take_all() {
    while (!done()) take_one();
  }

 private:
  std::span<const std::uint8_t> entry_;
  std::vector<MergedFrame>& out_;
  std::size_t next_ = 0;
};

}  // namespace

NativeRole native_role(std::string_view function, std::string_view module) noexcept {
  if (starts_with(file_name(module), "libvramtrack") || is_observer(function)) return NativeRole::tracer;
  if (is_evaluator(function)) return NativeRole::evaluator;
  if (is_interpreter_module(module)) return NativeRole::interpreter;
  if (starts_with(function, "_Py") || starts_with(function, "Py_") || starts_with(function, "PyObject_") ||
      starts_with(function, "PyEval_") || starts_with(function, "PyRun_") || starts_with(function, "PyVectorcall_")) {
    return NativeRole::interpreter;
  }
  if (starts_with(file_name(module), "libc.so") || starts_with(file_name(module), "libc-2.") ||
      starts_with(file_name(module), "libpthread") || is_start(function)) {
    return is_start(function) || function.empty() ? NativeRole::start : NativeRole::plain;
  }
  return NativeRole::plain;
}

std::vector<MergedFrame> merge_stack(std::span<const std::uint8_t> python_entry, std::span<const NativeRole> native) {
  std::vector<MergedFrame> merged;
  merged.reserve(python_entry.size() + native.size());
  PythonPieces python(python_entry, merged);
  const bool has_evaluators = std::find(native.begin(), native.end(), NativeRole::evaluator) != native.end();

  // Without names for the evaluator (a stripped interpreter), each run of interpreter frames stands for one piece of
  // Python, and the last run for all that is left.
  const auto is_python = [&](std::size_t i) {
    if (has_evaluators) return native[i] == NativeRole::evaluator;
    return native[i] == NativeRole::interpreter && (i == 0 || native[i - 1] != NativeRole::interpreter);
  };
  std::size_t last_python = native.size();
  for (std::size_t i = native.size(); i-- > 0 && last_python == native.size();) {
    if (is_python(i)) last_python = i;
  }

  for (std::size_t i = 0; i < native.size(); ++i) {
    if (is_python(i)) {
      if (i == last_python) {
        python.take_all();
      } else {
        python.take_one();
      }
    }
    const bool below_python = last_python != native.size() && i > last_python;
    const bool keep_start = native[i] == NativeRole::start && python_entry.empty();
    const bool hidden_start = native[i] == NativeRole::start && below_python;
    if (native[i] == NativeRole::plain || keep_start || (native[i] == NativeRole::start && !hidden_start)) {
      merged.push_back({false, static_cast<std::uint32_t>(i)});
    }
    // A native stack without Python frames (they could not be read): the interpreter's frames are all there is.
    if (python_entry.empty() && (native[i] == NativeRole::evaluator || native[i] == NativeRole::interpreter)) {
      merged.push_back({false, static_cast<std::uint32_t>(i)});
    }
  }
  python.take_all();
  return merged;
}

}  // namespace vramtrack
