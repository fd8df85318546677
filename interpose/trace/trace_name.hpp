// Gives a new trace its name. Others may be there under it: of this process before an exec, of an older process with
// the same id, or of a living one in another container or on another machine that shares the folder.
#pragma once

#include <cstddef>

#include "contract/layout.hpp"

namespace vramtrack::trace {

/// A name that nobody can have prepared, in the folder of `path`. False when it does not fit.
bool temporary_name(const char* path, char* name, std::size_t size) noexcept;

inline constexpr std::size_t longest_name = 1280;  // a path of 1000 characters, and what is put behind it

/// Renames `part`, a whole and locked trace, to `path`; when that is a trace of somebody else, to the same name with
/// host and time behind it, which is then in `path`. What is there and is no old trace of ours is
/// never touched; a trace of this very process before an exec is moved aside. False, with errno, when nothing could be
/// done.
bool take_name(const char* part, char (&path)[longest_name], const Header& header) noexcept;

}  // namespace vramtrack::trace
