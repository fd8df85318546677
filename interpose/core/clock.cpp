#include "interpose/core/clock.hpp"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <string_view>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "interpose/core/hot.hpp"

namespace vramtrack {

namespace detail {
VRAMTRACK_HOT constinit bool g_use_counter = false;
}  // namespace detail

namespace {

std::uint64_t read(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

std::atomic<std::uint32_t> g_ticks_per_us{0};  // 0: not initialised

/// Whether the kernel found the counters of all cores to agree: it takes the name off this list otherwise. Where there
/// is no list, the processor's word has to do.
[[maybe_unused]] bool kernel_trusts_tsc() {
  const int list = ::open("/sys/devices/system/clocksource/clocksource0/available_clocksource", O_RDONLY | O_CLOEXEC);
  if (list < 0) return true;
  char text[256];
  const ssize_t bytes = ::read(list, text, sizeof text);
  ::close(list);
  const std::string_view names(text, bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  return names.empty() || names.find("tsc") != names.npos;
}

/// It runs at one rate, and the events of threads on different cores can be put in order by it.
bool counter_is_usable() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0x80000007u, &a, &b, &c, &d) != 0 && (d & (1u << 8)) != 0 && kernel_trusts_tsc();
#elif defined(__aarch64__)
  return true;  // one counter for all cores, by the architecture's definition
#else
  return false;
#endif
}

struct Pair {
  std::uint64_t ticks, ns;
};

// The reading whose two ticks lie closest together: an interrupt in between would shift the pair.
Pair read_pair() {
  Pair best{0, 0};
  std::uint64_t best_gap = ~0ull;
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t before = ticks();
    const std::uint64_t ns = monotonic_ns();
    const std::uint64_t after = ticks();
    if (after - before < best_gap) {
      best_gap = after - before;
      best = {before + (after - before) / 2, ns};
    }
  }
  return best;
}

}  // namespace

std::uint64_t monotonic_ns() noexcept { return read(CLOCK_MONOTONIC); }
std::uint64_t thread_cpu_ns() noexcept { return read(CLOCK_THREAD_CPUTIME_ID); }

void clock_init() noexcept {
  if (g_ticks_per_us.load(std::memory_order_acquire) != 0) return;
  if (!counter_is_usable()) {
    g_ticks_per_us.store(1000, std::memory_order_release);
    return;
  }
  detail::g_use_counter = true;
  // Half a millisecond is enough for a rate that is only used to choose intervals.
  const Pair first = read_pair();
  Pair second = first;
  constexpr int most_tries = 100'000;  // the clock stands still (faketime)
  for (int tries = 0; second.ns < first.ns + 500'000 && tries < most_tries; ++tries) second = read_pair();
  const std::uint64_t rate = second.ns <= first.ns ? 0 : (second.ticks - first.ticks) * 1000 / (second.ns - first.ns);
  g_ticks_per_us.store(rate == 0 ? 1 : static_cast<std::uint32_t>(rate), std::memory_order_release);
}

std::uint64_t ticks_in(std::uint64_t ns) noexcept { return ns * g_ticks_per_us.load(std::memory_order_relaxed) / 1000; }

void clock_start(trace::Clock& clock) noexcept {
  clock_init();
  const Pair now = read_pair();
  clock.kind = detail::g_use_counter ? 1 : 0;
  clock.start_ticks = clock.last_ticks = now.ticks;
  clock.start_mono_ns = clock.last_mono_ns = now.ns;
  clock.start_real_ns = read(CLOCK_REALTIME);
}

void clock_refresh(trace::Clock& clock) noexcept {
  const Pair now = read_pair();
  // Two stores that a reader may see apart: the error is one refresh interval in one conversion rate, and a dead
  // process leaves at most one such pair. The reader checks that both moved forward.
  std::atomic_ref(clock.last_ticks).store(now.ticks, std::memory_order_relaxed);
  std::atomic_ref(clock.last_mono_ns).store(now.ns, std::memory_order_release);
}

}  // namespace vramtrack
