// The event history: what the ledger did, in order, through the rings, the coder, the file and the reader.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "contract/history_codec.hpp"
#include "contract/history_reader.hpp"
#include "contract/replay.hpp"
#include "interpose/ledger/history.hpp"
#include "temporary_trace.hpp"

using namespace vramtrack;
using namespace vramtrack::trace;

namespace {

struct HistoryTrace : TemporaryTrace {
  HistoryTrace() { ledger::start_history(); }
  ~HistoryTrace() { ledger::forget_history(); }
  std::vector<HistoryEvent> events() {
    ledger::flush();
    std::vector<HistoryEvent> all;
    HistoryReader reader(path);
    reader.for_each_event([&](const HistoryEvent& e) { all.push_back(e); });
    CHECK(reader.warnings().empty());
    return all;
  }
};

bool same(const HistoryEvent& a, const HistoryEvent& b, std::uint64_t unit) {
  return a.time / unit == b.time / unit && a.address == b.address && a.bytes == b.bytes && a.site == b.site &&
         a.step == b.step && a.is_free == b.is_free;
}

}  // namespace

TEST_CASE("any events survive the coder") {
  const auto seed = GENERATE(1u, 2u, 3u, 4u);
  std::mt19937_64 random(seed);
  auto writing = std::make_unique<history::Model>(), reading = std::make_unique<history::Model>();
  history::Encoder encoder(*writing);
  history::Decoder decoder(*reading);
  std::vector<HistoryEvent> alphabet, written;
  for (int i = 0; i < 40; ++i)
    alphabet.push_back({0, random() >> (random() % 64), random() >> (random() % 64),
                        static_cast<std::uint32_t>(random() % 30), 0, random() % 2 == 0});
  for (int chunk = 0; chunk < 3; ++chunk) {
    written.clear();
    std::vector<std::uint8_t> coded(5000 * history::max_event_bytes);
    std::uint8_t* at = coded.data();
    std::uint64_t time = random() % 1'000'000, dropped = 0;
    std::uint32_t step = static_cast<std::uint32_t>(random());
    const std::uint64_t start = time;
    const std::uint32_t start_step = step;
    encoder.begin_chunk(start, start_step);
    for (std::size_t i = 0; i < 5000; ++i) {
      HistoryEvent event =
          random() % 10 == 0
              ? HistoryEvent{0, random(), random(), static_cast<std::uint32_t>(random()), 0, random() % 2 == 0}
              : alphabet[(i + random() % 3) % alphabet.size()];
      time += random() % 20 == 0 ? random() >> 10 : random() % 80;
      step += random() % 50 == 0 ? static_cast<std::uint32_t>(random() % 3) : 0;
      event.time = time << 5;
      event.step = step;
      const std::uint64_t lost = random() % 500 == 0 ? random() % 1000 : 0;
      dropped += lost;
      std::uint8_t* const end = encoder.put(at, event, time, lost);
      REQUIRE(end - at <= static_cast<std::ptrdiff_t>(history::max_event_bytes));
      at = end;
      written.push_back(event);
    }
    decoder.begin_chunk(coded.data(), at, start, start_step, 5);
    HistoryEvent event{};
    std::uint64_t dropped_read = 0;
    for (const HistoryEvent& expected : written) {
      REQUIRE(decoder.next(event, dropped_read) == history::Decoder::Result::event);
      REQUIRE(same(event, expected, 32));
    }
    CHECK(decoder.next(event, dropped_read) == history::Decoder::Result::end);
    CHECK(dropped_read == dropped);
    // Damage is noticed or gives other events; it is never read beyond the end.
    for (int i = 0; i < 50; ++i) {
      std::vector<std::uint8_t> damaged(coded.data(), at - static_cast<std::ptrdiff_t>(random() % 100));
      damaged[random() % damaged.size()] ^= static_cast<std::uint8_t>(1 + random() % 255);
      decoder.begin_chunk(damaged.data(), damaged.data() + damaged.size(), start, start_step, 5);
      std::size_t events = 0;
      while (decoder.next(event, dropped_read) == history::Decoder::Result::event) ++events;
      REQUIRE(events <= damaged.size());
    }
  }
}

