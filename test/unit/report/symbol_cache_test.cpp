// What is kept of the symbols: the same names again, and no name at all rather than a wrong one.
#include "report/symbolize/symbol_cache.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <thread>

#include "report/symbolize/symbolizer.hpp"
#include "test/unit/report/interpreters.hpp"
#include "test/unit/trace/temporary_trace.hpp"

using namespace vramtrack;
namespace fs = std::filesystem;

namespace {

const std::string build_id = "0123456789abcdef0123456789abcdef01234567";
const std::vector<NativeFrame> frames = {{"inner", "/src/inner.cpp", 12, true}, {"outer", "", 0, false}};

/// A cache in a folder of its own, and a module that it knows one address of.
struct Cached {
  Cached() {
    std::ofstream(module) << "some library";
    SymbolCache cache(folder.file("cache"));
    cache.add(module, build_id, 0x1000, frames);
    cache.add(module, build_id, 0x2000, {});
    cache.save();
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder.file("cache"))) {
      if (entry.is_regular_file()) found.push_back(entry.path());
    }
    return found;
  }
  bool knows() const {
    SymbolCache cache(folder.file("cache"));
    const std::vector<NativeFrame>* const found = cache.find(module, build_id, 0x1000);
    if (found != nullptr) CHECK(*found == frames);  // never anything else
    return found != nullptr;
  }
  TemporaryFolder folder;
  const std::string module = folder.file("libmodule.so");
};

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_text(const fs::path& file, const std::string& text) { std::ofstream(file, std::ios::binary) << text; }

