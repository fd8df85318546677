// The active writer (writer.hpp). The pointer lives in a page that the kernel clears in every forked child, also after
// a raw fork system call that runs no pthread_atfork handlers: the child cannot reach into the mapping that it lacks.
#include <sys/mman.h>

#include <atomic>
#include <new>

#include "interpose/core/hot.hpp"
#include "interpose/core/lock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::trace {

namespace {

constinit std::atomic<Writer*> g_fallback{nullptr};
VRAMTRACK_HOT constinit std::atomic<std::atomic<Writer*>*> g_active{&g_fallback};
constinit SpinLock g_active_lock;
constinit std::atomic<Writer*> g_latest{nullptr};  // not wiped by a fork

std::atomic<Writer*>* active_page() {
  std::atomic<Writer*>* cell = g_active.load(std::memory_order_acquire);
  if (cell != &g_fallback) return cell;
  const LockGuard guard(g_active_lock);
  cell = g_active.load(std::memory_order_relaxed);
  if (cell != &g_fallback) return cell;
  const std::size_t bytes = page_bytes();
  void* const page = map_pages(bytes);
  if (page == nullptr) return cell;
  const SavedErrno keep;
  if (::madvise(page, bytes, MADV_WIPEONFORK) != 0) {  // before Linux 4.14: the atfork handlers have to do
    unmap_pages(page, bytes);
    return cell;
  }
  cell = new (page) std::atomic<Writer*>(nullptr);
  g_active.store(cell, std::memory_order_release);
  return cell;
}

}  // namespace

Writer* active() noexcept { return g_active.load(std::memory_order_acquire)->load(std::memory_order_acquire); }

void set_active(Writer* writer) noexcept {
  if (writer != nullptr) g_latest.store(writer, std::memory_order_relaxed);
  active_page()->store(writer, std::memory_order_release);
}

Writer* inherited() noexcept { return g_latest.exchange(nullptr, std::memory_order_relaxed); }

}  // namespace vramtrack::trace
