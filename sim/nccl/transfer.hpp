// One step of moving bytes between ranks: what is sent, received and reduced through the channels of a segment, as
// state machines that never block. The worker thread of a communicator steps all of an operation's transfers until they
// are done, so that rings and cycles of ranks cannot stop each other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/nccl/numbers.hpp"
#include "sim/nccl/segment.hpp"

namespace vramtrack::sim::nccl {

/// What is wrong when the ranks do not call the same operation, in words; "" when they do.
std::string difference(const Signature& mine, const Signature& theirs);
const char* name_of_kind(std::uint32_t kind);

/// The end of one transfer at this rank. `address` is device memory.
struct Transfer {
  int peer = 0;
  bool point_to_point = false;
  std::uint64_t address = 0, bytes = 0;
  std::uint64_t done = 0;
  Signature signature;
  bool finished() const { return done == bytes; }
};

/// What the ranks' elements of [0, bytes) reduce to; this rank's own are at `own`.
struct Reducing {
  std::uint64_t own = 0, target = 0, bytes = 0;
  bool after_sends = false;  // what is sent may lie at `target`: it goes first, and must fit into the channels
  std::uint64_t done = 0;
  Signature signature;
  std::vector<std::uint64_t> consumed;  // per rank: bytes of its current frame that are used up
  bool finished() const { return done == bytes; }
};

class Mover {
 public:
  Mover(const Segment& segment, int rank) : m_segment(segment), m_rank(rank) {}

  void send(const Transfer& transfer) { m_sends.push_back(transfer); }
  void receive(const Transfer& transfer) { m_receives.push_back(transfer); }
  void reduce(Reducing reducing);

  bool finished() const;
  /// Moves what can be moved now. Whether anything moved; `why` is set when the ranks disagree.
  bool step(std::string& why);
  /// A rank on which this one waits, or -1.
  int awaited() const;
  /// Whether this rank waits for something of `peer`.
  bool waits_for(int peer) const;

 private:
  bool step_send(Transfer& transfer);
  bool step_receive(Transfer& transfer, std::string& why);
  bool step_reduce(Reducing& reducing, std::string& why);
  const Slot* front(const Channel& channel) const;
  void consume(int peer, Channel& channel) const;

  const Segment& m_segment;
  int m_rank;
  std::vector<Transfer> m_sends, m_receives;
  std::vector<Reducing> m_reductions;
};

}  // namespace vramtrack::sim::nccl
