// See pending_replay.hpp.
#include "contract/pending_replay.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "contract/counters.hpp"

namespace vramtrack::trace {

namespace {

constexpr auto tensor = static_cast<std::uint8_t>(Layer::tensor);

class Replay {
 public:
  Replay(TraceFile& file, const Waiting& waiting) : file_(file), waiting_(waiting), account_(account()) {
    for (std::uint32_t i = 0; i < file.sites.size(); ++i)
      if (is_ours(file.sites[i])) sites_[{file.sites[i].stack, file.sites[i].forward}] = i;
    std::set<std::uint64_t> mentioned;
    for (const PendingEvent& event : waiting.events) mentioned.insert(event.address);
    for (std::size_t i = 0; i < file.blocks.size(); ++i)
      if (mentioned.count(file.blocks[i].address) != 0 && is_ours(file.sites[file.blocks[i].site]))
        live_[file.blocks[i].address] = i;
  }

  void run() {
    // Of the event that was being booked when the process died, the tables say how far that had come.
    bool perhaps_booked = waiting_.booking != 0;
    for (const PendingEvent& event : waiting_.events) {
      if (event.time <= waiting_.booking) {
        booked(event);
        continue;
      }
      if (event.bytes != 0)
        allocate(event, perhaps_booked);
      else
        free(event, perhaps_booked);
      perhaps_booked = false;
    }
    for (const std::size_t gone : gone_) file_.blocks[gone].address = 0;
    if (!gone_.empty()) std::erase_if(file_.blocks, [](const Block& block) { return block.address == 0; });
  }

 private:
  bool is_ours(const Site& site) const {
    return site.used == 1 && site.layer == tensor && site.device == waiting_.device;
  }

  std::uint32_t account() {
    for (std::uint32_t i = 0; i < file_.accounts.size(); ++i) {
      const Account& account = file_.accounts[i];
      if (account.used == 1 && account.layer == tensor && account.device == waiting_.device) return i;
    }
    Account fresh{};
    fresh.used = 1;
    fresh.layer = tensor;
    fresh.kind = static_cast<std::uint8_t>(Kind::all);
    fresh.device = waiting_.device;
    file_.accounts.push_back(fresh);
    return static_cast<std::uint32_t>(file_.accounts.size() - 1);
  }

  std::uint32_t site_of(const PendingEvent& event) {
    const auto [known, fresh] = sites_.try_emplace({event.stack, event.forward}, 0);
    if (!fresh) return known->second;
    Site site{};
    site.stack = event.stack;
    site.used = 1;
    site.forward = event.forward;
    site.layer = tensor;
    site.kind = static_cast<std::uint8_t>(Kind::block);
    site.device = waiting_.device;
    site.first_time = event.time;
    site.first_step = event.step;
    site.peak_epoch = file_.accounts[account_].peak_epoch;
    known->second = static_cast<std::uint32_t>(file_.sites.size());
    file_.sites.push_back(site);
    return known->second;
  }

  // An event that comes before those that wait. An allocation whose free waits may have been booked without a block.
  void booked(const PendingEvent& event) {
    if (event.bytes != 0)
      passing_[event.address] = &event;
    else
      passing_.erase(event.address);
  }

  void allocate(const PendingEvent& event, bool perhaps_booked) {
    const std::uint32_t index = site_of(event);
    const auto known = live_.find(event.address);
    const bool stored = known != live_.end() && file_.blocks[known->second].time == event.time;
    if (perhaps_booked && file_.sites[index].last_time == event.time) return booked(event);
    passing_.erase(event.address);
    if (known != live_.end() && !stored) {
      ++file_.header.losses.replaced_blocks;
      release(known->second, event);
    }
    Site& site = file_.sites[index];
    Account& account = file_.accounts[account_];
    const std::uint64_t level = account.live_bytes;
    keep_peak(site, account);
    const Moment now{event.time, event.step, event.thread};
    count_alloc(site, event.bytes, now);
    count_alloc(account, event.bytes);
    set_reserved(account, event.reserved_bytes);
    if (raise_peak(account, now)) site.raised_epoch = account.peak_epoch;
    add_point(event, level);
    if (stored) return;
    live_[event.address] = file_.blocks.size();
    file_.blocks.push_back({event.address, event.bytes, event.time, 0, index, event.step, event.thread, 0});
  }

  void free(const PendingEvent& event, bool perhaps_booked) {
    if (const auto known = live_.find(event.address); known != live_.end()) return release(known->second, event);
    const auto passing = passing_.find(event.address);
    if (passing == passing_.end()) {
      if (!perhaps_booked) ++file_.header.losses.unknown_frees;
      return;
    }
    const PendingEvent& allocated = *passing->second;
    Site& site = file_.sites[site_of(allocated)];
    passing_.erase(passing);
    if (!perhaps_booked || site.last_free_time != event.time) count_out(site, allocated.bytes, allocated.step, event);
  }

  void release(std::size_t at, const PendingEvent& event) {
    const Block& block = file_.blocks[at];
    count_out(file_.sites[block.site], block.bytes, block.step, event);
    live_.erase(block.address);
    gone_.push_back(at);
  }

  void count_out(Site& site, std::uint64_t bytes, std::uint32_t allocated_step, const PendingEvent& event) {
    Account& account = file_.accounts[account_];
    const std::uint64_t level = account.live_bytes;
    keep_peak(site, account);
    const Moment now{event.time, event.step, event.bytes == 0 ? event.thread : 0};
    count_free(site, bytes, event.step - allocated_step >= late_steps, now);
    count_free(account, bytes);
    set_reserved(account, event.reserved_bytes);
    add_point(event, level);
  }

  void add_point(const PendingEvent& event, std::uint64_t level) {
    auto series = std::find_if(file_.timelines.begin(), file_.timelines.end(),
                               [this](const TimelineSeries& s) { return s.account == account_; });
    if (series == file_.timelines.end()) series = file_.timelines.insert(series, TimelineSeries{account_, 1, {}});
    const Account& account = file_.accounts[account_];
    // The level that the last interval left behind, where nothing followed it for a while.
    if (!series->points.empty() && series->interval != 0) {
      const std::uint64_t start = file_.header.clock.start_ticks;
      const std::uint64_t end =
          start + ((series->points.back().time - start) / series->interval + 1) * series->interval;
      if (event.time >= end + series->interval)
        series->points.push_back({end, level, account.reserved_bytes, event.step, 0});
    }
    series->points.push_back({event.time, account.live_bytes, account.reserved_bytes, event.step, 1});
  }

  TraceFile& file_;
  const Waiting& waiting_;
  std::uint32_t account_;
  std::map<std::pair<StackId, StackId>, std::uint32_t> sites_;      // by stack and forward stack
  std::unordered_map<std::uint64_t, std::size_t> live_;             // of the addresses that the events name
  std::unordered_map<std::uint64_t, const PendingEvent*> passing_;  // booked allocations of this batch, by address
  std::vector<std::size_t> gone_;
};

}  // namespace

void book_pending(TraceFile& file, const Waiting& waiting) {
  if (!waiting.events.empty()) Replay(file, waiting).run();
}

bool has_frees(const Waiting& waiting) {
  return std::any_of(waiting.events.begin(), waiting.events.end(),
                     [&](const PendingEvent& event) { return event.bytes == 0 && event.time > waiting.booking; });
}

}  // namespace vramtrack::trace
