#include "report/holders/forest.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "report/analysis/agent_facts.hpp"
#include "report/holders/holding_tree.hpp"
#include "report/holders/known_holders.hpp"
#include "report/holders/model_memory.hpp"
#include "report/holders/row_places.hpp"
#include "report/holders/way.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::holders {

namespace {

constexpr std::size_t most_rows = 400, most_depth = 10, most_children = 40, most_sharers = 8;
constexpr std::size_t few = 3;  // elements whose names differ in a number only are listed apart up to here

/// Objects that one row stands for.
struct Group {
  std::vector<std::uint32_t> nodes;
  std::set<std::uint32_t> sharers;  // nodes that hold them together
  std::set<std::string> names;      // variables that do, too, by their paths
  std::uint32_t named_by = no_node;
  Bytes bytes = 0;
  std::uint64_t blocks = 0;
};

class Maker {
 public:
  Maker(const HeldGraph& held, const BirthJudge& births, const ReadSource& read_source, const FileOfSite& file_of_site)
      : held_(held),
        tree_(held),
        model_(held, tree_),
        births_(births),
        read_source_(read_source),
        places_(held, tree_, read_source, file_of_site) {
    least_ = std::max<Bytes>(held.retained[held.root] / 200, 1);
    result_.row_of_block.assign(held.blocks.size(), no_node);
  }

  Forest make() {
    expand({held_.root}, std::nullopt, 0);
    link_sharers();
    spare_caches();
    for (std::size_t i = 0; i < result_.rows.size(); ++i) finish(i);
    return std::move(result_);
  }

 private:
  // ---- groups ----

  bool is_traceback(std::uint32_t node) const { return held_.text(held_.node(node).type_name) == "traceback"; }

  /// Whether a node's own name is no help: its parts are shown in its place.
  bool is_transparent(std::uint32_t node) const {
    if (held_.is_namespace(node) || held_.is(node, GraphNodeKind::cell)) return true;
    if (held_.way_edge[node] == no_node) return false;
    if (is_traceback(node) && is_traceback(held_.way[node])) return true;  // of the next function
    const GraphEdge& edge = held_.graph->edges[held_.way_edge[node]];
    return edge.kind == GraphEdgeKind::attribute && held_.has(edge.from, trace::graph_nn_module) &&
           is_module_table(held_.text(static_cast<std::uint32_t>(edge.label)));
  }

  void add(std::map<std::string, Group>& groups, const std::string& key, std::uint32_t node) const {
    Group& group = groups[key];
    group.nodes.push_back(node);
    group.bytes += held_.retained[node];
    group.blocks += held_.retained_count[node];
  }

  void collect(std::uint32_t top, std::map<std::string, Group>& groups) const {
    for (const std::uint32_t child : tree_.below(top)) {
      if (held_.retained[child] == 0 || held_.is(child, GraphNodeKind::storage)) continue;
      if (is_transparent(child)) {
        collect(child, groups);
        continue;
      }
      collect_one(top, child, groups);
    }
  }

