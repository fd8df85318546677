#include "interpose/core/signal_context.hpp"

#include <elf.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "interpose/core/code_address.hpp"
#include "interpose/core/saved_errno.hpp"

namespace vramtrack {

namespace {

constexpr int signals = 64;

struct KernelAction {  // struct kernel_sigaction: libc's has another order and hides the restorer
  std::uintptr_t handler;
  unsigned long flags;
  std::uintptr_t restorer;
  std::uint64_t mask;
};

bool ask(int number, KernelAction& action) noexcept {
  return ::syscall(SYS_rt_sigaction, number, nullptr, &action, sizeof action.mask) == 0;
}

bool has_handler(const KernelAction& action) noexcept {
  return action.handler != reinterpret_cast<std::uintptr_t>(SIG_DFL) &&
         action.handler != reinterpret_cast<std::uintptr_t>(SIG_IGN);
}

#if defined(__aarch64__)
/// The kernel's own code that ends a handler, in the library that it maps into every process. 0: there is none.
std::uintptr_t kernel_return_of_handlers() noexcept {
  const auto* const header = reinterpret_cast<const Elf64_Ehdr*>(::getauxval(AT_SYSINFO_EHDR));
  if (header == nullptr) return 0;
  const auto* const image = reinterpret_cast<const std::byte*>(header);
  const auto* const segments = reinterpret_cast<const Elf64_Phdr*>(image + header->e_phoff);
  constexpr std::uint64_t rt_sigreturn = 0xd4000001'd2801168;  // mov x8, #139; svc #0
  for (unsigned i = 0; i < header->e_phnum; ++i) {
    if (segments[i].p_type != PT_LOAD || (segments[i].p_flags & PF_X) == 0) continue;
    const std::byte* const begin = image + segments[i].p_offset;
    for (std::uint64_t at = 0; at + 8 <= segments[i].p_filesz; at += 4) {
      std::uint64_t code;
      __builtin_memcpy(&code, begin + at, sizeof code);
      if (code == rt_sigreturn) return reinterpret_cast<std::uintptr_t>(begin + at);
    }
  }
  return 0;
}
#endif

/// Where a handler returns to. On x86-64 this is the first word of what the kernel puts on the stack for it, and the C
/// library's code; on aarch64 it is what the handler is called with as its return address, so it is on the stack as
/// soon as the handler has called something. 0: no handler is installed.
std::uintptr_t return_of_handlers() noexcept {
  static std::atomic<std::uintptr_t> known{0};  // the C library has one for all
  constexpr unsigned long has_restorer = 0x04000000;
  std::uintptr_t found = known.load(std::memory_order_relaxed);
#if defined(__aarch64__)
  if (found == 0) found = kernel_return_of_handlers();
#endif
  for (int number = 1; found == 0 && number <= signals; ++number)
    if (KernelAction action{}; ask(number, action) && has_handler(action) && (action.flags & has_restorer) != 0)
      found = action.restorer;
  known.store(found, std::memory_order_relaxed);
  return found;
}

stack_t signal_stack() noexcept {
  stack_t now{};
  if (::syscall(SYS_sigaltstack, nullptr, &now) != 0) now.ss_flags = SS_DISABLE;
  return now;
}

}  // namespace

bool on_signal_stack() noexcept { return (signal_stack().ss_flags & SS_ONSTACK) != 0; }

bool may_be_in_signal_handler() noexcept {
  const stack_t stack = signal_stack();
  if ((stack.ss_flags & SS_ONSTACK) != 0) return true;
  const bool has_stack = (stack.ss_flags & SS_DISABLE) == 0;
  std::uint64_t blocked = 0;
  if (::syscall(SYS_rt_sigprocmask, SIG_BLOCK, nullptr, &blocked, sizeof blocked) != 0) return true;
  for (int number = 1; number <= signals; ++number) {
    KernelAction action{};
    if (!ask(number, action)) return true;
    if (!has_handler(action)) continue;
    if (has_stack && (action.flags & SA_ONSTACK) != 0) continue;  // it would run on that stack
    if ((blocked >> (number - 1) & 1) != 0 || (action.flags & SA_NODEFER) != 0) return true;
  }
  return false;
}

[[gnu::no_sanitize("address", "thread")]] bool handler_between(std::uintptr_t inner, std::uintptr_t outer) noexcept {
  const SavedErrno keep;
  const std::uintptr_t wanted = return_of_handlers();
  if (wanted == 0) return false;
  if (on_signal_stack()) return true;
  for (std::uintptr_t at = inner & ~std::uintptr_t{7}; at < outer; at += 8)
    if (plain_address(*reinterpret_cast<const volatile std::uintptr_t*>(at)) == wanted) return true;
  return false;
}

}  // namespace vramtrack
