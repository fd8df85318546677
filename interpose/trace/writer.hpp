// Writes one .vtrace file through a shared mapping. Runs in the traced process, in any thread.
// Must not: call CUDA or Python, throw, use the host's malloc, or touch an extent that posix_fallocate did not grant.
// After fork the mapping does not exist in the child: active() is nullptr there, and a child opens a file of its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "contract/layout.hpp"
#include "interpose/trace/truncation.hpp"

namespace vramtrack::trace {

class Writer {
 public:
  /// Creates `path` (mode 0600; see take_name() for what is there) and maps it (MADV_DONTFORK). nullptr when that
  /// fails: the reason is printed once. The object lives for ever (it is never destroyed, on purpose: other threads may
  /// use it).
  static Writer* create(const char* path, std::uint32_t forked_from, std::uint64_t process_start_real_ns = 0) noexcept;

  Header& header() noexcept { return *header_; }

  /// Appends one log record = fixed part + tail. Thread-safe. False when the disk is full (counted as a loss).
  bool append(RecordType type, const void* fixed, std::size_t fixed_bytes, const void* tail,
              std::size_t tail_bytes) noexcept;

  /// Id of a string, written once. Thread-safe (takes the string lock: not for the hot path). 0 when it failed.
  std::uint32_t intern(std::string_view text) noexcept;

  /// Appends a note (see NoteRecord). Thread-safe.
  bool note(std::string_view key, std::string_view value, std::uint32_t n = 0) noexcept;

  /// A record that is filled in place: room for `bytes` of payload (nullptr: disk full), visible once committed.
  std::byte* begin_record(std::size_t bytes) noexcept;
  static void commit_record(std::byte* payload, RecordType type) noexcept;

  /// How the process ends, as far as it can say so itself; also refreshes the clock. A later call replaces it.
  void finish(EndKind kind, std::int32_t code) noexcept;

  /// The usable part of the mapping that holds `address`: see truncation.hpp.
  MappedPart mapped_at(const void* address) const noexcept;

  /// In a forked child, of the parent's trace: its lock would outlive the parent.
  void close_in_child() noexcept;

  /// Absolute path of the file.
  const char* path() const noexcept;

  /// Table entries. Thread-safe. nullptr when the disk is full. Pointers stay valid for ever.
  Site* site(std::uint32_t index) noexcept {  // existing or the next new one
    return static_cast<Site*>(entry(sites_, ExtentType::sites, index, sites_per_extent, sizeof(Site)));
  }
  Block* block(std::uint32_t index) noexcept {  // existing or the next new one
    return static_cast<Block*>(entry(blocks_, ExtentType::blocks, index, blocks_per_extent, sizeof(Block)));
  }
  Pending* pending(std::uint32_t index) noexcept {  // the next new one
    return static_cast<Pending*>(entry(pendings_, ExtentType::pending, index, pendings_per_extent, sizeof(Pending)));
  }
  Timeline* add_timeline(std::uint32_t account) noexcept;

  /// Reserves `run` consecutive extents of a type; pointer to the payload of the first, or nullptr.
  std::byte* add_extents(ExtentType type, std::uint32_t run) noexcept;

  /// Lets the pages of a payload that will not be touched again leave this process (they stay in the file).
  static void release_pages(std::byte* payload, std::size_t bytes) noexcept;

 private:
  Writer() = default;
  struct State;
  /// The extents of one table, in order; grows under a lock, read without one.
  struct Table {
    std::byte** payloads = nullptr;
    std::atomic<std::uint32_t> count{0};
  };
  void* entry(Table& table, ExtentType type, std::uint32_t index, std::uint32_t per_extent,
              std::uint32_t size) noexcept {
    const std::uint32_t extent = index / per_extent;
    if (extent >= table.count.load(std::memory_order_acquire) && !extend(table, type, extent)) [[unlikely]]
      return nullptr;
    return table.payloads[extent] + std::size_t{index % per_extent} * size;
  }
  bool extend(Table& table, ExtentType type, std::uint32_t extent) noexcept;

  Header* header_ = nullptr;
  State* state_ = nullptr;
  Table sites_;
  Table blocks_;
  Table pendings_;
};

/// The trace of this process, or nullptr while nothing is recorded (not started, failed, forked child before its
/// first event). Two loads.
Writer* active() noexcept;

/// Makes a writer the active one (nullptr: recording stops). In a forked child it is nullptr again without a call.
/// Before a new trace becomes active: ledger::reset() and stacks::reset().
void set_active(Writer* writer) noexcept;

/// In a forked child, once: the parent's writer, or nullptr.
Writer* inherited() noexcept;

}  // namespace vramtrack::trace