/// Sets a variable of the environment, and puts it back.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const char* value) { value == nullptr ? unsetenv(name_) : setenv(name_, value, 1); }
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("cached names come back, those without a name too") {
  const Cached cached;
  SymbolCache cache(cached.folder.file("cache"));
  const std::vector<NativeFrame>* found = cache.find(cached.module, build_id, 0x1000);
  REQUIRE(found != nullptr);
  CHECK(*found == frames);
  found = cache.find(cached.module, build_id, 0x2000);
  REQUIRE(found != nullptr);
  CHECK(found->empty());
  CHECK(cache.find(cached.module, build_id, 0x3000) == nullptr);
  CHECK(cache.find(cached.module, "ffff" + build_id.substr(4), 0x1000) == nullptr);
  CHECK(cache.find(cached.module, "", 0x1000) == nullptr);
  REQUIRE(cached.files().size() == 1);
  struct stat status {};
  REQUIRE(stat(cached.files()[0].c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("a later run adds to what is kept") {
  const Cached cached;
  {
    SymbolCache cache(cached.folder.file("cache"));
    cache.add(cached.module, build_id, 0x3000, {{"third", "", 0, false}});
    cache.save();
  }
  CHECK(cached.knows());
  SymbolCache cache(cached.folder.file("cache"));
  CHECK(cache.find(cached.module, build_id, 0x3000) != nullptr);
}

TEST_CASE("a damaged cache file is as good as none, and is made anew") {
  const Cached cached;
  const fs::path file = cached.files().at(0);
  const std::string good = text_of(file);
  for (std::size_t length = 0; length < good.size(); ++length) {
    write_text(file, good.substr(0, length));
    CHECK_FALSE(cached.knows());
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x41);
    write_text(file, bad);
    CHECK_FALSE(cached.knows());
  }
  write_text(file, good + "more");
  CHECK_FALSE(cached.knows());
  write_text(file, std::string(100'000, '\xff'));
  CHECK_FALSE(cached.knows());
  SymbolCache cache(cached.folder.file("cache"));
  cache.add(cached.module, build_id, 0x1000, frames);
  cache.save();
  CHECK(cached.knows());
  CHECK(cached.files().size() == 1);  // no temporary file is left
}

TEST_CASE("names are looked up again when the module's file or its debug file changes") {
  const Cached cached;
  REQUIRE(cached.knows());
  SECTION("another file with the same build-id, as strip makes it") {
    std::ofstream(cached.module, std::ios::app) << "debug information";
    CHECK_FALSE(cached.knows());
  }
  SECTION("a debug file comes") {
    std::ofstream(cached.module + ".debug") << "debug information";
    CHECK_FALSE(cached.knows());
  }
  SECTION("the file is gone") {
    fs::remove(cached.module);
    CHECK_FALSE(cached.knows());
  }
}

TEST_CASE("a folder that cannot be made or written changes nothing") {
  const TemporaryFolder folder;
  std::ofstream(folder.file("file")) << "no folder";
  std::ofstream(folder.file("libmodule.so")) << "some library";
  SymbolCache cache(folder.file("file") + "/cache");
  cache.add(folder.file("libmodule.so"), build_id, 0x1000, frames);
  cache.save();
  CHECK(cache.find(folder.file("libmodule.so"), build_id, 0x1000) != nullptr);  // in this run
  SymbolCache off("");
  off.add(folder.file("libmodule.so"), build_id, 0x1000, frames);
  off.save();
  CHECK(off.find(folder.file("libmodule.so"), build_id, 0x1000) == nullptr);
}

TEST_CASE("the cache's size is bounded: what was not used for long goes first") {
  const Cached cached;
  const fs::path folder = cached.files().at(0).parent_path();
  for (int i = 0; i < 10; ++i) {
    const fs::path file = folder / ("aaaa" + std::to_string(i));
    write_text(file, std::string(8u << 20, 'x'));
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(24 * (10 - i)));
  }
  SymbolCache cache(cached.folder.file("cache"));
  cache.add(cached.module, build_id, 0x4000, frames);
  cache.save();
  std::uintmax_t bytes = 0;
  for (const fs::path& file : cached.files()) bytes += fs::file_size(file);
  CHECK(bytes <= 64u << 20);
  CHECK_FALSE(fs::exists(folder / "aaaa0"));
  CHECK(fs::exists(folder / "aaaa9"));
  CHECK(cached.knows());
}

TEST_CASE("a module's file is bounded: what this run needs stays") {
  const Cached cached;
  const std::string long_name(4000, 'f');
  {
    SymbolCache cache(cached.folder.file("cache"));
    for (std::uint64_t i = 0; i < 1500; ++i)
      cache.add(cached.module, build_id, 0x10000 + i, {{long_name, "", 0, false}});
    cache.save();
  }
  CHECK(cached.knows());
  {
    SymbolCache cache(cached.folder.file("cache"));
    for (std::uint64_t i = 0; i < 1500; ++i)
      cache.add(cached.module, build_id, 0x20000 + i, {{long_name, "", 0, false}});
    cache.save();
  }
  CHECK_FALSE(cached.knows());  // with it, the file would be too large
  SymbolCache cache(cached.folder.file("cache"));
  CHECK(cache.find(cached.module, build_id, 0x20000) != nullptr);
  CHECK(fs::file_size(cached.files().at(0)) <= 8u << 20);
}

TEST_CASE("where the cache is") {
  const Variable own("VRAMTRACK_CACHE", nullptr), caches("XDG_CACHE_HOME", "/caches"), home("HOME", "/home/me");
  CHECK(SymbolCache::default_folder() == "/caches/vramtrack");
  {
    const Variable folder("VRAMTRACK_CACHE", "/mine");
    CHECK(SymbolCache::default_folder() == "/mine");
  }
  {
    const Variable off("VRAMTRACK_CACHE", "off");
    CHECK(SymbolCache::default_folder().empty());
  }
  const Variable no_caches("XDG_CACHE_HOME", "relative");  // to be ignored, says the specification
  CHECK(SymbolCache::default_folder() == "/home/me/.cache/vramtrack");
  const Variable no_home("HOME", nullptr);
  CHECK(SymbolCache::default_folder().empty());
}

TEST_CASE("a symbolizer finds the same with the cache as without") {
  const TemporaryFolder folder;
  std::string id;
  const std::string notes = test::output_of(std::string("readelf -n ") + SAMPLE_LIBRARY);
  const std::size_t at = notes.find("Build ID: ");
  REQUIRE(at != std::string::npos);
  id = notes.substr(at + 10, 40);
  const auto resolve_all = [&](const std::string& cache) {
    Symbolizer symbolizer(cache);
    std::map<std::uint64_t, std::vector<NativeFrame>> found;
    for (std::uint64_t address = 0x1000; address < 0x1800; ++address)
      found[address] = symbolizer.resolve(SAMPLE_LIBRARY, id, address);
    symbolizer.save();
    CHECK(symbolizer.notes().empty());
    return found;
  };
  const auto without = resolve_all("");
  CHECK(std::any_of(without.begin(), without.end(), [](const auto& item) { return item.second.size() > 1; }));
  CHECK(resolve_all(folder.file("cache")) == without);
  CHECK(resolve_all(folder.file("cache")) == without);
  // That the second time was answered from the cache shows when its file says something else.
  SymbolCache cache(folder.file("cache"));
  cache.add(SAMPLE_LIBRARY, id, 0x1100, frames);
  cache.save();
  CHECK(resolve_all(folder.file("cache"))[0x1100] == frames);
}
