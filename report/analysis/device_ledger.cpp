#include "report/analysis/device_ledger.hpp"

#include <algorithm>
#include <map>

#include "report/model/fact_fields.hpp"

namespace vramtrack {
namespace {

struct Range {
  std::uint64_t begin, end;
};

/// Neighbouring pieces of an expandable segment are one: the allocator hands out blocks across them. (Two such segments
/// never touch: each reserves more addresses than the device has memory.)
void join_neighbours(std::vector<Range>& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::size_t kept = 0;
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].begin == ranges[kept].end) {
      ranges[kept].end = ranges[i].end;
    } else {
      ranges[++kept] = ranges[i];
    }
  }
  if (!ranges.empty()) ranges.resize(kept + 1);
}

/// The largest hole in `segments` that no block of `used` covers. Adjacent segments do not make one hole: the allocator
/// cannot hand out a block across them.
Bytes largest_hole(std::vector<Range> segments, std::vector<Range> used) {
  const auto by_begin = [](const Range& a, const Range& b) { return a.begin < b.begin; };
  std::sort(segments.begin(), segments.end(), by_begin);
  std::sort(used.begin(), used.end(), by_begin);
  Bytes largest = 0;
  std::size_t next = 0;
  for (const Range& segment : segments) {
    std::uint64_t at = segment.begin;
    while (next < used.size() && used[next].end <= segment.begin) ++next;
    for (std::size_t i = next; i < used.size() && used[i].begin < segment.end; ++i) {
      if (used[i].begin > at) largest = std::max(largest, used[i].begin - at);
      at = std::max(at, used[i].end);
    }
    if (at < segment.end) largest = std::max(largest, segment.end - at);
  }
  return largest;
}

const Json* info_of(const Json& memory_info, int device) {
  if (!memory_info.is_array()) return nullptr;
  for (const Json& info : memory_info) {
    if (info.is_object() && get(info, fact::memory_info::device) == static_cast<std::uint64_t>(device)) return &info;
  }
  return nullptr;
}

/// What the cudaMallocAsync pool of PyTorch holds beyond the blocks in use: cached, as its own memory_reserved()
/// counts.
Bytes unused_in_torch_pool(const Json& info) {
  const Json* pool = get(info, fact::memory_info::torch_pool);
  if (pool == nullptr) return 0;
  const std::optional<Bytes> reserved = get(*pool, fact::pool::reserved_bytes),
                             used = get(*pool, fact::pool::used_bytes);
  return reserved && used && *used <= *reserved ? *reserved - *used : 0;
}

struct DeviceSums {
  Bytes tensors = 0, torch = 0, all = 0, managed = 0;
  std::map<std::string, Bytes> by_owner;
  std::vector<Range> segments, mapped, used;
};

}  // namespace

std::vector<LedgerEntry> device_ledger(const std::vector<LedgerBlock>& blocks, const std::vector<std::string>& owners,
                                       const std::vector<Device>& devices, const Json& memory_info) {
  std::map<int, DeviceSums> sums;
  for (const Device& device : devices) sums[device.index];
  for (const LedgerBlock& block : blocks) {
    if (block.device < 0) continue;
    DeviceSums& sum = sums[block.device];
    const Range range{block.address, block.address + block.bytes};
    if (block.layer == trace::Layer::tensor) {
      sum.tensors += block.bytes;
      sum.used.push_back(range);
      continue;
    }
    if (!trace::is_device_memory(block.kind)) continue;
    if (block.kind == trace::Kind::managed) {  // it may exceed the device, and the driver counts what is there just now
      sum.managed += block.bytes;
      continue;
    }
    sum.all += block.bytes;
    sum.by_owner[owners[block.owner]] += block.bytes;
    if (owners[block.owner] != "torch") continue;
    sum.torch += block.bytes;
    if (block.kind == trace::Kind::vmm) {
      if (block.mapped_at != 0) sum.mapped.push_back({block.mapped_at, block.mapped_at + block.bytes});
    } else if (block.kind != trace::Kind::pool) {  // a block of the driver's pool is a tensor's own
      sum.segments.push_back(range);
    }
  }

  std::vector<LedgerEntry> ledger;
  for (auto& [index, sum] : sums) {
    LedgerEntry entry;
    entry.device = index;
    const Json* info = info_of(memory_info, index);
    if (const Bytes unused = info != nullptr ? unused_in_torch_pool(*info) : 0; unused > 0) {
      sum.all += unused;
      sum.torch += unused;
      sum.by_owner["torch"] += unused;
    }
    for (const Device& device : devices) {
      if (device.index == index) entry.total_bytes = device.total_bytes;
    }
    entry.tensors_live_bytes = sum.tensors;
    entry.managed_bytes = sum.managed;
    entry.cached_bytes = sum.torch - std::min(sum.torch, sum.tensors);
    join_neighbours(sum.mapped);
    sum.segments.insert(sum.segments.end(), sum.mapped.begin(), sum.mapped.end());
    const Bytes hole = largest_hole(std::move(sum.segments), std::move(sum.used));
    entry.largest_free_cached_block_bytes = std::min(hole, entry.cached_bytes);
    for (const auto& [owner, bytes] : sum.by_owner) {
      if (bytes > 0) entry.owners.push_back({owner, bytes});
    }
    std::sort(entry.owners.begin(), entry.owners.end(), [](const Owner& a, const Owner& b) {
      return a.bytes != b.bytes ? a.bytes > b.bytes : a.owner < b.owner;
    });
    if (info != nullptr) {
      const std::optional<Bytes> free = get(*info, fact::memory_info::free_bytes);
      const std::optional<Bytes> total = get(*info, fact::memory_info::total_bytes);
      if (total) entry.total_bytes = *total;
      if (free && total && *free <= *total) {
        entry.driver_used_bytes = *total - *free;
        // What the driver counts and nobody here asked for: contexts, modules, other processes.
        const Bytes known = std::max(sum.all, sum.tensors);
        entry.context_and_other_bytes = *entry.driver_used_bytes - std::min(*entry.driver_used_bytes, known);
      }
    }
    ledger.push_back(std::move(entry));
  }
  return ledger;
}

}  // namespace vramtrack
