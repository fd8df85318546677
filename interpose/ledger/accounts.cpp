// Accounts: found by (layer, device, kind), opened in the trace's header on first use.
#include <cstring>

#include "interpose/core/memory.hpp"
#include "interpose/ledger/state.hpp"

namespace vramtrack::ledger {

namespace {

constinit DeviceState* g_devices[2][1 + max_devices];  // [layer][1 + device]
constinit Arena g_arena;                               // of DeviceState
constinit std::uint32_t g_accounts = 0;                // used entries of Header::accounts

// Under g_registry_lock.
void open_account(trace::Writer& writer, AccountState& state, Layer layer, Kind kind, std::int16_t device) {
  if (g_accounts == trace::max_accounts) return;
  const std::uint32_t index = g_accounts++;
  trace::Account& account = writer.header().accounts[index];
  account.layer = static_cast<std::uint8_t>(layer);
  account.kind = static_cast<std::uint8_t>(kind);
  account.device = device;
  std::atomic_ref(account.used).store(1, std::memory_order_release);
  state.account = &account;
  if (trace::peak_kind(kind) == kind) state.timeline = writer.add_timeline(index);
}

bool is_open(DeviceState& state, Kind kind) {
  return state.of(kind).account != nullptr && (!trace::is_device_memory(kind) || state.all.account != nullptr);
}

}  // namespace

// The caller holds the shard's lock, which protects this entry of g_devices.
DeviceState* device_state(trace::Writer& writer, Layer layer, Kind kind, std::int16_t device) noexcept {
  if (device < -1 || device >= static_cast<std::int16_t>(max_devices) || static_cast<std::size_t>(kind) >= kind_count)
    return nullptr;
  DeviceState*& state = g_devices[static_cast<std::size_t>(layer)][1 + device];
  if (state != nullptr && is_open(*state, kind)) [[likely]]
    return state;
  const LockGuard guard(g_registry_lock);
  if (state == nullptr) {  // zeroed pages are its initial value
    std::atomic_ref(state).store(g_arena.make_array<DeviceState>(1), std::memory_order_release);
    if (state == nullptr) return nullptr;
  }
  if (trace::is_device_memory(kind) && state->all.account == nullptr)
    open_account(writer, state->all, layer, Kind::all, device);
  if (state->of(kind).account == nullptr) open_account(writer, state->of(kind), layer, kind, device);
  return is_open(*state, kind) ? state : nullptr;
}

DeviceState* find_device_state(Layer layer, std::int16_t device) noexcept {
  return std::atomic_ref(g_devices[static_cast<std::size_t>(layer)][1 + device]).load(std::memory_order_acquire);
}

void forget_accounts() noexcept {
  std::memset(g_devices, 0, sizeof g_devices);
  g_arena.forget();
  g_accounts = 0;
}

}  // namespace vramtrack::ledger
