#include <catch2/catch.hpp>

#include <cmath>

#include "report/holders/work_end.hpp"

namespace vramtrack::holders {
namespace {

/// Call sites of functions, innermost first, each with the times of its first and last block.
class MadeSites {
 public:
  void add(std::initializer_list<const char*> functions, double first, double last, std::uint64_t blocks) {
    SiteReport site;
    site.layer = "tensor";
    site.first_time = first;
    site.last_time = last;
    site.allocated_count = blocks;
    for (const char* function : functions) {
      Frame frame;
      frame.kind = "python";
      frame.function = function;
      site.stack.push_back(FrameId(report.frames.size()));
      report.frames.push_back(std::move(frame));
    }
    report.sites.push_back(std::move(site));
  }

  Report report;
};

}  // namespace

TEST_CASE("what functions allocate at the end of the process is behind the program's work") {
  MadeSites made;
  made.add({"forward", "main", "<module>"}, 1, 9, 100);
  made.add({"save"}, 9.5, 10, 40);
  made.add({"mean", "save"}, 9.6, 10, 40);
  CHECK(work_ended(made.report) == 9.5);
}

TEST_CASE("work does not end where modules or threads go on, or where C calls the functions") {
  MadeSites made;
  made.add({"forward", "<module>"}, 1, 9, 100);
  made.add({"run", "Thread._bootstrap"}, 2, 12, 10);
  made.add({"hook"}, 3, 11, 10);
  CHECK(std::isinf(work_ended(made.report)));
  MadeSites served;
  served.add({"load", "<module>"}, 1, 2, 10);
  served.add({"execute"}, 3, 90, 1000);
  CHECK(std::isinf(work_ended(served.report)));
}

}  // namespace vramtrack::holders
