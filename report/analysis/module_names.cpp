#include "report/analysis/module_names.hpp"

#include <algorithm>
#include <cctype>

#include "report/model/fact_fields.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack {
namespace {

/// "main() local trainer.model" -> "trainer.model", "__main__.model" -> "model".
std::string variable_of(const std::string& expression) {
  std::string name = expression.substr(expression.rfind(' ') + 1);
  if (name.starts_with("__main__.")) name.erase(0, 9);
  return name;
}

}  // namespace

std::vector<std::string> numbered_parts(const std::string& module) {
  std::vector<std::string> found;
  for (std::size_t at = 0; at < module.size();) {
    const std::size_t end = std::min(module.find('.', at), module.size());
    if (end > at &&
        std::all_of(module.begin() + static_cast<std::ptrdiff_t>(at), module.begin() + static_cast<std::ptrdiff_t>(end),
                    [](unsigned char c) { return std::isdigit(c) != 0; }))
      found.push_back(module.substr(0, end));
    at = end + 1;
  }
  return found;
}

std::string parent_of(const std::string& module) {
  const std::size_t dot = module.rfind('.');
  return dot == std::string::npos ? "" : module.substr(0, dot);
}

ModuleNames::ModuleNames(const trace::TraceFile& trace, const Json& seen) : trace_(trace) {
  if (!seen.is_array()) return;
  for (const Json& entry : seen)
    if (entry.is_object()) read(entry);
  // Names can be given only now: how many roots there are decides whether they are told apart by their variables.
  for (const auto& [site, sums] : sums_) {
    for (const auto& [key, sum] : sums) {
      std::optional<std::string> module;
      if (const std::size_t at = key.second.find('\0'); at != std::string::npos)
        module = name({std::stoul(key.second.substr(0, at)), key.second.substr(at + 1)});
      seen_[site].push_back({key.first, std::move(module), sum.blocks, sum.bytes});
    }
  }
}

std::size_t ModuleNames::root(Root root) {
  // One look finds a model as a local of main(), another one as an attribute of a global.
  auto known = std::find_if(roots_.begin(), roots_.end(), [&](const Root& other) {
    return other.type == root.type && other.id == root.id && root.id != 0;
  });
  if (known == roots_.end())
    known = std::find_if(roots_.begin(), roots_.end(), [&](const Root& other) {
      return other.type == root.type && (other.variable == root.variable || root.variable.empty());
    });
  if (known == roots_.end()) {
    // Seen first where no variable led to it.
    const auto unnamed = std::find_if(roots_.begin(), roots_.end(), [&](const Root& other) {
      return other.type == root.type && other.variable.empty();
    });
    if (unnamed == roots_.end()) {
      roots_.push_back(std::move(root));
      return roots_.size() - 1;
    }
    *unnamed = std::move(root);
    return static_cast<std::size_t>(unnamed - roots_.begin());
  }
  known->has_children = known->has_children || root.has_children;
  known->id = root.id;
  if (known->variable.empty()) known->variable = std::move(root.variable);
  if (known->text.empty()) known->text = std::move(root.text);
  return static_cast<std::size_t>(known - roots_.begin());
}

