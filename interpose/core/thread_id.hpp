// The kernel's id of the calling thread, cached (a system call costs as much as a whole event).
#pragma once

#include <cstdint>

namespace vramtrack {

std::uint32_t thread_id() noexcept;
/// In a forked child: its one thread has a new id.
void forget_thread_id() noexcept;

}  // namespace vramtrack
