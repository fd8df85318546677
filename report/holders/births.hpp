// When the memory under a holder was born, and whether that is growth: the births of its elements joined to the clocks
// of the run. The judgement itself is that of call sites (report/analysis/verdict.hpp).
#pragma once

#include <limits>
#include <map>
#include <set>
#include <vector>

#include "contract/reader.hpp"
#include "report/analysis/site_rise.hpp"
#include "report/analysis/verdict.hpp"
#include "report/holders/held_graph.hpp"

namespace vramtrack::holders {

/// How many of the elements were made one after the other: each when all of the one before it was there.
std::uint64_t generations(const std::vector<std::vector<HeldBlock>>& elements);

class BirthJudge {
 public:
  /// `now` and `steps`: of the moment of the graph; `on_the_way`: the program went on after it. `blocks`: all that live
  /// then. `work_ended`: when the functions that run at the end of a process began to. `trace` must outlive this.
  BirthJudge(const trace::TraceFile& trace, double now, std::uint32_t steps, bool on_the_way,
             const std::vector<HeldBlock>& blocks, double work_ended = std::numeric_limits<double>::infinity());

  /// `elements`: for each element of a holder its blocks; `of_container`: each was put into one container;
  /// `of_model`: a model in use consists of them, or they go with its parameters, and it may grow in stages.
  /// `of_modules`: each is a model, or they are kept where models are.
  Verdict judge(const std::vector<std::vector<HeldBlock>>& elements, bool of_container, bool of_model = false,
                bool of_modules = false) const;

  /// Whether one and the same nn.Module ran before the first of these was born and after the last, or nearly: they came
  /// while a model worked, not while it was set up.
  bool born_at_work(const std::vector<std::vector<HeldBlock>>& elements) const;

  /// Whether a part of a holder was made, or one of its nn.Modules (by their addresses) ran, shortly before the last
  /// allocation of the run: what can be reached no more at its end was in use until then.
  bool used_to_the_end(const HolderReport& row, const std::vector<std::uint64_t>& modules) const;

  /// When one of some nn.Modules (by their addresses) allocated last, in seconds; negative: none was seen to.
  double last_run(const std::vector<std::uint64_t>& modules) const;

  /// Whether elements like those of a holder went on being made between two times, in seconds: its main call site made
  /// some after the first, and there was time for two.
  bool came_between(const HolderReport& row, double begin, double end) const;

  /// Whether many blocks of the site that made most of some were freed again, and yet what it holds rose until the end:
  /// each was to be let go by itself, and some were forgotten.
  bool outlive_others(const HolderReport& row) const;

  /// Of blocks that are too young to tell: whether their call sites rose until the end of the run, and are theirs. The
  /// verdict says how; an empty one where they did not. `drains`: the blocks wait in a queue, which is worked off.
  Verdict rising(const std::vector<HeldBlock>& blocks, Rise& rise, bool drains) const;

 private:
  struct Activity {
    ActivityClock clock;
    std::vector<double> births;
    std::uint64_t freed = 0;
    double last = 0;             // time of the last allocation or free
    double last_allocation = 0;  // of the whole run, also of what was freed again
  };
  struct Span {
    double begin, end;
  };
  /// What one call site made of some blocks.
  struct Part {
    Bytes bytes = 0;
    std::uint64_t blocks = 0;
    std::set<std::uint32_t> steps;  // in which they were born
    void add(const HeldBlock& block) {
      bytes += block.bytes;
      ++blocks;
      steps.insert(block.step);
    }
    /// Steps from one birth to the next where they are many apart, as those of optimizers for one phase after the
    /// other.
    double interval() const {
      constexpr std::size_t least = 4;
      if (steps.size() < least) return 0;
      return static_cast<double>(*steps.rbegin() - *steps.begin()) / static_cast<double>(steps.size() - 1);
    }
  };
  struct SiteRise {
    Rise rise = Rise::none;
    std::uint64_t from = 0, to = 0;  // bytes
  };

  SiteRise rise_of_part(std::uint32_t id, const Part& part, bool drains) const;

  bool ended_before(const Activity& activity, const trace::Site& site) const;
  /// Whether a site made nearly `all` of some blocks, and few others that live: its level is theirs.
  bool is_made_by(std::uint32_t site, Bytes bytes, Bytes all) const;
  bool is_one_pass(double begin, double end, std::size_t elements) const;

  const trace::TraceFile& trace_;
  double now_;
  std::uint32_t steps_;
  bool on_the_way_;
  std::map<std::int16_t, Activity> devices_;
  std::map<std::uint32_t, Bytes> sites_;  // what lives of each
  std::vector<Span> modules_;             // when each nn.Module that was called allocated, by begin
  std::map<std::uint64_t, double> ran_;   // by the address of a module: when it allocated last
};

}  // namespace vramtrack::holders
