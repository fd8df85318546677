// dlsym and dlvsym. Entered from dlsym_entry.S, which asks here first and otherwise jumps on to the real function with
// the caller's own return address in place: RTLD_NEXT and RTLD_DEFAULT depend on who calls (a wrapper with a frame of
// its own would answer a library's RTLD_NEXT look-up with that very library's function: endless recursion).
//
// Only exact names of the table are answered, never a prefix: `cu` also begins cudnn and cublas names.
#include "interpose/cuda/doors.hpp"

#include <dlfcn.h>

#include <cstring>

#include "interpose/core/saved_errno.hpp"
#include "interpose/cuda/elf.hpp"
#include "interpose/cuda/originals.hpp"
#include "interpose/cuda/special.hpp"
#include "interpose/cuda/table.hpp"
#include "interpose/recorder/recorder.hpp"

using DlsymFunction = void* (*)(void*, const char*);
using DlvsymFunction = void* (*)(void*, const char*, const char*);

extern "C" {
// Written once (idempotently) by vramtrack_find_dlsym, read by dlsym_entry.S.
__attribute__((visibility("hidden"))) DlsymFunction vramtrack_real_dlsym = nullptr;
__attribute__((visibility("hidden"))) DlvsymFunction vramtrack_real_dlvsym = nullptr;
void vramtrack_find_dlsym() noexcept;
void* vramtrack_answer_dlsym(void* handle, const char* name) noexcept;
void* vramtrack_answer_dlvsym(void* handle, const char* name, const char* version) noexcept;
}

namespace vramtrack::hooks {

namespace {

/// What the entries return for "look no further, the answer is NULL".
void* const answer_null = reinterpret_cast<void*>(1);

/// A wrapper for the function that a look-up found. Our own export, found through the global scope, is there even where
/// the program has no CUDA at all: the answer is NULL in that case, as without us. (RTLD_NEXT from here skips our own
/// export; its failure leaves the message in dlerror that the host expects.)
void* answer(Row row, void* real) noexcept {
  if (!own_text(real)) return wrap(row, real);
  if (real_for_caller(row, 0) != nullptr) return real;
  real_dlsym(RTLD_NEXT, info(row).name);
  return answer_null;
}

// Before glibc 2.34 dlsym lived in libdl.so.2. Found by reading the libraries' symbol tables: asking dlsym for dlsym
// would find ours. The first look-up of a process may come from a sanitizer's start, before anything is initialised.
void* libc_function(const char* name) noexcept {
  void* found = symbol_of(find_module_early("libc.so.6"), name);
  return found != nullptr ? found : symbol_of(find_module_early("libdl.so.2"), name);
}

}  // namespace

void* real_dlsym(void* handle, const char* name) noexcept {
  if (vramtrack_real_dlsym == nullptr) vramtrack_find_dlsym();
  return vramtrack_real_dlsym(handle, name);
}

}  // namespace vramtrack::hooks

using namespace vramtrack;
using namespace vramtrack::hooks;

void vramtrack_find_dlsym() noexcept {
  const SavedErrno keep;
  auto* dlvsym_found = reinterpret_cast<DlvsymFunction>(libc_function("dlvsym"));
  auto* dlsym_found = reinterpret_cast<DlsymFunction>(libc_function("dlsym"));
  // Another interposer's dlsym that comes after ours is the one that the host would have reached.
  if (dlsym_found != nullptr) {
    void* next = dlsym_found(RTLD_NEXT, "dlsym");
    if (next != nullptr && !own_text(next)) dlsym_found = reinterpret_cast<DlsymFunction>(next);
  }
  __atomic_store_n(&vramtrack_real_dlvsym, dlvsym_found, __ATOMIC_RELEASE);
  __atomic_store_n(&vramtrack_real_dlsym, dlsym_found, __ATOMIC_RELEASE);
}

// nullptr: not our business, jump to the real function.
void* vramtrack_answer_dlsym(void* handle, const char* name) noexcept {
  const Row row = find_row(name);
  if (row == Row::count || handle == RTLD_NEXT) return nullptr;
  if (handle == RTLD_DEFAULT) return answer(row, info(row).exported);
  return answer(row, real_dlsym(handle, name));
}

