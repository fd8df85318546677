#include "report/analysis/phase.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "report/model/sites.hpp"

namespace vramtrack {
namespace {

std::string line_key(const trace::TraceFile& trace, const trace::Stack& stack) {
  const auto words = trace.python_words(stack);
  std::string key(reinterpret_cast<const char*>(words.data()), words.size_bytes());
  return key + std::to_string(stack.module) + "," + std::to_string(stack.range);
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

/// What one frame says; "": nothing.
std::string_view phase_of(const Frame& frame) {
  if (frame.kind != "python")
    return contains(frame.function, "torch::autograd::Engine") || contains(frame.function, "python::PythonEngine")
               ? "backward"
               : "";
  const std::string& file = frame.file;
  if (!contains(file, "torch/")) return "";
  if (contains(file, "/torch/optim/")) return "optimizer";
  if (contains(file, "/torch/nn/utils/clip_grad.py")) return "optimizer";
  if (contains(file, "/amp/grad_scaler.py") && !frame.function.ends_with("scale")) return "optimizer";
  if (contains(file, "/torch/utils/data/")) return "data";
  if (contains(file, "/torch/autograd/graph.py") || contains(file, "/torch/autograd/__init__.py"))
    return contains(frame.function, "backward") || frame.function == "grad" ? "backward" : "";
  if (contains(file, "/torch/_tensor.py") && frame.function.ends_with("backward")) return "backward";
  if (contains(file, "/torch/nn/modules/module.py")) {
    if (frame.function.ends_with("_call_impl")) return "forward";
    if (frame.function.ends_with("_apply") || contains(frame.function, "load_state_dict")) return "other";
  }
  return "";
}

/// Whether the innermost operator makes a tensor from nothing, or copies one: no computation.
bool only_creates(const Report& report, const SiteReport& site) {
  constexpr std::array<std::string_view, 14> names = {"empty",  "zeros",    "ones",    "full",     "rand",
                                                      "arange", "eye",      "tensor",  "_to_copy", "copy_",
                                                      "clone",  "linspace", "normal_", "resize_"};
  bool seen = false;
  for (const FrameId id : site.stack) {
    const Frame& frame = report.frames[id];
    if (frame.kind == "python") break;
    const std::size_t at = frame.function.find("at::_ops::");
    if (at == std::string::npos) continue;
    seen = true;
    const std::string_view name = std::string_view(frame.function).substr(at + 10);
    if (std::none_of(names.begin(), names.end(), [&](std::string_view known) { return name.starts_with(known); }))
      return false;
  }
  return seen;
}

}  // namespace

NodeLines::NodeLines(const trace::TraceFile& trace) {
  known_ = std::any_of(trace.stacks.begin(), trace.stacks.end(),
                       [](const trace::Stack& stack) { return stack.known && stack.native_frames > 0; });
  if (!known_) return;
  for (const trace::Stack& stack : trace.stacks)
    if (stack.known && (stack.flags & trace::stack_no_native) != 0) lines_.insert(line_key(trace, stack));
}

bool NodeLines::has(const trace::TraceFile& trace, const trace::Stack& stack) const {
  return known_ && stack.python_frames > 0 && lines_.contains(line_key(trace, stack));
}

PhaseOfSite phase_of(const Report& report, const SiteReport& site, bool line_records, bool recurs) {
  PhaseOfSite result;
  result.records = line_records;
  if (site.range) {
    for (const char* name : {"forward", "backward", "optimizer", "data"})
      if (*site.range == name) result.phase = name;
  }
  for (const FrameId id : site.stack) {
    const Frame& frame = report.frames[id];
    if (frame.kind == "python" && contains(frame.file, "/torch/utils/checkpoint.py")) result.recomputes = true;
    if (const std::string_view phase = phase_of(frame); !phase.empty() && result.phase.empty()) {
      result.phase = phase;
      result.moves = phase == "other";
      // Whether it runs within the backward pass: a module that is called there is called again.
      if (phase == "forward") {
        const bool in_backward =
            site.backward_of || std::any_of(site.stack.begin(), site.stack.end(), [&](FrameId other) {
              return phase_of(report.frames[other]) == "backward";
            });
        if (in_backward) result.phase = "backward";
      }
    }
  }
  result.recomputes = result.recomputes && result.phase == "backward" && site.module.has_value();
  if (!result.phase.empty()) return result;
  const auto is_functional = [&](FrameId id) { return contains(report.frames[id].file, "/torch/nn/functional.py"); };
  if (site.backward_of) {
    result.phase = "backward";
  } else if (site.module || line_records || std::any_of(site.stack.begin(), site.stack.end(), is_functional)) {
    result.phase = "forward";
  } else {
    result.creates = only_creates(report, site);
    result.phase = result.creates && recurs ? "data" : "other";
  }
  return result;
}

}  // namespace vramtrack
