// The decimating time series of an account (layout.hpp, Timeline). Runs under the shard's lock.
#include "interpose/ledger/state.hpp"

namespace vramtrack::ledger {

namespace {

using trace::Timeline;
using trace::TimelinePoint;

// Fine enough to tell apart what the loops of a short program do; a long one's intervals are longer soon.
constexpr std::uint64_t first_interval_ns = 15'625;

void absorb(TimelinePoint& into, const TimelinePoint& point) {
  const std::uint32_t events = into.events + point.events;
  const std::uint64_t reserved =
      into.reserved_bytes > point.reserved_bytes ? into.reserved_bytes : point.reserved_bytes;
  if (point.live_bytes > into.live_bytes) into = point;
  into.events = events;
  into.reserved_bytes = reserved;
}

std::uint64_t interval_of(const AccountState& state, std::uint64_t start, std::uint64_t time) {
  return (time - start) / state.interval;
}

// Doubles the interval until at most half of the points are left. A point without events says which level an empty
// stretch begins with: where it falls together with an earlier point, the stretch gets it again at its new beginning.
// A process killed in the middle leaves points in order with some of them twice: the curve is unchanged.
void merge(Timeline& timeline, AccountState& state, std::uint64_t start) {
  while (timeline.count > trace::timeline_points / 2) {
    state.interval *= 2;
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < timeline.count; ++i) {
      const TimelinePoint point = timeline.points[i];
      const std::uint64_t interval = interval_of(state, start, point.time);
      if (kept == 0 || interval_of(state, start, timeline.points[kept - 1].time) != interval) {
        timeline.points[kept++] = point;
        continue;
      }
      absorb(timeline.points[kept - 1], point);
      const bool gap_follows =
          i + 1 < timeline.count && interval_of(state, start, timeline.points[i + 1].time) > interval + 1;
      if (point.events == 0 && gap_follows) {
        timeline.points[kept] = point;
        timeline.points[kept++].time = start + (interval + 1) * state.interval;
      }
    }
    timeline.count = kept;
    timeline.interval = state.interval;
  }
}

void push(AccountState& state, std::uint64_t start, const TimelinePoint& point) {
  Timeline& timeline = *state.timeline;
  if (timeline.count != 0) {
    TimelinePoint& last = timeline.points[timeline.count - 1];
    if (interval_of(state, start, last.time) == interval_of(state, start, point.time)) return absorb(last, point);
  }
  timeline.points[timeline.count] = point;
  std::atomic_ref(timeline.count).store(timeline.count + 1, std::memory_order_release);
}

}  // namespace

void timeline_interval(trace::Header& header, AccountState& state, const Moment& moment, std::uint64_t level) noexcept {
  const trace::Account& account = *state.account;
  Timeline& timeline = *state.timeline;
  const std::uint64_t live = account.live_bytes;
  const std::uint64_t start = header.clock.start_ticks;
  const std::uint64_t now = moment.time;
  const std::uint32_t step = moment.step;
  if (state.interval == 0) {
    state.interval = ticks_in(first_interval_ns);
    if (state.interval == 0) state.interval = 1;
    timeline.interval = state.interval;
  } else if (timeline.count + 2 > trace::timeline_points) {
    // Before anything that depends on the length of an interval is worked out.
    merge(timeline, state, start);
    const std::uint64_t last = timeline.points[timeline.count - 1].time;
    state.interval_end = start + (interval_of(state, start, last) + 1) * state.interval;
  }
  if (state.interval_end != 0 && now >= state.interval_end + state.interval) {
    push(state, start, TimelinePoint{state.interval_end, level, account.reserved_bytes, step, 0});
  }
  // The level before the event was in force at the beginning of this interval.
  const bool rose = live >= level;
  const std::uint64_t begin = start + interval_of(state, start, now) * state.interval;
  push(state, start, TimelinePoint{rose ? now : begin, rose ? live : level, account.reserved_bytes, step, 1});
  state.point = &timeline.points[timeline.count - 1];
  state.interval_end = start + (interval_of(state, start, now) + 1) * state.interval;
  clock_refresh(header.clock);
}

}  // namespace vramtrack::ledger