TEST_CASE("the history holds every event of the ledger in order") {
  HistoryTrace t;
  std::mt19937_64 random(5);
  std::vector<HistoryEvent> expected;
  std::map<std::pair<int, std::uint64_t>, std::uint64_t> live;
  std::uint32_t step = 0;
  for (int i = 0; i < 50'000; ++i) {
    const int layer = random() % 8 == 0 ? 0 : 1;
    const std::uint64_t address = (1 + random() % 500) << 9;
    const auto at = live.find({layer, address});
    if (at == live.end()) {
      const std::uint64_t bytes = (1 + random() % 100) * 512;
      layer == 0 ? add_cuda(address, bytes) : add_block(address, bytes, static_cast<StackId>(random() % 20));
      live[{layer, address}] = bytes;
      expected.push_back({0, address, bytes, 0, step, false});
    } else {
      REQUIRE((layer == 0 ? remove_cuda(address) : remove_block(address)));
      expected.push_back({0, address, at->second, 0, step, true});
      live.erase(at);
    }
    if (i % 20'000 == 0) ledger::flush();
    if (random() % 300 == 0) {
      ledger::step();
      ++step;
    }
  }
  std::vector<HistoryEvent> events = t.events();
  REQUIRE(events.size() == expected.size());
  // Two shards: events within one unit of time may come in either order.
  const TraceFile file = t.read();
  for (const int layer : {0, 1}) {
    std::size_t a = 0;
    std::uint64_t last = 0;
    std::map<std::uint64_t, std::uint64_t> now;
    for (const HistoryEvent& e : events) {
      if (file.sites.at(e.site).layer != layer) continue;
      REQUIRE(e.time >= last);
      last = e.time;
      ++a;
      if (e.is_free)
        REQUIRE(now.erase(e.address) == 1);
      else
        REQUIRE(now.emplace(e.address, e.bytes).second);
    }
    CHECK(a > 1000);
    for (const auto& [address, bytes] : now) REQUIRE(live.at({layer, address}) == bytes);
  }
  const auto by_content = [](const HistoryEvent& x, const HistoryEvent& y) {
    return std::tuple(x.step, x.address, x.bytes, x.is_free) < std::tuple(y.step, y.address, y.bytes, y.is_free);
  };
  std::sort(events.begin(), events.end(), by_content);
  std::sort(expected.begin(), expected.end(), by_content);
  for (std::size_t i = 0; i < events.size(); ++i) {
    REQUIRE(events[i].address == expected[i].address);
    REQUIRE(events[i].bytes == expected[i].bytes);
    REQUIRE(events[i].step == expected[i].step);
  }

  // Replay: the live set and the totals at the end are the ledger's own.
  HistoryReader reader(t.path);
  CHECK(reader.events() == expected.size());
  const std::vector<Block> at_end = replay_live(reader, file, ~0ull);
  REQUIRE(at_end.size() == file.blocks.size());
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t> blocks;
  for (const Block& b : file.blocks) blocks[{b.site, b.address}] = b.bytes;
  for (const Block& b : at_end) REQUIRE(blocks.at({b.site, b.address}) == b.bytes);
  const auto lines = replay_timelines(reader, file);
  REQUIRE(lines.size() == 2);
  for (const ReplayTimeline& line : lines) {
    const Account& account = *file.account(line.layer, line.device, Kind::all);
    CHECK(line.peak_bytes == account.peak_bytes);
    CHECK(line.allocations == account.allocated_count);
    CHECK(line.frees == account.freed_count);
    CHECK(*std::max_element(line.live_bytes.begin(), line.live_bytes.end()) == account.peak_bytes);
    CHECK(line.live_bytes.size() <= 4096);
    CHECK(line.live_bytes.size() > 4000);
    CHECK(file.seconds(line.peak_time) == Approx(file.seconds(account.peak_time)).margin(1e-6));
  }
}

TEST_CASE("a repeated training step costs less than two bytes an event") {
  HistoryTrace t;
  std::mt19937_64 random(3);
  struct Op {
    std::uint64_t address;
    std::uint32_t stack;
    std::uint64_t bytes;
  };
  std::vector<Op> ops;
  for (std::uint32_t i = 0; i < 300; ++i) ops.push_back({(random() % 100'000) << 9, i % 250, (random() % 4000) << 9});
  for (int step = 0; step < 300; ++step) {
    for (std::size_t i = 0; i < ops.size(); ++i) {
      if (i >= 7) remove_block(ops[i - 7].address + 512);
      add_block(ops[i].address + 512, ops[i].bytes, StackId{ops[i].stack});
    }
    for (std::size_t i = ops.size() - 7; i < ops.size(); ++i) remove_block(ops[i].address + 512);
    ledger::step();
    if (step % 50 == 0) ledger::flush();  // this loop is faster than any training: nothing may be dropped
  }
  ledger::flush();
  HistoryReader reader(t.path);
  REQUIRE(reader.events() > 150'000);
  const double each = static_cast<double>(reader.coded_bytes()) / static_cast<double>(reader.events());
  CHECK(each < 2.0);
}

TEST_CASE("what the history thread cannot keep up with is counted, not waited for") {
  TemporaryTrace t;
  // The consumer is this test itself: nothing is taken before the flush.
  ledger::start_history();
  ledger::HistoryRing& ring = *ledger::history_ring(1);
  const std::uint64_t capacity = ledger::HistoryRing::capacity;
  ring.taken.store(0);
  for (std::uint64_t i = 0; i < 3 * capacity; ++i) ring.put({1000 * i, 512 * i, 1, 0, 0});
  const std::uint64_t dropped = ring.dropped.load();
  CHECK(ring.written.load() + dropped == 3 * capacity);
  ledger::flush();
  ring.put({1000 * 3 * capacity, 512, 1, 0, 0});
  ledger::flush();
  HistoryReader reader(t.path);
  std::uint64_t events = 0;
  reader.for_each_event([&](const HistoryEvent&) { ++events; });
  CHECK(events == ring.written.load());
  CHECK(reader.dropped_events() == dropped);
  CHECK(t.read().header.losses.dropped_history == dropped);
  ledger::forget_history();
}

TEST_CASE("a killed process loses at most the unflushed tail of its history") {
  TemporaryFolder folder;
  const std::string path = folder.file("killed.vtrace");
  void* const shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(shared != MAP_FAILED);
  auto& made = *new (shared) std::atomic<std::uint64_t>(0);
  constexpr std::uint64_t capacity = ledger::HistoryRing::capacity;
  const pid_t child = ::fork();
  if (child == 0) {
    Writer* const writer = Writer::create(path.c_str(), 0);
    ledger::reset();
    set_active(writer);
    ledger::start_history();
    for (std::uint64_t i = 1;; ++i) {
      add_block(i << 9, i, StackId{1});
      if (i > 10) remove_block((i - 10) << 9);
      made.store(i);
      // However slow the machine: never more waiting than the history's thread has had the time to take.
      const ledger::HistoryRing& ring = *ledger::history_ring(1);
      while (ring.written.load() - ring.taken.load() > capacity / 4) ::usleep(500);
    }
  }
  while (made.load() < capacity) ::usleep(1000);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  HistoryReader reader(path);
  std::uint64_t allocations = 0, wrong = 0;
  reader.for_each_event([&](const HistoryEvent& e) {
    if (!e.is_free) wrong += ++allocations != e.bytes;
  });
  CHECK(wrong == 0);
  CHECK(reader.warnings().empty());
  const TraceFile file = read_trace(path);
  const std::uint64_t all = file.account(Layer::tensor, 0, Kind::all)->allocated_count;
  CHECK(file.header.losses.dropped_history == 0);
  REQUIRE(all >= capacity);
  CHECK(allocations <= all);
  CHECK(allocations > 0);
  CHECK(2 * (all - allocations) <= capacity);  // what may wait in the queue
  ::munmap(shared, 4096);
}

TEST_CASE("a forked child has no history thread and can start its own") {
  HistoryTrace t;
  add_block(512, 1);
  const std::string own = t.folder.file("child.vtrace");
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    add_block(1024, 1);
    Writer* const writer = Writer::create(own.c_str(), 1);
    ledger::reset();
    set_active(writer);
    if (ledger::history_is_on()) ::_exit(1);
    ledger::start_history();
    add_block(2048, 77);
    ledger::flush();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(t.events().size() == 1);
  HistoryReader reader(own);
  std::uint64_t bytes = 0;
  reader.for_each_event([&](const HistoryEvent& e) { bytes += e.bytes; });
  CHECK(bytes == 77);
}

TEST_CASE("threads on several devices: the history is complete and ordered") {
  HistoryTrace t;
  std::vector<std::thread> workers;
  for (int w = 0; w < 4; ++w)
    workers.emplace_back([w] {
      for (std::uint64_t i = 1; i <= 20'000; ++i) {
        const std::uint64_t address = (static_cast<std::uint64_t>(w) << 40) + (i << 9);
        add_block(address, 512, StackId{1}, static_cast<std::int16_t>(w % 2));
        remove_block(address, static_cast<std::int16_t>(w % 2));
        if (i % 5000 == 0) ledger::flush();
      }
    });
  for (auto& worker : workers) worker.join();
  std::map<std::uint64_t, int> live;
  for (const HistoryEvent& e : t.events())
    if (e.is_free)
      REQUIRE(--live[e.address] == 0);
    else
      REQUIRE(++live[e.address] == 1);
  CHECK(live.size() == 80'000);
  CHECK(t.read().header.losses.dropped_history == 0);
}

TEST_CASE("a cut or damaged history gives a part of it") {
  HistoryTrace t;
  for (std::uint64_t i = 1; i <= 30'000; ++i) add_block((i * 7919) << 9, i, static_cast<StackId>(i % 50));
  const std::size_t full = t.events().size();
  REQUIRE(full == 30'000);
  const std::vector<char> whole = bytes_of(t.path);
  const std::string cut = t.folder.file("cut.vtrace");
  std::size_t before = 0;
  for (std::size_t size = 24 * 1024; size < whole.size(); size += 37 * 1024 + 1) {
    std::ofstream(cut, std::ios::binary | std::ios::trunc).write(whole.data(), static_cast<std::streamsize>(size));
    HistoryReader reader(cut);
    std::size_t events = 0;
    reader.for_each_event([&](const HistoryEvent&) { ++events; });
    REQUIRE(events >= before);
    before = events;
  }
  CHECK(before > 1000);
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    std::vector<char> bytes = whole;
    for (int i = 0; i < 30; ++i)
      bytes[20'000 + random() % (bytes.size() - 20'000)] ^= static_cast<char>(1 + random() % 255);
    std::ofstream(cut, std::ios::binary | std::ios::trunc)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    HistoryReader reader(cut);
    const TraceFile file = read_trace(cut);
    replay_timelines(reader, file);
    replay_live(reader, file, ~0ull);
  }
}
