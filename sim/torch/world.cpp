// One rank of many (--sim-world): lets world.py into the interpreter, before PyTorch asks who the other ranks are.
#include <cstdio>

#include "sim/torch/python.hpp"
#include "sim/torch/world_source.hpp"

using namespace vramtrack::sim;

namespace {

void give_up() { std::fprintf(stderr, "vramtrack-sim: the other ranks cannot be played in this Python\n"); }

/// In the main thread, between two instructions of the program.
int enter(void*) {
  const PythonApi& api = *python_api();
  const PythonScope python(api);
  if (!python) return 0;
  if (!run_program(api, world_source(), api.new_dict())) give_up();
  return 0;
}

}  // namespace

extern "C" void vramtrack_sim_play_rank() {
  const PythonApi* const api = python_api();
  if (api != nullptr && api->is_initialized() && api->add_pending_call(enter, nullptr) != 0) give_up();
}
