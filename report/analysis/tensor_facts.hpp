// The agent's facts about tensors, looked up by the address of a block.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack {

class TensorIndex {
 public:
  /// Of the fact `tensors`. Damaged rows are left out.
  explicit TensorIndex(const Json& fact);

  /// The most telling tensor whose data begins inside the block: one at its start before views into it, then by role
  /// (a parameter before a mere Python variable).
  std::optional<TensorFacts> find(std::uint64_t address, Bytes bytes) const;

  bool empty() const noexcept { return entries_.empty(); }

 private:
  struct Entry {
    std::uint64_t address;
    int rank;  // of the role, lower is more telling
    TensorFacts facts;
  };
  std::vector<Entry> entries_;  // by address, then rank
};

}  // namespace vramtrack
