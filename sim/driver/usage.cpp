#include "sim/driver/usage.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sim/core/process.hpp"

namespace vramtrack::sim {

static_assert(offsetof(UsageFile, unknown_reads) == unknown_reads_offset);

bool Usage::alive(const UsageSlot& slot, pid_t pid) {
  if (pid == getpid()) return true;
  if (kill(pid, 0) != 0 && errno == ESRCH) return false;
  return process_start_time(pid) == slot.started;
}

bool Usage::map_file() {
  const char* path = std::getenv(state_variable);
  if (path == nullptr || *path == '\0') return false;
  // The launcher made the file, under a name that nobody could guess; whoever names one here may have it made. Not
  // somebody else's, nor one that has another name elsewhere: it would be written over.
  const int fd = ::open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
  void* mapped = MAP_FAILED;
  struct stat status {};
  const bool fits = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
                    status.st_nlink == 1 && (status.st_size == 0 || status.st_size == sizeof(UsageFile));
  if (fd >= 0 && !fits) {
    close(fd);
    std::fprintf(stderr, "vramtrack-sim: %s is not a state file of this user and version, not used\n", path);
    return false;
  }
  if (fits && posix_fallocate(fd, 0, sizeof(UsageFile)) == 0) {
    mapped = mmap(nullptr, sizeof(UsageFile), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  if (fd >= 0) close(fd);
  if (mapped == MAP_FAILED) {
    std::fprintf(stderr, "vramtrack-sim: cannot share memory figures through %s: %s\n", path, std::strerror(errno));
    return false;
  }
  auto* file = static_cast<UsageFile*>(mapped);
  std::uint64_t nothing = 0;
  file->magic.compare_exchange_strong(nothing, UsageFile::expected_magic);
  if (file->magic.load() != UsageFile::expected_magic) {
    std::fprintf(stderr, "vramtrack-sim: %s is not a state file of this user and version, not used\n", path);
    munmap(mapped, sizeof(UsageFile));
    return false;
  }
  madvise(mapped, sizeof(UsageFile), MADV_DONTFORK);
  m_file = file;
  return true;
}

void Usage::open() {
  if (!map_file()) return;
  const pid_t self = getpid();
  for (UsageSlot& slot : m_file->slots) {
    std::int32_t owner = slot.pid.load();
    if (owner != 0 && alive(slot, owner) && owner != self) continue;
    if (!slot.pid.compare_exchange_strong(owner, -1)) continue;  // -1: being filled in
    for (auto& used : slot.used) used.store(0);
    slot.started = process_start_time(self);
    slot.pid.store(self, std::memory_order_release);
    m_own = &slot;
    break;
  }
  if (m_own == nullptr) std::fprintf(stderr, "vramtrack-sim: the state file is full, this process is not in it\n");
}

void Usage::publish(int device, std::uint64_t used) {
  if (m_own != nullptr) m_own->used[device].store(used, std::memory_order_relaxed);
}

std::uint64_t Usage::of_others(int device) const {
  std::uint64_t sum = 0;
  const pid_t self = getpid();
  visit(device, [&](pid_t pid, std::uint64_t used) { sum += pid == self ? 0 : used; });
  return sum;
}

}  // namespace vramtrack::sim
