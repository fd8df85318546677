#include "report/holders/holders.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "report/holders/call_lines.hpp"
#include "report/holders/forest.hpp"
#include "report/holders/known_holders.hpp"
#include "report/holders/way.hpp"
#include "report/holders/work_end.hpp"
#include "report/model/sites.hpp"
#include "report/symbolize/source_lines.hpp"

namespace vramtrack::holders {

using trace::GraphMoment;

namespace {

/// Memory that another process owns: a storage is only a part of what was mapped at once.
bool is_mapped_in(const trace::Site& site) {
  return site.kind == static_cast<std::uint8_t>(trace::Kind::ipc) ||
         site.kind == static_cast<std::uint8_t>(trace::Kind::external);
}

class Join {
 public:
  Join(const trace::TraceFile& trace, const std::vector<trace::Block>& live) : trace_(trace), live_(live) {
    std::sort(live_.begin(), live_.end(), [](const auto& a, const auto& b) { return a.address < b.address; });
  }

  /// The blocks of a graph's storages: as they live now, where they do, or as the capture saw them.
  std::vector<HeldBlock> blocks(const trace::HeapGraph& graph) const {
    std::vector<HeldBlock> found;
    for (const GraphNode& node : graph.nodes) {
      if (node.kind != GraphNodeKind::storage || node.device == 0 || (node.flags & trace::graph_segment) != 0) continue;
      if (node.birth != 0) {
        found.push_back({node.data_address, std::max(node.block_bytes, node.bytes), trace_.seconds(node.birth),
                         static_cast<std::uint32_t>(node.step == 0 ? 0 : node.step - 1),
                         static_cast<std::uint32_t>(node.site == 0 ? no_node : node.site - 1),
                         static_cast<std::int16_t>(node.device - 1)});
      } else if (const trace::Block* block = block_at(node.data_address);
                 block != nullptr && block->time <= graph.record.time) {
        const trace::Site& site = trace_.sites[block->site];
        const bool part = is_mapped_in(site);
        found.push_back({part ? node.data_address : block->address, part ? node.bytes : block->bytes,
                         trace_.seconds(block->time), block->step, block->site, site.device});
      }
    }
    return found;
  }

 private:
  /// The innermost block: the tensor layer's, where a segment of the cuda layer is around it.
  const trace::Block* block_at(std::uint64_t address) const {
    auto at = std::upper_bound(live_.begin(), live_.end(), address,
                               [](std::uint64_t wanted, const trace::Block& block) { return wanted < block.address; });
    const trace::Block* best = nullptr;
    for (std::size_t tries = 0; at != live_.begin() && tries < 64; ++tries) {
      --at;
      if (address - at->address >= at->bytes || at->site >= trace_.sites.size()) continue;
      if (best == nullptr || at->bytes < best->bytes) best = &*at;
      if (trace_.sites[best->site].layer == static_cast<std::uint8_t>(trace::Layer::tensor)) break;
    }
    return best;
  }

