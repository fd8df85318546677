#include "report/holders/way.hpp"

#include <algorithm>
#include <cctype>

namespace vramtrack::holders {

namespace {

constexpr std::size_t longest_path = 300;

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

std::string unqualified(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos ? name : name.substr(dot + 1);
}

/// `user12` -> `user#`
std::string without_numbers(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (!is_digit(c))
      result += c;
    else if (result.empty() || result.back() != '#')
      result += '#';
  }
  return result;
}

bool is_key(GraphEdgeKind kind) {
  return kind == GraphEdgeKind::key || kind == GraphEdgeKind::key_number || kind == GraphEdgeKind::key_other;
}

bool is_autograd(GraphEdgeKind kind) {
  return kind == GraphEdgeKind::grad_fn || kind == GraphEdgeKind::next_function || kind == GraphEdgeKind::saved ||
         kind == GraphEdgeKind::variable || kind == GraphEdgeKind::accumulator;
}

std::string root_name(const HeldGraph& held, std::uint32_t at) {
  const GraphNode& node = held.node(at);
  const std::string& name = held.text(node.name);
  switch (node.kind) {
    case GraphNodeKind::frame:
      if ((node.flags & trace::graph_module_frame) != 0)
        return (node.flags & trace::graph_user_code) != 0 ? "__main__" : held.text(node.file);
      return name + "()";
    case GraphNodeKind::module:
    case GraphNodeKind::interpreter:
    case GraphNodeKind::cxx_root:
      return name;
    default: {
      std::string type = held.text(node.type_name).empty() ? name : unqualified(held.text(node.type_name));
      if (!held.is_held_unseen(at)) return type;
      const bool running = held.graph->moment() != trace::GraphMoment::exit;
      return type + (running ? " (held by native code or a statement that runs)" : " (held by native code)");
    }
  }
}

bool is_thread_local(const HeldGraph& held, std::uint32_t node) {
  const std::string& type = held.text(held.node(node).type_name);
  return type == "_thread._local" || type == "threading.local";
}

/// Text of the step along an edge, before which `text` stands already.
std::string step(const HeldGraph& held, const GraphEdge& edge, bool blank, const std::string& before) {
  const std::string& label = held.text(static_cast<std::uint32_t>(edge.label));
  switch (edge.kind) {
    case GraphEdgeKind::attribute:
      return "." + (blank ? without_numbers(label) : label);
    case GraphEdgeKind::global:
      return (before.empty() ? "" : ".") + (blank ? without_numbers(label) : label);
    case GraphEdgeKind::local:
      if (held.has(edge.from, trace::graph_module_frame)) return "." + label;
      return " local " + label;
    case GraphEdgeKind::key:
      return "['" + (blank ? without_numbers(label) : label) + "']";
    case GraphEdgeKind::key_number:
    case GraphEdgeKind::index:
    case GraphEdgeKind::key_other:
      return blank ? "[]" : held.graph->label(edge);
    case GraphEdgeKind::member:
      return "{}";
    case GraphEdgeKind::closure:
      return " closure " + label;
    case GraphEdgeKind::default_value:
      return " default " + label;
    case GraphEdgeKind::context:
      return " ctx." + label;
    case GraphEdgeKind::grad:
      return ".grad";
    case GraphEdgeKind::grad_fn:
      return ".grad_fn";
    case GraphEdgeKind::saved:
      return label.empty() ? " saved" : " saved " + label;
    case GraphEdgeKind::hook:
      return " hook";
    case GraphEdgeKind::held:
      return label.empty() ? "" : "." + label;
    default:
      return "";  // a reference without a name: the object and what it keeps inside count as one
  }
}

/// Whether a root is the user's: a frame or module of their own code, or what runs as __main__.
bool is_of_user(const GraphNode& root) { return (root.flags & (trace::graph_user_code | trace::graph_main)) != 0; }

/// Of a coroutine or generator of the user's that only an event loop or another library leads to, its own place on the
/// way: `answer() local hidden` says more than how asyncio reaches it. Of a cycle, in which any object may stand first,
/// one of the user's: `Writer.deferred`, not `method.__self__.deferred`.
std::size_t first_of_user(const HeldGraph& held, const std::vector<std::uint32_t>& way) {
  for (std::size_t i = 0; i < way.size(); ++i) {
    if (!held.has(way[i], trace::graph_user_code)) continue;
    return held.has(way[i], trace::graph_suspended) || held.has(way[0], trace::graph_garbage) ? i : 0;
  }
  return 0;
}

}  // namespace

