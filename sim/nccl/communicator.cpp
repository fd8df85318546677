#include "sim/nccl/communicator.hpp"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "contract/sim_settings.hpp"
#include "sim/core/process.hpp"

namespace vramtrack::sim::nccl {

namespace {

constexpr int look_milliseconds = 200;  // how often a waiting rank looks whether the others still live

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

/// Seconds that a rank waits for others without anything moving.
double patience() {
  const char* text = std::getenv(nccl_timeout_variable);
  const double seconds = text != nullptr ? std::strtod(text, nullptr) : 0;
  return seconds > 0 ? seconds : 1800;
}

/// The processes of one `vramtrack run` share a state file: they are on one simulated machine.
std::uint64_t this_host() {
  const char* text = std::getenv(state_variable);
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char* at = text != nullptr ? text : ""; *at != '\0'; ++at) {
    hash = (hash ^ static_cast<unsigned char>(*at)) * 0x100000001b3ull;
  }
  return hash;
}

int bus_of(int device) {
  const auto get = driver_function<CUresult(int*, CUdevice_attribute, CUdevice)>("cuDeviceGetAttribute");
  int bus = device;
  if (get != nullptr) get(&bus, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, device);
  return bus;
}

void say(const std::string& what) {
  const std::string line = "vramtrack-sim: nccl: " + what + "\n";
  const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
  (void)written;
}

std::string rank_words(const Segment& segment, int rank) {
  return "rank " + std::to_string(rank) + " (pid " + std::to_string(segment.record(rank).pid.load()) + ")";
}

}  // namespace

Communicator::~Communicator() {
  for (const auto& batch : m_failed) stream_work().release(batch->work);
}

std::string Communicator::last_error() const {
  const std::lock_guard lock(m_lock);
  return m_last_error;
}

int Communicator::fail(int result, const std::string& what) {
  {
    const std::lock_guard lock(m_lock);
    m_last_error = what;
  }
  state.store(result);
  say(what);
  return result;
}

bool Communicator::gone(int peer, std::string& why) const {
  const auto presence = static_cast<Presence>(m_segment->record(peer).presence.load());
  const char* how = nullptr;
  if (presence == Presence::left) how = " has destroyed its communicator";
  if (presence == Presence::aborted) how = " has aborted its communicator";
  if (presence == Presence::failed) how = " has failed";
  if (how == nullptr && !m_segment->alive(peer)) how = " has ended";
  if (how == nullptr) return false;
  why = rank_words(*m_segment, peer) + how;
  return true;
}

int Communicator::join(const UniqueId& id) {
  const int result = join_segment(id);
  if (result != success && m_segment != nullptr && m_joined) {
    m_segment->record(m_rank).presence.store(static_cast<std::uint32_t>(Presence::failed));
    for (int peer = 0; peer < m_ranks; ++peer) m_segment->ring(peer);
  }
  return result;
}

int Communicator::join_segment(const UniqueId& id) {
  std::string why;
  const std::string who = "rank " + std::to_string(m_rank) + " of " + std::to_string(m_ranks) + ": ";
  m_segment.reset(Segment::open(id, m_ranks, why));
  if (m_segment == nullptr) return fail(system_error, who + why);
  RankRecord& self = m_segment->record(m_rank);
  std::int32_t nobody = 0;
  if (!self.pid.compare_exchange_strong(nobody, getpid())) {
    return fail(invalid_usage, who + "process " + std::to_string(nobody) + " has joined as this rank already");
  }
  m_joined = true;
  self.started = process_start_time(getpid());
  self.host = this_host();
  self.bus = bus_of(m_device);
  self.ready.store(1);
  for (int peer = 0; peer < m_ranks; ++peer) m_segment->ring(peer);

  const double give_up = now() + patience();
  for (int peer = 0; peer < m_ranks;) {
    const std::uint32_t seen = self.bell.load();
    const RankRecord& other = m_segment->record(peer);
    if (m_stopped) return in_progress;
    if (other.ready.load() == 0) {
      if (now() > give_up) {
        return fail(system_error, who + "rank " + std::to_string(peer) + " has not come within " +
                                      std::to_string(static_cast<long>(patience())) + " s");
      }
      for (int known = 0; known < m_ranks; ++known) {
        if (m_segment->record(known).ready.load() != 0 && gone(known, why)) {
          return fail(remote_error, who + why + " while the communicator was made");
        }
      }
      m_segment->listen(m_rank, seen, look_milliseconds);
      continue;
    }
    if (peer != m_rank && other.host == self.host && other.bus == self.bus) {
      return fail(invalid_usage, "Duplicate GPU detected : rank " + std::to_string(m_rank) + " and rank " +
                                     std::to_string(peer) + " both on the device with PCI bus " +
                                     std::to_string(self.bus));
    }
    ++peer;
  }
  // Whoever made the id may close it: nobody needs to find it any more.
  for (int peer = 0; peer < m_ranks; ++peer) m_segment->ring(peer);
  Segment::close_own(id);
  return success;
}

