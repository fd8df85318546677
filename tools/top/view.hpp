// Draws `vramtrack top`: samples in, lines of text out. Pure, so that it can be tested without a terminal.
#pragma once

#include <string>
#include <vector>

#include "tools/top/sample.hpp"

namespace vramtrack::tools {

struct TopView {
  int columns = 100, rows = 0;  // rows 0: as many as it takes (--once)
  bool colour = false, unicode = true;
  bool exact = false;  // bytes as integers
  bool interactive = true, paused = false, help = false;
  std::string sort = "bytes";  // bytes | count | rate | step
  std::string layer = "main";  // main | tensor | cuda | all
  std::size_t process = 0;     // whose sites are shown
  std::size_t scroll = 0;      // first site shown
  std::size_t top = 20;        // sites with rows == 0
};

/// Lines that fit `columns`. Never more than `rows` of them, when set. Clamps `process` and `scroll`.
std::vector<std::string> draw_top(const std::vector<const TopSample*>& samples, TopView& view);

/// The largest of each of `width` equal parts of the values, as blocks of eight heights.
std::string sparkline(const std::vector<Bytes>& values, std::size_t width, bool unicode);

}  // namespace vramtrack::tools
