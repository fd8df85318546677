// The two natives of the agent that take a graph. GIL held.
#pragma once

#include "interpose/python/python_api.hpp"

namespace vramtrack::agent::heap {

/// native_graph_scan(objects, torch.Tensor, AccumulateGrad, _FunctionBase): (tensors, suspended generators and
/// coroutines, CUDA graphs and memory pools, autograd nodes) in a list of objects; False where this interpreter cannot
/// be walked. The two classes stand for PyTorch's own nodes and for custom functions; None: not known.
Object* scan(Object* self, Object* arguments) noexcept;

/// native_graph(moment, number, objects, tensors, edges, frames, parts, roots, hidden, kept, settings): walks, prunes,
/// writes the record. True when it was stored. vramtrack_agent/capture.py shows what the arguments are.
Object* capture(Object* self, Object* arguments) noexcept;

}  // namespace vramtrack::agent::heap
