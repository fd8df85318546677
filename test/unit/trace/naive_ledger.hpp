// A second ledger, naive: everything recomputed from plain maps. What the tests compare the real one with.
#pragma once

#include <map>
#include <tuple>

#include "temporary_trace.hpp"

namespace vramtrack {

using trace::Account;
using trace::Site;
using trace::TraceFile;

using SiteKey = std::tuple<Layer, Kind, std::int16_t, StackId, StackId>;
using AccountKey = std::tuple<Layer, std::int16_t, Kind>;

inline int space_of(Kind kind) {
  if (kind == Kind::host_pinned || kind == Kind::registered) return 1;
  if (kind == Kind::array) return 2;
  return kind == Kind::vmm ? 3 : 0;
}

// Everything recomputed from plain maps; at each new peak all sites are copied.
struct NaiveLedger {
  struct Live {
    std::uint64_t bytes;
    SiteKey site;
  };
  struct Total {
    std::uint64_t live = 0, count = 0, peak = 0, allocated = 0, allocated_count = 0, freed = 0, freed_count = 0;
    std::map<SiteKey, std::uint64_t> at_peak;
  };
  struct SiteTotal {
    std::uint64_t live = 0, count = 0, largest = 0, allocated = 0, allocated_count = 0, own_peak = 0;
  };
  std::map<std::tuple<Layer, std::int16_t, int, std::uint64_t>, Live> live;  // cuda layer: device -1
  std::map<AccountKey, Total> accounts;
  std::map<SiteKey, SiteTotal> sites;
  std::uint64_t unknown = 0, replaced = 0;

  static auto key(Layer layer, std::int16_t device, Kind kind, std::uint64_t address) {
    return std::tuple(layer, layer == Layer::cuda ? std::int16_t{-1} : device, space_of(kind), address);
  }
  std::vector<AccountKey> accounts_of(const SiteKey& site) const {
    const auto [layer, kind, device, stack, forward] = site;
    std::vector<AccountKey> keys{{layer, device, kind}};
    if (trace::is_device_memory(kind)) keys.push_back({layer, device, Kind::all});
    return keys;
  }
  void add(const AllocEvent& e, StackId stack, StackId forward) {
    const auto k = key(e.layer, e.device, e.kind, e.address);
    if (live.count(k) != 0) {
      ++replaced;
      remove(k);
    }
    const SiteKey site{e.layer, e.kind, e.device, stack, forward};
    live[k] = {e.bytes, site};
    SiteTotal& s = sites[site];
    s.live += e.bytes;
    ++s.count;
    s.allocated += e.bytes;
    ++s.allocated_count;
    s.largest = std::max(s.largest, e.bytes);
    s.own_peak = std::max(s.own_peak, s.live);
    for (const AccountKey& a : accounts_of(site)) {
      Total& t = accounts[a];
      t.live += e.bytes;
      ++t.count;
      t.allocated += e.bytes;
      ++t.allocated_count;
      if (t.live > t.peak) {
        t.peak = t.live;
        t.at_peak.clear();
        for (const auto& [other, totals] : sites)
          for (const AccountKey& b : accounts_of(other))
            if (a == b) t.at_peak[other] = totals.live;
      }
    }
  }
  bool remove(const std::tuple<Layer, std::int16_t, int, std::uint64_t>& k) {
    const auto it = live.find(k);
    if (it == live.end()) {
      ++unknown;
      return false;
    }
    const Live block = it->second;
    live.erase(it);
    sites[block.site].live -= block.bytes;
    --sites[block.site].count;
    for (const AccountKey& a : accounts_of(block.site)) {
      Total& t = accounts[a];
      t.live -= block.bytes;
      --t.count;
      t.freed += block.bytes;
      ++t.freed_count;
    }
    return true;
  }
};

inline void compare(const NaiveLedger& naive, const TraceFile& file) {
  REQUIRE(file.warnings.empty());
  CHECK(file.header.losses.dropped_events == 0);
  CHECK(file.header.losses.unknown_frees == naive.unknown);
  CHECK(file.header.losses.replaced_blocks == naive.replaced);
  REQUIRE(file.blocks.size() == naive.live.size());

  std::map<SiteKey, const Site*> sites;
  const auto key_of = [](const Site& s) {
    return SiteKey{static_cast<Layer>(s.layer), static_cast<Kind>(s.kind), s.device, s.stack, s.forward};
  };
  for (const Site& s : file.sites) REQUIRE(sites.emplace(key_of(s), &s).second);
  REQUIRE(sites.size() == naive.sites.size());
  for (const auto& [key, expected] : naive.sites) {
    const Site& s = *sites.at(key);
    REQUIRE(s.live_bytes == expected.live);
    REQUIRE(s.live_count == expected.count);
    REQUIRE(s.largest_bytes == expected.largest);
    REQUIRE(s.allocated_bytes == expected.allocated);
    REQUIRE(s.allocated_count == expected.allocated_count);
    REQUIRE(s.own_peak_bytes == expected.own_peak);
  }
  for (const auto& [key, expected] : naive.accounts) {
    const auto [layer, device, kind] = key;
    const Account* const a = file.account(layer, device, kind);
    REQUIRE(a != nullptr);
    REQUIRE(a->live_bytes == expected.live);
    REQUIRE(a->live_count == expected.count);
    REQUIRE(a->peak_bytes == expected.peak);
    REQUIRE(a->allocated_bytes == expected.allocated);
    REQUIRE(a->allocated_count == expected.allocated_count);
    REQUIRE(a->freed_bytes == expected.freed);
    REQUIRE(a->freed_count == expected.freed_count);
    if (trace::peak_kind(kind) != kind) continue;
    std::uint64_t sum = 0;
    for (const auto& [site, bytes] : expected.at_peak) {
      REQUIRE(file.bytes_at_peak(*sites.at(site)) == bytes);
      sum += bytes;
    }
    REQUIRE(sum == a->peak_bytes);
    for (const auto& [site, s] : sites)
      if (expected.at_peak.count(site) == 0 && std::get<0>(site) == layer && std::get<2>(site) == device &&
          trace::peak_kind(std::get<1>(site)) == kind)
        REQUIRE(file.bytes_at_peak(*s) == 0);
  }
}

}  // namespace vramtrack
