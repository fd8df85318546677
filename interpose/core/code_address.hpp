// Addresses of code that a program keeps on its stack.
#pragma once

#include <cstdint>

namespace vramtrack {

/// A return address as it is used, from one as it lies on the stack: code that was built so signs it (pointer
/// authentication of aarch64), and the signature is in the address's upper bits.
inline std::uintptr_t plain_address(std::uintptr_t address) noexcept {
#if defined(__aarch64__)
  register std::uintptr_t x30 asm("x30") = address;
  asm("hint #7" : "+r"(x30));  // xpaclri: nothing where the processor knows no signatures
  return x30;
#else
  return address;
#endif
}

}  // namespace vramtrack
