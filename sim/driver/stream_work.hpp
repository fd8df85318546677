// Work of libraries that is still pending on streams (core/stream_work.h), and how calls of the driver wait for it.
// Lists are made under the driver's lock and awaited without it.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace vramtrack::sim {

struct Stream;
struct PendingWork;
using WorkList = std::vector<std::shared_ptr<PendingWork>>;

/// What an operation on `stream` comes after: the stream's own pending work, and what the rules of the legacy default
/// stream add. Call with the driver's lock.
WorkList pending_on(Stream& stream);
/// Everything pending on the device. Call with the driver's lock.
WorkList pending_on_device(int device);

/// Waits without the lock. CUDA_ERROR_EXTERNAL_DEVICE when some of it failed.
CUresult await(const WorkList& works);
/// Without waiting: CUDA_ERROR_NOT_READY while some of it runs. Call with the driver's lock.
CUresult query(const WorkList& works);
/// Waits until nothing pending reads or writes [address, address + bytes). Call without the lock.
void await_range(std::uint64_t address, std::uint64_t bytes);
/// The same for the allocation at `address`, which is about to be freed.
void await_allocation(std::uint64_t address);
/// Takes out what is done. Call with the driver's lock.
void forget_done(WorkList& works);

}  // namespace vramtrack::sim
