// The ledger against a second, naive implementation; and its rules one by one.
#include <map>
#include <random>
#include <thread>

#include "interpose/ledger/state.hpp"
#include "naive_ledger.hpp"

using namespace vramtrack;
using namespace vramtrack::trace;

TEST_CASE("random events: totals, sites and what made the peak equal the naive ledger") {
  const auto seed = GENERATE(1u, 2u, 3u, 4u, 5u, 6u);
  TemporaryTrace t;
  NaiveLedger naive;
  std::mt19937_64 random(seed);
  const Kind cuda_kinds[] = {Kind::device, Kind::pool,        Kind::managed, Kind::array,    Kind::vmm,
                             Kind::graph,  Kind::host_pinned, Kind::ipc,     Kind::external, Kind::registered};
  // Few addresses: reuse while live, and unknown frees, happen often.
  const std::uint64_t addresses = seed % 2 == 0 ? 40 : 3000;
  for (int i = 0; i < 12'000; ++i) {
    const Layer layer = random() % 2 == 0 ? Layer::cuda : Layer::tensor;
    const Kind kind = layer == Layer::tensor ? Kind::block : cuda_kinds[random() % std::size(cuda_kinds)];
    const auto device =
        static_cast<std::int16_t>(kind == Kind::host_pinned || kind == Kind::registered ? -1 : random() % 2);
    const std::uint64_t address = 1 + random() % addresses;
    const auto what = random() % 100;
    if (what < 52) {
      const AllocEvent event{layer, kind, device, address, random() % 5000, random() % 3, 77};
      const auto stack = static_cast<StackId>(random() % 6);
      const StackId forward = random() % 4 == 0 ? static_cast<StackId>(random() % 3) : no_stack;
      ledger::add(event, stack, forward);
      naive.add(event, stack, forward);
    } else if (what < 75) {
      ledger::drop({layer, device, kind, address, 77});  // a free that cannot fail
      naive.remove(NaiveLedger::key(layer, device, kind, address));
    } else if (what < 95) {
      const bool found = ledger::remove({layer, device, kind, address, 77}).found;
      REQUIRE(found == naive.remove(NaiveLedger::key(layer, device, kind, address)));
    } else if (what < 99) {
      // The real free failed: as if nothing had happened.
      const ledger::Removed removed = ledger::remove({layer, device, kind, address, 77});
      ledger::restore(removed);
      naive.unknown += removed.found ? 0 : 1;
    } else {
      ledger::step();
    }
    if (i % 1999 == 0) compare(naive, t.read());  // with whatever waits to be booked at that moment
  }
  compare(naive, t.read());
  CHECK(t.writer->header().sites > 50);
  ledger::flush();
  compare(naive, t.read());
}

TEST_CASE("each kind counts where it belongs") {
  TemporaryTrace t;
  std::uint64_t address = 0;
  for (const Kind kind : {Kind::device, Kind::pool, Kind::managed, Kind::array, Kind::vmm, Kind::graph})
    add_cuda(++address << 12, 10, kind);
  for (const Kind kind : {Kind::ipc, Kind::external}) add_cuda(++address << 12, 1000, kind);
  add_cuda(++address << 12, 1000, Kind::host_pinned, -1);
  add_cuda(++address << 12, 1000, Kind::registered, -1);
  const TraceFile file = t.read();
  CHECK(file.account(Layer::cuda, 0, Kind::all)->live_bytes == 60);
  CHECK(file.account(Layer::cuda, 0, Kind::ipc)->live_bytes == 1000);
  CHECK(file.account(Layer::cuda, -1, Kind::host_pinned)->peak_bytes == 1000);
  CHECK(file.account(Layer::cuda, -1, Kind::all) == nullptr);
  CHECK(file.account(Layer::cuda, 1, Kind::all) == nullptr);
}

TEST_CASE("equal addresses of different address spaces are different things") {
  TemporaryTrace t;
  add_cuda(64, 1, Kind::device);
  add_cuda(64, 2, Kind::array);
  add_cuda(64, 4, Kind::vmm);
  add_cuda(64, 8, Kind::host_pinned, -1);
  add_block(64, 16);
  add_block(64, 32, StackId{0}, 1);
  CHECK(t.read().blocks.size() == 6);
  CHECK(t.read().header.losses.replaced_blocks == 0);
  CHECK(ledger::live_bytes_of(Layer::cuda, 0, Kind::vmm, 64) == 4);
  CHECK(ledger::live_bytes_of(Layer::tensor, 1, Kind::block, 64) == 32);
  CHECK(ledger::live_bytes_of(Layer::tensor, 2, Kind::block, 64) == 0);
  CHECK(remove_cuda(64, Kind::graph));  // the same space as device
  CHECK_FALSE(remove_cuda(64, Kind::device));
  CHECK(remove_cuda(64, Kind::registered));
  CHECK(t.read().blocks.size() == 4);
}

