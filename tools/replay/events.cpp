#include "tools/replay/events.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <unordered_map>

#include "contract/history_reader.hpp"
#include "contract/notes.hpp"
#include "contract/sim_settings.hpp"
#include "report/model/read_fact.hpp"
#include "tools/replay/sizes.hpp"

namespace vramtrack::tools::replay {
namespace {

constexpr auto tensor = static_cast<std::uint8_t>(trace::Layer::tensor);

const trace::Account* tensors_of(const trace::TraceFile& trace, int device) {
  return trace.account(trace::Layer::tensor, static_cast<std::int16_t>(device), trace::Kind::all);
}

/// The device whose allocator held most comes first.
std::vector<int> devices_of(const trace::TraceFile& trace) {
  std::vector<int> devices;
  for (const trace::Account& account : trace.accounts)
    if (account.used == 1 && account.layer == tensor && account.kind == static_cast<std::uint8_t>(trace::Kind::all) &&
        account.peak_bytes > 0)
      devices.push_back(account.device);
  std::stable_sort(devices.begin(), devices.end(), [&](int a, int b) {
    return tensors_of(trace, a)->peak_reserved_bytes > tensors_of(trace, b)->peak_reserved_bytes;
  });
  return devices;
}

std::uint64_t total_bytes_of(const trace::TraceFile& trace, int device) {
  const std::string* const note = trace.note(trace::note_key::cuda);
  const Json facts = note == nullptr ? Json() : read_fact(*note);
  if (!facts.is_object() || !facts.contains("devices") || !facts["devices"].is_array()) return 0;
  for (const Json& one : facts["devices"])
    if (one.is_object() && one.value("index", -1) == device) return one.value("total_bytes", std::uint64_t{0});
  return 0;
}

std::string settings_of(const trace::TraceFile& trace) {
  const std::string* const note = trace.note(trace::note_key::environ);
  std::istringstream lines(note == nullptr ? "" : *note);
  std::string older, newer;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("PYTORCH_ALLOC_CONF=")) newer = line.substr(line.find('=') + 1);
    if (line.starts_with("PYTORCH_CUDA_ALLOC_CONF=")) older = line.substr(line.find('=') + 1);
  }
  return newer.empty() ? older : newer;
}

/// Turns the events of both layers into what the allocator was asked for.
class Recorder {
 public:
  Recorder(const trace::TraceFile& trace, Recording& out)
      : trace_(trace), places_(trace, out.device), sizes_(trace, out.device), out_(out), device_(out.device) {
    for (const trace::Oom& oom : trace.ooms)
      if (oom.record.layer == tensor && oom.record.device == device_) ooms_.push_back(oom.record);
  }

  void take(const trace::HistoryEvent& event) {
    while (!ooms_.empty() && ooms_.front().time < event.time) attempt();
    sizes_.look_until(event.time);
    if (event.site >= trace_.sites.size()) return;
    const trace::Site& site = trace_.sites[event.site];
    if (site.used != 1 || site.device != device_) return;
    if (site.layer == tensor)
      of_tensor(event);
    else if (trace::is_device_memory(static_cast<trace::Kind>(site.kind)))
      of_device(event);
  }

  void finish() {
    while (!ooms_.empty()) attempt();
    sizes_.look_until(std::numeric_limits<std::uint64_t>::max());
    // Expandable segments are split to the last 512 bytes: every size is certain.
    if (out_.settings.find("expandable_segments:True") == std::string::npos)
      out_.unsure_blocks = sizes_.settle(out_.events);
    if (unknown_ > 0)
      out_.notes.push_back(std::to_string(unknown_) + " frees of blocks that the history does not know are left out");
  }

 private:
  void of_tensor(const trace::HistoryEvent& event) {
    empty_cache();
    if (!event.is_free) {
      const Place place = places_.place(event.address, event.time);
      sizes_.add_block(out_.events.size(), event.address, event.bytes, place);
      blocks_[event.address] = next_;
      out_.events.push_back({Event::alloc, next_++, event.bytes, event.bytes, event.bytes, place});
      return;
    }
    const auto block = blocks_.find(event.address);
    if (block == blocks_.end()) {
      ++unknown_;
      return;
    }
    sizes_.drop_block(event.address);
    out_.events.push_back({Event::free, block->second, 0, 0, 0, {}});
    blocks_.erase(block);
  }

