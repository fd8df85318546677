#include "interpose/python/heap/exit_functions.hpp"

#include <dlfcn.h>
#include <string.h>

#include "interpose/core/saved_errno.hpp"
#include "interpose/python/heap/page_vector.hpp"
#include "interpose/stacks/python.hpp"

namespace vramtrack::agent::heap {

namespace {

// CPython's Python/atexit.c or Modules/atexitmodule.c: the table in PyInterpreterState, and what its pointers lead to.
struct Table {
  const std::byte* functions;  // atexit_callback**
  std::int32_t count, room;
};
struct Callback {
  Object *function, *arguments, *keywords;  // the last may be nullptr
};

constexpr std::size_t most_functions = 1 << 16;
constexpr std::size_t interpreter_bytes = 1 << 19;  // at most; 350 kB in 3.13

/// The callbacks of a table, if it is one: as many as there are registered, `own` among them.
bool read_table(const Table& table, const Object* own, std::size_t count, PageVector<Callback>& found) noexcept {
  if (table.count < 0 || static_cast<std::size_t>(table.count) < count || table.room < table.count ||
      static_cast<std::size_t>(table.room) > most_functions)
    return false;
  if (table.functions == nullptr || (reinterpret_cast<std::uintptr_t>(table.functions) & 7) != 0) return false;
  found.clear();
  bool has_own = false;
  std::size_t used = 0;
  for (std::int32_t i = 0; i < table.count; ++i) {
    const std::byte* place = nullptr;  // null: unregistered
    Callback callback{};
    if (!stacks::safe_read(table.functions + sizeof place * static_cast<std::size_t>(i), &place, sizeof place))
      return false;
    if (place == nullptr) continue;
    if (!stacks::safe_read(place, &callback, sizeof callback)) return false;
    if (callback.function == nullptr || callback.arguments == nullptr) return false;
    ++used;
    has_own = has_own || callback.function == own;
    if (callback.function != own && !found.push(callback)) return false;
  }
  return has_own && used == count;
}

/// Where in the interpreter's state the table is, searched once: the one place that holds our own function.
bool find_table(const std::byte* state, const Object* own, std::size_t count, PageVector<Callback>& found) noexcept {
  static std::size_t known = 0;
  Table table;
  if (known != 0) return stacks::safe_read(state + known, &table, sizeof table) && read_table(table, own, count, found);
  constexpr std::size_t piece = 4096;
  std::byte words[piece + sizeof table];
  for (std::size_t at = 0; at < interpreter_bytes; at += piece) {
    const bool overlaps = stacks::safe_read(state + at, words, sizeof words);
    if (!overlaps && !stacks::safe_read(state + at, words, piece)) return false;
    for (std::size_t i = 0; i + (overlaps ? 0 : sizeof table) < piece; i += 8) {
      ::memcpy(&table, words + i, sizeof table);
      if (!read_table(table, own, count, found)) continue;
      known = at + i;
      return true;
    }
  }
  return false;
}

}  // namespace

Object* exit_functions(Object*, Object* arguments) noexcept {
  const SavedErrno keep;
  const HeapApi* const api = heap_api();
  if (api == nullptr) return python_api()->build_bool(0);
  Object* const list = api->list_new(0);
  Object* const own = api->tuple_get(arguments, 0);
  Object* const number = own == nullptr ? nullptr : api->tuple_get(arguments, 1);
  const auto interpreter = reinterpret_cast<const std::byte* (*)()>(::dlsym(RTLD_DEFAULT, "PyInterpreterState_Get"));
  if (list == nullptr || number == nullptr || interpreter == nullptr) return list;
  PageVector<Callback> found;
  if (!find_table(interpreter(), own, api->unsigned_mask(number), found)) return list;
  for (const Callback& callback : found)
    for (Object* const part : {callback.function, callback.arguments, callback.keywords})
      if (part != nullptr && api->list_append(list, part) != 0) return list;
  return list;
}

}  // namespace vramtrack::agent::heap
