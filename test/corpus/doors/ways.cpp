// main() of the door tests: doors WAY RUNTIME. Prints what must have been recorded; exits 0 unless it cannot start.
#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "sim/core/stats.h"
#include "test/corpus/doors/doors.hpp"

namespace doors {

Way g_way;

namespace {

// The driver's names as cuGetProcAddress knows them: base name, version, flag.
struct Request {
  std::string base;
  int version = 0;
  bool per_thread = false;
};

struct Known {
  const char* name;
  int since;
};
const Known driver_names[] = {
#define HOOK(api, since, name, parameters, arguments, policy) {#name, since},
#include "contract/cuda_hooks.def"
#undef HOOK
};

bool request_for(const char* name, Request& request) {
  for (const Known& known : driver_names) {
    if (std::strcmp(known.name, name) != 0) continue;
    request.base = name;
    request.version = known.since;
    if (request.base.ends_with("_ptsz")) {
      request.per_thread = true;
      request.base.resize(request.base.size() - 5);
    }
    if (const auto at = request.base.rfind("_v"); at != std::string::npos && at + 3 == request.base.size())
      request.base.resize(at);
    return known.since != 0;
  }
  return false;
}

void* by_proc_address(const char* name, bool v2) {
  Request request;
  if (!request_for(name, request)) return nullptr;
  void* found = nullptr;
  const cuuint64_t flags = request.per_thread ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM : 0;
  if (v2) {
    CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    auto* get = reinterpret_cast<decltype(&::cuGetProcAddress_v2)>(dlsym(g_way.libcuda, "cuGetProcAddress_v2"));
    if (get(request.base.c_str(), &found, request.version, flags, &status) != CUDA_SUCCESS) return nullptr;
    if (status != CU_GET_PROC_ADDRESS_SUCCESS) std::printf("bad status %d of %s\n", static_cast<int>(status), name);
  } else {
    auto* get = reinterpret_cast<decltype(&::cuGetProcAddress)>(dlsym(g_way.libcuda, "cuGetProcAddress"));
    if (get(request.base.c_str(), &found, request.version, flags) != CUDA_SUCCESS) return nullptr;
  }
  return found;
}

/// As a statically linked runtime does it: everything from cuGetProcAddress_v2, itself included.
void* by_static_runtime(const char* name) {
  Request request;
  if (!request_for(name, request)) return nullptr;
  using Get = decltype(&::cuGetProcAddress_v2);
  void *self = nullptr, *found = nullptr;
  CUdriverProcAddressQueryResult status{};
  auto* first = reinterpret_cast<Get>(dlsym(g_way.libcuda, "cuGetProcAddress_v2"));
  if (first("cuGetProcAddress", &self, 12000, 0, &status) != CUDA_SUCCESS) return nullptr;
  const cuuint64_t flags = request.per_thread ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM : 0;
  reinterpret_cast<Get>(self)(request.base.c_str(), &found, request.version, flags, &status);
  return found;
}

/// Without a version the newest function of a base name is answered.
bool newest(const Request& request) {
  Request other;
  for (const Known& known : driver_names)
    if (request_for(known.name, other) && other.base == request.base && other.version > request.version) return false;
  return true;
}

void* by_entry_point(const char* name, bool with_version) {
  Request request;
  if (!request_for(name, request) || (!with_version && !newest(request))) return nullptr;
  void* found = nullptr;
  const unsigned long long flags = request.per_thread ? cudaEnablePerThreadDefaultStream : cudaEnableDefault;
  cudaDriverEntryPointQueryResult status = cudaDriverEntryPointSymbolNotFound;
  if (with_version) {
    auto* get = reinterpret_cast<decltype(&::cudaGetDriverEntryPointByVersion)>(
        dlsym(g_way.cudart, "cudaGetDriverEntryPointByVersion"));
    if (get(request.base.c_str(), &found, static_cast<unsigned>(request.version), flags, &status) != cudaSuccess)
      return nullptr;
  } else {
    using Get = cudaError_t(const char*, void**, unsigned long long, cudaDriverEntryPointQueryResult*);
    auto* get = reinterpret_cast<Get*>(dlsym(g_way.cudart, "cudaGetDriverEntryPoint"));
    if (get(request.base.c_str(), &found, flags, &status) != cudaSuccess) return nullptr;
  }
  return found;
}

bool is_runtime(const char* name) { return std::strncmp(name, "cuda", 4) == 0; }

void* open_library(const std::string& soname) {
  void* handle = dlopen(soname.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(2);
  }
  return handle;
}

}  // namespace

void* find_plain(const char* name) { return dlsym(is_runtime(name) ? g_way.cudart : g_way.libcuda, name); }

void* find(const char* name) {
  const std::string& way = g_way.name;
  void* handle = is_runtime(name) ? g_way.cudart : g_way.libcuda;
  if (way == "linked" || way == "inside") return find_linked(name);
  if (way == "dlsym") return dlsym(handle, name);
  if (way == "default") return dlsym(RTLD_DEFAULT, name);
  if (way == "dlvsym")
    return is_runtime(name) ? dlvsym(handle, name, ("libcudart.so." + std::to_string(g_way.runtime)).c_str()) : nullptr;
  if (is_runtime(name)) return nullptr;
  if (way == "proc") return by_proc_address(name, false);
  if (way == "proc_v2") return by_proc_address(name, true);
  if (way == "static") return by_static_runtime(name);
  if (way == "entry") return by_entry_point(name, false);
  if (way == "entry_version") return by_entry_point(name, true);
  return nullptr;
}

int result(const char* row, const char* step, int code) {
  const int last = static_cast<int>(PLAIN(cudaPeekAtLastError)());
  std::printf("result %s %s %d last %d errno %d\n", row, step, code, last, errno);
  errno = 0;
  return code;
}

// The simulated driver's books: what is live when the cases are done.
void print_books() {
  auto* live = reinterpret_cast<decltype(&::vramtrack_sim_live)>(dlsym(g_way.libcuda, "vramtrack_sim_live"));
  if (live == nullptr) return;
  live(
      [](const vramtrack_sim_block* block, void*) {
        static const char* const kinds[] = {"device", "pool", "managed",  "host_pinned", "array", "vmm",
                                            "graph",  "ipc",  "external", "registered",  "module"};
        std::printf("oracle - 0x%llx %s %llu %d\n", static_cast<unsigned long long>(block->address), kinds[block->kind],
                    static_cast<unsigned long long>(block->bytes), block->device);
        return 0;
      },
      nullptr);
}

}  // namespace doors

