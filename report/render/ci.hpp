// What CI services show: annotations at the lines of a change, a summary, a file for code scanning. Pure functions.
#pragma once

#include <iosfwd>
#include <string>

#include "report/model/model.hpp"

namespace vramtrack::render {

/// One workflow command of GitHub Actions for each finding. Files below `root` (absolute, "" for none) are given
/// relative to it, since annotations are matched by their path in the repository.
void github_annotations(const Report& report, const std::string& root, std::ostream& out);

/// Markdown: totals, findings, the largest call sites. For a job summary of GitHub, a note of GitLab.
void markdown(const Report& report, const std::string& root, std::ostream& out);

/// SARIF 2.1.0, one run with one result for each finding.
void sarif(const Report& report, const std::string& root, std::ostream& out);

/// `file` relative to `root` where it lies below it (a relative one counts from the process's folder), else as it is.
std::string below_root(const Report& report, const std::string& file, const std::string& root);

}  // namespace vramtrack::render