  const trace::TraceFile& trace_;
  std::vector<trace::Block> live_;
};

Bytes held_bytes(const trace::HeapGraph& graph) { return graph.record.storage_bytes; }

/// The graphs worth a closer look: of an out-of-memory event its own; else the last of all at the end, and the look
/// that saw most, because the variables of functions are gone at the end.
std::vector<const trace::HeapGraph*> choose(const trace::TraceFile& trace, std::uint32_t oom) {
  const trace::HeapGraph *end = nullptr, *look = nullptr;
  for (const trace::HeapGraph& graph : trace.graphs) {
    if (oom != 0) {
      if (graph.moment() == GraphMoment::out_of_memory && graph.record.number == oom) end = &graph;
    } else if (graph.moment() == GraphMoment::exit || graph.moment() == GraphMoment::request) {
      end = &graph;
    } else if (look == nullptr || held_bytes(graph) >= held_bytes(*look)) {
      look = &graph;
    }
  }
  std::vector<const trace::HeapGraph*> chosen;
  if (look != nullptr) chosen.push_back(look);
  if (end != nullptr) chosen.push_back(end);
  std::sort(chosen.begin(), chosen.end(), [](const auto* a, const auto* b) { return a->record.time < b->record.time; });
  return chosen;
}

/// The file of a site's own line.
std::string file_of(const Report& report, SiteId id) {
  const SiteReport* const site = find_site(report, id);
  const std::optional<FrameId> frame = site == nullptr ? std::nullopt : own_frame(report, *site);
  return frame && is_own_frame(report.frames[*frame]) ? report.frames[*frame].file : "";
}

/// Functions that run, by the files of the user's code that the graph and the call sites know.
RunningFunctions running_functions(const Report& report, const trace::HeapGraph& graph, SourceLines& source) {
  constexpr std::size_t most = 64;
  std::set<std::string> files;
  for (const GraphNode& node : graph.nodes)
    if ((node.flags & trace::graph_user_code) != 0 && node.file != 0 && files.size() < most)
      files.insert(graph.string(node.file));
  for (const Frame& frame : report.frames)
    if (is_own_frame(frame) && files.size() < most) files.insert(frame.file);
  std::vector<std::string_view> sources;
  for (const std::string& file : files)
    if (const std::string& text = source.text(file); !text.empty()) sources.push_back(text);
  return functions_that_run(sources);
}

/// The call sites of a row that are listed, the most bytes first.
std::vector<const SiteReport*> sites_of(const Report& report, const HolderReport& row) {
  std::vector<const SiteReport*> sites;
  for (const SiteId id : row.sites)
    if (const SiteReport* site = find_site(report, id)) sites.push_back(site);
  return sites;
}

/// A holder is also known by what allocated its memory: `torch.load`.
void know_by_birth(const Report& report, HolderReport& row) {
  if (!row.known.empty()) return;
  std::vector<std::string> files;
  for (const SiteReport* site : sites_of(report, row))
    for (const FrameId frame : site->stack) files.push_back(report.frames[frame].file);
  const HoldingStep any[] = {{"*", ""}};
  if (const KnownHolder* known = known_holder(any, files); known != nullptr && !known->born.empty()) {
    row.known = known->what;
    row.fix = known->fix;
  }
}

/// `.../site-packages/torchmetrics/` of a file of an installed package; "" for any other.
std::string package_of(const std::string& file) {
  for (const std::string_view packages : {"/site-packages/", "/dist-packages/"})
    if (const std::size_t at = file.rfind(packages); at != std::string::npos) {
      const std::size_t end = file.find('/', at + packages.size());
      return end == std::string::npos ? "" : file.substr(0, end + 1);
    }
  return "";
}

/// An object of a library that no name of the user's leads to: the user's call into that library, out of which it
/// allocated what it keeps, or which gave it that.
void place_by_call(const Report& report, SourceLines& source, HolderReport& row) {
  const std::string package = package_of(row.library);
  if (row.line_adds || package.empty() || package.ends_with("/torch/")) return;
  const auto set = [&](const std::string& file, int line) {
    row.file = file;
    row.line = line;
    row.line_adds = row.line_calls = true;
  };
  const std::vector<const SiteReport*> sites = sites_of(report, row);
  for (const SiteReport* site : sites) {
    const std::optional<FrameId> own = own_frame(report, *site);
    if (!own || !is_own_frame(report.frames[*own]) || report.frames[*own].line <= 0) continue;
    // What one library adds to a model of another is told by the call into the first (peft, transformers).
    const bool any = row.kind == "module" && site == sites.front();
    const bool called = std::ranges::any_of(site->stack, [&](FrameId frame) {
      const std::string& file = report.frames[frame].file;
      const std::string other = any ? package_of(file) : "";
      return file.starts_with(package) || (!other.empty() && !other.ends_with("/torch/"));
    });
    if (called) return set(report.frames[*own].file, report.frames[*own].line);
  }
  const std::string_view folder = std::string_view(package).substr(0, package.size() - 1);
  for (const SiteReport* site : sites)
    for (const FrameId frame : site->stack) {
      const std::string& file = report.frames[frame].file;
      if (!is_own_frame(report.frames[frame])) continue;
      const int line = line_of_call_into(source.text(file), folder.substr(folder.rfind('/') + 1));
      if (line != 0) return set(file, line);
    }
}

/// The user's frames, innermost first, that were running when the first blocks of a row were made, and are so now.
std::vector<const Frame*> running_frames(const Report& report, const OomReport& oom, const HolderReport& row) {
  std::vector<const Frame*> running;
  const SiteReport* const site = row.sites.empty() ? nullptr : find_site(report, row.sites.front());
  if (site == nullptr) return running;
  for (const FrameId frame : site->stack)
    if (is_own_frame(report.frames[frame]) && std::ranges::find(oom.stack, frame) != oom.stack.end())
      running.push_back(&report.frames[frame]);
  return running;
}

/// The frame of the statement that builds a container which nothing refers to yet. nullptr: not known.
const Frame* builder_of(const Report& report, const OomReport& oom, const HolderReport& row) {
  const std::vector<const Frame*> running = running_frames(report, oom, row);
  for (const Frame* frame : running) {
    const std::string source = frame->source.value_or("");
    const auto has = [&](std::string_view text) { return source.find(text) != std::string::npos; };
    if (frame->function.ends_with("comp>") || frame->function.ends_with("<genexpr>") || has(row.type + "(") ||
        (has(" for ") && !source.starts_with("for ")))
      return frame;
  }
  return running.size() == 1 ? running.front() : nullptr;
}

/// Names the tensors that only a running statement has by that statement.
void name_intermediate(const Report& report, const OomReport& oom, std::vector<HolderReport>& rows) {
  for (HolderReport& row : rows) {
    if (row.parent || row.garbage || row.kind != "cxx" || !row.type.ends_with("Tensor")) continue;
    const std::vector<const Frame*> running = running_frames(report, oom, row);
    if (running.empty()) continue;
    const Frame& frame = *running.front();
    row.path = "intermediate result of " + place(frame.file, frame.line);
    row.variable = row.path;
    row.kind = "local";
    row.file = frame.file;
    if (frame.line > 0) row.line = frame.line;
    row.known = intermediate;
    row.fix =
        "The statement needs more than one of its results at a time: work on fewer elements at a time, compute in "
        "place or in a smaller type, or choose an operation that does without the large one.";
  }
}

/// Names the containers that a statement was building when memory ran out by that statement.
void name_unfinished(const Report& report, const OomReport& oom, std::vector<HolderReport>& rows) {
  constexpr std::string_view types[] = {"list", "dict", "set", "tuple"};
  for (HolderReport& top : rows) {
    if (top.parent || top.garbage || top.kind != "cxx" || std::ranges::find(types, top.type) == std::end(types))
      continue;
    const Frame* frame = builder_of(report, oom, top);
    if (frame == nullptr) continue;
    const std::string before = top.path;
    const std::string after = top.type + " that " + place(frame->file, frame->line) + " builds";
    std::set<std::uint32_t> below{top.id};
    for (HolderReport& row : rows) {
      if (row.parent && below.contains(*row.parent)) below.insert(row.id);
      if (!below.contains(row.id) || !row.path.starts_with(before)) continue;
      row.path.replace(0, before.size(), after);
      row.variable = short_name(row.path);
      row.kind = row.id == top.id ? "local" : "item";
      row.file = frame->file;
      if (frame->line > 0) row.line = frame->line;
      row.line_adds = true;
      if (row.verdict == "growing") {
        row.verdict = "recent";
        row.evidence = "the statement that fills it runs: " + row.evidence;
      }
    }
    top.known = unfinished;
    top.fix = "Work on fewer elements at a time, or move each to host memory as it is made (`.cpu()`).";
  }
}

void name_running(const Report& report, const OomReport& oom, std::vector<HolderReport>& rows) {
  name_unfinished(report, oom, rows);
  name_intermediate(report, oom, rows);
}

/// Memory of the tensor layer that no object of the graph leads to: C++ alone holds it. A row for each of its largest
/// sites. Workspaces, which are kept on purpose, are left out. Returns the bytes of the rows.
Bytes add_unheld(const Report& report, const trace::TraceFile& trace, const HeldGraph& held, const BirthJudge& births,
                 const std::vector<trace::Block>& live, std::vector<HolderReport>& rows) {
  std::vector<std::uint64_t> known;
  for (const HeldBlock& block : held.blocks) known.push_back(block.address);
  std::sort(known.begin(), known.end());
  std::unordered_map<std::uint32_t, std::vector<std::vector<HeldBlock>>> by_site;
  for (const trace::Block& block : live) {
    const trace::Site& site = trace.sites[block.site];
    if (site.layer != static_cast<std::uint8_t>(trace::Layer::tensor)) continue;
    const auto at = std::lower_bound(known.begin(), known.end(), block.address);
    if (at != known.end() && *at - block.address < block.bytes) continue;
    by_site[block.site].push_back(
        {{block.address, block.bytes, trace.seconds(block.time), block.step, block.site, site.device}});
  }
  std::vector<HolderReport> parts;
  for (const SiteReport& site : report.sites) {
    const auto found = by_site.find(site.id);
    if (found == by_site.end() || site.verdict == "cache") continue;
    HolderReport part;
    part.kind = "cxx";
    part.count = part.elements = part.blocks = found->second.size();
    part.sites = {site.id};
    bool first = true;
    for (const std::vector<HeldBlock>& element : found->second) {
      const HeldBlock& block = element.front();
      part.retained_bytes += block.bytes;
      part.first_time = first ? block.time : std::min(part.first_time, block.time);
      part.last_time = std::max(part.last_time, block.time);
      part.first_step = first ? block.step : std::min(*part.first_step, block.step);
      part.last_step = std::max(part.last_step.value_or(0), block.step);
      first = false;
    }
    part.own_bytes = part.retained_bytes;
    part.roles["unknown"] = part.retained_bytes;
    Verdict verdict = births.judge(found->second, true);
    part.verdict = verdict.verdict == "growing" ? "growing" : "steady";
    part.evidence = std::move(verdict.evidence);
    part.bytes_per_step = verdict.growth.bytes_per_step;
    part.bytes_per_second = verdict.growth.bytes_per_second;
    std::string calls;
    for (const FrameId frame : site.stack) calls += report.frames[frame].function + '\n';
    const bool autocast = calls.find("cached_cast") != std::string::npos || calls.find("autocast") != std::string::npos;
    part.path = autocast ? "autocast weight cache" : "held by no Python name";
    const HoldingStep step[] = {{part.path, ""}};
    if (const KnownHolder* holder = known_holder(step); holder != nullptr) {
      part.known = holder->what;
      part.fix = holder->fix;
    }
    if (const std::optional<FrameId> frame = own_frame(report, site); frame && is_own_frame(report.frames[*frame])) {
      part.file = report.frames[*frame].file;
      if (report.frames[*frame].line > 0) part.line = report.frames[*frame].line;
      if (!autocast) part.path += ", from " + frame_label(report.frames[*frame]);
    }
    part.variable = autocast ? part.path : "";
    parts.push_back(std::move(part));
  }
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return a.retained_bytes > b.retained_bytes; });
  if (parts.size() > 20) parts.resize(20);
  if (parts.empty() || parts.front().retained_bytes < held.retained[held.root] / 200) return 0;
  Bytes bytes = 0;
  for (HolderReport& part : parts) {
    part.id = HolderId(rows.size());
    bytes += part.retained_bytes;
    rows.push_back(std::move(part));
  }
  return bytes;
}

