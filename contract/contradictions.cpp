#include "contract/contradictions.hpp"

#include <map>
#include <tuple>

#include "contract/dormant.hpp"

namespace vramtrack::trace {

namespace {

struct Sums {
  std::uint64_t live_bytes = 0, live_count = 0, allocated_bytes = 0, allocated_count = 0, freed_bytes = 0,
                freed_count = 0;
  template <class Row>
  void add(const Row& row) noexcept {
    live_bytes += row.live_bytes;
    live_count += row.live_count;
    allocated_bytes += row.allocated_bytes;
    allocated_count += row.allocated_count;
    freed_bytes += row.freed_bytes;
    freed_count += row.freed_count;
  }
  bool operator==(const Sums&) const = default;
  bool agree() const noexcept {
    return allocated_bytes - freed_bytes == live_bytes && allocated_count - freed_count == live_count;
  }
};

template <class Row>
Sums sums_of(const Row& row) noexcept {
  Sums sums;
  sums.add(row);
  return sums;
}

using Place = std::tuple<std::uint8_t, std::int16_t, std::uint8_t>;  // layer, device, kind

/// Where the sites of an account are: those of the tensor layer are all of one kind, their account of all kinds.
Kind kind_of_sites(const Account& account) noexcept {
  const bool tensors = account.layer == static_cast<std::uint8_t>(Layer::tensor);
  return tensors ? Kind::block : static_cast<Kind>(account.kind);
}

}  // namespace

std::vector<std::string> contradictions(const TraceFile& trace) {
  std::vector<std::string> found;
  const Header& header = trace.header;
  const bool in_order = (dormant_bits(header) & settled) != 0 &&
                        header.end_kind == static_cast<std::uint32_t>(EndKind::exit) &&
                        header.losses.dropped_events == 0;
  if (!in_order) return found;
  const auto tell = [&](std::size_t rows, const char* what) {
    if (rows != 0) found.push_back("the file is damaged: " + std::string(what) + "; its figures are not to be trusted");
  };

  std::map<Place, Sums> by_place;
  std::vector<Sums> by_site(trace.sites.size());
  for (const Block& block : trace.blocks) {
    by_site[block.site].live_bytes += block.bytes;
    ++by_site[block.site].live_count;
  }
  std::size_t wrong_sites = 0, wrong_blocks = 0, wrong_accounts = 0, wrong_sums = 0;
  for (std::size_t i = 0; i < trace.sites.size(); ++i) {
    const Site& site = trace.sites[i];
    if (site.used != 1) continue;
    by_place[{site.layer, site.device, site.kind}].add(site);
    if (!sums_of(site).agree() || site.own_peak_bytes < site.live_bytes || site.largest_bytes > site.own_peak_bytes)
      ++wrong_sites;
    if (by_site[i].live_bytes != site.live_bytes || by_site[i].live_count != site.live_count) ++wrong_blocks;
  }
  std::map<Place, Sums> by_device;
  for (const Account& account : trace.accounts) {
    if (account.used != 1) continue;
    const Kind kind = static_cast<Kind>(account.kind);
    if (!sums_of(account).agree() || account.peak_bytes < account.live_bytes) ++wrong_accounts;
    if (account.layer == static_cast<std::uint8_t>(Layer::cuda)) {
      if (is_device_memory(kind)) by_device[{account.layer, account.device, 0}].add(account);
      if (kind == Kind::all) continue;
    }
    const Place sites{account.layer, account.device, static_cast<std::uint8_t>(kind_of_sites(account))};
    if (by_place[sites] != sums_of(account)) ++wrong_sums;
  }
  for (const Account& account : trace.accounts)
    if (account.used == 1 && account.layer == static_cast<std::uint8_t>(Layer::cuda) &&
        account.kind == static_cast<std::uint8_t>(Kind::all) &&
        by_device[{account.layer, account.device, 0}] != sums_of(account))
      ++wrong_sums;
  tell(wrong_sites, "the counters of a call site contradict each other");
  tell(wrong_blocks, "a call site and its live blocks contradict each other");
  tell(wrong_accounts, "the counters of a device contradict each other");
  tell(wrong_sums, "a device and its call sites contradict each other");
  return found;
}

}  // namespace vramtrack::trace