  void collect_one(std::uint32_t top, std::uint32_t child, std::map<std::string, Group>& groups) const {
    if (const std::uint32_t chain = chain_of_functions(held_, child); chain != no_node) {
      const std::string key = path_of(held_, chain) + "|chain" + blank_step(held_, child);
      add(groups, key, child);
      groups[key].named_by = chain;
      return;
    }
    // What no single part of `top` holds belongs to several of them.
    std::set<std::uint32_t> sharers;
    std::set<std::string> own;  // variables that are the child itself
    bool directly = false;
    for (const std::uint32_t before : held_.predecessors.of(child)) {
      std::uint32_t part = tree_.branch(top, before);
      while (part != before && part != no_node && is_transparent(part)) part = tree_.branch(part, before);
      if (part == top || part == no_node)
        directly = directly || before == top;
      else if (part == before && held_.is_namespace(part))
        own.merge(names_in(part, child));  // of a module that imported it from another, say
      else if (part != child)
        sharers.insert(part);
    }
    const bool is_top_level = held_.is_namespace(top) && !held_.has(top, trace::graph_suspended);
    if (sharers.empty() && own.size() < 2) {
      add(groups, (is_top_level ? path_of(held_, child, true) : blank_step(held_, child)) + "|" + type_of(child),
          child);
      return;
    }
    if (const std::uint32_t coroutine = coroutine_of(held_, child);
        coroutine != no_node &&
        std::ranges::none_of(sharers, [&](std::uint32_t node) { return begins_at_user(held_, node); })) {
      const std::string task = path_of(held_, coroutine, true) + "|task";  // which the event loop's parts hold together
      add(groups, task, child);
      groups[task].named_by = coroutine;
      return;
    }
    std::uint32_t named_by = no_node;
    for (const std::uint32_t at : way_to(held_, child))
      if (at != child && sharers.contains(at)) named_by = at;
    if (named_by == no_node) named_by = child;
    named_by = half_behind(held_, named_by, sharers);
    std::string key = "shared";
    if (held_.is_namespace(named_by)) {  // the variable says more than the function or module that it is one of
      named_by = no_node;
      key += blank_step(held_, child);
    }
    std::size_t named = 0;
    std::set<std::string> names;
    for (const std::uint32_t sharer : sharers) names.insert(blank_indices(path_of(held_, sharer, true)));
    if (directly && is_top_level && held_.is_node(top)) own.merge(names_in(top, child));
    names.insert(own.begin(), own.end());
    for (const std::string& name : names)
      if (named++ < most_sharers) key += "|" + name;
    add(groups, key, child);
    Group& group = groups[key];
    if (group.sharers.size() < 64) group.sharers.insert(sharers.begin(), sharers.end());
    if (group.names.size() < most_sharers) group.names.insert(own.begin(), own.end());
    if (group.named_by == no_node) group.named_by = named_by;
  }

  /// The variables of a namespace that are a node, by their paths; numbers in names are blank.
  std::set<std::string> names_in(std::uint32_t space, std::uint32_t node) const {
    std::set<std::string> names;
    for (const trace::GraphEdge& edge : held_.graph->edges_of(space))
      if (edge.to == node && names.size() < most_sharers) names.insert(variable_path(held_, edge));
    return names;
  }

  std::string type_of(std::uint32_t node) const {
    if (!held_.is_node(node)) return "";
    const GraphNode& at = held_.node(node);
    return at.type_name != 0 ? held_.text(at.type_name) : held_.text(at.name);
  }

  static std::vector<Group> by_size(std::map<std::string, Group>&& groups, const HeldGraph& held) {
    std::vector<Group> sorted;
    for (auto& [key, group] : groups) {
      if (group.nodes.size() <= few && group.sharers.empty() && key.find('#') < key.find('|')) {
        for (const std::uint32_t node : group.nodes)
          sorted.push_back({{node}, {}, {}, no_node, held.retained[node], held.retained_count[node]});
      } else {
        sorted.push_back(std::move(group));
      }
    }
    std::stable_sort(sorted.begin(), sorted.end(), [](const Group& a, const Group& b) { return a.bytes > b.bytes; });
    return sorted;
  }

  // ---- rows ----

  void expand(const std::vector<std::uint32_t>& tops, std::optional<HolderId> parent, std::size_t depth) {
    std::map<std::string, Group> found;
    for (const std::uint32_t top : tops) collect(top, found);
    std::size_t shown = 0;
    for (Group& group : by_size(std::move(found), held_)) {
      if (group.bytes < least_ || ++shown > most_children || result_.rows.size() >= most_rows) break;
      const HolderId id = add_row(group, parent);
      const bool graph = held_.is(group.nodes.front(), GraphNodeKind::graph_node);
      if (depth + 1 < most_depth && !graph) expand(group.nodes, id, depth + 1);
    }
  }

