// exit_in_handler MICROSECONDS [STACK_BYTES]: allocates and frees for ever; a handler calls _exit(7), on an alternate
// stack of so many bytes with a guard page below it.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

int cudaMalloc(void**, size_t);
int cudaFree(void*);

static void on_alarm(int number) {
  (void)number;
  _exit(7);
}

int main(int count, char** arguments) {
  const long us = atol(arguments[1]);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  if (count > 2) {
    const size_t bytes = (size_t)atol(arguments[2]);
    char* low = mmap(0, 4096 + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(low, 4096, PROT_NONE);
    stack_t stack = {.ss_sp = low + 4096, .ss_size = bytes};
    sigaltstack(&stack, 0);
    action.sa_flags = SA_ONSTACK;
  }
  sigaction(SIGALRM, &action, 0);
  void* blocks[64];
  for (int i = 0; i < 64; i++) cudaMalloc(&blocks[i], 512 + i);
  const struct itimerval timer = {{0, 0}, {us / 1000000, us % 1000000}};
  setitimer(ITIMER_REAL, &timer, 0);
  for (unsigned i = 0;; i++) {
    cudaFree(blocks[i % 64]);
    cudaMalloc(&blocks[i % 64], 512 + i % 5000);
  }
}
