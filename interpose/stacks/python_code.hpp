// Code objects known by id. A code object's address may be reused after it dies, so its death is watched: the
// deallocation slot of the code type is wrapped, which works on every version, needs no GIL and costs nothing per
// event. Any thread.
#pragma once

#include <cstdint>

#include "interpose/stacks/python.hpp"

namespace vramtrack::stacks {

inline constexpr std::uint32_t no_code = 0xffffffffu;

/// Wraps the code type's deallocation. Once.
void watch_code_objects(const Python& python) noexcept;

/// The id of a live code object, recorded in the active trace when it is new. no_code when that fails.
std::uint32_t code_id(const Python& python, const std::byte* code) noexcept;

/// The next trace knows no code object yet. No other thread may be capturing.
void forget_code_objects() noexcept;
/// In a forked child: the lock is open.
void unlock_code_objects() noexcept;

}  // namespace vramtrack::stacks
