#include "report/site_key.hpp"

#include <algorithm>

#include "report/sites.hpp"

namespace vramtrack {
namespace {

constexpr char part_end = '\x1f', frame_end = '\x1e';

/// A function known by its address only is another one in every run.
bool is_address(const std::string& function) { return function.starts_with("0x"); }

}  // namespace

std::vector<const Frame*> key_frames(const Report& report, const SiteReport& site, const SiteKeyOptions& options) {
  std::vector<const Frame*> frames;
  const auto add = [&](const std::vector<FrameId>& stack) {
    for (const FrameId id : stack) {
      if (id < report.frames.size()) frames.push_back(&report.frames[id]);
    }
  };
  add(site.stack);
  if (site.backward_of) add(*site.backward_of);
  if (!options.native_frames) {
    const auto is_python = [](const Frame* frame) { return frame->kind == "python"; };
    if (std::any_of(frames.begin(), frames.end(), is_python)) {
      std::erase_if(frames, [&](const Frame* frame) { return !is_python(frame); });
    }
  }
  return frames;
}

std::string site_key(const Report& report, const SiteReport& site, const SiteKeyOptions& options) {
  std::string key = site.layer + part_end + site.kind + part_end;
  if (options.device) key += std::to_string(site.device);
  key += part_end;
  if (site.backward_of) key += "backward";
  key += frame_end;
  for (const Frame* frame : key_frames(report, site, options)) {
    if (!is_address(frame->function)) key += frame->function;
    key += part_end;
    key += file_name(frame->kind == "python" ? frame->file : frame->module);
    if (options.lines) {
      key += part_end;
      key += std::to_string(frame->line);
    }
    key += frame_end;
  }
  return key;
}

}  // namespace vramtrack
