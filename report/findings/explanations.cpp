#include "report/findings/explanations.hpp"

#include <algorithm>

#include "report/findings/explanation_bytes.hpp"

namespace vramtrack::findings {
namespace {

/// `[text](file.md)` becomes its text: the file is not there.
std::string without_links_to_files(std::string_view page) {
  std::string out;
  while (!page.empty()) {
    const std::size_t middle = page.find("](");
    const std::size_t begin = middle == page.npos ? page.npos : page.rfind('[', middle);
    const std::size_t end = middle == page.npos ? page.npos : page.find(')', middle);
    if (begin == page.npos || end == page.npos) break;
    const std::string_view target = page.substr(middle + 2, end - middle - 2);
    const bool on_the_web = target.find("://") != target.npos;
    out += page.substr(0, begin);
    out += on_the_web ? page.substr(begin, end + 1 - begin) : page.substr(begin + 1, middle - begin - 1);
    page.remove_prefix(end + 1);
  }
  return out.append(page);
}

/// What stands between the first two asterisks, on one line.
std::string subject_of(std::string_view page) {
  const std::size_t begin = page.find('*') + 1;
  std::string subject(page.substr(begin, page.find('*', begin) - begin));
  std::ranges::replace(subject, '\n', ' ');
  if (subject.ends_with('.')) subject.pop_back();
  return subject;
}

std::vector<Explanation> read_pages(std::string_view pages) {
  constexpr std::string_view heading = "# `";
  constexpr std::string_view next = "\n# `";
  std::vector<Explanation> found;
  while (pages.starts_with(heading)) {
    const std::string_view page = pages.substr(0, std::min(pages.find(next), pages.size() - 1) + 1);
    const std::string_view code = page.substr(heading.size(), page.find('`', heading.size()) - heading.size());
    found.push_back({std::string(code), subject_of(page), without_links_to_files(page)});
    pages.remove_prefix(page.size());
  }
  return found;
}

}  // namespace

const std::vector<Explanation>& explanations() {
  static const std::vector<Explanation> all = read_pages(explanation_bytes());
  return all;
}

const Explanation* explanation(std::string_view code) {
  const auto found = std::ranges::find(explanations(), code, &Explanation::code);
  return found == explanations().end() ? nullptr : &*found;
}

std::string read_on(const Finding& finding) {
  return explanation(finding.code) == nullptr ? std::string() : "vramtrack explain " + finding.code;
}

}  // namespace vramtrack::findings
