#include "report/load/analyse.hpp"

#include <catch2/catch.hpp>
#include <sstream>

#include "contract/notes.hpp"
#include "report/load/load.hpp"
#include "report/model/input_error.hpp"
#include "report/model/read_report.hpp"
#include "report/model/sites.hpp"
#include "report/render/render.hpp"
#include "test/unit/report/made_trace.hpp"

using namespace vramtrack;
using test::MadeTrace;
namespace key = trace::note_key;

namespace {

constexpr Bytes mib = 1 << 20;

/// A model with two parameters, one leaked block a step, temporaries, one segment of the allocator and NCCL's memory.
struct TrainingTrace : MadeTrace {
  TrainingTrace() {
    writer->note(key::command, std::string_view("python\0train.py\0", 16));
    writer->note(key::cwd, "/home/me/project");
    writer->note(key::hostname, "box");
    writer->note(key::environ, "SLURM_PROCID=9\nRANK=3\nLOCAL_RANK=1\nWORLD_SIZE=8\n");
    writer->note(key::cuda, R"({"runtime":13000,"driver":13010,"simulated":true,
                               "devices":[{"index":0,"name":"GPU","total_bytes":1073741824}]})");
    writer->note(key::memory_info, R"([{"device":0,"free_bytes":973741824,"total_bytes":1073741824}])");
    writer->note("python", R"({"version":"3.11.7","torch":"2.11.0"})");
    writer->note(key::tensors, R"({"tensors":[{"a":4096,"s":[512,512],"d":"float32","n":"net.0.weight","r":"parameter",
                                   "h":"__main__.net"},{"a":4160,"s":[1],"d":"float32","n":"","r":"python","h":"view"}]})");
    const auto main = python("/home/me/project/train.py", "<module>", 27, true);
    const auto init = python("/home/me/project/model.py", "__init__", 31);
    const auto linear = python("/venv/lib/python3.11/site-packages/torch/nn/modules/linear.py", "__init__", 100);
    const auto torch = native("/venv/torch/lib/libtorch_cuda.so", 0x10);
    const auto interpreter = native("/usr/bin/python3.11", 0x20);
    model = stack({linear, init, main}, {torch, interpreter});
    leak = stack({main}, {torch, interpreter});
    segment = stack({main}, {native("/venv/torch/lib/libc10_cuda.so", 0x30), torch, interpreter});
    nccl = stack({}, {native("/l/libcudart.so.12", 4), native("/l/libnccl.so.2", 0x40), torch});
    add_cuda(0x1000, 32 * mib, Kind::device, 0, segment);
    add_cuda(0x100000000, 4 * mib, Kind::device, 0, nccl);
    add_block(4096, mib, model);
    add_block(4096 + mib, mib, model);
    for (std::uint64_t step = 0; step < 20; ++step) {
      add_block(4096 + (2 + step) * mib, 512, leak);
      add_block(0x900000, 5 * mib, leak);  // freed in the same step
      remove_block(0x900000);
      ledger::step();
    }
  }
  StackId model, leak, segment, nccl;
};

const SiteReport& site_of(const Report& report, const std::string& layer, Bytes live) {
  for (const SiteReport& site : report.sites) {
    if (site.layer == layer && site.live_bytes == live) return site;
  }
  FAIL("no site with " << live);
  return report.sites.front();
}

std::string json_of(const Report& report) {
  std::ostringstream out;
  render::json(report, out);
  return out.str();
}

}  // namespace

