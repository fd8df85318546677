// handler_allocates EVENTS: a handler allocates and never frees, whatever it interrupts. Prints how many allocations
// there were, in the program and in the handler: each is recorded, or counted as lost.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

int cudaMalloc(void**, size_t);

static volatile long in_handler;

static void on_alarm(int number) {
  (void)number;
  void* block;
  cudaMalloc(&block, 100);
  in_handler++;
}

static __attribute__((noinline)) int deep(int depth, void** block) {
  volatile int here = depth;
  const int result = depth > 0 ? deep(depth - 1, block) : cudaMalloc(block, 512);
  here++;
  return result;
}

int main(int count, char** arguments) {
  (void)count;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, 0);
  const struct itimerval timer = {{0, 300}, {0, 300}}, off = {{0, 0}, {0, 0}};
  const long events = atol(arguments[1]);
  void* block;
  unsigned seed = 3;
  cudaMalloc(&block, 512);
  setitimer(ITIMER_REAL, &timer, 0);
  for (long i = 0; i < events; i++) deep(rand_r(&seed) % 200, &block);
  setitimer(ITIMER_REAL, &off, 0);
  printf("%ld %ld\n", events + 1, in_handler);
  return 0;
}
