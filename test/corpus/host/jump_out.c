// jump_out N: a handler jumps out of whatever it interrupted, N times. Then this thread and another one go on
// allocating: neither may hang, whether or not a lock was held at one of the jumps.
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

int cudaMalloc(void**, size_t);
int cudaFree(void*);

static sigjmp_buf place;
static volatile int armed;

static void on_alarm(int number) {
  (void)number;
  if (armed) {
    armed = 0;
    siglongjmp(place, 1);
  }
}

static void* allocate(void* unused) {
  void* block;
  for (int i = 0; i < 1000; i++) cudaMalloc(&block, 1 << 20);
  return unused;
}

int main(int count, char** arguments) {
  (void)count;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, 0);
  static void* blocks[64];
  const int jumps = atoi(arguments[1]);
  for (volatile int k = 0; k < jumps; k++) {
    if (sigsetjmp(place, 1) == 0) {
      armed = 1;
      const struct itimerval timer = {{0, 0}, {0, 100 + rand() % 400}};
      setitimer(ITIMER_REAL, &timer, 0);
      for (unsigned i = 0;; i++) {
        cudaFree(blocks[i % 64]);
        cudaMalloc(&blocks[i % 64], 512 + i % 100);
      }
    }
  }
  allocate(0);
  pthread_t thread;
  pthread_create(&thread, 0, allocate, 0);
  pthread_join(thread, 0);
  puts("done");
  return 0;
}
