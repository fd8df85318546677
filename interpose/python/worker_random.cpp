#include "interpose/python/worker_random.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "contract/notes.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/core/say.hpp"
#include "interpose/trace/fact_writer.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::agent {
namespace twister {
namespace {

void refill(std::uint32_t* key) noexcept {
  constexpr int shift = 397;
  const auto mix = [](std::uint32_t high, std::uint32_t low) noexcept {
    const std::uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
    return (y >> 1) ^ ((y & 1u) != 0 ? 0x9908b0dfu : 0u);
  };
  for (int i = 0; i < words; ++i) key[i] = key[(i + shift) % words] ^ mix(key[i], key[(i + 1) % words]);
}

}  // namespace

Comparison compare(const State& before, const State& now, int max_blocks) noexcept {
  if (std::memcmp(before.key, now.key, sizeof now.key) == 0) {
    if (now.pos == before.pos) return {Change::none, 0};
    if (now.pos > before.pos) return {Change::drawn, static_cast<std::uint64_t>(now.pos - before.pos)};
    return {Change::reseeded, 0};
  }
  State ahead = before;
  std::uint64_t draws = static_cast<std::uint64_t>(words - before.pos);
  for (int block = 0; block < max_blocks; ++block) {
    refill(ahead.key);
    if (std::memcmp(ahead.key, now.key, sizeof now.key) == 0)
      return {Change::drawn, draws + static_cast<std::uint64_t>(now.pos)};
    draws += words;
  }
  return {Change::reseeded, 0};
}

}  // namespace twister

namespace {

using twister::Change;
using twister::State;

// One child in the shared page: written by that child alone, read by the parent at its end.
struct Child {
  std::uint32_t pid;
  std::atomic<std::uint32_t> change;  // twister::Change + 1; 0: nothing known
  std::uint64_t inherited;            // hash of the state at the fork
  std::atomic<std::uint64_t> draws;
  std::uint32_t line;
  std::uint32_t file;  // index into g_files
};
constexpr std::uint32_t max_children = 1024;
constexpr std::uint32_t max_files = 16;
constexpr int max_blocks = 2000;  // 1.2 million words: 3 ms

Child* g_children = nullptr;
std::uint32_t g_child_count = 0;
char g_files[max_files][512];
std::uint32_t g_file_count = 0;

const State* g_state = nullptr;  // NumPy's, while a fork is being watched
State g_inherited;
Child* g_self = nullptr;  // in a watched child
std::atomic<bool> g_decided{false};

std::uint64_t hash_of(const State& state) noexcept {
  std::uint64_t h = 1469598103934665603u;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&state);
  for (std::size_t i = 0; i < sizeof state; ++i) h = (h ^ bytes[i]) * 1099511628211u;
  return h;
}

std::uint32_t file_index(std::string_view file) noexcept {
  file = file.substr(0, sizeof g_files[0] - 1);
  for (std::uint32_t i = 0; i < g_file_count; ++i)
    if (file == g_files[i]) return i;
  if (g_file_count == max_files) return 0;
  std::memcpy(g_files[g_file_count], file.data(), file.size());
  return g_file_count++;
}

void check_self() noexcept {
  if (g_self == nullptr || g_decided.load(std::memory_order_acquire)) return;
  State now;
  std::memcpy(&now, g_state, sizeof now);  // racy on purpose: a half-written state is compared again next time
  const twister::Comparison result = twister::compare(g_inherited, now, max_blocks);
  g_self->draws.store(result.draws, std::memory_order_relaxed);
  g_self->change.store(static_cast<std::uint32_t>(result.change) + 1, std::memory_order_release);
  if (result.change == Change::drawn) g_decided.store(true, std::memory_order_release);
}

void* poll(void*) {
  for (std::uint64_t waited_ms = 0; waited_ms < 600'000;) {
    const long ms = waited_ms < 1000 ? 2 : waited_ms < 10'000 ? 10 : 50;
    const timespec pause{0, ms * 1'000'000};
    ::nanosleep(&pause, nullptr);
    waited_ms += static_cast<std::uint64_t>(ms);
    State now;
    std::memcpy(&now, g_state, sizeof now);
    if (now.pos == g_inherited.pos && now.key[0] == g_inherited.key[0]) continue;
    check_self();
    // Drawn: decided. Reseeded: whatever follows is the script's own numbers.
    if (g_self->change.load(std::memory_order_relaxed) != 0) return nullptr;
  }
  return nullptr;
}

}  // namespace

void before_fork(const void* state, std::string_view file, std::uint32_t line) noexcept {
  SavedErrno keep;
  g_state = nullptr;
  if (state == nullptr || g_self != nullptr) return;  // grandchildren are not watched
  if (g_children == nullptr) {
    void* page =
        ::mmap(nullptr, max_children * sizeof(Child), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return;
    g_children = static_cast<Child*>(page);
  }
  if (g_child_count == max_children) return;
  std::memcpy(&g_inherited, state, sizeof g_inherited);
  if (g_inherited.pos < 0 || g_inherited.pos > twister::words) return;  // not the layout that is expected
  g_state = static_cast<const State*>(state);
  Child& child = g_children[g_child_count++];
  child.inherited = hash_of(g_inherited);
  child.line = line;
  child.file = file_index(file);
}

void forked_child() noexcept {
  SavedErrno keep;
  if (g_state == nullptr || g_children == nullptr) return;
  g_self = &g_children[g_child_count - 1];
  g_self->pid = static_cast<std::uint32_t>(::getpid());
  g_decided.store(false, std::memory_order_relaxed);
  sigset_t all, old;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_t thread;
  if (::pthread_create(&thread, nullptr, poll, nullptr) == 0) ::pthread_detach(thread);
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

void child_ends() noexcept { check_self(); }

void note_worker_rng() noexcept {
  if (trace::active() == nullptr || g_children == nullptr || g_self != nullptr) return;
  for (std::uint32_t i = 0; i < g_child_count; ++i) {
    const Child& child = g_children[i];
    const std::uint32_t change = child.change.load(std::memory_order_acquire);
    if (change == 0 || child.pid == 0) continue;
    static const char* const names[] = {"untouched", "drawn", "reseeded"};
    Line inherited;
    inherited.hex(child.inherited);
    trace::FactWriter fact;
    fact.begin_map();
    fact.field(fact::worker_rng::pid, child.pid);
    fact.field(fact::worker_rng::change, names[change - 1]);
    fact.field(fact::worker_rng::inherited, inherited.text());
    fact.field(fact::worker_rng::draws, child.draws.load(std::memory_order_relaxed));
    fact.field(fact::worker_rng::l, child.line);
    fact.field(fact::worker_rng::f, g_files[child.file]);
    fact.write(trace::note_key::worker_rng);
  }
}

}  // namespace vramtrack::agent
