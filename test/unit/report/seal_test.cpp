// A sealed trace tells every byte that changed; one that lives, or that nobody sealed, is read as before.
#include "report/load/seal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "test/unit/report/made_trace.hpp"

using namespace vramtrack;

namespace {

std::vector<std::byte> contents_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

/// A copy, so that no lock of a writer is on it.
std::string copy_of(const std::string& path) {
  std::string copy = path + ".copy";
  const std::vector<std::byte> bytes = contents_of(path);
  std::ofstream(copy, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  REQUIRE(::chmod(copy.c_str(), 0600) == 0);
  return copy;
}

struct Made : test::MadeTrace {
  Made() {
    for (unsigned n = 0; n < 3000; ++n)
      add_block(0x2000000 + 4096u * n, 2048, stack({python("/a.py", "f" + std::to_string(n), 1)}, {}));
  }
};

}  // namespace

TEST_CASE("a sealed trace says what changed, wherever it is") {
  Made made;
  const std::string path = copy_of(made.path);
  CHECK(broken_seals(contents_of(path)).empty());
  REQUIRE(seal_trace(path));
  CHECK_FALSE(seal_trace(path));  // once
  const std::vector<std::byte> sealed = contents_of(path);
  CHECK(broken_seals(sealed).empty());
  CHECK(trace::read_trace(path).warnings.empty());

  std::mt19937 random(1);
  std::size_t changed = 0;
  for (std::size_t at = 0; at < sealed.size(); at += trace::extent_bytes) {
    trace::ExtentHeader head;
    std::memcpy(&head, sealed.data() + at, sizeof head);
    if (head.type == 0) continue;
    for (int n = 0; n < 40; ++n) {
      std::vector<std::byte> flipped = sealed;
      flipped[at + (n < 24 ? static_cast<unsigned>(n) : random() % trace::extent_bytes)] ^= std::byte{1}
                                                                                            << random() % 8;
      INFO("extent at " << at << ", flip " << n);
      CHECK_FALSE(broken_seals(flipped).empty());
      ++changed;
    }
  }
  CHECK(changed > 200);
  const std::vector<std::byte> shorter(sealed.begin(), sealed.end() - 5000);
  (void)broken_seals(shorter);
}

TEST_CASE("a trace is not sealed while its process holds it") {
  Made made;
  const std::string path = copy_of(made.path);
  const int holder = ::open(path.c_str(), O_RDONLY);
  REQUIRE(::flock(holder, LOCK_EX) == 0);
  CHECK_FALSE(seal_trace(path));
  ::close(holder);
  CHECK(seal_trace(path));
}

TEST_CASE("only the user's own regular file is sealed") {
  Made made;
  const std::string path = copy_of(made.path);
  REQUIRE(::symlink(path.c_str(), (path + ".link").c_str()) == 0);
  CHECK_FALSE(seal_trace(path + ".link"));
  REQUIRE(::chmod(path.c_str(), 0666) == 0);
  CHECK_FALSE(seal_trace(path));
  CHECK_FALSE(seal_trace(path + ".none"));
  std::ofstream(path + ".text") << "no trace";
  CHECK_FALSE(seal_trace(path + ".text"));
}
