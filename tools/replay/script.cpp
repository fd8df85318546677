#include "tools/replay/script.hpp"

namespace vramtrack::tools::replay {

const char* const script = R"(
import array, json, sys

try:
    import torch
    torch.cuda.init()
    raw_alloc, raw_delete = torch._C._cuda_cudaCachingAllocator_raw_alloc, torch._C._cuda_cudaCachingAllocator_raw_delete
except Exception as error:
    sys.exit("%s has no PyTorch with CUDA (%s); --python names another interpreter" % (sys.executable, error))

ALLOC, FREE, EMPTY, ATTEMPT = range(4)  # Event::kind
words = array.array("Q")
with open(sys.argv[1], "rb") as file:
    words.frombytes(file.read())
blocks, oom = {}, None
stream = torch.cuda.current_stream().cuda_stream
for at in range(0, len(words), 3):
    kind, block, size = words[at:at + 3]
    try:
        if kind == ALLOC:
            blocks[block] = raw_alloc(size, stream)
        elif kind == FREE:
            raw_delete(blocks.pop(block))
        elif kind == EMPTY:
            torch.cuda.empty_cache()
        else:
            raw_delete(raw_alloc(size, stream))
    except torch.cuda.OutOfMemoryError:
        oom = {"event": at // 3, "requested_bytes": size, "live_bytes": torch.cuda.memory_allocated(),
               "reserved_bytes": torch.cuda.memory_reserved()}
        break

free = [block["size"] for segment in torch.cuda.memory_snapshot() for block in segment["blocks"]
        if block["state"] == "inactive"]
result = {"peak_live_bytes": torch.cuda.max_memory_allocated(), "peak_reserved_bytes": torch.cuda.max_memory_reserved(),
          "live_bytes": torch.cuda.memory_allocated(), "reserved_bytes": torch.cuda.memory_reserved(),
          "largest_free_bytes": max(free, default=0), "out_of_memory": oom is not None, "oom": oom}
with open(sys.argv[2], "w") as file:
    json.dump(result, file)
import os
os._exit(0)  # nothing is to be taken down
)";

}  // namespace vramtrack::tools::replay
