// What of a held graph belongs to models: parameters, their gradients, the optimizers' state. Pure.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "report/holders/held_graph.hpp"
#include "report/holders/holding_tree.hpp"

namespace vramtrack::holders {

class ModelMemory {
 public:
  /// Both must outlive it.
  ModelMemory(const HeldGraph& held, const HoldingTree& tree);

  /// parameter, gradient, buffer, optimizer_state, saved_for_backward, python or unknown.
  std::string role_of(std::uint32_t storage) const;

  /// Whether most of what a node alone holds is what a model consists of. A container of whole models, one for each
  /// trial, is none.
  bool makes_up(std::uint32_t node) const;

  /// Whether it is, or belongs to, an optimizer whose parameters others hold, too: their model is in use. Of those of a
  /// model that was given up the optimizer is the only holder.
  bool is_state(std::uint32_t node) const;

  /// A tensor that is a model's parameter or buffer, or a gradient.
  bool has_part(std::uint32_t node) const;

 private:
  /// Whether others hold its parameters, too.
  bool is_in_use(std::uint32_t optimizer) const;

  const HeldGraph& held_;
  const HoldingTree& tree_;
  std::set<std::uint32_t> in_use_;  // optimizers
};

}  // namespace vramtrack::holders