int Communicator::submit(std::vector<Operation> operations) {
  if (m_abandoned) return invalid_usage;
  if (const int now_state = state.load(); now_state != success) return now_state;
  auto batch = std::make_shared<Batch>();
  std::vector<void*> streams;
  std::vector<vramtrack_sim_range> ranges;
  for (const Operation& one : operations) {
    if (std::find(streams.begin(), streams.end(), one.stream) == streams.end()) streams.push_back(one.stream);
    if (const auto bytes = source_bytes(one, m_ranks, m_rank); bytes != 0) ranges.push_back({one.source, bytes});
    if (const auto bytes = target_bytes(one, m_ranks, m_rank); bytes != 0) ranges.push_back({one.target, bytes});
  }
  {
    const std::lock_guard lock(m_lock);
    for (Operation& one : operations) {
      if (!is_point_to_point(one.kind)) one.sequence = ++m_sequence;
    }
    batch->operations = std::move(operations);
    if (stream_work().begin(m_device, streams.data(), streams.size(), ranges.data(), ranges.size(), &batch->work) !=
        0) {
      return unhandled_cuda_error;
    }
    m_queue.push_back(std::move(batch));
    start_worker();
  }
  m_changed.notify_all();
  return success;
}

void Communicator::run_now(std::vector<Operation> operations) {
  auto batch = std::make_shared<Batch>();
  std::unique_lock lock(m_lock);
  if (ended() || state.load() != success) return;
  for (Operation& one : operations) {
    if (!is_point_to_point(one.kind)) one.sequence = ++m_sequence;
  }
  batch->operations = std::move(operations);
  m_queue.push_back(batch);
  start_worker();
  m_changed.notify_all();
  m_changed.wait(lock, [&] { return batch->done; });
}

