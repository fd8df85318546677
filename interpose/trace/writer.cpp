// See writer.hpp. Locks here are leaves: nothing outside this file is called while one is held, except the kernel.
#include "interpose/trace/writer.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <new>

#include "contract/whereabouts.hpp"
#include "interpose/core/clock.hpp"
#include "interpose/core/error_text.hpp"
#include "interpose/core/lock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/core/no_cancel.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/core/say.hpp"
#include "interpose/core/tag_table.hpp"
#include "interpose/trace/trace_name.hpp"

namespace vramtrack::trace {

namespace {

// The file is mapped in regions of consecutive extents, each reserved as address space at once, so that the mapping
// stays in a few areas however often it grows. Where address space is limited, a region is a small part of what is
// left.
constexpr std::uint32_t max_region_extents = 1u << 18;  // 16 GiB
constexpr std::uint32_t min_region_extents = 1u << 6;
constexpr std::uint32_t max_regions = 4096;
constexpr std::uint32_t max_table_extents = 1u << 20;
constexpr std::size_t max_string_bytes = 1u << 20;

// Moves a descriptor out of the low numbers, which some programs count on.
int out_of_the_way(int file) {
  if (file < 0) return file;
  const int high = ::fcntl(file, F_DUPFD_CLOEXEC, 700);
  if (high < 0) return file;
  ::close(file);
  return high;
}

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 7) / 8 * 8; }

}  // namespace

struct Writer::State {
  char path[longest_name];
  int file = -1;
  dev_t device = 0;
  ino_t inode = 0;

  SpinLock grow_lock;  // protects the next group
  std::byte* regions[max_regions] = {};
  std::uint32_t region_extents = 0;
  std::uint32_t granted = 0;  // extents that are allocated on disk and mapped
  std::uint32_t next = 0;     // extents handed out
  std::uint32_t ordinals[16] = {};
  bool full = false;

  SpinLock log_lock;  // protects the next group
  std::byte* log_at = nullptr;
  std::size_t log_left = 0;

  SpinLock string_lock;  // protects the next group
  TagTable string_index;
  GrowingArray<std::byte*> strings;  // StringRecord of each id
  std::uint32_t string_count = 0;

  SpinLock table_lock;  // growth of the tables
  GrowingArray<std::byte*> site_extents, block_extents, pending_extents;

  std::byte* extent(std::uint32_t index) const {
    return regions[index / region_extents] + std::size_t{index % region_extents} * extent_bytes;
  }
  bool reserve_region(std::uint32_t region);
  bool own_file();
  bool grow_to(std::uint32_t extents, Header* header);
  bool grant(std::uint32_t extents);
  std::byte* add_extents(ExtentType type, std::uint32_t run, Header* header);
  void stop(const char* what, int error);
};

void Writer::State::stop(const char* what, int error) {
  if (full) return;
  full = true;
  say(what, ": ", ErrorText{error}, ": ", path, " stops growing; what follows is counted as lost");
}

bool Writer::State::reserve_region(std::uint32_t region) {
  if (region >= max_regions) return false;
  if (regions[region] != nullptr) return true;
  const auto map = [](std::uint32_t extents) { return reserve_addresses(std::size_t{extents} * extent_bytes); };
  void* address = nullptr;
  if (region_extents != 0) {
    address = map(region_extents);
  } else {
    const std::size_t share = address_room() / 32 / extent_bytes;
    for (std::uint32_t extents = max_region_extents; extents >= min_region_extents && address == nullptr;
         extents /= 4) {
      region_extents = extents;
      if (extents <= share || extents == min_region_extents) address = map(extents);
    }
  }
  if (address == nullptr) return false;
  regions[region] = static_cast<std::byte*>(address);
  return true;
}

