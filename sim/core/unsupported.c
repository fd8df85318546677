#include "sim/core/unsupported.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void vramtrack_sim_say_unsupported(const char* library, const char* function, unsigned char* said) {
  if (__atomic_exchange_n(said, 1, __ATOMIC_RELAXED)) return;
  const int saved_errno = errno;
  char line[512];
  const int length =
      snprintf(line, sizeof line, "vramtrack-sim: %s is not simulated (%s): it returns an error\n", function, library);
  if (length > 0) {
    const size_t bytes = (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;
    const ssize_t written = write(STDERR_FILENO, line, bytes);
    (void)written;
  }
  errno = saved_errno;
}
