#include "interpose/core/thread_id.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include "interpose/core/hot.hpp"
#include "interpose/core/hot_thread.hpp"

namespace vramtrack {

namespace {
VRAMTRACK_COLD std::uint32_t ask() noexcept { return t_hot.id = static_cast<std::uint32_t>(::syscall(SYS_gettid)); }
}  // namespace

std::uint32_t thread_id() noexcept {
  const std::uint32_t id = t_hot.id;
  return id != 0 ? id : ask();
}

void forget_thread_id() noexcept { t_hot.id = 0; }

}  // namespace vramtrack