TEST_CASE("a training run's trace becomes a report") {
  TrainingTrace trace;
  const Report report = trace.report();

  CHECK(report.process.command == std::vector<std::string>{"python", "train.py"});
  CHECK(report.process.rank == 3);
  CHECK(report.process.local_rank == 1);
  CHECK(report.process.world_size == 8);
  CHECK(report.environment.python == "3.11.7");
  CHECK(report.environment.cuda_driver == "13.1");
  CHECK(report.environment.simulated);
  CHECK(report.steps.count == 20);

  const SiteReport& model = site_of(report, "tensor", 2 * mib);
  CHECK(model.live_count == 2);
  CHECK(model.verdict == "steady");
  REQUIRE(model.stack.size() == 4);
  CHECK(report.frames[model.stack[0]].kind == "native");
  CHECK(report.frames[model.stack[1]].module == "torch.nn.modules.linear");
  CHECK(report.frames[model.stack[2]].line == 31);
  CHECK(report.frames[model.stack[3]].file == "/home/me/project/train.py");

  const SiteReport& leak = site_of(report, "tensor", 20 * 512);
  CHECK(leak.verdict == "growing");
  CHECK(*leak.growth.bytes_per_step == Approx(512));
  CHECK(leak.allocated_count == 40);
  CHECK(leak.largest_bytes == 5 * mib);
  CHECK(site_of(report, "cuda", 32 * mib).verdict == "cache");
  CHECK(site_of(report, "cuda", 4 * mib).owner == "nccl");

  REQUIRE(report.ledger.size() == 1);
  const LedgerEntry& ledger = report.ledger[0];
  CHECK(ledger.tensors_live_bytes == 2 * mib + 20 * 512);
  CHECK(ledger.cached_bytes == 32 * mib - ledger.tensors_live_bytes);
  CHECK(ledger.driver_used_bytes == 100000000);
  CHECK(ledger.context_and_other_bytes == 100000000 - 36 * mib);
  REQUIRE(ledger.owners.size() == 2);
  CHECK(ledger.owners[0].owner == "torch");
  CHECK(ledger.owners[1].owner == "nccl");
  // From the end of the last leaked block to the end of the segment.
  CHECK(ledger.largest_free_cached_block_bytes == 0x1000 + 32 * mib - (4096 + 21 * mib + 512));

  REQUIRE(report.allocations.size() == 24);
  CHECK(report.allocations[0].bytes == 32 * mib);
  const AllocationReport& weight = report.allocations[2];
  REQUIRE(weight.tensor);
  CHECK(weight.tensor->name == "net.0.weight");
  CHECK(weight.tensor->shape == std::vector<std::int64_t>{512, 512});
  CHECK_FALSE(report.allocations[3].tensor);

  Bytes tensor_live = 0;
  for (const Total& total : report.totals) {
    if (total.layer != "tensor") continue;
    CHECK(total.kind == "block");
    tensor_live += total.live_bytes;
    CHECK(total.peak_bytes == 2 * mib + 20 * 512 + 5 * mib);
  }
  CHECK(tensor_live == ledger.tensors_live_bytes);
  CHECK_FALSE(report.timeline.empty());
}

TEST_CASE("a buffer that evicts is not growing, a leak beside it is") {
  MadeTrace trace;
  const StackId buffer = trace.stack({trace.python("/a.py", "f", 1, true)}, {});
  const StackId leak = trace.stack({trace.python("/a.py", "g", 2, true)}, {});
  std::vector<std::uint64_t> slots;
  for (std::uint64_t step = 0; step < 40; ++step) {
    const std::uint64_t address = (step + 1) << 20;
    add_block(address, 512, buffer);
    add_block(address + 4096, 1024, leak);
    slots.push_back(address);
    if (slots.size() > 20) {  // every second one of the older half goes: survivors lie all along the run
      remove_block(slots[step % 10]);
      slots.erase(slots.begin() + static_cast<std::ptrdiff_t>(step % 10));
    }
    ledger::step();
  }
  const Report report = trace.report();
  CHECK(site_of(report, "tensor", 20 * 512).verdict != "growing");
  CHECK(site_of(report, "tensor", 40 * 1024).verdict == "growing");
}

TEST_CASE("the peak has each site's bytes of that moment") {
  TrainingTrace trace;
  AnalyseOptions options;
  options.at = "peak";
  const Report report = trace.report(options);
  CHECK(report.at == "peak");
  CHECK(report.allocations.empty());
  // The temporary was alive with all 20 leaked blocks.
  CHECK(site_of(report, "tensor", 20 * 512 + 5 * mib).live_count == 21);
  CHECK(report.allocations_omitted.count == 2 + 21 + 2);
}

TEST_CASE("an out-of-memory event has its own live set") {
  TrainingTrace trace;
  const std::uint32_t n = ledger::snapshot_oom(Layer::tensor, 0, 80 * mib, 2 * mib, 32 * mib, trace.leak);
  REQUIRE(n == 1);
  remove_block(4096);
  AnalyseOptions options;
  options.at = "oom";
  const Report report = trace.report(options);
  REQUIRE(report.ooms.size() == 1);
  CHECK(report.ooms[0].requested_bytes == 80 * mib);
  CHECK(report.ooms[0].stack.size() == 2);
  CHECK(site_of(report, "tensor", 2 * mib).live_count == 2);
  CHECK(site_of(trace.report(), "tensor", mib).live_count == 1);
  for (const Total& total : report.totals) {
    if (total.layer == "tensor") CHECK(total.live_bytes == 2 * mib + 20 * 512);
  }
  options.oom = 2;
  CHECK_THROWS_AS(trace.report(options), InputError);
}