/// Puts siblings in order, the most bytes first, each followed by what is below it, and numbers the rows anew. Returns
/// the new number of each.
std::vector<HolderId> sort_rows(std::vector<HolderReport>& rows) {
  std::vector<std::vector<std::uint32_t>> below(rows.size() + 1);
  for (const HolderReport& row : rows) below[row.parent ? *row.parent + 1 : 0].push_back(row.id);
  for (std::vector<std::uint32_t>& siblings : below)
    std::stable_sort(siblings.begin(), siblings.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return rows[a].retained_bytes > rows[b].retained_bytes; });
  std::vector<HolderId> number(rows.size());
  std::vector<std::uint32_t> order;
  std::vector<std::uint32_t> stack(below[0].rbegin(), below[0].rend());
  while (!stack.empty()) {
    const std::uint32_t at = stack.back();
    stack.pop_back();
    number[at] = HolderId(order.size());
    order.push_back(at);
    stack.insert(stack.end(), below[at + 1].rbegin(), below[at + 1].rend());
  }
  std::vector<HolderReport> sorted;
  for (const std::uint32_t at : order) {
    HolderReport row = std::move(rows[at]);
    row.id = number[at];
    if (row.parent) row.parent = number[*row.parent];
    for (HolderId& other : row.also_held_by) other = number[other];
    sorted.push_back(std::move(row));
  }
  rows = std::move(sorted);
  return number;
}

