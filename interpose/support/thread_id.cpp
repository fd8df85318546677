#include "interpose/support/thread_id.hpp"

#include <sys/syscall.h>
#include <unistd.h>

namespace vramtrack {

namespace {
thread_local std::uint32_t t_id = 0;
}

std::uint32_t thread_id() noexcept {
  if (t_id == 0) [[unlikely]]
    t_id = static_cast<std::uint32_t>(::syscall(SYS_gettid));
  return t_id;
}

void forget_thread_id() noexcept { t_id = 0; }

}  // namespace vramtrack
