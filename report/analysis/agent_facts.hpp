// Questions about holders, asked of the tensor facts that the report's allocations carry. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "report/model/model.hpp"

namespace vramtrack {

/// For each site (by id) the holder expression, indices blanked, that holds most of its live bytes: `__main__.losses`.
std::map<SiteId, std::string> main_holders(const Report& report);

/// `losses[3]` -> `losses[]`: one expression for all elements of a container.
std::string blank_indices(const std::string& chain);

}  // namespace vramtrack
