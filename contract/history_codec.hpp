// The coding of the event history: the traced process encodes (its history thread), the reader decodes. Programs that
// train do the same things again and again, so both sides keep the same model of what followed what, and an event that
// was foreseen costs one byte: who foresaw it, and the time since the last event. No libstdc++ is needed here.
//
//   event    = token [time] [body]
//   token    = bits 0-1: Foreseen; bits 2-7: time since the shard's last event in units, 63: time follows
//   time     = varint of (time - 63)
//   body     = Foreseen::recent, Foreseen::local:  nothing, the event is the one that the model's context names
//              Foreseen::no:       flags, address, [site], [bytes]
//              Foreseen::marker:   code, varint       0: the step clock advances by it   1: so many events were dropped
//   flags    = bit 0: a free; bit 1: the address difference is given in units of 512; bit 2: the site, bit 3: the size
//              is what the model expects (allocation: what this context brought last; free: what lives at the address)
//   address  = varint of the zigzag-coded difference to the shard's last event's address
#pragma once

#include <cstddef>
#include <cstdint>

namespace vramtrack::trace {

struct HistoryEvent {
  std::uint64_t time;  // ticks, rounded down to the history's unit (about 0.2 us)
  std::uint64_t address;
  std::uint64_t bytes;
  std::uint32_t site;
  std::uint32_t step;
  bool is_free;
};

namespace history {

enum class Foreseen : std::uint8_t { recent = 0, local = 1, no = 2, marker = 3 };
enum Marker : std::uint64_t { marker_step = 0, marker_dropped = 1 };
enum Flag : std::uint8_t { flag_free = 1, flag_aligned = 2, flag_site = 4, flag_bytes = 8 };
inline constexpr std::uint64_t time_escape = 63;
inline constexpr std::size_t max_event_bytes = 64;  // of one event with the markers before it

/// What both sides know. Plain data, zeroed memory is its initial state.
class Model {
 public:
  struct Entry {
    std::uint64_t address, bytes;
    std::uint32_t site;
    std::uint32_t mark;  // generation << 1 | is_free; an entry of another generation is empty
  };

  void begin_chunk() noexcept {
    ++generation_;
    past_[0] = past_[1] = past_[2] = 0;
    site_past_[0] = site_past_[1] = 0;
    last_address_ = 0;
  }

  std::uint64_t last_address() const noexcept { return last_address_; }

  /// The entries that speak about the next event: nullptr-free, but they may be empty (see valid()).
  const Entry& recent() const noexcept { return recent_[recent_at()]; }
  const Entry& local() const noexcept { return local_[local_at()]; }
  const Entry& by_site() const noexcept { return by_site_[by_site_at()]; }
  const Entry& living(std::uint64_t address) const noexcept { return living_[hash(address) % living_size]; }
  bool valid(const Entry& entry) const noexcept { return entry.mark >> 1 == generation_; }
  bool is(const Entry& entry, const HistoryEvent& event) const noexcept {
    return entry.mark == mark(event.is_free) && entry.address == event.address && entry.bytes == event.bytes &&
           entry.site == event.site;
  }

  /// After every event, on both sides.
  void learn(const HistoryEvent& event) noexcept {
    const Entry entry{event.address, event.bytes, event.site, mark(event.is_free)};
    recent_[recent_at()] = entry;
    local_[local_at()] = entry;
    by_site_[by_site_at()] = entry;
    if (!event.is_free) living_[hash(event.address) % living_size] = entry;
    past_[2] = past_[1];
    past_[1] = past_[0];
    past_[0] = hash(event.address * 2 + (event.is_free ? 1 : 0) + (std::uint64_t{event.site} << 40));
    site_past_[1] = site_past_[0];
    site_past_[0] = event.site * 2u + (event.is_free ? 1 : 0) + 1;
    last_address_ = event.address;
  }

 private:
  static constexpr std::size_t context_size = 1u << 15, living_size = 1u << 16;

  static std::uint64_t hash(std::uint64_t x) noexcept {
    x *= 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    return x >> 24;
  }
  std::uint32_t mark(bool is_free) const noexcept { return generation_ << 1 | (is_free ? 1u : 0u); }
  std::size_t recent_at() const noexcept { return hash(past_[0] + 3 * past_[1] + 7 * past_[2]) % context_size; }
  std::size_t local_at() const noexcept { return past_[0] % context_size; }
  std::size_t by_site_at() const noexcept {
    return hash(site_past_[0] + (std::uint64_t{site_past_[1]} << 32)) % context_size;
  }

  Entry recent_[context_size];   // by the last three events
  Entry local_[context_size];    // by the last event
  Entry by_site_[context_size];  // by the sites of the last two events
  Entry living_[living_size];    // by address: the last allocation there
  std::uint64_t past_[3];
  std::uint32_t site_past_[2];
  std::uint32_t generation_;
  std::uint64_t last_address_;
};

class Encoder {
 public:
  explicit Encoder(Model& model) noexcept : model_(model) {}

  void begin_chunk(std::uint64_t first_time, std::uint32_t step) noexcept {
    model_.begin_chunk();
    time_ = first_time;
    step_ = step;
  }

