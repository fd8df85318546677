// The end of every client: the simulated driver's own books on stdout, then out, with nothing freed in between.
#pragma once

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "sim/core/stats.h"

inline void expect(int result, const char* what) {
  if (result == 0) return;
  std::fprintf(stderr, "%s: %d\n", what, result);
  std::exit(3);
}
#define EXPECT(call) expect(static_cast<int>(call), #call)

[[noreturn]] inline void show_books() {
  void* cuda = dlopen("libcuda.so.1", RTLD_NOW);
  auto* live = reinterpret_cast<decltype(&vramtrack_sim_live)>(dlsym(cuda, "vramtrack_sim_live"));
  if (live == nullptr) std::exit(4);
  live(
      [](const vramtrack_sim_block* block, void*) {
        static const char* const kinds[] = {"device", "pool",  "managed", "host_pinned", "array",
                                            "vmm",    "graph", "ipc",     "external",    "registered"};
        if (block->kind < sizeof kinds / sizeof *kinds)
          std::printf("books 0x%llx %s %llu %d\n", static_cast<unsigned long long>(block->address), kinds[block->kind],
                      static_cast<unsigned long long>(block->bytes), block->device);
        return 0;
      },
      nullptr);
  std::fflush(stdout);
  _exit(0);
}
