#include "report/holders/place.hpp"

#include <algorithm>

#include "report/holders/call_lines.hpp"
#include "report/holders/store_line.hpp"
#include "report/holders/way.hpp"

namespace vramtrack::holders {

namespace {

const RunningFunctions* running(const HeldGraph& held) { return held.running.names.empty() ? nullptr : &held.running; }

Place place_of(const HeldGraph& held, const Owner& owner, const ReadSource& read_source) {
  Place place;
  place.file = owner.file;
  const std::string& source = read_source(owner.file);
  StoreLine found =
      store_line(source, {owner.name, owner.of_class, owner.function, owner.first_line, false, running(held)});
  if (!found.grows && !found.limited && found.line > 0) {
    const Returned from = returned_at(source, found.line, owner.name);
    const StoreLine inside = store_line(source, {from.name, {}, from.function, 0, false, running(held)});
    if (inside.grows) {
      found = inside;
      place.variable = from.name;
    }
  }
  place.line = found.line;
  place.adds = found.grows;
  place.limited = found.limited;
  place.by_key = found.by_key;
  if (!found.taker.empty()) {
    place.taker = std::string(found.taker) + "()";
    place.taker_line = found.taker_line;
  }
  return place;
}

bool is_of_model(const HeldGraph& held, std::uint32_t node) {
  const std::vector<std::uint32_t> way = way_to(held, node);
  return std::any_of(way.begin(), way.end(), [&](std::uint32_t at) {
    return held.has(at, trace::graph_nn_module) || held.has(at, trace::graph_optimizer);
  });
}

/// Whether what a node holds was given by an iterator of itertools, which keeps it.
bool is_iterator(const HeldGraph& held, std::uint32_t node) {
  const std::vector<std::uint32_t> way = way_to(held, node);
  return std::any_of(way.begin(), way.end(),
                     [&](std::uint32_t at) { return held.text(held.node(at).type_name).starts_with("itertools."); });
}

/// An object in an attribute of one of its own class: a link of a chain.
bool is_link(const HeldGraph& held, std::uint32_t node) {
  const std::uint32_t edge = held.is_node(node) ? held.way_edge[node] : no_node;
  if (edge == no_node || held.graph->edges[edge].kind != GraphEdgeKind::attribute) return false;
  const std::uint32_t type = held.node(node).type_name;
  return type != 0 && held.node(held.graph->edges[edge].from).type_name == type;
}

/// An object of a library's class that is no container of the language: its methods fill it.
bool is_of_library(const HeldGraph& held, std::uint32_t node) {
  return held.is(node, GraphNodeKind::object) && !held.has(node, trace::graph_user_code) &&
         held.text(held.node(node).type_name).find('.') != std::string::npos && !is_of_model(held, node);
}

}  // namespace

Place place_of(const HeldGraph& held, std::uint32_t node, const ReadSource& read_source, std::string& library) {
  const Owner owner = owner_of(held, node);
  if (!owner.name.empty() && owner.user_code && !owner.file.empty()) {
    Place place = place_of(held, owner, read_source);
    if (held.has(node, trace::graph_user_code)) {
      const std::string& type = held.text(held.node(node).type_name);
      const std::string_view name = std::string_view(type).substr(type.rfind('.') + 1);
      place.limited = place.limited || limits_itself(read_source(held.text(held.node(node).file)), name, running(held));
    }
    // Of an exception the statement that keeps it is meant, of an iterator the one that makes it, of a chain the one
    // that adds a link.
    const bool whole = held.has(node, trace::graph_exception) || is_iterator(held, node) || is_link(held, node);
    if (!place.adds && !whole && is_of_library(held, node)) {
      const int line =
          line_of_use(read_source(owner.file), {owner.name, owner.of_class, owner.function, owner.first_line});
      if (line != 0) place.line = line;
      place.adds = line != 0;
    }
    place.adds = place.adds || (whole && place.line > 0);
    return place;
  }
  library = !owner.file.empty() ? owner.file : held.is_node(node) ? held.text(held.node(node).file) : "";
  // An object of a library fills itself; of the user's code, the call that makes it do so: `metric.update(...)`.
  const Owner user = owner_of(held, node, true);
  if (user.name.empty() || user.file.empty()) return {};
  Place place = place_of(held, user, read_source);
  place.variable.clear();
  place.taker.clear();
  place.limited = place.by_key = false;
  // An attribute that the user's code gave to an object of a library.
  if (owner.name != user.name && !owner.of_class.empty()) {
    const StoreLine given = store_line(read_source(user.file), {owner.name, owner.of_class, {}, 0, false, nullptr});
    if (given.line > 0 && (given.grows || is_link(held, node))) {
      place.line = given.line;
      place.adds = true;
      place.limited = given.limited;
      place.by_key = given.by_key;
      return place;
    }
  }
  if (place.adds || (place.line > 0 && is_iterator(held, node))) {
    place.adds = true;  // such an iterator is made to hold what it gives
    return place;
  }
  const std::uint32_t edge = held.is_node(node) ? held.way_edge[node] : no_node;
  // A part of a model, whose calls run it; a model that a library keeps is none.
  if (edge != no_node && is_of_model(held, held.graph->edges[edge].from)) return {};
  place.line = line_of_use(read_source(user.file), {user.name, user.of_class, user.function, user.first_line});
  place.adds = place.line > 0;
  return place.adds ? place : Place{};
}

std::optional<Idle> idle_variable(const HeldGraph& held, std::uint32_t node, const ReadSource& read_source) {
  if (!held.is_node(node) || held.has(node, trace::graph_unseen_holder)) return {};
  const auto holders = held.predecessors.of(node);
  if (holders.size() != 1 || !held.is_node(holders[0])) return {};
  const bool global = held.is(holders[0], GraphNodeKind::module);
  const bool local = held.is(holders[0], GraphNodeKind::frame) && held.has(holders[0], trace::graph_root);
  const GraphNode& object = held.node(node);
  if ((!global && !local) || object.references > object.references_seen + (local ? 1 : 0)) return {};
  for (const GraphEdge& edge : held.graph->edges) {
    const bool says = edge.to == node && edge.kind == GraphEdgeKind::local &&
                      (edge.flags & trace::graph_never_read_again) != 0 &&
                      (local ? edge.from == holders[0] : (edge.flags & trace::graph_borrowed) != 0);
    if (!says) continue;
    const GraphNode& frame = held.node(edge.from);
    Idle idle{held.text(frame.file), held.text(frame.name), held.text(static_cast<std::uint32_t>(edge.label)),
              static_cast<int>(frame.line), global};
    // What the statement at work names cannot be deleted before it.
    if (statement_names(read_source(idle.file), idle.line, idle.variable)) return {};
    return idle;
  }
  return {};
}

}  // namespace vramtrack::holders