std::vector<std::uint32_t> way_to(const HeldGraph& held, std::uint32_t node) {
  std::vector<std::uint32_t> way;
  for (std::uint32_t at = node; at != no_node && held.is_node(at); at = held.way[at]) way.push_back(at);
  std::reverse(way.begin(), way.end());
  return way;
}

std::string path_of(const HeldGraph& held, std::uint32_t node, bool blank) {
  const std::vector<std::uint32_t> way = way_to(held, node);
  if (way.empty()) return "";
  const std::size_t begin = first_of_user(held, way);
  std::string text = root_name(held, way[begin]);
  std::size_t before_table = std::string::npos;
  for (std::size_t i = begin + 1; i < way.size(); ++i) {
    const GraphEdge& edge = held.graph->edges[held.way_edge[way[i]]];
    const bool last = i + 1 == way.size();
    const std::string& label = held.text(static_cast<std::uint32_t>(edge.label));
    if (is_thread_local(held, edge.from)) {  // its table, then the thread's own one, whose keys are its attributes
      const bool in_table = i + 1 < way.size() && is_key(held.graph->edges[held.way_edge[way[i + 1]]].kind);
      if (in_table) ++i;
      before_table = text.size();
      continue;
    }
    if (before_table != std::string::npos && is_key(edge.kind)) {  // module._modules['a'] is module.a
      text.resize(before_table);
      text += "." + (edge.kind == GraphEdgeKind::key ? label : held.graph->label(edge));
      before_table = std::string::npos;
      continue;
    }
    before_table =
        edge.kind == GraphEdgeKind::attribute && is_module_table(label) && held.has(edge.from, trace::graph_nn_module)
            ? text.size()
            : std::string::npos;
    text += step(held, edge, blank && last, text);
    if (text.size() > longest_path) {
      text.resize(longest_path);
      return text + "...";
    }
  }
  return text;
}

std::string blank_step(const HeldGraph& held, std::uint32_t node) {
  const std::uint32_t edge = held.way_edge[node];
  if (edge == no_node) return "";
  return step(held, held.graph->edges[edge], true, "x");
}

std::string variable_path(const HeldGraph& held, const GraphEdge& edge) {
  return root_name(held, edge.from) + step(held, edge, true, "x");
}

Owner owner_of(const HeldGraph& held, std::uint32_t node, bool of_user) {
  Owner owner, last_of_user;
  for (const std::uint32_t at : way_to(held, node)) {
    if (held.way_edge[at] == no_node) continue;
    const GraphEdge& edge = held.graph->edges[held.way_edge[at]];
    const GraphNode& from = held.node(edge.from);
    const std::string& label = held.text(static_cast<std::uint32_t>(edge.label));
    switch (edge.kind) {
      case GraphEdgeKind::attribute:
      case GraphEdgeKind::context:
        if (is_module_table(label)) continue;
        owner = {};
        owner.of_class =
            unqualified(from.kind == GraphNodeKind::type ? held.text(from.name) : held.text(from.type_name));
        break;
      case GraphEdgeKind::global:
        owner = {};
        break;
      case GraphEdgeKind::local:
        owner = {};
        if (!held.has(edge.from, trace::graph_module_frame)) owner.function = held.text(from.name);
        owner.first_line = static_cast<int>(from.first_line);
        break;
      case GraphEdgeKind::closure:
      case GraphEdgeKind::default_value:
        owner = {};
        owner.function = held.text(from.name);
        owner.first_line = static_cast<int>(from.line);
        break;
      case GraphEdgeKind::key:
        if (owner.key.empty()) owner.key = label;
        continue;
      default:
        continue;
    }
    owner.name = label;
    owner.file = held.text(from.file);
    owner.user_code = (from.flags & trace::graph_user_code) != 0;
    if (owner.user_code) last_of_user = owner;
  }
  if (of_user) owner = last_of_user;
  owner.function = unqualified(owner.function);
  return owner;
}

bool begins_at_user(const HeldGraph& held, std::uint32_t node) {
  const std::vector<std::uint32_t> way = way_to(held, node);
  return !way.empty() && is_of_user(held.node(way.front()));
}

std::uint32_t half_behind(const HeldGraph& held, std::uint32_t node, const std::set<std::uint32_t>& others) {
  const auto is_half = [&](std::uint32_t at) {
    return held.is_node(at) && held.text(held.node(at).type_name).starts_with("itertools.");
  };
  if (!is_half(node)) return node;
  for (const std::uint32_t other : others)
    if (is_half(other) && held.retained[other] > held.retained[node]) node = other;
  return node;
}