  HolderId add_row(Group& group, std::optional<HolderId> parent, bool stands_aside = false) {
    const HolderId id(result_.rows.size());
    const std::uint32_t first =
        *std::max_element(group.nodes.begin(), group.nodes.end(),
                          [&](std::uint32_t a, std::uint32_t b) { return held_.retained[a] < held_.retained[b]; });
    const std::uint32_t named = group.named_by != no_node ? group.named_by : first;
    HolderReport row;
    row.id = id;
    row.parent = parent;
    row.count = group.nodes.size();
    const bool many = group.nodes.size() > 1 && group.named_by == no_node;
    row.path = utf8::sanitise(path_of(held_, named, many));
    row.variable = short_name(row.path);
    row.type = utf8::sanitise(type_of(named));
    row.kind = kind_of(held_, named);
    if (row.kind == "library" && row.variable == "self") row.variable = row.type;  // of a method that nobody sees
    row.retained_bytes = group.bytes;
    row.blocks = group.blocks;
    row.garbage = is_garbage(first);
    set_births(group, row);
    if (row.verdict == "growing" && are_used_together(group, row)) {
      row.limited = true;
      row.verdict = "steady";
      row.evidence = "all of its models ran after the last was there: " + row.evidence;
    }
    bool limited = false;  // by the code
    if (row.garbage) places_.set_cycle(first, row);
    if (row.cycle.empty()) limited = places_.set_place(named, row, births_.outlive_others(row));
    const KnownHolder* known = row.known.empty() ? known_holder(steps_to(held_, named)) : nullptr;
    std::uint32_t handed = named;
    if (known == nullptr && row.known.empty() && row.verdict == "growing" && !row.line_adds)
      known = places_.known_below(first, handed);
    if (known != nullptr && row.garbage && row.line_adds && !calls_that_hand_over(*known).empty())
      known = nullptr;  // on the way to it, by which nobody came while the program ran
    if (known != nullptr) {
      row.known = known->what;
      row.fix = known->fix;
      if (row.cycle.empty() && !row.line_adds) places_.set_call(*known, handed, row);
    }
    const bool longer = !row.garbage && !limited && set_rise(group, row);
    if (!row.garbage && !parent) set_idle(group, row);
    if (row.garbage && !parent) row.used_to_the_end = births_.used_to_the_end(row, modules_of(group.nodes));
    for (const std::uint32_t node : group.nodes)
      tree_.each_storage(node, [&](std::uint32_t storage) {
        const std::uint32_t block = held_.block_of[storage];
        if (!stands_aside || result_.row_of_block[block] == no_node) result_.row_of_block[block] = id;
        row.roles[model_.role_of(storage)] += held_.blocks[block].bytes;
      });
    for (const std::uint32_t node : group.nodes)
      if (held_.is(node, GraphNodeKind::tensor)) row.shown_bytes += held_.node(node).bytes;
    if (row.fix.empty() && held_.is_held_unseen(named) && held_.graph->moment() == trace::GraphMoment::exit)
      row.fix =
          "No object of Python refers to it, but its reference count says that something does: look for the call that "
          "hands it to a library or an extension (DLPack, ctypes, C++), and for the one that gives it back.";
    result_.rows.push_back(std::move(row));
    nodes_.push_back(named);
    if (group.nodes.size() == 1) row_of_.try_emplace(first, id);
    sharers_.push_back(std::move(group.sharers));
    names_.push_back(std::move(group.names));
    if (longer) longer_.push_back(id);
    return id;
  }

  /// Addresses of the nn.Modules that some objects reach; of many those that are near.
  std::vector<std::uint64_t> modules_of(const std::vector<std::uint32_t>& nodes) const {
    constexpr std::size_t most_reached = 20000;
    std::vector<std::uint64_t> modules;
    std::vector<std::uint32_t> reached = nodes;
    std::unordered_set<std::uint32_t> known(reached.begin(), reached.end());
    for (std::size_t i = 0; i < reached.size() && i < most_reached; ++i) {
      if (held_.has(reached[i], trace::graph_nn_module)) modules.push_back(held_.node(reached[i]).address);
      for (const std::uint32_t part : held_.successors.of(reached[i]))
        if (held_.is_node(part) && known.insert(part).second) reached.push_back(part);
    }
    return modules;
  }