  /// A segment goes when the program empties the cache, or when the allocator does so itself because the device is
  /// full. The allocator of the replay does the second by itself.
  void of_device(const trace::HistoryEvent& event) {
    if (!event.is_free) {
      if (before_frees_ && out_.total_bytes != 0 && *before_frees_ + event.bytes > out_.total_bytes - context())
        before_frees_.reset();
      empty_cache();
      sizes_.add_segment(event.address, event.bytes);
      used_ += event.bytes;
      return;
    }
    sizes_.drop_segment(event.address);
    if (!before_frees_ && is_segment(event.site)) before_frees_ = used_;
    used_ -= std::min(used_, event.bytes);
  }

  void empty_cache() {
    if (!before_frees_) return;
    before_frees_.reset();
    out_.events.push_back({Event::empty_cache, 0, 0, 0, 0, {}});
  }

  void attempt() {
    before_frees_.reset();  // the allocator had tried that
    const std::uint64_t bytes = ooms_.front().requested_bytes;
    out_.events.push_back({Event::attempt, 0, bytes, bytes, bytes, {}});
    ooms_.pop_front();
  }

  /// Whether PyTorch's allocator asked CUDA for it.
  bool is_segment(std::uint32_t site) {
    const auto [known, added] = segments_.try_emplace(site, false);
    if (!added) return known->second;
    const trace::Stack* const stack = trace_.stack(trace_.sites[site].stack);
    if (stack == nullptr) return false;
    for (const std::uint64_t address : trace_.native_words(*stack)) {
      const trace::Module* const module = trace_.module_at(address, stack->position);
      if (module == nullptr || module->path.find("libcudart") != std::string::npos) continue;
      return known->second = module->path.find("libc10_cuda") != std::string::npos;
    }
    return false;
  }

  std::uint64_t context() const { return std::min(sim::default_context_bytes(out_.total_bytes), out_.total_bytes); }

  const trace::TraceFile& trace_;
  const Segments places_;
  Sizes sizes_;
  Recording& out_;
  const int device_;
  std::deque<trace::OomRecord> ooms_;
  std::unordered_map<std::uint64_t, std::uint64_t> blocks_;  // address: number
  std::unordered_map<std::uint32_t, bool> segments_;         // by site
  std::uint64_t next_ = 0, used_ = 0, unknown_ = 0;
  std::optional<std::uint64_t> before_frees_;  // segments are going; what was in use before
};

}  // namespace

Recording read_recording(const std::string& path, const trace::TraceFile& trace) {
  trace::HistoryReader history(path);
  if (history.empty())
    throw std::runtime_error(path + ": has no history to replay; record one: vramtrack run --history -- CMD ARGS...");
  Recording out;
  const std::vector<int> devices = devices_of(trace);
  if (devices.empty()) throw std::runtime_error(path + ": PyTorch's allocator gave out nothing in it");
  out.device = devices.front();
  out.other_devices.assign(devices.begin() + 1, devices.end());
  out.total_bytes = total_bytes_of(trace, out.device);
  out.peak_live_bytes = tensors_of(trace, out.device)->peak_bytes;
  out.peak_reserved_bytes = tensors_of(trace, out.device)->peak_reserved_bytes;
  if (const auto* cuda = trace.account(trace::Layer::cuda, static_cast<std::int16_t>(out.device), trace::Kind::all))
    out.other_bytes = cuda->peak_bytes - std::min(cuda->peak_bytes, out.peak_reserved_bytes);
  out.settings = settings_of(trace);
  Recorder recorder(trace, out);
  for (const trace::Oom& oom : trace.ooms) out.ooms += oom.record.layer == tensor && oom.record.device == out.device;
  history.for_each_event([&](const trace::HistoryEvent& event) { recorder.take(event); });
  recorder.finish();
  if (history.dropped_events() > 0)
    out.notes.push_back(std::to_string(history.dropped_events()) + " events were not recorded");
  out.notes.insert(out.notes.end(), history.warnings().begin(), history.warnings().end());
  return out;
}

}  // namespace vramtrack::tools::replay