#ifdef DOOR_USER
#define MAIN extern "C" __attribute__((visibility("default"))) int door_user_main
#else
#define MAIN int main

namespace {

// Two libraries, each linked to its own runtime and opened with RTLD_LOCAL; the cases run inside one of them.
int run_local(char** argv) {
  const std::string folder = std::string(argv[0]).substr(0, std::string(argv[0]).rfind('/'));
  int (*user)(int, char**) = nullptr;
  for (const std::string major : {"12", "13"}) {
    void* library = doors::open_library(folder + "/libdoor_user_" + major + ".so");
    if (major == argv[2]) user = reinterpret_cast<int (*)(int, char**)>(dlsym(library, "door_user_main"));
  }
  if (user == nullptr) return 2;
  static char linked[] = "linked";
  char* arguments[] = {argv[0], linked, argv[2], nullptr};
  return user(3, arguments);
}

}  // namespace
#endif

MAIN(int argc, char** argv) {
  using namespace doors;
  if (argc != 3) return 2;
#ifndef DOOR_USER
  if (std::strcmp(argv[1], "local") == 0) return run_local(argv);
#endif
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  g_way.name = argv[1];
  g_way.runtime = std::atoi(argv[2]);
  g_way.cudart = open_library("libcudart.so." + std::string(argv[2]));
  g_way.libcuda = open_library("libcuda.so.1");
  errno = 0;
  run_cases();
  print_books();
  return 0;
}
