// The arithmetic of reductions, on the host, for every element type of NCCL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/nccl/abi.hpp"

namespace vramtrack::sim::nccl {

/// One rank's contribution: nullptr stands for zeros.
struct Contribution {
  const void* data = nullptr;
  std::uint64_t scalar = 0;  // premultiplied sums: the factor, bits of the element type
};

/// target[i] = reduction of all contributions' element i, in the order given, so that every rank computes the same
/// bits. 16-bit and 8-bit floating point is added up in single precision and rounded once; integers wrap around.
/// `target` may be one of the contributions. `reduction` from `first_custom` on is a premultiplied sum.
void reduce(Type type, int reduction, const std::vector<Contribution>& contributions, std::size_t count, void* target);

/// One element as a number, and back (round to nearest even; 8-bit types saturate). For tests and single scalars.
double to_number(Type type, const void* element);
void from_number(Type type, double value, void* element);

}  // namespace vramtrack::sim::nccl
