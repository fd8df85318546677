// How the tools open files that others may have put in their way: never through a name that somebody else could have
// prepared, and never waiting for the other end of a pipe.
#pragma once

#include <sys/types.h>

#include <functional>
#include <ostream>
#include <string>

namespace vramtrack::files {

/// A file descriptor that closes itself; -1 is none.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) noexcept : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  int number() const noexcept { return number_; }
  int release() noexcept;
  explicit operator bool() const noexcept { return number_ >= 0; }

 private:
  int number_;
};

/// Opens a regular file for reading. None, with errno set, for anything else: a pipe or device is neither waited for
/// nor read (errno is then ENODEV).
Descriptor open_regular(const std::string& path);

/// The same on behalf of `user`: for somebody else than the caller, only when the permissions of the file, and of every
/// folder on the way to it, let that user (or everybody) in; groups do not count. What a file of another user names
/// must not be read with rights that its author lacks.
Descriptor open_regular_for(const std::string& path, uid_t user);

/// What is left in an open file, or "" when that is more than `most` bytes.
std::string read_rest(const Descriptor& file, std::size_t most);

/// Calls write(stream) on a new file of mode 0600 and gives it the name `path`, whatever that named before: a link
/// there is replaced, not followed. Written under a random name in the folder of `path`, so that nobody sees half a
/// file; nothing stays behind when `write` throws. Throws std::runtime_error, naming `path`.
void replace_file(const std::string& path, const std::function<void(std::ostream&)>& write);

/// Calls write(stream) on a device or pipe that the user named. Throws when nobody reads the pipe, or writing fails.
void write_device(const std::string& path, const std::function<void(std::ostream&)>& write);

/// Appends to a regular file, made when it is not there. Throws std::system_error when it cannot be opened.
void append_to_file(const std::string& path, const std::function<void(std::ostream&)>& write);

/// $TMPDIR, or /tmp where that is no folder.
std::string temporary_folder();

}  // namespace vramtrack::files
