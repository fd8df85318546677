// vramtrack fit: runs a program on simulated GPUs to find out whether it fits, and with which largest value.
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "report/support/units.hpp"
#include "tools/command.hpp"
#include "tools/fit/gpus.hpp"
#include "tools/fit/outcome.hpp"
#include "tools/fit/search.hpp"
#include "tools/fit/trial.hpp"
#include "tools/fit/vary.hpp"
#include "tools/scratch.hpp"

namespace vramtrack::tools {
namespace fs = std::filesystem;
namespace {

using namespace fit;

/// Larger than any GPU, so that nothing runs out and the allocator never gives its cache back.
Gpu large_device(const std::vector<Gpu>& gpus) {
  constexpr std::uint64_t usual = 512ull << 30, most = 4096ull << 30;
  Gpu large = find_gpu("512GiB");
  for (const Gpu& gpu : gpus) {
    large.devices = std::max(large.devices, gpu.devices);
    large.total_bytes = std::min(std::max({large.total_bytes, usual, 2 * gpu.total_bytes}), most);
  }
  return large;
}

class Runner {
 public:
  Runner(std::vector<Gpu> gpus, Vary vary, TrialRequest request)
      : gpus_(std::move(gpus)), large_(large_device(gpus_)), vary_(std::move(vary)), request_(std::move(request)) {}

  Trial operator()(Index index, std::optional<std::size_t> gpu) {
    const Gpu& device = gpu ? gpus_[*gpu] : large_;
    const Scratch folder("fit");  // the traces of one run, which nobody needs afterwards
    const Value value = vary_.at(static_cast<std::size_t>(index));
    TrialRequest request = request_;
    Prepared prepared = prepare(vary_, value, request_.command, folder.path());
    request.command = std::move(prepared.command);
    request.environment = std::move(prepared.environment);
    request.sim = device.sim();
    request.context_bytes = device.context_bytes;
    request.folder = fs::path(folder.path()) / "traces";
    fs::create_directory(request.folder);
    ++runs_;
    Trial trial = run_trial(request);
    tell(value, gpu ? device.asked : "a device of " + human_bytes(device.total_bytes), trial);
    return trial;
  }

  std::size_t runs() const { return runs_; }

 private:
  void tell(Value value, const std::string& device, const Trial& trial) const {
    if (isatty(STDERR_FILENO) == 0) return;
    std::cerr << "run " << runs_ << ": ";
    if (vary_.way != Vary::Way::none) std::cerr << vary_.label() << "=" << value << " ";
    std::cerr << "on " << device << ": ";
    if (trial.out_of_memory)
      std::cerr << "out of memory\n";
    else
      std::cerr << "peak " << human_bytes(trial.peak_live_bytes) << ", reserved "
                << human_bytes(trial.peak_reserved_bytes) << '\n';
  }

  std::vector<Gpu> gpus_;
  Gpu large_;
  Vary vary_;
  TrialRequest request_;
  std::size_t runs_ = 0;
};

std::vector<Part> parts_of(const Outcome& outcome, Value value, const Trial& trial) {
  std::vector<Part> parts;
  for (const auto& [role, amount] : trial.roles)
    parts.push_back({role, amount.first, amount.second, law_of(outcome, value, trial, role)});
  std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.bytes > b.bytes; });
  return parts;
}

/// One more run where no value was measured whose peak is made like that of the largest one: how it grows could not be
/// said.
void measure_for_law(Answer& answer, Runner& runner, Outcome& outcome) {
  const Index near = answer.largest * 3 / 4;
  if (!answer.at_largest || near == answer.largest) return;
  const auto at = [&](Index index) { return outcome.vary.at(static_cast<std::size_t>(index)); };
  if (comparable(outcome, at(answer.largest), *answer.at_largest) != nullptr || outcome.measured.contains(at(near)))
    return;
  ++answer.runs;
  if (Trial trial = runner(near, std::nullopt); !trial.out_of_memory)
    outcome.measured.emplace(at(near), std::move(trial));
}

GpuOutcome outcome_of(const Gpu& gpu, const Answer& answer, const Outcome& whole) {
  GpuOutcome out;
  out.gpu = gpu;
  out.fits = answer.largest >= 0;
  out.runs = answer.runs;
  const bool varies = whole.vary.way != Vary::Way::none;
  const auto at = [&](Index index) { return whole.vary.at(static_cast<std::size_t>(index)); };
  if (varies && out.fits) out.largest = at(answer.largest);
  if (varies && answer.largest + 1 < static_cast<Index>(whole.vary.count()))
    out.smallest_failing = at(answer.largest + 1);
  if (out.fits) {
    out.value = at(answer.largest);
    out.figures = answer.at_largest;
  } else if (const auto first = whole.measured.find(at(0)); first != whole.measured.end()) {
    out.value = at(0);
    out.figures = first->second;
  }
  if (!out.figures) return out;
  out.parts = parts_of(whole, *out.value, *out.figures);
  out.live_law = law_of(whole, *out.value, *out.figures, "");
  return out;
}

