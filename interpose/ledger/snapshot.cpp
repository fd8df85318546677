// The live set at an out-of-memory: one record with a copy of every block of both layers.
#include <cstring>

#include "interpose/core/thread_id.hpp"
#include "interpose/ledger/pending.hpp"

namespace vramtrack::ledger {

namespace {

using trace::Block;
using trace::OomRecord;
using trace::Writer;

// All shards, always in this order: the copy is one moment of both layers.
class AllShards {
 public:
  AllShards() noexcept {
    for (Shard& shard : g_shards) shard.lock.lock();
  }
  ~AllShards() {
    for (Shard& shard : g_shards) shard.lock.unlock();
  }
  AllShards(const AllShards&) = delete;
  AllShards& operator=(const AllShards&) = delete;
};

bool write(Writer& writer, OomRecord& record) {
  const auto slots = static_cast<std::uint32_t>(writer.header().block_slots);
  for (std::uint32_t slot = 0; slot < slots; ++slot) record.blocks += writer.block(slot)->address != 0;
  std::byte* payload = writer.begin_record(sizeof record + record.blocks * sizeof(Block));
  if (payload == nullptr && record.blocks != 0) {  // the disk is full: at least say that it happened
    record.blocks = 0;
    record.flags = 1;
    payload = writer.begin_record(sizeof record);
  }
  if (payload == nullptr) return false;
  std::memcpy(payload, &record, sizeof record);
  std::byte* at = payload + sizeof record;
  for (std::uint32_t slot = 0; record.blocks != 0 && slot < slots; ++slot) {
    const Block& block = *writer.block(slot);
    if (block.address == 0) continue;
    std::memcpy(at, &block, sizeof block);
    at += sizeof block;
  }
  Writer::commit_record(payload, trace::RecordType::oom);
  return true;
}

}  // namespace

std::uint32_t snapshot_oom(Layer layer, std::int16_t device, std::uint64_t requested, std::uint64_t live,
                           std::uint64_t reserved, StackId stack) noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr) return 0;
  trace::Header& header = writer->header();
  const AllShards locked;
  for (Shard& shard : g_shards) book_pending(*writer, shard);
  OomRecord record{};
  record.n = header.ooms + 1;
  record.layer = static_cast<std::uint8_t>(layer);
  record.device = device;
  record.time = ticks();
  record.requested_bytes = requested;
  record.live_bytes = live;
  record.reserved_bytes = reserved;
  record.stack = stack;
  record.step = current_step(header);
  record.thread = thread_id();
  if (header.ooms >= trace::max_oom_snapshots || !write(*writer, record)) {
    count_loss(header.losses.dropped_ooms);
    return 0;
  }
  std::atomic_ref(header.ooms).store(record.n, std::memory_order_release);
  return record.n;
}

}  // namespace vramtrack::ledger
