// Holders that others met before (known_holders.def). Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vramtrack::holders {

/// HolderReport::known of what a statement was building when memory ran out.
inline constexpr std::string_view unfinished = "a container that a statement which still runs is filling";

/// And of a tensor that only a running statement has.
inline constexpr std::string_view intermediate = "what a statement that still runs has computed so far";

struct KnownHolder {
  std::string_view name, holder, member, born, what, fix;
};

std::span<const KnownHolder> known_holders();

/// The functions that hand memory over to a holder, alternatives with `|`; "" where a variable tells.
std::string_view calls_that_hand_over(const KnownHolder& holder);

/// One step on the way to memory: what holds (a qualified class, a function, a root) and the name that leads on.
struct HoldingStep {
  std::string holder, member;
};

/// The row for the step nearest to the memory, or nullptr. `born`: source files whose lines allocated it.
const KnownHolder* known_holder(std::span<const HoldingStep> way, std::span<const std::string> born = {});

/// Whether `text` fits `pattern`: alternatives with `|`, `*` for any characters, `#` for digits.
bool fits(std::string_view pattern, std::string_view text);

}  // namespace vramtrack::holders
