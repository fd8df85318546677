#include "sim/nccl/buffers.hpp"

#include <algorithm>
#include <cstdlib>

#include "sim/driver/backing.hpp"
#include "sim/nccl/driver.hpp"

namespace vramtrack::sim::nccl {

namespace {

// NCCL 2.28 to 2.30. Buffers of a connection, one for each protocol: src/init.cc (DEFAULT_BUFFSIZE,
// DEFAULT_LL_BUFFSIZE, DEFAULT_LL128_BUFFSIZE) with the constants of src/include/device.h.
constexpr std::uint64_t simple_bytes = 4ull << 20;
constexpr std::uint64_t ll_bytes = 8ull * 512 * 8 * 16;      // lines per thread, threads, steps, bytes of a line
constexpr std::uint64_t ll128_bytes = 120ull * 640 * 8 * 8;  // elements per thread, threads, steps, bytes of one
constexpr std::uint64_t connection_memory = 2ull << 20;      // src/transport/p2p.cc: CUDA_IPC_MIN
constexpr std::uint64_t tail_bytes = 4096;                   // struct ncclRecvMem
// All peers on other machines share one pool for each direction: src/transport/net.cc (NCCL_SHARED_STEPS), src/init.cc.
constexpr std::uint64_t shared_steps = 16, network_chunk = 128ull << 10;
// What a machine with NVSwitch and H100 reports: "24 coll channels, ... 32 p2p channels, 32 p2p channels per peer".
constexpr int ring_channels = 24, peer_channels = 32;

/// NCCL's own variables, where the user set them.
std::uint64_t setting(const char* name, std::uint64_t standard) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return standard;
  char* end = nullptr;
  const long long value = std::strtoll(text, &end, 0);
  return end == text || value <= 0 ? standard : static_cast<std::uint64_t>(value);
}

CUmemAllocationProp properties_of(int device) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  return properties;
}

}  // namespace

bool allocate(int device, std::uint64_t bytes, DeviceBlock& block) {
  const auto create =
      driver_function<CUresult(CUmemGenericAllocationHandle*, size_t, const CUmemAllocationProp*, unsigned long long)>(
          "cuMemCreate");
  const auto reserve =
      driver_function<CUresult(CUdeviceptr*, size_t, size_t, CUdeviceptr, unsigned long long)>("cuMemAddressReserve");
  const auto map =
      driver_function<CUresult(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle, unsigned long long)>(
          "cuMemMap");
  const auto allow = driver_function<CUresult(CUdeviceptr, size_t, const CUmemAccessDesc*, size_t)>("cuMemSetAccess");
  if (create == nullptr || reserve == nullptr || map == nullptr || allow == nullptr) return false;
  block.bytes = round_up(std::max<std::uint64_t>(bytes, 1), big_page);
  const CUmemAllocationProp properties = properties_of(device);
  CUmemGenericAllocationHandle handle = 0;
  if (create(&handle, block.bytes, &properties, 0) != CUDA_SUCCESS) return false;
  block.handle = handle;
  CUdeviceptr address = 0;
  const CUmemAccessDesc access{properties.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  if (reserve(&address, block.bytes, big_page, 0, 0) == CUDA_SUCCESS &&
      map(address, block.bytes, 0, handle, 0) == CUDA_SUCCESS &&
      allow(address, block.bytes, &access, 1) == CUDA_SUCCESS) {
    block.address = address;
    return true;
  }
  free_block(block);
  return false;
}

void free_block(const DeviceBlock& block) {
  if (block.address != 0) {
    const auto unmap = driver_function<CUresult(CUdeviceptr, size_t)>("cuMemUnmap");
    const auto give = driver_function<CUresult(CUdeviceptr, size_t)>("cuMemAddressFree");
    if (unmap != nullptr) unmap(block.address, block.bytes);
    if (give != nullptr) give(block.address, block.bytes);
  }
  const auto release = driver_function<CUresult(CUmemGenericAllocationHandle)>("cuMemRelease");
  if (release != nullptr) release(block.handle);
}

bool Buffers::take(std::uint64_t bytes) {
  DeviceBlock block;
  if (!allocate(m_device, bytes, block)) return false;
  m_blocks.push_back(block);
  return true;
}

bool Buffers::open(int device, int ranks, int max_channels) {
  const std::lock_guard lock(m_lock);
  m_device = device;
  m_ranks = ranks;
  if (ranks == 1) return true;
  const int limit = max_channels > 0 ? max_channels : 64;
  const auto allowed = static_cast<int>(std::min<std::uint64_t>(
      setting("NCCL_MAX_CTAS", setting("NCCL_MAX_NCHANNELS", static_cast<std::uint64_t>(limit))), 64));
  m_channels = std::min({ring_channels, limit, allowed});
  m_peer_channels = std::min({peer_channels, limit, allowed});
  // The communicator and a table of ranks; for each channel two tables of peers and the order of its ring
  // (src/init.cc, src/channel.cc). Each is small, and takes a granule of 2 MiB.
  const int blocks = 2 + 3 * std::max(m_channels, m_peer_channels);
  for (int i = 0; i < blocks; ++i) {
    if (!take(1)) return false;
  }
  return true;
}

bool Buffers::connect_ring() {
  const std::lock_guard lock(m_lock);
  if (m_ring || m_ranks == 1) return true;
  m_ring = true;
  const std::uint64_t receive = setting("NCCL_BUFFSIZE", simple_bytes) + setting("NCCL_LL_BUFFSIZE", ll_bytes) +
                                setting("NCCL_LL128_BUFFSIZE", ll128_bytes) + tail_bytes;
  for (int i = 0; i < m_channels; ++i) {
    if (!take(receive) || !take(connection_memory)) return false;
  }
  return true;
}

bool Buffers::connect_peer(int peer) {
  const std::lock_guard lock(m_lock);
  if (m_ranks == 1 || !m_peers.insert(peer).second) return true;
  const std::uint64_t receive = setting("NCCL_BUFFSIZE", simple_bytes) + setting("NCCL_LL_BUFFSIZE", ll_bytes) +
                                setting("NCCL_LL128_BUFFSIZE", ll128_bytes) + tail_bytes;
  for (int i = 0; i < m_peer_channels; ++i) {
    if (!take(receive) || !take(connection_memory)) return false;
  }
  return true;
}

bool Buffers::connect_network() {
  const std::lock_guard lock(m_lock);
  if (m_network) return true;
  m_network = true;
  const std::uint64_t pool =
      static_cast<std::uint64_t>(m_peer_channels) * shared_steps * setting("NCCL_P2P_NET_CHUNKSIZE", network_chunk);
  return take(pool) && take(pool);  // to send, to receive
}

void Buffers::close() {
  const std::lock_guard lock(m_lock);
  for (const DeviceBlock& block : m_blocks) free_block(block);
  m_blocks.clear();
}

}  // namespace vramtrack::sim::nccl
