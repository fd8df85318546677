#include "sim/nccl/transfer.hpp"

#include <algorithm>
#include <cstring>
#include <set>

#include "sim/nccl/driver.hpp"
#include "sim/nccl/operation.hpp"

namespace vramtrack::sim::nccl {

namespace {

void* pointer(std::uint64_t address) { return reinterpret_cast<void*>(address); }

std::uint32_t index_of(const Channel& channel, const Slot& slot) {
  return static_cast<std::uint32_t>(&slot - channel.slots);
}

}  // namespace

std::string difference(const Signature& mine, const Signature& theirs) {
  if (mine.kind == theirs.kind && mine.type == theirs.type && mine.reduction == theirs.reduction &&
      mine.root == theirs.root && mine.count == theirs.count && mine.sequence == theirs.sequence) {
    return "";
  }
  const auto words = [](const Signature& one) {
    return std::string(name_of_kind(one.kind)) + " of " + std::to_string(one.count) + " elements of type " +
           std::to_string(one.type) + " (number " + std::to_string(one.sequence) + " in the communicator)";
  };
  return words(mine) + " meets " + words(theirs);
}

void Mover::reduce(Reducing reducing) {
  reducing.consumed.assign(static_cast<std::size_t>(m_segment.ranks()), 0);
  m_reductions.push_back(std::move(reducing));
}

bool Mover::finished() const {
  const auto all = [](const auto& list) {
    return std::all_of(list.begin(), list.end(), [](const auto& one) { return one.finished(); });
  };
  return all(m_sends) && all(m_receives) && all(m_reductions);
}

bool Mover::step(std::string& why) {
  bool moved = false;
  // Transfers with one peer share a channel: they go one after the other.
  std::set<const Channel*> taken;
  for (Transfer& transfer : m_sends) {
    if (transfer.finished()) continue;
    if (taken.insert(&m_segment.channel(transfer.point_to_point, m_rank, transfer.peer)).second) {
      moved |= step_send(transfer);
    }
  }
  for (Transfer& transfer : m_receives) {
    if (transfer.finished()) continue;
    if (taken.insert(&m_segment.channel(transfer.point_to_point, transfer.peer, m_rank)).second ||
        transfer.peer == m_rank) {
      moved |= step_receive(transfer, why);
    }
  }
  const bool sent = std::all_of(m_sends.begin(), m_sends.end(), [](const auto& one) { return one.finished(); });
  for (Reducing& reducing : m_reductions) {
    if (!reducing.finished() && (sent || !reducing.after_sends)) moved |= step_reduce(reducing, why);
  }
  return moved;
}

bool Mover::step_send(Transfer& transfer) {
  Channel& channel = m_segment.channel(transfer.point_to_point, m_rank, transfer.peer);
  bool moved = false;
  while (!transfer.finished()) {
    const std::uint32_t written = channel.written.load(std::memory_order_relaxed);
    if (written - channel.consumed.load(std::memory_order_acquire) >= slot_count) break;
    const std::uint64_t at = transfer.address + transfer.done, rest = transfer.bytes - transfer.done;
    Slot& slot = channel.slots[written % slot_count];
    slot.zeros = stream_work().holds_data(at, rest) == 0;
    slot.bytes = slot.zeros != 0 ? rest : std::min(rest, slot_bytes);
    slot.signature = transfer.signature;
    if (slot.zeros == 0) std::memcpy(channel.payload[written % slot_count], pointer(at), slot.bytes);
    transfer.done += slot.bytes;
    channel.written.store(written + 1, std::memory_order_release);
    m_segment.ring(transfer.peer);
    moved = true;
  }
  return moved;
}

const Slot* Mover::front(const Channel& channel) const {
  const std::uint32_t consumed = channel.consumed.load(std::memory_order_relaxed);
  return channel.written.load(std::memory_order_acquire) == consumed ? nullptr : &channel.slots[consumed % slot_count];
}

void Mover::consume(int peer, Channel& channel) const {
  channel.consumed.fetch_add(1, std::memory_order_release);
  m_segment.ring(peer);
}

bool Mover::step_receive(Transfer& transfer, std::string& why) {
  Channel& channel = m_segment.channel(transfer.point_to_point, transfer.peer, m_rank);
  bool moved = false;
  while (!transfer.finished()) {
    const Slot* const shared = front(channel);
    if (shared == nullptr) break;
    const Slot slot = *shared;  // the other process may write it while we look
    why = difference(transfer.signature, slot.signature);
    if (why.empty() && (slot.bytes == 0 || slot.bytes > transfer.bytes - transfer.done ||
                        (slot.zeros == 0 && slot.bytes > slot_bytes))) {
      why = "a damaged frame";
    }
    if (!why.empty()) {
      why += " from rank " + std::to_string(transfer.peer);
      return true;
    }
    const std::uint64_t at = transfer.address + transfer.done;
    if (slot.zeros != 0) {
      stream_work().zero(at, slot.bytes);
    } else {
      stream_work().will_write(at, slot.bytes);
      std::memcpy(pointer(at), channel.payload[index_of(channel, *shared)], slot.bytes);
    }
    transfer.done += slot.bytes;
    consume(transfer.peer, channel);
    moved = true;
  }
  return moved;
}

bool Mover::step_reduce(Reducing& reducing, std::string& why) {
  const std::size_t element = element_bytes(reducing.signature.type);
  bool moved = false;
  while (!reducing.finished()) {
    std::uint64_t bytes = reducing.bytes - reducing.done;
    const std::uint64_t own = reducing.own + reducing.done;
    bool zeros = stream_work().holds_data(own, bytes) == 0;
    std::vector<Contribution> contributions(static_cast<std::size_t>(m_segment.ranks()));
    std::vector<std::uint64_t> lengths(contributions.size());
    for (int peer = 0; peer < m_segment.ranks(); ++peer) {
      const auto index = static_cast<std::size_t>(peer);
      Contribution& contribution = contributions[index];
      if (peer == m_rank) {
        contribution = {zeros ? nullptr : pointer(own), reducing.signature.scalar};
        continue;
      }
      const Channel& channel = m_segment.channel(false, peer, m_rank);
      const Slot* const shared = front(channel);
      if (shared == nullptr) return moved;
      const Slot slot = *shared;
      why = difference(reducing.signature, slot.signature);
      const std::uint64_t used = reducing.consumed[index];
      if (why.empty() &&
          (element == 0 || slot.bytes <= used || slot.bytes % element != 0 ||
           (slot.zeros == 0 && slot.bytes > slot_bytes) || slot.bytes - used > reducing.bytes - reducing.done)) {
        why = "a damaged frame";
      }
      if (!why.empty()) {
        why += " from rank " + std::to_string(peer);
        return true;
      }
      contribution.scalar = slot.signature.scalar;
      if (slot.zeros == 0) {
        contribution.data = channel.payload[index_of(channel, *shared)] + used;
        zeros = false;
      }
      lengths[index] = slot.bytes;
      bytes = std::min(bytes, slot.bytes - used);
    }
    if (zeros) {
      stream_work().zero(reducing.target + reducing.done, bytes);
    } else {
      bytes = std::min(bytes, slot_bytes);
      stream_work().will_write(reducing.target + reducing.done, bytes);
      nccl::reduce(static_cast<Type>(reducing.signature.type), reducing.signature.reduction, contributions,
                   bytes / element, pointer(reducing.target + reducing.done));
    }
    reducing.done += bytes;
    for (int peer = 0; peer < m_segment.ranks(); ++peer) {
      if (peer == m_rank) continue;
      std::uint64_t& used = reducing.consumed[static_cast<std::size_t>(peer)];
      used += bytes;
      if (used < lengths[static_cast<std::size_t>(peer)]) continue;
      used = 0;
      consume(peer, m_segment.channel(false, peer, m_rank));
    }
    moved = true;
  }
  return moved;
}

bool Mover::waits_for(int peer) const {
  const auto from = [&](const Transfer& one) { return one.peer == peer && !one.finished(); };
  if (std::any_of(m_sends.begin(), m_sends.end(), from)) return true;
  if (std::any_of(m_receives.begin(), m_receives.end(), from)) return true;
  return peer != m_rank && std::any_of(m_reductions.begin(), m_reductions.end(), [&](const Reducing& one) {
           return !one.finished() && front(m_segment.channel(false, peer, m_rank)) == nullptr;
         });
}

int Mover::awaited() const {
  for (int peer = 0; peer < m_segment.ranks(); ++peer) {
    if (waits_for(peer)) return peer;
  }
  return -1;
}

}  // namespace vramtrack::sim::nccl
