#include "interpose/core/say.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "interpose/core/no_cancel.hpp"
#include "interpose/core/saved_errno.hpp"

namespace vramtrack {

namespace {

std::atomic<bool> g_silent{false};

/// A write must not end the host: not where nobody reads stderr any more, nor where it is a file at its limit.
class NoDeadlySignals {
 public:
  NoDeadlySignals() noexcept {
    sigset_t pending;
    sigemptyset(&deadly_);
    ::sigpending(&pending);
    for (const int number : {SIGPIPE, SIGXFSZ})
      if (sigismember(&pending, number) == 0) sigaddset(&deadly_, number);
    ::pthread_sigmask(SIG_BLOCK, &deadly_, &before_);
  }
  ~NoDeadlySignals() {
    // Takes what our write raised; what was pending before stays. Not libc's function: a cancellation point.
    const timespec now{};
    while (::syscall(SYS_rt_sigtimedwait, &deadly_, nullptr, &now, 8) > 0) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoDeadlySignals(const NoDeadlySignals&) = delete;
  NoDeadlySignals& operator=(const NoDeadlySignals&) = delete;

 private:
  sigset_t deadly_, before_;
};

}  // namespace

void be_silent() noexcept { g_silent.store(true, std::memory_order_relaxed); }

Line& Line::operator<<(std::string_view text) noexcept {
  const std::size_t room = sizeof buffer_ - 1 - used_;
  const std::size_t taken = text.size() < room ? text.size() : room;
  std::memcpy(buffer_ + used_, text.data(), taken);
  used_ += taken;
  return *this;
}

Line& Line::decimal(std::uint64_t value) noexcept {
  char digits[20];
  std::size_t at = sizeof digits;
  do {
    digits[--at] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  return *this << std::string_view(digits + at, sizeof digits - at);
}

Line& Line::hex(std::uint64_t value) noexcept {
  char digits[18];
  std::size_t at = sizeof digits;
  do {
    digits[--at] = "0123456789abcdef"[value & 15];
    value >>= 4;
  } while (value != 0);
  digits[--at] = 'x';
  digits[--at] = '0';
  return *this << std::string_view(digits + at, sizeof digits - at);
}

const char* Line::c_str() noexcept {
  buffer_[used_] = '\0';
  return buffer_;
}

void detail::write_line(std::string_view text) noexcept {
  const SavedErrno keep;
  const NoCancel whole;
  const NoDeadlySignals harmless;
  if (g_silent.load(std::memory_order_relaxed)) return;
  Line line;
  // The text is cut before the newline would be, so that it always ends the line.
  line << std::string_view("vramtrack[") << ::getpid() << std::string_view("]: ") << text.substr(0, 980)
       << std::string_view("\n");
  // One write: lines of several processes and threads do not mix. A failure has nowhere to be told.
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, line.text().data(), line.text().size());
}

}  // namespace vramtrack
