// Small pieces that texts for a terminal are made of: padding, cutting, wrapping by the columns that text takes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace vramtrack::render {

namespace style {
inline constexpr const char* bold = "\x1b[1m";
inline constexpr const char* dim = "\x1b[2m";
inline constexpr const char* red = "\x1b[1;31m";
inline constexpr const char* yellow = "\x1b[33m";
inline constexpr const char* green = "\x1b[32m";
inline constexpr const char* plain = "\x1b[0m";
}  // namespace style

std::string pad_left(const std::string& text, std::size_t columns);
std::string pad_right(const std::string& text, std::size_t columns);

/// Cut to `columns` with "..." at its end; "" where not even that fits.
std::string cut_end(const std::string& text, std::size_t columns);

/// A path in at most `columns`, whole names from its end: ".../models/block.py", "block.py"; a name that is too long
/// itself is cut in its middle.
std::string short_path(const std::string& path, std::size_t columns);

/// A line of source code in at most `columns`: where it is too long, a comment behind it goes first.
std::string cut_code(const std::string& code, std::size_t columns);

/// The words of `text` in lines of at most `columns`; a longer word has a line of its own. Words that glued() has put
/// together stay on one line.
std::string glued(std::string text);
std::vector<std::string> wrapped(std::string_view text, std::size_t columns);

}  // namespace vramtrack::render