  /// Whether a group's elements are models, all of which ran after the last of them was there, and before others came:
  /// an ensemble. Of a league from which one is drawn at a time all may have run, too, some day.
  bool are_used_together(const Group& group, const HolderReport& row) const {
    const bool many = group.nodes.size() > 1;
    const std::span<const std::uint32_t> elements = many ? group.nodes : tree_.below(group.nodes.front());
    std::vector<double> runs;
    for (const std::uint32_t element : elements) {
      if (held_.retained[element] == 0) continue;
      if (!held_.has(element, trace::graph_nn_module)) return false;
      runs.push_back(births_.last_run(modules_of({element})));
      if (runs.back() <= row.last_time) return false;
    }
    if (runs.size() < 2 || held_.has(group.nodes.front(), trace::graph_nn_module)) return false;
    const auto [first, last] = std::ranges::minmax(runs);
    return !births_.came_between(row, first, last);
  }

  bool is_garbage(std::uint32_t node) const {
    for (std::uint32_t at = node; at != no_node; at = held_.dominators.parent[at])
      if (at == held_.garbage) return true;
    return false;
  }

  /// Elements: the objects of a row that stands for many, else the parts of the one.
  std::vector<std::vector<HeldBlock>> elements_of(const Group& group, bool& of_container) const {
    std::vector<std::vector<HeldBlock>> elements;
    of_container = group.nodes.size() > 1;
    if (group.nodes.size() > 1) {
      for (const std::uint32_t node : group.nodes) elements.push_back(tree_.blocks_below(node));
      return elements;
    }
    const std::uint32_t node = group.nodes.front();
    of_container = held_.is(node, GraphNodeKind::container);
    for (const std::uint32_t child : tree_.below(node))
      if (held_.retained[child] != 0) elements.push_back(tree_.blocks_below(child));
    if (of_container && elements.size() > few) return elements;
    of_container = false;  // a few containers in one: what grows is in them
    elements.clear();
    for (const HeldBlock& block : tree_.blocks_below(node)) elements.push_back({block});
    return elements;
  }

  /// Of a model: it is no part of another.
  bool is_whole(std::uint32_t model) const {
    const std::vector<std::uint32_t> way = way_to(held_, model);
    return std::ranges::count_if(way, [&](auto at) { return held_.has(at, trace::graph_nn_module); }) == 1;
  }

  void set_births(const Group& group, HolderReport& row) const {
    bool of_container = false;
    const std::vector<std::vector<HeldBlock>> elements = elements_of(group, of_container);
    row.elements = elements.size();
    row.generations = group.nodes.size() > 1 ? generations(elements) : 1;
    // A model's parts are as many births as it has layers.
    const bool model = held_.has(group.nodes.front(), trace::graph_nn_module) ||
                       held_.has(group.nodes.front(), trace::graph_optimizer) ||
                       (group.nodes.size() == 1 && model_.makes_up(group.nodes.front())) ||
                       std::ranges::all_of(group.nodes, [&](std::uint32_t node) { return model_.has_part(node); });
    // Modules that are added to one that works already, each under a name of its own, are elements of it.
    const bool added = model && elements.size() > few && held_.has(group.nodes.front(), trace::graph_nn_module) &&
                       group.nodes.size() > 1 && births_.born_at_work(elements);
    const auto is_model = [&](std::uint32_t node) { return held_.has(node, trace::graph_nn_module); };
    const bool many = group.nodes.size() > 1;
    const bool of_models = std::ranges::all_of(group.nodes, [&](std::uint32_t node) {
      return is_model(node) ? many && is_whole(node) : std::ranges::any_of(tree_.below(node), is_model);
    });
    Verdict verdict = births_.judge(elements, of_container && (!model || added),
                                    added || model_.is_state(group.nodes.front()), of_models);
    std::map<std::uint32_t, Bytes> sites;
    bool first = true;
    for (const std::vector<HeldBlock>& element : elements)
      for (const HeldBlock& block : element) {
        if (block.site != no_node) sites[block.site] += block.bytes;
        if (block.time < 0) continue;
        row.first_time = first ? block.time : std::min(row.first_time, block.time);
        row.last_time = first ? block.time : std::max(row.last_time, block.time);
        row.first_step = first ? block.step : std::min(*row.first_step, block.step);
        row.last_step = first ? block.step : std::max(*row.last_step, block.step);
        first = false;
      }
    row.limited = held_.is_node(group.nodes.front()) && held_.node(group.nodes.front()).limit != 0;
    if (verdict.verdict == "growing" && row.limited)
      verdict = {"steady", {}, "it has a bound (" + std::to_string(held_.node(group.nodes.front()).limit) + ")"};
    row.verdict = verdict.verdict == "cache" || verdict.verdict.empty() ? "steady" : verdict.verdict;
    row.evidence = std::move(verdict.evidence);
    row.bytes_per_step = verdict.growth.bytes_per_step;
    if (row.verdict == "growing") row.bytes_per_second = verdict.growth.bytes_per_second;
    std::vector<std::pair<Bytes, std::uint32_t>> sorted;
    for (const auto& [site, bytes] : sites) sorted.push_back({bytes, site});
    std::sort(sorted.rbegin(), sorted.rend());
    for (std::size_t i = 0; i < std::min<std::size_t>(sorted.size(), 8); ++i) row.sites.emplace_back(sorted[i].second);
  }

