// Text from other processes (paths, function names, tensor names) may hold any bytes. Everything that enters a Report
// goes through sanitise(); everything that goes to a terminal goes through printable() as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vramtrack::utf8 {

/// Length of the valid sequence that starts text (1 to 4), or 0 if it is not valid UTF-8 (surrogates and overlong
/// forms are not).
std::size_t sequence_length(std::string_view text) noexcept;

bool is_valid(std::string_view text) noexcept;

/// Every byte that is not part of a valid sequence becomes U+FFFD.
std::string sanitise(std::string_view text);

/// For a terminal: control characters (also C1 and the bidirectional overrides) become visible escapes, so that a
/// hostile name can neither move the cursor nor reorder the line.
std::string printable(std::string_view text);

/// Words with a blank between them, as they are.
std::string joined(const std::vector<std::string>& words);

/// printable(), with line ends kept.
std::string printable_lines(std::string_view text);

/// The bytes of the character at the start of `text`; 0 when it is not valid, or one that printable() escapes.
std::size_t plain_length(std::string_view text) noexcept;

/// The character at the start of `text` when it is one that printable() escapes, else 0. All are below 0x10000.
std::uint32_t hostile_at(std::string_view text) noexcept;

/// Columns that valid text takes on a terminal: wide East Asian characters take two, combining marks none.
std::size_t width(std::string_view text) noexcept;

/// With blanks behind it, up to so many columns.
std::string padded(std::string_view text, std::size_t columns);

/// Without the blanks around it.
std::string trimmed(std::string_view text);

/// Shortens text to at most `columns` by replacing its middle with "...". The end keeps the larger part.
std::string shorten_middle(std::string_view text, std::size_t columns);

/// The longest prefix of at most `bytes` bytes that does not cut a sequence.
std::string_view prefix(std::string_view text, std::size_t bytes) noexcept;

}  // namespace vramtrack::utf8
