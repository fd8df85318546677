// The one way for the preloaded library to speak: a line on stderr by a single write(2), prefixed `vramtrack[pid]: `.
// Any thread, any moment (also under the host's own locks): no stdio, no heap, no locale; errno is kept.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vramtrack {

/// A line of text of bounded length, built without a heap. What does not fit is cut.
class Line {
 public:
  Line& operator<<(std::string_view text) noexcept;
  Line& operator<<(const char* text) noexcept { return *this << std::string_view(text ? text : "(null)"); }
  template <std::integral T>
  Line& operator<<(T value) noexcept {
    if constexpr (std::signed_integral<T>) {
      if (value < 0) {
        *this << std::string_view("-");
        return decimal(0 - static_cast<std::uint64_t>(value));
      }
    }
    return decimal(static_cast<std::uint64_t>(value));
  }
  Line& decimal(std::uint64_t value) noexcept;
  Line& hex(std::uint64_t value) noexcept;  // with 0x
  std::string_view text() const noexcept { return {buffer_, used_}; }
  /// Zero-terminated, for system calls.
  const char* c_str() noexcept;

 private:
  std::size_t used_ = 0;
  char buffer_[1536];
};

/// No word from now on: there is no stderr, and its number may soon be a file of the host's.
void be_silent() noexcept;

namespace detail {
void write_line(std::string_view text) noexcept;
}

/// say("cannot create ", path, ": error ", errno)
template <class... Parts>
void say(const Parts&... parts) noexcept {
  Line line;
  (line << ... << parts);
  detail::write_line(line.text());
}

}  // namespace vramtrack
