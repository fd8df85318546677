#include "tools/formats.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "report/render/ci.hpp"
#include "report/support/files.hpp"
#include "report/symbolize/symbol_cache.hpp"
#include "tools/command.hpp"

namespace vramtrack::tools {
namespace {

/// The folder that CI services give paths from: the checkout, else where we are.
std::string repository() {
  for (const char* name : {"GITHUB_WORKSPACE", "CI_PROJECT_DIR"})
    if (const char* folder = std::getenv(name); folder != nullptr && *folder == '/') return folder;
  std::error_code ignored;
  return std::filesystem::current_path(ignored).string();
}

/// Annotations; the summary goes to the file that the job shows as its summary, else after the annotations.
void github(const Report& report, std::ostream& out) {
  const std::string root = repository();
  render::github_annotations(report, root, out);
  const char* path = std::getenv("GITHUB_STEP_SUMMARY");
  if (path == nullptr || *path == '\0') return render::markdown(report, root, out);
  try {
    files::append_to_file(path, [&](std::ostream& summary) { render::markdown(report, root, summary); });
  } catch (const std::system_error& error) {
    throw std::runtime_error(std::string(path) + ": the job summary cannot be written: " + error.code().message() +
                             "; name another file (GITHUB_STEP_SUMMARY)");
  }
}

}  // namespace

const std::vector<Format>& formats() {
  static const std::vector<Format> table = {
      {"text", nullptr},
#define FORMAT(function, name) {name, render::function},
#include "report/render/formats.def"
      {"github", github},
      {"sarif", [](const Report& report, std::ostream& out) { render::sarif(report, repository(), out); }},
  };
  return table;
}

std::string format_names() {
  std::string names;
  for (const Format& format : formats()) (names += names.empty() ? "" : ", ") += format.name;
  return names;
}

const Format& find_format(const std::string& name) {
  std::vector<std::string> names;
  for (const Format& format : formats()) {
    if (name == format.name) return format;
    names.emplace_back(format.name);
  }
  std::string message = "--format " + name + ": unknown format";
  if (const std::string near = nearest(name, names); !near.empty()) message += "; did you mean " + near + "?";
  throw UsageError(message + " (known: " + format_names() + ")");
}

AnalyseOptions analyse_options() {
  AnalyseOptions options;
  options.symbol_cache = SymbolCache::default_folder();
  return options;
}

void parse_at(const std::string& text, AnalyseOptions& options) {
  options.at = text;
  options.oom = 1;
  if (text.starts_with("oom:")) {
    const std::string number = text.substr(4);
    if (number.empty() || number.size() > 9 || !std::all_of(number.begin(), number.end(), ::isdigit) ||
        std::stoul(number) == 0) {
      throw UsageError("--at " + text + ": the number of the out-of-memory event is from 1 on, as in oom:2");
    }
    options.at = "oom";
    options.oom = static_cast<std::uint32_t>(std::stoul(number));
  } else if (text != "exit" && text != "peak" && text != "oom" && text != "live") {
    throw UsageError("--at " + text + ": choose exit, peak, live, oom or oom:N");
  }
}

render::TextOptions text_options(int descriptor) {
  render::TextOptions options;
  if (isatty(descriptor) == 0) return options;
  const char* no_colour = std::getenv("NO_COLOR");
  options.colour = no_colour == nullptr || *no_colour == '\0';
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) options.width = size.ws_col;
  return options;
}

}  // namespace vramtrack::tools
