// Where a process id means something: on one machine, since its start, in one pid namespace. Processes of several
// containers or machines that share an output folder may have the same id. Both sides ask; libc only, any thread.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>

#include "contract/layout.hpp"

namespace vramtrack::trace {

struct Whereabouts {
  std::uint64_t machine = 0;  // a hash of the kernel's boot id; 0: not known
  std::uint64_t pids = 0;     // the pid namespace; 0: not known
};

/// Of this process.
inline Whereabouts own_whereabouts() noexcept {
  Whereabouts own;
  char id[64];
  const int file = ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  const ssize_t bytes = file < 0 ? 0 : ::read(file, id, sizeof id);
  if (file >= 0) ::close(file);
  if (bytes > 0) {
    own.machine = 0xcbf29ce484222325u;
    for (ssize_t i = 0; i < bytes; ++i)
      own.machine = (own.machine ^ static_cast<unsigned char>(id[i])) * 0x100000001b3u;
  }
  struct stat space;
  if (::stat("/proc/self/ns/pid", &space) == 0) own.pids = static_cast<std::uint64_t>(space.st_ino);
  return own;
}

inline Whereabouts whereabouts(const Header& header) noexcept { return {header.machine, header.pid_space}; }

inline bool are_known(const Whereabouts& a) noexcept { return a.machine != 0 && a.pids != 0; }

/// Both known, and not the same: equal process ids are then different processes.
inline bool are_apart(const Whereabouts& a, const Whereabouts& b) noexcept {
  return are_known(a) && are_known(b) && (a.machine != b.machine || a.pids != b.pids);
}

}  // namespace vramtrack::trace
