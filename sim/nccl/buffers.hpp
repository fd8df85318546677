// The device memory that NCCL takes for a communicator, as far as it can be told from its sources: what every channel
// needs when the communicator is made, and the buffers of each connection when the first operation uses it.
// docs/simulated-gpu.md states the figures and where they come from. Nothing is stored in it.
#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <vector>

namespace vramtrack::sim::nccl {

/// Physical memory mapped for the device, as NCCL allocates since 2.19 (cuMemCreate and cuMemMap).
struct DeviceBlock {
  std::uint64_t handle = 0, address = 0, bytes = 0;
};
/// False when the device has no memory left; then nothing stays allocated.
bool allocate(int device, std::uint64_t bytes, DeviceBlock& block);
void free_block(const DeviceBlock& block);

class Buffers {
 public:
  /// For a new communicator of `ranks` ranks.
  bool open(int device, int ranks, int max_channels);
  /// For its first collective, for the first transfer with a peer on this machine, and for the first with any other.
  bool connect_ring();
  bool connect_peer(int peer);
  bool connect_network();
  void close();

 private:
  bool take(std::uint64_t bytes);

  std::mutex m_lock;
  int m_device = 0, m_ranks = 1, m_channels = 0, m_peer_channels = 0;
  bool m_ring = false, m_network = false;
  std::set<int> m_peers;
  std::vector<DeviceBlock> m_blocks;
};

}  // namespace vramtrack::sim::nccl
