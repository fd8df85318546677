// The ways to reach a CUDA function, for the door tests: every case of cases.cpp is run through each of them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "interpose/cuda/cuda_headers.hpp"

namespace doors {

/// How names become functions in this run.
struct Way {
  std::string name;  // linked, dlsym, dlvsym, default, proc, proc_v2, entry, entry_version, static, inside
  int runtime = 13;  // major
  void* cudart = nullptr;
  void* libcuda = nullptr;
};
extern Way g_way;

/// The function of that name by the way under test; nullptr when this way does not lead to it.
void* find(const char* name);
/// By plain dlsym: for what is around a case, not for what it tests. (Hooked all the same.)
void* find_plain(const char* name);
/// Of the linked program itself (linked.cpp); nullptr in the program that links nothing.
void* find_linked(const char* name);

template <class F>
F* way_to(const char* name) {
  return reinterpret_cast<F*>(find(name));
}
/// The function under test, typed by the header.
#define DOOR(name) (reinterpret_cast<decltype(&::name)>(doors::find(#name)))
#define PLAIN(name) (reinterpret_cast<decltype(&::name)>(doors::find_plain(#name)))

/// What the recording must show, one line each, read by test/e2e/test_hooks.py.
inline void expect_live(const char* row, std::uint64_t address, std::uint64_t bytes, const char* kind,
                        std::uint64_t stream = 0) {
  std::printf("live %s 0x%llx %llu %s %llu\n", row, static_cast<unsigned long long>(address),
              static_cast<unsigned long long>(bytes), kind, static_cast<unsigned long long>(stream));
}
inline void expect_gone(const char* row, std::uint64_t address) {
  std::printf("gone %s 0x%llx\n", row, static_cast<unsigned long long>(address));
}
/// A result to compare with the run that is not traced, and the runtime's last error after it.
int result(const char* row, const char* step, int code);

/// Runs every case of the table that this way leads to.
void run_cases();

}  // namespace doors
