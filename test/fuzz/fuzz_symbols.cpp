// ELF files and their debug information, as a trace may name them. Seeds are compiled by run.py.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "report/symbolize/symbolizer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static unsigned number = 0;  // a module is loaded once for each path
  char path[64];
  std::snprintf(path, sizeof path, "/tmp/vramtrack-fuzz-%d-%u", getpid(), number++);
  std::FILE* const file = std::fopen(path, "wbx");
  if (file == nullptr) return 0;
  std::fwrite(data, 1, size, file);
  std::fclose(file);
  {
    vramtrack::Symbolizer symbolizer;
    for (const std::uint64_t address : {0x0ull, 0x40ull, 0x1000ull, 0x1130ull, 0x401136ull, ~0ull})
      symbolizer.resolve(path, "", address);
  }
  unlink(path);
  return 0;
}
