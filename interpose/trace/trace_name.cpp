#include "interpose/trace/trace_name.hpp"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "contract/whereabouts.hpp"
#include "interpose/core/clock.hpp"

namespace vramtrack::trace {

namespace {

constexpr const char* suffix = ".vtrace";
constexpr int most_names = 1000;

/// 0, or -1 with errno: EEXIST when `to` is there. Keeps the directory entry that the mapping shows in /proc/PID/maps,
/// where `vramtrack top` finds it; a link and an unlink would not.
int rename_to_new(const char* from, const char* to) noexcept {
  if (::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  const int place = ::open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (place < 0) return -1;
  ::close(place);
  return ::rename(from, to);
}

/// The start of another trace's header: what stands before its accounts, which are too much for a small stack.
class HeaderStart {
 public:
  bool read(int file) noexcept {
    return ::pread(file, bytes_, sizeof bytes_, sizeof(ExtentHeader)) == static_cast<ssize_t>(sizeof bytes_);
  }
  bool has_magic() const noexcept { return std::memcmp(bytes_ + offsetof(Header, magic), magic, sizeof magic) == 0; }
  auto pid() const noexcept { return at<decltype(Header::pid)>(offsetof(Header, pid)); }
  Whereabouts whereabouts() const noexcept {
    return {at<std::uint64_t>(offsetof(Header, machine)), at<std::uint64_t>(offsetof(Header, pid_space))};
  }
  auto clock() const noexcept { return at<decltype(Header::clock)>(offsetof(Header, clock)); }

 private:
  template <class T>
  T at(std::size_t offset) const noexcept {
    T value;
    std::memcpy(&value, bytes_ + offset, sizeof value);
    return value;
  }

  char bytes_[offsetof(Header, accounts)];
};

enum class Found { nothing, before_exec, older, others };

/// What stands under the name that we want. For `older`, `lock` holds it open, so that nobody else replaces it too.
Found look(const char* path, const Header& mine, int& lock) noexcept {
  lock = -1;
  const int file = ::open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return errno == ENOENT ? Found::nothing : Found::others;
  HeaderStart there;
  struct stat status, now;
  Found found = Found::others;
  const bool readable =
      ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == ::geteuid() && there.read(file);
  const bool ours =
      readable && there.has_magic() && there.pid() == mine.pid && !are_apart(there.whereabouts(), whereabouts(mine));
  // In one pid namespace no other process has our id: it is over. Elsewhere a living one has its trace locked.
  const bool known = ours && are_known(there.whereabouts()) && are_known(whereabouts(mine));
  if (ours && (::flock(file, LOCK_EX | LOCK_NB) == 0 || known) && ::lstat(path, &now) == 0 &&
      now.st_dev == status.st_dev && now.st_ino == status.st_ino) {
    constexpr std::uint64_t slack_ns = 1'000'000'000;
    const bool after =
        mine.process_start_real_ns != 0 && there.clock().start_real_ns + slack_ns >= mine.process_start_real_ns;
    found = after ? Found::before_exec : Found::older;
  }
  if (found == Found::older)
    lock = file;
  else
    ::close(file);
  return found;
}

/// "FOLDER/NAME" of "FOLDER/NAME.vtrace", with what follows. False when it does not fit.
template <class... Rest>
bool other_name(char (&name)[longest_name], const char* path, const char* format, Rest... rest) noexcept {
  const std::size_t length = std::strlen(path), end = std::strlen(suffix);
  const std::size_t stem = length > end && std::strcmp(path + length - end, suffix) == 0 ? length - end : length;
  if (stem + 128 > sizeof name) return false;
  std::memcpy(name, path, stem);
  std::snprintf(name + stem, sizeof name - stem, format, rest...);
  return true;
}

void move_aside(const char* path) noexcept {
  char name[longest_name];
  for (int n = 1; n < most_names; ++n)
    if (!other_name(name, path, "-%d%s", n, suffix) || rename_to_new(path, name) == 0 || errno != EEXIST) return;
}

/// A host's name as part of a file's.
void host_name(char (&name)[41]) noexcept {
  char host[256] = "";
  if (::gethostname(host, sizeof host - 1) != 0 || host[0] == 0) std::memcpy(host, "host", 5);
  std::size_t i = 0;
  for (; i + 1 < sizeof name && host[i] != 0; ++i) {
    const char c = host[i];
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    name[i] = plain ? c : '_';
  }
  name[i] = 0;
}

}  // namespace

bool temporary_name(const char* path, char* name, std::size_t size) noexcept {
  const char* const slash = std::strrchr(path, '/');
  const int folder = slash == nullptr ? 0 : static_cast<int>(slash - path + 1);
  std::uint64_t random[2] = {};
  if (::syscall(SYS_getrandom, random, sizeof random, 1 /* GRND_NONBLOCK */) != static_cast<long>(sizeof random))
    random[0] = ticks(), random[1] = reinterpret_cast<std::uintptr_t>(name);  // O_EXCL still keeps others' files whole
  const int length =
      std::snprintf(name, size, "%.*s.vramtrack-part-%016llx%016llx", folder, path,
                    static_cast<unsigned long long>(random[0]), static_cast<unsigned long long>(random[1]));
  return length > 0 && static_cast<std::size_t>(length) < size;
}

bool take_name(const char* part, char (&path)[longest_name], const Header& header) noexcept {
  for (int tries = 0; tries < 10; ++tries) {
    int lock = -1;
    const Found found = look(path, header, lock);
    if (found == Found::others) break;
    if (found == Found::before_exec) move_aside(path);
    const int failed = found == Found::older ? ::rename(part, path) : rename_to_new(part, path);
    const int error = errno;
    if (lock >= 0) ::close(lock);
    errno = error;
    if (failed == 0) return true;
    if (errno != EEXIST) return false;
  }
  char host[41], name[longest_name];
  host_name(host);
  const auto start = static_cast<unsigned long long>(header.clock.start_real_ns / 1'000'000);
  for (int n = 0; n < most_names; ++n) {
    const bool fits = n == 0 ? other_name(name, path, "-%s-%llx%s", host, start, suffix)
                             : other_name(name, path, "-%s-%llx-%d%s", host, start, n, suffix);
    if (!fits) break;
    if (rename_to_new(part, name) == 0) {
      std::memcpy(path, name, std::strlen(name) + 1);
      return true;
    }
    if (errno != EEXIST) return false;
  }
  errno = ENAMETOOLONG;
  return false;
}

}  // namespace vramtrack::trace
