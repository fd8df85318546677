// Names that the program itself gives to what it does: ranges of NVTX (by the library that PyTorch before 2.4 links,
// and as the injection that header-only NVTX 3 asks for) and the Python package's marks and phases. Any thread.
//
// A range is part of the stack of what is allocated within it, also one that was opened before there was a trace.
// Nothing here starts one, and nothing is kept back from another listener: calls go on to libnvToolsExt where it is
// loaded.
#include <dlfcn.h>

#include <atomic>
#include <cstdint>

#include "interpose/core/saved_errno.hpp"
#include "interpose/process/named_moments.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/stacks/stacks.hpp"

namespace {

using namespace vramtrack;

thread_local int t_depth = 0;  // of NVTX ranges, for a program whose calls nobody else answers

void open(const char* name) noexcept {
  const HookScope scope;
  if (name == nullptr || !scope.outermost() || !may_record()) return;
  const SavedErrno keep;
  stacks::open_range(name);
}

void close() noexcept {
  const HookScope scope;
  if (!scope.outermost() || !may_record()) return;
  const SavedErrno keep;
  stacks::close_range();
}

/// The real function of libnvToolsExt.so.1, when it is there.
template <class Function>
Function* real(const char* name, std::atomic<void*>& cached) noexcept {
  void* const absent = reinterpret_cast<void*>(1);
  void* found = cached.load(std::memory_order_acquire);
  if (found == nullptr) {
    const SavedErrno keep;
    void* const library = ::dlopen("libnvToolsExt.so.1", RTLD_NOW | RTLD_NOLOAD);
    found = library == nullptr ? nullptr : ::dlsym(library, name);
    if (found == nullptr) found = absent;
    cached.store(found, std::memory_order_release);
  }
  return found == absent ? nullptr : reinterpret_cast<Function*>(found);
}

int push(const char* name) noexcept {
  open(name);
  return t_depth++;
}

int pop() noexcept {
  close();
  return t_depth > 0 ? --t_depth : -1;
}

// NVTX 3's injection interface (nvtxDetail/nvtxTypes.h): a table of pointers to the pointers that the headers call.
struct CallbackTable {
  std::size_t bytes;
  int (*functions)(std::uint32_t module, void**** table, unsigned int* count);
};
constexpr std::uint32_t callbacks_table = 1, core_module = 1;
constexpr unsigned int push_id = 9, pop_id = 11;

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

/// A phase is a range whose times are kept as well.
EXPORT void vramtrack_phase_push(const char* name) {
  const HookScope scope;
  if (name == nullptr || !scope.outermost()) return;
  const SavedErrno keep;
  named_moments::begin_phase(name);
}

EXPORT void vramtrack_phase_pop() {
  const HookScope scope;
  if (!scope.outermost()) return;
  const SavedErrno keep;
  named_moments::end_phase();
}

/// A moment with a name.
EXPORT void vramtrack_mark(const char* name) {
  const HookScope scope;
  if (name == nullptr || !scope.outermost()) return;
  const SavedErrno keep;
  named_moments::mark(name);
}

EXPORT int nvtxRangePushA(const char* name) {
  static constinit std::atomic<void*> cached{nullptr};
  const int depth = push(name);
  auto* const forward = real<int(const char*)>("nvtxRangePushA", cached);
  return forward != nullptr ? forward(name) : depth;
}

EXPORT int nvtxRangePop() {
  static constinit std::atomic<void*> cached{nullptr};
  const int depth = pop();
  auto* const forward = real<int()>("nvtxRangePop", cached);
  return forward != nullptr ? forward() : depth;
}

EXPORT int InitializeInjectionNvtx2(const void* (*table)(std::uint32_t)) {
  const auto* const callbacks = table == nullptr ? nullptr : static_cast<const CallbackTable*>(table(callbacks_table));
  void*** functions = nullptr;
  unsigned int count = 0;
  if (callbacks == nullptr || callbacks->bytes < sizeof *callbacks) return 0;
  if (callbacks->functions(core_module, &functions, &count) != 1 || functions == nullptr || count <= pop_id) return 0;
  *functions[push_id] = reinterpret_cast<void*>(push);
  *functions[pop_id] = reinterpret_cast<void*>(pop);
  return 1;
}
