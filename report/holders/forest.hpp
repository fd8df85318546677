// The holders of one graph as rows: named, sized by what they alone keep alive, alike ones folded into one, with their
// births. Pure but for source files, which it asks for through a function.
#pragma once

#include <string>
#include <vector>

#include "report/holders/births.hpp"
#include "report/holders/held_graph.hpp"
#include "report/holders/row_places.hpp"
#include "report/model/model.hpp"

namespace vramtrack::holders {

struct Forest {
  std::vector<HolderReport> rows;           // parents before children
  std::vector<std::uint32_t> row_of_block;  // by index of HeldGraph::blocks; no_node: none
};

Forest make_forest(const HeldGraph& held, const BirthJudge& births, const ReadSource& read_source,
                   const FileOfSite& file_of_site);

}  // namespace vramtrack::holders
