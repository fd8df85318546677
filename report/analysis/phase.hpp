// In which part of a training step a site allocates, by its frames.
#pragma once

#include <string>
#include <unordered_set>

#include "contract/reader.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

/// The Python lines that built autograd nodes: the trace keeps a stack of each (the forward side of a backward one).
class NodeLines {
 public:
  explicit NodeLines(const trace::TraceFile& trace);
  bool has(const trace::TraceFile& trace, const trace::Stack& stack) const;
  /// False: native frames were not recorded, so such stacks look like any other.
  bool known() const noexcept { return known_; }

 private:
  std::unordered_set<std::string> lines_;
  bool known_ = false;
};

struct PhaseOfSite {
  std::string phase;        // forward | backward | optimizer | data | other
  bool records = false;     // its line built autograd nodes: what it makes may be saved for backward
  bool recomputes = false;  // a checkpointed forward that runs in the backward pass
  bool moves = false;       // Module.to() and the like: parameters and buffers
  bool creates = false;     // outside of all passes, a tensor that is made from nothing or copied
};

/// `site` has its frames, module and range; `line_records`: NodeLines of its stack; `recurs`: whether it allocates
/// again and again.
PhaseOfSite phase_of(const Report& report, const SiteReport& site, bool line_records, bool recurs);

}  // namespace vramtrack
