// Joins the reports of many processes (the ranks of a job, the workers of a service) into one. Takes them one by one
// and keeps sums only: memory grows with distinct call sites and ranks, not with the size of the inputs.
#pragma once

#include <memory>
#include <string>

#include "report/model/model.hpp"

namespace vramtrack {

class Merger {
 public:
  Merger();
  ~Merger();
  void add(Report report, const std::string& input);
  std::size_t size() const;
  /// Sums over all, `peak_bytes` of each process's own peak, and Report::ranks. The last call to a merger.
  Report finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vramtrack