  /// Whether what a group holds waits in a queue of the standard library: an executor's, say.
  bool is_queued(const Group& group) const {
    const std::vector<std::uint32_t> way = way_to(held_, group.nodes.front());
    return std::ranges::any_of(way, [&](std::uint32_t node) {
      const std::string& type = held_.text(held_.node(node).type_name);
      return type.ends_with("Queue") && (type.starts_with("queue.") || type.starts_with("_queue."));
    });
  }

  /// Where the births of what is held say nothing, its call site may have risen all along. Whether it is one tensor
  /// that becomes longer, which the statement must say: `x = torch.cat([x, ...])`.
  bool set_rise(const Group& group, HolderReport& row) const {
    if (row.verdict == "growing" || row.limited || model_.is_state(group.nodes.front())) return false;
    std::vector<HeldBlock> blocks;
    for (const std::uint32_t node : group.nodes) {
      const std::vector<HeldBlock> below = tree_.blocks_below(node);
      blocks.insert(blocks.end(), below.begin(), below.end());
    }
    Rise rise = Rise::none;
    Verdict verdict = births_.rising(blocks, rise, is_queued(group));
    const bool longer = is_longer(rise);
    row.let_go = rise == Rise::until_let_go || rise == Rise::longer_until_let_go;
    if (rise == Rise::none || (longer && !(blocks.size() <= 2 && row.line_adds))) return false;
    row.verdict = "growing";
    row.evidence = std::move(verdict.evidence);
    row.bytes_per_step = verdict.growth.bytes_per_step;
    row.bytes_per_second = verdict.growth.bytes_per_second;
    return longer;
  }

  /// Several that became longer side by side, to the same size, are the keys and values of a cache for one text: it may
  /// end with that.
  void spare_caches() {
    for (const std::uint32_t id : longer_) {
      HolderReport& row = result_.rows[id];
      const auto alike = std::count_if(longer_.begin(), longer_.end(), [&](std::uint32_t other) {
        return result_.rows[other].retained_bytes == row.retained_bytes && result_.rows[other].file == row.file &&
               (result_.rows[other].parent != row.id && row.parent != other);
      });
      if (alike < 2 || row.last_step.value_or(0) > 0) continue;
      row.verdict = "steady";
      row.evidence = "it became longer together with others, as the cache of one text does";
    }
  }

  /// Only what one variable alone holds: its `del` frees just these bytes.
  void set_idle(const Group& group, HolderReport& row) const {
    if (group.nodes.size() != 1 || !group.sharers.empty() || !group.names.empty()) return;
    if (const std::optional<Idle> idle = idle_variable(held_, group.nodes.front(), read_source_)) {
      row.idle_at = idle->line;
      row.idle_in = utf8::sanitise(idle->module ? "" : idle->function);
      row.variable = utf8::sanitise(idle->variable);
      row.file = utf8::sanitise(idle->file);
    }
  }

