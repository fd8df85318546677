// The diagnoses. Each finding is one function in one file; all of them are pure: report in, findings out.
#pragma once

#include <vector>

#include "report/model/model.hpp"

namespace vramtrack::findings {

/// Takes back the verdict "growing" of sites whose blocks a container of limited size holds. Before find_all().
void settle_bounded_sites(Report& report);

/// Runs every finding over a filled report (sites, verdicts, allocations, notes) and returns them worst first.
std::vector<Finding> find_all(const Report& report);

/// Takes out findings that another of them says as well, and better.
void drop_repeated(const Report& report, std::vector<Finding>& found);

/// The order of a report: errors, warnings, information; in each the most bytes first.
void worst_first(std::vector<Finding>& found);

/// Of an out-of-memory error that the program handled: a variable that keeps it, with the frames that it went through,
/// to the end. `report`: of the end.
void tell_kept_error(const Report& report, Finding& out_of_memory);

}  // namespace vramtrack::findings
