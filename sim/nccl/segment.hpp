// The memory through which the ranks of one communicator meet: a memory file of the process that made the unique id,
// opened by the others through /proc. It has no name in any file system: nobody can squat on it, and nothing stays
// when the processes end.
//
//   | header | record of rank 0 .. n-1 | channel[class][from][to] ... |
//
// The file is sparse; a channel takes memory when something goes through it. Everything in it is written by other
// processes: sizes and numbers that are read from it are checked before they are used.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "sim/nccl/abi.hpp"

namespace vramtrack::sim::nccl {

inline constexpr int max_ranks = 256;
inline constexpr std::uint32_t slot_count = 8;
inline constexpr std::uint64_t slot_bytes = 64 << 10;

/// What both ends of a transfer must agree on.
struct Signature {
  std::uint32_t kind = 0;
  std::int32_t type = 0, reduction = 0, root = 0;
  std::uint64_t count = 0;
  std::uint64_t sequence = 0;  // of the operation in its communicator
  std::uint64_t scalar = 0;    // the sender's factor (premultiplied sums), bits of its type; not compared
};

struct Slot {
  std::uint64_t bytes;
  std::uint32_t zeros;  // nothing but zeros, of any length: the payload is not used
  std::uint32_t reserved;
  Signature signature;
};

/// A queue of frames from one rank to another.
struct Channel {
  alignas(64) std::atomic<std::uint32_t> written;
  alignas(64) std::atomic<std::uint32_t> consumed;
  alignas(64) Slot slots[slot_count];
  alignas(4096) char payload[slot_count][slot_bytes];
};

enum class Presence : std::uint32_t { in, left, aborted, failed };

/// One of the two turns of an exchange by all ranks (split, shrink).
struct Exchange {
  std::atomic<std::uint32_t> turn;
  std::int32_t color, key;
  std::atomic<std::uint32_t> id_turn;
  UniqueId id;
};

struct alignas(512) RankRecord {
  std::atomic<std::int32_t> pid;  // 0: not here yet
  std::atomic<std::uint32_t> ready;
  std::uint64_t started;            // start time of that process
  std::uint64_t host;               // which simulated machine
  std::int32_t bus;                 // which device of it
  std::atomic<std::uint32_t> bell;  // counts what happened for this rank; a futex
  std::atomic<std::uint32_t> sleepers;
  std::atomic<std::uint32_t> presence;
  Exchange exchange[2];
};

class Segment {
 public:
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  /// A new memory file of this process, and the id by which others find it. False when the system refuses.
  static bool create(UniqueId& id);
  /// Opens what `id` names, for `ranks` ranks. nullptr and one sentence on failure.
  static Segment* open(const UniqueId& id, int ranks, std::string& why);
  /// This process needs no way in any more: all ranks have it open.
  static void close_own(const UniqueId& id);

  int ranks() const { return m_ranks; }
  RankRecord& record(int rank) const { return m_records[rank]; }
  /// Collectives and point-to-point transfers have channels of their own: they do not wait for each other.
  Channel& channel(bool point_to_point, int from, int to) const;

  /// Wakes whoever waits for that rank's bell.
  void ring(int rank) const;
  /// Waits until the bell of `rank` is no longer `seen`, at most some milliseconds.
  void listen(int rank, std::uint32_t seen, int milliseconds) const;
  /// Whether the process of that rank still lives.
  bool alive(int rank) const;

 private:
  Segment() = default;
  void* m_memory = nullptr;
  std::uint64_t m_bytes = 0;
  int m_ranks = 0;
  RankRecord* m_records = nullptr;
  Channel* m_channels = nullptr;
};

}  // namespace vramtrack::sim::nccl
