// What gcc 12's headers, libstdc++ and libgcc take from a newer libc than the wheel is made for. Linked, hidden, into
// each binary of the wheel; FOR_CXX: into those of C++ alone, since the preloaded library asks libc itself for the
// object of an address.
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#define HIDDEN __attribute__((visibility("hidden")))

// glibc 2.32, from the reference counts of <memory>. Zero: threads may be there, so reference counts are changed
// atomically.
HIDDEN char __libc_single_threaded = 0;

#ifdef FOR_CXX
// glibc 2.29 has these without error handling of SVID; the older ones give the same numbers. Their version is the first
// one of glibc on the machine.
#if defined(__x86_64__)
#define FIRST_VERSION "GLIBC_2.2.5"
#else
#define FIRST_VERSION "GLIBC_2.17"
#endif
#define OLDER_MATH(name, arguments, ...)                        \
  __asm__(".symver older_" #name ", " #name "@" FIRST_VERSION); \
  double older_##name arguments;                                \
  HIDDEN double name arguments { return older_##name(__VA_ARGS__); }
OLDER_MATH(exp, (double x), x)
OLDER_MATH(log, (double x), x)
OLDER_MATH(log2, (double x), x)
OLDER_MATH(pow, (double x, double y), x, y)

// glibc 2.36, for std::random_device.
HIDDEN uint32_t arc4random(void) {
  uint32_t value = 0;
  while (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value) {
  }
  return value;
}

// glibc 2.35: the object that an address is in, and where its unwinding table is. libgcc asks at each exception.
struct Found {
  uintptr_t address;
  struct dl_find_object* result;
};

static int look(struct dl_phdr_info* info, size_t size, void* data) {
  (void)size;
  struct Found* const found = data;
  const ElfW(Phdr)* table = NULL;
  uintptr_t start = 0, end = 0;
  for (size_t i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)* const segment = &info->dlpi_phdr[i];
    const uintptr_t at = info->dlpi_addr + segment->p_vaddr;
    if (segment->p_type == PT_GNU_EH_FRAME) table = segment;
    if (segment->p_type == PT_LOAD && found->address >= at && found->address < at + segment->p_memsz) {
      start = at;
      end = at + segment->p_memsz;
    }
  }
  if (end == 0) return 0;
  if (table == NULL) return -1;
  memset(found->result, 0, sizeof *found->result);
  found->result->dlfo_map_start = (void*)start;
  found->result->dlfo_map_end = (void*)end;
  found->result->dlfo_eh_frame = (void*)(info->dlpi_addr + table->p_vaddr);
  return 1;
}

HIDDEN int _dl_find_object(void* address, struct dl_find_object* result) {
  struct Found found = {(uintptr_t)address, result};
  return dl_iterate_phdr(look, &found) == 1 ? 0 : -1;
}
#endif
