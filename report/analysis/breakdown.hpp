// What the memory of a moment is made of: role x module x phase of every block of the tensor layer. Adds up, for each
// device, to what that layer held then.
//
// Which blocks live at the end is known one by one, and the agent says what each is. Of the peak it is known how much
// each site held. Blocks that lived then and still live at the end keep their role; of the rest, the agent's looks say
// which sites make parameters, gradients, optimizer state and buffers, and how many of each; for what is left, the
// site's place and the lives of its blocks decide: made in the forward pass and freed by the backward pass is saved.
#pragma once

#include <vector>

#include "contract/reader.hpp"
#include "report/analysis/module_names.hpp"
#include "report/analysis/phase.hpp"
#include "report/analysis/tensor_facts.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

/// Blocks of one site in one role and module.
struct RoleShare {
  std::string role;
  std::optional<std::string> module;
  Bytes bytes = 0;
  std::uint64_t blocks = 0;
};

/// A share of one site at the peak, and what else is known of the site. A site without a share has one of 0 bytes. What
/// a variable holds for a while is a temporary here: it comes and goes with the pass.
struct PeakPart {
  std::size_t site = 0;  // index into Report::sites
  RoleShare share;
  std::string phase, usual_role;
  bool raised = false;        // the allocation that made the peak was one of its
  bool records = false;       // its line built autograd nodes
  bool graph_unused = false;  // and no backward pass freed what it made
  bool makes_gradient = false;
  bool outlives_steps = false;  // most of what its site has freed was of earlier steps
  Bytes gradients = 0;          // that a look saw of the site, once for each site
};

class Breakdown {
 public:
  /// `blocks`: of the report's moment (the peak's: of the end), by site.
  Breakdown(const trace::TraceFile& trace, const Report& report, const TensorIndex& tensors,
            const std::vector<std::vector<const trace::Block*>>& blocks);

  /// Sets module, range, phase of a site whose frames are there; and its role, by what most of it is at the moment.
  void label(const trace::Site& site, std::uint32_t index, bool workspace, SiteReport& result);

  const ModuleNames& names() const { return names_; }

  /// Of all sites that label() saw.
  std::vector<BreakdownEntry> at_moment() const;  // of the blocks
  std::vector<BreakdownEntry> at_peak() const;
  std::vector<PeakPart> peak_parts() const;  // of the sites that are in the report

 private:
  struct Labelled {
    std::uint32_t index = 0;
    std::optional<std::string> module, range;
    PhaseOfSite phase;
    bool workspace = false;
  };
  using Shares = std::vector<RoleShare>;

  std::string guess(const Labelled& labelled, const trace::Site& site) const;
  std::optional<std::string> module_of(const TensorFacts& facts, const Labelled& labelled) const;
  Shares shares_of_blocks(const Labelled& labelled, std::uint64_t until) const;
  std::vector<ModuleNames::Seen> seen(const Labelled& labelled, bool variables = true) const;
  Shares shares_at_peak(const Labelled& labelled, bool variables = true) const;
  bool raised_peak(const trace::Site& site) const;
  std::uint64_t unfinished(const trace::Site& site) const;
  std::vector<BreakdownEntry> sum(bool peak) const;

  const trace::TraceFile& trace_;
  const Report& report_;
  const TensorIndex& tensors_;
  const std::vector<std::vector<const trace::Block*>>& blocks_;
  ModuleNames names_;
  NodeLines lines_;
  bool frees_known_ = false;  // the trace says which frees came from backward passes
  std::vector<Labelled> labelled_;
};

}  // namespace vramtrack
