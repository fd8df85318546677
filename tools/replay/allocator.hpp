// One replay: events through the allocator of a PyTorch, in a child process on the simulated GPU.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/replay/segments.hpp"

namespace vramtrack::tools::replay {

/// As the script reads it: six 64-bit words.
struct Event {
  enum Kind : std::uint64_t { alloc, free, empty_cache, attempt };
  std::uint64_t kind, block, bytes;
  std::uint64_t likely, least;  // that were asked for; both are `bytes` where that is certain
  Place place;
};
static_assert(sizeof(Event) == 48);

struct Request {
  std::string python;
  std::string settings;  // of PYTORCH_CUDA_ALLOC_CONF; "": none
  std::uint64_t device_bytes = 0, context_bytes = 0;
  std::filesystem::path events, folder;  // of Event records; for this replay's files
  bool as_recorded = false;              // ask for `bytes`; else for `likely`, and once more for `least`
};

/// What the script says (script.cpp), with `peak_reserved_if_least_bytes` of the second time. Throws with the last
/// lines of its stderr when it could not.
nlohmann::ordered_json run(const Request& request);

}  // namespace vramtrack::tools::replay
