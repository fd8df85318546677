// What every event reads and writes of its own thread, on one cache line (hot.hpp says why). Each member belongs to the
// layer that is named; nothing else touches it.
#pragma once

#include <cstdint>

namespace vramtrack {

namespace stacks {
struct ThreadState;
}
namespace trace {
struct Pending;
}
namespace ledger {
struct Ring;
}

struct alignas(64) HotThread {
  stacks::ThreadState* stacks;
  // The ledger's: the ring that this thread used last, of `device`.
  ledger::Ring* ring;
  trace::Pending* pending;
  std::uint64_t room_until;  // events of the ring, as far as the thread knows
  std::uint64_t last_time;   // of an event of this thread
  std::uintptr_t hook;       // the recorder's: where the outermost HookScope stands, 0: none
  // The agent's: what this thread has seen of the caching allocator since it last told.
  std::int32_t blocks;
  std::int32_t events;
  std::uint32_t id;      // thread_id()'s
  std::int16_t tell_at;  // the agent's: so many events
  std::int8_t device;    // the ledger's; never more than max_devices
  std::uint8_t in_node;  // the stacks': 1 when an autograd node ran at this thread's last allocation
};
static_assert(sizeof(HotThread) == 64);

extern constinit thread_local HotThread t_hot;

/// A signal handler of the program has jumped out of a hook of this thread (siglongjmp): it may have held a
/// lock, and wait for itself.
extern constinit thread_local bool t_jumped;

}  // namespace vramtrack
