// A file mapped for reading, for the tools.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace vramtrack::trace {

class MappedInput {
 public:
  /// Throws TraceError when the file cannot be read.
  explicit MappedInput(const std::string& path);
  ~MappedInput();
  MappedInput(const MappedInput&) = delete;
  MappedInput& operator=(const MappedInput&) = delete;
  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace vramtrack::trace