void point_allocations(Report& report, const HeldGraph& held, const Forest& forest) {
  std::unordered_map<std::uint64_t, HolderId> row_at;
  for (std::size_t i = 0; i < held.blocks.size(); ++i)
    if (forest.row_of_block[i] != no_node) row_at[held.blocks[i].address] = HolderId(forest.row_of_block[i]);
  for (AllocationReport& allocation : report.allocations) {
    const auto at = row_at.find(allocation.address);
    if (at == row_at.end() || allocation.layer != "tensor") continue;
    if (!allocation.tensor) {
      allocation.tensor.emplace();
      allocation.tensor->role = "unknown";
    }
    allocation.tensor->holder_id = at->second;
    if (allocation.tensor->holder.empty()) allocation.tensor->holder = forest.rows[at->second].path;
  }
}

}  // namespace

TrainedModules add_holders(Report& report, const trace::TraceFile& trace, std::uint32_t oom, bool source_text) {
  TrainedModules trained;
  const trace::Oom* event = nullptr;
  for (const trace::Oom& one : trace.ooms)
    if (one.record.n == oom && oom != 0) event = &one;
  const std::vector<trace::Block>& live = event != nullptr ? event->blocks : trace.blocks;
  const Join join(trace, live);
  SourceLines source(source_text, trace.owner);
  std::unordered_set<SiteId> listed;  // not those left out by --min-size
  for (const SiteReport& site : report.sites) listed.insert(site.id);
  const double ended = oom != 0 ? std::numeric_limits<double>::infinity() : work_ended(report);
  for (const trace::HeapGraph* graph : choose(trace, oom)) {
    const std::vector<HeldBlock> blocks = join.blocks(*graph);
    HeldGraph held = hold(*graph, blocks);
    held.running = running_functions(report, *graph, source);
    HolderMoment moment;
    moment.moment = trace::name_of(graph->moment());
    if (graph->moment() == GraphMoment::out_of_memory) moment.oom = graph->record.number;
    moment.step = graph->record.step;
    moment.time = trace.seconds(graph->record.time);
    moment.held_bytes = held.retained[held.root];
    moment.has_optimizer = trained.add(held);
    const BirthJudge births(trace, moment.time, moment.step, graph->moment() == GraphMoment::look, blocks, ended);
    Forest forest = make_forest(
        held, births, [&](const std::string& file) -> const std::string& { return source.text(file); },
        [&](SiteId site) { return file_of(report, site); });
    for (HolderReport& row : forest.rows) {
      std::erase_if(row.sites, [&](SiteId site) { return !listed.contains(site); });
      know_by_birth(report, row);
      place_by_call(report, source, row);
    }
    if (const auto at = std::ranges::find(report.ooms, moment.oom, &OomReport::n); at != report.ooms.end())
      name_running(report, *at, forest.rows);
    const bool at_moment = graph->moment() != GraphMoment::look;
    const bool whole = graph->record.omitted_nodes == 0 && !graph->damaged &&
                       (graph->record.flags & (trace::graph_out_of_time | trace::graph_out_of_memory |
                                               trace::graph_too_large | trace::graph_no_tensors)) == 0;
    const Bytes unheld = at_moment && whole ? add_unheld(report, trace, held, births, live, forest.rows) : Bytes(0);
    const std::vector<HolderId> number = sort_rows(forest.rows);
    for (std::uint32_t& row : forest.row_of_block)
      if (row != no_node) row = number[row];
    moment.rows = std::move(forest.rows);
    // What is left at the end tells less than a look did when nearly all was freed before.
    const bool shows_most =
        report.holders.rows.empty() || 2 * (moment.held_bytes + unheld) >= report.holders.held_bytes;
    if (shows_most) report.holders = moment;
    if (shows_most && at_moment) {
      forest.rows = moment.rows;
      point_allocations(report, held, forest);
    }
    report.moments.push_back(std::move(moment));
  }
  return trained;
}

}  // namespace vramtrack::holders
