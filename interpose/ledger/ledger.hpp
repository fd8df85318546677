// The live state: which blocks live, what each site holds, totals, peaks and time series; all of it in the mapped
// trace. Events of the tensor layer wait there for a while, in a ring for each thread, and are then booked together
// (trace::Pending); who reads the file sees them booked. One lock per layer (cuda) or per device (tensor), never held
// while anything outside this library is called.
#pragma once

#include "interpose/core/event.hpp"

namespace vramtrack::ledger {

/// A block taken out of the ledger, so that a free that then failed can be taken back.
struct Removed {
  bool found = false;
  trace::Block block{};
  trace::Site* site = nullptr;
};

/// Forgets all in-process state (not the file): after a fork, in the child, before its own trace exists.
void reset() noexcept;

/// Records an allocation under the active trace. `stack` and `forward` are interned ids (no_stack: unknown).
void add(const AllocEvent& event, StackId stack, StackId forward) noexcept;

/// Records a free. Not found: counted as an unknown free, unless the address is 0.
Removed remove(const FreeEvent& event) noexcept;

/// Same, for a free that cannot fail and need not be taken back: touches less memory.
void drop(const FreeEvent& event) noexcept;

/// Puts a block back that `remove` took out (the real free failed). Counters are as if nothing had happened.
void restore(const Removed& removed) noexcept;

/// Removes every block of the cuda layer of one device (device reset, context destroyed).
void remove_device(std::int16_t device) noexcept;

/// Bytes of a live block, or 0 (for pointers whose size a caller must know, e.g. to map a pool pointer).
std::uint64_t live_bytes_of(Layer layer, std::int16_t device, Kind kind, std::uint64_t address) noexcept;

/// A live block, by its address; bytes 0: there is none.
struct Found {
  std::uint32_t site;
  std::uint64_t time, bytes;
};
Found find(Layer layer, std::int16_t device, Kind kind, std::uint64_t address) noexcept;

/// Where a block of kind vmm, known by its handle, is mapped now (0: nowhere): its Block::stream.
void set_mapping(std::uint64_t handle, std::uint64_t address) noexcept;

/// Writes an OOM record with a copy of the whole live set (at most max_oom_snapshots; later ones are counted).
/// Returns its number n, or 0.
std::uint32_t snapshot_oom(Layer layer, std::int16_t device, std::uint64_t requested, std::uint64_t live,
                           std::uint64_t reserved, StackId stack) noexcept;

/// Starts the event history (--history) of the active trace: from now on every event is also kept, in order. Once per
/// trace, after set_active(). Starts one thread, which blocks all signals and never holds up the program.
void start_history() noexcept;

/// Books all events that wait: then the tables say what is live now. Any thread; within a HookScope.
void book_waiting() noexcept;

/// Same, and puts what is queued for the history into the trace (before the process ends). Any
/// thread; never waits for long: what it cannot book, the reader does.
void flush() noexcept;

/// One account as vramtrack_totals hands it out (python/vramtrack/_native.py reads the same layout).
struct Total {
  std::uint8_t layer;  // trace::Account
  std::uint8_t kind;
  std::int16_t device;  // -1: host memory
  std::uint32_t unused;
  std::uint64_t live_bytes, live_count;
  std::uint64_t peak_bytes;         // since the start
  std::uint64_t window_peak_bytes;  // since begin_window, or the start
  std::uint64_t freed_bytes, freed_count;
  std::uint64_t allocated_bytes, allocated_count;
};

/// Writes the accounts that are in use to `out`, at most `room`; returns how many. Any thread; within a HookScope.
std::uint32_t totals(Total* out, std::uint32_t room) noexcept;

/// window_peak_bytes counts from now on. The peaks of the report are not touched. Any thread; within a HookScope.
void begin_window() noexcept;

/// Advances the step clock (optimizer step finished). Any thread.
void step() noexcept;

}  // namespace vramtrack::ledger
