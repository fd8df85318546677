// Built so that it signs its return addresses (aarch64).
#include "signed.hpp"

#include <cstdint>

namespace vramtrack {

int signed_recursion(int depth, void (*at_bottom)(), bool& is_signed) {
  const auto* const record = static_cast<const std::uintptr_t*>(__builtin_frame_address(0));
  is_signed = record[1] != reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  if (depth == 0) {
    at_bottom();
    return 0;
  }
  volatile int local = signed_recursion(depth - 1, at_bottom, is_signed);
  return local + 1;
}

}  // namespace vramtrack