/// The thread takes no signals of the program, and is not joined: a program may leave while it waits for another rank.
void Communicator::start_worker() {
  if (m_worker) return;
  m_worker = true;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([self = shared_from_this()] { self->work(); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Communicator::work() {
  std::unique_lock lock(m_lock);
  while (true) {
    m_changed.wait(lock, [&] { return m_stopped || !m_queue.empty(); });
    if (m_stopped) return;
    const auto batch = m_running = m_queue.front();
    m_queue.pop_front();
    lock.unlock();
    if (batch->work != nullptr) stream_work().await_turn(batch->work);
    lock.lock();
    if (batch->done) {  // released while it waited for its turn
      m_running.reset();
      if (batch->work != nullptr) stream_work().release(batch->work);
      continue;
    }
    m_moving = true;
    lock.unlock();
    const bool good = state.load() == success && run(*batch);
    lock.lock();
    m_moving = false;
    m_running.reset();
    end(batch, good || ended());
    m_changed.notify_all();
  }
}

/// Call with the lock.
void Communicator::end(const std::shared_ptr<Batch>& batch, bool good) {
  batch->done = true;
  if (batch->work == nullptr) return;
  stream_work().end(batch->work, good ? CUDA_SUCCESS : CUDA_ERROR_EXTERNAL_DEVICE);
  if (good) {
    stream_work().release(batch->work);
  } else {
    m_failed.push_back(batch);
  }
}

bool Communicator::run(Batch& batch) {
  std::vector<Operation> transfers;
  for (const Operation& one : batch.operations) {
    if (is_point_to_point(one.kind)) {
      transfers.push_back(one);
    } else if (m_alone) {
      run_alone(one, batch.operations, m_ranks, m_rank);
    } else {
      for (int phase = 0; phase < phases(one); ++phase) {
        Mover mover(*m_segment, m_rank);
        plan(one, phase, m_ranks, m_rank, mover);
        if (!drive(mover, one)) return false;
      }
    }
  }
  if (transfers.empty()) return true;
  if (m_alone) {
    run_transfers_alone(transfers, m_rank);
    return true;
  }
  Mover mover(*m_segment, m_rank);
  for (const Operation& one : transfers) plan_transfer(one, mover);
  return drive(mover, transfers.front());
}

bool Communicator::drive(Mover& mover, const Operation& operation) {
  const std::string what = std::string(name_of_kind(static_cast<std::uint32_t>(operation.kind))) + ": ";
  const auto give_up = [&](int result, const std::string& why) {
    m_segment->record(m_rank).presence.store(static_cast<std::uint32_t>(Presence::failed));
    for (int peer = 0; peer < m_ranks; ++peer) m_segment->ring(peer);
    fail(result, "rank " + std::to_string(m_rank) + " of " + std::to_string(m_ranks) + ": " + what + why);
    return false;
  };
  double deadline = now() + patience();
  while (!mover.finished()) {
    if (ended()) return false;
    const std::uint32_t seen = m_segment->record(m_rank).bell.load();
    std::string why;
    if (mover.step(why)) {
      if (!why.empty()) return give_up(invalid_usage, "the ranks do not call the same: " + why);
      deadline = now() + patience();
      continue;
    }
    for (int peer = 0; peer < m_ranks; ++peer) {
      if (!mover.waits_for(peer) || !gone(peer, why)) continue;
      // What it sent before it went counts.
      std::string disagreement;
      if (mover.step(disagreement)) break;
      return give_up(remote_error, why);
    }
    if (now() > deadline) {
      return give_up(remote_error, "nothing came from " + rank_words(*m_segment, mover.awaited()) + " for " +
                                       std::to_string(static_cast<long>(patience())) + " s");
    }
    m_segment->listen(m_rank, seen, look_milliseconds);
  }
  return true;
}

int Communicator::exchange(const std::vector<int>& members, int color, int key, std::vector<int>& group, UniqueId& id) {
  RankRecord& self = m_segment->record(m_rank);
  const std::uint32_t turn = ++m_turn;
  const auto exchange_of = [&](int rank) -> Exchange& { return m_segment->record(rank).exchange[turn % 2]; };
  Exchange& own = exchange_of(m_rank);
  own.color = color;
  own.key = key;
  own.turn.store(turn);
  for (const int peer : members) m_segment->ring(peer);
  const double deadline = now() + patience();
  const auto wait_for = [&](int peer, auto ready) -> int {
    while (true) {
      const std::uint32_t seen = self.bell.load();
      if (ready()) return success;
      std::string why;
      if (m_stopped) return in_progress;
      if (gone(peer, why)) return ready() ? success : fail(remote_error, "split: " + why);
      if (now() > deadline) return fail(remote_error, "split: " + rank_words(*m_segment, peer) + " does not take part");
      m_segment->listen(m_rank, seen, look_milliseconds);
    }
  };
  for (const int peer : members) {
    const int result = wait_for(peer, [&] { return exchange_of(peer).turn.load() >= turn; });
    if (result != success) return result;
    if (color != no_color && exchange_of(peer).color == color) group.push_back(peer);
  }
  if (color == no_color) return success;
  std::stable_sort(group.begin(), group.end(), [&](int a, int b) { return exchange_of(a).key < exchange_of(b).key; });
  const int leader = group.front();
  if (leader == m_rank) {
    if (!Segment::create(own.id)) return fail(system_error, "split: no memory file");
    own.id_turn.store(turn);
    for (const int peer : group) m_segment->ring(peer);
  }
  const int result = wait_for(leader, [&] { return exchange_of(leader).id_turn.load() >= turn; });
  if (result == success) id = exchange_of(leader).id;
  return result;
}

int Communicator::finish() {
  std::unique_lock lock(m_lock);
  m_changed.wait(lock, [&] { return m_stopped || (m_queue.empty() && m_running == nullptr); });
  return state.load();
}

void Communicator::stop(Presence presence) {
  m_stopped = true;
  if (m_joined) {
    m_segment->record(m_rank).presence.store(static_cast<std::uint32_t>(presence));
    for (int peer = 0; peer < m_ranks; ++peer) m_segment->ring(peer);
  }
  std::unique_lock lock(m_lock);
  release_waiters(lock);
}

void Communicator::abandon() {
  m_abandoned = true;
  if (m_joined) m_segment->ring(m_rank);
  std::unique_lock lock(m_lock);
  release_waiters(lock);
}

/// Call with the lock, which is given up while the worker leaves the program's memory.
void Communicator::release_waiters(std::unique_lock<std::mutex>& lock) {
  m_changed.notify_all();
  m_changed.wait(lock, [&] { return !m_moving; });
  if (m_running != nullptr) {  // its turn has not come: the worker gives it back
    m_running->done = true;
    if (m_running->work != nullptr) stream_work().end(m_running->work, CUDA_SUCCESS);
  }
  for (const auto& batch : m_queue) end(batch, true);
  m_queue.clear();
  for (const auto& batch : m_failed) {
    stream_work().end(batch->work, CUDA_SUCCESS);
    stream_work().release(batch->work);
  }
  m_failed.clear();
  m_changed.notify_all();
}

int Communicator::add_factor(const Factor& factor) {
  const std::lock_guard lock(m_lock);
  m_factors.push_back(factor);
  return first_custom + static_cast<int>(m_factors.size()) - 1;
}

bool Communicator::factor_of(int reduction, Factor& factor) const {
  const std::lock_guard lock(m_lock);
  const auto index = static_cast<std::size_t>(reduction - first_custom);
  if (reduction < first_custom || index >= m_factors.size()) return false;
  factor = m_factors[index];
  return true;
}

}  // namespace vramtrack::sim::nccl
