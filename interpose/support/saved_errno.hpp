// Keeps the host's errno over our own work.
#pragma once

#include <cerrno>

namespace vramtrack {

class SavedErrno {
 public:
  SavedErrno() noexcept : value_(errno) {}
  ~SavedErrno() { errno = value_; }
  SavedErrno(const SavedErrno&) = delete;
  SavedErrno& operator=(const SavedErrno&) = delete;

 private:
  int value_;
};

}  // namespace vramtrack
