// See unwind_rule.hpp.
#include "interpose/stacks/unwind_rule.hpp"

namespace vramtrack::stacks {

UnwindRule derive_rule(std::uintptr_t) noexcept { return {}; }

}  // namespace vramtrack::stacks