// The host may have closed our descriptor (daemons close all) and opened another file under its number: never grow a
// stranger's file.
bool Writer::State::own_file() {
  struct stat now;
  const auto is_ours = [&](int fd) {
    return fd >= 0 && ::fstat(fd, &now) == 0 && now.st_dev == device && now.st_ino == inode;
  };
  if (is_ours(file)) return true;
  file = out_of_the_way(::open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (file < 0) return false;
  if (is_ours(file)) {
    ::flock(file, LOCK_EX | LOCK_NB);
    return true;
  }
  ::close(file);
  file = -1;
  return false;
}

// Allocates and maps the file's extents up to `extents`, within one region.
bool Writer::State::grant(std::uint32_t extents) {
  const std::uint32_t region = granted / region_extents;
  const off_t from = static_cast<off_t>(granted) * static_cast<off_t>(extent_bytes);
  const off_t bytes = static_cast<off_t>(extents - granted) * static_cast<off_t>(extent_bytes);
  rlimit limit;
  // Beyond the limit the kernel would send SIGXFSZ, whose default is to kill the host.
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      static_cast<rlim_t>(from + bytes) > limit.rlim_cur) {
    errno = EFBIG;
    return false;
  }
  int error = EINTR;
  for (int tries = 0; error == EINTR && tries < 100; ++tries) error = ::posix_fallocate(file, from, bytes);
  if (error != 0) {
    errno = error;
    return false;
  }
  std::byte* const address = regions[region] + std::size_t{granted % region_extents} * extent_bytes;
  if (::mmap(address, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, from) ==
      MAP_FAILED)
    return false;
  ::madvise(address, static_cast<std::size_t>(bytes), MADV_DONTFORK);
  granted = extents;
  return true;
}

bool Writer::State::grow_to(std::uint32_t extents, Header* header) {
  const SavedErrno keep;
  const NoCancel no_cancel;
  const SignalsWait signals_wait;
  if (full) return false;
  if (!own_file()) {
    stop("the trace file is gone", errno);
    return false;
  }
  while (granted < extents) {
    const std::uint32_t region = granted / region_extents;
    if (!reserve_region(region)) {
      stop("no address space for the trace", errno);
      return false;
    }
    const std::uint32_t region_end = (region + 1) * region_extents;
    // Small files stay small; large ones grow in steps that cost well under a millisecond.
    std::uint32_t step = granted / 8;
    if (step > 32) step = 32;
    if (step < 4) step = 4;
    std::uint32_t target = extents > granted + step ? extents : granted + step;
    if (target > region_end) target = region_end;
    const std::uint32_t least = extents < region_end ? extents : region_end;
    if (!grant(target) && (least == target || !grant(least))) {
      stop("the trace cannot grow", errno);
      return false;
    }
  }
  if (header != nullptr) std::atomic_ref(header->extents).store(granted, std::memory_order_release);
  return true;
}

std::byte* Writer::State::add_extents(ExtentType type, std::uint32_t run, Header* header) {
  const LockGuard guard(grow_lock);
  if (run == 0 || run > region_extents) return nullptr;
  std::uint32_t first = next;
  if (first % region_extents + run > region_extents) first = (first / region_extents + 1) * region_extents;
  if (first + run > granted && !grow_to(first + run, header)) return nullptr;
  next = first + run;
  auto* const extent_header = reinterpret_cast<ExtentHeader*>(extent(first));
  extent_header->ordinal = ordinals[static_cast<std::uint32_t>(type)]++;
  extent_header->run = run;
  std::atomic_ref(extent_header->type).store(static_cast<std::uint32_t>(type), std::memory_order_release);
  return reinterpret_cast<std::byte*>(extent_header + 1);
}

bool Writer::extend(Table& table, ExtentType type, std::uint32_t extent) noexcept {
  auto& extents = type == ExtentType::sites    ? state_->site_extents
                  : type == ExtentType::blocks ? state_->block_extents
                                               : state_->pending_extents;
  const LockGuard guard(state_->table_lock);
  for (std::uint32_t have = table.count.load(std::memory_order_relaxed); have <= extent; ++have) {
    std::byte** const place = have < max_table_extents ? extents.at(have) : nullptr;
    if (place == nullptr || (*place = add_extents(type, 1)) == nullptr) return false;
    if (have == 0) table.payloads = &extents[0];  // never moves
    table.count.store(have + 1, std::memory_order_release);
  }
  return true;
}

