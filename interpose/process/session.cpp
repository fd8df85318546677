// Opening the trace of a process: file name, notes. Runs in the first event of the process, in any thread, once.
#include "interpose/process/session.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <string_view>

#include "contract/dormant.hpp"
#include "contract/notes.hpp"
#include "interpose/core/error_text.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/core/options.hpp"
#include "interpose/core/say.hpp"
#include "interpose/ledger/ledger.hpp"
#include "interpose/process/named_moments.hpp"
#include "interpose/stacks/stacks.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::session {

namespace {

namespace key = trace::note_key;

// mkdir -p, mode 0777 & umask: the folder is the user's, the traces in it are 0600.
bool make_folders(char* path) noexcept {
  for (char* slash = path + 1; (slash = std::strchr(slash, '/')) != nullptr; ++slash) {
    *slash = 0;
    const bool failed = ::mkdir(path, 0777) != 0 && errno != EEXIST;
    *slash = '/';
    if (failed) return false;
  }
  return ::mkdir(path, 0777) == 0 || errno == EEXIST;
}

/// When this process began (field 22 of its stat file, in clock ticks since boot); exec keeps it.
std::uint64_t process_start_real_ns() noexcept {
  char text[1024];
  const int fd = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t bytes = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (bytes <= 0) return 0;
  text[bytes] = 0;
  const char* at = std::strrchr(text, ')');
  for (int field = 2; at != nullptr && field < 22; ++field) at = std::strchr(at + 1, ' ');
  if (at == nullptr) return 0;
  const std::uint64_t start =
      std::strtoull(at, nullptr, 10) * 1'000'000'000u / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
  timespec real, boot;
  clock_gettime(CLOCK_REALTIME, &real);
  clock_gettime(CLOCK_BOOTTIME, &boot);
  const auto ns = [](const timespec& t) {
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
  };
  return ns(real) - ns(boot) + start;
}

std::string_view read_file(const char* path, char* buffer, std::size_t size) noexcept {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::size_t used = 0;
  while (used < size) {
    const ssize_t bytes = ::read(fd, buffer + used, size - used);
    if (bytes <= 0) break;
    used += static_cast<std::size_t>(bytes);
  }
  ::close(fd);
  return {buffer, used};
}

bool starts_with_any(const char* text, std::initializer_list<std::string_view> prefixes) noexcept {
  for (std::string_view prefix : prefixes)
    if (std::strncmp(text, prefix.data(), prefix.size()) == 0) return true;
  return false;
}

/// The variables that say which rank this is and how allocators are set up; never the whole environment (secrets).
std::string_view environment(char* buffer, std::size_t size) noexcept {
  std::size_t used = 0;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const bool wanted = starts_with_any(
        *variable, {"RANK=", "LOCAL_RANK=", "WORLD_SIZE=", "SLURM_PROCID=", "SLURM_LOCALID=", "SLURM_NTASKS=",
                    "SLURM_JOB_ID=", "SLURM_NODEID=", "OMPI_COMM_WORLD_",
                    "PMI_RANK=", "PMI_SIZE=", "PMI_LOCAL_RANK=", "MPI_LOCALRANKID=", "PYTORCH_CUDA_ALLOC_CONF=",
                    "PYTORCH_ALLOC_CONF=", "PYTORCH_NO_CUDA_MEMORY_CACHING=", "CUDA_VISIBLE_DEVICES="});
    const std::size_t bytes = std::strlen(*variable);
    if (!wanted || used + bytes + 1 > size) continue;
    std::memcpy(buffer + used, *variable, bytes);
    used += bytes;
    buffer[used++] = '\n';
  }
  return {buffer, used};
}

/// Once a process image, not once a trace: a forked child has inherited it. Late, so that a program without CUDA does
/// not pay for loading the unwinder.
void start_stacks() noexcept {
  static std::atomic<bool> done{false};
  if (done.exchange(true)) return;
  stacks::init(
      {.python = !g_host_options.no_python, .native = !g_host_options.no_native, .check = g_host_options.check_stacks});
}

void write_notes(trace::Writer& writer) noexcept {
  constexpr std::size_t size = 256 * 1024;  // a command line may be long (128 KiB an argument)
  auto* buffer = static_cast<char*>(map_pages(size));
  if (buffer == nullptr) return;
  writer.note(key::version, VRAMTRACK_VERSION);
  writer.note(key::command, read_file("/proc/self/cmdline", buffer, size));
  if (const ssize_t bytes = ::readlink("/proc/self/exe", buffer, size); bytes > 0)
    writer.note(key::executable, {buffer, static_cast<std::size_t>(bytes)});
  if (::gethostname(buffer, 256) == 0) writer.note(key::hostname, {buffer, strnlen(buffer, 256)});
  if (::getcwd(buffer, size) != nullptr) writer.note(key::cwd, buffer);
  writer.note(key::environ, environment(buffer, size));
  unmap_pages(buffer, size);
}

}  // namespace

bool open(std::uint32_t forked_from) noexcept {
  if (g_host_options.no_trace) return false;
  char folder[PATH_MAX], path[PATH_MAX];
  std::snprintf(folder, sizeof folder, "%s", g_host_options.out);
  if (!make_folders(folder)) {
    say("cannot make the folder ", folder, ": ", ErrorText{errno}, ". The program goes on untraced.");
    return false;
  }
  const int length = std::snprintf(path, sizeof path, "%s/vramtrack-%d.vtrace", folder, ::getpid());
  if (length < 0 || static_cast<std::size_t>(length) >= sizeof path) return false;
  start_stacks();
  ledger::reset();
  stacks::reset();
  trace::Writer* writer = trace::Writer::create(path, forked_from, process_start_real_ns());
  if (writer == nullptr) return false;
  if (g_host_options.dormant) trace::set_dormant_bits(writer->header(), trace::off_now | trace::was_off);
  trace::set_active(writer);
  if (g_host_options.history) ledger::start_history();
  write_notes(*writer);
  named_moments::write_kept();
  return true;
}

}  // namespace vramtrack::session
