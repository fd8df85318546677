#include "report/analysis/tensor_facts.hpp"

#include <algorithm>
#include <array>

#include "report/support/utf8.hpp"

namespace vramtrack {
namespace {

constexpr std::array<std::string_view, 7> roles = {"parameter",          "gradient", "buffer", "optimizer_state",
                                                   "saved_for_backward", "python",   "unknown"};

std::string text_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? utf8::sanitise(found->get<std::string>()) : std::string();
}

}  // namespace

TensorIndex::TensorIndex(const Json& note) {
  const Json* list = &note;
  if (note.is_object() && note.contains("tensors")) list = &note["tensors"];
  if (!list->is_array()) return;
  entries_.reserve(list->size());
  for (const Json& item : *list) {
    if (!item.is_object()) continue;
    const auto address = item.find("a");
    if (address == item.end() || !address->is_number_integer()) continue;
    Entry entry{address->get<std::uint64_t>(), 0, {}};
    if (const auto shape = item.find("s"); shape != item.end() && shape->is_array()) {
      for (const Json& size : *shape) {
        if (size.is_number_integer()) entry.facts.shape.push_back(size.get<std::int64_t>());
      }
    }
    entry.facts.dtype = text_in(item, "d");
    entry.facts.name = text_in(item, "n");
    entry.facts.role = text_in(item, "r");
    entry.facts.holder = text_in(item, "h");
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
