// Reads the events that wait in a trace's rings (Pending). Runs in the tools, on the file of a process that may run on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "contract/layout.hpp"

namespace vramtrack::trace {

/// What waits of one device's tensor layer, in order.
struct Waiting {
  std::int16_t device = 0;
  std::uint64_t booking = 0;  // not 0: a batch is being booked, and events up to this time are done
  std::vector<PendingEvent> events;
};

/// How far booking has come on each device of the tensor layer: equal states, equal tables.
struct BookingState {
  std::uint64_t booking, allocated, freed;
  bool operator==(const BookingState&) const = default;
};
std::map<std::int16_t, BookingState> booking_states(std::span<const std::byte> file);

/// `payloads` are those of the extents of type pending, as far as the file has them. False in `whole`: one is damaged.
std::vector<Waiting> waiting_events(const std::vector<std::span<const std::byte>>& payloads, std::uint32_t version,
                                    const std::map<std::int16_t, BookingState>& states, bool& whole);

}  // namespace vramtrack::trace
