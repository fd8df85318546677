// A library other than the framework and the program itself holds much device memory. What the math libraries keep for
// their handles is `workspace`'s subject.
#include <algorithm>
#include <array>

#include "report/findings/registry.hpp"
#include "report/symbolize/owner.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr Bytes least_bytes = Bytes{128} << 20;

bool is_library(const std::string& owner) {
  constexpr std::array own = {"torch", "program", "python", "unknown", "tensorflow", "jax", ""};
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
      if (!is_library(owner.owner) || owner.bytes < least_bytes || owner.bytes < all / 10) continue;
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
      finding.fix =
          "Look at that call: free its objects when done, or use the library's own limit for its pool or buffers.";
      finding.evidence = {
          {"device", entry.device}, {"owner", owner.owner}, {"bytes", owner.bytes}, {"all_owners_bytes", all}};
      found.push_back(std::move(finding));
    }
  }
  return found;
}

}  // namespace vramtrack::findings
