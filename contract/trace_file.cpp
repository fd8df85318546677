// Look-ups in a trace that was read (reader.hpp).
#include <algorithm>
#include <numeric>

#include "contract/reader.hpp"

namespace vramtrack::trace {

TraceError::TraceError(std::string path, std::uint64_t offset, std::string what, std::string fix)
    : std::runtime_error(path + ": " + what + (offset == no_offset ? "" : " (at byte " + std::to_string(offset) + ")") +
                         "; " + fix),
      path_(std::move(path)),
      problem_(std::move(what)),
      fix_(std::move(fix)),
      offset_(offset) {}

const std::string& TraceFile::string(std::uint32_t id) const {
  static const std::string none;
  return id < strings.size() ? strings[id] : none;
}

const Code* TraceFile::code(std::uint32_t id) const {
  return id < codes.size() && codes[id].known ? &codes[id] : nullptr;
}

const Label* TraceFile::label(std::uint32_t id) const {
  return id < labels.size() && labels[id].known ? &labels[id] : nullptr;
}

const Stack* TraceFile::stack(StackId id) const {
  const std::size_t at = number_of(id);
  return at < stacks.size() && stacks[at].known ? &stacks[at] : nullptr;
}

std::span<const std::uint64_t> TraceFile::python_words(const Stack& stack) const {
  return std::span(words).subspan(stack.first_word, stack.python_frames);
}

std::span<const std::uint64_t> TraceFile::native_words(const Stack& stack) const {
  return std::span(words).subspan(stack.first_word + stack.python_frames, stack.native_frames);
}

void TraceFile::index_modules() {
  modules_by_start_.resize(modules.size());
  std::iota(modules_by_start_.begin(), modules_by_start_.end(), 0u);
  std::stable_sort(modules_by_start_.begin(), modules_by_start_.end(),
                   [this](std::uint32_t a, std::uint32_t b) { return modules[a].start < modules[b].start; });
  highest_end_.clear();
  std::uint64_t highest = 0;
  for (const std::uint32_t m : modules_by_start_) highest_end_.push_back(highest = std::max(highest, modules[m].end));
}

const Module* TraceFile::module_at(std::uint64_t address, LogPosition position) const {
  auto at = static_cast<std::size_t>(
      std::upper_bound(modules_by_start_.begin(), modules_by_start_.end(), address,
                       [this](std::uint64_t wanted, std::uint32_t m) { return wanted < modules[m].start; }) -
      modules_by_start_.begin());
  const Module* best = nullptr;
  while (at != 0 && highest_end_[at - 1] > address) {
    const Module& module = modules[modules_by_start_[--at]];
    // Of several generations at one place, the one loaded last before the record.
    if (address < module.end && module.from <= position && position < module.until &&
        (best == nullptr || module.from > best->from))
      best = &module;
  }
  return best;
}

const Account* TraceFile::account(Layer layer, std::int16_t device, Kind kind) const {
  for (const Account& account : accounts)
    if (account.used == 1 && account.layer == static_cast<std::uint8_t>(layer) && account.device == device &&
        account.kind == static_cast<std::uint8_t>(kind))
      return &account;
  return nullptr;
}

const std::string* TraceFile::note(std::string_view key, std::uint32_t n) const {
  for (auto note = notes.rbegin(); note != notes.rend(); ++note)
    if (note->n == n && note->key == key) return &note->value;
  return nullptr;
}

std::vector<const Note*> TraceFile::all_notes(std::string_view key) const {
  std::vector<const Note*> found;
  for (const Note& note : notes)
    if (note.key == key) found.push_back(&note);
  return found;
}

std::uint64_t TraceFile::bytes_at_peak(const Site& site) const {
  const Account* const peak =
      account(static_cast<Layer>(site.layer), site.device, peak_kind(static_cast<Kind>(site.kind)));
  return peak != nullptr && peak->peak_epoch == site.peak_epoch ? site.at_peak_bytes : site.live_bytes;
}

std::uint64_t TraceFile::count_at_peak(const Site& site) const {
  const Account* const peak =
      account(static_cast<Layer>(site.layer), site.device, peak_kind(static_cast<Kind>(site.kind)));
  return peak != nullptr && peak->peak_epoch == site.peak_epoch ? site.at_peak_count : site.live_count;
}

double TraceFile::seconds_of(std::uint64_t ticks) const {
  const Clock& clock = header.clock;
  const bool paired =
      clock.kind != 0 && clock.last_ticks > clock.start_ticks && clock.last_mono_ns > clock.start_mono_ns;
  const double ns_per_tick = paired ? static_cast<double>(clock.last_mono_ns - clock.start_mono_ns) /
                                          static_cast<double>(clock.last_ticks - clock.start_ticks)
                                    : 1.0;
  return static_cast<double>(ticks) * ns_per_tick / 1e9;
}

double TraceFile::seconds_since_trace_start(std::uint64_t ticks) const {
  const std::uint64_t start = header.clock.start_ticks;
  return ticks >= start ? seconds_of(ticks - start) : -seconds_of(start - ticks);
}

std::uint64_t TraceFile::start_real_ns() const {
  const std::uint64_t process = header.process_start_real_ns, trace = header.clock.start_real_ns;
  return process != 0 && process < trace ? process : trace;  // the wall clock may have been set in between
}

double TraceFile::seconds(std::uint64_t ticks) const {
  return static_cast<double>(header.clock.start_real_ns - start_real_ns()) / 1e9 + seconds_since_trace_start(ticks);
}

std::uint64_t TraceFile::real_ns(std::uint64_t ticks) const {
  constexpr double most = 9e18;  // of a damaged trace: what a cast can hold
  return header.clock.start_real_ns + static_cast<std::uint64_t>(static_cast<std::int64_t>(
                                          std::clamp(seconds_since_trace_start(ticks) * 1e9, -most, most)));
}

}  // namespace vramtrack::trace
