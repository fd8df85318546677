// Where the traced process's parts are put together: who is told what by the recorder.
#include "interpose/recorder/observers.hpp"

#include "cupti/callback_source.hpp"
#include "interpose/core/no_cancel.hpp"
#include "interpose/cuda/cuda_facts.hpp"
#include "interpose/process/session.hpp"
#include "interpose/python/agent.hpp"
#include "interpose/recorder/recorder.hpp"

namespace vramtrack {

namespace {

void driver_is_up() noexcept {
  const NoCancel whole;
  cuda_facts::write_once();
  cupti::start();
}

void out_of_memory(std::uint32_t n) noexcept {
  if (n != 0) cuda_facts::write_memory(n);
  agent::note_oom(n);
}

void freezing(bool first) noexcept {
  const HookScope scope;  // the driver calls below are not the host's
  if (first) cuda_facts::write_once();
  cuda_facts::write_memory(0);
}

}  // namespace

constinit const Observers observers{.open_trace = session::open,
                                    .opened = agent::schedule,
                                    .driver_is_up = driver_is_up,
                                    .out_of_memory = out_of_memory,
                                    .freezing = freezing,
                                    .forked = session::after_fork_in_child};

}  // namespace vramtrack
