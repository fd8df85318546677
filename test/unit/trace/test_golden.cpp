// Traces of released versions must stay readable. test/golden/version-N.vtrace was written by version N; its text must
// be what it was. To add one after a change of the format: run this program with [write-golden] and the path to write.
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "report/render/dump.hpp"
#include "temporary_trace.hpp"

using namespace vramtrack;
using namespace vramtrack::trace;

namespace {

std::string text_of(const std::string& path) {
  const TraceFile file = read_trace(path);
  HistoryReader history(path);
  std::ostringstream out;
  dump(file, out);
  dump_history(file, history, out);
  return out.str();
}

}  // namespace

TEST_CASE("the stored traces of each format version are read as they were") {
  const std::string golden = std::string(VRAMTRACK_GOLDEN) + GENERATE("/version-1", "/version-2", "/version-3");
  const auto expected = bytes_of(golden + ".txt");
  const std::string text = text_of(golden + ".vtrace");
  REQUIRE(text.size() > 1000);
  CHECK(text == std::string(expected.begin(), expected.end()));
}

TEST_CASE("write a golden trace", "[.][write-golden]") {
  const char* const to = std::getenv("VRAMTRACK_GOLDEN_OUT");
  REQUIRE(to != nullptr);
  TemporaryTrace t;
  Writer& writer = *t.writer;
  add_cuda(0x7000000000, 2 << 20, Kind::device, 0, StackId{1});
  add_cuda(0x5500000000, 4096, Kind::host_pinned, -1, StackId{2});
  ledger::start_history();
  writer.note("hostname", "golden");
  ModuleRecord module{};
  module.id = 1;
  module.path = writer.intern("/usr/lib/libexample.so");
  module.base = module.start = 0x7f0000000000;
  module.end = 0x7f0000100000;
  module.build_id_bytes = 4;
  std::memcpy(module.build_id, "\xde\xad\xbe\xef", 4);
  writer.append(RecordType::module, &module, sizeof module, nullptr, 0);
  CodeRecord code{};
  code.file = writer.intern("train.py");
  code.name = writer.intern("step");
  code.qualname = writer.intern("Trainer.step");
  code.first_line = 12;
  code.version = 3 << 8 | 11;
  code.line_table_bytes = 4;
  writer.append(RecordType::code, &code, sizeof code, "\x80\x00\xd8\x04", 4);
  for (std::uint32_t id = 0; id < 3; ++id) {
    struct {
      StackRecord fixed;
      std::uint64_t words[3];
    } stack{{StackId{id}, 1, 2, 0, 0, 0},
            {python_frame_bit | entry_bit | 20 + id, 0x7f0000000100u + id, 0x7f0000000200u}};
    writer.append(RecordType::stack, &stack, sizeof stack, nullptr, 0);
  }
  for (std::uint64_t i = 1; i <= 40; ++i) {
    add_block(0x7000000000 + i * 512, i * 512, static_cast<StackId>(i % 3));
    if (i % 4 != 0) remove_block(0x7000000000 + i * 512);
    if (i % 10 == 0) ledger::step();
  }
  ledger::snapshot_oom(Layer::tensor, 0, 1ull << 40, 1234, 5678, StackId{2});
  writer.note("memory_info", "[{\"device\": 0}]", 1);
  const ModuleGoneRecord gone{1};
  writer.append(RecordType::module_gone, &gone, sizeof gone, nullptr, 0);
  ledger::flush();
  add_block(0x7100000000, 777, StackId{1});  // these two wait
  drop_block(0x7000000000 + 4 * 512);
  writer.finish(EndKind::exit, 0);
  // Without the zeros at the end, so that it is small: the reader tells that it was longer.
  std::vector<char> bytes = bytes_of(t.path);
  while (bytes.back() == 0) bytes.pop_back();
  const std::string stored = std::string(to) + ".vtrace";
  std::ofstream(stored, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  std::ofstream(std::string(to) + ".txt") << text_of(stored);
}
