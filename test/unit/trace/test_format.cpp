// The format: what the real writer wrote, the real reader gives back; damage makes the result smaller, never worse.
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <sstream>

#include "report/render/dump.hpp"
#include "temporary_trace.hpp"

using namespace vramtrack;
using namespace vramtrack::trace;

namespace {

void write_stack(Writer& writer, std::uint32_t id, std::vector<std::uint64_t> python,
                 std::vector<std::uint64_t> native) {
  StackRecord fixed{};
  fixed.id = StackId{id};
  fixed.python_frames = static_cast<std::uint16_t>(python.size());
  fixed.native_frames = static_cast<std::uint16_t>(native.size());
  python.insert(python.end(), native.begin(), native.end());
  REQUIRE(writer.append(RecordType::stack, &fixed, sizeof fixed, python.data(), python.size() * 8));
}

void write_module(Writer& writer, std::uint32_t id, std::string_view path, std::uint64_t start, std::uint64_t end) {
  ModuleRecord fixed{};
  fixed.id = id;
  fixed.path = writer.intern(path);
  fixed.base = fixed.start = start;
  fixed.end = end;
  fixed.build_id_bytes = 3;
  std::memcpy(fixed.build_id, "\x01\xab\xff", 3);
  REQUIRE(writer.append(RecordType::module, &fixed, sizeof fixed, nullptr, 0));
}

void write_everything(Writer& writer) {
  write_module(writer, 1, "/lib/a.so", 0x1000, 0x2000);
  CodeRecord code{};
  code.id = 0;
  code.file = writer.intern("train.py");
  code.name = writer.intern("step");
  code.first_line = 27;
  code.version = 3 << 8 | 11;
  code.line_table_bytes = 5;
  REQUIRE(writer.append(RecordType::code, &code, sizeof code, "\0abc\xff", 5));
  write_stack(writer, 0, {python_frame_bit | 12, python_frame_bit | entry_bit | unknown_offset}, {0x1234});
  const ModuleGoneRecord gone{1};
  REQUIRE(writer.append(RecordType::module_gone, &gone, sizeof gone, nullptr, 0));
  write_module(writer, 2, "/lib/b.so", 0x1000, 0x3000);
  write_stack(writer, 1, {}, {0x1234, 0x2fff, 0x3000});
  REQUIRE(writer.note("hostname", "box"));
  REQUIRE(writer.note("hostname", "box2"));
  REQUIRE(writer.note("tensors", "[\"\n\"]", 3));
  add_block(0x10, 100, StackId{0});
  add_block(0x20, 200, StackId{1});
  add_cuda(0x30, 4096, Kind::vmm);
  ledger::step();
  add_block(0x40, 50, StackId{0});
  remove_block(0x20);
  REQUIRE(ledger::snapshot_oom(Layer::tensor, 0, 1 << 30, 150, 4096, StackId{1}) == 1);
  writer.finish(EndKind::exit, 3);
}

struct Counts {
  std::size_t strings, modules, stacks, sites, blocks, ooms, notes;
  explicit Counts(const TraceFile& t)
      : strings(t.strings.size()),
        modules(t.modules.size()),
        stacks(t.stacks.size()),
        sites(t.sites.size()),
        blocks(t.blocks.size()),
        ooms(t.ooms.size()),
        notes(t.notes.size()) {}
  bool at_most(const Counts& o) const {
    return strings <= o.strings && modules <= o.modules && stacks <= o.stacks && sites <= o.sites &&
           blocks <= o.blocks && ooms <= o.ooms && notes <= o.notes;
  }
};

}  // namespace

