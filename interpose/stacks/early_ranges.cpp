#include "interpose/stacks/early_ranges.hpp"

#include <atomic>
#include <cstdint>
#include <cstring>

#include "interpose/core/memory.hpp"
#include "interpose/stacks/stacks.hpp"

namespace vramtrack::stacks {

namespace {

constexpr std::uint32_t most_names = 15;      // further ones are counted and have no name
constexpr std::size_t most_name_bytes = 255;  // as many as tell labels apart (labels.cpp)

struct Early {
  std::uint32_t open;
  char names[most_names][most_name_bytes + 1];
};
static_assert(sizeof(Early) <= 4096);

constexpr std::uint32_t most_threads = 256;  // a page each; those that end meanwhile do not give it back
std::atomic<std::uint32_t> g_threads{0};
constinit thread_local Early* t_early = nullptr;

}  // namespace

void open_early_range(const char* name) noexcept {
  if (t_early == nullptr && g_threads.load(std::memory_order_relaxed) < most_threads) {
    g_threads.fetch_add(1, std::memory_order_relaxed);
    t_early = static_cast<Early*>(map_pages(sizeof(Early)));
  }
  if (t_early == nullptr) return;
  if (t_early->open < most_names) {
    char* const kept = t_early->names[t_early->open];
    const std::size_t bytes = ::strnlen(name, most_name_bytes);
    std::memcpy(kept, name, bytes);
    kept[bytes] = 0;
  }
  ++t_early->open;
}

void close_early_range() noexcept {
  if (t_early != nullptr && t_early->open > 0) --t_early->open;
}

void hand_over_early_ranges(ThreadState& state, void (*take)(ThreadState&, const char*) noexcept) noexcept {
  Early* const early = t_early;
  if (early == nullptr) return;
  t_early = nullptr;
  for (std::uint32_t i = 0; i < early->open; ++i) take(state, i < most_names ? early->names[i] : nullptr);
  unmap_pages(early, sizeof(Early));
}

void forget_early_ranges() noexcept {
  if (t_early != nullptr) t_early->open = 0;
}

}  // namespace vramtrack::stacks