void* vramtrack_answer_dlvsym(void* handle, const char* name, const char* version) noexcept {
  const Row row = find_row(name);
  if (row == Row::count || handle == RTLD_NEXT || version == nullptr) return nullptr;
  // Our exports carry no version, so a versioned look-up in the global scope passes them by.
  if (handle == RTLD_DEFAULT) return answer(row, versioned_symbol_of(find_module(version), name, version));
  return answer(row, vramtrack_real_dlvsym(handle, name, version));
}

namespace vramtrack::hooks {

namespace {

constexpr unsigned long long per_thread_stream = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;

struct Candidate {
  Row row = Row::count;
  void* exported = nullptr;  // the driver's own exported function of that name
};

constexpr int most_candidates = 10;

/// The rows that a request for `symbol` can mean: the name, its later versions, each also for per-thread streams.
int candidates_of(const char* symbol, Candidate (&found)[most_candidates]) noexcept {
  const std::size_t length = std::strlen(symbol);
  char name[96];
  if (length == 0 || length + 16 > sizeof name) return 0;
  int count = 0;
  for (const char* version : {"", "_v2", "_v3", "_v4", "_v5"}) {
    for (const char* suffix : {"", "_ptsz"}) {
      char* end = name;
      end = static_cast<char*>(std::memcpy(end, symbol, length)) + length;
      end = stpcpy(end, version);
      stpcpy(end, suffix);
      const Row row = find_row(name);
      if (row != Row::count && info(row).api == Api::driver && count < most_candidates)
        found[count++] = {row, driver_function(name)};
    }
  }
  return count;
}

bool is_per_thread(const char* name) noexcept {
  const std::size_t length = std::strlen(name);
  return length > 5 && std::strcmp(name + length - 5, "_ptsz") == 0;
}

/// Which row the driver's answer to (symbol, version, flags) is. The answer decides, not the name: the same name gives
/// functions with different signatures for different versions.
Row row_of_answer(const char* symbol, void* answered, unsigned version, unsigned long long flags) noexcept {
  Candidate found[most_candidates];
  const int count = candidates_of(symbol, found);
  for (int i = 0; i < count; ++i)
    if (found[i].exported == answered) return found[i].row;
  // An internal entry that is not an exported one: by the version table, but only as far as the headers we were built
  // with know it. A newer driver may answer a newer version with a signature of its own: hands off.
  if (version > CUDA_VERSION) return Row::count;
  Row best = Row::count;
  for (int i = 0; i < count; ++i) {
    const RowInfo& row = info(found[i].row);
    if (row.since > version) continue;
    const bool per_thread = is_per_thread(row.name);
    if (per_thread && (flags & per_thread_stream) == 0) continue;
    if (best != Row::count) {
      const RowInfo& other = info(best);
      if (other.since > row.since || (other.since == row.since && !per_thread)) continue;
    }
    best = found[i].row;
  }
  return best;
}

}  // namespace

int Special::proc_address(const char* symbol, void** out, int version, unsigned long long flags) const noexcept {
  const int result = call_.real();
  if (result == success && symbol != nullptr && out != nullptr && *out != nullptr && !own_text(*out)) {
    const SavedErrno keep;
    const Row row = row_of_answer(symbol, *out, version < 0 ? 0 : static_cast<unsigned>(version), flags);
    *out = wrap(row, *out);
  }
  return result;
}

// A runtime that fetched cuGetProcAddress through us answers with our wrappers already.
int Special::entry_point(const char* symbol, void** out, unsigned version, unsigned long long flags) const noexcept {
  const int result = call_.real();
  if (result == success && symbol != nullptr && out != nullptr && *out != nullptr && !own_text(*out)) {
    const SavedErrno keep;
    // Without a version the runtime asks for its own; the newest of the table is the nearest answer for an
    // entry that is not an exported function.
    *out = wrap(row_of_answer(symbol, *out, version == 0 ? CUDA_VERSION : version, flags), *out);
  }
  return result;
}

}  // namespace vramtrack::hooks
