// See check.hpp.
#include "interpose/stacks/check.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cstring>

#include "interpose/core/lock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/core/say.hpp"
#include "interpose/stacks/forward.hpp"
#include "interpose/stacks/labels.hpp"
#include "interpose/stacks/native_stack.hpp"
#include "interpose/stacks/python_code.hpp"
#include "interpose/stacks/python_stack.hpp"

namespace vramtrack::stacks {
namespace {

struct Known {
  std::uint32_t python_frames, native_frames;
  std::uint32_t module;
  std::uint64_t words[1];  // python, then native
};

constexpr std::size_t max_known = std::size_t{1} << 24;

SpinLock g_lock;  // the two below
GrowingArray<Known*> g_known;
Arena g_arena;

std::atomic<std::uint64_t> g_checked{0}, g_by_python{0}, g_modules{0}, g_mismatches{0}, g_unverifiable{0};

void mismatch(const char* what, StackId stack, std::uint32_t at, std::uint64_t have, std::uint64_t want) noexcept {
  if (g_mismatches.fetch_add(1, std::memory_order_relaxed) >= 10) return;
  Line line;
  line << "stack check: " << what << " of stack " << number_of(stack) << " differ at " << at << ": recorded ";
  line.hex(have) << ", walked ";
  line.hex(want);
  say(line.text());
}

bool compare(const char* what, StackId stack, const std::uint64_t* have, std::uint32_t have_frames,
             const std::uint64_t* want, std::uint32_t want_frames) noexcept {
  std::uint32_t i = 0;
  while (i < have_frames && i < want_frames && have[i] == want[i]) ++i;
  if (i == have_frames && i == want_frames) return true;
  mismatch(what, stack, i, i < have_frames ? have[i] : 0, i < want_frames ? want[i] : 0);
  return false;
}

/// CPython's own interface: frame and code objects from outside. nullptr members: not exported by this version.
struct Interface {
  int (*holds_gil)();
  void* (*innermost)(void*);  // new references, like the next two
  void* (*back)(void*);
  void* (*code)(void*);
  int (*last_instruction)(void*);  // 3.11+
  void (*release)(void*);
  void* (*attribute)(void*, const char*);  // new reference, like the next one
  void* (*item)(void*, const char*);       // PyMapping_GetItemString
  void (*clear_error)();
  void (*fetch_error)(void**, void**, void**);
  void (*restore_error)(void*, void*, void*);
};

const Interface& interface() noexcept {
  static std::atomic<const Interface*> published{nullptr};
  static Interface found;
  if (published.load(std::memory_order_acquire) == nullptr) {
    const auto symbol = [](const char* name) { return ::dlsym(RTLD_DEFAULT, name); };
    found = Interface{reinterpret_cast<int (*)()>(symbol("PyGILState_Check")),
                      reinterpret_cast<void* (*)(void*)>(symbol("PyThreadState_GetFrame")),
                      reinterpret_cast<void* (*)(void*)>(symbol("PyFrame_GetBack")),
                      reinterpret_cast<void* (*)(void*)>(symbol("PyFrame_GetCode")),
                      reinterpret_cast<int (*)(void*)>(symbol("PyFrame_GetLasti")),
                      reinterpret_cast<void (*)(void*)>(symbol("Py_DecRef")),
                      reinterpret_cast<void* (*)(void*, const char*)>(symbol("PyObject_GetAttrString")),
                      reinterpret_cast<void* (*)(void*, const char*)>(symbol("PyMapping_GetItemString")),
                      reinterpret_cast<void (*)()>(symbol("PyErr_Clear")),
                      reinterpret_cast<void (*)(void**, void**, void**)>(symbol("PyErr_Fetch")),
                      reinterpret_cast<void (*)(void*, void*, void*)>(symbol("PyErr_Restore"))};
    published.store(&found, std::memory_order_release);
  }
  return found;
}

/// The label of the module that a frame calls, by what CPython says its variable `self` is.
std::uint32_t module_by_python(const Python& python, const Interface& api, void* frame) noexcept {
  void *type, *value, *trace;
  api.fetch_error(&type, &value, &trace);
  void* const locals = api.attribute(frame, "f_locals");
  void* const self = locals == nullptr ? nullptr : api.item(locals, "self");
  const std::uint32_t label = module_label(python, static_cast<const std::byte*>(self));
  if (self != nullptr) api.release(self);
  if (locals != nullptr) api.release(locals);
  api.clear_error();
  api.restore_error(type, value, trace);
  return label;
}

void compare_with_python(const Python& python, StackId stack, const Known& known) noexcept {
  const Interface& api = interface();
  if (api.holds_gil == nullptr || api.innermost == nullptr || api.back == nullptr || api.code == nullptr) return;
  void* const thread_state = python.this_thread_state();
  if (thread_state == nullptr || python.is_finalizing() != 0 || api.holds_gil() == 0) return;
  g_by_python.fetch_add(1, std::memory_order_relaxed);
  std::uint32_t i = 0;
  bool equal = true;
  bool module_seen = false;
  // PyThreadState_GetFrame is only for a thread that runs Python code; without, it may not be called before 3.11.
  for (void* frame = innermost_frame(python.layout, static_cast<std::byte*>(thread_state)) != nullptr
                         ? api.innermost(thread_state)
                         : nullptr;
       frame != nullptr;) {
    auto* const code = static_cast<std::byte*>(api.code(frame));
    const std::uint64_t word = i < known.python_frames ? known.words[i] : 0;
    bool same = (word >> 32 & 0x3fffffff) == code_id(python, code);
    if (api.last_instruction != nullptr) {
      const int last = api.last_instruction(frame);
      same = same &&
             static_cast<std::uint32_t>(word) == (last < 0 ? trace::unknown_offset : static_cast<std::uint32_t>(last));
    }
    if (equal && !same) mismatch("frames from CPython", stack, i, word, code_id(python, code));
    equal = equal && same;
    if (!module_seen && code == g_module_call_code.load(std::memory_order_relaxed)) {
      module_seen = true;
      g_modules.fetch_add(1, std::memory_order_relaxed);
      const std::uint32_t label = module_by_python(python, api, frame);
      if (label != known.module) mismatch("modules from CPython", stack, i, known.module, label);
    }
    api.release(code);
    void* const outer = api.back(frame);
    api.release(frame);
    frame = outer;
    ++i;
  }
  if (equal && i != known.python_frames && i < max_python)
    mismatch("frames from CPython", stack, i, known.python_frames, i);
  if (!module_seen && i < max_python && known.module != no_label)
    mismatch("modules from CPython", stack, i, known.module, no_label);
}

[[gnu::destructor]] void report_at_exit() noexcept {
  if (!g_options.check) return;
  const CheckCounts counts = check_counts();
  say("stack check: ", counts.stacks, " stacks compared with libunwind, ", counts.by_python, " with CPython, ",
      counts.unverifiable, " could not be, mismatches: ", counts.mismatches, ", modules compared: ", g_modules.load());
}

}  // namespace

void check_remember(StackId stack, const std::uint64_t* python, std::uint32_t python_frames,
                    const std::uint64_t* native, std::uint32_t native_frames, std::uint16_t module) noexcept {
  const LockGuard guard(g_lock);
  if (g_known.capacity() == 0 && !g_known.reserve(max_known)) return;
  Known** const slot = g_known.at(number_of(stack));
  const std::size_t words = python_frames + native_frames;
  auto* const known = static_cast<Known*>(g_arena.allocate(sizeof(Known) + words * sizeof(std::uint64_t)));
  if (slot == nullptr || known == nullptr) return;
  known->python_frames = python_frames;
  known->native_frames = native_frames;
  known->module = module;
  std::memcpy(known->words, python, python_frames * sizeof *python);
  std::memcpy(known->words + python_frames, native, native_frames * sizeof *native);
  *slot = known;
}

void check_capture(const CaptureStart& start, StackId stack, bool outside_nodes) noexcept {
  ThreadState* const state = this_thread();
  const Known* known = nullptr;
  if (stack != no_stack) {
    const LockGuard guard(g_lock);
    if (number_of(stack) < g_known.capacity()) known = g_known[number_of(stack)];
  }
  if (known == nullptr) {
    g_unverifiable.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  g_checked.fetch_add(1, std::memory_order_relaxed);
  if (outside_nodes && !find_forward().outside) mismatch("autograd nodes", stack, 0, 0, 1);
  if (g_options.native) {
    bool truncated = false;
    const std::uint32_t n = walk_libunwind(start, state->native, max_native, truncated);
    if (n == 0) {
      g_unverifiable.fetch_add(1, std::memory_order_relaxed);
    } else {
      compare("native frames", stack, known->words + known->python_frames, known->native_frames, state->native, n);
    }
  }
  const Python* const python = g_python.load(std::memory_order_acquire);
  if (!g_options.python || python == nullptr) return;
  state->python_memo->count = 0;  // the next walk starts afresh
  if ((walk_python(*state).flags & trace::stack_truncated) != 0) return;
  const std::uint32_t frames = copy_python(*state, state->python);
  if (innermost_module(*state->python_memo) != known->module)
    mismatch("modules", stack, 0, known->module, innermost_module(*state->python_memo));
  if (compare("Python frames", stack, known->words, known->python_frames, state->python, frames))
    compare_with_python(*python, stack, *known);
}

void check_forget() noexcept {
  const LockGuard guard(g_lock);
  for (std::size_t i = 0; i < g_known.capacity(); ++i) g_known[i] = nullptr;
}

void unlock_check() noexcept { g_lock.reset(); }

CheckCounts check_counts() noexcept {
  return {g_checked.load(), g_by_python.load(), g_mismatches.load(), g_unverifiable.load()};
}

}  // namespace vramtrack::stacks
