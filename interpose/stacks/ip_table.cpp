// See ip_table.hpp.
#include "interpose/stacks/ip_table.hpp"

#include <atomic>

#include "interpose/core/lock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/stacks/modules.hpp"

namespace vramtrack::stacks {
namespace {

// Open addressing. An entry's values hold for one generation of the module map; `stamp` = generation << 32 | module is
// cleared before `rule` changes and stored after it, so that a reader that sees the same stamp twice has its rule.
struct Entry {
  std::atomic<std::uint64_t> ip;
  std::atomic<std::uint64_t> rule;
  std::atomic<std::uint64_t> stamp;
};
struct Table {
  std::size_t mask;
  std::size_t used;
  Entry entries[1];
};

SpinLock g_lock;
std::atomic<Table*> g_table{nullptr};  // smaller predecessors stay mapped: readers may be in them
std::atomic<std::uint32_t> g_maps{1};  // generation of the module map

std::size_t slot_of(std::uintptr_t ip, std::size_t mask) noexcept {
  return static_cast<std::size_t>(ip * 0x9e3779b97f4a7c15ull >> 28) & mask;
}

Entry* find(Table* table, std::uintptr_t ip) noexcept {
  for (std::size_t i = slot_of(ip, table->mask);; i = (i + 1) & table->mask) {
    const std::uintptr_t at = table->entries[i].ip.load(std::memory_order_acquire);
    if (at == ip || at == 0) return &table->entries[i];
  }
}

void store(Entry& entry, UnwindRule rule, std::uint64_t stamp) noexcept {
  entry.stamp.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  entry.rule.store(rule.bits, std::memory_order_release);
  entry.stamp.store(stamp, std::memory_order_release);
}

[[gnu::noinline]] IpInfo fill(std::uintptr_t ip) noexcept {
  // The loader is asked before the lock is taken. What it says stays true while this thread stands in that code.
  const std::uint32_t maps = g_maps.load(std::memory_order_acquire);
  const IpInfo info{derive_rule(ip), module_of(ip - 1)};  // the call, not what follows it
  const LockGuard guard(g_lock);
  Table* table = g_table.load(std::memory_order_relaxed);
  if (table == nullptr || 2 * table->used > table->mask) {
    const std::size_t size = table == nullptr ? 8192 : 2 * (table->mask + 1);
    auto* const larger = static_cast<Table*>(map_pages(sizeof(Table) + size * sizeof(Entry)));
    if (larger == nullptr) return info;
    larger->mask = size - 1;
    for (std::size_t i = 0; table != nullptr && i <= table->mask; ++i) {
      const Entry& from = table->entries[i];
      const std::uintptr_t known = from.ip.load(std::memory_order_relaxed);
      const std::uint64_t stamp = from.stamp.load(std::memory_order_relaxed);
      if (known == 0 || stamp >> 32 != maps) continue;
      Entry* const to = find(larger, known);
      to->rule.store(from.rule.load(std::memory_order_relaxed), std::memory_order_relaxed);
      to->stamp.store(stamp, std::memory_order_relaxed);
      to->ip.store(known, std::memory_order_relaxed);
      ++larger->used;
    }
    table = larger;
    g_table.store(table, std::memory_order_release);
  }
  Entry* const entry = find(table, ip);
  if (entry->ip.load(std::memory_order_relaxed) == 0) ++table->used;
  store(*entry, info.rule, std::uint64_t{maps} << 32 | info.module);
  entry->ip.store(ip, std::memory_order_release);
  return info;
}

}  // namespace

IpInfo ip_info(std::uintptr_t ip) noexcept {
  Table* const table = g_table.load(std::memory_order_acquire);
  if (table != nullptr) [[likely]] {
    const Entry* const entry = find(table, ip);
    const std::uint64_t stamp = entry->stamp.load(std::memory_order_acquire);
    const std::uint64_t rule = entry->rule.load(std::memory_order_acquire);
    if (entry->ip.load(std::memory_order_relaxed) == ip && stamp >> 32 == g_maps.load(std::memory_order_relaxed) &&
        entry->stamp.load(std::memory_order_relaxed) == stamp)
      return {UnwindRule{rule}, static_cast<std::uint32_t>(stamp)};
  }
  return fill(ip);
}

void replace_rule(std::uintptr_t ip, UnwindRule rule) noexcept {
  const IpInfo info = ip_info(ip);
  const LockGuard guard(g_lock);
  Entry* const entry = find(g_table.load(std::memory_order_relaxed), ip);
  store(*entry, rule, std::uint64_t{g_maps.load(std::memory_order_relaxed)} << 32 | info.module);
}

bool refresh_ip_table() noexcept {
  if (!refresh_modules()) return false;
  g_maps.fetch_add(1, std::memory_order_release);
  return true;
}

void unlock_ip_table() noexcept { g_lock.reset(); }

}  // namespace vramtrack::stacks
