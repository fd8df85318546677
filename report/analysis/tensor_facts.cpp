#include "report/analysis/tensor_facts.hpp"

#include <algorithm>
#include <array>

#include "report/model/fact_fields.hpp"

namespace vramtrack {
namespace {

constexpr std::array<std::string_view, 7> roles = {"parameter",          "gradient", "buffer", "optimizer_state",
                                                   "saved_for_backward", "python",   "unknown"};

}  // namespace

TensorIndex::TensorIndex(const Json& fact) {
  namespace row = fact::tensors;
  if (!fact.is_array()) return;
  entries_.reserve(fact.size());
  for (const Json& item : fact) {
    const auto address = get(item, row::a);
    if (!address) continue;
    Entry entry{*address, 0, {}};
    for (const std::uint64_t size : get(item, row::s)) entry.facts.shape.push_back(static_cast<std::int64_t>(size));
    entry.facts.dtype = get(item, row::d).value_or("");
    entry.facts.name = get(item, row::n).value_or("");
    entry.facts.role = get(item, row::r).value_or("");
    entry.facts.holder = get(item, row::h).value_or("");
    const auto role = std::find(roles.begin(), roles.end(), entry.facts.role);
    if (role == roles.end()) entry.facts.role = "unknown";
    entry.rank = static_cast<int>(role - roles.begin());
    entries_.push_back(std::move(entry));
  }
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return a.address != b.address ? a.address < b.address : a.rank < b.rank;
  });
}

std::optional<TensorFacts> TensorIndex::find(std::uint64_t address, Bytes bytes) const {
  const auto first = std::lower_bound(entries_.begin(), entries_.end(), address,
                                      [](const Entry& entry, std::uint64_t at) { return entry.address < at; });
  const Entry* best = nullptr;
  for (auto entry = first; entry != entries_.end() && entry->address - address < bytes; ++entry) {
    if (best == nullptr || (best->address == entry->address && entry->rank < best->rank)) best = &*entry;
    if (entry->address != address && best != nullptr && entry->address != best->address) break;
  }
  if (best == nullptr) return std::nullopt;
  return best->facts;
}

}  // namespace vramtrack
