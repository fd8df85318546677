// What happens around the trace: fork, kill -9, a full disk, a closed descriptor, a changed directory.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "interpose/core/say.hpp"
#include "interpose/core/tag_table.hpp"
#include "temporary_trace.hpp"

using namespace vramtrack;
using namespace vramtrack::trace;

namespace {

// Runs `body` in a forked child; true when it returned true.
template <class Body>
bool in_child(Body body, pid_t (*do_fork)() = ::fork) {
  const pid_t child = do_fork();
  if (child == 0) ::_exit(body() ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// What `body` writes to standard error.
template <class Body>
std::string errors_of(Body body) {
  TemporaryFolder folder;
  const int keep = ::dup(2);
  REQUIRE(::freopen(folder.file("stderr").c_str(), "w", stderr) != nullptr);
  body();
  ::fflush(stderr);
  ::dup2(keep, 2);
  ::close(keep);
  const auto bytes = bytes_of(folder.file("stderr"));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("a forked child neither sees nor changes its parent's trace") {
  TemporaryTrace t;
  add_block(64, 100);
  const auto before = bytes_of(t.path);
  const std::string own = t.folder.file("child.vtrace");
  CHECK(in_child([&] {
    if (active() != nullptr) return false;
    add_block(128, 1000);
    if (remove_block(64)) return false;
    Writer* const writer = Writer::create(own.c_str(), static_cast<std::uint32_t>(getppid()));
    if (writer == nullptr) return false;
    ledger::reset();
    set_active(writer);
    add_block(256, 7);
    return true;
  }));
  CHECK(bytes_of(t.path) == before);
  const TraceFile child = read_trace(own);
  CHECK(child.header.forked_from == static_cast<std::uint32_t>(getpid()));
  REQUIRE(child.blocks.size() == 1);
  CHECK(child.blocks[0].bytes == 7);
  CHECK(child.blocks[0].thread == child.header.pid);
  add_block(512, 5);
  CHECK(t.read().blocks.size() == 2);
}

TEST_CASE("a child forked by the bare system call has no active trace either") {
  TemporaryTrace t;
  constexpr auto bare_fork = [] { return static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); };
  CHECK(in_child([] { return active() == nullptr; }, bare_fork));
}

TEST_CASE("fork while other threads are in the ledger") {
  TemporaryTrace t;
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    for (std::uint64_t i = 1; !stop; ++i) {
      add_block(i << 9, 512, static_cast<StackId>(i % 1000));
      t.writer->intern(std::to_string(i));
      remove_block(i << 9);
    }
  });
  bool good = true;
  for (int i = 0; i < 50 && good; ++i)
    good = in_child([&] {
      Writer* const writer = Writer::create(t.folder.file("child.vtrace").c_str(), 1);
      ledger::reset();
      set_active(writer);
      ::alarm(10);
      add_block(64, 7);
      return writer->intern("x") != 0 && remove_block(64);
    });
  stop = true;
  busy.join();
  CHECK(good);
  CHECK(t.read().warnings.empty());
}

TEST_CASE("a process killed in the middle of writing leaves a whole trace") {
  TemporaryFolder folder;
  std::mt19937 random(11);
  for (int round = 0; round < 12; ++round) {
    const std::string path = folder.file("killed.vtrace");
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      Writer* const writer = Writer::create(path.c_str(), 0);
      ledger::reset();
      set_active(writer);
      add_block(1 << 30, 4242);
      // Every other round the frees wait as well, and many blocks live so shortly that they never get a record.
      const bool waiting = round % 2 == 1;
      const auto work = [=, &ready](std::uint64_t base) {
        for (std::uint64_t i = 1;; ++i) {
          const std::uint64_t n = base + i % 5000;
          add_block(n << 9, 512, static_cast<StackId>(i % 3000));
          if (i % 7 == 0) writer->intern("text " + std::to_string(i));
          const std::uint64_t other = (base + (i * 7919) % 5000) << 9;
          if (!waiting) {
            remove_block(other);
          } else {
            drop_block(other);
            add_block((base + 9999) << 9, 1024, static_cast<StackId>(i % 5));
            if (i % 3 == 0) add_block((base + 9998) << 9, 512, StackId{1});
            drop_block((base + 9999) << 9);
            if (i % 3 == 0) drop_block((base + 9998) << 9);
          }
          if (i == 1000) (void)!::write(ready[1], "x", 1);
        }
      };
      std::thread(work, 10'000'000).detach();
      work(20'000'000);
    }
    char byte;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::usleep(static_cast<useconds_t>(2000 + random() % 30'000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(ready[0]);
    ::close(ready[1]);

    const TraceFile file = read_trace(path);
    const Account& all = *file.account(Layer::tensor, 0, Kind::all);
    REQUIRE(file.header.end_kind == 0);
    REQUIRE(file.torn_records <= 2);  // the two records being written
    std::uint64_t bytes = 0, site_bytes = 0;
    bool first_found = false;
    for (const Block& block : file.blocks) {
      bytes += block.bytes;
      first_found = first_found || block.bytes == 4242;
    }
    for (const Site& site : file.sites) site_bytes += site.live_bytes;
    REQUIRE(first_found);
    // One event is in flight at most (the lock admits one).
    const auto near = [](std::uint64_t a, std::uint64_t b) { return a > b ? a - b <= 1024 : b - a <= 1024; };
    REQUIRE(near(bytes, all.live_bytes));
    REQUIRE(near(site_bytes, all.live_bytes));
    REQUIRE(file.blocks.size() > 1);
  }
}

TEST_CASE("a full disk costs counted losses and one line, never a signal") {
  TemporaryFolder folder;
  const std::string path = folder.file("full.vtrace");
  const std::string said = errors_of([&] {
    CHECK(in_child([&] {
      Writer* const writer = Writer::create(path.c_str(), 0);
      ledger::reset();
      set_active(writer);
      // As a full disk, without needing one: growth beyond 2 MiB fails (SIGXFSZ stays at its deadly default).
      const rlimit limit{2 << 20, 2 << 20};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      for (std::uint64_t i = 1; i <= 100'000; ++i) {
        add_block(i << 9, 512, static_cast<StackId>(i % 9000));
        if (i % 100 == 0) writer->intern(std::string(1000, 'a') + std::to_string(i));
      }
      ledger::snapshot_oom(Layer::tensor, 0, 1, 2, 3, no_stack);
      for (std::uint64_t i = 1; i <= 100'000; ++i) remove_block(i << 9);
      for (std::uint64_t i = 1; i <= 100; ++i) add_block(i << 9, 512, StackId{1});  // freed slots serve again
      return true;
    }));
  });
  CHECK(said.find("stops growing") != std::string::npos);
  CHECK(std::count(said.begin(), said.end(), '\n') == 1);
  const TraceFile file = read_trace(path);
  CHECK(file.warnings.empty());
  const Losses& losses = file.header.losses;
  CHECK(losses.dropped_events > 0);
  CHECK(losses.unknown_frees == losses.dropped_events);
  const Account& all = *file.account(Layer::tensor, 0, Kind::all);
  CHECK(all.live_count == 100);
  CHECK(all.allocated_count + losses.dropped_events == 100'100);
  CHECK(std::filesystem::file_size(path) <= 2 << 20);
}

TEST_CASE("a file that cannot be created is told once") {
  TemporaryFolder folder;
  Writer* writer = nullptr;
  const std::string said = errors_of([&] { writer = Writer::create(folder.file("no/such/x.vtrace").c_str(), 0); });
  CHECK(writer == nullptr);
  CHECK(said.find("cannot create") != std::string::npos);
  CHECK(said.starts_with("vramtrack[" + std::to_string(getpid()) + "]: "));
  CHECK(std::count(said.begin(), said.end(), '\n') == 1);
}

TEST_CASE("what is no trace of ours is left alone; an old trace of this process is replaced") {
  TemporaryFolder folder;
  const std::string path = folder.file("t.vtrace");
  std::ofstream(path) << "old";
  CHECK(in_child([&] {
    const std::string_view other = Writer::create(path.c_str(), 0)->path();
    return other != path && other.starts_with(folder.file("t-")) && other.ends_with(".vtrace");
  }));
  CHECK(std::filesystem::file_size(path) == 3);
  std::filesystem::remove(path);
  CHECK(in_child([&] {
    const bool first = Writer::create(path.c_str(), 0)->path() == path;
    return Writer::create(path.c_str(), 0)->path() == path && first;
  }));
  const auto names = std::filesystem::directory_iterator(std::filesystem::path(path).parent_path());
  CHECK(std::distance(begin(names), end(names)) == 2);  // nothing stays behind
}

TEST_CASE("the file is private, and grows after chdir and closed descriptors") {
  TemporaryFolder folder;
  CHECK(in_child([&] {
    std::filesystem::current_path(std::filesystem::path(folder.file("x")).parent_path());
    Writer* const writer = Writer::create("t.vtrace", 0);
    ledger::reset();
    set_active(writer);
    std::filesystem::current_path("/");
    for (int fd = 3; fd < 1024; ++fd) ::close(fd);
    // A stranger's file takes the number of the trace's descriptor.
    std::ofstream(folder.file("stranger")) << "mine";
    const int stranger = ::open(folder.file("stranger").c_str(), O_RDWR);
    for (int fd = 3; fd < 1024; ++fd) ::dup2(stranger, fd);
    for (std::uint64_t i = 1; i <= 50'000; ++i) add_block(i << 9, 512);
    return std::string_view(writer->path()) == folder.file("t.vtrace");
  }));
  CHECK(std::filesystem::file_size(folder.file("stranger")) == 4);
  CHECK(read_trace(folder.file("t.vtrace")).blocks.size() == 50'000);
  CHECK((std::filesystem::status(folder.file("t.vtrace")).permissions() & std::filesystem::perms::all) ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
}

TEST_CASE("say writes one line and keeps errno") {
  const std::string said = errors_of([] {
    errno = 42;
    say("a ", -7, " ", std::uint64_t{18446744073709551615u}, " ", std::string_view("z\0y", 3), std::string(2000, 'x'));
    CHECK(errno == 42);
  });
  CHECK(said.starts_with("vramtrack[" + std::to_string(getpid()) + "]: a -7 18446744073709551615 z"));
  CHECK(said.size() <= 1024);
  CHECK(said.back() == '\n');
}

TEST_CASE("the tag table equals a plain map") {
  const auto tags = GENERATE(7u, 1000u, 4'000'000'000u);  // many equal tags, some, hardly any
  TagTable table;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> present;  // (value, tag)
  std::mt19937 random(tags);
  const auto find = [&](std::uint32_t tag, std::uint32_t value) {
    return table.find(tag, [value](std::uint32_t v) { return v == value; });
  };
  const int rounds = tags == 7 ? 3000 : 60'000;
  for (int i = 0; i < rounds; ++i) {
    if (present.empty() || random() % 5 < 3) {
      const auto tag = static_cast<std::uint32_t>(random() % tags);
      REQUIRE(table.insert(tag, static_cast<std::uint32_t>(i)));
      present.emplace_back(i, tag);
    } else {
      const std::size_t at = random() % present.size();
      const auto [value, tag] = present[at];
      REQUIRE(table.erase(tag, [v = value](std::uint32_t other) { return other == v; }) == value);
      REQUIRE(find(tag, value) == TagTable::none);
      present[at] = present.back();
      present.pop_back();
    }
    if (i % 977 == 0)
      for (const auto& [value, tag] : present) REQUIRE(find(tag, value) == value);
  }
  CHECK(table.size() == present.size());
}
