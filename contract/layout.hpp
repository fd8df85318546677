// The byte layout of a .vtrace file: plain structs shared by the writer (in the traced process, any thread) and the
// reader (offline). No CUDA, Python or unwinder header may be included here.
//
// Constraints, in order of weight:
//   1. the file must be readable after the process died at any instruction (kill -9 included): it is a MAP_SHARED
//      mapping, each record is published by a commit word that is written last;
//   2. its size is bounded by distinct stacks + sites + most live blocks at once, not by the length of the run;
//   3. a store must never raise SIGBUS: an extent is reserved with posix_fallocate before it is mapped and used;
//   4. a reader of any later version can skip what it does not know: extents carry a type, records a length.
//
//   file   = extent*                     an extent is extent_bytes long, or a run of several (ExtentHeader::run)
//   extent = ExtentHeader, payload       the first extent is of type `header` and holds Header
//
// All integers are little endian. Times are in ticks (Header::clock converts). docs/trace-format.md draws the same.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace vramtrack::trace {

inline constexpr char magic[8] = {'V', 'R', 'A', 'M', 'T', 'R', 'C', '\n'};
inline constexpr std::uint32_t format_version = 3;
inline constexpr std::size_t extent_bytes = 64 * 1024;

// ---- numbers of things, each of a type of its own ------------------------------------------------------------

enum class StackId : std::uint32_t {};  // StackRecord::id: dense from 0
inline constexpr StackId no_stack{0xffffffffu};
constexpr std::uint32_t number_of(StackId id) { return static_cast<std::uint32_t>(id); }

// ---- enumerations (values are part of the format; append only) ------------------------------------------------

enum class Layer : std::uint8_t { cuda = 0, tensor = 1 };

enum class Kind : std::uint8_t {
#define KIND(name, value, what) name = value,
#include "contract/kinds.def"
  all = 255,  // Account only: the sum over the kinds that are device memory of this process
};

/// As the documents say it. Static text; "unknown" for a value of a newer version.
constexpr const char* name_of(Layer layer) { return layer == Layer::tensor ? "tensor" : "cuda"; }
constexpr const char* name_of(Kind kind) {
  switch (kind) {
#define KIND(name, value, what) \
  case Kind::name:              \
    return #name;
#include "contract/kinds.def"
    case Kind::all:
      return "all";
  }
  return "unknown";
}

enum class ExtentType : std::uint32_t {
  free = 0,      // reserved, not in use
  header = 1,    // Header
  log = 2,       // RecordHeader + payload, repeated
  sites = 3,     // Site[]
  blocks = 4,    // Block[]
  timeline = 5,  // Timeline
  history = 6,   // HistoryChunk (only with --history)
  pending = 7,   // Pending[]; in version 2 one PendingV2
};

enum class RecordType : std::uint32_t {
  torn = 0,  // reserved but never committed
  string = 1,
  module = 2,
  code = 3,
  stack = 4,
  oom = 5,
  note = 6,
  module_gone = 7,
  label = 8,
  context = 9,
  heap_graph = 16,  // HeapGraphRecord (heap_graph.hpp)
};

enum class EndKind : std::uint32_t { running = 0, exit = 1, signal = 2 };  // what the process itself could write

// ---- extents ---------------------------------------------------------------------------------------------------

/// Written by the launcher when the process is gone (report/load/seal.hpp): until then, all zero.
struct Seal {
  std::uint32_t mark;   // seal_mark
  std::uint32_t crc32;  // of the whole run, this Seal taken for zero
};
inline constexpr std::uint32_t seal_mark = 0x4c414553;  // "SEAL"

struct ExtentHeader {     // at the start of every extent
  std::uint32_t type;     // ExtentType, stored last (release): 0 = not in use
  std::uint32_t ordinal;  // which extent of its type this is, from 0
  std::uint32_t run;      // how many extents this one spans (large log records), at least 1
  std::uint32_t used;     // log: unused; others: free for the type's own use
  Seal seal;
  std::uint8_t reserved[40];
};
static_assert(sizeof(ExtentHeader) == 64);
inline constexpr std::size_t payload_bytes = extent_bytes - sizeof(ExtentHeader);

