// The stacks of a report as tools that draw flame graphs want them: from the program's start to the allocation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack::render {

/// The frames of a report plus two of our own, and each site's path through them.
class CallPaths {
 public:
  explicit CallPaths(const Report& report);

  /// Outermost first, never empty. A backward allocation hangs below the line of the forward pass that it belongs to
  /// ("(backward pass)" marks the seam), since autograd's own thread says nothing about the model.
  std::vector<FrameId> path(const SiteReport& site) const;

  std::size_t size() const { return report_->frames.size() + own_.size(); }
  const Frame& operator[](FrameId id) const;

 private:
  FrameId backward_seam() const { return FrameId(report_->frames.size()); }
  FrameId unknown() const { return FrameId(backward_seam() + 1); }

  const Report* report_;
  std::vector<Frame> own_;
};

/// What to call a frame that may have no name: its function, else its module, else "(unknown)".
std::string frame_name(const Frame& frame);

/// "cuda:1", or "host" for memory of no device.
std::string device_name(int device);

/// The figures that exports offer for a site, in the order in which they are offered.
struct Measure {
  const char* name;   // live_bytes, ...
  const char* unit;   // bytes | count
  const char* title;  // live
  std::uint64_t (*of)(const SiteReport&);
};
const std::vector<Measure>& measures();

/// The (layer, device) pairs that have sites: the tensor layer first, then by device. Exports keep them apart, because
/// a tensor's bytes lie inside a segment of the cuda layer: a sum over both would count them twice.
struct Compartment {
  std::string layer;
  int device = 0;
  bool operator==(const Compartment&) const = default;
};
std::vector<Compartment> compartments(const Report& report);

/// "tensors on cuda:0", "CUDA memory on cuda:0", "CUDA host memory".
std::string compartment_title(const Compartment& compartment);

/// "vramtrack: COMMAND (pid N)", the title of an exported document.
std::string document_title(const Report& report);

}  // namespace vramtrack::render
