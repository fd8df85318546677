// One number for each device of a job: processes that see different devices of a machine (CUDA_VISIBLE_DEVICES) number
// them all from 0.
#pragma once

#include <map>
#include <string>

#include "report/model/model.hpp"

namespace vramtrack {

class DeviceNumbers {
 public:
  /// Gives the report's devices the job's numbers. A device keeps its own where no other device of its machine has it;
  /// those of which no UUID is known keep theirs.
  void apply(Report& report);

 private:
  std::map<std::string, std::map<int, std::string>> machines_;  // by host: number and UUID
};

}  // namespace vramtrack
