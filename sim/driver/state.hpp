// What the simulated driver knows: devices, contexts, allocations, and the rule by which a call enters it.
// One lock for everything; no user code runs under it.
#pragma once

#define __CUDA_API_VERSION_INTERNAL  // cuda.h then declares every exported name and renames none
#include <cuda.h>

#include <deque>
#include <map>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "contract/sim_settings.hpp"
#include "sim/core/intervals.hpp"
#include "sim/core/unsupported.h"
#include "sim/driver/backing.hpp"
#include "sim/driver/device.hpp"
#include "sim/driver/usage.hpp"

#define NOT_SIMULATED(what) VRAMTRACK_SIM_UNSUPPORTED("cuda", CUDA_ERROR_NOT_SUPPORTED, what)

namespace vramtrack::sim {

struct Context {
  int device = 0;
  bool primary = false;
  unsigned flags = 0;
  unsigned long long id = 0;
  bool active = false;      // holds device memory
  unsigned references = 0;  // primary: retains; others: 1 while it lives
  std::size_t stack_limit = 1024, printf_limit = 1 << 20, heap_limit = 8 << 20;
};

struct Pool;
struct Handle;
struct Graph;

/// Memory with an address. What a pointer points into, and what its release gives back.
struct Allocation {
  std::uint64_t base = 0;
  std::uint64_t bytes = 0;  // as requested
  std::uint64_t span = 0;   // of the address range
  Kind kind = Kind::device;
  int device = 0;
  Context* context = nullptr;
  std::uint64_t serial = 0;
  unsigned flags = 0;          // host allocations: cuMemHostAlloc's flags
  Pool* pool = nullptr;        // pool blocks
  Handle* handle = nullptr;    // VMM mappings
  std::uint64_t offset = 0;    // VMM mappings: into the handle
  std::uint64_t owner = 0;     // external buffers: their external memory; graph blocks: their graph
  std::uint64_t identity = 0;  // CU_POINTER_ATTRIBUTE_BUFFER_ID
};

/// Live handles of one type: looking one up costs a hash, and a stale one is an error, not a crash.
template <typename T>
class Live {
 public:
  T* add(T* object) { return m_objects.insert(object), object; }
  bool has(const void* object) const { return m_objects.count(static_cast<T*>(const_cast<void*>(object))) != 0; }
  bool remove(const void* object) { return m_objects.erase(static_cast<T*>(const_cast<void*>(object))) != 0; }
  std::vector<T*> all() const { return {m_objects.begin(), m_objects.end()}; }

 private:
  std::unordered_set<T*> m_objects;
};

struct Driver {
  std::mutex lock;
  Settings settings;
  Usage usage;
  Backing backing;
  std::deque<Device> devices;
  std::deque<Context> primaries;  // one per device
  Live<Context> contexts;         // all, primaries included
  std::map<std::uint64_t, Allocation> allocations;
  Intervals written;  // device memory that a copy or a fill wrote; all other reads as zero
  std::uint64_t next_serial = 1;
  unsigned long long next_context = 1;
  std::uint64_t clock = 0;  // milliseconds of the devices' time, see pass_time()
};

/// Never destroyed: host programs call CUDA from their own exit handlers.
Driver& driver();

/// The devices' clock, which events read: every launch, copy and event takes a millisecond, whatever the host did
/// meanwhile. What compares times (autotuning) then decides alike in every run. Call with the lock.
inline std::uint64_t pass_time() { return ++driver().clock; }

CUresult initialize(unsigned flags);
bool initialized();
/// Called after each cuInit(), outside of any lock. Set while the library is loaded.
inline void (*g_when_initialised)() = nullptr;

/// The calling thread's context stack.
class ContextStack {
 public:
  static Context* current();
  static CUresult set(Context* context);
  static CUresult push(Context* context);
  static CUresult pop(Context*& context);
  static void forget(const Context* context);  // of this thread
};

enum class Needs { driver, context };

/// How an API function begins: `Entry entry(Needs::context); if (!entry) return entry.status();` Holds the driver's
/// lock; fails in a process that was forked after cuInit, as on a GPU.
class Entry {
 public:
  explicit Entry(Needs needs);
  explicit operator bool() const { return m_status == CUDA_SUCCESS; }
  CUresult status() const { return m_status; }
  Driver* operator->() const { return &driver(); }
  Context& context() const { return *m_context; }
  Device& device() const { return driver().devices[static_cast<std::size_t>(m_context->device)]; }
  void unlock() { m_lock.unlock(); }

 private:
  std::unique_lock<std::mutex> m_lock;
  CUresult m_status = CUDA_SUCCESS;
  Context* m_context = nullptr;
};

inline bool valid_device(CUdevice device) {
  return device >= 0 && static_cast<std::size_t>(device) < driver().devices.size();
}
inline Device& device_at(int index) { return driver().devices[static_cast<std::size_t>(index)]; }
/// By which number this process knows one of the machine's devices; -1: it does not see it.
inline int index_of(int ordinal) {
  for (const Device& device : driver().devices)
    if (device.ordinal() == ordinal) return device.index();
  return -1;
}

/// The allocation that `address` points into, or nullptr.
Allocation* find_allocation(std::uint64_t address);
/// Enters it in the books and gives it its serial number.
Allocation& record(Allocation allocation);
/// Takes it out of the books and releases what it holds.
void release(std::map<std::uint64_t, Allocation>::iterator allocation);

/// Charges through `charge()`; when that fails, gives unused pool memory back and tries once more, as drivers do.
bool charge_or_reclaim(Device& device, std::uint64_t bytes, bool (Device::*charge)(std::uint64_t));
/// Gives the device's unused pool and graph memory back (pools.cpp).
void reclaim_pools(int device);
/// Releases everything that belongs to a context: memory, arrays, streams, events (context.cpp).
void release_contents(Context& context);
bool activate(Context& context);

// What other files release when a context dies, or a block is freed.
void release_arrays(const Context& context);
void release_streams(const Context& context);
void release_pool_block(Allocation& allocation);
void release_graph_block(Allocation& allocation);
void release_mapping(Allocation& allocation);
void reset_pools(int device);
/// A synchronization point: unused pool memory above the release threshold goes back.
void trim_pools(int device);
std::uint64_t pool_reserved(int device);
/// Unmaps memory of another process or of another API (ipc.cpp).
void release_opened(const Allocation& allocation);
/// For vramtrack_sim_live: blocks that have no address.
void append_arrays(std::vector<vramtrack_sim_block>& blocks);
void append_handles(std::vector<vramtrack_sim_block>& blocks);

/// Device memory for `bytes`, entered in the books. CUDA_ERROR_OUT_OF_MEMORY when the device is full.
CUresult allocate_device(Device& device, Context& context, std::uint64_t bytes, Kind kind, CUdeviceptr* out);

}  // namespace vramtrack::sim
