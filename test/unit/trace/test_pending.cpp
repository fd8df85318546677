// Events that wait in their threads' rings: who books them, the ledger or a reader, in what order, and what a killed
// process leaves.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <latch>
#include <mutex>
#include <random>
#include <thread>

#include "interpose/ledger/pending.hpp"
#include "naive_ledger.hpp"

using namespace vramtrack;
using namespace vramtrack::trace;

namespace {

/// What follows, reading the clock above all, begins when the lock is held. PyTorch does hundreds of instructions
/// between the two (Ring); with these few a processor reads the clock before the other one has let go, once in ten
/// million times.
void wait_for_lock() {
#if defined(__x86_64__)
  __builtin_ia32_lfence();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

std::size_t rings_of(std::int16_t device) {
  std::size_t count = 0;
  for (const ledger::Ring* ring = ledger::g_shards[1 + device].rings; ring != nullptr; ring = ring->next_of_shard)
    ++count;
  return count;
}

}  // namespace

TEST_CASE("events that wait are booked by the reader, one by one as by the ledger") {
  // The same events, once booked by the ledger, and once left in the file at every possible number.
  const int count = GENERATE(1, 2, 7, 63, 64, 65, 255, 256, 257, 511, 513);
  const auto play = [count](bool flushed) {
    TemporaryTrace t;
    std::mt19937_64 random(5);
    for (int i = 0; i < count; ++i) {
      const std::uint64_t address = (1 + random() % 9) << 9;
      if (random() % 2 == 0)
        add_block(address, 512 * (1 + random() % 9), static_cast<StackId>(random() % 3));
      else
        drop_block(address);
      if (flushed) ledger::flush();
    }
    return t.read();
  };
  const TraceFile booked = play(true), waiting = play(false);
  REQUIRE(waiting.warnings.empty());
  REQUIRE(booked.sites.size() == waiting.sites.size());
  for (std::size_t i = 0; i < booked.sites.size(); ++i) {
    Site a = booked.sites[i], b = waiting.sites[i];
    a.first_time = a.last_time = a.last_free_time = b.first_time = b.last_time = b.last_free_time = 0;
    CHECK(std::memcmp(&a, &b, sizeof a) == 0);
  }
  REQUIRE(booked.accounts.size() == waiting.accounts.size());
  for (std::size_t i = 0; i < booked.accounts.size(); ++i) {
    Account a = booked.accounts[i], b = waiting.accounts[i];
    a.peak_time = b.peak_time = 0;
    CHECK(std::memcmp(&a, &b, sizeof a) == 0);
  }
  CHECK(booked.header.losses.unknown_frees == waiting.header.losses.unknown_frees);
  CHECK(booked.header.losses.replaced_blocks == waiting.header.losses.replaced_blocks);
  const auto live = [](const TraceFile& file) {
    std::map<std::uint64_t, std::tuple<std::uint64_t, std::uint32_t, std::uint32_t>> blocks;
    for (const Block& b : file.blocks) blocks[b.address] = {b.bytes, b.site, b.step};
    return blocks;
  };
  CHECK(live(booked) == live(waiting));
  if (count == 255) CHECK(waiting.header.sites == 0);  // nothing was booked yet: the test would see nothing otherwise
}

TEST_CASE("an event that was being booked when the process died counts once") {
  TemporaryTrace t;
  add_block(512, 1000);
  add_block(1024, 24);
  ledger::flush();
  const std::uint64_t time = t.read().blocks.at(1).time;
  // As it is found when the event is booked, and not yet said to be.
  Pending& pending = *ledger::g_shards[1].rings->pending;
  std::uint64_t& booking = ledger::g_shards[1].device->all.account->booking;
  REQUIRE(pending.written == 2);
  REQUIRE(pending.booked == 2);
  PendingEvent& first = pending.events[2];
  first = {1024, 24, 0, time, StackId{0}, no_stack, 0, 1};
  pending.events[3] = {2048, 8, 0, time + 1, StackId{0}, no_stack, 0, 1};
  pending.written = 4;
  booking = time - 1;
  TraceFile file = t.read();
  CHECK(file.blocks.size() == 3);
  CHECK(file.account(Layer::tensor, 0, Kind::all)->live_bytes == 1032);
  CHECK(file.header.losses.replaced_blocks == 0);
  // And when only its block is there.
  t.writer->site(0)->last_time = time - 1;
  CHECK(t.read().account(Layer::tensor, 0, Kind::all)->live_bytes == 1056);
  CHECK(t.read().blocks.size() == 3);
  t.writer->site(0)->last_time = time;
  // A free whose block is gone already.
  first = {4096, 0, 0, time, no_stack, no_stack, 0, 1};
  file = t.read();
  CHECK(file.header.losses.unknown_frees == 0);
  CHECK(file.blocks.size() == 3);
  // A free whose allocation was booked in the same batch, without a block.
  first = {4096, 100, 0, time, StackId{0}, no_stack, 0, 1};
  pending.events[3] = {4096, 0, 0, time + 1, no_stack, no_stack, 0, 1};
  booking = time;
  file = t.read();
  CHECK(file.header.losses.unknown_frees == 0);
  CHECK(file.blocks.size() == 2);
  CHECK(file.account(Layer::tensor, 0, Kind::all)->live_bytes == 1024 - 100);
  pending.written = 2;
  booking = 0;
}

TEST_CASE("events of several threads are booked in the order in which they came") {
  // Threads hand blocks on to each other under a lock, as PyTorch's allocator has one.
  TemporaryTrace t;
  NaiveLedger naive;
  std::mutex allocator;
  constexpr int threads = 4, generations = 3, events = 4000;
  for (int generation = 0; generation < generations; ++generation) {
    std::vector<std::thread> workers;
    std::latch begun(threads);  // each has a ring of its own before any ends
    for (int w = 0; w < threads; ++w)
      workers.emplace_back([&, w, generation] {
        std::mt19937_64 random(static_cast<unsigned>(generation * threads + w));
        for (int i = 0; i < events; ++i) {
          if (i == 100) begun.arrive_and_wait();
          const std::lock_guard guard(allocator);
          wait_for_lock();
          const auto device = static_cast<std::int16_t>(random() % 2);
          const std::uint64_t address = (1 + random() % 40) << 9;
          const auto stack = static_cast<StackId>(random() % 5);
          if (random() % 2 == 0) {
            const AllocEvent event{Layer::tensor, Kind::block, device, address, 512 * (1 + random() % 9), 0, 0};
            ledger::add(event, stack, no_stack);
            naive.add(event, stack, no_stack);
          } else {
            drop_block(address, device);
            naive.remove(NaiveLedger::key(Layer::tensor, device, Kind::block, address));
          }
          if (i % 997 == 0) compare(naive, t.read());  // with what waits in the rings of all threads
        }
      });
    for (auto& worker : workers) worker.join();
  }
  compare(naive, t.read());
  ledger::flush();
  compare(naive, t.read());
  CHECK(naive.unknown > 100);
  CHECK(naive.replaced > 100);
  // A new thread takes over the ring of one that ended.
  CHECK(rings_of(0) <= threads);
  CHECK(rings_of(1) <= threads);
  CHECK(rings_of(0) > 1);
}

TEST_CASE("an event whose thread was held up after reading the clock is not lost") {
  TemporaryTrace t;
  add_block(512, 100);
  add_block(1024, 24);
  ledger::flush();
  // It comes with a time before that of the last event that was booked.
  ledger::Ring& ring = *ledger::g_shards[1].rings;
  Pending& pending = *ring.pending;
  pending.events[2] = {2048, 8, 0, 1, StackId{0}, no_stack, 0, 1};
  pending.written = 3;
  CHECK(t.read().account(Layer::tensor, 0, Kind::all)->live_bytes == 132);
  ledger::flush();
  const TraceFile file = t.read();
  CHECK(file.account(Layer::tensor, 0, Kind::all)->live_bytes == 132);
  REQUIRE(file.blocks.size() == 3);
  CHECK(file.blocks[2].time > file.blocks[1].time);
}

TEST_CASE("a thread that allocates faster than others book waits and loses nothing") {
  TemporaryTrace t;
  constexpr int threads = 6;
  constexpr std::uint64_t events = 50'000;
  std::vector<std::thread> workers;
  for (std::uint64_t w = 0; w < threads; ++w)
    workers.emplace_back([w] {
      for (std::uint64_t i = 0; i < events; ++i) {
        add_block((w << 32) + (i << 9) + 512, 512, static_cast<StackId>(w));
        if (i % 100 != 0) drop_block((w << 32) + (i << 9) + 512);
      }
    });
  for (auto& worker : workers) worker.join();
  const TraceFile file = t.read();
  const Account& all = *file.account(Layer::tensor, 0, Kind::all);
  CHECK(all.allocated_count == threads * events);
  CHECK(all.live_count == threads * events / 100);
  CHECK(file.blocks.size() == threads * events / 100);
  CHECK(file.header.losses.unknown_frees == 0);
}

TEST_CASE("a process killed at any moment leaves what had happened until then") {
  // What the child does stands in shared memory: the event that is under way, and what lives.
  constexpr std::size_t addresses = 50;
  struct Shared {
    std::atomic<std::uint64_t> under_way, events, allocations;
    std::atomic<std::uint64_t> live[addresses + 1];  // bytes
  };
  auto* const shared =
      static_cast<Shared*>(::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(shared != MAP_FAILED);
  TemporaryFolder folder;
  std::mt19937 random(5);
  std::uint64_t events = 0;
  for (int round = 0; round < 150; ++round) {
    new (shared) Shared{};
    const std::string path =
        folder.file("killed-" + std::to_string(round) + ".vtrace");  // another process's is not replaced
    const pid_t child = ::fork();
    if (child == 0) {
      set_active(Writer::create(path.c_str(), 0));
      ledger::reset();
      static std::mutex allocator;
      const auto work = [shared](unsigned seed) {
        for (std::mt19937_64 choice(seed);;) {
          const std::lock_guard guard(allocator);
          wait_for_lock();
          const std::uint64_t n = 1 + choice() % addresses;
          shared->under_way = n;
          if (shared->live[n] == 0) {
            const std::uint64_t bytes = 512 * (1 + choice() % 9);
            add_block(n << 9, bytes, static_cast<StackId>(choice() % 7));
            shared->live[n] = bytes;
            ++shared->allocations;
          } else {
            drop_block(n << 9);
            shared->live[n] = 0;
          }
          shared->under_way = 0;
          ++shared->events;
        }
      };
      std::thread(work, 2 * round).detach();
      std::thread(work, 2 * round + 1).detach();
      for (;;) ::pause();
    }
    while (shared->events == 0) ::usleep(100);
    ::usleep(static_cast<useconds_t>(random() % 3000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    events += shared->events;

    const TraceFile file = read_trace(path);
    std::filesystem::remove(path);
    INFO("round " << round << ", after " << shared->events << " events");
    REQUIRE(file.header.losses.unknown_frees == 0);
    REQUIRE(file.header.losses.replaced_blocks == 0);
    std::uint64_t found[addresses + 1] = {}, block_bytes = 0, site_bytes = 0;
    for (const Block& block : file.blocks) {
      found[block.address >> 9] = block.bytes;
      block_bytes += block.bytes;
    }
    for (std::uint64_t n = 1; n <= addresses; ++n)
      if (n != shared->under_way) REQUIRE(found[n] == shared->live[n]);
    for (const Site& site : file.sites) site_bytes += site.live_bytes;
    const Account& all = *file.account(Layer::tensor, 0, Kind::all);
    // The counters change one after the other: those of one event may be between.
    const auto near = [](std::uint64_t a, std::uint64_t b, std::uint64_t most) {
      return (a > b ? a - b : b - a) <= most;
    };
    REQUIRE(near(all.allocated_count, shared->allocations, 1));
    REQUIRE(near(block_bytes, all.live_bytes, 9 * 512));
    REQUIRE(near(site_bytes, all.live_bytes, 9 * 512));
  }
  CHECK(events > 10'000);
  ::munmap(shared, sizeof(Shared));
}
