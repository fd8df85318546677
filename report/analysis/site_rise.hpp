// Whether a site's level rose all along the run, by the floors that the ledger kept (contract/site_floor.hpp). Births
// of survivors do not tell where memory is replaced by something longer each time, or where the oldest is always let go
// first: what is alive then is young.
#pragma once

#include <cstdint>
#include <vector>

#include "contract/layout.hpp"

namespace vramtrack {

/// In bytes, in the order of time, that of the stretch under way last; empty where the trace has none.
std::vector<std::uint64_t> floors_of(const trace::Site& site);

enum class Rise : std::uint8_t {
  none,
  more,    // blocks as large as ever, more and more of them
  longer,  // one block, replaced by a larger one each time
};

Rise rise_of(const trace::Site& site);

}  // namespace vramtrack