  /// Writes an event at `out`, where max_event_bytes are free; `units`: its time. Returns the end.
  std::uint8_t* put(std::uint8_t* out, const HistoryEvent& event, std::uint64_t units, std::uint64_t dropped) noexcept {
    if (dropped != 0) out = marker(out, marker_dropped, dropped);
    if (event.step != step_) {
      out = marker(out, marker_step, event.step - step_);
      step_ = event.step;
    }
    if (model_.is(model_.recent(), event)) {
      out = token(out, Foreseen::recent, units);
    } else if (model_.is(model_.local(), event)) {
      out = token(out, Foreseen::local, units);
    } else {
      out = token(out, Foreseen::no, units);
      const Model::Entry& expected = event.is_free ? model_.living(event.address) : model_.by_site();
      const std::uint64_t difference = event.address - model_.last_address();
      std::uint8_t flags = event.is_free ? flag_free : 0;
      if (difference % 512 == 0) flags |= flag_aligned;
      if (model_.valid(expected) && expected.site == event.site) flags |= flag_site;
      if (model_.valid(expected) && expected.bytes == event.bytes) flags |= flag_bytes;
      *out++ = flags;
      std::int64_t signed_difference = static_cast<std::int64_t>(difference);
      if ((flags & flag_aligned) != 0) signed_difference /= 512;
      out = varint(out, static_cast<std::uint64_t>(signed_difference) << 1 ^
                            static_cast<std::uint64_t>(signed_difference >> 63));
      if ((flags & flag_site) == 0) out = varint(out, event.site);
      if ((flags & flag_bytes) == 0) out = varint(out, event.bytes);
    }
    model_.learn(event);
    return out;
  }

 private:
  static std::uint8_t* varint(std::uint8_t* out, std::uint64_t value) noexcept {
    for (; value >= 0x80; value >>= 7) *out++ = static_cast<std::uint8_t>(value | 0x80);
    *out++ = static_cast<std::uint8_t>(value);
    return out;
  }
  static std::uint8_t* marker(std::uint8_t* out, Marker code, std::uint64_t value) noexcept {
    *out++ = static_cast<std::uint8_t>(Foreseen::marker);
    *out++ = static_cast<std::uint8_t>(code);
    return varint(out, value);
  }
  std::uint8_t* token(std::uint8_t* out, Foreseen foreseen, std::uint64_t units) noexcept {
    const std::uint64_t passed = units - time_;
    time_ = units;
    const std::uint64_t near = passed < time_escape ? passed : time_escape;
    *out++ = static_cast<std::uint8_t>(static_cast<std::uint64_t>(foreseen) | near << 2);
    return near == time_escape ? varint(out, passed - time_escape) : out;
  }

  Model& model_;
  std::uint64_t time_ = 0;
  std::uint32_t step_ = 0;
};

class Decoder {
 public:
  explicit Decoder(Model& model) noexcept : model_(model) {}

  void begin_chunk(const std::uint8_t* begin, const std::uint8_t* end, std::uint64_t first_time, std::uint32_t step,
                   std::uint32_t time_shift) noexcept {
    model_.begin_chunk();
    at_ = begin;
    end_ = end;
    time_ = first_time;
    step_ = step;
    shift_ = time_shift & 63;
  }

  enum class Result { event, end, damaged };

  /// The next event; `dropped` grows by what was lost before it.
  Result next(HistoryEvent& event, std::uint64_t& dropped) noexcept {
    for (;;) {
      if (at_ == end_) return Result::end;
      const std::uint8_t token = *at_++;
      const auto foreseen = static_cast<Foreseen>(token & 3);
      if (foreseen == Foreseen::marker) {
        std::uint64_t code = 0, value = 0;
        if (!varint(code) || !varint(value)) return Result::damaged;
        if (code == marker_step)
          step_ += static_cast<std::uint32_t>(value);
        else if (code == marker_dropped)
          dropped += value;
        continue;  // an unknown marker is skipped
      }
      std::uint64_t passed = token >> 2;
      if (passed == time_escape) {
        if (!varint(passed)) return Result::damaged;
        passed += time_escape;
      }
      time_ += passed;
      if (foreseen == Foreseen::no) {
        if (!body(event)) return Result::damaged;
      } else {
        const Model::Entry& entry = foreseen == Foreseen::recent ? model_.recent() : model_.local();
        if (!model_.valid(entry)) return Result::damaged;
        event.address = entry.address;
        event.bytes = entry.bytes;
        event.site = entry.site;
        event.is_free = (entry.mark & 1) != 0;
      }
      event.time = time_ << shift_;
      event.step = step_;
      model_.learn(event);
      return Result::event;
    }
  }

 private:
  bool varint(std::uint64_t& value) noexcept {
    value = 0;
    for (unsigned shift = 0; at_ != end_ && shift < 64; shift += 7) {
      const std::uint8_t byte = *at_++;
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool body(HistoryEvent& event) noexcept {
    if (at_ == end_) return false;
    const std::uint8_t flags = *at_++;
    std::uint64_t coded = 0;
    if (!varint(coded)) return false;
    std::uint64_t difference = coded >> 1 ^ (0 - (coded & 1));
    if ((flags & flag_aligned) != 0) difference *= 512;
    event.address = model_.last_address() + difference;
    event.is_free = (flags & flag_free) != 0;
    const Model::Entry& expected = event.is_free ? model_.living(event.address) : model_.by_site();
    if ((flags & (flag_site | flag_bytes)) != 0 && !model_.valid(expected)) return false;
    std::uint64_t site = expected.site;
    if ((flags & flag_site) == 0 && !varint(site)) return false;
    event.site = static_cast<std::uint32_t>(site);
    event.bytes = expected.bytes;
    return (flags & flag_bytes) != 0 || varint(event.bytes);
  }

  Model& model_;
  const std::uint8_t* at_ = nullptr;
  const std::uint8_t* end_ = nullptr;
  std::uint64_t time_ = 0;
  std::uint32_t step_ = 0;
  std::uint32_t shift_ = 0;
};

}  // namespace history
}  // namespace vramtrack::trace
