#include "tools/run/collect.hpp"

#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iostream>

#include "contract/layout.hpp"
#include "contract/mapped_input.hpp"
#include "contract/reader.hpp"
#include "report/analysis/process_facts.hpp"
#include "report/compare/context_bytes.hpp"
#include "report/compare/merged_timeline.hpp"
#include "report/findings/findings.hpp"
#include "report/load/seal.hpp"
#include "report/render/render.hpp"
#include "report/support/files.hpp"
#include "report/support/log.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"
#include "tools/command.hpp"

namespace vramtrack::tools {
namespace fs = std::filesystem;
namespace {

bool read_header(const fs::path& path, trace::Header& header) {
  const files::Descriptor file = files::open_regular(path.string());
  return file && pread(file.number(), &header, sizeof header, sizeof(trace::ExtentHeader)) == sizeof header &&
         std::memcmp(header.magic, trace::magic, sizeof header.magic) == 0;
}

/// Why a file of the output folder is not looked at, or "". Whoever can write there could have put it.
std::string refusal(const fs::path& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return "";
  if (!S_ISREG(status.st_mode)) return "is not a regular file";
  const char* const why = trace::why_not_own(status);
  return why == nullptr ? "" : why;
}

/// A living process keeps its trace locked.
bool is_locked(const fs::path& path) {
  const files::Descriptor file = files::open_regular(path.string());
  return file && flock(file.number(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

bool is_alive(std::int64_t pid) { return kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM; }

/// What the launcher knows better than the trace: how its own child ended, and who is still there.
void complete_end(Process& process, const ChildEnd* end, const fs::path& trace, bool elsewhere) {
  if (elsewhere) {  // another container or machine: its process ids say nothing here
    if (process.end.kind == "running" && !is_locked(trace)) process.end.kind = "unknown";
  } else if (end != nullptr && process.pid == end->pid) {
    process.end.kind = end->signalled ? (end->code == SIGKILL ? "killed" : "signal") : "exit";
    process.end.code = end->code;
    if (process.ended_at.empty()) {  // killed: nothing was written at its end
      const std::optional<double> started = parse_rfc3339(process.started_at);
      process.ended_at = rfc3339(end->real_ns);
      if (started) process.duration = std::max(process.duration, static_cast<double>(end->real_ns) / 1e9 - *started);
    }
  } else if (process.end.kind == "running" && !is_alive(process.pid)) {
    process.end.kind = "unknown";
  }
}

void add_run_findings(std::vector<Report>& reports, pid_t main_pid, const std::vector<findings::Leftover>& leftovers) {
  std::vector<Finding> found = findings::run_findings(leftovers, reports);
  for (Finding& finding : findings::tell_idle_contexts(reports, main_pid)) found.push_back(std::move(finding));
  auto main = std::find_if(reports.begin(), reports.end(), [&](const Report& r) { return r.process.pid == main_pid; });
  if (main == reports.end()) main = reports.begin();
  main->findings.insert(main->findings.end(), found.begin(), found.end());
  findings::worst_first(main->findings);
}

void write_json(const Report& report, const fs::path& path) {
  const log::Step step("write " + path.string());
  files::replace_file(path.string(), [&](std::ostream& out) { render::json(report, out); });
}

}  // namespace

bool leaks(const Report& report, std::uint64_t at_least) {
  return std::any_of(report.sites.begin(), report.sites.end(), [&](const SiteReport& site) {
    return site.verdict == "growing" && site.live_bytes >= std::max<std::uint64_t>(at_least, 1);
  });
}

std::string leak_message(std::uint64_t at_least) {
  return "vramtrack: a growing site holds at least " + human_bytes(std::max<std::uint64_t>(at_least, 1)) +
         ": exit code " + std::to_string(exit_leak);
}

Collector::Collector(fs::path folder, AnalyseOptions options)
    : folder_(std::move(folder)), options_(std::move(options)) {
  options_.whose = trace::Whose::own;
  scan();
  older_refused_ = std::move(refused_);
  refused_.clear();
  for (const auto& [path, seen] : seen_) older_[path] = seen.started_ticks;
  seen_.clear();
  folder_changed_ = {};
}

/// Only files that have come since the last look are opened for their start; of those known, the header alone is read.
void Collector::scan() {
  std::error_code error;
  const fs::file_time_type changed = fs::last_write_time(folder_, error);
  const bool settled = fs::file_time_type::clock::now() - changed > std::chrono::seconds(2);  // all have their header
  if (!error && changed == folder_changed_ && settled) {
    for (auto& [path, seen] : seen_) {
      trace::Header header;
      if (read_header(path, header)) seen.ooms = header.ooms;
    }
    return;
  }
  folder_changed_ = changed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
    if (entry.path().extension() != ".vtrace") continue;
    if (refused_.contains(entry.path()) || older_refused_.contains(entry.path())) continue;
    if (std::string why = refusal(entry.path()); !why.empty()) {
      refused_.emplace(entry.path(), std::move(why));
      continue;
    }
    trace::Header header;
    if (!read_header(entry.path(), header)) continue;
    const auto older = older_.find(entry.path());
    if (older != older_.end() && older->second == header.clock.start_ticks) continue;
    seen_[entry.path()] = {entry.path(), header.ooms, header.clock.start_ticks,
                           trace::are_apart(trace::whereabouts(header), here_)};
  }
}

void Collector::write_ooms(Seen& seen, std::uint32_t from, const ChildEnd* end) {
  const std::uint32_t last = std::min(seen.ooms, trace::max_oom_snapshots);
  if (from > last) return;
  const trace::TraceFile trace = trace::read_trace(seen.trace.string(), options_.whose);
  for (std::uint32_t n = from; n <= last; ++n) {
    AnalyseOptions options = options_;
    options.at = "oom";
    options.oom = n;
    Report report = analyse(trace, options);
    complete_end(report.process, end, seen.trace, seen.elsewhere);
    fs::path path = seen.trace;
    write_json(report, path.replace_extension(".oom-" + std::to_string(n) + ".json"));
  }
}

void Collector::tell_refused() const {
  constexpr std::size_t most = 3;
  std::size_t shown = 0;
  for (const auto& [path, why] : refused_) {
    if (++shown > most) break;
    std::cerr << "vramtrack: " << utf8::printable(path.string()) << ' ' << why << ": left out\n";
  }
  if (refused_.size() > most)
    std::cerr << "vramtrack: " << refused_.size() - most << " more such files were left out\n";
}

void Collector::poll() {
  try {
    scan();
    for (auto& [path, seen] : seen_) {
      std::uint32_t& written = ooms_written_[path];
      if (seen.ooms <= written) continue;
      write_ooms(seen, written + 1, nullptr);
      written = seen.ooms;
    }
  } catch (const std::exception&) {
    // Said at the end, when the same reports are written again with all facts: a half-written note is no news now.
  }
}

std::vector<Collected> Collector::finish(const ChildEnd& end, const std::vector<findings::Leftover>& leftovers) {
  std::error_code ignored;
  if (!fs::is_directory(folder_, ignored)) return {};  // removed during the run: said by the caller
  folder_changed_ = {};
  scan();
  tell_refused();
  for (const auto& [path, started] : older_)
    if (!seen_.contains(path)) log::debug("skipped: ", path.string(), ": it was there before this run");
  std::vector<Seen> order;
  for (const auto& [path, seen] : seen_) order.push_back(seen);
  std::sort(order.begin(), order.end(), [](const Seen& a, const Seen& b) { return a.started_ticks < b.started_ticks; });
  std::vector<Collected> collected;
  std::vector<Report> reports;
  for (Seen& seen : order) {
    try {
      reports.push_back(load(seen.trace.string(), options_));
      complete_end(reports.back().process, &end, seen.trace, seen.elsewhere);
      write_ooms(seen, 1, &end);
      seal_trace(seen.trace.string());
      fs::path path = seen.trace;
      collected.push_back({{}, path.replace_extension(".json")});
    } catch (const std::exception& error) {
      std::cerr << "vramtrack: " << error.what() << '\n';
      reports.resize(collected.size());
    }
  }
  share_out_contexts(reports);
  findings::join_shared_memory(reports);
  if (!reports.empty()) add_run_findings(reports, end.pid, leftovers);
  for (std::size_t i = 0; i < reports.size(); ++i) {
    collected[i].report = std::move(reports[i]);
    try {
      write_json(collected[i].report, collected[i].path);
    } catch (const std::exception& error) {  // a full disk: the summary is still worth showing
      std::cerr << "vramtrack: " << error.what() << '\n';
    }
  }
  return collected;
}

}  // namespace vramtrack::tools
