// What `vramtrack doctor` reads. The note `doors`: for `vramtrack doctor`, and for whoever asks what was hooked in a
// run.
//   {"runtimes": ["libcudart.so.13", path...], "driver": path, "by_name": [functions], "by_look_up": [functions],
//    "unwrapped": look-ups that got the real function since all wrappers were taken}
// And, for the doctor alone, an empty file `cuda-PID` of a process that used CUDA and left no trace.
#include "interpose/cuda/doors_note.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <string_view>

#include "interpose/cuda/cuda_headers.hpp"

#include "interpose/core/memory.hpp"
#include "interpose/core/options.hpp"
#include "interpose/core/say.hpp"
#include "interpose/cuda/elf.hpp"
#include "interpose/cuda/originals.hpp"
#include "interpose/cuda/table.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::hooks {

namespace {

/// Text that grows in a page of its own: the list of names is longer than a Line.
class Text {
 public:
  Text() noexcept : at_(static_cast<char*>(map_pages(size))) {}
  ~Text() {
    if (at_ != nullptr) unmap_pages(at_, size);
  }
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;

  Text& operator<<(std::string_view part) noexcept {
    if (at_ != nullptr && used_ + part.size() <= size) used_ += part.copy(at_ + used_, part.size());
    return *this;
  }
  void quoted(std::string_view part) noexcept {
    *this << "\"";
    for (const char& c : part)
      *this << (c == '"' || c == '\\' || static_cast<unsigned char>(c) < ' ' ? "?" : std::string_view(&c, 1));
    *this << "\"";
  }
  std::string_view text() const noexcept { return {at_, used_}; }

 private:
  static constexpr std::size_t size = 64 * 1024;
  char* at_;
  std::size_t used_ = 0;
};

std::string_view path_of(std::string_view soname) noexcept {
  const Module module = find_module(soname);
  return module && module.path != nullptr ? std::string_view(module.path) : std::string_view();
}

template <class Wanted>
void list_rows(Text& json, std::string_view key, Wanted wanted) noexcept {
  json << ", \"" << key << "\": [";
  bool first = true;
  for (std::size_t i = 0; i < row_count; ++i) {
    const Row row = static_cast<Row>(i);
    if (!wanted(row)) continue;
    if (!first) json << ", ";
    json.quoted(info(row).name);
    first = false;
  }
  json << "]";
}

}  // namespace

void write_doors_note() noexcept {
  trace::Writer* writer = trace::active();
  if (writer == nullptr) return;
  Text json;
  json << "{\"runtimes\": [";
  bool first = true;
  for (const char* soname : {"libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13"}) {
    const std::string_view path = path_of(soname);
    if (path.empty()) continue;
    if (!first) json << ", ";
    json.quoted(path);
    first = false;
  }
  json << "], \"driver\": ";
  json.quoted(path_of("libcuda.so.1"));
  list_rows(json, "by_name", called_by_name);
  list_rows(json, "by_look_up", [](Row row) { return real_of_pointer(row, 0) != nullptr; });
  Line unwrapped_count;
  unwrapped_count << hooks::unwrapped();
  json << ", \"unwrapped\": " << unwrapped_count.text() << "}";
  writer->note("doors", json.text());
}

void tell_doctor() noexcept {
  auto* count = g_host_options.doctor ? VRAMTRACK_DRIVER(cuDeviceGetCount) : nullptr;
  int devices = 0;
  // A driver that was never initialized says so; one that has gone down already says something else.
  if (count == nullptr || count(&devices) == CUDA_ERROR_NOT_INITIALIZED) return;
  Line path;
  path << g_host_options.out << "/cuda-" << ::getpid();
  if (const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600); fd >= 0) ::close(fd);
}

}  // namespace vramtrack::hooks
