#include "report/symbolize/symbol_cache.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "report/support/files.hpp"
#include "report/support/log.hpp"
#include "report/symbolize/debug_files.hpp"

namespace vramtrack {
namespace fs = std::filesystem;
namespace {

// FILE = magic, checksum of the rest (u32), stamp (u64), number of addresses (u32), then for each in ascending order:
// address (u64), number of frames (u32), frames: function, file (u32 length, bytes), line (u32), inlined (u8).
// Another layout, or other rules for names, get another number in the folder's name.
constexpr const char* folder_name = "symbols-1";
constexpr std::string_view magic = "VRAMSYM1";
constexpr std::uintmax_t most_kept_bytes = 8u << 20;
constexpr std::uintmax_t most_folder_bytes = 64u << 20;
constexpr std::uint32_t most_frames = 1000;  // at one address; inlining is never that deep
constexpr std::time_t day = 24 * 60 * 60;

std::uint32_t checksum(std::string_view bytes) {
  return static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

class Output {
 public:
  template <class T>
  void number(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void string(const std::string& text) {
    number(static_cast<std::uint32_t>(text.size()));
    text_ += text;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Reads what Output wrote. After the first thing that does not fit, all is zero and good() is false.
class Input {
 public:
  explicit Input(std::string_view text) : rest_(text) {}
  template <class T>
  T number() {
    T value{};
    const std::string_view bytes = take(sizeof value);
    if (good_) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string string() { return std::string(take(number<std::uint32_t>())); }
  std::string_view take(std::size_t count) {
    if (count > rest_.size()) good_ = false;
    if (!good_) return {};
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  bool good() const { return good_; }
  bool at_end() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

/// What the names of a module depend on besides its build-id: whether its file is there (stripped or not), the debug
/// files that belong to it, and who reads them. Nothing when the file is gone.
std::optional<std::uint64_t> stamp_of(const std::string& path, const std::string& build_id) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  Output facts;
  facts.string(VRAMTRACK_VERSION);
  facts.number(std::getenv("VRAMTRACK_DEBUGINFOD") != nullptr);
  facts.number(status.st_size);
  for (const fs::path& place : debug_file_places(path, build_id, "")) {
    const bool there = stat(place.c_str(), &status) == 0;
    facts.number(there ? status.st_size : -1);
    if (there) facts.number(status.st_mtim.tv_sec);
  }
  return checksum(facts.text()) | std::uint64_t{facts.text().size()} << 32;
}

bool is_hex(const std::string& text) {
  return text.size() >= 4 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// The file is whole or not there at all. Others may write it at the same time.
bool write_file(const std::string& file, const std::string& text) {
  try {
    files::replace_file(file, [&](std::ostream& out) { out << text; });
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

SymbolCache::SymbolCache(std::string folder)
    : folder_(folder.empty() ? std::move(folder) : (fs::path(folder) / folder_name).string()) {}

std::string SymbolCache::default_folder() {
  const auto absolute = [](const char* variable) {
    const char* const value = std::getenv(variable);
    return value != nullptr && *value == '/' ? std::string(value) : std::string();
  };
  if (const char* const own = std::getenv("VRAMTRACK_CACHE"); own != nullptr && *own != '\0') {
    return absolute("VRAMTRACK_CACHE");  // "off", and whatever else is no folder
  }
  if (const std::string caches = absolute("XDG_CACHE_HOME"); !caches.empty()) return caches + "/vramtrack";
  const std::string home = absolute("HOME");
  return home.empty() ? "" : home + "/.cache/vramtrack";
}

std::string SymbolCache::file_of(const std::string& build_id) const { return folder_ + "/" + build_id; }

SymbolCache::Module& SymbolCache::open(const std::string& path, const std::string& build_id) {
  const auto [at, added] = modules_.try_emplace(build_id);
  Module& module = at->second;
  if (!added || folder_.empty() || !is_hex(build_id)) return module;
  const std::optional<std::uint64_t> stamp = stamp_of(path, build_id);
  if (!stamp) return module;
  module.usable = true;
  module.stamp = *stamp;

  const std::string text = files::read_rest(files::open_regular(file_of(build_id)), most_kept_bytes);
  Input in(text);
  if (in.take(magic.size()) != magic) return module;
  const auto sum = in.number<std::uint32_t>();
  if (!in.good() || sum != checksum(std::string_view(text).substr(magic.size() + sizeof sum))) return module;
  if (in.number<std::uint64_t>() != module.stamp) return module;
  std::map<std::uint64_t, Entry> entries;
  for (auto count = in.number<std::uint32_t>(); count > 0 && in.good(); --count) {
    const auto address = in.number<std::uint64_t>();
    const auto frames = in.number<std::uint32_t>();
    if (frames > most_frames) return module;
    Entry& entry = entries[address];
    for (std::uint32_t i = 0; i < frames && in.good(); ++i) {
      NativeFrame& frame = entry.frames.emplace_back();
      frame.function = in.string();
      frame.file = in.string();
      frame.line = static_cast<int>(in.number<std::uint32_t>());
      frame.inlined = in.number<std::uint8_t>() != 0;
    }
  }
  if (!in.at_end()) return module;
  module.entries = std::move(entries);
  log::debug("library: ", path, ": ", module.entries.size(), " names of earlier runs, from ", file_of(build_id));
  return module;
}

const std::vector<NativeFrame>* SymbolCache::find(const std::string& path, const std::string& build_id,
                                                  std::uint64_t address) {
  if (folder_.empty() || build_id.empty()) return nullptr;
  Module& module = open(path, build_id);
  const auto found = module.entries.find(address);
  if (found == module.entries.end()) return nullptr;
  found->second.used = true;
  return &found->second.frames;
}

void SymbolCache::add(const std::string& path, const std::string& build_id, std::uint64_t address,
                      const std::vector<NativeFrame>& frames) {
  if (folder_.empty() || build_id.empty()) return;
  Module& module = open(path, build_id);
  if (!module.usable || frames.size() > most_frames) return;
  module.entries[address] = {frames, true};
  module.changed = true;
}

void SymbolCache::save_module(const std::string& file, Module& module) {
  struct stat status {};
  if (!module.changed) {  // its age tells limit_folder() what nobody needs; a day is exact enough
    if (!module.entries.empty() && stat(file.c_str(), &status) == 0 && status.st_mtime + day < std::time(nullptr)) {
      utimensat(AT_FDCWD, file.c_str(), nullptr, 0);
    }
    return;
  }
  for (const bool only_used : {false, true}) {
    Output body;
    body.number(module.stamp);
    const auto wanted = [&](const auto& item) { return !only_used || item.second.used; };
    body.number(static_cast<std::uint32_t>(std::count_if(module.entries.begin(), module.entries.end(), wanted)));
    for (const auto& item : module.entries) {
      if (!wanted(item)) continue;
      body.number(item.first);
      body.number(static_cast<std::uint32_t>(item.second.frames.size()));
      for (const NativeFrame& frame : item.second.frames) {
        body.string(frame.function);
        body.string(frame.file);
        body.number(static_cast<std::uint32_t>(frame.line));
        body.number(static_cast<std::uint8_t>(frame.inlined));
      }
    }
    Output whole;
    whole.number(checksum(body.text()));
    const std::string text = std::string(magic) + whole.text() + body.text();
    if (text.size() > most_kept_bytes) continue;
    if (write_file(file, text)) module.changed = false;
    return;
  }
}

/// Removes the files that were not used for the longest time, down to three quarters of the limit.
void SymbolCache::limit_folder() const {
  struct Kept {
    std::time_t used;
    std::uintmax_t bytes;
    std::string path;
  };
  std::vector<Kept> files;
  std::uintmax_t sum = 0;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
    struct stat status {};
    if (lstat(entry->path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    files.push_back({status.st_mtime, static_cast<std::uintmax_t>(status.st_size), entry->path().string()});
    sum += files.back().bytes;
  }
  if (sum <= most_folder_bytes) return;
  std::sort(files.begin(), files.end(), [](const Kept& a, const Kept& b) { return a.used < b.used; });
  for (const Kept& file : files) {
    if (sum <= most_folder_bytes / 4 * 3) break;
    if (unlink(file.path.c_str()) == 0) sum -= file.bytes;
  }
}

void SymbolCache::save() {
  if (folder_.empty()) return;
  bool wrote = false;
  for (auto& [build_id, module] : modules_) {
    if (!module.usable) continue;
    if (module.changed && !wrote) {
      std::error_code error;
      fs::create_directories(folder_, error);
      if (error) return;
      wrote = true;
    }
    save_module(file_of(build_id), module);
  }
  if (wrote) limit_folder();
}

}  // namespace vramtrack
