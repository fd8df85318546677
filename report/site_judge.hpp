// Finds the verdict of a call site of a trace: gathers what verdict.hpp wants to know of it and of the run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "interpose/trace/reader.hpp"
#include "report/model.hpp"
#include "report/verdict.hpp"

namespace vramtrack {

class SiteJudge {
 public:
  /// Both must outlive this. `until`: ticks of the moment that is shown, where it is not the end.
  SiteJudge(const trace::TraceFile& trace, const Report& report, std::optional<std::uint64_t> until);

  /// Sets verdict, growth and evidence; the rest of `result` is there already. `survivors`: the site's live blocks.
  void judge(const trace::Site& site, const std::vector<const trace::Block*>& survivors, SiteReport& result) const;

 private:
  /// What happened in one layer of one device.
  struct Activity {
    std::uint64_t freed = 0;  // blocks
    double last = 0;          // time of the last allocation or free
    ActivityClock clock;
  };

  const trace::TraceFile& trace_;
  const Report& report_;
  std::map<std::pair<std::uint8_t, std::int16_t>, Activity> activity_;  // by layer and device
};

}  // namespace vramtrack
