// steady: two threads allocate and free through many call sites, a child does the same after a fork. Whatever goes
// wrong in the library, the output and the exit code are these.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int cudaMalloc(void**, size_t);
int cudaFree(void*);

static int __attribute__((noinline)) site(int depth, void** block) {
  volatile int here = depth;
  const int result = depth > 0 ? site(depth - 1, block) : cudaMalloc(block, 512);
  here++;
  return result;
}

static void* work(void* argument) {
  unsigned seed = (unsigned)(long)argument;
  void* blocks[400] = {0};
  long failed = 0;
  for (int i = 0; i < 4000; i++) {
    void** block = &blocks[rand_r(&seed) % 400];
    failed += *block ? cudaFree(*block) != 0 : site(rand_r(&seed) % 60, block) != 0;
    if (*block && (rand_r(&seed) & 1)) *block = 0;
  }
  return (void*)failed;
}

int main(void) {
  pthread_t thread;
  void* failed;
  if (pthread_create(&thread, 0, work, (void*)1) != 0) return 1;
  const long own = (long)work((void*)2);
  pthread_join(thread, &failed);
  printf("failed %ld\n", own + (long)failed);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) _exit(work((void*)3) != 0);
  int status = 1;
  waitpid(child, &status, 0);
  printf("child %d\n", status);
  return 5;
}
