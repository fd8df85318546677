// The books of one simulated device: what is used, of how much. The only place that decides whether memory is left.
// Callers hold the driver's lock.
#pragma once

#include <array>
#include <cstdint>

#include "sim/core/stats.h"
#include "sim/driver/backing.hpp"

namespace vramtrack::sim {

enum class Kind : std::uint32_t {
  device = VRAMTRACK_SIM_DEVICE,
  pool = VRAMTRACK_SIM_POOL,
  managed = VRAMTRACK_SIM_MANAGED,
  host_pinned = VRAMTRACK_SIM_HOST_PINNED,
  array = VRAMTRACK_SIM_ARRAY,
  vmm = VRAMTRACK_SIM_VMM,
  graph = VRAMTRACK_SIM_GRAPH,
  ipc = VRAMTRACK_SIM_IPC,
  external = VRAMTRACK_SIM_EXTERNAL,
  registered = VRAMTRACK_SIM_REGISTERED,
  module = VRAMTRACK_SIM_MODULE,
};

class Usage;  // the same figure of the other processes of the run, when they share a state file

class Device {
 public:
  /// `index`: by which this process knows it; `ordinal`: which of the machine's devices it is.
  Device(int index, int ordinal, std::uint64_t total, Usage& usage)
      : m_index(index), m_ordinal(ordinal), m_total(total), m_usage(usage) {}

  /// Takes whole pages; false (and a failure counted) when the device is full.
  bool charge(std::uint64_t bytes);
  void release(std::uint64_t bytes);

  /// Takes an allocation: large ones in whole 2 MiB pages, small ones packed together into such pages.
  bool charge_allocation(std::uint64_t bytes);
  void release_allocation(std::uint64_t bytes);

  /// The live figures; no memory is taken by them.
  void count(Kind kind, std::uint64_t bytes);
  void uncount(Kind kind, std::uint64_t bytes);

  int index() const { return m_index; }
  int ordinal() const { return m_ordinal; }
  std::uint64_t total() const { return m_total; }
  std::uint64_t used() const { return m_used; }
  std::uint64_t free() const;
  std::uint64_t allocations() const { return m_allocations; }
  std::uint64_t failures() const { return m_failures; }
  void count_failure() { ++m_failures; }
  std::uint64_t live_bytes(std::size_t kind) const { return m_live_bytes[kind]; }
  std::uint64_t live_count(std::size_t kind) const { return m_live_count[kind]; }

  std::uint64_t context_bytes = 0;  // part of used
  std::uint64_t graph_reserved = 0, graph_reserved_high = 0, graph_used = 0, graph_used_high = 0;

 private:
  int m_index, m_ordinal;
  std::uint64_t m_total;
  Usage& m_usage;
  std::uint64_t m_used = 0;
  std::uint64_t m_small = 0;  // sum of small allocations, in 512-byte units
  std::uint64_t m_allocations = 0;
  std::uint64_t m_failures = 0;
  std::array<std::uint64_t, VRAMTRACK_SIM_KINDS> m_live_bytes{};
  std::array<std::uint64_t, VRAMTRACK_SIM_KINDS> m_live_count{};
};

}  // namespace vramtrack::sim
