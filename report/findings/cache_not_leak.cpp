// The allocator keeps far more than tensors use: what nvidia-smi shows is cache, not a leak.
#include "report/findings/registry.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr Bytes least_cached = Bytes{256} << 20;

/// What was freed in a private pool (while a CUDA graph was captured, within a `MemPool`) stays there: nobody else uses
/// it.
Finding of_pools(const LedgerEntry& entry, const PrivatePools& pools) {
  const std::string device = "cuda:" + std::to_string(entry.device);
  Finding finding = make("cache-not-leak", "info", "Most of what no tensor uses on " + device + " is in private pools");
  finding.bytes = pools.unused;
  finding.message = plural(pools.pools, "private pool") + " (of CUDA graphs, of `MemPool`) keep " +
                    human_bytes(pools.unused) + " on " + device +
                    " that no tensor uses: what a graph had while it was captured, it has as long as it lives, and "
                    "nobody else is given it. Tensors hold " +
                    human_bytes(entry.tensors_live_bytes) + ".";
  finding.fix = pools_fix;
  finding.evidence = {{"device", entry.device},
                      {"cached_bytes", entry.cached_bytes},
                      {"tensors_live_bytes", entry.tensors_live_bytes},
                      {"private_pools", pools.pools},
                      {"private_pool_bytes", pools.unused}};
  return finding;
}

}  // namespace

Findings cache_not_leak(const Report& report) {
  Findings found;
  for (const LedgerEntry& entry : report.ledger) {
    if (entry.cached_bytes < least_cached || entry.cached_bytes < entry.tensors_live_bytes) continue;
    const PrivatePools pools = private_pools(report, entry.device);
    if (2 * pools.unused > entry.cached_bytes) {
      found.push_back(of_pools(entry, pools));
      continue;
    }
    const double largest =
        static_cast<double>(entry.largest_free_cached_block_bytes) / static_cast<double>(entry.cached_bytes);
    const std::string device = "cuda:" + std::to_string(entry.device);
    Finding finding =
        make("cache-not-leak", "info", "Most of what " + device + " shows as used is the allocator's cache");
    finding.bytes = entry.cached_bytes;
    finding.message = "PyTorch's allocator keeps " + human_bytes(entry.cached_bytes) + " on " + device +
                      " that no tensor uses; tensors hold " + human_bytes(entry.tensors_live_bytes) +
                      ". Tools like nvidia-smi count both. The cache is reused for the next tensors; it is not a leak.";
    if (entry.largest_free_cached_block_bytes != 0)
      finding.message += " The largest free piece is " + human_bytes(entry.largest_free_cached_block_bytes) +
                         (largest < 0.25 ? ": the cache is fragmented, so a larger request may still fail." : ".");
    finding.fix = largest < 0.25 && entry.largest_free_cached_block_bytes != 0
                      ? "If large requests fail, set PYTORCH_ALLOC_CONF=expandable_segments:True."
                      : "Nothing needs fixing. Only when another process needs the memory: torch.cuda.empty_cache().";
    const std::uint64_t streams = streams_with_workspaces(report);
    if (streams >= many_streams) {
      finding.message += " The program computes on " + std::to_string(streams) +
                         " streams: what was allocated on one and freed is used again on the same one only.";
      finding.fix = "Compute on few streams: make one once and use it again, so that its cache is used again, too.";
    }
    finding.evidence = {{"device", entry.device},
                        {"cached_bytes", entry.cached_bytes},
                        {"tensors_live_bytes", entry.tensors_live_bytes},
                        {"largest_free_cached_block_bytes", entry.largest_free_cached_block_bytes},
                        {"streams", streams}};
    found.push_back(std::move(finding));
  }
  return found;
}

}  // namespace vramtrack::findings
