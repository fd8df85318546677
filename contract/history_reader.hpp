// Streams the event history of a trace (--history) in bounded memory. Runs in the tools.
//
//   HistoryReader history(path);                       // throws TraceError as read_trace() does
//   history.for_each_event([&](const HistoryEvent& e) {...});   // every allocation and free, in order of time
//
// Layer, kind, device and stack of an event are those of its site (TraceFile::sites[e.site]).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "contract/history_codec.hpp"
#include "contract/mapped_input.hpp"
#include "contract/reader.hpp"

namespace vramtrack::trace {

class HistoryReader {
 public:
  explicit HistoryReader(const std::string& path);
  /// From memory that outlives the reader; `path` is only for messages.
  HistoryReader(std::span<const std::byte> bytes, const std::string& path);

  bool empty() const noexcept { return shards_.empty(); }
  std::uint64_t coded_bytes() const noexcept;  // of all events together
  std::uint64_t events() const noexcept;       // as the chunks say; an estimate for a running process
  /// Time of the first and the last event (decodes one chunk of each shard); {0, 0} when there are none.
  std::pair<std::uint64_t, std::uint64_t> time_range() const;

  /// Calls visit(const HistoryEvent&) for every event in order of time; a visitor that returns bool stops with false.
  template <class Visit>
  void for_each_event(Visit&& visit);

  /// After for_each_event: events that were not recorded, and what was wrong with the file.
  std::uint64_t dropped_events() const noexcept { return dropped_; }
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }

 private:
  struct Chunk {
    HistoryChunk head;
    std::span<const std::byte> coded;
  };
  struct Shard {
    std::uint32_t id = 0;
    std::vector<Chunk> chunks;
  };

  // One shard's events, one after the other.
  class Stream {
   public:
    explicit Stream(const Shard& shard);
    /// False at the end. Damaged chunks are left at the damage.
    bool next();
    HistoryEvent event{};
    std::uint64_t dropped = 0, damaged = 0;

   private:
    const Shard& shard_;
    std::size_t chunk_ = 0;  // the next one
    std::unique_ptr<history::Model> model_;
    history::Decoder decoder_;
  };

  void open(std::span<const std::byte> bytes, const std::string& path);
  void note_damage(std::uint64_t damaged);

  std::shared_ptr<MappedInput> input_;
  std::vector<Shard> shards_;
  std::uint64_t dropped_ = 0;
  std::vector<std::string> warnings_;
};

inline bool HistoryReader::Stream::next() {
  for (;;) {
    const auto result = decoder_.next(event, dropped);
    if (result == history::Decoder::Result::event) [[likely]]
      return true;
    if (result == history::Decoder::Result::damaged) ++damaged;
    if (chunk_ == shard_.chunks.size()) {
      decoder_.begin_chunk(nullptr, nullptr, 0, 0, 0);
      return false;
    }
    const Chunk& chunk = shard_.chunks[chunk_++];
    const auto* const begin = reinterpret_cast<const std::uint8_t*>(chunk.coded.data());
    decoder_.begin_chunk(begin, begin + chunk.coded.size(), chunk.head.first_time, chunk.head.first_step,
                         chunk.head.time_shift);
  }
}

template <class Visit>
void HistoryReader::for_each_event(Visit&& visit) {
  dropped_ = 0;
  warnings_.clear();
  std::vector<std::unique_ptr<Stream>> streams;
  for (const Shard& shard : shards_) {
    auto stream = std::make_unique<Stream>(shard);
    if (stream->next()) streams.push_back(std::move(stream));
  }
  std::uint64_t dropped = 0, damaged = 0;
  const auto retire = [&](std::size_t at) {
    dropped += streams[at]->dropped;
    damaged += streams[at]->damaged;
    streams.erase(streams.begin() + static_cast<std::ptrdiff_t>(at));
  };
  bool going = true;
  while (going && !streams.empty()) {
    // The stream whose turn it is, and until when: few streams, long turns.
    std::size_t first = 0;
    std::uint64_t until = ~0ull;
    for (std::size_t i = 1; i < streams.size(); ++i) {
      if (streams[i]->event.time < streams[first]->event.time) first = i;
    }
    for (std::size_t i = 0; i < streams.size(); ++i)
      if (i != first && streams[i]->event.time < until) until = streams[i]->event.time;
    Stream& stream = *streams[first];
    bool more = true;
    do {
      if constexpr (std::is_void_v<decltype(visit(stream.event))>)
        visit(stream.event);
      else
        going = visit(stream.event);
      more = going && stream.next();
    } while (more && stream.event.time <= until);
    if (going && !more) retire(first);
  }
  while (!streams.empty()) retire(streams.size() - 1);
  dropped_ = dropped;
  note_damage(damaged);
}

}  // namespace vramtrack::trace
