// vramtrack check: the figures of a run against a budget that lies in the repository.
#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "report/load/load.hpp"
#include "report/model/sites.hpp"
#include "report/support/files.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"
#include "tools/command.hpp"
#include "tools/formats.hpp"
#include "tools/input_files.hpp"

namespace vramtrack::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* budget_schema = "vramtrack-budget/1";
constexpr const char* tests_schema = "vramtrack-tests/1";  // written by the pytest plugin
constexpr const char* tests_file = "vramtrack-tests.json";

struct Figures {
  std::uint64_t peak_bytes = 0, live_bytes = 0;
};

struct Entry {
  Figures figures;
  std::optional<double> allow;  // ratio; the budget's own where absent
};

struct Budget {
  double allow = 1.05;
  std::map<std::string, Entry> entries;
};

[[noreturn]] void damaged(const std::string& path, const std::string& what) {
  throw std::runtime_error(path + ": " + what + "; `vramtrack check --update` writes a new one");
}

Json read_json(const std::string& path, const char* schema) {
  const files::Descriptor file = files::open_regular(path);
  if (!file)
    throw std::runtime_error(path + ": cannot be read; make it with `vramtrack check --budget " + path + " --update`");
  Json document = Json::parse(files::read_rest(file, std::size_t{1} << 30), nullptr, false);
  if (document.is_discarded() || !document.is_object()) damaged(path, "not a JSON object");
  if (document.value("schema", "") != schema) damaged(path, std::string("its schema is not ") + schema);
  return document;
}

std::uint64_t bytes_of(const Json& entry, const char* key, const std::string& path) {
  const auto at = entry.find(key);
  if (at == entry.end() || !at->is_number_unsigned())
    damaged(path, std::string("an entry without a number `") + key + "`");
  return at->get<std::uint64_t>();
}

double ratio_of(const Json& value, const std::string& path) {
  if (!value.is_number() || value.get<double>() < 1) damaged(path, "`allow` is a ratio of at least 1");
  return value.get<double>();
}

Budget read_budget(const std::string& path) {
  const Json document = read_json(path, budget_schema);
  Budget budget;
  if (document.contains("allow")) budget.allow = ratio_of(document["allow"], path);
  const auto entries = document.find("entries");
  if (entries == document.end() || !entries->is_object()) damaged(path, "no object `entries`");
  for (const auto& [name, value] : entries->items()) {
    if (!value.is_object()) damaged(path, "an entry that is no object");
    Entry& entry = budget.entries[name];
    entry.figures = {bytes_of(value, "peak_bytes", path), bytes_of(value, "live_bytes", path)};
    if (value.contains("allow")) entry.allow = ratio_of(value["allow"], path);
  }
  return budget;
}

void write_budget(const std::string& path, const Budget& budget) {
  Json entries = Json::object();
  for (const auto& [name, entry] : budget.entries) {
    entries[name] = Json{{"peak_bytes", entry.figures.peak_bytes}, {"live_bytes", entry.figures.live_bytes}};
    if (entry.allow) entries[name]["allow"] = *entry.allow;
  }
  const Json document{{"schema", budget_schema}, {"allow", budget.allow}, {"entries", std::move(entries)}};
  write_output(path,
               [&](std::ostream& out) { out << document.dump(2, ' ', false, Json::error_handler_t::replace) << '\n'; });
}

/// The command as a name that is the same on every machine: no folders of programs.
std::string name_of(const Report& report) {
  std::string name;
  for (const std::string& word : report.process.command)
    name += name.empty() ? fs::path(word).filename().string() : " " + word;
  return name;
}

/// Sums over the devices, of the layer that a user looks at.
Figures figures_of(const Report& report) {
  Figures tensor, cuda;
  for (const Total& total : report.totals) {
    if (!is_whole(report, total)) continue;
    Figures& sum = total.layer == "tensor" ? tensor : cuda;
    sum.peak_bytes += total.peak_bytes;
    sum.live_bytes += total.live_bytes;
  }
  return tensor.peak_bytes != 0 ? tensor : cuda;
}

void keep_highest(std::map<std::string, Figures>& measured, const std::string& name, const Figures& figures) {
  Figures& kept = measured[name];
  kept.peak_bytes = std::max(kept.peak_bytes, figures.peak_bytes);
  kept.live_bytes = std::max(kept.live_bytes, figures.live_bytes);
}

