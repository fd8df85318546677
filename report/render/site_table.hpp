// The rows of the terminal's table: sites filtered, grouped and sorted as asked. Also used by other terminal views.
#pragma once

#include <string>
#include <vector>

#include "report/model/model.hpp"
#include "report/render/render.hpp"

namespace vramtrack::render {

struct TableRow {
  Bytes bytes = 0, peak = 0;
  std::uint64_t count = 0;
  double growth = 0;    // bytes a step (a second where there are no steps) of the growing sites in it
  std::string verdict;  // of the largest site in it; "growing" wins
  std::string path;     // may be shortened in its middle
  std::string place;    // never shortened: ":31", or the whole text of a row that has no path
  std::string code;     // the text of the line, or the function's name where it is not to be had
  std::string note;     // roles and tensor names, owner: cut at the end when there is no room
};

/// `path` as a user would write it: relative to the process's working directory when it lies under it.
std::string display_path(const Report& report, const std::string& path);

std::vector<TableRow> table_rows(const Report& report, const TextOptions& options);

}  // namespace vramtrack::render
