// A full-screen terminal view with plain ANSI sequences and termios: alternate screen, keys, size, colours.
#pragma once

#include <termios.h>

#include <optional>
#include <string>
#include <vector>

namespace vramtrack::tools {

struct TerminalSize {
  int columns = 80, rows = 24;
};

/// Of the terminal behind a descriptor; the default when it is none.
TerminalSize terminal_size(int descriptor);

enum class Key : int {
  none = 0,  // nothing came in time, or the window was resized
  end = -1,  // the input was closed, or a signal asks to end
  up = 0x100,
  down,
  page_up,
  page_down,
  home,
  last,
  tab_back,
};

/// Takes the terminal over for as long as it lives and gives it back as it was, also when an exception passes.
class Terminal {
 public:
  /// False when standard input or output is no terminal.
  static bool usable();
  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  TerminalSize size() const;

  /// Shows these lines (UTF-8, may hold colour sequences) from the top, in one write. Lines are expected to fit.
  void show(const std::vector<std::string>& lines);

  /// Waits at most `milliseconds` for a key: a character's code or a Key.
  int read_key(int milliseconds);

 private:
  int decode_escape();
  std::optional<char> read_byte(int milliseconds);

  termios saved_{};
};

}  // namespace vramtrack::tools