TEST_CASE("an address that is allocated while live replaces its block") {
  TemporaryTrace t;
  add_block(64, 100, StackId{1});
  add_block(64, 30, StackId{2});
  const TraceFile file = t.read();
  REQUIRE(file.blocks.size() == 1);
  CHECK(file.blocks[0].bytes == 30);
  CHECK(file.account(Layer::tensor, 0, Kind::all)->live_bytes == 30);
  CHECK(file.account(Layer::tensor, 0, Kind::all)->peak_bytes == 100);
  CHECK(file.header.losses.replaced_blocks == 1);
}

TEST_CASE("null pointers and impossible devices do no harm") {
  TemporaryTrace t;
  add_block(0, 100);
  CHECK_FALSE(remove_block(0));
  CHECK(t.read().header.losses.unknown_frees == 0);
  add_block(64, 100, StackId{0}, 500);
  add_block(64, 100, StackId{0}, -3);
  add_cuda(64, 100, Kind::device, 500);
  add_cuda(64, 100, static_cast<Kind>(99));
  CHECK(t.read().header.losses.dropped_events == 4);
  CHECK_FALSE(remove_block(64, 500));
  CHECK(t.read().header.losses.unknown_frees == 1);
  trace::set_active(nullptr);
  add_block(128, 1);
  CHECK_FALSE(remove_block(128));
  CHECK(ledger::snapshot_oom(Layer::tensor, 0, 1, 1, 1, no_stack) == 0);
}

TEST_CASE("a device reset frees the device's cuda layer only") {
  TemporaryTrace t;
  for (std::uint64_t i = 1; i <= 200; ++i) {
    add_cuda(i << 12, 10, Kind::device, static_cast<std::int16_t>(i % 2));
    add_block(i << 12, 10, StackId{0}, static_cast<std::int16_t>(i % 2));
  }
  ledger::remove_device(1);
  const TraceFile file = t.read();
  CHECK(file.blocks.size() == 300);
  CHECK(file.account(Layer::cuda, 1, Kind::all)->live_count == 0);
  CHECK(file.account(Layer::cuda, 0, Kind::all)->live_count == 100);
  CHECK(file.account(Layer::tensor, 1, Kind::all)->live_count == 100);
  add_cuda(1 << 12, 10, Kind::device, 1);
  CHECK(t.read().header.losses.replaced_blocks == 0);
}

TEST_CASE("only the first out-of-memory events are kept whole") {
  TemporaryTrace t;
  for (std::uint64_t i = 1; i <= 3000; ++i) add_block(i << 9, i);
  for (std::uint32_t n = 1; n <= max_oom_snapshots; ++n)
    REQUIRE(ledger::snapshot_oom(Layer::tensor, 0, n, 0, 0, StackId{3}) == n);
  CHECK(ledger::snapshot_oom(Layer::tensor, 0, 1, 0, 0, StackId{3}) == 0);
  const TraceFile file = t.read();
  REQUIRE(file.ooms.size() == max_oom_snapshots);
  std::uint64_t sum = 0;
  for (const Block& block : file.ooms[5].blocks) sum += block.bytes;
  CHECK(sum == 3000 * 3001 / 2);
  CHECK(file.header.losses.dropped_ooms == 1);
}

TEST_CASE("threads on one device keep exact totals") {
  TemporaryTrace t;
  constexpr int threads = 4, rounds = 20'000;
  std::vector<std::thread> workers;
  for (int w = 0; w < threads; ++w)
    workers.emplace_back([w, &t] {
      std::mt19937_64 random(static_cast<unsigned>(w));
      for (int i = 0; i < rounds; ++i) {
        // Each thread has its addresses; stacks and devices are shared. Every tenth block stays.
        const auto n = static_cast<std::uint64_t>(w * rounds + i + 1);
        const auto device = static_cast<std::int16_t>(i % 2);
        add_block(n << 9, 512, static_cast<StackId>(random() % 50), device);
        add_cuda(n << 9, 100);
        if (i % 10 != 0) remove_block(n << 9, device);
        if (i % 5 != 0) remove_cuda(n << 9);
        if (i % 5000 == 0) {
          t.writer->intern("thread " + std::to_string(w) + " " + std::to_string(i));
          t.writer->note("progress[]", std::to_string(i));
          ledger::step();
        }
        if (i == rounds / 2) ledger::snapshot_oom(Layer::tensor, 0, 1, 1, 1, no_stack);
      }
    });
  for (auto& worker : workers) worker.join();
  const TraceFile file = t.read();
  CHECK(file.warnings.empty());
  std::uint64_t live = 0, allocated = 0;
  for (const std::int16_t device : std::initializer_list<std::int16_t>{0, 1}) {
    const Account& a = *file.account(Layer::tensor, device, Kind::all);
    live += a.live_count;
    allocated += a.allocated_count;
    CHECK(a.live_bytes == a.live_count * 512);
    std::uint64_t site_bytes = 0, at_peak = 0;
    for (const Site& s : file.sites)
      if (s.layer == 1 && s.device == device) {
        site_bytes += s.live_bytes;
        at_peak += file.bytes_at_peak(s);
      }
    CHECK(site_bytes == a.live_bytes);
    CHECK(at_peak == a.peak_bytes);
  }
  CHECK(live == threads * rounds / 10);
  CHECK(allocated == threads * rounds);
  CHECK(file.account(Layer::cuda, 0, Kind::all)->live_count == threads * rounds / 5);
  CHECK(file.blocks.size() == threads * rounds / 10 + threads * rounds / 5);
  CHECK(file.ooms.size() == threads);
  CHECK(file.all_notes("progress[]").size() == 16);
  CHECK(file.header.steps == 16);
  CHECK(file.header.losses.unknown_frees == 0);
}

