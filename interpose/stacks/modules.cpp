// See modules.hpp.
#include "interpose/stacks/modules.hpp"

#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <cstring>
#include <string_view>

#include "interpose/core/lock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::stacks {
namespace {

struct Module {
  std::uintptr_t base, start, end;
  const char* path;
  std::uint8_t build_id[20];
  std::uint32_t build_id_bytes;
  bool present, was_present;
  bool recorded;  // in the active trace, and not gone
};

constexpr std::size_t max_modules = 1 << 16;

SpinLock g_lock;                 // all of the below
GrowingArray<Module> g_modules;  // [0] stands for "none"
std::uint32_t g_count = 0;
std::uint32_t* g_order = nullptr;  // the present ones by address
std::uint32_t g_present = 0;
Arena g_paths;
unsigned long long g_adds = 0, g_subs = 0;

struct Counters {
  unsigned long long adds, subs;
};

int read_counters(dl_phdr_info* info, std::size_t, void* data) noexcept {
  *static_cast<Counters*>(data) = {info->dlpi_adds, info->dlpi_subs};
  return 1;
}

void find_build_id(const dl_phdr_info& info, Module& module) noexcept {
  for (std::size_t i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const std::size_t unit = segment.p_align >= 8 ? 8 : 4;
    const auto* at = reinterpret_cast<const std::byte*>(info.dlpi_addr + segment.p_vaddr);
    const auto* const end = at + segment.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      const auto* const note = reinterpret_cast<const ElfW(Nhdr)*>(at);
      const auto round = [unit](std::size_t n) { return (n + unit - 1) / unit * unit; };
      const auto* const name = at + sizeof *note;
      const auto* const value = at + round(sizeof *note + note->n_namesz);
      if (value + note->n_descsz > end) break;
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
        module.build_id_bytes = note->n_descsz < sizeof module.build_id ? note->n_descsz : sizeof module.build_id;
        std::memcpy(module.build_id, value, module.build_id_bytes);
        return;
      }
      at = value + round(note->n_descsz);
    }
  }
}

const char* keep_path(const char* path) noexcept {
  char buffer[4096];
  if (path == nullptr || *path == 0) {  // the program itself
    const ssize_t n = ::readlink("/proc/self/exe", buffer, sizeof buffer - 1);
    buffer[n > 0 ? n : 0] = 0;
    path = buffer;
  }
  const std::size_t bytes = std::strlen(path) + 1;
  auto* const kept = static_cast<char*>(g_paths.allocate(bytes, 1));
  if (kept == nullptr) return "";
  std::memcpy(kept, path, bytes);
  return kept;
}

/// A new object took the place of one that was recorded: addresses there mean something else from now on.
void record_gone(const Module& newcomer) noexcept {
  for (std::uint32_t id = 1; id < g_count; ++id) {
    Module& old = g_modules[id];
    if (old.present || !old.recorded || old.end <= newcomer.start || newcomer.end <= old.start) continue;
    const trace::ModuleGoneRecord record{id};
    trace::Writer* const writer = trace::active();
    if (writer != nullptr) writer->append(trace::RecordType::module_gone, &record, sizeof record, nullptr, 0);
    old.recorded = false;
    old.start = old.end = 0;  // never equal to a newcomer: it would need a record after the one that is gone
  }
}

int visit(dl_phdr_info* info, std::size_t, void*) noexcept {
  Module found{};
  found.base = info->dlpi_addr;
  found.start = ~std::uintptr_t{0};
  for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const std::uintptr_t start = info->dlpi_addr + segment.p_vaddr;
    if (start < found.start) found.start = start;
    if (start + segment.p_memsz > found.end) found.end = start + segment.p_memsz;
  }
  if (found.start >= found.end) return 0;
  find_build_id(*info, found);
  for (std::uint32_t id = 1; id < g_count; ++id) {
    Module& known = g_modules[id];
    if (known.base != found.base || known.start != found.start || known.end != found.end) continue;
    if (known.build_id_bytes != found.build_id_bytes ||
        std::memcmp(known.build_id, found.build_id, found.build_id_bytes) != 0)
      continue;
    if (info->dlpi_name != nullptr && *info->dlpi_name != 0 && std::strcmp(known.path, info->dlpi_name) != 0) continue;
    // Without a build id, the same file name may hold other code now: only an object that never left is the same one.
    if (known.build_id_bytes == 0 && !known.was_present) continue;
    known.present = true;
    g_order[g_present++] = id;
    return 0;
  }
  Module* const module = g_count < max_modules ? g_modules.at(g_count) : nullptr;
  if (module == nullptr) return 0;
  found.path = keep_path(info->dlpi_name);
  found.present = true;
  *module = found;
  g_order[g_present++] = g_count++;
  return 0;
}

}  // namespace

bool refresh_modules() noexcept {
  const SignalsWait signals_wait;
  Counters now{};
  ::dl_iterate_phdr(read_counters, &now);
  const LockGuard guard(g_lock);
  if (now.adds == g_adds && now.subs == g_subs) return false;
  if (g_order == nullptr) {
    g_order = static_cast<std::uint32_t*>(map_pages(max_modules * sizeof(std::uint32_t)));
    if (g_order == nullptr || !g_modules.reserve(max_modules) || g_modules.at(0) == nullptr) return false;
    g_count = 1;
  }
  const std::uint32_t before = g_count;
  for (std::uint32_t id = 1; id < g_count; ++id) {
    g_modules[id].was_present = g_modules[id].present;
    g_modules[id].present = false;
  }
  g_present = 0;
  ::dl_iterate_phdr(visit, nullptr);
  for (std::uint32_t id = before; id < g_count; ++id) record_gone(g_modules[id]);
  g_adds = now.adds;
  g_subs = now.subs;
  // By address: insertion into what is nearly sorted after the first time.
  for (std::uint32_t i = 1; i < g_present; ++i) {
    const std::uint32_t id = g_order[i];
    std::uint32_t j = i;
    for (; j > 0 && g_modules[g_order[j - 1]].start > g_modules[id].start; --j) g_order[j] = g_order[j - 1];
    g_order[j] = id;
  }
  return true;
}

std::uint32_t module_of(std::uintptr_t address) noexcept {
  const LockGuard guard(g_lock);
  std::uint32_t low = 0, high = g_present;
  while (low < high) {
    const std::uint32_t middle = (low + high) / 2;
    if (g_modules[g_order[middle]].start <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return no_module;
  const std::uint32_t id = g_order[low - 1];
  return address < g_modules[id].end ? id : no_module;
}

void record_module(std::uint32_t id) noexcept {
  trace::Writer* const writer = trace::active();
  if (id == no_module || writer == nullptr) return;
  const LockGuard guard(g_lock);
  Module& module = g_modules[id];
  if (module.recorded) return;
  trace::ModuleRecord record{};
  record.id = id;
  record.path = writer->intern(module.path);
  record.base = module.base;
  record.start = module.start;
  record.end = module.end;
  record.build_id_bytes = module.build_id_bytes;
  std::memcpy(record.build_id, module.build_id, sizeof record.build_id);
  module.recorded = writer->append(trace::RecordType::module, &record, sizeof record, nullptr, 0);
}

void unlock_modules() noexcept { g_lock.reset(); }

void forget_modules() noexcept {
  const LockGuard guard(g_lock);
  for (std::uint32_t id = 1; id < g_count; ++id) g_modules[id].recorded = false;
}

}  // namespace vramtrack::stacks
