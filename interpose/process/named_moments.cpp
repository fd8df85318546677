#include "interpose/process/named_moments.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "contract/notes.hpp"
#include "interpose/core/clock.hpp"
#include "interpose/core/lock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/core/thread_id.hpp"
#include "interpose/ledger/ledger.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/stacks/stacks.hpp"
#include "interpose/trace/fact_writer.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::named_moments {

namespace {

enum class Kind : std::uint32_t { phase_begins, phase_ends, mark };

struct Moment {
  std::uint64_t ticks;
  std::uint32_t thread;
  Kind kind;
};

constexpr std::uint32_t most_named = 10000;  // marks, and phases, of a process
constexpr std::size_t most_name_bytes = 512;
std::atomic<std::uint32_t> g_phases{0}, g_marks{0};
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

/// `phases[]`: [[ticks, thread, name]] where one begins, [[ticks, thread]] where the innermost of that thread ends.
/// `marks[]`: [[ticks, name, live bytes]].
void write(const Moment& moment, std::string_view name, std::uint64_t live) noexcept {
  trace::FactWriter fact(4096);
  fact.begin_list();
  fact.begin_row();
  if (moment.kind == Kind::mark) {
    fact.item(fact::marks::ticks, moment.ticks);
    fact.item(fact::marks::name, name);
    fact.item(fact::marks::live_bytes, live);
    fact.write(trace::note_key::marks);
    return;
  }
  fact.item(fact::phases::ticks, moment.ticks);
  fact.item(fact::phases::thread, moment.thread);
  if (moment.kind == Kind::phase_begins) fact.item(fact::phases::name, name);
  fact.write(trace::note_key::phases);
}

// What was named before the trace: a Moment and its name each, one behind the other, in the order of time.
struct Kept {
  Moment moment;
  std::uint64_t name_bytes;
};
constexpr std::size_t room = std::size_t{1} << 20;  // address space: what is not used is never touched

SpinLock g_lock;  // all below
std::byte* g_kept = nullptr;
std::size_t g_used = 0, g_open = 0;  // bytes; phases whose end will need room
bool g_trace_has_them = false;

std::size_t size_of(std::size_t name_bytes) noexcept { return (sizeof(Kept) + name_bytes + 7) / 8 * 8; }

bool add(Kind kind, std::string_view name) noexcept {
  if (g_kept == nullptr) g_kept = static_cast<std::byte*>(map_pages(room));
  if (kind == Kind::phase_ends && g_open > 0) --g_open;
  const std::size_t ends = g_open + (kind == Kind::phase_begins ? 1 : 0);
  if (g_kept == nullptr || g_used + size_of(name.size()) + ends * size_of(0) > room) return false;
  auto* const kept = reinterpret_cast<Kept*>(g_kept + g_used);
  *kept = {{ticks(), thread_id(), kind}, name.size()};
  if (!name.empty()) std::memcpy(kept + 1, name.data(), name.size());
  g_used += size_of(name.size());
  g_open = ends;
  return true;
}

/// Into the trace, or to what is kept for it. False: there is no room any more.
bool write_or_keep(Kind kind, std::string_view name) noexcept {
  if (!tracing()) {
    clock_init();  // the ticks are the trace's
    const SignalsWait signals_wait;
    const LockGuard guard(g_lock);
    if (!g_trace_has_them) return add(kind, name);  // else it is just being opened
  }
  write({ticks(), thread_id(), kind}, name, kind == Kind::mark ? live_bytes() : 0);
  return true;
}

std::string_view cut(const char* name) noexcept { return {name, ::strnlen(name, most_name_bytes)}; }

}  // namespace

void begin_phase(const char* name) noexcept {
  if (!may_record()) return;
  stacks::open_range(name);
  if (g_phases.fetch_add(1, std::memory_order_relaxed) < most_named && write_or_keep(Kind::phase_begins, cut(name)))
    return;
  g_phases.store(most_named, std::memory_order_relaxed);  // for good: so those left out are inside all that are not
  ++t_phases_left_out;
}

void end_phase() noexcept {
  if (!may_record()) return;
  stacks::close_range();
  if (t_phases_left_out > 0)
    --t_phases_left_out;
  else
    write_or_keep(Kind::phase_ends, {});
}

void mark(const char* name) noexcept {
  if (may_record() && g_marks.fetch_add(1, std::memory_order_relaxed) < most_named)
    write_or_keep(Kind::mark, cut(name));
}

void write_kept() noexcept {
  const LockGuard guard(g_lock);
  g_trace_has_them = true;
  for (std::size_t at = 0; at < g_used;) {
    const auto* const kept = reinterpret_cast<const Kept*>(g_kept + at);
    write(kept->moment, {reinterpret_cast<const char*>(kept + 1), kept->name_bytes}, 0);
    at += size_of(kept->name_bytes);
  }
  if (g_kept != nullptr) unmap_pages(g_kept, room);
  g_kept = nullptr;
  g_used = g_open = 0;
}

void reset() noexcept {
  g_lock.reset();
  g_kept = nullptr;  // left behind: it may be half made
  g_used = g_open = 0;
  g_trace_has_them = false;
  g_phases.store(0, std::memory_order_relaxed);
  g_marks.store(0, std::memory_order_relaxed);
  t_phases_left_out = 0;
}

}  // namespace vramtrack::named_moments
