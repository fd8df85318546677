// Makes one call of a C library function fail: FAIL_CALL=open FAIL_AT=3 fails the third `open` that libvramtrack.so
// makes. FAIL_AT=0 fails all of them. Calls of everybody else are passed on. FAIL_COUNT=fd says how many calls there
// were, at the end.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static size_t low, high;
static const char* wanted;
static long at, calls;

__attribute__((constructor(101))) static void find(void) {
  wanted = getenv("FAIL_CALL");
  at = getenv("FAIL_AT") ? atol(getenv("FAIL_AT")) : -1;
  for (struct link_map* map = _r_debug.r_map; map; map = map->l_next)
    if (map->l_name && strstr(map->l_name, "libvramtrack.so")) {
      low = map->l_addr;
      high = low + (64u << 20);
    }
}

__attribute__((destructor)) static void tell(void) {
  if (getenv("FAIL_COUNT")) dprintf(atoi(getenv("FAIL_COUNT")), "%ld\n", calls);
}

static int fails(void* caller, const char* name) {
  if (wanted == 0 || (size_t)caller < low || (size_t)caller >= high || strcmp(name, wanted) != 0) return 0;
  const long call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
  return at == 0 || call == at;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
// Functions that set errno, and those that return the error.
#define FAILS(type, name, parameters, arguments, error, result) \
  type name parameters {                                        \
    if (fails(__builtin_return_address(0), #name)) {            \
      errno = error;                                            \
      return result;                                            \
    }                                                           \
    return REAL(name) arguments;                                \
  }
FAILS(void*, mmap, (void* a, size_t n, int p, int f, int d, off_t o), (a, n, p, f, d, o), ENOMEM, MAP_FAILED)
FAILS(int, munmap, (void* a, size_t n), (a, n), EINVAL, -1)
FAILS(int, mprotect, (void* a, size_t n, int p), (a, n, p), ENOMEM, -1)
FAILS(int, madvise, (void* a, size_t n, int k), (a, n, k), EINVAL, -1)
FAILS(int, posix_fallocate, (int d, off_t o, off_t n), (d, o, n), ENOSPC, ENOSPC)
FAILS(int, fstat, (int d, struct stat* s), (d, s), EIO, -1)
FAILS(int, mkdir, (const char* p, mode_t m), (p, m), EROFS, -1)
FAILS(int, unlink, (const char* p), (p), EACCES, -1)
FAILS(int, link, (const char* a, const char* b), (a, b), EPERM, -1)
FAILS(int, close, (int d), (d), EIO, -1)
FAILS(ssize_t, read, (int d, void* b, size_t n), (d, b, n), EIO, -1)
FAILS(ssize_t, write, (int d, const void* b, size_t n), (d, b, n), EPIPE, -1)
FAILS(ssize_t, readlink, (const char* p, char* b, size_t n), (p, b, n), EACCES, -1)
FAILS(char*, getcwd, (char* b, size_t n), (b, n), ENOENT, 0)
FAILS(int, gethostname, (char* b, size_t n), (b, n), ENAMETOOLONG, -1)
FAILS(int, getrlimit, (__rlimit_resource_t r, struct rlimit* l), (r, l), EINVAL, -1)
FAILS(int, sigaction, (int s, const struct sigaction* a, struct sigaction* b), (s, a, b), EINVAL, -1)
FAILS(int, pthread_create, (pthread_t * t, const pthread_attr_t* a, void* (*f)(void*), void* x), (t, a, f, x), EAGAIN,
      EAGAIN)
FAILS(int, pthread_key_create, (pthread_key_t * k, void (*f)(void*)), (k, f), EAGAIN, EAGAIN)
FAILS(int, clock_gettime, (clockid_t c, struct timespec* t), (c, t), EINVAL, -1)
FAILS(void*, dlopen, (const char* p, int f), (p, f), ENOENT, 0)
FAILS(int, pthread_getattr_np, (pthread_t t, pthread_attr_t* a), (t, a), ENOMEM, ENOMEM)

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const int mode = va_arg(rest, int);
  va_end(rest);
  if (fails(__builtin_return_address(0), "open")) {
    errno = EMFILE;
    return -1;
  }
  return REAL(open)(path, flags, mode);
}
int fcntl(int file, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* argument = va_arg(rest, void*);
  va_end(rest);
  if (fails(__builtin_return_address(0), "fcntl")) {
    errno = EMFILE;
    return -1;
  }
  return REAL(fcntl)(file, command, argument);
}
long syscall(long number, ...) {
  va_list rest;
  va_start(rest, number);
  long a[6];
  for (int i = 0; i < 6; i++) a[i] = va_arg(rest, long);
  va_end(rest);
  if (number != SYS_exit_group && fails(__builtin_return_address(0), "syscall")) {
    errno = EPERM;
    return -1;
  }
  return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
