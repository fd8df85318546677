// See pending_input.hpp.
#include "contract/pending_input.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>

namespace vramtrack::trace {

namespace {

using Bytes = std::span<const std::byte>;

/// A word that a running process may be changing; what it wrote before is seen too.
std::uint64_t load_word(const std::byte* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  std::atomic_thread_fence(std::memory_order_acquire);
  return word;
}

/// A ring in the file.
class RingInput {
 public:
  explicit RingInput(const std::byte* at) : at_(at), booked_(load_word(at + offsetof(Pending, booked))) {
    std::memcpy(&device_, at + offsetof(Pending, device), sizeof device_);
  }
  std::int16_t device() const { return device_; }
  std::uint64_t booked() const { return booked_; }
  std::uint64_t written() const { return load_word(at_ + offsetof(Pending, written)); }
  PendingEvent event(std::uint64_t n) const {
    PendingEvent event;
    std::memcpy(&event, at_ + offsetof(Pending, events) + n % pending_events * sizeof event, sizeof event);
    return event;
  }
  bool is_damaged() const { return written() - booked_ > pending_events; }

 private:
  const std::byte* at_;
  std::uint64_t booked_;
  std::int16_t device_;
};

Waiting& of_device(std::vector<Waiting>& all, std::int16_t device, const std::map<std::int16_t, BookingState>& states) {
  const auto known = std::find_if(all.begin(), all.end(), [&](const Waiting& w) { return w.device == device; });
  if (known != all.end()) return *known;
  const auto state = states.find(device);
  return all.emplace_back(Waiting{device, state == states.end() ? 0 : state->second.booking, {}});
}

/// As version 3 would say it: events that were booked before the process died stand before those that wait.
Waiting of_version_2(const PendingV2& pending) {
  Waiting waiting{pending.device, 0, {}};
  const auto waits = [](const PendingEvent& event) { return event.time != 0; };
  const auto* const first = std::find_if(std::begin(pending.events), std::end(pending.events), waits);
  if (first == std::end(pending.events)) return waiting;
  if (pending.batches % 2 != 0) {
    waiting.booking = first->time - 1;
    for (const PendingEvent* event = pending.events; event != first; ++event) {
      waiting.events.push_back(*event);
      waiting.events.back().time = first->time - static_cast<std::uint64_t>(first - event);
    }
  }
  std::copy_if(first, std::end(pending.events), std::back_inserter(waiting.events), waits);
  return waiting;
}

}  // namespace

std::map<std::int16_t, BookingState> booking_states(Bytes file) {
  std::map<std::int16_t, BookingState> states;
  std::atomic_thread_fence(std::memory_order_acquire);
  for (std::size_t i = 0; i < max_accounts; ++i) {
    Account account;
    std::memcpy(&account, file.data() + sizeof(ExtentHeader) + offsetof(Header, accounts) + i * sizeof account,
                sizeof account);
    if (account.used == 1 && account.layer == static_cast<std::uint8_t>(Layer::tensor))
      states[account.device] = {account.booking, account.allocated_count, account.freed_count};
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  return states;
}

std::vector<Waiting> waiting_events(const std::vector<Bytes>& payloads, std::uint32_t version,
                                    const std::map<std::int16_t, BookingState>& states, bool& whole) {
  std::vector<Waiting> all;
  std::vector<RingInput> rings;
  for (const Bytes payload : payloads) {
    const std::size_t least = version < 3 ? sizeof(PendingV2) : pendings_per_extent * sizeof(Pending);
    if (payload.size() < least) whole = false;
    if (version < 3 && payload.size() >= least) {
      PendingV2 pending;
      std::memcpy(&pending, payload.data(), sizeof pending);
      all.push_back(of_version_2(pending));
    } else if (version >= 3) {
      for (std::size_t i = 0; i < pendings_per_extent && (i + 1) * sizeof(Pending) <= payload.size(); ++i)
        rings.emplace_back(payload.data() + i * sizeof(Pending));
    }
  }
  // Up to the last event that is seen at first: what is older has been written by then, in whatever ring it is.
  std::map<std::int16_t, std::uint64_t> last;
  for (const RingInput& ring : rings) {
    if (ring.is_damaged())
      whole = false;
    else if (const std::uint64_t written = ring.written(); written != ring.booked())
      last[ring.device()] = std::max(last[ring.device()], ring.event(written - 1).time);
  }
  for (const RingInput& ring : rings) {
    if (ring.is_damaged() || last.count(ring.device()) == 0) continue;
    Waiting& waiting = of_device(all, ring.device(), states);
    for (std::uint64_t n = ring.booked(), written = ring.written(); n != written; ++n)
      if (const PendingEvent event = ring.event(n); event.time <= last[ring.device()]) waiting.events.push_back(event);
  }
  for (Waiting& waiting : all)
    std::stable_sort(waiting.events.begin(), waiting.events.end(),
                     [](const PendingEvent& a, const PendingEvent& b) { return a.time < b.time; });
  return all;
}

}  // namespace vramtrack::trace
