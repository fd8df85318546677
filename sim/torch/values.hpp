// Values on the simulated GPU. Kernels do nothing here, but device memory is host memory: PyTorch's own CPU kernels can
// compute on it. After an operator has gone its way through the CUDA kernels, with all their allocations, the same
// operator runs on CPU tensors laid over the same memory. Nothing of ours is on the stack while the CUDA path runs.
//
// By default small operators are computed, those on which programs decide; with VRAMTRACK_SIM_COMPUTE=1 all are.
#pragma once

namespace vramtrack::sim {

/// Starts it once PyTorch is there; cheap to call again. Any thread, also under the allocator's lock.
void watch_values();

}  // namespace vramtrack::sim