// ---- header ----------------------------------------------------------------------------------------------------

inline constexpr std::size_t max_accounts = 160;

/// Device memory that this process itself obtained: what Kind::all sums. The others (ipc: another process owns it;
/// external, registered, host_pinned: not taken from the device) have accounts of their own kind only.
constexpr bool is_device_memory(Kind kind) noexcept {
  return kind == Kind::device || kind == Kind::pool || kind == Kind::managed || kind == Kind::array ||
         kind == Kind::vmm || kind == Kind::graph || kind == Kind::block;
}

/// The account whose peak a site of this kind is measured at (Site::peak_epoch).
constexpr Kind peak_kind(Kind kind) noexcept { return is_device_memory(kind) ? Kind::all : kind; }

/// Totals of one (layer, device, kind). `kind == all` sums the device-memory kinds of a (layer, device) and drives
/// the peak epoch of that device's sites. Written under the ledger's lock of that layer.
struct Account {
  std::uint8_t used;  // 1 = valid, stored last
  std::uint8_t layer;
  std::uint8_t kind;
  std::uint8_t reserved0;
  std::int16_t device;  // -1: host memory
  std::int16_t reserved1;
  std::uint64_t live_bytes;
  std::uint64_t live_count;
  std::uint64_t peak_bytes;
  std::uint64_t peak_time;  // ticks
  std::uint64_t allocated_bytes;
  std::uint64_t allocated_count;
  std::uint64_t freed_bytes;
  std::uint64_t freed_count;
  std::uint64_t reserved_bytes;  // tensor layer: what the allocator last said it holds; else 0
  std::uint32_t peak_step;
  std::uint32_t peak_epoch;  // counts new peaks; see Site::peak_epoch
  std::uint64_t peak_reserved_bytes;
  std::uint64_t booking;  // tensor layer, while a batch is being booked: see Pending; else 0
};
static_assert(sizeof(Account) == 104);

/// Pairs (ticks, monotonic nanoseconds) to convert ticks to time since start. `last` is refreshed now and then.
struct Clock {
  std::uint64_t start_ticks;
  std::uint64_t start_mono_ns;
  std::uint64_t start_real_ns;  // CLOCK_REALTIME at start, since the Unix epoch
  std::uint64_t last_ticks;
  std::uint64_t last_mono_ns;
  std::uint32_t kind;  // 0: ticks are CLOCK_MONOTONIC ns; 1: time stamp counter
  std::uint32_t reserved;
};
static_assert(sizeof(Clock) == 48);

/// What could not be recorded. Relaxed atomic adds; all shown in the report.
struct Losses {
  std::uint64_t dropped_events;   // allocations or frees that could not be stored (disk full, table full)
  std::uint64_t unknown_frees;    // frees of addresses never seen allocated
  std::uint64_t dropped_stacks;   // stacks that could not be interned
  std::uint64_t dropped_history;  // history events that the writer thread could not keep up with
  std::uint64_t truncated_stacks;
  std::uint64_t python_unreadable;  // stacks whose Python part could not be read
  std::uint64_t replaced_blocks;    // an allocation at an address that was still live (its free was not seen)
  std::uint64_t dropped_ooms;       // OOM events after the first max_oom_snapshots: no snapshot kept
  std::uint64_t reserved[8];
};

