// What `vramtrack doctor` reads. The note `doors`: for `vramtrack doctor`, and for whoever asks what was hooked in a
// run.
//   {runtimes: [path...], driver: path, by_name: [functions], by_look_up: [functions],
//    unwrapped: look-ups that got the real function since all wrappers were taken}
// And, for the doctor alone, an empty file `cuda-PID` of a process that used CUDA and left no trace.
#include "interpose/cuda/doors_note.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <string_view>

#include "contract/notes.hpp"
#include "interpose/cuda/cuda_headers.hpp"

#include "interpose/core/options.hpp"
#include "interpose/core/say.hpp"
#include "interpose/cuda/elf.hpp"
#include "interpose/cuda/originals.hpp"
#include "interpose/cuda/table.hpp"
#include "interpose/trace/fact_writer.hpp"

namespace vramtrack::hooks {

namespace {

std::string_view path_of(const char* soname) noexcept {
  const Module module = find_module(soname);
  return module && module.path != nullptr ? std::string_view(module.path) : std::string_view();
}

template <class Wanted>
void list_rows(trace::FactWriter& fact, fact::Field<fact::Type::texts> of, Wanted wanted) noexcept {
  fact.begin_list(of);
  for (std::size_t i = 0; i < row_count; ++i)
    if (const Row row = static_cast<Row>(i); wanted(row)) fact.text(info(row).name);
  fact.end();
}

}  // namespace

void write_doors_note() noexcept {
  trace::FactWriter fact;
  fact.begin_map();
  fact.begin_list(fact::doors::runtimes);
  for (const char* soname : {"libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13"})
    if (const std::string_view path = path_of(soname); !path.empty()) fact.text(path);
  fact.end();
  fact.field(fact::doors::driver, path_of("libcuda.so.1"));
  list_rows(fact, fact::doors::by_name, called_by_name);
  list_rows(fact, fact::doors::by_look_up, [](Row row) { return real_of_pointer(row, 0) != nullptr; });
  fact.field(fact::doors::unwrapped, unwrapped());
  fact.write(trace::note_key::doors);
}

void tell_doctor() noexcept {
  auto* count = g_host_options.doctor ? VRAMTRACK_DRIVER(cuDeviceGetCount) : nullptr;
  int devices = 0;
  // A driver that was never initialized says so; one that has gone down already says something else.
  if (count == nullptr || count(&devices) == CUDA_ERROR_NOT_INITIALIZED) return;
  Line path;
  path << g_host_options.out << "/cuda-" << ::getpid();
  if (const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600); fd >= 0)
    ::close(fd);
}

}  // namespace vramtrack::hooks
