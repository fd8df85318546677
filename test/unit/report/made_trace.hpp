// A trace written by the real writer and ledger, with Python and native stacks made up for the tests.
#pragma once

#include <string>
#include <vector>

#include "report/load/analyse.hpp"
#include "test/unit/trace/temporary_trace.hpp"

namespace vramtrack::test {

class MadeTrace : public TemporaryTrace {
 public:
  /// A Python function whose line table gives `line` for every instruction (3.9's format: no entries).
  std::uint64_t python(const std::string& file, const std::string& function, int line, bool entry = false) {
    const trace::CodeRecord code{next_code_, writer->intern(file), writer->intern(function), 0, line, 3u << 8 | 9u, 0};
    REQUIRE(writer->append(trace::RecordType::code, &code, sizeof code, nullptr, 0));
    return trace::python_frame_bit | (entry ? trace::entry_bit : 0) | std::uint64_t{next_code_++} << 32;
  }

  /// A module that is not on this machine, at 0x1000000 * its number; an address in it.
  std::uint64_t native(const std::string& file, std::uint64_t offset) {
    std::size_t number = 0;
    while (number < modules_.size() && modules_[number] != file) ++number;
    const std::uint64_t base = 0x1000000 * (number + 1);
    if (number == modules_.size()) {
      modules_.push_back(file);
      trace::ModuleRecord module{};
      module.id = static_cast<std::uint32_t>(number);
      module.path = writer->intern(file);
      module.base = module.start = base;
      module.end = base + 0x1000000;
      REQUIRE(writer->append(trace::RecordType::module, &module, sizeof module, nullptr, 0));
    }
    return base + offset;
  }

  StackId stack(const std::vector<std::uint64_t>& python, const std::vector<std::uint64_t>& native) {
    std::vector<std::uint64_t> words = python;
    words.insert(words.end(), native.begin(), native.end());
    const trace::StackRecord record{StackId{next_stack_},
                                    static_cast<std::uint16_t>(python.size()),
                                    static_cast<std::uint16_t>(native.size()),
                                    0,
                                    0,
                                    0};
    REQUIRE(writer->append(trace::RecordType::stack, &record, sizeof record, words.data(), words.size() * 8));
    return StackId{next_stack_++};
  }

  Report report(const AnalyseOptions& options = {}) const { return analyse(read(), options); }

 private:
  std::uint32_t next_code_ = 0;
  std::uint32_t next_stack_ = 0;
  std::vector<std::string> modules_;
};

}  // namespace vramtrack::test
