// What would make the peak lower, by how much, and why: from what the peak is made of.
#pragma once

#include <string>
#include <vector>

#include "report/analysis/breakdown.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

/// Sorted by what they save. Only of what is at the peak. `report` has sites, peak_breakdown and, where
/// they are known, holders. `second_order`: a backward pass was differentiated itself. `untrained`: modules whose
/// parameters want gradients, though no optimizer has one of them; what is below them is meant, too.
std::vector<Advice> advise(const Report& report, const std::vector<PeakPart>& parts, bool second_order,
                           const std::vector<std::string>& untrained);

}  // namespace vramtrack
