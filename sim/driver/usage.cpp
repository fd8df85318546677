#include "sim/driver/usage.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace vramtrack::sim {

namespace {

/// Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); 0 when it is gone or a zombie.
std::uint64_t start_time(pid_t pid) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[1024];
  const ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return 0;
  text[length] = '\0';
  const char* field = std::strrchr(text, ')');  // the name may hold anything, also spaces
  if (field == nullptr || field[1] == '\0' || field[2] == 'Z' || field[2] == 'X') return 0;
  field += 2;
  for (int i = 3; i < 22 && field != nullptr; ++i) field = std::strchr(field + 1, ' ');
  return field == nullptr ? 0 : std::strtoull(field, nullptr, 10);
}

}  // namespace

bool Usage::alive(const UsageSlot& slot, pid_t pid) {
  if (pid == getpid()) return true;
  if (kill(pid, 0) != 0 && errno == ESRCH) return false;
  return start_time(pid) == slot.started;
}

bool Usage::map_file() {
  const char* path = std::getenv(state_variable);
  if (path == nullptr || *path == '\0') return false;
  const int fd = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void* mapped = MAP_FAILED;
  if (fd >= 0 && posix_fallocate(fd, 0, sizeof(UsageFile)) == 0) {
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
    std::fprintf(stderr, "vramtrack-sim: %s is not a state file of this version, not used\n", path);
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
    slot.started = start_time(self);
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
