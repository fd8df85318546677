// The part of NCCL's public ABI that the simulation speaks: numbers and layouts as in nccl.h. Own declarations: NCCL's
// headers are not needed to build.
#pragma once

#include <climits>
#include <cstddef>
#include <cstdint>

namespace vramtrack::sim::nccl {

enum Result : int {
  success = 0,
  unhandled_cuda_error = 1,
  system_error = 2,
  internal_error = 3,
  invalid_argument = 4,
  invalid_usage = 5,
  remote_error = 6,
  in_progress = 7,
};

enum class Type : int { i8, u8, i32, u32, i64, u64, f16, f32, f64, bf16, f8e4m3, f8e5m2 };
inline constexpr int type_count = 12;

/// Bytes of one element; 0 when the number names no type.
constexpr std::size_t element_bytes(int type) {
  constexpr std::size_t sizes[type_count] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1};
  return type >= 0 && type < type_count ? sizes[type] : 0;
}

/// Reductions; numbers from `first_custom` on are made by ncclRedOpCreatePreMulSum.
enum Reduction : int { sum = 0, prod = 1, max = 2, min = 3, avg = 4, first_custom = 5 };

struct UniqueId {
  char bytes[128];
};

inline constexpr int undefined = INT_MIN;  // of a member of Config that the user did not set
inline constexpr int no_color = -1;

/// ncclConfig_t as far as it is read; `size` says how much of it the caller knows.
struct Config {
  std::size_t size;
  unsigned magic, version;
  int blocking, cga_cluster_size, min_ctas, max_ctas;
  const char* net_name;
  int split_share, traffic_class;
  const char* comm_name;
};

}  // namespace vramtrack::sim::nccl
