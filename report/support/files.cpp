#include "report/support/files.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <streambuf>
#include <system_error>
#include <utility>
#include <vector>

namespace vramtrack::files {
namespace {

constexpr int reading = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

/// std::ofstream opens by name only.
class DescriptorBuffer : public std::streambuf {
 public:
  explicit DescriptorBuffer(int file) : file_(file), bytes_(64 * 1024) {
    setp(bytes_.data(), bytes_.data() + bytes_.size());
  }
  int error() const noexcept { return error_; }

 protected:
  int_type overflow(int_type next) override {
    if (!flush_all()) return traits_type::eof();
    if (!traits_type::eq_int_type(next, traits_type::eof())) sputc(traits_type::to_char_type(next));
    return traits_type::not_eof(next);
  }
  int sync() override { return flush_all() ? 0 : -1; }

 private:
  bool flush_all() {
    for (const char* at = pbase(); error_ == 0 && at < pptr();) {
      const ssize_t done = ::write(file_, at, static_cast<std::size_t>(pptr() - at));
      if (done > 0)
        at += done;
      else if (done == 0 || errno != EINTR)
        error_ = done == 0 ? EIO : errno;
    }
    setp(bytes_.data(), bytes_.data() + bytes_.size());
    return error_ == 0;
  }

  int file_;
  int error_ = 0;
  std::vector<char> bytes_;
};

[[noreturn]] void fail(const std::string& path, const std::string& what, int error) {
  throw std::runtime_error(path + ": " + what + ": " + std::generic_category().message(error) +
                           "; choose another place with -o");
}

void write_all(const std::string& path, const Descriptor& file, const std::function<void(std::ostream&)>& write) {
  DescriptorBuffer buffer(file.number());
  std::ostream out(&buffer);
  write(out);
  out.flush();
  if (!out) fail(path, "cannot write", buffer.error() != 0 ? buffer.error() : EIO);
}

Descriptor regular_only(Descriptor file) {
  struct stat status {};
  if (!file || fstat(file.number(), &status) != 0) return Descriptor();
  if (S_ISREG(status.st_mode)) return file;
  errno = S_ISDIR(status.st_mode) ? EISDIR : ENODEV;
  return Descriptor();
}

/// Whether the permissions let `user` in by the owner's bit or everybody's.
bool lets_in(int file, uid_t user, mode_t owner_bit, mode_t others_bit) {
  struct stat status {};
  if (fstat(file, &status) != 0) return false;
  return (status.st_mode & (status.st_uid == user ? owner_bit : others_bit)) != 0;
}

std::string random_name() {
  std::uint64_t word[2] = {};
  if (getrandom(word, sizeof word, 0) != static_cast<ssize_t>(sizeof word))
    throw std::runtime_error("no random numbers");
  char name[64];
  std::snprintf(name, sizeof name, ".vramtrack-part-%016llx%016llx", static_cast<unsigned long long>(word[0]),
                static_cast<unsigned long long>(word[1]));
  return name;
}

/// A name in an open folder that goes with this object, unless it was kept.
class Temporary {
 public:
  Temporary(int folder, std::string name) : folder_(folder), name_(std::move(name)) {}
  ~Temporary() {
    if (!kept_) unlinkat(folder_, name_.c_str(), 0);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  void keep() noexcept { kept_ = true; }

 private:
  int folder_;
  std::string name_;
  bool kept_ = false;
};

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

int Descriptor::release() noexcept { return std::exchange(number_, -1); }

Descriptor open_regular(const std::string& path) { return regular_only(Descriptor(::open(path.c_str(), reading))); }

Descriptor open_regular_for(const std::string& path, uid_t user) {
  if (user == geteuid()) return open_regular(path);  // the kernel asks the same question
  errno = EACCES;
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), &std::free);
  if (real == nullptr || path.empty() || path.front() != '/') return Descriptor();
  // Step by step, each by the descriptor of the one before: nobody can change the way between the look and the step.
  Descriptor at(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (const char* name = real.get() + 1; at;) {
    if (!lets_in(at.number(), user, S_IXUSR, S_IXOTH)) break;
    const char* const slash = std::strchr(name, '/');
    if (slash == nullptr) {
      Descriptor file = regular_only(Descriptor(::openat(at.number(), name, reading | O_NOFOLLOW)));
      if (file && lets_in(file.number(), user, S_IRUSR, S_IROTH)) return file;
      break;
    }
    const std::string folder(name, slash);
    at = Descriptor(::openat(at.number(), folder.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    name = slash + 1;
  }
  errno = EACCES;
  return Descriptor();
}

std::string read_rest(const Descriptor& file, std::size_t most) {
  std::string content;
  struct stat status {};
  if (!file || fstat(file.number(), &status) != 0 || static_cast<std::size_t>(status.st_size) > most) return content;
  content.resize(static_cast<std::size_t>(status.st_size));
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::read(file.number(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  content.resize(done);
  return content;
}

void replace_file(const std::string& path, const std::function<void(std::ostream&)>& write) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  // The folder is opened once: what its name means later does not matter.
  const Descriptor folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Descriptor by_path(folder ? -1 : ::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));  // not listable
  const int in = folder ? folder.number() : by_path.number();
  if (in < 0) fail(path, "cannot create", errno);
  const std::string part = random_name();
  const Descriptor file(::openat(in, part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) fail(path, "cannot create", errno);
  Temporary temporary(in, part);
  write_all(path, file, write);
  if (name.empty() || renameat(in, part.c_str(), in, name.c_str()) != 0)
    fail(path, "cannot replace", name.empty() ? EISDIR : errno);
  temporary.keep();
}

void write_device(const std::string& path, const std::function<void(std::ostream&)>& write) {
  // Not to hang on a pipe without a reader; one that is just being started gets some time.
  constexpr int most_tries = 40;
  int number = -1;
  for (int tries = 0; tries < most_tries; ++tries) {
    number = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (number >= 0 || errno != ENXIO) break;
    const timespec pause{0, 50'000'000};
    nanosleep(&pause, nullptr);
  }
  if (number < 0 && errno == ENXIO)
    throw std::runtime_error(path + ": nobody reads this pipe; start its reader first, or choose a file with -o");
  const Descriptor file(number);
  if (!file) fail(path, "cannot create", errno);
  const int flags = fcntl(number, F_GETFL);
  if (flags >= 0) fcntl(number, F_SETFL, flags & ~O_NONBLOCK);
  write_all(path, file, write);
}

void append_to_file(const std::string& path, const std::function<void(std::ostream&)>& write) {
  const Descriptor file = regular_only(
      Descriptor(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600)));
  if (!file) throw std::system_error(errno, std::generic_category(), path);
  write_all(path, file, write);
}

std::string temporary_folder() {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
  return error ? "/tmp" : folder.string();
}

}  // namespace vramtrack::files
