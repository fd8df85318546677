#include "tools/replay/script.hpp"

namespace vramtrack::tools::replay {

const char* const script = R"(
import array, contextlib, json, os, sys

try:
    import torch
except Exception as error:
    sys.exit("%s has no PyTorch (%s); --python names another interpreter" % (sys.executable, error))

events, result_file, column = sys.argv[1:4]
least = None
if column == "likely":
    # The least that can have been asked for, in a process of its own: an allocator is used once.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        column = "least"
    else:
        os.close(writer)
        with os.fdopen(reader) as file:
            least = file.read()
        os.waitpid(child, 0)

try:
    torch.cuda.init()
    raw_alloc, raw_delete = torch._C._cuda_cudaCachingAllocator_raw_alloc, torch._C._cuda_cudaCachingAllocator_raw_delete
except Exception as error:
    sys.exit("%s has no PyTorch with CUDA (%s); --python names another interpreter" % (sys.executable, error))

ALLOC, FREE, EMPTY, ATTEMPT = range(4)  # Event::kind
words = array.array("Q")
with open(events, "rb") as file:
    words.frombytes(file.read())
blocks, oom = {}, None
streams, pools = [torch.cuda.default_stream()], [None]
has_pools = hasattr(torch.cuda, "use_mem_pool")  # since 2.5

def alloc(size, place):
    stream, pool = place & 0xffffffff, place >> 32 if has_pools else 0
    while len(streams) <= stream:
        streams.append(torch.cuda.Stream())
    while len(pools) <= pool:
        pools.append(torch.cuda.MemPool())
    with torch.cuda.use_mem_pool(pools[pool]) if pool else contextlib.nullcontext():
        return raw_alloc(size, streams[stream].cuda_stream)

size_of = {"bytes": 2, "likely": 3, "least": 4}[column]
for at in range(0, len(words), 6):
    kind, block, place, size = words[at], words[at + 1], words[at + 5], words[at + size_of]
    try:
        if kind == ALLOC:
            blocks[block] = alloc(size, place)
        elif kind == FREE:
            raw_delete(blocks.pop(block))
        elif kind == EMPTY:
            torch.cuda.empty_cache()
        else:
            raw_delete(alloc(size, place))
    except torch.cuda.OutOfMemoryError:
        oom = {"event": at // 6, "requested_bytes": size, "live_bytes": torch.cuda.memory_allocated(),
               "reserved_bytes": torch.cuda.memory_reserved()}
        break

if column == "least":
    os.write(writer, str(torch.cuda.max_memory_reserved()).encode())
    os._exit(0)

free = [block["size"] for segment in torch.cuda.memory_snapshot() for block in segment["blocks"]
        if block["state"] == "inactive"]
result = {"peak_live_bytes": torch.cuda.max_memory_allocated(), "peak_reserved_bytes": torch.cuda.max_memory_reserved(),
          "peak_reserved_if_least_bytes": int(least) if least else torch.cuda.max_memory_reserved(),
          "live_bytes": torch.cuda.memory_allocated(), "reserved_bytes": torch.cuda.memory_reserved(),
          "largest_free_bytes": max(free, default=0), "out_of_memory": oom is not None, "oom": oom}
with open(result_file, "w") as file:
    json.dump(result, file)
os._exit(0)  # nothing is to be taken down
)";

}  // namespace vramtrack::tools::replay
