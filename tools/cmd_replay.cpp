// vramtrack replay: a recorded history through PyTorch's own allocator, under other settings or on another device.
#include <algorithm>
#include <fstream>
#include <iomanip>
#include <iostream>

#include "contract/sim_settings.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"
#include "tools/command.hpp"
#include "tools/replay/allocator.hpp"
#include "tools/replay/events.hpp"
#include "tools/run/child.hpp"
#include "tools/scratch.hpp"

namespace vramtrack::tools {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

struct ReplayOptions {
  std::string trace, sim, python, format = "text", output;
  std::vector<std::string> settings;
};

ReplayOptions parse_options(const Arguments& arguments) {
  ReplayOptions options;
  CLI::App app(
      "Plays a recorded history through the allocator of the PyTorch in use, in a process of its own on the simulated"
      " GPU, under the run's own settings and under others.",
      "vramtrack replay");
  app.footer(
      "TRACE is of a run with its history: vramtrack run --history -- CMD ARGS...\n"
      "Example: vramtrack replay vramtrack-out/vramtrack-4242.vtrace --alloc-conf expandable_segments:True");
  app.add_option("TRACE", options.trace, "the trace (.vtrace)")->required();
  app.add_option("--alloc-conf", options.settings,
                 "a value for PYTORCH_CUDA_ALLOC_CONF; may be given several times (\"\": PyTorch's defaults)")
      ->allow_extra_args(false);
  app.add_option("--sim", options.sim, "size of the device, for example 24GiB (that of the run)");
  app.add_option("--python", options.python, "the interpreter whose PyTorch is used (that of the run)");
  app.add_option("--format", options.format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_option("-o,--output", options.output, "write to this file instead of standard output");
  parse(app, arguments);
  return options;
}

/// The interpreter of the run where it is still there, else the one that a shell would find.
std::string python_for(const ReplayOptions& options, const trace::TraceFile& trace) {
  if (!options.python.empty()) {
    if (std::string found = find_program(options.python); !found.empty()) return found;
    throw UsageError("--python " + options.python + ": not found");
  }
  std::vector<std::string> candidates;
  // Of a virtual environment the executable is the interpreter that it was made from: the command says which it was.
  if (const std::string* command = trace.note("command")) candidates.push_back(find_program(command->c_str()));
  if (const std::string* program = trace.note("executable")) candidates.push_back(*program);
  for (const std::string& candidate : candidates)
    if (fs::path(candidate).filename().string().starts_with("python") && fs::exists(candidate)) return candidate;
  if (std::string found = find_program("python3"); !found.empty()) return found;
  throw std::runtime_error("no Python found; --python names one that has PyTorch");
}

sim::Settings device_for(const ReplayOptions& options, const replay::Recording& recording) {
  sim::Settings device;
  std::string why;
  std::string size = options.sim;
  if (size.empty()) size = recording.total_bytes != 0 ? std::to_string(recording.total_bytes) : "80GiB";
  if (!sim::parse_settings(size, device, why)) throw UsageError("--sim=" + size + ": " + why);
  return device;
}

std::string shown(const std::string& settings) { return settings.empty() ? "PyTorch's defaults" : settings; }

void add_text(const std::string& title, const Json& result, std::ostream& out) {
  out << std::left << std::setw(46) << utf8::printable(utf8::sanitise(title)) << std::right << std::setw(11)
      << table_bytes(result["peak_reserved_bytes"]) << std::setw(12) << table_bytes(result["peak_live_bytes"])
      << std::setw(14) << table_bytes(result["largest_free_bytes"]) << "  ";
  if (!result["out_of_memory"].get<bool>())
    out << "no";
  else
    out << "yes, asked for " << human_bytes(result["oom"]["requested_bytes"]) << " with "
        << human_bytes(result["oom"]["live_bytes"]) << " live";
  out << '\n';
}

void write_text(const Json& document, std::ostream& out) {
  out << "vramtrack replay  " << utf8::printable(document["trace"].get<std::string>()) << "   "
      << human_count(document["events"]) << " events on a simulated GPU of " << human_bytes(document["total_bytes"])
      << "\nrecorded: peak reserved " << human_bytes(document["recorded"]["peak_reserved_bytes"]) << ", live "
      << human_bytes(document["recorded"]["peak_live_bytes"]) << "\n\n"
      << std::left << std::setw(46) << "settings" << std::right << std::setw(11) << "reserved" << std::setw(12)
      << "live" << std::setw(14) << "largest free"
      << "  out of memory\n";
  add_text("own: " + shown(document["own"]["alloc_conf"]), document["own"], out);
  for (const Json& result : document["results"]) add_text(shown(result["alloc_conf"]), result, out);
  for (const Json& note : document["notes"]) out << "note: " << note.get<std::string>() << '\n';
}

/// What it comes to if each block whose size is not certain had been asked for as little as it can have been; "" where
/// that makes no difference.
std::string if_least(const Json& results) {
  std::string text;
  for (const Json& result : results) {
    const std::uint64_t least = result["peak_reserved_if_least_bytes"];
    if (least == result["peak_reserved_bytes"]) continue;
    text += (text.empty() ? "" : ", ") + human_bytes(least) + " under " +
            shown(utf8::printable(result["alloc_conf"].get<std::string>()));
  }
  return text;
}

Json replay_all(const ReplayOptions& options) {
  const trace::TraceFile trace = trace::read_trace(options.trace);
  const replay::Recording recording = replay::read_recording(options.trace, trace);
  const sim::Settings device = device_for(options, recording);
  const Scratch scratch("replay");
  replay::Request request;
  request.python = python_for(options, trace);
  request.device_bytes = device.device_bytes;
  // What others took of the device was not the allocator's to take.
  request.context_bytes = std::min(device.context_bytes + recording.other_bytes, device.device_bytes / 2);
  request.events = fs::path(scratch.path()) / "events";
  std::ofstream file(request.events, std::ios::binary);
  file.write(reinterpret_cast<const char*>(recording.events.data()),
             static_cast<std::streamsize>(recording.events.size() * sizeof(replay::Event)));
  file.close();
  if (!file) throw std::runtime_error(request.events.string() + ": cannot write; is the file system full?");
  int runs = 0;
  const auto run = [&](const std::string& settings, bool as_recorded) {
    request.settings = settings;
    request.as_recorded = as_recorded || recording.unsure_blocks == 0;
    request.folder = fs::path(scratch.path()) / std::to_string(runs++);
    fs::create_directory(request.folder);
    Json result{{"alloc_conf", utf8::sanitise(settings)}};
    result.update(replay::run(request));
    return result;
  };
  Json document{{"schema", "vramtrack-replay/1"}, {"vramtrack_version", VRAMTRACK_VERSION}};
  document["trace"] = utf8::sanitise(options.trace);
  document["python"] = utf8::sanitise(request.python);
  document["device"] = recording.device;
  document["total_bytes"] = device.device_bytes;
  document["events"] = recording.events.size();
  document["recorded"] = {{"peak_live_bytes", recording.peak_live_bytes},
                          {"peak_reserved_bytes", recording.peak_reserved_bytes},
                          {"ooms", recording.ooms}};
  document["own"] = run(recording.settings, true);
  document["results"] = Json::array();
  for (const std::string& settings : options.settings) document["results"].push_back(run(settings, false));
  document["notes"] = recording.notes;
  if (options.sim.empty() && document["own"]["peak_reserved_bytes"] != recording.peak_reserved_bytes)
    document["notes"].push_back(
        "under its own settings the replay did not reserve what the run had: segments of other streams or memory pools"
        " went before the agent saw them, or the run had another PyTorch; take the figures as approximate");
  if (const std::string least = if_least(document["results"]); !least.empty())
    document["notes"].push_back("of " + plural(recording.unsure_blocks, "block") +
                                " it is not certain what was asked for, and what is likely was taken; with the least"
                                " that it can have been the allocator reserves " +
                                least +
                                ". A history recorded with PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True is exact");
  if (!recording.other_devices.empty())
    document["notes"].push_back("the run used other devices, too; this is the one whose allocator held most");
  return document;
}

}  // namespace

int cmd_replay(const Arguments& arguments) {
  const ReplayOptions options = parse_options(arguments);
  const Json document = replay_all(options);
  write_output(options.output, [&](std::ostream& out) {
    if (options.format == "json")
      out << document.dump(2) << '\n';
    else
      write_text(document, out);
  });
  return 0;
}

}  // namespace vramtrack::tools
