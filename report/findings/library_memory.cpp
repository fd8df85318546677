// A library other than the framework and the program itself holds much device memory. What the math libraries keep for
// their handles is `workspace`'s subject.
#include <algorithm>
#include <array>

#include "report/findings/registry.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"
#include "report/symbolize/owner.hpp"

namespace vramtrack::findings {
namespace {

constexpr Bytes least_library_bytes = Bytes{128} << 20;

/// What a library's own documents say about keeping less.
struct Limit {
  std::string_view owner, fix;
};
constexpr std::array limits{
    Limit{"nccl",
          "NCCL keeps buffers for each communicator: make fewer process groups, and end those that are not needed any "
          "more (`torch.distributed.destroy_process_group(group)`). NCCL_BUFFSIZE (4 MiB) and NCCL_MAX_NCHANNELS make "
          "them smaller, at some cost of speed."},
    Limit{"cupy",
          "CuPy's pool keeps what was freed: `cupy.get_default_memory_pool().free_all_blocks()` gives that back, and "
          "its `set_limit(size=...)` bounds the pool."},
    Limit{"rmm",
          "Bound RMM's pool (`rmm.reinitialize(pool_allocator=True, maximum_pool_size=...)`), or let PyTorch allocate "
          "from it too (`torch.cuda.memory.change_current_allocator(rmm_torch_allocator)`)."},
    Limit{"numba",
          "Numba frees arrays in batches: NUMBA_CUDA_MAX_PENDING_DEALLOCS_COUNT and _RATIO say when, and `del` what is "
          "not needed any more."},
    Limit{"jax",
          "JAX takes three quarters of the device when it is first used. Set XLA_PYTHON_CLIENT_PREALLOCATE=false, or "
          "XLA_PYTHON_CLIENT_MEM_FRACTION to a part; where it needs no GPU, JAX_PLATFORMS=cpu."},
    Limit{"tensorflow",
          "TensorFlow takes nearly all of the device when it is first used. Set TF_FORCE_GPU_ALLOW_GROWTH=true; where "
          "it needs no GPU (data, logs), `tf.config.set_visible_devices([], 'GPU')` before anything else."},
    Limit{"tensorrt",
          "Bound the workspace when the engine is built (`config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, "
          "bytes)`), and delete engines and execution contexts that are not needed any more."},
    Limit{"onnxruntime",
          "Give the CUDA provider a `gpu_mem_limit`, and `arena_extend_strategy: kSameAsRequested`, so that its arena "
          "does not double each time."},
    Limit{"faiss",
          "`StandardGpuResources` takes memory for temporaries when it is made: `setTempMemory(bytes)` or "
          "`noTempMemory()` before the first index, and one such object for all indexes."},
    Limit{"dali",
          "DALI's pools keep what was freed: `nvidia.dali.backend.ReleaseUnusedMemory()` gives that back; a smaller "
          "`prefetch_queue_depth` keeps fewer batches."},
    Limit{"llama.cpp", "Put fewer layers on the GPU (`n_gpu_layers`), or use a smaller context (`n_ctx`)."},
};

std::string fix_for(const std::string& owner) {
  const auto* const known = std::ranges::find(limits, std::string_view(owner), &Limit::owner);
  if (known != limits.end()) return std::string(known->fix);
  return "Look at that call: free its objects when done, or use the library's own limit for its pool or buffers.";
}

/// JAX and TensorFlow are the program's framework, unless PyTorch is.
bool is_library(const Report& report, const std::string& owner) {
  constexpr std::array own = {"torch", "program", "python", "unknown", ""};
  if (owner == "tensorflow" || owner == "jax")
    return std::ranges::any_of(report.sites, [](const SiteReport& site) { return site.layer == "tensor"; });
  return !is_math_library(owner) &&
         std::none_of(own.begin(), own.end(), [&](const char* name) { return owner == name; });
}

/// What each owner took on a device, managed memory too: the ledger's sums of the device leave that out.
std::vector<Owner> owners_of(const Report& report, const LedgerEntry& entry) {
  std::vector<Owner> owners = entry.owners;
  for (const SiteReport& site : report.sites) {
    if (site.kind != "managed" || site.device != entry.device) continue;
    const auto known = std::ranges::find(owners, site.owner, &Owner::owner);
    if (known != owners.end())
      known->bytes += site.live_bytes;
    else
      owners.push_back({site.owner, site.live_bytes});
  }
  return owners;
}

}  // namespace

Findings library_memory(const Report& report) {
  Findings found;
  for (const LedgerEntry& entry : report.ledger) {
    Bytes all = 0;
    const std::vector<Owner> owners = owners_of(report, entry);
    for (const Owner& owner : owners) all += owner.bytes;
    for (const Owner& owner : owners) {
      if (!is_library(report, owner.owner) || owner.bytes < least_library_bytes || owner.bytes < all / 10) continue;
      const SiteReport* largest = nullptr;
      for (const SiteReport& site : report.sites)
        if (site.layer == "cuda" && site.device == entry.device && site.owner == owner.owner &&
            (largest == nullptr || site.live_bytes > largest->live_bytes))
          largest = &site;
      Finding finding =
          make("library-memory", "info", owner.owner + " holds " + human_bytes(owner.bytes) + " outside the framework");
      finding.bytes = owner.bytes;
      finding.message =
          owner.owner + " has " + human_bytes(owner.bytes) + " on cuda:" + std::to_string(entry.device) +
          " that it took from CUDA itself. Neither torch.cuda.memory_allocated() nor memory_reserved() counts it.";
      if (largest != nullptr) {
        finding.site = largest->id;
        if (const Frame* frame = point_at(finding, report, *largest))
          finding.message += " The largest part was allocated at " + frame_label(*frame) + ".";
      }
      finding.fix = fix_for(owner.owner);
      finding.evidence = {
          {"device", entry.device}, {"owner", owner.owner}, {"bytes", owner.bytes}, {"all_owners_bytes", all}};
      found.push_back(std::move(finding));
    }
  }
  return found;
}

}  // namespace vramtrack::findings
