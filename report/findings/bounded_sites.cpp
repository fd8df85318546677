// Verdicts by births alone take a buffer that is not full yet for a leak. The agent knows that it has a bound.
#include <algorithm>

#include "report/analysis/agent_facts.hpp"
#include "report/findings/findings.hpp"
#include "report/findings/registry.hpp"

namespace vramtrack::findings {

void settle_bounded_sites(Report& report) {
  const auto grows = [](const SiteReport& site) { return site.verdict == "growing"; };
  if (std::none_of(report.sites.begin(), report.sites.end(), grows)) return;
  const std::vector<std::vector<Holder>> seen = holders_by_variable(report);
  const std::map<SiteId, std::string> chains = main_holders(report);
  for (SiteReport& site : report.sites) {
    const auto chain = chains.find(site.id);
    if (!grows(site) || chain == chains.end()) continue;
    const Holder* holder = observed(seen, chain->second);
    if (holder == nullptr || !is_bounded(*holder)) continue;
    site.verdict = "steady";
    site.evidence = "blocks of `" + holder->variable + "`, which has a bound and is not full yet: " + site.evidence;
  }
}

}  // namespace vramtrack::findings
