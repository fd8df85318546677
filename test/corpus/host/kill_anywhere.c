// kill_anywhere LOG THREADS: allocates and frees for ever, and keeps its own books in a file that outlives it: of each
// thread, what was begun and what is done. Ended by a signal from outside at any moment.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int cudaMalloc(void**, size_t);
int cudaFree(void*);

// Read by test_host.py and test/foreign/kills.py: six words, 128 bytes a thread.
struct books {
  volatile int64_t begun, done;               // events
  volatile int64_t bytes, count;              // of all events that are done
  volatile int64_t event_bytes, event_count;  // what the event that is under way adds
  char rest[80];
};
static struct books* all;

static int __attribute__((noinline)) site(int depth, void** block, size_t bytes) {
  volatile int here = depth;
  const int result = depth > 0 ? site(depth - 1, block, bytes) : cudaMalloc(block, bytes);
  here++;
  return result;
}

static void* work(void* argument) {
  const long number = (long)argument;
  struct books* own = &all[number];
  unsigned seed = (unsigned)(number * 77 + getpid());
  void* blocks[300] = {0};
  int64_t sizes[300];
  for (;;) {
    const int i = rand_r(&seed) % 300;
    own->event_bytes = blocks[i] ? -sizes[i] : (sizes[i] = 1 + rand_r(&seed) % 50000);
    own->event_count = blocks[i] ? -1 : 1;
    own->begun++;
    if (blocks[i]) {
      cudaFree(blocks[i]);
      blocks[i] = 0;
    } else {
      site(rand_r(&seed) % 40, &blocks[i], (size_t)sizes[i]);
    }
    own->bytes += own->event_bytes;
    own->count += own->event_count;
    own->done++;
  }
}

int main(int count, char** arguments) {
  (void)count;
  const int file = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
  const long threads = atol(arguments[2]);
  if (ftruncate(file, sizeof *all * 64) != 0) return 1;
  all = mmap(0, sizeof *all * 64, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  for (long number = 1; number < threads; number++) {
    pthread_t thread;
    pthread_create(&thread, 0, work, (void*)number);
  }
  work(0);
}
