// Joins the reports of many processes (the ranks of a job, the workers of a service) into one. Takes them one by one
// and keeps sums only: memory grows with distinct call sites and ranks, not with the size of the inputs.
#pragma once

#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "report/model.hpp"
#include "report/rank_statistics.hpp"

namespace vramtrack {

struct RankOutlier {
  std::string measure;    // live_bytes | peak_bytes
  std::size_t place = 0;  // index into Ranks::places
  Outlier outlier;
};

struct MergedReport {
  Report report;  // sums over all; `peak_bytes` adds up each process's own peak
  std::optional<RankOutlier> outlier;
};

class Merger {
 public:
  Merger();
  ~Merger();
  void add(const Report& report, const std::string& input);
  std::size_t size() const;
  MergedReport finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One sentence: which rank holds how much more or less than the others, and where. Empty without an outlier.
std::string describe_outlier(const MergedReport& merged);

namespace render {

/// "vramtrack-report/1" with the keys `ranks`, `rank_sites` and `outlier` added.
void merged_json(const MergedReport& merged, std::ostream& out);

}  // namespace render
}  // namespace vramtrack
