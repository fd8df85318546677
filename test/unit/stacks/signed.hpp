#pragma once

namespace vramtrack {

/// Calls itself `depth` times and then `at_bottom`. `is_signed`: whether the return addresses on the stack carry
/// signatures.
[[gnu::noinline]] int signed_recursion(int depth, void (*at_bottom)(), bool& is_signed);

}  // namespace vramtrack
