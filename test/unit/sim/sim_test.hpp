// What the tests of the simulated driver share: a driver of two devices of 1 GiB, and its books.
#pragma once

#include <cuda.h>

#include <catch2/catch.hpp>
#include <cstdint>

#include "sim/core/stats.h"

inline constexpr std::uint64_t MiB = 1ull << 20;

/// cuInit and the primary context of device 0 made current.
struct SimDevice {
  SimDevice();
  CUcontext context = nullptr;
};

vramtrack_sim_figures figures(int device = 0);
inline std::uint64_t live(vramtrack_sim_kind kind, int device = 0) { return figures(device).live_bytes[kind]; }
inline std::uint64_t count(vramtrack_sim_kind kind, int device = 0) { return figures(device).live_count[kind]; }
