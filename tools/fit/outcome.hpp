// What `vramtrack fit` found, as a value, and its three forms. Pure: no program is run here.
#pragma once

#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/fit/gpus.hpp"
#include "tools/fit/trial.hpp"
#include "tools/fit/vary.hpp"

namespace vramtrack::tools::fit {

/// How a figure follows the value: constant + slope * value.
struct Law {
  double constant = 0, slope = 0;
};

/// A part of the peak's live bytes.
struct Part {
  std::string role;
  Bytes bytes = 0;
  std::uint64_t blocks = 0;
  std::optional<Law> law;
};

struct GpuOutcome {
  Gpu gpu;
  bool fits = false;
  std::optional<Value> largest, smallest_failing;  // within the range; none without --vary
  std::optional<Value> value;                      // that the figures are of
  std::optional<Trial> figures;                    // none: the program runs out even on the large device
  std::optional<Law> live_law;
  std::vector<Part> parts;  // most bytes first; adds up to the live peak
  std::size_t runs = 0;

  /// Of the device, at the fullest moment; negative: what is missing.
  std::int64_t margin() const;
};

struct Outcome {
  std::vector<std::string> command;
  Vary vary;
  std::uint64_t steps = 0;
  std::vector<GpuOutcome> gpus;
  std::map<Value, Trial> measured;  // on the large device
  std::size_t runs = 0;
  std::vector<std::string> notes;
};

/// The nearest measured value whose peak is made alike, but not right beside; nullptr: there is none.
const std::pair<const Value, Trial>* comparable(const Outcome& outcome, Value value, const Trial& trial);

/// The law through a figure of this value and of the comparable one. role "": what is live in all.
std::optional<Law> law_of(const Outcome& outcome, Value value, const Trial& trial, const std::string& role);

void text(const Outcome& outcome, std::ostream& out);
void json(const Outcome& outcome, std::ostream& out);
void html(const Outcome& outcome, std::ostream& out);

}  // namespace vramtrack::tools::fit
