#include "report/analysis/site_key.hpp"

#include <algorithm>
#include <map>

#include "report/model/sites.hpp"

namespace vramtrack {
namespace {

constexpr char part_end = '\x1f', frame_end = '\x1e';

/// A function known by its address only is another one in every run.
bool is_address(const std::string& function) { return function.starts_with("0x"); }

}  // namespace

std::string main_script(const Report& report) {
  std::map<std::string, std::size_t> stacks;
  for (const SiteReport& site : report.sites) {
    const std::vector<FrameId>& stack = site.backward_of ? *site.backward_of : site.stack;
    for (auto id = stack.rbegin(); id != stack.rend(); ++id) {
      if (*id >= report.frames.size() || !is_own_frame(report.frames[*id])) continue;
      ++stacks[report.frames[*id].file];
      break;
    }
  }
  const auto most =
      std::max_element(stacks.begin(), stacks.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == stacks.end() ? "" : most->first;
}

std::string compared_file(const Frame& frame, const std::string& script) {
  if (frame.kind != "python") return std::string(file_name(frame.module));
  return !script.empty() && frame.file == script ? "<script>" : std::string(file_name(frame.file));
}

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
  if (options.lines && site.module) key += part_end + *site.module;
  key += frame_end;
  for (const Frame* frame : key_frames(report, site, options)) {
    if (!is_address(frame->function)) key += frame->function;
    key += part_end;
    key += compared_file(*frame, options.script);
    if (options.lines) {
      key += part_end;
      key += std::to_string(frame->line);
    }
    key += frame_end;
  }
  return key;
}

}  // namespace vramtrack
