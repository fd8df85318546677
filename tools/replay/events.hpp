// What PyTorch's allocator of one device was asked for, out of a recorded history.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "contract/reader.hpp"
#include "tools/replay/allocator.hpp"

namespace vramtrack::tools::replay {

struct Recording {
  int device = 0;
  std::vector<int> other_devices;  // that had tensors, too
  std::uint64_t total_bytes = 0;   // of the device; 0: not known
  std::uint64_t peak_live_bytes = 0, peak_reserved_bytes = 0;
  std::uint64_t other_bytes = 0;  // of the device, beside the allocator's, at most
  std::uint64_t ooms = 0;
  std::string settings;  // PYTORCH_CUDA_ALLOC_CONF of the run
  std::vector<Event> events;
  std::uint64_t unsure_blocks = 0;  // whose size as asked for is not certain
  std::vector<std::string> notes;   // what is missing in them
};

/// Throws when the trace has no history, or no tensors.
Recording read_recording(const std::string& path, const trace::TraceFile& trace);

}  // namespace vramtrack::tools::replay
