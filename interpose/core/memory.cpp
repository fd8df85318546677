#include "interpose/core/memory.hpp"

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>

#include "interpose/core/saved_errno.hpp"

namespace vramtrack {

namespace {
constexpr std::size_t round_up(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }
}  // namespace

std::size_t page_bytes() noexcept { return ::getauxval(AT_PAGESZ); }

void* map_pages(std::size_t bytes) noexcept {
  const SavedErrno keep;
  void* const address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return address == MAP_FAILED ? nullptr : address;
}

void* map_huge_pages(std::size_t bytes) noexcept {
  const SavedErrno keep;
  const std::size_t wanted = round_up(bytes, page_bytes());
  auto* const mapped = static_cast<std::byte*>(map_pages(wanted + huge_page));
  if (mapped == nullptr) return nullptr;
  const std::size_t before =
      round_up(reinterpret_cast<std::uintptr_t>(mapped), huge_page) - reinterpret_cast<std::uintptr_t>(mapped);
  unmap_pages(before == 0 ? nullptr : mapped, before);
  unmap_pages(mapped + before + wanted, huge_page - before);
  ::madvise(mapped + before, wanted, MADV_HUGEPAGE);
  return mapped + before;
}

void unmap_pages(void* address, std::size_t bytes) noexcept {
  const SavedErrno keep;
  if (address != nullptr) ::munmap(address, bytes);
}

std::size_t address_room() noexcept {
  const SavedErrno keep;
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  char text[32] = {};
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  const ssize_t bytes = file < 0 ? 0 : ::read(file, text, sizeof text - 1);
  if (file >= 0) ::close(file);
  std::size_t pages = 0;
  for (const char* digit = text; *digit >= '0' && *digit <= '9'; ++digit)
    pages = 10 * pages + static_cast<std::size_t>(*digit - '0');
  if (bytes <= 0) return limit.rlim_cur / 4;  // no /proc
  return pages >= limit.rlim_cur / page_bytes() ? 0 : limit.rlim_cur - pages * page_bytes();
}

void* reserve_addresses(std::size_t bytes) noexcept {
  const SavedErrno keep;
  // PROT_NONE: no memory is charged, also where overcommit is forbidden.
  void* const address = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return nullptr;
  ::munlock(address, bytes);  // after mlockall(MCL_FUTURE) it would use up what the program may lock
  return address;
}

void* Arena::allocate(std::size_t bytes, std::size_t alignment) noexcept {
  auto padding = (alignment - reinterpret_cast<std::uintptr_t>(next_)) & (alignment - 1);
  if (next_ == nullptr || bytes + padding > left_) {
    const std::size_t chunk = round_up(bytes > 64 * 1024 ? bytes : 64 * 1024, page_bytes());
    auto* const fresh = static_cast<std::byte*>(map_pages(chunk));
    if (fresh == nullptr) return nullptr;
    next_ = fresh;
    left_ = chunk;
    padding = 0;  // pages are aligned enough
  }
  std::byte* const result = next_ + padding;
  next_ = result + bytes;
  left_ -= bytes + padding;
  return result;
}

bool ReservedPages::reserve(std::size_t bytes) noexcept {
  constexpr std::size_t least = std::size_t{1} << 20;
  const std::size_t share = address_room() / 64, most = share > least ? share : least;
  bytes = round_up(bytes < most ? bytes : most, page_bytes());
  void* const address = reserve_addresses(bytes);
  if (address == nullptr) return false;
  base_ = static_cast<std::byte*>(address);
  reserved_ = bytes;
  usable_ = 0;
  return true;
}

bool ReservedPages::grow(std::size_t bytes) noexcept {
  const SavedErrno keep;
  if (bytes <= usable_) return true;
  if (bytes > reserved_) return false;
  // In steps of a quarter of the size: few system calls, and memory is touched only where it is used.
  std::size_t target = round_up(bytes, page_bytes());
  const std::size_t step = round_up(usable_ / 4 + 64 * 1024, page_bytes());
  if (target < usable_ + step) target = usable_ + step;
  if (target > reserved_) target = reserved_;
  if (::mprotect(base_ + usable_, target - usable_, PROT_READ | PROT_WRITE) != 0) return false;
  usable_ = target;
  return true;
}

}  // namespace vramtrack
