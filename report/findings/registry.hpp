// The findings of one report, one function in one file each, and what they share. Pure: report in, findings out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack::findings {

using Findings = std::vector<Finding>;

/// Less is not worth a word: who looks for a leak looks for gigabytes.
inline constexpr Bytes worth_telling = 1 << 20;

#define FINDING(function) Findings function(const Report& report);
#include "report/findings/findings.def"

/// A finding with its code, severity, title and docs link filled in.
Finding make(std::string_view code, std::string_view severity, std::string title);

/// Threads that compute have one stream or two; more are the program's own doing.
inline constexpr std::uint64_t many_streams = 5;

/// Streams that math libraries have a workspace of PyTorch's on.
std::uint64_t streams_with_workspaces(const Report& report);

/// Value of a note, or nullptr.
const Json* note(const Report& report, std::string_view key);
/// The elements of a note that is a list; none where it is missing or no list.
const Json& list_of(const Report& report, std::string_view key);

/// One holder expression as the agent saw it at one moment (contract/facts.def: holder).
struct Holder {
  std::uint32_t step = 0;  // of the observation
  bool at_end = false;     // seen by the analysis at exit or OOM, not by a look on the way
  Bytes live = 0;          // of the process at that moment; 0 at the end
  std::string chain, variable, file, function, of_class;
  std::vector<std::string> chains;  // of all parts of what `variable` holds; `chain` is the one with most bytes
  int line = 0;
  bool grows = false;    // `line` is a statement that adds to it, not a plain assignment
  bool limited = false;  // the source limits it: takes elements out again, or adds below a length only
  std::uint64_t count = 0, graphs = 0, bound = 0, nodes = 0, steps = 0, uses = 0;
  Bytes bytes = 0;
  std::uint64_t sequence = 0;  // time steps of the longest RNN that its graphs run in one fused call
  Bytes sequence_bytes = 0;    // what fused RNNs keep in proportion to their time steps
  std::uint32_t first_step = 0, last_step = 0;
  std::size_t look = 0;  // number of the look that saw it
  Bytes bytes_of_chain = 0;
};

/// Every observation of every holder, in order of time; the parts of one variable (`logs[]['loss']`,
/// `logs[]['output']`) that one look saw are one observation.
std::vector<std::vector<Holder>> holders_by_variable(const Report& report);

/// The last observation of what holds `chain`, or nullptr.
const Holder* observed(const std::vector<std::vector<Holder>>& holders, const std::string& chain);

/// Also when the run was too short to reach the bound.
bool is_bounded(const Holder& holder);

/// Whether blocks kept surviving after `step`, at the pace seen before, until the last step (note `step_live`).
/// True as well when too few steps followed to tell.
bool growth_went_on(const Report& report, std::uint32_t step);

/// Whether any backward pass or optimizer step has run: a program that learns.
bool ran_backward(const Report& report);

/// What then comes first, before a semicolon or more of the sentence.
inline constexpr std::string_view without_graph =
    "No backward pass has run: where none is wanted, run this under `torch.no_grad()` or `torch.inference_mode()`";

/// What the variable is and where: "an attribute of Trainer, train.py:27", "a local of main()", "a global".
std::string kind_of_variable(const Holder& holder);

/// The variable of a holder's chain: `losses` of `train() local losses[]`, `model.cache` of `__main__.model.cache[]`.
std::string variable_of(const std::string& chain);

/// Where what is held hangs on kept exceptions, the finding says so, and its fix is theirs.
void explain_exceptions(Finding& finding, const Holder& holder);

/// Points the finding at the site's own line. The frame, or nullptr: it has none.
const Frame* point_at(Finding& finding, const Report& report, const SiteReport& site);
/// At the call that made a context.
const Frame* point_at(Finding& finding, const Report& report, const ContextReport& context);

/// A text of a finding's evidence; "" when it has none of that name.
std::string text_in(const Json& evidence, const char* key);

/// What private pools of PyTorch's allocator (of CUDA graphs, of MemPools) keep on a device: nobody else is given it.
struct PrivatePools {
  std::uint64_t pools = 0;
  Bytes unused = 0;  // bytes of their segments that no block has
};

PrivatePools private_pools(const Report& report, int device);

/// What to do where they are many.
inline constexpr const char* pools_fix =
    "Let the graphs share one pool (`torch.cuda.graph(g, pool=handle)`, `handle = torch.cuda.graph_pool_handle()`), "
    "capture a few sizes and pad to them, and `reset()` graphs that are not needed.";

}  // namespace vramtrack::findings
