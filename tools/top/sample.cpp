#include "tools/top/sample.hpp"

#include <algorithm>
#include <chrono>

#include "contract/reader.hpp"
#include "report/analysis/call_paths.hpp"
#include "report/load/analyse.hpp"
#include "report/load/renew.hpp"
#include "report/model/sites.hpp"
#include "report/render/site_table.hpp"
#include "report/support/utf8.hpp"
#include "tools/formats.hpp"
#include "tools/proc_files.hpp"

namespace vramtrack::tools {
namespace {

constexpr std::size_t moments_kept = 8;  // rates are taken over that many refreshes
constexpr double symbols_every = 10;     // seconds; reading the symbols of large libraries takes a while
constexpr double whole_every = 20;       // times what reading and analysing the whole trace took
constexpr double names_every = 4;        // the same, while there are call sites without a name
constexpr double longest_wait = 60;      // seconds

Report analyse_now(const trace::TraceFile& trace, bool symbols) {
  AnalyseOptions options = analyse_options();
  options.at = "live";
  options.max_allocations = 0;
  options.symbols = symbols;
  options.source_text = false;
  return analyse(trace, options);
}

TopDevice make_device(int index, bool tensors) {
  TopDevice device;
  device.device = index;
  device.tensors = tensors;
  return device;
}

std::string finding_line(const Report& report, const Finding& finding) {
  std::string line = finding.code;
  if (finding.file) {
    line += "  " + render::display_path(report, *finding.file);
    if (finding.line) line += ":" + std::to_string(*finding.line);
  }
  return line + "  " + finding.title;
}

}  // namespace

const TopSample& TopSource::refresh(double now) {
  sample_.problem.clear();
  try {
    read(now);
  } catch (const std::exception& error) {
    sample_.problem = error.what();
  }
  return sample_;
}

void TopSource::read(double now) {
  if (now < next_whole_ && report_) {
    const bool renewed = renew(*report_, trace::read_counters(path_));
    if (!renewed && now < next_names_) return;  // new call sites, but they must not cost us all the time
    if (renewed) {
      fill(*report_);
      return set_rates(now);
    }
  }
  const auto begin = std::chrono::steady_clock::now();
  const trace::TraceFile trace = trace::read_trace(path_);
  if (!report_) lines_ = SourceLines(true, trace.owner);
  report_ = read_all(trace, now);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  next_names_ = now + std::min(took.count() * names_every, longest_wait);
  next_whole_ = now + std::min(took.count() * whole_every, longest_wait);
  fill(*report_);
  set_rates(now);
}

Report TopSource::read_all(const trace::TraceFile& trace, double now) {
  Report report = analyse_now(trace, false);
  const auto needs_symbols = [&](const SiteReport& site) {
    if (labels_.contains(site.id) || site.live_bytes == 0) return false;
    const std::optional<FrameId> own = own_frame(report, site);
    return site.layer == "cuda" || !own || report.frames[*own].kind != "python";
  };
  const bool wanted = std::any_of(report.sites.begin(), report.sites.end(), needs_symbols);
  if (wanted && (!last_symbols_ || now - *last_symbols_ >= symbols_every)) {
    last_symbols_ = now;
    report = analyse_now(trace, true);
    label_sites(report);
  }
  return report;
}

void TopSource::label_sites(const Report& report) {
  for (const SiteReport& site : report.sites) {
    Label& label = labels_[site.id];
    label.owner = site.owner;
    label.verdict = site.verdict;
    const std::optional<FrameId> own = own_frame(report, site);
    if (!own) {
      label.function = "(no stack)";
      continue;
    }
    const Frame& frame = report.frames[*own];
    label.function = render::frame_name(frame);
    if (frame.file.empty()) {
      label.function += "  " + std::string(file_name(frame.module));
    } else {
      label.path = render::display_path(report, frame.file);
      if (frame.line > 0) label.line = ":" + std::to_string(frame.line);
    }
  }
}

void TopSource::fill(const Report& report) {
  sample_ = TopSample{};
  sample_.trace = path_;
  sample_.pid = report.process.pid;
  const std::optional<ProcessInfo> process = process_info(static_cast<pid_t>(sample_.pid));
  const std::vector<std::string> mapped = mapped_files(static_cast<pid_t>(sample_.pid), file_name(path_).data());
  sample_.running = process && process->state != 'Z' && !mapped.empty();
  sample_.stopped = sample_.running && (process->state == 'T' || process->state == 't');
  sample_.command = utf8::joined(report.process.command);
  if (report.process.rank) sample_.rank = std::to_string(*report.process.rank);
  sample_.duration = report.process.duration;
  sample_.steps = report.steps.count;
  sample_.has_steps = report.steps.source != "none";
  for (const Total& total : report.totals) {
    auto at = std::find_if(sample_.devices.begin(), sample_.devices.end(),
                           [&](const TopDevice& device) { return device.device == total.device; });
    if (at == sample_.devices.end()) at = sample_.devices.insert(at, make_device(total.device, false));
    const bool tensor = total.layer == "tensor" && total.allocated_count > 0;
    if (tensor && !at->tensors) *at = make_device(total.device, true);
    if (at->tensors != tensor) continue;
    at->live_bytes += total.live_bytes;
    at->live_count += total.live_count;
    at->peak_bytes = std::max(at->peak_bytes, total.peak_bytes);
  }
  for (TopDevice& device : sample_.devices) {
    for (const Device& known : report.environment.devices) {
      if (known.index == device.device)
        std::tie(device.name, device.total_bytes) = std::tie(known.name, known.total_bytes);
    }
    for (const LedgerEntry& entry : report.ledger) {
      if (entry.device == device.device && device.tensors) {
        device.reserved_bytes = entry.tensors_live_bytes + entry.cached_bytes;
      }
    }
    for (const TimelineEntry& point : report.timeline) {
      if (point.device == device.device && (point.layer == "tensor") == device.tensors) {
        device.history.push_back(point.live_bytes);
      }
    }
    device.history.push_back(device.live_bytes);
  }
  for (const SiteReport& site : report.sites) add_site(report, site);
  for (const Finding& finding : report.findings) sample_.findings.push_back(finding_line(report, finding));
}

void TopSource::add_site(const Report& report, const SiteReport& site) {
  TopSite row;
  row.id = site.id;
  row.layer = site.layer;
  row.owner = site.owner;
  row.verdict = site.verdict;
  row.main = is_main_layer(report, site);
  row.device = site.device;
  row.live_bytes = site.live_bytes;
  row.live_count = site.live_count;
  const std::optional<FrameId> own = own_frame(report, site);
  const auto known = labels_.find(site.id);
  if (known != labels_.end()) {
    row.path = known->second.path;
    row.line = known->second.line;
    row.function = known->second.function;
    row.owner = known->second.owner;
    if (known->second.verdict == "cache") row.verdict = "cache";  // told by names, which were looked up then
  } else if (own) {
    const Frame& frame = report.frames[*own];
    row.function = render::frame_name(frame);
    row.path = frame.file.empty() ? "" : render::display_path(report, frame.file);
    row.line = frame.line > 0 ? ":" + std::to_string(frame.line) : "";
  } else {
    row.function = "(no stack)";
  }
  row.backward = site.backward_of.has_value();
  if (own && report.frames[*own].kind == "python") {
    const Frame& frame = report.frames[*own];
    row.code = utf8::trimmed(lines_.line(frame.file, frame.line).value_or(""));
  }
  sample_.sites.push_back(std::move(row));
}

void TopSource::set_rates(double now) {
  Moment moment{now, sample_.steps, {}};
  for (const TopSite& site : sample_.sites) moment.live[site.id] = site.live_bytes;
  if (!past_.empty() && now > past_.front().time) {
    const Moment& before = past_.front();
    const double seconds = now - before.time;
    const auto steps = static_cast<double>(sample_.steps) - static_cast<double>(before.steps);
    for (TopSite& site : sample_.sites) {
      const auto then = before.live.find(site.id);
      const double change =
          static_cast<double>(site.live_bytes) - (then == before.live.end() ? 0.0 : static_cast<double>(then->second));
      site.per_second = change / seconds;
      if (sample_.has_steps && steps > 0) site.per_step = change / steps;
    }
  }
  past_.push_back(std::move(moment));
  if (past_.size() > moments_kept) past_.pop_front();
}

}  // namespace vramtrack::tools
