#include "report/analysis/agent_facts.hpp"

#include <algorithm>
#include <cctype>

namespace vramtrack {
std::string blank_indices(const std::string& chain) {
  std::string result;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (chain[i] != '[') {
      result += chain[i];
      continue;
    }
    std::size_t end = i + 1;
    while (end < chain.size() && (std::isdigit(static_cast<unsigned char>(chain[end])) != 0 || chain[end] == '-'))
      ++end;
    if (end < chain.size() && chain[end] == '<')  // a key that is an object: [<Parameter>]
      while (end < chain.size() && chain[end] != ']') ++end;
    if (end < chain.size() && chain[end] == ']') {
      result += "[]";
      i = end;
    } else {
      result += '[';
    }
  }
  return result;
}

std::map<SiteId, std::string> main_holders(const Report& report) {
  std::map<SiteId, std::map<std::string, Bytes>> sums;
  for (const AllocationReport& allocation : report.allocations)
    if (allocation.tensor && !allocation.tensor->holder.empty())
      sums[allocation.site][blank_indices(allocation.tensor->holder)] += allocation.bytes;
  std::map<SiteId, std::string> result;
  for (const auto& [site, holders] : sums)
    result[site] = std::max_element(holders.begin(), holders.end(), [](const auto& a, const auto& b) {
                     return a.second < b.second;
                   })->first;
  return result;
}

}  // namespace vramtrack
