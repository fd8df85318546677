// one_event LOG WHAT: allocates and frees for a while, then does one more event between two SIGTRAPs: `new` or `known`
// allocates where nothing or something was allocated before, `free` frees, `move` frees a block and allocates it again.
// Stepped through by stepper.c; the books are those of kill_anywhere.c.
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

int cudaMalloc(void**, size_t);
int cudaFree(void*);

static struct books {  // test/foreign/kills.py reads it
  volatile int64_t begun, done, bytes, count, event_bytes, event_count;
  char rest[80];
} * own;

static void begin(int64_t bytes, int64_t count) {
  own->event_bytes = bytes;
  own->event_count = count;
  own->begun++;
}

static void end(void) {
  own->bytes += own->event_bytes;
  own->count += own->event_count;
  own->done++;
}

static int __attribute__((noinline)) site(int depth, void** block, size_t bytes) {
  volatile int here = depth;
  const int result = depth > 0 ? site(depth - 1, block, bytes) : cudaMalloc(block, bytes);
  here++;
  return result;
}

struct action {
  int depth, slot;  // depth -1 frees
};

static void __attribute__((noinline)) act(struct action one) {
  static void* blocks[32];
  const size_t bytes = 1000u * (unsigned)(one.slot + 1);
  begin(one.depth < 0 ? -(int64_t)bytes : (int64_t)bytes, one.depth < 0 ? -1 : 1);
  if (one.depth < 0)
    cudaFree(blocks[one.slot]);
  else
    site(one.depth, &blocks[one.slot], bytes);
  end();
}

int main(int count, char** arguments) {
  (void)count;
  const char what = arguments[2][0];
  const int file = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (ftruncate(file, sizeof *own) != 0) return 1;
  own = mmap(0, sizeof *own, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  enum { slots = 24 };
  struct action all[200];
  int actions = 0;
  for (int round = 0; round < 4; round++)
    for (int slot = 0; slot < slots; slot++) {
      if (round > 0) all[actions++] = (struct action){-1, slot};
      all[actions++] = (struct action){slot % 6, slot};
    }
  const int marked = actions;
  if (what == 'f' || what == 'm') all[actions++] = (struct action){-1, 7};
  if (what == 'm') all[actions++] = (struct action){1, 7};
  if (what == 'k' || what == 'n') all[actions++] = (struct action){what == 'n' ? 9 : 5, slots};
  for (int i = 0; i < actions; i++) {  // one loop, so that stacks differ by their depth alone
    if (i == marked) raise(SIGTRAP);
    act(all[i]);
  }
  raise(SIGTRAP);
  return 0;
}
