// The ledger against a second, naive implementation; and its rules one by one.
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <tuple>

#include "interpose/ledger/state.hpp"
#include "temporary_trace.hpp"

using namespace vramtrack;
using namespace vramtrack::trace;

namespace {

using SiteKey = std::tuple<Layer, Kind, std::int16_t, StackId, StackId>;
using AccountKey = std::tuple<Layer, std::int16_t, Kind>;

int space_of(Kind kind) {
  if (kind == Kind::host_pinned || kind == Kind::registered) return 1;
  if (kind == Kind::array) return 2;
  return kind == Kind::vmm ? 3 : 0;
}

// Everything recomputed from plain maps; at each new peak all sites are copied.
struct NaiveLedger {
  struct Live {
    std::uint64_t bytes;
    SiteKey site;
  };
  struct Total {
    std::uint64_t live = 0, count = 0, peak = 0, allocated = 0, allocated_count = 0, freed = 0, freed_count = 0;
    std::map<SiteKey, std::uint64_t> at_peak;
  };
  struct SiteTotal {
    std::uint64_t live = 0, count = 0, largest = 0, allocated = 0, allocated_count = 0, own_peak = 0;
  };
  std::map<std::tuple<Layer, std::int16_t, int, std::uint64_t>, Live> live;  // cuda layer: device -1
  std::map<AccountKey, Total> accounts;
  std::map<SiteKey, SiteTotal> sites;
  std::uint64_t unknown = 0, replaced = 0;

  static auto key(Layer layer, std::int16_t device, Kind kind, std::uint64_t address) {
    return std::tuple(layer, layer == Layer::cuda ? std::int16_t{-1} : device, space_of(kind), address);
  }
  std::vector<AccountKey> accounts_of(const SiteKey& site) const {
    const auto [layer, kind, device, stack, forward] = site;
    std::vector<AccountKey> keys{{layer, device, kind}};
    if (is_device_memory(kind)) keys.push_back({layer, device, Kind::all});
    return keys;
  }
  void add(const AllocEvent& e, StackId stack, StackId forward) {
    const auto k = key(e.layer, e.device, e.kind, e.address);
    if (live.count(k) != 0) {
      ++replaced;
      remove(k);
    }
    const SiteKey site{e.layer, e.kind, e.device, stack, forward};
    live[k] = {e.bytes, site};
    SiteTotal& s = sites[site];
    s.live += e.bytes;
    ++s.count;
    s.allocated += e.bytes;
    ++s.allocated_count;
    s.largest = std::max(s.largest, e.bytes);
    s.own_peak = std::max(s.own_peak, s.live);
    for (const AccountKey& a : accounts_of(site)) {
      Total& t = accounts[a];
      t.live += e.bytes;
      ++t.count;
      t.allocated += e.bytes;
      ++t.allocated_count;
      if (t.live > t.peak) {
        t.peak = t.live;
        t.at_peak.clear();
        for (const auto& [other, totals] : sites)
          for (const AccountKey& b : accounts_of(other))
            if (a == b) t.at_peak[other] = totals.live;
      }
    }
  }
  bool remove(const std::tuple<Layer, std::int16_t, int, std::uint64_t>& k) {
    const auto it = live.find(k);
    if (it == live.end()) {
      ++unknown;
      return false;
    }
    const Live block = it->second;
    live.erase(it);
    sites[block.site].live -= block.bytes;
    --sites[block.site].count;
    for (const AccountKey& a : accounts_of(block.site)) {
      Total& t = accounts[a];
      t.live -= block.bytes;
      --t.count;
      t.freed += block.bytes;
      ++t.freed_count;
    }
    return true;
  }
};

void compare(const NaiveLedger& naive, const TraceFile& file) {
  REQUIRE(file.warnings.empty());
  CHECK(file.header.losses.dropped_events == 0);
  CHECK(file.header.losses.unknown_frees == naive.unknown);
  CHECK(file.header.losses.replaced_blocks == naive.replaced);
  REQUIRE(file.blocks.size() == naive.live.size());

  std::map<SiteKey, const Site*> sites;
  const auto key_of = [](const Site& s) {
    return SiteKey{static_cast<Layer>(s.layer), static_cast<Kind>(s.kind), s.device, s.stack, s.forward};
  };
  for (const Site& s : file.sites) REQUIRE(sites.emplace(key_of(s), &s).second);
  REQUIRE(sites.size() == naive.sites.size());
  for (const auto& [key, expected] : naive.sites) {
    const Site& s = *sites.at(key);
    REQUIRE(s.live_bytes == expected.live);
    REQUIRE(s.live_count == expected.count);
    REQUIRE(s.largest_bytes == expected.largest);
    REQUIRE(s.allocated_bytes == expected.allocated);
    REQUIRE(s.allocated_count == expected.allocated_count);
    REQUIRE(s.own_peak_bytes == expected.own_peak);
  }
  for (const auto& [key, expected] : naive.accounts) {
    const auto [layer, device, kind] = key;
    const Account* const a = file.account(layer, device, kind);
    REQUIRE(a != nullptr);
    REQUIRE(a->live_bytes == expected.live);
    REQUIRE(a->live_count == expected.count);
    REQUIRE(a->peak_bytes == expected.peak);
    REQUIRE(a->allocated_bytes == expected.allocated);
    REQUIRE(a->allocated_count == expected.allocated_count);
    REQUIRE(a->freed_bytes == expected.freed);
    REQUIRE(a->freed_count == expected.freed_count);
    if (peak_kind(kind) != kind) continue;
    std::uint64_t sum = 0;
    for (const auto& [site, bytes] : expected.at_peak) {
      REQUIRE(file.bytes_at_peak(*sites.at(site)) == bytes);
      sum += bytes;
    }
    REQUIRE(sum == a->peak_bytes);
    for (const auto& [site, s] : sites)
      if (expected.at_peak.count(site) == 0 && std::get<0>(site) == layer && std::get<2>(site) == device &&
          peak_kind(std::get<1>(site)) == kind)
        REQUIRE(file.bytes_at_peak(*s) == 0);
  }
}

}  // namespace

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

