// address_space GIB: allocates on the device, then maps so many GiB of its own. Prints whether that was possible.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int cudaMalloc(void**, size_t);

int main(int count, char** arguments) {
  (void)count;
  void* block;
  cudaMalloc(&block, 100);
  void* own = mmap(0, (size_t)(atof(arguments[1]) * (1 << 30)), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  puts(own == MAP_FAILED ? "no room" : "room");
  return 0;
}
