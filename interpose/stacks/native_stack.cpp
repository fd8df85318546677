// See native_stack.hpp.
#include "interpose/stacks/native_stack.hpp"

#include <dlfcn.h>
#include <limits.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "interpose/core/code_address.hpp"
#include "interpose/core/say.hpp"

namespace vramtrack::stacks {
namespace {

using UnwBacktrace = int (*)(void**, int);
UnwBacktrace g_unw_backtrace = nullptr;

/// The libunwind that a wheel brings, beside this library; null where none was packed. Its name is its own: what the
/// program itself loads as libunwind.so.8 stays the system's.
void* open_bundled() noexcept {
  Dl_info own;
  char path[PATH_MAX];
  if (::dladdr(reinterpret_cast<void*>(&open_bundled), &own) == 0) return nullptr;
  const char* const slash = std::strrchr(own.dli_fname, '/');
  if (slash == nullptr) return nullptr;
  const int length = std::snprintf(path, sizeof path, "%.*s/libunwind-vramtrack.so.8",
                                   static_cast<int>(slash - own.dli_fname), own.dli_fname);
  if (length < 0 || static_cast<std::size_t>(length) >= sizeof path || ::access(path, R_OK) != 0) return nullptr;
  return ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/// The return address of a frame, from libunwind's word for it: on aarch64 some releases give the last byte of the call
/// instead, and some leave a signature on it.
std::uintptr_t return_address(void* frame) noexcept {
  const std::uintptr_t address = plain_address(reinterpret_cast<std::uintptr_t>(frame));
#if defined(__aarch64__)
  return (address + 3) & ~std::uintptr_t{3};
#else
  return address;
#endif
}

}  // namespace

void load_libunwind() noexcept {
  void* library = open_bundled();
  if (library == nullptr) library = ::dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) g_unw_backtrace = reinterpret_cast<UnwBacktrace>(::dlsym(library, "unw_backtrace"));
  if (g_unw_backtrace == nullptr) {
    say("libunwind.so.8 cannot be loaded (package libunwind8): stacks of unusual code will be cut short");
    return;
  }
  void* warm[8];  // its first call maps memory and finds out about the kernel
  g_unw_backtrace(warm, 8);
}

[[gnu::noinline]] std::uint32_t walk_libunwind(const CaptureStart& start, std::uint64_t* frames, std::uint32_t max,
                                               bool& truncated) noexcept {
  constexpr std::uint32_t own_frames = 16;  // from here to the hook's caller
  void* buffer[max_native + own_frames];
  if (g_unw_backtrace == nullptr) return 0;
  const int wanted = static_cast<int>((max < max_native ? max : max_native) + own_frames);
  const int got = g_unw_backtrace(buffer, wanted);
  int first = 0;
  while (first < got && return_address(buffer[first]) != start.ip) ++first;
  std::uint32_t n = 0;
  for (int i = first; i < got && n < max; ++i) frames[n++] = return_address(buffer[i]);
  truncated = got == wanted;
  return n;
}

bool stands_above(const CaptureStart& start, std::uintptr_t begin, std::uintptr_t end) noexcept {
  std::uint64_t frames[max_native];
  bool truncated = false;
  const std::uint32_t count = walk_libunwind(start, frames, max_native, truncated);
  for (std::uint32_t i = 0; i < count; ++i)
    if (frames[i] >= begin && frames[i] < end) return true;
  return count == 0 || truncated;
}

}  // namespace vramtrack::stacks
