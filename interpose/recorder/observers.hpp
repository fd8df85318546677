// What the recorder needs from the code above it: opening a trace, and telling CUDA's, Python's and the process's side
// that something happened. Those depend on the recorder, never the other way round; the one table of them is filled in
// where the library is put together (interpose/process/observers.cpp).
#pragma once

#include <cstdint>

namespace vramtrack {

struct Observers {
  /// Opens this process's trace: once, by its first event. False: it goes on untraced.
  bool (*open_trace)(std::uint32_t forked_from) noexcept;
  /// The trace is open. Called inside an event: any thread, the host's locks may be held.
  void (*opened)() noexcept;
  /// A first CUDA allocation has succeeded, so the driver is up and can be asked. Once a trace.
  void (*driver_is_up)() noexcept;
  /// Out-of-memory event `n` of the trace has been written, in this thread, inside the call that failed.
  void (*out_of_memory)(std::uint32_t n) noexcept;  // 0: no snapshot of it is kept
  /// The exit moment: the driver can still be asked. `first`: it never was, since nothing was allocated.
  void (*freezing)(bool first) noexcept;
  /// This process turned out to be a forked child for which no fork handler ran (clone, _Fork).
  void (*forked)() noexcept;
};

extern const Observers observers;

}  // namespace vramtrack
