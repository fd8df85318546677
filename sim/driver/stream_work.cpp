#include "sim/driver/stream_work.hpp"

#include <atomic>
#include <condition_variable>

#include "sim/core/stream_work.h"
#include "sim/driver/capture.hpp"
#include "sim/driver/copy.hpp"

namespace vramtrack::sim {

struct PendingWork {
  WorkList after;
  std::vector<vramtrack_sim_range> ranges;
  int device = 0;
  bool done = false;
  CUresult status = CUDA_SUCCESS;
};

namespace {

struct Pending {
  std::condition_variable ended;  // with the driver's lock
  WorkList running;
  std::atomic<std::size_t> count{0};  // of `running`: lets the frequent case go by without a lock
};
Pending& pending() {
  static Pending& all = *new Pending;
  return all;
}

bool overlaps(const PendingWork& work, std::uint64_t address, std::uint64_t bytes) {
  for (const vramtrack_sim_range& range : work.ranges) {
    if (range.address < address + bytes && address < range.address + range.bytes) return true;
  }
  return false;
}

Stream* stream_of(int device, void* handle) {
  Stream* stream = nullptr;
  Context& primary = driver().primaries[static_cast<std::size_t>(device)];
  return resolve_stream(static_cast<CUstream>(handle), primary, stream) == CUDA_SUCCESS ? stream : nullptr;
}

}  // namespace

WorkList pending_on_device(int device) {
  WorkList found;
  for (const auto& work : pending().running) {
    if (work->device == device) found.push_back(work);
  }
  return found;
}

CUresult await(const WorkList& works) {
  if (works.empty()) return CUDA_SUCCESS;
  std::unique_lock lock(driver().lock);
  CUresult status = CUDA_SUCCESS;
  for (const auto& work : works) {
    pending().ended.wait(lock, [&] { return work->done; });
    if (work->status != CUDA_SUCCESS) status = work->status;
  }
  return status;
}

CUresult query(const WorkList& works) {
  CUresult status = CUDA_SUCCESS;
  for (const auto& work : works) {
    if (!work->done) return CUDA_ERROR_NOT_READY;
    if (work->status != CUDA_SUCCESS) status = work->status;
  }
  return status;
}

void await_range(std::uint64_t address, std::uint64_t bytes) {
  if (pending().count.load(std::memory_order_acquire) == 0) return;
  WorkList found;
  {
    const std::lock_guard lock(driver().lock);
    for (const auto& work : pending().running) {
      if (overlaps(*work, address, bytes)) found.push_back(work);
    }
  }
  await(found);
}

void await_allocation(std::uint64_t address) {
  if (pending().count.load(std::memory_order_acquire) == 0) return;
  std::uint64_t bytes = 0;
  {
    Entry entry(Needs::driver);
    const Allocation* found = entry ? find_allocation(address) : nullptr;
    if (found != nullptr) bytes = found->span;
  }
  if (bytes != 0) await_range(address, bytes);
}

void forget_done(WorkList& works) {
  std::erase_if(works, [](const auto& work) { return work->done && work->status == CUDA_SUCCESS; });
}

}  // namespace vramtrack::sim

using namespace vramtrack::sim;

struct vramtrack_sim_work {
  std::shared_ptr<PendingWork> pending;
};

extern "C" {

int vramtrack_sim_work_begin(int device, void* const* streams, size_t stream_count, const vramtrack_sim_range* ranges,
                             size_t range_count, vramtrack_sim_work** out) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!valid_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  auto work = std::make_shared<PendingWork>();
  work->device = device;
  work->ranges.assign(ranges, ranges + range_count);
  std::vector<Stream*> resolved;
  for (size_t i = 0; i < stream_count; ++i) {
    Stream* const stream = stream_of(device, streams[i]);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    resolved.push_back(stream);
    const WorkList before = pending_on(*stream);
    work->after.insert(work->after.end(), before.begin(), before.end());
  }
  for (Stream* stream : resolved) stream->pending.push_back(work);
  pending().running.push_back(work);
  pending().count.store(pending().running.size(), std::memory_order_release);
  *out = new vramtrack_sim_work{std::move(work)};
  return CUDA_SUCCESS;
}

void vramtrack_sim_work_await_turn(vramtrack_sim_work* work) {
  await(work->pending->after);
  work->pending->after.clear();  // a chain of finished work would otherwise grow for ever
}

void vramtrack_sim_work_end(vramtrack_sim_work* work, int status) {
  const std::lock_guard lock(driver().lock);
  work->pending->done = true;
  work->pending->status = static_cast<CUresult>(status);
  std::erase(pending().running, work->pending);
  pending().count.store(pending().running.size(), std::memory_order_release);
  pending().ended.notify_all();
}

void vramtrack_sim_work_release(vramtrack_sim_work* work) { delete work; }

int vramtrack_sim_work_capture(int device, void* handle, void (*run)(void*), void* data) {
  Entry entry(Needs::driver);
  if (!entry) return -entry.status();
  Stream* const stream = valid_device(device) ? stream_of(device, handle) : nullptr;
  if (stream == nullptr) return -CUDA_ERROR_INVALID_HANDLE;
  return capture_work(*stream, CU_GRAPH_NODE_TYPE_KERNEL, [run, data] { run(data); }) ? 1 : 0;
}

int vramtrack_sim_reaches(uint64_t address, uint64_t bytes) {
  Entry entry(Needs::driver);
  return entry && is_simulated(address, bytes) ? 1 : 0;
}
int vramtrack_sim_holds_data(uint64_t address, uint64_t bytes) { return may_hold_data(address, bytes) ? 1 : 0; }
void vramtrack_sim_will_write(uint64_t address, uint64_t bytes) { mark_written(address, bytes); }
void vramtrack_sim_zero(uint64_t address, uint64_t bytes) { fill_bytes(address, 0, 1, bytes); }
}
