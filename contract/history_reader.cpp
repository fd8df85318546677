#include "contract/history_reader.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "contract/extents.hpp"

namespace vramtrack::trace {

HistoryReader::Stream::Stream(const Shard& shard)
    : shard_(shard), model_(std::make_unique<history::Model>()), decoder_(*model_) {}

HistoryReader::HistoryReader(const std::string& path) : input_(std::make_shared<MappedInput>(path)) {
  open(input_->bytes(), path);
}

HistoryReader::HistoryReader(std::span<const std::byte> bytes, const std::string& path) { open(bytes, path); }

// Finds the chunks; nothing is decoded yet.
void HistoryReader::open(std::span<const std::byte> bytes, const std::string& path) {
  check_header(bytes, path);
  for (const Run& run : runs_of(bytes)) {
    if (run.at == 0 || run.head.type != static_cast<std::uint32_t>(ExtentType::history)) continue;
    const std::span<const std::byte> payload = run.payload();
    if (payload.size() < sizeof(HistoryChunk)) continue;
    Chunk chunk;
    std::memcpy(&chunk.head, payload.data(), sizeof chunk.head);
    std::atomic_thread_fence(std::memory_order_acquire);
    const std::size_t used = std::min<std::size_t>(chunk.head.used, payload.size() - sizeof(HistoryChunk));
    if (used == 0) continue;
    chunk.coded = payload.subspan(sizeof(HistoryChunk), used);
    auto shard = std::find_if(shards_.begin(), shards_.end(), [&](const Shard& s) { return s.id == chunk.head.shard; });
    if (shard == shards_.end()) {
      if (shards_.size() == 256) continue;  // more shards than there can be: damage
      shards_.push_back({chunk.head.shard, {}});
      shard = shards_.end() - 1;
    }
    shard->chunks.push_back(chunk);
  }
  for (Shard& shard : shards_)
    std::stable_sort(shard.chunks.begin(), shard.chunks.end(),
                     [](const Chunk& a, const Chunk& b) { return a.head.first_event < b.head.first_event; });
  std::sort(shards_.begin(), shards_.end(), [](const Shard& a, const Shard& b) { return a.id < b.id; });
}

std::uint64_t HistoryReader::coded_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const Shard& shard : shards_)
    for (const Chunk& chunk : shard.chunks) bytes += chunk.coded.size();
  return bytes;
}

std::uint64_t HistoryReader::events() const noexcept {
  std::uint64_t events = 0;
  for (const Shard& shard : shards_)
    for (const Chunk& chunk : shard.chunks) events += chunk.head.events;
  return events;
}

std::pair<std::uint64_t, std::uint64_t> HistoryReader::time_range() const {
  std::uint64_t first = ~0ull, last = 0;
  for (const Shard& shard : shards_) {
    const auto& head = shard.chunks.front().head;
    first = std::min(first, head.first_time << (head.time_shift & 63));
    Shard tail{shard.id, {shard.chunks.back()}};
    Stream stream(tail);
    while (stream.next()) last = std::max(last, stream.event.time);
  }
  return shards_.empty() ? std::pair<std::uint64_t, std::uint64_t>{0, 0} : std::pair{first, std::max(first, last)};
}

void HistoryReader::note_damage(std::uint64_t damaged) {
  if (damaged != 0)
    warnings_.push_back(std::to_string(damaged) + " chunks of the event history are damaged: events are missing");
}

}  // namespace vramtrack::trace
