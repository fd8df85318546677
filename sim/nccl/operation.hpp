// A collective or a point-to-point transfer as the program asked for it, and what it makes the ranks move.
#pragma once

#include <cstdint>

#include "sim/nccl/abi.hpp"
#include "sim/nccl/transfer.hpp"

namespace vramtrack::sim::nccl {

enum class Kind : std::uint32_t {
  all_reduce,
  broadcast,
  reduce,
  all_gather,
  reduce_scatter,
  all_to_all,
  gather,
  scatter,
  send,
  receive,
};
inline bool is_point_to_point(Kind kind) { return kind == Kind::send || kind == Kind::receive; }

struct Operation {
  Kind kind = Kind::all_reduce;
  std::uint64_t source = 0, target = 0;  // device memory
  std::uint64_t count = 0;               // elements, as the function of that name counts them
  int type = 0;
  int reduction = 0;
  int root = 0;  // or the peer
  void* stream = nullptr;
  std::uint64_t scalar = 0;          // premultiplied sums: bits of the factor ...
  std::uint64_t scalar_address = 0;  // ... or where in device memory it is read when the operation runs
  std::uint64_t sequence = 0;        // among the communicator's collectives

  std::uint64_t bytes() const { return count * element_bytes(type); }
};

/// Bytes that the operation reads at `source` and writes at `target`, at this rank.
std::uint64_t source_bytes(const Operation& operation, int ranks, int rank);
std::uint64_t target_bytes(const Operation& operation, int ranks, int rank);

/// Operations go in phases: each is finished at this rank before the next begins.
int phases(const Operation& operation);
void plan(const Operation& operation, int phase, int ranks, int rank, Mover& mover);
/// The same for a transfer of a group; all of them go into one mover.
void plan_transfer(const Operation& operation, Mover& mover);

/// Without other processes: what an operation of a group gives when every other rank holds what this one holds.
void run_alone(const Operation& operation, const std::vector<Operation>& group, int ranks, int rank);
/// The same for a group's transfers: what is received from a rank is what this rank sends to it.
void run_transfers_alone(const std::vector<Operation>& operations, int rank);

}  // namespace vramtrack::sim::nccl
