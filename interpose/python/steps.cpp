#include "interpose/python/steps.hpp"

#include <algorithm>
#include <array>

#include "contract/notes.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/core/say.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/trace/fact_writer.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::agent {
namespace {

constexpr std::size_t max_sequences = 1 << 18;
constexpr std::size_t max_boundaries = 128;

GrowingArray<std::uint64_t> g_sequences;  // ascending; entry i: the number when step first + i + 1 ended
std::size_t g_sequence_count = 0;
std::uint32_t g_first_step = 0;
bool g_sequences_reserved = false;

std::array<LiveState, max_boundaries> g_boundaries;  // every `stride`-th step
std::size_t g_boundary_count = 0;
std::uint32_t g_stride = 1;
LiveState g_last_boundary{};
std::uint32_t g_next_check = 4, g_next_healthy_look = 4;
std::uint64_t g_blocks_at_last_check = 0;
bool g_suspect = false;  // since the last check

void remember_sequence(std::uint64_t sequence) noexcept {
  if (!g_sequences_reserved) g_sequences_reserved = g_sequences.reserve(max_sequences);
  if (!g_sequences_reserved) return;
  if (g_sequence_count == max_sequences) {  // forget the older half
    const std::size_t half = max_sequences / 2;
    std::copy(&g_sequences[half], &g_sequences[0] + max_sequences, &g_sequences[0]);
    g_first_step += static_cast<std::uint32_t>(half);
    g_sequence_count = half;
  }
  // Another thread's counter may be behind: keep the array ascending, so that bisection stays defined.
  if (g_sequence_count > 0) sequence = std::max(sequence, g_sequences[g_sequence_count - 1]);
  if (std::uint64_t* entry = g_sequences.at(g_sequence_count)) {
    *entry = sequence;
    ++g_sequence_count;
  }
}

void remember_boundary(const LiveState& state) noexcept {
  g_last_boundary = state;
  if (state.step % g_stride != 0) return;
  if (g_boundary_count == max_boundaries) {
    for (std::size_t i = 0; i < max_boundaries / 2; ++i) g_boundaries[i] = g_boundaries[2 * i + 1];
    g_boundary_count = max_boundaries / 2;
    g_stride *= 2;
    if (state.step % g_stride != 0) return;
  }
  g_boundaries[g_boundary_count++] = state;
}

std::uint32_t step_now() noexcept {
  trace::Writer* writer = trace::active();
  return writer == nullptr ? 0 : __atomic_load_n(&writer->header().steps, __ATOMIC_RELAXED);
}

}  // namespace

LiveState live_state() noexcept {
  LiveState state{};
  trace::Writer* writer = trace::active();
  if (writer == nullptr) return state;
  {
    const HookScope scope;  // a signal handler that comes under the ledger's locks must not wait for them
    ledger::book_waiting();
  }
  const trace::Header& header = writer->header();
  state.step = step_now();
  for (const trace::Account& account : header.accounts) {
    if (__atomic_load_n(&account.used, __ATOMIC_ACQUIRE) == 0) break;  // they are opened in order
    if (account.layer != static_cast<std::uint8_t>(Layer::tensor)) continue;
    if (account.kind != static_cast<std::uint8_t>(Kind::all)) continue;
    state.bytes += __atomic_load_n(&account.live_bytes, __ATOMIC_RELAXED);
    state.blocks += __atomic_load_n(&account.live_count, __ATOMIC_RELAXED);
    state.freed += __atomic_load_n(&account.freed_count, __ATOMIC_RELAXED);
  }
  return state;
}

std::uint64_t heights() noexcept {
  trace::Writer* writer = trace::active();
  if (writer == nullptr) return 0;
  {
    const HookScope scope;
    ledger::book_waiting();
  }
  std::uint64_t sum = 0;
  for (const trace::Account& account : writer->header().accounts) {
    if (__atomic_load_n(&account.used, __ATOMIC_ACQUIRE) == 0) break;
    if (account.layer != static_cast<std::uint8_t>(Layer::tensor)) continue;
    if (account.kind != static_cast<std::uint8_t>(Kind::all)) continue;
    sum += __atomic_load_n(&account.peak_bytes, __ATOMIC_RELAXED);
    sum += __atomic_load_n(&account.peak_reserved_bytes, __ATOMIC_RELAXED);
  }
  return sum;
}

const char* step_done(std::uint64_t sequence) noexcept {
  ledger::step();
  remember_sequence(sequence);
  // What is live costs the booking of all that waits: only a step that is kept asks for it.
  const std::uint32_t step = step_now();
  if (step % g_stride != 0 && step < g_next_check) return nullptr;
  const LiveState state = live_state();
  remember_boundary(state);
  if (state.step < g_next_check) return nullptr;
  // At steps 4, 8, 16, ...: a look where more blocks survive than the time before or graphs reach over steps,
  // log2(steps) of them in a leaking program. In a healthy one at 4, 8, 64, 512, ...
  const bool grows = state.step > 4 && (g_suspect || state.blocks > g_blocks_at_last_check);
  g_suspect = false;
  g_blocks_at_last_check = state.blocks;
  g_next_check = state.step * 2;
  if (grows) return "growth";
  if (state.step < g_next_healthy_look) return nullptr;
  g_next_healthy_look = state.step * (state.step < 8 ? 2 : 8);
  return "step";
}

void suspect() noexcept { g_suspect = true; }

std::int64_t step_of(std::uint64_t sequence) noexcept {
  if (g_sequence_count == 0) return -1;
  const std::uint64_t* begin = &g_sequences[0];
  const std::uint64_t* at = std::upper_bound(begin, begin + g_sequence_count, sequence);
  return static_cast<std::int64_t>(g_first_step) + (at - begin);
}

void note_step_live() noexcept {
  if (trace::active() == nullptr || g_boundary_count == 0) return;
  trace::FactWriter fact;
  const auto put_state = [&](const LiveState& state) noexcept {
    fact.begin_row();
    fact.item(fact::step_live::step, state.step);
    fact.item(fact::step_live::bytes, state.bytes);
    fact.item(fact::step_live::blocks, state.blocks);
    fact.end();
  };
  fact.begin_list();
  for (std::size_t i = 0; i < g_boundary_count; ++i) put_state(g_boundaries[i]);
  if (g_boundaries[g_boundary_count - 1].step != g_last_boundary.step) put_state(g_last_boundary);
  fact.write(trace::note_key::step_live);
}

void reset_steps() noexcept {
  g_sequence_count = g_boundary_count = 0;
  g_first_step = 0;
  g_stride = 1;
  g_next_check = g_next_healthy_look = 4;
  g_blocks_at_last_check = 0;
}

}  // namespace vramtrack::agent