void add_notes(Outcome& outcome) {
  const auto any = [&](bool Trial::*which) {
    return std::any_of(outcome.measured.begin(), outcome.measured.end(),
                       [&](const auto& one) { return one.second.*which; });
  };
  if (any(&Trial::rising))
    outcome.notes.push_back("the peak was still rising in the last step; --steps " + std::to_string(outcome.steps * 4) +
                            " looks further");
  const bool never = std::all_of(outcome.measured.begin(), outcome.measured.end(),
                                 [](const auto& one) { return one.second.steps == 0; });
  if (never && !outcome.measured.empty())
    outcome.notes.emplace_back(any(&Trial::trains)
                                   ? "no step of an optimizer was seen, though the program trains: each run ended when"
                                     " the calls of its model no longer raised the peak"
                                   : "no optimizer step was seen: the figures are those of inference");
  if (outcome.measured.size() > 1 &&
      outcome.measured.begin()->second.peak_live_bytes == outcome.measured.rbegin()->second.peak_live_bytes)
    outcome.notes.push_back("the peak is the same for " + outcome.vary.label() + "=" +
                            std::to_string(outcome.measured.begin()->first) + " and " +
                            std::to_string(outcome.measured.rbegin()->first) + "; does the program use the value?");
}

struct FitOptions {
  std::vector<std::string> gpus;
  std::string vary, format = "text", output;
  std::uint64_t steps = 3, deadline = 600;
  bool compute = false;
  std::vector<std::string> command;
};

FitOptions parse_options(const Arguments& arguments) {
  FitOptions options;
  CLI::App app("Runs CMD on simulated GPUs: does it fit, with how much to spare, and up to which value?",
               "vramtrack fit");
  app.footer(
      "Written as: vramtrack fit [OPTION...] -- CMD ARGS...\n"
      "With --vary BATCH=1..64 each {BATCH} in CMD is replaced, and the variable BATCH is set.\n"
      "With --vary env:BATCH=1..64 the variable alone is set.\n"
      "With --vary config.json:train.batch=1..64 a changed copy of that file takes its place in CMD.\n"
      "1..64:8 takes every eighth value. GPUs known by name: " +
      gpu_names());
  app.add_option("--gpu", options.gpus, "a size (24GiB, 2x80GiB) or a GPU's name; may be given several times (80GiB)")
      ->allow_extra_args(false);
  app.add_option("--vary", options.vary, "NAME=LO..HI: the value to find");
  app.add_option("--steps", options.steps,
                 "end each run after so many optimizer steps, or calls of the model where"
                 " there is no optimizer")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--deadline", options.deadline, "seconds that one run may take")
      ->check(CLI::Range(1, 10000000))
      ->capture_default_str();
  app.add_flag("--sim-compute", options.compute, "compute every operator on the CPU, as for run");
  app.add_option("--format", options.format, "text, json or html")
      ->check(CLI::IsMember({"text", "json", "html"}))
      ->capture_default_str();
  app.add_option("-o,--output", options.output, "write to this file instead of standard output");
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  parse(app, Arguments(arguments.begin(), dashes));
  if (dashes != arguments.end()) options.command.assign(dashes + 1, arguments.end());
  if (options.command.empty()) throw UsageError("no command given: vramtrack fit [OPTION...] -- CMD ARGS...");
  if (options.gpus.empty()) options.gpus.emplace_back("80GiB");
  return options;
}

Outcome find_what_fits(const FitOptions& options) {
  Outcome outcome;
  outcome.command = options.command;
  outcome.steps = options.steps;
  if (!options.vary.empty()) outcome.vary = parse_vary(options.vary, options.command);
  std::vector<Gpu> gpus;
  for (const std::string& name : options.gpus) gpus.push_back(find_gpu(name));
  TrialRequest request;
  request.command = options.command;
  request.steps = options.steps;
  request.deadline = std::chrono::seconds(options.deadline);
  request.compute = options.compute;
  Runner runner(gpus, outcome.vary, request);
  Search search(gpus, static_cast<Index>(outcome.vary.count()), std::ref(runner));
  std::vector<Answer> answers = search.find();
  for (const auto& [index, trial] : search.measured())
    outcome.measured.emplace(outcome.vary.at(static_cast<std::size_t>(index)), trial);
  for (Answer& answer : answers) measure_for_law(answer, runner, outcome);
  for (std::size_t i = 0; i < gpus.size(); ++i) outcome.gpus.push_back(outcome_of(gpus[i], answers[i], outcome));
  outcome.runs = runner.runs();
  add_notes(outcome);
  return outcome;
}

}  // namespace

int cmd_fit(const Arguments& arguments) {
  const FitOptions options = parse_options(arguments);
  const Outcome outcome = find_what_fits(options);
  write_output(options.output, [&](std::ostream& out) {
    if (options.format == "json")
      fit::json(outcome, out);
    else if (options.format == "html")
      fit::html(outcome, out);
    else
      fit::text(outcome, out);
  });
  return 0;
}

}  // namespace vramtrack::tools
