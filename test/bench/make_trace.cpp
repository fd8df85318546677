// Writes a synthetic trace with the library's own ledger and writer: what offline.py measures the tools with.
//
//   vramtrack_make_trace FILE [--events N] [--sites N] [--live N] [--steps N] [--ooms N] [--library ELF]...
//
// The program that it tells of trains: every step allocates and frees the same temporaries (with a few that differ),
// keeps a little, and holds --live blocks of --sites call sites from the start. With --events, all of it is in the
// history, too. Stacks are 24 Python frames and, for each --library, native frames at random places in its code.
#include <elf.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "contract/notes.hpp"
#include "interpose/ledger/history.hpp"
#include "interpose/ledger/ledger.hpp"
#include "interpose/trace/writer.hpp"

namespace {

using namespace vramtrack;

struct Options {
  std::string path;
  std::uint64_t events = 0, sites = 400, live = 2000, steps = 200, ooms = 0;
  std::vector<std::string> libraries;
};

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word.rfind("--", 0) != 0) {
      options.path = word;
      continue;
    }
    if (++i == count) throw std::runtime_error(word + " needs a value");
    if (word == "--library") {
      options.libraries.emplace_back(words[i]);
      continue;
    }
    const std::uint64_t value = std::strtoull(words[i], nullptr, 10);
    if (word == "--events") {
      options.events = value;
    } else if (word == "--sites") {
      options.sites = std::max<std::uint64_t>(value, 1);
    } else if (word == "--live") {
      options.live = value;
    } else if (word == "--steps") {
      options.steps = std::max<std::uint64_t>(value, 1);
    } else if (word == "--ooms") {
      options.ooms = value;
    } else {
      throw std::runtime_error("unknown option " + word);
    }
  }
  if (options.path.empty()) throw std::runtime_error("name the file to write");
  return options;
}

/// Where a library's code is, as linked, and its build-id.
struct Library {
  std::string path;
  std::uint64_t begin = 0, end = 0, base = 0;
  std::vector<std::uint8_t> build_id;
};

template <class T>
T read_at(std::ifstream& file, std::uint64_t offset) {
  T value{};
  file.seekg(static_cast<std::streamoff>(offset));
  if (!file.read(reinterpret_cast<char*>(&value), sizeof value)) throw std::runtime_error("not an ELF file");
  return value;
}

Library read_library(const std::string& path) {
  Library library;
  library.path = path;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  const auto header = read_at<Elf64_Ehdr>(file, 0);
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto segment = read_at<Elf64_Phdr>(file, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0) {
      library.begin = segment.p_vaddr;
      library.end = segment.p_vaddr + segment.p_filesz;
    }
    if (segment.p_type != PT_NOTE) continue;
    for (std::uint64_t at = 0; at + sizeof(Elf64_Nhdr) < segment.p_filesz;) {
      const auto note = read_at<Elf64_Nhdr>(file, segment.p_offset + at);
      const std::uint64_t name = at + sizeof note, value = name + (note.n_namesz + 3) / 4 * 4;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_descsz <= 20) {
        library.build_id.resize(note.n_descsz);
        file.seekg(static_cast<std::streamoff>(segment.p_offset + value));
        file.read(reinterpret_cast<char*>(library.build_id.data()), note.n_descsz);
      }
      at = value + (note.n_descsz + 3) / 4 * 4;
    }
  }
  return library;
}

class Program {
 public:
  explicit Program(const Options& options) : options_(options) {
    writer_ = trace::Writer::create(options.path.c_str(), 0);
    if (writer_ == nullptr) throw std::runtime_error(options.path + ": cannot be written");
    ledger::reset();
    trace::set_active(writer_);
    if (options_.events > 0) ledger::start_history();
  }

  void run() {
    facts();
    load_libraries();
    make_code();
    for (std::uint64_t i = 0; i < options_.sites; ++i) make_stack();
    ledger::add({Layer::cuda, Kind::device, 0, 0x7000'0000'0000, 64ull << 30, 0, 0}, StackId{0}, no_stack);
    for (std::uint64_t i = 0; i < options_.live; ++i) allocate(pick_site(i), 512 * (1 + random_() % 4096));
    train();
    for (std::uint64_t i = 0; i < options_.ooms; ++i)
      ledger::snapshot_oom(Layer::tensor, 0, 8ull << 30, 60ull << 30, 64ull << 30, StackId{0});
    ledger::flush();
    writer_->finish(trace::EndKind::exit, 0);
    ledger::forget_history();
  }

 private:
  void facts() {
    namespace key = trace::note_key;
    writer_->note(key::command, std::string_view("python\0train.py\0", 16));
    writer_->note(key::executable, "/usr/bin/python3");
    writer_->note(key::cwd, "/home/user/project");
    writer_->note(key::cuda, R"({"runtime": 13000, "driver": 13000, "simulated": true, )"
                             R"("devices": [{"index": 0, "name": "Synthetic GPU", "total_bytes": 85899345920}]})");
    writer_->note(key::memory_info, R"([{"device": 0, "free_bytes": 16642998272, "total_bytes": 85899345920, )"
                                    R"("process_bytes": null, "other_processes_bytes": null}])");
  }

