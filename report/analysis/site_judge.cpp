#include "report/analysis/site_judge.hpp"

#include <algorithm>

#include "report/model/sites.hpp"
#include "report/symbolize/owner.hpp"

namespace vramtrack {
namespace {

using trace::Kind;

/// cuBLAS and cuDNN workspaces that torch allocates look like any tensor: their callers tell. The one size that
/// nothing else has (cuBLAS's default before sm_90: 2 x 4 MiB + 8 x 16 KiB) tells without native frames too.
bool is_workspace(const Report& report, const std::vector<FrameId>& stack, Bytes largest) {
  constexpr Bytes cublas_default = 8519680;
  constexpr std::size_t innermost = 16;
  for (std::size_t i = 0; i < std::min(stack.size(), innermost); ++i) {
    const Frame& frame = report.frames[stack[i]];
    if (frame.kind == "python") break;
    for (const char* name :
         {"getCurrentCUDABlasHandle", "getNewWorkspace", "getCUDABlasLtWorkspace", "cudnn::Workspace",
          "CUDABlasLtWorkspace", "getNewCUDABlasLtWorkspace", "cublasCommonArgs"}) {
      if (frame.function.find(name) != std::string::npos) return true;
    }
  }
  return largest == cublas_default;
}

/// What setting a model up and one pass through it leave behind: as many blocks as it has layers, and no more with
/// time.
bool is_of_model(const std::optional<TensorFacts>& facts) {
  if (!facts) return false;
  return is_model_role(facts->role) || facts->role == "saved_for_backward";
}

}  // namespace

std::uint64_t last_event(const trace::TraceFile& trace, std::uint8_t layer, std::int16_t device) {
  std::uint64_t last = 0;
  for (const trace::Site& site : trace.sites)
    if (site.used == 1 && site.layer == layer && site.device == device)
      last = std::max({last, site.last_time, site.freed_count > 0 ? site.last_free_time : 0});
  return last;
}

ActivityClock activity_clock(const trace::TraceFile& trace, const trace::TimelineSeries& series) {
  ActivityClock clock;
  const trace::Account& account = trace.accounts[series.account];
  const std::uint64_t last = last_event(trace, account.layer, account.device);
  const std::uint64_t start = trace.header.clock.start_ticks, interval = std::max<std::uint64_t>(series.interval, 1);
  std::uint64_t before = start;  // until when the clock is set
  for (const trace::TimelinePoint& point : series.points) {
    if (point.time < start) continue;
    const std::uint64_t begin = start + (point.time - start) / interval * interval;
    const std::uint64_t end = last > begin ? std::min(begin + interval, last) : begin + interval;
    if (begin > before) clock.add(trace.seconds(begin), 0);
    before = std::max(before, end);
    clock.add(trace.seconds(before), point.events);
  }
  return clock;
}

namespace {
constexpr std::size_t least_host_births = 30;  // no model lies there, whose layers could be as many
}  // namespace

SiteJudge::SiteJudge(const trace::TraceFile& trace, const Report& report, const TensorIndex& tensors,
                     const std::vector<std::vector<const trace::Block*>>& blocks, std::optional<std::uint64_t> until)
    : trace_(trace), report_(report), tensors_(tensors), blocks_(blocks) {
  for (const trace::Account& account : trace.accounts) {
    if (account.used != 1 || account.kind == static_cast<std::uint8_t>(Kind::all)) continue;
    activity_[{account.layer, account.device}].freed += account.freed_count;
  }
  for (const trace::TimelineSeries& series : trace.timelines) {
    if (series.account >= trace.accounts.size()) continue;
    const trace::Account& account = trace.accounts[series.account];
    if (account.kind != static_cast<std::uint8_t>(Kind::all)) continue;
    activity_[{account.layer, account.device}].clock = activity_clock(trace, series);
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    std::vector<double>& births = activity_[{trace.sites[i].layer, trace.sites[i].device}].births;
    for (const trace::Block* block : blocks[i]) births.push_back(trace.seconds(block->time));
  }
  for (auto& [place, activity] : activity_) {
    std::sort(activity.births.begin(), activity.births.end());
    if (const std::uint64_t last = last_event(trace, place.first, place.second); last != 0)
      activity.last = trace.seconds(last);
  }
  if (!until) return;
  for (auto& [place, activity] : activity_) activity.last = std::min(activity.last, trace.seconds(*until));
}

/// Host memory that CUDA knows goes with the work on a device: the busiest one's events tell whether the run goes on.
const SiteJudge::Activity& SiteJudge::activity_of(const trace::Site& site) const {
  static const Activity none;
  const auto own = activity_.find({site.layer, site.device});
  if (site.device >= 0) return own == activity_.end() ? none : own->second;
  const auto busiest = std::max_element(activity_.begin(), activity_.end(),
                                        [](const auto& a, const auto& b) { return a.second.freed < b.second.freed; });
  return busiest == activity_.end() ? none : busiest->second;
}

bool SiteJudge::is_workspace(const SiteReport& site) const {
  return vramtrack::is_workspace(report_, site.stack, site.largest_bytes);
}

void SiteJudge::judge(const trace::Site& site, SiteReport& result) const {
  const std::vector<const trace::Block*>& survivors = blocks_[result.id];
  SiteHistory history;
  history.survivors.reserve(survivors.size());
  for (const trace::Block* block : survivors) {
    history.survivors.push_back({block->step, trace_.seconds(block->time), block->bytes});
    if (is_of_model(tensors_.find(block->address, block->bytes))) ++history.of_model;
  }
  history.allocated_count = site.allocated_count;
  history.freed_count = site.allocated_count - std::min<std::uint64_t>(site.allocated_count, survivors.size());
  history.first_time = result.first_time;
  history.last_time = result.last_time;
  history.last_free_time = trace_.seconds(site.last_free_time);
  history.freed_late = site.freed_late;
  history.first_step = site.first_step;
  const bool on_host = site.device < 0;
  // Where PyTorch hands nothing out (PYTORCH_NO_CUDA_MEMORY_CACHING), what it takes is the tensors themselves.
  const bool hands_out = activity_.contains({static_cast<decltype(site.layer)>(trace::Layer::tensor), site.device});
  if (result.layer == "cuda" && result.owner == "torch" && site.device >= 0 && hands_out) {
    history.purpose = Purpose::allocator_segment;
  } else if (is_math_library(result.owner) || is_workspace(result)) {
    history.purpose = Purpose::workspace;
  }
  if (on_host) history.least_births = least_host_births;
  const Activity& activity = activity_of(site);
  Verdict verdict = vramtrack::judge(
      history, {report_.steps.count, activity.last, activity.freed, &activity.clock, &activity.births});
  result.verdict = std::move(verdict.verdict);
  result.growth = verdict.growth;
  result.evidence = std::move(verdict.evidence);
}

}  // namespace vramtrack
