// What is known of an instruction address that was seen on a stack: the object that holds it and how to unwind a frame
// that stands there. Read without a lock; filled from the loader's tables and .eh_frame on first sight. Any thread.
#pragma once

#include <cstdint>

#include "interpose/stacks/unwind_rule.hpp"

namespace vramtrack::stacks {

struct IpInfo {
  UnwindRule rule;
  std::uint32_t module;
};

IpInfo ip_info(std::uintptr_t ip) noexcept;

/// For tests of the checks: makes the rule of a known address another one, until the table is refreshed.
void replace_rule(std::uintptr_t ip, UnwindRule rule) noexcept;

/// Takes note of libraries that came or went; every address is looked up again after that.
/// True when some did.
bool refresh_ip_table() noexcept;

/// In a forked child: the lock is open.
void unlock_ip_table() noexcept;

}  // namespace vramtrack::stacks