TEST_CASE("events that wait are booked by the reader, one by one as by the ledger") {
  // The same events, once booked by the ledger, and once left in the file at every possible number.
  const int count = GENERATE(1, 2, 7, 31, 63, 64, 65, 127);
  const auto play = [count](bool flushed) {
    TemporaryTrace t;
    std::mt19937_64 random(5);
    for (int i = 0; i < count; ++i) {
      const std::uint64_t address = (1 + random() % 9) << 9;
      if (random() % 2 == 0)
        add_block(address, 512 * (1 + random() % 9), static_cast<StackId>(random() % 3));
      else
        ledger::drop({Layer::tensor, 0, Kind::block, address, 0});
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
  if (count == 63) CHECK(waiting.header.sites == 0);  // nothing was booked yet: the test would see nothing otherwise
}

TEST_CASE("an event that was being booked when the process died counts once") {
  TemporaryTrace t;
  add_block(512, 1000);
  add_block(1024, 24);
  ledger::flush();
  const std::uint64_t time = t.read().blocks.at(1).time;
  // As it is found when the event is booked and its mark not yet taken away.
  auto* const pending = ledger::g_shards[1].pending;
  pending->events[0] = {1024, 24, 0, time, 0, no_stack, 0, 1};
  pending->events[1] = {2048, 8, 0, time + 1, 0, no_stack, 0, 1};
  ++pending->batches;
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
  pending->events[0] = {4096, 0, 0, time, no_stack, no_stack, 0, 1};
  file = t.read();
  CHECK(file.header.losses.unknown_frees == 0);
  CHECK(file.blocks.size() == 3);
  // A free whose allocation was booked in the same batch, without a block.
  pending->events[0] = {4096, 100, 0, 0, 0, no_stack, 0, 1};
  pending->events[1] = {4096, 0, 0, time + 1, no_stack, no_stack, 0, 1};
  file = t.read();
  CHECK(file.header.losses.unknown_frees == 0);
  CHECK(file.blocks.size() == 2);
  CHECK(file.account(Layer::tensor, 0, Kind::all)->live_bytes == 1024 - 100);
  pending->events[1].time = 0;
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
  add_block(64, 32, 0, 1);
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
  add_block(64, 100, 1);
  add_block(64, 30, 2);
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
  add_block(64, 100, 0, 500);
  add_block(64, 100, 0, -3);
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
    add_block(i << 12, 10, 0, static_cast<std::int16_t>(i % 2));
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
    REQUIRE(ledger::snapshot_oom(Layer::tensor, 0, n, 0, 0, 3) == n);
  CHECK(ledger::snapshot_oom(Layer::tensor, 0, 1, 0, 0, 3) == 0);
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
