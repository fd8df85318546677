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
  more,          // blocks as large as ever, more and more of them
  longer,        // one block, replaced by a larger one each time
  until_let_go,  // more and more, until a function returned: over the whole run, whenever that was seen
  longer_until_let_go,
};

inline bool is_longer(Rise rise) { return rise == Rise::longer || rise == Rise::longer_until_let_go; }

Rise rise_of(const trace::Site& site);

/// The same (more, longer) of a site whose blocks were all let go when a function returned: `blocks` of `bytes` lived
/// while it ran.
Rise rise_until_let_go(const trace::Site& site, std::uint64_t bytes, std::uint64_t blocks);

/// Whether the level of a site that made some blocks, `bytes` in all, speaks against their growth, however evenly their
/// births lie: it is as high as in the middle of the run, as that of a pool which is replaced at random, or it was far
/// below theirs a short while ago, as that of a list which each round begins anew.
bool level_is_kept(const trace::Site& site, std::uint64_t bytes);

}  // namespace vramtrack
