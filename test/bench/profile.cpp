// Where the nanoseconds of an event go: each part of it is run by itself, from the stack of the caller (a Python
// program that calls through ctypes, at a depth of its choice). A copy of the recorder's parts with a trace of its own;
// the preloaded library is not involved.
#include <pthread.h>
#include <time.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "interpose/core/clock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/ledger/ledger.hpp"
#include "interpose/stacks/forward.hpp"
#include "interpose/stacks/native_memo.hpp"
#include "interpose/stacks/native_stack.hpp"
#include "interpose/stacks/python_stack.hpp"
#include "interpose/stacks/stacks.hpp"
#include "interpose/trace/writer.hpp"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using namespace vramtrack;

std::byte* g_ballast = nullptr;
constexpr std::size_t ballast_bytes = std::size_t{1} << 20;  // what an operator touches between two events, at most

void evict() noexcept {
  for (std::size_t i = 0; i < ballast_bytes; i += 64) g_ballast[i] = static_cast<std::byte>(i);
}

/// Mean ns of `part` between two readings of the clock.
template <class Part>
double timed_ns(int times, bool cold, Part&& part) noexcept {
  std::uint64_t total = 0;
  for (int i = 0; i < 20; ++i) part();
  int counted = 0;
  const std::uint64_t limit = ticks_in(20'000);  // interrupted
  for (int i = 0; i < times; ++i) {
    if (cold) evict();
    const std::uint64_t start = ticks();
    part();
    const std::uint64_t spent = ticks() - start;
    if (spent > limit) continue;
    total += spent;
    ++counted;
  }
  const double ticks_per_ns = static_cast<double>(ticks_in(1'000'000)) / 1e6;
  return counted == 0 ? 0 : static_cast<double>(total) / counted / ticks_per_ns;
}

/// The same without what reading the clock costs.
template <class Part>
double mean_ns(int times, bool cold, Part&& part) noexcept {
  const double nothing = timed_ns(times, false, [] { asm volatile(""); });
  const double spent = timed_ns(times, cold, part);
  return spent > nothing ? spent - nothing : 0;
}

/// One event from a stack of a few frames.
__attribute__((noinline)) void record_one(std::uint64_t address) noexcept {
  const CaptureStart start = VRAMTRACK_HERE();
  const stacks::Captured captured = stacks::capture(start);
  ledger::add({Layer::tensor, Kind::block, 0, address, 512, 0, 0}, captured.stack, captured.forward);
  ledger::remove({Layer::tensor, 0, Kind::block, address, 0});
}

}  // namespace

/// Names of the parts, in the order of bench_profile's results.
EXPORT const char* bench_parts() {
  return "clock,state and generation,Python walk,native: memo,native: own rules,native: libunwind,forward of node,"
         "capture (whole),ledger add,ledger remove";
}

EXPORT int bench_start(const char* path) {
  stacks::init({});
  trace::Writer* const writer = trace::Writer::create(path, 0);
  trace::set_active(writer);
  g_ballast = static_cast<std::byte*>(map_pages(ballast_bytes));
  return writer != nullptr && g_ballast != nullptr ? 0 : 1;
}

EXPORT __attribute__((noinline)) int bench_profile(int times, int cold_caches, double* ns, int* frames) {
  const CaptureStart start = VRAMTRACK_HERE();
  const bool cold = cold_caches != 0;
  const stacks::Captured captured = stacks::capture(start);
  if (captured.stack == no_stack) return 1;
  stacks::ThreadState& state = *stacks::this_thread();
  const stacks::Hash128 python = stacks::walk_python(state).hash;
  bool truncated = false;
  frames[0] = static_cast<int>(stacks::copy_python(state, state.python));
  frames[1] = static_cast<int>(stacks::walk_rules(state, start, state.native, stacks::max_native, truncated));
  std::uint64_t sink = 0;
  int i = 0;
  ns[i++] = mean_ns(times, cold, [&] { sink += ticks(); });
  ns[i++] = mean_ns(times, cold, [&] { sink += stacks::this_thread()->generation; });
  ns[i++] = mean_ns(times, cold, [&] { sink += stacks::walk_python(state).hash.a; });
  ns[i++] = mean_ns(times, cold, [&] { sink += stacks::recall(state, start, python) != nullptr; });
  ns[i++] = mean_ns(times, cold,
                    [&] { sink += stacks::walk_rules(state, start, state.native, stacks::max_native, truncated); });
  ns[i++] =
      mean_ns(times, cold, [&] { sink += stacks::walk_libunwind(start, state.native, stacks::max_native, truncated); });
  ns[i++] = mean_ns(times, cold, [&] { sink += number_of(stacks::find_forward().stack); });
  ns[i++] = mean_ns(times, cold, [&] { sink += number_of(stacks::capture(start).stack); });
  std::uint64_t address = 0x7000'0000'0000;
  ns[i++] = mean_ns(times, cold, [&] {
    ledger::add({Layer::tensor, Kind::block, 0, address += 512, 512, 0, 0}, captured.stack, no_stack);
  });
  ns[i++] = mean_ns(times, cold, [&] {
    sink += ledger::remove({Layer::tensor, 0, Kind::block, address, 0}).found ? 1u : 0u;
    address -= 512;
  });
  asm volatile("" : : "r"(sink));
  return 0;
}

/// Mean CPU time in ns of capture + add + remove, with `threads` threads at it at once.
EXPORT double bench_threads(int threads, int events) {
  struct Work {
    int number, events;
    double ns;
  };
  constexpr int most = 64;
  if (threads > most) return 0;
  static Work work[most];
  pthread_t started[most];
  const auto run = [](void* data) -> void* {
    Work& mine = *static_cast<Work*>(data);
    timespec start{}, end{};
    std::uint64_t address = 0x7100'0000'0000 + (static_cast<std::uint64_t>(mine.number) << 32);
    for (int i = -1000; i < mine.events; ++i) {
      if (i == 0) ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
      record_one(address);
    }
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    mine.ns = static_cast<double>(end.tv_sec - start.tv_sec) * 1e9 + static_cast<double>(end.tv_nsec - start.tv_nsec);
    return nullptr;
  };
  double total = 0;
  for (int i = 0; i < threads; ++i) {
    work[i] = {i, events, 0};
    ::pthread_create(&started[i], nullptr, run, &work[i]);
  }
  for (int i = 0; i < threads; ++i) {
    ::pthread_join(started[i], nullptr);
    total += work[i].ns;
  }
  return total / threads / events;
}
