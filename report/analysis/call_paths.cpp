#include "report/analysis/call_paths.hpp"
#include "report/model/sites.hpp"
#include "report/support/utf8.hpp"

#include <algorithm>
#include <tuple>

namespace vramtrack::render {
namespace {

Frame own_frame(const char* name) {
  Frame frame;
  frame.kind = "native";
  frame.function = name;
  frame.module = "vramtrack";
  return frame;
}

}  // namespace

CallPaths::CallPaths(const Report& report)
    : report_(&report), own_{own_frame("(backward pass)"), own_frame("(stack unknown)")} {}

std::vector<FrameId> CallPaths::path(const SiteReport& site) const {
  std::vector<FrameId> path;
  if (site.backward_of && !site.backward_of->empty()) {
    path.assign(site.backward_of->rbegin(), site.backward_of->rend());
    path.push_back(backward_seam());
  }
  if (site.stack.empty()) {
    path.push_back(unknown());
  } else {
    path.insert(path.end(), site.stack.rbegin(), site.stack.rend());
  }
  return path;
}

const Frame& CallPaths::operator[](FrameId id) const {
  if (id < report_->frames.size()) return report_->frames[id];
  return own_.at(id - report_->frames.size());
}

std::string frame_name(const Frame& frame) {
  if (!frame.function.empty()) return utf8::printable(frame.function);
  if (!frame.module.empty()) return "(in " + utf8::printable(file_name(frame.module)) + ")";
  return "(unknown)";
}

std::string device_name(int device) { return device < 0 ? "host" : "cuda:" + std::to_string(device); }

const std::vector<Measure>& measures() {
  static const std::vector<Measure> all = {
      {"live_bytes", "bytes", "live", [](const SiteReport& s) { return s.live_bytes; }},
      {"live_count", "count", "live blocks", [](const SiteReport& s) { return s.live_count; }},
      {"peak_bytes", "bytes", "at the device's peak", [](const SiteReport& s) { return at_peak(s); }},
      {"allocated_bytes", "bytes", "allocated in all", [](const SiteReport& s) { return s.allocated_bytes; }},
      {"allocated_count", "count", "allocations", [](const SiteReport& s) { return s.allocated_count; }},
  };
  return all;
}

std::vector<Compartment> compartments(const Report& report) {
  std::vector<Compartment> found;
  for (const SiteReport& site : report.sites) {
    const Compartment compartment{site.layer, site.device};
    if (std::find(found.begin(), found.end(), compartment) == found.end()) found.push_back(compartment);
  }
  const auto rank = [](const Compartment& c) { return std::tuple(c.layer != "tensor", c.device < 0, c.device); };
  std::sort(found.begin(), found.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return found;
}

std::string compartment_title(const Compartment& compartment) {
  if (compartment.device < 0) return "CUDA host memory";
  return (compartment.layer == "tensor" ? "tensors on " : "CUDA memory on ") + device_name(compartment.device);
}

std::string document_title(const Report& report) {
  std::string command;
  for (const std::string& word : report.process.command) command += ' ' + word;
  return "vramtrack:" + utf8::shorten_middle(utf8::printable(command), 200) + " (pid " +
         std::to_string(report.process.pid) + ")";
}

}  // namespace vramtrack::render
