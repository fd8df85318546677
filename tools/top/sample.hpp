// What `vramtrack top` shows of one process at one moment: plain values, filled from the mapped trace.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "contract/reader.hpp"
#include "report/model/model.hpp"
#include "report/symbolize/source_lines.hpp"

namespace vramtrack::tools {

struct TopDevice {
  int device = 0;  // -1: host memory
  std::string name;
  bool tensors = false;  // the figures are the tensor layer's; else the cuda layer's
  Bytes live_bytes = 0, peak_bytes = 0, total_bytes = 0;
  std::uint64_t live_count = 0;
  std::optional<Bytes> reserved_bytes;  // what the caching allocator holds in all
  std::vector<Bytes> history;           // live bytes, oldest first
};

struct TopSite {
  std::uint32_t id = 0;
  std::string layer, owner, verdict;
  bool main = true;  // its bytes are not part of another site's (see is_main_layer)
  int device = 0;
  Bytes live_bytes = 0;
  std::uint64_t live_count = 0;
  double per_second = 0;                   // change of live bytes over the last refreshes
  std::optional<double> per_step;          // the same per step, while steps are counted
  std::string path, line, function, code;  // code: the text of the line
  bool backward = false;                   // allocated by the backward pass of that line
};

struct TopSample {
  std::string trace;
  std::int64_t pid = 0;
  bool running = false, stopped = false;
  std::string command, rank;
  double duration = 0;
  std::uint32_t steps = 0;
  bool has_steps = false;
  std::vector<TopDevice> devices;
  std::vector<TopSite> sites;         // by live bytes
  std::vector<std::string> findings;  // one line each
  std::string problem;                // why there is nothing to show
};

/// Reads one trace again and again. Names are looked up once per site; the rest is a read of the mapped file: the
/// traced process does nothing for it. Most refreshes read the counters only; verdicts and findings, which need every
/// live block, are worked out as often as that takes a twentieth of the time.
class TopSource {
 public:
  explicit TopSource(std::string trace_path) : path_(std::move(trace_path)) {}

  /// `now`: seconds on any steady clock. A trace that cannot be read gives a sample with `problem` set.
  const TopSample& refresh(double now);
  const TopSample& sample() const { return sample_; }

 private:
  struct Label {
    std::string path, line, function, owner, verdict;
  };
  struct Moment {
    double time;
    std::uint32_t steps;
    std::map<std::uint32_t, Bytes> live;
  };

  void read(double now);
  Report read_all(const trace::TraceFile& trace, double now);
  void label_sites(const Report& report);
  void fill(const Report& report);
  void add_site(const Report& report, const SiteReport& site);
  void set_rates(double now);

  std::string path_;
  SourceLines lines_{true, ::geteuid()};
  TopSample sample_;
  std::map<std::uint32_t, Label> labels_;
  std::optional<double> last_symbols_;
  std::optional<Report> report_;  // the last one of the whole trace, with newer figures
  double next_whole_ = 0;         // when the whole trace is read again,
  double next_names_ = 0;         // and from when on for new call sites
  std::deque<Moment> past_;
};

}  // namespace vramtrack::tools
