// The totals as the process itself may ask for them (vramtrack_totals). Any thread, within a HookScope.
#include "interpose/ledger/state.hpp"

namespace vramtrack::ledger {

std::uint32_t totals(Total* out, std::uint32_t room) noexcept {
  trace::Writer* const writer = trace::active();
  if (writer == nullptr) return 0;
  book_waiting();
  std::uint32_t n = 0;
  for_each_account([&](const AccountState& state, SpinLock& lock) {
    if (n == room) return;
    const LockGuard guard(lock);
    const trace::Account& account = *state.account;
    out[n++] = {account.layer,       account.kind,        account.device,          0,
                account.live_bytes,  account.live_count,  account.peak_bytes,      state.window_peak,
                account.freed_bytes, account.freed_count, account.allocated_bytes, account.allocated_count};
  });
  return n;
}

void begin_window() noexcept {
  if (trace::active() == nullptr) return;
  book_waiting();
  for_each_account([](AccountState& state, SpinLock& lock) {
    const LockGuard guard(lock);
    state.window_peak = state.account->live_bytes;
  });
}

}  // namespace vramtrack::ledger
