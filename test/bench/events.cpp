// Events without PyTorch, for bench.py --events: calls the hook of the preloaded library as libc10_cuda.so would, from
// a stack of the caller's choice, and measures the calls alone. Under callgrind it counts instructions and cache lines.
#include <execinfo.h>
#include <pthread.h>
#include <time.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "contract/layout.hpp"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define CAN_COUNT 1
#else
#define CAN_COUNT 0
#define CALLGRIND_START_INSTRUMENTATION (void)0
#define CALLGRIND_ZERO_STATS (void)0
#define CALLGRIND_TOGGLE_COLLECT (void)0
#define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#endif

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {
struct Device {  // c10::Device
  std::int8_t type, index;
};
}  // namespace

// c10::reportMemoryUsageToProfiler; absent when the library is not preloaded.
extern "C" __attribute__((weak)) void report_memory(void*, std::int64_t, std::uint64_t, std::uint64_t, Device) asm(
    "_ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE");

namespace {

constexpr std::int64_t block_bytes = 512;
thread_local std::uint64_t t_allocated = 0;  // the threads have nothing in common but the recorder
volatile char g_swept[256 * 1024];

__attribute__((noinline)) void allocate(std::uint64_t address) {
  t_allocated += block_bytes;
  report_memory(reinterpret_cast<void*>(address), block_bytes, t_allocated, std::uint64_t{1} << 32, {1, 0});
}

__attribute__((noinline)) void release(std::uint64_t address) {
  t_allocated -= block_bytes;
  report_memory(reinterpret_cast<void*>(address), -block_bytes, t_allocated, std::uint64_t{1} << 32, {1, 0});
}

void sweep_nearest_cache() {
  for (std::size_t i = 0; i < sizeof g_swept; i += 64) g_swept[i] = static_cast<char>(i);
}

double cpu_ns() {
  timespec now;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

std::uint64_t g_random = 0x9e3779b97f4a7c15u;
std::uint64_t next_random() {
  g_random ^= g_random << 13;
  g_random ^= g_random >> 7;
  g_random ^= g_random << 17;
  return g_random;
}

constexpr std::uint64_t base_address = 0x7000'0000'0000;

}  // namespace

EXPORT int bench_is_recorded() { return report_memory != nullptr; }
EXPORT int bench_can_count() { return CAN_COUNT; }

EXPORT int bench_native_frames() {
  void* frames[512];
  return ::backtrace(frames, 512);
}

/// Calls `work(data)` from `more` frames further in.
EXPORT __attribute__((noinline)) void bench_deeper(int more, void (*work)(void*), void* data) {
  if (more > 0)
    bench_deeper(more - 1, work, data);
  else
    work(data);
  asm volatile("" ::: "memory");  // not a tail call
}

struct Timing {
  int events;
  double ns;  // least of ten runs
};

/// ns of one alloc+free, caches warm.
EXPORT void bench_time(void* data) {
  Timing& timing = *static_cast<Timing*>(data);
  timing.ns = 0;
  for (int run = 0; run < 10; ++run) {
    const double start = cpu_ns();
    for (int i = 0; i < timing.events; ++i) {
      allocate(base_address);
      release(base_address);
    }
    const double spent = (cpu_ns() - start) / timing.events;
    if (run == 0 || spent < timing.ns) timing.ns = spent;
  }
}

/// Under callgrind: dumps the cost of `events` allocations, of as many frees, and of both with the nearest cache swept
/// before each, where the misses are the cache lines that an event touches.
EXPORT void bench_count(void* data) {
  const int events = static_cast<Timing*>(data)->events;
  CALLGRIND_START_INSTRUMENTATION;
  for (int swept = 0; swept < 2; ++swept) {
    for (int kind = 0; kind < 2; ++kind) {
      for (int i = -20; i < events; ++i) {
        if (i == 0) CALLGRIND_ZERO_STATS;
        if (swept != 0) sweep_nearest_cache();
        if (kind == 0) CALLGRIND_TOGGLE_COLLECT;
        allocate(base_address);
        if (kind == 0) CALLGRIND_TOGGLE_COLLECT;
        if (swept != 0) sweep_nearest_cache();
        if (kind == 1) CALLGRIND_TOGGLE_COLLECT;
        release(base_address);
        if (kind == 1) CALLGRIND_TOGGLE_COLLECT;
      }
      CALLGRIND_DUMP_STATS_AT("counted");
    }
  }
}

namespace {

/// What a program does between two events, in a few hundred nanoseconds: arithmetic, no memory.
std::uint64_t work_a_while(std::uint64_t value) {
  for (int i = 0; i < 150; ++i) {
    value *= value;
    asm volatile("" : "+r"(value));  // each product is made, one after the other
  }
  return value;
}

double replace_blocks(std::uint64_t* address, const std::uint32_t* order, int events, bool work, bool record) {
  static std::uint64_t next = base_address + (std::uint64_t{1} << 41);
  std::uint64_t value = 1;
  const double start = cpu_ns();
  for (int i = 0; i < events; ++i) {
    // The program's own look at its block: not to be counted as the recorder's miss.
    if (i + 8 < events) __builtin_prefetch(&address[order[i + 8]]);
    std::uint64_t& block = address[order[i]];
    if (record) release(block);
    if (work) value = work_a_while(value);
    if (record) allocate(block = next += block_bytes);
    if (work) value = work_a_while(value);
  }
  return (cpu_ns() - start) / events;
}

}  // namespace

/// ns of freeing a random one of `live` blocks and allocating another: as fast as can be, or with some work of the
/// program in between, whose own time is taken off. Least of five runs; negative: out of memory.
EXPORT double bench_live(int live, int events, int with_work) {
  auto* const address =
      static_cast<std::uint64_t*>(std::malloc(static_cast<std::size_t>(live) * sizeof(std::uint64_t)));
  auto* const order =
      static_cast<std::uint32_t*>(std::malloc(static_cast<std::size_t>(events) * sizeof(std::uint32_t)));
  if (address == nullptr || order == nullptr) {
    std::free(address);
    std::free(order);
    return -1;
  }
  std::uint64_t next = base_address + (std::uint64_t{1} << 40);
  for (int i = 0; i < live; ++i) allocate(address[i] = next += block_bytes);
  double best[2] = {1e9, 1e9};
  for (int run = 0; run < 10; ++run) {
    for (int i = 0; i < events; ++i) order[i] = static_cast<std::uint32_t>(next_random() % static_cast<unsigned>(live));
    const double spent = replace_blocks(address, order, events, with_work != 0, run % 2 == 0);
    if (spent < best[run % 2]) best[run % 2] = spent;
  }
  for (int i = 0; i < live; ++i) release(address[i]);
  std::free(address);
  std::free(order);
  return best[0] - best[1];
}

/// Mean CPU ns of one alloc+free in `threads` threads at once, on one device.
EXPORT double bench_threads(int threads, int events) {
  struct Work {
    std::uint64_t address;
    int events;
    double ns;
  };
  constexpr int most = 64;
  static Work work[most];
  pthread_t started[most];
  if (threads > most) return -1;
  const auto run = [](void* data) -> void* {
    Work& mine = *static_cast<Work*>(data);
    double start = 0;
    for (int i = -1000; i < mine.events; ++i) {
      if (i == 0) start = cpu_ns();
      allocate(mine.address);
      release(mine.address);
    }
    mine.ns = cpu_ns() - start;
    return nullptr;
  };
  double total = 0;
  for (int i = 0; i < threads; ++i) {
    work[i] = {base_address + (static_cast<std::uint64_t>(i) << 32), events, 0};
    if (::pthread_create(&started[i], nullptr, run, &work[i]) != 0) return -1;
  }
  for (int i = 0; i < threads; ++i) {
    ::pthread_join(started[i], nullptr);
    total += work[i].ns;
  }
  return total / threads / events;
}

/// Calls a Python function from `more` native frames further in (the caller holds the GIL: ctypes.PyDLL).
EXPORT void* bench_call_deeper(int more, void* function) {
  struct Call {
    void* function;
    void* result;
  } call{function, nullptr};
  bench_deeper(
      more,
      [](void* data) {
        extern void* call_python(void*) asm("PyObject_CallNoArgs");
        auto& c = *static_cast<Call*>(data);
        c.result = call_python(c.function);
      },
      &call);
  return call.result;
}

/// Where the word that switches recording lies in a trace, for ab.py.
EXPORT std::uint64_t bench_offset_of_switch() {
  return sizeof(vramtrack::trace::ExtentHeader) + offsetof(vramtrack::trace::Header, dormant);
}
