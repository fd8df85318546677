// What the program calls its nn.Modules, and which blocks the Python agent saw in use as parameters, gradients,
// optimizer state or buffers: from its facts `seen[]`, written while the modules lived.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "contract/reader.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

/// "blocks.3.mlp.0" -> "blocks.3", "blocks.3.mlp.0": up to each part that is a number.
std::vector<std::string> numbered_parts(const std::string& module);

/// "blocks.3" -> "blocks", "3" -> "".
std::string parent_of(const std::string& module);

class ModuleNames {
 public:
  /// `seen`: the facts, an array; anything else is empty. Damaged entries are left out.
  ModuleNames(const trace::TraceFile& trace, const Json& seen);

  /// The name of a label: a module's qualified name, or its class where the module died unseen; a range's own name.
  std::optional<std::string> of(std::uint32_t label) const;

  /// The outermost modules, by their names, that have some modules (by the addresses of their objects) below them and
  /// none of the others.
  std::vector<std::string> outermost(const std::set<std::uint64_t>& some, const std::set<std::uint64_t>& others) const;

  /// The module that a tensor belongs to, by the agent's name for it: "model.blocks.3.mlp.weight",
  /// "AdamW.exp_avg of model.head.weight".
  std::optional<std::string> owner(const std::string& tensor_name) const;

  /// Blocks of one site that were seen in one role and module: the most at once.
  struct Seen {
    std::string role;
    std::optional<std::string> module;
    std::uint64_t blocks = 0;
    Bytes bytes = 0;
  };
  const std::vector<Seen>& seen(std::uint32_t site) const;

 private:
  struct Root {
    std::string text, variable, type;
    bool has_children = false;
    std::uint64_t id = 0;  // its address in the process; 0: not known
  };
  struct Place {
    std::size_t root = 0;
    std::string path;
    bool operator==(const Place&) const = default;
  };

  void read(const Json& seen);
  std::size_t root(Root root);
  std::string name(const Place& place) const;

  const trace::TraceFile& trace_;
  std::vector<Root> roots_;
  std::map<std::uint32_t, std::optional<Place>> labels_;  // without a place: told differently at different times
  struct Sum {
    std::uint64_t blocks = 0;
    Bytes bytes = 0;
  };
  std::map<std::uint32_t, std::map<std::pair<std::string, std::string>, Sum>> sums_;  // by site; role, module's name
  std::map<std::uint32_t, std::vector<Seen>> seen_;
};

}  // namespace vramtrack
