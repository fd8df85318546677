// Against independent tools: addr2line for lines and inlined calls, nm for names.
#include "report/symbolize/symbolizer.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>

#include <sys/stat.h>
#include <unistd.h>

#include "test/unit/report/interpreters.hpp"

using namespace vramtrack;
namespace fs = std::filesystem;

namespace {

const std::string sample = SAMPLE_LIBRARY;

struct TemporaryFolder {
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "vramtrack-symbols-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~TemporaryFolder() { fs::remove_all(path); }
  fs::path path;
};

void shell(const std::string& command) {
  INFO(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

/// Every address of the functions of namespace sample, with the function's mangled name.
std::map<std::uint64_t, std::string> addresses() {
  std::map<std::uint64_t, std::string> found;
  std::istringstream lines(test::output_of("nm -S --defined-only " + sample));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string begin, size, type, name;
    fields >> begin >> size >> type >> name;
    if ((type != "T" && type != "t" && type != "W") || name.find("sample") == std::string::npos) continue;
    const std::uint64_t first = std::stoull(begin, nullptr, 16), count = std::stoull(size, nullptr, 16);
    for (std::uint64_t i = 0; i < count; ++i) found[first + i] = name;
  }
  return found;
}

/// "file:line" of each frame as addr2line gives them, innermost first.
std::map<std::uint64_t, std::string> oracle(const std::map<std::uint64_t, std::string>& wanted,
                                            const fs::path& folder) {
  {
    std::ofstream list(folder / "addresses");
    for (const auto& [address, name] : wanted) list << std::hex << "0x" << address << '\n';
  }
  std::map<std::uint64_t, std::string> chains;
  std::istringstream lines(test::output_of("addr2line -a -i -e " + sample + " < " + (folder / "addresses").string()));
  std::uint64_t address = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("0x", 0) == 0) {
      address = std::stoull(line, nullptr, 16);
    } else if (line.rfind("??", 0) != 0) {
      line = line.substr(0, line.find(" (discriminator"));
      if (line.back() != '?') chains[address] += fs::path(line).filename().string() + " ";
    }
  }
  return chains;
}

std::string chain_of(const std::vector<NativeFrame>& frames) {
  std::string chain;
  for (const NativeFrame& frame : frames) {
    if (frame.line > 0) chain += fs::path(frame.file).filename().string() + ":" + std::to_string(frame.line) + " ";
  }
  return chain;
}

}  // namespace

TEST_CASE("every address of a library: name, lines and inlined calls") {
  const TemporaryFolder folder;
  const auto wanted = addresses();
  REQUIRE(wanted.size() > 300);
  const auto expected = oracle(wanted, folder.path);
  REQUIRE(expected.size() > 300);
  Symbolizer symbolizer;
  std::size_t wrong = 0, deepest = 0;
  for (const auto& [address, mangled] : wanted) {
    const auto frames = symbolizer.resolve(sample, "", address);
    REQUIRE_FALSE(frames.empty());
    deepest = std::max(deepest, frames.size());
    CHECK(frames.back().function.find("sample::") != std::string::npos);
    CHECK_FALSE(frames.back().inlined);
    for (std::size_t i = 0; i + 1 < frames.size(); ++i) REQUIRE(frames[i].inlined);
    const auto chain = expected.find(address);
    if (chain == expected.end() || chain_of(frames) == chain->second) continue;
    if (++wrong <= 5) UNSCOPED_INFO(std::hex << address << ": " << chain_of(frames) << "not " << chain->second);
  }
  CHECK(wrong == 0);
  CHECK(deepest >= 3);
  CHECK(symbolizer.notes().empty());
}

TEST_CASE("a stripped library finds its debug file beside it") {
  const TemporaryFolder folder;
  const std::string copy = (folder.path / "libcopy.so").string(), debug = (folder.path / "libcopy.so.debug").string();
  shell(OBJCOPY " --only-keep-debug " + sample + " " + debug);
  shell(STRIP " -o " + copy + " " + sample);
  shell("cd " + folder.path.string() + " && " OBJCOPY " --add-gnu-debuglink=libcopy.so.debug libcopy.so");
  Symbolizer whole, split;
  for (const auto& [address, name] : addresses()) {
    const auto expected = whole.resolve(sample, "", address), frames = split.resolve(copy, "", address);
    REQUIRE(chain_of(frames) == chain_of(expected));
    REQUIRE(frames.back().function == expected.back().function);
  }
}

TEST_CASE("a pipe in the place of a unit's other half, or of the debug file, is not opened") {
  const TemporaryFolder folder;
  const std::string library = (folder.path / "libsplit.so").string();
  std::ofstream(folder.path / "split.c") << "int twice(int a) { return a * 2; }\n";
  const bool by_debug_link = GENERATE(false, true);
  shell("cd " + folder.path.string() + " && cc -shared -fPIC -o libsplit.so split.c " +
        (by_debug_link ? "-g && touch other.debug && objcopy --add-gnu-debuglink=other.debug libsplit.so && strip -g "
                         "libsplit.so && rm other.debug"
                       : "-g -gsplit-dwarf && rm *.dwo"));
  const std::string other = by_debug_link ? "other.debug" : "";
  const fs::path pipe =
      other.empty() ? folder.path / test::output_of("strings -a " + library + " | grep -m1 '[.]dwo$' | tr -d '\\n'")
                    : folder.path / other;
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  const std::uint64_t address = std::stoull(test::output_of("nm -D " + library + " | grep ' T twice'"), nullptr, 16);
  alarm(60);  // who waits for the pipe's other end waits for ever
  Symbolizer symbolizer;
  const auto frames = symbolizer.resolve(library, "", address);
  alarm(0);
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].function == "twice");
  REQUIRE(symbolizer.notes().size() == 1);
  CHECK(symbolizer.notes()[0].find("not a regular file") != std::string::npos);
}

TEST_CASE("a stripped library alone has the names of what it exports, and no wrong ones") {
  const TemporaryFolder folder;
  const std::string copy = (folder.path / "libcopy.so").string();
  shell(STRIP " -o " + copy + " " + sample);
  Symbolizer whole, stripped;
  std::size_t named = 0;
  for (const auto& [address, name] : addresses()) {
    const auto frames = stripped.resolve(copy, "", address);
    if (frames.empty()) continue;
    ++named;
    REQUIRE(frames.back().function == whole.resolve(sample, "", address).back().function);
  }
  CHECK(named > 100);
}

TEST_CASE("a library that changed or went says so and gives no names") {
  const TemporaryFolder folder;
  const std::uint64_t address = addresses().begin()->first;
  Symbolizer symbolizer;
  CHECK(symbolizer.resolve(sample, "00112233445566778899", address).empty());
  REQUIRE(symbolizer.notes().size() == 1);
  CHECK(symbolizer.notes()[0].find("has changed since the run") != std::string::npos);
  CHECK(symbolizer.resolve("/nowhere/libgone.so", "", address).empty());
  CHECK(symbolizer.notes().size() == 2);

  const std::string broken = (folder.path / "broken.so").string();
  std::ofstream(broken) << "\x7f"
                           "ELF and nothing more";
  CHECK(symbolizer.resolve(broken, "", address).empty());
  CHECK(symbolizer.notes().size() == 3);
  CHECK(symbolizer.resolve(broken, "", address + 1).empty());
  CHECK(symbolizer.notes().size() == 3);  // said once
  CHECK(symbolizer.resolve("[vdso]", "", address).empty());
}