void read_tests(const std::string& path, std::map<std::string, Figures>& measured) {
  const Json document = read_json(path, tests_schema);
  for (const Json& test : document.value("tests", Json::array())) {
    if (!test.is_object() || !test.contains("name") || !test["name"].is_string())
      damaged(path, "a test without a name");
    keep_highest(measured, test["name"], {bytes_of(test, "peak_bytes", path), bytes_of(test, "live_bytes", path)});
  }
}

std::map<std::string, Figures> measure(const std::vector<std::string>& inputs, const std::string& name) {
  std::map<std::string, Figures> measured;
  for (const std::string& input : inputs) {
    std::error_code ignored;
    const fs::path tests = fs::is_directory(input, ignored) ? fs::path(input) / tests_file : fs::path(input);
    if (tests.filename() == tests_file && fs::exists(tests, ignored)) {
      read_tests(tests.string(), measured);
      continue;  // the processes of the folder are the tests' own
    }
    for (const std::string& file : expand_inputs({input}, true)) {
      const Report report = load(file, analyse_options());
      keep_highest(measured, name.empty() ? name_of(report) : name, figures_of(report));
    }
  }
  return measured;
}

/// One line for a figure over its budget; counted.
unsigned compare(const std::string& name, const char* what, std::uint64_t now, std::uint64_t budget, double allow) {
  if (static_cast<double>(now) <= static_cast<double>(budget) * allow) return 0;
  std::cout << "over budget: " << utf8::printable(name) << ": " << what << ' ' << human_bytes(now) << ", budget "
            << human_bytes(budget) << " (" << now << " of " << budget << " bytes, ratio allowed " << allow << ")\n";
  return 1;
}

}  // namespace

int cmd_check(const Arguments& arguments) {
  std::string path, name;
  std::vector<std::string> inputs;
  bool update = false, strict = false;
  std::optional<double> allow;
  CLI::App app("Compares what runs or tests took with a budget, or writes the budget.", "vramtrack check");
  app.add_option("INPUT", inputs, "reports, traces, or folders of them (default: vramtrack-out)");
  app.add_option("--budget", path, "the budget, a JSON file")->required();
  app.add_flag("--update", update, "set the budget of what was measured to its figures");
  app.add_option("--name", name, "name of the entry (default: the command line)");
  app.add_option("--allow", allow,
                 "with --update: how much more than the budget is allowed, as a ratio (1.05 at first)")
      ->check(CLI::Range(1.0, 1000.0));
  app.add_flag("--strict", strict, "what has no budget, and a budget that nothing was measured for, fail as well");
  parse(app, arguments);
  if (allow && !update) throw UsageError("--allow belongs to --update");
  if (inputs.empty()) inputs.emplace_back("vramtrack-out");
  const std::map<std::string, Figures> measured = measure(inputs, name);
  std::error_code ignored;
  Budget budget = update && !fs::exists(path, ignored) ? Budget() : read_budget(path);
  if (update) {
    if (allow) budget.allow = *allow;
    for (const auto& [entry, figures] : measured) budget.entries[entry].figures = figures;
    write_budget(path, budget);
    std::cout << path << ": " << plural(measured.size(), "budget") << " set\n";
    return 0;
  }
  unsigned over = 0;
  std::size_t unknown = 0, missing = 0;
  for (const auto& [entry, figures] : measured) {
    const auto known = budget.entries.find(entry);
    if (known == budget.entries.end()) {
      std::cout << "no budget: " << utf8::printable(entry) << " (add it with --update)\n";
      ++unknown;
      continue;
    }
    const double ratio = known->second.allow.value_or(budget.allow);
    over += compare(entry, "peak", figures.peak_bytes, known->second.figures.peak_bytes, ratio);
    over += compare(entry, "live at exit", figures.live_bytes, known->second.figures.live_bytes, ratio);
  }
  for (const auto& [entry, unused] : budget.entries)
    if (!measured.contains(entry)) {
      std::cout << "not measured: " << utf8::printable(entry) << '\n';
      ++missing;
    }
  std::cout << measured.size() - unknown << " compared with " << path << ", " << over << " over budget\n";
  if (over != 0) throw std::runtime_error(path + ": over budget; fix it, or accept the new figures with --update");
  if (strict && (unknown != 0 || missing != 0))
    throw std::runtime_error(path + ": does not fit what was measured (--strict); --update adds entries");
  return 0;
}

}  // namespace vramtrack::tools
