#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/driver/backing.hpp"

namespace vramtrack::sim {

namespace {
constexpr int first_descriptor = 200;
}  // namespace

int duplicate_descriptor(int descriptor) { return fcntl(descriptor, F_DUPFD_CLOEXEC, first_descriptor); }

int create_memory_file(const char* name, std::uint64_t size) {
  const int low = memfd_create(name, MFD_CLOEXEC);
  if (low < 0) return -1;
  const int high = duplicate_descriptor(low);
  const int fd = high >= 0 ? high : low;
  if (high >= 0) close(low);
  if (ftruncate(fd, static_cast<off_t>(size)) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

}  // namespace vramtrack::sim