TEST_CASE("limits leave blocks out of the lists, never out of the sums") {
  TrainingTrace trace;
  AnalyseOptions options;
  options.max_allocations = 3;
  const Report few = trace.report(options);
  CHECK(few.allocations.size() == 3);
  CHECK(few.allocations_omitted.count == 21);
  CHECK(few.allocations_omitted.bytes == mib + 20 * 512);

  options = {};
  options.min_size = mib;
  const Report large = trace.report(options);
  CHECK(large.sites.size() == 3);
  CHECK(large.allocations.size() == 4);
  CHECK(large.totals.front().live_count == 22);
}

TEST_CASE("a report read back from its JSON is the same report") {
  TrainingTrace trace;
  ledger::snapshot_oom(Layer::tensor, 0, 80 * mib, 2 * mib, 32 * mib, trace.leak);
  const std::string first = json_of(trace.report());
  const Report again = read_report(first, "report.json");
  CHECK(json_of(again) == first);
  CHECK(again.sites.size() == 4);

  const std::string path = trace.folder.file("report.json");
  std::ofstream(path) << first;
  CHECK(json_of(load(path, {})) == first);
  AnalyseOptions peak;
  peak.at = "peak";
  CHECK_THROWS_AS(load(path, peak), InputError);
  CHECK(load(trace.path, peak).at == "peak");
}

TEST_CASE("inputs that are none") {
  TrainingTrace trace;
  const auto message = [&](const std::string& content) {
    const std::string path = trace.folder.file("input");
    std::ofstream(path, std::ios::binary) << content;
    try {
      load(path, {});
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(message("{\"a\": ").find("not valid JSON at byte 7") != std::string::npos);
  CHECK(message("{}").find("not a report of vramtrack") != std::string::npos);
  CHECK(message(R"({"schema": "vramtrack-report/9"})").find("schema vramtrack-report/9") != std::string::npos);
  CHECK(message("").find("is not a vramtrack trace") != std::string::npos);
  CHECK(message("hello").find("is not a vramtrack trace") != std::string::npos);
  CHECK(message(R"({"schema": "vramtrack-report/1", "sites": 5})").find("sites is not an array") != std::string::npos);
  CHECK(message(R"({"schema": "vramtrack-report/1", "sites": [{"id": -1}]})").find("sites[0].id is out of range") !=
        std::string::npos);
  CHECK(message(R"({"schema": "vramtrack-report/1", "sites": [{"id": 0, "stack": [7]}]})").find("names frame 7") !=
        std::string::npos);
  CHECK(message(R"({"schema": "vramtrack-report/1", "allocations": [{"address": "0x1", "site": 3}]})")
            .find("names site 3") != std::string::npos);
  CHECK_THROWS_AS(load(trace.folder.file("missing"), {}), InputError);
}

TEST_CASE("a report cut anywhere or with any byte changed is read or refused, never worse") {
  TrainingTrace trace;
  const std::string whole = json_of(trace.report());
  for (std::size_t length = 0; length < whole.size() - 2; length += 41) {
    CHECK_THROWS_AS(read_report(std::string_view(whole).substr(0, length), "cut"), InputError);
  }
  for (std::size_t i = 0; i < whole.size(); i += 13) {
    for (const char c : {'0', '"', '-', '\xff', '}'}) {
      std::string changed = whole;
      changed[i] = c;
      try {
        json_of(read_report(changed, "changed"));
      } catch (const InputError&) {
      }
    }
  }
}

TEST_CASE("code that torch.compile made is not the user's") {
  const std::string digest = "xelzcnc5stxnivc6zeg57bmn252q4fmiqsxs3vparzv6sesdhgd";
  CHECK(is_library_file("/tmp/torchinductor_me/xe/c" + digest + ".py"));
  CHECK(is_library_file("/my/own/cache/xe/c" + digest + ".py"));
  CHECK(is_library_file("<eval_with_key>.4"));
  CHECK_FALSE(is_library_file("/home/me/ab/c" + digest + ".py"));
  CHECK_FALSE(is_library_file("/home/me/xe/c" + digest.substr(1) + ".py"));
  CHECK_FALSE(is_library_file("c" + digest + ".py"));
  CHECK_FALSE(is_library_file("/home/me/xe/cxelz.py"));
  CHECK_FALSE(is_library_file(".py"));
}
