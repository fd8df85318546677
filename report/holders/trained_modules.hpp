// Which nn.Modules learn: those whose parameters an optimizer has. Pure.
#pragma once

#include <cstdint>
#include <set>

#include "report/holders/held_graph.hpp"

namespace vramtrack::holders {

/// Modules with parameters of their own that want gradients, by the addresses of their objects.
struct TrainedModules {
  std::set<std::uint64_t> with_optimizer, without;

  /// Adds what a graph shows, if it shows an optimizer, and says whether it does. A module may come to have one later.
  bool add(const HeldGraph& held);
};

}  // namespace vramtrack::holders
