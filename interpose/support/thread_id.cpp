#include "interpose/support/thread_id.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include "interpose/support/hot.hpp"

namespace vramtrack {

namespace {
thread_local std::uint32_t t_id = 0;

VRAMTRACK_COLD std::uint32_t ask() noexcept { return t_id = static_cast<std::uint32_t>(::syscall(SYS_gettid)); }
}  // namespace

std::uint32_t thread_id() noexcept {
  const std::uint32_t id = t_id;
  return id != 0 ? id : ask();
}

void forget_thread_id() noexcept { t_id = 0; }

}  // namespace vramtrack
