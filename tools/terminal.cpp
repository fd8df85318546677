#include "tools/terminal.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>

namespace vramtrack::tools {
namespace {

constexpr const char* enter_screen = "\x1b[?1049h\x1b[?25l";  // alternate screen, no cursor
constexpr const char* leave_screen = "\x1b[?25h\x1b[?1049l";

volatile std::sig_atomic_t g_ended = 0;

void ask_to_end(int) { g_ended = 1; }
void notice_resize(int) {}  // its only use: poll() returns

void write_all(const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // the terminal is gone: the next read_key says so
    done += static_cast<std::size_t>(written);
  }
}

}  // namespace

TerminalSize terminal_size(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

bool Terminal::usable() { return isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0; }

Terminal::Terminal() {
  if (tcgetattr(STDIN_FILENO, &saved_) != 0) throw std::runtime_error("standard input is no terminal");
  struct sigaction action {};
  action.sa_handler = ask_to_end;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  action.sa_handler = notice_resize;
  sigaction(SIGWINCH, &action, nullptr);
  termios raw = saved_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);  // signals stay: Ctrl-C works as usual
  raw.c_cc[VSUSP] = _POSIX_VDISABLE;                     // Ctrl-Z would leave the shell in our screen
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
  write_all(enter_screen);
}

Terminal::~Terminal() {
  write_all(leave_screen);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved_);
}

TerminalSize Terminal::size() const { return terminal_size(STDOUT_FILENO); }

void Terminal::show(const std::vector<std::string>& lines) {
  std::string frame = "\x1b[H";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) frame += "\r\n";
    frame += lines[i] + "\x1b[0m\x1b[K";  // overwrite, then clear the rest of the line: no flicker
  }
  frame += "\x1b[J";
  write_all(frame);
}

std::optional<char> Terminal::read_byte(int milliseconds) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (poll(&input, 1, milliseconds) <= 0) return std::nullopt;
  char byte = 0;
  const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
  if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) g_ended = 1;
  return got == 1 ? std::optional(byte) : std::nullopt;
}

int Terminal::read_key(int milliseconds) {
  if (g_ended != 0) return static_cast<int>(Key::end);
  const std::optional<char> byte = read_byte(milliseconds);
  if (g_ended != 0) return static_cast<int>(Key::end);
  if (!byte) return static_cast<int>(Key::none);
  if (*byte == '\x1b') return decode_escape();
  return static_cast<unsigned char>(*byte);
}

/// The rest of a key's sequence follows at once; a lone escape does not.
int Terminal::decode_escape() {
  constexpr int soon = 20;
  const std::optional<char> second = read_byte(soon);
  if (!second) return '\x1b';
  if (*second != '[' && *second != 'O') return static_cast<int>(Key::none);
  std::string sequence;
  while (sequence.size() < 8) {
    const std::optional<char> byte = read_byte(soon);
    if (!byte) break;
    sequence += *byte;
    if (*byte >= '@' && *byte <= '~') break;
  }
  static constexpr std::pair<const char*, Key> keys[] = {
      {"A", Key::up},    {"B", Key::down}, {"5~", Key::page_up}, {"6~", Key::page_down}, {"H", Key::home},
      {"1~", Key::home}, {"F", Key::last}, {"4~", Key::last},    {"Z", Key::tab_back},
  };
  for (const auto& [text, key] : keys) {
    if (sequence == text) return static_cast<int>(key);
  }
  return static_cast<int>(Key::none);
}

}  // namespace vramtrack::tools