Writer* Writer::create(const char* path, std::uint32_t forked_from, std::uint64_t process_start_real_ns) noexcept {
  const SavedErrno keep;
  const auto fail = [path](const char* what) -> Writer* {
    say("cannot record: ", what, " ", path, ": ", ErrorText{errno});
    return nullptr;
  };
  auto* const memory = static_cast<std::byte*>(map_pages(sizeof(Writer) + sizeof(State) + 64));
  if (memory == nullptr) return fail("no memory for");
  auto* const writer = new (memory) Writer();
  State& state = *new (memory + (sizeof(Writer) + 63) / 64 * 64) State();
  writer->state_ = &state;

  Line full_path;
  if (path[0] != '/') {
    char directory[960];
    if (::getcwd(directory, sizeof directory) == nullptr) return fail("no current directory for");
    full_path << directory << "/";
  }
  full_path << path;
  if (full_path.text().size() > 1000) return fail("too long a path:");

  // Made under another name and locked, so that a trace under its own name is always whole, and locked while its
  // process lives. Never truncated in place: a reader may have the old file mapped.
  std::memcpy(state.path, full_path.c_str(), full_path.text().size() + 1);
  char part[longest_name];
  if (!temporary_name(state.path, part, sizeof part)) return fail("too long a path:");
  state.file = out_of_the_way(::open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (state.file < 0) return fail("cannot create");
  ::flock(state.file, LOCK_EX | LOCK_NB);
  struct stat status;
  if (::fstat(state.file, &status) != 0) return fail("cannot look at");
  state.device = status.st_dev;
  state.inode = status.st_ino;

  if (!state.site_extents.reserve(max_table_extents) || !state.block_extents.reserve(max_table_extents) ||
      !state.pending_extents.reserve(max_table_extents) || !state.strings.reserve(1u << 24) ||
      !state.reserve_region(0)) {
    ::unlink(part);
    return fail("no address space for");
  }
  std::byte* const first = state.add_extents(ExtentType::free, 1, nullptr);
  if (first == nullptr) {
    ::unlink(part);
    return nullptr;  // the reason was told
  }
  auto& header = *new (first) Header();
  writer->header_ = &header;
  header.version = format_version;
  header.header_bytes = sizeof(Header);
  header.extent_bytes = extent_bytes;
  header.pid = static_cast<std::uint32_t>(::getpid());
  header.ppid = static_cast<std::uint32_t>(::getppid());
  header.forked_from = forked_from;
  header.process_start_real_ns = process_start_real_ns;
  const Whereabouts here = own_whereabouts();
  header.machine = here.machine;
  header.pid_space = here.pids;
  clock_start(header.clock);
  header.extents = state.granted;
  std::memcpy(header.magic, magic, sizeof magic);
  std::atomic_ref(reinterpret_cast<ExtentHeader*>(first - sizeof(ExtentHeader))->type)
      .store(static_cast<std::uint32_t>(ExtentType::header), std::memory_order_release);
  writer->intern("");
  if (take_name(part, state.path, header)) return writer;
  {
    const SavedErrno why;
    ::unlink(part);
  }
  return fail("cannot create");
}

void Writer::close_in_child() noexcept {
  const SavedErrno keep;
  struct stat now;
  if (state_->file >= 0 && ::fstat(state_->file, &now) == 0 && now.st_dev == state_->device &&
      now.st_ino == state_->inode)
    ::close(state_->file);
  state_->file = -1;
}

std::byte* Writer::begin_record(std::size_t bytes) noexcept {
  State& state = *state_;
  const std::size_t whole = sizeof(RecordHeader) + padded(bytes);
  RecordHeader* record = nullptr;
  {
    const LockGuard guard(state.log_lock);
    if (whole > payload_bytes) {
      const std::size_t run = (whole + sizeof(ExtentHeader) + extent_bytes - 1) / extent_bytes;
      if (bytes > 0xffffffffu) return nullptr;
      record =
          reinterpret_cast<RecordHeader*>(state.add_extents(ExtentType::log, static_cast<std::uint32_t>(run), header_));
      // What comes later stands later in the file: the order of records is the order of events.
      if (record != nullptr) state.log_left = 0;
    } else {
      if (whole > state.log_left) {
        std::byte* const fresh = state.add_extents(ExtentType::log, 1, header_);
        if (fresh == nullptr) return nullptr;
        state.log_at = fresh;
        state.log_left = payload_bytes;
      }
      record = reinterpret_cast<RecordHeader*>(state.log_at);
      state.log_at += whole;
      state.log_left -= whole;
    }
    if (record != nullptr)
      std::atomic_ref(record->bytes).store(static_cast<std::uint32_t>(bytes), std::memory_order_release);
  }
  return record == nullptr ? nullptr : reinterpret_cast<std::byte*>(record + 1);
}

void Writer::commit_record(std::byte* payload, RecordType type) noexcept {
  auto* const record = reinterpret_cast<RecordHeader*>(payload) - 1;
  std::atomic_ref(record->type).store(static_cast<std::uint32_t>(type), std::memory_order_release);
}

bool Writer::append(RecordType type, const void* fixed, std::size_t fixed_bytes, const void* tail,
                    std::size_t tail_bytes) noexcept {
  std::byte* const payload = begin_record(fixed_bytes + tail_bytes);
  if (payload == nullptr) return false;
  std::memcpy(payload, fixed, fixed_bytes);
  if (tail_bytes != 0) std::memcpy(payload + fixed_bytes, tail, tail_bytes);
  commit_record(payload, type);
  return true;
}

std::uint32_t Writer::intern(std::string_view text) noexcept {
  State& state = *state_;
  if (text.size() > max_string_bytes) text = text.substr(0, max_string_bytes);
  std::uint64_t hash = mix64(text.size() + 1);
  for (std::size_t at = 0; at < text.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, text.size() - at < 8 ? text.size() - at : 8);
    hash = mix64(hash ^ word);
  }
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  const LockGuard guard(state.string_lock);
  const std::uint32_t known = state.string_index.find(tag, [&](std::uint32_t id) {
    const std::byte* const payload = state.strings[id];
    const std::size_t bytes = reinterpret_cast<const RecordHeader*>(payload)[-1].bytes - sizeof(StringRecord);
    return bytes == text.size() && std::memcmp(payload + sizeof(StringRecord), text.data(), bytes) == 0;
  });
  if (known != TagTable::none) return known;
  const std::uint32_t id = state.string_count;
  std::byte** const place = state.strings.at(id);
  if (place == nullptr) return 0;
  std::byte* const payload = begin_record(sizeof(StringRecord) + text.size());
  if (payload == nullptr) return 0;
  const StringRecord fixed{id};
  std::memcpy(payload, &fixed, sizeof fixed);
  if (!text.empty()) std::memcpy(payload + sizeof fixed, text.data(), text.size());
  commit_record(payload, RecordType::string);
  *place = payload;
  ++state.string_count;
  state.string_index.insert(tag, id);  // when it fails, the string is merely written again
  return id;
}

