#include "interpose/cuda/table.hpp"

#include <array>

#include "interpose/core/text.hpp"

namespace vramtrack::hooks {

namespace {

constexpr const char* names[] = {
#define HOOK(api, since, name, parameters, arguments, policy) #name,
#include "contract/cuda_hooks.def"
#undef HOOK
};

constexpr std::size_t runtime_count = 0
#define HOOK(api, since, name, parameters, arguments, policy) +(Api::api == Api::runtime)
#include "contract/cuda_hooks.def"
#undef HOOK
    ;

constexpr std::uint32_t hash_of(const char* text) noexcept {
  std::uint32_t hash = 2166136261u;
  for (; *text != 0; ++text) hash = (hash ^ static_cast<unsigned char>(*text)) * 16777619u;
  return hash ^ hash >> 15;
}

constexpr std::size_t index_slots = 512;
static_assert(row_count * 2 < index_slots);

consteval auto make_index() {
  std::array<std::uint16_t, index_slots> index{};
  for (std::size_t row = 0; row < row_count; ++row) {
    std::size_t at = hash_of(names[row]) % index_slots;
    while (index[at] != 0) at = (at + 1) % index_slots;
    index[at] = static_cast<std::uint16_t>(row + 1);
  }
  return index;
}
constexpr auto name_index = make_index();

std::atomic<void*> g_real[row_count][pointer_slots];
std::atomic<std::uint32_t> g_unwrapped{0};

extern "C" __attribute__((visibility("hidden"))) const char __ehdr_start[];
extern "C" __attribute__((visibility("hidden"))) const char _end[];

}  // namespace

const RowInfo& info(Row row) noexcept {
  const auto index = static_cast<std::size_t>(row);
  return index < runtime_count ? runtime_rows[index] : driver_rows[index - runtime_count];
}

Row find_row(const char* name) noexcept {
  for (std::size_t at = hash_of(name) % index_slots; name_index[at] != 0; at = (at + 1) % index_slots)
    if (text::equal(names[name_index[at] - 1], name)) return static_cast<Row>(name_index[at] - 1);
  return Row::count;
}

std::pair<std::uintptr_t, std::uintptr_t> own_range() noexcept {
  return {reinterpret_cast<std::uintptr_t>(__ehdr_start), reinterpret_cast<std::uintptr_t>(_end)};
}

bool own_text(const void* address) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  return at >= own_range().first && at < own_range().second;
}

void* real_of_pointer(Row row, unsigned slot) noexcept {
  return g_real[static_cast<std::size_t>(row)][slot].load(std::memory_order_acquire);
}

void* wrap(Row row, void* real) noexcept {
  if (real == nullptr || row == Row::count || own_text(real)) return real;
  auto& slots = g_real[static_cast<std::size_t>(row)];
  for (unsigned slot = 0; slot < pointer_slots; ++slot) {
    void* bound = slots[slot].load(std::memory_order_acquire);
    if (bound == nullptr && slots[slot].compare_exchange_strong(bound, real)) bound = real;
    if (bound == real) return info(row).by_pointer[slot];
  }
  g_unwrapped.fetch_add(1, std::memory_order_relaxed);
  return real;
}

std::uint32_t unwrapped() noexcept { return g_unwrapped.load(std::memory_order_relaxed); }

}  // namespace vramtrack::hooks
