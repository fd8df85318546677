// Finds the verdict of a call site of a trace: gathers what verdict.hpp wants to know of it and of the run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "contract/reader.hpp"
#include "report/analysis/tensor_facts.hpp"
#include "report/analysis/verdict.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

/// When the last allocation or free of a layer and device was, in ticks; 0: there was none.
std::uint64_t last_event(const trace::TraceFile& trace, std::uint8_t layer, std::int16_t device);

/// The clock of an account's time series: its events lie evenly in the interval that each point stands for, not in the
/// idle time before.
ActivityClock activity_clock(const trace::TraceFile& trace, const trace::TimelineSeries& series);

class SiteJudge {
 public:
  /// All must outlive this. `blocks`: the live ones of the moment that is shown, by site; `until`: its ticks, where it
  /// is not the end.
  SiteJudge(const trace::TraceFile& trace, const Report& report, const TensorIndex& tensors,
            const std::vector<std::vector<const trace::Block*>>& blocks, std::optional<std::uint64_t> until);

  /// Scratch memory of a math library that PyTorch allocated for it.
  bool is_workspace(const SiteReport& site) const;

  /// Sets verdict, growth and evidence; the rest of `result` is there already.
  void judge(const trace::Site& site, SiteReport& result) const;

 private:
  /// What happened in one layer of one device.
  struct Activity {
    std::uint64_t freed = 0;  // blocks
    double last = 0;          // time of the last allocation or free
    ActivityClock clock;
    std::vector<double> births;  // of the live blocks, ascending
  };

  const Activity& activity_of(const trace::Site& site) const;

  const trace::TraceFile& trace_;
  const Report& report_;
  const TensorIndex& tensors_;
  const std::vector<std::vector<const trace::Block*>>& blocks_;
  std::map<std::pair<std::uint8_t, std::int16_t>, Activity> activity_;  // by layer and device
};

}  // namespace vramtrack
