// soak SECONDS THREADS: allocates and frees without pause through a few hundred call paths, and says ten times on the
// way, a line each, how much memory the process has. The last line is what it holds by its own books.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cudaMalloc(void**, size_t);
int cudaFree(void*);

enum { most_threads = 64, slots = 500, reports = 10 };
static atomic_int stopped;
static atomic_long live_bytes, live_count, events;

static int __attribute__((noinline)) deep(void** block, size_t bytes, int depth) {
  volatile int here = depth;
  int result;
  if (depth <= 0) {
    result = cudaMalloc(block, bytes);
  } else if (depth % 2 != 0) {
    result = deep(block, bytes, depth - 1);
  } else {
    result = deep(block, bytes, depth - 2);
  }
  here++;
  return result;
}

static int __attribute__((noinline)) other(void** block, size_t bytes, int depth) {
  volatile int here = depth;
  const int result = deep(block, bytes, depth % 17);
  here++;
  return result;
}

static void* work(void* argument) {
  unsigned seed = (unsigned)(long)argument * 7919 + 1;
  void* blocks[slots] = {0};
  size_t sizes[slots];
  while (!stopped) {
    const int i = rand_r(&seed) % slots;
    if (blocks[i] != NULL) {
      cudaFree(blocks[i]);
      blocks[i] = NULL;
      live_bytes -= (long)sizes[i];
      live_count--;
    } else {
      sizes[i] = 1 + (size_t)rand_r(&seed) % 200000;
      const int depth = rand_r(&seed) % 200;
      (depth % 2 != 0 ? deep : other)(&blocks[i], sizes[i], depth % 12);
      live_bytes += (long)sizes[i];
      live_count++;
    }
    events++;
  }
  return NULL;
}

static long resident(const char* kind) {
  FILE* file = fopen("/proc/self/status", "r");
  char line[256];
  long kilobytes = -1;
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, kind, strlen(kind)) == 0) kilobytes = atol(line + strlen(kind));
  }
  if (file != NULL) fclose(file);
  return kilobytes;
}

int main(int count, char** arguments) {
  if (count != 3 || atol(arguments[2]) > most_threads) return 2;
  const long seconds = atol(arguments[1]), threads = atol(arguments[2]);
  pthread_t all[most_threads];
  for (long i = 0; i < threads; i++) pthread_create(&all[i], NULL, work, (void*)i);
  for (int i = 0; i < reports; i++) {
    usleep((unsigned)(seconds * 1000000 / reports));
    printf("%ld events, own memory %ld KiB, of files %ld KiB\n", (long)events, resident("RssAnon:"),
           resident("RssFile:") + resident("RssShmem:"));
    fflush(stdout);
  }
  stopped = 1;
  for (long i = 0; i < threads; i++) pthread_join(all[i], NULL);
  printf("live %ld %ld\n", (long)live_bytes, (long)live_count);
  return 0;
}