std::uint32_t chain_of_functions(const HeldGraph& held, std::uint32_t node) {
  const std::vector<std::uint32_t> way = way_to(held, node);
  std::size_t alike = 0;  // links in a row
  for (std::size_t i = 1; i < way.size(); ++i) {
    const auto name = [&](std::uint32_t at) { return held.graph->edges[held.way_edge[at]].label; };
    const bool link = held.has(way[i - 1], trace::graph_suspended) && held.has(way[i], trace::graph_suspended) &&
                      (alike == 0 || name(way[i]) == name(way[i - 1]));
    alike = link ? alike + 1 : 0;
    if (alike == 2) return way[i - 2];
  }
  return no_node;
}

std::uint32_t coroutine_of(const HeldGraph& held, std::uint32_t task) {
  if (!held.is_node(task) || !held.text(held.node(task).type_name).ends_with("Task")) return no_node;
  for (const std::uint32_t part : held.successors.of(task))
    if (held.is_node(part) && held.has(part, trace::graph_suspended) && held.has(part, trace::graph_user_code))
      return part;
  return no_node;
}

std::vector<HoldingStep> steps_to(const HeldGraph& held, std::uint32_t node) {
  std::vector<HoldingStep> steps;
  const std::vector<std::uint32_t> way = way_to(held, node);
  for (std::size_t i = 0; i < way.size(); ++i) {
    const GraphNode& from = held.node(way[i]);
    HoldingStep step;
    if (from.kind == GraphNodeKind::frame)
      step.holder = held.text(from.name) + "()";
    else if (from.kind == GraphNodeKind::object || from.kind == GraphNodeKind::container ||
             from.kind == GraphNodeKind::tensor)
      step.holder = held.text(from.type_name);
    else
      step.holder = held.text(from.name);
    if (i + 1 < way.size()) {
      const GraphEdge& edge = held.graph->edges[held.way_edge[way[i + 1]]];
      const std::string& label = held.text(static_cast<std::uint32_t>(edge.label));
      switch (edge.kind) {
        case GraphEdgeKind::attribute:
        case GraphEdgeKind::global:
        case GraphEdgeKind::local:
        case GraphEdgeKind::key:
          step.member = label;
          break;
        case GraphEdgeKind::context:
          step.member = "ctx." + label;
          break;
        case GraphEdgeKind::hook:
          step.member = "hook";
          break;
        case GraphEdgeKind::grad_fn:
          step.member = (from.flags & trace::graph_gradient) != 0 ? ".grad.grad_fn" : ".grad_fn";
          break;
        default:
          if (held.has(way[i + 1], trace::graph_suspended)) step.member = "coroutine";
          break;
      }
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

std::string short_name(const std::string& path) {
  std::string text = path.substr(0, path.find("[]"));
  for (const std::string_view word : {" local ", " closure ", " default "})
    if (const std::size_t at = text.rfind(word); at != std::string::npos) text.erase(0, at + word.size());
  constexpr std::string_view main = "__main__.";
  return text.starts_with(main) ? text.substr(main.size()) : text;
}

bool through_autograd(const HeldGraph& held, std::uint32_t node) {
  for (const std::uint32_t at : way_to(held, node))
    if (held.way_edge[at] != no_node && is_autograd(held.graph->edges[held.way_edge[at]].kind)) return true;
  return false;
}

std::string kind_of(const HeldGraph& held, std::uint32_t node) {
  const std::vector<std::uint32_t> way = way_to(held, node);
  if (way.empty()) return "cxx";
  const GraphNode& root = held.node(way.front());
  if (root.kind == GraphNodeKind::cxx_root) {
    return held.text(root.name).find("IPC") != std::string::npos ? "ipc" : "cxx";
  }
  if (held.is_held_unseen(way.front())) return "cxx";
  if (held.is(node, GraphNodeKind::graph_node)) return "graph";
  if (held.has(node, trace::graph_nn_module)) return "module";
  if (held.way_edge[node] == no_node) return held.has(node, trace::graph_user_code) ? "attribute" : "library";
  if (!is_of_user(root) && root.kind != GraphNodeKind::interpreter) return "library";
  switch (held.graph->edges[held.way_edge[node]].kind) {
    case GraphEdgeKind::global:
      return "global";
    case GraphEdgeKind::local:
      return held.has(held.way[node], trace::graph_module_frame) ? "global" : "local";
    case GraphEdgeKind::key:
    case GraphEdgeKind::key_number:
    case GraphEdgeKind::key_other:
    case GraphEdgeKind::index:
    case GraphEdgeKind::member:
      return "item";
    default:
      return "attribute";
  }
}

}  // namespace vramtrack::holders
