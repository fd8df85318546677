// ncclGroupStart and ncclGroupEnd: what a thread gives between them is begun together. Outside of a group each call is
// a group of its own.
#pragma once

#include <functional>
#include <memory>

#include "sim/nccl/communicator.hpp"

namespace vramtrack::sim::nccl {

void group_start();
/// Begins everything; the first error of all. `discard` forgets it instead (ncclGroupSimulateEnd).
int group_end(bool discard = false);

int add_operation(const std::shared_ptr<Communicator>& communicator, const Operation& operation);

/// Something that waits for other ranks: all jobs of a group run at the same time. `start` may run on another thread,
/// `finish` runs on the calling thread when all have started, with the result.
struct Job {
  std::function<int()> start;
  std::function<int(int)> finish;
};
int add_job(Job job);

}  // namespace vramtrack::sim::nccl
