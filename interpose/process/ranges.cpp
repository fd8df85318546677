// Names that the program itself gives to what it does: ranges of NVTX (by the library that PyTorch before 2.4 links, and
// as the injection that header-only NVTX 3 asks for) and the Python package's marks and phases. Any thread.
//
// A range is part of the stack of what is allocated within it. Nothing here starts a trace, and nothing is kept back from
// another listener: calls go on to libnvToolsExt where it is loaded.
#include <dlfcn.h>

#include <atomic>
#include <cstdint>
#include <cstring>

#include "contract/notes.hpp"
#include "interpose/core/clock.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/core/thread_id.hpp"
#include "interpose/ledger/ledger.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/stacks/stacks.hpp"
#include "interpose/trace/fact_writer.hpp"

namespace {

using namespace vramtrack;

thread_local int t_depth = 0;  // of NVTX ranges, for a program whose calls nobody else answers

void open(const char* name) noexcept {
  const HookScope scope;
  if (name == nullptr || !scope.outermost() || !tracing()) return;
  const SavedErrno keep;
  stacks::open_range(name);
}

void close() noexcept {
  const HookScope scope;
  if (!scope.outermost() || !tracing()) return;
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

constexpr std::uint32_t most_named = 10000;  // marks, and phases, of a process
constexpr std::size_t most_name_bytes = 512;
thread_local std::uint32_t t_phases_left_out = 0;  // open on this thread, beyond the limit: inside all that are kept

/// What lives now: in tensors where PyTorch hands out memory, else in what CUDA does.
std::uint64_t live_bytes() noexcept {
  constexpr std::uint32_t room = 128;
  ledger::Total totals[room];
  std::uint64_t tensors = 0, cuda = 0;
  bool has_tensors = false;
  const std::uint32_t count = ledger::totals(totals, room);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (totals[i].layer == static_cast<std::uint8_t>(trace::Layer::tensor)) {
      has_tensors = true;
      tensors += totals[i].live_bytes;
    } else if (totals[i].kind == static_cast<std::uint8_t>(trace::Kind::all)) {
      cuda += totals[i].live_bytes;
    }
  }
  return has_tensors ? tensors : cuda;
}

/// The beginning of a phase, or the end of the innermost.
void write_phase(const char* name) noexcept {
  const HookScope scope;
  if (!scope.outermost() || !tracing()) return;
  const SavedErrno keep;
  static std::atomic<std::uint32_t> count{0};
  if (name != nullptr && count.fetch_add(1, std::memory_order_relaxed) >= most_named) {
    ++t_phases_left_out;
    return;
  }
  if (name == nullptr && t_phases_left_out > 0) {
    --t_phases_left_out;
    return;
  }
  trace::FactWriter fact(4096);
  fact.begin_list();
  fact.begin_row();
  fact.item(fact::phases::ticks, ticks());
  fact.item(fact::phases::thread, thread_id());
  if (name != nullptr) fact.item(fact::phases::name, {name, ::strnlen(name, most_name_bytes)});
  fact.write(trace::note_key::phases);
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

/// Phases are ranges whose times are kept as well: the note `phases[]`, [[ticks, thread, name]] where one begins,
/// [[ticks, thread]] where the innermost of that thread ends.
EXPORT void vramtrack_phase_push(const char* name) {
  open(name);
  write_phase(name);
}

EXPORT void vramtrack_phase_pop() {
  close();
  write_phase(nullptr);
}

/// A moment with a name: the note `marks[]`, [[ticks, name, live bytes]].
EXPORT void vramtrack_mark(const char* name) {
  const HookScope scope;
  if (name == nullptr || !scope.outermost() || !tracing()) return;
  const SavedErrno keep;
  static std::atomic<std::uint32_t> count{0};
  if (count.fetch_add(1, std::memory_order_relaxed) >= most_named) return;
  trace::FactWriter fact(4096);
  fact.begin_list();
  fact.begin_row();
  fact.item(fact::marks::ticks, ticks());
  fact.item(fact::marks::name, {name, ::strnlen(name, most_name_bytes)});
  fact.item(fact::marks::live_bytes, live_bytes());
  fact.write(trace::note_key::marks);
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
