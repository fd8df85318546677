// A communicator of this process: its rank, the segment that it shares with the others, and the thread that runs its
// operations in the order in which they were given, each when its streams have come to it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "sim/nccl/buffers.hpp"
#include "sim/nccl/driver.hpp"
#include "sim/nccl/operation.hpp"
#include "sim/nccl/segment.hpp"

namespace vramtrack::sim::nccl {

/// Operations that were given together (a group): collectives one after the other, then all transfers at once.
struct Batch {
  std::vector<Operation> operations;
  vramtrack_sim_work* work = nullptr;  // nullptr when a graph runs it
  bool done = false;                   // under the communicator's lock
};

class Communicator : public std::enable_shared_from_this<Communicator> {
 public:
  Communicator(int ranks, int rank, int device) : m_ranks(ranks), m_rank(rank), m_device(device) {}
  ~Communicator();

  int ranks() const { return m_ranks; }
  int rank() const { return m_rank; }
  int device() const { return m_device; }

  /// Joins the ranks that hold the same id; blocks until all are there. `Result`; the reason is in last_error().
  int join(const UniqueId& id);
  /// One rank of a world that is not there (VRAMTRACK_SIM_WORLD), on machines of `per_machine` ranks; or a communicator
  /// of one rank.
  void stay_alone(int per_machine) {
    m_alone = true;
    m_per_machine = per_machine;
  }
  bool alone() const { return m_alone; }

  /// The device memory for transfers with `peer`. Ranks are taken to fill one machine after the other.
  bool connect_peer(int peer) {
    return peer / m_per_machine == m_rank / m_per_machine ? buffers.connect_peer(peer) : buffers.connect_network();
  }

  /// Gives operations in stream order. Does not wait for them.
  int submit(std::vector<Operation> operations);
  /// Gives them from a graph that is launched, and waits for them.
  void run_now(std::vector<Operation> operations);

  /// All ranks (of `members`) hand in a color and a key; each learns its group in the order of (key, rank), and the id
  /// under which that group can join. Blocks.
  int exchange(const std::vector<int>& members, int color, int key, std::vector<int>& group, UniqueId& id);

  /// Waits until all operations are done.
  int finish();
  /// Ends everything that runs; whoever waits goes on. `presence` is what the other ranks are told.
  void stop(Presence presence);
  /// Ends everything that runs; the communicator can still be split (ncclCommRevoke).
  void abandon();

  /// The state that ncclCommGetAsyncError reports: `Result`.
  std::atomic<int> state{success};
  std::string last_error() const;

  /// Premultiplied sums: their number is first_custom + index. A destroyed one is not used again.
  struct Factor {
    int type = 0;
    std::uint64_t scalar = 0, address = 0;
  };
  int add_factor(const Factor& factor);
  bool factor_of(int reduction, Factor& factor) const;

  Buffers buffers;
  int max_channels = 0;  // of the config, 0: not limited

 private:
  int join_segment(const UniqueId& id);
  void start_worker();
  void work();
  bool run(Batch& batch);
  bool drive(Mover& mover, const Operation& operation);
  bool ended() const { return m_stopped || m_abandoned; }
  /// Whether the rank cannot answer any more, and why.
  bool gone(int peer, std::string& why) const;
  int fail(int result, const std::string& what);
  void end(const std::shared_ptr<Batch>& batch, bool good);
  void release_waiters(std::unique_lock<std::mutex>& lock);

  const int m_ranks, m_rank, m_device;
  bool m_alone = false;
  int m_per_machine = std::numeric_limits<int>::max();  // ranks that meet are on one machine
  std::unique_ptr<Segment> m_segment;
  bool m_joined = false;
  std::atomic<bool> m_stopped{false}, m_abandoned{false};

  mutable std::mutex m_lock;
  std::condition_variable m_changed;
  std::deque<std::shared_ptr<Batch>> m_queue;
  std::shared_ptr<Batch> m_running;
  std::vector<std::shared_ptr<Batch>> m_failed;  // their waiters are freed by stop()
  bool m_worker = false, m_moving = false;
  std::uint64_t m_sequence = 0;
  std::uint32_t m_turn = 0;  // of exchanges
  std::string m_last_error;
  std::vector<Factor> m_factors;
};

}  // namespace vramtrack::sim::nccl
