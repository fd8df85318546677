// What an event changes in the tables of the trace: sites, block slots, accounts, time series, history. Private to
// interpose/ledger; every function runs under the shard's lock.
#pragma once

#include "interpose/ledger/ledger.hpp"
#include "interpose/ledger/state.hpp"

namespace vramtrack::ledger {

// Which addresses can be equal without being the same thing (FreeEvent::kind).
constexpr std::uint32_t address_space(Kind kind) {
  switch (kind) {
    case Kind::host_pinned:
    case Kind::registered:
      return 1;
    case Kind::array:
      return 2;
    case Kind::vmm:
      return 3;
    default:
      return 0;
  }
}

struct SiteRef {
  std::uint32_t index;
  trace::Site* site;  // nullptr: none
};

/// Books an allocation: its block appears.
void put_in(trace::Writer& writer, Shard& shard, const AllocEvent& event, StackId stack, StackId forward,
            const Moment& now) noexcept;

/// Books the free of a block that was found in the index. Of a free, `now.thread` is PendingEvent::thread.
void take_out(trace::Writer& writer, Shard& shard, BlockIndex::Position position, std::uint64_t reserved,
              const Moment& now) noexcept;

/// Books the free of an address; an unknown one is counted.
void free_block(trace::Writer& writer, Shard& shard, std::uint64_t address, std::uint32_t space, std::uint64_t reserved,
                const Moment& now) noexcept;

/// A block of the tensor layer that lives within one batch of events.
struct Passing {
  std::uint64_t address, bytes;
};

/// Books the allocation of a block whose free is booked soon after: it gets no place in the tables. Its site; none: it
/// was lost, and counted as that.
SiteRef pass_in(trace::Writer& writer, Shard& shard, const SiteKey& key, const Passing& block, std::uint64_t reserved,
                const Moment& now) noexcept;

/// Books that free.
void pass_out(trace::Writer& writer, Shard& shard, const SiteRef& site, const Passing& block, std::uint64_t reserved,
              bool late, const Moment& now) noexcept;

/// Takes back a free that failed: the block had been live all the time. False: there is no room for it.
bool put_back(trace::Writer& writer, Shard& shard, const trace::Block& block, trace::Site& site,
              const Moment& now) noexcept;

}  // namespace vramtrack::ledger
