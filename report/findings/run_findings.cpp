#include "report/findings/run_findings.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "report/findings/registry.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::findings {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool has_variable(const std::string& environment, const std::string& assignment) {
  for (std::size_t at = 0; at < environment.size();) {
    const std::size_t end = std::min(environment.find('\0', at), environment.size());
    if (environment.compare(at, end - at, assignment) == 0) return true;
    at = end + 1;
  }
  return false;
}

std::vector<std::string> open_devices(const fs::path& process) {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(process / "fd", error)) {
    const std::string target = fs::read_symlink(entry.path(), error).string();
    if (target.starts_with("/dev/nvidia") && std::find(found.begin(), found.end(), target) == found.end())
      found.push_back(target);
  }
  return found;
}

bool is_gone(const fs::path& process) {
  const std::string stat = read_file(process / "stat");
  const std::size_t name_end = stat.rfind(") ");
  return name_end == std::string::npos || name_end + 2 >= stat.size() || stat[name_end + 2] == 'Z' ||
         stat[name_end + 2] == 'X';
}

/// A command as one line of a message: the text of `python -c` may have many.
std::string one_line(const std::string& command) {
  constexpr std::size_t longest = 160;
  std::string line;
  for (const char c : command) {
    const bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!blank)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  if (line.size() > longest) line = line.substr(0, longest - 3) + "...";
  return utf8::sanitise(line);
}

/// Where the process took most of what it still holds.
void add_place(const Report& report, Finding& finding) {
  for (const SiteReport& site : report.sites) {  // largest first
    if (site.live_bytes == 0 || !is_main_layer(report, site)) continue;
    const Frame* frame = point_at(finding, report, site);
    if (frame == nullptr) continue;
    finding.message += " Most of it was allocated at " + frame_label(*frame) + ".";
    return;
  }
}

}  // namespace

std::vector<Leftover> leftover_processes(const std::string& run_id) {
  std::vector<Leftover> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    std::int64_t pid = 0;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (failed != std::errc() || end != name.data() + name.size() || pid == ::getpid()) continue;
    if (!has_variable(read_file(entry.path() / "environ"), "VRAMTRACK_RUN_ID=" + run_id) || is_gone(entry.path()))
      continue;
    Leftover leftover;
    leftover.pid = pid;
    leftover.command = read_file(entry.path() / "cmdline");
    std::replace(leftover.command.begin(), leftover.command.end(), '\0', ' ');
    while (leftover.command.ends_with(' ')) leftover.command.pop_back();
    leftover.devices = open_devices(entry.path());
    found.push_back(std::move(leftover));
  }
  return found;
}

std::vector<Finding> run_findings(const std::vector<Leftover>& leftovers, const std::vector<Report>& reports) {
  std::vector<Finding> found;
  for (const Leftover& leftover : leftovers) {
    Bytes held = 0;
    const auto own = std::find_if(reports.begin(), reports.end(),
                                  [&](const Report& report) { return report.process.pid == leftover.pid; });
    if (own != reports.end())
      for (const Total& total : own->totals)
        if (total.layer == "cuda" && total.device >= 0 && total.kind != "all") held += total.live_bytes;
    if (held == 0 && leftover.devices.empty()) continue;
    Finding finding = make("leftover-process", "warning",
                           "Process " + std::to_string(leftover.pid) + " still runs and holds the GPU");
    finding.bytes = held;
    finding.message =
        "The command has ended, but a process that it started is still alive: " + std::to_string(leftover.pid) + " (" +
        one_line(leftover.command) + ")" +
        (held != 0 ? ", holding " + human_bytes(held) + " of GPU memory" : std::string()) +
        ". Its memory stays taken until it ends.";
    if (own != reports.end() && held != 0) add_place(*own, finding);
    finding.variable = "pid " + std::to_string(leftover.pid);
    finding.fix = "If it should not be there, end it with `kill " + std::to_string(leftover.pid) +
                  "` (`kill -9` if that does not help); in the "
                  "script, join or terminate workers before exiting, or make them daemons.";
    finding.evidence = {{"pid", leftover.pid},
                        {"command", utf8::sanitise(leftover.command)},
                        {"devices", leftover.devices},
                        {"live_bytes", held}};
    found.push_back(std::move(finding));
  }
  return found;
}

}  // namespace vramtrack::findings
