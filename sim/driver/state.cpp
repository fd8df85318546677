#include "sim/driver/state.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "contract/option_parse.hpp"
#include "sim/core/visible_devices.hpp"

namespace vramtrack::sim {

namespace {

std::atomic<bool> g_initialized{false};
std::atomic<bool> g_forked{false};  // this process was forked after cuInit: CUDA does not work in it

constexpr int stack_depth = 64;
thread_local Context* t_stack[stack_depth];
thread_local int t_depth = 0;

CUresult configure(Driver& state) {
  const char* text = std::getenv(size_variable);
  std::string why;
  if (text != nullptr && *text != '\0' && !parse_settings(text, state.settings, why)) {
    std::fprintf(stderr, "vramtrack-sim: %s=%s: %s\n", size_variable, text, why.c_str());
    return CUDA_ERROR_NO_DEVICE;
  }
  Settings& settings = state.settings;
  settings.context_bytes = default_context_bytes(settings.device_bytes);
  if (const char* context = std::getenv(context_variable); context != nullptr && *context != '\0') {
    std::uint64_t bytes = 0;
    if (!option::parse_size(context, bytes) || bytes > settings.device_bytes) {
      std::fprintf(stderr, "vramtrack-sim: %s=%s is not a size within the device\n", context_variable, context);
      return CUDA_ERROR_NO_DEVICE;
    }
    settings.context_bytes = round_up(bytes, big_page);
  }
  const std::vector<int> visible = visible_devices(settings.devices);
  if (visible.empty()) return CUDA_ERROR_NO_DEVICE;
  if (!state.backing.open(static_cast<int>(visible.size()), settings.device_bytes)) {
    std::fprintf(stderr, "vramtrack-sim: no address space for the simulated memory (does ulimit -v or -f limit it?)\n");
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  state.usage.open();
  for (int i = 0; i < static_cast<int>(visible.size()); ++i) {
    state.devices.emplace_back(i, visible[static_cast<std::size_t>(i)], settings.device_bytes, state.usage);
    Context& primary = state.primaries.emplace_back();
    primary.device = i;
    primary.primary = true;
    primary.id = state.next_context++;
    state.contexts.add(&primary);
  }
  return CUDA_SUCCESS;
}

}  // namespace

Driver& driver() {
  static Driver& state = *new Driver;
  return state;
}

bool initialized() { return g_initialized.load(std::memory_order_acquire); }

CUresult initialize(unsigned flags) {
  if (g_forked.load(std::memory_order_relaxed)) return CUDA_ERROR_NOT_INITIALIZED;
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (initialized()) return CUDA_SUCCESS;
  Driver& state = driver();
  const std::lock_guard lock(state.lock);
  if (initialized()) return CUDA_SUCCESS;
  if (const CUresult status = configure(state); status != CUDA_SUCCESS) return status;
  pthread_atfork(nullptr, nullptr, [] { g_forked.store(true, std::memory_order_relaxed); });
  g_initialized.store(true, std::memory_order_release);
  return CUDA_SUCCESS;
}

Context* ContextStack::current() { return t_depth > 0 ? t_stack[t_depth - 1] : nullptr; }

CUresult ContextStack::set(Context* context) {
  if (t_depth == 0) return context == nullptr ? CUDA_SUCCESS : push(context);
  if (context == nullptr) {
    --t_depth;
  } else {
    t_stack[t_depth - 1] = context;
  }
  return CUDA_SUCCESS;
}

CUresult ContextStack::push(Context* context) {
  if (t_depth == stack_depth) return CUDA_ERROR_INVALID_VALUE;
  t_stack[t_depth++] = context;
  return CUDA_SUCCESS;
}

CUresult ContextStack::pop(Context*& context) {
  if (t_depth == 0) return CUDA_ERROR_INVALID_CONTEXT;
  context = t_stack[--t_depth];
  return CUDA_SUCCESS;
}

void ContextStack::forget(const Context* context) {
  if (current() == context) --t_depth;
}

Entry::Entry(Needs needs) {
  if (!initialized() || g_forked.load(std::memory_order_relaxed)) {
    m_status = CUDA_ERROR_NOT_INITIALIZED;
    return;
  }
  m_lock = std::unique_lock(driver().lock);
  m_context = ContextStack::current();
  if (needs == Needs::driver) return;
  if (m_context == nullptr) {
    m_status = CUDA_ERROR_INVALID_CONTEXT;
  } else if (!driver().contexts.has(m_context)) {
    m_status = CUDA_ERROR_CONTEXT_IS_DESTROYED;
  } else if (!m_context->active) {
    // A primary context that was reset comes back by itself when it is used again.
    if (!m_context->primary) {
      m_status = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    } else if (!activate(*m_context)) {
      m_status = CUDA_ERROR_OUT_OF_MEMORY;
    }
  }
}

Allocation* find_allocation(std::uint64_t address) {
  auto& all = driver().allocations;
  auto next = all.upper_bound(address);
  if (next == all.begin()) return nullptr;
  Allocation& found = std::prev(next)->second;
  return address - found.base < found.span ? &found : nullptr;
}

Allocation& record(Allocation allocation) {
  Driver& state = driver();
  allocation.serial = state.next_serial++;
  if (allocation.identity == 0) allocation.identity = allocation.serial;
  if (allocation.kind != Kind::vmm) device_at(allocation.device).count(allocation.kind, allocation.bytes);
  return state.allocations[allocation.base] = allocation;
}

namespace {
bool was_written(const Allocation& allocation) {
  return !driver().written.remove(allocation.base, allocation.base + allocation.span).empty();
}
}  // namespace

void release(std::map<std::uint64_t, Allocation>::iterator position) {
  Driver& state = driver();
  Allocation allocation = position->second;
  state.allocations.erase(position);
  Device& device = device_at(allocation.device);
  if (allocation.kind != Kind::vmm) device.uncount(allocation.kind, allocation.bytes);
  switch (allocation.kind) {
    case Kind::device:
    case Kind::module:
      state.backing.give(allocation.device, allocation.base, allocation.span, was_written(allocation));
      device.release_allocation(allocation.bytes);
      break;
    case Kind::pool:
      state.backing.give(allocation.device, allocation.base, allocation.span, was_written(allocation));
      release_pool_block(allocation);
      break;
    case Kind::graph:
      release_graph_block(allocation);
      break;
    case Kind::vmm:
      release_mapping(allocation);
      break;
    case Kind::managed:
      munmap(reinterpret_cast<void*>(allocation.base), allocation.span);
      break;
    case Kind::host_pinned:
      std::free(reinterpret_cast<void*>(allocation.base));
      break;
    case Kind::ipc:
    case Kind::external:
      release_opened(allocation);
      break;
    case Kind::array:
    case Kind::registered:
      break;
  }
}

bool charge_or_reclaim(Device& device, std::uint64_t bytes, bool (Device::*charge)(std::uint64_t)) {
  if ((device.*charge)(bytes)) return true;
  reclaim_pools(device.index());
  if ((device.*charge)(bytes)) return true;
  device.count_failure();
  return false;
}

}  // namespace vramtrack::sim
