// Many mixed calls, from two threads, against a naive count of what must be alive.
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "sim_test.hpp"

namespace {

struct Block {
  int kind;
  CUdeviceptr value;
  std::uint64_t bytes;
};

/// Allocates and frees at random; adds what it left alive to `left`.
void churn(CUcontext context, unsigned seed, std::atomic<std::uint64_t>* left, std::atomic<int>& wrong) {
  cuCtxSetCurrent(context);
  std::mt19937 random(seed);
  std::vector<Block> blocks;
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  for (int step = 0; step < 30000; ++step) {
    if (blocks.size() < 40 && random() % 2 == 0) {
      Block block{0, 0, 1 + random() % (8 * MiB)};
      CUresult status = CUDA_SUCCESS;
      switch (random() % 4) {
        case 0:
          block.kind = VRAMTRACK_SIM_DEVICE;
          status = cuMemAlloc(&block.value, block.bytes);
          break;
        case 1:
          block.kind = VRAMTRACK_SIM_POOL;
          status = cuMemAllocAsync(&block.value, block.bytes, nullptr);
          break;
        case 2:
          block.kind = VRAMTRACK_SIM_VMM;
          block.bytes = (1 + random() % 4) * 2 * MiB;
          status = cuMemCreate(&block.value, block.bytes, &properties, 0);
          break;
        default:
          block.kind = VRAMTRACK_SIM_HOST_PINNED;
          block.bytes = 1 + random() % 10000;
          status = cuMemHostAlloc(reinterpret_cast<void**>(&block.value), block.bytes, 0);
      }
      if (status == CUDA_SUCCESS) {
        blocks.push_back(block);
      } else if (status != CUDA_ERROR_OUT_OF_MEMORY) {
        ++wrong;
      }
    } else if (!blocks.empty()) {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      const Block block = blocks.back();
      blocks.pop_back();
      CUresult status = CUDA_SUCCESS;
      switch (block.kind) {
        case VRAMTRACK_SIM_DEVICE:
          status = cuMemFree(block.value);
          break;
        case VRAMTRACK_SIM_POOL:
          status = cuMemFreeAsync(block.value, nullptr);
          break;
        case VRAMTRACK_SIM_VMM:
          status = cuMemRelease(block.value);
          break;
        default:
          status = cuMemFreeHost(reinterpret_cast<void*>(block.value));
      }
      if (status != CUDA_SUCCESS) ++wrong;
    }
    if (step % 1000 == 0) cuCtxSynchronize();
  }
  for (const Block& block : blocks) left[block.kind] += block.bytes;
}

}  // namespace

TEST_CASE("the books are exact after many mixed calls from two threads") {
  const SimDevice device;
  std::atomic<std::uint64_t> left[VRAMTRACK_SIM_KINDS] = {};
  std::atomic<int> wrong{0};
  std::thread other(churn, device.context, 1, left, std::ref(wrong));
  churn(device.context, 2, left, wrong);
  other.join();
  CHECK(wrong == 0);
  const auto now = figures();
  for (int kind = 0; kind < VRAMTRACK_SIM_KINDS; ++kind) {
    CAPTURE(kind);
    CHECK(now.live_bytes[kind] == left[kind]);
  }
  CHECK(left[VRAMTRACK_SIM_DEVICE] > 0);
  // What is used covers what is alive, and does not exceed it by more than the page of small ones, the rounding of
  // each block to a page, and what pools keep.
  const std::uint64_t alive = now.live_bytes[VRAMTRACK_SIM_DEVICE] + now.live_bytes[VRAMTRACK_SIM_VMM];
  const std::uint64_t used = now.used_bytes - now.context_bytes - now.pool_reserved_bytes;
  CHECK(used >= alive);
  CHECK(used <= alive + (now.live_count[VRAMTRACK_SIM_DEVICE] + 1) * 2 * MiB);
  REQUIRE(cuDevicePrimaryCtxReset(0) == CUDA_SUCCESS);
  CHECK(figures().live_bytes[VRAMTRACK_SIM_DEVICE] == 0);
  // Handles and pools belong to no context.
  CHECK(figures().used_bytes == left[VRAMTRACK_SIM_VMM] + figures().pool_reserved_bytes);
  CHECK(figures().pool_reserved_bytes >= left[VRAMTRACK_SIM_POOL]);
}
