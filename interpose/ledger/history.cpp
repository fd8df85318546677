// See history.hpp. The thread only moves memory: it calls nothing of CUDA, Python or the host, blocks all signals, and
// is never waited for. What it has coded is in the mapped file: a killed process loses at most the rings' contents.
#include "interpose/ledger/history.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <new>

#include "contract/history_codec.hpp"
#include "interpose/core/error_text.hpp"
#include "interpose/core/hot.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/core/say.hpp"
#include "interpose/ledger/state.hpp"

namespace vramtrack::ledger {

namespace {

using trace::HistoryChunk;
using trace::history::Encoder;
using trace::history::Model;

constexpr std::size_t chunk_payload = trace::history_run * trace::extent_bytes - sizeof(trace::ExtentHeader);
constexpr std::uint64_t unit_ns = 256;  // at most; a power of two of ticks
constexpr std::uint32_t shard_count = 1 + max_devices;

// The coded stream of one shard. Under g_lock.
struct Stream {
  Model* model = nullptr;
  HistoryChunk* chunk = nullptr;
  std::uint8_t* at = nullptr;
  std::uint8_t* end = nullptr;
  std::uint8_t* released = nullptr;
  std::uint64_t events = 0;
};

struct History {
  trace::Writer* writer = nullptr;
  std::uint32_t time_shift = 0;
  bool full = false;
  std::atomic<HistoryRing*> rings[shard_count] = {};
  Stream streams[shard_count];
  alignas(Encoder) std::byte encoders[shard_count][sizeof(Encoder)];
};

VRAMTRACK_HOT constinit std::atomic<History*> g_history{nullptr};
constinit std::atomic<std::uint32_t> g_wakes{0};  // a futex
constinit SpinLock g_lock;                        // one consumer at a time: the thread, or who flushes

Encoder& encoder_of(History& history, std::uint32_t shard) {
  return *std::launder(reinterpret_cast<Encoder*>(history.encoders[shard]));
}

std::uint8_t* coded(HistoryChunk* chunk) { return reinterpret_cast<std::uint8_t*>(chunk + 1); }

void publish(Stream& stream) {
  if (stream.chunk != nullptr)
    std::atomic_ref(stream.chunk->used)
        .store(static_cast<std::uint32_t>(stream.at - coded(stream.chunk)), std::memory_order_release);
}

bool open_chunk(History& history, std::uint32_t shard, std::uint64_t units, std::uint32_t step) {
  Stream& stream = history.streams[shard];
  if (stream.model == nullptr) {
    stream.model = static_cast<Model*>(map_pages(sizeof(Model)));
    if (stream.model == nullptr) return false;
    new (history.encoders[shard]) Encoder(*stream.model);
  }
  if (stream.chunk != nullptr) {
    publish(stream);
    trace::Writer::release_pages(reinterpret_cast<std::byte*>(stream.chunk), chunk_payload);
  }
  stream.chunk =
      reinterpret_cast<HistoryChunk*>(history.writer->add_extents(trace::ExtentType::history, trace::history_run));
  if (stream.chunk == nullptr) return false;
  stream.chunk->shard = shard;
  stream.chunk->time_shift = history.time_shift;
  stream.chunk->first_time = units;
  stream.chunk->first_event = stream.events;
  stream.chunk->first_step = step;
  stream.at = coded(stream.chunk);
  stream.end = reinterpret_cast<std::uint8_t*>(stream.chunk) + chunk_payload;
  encoder_of(history, shard).begin_chunk(units, step);
  return true;
}

void count_losses(History& history, HistoryRing& ring, std::uint64_t not_coded) {
  const std::uint64_t dropped = ring.dropped.load(std::memory_order_relaxed);
  const std::uint64_t lost = dropped - ring.dropped_counted + not_coded;
  ring.dropped_counted = dropped;
  if (lost != 0)
    std::atomic_ref(history.writer->header().losses.dropped_history).fetch_add(lost, std::memory_order_relaxed);
}

// Codes what the ring holds now. Returns how many events that was.
std::uint64_t drain(History& history, std::uint32_t shard, HistoryRing& ring) {
  Stream& stream = history.streams[shard];
  const std::uint64_t from = ring.taken.load(std::memory_order_relaxed);
  const std::uint64_t to = ring.written.load(std::memory_order_acquire);
  std::uint64_t kept = 0;
  for (std::uint64_t i = from; i != to && !history.full; ++i) {
    const RingEvent& taken = ring.events[i % HistoryRing::capacity];
    const trace::HistoryEvent event{
        taken.time, taken.address, taken.bytes, taken.site, taken.step_and_free >> 1, (taken.step_and_free & 1) != 0};
    const std::uint64_t units = event.time >> history.time_shift;
    if (static_cast<std::size_t>(stream.end - stream.at) < trace::history::max_event_bytes &&
        !open_chunk(history, shard, units, event.step)) {
      history.full = true;  // the writer told why
      break;
    }
    const std::uint64_t dropped = ring.dropped.load(std::memory_order_relaxed);
    stream.at = encoder_of(history, shard).put(stream.at, event, units, dropped - ring.dropped_told);
    ring.dropped_told = dropped;
    ++stream.events;
    ++stream.chunk->events;
    ++kept;
  }
  count_losses(history, ring, to - from - kept);
  publish(stream);
  ring.taken.store(to, std::memory_order_release);
  return to - from;
}

std::uint64_t drain_all(History& history) {
  const LockGuard guard(g_lock);
  std::uint64_t events = 0;
  for (std::uint32_t shard = 0; shard < shard_count; ++shard)
    if (HistoryRing* const ring = history.rings[shard].load(std::memory_order_acquire); ring != nullptr)
      events += drain(history, shard, *ring);
  return events;
}

void* run(void* argument) {
  auto& history = *static_cast<History*>(argument);
  for (;;) {
    const std::uint32_t seen = g_wakes.load(std::memory_order_acquire);
    drain_all(history);
    const timespec pause{0, 20'000'000};
    ::syscall(SYS_futex, &g_wakes, FUTEX_WAIT_PRIVATE, seen, &pause, nullptr, 0);
  }
}

}  // namespace

bool history_is_on() noexcept { return g_history.load(std::memory_order_relaxed) != nullptr; }

void wake_history() noexcept {
  const SavedErrno keep;
  g_wakes.fetch_add(1, std::memory_order_release);
  ::syscall(SYS_futex, &g_wakes, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

// Under the shard's lock.
HistoryRing* history_ring(std::uint32_t shard) noexcept {
  History* const history = g_history.load(std::memory_order_acquire);
  if (history == nullptr) return nullptr;
  HistoryRing* ring = history->rings[shard].load(std::memory_order_relaxed);
  if (ring != nullptr) [[likely]]
    return ring;
  auto* const memory = static_cast<std::byte*>(map_pages(4096 + HistoryRing::capacity * sizeof(RingEvent)));
  if (memory == nullptr) return nullptr;
  ring = new (memory) HistoryRing();
  ring->events = reinterpret_cast<RingEvent*>(memory + 4096);
  history->rings[shard].store(ring, std::memory_order_release);
  return ring;
}

void forget_history() noexcept {
  g_history.store(nullptr, std::memory_order_release);
  g_lock.reset();
}

void start_history() noexcept {
  const SavedErrno keep;
  trace::Writer* const writer = trace::active();
  if (writer == nullptr || history_is_on()) return;
  auto* const memory = map_pages(sizeof(History));
  if (memory == nullptr) return say("no memory for the event history: it is not recorded");
  auto* const history = new (memory) History();
  history->writer = writer;
  while ((2ull << history->time_shift) <= ticks_in(unit_ns)) ++history->time_shift;
  g_history.store(history, std::memory_order_release);

  // The thread inherits the mask: no signal of the host may ever be handled in it.
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigdelset(&all, SIGBUS);  // our own: see trace/truncation.hpp
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  ::pthread_attr_setstacksize(&attributes, 256 * 1024);
  pthread_t thread;
  const int error = ::pthread_create(&thread, &attributes, run, history);
  if (error == 0) ::pthread_setname_np(thread, "vramtrack");
  ::pthread_attr_destroy(&attributes);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    g_history.store(nullptr, std::memory_order_release);
    say("cannot start the history thread: ", ErrorText{error}, ": the event history is not recorded");
  }
}

void flush_history() noexcept {
  if (History* const history = g_history.load(std::memory_order_acquire); history != nullptr) drain_all(*history);
}

}  // namespace vramtrack::ledger
