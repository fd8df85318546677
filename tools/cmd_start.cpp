// vramtrack start and vramtrack stop: recording of a running process, switched on and off through its trace.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>

#include "contract/dormant.hpp"
#include "tools/command.hpp"
#include "tools/input_files.hpp"

namespace vramtrack::tools {
namespace {

/// Sets the word in one trace. Throws when it is not a trace of this version or may not be written.
void set_recording(const std::string& path, bool on) {
  const auto fail = [&](const std::string& why) { throw std::runtime_error(path + ": " + why); };
  constexpr std::size_t bytes = sizeof(trace::ExtentHeader) + sizeof(trace::Header);
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) fail(std::string("cannot be written: ") + std::strerror(errno) + "; only its owner may");
  struct stat info {};
  const bool whole = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size >= static_cast<off_t>(bytes);
  void* const mapped = whole ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  ::close(fd);
  if (mapped == MAP_FAILED) fail("is no trace");
  auto& header = *reinterpret_cast<trace::Header*>(static_cast<std::byte*>(mapped) + sizeof(trace::ExtentHeader));
  const bool fits = std::memcmp(header.magic, trace::magic, sizeof header.magic) == 0 &&
                    header.version == trace::format_version && header.header_bytes == sizeof header;
  if (fits)
    trace::set_dormant_bits(header,
                            on ? trace::dormant_bits(header) & ~trace::off_now : trace::off_now | trace::was_off);
  ::munmap(mapped, bytes);
  if (!fits) fail("is no trace of this version: use the `vramtrack` that started the process");
}

int switch_recording(const Arguments& arguments, bool on, const char* what, const char* name) {
  std::string target;
  CLI::App app(what, name);
  app.add_option("PID", target, "a process that was started with `vramtrack run`, and all that it started")->required();
  parse(app, arguments);
  const auto pid = process_number(target);
  if (!pid) throw UsageError("PID " + target + ": not the number of a process; `vramtrack ps` lists them");
  const std::vector<std::string> traces = traces_of(*pid);
  for (const std::string& trace : traces) set_recording(trace, on);
  std::cout << (on ? "recording" : "not recording") << ": " << traces.size()
            << (traces.size() == 1 ? " process\n" : " processes\n");
  return 0;
}

}  // namespace

int cmd_start(const Arguments& arguments) {
  return switch_recording(arguments, true, "Switches recording on in a running process (`run --dormant`).",
                          "vramtrack start");
}

int cmd_stop(const Arguments& arguments) {
  return switch_recording(arguments, false, "Switches recording off in a running process; `start` resumes it.",
                          "vramtrack stop");
}

}  // namespace vramtrack::tools
