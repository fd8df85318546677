// A file mapped for reading, for the tools.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>

namespace vramtrack::trace {

/// Whose files are read. Into a folder that others can write to, they can put whatever they like.
enum class Whose {
  anybodys,
  own,  // the caller's, and nobody else may write it
};

/// Why a file is not the caller's own in that sense; nullptr: it is.
const char* why_not_own(const struct stat& status) noexcept;

class MappedInput {
 public:
  /// Throws TraceError when the file cannot be read, or is not what `whose` asks for.
  explicit MappedInput(const std::string& path, Whose whose = Whose::anybodys);
  ~MappedInput();
  MappedInput(const MappedInput&) = delete;
  MappedInput& operator=(const MappedInput&) = delete;
  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  uid_t owner() const noexcept { return owner_; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  uid_t owner_ = 0;
};

}  // namespace vramtrack::trace
