// The tick clock of a trace: the processor's counter (the time stamp counter of x86-64, cntvct_el0 of aarch64) where it
// is the same for all cores (10 ns), else CLOCK_MONOTONIC.
// Any thread. trace::Clock pairs ticks with nanoseconds; the reader converts.
#pragma once

#include <cstdint>

#include "contract/layout.hpp"

namespace vramtrack {

/// CLOCK_MONOTONIC and the calling thread's processor time, in nanoseconds. errno may change.
std::uint64_t monotonic_ns() noexcept;
std::uint64_t thread_cpu_ns() noexcept;

namespace detail {
extern bool g_use_counter;  // written once by clock_init, before the first trace
}  // namespace detail

/// Decides the kind of clock; call before the first ticks() of a trace (Writer::create does). Idempotent.
void clock_init() noexcept;

inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  if (detail::g_use_counter) [[likely]]
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  if (detail::g_use_counter) [[likely]] {
    std::uint64_t count;
    // Without the barrier it may be read long before what the program did last, and two threads' events swap places.
    asm volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(count)::"memory");
    return count;
  }
#endif
  return monotonic_ns();
}

/// Ticks in about `ns` nanoseconds (a rough rate, measured once at start; exact conversion is the reader's).
std::uint64_t ticks_in(std::uint64_t ns) noexcept;

/// Fills `start` and `last` of a trace's clock with this moment.
void clock_start(trace::Clock& clock) noexcept;
/// Refreshes `last`: the longer the span, the better the conversion.
void clock_refresh(trace::Clock& clock) noexcept;

}  // namespace vramtrack
