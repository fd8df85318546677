// See python.hpp. Symbols by dlsym, never linked; the layout is checked against the live interpreter before first use.
#include "interpose/stacks/python.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "interpose/core/hot.hpp"
#include "interpose/core/lock.hpp"
#include "interpose/core/no_cancel.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/core/say.hpp"
#include "interpose/stacks/python_code.hpp"

namespace vramtrack::stacks {

VRAMTRACK_HOT constinit std::atomic<const Python*> g_python{nullptr};
std::atomic<PythonSearch> g_python_search{PythonSearch::again};

namespace {

SpinLock g_lock;
Python g_candidate;  // filled under g_lock, published through g_python
void* g_library = nullptr;

// A handle to search: the global scope, or a libpython that was loaded RTLD_LOCAL (a plugin that embeds Python).
int match_libpython(dl_phdr_info* info, std::size_t, void* found) noexcept {
  if (info->dlpi_name == nullptr || std::strstr(info->dlpi_name, "libpython3") == nullptr) return 0;
  *static_cast<const char**>(found) = info->dlpi_name;
  return 1;
}

void* symbol(const char* name) noexcept { return ::dlsym(g_library != nullptr ? g_library : RTLD_DEFAULT, name); }

template <class T>
bool safe_field(const void* object, std::size_t offset, T& value) noexcept {
  return safe_read(static_cast<const std::byte*>(object) + offset, &value, sizeof value);
}

bool has_type(const Python& python, const void* object, const void* type) noexcept {
  const void* actual = nullptr;
  return safe_field(object, python.layout.object_type, actual) && actual == type;
}

bool plausible_code(const Python& python, const std::byte* code, std::int64_t offset) noexcept {
  const PythonLayout& l = python.layout;
  if (!has_type(python, code, python.code_type)) return false;
  const void *file = nullptr, *name = nullptr, *lines = nullptr;
  if (!safe_field(code, l.file, file) || !has_type(python, file, python.string_type)) return false;
  if (!safe_field(code, l.name, name) || !has_type(python, name, python.string_type)) return false;
  if (!safe_field(code, l.line_table, lines) || !has_type(python, lines, python.bytes_type)) return false;
  std::int64_t size = 0;
  if (l.interpreter_frames) {
    if (!safe_field(code, l.var_size, size)) return false;  // Py_SIZE of a code object: code units
    size *= 2;
    std::int32_t traceable = -1;
    if (!safe_field(code, l.first_traceable, traceable) || traceable < 0 || traceable * 2 > size) return false;
  } else {
    const void* bytes = nullptr;
    if (!safe_field(code, l.instructions, bytes) || !has_type(python, bytes, python.bytes_type)) return false;
    if (!safe_field(bytes, l.var_size, size)) return false;
  }
  return offset >= -2 && offset <= size;
}

/// Walks the calling thread's frames with reads that cannot fault, and checks the type of everything on the way.
/// `again`: this thread runs no Python code now, so nothing could be checked.
PythonSearch verify(const Python& python) noexcept {
  const PythonLayout& l = python.layout;
  const auto* const state = static_cast<const std::byte*>(python.this_thread_state());
  if (state == nullptr || python.is_finalizing() != 0) return PythonSearch::unverified;
  std::uint64_t thread = 0;
  if (!safe_field(state, l.thread_id, thread) || thread != static_cast<std::uint64_t>(::pthread_self()))
    return PythonSearch::unreadable;
  const std::byte* frame = nullptr;
  if (!safe_field(state, l.frame, frame)) return PythonSearch::unreadable;
  if (frame != nullptr && l.current_frame >= 0 && !safe_field(frame, static_cast<std::size_t>(l.current_frame), frame))
    return PythonSearch::unreadable;
  std::uint32_t checked = 0;
  for (std::uint32_t depth = 0; frame != nullptr && depth < 64; ++depth) {
    std::uint8_t owner = 0;
    if (l.interpreter_frames && !safe_field(frame, l.owner, owner)) return PythonSearch::unreadable;
    if (owner > 4) return PythonSearch::unreadable;
    if (owner < l.owner_shim) {
      const std::byte* code = nullptr;
      if (!safe_field(frame, l.code, code)) return PythonSearch::unreadable;
      code = untagged(code);
      std::int64_t offset = 0;
      if (l.interpreter_frames) {
        const std::byte* instruction = nullptr;
        if (!safe_field(frame, l.instruction, instruction)) return PythonSearch::unreadable;
        offset = instruction - (code + l.instructions);
      } else {
        std::int32_t last = 0;
        if (!has_type(python, frame, python.frame_type) || !safe_field(frame, l.instruction, last))
          return PythonSearch::unreadable;
        offset = std::int64_t{last} * l.lasti_scale;
      }
      if (!plausible_code(python, code, offset)) return PythonSearch::unreadable;
      ++checked;
    }
    if (!safe_field(frame, l.previous, frame)) return PythonSearch::unreadable;
  }
  return checked > 0 ? PythonSearch::ready : PythonSearch::unverified;
}

/// "3.11.7 (main, ...)" -> 0x30b; "3.13.0 experimental free-threading build (...)".
std::uint32_t parse_version(const char* text, bool& free_threaded) noexcept {
  free_threaded = std::strstr(text, "free-threading") != nullptr;
  char* end = nullptr;
  const unsigned long major = std::strtoul(text, &end, 10);
  if (*end != '.') return 0;
  const unsigned long minor = std::strtoul(end + 1, nullptr, 10);
  return static_cast<std::uint32_t>(major << 8 | (minor & 0xff));
}

PythonSearch load(Python& python) noexcept {
  const SignalsWait signals_wait;
  g_library = nullptr;
  if (symbol("PyGILState_GetThisThreadState") == nullptr) {
    const char* name = nullptr;
    ::dl_iterate_phdr(match_libpython, &name);
    if (name == nullptr || (g_library = ::dlopen(name, RTLD_NOW | RTLD_NOLOAD)) == nullptr) return PythonSearch::absent;
  }
  const auto get_version = reinterpret_cast<const char* (*)()>(symbol("Py_GetVersion"));
  python.this_thread_state = reinterpret_cast<void* (*)()>(symbol("PyGILState_GetThisThreadState"));
  python.is_finalizing = reinterpret_cast<int (*)()>(symbol("_Py_IsFinalizing"));
  if (python.is_finalizing == nullptr) python.is_finalizing = reinterpret_cast<int (*)()>(symbol("Py_IsFinalizing"));
  python.code_type = symbol("PyCode_Type");
  python.frame_type = symbol("PyFrame_Type");
  python.string_type = symbol("PyUnicode_Type");
  python.bytes_type = symbol("PyBytes_Type");
  python.cell_type = symbol("PyCell_Type");
  if (get_version == nullptr || python.this_thread_state == nullptr) return PythonSearch::absent;
  bool free_threaded = false;
  const char* const text = get_version();
  const std::uint32_t version = parse_version(text, free_threaded);
  if (python.is_finalizing == nullptr || python.code_type == nullptr || python.frame_type == nullptr ||
      python.string_type == nullptr || python.bytes_type == nullptr || python.cell_type == nullptr ||
      !python_layout(version, free_threaded, symbol("_PyRuntime"), python.layout)) {
    say("frames of this Python (", version >> 8, ".", version & 0xff, free_threaded ? ", free-threaded" : "",
        ") cannot be read; those of 3.9 to 3.14 with a GIL can, and of 3.13 without: native stacks only");
    return PythonSearch::unreadable;
  }
  return PythonSearch::unverified;
}

}  // namespace

bool safe_read(const void* from, void* to, std::size_t bytes) noexcept {
  if (reinterpret_cast<std::uintptr_t>(from) >> 48 != 0) return false;  // no program's: x86-64 ends a bit earlier
  const iovec local{to, bytes};
  const iovec remote{const_cast<void*>(from), bytes};
  const long got = ::syscall(SYS_process_vm_readv, ::getpid(), &local, 1ul, &remote, 1ul, 0ul);
  if (got >= 0 || errno == EFAULT) return got == static_cast<long>(bytes);
  // Forbidden by a sandbox: the slow way.
  const NoCancel whole;
  const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  if (memory < 0) return false;
  const ssize_t read = ::pread(memory, to, bytes, static_cast<off_t>(reinterpret_cast<std::uintptr_t>(from)));
  ::close(memory);
  return read == static_cast<ssize_t>(bytes);
}

VRAMTRACK_COLD void find_python() noexcept {
  const PythonSearch seen = g_python_search.load(std::memory_order_acquire);
  if (seen != PythonSearch::again && seen != PythonSearch::unverified) return;
  const SavedErrno keep;
  // Nothing to verify by: a thread of a program's C++ part, say, which asks again at every event.
  if (seen == PythonSearch::unverified && g_candidate.this_thread_state() == nullptr) return;
  if (!g_lock.try_lock()) return;  // another thread is at it: this stack goes without
  PythonSearch search = g_python_search.load(std::memory_order_acquire);
  if (search == PythonSearch::again) search = load(g_candidate);
  if (search == PythonSearch::unverified) {
    search = verify(g_candidate);
    if (search == PythonSearch::unreadable)
      say("the frames of Python ", g_candidate.layout.version >> 8, ".", g_candidate.layout.version & 0xff,
          " are not laid out as expected (a debug or patched build?): native stacks only");
  }
  if (search == PythonSearch::ready) {
    watch_code_objects(g_candidate);
    g_python.store(&g_candidate, std::memory_order_release);
  }
  g_python_search.store(search, std::memory_order_release);
  g_lock.unlock();
}

void python_may_have_come() noexcept {
  PythonSearch expected = PythonSearch::absent;
  g_python_search.compare_exchange_strong(expected, PythonSearch::again);
}

void unlock_python_search() noexcept { g_lock.reset(); }

const std::byte* python_thread_state(const Python& python) noexcept {
  // While the interpreter ends, it frees the thread states of threads that are still in C code: theirs must not be
  // read. The thread that ends it keeps its own until the thread-specific key is gone.
  if (python.is_finalizing() != 0 && ::syscall(SYS_gettid) != ::getpid()) [[unlikely]]
    return nullptr;
  return static_cast<const std::byte*>(python.this_thread_state());
}

}  // namespace vramtrack::stacks