bool Writer::note(std::string_view key, std::string_view value, std::uint32_t n) noexcept {
  const NoteRecord fixed{intern(key), n};
  if (fixed.key == 0) return false;
  return append(RecordType::note, &fixed, sizeof fixed, value.data(), value.size());
}

void Writer::finish(EndKind kind, std::int32_t code) noexcept {
  Header& h = *header_;
  clock_refresh(h.clock);
  h.end_ticks = ticks();
  h.end_code = code;
  std::atomic_ref(h.end_kind).store(static_cast<std::uint32_t>(kind), std::memory_order_release);
}

MappedPart Writer::mapped_at(const void* address) const noexcept {
  const State& state = *state_;
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const std::size_t whole = std::size_t{state.region_extents} * extent_bytes;
  for (std::uint32_t region = 0; region < max_regions && state.regions[region] != nullptr; ++region) {
    const std::uint32_t first = region * state.region_extents;
    const std::size_t usable = std::size_t{state.granted - first} * extent_bytes;
    const std::size_t bytes = usable < whole ? usable : whole;
    if (state.granted > first && at - reinterpret_cast<std::uintptr_t>(state.regions[region]) < bytes)
      return {state.regions[region], bytes};
  }
  return {};
}

const char* Writer::path() const noexcept { return state_->path; }

Timeline* Writer::add_timeline(std::uint32_t account) noexcept {
  auto* const timeline = reinterpret_cast<Timeline*>(add_extents(ExtentType::timeline, 1));
  // Until `interval` is set the reader takes it for empty.
  if (timeline != nullptr) timeline->account = account;
  return timeline;
}

std::byte* Writer::add_extents(ExtentType type, std::uint32_t run) noexcept {
  return state_->add_extents(type, run, header_);
}

void Writer::release_pages(std::byte* payload, std::size_t bytes) noexcept {
  const SavedErrno keep;
  const std::uintptr_t page = page_bytes();
  const auto from = (reinterpret_cast<std::uintptr_t>(payload) + page - 1) / page * page;
  const auto to = (reinterpret_cast<std::uintptr_t>(payload) + bytes) / page * page;
  if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

}  // namespace vramtrack::trace
