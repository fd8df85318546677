// Stream-ordered memory pools.
#pragma once

#include "sim/driver/state.hpp"

namespace vramtrack::sim {

struct Pool {
  int device = 0;
  bool is_default = false;
  bool imported = false;
  bool destroyed = false;  // by the user; it goes when its last block does
  CUmemPoolProps properties{};
  std::uint64_t threshold = 0;
  std::uint64_t reserved = 0, reserved_high = 0;
  std::uint64_t used = 0, used_high = 0;
  std::uint64_t blocks = 0;
  std::uint64_t serial = 0;
  int reuse_flags[4] = {0, 1, 1, 1};
  std::map<int, CUmemAccess_flags> access;
};

Live<Pool>& pools();
Pool* default_pool(int device);
Pool* current_pool(int device);
Pool* pool_of(CUmemoryPool handle);
CUresult allocate_from_pool(Pool& pool, Context& context, std::uint64_t bytes, CUdeviceptr* out);

}  // namespace vramtrack::sim