  void link_sharers() {
    std::map<std::string, HolderId> rows;
    for (std::size_t i = 0; i < result_.rows.size(); ++i)
      if (sharers_[i].empty()) rows.try_emplace(result_.rows[i].path, HolderId(i));
    const std::size_t shown = result_.rows.size();
    for (std::size_t i = 0; i < shown; ++i) {
      std::set<std::string> listed{result_.rows[i].path};
      const std::set<std::uint32_t> sharers = sharers_[i];  // rows are added on the way
      for (const std::uint32_t sharer : sharers) {
        if (!held_.is_node(sharer)) continue;
        const std::string path = utf8::sanitise(path_of(held_, sharer, sharers.size() > few));
        if (listed.size() > most_sharers || !listed.insert(path).second) continue;
        if (const auto own = row_of_.find(sharer); own != row_of_.end()) {  // which others hold, too
          result_.rows[i].also_held_by.push_back(own->second);
          continue;
        }
        const auto [at, added] = rows.try_emplace(path, HolderId(result_.rows.size()));
        if (added && held_.is_namespace(sharer)) {
          add_name(path);  // a module or frame: what it keeps stands in rows of its own
        } else if (added) {
          Group group{{sharer}, {}, {}, no_node, held_.retained[sharer], held_.retained_count[sharer]};
          add_row(group, std::nullopt, true);
          result_.rows.back().path = path;
          if (result_.rows.back().cycle.empty()) result_.rows.back().variable = short_name(path);
        }
        result_.rows[i].also_held_by.push_back(at->second);
      }
      const std::set<std::string> names = names_[i];
      for (const std::string& name : names) {
        const std::string path = utf8::sanitise(name);
        if (!listed.insert(path).second) continue;
        const auto [at, added] = rows.try_emplace(path, HolderId(result_.rows.size()));
        if (added) add_name(path);
        result_.rows[i].also_held_by.push_back(at->second);
      }
    }
  }

  /// A row for variables that hold only together with others.
  void add_name(const std::string& path) {
    HolderReport row;
    row.id = HolderId(result_.rows.size());
    row.path = path;
    row.variable = short_name(path);
    row.kind = "global";
    row.verdict = "steady";
    row.count = 0;
    result_.rows.push_back(std::move(row));
    nodes_.push_back(no_node);
    sharers_.emplace_back();
    names_.emplace_back();
  }

  void finish(std::size_t at) {
    HolderReport& row = result_.rows[at];
    row.own_bytes = row.retained_bytes;
    for (std::size_t i = at + 1; i < result_.rows.size(); ++i)
      if (result_.rows[i].parent == row.id) row.own_bytes -= std::min(row.own_bytes, result_.rows[i].retained_bytes);
    if (row.roles.contains("saved_for_backward")) row.graph_bytes = row.roles.at("saved_for_backward");
  }

  const HeldGraph& held_;
  const HoldingTree tree_;
  const ModelMemory model_;
  const BirthJudge& births_;
  const ReadSource& read_source_;
  const RowPlaces places_;
  Bytes least_ = 1;
  Forest result_;
  std::vector<std::uint32_t> nodes_;                    // by row: the object that it is named by
  std::unordered_map<std::uint32_t, HolderId> row_of_;  // of an object that has a row to itself
  std::vector<std::set<std::uint32_t>> sharers_;        // by row
  std::vector<std::set<std::string>> names_;            // by row
  std::vector<std::uint32_t> longer_;                   // rows of one tensor that becomes longer
};

}  // namespace

Forest make_forest(const HeldGraph& held, const BirthJudge& births, const ReadSource& read_source,
                   const FileOfSite& file_of_site) {
  return Maker(held, births, read_source, file_of_site).make();
}

}  // namespace vramtrack::holders