TEST_CASE("what is written is read back") {
  TemporaryTrace t;
  write_everything(*t.writer);
  const TraceFile file = t.read();

  CHECK(file.warnings.empty());
  CHECK(file.torn_records == 0);
  CHECK(file.header.pid == static_cast<std::uint32_t>(getpid()));
  CHECK(file.header.end_kind == 1);
  CHECK(file.header.end_code == 3);
  CHECK(file.header.steps == 1);

  REQUIRE(file.stack(StackId{0}) != nullptr);
  REQUIRE(file.stack(StackId{1}) != nullptr);
  CHECK(file.stack(StackId{2}) == nullptr);
  CHECK(file.stack(no_stack) == nullptr);
  CHECK(file.python_words(*file.stack(StackId{0})).size() == 2);
  CHECK(file.native_words(*file.stack(StackId{1}))[1] == 0x2fff);
  // The same address belongs to another module once the first was unloaded.
  CHECK(file.module_at(0x1234, file.stack(StackId{0})->position)->path == "/lib/a.so");
  CHECK(file.module_at(0x1234, file.stack(StackId{1})->position)->path == "/lib/b.so");
  CHECK(file.module_at(0x2fff, file.stack(StackId{0})->position) == nullptr);
  CHECK(file.module_at(0x3000, file.stack(StackId{1})->position) == nullptr);
  CHECK(file.modules[0].build_id == "01abff");

  REQUIRE(file.code(0) != nullptr);
  CHECK(file.string(file.code(0)->file) == "train.py");
  CHECK(file.code(0)->line_table == std::string("\0abc\xff", 5));
  CHECK(*file.note("hostname") == "box2");
  CHECK(file.note("tensors") == nullptr);
  CHECK(*file.note("tensors", 3) == "[\"\n\"]");

  REQUIRE(file.blocks.size() == 3);
  const Account* const all = file.account(Layer::tensor, 0, Kind::all);
  REQUIRE(all != nullptr);
  CHECK(all->live_bytes == 150);
  CHECK(all->live_count == 2);
  CHECK(all->peak_bytes == 350);
  CHECK(all->peak_step == 1);
  CHECK(file.account(Layer::cuda, 0, Kind::vmm)->live_bytes == 4096);
  REQUIRE(file.ooms.size() == 1);
  CHECK(file.ooms[0].record.requested_bytes == 1u << 30);
  CHECK(file.ooms[0].blocks.size() == 3);
  for (const Block& block : file.blocks) CHECK(file.seconds(block.time) >= 0);
}