  void load_libraries() {
    for (const std::string& path : options_.libraries) {
      Library library = read_library(path);
      trace::ModuleRecord module{};
      module.id = static_cast<std::uint32_t>(libraries_.size());
      module.path = writer_->intern(path);
      library.base = 0x1'0000'0000ull * (module.id + 1);
      module.base = library.base;
      module.start = library.base;
      module.end = library.base + library.end;
      module.build_id_bytes = static_cast<std::uint32_t>(library.build_id.size());
      std::copy(library.build_id.begin(), library.build_id.end(), module.build_id);
      writer_->append(trace::RecordType::module, &module, sizeof module, nullptr, 0);
      // A program calls the same few thousand places again and again.
      for (int i = 0; i < 1500; ++i)
        places_.push_back(library.base + library.begin + random_() % (library.end - library.begin));
      libraries_.push_back(std::move(library));
    }
  }

  void make_code() {
    for (std::uint32_t i = 0; i < 2000; ++i) {
      const bool own = i % 20 == 0;
      const std::string file = (own ? "/home/user/project/part_" : "/usr/lib/python3/site-packages/torch/nn/part_") +
                               std::to_string(i % 150) + ".py";
      const trace::CodeRecord code{i,
                                   writer_->intern(file),
                                   writer_->intern("function_" + std::to_string(i)),
                                   0,
                                   static_cast<std::int32_t>(10 + i),
                                   3u << 8 | 9u,
                                   0};
      writer_->append(trace::RecordType::code, &code, sizeof code, nullptr, 0);
    }
  }

  void make_stack() {
    constexpr std::uint16_t depth = 24, native_depth = 28;
    std::vector<std::uint64_t> words;
    for (int i = 0; i < depth; ++i) {
      // Outer frames are shared by many stacks, inner ones by few.
      const std::uint64_t code = i < 8 ? random_() % 2000 : random_() % static_cast<std::uint64_t>(2 + (depth - i) * 4);
      words.push_back(trace::python_frame_bit | (i + 1 == depth ? trace::entry_bit : 0) | code << 32);
    }
    const std::uint16_t native = places_.empty() ? 0 : native_depth;
    for (int i = 0; i < native; ++i) words.push_back(places_[random_() % places_.size()]);
    const trace::StackRecord record{StackId{stacks_}, depth, native, 0, 0, 0};
    writer_->append(trace::RecordType::stack, &record, sizeof record, words.data(), words.size() * 8);
    ++stacks_;
  }

  std::uint32_t pick_site(std::uint64_t i) const {
    return static_cast<std::uint32_t>(i % options_.sites);  // NOLINT(clang-analyzer-core.DivideZero): never 0
  }

  std::uint64_t allocate(std::uint32_t stack, std::uint64_t bytes) {
    std::uint64_t address;
    auto& same_size = free_[bytes / 512 % free_.size()];
    if (!same_size.empty()) {
      address = same_size.back();
      same_size.pop_back();
    } else {
      address = next_;
      next_ += (bytes + (1 << 12)) / 512 * 512;
    }
    ledger::add({Layer::tensor, Kind::block, 0, address, bytes, 0, 64ull << 30}, StackId{stack}, no_stack);
    count();
    return address;
  }

  void release(std::uint64_t address, std::uint64_t bytes) {
    ledger::remove({Layer::tensor, 0, Kind::block, address, 64ull << 30});
    free_[bytes / 512 % free_.size()].push_back(address);
    count();
  }

  /// The rings are bounded: as their only reader in time, empty them often enough that nothing is dropped.
  void count() {
    if (options_.events > 0 && ++done_ % 32768 == 0) ledger::flush();
  }

  void train() {
    const std::uint64_t left = options_.events > options_.live ? options_.events - options_.live : 0;
    const std::uint64_t in_step = std::max<std::uint64_t>(left / options_.steps / 2, 4);
    struct Temporary {
      std::uint32_t stack;
      std::uint64_t bytes, address;
    };
    std::vector<Temporary> plan;
    for (std::uint64_t i = 0; i < in_step; ++i)
      plan.push_back({static_cast<std::uint32_t>(random_() % options_.sites), 512 * (1 + random_() % 2048), 0});
    const std::uint64_t held = std::min<std::uint64_t>(in_step / 2, 2000);  // at once, as a network's activations are
    const std::uint64_t until = options_.events > 0 ? options_.events : options_.live + options_.steps;
    for (std::uint64_t step = 0; step < options_.steps; ++step) {
      if (options_.events > 0) {
        for (std::uint64_t i = 0; i < in_step && done_ + held < until; ++i) {
          if (random_() % 100 == 0) plan[i].bytes = 512 * (1 + random_() % 2048);
          plan[i].address = allocate(plan[i].stack, plan[i].bytes);
          if (i >= held) release(plan[i - held].address, plan[i - held].bytes);
          if (i >= held) plan[i - held].address = 0;
        }
        for (std::size_t i = plan.size(); i-- > 0;) {
          if (plan[i].address != 0) release(plan[i].address, plan[i].bytes);
          plan[i].address = 0;
        }
      }
      allocate(0, 512);  // the leak
      ledger::step();
    }
  }

  const Options& options_;
  std::mt19937_64 random_{1};
  trace::Writer* writer_ = nullptr;
  std::vector<Library> libraries_;
  std::vector<std::uint64_t> places_;
  std::uint32_t stacks_ = 0;
  std::vector<std::vector<std::uint64_t>> free_ = std::vector<std::vector<std::uint64_t>>(4096);
  std::uint64_t next_ = 0x7000'0000'0000, done_ = 0;
};

}  // namespace

int main(int count, char** words) {
  try {
    const Options options = parse(count, words);
    Program(options).run();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
