// How much of each device the processes of one run use together. Without a state file a process is alone; with one
// (VRAMTRACK_SIM_STATE names it) each process has a slot there, and the slots of dead processes are taken back, so
// that a leftover worker keeps its memory exactly as long as it lives.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "contract/sim_settings.hpp"

namespace vramtrack::sim {

struct UsageSlot {
  std::atomic<std::int32_t> pid;  // 0: free
  std::uint32_t reserved;
  std::uint64_t started;  // start time of that process, so that a reused pid is not taken for it
  std::atomic<std::uint64_t> used[max_devices];
};

struct UsageFile {
  static constexpr std::uint64_t expected_magic = 0x3253554d49535456ull;
  static constexpr int slot_count = 512;
  std::atomic<std::uint64_t> magic;
  std::atomic<std::uint32_t> unknown_reads;
  std::uint32_t reserved;
  UsageSlot slots[slot_count];
};

class Usage {
 public:
  /// Opens the state file if the environment names one. Failure is said once and means: alone.
  void open();
  /// Opens it only to look: this process takes no slot.
  void look() { map_file(); }
  void publish(int device, std::uint64_t used);
  std::uint64_t of_others(int device) const;
  void count_unknown_read() {
    if (m_file != nullptr) m_file->unknown_reads.fetch_add(1, std::memory_order_relaxed);
  }

  /// Visits every living process that uses the device, this one included.
  template <typename Visit>
  void visit(int device, Visit visit) const {
    if (m_file == nullptr) return;
    for (const UsageSlot& slot : m_file->slots) {
      const pid_t pid = slot.pid.load(std::memory_order_acquire);
      if (pid > 0 && alive(slot, pid)) visit(pid, slot.used[device].load(std::memory_order_relaxed));
    }
  }
  bool shared() const { return m_file != nullptr; }

 private:
  bool map_file();
  static bool alive(const UsageSlot& slot, pid_t pid);
  UsageFile* m_file = nullptr;
  UsageSlot* m_own = nullptr;
};

}  // namespace vramtrack::sim