struct Header {  // follows the ExtentHeader of extent 0
  char magic[8];
  std::uint32_t version;
  std::uint32_t header_bytes;  // sizeof(Header) of the writer
  std::uint32_t extent_bytes;
  std::uint32_t pid;
  std::uint32_t ppid;
  std::uint32_t forked_from;  // pid whose tracing this process inherited through fork, or 0
  Clock clock;
  std::uint64_t extents;   // how many extents the file has been extended to (release)
  std::uint32_t end_kind;  // EndKind
  std::int32_t end_code;
  std::uint64_t end_ticks;
  std::uint32_t steps;        // optimizer steps seen (the step clock), relaxed
  std::uint32_t step_source;  // 0 none, 1 optimizer
  std::uint64_t sites;        // how many Site entries are in use (release)
  std::uint64_t block_slots;  // how many Block slots have ever been handed out (release)
  std::uint32_t ooms;         // OOM records written (release)
  std::uint32_t dormant;      // DormantBits (contract/dormant.hpp); on the line that every event reads
  Losses losses;
  std::uint64_t process_start_real_ns;  // CLOCK_REALTIME when the process began, or 0: not known
  std::uint64_t reserved_before;
  std::uint64_t second_order;  // 1: a backward pass built autograd nodes, to be differentiated itself
  std::uint64_t reserved[11];
  std::uint64_t machine, pid_space;  // where `pid` means something (whereabouts.hpp); 0: not known
  Account accounts[max_accounts];
};
static_assert(sizeof(Header) + sizeof(ExtentHeader) <= extent_bytes);

// ---- tables (arrays of fixed-size entries, entry i in extent i / per_extent of the type) -------------------------

/// Counters of one call site = (layer, kind, device, stack, forward stack). Written under the ledger's lock.
struct Site {
  StackId stack;
  std::uint32_t used;  // 1 = valid, stored last
  StackId forward;     // where a backward allocation's node was made, or no_stack
  std::uint8_t layer;
  std::uint8_t kind;
  std::int16_t device;
  std::uint64_t live_bytes;
  std::uint64_t live_count;
  std::uint64_t largest_bytes;  // the largest single allocation ever
  std::uint64_t allocated_bytes;
  std::uint64_t allocated_count;
  std::uint64_t freed_bytes;
  std::uint64_t freed_count;
  std::uint64_t first_time;
  std::uint64_t last_time;  // of an allocation
  std::uint64_t last_free_time;
  std::uint64_t own_peak_bytes;  // the most this site ever held
  // Bytes at the device's last peak, kept lazily: valid if peak_epoch equals the account's, else it is live_bytes.
  std::uint64_t at_peak_bytes;
  std::uint64_t at_peak_count;
  std::uint32_t peak_epoch;
  std::uint32_t first_step;
  std::uint32_t last_step;
  std::uint32_t freed_late;         // frees of blocks that had lived for two steps or more: what a bounded buffer does
  std::uint32_t raised_epoch;       // the last new peak that an allocation of this site made; see Account::peak_epoch
  std::uint32_t freed_in_backward;  // frees by a thread that runs a backward pass
  // How its level went: what it never fell below between one point and the next (site_floor.hpp).
  std::uint32_t floor;        // since the last point, in units of floor_unit bytes
  std::uint8_t floor_stride;  // log2 of the allocations from point to point
  std::uint8_t floor_scale;   // a point stands for floor_unit << floor_scale bytes
  std::uint8_t floor_points[10];
};
static_assert(sizeof(Site) == 160);

/// One live allocation. A slot is free when address is 0; address is stored last on allocation, cleared first on free.
struct Block {
  std::uint64_t address;  // device or host address, or a handle (kinds vmm, array)
  std::uint64_t bytes;
  std::uint64_t time;    // ticks
  std::uint64_t stream;  // kind vmm, which has none: the address where it is mapped (the last one), or 0
  std::uint32_t site;    // index into the Site table
  std::uint32_t step;
  std::uint32_t thread;  // kernel thread id
  std::uint32_t flags;   // reserved, 0
};
static_assert(sizeof(Block) == 48);

inline constexpr std::size_t sites_per_extent = payload_bytes / sizeof(Site);
inline constexpr std::size_t blocks_per_extent = payload_bytes / sizeof(Block);

/// An event of the tensor layer that the tables do not know yet.
struct PendingEvent {
  std::uint64_t address;
  std::uint64_t bytes;           // 0: a free
  std::uint64_t reserved_bytes;  // what the allocator holds after it
  std::uint64_t time;            // ticks
  StackId stack;                 // this and `forward`: of an allocation
  StackId forward;
  std::uint32_t step;
  std::uint32_t thread;  // of a free: freed_in_backward or 0
};
static_assert(sizeof(PendingEvent) == 48);
inline constexpr std::size_t pending_events = 512;
inline constexpr std::uint32_t freed_in_backward = 1;  // by a thread that ran an autograd node when it last allocated