void ModuleNames::read(const Json& seen) {
  std::vector<std::size_t> roots;
  for (const Json* item : get(seen, fact::seen::roots)) {
    const std::string text = get(*item, fact::root::expression).value_or("");
    const std::string variable = get(*item, fact::root::variable).value_or("");
    roots.push_back(
        root({text, variable.empty() ? variable_of(text) : variable, get(*item, fact::root::type).value_or(""),
              get(*item, fact::root::has_children) == true, get(*item, fact::root::id).value_or(0)}));
  }
  std::vector<Place> places;
  for (const Json* item : get(seen, fact::seen::modules)) {
    const auto number = get(*item, fact::path::root);
    if (!number || *number >= roots.size()) return;
    places.push_back({roots[*number], get(*item, fact::path::name).value_or("")});
  }
  for (const Json* item : get(seen, fact::seen::labels)) {
    const auto label = get(*item, fact::label::number), at = get(*item, fact::label::module);
    if (!label || !at || *at >= places.size()) continue;
    const auto [known, fresh] = labels_.try_emplace(static_cast<std::uint32_t>(*label), places[*at]);
    // Another module has taken the address: whose a block was is not known.
    if (!fresh && known->second && known->second->path != places[*at].path) known->second.reset();
  }
  std::map<std::uint32_t, std::map<std::pair<std::string, std::string>, Sum>> sums;
  for (const Json* item : get(seen, fact::seen::blocks)) {
    namespace purpose = fact::purpose;
    const auto site = get(*item, purpose::site), blocks = get(*item, purpose::blocks),
               bytes = get(*item, purpose::bytes);
    if (!site || !blocks || !bytes) continue;
    std::string module;
    if (const auto at = get(*item, purpose::module); at && *at < places.size())
      module = std::to_string(places[*at].root) + '\0' + places[*at].path;
    Sum& sum = sums[static_cast<std::uint32_t>(*site)][{get(*item, purpose::role).value_or(""), module}];
    sum.blocks += *blocks;
    sum.bytes += *bytes;
  }
  for (auto& [site, parts] : sums) {
    for (auto& [key, sum] : parts) {
      Sum& most = sums_[site][key];
      if (sum.bytes > most.bytes) most = sum;
    }
  }
}

std::string ModuleNames::name(const Place& place) const {
  const Root& root = roots_[place.root];
  const auto models = std::count_if(roots_.begin(), roots_.end(), [](const Root& other) { return other.has_children; });
  if (root.has_children && models == 1) return place.path.empty() ? root.type : place.path;
  const std::string prefix = root.variable.empty() ? root.type : root.variable;
  return place.path.empty() ? prefix : prefix + "." + place.path;
}

std::optional<std::string> ModuleNames::of(std::uint32_t label) const {
  if (label == 0) return std::nullopt;
  if (const auto known = labels_.find(label); known != labels_.end() && known->second) return name(*known->second);
  const trace::Label* const record = trace_.label(label);
  if (record == nullptr) return std::nullopt;
  return utf8::sanitise(trace_.string(record->name));
}

std::vector<std::string> ModuleNames::outermost(const std::set<std::uint64_t>& some,
                                                const std::set<std::uint64_t>& others) const {
  std::set<std::string> wanted, taken;  // names; and those of the others with all that are above them
  for (const auto& [label, place] : labels_) {
    const trace::Label* const record = trace_.label(label);
    if (record == nullptr || !place) continue;
    std::string name = this->name(*place);
    if (others.contains(record->address)) {
      for (; !name.empty(); name = parent_of(name)) taken.insert(name);
    } else if (some.contains(record->address)) {
      wanted.insert(std::move(name));
    }
  }
  std::set<std::string> found;
  for (std::string name : wanted) {
    if (taken.contains(name)) continue;
    for (std::string above = parent_of(name); !above.empty() && !taken.contains(above); above = parent_of(name))
      name = std::move(above);
    found.insert(std::move(name));
  }
  return {found.begin(), found.end()};
}

std::optional<std::string> ModuleNames::owner(const std::string& tensor_name) const {
  std::string name = tensor_name;
  if (const std::size_t of = name.find(" of "); of != std::string::npos) name.erase(0, of + 4);
  if (const std::size_t tied = name.find(" = "); tied != std::string::npos) name.erase(tied);
  if (name.ends_with(".grad")) name.erase(name.size() - 5);
  const Root* best = nullptr;
  for (const Root& root : roots_) {
    const std::string& prefix = root.text.empty() ? root.type : root.text;
    if (name.starts_with(prefix + ".") && (best == nullptr || prefix.size() > best->text.size())) best = &root;
  }
  if (best == nullptr) return std::nullopt;
  const std::size_t begin = (best->text.empty() ? best->type : best->text).size() + 1;
  const std::size_t end = name.rfind('.');
  const std::string path = end != std::string::npos && end > begin ? name.substr(begin, end - begin) : "";
  return this->name({static_cast<std::size_t>(best - roots_.data()), path});
}

const std::vector<ModuleNames::Seen>& ModuleNames::seen(std::uint32_t site) const {
  static const std::vector<Seen> none;
  const auto found = seen_.find(site);
  return found == seen_.end() ? none : found->second;
}

}  // namespace vramtrack