TEST_CASE("the block index equals a plain map") {
  // Addresses that differ in high bits only, that follow each other, and that are anything.
  const int pattern = GENERATE(0, 1, 2);
  ledger::BlockIndex index;
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint32_t> present;  // (address, space) -> slot
  std::vector<std::pair<std::uint64_t, std::uint32_t>> keys;
  std::mt19937_64 random(static_cast<std::uint64_t>(pattern));
  for (std::uint32_t i = 1; i <= 120'000; ++i) {
    const bool grows = i % 40'000 < 25'000;
    if (keys.empty() || random() % 5 < (grows ? 4u : 1u)) {
      const std::uint64_t n = random() % 50'000 + 1;
      const std::uint64_t address = pattern == 0 ? n << 33 : pattern == 1 ? n << 9 : random() | 1;
      const auto space = static_cast<std::uint32_t>(random() % 4);
      bool known = false;
      const auto position = index.add(address, space, known);
      REQUIRE(position);
      REQUIRE(known == present.contains({address, space}));
      if (!known) keys.emplace_back(address, space);
      position.store(address, ledger::BlockEntry::of(space, i, i, i, 2 * i));
      present[{address, space}] = i;
    } else {
      std::swap(keys[random() % keys.size()], keys.back());
      const auto [address, space] = keys.back();
      const auto position = index.find(address, space);
      REQUIRE(position);
      index.erase(position);
      REQUIRE(!index.find(address, space));
      present.erase(keys.back());
      keys.pop_back();
    }
    if (i % 5003 != 0) continue;
    REQUIRE(index.size() == present.size());
    for (const auto& [key, slot] : present) {
      const auto position = index.find(key.first, key.second);
      REQUIRE(position);
      const ledger::BlockEntry entry = position.entry();
      REQUIRE((entry.slot() == slot && entry.site == 2 * slot && entry.bytes() == slot && entry.age(slot + 3) == 3));
    }
  }
}

TEST_CASE("a block too large for the index has its size in its record") {
  TemporaryTrace t;
  const std::uint64_t bytes = std::uint64_t{5} << 40;
  add_block(0x1000, bytes);
  const ledger::Removed removed = ledger::remove({Layer::tensor, 0, Kind::block, 0x1000, 0});
  CHECK(removed.block.bytes == bytes);
  const trace::Account* const account = &t.writer->header().accounts[0];
  CHECK(account->live_bytes == 0);
  CHECK(account->freed_bytes == bytes);
}

TEST_CASE("a block costs at most 100 bytes, while the index grows too") {
  TemporaryTrace t;
  ledger::Shard& shard = ledger::g_shards[1];
  double worst = 0;
  for (std::uint64_t i = 1; i <= 300'000; ++i) {
    add_block(i << 9, 512, static_cast<StackId>(i % 100));
    if (i >= 10'000) worst = std::max(worst, static_cast<double>(shard.blocks.memory_bytes()) / static_cast<double>(i));
  }
  const double in_file =
      static_cast<double>(std::filesystem::file_size(t.path)) / static_cast<double>(t.writer->header().block_slots);
  CHECK(worst + in_file <= 100);
  for (std::uint64_t i = 1; i <= 300'000; ++i) REQUIRE(remove_block(i << 9));
  CHECK(shard.blocks.size() == 0);
  const auto size = std::filesystem::file_size(t.path);
  for (std::uint64_t i = 1; i <= 300'000; ++i) add_block(i << 10, 512);  // slots are used again
  CHECK(std::filesystem::file_size(t.path) == size);
}

TEST_CASE("a small trace is a small file") {
  TemporaryTrace t;
  for (std::uint64_t i = 1; i <= 500; ++i) {
    add_block(i << 9, 512, static_cast<StackId>(i));
    add_cuda(i << 9, 512);
    add_cuda(i << 9, 512, Kind::host_pinned, -1);
  }
  CHECK(std::filesystem::file_size(t.path) < 2 << 20);
}
