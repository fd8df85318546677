// A trace in a folder of its own, made active; what the tests of the format and the ledger start from.
#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "contract/reader.hpp"
#include "interpose/ledger/ledger.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "vramtrack-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

class TemporaryTrace {
 public:
  TemporaryTrace() : path(folder.file("test.vtrace")), writer(trace::Writer::create(path.c_str(), 0)) {
    REQUIRE(writer != nullptr);
    ledger::reset();
    trace::set_active(writer);
  }
  ~TemporaryTrace() { trace::set_active(nullptr); }
  trace::TraceFile read() const { return trace::read_trace(path); }

  TemporaryFolder folder;
  std::string path;
  trace::Writer* writer;
};

inline void add_block(std::uint64_t address, std::uint64_t bytes, StackId stack = StackId{0}, std::int16_t device = 0) {
  ledger::add({Layer::tensor, Kind::block, device, address, bytes, 0, 0}, stack, no_stack);
}
inline bool remove_block(std::uint64_t address, std::int16_t device = 0) {
  return ledger::remove({Layer::tensor, device, Kind::block, address, 0}).found;
}
inline void drop_block(std::uint64_t address, std::int16_t device = 0) {
  ledger::drop({Layer::tensor, device, Kind::block, address, 0});
}
inline void add_cuda(std::uint64_t address, std::uint64_t bytes, Kind kind = Kind::device, std::int16_t device = 0,
                     StackId stack = StackId{0}) {
  ledger::add({Layer::cuda, kind, device, address, bytes, 0, 0}, stack, no_stack);
}
inline bool remove_cuda(std::uint64_t address, Kind kind = Kind::device) {
  return ledger::remove({Layer::cuda, -1, kind, address, 0}).found;
}

inline std::vector<char> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline std::span<const std::byte> view(const std::vector<char>& bytes) { return std::as_bytes(std::span(bytes)); }

}  // namespace vramtrack
