// The pages of docs/findings/, which the program carries: a wheel or a package installs no other copy that a report
// could name. `vramtrack explain` prints them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack::findings {

struct Explanation {
  std::string code;
  std::string subject;  // the question of users that it answers
  std::string text;     // the page, in Markdown, without links to other files
};

/// In the order of findings.def.
const std::vector<Explanation>& explanations();

/// Of a code, or nullptr.
const Explanation* explanation(std::string_view code);

/// What the reader of a finding is told to do next: a command; "" for a code of another version.
std::string read_on(const Finding& finding);

}  // namespace vramtrack::findings
