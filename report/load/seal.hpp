// Checksums of a trace at rest. While its process lives a trace is memory, and each store would have to mend a sum;
// once the process is gone nothing changes any more, and the launcher seals it: whatever disk, copy or program changes
// a byte afterwards, the next reader says so.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace vramtrack {

/// Writes the Seal of each run of extents that is in use, into the trace `path` of the calling user. Does nothing, and
/// returns false, while its process (or anything else) holds the file's lock, when it is sealed, and when it cannot be
/// written: a trace without a seal is as good as it was. Reads the file once.
bool seal_trace(const std::string& path);

/// What the seals of a trace say, as warnings for its reader: nothing for one that nobody sealed, or that is unchanged.
std::vector<std::string> broken_seals(std::span<const std::byte> bytes);

}  // namespace vramtrack
