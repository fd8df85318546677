// Where a row of the forest is filled, by the user's code or by a call that hands something over: its file, line and
// what it is known for. Pure but for source files, which it asks for through a function.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "report/holders/held_graph.hpp"
#include "report/holders/holding_tree.hpp"
#include "report/holders/known_holders.hpp"
#include "report/holders/place.hpp"
#include "report/model/model.hpp"

namespace vramtrack::holders {

/// The user's own file that a call site is in, "" when none is.
using FileOfSite = std::function<std::string(SiteId site)>;

class RowPlaces {
 public:
  /// All must outlive it.
  RowPlaces(const HeldGraph& held, const HoldingTree& tree, const ReadSource& read_source,
            const FileOfSite& file_of_site)
      : held_(held), tree_(tree), read_source_(read_source), file_of_site_(file_of_site) {}

  /// Whether the code there keeps the holder from growing without end. `outlives`: what it has taken out by itself was
  /// not all that came.
  bool set_place(std::uint32_t node, HolderReport& row, bool outlives) const;

  /// A cycle is named by the reference that a reader of the code can break.
  void set_cycle(std::uint32_t node, HolderReport& row) const;

  /// What most memory below a node is held by, where several parts hold it together (the hooks of two layers, which
  /// keep the same tensors), if that was handed over by a call. `at`: set to a part of that memory.
  const KnownHolder* known_below(std::uint32_t node, std::uint32_t& at) const;

  /// What the interpreter or a library keeps in a place of its own was handed to it by a call.
  void set_call(const KnownHolder& known, std::uint32_t node, HolderReport& row) const;

 private:
  /// The user's files that a row has to do with: that which allocated, then those of the code and of the objects that
  /// are kept.
  std::vector<std::string> files_of(std::uint32_t node, const HolderReport& row) const;
  std::string file_of_births(const HolderReport& row) const;

  const HeldGraph& held_;
  const HoldingTree& tree_;
  const ReadSource& read_source_;
  const FileOfSite& file_of_site_;
};

}  // namespace vramtrack::holders
