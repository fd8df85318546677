#include "contract/mapped_input.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "contract/reader.hpp"

namespace vramtrack::trace {

const char* why_not_own(const struct stat& status) noexcept {
  if (status.st_uid != ::geteuid()) return "belongs to another user";
  return (status.st_mode & (S_IWGRP | S_IWOTH)) != 0 ? "can be written by others" : nullptr;
}

MappedInput::MappedInput(const std::string& path, Whose whose) {
  const auto fail = [&path](int error) {
    throw TraceError(
        path, TraceError::no_offset, "cannot be read: " + std::generic_category().message(error),
        error == EACCES ? "read it as the user that ran the program (the file is private to it)" : "check the path");
  };
  // O_NONBLOCK: a named pipe must not hang us.
  const int file =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (whose == Whose::own ? O_NOFOLLOW : 0));
  if (file < 0) fail(errno);
  struct stat status;
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(file);
    throw TraceError(path, TraceError::no_offset, "is not a regular file", "name a .vtrace file");
  }
  if (const char* const why = whose == Whose::own ? why_not_own(status) : nullptr) {
    ::close(file);
    throw TraceError(path, TraceError::no_offset, std::string(why) + " and is left out",
                     "name it to `vramtrack report` if you trust it");
  }
  owner_ = status.st_uid;
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ != 0) {
    void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0);
    const int error = errno;
    ::close(file);
    if (address == MAP_FAILED) fail(error);
    data_ = static_cast<const std::byte*>(address);
  } else {
    ::close(file);
  }
}

MappedInput::~MappedInput() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace vramtrack::trace
