// The note keys (NoteRecord) that the writers in the traced process and the readers of the trace agree on. Additive:
// a reader ignores what it does not know, and a missing note leaves its report field null or empty. Values are UTF-8
// text: plain where marked so; facts (contract/fact_encoding.hpp), shown here as JSON; of the agent: JSON text. `n` = 0
// unless marked "per OOM" (then also written with the OOM's number).
#pragma once

#include <string_view>

namespace vramtrack::trace::note_key {

// Written at the start of the trace by the library.
inline constexpr std::string_view command = "command";        // plain: the bytes of /proc/self/cmdline (NUL separated)
inline constexpr std::string_view executable = "executable";  // plain: target of /proc/self/exe
inline constexpr std::string_view hostname = "hostname";      // plain
inline constexpr std::string_view environ =
    "environ";                                  // plain: lines KEY=VALUE; RANK, LOCAL_RANK, WORLD_SIZE, SLURM_*,
                                                // OMPI_*, PMI_*, PYTORCH_*ALLOC_CONF, CUDA_VISIBLE_DEVICES
inline constexpr std::string_view cwd = "cwd";  // plain
inline constexpr std::string_view version = "vramtrack_version";  // plain: of the library

// CUDA, when first known: {"runtime": 13000, "driver": 13000, "simulated": true,
//                          "devices": [{"index": 0, "name": "...", "total_bytes": N, "uuid": "8-4-4-4-12 digits"}]}
inline constexpr std::string_view cuda = "cuda";
// The driver's view, at exit and per OOM, also from time to time:
//   [{"device": 0, "free_bytes": N, "total_bytes": N}]
// with `"torch_pool": {"reserved_bytes": N, "used_bytes": N}` where PyTorch's cudaMallocAsync back end has allocated.
inline constexpr std::string_view memory_info = "memory_info";

// Written by the Python agent.
inline constexpr std::string_view python = "python";  // {"version": "3.11.7", "torch": "2.11.0+cu130", ...}
// At exit and per OOM: {"tensors": [{"a": address, ...}]}; docs/agent-notes.md lists this and the agent's other keys.
inline constexpr std::string_view tensors = "tensors";

}  // namespace vramtrack::trace::note_key
