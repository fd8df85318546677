// The simulated driver's and runtime's functions that the simulated NCCL calls, found where the process has them.
#pragma once

#include <cuda.h>
#include <dlfcn.h>

#include "sim/core/stream_work.h"
#include "sim/math/library.hpp"

namespace vramtrack::sim::nccl {

/// Looked up on each call, so that tools that hook look-ups see these calls as they see those of NVIDIA's library.
template <typename Function>
Function* driver_function(const char* name) {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  return library == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(library, name));
}

/// The functions of core/stream_work.h. They are not part of CUDA: looked up once.
struct StreamWork {
  decltype(&vramtrack_sim_work_begin) begin =
      driver_function<decltype(vramtrack_sim_work_begin)>("vramtrack_sim_work_begin");
  decltype(&vramtrack_sim_work_await_turn) await_turn =
      driver_function<decltype(vramtrack_sim_work_await_turn)>("vramtrack_sim_work_await_turn");
  decltype(&vramtrack_sim_work_end) end = driver_function<decltype(vramtrack_sim_work_end)>("vramtrack_sim_work_end");
  decltype(&vramtrack_sim_work_release) release =
      driver_function<decltype(vramtrack_sim_work_release)>("vramtrack_sim_work_release");
  decltype(&vramtrack_sim_work_capture) capture =
      driver_function<decltype(vramtrack_sim_work_capture)>("vramtrack_sim_work_capture");
  decltype(&vramtrack_sim_reaches) reaches = driver_function<decltype(vramtrack_sim_reaches)>("vramtrack_sim_reaches");
  decltype(&vramtrack_sim_holds_data) holds_data =
      driver_function<decltype(vramtrack_sim_holds_data)>("vramtrack_sim_holds_data");
  decltype(&vramtrack_sim_will_write) will_write =
      driver_function<decltype(vramtrack_sim_will_write)>("vramtrack_sim_will_write");
  decltype(&vramtrack_sim_zero) zero = driver_function<decltype(vramtrack_sim_zero)>("vramtrack_sim_zero");
  /// False beside another driver than the simulated one.
  bool complete() const { return begin != nullptr && zero != nullptr; }
};
inline const StreamWork& stream_work() {
  static const StreamWork all;
  return all;
}

}  // namespace vramtrack::sim::nccl