/// A ring of events that wait: of one thread and one device, so that threads share no cache line while they record.
/// They are booked together, those of all threads in the order of their times: most of a single event's cost would be
/// to bring the ledger's code and tables back into the caches. Event n stands in place n % pending_events; those from
/// `booked` up to `written` wait, except that while a batch is being booked (Account::booking is not 0) those up to the
/// time that Account::booking holds are done. Who reads the file books what is left (pending_replay.hpp).
struct Pending {
  std::uint64_t written;  // by the thread, after the event; the other line by who books
  std::int16_t device;
  std::uint16_t reserved0[3];
  std::uint64_t reserved1[6];
  std::uint64_t booked;
  std::uint64_t reserved2[7];
  PendingEvent events[pending_events];
};
static_assert(sizeof(Pending) == 128 + pending_events * sizeof(PendingEvent) && sizeof(Pending) % 64 == 0);
inline constexpr std::size_t pendings_per_extent = payload_bytes / sizeof(Pending);

/// Version 2: an extent for each device. An event waits while its time is not 0.
struct PendingV2 {
  std::uint32_t batches;  // odd while a batch is being booked
  std::int16_t device;
  std::uint16_t reserved0;
  std::uint64_t reserved[7];
  PendingEvent events[64];
};
static_assert(sizeof(PendingV2) == 64 + 64 * sizeof(PendingEvent));

/// One account's decimating time series; the accounts that sites are measured at (peak_kind) have one. Time since the
/// clock's start is cut into intervals; an interval in which something happened has a point: the largest live_bytes of
/// it (with the moment it was reached) and, where the next interval is empty, another point for the level it left
/// behind. When all points are used, the interval doubles and points that fall together are merged (the larger one
/// stays): no peak is ever lost.
struct TimelinePoint {
  std::uint64_t time;
  std::uint64_t live_bytes;
  std::uint64_t reserved_bytes;
  std::uint32_t step;
  std::uint32_t events;  // allocations and frees merged into this point
};
inline constexpr std::size_t timeline_points = 2000;
struct Timeline {          // payload of an extent of type timeline
  std::uint32_t account;   // index into Header::accounts
  std::uint32_t count;     // points in use
  std::uint64_t interval;  // ticks
  TimelinePoint points[timeline_points];
};
static_assert(sizeof(Timeline) <= payload_bytes);

/// A chunk of the event history (--history): payload of an extent run of type history, followed by `used` bytes of
/// coded events (history_codec.hpp). Each chunk can be decoded alone; those of one shard follow each other in time.
struct HistoryChunk {
  std::uint32_t shard;        // 0: the cuda layer; 1 + d: device d of the tensor layer
  std::uint32_t time_shift;   // times are kept in units of 2^time_shift ticks
  std::uint64_t first_time;   // in units: the first event's delta counts from here
  std::uint64_t first_event;  // events of this shard in earlier chunks
  std::uint32_t first_step;
  std::uint32_t events;  // in this chunk
  std::uint32_t used;    // bytes of whole events, stored last (release)
  std::uint32_t reserved0;
  std::uint64_t reserved[3];
};
static_assert(sizeof(HistoryChunk) == 64);
inline constexpr std::uint32_t history_run = 8;  // extents of a chunk

// ---- log records -------------------------------------------------------------------------------------------------
// A record starts at a multiple of 8 after its extent's header: RecordHeader, payload, padding to 8. `bytes` is stored
// when the space is reserved, `type` last (release). bytes == 0 ends an extent; type == 0 is a torn record: skip it.
// A record that does not fit into payload_bytes gets an extent run of its own.

struct RecordHeader {
  std::uint32_t bytes;  // of the payload
  std::uint32_t type;   // RecordType
};

