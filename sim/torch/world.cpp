// One rank of many (--sim-world): lets world.py into the interpreter, before PyTorch asks who the other ranks are.
#include <cstdio>
#include <string>

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
  PyThing* const globals = api.new_dict();
  api.dict_set(globals, "__builtins__", api.builtins());
  constexpr int file_input = 257;
  const std::string text(world_source());
  PyThing* const code = api.compile(text.c_str(), "<vramtrack-sim>", file_input);
  if (code == nullptr || api.eval(code, globals, globals) == nullptr) give_up();
  return 0;
}

}  // namespace

extern "C" void vramtrack_sim_play_rank() {
  const PythonApi* const api = python_api();
  if (api != nullptr && api->is_initialized() && api->add_pending_call(enter, nullptr) != 0) give_up();
}
