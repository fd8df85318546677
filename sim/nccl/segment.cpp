#include "sim/nccl/segment.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>

#include "sim/core/process.hpp"
#include "sim/driver/backing.hpp"

namespace vramtrack::sim::nccl {

namespace {

/// The content of a unique id. All ranks of one communicator hold the same 128 bytes.
struct Ticket {
  static constexpr std::uint64_t expected_magic = 0x6c63634e53545600ull;
  std::uint64_t magic = expected_magic;
  std::int32_t pid = 0, fd = -1;
  std::uint64_t started = 0;
  std::uint64_t nonce[2] = {};
};
static_assert(sizeof(Ticket) <= sizeof(UniqueId));

struct Header {
  std::uint64_t magic;
  std::uint64_t nonce[2];
  std::atomic<std::int32_t> ranks;
};

constexpr std::uint64_t header_bytes = 4096;

std::uint64_t records_bytes(int ranks) {
  return round_up(sizeof(RankRecord) * static_cast<std::uint64_t>(ranks), 4096);
}
std::uint64_t segment_bytes(int ranks) {
  const auto n = static_cast<std::uint64_t>(ranks);
  return header_bytes + records_bytes(ranks) + 2 * n * n * sizeof(Channel);
}

struct Own {
  std::mutex lock;
  std::map<std::uint64_t, int> files;  // by nonce
};
Own& own() {
  static Own& all = *new Own;
  return all;
}

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) {
  return syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, timeout, nullptr, 0);
}

Ticket ticket_of(const UniqueId& id) {
  Ticket ticket;
  std::memcpy(static_cast<void*>(&ticket), id.bytes, sizeof ticket);
  return ticket;
}

}  // namespace

bool Segment::create(UniqueId& id) {
  Ticket ticket;
  ticket.pid = getpid();
  ticket.started = process_start_time(ticket.pid);
  if (getrandom(ticket.nonce, sizeof ticket.nonce, 0) != static_cast<ssize_t>(sizeof ticket.nonce)) return false;
  ticket.fd = create_memory_file("vramtrack-sim-nccl", segment_bytes(max_ranks));
  if (ticket.fd < 0) return false;
  const Header header{Ticket::expected_magic, {ticket.nonce[0], ticket.nonce[1]}, 0};
  if (pwrite(ticket.fd, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) {
    close(ticket.fd);
    return false;
  }
  {
    const std::lock_guard lock(own().lock);
    own().files[ticket.nonce[0]] = ticket.fd;
  }
  std::memset(id.bytes, 0, sizeof id.bytes);
  std::memcpy(id.bytes, &ticket, sizeof ticket);
  return true;
}

void Segment::close_own(const UniqueId& id) {
  const Ticket ticket = ticket_of(id);
  if (ticket.pid != getpid()) return;
  const std::lock_guard lock(own().lock);
  const auto found = own().files.find(ticket.nonce[0]);
  if (found == own().files.end()) return;
  close(found->second);
  own().files.erase(found);
}

Segment* Segment::open(const UniqueId& id, int ranks, std::string& why) {
  const Ticket ticket = ticket_of(id);
  if (ticket.magic != Ticket::expected_magic) {
    why = "the unique id was not made by ncclGetUniqueId of the simulated GPU";
    return nullptr;
  }
  if (ranks > max_ranks) {
    why = "the simulated NCCL joins at most " + std::to_string(max_ranks) + " processes";
    return nullptr;
  }
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/fd/%d", ticket.pid, ticket.fd);
  const int fd = ::open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    const char* const reason = std::strerror(errno);
    why = "the process " + std::to_string(ticket.pid) + " that made the unique id cannot be reached (" + reason +
          "): ranks must run on one machine, as one user, and that process must live until all have joined";
    return nullptr;
  }
  struct stat facts {};
  void* memory = MAP_FAILED;
  const std::uint64_t bytes = segment_bytes(ranks);
  if (fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_uid == geteuid() &&
      static_cast<std::uint64_t>(facts.st_size) >= bytes) {
    memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  }
  close(fd);
  if (memory == MAP_FAILED) {
    why = "the memory that the unique id names cannot be mapped";
    return nullptr;
  }
  auto* header = static_cast<Header*>(memory);
  std::int32_t expected = 0;
  if (header->magic != Ticket::expected_magic || header->nonce[0] != ticket.nonce[0] ||
      header->nonce[1] != ticket.nonce[1]) {
    why = "the process that made the unique id has ended";
  } else if (!header->ranks.compare_exchange_strong(expected, ranks) && expected != ranks) {
    why = "other ranks of this communicator were told of " + std::to_string(expected) + " ranks, this one of " +
          std::to_string(ranks);
  }
  if (!why.empty()) {
    munmap(memory, bytes);
    return nullptr;
  }
  madvise(memory, bytes, MADV_DONTDUMP);
  auto* segment = new Segment;
  segment->m_memory = memory;
  segment->m_bytes = bytes;
  segment->m_ranks = ranks;
  segment->m_records = reinterpret_cast<RankRecord*>(static_cast<char*>(memory) + header_bytes);
  segment->m_channels = reinterpret_cast<Channel*>(static_cast<char*>(memory) + header_bytes + records_bytes(ranks));
  return segment;
}

Segment::~Segment() { munmap(m_memory, m_bytes); }

Channel& Segment::channel(bool point_to_point, int from, int to) const {
  const auto n = static_cast<std::size_t>(m_ranks);
  return m_channels[((point_to_point ? n : 0) + static_cast<std::size_t>(from)) * n + static_cast<std::size_t>(to)];
}

void Segment::ring(int rank) const {
  RankRecord& to = record(rank);
  to.bell.fetch_add(1);
  if (to.sleepers.load() != 0) futex(to.bell, FUTEX_WAKE, INT_MAX, nullptr);
}

void Segment::listen(int rank, std::uint32_t seen, int milliseconds) const {
  RankRecord& self = record(rank);
  const timespec timeout{milliseconds / 1000, milliseconds % 1000 * 1000000l};
  self.sleepers.fetch_add(1);
  if (self.bell.load() == seen) futex(self.bell, FUTEX_WAIT, seen, &timeout);
  self.sleepers.fetch_sub(1);
}

bool Segment::alive(int rank) const {
  const RankRecord& other = record(rank);
  const pid_t pid = other.pid.load();
  return pid == getpid() || process_start_time(pid) == other.started;
}

}  // namespace vramtrack::sim::nccl
