// The communicators that the program holds. A handle that is none is an error, not a crash.
#pragma once

#include <memory>
#include <string>

#include "sim/nccl/communicator.hpp"

namespace vramtrack::sim::nccl {

/// What an ncclComm_t points to. NCCL's own library refuses it, should a function that is not simulated reach it: its
/// communicators begin with another number.
struct Handle {
  static constexpr unsigned long long expected_mark = 0x6d69732d6c63636eull;
  unsigned long long mark = expected_mark;
};

Handle* add_communicator(std::shared_ptr<Communicator> communicator);
std::shared_ptr<Communicator> find_communicator(const Handle* handle);
std::shared_ptr<Communicator> remove_communicator(const Handle* handle);

/// For errors of calls without a communicator.
void set_last_error(const std::string& what);
const char* last_error();

}  // namespace vramtrack::sim::nccl
