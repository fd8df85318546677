// What closes a cycle that nothing else holds, in words of the code: `ctx.out (SwishFn)`, `Trial.step_function`. Pure.
#pragma once

#include <string>

#include "report/holders/held_graph.hpp"
#include "report/holders/known_holders.hpp"

namespace vramtrack::holders {

struct Cycle {
  std::string text;      // `SwishFnBackward ctx.out -> Tensor.grad_fn -> SwishFnBackward`; "": none was found
  std::string variable;  // the reference to break
  std::string name;      // of the attribute or variable, as its statement has it
  std::string of_class;
  std::string file;      // of the class or function, or ""
  std::string function;  // for a variable that a closure shares
  HoldingStep step;      // the reference as known_holder() wants it
  std::string search;    // a word of the call that made the cycle, where no statement stores it: `create_graph`
  bool object = false;   // what the reference leads to is no container
};

/// `start`: a node of the cycle, or one that leads to it.
Cycle describe_cycle(const HeldGraph& held, std::uint32_t start, bool grew);

}  // namespace vramtrack::holders
