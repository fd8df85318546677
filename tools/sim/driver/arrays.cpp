#include "tools/sim/driver/state.hpp"

using namespace vramtrack::sim;

namespace vramtrack::sim {
void release_arrays(const Context&) {}
}  // namespace vramtrack::sim

extern "C" uint64_t vramtrack_sim_live(int (*)(const vramtrack_sim_block*, void*), void*) { return 0; }
