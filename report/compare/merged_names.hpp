// The marks and phases of many processes: the same one of each rank is one, the first with the first, the second with
// the second.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack {

class MergedNames {
 public:
  using Key = std::pair<std::string, std::size_t>;  // name, and how many of that name its process had before
  template <class Named>
  using Known = std::map<Key, Named>;

  /// `offset`: seconds by which the process started after (or before) the common origin.
  void add(const Report& report, const std::string& rank, double offset);

  /// In order of time, counted from `start` (on the origin's clock); at most 1,000 marks and 1,000 phases.
  void finish(Report& merged, double start) const;

 private:
  Known<Mark> marks_;
  Known<Phase> phases_;
};

}  // namespace vramtrack