TEST_CASE("strings are interned once, of any length") {
  TemporaryTrace t;
  const std::string large(200'000, 'x');
  const auto a = t.writer->intern("a"), b = t.writer->intern(large), c = t.writer->intern(large.substr(1));
  CHECK(t.writer->intern("") == 0);
  CHECK(t.writer->intern("a") == a);
  CHECK(t.writer->intern(large) == b);
  CHECK(t.writer->intern(large.substr(1)) == c);
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 20'000; ++i) ids.push_back(t.writer->intern(std::to_string(i)));
  const TraceFile file = t.read();
  CHECK(file.string(a) == "a");
  CHECK(file.string(b) == large);
  CHECK(file.string(c) == large.substr(1));
  for (int i = 0; i < 20'000; ++i) REQUIRE(file.string(ids[static_cast<std::size_t>(i)]) == std::to_string(i));
}

TEST_CASE("records after a large one are read after it") {
  TemporaryTrace t;
  write_module(*t.writer, 1, "/lib/a.so", 0x1000, 0x2000);
  write_stack(*t.writer, 0, {}, std::vector<std::uint64_t>(20'000, 0x1234));  // needs a run of extents
  const ModuleGoneRecord gone{1};
  REQUIRE(t.writer->append(RecordType::module_gone, &gone, sizeof gone, nullptr, 0));
  write_stack(*t.writer, 1, {}, {0x1234});
  const TraceFile file = t.read();
  CHECK(file.native_words(*file.stack(StackId{0})).size() == 20'000);
  CHECK(file.module_at(0x1234, file.stack(StackId{0})->position) != nullptr);
  CHECK(file.module_at(0x1234, file.stack(StackId{1})->position) == nullptr);
}

TEST_CASE("a trace cut at any byte gives a part of it") {
  TemporaryTrace t;
  write_everything(*t.writer);
  const std::vector<char> whole = bytes_of(t.path);
  const Counts full(read_trace(view(whole), "whole"));
  // Every byte of the parts in use; the zeros at the end of each extent with a stride.
  std::size_t read = 0;
  Counts before(TraceFile{});
  const std::size_t header_end = sizeof(ExtentHeader) + sizeof(Header);
  for (std::size_t size = 0; size <= whole.size(); size += size % extent_bytes < 4096 ? 1 : 61) {
    const auto part = std::span(whole).first(size);
    if (size < header_end) {
      REQUIRE_THROWS_AS(read_trace(std::as_bytes(part), "part"), TraceError);
      if (size % 97 != 0) continue;
    } else {
      const Counts now(read_trace(std::as_bytes(part), "part"));
      REQUIRE(before.at_most(now));
      REQUIRE(now.at_most(full));
      before = now;
      ++read;
    }
  }
  CHECK(full.at_most(before));
  CHECK(read > 10'000);
}

TEST_CASE("flipped bytes are survived") {
  TemporaryTrace t;
  write_everything(*t.writer);
  const std::vector<char> whole = bytes_of(t.path);
  std::vector<std::size_t> used;
  for (std::size_t i = 0; i < whole.size(); ++i)
    if (whole[i] != 0 || i % extent_bytes < 300) used.push_back(i);
  std::mt19937 random(7);
  std::size_t refused = 0;
  for (int round = 0; round < 6'000; ++round) {
    std::vector<char> bytes = whole;
    for (int flips = 1 + static_cast<int>(random() % 4); flips != 0; --flips)
      bytes[used[random() % used.size()]] = static_cast<char>(random());
    try {
      const TraceFile file = read_trace(view(bytes), "flipped");
      REQUIRE(file.words.size() * 8 <= bytes.size());
      for (const Block& block : file.blocks) REQUIRE(file.sites.at(block.site).used == 1);
      if (round % 16 == 0) {
        std::ostringstream out;
        dump(file, out);
      }
    } catch (const TraceError&) {
      ++refused;  // the magic, the version or the header's size was hit
    }
  }
  CHECK(refused < 600);
}

TEST_CASE("what is no trace is refused with a reason") {
  TemporaryFolder folder;
  const auto message = [&](const std::string& content) {
    std::ofstream(folder.file("x")) << content;
    try {
      read_trace(folder.file("x"));
    } catch (const TraceError& error) {
      return error.problem();
    }
    return std::string("accepted");
  };
  CHECK(message("") == "is not a vramtrack trace");
  CHECK(message(std::string(100'000, 'a')) == "is not a vramtrack trace");
  CHECK_THROWS_AS(read_trace(folder.file("missing")), TraceError);
  CHECK_THROWS_AS(read_trace("/dev/null"), TraceError);

  TemporaryTrace t;
  t.writer->header().version = format_version + 1;
  CHECK_THROWS_WITH(t.read(), Catch::Contains("newer than this program's"));
}

TEST_CASE("records and extents of unknown types are skipped") {
  TemporaryTrace t;
  REQUIRE(t.writer->append(static_cast<RecordType>(4000), "12345678", 8, nullptr, 0));
  REQUIRE(t.writer->add_extents(static_cast<ExtentType>(9), 3) != nullptr);
  write_stack(*t.writer, 0, {}, {1});
  add_block(16, 1, StackId{0});
  const TraceFile file = t.read();
  CHECK(file.stack(StackId{0}) != nullptr);
  CHECK(file.blocks.size() == 1);
  CHECK(file.warnings.size() == 2);
}

TEST_CASE("a record that was not finished is counted and skipped") {
  TemporaryTrace t;
  std::byte* const pending = t.writer->begin_record(100);
  REQUIRE(pending != nullptr);
  write_stack(*t.writer, 0, {}, {1});
  CHECK(t.read().torn_records == 1);
  CHECK(t.read().stack(StackId{0}) != nullptr);
  Writer::commit_record(pending, static_cast<RecordType>(4000));
  CHECK(t.read().torn_records == 0);
}

TEST_CASE("dump writes one line a record, values escaped") {
  TemporaryTrace t;
  write_everything(*t.writer);
  std::ostringstream out;
  dump(t.read(), out);
  const std::string text = out.str();
  CHECK(text.find("stack 0 flags=0 position=") != std::string::npos);
  CHECK(text.find(" python=0+12,0+?e native=0x1234\n") != std::string::npos);
  CHECK(text.find("note key=\"tensors\" n=3 value=\"[\\\"\\n\\\"]\"\n") != std::string::npos);
  CHECK(text.find("block address=0x10 bytes=100 site=") != std::string::npos);
  CHECK(text.find("oom 1 layer=tensor device=0 ") != std::string::npos);
  CHECK(escaped(std::string("a\x01\"\\\xff\xc3\xa4\xc2\x9b", 9)) == "\"a\\x01\\\"\\\\\\xff\xc3\xa4\\xc2\\x9b\"");
  std::ostringstream again;
  dump(t.read(), again);
  CHECK(again.str() == text);
}
