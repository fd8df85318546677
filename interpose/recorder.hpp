// The one way from a hook into the trace: guard, lazy start, stack capture, ledger. Any thread.
#pragma once

#include "interpose/event.hpp"
#include "interpose/ledger.hpp"

namespace vramtrack {

/// Re-entrancy guard: only the outermost hook on a thread records. Also keeps errno.
class HookScope {
 public:
  HookScope() noexcept;
  ~HookScope();
  HookScope(const HookScope&) = delete;
  HookScope& operator=(const HookScope&) = delete;
  bool outermost() const noexcept { return outermost_; }

 private:
  bool outermost_;
  int saved_errno_;
};

/// True when events are to be recorded now (starts the trace lazily on a process's first event).
bool recording() noexcept;

void record_alloc(const AllocEvent& event, const CaptureStart& start) noexcept;
ledger::Removed record_free(const FreeEvent& event) noexcept;
void record_oom(Layer layer, std::int16_t device, std::uint64_t requested, std::uint64_t live, std::uint64_t reserved,
                const CaptureStart& start) noexcept;

/// An internal failure: one stderr line with the pid, recording off for ever (hooks go on forwarding).
void stop_recording(const char* why) noexcept;

}  // namespace vramtrack
