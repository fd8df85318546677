// What the agent's natives ask of its life (agent.cpp). GIL held.
#pragma once

#include <cstdint>

#include "interpose/python/python_api.hpp"

namespace vramtrack::agent {

/// A look at the running frames; `why` goes to the agent's on_look().
void look_now(const char* why) noexcept;

/// What blocks are for: at an optimizer's first steps, or, without one, at a new height.
void look_at_roles(Object* optimizer) noexcept;

/// The caching allocator's total that asked for the pending look, in bytes.
std::uint64_t look_height() noexcept;

/// Processor time that looks may still take, in nanoseconds.
std::uint64_t look_budget() noexcept;

/// A part of the look that runs took so much processor time and counts as so much, both in nanoseconds.
void count_look_as(std::int64_t took, std::int64_t counts) noexcept;

/// The calling thread's autograd sequence number, 0 where PyTorch does not tell it.
std::uint64_t sequence_number() noexcept;

/// The interpreter or torch calls one of the agent's functions; `arguments`: a tuple, borrowed. An exception of the
/// script's own stays set.
void enter(const char* name, Object* arguments) noexcept;

}  // namespace vramtrack::agent
