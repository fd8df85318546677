// stepper PRELOAD STEPS PROGRAM LOG ARGUMENTS...: runs the program with LD_PRELOAD=PRELOAD up to its first SIGTRAP,
// then so many instructions of that thread, and kills it. Says how many it made: fewer where the second SIGTRAP came
// before.
//
// With a folder for STEPS it makes all of them, and keeps there what a kill behind each would have left: LOG and the
// trace in VRAMTRACK_OUT, both files that the program has mapped, as N.log and N.vtrace where instruction N changed one
// of them.
//
// The kernel's own code in the program (vdso) does not count: it writes to no file, and it asks again as long as a tick
// of the clock came between, which at a slow pace is for ever.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static int raised(pid_t child) {
  siginfo_t info;
  return ptrace(PTRACE_GETSIGINFO, child, 0, &info) == 0 && info.si_code == SI_TKILL;
}

/// The kernel's own code, which writes to no file.
static struct { unsigned long begin, end; } vdso;

static void find_vdso(pid_t child) {
  char path[64], line[512];
  snprintf(path, sizeof path, "/proc/%d/maps", (int)child);
  FILE* maps = fopen(path, "r");
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
    if (strstr(line, "[vdso]") != NULL) sscanf(line, "%lx-%lx", &vdso.begin, &vdso.end);
  if (maps != NULL) fclose(maps);
}

static int in_vdso(pid_t child) {
#if defined(__x86_64__)
  const unsigned long at = (unsigned long)ptrace(PTRACE_PEEKUSER, child, offsetof(struct user, regs.rip), 0);
  return vdso.begin <= at && at < vdso.end;
#else
  return (void)child, 0;
#endif
}

static void fail(const char* what) {
  perror(what);
  exit(5);
}

struct file {
  int fd;
  off_t size;
  char* seen;  // what it held at the last look
};
enum { chunk = 1 << 16, most_bytes = 1 << 30 };

static struct file watch(const char* path) {
  struct file one = {open(path, O_RDONLY), -1,
                     mmap(0, most_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)};
  if (one.fd < 0 || one.seen == MAP_FAILED) fail(path);
  return one;
}

/// Whether it changed since the last look. Where `copy` is not -1, what it holds is written there.
static int look(struct file* one, int copy) {
  static char bytes[chunk];
  struct stat now;
  if (fstat(one->fd, &now) != 0 || now.st_size > most_bytes) fail("fstat");
  int changed = now.st_size != one->size;
  one->size = now.st_size;
  if (copy >= 0 && ftruncate(copy, one->size) != 0) fail("ftruncate");
  for (off_t at = 0, end; (at = lseek(one->fd, at, SEEK_DATA)) >= 0; at = end) {  // the rest is holes
    end = lseek(one->fd, at, SEEK_HOLE);
    if (end > at + chunk) end = at + chunk;
    const size_t count = (size_t)(end - at);
    if (pread(one->fd, bytes, count, at) != (ssize_t)count) fail("pread");
    if (copy >= 0 && pwrite(copy, bytes, count, at) != (ssize_t)count) fail("pwrite");
    if (memcmp(one->seen + at, bytes, count) == 0) continue;
    memcpy(one->seen + at, bytes, count);
    changed = 1;
  }
  return changed;
}

static void keep(struct file* one, const char* folder, long step, const char* suffix) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%ld.%s", folder, step, suffix);
  const int copy = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (copy < 0) fail(path);
  look(one, copy);
  close(copy);
}

static struct file trace_of_the_program(void) {
  const char* folder = getenv("VRAMTRACK_OUT");
  char path[4096] = "";
  DIR* entries = opendir(folder);
  for (struct dirent* one; entries != NULL && (one = readdir(entries)) != NULL;)
    if (strstr(one->d_name, ".vtrace") != NULL) snprintf(path, sizeof path, "%s/%s", folder, one->d_name);
  closedir(entries);
  return watch(path);
}

int main(int count, char** arguments) {
  if (count < 5) return 2;
  const char* const folder = arguments[2][0] == '/' ? arguments[2] : NULL;
  const long most = folder != NULL ? -1 : atol(arguments[2]);
  const pid_t child = fork();
  if (child == 0) {
    setenv("LD_PRELOAD", arguments[1], 1);
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    execv(arguments[3], arguments + 3);
    _exit(127);
  }
  int status, marks = 0;
  long steps = 0;
  struct file trace, log;
  while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
    int deliver = WSTOPSIG(status);
    if (deliver == SIGTRAP) {
      deliver = 0;
      if (raised(child) && ++marks == 1) {
        find_vdso(child);
        if (folder != NULL) trace = trace_of_the_program(), log = watch(arguments[4]);
      }
    }
    const int counts = marks == 1 && !in_vdso(child);
    if (counts && folder != NULL && (look(&trace, -1) | look(&log, -1)) != 0)
      keep(&trace, folder, steps, "vtrace"), keep(&log, folder, steps, "log");
    if (marks == 2 || (counts && steps == most)) break;
    if (counts) steps++;
    if (ptrace(marks == 1 ? PTRACE_SINGLESTEP : PTRACE_CONT, child, 0, deliver) != 0) return 3;
  }
  if (!WIFSTOPPED(status)) return 4;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  printf("%ld\n", steps);
  return 0;
}
