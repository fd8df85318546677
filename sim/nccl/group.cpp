#include "sim/nccl/group.hpp"

#include <thread>
#include <utility>
#include <vector>

namespace vramtrack::sim::nccl {

namespace {

struct Group {
  int depth = 0;
  std::vector<std::pair<std::shared_ptr<Communicator>, std::vector<Operation>>> operations;
  std::vector<Job> jobs;
};
thread_local Group t_group;

int run_jobs(std::vector<Job> jobs) {
  std::vector<int> results(jobs.size(), success);
  if (jobs.size() == 1) {
    results[0] = jobs[0].start();
  } else {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < jobs.size(); ++i) threads.emplace_back([&, i] { results[i] = jobs[i].start(); });
    for (std::thread& one : threads) one.join();
  }
  int worst = success;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const int result = jobs[i].finish(results[i]);
    if (worst == success) worst = result;
  }
  return worst;
}

/// The device memory of the connections that the operations are the first to use.
int connect(Communicator& communicator, const std::vector<Operation>& operations) {
  for (const Operation& one : operations) {
    const bool good = is_point_to_point(one.kind)
                          ? one.root == communicator.rank() || communicator.connect_peer(one.root)
                          : communicator.buffers.connect_ring();
    if (!good) return unhandled_cuda_error;
  }
  return success;
}

struct Captured {
  std::shared_ptr<Communicator> communicator;
  std::vector<Operation> operations;
};

int begin(const std::shared_ptr<Communicator>& communicator, std::vector<Operation> operations) {
  if (const int result = connect(*communicator, operations); result != success) return result;
  auto* captured = new Captured{communicator, operations};
  const auto run = [](void* data) {
    auto* what = static_cast<Captured*>(data);
    what->communicator->run_now(what->operations);
  };
  const int node = stream_work().capture(communicator->device(), operations.front().stream, run, captured);
  if (node == 1) return success;
  delete captured;
  return node < 0 ? unhandled_cuda_error : communicator->submit(std::move(operations));
}

}  // namespace

void group_start() { ++t_group.depth; }

int group_end(bool discard) {
  if (t_group.depth == 0) return invalid_usage;
  if (--t_group.depth > 0) return success;
  const Group group = std::exchange(t_group, {});
  if (discard) return success;
  int worst = group.jobs.empty() ? success : run_jobs(group.jobs);
  for (const auto& [communicator, operations] : group.operations) {
    const int result = begin(communicator, operations);
    if (worst == success) worst = result;
  }
  return worst;
}

int add_operation(const std::shared_ptr<Communicator>& communicator, const Operation& operation) {
  if (t_group.depth == 0) return begin(communicator, {operation});
  for (auto& [known, operations] : t_group.operations) {
    if (known != communicator) continue;
    operations.push_back(operation);
    return success;
  }
  t_group.operations.push_back({communicator, {operation}});
  return success;
}

int add_job(Job job) {
  if (t_group.depth == 0) return run_jobs({std::move(job)});
  t_group.jobs.push_back(std::move(job));
  return success;
}

}  // namespace vramtrack::sim::nccl