struct StringRecord {  // then: the bytes, no terminator. Ids are dense from 0, in order of writing; id 0 is "".
  std::uint32_t id;
};

struct ModuleRecord {  // a loaded ELF object. Valid for stacks written later, until module_gone with the same id.
  std::uint32_t id;
  std::uint32_t path;        // string id
  std::uint64_t base;        // load bias
  std::uint64_t start, end;  // mapped range of its segments
  std::uint32_t build_id_bytes;
  std::uint8_t build_id[20];
};

struct ModuleGoneRecord {
  std::uint32_t id;
};

struct CodeRecord {  // a CPython code object. then: line_table_bytes of co_linetable (3.10+) or co_lnotab (3.9)
  std::uint32_t id;
  std::uint32_t file;  // string ids
  std::uint32_t name;
  std::uint32_t qualname;  // 0 where the version has none (before 3.11)
  std::int32_t first_line;
  std::uint32_t version;  // major << 8 | minor
  std::uint32_t line_table_bytes;
};

/// then: python_frames + native_frames words of 8 bytes, both innermost first.
/// A native frame is a return address (the innermost: an address inside the function). A Python frame is
/// python_frame_bit | entry_bit (the outermost Python frame of its C evaluation) | code id << 32 | instruction offset
/// in bytes (0xffffffff: unknown).
struct StackRecord {
  StackId id;
  std::uint16_t python_frames;
  std::uint16_t native_frames;
  std::uint32_t flags;   // StackFlags
  std::uint16_t module;  // label of the innermost nn.Module that is being called, or 0
  std::uint16_t range;   // label of the innermost range that the thread has opened, or 0
};
inline constexpr std::uint64_t python_frame_bit = 1ull << 63;
inline constexpr std::uint64_t entry_bit = 1ull << 62;
inline constexpr std::uint32_t unknown_offset = 0xffffffffu;
enum StackFlags : std::uint32_t {
  stack_truncated = 1,          // more frames than the limit
  stack_python_unreadable = 2,  // the interpreter's frames could not be read
  stack_no_python = 4,          // the thread has no Python state (or recording of Python stacks is off)
  stack_no_native = 8,          // native stacks are off
};

enum class LabelKind : std::uint32_t { module = 0, range = 1 };

/// What runs, besides its line. Ids of all kinds together are dense from 1.
struct LabelRecord {
  std::uint32_t id;
  std::uint32_t kind;  // LabelKind
  std::uint32_t name;  // string id: the class of an nn.Module (the agent's note `seen[]` says which), a range's name
  std::uint32_t reserved;
  std::uint64_t address;  // of the module's object
};

/// A CUDA context came into being, or went. What it takes from the device is known to the driver alone.
struct ContextRecord {
  std::uint64_t time;
  std::uint64_t handle;  // of one that the program made; 0: the device's primary context
  StackId stack;         // of the call that made it; no_stack when it went
  std::uint32_t thread;
  std::int16_t device;
  std::uint8_t begins;  // 1: it came into being, 0: it went
  std::uint8_t reserved[5];
};
static_assert(sizeof(ContextRecord) == 32);

struct OomRecord {  // then: Block[blocks], the live set of both layers at that moment (flags: 1 = truncated)
  std::uint32_t n;  // from 1
  std::uint8_t layer;
  std::uint8_t reserved0;
  std::int16_t device;
  std::uint64_t time;
  std::uint64_t requested_bytes;
  std::uint64_t live_bytes;
  std::uint64_t reserved_bytes;
  StackId stack;
  std::uint32_t step;
  std::uint32_t thread;
  std::uint32_t flags;
  std::uint64_t blocks;
};
inline constexpr std::uint32_t max_oom_snapshots = 16;

/// A named JSON (or plain text) value: facts that only the process knew. Keys in use are listed in trace-format.md;
/// a later note with the same key and same n replaces the earlier one, except keys that end in "[]", which add up.
struct NoteRecord {   // then: the bytes of the value
  std::uint32_t key;  // string id
  std::uint32_t n;    // OOM number that it belongs to, or 0
};

}  // namespace vramtrack::trace
